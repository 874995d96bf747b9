//! Row `single`: one event a request.

use std::time::Duration;

use super::super::answered::Answered;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::figures::{Figure, Target, Unit, median};
use super::super::load::{self, Load, Sent};
use super::super::program::{Place, Server};
use super::super::{Fallible, check};

const ROW: Row = Row::Single;

/// Clients at a time, and the rate and median time to reach.
const CASES: [(usize, f64, f64); 3] = [(1, 1_500.0, 0.0007), (64, 35_000.0, 0.002), (256, 50_000.0, 0.005)];
/// How long each case is measured; a tenth of it goes by before that unmeasured, because the first batches cost more.
const SLICE: Duration = Duration::from_secs(5);
const QUICK_SLICE: Duration = Duration::from_millis(500);

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let slice = if bench.args.quick { QUICK_SLICE } else { SLICE };
    for (clients, rate, p50) in CASES {
        let runs = bench.args.runs;
        let with = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        let mut posted = Vec::new();
        let mut asked = Vec::new();
        for run in 0..runs {
            let place = Place::create(bench.folder("single")?)?;
            let server = place.serve()?;
            let title = of_run(ROW, &with, run, runs);
            let token = place.token()?;
            let to = (&server, token.as_str(), clients);
            let first = send(bench, to, 0, slice / 10, Sent::Events, &title)?;
            let then = send(bench, to, first.events(), slice, Sent::Events, &title)?;
            let (count, mut placed) = (first.events() + then.events(), first.placed);
            placed.extend(&then.placed);
            check::receipts(&place, &server, &bench.events, count, &placed)?;
            asked.push(send(bench, to, 0, slice / 2, Sent::Health, &title)?);
            posted.push(then);
            server.stop()?;
            context::remove(place.dir())?;
        }
        let cpu = |all: &[Answered]| {
            let each: Vec<f64> = all.iter().map(|a| a.client_cpu / a.events() as f64 * 1e6).collect();
            median(&each)
        };
        eprintln!(
            "  {with}: the client took {:.1} µs of processor time an event, {:.1} µs a GET /healthz",
            cpu(&posted),
            cpu(&asked)
        );
        let of = |all: &[Answered], f: &dyn Fn(&Answered) -> f64| all.iter().map(f).collect::<Vec<f64>>();
        let figure = |key: &str, what: String, unit, f: &dyn Fn(&Answered) -> f64| {
            Figure::new(ROW, format!("{clients}/{key}"), what, unit, of(&posted, f))
        };
        let nothing = of(&asked, &Answered::rate);
        let whole = figure("rate", with.clone(), Unit::PerSecond, &Answered::rate);
        bench.add(whole.against("GET /healthz alike", nothing).target(Target::AtLeast(rate)));
        let half = figure("p50", format!("{with}: p50 of a request"), Unit::Seconds, &|a| a.percentile(0.5));
        bench.add(half.target(Target::AtMost(p50)));
        bench.add(figure("p99", format!("{with}: p99 of a request"), Unit::Seconds, &|a| a.percentile(0.99)));
    }
    Ok(())
}

fn send(
    bench: &Bench,
    (server, token, connections): (&Server, &str, usize),
    first: u64,
    slice: Duration,
    sent: Sent,
    title: &str,
) -> Fallible<Answered> {
    let bar = bar(title, slice.as_millis() as u64, "ms");
    let (count, most) = (u64::from(u32::MAX), Some(slice));
    let load = Load { addr: server.addr, token, connections, per_request: 1, first, count, sent, most };
    let answered = load::run(&load, &bench.events, &bar)?;
    bar.finish_and_clear();
    Ok(answered)
}
