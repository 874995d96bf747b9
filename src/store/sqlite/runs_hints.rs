//! Where chunks of runs begin, as far as look-ups have seen: in memory, a few dozen bytes for each chunk of 16 KB.
//!
//! A key's place in a run can be guessed from its value, but for tags badly: few values make up most of the entries. What look-ups
//! have seen makes the guess right, so that one reads a single chunk of each run. It is only ever a guess: runs are
//! merged, deleted and made anew by others, and whoever guesses wrong merely reads more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runs::{KIND_TAG, Run};
use super::runs_codec::{Entry, key_of};
use crate::base::limits::MAX_INDEX_HINTS;

/// First entries of chunks, by run.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Number of hints in all runs.
    count: usize,
    runs: HashMap<i64, BTreeMap<Entry, i64>>,
}

impl Hints {
    /// The chunk of a run in which `bound` probably begins.
    pub(super) fn guess(&self, run: &Run, bound: Entry) -> i64 {
        let bits = if run.kind == KIND_TAG { 64 } else { 32 };
        let (mut low, mut high) = ((0, run.start), (1u128 << bits, run.chunks));
        if let Some(hints) = self.lock().runs.get(&run.id) {
            let hint = |(e, chunk): (&Entry, &i64)| (u128::from(key_of(*e)), *chunk);
            low = hints.range(..=bound).next_back().map_or(low, hint);
            high = hints.range(bound.saturating_add(1)..).next().map_or(high, hint);
        }
        // Between the two, by the value.
        let chunks = high.1.saturating_sub(low.1).max(0) as u128;
        let part =
            u128::from(key_of(bound)).saturating_sub(low.0) * chunks / high.0.saturating_sub(low.0).max(1);
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        low.1.saturating_add(part).min(high.1.saturating_sub(1)).max(low.1)
    }

    /// Remembers the first entry of a chunk.
    pub(super) fn note(&self, run: &Run, chunk: i64, first: Entry) {
        let mut known = self.lock();
        if known.count >= MAX_INDEX_HINTS {
            *known = Known::default();
        }
        if known.runs.entry(run.id).or_default().insert(first, chunk).is_none() {
            known.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::KIND_CIPHERTEXT;
    use super::super::runs_codec::entry;
    use super::*;

    fn run(id: i64, start: i64, chunks: i64) -> Run {
        Run { id, kind: KIND_CIPHERTEXT, tier: 0, first: 0, end: 9, start, chunks, live: chunks, done: true }
    }

    #[test]
    fn guesses_come_from_the_value_and_then_from_what_was_seen() {
        let (hints, one) = (Hints::default(), run(1, 0, 100));
        let quarter = entry(1 << 30, 0);
        assert_eq!(hints.guess(&one, quarter), 25);
        assert_eq!(hints.guess(&one, entry(u64::from(u32::MAX), 5)), 99);
        hints.note(&one, 60, entry(1 << 29, 0));
        assert!((60..100).contains(&hints.guess(&one, quarter)));
        hints.note(&one, 61, entry((1 << 30) + 1, 0));
        assert_eq!(hints.guess(&one, quarter), 60);
        assert_eq!(hints.guess(&one, entry((1 << 30) + 1, 0)), 61);
        assert_eq!(hints.guess(&run(2, 0, 100), quarter), 25, "of another run");
    }

    #[test]
    fn hints_that_make_no_sense_do_no_harm_and_their_number_is_bounded() {
        let (hints, one) = (Hints::default(), run(1, 3, 5));
        hints.note(&one, i64::MAX, 7);
        hints.note(&one, i64::MIN, Entry::MAX);
        for bound in [0, 7, entry(9, 9), Entry::MAX] {
            hints.guess(&one, bound);
        }
        for chunk in 0..2 * MAX_INDEX_HINTS as i64 {
            hints.note(&one, chunk, entry(chunk as u64, 0));
        }
        let known = hints.lock();
        assert!(known.count <= MAX_INDEX_HINTS);
        assert_eq!(known.count, known.runs.values().map(BTreeMap::len).sum::<usize>());
    }
}
