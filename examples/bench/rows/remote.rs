//! Row `remote`: batches that remote writers sealed beforehand.

use std::time::Instant;

use sealtrail::api::bulk::encode_batch;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::replay::Head;
use sealtrail::client::Client;
use sealtrail::config::keyfile;
use sealtrail::writer::Writer;

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::figures::{Figure, Target, Unit};
use super::super::http::Connection;
use super::super::program::Place;
use super::super::sealing::{self, BATCH};

const ROW: Row = Row::Remote;
/// Writers, each with a connection and a sequence of its own.
const WRITERS: u64 = 4;
/// Batches of one writer, at most: they wait in memory, 4.7 MB each.
const BATCHES: u64 = 25;

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let runs = bench.args.runs;
    let batches = (bench.args.records / BATCH / WRITERS).clamp(1, BATCHES);
    let mut rates = Vec::new();
    let mut pauses = Vec::new();
    for run in 0..runs {
        let place = Place::create(bench.folder("remote")?)?;
        let uploads = seal(bench, &place, batches, &of_run(ROW, "sealing beforehand", run, runs))?;
        let (rate, pause) = measure(&place, uploads, batches)?;
        rates.push(rate);
        pauses.push(pause);
        context::remove(place.dir())?;
    }
    let what = format!("{WRITERS} writers, batches of {BATCH}, verified, durable");
    let rate = Figure::new(ROW, "rate", what, Unit::PerSecond, rates);
    bench.add(rate.against_figure("append/rate").target(Target::AtLeast(200_000.0)));
    let what = "longest time without a receipt";
    bench.add(Figure::new(ROW, "pause", what, Unit::Seconds, pauses).target(Target::AtMost(0.25)));
    Ok(())
}

/// For each writer its uploads as HTTP requests, ready to be sent.
fn seal(bench: &Bench, place: &Place, batches: u64, title: &str) -> Fallible<Vec<Vec<Vec<u8>>>> {
    let bar = bar(title, WRITERS * batches, "batches");
    let readers = roster_readers(place)?;
    let mut all = Vec::new();
    for n in 0..WRITERS {
        let (name, file) = (format!("bench.example/writers/remote-{n}"), format!("remote-{n}"));
        place.run(&["keygen", "writer", &name, "--file", &file])?;
        place.run(&["writer", "add", &format!("keys/{file}.vkey")])?;
        let key = keyfile::read_secret(&place.path(&format!("keys/{file}.key")))?;
        let mut writer = Writer::new(sealing::options(SigningKey::parse(key.trim())?), Head::default())?;
        let mut uploads = Vec::new();
        for batch in 0..batches {
            let first = (n * batches + batch) * BATCH;
            let events: Vec<Vec<u8>> = (first..first + BATCH).map(|n| bench.events.event(n)).collect();
            let sealed = sealing::seal(&mut writer, &readers, &events)?;
            let body = encode_batch(&sealed.note.to_string(), &sealed.body);
            let head = format!(
                "POST /v1/batches HTTP/1.1\r\nhost: bench\r\ncontent-type: application/vnd.sealtrail.batch\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            uploads.push([head.as_bytes(), &body].concat());
            bar.inc(1);
        }
        all.push(uploads);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// The ledger's readers, as its operator lists them.
fn roster_readers(place: &Place) -> Fallible<Vec<sealtrail::chain::roster::RosterReader>> {
    let listed: Vec<serde_json::Value> = serde_json::from_str(&place.run(&["reader", "list", "--json"])?)?;
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let reader = |v: &serde_json::Value| sealtrail::chain::roster::RosterReader {
        name: text(&v["name"]),
        recipient: text(&v["recipient"]),
        required: false,
    };
    Ok(listed.iter().map(reader).collect())
}

/// Records a second, and the longest time without a receipt.
fn measure(place: &Place, uploads: Vec<Vec<Vec<u8>>>, batches: u64) -> Fallible<(f64, f64)> {
    let server = place.serve()?;
    let records = batches * BATCH * uploads.len() as u64;
    let connections = uploads.iter().map(|_| Connection::open(server.addr)).collect::<Fallible<Vec<_>>>()?;
    let start = Instant::now();
    let send = |mut connection: Connection, uploads: Vec<Vec<u8>>| {
        let wanted = format!("\"count\":{BATCH},");
        let mut times = Vec::new();
        for upload in uploads {
            let (status, body) = connection.exchange(&upload).map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(body);
            if status != 201 || !text.contains(&wanted) {
                return Err(format!("the server answered {status}: {text}"));
            }
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(times)
    };
    let results: Vec<Result<Vec<f64>, String>> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            connections.into_iter().zip(uploads).map(|(c, u)| scope.spawn(move || send(c, u))).collect();
        writers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    });
    let mut times = results.into_iter().collect::<Result<Vec<_>, String>>()?.concat();
    times.push(0.0);
    times.sort_unstable_by(f64::total_cmp);
    let seconds = times.last().copied().unwrap_or(f64::NAN);
    let stored = Client::new(&server.url(), None)?.ledger()?.records;
    server.stop()?;
    if stored != records {
        return Err(format!("{records} records were sent, {stored} are there").into());
    }
    let pause = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).fold(0.0, f64::max);
    Ok((records as f64 / seconds, pause))
}
