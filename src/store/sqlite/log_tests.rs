//! The log's thread at work, and what a failed sync means.
#![allow(clippy::unwrap_used)]

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

#[test]
fn after_a_failed_sync_nothing_is_written_and_the_log_is_kept_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let log_file = dir.path().join("a.db-wal");
    let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    (0..30).for_each(|height| append(&store, height).unwrap());
    let failing =
        |code| keeper(&store).instead(|| Err::<(), _>(Error::SqliteFailure(ffi::Error::new(code), None)));
    // A full disk is said when it is written to, and pages that could not be written are written again.
    failing(ffi::SQLITE_FULL).unwrap_err();
    failing(ffi::SQLITE_IOERR_WRITE).unwrap_err();
    append(&store, 30).unwrap();
    failing(ffi::SQLITE_IOERR_FSYNC).unwrap_err();
    let refused = |r: Result<(), StoreError>| assert!(matches!(r, Err(StoreError::Unsynced { .. })), "{r:?}");
    refused(append(&store, 31));
    refused(store.erase(std::slice::from_ref(&(0..1))).map(drop));
    // Cutting the log would say that the disk has it all.
    assert!(store.scrub().is_err() && keeper(&store).copy(&open::copier(&path).unwrap()).is_err());
    assert_eq!(store.head().unwrap().unwrap().size, 31, "what is there can be read");
    drop(store);
    assert!(std::fs::metadata(&log_file).unwrap().len() > 12_000_000, "the log is not put away");
    // As if everything that was copied had been lost.
    let store = SqliteStore::open(&path, ORIGIN, false).unwrap();
    append(&store, 31).unwrap();
    store.scrub().unwrap();
    drop(store);
    assert!(!log_file.exists());
    assert_eq!(SqliteStore::open_read_only(&path).unwrap().head().unwrap().unwrap().size, 32);
}
