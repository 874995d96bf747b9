//! The rules a records statement must keep towards its batch and the roster in force. `docs/FORMAT.md` §4 and §7.

use super::authority::RecordRange;
use super::batch::{BatchCommitment, BatchError, header_hash};
use super::block::Block;
use super::recipient::recipient_key;
use super::roster::Roster;
use super::statement::RecordsStatement;
use crate::base::batch::{Body, Header, KEM_X25519};
use crate::base::hash::Hash;
use crate::base::limits::MAX_HEADER_BYTES;
use crate::base::record::Outline;

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
    check_hashes(statement, batch)?;
    check_readers(header)?;
    check_required(header, roster)
}

/// Whether a body is the one whose hashes the statement signs, whatever roster it was made under; of one with erased records, as far as
/// that can be known.
pub fn check_hashes(statement: &RecordsStatement, batch: &BatchCommitment) -> Result<(), BatchError> {
    same("records", &statement.records, &(batch.leaf_inputs.len() as u64))?;
    same_hash("header-hash", &statement.header_hash, &batch.header_hash)?;
    same_hash("records-root", &statement.records_root, &batch.records_root)?;
    if batch.erased == 0 {
        same("bytes", &statement.bytes, &batch.bytes)?;
    }
    if let Some(found) = &batch.tags_root {
        same_hash("tags-root", &statement.tags_root, found)?;
    }
    Ok(())
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

/// The records of a body that are erased, as far as it can be read; its first one is `first_record`.
pub fn erased_in(first_record: u64, body: &[u8]) -> Vec<RecordRange> {
    let mut ranges = Vec::new();
    let records = Body::decode(body).map(|b| b.records()).into_iter().flatten();
    for (record, bytes) in (first_record..).zip(records) {
        if matches!(Outline::decode(bytes), Ok(Outline::Erased(_))) {
            RecordRange { first: record, last: record }.append_to(&mut ranges);
        }
    }
    ranges
}
