//! SQLite's error codes in the terms of [`StoreError`]. <https://sqlite.org/rescode.html>

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use super::super::StoreError;

/// What an SQLite error about the database at `path` means.
pub(super) fn fault(path: &Path, error: &Error) -> StoreError {
    let place = path.display().to_string();
    let why = error.to_string();
    let Some(code) = error.sqlite_error() else {
        // A column of another type than the schema says, and the like.
        return StoreError::Corrupt { place, why };
    };
    match code.code {
        // A page that should be there is beyond the end of the file.
        _ if code.extended_code == ffi::SQLITE_IOERR_SHORT_READ => StoreError::Corrupt { place, why },
        // A sector that cannot be read, which SQLite itself calls so everywhere but in the first pages it reads.
        _ if code.extended_code == ffi::SQLITE_IOERR_CORRUPTFS => StoreError::Corrupt { place, why },
        ErrorCode::DiskFull | ErrorCode::SystemIoFailure => StoreError::Full { place, why },
        ErrorCode::ReadOnly => StoreError::NotWritable { place, why },
        // Longer than a row of ours can be.
        ErrorCode::TooBig => StoreError::Corrupt { place, why },
        ErrorCode::DatabaseCorrupt | ErrorCode::TypeMismatch => StoreError::Corrupt { place, why },
        ErrorCode::NotADatabase => StoreError::NotADatabase { place, why },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            StoreError::Busy { place, why }
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => StoreError::CannotOpen { place, why },
        _ => StoreError::Engine { place, why },
    }
}

/// Whether a commit that failed so may be on the disk all the same. Only "disk full" rules it out: the
/// frame that makes a transaction valid is the last one written, and is then missing.
pub(super) fn commit_in_doubt(error: &Error) -> bool {
    !matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn of(code: i32) -> StoreError {
        fault(Path::new("a.db"), &Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn codes_have_the_right_consequence() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR] {
            assert!(matches!(of(code), StoreError::Full { .. }), "{code}");
        }
        assert!(matches!(of(ffi::SQLITE_READONLY), StoreError::NotWritable { .. }));
        assert!(matches!(of(ffi::SQLITE_IOERR_SHORT_READ), StoreError::Corrupt { .. }));
        assert!(matches!(of(ffi::SQLITE_IOERR_CORRUPTFS), StoreError::Corrupt { .. }));
        assert!(matches!(of(ffi::SQLITE_CORRUPT_INDEX), StoreError::Corrupt { .. }));
        assert!(matches!(of(ffi::SQLITE_NOTADB), StoreError::NotADatabase { .. }));
        assert!(matches!(of(ffi::SQLITE_BUSY_RECOVERY), StoreError::Busy { .. }));
        assert!(matches!(of(ffi::SQLITE_CANTOPEN), StoreError::CannotOpen { .. }));
        assert!(matches!(of(ffi::SQLITE_NOMEM), StoreError::Engine { .. }));
        let failed = |code| commit_in_doubt(&Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(failed(ffi::SQLITE_IOERR_FSYNC) && !failed(ffi::SQLITE_FULL));
    }
}
