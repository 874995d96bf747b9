//! What the operator's commands share: settings, key files, opening the ledger with its lock.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::hash::Hash;
use crate::base::owner::denied;
use crate::base::paths::beside;
use crate::chain::key::SigningKey;
use crate::config::keyfile;
use crate::config::settings::Settings;
use crate::ledger::{Ledger, Options};
use crate::seal::tag::SearchSecret;
use crate::store::{LockFile, SqliteStore, Store};
use crate::writer::SearchKeeper;

use super::Failure;
use super::next_key::ledger_key;

/// File names inside the keys folder. `keys/README.md` explains each.
pub const LEDGER_KEY: &str = "ledger";
/// Signs rosters.
pub const ADMIN_KEY: &str = "admin";
/// The in-process writer.
pub const GATEWAY_KEY: &str = "gateway";
/// The gateway's search secret.
pub const SEARCH_FILE: &str = "gateway.search";
/// The token applications send.
pub const TOKEN_FILE: &str = "ingest.token";
/// The last-signed file stands beside the database, outside it.
pub const GUARD_SUFFIX: &str = ".last-signed";

/// The file in which a running server says where it listens.
const ADDRESS_SUFFIX: &str = ".url";

/// Notes the address of the running server beside its database, for the commands that talk to it; the note goes away with
/// the value. Believing it is safe: what is sent there is a signed statement, which follows by its hashes what it was made from
/// (`super::authority`).
pub struct AddressNote(PathBuf);

impl AddressNote {
    /// Writes the note.
    pub fn write(database: &Path, url: &str) -> Result<AddressNote, Failure> {
        let path = beside(database, ADDRESS_SUFFIX);
        std::fs::write(&path, url)
            .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))?;
        Ok(AddressNote(path))
    }

    /// The address in a database's note.
    pub fn read(database: &Path) -> Option<String> {
        std::fs::read_to_string(beside(database, ADDRESS_SUFFIX)).ok().filter(|url| url.starts_with("http"))
    }
}

impl Drop for AddressNote {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads the settings file, or says where it is to be found.
pub fn settings(path: &Path) -> Result<Settings, Failure> {
    settings_or(path, "")
}

/// [`settings`], for a command that works without them if something else is given, which `else_give` says.
pub fn settings_or(path: &Path, else_give: &str) -> Result<Settings, Failure> {
    let unusable = |why: String| Failure::Usage(format!("{why}{else_give}"));
    match std::fs::metadata(path).and_then(|_| std::fs::File::open(path)) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(unusable(format!(
            "there is no {}: go to the ledger's folder first (such as cd /var/lib/sealtrail), or name the file with --settings. Only a new \
             ledger begins with `sealtrail init`",
            path.display()
        ))),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(unusable(format!("{} cannot be read: {}", path.display(), denied(path))))
        }
        _ => Settings::load(path).map_err(Failure::usage),
    }
}

/// Reads a signing key from `DIR/NAME.key`.
pub fn signing_key(dir: &Path, name: &str) -> Result<SigningKey, Failure> {
    signing_key_file(&dir.join(format!("{name}.key")))
}

/// Reads a signing key from a file.
pub fn signing_key_file(path: &Path) -> Result<SigningKey, Failure> {
    let text = keyfile::read_key(path).map_err(Failure::usage)?;
    SigningKey::parse(text.trim()).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
}

/// Path of the last-signed file of a database.
pub fn guard_path(database: &Path) -> PathBuf {
    beside(database, GUARD_SUFFIX)
}

/// A ledger open in this process, with the lock that keeps other processes out.
pub struct OpenLedger {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    _lock: LockFile,
}

/// Takes the lock, opens the database, recovers. `Ok(None)` if another process has the lock.
pub fn open_ledger(settings: &Settings, accept_database_head: bool) -> Result<Option<OpenLedger>, Failure> {
    let lock = match LockFile::acquire(&settings.database) {
        Ok(lock) => lock,
        Err(crate::store::StoreError::Locked { .. }) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings.database, &settings.ledger, false)?);
    let options = Options {
        key: ledger_key(settings, &store)?,
        guard: guard_path(&settings.database),
        accept_database_head,
    };
    Ok(Some(OpenLedger { ledger: Arc::new(Ledger::open(store, options)?), _lock: lock }))
}

/// Keeps the search secret of one period in a file: two lines, `period NAME` and the secret in base64. When the
/// month changes the old secret is overwritten: the writer then cannot make or test its tags any more. A period's name is the month
/// and four random bytes, so that a secret made because the file was lost is not mistaken for the lost one.
pub fn search_keeper(path: PathBuf) -> SearchKeeper {
    Box::new(move |month| {
        use crate::base::hash::{from_base64, to_base64};
        use crate::base::random;
        use crate::base::secret::Secret;
        if path.exists() {
            let text = keyfile::read_secret(&path).map_err(|e| e.to_string())?;
            let mut lines = text.lines();
            let kept = lines.next().and_then(|l| l.strip_prefix("period ")).unwrap_or_default();
            if kept.split_once('.').map_or(kept, |(m, _)| m) == month {
                let bytes = zeroize::Zeroizing::new(lines.next().and_then(from_base64).unwrap_or_default());
                let secret = Secret::from_slice(&bytes).map(SearchSecret::from_secret);
                return secret.map(|s| (kept.to_owned(), s)).ok_or_else(|| {
                    format!("{} is damaged; remove it and a new secret is made", path.display())
                });
            }
        }
        let secret = random::secret().map_err(|e| e.to_string())?;
        let number = random::secret::<4>().map_err(|e| e.to_string())?;
        let period = format!("{month}.{:08x}", u32::from_be_bytes(*number.expose()));
        let coded = zeroize::Zeroizing::new(to_base64(secret.expose()));
        let text = zeroize::Zeroizing::new(format!("period {period}\n{}\n", coded.as_str()));
        keyfile::replace_secret(&path, &text).map_err(|e| e.to_string())?;
        Ok((period, SearchSecret::from_secret(secret)))
    })
}

/// The ingest token's hash, for the server.
pub fn token_hash(path: &Path) -> Result<Hash, Failure> {
    let text = keyfile::read_secret(path).map_err(Failure::usage)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::Usage(format!(
            "{} is empty; remove it and run `sealtrail init` elsewhere to see its form",
            path.display()
        )));
    }
    Ok(Hash::of(&[token.as_bytes()]))
}
