//! The one connection that appends and erases, and what happens when a commit fails.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::super::check::check_continues;
use super::super::{Head, NewBlock, StoreError};
use super::chunks::{BODIES, LEAVES};
use super::fault::{commit_in_doubt, fault};
use super::held::Held;
use super::index::IndexStep;
use super::log::{LogKeeper, MAX_LOG_BYTES, WAL};
use super::open::{BUSY_TIMEOUT, writer};
use super::stored;
use crate::base::paths::beside;

/// How long scrubbing waits for readers to let go of the log.
const SCRUB_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    origin: String,
    /// `None` after a commit in doubt, until it is settled.
    conn: Mutex<Option<Connection>>,
    /// Whether `conn` is `None`, for those who only want to know.
    in_doubt: AtomicBool,
    pub(super) log: LogKeeper,
}

/// What an append is made of, prepared before the writer is taken.
pub(super) struct Append<'a> {
    pub(super) expected_size: u64,
    pub(super) blocks: &'a [NewBlock],
    pub(super) derived: &'a [(String, Vec<u8>)],
    pub(super) head: &'a Head,
    /// What it does for the index, if anything.
    pub(super) index: Option<&'a IndexStep>,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        origin: String,
        mut conn: Connection,
        held: Arc<Held>,
    ) -> Result<Writer, rusqlite::Error> {
        let log = LogKeeper::new(path.clone(), held);
        log.watch(&mut conn)?;
        Ok(Writer { log, path, origin, conn: Mutex::new(Some(conn)), in_doubt: AtomicBool::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As after a commit in doubt that could not be settled.
    #[cfg(test)]
    pub(super) fn lose_connection(&self) {
        *self.lock() = None;
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Makes sure that no commit is in doubt, settling it if there is one.
    pub(super) fn settled(&self) -> Result<(), StoreError> {
        match self.in_doubt.load(Ordering::Acquire) {
            false => Ok(()),
            true => self.connection(&mut self.lock()).map(|_| ()),
        }
    }

    /// Runs `f` in a transaction that only writes what can be written again: an error in it needs no more
    /// than a second attempt.
    pub(super) fn disposable<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        self.repeatable(|tx| f(tx).map_err(|e| self.fault(&e)))
    }

    /// [`Writer::disposable`] for what has errors of its own.
    pub(super) fn repeatable<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut guard = self.lock();
        let conn = self.connection(&mut guard)?;
        self.transaction(conn, f).map_err(|e| match e {
            Failed::Before(e) => e,
            Failed::Commit(e) => self.fault(&e),
        })
    }

    /// One durable transaction.
    pub(super) fn append(&self, append: &Append<'_>) -> Result<(), StoreError> {
        let mut guard = self.lock();
        let conn = self.connection(&mut guard)?;
        match self.transaction(conn, |tx| self.write(tx, append)) {
            Ok(()) => {
                self.bound_log(conn);
                Ok(())
            }
            Err(Failed::Before(e)) => Err(e),
            Err(Failed::Commit(e)) if !commit_in_doubt(&e) => Err(self.fault(&e)),
            Err(Failed::Commit(e)) => {
                // Failed and persisted, or failed and not persisted? Neither may be guessed.
                *guard = None;
                self.in_doubt.store(true, Ordering::Release);
                let uncertain =
                    StoreError::Uncertain { place: self.path.display().to_string(), why: e.to_string() };
                let Ok(conn) = self.connection(&mut guard) else { return Err(uncertain) };
                match read_head(conn).map_err(|_| uncertain)? {
                    Some(stored) if stored == *append.head => Ok(()),
                    _ => Err(self.fault(&e)),
                }
            }
        }
    }

    /// The connection; opened anew if a commit is in doubt, and then made to have a definite state.
    ///
    /// After a failed fsync a whole transaction may lie in the log without being known to this process, and
    /// become valid at the next start. Emptying the log into the database settles it: what is in
    /// the database then is durable, and what is not is gone.
    fn connection<'a>(&self, slot: &'a mut Option<Connection>) -> Result<&'a Connection, StoreError> {
        if slot.is_none() {
            let uncertain = |why| StoreError::Uncertain { place: self.path.display().to_string(), why };
            let mut conn = writer(&self.path, &self.origin, false).map_err(|e| uncertain(e.to_string()))?;
            self.log.watch(&mut conn).map_err(|e| uncertain(e.to_string()))?;
            self.empty_log(&conn).map_err(|e| uncertain(e.to_string()))?;
            self.in_doubt.store(false, Ordering::Release);
            *slot = Some(conn);
        }
        slot.as_ref().ok_or_else(|| StoreError::Engine {
            place: self.path.display().to_string(),
            why: "no connection".to_owned(),
        })
    }

    fn transaction<T>(
        &self,
        conn: &Connection,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, Failed> {
        if self.log.is_unsynced() {
            return Err(Failed::Before(StoreError::Unsynced { place: self.path.display().to_string() }));
        }
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)
            .map_err(|e| Failed::Before(self.fault(&e)))?;
        let out = f(&tx).map_err(Failed::Before)?;
        tx.commit().map_err(Failed::Commit)?;
        self.log.committed(conn);
        Ok(out)
    }

    fn write(&self, tx: &Transaction<'_>, a: &Append<'_>) -> Result<(), StoreError> {
        let sql = |e| self.fault(&e);
        let (found, records) = read_size(tx).map_err(sql)?;
        if found != a.expected_size {
            return Err(StoreError::Conflict { expected: a.expected_size, found });
        }
        check_continues(records, a.blocks, a.head)?;
        let mut stored_bytes = 0;
        for b in a.blocks {
            if let Some(height) = statement_height(tx, &b.signer, b.sequence).map_err(sql)? {
                let (signer, sequence) = (b.signer.clone(), b.sequence);
                return Err(StoreError::DuplicateStatement { signer, sequence, height });
            }
            stored_bytes += write_block(tx, b).map_err(sql)?;
        }
        write_rest(tx, a, stored_bytes).map_err(sql)
    }

    /// Copies the log into the database in a quiet moment, without waiting for readers.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        let mut guard = self.lock();
        let conn = self.connection(&mut guard)?;
        self.log.copy(conn).map_err(|e| self.fault(&e))
    }

    /// Copies the log into the database and cuts it to nothing: what it held of older states is gone.
    pub(super) fn scrub(&self) -> Result<(), StoreError> {
        let mut guard = self.lock();
        let conn = self.connection(&mut guard)?;
        // Appends wait for this: rather try again than wait long for a reader.
        conn.busy_timeout(SCRUB_TIMEOUT).map_err(|e| self.fault(&e))?;
        let emptied = self.empty_log(conn);
        conn.busy_timeout(BUSY_TIMEOUT).map_err(|e| self.fault(&e))?;
        emptied.map_err(|e| self.fault(&e))
    }

    /// Keeps the log from growing for ever. What was appended is durable: an error here is none of it.
    fn bound_log(&self, conn: &Connection) {
        if self.log_bytes() > MAX_LOG_BYTES {
            let _ = self.empty_log(conn);
        }
    }

    /// Copies the whole log into the database and cuts it to nothing, waiting for readers to let go of it.
    fn empty_log(&self, conn: &Connection) -> Result<(), rusqlite::Error> {
        let empty = || conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0));
        let busy: bool = self.log.instead(empty)?;
        match busy {
            false => Ok(()),
            true => Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                Some("readers hold the write-ahead log".to_owned()),
            )),
        }
    }

    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(beside(&self.path, WAL)).map_or(0, |m| m.len())
    }

    pub(super) fn corrupt(&self, why: String) -> StoreError {
        StoreError::Corrupt { place: self.path.display().to_string(), why }
    }

    pub(super) fn fault(&self, e: &rusqlite::Error) -> StoreError {
        fault(&self.path, e)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.log.end(self.conn.get_mut().unwrap_or_else(PoisonError::into_inner).as_ref());
    }
}

/// Where a transaction failed.
enum Failed {
    /// Before its commit: rolled back, without doubt.
    Before(StoreError),
    /// In its commit.
    Commit(rusqlite::Error),
}

/// The stored head.
pub(super) fn read_head(conn: &Connection) -> Result<Option<Head>, rusqlite::Error> {
    conn.prepare_cached("SELECT size, records, checkpoint, state FROM head")?
        .query_row([], |r| {
            Ok(Head { size: r.get(0)?, records: r.get(1)?, checkpoint: r.get(2)?, state: r.get(3)? })
        })
        .optional()
}

/// Blocks and records stored.
pub(super) fn read_size(conn: &Connection) -> Result<(u64, u64), rusqlite::Error> {
    let row = conn
        .prepare_cached("SELECT size, records FROM head")?
        .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// The block with a statement.
pub(super) fn statement_height(
    conn: &Connection,
    signer: &str,
    sequence: u64,
) -> Result<Option<u64>, rusqlite::Error> {
    conn.prepare_cached("SELECT height FROM block WHERE signer = ?1 AND sequence = ?2")?
        .query_row(params![signer, sequence], |r| r.get(0))
        .optional()
}

/// Writes one block; answers with the length of its body as it is stored.
fn write_block(tx: &Transaction<'_>, b: &NewBlock) -> Result<usize, rusqlite::Error> {
    tx.prepare_cached(
        "INSERT INTO block (height, first_record, records, sequence, signer, tags, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        b.height,
        b.first_record,
        b.records,
        b.sequence,
        b.signer,
        b.tags.len(),
        b.text
    ])?;
    let height = b.height as i64;
    LEAVES.write(tx, height, &b.leaf_inputs)?;
    let body = b.body.as_deref().unwrap_or_default();
    // What does not decode was refused before.
    let packed = if b.records > 0 { stored::pack(body, &b.leaf_inputs).ok() } else { None };
    let body = packed.as_deref().unwrap_or(body);
    BODIES.write(tx, height, body)?;
    Ok(body.len())
}

/// Everything but the blocks: index, derived values, head.
fn write_rest(tx: &Transaction<'_>, a: &Append<'_>, stored_bytes: usize) -> Result<(), rusqlite::Error> {
    if let Some(index) = a.index {
        index.write(tx)?;
    }
    let mut derived = tx.prepare_cached(
        "INSERT INTO derived (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?;
    for (key, value) in a.derived {
        derived.execute(params![key, value])?;
    }
    let text_bytes: usize = a.blocks.iter().map(|b| b.text.len()).sum();
    let body_bytes: usize = a.blocks.iter().map(|b| b.body.as_ref().map_or(0, Vec::len)).sum();
    let h = a.head;
    tx.prepare_cached(
        "INSERT INTO head (id, size, records, text_bytes, body_bytes, stored_body_bytes, checkpoint, state)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET size = ?1, records = ?2, text_bytes = text_bytes + ?3,
             body_bytes = body_bytes + ?4, stored_body_bytes = stored_body_bytes + ?5, checkpoint = ?6, state = ?7",
    )?
    .execute(params![h.size, h.records, text_bytes, body_bytes, stored_bytes, h.checkpoint, h.state])?;
    Ok(())
}
