#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::key::SigningKey;
use super::super::replay::State;
use super::super::roster::Roster;
use super::super::testing::*;
use super::*;
use crate::base::hash::Hash;
use crate::base::secret::Secret;

/// Another key of the ledger.
fn ledger_key(seed: &str) -> SigningKey {
    let seed = Secret::from_slice(&Hash::of(&[seed.as_bytes()]).0).unwrap();
    SigningKey::from_seed(ORIGIN, &seed).unwrap()
}

/// The next roster, with this ledger key, signed by these.
fn change(l: &Ledger, to: &SigningKey, signers: &[&SigningKey]) -> Note {
    let next = Roster { ledger_key: to.verifier(), ..roster(l.state().authority()) };
    let mut note = Note::sign(&Statement::Roster(next).to_text(), signers[0]);
    signers[1..].iter().for_each(|k| note.add_signature(k));
    note
}

#[test]
fn a_roster_changes_the_ledgers_key_from_its_block_on() {
    let (admin, first, second, third) = (key(ADMIN), key(ORIGIN), ledger_key("second"), ledger_key("third"));
    let mut l = Ledger::sample();
    l.push(change(&l, &second, &[&admin, &first]));
    l.push_batch(2);
    // A roster that keeps the key keeps the list.
    l.push(change(&l, &second, &[&admin]));
    l.push(change(&l, &third, &[&admin]));
    let keys = l.state().ledger_keys();
    assert_eq!(keys.current(), Some(&third.verifier()));
    let told: Vec<_> = keys.all().iter().map(|k| (k.since, k.key.clone(), k.handed_over)).collect();
    let expected = [(0, first.verifier(), false), (4, second.verifier(), true), (7, third.verifier(), false)];
    assert_eq!(told, expected);
    for (size, key) in [(1, &first), (4, &first), (5, &second), (7, &second), (8, &third), (99, &third)] {
        assert_eq!(keys.at(size), Some(&key.verifier()), "{size}");
    }
    assert_eq!(keys.at(0), None);
    // The state keeps them over a restart.
    assert_eq!(State::decode(&l.state().encode()).unwrap(), *l.state());
    // Who trusts which key may trust the present one.
    assert_eq!(keys.follow_from(&third.verifier(), false), Ok(()));
    for (given, block) in [(&first, 7), (&second, 7)] {
        assert_eq!(keys.follow_from(&given.verifier(), false), Err(KeyChangeError::NotHandedOver { block }));
        assert_eq!(keys.follow_from(&given.verifier(), true), Ok(()));
    }
    assert_eq!(keys.follow_from(&ledger_key("x").verifier(), true), Err(KeyChangeError::Unknown));
    assert_eq!((keys.replaced(&first.verifier()), keys.replaced(&third.verifier())), (Some(4), None));
}

#[test]
fn nothing_but_an_admins_roster_changes_it() {
    let (admin, first, second) = (key(ADMIN), key(ORIGIN), ledger_key("second"));
    let mut l = Ledger::sample();
    let refusal = |l: &Ledger, note: &Note| l.state().check_statement(note).unwrap_err();
    let by = |signer: &str| ChainError::NotByAdmin { signer: signer.into() };
    // The thief of the ledger's key alone; the new key alone; the new key beside an admin; a writer beside an admin.
    assert_eq!(refusal(&l, &change(&l, &second, &[&first])), by(ORIGIN));
    for signers in [&[&second][..], &[&admin, &second], &[&admin, &key(WRITER)]] {
        let refused = refusal(&l, &change(&l, &second, signers));
        assert!(matches!(refused, ChainError::NotByAdmin { .. }), "{refused}");
    }
    // Twice, or not over these bytes.
    let repeated = ChainError::RepeatedSigner { signer: ORIGIN.into() };
    assert_eq!(refusal(&l, &change(&l, &second, &[&admin, &first, &first])), repeated);
    let mut note = change(&l, &second, &[&admin, &first]);
    note.signatures[1].bytes[10] ^= 1;
    assert_eq!(refusal(&l, &note), ChainError::BadSignature { signer: ORIGIN.into() });
    // A roster that changes nothing has no line of the ledger's key.
    assert_eq!(refusal(&l, &change(&l, &first, &[&admin, &first])), by(ORIGIN));
    // Whoever lost the old key can change it all the same; the order of lines is free.
    assert!(l.state().check_statement(&change(&l, &second, &[&admin])).is_ok());
    assert!(l.state().check_statement(&change(&l, &second, &[&first, &admin])).is_ok());
    l.push(change(&l, &second, &[&first, &admin]));
    // A key that was given up never comes back.
    let refused = refusal(&l, &change(&l, &first, &[&admin, &second]));
    assert_eq!(refused, ChainError::LedgerKey { given_up: first.verifier().to_string() });
}

#[test]
fn an_admin_with_the_ledgers_key_signs_for_both() {
    let (first, second) = (key(ORIGIN), ledger_key("second"));
    let state = State::new(ORIGIN);
    let mut l = Ledger { state: Some(state), ..Ledger::default() };
    let admins = vec![first.verifier()];
    let start = Roster { admins: admins.clone(), ..roster(l.state().authority()) };
    l.push(Note::sign(&Statement::Roster(start).to_text(), &first));
    let next = Roster { admins, ledger_key: second.verifier(), ..roster(l.state().authority()) };
    l.push(Note::sign(&Statement::Roster(next).to_text(), &first));
    assert!(l.state().ledger_keys().all()[1].handed_over);
}

#[test]
fn a_ledger_has_a_limited_number_of_keys() {
    let (admin, mut l) = (key(ADMIN), Ledger::sample());
    for n in 1..MAX_LEDGER_KEYS {
        l.push(change(&l, &ledger_key(&n.to_string()), &[&admin]));
    }
    let refused = l.state().check_statement(&change(&l, &ledger_key("more"), &[&admin]));
    assert_eq!(refused.unwrap_err(), ChainError::TooManyLedgerKeys);
    assert_eq!(State::decode(&l.state().encode()).unwrap(), *l.state());
}

#[test]
fn who_holds_an_old_key_follows_signed_rosters_and_no_others() {
    let (admin, first, second, third) = (key(ADMIN), key(ORIGIN), ledger_key("second"), ledger_key("third"));
    let mut l = Ledger::sample();
    let to_second = change(&l, &second, &[&admin, &first]);
    l.push(to_second.clone());
    let to_third = change(&l, &third, &[&admin, &second]);
    let reached = |given: &SigningKey, notes: &[&Note]| follow(&given.verifier(), notes.iter().copied());
    for given in [&first, &second, &third] {
        assert_eq!(reached(given, &[&to_second, &to_third]), third.verifier());
    }
    assert_eq!(reached(&first, &[&to_second]), second.verifier());
    assert_eq!(reached(&second, &[&to_second]), second.verifier());
    assert_eq!(reached(&first, &[&to_third]), first.verifier(), "a step is missing");
    // The thief of the first key: once somebody is past it, it leads nowhere.
    let thief = ledger_key("thief");
    let stolen = change(&l, &thief, &[&admin, &first]);
    assert_eq!(reached(&first, &[&to_second, &stolen]), second.verifier());
    assert_eq!(reached(&second, &[&stolen]), second.verifier());
    // Not signed by the key before; altered; another ledger's; no roster.
    let by_admin = change(&l, &thief, &[&admin]);
    let mut altered = change(&l, &thief, &[&admin, &second]);
    altered.text = altered.text.replace("required 2", "required 3");
    let other = Roster { ledger_key: thief.verifier(), ..roster(l.state().authority()) };
    let other = Statement::Roster(other).to_text().replace(&format!("ledger {ORIGIN}\n"), "ledger other.example\n");
    let other = Note::sign(&other, &second);
    let heartbeat = Note::sign(&heartbeat(l.state().authority()).to_text(), &second);
    assert_eq!(reached(&second, &[&by_admin, &altered, &other, &heartbeat]), second.verifier());
}
