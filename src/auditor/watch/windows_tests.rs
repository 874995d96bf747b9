#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn digest(n: u32) -> Digest {
    let mut d = [0; 16];
    d[..4].copy_from_slice(&n.to_be_bytes());
    d
}

#[test]
fn a_key_that_never_stops_takes_little_memory() {
    let mut moments = Moments::default();
    for i in 0..100_000 {
        moments.add(i * 10, i as u64, 5, 300_000);
        moments.forget(i * 10 - 900_000);
    }
    // 90,000 events lie within reach.
    assert!(moments.entries() < 100, "{}", moments.entries());
}

#[test]
fn keys_and_entries_stay_within_their_limits() {
    let limits = Limits { keys: 64, entries: 200, entries_of_a_key: 32 };
    let mut keyed: Keyed<Counts> = Keyed::new(limits);
    let mut forgotten = 0;
    for i in 0..10_000i64 {
        let key = digest((i * 7 % 300) as u32);
        let (load, n) = keyed.change(key, i64::MIN, |c| c.add(i * 1000, i as u64, 10, 1000));
        assert_eq!(load.events, 1);
        forgotten += n;
        let (keys, entries) = keyed.size();
        assert!(keys <= 64 && entries <= 200, "{keys} {entries}");
    }
    assert!(forgotten > 0);
    // One key alone.
    let mut keyed: Keyed<Counts> = Keyed::new(limits);
    for i in 0..1000i64 {
        keyed.change(digest(1), i64::MIN, |c| c.add(i * 1000, i as u64, 10, 1000));
        assert!(keyed.size().1 <= 32);
    }
    // What no longer matters makes room without anything being lost.
    let mut keyed: Keyed<Counts> = Keyed::new(limits);
    for i in 0..10_000i64 {
        let (_, n) = keyed.change(digest(i as u32), (i - 20) * 1000, |c| c.add(i * 1000, i as u64, 10, 1000));
        assert_eq!(n, 0);
    }
}

#[test]
fn an_id_is_new_once() {
    let mut seen = Seen::default();
    assert!(seen.is_new(digest(1)) && !seen.is_new(digest(1)) && seen.is_new(digest(2)));
    for i in 0..MAX_ALERTS_SEEN as u32 {
        seen.is_new(digest(i + 10));
    }
    assert!(seen.is_new(digest(1)), "the oldest are forgotten");
    assert!(seen.known.len() <= MAX_ALERTS_SEEN && seen.order.len() <= MAX_ALERTS_SEEN);
}

proptest! {
    /// Thinning changes nothing about which windows are full.
    #[test]
    fn moments_are_as_a_list_of_all_events_would_be(
        times in prop::collection::vec(0i64..400, 1..300),
        n in 1u64..8,
        window in 1i64..60,
    ) {
        let mut moments = Moments::default();
        let mut found = HashSet::new();
        for (i, t) in times.iter().enumerate() {
            for hit in moments.add(*t, i as u64, n, window) {
                found.insert(hit.time);
                prop_assert!(hit.count >= n);
            }
        }
        let full = |t: i64| times.iter().filter(|u| **u > t - window && **u <= t).count() as u64 >= n;
        let all: HashSet<i64> = times.iter().copied().filter(|t| full(*t)).collect();
        prop_assert_eq!(found, all);
    }

    /// Counts in any order are the counts of the set.
    #[test]
    fn counts_are_those_of_the_windows(times in prop::collection::vec(0i64..5000, 1..200)) {
        let mut counts = Counts::default();
        let (history, length) = (5, 100);
        for (i, t) in times.iter().enumerate() {
            let load = counts.add(*t, i as u64, history, length);
            let of = |w: i64| times[..=i].iter().filter(|u| u.div_euclid(length) == w).count() as u64;
            let w = t / length;
            let before: Vec<u64> = (w - history..w).map(of).filter(|n| *n > 0).collect();
            prop_assert_eq!((load.events, load.active, load.before), (of(w), before.len() as u64, before.iter().sum()));
        }
    }
}
