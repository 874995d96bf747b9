//! `backup`: a verified copy of a ledger, running or not.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::auditor::vault::{DATABASE, SyncReport};
use crate::auditor::verify::Report;
use crate::base::clock::Timestamp;
use crate::base::owner::denied;
use crate::base::paths::beside;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::config::keyfile;
use crate::config::settings::SETTINGS_FILE;
use crate::ledger::Guard;
use crate::store::{SqliteStore, Store, mark};

use super::copying::{fill, ledger_key, put_in_place, sync_folder, tidy, verify_written};
use super::operator::{guard_path, settings};
use super::source::FileSource;
use super::{Failure, Outcome, print_json};

/// What a backup says about itself.
const ABOUT: &str = "BACKUP.txt";
/// A backup that is being made is called so.
const PARTIAL: &str = ".partial";

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail backup /backups/ledger-2026-11-21\n  sealtrail backup --update /backups/ledger      \
        only what is new since the last time\n\
    The server may run: it goes on appending. What is copied is verified, and then all of the copy again from its bytes.\n\
    In it: every block, record, proof and erasure, the last-signed file, the settings. NOT in it: any key (keys/), the ingest token, \
    TLS files. Without keys/ledger.key no server can go on with the ledger: keep keys/ elsewhere, and safe.\n\
    Restore: sealtrail restore DEST"
)]
pub struct Args {
    /// Folder to make
    dest: PathBuf,
    /// Bring this backup up to date instead of making a new one. What was erased since is erased in it, too
    #[arg(long)]
    update: bool,
    /// The ledger's public key, as text or as a .vkey file, if it is not keys/ledger.vkey
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(settings_path: &Path, args: Args) -> Outcome {
    let settings = settings(settings_path)?;
    let key = ledger_key(args.key.as_deref(), &settings)?;
    let work = match args.update {
        true => existing(&args.dest)?,
        false => new(&args.dest)?,
    };
    let mut source = FileSource::open(&settings.database)?;
    let (copied, checkpoint) = fill(&work, &key, &mut source, "copying")?;
    keep_state(&work, &key, &source, &checkpoint)?;
    drop(source);
    write_guard(&work, &key, &checkpoint)?;
    copy_settings(settings_path, &work)?;
    let signed = SignedCheckpoint::parse(&checkpoint, &key).map_err(|e| Failure::Wrong(e.to_string()))?;
    let report = verify_written(&work, &key, &[signed.checkpoint().clone()]).map_err(|e| {
        prefixed("the backup was written, and what can be read of it does not hold; do not rely on it: ", e)
    })?;
    write_about(&work, &report)?;
    if !args.update {
        tidy(&work);
    }
    sync_folder(&work)?;
    if !args.update {
        put_in_place(&work, &args.dest)?;
    }
    tell(&args, &copied, &report)
}

fn prefixed(before: &str, e: Failure) -> Failure {
    match e {
        Failure::Wrong(m) => Failure::Wrong(format!("{before}{m}")),
        Failure::Usage(m) => Failure::Usage(format!("{before}{m}")),
        Failure::Unavailable(m) => Failure::Unavailable(format!("{before}{m}")),
    }
}

/// The folder of a new backup until it is complete.
fn new(dest: &Path) -> Result<PathBuf, Failure> {
    if fs::symlink_metadata(dest).is_ok() {
        return Err(Failure::Usage(format!(
            "{} exists already and is not overwritten: choose another name, or bring it up to date with --update",
            dest.display()
        )));
    }
    if let Some(parent) = dest.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        if fs::metadata(parent).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
            return Err(Failure::Usage(format!("{}: {}", parent.display(), denied(parent))));
        }
        return Err(Failure::Usage(format!(
            "there is no folder {}: make it, or mount it, first",
            parent.display()
        )));
    }
    let work = beside(dest, PARTIAL);
    if work.exists() {
        eprintln!("going on with {}, which an interrupted backup left", work.display());
    }
    Ok(work)
}

/// The folder of a backup that is to be brought up to date.
fn existing(dest: &Path) -> Result<PathBuf, Failure> {
    for file in [DATABASE, ABOUT].map(|name| dest.join(name)) {
        match fs::metadata(&file) {
            Ok(there) if there.is_file() => {}
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return Err(Failure::Usage(format!("{} cannot be read: {}", file.display(), denied(&file))));
            }
            _ => return Err(no_backup(dest)),
        }
    }
    Ok(dest.to_owned())
}

fn no_backup(dest: &Path) -> Failure {
    Failure::Usage(format!("{} is no backup: make one first, without --update", dest.display()))
}

/// Keeps the state that the ledger signed, so that a server can start from the backup without going through all blocks.
fn keep_state(work: &Path, key: &VerifierKey, source: &FileSource, checkpoint: &str) -> Result<(), Failure> {
    let Some(state) = source.signed_state(checkpoint) else { return Ok(()) };
    let store = SqliteStore::open(&work.join(DATABASE), key.name(), false)?;
    if let Some(head) = store.head()? {
        store.append(head.size, &[], &[(mark::BACKUP_STATE.to_owned(), state)], &head)?;
    }
    Ok(())
}

/// The last-signed file of the backup: what it goes up to itself. The ledger's own may be further by now. Made anew each time: what is in
/// the one of an earlier backup may be signed by a key that was changed since.
fn write_guard(work: &Path, key: &VerifierKey, checkpoint: &str) -> Result<(), Failure> {
    let place = guard_path(&work.join(DATABASE));
    let fresh = beside(&place, PARTIAL);
    let _ = fs::remove_file(&fresh);
    let (mut guard, _) = Guard::open(&fresh, key).map_err(Failure::unavailable)?;
    guard.write(checkpoint).and_then(|()| guard.sync()).map_err(Failure::unavailable)?;
    fs::rename(&fresh, &place)
        .map_err(|e| Failure::Unavailable(format!("{} cannot be written: {e}", place.display())))
}

fn copy_settings(from: &Path, work: &Path) -> Result<(), Failure> {
    let text = keyfile::read_public(from).map_err(Failure::usage)?;
    keyfile::replace_public(&work.join(SETTINGS_FILE), &text).map_err(Failure::unavailable)
}

fn write_about(work: &Path, r: &Report) -> Result<(), Failure> {
    let text = format!(
        "Backup of the ledger {}\n\
         made           {} by sealtrail {}, verified from its bytes\n\
         blocks         {}\n\
         records        {}, of which erased: {}\n\
         last block     {}\n\
         log root       {}\n\
         \n\
         Contains       all blocks, ciphertext, key slots, blind tags, erasure orders (ledger.db), the last-signed file as of this\n\
         \x20              backup (ledger.db.last-signed), the settings (sealtrail.toml)\n\
         Lacks          every key and token: keep the folder keys/ elsewhere. Nobody can read a record with what is in here\n\
         \n\
         Verify         sealtrail audit verify --key LEDGER.vkey --file ledger.db\n\
         Restore        sealtrail restore FOLDER-OF-THIS-FILE\n\
         Bring up to date, which also erases what was ordered to be erased since:\n\
         \x20              sealtrail backup --update FOLDER-OF-THIS-FILE\n",
        r.ledger,
        Timestamp::now(),
        env!("CARGO_PKG_VERSION"),
        r.blocks,
        r.records,
        r.erased,
        r.last_committed.as_deref().unwrap_or("-"),
        r.root,
    );
    keyfile::replace_public(&work.join(ABOUT), &text).map_err(Failure::unavailable)
}

fn tell(args: &Args, copied: &SyncReport, r: &Report) -> Outcome {
    let dest = args.dest.display().to_string();
    if args.json {
        return print_json(&serde_json::json!({
            "backup": dest, "ledger": r.ledger, "blocks": r.blocks, "records": r.records,
            "new_blocks": copied.new_blocks, "new_records": copied.new_records, "erased_here": copied.dropped,
            "bytes_verified": r.bytes, "root": r.root, "last_committed": r.last_committed,
        }));
    }
    println!("BACKUP  {} at {dest}", r.ledger);
    println!("  copied     {} blocks, {} records", copied.new_blocks, copied.new_records);
    if copied.dropped > 0 {
        println!("  erased     {} records, as ordered since the last time", copied.dropped);
    }
    println!(
        "  verified   all {} blocks and {} records, from {} bytes of the copy",
        r.blocks, r.records, r.bytes
    );
    println!("  last block {}", r.last_committed.as_deref().unwrap_or("-"));
    println!(
        "  NOT in it  keys/ and TLS files: keep them elsewhere; without keys/ledger.key no server can go on with this ledger"
    );
    Ok(())
}
