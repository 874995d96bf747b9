//! `hold`: records that nobody may erase until the hold is released, such as those a court has asked for.

use std::path::{Path, PathBuf};

use crate::base::clock::Timestamp;
use crate::chain::authority::{HoldAction, HoldStatement, RecordRange};
use crate::chain::replay::Head;
use crate::chain::statement::Statement;

use super::authority::{Authority, Remote};
use super::journal::Journal;
use super::operator::{ADMIN_KEY, settings as load_settings, signing_key, signing_key_file};
use super::{Failure, Outcome, print_json};

#[derive(clap::Subcommand)]
pub enum HoldCommand {
    /// Forbid the erasure of records, whatever their retention date
    #[command(
        after_help = "Examples:\n  sealtrail hold place matter-2026-17 --records 40..5000 --reason litigation\n  \
            sealtrail hold place matter-2026-17 --records 40..5000 --reason litigation --signer keys/dpo.key --server \
            https://audit.hospital.example\n\nThe hold is public for ever: name and reason must not say whose records these are."
    )]
    Place {
        /// A name for it, of a-z 0-9 . _ -
        name: String,
        /// Records: indexes or ids, as A..B (both included) or single, with commas between
        #[arg(long, value_name = "A..B,…")]
        records: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// End a hold
    #[command(after_help = "Example: sealtrail hold release matter-2026-17 --reason settled")]
    Release {
        /// Its name
        name: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// List the holds in force
    #[command(after_help = "Example: sealtrail hold list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Remote,
    },
}

/// Who signs, and why.
#[derive(clap::Args)]
pub struct Signing {
    /// Reason code of a-z 0-9 . -
    #[arg(long, value_name = "CODE")]
    reason: String,
    /// Key of an officer or admin; the admin key of the settings' keys folder if not given
    #[arg(long, value_name = "KEYFILE")]
    signer: Option<PathBuf>,
    #[command(flatten)]
    place: Remote,
}

pub fn run(settings: &Path, command: HoldCommand) -> Outcome {
    match command {
        HoldCommand::Place { name, records, signing } => {
            let records = RecordRange::parse_list(&records).map_err(Failure::usage)?;
            let count = RecordRange::total(&records);
            let block = commit(settings, &name, HoldAction::Place(records), signing)?;
            println!(
                "hold {name} placed: {count} records cannot be erased until it is released (block {block})"
            );
            Ok(())
        }
        HoldCommand::Release { name, signing } => {
            let block = commit(settings, &name, HoldAction::Release, signing)?;
            println!("hold {name} released (block {block})");
            Ok(())
        }
        HoldCommand::List { json, place } => list(settings, json, &place),
    }
}

fn commit(settings: &Path, name: &str, action: HoldAction, signing: Signing) -> Result<u64, Failure> {
    let key = match &signing.signer {
        Some(path) => signing_key_file(path)?,
        None => signing_key(&load_settings(settings)?.keys, ADMIN_KEY)?,
    };
    let authority = Authority::open(settings, &signing.place)?;
    let Head { next_sequence: sequence, previous } = authority.head;
    let statement = Statement::Hold(HoldStatement {
        ledger: authority.ledger.clone(),
        sequence,
        previous,
        issued: Timestamp::now(),
        hold: name.to_owned(),
        action,
        reason: signing.reason,
    });
    authority.submit(statement.sign(&key).map_err(Failure::usage)?)
}

fn list(settings: &Path, json: bool, place: &Remote) -> Outcome {
    let holds = Journal::read(&Authority::open(settings, place)?)?.holds;
    if json {
        let rows: Vec<_> = holds
            .iter()
            .map(|(name, h)| {
                let records: Vec<_> = h.records.iter().map(RecordRange::to_string).collect();
                serde_json::json!({"name": name, "block": h.block, "reason": h.reason, "records": records})
            })
            .collect();
        return print_json(&rows);
    }
    if holds.is_empty() {
        eprintln!("no holds in force");
    }
    for (name, h) in &holds {
        let records: Vec<_> = h.records.iter().map(RecordRange::to_string).collect();
        println!("{name}  {}  since block {}  records {}", h.reason, h.block, records.join(","));
    }
    Ok(())
}
