//! Every command with all variables set, as in the shell of somebody who works with a ledger every day: a variable that a command
//! does not need must not get in its way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Output;

use support::{Ledger, Server, program};

/// A ledger with its server, and all variables set to what belongs to it.
struct Shell {
    ledger: Ledger,
    server: Server,
}

impl Shell {
    fn new() -> Shell {
        let ledger = Ledger::new();
        let server = ledger.serve();
        let event = r#"{"actor":{"user_id":"u"},"resource":{"id":"PAT-1"},"action":"read","timestamp":"2026-07-21T10:00:00Z"}"#;
        std::fs::write(ledger.path("e.ndjson"), event).unwrap();
        // Over http nothing is checked against it, but the file is read.
        let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(ledger.path("ca.pem"), pem).unwrap();
        // The reader's is the second identity of the file.
        ledger.ok(&["keygen", "reader", "nobody"]);
        let both = ["nobody", "alice"]
            .map(|n| std::fs::read_to_string(ledger.path(&format!("keys/{n}.identity"))).unwrap());
        let file = ledger.path("keys/both.identity");
        std::fs::copy(ledger.path("keys/alice.identity"), &file).unwrap();
        std::fs::write(&file, both.concat()).unwrap();
        Shell { ledger, server }
    }

    fn run(&self, args: &[&str]) -> Output {
        let path = |name: &str| self.ledger.path(name).into_os_string();
        program()
            .args(args)
            .current_dir(self.ledger.dir.path())
            .env("SEALTRAIL_SERVER", &self.server.url)
            .env("SEALTRAIL_CA", path("ca.pem"))
            .env("SEALTRAIL_KEY", path("keys/ledger.vkey"))
            .env("SEALTRAIL_IDENTITY", path("keys/both.identity"))
            .env("SEALTRAIL_VAULT", path("vault"))
            // No key here is protected: neither is looked at.
            .env("SEALTRAIL_PASSPHRASE_FILE", path("no such file"))
            .env("SEALTRAIL_PASSPHRASE", "nothing that fits")
            .output()
            .unwrap()
    }

    fn ok(&self, args: &str) {
        let words: Vec<&str> = args.split_whitespace().collect();
        let out = self.run(&words);
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn no_variable_gets_in_the_way_of_a_command() {
    let shell = Shell::new();
    for args in [
        "log e.ndjson",
        "log e.ndjson",
        "prove 0 --out p.json",
        "verify p.json",
        "audit verify",
        "audit verify --file ledger.db",
        "audit search --patient PAT-1 --admin keys/admin.vkey",
        "audit open 0",
        "audit sync",
        "audit sync --file ledger.db",
        "audit search --patient PAT-1 --admin keys/admin.vkey",
        "audit open 0 --offline",
        "audit sql SELECT",
        "audit report integrity --out r.html --no-evidence",
        "audit export --records 0 --out e.json",
        "verify e.json",
        "audit disclose 0 --fields /action --out d.json",
        "audit watch --once",
        "keygen officer test.example/dpo --file dpo",
        "officer add keys/dpo.vkey",
        "officer list",
        "reader list",
        "writer list",
        "hold place h --records 1 --reason r",
        "hold list",
        "hold release h --reason r",
        "retain",
        "erase --records 1 --reason r --legal-basis b --officer keys/dpo.key",
        "stats",
        "backup copy",
        "backup --update copy",
        "keygen reader carol",
    ] {
        let args = args.replace("sql SELECT", "sql VALUES(1)");
        shell.ok(&args);
    }
    let carol = shell.ledger.identity("carol").recipient();
    shell.ok(&format!("reader add carol {carol}"));
    shell.ok(&format!("audit grant --to carol={carol} --records 0 --out c.grant"));
    shell.ok("grant show c.grant");
    shell.ok("grant submit c.grant");
}

#[test]
fn a_variable_that_names_another_ledger_is_told_and_nothing_is_done() {
    let shell = Shell::new();
    let other = Ledger { dir: tempfile::tempdir().unwrap() };
    let recipient = other.ok(&["keygen", "reader", "alice"]);
    other.ok(&["init", "other.example/audit", "--reader", &format!("alice={}", recipient.trim())]);
    for args in ["hold list", "hold place h --records 0 --reason r", "retain"] {
        let words: Vec<&str> = args.split_whitespace().collect();
        let out = program()
            .args(&words)
            .current_dir(other.dir.path())
            .env("SEALTRAIL_SERVER", &shell.server.url)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args}: {said}");
        for word in ["test.example/audit", "other.example/audit", "SEALTRAIL_SERVER"] {
            assert!(said.contains(word), "{args}: {said}");
        }
    }
}
