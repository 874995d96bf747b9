//! RFC 6962 tree hashes and the two verifications of RFC 9162. Every proof of the system is checked
//! here and nowhere else; building trees is [`super::tree`]'s and [`super::log`]'s.

use crate::base::hash::Hash;
use crate::base::limits::MAX_PATH_HASHES;
use crate::base::padded::Padded;

/// Why a Merkle proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// No such leaf in a tree of that size.
    #[error("index {index} is outside a tree of {size} leaves")]
    Index {
        /// The claimed index.
        index: u64,
        /// The tree size.
        size: u64,
    },
    /// The sizes cannot be an earlier and a later tree.
    #[error("a tree of {old} leaves cannot have grown to {new}")]
    Shrunk {
        /// The earlier size.
        old: u64,
        /// The later size.
        new: u64,
    },
    /// Too many or too few hashes for the sizes.
    #[error("the proof has the wrong number of hashes ({0}) for its index and tree size")]
    PathLength(usize),
    /// The hashes do not lead to the expected root.
    #[error("the proof does not lead to the {0} root: something in it was changed")]
    Root(&'static str),
}

/// `H(0x00 ‖ data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[0x00], data])
}

/// `H(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::node(left, right)
}

/// Records or nodes hashed side by side: enough to fill all lanes, few enough to stay in a core's cache.
pub(super) const TOGETHER: usize = 256;

/// Appends [`node_hash`] of each pair to `out`, several side by side. `messages` is memory to lay them out in, used again and again.
pub(super) fn node_hashes(pairs: &[[Hash; 2]], out: &mut Vec<Hash>, messages: &mut Padded) {
    let first = out.len();
    out.resize(first + pairs.len(), Hash::ZERO);
    let new = out.get_mut(first..).unwrap_or_default();
    for (pairs, nodes) in pairs.chunks(TOGETHER).zip(new.chunks_mut(TOGETHER)) {
        messages.truncate(0);
        pairs.iter().for_each(|[left, right]| messages.push_node(left, right));
        messages.digests_into(nodes);
    }
}

/// Root of the tree without leaves: `H("")`.
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// RFC 9162 §2.1.3.2, Verifying an Inclusion Proof. `leaf` is the leaf's hash, `path` starts at its
/// sibling. `size` and `root` must come from signed data.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: Hash,
) -> Result<(), MerkleError> {
    // 1. Compare leaf_index with tree_size. If leaf_index is greater than or equal, fail.
    if index >= size {
        return Err(MerkleError::Index { index, size });
    }
    check_length(path)?;
    // 2. Set fn to leaf_index and sn to tree_size - 1.
    let (mut node, mut last) = (index, size - 1);
    // 3. Set r to hash.
    let mut r = leaf;
    // 4. For each value p in the inclusion_path array:
    for p in path {
        // a. If sn is 0, then stop and fail.
        if last == 0 {
            return Err(MerkleError::PathLength(path.len()));
        }
        // b. If LSB(fn) is set, or if fn is equal to sn, then:
        if node & 1 == 1 || node == last {
            // i. Set r to HASH(0x01 || p || r).
            r = node_hash(p, &r);
            // ii. If LSB(fn) is not set, right-shift both until LSB(fn) is set or fn is 0.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            // Otherwise: set r to HASH(0x01 || r || p).
            r = node_hash(&r, p);
        }
        // c. Finally, right-shift both fn and sn one time.
        node >>= 1;
        last >>= 1;
    }
    // 5. Compare sn to 0 and r to the root hash.
    if last != 0 {
        return Err(MerkleError::PathLength(path.len()));
    }
    if r == root { Ok(()) } else { Err(MerkleError::Root("tree's")) }
}

/// RFC 9162 §2.1.4.2, Verifying Consistency between Two Tree Heads, with the two cases the RFC leaves
/// out: equal sizes need equal roots and an empty path, and every tree extends the empty one.
pub fn verify_consistency(
    old_size: u64,
    old_root: Hash,
    new_size: u64,
    new_root: Hash,
    path: &[Hash],
) -> Result<(), MerkleError> {
    if old_size > new_size {
        return Err(MerkleError::Shrunk { old: old_size, new: new_size });
    }
    check_length(path)?;
    let root_is = |found: Hash, expected: Hash, which| {
        if found == expected { Ok(()) } else { Err(MerkleError::Root(which)) }
    };
    if old_size == 0 || old_size == new_size {
        if !path.is_empty() {
            return Err(MerkleError::PathLength(path.len()));
        }
        if old_size == 0 {
            root_is(old_root, empty_root(), "earlier")?;
        }
        return if old_size == new_size { root_is(new_root, old_root, "later") } else { Ok(()) };
    }
    // 1. If consistency_path is an empty array, stop and fail.
    // 2. If first is an exact power of 2, then prepend first_hash to the consistency_path array.
    let (seed, rest) = match path.split_first() {
        None => return Err(MerkleError::PathLength(0)),
        Some(_) if old_size.is_power_of_two() => (old_root, path),
        Some((seed, rest)) => (*seed, rest),
    };
    // 3. Set fn to first - 1 and sn to second - 1.
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    // 4. If LSB(fn) is set, then right-shift both until LSB(fn) is not set.
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // 5. Set both fr and sr to the first value in the consistency_path array.
    let (mut fr, mut sr) = (seed, seed);
    // 6. For each subsequent value c in the consistency_path array:
    for c in rest {
        // a. If sn is 0, then stop and fail.
        if last == 0 {
            return Err(MerkleError::PathLength(path.len()));
        }
        // b. If LSB(fn) is set, or if fn is equal to sn, then:
        if node & 1 == 1 || node == last {
            // i., ii. Set fr to HASH(0x01 || c || fr) and sr to HASH(0x01 || c || sr).
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            // iii. If LSB(fn) is not set, right-shift both until LSB(fn) is set or fn is 0.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            // Otherwise: set sr to HASH(0x01 || sr || c).
            sr = node_hash(&sr, c);
        }
        // c. Finally, right-shift both fn and sn one time.
        node >>= 1;
        last >>= 1;
    }
    // 7. Verify that fr is first_hash, sr is second_hash and sn is 0.
    if last != 0 {
        return Err(MerkleError::PathLength(path.len()));
    }
    root_is(fr, old_root, "earlier")?;
    root_is(sr, new_root, "later")
}

/// No path of a real tree is longer than [`MAX_PATH_HASHES`] and the one seed hash of a consistency proof.
fn check_length(path: &[Hash]) -> Result<(), MerkleError> {
    if path.len() > MAX_PATH_HASHES { Err(MerkleError::PathLength(path.len())) } else { Ok(()) }
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
