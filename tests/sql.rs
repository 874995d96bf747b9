//! `audit sql` by the real program, over a vault of a real ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::process::Stdio;

use support::{Ledger, program};

const EVENTS: [&str; 3] = [
    r#"{"event_type":"patient_record_access","actor":{"user_id":"dr-smith-4421"},"action":"read","result":"allowed",
    "resource":{"type":"patient_record","id":"PAT-1"},"timestamp":"2026-01-05T10:00:00Z"}"#,
    r#"{"event_type":"patient_record_access","actor":{"user_id":"nurse-7"},"action":"read","result":"denied",
    "resource":{"type":"patient_record","id":"PAT-1"},"timestamp":"2026-01-06T10:00:00Z"}"#,
    r#"{"category":"access","action":"login_failed","subject":"user:=cmd()","details":{"ip":"192.0.2.1"}}"#,
];

#[test]
fn an_auditor_asks_in_sql() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let lines: Vec<String> = EVENTS.iter().map(|e| e.replace('\n', "")).collect();
    std::fs::write(ledger.path("e.ndjson"), lines.join("\n")).unwrap();
    ledger.ok(&["log", "e.ndjson", "--server", &server.url]);
    let sync = ["--server", &server.url, "--key", "keys/ledger.vkey", "--identity", "keys/alice.identity"];
    let first = "SELECT record, state, actor, patient, outcome FROM records";
    let table = ledger.ok(&[&["audit", "sql", first][..], &sync].concat());
    drop(server);
    assert_eq!(
        table,
        "record  state   actor          patient  outcome\n\
         ------  ------  -------------  -------  -------\n     \
         0  opened  dr-smith-4421  PAT-1    allowed\n     \
         1  opened  nurse-7        PAT-1    denied\n     \
         2  opened  =cmd()                  failed\n(3 rows)\n"
    );

    let offline = |more: &[&str]| ledger.run(&[&["audit", "sql", "--offline"][..], more].concat());
    let out = |more: &[&str]| {
        let done = offline(more);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let by_patient = "SELECT actor FROM events WHERE patient = ? AND time >= $2 ORDER BY time";
    let params = ["--param", "PAT-1", "--param", "2026-01-06", "--format", "ndjson"];
    assert_eq!(out(&[&[by_patient][..], &params].concat()), "{\"actor\":\"nurse-7\"}\n");
    assert_eq!(
        out(&["SELECT actor FROM events", "--records", "2..2", "--format", "csv"]),
        "actor\r\n'=cmd()\r\n"
    );
    let printed = "SELECT key, json_array_length(value) as event_count FROM world_state WHERE key LIKE ?";
    let counts = out(&[printed, "--param", "audit:index:category:%", "--format", "json"]);
    assert_eq!(counts, "[\n{\"key\":\"audit:index:category:access\",\"event_count\":1}\n]\n");

    let mut script = program();
    script.args(["audit", "sql", "--offline", "--format", "csv"]).current_dir(ledger.dir.path());
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SELECT 1 AS a;\n-- two\nSELECT count(*) AS n FROM events;\n")
        .unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "a\r\n1\r\nn\r\n3\r\n");

    for (more, code, words) in [
        (&["SELECT patint FROM events"][..], 2, "there is no column patint. Columns:\n  events: record"),
        (&["DROP VIEW events"], 2, "only SELECT is possible here"),
        (&["SELECT 1", "--records", "2..3"], 2, "2..3 goes beyond this ledger's 3 records"),
        (&["SELECT ?"], 2, "1 parameter, and none was given with --param"),
    ] {
        let failed = offline(more);
        let message = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(code), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let files: Vec<String> = walk(ledger.dir.path()).into_iter().filter(|f| f.contains("history")).collect();
    assert!(files.is_empty(), "{files:?}");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
