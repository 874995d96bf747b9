//! `rotate`: put a new key in place of a signing key, by a roster that names it. What the old one signed stays valid; what it signs from
//! then on is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::chain::key::VerifierKey;
use crate::chain::roster::Roster;
use crate::chain::statement::Statement;
use crate::config::settings::Settings;
use crate::config::writer_settings::WriterSettings;
use crate::ledger::{Ledger, Options};
use crate::store::{LockFile, SqliteStore, Store, StoreError};

use super::authority::Authority;
use super::next_key::{finish_ledger, next_key, next_path, old_vkey_path, signs_head, take_place};
use super::operator::{
    ADMIN_KEY, GATEWAY_KEY, LEDGER_KEY, SEARCH_FILE, guard_path, settings as load_settings,
};
use super::operator::{signing_key, signing_key_file};
use super::progress::Bar;
use super::trust::verifier_key;
use super::{Failure, Outcome};

#[derive(clap::Subcommand)]
pub enum RotateCommand {
    /// Give the ledger a new key: checkpoints, receipts and proofs are signed with it from now on. The server must be stopped
    #[command(
        after_help = "Example:\n  (stop the server)\n  sealtrail rotate ledger\n  (start the server)\n\n\
            Then publish keys/ledger.vkey and keys/ledger.ID.handover. Who has the old key is led to the new one by the server, and offline \
            by the handover file (verify --handover FILE). Receipts and proofs made before are checked with the key of their time, \
            keys/ledger.ID.vkey, or fetched again (sealtrail prove) and checked with the new one. keys/ledger.ID.retired.key is needed by \
            nothing any more: destroy it, and its backups. After a theft tell everybody who verifies at once: who has not seen the \
            change yet cannot tell the thief's checkpoints from the ledger's."
    )]
    Ledger {
        /// The old key is lost. Then only an admin signs, and everybody needs the new ledger.vkey or the admin's key to verify
        #[arg(long)]
        lost: bool,
        /// Protect the new key with a passphrase, also if the old one is not
        #[arg(long)]
        passphrase: bool,
    },
    /// Give the server's own writer a new key, under the same name. The server must be stopped
    #[command(
        after_help = "Example:\n  (stop the server)\n  sealtrail rotate gateway\n  (start the server)\n\n\
            The writer's sequence goes on where it was; batches signed with the old key are refused from now on, and those signed before stay \
            valid (verify --writer with keys/gateway.ID.vkey). After a theft add --new-search-secret."
    )]
    Gateway {
        /// Begin a new search period too: who had the old search secret can test no guesses against new tags
        #[arg(long)]
        new_search_secret: bool,
        /// Protect the new key with a passphrase, also if the old one is not
        #[arg(long)]
        passphrase: bool,
    },
    /// Make the next key of a remote writer, on its machine; `log --seal` changes over once an admin has put it into the roster
    #[command(
        after_help = "Example:\n  sealtrail rotate writer writer.toml                  (on the writer's machine)\n  \
            sealtrail writer replace 'hospital.example/writers/ehr+…'   (the admin)\n  \
            sealtrail log events.ndjson --seal writer.toml       (signs with the new key from now on)"
    )]
    Writer {
        /// The remote writer's settings file
        writer_settings: PathBuf,
        /// Protect the new key with a passphrase, also if the old one is not
        #[arg(long)]
        passphrase: bool,
    },
    /// Give the admin a new key, under the same name; the server may run
    #[command(
        after_help = "Example: sealtrail rotate admin\n\nAuditors go on giving --admin the key that signed the first roster \
            (keys/admin.ID.vkey): the chain leads from it to the new one. `audit search` on a server wants the present one."
    )]
    Admin {
        /// Protect the new key with a passphrase, also if the old one is not
        #[arg(long)]
        passphrase: bool,
    },
}

pub fn run(path: &Path, command: RotateCommand) -> Outcome {
    match command {
        RotateCommand::Ledger { lost, passphrase } => ledger(&load_settings(path)?, lost, passphrase),
        RotateCommand::Gateway { new_search_secret, passphrase } => {
            gateway(&load_settings(path)?, new_search_secret, passphrase)
        }
        RotateCommand::Writer { writer_settings, passphrase } => writer(&writer_settings, passphrase),
        RotateCommand::Admin { passphrase } => admin(&load_settings(path)?, passphrase),
    }
}

fn lock(settings: &Settings) -> Result<LockFile, Failure> {
    LockFile::acquire(&settings.database).map_err(|e| match e {
        StoreError::Locked { .. } => Failure::Usage(format!(
            "{e}. Stop the server first, and start it again afterwards: nothing is lost, its clients send again what was not answered"
        )),
        e => e.into(),
    })
}

fn ledger(settings: &Settings, lost: bool, passphrase: bool) -> Outcome {
    let _lock = lock(settings)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings.database, &settings.ledger, false)?);
    let path = settings.keys.join(format!("{LEDGER_KEY}.key"));
    // An attempt that broke off after the chain had the new key only has files left to move.
    let committed =
        next_path(&path).exists() && signs_head(&*store, &signing_key_file(&next_path(&path))?.verifier())?;
    if !committed {
        let old = if lost { None } else { Some(signing_key_file(&path)?) };
        let old_public = match &old {
            Some(key) => key.verifier(),
            None => verifier_key(&path.with_extension("vkey").to_string_lossy())?,
        };
        let admin = signing_key(&settings.keys, ADMIN_KEY)?;
        let next = next_key(&path, &settings.ledger, passphrase)?;
        let new = next.verifier();
        let options =
            Options { key: next, guard: guard_path(&settings.database), accept_database_head: false };
        let mut bar = Bar::new("checking the chain", "blocks");
        let mut progress = |done, all| bar.at(done, all);
        let changed = Ledger::change_key(store.clone(), options, &old_public, &mut progress, |state| {
            let head = state.authority();
            let roster = Roster {
                sequence: head.next_sequence,
                previous: head.previous,
                issued: Timestamp::now(),
                ledger_key: new,
                ..state.roster()?.clone()
            };
            let mut note = Statement::Roster(roster).sign(&admin).ok()?;
            if let Some(old) = &old {
                note.add_signature(old);
            }
            Some(note)
        });
        drop(bar);
        drop(changed?);
    }
    let (retired, handover) = finish_ledger(settings, &store, signing_key_file(&next_path(&path))?)?;
    println!("{}", signing_key_file(&path)?.verifier());
    eprintln!(
        "The ledger signs with a new key from now on: the line above, and keys/ledger.vkey. Give it to everyone who verifies."
    );
    match handover {
        Some(file) => eprintln!(
            "  {} leads from the old key to it: publish it too, for those who verify offline",
            file.display()
        ),
        None => eprintln!(
            "  The old key did not sign the change: who has it needs the new one from you, or the admin's key"
        ),
    }
    if retired.exists() {
        eprintln!("  {} is needed no more: destroy it", retired.display());
    }
    Ok(())
}

/// Puts `new` in the place of the key with its name.
pub fn replace_key(keys: &mut [VerifierKey], new: &VerifierKey, role: &str) -> Result<VerifierKey, Failure> {
    let name = new.name();
    let known = keys.iter_mut().find(|k| k.name() == name);
    let known = known.ok_or_else(|| {
        Failure::Usage(format!(
            "there is no {role} {name} to replace; `sealtrail {role} add` lets a new one in"
        ))
    })?;
    if known == new {
        return Err(Failure::Usage(format!("this is the key the roster has for {name} already")));
    }
    Ok(std::mem::replace(known, new.clone()))
}

fn gateway(settings: &Settings, new_search_secret: bool, passphrase: bool) -> Outcome {
    drop(lock(settings)?);
    let path = settings.keys.join(format!("{GATEWAY_KEY}.key"));
    let next = next_key(&path, &settings.gateway.writer, passphrase)?.verifier();
    let authority = Authority::of_settings(settings)?;
    if authority.roster.writer(next.name()) != Some(&next) {
        authority.change(&signing_key(&settings.keys, ADMIN_KEY)?, |roster| {
            replace_key(&mut roster.writers, &next, "writer").map(drop)
        })?;
    }
    if new_search_secret {
        let search = settings.keys.join(SEARCH_FILE);
        if search.exists() {
            std::fs::remove_file(&search)
                .map_err(|e| Failure::Unavailable(format!("cannot remove {}: {e}", search.display())))?;
        }
    }
    let retired = take_place(&path, &next, &present(&path)?)?;
    println!("{next}");
    eprintln!(
        "The server signs batches with a new key from its next start on. {} is refused everywhere: destroy it",
        retired.display()
    );
    Ok(())
}

/// The public half of the key that is to be replaced. The secret one may be gone: that is a reason to replace it. But where it is, it
/// counts: a change that broke off may have written the other file already.
fn present(path: &Path) -> Result<VerifierKey, Failure> {
    if let Ok(key) = signing_key_file(path) {
        return Ok(key.verifier());
    }
    verifier_key(&path.with_extension("vkey").to_string_lossy())
}

fn admin(settings: &Settings, passphrase: bool) -> Outcome {
    let path = settings.keys.join(format!("{ADMIN_KEY}.key"));
    let present = present(&path)?;
    let next = next_key(&path, present.name(), passphrase)?.verifier();
    let authority = Authority::of_settings(settings)?;
    if authority.roster.admin(next.name()) != Some(&next) {
        authority.change(&signing_key_file(&path)?, |roster| {
            replace_key(&mut roster.admins, &next, "admin").map(drop)
        })?;
    }
    let retired = take_place(&path, &next, &present)?;
    println!("{next}");
    eprintln!(
        "Rosters, grants and holds are signed with a new key from now on. {} is refused: destroy it.\n\
         Auditors go on with the one that signed the first roster (--admin); what was replaced now is in {}: keep it published",
        retired.display(),
        old_vkey_path(&path, &present).display()
    );
    Ok(())
}

fn writer(settings: &Path, passphrase: bool) -> Outcome {
    let settings = WriterSettings::load(settings).map_err(Failure::usage)?;
    let present = present(&settings.key)?;
    let next = next_key(&settings.key, present.name(), passphrase)?;
    println!("{}", next.verifier());
    eprintln!(
        "The next key is in {}. An admin puts it into the roster: sealtrail writer replace '{}'. From then on `log --seal` signs with it",
        next_path(&settings.key).display(),
        next.verifier()
    );
    Ok(())
}
