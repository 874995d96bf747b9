//! Failures that can only be made from inside.
#![allow(clippy::unwrap_used)]

use rusqlite::Transaction;

use super::super::MemoryStore;
use super::testing::{ORIGIN, block};
use super::*;
use crate::base::batch::Body;
use crate::base::limits::CIPHERTEXT_PLACES;

/// A block of one record and 230 KB, and the head after it.
fn large(height: u64) -> (NewBlock, Head) {
    let (b, head) = block(height, height..height + 1, 200_000);
    (NewBlock { text: vec![b'x'; 30_000], ..b }, head)
}

#[test]
fn a_full_disk_refuses_the_append_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    let writer = store.writer.as_ref().unwrap();
    writer.disposable(|tx| tx.pragma_update(None, "max_page_count", 100)).unwrap();
    let mut height = 0;
    let error = loop {
        let (b, head) = large(height);
        match store.append(height, &[b], &[("k".into(), vec![height as u8])], &head) {
            Ok(()) => height += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free space"));
    assert!((3..7).contains(&height), "{height}");
    assert_eq!(store.head().unwrap(), Some(large(height - 1).1));
    assert_eq!(store.derived("k").unwrap(), Some(vec![height as u8 - 1]));
    assert_eq!(store.block_text(height).unwrap(), None);
    assert!(store.record(height - 1).unwrap().is_some());
    // Space again: the same append goes through.
    writer.disposable(|tx| tx.pragma_update(None, "max_page_count", 1_000_000)).unwrap();
    let (b, head) = large(height);
    store.append(height, &[b], &[], &head).unwrap();
    assert_eq!(store.head().unwrap(), Some(head));
}

#[test]
fn the_size_is_told_whatever_the_head_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    let (b, head) = large(0);
    store.append(0, &[b], &[], &head).unwrap();
    let set = |tx: &Transaction<'_>| tx.execute("UPDATE head SET records = ?1", [i64::MAX]);
    store.writer.as_ref().unwrap().disposable(set).unwrap();
    assert_eq!(store.stats().unwrap().leaf_bytes, u64::MAX);
}

#[test]
fn settings_are_the_durable_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("a.db"), ORIGIN, true).unwrap();
    let pragma = |name: &str| -> i64 {
        let get = |tx: &rusqlite::Transaction<'_>| tx.pragma_query_value(None, name, |r| r.get(0));
        store.writer.as_ref().unwrap().disposable(get).unwrap()
    };
    assert_eq!(pragma("synchronous"), 2);
    assert_eq!(pragma("page_size"), schema::PAGE_BYTES as i64);
    assert_eq!((pragma("fullfsync"), pragma("checkpoint_fullfsync"), pragma("secure_delete")), (1, 1, 1));
    let mapped = store.pool.read(|tx| tx.pragma_query_value(None, "mmap_size", |r| r.get::<_, i64>(0)));
    assert_eq!(mapped.unwrap(), 0);
    let reader_writes = store.pool.read(|tx| tx.execute("DELETE FROM derived", []));
    assert!(matches!(reader_writes, Err(StoreError::NotWritable { .. })));
}

/// The largest block there may be, in both stores.
#[test]
fn the_largest_block_fits() {
    use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_BLOCK_BYTES, MAX_NAME_BYTES};
    let front = Body::front_len(1000, MAX_BATCH_RECORDS);
    let each = (MAX_BATCH_BYTES - front) / MAX_BATCH_RECORDS;
    let b = NewBlock {
        height: 0,
        first_record: 0,
        records: MAX_BATCH_RECORDS as u32,
        text: vec![b'x'; MAX_BLOCK_BYTES],
        leaf_inputs: vec![3; MAX_BATCH_RECORDS * LEAF_INPUTS_LEN],
        signer: "n".repeat(MAX_NAME_BYTES),
        sequence: i64::MAX as u64,
        body: Some(Body::encode(&[9; 1000], &vec![vec![5; each]; MAX_BATCH_RECORDS])),
        tags: Vec::new(),
    };
    let head = Head { size: 1, records: u64::from(b.records), ..Head::default() };
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&dir.path().join("a.db"), ORIGIN, true).unwrap();
    let memory = MemoryStore::new(ORIGIN);
    for store in [&sqlite as &dyn Store, &memory] {
        store.append(0, std::slice::from_ref(&b), &[], &head).unwrap();
        assert_eq!(store.body(0).unwrap(), b.body);
        assert_eq!(store.record(16383).unwrap().unwrap().record, vec![5; each]);
        assert_eq!(store.statement(&b.signer, b.sequence).unwrap(), Some(0));
        assert_eq!(store.find_ciphertext(&Hash([3; 32])).unwrap(), Some(0));
    }
}

/// Hashes that begin alike, more than are looked up at once, in a run and in memory.
#[test]
fn hashes_that_begin_alike_are_told_apart() {
    const RUN: u64 = 2 * CIPHERTEXT_PLACES as u64;
    const SHAPE: IndexShape = IndexShape { segment_records: RUN as u32, segment_tags: 9999, fanout: 3 };
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::create_shaped(&dir.path().join("a.db"), ORIGIN, SHAPE).unwrap();
    let hash =
        |record: u64| Hash([[7; 8], [0; 8], [0; 8], record.to_be_bytes()].concat().try_into().unwrap());
    let mut first = 0;
    for (height, records) in [(0, RUN), (1, RUN - 1)] {
        let range = first..first + records;
        let leaf_inputs = range.clone().flat_map(|r| [hash(r).0, [1; 32], [2; 32]].concat()).collect();
        let (b, head) = block(height, range, 9);
        first += records;
        let b = NewBlock { leaf_inputs, ..b };
        store.append(height, &[b], &[], &head).unwrap();
    }
    assert_eq!(store.stats().unwrap().tail_records, RUN - 1);
    for record in 0..first {
        assert_eq!(store.find_ciphertext(&hash(record)).unwrap(), Some(record));
    }
    assert_eq!(store.find_ciphertext(&hash(first)).unwrap(), None);
}

/// Copies of the files as they are between any two steps of merging, which is how a crash leaves them: everything is found in
/// each, and merging goes on from it to the same runs.
#[test]
fn a_merge_that_a_crash_ends_at_any_step_goes_on() {
    const SHAPE: IndexShape = IndexShape { segment_records: 500, segment_tags: 9999, fanout: 3 };
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("copy.db"));
    let store = SqliteStore::create_shaped(&path, ORIGIN, SHAPE).unwrap();
    let hash = |record: u64| Hash::of(&[&record.to_be_bytes()]);
    let own = |record: u64| u64::from_be_bytes(*hash(record).0.last_chunk().unwrap());
    let records = 9 * 500u64;
    for height in 0..9u64 {
        let first = height * 500;
        let mut tags: Vec<_> =
            (0..500u32).flat_map(|p| [(u64::from(p % 3), p), (own(first + u64::from(p)), p)]).collect();
        tags.sort_unstable();
        let range = first..first + 500;
        let leaf_inputs = range.clone().flat_map(|r| [hash(r).0, [1; 32], [2; 32]].concat()).collect();
        let (b, head) = block(height, range, 9);
        let b = NewBlock { leaf_inputs, tags, ..b };
        store.append(height, &[b], &[], &head).unwrap();
    }
    assert_eq!(store.stats().unwrap().tail_records, 0);
    let holds = |store: &SqliteStore, from: u64| {
        for record in (from % 601..records).step_by(601) {
            assert_eq!(store.find_ciphertext(&hash(record)).unwrap(), Some(record));
            assert_eq!(store.find_tag(&own(record).to_be_bytes(), 0, 9).unwrap(), [record]);
        }
        let third = store.find_tag(&1u64.to_be_bytes(), 0, usize::MAX).unwrap();
        assert!(third.iter().copied().eq((0..records).filter(|r| r % 500 % 3 == 1)));
    };
    // The runs, with the rows they have.
    let image = |store: &SqliteStore| -> Vec<(i64, i64, i64, i64)> {
        let sql = "SELECT kind, tier, first_record, chunks - start FROM run ORDER BY kind, first_record";
        let read = |tx: &Transaction<'_>| {
            tx.prepare(sql)?.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
        };
        store.pool.read(read).unwrap()
    };
    let mut images = Vec::new();
    for step in 0.. {
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(dir.path().join("a.db-wal"), dir.path().join("copy.db-wal")).unwrap();
        let crashed = SqliteStore::open(&copy, ORIGIN, false).unwrap();
        holds(&crashed, step * 37);
        while crashed.maintain(Duration::from_secs(9)).unwrap() {}
        holds(&crashed, step * 41);
        images.push(image(&crashed));
        // A row at a time.
        let writer = store.writer.as_ref().unwrap();
        if writer.disposable(|tx| runs_merge::step(tx, 3, 1)).unwrap() == 0 {
            assert!(step > 12, "{step}");
            break;
        }
    }
    // Eight ciphertext runs two by two, and nine tag runs three by three.
    let tiers: Vec<_> = images[0].iter().map(|run| (run.0, run.1)).collect();
    assert_eq!(tiers, [(1, 3), (1, 0), (2, 2)]);
    assert!(images.iter().all(|i| *i == images[0]));
}
