//! `audit report` as an auditor on the first day uses it: the program, a server, a vault, real events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use support::*;

const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/demo/events.ndjson");

#[test]
fn from_the_first_sync_to_a_page() {
    let l = Ledger::new();
    let server = l.serve();
    l.ok(&["log", EVENTS, "--server", &server.url]);
    l.ok(&[
        "audit",
        "sync",
        "--server",
        &server.url,
        "--key",
        "keys/ledger.vkey",
        "--identity",
        "keys/alice.identity",
    ]);
    let all = l.ok(&["audit", "report", "list"]);
    assert!(
        all.contains("patient-access\n") && all.contains("needs --patient") && all.contains("45 CFR 164.528")
    );

    // Four events of the file name the patient in three shapes; a fifth is an emergency, the third was denied.
    let patient = ["--patient", "PAT-2026-00842"];
    let run = |args: &[&str]| l.ok(&[&["audit", "report", "patient-access"], &patient[..], args].concat());
    let lines = run(&["--format", "csv"]);
    let mut reader = csv::Reader::from_reader(lines.as_bytes());
    let head = reader.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let users: Vec<&str> = rows.iter().map(|r| &r[column("user")]).collect();
    assert_eq!(
        users,
        ["dr-smith-4421", "dr-smith-4421", "clerk-jones-7", "nurse-okafor-118", "dr-smith-4421"]
    );
    assert_eq!(&rows[2][column("outcome")], "denied");
    assert_eq!(&rows[4][column("record_ids")], "EVT-00000000");

    let whole: Value =
        serde_json::from_str(&run(&["--format", "json", "--to", "2026-11-21T09:20", "--offline"])).unwrap();
    assert_eq!(
        (&whole["coverage"]["selected"], &whole["coverage"]["opened_in_part"]),
        (&3.into(), &0.into())
    );
    assert_eq!(whole["as_of"]["ledger"], LEDGER);

    run(&["--hide-staff", "--out", "answer.html"]);
    let page = std::fs::read_to_string(l.path("answer.html")).unwrap();
    assert!(
        page.contains("Staff member 1") && !page.contains("dr-smith") && page.contains("sealtrail verify")
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(l.path("answer.html")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds personal data");
    }

    // A report about the chain opens nothing that nobody asked for: here an event that came months late.
    let late = r#"{"event_type":"read","actor":{"user_id":"dr-late"},"timestamp":"2026-01-31T10:00:00Z"}"#;
    l.writer_client(&server).log_ndjson(late.as_bytes()).unwrap();
    l.ok(&["audit", "report", "integrity", "--out", "chain.html"]);
    let said = l.ok(&["verify", "chain.evidence.json", "--key", "keys/ledger.vkey"]);
    let evidence = std::fs::read_to_string(l.path("chain.evidence.json")).unwrap();
    assert!(said.contains("Nothing is shown") && evidence.contains("\"opened\":null"), "{said}");

    let fails = |code, args: &[&str]| l.fails(code, &[&["audit", "report"], args].concat());
    let again = fails(2, &["patient-access", "--patient", "PAT-2026-00842", "--out", "answer.html"]);
    assert!(again.contains("answer.html"), "{again}");
    assert_eq!(std::fs::read_to_string(l.path("answer.html")).unwrap(), page, "not overwritten");
    assert!(fails(2, &["patient-access"]).contains("give for example --patient"));
    assert!(fails(2, &["after-hours"]).contains("--timezone Europe/Berlin"));
    assert!(fails(2, &["denied", "--from", "yesterday"]).contains("write 2026-01-31"));
    assert!(fails(2, &["denied", "--timezone", "Mars/Olympus"]).contains("Europe/Berlin"));
    assert!(fails(2, &["patient-acces", "--patient", "x"]).contains("patient-access"));
    assert!(fails(2, &["denied", "--format", "csv", "--table", "nothing"]).contains("addresses, events"));
    assert!(fails(2, &["denied", "--table", "users"]).contains("--format csv"));
}
