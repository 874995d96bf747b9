//! Hashes with the root of every perfect subtree over them, so that a proof looks up what it would otherwise hash again: 255
//! hashes a tile of the log.

use super::merkle::{empty_root, node_hash, node_hashes};
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::padded::Padded;

/// Hashes and the roots over each 2, 4, 8, … of them, in the order in which they become known: a root follows the last hash under
/// it. Twice the hashes' own size: 16 KB for a tile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subtrees {
    hashes: usize,
    nodes: Vec<Hash>,
}

impl Subtrees {
    /// Those over some hashes.
    pub fn new(hashes: impl ExactSizeIterator<Item = Hash>) -> Subtrees {
        let count = hashes.len();
        // All levels one after the other, each hashed side by side, then each root behind the last hash under it.
        let mut levels = vec![hashes.collect::<Vec<Hash>>()];
        let mut messages = Padded::new();
        while let Some((pairs, _)) = levels.last().map(|l| l.as_chunks::<2>()).filter(|(p, _)| !p.is_empty())
        {
            let mut above = Vec::with_capacity(pairs.len());
            node_hashes(pairs, &mut above, &mut messages);
            levels.push(above);
        }
        let mut nodes = Vec::with_capacity(2 * count);
        for n in 1..=count {
            let completed = levels.iter().zip(0..=n.trailing_zeros());
            nodes.extend(completed.filter_map(|(level, height)| level.get((n >> height) - 1)));
        }
        Subtrees { hashes: count, nodes }
    }

    /// Those over a tile's bytes, 32 for each hash; what does not make a whole hash is ignored.
    pub fn of_bytes(bytes: &[u8]) -> Subtrees {
        Subtrees::new(bytes.as_chunks::<HASH_LEN>().0.iter().map(|h| Hash(*h)))
    }

    /// Adds a hash, and the roots that this completes.
    pub fn push(&mut self, hash: Hash) {
        let mut right = hash;
        self.nodes.push(right);
        self.hashes += 1;
        for height in 0..self.hashes.trailing_zeros() {
            let left = (self.hashes >> height).checked_sub(2).and_then(|index| self.root(height, index));
            // The left one of a completed pair was there before.
            let Some(left) = left else { return };
            right = node_hash(&left, &right);
            self.nodes.push(right);
        }
    }

    /// Root over the 2^`height` hashes from number `index` · 2^`height` on; `None` if they are not all there.
    pub fn root(&self, height: u32, index: usize) -> Option<Hash> {
        let end = index.checked_add(1)?.checked_mul(1usize.checked_shl(height)?)?;
        if end > self.hashes {
            return None;
        }
        // Before the last hash under it stand the others, and one root less for each subtree they do not pair up to.
        let before = end - 1;
        self.nodes.get(2 * before - before.count_ones() as usize + height as usize).copied()
    }

    /// The tile's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        (0..self.hashes).filter_map(|i| self.root(0, i)).flat_map(|h| h.0).collect()
    }

    /// RFC 6962 root over all hashes.
    pub(super) fn whole(&self) -> Hash {
        self.range(0, self.hashes).unwrap_or_else(empty_root)
    }

    /// RFC 9162 §2.1.3.1: inclusion path of hash `index` in the tree over all, its sibling first; `None` outside the tree.
    pub(super) fn path(&self, index: usize) -> Option<Vec<Hash>> {
        let (mut lo, mut hi, mut path) = (0, self.hashes, Vec::new());
        if index >= hi {
            return None;
        }
        while hi - lo > 1 {
            // The largest power of two smaller than the number of hashes.
            let middle = lo + (1 << (hi - lo - 1).ilog2());
            if index < middle {
                path.push(self.range(middle, hi)?);
                hi = middle;
            } else {
                path.push(self.range(lo, middle)?);
                lo = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Root over hashes `lo..hi`, a range that RFC 6962 cuts out of a tree.
    fn range(&self, mut lo: usize, hi: usize) -> Option<Hash> {
        let mut peaks = Vec::new();
        while lo < hi {
            let height = (hi - lo).ilog2();
            peaks.push(self.root(height, lo >> height)?);
            lo += 1 << height;
        }
        Some(fold_peaks(&peaks))
    }

    /// Roots of the perfect subtrees it consists of, largest first.
    pub(super) fn peaks(&self) -> impl Iterator<Item = Hash> {
        let heights = (0..usize::BITS).rev().filter(|h| self.hashes >> h & 1 == 1);
        heights.filter_map(|h| self.root(h, (self.hashes >> h) - 1))
    }
}

/// Joins the roots of perfect subtrees, largest first, to the root over all of them.
pub(super) fn fold_peaks(peaks: &[Hash]) -> Hash {
    let joined = peaks.iter().copied().rev().reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(empty_root)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::{leaves, naive_root};
    use super::*;

    #[test]
    fn every_perfect_subtree_of_every_width() {
        let all = leaves(256);
        let mut tree = Subtrees::default();
        for n in 0..=256usize {
            for height in 0..=9 {
                let span = 1usize << height;
                for index in 0..=256 / span {
                    let part = all.get(index * span..(index + 1) * span).filter(|_| (index + 1) * span <= n);
                    assert_eq!(tree.root(height, index), part.map(naive_root), "{n} {height} {index}");
                }
            }
            assert_eq!(fold_peaks(&tree.peaks().collect::<Vec<_>>()), naive_root(&all[..n]), "{n}");
            assert_eq!(tree.to_bytes(), all[..n].iter().flat_map(|h| h.0).collect::<Vec<_>>());
            // Built at once it is as built step by step.
            assert_eq!(Subtrees::of_bytes(&tree.to_bytes()), tree);
            if n < 256 {
                tree.push(all[n]);
            }
        }
        for (height, index) in [(0, usize::MAX), (64, 0), (63, 1), (u32::MAX, 3), (8, 1), (8, 1 << 56)] {
            assert_eq!(tree.root(height, index), None, "{height} {index}");
        }
        assert_eq!(Subtrees::of_bytes(&tree.to_bytes()[..40]).to_bytes(), all[0].0);
    }
}
