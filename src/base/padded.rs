//! Messages laid out as the blocks SHA-256 hashes them by, to be hashed all together later.

use super::hash::{HASH_LEN, Hash};
use super::secret::wipe;
use super::sha256::{BLOCK, NODE_PREFIX, TRAILER};
use super::sha256_wide::hash_padded;

/// Room for the fields of a usual record, in blocks.
const FIRST_ROOM: usize = 64;

/// Messages with their padding, one after the other. They are erased when it is dropped, and leave no copy behind when it grows.
pub(crate) struct Padded {
    blocks: Vec<[u8; BLOCK]>,
    /// Where in `blocks` each message ends.
    ends: Vec<usize>,
    /// The most blocks there ever were: those to erase.
    most: usize,
}

impl Padded {
    pub(crate) fn new() -> Self {
        Padded { blocks: Vec::new(), ends: Vec::new(), most: 0 }
    }

    /// Number of messages.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Length of all of them with their padding.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// Forgets all but the first `len` messages.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.most = self.most.max(self.blocks.len());
        self.blocks.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Adds the concatenation of `parts`.
    #[inline]
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        let new = self.extend((len + TRAILER).div_ceil(BLOCK));
        let mut at = 0;
        for part in parts {
            new[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        new[at] = 0x80;
        let end = new.len() - 8;
        new[end..].copy_from_slice(&(8 * len as u64).to_be_bytes());
    }

    /// Adds 0x01 ‖ left ‖ right: an inner node of a tree (RFC 6962 §2.1).
    #[inline]
    pub(crate) fn push_node(&mut self, left: &Hash, right: &Hash) {
        const LEN: usize = 1 + 2 * HASH_LEN;
        let new = self.extend(2);
        new[0] = NODE_PREFIX;
        new[1..1 + HASH_LEN].copy_from_slice(&left.0);
        new[1 + HASH_LEN..LEN].copy_from_slice(&right.0);
        new[LEN] = 0x80;
        new[2 * BLOCK - 8..].copy_from_slice(&(8 * LEN as u64).to_be_bytes());
    }

    /// Room for a message of so many blocks; all zero.
    #[inline]
    fn extend(&mut self, count: usize) -> &mut [u8] {
        let start = self.blocks.len();
        if self.blocks.capacity() - start < count {
            let mut bigger = Vec::with_capacity((start + count).next_power_of_two().max(FIRST_ROOM));
            bigger.extend_from_slice(&self.blocks);
            self.erase();
            self.blocks = bigger;
        }
        self.blocks.resize(start + count, [0; BLOCK]);
        self.ends.push(start + count);
        self.blocks[start..].as_flattened_mut()
    }

    /// The digest of each message.
    pub(crate) fn digests(&self, out: &mut Vec<Hash>) {
        out.clear();
        out.resize(self.len(), Hash::ZERO);
        self.digests_into(out);
    }

    /// [`Padded::digests`] into as many places as there are messages.
    pub(crate) fn digests_into(&self, out: &mut [Hash]) {
        hash_padded(&self.blocks, &self.ends, out);
    }

    fn erase(&mut self) {
        let most = self.most.max(self.blocks.len());
        self.blocks.resize(most, [0; BLOCK]);
        wipe(self.blocks.as_flattened_mut());
        self.most = 0;
    }
}

impl Drop for Padded {
    fn drop(&mut self) {
        self.erase();
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn digests_equal_the_streaming_hash() {
        let bytes: Vec<u8> = (0..900u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let mut all = Padded::new();
        let mut found = Vec::new();
        for count in 0..70 {
            all.truncate(0);
            let messages: Vec<[&[u8]; 2]> = (0..count)
                .map(|n| [&bytes[n..n + if n % 11 == 0 { 700 } else { n * 37 % 200 }], &bytes[..n]])
                .collect();
            for message in &messages {
                all.push(message);
                all.push(&[b"forgotten"]);
                all.truncate(all.len() - 1);
            }
            all.digests(&mut found);
            assert_eq!(found.len(), count);
            for (message, found) in messages.iter().zip(&found) {
                let want: [u8; 32] = Sha256::digest(message.concat()).into();
                assert_eq!(found.0, want, "{} bytes, one of {count}", message.concat().len());
            }
        }
        // Every padding, alone and in company.
        for len in 0..=260 {
            for company in [1, 16, 25] {
                all.truncate(0);
                (0..company).for_each(|_| all.push(&[&bytes[..len]]));
                all.digests(&mut found);
                let want: [u8; 32] = Sha256::digest(&bytes[..len]).into();
                assert!(found.iter().all(|f| f.0 == want), "{len} bytes, {company} times");
            }
        }
    }

    #[test]
    fn a_node_is_the_node_of_the_tree() {
        let (left, right) = (Hash([3; 32]), Hash([4; 32]));
        let mut all = Padded::new();
        let mut found = Vec::new();
        all.push_node(&left, &right);
        all.digests(&mut found);
        assert_eq!(found, [Hash::node(&left, &right)]);
    }

    #[test]
    fn what_was_truncated_is_erased_too() {
        let mut all = Padded::new();
        (0..40).for_each(|_| all.push(&[&[7; 100]]));
        all.truncate(3);
        all.erase();
        assert_eq!(all.blocks.len(), 80);
        assert!(all.blocks.as_flattened().iter().all(|b| *b == 0));
    }
}
