#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::key::SigningKey;
use super::super::replay::State;
use super::super::roster::Roster;
use super::super::testing::*;
use super::*;
use crate::base::hash::Hash;
use crate::base::secret::Secret;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use serde::{Deserialize, Serialize};

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
    let other =
        Statement::Roster(other).to_text().replace(&format!("ledger {ORIGIN}\n"), "ledger other.example\n");
    let other = Note::sign(&other, &second);
    let heartbeat = Note::sign(&heartbeat(l.state().authority()).to_text(), &second);
    assert_eq!(reached(&second, &[&by_admin, &altered, &other, &heartbeat]), second.verifier());
}

/// What another implementation of `docs/FORMAT.md` §7 must find in one chain: tests/vectors/chain/key_change.json.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Vectors {
    about: String,
    blocks: Vec<String>,
    keys: Vec<VectorKey>,
    checkpoints: Vec<VectorCheckpoint>,
    follow: Vec<VectorFollow>,
    refused: Vec<VectorRoster>,
    accepted: Vec<VectorRoster>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct VectorKey {
    since: u64,
    key: String,
    handed_over: bool,
}

/// A checkpoint, and whether a verifier that has all blocks takes it.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct VectorCheckpoint {
    text: String,
    good: bool,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct VectorFollow {
    given: String,
    rosters: Vec<String>,
    reaches: String,
}

/// A roster that comes after the last block, or may not.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct VectorRoster {
    why: String,
    note: String,
}

fn vectors() -> Vectors {
    let (admin, first, second, third) = (key(ADMIN), key(ORIGIN), ledger_key("second"), ledger_key("third"));
    let mut l = Ledger::sample();
    let mut checkpoints = Vec::new();
    let mut show = |l: &Ledger, by: &SigningKey, good: bool| {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: l.log.size(), root: l.log.root() };
        checkpoints.push(VectorCheckpoint { text: checkpoint.sign(by).note().to_string(), good });
    };
    show(&l, &first, true);
    show(&l, &second, false);
    l.push(change(&l, &second, &[&admin, &first]));
    show(&l, &second, true);
    show(&l, &first, false);
    l.push_batch(2);
    l.push(change(&l, &third, &[&admin]));
    show(&l, &third, true);
    show(&l, &second, false);
    show(&l, &first, false);
    let next = ledger_key("next");
    let roster = |why: &str, note: Note| VectorRoster { why: why.into(), note: note.to_string() };
    let notes: Vec<Note> = [4, 6].iter().map(|at| l.blocks[*at].statement.clone()).collect();
    let follow = |given: &SigningKey, rosters: &[&Note], reaches: &SigningKey| VectorFollow {
        given: given.verifier().to_string(),
        rosters: rosters.iter().map(|n| n.to_string()).collect(),
        reaches: reaches.verifier().to_string(),
    };
    let twice = change(&l, &next, &[&admin, &third, &third]);
    let mut altered = change(&l, &next, &[&admin, &third]);
    altered.signatures[1].bytes[7] ^= 1;
    Vectors {
        about: "A chain whose ledger key changes twice (docs/FORMAT.md §7), first handed over by the key before, then by an admin alone".into(),
        blocks: l.blocks.iter().map(|b| b.to_string()).collect(),
        keys: l.state().ledger_keys().all().iter().map(|k| VectorKey {
            since: k.since,
            key: k.key.to_string(),
            handed_over: k.handed_over,
        }).collect(),
        checkpoints,
        follow: vec![
            follow(&first, &[&notes[0], &notes[1]], &second),
            follow(&second, &[&notes[0], &notes[1]], &second),
            follow(&first, &[&notes[1]], &first),
            follow(&third, &[&notes[0]], &third),
        ],
        refused: vec![
            roster("signed by the ledger's key alone", change(&l, &next, &[&third])),
            roster("signed by the new key beside an admin", change(&l, &next, &[&admin, &next])),
            roster("signed by a key that was given up beside an admin", change(&l, &next, &[&admin, &second])),
            roster("the ledger's key signs twice", twice),
            roster("the ledger's key signed something else", altered),
            roster("a key that was given up comes back", change(&l, &first, &[&admin, &third])),
            roster("the ledger's key signs a roster that keeps it", change(&l, &third, &[&admin, &third])),
        ],
        accepted: vec![
            roster("signed by an admin and the key before", change(&l, &next, &[&admin, &third])),
            roster("in the other order", change(&l, &next, &[&third, &admin])),
            roster("signed by an admin alone", change(&l, &next, &[&admin])),
        ],
    }
}

/// `SEALTRAIL_WRITE_VECTORS=1 cargo test --lib the_vectors_of_a_key_change` writes the file anew.
#[test]
fn the_vectors_of_a_key_change() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/chain/key_change.json");
    let made = vectors();
    if std::env::var_os("SEALTRAIL_WRITE_VECTORS").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let v: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(v, made);
    // And what they say is what this program does.
    let mut state = State::new(ORIGIN);
    for block in &v.blocks {
        state.apply(&crate::chain::block::Block::parse(block).unwrap()).unwrap();
    }
    for c in &v.checkpoints {
        let size = SignedCheckpoint::unverified(&c.text).unwrap().size;
        let signer = state.ledger_keys().at(size).unwrap();
        assert_eq!(SignedCheckpoint::parse(&c.text, signer).is_ok(), c.good);
    }
    for f in &v.follow {
        let notes: Vec<Note> = f.rosters.iter().map(|n| Note::parse(n).unwrap()).collect();
        assert_eq!(follow(&f.given.parse().unwrap(), &notes).to_string(), f.reaches);
    }
    for r in &v.refused {
        assert!(state.check_statement(&Note::parse(&r.note).unwrap()).is_err(), "{}", r.why);
    }
    for r in &v.accepted {
        assert!(state.check_statement(&Note::parse(&r.note).unwrap()).is_ok(), "{}", r.why);
    }
}
