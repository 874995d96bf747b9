//! Keys under a passphrase, by the real program: every command that reads a key file, every place a passphrase may come from, and what
//! is said when it does not fit. The parts at a terminal, and the check by a second implementation of age, need `python3`: without it
//! they say so loudly and pass; with `SEALTRAIL_REQUIRE_ALL=1` they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use age::scrypt;
use age::secrecy::SecretString;
use support::{Ledger, Server, program};

const PASSPHRASE: &str = "correct horse battery staple";
const EVENT: &str = r#"{"actor":{"user_id":"u"},"resource":{"id":"PAT-1"},"action":"read","timestamp":"2026-07-21T10:00:00Z"}"#;

/// Protects a key file as `age -p` would, with little work, so that the tests wait for nothing.
fn protect(path: &Path, passphrase: &str, armored: bool) {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(4);
    let text = std::fs::read(path).unwrap();
    let bytes = if armored {
        age::encrypt_and_armor(&recipient, &text).unwrap().into_bytes()
    } else {
        age::encrypt(&recipient, &text).unwrap()
    };
    std::fs::write(path, bytes).unwrap();
}

fn is_armored(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

fn secret_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// A ledger whose every key is protected, each of another person by another passphrase.
struct Protected(Ledger);

impl Protected {
    fn new() -> Protected {
        let ledger = Ledger::new();
        ledger.ok(&["keygen", "officer", "test.example/dpo", "--file", "dpo"]);
        ledger.ok(&["officer", "add", "keys/dpo.vkey"]);
        ledger.ok(&["keygen", "writer", "test.example/ehr", "--file", "ehr"]);
        ledger.ok(&["writer", "add", "keys/ehr.vkey"]);
        std::fs::write(ledger.path("e.ndjson"), EVENT).unwrap();
        for (name, owner, armored) in [
            ("ledger.key", "operator", true),
            ("gateway.key", "operator", false),
            ("admin.key", "admin", true),
            ("dpo.key", "officer", false),
            ("ehr.key", "writer", true),
            ("alice.identity", "alice", false),
        ] {
            protect(&ledger.path("keys").join(name), &format!("{owner}: {PASSPHRASE}"), armored);
        }
        for owner in ["operator", "admin", "officer", "writer", "alice"] {
            secret_file(&ledger.path(owner), &format!("{owner}: {PASSPHRASE}\n"));
        }
        secret_file(&ledger.path("wrong"), "a wrong one\n");
        Protected(ledger)
    }

    fn command(&self, args: &str) -> Command {
        let mut command = program();
        command.args(args.split_whitespace()).current_dir(self.0.dir.path());
        command
    }

    fn run(&self, owner: &str, server: Option<&Server>, args: &str) -> Output {
        let mut command = self.command(args);
        command.env("SEALTRAIL_PASSPHRASE_FILE", self.0.path(owner));
        if let Some(server) = server {
            command.env("SEALTRAIL_SERVER", &server.url);
        }
        command.env("SEALTRAIL_KEY", self.0.path("keys/ledger.vkey")).output().unwrap()
    }

    fn serve(&self) -> Server {
        let mut command = self.command("serve --listen 127.0.0.1:0 --passphrase-file operator");
        Server::start(&mut command)
    }
}

#[test]
fn every_command_that_reads_a_key_takes_a_protected_one() {
    let p = Protected::new();
    let recipient = age_recipient(&p.0);
    let settings = format!(
        "ledger = \"test.example/audit\"\nledger_key = \"keys/ledger.vkey\"\nkey = \"keys/ehr.key\"\n\
         [[reader]]\nname = \"alice\"\nrecipient = \"{recipient}\"\n"
    );
    std::fs::write(p.0.path("writer.toml"), settings).unwrap();
    let server = p.serve();
    p.0.ok(&["log", "e.ndjson", "--server", &server.url]);
    p.0.ok(&["keygen", "reader", "carol"]);
    let carol = std::fs::read_to_string(p.0.path("keys/carol.recipient")).unwrap();
    let carol = carol.trim();
    for (owner, args) in [
        ("writer", "log e.ndjson --seal writer.toml".to_owned()),
        ("alice", "audit open 0 --identity keys/alice.identity".into()),
        ("alice", "audit verify --identity keys/alice.identity".into()),
        ("alice", "audit sync --identity keys/alice.identity".into()),
        ("alice", "audit search --patient PAT-1".into()),
        ("alice", "audit sql VALUES(1)".into()),
        ("alice", "audit watch --once".into()),
        ("officer", "audit export --records 0 --out e.json --sign keys/dpo.key --offline".into()),
        ("admin", format!("reader add carol {carol}")),
        ("alice", format!("audit grant --to carol={carol} --records 0 --out c.grant")),
        ("admin", "grant submit c.grant".into()),
        ("admin", "hold place h --records 1 --reason r".into()),
        ("officer", "hold release h --reason r --signer keys/dpo.key".into()),
        ("officer", "erase --records 1 --reason r --legal-basis b --officer keys/dpo.key".into()),
    ] {
        // An export opens records and signs: two people's keys, so both passphrases are in one file.
        let owner = if args.contains("--sign ") {
            secret_file(&p.0.path("both"), &format!("alice: {PASSPHRASE}\nofficer: {PASSPHRASE}\n"));
            "both"
        } else {
            owner
        };
        let right = p.run(owner, Some(&server), &args);
        assert!(right.status.success(), "{args}: {}", said(&right));
        let wrong = p.run("wrong", Some(&server), &args);
        assert_eq!(wrong.status.code(), Some(2), "{args}: {}", said(&wrong));
        for word in [".key: ", ".identity: "].iter().filter(|w| said(&wrong).contains(**w)) {
            assert!(
                said(&wrong).contains(&format!("{word}none of the passphrases in ")),
                "{args}: {}",
                said(&wrong)
            );
        }
        assert!(said(&wrong).contains("none of the passphrases in "), "{args}: {}", said(&wrong));
        // Nobody is there to be asked.
        let mut none = p.command(&args);
        let none =
            none.env("SEALTRAIL_SERVER", &server.url).env("SEALTRAIL_KEY", p.0.path("keys/ledger.vkey"));
        let none = none.output().unwrap();
        assert_eq!(none.status.code(), Some(2), "{args}: {}", said(&none));
        assert!(said(&none).contains("--passphrase-file"), "{args}: {}", said(&none));
    }
    drop(server);
    for args in ["serve --listen 127.0.0.1:0", "retain", "audit verify --file ledger.db"] {
        let wrong = p.run("wrong", None, args);
        // The last one needs no secret key, and must not ask for a passphrase.
        let code = if args.starts_with("audit") { 0 } else { 2 };
        assert_eq!(wrong.status.code(), Some(code), "{args}: {}", said(&wrong));
    }
}

fn age_recipient(ledger: &Ledger) -> String {
    std::fs::read_to_string(ledger.path("keys/alice.recipient")).unwrap().trim().to_owned()
}

#[test]
fn a_passphrase_comes_from_a_file_a_pipe_or_a_variable_and_never_from_an_argument() {
    let p = Protected::new();
    let list = |command: &mut Command| command.output().unwrap();
    let by_file = list(&mut p.command("--passphrase-file operator writer list"));
    assert!(by_file.status.success(), "{}", said(&by_file));
    let right = format!("operator: {PASSPHRASE}");
    let by_variable = list(p.command("writer list").env("SEALTRAIL_PASSPHRASE", &right));
    assert!(by_variable.status.success(), "{}", said(&by_variable));
    let wrong = list(p.command("writer list").env("SEALTRAIL_PASSPHRASE", "another"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("the variable SEALTRAIL_PASSPHRASE"), "{}", said(&wrong));
    // The file goes before the variable.
    let both = p.command("--passphrase-file operator writer list").env("SEALTRAIL_PASSPHRASE", "x").output();
    assert!(both.unwrap().status.success());
    // A descriptor, as service managers and CI systems hand over secrets.
    let shell = |line: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-c", line, env!("CARGO_BIN_EXE_sealtrail")]).current_dir(p.0.dir.path());
        sh.output().unwrap()
    };
    let piped = shell("cat operator | \"$0\" writer list --passphrase-file /dev/stdin");
    assert!(piped.status.success(), "{}", said(&piped));
    let third = shell("\"$0\" writer list --passphrase-file /dev/fd/3 3< operator");
    assert!(third.status.success(), "{}", said(&third));
    let open = p.0.path("open");
    std::fs::write(&open, right).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = list(&mut p.command("--passphrase-file open writer list"));
    assert!(open.status.code() == Some(2) && said(&open).contains("chmod 600"), "{}", said(&open));
    // No option takes one, and help shows no value of the variable.
    let help = p.command("--help").env("SEALTRAIL_PASSPHRASE", "planted-passphrase").output().unwrap();
    assert!(!said(&help).contains("planted-passphrase"));
    for args in ["keygen reader x --passphrase=planted", "init a.example/b --passphrase=planted"] {
        assert_eq!(p.command(args).output().unwrap().status.code(), Some(2), "{args}");
    }
}

#[test]
fn keys_are_made_protected_changed_and_unprotected() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger { dir };
    let (first, second) = (ledger.path("first"), ledger.path("second"));
    secret_file(&first, "the first one\n");
    secret_file(&second, "the second one\n");
    let ok = |args: &str| ledger.ok(&args.split_whitespace().collect::<Vec<_>>());
    let recipient = ok("keygen reader alice --passphrase --passphrase-file first");
    let file = ledger.path("keys/alice.identity");
    assert!(is_armored(&file));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Changed: the old one fits no more.
    ok("passphrase keys/alice.identity --passphrase-file first --new-passphrase-file second");
    let refused =
        ledger.fails(2, &["passphrase", "keys/alice.identity", "--remove", "--passphrase-file", "first"]);
    assert!(refused.contains("none of the passphrases"), "{refused}");
    let python = python(&["second_reader/open_protected.py"], &[&file, &second]);
    ok("passphrase keys/alice.identity --remove --passphrase-file second");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(&format!("# public key: {}", recipient.trim())) && text.contains("AGE-SECRET-KEY-1")
    );
    if let Some(read) = python {
        assert!(read.status.success(), "{}", said(&read));
        assert_eq!(
            String::from_utf8(read.stdout).unwrap(),
            text,
            "a second implementation reads another key"
        );
    }
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> =
        std::fs::read_dir(ledger.path("keys")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing else is left behind: {names:?}");
    assert!(
        ledger.fails(2, &["passphrase", "keys/alice.identity", "--remove"]).contains("has no passphrase")
    );
    // What is no key is not locked away.
    assert!(
        ledger.fails(2, &["passphrase", "first", "--new-passphrase-file", "second"]).contains("holds no key")
    );
    assert_eq!(std::fs::read_to_string(&first).unwrap(), "the first one\n");
    // A whole ledger, and a server started from it.
    let init = format!(
        "init test.example/audit --reader alice={} --passphrase --passphrase-file first",
        recipient.trim()
    );
    ok(&init);
    for key in ["ledger", "admin", "gateway"] {
        assert!(is_armored(&ledger.path(&format!("keys/{key}.key"))), "{key}");
    }
    let mut serve = program();
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--passphrase-file", "first"])
        .current_dir(ledger.dir.path());
    let server = Server::start(&mut serve);
    std::fs::write(ledger.path("e.ndjson"), EVENT).unwrap();
    ledger.ok(&["log", "e.ndjson", "--server", &server.url]);
}

/// Runs a Python program of `tests`; `None`, with a loud line, where there is no Python.
fn python(program: &[&str], args: &[&Path]) -> Option<Output> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(program[0]);
    match Command::new("python3").arg("-B").arg(script).args(&program[1..]).args(args).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let required = std::env::var("SEALTRAIL_REQUIRE_ALL").is_ok_and(|v| v == "1");
            assert!(
                !required,
                "python3 cannot be run ({error}), and SEALTRAIL_REQUIRE_ALL=1 asks for every test"
            );
            let loud = format!("\n!!! NOT TESTED: {}; python3 cannot be run ({error})\n", program[0]);
            std::io::stderr().write_all(loud.as_bytes()).unwrap();
            None
        }
    }
}

#[test]
fn at_a_terminal_passphrases_are_asked_for_without_echo() {
    let dir = tempfile::tempdir().unwrap();
    let type_at = |answers: &[&str], args: &[&str]| {
        let typed = serde_json::to_string(answers).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_sealtrail"));
        let keys = dir.path().join("keys");
        let folder = keys.to_str().unwrap();
        let args: Vec<String> = args.iter().map(|a| a.replace("keys", folder)).collect();
        let args: Vec<&Path> = std::iter::once(program).chain(args.iter().map(Path::new)).collect();
        let out = python(&["terminal/type_at.py", &typed], &args)?;
        let screen = said(&out);
        for answer in answers.iter().filter(|a| !a.is_empty()) {
            assert!(!screen.contains(*answer), "{answer} stands on the screen: {screen}");
        }
        Some((out.status.code().unwrap(), screen))
    };
    let make = ["keygen", "reader", "alice", "--passphrase", "--out", "keys"];
    let Some((code, screen)) = type_at(&["first-planted", "first-planted"], &make) else { return };
    assert_eq!(code, 0, "{screen}");
    let file = dir.path().join("keys/alice.identity");
    assert!(is_armored(&file));
    let bob = ["keygen", "reader", "bob", "--passphrase", "--out", "keys"];
    let (code, screen) = type_at(&["one-planted", "another-planted"], &bob).unwrap();
    assert!(code == 2 && screen.contains("the two entries differ"), "{screen}");
    assert!(!dir.path().join("keys/bob.identity").exists());
    let (code, screen) = type_at(&[""], &bob).unwrap();
    assert!(code == 2 && screen.contains("the passphrase is empty"), "{screen}");
    // A wrong one may be tried again; then the new one, twice.
    let change = ["passphrase", "keys/alice.identity"];
    let answers = ["wrong-planted", "first-planted", "second-planted", "second-planted"];
    let (code, screen) = type_at(&answers, &change).unwrap();
    assert!(code == 0 && screen.contains("is wrong; try again"), "{screen}");
    // Three wrong ones are enough.
    let (code, screen) = type_at(&["a-planted", "b-planted", "first-planted"], &change).unwrap();
    assert!(code == 2 && screen.contains("the passphrase is wrong"), "{screen}");
    let (code, screen) =
        type_at(&["second-planted"], &["passphrase", "keys/alice.identity", "--remove"]).unwrap();
    assert_eq!(code, 0, "{screen}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("AGE-SECRET-KEY-1"));
}
