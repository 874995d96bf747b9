//! Row `proof`: existence proofs over HTTP, by index and by hash, and their verification offline.

use std::time::Instant;

use sealtrail::api::route;
use sealtrail::chain::proof::Proof;

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{Bench, Grown, bar};
use super::super::figures::{Figure, Target, Unit, percentile};
use super::super::http::{Connection, get};

const ROW: Row = Row::Proof;
/// Proofs fetched in one run.
const PROOFS: u64 = 20_000;
const QUICK_PROOFS: u64 = 100;

/// Seconds of each request.
#[derive(Default)]
struct Times {
    index: Vec<f64>,
    hash: Vec<f64>,
    health: Vec<f64>,
    verify: Vec<f64>,
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let (grown, small) = (bench.grown()?, bench.small()?);
    let runs = bench.args.runs;
    let proofs = if bench.args.quick { QUICK_PROOFS } else { PROOFS };
    let bar = bar("proof", runs * 2, "runs");
    let measured = |ledger: &Grown| {
        let server = ledger.place.serve()?;
        let mut all = Vec::new();
        for run in 0..runs {
            all.push(measure(ledger, &server.addr, proofs, run)?);
            bar.inc(1);
        }
        server.stop()?;
        Fallible::Ok(all)
    };
    let (here, there) = (measured(&grown)?, measured(&small)?);
    bar.finish_and_clear();
    let of = |all: &[Times], f: &dyn Fn(&Times) -> f64| all.iter().map(f).collect::<Vec<f64>>();
    let beside = format!("ledger of {}", small.records);
    type Column = fn(&Times) -> &Vec<f64>;
    let columns: [(&str, Column); 2] = [("index", |t| &t.index), ("hash", |t| &t.hash)];
    for (by, column) in columns {
        let client = |t: &Times| percentile(column(t), 0.5);
        let server = |t: &Times| percentile(column(t), 0.5) - percentile(&t.health, 0.5);
        let what = format!("by {by}: p50 at the client");
        let whole = Figure::new(ROW, format!("{by}/client"), what, Unit::Seconds, of(&here, &client));
        bench.add(whole.against(&beside, of(&there, &client)).target(Target::RatioAtMost(1.1)));
        let what = format!("by {by}: of that above GET /healthz");
        let part = Figure::new(ROW, format!("{by}/server"), what, Unit::Seconds, of(&here, &server));
        bench.add(part.target(Target::AtMost(200e-6)));
        let what = format!("by {by}: p99 at the client");
        let slow = |t: &Times| percentile(column(t), 0.99);
        bench.add(Figure::new(ROW, format!("{by}/p99"), what, Unit::Seconds, of(&here, &slow)));
    }
    let verify = |t: &Times| percentile(&t.verify, 0.5);
    let figure = Figure::new(
        ROW,
        "verify",
        "verified offline, signatures and all: p50",
        Unit::Seconds,
        of(&here, &verify),
    );
    bench.add(figure.target(Target::AtMost(1e-3)));
    Ok(())
}

fn measure(ledger: &Grown, addr: &std::net::SocketAddr, proofs: u64, run: u64) -> Fallible<Times> {
    let (key, writer) = (ledger.place.vkey("ledger")?, ledger.place.vkey("gateway")?);
    let mut connection = Connection::open(*addr)?;
    let mut times = Times::default();
    for n in 0..proofs {
        // Spread over the whole ledger, other records each run.
        let record = (n * proofs + run).wrapping_mul(0x9e37_79b9_7f4a_7c15) % ledger.records;
        let (seconds, bytes) = timed(&mut connection, &format!("{}/{record}", route::PROOFS))?;
        times.index.push(seconds);
        let start = Instant::now();
        let proof = Proof::parse(&bytes)?;
        let verified = proof.verify(&key, Some(&writer))?;
        times.verify.push(start.elapsed().as_secs_f64());
        let hash = proof.leaf_inputs.ciphertext_hash.hex();
        let path = format!("{}?ciphertext_sha256={hash}", route::PROOFS);
        let (seconds, bytes) = timed(&mut connection, &path)?;
        times.hash.push(seconds);
        let found = Proof::parse(&bytes)?.verify(&key, Some(&writer))?;
        if verified.record != record || found.record != record {
            return Err(format!(
                "asked for record {record}, got proofs of {} and {}",
                verified.record, found.record
            )
            .into());
        }
        times.health.push(timed(&mut connection, route::HEALTH)?.0);
    }
    Ok(times)
}

fn timed(connection: &mut Connection, path: &str) -> Fallible<(f64, Vec<u8>)> {
    let request = get(path);
    let start = Instant::now();
    let (status, body) = connection.exchange(request.as_bytes())?;
    let seconds = start.elapsed().as_secs_f64();
    if status != 200 {
        return Err(format!("GET {path} was answered {status}: {}", String::from_utf8_lossy(body)).into());
    }
    Ok((seconds, body.to_vec()))
}
