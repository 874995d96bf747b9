//! Who is let in, and who has to leave.
#![allow(clippy::unwrap_used)]

use super::*;

fn later(guest: &Guest, millis: u64) {
    guest.since.fetch_sub(millis.min(guest.since.load(Ordering::Relaxed)), Ordering::Relaxed);
}

/// Doors that have been open for a minute.
fn doors(most: usize) -> Arc<Doors> {
    let mut doors = Doors::new(most);
    Arc::get_mut(&mut doors).unwrap().opened -= Duration::from_secs(60);
    doors
}

fn is_away(guest: &Guest) -> bool {
    guest.sent_away.load(Ordering::Relaxed)
}

#[test]
fn the_longest_idle_leaves_and_whoever_is_worked_for_stays() {
    let doors = doors(3);
    let guests: Vec<_> = (0..3).map(|_| doors.admit().unwrap()).collect();
    guests[0].asks(true);
    guests[0].has_asked();
    later(&guests[0], 50_000);
    later(&guests[1], 10_000);
    later(&guests[2], 20_000);
    let newcomer = doors.admit().unwrap();
    assert!(!newcomer.spare && is_away(&guests[2]) && !is_away(&guests[1]) && !is_away(&guests[0]));
    // Its place is another's only once: the next one takes the next.
    assert!(!doors.admit().unwrap().spare && is_away(&guests[1]) && !is_away(&newcomer));
    doors.leave(&guests[1]);
    doors.leave(&guests[2]);
    assert_eq!((doors.open(), doors.closing.load(Ordering::Relaxed)), (3, 0));
}

#[test]
fn slow_senders_and_takers_leave_after_the_idle_and_the_slowest_first() {
    let doors = doors(3);
    let guests: Vec<_> = (0..3).map(|_| doors.admit().unwrap()).collect();
    guests[0].asks(true);
    later(&guests[0], 30_000);
    guests[1].asks(false);
    guests[1].is_answered();
    guests[1].stuck.store(true, Ordering::Relaxed);
    later(&guests[1], 40_000);
    later(&guests[2], 1_000);
    for gone in [2, 1, 0] {
        assert!(!is_away(&guests[gone]));
        assert!(!doors.admit().unwrap().spare);
        assert!(is_away(&guests[gone]), "{gone}");
        doors.leave(&guests[gone]);
    }
}

#[test]
fn newcomers_get_spare_places_while_all_are_worked_for() {
    let doors = doors(2);
    let guests: Vec<_> = (0..2).map(|_| doors.admit().unwrap()).collect();
    guests.iter().for_each(|g| g.asks(false));
    guests.iter().for_each(|g| later(g, 50_000));
    let spare: Vec<_> = (0..SPARE_CONNECTIONS).map(|_| doors.admit().unwrap()).collect();
    assert!(spare.iter().all(|g| g.spare));
    assert!(doors.admit().is_none(), "all of them have only just come");
    later(&spare[7], 5_000);
    assert!(doors.admit().unwrap().spare && is_away(&spare[7]));
    doors.leave(&guests[0]);
    assert!(!doors.admit().unwrap().spare);
    assert_eq!(doors.open(), 2 + SPARE_CONNECTIONS + 1);
    // Spare places that are left are spare places again, and none of the others'.
    spare.iter().for_each(|g| doors.leave(g));
    assert!((1..SPARE_CONNECTIONS).all(|_| doors.admit().is_some_and(|g| g.spare)));
    assert!(doors.admit().is_none());
}

#[test]
fn room_is_made_by_the_slowest_that_holds_some() {
    let doors = doors(10);
    let guests: Vec<_> = (0..3).map(|_| doors.admit().unwrap()).collect();
    for (guest, age) in guests.iter().zip([50_000, 40_000, 1_000]) {
        guest.asks(true);
        guest.holds(Holds::StrangersBody);
        later(guest, age);
    }
    guests[0].holds(Holds::Nothing);
    doors.hurry(Holds::PublicAnswer);
    assert!(guests.iter().all(|g| !is_away(g)));
    doors.hurry(Holds::StrangersBody);
    assert!(is_away(&guests[1]));
    doors.hurry(Holds::StrangersBody);
    assert!(!is_away(&guests[0]) && !is_away(&guests[2]), "the one has nothing, the other has come just now");
    // What it held was its last request's.
    guests[2].asks(true);
    later(&guests[2], 50_000);
    doors.hurry(Holds::StrangersBody);
    assert!(!is_away(&guests[2]));
}

#[test]
fn a_process_with_few_files_is_told() {
    // The limit of the test's own process is left as it is.
    let allowed = connections_allowed().unwrap();
    assert!((MIN_CONNECTIONS..=MAX_CONNECTIONS).contains(&allowed));
}
