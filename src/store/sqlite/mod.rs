//! The default store: one SQLite file.
//!
//! One connection appends and erases, behind a mutex; a second one only copies the log (`log`); a few read, each on a snapshot,
//! and never wait for it (`pool`).
//!
//! Blocks are written as long rows at the end of tables (`chunks`, `stored`) and read from there (`blocks`). The look-up index is
//! sorted runs (`runs`) and, for the newest records, memory (`tail`); `index` keeps the two together, `lookup` asks them.

mod blocks;
mod check;
mod chunks;
mod erase;
mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod held;
mod index;
mod log;
mod lookup;
mod open;
mod pool;
mod rebuild;
mod runs;
mod runs_codec;
mod runs_hints;
mod runs_merge;
mod schema;
mod stats;
mod stored;
mod tail;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::blocks::{
    block_info, block_of_record, block_text, block_texts, body, derived, key, leaf_range, text_of_record,
};
use self::chunks::{BODIES, LEAVES};
use self::held::Held;
use self::index::Index;
pub use self::log::{SHM, WAL};
use self::open::ReadMode;
use self::pool::Pool;
pub use self::stats::Space;
use self::writer::{Append, Writer};
use super::check::check_append;
use super::{BlockInfo, Head, NewBlock, ProofParts, Store, StoreError, StoreStats, StoredRecord};
use crate::base::clock;
use crate::base::hash::Hash;
use crate::base::limits::{INDEX_FANOUT, INDEX_SEGMENT_RECORDS, INDEX_SEGMENT_TAGS};
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
    // After all connections.
    _held: Arc<Held>,
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
        // Before the first connection, or other stores could take its locks away; a new file has no other stores.
        let held = Held::new(path).ok();
        if let Some(held) = &held {
            // Another store of this process knows what is copied, and closing a file would take its locks away.
            held.if_alone(|| log::forget_copied(path)).unwrap_or(Ok(())).map_err(|e| disk(path, &e))?;
        }
        let conn = open::writer(path, origin, create)?;
        let held = Arc::new(held.map_or_else(|| hold(path), Ok)?);
        let writer = Writer::new(path.to_owned(), origin.to_owned(), conn, held.clone())
            .map_err(|e| fault::fault(path, &e))?;
        Ok(SqliteStore::new(path, origin.to_owned(), ReadMode::Shared, Some(writer), held))
    }

    /// Opens a database to read it, whatever ledger it is of: beside its server, or a copy with or without
    /// its `-wal` file, also where nothing can be written. In that last case the copy must not change.
    pub fn open_read_only(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_to_read(path, false)
    }

    /// The same for a database that may be damaged: to find out what is, and to take what is whole out of it.
    pub fn open_damaged(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_to_read(path, true)
    }

    fn open_to_read(path: &Path, damaged: bool) -> Result<SqliteStore, StoreError> {
        let held = Held::new(path).ok();
        let (mode, origin) = open::read_only(path, damaged)?;
        let held = Arc::new(held.map_or_else(|| hold(path), Ok)?);
        Ok(SqliteStore::new(path, origin, mode, None, held))
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

    fn new(
        path: &Path,
        origin: String,
        mode: ReadMode,
        writer: Option<Writer>,
        held: Arc<Held>,
    ) -> SqliteStore {
        let pool = Pool::new(path.to_owned(), mode);
        let (index, maintenance) = (Index::default(), Mutex::new(()));
        SqliteStore { path: path.to_owned(), origin, pool, writer, index, maintenance, _held: held }
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

/// What a disk that cannot be read or written means.
fn disk(path: &Path, e: &std::io::Error) -> StoreError {
    let (place, why) = (path.display().to_string(), e.to_string());
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => StoreError::CannotOpen { place, why },
        _ => StoreError::Full { place, why },
    }
}

fn hold(path: &Path) -> Result<Held, StoreError> {
    let cannot =
        |e: std::io::Error| StoreError::CannotOpen { place: path.display().to_string(), why: e.to_string() };
    Held::new(path).map_err(cannot)
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
        self.pool.read(|tx| block_text(tx, height))
    }

    fn block_texts(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(from) = key(from) else { return Ok(Vec::new()) };
        let limit = i64::try_from(max).unwrap_or(i64::MAX);
        self.pool.read(|tx| block_texts(tx, from, limit, max_bytes))
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
        self.stored_record(record)
    }

    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        self.look_up_ciphertext(hash)
    }

    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.look_up_tag(tag, from, limit)
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
        self.read_stats()
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
