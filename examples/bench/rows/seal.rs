//! Row `seal`: sealing alone, in memory, against the naive design.

use std::time::{Duration, Instant};

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{Bench, bar};
use super::super::figures::{Figure, Target, Unit};
use super::super::sealing::{self, BATCH, Naive};

const ROW: Row = Row::Seal;
/// Time of one slice: short, so that what else happens on the machine falls on all alike.
const SLICE: Duration = Duration::from_millis(700);
const QUICK_SLICE: Duration = Duration::from_millis(120);

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let runs = bench.args.runs;
    let slice = if bench.args.quick { QUICK_SLICE } else { SLICE };
    let events: Vec<Vec<u8>> = (0..BATCH).map(|n| bench.events.event(n)).collect();
    let readers = sealing::readers()?;
    let naive = Naive::new()?;
    check_naive(&naive, &events)?;
    let ours = |threads: usize| {
        // The error of a thread is told as text: it need not be able to change threads.
        over_threads(threads, slice, |n| {
            let mut writer =
                sealing::writer(&format!("bench.example/writers/{n}")).map_err(|e| e.to_string())?;
            let (readers, events) = (&readers, &events);
            Ok(move || {
                sealing::seal(&mut writer, readers, events).map(|s| s.body.len()).map_err(|e| e.to_string())
            })
        })
        .map(|(calls, seconds)| calls as f64 * BATCH as f64 / seconds)
    };
    let theirs = |threads: usize| {
        over_threads(threads, slice, |_| {
            let (naive, mut next) = (&naive, events.iter().cycle());
            Ok(move || {
                let event = next.next().map_or(&[][..], Vec::as_slice);
                naive.seal(event).map(|(file, _)| file.len()).map_err(|e| e.to_string())
            })
        })
        .map(|(calls, seconds)| calls as f64 / seconds)
    };
    let bar = bar("seal, interleaved with naive", runs * 4, "slices");
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..runs {
        for (n, samples) in samples.iter_mut().enumerate() {
            samples.push(match n {
                0 => ours(1)?,
                1 => theirs(1)?,
                2 => ours(2)?,
                _ => theirs(2)?,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let [one, naive_one, two, naive_two] = samples;
    let figure = |key: &str, what: &str, samples: &[f64]| {
        Figure::new(ROW, key, what, Unit::PerSecond, samples.to_vec())
    };
    bench.add(
        figure("1", "one thread", &one)
            .against("naive, one thread", naive_one)
            .target(Target::RatioAtLeast(25.0)),
    );
    bench.add(figure("2", "two threads", &two).against("one thread", one).target(Target::RatioAtLeast(1.7)));
    bench.add(figure("2/naive", "two threads", &two).against("naive, two threads", naive_two));
    Ok(())
}

/// Calls what `make` makes on each thread for `slice`; the calls of all threads and the seconds until the last one ended.
fn over_threads<F>(
    threads: usize,
    slice: Duration,
    make: impl Fn(usize) -> Result<F, String> + Sync,
) -> Fallible<(u64, f64)>
where
    F: FnMut() -> Result<usize, String>,
{
    let start = Instant::now();
    let results: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let work = |n| {
            let make = &make;
            scope.spawn(move || {
                let mut call = make(n)?;
                let mut calls = 0;
                while start.elapsed() < slice {
                    std::hint::black_box(call()?);
                    calls += 1;
                }
                Ok(calls)
            })
        };
        let handles: Vec<_> = (0..threads).map(work).collect();
        handles.into_iter().map(|h| h.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    });
    let calls: u64 = results.into_iter().sum::<Result<u64, String>>()?;
    Ok((calls, start.elapsed().as_secs_f64()))
}

fn check_naive(naive: &Naive, events: &[Vec<u8>]) -> Fallible<()> {
    let event = events.first().ok_or("no event")?;
    let (file, signature) = naive.seal(event)?;
    if naive.open(&file, &signature)? != *event {
        return Err("the naive design does not open what it sealed".into());
    }
    Ok(())
}
