//! The write-ahead log: copied into the database by a thread of its own, so that appends go on meanwhile.
//!
//! A log can start anew only when all of it is copied, and beside appends something always is not. So appends copy the last bit
//! themselves, once the log has grown to [`LOG_BYTES`]; the thread has then copied nearly all of it. Copying is SQLite's checkpoint.
//!
//! SQLite syncs the database only with the last bit. So that there is little left to sync then, the thread does it after each copying.
//! If a sync fails, an operating system reports it once and forgets the pages, while SQLite takes those before the last bit for copied and
//! would not copy them again. So nothing is copied after a failed sync: the log then holds all that the database may have lost, and
//! the next start copies it anew: all of it ([`forget_copied`]).
//!
//! The same may have happened to the log itself. A process that starts reads it from the system's memory, where it is whole, and takes
//! for durable what the disk lost. So whoever goes on with a log first writes it again, as it stands ([`write_again`]).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, Result, ffi};

use super::held::Held;
use super::open;
use super::schema::PAGE_BYTES;
use crate::base::paths::beside;

/// What the names of the log and of the memory that connections share end in, after the database's.
pub const WAL: &str = "-wal";
/// See [`WAL`].
pub const SHM: &str = "-shm";

/// Growth of the log after which the thread copies again, in bytes. Larger values make commits that come meanwhile wait longer for
/// the disk.
const COPY_BYTES: usize = 2 * 1024 * 1024;
/// Size of the log at which an append sees to it that the log can start anew, in bytes. Larger values make this rarer, and
/// recovery after a hard stop longer.
const LOG_BYTES: usize = 24 * 1024 * 1024;
/// The log file is cut back to this size when it starts anew, in bytes. More than [`LOG_BYTES`] by a large append, or it would be cut
/// and grow again each time.
pub(super) const JOURNAL_SIZE_LIMIT: usize = LOG_BYTES + 8 * 1024 * 1024;
/// Size of the log at which appends wait for readers to let go of it, in bytes. Readers that always overlap would else keep it growing for
/// ever.
pub(super) const MAX_LOG_BYTES: u64 = 256 * 1024 * 1024;

/// Copies the log of one database.
#[derive(Debug)]
pub(super) struct LogKeeper {
    path: PathBuf,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicUsize>,
    /// Bytes in the log when the thread was last woken.
    told: AtomicUsize,
    copying: Arc<Copying>,
    /// Started when there is something to copy for the first time.
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

/// What those who copy share.
#[derive(Debug)]
struct Copying {
    /// Held by whoever copies: SQLite would turn the second one away.
    turn: Mutex<()>,
    held: Arc<Held>,
}

impl Copying {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what readers allow; for whoever has the turn.
    fn copy(&self, conn: &Connection) -> Result<()> {
        self.guarded(|| conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
    }

    /// Runs something that syncs the database, unless that failed before.
    fn guarded<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.held.is_unsynced() {
            return Err(unsynced());
        }
        let result = f();
        if let Err(e) = &result
            && e.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_IOERR_FSYNC)
        {
            self.held.set_unsynced();
        }
        result
    }
}

fn unsynced() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), Some("an earlier sync failed".to_owned()))
}

/// Where the shared memory beside a database says how many frames of the log are copied: `nBackfill`, 4 bytes.
/// <https://sqlite.org/walformat.html>, 2.1.
const COPIED_AT: u64 = 96;
/// Bytes of a log that are written again at a time.
const AGAIN_BYTES: usize = 1024 * 1024;

/// Has all of the log copied once more: what a process before this one copied was perhaps never synced. SQLite begins anew by itself if
/// nobody has the database open; but as long as any program reads it, such as `audit verify --file`, the note stays. For those who read, none
/// copied is always right: then they find in the log what is in the database too. Not while this process has the file open: closing the
/// shared memory would take away its locks.
pub(super) fn forget_copied(path: &Path) -> std::io::Result<()> {
    let mut shared = match OpenOptions::new().write(true).open(beside(path, SHM)) {
        Ok(shared) => shared,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    // Shorter: it says nothing, and is not to get longer.
    if shared.metadata()?.len() >= COPIED_AT + 4 {
        shared.seek(SeekFrom::Start(COPIED_AT))?;
        shared.write_all(&[0; 4])?;
    }
    Ok(())
}

/// Writes every byte of the log where it stands, and syncs: then the disk has what is read. For whoever may write to the log, and while
/// nobody else may.
pub(super) fn write_again(path: &Path) -> std::io::Result<()> {
    let mut log = match OpenOptions::new().read(true).write(true).open(beside(path, WAL)) {
        Ok(log) => log,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut part = vec![0; AGAIN_BYTES];
    loop {
        let at = log.stream_position()?;
        let len = log.read(&mut part)?;
        if len == 0 {
            return log.sync_data();
        }
        log.seek(SeekFrom::Start(at))?;
        log.write_all(part.get(..len).unwrap_or_default())?;
    }
}

impl LogKeeper {
    /// Of the database at `path`.
    pub(super) fn new(path: PathBuf, held: Arc<Held>) -> LogKeeper {
        LogKeeper {
            path,
            pages: Arc::default(),
            told: AtomicUsize::new(0),
            copying: Arc::new(Copying { turn: Mutex::default(), held }),
            thread: Mutex::new(None),
        }
    }

    /// Takes note of what this connection commits from now on; it no longer copies by itself.
    pub(super) fn watch(&self, conn: &mut Connection) -> Result<()> {
        let pages = self.pages.clone();
        conn.wal_hook(Some(move |_: &mut _, now: i32| {
            pages.store(usize::try_from(now).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
    }

    /// To be called after every commit. What was committed is durable: an error here is none of it.
    pub(super) fn committed(&self, conn: &Connection) {
        let bytes = self.pages.load(Ordering::Relaxed) * PAGE_BYTES;
        let told = self.told.load(Ordering::Relaxed);
        // It has started anew.
        let told = if bytes < told { 0 } else { told };
        if bytes >= told + COPY_BYTES {
            self.wake();
            self.told.store(bytes, Ordering::Relaxed);
        } else {
            self.told.store(told, Ordering::Relaxed);
        }
        // A thread that is copying gets the chance to end; the next commit asks again.
        if bytes >= 2 * LOG_BYTES {
            let _ = self.copy(conn);
        } else if bytes >= LOG_BYTES
            && let Ok(_turn) = self.copying.turn.try_lock()
        {
            let _ = self.copying.copy(conn);
        }
    }

    /// Copies what readers allow, now.
    pub(super) fn copy(&self, conn: &Connection) -> Result<()> {
        let _turn = self.copying.turn();
        self.copying.copy(conn)
    }

    /// Runs something else that syncs the database, while the thread does not copy.
    pub(super) fn instead<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let _turn = self.copying.turn();
        self.copying.guarded(f)
    }

    /// Whether a sync of the database failed: nothing more should be appended.
    pub(super) fn is_unsynced(&self) -> bool {
        self.copying.held.is_unsynced()
    }

    /// Ends the thread, with its connection. The writer's puts the log away when it closes, unless the log is still needed.
    pub(super) fn end(&mut self, conn: Option<&Connection>) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((wake, thread)) = thread.take() {
            drop(wake);
            let _ = thread.join();
        }
        if !self.is_unsynced()
            && let Some(conn) = conn
        {
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }

    fn wake(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (wake, woken) = sync_channel(1);
            let (path, copying) = (self.path.clone(), self.copying.clone());
            let run = move || keep(&path, &copying, &woken);
            // Without the thread appends copy everything themselves.
            *thread = std::thread::Builder::new().name("log".into()).spawn(run).ok().map(|t| (wake, t));
        }
        if let Some((wake, _)) = &*thread {
            // Full: it will copy this too.
            let _ = wake.try_send(());
        }
    }
}

/// The thread. What fails is tried again with the next growth, or by an append.
fn keep(path: &Path, copying: &Copying, woken: &Receiver<()>) {
    let mut conn = None;
    let mut file = None;
    while woken.recv().is_ok() {
        if conn.is_none() {
            conn = open::copier(path).ok();
        }
        if file.is_none() {
            file = copying.held.file(path).ok();
        }
        if let Some(conn) = &conn {
            let turn = copying.turn();
            let _ = copying.copy(conn);
            drop(turn);
        }
        // Without the turn: an append that copies the last bit meanwhile waits for the disk anyway.
        if let Some(file) = &file
            && file.sync_data().is_err()
        {
            copying.held.set_unsynced();
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
