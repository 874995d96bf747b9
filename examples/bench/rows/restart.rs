//! Row `restart`: how long the server takes to answer after it was stopped, and after it was killed under load.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sealtrail::client::Client;

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{Bench, Grown, bar};
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
        kill_under_load(bench, &grown, server)?;
        let (server, seconds) = start(&grown)?;
        killed.push(seconds);
        bar.inc(1);
        let after = Client::new(&server.url(), None)?.ledger()?.records;
        if after <= before {
            return Err(format!("{before} records before the load and the kill, {after} after").into());
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

fn kill_under_load(bench: &Bench, ledger: &Grown, server: Server) -> Fallible<()> {
    let token = ledger.place.token()?;
    let load = Load {
        addr: server.addr,
        token: &token,
        connections: bench.args.connections,
        per_request: 100,
        first: ledger.records,
        count: u64::from(u32::MAX),
        sent: Sent::Events,
    };
    let killer = std::thread::spawn(move || {
        std::thread::sleep(LOADED);
        server.kill().map_err(|e| e.to_string())
    });
    // It ends with a broken connection.
    let broken = load::run(&load, &ledger.events, &ProgressBar::hidden());
    killer.join().map_err(|_| "the thread that kills the server failed")??;
    match broken {
        Err(_) => Ok(()),
        Ok(_) => Err("the server was killed, and the load went on".into()),
    }
}
