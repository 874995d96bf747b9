//! What can go wrong with a store, with what to do about it.

/// Why a store could not do what it was asked. `place` is the database file, or the word for another
/// kind of store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another append came first. Nothing was kept.
    #[error(
        "the ledger has {found} blocks where {expected} were expected: something else appended to it. \
         Nothing was written; read the head again and build on that, and check that only one server runs"
    )]
    Conflict {
        /// Number of blocks the caller built upon.
        expected: u64,
        /// Number of blocks there are.
        found: u64,
    },
    /// A commit failed in a way that leaves open whether it is on the disk.
    #[error(
        "{place}: it is not known whether the last append is on the disk ({why}). Nothing is written \
         until that is settled: repair the disk; the next attempt looks again, and a restart does too"
    )]
    Uncertain {
        /// The database.
        place: String,
        /// The error of the commit.
        why: String,
    },
    /// The disk did not keep what was copied from the write-ahead log into the database. Nothing was kept.
    #[error(
        "{place}: the disk failed to keep what was copied into the database. Nothing is lost: the write-ahead log beside it \
         (ending in -wal) has all of it. Nothing more is written now; look after the disk, stop everything that has the file \
         open, and start the server again"
    )]
    Unsynced {
        /// The database.
        place: String,
    },
    /// It may be read, and not written. Nothing was kept.
    #[error(
        "{place}: it cannot be written ({why}). Nothing was lost that had been accepted. The file, the ones beside it that end in -wal and \
         -shm, and their folder must belong to the user who runs this, and the file system must be writable"
    )]
    NotWritable {
        /// The database.
        place: String,
        /// What the database engine says.
        why: String,
    },
    /// Disk full or failing. Nothing was kept.
    #[error(
        "{place}: the disk takes no more data ({why}). Nothing was lost that had been accepted: free \
         space, mend the disk, or make the file system writable, and try again"
    )]
    Full {
        /// The database.
        place: String,
        /// The error of the disk.
        why: String,
    },
    /// The file is damaged or was changed by hand.
    #[error(
        "{place}: the database is damaged ({why}). Stop the server and run `sealtrail fsck`: it says what is damaged and what can mend \
         it. Keep this file until then"
    )]
    Corrupt {
        /// The database.
        place: String,
        /// What does not fit.
        why: String,
    },
    /// The database of another ledger.
    #[error(
        "{place} belongs to the ledger {found:?}, not to {expected:?}: name the right database file, or \
         correct the ledger's origin in the settings"
    )]
    WrongLedger {
        /// The database.
        place: String,
        /// Its origin.
        found: String,
        /// The origin asked for.
        expected: String,
    },
    /// A database laid out by another version of this program.
    #[error(
        "{place} has layout version {found}, this program knows version {known}: use the version of the \
         program that wrote it"
    )]
    WrongVersion {
        /// The database.
        place: String,
        /// Its layout version.
        found: i64,
        /// The one version this program reads and writes.
        known: i64,
    },
    /// Something else holds the database for too long.
    #[error("{place} is busy ({why}): try again, and if it stays so, find what else has it open")]
    Busy {
        /// The database.
        place: String,
        /// What was waited for.
        why: String,
    },
    /// A file that is something else.
    #[error("{place} is not a Sealtrail database ({why}): check the path")]
    NotADatabase {
        /// The file.
        place: String,
        /// What it is instead, as far as is known.
        why: String,
    },
    /// No such file, and it was not to be created.
    #[error("{place} does not exist: check the path, or create a ledger there first")]
    Missing {
        /// The path.
        place: String,
    },
    /// The operating system does not let the file be opened.
    #[error("{place} cannot be opened ({why}): check the path and the permissions of file and directory")]
    CannotOpen {
        /// The path.
        place: String,
        /// The system's reason.
        why: String,
    },
    /// Another process has locked the database.
    #[error("{place} is in use by {holder}: two servers must not share a ledger; stop that one first")]
    Locked {
        /// The database.
        place: String,
        /// Which process, as it says in the lock file.
        holder: String,
    },
    /// A change was asked of a store opened for reading.
    #[error("{place} was opened for reading only: nothing can be changed in it")]
    ReadOnly {
        /// The database.
        place: String,
    },
    /// That statement number of that signer is already taken. Nothing was kept.
    #[error(
        "statement {sequence} of {signer:?} is already in block {height}: resubmit nothing, the block \
         there is the answer"
    )]
    DuplicateStatement {
        /// The signer.
        signer: String,
        /// The statement's number.
        sequence: u64,
        /// The block that has it.
        height: u64,
    },
    /// What was to be appended contradicts itself or what is stored. Nothing was kept.
    #[error("the append was refused, because {why}; this is a mistake in the program, please report it")]
    Invalid {
        /// The rule that is broken.
        why: String,
    },
    /// The ciphertext index does not cover all records.
    #[error(
        "{place}: the index covers {covered} of {records} records, because a rebuild of it was \
         interrupted; stop the server and run `sealtrail fsck --repair`"
    )]
    IndexIncomplete {
        /// The database.
        place: String,
        /// Records in the index.
        covered: u64,
        /// Records in the ledger.
        records: u64,
    },
    /// Anything else the database engine reports.
    #[error("{place}: the database engine failed: {why}. Nothing was written by this operation")]
    Engine {
        /// The database.
        place: String,
        /// What it says.
        why: String,
    },
}
