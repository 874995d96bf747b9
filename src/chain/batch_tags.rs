//! The sorted tags of a batch and the root over them, `docs/FORMAT.md` §3.

use super::batch::root_of;
use crate::base::hash::Hash;
use crate::base::record::TAG_LEN;
use crate::base::sha256_wide::{Message, hash_each};

const TAGS_PREFIX: &[u8] = b"\0sealtrail.org/tags/v1\n";
/// Entries of one tags leaf.
const TAGS_PER_LEAF: usize = 64;
/// `tag[8] ‖ u32(position)`.
const TAG_ENTRY_LEN: usize = TAG_LEN + 4;
/// From this many tags on, spreading them into buckets before sorting is worth it.
const MIN_SPREAD: usize = 256;
/// Most leading bits of a tag that tell buckets apart: as many counters as fit the first cache of a core.
const MAX_SPREAD_BITS: u32 = 12;

/// Sorts by tag and then position, as `tag[8] ‖ u32(position)` sorts as bytes. Tags are spread evenly unless somebody searched for
/// ones that are not, so one pass by their leading bits leaves little to sort; the general sort does the rest, however they are.
pub(super) fn sort_tags(entries: &mut Vec<(u64, u32)>, sorted: &mut Vec<(u64, u32)>) {
    if entries.len() < MIN_SPREAD {
        return entries.sort_unstable();
    }
    // About four entries for each bucket.
    let bits = (entries.len().ilog2() - 2).min(MAX_SPREAD_BITS);
    let bucket = |tag: u64| (tag >> (u64::BITS - bits)) as usize;
    // Where each bucket's next entry goes; at first, after counting, where it begins.
    let mut next = vec![0u32; 1 << bits];
    for (tag, _) in entries.iter() {
        next[bucket(*tag)] += 1;
    }
    let mut begin = 0;
    for n in &mut next {
        begin += std::mem::replace(n, begin);
    }
    sorted.resize(entries.len(), (0, 0));
    for (tag, position) in entries.iter() {
        let at = &mut next[bucket(*tag)];
        sorted[*at as usize] = (*tag, *position);
        *at += 1;
    }
    let mut begin = 0;
    for end in next {
        sorted[begin..end as usize].sort_unstable();
        begin = end as usize;
    }
    std::mem::swap(entries, sorted);
}

/// `docs/FORMAT.md` §3, tags_root, over sorted entries.
pub(super) fn tags_root(entries: &[(u64, u32)]) -> Hash {
    let mut bytes = Vec::with_capacity(entries.len() * TAG_ENTRY_LEN);
    for (tag, position) in entries {
        bytes.extend_from_slice(&tag.to_be_bytes());
        bytes.extend_from_slice(&position.to_be_bytes());
    }
    let leaves: Vec<Message<'_>> =
        bytes.chunks(TAGS_PER_LEAF * TAG_ENTRY_LEN).map(|chunk| [TAGS_PREFIX, chunk, &[], &[]]).collect();
    let mut hashes = vec![Hash::ZERO; leaves.len()];
    hash_each(&leaves, &mut hashes);
    root_of(hashes)
}
