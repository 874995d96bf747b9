//! Row `restart`: how long the server takes to answer after it was stopped, and after it was killed under load.

use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sealtrail::client::Client;

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{Bench, Grown, bar};
use super::super::events::Events;
use super::super::figures::{Figure, Target, Unit};
use super::super::load::{self, Load, Sent};
use super::super::program::Server;

const ROW: Row = Row::Restart;
/// How long it is under load before it is killed.
const LOADED: Duration = Duration::from_millis(700);

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let grown = bench.grown()?;
    let runs = bench.args.runs;
    let bar = bar("restart", runs * 2, "starts");
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (server, seconds) = start(&grown)?;
        clean.push(seconds);
        bar.inc(1);
        let before = Client::new(&server.url(), None)?.ledger()?.records;
        let acknowledged = kill_under_load(bench, &grown, server)?;
        let (server, seconds) = start(&grown)?;
        killed.push(seconds);
        bar.inc(1);
        let after = Client::new(&server.url(), None)?.ledger()?.records;
        if acknowledged == 0 || after < before + acknowledged {
            let what = format!("{before} records, {acknowledged} acknowledged, killed, {after} records");
            return Err(what.into());
        }
        server.stop()?;
    }
    bar.finish_and_clear();
    let most = Target::AtMost(2.0);
    let what = format!("{} records, after a clean stop", grown.records);
    bench.add(Figure::new(ROW, "clean", what, Unit::Seconds, clean).target(most));
    let what = format!("{} records, after kill -9 under load", grown.records);
    bench.add(Figure::new(ROW, "killed", what, Unit::Seconds, killed).target(most));
    Ok(())
}

/// Starts the server; the seconds until `/healthz` says 200.
fn start(ledger: &Grown) -> Fallible<(Server, f64)> {
    let start = Instant::now();
    let server = ledger.place.serve()?;
    let client = Client::new(&server.url(), None)?;
    while client.health().is_err() {
        if start.elapsed() > Duration::from_secs(60) {
            return Err("the server does not become healthy".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((server, start.elapsed().as_secs_f64()))
}

/// Kills the server while events are being logged; the number that was acknowledged.
fn kill_under_load(bench: &Bench, ledger: &Grown, server: Server) -> Fallible<u64> {
    let token = ledger.place.token()?;
    // None of them about the planted patient: a kept ledger is searched again.
    let events = Rc::new(Events::new(bench.args.seed, u64::MAX));
    let load = Load {
        addr: server.addr,
        token: &token,
        connections: bench.args.connections,
        per_request: 100,
        first: ledger.records.max(1),
        count: u64::from(u32::MAX),
        sent: Sent::Events,
        most: None,
    };
    let killer = std::thread::spawn(move || {
        std::thread::sleep(LOADED);
        server.kill().map_err(|e| e.to_string())
    });
    let answered = load::run_until_broken(&load, &events, &ProgressBar::hidden())?;
    killer.join().map_err(|_| "the thread that kills the server failed")??;
    match answered.broken {
        Some(_) => Ok(answered.events()),
        None => Err("the server was killed, and the load went on".into()),
    }
}
