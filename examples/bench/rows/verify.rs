//! Row `verify`: the whole ledger verified without keys, against plain SHA-256 over the same bytes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::super::args::Row;
use super::super::context::{Bench, bar};
use super::super::figures::{Figure, Target, Unit};
use super::super::program::{Place, program};
use super::super::{Fallible, machine};

const ROW: Row = Row::Verify;
/// Threads that hash, and bytes read at once.
const THREADS: u64 = 2;
const CHUNK: usize = 1 << 20;
/// How often the memory of the running program is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What one verification took.
struct Verified {
    bytes_per_second: f64,
    records_per_second: f64,
    memory: f64,
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let grown = bench.grown()?;
    let runs = bench.args.runs;
    let bar = bar("verify, interleaved with SHA-256", runs * 2, "passes");
    bar.enable_steady_tick(Duration::from_millis(200));
    let (mut hashed, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        hashed.push(hash_all(&grown.place.path("ledger.db"))?);
        bar.inc(1);
        verified.push(verify(&grown.place, grown.records)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let of = |f: &dyn Fn(&Verified) -> f64| verified.iter().map(f).collect::<Vec<f64>>();
    let bytes = Figure::new(
        ROW,
        "bytes",
        "whole ledger without keys",
        Unit::BytesPerSecond,
        of(&|v| v.bytes_per_second),
    );
    bench.add(bytes.against("SHA-256, two threads", hashed).target(Target::RatioAtLeast(0.7)));
    let records = of(&|v| v.records_per_second);
    bench.add(Figure::new(ROW, "records", "the same, records", Unit::PerSecond, records));
    let memory = Figure::new(ROW, "memory", "auditor's peak memory", Unit::Bytes, of(&|v| v.memory));
    bench.add(memory.target(Target::AtMost(128.0 * f64::from(1 << 20))));
    Ok(())
}

/// `sealtrail audit verify` on the database file, as a process of its own.
fn verify(place: &Place, events: u64) -> Fallible<Verified> {
    let start = Instant::now();
    let mut child = program()?
        .args(["audit", "verify", "--file", "ledger.db", "--key", "keys/ledger.vkey", "--json"])
        .current_dir(place.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut memory = 0;
    while child.try_wait()?.is_none() {
        memory = memory.max(machine::peak_memory(child.id()).unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    let seconds = start.elapsed().as_secs_f64();
    let out = child.wait_with_output()?;
    if !out.status.success() {
        return Err(format!("audit verify: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    let said: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let report = &said["report"];
    let (Some(bytes), Some(records)) = (report["bytes"].as_f64(), report["records_rehashed"].as_u64()) else {
        return Err("audit verify does not say how much it verified".into());
    };
    if said["holds"] != true || records < events {
        return Err(format!("audit verify hashed {records} of {events} records: {said}").into());
    }
    Ok(Verified {
        bytes_per_second: bytes / seconds,
        records_per_second: records as f64 / seconds,
        memory: if memory == 0 { f64::NAN } else { memory as f64 },
    })
}

/// Bytes a second of SHA-256 over a file, each thread a part of it.
fn hash_all(path: &Path) -> Fallible<f64> {
    let length = std::fs::metadata(path)?.len();
    let start = Instant::now();
    let parts: Vec<std::io::Result<Sha256>> = std::thread::scope(|scope| {
        let part = |n| {
            let (from, to) = (length * n / THREADS, length * (n + 1) / THREADS);
            scope.spawn(move || {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                let mut rest = file.take(to - from);
                let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
                loop {
                    match rest.read(&mut chunk)? {
                        0 => return Ok(hasher),
                        n => hasher.update(&chunk[..n]),
                    }
                }
            })
        };
        let handles: Vec<_> = (0..THREADS).map(part).collect();
        let failed = |_| Err(std::io::Error::other("a thread panicked"));
        handles.into_iter().map(|h| h.join().unwrap_or_else(failed)).collect()
    });
    for part in parts {
        std::hint::black_box(part?.finalize());
    }
    Ok(length as f64 / start.elapsed().as_secs_f64())
}
