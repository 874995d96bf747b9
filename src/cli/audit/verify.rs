//! `audit verify`.

use std::path::{Path, PathBuf};

use crate::auditor::source::{ServerSource, Source};
use crate::auditor::verify::{Report, Trust, VerifyError, verify};
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_CLOCK_AHEAD;
use crate::config::keyfile;
use crate::event::view::printable;

use super::super::progress::Bar;
use super::super::source::FileSource;
use super::super::trust::{ServerArgs, any_session, verifier_key};
use super::super::{Failure, Outcome, print_json};
use super::known::{Known, Whose};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealtrail audit verify --key ledger.vkey --identity \
        keys/auditor.identity\n  sealtrail audit verify --key ledger.vkey --file ledger.db\n\
                  Without --identity or --file the server gives no ciphertext: then hashes, links and signatures are verified, but not stored bytes.")]
pub struct VerifyArgs {
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    /// Your identity file: with it the ciphertext is downloaded and hashed again (not needed with --file)
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The admin's verifier key: the first roster, and so who may write, must be its work
    #[arg(long, value_name = "VKEY")]
    admin: Option<String>,
    /// Remember the newest checkpoint in this file; a ledger that was cut off, rolled back or forked since does not hold
    #[arg(long, env = "SEALTRAIL_CHECKPOINT", value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Verify this database file instead of a server
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: VerifyArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    let admin = args.admin.as_deref().map(verifier_key).transpose()?;
    let mut known = Known::read(args.checkpoint.as_deref(), args.file.as_deref(), &key)?;
    let mut client = None;
    let (mut source, what): (Box<dyn Source + '_>, String) = match &args.file {
        Some(file) => {
            let source = FileSource::open(file).map_err(|e| emptied(file, &known, e))?;
            (Box::new(source), file.display().to_string())
        }
        None => {
            let client = client.insert(args.server.client()?);
            if let Some(path) = &args.identity {
                any_session(client, path, key.name())?;
            }
            (Box::new(ServerSource::new(client, args.identity.is_some())), args.server.server.clone())
        }
    };
    let result = loop {
        let trust = Trust { ledger: &key, admin: admin.as_ref(), known: &known.checkpoints };
        let mut bar = Bar::new("verifying", "blocks");
        let result = verify(&mut *source, &trust, &mut |done, all| bar.at(done, all));
        drop(bar);
        if let (Ok(report), Some(path)) = (&result, &args.checkpoint) {
            known.check_own(path, &report.ledger_keys)?;
            if !known.remember(path, &report.checkpoint)? {
                // Another run was faster: as if it had been over before this one began.
                known = Known::read(Some(path), args.file.as_deref(), &key)?;
                continue;
            }
        }
        break result;
    };
    let history = known.whose.as_str();
    match result {
        Ok(report) if args.json => {
            let said =
                serde_json::json!({ "holds": true, "source": what, "history": history, "report": report });
            print_json(&said)
        }
        Ok(report) => tell(&report, &what, &args, known.whose),
        Err(e) => {
            let evidence = match (&e, &args.checkpoint) {
                (VerifyError::History { before, shown, .. }, Some(path)) => {
                    known.evidence(path, before.as_deref(), shown)
                }
                _ => None,
            };
            let mut failure = Failure::from(e);
            let mut kept = None;
            if let (Failure::Wrong(what), Some(evidence)) = (&mut failure, evidence) {
                match keyfile::replace_public(&evidence.path, &evidence.text) {
                    Ok(()) => {
                        let path = evidence.path.display().to_string();
                        what.push_str(&format!(". Both signed checkpoints are in {path}"));
                        kept = Some(path);
                    }
                    // The finding stands, and who reads it can keep them.
                    Err(e) => {
                        what.push_str(&format!(". They could not be kept ({e}). {}", evidence.printable()))
                    }
                }
            }
            if args.json {
                print_json(&serde_json::json!({
                    // What could not be read to its end neither holds nor does not.
                    "holds": matches!(failure, Failure::Wrong(_)).then_some(false),
                    "source": what, "history": history, "finding": failure.message(), "evidence": kept,
                }))?;
            }
            Err(failure)
        }
    }
}

/// A file without a byte is no database; where a ledger has been seen, it is a ledger that is gone.
fn emptied(file: &Path, known: &Known, e: Failure) -> Failure {
    let seen = known.checkpoints.iter().map(|c| c.size).max();
    match seen.filter(|_| std::fs::metadata(file).is_ok_and(|m| m.len() == 0)) {
        Some(size) => Failure::Wrong(format!(
            "{} is empty, but a signed checkpoint of {size} blocks has been seen: it was emptied",
            file.display()
        )),
        None => e,
    }
}

/// The first few of many.
fn shortened(ranges: &[String]) -> String {
    match ranges {
        [a, b, c, _, rest @ ..] => format!("{a}, {b}, {c} and {} more ranges", rest.len() + 1),
        all => all.join(", "),
    }
}

/// What to say of a ledger whose clock is ahead of this machine's: by that, retention could be made to end early.
pub fn ahead(committed: Timestamp) -> Option<String> {
    let by = committed.millis() - Timestamp::now().millis();
    (by > MAX_CLOCK_AHEAD).then(|| {
        format!("the last block says it was committed at {committed}, which is later than now: the ledger's clock or this one is wrong")
    })
}

fn tell(r: &Report, what: &str, args: &VerifyArgs, known: Whose) -> Outcome {
    let hashes_only = args.identity.is_none() && args.file.is_none();
    println!("HOLDS: {} at {what}", r.ledger);
    println!("  blocks     {}, every statement, link, signature and writer sequence", r.blocks);
    if hashes_only {
        println!(
            "  records    {}; their hashes fit the signed roots. Stored bytes were not read: give --identity or --file",
            r.records
        );
    } else {
        println!(
            "  records    {}; {} hashed again from {} stored bytes",
            r.records, r.records_rehashed, r.bytes
        );
    }
    for change in &r.key_changes {
        let by = if change.handed_over { "and the key before it" } else { "alone" };
        println!("  key        {} from block {} on, signed by an admin {by}", change.key, change.block);
    }
    for e in &r.erasures {
        println!(
            "  erased     {} records ({}) by order at block {} ({}, {}), signed by {}",
            e.count,
            shortened(&e.records),
            e.block,
            e.reason,
            printable(&e.legal_basis),
            printable(&e.officers.join(", "))
        );
    }
    if r.not_yet_erased > 0 {
        println!(
            "  NOTE       {} of these records are still stored here: the order is not carried out, or this is an older copy",
            r.not_yet_erased
        );
    }
    if !r.holds.is_empty() {
        println!("  on hold    {}", r.holds.join(", "));
    }
    if r.grants > 0 {
        let slots = match r.hidden_grants {
            _ if hashes_only => String::new(),
            0 => "; their slots are those that an admin signed".to_owned(),
            hidden => format!(
                "; the slots of {hidden} are not shown, as their readers have left the roster; all others are those that an admin signed"
            ),
        };
        println!("  grants     {}{slots}", r.grants);
    }
    println!("  checkpoint {} signed by {}", r.root, r.ledger);
    let from_now_on =
        args.checkpoint.as_ref().map(|path| format!("from now on remembered in {}", path.display()));
    let advice =
        "give --checkpoint FILE to have a ledger found out that is cut off or rolled back later".to_owned();
    match known {
        Whose::Own => println!("  history    continues the checkpoint seen before"),
        Whose::Operators => println!(
            "  history    goes as far as the operator's own last-signed file beside it; {}",
            from_now_on.unwrap_or(advice)
        ),
        Whose::No => println!("  history    {}", from_now_on.unwrap_or(advice)),
    }
    if r.admin_checked {
        println!("  roster     the first one is of the admin given");
    } else {
        println!(
            "  roster     who may write is as the ledger says (block 0 {}); --admin VKEY checks it",
            r.genesis
        );
    }
    for (recipient, block) in &r.readers_outside_roster {
        println!(
            "  NOTE       from block {block} on, batches were also sealed to {recipient}, who was not in the roster"
        );
    }
    if let Some(t) = &r.last_committed {
        println!("  last block {t}");
        if let Some(note) = Timestamp::parse(t).and_then(ahead) {
            println!("  NOTE       {note}");
        }
    }
    Ok(())
}
