//! Why an evidence file does not hold; each message names the part and what is wrong with it.

use super::manifest::ManifestError;
use super::section::SectionError;
use crate::base::limits::{MAX_EVIDENCE_BYTES, MAX_EVIDENCE_RECORDS};
use crate::base::wire::WireError;
use crate::chain::block::BlockError;
use crate::chain::checkpoint::CheckpointError;
use crate::chain::merkle::MerkleError;
use crate::chain::policy::PolicyError;
use crate::chain::proof::record_id;

/// Why an evidence file does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Larger than [`MAX_EVIDENCE_BYTES`].
    #[error("the evidence file is larger than {MAX_EVIDENCE_BYTES} bytes")]
    TooLarge,
    /// Not the JSON object an evidence file is.
    #[error("not an evidence file: {0}")]
    Json(String),
    /// A member's value is not in its one form.
    #[error("not an evidence file: {place}: the value of \"{member}\" is not valid")]
    Member {
        /// Where.
        place: String,
        /// The member.
        member: &'static str,
    },
    /// None, or too many.
    #[error("an evidence file has 1 to {MAX_EVIDENCE_RECORDS} records")]
    RecordCount,
    /// The manifest cannot be read or is not signed as it says.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// File, manifest and key are not about one ledger.
    #[error("{what} is for the ledger {found}, the key belongs to {expected}")]
    Ledger {
        /// The part of the file.
        what: &'static str,
        /// Name of the key.
        expected: String,
        /// What the part says.
        found: String,
    },
    /// The checkpoint is not the ledger's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The manifest is about another checkpoint.
    #[error("the checkpoint is not the one the manifest was made for: parts of two files were put together")]
    OtherCheckpoint,
    /// The witness policy is not met.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Not signed, though a signer was asked for.
    #[error("the manifest is not signed, and --signer asks for a signature by {0}")]
    Unsigned(String),
    /// Signed by another key than asked for.
    #[error("the manifest is signed by {found}, not by {expected}")]
    OtherSigner {
        /// The key asked for.
        expected: String,
        /// The key that signed.
        found: String,
    },
    /// Records were added or taken out.
    #[error(
        "the manifest was made for {manifest} records, the file has {found}: records were added or taken out"
    )]
    Records {
        /// As the manifest says.
        manifest: u64,
        /// As there are.
        found: u64,
    },
    /// A block does not hold.
    #[error("block {place} of the file: {fault}")]
    Block {
        /// Its place in the file, from 0.
        place: usize,
        /// What is wrong.
        fault: BlockFault,
    },
    /// A record does not hold.
    #[error("record {}: {fault}", record_id(*.record))]
    Record {
        /// Its index in the ledger.
        record: u64,
        /// What is wrong.
        fault: RecordFault,
    },
    /// All parts hold, but are not those the manifest was made for.
    #[error(
        "every part holds by itself, but together they are not what the manifest was made for: a part was exchanged, or a part that \
         no proof covers was changed"
    )]
    Contents,
}

/// What is wrong with a block of an evidence file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Block(#[from] BlockError),
    /// The blocks do not ascend.
    #[error("its height {0} is not above that of the block before it in the file")]
    Order(u64),
    /// It is not in the log.
    #[error("it is not in the ledger's log: {0}")]
    Inclusion(MerkleError),
    /// It carries a statement that proves nothing about records.
    #[error("it carries neither records nor an erasure")]
    Kind,
    /// Its statement is for another ledger.
    #[error("its statement is for the ledger {0}")]
    Ledger(String),
    /// More than a writer's one signature.
    #[error("its statement has more than one signature line; a writer's has exactly one")]
    Signatures,
    /// None of the given writers signed it.
    #[error(
        "it was sealed by {0}, who is not one of the writers whose keys were given, or the signature does not verify"
    )]
    Writer(String),
    /// A header where none belongs, or none where one does.
    #[error("a batch header must be there exactly if a record of the block is opened")]
    Header,
    /// The header is not the writer's.
    #[error("its batch header is not the one the writer signed")]
    OtherHeader,
    /// The header cannot be read.
    #[error("its batch header cannot be read: {0}")]
    HeaderForm(WireError),
    /// No record is in it.
    #[error("no record of the file needs it")]
    Unused,
}

/// What is wrong with a record of an evidence file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The records do not ascend.
    #[error("it is out of order or there twice: it follows {}", record_id(*.after))]
    Order {
        /// The one before it in the file.
        after: u64,
    },
    /// No block of that number, or one of another kind.
    #[error("the file has no block of {0} at the place it names")]
    NoBlock(&'static str),
    /// It is opened, and its block's section names are missing.
    #[error("it is opened, and its block comes without the batch header that this needs")]
    NoHeader,
    /// The block holds others.
    #[error("it is not in the block it names, which holds {records} records from {first}")]
    Range {
        /// First record of the block.
        first: u64,
        /// How many it holds.
        records: u64,
    },
    /// It is not in the block.
    #[error("it is not the record the block holds: {0}")]
    Inclusion(MerkleError),
    /// It is both.
    #[error("it cannot be erased and opened")]
    ErasedAndOpened,
    /// The erasure is about other records.
    #[error("the erasure it names does not name it, or is older than the record")]
    NotErased,
    /// What is shown does not hold.
    #[error(transparent)]
    Shown(#[from] SectionError),
}
