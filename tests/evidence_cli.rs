//! `audit export`, `audit disclose` and `verify` of evidence, as people run them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{LEDGER, Ledger};

const EVENTS: &str = concat!(
    r#"{"actor":{"user_id":"dr-smith-4421","role":"physician"},"resource":{"id":"PAT-2026-00842"},"#,
    r#""timestamp":"2026-07-21T10:00:00Z","result":"allowed"}"#,
    "\n",
    r#"{"actor":{"user_id":"nurse-jones-1180","role":"nurse"},"resource":{"id":"PAT-2026-00842"},"#,
    r#""timestamp":"2026-07-21T11:00:00Z","result":"denied"}"#,
    "\n"
);

#[test]
fn disclose_export_verify() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    std::fs::write(ledger.path("events.ndjson"), EVENTS).unwrap();
    ledger.ok(&["log", "events.ndjson", "--server", &server.url]);
    let reader = ["--identity", "keys/alice.identity", "--key", "keys/ledger.vkey", "--server", &server.url];
    let run = |args: &[&str]| ledger.run(&[args, &reader[..]].concat());
    let verify = |file: &str| ledger.ok(&["verify", file, "--key", "keys/ledger.vkey"]);

    // One field of one record, for a stranger.
    let out = run(&[
        "audit",
        "disclose",
        "EVT-00000000",
        "--fields",
        "/actor/user_id,/timestamp",
        "--out",
        "who.json",
    ]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = verify("who.json");
    for line in [
        &format!("Record EVT-00000000 existed in the ledger {LEDGER} at the latest on "),
        "The field /actor/user_id was \"dr-smith-4421\".",
        "The field /timestamp was \"2026-07-21T10:00:00Z\".",
        "Nothing is shown about 3 other fields.",
        "It is not signed, so anybody",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let file = std::fs::read_to_string(ledger.path("who.json")).unwrap();
    assert!(!file.contains("PAT-2026-00842") && !said.contains("physician"));
    #[cfg(unix)]
    {
        let mode = std::fs::metadata(ledger.path("who.json")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    }

    // A selection, signed.
    ledger.ok(&["keygen", "officer", "test.example/auditors/alice", "--file", "alice-sign"]);
    let out = run(&[
        "audit",
        "export",
        "--records",
        "0..1",
        "--out",
        "all.json",
        "--sign",
        "keys/alice-sign.key",
        "--title",
        "July",
    ]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("2 shown whole"));
    let signer = ["verify", "all.json", "--key", "keys/ledger.vkey", "--signer"];
    let said = ledger.ok(&[&signer[..], &["keys/alice-sign.vkey", "--writer", "keys/gateway.vkey"]].concat());
    assert!(
        said.contains("by the holder of the key you gave") && said.contains("signature was checked"),
        "{said}"
    );
    assert!(
        said.contains("\n      Its maker calls it: \"July\"\n") && said.contains("\"nurse-jones-1180\""),
        "{said}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&ledger.ok(&["verify", "all.json", "--key", "keys/ledger.vkey", "--json"]))
            .unwrap();
    assert_eq!(json["records"][1]["shown"]["event_as_written_by_exporter"], EVENTS.lines().nth(1).unwrap());
    let message = ledger.fails(1, &[&signer[..], &["keys/admin.vkey"]].concat());
    assert!(message.contains("is signed by"), "{message}");
    ledger.fails(1, &["verify", "who.json", "--key", "keys/ledger.vkey", "--signer", "keys/alice-sign.vkey"]);

    // Existence alone: no identity, no session.
    ledger.ok(&[
        "audit",
        "export",
        "--records",
        "1",
        "--hashes-only",
        "--out",
        "hashes.json",
        "--key",
        "keys/ledger.vkey",
        "--server",
        &server.url,
    ]);
    assert!(verify("hashes.json").contains("Nothing is shown of what it says."));

    // Changed, cut, of another ledger: exit 1 with the reason.
    let bend = |from: &str, to: &str| {
        let text = std::fs::read_to_string(ledger.path("who.json")).unwrap();
        assert!(text.contains(from));
        std::fs::write(ledger.path("bent.json"), text.replacen(from, to, 1)).unwrap();
        ledger.fails(1, &["verify", "bent.json", "--key", "keys/ledger.vkey"])
    };
    assert!(
        bend("dr-smith", "dr-smyth")
            .contains("EVT-00000000: the field /actor/user_id of its section event is not what")
    );
    assert!(bend("]}\n", "").contains("not an evidence file"));
    let message = ledger.fails(1, &["verify", "who.json", "--key", "keys/admin.vkey"]);
    assert!(message.contains("the key belongs to"), "{message}");
    let out = ledger.run(&["verify", "bent.json", "--key", "keys/ledger.vkey", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &json["proven"]), (Some(1), &false.into()));

    // Witnesses: nobody cosigned.
    std::fs::write(ledger.path("none.policy"), "quorum none\n").unwrap();
    ledger.ok(&["verify", "who.json", "--key", "keys/ledger.vkey", "--witness-policy", "none.policy"]);
    std::fs::write(ledger.path("bad.policy"), "quorum w1\n").unwrap();
    let message = ledger
        .fails(2, &["verify", "who.json", "--key", "keys/ledger.vkey", "--witness-policy", "bad.policy"]);
    assert!(message.contains("line 1") && message.contains("w1"), "{message}");

    // What a person can get wrong.
    for (args, says) in [
        (
            &["audit", "disclose", "0", "--fields", "/nope", "--out", "x.json"][..],
            "has no field /nope; it has /actor",
        ),
        (&["audit", "disclose", "0", "--fields", "actor", "--out", "x.json"], "JSON Pointer such as"),
        (&["audit", "disclose", "77777", "--fields", "/a", "--out", "x.json"], "77777"),
        (&["audit", "export", "--records", "0..77777", "--out", "x.json"], "there is no record 77777"),
        (&["audit", "export", "--records", "0..100000", "--out", "x.json"], "more than 100000 records"),
        (&["audit", "export", "--records", "5..2", "--out", "x.json"], "ends before it begins"),
        (&["audit", "export", "--records", "0", "--out", "who.json"], "exists already"),
    ] {
        let out = run(args);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(says), "{args:?}: {message}");
        assert!(!ledger.path("x.json").exists());
    }
    for file in ["who.json", "all.json"] {
        ledger.fails(2, &["verify", file, "--key", "keys/ledger.vkey", "--ciphertext", "who.json"]);
    }
}

#[test]
fn proof_files_take_a_witness_policy_too() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    std::fs::write(ledger.path("events.ndjson"), EVENTS).unwrap();
    ledger.ok(&["log", "events.ndjson", "--server", &server.url]);
    ledger.ok(&["prove", "0", "--out", "p.json", "--server", &server.url]);
    std::fs::write(ledger.path("none.policy"), "# nobody\nquorum none\n").unwrap();
    let said =
        ledger.ok(&["verify", "p.json", "--key", "keys/ledger.vkey", "--witness-policy", "none.policy"]);
    assert!(said.contains("PROVEN") && said.contains("asks for no witness"), "{said}");
    let w = "witness.example/w1+";
    let key = sealtrail::chain::key::SigningKey::from_seed(
        "witness.example/w1",
        &sealtrail::base::secret::Secret::fill(|b| b.fill(7)),
    );
    let vkey = key.unwrap().cosigner().to_string();
    assert!(vkey.starts_with(w));
    std::fs::write(ledger.path("w.policy"), format!("witness w1 {vkey}\nquorum w1\n")).unwrap();
    let message =
        ledger.fails(1, &["verify", "p.json", "--key", "keys/ledger.vkey", "--witness-policy", "w.policy"]);
    assert!(message.contains("quorum w1 is not reached"), "{message}");
    ledger.fails(2, &["verify", "p.json", "--key", "keys/ledger.vkey", "--signer", "keys/ledger.vkey"]);
}
