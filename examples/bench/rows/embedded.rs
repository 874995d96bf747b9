//! Row `embedded`: the library in this process, without HTTP.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sealtrail::chain::key::SigningKey;
use sealtrail::config::keyfile;
use sealtrail::ledger::{Ledger, Options};
use sealtrail::server::Gateway;
use sealtrail::store::SqliteStore;
use sealtrail::writer::{Purpose, Writer};

use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::EVENT_BYTES;
use super::super::figures::{Figure, Target, Unit};
use super::super::load::block_on;
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

fn measure(bench: &Bench, place: &Place, count: u64, bar: &indicatif::ProgressBar) -> Fallible<f64> {
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
    let gateway = Gateway::start(ledger.clone(), writer, HEARTBEAT)?;
    let next = Rc::new(Cell::new(0));
    let start = Instant::now();
    let given: Vec<Fallible<u64>> = block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (events, gateway, next, bar) =
                    (bench.events.clone(), gateway.clone(), next.clone(), bar.clone());
                tokio::task::spawn_local(async move {
                    let mut given = 0;
                    while next.get() < count {
                        let first = next.get();
                        let end = count.min(first + PER_CALL);
                        next.set(end);
                        let mut text = Vec::with_capacity((end - first) as usize * EVENT_BYTES);
                        (first..end).for_each(|n| events.write(n, &mut text));
                        let text = Bytes::from(text);
                        let all = (0..(end - first) as usize)
                            .map(|n| text.slice(n * EVENT_BYTES..(n + 1) * EVENT_BYTES));
                        let logged = gateway.log(Purpose::Events, all.collect()).await?;
                        given += u64::from(logged.count);
                        bar.inc(u64::from(logged.count));
                    }
                    Ok(given)
                })
            })
            .collect();
        let mut given = Vec::new();
        for caller in callers {
            given.push(caller.await.unwrap_or_else(|e| Err(e.into())));
        }
        given
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let given = given.into_iter().sum::<Fallible<u64>>()?;
    let stored = ledger.view().state.next_record();
    if given != count || stored != count {
        return Err(format!(
            "{count} events were handed over, {given} receipts came, {stored} records are there"
        )
        .into());
    }
    Ok(count as f64 / seconds)
}
