//! Why an evidence file cannot be made; each message says what to do or what is wrong with the ledger.

use super::manifest::ManifestError;
use super::verify::{BlockFault, RecordFault};
use crate::base::limits::{MAX_EVIDENCE_BYTES, MAX_EVIDENCE_RECORDS};
use crate::chain::checkpoint::CheckpointError;
use crate::chain::proof::{ProofError, record_id};
use crate::chain::text::TextError;
use crate::event::error::EventError;
use crate::seal::open::OpenError;

/// Why evidence cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The proof does not hold.
    #[error("record {}: its proof does not hold: {source}", record_id(*.record))]
    Proof {
        /// The record.
        record: u64,
        /// What is wrong.
        source: ProofError,
    },
    /// A log proof inside cannot be read.
    #[error("record {}: its log proof cannot be read: {source}", record_id(*.record))]
    LogProof {
        /// The record.
        record: u64,
        /// What is wrong.
        source: TextError,
    },
    /// The checkpoint is not the ledger's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Proofs against two heads.
    #[error("record {}: its proof leads to another checkpoint than those before; make all proofs against one", record_id(*.record))]
    OtherCheckpoint {
        /// The record.
        record: u64,
    },
    /// The block does not hold.
    #[error("record {}: its block: {source}", record_id(*.record))]
    Block {
        /// The record.
        record: u64,
        /// What is wrong.
        source: BlockFault,
    },
    /// The record does not hold.
    #[error("record {}: {source}", record_id(*.record))]
    Record {
        /// The record.
        record: u64,
        /// What is wrong.
        source: RecordFault,
    },
    /// Something must be shown and there is nothing to show it from.
    #[error("record {}: its bytes and batch header are needed to show any of it", record_id(*.record))]
    NoContent {
        /// The record.
        record: u64,
    },
    /// Only hashes are there, and no order to erase.
    #[error(
        "record {}: only its hashes are left and no erasure in the ledger names it: it is missing, which is a fault of the ledger",
        record_id(*.record)
    )]
    Missing {
        /// The record.
        record: u64,
    },
    /// Single fields of a record that is gone.
    #[error("record {} was erased by order in block {block}: none of its fields can be shown", record_id(*.record))]
    Erased {
        /// The record.
        record: u64,
        /// Height of the block with the order.
        block: u64,
    },
    /// Single fields of a record sealed to others.
    #[error("record {} is not sealed to this identity: none of its fields can be shown", record_id(*.record))]
    NotForYou {
        /// The record.
        record: u64,
    },
    /// It does not open.
    #[error("record {}: {source}", record_id(*.record))]
    Open {
        /// The record.
        record: u64,
        /// What the opener said.
        source: OpenError,
    },
    /// It opens, and what is inside is no event.
    #[error("record {}: the writer sealed something that is no valid event: {source}", record_id(*.record))]
    Event {
        /// The record.
        record: u64,
        /// What is wrong.
        source: EventError,
    },
    /// No pointer was given, or the empty one.
    #[error(
        "name at least one field, such as /actor/user_id; to show the whole event use `audit export --opened`"
    )]
    NoPointer,
    /// The event has no such place.
    #[error("record {} has no field {pointer}; it has {there}", record_id(*.record))]
    NoSuchField {
        /// The record.
        record: u64,
        /// The pointer asked for.
        pointer: String,
        /// Pointers it does have.
        there: String,
    },
    /// The place, or part of it, is in a section sealed to others.
    #[error(
        "record {}: {pointer} lies in the section {section}, which is not sealed to this identity{}",
        record_id(*.record), if *.partly { " (not all of it: name the fields you may read one by one)" } else { "" }
    )]
    Withheld {
        /// The record.
        record: u64,
        /// The pointer asked for.
        pointer: String,
        /// Name of the section.
        section: String,
        /// Whether other parts of it could be shown.
        partly: bool,
    },
    /// A text that may not stand in the file.
    #[error("record {}: its note must be 1 to 1000 characters on one line", record_id(*.record))]
    Note {
        /// The record.
        record: u64,
    },
    /// The manifest's texts are not fit.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No record.
    #[error("nothing was selected: an evidence file needs at least one record")]
    Nothing,
    /// More than [`MAX_EVIDENCE_RECORDS`].
    #[error("more than {MAX_EVIDENCE_RECORDS} records; make several files, each of a part of the selection")]
    TooMany,
    /// Larger than [`MAX_EVIDENCE_BYTES`].
    #[error(
        "the file would be larger than {MAX_EVIDENCE_BYTES} bytes; make several files, each of a part of the selection"
    )]
    TooLarge,
}
