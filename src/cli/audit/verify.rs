//! `audit verify`.

use std::path::{Path, PathBuf};

use crate::auditor::source::ServerSource;
use crate::auditor::verify::{Report, Trust, verify};
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::config::keyfile;
use crate::event::view::printable;
use crate::ledger::Guard;

use super::super::operator::guard_path;
use super::super::progress::Bar;
use super::super::source::FileSource;
use super::super::trust::{ServerArgs, any_session, verifier_key};
use super::super::{Failure, Outcome, print_json};

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

/// Where the checkpoints known beforehand are from.
#[derive(Clone, Copy)]
enum Known {
    /// The auditor remembered one.
    Own,
    /// One lies beside the database file, where the operator's server left it, and that is all.
    Operators,
    No,
}

/// The checkpoints known beforehand: the one remembered, and the one beside the database file. A newer one of the operator's does
/// not stand for the auditor's own: a ledger that was forked has one, too.
fn known_checkpoints(args: &VerifyArgs, key: &VerifierKey) -> Result<(Vec<Checkpoint>, Known), Failure> {
    let mut known = Vec::new();
    if let Some(path) = args.checkpoint.as_ref().filter(|p| p.exists()) {
        let text = keyfile::read_public(path).map_err(Failure::usage)?;
        let signed = SignedCheckpoint::parse(&text, key).map_err(|e| {
            Failure::Usage(format!("{} is no checkpoint of {}: {e}", path.display(), key.name()))
        })?;
        known.push(signed.checkpoint().clone());
    }
    let beside = args.file.as_ref().and_then(|f| Guard::peek(&guard_path(f), key));
    let whose = match (&known[..], &beside) {
        ([_, ..], _) => Known::Own,
        ([], Some(_)) => Known::Operators,
        ([], None) => Known::No,
    };
    known.extend(beside);
    Ok((known, whose))
}

/// Keeps the checkpoint that was just verified, for the next time.
fn remember(path: &Path, checkpoint: &str) -> Outcome {
    let new = path.with_extension("new");
    std::fs::write(&new, checkpoint)
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))
}

pub fn run(args: VerifyArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    let admin = args.admin.as_deref().map(verifier_key).transpose()?;
    let (known, whose) = known_checkpoints(&args, &key)?;
    let trust = Trust { ledger: &key, admin: admin.as_ref(), known: &known };
    let mut bar = Bar::new("verifying", "blocks");
    let mut progress = |done: u64, all: u64| bar.at(done, all);
    let (result, what) = if let Some(file) = &args.file {
        let mut source = FileSource::open(file)?;
        (verify(&mut source, &trust, &mut progress), file.display().to_string())
    } else {
        let mut client = args.server.client()?;
        let mut with_bodies = false;
        if let Some(path) = &args.identity {
            any_session(&mut client, path, key.name())?;
            with_bodies = true;
        }
        let mut source = ServerSource::new(&client, with_bodies);
        (verify(&mut source, &trust, &mut progress), args.server.server.clone())
    };
    drop(bar);
    if let (Ok(report), Some(path)) = (&result, &args.checkpoint) {
        remember(path, &report.checkpoint)?;
    }
    match result {
        Ok(report) if args.json => {
            print_json(&serde_json::json!({ "holds": true, "source": what, "report": report }))
        }
        Ok(report) => tell(&report, &what, &args, whose),
        Err(e) if args.json => {
            let failure = Failure::from(e);
            print_json(&serde_json::json!({ "holds": false, "source": what, "finding": failure.message() }))?;
            Err(failure)
        }
        Err(e) => Err(e.into()),
    }
}

/// The first few of many.
fn shortened(ranges: &[String]) -> String {
    match ranges {
        [a, b, c, _, rest @ ..] => format!("{a}, {b}, {c} and {} more ranges", rest.len() + 1),
        all => all.join(", "),
    }
}

fn tell(r: &Report, what: &str, args: &VerifyArgs, known: Known) -> Outcome {
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
        Known::Own => println!("  history    continues the checkpoint seen before"),
        Known::Operators => println!(
            "  history    goes as far as the operator's own last-signed file beside it; {}",
            from_now_on.unwrap_or(advice)
        ),
        Known::No => println!("  history    {}", from_now_on.unwrap_or(advice)),
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
    }
    Ok(())
}
