//! Remote writers: what the server checks of a sealed batch, and that a refusal loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use sealtrail::api::bulk::encode_batch;
use sealtrail::api::problem::Code;
use sealtrail::auditor::open::open_record;
use sealtrail::auditor::source::ServerSource;
use sealtrail::auditor::verify::{Trust, verify};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::random;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::chain::statement::{RecordsStatement, Statement};
use sealtrail::client::{Client, ClientError};
use sealtrail::event::policy::Policy;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Purpose, Sealed, Writer, WriterOptions};
use support::{LEDGER, Ledger, Server};

struct Remote {
    writer: Writer,
    readers: Vec<RosterReader>,
}

fn new_key(name: &str) -> SigningKey {
    SigningKey::generate(name, &mut random::csprng().unwrap()).unwrap()
}

impl Remote {
    fn new(key: SigningKey, ledger: &str, recipient: String) -> Remote {
        let options = WriterOptions {
            key,
            ledger: ledger.into(),
            policy: Policy::default(),
            retain_years: 6,
            search: Box::new(|m| Ok((m.to_owned(), SearchSecret::generate(&mut random::csprng().unwrap())))),
        };
        let readers = vec![RosterReader { name: "alice".into(), recipient, required: false }];
        Remote { writer: Writer::new(options, Head::default()).unwrap(), readers }
    }

    fn seal(&mut self, n: usize) -> Sealed {
        let now = Timestamp::now();
        let events: Vec<String> =
            (0..n).map(|i| format!(r#"{{"actor":{{"user_id":"u"}},"n":{i}}}"#)).collect();
        self.writer.seal_events(Purpose::Events, &self.readers, &events, now).unwrap()
    }
}

fn send(c: &Client, s: &Sealed) -> Result<sealtrail::api::message::StatementReceipt, ClientError> {
    c.send_batch(&s.note.to_string(), &s.body)
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    match result {
        Err(ClientError::Problem(p)) => p.code,
        other => panic!("expected a problem document: {other:?}"),
    }
}

/// A ledger whose roster has the writer `ehr`, and that writer's key as text.
fn set_up() -> (Ledger, Server, String) {
    let ledger = Ledger::new();
    let vkey = ledger.ok(&["keygen", "writer", "test.example/ehr"]);
    ledger.ok(&["writer", "add", vkey.trim()]);
    let server = ledger.serve();
    let key = std::fs::read_to_string(ledger.path("keys/ehr.key")).unwrap();
    (ledger, server, key)
}

fn remote(ledger: &Ledger, key: &str) -> Remote {
    Remote::new(
        SigningKey::parse(key.trim()).unwrap(),
        LEDGER,
        ledger.identity("alice").recipient().to_string(),
    )
}

#[test]
fn a_sealed_batch_is_taken_once_and_in_order() {
    let (ledger, server, key) = set_up();
    let c = server.client();
    let mut r = remote(&ledger, &key);
    let (first, second, third) = (r.seal(3), r.seal(1), r.seal(2));
    let receipt = send(&c, &first).unwrap();
    assert_eq!((receipt.first_record, receipt.count, receipt.repeated), (0, 3, false));
    assert_eq!(code(send(&c, &third)), Code::SequenceGap);
    let again = send(&c, &first).unwrap();
    assert_eq!((again.block, again.first_record, again.repeated), (receipt.block, 0, true));
    send(&c, &second).unwrap();
    assert!(send(&c, &first).unwrap().repeated, "also when it is no longer the last");
    send(&c, &third).unwrap();
    let head = c.writer("test.example/ehr").unwrap();
    assert_eq!(head.next_sequence, 3);
    // The same number with another content is a fork of the writer's chain.
    let mut fork = remote(&ledger, &key);
    assert_eq!(code(send(&c, &fork.seal(1))), Code::SequenceConflict);
    let reader = ledger.reader_client(&server);
    let opened = open_record(&reader, &ledger.identity("alice"), &ledger.vkey(), None, 5).unwrap();
    assert_eq!(&opened.event[..], br#"{"actor":{"user_id":"u"},"n":1}"#);
    assert_eq!(opened.verified.writer, "test.example/ehr");
    let report = verify(
        &mut ServerSource::new(&reader, true),
        &Trust { ledger: &ledger.vkey(), admin: None, known: &[] },
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(report.records_rehashed, 7, "six records and the access record");
}

/// Signs another statement over a body.
fn resign(key: &str, sealed: &Sealed, change: impl Fn(&mut RecordsStatement)) -> Sealed {
    let Ok(Statement::Records(mut s)) = Statement::parse(&sealed.note.text) else {
        panic!("a records statement")
    };
    change(&mut s);
    let key = SigningKey::parse(key.trim()).unwrap();
    Sealed { note: Note::sign(&Statement::Records(s).to_text(), &key), body: sealed.body.clone() }
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason_and_loses_nothing() {
    let (ledger, server, key) = set_up();
    let c = server.client();
    let mut r = remote(&ledger, &key);
    let good = r.seal(3);

    type Change = fn(&mut RecordsStatement);
    let changes: [(Change, Code); 7] = [
        (|s| s.records += 1, Code::BatchInvalid),
        (|s| s.bytes -= 1, Code::BatchInvalid),
        (|s| s.records_root = Hash::ZERO, Code::BatchInvalid),
        (|s| s.tags_root = Hash::ZERO, Code::BatchInvalid),
        (|s| s.header_hash = Hash::ZERO, Code::BatchInvalid),
        (|s| s.previous = Hash::of(&[b"?"]), Code::SequenceConflict),
        (|s| s.ledger = "other.example/log".into(), Code::SignatureInvalid),
    ];
    for (i, (change, expected)) in changes.into_iter().enumerate() {
        assert_eq!(code(send(&c, &resign(&key, &good, change))), expected, "change {i}");
    }
    // Every byte of the body counts: a sample of them.
    for at in (0..good.body.len()).step_by(97) {
        let mut body = good.body.to_vec();
        body[at] ^= 1;
        assert_eq!(code(c.send_batch(&good.note.to_string(), &body)), Code::BatchInvalid, "byte {at}");
    }
    for cut in [0, 3, good.body.len() / 2, good.body.len() - 1] {
        assert_eq!(code(c.send_batch(&good.note.to_string(), &good.body[..cut])), Code::BatchInvalid);
    }
    // A key the roster does not have, under a name it has and under one it has not.
    for name in ["test.example/ehr", "test.example/unknown"] {
        let mut forged = Remote::new(new_key(name), LEDGER, ledger.identity("alice").recipient().to_string());
        assert_eq!(code(send(&c, &forged.seal(1))), Code::SignatureInvalid);
    }
    let mut bent = good.note.clone();
    bent.text = bent.text.replace("records 3", "records 4");
    assert_eq!(code(c.send_batch(&bent.to_string(), &good.body)), Code::SignatureInvalid);
    // A batch sealed for another ledger.
    let key_of = || SigningKey::parse(key.trim()).unwrap();
    let mut other =
        Remote::new(key_of(), "other.example/log", ledger.identity("alice").recipient().to_string());
    assert_eq!(code(send(&c, &other.seal(1))), Code::SignatureInvalid);
    // Statement without body, body at the wrong place, no upload at all.
    assert_eq!(code(c.send_statement(&good.note.to_string())), Code::BatchInvalid);
    let raw = encode_batch(&good.note.to_string(), &good.body);
    for cut in [0, 2, 40, 500] {
        let refused = code(c.post("/v1/batches", "application/octet-stream", &raw[..cut]));
        assert!(matches!(refused, Code::RequestInvalid | Code::BatchInvalid), "{refused:?}");
    }
    // After all that the good one goes in as the first.
    assert_eq!(send(&c, &good).unwrap().first_record, 0);
    assert_eq!(c.ledger().unwrap().records, 3);
}

#[test]
fn the_roster_decides_who_writes_and_which_readers_every_batch_has() {
    let (ledger, server, key) = set_up();
    let c = server.client();
    let mut r = remote(&ledger, &key);
    send(&c, &r.seal(1)).unwrap();
    let heartbeat = r.writer.heartbeat(Timestamp::now()).unwrap();
    let receipt = c.send_statement(&heartbeat.to_string()).unwrap();
    assert_eq!((receipt.count, receipt.repeated), (0, false));
    assert!(c.send_statement(&heartbeat.to_string()).unwrap().repeated);

    // A required reader must be in every batch from then on.
    let bob = ledger.ok(&["keygen", "reader", "bob"]);
    ledger.ok(&["reader", "add", "bob", bob.trim(), "--required"]);
    let without = r.seal(1);
    assert_eq!(code(send(&c, &without)), Code::BatchInvalid);
    r.writer.resume(Head { next_sequence: 2, previous: Hash::of(&[heartbeat.text.as_bytes()]) });
    r.readers.push(RosterReader { name: "bob".into(), recipient: bob.trim().into(), required: true });
    send(&c, &r.seal(1)).unwrap();
    // The gateway includes it by itself.
    ledger.writer_client(&server).post("/v1/events", "application/json", b"{}").unwrap();
    let mut as_bob = server.client();
    sealtrail::auditor::session::open_session(&mut as_bob, &ledger.identity("bob"), LEDGER).unwrap();
    open_record(&as_bob, &ledger.identity("bob"), &ledger.vkey(), None, 2).unwrap();

    // A roster signed by someone else than an admin, and one signed by the writer.
    let view = c.block(c.ledger().unwrap().roster_block).unwrap();
    let block = sealtrail::chain::block::Block::parse(&view).unwrap();
    let Ok(Statement::Roster(mut roster)) = Statement::parse(&block.statement.text) else {
        panic!("a roster")
    };
    roster.previous = Hash::of(&[block.statement.text.as_bytes()]);
    roster.sequence += 1;
    for forger in [new_key("test.example/audit/admin"), SigningKey::parse(key.trim()).unwrap()] {
        let forged = Note::sign(&Statement::Roster(roster.clone()).to_text(), &forger);
        assert_eq!(code(c.send_statement(&forged.to_string())), Code::SignatureInvalid);
    }
    // Removed from the roster: refused at once, and what it signed before stays valid.
    ledger.ok(&["writer", "remove", "test.example/ehr"]);
    let late = r.seal(1);
    assert_eq!(code(send(&c, &late)), Code::SignatureInvalid);
    let reader = ledger.reader_client(&server);
    verify(
        &mut ServerSource::new(&reader, true),
        &Trust { ledger: &ledger.vkey(), admin: None, known: &[] },
        &mut |_, _| {},
    )
    .unwrap();
}
