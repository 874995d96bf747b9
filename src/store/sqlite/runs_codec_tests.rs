//! Chunks hold what was put in, give it back without what was erased, and tell damage.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::schema::PAGE_BYTES;
use super::*;

fn pack(layout: Layout, entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut packer = Packer::new(layout);
    let mut rows = Vec::new();
    for e in entries {
        if !packer.push(*e) {
            rows.extend(packer.take());
            assert!(packer.push(*e));
        }
    }
    rows.extend(packer.take());
    for (id, row) in (0..).zip(&mut rows) {
        assert_eq!(row.len(), ROW_BYTES);
        seal(row, id);
    }
    rows
}

fn unpack(layout: Layout, id: i64, row: &[u8]) -> Vec<Entry> {
    let chunk = Chunk::open(layout, id, row).unwrap();
    let (mut out, mut cell) = (Vec::new(), 0);
    while chunk.decode(cell, &mut out).unwrap() {
        cell += 1;
    }
    assert_eq!((chunk.first().unwrap(), chunk.last().unwrap()), (out.first().copied(), out.last().copied()));
    out
}

/// Keys of all kinds: few, crowded at either end, all over.
fn entries() -> impl Strategy<Value = (bool, u64, BTreeSet<Entry>)> {
    let key = prop_oneof![
        3 => 0u64..3,
        1 => 0u64..5000,
        1 => (u64::MAX - 300)..=u64::MAX,
        3 => any::<u64>(),
    ];
    let one = (key, prop_oneof![0u64..40, 0u64..70_000, 0u64..(1 << 30)]);
    (any::<bool>(), 0u64..(1 << 38), proptest::collection::vec(one, 0..6000)).prop_map(
        |(grouped, base, list)| {
            let mask = if grouped { u64::MAX } else { u64::from(u32::MAX) };
            (grouped, base, list.into_iter().map(|(k, r)| entry(k & mask, base + r)).collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out((grouped, base, set) in entries(), share in 0u64..100) {
        let end = set.iter().map(|e| record_of(*e) + 1).max().unwrap_or(base);
        let layout = Layout::new(grouped, base, end);
        let all: Vec<Entry> = set.iter().copied().collect();
        let rows = pack(layout, &all);
        let back: Vec<Entry> = (0..).zip(&rows).flat_map(|(id, row)| unpack(layout, id, row)).collect();
        prop_assert_eq!(&back, &all);
        // Erasing never needs room that is not there, whatever goes.
        let gone = |e: Entry| (record_of(e) ^ key_of(e) ^ (e >> 13) as u64).wrapping_mul(0x9e37_79b9) % 100 < share;
        let mut left = Vec::new();
        for (id, row) in (0..).zip(&rows) {
            let chunk = Chunk::open(layout, id, row).unwrap();
            let kept: Vec<Entry> = unpack(layout, id, row).into_iter().filter(|e| !gone(*e)).collect();
            match chunk.without(gone).unwrap() {
                Some((row, some)) => {
                    prop_assert_eq!(row.len(), ROW_BYTES);
                    prop_assert_eq!(some, !kept.is_empty());
                    prop_assert_eq!(&unpack(layout, id, &row), &kept);
                }
                None => prop_assert_eq!(&unpack(layout, id, row), &kept),
            }
            left.extend(kept);
        }
        let wanted: Vec<Entry> = all.into_iter().filter(|e| !gone(*e)).collect();
        prop_assert_eq!(left, wanted);
    }

    #[test]
    fn one_changed_bit_is_noticed((grouped, base, set) in entries(), at in 0usize..ROW_BYTES, bit in 0u32..8) {
        let layout = Layout::new(grouped, base, base + (1 << 30));
        let mut rows = pack(layout, &set.into_iter().collect::<Vec<_>>());
        if let Some(row) = rows.first_mut() {
            let broken = |id, row: &[u8]| {
                let chunk = Chunk::open(layout, id, row).unwrap();
                (0..CELLS).filter(|n| chunk.decode(*n, &mut Vec::new()).is_err()).collect::<Vec<_>>()
            };
            prop_assert_eq!(broken(1, row).len(), CELLS, "a row that belongs elsewhere");
            row[at] ^= 1 << bit;
            let cell = at / CELL_BYTES;
            prop_assert_eq!(broken(0, row), if cell < CELLS { vec![cell] } else { vec![] });
            row.copy_within(0..CELL_BYTES, CELL_BYTES);
            prop_assert!(broken(0, row).contains(&1), "a cell that belongs elsewhere");
        }
    }

    /// Bytes that nobody made, under a right checksum: an error or entries, never a panic.
    #[test]
    fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), ROW_BYTES), grouped: bool) {
        let mut row = bytes;
        seal(&mut row, 5);
        let layout = Layout::new(grouped, 7, 1 << 20);
        let chunk = Chunk::open(layout, 5, &row).unwrap();
        let mut out = Vec::new();
        for cell in 0..16 {
            let _ = chunk.decode(cell, &mut out);
        }
        let _ = (chunk.first(), chunk.last(), chunk.cell_of(entry(9, 9)), chunk.without(|e| e % 2 == 0));
    }
}

#[test]
fn a_search_begins_in_the_right_cell() {
    for grouped in [false, true] {
        let layout = Layout::new(grouped, 0, 60_000);
        let all: Vec<Entry> = (0..3000u64).map(|n| entry(n / 7 * 1000, n * 20)).collect();
        let rows = pack(layout, &all);
        // With some cells emptied.
        let chunk = Chunk::open(layout, 0, &rows[0]).unwrap();
        let kept = |e: &Entry| !(40_000..110_000).contains(&key_of(*e));
        let row = chunk.without(|e| !kept(&e)).unwrap().unwrap().0;
        let chunk = Chunk::open(layout, 0, &row).unwrap();
        let there = unpack(layout, 0, &row);
        for n in 0..3100u64 {
            for bound in [entry(n / 7 * 1000, n * 20), entry(n / 7 * 1000, n * 20 + 1)] {
                let mut found = Vec::new();
                let mut cell = chunk.cell_of(bound).unwrap();
                while chunk.decode(cell, &mut found).unwrap() {
                    cell += 1;
                }
                let first = found.into_iter().find(|e| *e >= bound);
                assert_eq!(first, there.iter().copied().find(|e| *e >= bound), "{bound:x}");
            }
        }
    }
}

/// The sizes that matter at 20 million records.
#[test]
fn entries_take_as_few_bytes_as_promised() {
    let mix = |n: u64| {
        let z = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 3)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
    };
    // A slice of a run over 16 million records: every 64th entry's neighbourhood is as dense as in the whole.
    let records = 1u64 << 24;
    let mut hashes: Vec<Entry> =
        (0..records).filter(|n| mix(*n) >> 58 == 5).map(|n| entry(mix(n) >> 32, n)).collect();
    hashes.sort_unstable();
    let rows = pack(Layout::new(false, 0, records), &hashes);
    let each = (rows.len() * PAGE_BYTES) as f64 / hashes.len() as f64;
    assert!(each < 5.0, "{each} bytes a ciphertext entry");
}
