//! Row `open`: every record opened with a key, from a verified copy, in a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sealtrail::auditor::record::Records as _;
use sealtrail::auditor::vault::Vault;
use sealtrail::chain::key::VerifierKey;
use sealtrail::seal::reader_key::parse_identity_file;

use super::super::args::Row;
use super::super::context::{self, Bench, Grown, bar};
use super::super::events::Events;
use super::super::figures::{Figure, Target, Unit};
use super::super::program::{READERS, this_as};
use super::super::sealing::Naive;
use super::super::{Fallible, machine};

const ROW: Row = Row::Open;
/// What the process that opens is called.
pub const OPENER: &str = "opener";
/// A copy of at most this many records is made.
const MOST: u64 = 2_000_000;
/// One record of so many is compared with its event.
const COMPARED: u64 = 61;
/// How long the naive design is opened in one run.
const SLICE: Duration = Duration::from_millis(500);

/// What the process said.
struct Opened {
    per_core: f64,
    per_second: f64,
    memory: f64,
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let grown = bench.grown()?;
    let ledger = if grown.records > MOST { bench.small()? } else { grown };
    let vault = bench.folder("vault")?;
    let runs = bench.args.runs;
    let bar = bar("open: copying, then opening", runs + 1, "passes");
    bar.enable_steady_tick(Duration::from_millis(200));
    let dir = vault.to_string_lossy().into_owned();
    let start = Instant::now();
    let identity = format!("keys/{}.identity", READERS[0]);
    ledger.place.run(&[
        "audit",
        "sync",
        "--vault",
        &dir,
        "--key",
        "keys/ledger.vkey",
        "--identity",
        &identity,
        "--file",
        "ledger.db",
        "--json",
    ])?;
    let sync = ledger.records as f64 / start.elapsed().as_secs_f64();
    bar.inc(1);
    let (mut opened, mut naive) = (Vec::new(), Vec::new());
    let seed = bench.args.seed;
    for _ in 0..runs {
        opened.push(open(&ledger, &vault, seed)?);
        naive.push(naive_rate(bench)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    context::remove(&vault)?;
    let of = |f: &dyn Fn(&Opened) -> f64| opened.iter().map(f).collect::<Vec<f64>>();
    let figure = |key: &str, what: String, unit, samples| Figure::new(ROW, key, what, unit, samples);
    let what = format!("{} records, per core", ledger.records);
    let rate = figure("core", what, Unit::PerSecond, of(&|o| o.per_core));
    bench.add(rate.against("naive, one thread", naive).target(Target::AtLeast(120_000.0)));
    bench.add(figure("rate", "all cores".to_owned(), Unit::PerSecond, of(&|o| o.per_second)));
    bench.add(figure("memory", "auditor's peak memory".to_owned(), Unit::Bytes, of(&|o| o.memory)));
    bench.add(figure(
        "sync",
        "audit sync from a file: downloaded and verified".to_owned(),
        Unit::PerSecond,
        vec![sync],
    ));
    Ok(())
}

fn open(ledger: &Grown, vault: &Path, seed: u64) -> Fallible<Opened> {
    let place = &ledger.place;
    let out = this_as(OPENER)?
        .arg(vault)
        .arg(place.path("keys/ledger.vkey"))
        .arg(place.path(&format!("keys/{}.identity", READERS[0])))
        .args([seed.to_string(), ledger.events.planted_every().to_string(), ledger.records.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !out.status.success() {
        return Err("not every record could be opened".into());
    }
    let said: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let number = |name: &str| said[name].as_f64().unwrap_or(f64::NAN);
    let records = number("opened") + number("others");
    Ok(Opened {
        per_core: records / number("cpu"),
        per_second: records / number("seconds"),
        memory: number("memory"),
    })
}

/// The other process: opens everything, compares some, says what it took.
pub fn child() -> Fallible<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [vault, key, identity, seed, planted_every, sent] = args.as_slice() else {
        return Err("six arguments".into());
    };
    let key = VerifierKey::parse(std::fs::read_to_string(key)?.trim())?;
    let identities = parse_identity_file(&std::fs::read_to_string(identity)?)?;
    let events = Events::new(seed.parse()?, planted_every.parse()?);
    let sent: u64 = sent.parse()?;
    let vault = Vault::open(Path::new(vault), &key)?;
    let own = std::process::id();
    let before = machine::cpu_seconds(own).unwrap_or(f64::NAN);
    let start = Instant::now();
    let records = vault.records(identities)?;
    let (mut opened, mut others) = (0_u64, 0_u64);
    for record in records.records(0..u64::MAX) {
        let record = record?;
        let event =
            record.content.event().ok_or_else(|| format!("record {} was not opened", record.index))?;
        // Rows before left others: records of searches, events sent until the server was killed.
        let Some(number) = Events::number_of(event).filter(|n| *n < sent) else {
            others += 1;
            continue;
        };
        if record.index % COMPARED == 0 && event != events.event(number) {
            return Err(format!("record {} opens, and is not event {number}", record.index).into());
        }
        opened += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = machine::cpu_seconds(own).map_or(f64::NAN, |now| now - before);
    let memory = machine::peak_memory(own).map_or(f64::NAN, |m| m as f64);
    let said = serde_json::json!({
        "opened": opened, "others": others, "seconds": seconds, "cpu": cpu, "memory": memory,
    });
    if opened != sent {
        return Err(format!("{opened} events of {sent} were found").into());
    }
    println!("{said}");
    Ok(())
}

/// Events a second that one thread opens of the naive design.
fn naive_rate(bench: &Bench) -> Fallible<f64> {
    let naive = Naive::new()?;
    let event = bench.events.event(0);
    let (file, signature) = naive.seal(&event)?;
    let (start, mut opened) = (Instant::now(), 0);
    while start.elapsed() < SLICE {
        std::hint::black_box(naive.open(&file, &signature)?);
        opened += 1;
    }
    Ok(f64::from(opened) / start.elapsed().as_secs_f64())
}
