//! How a sync ends: what it did, or why it did not come to its end.

use std::path::PathBuf;

use super::super::chain_check::{ChainFault, TextsError};
use super::super::source::SourceError;
use super::{ErrorKind, VaultError};

/// Why a sync did not reach the end. What was verified before stays in the vault.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The ledger signed two histories.
    #[error(
        "FORK: {ledger} has signed two histories. The checkpoint of {known} blocks this vault trusted is not the \
         beginning of the one of {found} blocks it shows now. Nothing of the new one was kept. \
         Both signed checkpoints are proof; show them to others: they are in {kept}"
    )]
    Fork {
        /// The ledger.
        ledger: String,
        /// Size trusted before.
        known: u64,
        /// Size shown now.
        found: u64,
        /// Where both are.
        kept: KeptProof,
    },
    /// The ledger shows less than it signed before.
    #[error(
        "ROLLBACK: {ledger} shows {found} blocks, and has signed {known} before: blocks were taken back, or this is an old copy. \
         Nothing was changed in the vault. Both signed checkpoints are in {kept}"
    )]
    Rollback {
        /// The ledger.
        ledger: String,
        /// Size trusted before.
        known: u64,
        /// Size shown now.
        found: u64,
        /// Where both are.
        kept: KeptProof,
    },
    /// Something that was downloaded is not what the ledger signed.
    #[error("{}{what}", .block.map(|b| format!("block {b}: ")).unwrap_or_default())]
    Wrong {
        /// The block concerned, if one can be named.
        block: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// Content is gone that no order explains, though all orders there are were looked at.
    #[error("block {block}: {what}")]
    Gone {
        /// The block concerned.
        block: u64,
        /// What is gone.
        what: String,
    },
    /// The source did not deliver.
    #[error("the sync could not be finished: {0}. What was verified is kept{next}", next = next(.0))]
    Source(#[from] SourceError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Where two signed checkpoints are kept that contradict each other.
#[derive(Debug)]
pub struct KeptProof {
    /// The file with both.
    pub path: PathBuf,
    /// Why it could not be written, and what should be in it: then whoever is told is told all of it.
    pub(super) lost: Option<(std::io::Error, String)>,
}

impl std::fmt::Display for KeptProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.lost {
            None => write!(f, "{}", self.path.display()),
            Some((why, text)) => write!(
                f,
                "this message, because {} could not be written ({why}). Keep it:\n{text}",
                self.path.display()
            ),
        }
    }
}

/// What to do when a source did not deliver.
fn next(e: &SourceError) -> &'static str {
    match e {
        SourceError::Unavailable(_) => "; run it again to go on",
        // The same bytes would be read again.
        SourceError::Damaged(_) => {
            ". What it is read from does not hold: sync from the server or from another copy"
        }
        SourceError::Empty(_) => ". Sync from the server or from another copy",
    }
}

impl SyncError {
    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        match self {
            SyncError::Fork { .. }
            | SyncError::Rollback { .. }
            | SyncError::Wrong { .. }
            | SyncError::Gone { .. } => ErrorKind::Wrong,
            SyncError::Source(SourceError::Damaged(_)) => ErrorKind::Wrong,
            SyncError::Source(SourceError::Unavailable(_) | SourceError::Empty(_)) => ErrorKind::Unavailable,
            SyncError::Vault(e) => e.kind(),
        }
    }
}

impl From<ChainFault> for SyncError {
    fn from(fault: ChainFault) -> SyncError {
        wrong(fault.block, fault.what)
    }
}

impl From<TextsError> for SyncError {
    fn from(e: TextsError) -> SyncError {
        match e {
            TextsError::Fault(fault) => fault.into(),
            TextsError::Source(e) => e.into(),
        }
    }
}

pub(super) fn wrong(block: impl Into<Option<u64>>, what: impl ToString) -> SyncError {
    SyncError::Wrong { block: block.into(), what: what.to_string() }
}

/// How far a sync is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Checking the chain, before bodies are downloaded.
    pub checking: bool,
    /// Blocks done in this phase.
    pub done: u64,
    /// Blocks in all.
    pub blocks: u64,
}

/// What a sync did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct SyncReport {
    /// Blocks that are new in the vault.
    pub new_blocks: u64,
    /// Records that are new in the vault.
    pub new_records: u64,
    /// Records dropped because their erasure was ordered since the last sync.
    pub dropped: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Records in all.
    pub records: u64,
    /// Whether there was a checkpoint to hold the ledger against.
    pub continued: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_to_be_read_again() {
        for (e, again) in [
            (SourceError::Unavailable("x".into()), true),
            (SourceError::Damaged("x".into()), false),
            (SourceError::Empty("x".into()), false),
        ] {
            assert_eq!(SyncError::from(e).to_string().contains("run it again"), again);
        }
    }
}
