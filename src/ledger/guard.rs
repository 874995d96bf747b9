//! The last-signed guard: outside the database, the last checkpoint this ledger signed.
//!
//! A database restored from an old backup is a fork waiting to happen: the ledger would sign a second
//! history for tree sizes it has already signed. The guard lives in a file of its own, so such a
//! database is found behind it at start-up and refused.
//!
//! It is written after the database commit and before the checkpoint is shown. A crash between the two
//! leaves the guard one step behind, which is harmless: nothing of that step was shown. The file has
//! two slots written in turn, so a torn write always leaves the other one; the signed note inside
//! is its own checksum. It is synced at most once per [`SYNC_EVERY`], because losing its last
//! second to a power cut leaves it behind, never ahead.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::LedgerKeys;

/// Bytes of one slot; a checkpoint without cosignatures is well under it.
const SLOT_BYTES: usize = 4096;
/// Number of slots, written in turn.
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

/// The open guard file.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    file: File,
    next_slot: usize,
    last_sync: Instant,
}

impl Guard {
    /// Opens the guard, creating an empty one, and returns the newest checkpoint in it.
    pub fn open(path: &Path, key: &VerifierKey) -> Result<(Guard, Option<Checkpoint>), GuardError> {
        Guard::open_for(path, key, &LedgerKeys::default())
    }

    /// [`Guard::open`] of a ledger that has had these keys, `key` being the present one: what one of them signed in its time counts.
    pub fn open_for(
        path: &Path,
        key: &VerifierKey,
        keys: &LedgerKeys,
    ) -> Result<(Guard, Option<Checkpoint>), GuardError> {
        let io = |source| GuardError::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        (&mut file).take((SLOT_BYTES * SLOTS) as u64).read_to_end(&mut bytes).map_err(io)?;
        let newest = slots(&bytes, |size| keys.at(size).unwrap_or(key))
            .max_by_key(|(_, signed)| signed.checkpoint().size);
        // Zeros are what is there before the first checkpoint.
        if newest.is_none() && bytes.iter().any(|b| *b != 0) {
            return Err(GuardError::Foreign { path: path.to_owned(), key: key.name().to_owned() });
        }
        let next_slot = newest.as_ref().map_or(0, |(slot, _)| (slot + 1) % SLOTS);
        // All of its room now, so that a disk that is full later does not stop it from being written.
        if bytes.len() < SLOT_BYTES * SLOTS {
            let missing = vec![0; SLOT_BYTES * SLOTS - bytes.len()];
            file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&missing)).map_err(io)?;
        }
        let guard = Guard { path: path.to_owned(), file, next_slot, last_sync: clock::monotonic() };
        Ok((guard, newest.map(|(_, signed)| signed.checkpoint().clone())))
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

    /// Remembers `checkpoint`, a signed note, in the older slot.
    pub fn write(&mut self, checkpoint: &str) -> Result<(), GuardError> {
        if checkpoint.len() >= SLOT_BYTES {
            return Err(GuardError::TooLarge { bytes: checkpoint.len() });
        }
        let mut slot = checkpoint.as_bytes().to_vec();
        slot.resize(SLOT_BYTES, 0);
        self.put(&slot).map_err(|source| GuardError::Io { path: self.path.clone(), source })?;
        self.next_slot = (self.next_slot + 1) % SLOTS;
        Ok(())
    }

    fn put(&mut self, slot: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start((self.next_slot * SLOT_BYTES) as u64))?;
        self.file.write_all(slot)?;
        if clock::monotonic().duration_since(self.last_sync) >= SYNC_EVERY {
            self.file.sync_data()?;
            self.last_sync = clock::monotonic();
        }
        Ok(())
    }

    /// Forces the file to disk; called when the ledger stops.
    pub fn sync(&self) -> Result<(), GuardError> {
        self.file.sync_data().map_err(|source| GuardError::Io { path: self.path.clone(), source })
    }
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
