//! Row `disk`: what the disk does to plain files under the load that `http` puts on it. No durable store can answer while it does that.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::EVENT_BYTES;
use super::super::figures::{Figure, Unit};

const ROW: Row = Row::Disk;
/// Events a second that the writing keeps up with: what `http` reaches.
const PACE: u64 = 120_000;
/// Bytes a store writes for an event, into its log and once more into its database: 1.44 times the event.
const BYTES: u64 = EVENT_BYTES as u64 * 144 / 100;
/// Events of one append to the log, as in a batch under load.
const PER_APPEND: u64 = 2560;
/// Bytes of the log, which is written over and over.
const LOG_BYTES: u64 = 24 << 20;
/// Bytes of the database between two syncs.
const PIECE: u64 = 2 << 20;
/// Threads that do nothing but work, so that the disk's part is measured beside busy cores, as in `http`.
const BUSY: usize = 2;

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let dir = bench.folder("disk")?;
    std::fs::create_dir_all(&dir)?;
    let (runs, seconds) = (bench.args.runs, bench.args.records as f64 / PACE as f64);
    let mut bytes = Vec::new();
    for number in 0..(PER_APPEND * BYTES).div_ceil(EVENT_BYTES as u64) {
        bench.events.write(number, &mut bytes);
    }
    let mut longest = Vec::new();
    for run in 0..runs {
        let bar = bar(&of_run(ROW, "", run, runs), bench.args.records, "events");
        longest.push(both(&dir, &bytes, seconds, &|done| bar.set_position(done * PER_APPEND))?.as_secs_f64());
        bar.finish_and_clear();
    }
    context::remove(&dir)?;
    let what = format!("plain files under the load of {PACE} events/s: longest append with its fdatasync");
    bench.add(Figure::new(ROW, "longest", what, Unit::Seconds, longest));
    Ok(())
}

/// Log and database for some seconds; the longest append to the log. `progress` is told how many there were.
fn both(dir: &Path, bytes: &[u8], seconds: f64, progress: &dyn Fn(u64)) -> Fallible<Duration> {
    let log = File::options().read(true).write(true).create(true).truncate(true).open(dir.join("log"))?;
    log.write_all_at(&vec![1; LOG_BYTES as usize], 0)?;
    log.sync_all()?;
    let database = File::create(dir.join("database"))?;
    let done = AtomicBool::new(false);
    let append = PER_APPEND * BYTES;
    let longest = std::thread::scope(|scope| {
        for _ in 0..BUSY {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
            });
        }
        let piece = bytes.get(..PIECE as usize).unwrap_or(bytes);
        let copying = scope.spawn(|| {
            paced(PIECE, &done, f64::INFINITY, |n| {
                database.write_all_at(piece, n * PIECE)?;
                database.sync_data()
            })
        });
        let piece = bytes.get(..append as usize).unwrap_or(bytes);
        let longest = paced(append, &done, seconds, |n| {
            progress(n);
            log.write_all_at(piece, n % (LOG_BYTES / append) * append)?;
            log.sync_data()
        });
        done.store(true, Ordering::Release);
        copying.join().map_err(|_| "a thread of row disk ended early")??;
        longest.map_err(Into::into)
    });
    drop((log, database));
    for name in ["log", "database"] {
        std::fs::remove_file(dir.join(name))?;
    }
    longest
}

/// Writes `size` bytes at a time at the pace, for some seconds or until it is `done`, and gives the longest time one write took.
fn paced(
    size: u64,
    done: &AtomicBool,
    seconds: f64,
    mut write: impl FnMut(u64) -> std::io::Result<()>,
) -> std::io::Result<Duration> {
    let (begun, mut longest, mut n) = (Instant::now(), Duration::ZERO, 0);
    while !done.load(Ordering::Acquire) && begun.elapsed().as_secs_f64() < seconds {
        let since = Instant::now();
        write(n)?;
        longest = longest.max(since.elapsed());
        n += 1;
        let due = Duration::from_secs_f64((n * size) as f64 / (PACE * BYTES) as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(longest)
}
