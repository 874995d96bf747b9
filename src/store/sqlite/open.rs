//! Opening connections: for writing, for reading beside a writer, and for reading a copy that lies where
//! nothing can be written.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Result, TransactionBehavior};

use super::super::StoreError;
use super::disk;
use super::fault::fault;
use super::log::{self, JOURNAL_SIZE_LIMIT, WAL};
use super::schema::{self, PAGE_BYTES};
use crate::base::limits::MAX_STORED_ROW_BYTES;
use crate::base::paths::beside;

/// How long to wait for another process before an operation fails as busy.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of the writer, in KiB: an append of a large batch or two, so that it is not written in pieces.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// Page cache of the connection that copies the log, in KiB: it reads hardly anything.
const COPIER_CACHE_KIB: i64 = 64;
/// Prepared statements kept per connection: all this module has.
const STATEMENTS: usize = 64;

/// How readers reach the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadMode {
    /// With locks and shared memory, beside a writer in this or another process.
    Shared,
    /// Nothing can be written beside the file, but a write-ahead log lies there: no locks, and the log's
    /// index is built in memory. The file must not change meanwhile.
    Private,
    /// Nothing can be written beside the file, and no write-ahead log is there. The file must not change
    /// meanwhile.
    Immutable,
}

/// Settings every connection gets. No memory mapping: an I/O error would be a signal, not an error. The
/// file may come from somebody else: no functions from its schema, and pages are checked when read.
fn configure(conn: &Connection) -> Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_STORED_ROW_BYTES as i32)?;
    conn.pragma_update(None, "mmap_size", 0)
}

/// Bounds the page cache. SQLite turns the size into a number of pages of the size the file has now, and keeps that number: set
/// before a new file has got its pages, the cache would be four times as large.
fn bound_cache(conn: &Connection, cache_kib: i64) -> Result<()> {
    conn.pragma_update(None, "cache_size", -cache_kib)
}

/// The connection that writes. Creates the file and its tables if `create` and there are none.
pub(super) fn writer(path: &Path, origin: &str, create: bool) -> std::result::Result<Connection, StoreError> {
    let sql = |e| fault(path, &e);
    exists(path, create)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let mut conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    configure(&conn).map_err(sql)?;
    if create && schema::is_blank(&conn).map_err(sql)? {
        conn.pragma_update(None, "page_size", PAGE_BYTES as i64).map_err(sql)?;
        enter_wal(&conn, path)?;
        durable(&conn).map_err(sql)?;
        schema::create(&mut conn, origin).map_err(sql)?;
    }
    bound_cache(&conn, WRITER_CACHE_KIB).map_err(sql)?;
    let found = schema::check(&conn, path)?;
    if found != origin {
        let place = path.display().to_string();
        return Err(StoreError::WrongLedger { place, found, expected: origin.to_owned() });
    }
    enter_wal(&conn, path)?;
    durable(&conn).map_err(sql)?;
    keep_log(&conn).map_err(sql)?;
    if conn.is_readonly("main").map_err(sql)? {
        let why = "file or file system is read-only".to_owned();
        return Err(StoreError::NotWritable { place: path.display().to_string(), why });
    }
    // With SQLite's own lock: there may be other stores on the file.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    log::write_again(path).map_err(|e| disk(path, &e))?;
    tx.rollback().map_err(sql)?;
    Ok(conn)
}

/// Every commit is on the disk when it returns, also on systems where fsync alone does not reach it.
///
/// Deleted content is overwritten: an erasure must not leave ciphertext in free pages. It costs only when
/// something is deleted, which an append never does.
fn durable(conn: &Connection) -> Result<()> {
    // No content in temporary files either.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", JOURNAL_SIZE_LIMIT as i64, |_| Ok(()))?;
    // See `log`.
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
}

/// A connection that only copies the log into the database, beside the writer's.
pub(super) fn copier(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    configure(&conn)?;
    bound_cache(&conn, COPIER_CACHE_KIB)?;
    durable(&conn)?;
    keep_log(&conn)?;
    Ok(conn)
}

/// Closing the last connection to a database deletes its log, after copying what SQLite believes is not copied yet; after a failed sync
/// (see `log`) that is too little. So connections leave the log where it is, unless they are told otherwise.
fn keep_log(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

fn enter_wal(conn: &Connection, path: &Path) -> std::result::Result<(), StoreError> {
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |r| r.get(0))
        .map_err(|e| fault(path, &e))?;
    if mode != "wal" {
        let why = format!("no write-ahead log can be used there, journal mode is {mode}: use a local disk");
        return Err(StoreError::CannotOpen { place: path.display().to_string(), why });
    }
    Ok(())
}

/// A missing file gets an error of its own; SQLite's says only "unable to open".
fn exists(path: &Path, create: bool) -> std::result::Result<(), StoreError> {
    let place = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(m) if m.is_dir() => Err(StoreError::NotADatabase { place, why: "it is a directory".to_owned() }),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Missing { place }),
        Err(e) => Err(StoreError::CannotOpen { place, why: e.to_string() }),
    }
}

/// A connection that reads.
pub(super) fn reader(path: &Path, mode: ReadMode) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match mode {
        ReadMode::Shared => Connection::open_with_flags(path, flags)?,
        ReadMode::Private => {
            // Exclusive locking mode keeps the log's index in memory; this VFS makes the lock a no-op.
            let conn = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
            conn.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
            conn
        }
        ReadMode::Immutable => {
            Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    configure(&conn)?;
    bound_cache(&conn, READER_CACHE_KIB)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Checks a database that was opened, and gives its origin.
type Check = fn(&Connection, &Path) -> std::result::Result<String, StoreError>;

/// Finds the way in which a file can be read that nobody here may write, and its origin. A `damaged` one only has to be of this program.
pub(super) fn read_only(path: &Path, damaged: bool) -> std::result::Result<(ReadMode, String), StoreError> {
    let check: Check = if damaged { schema::identify_damaged } else { schema::check };
    exists(path, false)?;
    let attempt = |mode| {
        let conn = reader(path, mode).map_err(|e| fault(path, &e))?;
        Ok((mode, check(&conn, path)?))
    };
    match attempt(ReadMode::Shared) {
        // Shared memory can be neither found nor made beside the file.
        Err(StoreError::CannotOpen { .. } | StoreError::Full { .. } | StoreError::NotWritable { .. }) => {}
        answer => return answer,
    }
    let log = std::fs::metadata(beside(path, WAL));
    attempt(if log.is_ok_and(|m| m.len() > 0) { ReadMode::Private } else { ReadMode::Immutable })
}

/// `path` as an SQLite URI with `immutable=1`. <https://sqlite.org/uri.html>
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for b in path.as_os_str().as_encoded_bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*b)),
            _ => {
                let _ = write!(uri, "%{b:02x}");
            }
        }
    }
    uri + "?immutable=1"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_cache_of_a_new_file_is_bounded_as_that_of_an_old_one() {
        for create in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger.db");
            if !create {
                drop(writer(&path, "example.org/log", true).unwrap());
            }
            let conn = writer(&path, "example.org/log", create).unwrap();
            let log = || std::fs::metadata(beside(&path, WAL)).unwrap().len();
            let before = log();
            conn.execute_batch("BEGIN; CREATE TABLE large (data BLOB)").unwrap();
            for _ in 0..40 {
                conn.execute("INSERT INTO large VALUES (zeroblob(1048576))", []).unwrap();
            }
            // 40 MiB do not fit the cache: some of them went to the log already.
            assert!(log() > before + 4 * 1024 * 1024, "created now: {create}");
            conn.execute_batch("ROLLBACK").unwrap();
        }
    }
}
