//! Secret bytes: erased when dropped, never printed, compared in constant time, copied only by name.

use std::ops::Deref;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Zeroes bytes in a way the compiler keeps, a word at a time: `zeroize` alone writes byte by byte.
pub fn wipe(bytes: &mut [u8]) {
    let (head, words, tail) = bytemuck::pod_align_to_mut::<u8, u64>(bytes);
    head.zeroize();
    words.zeroize();
    tail.zeroize();
}

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
        wipe(self.0.as_mut_slice());
    }
}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Secret bytes of any number, such as a decrypted payload. They never grow, so that no copy of them is left behind.
#[derive(Clone, Default)]
pub struct SecretBytes(Vec<u8>);

/// In constant time, for two of one length.
impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        ct_eq(&self.0, &other.0)
    }
}

impl Eq for SecretBytes {}

impl SecretBytes {
    /// Takes bytes over, and erases them when dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretBytes(bytes)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Shortens to `len` bytes; the others are erased.
    pub fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.0.get_mut(len..) {
            wipe(rest);
            self.0.truncate(len);
        }
    }

    /// Erases all, also what lies between the length and the capacity.
    fn erase(&mut self) {
        self.0.resize(self.0.capacity(), 0);
        wipe(&mut self.0);
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.erase();
    }
}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBytes(…)")
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

    #[test]
    fn wiping_reaches_every_byte_and_no_other() {
        for start in 0..9 {
            for end in start..40 {
                let mut bytes = [0xab; 48];
                wipe(&mut bytes[start..end]);
                let left = |(i, b): (usize, &u8)| *b == if (start..end).contains(&i) { 0 } else { 0xab };
                assert!(bytes.iter().enumerate().all(left), "{start}..{end}");
            }
        }
    }

    #[test]
    fn secret_bytes_are_erased_to_their_capacity() {
        let mut bytes = Vec::with_capacity(100);
        bytes.extend([7; 90]);
        let mut secret = SecretBytes::new(bytes);
        secret.truncate(13);
        assert_eq!((&*secret, format!("{secret:?}").as_str()), (&[7; 13][..], "SecretBytes(…)"));
        secret.erase();
        assert!(secret.len() >= 100 && secret.iter().all(|b| *b == 0));
    }
}
