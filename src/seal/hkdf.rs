//! HMAC-SHA256 (RFC 2104) under 32-byte keys, and HKDF-Expand (RFC 5869 §2.3) on top of it.
//! HKDF-Extract is left out on purpose: every input key here is 32 uniformly random bytes (§3.3).

use hmac::digest::common::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::base::hash::HASH_LEN;

/// HMAC-SHA256 with its key already absorbed; cloning it saves two compressions per message.
#[derive(Clone)]
pub(super) struct PreparedHmac(Hmac<Sha256>);

impl PreparedHmac {
    /// Absorbs a key. RFC 2104 §2 pads a key shorter than a block with zero bytes, which is done here
    /// because the padded form cannot fail.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut block = Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        let mac = Hmac::new(&block);
        block.as_mut_slice().zeroize();
        PreparedHmac(mac)
    }

    /// The MAC of the concatenation of `parts`.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let mut mac = self.0.clone();
        for p in parts {
            mac.update(p);
        }
        mac.finalize().into_bytes().into()
    }

    /// RFC 5869 §2.3 with this key as PRK and the concatenation of `info` parts as info:
    /// T(0) = "", T(i) = HMAC(PRK, T(i-1) ‖ info ‖ i), OKM = the first N bytes of T(1) ‖ T(2) ‖ …
    pub(super) fn expand<const N: usize>(&self, info: &[&[u8]], okm: &mut [u8; N]) {
        const { assert!(N <= 255 * HASH_LEN) }
        let mut previous = [0u8; HASH_LEN];
        for (i, block) in okm.chunks_mut(HASH_LEN).enumerate() {
            let mut mac = self.0.clone();
            if i > 0 {
                mac.update(&previous);
            }
            for p in info {
                mac.update(p);
            }
            mac.update(&[i as u8 + 1]);
            previous = mac.finalize().into_bytes().into();
            block.copy_from_slice(&previous[..block.len()]);
        }
        previous.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::super::test_vectors::{Hex, load};
    use super::*;

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
                    prk.expand(&[&c.info.0], &mut okm);
                    assert_eq!(okm[..], c.okm.0);
                }
                82 => {
                    let mut okm = [0; 82];
                    let (a, b) = c.info.0.split_at(7);
                    prk.expand(&[a, b], &mut okm);
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
