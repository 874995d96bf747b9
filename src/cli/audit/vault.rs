//! The vault as the auditor's commands see it: where it is, what it remembers, and bringing it up to date before it is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auditor::follow::present_key;
use crate::auditor::record::Records;
use crate::auditor::source::{ServerSource, Source};
use crate::auditor::vault::{
    ErrorKind, Progress, SyncError, SyncReport, Vault, VaultError, VaultRecords, View,
};
use crate::auditor::verify::{Report, Trust, verify};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::LedgerKey;
use crate::client::Client;
use crate::config::keyfile;
use crate::seal::reader_key::Identity;

use super::super::progress::{Bar, Watched};
use super::super::source::FileSource;
use super::super::trust::{DEFAULT_SERVER, any_session, identities, verifier_key};
use super::super::{Failure, Outcome};

/// What the vault remembers of its first sync: no secret.
const SETTINGS: &str = "vault.toml";

/// Where the vault is and what belongs to it. Given once, at the first sync; remembered from then on.
#[derive(clap::Args, Clone, Default)]
pub struct VaultArgs {
    /// Folder of your verified copy of the ledger
    #[arg(long, env = "SEALTRAIL_VAULT", default_value = "vault", value_name = "DIR")]
    pub vault: PathBuf,
    /// Address of the server [remembered in the vault]
    #[arg(long, env = "SEALTRAIL_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Certificate to trust for https, PEM [remembered]
    #[arg(long, env = "SEALTRAIL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The ledger's verifier key, as text or as a .vkey file [remembered]
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    pub key: Option<String>,
    /// The admin's verifier key: the first roster must be its work [remembered]
    #[arg(long, value_name = "VKEY")]
    pub admin: Option<String>,
    /// Your identity file; the vault remembers where it is, never what is in it
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Use what the vault has; do not ask the server for news
    #[arg(long)]
    pub offline: bool,
}

/// The remembered part.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    key: Option<String>,
    admin: Option<String>,
    server: Option<String>,
    ca: Option<PathBuf>,
    identity: Option<PathBuf>,
    #[serde(default)]
    persist: bool,
}

/// Everything needed to work with a vault.
pub struct Setting {
    /// The ledger's key.
    pub key: VerifierKey,
    /// The one named by whoever calls, if it is another.
    given: Option<VerifierKey>,
    dir: PathBuf,
    admin: Option<VerifierKey>,
    server: Option<String>,
    ca: Option<PathBuf>,
    identity: Option<PathBuf>,
    offline: bool,
    /// Keep opened events at rest, sealed to the identity.
    pub persist: bool,
}

/// A vault opened for reading.
pub struct OpenVault {
    /// The vault.
    pub vault: Vault,
    /// What it shows.
    pub view: View,
    /// How to work with it.
    pub setting: Setting,
}

impl VaultArgs {
    /// Whether to ask the server and not a vault: if told so, or if there is none.
    pub fn remote(&self, told: bool) -> bool {
        told || (!self.offline && !self.vault.join(SETTINGS).exists())
    }

    /// The arguments, completed by what the vault remembers and remembered in it.
    pub fn setting(&self) -> Result<Setting, Failure> {
        let path = self.vault.join(SETTINGS);
        let kept: Remembered = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|e| Failure::Usage(format!("{} cannot be read: {e}", path.display())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Remembered::default(),
            Err(e) => return Err(Failure::Unavailable(format!("{}: {e}", path.display()))),
        };
        let missing = |what: &str| {
            Failure::Usage(format!(
                "{what} is needed the first time, and remembered in the vault {0} afterwards: \
                 sealtrail audit sync --vault {0} --server URL --key VKEY --identity FILE",
                self.vault.display()
            ))
        };
        let given = self.key.as_deref().map(verifier_key).transpose()?;
        let kept_key = kept.key.as_deref().map(verifier_key).transpose()?;
        let key = match (&given, kept_key) {
            // What the vault trusts goes before; the other may be an earlier or a later key of the same ledger.
            (_, Some(kept)) => kept,
            (Some(given), None) => given.clone(),
            (None, None) => return Err(missing("--key")),
        };
        let given = given.filter(|given| *given != key);
        if let Some(given) = given.as_ref().filter(|given| given.name() != key.name()) {
            return Err(Failure::Usage(format!(
                "the vault {} trusts the key {key}, not {given}: give another --vault folder for another ledger",
                self.vault.display()
            )));
        }
        let admin = match (&self.admin, &kept.admin) {
            (Some(given), _) => Some(verifier_key(given)?),
            (None, kept) => kept.as_deref().map(verifier_key).transpose()?,
        };
        if let (Some(_), Some(kept), Some(admin)) = (&self.admin, &kept.admin, &admin)
            && *kept != admin.to_string()
        {
            return Err(Failure::Usage(format!(
                "the vault {} trusts the admin key {kept}, not {admin}: give another --vault folder for another ledger",
                self.vault.display()
            )));
        }
        if admin.as_ref() == Some(&key) {
            return Err(Failure::Usage(
                "--admin is given the ledger's own key: the admin's is in admin.vkey".into(),
            ));
        }
        let absolute = |p: &PathBuf| std::path::absolute(p).unwrap_or_else(|_| p.clone());
        let identity = self.identity.as_ref().map(absolute).or(kept.identity);
        Ok(Setting {
            key,
            given,
            dir: self.vault.clone(),
            admin,
            server: self.server.clone().or(kept.server),
            ca: self.ca.as_ref().map(absolute).or(kept.ca),
            identity,
            offline: self.offline,
            persist: kept.persist,
        })
    }

    /// [`VaultArgs::setting`] to ask the server and not the vault: with the key the ledger signs with now. Where there is a vault, a key
    /// that it has seen replaced is believed no more.
    pub fn remote_setting(&self) -> Result<Setting, Failure> {
        let mut setting = self.setting()?;
        let told = setting.given.as_ref().unwrap_or(&setting.key);
        let known = match Vault::open(&setting.dir, &setting.key) {
            Ok(vault) => vault.newest_of(told)?,
            Err(VaultError::Missing(_)) => told.clone(),
            Err(e) => return Err(e.into()),
        };
        setting.key = present_key(&setting.plain_client()?, &known)?;
        Ok(setting)
    }

    /// Opens the vault, brought up to date unless `--offline` is given. A server that cannot be reached is a warning if the vault has
    /// something to show; a ledger that contradicts itself is an error.
    pub fn open(&self) -> Result<OpenVault, Failure> {
        let setting = self.setting()?;
        if !setting.offline {
            match setting.sync(None, false) {
                Ok(report) if report.new_blocks > 0 && !report.continued => eprintln!(
                    "sealtrail: this vault had no checkpoint to hold the ledger against: what it shows now is trusted from now on"
                ),
                Ok(_) => {}
                Err(Failure::Unavailable(why)) if setting.is_whole() => {
                    eprintln!("sealtrail: warning: {why}. What follows is as of the last sync");
                }
                Err(e) => return Err(e),
            }
        }
        setting.open()
    }
}

impl Setting {
    /// All identities of the identity file.
    pub fn identities(&self) -> Result<Vec<Identity>, Failure> {
        identities(self.identity_file()?)
    }

    fn identity_file(&self) -> Result<&Path, Failure> {
        self.identity.as_deref().ok_or_else(|| {
            Failure::Usage(
                "--identity FILE is needed: your own key, as age-keygen or `keygen reader` makes it".into(),
            )
        })
    }

    /// The admin whose work the first roster must be, if known.
    pub fn admin(&self) -> Option<&VerifierKey> {
        self.admin.as_ref()
    }

    /// The admin's key, without which a search on the server would have to believe search keys of anybody.
    pub fn admin_for_search(&self) -> Result<&VerifierKey, Failure> {
        self.admin.as_ref().ok_or_else(|| {
            Failure::Usage(
                "a search on the server needs --admin VKEY (a lying server could else make you reveal what you search for); \
                 or make a vault with `sealtrail audit sync` and search that"
                    .into(),
            )
        })
    }

    /// The vault's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn is_whole(&self) -> bool {
        Vault::open(&self.dir, &self.key).and_then(|v| v.whole()).is_ok_and(|w| w.is_some())
    }

    /// Opens the vault as it is.
    pub fn open(mut self) -> Result<OpenVault, Failure> {
        let vault = Vault::open(&self.dir, &self.key)?;
        self.check_given(&vault)?;
        let view = vault.view()?;
        self.key = vault.ledger_key()?;
        Ok(OpenVault { vault, view, setting: self })
    }

    /// A key that was named must be one the ledger has, or has had.
    fn check_given(&self, vault: &Vault) -> Outcome {
        match &self.given {
            Some(given) if !vault.has_had(given)? => Err(Failure::Usage(format!(
                "the vault {} trusts the key {}, not {given}: give another --vault folder for another ledger",
                self.dir.display(),
                vault.ledger_key()?
            ))),
            _ => Ok(()),
        }
    }

    /// A client without a session.
    pub fn plain_client(&self) -> Result<Client, Failure> {
        let server = self.server.as_deref().unwrap_or(DEFAULT_SERVER);
        Ok(Client::new(server, self.ca.as_deref())?)
    }

    /// A client with a session for one of the identities.
    pub fn client(&self) -> Result<Client, Failure> {
        let mut client = self.plain_client()?;
        any_session(&mut client, self.identity_file()?, self.key.name())?;
        Ok(client)
    }

    /// Brings the vault up to date, from the server or a copy of the database.
    /// With `remember`, or if nothing is remembered yet, how it was done is kept for later commands, once it has succeeded.
    pub fn sync(&self, file: Option<&Path>, remember: bool) -> Result<SyncReport, Failure> {
        let mut vault = match Vault::open_to_sync(&self.dir, &self.key) {
            Err(VaultError::Busy(_)) if file.is_none() && self.is_whole() => {
                eprintln!(
                    "sealtrail: another command is syncing this vault; what follows is as of its last sync"
                );
                return Ok(SyncReport::default());
            }
            other => other?,
        };
        self.identity_file()?;
        let known = vault.ledger_keys()?.all().len();
        let report = match file {
            Some(path) => self.run(&mut vault, &mut FileSource::open(path)?),
            None => {
                let client = self.client()?;
                self.run(&mut vault, &mut ServerSource::new(&client, true))
            }
        }?;
        tell_changes(vault.ledger_keys()?.all().iter().skip(known.max(1)));
        self.check_given(&vault)?;
        if remember || !self.dir.join(SETTINGS).exists() {
            self.remember(&vault.ledger_key()?)?;
        }
        Ok(report)
    }

    /// Hashes and verifies everything in the vault again, and makes its search index anew.
    pub fn check(&self) -> Result<Report, Failure> {
        let vault = Vault::open_to_sync(&self.dir, &self.key)?;
        // The vault's own head, kept apart from the one in the database that is read again.
        let known: Vec<_> = vault.whole()?.iter().map(|w| w.checkpoint().clone()).collect();
        let key = vault.ledger_key()?;
        let trust = Trust { ledger: &key, admin: self.admin.as_ref(), known: &known };
        let mut bar = Bar::new("verifying", "blocks");
        let mut progress = |done: u64, all: u64| bar.at(done, all);
        let report = verify(&mut FileSource::open(&vault.database())?, &trust, &mut progress)?;
        drop(bar);
        let mut bar = Bar::new("making the index", "blocks");
        vault.rebuild_index(&mut |done, all| bar.at(done, all))?;
        Ok(report)
    }

    fn run(&self, vault: &mut Vault, source: &mut dyn Source) -> Result<SyncReport, Failure> {
        let mut bar = Bar::new("checking the chain", "blocks");
        let mut progress = |p: Progress| {
            bar.say(if p.checking { "checking the chain" } else { "downloading" });
            bar.at(p.done, p.blocks);
        };
        let result = vault.sync(source, self.admin.as_ref(), &mut progress);
        drop(bar);
        let report = result?;
        if self.persist {
            self.keep(vault)?;
        }
        Ok(report)
    }

    /// Keeps the opened events of new blocks, sealed to the identity.
    fn keep(&self, vault: &mut Vault) -> Result<(), Failure> {
        vault.keep_opened();
        let mut bar = Bar::new("keeping opened", "records");
        vault.records(self.identities()?)?.keep(&mut |done, all| bar.at(done, all))?;
        Ok(())
    }

    fn remember(&self, key: &VerifierKey) -> Result<(), Failure> {
        let kept = Remembered {
            key: Some(key.to_string()),
            admin: self.admin.as_ref().map(ToString::to_string),
            server: self.server.clone(),
            ca: self.ca.clone(),
            identity: self.identity.clone(),
            persist: self.persist,
        };
        let text = toml::to_string(&kept).map_err(Failure::unavailable)?;
        let path = self.dir.join(SETTINGS);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        keyfile::replace_secret(&path, &text).map_err(Failure::usage)
    }
}

impl OpenVault {
    /// The records, opened with the identities on the way.
    pub fn records(&self) -> Result<VaultRecords, Failure> {
        Ok(self.vault.records(self.setting.identities()?)?)
    }

    /// The same for those who keep it and go through it, with a progress bar for each pass.
    pub fn shared_records(&self) -> Result<Arc<dyn Records>, Failure> {
        Ok(Arc::new(Watched(Arc::new(self.records()?))))
    }

    /// One line: what everything said next is true of.
    pub fn as_of(&self) -> String {
        let a = &self.view.as_of;
        let when = a.committed.map(|t| t.to_string()).unwrap_or_default();
        format!("{}: {} records in {} blocks, verified, as of {when}", a.ledger, a.records, a.blocks)
    }
}

/// Says which keys the ledger has been given since the vault was synced last.
fn tell_changes<'k>(changes: impl Iterator<Item = &'k LedgerKey>) {
    for change in changes {
        let by = match change.handed_over {
            true => "and the key before it have signed that",
            false => {
                "alone has signed that, without the key before it: ask the operator, over a way you trust, whether it is theirs"
            }
        };
        eprintln!(
            "sealtrail: NOTE: from block {} on the ledger signs with another key, {}; an admin {by}",
            change.since, change.key
        );
    }
}

fn failure(kind: ErrorKind, e: impl std::fmt::Display) -> Failure {
    match kind {
        ErrorKind::Wrong => Failure::Wrong(e.to_string()),
        ErrorKind::Usage => Failure::usage(e),
        ErrorKind::Unavailable => Failure::unavailable(e),
    }
}

impl From<VaultError> for Failure {
    fn from(e: VaultError) -> Failure {
        failure(e.kind(), e)
    }
}

impl From<SyncError> for Failure {
    fn from(e: SyncError) -> Failure {
        failure(e.kind(), e)
    }
}
