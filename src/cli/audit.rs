//! `audit open` and `audit verify`.

use std::io::Write as _;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::auditor::open::{OpenedRecord, open_record};
use crate::auditor::session::open_session;
use crate::auditor::source::ServerSource;
use crate::auditor::verify::{Report, verify};
use crate::chain::proof::{parse_record_id, record_id};
use crate::event::view::Summary;

use super::source::FileSource;
use super::trust::{ServerArgs, identities, verifier_key};
use super::{Failure, Outcome, print_json};

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(VerifyArgs),
}

#[derive(clap::Args)]
#[command(
    after_help = "Example: sealtrail audit open EVT-00000042 --identity keys/auditor.identity --key ledger.vkey"
)]
pub struct OpenArgs {
    /// Index or id of the record
    record: String,
    /// Your identity file, as age-keygen or `keygen reader` writes it
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE")]
    identity: PathBuf,
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    /// Also write the existence proof to this file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Print JSON: the event and where it stands in the ledger
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealtrail audit verify --key ledger.vkey --identity \
        keys/auditor.identity\n  sealtrail audit verify --key ledger.vkey --file ledger.db\n\
                  Without --identity or --file the server gives no ciphertext: then hashes, links and signatures are verified, but not stored bytes.")]
pub struct VerifyArgs {
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    /// Your identity file: with it the ciphertext is downloaded and hashed again
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE", conflicts_with = "file")]
    identity: Option<PathBuf>,
    /// Verify this database file instead of a server
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Open(args) => open(args),
        AuditCommand::Verify(args) => verify_all(args),
    }
}

fn open(args: OpenArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    let index = parse_record_id(&args.record).or_else(|| args.record.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!(
            "{} names no record: give an index such as 42 or an id such as EVT-00000042",
            args.record
        ))
    })?;
    let mut refusal = None;
    for identity in identities(&args.identity)? {
        let mut client = args.server.client()?;
        let opened = open_session(&mut client, &identity, key.name())
            .map_err(Failure::from)
            .and_then(|()| open_record(&client, &identity, &key, index).map_err(Failure::from));
        match opened {
            Ok(opened) => return show(&args, index, &opened),
            // Another identity of the file may be the reader; anything but a refusal ends the search.
            Err(Failure::Usage(why)) => refusal = Some(Failure::Usage(why)),
            Err(other) => return Err(other),
        }
    }
    Err(refusal.unwrap_or_else(|| Failure::Usage(format!("{} holds no identity", args.identity.display()))))
}

fn show(args: &OpenArgs, index: u64, opened: &OpenedRecord) -> Outcome {
    if let Some(path) = &args.proof {
        std::fs::write(path, opened.proof.to_json())
            .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))?;
    }
    let v = &opened.verified;
    if args.json {
        let event: Box<serde_json::value::RawValue> =
            serde_json::from_slice(&opened.event).map_err(|e| Failure::Wrong(e.to_string()))?;
        return print_json(&serde_json::json!({
            "id": record_id(index), "record": index, "block": v.block_height, "writer": v.writer,
            "sealed": v.sealed.to_string(), "committed": v.committed.to_string(),
            "withheld": opened.withheld, "event": event,
        }));
    }
    eprintln!(
        "{}  block {}  sealed {}  by {}  proven against checkpoint {}",
        record_id(index),
        v.block_height,
        v.sealed,
        v.writer,
        v.checkpoint.checkpoint().size
    );
    if let Ok(summary) = Summary::of(&opened.event) {
        eprintln!("{summary}");
    }
    for section in &opened.withheld {
        eprintln!(
            "section {section:?} is sealed to other readers; its fields stand as {{\"$sealed\":\"{section}\"}}"
        );
    }
    let mut out = std::io::stdout().lock();
    let written = out.write_all(&opened.event).and_then(|()| out.write_all(b"\n"));
    written.map_err(Failure::unavailable)
}

fn verify_all(args: VerifyArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} blocks  {elapsed} (about {eta} left)")
    {
        bar.set_style(style);
    }
    let mut progress = |done: u64, all: u64| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let (result, what) = if let Some(file) = &args.file {
        let mut source = FileSource::open(file)?;
        (verify(&mut source, &key, &mut progress), file.display().to_string())
    } else {
        let mut client = args.server.client()?;
        let mut with_bodies = false;
        if let Some(path) = &args.identity {
            let all = identities(path)?;
            let first =
                all.first().ok_or_else(|| Failure::Usage(format!("{} holds no identity", path.display())))?;
            open_session(&mut client, first, key.name())?;
            with_bodies = true;
        }
        let mut source = ServerSource::new(&client, with_bodies);
        (verify(&mut source, &key, &mut progress), args.server.server.clone())
    };
    bar.finish_and_clear();
    match result {
        Ok(report) if args.json => {
            print_json(&serde_json::json!({ "holds": true, "source": what, "report": report }))
        }
        Ok(report) => tell(&report, &what, args.identity.is_none() && args.file.is_none()),
        Err(e) if args.json => {
            let failure = Failure::from(e);
            print_json(&serde_json::json!({ "holds": false, "source": what, "finding": failure.message() }))?;
            Err(failure)
        }
        Err(e) => Err(e.into()),
    }
}

fn tell(r: &Report, what: &str, hashes_only: bool) -> Outcome {
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
    if r.erased > 0 {
        println!("  erased     {}, each by an order in the chain", r.erased);
    }
    println!("  checkpoint {} signed by {}", r.root, r.ledger);
    if let Some(t) = &r.last_committed {
        println!("  last block {t}");
    }
    Ok(())
}
