//! Secret bytes: erased when dropped, never printed, compared in constant time, copied only by name.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes. No `Clone`, no `PartialEq`, and `Debug` shows nothing.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// A secret filled in place, so that no copy of it is left on the stack.
    pub fn fill(f: impl FnOnce(&mut [u8; N])) -> Self {
        let mut s = Secret(Box::new([0; N]));
        f(&mut s.0);
        s
    }

    /// Copies `bytes`, which stay the caller's to erase; `None` if there are not exactly `N`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == N).then(|| Secret::fill(|s| s.copy_from_slice(bytes)))
    }

    /// The bytes. Named so that every use can be found.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, named so that every one can be found.
    pub fn duplicate(&self) -> Self {
        Secret::fill(|s| s.copy_from_slice(&self.0[..]))
    }

    /// Equality in constant time.
    pub fn ct_eq(&self, other: &Secret<N>) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Constant-time equality of two byte strings; strings of different length differ.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn debug_tells_nothing_and_equality_works() {
        let a = Secret::<4>::from_slice(b"abcd").unwrap();
        assert_eq!(format!("{a:?}"), "Secret(…)");
        assert!(a.ct_eq(&a.duplicate()));
        assert!(!a.ct_eq(&Secret::fill(|s| s.copy_from_slice(b"abce"))));
        assert!(Secret::<4>::from_slice(b"abc").is_none());
    }
}
