//! Recomputing every index from the blocks.

use super::super::StoreError;
use super::chunks::LEAVES;
use super::runs::{self, KIND_CIPHERTEXT, MERGE_MAX_ENTRIES};
use super::writer::{Writer, index_covers, read_size, set_index_covers};
use super::{block_of_record, ciphertext_entries};

impl Writer {
    /// In several transactions, or the log would grow by the size of the whole index. The first one says
    /// that the index is incomplete, the last that it is whole again; appends may come between.
    pub(super) fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        self.disposable(|tx| {
            tx.execute_batch("REINDEX block; REINDEX derived;")?;
            runs::clear(tx, KIND_CIPHERTEXT)?;
            set_index_covers(tx, 0)
        })?;
        loop {
            let (covered, records) = self.disposable(|tx| {
                let (covered, records) = (index_covers(tx)?, read_size(tx)?.1);
                let mut entries = Vec::new();
                let mut next = covered;
                while entries.len() < MERGE_MAX_ENTRIES && next < records {
                    let Some(block) = block_of_record(tx, next as i64)? else {
                        return Err(rusqlite::Error::QueryReturnedNoRows);
                    };
                    let leaves = LEAVES.read_all(tx, block.height as i64)?;
                    ciphertext_entries(block.first_record, &leaves, &mut entries);
                    next = block.first_record + u64::from(block.records);
                }
                if covered + entries.len() as u64 != next {
                    return Err(rusqlite::Error::QueryReturnedNoRows);
                }
                entries.sort_unstable();
                runs::add_final(tx, KIND_CIPHERTEXT, &entries)?;
                set_index_covers(tx, next)?;
                Ok((next, records))
            })?;
            progress(covered, records);
            if covered == records {
                return Ok(());
            }
        }
    }
}
