//! What `backup`, `restore` and `fsck --repair` have in common: a verified copy into a folder of its own, which gets its final name
//! only when all of it is there, verified from its bytes, and on the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::auditor::copies::{Copies, Copy};
use crate::auditor::source::{ServerSource, Source, SourceError};
use crate::auditor::vault::{DATABASE, Progress, SyncError, SyncReport, Vault, VaultError};
use crate::auditor::verify::{Report, Trust, verify};
use crate::base::paths::beside;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::client::Client;
use crate::config::settings::Settings;
use crate::ledger::is_signed;
use crate::store::{Head, LockFile, SHM, SqliteStore, Store, WAL};

use super::Failure;
use super::operator::LEDGER_KEY;
use super::progress::Bar;
use super::source::FileSource;
use super::trust::{any_session, verifier_key};

/// The ledger's public key: the one given, or the operator's own.
pub fn ledger_key(given: Option<&str>, settings: &Settings) -> Result<VerifierKey, Failure> {
    let own = settings.keys.join(format!("{LEDGER_KEY}.vkey"));
    match given {
        Some(given) => verifier_key(given),
        None if own.exists() => verifier_key(&own.display().to_string()),
        None => Err(Failure::Usage(format!(
            "there is no {}: name the ledger's public key with --key VKEY. It must not come from the copy that is to be verified",
            own.display()
        ))),
    }
}

/// Where further copies are read: for every command that takes `--from`.
#[derive(clap::Args)]
pub struct FromArgs {
    /// Another copy, for what is damaged or missing: a backup, an auditor's vault, a database file, or the URL of a server. May be
    /// given again; only what can be proved is taken
    #[arg(long = "from", value_name = "COPY")]
    pub from: Vec<String>,
    /// For a server: the identity file of a reader, whom it gives ciphertext
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// For a server: certificate to trust for https, PEM
    #[arg(long, env = "SEALTRAIL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl FromArgs {
    /// No further copies.
    pub fn none() -> FromArgs {
        FromArgs { from: Vec::new(), identity: None, ca: None }
    }

    /// A client, with a session, for each of them that is a server.
    pub fn clients(&self, key: &VerifierKey) -> Result<Vec<Option<Client>>, Failure> {
        let client = |from: &String| {
            if !from.starts_with("http://") && !from.starts_with("https://") {
                return Ok(None);
            }
            let identity = self.identity.as_deref().ok_or_else(|| {
                Failure::Usage(format!(
                    "{from} gives ciphertext to readers only: name an identity file with --identity"
                ))
            })?;
            let mut client = Client::new(from, self.ca.as_deref())?;
            any_session(&mut client, identity, key.name())?;
            Ok(Some(client))
        };
        self.from.iter().map(client).collect()
    }

    /// Opens all of them; `clients` are those of [`FromArgs::clients`].
    pub fn open<'a>(&self, clients: &'a [Option<Client>]) -> Result<Vec<Copy<'a>>, Failure> {
        let open = |(from, client): (&String, &'a Option<Client>)| {
            let source: Box<dyn Source + 'a> = match client {
                Some(client) => Box::new(ServerSource::new(client, true)),
                None => Box::new(FileSource::open_copy(Path::new(from))?),
            };
            Ok(Copy { name: from.clone(), source })
        };
        self.from.iter().zip(clients).map(open).collect()
    }

    /// The signed state that one of the files has with this checkpoint.
    pub fn signed_state(&self, checkpoint: &str) -> Option<Vec<u8>> {
        let files = self.from.iter().filter_map(|from| FileSource::open_copy(Path::new(from)).ok());
        files.into_iter().find_map(|file| file.signed_state(checkpoint))
    }
}

/// Fills the folder `dir` from `source`, or brings it up to date. Everything is verified on the way.
pub fn fill(
    dir: &Path,
    key: &VerifierKey,
    source: &mut dyn Source,
    doing: &'static str,
) -> Result<(SyncReport, String), Failure> {
    let mut vault = Vault::open_to_sync(dir, key).map_err(of_copy)?;
    let mut bar = Bar::new("checking the chain", "blocks");
    let filled = vault.sync(source, None, &mut |p: Progress| {
        bar.say(if p.checking { "checking the chain" } else { doing });
        bar.at(p.done, p.blocks);
    });
    let report = filled.map_err(|e| match e {
        SyncError::Vault(e) => of_copy(e),
        e => e.into(),
    })?;
    let whole = vault.whole().map_err(of_copy)?.map(|signed| signed.note().to_string());
    Ok((report, whole.unwrap_or_default()))
}

/// What is wrong with the folder that is filled, for whoever makes a backup or a ledger: to them it is no vault.
fn of_copy(e: VaultError) -> Failure {
    match e {
        VaultError::OtherLedger { dir, found, expected } => {
            Failure::Usage(format!("{dir} holds a copy of {found}, not of {expected}: name another folder"))
        }
        VaultError::Busy(dir) => Failure::Unavailable(format!(
            "another command is writing to {dir}; run this again when it has ended"
        )),
        VaultError::Reading(dir) => Failure::Unavailable(format!(
            "records that were ordered to be erased stay in {dir} until another command that is reading it ends: run this again then"
        )),
        VaultError::Damaged { dir, why } => Failure::Wrong(format!(
            "the copy in {dir} is damaged ({why}): keep it as it is, and make another one in a new folder"
        )),
        e @ (VaultError::Missing(_) | VaultError::Unfinished(_) | VaultError::Store(_)) => e.into(),
    }
}

/// Makes a ledger in the folder `work` of what several copies prove together, unless that is less than the last-signed file says was
/// signed: `behind` then says what to do, told how many blocks there are and how many were signed. `state` is the signed state to a
/// checkpoint, if it is to be had. Gives what was verified, and which blocks another copy than the first had.
pub fn put_together(
    work: &Path,
    key: &VerifierKey,
    copies: Vec<Copy<'_>>,
    signed: &[SignedCheckpoint],
    state: impl FnOnce(&str) -> Option<Vec<u8>>,
    behind: impl FnOnce(u64, u64) -> String,
) -> Result<(Report, Vec<(u64, String)>), Failure> {
    let texts: Vec<String> = signed.iter().map(|s| s.note().to_string()).collect();
    let mut bar = Bar::new("reading the copies", "blocks");
    let mut copies =
        Copies::new(copies, key, &texts, &mut |done, all| bar.at(done, all)).map_err(unreadable)?;
    drop(bar);
    let newest = signed.iter().map(|s| s.checkpoint().size).max().unwrap_or_default();
    if newest > copies.size() {
        return Err(Failure::Wrong(behind(copies.size(), newest)));
    }
    // What an earlier attempt left was made of other copies, perhaps.
    let _ = fs::remove_dir_all(work);
    let (_, checkpoint) = fill(work, key, &mut copies, "copying")?;
    let mended = copies.taken().map(|(block, name)| (block, name.to_owned())).collect();
    drop(copies);
    make_ledger(work, key, &checkpoint, state(&checkpoint))?;
    let known: Vec<Checkpoint> = signed.iter().map(|s| s.checkpoint().clone()).collect();
    let report = verify_written(work, key, &known)?;
    sync_folder(work)?;
    Ok((report, mended))
}

/// What an error of a source means for a command that copies it.
fn unreadable(e: SourceError) -> Failure {
    match e {
        SourceError::Damaged(_) => Failure::Wrong(e.to_string()),
        SourceError::Empty(_) => Failure::Usage(format!("{e}: there is nothing to copy")),
        SourceError::Unavailable(_) => Failure::unavailable(e),
    }
}

/// Verifies the database in `dir` from its bytes, as `audit verify --file` does, and holds it against checkpoints seen before.
pub fn verify_written(dir: &Path, key: &VerifierKey, known: &[Checkpoint]) -> Result<Report, Failure> {
    let mut source = FileSource::open(&dir.join(DATABASE))?;
    let trust = Trust { ledger: key, admin: None, known };
    let mut bar = Bar::new("verifying the copy", "blocks");
    Ok(verify(&mut source, &trust, &mut |done, all| bar.at(done, all))?)
}

/// Makes a verified copy into what a server can start from: with the state its ledger signed, if it is there and is what the blocks of
/// the copy give; without it the first start goes through all blocks.
fn make_ledger(
    dir: &Path,
    key: &VerifierKey,
    checkpoint: &str,
    state: Option<Vec<u8>>,
) -> Result<(), Failure> {
    let Some(state) = state else { return Ok(()) };
    let store = SqliteStore::open(&dir.join(DATABASE), key.name(), false)?;
    // A stolen key signs any state.
    let fits =
        |h: &Head| h.checkpoint == checkpoint.as_bytes() && is_signed(&state, &h.state, checkpoint, key);
    if let Some(head) = store.head()?.filter(fits) {
        store.append(head.size, &[], &[], &Head { state, ..head })?;
    }
    Ok(())
}

/// Everything in a folder is on the disk when this returns, and its name too. Nothing of it may be open.
pub fn sync_folder(dir: &Path) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::Unavailable(format!("{} cannot be synced to the disk: {e}", dir.display()))
    };
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_file() {
            File::open(&path).and_then(|f| f.sync_all()).map_err(cannot)?;
        }
    }
    File::open(dir).and_then(|f| f.sync_all()).map_err(cannot)
}

/// Removes what opening a database leaves beside it. Only for a copy that nobody else knows of yet.
pub fn tidy(dir: &Path) {
    let database = dir.join(DATABASE);
    let empty = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.len() == 0);
    if empty(&beside(&database, WAL)) {
        let _ = fs::remove_file(beside(&database, WAL));
        let _ = fs::remove_file(beside(&database, SHM));
    }
    let _ = fs::remove_file(LockFile::path_for(&database));
}

/// Renames, and makes sure of it. What is at `to` already is not replaced.
pub fn put_in_place(from: &Path, to: &Path) -> Result<(), Failure> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(Failure::Usage(format!("{} exists by now; nothing was overwritten", to.display())));
    }
    replace(from, to)
}

/// The same, in the place of what is at `to`.
pub fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::Unavailable(format!("{} cannot be renamed to {}: {e}", from.display(), to.display()))
    };
    fs::rename(from, to).map_err(cannot)?;
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|f| f.sync_all()).map_err(cannot)
}

/// Says which blocks were taken from other copies than the first, as ranges.
pub fn tell_mended(mended: &[(u64, String)]) {
    const MOST: usize = 10;
    let mut ranges: Vec<(u64, u64, &str)> = Vec::new();
    for (block, from) in mended {
        match ranges.last_mut() {
            Some((_, last, same)) if *last + 1 == *block && *same == from.as_str() => *last = *block,
            _ => ranges.push((*block, *block, from.as_str())),
        }
    }
    for (first, last, from) in ranges.iter().take(MOST) {
        match first == last {
            true => println!("  mended     block {first}, from {from}"),
            false => println!("  mended     blocks {first} to {last}, from {from}"),
        }
    }
    if ranges.len() > MOST {
        println!("  mended     and {} more ranges", ranges.len() - MOST);
    }
}
