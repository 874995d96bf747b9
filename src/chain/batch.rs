//! A batch's hashes, recomputed from its bytes, and the rules a records statement must keep towards its
//! batch. `docs/FORMAT.md` §3 to §7. Writer, ledger and auditor all go through [`commit`].

use super::block::Block;
use super::recipient::recipient_key;
use super::roster::Roster;
use super::statement::RecordsStatement;
use super::tree;
use crate::base::batch::{Body, Header, KEM_X25519};
use crate::base::hash::Hash;
use crate::base::limits::MAX_HEADER_BYTES;
use crate::base::record::{KEY_LEN, LeafInputs, Record, TAG_LEN};
use crate::base::wire::WireError;

/// `docs/FORMAT.md` §3.
const HEADER_LABEL: &[u8] = b"sealtrail.org/header/v1\n";
const ENVELOPE_LABEL: &[u8] = b"sealtrail.org/envelope/v1\n";
const LEAF_LABEL: &[u8] = b"sealtrail.org/leaf/v1\n";
const TAGS_LABEL: &[u8] = b"sealtrail.org/tags/v1\n";
/// Entries of one tags leaf.
const TAGS_PER_LEAF: usize = 64;
/// `tag[8] ‖ u32(position)`.
const TAG_ENTRY_LEN: usize = TAG_LEN + 4;

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Body or header cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// One record cannot be read, or does not have the sections and slots of the header.
    #[error("record {position} of the batch: {source}")]
    Record {
        /// Position in the batch, from 0.
        position: u64,
        /// What is wrong.
        source: WireError,
    },
    /// Statement and batch disagree.
    #[error("the statement says {what} {stated}, the batch has {found}")]
    Mismatch {
        /// The line of the statement or field of the header.
        what: &'static str,
        /// What was signed.
        stated: String,
        /// What the bytes give.
        found: String,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("the batch header has {found} bytes, more than the {MAX_HEADER_BYTES} allowed")]
    HeaderLength {
        /// Its length in bytes.
        found: usize,
    },
    /// A reader of the header is not one this version seals for.
    #[error("reader {index} of the batch header: {why}")]
    Reader {
        /// Index in the header.
        index: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The roster requires a reader whom the first section leaves out.
    #[error("the roster requires the reader {name} in every batch, and the first section has no slot for it")]
    MissingReader {
        /// Name in the roster.
        name: String,
    },
    /// The statement can only be checked in part, because records are erased.
    #[error("{erased} records of the batch are erased, so the statement cannot be checked whole")]
    Erased {
        /// How many.
        erased: u64,
    },
}

/// What the bytes of a batch body hash to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchCommitment {
    /// The decoded header.
    pub header: Header,
    /// Hash of the header's bytes.
    pub header_hash: Hash,
    /// Per record, what its leaf is made of.
    pub leaf_inputs: Vec<LeafInputs>,
    /// Root over the record leaves.
    pub records_root: Hash,
    /// Root over the sorted tags; `None` if a record is erased, since its tags are gone.
    pub tags_root: Option<Hash>,
    /// Every tag, as a big-endian number, with the position of its record, sorted.
    pub tags: Vec<(u64, u32)>,
    /// Length of the body in bytes.
    pub bytes: u64,
    /// How many records are erased.
    pub erased: u64,
}

/// Record leaf: `H(0x00 ‖ label ‖ ciphertext_hash ‖ envelope_hash ‖ disclosure_root)`.
pub fn record_leaf(inputs: &LeafInputs) -> Hash {
    Hash::of(&[&[0x00], LEAF_LABEL, &inputs.to_bytes()])
}

/// The leaf inputs of one encoded record, computed from its bytes (an erased record states them).
pub fn leaf_inputs_of(record: &[u8]) -> Result<LeafInputs, WireError> {
    Ok(inputs(&Record::decode(record)?))
}

/// Hash of a batch header's bytes.
pub fn header_hash(header: &[u8]) -> Hash {
    Hash::of(&[HEADER_LABEL, header])
}

fn inputs(record: &Record<'_>) -> LeafInputs {
    match record {
        Record::Erased(inputs) => *inputs,
        Record::Sealed { disclosure_root, envelope, ciphertext, .. } => LeafInputs {
            ciphertext_hash: Hash::of(&[ciphertext]),
            envelope_hash: Hash::of(&[ENVELOPE_LABEL, envelope]),
            disclosure_root: *disclosure_root,
        },
    }
}

/// Hashes a batch body. Every record must have the header's sections, each with one slot per reader.
pub fn commit(body: &[u8]) -> Result<BatchCommitment, BatchError> {
    let bytes = body.len() as u64;
    let body = Body::decode(body)?;
    let header = Header::decode(body.header)?;
    let slot_bytes: Vec<usize> = header.sections.iter().map(|s| s.readers.len() * KEY_LEN).collect();

    let mut leaf_inputs = Vec::with_capacity(body.count());
    let mut leaves = Vec::with_capacity(body.count());
    let mut tag_entries = Vec::new();
    let mut erased = 0;
    for (position, bytes) in (0u32..).zip(body.records()) {
        let error = |source| BatchError::Record { position: position.into(), source };
        let record = Record::decode(bytes).map_err(error)?;
        match &record {
            Record::Erased(_) => erased += 1,
            Record::Sealed { sections, tags, .. } => {
                let slots = sections.iter().map(|s| s.slots.len());
                if !slots.eq(slot_bytes.iter().copied()) {
                    let why = "its sections and slots are not those of the header";
                    return Err(error(WireError::Invalid { what: "record", why }));
                }
                let tags = tags.as_chunks::<TAG_LEN>().0.iter();
                tag_entries.extend(tags.map(|tag| tag_entry(tag, position)));
            }
        }
        let inputs = inputs(&record);
        leaves.push(record_leaf(&inputs));
        leaf_inputs.push(inputs);
    }
    tag_entries.sort_unstable();
    Ok(BatchCommitment {
        header,
        header_hash: header_hash(body.header),
        leaf_inputs,
        records_root: tree::root(&leaves),
        tags_root: (erased == 0).then(|| tags_root(&tag_entries)),
        tags: tag_entries.into_iter().map(|e| ((e >> 32) as u64, e as u32)).collect(),
        bytes,
        erased,
    })
}

/// A tag entry as a number that sorts like its bytes: `tag[8] ‖ u32(position)`.
fn tag_entry(tag: &[u8; TAG_LEN], position: u32) -> u128 {
    (u128::from(u64::from_be_bytes(*tag)) << 32) | u128::from(position)
}

/// `docs/FORMAT.md` §3, tags_root, over sorted entries.
fn tags_root(entries: &[u128]) -> Hash {
    let mut leaf = Vec::with_capacity(1 + TAGS_LABEL.len() + TAGS_PER_LEAF * TAG_ENTRY_LEN);
    let leaves: Vec<Hash> = entries
        .chunks(TAGS_PER_LEAF)
        .map(|chunk| {
            leaf.clear();
            leaf.push(0x00);
            leaf.extend_from_slice(TAGS_LABEL);
            for entry in chunk {
                leaf.extend_from_slice(&entry.to_be_bytes()[16 - TAG_ENTRY_LEN..]);
            }
            Hash::of(&[&leaf])
        })
        .collect();
    tree::root(&leaves)
}

/// Every rule a records statement by `writer` must keep towards its batch and the roster in force. The
/// signature and the sequence are [`super::replay::State::check_statement`]'s. A batch with erased
/// records is refused; see [`check_erased`].
pub fn check(
    statement: &RecordsStatement,
    writer: &str,
    batch: &BatchCommitment,
    roster: &Roster,
) -> Result<(), BatchError> {
    if batch.erased > 0 {
        return Err(BatchError::Erased { erased: batch.erased });
    }
    check_erased(statement, writer, batch, roster)
}

/// [`check`] for a batch some of whose records are erased: everything but the length of the body and the
/// root over the tags, which can no longer be known. The same as [`check`] if none is erased.
pub fn check_erased(
    statement: &RecordsStatement,
    writer: &str,
    batch: &BatchCommitment,
    roster: &Roster,
) -> Result<(), BatchError> {
    let header = &batch.header;
    check_names(statement, writer, header)?;
    same("records", &statement.records, &(batch.leaf_inputs.len() as u64))?;
    same_hash("header-hash", &statement.header_hash, &batch.header_hash)?;
    same_hash("records-root", &statement.records_root, &batch.records_root)?;
    if batch.erased == 0 {
        same("bytes", &statement.bytes, &batch.bytes)?;
    }
    if let Some(found) = &batch.tags_root {
        same_hash("tags-root", &statement.tags_root, found)?;
    }
    check_readers(header)?;
    check_required(header, roster)
}

/// Reads a batch header that must be the one whose hash the statement of `block` signs, of the same ledger, writer and sequence.
pub fn check_header(bytes: &[u8], block: &Block, statement: &RecordsStatement) -> Result<Header, BatchError> {
    if bytes.len() > MAX_HEADER_BYTES {
        return Err(BatchError::HeaderLength { found: bytes.len() });
    }
    same_hash("header-hash", &statement.header_hash, &header_hash(bytes))?;
    let header = Header::decode(bytes)?;
    check_names(statement, block.statement.signer_name(), &header)?;
    Ok(header)
}

fn check_names(statement: &RecordsStatement, writer: &str, header: &Header) -> Result<(), BatchError> {
    same("ledger", &statement.ledger, &header.ledger)?;
    same("writer", writer, &header.writer)?;
    same("sequence", &statement.sequence, &header.sequence)
}

fn same<T: PartialEq + ToString + ?Sized>(
    what: &'static str,
    stated: &T,
    found: &T,
) -> Result<(), BatchError> {
    if stated == found {
        return Ok(());
    }
    Err(BatchError::Mismatch { what, stated: stated.to_string(), found: found.to_string() })
}

fn same_hash(what: &'static str, stated: &Hash, found: &Hash) -> Result<(), BatchError> {
    same(what, &stated.base64(), &found.base64())
}

/// `docs/FORMAT.md` §4: the KEM rule. With one KEM in use no section can mix two kinds of reader.
fn check_readers(header: &Header) -> Result<(), BatchError> {
    match header.readers.iter().position(|r| r.kem != KEM_X25519) {
        Some(index) => Err(BatchError::Reader {
            index,
            why: "its KEM is not DHKEM(X25519, HKDF-SHA256), the only one in use",
        }),
        None => Ok(()),
    }
}

/// Required readers must be in the first section; compared by public key, since names are the roster's.
fn check_required(header: &Header, roster: &Roster) -> Result<(), BatchError> {
    let first = header.sections.first().map_or(&[][..], |s| &s.readers);
    for reader in roster.required_readers() {
        let key = recipient_key(&reader.recipient);
        let is_it = |r: &&u8| {
            header
                .readers
                .get(usize::from(**r))
                .is_some_and(|b| b.kem == KEM_X25519 && key.is_some_and(|key| b.public_key == key))
        };
        if !first.iter().any(|r| is_it(&r)) {
            return Err(BatchError::MissingReader { name: reader.name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
