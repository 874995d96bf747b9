//! Fills a SQLite store and times it: `cargo run --release --example store_load -- DIR [RECORDS] [PER_BLOCK]
//! [RECORD_BYTES] [maintain]`. With `maintain`, index runs are merged after every sixteenth append, as a ledger
//! does when idle; its time is told apart. The database stays in DIR for inspection.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use sealtrail::base::batch::Body;
use sealtrail::base::hash::Hash;
use sealtrail::base::record::LEAF_INPUTS_LEN;
use sealtrail::store::{Head, NewBlock, SqliteStore, Store};

/// Five tags a record: two of few values, three of many.
fn tags(first_record: u64, records: u64) -> Vec<(u64, u32)> {
    let mix = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let of = |r: u64| {
        [mix(r % 7), mix(100 + r % 5), mix(r / 3 + 1000), mix(mix(r) % 50_000), mix(mix(r + 9) % 999)]
    };
    let mut out: Vec<_> = (0..records).flat_map(|p| of(first_record + p).map(|t| (t, p as u32))).collect();
    out.sort_unstable();
    out
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| args.get(i).map_or(default, |a| a.parse().unwrap());
    let dir = args.first().map(Path::new).filter(|d| d.is_dir()).unwrap_or_else(|| {
        eprintln!("usage: store_load DIR [RECORDS] [PER_BLOCK] [RECORD_BYTES] [maintain]");
        std::process::exit(2)
    });
    let (records, per_block) = (number(1, 1_000_000), number(2, 4096));
    let record_bytes = number(3, 1100) as usize;
    let maintain = args.get(4).is_some_and(|a| a == "maintain");

    let store = SqliteStore::open(&dir.join("load.db"), "example.org/load", true).unwrap();
    let template = vec![0x5a; record_bytes];
    let mut body = Body::encode(&[1; 600], &vec![&template; per_block as usize]);
    let front = Body::front_len(600, per_block as usize);
    let [mut spent, mut merging, mut longest_step] = [Duration::ZERO; 3];
    let mut pauses: Vec<Duration> = Vec::new();
    let begin = Instant::now();
    let blocks = records.div_ceil(per_block);
    for height in 0..blocks {
        let first_record = height * per_block;
        for (n, record) in body[front..].chunks_exact_mut(record_bytes).enumerate() {
            record[..8].copy_from_slice(&(first_record + n as u64).to_be_bytes());
        }
        let block = NewBlock {
            height,
            first_record,
            records: per_block as u32,
            text: vec![b'x'; 1000],
            leaf_inputs: leaf_inputs(first_record, per_block),
            signer: "example.org/writers/load".into(),
            sequence: height,
            body: Some(body.clone()),
            tags: tags(first_record, per_block),
        };
        let head = Head {
            size: height + 1,
            records: first_record + per_block,
            checkpoint: vec![b'c'; 500],
            state: vec![b's'; 2000],
        };
        let start = Instant::now();
        store.append(height, &[block], &[], &head).unwrap();
        pauses.push(start.elapsed());
        spent += start.elapsed();
        if maintain && height % 16 == 15 {
            let mut more = true;
            while more {
                // So short a budget ends after one step.
                let start = Instant::now();
                more = store.maintain(Duration::from_millis(1)).unwrap();
                merging += start.elapsed();
                longest_step = longest_step.max(start.elapsed());
            }
        }
    }
    let records = blocks * per_block;
    pauses.sort_unstable();
    let at = |share: f64| pauses[((pauses.len() - 1) as f64 * share) as usize];
    println!(
        "{records} records of {record_bytes} B in blocks of {per_block}: {:.1?} in all",
        begin.elapsed()
    );
    println!(
        "append {:.0} records/s; per commit p50 {:.2?}, p99 {:.2?}, max {:.2?}; maintain {:.2?} in all, \
         longest step {:.2?}",
        records as f64 / spent.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        merging,
        longest_step,
    );
    let stats = store.stats().unwrap();
    println!(
        "{:.1} bytes/record beside the {} of the bodies; {stats:?}",
        (stats.file_bytes as f64 - stats.body_bytes as f64) / records as f64,
        stats.body_bytes / records,
    );
    let lookups = 20_000.min(records);
    let some = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % records;
    time("find_ciphertext, present", lookups.min(1000), |n| {
        assert_eq!(store.find_ciphertext(&hash(some(n))).unwrap(), Some(some(n)));
    });
    time("find_ciphertext, absent", lookups.min(1000), |n| {
        assert_eq!(store.find_ciphertext(&hash(records + n)).unwrap(), None);
    });
    time("record", lookups, |n| {
        let found = store.record(some(n)).unwrap().unwrap();
        assert_eq!(found.record[..8], some(n).to_be_bytes());
    });
    time("block_of_record", lookups, |n| assert!(store.block_of_record(some(n)).unwrap().is_some()));
    time("body", blocks.min(500), |n| assert!(store.body(n).unwrap().is_some()));
    let start = Instant::now();
    while store.maintain(Duration::from_millis(1)).unwrap() {}
    println!("maintain to the end: {:.2?}, {} runs", start.elapsed(), store.stats().unwrap().index_runs);
    time("find_ciphertext, present", lookups, |n| {
        assert_eq!(store.find_ciphertext(&hash(some(n))).unwrap(), Some(some(n)));
    });
    let start = Instant::now();
    store.rebuild_index(&mut |_, _| ()).unwrap();
    println!("rebuild_index: {:.2?}, {} runs", start.elapsed(), store.stats().unwrap().index_runs);
    time("find_ciphertext, present", lookups, |n| {
        assert_eq!(store.find_ciphertext(&hash(some(n))).unwrap(), Some(some(n)));
    });
}

fn time(what: &str, times: u64, f: impl Fn(u64)) {
    let start = Instant::now();
    (0..times).for_each(f);
    println!("{what}: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / times as f64);
}

fn hash(record: u64) -> Hash {
    Hash::of(&[&record.to_be_bytes()])
}

fn leaf_inputs(first: u64, count: u64) -> Vec<u8> {
    let mut out = vec![7; count as usize * LEAF_INPUTS_LEN];
    for (record, leaf) in (first..).zip(out.chunks_exact_mut(LEAF_INPUTS_LEN)) {
        leaf[..32].copy_from_slice(&hash(record).0);
    }
    out
}
