//! ChaCha20 keystreams (RFC 8439 §2.4, nonce twelve zero bytes) that mask record keys in their slots and
//! make the salts of field commitments. `docs/FORMAT.md` §5, sealing steps 4 and 5.

use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20::{ChaCha20, Key, Nonce};
use zeroize::Zeroizing;

use super::keys::{SaltKey, WrappingKey};
use crate::base::record::KEY_LEN;
use crate::base::secret::{SecretBytes, wipe};

/// Length of a keystream block in bytes.
const BLOCK: usize = 64;
/// Blocks a [`SlotMasks`] makes at once, 4 KB: long enough for the vector code, short enough for the cache.
const WINDOW_BLOCKS: u32 = 64;
/// Length of a salt in bytes.
pub const SALT_LEN: usize = 16;
/// Salts made at once: four blocks, the width of the vector code.
const SALT_BATCH: usize = 4 * BLOCK;

fn cipher(key: &[u8; 32], nonce: &[u8; 12]) -> ChaCha20 {
    ChaCha20::new(<&Key>::from(key), <&Nonce>::from(nonce))
}

/// Keystream of `key` from block `first` on. `out` ends long before the cipher's 256 GB do: block
/// numbers are at most `MAX_BATCH_RECORDS` times `MAX_SECTIONS`.
fn blocks(key: &[u8; 32], nonce: &[u8; 12], first: u32, out: &mut [u8]) {
    let mut cipher = cipher(key, nonce);
    cipher.seek(u64::from(first) * BLOCK as u64);
    cipher.write_keystream(out);
}

/// The mask of slot number `block`: the first half of that keystream block.
pub fn slot_mask(key: &WrappingKey, block: u32) -> Zeroizing<[u8; KEY_LEN]> {
    let mut mask = Zeroizing::new([0; KEY_LEN]);
    blocks(key.0.expose(), &[0; 12], block, mask.as_mut_slice());
    mask
}

/// The masks of one reader's slots, made many at a time for a writer that fills them in about their order.
pub(super) struct SlotMasks {
    window: Option<u32>,
    bytes: SecretBytes,
}

impl SlotMasks {
    pub(super) fn new() -> Self {
        SlotMasks { window: None, bytes: SecretBytes::new(vec![0; WINDOW_BLOCKS as usize * BLOCK]) }
    }

    /// Appends `record_key` ⊕ mask of slot number `block`. All calls on one value take the same `key`.
    pub(super) fn wrap(
        &mut self,
        key: &WrappingKey,
        block: u32,
        record_key: &[u8; KEY_LEN],
        slots: &mut Vec<u8>,
    ) {
        let window = block / WINDOW_BLOCKS;
        if self.window != Some(window) {
            blocks(key.0.expose(), &[0; 12], window * WINDOW_BLOCKS, self.bytes.as_mut_slice());
            self.window = Some(window);
        }
        let at = (block % WINDOW_BLOCKS) as usize * BLOCK;
        slots.extend(self.bytes[at..at + KEY_LEN].iter().zip(record_key).map(|(m, k)| m ^ k));
    }
}

/// The salts of one section, in field order.
pub struct Salts {
    cipher: ChaCha20,
    batch: [u8; SALT_BATCH],
    used: usize,
}

impl Salts {
    /// Starts at salt 0.
    pub fn new(key: &SaltKey) -> Self {
        Salts { cipher: cipher(key.0.expose(), &[0; 12]), batch: [0; SALT_BATCH], used: SALT_BATCH }
    }

    /// The next salt.
    pub fn next_salt(&mut self) -> [u8; SALT_LEN] {
        if self.used == SALT_BATCH {
            self.cipher.write_keystream(&mut self.batch);
            self.used = 0;
        }
        let mut salt = [0; SALT_LEN];
        salt.copy_from_slice(&self.batch[self.used..self.used + SALT_LEN]);
        self.used += SALT_LEN;
        salt
    }
}

impl Drop for Salts {
    fn drop(&mut self) {
        wipe(&mut self.batch);
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::test_vectors::{Hex, load};
    use super::*;
    use crate::base::secret::Secret;

    #[derive(Deserialize)]
    struct Vector {
        key: Hex,
        nonce: Hex,
        counter: u32,
        plaintext: Hex,
        ciphertext: Hex,
    }

    #[test]
    fn rfc_8439_2_4_2() {
        let v: Vector = load(include_str!("../../tests/vectors/crypto/rfc8439-chacha20.json"));
        let mut stream = vec![0; v.plaintext.0.len()];
        blocks(v.key.array(), v.nonce.array(), v.counter, &mut stream);
        let out: Vec<u8> = stream.iter().zip(&v.plaintext.0).map(|(s, p)| s ^ p).collect();
        assert_eq!(out, v.ciphertext.0);
    }

    #[test]
    fn masks_in_bulk_are_the_masks_one_by_one() {
        let key = WrappingKey(Secret::fill(|b| b.fill(7)));
        let mut masks = SlotMasks::new();
        for block in [0, 1, 63, 64, 200, 5, 131_071] {
            let mut slot = Vec::new();
            masks.wrap(&key, block, &[0; 32], &mut slot);
            assert_eq!(slot, slot_mask(&key, block).as_slice(), "{block}");
        }
    }

    #[test]
    fn salts_are_one_keystream() {
        let key = SaltKey(Secret::fill(|b| b.fill(9)));
        let mut stream = [0; 40 * SALT_LEN];
        blocks(key.0.expose(), &[0; 12], 0, &mut stream);
        let mut salts = Salts::new(&key);
        for want in stream.chunks_exact(SALT_LEN) {
            assert_eq!(salts.next_salt(), *want);
        }
    }
}
