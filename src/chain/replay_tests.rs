//! One ledger's life, each way a statement or block can be out of place, and the snapshot.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::super::authority::{ErasureStatement, GrantStatement};
use super::super::key::SigningKey;
use super::super::note::Signature;
use super::super::testing::*;
use super::*;

const LAB: &str = "ledger.example/writers/lab";

fn signed(statement: Statement, names: &[&str]) -> Note {
    let mut note = Note::sign(&statement.to_text(), &key(names[0]));
    names[1..].iter().for_each(|n| note.add_signature(&key(n)));
    note
}

/// What [`State::check_statement`] says about it.
fn refusal(state: &State, note: &Note) -> ChainError {
    state.check_statement(note).unwrap_err()
}

#[test]
fn a_ledgers_life() {
    let l = Ledger::sample();
    let s = l.state();
    assert_eq!((s.height(), s.next_record(), s.roster_height()), (4, 8, 0));
    assert_eq!(s.block_hash(), l.blocks[3].hash());
    assert_eq!(s.last_committed(), Some(l.blocks[3].committed));
    assert_eq!(s.authority().next_sequence, 1);
    assert_eq!(s.writer(WRITER).next_sequence, 3);
    assert_eq!(s.writer(WRITER).previous, statement_hash(&l.blocks[3].statement.text));
    assert_eq!(s.writer(LAB), Head::default());
    assert_eq!(s.origin(), ORIGIN);
    assert_eq!(l.blocks[3].first_record, 5);
    // An auditor who replays the texts arrives at the same state.
    let mut replayed = State::new(ORIGIN);
    for block in &l.blocks {
        let statement = replayed.apply(&Block::parse(&block.to_string()).unwrap()).unwrap();
        assert_eq!(statement.to_text(), block.statement.text);
    }
    assert_eq!(replayed, *s);
}

#[test]
fn the_first_block_is_a_roster_of_its_own_admin() {
    let state = State::new(ORIGIN);
    let none = refusal(&state, &signed(heartbeat(Head::default()), &[WRITER]));
    assert_eq!(none, ChainError::NoRoster);
    let r = Statement::Roster(roster(Head::default()));
    let stranger = refusal(&state, &signed(r.clone(), &[WRITER]));
    assert_eq!(stranger, ChainError::NotByAdmin { signer: WRITER.into() });
    let late = Statement::Roster(roster(Head { next_sequence: 1, previous: Hash::ZERO }));
    let gap = ChainError::SequenceGap { chain: AUTHORITY.into(), expected: 0, found: 1 };
    assert_eq!(refusal(&state, &signed(late, &[ADMIN])), gap);
    let other = refusal(&State::new("other.example"), &signed(r.clone(), &[ADMIN]));
    assert_eq!(other, ChainError::WrongLedger { expected: "other.example".into(), found: ORIGIN.into() });
    assert!(state.check_statement(&signed(r, &[ADMIN])).is_ok());
}

#[test]
fn a_writers_sequence() {
    let l = Ledger::sample();
    let s = l.state();
    let head = s.writer(WRITER);
    let beat = |next_sequence, previous| signed(heartbeat(Head { next_sequence, previous }), &[WRITER]);
    assert!(s.check_statement(&beat(3, head.previous)).is_ok());
    let chain = || WRITER.to_owned();
    let gap = ChainError::SequenceGap { chain: chain(), expected: 3, found: 4 };
    assert_eq!(refusal(s, &beat(4, head.previous)), gap);
    assert_eq!(
        refusal(s, &beat(u64::MAX, head.previous)),
        ChainError::SequenceGap { chain: chain(), expected: 3, found: u64::MAX }
    );
    // The last one again, word for word; another one with its number; one from long ago.
    assert_eq!(refusal(s, &l.blocks[3].statement), ChainError::Duplicate { chain: chain(), sequence: 2 });
    assert_eq!(refusal(s, &beat(2, head.previous)), ChainError::Fork { chain: chain(), sequence: 2 });
    let old = ChainError::OldSequence { chain: chain(), expected: 3, found: 0 };
    assert_eq!(refusal(s, &l.blocks[1].statement), old);
    let wrong =
        ChainError::WrongPrevious { chain: chain(), sequence: 3, expected: head.previous, found: Hash::ZERO };
    assert_eq!(refusal(s, &beat(3, Hash::ZERO)), wrong);
}

#[test]
fn who_may_sign_a_writers_statement() {
    let l = Ledger::sample();
    let s = l.state();
    let good = signed(heartbeat(s.writer(WRITER)), &[WRITER]);
    let unknown = |signer: &str| ChainError::UnknownSigner { signer: signer.into(), role: "writer" };
    assert_eq!(refusal(s, &signed(heartbeat(s.writer(WRITER)), &["nobody"])), unknown("nobody"));
    assert_eq!(refusal(s, &signed(heartbeat(s.writer(WRITER)), &[ADMIN])), unknown(ADMIN));
    let two = signed(heartbeat(s.writer(WRITER)), &[WRITER, LAB]);
    assert_eq!(refusal(s, &two), ChainError::SignatureCount { found: 2 });
    let none = Note { signatures: vec![], ..good.clone() };
    assert_eq!(refusal(s, &none), ChainError::SignatureCount { found: 0 });
    let mut bad = good.clone();
    bad.signatures[0].bytes[3] ^= 1;
    assert_eq!(refusal(s, &bad), ChainError::BadSignature { signer: WRITER.into() });
    // The right name with another key.
    let other = SigningKey::from_seed(WRITER, &crate::base::secret::Secret::fill(|s| s[0] = 1)).unwrap();
    let other = Note::sign(&good.text, &other);
    assert_eq!(refusal(s, &other), ChainError::OtherKey { signer: WRITER.into() });
    // Another writer's number is not this writer's: the lab is at its start.
    let lab = refusal(s, &signed(heartbeat(s.writer(WRITER)), &[LAB]));
    assert_eq!(lab, ChainError::SequenceGap { chain: LAB.into(), expected: 0, found: 3 });
    let mut long = good;
    long.signatures = vec![Signature { name: WRITER.into(), key_id: 0, bytes: vec![0; MAX_STATEMENT_BYTES] }];
    assert!(matches!(refusal(s, &long), ChainError::Statement(TextError::TooLarge { .. })));
}

#[test]
fn rosters_need_an_admin_and_take_effect_at_once() {
    let mut l = Ledger::sample();
    let next = roster(l.state().authority());
    let by = |names: &[&str]| signed(Statement::Roster(next.clone()), names);
    assert_eq!(refusal(l.state(), &by(&[WRITER])), ChainError::NotByAdmin { signer: WRITER.into() });
    // Signature lines of strangers are not carried along.
    let stranger = refusal(l.state(), &by(&[ADMIN, "nobody"]));
    assert_eq!(stranger, ChainError::NotByAdmin { signer: "nobody".into() });
    assert_eq!(refusal(l.state(), &by(&[ADMIN, ADMIN])), ChainError::RepeatedSigner { signer: ADMIN.into() });
    // A new admin and one writer less; the old admin signs, and is none any more afterwards.
    let mut changed = next.clone();
    changed.admins = vec![key("new-admin").verifier()];
    changed.writers = vec![key(LAB).verifier()];
    assert_eq!(
        refusal(l.state(), &signed(Statement::Roster(changed.clone()), &["new-admin"])),
        ChainError::NotByAdmin { signer: "new-admin".into() }
    );
    let before = l.state().writer(WRITER);
    l.push(signed(Statement::Roster(changed), &[ADMIN]));
    assert_eq!((l.state().roster_height(), l.state().authority().next_sequence), (4, 2));
    let gone = refusal(l.state(), &signed(heartbeat(before), &[WRITER]));
    assert_eq!(gone, ChainError::UnknownSigner { signer: WRITER.into(), role: "writer" });
    let back = roster(l.state().authority());
    assert!(matches!(
        refusal(l.state(), &signed(Statement::Roster(back.clone()), &[ADMIN])),
        ChainError::NotByAdmin { .. }
    ));
    l.push(signed(Statement::Roster(back), &["new-admin"]));
    // Back again, the writer goes on where it stopped.
    assert_eq!(l.state().writer(WRITER), before);
    let restart = refusal(l.state(), &signed(heartbeat(Head::default()), &[WRITER]));
    assert!(matches!(restart, ChainError::OldSequence { expected: 3, found: 0, .. }));
    l.push(signed(heartbeat(before), &[WRITER]));
}

#[test]
fn grants_and_erasures() {
    let mut l = Ledger::sample();
    let head = l.state().authority();
    let g = GrantStatement { to_name: "patient-office".into(), to: recipient(2), ..grant(head) };
    let beyond = GrantStatement { range: RecordRange { first: 0, last: 8 }, ..g.clone() };
    let records = |last| ChainError::BeyondLedger { last, records: 8 };
    assert_eq!(refusal(l.state(), &signed(Statement::Grant(beyond), &[ADMIN])), records(8));
    let officer = refusal(l.state(), &signed(Statement::Grant(g.clone()), &["officer-a"]));
    assert_eq!(officer, ChainError::NotByAdmin { signer: "officer-a".into() });
    for (name, key) in
        [("new-auditor", recipient(3)), ("auditor", recipient(2)), ("patient-office", recipient(1))]
    {
        let stranger = GrantStatement { to_name: name.into(), to: key.clone(), ..g.clone() };
        let refused = ChainError::GranteeNotReader { name: name.into(), recipient: key };
        assert_eq!(refusal(l.state(), &signed(Statement::Grant(stranger), &[ADMIN])), refused);
    }
    l.push(signed(Statement::Grant(g), &[ADMIN]));

    let e = erasure(l.state().authority());
    let by = |e: &ErasureStatement, names: &[&str]| signed(Statement::Erasure(e.clone()), names);
    let few = ChainError::TooFewOfficers { needed: 2, found: 1 };
    assert_eq!(refusal(l.state(), &by(&e, &["officer-a"])), few);
    let admin = ChainError::UnknownSigner { signer: ADMIN.into(), role: "officer" };
    assert_eq!(refusal(l.state(), &by(&e, &["officer-a", ADMIN])), admin);
    let twice = ChainError::RepeatedSigner { signer: "officer-a".into() };
    assert_eq!(refusal(l.state(), &by(&e, &["officer-a", "officer-a"])), twice);
    let beyond = ErasureStatement { records: vec![RecordRange { first: 3, last: 9 }], ..e.clone() };
    assert_eq!(refusal(l.state(), &by(&beyond, &["officer-a", "officer-c"])), records(9));
    let stale = erasure(head);
    assert!(matches!(refusal(l.state(), &by(&stale, &["officer-a", "officer-c"])), ChainError::Fork { .. }));
    l.push(by(&e, &["officer-c", "officer-a"]));
    assert_eq!((l.state().authority().next_sequence, l.state().next_record()), (3, 8));

    // No officers named: nobody can erase, not even with "officers-required 0".
    let mut none = roster(l.state().authority());
    (none.officers_required, none.officers) = (0, vec![]);
    l.push(signed(Statement::Roster(none), &[ADMIN]));
    let e = erasure(l.state().authority());
    assert!(matches!(refusal(l.state(), &by(&e, &["officer-a"])), ChainError::UnknownSigner { .. }));
}

#[test]
fn what_is_held_cannot_be_erased() {
    let mut l = Ledger::sample();
    let by = |h: &HoldStatement, names: &[&str]| signed(Statement::Hold(h.clone()), names);
    let h = hold(l.state().authority());
    let stranger = ChainError::UnknownSigner { signer: WRITER.into(), role: "admin or officer" };
    assert_eq!(refusal(l.state(), &by(&h, &[WRITER])), stranger);
    assert_eq!(refusal(l.state(), &by(&h, &["officer-a", WRITER])), stranger);
    let release = |l: &Ledger| HoldStatement { action: HoldAction::Release, ..hold(l.state().authority()) };
    let name = h.hold.clone();
    let none = ChainError::NoSuchHold { name: name.clone() };
    assert_eq!(refusal(l.state(), &by(&release(&l), &[ADMIN])), none);
    let beyond = HoldAction::Place(vec![RecordRange { first: 2, last: 8 }]);
    let beyond = HoldStatement { action: beyond, ..h.clone() };
    assert_eq!(refusal(l.state(), &by(&beyond, &[ADMIN])), ChainError::BeyondLedger { last: 8, records: 8 });
    // One officer is enough, and so is one admin.
    assert!(l.state().check_statement(&by(&h, &[ADMIN])).is_ok());
    l.push(by(&h, &["officer-a"]));
    let held: Vec<_> = l.state().holds().map(|(n, h)| (n.to_owned(), h.block, h.records.len())).collect();
    assert_eq!(held, [(name.clone(), 4, 2)]);
    let twice = ChainError::HoldInForce { name: name.clone(), block: 4 };
    assert_eq!(refusal(l.state(), &by(&hold(l.state().authority()), &[ADMIN])), twice);
    // It stays in force over snapshots.
    assert_eq!(State::decode(&l.state().encode()).unwrap(), *l.state());

    let erase = |l: &Ledger, first, last| {
        let records = vec![RecordRange { first: 0, last: 0 }, RecordRange { first, last }];
        let e = ErasureStatement { records, ..erasure(l.state().authority()) };
        signed(Statement::Erasure(e), &["officer-a", "officer-b"])
    };
    for (first, last, record) in [(2, 7, 4), (6, 6, 6), (5, 5, 5)] {
        let held = ChainError::Held { record, hold: name.clone() };
        assert_eq!(refusal(l.state(), &erase(&l, first, last)), held);
    }
    // A ledger that takes such a block all the same is refused by whoever replays it.
    let block = l.state().next_block(erase(&l, 2, 7), time(99));
    let error = l.state().clone().apply(&block).unwrap_err();
    assert!(error.to_string().contains("under the hold matter_2026-17"), "{error}");
    l.push(erase(&l, 2, 3));
    l.push(by(&release(&l), &[ADMIN]));
    assert_eq!(l.state().holds().count(), 0);
    l.push(erase(&l, 2, 7));
    // The name is free again.
    l.push(by(&hold(l.state().authority()), &["officer-b", ADMIN]));
}

#[test]
fn holds_are_limited() {
    let mut l = Ledger::sample();
    for n in 0..MAX_HOLDS {
        let h = HoldStatement { hold: format!("h{n}"), ..hold(l.state().authority()) };
        l.push(signed(Statement::Hold(h), &[ADMIN]));
    }
    let one_more = signed(Statement::Hold(hold(l.state().authority())), &[ADMIN]);
    assert_eq!(refusal(l.state(), &one_more), ChainError::TooManyHolds);
}

#[test]
fn blocks_out_of_place_are_refused_and_change_nothing() {
    let l = Ledger::sample();
    let mut state = l.state().clone();
    let good = state.next_block(signed(heartbeat(state.writer(WRITER)), &[WRITER]), time(99));
    type Change = fn(&mut Block);
    let changes: [(Change, &str); 6] = [
        (|b| b.height += 1, "block 5 found where block 4"),
        (|b| b.previous = Hash::ZERO, "does not follow the block before it"),
        (|b| b.committed = time(0), "before its predecessor"),
        (|b| b.first_record = 9, "its first record is 9"),
        (|b| b.statement.signatures[0].bytes[0] ^= 1, "does not verify"),
        (|b| b.statement.text.push_str("more\n"), "unexpected lines"),
    ];
    for (change, message) in changes {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = state.apply(&wrong).unwrap_err();
        assert!(matches!(error, ChainError::AtBlock { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(state, *l.state());
    }
    state.apply(&good).unwrap();
    assert!(state.apply(&good).is_err());
    // Left out, doubled or swapped blocks of a whole ledger.
    for (from, to) in [(1, 2), (2, 1), (0, 3)] {
        let mut blocks = l.blocks.clone();
        blocks.swap(from, to);
        let mut replayed = State::new(ORIGIN);
        assert!(blocks.iter().any(|b| replayed.apply(b).is_err()));
    }
}

#[test]
fn what_was_checked_goes_where_it_was_checked_for() {
    let l = Ledger::sample();
    let mut state = l.state().clone();
    let next = |s: &State| signed(heartbeat(s.writer(WRITER)), &[WRITER]);
    let (note, now) = (next(&state), l.blocks[3].committed);
    let checked = state.check(&note).unwrap();
    assert_eq!(checked.statement().to_text(), note.text);
    // The same block and the same state as by hand.
    let mut by_hand = state.clone();
    let block = by_hand.next_block(note, now);
    by_hand.apply(&block).unwrap();
    let (made, text, _) = state.append(checked.clone(), now).unwrap();
    assert_eq!((&made, text), (&block, block.to_string()));
    assert_eq!(state, by_hand);
    // Neither a second time nor after another block: what it was checked against is no more.
    let again = ChainError::PreviousBlock { expected: state.block_hash(), found: l.state().block_hash() };
    assert_eq!(state.append(checked, now).unwrap_err(), again);
    let early = state.check(&next(&state)).unwrap();
    let other = state.next_block(next(&state), now);
    state.apply(&other).unwrap();
    assert!(matches!(state.append(early, now), Err(ChainError::PreviousBlock { .. })));
    // One that cannot be checked cannot be made.
    assert!(state.check(&signed(heartbeat(state.writer(WRITER)), &[ADMIN])).is_err());
}

#[test]
fn what_was_checked_for_one_ledger_does_not_begin_another() {
    let ours = State::new(ORIGIN);
    let mut other = State::new("other.example");
    assert_eq!((ours.height(), ours.block_hash()), (other.height(), other.block_hash()));
    let first = ours.check(&signed(Statement::Roster(roster(Head::default())), &[ADMIN])).unwrap();
    let wrong = ChainError::WrongLedger { expected: "other.example".into(), found: ORIGIN.into() };
    assert_eq!(other.append(first.clone(), time(0)).unwrap_err(), wrong);
    assert_eq!(other, State::new("other.example"), "an error leaves the state as it was");
    assert!(ours.clone().append(first, time(0)).is_ok());
}

#[test]
fn a_clock_that_goes_back_does_not_stop_the_ledger() {
    let l = Ledger::sample();
    let note = signed(heartbeat(l.state().writer(WRITER)), &[WRITER]);
    let block = l.state().next_block(note, time(0));
    assert_eq!(Some(block.committed), l.state().last_committed());
    assert!(l.state().clone().apply(&block).is_ok());
}

#[test]
fn numbers_that_are_used_up_refuse_the_block() {
    let l = Ledger::sample();
    let mut state = l.state().clone();
    state.next_record = u64::MAX;
    let head = state.writer(WRITER);
    let body = body(WRITER, head.next_sequence, &[record(0, 40, 0)]);
    let statement = Statement::Records(records_statement(head, &body));
    let block = state.next_block(signed(statement, &[WRITER]), time(99));
    let before = state.clone();
    let error = state.apply(&block).unwrap_err();
    assert!(matches!(error, ChainError::AtBlock { source, .. } if *source == ChainError::Exhausted));
    assert_eq!(state, before);
}

#[test]
fn snapshots_at_every_height() {
    let mut l = Ledger::sample();
    l.push(signed(Statement::Hold(hold(l.state().authority())), &[ADMIN]));
    let mut state = State::new(ORIGIN);
    assert_eq!(State::decode(&state.encode()).unwrap(), state);
    for block in &l.blocks {
        state.apply(block).unwrap();
        assert_eq!(State::decode(&state.encode()).unwrap(), state);
    }
    let bytes = state.encode();
    for cut in 0..bytes.len() {
        assert!(State::decode(&bytes[..cut]).is_err() || cut == 3 + ORIGIN.len(), "{cut}");
    }
    for i in 0..bytes.len() {
        for x in [1, 0x40, 0xff] {
            let mut changed = bytes.clone();
            changed[i] ^= x;
            if let Ok(other) = State::decode(&changed) {
                assert_eq!(other.encode(), changed);
                assert_ne!(other, state);
            }
        }
    }
    assert!(State::decode(&[&bytes[..], &[0]].concat()).is_err());
}

proptest! {
    #[test]
    fn no_snapshot_bytes_panic(noise in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let bytes = Ledger::sample().state().encode();
        let from = at.index(bytes.len());
        let _ = State::decode(&[&bytes[..from], &noise].concat());
        let _ = State::decode(&noise);
    }
}
