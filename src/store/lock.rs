//! One server per database: an exclusive lock on a file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::base::owner;
use crate::base::paths::beside;

/// Longest part of the lock file's content that is shown to a person, in bytes.
const MAX_HOLDER_BYTES: u64 = 20;

/// Held for as long as the value lives. The operating system drops the lock with the process, so a crash
/// leaves none behind; the file itself stays.
#[derive(Debug)]
pub struct LockFile {
    // Closing it releases the lock.
    _file: File,
    path: PathBuf,
}

impl LockFile {
    /// The lock file of a database.
    pub fn path_for(database: &Path) -> PathBuf {
        beside(database, ".lock")
    }

    /// Locks the database `database` by its companion `<database>.lock`. [`StoreError::Locked`] names the
    /// process that has it.
    pub fn acquire(database: &Path) -> Result<LockFile, StoreError> {
        let path = LockFile::path_for(database);
        let fail = |e: std::io::Error| StoreError::CannotOpen {
            place: path.display().to_string(),
            why: match e.kind() {
                std::io::ErrorKind::PermissionDenied => owner::denied(&path),
                _ => e.to_string(),
            },
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    place: database.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        // Only a note for people: the lock is what counts, so a full disk must not prevent a start.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(LockFile { _file: file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Who wrote the lock file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(MAX_HOLDER_BYTES).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn second_lock_is_refused_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("ledger.db");
        let first = LockFile::acquire(&db).unwrap();
        assert_eq!(first.path(), dir.path().join("ledger.db.lock"));
        let error = LockFile::acquire(&db).unwrap_err();
        assert!(matches!(&error, StoreError::Locked { holder, .. }
            if *holder == format!("process {}", std::process::id())));
        assert!(error.to_string().contains("stop that one first"));
        drop(first);
        LockFile::acquire(&db).unwrap();
    }

    #[test]
    fn lock_in_a_missing_directory_says_where() {
        let error = LockFile::acquire(Path::new("/nonexistent/ledger.db")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ledger.db.lock"));
    }
}
