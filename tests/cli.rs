//! The command line: exit codes, messages, and what it finds in ledgers that someone has changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;
use support::{LEDGER, Ledger, Server, program};

/// A stopped ledger with three blocks of events, and a proof of record 1.
fn filled() -> Ledger {
    let ledger = Ledger::new();
    let server = ledger.serve();
    for n in [1, 3, 2] {
        let events: Vec<String> = (0..n).map(|i| format!("{{\"n\":{i},\"text\":\"some words\"}}")).collect();
        std::fs::write(ledger.path("e.ndjson"), events.join("\n")).unwrap();
        ledger.ok(&["log", "e.ndjson", "--server", &server.url]);
    }
    ledger.ok(&["prove", "EVT-00000001", "--out", "p.json", "--server", &server.url]);
    drop(server);
    ledger
}

const VERIFY_FILE: [&str; 6] = ["audit", "verify", "--key", "keys/ledger.vkey", "--file", "copy.db"];

/// A copy of the database in one file.
fn copy(ledger: &Ledger) -> Connection {
    let copy = ledger.path("copy.db");
    let _ = std::fs::remove_file(&copy);
    let db = Connection::open(ledger.path("ledger.db")).unwrap();
    db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    Connection::open(copy).unwrap()
}

/// What a database administrator can do: anything. Triggers are put back, since the program compares the schema.
fn tamper(ledger: &Ledger, sql: &str) {
    let db = copy(ledger);
    let mut triggers = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        triggers.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (name, _) in &triggers {
        db.execute(&format!("DROP TRIGGER {name}"), []).unwrap();
    }
    db.execute_batch(sql).unwrap();
    for (_, sql) in &triggers {
        db.execute(sql, []).unwrap();
    }
}

/// Flips a bit `from_end` bytes before the end of a row's blob.
fn flip(ledger: &Ledger, table: &str, column: &str, row: u64, from_end: usize) {
    let db = copy(ledger);
    let rows = format!("SELECT rowid, {column} FROM {table} ORDER BY rowid LIMIT 1 OFFSET {row}");
    let (id, mut blob): (i64, Vec<u8>) = db.query_row(&rows, [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    drop(db);
    let at = blob.len() - from_end;
    blob[at] ^= 1;
    let hex: String = blob.iter().map(|b| format!("{b:02x}")).collect();
    tamper(ledger, &format!("UPDATE {table} SET {column} = x'{hex}' WHERE rowid = {id}"));
}

#[test]
fn a_changed_database_is_found_and_the_place_is_named() {
    let ledger = filled();
    copy(&ledger);
    assert!(ledger.ok(&VERIFY_FILE).starts_with("HOLDS"));
    // The last byte of the second body is ciphertext of record 3, the last of its block.
    flip(&ledger, "body_chunk", "data", 1, 1);
    let found = ledger.fails(1, &VERIFY_FILE);
    assert!(found.contains("EVT-00000003") && found.contains("ciphertext"), "{found}");
    flip(&ledger, "leaf_chunk", "data", 1, 96 * 2);
    let found = ledger.fails(1, &VERIFY_FILE);
    assert!(found.contains("block 2"), "{found}");
    // A block text: in its statement, and in its header.
    for text in ["records 3", "first-record 1"] {
        tamper(
            &ledger,
            &format!(
                "UPDATE block SET text = CAST(replace(CAST(text AS TEXT), '{text}', '{text}0') AS BLOB) WHERE height = 2"
            ),
        );
        let found = ledger.fails(1, &VERIFY_FILE);
        assert!(found.contains("block 2") || found.contains("damaged"), "{found}");
    }
    // Texts of two blocks exchanged.
    tamper(
        &ledger,
        "CREATE TEMP TABLE t AS SELECT * FROM block; UPDATE block SET text = (SELECT text FROM t WHERE t.height = 4 - block.height) WHERE height IN (1, 3);",
    );
    let found = ledger.fails(1, &VERIFY_FILE);
    assert!(found.contains("block 1"), "{found}");
    // The last block cut off; a body gone; another checkpoint.
    tamper(
        &ledger,
        "DELETE FROM block WHERE height = 3; DELETE FROM body_chunk WHERE id >= 3 << 12; DELETE FROM leaf_chunk WHERE id >= 3 << 12;",
    );
    let found = ledger.fails(1, &VERIFY_FILE);
    assert!(found.contains("block 3") || found.contains("damaged"), "{found}");
    tamper(
        &ledger,
        "DELETE FROM body_chunk WHERE id = (SELECT id FROM body_chunk ORDER BY id LIMIT 1 OFFSET 1)",
    );
    let found = ledger.fails(1, &VERIFY_FILE);
    assert!(found.contains("block 2"), "{found}");
    flip(&ledger, "head", "checkpoint", 0, 10);
    ledger.fails(1, &VERIFY_FILE);
    // What cannot even be read as what it should be does not hold either: leaf inputs gone, and rows longer than any of ours.
    for sql in
        ["DELETE FROM leaf_chunk WHERE id = 2 << 12", "UPDATE leaf_chunk SET data = zeroblob(70000000)"]
    {
        tamper(&ledger, sql);
        let found = ledger.fails(1, &VERIFY_FILE);
        assert!(found.contains("damaged"), "{found}");
    }
    // Files that are no database, or cut short: nothing is said about the ledger, but it is no success either.
    let bytes = std::fs::read(ledger.path("ledger.db")).unwrap();
    for cut in [0, 100, 5000, bytes.len() / 2] {
        std::fs::write(ledger.path("copy.db"), &bytes[..cut]).unwrap();
        let out = ledger.run(&VERIFY_FILE);
        assert!(matches!(out.status.code(), Some(1..=3)), "cut at {cut}");
    }
    std::fs::write(ledger.path("copy.db"), "not a database, but long enough to look into".repeat(100))
        .unwrap();
    ledger.fails(2, &VERIFY_FILE);
}

#[test]
fn a_proof_is_verified_offline_and_a_changed_one_refused() {
    let ledger = filled();
    let key = std::fs::read_to_string(ledger.path("keys/ledger.vkey")).unwrap();
    let said = ledger.ok(&["verify", "p.json", "--key", key.trim()]);
    assert!(said.starts_with("PROVEN: record EVT-00000001"), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&ledger.ok(&["verify", "p.json", "--key", "keys/ledger.vkey", "--json"]))
            .unwrap();
    assert_eq!((&json["proven"], &json["record"]), (&true.into(), &1.into()));
    let said = ledger.ok(&["verify", "p.json", "--key", "keys/ledger.vkey", "--writer", "keys/gateway.vkey"]);
    assert!(said.contains("signature checked"), "{said}");
    ledger.fails(1, &["verify", "p.json", "--key", "keys/ledger.vkey", "--writer", "keys/admin.vkey"]);
    ledger.fails(1, &["verify", "p.json", "--key", "keys/admin.vkey"]);
    ledger.fails(2, &["verify", "p.json", "--key", "nonsense+key"]);
    ledger.fails(2, &["verify", "missing.json", "--key", "keys/ledger.vkey"]);
    // Each character that matters, changed: white space between members does not.
    let proof = std::fs::read(ledger.path("p.json")).unwrap();
    let mut accepted = 0;
    for at in (0..proof.len()).step_by(41) {
        let mut bent = proof.clone();
        bent[at] = if bent[at] == b'7' { b'8' } else { b'7' };
        std::fs::write(ledger.path("bent.json"), &bent).unwrap();
        let out = ledger.run(&["verify", "bent.json", "--key", "keys/ledger.vkey"]);
        accepted += usize::from(out.status.success());
        assert!(out.status.success() || out.status.code() == Some(1), "byte {at}");
    }
    assert_eq!(accepted, 0);
    std::fs::write(ledger.path("bent.json"), &proof[..proof.len() / 2]).unwrap();
    ledger.fails(1, &["verify", "bent.json", "--key", "keys/ledger.vkey"]);
}

#[test]
fn keys_and_settings_are_refused_with_what_to_do() {
    let ledger = filled();
    let server = ledger.serve();
    let open = ["audit", "open", "0", "--key", "keys/ledger.vkey", "--server", &server.url, "--identity"];
    let with = |identity: &'static str| [&open[..], &[identity]].concat();
    assert!(ledger.ok(&with("keys/alice.identity")).contains("some words"));
    let mode = |mode| {
        std::fs::set_permissions(ledger.path("keys/alice.identity"), std::fs::Permissions::from_mode(mode))
            .unwrap()
    };
    mode(0o644);
    assert!(ledger.fails(2, &with("keys/alice.identity")).contains("chmod 600"));
    mode(0o600);
    ledger.fails(2, &with("keys/alice.recipient"));
    let said = ledger.fails(2, &with("keys/ledger.vkey"));
    assert!(said.contains("is a public key") && !said.contains("chmod"), "{said}");
    ledger.fails(2, &with("keys/nobody.identity"));
    ledger.ok(&["keygen", "reader", "mallory"]);
    assert!(ledger.fails(2, &with("keys/mallory.identity")).contains("not a reader"));
    let exists = ledger.fails(2, &["keygen", "reader", "alice"]);
    assert!(exists.contains("exists"), "{exists}");
    ledger.fails(
        2,
        &[
            "audit",
            "open",
            "99",
            "--key",
            "keys/ledger.vkey",
            "--server",
            &server.url,
            "--identity",
            "keys/alice.identity",
        ],
    );
    // A second server on the same ledger, the port of the first, no server at all.
    assert!(ledger.fails(2, &["serve", "--listen", "127.0.0.1:0"]).contains("stop it first"));
    let other = Ledger::new();
    let port = server.url.trim_start_matches("http://").to_owned();
    assert!(other.fails(2, &["serve", "--listen", &port]).contains("cannot listen"));
    assert!(other.fails(2, &["serve", "--listen", "0.0.0.0:0"]).contains("TLS"));
    drop(server);
    let said = ledger.fails(3, &["prove", "0", "--server", "http://127.0.0.1:1"]);
    assert!(said.contains("cannot be reached"), "{said}");
    // Settings with a typing error; a database of another ledger; a rollback; a lost guard.
    let settings = std::fs::read_to_string(ledger.path("sealtrail.toml")).unwrap();
    std::fs::write(ledger.path("sealtrail.toml"), settings.replace("database =", "databse =")).unwrap();
    assert!(ledger.fails(2, &["serve"]).contains("databse"));
    std::fs::write(ledger.path("sealtrail.toml"), &settings).unwrap();
    ledger.fails(2, &["init", LEDGER]);
}

/// Being in the wrong folder, on another machine, or another user, is none of them a reason to make a new ledger.
#[test]
fn who_cannot_read_the_settings_or_a_key_is_told_why() {
    let elsewhere = Ledger { dir: tempfile::tempdir().unwrap() };
    for command in ["stats", "fsck", "serve"] {
        let said = elsewhere.fails(2, &[command]);
        assert!(said.contains("go to the ledger's folder") && !said.contains("--server"), "{said}");
    }
    elsewhere.ok(&["keygen", "officer", "test.example/officers/dpo", "--file", "dpo"]);
    let order = ["erase", "--records", "0", "--reason", "gdpr-17", "--legal-basis", "x", "--officer"];
    let said = elsewhere.fails(2, &[&order[..], &["keys/dpo.key"]].concat());
    assert!(said.contains("name its server with --server"), "{said}");
    let ledger = Ledger::new();
    std::os::unix::fs::symlink("/nowhere/at/all", ledger.path("keys/brought.key")).unwrap();
    let said = ledger.fails(2, &["passphrase", "keys/brought.key"]);
    assert!(said.contains("a link that leads nowhere"), "{said}");
    ledger.mode("", 0o755);
    for name in ["sealtrail.toml", "keys/ledger.key"] {
        ledger.mode(name, 0);
    }
    let (code, said) = ledger.by_another(&["stats"]);
    assert!(code == Some(2) && said.contains("permission denied: sealtrail.toml"), "{said}");
    let (code, said) = ledger.by_another(&["passphrase", "keys/ledger.key"]);
    assert!(code == Some(2) && said.contains("cannot open keys/ledger.key: permission denied"), "{said}");
}

/// A database that belongs to somebody else is no full disk. Only root can give files away.
#[test]
fn a_database_that_may_only_be_read_is_not_taken_for_a_full_disk() {
    use std::os::unix::fs::chown;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let ledger = Ledger::new();
    for name in ["", "keys", "keys/ledger.key", "keys/gateway.key", "ledger.db.lock", "ledger.db.last-signed"]
    {
        chown(ledger.path(name), Some(support::OTHER_USER), Some(support::OTHER_USER)).unwrap();
    }
    ledger.mode("ledger.db", 0o444);
    let (code, said) = ledger.by_another(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == Some(3) && said.contains("must belong to the user who runs this"), "{said}");
    assert!(!said.contains("free space"), "{said}");
}

#[test]
fn a_restored_backup_a_lost_guard_and_a_foreign_database_are_refused() {
    let ledger = filled();
    // An old backup, whole and in one file; then the ledger goes on.
    copy(&ledger);
    let server = ledger.serve();
    ledger.writer_client(&server).post("/v1/events", "application/json", b"{\"later\":1}").unwrap();
    drop(server);
    let restore = |bytes: &[u8], wal: Option<Vec<u8>>| {
        std::fs::write(ledger.path("ledger.db"), bytes).unwrap();
        let _ = std::fs::remove_file(ledger.path("ledger.db-shm"));
        match wal {
            Some(wal) => std::fs::write(ledger.path("ledger.db-wal"), wal).unwrap(),
            None => drop(std::fs::remove_file(ledger.path("ledger.db-wal"))),
        }
    };
    let current =
        (std::fs::read(ledger.path("ledger.db")).unwrap(), std::fs::read(ledger.path("ledger.db-wal")).ok());
    restore(&std::fs::read(ledger.path("copy.db")).unwrap(), None);
    let said = ledger.fails(1, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("older backup") && said.contains("-wal was removed"), "{said}");
    restore(&current.0, current.1.clone());
    std::fs::rename(ledger.path("ledger.db.last-signed"), ledger.path("hidden")).unwrap();
    let said = ledger.fails(2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("--accept-database-head"), "{said}");
    let _ = std::fs::remove_file(ledger.path("ledger.db.last-signed"));
    std::fs::rename(ledger.path("hidden"), ledger.path("ledger.db.last-signed")).unwrap();
    let other = Ledger { dir: tempfile::tempdir().unwrap() };
    other.ok(&["init", "other.example/log"]);
    std::fs::copy(ledger.path("ledger.db"), other.path("ledger.db")).unwrap();
    if let Some(wal) = &current.1 {
        std::fs::write(other.path("ledger.db-wal"), wal).unwrap();
    }
    let said = other.fails(2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("belongs to the ledger"), "{said}");
    let server = ledger.serve();
    assert_eq!(server.client().ledger().unwrap().records, 7);
}

/// The checkpoint that the auditor remembers, and the one that the operator's server left beside the database, are told apart: the
/// operator can sign another history and leave a newer one there.
#[test]
fn the_history_is_that_of_the_auditors_own_checkpoint() {
    const FILES: [&str; 3] = ["ledger.db", "ledger.db-wal", "ledger.db.last-signed"];
    let ledger = filled();
    let save = |from: &str, to: &str| {
        let _ = std::fs::remove_file(ledger.path("ledger.db-shm"));
        for file in FILES {
            let (from, to) = (ledger.path(&format!("{from}{file}")), ledger.path(&format!("{to}{file}")));
            let _ = std::fs::remove_file(&to);
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
    };
    let log = |n: u64| {
        let server = ledger.serve();
        for i in 0..n {
            let event = format!("{{\"later\":{n},\"i\":{i}}}");
            ledger.writer_client(&server).post("/v1/events", "application/json", event.as_bytes()).unwrap();
        }
    };
    let verify = |file: &'static str, seen: Option<&'static str>| {
        let mut args = vec!["audit", "verify", "--key", "keys/ledger.vkey", "--file", file];
        args.extend(seen.into_iter().flat_map(|seen| ["--checkpoint", seen]));
        args
    };
    let history = |file, seen| {
        let said = ledger.ok(&verify(file, seen));
        let line = said.lines().find_map(|l| l.strip_prefix("  history "));
        line.unwrap_or_else(|| panic!("{said}")).trim().to_owned()
    };
    let advice = "give --checkpoint FILE to have a ledger found out that is cut off or rolled back later";
    let operators = "goes as far as the operator's own last-signed file beside it; ";
    let own = "continues the checkpoint seen before";
    save("", "old-");
    log(1);
    copy(&ledger);
    // Nothing beside it; the operator's file; and from then on the auditor's, whatever lies beside.
    assert_eq!(history("copy.db", None), advice);
    assert_eq!(history("copy.db", Some("copy.note")), "from now on remembered in copy.note");
    assert_eq!(history("copy.db", Some("copy.note")), own);
    assert_eq!(history("ledger.db", None), format!("{operators}{advice}"));
    let from_now_on = format!("{operators}from now on remembered in seen.note");
    assert_eq!(history("ledger.db", Some("seen.note")), from_now_on);
    let seen = std::fs::read(ledger.path("seen.note")).unwrap();
    assert_eq!(history("ledger.db", Some("seen.note")), own);
    // Emptied: a finding for whoever has seen more.
    tamper(&ledger, "DELETE FROM head; DELETE FROM block; DELETE FROM body_chunk; DELETE FROM leaf_chunk");
    let said = ledger.fails(1, &verify("copy.db", Some("seen.note")));
    assert!(said.contains("holds no ledger, but a signed checkpoint of 5 blocks has been seen"), "{said}");
    ledger.fails(3, &verify("copy.db", None));
    // Another history, as long as the one seen and longer, with the operator's file for it.
    for more in [1, 2] {
        save("old-", "");
        log(more);
        assert_eq!(history("ledger.db", None), format!("{operators}{advice}"), "{more}");
        let said = ledger.fails(1, &verify("ledger.db", Some("seen.note")));
        assert!(said.contains("two histories are signed"), "{said}");
        assert_eq!(std::fs::read(ledger.path("seen.note")).unwrap(), seen);
        // Both are kept, and both are signed.
        let kept = said.trim().rsplit_once("Both signed checkpoints are in ").unwrap().1;
        let proof = std::fs::read_to_string(ledger.path(kept)).unwrap();
        assert!(proof.contains(std::str::from_utf8(&seen).unwrap()), "{proof}");
        assert_eq!(proof.matches("\u{2014} ").count(), 2, "two signatures: {proof}");
    }
    // The same from a server, which can only be asked.
    let server = ledger.serve();
    for json in [false, true] {
        let mut args = vec!["audit", "verify", "--key", "keys/ledger.vkey", "--server", &server.url];
        args.extend(["--identity", "keys/alice.identity", "--checkpoint", "seen.note"]);
        args.extend(json.then_some("--json"));
        let out = ledger.run(&args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("block 4: ") && said.contains("two histories are signed"), "{said}");
        assert_eq!(std::fs::read(ledger.path("seen.note")).unwrap(), seen);
        if json {
            let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            assert_eq!((&said["holds"], &said["history"]), (&false.into(), &"own".into()), "{said}");
            let proof = std::fs::read_to_string(ledger.path(said["evidence"].as_str().unwrap())).unwrap();
            assert_eq!(proof.matches("\u{2014} ").count(), 2, "two signatures: {proof}");
        }
    }
    let url = server.url.clone();
    drop(server);
    // Nothing is known of a server that is gone.
    let out = ledger.run(&["audit", "verify", "--key", "keys/ledger.vkey", "--server", &url, "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &said["holds"]), (Some(3), &serde_json::Value::Null), "{said}");
}

/// A file-size limit stands for a full disk: what was acknowledged stays, the answers say what is wrong.
#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let ledger = filled();
    // The signal that comes with the limit is ignored: a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 900; exec \"$0\" serve --listen 127.0.0.1:0";
    let server = support::Server::start(
        std::process::Command::new("sh")
            .args(["-c", script, program().get_program().to_str().unwrap()])
            .current_dir(ledger.dir.path()),
    );
    let c = ledger.writer_client(&server);
    let event = format!("{{\"text\":\"{}\"}}", "x".repeat(20_000));
    let mut acknowledged = 6;
    let refusal = loop {
        match c.post("/v1/events", "application/json", event.as_bytes()) {
            Ok(_) => acknowledged += 1,
            Err(sealtrail::client::ClientError::Problem(p)) => break p,
            Err(e) => panic!("the server died: {e}"),
        }
        assert!(acknowledged < 200, "the limit was never met");
    };
    assert_eq!(refusal.status, 503, "{}", refusal.detail);
    let health = c.get("/healthz");
    assert!(health.is_err(), "health must say that nothing can be stored");
    assert!(c.proof(acknowledged - 1).is_ok());
    // Whoever waits is told at once what for.
    std::fs::write(ledger.path("large.json"), format!("{event}\n").repeat(60)).unwrap();
    let mut waiting = program()
        .args(["log", "large.json", "--server", &server.url])
        .current_dir(ledger.dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("trying again"), "{said}");
    let tries = waiting.try_wait().unwrap().is_none();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(tries, "{said}");
    drop(server);
    let server = ledger.serve();
    assert!(server.client().ledger().unwrap().records >= acknowledged);
    ledger.writer_client(&server).post("/v1/events", "application/json", event.as_bytes()).unwrap();
    let said = ledger.ok(&[
        "audit",
        "verify",
        "--key",
        "keys/ledger.vkey",
        "--identity",
        "keys/alice.identity",
        "--server",
        &server.url,
    ]);
    assert!(said.starts_with("HOLDS"), "{said}");
}

#[test]
fn rosters_change_with_and_without_a_server_and_lists_are_json() {
    let ledger = Ledger::new();
    let bob = ledger.ok(&["keygen", "reader", "bob"]);
    ledger.ok(&["reader", "add", "bob", bob.trim()]);
    ledger.fails(2, &["reader", "add", "bob", bob.trim()]);
    ledger.fails(2, &["reader", "remove", "nobody"]);
    ledger.fails(2, &["reader", "add", "carol", "age1notakey"]);
    let list = |args: &[&str]| serde_json::from_str::<Vec<serde_json::Value>>(&ledger.ok(args)).unwrap();
    assert_eq!(list(&["reader", "list", "--json"]).len(), 2);
    let server = ledger.serve();
    ledger.ok(&["reader", "remove", "bob"]);
    assert_eq!(list(&["reader", "list", "--json"]).len(), 1);
    assert_eq!(list(&["writer", "list", "--json"])[0]["name"], "test.example/audit/writers/gateway");
    drop(server);
    assert_eq!(list(&["reader", "list", "--json"]).len(), 1);
}

#[test]
fn log_takes_files_and_standard_input_and_seals_beside_the_application() {
    let ledger = Ledger::new();
    let vkey = ledger.ok(&["keygen", "writer", "test.example/ehr"]);
    ledger.ok(&["writer", "add", vkey.trim()]);
    let server = ledger.serve();
    std::fs::write(ledger.path("pretty.json"), "{\n  \"a\": 1.00,\n  \"b\": [1, 2]\n}\n").unwrap();
    ledger.ok(&["log", "pretty.json", "--server", &server.url]);
    std::fs::write(ledger.path("broken.ndjson"), "{\"a\":1}\n{\"a\":2}\n{oops}\n{\"a\":4}\n").unwrap();
    let said = ledger.fails(2, &["log", "broken.ndjson", "--server", &server.url]);
    assert!(said.contains("line 3") && said.contains("--skip 2"), "{said}");
    std::fs::write(ledger.path("empty"), "\n").unwrap();
    ledger.fails(2, &["log", "empty", "--server", &server.url]);
    let recipient = ledger.identity("alice").recipient();
    let settings = format!(
        "ledger = \"{LEDGER}\"\nledger_key = \"keys/ledger.vkey\"\nkey = \"keys/ehr.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"{recipient}\"\n"
    );
    std::fs::write(ledger.path("writer.toml"), settings).unwrap();
    for i in 0..3 {
        std::fs::write(ledger.path("one.json"), format!("{{\"sealed-here\":{i}}}")).unwrap();
        ledger.ok(&["log", "one.json", "--seal", "writer.toml", "--server", &server.url]);
    }
    let opened = ledger.ok(&[
        "audit",
        "open",
        "5",
        "--key",
        "keys/ledger.vkey",
        "--identity",
        "keys/alice.identity",
        "--server",
        &server.url,
    ]);
    assert_eq!(opened.trim(), "{\"sealed-here\":2}");
    let pretty = ledger.ok(&[
        "audit",
        "open",
        "0",
        "--key",
        "keys/ledger.vkey",
        "--identity",
        "keys/alice.identity",
        "--server",
        &server.url,
    ]);
    assert_eq!(pretty, "{\n  \"a\": 1.00,\n  \"b\": [1, 2]\n}\n");
    // A batch that was sent but whose receipt was lost is delivered again, once.
    assert!(!ledger.path("keys/ehr.pending").exists());
    let state = std::fs::read_to_string(ledger.path("keys/ehr.state")).unwrap();
    assert!(state.starts_with("3 "), "{state}");
    // A ledger that forgot statements is caught by the writer's own memory.
    std::fs::write(ledger.path("keys/ehr.state"), state.replacen('3', "4", 1)).unwrap();
    let said = ledger.fails(1, &["log", "one.json", "--seal", "writer.toml", "--server", &server.url]);
    assert!(said.contains("lost statements"), "{said}");
}

/// A key that the service manager hands over (systemd.exec(5), `LoadCredential`): a file in a folder of the service's own, which its
/// user reads by an access list, so that the bits of the group say that somebody may.
#[test]
fn keys_that_a_service_manager_hands_over() {
    let ledger = Ledger::new();
    let credentials = ledger.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::rename(ledger.path("keys/ledger.key"), credentials.join("ledger.key")).unwrap();
    std::os::unix::fs::symlink(credentials.join("ledger.key"), ledger.path("keys/ledger.key")).unwrap();
    let mode = |bits| {
        let bits = std::fs::Permissions::from_mode(bits);
        std::fs::set_permissions(credentials.join("ledger.key"), bits).unwrap();
    };
    let serve = |folder: &std::path::Path| {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(ledger.dir.path());
        command.env("CREDENTIALS_DIRECTORY", folder);
        command
    };
    let refused = |folder: &std::path::Path| {
        let out = serve(folder).output().unwrap();
        assert_eq!(out.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&out.stderr).contains("is open to other users"));
    };
    mode(0o440);
    Server::start(&mut serve(&credentials)).stop();
    // Of nobody else: a folder that is not the service's, and bits that no access list of one reader sets.
    refused(&ledger.path("keys"));
    for bits in [0o444, 0o460, 0o450] {
        mode(bits);
        refused(&credentials);
    }
}

/// What a server says reaches the terminal as text, whatever it says.
#[test]
fn a_refusal_that_is_waited_out_moves_no_cursor() {
    use std::io::{Read as _, Write as _};
    let ledger = Ledger::new();
    std::fs::write(ledger.path("e.json"), "{\"text\":\"x\"}\n").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = r#"{"type":"about:blank","title":"t","status":503,"code":"storage-failed","detail":"full\u001b[2Jgone"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(200)));
            let _ = stream.read(&mut [0; 65536]);
        }
    });
    let mut waiting = program()
        .args(["log", "e.json", "--server", &url])
        .current_dir(ledger.dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(said.contains("full") && said.contains("trying again") && !said.contains('\u{1b}'), "{said:?}");
}
