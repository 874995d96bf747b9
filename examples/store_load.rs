//! Fills a SQLite store and times it: `cargo run --release --example store_load -- DIR [RECORDS] [PER_BLOCK] [CIPHERTEXT]`. Records are as those
//! of 800-byte events with three readers and five tags, or have shorter ciphertexts, to see the index grow on a small disk. Rate, longest commit and bytes on disk are told for each million, then
//! look-ups. The database stays in DIR for inspection.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use sealtrail::base::batch::Body;
use sealtrail::base::hash::Hash;
use sealtrail::base::record::{LEAF_INPUTS_LEN, NewSection, SectionRoot, Tag, encode_sealed_head};
use sealtrail::store::{BlockTag, Head, NewBlock, SqliteStore, Store};

/// Length of the ciphertext of an 800-byte event (`docs/FORMAT.md` §5: Padmé, and an authentication tag).
const CIPHERTEXT: u64 = 832 + 16;
/// Every leaf's disclosure root.
const ROOT: Hash = Hash([7; 32]);

/// Five tags a record, sorted: two of few values, three of many.
fn tags_of(r: u64) -> [Tag; 5] {
    let mix = |n: u64| {
        let z = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 3)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
    };
    let keys = [
        mix(r % 7),
        mix(100 + r % 5),
        mix(r / 3 + 1_000_000),
        mix(1000 + mix(r) % 50_000),
        mix(200 + mix(r + 9) % 799),
    ];
    let mut tags = keys.map(u64::to_be_bytes);
    tags.sort_unstable();
    tags
}

fn block_tags(first_record: u64, records: u64) -> Vec<BlockTag> {
    let of = |p| tags_of(first_record + p).map(|t| (u64::from_be_bytes(t), p as u32));
    let mut out: Vec<_> = (0..records).flat_map(of).collect();
    out.sort_unstable();
    out
}

/// A record that starts with what is its own: tags and the first bytes of the ciphertext.
fn record(r: u64, ciphertext: u64, out: &mut Vec<u8>) {
    let section = NewSection {
        ciphertext_len: ciphertext as u32,
        commitment: [9; 32],
        root: SectionRoot { fields: 20, root: ROOT },
        slots: &[5; 96],
    };
    encode_sealed_head(&ROOT, [section], &tags_of(r), out);
    out.extend_from_slice(&r.to_be_bytes());
    out.resize(out.len() + ciphertext as usize - 8, 0x5a);
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| args.get(i).map_or(default, |a| a.parse().unwrap());
    let dir = args.first().map(Path::new).filter(|d| d.is_dir()).unwrap_or_else(|| {
        eprintln!("usage: store_load DIR [RECORDS] [PER_BLOCK] [CIPHERTEXT]");
        std::process::exit(2)
    });
    let (wanted, per_block) = (number(1, 1_000_000), number(2, 4096));
    let ciphertext = number(3, CIPHERTEXT).max(8);
    let path = dir.join("load.db");
    let store = SqliteStore::open(&path, "example.org/load", true).unwrap();
    let blocks = wanted.div_ceil(per_block);
    let (mut spent, mut longest, mut told) = (Duration::ZERO, Duration::ZERO, 0);
    let mut pauses: Vec<Duration> = Vec::new();
    println!("records      records/s   longest commit   bytes/record in all   index   runs   tail");
    for height in 0..blocks {
        let first_record = height * per_block;
        let mut data = Vec::new();
        let records: Vec<Vec<u8>> = (0..per_block)
            .map(|p| {
                data.clear();
                record(first_record + p, ciphertext, &mut data);
                data.clone()
            })
            .collect();
        let block = NewBlock {
            height,
            first_record,
            records: per_block as u32,
            text: vec![b'x'; 1000],
            leaf_inputs: leaf_inputs(first_record, per_block),
            signer: "example.org/writers/load".into(),
            sequence: height,
            body: Some(Body::encode(&[1; 600], &records)),
            tags: block_tags(first_record, per_block),
        };
        let head = Head {
            size: height + 1,
            records: first_record + per_block,
            checkpoint: vec![b'c'; 500],
            state: vec![b's'; 2000],
        };
        let start = Instant::now();
        store.append(height, &[block], &[], &head).unwrap();
        let took = start.elapsed();
        pauses.push(took);
        (spent, longest) = (spent + took, longest.max(took));
        let end = first_record + per_block;
        if end / 1_000_000 > told / 1_000_000 || height + 1 == blocks {
            let s = store.stats().unwrap();
            println!(
                "{end:<12} {:>9.0}   {:>14.1?}   {:>19.1}   {:>5.1}   {:>4}   {:>5}",
                (end - told) as f64 / spent.as_secs_f64(),
                longest,
                (s.file_bytes + s.wal_bytes) as f64 / end as f64,
                s.index_bytes as f64 / end as f64,
                s.index_runs,
                s.tail_records,
            );
            (spent, longest, told) = (Duration::ZERO, Duration::ZERO, end);
        }
    }
    pauses.sort_unstable();
    let at = |share: f64| pauses[((pauses.len() - 1) as f64 * share) as usize];
    println!("commits p50 {:.2?}, p99 {:.2?}, max {:.2?}", at(0.5), at(0.99), at(1.0));
    let records = blocks * per_block;
    let stats = store.stats().unwrap();
    let each = |bytes: u64| bytes as f64 / records as f64;
    println!(
        "bytes/record: bodies {:.1} (read as {:.1}), leaf inputs {:.1}, texts {:.1}, tags in runs {:.1}, hashes in runs {:.1}",
        each(stats.stored_body_bytes),
        each(stats.body_bytes),
        each(stats.leaf_bytes),
        each(stats.text_bytes),
        each(stats.index_tag_bytes),
        each(stats.index_bytes - stats.index_tag_bytes),
    );
    look_up(&store, records, blocks, ciphertext);
    drop(store);
    let start = Instant::now();
    let store = SqliteStore::open(&path, "example.org/load", false).unwrap();
    let opened = start.elapsed();
    store.find_ciphertext(&hash(1)).unwrap();
    println!("opened again in {opened:.1?}, first look-up done after {:.1?}", start.elapsed());
    let start = Instant::now();
    let (mut more, mut longest) = (true, Duration::ZERO);
    while more {
        // So short a budget ends after one step.
        let start = Instant::now();
        more = store.maintain(Duration::from_micros(50)).unwrap();
        longest = longest.max(start.elapsed());
    }
    println!(
        "maintain to the end: {:.2?}, longest step {longest:.2?}, {} runs",
        start.elapsed(),
        store.stats().unwrap().index_runs
    );
    look_up(&store, records, blocks, ciphertext);
    let start = Instant::now();
    store.rebuild_index(&mut |_, _| ()).unwrap();
    println!("rebuild_index: {:.2?}, {} runs", start.elapsed(), store.stats().unwrap().index_runs);
}

fn look_up(store: &SqliteStore, records: u64, blocks: u64, ciphertext: u64) {
    let some = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % records;
    time("find_ciphertext, present", 2000, |n| {
        assert_eq!(store.find_ciphertext(&hash(some(n))).unwrap(), Some(some(n)));
    });
    time("find_ciphertext, absent", 2000, |n| {
        assert_eq!(store.find_ciphertext(&hash(records + n)).unwrap(), None);
    });
    for (most, what) in [
        (1, "find_tag, first hit"),
        (500, "find_tag, a page of 500"),
        (usize::MAX, "find_tag, all of rare ones"),
    ] {
        time(what, 400, |n| {
            for tag in tags_of(some(n)) {
                let found =
                    store.find_tag(&tag, if most == 500 { 0 } else { some(n) }, most.min(1000)).unwrap();
                assert!(found.first().is_some_and(|r| *r <= some(n)) && found.len() <= most);
            }
        });
    }
    time("record", 5000, |n| {
        let mut wanted = Vec::new();
        record(some(n), ciphertext, &mut wanted);
        assert!(store.record(some(n)).unwrap().unwrap().record == wanted);
    });
    time("block_of_record", 20_000, |n| assert!(store.block_of_record(some(n)).unwrap().is_some()));
    time("body", blocks.min(500), |n| assert!(store.body(n).unwrap().is_some()));
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
    // The other two are of no interest here: ROOT.
    let mut out = vec![7; count as usize * LEAF_INPUTS_LEN];
    for (record, leaf) in (first..).zip(out.chunks_exact_mut(LEAF_INPUTS_LEN)) {
        leaf[..32].copy_from_slice(&hash(record).0);
    }
    out
}
