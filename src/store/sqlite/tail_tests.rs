//! The tail against a plain set.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

fn leaves(first: u64, count: u64) -> Vec<u8> {
    (first..first + count).flat_map(|r| [(r % 7) as u8; LEAF_INPUTS_LEN]).collect()
}

#[test]
fn finds_what_was_pushed_until_it_is_cut_trimmed_or_erased() {
    let shape = IndexShape { segment_records: 500, segment_tags: 1 << 19, fanout: 2 };
    let (mut tail, mut wanted, mut next) = (Tail::at(1000, 0), BTreeSet::new(), 1000u64);
    for count in (1..).step_by(3).map(|n| n % 17) {
        let tags: Vec<BlockTag> = {
            let mut t: Vec<BlockTag> =
                (0..count).flat_map(|p| [((next + p) % 5, p as u32), (9000 + next + p, p as u32)]).collect();
            t.sort_unstable();
            t
        };
        wanted.extend(tags.iter().map(|(t, p)| (*t, next + u64::from(*p))));
        tail.push(&leaves(next, count), &tags, tags.len() as u64);
        next += count;
        assert!(tail.tagged.len() < 15 && tail.tagged.is_sorted_by(|a, b| a.len() >= 2 * b.len()));
        if tail.is_full(shape) {
            break;
        }
    }
    assert_eq!((tail.from, tail.to), (1000, next));
    let check = |tail: &Tail, wanted: &BTreeSet<(u64, u64)>| {
        for tag in (0..6).chain(9990..9000 + next + 5) {
            for records in [0..next, 1100..1300, next - 1..next + 9] {
                let of: Vec<u64> = wanted
                    .iter()
                    .filter(|(t, r)| *t == tag && records.contains(r))
                    .map(|(_, r)| *r)
                    .collect();
                assert_eq!(tail.find_tag(tag, records.clone(), usize::MAX), of);
                assert_eq!(tail.find_tag(tag, records, 2), of[..of.len().min(2)]);
            }
        }
    };
    check(&tail, &wanted);
    let same = |n: u64| (tail.from..next).filter(|r| r % 7 == n).collect::<Vec<_>>();
    assert_eq!(tail.find_ciphertext(ciphertext_key(&[3; 32]), 0..next), same(3));

    let mut erased = tail.clone();
    erased.erase(&[1050..1070, 1200..1201]);
    let gone = |r: &u64| (1050..1070).contains(r) || *r == 1200;
    check(&erased, &wanted.iter().copied().filter(|(_, r)| !gone(r)).collect());
    assert_eq!(erased.find_ciphertext(ciphertext_key(&[3; 32]), 0..next), same(3), "hashes stay");

    let mut trimmed = tail.clone();
    trimmed.trim(1234);
    check(&trimmed, &wanted.iter().copied().filter(|(_, r)| *r >= 1234).collect());
    assert_eq!(trimmed.records(), next - 1234);

    let cut = tail.cut();
    assert_eq!((cut.first, cut.end, tail.from, tail.to), (1000, next, next, next));
    assert_eq!((cut.tags.len(), cut.ciphertexts.len() as u64), (wanted.len(), next - 1000));
    assert!(cut.tags.is_sorted() && cut.ciphertexts.is_sorted());
    check(&tail, &BTreeSet::new());
}

#[test]
fn many_tags_fill_it_too() {
    let shape = IndexShape { segment_records: 1000, segment_tags: 100, fanout: 2 };
    let mut tail = Tail::at(0, 0);
    tail.push(&leaves(0, 1), &[], 99);
    assert!(!tail.is_full(shape), "erased tags count, so that runs are cut the same whenever that is done");
    tail.push(&leaves(1, 1), &[(5, 0)], 1);
    assert!(tail.is_full(shape));
}
