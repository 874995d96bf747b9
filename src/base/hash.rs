//! SHA-256 (FIPS 180-4) and its text forms. Domain separation is the caller's: every hash of the
//! format starts with a byte or label of its own, listed in `docs/FORMAT.md` §3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::sha256::{self, DIGEST_LEN, short_hash};

/// Length of a SHA-256 digest in bytes.
pub const HASH_LEN: usize = DIGEST_LEN;
/// Up to this many bytes the one-call form is faster than the streaming one.
const SHORT: usize = 256;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    /// The all-zero value that stands where there is no predecessor.
    pub const ZERO: Hash = Hash([0; HASH_LEN]);

    /// SHA-256 of the concatenation of `parts`.
    #[inline]
    pub fn of(parts: &[&[u8]]) -> Hash {
        if parts.iter().map(|p| p.len()).sum::<usize>() <= SHORT {
            return Hash(short_hash(parts));
        }
        let mut h = Sha256::new();
        for p in parts {
            h.update(p);
        }
        Hash(h.finalize().into())
    }

    /// The inner node of a tree over two of its nodes. RFC 6962 §2.1: H(0x01 ‖ left ‖ right).
    #[inline]
    pub fn node(left: &Hash, right: &Hash) -> Hash {
        Hash(sha256::node(&left.0, &right.0))
    }

    /// Standard base64 (RFC 4648 §4), 44 characters.
    pub fn base64(&self) -> String {
        to_base64(&self.0)
    }

    /// The inverse of [`Hash::base64`]; `None` unless it is the canonical encoding of 32 bytes.
    pub fn from_base64(text: &str) -> Option<Hash> {
        Some(Hash(from_base64(text)?.try_into().ok()?))
    }

    /// Lower-case hexadecimal, as `sha256sum` prints it.
    pub fn hex(&self) -> String {
        to_hex(&self.0)
    }

    /// The inverse of [`Hash::hex`]; accepts upper case too.
    pub fn from_hex(text: &str) -> Option<Hash> {
        Some(Hash(from_hex(text)?.try_into().ok()?))
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Standard base64 with padding (RFC 4648 §4).
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Strict inverse of [`to_base64`]: no white space, canonical padding and trailing bits.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Inverse of [`to_hex`], in either case; `None` on an odd length or a character that is no digit.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let t = text.as_bytes();
    if !t.len().is_multiple_of(2) {
        return None;
    }
    t.chunks_exact(2)
        .map(|c| Some(((c[0] as char).to_digit(16)? * 16 + (c[1] as char).to_digit(16)?) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fips_180_4_example() {
        assert_eq!(
            Hash::of(&[b"a", b"bc"]).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn text_forms_round_trip_and_are_strict() {
        let h = Hash::of(&[b"x"]);
        assert_eq!(Hash::from_base64(&h.base64()), Some(h));
        assert_eq!(Hash::from_hex(&h.hex()), Some(h));
        assert_eq!(Hash::from_base64(&format!("{} ", h.base64())), None);
        assert_eq!(Hash::from_hex("0g"), None);
        assert_eq!(Hash::from_hex("00"), None);
        // Trailing bits that are not zero would give one hash two spellings.
        assert_eq!(from_base64("AB=="), None);
    }
}
