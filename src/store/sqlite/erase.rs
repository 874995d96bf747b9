//! Erasing records so that no byte of them stays in the file. The rules that make this hold are told where rows are
//! written: [`ChunkTable::overwrite`](super::chunks::ChunkTable::overwrite) for bodies, `runs.rs` for tags.

use std::ops::Range;

use rusqlite::Transaction;

use super::super::StoreError;
use super::super::check::{NO_REPLACEMENT, check_erase, check_replace};
use super::super::erase::erase_from_body;
use super::chunks::{BODIES, LEAVES};
use super::runs::{self, Entry, KIND_TAG};
use super::writer::{Writer, read_size};
use super::{block_info, block_of_record, body, key, tag_entries};

impl Writer {
    /// One durable transaction.
    pub(super) fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        self.repeatable(|tx| {
            let sql = |e| self.fault(&e);
            check_erase(read_size(tx).map_err(sql)?.1, records)?;
            let (mut count, mut freed) = (0, 0);
            let mut gone: Vec<Vec<Entry>> = Vec::new();
            for range in records {
                let mut next = range.start;
                while next < range.end {
                    let block = block_of_record(tx, next as i64).map_err(sql)?;
                    let block = block.ok_or_else(|| self.corrupt(format!("record {next} is in no block")))?;
                    let height = block.height as i64;
                    let here = next - block.first_record..range.end - block.first_record;
                    let old = body(tx, height).map_err(sql)?;
                    let leaves = LEAVES.read_all(tx, height).map_err(sql)?;
                    let erased = erase_from_body(&old, &leaves, |p| here.contains(&u64::from(p)))
                        .map_err(|e| self.corrupt(format!("body of block {height}: {e}")))?;
                    if erased.records > 0 {
                        BODIES.overwrite(tx, height, &erased.body).map_err(sql)?;
                        count += erased.records;
                        freed += old.len() - erased.body.len();
                        let mut entries = Vec::new();
                        tag_entries(block.first_record, &erased.tags, &mut entries);
                        gone.push(entries);
                    }
                    next = block.first_record + u64::from(block.records);
                }
            }
            runs::remove(tx, KIND_TAG, &gone).map_err(sql)?;
            count_freed(tx, freed).map_err(sql)?;
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

fn count_freed(tx: &Transaction<'_>, bytes: usize) -> Result<(), rusqlite::Error> {
    tx.prepare_cached("UPDATE head SET body_bytes = body_bytes - ?1")?.execute([bytes])?;
    Ok(())
}

#[cfg(test)]
#[path = "erase_tests.rs"]
mod tests;
