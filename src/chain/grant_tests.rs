#![allow(clippy::unwrap_used)]
use super::super::authority::RecordRange;
use super::super::testing;
use super::*;
use crate::base::grant::{GrantBuilder, GrantHead, put_entry};

/// Three blocks: records 0 to 3 at height 1, 4 at height 2, 5 to 9 at height 4.
fn block(height: u64) -> Result<Option<(u64, u32)>, GrantError> {
    Ok(match height {
        1 => Some((0, 4)),
        2 => Some((4, 1)),
        4 => Some((5, 5)),
        _ => None,
    })
}

/// A body of batches (height, position, records).
fn body(batches: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut builder = GrantBuilder::default();
    for (height, position, records) in batches {
        let head = GrantHead {
            height: *height,
            position: *position,
            records: *records,
            sections: 1,
            enc: vec![1; 32],
            search: vec![2; 16],
        };
        let mut entries = Vec::new();
        (0..*records).for_each(|n| put_entry(&[[n as u8 + 1; 32]], &mut entries));
        builder.push(&head, &entries);
    }
    builder.finish()
}

fn statement(first: u64, last: u64, body: &[u8]) -> GrantStatement {
    let slots_hash = slots_hash(body).unwrap();
    let range = RecordRange { first, last };
    GrantStatement { range, slots_hash, ..testing::grant(Default::default()) }
}

#[test]
fn the_hash_survives_erasure_and_nothing_else() {
    let body = body(&[(1, 2, 2), (2, 0, 1)]);
    let s = statement(2, 4, &body);
    check(&s, &body).unwrap();
    let mut blanked = body.clone();
    let range = |first, last| RecordRange { first, last };
    assert_eq!(given(&s, &body).unwrap(), [range(2, 4)]);
    for (record, gone, left) in [
        (3, vec![range(3, 3)], vec![range(2, 2), range(4, 4)]),
        (2, vec![range(2, 3)], vec![range(4, 4)]),
        (4, vec![range(2, 4)], vec![]),
    ] {
        blank(&mut blanked, 2, |r| r == record).unwrap();
        check(&s, &blanked).unwrap();
        assert_eq!((emptied(&s, &blanked, &[]), given(&s, &blanked)), (Ok(gone), Ok(left)));
    }
    assert_ne!(blanked, body);
    for at in 0..body.len() {
        for original in [&body, &blanked] {
            let mut changed = original.clone();
            changed[at] ^= 1;
            assert!(check(&s, &changed).is_err(), "byte {at}");
        }
    }
    let longer = GrantStatement { range: RecordRange { first: 2, last: 5 }, ..s };
    assert_eq!(check(&longer, &body), Err(GrantError::Records { stated: 4, found: 3 }));
    let all = GrantStatement { range: RecordRange { first: 0, last: u64::MAX }, ..longer };
    assert_eq!(check(&all, &body), Err(GrantError::Records { stated: u64::MAX, found: 3 }));
}

#[test]
fn the_batches_are_the_blocks_of_the_range_without_a_gap() {
    let good =
        [(2, 8, vec![(1, 2, 2), (2, 0, 1), (4, 0, 4)]), (6, 7, vec![(4, 1, 2)]), (0, 3, vec![(1, 0, 4)])];
    for (first, last, batches) in good {
        let body = body(&batches);
        check_place(&statement(first, last, &body), &body, block).unwrap();
    }
    let bad = [
        // A block left out, one that is none, one too few, one too many, a shifted start.
        (2, 8, vec![(1, 2, 2), (4, 0, 5)], 4),
        (2, 4, vec![(1, 2, 2), (3, 0, 1)], 3),
        (2, 8, vec![(1, 2, 1), (2, 0, 1), (4, 0, 5)], 1),
        (2, 4, vec![(1, 2, 3)], 1),
        (2, 4, vec![(1, 1, 2), (2, 0, 1)], 1),
        (u64::MAX - 1, u64::MAX, vec![(1, 2, 2)], 1),
    ];
    for (first, last, batches, height) in bad {
        let body = body(&batches);
        let found = check_place(&statement(first, last, &body), &body, block);
        assert_eq!(found, Err(GrantError::Place { height }), "{first} {last} {batches:?}");
    }
}
