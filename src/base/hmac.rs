//! HMAC-SHA256 (RFC 2104) under 32-byte keys, and HKDF-Expand (RFC 5869 §2.3) on top of it.
//! HKDF-Extract is left out on purpose: every input key here is 32 uniformly random bytes (§3.3).
//!
//! RFC 2104 §2: HMAC(K, text) = H(K ⊕ opad ‖ H(K ⊕ ipad ‖ text)), K padded with zero bytes to a block.

use zeroize::Zeroize;

use super::hash::{HASH_LEN, Hash};
use super::secret::wipe;
use super::sha256::{BLOCK, INITIAL, State, absorb, finish, finish_digest};

/// HMAC-SHA256 with its key already absorbed, which saves two of four compressions per short message.
pub(crate) struct PreparedHmac {
    inner: State,
    outer: State,
}

impl PreparedHmac {
    /// Absorbs a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let state = |pad: u8| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
            let mut state = INITIAL;
            absorb(&mut state, &block);
            wipe(&mut block);
            state
        };
        PreparedHmac { inner: state(0x36), outer: state(0x5c) }
    }

    /// The MAC of the concatenation of `parts`.
    #[inline]
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        finish_digest(self.outer, &finish(self.inner, BLOCK, parts))
    }

    /// RFC 5869 §2.3 with this key as PRK and the concatenation of the parts of `info` as info:
    /// T(0) = "", T(i) = HMAC(PRK, T(i-1) ‖ info ‖ i), OKM = the first N bytes of T(1) ‖ T(2) ‖ …
    pub(crate) fn expand<const N: usize>(&self, info: [&[u8]; 2], okm: &mut [u8; N]) {
        const { assert!(N <= 255 * HASH_LEN) }
        let mut previous = [0u8; HASH_LEN];
        for (i, block) in okm.chunks_mut(HASH_LEN).enumerate() {
            let before = if i == 0 { &[][..] } else { &previous[..] };
            previous = self.mac(&[before, info[0], info[1], &[i as u8 + 1]]);
            block.copy_from_slice(&previous[..block.len()]);
        }
        wipe(&mut previous);
    }
}

/// HMAC-SHA256 (RFC 2104) of the concatenation of `parts`.
pub fn hmac(key: &[u8; HASH_LEN], parts: &[&[u8]]) -> Hash {
    Hash(PreparedHmac::new(key).mac(parts))
}

impl Drop for PreparedHmac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;
    use crate::seal::test_vectors::{Hex, load};

    #[derive(Deserialize)]
    struct Expand {
        prk: Hex,
        info: Hex,
        okm: Hex,
    }

    #[derive(Deserialize)]
    struct HmacCase {
        key: Hex,
        data: Hex,
        hmac_sha256: Hex,
    }

    #[test]
    fn rfc_5869_a1_to_a3() {
        let cases: Vec<Expand> = load(include_str!("../../tests/vectors/crypto/rfc5869-expand.json"));
        assert_eq!(cases.len(), 3);
        for c in cases {
            let prk = PreparedHmac::new(c.prk.array());
            // 42 and 82 bytes are the lengths of the RFC's examples.
            match c.okm.0.len() {
                42 => {
                    let mut okm = [0; 42];
                    prk.expand([&c.info.0, b""], &mut okm);
                    assert_eq!(okm[..], c.okm.0);
                }
                82 => {
                    let mut okm = [0; 82];
                    let (a, b) = c.info.0.split_at(7);
                    prk.expand([a, b], &mut okm);
                    assert_eq!(okm[..], c.okm.0);
                }
                n => unreachable!("no RFC 5869 example is {n} bytes long"),
            }
        }
    }

    #[test]
    fn rfc_4231_keys_up_to_32_bytes() {
        let cases: Vec<HmacCase> = load(include_str!("../../tests/vectors/crypto/rfc4231.json"));
        assert_eq!(cases.len(), 4);
        for c in cases {
            let mut key = [0; 32];
            key[..c.key.0.len()].copy_from_slice(&c.key.0);
            let (a, b) = c.data.0.split_at(c.data.0.len() / 2);
            assert_eq!(PreparedHmac::new(&key).mac(&[a, b])[..], c.hmac_sha256.0);
        }
    }
}
