//! Attacks that once worked, one test each: who the attacker is, what they do, and what must stop them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use bytes::Bytes;

use sealtrail::auditor::source::{Source, SourceError};
use sealtrail::auditor::verify::{Report, Trust, VerifyError, verify};
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::random;
use sealtrail::base::record::Record;
use sealtrail::chain::checkpoint::SignedCheckpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::{Head, State};
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::Statement;
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{Policy, ReaderChoice, SectionPolicy};
use sealtrail::ledger::{Ledger, Options, Receipt, Submission};
use sealtrail::seal::open::Opener;
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::{SearchSecret, blind_tag};
use sealtrail::store::{Head as StoreHead, MemoryStore, Store};
use sealtrail::writer::{Purpose, Writer, WriterError, WriterOptions};

const ORIGIN: &str = "test.example/ledger";

fn signer(name: &str) -> SigningKey {
    SigningKey::generate(name, &mut random::csprng().unwrap()).unwrap()
}

fn identity() -> Identity {
    Identity::generate(&mut random::csprng().unwrap())
}

fn reader(name: &str, id: &Identity) -> RosterReader {
    RosterReader { name: name.into(), recipient: id.recipient().to_string(), required: false }
}

fn fixed_secret(n: u8) -> SearchSecret {
    SearchSecret::from_secret(sealtrail::base::secret::Secret::fill(|b: &mut [u8; 32]| b.fill(n)))
}

/// A writer of this policy, whose search secret is always the same.
fn writer_with(policy: Policy) -> Writer {
    let options = WriterOptions {
        key: signer("test.example/writer"),
        ledger: ORIGIN.into(),
        policy,
        retain_years: 6,
        search: Box::new(|month| Ok((month.to_owned(), fixed_secret(7)))),
    };
    Writer::new(options, Head::default()).unwrap()
}

fn trust(key: &sealtrail::chain::key::VerifierKey) -> Trust<'_> {
    Trust { ledger: key, admin: None, known: &[] }
}

struct World {
    store: Arc<MemoryStore>,
    ledger: Option<Ledger>,
    key: String,
    admin: SigningKey,
    roster: Roster,
    writer: Writer,
    alice: Identity,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World::with(signer(ORIGIN))
    }

    fn with(ledger_key: SigningKey) -> World {
        let (admin, writer_key, alice) =
            (signer("test.example/admin"), signer("test.example/writer"), identity());
        let roster = Roster {
            ledger: ORIGIN.into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: Timestamp::now(),
            ledger_key: ledger_key.verifier(),
            admins: vec![admin.verifier()],
            writers: vec![writer_key.verifier()],
            readers: vec![reader("alice", &alice)],
            officers_required: 0,
            officers: Vec::new(),
            witnesses: Vec::new(),
        };
        let note = Statement::Roster(roster.clone()).sign(&admin).unwrap();
        let options = WriterOptions {
            key: writer_key,
            ledger: ORIGIN.into(),
            policy: Policy::default(),
            retain_years: 6,
            search: Box::new(|month| Ok((month.to_owned(), fixed_secret(7)))),
        };
        let mut w = World {
            store: Arc::new(MemoryStore::new(ORIGIN)),
            ledger: None,
            key: ledger_key.to_text().to_string(),
            admin,
            roster,
            writer: Writer::new(options, Head::default()).unwrap(),
            alice,
            dir: tempfile::tempdir().unwrap(),
        };
        w.ledger = Some(Ledger::create(w.store.clone(), w.options(), note).unwrap());
        w
    }
    fn options(&self) -> Options {
        Options {
            key: SigningKey::parse(&self.key).unwrap(),
            guard: self.dir.path().join("guard"),
            accept_database_head: false,
        }
    }
    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }
    /// What the gateway does: seals for the roster the ledger shows.
    fn log(&mut self, events: &[&str]) -> Receipt {
        let now = Timestamp::now();
        let readers = self.ledger().view().state.roster().unwrap().readers.clone();
        let sealed = self.writer.seal_events(Purpose::Events, &readers, events, now).unwrap();
        self.ledger().submit(Submission::hashed(sealed.note, sealed.body)).unwrap().wait().unwrap()
    }
    fn verify(&self) -> Result<Report, VerifyError> {
        let key = SigningKey::parse(&self.key).unwrap().verifier();
        verify(&mut Raw::of(&*self.store), &trust(&key), &mut |_, _| {})
    }
}

/// Whatever an attacker serves.
struct Raw {
    checkpoint: String,
    texts: Vec<String>,
    leaves: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Raw {
    fn of(store: &dyn Store) -> Raw {
        let head = store.head().unwrap().unwrap();
        let texts = store.block_texts(0, 1_000_000, usize::MAX).unwrap();
        Raw {
            checkpoint: String::from_utf8(head.checkpoint).unwrap(),
            texts: texts.into_iter().map(|t| String::from_utf8(t).unwrap()).collect(),
            leaves: (0..head.size).map(|h| store.leaf_inputs(h).unwrap().unwrap_or_default()).collect(),
            bodies: (0..head.size).map(|h| store.body(h).unwrap().unwrap_or_default()).collect(),
        }
    }
}

impl Source for Raw {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(self.checkpoint.clone())
    }
    fn blocks(&mut self, height: u64, _: u64) -> Result<Vec<String>, SourceError> {
        Ok(self.texts[height as usize..].to_vec())
    }
    fn has_bodies(&self) -> bool {
        true
    }
    fn body(&mut self, height: u64, _: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.bodies[height as usize].clone())
    }
    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.leaves[height as usize].clone())
    }
}

/// Attacker: can write to the database file once, has no key at all. The snapshot in the head is
/// believed only with the ledger's signature: otherwise a reader put into its roster would be sealed to from the
/// next start on.
#[test]
fn a_database_writer_cannot_make_himself_a_reader() {
    let mut w = World::new();
    w.log(&[r#"{"n":1}"#]);
    drop(w.ledger.take());

    let mallory = identity();
    let head = w.store.head().unwrap().unwrap();
    let mut forged = w.roster.clone();
    forged.readers.push(reader("mallory", &mallory));
    forged.sort();
    let old = Statement::Roster(w.roster.clone()).to_text();
    let new = Statement::Roster(forged).to_text();
    let at = head.state.windows(old.len()).position(|x| x == old.as_bytes()).unwrap();
    let mut state = head.state[..at - 2].to_vec();
    state.extend_from_slice(&(new.len() as u16).to_be_bytes());
    state.extend_from_slice(new.as_bytes());
    state.extend_from_slice(&head.state[at + old.len()..]);
    // A signature of 64 bytes stands before the snapshot.
    State::decode(&state[64..]).unwrap();
    let size = head.size;
    w.store.append(size, &[], &[], &StoreHead { state, ..head }).unwrap();

    // The operator restarts the server, as usual.
    let Ok(ledger) = Ledger::open(w.store.clone(), w.options()) else { return };
    w.ledger = Some(ledger);
    let r = w.log(&[r#"{"patient":"Jane Doe","diagnosis":"secret"}"#]);
    let report = w.verify();
    let found = w.ledger().record(r.first_record).unwrap();
    let header = Header::decode(&found.header).unwrap();
    let opened = sealtrail::auditor::open::open_bytes(&mallory, &header, found.position, &found.record);
    if let Ok((event, _)) = opened {
        panic!(
            "mallory reads {:?}; audit verify says {:?}",
            String::from_utf8_lossy(&event),
            report.map(|r| r.records)
        );
    }
}

/// Attacker: an operator who cut the newest records off, or anybody who writes to the database and kept an old
/// checkpoint. No key is needed. Only who has seen a newer checkpoint can tell, so the auditor keeps one.
#[test]
fn a_truncated_or_forked_ledger_does_not_hold_for_who_has_seen_more() {
    let mut w = World::new();
    w.log(&[r#"{"n":1}"#]);
    let old = Raw::of(&*w.store);
    w.log(&[r#"{"n":2,"compromising":true}"#]);
    let key = SigningKey::parse(&w.key).unwrap().verifier();
    let seen = SignedCheckpoint::parse(&Raw::of(&*w.store).checkpoint, &key).unwrap().checkpoint().clone();
    let known = Trust { known: std::slice::from_ref(&seen), ..trust(&key) };
    assert!(verify(&mut Raw::of(&*w.store), &known, &mut |_, _| {}).is_ok());
    let mut cut = Raw::of(&*w.store);
    cut.checkpoint = old.checkpoint;
    cut.texts.truncate(2);
    let report = verify(&mut cut, &known, &mut |_, _| {});
    assert!(report.is_err(), "HOLDS on a ledger without its last block: {report:?}");
    // Another history of the same length, and of a greater one.
    let mut fork = World::with(SigningKey::parse(&w.key).unwrap());
    for _ in 0..3 {
        fork.log(&[r#"{"n":"other"}"#]);
        let report = verify(&mut Raw::of(&*fork.store), &known, &mut |_, _| {});
        assert!(report.is_err(), "HOLDS on another history: {report:?}");
    }
}

/// Attacker: the operator, with the ledger key and no other key. Block 0 vouches for itself, so who wants to know that
/// writers were let in by the admin must bring the admin's key.
#[test]
fn an_operator_cannot_invent_a_ledger_with_writers_of_his_own() {
    let mut honest = World::new();
    honest.log(&[r#"{"n":1}"#]);
    let key = SigningKey::parse(&honest.key).unwrap();
    // Admin and writer of the same names, keys made up by the operator.
    let mut fake = World::with(SigningKey::parse(&honest.key).unwrap());
    fake.log(&[r#"{"n":1,"actor":"framed"}"#]);
    let (key, admin) = (key.verifier(), honest.admin.verifier());
    let pinned = Trust { admin: Some(&admin), ..trust(&key) };
    let report = verify(&mut Raw::of(&*honest.store), &pinned, &mut |_, _| {}).unwrap();
    assert!(report.admin_checked);
    let report = verify(&mut Raw::of(&*fake.store), &pinned, &mut |_, _| {});
    assert!(report.is_err(), "HOLDS on a ledger whose writers the operator made up: {report:?}");
}

/// Attacker: can write to the database. The permanent leaf inputs, from which all proofs are made, are
/// gone; the verification that has bodies does not look at them beyond their overlap.
#[test]
fn missing_leaf_inputs_are_found() {
    let mut w = World::new();
    w.log(&[r#"{"n":1}"#, r#"{"n":2}"#]);
    let key = SigningKey::parse(&w.key).unwrap().verifier();
    let mut raw = Raw::of(&*w.store);
    raw.leaves[1].clear();
    let report = verify(&mut raw, &trust(&key), &mut |_, _| {});
    assert!(report.is_err(), "HOLDS without leaf inputs: {report:?}");
}

/// Attacker: a reader named only in `[access_log]`. The access log's section has the first section's name,
/// and so its search secret: the reader tests guesses against tags of events it may not read.
#[test]
fn a_reader_of_the_access_log_cannot_test_tags_of_events() {
    let (doctor, watcher) = (identity(), identity());
    let roster = [reader("doctor", &doctor), reader("watcher", &watcher)];
    let mut policy = Policy::default();
    policy.sections[0].readers = ReaderChoice::Named(vec!["doctor".into()]);
    policy.access_log = ReaderChoice::Named(vec!["watcher".into()]);
    let mut writer = writer_with(policy);
    let mut seal =
        |purpose, event: &str| writer.seal_events(purpose, &roster, &[event], Timestamp::now()).unwrap().body;
    let event = seal(Purpose::Events, r#"{"actor":{"user_id":"dr-smith"},"resource":{"id":"Patient/4711"}}"#);
    let access = seal(Purpose::AccessLog, r#"{"action":"read"}"#);

    let body = Body::decode(&event).unwrap();
    let header = Header::decode(body.header).unwrap();
    assert!(Opener::new(&watcher, &header).is_err(), "the watcher is no reader of events");
    let Record::Sealed { tags, .. } = Record::decode(body.records().next().unwrap()).unwrap() else {
        panic!()
    };

    let header = Header::decode(Body::decode(&access).unwrap().header).unwrap();
    let opener = Opener::new(&watcher, &header).unwrap();
    for (_, secret) in opener.section_search_secrets().unwrap() {
        let guess = blind_tag(secret, "resource", b"patient/4711");
        assert!(!tags.chunks(8).any(|t| t == guess), "the watcher has found whose event it is");
    }
}

/// Attacker: a reader let in on the 20th tests guesses against what was sealed before the 20th; a reader
/// removed on the 2nd goes on testing until the end of the month. The server gives every roster reader every record.
#[test]
fn a_later_reader_cannot_test_earlier_tags() {
    let (alice, late) = (identity(), identity());
    let mut writer = writer_with(Policy::default());
    let mut seal = |roster: &[RosterReader], event: &str| {
        writer.seal_events(Purpose::Events, roster, &[event], Timestamp::now()).unwrap().body.to_vec()
    };
    let before = seal(&[reader("alice", &alice)], r#"{"resource":{"id":"Patient/4711"}}"#);
    let after = seal(&[reader("alice", &alice), reader("late", &late)], r#"{"action":"x"}"#);
    let body = Body::decode(&before).unwrap();
    let Record::Sealed { tags, .. } = Record::decode(body.records().next().unwrap()).unwrap() else {
        panic!()
    };
    let opener = Opener::new(&late, &Header::decode(Body::decode(&after).unwrap().header).unwrap()).unwrap();
    for (_, secret) in opener.section_search_secrets().unwrap() {
        let guess = blind_tag(secret, "resource", b"patient/4711");
        assert!(!tags.chunks(8).any(|t| t == guess), "a later reader tests tags from before its time");
    }
}

/// Attacker: one admin, or a slip. A roster may name another ledger key; the ledger takes it,
/// goes on signing with the old one, and can never be started or verified again with either.
#[test]
fn a_roster_cannot_brick_the_ledger() {
    let mut w = World::new();
    let head = w.ledger().view().state.authority();
    let other = signer(ORIGIN);
    let roster = Roster {
        sequence: head.next_sequence,
        previous: head.previous,
        ledger_key: other.verifier(),
        ..w.roster.clone()
    };
    let note = Statement::Roster(roster).sign(&w.admin).unwrap();
    if w.ledger().submit(Submission::statement(note)).unwrap().wait().is_err() {
        return;
    }
    drop(w.ledger.take());
    let with_old = Ledger::open(w.store.clone(), w.options()).err().map(|e| e.to_string());
    w.key = other.to_text().to_string();
    let with_new = Ledger::open(w.store.clone(), w.options()).err().map(|e| e.to_string());
    std::fs::remove_file(w.dir.path().join("guard")).unwrap();
    let without_guard = Ledger::open(w.store.clone(), Options { accept_database_head: true, ..w.options() })
        .err()
        .map(|e| e.to_string());
    panic!(
        "accepted; then with the old key: {with_old:?}; with the new: {with_new:?}; and {without_guard:?}"
    );
}

/// FORMAT §2 refuses a reader's key of small order; the roster does not, and the gateway then seals nothing.
#[test]
fn a_roster_refuses_a_reader_key_of_small_order() {
    let w = World::new();
    let mut roster = w.roster.clone();
    let text = sealtrail::chain::recipient::recipient_text(&[0; 32]).unwrap();
    roster.readers.push(RosterReader { name: "zero".into(), recipient: text, required: true });
    roster.sort();
    assert!(Statement::parse(&Statement::Roster(roster).to_text()).is_err());
    let _ = &w.alice;
}

/// Attacker: a stranger with a public statement. A repeated receipt needs the signature too.
#[test]
fn a_repetition_needs_the_signature_too() {
    let w = World::new();
    let block = w.ledger().block(0).unwrap();
    let mut note: Note = sealtrail::chain::block::Block::parse(&block).unwrap().statement;
    note.signatures[0].bytes = vec![0; 64];
    let answer = w.ledger().submit(Submission::statement(note)).unwrap().wait();
    assert!(answer.is_err(), "{answer:?}");
}

/// Attacker: a reader who is removed while events are on their way. They were drafted for the old readers before the removal
/// took effect, and are sealed after it.
#[test]
fn a_removed_reader_gets_nothing_that_was_only_drafted() {
    let (alice, gone) = (identity(), identity());
    let (both, one) = ([reader("alice", &alice), reader("gone", &gone)], [reader("alice", &alice)]);
    let sections = |n: usize| {
        let mut policy = Policy::default();
        if n == 2 {
            policy.sections.push(SectionPolicy {
                name: "clinical".into(),
                readers: ReaderChoice::All,
                pointers: vec![Pattern::parse("/note").unwrap()],
            });
        }
        policy
    };
    for policy in [sections(1), sections(2)] {
        let mut writer = writer_with(policy);
        let now = Timestamp::now();
        let old = writer.plan(Purpose::Events, &both, now).unwrap();
        assert!(Arc::ptr_eq(&old, &writer.plan(Purpose::Events, &both, now).unwrap()), "nothing has changed");
        let event = r#"{"resource":{"id":"Patient/4711"},"note":"x"}"#;
        let draft = || old.draft([Bytes::from_static(event.as_bytes())].into_iter()).unwrap();
        let opened_before = writer.open(&old).unwrap();

        let new = writer.plan(Purpose::Events, &one, now).unwrap();
        assert!(!opened_before.serves(&writer, &new), "a batch opened for the old readers");
        let open = writer.open(&new).unwrap();
        let refused = writer.seal(open, vec![draft()], now);
        assert!(matches!(refused, Err(WriterError::Internal(_))), "tags made for the old readers");

        let open = writer.open(&new).unwrap();
        let body = writer.seal(open, vec![draft().by(&new).unwrap()], now).unwrap().body;
        let parts = Body::decode(&body).unwrap();
        let header = Header::decode(parts.header).unwrap();
        assert!(Opener::new(&gone, &header).is_err());
        let opener = Opener::new(&alice, &header).unwrap();
        let record = parts.records().next().unwrap();
        assert!(opener.open(0, record).is_ok());
        let Record::Sealed { tags, .. } = Record::decode(record).unwrap() else { panic!() };
        let secrets = opener.section_search_secrets().unwrap();
        let now_tag = blind_tag(secrets[0].1, "resource", b"patient/4711");
        assert!(tags.chunks(8).any(|t| t == now_tag), "found with the secret of the readers of now");
    }
}

/// A batch without events would be a statement that says nothing; a sequence number is used once.
#[test]
fn a_writer_seals_no_empty_batch_and_no_number_twice() {
    let alice = identity();
    let roster = [reader("alice", &alice)];
    let mut world = World::new();
    let now = Timestamp::now();
    let writer = &mut world.writer;
    assert!(matches!(
        writer.seal_events::<&str>(Purpose::Events, &roster, &[], now),
        Err(WriterError::Empty)
    ));
    let plan = writer.plan(Purpose::Events, &roster, now).unwrap();
    let (first, second) = (writer.open(&plan).unwrap(), writer.open(&plan).unwrap());
    let drafts = || vec![plan.draft([Bytes::from_static(b"{}")].into_iter()).unwrap()];
    assert!(writer.seal(first, drafts(), now).is_ok());
    assert!(matches!(writer.seal(second, drafts(), now), Err(WriterError::Broken)));
}
