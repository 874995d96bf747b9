//! Row `single`: one event a request.

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::figures::{Figure, Target, Unit};
use super::super::load::{self, Answered, Load, Sent};
use super::super::program::{Place, Server};

const ROW: Row = Row::Single;

/// Clients at a time, events of one run, and the rate and median time to reach.
const CASES: [(usize, u64, f64, f64); 3] =
    [(1, 5_000, 1_500.0, 0.0007), (64, 100_000, 35_000.0, 0.002), (256, 150_000, 50_000.0, 0.005)];
const QUICK_SHARE: u64 = 50;

pub fn run(bench: &mut Bench) -> Fallible<()> {
    for (clients, events, rate, p50) in CASES {
        let count = if bench.args.quick { events / QUICK_SHARE } else { events };
        let runs = bench.args.runs;
        let mut posted = Vec::new();
        let mut asked = Vec::new();
        for run in 0..runs {
            let place = Place::create(bench.folder("single")?)?;
            let server = place.serve()?;
            let title = of_run(ROW, &format!("{clients} clients"), run, runs);
            let token = place.token()?;
            // Some first, unmeasured: the first connections and the first batch cost more.
            send(bench, &server, &token, (clients, 0, count / 10), Sent::Events, &title)?;
            posted.push(send(bench, &server, &token, (clients, count / 10, count), Sent::Events, &title)?);
            asked.push(send(bench, &server, &token, (clients, 0, count), Sent::Health, &title)?);
            server.stop()?;
            context::remove(place.dir())?;
        }
        let of = |all: &[Answered], f: &dyn Fn(&Answered) -> f64| all.iter().map(f).collect::<Vec<f64>>();
        let with = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
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
    server: &Server,
    token: &str,
    (connections, first, count): (usize, u64, u64),
    sent: Sent,
    title: &str,
) -> Fallible<Answered> {
    let bar = bar(title, count, "requests");
    let load =
        Load { addr: server.addr, token, connections, per_request: 1, first, count: count.max(1), sent };
    let answered = load::run(&load, &bench.events, &bar)?;
    bar.finish_and_clear();
    Ok(answered)
}
