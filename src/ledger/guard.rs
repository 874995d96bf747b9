//! The last-signed guard: outside the database, the last checkpoint this ledger signed.
//!
//! A database restored from an old backup is a fork waiting to happen: the ledger would sign a second
//! history for tree sizes it has already signed. The guard lives in a file of its own, so such a
//! database is found behind it at start-up and refused.
//!
//! It is written after the database commit and before the checkpoint is shown. A crash between the two
//! leaves the guard one step behind, which is harmless: nothing of that step was shown. The file has
//! two slots; the signed note inside is its own checksum. It is synced at most once per [`SYNC_EVERY`], because losing its last
//! second to a power cut leaves it behind, never ahead. The first checkpoint is synced at once: without any, no start could tell
//! that its file was not lost. Until a sync all writes go to one slot, so that whatever a power cut tears,
//! the other slot is as it was at the last sync.
//!
//! The file is made, and its name synced, before a ledger's first block. So one without a checkpoint says that the ledger was
//! being created when it stopped; a database of more blocks had a guard with one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::LedgerKeys;

/// Bytes of one slot; a checkpoint without cosignatures is well under it.
const SLOT_BYTES: usize = 4096;
/// Number of slots.
const SLOTS: usize = 2;
/// How often the file is synced while the ledger is busy.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Why the guard could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file could not be opened, read or written.
    #[error("the last-signed file {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no checkpoint signed by this ledger's key.
    #[error(
        "the last-signed file {path} holds no checkpoint signed by {key}: it belongs to another ledger or is damaged. \
         Put the file back that belongs to this database"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The name of the key expected.
        key: String,
    },
    /// A checkpoint too large for a slot.
    #[error("a checkpoint of {bytes} bytes does not fit the last-signed file")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The guard file.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    /// `None` as long as there is no file: looking for one makes none.
    file: Option<File>,
    /// The slot to write; the other one is on the disk.
    slot: usize,
    /// Something was written into that slot since the last sync.
    written: bool,
    /// When it was synced last; `None` before a checkpoint was.
    last_sync: Option<Instant>,
}

/// What a guard file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LastSigned {
    /// There is no file.
    Missing,
    /// There is one, and nothing was written into it that reached the disk.
    Blank,
    /// The newest checkpoint in it.
    Checkpoint(Checkpoint),
}

impl LastSigned {
    /// The checkpoint, if there is one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            LastSigned::Checkpoint(c) => Some(c),
            LastSigned::Missing | LastSigned::Blank => None,
        }
    }
}

impl Guard {
    /// Opens the guard, if there is one, and returns what it says.
    pub fn open(path: &Path, key: &VerifierKey) -> Result<(Guard, LastSigned), GuardError> {
        Guard::open_for(path, key, &LedgerKeys::default())
    }

    /// [`Guard::open`] of a ledger that has had these keys, `key` being the present one: what one of them signed in its time counts.
    pub fn open_for(
        path: &Path,
        key: &VerifierKey,
        keys: &LedgerKeys,
    ) -> Result<(Guard, LastSigned), GuardError> {
        let io = |source| GuardError::Io { path: path.to_owned(), source };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(io(e)),
        };
        let mut bytes = Vec::new();
        if let Some(mut file) = file.as_ref() {
            (&mut file).take((SLOT_BYTES * SLOTS) as u64).read_to_end(&mut bytes).map_err(io)?;
        }
        let newest = slots(&bytes, |size| keys.at(size).unwrap_or(key))
            .map(|(slot, signed)| (slot, signed.checkpoint().clone()))
            .max_by_key(|(_, c)| c.size);
        let slot = newest.as_ref().map_or(0, |(slot, _)| (slot + 1) % SLOTS);
        let says = match newest {
            Some((_, checkpoint)) => LastSigned::Checkpoint(checkpoint),
            None if file.is_none() => LastSigned::Missing,
            // Zeros: the file had grown already, and what was to be in it was lost.
            None if bytes.iter().all(|b| *b == 0) => LastSigned::Blank,
            None => return Err(GuardError::Foreign { path: path.to_owned(), key: key.name().to_owned() }),
        };
        if let Some(file) = &file {
            make_room(file, bytes.len()).map_err(io)?;
        }
        let last_sync = says.checkpoint().map(|_| clock::monotonic());
        let guard = Guard { path: path.to_owned(), file, slot, written: false, last_sync };
        Ok((guard, says))
    }

    /// Makes the file if there is none, and its name durable. Before a ledger's first block.
    pub fn prepare(&mut self) -> Result<(), GuardError> {
        self.file().map(drop).map_err(|source| GuardError::Io { path: self.path.clone(), source })
    }

    fn file(&mut self) -> std::io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                let file = options.read(true).write(true).create(true).truncate(false).open(&self.path)?;
                make_room(&file, 0)?;
                let folder = self.path.parent().filter(|f| !f.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// The checkpoints in a guard file, without opening it for writing; none if there are none to be had.
    pub fn peek(path: &Path, key: &VerifierKey) -> Vec<Checkpoint> {
        Guard::peek_signed(path, key).into_iter().map(|signed| signed.checkpoint().clone()).collect()
    }

    /// The same with their signatures.
    pub fn peek_signed(path: &Path, key: &VerifierKey) -> Vec<SignedCheckpoint> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|f| f.take((SLOT_BYTES * SLOTS) as u64).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        slots(&bytes, |_| key).map(|(_, signed)| signed).collect()
    }

    /// Remembers `checkpoint`, a signed note.
    pub fn write(&mut self, checkpoint: &str) -> Result<(), GuardError> {
        if checkpoint.len() >= SLOT_BYTES {
            return Err(GuardError::TooLarge { bytes: checkpoint.len() });
        }
        let mut slot = checkpoint.as_bytes().to_vec();
        slot.resize(SLOT_BYTES, 0);
        self.put(&slot).map_err(|source| GuardError::Io { path: self.path.clone(), source })
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let at = SeekFrom::Start((self.slot * SLOT_BYTES) as u64);
        let mut file = self.file()?;
        file.seek(at)?;
        file.write_all(bytes)?;
        self.written = true;
        if self.last_sync.is_none_or(|t| clock::monotonic().duration_since(t) >= SYNC_EVERY) {
            self.reach_disk()?;
        }
        Ok(())
    }

    fn reach_disk(&mut self) -> std::io::Result<()> {
        if !self.written {
            return Ok(());
        }
        self.file()?.sync_data()?;
        (self.slot, self.written) = ((self.slot + 1) % SLOTS, false);
        self.last_sync = Some(clock::monotonic());
        Ok(())
    }

    /// Forces what was written to disk; when the ledger starts and when it stops.
    pub fn sync(&mut self) -> Result<(), GuardError> {
        self.reach_disk().map_err(|source| GuardError::Io { path: self.path.clone(), source })
    }
}

/// All of its room now, so that a disk that is full later does not stop it from being written. There are `len` bytes.
fn make_room(mut file: &File, len: usize) -> std::io::Result<()> {
    let missing = vec![0; (SLOT_BYTES * SLOTS).saturating_sub(len)];
    file.seek(SeekFrom::End(0))?;
    file.write_all(&missing)
}

/// The slots that hold a checkpoint signed by the key for its size, and what they hold.
pub(super) fn slots<'k>(
    bytes: &[u8],
    key: impl Fn(u64) -> &'k VerifierKey,
) -> impl Iterator<Item = (usize, SignedCheckpoint)> {
    let read = move |chunk: &[u8]| {
        let text = std::str::from_utf8(chunk.split(|b| *b == 0).next().unwrap_or_default()).ok()?;
        let size = SignedCheckpoint::unverified(text).ok()?.size;
        SignedCheckpoint::parse(text, key(size)).ok()
    };
    let slots = bytes.chunks(SLOT_BYTES).enumerate();
    slots.filter_map(move |(slot, chunk)| Some((slot, read(chunk)?)))
}
