//! Erasure, retention and holds, from the officer's command line to the bytes on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::from_base64;
use sealtrail::base::random;
use sealtrail::base::record::Record;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::client::Client;
use sealtrail::event::policy::Policy;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::store::{SqliteStore, Store};
use sealtrail::writer::{Purpose, Writer, WriterOptions};
use support::{LEDGER, Ledger, Server};

const DPO: &str = "test.example/officers/dpo";
const CISO: &str = "test.example/officers/ciso";
const BASIS: &str = "GDPR Art. 17(1)(d)";

/// A ledger whose erasures need as many officers as are named.
fn with_officers(names: &[&str]) -> Ledger {
    let ledger = Ledger::new();
    for (i, name) in names.iter().enumerate() {
        let vkey = ledger.ok(&["keygen", "officer", name]);
        ledger.ok(&["officer", "add", vkey.trim(), "--required", &(i + 1).to_string()]);
    }
    ledger
}

fn log(ledger: &Ledger, server: &Server, from: u64, count: u64) {
    let client = ledger.writer_client(server);
    let event = |i: u64| {
        format!(
            r#"{{"event_type":"read","actor":{{"user_id":"user-{}"}},"resource":{{"id":"PAT-{i}"}},"text":"{}"}}"#,
            i % 3,
            "x".repeat((i * 97 % 3000) as usize)
        )
    };
    let events: Vec<String> = (from..from + count).map(event).collect();
    client.log_ndjson(events.join("\n").as_bytes()).unwrap();
}

/// The bytes of a record as a reader gets them.
fn fetch(client: &Client, record: u64) -> Vec<u8> {
    from_base64(&client.record(record).unwrap().bytes).unwrap()
}

/// Ciphertext, slots and tags of a record.
fn parts(record: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<[u8; 8]>) {
    let Record::Sealed { sections, tags, ciphertext, .. } = Record::decode(record).unwrap() else {
        panic!("erased already")
    };
    let slots = sections.iter().flat_map(|s| s.slots.chunks(32).map(<[u8]>::to_vec)).collect();
    (ciphertext.to_vec(), slots, tags.as_chunks::<8>().0.to_vec())
}

/// Words of the erased records that must not be in any file: of every 15 bytes of ciphertext or slot at least one, and the
/// tags that no other record has.
fn words(ledger: &Ledger, erased: &BTreeMap<u64, Vec<u8>>) -> HashSet<[u8; 8]> {
    let mut words = HashSet::new();
    for bytes in erased.values() {
        let (ciphertext, slots, tags) = parts(bytes);
        for secret in slots.iter().chain([&ciphertext]) {
            words.extend(secret.as_chunks::<8>().0);
        }
        words.extend(tags);
    }
    let store = SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap();
    for record in 0..store.head().unwrap().unwrap().records {
        let stored = store.record(record).unwrap().unwrap().record;
        if let Ok(Record::Sealed { tags, .. }) = Record::decode(&stored) {
            tags.as_chunks::<8>().0.iter().for_each(|t| {
                words.remove(t);
            });
        }
    }
    words
}

/// Where such words are in the database and the files beside it.
fn found(ledger: &Ledger, words: &HashSet<[u8; 8]>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(ledger.dir.path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("ledger.db") {
            let bytes = std::fs::read(entry.path()).unwrap();
            let hits = bytes.windows(8).enumerate().filter(|(_, w)| words.contains(*w));
            found.extend(hits.map(|(at, _)| (name.clone(), at)));
        }
    }
    found
}

fn order<'a>(records: &'a str, reason: &'a str) -> Vec<&'a str> {
    vec!["erase", "--records", records, "--reason", reason, "--legal-basis", BASIS]
}

fn wait_erased(server: &Server) {
    for _ in 0..300 {
        if server.client().health().unwrap().erasures_pending == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the order is not carried out");
}

#[test]
fn two_officers_erase_and_no_byte_stays() {
    let ledger = with_officers(&[DPO, CISO]);
    let server = ledger.serve();
    for n in 0..6 {
        log(&ledger, &server, n * 15, 15);
    }
    let reader = ledger.reader_client(&server);
    let gone: BTreeMap<u64, Vec<u8>> =
        [3, 4, 5, 17, 40, 41, 42, 43, 44, 89].into_iter().map(|r| (r, fetch(&reader, r))).collect();
    let stays = fetch(&reader, 6);
    ledger.ok(&["prove", "4", "--out", "before.json", "--server", &server.url]);

    // One officer is not enough; the order travels to the other.
    let mut args = order("3..5,17,40..44,89", "gdpr-17");
    args.extend(["--officer", "keys/dpo.key"]);
    assert!(ledger.fails(2, &args).contains("needs 2 officers"));
    args.extend(["--out", "order.txt"]);
    ledger.ok(&args);
    let mut sign = vec!["erase", "--order", "order.txt", "--officer", "keys/dpo.key"];
    assert!(ledger.fails(2, &sign).contains("has signed this order already"));
    sign = vec!["erase", "--order", "order.txt", "--officer", "keys/admin.key"];
    assert!(ledger.fails(2, &sign).contains("is no officer"));
    let elsewhere =
        ["erase", "--settings", "none.toml", "--order", "order.txt", "--officer", "keys/ciso.key"];
    let told = ledger.ok(&[&elsewhere[..], &["--server", &server.url]].concat());
    assert!(told.contains("10 records") && told.contains("erased:"), "{told}");

    let words = words(&ledger, &gone);
    assert!(words.len() > 1000, "{}", words.len());
    assert_eq!(found(&ledger, &words), [], "the server is still running");

    // What remains: proofs old and new, and the reason.
    for r in gone.keys() {
        assert_eq!(fetch(&reader, *r)[0], 2);
    }
    assert_eq!(fetch(&reader, 6), stays);
    ledger.ok(&["prove", "4", "--out", "after.json", "--server", &server.url]);
    for proof in ["before.json", "after.json"] {
        assert!(ledger.ok(&["verify", proof, "--key", "keys/ledger.vkey"]).starts_with("PROVEN"));
    }
    let open = |record: &str, json: &[&str]| {
        let args =
            ["audit", "open", record, "--identity", "keys/alice.identity", "--key", "keys/ledger.vkey"];
        let out = ledger.run(&[&args[..], &["--server", &server.url], json].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (event, said) = open("42", &[]);
    assert!(event.is_empty() && said.contains("erased by order at block") && said.contains(BASIS), "{said}");
    let (json, _) = open("42", &["--json"]);
    assert!(json.contains(r#""reason":"gdpr-17""#), "{json}");
    assert!(open("6", &[]).0.contains("PAT-6"));
    let verify =
        |args: &[&str]| ledger.ok(&[&["audit", "verify", "--key", "keys/ledger.vkey"], args].concat());
    for report in [
        verify(&["--server", &server.url, "--identity", "keys/alice.identity"]),
        verify(&["--file", "ledger.db"]),
    ] {
        assert!(report.starts_with("HOLDS"), "{report}");
        assert!(
            report.contains("10 records (3..5, 17..17, 40..44") && report.contains("(gdpr-17, "),
            "{report}"
        );
        assert!(report.contains(DPO) && report.contains(CISO) && !report.contains("NOTE"), "{report}");
    }
    // Batches with erased records too are hashed while they are read.
    let json = verify(&["--file", "ledger.db", "--json"]);
    assert!(
        json.contains("\"batches_read_again\": 0") || json.contains("\"batches_read_again\":0"),
        "{json}"
    );
    // The next block goes on, and a restart changes nothing.
    log(&ledger, &server, 90, 5);
    drop(server);
    let server = ledger.serve();
    log(&ledger, &server, 95, 5);
    assert_eq!(found(&ledger, &words), []);
}

#[test]
fn an_order_survives_a_hard_kill() {
    let ledger = with_officers(&[DPO]);
    let mut server = ledger.serve();
    let mut all = BTreeMap::new();
    for round in 0..4u64 {
        let first = server.client().ledger().unwrap().records;
        log(&ledger, &server, round * 400, 400);
        let reader = ledger.reader_client(&server);
        let end = first + 400;
        let gone: BTreeMap<u64, Vec<u8>> = (first..end).step_by(40).map(|r| (r, fetch(&reader, r))).collect();
        // Signed, sent, and killed before anybody waits for the erasing.
        let range = format!("{first}..{}", end - 1);
        let mut args = order(&range, "gdpr-17");
        args.extend(["--officer", "keys/dpo.key", "--out", "order.txt"]);
        ledger.ok(&args);
        let note = std::fs::read_to_string(ledger.path("order.txt")).unwrap();
        server.client().send_statement(&note).unwrap();
        server.kill();
        server = ledger.serve();
        assert_eq!(fetch(&ledger.reader_client(&server), first)[0], 2, "not served, erased or not");
        wait_erased(&server);
        all.extend(gone);
        assert_eq!(found(&ledger, &words(&ledger, &all)), []);
    }
    drop(server);
    let report = ledger.ok(&["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"]);
    assert!(report.starts_with("HOLDS") && !report.contains("NOTE"), "{report}");
}

#[test]
fn what_is_missing_without_an_order_is_a_fault() {
    let ledger = with_officers(&[DPO]);
    let server = ledger.serve();
    log(&ledger, &server, 0, 9);
    drop(server);
    // Somebody who has the database, and no officer's key.
    let store = SqliteStore::open(&ledger.path("ledger.db"), LEDGER, false).unwrap();
    assert_eq!(store.erase(std::slice::from_ref(&(5..6))), Ok(1));
    drop(store);
    let verify = ["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"];
    let said = ledger.fails(1, &verify);
    assert!(said.contains("EVT-00000005") && said.contains("no erasure statement orders that"), "{said}");
    let server = ledger.serve();
    let open = ["audit", "open", "5", "--identity", "keys/alice.identity", "--key", "keys/ledger.vkey"];
    let said = ledger.fails(1, &[&open[..], &["--server", &server.url]].concat());
    assert!(said.contains("withheld or erased"), "{said}");
    // An order for others does not cover it.
    let mut args = order("4,6..7", "gdpr-17");
    args.extend(["--officer", "keys/dpo.key"]);
    ledger.ok(&args);
    drop(server);
    assert!(ledger.fails(1, &verify).contains("EVT-00000005"));
    // Before the order is carried out, or on an older copy: it is told.
    std::fs::copy(ledger.path("ledger.db"), ledger.path("copy.db")).unwrap();
    let mut args = order("5", "gdpr-17");
    args.extend(["--officer", "keys/dpo.key"]);
    assert!(ledger.ok(&args).contains("erased:"), "also without a server");
    assert!(ledger.ok(&verify).starts_with("HOLDS"));
}

/// A batch whose records may be erased from today on.
fn send_expired(ledger: &Ledger, server: &Server, writer: &mut Writer, count: usize) -> u64 {
    let recipient = ledger.identity("alice").recipient().to_string();
    let readers = [RosterReader { name: "alice".into(), recipient, required: false }];
    let now = Timestamp::now();
    let events: Vec<String> = (0..count).map(|i| format!(r#"{{"n":{i}}}"#)).collect();
    let sealed = writer.seal_events(Purpose::Events, &readers, &events, now).unwrap();
    server.client().send_batch(&sealed.note.to_string(), &sealed.body).unwrap().first_record
}

#[test]
fn retention_and_holds() {
    let ledger = with_officers(&[DPO]);
    let vkey = ledger.ok(&["keygen", "writer", "test.example/ehr"]);
    ledger.ok(&["writer", "add", vkey.trim()]);
    let key = std::fs::read_to_string(ledger.path("keys/ehr.key")).unwrap();
    let options = WriterOptions {
        key: SigningKey::parse(key.trim()).unwrap(),
        ledger: LEDGER.into(),
        policy: Policy::default(),
        retain_years: 0,
        search: Box::new(|m| Ok((m.to_owned(), SearchSecret::generate(&mut random::csprng().unwrap())))),
    };
    let mut writer = Writer::new(options, Head::default()).unwrap();
    let server = ledger.serve();
    assert_eq!(send_expired(&ledger, &server, &mut writer, 10), 0);
    log(&ledger, &server, 0, 10);
    assert_eq!(send_expired(&ledger, &server, &mut writer, 10), 20);

    let list = ledger.ok(&["retain"]);
    assert!(list.starts_with("20 records are past retain-until"), "{list}");
    assert!(list.contains("  0..9\n  20..29\n"), "{list}");
    ledger.ok(&["hold", "place", "matter-17", "--records", "4..22", "--reason", "litigation"]);
    assert!(
        ledger
            .fails(2, &["hold", "place", "matter-17", "--records", "0", "--reason", "x"])
            .contains("in force")
    );
    let officer = ["--signer", "keys/dpo.key", "--server", &server.url];
    let place = ["hold", "place", "audit-9", "--records", "EVT-00000027", "--reason", "audit"];
    ledger.ok(&[&place[..], &officer].concat());
    let list = ledger.ok(&["hold", "list"]);
    assert!(
        list.contains("matter-17  litigation") && list.contains("4..22") && list.contains("audit-9"),
        "{list}"
    );

    // Held, or too early: nobody can order it.
    let erase = |records: &str, reason: &str| {
        let mut args = order(records, reason).iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        args.extend(["--officer".to_owned(), "keys/dpo.key".to_owned()]);
        ledger.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = |out: &std::process::Output| String::from_utf8_lossy(&out.stderr).into_owned();
    let out = erase("3..4", "gdpr-17");
    assert!(
        out.status.code() == Some(2) && said(&out).contains("under the hold matter-17"),
        "{}",
        said(&out)
    );
    let out = erase("0,10", "retention-expired");
    assert!(said(&out).contains("under the hold"), "{}", said(&out));

    let told = ledger.ok(&["retain", "--officer", "keys/dpo.key"]);
    assert!(told.contains("10 records are past") && told.contains("hold matter-17 (4..9, 20..22)"), "{told}");
    assert!(told.contains("hold audit-9 (27..27)") && told.contains("10 records\nerased:"), "{told}");
    assert!(ledger.ok(&["retain"]).starts_with("0 records are past"));
    ledger.ok(&["hold", "release", "matter-17", "--reason", "settled"]);
    let out = erase("9..10", "retention-expired");
    assert!(said(&out).contains("must be kept until"), "{}", said(&out));
    assert!(erase("10", "gdpr-17").status.success(), "another reason may");
    let told = ledger.ok(&["retain", "--officer", "keys/dpo.key", "--legal-basis", "storage limitation"]);
    assert!(told.starts_with("9 records are past"), "{told}");

    let reader = ledger.reader_client(&server);
    let gone: Vec<u64> = (0..30).filter(|r| fetch(&reader, *r)[0] == 2).collect();
    let expected: Vec<u64> = (0..11).chain(20..27).chain(28..30).collect();
    assert_eq!(gone, expected);
    drop(server);
    let report = ledger.ok(&["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"]);
    assert!(report.contains("on hold    audit-9") && report.contains("(retention-expired, "), "{report}");
    // Without a server the same commands work on the database.
    ledger.ok(&["hold", "release", "audit-9", "--reason", "done"]);
    assert!(ledger.ok(&["retain", "--officer", "keys/dpo.key"]).contains("erased:"));
    assert_eq!(ledger.ok(&["hold", "list", "--json"]).trim(), "[]");
}

#[test]
fn officers_come_and_go() {
    let ledger = Ledger::new();
    let vkey = ledger.ok(&["keygen", "officer", DPO]);
    ledger.ok(&["keygen", "officer", CISO]);
    assert!(
        ledger.fails(2, &["officer", "add", vkey.trim(), "--required", "2"]).contains("there would be 1")
    );
    ledger.ok(&["officer", "add", vkey.trim()]);
    assert!(ledger.fails(2, &["officer", "add", vkey.trim()]).contains("already"));
    assert!(ledger.ok(&["officer", "add", "keys/ciso.vkey", "--required", "2"]).contains("2 of 2"));
    let list = ledger.ok(&["officer", "list", "--json"]);
    assert!(list.contains(r#""required":2"#) && list.contains(DPO), "{list}");
    // Never silently fewer.
    assert!(ledger.fails(2, &["officer", "remove", CISO]).contains("--required"));
    assert!(ledger.ok(&["officer", "remove", CISO, "--required", "1"]).contains("1 of 1"));
    assert!(ledger.fails(2, &["officer", "remove", CISO]).contains("no officer"));
    assert!(ledger.ok(&["officer", "remove", DPO]).contains("nothing can be erased"));
}
