//! The vault: an auditor's own verified copy of a ledger, in one folder. It holds what the server serves to readers, so ciphertext
//! and nothing decrypted; the identity opens it in memory ([`scan`]). Filled by [`sync`].
//!
//! The database is a ledger's database ([`crate::store`]), so proofs, tag look-ups and erasure are the ledger's own code.

mod download;
mod material;
pub(super) mod opened;
mod outcome;
mod scan;
mod sync;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::owner;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::LedgerKeys;
use crate::chain::log::Log;
use crate::chain::proof::Proof;
use crate::chain::replay::State;
use crate::chain::statement::Statement;
use crate::ledger::{AtHand, LedgerError, Prover, blank_grants, restore_log};
use crate::seal::reader_key::Identity;
use crate::store::{LockFile, SqliteStore, Store, StoreError, mark};

use super::granted::Granted;
use super::record::AsOf;

use opened::Kept;
pub use outcome::{KeptProof, Progress, SyncError, SyncReport};
pub use scan::VaultRecords;

/// The database inside the folder.
pub const DATABASE: &str = "ledger.db";

/// Why a vault cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing there.
    #[error(
        "there is no vault in {0}: `sealtrail audit sync --vault {0} --server URL --key VKEY --identity FILE` makes one"
    )]
    Missing(String),
    /// Never filled.
    #[error(
        "the vault in {0} was never synced to the end: run `sealtrail audit sync` again, it goes on where it stopped"
    )]
    Unfinished(String),
    /// Of another ledger than asked for.
    #[error("the vault in {dir} is of {found}, not of {expected}: give another --vault folder")]
    OtherLedger {
        /// The folder.
        dir: String,
        /// The ledger it copies.
        found: String,
        /// The one asked for.
        expected: String,
    },
    /// Two commands at once.
    #[error(
        "another command is writing to the vault in {0}; wait for it, or work with what is there (--offline)"
    )]
    Busy(String),
    /// An erasure waits for another command.
    #[error(
        "records that were ordered to be erased stay in the vault {0} until another command that is reading it ends: sync again then"
    )]
    Reading(String),
    /// Its content contradicts itself.
    #[error("the vault in {dir} is damaged ({why}): delete the folder and sync again")]
    Damaged {
        /// The folder.
        dir: String,
        /// What is wrong.
        why: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an error means for whoever asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Something was checked and does not hold.
    Wrong,
    /// The request, a file or a setting is not usable; waiting does not help.
    Usage,
    /// Not now; nothing is said about the ledger or the copy.
    Unavailable,
}

impl VaultError {
    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        match self {
            VaultError::Missing(_) | VaultError::OtherLedger { .. } | VaultError::Unfinished(_) => {
                ErrorKind::Usage
            }
            VaultError::Busy(_) | VaultError::Reading(_) => ErrorKind::Unavailable,
            VaultError::Damaged { .. } | VaultError::Store(StoreError::Corrupt { .. }) => ErrorKind::Wrong,
            VaultError::Store(
                StoreError::Full { .. }
                | StoreError::NotWritable { .. }
                | StoreError::Unsynced { .. }
                | StoreError::Busy { .. }
                | StoreError::Locked { .. }
                | StoreError::Uncertain { .. },
            ) => ErrorKind::Unavailable,
            VaultError::Store(_) => ErrorKind::Usage,
        }
    }
}

/// A vault's folder, opened for reading or, with the lock, for syncing.
pub struct Vault {
    dir: PathBuf,
    key: VerifierKey,
    store: Arc<SqliteStore>,
    lock: Option<LockFile>,
    keeps: bool,
    /// What proofs were made from, for the next ones.
    at_hand: Arc<AtHand>,
}

/// What a vault shows: everything up to the last checkpoint it was synced to.
pub struct View {
    /// The head.
    pub as_of: AsOf,
    log: Log,
}

impl Vault {
    /// Opens the vault to read it, beside a sync of another command.
    pub fn open(dir: &Path, key: &VerifierKey) -> Result<Vault, VaultError> {
        let path = dir.join(DATABASE);
        if !path.exists() {
            return Err(VaultError::Missing(dir.display().to_string()));
        }
        let store = SqliteStore::open_read_only(&path)?;
        Vault::checked(dir, key, store, None)
    }

    /// Opens or makes the vault to sync it. The folder gets mode 0700.
    pub fn open_to_sync(dir: &Path, key: &VerifierKey) -> Result<Vault, VaultError> {
        let path = dir.join(DATABASE);
        // Nothing is said about a copy that cannot be made or reached.
        let cannot = |e: std::io::Error| StoreError::CannotOpen {
            place: dir.display().to_string(),
            why: match e.kind() {
                std::io::ErrorKind::PermissionDenied => owner::denied(dir),
                _ => e.to_string(),
            },
        };
        make_folder(dir).map_err(cannot)?;
        let lock = LockFile::acquire(&path).map_err(|e| match e {
            StoreError::Locked { .. } => VaultError::Busy(dir.display().to_string()),
            other => VaultError::Store(other),
        })?;
        if path.exists() {
            // So that a vault of another ledger is named as such.
            Vault::open(dir, key)?;
        }
        let store = SqliteStore::open(&path, key.name(), true)?;
        only_mine(&path).map_err(cannot)?;
        Vault::checked(dir, key, store, Some(lock))
    }

    fn checked(
        dir: &Path,
        key: &VerifierKey,
        store: SqliteStore,
        lock: Option<LockFile>,
    ) -> Result<Vault, VaultError> {
        if store.origin() != key.name() {
            return Err(VaultError::OtherLedger {
                dir: dir.display().to_string(),
                found: store.origin().to_owned(),
                expected: key.name().to_owned(),
            });
        }
        Ok(Vault {
            dir: dir.to_owned(),
            key: key.clone(),
            store: Arc::new(store),
            lock,
            keeps: false,
            at_hand: Arc::default(),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger's key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    fn damaged(&self, why: impl ToString) -> VaultError {
        VaultError::Damaged { dir: self.dir.display().to_string(), why: why.to_string() }
    }

    /// The last checkpoint this vault was synced to the end of; `None` before the first.
    pub fn whole(&self) -> Result<Option<SignedCheckpoint>, VaultError> {
        let Some(bytes) = self.store.derived(mark::VAULT_WHOLE)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| self.damaged("its checkpoint is not text"))?;
        self.own_checkpoint(&text).map(Some)
    }

    /// A checkpoint that this vault keeps, and that it checked when it came: by a key of the ledger, the present one or an earlier one.
    fn own_checkpoint(&self, text: &str) -> Result<SignedCheckpoint, VaultError> {
        let first = match SignedCheckpoint::parse(text, &self.key) {
            Ok(signed) => return Ok(signed),
            Err(e) => e,
        };
        let noted = self.store.derived(mark::VAULT_SIGNED_BY)?.and_then(|key| String::from_utf8(key).ok());
        let noted = noted.and_then(|key| VerifierKey::parse(&key).ok());
        let state = self.state()?;
        let mut keys = noted.iter().chain(state.ledger_keys().all().iter().map(|k| &k.key));
        let signed = keys.find_map(|key| SignedCheckpoint::parse(text, key).ok());
        signed.ok_or_else(|| self.damaged(first))
    }

    /// The key that signs the ledger's checkpoints, as far as this vault knows.
    pub fn ledger_key(&self) -> Result<VerifierKey, VaultError> {
        Ok(self.state()?.ledger_keys().current().unwrap_or(&self.key).clone())
    }

    /// The keys the ledger has had, as far as this vault knows.
    pub fn ledger_keys(&self) -> Result<LedgerKeys, VaultError> {
        Ok(self.state()?.ledger_keys().clone())
    }

    /// `key`, or if this vault knows that the ledger has replaced it, the one that signs now.
    pub fn newest_of(&self, key: &VerifierKey) -> Result<VerifierKey, VaultError> {
        let state = self.state()?;
        let newest = state.ledger_keys().replaced(key).and_then(|_| state.ledger_keys().current());
        Ok(newest.unwrap_or(key).clone())
    }

    /// Whether the ledger has, or has had, this key, as far as this vault knows.
    pub fn has_had(&self, key: &VerifierKey) -> Result<bool, VaultError> {
        Ok(*key == self.key || self.state()?.ledger_keys().all().iter().any(|k| k.key == *key))
    }

    /// What the vault shows now.
    pub fn view(&self) -> Result<View, VaultError> {
        let unfinished = || VaultError::Unfinished(self.dir.display().to_string());
        let signed = self.whole()?.ok_or_else(unfinished)?;
        let size = signed.checkpoint().size;
        let last = size.checked_sub(1).ok_or_else(unfinished)?;
        let info = self.store.block_info(last)?;
        let info = info.ok_or_else(|| self.damaged(format!("block {last} is missing")))?;
        let log = restore_log(&*self.store, size).map_err(|e| self.damaged(e))?;
        if log.root() != signed.checkpoint().root {
            return Err(self.damaged("its blocks do not have the root of its checkpoint"));
        }
        let (block, _) = self.block(last)?;
        let as_of = AsOf {
            ledger: self.key.name().to_owned(),
            checkpoint: signed.note().to_string(),
            blocks: size,
            records: info.first_record + u64::from(info.records),
            committed: Some(block.committed),
        };
        Ok(View { as_of, log })
    }

    /// The records, opened with `identities` on the way.
    pub fn records(&self, identities: Vec<Identity>) -> Result<VaultRecords, VaultError> {
        let orders = self.erasures()?;
        let granted = self.granted(&identities)?;
        let as_of = self.view()?.as_of;
        let kept = Kept::open(&self.dir, &as_of.ledger, &identities, &granted, self.keeps)
            .map_err(|e| self.damaged(e))?;
        Ok(VaultRecords::new(self.store.clone(), kept, as_of, identities, orders, granted))
    }

    /// From now on [`VaultRecords::keep`] keeps opened events at rest, sealed to the identity.
    pub fn keep_opened(&mut self) {
        self.keeps = true;
    }

    /// What was granted to these identities.
    pub fn granted(&self, identities: &[Identity]) -> Result<Granted, VaultError> {
        let mine: Vec<String> = identities.iter().map(|i| i.recipient().to_string()).collect();
        let mut granted = Granted::default();
        self.authority(|height, statement| {
            if let Statement::Grant(grant) = statement
                && mine.contains(&grant.to)
            {
                let body = self.store.body(height)?.unwrap_or_default();
                granted.add(&grant, body).map_err(|e| self.damaged(e))?;
            }
            Ok(())
        })?;
        Ok(granted)
    }

    fn prover<'a>(&'a self, view: &'a View) -> Prover<'a> {
        let as_of = &view.as_of;
        Prover::new(&*self.store, &view.log, &as_of.checkpoint, as_of.records, self.at_hand.clone())
    }

    /// Existence proofs against the vault's checkpoint, in the order asked for.
    pub fn proofs(&self, view: &View, records: &[u64]) -> Result<Vec<Proof>, LedgerError> {
        let mut prover = self.prover(view);
        records.iter().map(|r| prover.proof(*r)).collect()
    }

    /// Makes the look-up indexes anew from what is stored; needs [`Vault::open_to_sync`].
    pub fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), VaultError> {
        Ok(self.store.rebuild_index(progress)?)
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// The copy's database, for look-ups.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(in crate::auditor) fn block(&self, height: u64) -> Result<(Block, Statement), VaultError> {
        let text = self.store.block_text(height)?;
        let text = text.and_then(|t| String::from_utf8(t).ok());
        let text = text.ok_or_else(|| self.damaged(format!("block {height} is missing")))?;
        let block = Block::parse(&text).map_err(|e| self.damaged(e))?;
        let statement = Statement::parse(&block.statement.text).map_err(|e| self.damaged(e))?;
        Ok((block, statement))
    }

    /// The erasure orders in the copy, each with the height of its block.
    pub fn erasures(&self) -> Result<Vec<(u64, ErasureStatement)>, VaultError> {
        let mut orders = Vec::new();
        self.authority(|height, statement| {
            if let Statement::Erasure(order) = statement {
                orders.push((height, order));
            }
            Ok(())
        })?;
        Ok(orders)
    }

    /// The erasure order in a block, with the block.
    pub fn erasure(&self, height: u64) -> Result<(Block, ErasureStatement), VaultError> {
        match self.block(height)? {
            (block, Statement::Erasure(order)) => Ok((block, order)),
            _ => Err(self.damaged(format!("block {height} orders no erasure"))),
        }
    }

    /// Goes through rosters, grants, holds and erasures, oldest first: they share a sequence, whose signer has no name in the store.
    fn authority(
        &self,
        mut each: impl FnMut(u64, Statement) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        for sequence in 0.. {
            let Some(height) = self.store.statement("", sequence)? else { break };
            each(height, self.block(height)?.1)?;
        }
        Ok(())
    }

    /// Erases records of the copy, as the ledger does with its own.
    fn erase_in_copy(&self, records: &[RecordRange]) -> Result<u64, VaultError> {
        let mut heights = Vec::new();
        for range in records {
            let mut next = range.first;
            while let Some(info) = self.store.block_of_record(next)?.filter(|_| next <= range.last) {
                heights.push(info.height);
                next = info.first_record + u64::from(info.records);
            }
        }
        opened::forget(&self.dir, &heights).map_err(|e| self.damaged(e))?;
        let ranges: Vec<_> = records.iter().map(|r| r.first..r.last + 1).collect();
        let erased = self.store.erase(&ranges)?;
        let end = self.state()?.authority().next_sequence;
        blank_grants(&*self.store, end, records)?;
        match self.store.scrub() {
            Err(StoreError::Busy { .. }) => Err(VaultError::Reading(self.dir.display().to_string())),
            result => Ok(result.map(|()| erased)?),
        }
    }

    /// The chain's state after the last block stored.
    fn state(&self) -> Result<State, VaultError> {
        match self.store.head()? {
            Some(head) => State::decode(&head.state).map_err(|e| self.damaged(e)),
            None => Ok(State::new(self.key.name())),
        }
    }
}

/// Mode 0600. The folder keeps others out already; a copy of the file should too.
fn only_mine(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

fn make_folder(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
