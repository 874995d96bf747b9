//! Database files that this process has open itself, beside SQLite, and what it knows of them.
//!
//! Closing any descriptor of a file takes away all POSIX locks that the process has on it, also those of connections that know nothing
//! of the descriptor (<https://sqlite.org/howtocorrupt.html>, 2.2). So all stores on a file share one, and it is closed after the
//! last connection of the last of them.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Device and inode.
type Id = (u64, u64);

/// What is shared by the stores on one file. Entries are made, and their files closed, with the map locked: a file that is closed
/// a moment too late would take away the locks of who came in between.
static HELD: Mutex<BTreeMap<Id, Entry>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Default)]
struct Entry {
    stores: usize,
    /// The first is the one in use; more come only if files change places.
    files: Vec<Arc<File>>,
    unsynced: Arc<AtomicBool>,
}

/// One store's share of a database file. To be dropped after all connections of the store.
#[derive(Debug)]
pub(super) struct Held {
    id: Id,
    unsynced: Arc<AtomicBool>,
}

impl Held {
    /// Of a file that exists.
    pub(super) fn new(path: &Path) -> io::Result<Held> {
        let id = id_of(&std::fs::metadata(path)?);
        let mut held = held();
        let entry = held.entry(id).or_default();
        entry.stores += 1;
        Ok(Held { id, unsynced: entry.unsynced.clone() })
    }

    /// The file itself, opened with the first call. An error if another file is at its path by now. Not to be kept for longer than
    /// this share.
    pub(super) fn file(&self, path: &Path) -> io::Result<Arc<File>> {
        let mut held = held();
        if let Some(file) = held.get(&self.id).and_then(|e| e.files.first().cloned()) {
            return Ok(file);
        }
        let other =
            || Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken the database's place"));
        if id_of(&std::fs::metadata(path)?) != self.id {
            return other();
        }
        let file = Arc::new(File::open(path)?);
        let id = id_of(&file.metadata()?);
        if let Some(entry) = held.get_mut(&id) {
            // Also if it has become another one just now: then that is not to be closed before its stores.
            entry.files.push(file.clone());
        }
        if id == self.id { Ok(file) } else { other() }
    }

    /// Runs `f` if this is the only store on the file in this process. None comes meanwhile.
    pub(super) fn if_alone<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let held = held();
        let alone = held.get(&self.id).is_some_and(|e| e.stores == 1);
        alone.then(f)
    }

    /// Whether syncing the file failed, in whichever store.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    /// Syncing the file failed.
    pub(super) fn set_unsynced(&self) {
        self.unsynced.store(true, Ordering::Release);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = held();
        if let Some(entry) = held.get_mut(&self.id) {
            entry.stores -= 1;
            if entry.stores == 0 {
                held.remove(&self.id);
            }
        }
    }
}

fn held() -> MutexGuard<'static, BTreeMap<Id, Entry>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id_of(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_open_as_long_as_one_of_its_stores_and_never_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "a").unwrap();
        let (one, two) = (Held::new(&path).unwrap(), Held::new(&path).unwrap());
        let file = Arc::downgrade(&one.file(&path).unwrap());
        assert!(Arc::ptr_eq(&file.upgrade().unwrap(), &two.file(&path).unwrap()));
        one.set_unsynced();
        assert!(two.is_unsynced(), "what one store knows, the other does");
        drop(one);
        assert!(file.upgrade().is_some());
        let id = two.id;
        drop(two);
        assert!(file.upgrade().is_none() && !held().contains_key(&id));
        assert!(!Held::new(&path).unwrap().is_unsynced());
    }

    #[test]
    fn a_file_in_the_place_of_another_is_not_opened_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, "a").unwrap();
        std::fs::write(&other, "b").unwrap();
        let held = Held::new(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(held.file(&path).is_err());
    }
}
