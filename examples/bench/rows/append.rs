//! Row `append`: the same bytes appended to a file, made durable after every thousand events. The least that any durable log does.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::EVENT_BYTES;
use super::super::figures::{Figure, Unit};

const ROW: Row = Row::Append;
/// Events of one run, at most.
const MOST: u64 = 2_000_000;
/// Events after which the file is made durable: as often as row `rows` commits.
const PER_SYNC: u64 = 1000;

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let dir = bench.folder("append")?;
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("append.log");
    let (runs, count) = (bench.args.runs, bench.args.records.min(MOST));
    let mut rates = Vec::new();
    for run in 0..runs {
        let bar = bar(&of_run(ROW, "", run, runs), count, "events");
        let mut file = File::create(&path)?;
        let mut spent = 0.0;
        let mut bytes = Vec::with_capacity(PER_SYNC as usize * (EVENT_BYTES + 1));
        for first in (0..count).step_by(PER_SYNC as usize) {
            bytes.clear();
            for number in first..count.min(first + PER_SYNC) {
                bench.events.write(number, &mut bytes);
                bytes.push(b'\n');
            }
            let start = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            spent += start.elapsed().as_secs_f64();
            bar.inc(PER_SYNC);
        }
        bar.finish_and_clear();
        rates.push(count as f64 / spent);
    }
    context::remove(&dir)?;
    let what = format!("plain file, fdatasync every {PER_SYNC} events");
    bench.add(Figure::new(ROW, "rate", what, Unit::PerSecond, rates));
    Ok(())
}
