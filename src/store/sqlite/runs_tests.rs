//! Runs against a plain set, for uniform keys, for keys with many equal ones, and through merges.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::super::schema;
use super::*;

fn database() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::create(&mut conn, "example.org/log").unwrap();
    conn
}

fn records_of(conn: &Connection, kind: i64, key: u64) -> BTreeSet<u64> {
    let all = find(conn, kind, key, 0, usize::MAX).unwrap();
    assert!(all.is_sorted());
    // In pages, each beginning after the last of the one before.
    let (mut paged, mut from) = (Vec::new(), 0);
    loop {
        let page = find(conn, kind, key, from, 3).unwrap();
        assert!(page.len() <= 3);
        paged.extend_from_slice(&page);
        let Some(last) = page.last() else { break };
        from = last + 1;
    }
    assert_eq!(paged, all);
    all.into_iter().collect()
}

/// A fixed sequence that looks random (SplitMix64's step and mix).
fn mix(n: u64) -> u64 {
    let z = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 3)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}

fn merge_all(conn: &Connection, kind: i64) -> usize {
    let mut steps = 0;
    while let Some(merge) = prepare_merge(conn, kind).unwrap() {
        finish_merge(conn, &merge).unwrap();
        steps += 1;
    }
    steps
}

#[test]
fn finds_exactly_what_was_added_before_and_after_merging() {
    // Uniform keys; few distinct keys, each filling many chunks; keys crowded at one end.
    let shapes: [fn(u64) -> u64; 3] = [mix, |n| mix(n % 3), |n| n % 5000];
    for (kind, key_of) in (1..).zip(shapes) {
        let conn = database();
        let mut wanted = BTreeSet::new();
        let mut record = 0;
        for run in 0..40 {
            let mut entries: Vec<Entry> = (0..if run % 7 == 0 { 3000 } else { 1 + run * 10 })
                .map(|_| {
                    record += 1;
                    wanted.insert((key_of(record), record));
                    entry(key_of(record), record)
                })
                .collect();
            entries.sort_unstable();
            add(&conn, kind, &entries).unwrap();
        }
        add(&conn, kind + 1, &[entry(key_of(1), 77)]).unwrap();
        let check = || {
            let keys: BTreeSet<u64> = wanted.iter().map(|(k, _)| *k).collect();
            let absent = [0, 1, u64::MAX, mix(record + 9)];
            for key in keys.iter().step_by(keys.len() / 50 + 1).chain(&absent) {
                let of_key = wanted.range((*key, 0)..=(*key, u64::MAX)).map(|(_, r)| *r).collect();
                assert_eq!(records_of(&conn, kind, *key), of_key, "key {key:x}");
            }
        };
        check();
        assert_eq!(totals(&conn, kind).unwrap(), (40, record));
        assert_eq!(merge_all(&conn, kind), 2);
        assert_eq!(totals(&conn, kind).unwrap(), (10, record));
        check();
        assert_eq!(totals(&conn, kind + 1).unwrap(), (1, 1));
        clear(&conn, kind).unwrap();
        assert_eq!(totals(&conn, kind).unwrap(), (0, 0));
        let chunks: u64 = conn.query_row("SELECT count(*) FROM run_chunk", [], |r| r.get(0)).unwrap();
        assert_eq!(chunks, 1, "only the other kind's");
    }
}

#[test]
fn a_merge_is_never_larger_than_its_limit_and_merging_ends() {
    let conn = database();
    let size = MERGE_MAX_ENTRIES / 3;
    let runs = FANOUT + 2;
    for run in 0..runs {
        // One run beyond the limit of a merge, as a large append makes it.
        let n = if run == 1 { MERGE_MAX_ENTRIES + 1 } else { size };
        let mut entries: Vec<Entry> = (0..n as u64).map(|i| entry(mix(i), run as u64)).collect();
        entries.sort_unstable();
        add(&conn, 1, &entries).unwrap();
    }
    let mut steps = 0;
    while let Some(merge) = prepare_merge(&conn, 1).unwrap() {
        if let Merge::Replace { output, inputs, .. } = &merge {
            assert!(output.len() <= MERGE_MAX_ENTRIES && inputs.len() > 1);
        }
        finish_merge(&conn, &merge).unwrap();
        steps += 1;
        assert!(steps < 100);
    }
    assert!(steps > 1);
    assert!(list(&conn, 1).unwrap().len() < runs);
    assert_eq!(records_of(&conn, 1, mix(5)), (0..runs as u64).collect());
}

#[test]
fn find_gives_the_lowest_records_of_all_runs() {
    let conn = database();
    // The run of the later records comes first.
    add(&conn, 1, &(5000..9000).map(|r| entry(4, r)).collect::<Vec<_>>()).unwrap();
    add(&conn, 1, &(0..5000).map(|r| entry(4, r)).collect::<Vec<_>>()).unwrap();
    assert_eq!(find(&conn, 1, 4, 0, 3).unwrap(), [0, 1, 2]);
    assert_eq!(find(&conn, 1, 4, 4998, 4).unwrap(), [4998, 4999, 5000, 5001]);
    assert_eq!(find(&conn, 1, 4, 8999, 4).unwrap(), [8999]);
    assert_eq!(find(&conn, 1, 4, 9000, 4).unwrap(), [] as [u64; 0]);
    assert_eq!(find(&conn, 1, 4, 0, usize::MAX).unwrap().len(), 9000);
}
