//! `backup` and `restore` with the real program: of a running server, beside erasures, interrupted, damaged, behind what was signed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage_support;
mod support;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use damage_support::{BASE, Victim, erase, log};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use sealtrail::auditor::copies::{Copies, Copy};
use sealtrail::auditor::source::{Source, SourceError};
use sealtrail::auditor::vault::Vault;
use sealtrail::auditor::verify::{Trust, VerifyError, verify};
use sealtrail::base::grant::blank;
use sealtrail::base::record::Record;
use sealtrail::ledger::is_signed_state;
use sealtrail::store::{LockFile, SqliteStore, Store};
use support::{Done, LEDGER, Ledger, OTHER_USER, copy_folder};

fn head(path: &Path) -> (u64, u64, Vec<u8>) {
    let head = SqliteStore::open_read_only(path).unwrap().head().unwrap().unwrap();
    (head.size, head.records, head.checkpoint)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A new machine: the keys from where they were kept, and nothing else.
fn new_machine(from: &Ledger) -> Ledger {
    let ledger = Ledger { dir: tempfile::tempdir().unwrap() };
    copy_folder(&from.path("keys"), &ledger.path("keys"));
    ledger
}

fn copy_of_base() -> Ledger {
    Ledger { dir: Victim::new().dir }
}

/// A backup has the state that the ledger signed with the backup's checkpoint, however many more it has signed meanwhile: else the first
/// start from it goes through all blocks.
fn has_its_state(ledger: &Ledger, folder: &str) {
    let store = SqliteStore::open_read_only(&ledger.path(folder).join("ledger.db")).unwrap();
    let derived = |name| store.derived(name).unwrap().unwrap_or_else(|| panic!("no {name}"));
    let checkpoint = String::from_utf8(derived("vault/whole")).unwrap();
    assert!(is_signed_state(&derived("backup/state"), &checkpoint, &ledger.vkey()), "{checkpoint}");
}

#[test]
fn a_backup_of_a_running_server_holds_while_it_is_written_to() {
    let ledger = copy_of_base();
    let server = ledger.serve();
    let done = Done::default();
    let (appends, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 10_000;
            while !done.0.load(Ordering::Acquire) {
                let since = Instant::now();
                log(&ledger, &server, n, 20);
                n += 20;
                appends.fetch_add(1, Ordering::AcqRel);
                longest.fetch_max(since.elapsed().as_millis() as u64, Ordering::AcqRel);
            }
        });
        scope.spawn(|| {
            // An order that is carried out in the middle of it.
            erase(&ledger, &server, "20..60");
        });
        let _ends = done.at_the_end();
        ledger.ok(&["backup", "one"]);
        has_its_state(&ledger, "one");
        let before = appends.load(Ordering::Acquire);
        ledger.ok(&["backup", "--update", "one"]);
        has_its_state(&ledger, "one");
        assert!(appends.load(Ordering::Acquire) > before, "appends go on beside it");
    });
    assert!(longest.load(Ordering::Acquire) < 10_000);
    assert!(!ledger.path("one.partial").exists());
    ledger.ok(&["audit", "verify", "--key", "keys/ledger.vkey", "--file", "one/ledger.db"]);
    // Nothing secret is in it.
    for entry in fs::read_dir(ledger.path("one")).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        for mark in [&b"PRIVATE+KEY"[..], b"AGE-SECRET-KEY", ledger.token().as_bytes()] {
            assert!(!bytes.windows(mark.len()).any(|w| w == mark), "{:?}", entry.path());
        }
    }
    server.stop();
}

#[test]
fn a_new_machine_goes_on_where_the_backup_ended() {
    let old = copy_of_base();
    let server = old.serve();
    log(&old, &server, 20_000, 3);
    server.stop();
    // As the shell completes it.
    old.ok(&["backup", "new/"]);
    assert_eq!(
        names(&old.path("new")),
        ["BACKUP.txt", "ledger.db", "ledger.db.last-signed", "sealtrail.toml"]
    );
    assert!(old.fails(2, &["backup", "new"]).contains("is not overwritten"));
    assert!(old.fails(2, &["backup", "--update", "keys"]).contains("is no backup"));
    assert!(old.fails(2, &["backup", "nowhere/new"]).contains("there is no folder"));
    // What is in the way says nothing about the ledger.
    fs::write(old.path("taken.partial"), "x").unwrap();
    assert!(old.fails(2, &["backup", "taken"]).contains("taken.partial cannot be opened"));
    let lock = LockFile::acquire(&old.path("new/ledger.db")).unwrap();
    let said = old.fails(3, &["backup", "--update", "new"]);
    assert!(said.contains("another command is writing to new") && !said.contains("--offline"), "{said}");
    drop(lock);
    std::fs::remove_file(old.path("new/ledger.db.lock")).unwrap();
    let other = Ledger { dir: tempfile::tempdir().unwrap() };
    other.ok(&["init", "other.example/audit"]);
    let said = other.fails(2, &["backup", "--update", &old.path("new").display().to_string()]);
    assert!(said.contains("holds a copy of test.example/audit") && !said.contains("--vault"), "{said}");
    let new = new_machine(&old);
    let backup = old.path("new").display().to_string();
    // Which ledger it must be, the backup itself is not asked.
    let unkeyed = Ledger { dir: tempfile::tempdir().unwrap() };
    assert!(unkeyed.fails(2, &["restore", &backup]).contains("--key VKEY"));
    let said = new.ok(&["restore", &backup]);
    assert!(said.contains("NOT KNOWN") && said.contains("--accept-database-head"), "{said}");
    assert_eq!(head(&new.path("ledger.db")), head(&old.path("ledger.db")));
    assert!(said.contains("Next: decide.") && !said.contains("Next: sealtrail serve"), "{said}");
    // Nothing is to be moved from under a server.
    let lock = LockFile::acquire(&new.path("ledger.db")).unwrap();
    let said = new.fails(2, &["restore", &backup]);
    assert!(said.contains("in use by process") && !said.contains("move it away"), "{said}");
    drop(lock);
    assert!(new.fails(2, &["restore", &backup]).contains("move it away"));
    // Nobody said that nothing was signed since.
    assert!(new.fails(2, &["serve", "--listen", "127.0.0.1:0"]).contains("last-signed file is missing"));
    fs::copy(old.path("ledger.db.last-signed"), new.path("ledger.db.last-signed")).unwrap();
    let server = new.serve();
    log(&new, &server, 30_000, 3);
    server.stop();
    new.ok(&["fsck"]);
}

#[test]
fn what_was_erased_is_not_in_a_later_backup_and_goes_from_an_older_one() {
    let ledger = copy_of_base();
    let content = |path: &str, record: u64| {
        let store = SqliteStore::open_read_only(&ledger.path(path)).unwrap();
        let stored = store.record(record).unwrap().unwrap().record;
        match Record::decode(&stored).unwrap() {
            Record::Sealed { ciphertext, .. } => Some(ciphertext[..16].to_vec()),
            Record::Erased(_) => None,
        }
    };
    let has = |folder: &str, word: &[u8]| {
        fs::read_dir(ledger.path(folder))
            .unwrap()
            .flatten()
            .any(|e| e.path().is_file() && fs::read(e.path()).unwrap().windows(word.len()).any(|w| w == word))
    };
    let word = content("ledger.db", 100).unwrap();
    ledger.ok(&["backup", "old"]);
    assert!(has("old", &word));
    let server = ledger.serve();
    erase(&ledger, &server, "100");
    ledger.ok(&["backup", "new"]);
    assert!(!has("new", &word) && content("new/ledger.db", 100).is_none());
    let said = ledger.ok(&["backup", "--update", "old"]);
    assert!(said.contains("erased     1 records"), "{said}");
    assert!(!has("old", &word) && content("old/ledger.db", 100).is_none());
    server.stop();
}

#[test]
fn nothing_goes_behind_what_was_signed() {
    let ledger = copy_of_base();
    let server = ledger.serve();
    log(&ledger, &server, 40_000, 5);
    server.stop();
    // The auditor's copy. (Made from the server it would lack the newest blocks: those that say that it was made.)
    let vault = [
        "audit",
        "sync",
        "--vault",
        "vault",
        "--key",
        "keys/ledger.vkey",
        "--identity",
        "keys/alice.identity",
    ];
    ledger.ok(&[&vault[..], &["--file", "ledger.db"]].concat());
    let wanted = head(&ledger.path("ledger.db"));
    // The disk with the database is lost, not the last-signed file. The backup is of before.
    fs::create_dir(ledger.path("lost")).unwrap();
    fs::rename(ledger.path("ledger.db"), ledger.path("lost/ledger.db")).unwrap();
    let signed = fs::read(ledger.path("ledger.db.last-signed")).unwrap();
    let said = ledger.fails(1, &["restore", "backup"]);
    assert!(said.contains("the last one is missing") && said.contains("--from"), "{said}");
    assert!(!ledger.path("ledger.db").exists());
    assert_eq!(fs::read(ledger.path("ledger.db.last-signed")).unwrap(), signed);
    // The auditor has the missing block.
    let said = ledger.ok(&["restore", "backup", "--from", "vault"]);
    assert!(said.contains("from vault") && said.contains("nothing is missing that was signed"), "{said}");
    assert_eq!(head(&ledger.path("ledger.db")), wanted);
    assert!(said.contains("Next: sealtrail serve"), "{said}");
    ledger.ok(&["fsck"]);
    let server = ledger.serve();
    log(&ledger, &server, 50_000, 1);
    server.stop();
    // A last-signed file that says nothing is not replaced either.
    fs::rename(ledger.path("ledger.db"), ledger.path("lost/again.db")).unwrap();
    fs::write(ledger.path("ledger.db.last-signed"), "x").unwrap();
    assert!(ledger.fails(2, &["restore", "backup"]).contains("holds no checkpoint"));
    assert_eq!(fs::read(ledger.path("ledger.db.last-signed")).unwrap(), b"x");
}

/// What may not be read or written is neither damaged nor missing.
#[test]
fn permissions_are_told_as_permissions() {
    let ledger = copy_of_base();
    let key = fs::read_to_string(ledger.path("keys/ledger.vkey")).unwrap();
    fs::copy(ledger.path("keys/alice.identity"), ledger.path("own.identity")).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(ledger.path("own.identity"), Some(OTHER_USER), None).unwrap();
    }
    fs::create_dir_all(ledger.path("closed/made")).unwrap();
    for file in ["ledger.db", "BACKUP.txt"] {
        fs::write(ledger.path("closed/made").join(file), "x").unwrap();
    }
    for (name, mode) in [("closed/made", 0), ("closed", 0o555), ("ledger.db", 0o444), ("", 0o555)] {
        ledger.mode(name, mode);
    }
    let tell = |args: &[&str]| {
        let (code, said) = ledger.by_another(&[args, &["--key", key.trim()]].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("permission denied"), "{said}");
        for other in ["damaged", "is no backup", "sync again", "there is no folder"] {
            assert!(!said.contains(other), "{said}");
        }
    };
    tell(&["backup", "closed/new"]);
    tell(&["backup", "closed/made/new"]);
    tell(&["backup", "--update", "closed/made"]);
    tell(&["audit", "sync", "--vault", "closed/vault", "--file", "ledger.db", "--identity", "own.identity"]);
    for name in ["", "closed", "closed/made"] {
        ledger.mode(name, 0o755);
    }
}

/// The blocks after the backup come from a server that still runs with them; it is asked for what a reader may have.
#[test]
fn blocks_after_the_backup_come_from_a_server() {
    let old = copy_of_base();
    let server = old.serve();
    log(&old, &server, 70_000, 5);
    let new = new_machine(&old);
    let backup = old.path("backup").display().to_string();
    let from = |url: &str| vec!["restore".to_owned(), backup.clone(), "--from".to_owned(), url.to_owned()];
    let run = |code: i32, args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if code == 0 { new.ok(&args) } else { new.fails(code, &args) }
    };
    assert!(run(2, from(&server.url)).contains("--identity"));
    let as_alice = |url: &str| [from(url), vec!["--identity".into(), "keys/alice.identity".into()]].concat();
    run(3, as_alice("http://127.0.0.1:1"));
    assert!(!new.path("ledger.db").exists());
    let said = run(0, as_alice(&server.url));
    assert!(said.contains(&format!("from {}", server.url)), "{said}");
    server.stop();
    let open = |ledger: &Ledger| SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap();
    let (now, then) = (open(&new), open(&old));
    let size = now.head().unwrap().unwrap().size;
    assert!(size > head(&old.path("backup/ledger.db")).0);
    for height in 0..size {
        assert_eq!(now.block_text(height), then.block_text(height));
        assert_eq!(now.body(height), then.body(height));
    }
}

/// The ledger's key is changed between two backups: the old one is brought up to date, and alone it is proved by the key of its time.
#[test]
fn backups_follow_a_change_of_the_ledgers_key() {
    let ledger = copy_of_base();
    ledger.ok(&["backup", "kept"]);
    let key_before = fs::read_to_string(ledger.path("keys/ledger.vkey")).unwrap();
    ledger.ok(&["rotate", "ledger"]);
    ledger.ok(&["fsck"]);
    copy_folder(&ledger.path("kept"), &ledger.path("old"));
    ledger.ok(&["backup", "--update", "kept"]);
    assert_eq!(head(&ledger.path("kept/ledger.db")), head(&ledger.path("ledger.db")));
    ledger.ok(&["fsck", "--key", "keys/ledger.vkey", "--file", "kept/ledger.db"]);
    let wanted = head(&ledger.path("ledger.db"));
    fs::remove_file(ledger.path("ledger.db")).unwrap();
    let said = ledger.fails(1, &["restore", "old"]);
    assert!(said.contains("key was changed") && said.contains("--key"), "{said}");
    ledger.ok(&["restore", "old", "--from", "kept"]);
    assert_eq!(head(&ledger.path("ledger.db")), wanted);
    let elsewhere = new_machine(&ledger);
    let old = ledger.path("old").display().to_string();
    elsewhere.ok(&["restore", &old, "--key", key_before.trim()]);
}

/// A variable still names the key of before. A repair with that key must not take the ledger back to a backup from before the change, not
/// even when the change broke off before the last-signed file was written.
#[test]
fn a_repair_with_the_key_of_before_takes_nothing_back() {
    let ledger = copy_of_base();
    let key_before = fs::read_to_string(ledger.path("keys/ledger.vkey")).unwrap();
    let signed_before = fs::read(ledger.path("ledger.db.last-signed")).unwrap();
    ledger.ok(&["rotate", "ledger"]);
    let wanted = head(&ledger.path("ledger.db"));
    let repair = ["fsck", "--repair", "--key", key_before.trim(), "--from", "backup"];
    assert!(ledger.fails(1, &repair).contains("nothing was changed"));
    let signed = fs::read(ledger.path("ledger.db.last-signed")).unwrap();
    fs::write(ledger.path("ledger.db.last-signed"), signed_before).unwrap();
    let said = ledger.fails(1, &repair);
    fs::write(ledger.path("ledger.db.last-signed"), signed).unwrap();
    assert!(said.contains("nothing was changed") && said.contains(&ledger.vkey().to_string()), "{said}");
    assert_eq!(head(&ledger.path("ledger.db")), wanted);
    assert!(!names(ledger.dir.path()).iter().any(|name| name.contains("damaged")));
    ledger.ok(&["fsck"]);
}

/// Attacker: who can write to the backups. The ledger in his is his own, and its settings name a folder with his own keys. Whom to believe
/// a backup is not asked.
#[test]
fn a_backup_does_not_say_which_key_proves_it() {
    let (honest, his) = (copy_of_base(), Ledger::new());
    his.ok(&["backup", "backup"]);
    copy_folder(&his.path("keys"), &his.path("backup/keys"));
    let backup = his.path("backup").display().to_string();
    assert!(new_machine(&honest).fails(1, &["restore", &backup]).contains("not signed by the key"));
    let new = new_machine(&honest);
    let settings = fs::read_to_string(his.path("backup/sealtrail.toml")).unwrap();
    let pointed = settings.replace("keys = \"keys\"", &format!("keys = \"{backup}/keys\""));
    assert_ne!(pointed, settings);
    fs::write(his.path("backup/sealtrail.toml"), pointed).unwrap();
    let said = new.fails(2, &["restore", &backup]);
    assert!(said.contains("--key VKEY"), "{said}");
    assert_eq!(names(new.dir.path()), ["keys"]);
    // Settings that are used are nobody's word but the backup's.
    let said = new.ok(&["restore", &honest.path("backup").display().to_string()]);
    assert!(said.contains("nobody has signed"), "{said}");
}

/// A copy that lacks the slots of a grant, as a server gives them of a reader who has left, or as somebody made it: another has them.
#[test]
fn slots_that_one_copy_lacks_are_taken_from_another() {
    let ledger = copy_of_base();
    let database = |folder: &str| ledger.path(folder).join("ledger.db");
    let grant = |path: &Path| {
        let store = SqliteStore::open_read_only(path).unwrap();
        let is_grant = |h: &u64| {
            let text = String::from_utf8(store.block_text(*h).unwrap().unwrap()).unwrap();
            text.contains("sealtrail.org/grant/v1")
        };
        let height = (0..store.head().unwrap().unwrap().size).rev().find(is_grant).unwrap();
        (height, store.body(height).unwrap().unwrap())
    };
    let (height, whole) = grant(&ledger.path("ledger.db"));
    for reader_has_left in [false, true] {
        if reader_has_left {
            ledger.ok(&["reader", "remove", "bob"]);
            ledger.ok(&["backup", "--update", "backup"]);
        }
        let hollow = if reader_has_left { "hollow-2" } else { "hollow" };
        copy_folder(&ledger.path("backup"), &ledger.path(hollow));
        let mut body = whole.clone();
        blank(&mut body, 250, |_| true).unwrap();
        assert_ne!(body, whole);
        SqliteStore::open(&database(hollow), LEDGER, false).unwrap().replace_body(height, &body).unwrap();
        fs::remove_file(ledger.path("ledger.db")).unwrap();
        let said = ledger.ok(&["restore", hollow, "--from", "backup"]);
        assert!(said.contains(&format!("block {height}, from backup")), "{said}");
        assert_eq!(grant(&ledger.path("ledger.db")), (height, whole.clone()));
        // The same with a repair, where the database itself lacks them.
        SqliteStore::open(&ledger.path("ledger.db"), LEDGER, false)
            .unwrap()
            .replace_body(height, &body)
            .unwrap();
        if !reader_has_left {
            ledger.ok(&["fsck", "--repair", "--from", "backup"]);
            assert_eq!(grant(&ledger.path("ledger.db")), (height, whole.clone()));
        }
    }
}

/// Two histories: the ledger went on from an old backup, whatever it was told.
#[test]
fn copies_of_two_histories_are_not_mixed() {
    let ledger = copy_of_base();
    let other = Ledger { dir: tempfile::tempdir().unwrap() };
    copy_folder(ledger.dir.path(), other.dir.path());
    for (i, l) in [&ledger, &other].into_iter().enumerate() {
        let server = l.serve();
        log(l, &server, 60_000 + 10 * i as u64, 2);
        server.stop();
    }
    other.ok(&["backup", "fork"]);
    let fork = other.path("fork").display().to_string();
    fs::remove_file(ledger.path("ledger.db")).unwrap();
    let said = ledger.fails(1, &["restore", "backup", "--from", &fork]);
    assert!(said.contains("two histories"), "{said}");
    assert!(!ledger.path("ledger.db").exists());
}

/// A database whose bodies from one height on cannot be had: as if the disk, or the process, ended there.
struct Breaking {
    store: SqliteStore,
    from: u64,
}

impl Source for Breaking {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(String::from_utf8(self.store.head().unwrap().unwrap().checkpoint).unwrap())
    }

    fn blocks(&mut self, height: u64, _: u64) -> Result<Vec<String>, SourceError> {
        let texts = self.store.block_texts(height, 256, 1 << 20).unwrap();
        Ok(texts.into_iter().map(|t| String::from_utf8(t).unwrap()).collect())
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, _: u64) -> Result<Vec<u8>, SourceError> {
        match height >= self.from {
            true => Err(SourceError::Unavailable("the end".into())),
            false => Ok(self.store.body(height).unwrap().unwrap_or_default()),
        }
    }

    fn leaf_inputs(&mut self, _: u64) -> Result<Vec<u8>, SourceError> {
        unreachable!()
    }
}

/// A server that gives true texts as often as it is read through to find out what it proves, and others from then on.
struct Fickle {
    store: SqliteStore,
    reads: Rc<Cell<usize>>,
    honest: usize,
}

impl Source for Fickle {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(String::from_utf8(self.store.head().unwrap().unwrap().checkpoint).unwrap())
    }

    fn blocks(&mut self, height: u64, _: u64) -> Result<Vec<String>, SourceError> {
        self.reads.set(self.reads.get() + 1);
        let texts = self.store.block_texts(height, 1000, 1 << 22).unwrap();
        let texts = texts.into_iter().map(|t| String::from_utf8(t).unwrap());
        Ok(match self.reads.get() > self.honest {
            true => texts.map(|t| t.replace("committed 2", "committed 3")).collect(),
            false => texts.collect(),
        })
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, _: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.body(height).unwrap().unwrap_or_default())
    }

    fn leaf_inputs(&mut self, _: u64) -> Result<Vec<u8>, SourceError> {
        unreachable!()
    }
}

#[test]
fn what_copies_give_is_what_was_proved() {
    let ledger = &BASE.ledger;
    let copies = |honest: usize| {
        let (store, reads) = (SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap(), Rc::default());
        let source = Box::new(Fickle { store, reads: Rc::clone(&reads), honest });
        let copy = Copy { name: "fickle".into(), source };
        (Copies::new(vec![copy], &ledger.vkey(), &[], &mut |_, _| ()), reads)
    };
    let (honest, reads) = copies(usize::MAX);
    let mut honest = honest.unwrap();
    let (needed, size) = (reads.get(), honest.size());
    assert_eq!(honest.blocks(0, size).unwrap().len() as u64, size);
    // However often it is true before, nothing else comes out.
    for n in 0..needed {
        assert!(copies(n).0.is_err(), "{n} of {needed}");
    }
    let mut fickle = copies(needed).0.unwrap();
    let refused = fickle.blocks(0, size).unwrap_err().to_string();
    assert!(refused.contains("two different texts"), "{refused}");
}

/// A database of a running ledger; when its first body is asked for, something happens to the ledger.
struct Overtaken<'a> {
    store: SqliteStore,
    meanwhile: Option<Box<dyn FnOnce() + 'a>>,
    begun: usize,
}

impl Source for Overtaken<'_> {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(String::from_utf8(self.store.head().unwrap().unwrap().checkpoint).unwrap())
    }

    fn blocks(&mut self, height: u64, _: u64) -> Result<Vec<String>, SourceError> {
        self.begun += usize::from(height == 0);
        let texts = self.store.block_texts(height, 256, 1 << 20).unwrap();
        Ok(texts.into_iter().map(|t| String::from_utf8(t).unwrap()).collect())
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, _: u64) -> Result<Vec<u8>, SourceError> {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        Ok(self.store.body(height).unwrap().unwrap_or_default())
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.leaf_inputs(height).unwrap().unwrap())
    }
}

/// An erasure that is ordered and carried out while somebody reads is no destroyed evidence, and needs no second command.
#[test]
fn an_erasure_that_overtakes_a_reading_is_no_finding() {
    let ledger = copy_of_base();
    let server = ledger.serve();
    let key = ledger.vkey();
    let trust = Trust { ledger: &key, admin: None, known: &[] };
    let reading = |records: &'static str| Overtaken {
        store: SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap(),
        meanwhile: Some(Box::new(|| erase(&ledger, &server, records))),
        begun: 0,
    };
    let mut source = reading("505");
    let report = verify(&mut source, &trust, &mut |_, _| ()).unwrap();
    assert_eq!((source.begun, report.not_yet_erased), (2, 0));
    assert_eq!(report.erasures.last().map(|e| e.count), Some(1));
    let mut second = reading("506..507");
    let mut vault = Vault::open_to_sync(&ledger.path("vault"), &key).unwrap();
    let synced = vault.sync(&mut second, None, &mut |_| ()).unwrap();
    let (blocks, records, _) = head(&ledger.path("ledger.db"));
    assert_eq!((synced.new_blocks, synced.new_records, synced.continued), (blocks, records, false));
    assert_eq!(vault.whole().unwrap().unwrap().checkpoint().size, blocks);
    drop(vault);
    drop((source, second));
    server.stop();
    // Where nothing was signed meanwhile, nothing is read again.
    let gone = || {
        let store = SqliteStore::open(&ledger.path("ledger.db"), key.name(), false).unwrap();
        assert_eq!(store.erase(std::slice::from_ref(&(508..509))).unwrap(), 1);
    };
    let store = SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap();
    let mut source = Overtaken { store, meanwhile: Some(Box::new(gone)), begun: 0 };
    let found = verify(&mut source, &trust, &mut |_, _| ());
    assert!(matches!(found, Err(VerifyError::Gone { record: Some(508), .. })), "{found:?}");
    assert_eq!(source.begun, 1);
}

/// What a backup into `folder` comes to that ends at a block.
fn broken_off(ledger: &Ledger, folder: &str, from: u64) {
    let store = SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap();
    let mut vault = Vault::open_to_sync(&ledger.path(folder), &ledger.vkey()).unwrap();
    vault.sync(&mut Breaking { store, from }, None, &mut |_| ()).unwrap_err();
    drop(vault);
    assert_eq!(head(&ledger.path(folder).join("ledger.db")).0, from);
}

#[test]
fn an_interrupted_backup_does_not_look_whole_and_goes_on() {
    let ledger = copy_of_base();
    let size = head(&ledger.path("ledger.db")).0;
    broken_off(&ledger, "b.partial", size - 1);
    fs::copy(ledger.path("sealtrail.toml"), ledger.path("b.partial/sealtrail.toml")).unwrap();
    let half = ledger.path("b.partial").display().to_string();
    let new = new_machine(&ledger);
    assert!(new.fails(1, &["restore", &half]).contains("any signed checkpoint"));
    assert!(!new.path("ledger.db").exists());
    ledger.fails(1, &["audit", "verify", "--key", "keys/ledger.vkey", "--file", "b.partial/ledger.db"]);
    let said = ledger.ok(&["backup", "b"]);
    assert!(said.contains("copied     1 blocks"), "{said}");
    assert_eq!(head(&ledger.path("b/ledger.db")), head(&ledger.path("ledger.db")));
    assert!(!ledger.path("b.partial").exists());
}

/// An update that breaks off leaves what the backup had before to be restored.
#[test]
fn an_interrupted_update_leaves_the_backup_as_it_was() {
    let ledger = copy_of_base();
    let before = head(&ledger.path("backup/ledger.db"));
    let server = ledger.serve();
    log(&ledger, &server, 70_000, 3);
    log(&ledger, &server, 70_003, 3);
    server.stop();
    broken_off(&ledger, "backup", before.0 + 1);
    let new = new_machine(&ledger);
    new.ok(&["restore", &ledger.path("backup").display().to_string()]);
    assert_eq!(head(&new.path("ledger.db")), before);
    new.ok(&["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"]);
    assert!(ledger.ok(&["backup", "--update", "backup"]).contains("copied     1 blocks"));
}

#[test]
fn a_damaged_backup_is_not_restored_and_two_of_them_complete_each_other() {
    let ledger = copy_of_base();
    copy_folder(&ledger.path("backup"), &ledger.path("second"));
    let damage = |path: &str, sql: &str| {
        let conn = Connection::open(ledger.path(path)).unwrap();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        conn.execute_batch(sql).unwrap();
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    damage("backup/ledger.db", "UPDATE body_chunk SET data = zeroblob(length(data)) WHERE id >> 12 = 60");
    damage("second/ledger.db", "UPDATE body_chunk SET data = zeroblob(length(data)) WHERE id >> 12 = 61");
    // Such a file is refused by all who would believe it.
    damage("second/ledger.db", "DROP TRIGGER block_update");
    let wanted = head(&ledger.path("ledger.db"));
    fs::remove_file(ledger.path("ledger.db")).unwrap();
    let said = ledger.fails(1, &["restore", "backup"]);
    assert!(said.contains("block 60"), "{said}");
    assert!(!ledger.path("ledger.db").exists());
    let said = ledger.ok(&["restore", "backup", "--from", "second"]);
    assert!(said.contains("mended     block 60, from second"), "{said}");
    assert_eq!(head(&ledger.path("ledger.db")), wanted);
    ledger.ok(&["fsck"]);
    // A damaged ledger is not copied as if it were whole.
    damage("ledger.db", "UPDATE body_chunk SET data = zeroblob(length(data)) WHERE id >> 12 = 62");
    assert!(ledger.fails(1, &["backup", "third"]).contains("block 62"));
    assert!(!ledger.path("third").exists());
}

#[test]
fn stats_count_what_is_there() {
    let ledger = copy_of_base();
    let read = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&ledger.ok(args)).unwrap() };
    let stats = read(&["stats", "--json", "--deep"]);
    let number = |name: &str| stats[name].as_u64().unwrap();
    let store = SqliteStore::open_read_only(&BASE.ledger.path("ledger.db")).unwrap();
    let head = store.head().unwrap().unwrap();
    assert_eq!((number("blocks"), number("records")), (head.size, head.records));
    assert_eq!(number("file"), fs::metadata(ledger.path("ledger.db")).unwrap().len());
    assert_eq!(number("erased_records"), 43);
    // One full tile, of 256 hashes; nodes of one block, which has 260 records. What the store does not know by name is under "other".
    assert_eq!((number("tiles"), number("nodes")), (256 * 32, 9 * 32));
    assert!(number("freed_by_erasure") > 43 * 200, "{stats}");
    let (mut ciphertext, mut slots, mut tags, mut bodies) = (0, 0, 0, 0);
    for height in 0..head.size {
        bodies += store.body(height).unwrap().map_or(0, |b| b.len() as u64);
    }
    for record in 0..head.records {
        let stored = store.record(record).unwrap().unwrap().record;
        if let Ok(Record::Sealed { sections, tags: t, ciphertext: c, .. }) = Record::decode(&stored) {
            ciphertext += c.len() as u64;
            tags += t.len() as u64;
            slots += sections.iter().map(|s| s.slots.len() as u64).sum::<u64>();
        }
    }
    let part = |name: &str| stats["parts"][name].as_u64().unwrap();
    assert_eq!(number("bodies"), bodies);
    for (name, wanted) in [("ciphertext", ciphertext), ("slots", slots), ("tags", tags)] {
        assert!(part(name).abs_diff(wanted) * 50 <= wanted, "{name}: {} and {wanted}", part(name));
    }
    let shares = stats["by_writer_and_month"].as_array().unwrap();
    assert_eq!(shares.iter().map(|s| s["records"].as_u64().unwrap()).sum::<u64>(), head.records);
    // Of a running server, and of a backup.
    let server = ledger.serve();
    assert!(ledger.ok(&["stats"]).contains("index of tags"));
    assert_eq!(read(&["stats", "--json", "--file", "backup"])["records"], stats["records"]);
    server.stop();
}
