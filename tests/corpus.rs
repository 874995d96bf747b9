//! The fuzz targets on a stable compiler: over every committed corpus file, over seeded mutations of them, and over inputs that grow,
//! for time that grows faster. `docs/FUZZING.md` has the list of targets; `fuzz/run` runs them under libFuzzer.
//!
//! `SEALTRAIL_FUZZ_ROUNDS=20 cargo test --test corpus` mutates twenty times as much.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

#[path = "corpus_support/growth.rs"]
mod growth;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use targets::{TARGETS, Target, check};

/// Memory and time are measured for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// A target's corpus files with their names, in order.
fn files(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target.name);
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}; `cargo run --example fuzz_seeds` makes it", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files
}

/// Runs a target; a failure is reported with the input, so that it can become a corpus file.
fn tried(target: &Target, data: &[u8], what: &str) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| check(target, data))).map_err(|e| {
        let text = e.downcast_ref::<String>().cloned().or(e.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let hex: String = data.iter().take(2000).map(|b| format!("{b:02x}")).collect();
        format!("{} of {what}: {}\ninput {hex}", target.name, text.unwrap_or_default())
    })
}

#[test]
fn every_corpus_file_passes() {
    let _alone = alone();
    let mut faults = Vec::new();
    for target in TARGETS {
        // What is made once, such as compiled policies, is not the input's.
        let _ = catch_unwind(|| (target.run)(&[]));
        for (name, data) in files(target) {
            faults.extend(tried(target, &data, &name).err());
        }
        faults.extend(tried(target, &[], "nothing").err());
    }
    let names: BTreeSet<&str> = TARGETS.iter().map(|t| t.name).collect();
    let folders: BTreeSet<String> =
        std::fs::read_dir(corpus()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(folders.iter().all(|f| names.contains(f.as_str())), "a corpus without a target: {folders:?}");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for one seed everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Changes an input in one to four places: bytes, bits, numbers, stretches left out, said twice or taken from another input.
fn mutate(data: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    const EDGES: [u32; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff];
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(data.len() + 1);
        let end = (at + 1 + numbers.below(16)).min(data.len());
        match numbers.below(8) {
            0 if at < data.len() => data[at] ^= 1 << numbers.below(8),
            1 if at < data.len() => data[at] = numbers.next() as u8,
            2 => data.insert(at, b"\n\x00\xff\"{}[]+-0 9eu\\/"[numbers.below(17)]),
            3 if at < end => drop(data.drain(at..end)),
            4 if at < end => {
                let again = data[at..end].to_vec();
                data.splice(at..at, again);
            }
            5 if at + 4 <= data.len() => {
                let edge = EDGES[numbers.below(EDGES.len())].to_be_bytes();
                data[at..at + 4].copy_from_slice(&edge);
            }
            6 => data.truncate(at),
            _ => {
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(64)).min(other.len());
                data.splice(at..end.max(at), other[from..to].iter().copied());
            }
        }
    }
}

#[test]
fn seeded_mutations_pass() {
    let _alone = alone();
    let rounds: usize = std::env::var("SEALTRAIL_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut faults = Vec::new();
    for target in TARGETS {
        let files = files(target);
        // Key exchanges take a thousand times as long as reading a line.
        let tries = if matches!(target.name, "open" | "granted" | "sealed" | "protected" | "evidence") {
            60
        } else {
            600
        };
        let mut numbers = Numbers(target.name.bytes().fold(7, |n: u64, b| n.wrapping_mul(31) + u64::from(b)));
        for n in 0..tries * rounds {
            let mut data = files[numbers.below(files.len())].1.clone();
            mutate(&mut data, &files[numbers.below(files.len())].1, &mut numbers);
            faults.extend(tried(target, &data, &format!("mutation {n}")).err());
            if faults.len() > 5 {
                break;
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn time_grows_with_the_input_and_not_with_its_square() {
    let _alone = alone();
    growth::check_all();
}
