//! Two auditors whose access differs by a section, with the real program: what each finds, asks and proves; and what both see after
//! an erasure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use support::{Ledger, Server};

const SECTION: &str = "\n[[section]]\nname = \"patient\"\nreaders = [\"alice\"]\npointers = [\"/resource/id\", \"/entity/*/what\"]\n";

fn set_up() -> (Ledger, Server) {
    let ledger = Ledger::new();
    let bob = ledger.ok(&["keygen", "reader", "bob"]);
    ledger.ok(&["reader", "add", "bob", bob.trim()]);
    let path = ledger.path("sealtrail.toml");
    let settings = std::fs::read_to_string(&path).unwrap();
    let (front, rest) = settings.split_once("# Searchable fields").unwrap();
    std::fs::write(&path, format!("{front}{SECTION}\n# Searchable fields{rest}")).unwrap();
    let server = ledger.serve();
    let events: Vec<String> = (0..40)
        .map(|n| {
            format!(
                "{{\"event_type\":\"patient_record_access\",\"actor\":{{\"user_id\":\"dr-{}\"}},\"action\":\"read\",\
                 \"resource\":{{\"type\":\"patient_record\",\"id\":\"PAT-{}\"}},\"result\":\"{}\",\
                 \"timestamp\":\"2026-11-{:02}T10:00:00Z\"}}",
                n % 3, n % 4, if n % 8 == 0 { "denied" } else { "allowed" }, 1 + n % 20
            )
        })
        .chain([
            serde_json::json!({
                "resourceType": "AuditEvent", "type": { "code": "rest" }, "action": "R", "recorded": "2026-11-05T09:00:00Z",
                "outcome": "0", "source": { "observer": { "display": "EHR" } },
                "agent": [{ "who": { "reference": "https://ehr.example/fhir/Practitioner/dr-9/_history/3" }, "requestor": true }],
                "entity": [{ "what": { "reference": "Patient/PAT-1/_history/2" } }],
            })
            .to_string(),
        ])
        .collect();
    ledger.writer_client(&server).log_ndjson(events.join("\n").as_bytes()).unwrap();
    for name in ["alice", "bob"] {
        let (vault, identity) = (format!("vault-{name}"), format!("keys/{name}.identity"));
        let place = ["--vault", &vault, "--identity", &identity, "--server", &server.url];
        let keys = ["--key", "keys/ledger.vkey", "--admin", "keys/admin.vkey"];
        ledger.ok(&[&["audit", "sync"][..], &place, &keys].concat());
    }
    (ledger, server)
}

fn json(ledger: &Ledger, who: &str, args: &[&str]) -> Value {
    let vault = format!("vault-{who}");
    let text = ledger.ok(&[&["audit"][..], args, &["--vault", &vault, "--offline"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

fn hits(found: &Value) -> Vec<u64> {
    found["hits"].as_array().unwrap().iter().map(|h| h["record"].as_u64().unwrap()).collect()
}

#[test]
fn each_auditor_gets_what_is_theirs() {
    let (ledger, _server) = set_up();
    let of_patient: Vec<u64> = (0..40).filter(|n| n % 4 == 1).chain([40]).collect();
    // With and without `Patient/`, whatever version and address the reference had.
    for id in ["PAT-1", "Patient/PAT-1", "pat-1"] {
        assert_eq!(hits(&json(&ledger, "alice", &["search", "--patient", id, "--json"])), of_patient, "{id}");
    }
    assert_eq!(hits(&json(&ledger, "alice", &["search", "--actor", "dr-9", "--json"])), [40]);
    let bobs = json(&ledger, "bob", &["search", "--patient", "PAT-1", "--json"]);
    assert_eq!(hits(&bobs), [] as [u64; 0]);
    assert_eq!(bobs["hidden_sections"][0][1], "patient", "it is said why: {bobs}");
    let by_actor = json(&ledger, "bob", &["search", "--actor", "dr-1", "--json"]);
    assert_eq!(hits(&by_actor), (0..40).filter(|n| n % 3 == 1).collect::<Vec<u64>>());
    assert_eq!(by_actor["hits"][0]["withheld"][0], "patient");
    assert_eq!(by_actor["hits"][0]["event"]["resource"]["id"]["$sealed"], "patient");
    // The same by SQL: bob counts all events and knows no patient.
    let count =
        "SELECT count(*) AS n, count(patient) AS p FROM events WHERE event_type = 'patient_record_access'";
    let row = |who| json(&ledger, who, &["sql", "--format", "json", count])[0].clone();
    assert_eq!((row("alice")["n"].clone(), row("alice")["p"].clone()), (40.into(), 40.into()));
    assert_eq!((row("bob")["n"].clone(), row("bob")["p"].clone()), (40.into(), 0.into()));
    // A report says what it could not see.
    let report =
        |who| json(&ledger, who, &["report", "patient-access", "--patient", "PAT-1", "--format", "json"]);
    let alices = report("alice");
    assert_eq!(alices["coverage"]["withheld_sections"].as_object().map(serde_json::Map::len), Some(0));
    assert!(
        alices.to_string().contains("\"dr-9\"") && !alices.to_string().contains("dr-9/_history"),
        "{alices}"
    );
    let bobs = report("bob");
    assert!(bobs["coverage"]["withheld_sections"].to_string().contains("patient"), "{}", bobs["coverage"]);
    // Evidence: bob proves what he may read, and cannot show the patient.
    let vault = ["--vault", "vault-bob", "--offline"];
    ledger.ok(&[&["audit", "disclose", "1", "--fields", "/actor/user_id", "--out", "who.json"][..], &vault]
        .concat());
    let said = ledger.ok(&["verify", "who.json", "--key", "keys/ledger.vkey"]);
    assert!(said.contains("/actor/user_id was \"dr-1\"") && !said.contains("PAT-1"), "{said}");
    let why = ledger.fails(
        2,
        &[&["audit", "disclose", "1", "--fields", "/resource/id", "--out", "no.json"][..], &vault].concat(),
    );
    assert!(why.contains("patient"), "{why}");
}

/// An answer with holes is never called complete, and a damaged vault is no empty one.
#[test]
fn what_was_not_looked_at_is_not_passed_over() {
    let (ledger, _server) = set_up();
    let said = |who: &str, more: &[&str]| {
        let vault = format!("vault-{who}");
        let args = ["audit", "search", "--patient", "PAT-1", "--offline", "--vault", &vault];
        let out = ledger.run(&[&args[..], more].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, all) = said("alice", &[]);
    assert!(code == Some(0) && all.trim_end().ends_with("; complete"), "{all}");
    let (code, cut) = said("alice", &["--limit", "3"]);
    assert!(code == Some(0) && cut.contains("NOT complete"), "{cut}");
    let (code, part) = said("bob", &[]);
    assert!(code == Some(0) && part.contains("NOT complete") && part.contains("not searchable"), "{part}");
    // One byte of the batch's header, in the first chunk of its body.
    let database = rusqlite::Connection::open(ledger.path("vault-alice/ledger.db")).unwrap();
    let (id, mut data): (i64, Vec<u8>) = database
        .query_row("SELECT id, data FROM body_chunk ORDER BY id LIMIT 1", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    data[300] ^= 1;
    database.execute("UPDATE body_chunk SET data = ?2 WHERE id = ?1", (id, data)).unwrap();
    drop(database);
    let (code, damaged) = said("alice", &[]);
    assert!(code == Some(1) && damaged.contains("is damaged"), "{damaged}");
}

#[test]
fn an_erasure_reaches_every_vault() {
    let (ledger, server) = set_up();
    ledger.ok(&["audit", "sync", "--persist", "--vault", "vault-bob"]);
    ledger.ok(&["keygen", "officer", "test.example/officers/dpo", "--file", "dpo"]);
    ledger.ok(&["officer", "add", "keys/dpo.vkey"]);
    ledger.ok(&["hold", "place", "case-1", "--records", "1", "--reason", "litigation"]);
    let erase = [
        "erase",
        "--records",
        "1",
        "--reason",
        "gdpr-17",
        "--legal-basis",
        "Art. 17(1)(a) GDPR",
        "--officer",
        "keys/dpo.key",
    ];
    assert!(ledger.fails(2, &erase).contains("case-1"), "a hold stops it");
    ledger.ok(&["hold", "release", "case-1", "--reason", "closed"]);
    let before = std::fs::read(ledger.path("vault-alice/ledger.db")).unwrap();
    ledger.ok(&erase);
    assert!(ledger.ok(&erase).contains("nothing done"), "one order is enough");
    for name in ["alice", "bob"] {
        let vault = format!("vault-{name}");
        let synced: Value =
            serde_json::from_str(&ledger.ok(&["audit", "sync", "--json", "--vault", &vault])).unwrap();
        assert_eq!(synced["dropped"], 1, "{synced}");
        assert!(!hits(&json(&ledger, name, &["search", "--actor", "dr-1", "--json"])).contains(&1));
        let state =
            json(&ledger, name, &["sql", "--format", "json", "SELECT state FROM records WHERE record < 3"]);
        assert_eq!((&state[0]["state"] == "erased", &state[1]["state"] == "erased"), (false, true));
        let said = ledger.run(&["audit", "open", "1", "--offline", "--vault", &vault]);
        assert!(
            said.status.success() && String::from_utf8_lossy(&said.stderr).contains("Art. 17(1)(a) GDPR")
        );
    }
    // A piece of the record's ciphertext from before is in no file of the vault any more.
    let client = ledger.reader_client(&server);
    assert_eq!(client.record(1).unwrap().bytes.len() / 4 * 3 / 97, 1, "what is left of it is three hashes");
    let after = std::fs::read(ledger.path("vault-alice/ledger.db")).unwrap();
    assert_ne!(before, after);
    let pieces = |bytes: &[u8]| bytes.windows(32).filter(|w| w.iter().all(|b| *b == 0)).count();
    assert!(pieces(&after) > pieces(&before), "the place of the ciphertext is empty");
    ledger.ok(&["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"]);
    // Evidence of it: that it existed, and the order.
    ledger.ok(&[
        "audit",
        "export",
        "--records",
        "0..2",
        "--out",
        "three.json",
        "--vault",
        "vault-alice",
        "--offline",
    ]);
    let said = ledger.ok(&["verify", "three.json", "--key", "keys/ledger.vkey"]);
    assert!(said.contains("gdpr-17"), "{said}");
}
