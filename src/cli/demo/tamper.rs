//! What an attacker with a copy of the database does in the demo.

use std::path::Path;

use crate::auditor::open::open_bytes;
use crate::base::batch::Header;
use crate::base::record::Record;
use crate::store::{SqliteStore, Store};

use super::super::trust::identities;
use super::super::{Failure, Outcome};

/// Takes a record straight from the database file and tries to open it; the refusal is the result.
pub fn open_stolen(database: &Path, identity: &Path) -> Result<String, Failure> {
    let store = SqliteStore::open_read_only(database)?;
    let stolen = store.record(0)?.ok_or_else(|| Failure::Wrong("the database has no record 0".into()))?;
    let header = Header::decode(&stolen.header).map_err(Failure::unavailable)?;
    let identity = identities(identity)?.into_iter().next();
    let identity = identity.ok_or_else(|| Failure::Wrong("the outsider has no key".into()))?;
    match open_bytes(&identity, &header, stolen.position, &stolen.record) {
        Ok(_) => {
            Err(Failure::Wrong("a stranger opened a record: nothing this program promises holds".into()))
        }
        Err(e) => Ok(e.to_string()),
    }
}

/// A consistent copy of a database that is being written, in one file.
pub fn copy_database(from: &Path, to: &Path) -> Outcome {
    let db = rusqlite::Connection::open_with_flags(from, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(Failure::unavailable)?;
    let to =
        to.to_str().ok_or_else(|| Failure::Usage("the demo's folder has a name that is not UTF-8".into()))?;
    db.execute("VACUUM INTO ?1", [to]).map_err(Failure::unavailable)?;
    Ok(())
}

/// Flips one bit in the ciphertext of a record, in the raw file, behind the database's back.
pub fn flip_byte_of_record(database: &Path, record: u64) -> Outcome {
    let store = SqliteStore::open_read_only(database)?;
    let found =
        store.record(record)?.ok_or_else(|| Failure::Wrong(format!("the copy has no record {record}")))?;
    drop(store);
    let Ok(Record::Sealed { ciphertext, .. }) = Record::decode(&found.record) else {
        return Err(Failure::Wrong("the record to tamper with is not sealed".into()));
    };
    // The database may have left a second copy in the unused part of a page: both are changed, as by someone thorough.
    let needle = ciphertext.get(..32).unwrap_or(ciphertext);
    let mut bytes = std::fs::read(database).map_err(Failure::unavailable)?;
    let places: Vec<usize> =
        bytes.windows(needle.len()).enumerate().filter(|(_, w)| *w == needle).map(|(at, _)| at).collect();
    if places.is_empty() {
        return Err(Failure::Wrong("the ciphertext is not in the file as it was served".into()));
    }
    for byte in places.into_iter().filter_map(|at| at.checked_add(7)) {
        if let Some(byte) = bytes.get_mut(byte) {
            *byte ^= 1;
        }
    }
    std::fs::write(database, bytes).map_err(Failure::unavailable)
}
