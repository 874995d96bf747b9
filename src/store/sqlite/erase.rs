//! Erasing records so that no byte of them stays in the file. The rules that make this hold are told where rows are
//! written: [`ChunkTable::overwrite`](super::chunks::ChunkTable::overwrite) for bodies, `runs.rs` for tags.

use std::ops::Range;

use rusqlite::Transaction;

use super::super::StoreError;
use super::super::check::{NO_REPLACEMENT, check_erase, check_replace};
use super::super::erase::erase_from_body;
use super::blocks::{block_info, block_of_record, body, key};
use super::chunks::{BODIES, LEAVES};
use super::index;
use super::runs::{self, KIND_TAG};
use super::runs_codec::Entry;
use super::runs_merge;
use super::stored;
use super::tail::tag_entries;
use super::writer::{Writer, read_size};
use crate::base::wire::WireError;

impl Writer {
    /// One durable transaction.
    pub(super) fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        self.repeatable(|tx| {
            let sql = |e| self.fault(&e);
            check_erase(read_size(tx).map_err(sql)?.1, records)?;
            let mut freed = Freed::default();
            let mut count = 0;
            let mut gone: Vec<Entry> = Vec::new();
            for range in records {
                let mut next = range.start;
                while next < range.end {
                    let block = block_of_record(tx, next as i64).map_err(sql)?;
                    let block = block.ok_or_else(|| self.corrupt(format!("record {next} is in no block")))?;
                    let height = block.height as i64;
                    let here = next - block.first_record..range.end - block.first_record;
                    let leaves = LEAVES.read_all(tx, height).map_err(sql)?;
                    let old = body(tx, height, u64::from(block.records), Some(&leaves)).map_err(sql)?;
                    let erased = erase_from_body(&old, &leaves, |p| here.contains(&u64::from(p)))
                        .map_err(|e| self.corrupt(format!("body of block {height}: {e}")))?;
                    if erased.records > 0 {
                        let damaged = |e: WireError| self.corrupt(format!("body of block {height}: {e}"));
                        let before = stored::pack(&old, &leaves).map_err(damaged)?.len();
                        let after = stored::pack(&erased.body, &leaves).map_err(damaged)?;
                        BODIES.overwrite(tx, height, &after).map_err(sql)?;
                        count += erased.records;
                        freed.whole += old.len() - erased.body.len();
                        freed.stored += before.saturating_sub(after.len());
                        gone.extend(tag_entries(block.first_record, &erased.tags));
                    }
                    next = block.first_record + u64::from(block.records);
                }
            }
            gone.sort();
            runs_merge::delete_all_dead(tx).map_err(sql)?;
            runs::remove(tx, KIND_TAG, &gone).map_err(sql)?;
            if count > 0 {
                index::count_erasure(tx).map_err(sql)?;
                freed.count(tx).map_err(sql)?;
            }
            Ok(count)
        })
    }

    /// See [`Store::replace_body`](super::super::Store::replace_body).
    pub(super) fn replace_body(&self, height: u64, new: &[u8]) -> Result<(), StoreError> {
        self.repeatable(|tx| {
            let sql = |e| self.fault(&e);
            let height = key(height).unwrap_or(-1);
            let records = block_info(tx, height).map_err(sql)?.map(|b| b.records);
            let old = BODIES.read_all(tx, height).map_err(sql)?;
            if !records.is_some_and(|r| check_replace(r, old.len(), new)) {
                return Err(StoreError::Invalid { why: NO_REPLACEMENT.to_owned() });
            }
            BODIES.overwrite(tx, height, new).map_err(sql)
        })
    }
}

/// Bytes by which bodies got shorter: as they are read, and as they are stored.
#[derive(Default)]
struct Freed {
    whole: usize,
    stored: usize,
}

impl Freed {
    fn count(&self, tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let sql = "UPDATE head SET body_bytes = body_bytes - ?1, stored_body_bytes = stored_body_bytes - ?2";
        tx.prepare_cached(sql)?.execute([self.whole, self.stored]).map(drop)
    }
}

#[cfg(test)]
#[path = "erase_tests.rs"]
mod tests;
