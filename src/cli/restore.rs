//! `restore`: puts a ledger back from a backup, and from whatever other copies there are. Never behind what it has signed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::auditor::copies::Copy;
use crate::auditor::vault::DATABASE;
use crate::auditor::verify::Report;
use crate::base::paths::beside;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::config::keyfile;
use crate::config::settings::{SETTINGS_FILE, Settings};
use crate::ledger::Guard;
use crate::store::{LockFile, SHM, WAL};

use super::copying::{FromArgs, ledger_key, put_in_place, put_together, tell_mended};
use super::operator::{GATEWAY_KEY, LEDGER_KEY, TOKEN_FILE, guard_path};
use super::source::FileSource;
use super::{Failure, Outcome, print_json};

/// A database that is being put together lies in a folder that is called so.
const WORK: &str = ".restoring";

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cd /var/lib/sealtrail && sealtrail restore /backups/ledger-2026-11-21\n  \
        sealtrail restore /backups/ledger --from /home/auditor/vault     blocks that came after the backup, from an auditor's vault\n\
    The database goes where the settings say; without a settings file here, that of the backup is used and put here. What is there \
    is never overwritten: move a damaged database away first (with its -wal file), and leave the last-signed file where it is.\n\
    Put keys/ back from where you keep it, first: the backup does not have it."
)]
pub struct Args {
    /// A backup's folder; an auditor's vault or a database file will do, too
    backup: PathBuf,
    #[command(flatten)]
    from: FromArgs,
    /// The ledger's public key, as text or as a .vkey file, if it is not keys/ledger.vkey
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was put back.
struct Restored {
    report: Report,
    /// Blocks that another copy than the backup had.
    mended: Vec<(u64, String)>,
    /// Blocks the last-signed file counts, if there is one.
    signed: Option<u64>,
    /// The settings are those of the backup.
    settings: bool,
}

pub fn run(settings_path: &Path, args: Args) -> Outcome {
    let (settings, new_settings) = settings_for(settings_path, &args.backup)?;
    if new_settings.is_some() && args.key.is_none() {
        own_keys(settings_path, &settings)?;
    }
    let key = ledger_key(args.key.as_deref(), &settings)?;
    let database = &settings.database;
    if let Some(parent) = database.parent().filter(|p| !p.as_os_str().is_empty()) {
        keyfile::create_folder(parent).map_err(Failure::usage)?;
    }
    // Before anything is said about moving files away: not from under a server.
    let lock = LockFile::acquire(database)?;
    // Whoever reads a database leaves an empty log there.
    let log = beside(database, WAL);
    let has_log = fs::symlink_metadata(&log).is_ok_and(|m| m.len() > 0);
    for path in [Some(database.clone()), Some(log.clone()).filter(|_| has_log)].into_iter().flatten() {
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Failure::Usage(format!(
                "{} exists already and is not overwritten: move it away, and keep it as long as it may hold blocks that the backup lacks",
                path.display()
            )));
        }
    }
    let signed = last_signed(database, &key)?;
    let work = beside(database, WORK);
    let mut restored = copy(&args, &key, &work, &signed)?;
    let _ = fs::remove_file(&log);
    let _ = fs::remove_file(beside(database, SHM));
    put_in_place(&work.join(DATABASE), database)?;
    // Nothing of it is needed any more.
    let _ = fs::remove_dir_all(&work);
    drop(lock);
    if let Some(text) = &new_settings {
        keyfile::create_public(settings_path, text).map_err(Failure::usage)?;
    }
    restored.settings = new_settings.is_some();
    tell(&args, &settings, settings_path, &restored)
}

/// The settings there are, or else those of the backup, with the text to write.
fn settings_for(path: &Path, backup: &Path) -> Result<(Settings, Option<String>), Failure> {
    if path.exists() {
        return Ok((super::operator::settings(path)?, None));
    }
    let kept = backup.join(SETTINGS_FILE);
    if !kept.is_file() {
        return Err(Failure::Usage(format!(
            "there is neither {} nor {}: write the settings first, or name them with --settings",
            path.display(),
            kept.display()
        )));
    }
    let text = keyfile::read_public(&kept).map_err(Failure::usage)?;
    Ok((Settings::parse(&text, path).map_err(Failure::usage)?, Some(text)))
}

/// Settings out of a backup do not say where the key is that the backup is verified against.
fn own_keys(path: &Path, settings: &Settings) -> Outcome {
    if settings.keys == Settings::default_for(&settings.ledger, path.parent().unwrap_or(Path::new(""))).keys {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "there is no {} here, and the settings in the backup, which nobody has signed, name {} as the folder of the keys: name the ledger's \
         public key with --key VKEY, from where you keep it",
        path.display(),
        settings.keys.display()
    )))
}

/// The checkpoints in the last-signed file; none if there is no such file.
fn last_signed(database: &Path, key: &VerifierKey) -> Result<Vec<SignedCheckpoint>, Failure> {
    let path = guard_path(database);
    let signed = Guard::peek_signed(&path, key);
    if signed.is_empty() && fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
        return Err(Failure::Usage(format!(
            "{} holds no checkpoint signed by {}: it is of another ledger, or damaged. It is not replaced: it alone knows what this \
             ledger has signed. If it is lost for good, move it away, and read \"When blocks are lost\" in docs/OPERATIONS.md",
            path.display(),
            key.name()
        )));
    }
    Ok(signed)
}

fn copy(
    args: &Args,
    key: &VerifierKey,
    work: &Path,
    signed: &[SignedCheckpoint],
) -> Result<Restored, Failure> {
    let clients = args.from.clients(key)?;
    let backup = FileSource::open_copy(&args.backup)?;
    let mut copies = vec![Copy { name: args.backup.display().to_string(), source: Box::new(backup) }];
    copies.extend(args.from.open(&clients)?);
    let state = |checkpoint: &str| {
        let own = FileSource::open_copy(&args.backup).ok().and_then(|s| s.signed_state(checkpoint));
        own.or_else(|| args.from.signed_state(checkpoint))
    };
    let (report, mended) = put_together(work, key, copies, signed, state, lost)?;
    let signed = signed.iter().map(|s| s.checkpoint().size).max();
    Ok(Restored { report, mended, signed, settings: false })
}

/// What an operator can do whose backup is older than what the ledger has signed.
fn lost(have: u64, signed: u64) -> String {
    let missing = match signed - have {
        1 => "one is".to_owned(),
        more => format!("{more} are"),
    };
    format!(
        "these copies have {have} blocks, and by its last-signed file the ledger has signed {signed}: the last {missing} missing. \
         Nothing was restored, because a ledger that goes on from here signs a second history, which everyone who saw the first one \
         finds out.\n\
         Somebody may have the missing blocks; give every copy you find with --from:\n  \
         - a newer backup, or the database that was there, even if it is damaged (--from FILE)\n  \
         - an auditor's vault: each `sealtrail audit sync` made a verified copy (--from FOLDER)\n  \
         - a server that still runs with a newer copy (--from URL --identity FILE)\n\
         If nobody has them, they are lost: read \"When blocks are lost\" in docs/OPERATIONS.md before you go on. It says who must be \
         told, and how writers send again what only they still have."
    )
}

fn tell(args: &Args, settings: &Settings, path: &Path, restored: &Restored) -> Outcome {
    let r = &restored.report;
    let missing: Vec<String> =
        [format!("{LEDGER_KEY}.key"), format!("{GATEWAY_KEY}.key"), TOKEN_FILE.to_owned()]
            .iter()
            .map(|name| settings.keys.join(name))
            .filter(|path| !path.exists())
            .map(|path| path.display().to_string())
            .collect();
    if args.json {
        return print_json(&serde_json::json!({
            "ledger": r.ledger, "database": settings.database, "blocks": r.blocks, "records": r.records, "root": r.root,
            "last_committed": r.last_committed, "mended_blocks": restored.mended.iter().map(|m| m.0).collect::<Vec<_>>(),
            "last_signed_blocks": restored.signed, "missing_keys": missing, "settings_of_backup": restored.settings,
        }));
    }
    println!("RESTORED  {} to {}", r.ledger, settings.database.display());
    println!(
        "  verified   all {} blocks and {} records, from {} bytes of what was written",
        r.blocks, r.records, r.bytes
    );
    println!("  last block {}", r.last_committed.as_deref().unwrap_or("-"));
    tell_mended(&restored.mended);
    match restored.signed {
        Some(n) => println!(
            "  history    continues the {n} blocks of the last-signed file: nothing is missing that was signed"
        ),
        None => println!(
            "  history    NOT KNOWN: there is no {}. If the ledger signed more than these {} blocks, going on from here makes a second \
             history. The server starts only with --accept-database-head; read \"When blocks are lost\" in docs/OPERATIONS.md first",
            guard_path(&settings.database).display(),
            r.blocks
        ),
    }
    if restored.settings {
        println!(
            "  settings   {} is the backup's, which nobody has signed: look through it before the server starts",
            path.display()
        );
    }
    if !missing.is_empty() {
        println!("  keys       missing, put them back before the server starts: {}", missing.join(", "));
    }
    let named = match path == Path::new(SETTINGS_FILE) {
        true => String::new(),
        false => format!(" --settings {}", path.display()),
    };
    match restored.signed {
        Some(_) => println!("Next: sealtrail serve{named}"),
        None => println!(
            "Next: decide. If the ledger signed nothing after this (it was stopped, and then backed up), start it once with\n  \
             sealtrail serve --accept-database-head{named}\nIf that is not sure, move the database away again, and restore with every newer \
             copy there is (--from)"
        ),
    }
    Ok(())
}
