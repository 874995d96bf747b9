//! Reads blocks: their rows, leaf inputs, bodies and single records.
//!
//! What damage leaves unreadable is given as it is, or not at all; whoever reads it checks it.

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::check::MAX_INDEX;
use super::super::{BlockInfo, StoreError, StoredRecord};
use super::chunks::{BODIES, LEAVES};
use super::{SqlResult, SqliteStore, stored};
use crate::base::batch::Body;
use crate::base::limits::MAX_BATCH_RECORDS;
use crate::base::record::LEAF_INPUTS_LEN;

/// `n` as SQLite's integer; `None` for what no row can have.
pub(super) fn key(n: u64) -> Option<i64> {
    (n < MAX_INDEX).then_some(n as i64)
}

fn info(row: &Row<'_>) -> SqlResult<BlockInfo> {
    Ok(BlockInfo {
        height: row.get(0)?,
        first_record: row.get(1)?,
        records: row.get(2)?,
        signer: row.get(3)?,
        sequence: row.get(4)?,
    })
}

pub(super) fn block_info(conn: &Connection, height: i64) -> SqlResult<Option<BlockInfo>> {
    let sql = "SELECT height, first_record, records, signer, sequence FROM block WHERE height = ?1";
    conn.prepare_cached(sql)?.query_row([height], info).optional()
}

pub(super) fn block_of_record(conn: &Connection, record: i64) -> SqlResult<Option<BlockInfo>> {
    let sql = "SELECT height, first_record, records, signer, sequence FROM block
        WHERE records > 0 AND first_record <= ?1 ORDER BY first_record DESC LIMIT 1";
    let block = conn.prepare_cached(sql)?.query_row([record], info).optional()?;
    Ok(block.filter(|b| b.holds(record as u64)))
}

/// [`block_of_record`] and the block's text, which lie in the same row.
pub(super) fn text_of_record(conn: &Connection, record: i64) -> SqlResult<Option<(BlockInfo, Vec<u8>)>> {
    let sql = "SELECT height, first_record, records, signer, sequence, text FROM block
        WHERE records > 0 AND first_record <= ?1 ORDER BY first_record DESC LIMIT 1";
    let block = conn.prepare_cached(sql)?.query_row([record], |r| Ok((info(r)?, r.get(5)?))).optional()?;
    Ok(block.filter(|(b, _)| b.holds(record as u64)))
}

pub(super) fn derived(conn: &Connection, key: &str) -> SqlResult<Option<Vec<u8>>> {
    let sql = "SELECT value FROM derived WHERE key = ?1";
    conn.prepare_cached(sql)?.query_row([key], |r| r.get(0)).optional()
}

pub(super) fn leaf_range(conn: &Connection, height: i64, first: usize, count: usize) -> SqlResult<Vec<u8>> {
    // Beyond the longest block another one's rows would follow.
    let bytes = |records: usize| records.min(MAX_BATCH_RECORDS) * LEAF_INPUTS_LEN;
    let len = bytes(first.saturating_add(count)) - bytes(first);
    let mut out = Vec::with_capacity(len);
    LEAVES.read(conn, height, bytes(first), len, &mut out)?;
    Ok(out)
}

pub(super) fn block_text(conn: &Connection, height: i64) -> SqlResult<Option<Vec<u8>>> {
    let sql = "SELECT text FROM block WHERE height = ?1";
    conn.prepare_cached(sql)?.query_row([height], |r| r.get(0)).optional()
}

/// The texts of at most `limit` blocks from a height on, of `max_bytes` together unless the first alone is longer.
pub(super) fn block_texts(
    conn: &Connection,
    from: i64,
    limit: i64,
    max_bytes: usize,
) -> SqlResult<Vec<Vec<u8>>> {
    let sql = "SELECT text FROM block WHERE height >= ?1 ORDER BY height LIMIT ?2";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([from, limit])?;
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut total = 0;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_blob()?;
        total += text.len();
        if total > max_bytes && !out.is_empty() {
            break;
        }
        out.push(text.to_vec());
    }
    Ok(out)
}

/// Most batch headers are not longer, in bytes: some ten readers.
const USUAL_HEADER_BYTES: usize = 2048;

/// Everything before the records of a body; empty if the body is gone.
fn body_front(conn: &Connection, block: &BlockInfo) -> SqlResult<Vec<u8>> {
    let height = block.height as i64;
    let mut front = Vec::new();
    // A row is read whole, however little of it is wanted: once, if the header is not unusually long.
    BODIES.read(conn, height, 0, Body::front_len(USUAL_HEADER_BYTES, block.records as usize), &mut front)?;
    let header_len = front.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
    let len = Body::front_len(header_len as usize, block.records as usize);
    if let Some(rest) = len.checked_sub(front.len()) {
        let at = front.len();
        BODIES.read(conn, height, at, rest, &mut front)?;
    }
    front.truncate(len);
    Ok(front)
}

/// The body of a block with so many records; empty if there is none. `leaf_inputs` are those of the block if they are known.
///
/// A damaged one that cannot be put together is given as it is stored: whoever reads it finds that it does not decode.
pub(super) fn body(
    conn: &Connection,
    height: i64,
    records: u64,
    leaf_inputs: Option<&[u8]>,
) -> SqlResult<Vec<u8>> {
    let stored = BODIES.read_all(conn, height)?;
    if records == 0 || stored.is_empty() {
        return Ok(stored);
    }
    let unpacked = match leaf_inputs {
        Some(inputs) => stored::unpack(&stored, inputs),
        None => stored::unpack(&stored, &LEAVES.read_all(conn, height)?),
    };
    Ok(unpacked.unwrap_or(stored))
}

impl SqliteStore {
    /// Reads the block at `height`, on one snapshot: its leaf inputs into `leaf_inputs`, then its body, chunk by chunk, onto the end of
    /// `body`. `each` is called after every chunk and may take from `body` what it is done with; it ends the reading with `false`.
    /// Gives whether all of the body came: not if there is none, it is damaged, or `each` ended it.
    pub fn stream(
        &self,
        height: u64,
        leaf_inputs: &mut Vec<u8>,
        body: &mut Vec<u8>,
        each: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<bool, StoreError> {
        leaf_inputs.clear();
        let Some(height) = key(height) else { return Ok(false) };
        self.pool.read(|tx| {
            LEAVES.each(tx, height, |chunk| {
                leaf_inputs.extend_from_slice(chunk);
                // More than any block has: what is cut short here does not hold.
                leaf_inputs.len() <= MAX_BATCH_RECORDS * LEAF_INPUTS_LEN
            })?;
            let mut unpacker = stored::Unpacker::new(leaf_inputs);
            let mut going = true;
            BODIES.each(tx, height, |chunk| {
                going = unpacker.push(chunk, body).is_ok() && each(body);
                going
            })?;
            Ok(going && unpacker.is_whole())
        })
    }

    /// See [`Store::record`](super::super::Store::record).
    pub(super) fn stored_record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError> {
        let Some(index) = key(record) else { return Ok(None) };
        let found = self.pool.read(|tx| {
            let Some(info) = block_of_record(tx, index)? else { return Ok(None) };
            let front = body_front(tx, &info)?;
            let position = (record - info.first_record) as u32;
            let place = stored::locate(&front, position as usize);
            let (mut bytes, mut inputs) = (Vec::new(), Vec::new());
            if let Ok(place) = place {
                let height = info.height as i64;
                BODIES.read(tx, height, place.at, place.stored_len(), &mut bytes)?;
                if place.needs_inputs() {
                    let offset = position as usize * LEAF_INPUTS_LEN;
                    LEAVES.read(tx, height, offset, LEAF_INPUTS_LEN, &mut inputs)?;
                }
            }
            Ok(Some((info, position, front, place, bytes, inputs)))
        })?;
        let Some((info, position, mut front, place, stored, inputs)) = found else { return Ok(None) };
        let mut bytes = Vec::new();
        place
            .and_then(|p| p.restore(&stored, &inputs, &mut bytes))
            .map_err(|e| self.corrupt(format!("body of block {}: {e}", info.height)))?;
        // A body that says itself that it has fewer records than the block.
        let header_len = front
            .len()
            .checked_sub(Body::front_len(0, info.records as usize))
            .ok_or_else(|| self.corrupt(format!("body of block {} has fewer records", info.height)))?;
        front.truncate(8 + header_len);
        Ok(Some(StoredRecord { info, position, header: front.split_off(8), record: bytes }))
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
