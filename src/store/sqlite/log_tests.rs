//! The log's thread at work, and what a failed sync means.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use super::super::SqliteStore;
use super::super::testing::{ORIGIN, block};
use super::*;
use crate::store::{Store, StoreError};

/// Appends a block of one record and 400 KB.
fn append(store: &SqliteStore, height: u64) -> Result<(), StoreError> {
    let (block, head) = block(height, height..height + 1, 400_000);
    store.append(height, &[block], &[], &head)
}

fn keeper(store: &SqliteStore) -> &LogKeeper {
    &store.writer.as_ref().unwrap().log
}

#[test]
fn the_thread_copies_what_no_append_would_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    (0..20).for_each(|height| append(&store, height).unwrap());
    let log = store.stats().unwrap().wal_bytes as usize;
    assert!((3 * COPY_BYTES..LOG_BYTES).contains(&log), "{log}");
    let copied = || std::fs::metadata(&path).unwrap().len() as usize >= COPY_BYTES;
    let waited = (0..500).find(|_| {
        std::thread::sleep(Duration::from_millis(20));
        copied()
    });
    assert!(waited.is_some(), "nothing was copied in ten seconds");
}

#[test]
fn the_copying_connection_syncs_as_the_writer_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let _store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    let copier = open::copier(&path).unwrap();
    let pragma = |name: &str| copier.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(
        (pragma("synchronous"), pragma("checkpoint_fullfsync"), pragma("wal_autocheckpoint")),
        (2, 1, 0)
    );
}

/// Appends some blocks, copies half of them, and lets a sync fail. Gives the database file as it was before.
fn unsynced(path: &Path) -> (SqliteStore, Vec<u8>) {
    let store = SqliteStore::open(path, ORIGIN, true).unwrap();
    let before = std::fs::read(path).unwrap();
    let turn = keeper(&store).copying.turn();
    (0..15).for_each(|height| append(&store, height).unwrap());
    // Until this reader goes, no more than it sees is copied: if all were, SQLite would sync it and let the log start anew.
    let reader = Connection::open(path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM block").unwrap();
    (15..30).for_each(|height| append(&store, height).unwrap());
    drop(turn);
    let failing =
        |code| keeper(&store).instead(|| Err::<(), _>(Error::SqliteFailure(ffi::Error::new(code), None)));
    // A full disk is said when it is written to, and pages that could not be written are written again.
    failing(ffi::SQLITE_FULL).unwrap_err();
    failing(ffi::SQLITE_IOERR_WRITE).unwrap_err();
    append(&store, 30).unwrap();
    keeper(&store).copy(&open::copier(path).unwrap()).unwrap();
    append(&store, 31).unwrap();
    failing(ffi::SQLITE_IOERR_FSYNC).unwrap_err();
    assert!(std::fs::metadata(path).unwrap().len() > before.len() as u64 + 5_000_000, "some of it is copied");
    (store, before)
}

/// The disk has none of what was copied: everything must come from the log.
fn everything_is_in_the_log(path: &Path, before: &[u8]) {
    let log_file = beside(path, WAL);
    assert!(std::fs::metadata(&log_file).unwrap().len() > 12_000_000, "the log is not put away");
    std::fs::write(path, before).unwrap();
    let store = SqliteStore::open(path, ORIGIN, false).unwrap();
    assert_eq!(store.head().unwrap().unwrap().size, 32);
    for height in 0..32 {
        let (stored, _) = block(height, height..height + 1, 400_000);
        assert_eq!(store.body(height).unwrap(), stored.body, "{height}");
    }
    append(&store, 32).unwrap();
    store.scrub().unwrap();
    drop(store);
    assert!(!log_file.exists());
    assert_eq!(SqliteStore::open_read_only(path).unwrap().head().unwrap().unwrap().size, 33);
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_the_log_is_kept_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (store, before) = unsynced(&path);
    let refused = |r: Result<(), StoreError>| assert!(matches!(r, Err(StoreError::Unsynced { .. })), "{r:?}");
    refused(append(&store, 32));
    refused(store.erase(std::slice::from_ref(&(0..1))).map(drop));
    // Cutting the log would say that the disk has it all.
    assert!(store.scrub().is_err() && keeper(&store).copy(&open::copier(&path).unwrap()).is_err());
    assert_eq!(store.head().unwrap().unwrap().size, 32, "what is there can be read");
    drop(store);
    everything_is_in_the_log(&path, &before);
}

#[test]
fn after_a_failed_sync_and_a_commit_in_doubt_the_log_is_kept_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (store, before) = unsynced(&path);
    // The thread's connection is the last one now.
    store.writer.as_ref().unwrap().lose_connection();
    assert!(append(&store, 32).is_err());
    drop(store);
    everything_is_in_the_log(&path, &before);
}

/// Locks of this process on a file. `/proc/locks`: proc(5).
#[cfg(target_os = "linux")]
fn locks(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
    let pid = format!(" {} ", std::process::id());
    let all = std::fs::read_to_string("/proc/locks").unwrap();
    all.lines().filter(|l| l.contains(&pid) && l.contains(&inode)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_store_that_closes_takes_no_locks_of_another_one_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let first = SqliteStore::open(&path, ORIGIN, true).unwrap();
    (0..20).for_each(|height| append(&first, height).unwrap());
    let second = SqliteStore::open(&path, ORIGIN, false).unwrap();
    assert_eq!(second.head().unwrap().unwrap().size, 20);
    let file = std::fs::File::open(&path).unwrap();
    assert!(locks(&path) > 0);
    drop(first);
    assert!(locks(&path) > 0, "another process would take itself for the only one");
    // The check checks something.
    drop(file);
    assert_eq!(locks(&path), 0);
}
