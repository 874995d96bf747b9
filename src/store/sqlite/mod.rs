//! The default store: one SQLite file.
//!
//! One connection appends and erases, behind a mutex; a second one only copies the log (`log`); a few read, each on a snapshot, and
//! never wait for it. Blocks
//! are written as long rows at the end of tables (`chunks`), the look-up index as sorted runs (`runs`) and, for the newest
//! records, in memory (`tail`).

mod chunks;
mod erase;
mod fault;
mod index;
mod log;
mod open;
mod pool;
mod rebuild;
mod runs;
mod runs_codec;
mod runs_hints;
mod runs_merge;
mod schema;
mod stored;
mod tail;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use self::chunks::{BODIES, LEAVES};
use self::index::Index;
use self::open::{ReadMode, beside};
use self::pool::Pool;
use self::runs::{KIND_CIPHERTEXT, KIND_TAG, KINDS, Wanted};
use self::writer::{Append, Writer};
use super::check::{MAX_INDEX, check_append};
use super::{BlockInfo, Head, NewBlock, ProofParts, Store, StoreError, StoreStats, StoredRecord};
use crate::base::batch::Body;
use crate::base::clock;
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::{
    CIPHERTEXT_PLACES, INDEX_FANOUT, INDEX_SEGMENT_RECORDS, INDEX_SEGMENT_TAGS, MAX_BATCH_RECORDS,
};
use crate::base::record::{LEAF_INPUTS_LEN, Tag};

/// A ledger's database file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    origin: String,
    // Before the writer: the connection closed last must be one that can put the log away.
    pool: Pool,
    writer: Option<Writer>,
    index: Index,
    /// Held while the index is rebuilt or records are erased.
    maintenance: Mutex<()>,
}

/// How the look-up index is cut into runs. It is written into the file when that is made, because it decides, with the blocks,
/// what the runs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexShape {
    /// Records after which a run ends, with the block that reaches their number.
    pub segment_records: u32,
    /// Tags after which it ends too.
    pub segment_tags: u32,
    /// Neighbouring runs of tags that become one of the next tier; of ciphertext hashes its square root, at least two.
    pub fanout: u32,
}

impl Default for IndexShape {
    fn default() -> IndexShape {
        IndexShape {
            segment_records: INDEX_SEGMENT_RECORDS,
            segment_tags: INDEX_SEGMENT_TAGS,
            fanout: INDEX_FANOUT,
        }
    }
}

impl IndexShape {
    /// Within what memory and the format of runs allow.
    fn is_valid(&self) -> bool {
        let most = IndexShape::default();
        (1..=most.segment_records).contains(&self.segment_records)
            && (1..=most.segment_tags).contains(&self.segment_tags)
            && (2..=most.fanout).contains(&self.fanout)
    }
}

type SqlResult<T> = Result<T, rusqlite::Error>;

/// Entries merged by one step of maintenance: a few milliseconds, for which appends wait.
const MAINTAIN_ENTRIES: usize = 1 << 17;

impl SqliteStore {
    /// Opens the database at `path` for the ledger `origin`; with `create`, makes it if there is none. Take
    /// a [`LockFile`](super::LockFile) first: SQLite itself would let two servers take turns.
    pub fn open(path: &Path, origin: &str, create: bool) -> Result<SqliteStore, StoreError> {
        let conn = open::writer(path, origin, create)?;
        let writer =
            Writer::new(path.to_owned(), origin.to_owned(), conn).map_err(|e| fault::fault(path, &e))?;
        Ok(SqliteStore::new(path, origin.to_owned(), ReadMode::Shared, Some(writer)))
    }

    /// Opens a database to read it, whatever ledger it is of: beside its server, or a copy with or without
    /// its `-wal` file, also where nothing can be written. In that last case the copy must not change.
    pub fn open_read_only(path: &Path) -> Result<SqliteStore, StoreError> {
        let (mode, origin) = open::read_only(path)?;
        Ok(SqliteStore::new(path, origin, mode, None))
    }

    /// As [`SqliteStore::open`], and gives a database without blocks an index with other, smaller, runs: so that tests need few
    /// records to have many. An error if the shape is larger than usual or there are blocks already.
    pub fn create_shaped(path: &Path, origin: &str, shape: IndexShape) -> Result<SqliteStore, StoreError> {
        let store = SqliteStore::open(path, origin, true)?;
        let changed = match shape.is_valid() {
            true => store.writer()?.disposable(|tx| index::set_shape(tx, shape))?,
            false => 0,
        };
        match changed {
            1 => Ok(store),
            _ => {
                Err(StoreError::Invalid { why: "an index shape is for new databases, and small".to_owned() })
            }
        }
    }

    fn new(path: &Path, origin: String, mode: ReadMode, writer: Option<Writer>) -> SqliteStore {
        let pool = Pool::new(path.to_owned(), mode);
        let (index, maintenance) = (Index::default(), Mutex::new(()));
        SqliteStore { path: path.to_owned(), origin, pool, writer, index, maintenance }
    }

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

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly { place: self.place() })
    }

    fn incomplete(&self, (covered, records): (u64, u64)) -> StoreError {
        StoreError::IndexIncomplete { place: self.place(), covered, records }
    }

    fn corrupt(&self, why: impl ToString) -> StoreError {
        StoreError::Corrupt { place: self.place(), why: why.to_string() }
    }
}

/// `n` as SQLite's integer; `None` for what no row can have.
fn key(n: u64) -> Option<i64> {
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

fn block_info(conn: &Connection, height: i64) -> SqlResult<Option<BlockInfo>> {
    let sql = "SELECT height, first_record, records, signer, sequence FROM block WHERE height = ?1";
    conn.prepare_cached(sql)?.query_row([height], info).optional()
}

fn block_of_record(conn: &Connection, record: i64) -> SqlResult<Option<BlockInfo>> {
    let sql = "SELECT height, first_record, records, signer, sequence FROM block
        WHERE records > 0 AND first_record <= ?1 ORDER BY first_record DESC LIMIT 1";
    let block = conn.prepare_cached(sql)?.query_row([record], info).optional()?;
    Ok(block.filter(|b| b.holds(record as u64)))
}

/// [`block_of_record`] and the block's text, which lie in the same row.
fn text_of_record(conn: &Connection, record: i64) -> SqlResult<Option<(BlockInfo, Vec<u8>)>> {
    let sql = "SELECT height, first_record, records, signer, sequence, text FROM block
        WHERE records > 0 AND first_record <= ?1 ORDER BY first_record DESC LIMIT 1";
    let block = conn.prepare_cached(sql)?.query_row([record], |r| Ok((info(r)?, r.get(5)?))).optional()?;
    Ok(block.filter(|(b, _)| b.holds(record as u64)))
}

fn derived(conn: &Connection, key: &str) -> SqlResult<Option<Vec<u8>>> {
    let sql = "SELECT value FROM derived WHERE key = ?1";
    conn.prepare_cached(sql)?.query_row([key], |r| r.get(0)).optional()
}

fn leaf_range(conn: &Connection, height: i64, first: usize, count: usize) -> SqlResult<Vec<u8>> {
    // Beyond the longest block another one's rows would follow.
    let bytes = |records: usize| records.min(MAX_BATCH_RECORDS) * LEAF_INPUTS_LEN;
    let len = bytes(first.saturating_add(count)) - bytes(first);
    let mut out = Vec::with_capacity(len);
    LEAVES.read(conn, height, bytes(first), len, &mut out)?;
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
fn body(conn: &Connection, height: i64, records: u64, leaf_inputs: Option<&[u8]>) -> SqlResult<Vec<u8>> {
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

impl Store for SqliteStore {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn head(&self) -> Result<Option<Head>, StoreError> {
        if let Some(writer) = &self.writer {
            writer.settled()?;
        }
        self.pool.read(|tx| writer::read_head(tx))
    }

    fn append(
        &self,
        expected_size: u64,
        blocks: &[NewBlock],
        derived: &[(String, Vec<u8>)],
        head: &Head,
    ) -> Result<(), StoreError> {
        let writer = self.writer()?;
        check_append(expected_size, blocks, head)?;
        let mut pace = self.index.lock();
        writer.settled()?;
        let step = self.plan(&mut pace, blocks)?;
        let index = step.as_ref();
        let result = writer.append(&Append { expected_size, blocks, derived, head, index });
        self.settle(&mut pace, step, &result);
        result
    }

    fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        let writer = self.writer()?;
        // What a rebuild read before would bring the tags back.
        let _only = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let _pace = self.index.lock();
        let changed = writer.erase(records);
        let tail = self.index.tail().filter(|_| changed.is_ok());
        self.index.set_tail(tail.map(|tail| {
            let mut tail = tail::Tail::clone(&tail);
            tail.erase(records);
            tail.erasures += u64::from(changed.as_ref().is_ok_and(|n| *n > 0));
            tail
        }));
        changed
    }

    fn replace_body(&self, height: u64, body: &[u8]) -> Result<(), StoreError> {
        self.writer()?.replace_body(height, body)
    }

    fn scrub(&self) -> Result<(), StoreError> {
        self.writer()?.scrub()
    }

    fn block_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(height) = key(height) else { return Ok(None) };
        self.pool.read(|tx| {
            let sql = "SELECT text FROM block WHERE height = ?1";
            tx.prepare_cached(sql)?.query_row([height], |r| r.get(0)).optional()
        })
    }

    fn block_texts(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(from) = key(from) else { return Ok(Vec::new()) };
        let limit = i64::try_from(max).unwrap_or(i64::MAX);
        self.pool.read(|tx| {
            let sql = "SELECT text FROM block WHERE height >= ?1 ORDER BY height LIMIT ?2";
            let mut select = tx.prepare_cached(sql)?;
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
        })
    }

    fn block_info(&self, height: u64) -> Result<Option<BlockInfo>, StoreError> {
        let Some(height) = key(height) else { return Ok(None) };
        self.pool.read(|tx| block_info(tx, height))
    }

    fn block_of_record(&self, record: u64) -> Result<Option<BlockInfo>, StoreError> {
        let Some(record) = key(record) else { return Ok(None) };
        self.pool.read(|tx| block_of_record(tx, record))
    }

    fn leaf_inputs(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(height) = key(height) else { return Ok(None) };
        let found = self.pool.read(|tx| {
            block_info(tx, height)?.map(|b| Ok((b.records, LEAVES.read_all(tx, height)?))).transpose()
        })?;
        match found {
            Some((records, bytes)) if bytes.len() != records as usize * LEAF_INPUTS_LEN => {
                Err(self.corrupt(format!("block {height} has {} bytes of leaf inputs", bytes.len())))
            }
            found => Ok(found.map(|(_, bytes)| bytes)),
        }
    }

    fn leaf_range(&self, height: u64, first: usize, count: usize) -> Result<Vec<u8>, StoreError> {
        let Some(height) = key(height) else { return Ok(Vec::new()) };
        self.pool.read(|tx| leaf_range(tx, height, first, count))
    }

    fn proof_parts(
        &self,
        record: u64,
        group: usize,
        key_for: &dyn Fn(&BlockInfo) -> Option<String>,
    ) -> Result<Option<ProofParts>, StoreError> {
        let Some(index) = key(record) else { return Ok(None) };
        self.pool.read(|tx| {
            let Some((block, text)) = text_of_record(tx, index)? else { return Ok(None) };
            let derived = key_for(&block).map_or(Ok(None), |key| derived(tx, &key))?;
            let first = (record - block.first_record) as usize / group * group;
            let leaf_inputs = leaf_range(tx, block.height as i64, first, group)?;
            Ok(Some(ProofParts { block, text, derived, leaf_inputs }))
        })
    }

    fn body(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(height) = key(height) else { return Ok(None) };
        let bytes = self.pool.read(|tx| match block_info(tx, height)? {
            Some(block) => body(tx, height, u64::from(block.records), None),
            None => Ok(Vec::new()),
        })?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    fn body_part(&self, height: u64, offset: usize, len: usize) -> Result<Vec<u8>, StoreError> {
        let Some(height) = key(height) else { return Ok(Vec::new()) };
        self.pool.read(|tx| {
            let mut out = Vec::new();
            match block_info(tx, height)?.map(|b| u64::from(b.records)) {
                Some(0) => BODIES.read(tx, height, offset, len, &mut out)?,
                Some(records) => {
                    let body = body(tx, height, records, None)?;
                    out.extend(body.into_iter().skip(offset).take(len));
                }
                None => {}
            }
            Ok(out)
        })
    }

    fn record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError> {
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
        let header_len = front.len() - Body::front_len(0, info.records as usize);
        front.truncate(8 + header_len);
        Ok(Some(StoredRecord { info, position, header: front.split_off(8), record: bytes }))
    }

    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        let key = tail::ciphertext_key(&hash.0);
        self.look_up(|tx, tail, state| {
            let mut stored = Vec::with_capacity(HASH_LEN);
            let mut is_it = |record: u64| {
                let Some(block) = block_of_record(tx, record as i64)? else { return Ok(false) };
                let offset = (record - block.first_record) as usize * LEAF_INPUTS_LEN;
                stored.clear();
                LEAVES.read(tx, block.height as i64, offset, HASH_LEN, &mut stored)?;
                Ok::<_, rusqlite::Error>(stored == hash.0)
            };
            let mut from = 0;
            loop {
                let wanted = Wanted { key, from, limit: CIPHERTEXT_PLACES };
                let places = runs::find(tx, KIND_CIPHERTEXT, &wanted, state.covered, self.index.hints())?;
                for record in &places {
                    if is_it(*record)? {
                        return Ok(Some(*record));
                    }
                }
                match places.last() {
                    Some(last) if places.len() == CIPHERTEXT_PLACES => from = last + 1,
                    _ => break,
                }
            }
            for record in tail.find_ciphertext(key, state.covered..state.records) {
                if is_it(record)? {
                    return Ok(Some(record));
                }
            }
            Ok(None)
        })
    }

    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let key = u64::from_be_bytes(*tag);
        self.look_up(|tx, tail, state| {
            let wanted = Wanted { key, from, limit };
            let mut found = runs::find(tx, KIND_TAG, &wanted, state.covered, self.index.hints())?;
            // All of them are behind those in runs.
            let newest = state.covered.max(from)..state.records;
            found.extend(tail.find_tag(key, newest, limit - found.len()));
            Ok(found)
        })
    }

    fn statement(&self, signer: &str, sequence: u64) -> Result<Option<u64>, StoreError> {
        if i64::try_from(sequence).is_err() {
            return Ok(None);
        }
        self.pool.read(|tx| writer::statement_height(tx, signer, sequence))
    }

    fn derived(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.pool.read(|tx| derived(tx, key))
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = self.pool.read(|tx| {
            let mut s = StoreStats::default();
            let sql = "SELECT size, records, text_bytes, body_bytes, stored_body_bytes FROM head";
            let sizes: Option<(u64, u64, u64, u64, u64)> = tx
                .prepare_cached(sql)?
                .query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
                .optional()?;
            (s.blocks, s.records, s.text_bytes, s.body_bytes, s.stored_body_bytes) =
                sizes.unwrap_or_default();
            s.leaf_bytes = s.records * LEAF_INPUTS_LEN as u64;
            let sql = "SELECT count(*), ifnull(sum(length(value)), 0) FROM derived";
            (s.derived_rows, s.derived_bytes) =
                tx.prepare_cached(sql)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            for kind in KINDS {
                let (runs, chunks) = runs::totals(tx, kind)?;
                s.index_runs += runs;
                s.index_bytes += runs::bytes(chunks);
                s.index_tag_bytes += if kind == KIND_TAG { runs::bytes(chunks) } else { 0 };
            }
            s.tail_records = s.records.saturating_sub(index::state(tx)?.covered);
            Ok(s)
        })?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        stats.file_bytes = size(&self.path);
        stats.wal_bytes = size(&beside(&self.path, "-wal"));
        Ok(stats)
    }

    fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        self.rebuild(progress)
    }

    fn maintain(&self, budget: Duration) -> Result<bool, StoreError> {
        let writer = self.writer()?;
        let start = clock::monotonic();
        loop {
            if start.elapsed() >= budget {
                return Ok(true);
            }
            if self.merge_step(MAINTAIN_ENTRIES)? == 0 {
                break;
            }
        }
        writer.checkpoint()?;
        Ok(false)
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
