//! What a stored ledger says of all its blocks together: checkpoint, state, last-signed file, erasures, and how many values are derived.

use std::path::Path;

use super::{Part, Walk, damaged_as_none};
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::ledger::erase::noted;
use crate::ledger::recover::open_state;
use crate::store::{StoreError, mark};

impl Walk<'_> {
    /// Checkpoint and state of the head.
    pub(super) fn head(
        &mut self,
        checkpoint: &[u8],
        state: &[u8],
        key: &VerifierKey,
    ) -> Result<(), StoreError> {
        let text = String::from_utf8_lossy(checkpoint).into_owned();
        match SignedCheckpoint::parse(&text, key) {
            Err(e) => self.fault(Part::Checkpoint, None, None, e.to_string()),
            Ok(signed) => {
                let checkpoint = signed.checkpoint();
                if self.proved && (checkpoint.size != self.log.size() || checkpoint.root != self.log.root()) {
                    let what = format!(
                        "it signs {} blocks with another root than the {} blocks have that are here",
                        checkpoint.size,
                        self.log.size()
                    );
                    self.fault(Part::Checkpoint, None, None, what);
                }
            }
        }
        let Some(replayed) = self.chain.as_ref().filter(|_| self.proved) else { return Ok(()) };
        let right = replayed.encode();
        // One that is not signed is not believed at a start, and that is all.
        let is_right = match open_state(state, &text, key) {
            Some(opened) => opened.encode() == right,
            None => state == right,
        };
        if !is_right {
            self.fault(Part::State, None, None, "it is not what the blocks give, or not signed");
        }
        self.found.state = Some(right);
        Ok(())
    }

    pub(super) fn last_signed(&mut self, guard: &Path, key: &VerifierKey) -> Result<(), StoreError> {
        let size = self.log.size();
        match self.signed.iter().map(|c| c.size).max() {
            Some(signed) if signed > size => {
                let last = match signed - size {
                    1 => "the last one is lost".to_owned(),
                    lost => format!("the last {lost} are lost"),
                };
                let what =
                    format!("by it the ledger has signed {signed} blocks, and {size} are here: {last}");
                self.fault(Part::LastSigned, None, None, what);
            }
            Some(_) => {}
            None if guard.exists() => {
                let what = format!("{} holds no checkpoint signed by {}", guard.display(), key.name());
                self.fault(Part::LastSigned, None, None, what);
            }
            None => {
                let what = format!(
                    "there is no {}: a ledger that was rolled back could not be told",
                    guard.display()
                );
                self.fault(Part::LastSigned, None, None, what);
            }
        }
        Ok(())
    }

    /// What is gone must have been ordered to go; what is noted as carried out must be gone; and no derived value is there that
    /// belongs to nothing.
    pub(super) fn bookkeeping(&mut self) -> Result<(), StoreError> {
        let ordered = |orders: &[ErasureStatement]| {
            RecordRange::normalise(orders.iter().flat_map(|o| o.records.iter().copied()).collect())
        };
        let erased = RecordRange::normalise(std::mem::take(&mut self.erased));
        for range in RecordRange::without(&erased, &ordered(&self.orders)) {
            self.fault(
                Part::Body,
                None,
                Some(range),
                "their content is missing and no erasure statement orders that",
            );
        }
        let done = noted(self.store).or_else(damaged_as_none)?;
        if self.chain.as_ref().is_some_and(|state| done > state.authority().next_sequence) {
            let what = "more orders are noted as carried out than there are statements";
            self.fault(Part::Erasures, None, None, what);
        }
        let carried: Vec<_> = self.orders.iter().filter(|o| o.sequence < done).cloned().collect();
        let unreadable = self.found.faults.iter().any(|f| f.part == Part::Body && f.block.is_some());
        if !unreadable {
            for range in RecordRange::without(&ordered(&carried), &erased) {
                let what = "their erasure is noted as carried out, and their content is still here";
                self.fault(Part::Erasures, None, Some(range), what);
            }
        }
        let all = ordered(&self.orders);
        let carried = ordered(&carried);
        let roster = self.chain.as_ref().and_then(|state| state.shared_roster());
        for granted in std::mem::take(&mut self.grants) {
            // A copy that a server gave lacks the slots of readers who have left.
            let reads = roster.as_ref().is_none_or(|r| r.reader_by_recipient(&granted.to).is_some());
            for range in RecordRange::without(&granted.gone, &all).into_iter().filter(|_| reads) {
                self.fault(
                    Part::Body,
                    granted.height,
                    Some(range),
                    "slots are missing in this grant that nobody ordered to erase",
                );
            }
            let here = |range: &&RecordRange| granted.here.iter().any(|h| h.first_common(range).is_some());
            if let Some(range) = carried.iter().find(here) {
                let what = "their erasure is noted as carried out, and slots of this grant are still here";
                self.fault(Part::Erasures, granted.height, Some(*range), what);
            }
        }
        if !self.headers_known || self.chain.is_none() || !self.proved {
            return Ok(());
        }
        for (key, value) in std::mem::take(&mut self.epochs) {
            self.derived(key, value)?;
        }
        for key in mark::ALL {
            self.rows += u64::from(self.store.derived(key).or_else(damaged_as_none)?.is_some());
        }
        let missing = self.found.derived.len() as u64;
        let there = self.store.stats().map(|s| s.derived_rows).or_else(damaged_as_none)?;
        if missing == 0 && there > self.rows {
            let what = format!("{} values belong to nothing", there - self.rows);
            self.fault(Part::Leftover, None, None, what);
        }
        Ok(())
    }
}
