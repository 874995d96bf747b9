//! The proof file: that a record is in the ledger, from one file and the ledger's public key.
//! `docs/FORMAT.md` §10.

use serde::{Deserialize, Serialize};

use super::batch::leaf_inputs_of;
use super::block::{Block, BlockError};
use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::key::VerifierKey;
use super::merkle::{MerkleError, verify_inclusion};
use super::text::{TextError, parse_number};
use super::tlog_proof::TlogProof;
use super::verifier::ProofVerifier;
use crate::base::bounded::HashPath;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::MAX_PROOF_BYTES;
use crate::base::record::LeafInputs;
use crate::base::wire::WireError;

/// Value of the member `format`.
const FORMAT: &str = "sealtrail.org/proof/v1";
/// What a record's readable name starts with.
const ID_PREFIX: &str = "EVT-";

/// Why a proof does not hold. Every message names the step that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Larger than [`MAX_PROOF_BYTES`].
    #[error("the proof file is larger than {MAX_PROOF_BYTES} bytes")]
    TooLarge,
    /// Not the JSON object a proof file is.
    #[error("not a proof file: {0}")]
    Json(String),
    /// A member's value is not in its one form.
    #[error("not a proof file: the value of \"{0}\" is not valid")]
    Member(&'static str),
    /// The log proof inside cannot be read.
    #[error("the log proof cannot be read: {0}")]
    LogProof(TextError),
    /// The checkpoint is not the ledger's.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The file is about another ledger than the key.
    #[error("the proof is for the ledger {found}, the key belongs to {expected}")]
    Ledger {
        /// Name of the key.
        expected: String,
        /// What the file or the statement in it says.
        found: String,
    },
    /// The block inside cannot be read.
    #[error("the block in the proof cannot be read: {0}")]
    Block(#[from] BlockError),
    /// Block and log proof are about different heights.
    #[error("the block has the height {block}, the log proof is for {log}")]
    Height {
        /// The block's own.
        block: u64,
        /// Index of the log proof.
        log: u64,
    },
    /// The block is not in the log.
    #[error("the block is not in the ledger's log: {0}")]
    BlockInclusion(MerkleError),
    /// The block's statement holds no records.
    #[error("the block carries no records statement")]
    NoRecords,
    /// A writer's statement with more than its one signature line.
    #[error("the block's statement has more than one signature line; a writer's has exactly one")]
    Signatures,
    /// The block's records are others.
    #[error("record {record} is not in this block, which holds {records} records from {first}")]
    Range {
        /// The record the proof is for.
        record: u64,
        /// First record of the block.
        first: u64,
        /// How many it holds.
        records: u64,
    },
    /// The record is not in the block.
    #[error("the record is not in the block: {0}")]
    RecordInclusion(MerkleError),
    /// The given writer key did not sign the statement.
    #[error("the statement is signed by {found}, not with the given key of {expected}")]
    Writer {
        /// Name of the given key.
        expected: String,
        /// Name on the signature line.
        found: String,
    },
    /// The record's bytes cannot be read.
    #[error("the record cannot be read: {0}")]
    Record(WireError),
    /// The record's bytes are not those the proof is about.
    #[error("the record is not the one of the proof: its {0} differs")]
    OtherRecord(&'static str),
}

/// Prints a record's name for people: `EVT-` and the index with at least 8 digits.
pub struct RecordId(pub u64);

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{ID_PREFIX}{:08}", self.0)
    }
}

/// A record's name for people.
pub fn record_id(index: u64) -> String {
    RecordId(index).to_string()
}

/// Inverse of [`record_id`]; takes no other spelling.
pub fn parse_record_id(id: &str) -> Option<u64> {
    let digits = id.strip_prefix(ID_PREFIX)?;
    let significant = digits.trim_start_matches('0');
    let index = parse_number(if significant.is_empty() { "0" } else { significant })?;
    (record_id(index) == id).then_some(index)
}

/// A record's index as people name it: the index itself, or its id.
pub fn parse_record(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    parse_record_id(text).or_else(|| if digits { text.parse().ok() } else { None })
}

/// The file's members, as JSON has them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    format: String,
    ledger: String,
    record: u64,
    id: String,
    ciphertext_sha256: String,
    envelope_hash: String,
    disclosure_root: String,
    record_path: HashPath,
    block: String,
    log_proof: String,
}

/// A proof file, read but not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The origin.
    pub ledger: String,
    /// Index of the record in the ledger.
    pub record: u64,
    /// What the record's leaf is made of.
    pub leaf_inputs: LeafInputs,
    /// Inclusion path of the leaf in the block's records root, the leaf's sibling first.
    pub record_path: Vec<Hash>,
    /// The block text.
    pub block: String,
    /// C2SP tlog-proof of the block, with the checkpoint.
    pub log_proof: String,
}

/// What a proof has proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The ledger's origin.
    pub ledger: String,
    /// Index of the record.
    pub record: u64,
    /// Height of its block.
    pub block_height: u64,
    /// When the ledger committed the block, by the ledger's clock.
    pub committed: Timestamp,
    /// When the writer sealed the batch, by the writer's clock.
    pub sealed: Timestamp,
    /// Name of the writer. The ledger vouches for it unless `writer_checked`.
    pub writer: String,
    /// Whether the writer's own signature was verified with a key the caller gave.
    pub writer_checked: bool,
    /// The checkpoint the proof leads to; ask it for cosignatures.
    pub checkpoint: SignedCheckpoint,
    /// What the record's leaf is made of.
    pub leaf_inputs: LeafInputs,
}

impl Proof {
    /// Reads a proof file; verifies nothing.
    pub fn parse(bytes: &[u8]) -> Result<Proof, ProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(ProofError::TooLarge);
        }
        // serde would read an array of the values in order as well.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(ProofError::Json("expected one JSON object".to_owned()));
        }
        let m: Members = serde_json::from_slice(bytes).map_err(|e| ProofError::Json(e.to_string()))?;
        if m.format != FORMAT {
            return Err(ProofError::Member("format"));
        }
        if parse_record_id(&m.id) != Some(m.record) {
            return Err(ProofError::Member("id"));
        }
        let hex = |text: &str, name| match Hash::from_hex(text) {
            Some(hash) if hash.hex() == text => Ok(hash),
            _ => Err(ProofError::Member(name)),
        };
        let leaf_inputs = LeafInputs {
            ciphertext_hash: hex(&m.ciphertext_sha256, "ciphertext_sha256")?,
            envelope_hash: hex(&m.envelope_hash, "envelope_hash")?,
            disclosure_root: hex(&m.disclosure_root, "disclosure_root")?,
        };
        let record_path = m.record_path.hashes();
        let (ledger, record) = (m.ledger, m.record);
        Ok(Proof { ledger, record, leaf_inputs, record_path, block: m.block, log_proof: m.log_proof })
    }

    /// The file's text, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        let members = Members {
            format: FORMAT.to_owned(),
            ledger: self.ledger.clone(),
            record: self.record,
            id: record_id(self.record),
            ciphertext_sha256: self.leaf_inputs.ciphertext_hash.hex(),
            envelope_hash: self.leaf_inputs.envelope_hash.hex(),
            disclosure_root: self.leaf_inputs.disclosure_root.hex(),
            record_path: HashPath::of(&self.record_path),
            block: self.block.clone(),
            log_proof: self.log_proof.clone(),
        };
        // Strings and numbers only: this cannot fail.
        let mut json = serde_json::to_string_pretty(&members).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Verifies everything against the ledger's key. With `writer_key`, the writer's signature too: then
    /// even the ledger could not have made the statement up. Many proofs are verified faster by one [`ProofVerifier`].
    pub fn verify(
        &self,
        ledger_key: &VerifierKey,
        writer_key: Option<&VerifierKey>,
    ) -> Result<Verified, ProofError> {
        ProofVerifier::new(ledger_key).verify(self, writer_key).map(|(verified, _)| verified)
    }

    /// Whether `record`, the encoded bytes, is the record this proof is about. Meaningful only together
    /// with [`Proof::verify`].
    pub fn check_record(&self, record: &[u8]) -> Result<(), ProofError> {
        let found = leaf_inputs_of(record).map_err(ProofError::Record)?;
        let expected = &self.leaf_inputs;
        if found.ciphertext_hash != expected.ciphertext_hash {
            Err(ProofError::OtherRecord("ciphertext"))
        } else if found.envelope_hash != expected.envelope_hash {
            Err(ProofError::OtherRecord("envelope"))
        } else if found.disclosure_root != expected.disclosure_root {
            Err(ProofError::OtherRecord("disclosure root"))
        } else {
            Ok(())
        }
    }
}

/// Verifies that a block, given as its text, is in the log at its own height, with a C2SP tlog-proof: the checkpoint's signature
/// and origin, then the block's inclusion.
pub fn verify_block(
    text: &str,
    log_proof: &str,
    ledger_key: &VerifierKey,
) -> Result<(Block, SignedCheckpoint), ProofError> {
    verify_block_with(text, log_proof, |checkpoint| SignedCheckpoint::parse(checkpoint, ledger_key))
}

/// [`verify_block`] with the check of the checkpoint's text given.
pub(super) fn verify_block_with(
    text: &str,
    log_proof: &str,
    checkpoint: impl FnOnce(&str) -> Result<SignedCheckpoint, CheckpointError>,
) -> Result<(Block, SignedCheckpoint), ProofError> {
    let log_proof = TlogProof::parse(log_proof).map_err(ProofError::LogProof)?;
    if log_proof.extra.is_some() {
        return Err(ProofError::Member("log_proof"));
    }
    let checkpoint = checkpoint(&log_proof.checkpoint)?;
    let block = Block::parse(text)?;
    if block.height != log_proof.index {
        return Err(ProofError::Height { block: block.height, log: log_proof.index });
    }
    let head = checkpoint.checkpoint();
    verify_inclusion(Block::hash_text(text), block.height, head.size, &log_proof.path, head.root)
        .map_err(ProofError::BlockInclusion)?;
    Ok((block, checkpoint))
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
