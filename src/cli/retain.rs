//! `retain`: what is past its retention date, and its erasure.

use std::path::Path;

use crate::base::clock::{Timestamp, is_date};
use crate::chain::authority::{RETENTION_EXPIRED, RecordRange};

use super::authority::Authority;
use super::erase::{Order, Signing, issue, keys};
use super::journal::Journal;
use super::{Failure, Outcome, print_json};

/// Most ranges in one order: a statement is at most 60,000 bytes.
const MAX_RANGES: usize = 1000;
/// Ranges shown of many.
const SHOWN: usize = 20;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail retain                              list what is past retain-until\n  \
              sealtrail retain --on 2032-01-01              list what will be\n  \
              sealtrail retain --officer keys/dpo.key       erase it\n\n\
              How long records are kept their writer says (retain_years in the settings). Records under a hold are left out."
)]
pub struct Args {
    /// List what is past retain-until on this day instead of today
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "officers")]
    on: Option<String>,
    /// The legal basis the order states, one line
    #[arg(long, value_name = "TEXT", default_value = "storage limitation: the retention period is over")]
    legal_basis: String,
    /// Print JSON
    #[arg(long, conflicts_with = "officers")]
    json: bool,
    #[command(flatten)]
    signing: Signing,
}

/// What `retain` found.
struct Found {
    /// Past the date, neither erased nor held.
    due: Vec<RecordRange>,
    /// Past the date, under a hold: its name and the records.
    held: Vec<(String, Vec<RecordRange>)>,
    /// The next date on which records will be due, and how many.
    next: Option<(String, u64)>,
}

pub fn run(settings: &Path, args: Args) -> Outcome {
    let day = args.on.clone().unwrap_or_else(|| Timestamp::now().date());
    if !is_date(&day) {
        return Err(Failure::Usage(format!("{day:?} is no date; write it as 2032-01-31")));
    }
    let signing = !args.signing.officers.is_empty();
    if args.signing.out.is_some() && !signing {
        return Err(Failure::Usage("--out hands an order on that is signed: give --officer KEYFILE".into()));
    }
    let officers = if signing { keys(&args.signing)? } else { Vec::new() };
    let authority = Authority::open(settings, &args.signing.place)?;
    let found = find(&Journal::read(&authority)?, &day);
    if args.json {
        return tell_json(&found, &day);
    }
    tell(&found, &day);
    if !signing || found.due.is_empty() {
        return Ok(());
    }
    let mut records = found.due;
    if records.len() > MAX_RANGES {
        records.truncate(MAX_RANGES);
        eprintln!("The order takes the first {MAX_RANGES} ranges; run this again for the rest.");
    }
    let order = Order { records, reason: RETENTION_EXPIRED.to_owned(), legal_basis: args.legal_basis };
    issue(authority, order, &args.signing, &officers)
}

fn find(journal: &Journal, day: &str) -> Found {
    let past = journal.retention.iter().filter(|k| k.retain_until.as_str() <= day).map(|k| k.records);
    let past = RecordRange::without(&RecordRange::normalise(past.collect()), &journal.erased);
    let due = RecordRange::without(&past, &journal.held());
    let held = journal.holds.iter().filter_map(|(name, hold)| {
        let left = RecordRange::without(&past, &hold.records);
        let held = RecordRange::without(&past, &left);
        (!held.is_empty()).then(|| (name.clone(), held))
    });
    let later = journal.retention.iter().filter(|k| k.retain_until.as_str() > day);
    let next = later.clone().map(|k| k.retain_until.clone()).min().map(|date| {
        let records = later.filter(|k| k.retain_until == date).map(|k| k.records).collect();
        let left = RecordRange::without(&RecordRange::normalise(records), &journal.erased);
        (date, RecordRange::total(&left))
    });
    Found { due, held: held.collect(), next }
}

fn tell(found: &Found, day: &str) {
    println!("{} records are past retain-until on {day}", RecordRange::total(&found.due));
    for r in found.due.iter().take(SHOWN) {
        println!("  {r}");
    }
    if found.due.len() > SHOWN {
        println!("  and {} more ranges; --json lists all", found.due.len() - SHOWN);
    }
    for (name, records) in &found.held {
        let ranges: Vec<_> = records.iter().take(SHOWN).map(RecordRange::to_string).collect();
        println!(
            "{} more are past it and skipped: hold {name} ({}{})",
            RecordRange::total(records),
            ranges.join(", "),
            if records.len() > SHOWN { ", …" } else { "" }
        );
    }
    if let Some((date, count)) = &found.next {
        println!("next: {count} records on {date}");
    }
}

fn tell_json(found: &Found, day: &str) -> Outcome {
    let texts = |ranges: &[RecordRange]| ranges.iter().map(RecordRange::to_string).collect::<Vec<_>>();
    let held: Vec<_> = found
        .held
        .iter()
        .map(|(name, r)| serde_json::json!({"hold": name, "count": RecordRange::total(r), "records": texts(r)}))
        .collect();
    let next = found.next.as_ref().map(|(date, count)| serde_json::json!({"date": date, "count": count}));
    print_json(&serde_json::json!({
        "on": day, "count": RecordRange::total(&found.due), "records": texts(&found.due), "held": held, "next": next,
    }))
}
