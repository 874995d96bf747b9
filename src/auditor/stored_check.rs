//! One stored batch, in a whole verification: its permanent leaf inputs must have the signed root, and its stored bytes must hash to
//! them. If the source can be read by several threads, each hashes a body while it is read, in memory it keeps for the next one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::limits::MAX_STREAM_TAGS;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use crate::chain::authority::RecordRange;
use crate::chain::batch::{self, BatchCommitment, PieceHasher};
use crate::chain::recipient::recipient_text;

use super::batch_check::{Batch, BatchFault};
use super::source::Blocks;
use super::verify::{VerifyError, wrong};

/// A batch with what is kept of it for proofs.
pub(super) struct Stored {
    /// Its body is empty if it is read here.
    pub(super) batch: Batch,
    /// Leaf inputs; empty if they are read here.
    pub(super) kept: Vec<u8>,
    /// Whether the source gives bodies.
    pub(super) with_body: bool,
    /// Where to read it.
    pub(super) shared: Option<Arc<dyn Blocks>>,
}

/// A batch that holds.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) height: u64,
    pub(super) rehashed: u64,
    /// 1 if it was not hashed while it was read.
    pub(super) read_again: u64,
    pub(super) bytes: u64,
    pub(super) erased: Vec<RecordRange>,
    /// Recipients outside the roster.
    pub(super) outsiders: Vec<String>,
}

pub(super) type CheckedBatch = Result<Checked, VerifyError>;

/// Memory of those who check.
#[derive(Default)]
pub(super) struct Room {
    /// Not in use: for each thread at most one.
    idle: Mutex<Vec<Buffers>>,
    /// Held while a batch that was read here is in memory whole: it may be as large as batches get.
    whole: Mutex<()>,
}

/// What a thread reads into.
#[derive(Default)]
struct Buffers {
    kept: Vec<u8>,
    /// The part of a body that is not hashed yet.
    body: Vec<u8>,
    hasher: PieceHasher,
}

impl Stored {
    /// Leaf inputs and body must be what was signed.
    pub(super) fn check(mut self, room: &Room) -> CheckedBatch {
        let Some(shared) = self.shared.take() else { return self.check_whole() };
        if let Some(checked) = self.check_streamed(&*shared, room) {
            return Ok(checked);
        }
        // Once more, in peace, to say what is wrong. Or it is only unusual.
        let _alone = room.whole.lock().unwrap_or_else(PoisonError::into_inner);
        self.kept = shared.leaf_inputs(self.batch.height)?;
        self.batch.body = shared.body(self.batch.height)?;
        Ok(Checked { read_again: 1, ..self.check_whole()? })
    }

    /// Reads and hashes at the same time. `None` unless everything holds.
    fn check_streamed(&self, shared: &dyn Blocks, room: &Room) -> Option<Checked> {
        let idle = room.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffers = idle.unwrap_or_default();
        let Buffers { kept, body, hasher } = &mut buffers;
        body.clear();
        hasher.start();
        let mut each = |body: &mut Vec<u8>| hasher.absorb(body).is_ok() && hasher.tags() <= MAX_STREAM_TAGS;
        if !shared.stream(self.batch.height, kept, body, &mut each).ok()? {
            return None;
        }
        let found = hasher.finish(body).ok()?;
        let (kept, rest) = kept.as_chunks::<LEAF_INPUTS_LEN>();
        if !rest.is_empty() || !same_inputs(&found, kept) {
            return None;
        }
        self.batch.check_signed(&found).ok()?;
        let first = self.batch.first_record;
        let mut erased = Vec::new();
        for record in hasher.erased().iter().map(|position| first + u64::from(*position)) {
            RecordRange { first: record, last: record }.append_to(&mut erased);
        }
        let checked = self.checked(&found, erased);
        hasher.recycle(found);
        room.idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
        Some(checked)
    }

    fn check_whole(self) -> CheckedBatch {
        let (height, statement) = (self.batch.height, self.batch.statement());
        let (kept, rest) = self.kept.as_chunks::<LEAF_INPUTS_LEN>();
        if !rest.is_empty() {
            return Err(wrong(height, None, "its leaf inputs are cut short"));
        }
        if !self.with_body {
            return match self.kept_fits(kept) {
                true => Ok(Checked { height, ..Checked::default() }),
                false => {
                    Err(wrong(height, None, "its leaf inputs do not have the root that the writer signed"))
                }
            };
        }
        let found = self.batch.hash().map_err(|e| fault(height, e))?;
        let same = same_inputs(&found, kept);
        // The hashes that make the root are the same, so the root is.
        let kept_fits = match same {
            true => found.records_root == statement.records_root && kept.len() as u64 == statement.records,
            false => self.kept_fits(kept),
        };
        for ((record, now), then) in (self.batch.first_record..).zip(&found.leaf_inputs).zip(kept) {
            if same {
                break;
            }
            let Ok(then) = LeafInputs::from_bytes(then) else { continue };
            if *now != then {
                return Err(if kept_fits {
                    wrong(height, record, difference(now, &then))
                } else {
                    wrong(
                        height,
                        record,
                        "its leaf inputs, kept for proofs, are not those of its stored bytes",
                    )
                });
            }
        }
        if !kept_fits {
            return Err(wrong(
                height,
                None,
                "its leaf inputs, kept for proofs, do not have the root that the writer signed",
            ));
        }
        let erased = self.batch.check(&found).map_err(|e| fault(height, e))?;
        Ok(self.checked(&found, erased))
    }

    fn checked(&self, found: &BatchCommitment, erased: Vec<RecordRange>) -> Checked {
        let (height, statement) = (self.batch.height, self.batch.statement());
        let mut outsiders = Vec::new();
        for reader in &found.header.readers {
            let recipient = reader.public_key.as_slice().try_into().ok().and_then(recipient_text);
            let recipient = recipient.unwrap_or_else(|| format!("a key of KEM {:#06x}", reader.kem));
            if self.batch.roster().is_none_or(|r| r.reader_by_recipient(&recipient).is_none()) {
                outsiders.push(recipient);
            }
        }
        let rehashed = statement.records - found.erased;
        Checked { height, rehashed, read_again: 0, bytes: found.bytes, erased, outsiders }
    }

    fn kept_fits(&self, kept: &[[u8; LEAF_INPUTS_LEN]]) -> bool {
        let statement = self.batch.statement();
        let inputs: Result<Vec<LeafInputs>, _> = kept.iter().map(|b| LeafInputs::from_bytes(b)).collect();
        kept.len() as u64 == statement.records
            && inputs.is_ok_and(|inputs| batch::records_root(&inputs) == statement.records_root)
    }
}

/// Whether the leaf inputs kept are those of the body.
fn same_inputs(found: &BatchCommitment, kept: &[[u8; LEAF_INPUTS_LEN]]) -> bool {
    let differs = |(now, then): (&LeafInputs, &[u8; LEAF_INPUTS_LEN])| now.to_bytes() != *then;
    found.leaf_inputs.len() == kept.len() && !found.leaf_inputs.iter().zip(kept).any(differs)
}

fn fault(height: u64, fault: BatchFault) -> VerifyError {
    wrong(height, None, fault.to_string())
}

/// Which part of a record was changed.
fn difference(now: &LeafInputs, then: &LeafInputs) -> String {
    let mut parts = Vec::new();
    if now.ciphertext_hash != then.ciphertext_hash {
        parts.push("the ciphertext");
    }
    if now.envelope_hash != then.envelope_hash {
        parts.push("the envelope (key slots, commitments or tags)");
    }
    if now.disclosure_root != then.disclosure_root {
        parts.push("the root of the field commitments");
    }
    format!(
        "{} stored here is not what the writer signed: it was changed after it was committed",
        parts.join(" and ")
    )
}

#[cfg(test)]
#[path = "stored_check_tests.rs"]
mod tests;
