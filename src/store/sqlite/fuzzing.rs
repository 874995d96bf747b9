//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use super::runs_codec::{Chunk, Layout, Packer, seal};
use super::stored;
use crate::base::batch::Body;
use crate::base::wire::WireError;

/// The stored form of a body.
pub fn pack(body: &[u8], leaf_inputs: &[u8]) -> Result<Vec<u8>, WireError> {
    stored::pack(body, leaf_inputs)
}

/// A body from its stored form.
pub fn unpack(stored: &[u8], leaf_inputs: &[u8]) -> Result<Vec<u8>, WireError> {
    stored::unpack(stored, leaf_inputs)
}

/// [`unpack`] from chunks of `step` bytes; `None` if more would have to come.
pub fn unpack_in_chunks(
    stored: &[u8],
    leaf_inputs: &[u8],
    step: usize,
) -> Result<Option<Vec<u8>>, WireError> {
    let mut unpacker = stored::Unpacker::new(leaf_inputs);
    let mut out = Vec::new();
    for chunk in stored.chunks(step.max(1)) {
        unpacker.push(chunk, &mut out)?;
    }
    Ok(unpacker.is_whole().then_some(out))
}

/// One record from a stored body, as a look-up reads it: `None` if there is no such position or it cannot be put together.
pub fn stored_record(stored: &[u8], leaf_inputs: &[u8], position: usize) -> Option<Vec<u8>> {
    let front = stored::locate(stored, position).ok()?;
    let bytes = stored.get(front.at..front.at.checked_add(front.stored_len())?)?;
    let each = crate::base::record::LEAF_INPUTS_LEN;
    let inputs = leaf_inputs.get(position * each..(position + 1) * each).unwrap_or_default();
    let mut out = Vec::new();
    front.restore(bytes, inputs, &mut out).ok()?;
    Some(out)
}

/// The record at a position of a whole body.
pub fn body_record(body: &[u8], position: usize) -> Option<&[u8]> {
    let (_, mut lengths, front) = Body::decode_front(body).ok()??;
    let at = lengths.by_ref().take(position).try_fold(front, |at, n| at.checked_add(n as usize))?;
    body.get(at..at.checked_add(lengths.next()? as usize)?)
}

/// The entries (key, record) of a row of the look-up index; `None` if it is damaged. With `reseal` its checksums are made right first.
pub fn index_row(
    grouped: bool,
    records: std::ops::Range<u64>,
    row: &mut [u8],
    reseal: bool,
) -> Option<Vec<u128>> {
    if reseal {
        seal(row, 1);
    }
    let chunk = Chunk::open(Layout::new(grouped, records.start, records.end), 1, row).ok()?;
    let mut out = Vec::new();
    let mut cell = 0;
    while chunk.decode(cell, &mut out).ok()? {
        cell += 1;
    }
    // None of these may go wrong where decoding went well, whatever order the entries are in.
    let (first, last) = (chunk.first().ok()?, chunk.last().ok()?);
    for bound in [first, last].into_iter().flatten() {
        chunk.side(bound).ok()?;
        chunk.cell_of(bound).ok()?;
    }
    Some(out)
}

/// A row without the entries whose record number is odd, and whether any are left; `None` if it is damaged or has none.
pub fn index_row_without_odd(
    grouped: bool,
    records: std::ops::Range<u64>,
    row: &[u8],
) -> Option<(Vec<u8>, bool)> {
    let chunk = Chunk::open(Layout::new(grouped, records.start, records.end), 1, row).ok()?;
    chunk.without(|e| e & 1 == 1).ok()?
}

/// Rows that hold these sorted entries.
pub fn index_rows(grouped: bool, records: std::ops::Range<u64>, entries: &[u128]) -> Vec<Vec<u8>> {
    let mut packer = Packer::new(Layout::new(grouped, records.start, records.end));
    let mut rows = Vec::new();
    for e in entries {
        if !packer.push(*e) {
            rows.extend(packer.take());
            packer.push(*e);
        }
    }
    rows.extend(packer.take());
    rows.iter_mut().for_each(|row| seal(row, 1));
    rows
}
