//! New keys in the place of old ones, by the real program: what was made before still verifies, who had the old key is led to the new
//! one, whoever stole it is not believed by those who have seen the change, and nothing that breaks off in between loses anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use sealtrail::chain::key::{SigningKey, VerifierKey};
use support::{LEDGER, Ledger, Server, copy_folder, program};

const EVENT: &str = r#"{"actor":{"user_id":"u"},"resource":{"id":"PAT-1"},"action":"read","timestamp":"2026-07-21T10:00:00Z"}"#;

/// A ledger with a server that is stopped and started.
struct World {
    ledger: Ledger,
    server: Option<Server>,
}

impl World {
    fn new() -> World {
        let ledger = Ledger::new();
        std::fs::write(ledger.path("e.ndjson"), EVENT).unwrap();
        let mut world = World { ledger, server: None };
        world.start();
        world
    }

    fn start(&mut self) {
        self.server = Some(self.ledger.serve());
    }

    fn stop(&mut self) {
        drop(self.server.take());
    }

    /// Runs a command, against the server if it runs.
    fn run(&self, args: &str) -> Output {
        let mut command = program();
        command.args(args.split_whitespace()).current_dir(self.ledger.dir.path());
        if let Some(server) = &self.server {
            command.env("SEALTRAIL_SERVER", &server.url);
        }
        command.output().unwrap()
    }

    fn ok(&self, args: &str) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args}: {}", said(&out));
        said(&out)
    }

    fn fails(&self, code: i32, args: &str) -> String {
        let out = self.run(args);
        assert_eq!(out.status.code(), Some(code), "{args}: {}", said(&out));
        assert!(!said(&out).contains("panicked"), "{args}: {}", said(&out));
        said(&out)
    }

    /// The file whose name begins and ends so.
    fn key_file(&self, start: &str, end: &str) -> PathBuf {
        let names = std::fs::read_dir(self.ledger.path("keys")).unwrap().map(|e| e.unwrap().path());
        let fits = |p: &PathBuf| {
            let name = p.file_name().unwrap().to_str().unwrap();
            name.starts_with(start) && name.ends_with(end) && name.len() > start.len() + end.len()
        };
        let found: Vec<_> = names.filter(fits).collect();
        assert_eq!(found.len(), 1, "{start}…{end}: {found:?}");
        found.into_iter().next().unwrap()
    }

    fn vkey(&self, name: &str) -> VerifierKey {
        let text = std::fs::read_to_string(self.ledger.path("keys").join(format!("{name}.vkey"))).unwrap();
        VerifierKey::parse(text.trim()).unwrap()
    }

    fn rotate_ledger(&mut self, more: &str) {
        self.stop();
        self.ok(&format!("rotate ledger {more}"));
        self.start();
    }

    /// A copy of everything but the lock: what a thief of the machine's disk has.
    fn copy(&self) -> Ledger {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(self.ledger.dir.path(), dir.path());
        Ledger { dir }
    }
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_new_ledger_key_takes_over_and_everything_before_still_verifies() {
    let mut w = World::new();
    w.ok("log e.ndjson");
    w.ok("prove 0 --out before.json");
    w.ok("audit verify --key keys/ledger.vkey --admin keys/admin.vkey --checkpoint seen");
    w.ok("audit sync --key keys/ledger.vkey --identity keys/alice.identity");
    w.ok("audit export --records 0 --out before.evidence.json");
    let running = w.fails(2, "rotate ledger");
    assert!(running.contains("Stop the server first"), "{running}");
    let old = w.vkey("ledger");
    w.stop();
    let told = w.ok("rotate ledger");
    let new = w.vkey("ledger");
    assert!(told.contains(&new.to_string()) && old != new && old.name() == new.name(), "{told}");
    let (old_vkey, handover) =
        (text(&w.key_file("ledger.", ".vkey")), text(&w.key_file("ledger.", ".handover")));
    assert_eq!(w.vkey(Path::new(&old_vkey).file_stem().unwrap().to_str().unwrap()), old);
    assert!(!w.ledger.path("keys/ledger.next.key").exists());
    w.key_file("ledger.", ".retired.key");
    // The operator's own file holds, by either key.
    for key in [&old_vkey, "keys/ledger.vkey"] {
        let verified = w.ok(&format!("audit verify --file ledger.db --key {key}"));
        assert!(verified.contains("signed by an admin and the key before it"), "{verified}");
    }
    w.start();
    w.ok("log e.ndjson");
    // What was made before: with the key of its time, and not with another.
    for file in ["before.json", "before.evidence.json"] {
        w.ok(&format!("verify {file} --key {old_vkey}"));
        w.ok(&format!("verify {file} --key {old_vkey} --handover {handover}"));
        let refused = w.fails(1, &format!("verify {file} --key keys/ledger.vkey"));
        assert!(
            refused.contains("sealtrail prove") && refused.contains(&format!("{:08x}", old.key_id())),
            "{refused}"
        );
    }
    // The same record now, with the new key; or with the old one and the way from it.
    w.ok("prove 0 --out after.json");
    w.ok("verify after.json --key keys/ledger.vkey");
    let refused = w.fails(1, &format!("verify after.json --key {old_vkey}"));
    assert!(refused.contains("--handover"), "{refused}");
    w.ok(&format!("verify after.json --key {old_vkey} --handover {handover}"));
    assert!(
        w.fails(2, &format!("verify after.json --key {old_vkey} --handover before.json"))
            .contains("no signed roster")
    );
    // Everybody who has the old key is led on: with a checkpoint seen, a vault, neither.
    w.ok(&format!("audit verify --key {old_vkey} --checkpoint seen"));
    w.ok("audit verify --key keys/ledger.vkey --checkpoint seen");
    // What is remembered counts by the ledger's keys, too, whichever of them is named.
    let seen = std::fs::read_to_string(w.ledger.path("seen")).unwrap();
    let (note, line) = seen.trim_end().rsplit_once(' ').unwrap();
    let changed = line.replace(&line[10..12], if &line[10..12] == "AA" { "BB" } else { "AA" });
    std::fs::write(w.ledger.path("changed"), format!("{note} {changed}\n")).unwrap();
    let refused = w.fails(2, &format!("audit verify --key {old_vkey} --checkpoint changed"));
    assert!(refused.contains("is not signed by a key this ledger had"), "{refused}");
    w.ok(&format!("audit open 0 --remote --key {old_vkey} --identity keys/alice.identity"));
    w.ok(&format!("audit search --remote --patient PAT-1 --key {old_vkey} --admin keys/admin.vkey --identity keys/alice.identity"));
    w.ok(&format!(
        "audit export --remote --records 0 --key {old_vkey} --identity keys/alice.identity --out remote.json"
    ));
    w.ok("verify remote.json --key keys/ledger.vkey");
    w.ok("audit sync");
    for args in [
        "audit search --patient PAT-1",
        "audit watch --once",
        "audit sync --check",
        "audit export --records 0 --out vault.json",
        "audit report integrity --out r.html --no-evidence",
    ] {
        w.ok(args);
        w.ok(&format!("{args} --key keys/ledger.vkey").replace("--out ", "--out x"));
        w.ok(&format!("{args} --key {old_vkey}").replace("--out ", "--out y"));
    }
    w.ok("verify vault.json --key keys/ledger.vkey");
    let other = w.fails(2, "audit search --patient PAT-1 --key keys/admin.vkey");
    assert!(other.contains("trusts the key"), "{other}");
    // And once more: two steps.
    w.rotate_ledger("");
    w.ok(&format!("audit verify --key {old_vkey} --checkpoint seen"));
    w.ok(&format!("audit open 0 --remote --key {old_vkey} --identity keys/alice.identity"));
    w.ok("audit sync");
    w.ok("audit open 0");
}

/// Attacker: stole the ledger's key with a copy of its disk before it was changed, and goes on signing a history of its own.
/// A service that cannot read its new key does not start. Only root can give files away.
#[test]
fn what_root_changes_stays_the_services() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let ledger = Ledger::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let all = || {
        let inside = |dir: &str| std::fs::read_dir(ledger.path(dir)).unwrap().map(|e| e.unwrap().path());
        inside("").chain(inside("keys")).collect::<Vec<_>>()
    };
    for path in [vec![ledger.path("")], all()].concat() {
        chown(path, Some(support::OTHER_USER), Some(support::OTHER_USER)).unwrap();
    }
    ledger.ok(&["rotate", "ledger"]);
    ledger.ok(&["rotate", "gateway"]);
    std::fs::write(ledger.path("new"), "a new passphrase\n").unwrap();
    std::fs::set_permissions(ledger.path("new"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    ledger.ok(&["passphrase", "keys/admin.key", "--new-passphrase-file", "new"]);
    std::fs::remove_file(ledger.path("new")).unwrap();
    let owner = |path: &PathBuf| std::fs::metadata(path).unwrap().uid();
    let of_root: Vec<_> = all().into_iter().filter(|p| owner(p) != support::OTHER_USER).collect();
    assert!(of_root.is_empty() && all().len() > 12, "{of_root:?}");
}

#[test]
fn a_stolen_old_key_deceives_nobody_who_has_seen_the_change() {
    let mut w = World::new();
    w.ok("log e.ndjson");
    w.ok("audit verify --key keys/ledger.vkey --checkpoint before");
    w.ok("audit sync --key keys/ledger.vkey --identity keys/alice.identity");
    w.ok("audit sync --vault v2 --key keys/ledger.vkey --identity keys/alice.identity");
    w.stop();
    let thief = w.copy();
    w.ok("rotate ledger");
    w.start();
    w.ok("audit sync");
    // This one goes on believing by the key it began with.
    w.ok("audit search --vault v2 --patient PAT-1");
    let old_vkey = text(&w.key_file("ledger.", ".vkey"));
    std::fs::copy(w.ledger.path("before"), w.ledger.path("seen")).unwrap();
    w.ok(&format!("audit verify --key {old_vkey} --checkpoint seen"));
    w.stop();
    // The thief's ledger is longer.
    let fake = thief.serve();
    for _ in 0..4 {
        thief.ok(&["log", "e.ndjson", "--server", &fake.url]);
    }
    w.server = Some(fake);
    // Who has seen nothing since cannot tell; said in docs/THREATS.md.
    w.ok(&format!("audit verify --key {old_vkey} --checkpoint before"));
    // Nor can anybody from a proof; who knows that the key was replaced is told what that leaves open.
    w.ok("prove 2 --out stolen.json");
    assert!(!w.ok(&format!("verify stolen.json --key {old_vkey}")).contains("replaced"));
    let handover = text(&w.key_file("ledger.", ".handover"));
    let told = w.ok(&format!("verify stolen.json --key {old_vkey} --handover {handover}"));
    assert!(told.contains("from before the ledger's key was replaced"), "{told}");
    // Who has: a checkpoint, a vault, the new key.
    let refused = w.fails(1, &format!("audit verify --key {old_vkey} --checkpoint seen"));
    assert!(
        refused.contains("two histories") || refused.contains("not the one of the checkpoint seen"),
        "{refused}"
    );
    w.fails(1, "audit verify --key keys/ledger.vkey");
    w.fails(1, "audit open 0 --remote --key keys/ledger.vkey --identity keys/alice.identity");
    let refused = w.fails(1, "audit sync");
    assert!(refused.contains("is not signed by"), "{refused}");
    let refused = w.fails(1, "audit search --vault v2 --patient PAT-1");
    assert!(refused.contains("taken out of use"), "{refused}");
    w.ok("audit open 0 --offline");
    // Also when the vault's owner names the old key.
    w.fails(1, &format!("audit sync --key {old_vkey}"));
    // Nor when the server is asked and not the vault: what the vault has seen counts, though it was told another key at its beginning, or
    // its owner names one.
    for more in ["--vault v2".to_owned(), format!("--key {old_vkey}"), format!("--vault v2 --key {old_vkey}")]
    {
        let refused = w.fails(1, &format!("audit open 0 --remote {more}"));
        assert!(
            refused.contains("is not signed by") || refused.contains("does not hold"),
            "{more}: {refused}"
        );
    }
    w.stop();
    // The thief's roster, too, is signed by nobody who may: it has the ledger's key and no admin's.
    let fake = thief.copy_without_admin();
    assert!(fake.fails(2, &["rotate", "ledger"]).contains("admin.key"));
}

impl Ledger {
    fn copy_without_admin(&self) -> Ledger {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(self.dir.path(), dir.path());
        std::fs::remove_file(dir.path().join("keys/admin.key")).unwrap();
        Ledger { dir }
    }
}

#[test]
fn a_lost_ledger_key_is_replaced_by_the_admin_alone() {
    let mut w = World::new();
    w.ok("log e.ndjson");
    w.stop();
    std::fs::remove_file(w.ledger.path("keys/ledger.key")).unwrap();
    assert!(w.fails(2, "rotate ledger").contains("does not exist"));
    let told = w.ok("rotate ledger --lost");
    assert!(told.contains("did not sign the change"), "{told}");
    w.start();
    let old_vkey = text(&w.key_file("ledger.", ".vkey"));
    // The old key alone does not lead there: anybody could have named a new one.
    let refused = w.fails(1, &format!("audit verify --key {old_vkey}"));
    assert!(refused.contains("without a signature of the key before it"), "{refused}");
    let refused =
        w.fails(2, &format!("audit open 0 --remote --key {old_vkey} --identity keys/alice.identity"));
    assert!(refused.contains("ask the operator"), "{refused}");
    w.fails(1, &format!("audit sync --vault v1 --key {old_vkey} --identity keys/alice.identity"));
    // With the admin's, or the new one.
    w.ok(&format!("audit verify --key {old_vkey} --admin keys/admin.vkey"));
    w.ok(&format!(
        "audit sync --vault v2 --key {old_vkey} --admin keys/admin.vkey --identity keys/alice.identity"
    ));
    w.ok("audit verify --key keys/ledger.vkey");
    w.ok("audit open 0 --remote --key keys/ledger.vkey --identity keys/alice.identity");
}

/// Each point at which changing the ledger's key can break off.
#[test]
fn a_change_that_breaks_off_is_finished_by_the_next_start() {
    let mut w = World::new();
    w.ok("log e.ndjson");
    w.stop();
    let before = w.copy();
    // The new key is made, and nothing else has happened.
    let rename =
        |w: &World, from: &Path, to: &str| std::fs::rename(from, w.ledger.path("keys").join(to)).unwrap();
    w.ok(&format!("keygen writer {LEDGER} --file next"));
    let (next, next_key) = (w.vkey("next"), w.ledger.path("keys/next.key"));
    rename(&w, &next_key, "ledger.next.key");
    w.start();
    w.ok("log e.ndjson");
    w.ok("audit verify --key keys/ledger.vkey");
    w.stop();
    // Trying again takes that key.
    w.ok("rotate ledger");
    assert_eq!(w.vkey("ledger"), next);
    let old_vkey = w.key_file("ledger.", ".vkey");
    let old = std::fs::read_to_string(&old_vkey).unwrap();
    // The chain has the new key, and no file was moved; the last-signed file is still that of before.
    let undo = |w: &World| {
        rename(w, &w.ledger.path("keys/ledger.key"), "ledger.next.key");
        rename(w, &w.key_file("ledger.", ".retired.key"), "ledger.key");
        std::fs::write(w.ledger.path("keys/ledger.vkey"), &old).unwrap();
    };
    undo(&w);
    std::fs::remove_file(w.key_file("ledger.", ".handover")).unwrap();
    std::fs::copy(before.path("ledger.db.last-signed"), w.ledger.path("ledger.db.last-signed")).unwrap();
    w.start();
    assert_eq!(w.vkey("ledger"), next);
    w.key_file("ledger.", ".handover");
    w.ok("log e.ndjson");
    w.ok(&format!("audit verify --key {}", text(&old_vkey)));
    w.stop();
    // Or the command itself is run again: it changes nothing more.
    undo(&w);
    w.ok("rotate ledger");
    assert_eq!(w.vkey("ledger"), next);
    // Everything but the last step was done.
    std::fs::copy(w.ledger.path("keys/ledger.key"), w.ledger.path("keys/ledger.next.key")).unwrap();
    std::fs::remove_file(w.ledger.path("keys/ledger.key")).unwrap();
    std::fs::copy(w.key_file("ledger.", ".retired.key"), w.ledger.path("keys/ledger.key")).unwrap();
    w.start();
    let verified = w.ok("audit verify --key keys/ledger.vkey");
    assert_eq!(verified.matches("  key ").count(), 1, "{verified}");
    w.stop();
    // With the old key, and no new one, nothing starts.
    std::fs::copy(w.key_file("ledger.", ".retired.key"), w.ledger.path("keys/ledger.key")).unwrap();
    let refused = w.fails(2, "serve --listen 127.0.0.1:0");
    assert!(refused.contains("is not the one the ledger has now"), "{refused}");
    // And a backup from before the change, with the old key, is a fork: the last-signed file knows better.
    std::fs::copy(before.path("ledger.db"), w.ledger.path("ledger.db")).unwrap();
    for log in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(w.ledger.path(log));
    }
    let refused = w.run("serve --listen 127.0.0.1:0");
    assert!(matches!(refused.status.code(), Some(1 | 2)), "{}", said(&refused));
    assert!(said(&refused).contains("last-signed"), "{}", said(&refused));
}

#[test]
fn a_gateways_new_key_goes_on_where_the_old_one_stopped() {
    let mut w = World::new();
    w.ok("log e.ndjson");
    w.ok("prove 0 --out before.json");
    assert!(w.fails(2, "rotate gateway").contains("Stop the server first"));
    w.stop();
    let search = std::fs::read(w.ledger.path("keys/gateway.search")).unwrap();
    w.ok("rotate gateway --new-search-secret");
    w.start();
    let head = || w.server.as_ref().unwrap().client().writer(&format!("{LEDGER}/writers/gateway")).unwrap();
    let next = head().next_sequence;
    w.ok("log e.ndjson");
    assert!(next > 0 && head().next_sequence > next);
    assert_ne!(std::fs::read(w.ledger.path("keys/gateway.search")).unwrap(), search);
    w.ok("prove 1 --out after.json");
    let (old_vkey, key) = (text(&w.key_file("gateway.", ".vkey")), "--key keys/ledger.vkey");
    w.ok(&format!("verify before.json {key} --writer {old_vkey}"));
    w.ok(&format!("verify after.json {key} --writer keys/gateway.vkey"));
    w.fails(1, &format!("verify after.json {key} --writer {old_vkey}"));
    w.fails(1, &format!("verify before.json {key} --writer keys/gateway.vkey"));
    w.ok(&format!("audit verify {key}"));
    w.stop();
    // The thief of the old key: nothing of what it signs is taken.
    let new = std::fs::read(w.ledger.path("keys/gateway.key")).unwrap();
    let retired = w.key_file("gateway.", ".retired.key");
    std::fs::copy(&retired, w.ledger.path("keys/gateway.key")).unwrap();
    w.start();
    w.fails(3, "log e.ndjson");
    w.stop();
    // Broken off between the roster and the files: the next start goes on with the new one.
    std::fs::write(w.ledger.path("keys/gateway.next.key"), &new).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(w.ledger.path("keys/gateway.next.key"), mode).unwrap();
    w.start();
    w.ok("log e.ndjson");
    assert_eq!(std::fs::read(w.ledger.path("keys/gateway.key")).unwrap(), new);
    w.ok(&format!("audit verify {key}"));
}

#[test]
fn a_remote_writer_changes_over_when_the_roster_says_so() {
    let w = World::new();
    w.ok("keygen writer test.example/ehr --file ehr");
    w.ok("writer add keys/ehr.vkey");
    let alice = std::fs::read_to_string(w.ledger.path("keys/alice.recipient")).unwrap();
    let settings = format!(
        "ledger = \"{LEDGER}\"\nledger_key = \"keys/ledger.vkey\"\nkey = \"keys/ehr.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"{}\"\n",
        alice.trim()
    );
    std::fs::write(w.ledger.path("writer.toml"), settings).unwrap();
    w.ok("log e.ndjson --seal writer.toml");
    let old = w.vkey("ehr");
    w.ok("rotate writer writer.toml");
    // Not in the roster yet: the old one goes on.
    w.ok("log e.ndjson --seal writer.toml");
    assert_eq!(w.vkey("ehr"), old);
    // A batch that could not be sent waits, signed with the old key.
    let pending = w.ledger.path("keys/ehr.pending");
    let address = w.server.as_ref().unwrap().url.clone();
    without_answer(&w, &pending, false);
    let next = SigningKey::parse(std::fs::read_to_string(w.ledger.path("keys/ehr.next.key")).unwrap().trim())
        .unwrap();
    w.ok(&format!("writer replace {}", next.verifier()));
    assert!(w.fails(2, &format!("writer replace {}", next.verifier())).contains("already"));
    let told = w.ok(&format!("log e.ndjson --seal writer.toml --server {address}"));
    assert!(
        told.contains("new key from now on") && told.contains("a batch left by an earlier run"),
        "{told}"
    );
    assert_eq!((w.vkey("ehr"), pending.exists()), (next.verifier(), false));
    w.ok("audit verify --key keys/ledger.vkey --identity keys/alice.identity");
    // The same again, with a batch that was stored and whose receipt did not come: it is not stored twice.
    w.ok("rotate writer writer.toml");
    let records = || w.server.as_ref().unwrap().client().ledger().unwrap().records;
    let before = records();
    without_answer(&w, &pending, true);
    assert_eq!(records(), before + 1);
    let next = SigningKey::parse(std::fs::read_to_string(w.ledger.path("keys/ehr.next.key")).unwrap().trim())
        .unwrap();
    w.ok(&format!("writer replace {}", next.verifier()));
    let told = w.ok("log e.ndjson --seal writer.toml");
    assert!(told.contains("a batch left by an earlier run"), "{told}");
    assert_eq!((records(), w.vkey("ehr")), (before + 2, next.verifier()));
    assert!(!pending.exists());
    w.ok("audit verify --key keys/ledger.vkey");
}

/// The settings still name the key before: it led to the new one once, and whoever stole it gives no receipts to this writer.
#[test]
fn a_remote_writer_does_not_go_back_to_a_replaced_key() {
    let mut w = World::new();
    w.ok("keygen writer test.example/ehr --file ehr");
    w.ok("writer add keys/ehr.vkey");
    let alice = std::fs::read_to_string(w.ledger.path("keys/alice.recipient")).unwrap();
    let settings = format!(
        "ledger = \"{LEDGER}\"\nledger_key = \"{}\"\nkey = \"keys/ehr.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"{}\"\n",
        w.vkey("ledger"),
        alice.trim()
    );
    std::fs::write(w.ledger.path("writer.toml"), settings).unwrap();
    w.ok("log e.ndjson --seal writer.toml");
    w.stop();
    let thief = support::Ledger { dir: tempfile::tempdir().unwrap() };
    support::copy_folder(w.ledger.dir.path(), thief.dir.path());
    w.ok("rotate ledger");
    w.start();
    assert!(w.ok("log e.ndjson --seal writer.toml").contains("has a new key"));
    assert!(!w.ok("log e.ndjson --seal writer.toml").contains("has a new key"), "told once");
    // The thief goes on where the key was changed; the writer's place is the same there.
    let state = w.ledger.path("keys/ehr.state");
    std::fs::copy(thief.path("keys/ehr.state"), state).unwrap();
    let other = thief.serve();
    let said = w.fails(1, &format!("log e.ndjson --seal writer.toml --server {}", other.url));
    assert!(!said.contains("has a new key"), "{said}");
    // Nor if the file that says so is damaged.
    std::fs::write(w.ledger.path("keys/ehr.followed"), "").unwrap();
    let said = w.fails(2, &format!("log e.ndjson --seal writer.toml --server {}", other.url));
    assert!(said.contains("ehr.followed is damaged"), "{said}");
    drop(other);
}

/// Seals a batch and gets no answer to it; with `stored` the server got it.
fn without_answer(w: &World, pending: &Path, stored: bool) {
    let proxy = proxy::without_answers_to_batches(&w.server.as_ref().unwrap().url, stored);
    w.fails(3, &format!("log e.ndjson --seal writer.toml --server {proxy}"));
    assert!(pending.exists());
}

/// Passes everything on but batches, or but the answers to them.
mod proxy {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    pub fn without_answers_to_batches(server: &str, stored: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || pass_on(client, &server, stored));
            }
        });
        url
    }

    fn pass_on(mut client: TcpStream, server: &str, stored: bool) {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|w| w == b"\r\n\r\n") {
            match client.read(&mut buffer) {
                Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        }
        let batch = request.starts_with(b"POST /v1/batches");
        if batch && !stored {
            return;
        }
        // One request a connection, so that every one is looked at.
        let text = String::from_utf8_lossy(&request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let mut upstream = TcpStream::connect(server).unwrap();
        let headers = text.find("\r\n\r\n").unwrap() + 4;
        upstream.write_all(&text.as_bytes()[..headers]).unwrap();
        // The rest of a body is not text.
        let sent = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        upstream.write_all(&request[sent..]).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let mut answer = Vec::new();
        let _ = upstream.read_to_end(&mut answer);
        if !batch {
            let _ = client.write_all(&answer);
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn an_admins_and_an_officers_new_key_take_over() {
    let w = World::new();
    w.ok("log e.ndjson");
    let old = w.vkey("admin");
    w.ok("rotate admin");
    assert_ne!(w.vkey("admin"), old);
    w.ok("keygen officer test.example/dpo --file dpo");
    w.ok("officer add keys/dpo.vkey");
    w.ok("keygen officer test.example/dpo --file dpo2");
    w.ok("officer replace keys/dpo2.vkey");
    w.fails(2, "erase --records 0 --reason r --legal-basis b --officer keys/dpo.key");
    w.ok("erase --records 0 --reason r --legal-basis b --officer keys/dpo2.key");
    // The first roster's admin leads to the present one.
    w.ok(&format!("audit verify --key keys/ledger.vkey --admin {}", text(&w.key_file("admin.", ".vkey"))));
    let retired = text(&w.key_file("admin.", ".retired.key"));
    w.fails(2, &format!("hold place h --records 0 --reason r --signer {retired}"));
    w.ok("hold place h --records 0 --reason r");
}
