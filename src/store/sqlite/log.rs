//! The write-ahead log: copied into the database by a thread of its own, so that appends go on meanwhile.
//!
//! A log can start anew only when all of it is copied, and beside appends something always is not. So appends copy the last bit
//! themselves, once the log has grown to [`LOG_BYTES`]; the thread has then copied nearly all of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Result};

use super::open;
use super::schema::PAGE_BYTES;

/// Growth of the log after which the thread copies again, in bytes.
const COPY_BYTES: usize = 8 * 1024 * 1024;
/// Size of the log at which an append sees to it that the log can start anew, in bytes. Larger values make this rarer, and
/// recovery after a hard stop longer.
pub(super) const LOG_BYTES: usize = 32 * 1024 * 1024;

/// Copies the log of one database.
#[derive(Debug)]
pub(super) struct LogKeeper {
    path: PathBuf,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicUsize>,
    /// Pages in the log when the thread was last woken.
    told: AtomicUsize,
    /// Held by whoever copies: SQLite would turn the second one away.
    copying: Arc<Mutex<()>>,
    /// Started when there is something to copy for the first time.
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl LogKeeper {
    pub(super) fn new(path: PathBuf) -> LogKeeper {
        LogKeeper {
            path,
            pages: Arc::default(),
            told: AtomicUsize::new(0),
            copying: Arc::default(),
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
            && let Ok(_copying) = self.copying.try_lock()
        {
            let _ = passive(conn);
        }
    }

    /// Copies what readers allow, now.
    pub(super) fn copy(&self, conn: &Connection) -> Result<()> {
        let _copying = self.exclude();
        passive(conn)
    }

    /// Keeps the thread from copying.
    pub(super) fn exclude(&self) -> MutexGuard<'_, ()> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Drop for LogKeeper {
    /// The thread's connection closes before the writer's, which puts the log away.
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((wake, thread)) = thread.take() {
            drop(wake);
            let _ = thread.join();
        }
    }
}

/// The thread. What fails is tried again with the next growth, or by an append.
fn keep(path: &Path, copying: &Mutex<()>, woken: &Receiver<()>) {
    let mut conn = None;
    while woken.recv().is_ok() {
        if conn.is_none() {
            conn = open::copier(path).ok();
        }
        if let Some(conn) = &conn {
            let _copying = copying.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = passive(conn);
        }
    }
}

fn passive(conn: &Connection) -> Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
