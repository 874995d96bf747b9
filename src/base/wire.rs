//! The binary codec: big-endian integers and length-prefixed byte strings, nothing else.
//!
//! Reading never allocates more than the input holds: a length is checked against the bytes that
//! remain before anything is taken.

use super::hash::Hash;

/// Why bytes could not be decoded. `what` names the part of the format that was being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The input ended inside a value.
    #[error("cut short while reading {what}")]
    Truncated {
        /// The part being read.
        what: &'static str,
    },
    /// Bytes remain after the last value.
    #[error("{extra} bytes follow the end of {what}")]
    Trailing {
        /// The part being read.
        what: &'static str,
        /// How many bytes are left over.
        extra: usize,
    },
    /// A value is outside what the format allows.
    #[error("{what} is not valid: {why}")]
    Invalid {
        /// The part being read.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Reads values from the front of a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`; `what` names the structure in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { rest: bytes, what }
    }

    /// An error about the structure being read.
    pub fn invalid<T>(&self, why: &'static str) -> Result<T, WireError> {
        Err(WireError::Invalid { what: self.what, why })
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes exactly `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        if n > self.rest.len() {
            return Err(WireError::Truncated { what: self.what });
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    /// Takes `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let what = self.what;
        self.take(N)?.try_into().map_err(|_| WireError::Truncated { what })
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A 32-byte hash.
    pub fn hash(&mut self) -> Result<Hash, WireError> {
        Ok(Hash(self.array()?))
    }

    /// Bytes behind a two-byte length.
    pub fn bytes16(&mut self) -> Result<&'a [u8], WireError> {
        let n = self.u16()?;
        self.take(n as usize)
    }

    /// UTF-8 text behind a two-byte length.
    pub fn str16(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.bytes16()?;
        std::str::from_utf8(bytes)
            .map_err(|_| WireError::Invalid { what: self.what, why: "text is not UTF-8" })
    }

    /// Ends the reading; an error if bytes are left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::Trailing { what: self.what, extra: self.rest.len() })
        }
    }
}

/// Appends values to a `Vec<u8>` in the form [`Reader`] takes them.
pub trait WireWrite {
    /// Two bytes, big-endian.
    fn put_u16(&mut self, v: u16);
    /// Four bytes, big-endian.
    fn put_u32(&mut self, v: u32);
    /// Eight bytes, big-endian.
    fn put_u64(&mut self, v: u64);
    /// Bytes behind a two-byte length. Longer than 65,535 bytes is a caller's mistake: the length is
    /// cut to that maximum together with the bytes, which no reader will accept in place of the original.
    fn put_bytes16(&mut self, v: &[u8]);
}

impl WireWrite for Vec<u8> {
    fn put_u16(&mut self, v: u16) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_bytes16(&mut self, v: &[u8]) {
        debug_assert!(v.len() <= usize::from(u16::MAX));
        let n = v.len().min(usize::from(u16::MAX));
        self.put_u16(n as u16);
        self.extend_from_slice(&v[..n]);
    }
}
