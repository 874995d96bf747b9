//! Recomputing every index from the blocks.

use super::super::StoreError;
use super::super::tags::body_tags;
use super::chunks::LEAVES;
use super::runs::{self, Entry, KIND_CIPHERTEXT, KIND_TAG, KINDS, MERGE_MAX_ENTRIES};
use super::writer::{Writer, index_covers, read_size, set_index_covers};
use super::{block_of_record, body, ciphertext_entries, tag_entries};

impl Writer {
    /// In several transactions, or the log would grow by the size of the whole index. The first one says
    /// that the indexes are incomplete, the last that they are whole again; appends may come between.
    pub(super) fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        self.disposable(|tx| {
            tx.execute_batch("REINDEX block; REINDEX derived;")?;
            for kind in KINDS {
                runs::clear(tx, kind)?;
                set_index_covers(tx, kind, 0)?;
            }
            Ok(())
        })?;
        loop {
            let (covered, records) = self.disposable(|tx| {
                let (covered, records) = (index_covers(tx, KIND_CIPHERTEXT)?, read_size(tx)?.1);
                let (mut ciphertexts, mut tags): (Vec<Entry>, Vec<Entry>) = Default::default();
                let mut next = covered;
                while ciphertexts.len().max(tags.len()) < MERGE_MAX_ENTRIES && next < records {
                    let Some(block) = block_of_record(tx, next as i64)? else {
                        return Err(rusqlite::Error::QueryReturnedNoRows);
                    };
                    let leaves = LEAVES.read_all(tx, block.height as i64)?;
                    ciphertext_entries(block.first_record, &leaves, &mut ciphertexts);
                    let found = body_tags(&body(tx, block.height as i64)?).unwrap_or_default();
                    tag_entries(block.first_record, &found, &mut tags);
                    next = block.first_record + u64::from(block.records);
                }
                if covered + ciphertexts.len() as u64 != next {
                    return Err(rusqlite::Error::QueryReturnedNoRows);
                }
                for (kind, mut entries) in [(KIND_CIPHERTEXT, ciphertexts), (KIND_TAG, tags)] {
                    entries.sort_unstable();
                    runs::add_final(tx, kind, &entries)?;
                    set_index_covers(tx, kind, next)?;
                }
                Ok((next, records))
            })?;
            progress(covered, records);
            if covered == records {
                return Ok(());
            }
        }
    }
}
