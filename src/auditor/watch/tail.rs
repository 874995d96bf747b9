//! A vault that is synced at every poll, as what a watch reads from.
//!
//! The ledger seals a record of its own about every download. A watch that downloaded that record at once would cause the
//! next one, for ever; so when one new record is all there is since its own download, it waits a while for more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Tail, TailError};
use crate::auditor::record::Records;
use crate::auditor::source::{ServerSource, Source, SourceError};
use crate::auditor::vault::{ErrorKind, SyncError, Vault, VaultError};
use crate::base::clock::monotonic;
use crate::base::limits::SESSION_SECONDS;
use crate::chain::block::Block;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::chain::statement::Statement;
use crate::client::Client;
use crate::seal::reader_key::Identity;

/// How long a single new record, most likely the one about our own last download, is left alone.
const OWN_READ_WAIT: Duration = Duration::from_secs(300);
/// A session is renewed when it has this long behind it.
const SESSION_AGE: Duration = Duration::from_secs(SESSION_SECONDS / 2);

/// Gives a client with a session.
pub type Connect = Box<dyn FnMut() -> Result<Client, TailError>>;
/// Gives the identities records are opened with.
pub type Identities = Box<dyn FnMut() -> Result<Vec<Identity>, TailError>>;

/// Syncs the vault in a folder. Between polls the vault is free for other commands.
pub struct VaultTail {
    dir: PathBuf,
    key: VerifierKey,
    admin: Option<VerifierKey>,
    connect: Option<Connect>,
    identities: Identities,
    client: Option<(Client, Instant)>,
    /// The newest checkpoint synced to, its size, and when.
    synced: Option<(String, u64, Instant)>,
}

impl VaultTail {
    /// Nothing is read yet. `admin`, if known, must have signed the first roster. Without `connect` the vault is not synced:
    /// it grows when another command does that.
    pub fn new(
        dir: &Path,
        key: &VerifierKey,
        admin: Option<VerifierKey>,
        connect: Option<Connect>,
        identities: Identities,
    ) -> Self {
        VaultTail {
            dir: dir.to_owned(),
            key: key.clone(),
            admin,
            connect,
            identities,
            client: None,
            synced: None,
        }
    }

    fn look(&mut self) -> Result<Option<Arc<dyn Records>>, TailError> {
        let vault = match self.connect.is_some() {
            true => self.synced_vault()?,
            false => Some(Vault::open(&self.dir, &self.key).map_err(vault_error)?),
        };
        let Some(vault) = vault else { return Ok(None) };
        let records = vault.records((self.identities)()?).map_err(vault_error)?;
        let as_of = records.as_of();
        let news = self.synced.as_ref().is_none_or(|(known, ..)| *known != as_of.checkpoint);
        self.synced = Some((as_of.checkpoint.clone(), as_of.blocks, monotonic()));
        Ok(news.then(|| Arc::new(records) as Arc<dyn Records>))
    }

    /// The vault, brought up to date; none if there is nothing worth a download.
    fn synced_vault(&mut self) -> Result<Option<Vault>, TailError> {
        let old =
            self.client.as_ref().is_none_or(|(_, since)| monotonic().duration_since(*since) > SESSION_AGE);
        if old && let Some(connect) = &mut self.connect {
            self.client = Some((connect()?, monotonic()));
        }
        let Some((client, _)) = &self.client else { return Ok(None) };
        let mut source = ServerSource::new(client, true);
        if let Some((known, size, at)) = &self.synced {
            let text = source.checkpoint().map_err(unavailable)?;
            if text == *known {
                return Ok(None);
            }
            let waiting = monotonic().duration_since(*at) < OWN_READ_WAIT;
            if waiting && new_records(&mut source, &text, *size)? == Some(1) {
                return Ok(None);
            }
        }
        match Vault::open_to_sync(&self.dir, &self.key) {
            Ok(mut vault) => {
                vault.sync(&mut source, self.admin.as_ref(), &mut |_| {}).map_err(sync_error)?;
                Ok(Some(vault))
            }
            // Another command brings it up to date; what it has verified so far is as good.
            Err(VaultError::Busy(_)) => Ok(Some(Vault::open(&self.dir, &self.key).map_err(vault_error)?)),
            Err(e) => Err(vault_error(e)),
        }
    }
}

/// How many records are new since `known` blocks, as the server says; nothing depends on it but when they are read.
fn new_records(source: &mut dyn Source, checkpoint: &str, known: u64) -> Result<Option<u64>, TailError> {
    let Ok(shown) = SignedCheckpoint::unverified(checkpoint) else { return Ok(None) };
    let (mut height, size) = (known, shown.size);
    let mut records = 0;
    while height < size {
        let texts = source.blocks(height, size).map_err(unavailable)?;
        if texts.is_empty() {
            return Ok(None);
        }
        for text in texts {
            let statement = Block::parse(&text).ok().and_then(|b| Statement::parse(&b.statement.text).ok());
            let Some(statement) = statement else { return Ok(None) };
            records += statement.record_count();
            height += 1;
        }
        if records > 1 {
            break;
        }
    }
    Ok(Some(records))
}

impl Tail for VaultTail {
    fn poll(&mut self) -> Result<Option<Arc<dyn Records>>, TailError> {
        let result = self.look();
        if result.is_err() {
            // Whatever was wrong, the next try begins with a new connection and session.
            self.client = None;
        }
        result
    }
}

fn unavailable(e: SourceError) -> TailError {
    TailError::Unavailable(e.to_string())
}

fn of_kind(kind: ErrorKind, what: String) -> TailError {
    match kind {
        ErrorKind::Wrong => TailError::Broken(what),
        ErrorKind::Usage => TailError::Refused(what),
        ErrorKind::Unavailable => TailError::Unavailable(what),
    }
}

fn vault_error(e: VaultError) -> TailError {
    match e {
        // Another command may be filling it for the first time.
        VaultError::Unfinished(_) => TailError::Unavailable(e.to_string()),
        _ => of_kind(e.kind(), e.to_string()),
    }
}

fn sync_error(e: SyncError) -> TailError {
    let (kind, what) = (e.kind(), e.to_string());
    match e {
        SyncError::Fork { known, found, kept, .. } | SyncError::Rollback { known, found, kept, .. } => {
            // The file holds both signed checkpoints and is named after its content.
            let evidence =
                kept.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            TailError::Fork {
                what,
                known: format!("{known} blocks"),
                shown: format!("{found} blocks, {evidence}"),
            }
        }
        SyncError::Vault(e) => vault_error(e),
        SyncError::Wrong { .. } | SyncError::Gone { .. } | SyncError::Source(_) => of_kind(kind, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn what_passes_is_waited_for_and_damage_ends_the_watch() {
        let text = || "d".to_owned();
        let busy = || VaultError::Store(StoreError::Busy { place: text(), why: text() });
        for e in
            [VaultError::Busy(text()), VaultError::Reading(text()), VaultError::Unfinished(text()), busy()]
        {
            assert!(matches!(vault_error(e), TailError::Unavailable(_)));
        }
        let reading = SyncError::Vault(VaultError::Reading(text()));
        assert!(matches!(sync_error(reading), TailError::Unavailable(_)));
        let damaged = || VaultError::Damaged { dir: text(), why: text() };
        let corrupt = VaultError::Store(StoreError::Corrupt { place: text(), why: text() });
        for e in [damaged(), corrupt] {
            assert!(matches!(vault_error(e), TailError::Broken(_)));
        }
        assert!(matches!(sync_error(SyncError::Vault(damaged())), TailError::Broken(_)));
        assert!(matches!(vault_error(VaultError::Missing(text())), TailError::Refused(_)));
    }
}
