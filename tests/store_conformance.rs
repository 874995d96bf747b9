//! What every store must do. [`conformance`] is run on each back end; a new one is added by one test at the
//! end of this file. A random sequence of operations is then run on SQLite and on the reference store.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

mod store_support;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sealtrail::base::batch::Body;
use sealtrail::base::hash::Hash;
use sealtrail::base::limits::{MAX_BATCH_BYTES, MAX_STATE_BYTES};
use sealtrail::base::record::Tag;
use sealtrail::store::{BlockInfo, Head, IndexShape, MemoryStore, NewBlock, SqliteStore, Store, StoreError};
use store_support::{Chain, ORIGIN, ciphertext_hash, record_bytes, record_tags};

/// Runs every rule on stores made by `make`, each fresh and empty and of the ledger [`ORIGIN`].
fn conformance(make: impl Fn() -> Box<dyn Store>) {
    let rules: [fn(&dyn Store); 11] = [
        starts_empty,
        appends_and_reads_back,
        compares_and_swaps_the_head,
        refuses_a_statement_twice,
        refuses_what_does_not_fit,
        finds_records_across_blocks,
        keeps_bodies_without_records,
        limits_texts,
        keeps_derived_values,
        sets_the_head_alone,
        erases,
    ];
    for rule in rules {
        rule(&*make());
    }
    rebuilds_and_maintains(&*make());
    readers_see_whole_appends(make().into());
}

fn starts_empty(store: &dyn Store) {
    assert_eq!(store.origin(), ORIGIN);
    assert_eq!(store.head().unwrap(), None);
    assert_eq!(store.block_text(0).unwrap(), None);
    assert_eq!(store.block_texts(0, 10, 10).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.block_info(0).unwrap(), None);
    assert_eq!(store.block_of_record(0).unwrap(), None);
    assert_eq!(store.leaf_inputs(0).unwrap(), None);
    assert_eq!(store.body(0).unwrap(), None);
    assert_eq!(store.record(0).unwrap(), None);
    assert_eq!(store.find_ciphertext(&Hash::ZERO).unwrap(), None);
    assert_eq!(store.statement("", 0).unwrap(), None);
    assert_eq!(store.derived("").unwrap(), None);
    assert_eq!(store.stats().unwrap().blocks, 0);
}

fn check_leaf_ranges(store: &dyn Store, b: &NewBlock) {
    let (all, n) = (&b.leaf_inputs, b.records as usize);
    for (first, count) in [(0, 0), (0, 1), (0, n), (1, n), (n / 2, 64), (n.saturating_sub(1), 64), (n, 1)] {
        let wanted = &all[(first * 96).min(all.len())..((first + count) * 96).min(all.len())];
        assert_eq!(store.leaf_range(b.height, first, count).unwrap(), wanted, "{first} {count} of {n}");
    }
    for first in [1 << 20, 1 << 40, usize::MAX] {
        assert_eq!(store.leaf_range(b.height, first, usize::MAX).unwrap(), b"", "{first} of {n}");
    }
}

fn appends_and_reads_back(store: &dyn Store) {
    let mut chain = Chain::new();
    // A large block, to cross whatever the back end cuts things into, and blocks without records.
    let sizes = [0, 3, 0, 0, 1500, 1, 0];
    let blocks: Vec<NewBlock> = sizes.iter().map(|n| chain.block("w", *n)).collect();
    store.append(0, &blocks[..2], &[], &chain.head_after(&blocks[..2])).unwrap();
    store.append(2, &blocks[2..], &[], &chain.head()).unwrap();
    assert_eq!(store.head().unwrap(), Some(chain.head()));
    for b in &blocks {
        let info = BlockInfo {
            height: b.height,
            first_record: b.first_record,
            records: b.records,
            signer: b.signer.clone(),
            sequence: b.sequence,
        };
        assert_eq!(store.block_text(b.height).unwrap().as_ref(), Some(&b.text));
        assert_eq!(store.leaf_inputs(b.height).unwrap().as_ref(), Some(&b.leaf_inputs));
        check_leaf_ranges(store, b);
        assert_eq!(store.body(b.height).unwrap(), b.body);
        assert_eq!(store.statement(&b.signer, b.sequence).unwrap(), Some(b.height));
        for position in 0..b.records {
            let record = b.first_record + u64::from(position);
            assert_eq!(store.block_of_record(record).unwrap().as_ref(), Some(&info));
            let found = store.record(record).unwrap().unwrap();
            assert_eq!((&found.info, found.position), (&info, position));
            assert_eq!(found.record, record_bytes(record));
            assert_eq!(found.header, format!("header {}", b.height).into_bytes());
        }
        assert_eq!(store.block_info(b.height).unwrap(), Some(info));
    }
    let end = chain.head();
    for beyond in [end.records, end.records + 1, 1 << 40, u64::MAX >> 1, u64::MAX] {
        assert_eq!(store.block_of_record(beyond).unwrap(), None);
        assert_eq!(store.record(beyond).unwrap(), None);
    }
    for beyond in [end.size, 1 << 40, 1 << 53, u64::MAX] {
        assert_eq!(store.block_text(beyond).unwrap(), None);
        assert_eq!(store.block_info(beyond).unwrap(), None);
        assert_eq!(store.leaf_inputs(beyond).unwrap(), None);
        assert_eq!(store.leaf_range(beyond, 0, 9).unwrap(), b"");
        assert_eq!(store.body(beyond).unwrap(), None);
        assert_eq!(store.statement("w", beyond).unwrap(), None);
        assert!(store.block_texts(beyond, 5, 1000).unwrap().is_empty());
    }
    let stats = store.stats().unwrap();
    let sum = |f: fn(&NewBlock) -> usize| blocks.iter().map(|b| f(b) as u64).sum::<u64>();
    assert_eq!((stats.blocks, stats.records), (7, 1504));
    assert_eq!(stats.text_bytes, sum(|b| b.text.len()));
    assert_eq!(stats.leaf_bytes, sum(|b| b.leaf_inputs.len()));
    assert_eq!(stats.body_bytes, sum(|b| b.body.as_ref().map_or(0, Vec::len)));
}

fn compares_and_swaps_the_head(store: &dyn Store) {
    let mut chain = Chain::new();
    let blocks = [chain.block("w", 2), chain.block("w", 1)];
    let first = chain.head_after(&blocks[..1]);
    store.append(0, &blocks[..1], &[], &first).unwrap();
    // Somebody who saw the empty ledger, and somebody from the future.
    let late = store.append(0, &blocks[..1], &[("k".into(), vec![1])], &first);
    assert_eq!(late, Err(StoreError::Conflict { expected: 0, found: 1 }));
    let mut chain = Chain::new();
    for n in [2, 1, 1] {
        chain.block("x", n);
    }
    let b = chain.block("x", 1);
    let early = store.append(3, &[b], &[], &chain.head());
    assert_eq!(early, Err(StoreError::Conflict { expected: 3, found: 1 }));
    assert_eq!(store.head().unwrap(), Some(first));
    assert_eq!(store.derived("k").unwrap(), None);
}

fn refuses_a_statement_twice(store: &dyn Store) {
    let mut chain = Chain::new();
    let mut blocks = [chain.block("a", 1), chain.block("b", 1), chain.block("", 0)];
    let duplicate = |b: &NewBlock, height| StoreError::DuplicateStatement {
        signer: b.signer.clone(),
        sequence: b.sequence,
        height,
    };
    // Within one append.
    blocks[2].signer = "a".into();
    blocks[2].sequence = blocks[0].sequence;
    let refused = store.append(0, &blocks, &[], &chain.head());
    assert_eq!(refused, Err(duplicate(&blocks[0], 0)));
    assert_eq!(store.head().unwrap(), None);
    assert_eq!(store.block_text(0).unwrap(), None);
    assert_eq!(store.statement("b", blocks[1].sequence).unwrap(), None);
    // Against what is stored; the same number of another signer is another statement.
    let before = chain.head_after(&blocks[..2]);
    store.append(0, &blocks[..2], &[], &before).unwrap();
    blocks[2].signer = "b".into();
    blocks[2].sequence = blocks[1].sequence;
    let refused = store.append(2, &blocks[2..], &[("k".into(), vec![1])], &chain.head());
    assert_eq!(refused, Err(duplicate(&blocks[1], 1)));
    assert_eq!(store.head().unwrap(), Some(before));
    assert_eq!(store.derived("k").unwrap(), None);
    blocks[2].signer = String::new();
    store.append(2, &blocks[2..], &[], &chain.head()).unwrap();
    assert_eq!(store.statement("", blocks[1].sequence).unwrap(), Some(2));
}

fn refuses_what_does_not_fit(store: &dyn Store) {
    let mut chain = Chain::new();
    let good = [chain.block("w", 2), chain.block("w", 3)];
    let head = chain.head();
    let mut bad: Vec<([NewBlock; 2], Head)> = Vec::new();
    let changes: [fn(&mut [NewBlock; 2]); 13] = [
        |b| b[0].height = 1,
        |b| b[1].height = 2,
        |b| b[1].first_record = 3,
        |b| b[1].records = 2,
        |b| b[0].text.clear(),
        |b| b[0].text = vec![b'x'; 65_536],
        |b| b[1].leaf_inputs.truncate(95),
        |b| b[0].signer = "n".repeat(256),
        |b| b[0].sequence = 1 << 63,
        |b| b[0].body = None,
        |b| b[0].body = b[1].body.clone(),
        |b| b[0].body = Some(b"STB1".to_vec()),
        |b| {
            let body = Some(vec![7; MAX_BATCH_BYTES + 1]);
            b[1] = NewBlock { body, leaf_inputs: vec![], records: 0, ..b[1].clone() };
        },
    ];
    for change in changes {
        let mut blocks = good.clone();
        change(&mut blocks);
        bad.push((blocks, head.clone()));
    }
    bad.push((good.clone(), Head { size: 3, ..head.clone() }));
    bad.push((good.clone(), Head { records: 6, ..head.clone() }));
    bad.push((good.clone(), Head { state: vec![7; MAX_STATE_BYTES + 1], ..head.clone() }));
    for (blocks, head) in bad {
        let refused = store.append(0, &blocks, &[], &head);
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
        assert_eq!(store.head().unwrap(), None);
    }
    store.append(0, &good, &[], &head).unwrap();
    // Right in itself, but not the continuation of what is stored.
    let mut next = chain.block("w", 1);
    next.first_record += 1;
    let head = Head { records: head.records + 2, ..chain.head() };
    assert!(matches!(store.append(2, &[next], &[], &head), Err(StoreError::Invalid { .. })));
}

/// A grant's slots: a body that belongs to a statement without records, and is in nobody's way.
fn keeps_bodies_without_records(store: &dyn Store) {
    let mut chain = Chain::new();
    let blocks = [
        chain.block("w", 3),
        chain.granting_block("", 1),
        chain.block("w", 0),
        chain.granting_block("", 300_000),
        chain.block("w", 2),
    ];
    store.append(0, &blocks, &[], &chain.head()).unwrap();
    for b in &blocks {
        assert_eq!(store.body(b.height).unwrap(), b.body);
        let body = b.body.as_deref().unwrap_or_default();
        for (offset, len) in [(0, 0), (0, 8), (70_000, 9), (body.len().saturating_sub(3), 9), (1 << 40, 1)] {
            let end = offset.saturating_add(len).min(body.len());
            let wanted = body.get(offset..end).unwrap_or_default();
            assert_eq!(store.body_part(b.height, offset, len).unwrap(), wanted, "{} {offset}", b.height);
        }
    }
    assert_eq!(store.body_part(99, 0, 5).unwrap(), b"");
    for record in 0..5 {
        assert_eq!(store.record(record).unwrap().unwrap().record, record_bytes(record));
        assert_eq!(store.find_ciphertext(&ciphertext_hash(record)).unwrap(), Some(record));
    }
    let bytes: u64 = blocks.iter().map(|b| b.body.as_ref().map_or(0, Vec::len) as u64).sum();
    assert_eq!(store.stats().unwrap().body_bytes, bytes);
    store.rebuild_index(&mut |_, _| ()).unwrap();
    assert_eq!(store.find_ciphertext(&ciphertext_hash(4)).unwrap(), Some(4));
    // An empty body would be told from none in one back end and not in the other.
    let empty = NewBlock { body: Some(vec![]), ..chain.block("w", 0) };
    let refused = store.append(5, &[empty], &[], &chain.head());
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
}

fn finds_records_across_blocks(store: &dyn Store) {
    let mut chain = Chain::new();
    let mut size = 0;
    for sizes in [&[0, 5][..], &[0], &[700, 0, 0, 2], &[1], &[1], &[0, 0]] {
        let blocks: Vec<_> = sizes.iter().map(|n| chain.block("w", *n)).collect();
        store.append(size, &blocks, &[], &chain.head()).unwrap();
        size += blocks.len() as u64;
    }
    for record in 0..chain.head().records {
        let hash = ciphertext_hash(record);
        assert_eq!(store.find_ciphertext(&hash).unwrap(), Some(record));
        // Same index key, another hash.
        let mut other = hash;
        other.0[31] ^= 1;
        assert_eq!(store.find_ciphertext(&other).unwrap(), None);
    }
    assert_eq!(store.find_ciphertext(&Hash::ZERO).unwrap(), None);
    assert_eq!(store.find_ciphertext(&Hash([255; 32])).unwrap(), None);
    // A record with the hash of an earlier one does not hide that one.
    let mut copy = chain.block("w", 1);
    copy.leaf_inputs[..32].copy_from_slice(&ciphertext_hash(3).0);
    store.append(size, &[copy], &[], &chain.head()).unwrap();
    assert_eq!(store.find_ciphertext(&ciphertext_hash(3)).unwrap(), Some(3));
    tags_are_found(store, chain.head().records);
}

/// Every tag leads to the records that carry it, ascending, from any place on and cut at any limit.
fn tags_are_found(store: &dyn Store, records: u64) {
    let carriers = |tag: &Tag| (0..records).filter(|r| record_tags(*r).contains(tag)).collect::<Vec<_>>();
    for tag in [0, 1, 2, 3, 1000, 1007, 1035].map(u64::to_be_bytes) {
        let all = carriers(&tag);
        assert_eq!(store.find_tag(&tag, 0, usize::MAX).unwrap(), all);
        for from in [1, records / 2, records] {
            let rest: Vec<u64> = all.iter().copied().filter(|r| *r >= from).take(9).collect();
            assert_eq!(store.find_tag(&tag, from, 9).unwrap(), rest);
        }
        assert_eq!(store.find_tag(&tag, 0, 0).unwrap(), [] as [u64; 0]);
    }
    for record in (0..records).step_by(1 + records as usize / 30) {
        if let Some(tag) = record_tags(record).last() {
            assert_eq!(store.find_tag(tag, 0, 5).unwrap(), [record]);
        }
    }
}

fn limits_texts(store: &dyn Store) {
    let mut chain = Chain::new();
    let blocks: Vec<_> = (0..9).map(|_| chain.block("w", 0)).collect();
    store.append(0, &blocks, &[], &chain.head()).unwrap();
    let texts: Vec<_> = blocks.iter().map(|b| b.text.clone()).collect();
    let len = |range: std::ops::Range<usize>| texts[range].iter().map(Vec::len).sum::<usize>();
    for (from, max, max_bytes, wanted) in [
        (0, 100, usize::MAX, 0..9),
        (0, 4, usize::MAX, 0..4),
        (7, usize::MAX, usize::MAX, 7..9),
        (2, 5, len(2..5), 2..5),
        (2, 5, len(2..5) - 1, 2..4),
        (2, 5, 1, 2..3),
        (2, 5, 0, 2..3),
        (2, 0, usize::MAX, 2..2),
        (9, 5, usize::MAX, 9..9),
    ] {
        assert_eq!(store.block_texts(from, max, max_bytes).unwrap(), texts[wanted], "{from} {max}");
    }
}

fn keeps_derived_values(store: &dyn Store) {
    let mut chain = Chain::new();
    let big = vec![7; 100_000];
    let set = |pairs: &[(&str, &[u8])]| -> Vec<(String, Vec<u8>)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect()
    };
    let b = chain.block("w", 0);
    store.append(0, &[b], &set(&[("tile/0", b"one"), ("big", &big), ("", b"")]), &chain.head()).unwrap();
    let b = chain.block("w", 0);
    store.append(1, &[b], &set(&[("tile/0", b"first"), ("tile/0", b"second")]), &chain.head()).unwrap();
    assert_eq!(store.derived("tile/0").unwrap().unwrap(), b"second");
    assert_eq!(store.derived("big").unwrap().unwrap(), big);
    assert_eq!(store.derived("").unwrap().unwrap(), b"");
    assert_eq!(store.derived("Tile/0").unwrap(), None);
    let stats = store.stats().unwrap();
    assert_eq!((stats.derived_rows, stats.derived_bytes), (3, 100_006));
}

fn sets_the_head_alone(store: &dyn Store) {
    let mut chain = Chain::new();
    let b = chain.block("w", 4);
    let head = chain.head();
    store.append(0, &[b], &[], &head).unwrap();
    let cosigned = Head { checkpoint: b"with cosignatures".to_vec(), ..head.clone() };
    store.append(1, &[], &[("k".into(), vec![1])], &cosigned).unwrap();
    assert_eq!(store.head().unwrap(), Some(cosigned.clone()));
    assert_eq!(store.derived("k").unwrap(), Some(vec![1]));
    let stale = store.append(0, &[], &[], &Head::default());
    assert_eq!(stale, Err(StoreError::Conflict { expected: 0, found: 1 }));
    let refused = store.append(1, &[], &[], &Head { records: 5, ..head });
    assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    assert_eq!(store.head().unwrap(), Some(cosigned));
}

fn rebuilds_and_maintains(store: &dyn Store) {
    let mut chain = Chain::new();
    let check = |chain: &Chain| {
        for record in 0..chain.head().records {
            assert_eq!(store.find_ciphertext(&ciphertext_hash(record)).unwrap(), Some(record));
        }
        assert_eq!(store.find_ciphertext(&Hash::ZERO).unwrap(), None);
        tags_are_found(store, chain.head().records);
        assert_eq!(store.statement("w", 7).unwrap(), Some(7));
    };
    for size in 0..70 {
        let b = chain.block("w", 1 + (size % 5) as u32);
        store.append(size, &[b], &[], &chain.head()).unwrap();
    }
    let runs = store.stats().unwrap().index_runs;
    store.maintain(Duration::ZERO).unwrap();
    assert_eq!(store.stats().unwrap().index_runs, runs, "no budget, no work");
    while store.maintain(Duration::from_millis(5)).unwrap() {}
    assert!(store.stats().unwrap().index_runs <= runs.min(40));
    check(&chain);
    let mut last = (0, 0);
    store.rebuild_index(&mut |done, all| last = (done, all)).unwrap();
    assert_eq!(last, (chain.head().records, chain.head().records));
    assert_eq!(store.head().unwrap(), Some(chain.head()));
    check(&chain);
    let b = chain.block("w", 3);
    store.append(70, &[b], &[], &chain.head()).unwrap();
    check(&chain);
}

/// Erased records keep their leaf inputs and nothing else; everything beside them stays.
fn erases(store: &dyn Store) {
    assert!(matches!(store.erase(std::slice::from_ref(&(0..1))), Err(StoreError::Invalid { .. })));
    let mut chain = Chain::new();
    // Bodies of one chunk and of many; a block without records between.
    let sizes = [3, 0, 900, 1, 40, 2500];
    let blocks: Vec<NewBlock> = sizes.iter().map(|n| chain.block("w", *n)).collect();
    store.append(0, &blocks, &[("k".into(), vec![7])], &chain.head()).unwrap();
    let records = chain.head().records;
    let body_bytes = store.stats().unwrap().body_bytes;
    for wrong in [vec![records..records + 1], vec![0..1, 5..records + 1], vec![3..3]] {
        assert!(matches!(store.erase(&wrong), Err(StoreError::Invalid { .. })), "{wrong:?}");
    }
    assert_eq!(store.erase(&[]), Ok(0));
    assert_eq!(store.stats().unwrap().body_bytes, body_bytes, "a refused erasure erases nothing");

    // Record 0, 5, 10 … of these blocks is erased from the start and does not count.
    let gone = |r: u64| (2..7).contains(&r) || (500..1900).contains(&r) || r == 3443;
    let fresh = (0..records).filter(|r| gone(*r) && !r.is_multiple_of(5)).count() as u64;
    assert_eq!(store.erase(&[2..7, 500..1900, 3443..3444]), Ok(fresh));
    store.scrub().unwrap();
    let check = || {
        for record in 0..records {
            let stored = store.record(record).unwrap().unwrap();
            let b = blocks.iter().find(|b| b.height == stored.info.height).unwrap();
            let inputs = &b.leaf_inputs[stored.position as usize * 96..][..96];
            match gone(record) {
                true => assert_eq!(stored.record, [&[2], inputs].concat(), "record {record}"),
                false => assert_eq!(stored.record, record_bytes(record), "record {record}"),
            }
            assert_eq!(stored.header, format!("header {}", b.height).into_bytes());
            assert_eq!(store.find_ciphertext(&ciphertext_hash(record)).unwrap(), Some(record));
            let own = record_tags(record).last().copied();
            let found = own.map(|t| store.find_tag(&t, 0, 9).unwrap()).unwrap_or_default();
            let there = own.is_some() && !gone(record);
            assert_eq!(found, if there { vec![record] } else { vec![] }, "tag of record {record}");
        }
        let mut bytes = 0;
        for b in &blocks {
            let body = store.body(b.height).unwrap();
            bytes += body.as_ref().map_or(0, Vec::len) as u64;
            if let Some(body) = body {
                let body = Body::decode(&body).unwrap();
                assert_eq!(body.count() as u32, b.records);
            }
            assert_eq!(store.leaf_inputs(b.height).unwrap().as_ref(), Some(&b.leaf_inputs));
            assert_eq!(store.block_text(b.height).unwrap().as_ref(), Some(&b.text));
        }
        assert_eq!(store.stats().unwrap().body_bytes, bytes);
        assert!(bytes < body_bytes);
    };
    check();
    assert_eq!(store.erase(&[2..7, 500..1900, 3443..3444]), Ok(0));
    store.rebuild_index(&mut |_, _| ()).unwrap();
    check();
    assert_eq!((store.head().unwrap(), store.derived("k").unwrap()), (Some(chain.head()), Some(vec![7])));
    let b = chain.block("w", 3);
    store.append(sizes.len() as u64, &[b], &[], &chain.head()).unwrap();
    assert_eq!(store.record(records + 1).unwrap().unwrap().record, record_bytes(records + 1));
}

/// Readers beside a writer see each append whole or not at all, and never an older state after a newer.
fn readers_see_whole_appends(store: Arc<dyn Store>) {
    const APPENDS: u64 = 40;
    let readers: Vec<_> = (0..12)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let mut seen = 0;
                while seen < APPENDS * 2 {
                    let Some(head) = store.head().unwrap() else { continue };
                    assert!(head.size >= seen && head.size.is_multiple_of(2));
                    seen = head.size;
                    let last = head.records - 1;
                    assert_eq!(store.record(last).unwrap().unwrap().record, record_bytes(last));
                    assert!(store.find_ciphertext(&ciphertext_hash(last)).unwrap() == Some(last));
                    assert!(store.block_texts(0, 1000, usize::MAX).unwrap().len() as u64 >= seen);
                }
            })
        })
        .collect();
    let mut chain = Chain::new();
    for n in 0..APPENDS {
        let blocks = [chain.block("w", 3), chain.block("w", 2)];
        store.append(n * 2, &blocks, &[], &chain.head()).unwrap();
        store.maintain(Duration::from_millis(20)).unwrap();
    }
    for r in readers {
        r.join().unwrap();
    }
}

/// An index with runs after few records.
const SHAPE: IndexShape = IndexShape { segment_records: 150, segment_tags: 300, fanout: 2 };

/// One step of the random test.
#[derive(Clone, Debug)]
enum Op {
    /// Blocks by (signer, records), on a size off by `stale`, with a derived value.
    Append {
        blocks: Vec<(u8, u32)>,
        stale: u64,
        key: u8,
        value: u8,
    },
    /// The last statement once more.
    Repeat,
    Reopen,
    Maintain,
    Rebuild,
    /// Records from this share of all on, so many.
    Erase(u8, u64),
}

fn op() -> impl Strategy<Value = Op> {
    let blocks = proptest::collection::vec((0u8..3, prop_oneof![Just(0u32), 1u32..5, Just(300)]), 0..4);
    prop_oneof![
        8 => (blocks, prop_oneof![9 => Just(0u64), 1 => 1u64..3], 0u8..5, any::<u8>())
            .prop_map(|(blocks, stale, key, value)| Op::Append { blocks, stale, key, value }),
        1 => Just(Op::Repeat),
        1 => Just(Op::Reopen),
        1 => Just(Op::Maintain),
        1 => Just(Op::Rebuild),
        2 => (any::<u8>(), prop_oneof![1u64..4, Just(350)]).prop_map(|(at, n)| Op::Erase(at, n)),
    ]
}

fn assert_same(a: &dyn Store, b: &dyn Store) {
    let head = a.head().unwrap();
    assert_eq!(head, b.head().unwrap());
    let head = head.unwrap_or_default();
    let texts = |s: &dyn Store| s.block_texts(0, usize::MAX, usize::MAX).unwrap();
    assert_eq!(texts(a), texts(b));
    for height in 0..=head.size {
        assert_eq!(a.block_text(height).unwrap(), b.block_text(height).unwrap());
        assert_eq!(a.block_info(height).unwrap(), b.block_info(height).unwrap());
        assert_eq!(a.leaf_inputs(height).unwrap(), b.leaf_inputs(height).unwrap());
        assert_eq!(a.body(height).unwrap(), b.body(height).unwrap());
        for signer in ["s0", "s1", "s2"] {
            assert_eq!(a.statement(signer, height).unwrap(), b.statement(signer, height).unwrap());
        }
    }
    for record in (0..=head.records).step_by(1 + head.records as usize / 40) {
        assert_eq!(a.record(record).unwrap(), b.record(record).unwrap());
        assert_eq!(a.block_of_record(record).unwrap(), b.block_of_record(record).unwrap());
        let hash = ciphertext_hash(record);
        assert_eq!(a.find_ciphertext(&hash).unwrap(), b.find_ciphertext(&hash).unwrap());
        let tag = (record % 3).to_be_bytes();
        assert_eq!(a.find_tag(&tag, record, 7).unwrap(), b.find_tag(&tag, record, 7).unwrap());
    }
    for key in 0..5 {
        assert_eq!(a.derived(&format!("k{key}")).unwrap(), b.derived(&format!("k{key}")).unwrap());
    }
    let (mut x, mut y) = (a.stats().unwrap(), b.stats().unwrap());
    for s in [&mut x, &mut y] {
        assert!(s.stored_body_bytes <= s.body_bytes && s.index_tag_bytes <= s.index_bytes);
        assert!(s.tail_records <= s.records);
        (s.stored_body_bytes, s.index_tag_bytes, s.tail_records) = (0, 0, 0);
        (s.index_runs, s.index_bytes, s.file_bytes, s.wal_bytes) = (0, 0, 0, 0);
    }
    assert_eq!(x, y);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_reference_does(ops in proptest::collection::vec(op(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut sqlite = SqliteStore::create_shaped(&path, ORIGIN, SHAPE).unwrap();
        let memory = MemoryStore::new(ORIGIN);
        let mut chain = Chain::new();
        for op in ops {
            match op {
                Op::Append { blocks, stale, key, value } => {
                    let mut next = chain.clone();
                    next.skip(stale);
                    let blocks: Vec<_> =
                        blocks.into_iter().map(|(s, n)| next.block(&format!("s{s}"), n)).collect();
                    let size = chain.head().size + stale;
                    let derived = [(format!("k{key}"), vec![value; usize::from(value)])];
                    let a = sqlite.append(size, &blocks, &derived, &next.head());
                    prop_assert_eq!(&a, &memory.append(size, &blocks, &derived, &next.head()));
                    prop_assert_eq!(a.is_ok(), stale == 0);
                    if stale == 0 {
                        chain = next;
                    }
                }
                Op::Repeat => {
                    let size = chain.head().size;
                    let Some(last) = size.checked_sub(1).and_then(|h| memory.block_info(h).unwrap()) else {
                        continue;
                    };
                    let mut next = chain.clone();
                    let mut b = next.block(&last.signer, 1);
                    b.sequence = last.sequence;
                    let a = sqlite.append(size, std::slice::from_ref(&b), &[], &next.head());
                    prop_assert!(a.is_err());
                    prop_assert_eq!(a, memory.append(size, &[b], &[], &next.head()));
                }
                Op::Reopen => {
                    drop(sqlite);
                    sqlite = SqliteStore::open(&path, ORIGIN, false).unwrap();
                }
                Op::Maintain => {
                    sqlite.maintain(Duration::from_secs(1)).unwrap();
                }
                Op::Erase(at, n) => {
                    let all = chain.head().records;
                    let first = all * u64::from(at) / 256;
                    let range = first..(first + n).min(all);
                    let a = sqlite.erase(std::slice::from_ref(&range));
                    prop_assert_eq!(a.is_ok(), !range.is_empty());
                    prop_assert_eq!(a, memory.erase(&[range]));
                    sqlite.scrub().unwrap();
                }
                Op::Rebuild => {
                    sqlite.rebuild_index(&mut |_, _| ()).unwrap();
                    memory.rebuild_index(&mut |_, _| ()).unwrap();
                }
            }
        }
        assert_same(&sqlite, &memory);
        drop(sqlite);
        assert_same(&SqliteStore::open_read_only(&path).unwrap(), &memory);
    }
}

#[test]
fn memory_store_conforms() {
    conformance(|| Box::new(MemoryStore::new(ORIGIN)));
}

/// With the index in memory, and with most of it in runs.
#[test]
fn sqlite_store_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    for shape in [IndexShape::default(), SHAPE, IndexShape { segment_records: 20, ..SHAPE }] {
        conformance(|| {
            count.set(count.get() + 1);
            let path = dir.path().join(format!("{}.db", count.get()));
            Box::new(SqliteStore::create_shaped(&path, ORIGIN, shape).unwrap())
        });
    }
    let path = dir.path().join("1.db");
    for wrong in [
        IndexShape { fanout: 1, ..SHAPE },
        IndexShape { segment_records: 0, ..SHAPE },
        IndexShape { segment_records: 50_000, ..SHAPE },
    ] {
        let refused = SqliteStore::create_shaped(&path, ORIGIN, wrong).map(drop);
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    }
}
