//! `fsck`: looks for damage in a stopped ledger's database, and mends what can be proved.

mod findings;
mod repair;

use std::fs;
use std::path::{Path, PathBuf};

use crate::auditor::copies::{Copies, Copy};
use crate::auditor::source::Source;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::client::Client;
use crate::ledger::{Guard, Part, inspect};
use crate::store::{LockFile, Store, StoreError, StorePart};

use super::copying::{FromArgs, ledger_key};
use super::operator::{guard_path, settings};
use super::progress::{Bar, Waiting};
use super::source::{FileSource, database_of};
use super::trust::verifier_key;
use super::{Failure, Outcome};
use findings::{Finding, Findings, Mend};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail fsck\n  sealtrail fsck --from /backups/ledger           could the backup mend it?\n  \
        sealtrail fsck --repair --from /backups/ledger\n  sealtrail fsck --file /backups/ledger/ledger.db --key ledger.vkey\n\
    The server must be stopped. Nothing is changed without --repair. With it, what follows from the blocks (indexes, tiles, state) is \
    made anew, and damaged blocks are taken from the copies named with --from, if they are proved to be the ledger's; the damaged \
    file is kept under another name.\n\
    Exit codes: 0 sound, or all mended · 1 damaged · 2 the command cannot be carried out so · 3 cannot be read or written now"
)]
pub struct Args {
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    from: FromArgs,
    /// Look at this database instead of the one in the settings: a backup's, a vault's
    #[arg(long, value_name = "FILE", requires = "key")]
    file: Option<PathBuf>,
    /// The ledger's public key, as text or as a .vkey file, if it is not keys/ledger.vkey
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is looked at.
struct Target {
    database: PathBuf,
    key: VerifierKey,
    /// A copy, and not the ledger's own database: it need not have a last-signed file.
    is_copy: bool,
}

pub fn run(settings_path: &Path, args: Args) -> Outcome {
    let target = match (&args.file, &args.key) {
        (Some(file), Some(key)) => {
            Target { database: database_of(file), key: verifier_key(key)?, is_copy: true }
        }
        _ => {
            let settings = settings(settings_path)?;
            let key = ledger_key(args.key.as_deref(), &settings)?;
            Target { database: settings.database, key, is_copy: false }
        }
    };
    let _lock = lock(&target.database, args.repair)?;
    let clients = args.from.clients(&target.key)?;
    let found = look(&target, &args.from, &clients)?;
    if !args.repair || found.is_sound() {
        return found.tell(args.json);
    }
    if !args.json {
        found.print();
    }
    let mended = repair::repair(&target, &args.from, &clients, &found)?;
    // From its bytes once more, and from nothing else.
    let after = look(&target, &FromArgs::none(), &[])?;
    after.tell_after(&mended, args.json)
}

/// Keeps a server out. What lies where nothing can be written has none.
fn lock(database: &Path, repair: bool) -> Result<Option<LockFile>, Failure> {
    let meta = fs::metadata(database);
    if meta.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        let what = format!(
            "{} does not exist. If it is lost: sealtrail restore BACKUP; if its name or place is another: correct the settings",
            database.display()
        );
        return Err(Failure::Usage(what));
    }
    match LockFile::acquire(database) {
        Ok(lock) => Ok(Some(lock)),
        Err(StoreError::CannotOpen { .. }) if !repair => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Looks at everything.
fn look(target: &Target, from: &FromArgs, clients: &[Option<Client>]) -> Result<Findings, Failure> {
    let mut found = Findings::new(target.key.name(), &target.database);
    let opened = match fs::metadata(&target.database) {
        Ok(meta) if meta.len() == 0 => Err("the file is empty".to_owned()),
        _ => match FileSource::open_damaged(&target.database) {
            Ok(source) => Ok(source),
            Err(
                StoreError::Corrupt { why, .. }
                | StoreError::NotADatabase { why, .. }
                | StoreError::Engine { why, .. },
            ) => Err(why),
            Err(e) => return Err(e.into()),
        },
    };
    let mut primary = match opened {
        Ok(primary) => primary,
        Err(why) => {
            found.unreadable(why);
            let copies = from.open(clients)?;
            if !copies.is_empty() {
                found.provable(Copies::new(copies, &target.key, &[], &mut |_, _| ()).ok().map(|c| c.size()));
            }
            return Ok(found);
        }
    };
    check_origin(target, &mut primary, &mut found)?;
    check_store(&primary, &mut found)?;
    check_ledger(target, primary, from, clients, &mut found)?;
    Ok(found)
}

/// A name that does not fit is damage only if the rest is signed by the key.
fn check_origin(target: &Target, primary: &mut FileSource, found: &mut Findings) -> Outcome {
    let origin = primary.store().origin().to_owned();
    if origin == target.key.name() {
        return Ok(());
    }
    let text = primary.checkpoint().unwrap_or_default();
    if SignedCheckpoint::parse(&text, &target.key).is_err() {
        let place = target.database.display().to_string();
        let expected = target.key.name().to_owned();
        return Err(StoreError::WrongLedger { place, found: origin, expected }.into());
    }
    found.add(Finding::new("head", "the ledger's name in the file is damaged", Mend::Anew));
    Ok(())
}

fn check_store(primary: &FileSource, found: &mut Findings) -> Outcome {
    let mut bar = Bar::new("checking rows", "blocks");
    let mut pages = Some(Waiting::new("checking the pages of the file"));
    let mut progress = |done, all| {
        pages.take();
        bar.at(done, all);
    };
    for fault in primary.store().check(&mut progress)? {
        let (name, mend) = match fault.part {
            StorePart::Definitions => ("definitions", Mend::Anew),
            StorePart::Pages => ("pages", Mend::Anew),
            StorePart::Blocks => ("block row", Mend::Anew),
            StorePart::LeafInputs => ("leaf inputs", Mend::Anew),
            StorePart::Bodies => ("body", Mend::Anew),
            StorePart::Head => ("head", Mend::Anew),
            StorePart::Index => ("index", Mend::InPlace),
        };
        found.add(Finding { block: fault.height, ..Finding::new(name, &fault.what, mend) });
    }
    Ok(())
}

fn check_ledger(
    target: &Target,
    primary: FileSource,
    from: &FromArgs,
    clients: &[Option<Client>],
    found: &mut Findings,
) -> Outcome {
    let guard = guard_path(&target.database);
    let signed: Vec<String> =
        Guard::peek_signed(&guard, &target.key).iter().map(|s| s.note().to_string()).collect();
    let mut bar = Bar::new("reading the copies", "blocks");
    let mut copies = vec![Copy {
        name: target.database.display().to_string(),
        source: Box::new(primary) as Box<dyn Source>,
    }];
    copies.extend(from.open(clients)?);
    let mut copies = match Copies::new(copies, &target.key, &signed, &mut |done, all| bar.at(done, all)) {
        Ok(copies) => Some(copies),
        Err(crate::auditor::source::SourceError::Unavailable(why)) => return Err(Failure::Unavailable(why)),
        Err(e) => {
            found.unproved(e.to_string());
            None
        }
    };
    drop(bar);
    // Not the one the copies read: those are somebody else's by now.
    let store = FileSource::open_damaged(&target.database)?;
    let mut bar = Bar::new("checking the ledger", "blocks");
    let mut progress = |done, all| bar.at(done, all);
    let inspection = match &mut copies {
        None => inspect(store.store(), &target.key, &guard, None, &mut progress)?,
        Some(copies) => {
            let size = copies.size();
            let mut texts = |height| {
                copies
                    .blocks(height, size)
                    .map_err(|e| StoreError::Busy { place: "a copy".into(), why: e.to_string() })
            };
            inspect(store.store(), &target.key, &guard, Some(&mut texts), &mut progress)?
        }
    };
    drop(bar);
    (found.blocks, found.records) = (inspection.blocks, inspection.records);
    for fault in &inspection.faults {
        let mut copy_needed = |body: bool| {
            let Some((height, copies)) = fault.block.zip(copies.as_mut()) else { return Mend::Nobody };
            if body && copies.body(height, copies.size()).is_err() {
                return Mend::Nobody;
            }
            let name = copies.taken().find(|(block, _)| *block == height).map(|(_, name)| name.to_owned());
            name.map_or(Mend::Anew, Mend::From)
        };
        let (name, mend) = match fault.part {
            Part::Text => ("block text", copy_needed(false)),
            Part::Body => ("body", copy_needed(true)),
            Part::Row => ("block row", Mend::Anew),
            Part::LeafInputs => ("leaf inputs", Mend::Anew),
            Part::Leftover => ("derived", Mend::Anew),
            Part::Derived => ("derived", Mend::InPlace),
            Part::State => ("state", Mend::InPlace),
            Part::Checkpoint => ("checkpoint", if copies.is_some() { Mend::Anew } else { Mend::Nobody }),
            Part::Erasures => ("erasures", Mend::Anew),
            Part::LastSigned if target.is_copy && !guard.exists() => continue,
            // Foreign, or ahead of what is here.
            Part::LastSigned if fault.block.is_none() && guard.exists() => ("last-signed", Mend::Lost),
            Part::LastSigned => ("last-signed", Mend::Operator),
        };
        let records = fault.records;
        found.add(Finding { block: fault.block, records, ..Finding::new(name, &fault.what, mend) });
    }
    found.derived = inspection.derived;
    found.state = inspection.state;
    Ok(())
}
