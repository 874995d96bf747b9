//! The index of the newest records, in memory: those that are in no run yet. It is made from the stored blocks when it is first
//! needed, and kept level by appends and erasures, so that a small append writes nothing to the index on disk.
//!
//! When enough records have come together they are cut off as a run. Where that happens follows from the blocks alone.

use std::ops::Range;
use std::sync::Arc;

use super::IndexShape;
use super::runs_codec::{Entry, entry, key_of, record_of};
use crate::base::record::LEAF_INPUTS_LEN;
use crate::store::BlockTag;

/// Sorted entries, in lists of which each is at least twice as long as the next.
type Pieces = Vec<Arc<Vec<Entry>>>;

/// Index entries of the records `from..to`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) from: u64,
    pub(super) to: u64,
    /// How many tags these records had when they were appended.
    tags: u64,
    /// The store's count of erasures when this was right.
    pub(super) erasures: u64,
    ciphertexts: Pieces,
    tagged: Pieces,
}

/// Entries of a stretch of records that become a run of each kind, sorted.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) ciphertexts: Vec<Entry>,
    pub(super) tags: Vec<Entry>,
}

/// The part of a ciphertext hash that is its key in the index.
pub(super) fn ciphertext_key(hash: &[u8]) -> u64 {
    hash.first_chunk().map_or(0, |k| u64::from(u32::from_be_bytes(*k)))
}

/// Index entries of consecutive records, from their leaf inputs.
pub(super) fn ciphertext_entries(first_record: u64, leaf_inputs: &[u8]) -> Vec<Entry> {
    let inputs = leaf_inputs.chunks_exact(LEAF_INPUTS_LEN);
    let mut out: Vec<Entry> =
        (first_record..).zip(inputs).map(|(r, i)| entry(ciphertext_key(i), r)).collect();
    out.sort_unstable();
    out
}

/// Index entries of a block's tags.
pub(super) fn tag_entries(first_record: u64, tags: &[BlockTag]) -> Vec<Entry> {
    let mut out: Vec<Entry> =
        tags.iter().map(|(tag, position)| entry(*tag, first_record + u64::from(*position))).collect();
    // They come sorted; then this only looks.
    out.sort();
    out
}

impl Tail {
    /// Nothing yet, from record `from` on.
    pub(super) fn at(from: u64, erasures: u64) -> Tail {
        Tail { from, to: from, erasures, ..Tail::default() }
    }

    /// Number of its records.
    pub(super) fn records(&self) -> u64 {
        self.to - self.from
    }

    /// Adds the records of the next block: their leaf inputs, the tags they have, and how many they once had.
    pub(super) fn push(&mut self, leaf_inputs: &[u8], tags: &[BlockTag], had: u64) {
        let first = self.to;
        self.to += (leaf_inputs.len() / LEAF_INPUTS_LEN) as u64;
        self.tags += had;
        add(&mut self.ciphertexts, ciphertext_entries(first, leaf_inputs));
        add(&mut self.tagged, tag_entries(first, tags));
    }

    /// Whether these records are to be cut off.
    pub(super) fn is_full(&self, shape: IndexShape) -> bool {
        self.records() >= u64::from(shape.segment_records) || self.tags >= u64::from(shape.segment_tags)
    }

    /// Takes out everything.
    pub(super) fn cut(&mut self) -> Cut {
        let tail = std::mem::replace(self, Tail::at(self.to, self.erasures));
        let (ciphertexts, tags) = (joined(&tail.ciphertexts), joined(&tail.tagged));
        Cut { first: tail.from, end: tail.to, ciphertexts, tags }
    }

    /// Forgets the records before `from`.
    pub(super) fn trim(&mut self, from: u64) {
        if from > self.from {
            self.retain(|e| record_of(e) >= from);
            // How many tags the rest had is not known. Only a store opened for reading does this, and it cuts nothing.
            (self.from, self.to, self.tags) = (from, self.to.max(from), 0);
        }
    }

    /// Forgets the tags of erased records.
    pub(super) fn erase(&mut self, records: &[Range<u64>]) {
        if records.iter().any(|r| r.end > self.from && r.start < self.to) {
            retain(&mut self.tagged, |e| !records.iter().any(|r| r.contains(&record_of(e))));
        }
    }

    fn retain(&mut self, keep: impl Fn(Entry) -> bool) {
        retain(&mut self.ciphertexts, &keep);
        retain(&mut self.tagged, &keep);
    }

    /// The records below `end` whose ciphertext hash has this key, ascending.
    pub(super) fn find_ciphertext(&self, key: u64, records: Range<u64>) -> Vec<u64> {
        find(&self.ciphertexts, key, records, usize::MAX)
    }

    /// The records among `records` with this tag, ascending: at most `limit`, and then the lowest ones.
    pub(super) fn find_tag(&self, tag: u64, records: Range<u64>, limit: usize) -> Vec<u64> {
        find(&self.tagged, tag, records, limit)
    }
}

fn add(pieces: &mut Pieces, mut new: Vec<Entry>) {
    if new.is_empty() {
        return;
    }
    while let Some(last) = pieces.last().filter(|last| last.len() < 2 * new.len()) {
        // The stable sort recognises sorted stretches and merges them.
        new.extend_from_slice(last);
        new.sort();
        pieces.pop();
    }
    pieces.push(Arc::new(new));
}

fn joined(pieces: &Pieces) -> Vec<Entry> {
    let mut all: Vec<Entry> = pieces.iter().flat_map(|p| p.iter().copied()).collect();
    all.sort();
    all
}

fn retain(pieces: &mut Pieces, keep: impl Fn(Entry) -> bool) {
    for piece in pieces.iter_mut().filter(|p| !p.iter().all(|e| keep(*e))) {
        *piece = Arc::new(piece.iter().copied().filter(|e| keep(*e)).collect());
    }
    pieces.retain(|p| !p.is_empty());
}

fn find(pieces: &Pieces, key: u64, records: Range<u64>, limit: usize) -> Vec<u64> {
    let bound = entry(key, records.start);
    let mut found = Vec::new();
    for piece in pieces {
        let below = piece.partition_point(|e| *e < bound);
        let equal =
            piece.iter().skip(below).take_while(|e| key_of(**e) == key && record_of(**e) < records.end);
        found.extend(equal.take(limit).map(|e| record_of(*e)));
    }
    found.sort_unstable();
    found.truncate(limit);
    found
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
