//! Recomputing every index from the blocks.

use std::sync::PoisonError;

use super::super::StoreError;
use super::runs::{self, KIND_CIPHERTEXT, KIND_TAG};
use super::tail::Tail;
use super::{SqliteStore, index, runs_merge};

/// Entries merged by one transaction: appends wait for it.
const MERGE_ENTRIES: usize = 1 << 18;

impl SqliteStore {
    /// In many transactions, or the log would grow by the size of the whole index. The first one says that the index covers
    /// nothing; from then on it covers more and more. Appends may come between, erasures wait.
    pub(super) fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let writer = self.writer()?;
        let _only = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut pace = self.index.lock();
            writer.disposable(|tx| {
                tx.execute_batch("REINDEX block; REINDEX derived;")?;
                runs_merge::drop_all(tx)?;
                // What a damaged list of runs left behind would be in the way, and holds tags that no erasure would find.
                runs_merge::delete_orphans(tx)?;
                index::restart(tx)
            })?;
            self.index.set_tail(None);
            pace.restart();
        }
        loop {
            // Read beside the appends; written only if none of them did the same meanwhile.
            let (state, mut tail) = self.pool.read(|tx| {
                let state = index::state(tx)?;
                let mut tail = Tail::at(state.covered, state.erasures);
                index::extend(tx, state, &mut tail)?;
                Ok((state, tail))
            })?;
            if !tail.is_full(state.shape) {
                progress(state.records, state.records);
                break;
            }
            let cut = tail.cut();
            let _pace = self.index.lock();
            writer.disposable(|tx| {
                if index::state(tx)?.covered == cut.first {
                    runs::add(tx, KIND_CIPHERTEXT, cut.first, cut.end, &cut.ciphertexts)?;
                    runs::add(tx, KIND_TAG, cut.first, cut.end, &cut.tags)?;
                    index::set_covered(tx, cut.end)?;
                }
                Ok(())
            })?;
            self.index.set_tail(None);
            progress(cut.end.min(state.records), state.records);
        }
        while self.merge_step(MERGE_ENTRIES)? > 0 {}
        Ok(())
    }

    /// One step of merging in a transaction of its own; 0 if there is nothing to do.
    pub(super) fn merge_step(&self, entries: usize) -> Result<usize, StoreError> {
        self.writer()?.disposable(|tx| {
            let fanout = index::state(tx)?.shape.fanout as usize;
            runs_merge::step(tx, fanout, entries)
        })
    }
}
