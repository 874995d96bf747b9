//! What every back end requires of an append, in one place so that all refuse alike.

use std::ops::Range;

use super::{Head, NewBlock, StoreError};
use crate::base::batch::Body;
use crate::base::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_BLOCK_BYTES, MAX_NAME_BYTES, MAX_STATE_BYTES,
};
use crate::base::record::LEAF_INPUTS_LEN;

/// Heights and record indexes stay below 2^40, statement numbers below 2^63: what the index entries and
/// a signed 64-bit column can hold.
pub(super) const MAX_INDEX: u64 = 1 << 40;

fn invalid<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Invalid { why: why.into() })
}

/// Checks blocks and head against each other and against `expected_size`.
pub(super) fn check_append(expected_size: u64, blocks: &[NewBlock], head: &Head) -> Result<(), StoreError> {
    let mut height = expected_size;
    let mut record = blocks.first().map_or(head.records, |b| b.first_record);
    for b in blocks {
        if b.height != height || b.first_record != record {
            return invalid(format!(
                "block {} with first record {} stands where block {height} with record {record} belongs",
                b.height, b.first_record
            ));
        }
        check_block(b)?;
        height += 1;
        record = record.saturating_add(u64::from(b.records));
        if height > MAX_INDEX || record > MAX_INDEX {
            return invalid("the ledger would have more than 2^40 blocks or records");
        }
    }
    if head.size != height || head.records != record {
        return invalid(format!(
            "the head says {} blocks and {} records, the blocks end at {height} and {record}",
            head.size, head.records
        ));
    }
    if head.state.len() > MAX_STATE_BYTES {
        return invalid(
            "the ledger has had more writers than it can keep account of; those it has can go on",
        );
    }
    Ok(())
}

/// Why a body is not replaced.
pub(super) const NO_REPLACEMENT: &str =
    "only the body of a block without records is replaced, by one of its length";

/// Whether a block's body may be replaced by `new`.
pub(super) fn check_replace(records: u32, old_len: usize, new: &[u8]) -> bool {
    records == 0 && old_len > 0 && old_len == new.len()
}

fn check_block(b: &NewBlock) -> Result<(), StoreError> {
    let refuse = |why: &str| invalid(format!("of block {} {why}", b.height));
    let records = b.records as usize;
    if b.text.is_empty() || b.text.len() > MAX_BLOCK_BYTES {
        return refuse("the text is empty or longer than MAX_BLOCK_BYTES");
    }
    if records > MAX_BATCH_RECORDS || b.leaf_inputs.len() != records * LEAF_INPUTS_LEN {
        return refuse("the leaf inputs do not fit the number of records");
    }
    if b.signer.len() > MAX_NAME_BYTES || i64::try_from(b.sequence).is_err() {
        return refuse("the signer is too long or the sequence number too large");
    }
    match &b.body {
        None if records == 0 => Ok(()),
        None => refuse("the body is missing"),
        // A grant's slots: what is inside is not a store's business.
        Some(bytes) if records == 0 && (bytes.is_empty() || bytes.len() > MAX_BATCH_BYTES) => {
            refuse("the body is empty or larger than MAX_BATCH_BYTES")
        }
        Some(_) if records == 0 => Ok(()),
        Some(bytes) => match Body::decode(bytes) {
            Ok(body) if body.count() == records => Ok(()),
            Ok(_) => refuse("the body holds another number of records"),
            Err(e) => refuse(&format!("the body does not decode: {e}")),
        },
    }
}

/// Checks the first block against the number of records already stored.
pub(super) fn check_continues(
    stored_records: u64,
    blocks: &[NewBlock],
    head: &Head,
) -> Result<(), StoreError> {
    let first = blocks.first().map_or(head.records, |b| b.first_record);
    if first != stored_records {
        return invalid(format!("it starts at record {first}, but {stored_records} records are stored"));
    }
    Ok(())
}

/// Checks what is to be erased against the number of records stored.
pub(super) fn check_erase(stored_records: u64, records: &[Range<u64>]) -> Result<(), StoreError> {
    match records.iter().find(|r| r.is_empty() || r.end > stored_records) {
        None => Ok(()),
        Some(r) => invalid(format!(
            "records {}..{} are to be erased, but {stored_records} are stored",
            r.start, r.end
        )),
    }
}
