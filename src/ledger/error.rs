//! What can go wrong in the ledger, by consequence.

use crate::chain::batch::BatchError;
use crate::chain::grant::GrantError;
use crate::chain::replay::ChainError;
use crate::store::StoreError;

use super::guard::GuardError;

/// Why the ledger refused a submission, a question or to start.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The statement does not fit the chain: signer, sequence, signature, authority.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The batch body does not match what its statement says.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The slots do not fit their grant.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The last-signed guard failed.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The write cycle failed; nothing of it was acknowledged.
    #[error("it could not be stored: {why}. Nothing was accepted; send it again")]
    NotStored {
        /// What the store said.
        why: String,
        /// Whether the disk is full.
        full: bool,
    },
    /// The cycle is durable, but could not be shown. Nothing of it was acknowledged.
    #[error(
        "the last-signed file could not be written: {why}. Nothing is acknowledged, but it is stored: sent again, a signed \
         statement gets its receipt, and an event is stored twice"
    )]
    NotShown {
        /// What the system said.
        why: String,
    },
    /// A write cycle has not finished for too long.
    #[error(
        "the ledger's disk has not finished an append for {seconds} s. Nothing of this was accepted; send it again later, and see \
         to the disk if it goes on"
    )]
    Stalled {
        /// How long the append under way has taken so far.
        seconds: u64,
    },
    /// A records statement or grant without its body.
    #[error(
        "a records statement needs the sealed batch it signs, a grant its slots: send it to /v1/batches or /v1/grants together with the body"
    )]
    BodyMissing,
    /// A body with a statement that has none.
    #[error(
        "this statement does not come with such a body: batches go to /v1/batches, grants to /v1/grants, others to /v1/statements"
    )]
    BodyUnexpected,
    /// The queue is full.
    #[error("the ledger is taking in as much as it can; send this again in a moment")]
    Overloaded,
    /// The commit thread has ended.
    #[error("the ledger is shutting down; send this again when it is back")]
    Stopped,
    /// The database is older than what was signed.
    #[error(
        "the database ends at block {found} but this ledger has signed a checkpoint of {signed} blocks: it was restored from an \
         older backup, or the file beside it that ends in -wal was removed. Starting would sign a second history. Look for the missing blocks: the -wal \
         file, newer backups, auditors' vaults (restore --from). docs/OPERATIONS.md, \"When blocks are lost\", says where, and what to do \
         if nobody has them"
    )]
    Behind {
        /// Blocks in the database.
        found: u64,
        /// Blocks in the last signed checkpoint.
        signed: u64,
    },
    /// The database and the guard disagree about history.
    #[error(
        "the database does not contain the history this ledger signed at {signed} blocks: it was changed or belongs to a fork. \
         Do not start it; keep both the database and the last-signed file as evidence"
    )]
    Forked {
        /// Blocks in the last signed checkpoint.
        signed: u64,
    },
    /// There are blocks but no guard.
    #[error(
        "the last-signed file is missing although the database holds {found} blocks, so a rollback could not be noticed. \
         Put the file back; if it is lost for good, start once with --accept-database-head"
    )]
    GuardMissing {
        /// Blocks in the database.
        found: u64,
    },
    /// The stored bytes contradict each other.
    #[error(
        "the database is damaged: {what}. Run `sealtrail fsck`: it says what is damaged and what can mend it. Keep this file until then"
    )]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Not created yet.
    #[error("the database holds no ledger yet; run `sealtrail init` first")]
    Empty,
    /// No record or block at that position.
    #[error("there is no {what} {index}; the ledger has {count}")]
    NotFound {
        /// `record` or `block`.
        what: &'static str,
        /// The index asked for.
        index: u64,
        /// How many there are.
        count: u64,
    },
    /// No record with that ciphertext.
    #[error("no record of this ledger has that ciphertext hash")]
    UnknownCiphertext,
    /// A roster that names another ledger key, where the ledger does not have it.
    #[error(
        "the ledger's key is changed on its own machine, which needs the new key: stop the server there and run `sealtrail rotate ledger`"
    )]
    KeyChange,
    /// The key given is not the one of the roster.
    #[error("the ledger key {given} is not the one the ledger has now, {expected}")]
    WrongKey {
        /// The key given.
        given: String,
        /// The roster's.
        expected: String,
    },
}
