//! Row `embedded`: the library in this process, without HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::ProgressBar;
use sealtrail::chain::key::SigningKey;
use sealtrail::config::keyfile;
use sealtrail::ledger::{Ledger, Options};
use sealtrail::server::Gateway;
use sealtrail::store::SqliteStore;
use sealtrail::writer::{Purpose, Writer};

use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::{EVENT_BYTES, Events};
use super::super::figures::{Figure, Target, Unit};
use super::super::program::{LEDGER, Place};
use super::super::{Fallible, sealing};

const ROW: Row = Row::Embedded;
/// Events of one run, at most.
const MOST: u64 = 1_000_000;
/// Events handed over at once, and how many such calls wait for their receipts at a time.
const PER_CALL: u64 = 1000;
const CALLERS: u64 = 16;
/// The gateway need say nothing while it is measured.
const HEARTBEAT: Duration = Duration::from_secs(3600);

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let (runs, count) = (bench.args.runs, bench.args.records.min(MOST));
    let mut rates = Vec::new();
    for run in 0..runs {
        let place = Place::create(bench.folder("embedded")?)?;
        let bar = bar(&of_run(ROW, "", run, runs), count, "events");
        rates.push(measure(bench, &place, count, &bar)?);
        bar.finish_and_clear();
        context::remove(place.dir())?;
    }
    let what = "sealed, indexed, durable, receipt given";
    bench.add(
        Figure::new(ROW, "rate", what, Unit::PerSecond, rates)
            .against_figure("append/rate")
            .target(Target::AtLeast(150_000.0)),
    );
    Ok(())
}

fn key(place: &Place, name: &str) -> Fallible<SigningKey> {
    Ok(SigningKey::parse(keyfile::read_secret(&place.path(&format!("keys/{name}.key")))?.trim())?)
}

fn measure(bench: &Bench, place: &Place, count: u64, bar: &ProgressBar) -> Fallible<f64> {
    let store = Arc::new(SqliteStore::open(&place.path("ledger.db"), LEDGER, false)?);
    let options = Options {
        key: key(place, "ledger")?,
        guard: place.path("ledger.db.last-signed"),
        accept_database_head: false,
    };
    let ledger = Arc::new(Ledger::open(store, options)?);
    let key = key(place, "gateway")?;
    let head = ledger.writer_head(key.name());
    let writer = Writer::new(sealing::options(key), head)?;
    let (gateway, thread) = Gateway::start(ledger.clone(), writer, HEARTBEAT)?;
    let (next, events) = (AtomicU64::new(0), &*bench.events);
    let start = Instant::now();
    let given: Vec<Fallible<u64>> = std::thread::scope(|scope| {
        let call = || caller(&gateway, events, &next, count, bar).map_err(|e| e.to_string());
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers
            .into_iter()
            .map(|c| Ok(c.join().map_err(|_| "a caller panicked".to_owned()).flatten()?))
            .collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let given = given.into_iter().sum::<Fallible<u64>>()?;
    drop(gateway);
    thread.join().map_err(|_| "the gateway's thread failed")?;
    let stored = ledger.view().state.next_record();
    if given != count || stored != count {
        return Err(format!(
            "{count} events were handed over, {given} receipts came, {stored} records are there"
        )
        .into());
    }
    Ok(count as f64 / seconds)
}

/// A thread of the application: hands events over and waits for their receipt, again and again.
fn caller(
    gateway: &Gateway,
    events: &Events,
    next: &AtomicU64,
    count: u64,
    bar: &ProgressBar,
) -> Fallible<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut given = 0;
    loop {
        let first = next.fetch_add(PER_CALL, Ordering::Relaxed);
        if first >= count {
            return Ok(given);
        }
        let end = count.min(first + PER_CALL);
        let mut text = Vec::with_capacity((end - first) as usize * EVENT_BYTES);
        (first..end).for_each(|n| events.write(n, &mut text));
        let text = Bytes::from(text);
        let all = (0..(end - first) as usize).map(|n| text.slice(n * EVENT_BYTES..(n + 1) * EVENT_BYTES));
        let logged = runtime.block_on(gateway.log(Purpose::Events, gateway.prepare(all)?))?;
        given += u64::from(logged.count);
        bar.inc(u64::from(logged.count));
    }
}
