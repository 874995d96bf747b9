//! Runs against a plain set, for uniform keys, for keys with many equal ones, and at every step of merging.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::runs_merge::{drop_all, step};
use super::super::schema;
use super::*;

const FANOUT: usize = 4;
/// So that each step moves one row.
const LEAST: usize = 1;

fn database() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::create(&mut conn, "example.org/log").unwrap();
    conn
}

/// With hints of all databases of all tests: wrong ones must do no harm.
fn find(conn: &Connection, kind: i64, key: u64, from: u64, limit: usize, covered: u64) -> Result<Vec<u64>> {
    static HINTS: LazyLock<Hints> = LazyLock::new(Hints::default);
    super::find(conn, kind, &Wanted { key, from, limit }, covered, &HINTS)
}

fn records_of(conn: &Connection, kind: i64, key: u64, covered: u64) -> BTreeSet<u64> {
    let all = find(conn, kind, key, 0, usize::MAX, covered).unwrap();
    assert!(all.is_sorted_by(|a, b| a < b), "ascending and each once");
    // In pages, each beginning after the last of the one before.
    let (mut paged, mut from) = (Vec::new(), 0);
    let most = 1 + all.len() / 5;
    loop {
        let page = find(conn, kind, key, from, most, covered).unwrap();
        assert!(page.len() <= most);
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

/// Runs over neighbouring stretches of `each` records, with the keys that `keys` gives them.
fn fill(
    conn: &Connection,
    kind: i64,
    runs: u64,
    each: u64,
    keys: fn(u64) -> Vec<u64>,
) -> BTreeSet<(u64, u64)> {
    let mut wanted = BTreeSet::new();
    for run in 0..runs {
        let (first, end) = (run * each, (run + 1) * each);
        let mut entries: Vec<Entry> =
            (first..end).flat_map(|r| keys(r).into_iter().map(move |k| entry(k, r))).collect();
        entries.sort_unstable();
        entries.dedup();
        add(conn, kind, first, end, &entries).unwrap();
        wanted.extend(entries.iter().map(|e| (key_of(*e), record_of(*e))));
    }
    wanted
}

fn check(conn: &Connection, kind: i64, wanted: &BTreeSet<(u64, u64)>, covered: u64, keys: usize) {
    let all: BTreeSet<u64> = wanted.iter().map(|(k, _)| *k).collect();
    let absent = [0, 1, 77, u64::from(u32::MAX), u64::MAX, mix(covered + 9)];
    for key in all.iter().step_by(all.len() / keys + 1).chain(&absent) {
        let of_key = wanted.range((*key, 0)..=(*key, u64::MAX)).map(|(_, r)| *r).collect();
        assert_eq!(records_of(conn, kind, *key, covered), of_key, "key {key:x}");
    }
}

/// Everything about a kind's runs, chunk by chunk.
fn image(conn: &Connection, kind: i64) -> Vec<(u64, u64, i64, Vec<Entry>)> {
    let mut all = Vec::new();
    for run in list(conn, kind).unwrap() {
        let mut entries = Vec::new();
        for chunk in run.start..run.chunks {
            read_chunk(conn, &run, chunk, |c| (0..16).try_for_each(|n| c.decode(n, &mut entries).map(drop)))
                .unwrap();
        }
        all.push((run.first, run.end, run.tier, entries));
    }
    all
}

#[test]
fn finds_exactly_what_was_added_before_during_and_after_merging() {
    // Uniform keys; few distinct keys, each filling many chunks; keys crowded at one end; five of different kinds.
    type Shape = (i64, fn(u64) -> Vec<u64>);
    let shapes: [Shape; 5] = [
        (KIND_CIPHERTEXT, |n| vec![mix(n) >> 32]),
        (KIND_CIPHERTEXT, |n| vec![n % 3]),
        (KIND_TAG, |n| vec![mix(n % 3)]),
        (KIND_TAG, |n| vec![n % 5000]),
        (KIND_TAG, |n| vec![mix(n % 7), mix(n % 999), mix(n / 3 + 5000), mix(n), 12]),
    ];
    for (kind, keys) in shapes {
        let conn = database();
        let (runs, each) = (18, 1500);
        let wanted = fill(&conn, kind, runs, each, keys);
        let covered = runs * each;
        check(&conn, kind, &wanted, covered, 20);
        assert_eq!(totals(&conn, kind).unwrap().0, runs);
        let mut steps = 0;
        while step(&conn, FANOUT, LEAST).unwrap() > 0 {
            steps += 1;
            check(&conn, kind, &wanted, covered, if steps % 8 == 0 { 5 } else { 1 });
        }
        // 18 runs: one of sixteen, and two that wait for two more, or are one by now.
        assert_eq!(totals(&conn, kind).unwrap().0, if kind == KIND_TAG { 3 } else { 2 });
        check(&conn, kind, &wanted, covered, 50);
        let rows: i64 = conn.query_row("SELECT count(*) FROM run_chunk", [], |r| r.get(0)).unwrap();
        assert_eq!(totals(&conn, kind).unwrap().1, rows as u64, "no row is left over");
        assert!(steps > 5 && find(&conn, kind, 12, 0, 9, covered + 1).is_err(), "a run is missing");
        // The same runs in one go.
        let other = database();
        fill(&other, kind, runs, each, keys);
        while step(&other, FANOUT, usize::MAX).unwrap() > 0 {}
        assert_eq!(image(&conn, kind), image(&other, kind));
        drop_all(&conn).unwrap();
        while step(&conn, FANOUT, LEAST).unwrap() > 0 {}
        assert_eq!(totals(&conn, kind).unwrap(), (0, 0));
        let rows: i64 = conn.query_row("SELECT count(*) FROM run_chunk", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 0);
    }
}

/// Entries erased between the steps of a merge, wherever they are just then.
#[test]
fn what_is_erased_during_a_merge_stays_erased() {
    for seed in 0..3 {
        let conn = database();
        let keys: fn(u64) -> Vec<u64> = |n| vec![mix(n % 7), mix(n % 999), mix(n / 3 + 5000), mix(n), 12];
        let (runs, each) = (16, 900);
        let mut wanted = fill(&conn, KIND_TAG, runs, each, keys);
        let (covered, mut n) = (runs * each, seed * 1000);
        loop {
            n += 1;
            let first = mix(n) % covered;
            let records = first..(first + [1, 30, 1500][(n % 3) as usize]).min(covered);
            let mut gone: Vec<Entry> =
                wanted.iter().filter(|(_, r)| records.contains(r)).map(|(k, r)| entry(*k, *r)).collect();
            wanted.retain(|(_, r)| !records.contains(r));
            gone.push(entry(mix(n + 7), first));
            gone.sort_unstable();
            remove(&conn, KIND_TAG, &gone).unwrap();
            check(&conn, KIND_TAG, &wanted, covered, 2);
            if step(&conn, FANOUT, LEAST).unwrap() == 0 {
                break;
            }
        }
        check(&conn, KIND_TAG, &wanted, covered, 100);
        let rest: Vec<Entry> = wanted.iter().map(|(k, r)| entry(*k, *r)).collect();
        remove(&conn, KIND_TAG, &rest).unwrap();
        assert_eq!(
            totals(&conn, KIND_TAG).unwrap(),
            (1, 0),
            "rows without entries go, the run says what it covers"
        );
        check(&conn, KIND_TAG, &BTreeSet::new(), covered, 1);
    }
}

#[test]
fn a_step_is_as_large_as_it_was_asked_to_be() {
    let conn = database();
    fill(&conn, KIND_CIPHERTEXT, FANOUT as u64, 40_000, |n| vec![mix(n) >> 32]);
    let (mut total, mut steps) = (0, 0);
    loop {
        let moved = step(&conn, FANOUT, 20_000).unwrap();
        total += moved;
        if moved == 0 {
            break;
        }
        steps += 1;
        assert!(moved < 30_000, "{moved}");
    }
    // Two and two, and those two.
    assert_eq!((total, steps), (320_000, 16));
}

#[test]
fn damage_is_an_error_and_not_a_missing_answer() {
    for sql in [
        "UPDATE run_chunk SET data = zeroblob(length(data))",
        "UPDATE run_chunk SET data = substr(data, 1, 100)",
        "DELETE FROM run_chunk",
        "DELETE FROM run WHERE id = 2",
        "UPDATE run SET end_record = end_record + 1",
        "UPDATE run_chunk SET data = (SELECT data FROM run_chunk ORDER BY id LIMIT 1)",
        "UPDATE run_chunk SET data = CAST(substr(data, 1022, 15315) || substr(data, 1, 1021) || zeroblob(8) AS BLOB)",
    ] {
        let conn = database();
        let wanted = fill(&conn, KIND_TAG, 3, 4000, |n| vec![mix(n % 50), mix(n)]);
        conn.execute_batch(sql).unwrap();
        let ask = |key| find(&conn, KIND_TAG, key, 0, usize::MAX, 12_000);
        let failed = wanted.iter().step_by(600).filter(|(k, _)| ask(*k).is_err()).count();
        assert!(failed * 2 > wanted.len() / 600, "{sql}: {failed}");
        for (key, record) in wanted.iter().step_by(600) {
            assert!(ask(*key).is_ok_and(|f| f.contains(record)) || ask(*key).is_err());
        }
    }
}

#[test]
fn find_gives_the_lowest_records_of_all_runs() {
    let conn = database();
    add(&conn, 1, 0, 5000, &(0..5000).map(|r| entry(4, r)).collect::<Vec<_>>()).unwrap();
    add(&conn, 1, 5000, 9000, &(5000..9000).map(|r| entry(4, r)).collect::<Vec<_>>()).unwrap();
    let find = |from, limit| find(&conn, 1, 4, from, limit, 9000).unwrap();
    assert_eq!(find(0, 3), [0, 1, 2]);
    assert_eq!(find(4998, 4), [4998, 4999, 5000, 5001]);
    assert_eq!(find(8999, 4), [8999]);
    assert_eq!(find(9000, 4), [] as [u64; 0]);
    assert_eq!(find(0, 0), [] as [u64; 0]);
    assert_eq!(find(0, usize::MAX).len(), 9000);
}

#[test]
fn runs_with_impossible_bounds_are_damage() {
    for change in
        ["end_record = first_record", "start = chunks + 1", "start = -1", "first_record = end_record + 1"]
    {
        let conn = database();
        fill(&conn, KIND_TAG, 2, 1500, |n| vec![n % 7]);
        assert!(find(&conn, KIND_TAG, 3, 0, 10, 3000).is_ok());
        conn.execute(&format!("UPDATE run SET {change} WHERE id = (SELECT max(id) FROM run)"), []).unwrap();
        let error = find(&conn, KIND_TAG, 3, 0, 10, 3000).unwrap_err().to_string();
        assert!(error.contains("impossible bounds"), "{change}: {error}");
    }
}
