//! The log against the recursive definition of RFC 6962, at every size where tiles begin and end.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::merkle::{verify_consistency, verify_inclusion};
use super::super::testing::{Tiles, leaves, naive_consistency, naive_path, naive_root};
use super::*;

fn build(leaves: &[Hash]) -> (Log, Tiles) {
    let (mut log, mut tiles) = (Log::new(), Tiles::default());
    for leaf in leaves {
        for (id, bytes) in log.append(*leaf) {
            assert_eq!(bytes.len(), 8192);
            assert!(tiles.0.insert(id, bytes).is_none(), "tile {id:?} given twice");
        }
    }
    (log, tiles)
}

/// Hashes of a tile, straight from its definition in tlog-tiles.
fn naive_tile(leaves: &[Hash], id: TileId, width: u16) -> Vec<u8> {
    let span = 256usize.pow(id.level.into());
    (0..usize::from(width))
        .map(|i| (id.index as usize * 256 + i) * span)
        .flat_map(|start| naive_root(&leaves[start..start + span]).0)
        .collect()
}

#[test]
fn roots_of_all_sizes_to_a_thousand() {
    let all = leaves(1000);
    let mut log = Log::new();
    assert_eq!(log.root(), naive_root(&[]));
    for (i, leaf) in all.iter().enumerate() {
        let full = log.append(*leaf);
        assert_eq!(full.len(), usize::from((i + 1) % 256 == 0));
        assert_eq!(log.root(), naive_root(&all[..=i]), "size {}", i + 1);
    }
    assert_eq!(log.size(), 1000);
}

#[test]
fn tiles_are_those_of_the_specification() {
    // 70,000 entries: the example of tlog-tiles, "Partial Tiles".
    let all = leaves(70_000);
    let (log, tiles) = build(&all);
    let widths = |level, index| log.tile_width(TileId { level, index });
    assert_eq!((widths(0, 272), widths(0, 273), widths(0, 274)), (256, 112, 0));
    assert_eq!((widths(1, 0), widths(1, 1), widths(2, 0), widths(3, 0)), (256, 17, 1, 0));
    assert_eq!((widths(63, 0), widths(0, u64::MAX)), (0, 0));
    assert_eq!(tiles.0.len(), 273 + 1);
    for (level, index, width) in
        [(0, 0, 256), (0, 3, 9), (0, 272, 256), (0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    {
        let id = TileId { level, index };
        assert_eq!(log.tile(&tiles, id, width).unwrap().unwrap(), naive_tile(&all, id, width), "{id:?}");
    }
    for (level, index, width) in
        [(0, 273, 113), (0, 274, 1), (1, 1, 18), (2, 0, 2), (3, 0, 1), (0, 0, 0), (0, 0, 257)]
    {
        assert_eq!(log.tile(&tiles, TileId { level, index }, width), Ok(None), "{level} {index} {width}");
    }
}

#[test]
fn proofs_in_a_log_of_three_levels() {
    let all = leaves(66_100);
    let (log, tiles) = build(&all);
    assert_eq!(log.root(), naive_root(&all));
    for size in [1usize, 255, 256, 257, 65_535, 65_536, 65_537, 65_792, 66_048, 66_100] {
        let root = naive_root(&all[..size]);
        for index in [0, 1, 255, 256, 4095, 65_535, 65_536, 66_047, size - 1] {
            if index >= size {
                continue;
            }
            let path = log.inclusion_path(&tiles, index as u64, size as u64).unwrap();
            assert_eq!(path, naive_path(index, &all[..size]), "{index} of {size}");
            verify_inclusion(all[index], index as u64, size as u64, &path, root).unwrap();
        }
        for old in [1usize, 2, 255, 256, 300, 65_536, 65_537, 66_000] {
            if old > size {
                continue;
            }
            let path = log.consistency_path(&tiles, old as u64, size as u64).unwrap();
            assert_eq!(path, naive_consistency(old, &all[..size], true), "{old} to {size}");
            let old_root = naive_root(&all[..old]);
            verify_consistency(old as u64, old_root, size as u64, root, &path).unwrap();
        }
    }
}

#[test]
fn restored_at_any_size_it_goes_on_the_same() {
    let all = leaves(66_000);
    let (mut log, mut tiles) = (Log::new(), Tiles::default());
    let mut restored: Vec<Log> = Vec::new();
    for (i, leaf) in all.iter().enumerate() {
        let size = i as u64;
        if [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_999].contains(&size) {
            let tail = &all[i - i % 256..i];
            let again = Log::restore(size, tail, &tiles).unwrap();
            assert_eq!(again, log, "size {size}");
            restored.push(again);
        }
        let full = log.append(*leaf);
        for other in &mut restored {
            assert_eq!(other.append(*leaf), full);
        }
        tiles.0.extend(full);
    }
    assert!(restored.iter().all(|l| *l == log) && restored.len() == 11);
    let tail = Log::restore(300, &all[256..299], &tiles);
    assert_eq!(tail, Err(LogError::Tail { size: 300, expected: 44, found: 43 }));
}

#[test]
fn missing_and_damaged_tiles_are_named() {
    let all = leaves(600);
    let (log, mut tiles) = build(&all);
    let id = TileId { level: 0, index: 1 };
    let good = tiles.0.insert(id, vec![0; 31]).unwrap();
    let damaged = LogError::Damaged { id, bytes: 31 };
    assert_eq!(log.inclusion_path(&tiles, 300, 600), Err(damaged.clone()));
    assert_eq!(log.tile(&tiles, id, 256), Err(damaged.clone()));
    assert_eq!(Log::restore(600, &all[512..], &tiles), Err(damaged));
    tiles.0.remove(&id);
    assert_eq!(log.inclusion_path(&tiles, 300, 600), Err(LogError::Missing(id)));
    assert!(LogError::Missing(id).to_string().contains("0/001"));
    tiles.0.insert(id, good);
    assert!(log.inclusion_path(&tiles, 300, 600).is_ok());

    struct Broken;
    impl TileReader for Broken {
        fn full_tile(&self, _: TileId) -> Result<Option<Vec<u8>>, String> {
            Err("disk on fire".into())
        }
    }
    assert_eq!(log.inclusion_path(&Broken, 0, 600), Err(LogError::Store("disk on fire".into())));
}

#[test]
fn questions_beyond_the_log_are_refused() {
    let all = leaves(10);
    let (log, tiles) = build(&all);
    let range = |size, asked| Err(LogError::Range { size, asked });
    assert_eq!(log.inclusion_path(&tiles, 0, 11), range(10, 11));
    assert_eq!(log.inclusion_path(&tiles, 5, 5), range(5, 6));
    assert_eq!(log.inclusion_path(&tiles, u64::MAX, 5), range(5, u64::MAX));
    assert_eq!(log.inclusion_path(&tiles, 0, 0), range(0, 1));
    assert_eq!(log.consistency_path(&tiles, 6, 5), range(5, 6));
    assert_eq!(log.consistency_path(&tiles, 3, 11), range(10, 11));
    assert_eq!(log.consistency_path(&tiles, 0, 10), Ok(vec![]));
    assert_eq!(log.consistency_path(&tiles, 10, 10), Ok(vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn proofs_between_any_sizes(total in 1usize..1100, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let all = leaves(total);
        let (log, tiles) = build(&all);
        let size = a.index(total) + 1;
        let at = b.index(size);
        let root = naive_root(&all[..size]);
        let path = log.inclusion_path(&tiles, at as u64, size as u64).unwrap();
        prop_assert_eq!(&path, &naive_path(at, &all[..size]));
        verify_inclusion(all[at], at as u64, size as u64, &path, root).unwrap();
        let old = at + 1;
        let path = log.consistency_path(&tiles, old as u64, size as u64).unwrap();
        prop_assert_eq!(&path, &naive_consistency(old, &all[..size], true));
        verify_consistency(old as u64, naive_root(&all[..old]), size as u64, root, &path).unwrap();
        prop_assert_eq!(Log::restore(total as u64, &all[total - total % 256..], &tiles).unwrap(), log);
    }
}
