//! Row `http`: events over HTTP, many a request, into a ledger that grows.

use super::super::Fallible;
use super::super::answered::Answered;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::EVENT_BYTES;
use super::super::figures::{Figure, Target, Unit};
use super::super::load::{self, Load, Sent};
use super::super::program::Place;
use super::super::{check, machine};

const ROW: Row = Row::Http;
/// Growth is told by millions; of less than this by tenths of all.
const BY_MILLIONS: u64 = 4_000_000;
const MILLION: u64 = 1_000_000;
/// Least number of times that all connections are answered in a part whose rate is told.
const BURSTS: u64 = 10;

/// What one run gave.
struct Run {
    answered: Answered,
    memory: f64,
    bytes: f64,
    server_cpu: f64,
    cycle: f64,
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    for per_request in bench.args.per_request.clone() {
        let runs = bench.args.runs;
        let mut all = Vec::new();
        for run in 0..runs {
            let place = Place::create(bench.folder("http")?)?;
            let title = of_run(ROW, &format!("{per_request} a request"), run, runs);
            all.push(measure(bench, &place, per_request, &title)?);
            let last = run + 1 == runs && bench.args.per_request.last() == Some(&per_request);
            if last { bench.keep(place)? } else { context::remove(place.dir())? }
        }
        figures(bench, per_request, &all);
    }
    Ok(())
}

fn measure(bench: &Bench, place: &Place, per_request: u64, title: &str) -> Fallible<Run> {
    let count = bench.args.records;
    let server = place.serve()?;
    let bar = bar(title, count, "events");
    let connections = bench.args.connections;
    let token = place.token()?;
    let load = Load {
        addr: server.addr,
        token: &token,
        connections,
        per_request,
        first: 0,
        count,
        sent: Sent::Events,
        most: None,
    };
    let answered = load::run(&load, &bench.events, &bar)?;
    bar.finish_and_clear();
    let missing = |f: Option<f64>| f.unwrap_or(f64::NAN);
    let memory = missing(machine::peak_memory(server.pid()).map(|b| b as f64));
    let server_cpu = missing(machine::cpu_seconds(server.pid()));
    let cycle = machine::metric(&server, "sealtrail_longest_cycle_seconds")?;
    check::receipts(place, &server, &bench.events, count, &answered.placed)?;
    server.stop()?;
    let bytes = place.bytes()? as f64 / (count as f64 * EVENT_BYTES as f64);
    let per_event = |seconds: f64| seconds / count as f64 * 1e6;
    eprintln!(
        "  {title}: {:.0} events/s; processor time an event: server {:.1} µs, client {:.2} µs; {} requests sent again",
        answered.rate(),
        per_event(server_cpu),
        per_event(answered.client_cpu),
        answered.refused
    );
    let (part, name) = part_of(count);
    let rates = (0..count / part).map(|n| match answered.rate_between(n * part, (n + 1) * part) {
        rate if rate.is_finite() => format!("{:.0}", rate / 1000.0),
        // All of it was answered at once.
        _ => "–".to_owned(),
    });
    eprintln!("  by {name}, thousand events/s: {}", rates.collect::<Vec<_>>().join(" "));
    Ok(Run { answered, memory, bytes, server_cpu: server_cpu / count as f64, cycle })
}

/// Events of the part by which growth is told, and its name.
fn part_of(count: u64) -> (u64, &'static str) {
    if count >= BY_MILLIONS { (MILLION, "million") } else { ((count / 10).max(1), "tenth") }
}

fn figures(bench: &mut Bench, per_request: u64, runs: &[Run]) {
    let of = |f: &dyn Fn(&Run) -> f64| runs.iter().map(f).collect::<Vec<f64>>();
    let count = bench.args.records;
    let (part, name) = part_of(count);
    let connections = bench.args.connections;
    let figure = |key: &str, what: String, unit, samples| {
        Figure::new(ROW, format!("{per_request}/{key}"), what, unit, samples)
    };
    let with = format!("{per_request} a request");
    let rate = of(&|r| r.answered.rate());
    let what = format!("{with}, {connections} connections");
    bench.add(figure("rate", what.clone(), Unit::PerSecond, rate.clone()).target(Target::AtLeast(100_000.0)));
    let compared = figure("rate/rows", what, Unit::PerSecond, rate).against_figure("rows/insert");
    bench.add(compared.target(Target::RatioAtLeast(6.0)));
    // Answers come in bursts, a batch at a time: a part of few bursts has no rate of its own.
    if part >= BURSTS * per_request * connections as u64 {
        let last = of(&|r| r.answered.rate_between(count - part, count));
        let second = of(&|r| r.answered.rate_between(part, 2 * part));
        let growth = figure("growth", format!("{with}: last {name}"), Unit::PerSecond, last);
        bench.add(growth.against(format!("second {name}"), second).target(Target::RatioAtLeast(0.9)));
    }
    for (key, share) in [("p50", 0.5), ("p99", 0.99)] {
        let samples = of(&|r| r.answered.percentile(share));
        bench.add(figure(key, format!("{with}: {key} of a request"), Unit::Seconds, samples));
    }
    bench.add(
        figure(
            "pause",
            format!("{with}: longest time without an answer"),
            Unit::Seconds,
            of(&|r| r.answered.longest_pause()),
        )
        .target(Target::AtMost(0.25)),
    );
    let what = format!("{with}: longest commit, as the server says");
    let cycle = figure("cycle", what, Unit::Seconds, of(&|r| r.cycle));
    bench.add(cycle.against_figure("disk/longest").target(Target::AtMost(0.25)));
    bench.add(
        figure("memory", format!("{with}: server's peak memory"), Unit::Bytes, of(&|r| r.memory))
            .target(Target::AtMost(256.0 * f64::from(1 << 20))),
    );
    bench.add(
        figure("disk", format!("{with}: bytes on disk per byte of plaintext"), Unit::Times, of(&|r| r.bytes))
            .target(Target::AtMost(1.45)),
    );
    let cpu = of(&|r| r.server_cpu);
    bench.add(figure("cpu", format!("{with}: server's processor time an event"), Unit::Seconds, cpu));
}
