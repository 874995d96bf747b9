//! The default store: one SQLite file.
//!
//! One connection writes, behind a mutex; a few read, each on a snapshot, and never wait for it. Blocks
//! are written as long rows at the end of tables (`chunks`), the look-up index as sorted runs (`runs`).

mod chunks;
mod erase;
mod fault;
mod open;
mod pool;
mod rebuild;
mod runs;
mod schema;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use self::chunks::{BODIES, LEAVES};
use self::open::{ReadMode, beside};
use self::pool::Pool;
use self::runs::{Entry, KIND_CIPHERTEXT, KIND_TAG, KINDS};
use self::writer::{Append, Writer};
use super::check::{MAX_INDEX, check_append};
use super::{BlockInfo, BlockTag, Head, NewBlock, Store, StoreError, StoreStats, StoredRecord};
use crate::base::batch::Body;
use crate::base::clock;
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::MAX_BATCH_BYTES;
use crate::base::record::{LEAF_INPUTS_LEN, Tag};

/// A ledger's database file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    origin: String,
    // Before the writer: the connection closed last must be one that can put the log away.
    pool: Pool,
    writer: Option<Writer>,
    /// Held while index runs are merged or rebuilt.
    maintenance: Mutex<()>,
}

type SqlResult<T> = Result<T, rusqlite::Error>;

impl SqliteStore {
    /// Opens the database at `path` for the ledger `origin`; with `create`, makes it if there is none. Take
    /// a [`LockFile`](super::LockFile) first: SQLite itself would let two servers take turns.
    pub fn open(path: &Path, origin: &str, create: bool) -> Result<SqliteStore, StoreError> {
        let conn = open::writer(path, origin, create)?;
        let writer = Writer::new(path.to_owned(), origin.to_owned(), conn);
        Ok(SqliteStore::new(path, origin.to_owned(), ReadMode::Shared, Some(writer)))
    }

    /// Opens a database to read it, whatever ledger it is of: beside its server, or a copy with or without
    /// its `-wal` file, also where nothing can be written. In that last case the copy must not change.
    pub fn open_read_only(path: &Path) -> Result<SqliteStore, StoreError> {
        let (mode, origin) = open::read_only(path)?;
        Ok(SqliteStore::new(path, origin, mode, None))
    }

    fn new(path: &Path, origin: String, mode: ReadMode, writer: Option<Writer>) -> SqliteStore {
        let pool = Pool::new(path.to_owned(), mode);
        SqliteStore { path: path.to_owned(), origin, pool, writer, maintenance: Mutex::new(()) }
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
    Ok(block.filter(|b| (record as u64) - b.first_record < u64::from(b.records)))
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

/// A block's body; empty if there is none. Erasing leaves some zero bytes behind it.
fn body(conn: &Connection, height: i64) -> SqlResult<Vec<u8>> {
    let mut bytes = BODIES.read_all(conn, height)?;
    bytes.truncate(Body::encoded_len(&bytes).unwrap_or(bytes.len()));
    Ok(bytes)
}

/// Whether an index covers every record; if not, how many it covers of how many.
fn whole(conn: &Connection, kind: i64) -> SqlResult<Result<(), (u64, u64)>> {
    let (covered, records) = (writer::index_covers(conn, kind)?, writer::read_size(conn)?.1);
    Ok(if covered == records { Ok(()) } else { Err((covered, records)) })
}

/// Sorted index entries of consecutive records, from their leaf inputs.
fn ciphertext_entries(first_record: u64, leaf_inputs: &[u8], out: &mut Vec<Entry>) {
    for (record, inputs) in (first_record..).zip(leaf_inputs.chunks_exact(LEAF_INPUTS_LEN)) {
        out.extend(inputs.first_chunk().map(|k| runs::entry(u64::from_be_bytes(*k), record)));
    }
}

/// Index entries of a block's tags.
fn tag_entries(first_record: u64, tags: &[BlockTag], out: &mut Vec<Entry>) {
    out.extend(tags.iter().map(|(tag, position)| runs::entry(*tag, first_record + u64::from(*position))));
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
        let (mut ciphertexts, mut tags) = (Vec::new(), Vec::new());
        for b in blocks {
            ciphertext_entries(b.first_record, &b.leaf_inputs, &mut ciphertexts);
            tag_entries(b.first_record, &b.tags, &mut tags);
        }
        ciphertexts.sort_unstable();
        // Each block's come sorted: the stable sort merges them.
        tags.sort();
        let entries = [(KIND_CIPHERTEXT, ciphertexts), (KIND_TAG, tags)];
        writer.append(&Append { expected_size, blocks, derived, head, entries })
    }

    fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        let writer = self.writer()?;
        // A merge that was prepared before would bring the tags back.
        let _only = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        writer.erase(records)
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
        let bytes = |records: usize| records.saturating_mul(LEAF_INPUTS_LEN).min(MAX_BATCH_BYTES);
        self.pool.read(|tx| {
            let mut out = Vec::new();
            // Beyond the longest block another one's rows would follow.
            let len = bytes(count).min(MAX_BATCH_BYTES - bytes(first));
            LEAVES.read(tx, height, bytes(first), len, &mut out)?;
            Ok(out)
        })
    }

    fn body(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(height) = key(height) else { return Ok(None) };
        let bytes = self.pool.read(|tx| body(tx, height))?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    fn body_part(&self, height: u64, offset: usize, len: usize) -> Result<Vec<u8>, StoreError> {
        let Some(height) = key(height) else { return Ok(Vec::new()) };
        self.pool.read(|tx| {
            let mut out = Vec::new();
            BODIES.read(tx, height, offset, len, &mut out)?;
            Ok(out)
        })
    }

    fn record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError> {
        let Some(index) = key(record) else { return Ok(None) };
        let found = self.pool.read(|tx| {
            let Some(info) = block_of_record(tx, index)? else { return Ok(None) };
            let front = body_front(tx, &info)?;
            let position = (record - info.first_record) as u32;
            let place = Body::locate(&front, position as usize);
            let mut bytes = Vec::new();
            if let Ok((at, len)) = place {
                BODIES.read(tx, info.height as i64, at, len, &mut bytes)?;
            }
            Ok(Some((info, position, front, place, bytes)))
        })?;
        let Some((info, position, mut front, place, bytes)) = found else { return Ok(None) };
        let (_, len) = place.map_err(|e| self.corrupt(format!("body of block {}: {e}", info.height)))?;
        if bytes.len() != len {
            return Err(self.corrupt(format!("the body of block {} is cut short", info.height)));
        }
        let header_len = front.len() - Body::front_len(0, info.records as usize);
        front.truncate(8 + header_len);
        Ok(Some(StoredRecord { info, position, header: front.split_off(8), record: bytes }))
    }

    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        let prefix = hash.0.first_chunk().map_or(0, |k| u64::from_be_bytes(*k));
        let found = self.pool.read(|tx| {
            if let Err(gap) = whole(tx, KIND_CIPHERTEXT)? {
                return Ok(Err(gap));
            }
            let mut stored = Vec::with_capacity(HASH_LEN);
            for record in runs::find(tx, KIND_CIPHERTEXT, prefix, 0, usize::MAX)? {
                let Some(block) = block_of_record(tx, record as i64)? else { continue };
                let offset = (record - block.first_record) as usize * LEAF_INPUTS_LEN;
                stored.clear();
                LEAVES.read(tx, block.height as i64, offset, HASH_LEN, &mut stored)?;
                if stored == hash.0 {
                    return Ok(Ok(Some(record)));
                }
            }
            Ok(Ok(None))
        })?;
        found.map_err(|gap| self.incomplete(gap))
    }

    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let found = self.pool.read(|tx| match whole(tx, KIND_TAG)? {
            Err(gap) => Ok(Err(gap)),
            Ok(()) => Ok(Ok(runs::find(tx, KIND_TAG, u64::from_be_bytes(*tag), from, limit)?)),
        })?;
        found.map_err(|gap| self.incomplete(gap))
    }

    fn statement(&self, signer: &str, sequence: u64) -> Result<Option<u64>, StoreError> {
        if i64::try_from(sequence).is_err() {
            return Ok(None);
        }
        self.pool.read(|tx| writer::statement_height(tx, signer, sequence))
    }

    fn derived(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.pool.read(|tx| {
            let sql = "SELECT value FROM derived WHERE key = ?1";
            tx.prepare_cached(sql)?.query_row(params![key], |r| r.get(0)).optional()
        })
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = self.pool.read(|tx| {
            let mut s = StoreStats::default();
            let sql = "SELECT size, records, text_bytes, body_bytes FROM head";
            let sizes: Option<(u64, u64, u64, u64)> = tx
                .prepare_cached(sql)?
                .query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
                .optional()?;
            (s.blocks, s.records, s.text_bytes, s.body_bytes) = sizes.unwrap_or_default();
            s.leaf_bytes = s.records * LEAF_INPUTS_LEN as u64;
            let sql = "SELECT count(*), ifnull(sum(length(value)), 0) FROM derived";
            (s.derived_rows, s.derived_bytes) =
                tx.prepare_cached(sql)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            for kind in KINDS {
                let (runs, entries) = runs::totals(tx, kind)?;
                s.index_runs += runs;
                s.index_bytes += entries * runs::ENTRY_BYTES as u64;
            }
            Ok(s)
        })?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        stats.file_bytes = size(&self.path);
        stats.wal_bytes = size(&beside(&self.path, "-wal"));
        Ok(stats)
    }

    fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let _only = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.writer()?.rebuild(progress)
    }

    fn maintain(&self, budget: Duration) -> Result<bool, StoreError> {
        let writer = self.writer()?;
        let _only = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let start = clock::monotonic();
        loop {
            if start.elapsed() >= budget {
                return Ok(true);
            }
            // The reading and sorting is done beside the appends, only the writing takes their place.
            let next = |tx: &Connection| {
                KINDS.iter().find_map(|kind| runs::prepare_merge(tx, *kind).transpose()).transpose()
            };
            match self.pool.read(|tx| next(tx))? {
                Some(merge) => writer.disposable(|tx| runs::finish_merge(tx, &merge))?,
                None => break,
            }
        }
        writer.checkpoint()?;
        Ok(false)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
