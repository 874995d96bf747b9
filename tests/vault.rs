//! The vault: what a sync accepts, refuses, keeps as proof, and where it goes on; and searching, on the server and in the vault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use sealtrail::auditor::record::{Content, Records};
use sealtrail::auditor::search::{Criteria, Found, SearchError, search_server, search_vault};
use sealtrail::auditor::source::{Source, SourceError};
use sealtrail::auditor::vault::{SyncError, SyncReport, Vault, VaultError};
use sealtrail::base::clock::Timestamp;
use sealtrail::chain::key::VerifierKey;
use sealtrail::store::{SqliteStore, Store};
use support::{Ledger, Server, copy_folder, identity, program};

/// A database read as a server would serve it, with faults.
struct Copy {
    store: SqliteStore,
    /// Bodies given before the connection breaks.
    bodies_left: usize,
    /// Blocks shown.
    body: fn(u64, Vec<u8>) -> Vec<u8>,
    text: fn(u64, String) -> String,
    /// Answers with block texts before the connection breaks.
    texts_left: usize,
}

impl Copy {
    fn of(path: &Path) -> Copy {
        let store = SqliteStore::open_read_only(path).unwrap();
        Copy { store, bodies_left: usize::MAX, body: |_, b| b, text: |_, t| t, texts_left: usize::MAX }
    }
}

impl Source for Copy {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(String::from_utf8(self.store.head().unwrap().unwrap().checkpoint).unwrap())
    }
    fn blocks(&mut self, height: u64, _size: u64) -> Result<Vec<String>, SourceError> {
        self.texts_left =
            self.texts_left.checked_sub(1).ok_or(SourceError::Unavailable("the connection broke".into()))?;
        let texts = self.store.block_texts(height, 3, 1 << 20).unwrap();
        Ok((height..).zip(texts).map(|(h, t)| (self.text)(h, String::from_utf8(t).unwrap())).collect())
    }
    fn has_bodies(&self) -> bool {
        true
    }
    fn body(&mut self, height: u64, _size: u64) -> Result<Vec<u8>, SourceError> {
        self.bodies_left =
            self.bodies_left.checked_sub(1).ok_or(SourceError::Unavailable("the connection broke".into()))?;
        Ok((self.body)(height, self.store.body(height).unwrap().unwrap_or_default()))
    }
    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.leaf_inputs(height).unwrap().unwrap())
    }
}

struct Bench {
    ledger: Ledger,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { ledger: Ledger::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.ledger.path("ledger.db")
    }

    fn log(&self, server: &Server, events: &[serde_json::Value]) {
        let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        self.ledger.writer_client(server).log_ndjson(lines.join("\n").as_bytes()).unwrap();
    }

    /// A vault to sync. A process that another test is just starting shares this one's lock for the moment until it is a program of
    /// its own, so a lock that was let go of may look taken that long.
    fn to_sync(&self, dir: &Path) -> Result<Vault, VaultError> {
        for _ in 0..100 {
            match Vault::open_to_sync(dir, &self.ledger.vkey()) {
                Err(VaultError::Busy(_)) => std::thread::sleep(std::time::Duration::from_millis(20)),
                other => return other,
            }
        }
        Vault::open_to_sync(dir, &self.ledger.vkey())
    }

    fn sync(&self, dir: &Path, source: &mut dyn Source) -> Result<SyncReport, SyncError> {
        self.to_sync(dir)?.sync(source, None, &mut |_| {})
    }

    fn events(&self, dir: &Path) -> Vec<String> {
        let vault = Vault::open(dir, &self.ledger.vkey()).unwrap();
        let records = vault.records(vec![self.ledger.identity("alice")]).unwrap();
        let all = records.as_of().records;
        records
            .records(0..all)
            .map(|r| String::from_utf8(r.unwrap().content.event().unwrap().to_vec()).unwrap())
            .collect()
    }
}

fn visit(n: u64) -> serde_json::Value {
    serde_json::json!({
        "actor": { "user_id": format!("dr-{}", n % 3), "ip_address": "10.0.0.1" }, "action": "read",
        "resource": { "id": format!("PAT-{}", n % 5) }, "result": "allowed", "n": n,
        "timestamp": format!("2026-11-{:02}T10:00:00Z", 1 + n % 20),
    })
}

#[test]
fn a_broken_sync_goes_on_and_what_was_changed_never_enters() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    for n in 0..8 {
        bench.log(&server, &[visit(2 * n), visit(2 * n + 1)]);
    }
    drop(server);
    let dir = bench.dir("a");
    // Bytes that were changed on the way, in every place: refused, and nothing to show.
    type Change = (fn(u64, Vec<u8>) -> Vec<u8>, fn(u64, String) -> String, &'static str);
    let changes: [Change; 5] = [
        (
            |h, mut b| {
                if h == 5 {
                    let n = b.len();
                    b[n - 40] ^= 1;
                }
                b
            },
            |_, t| t,
            "block 5: its body is",
        ),
        (|h, b| if h == 5 { Vec::new() } else { b }, |_, t| t, "block 5: the body"),
        (
            |_, b| b,
            |h, t| if h == 5 { t.replace("records 2", "records 3") } else { t },
            "do not have the root",
        ),
        (
            |_, b| b,
            |h, t| if h == 0 { t.replace("officers-required 0", "officers-required 1") } else { t },
            "do not have the root",
        ),
        (|_, b| b, |h, t| if h == 4 { t.replace("Z\n", "Z \n") } else { t }, "do not have the root"),
    ];
    for (n, (body, text, message)) in changes.into_iter().enumerate() {
        let dir = bench.dir(&format!("changed-{n}"));
        let refused = bench.sync(&dir, &mut Copy { body, text, ..Copy::of(&bench.database()) }).unwrap_err();
        assert!(refused.to_string().contains(message), "{n}: {refused}");
        assert!(matches!(refused, SyncError::Wrong { .. }));
        let vault = Vault::open(&dir, &bench.ledger.vkey()).unwrap();
        assert!(matches!(vault.view(), Err(VaultError::Unfinished(_))));
        // The honest copy is taken all the same.
        bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
        assert_eq!(bench.events(&dir).len(), 16);
    }
    // A connection that breaks again and again: every time it goes on, and in the end everything is there.
    let mut breaks = 0;
    loop {
        match bench.sync(&dir, &mut Copy { bodies_left: 3, ..Copy::of(&bench.database()) }) {
            Ok(report) => {
                assert_eq!((report.blocks, report.records), (9, 16));
                break;
            }
            Err(SyncError::Source(_)) => breaks += 1,
            Err(e) => panic!("{e}"),
        }
        assert!(breaks < 9);
    }
    assert_eq!(breaks, 2, "8 bodies, 3 at a time");
    let events = bench.events(&dir);
    assert_eq!(events, (0..16).map(|n| visit(n).to_string()).collect::<Vec<_>>());
    // Somebody else's key cannot use it, and it is only a copy of ciphertext.
    let raw = std::fs::read(dir.join("ledger.db")).unwrap();
    assert!(!raw.windows(5).any(|w| w == b"PAT-1"));
}

#[test]
fn a_fork_and_a_rollback_stop_the_sync_and_leave_both_checkpoints_as_proof() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    bench.log(&server, &[visit(0)]);
    drop(server);
    let dir = bench.dir("vault");
    bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    // Two continuations of one history, both signed by the ledger's key.
    let other = bench.dir("other");
    copy_folder(bench.ledger.path("").as_path(), &other);
    let old = bench.dir("old");
    copy_folder(bench.ledger.path("").as_path(), &old);
    let server = bench.ledger.serve();
    bench.log(&server, &[visit(1)]);
    bench.log(&server, &[visit(2)]);
    drop(server);
    let report = bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    assert!(report.continued && report.new_records == 2);
    let evil = Server::start(program().current_dir(&other).args(["serve", "--listen", "127.0.0.1:0"]));
    let mut client = evil.client();
    client.set_token(bench.ledger.token());
    for n in [7, 8] {
        client.log_ndjson(visit(n).to_string().as_bytes()).unwrap();
    }
    // As long as the one seen, then longer.
    for more in [false, true] {
        if more {
            client.log_ndjson(visit(9).to_string().as_bytes()).unwrap();
        }
        match bench.sync(&dir, &mut Copy::of(&other.join("ledger.db"))) {
            Err(SyncError::Fork { known: 4, found, kept, .. }) => {
                assert_eq!(found, if more { 5 } else { 4 });
                let proof = std::fs::read_to_string(kept.path).unwrap();
                assert_eq!(proof.matches("\u{2014} ").count(), 2, "two signatures: {proof}");
                assert_eq!(proof.matches(support::LEDGER).count(), 5);
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    match bench.sync(&dir, &mut Copy::of(&old.join("ledger.db"))) {
        Err(SyncError::Rollback { known: 4, found: 2, kept, .. }) => {
            // A disk that does not take the proof does not keep anybody from being told.
            let text = std::fs::read_to_string(&kept.path).unwrap();
            std::fs::remove_file(&kept.path).unwrap();
            std::fs::create_dir(&kept.path).unwrap();
            let again = bench.sync(&dir, &mut Copy::of(&old.join("ledger.db"))).unwrap_err();
            assert!(matches!(again, SyncError::Rollback { .. }), "{again}");
            assert!(again.to_string().ends_with(&text), "{again}");
        }
        outcome => panic!("{outcome:?}"),
    }
    // A first sync that broke off before it had any block remembers what it was shown.
    let fresh = bench.dir("fresh");
    let broken = &mut Copy { texts_left: 2, ..Copy::of(&bench.database()) };
    assert!(matches!(bench.sync(&fresh, broken), Err(SyncError::Source(_))));
    let begun = Vault::open(&fresh, &bench.ledger.vkey()).unwrap();
    assert!(matches!(begun.view(), Err(VaultError::Unfinished(_))));
    drop(begun);
    match bench.sync(&fresh, &mut Copy::of(&other.join("ledger.db"))) {
        Err(SyncError::Fork { known: 4, found: 5, kept, .. }) => assert!(kept.path.exists()),
        outcome => panic!("{outcome:?}"),
    }
    let rolled_back = bench.sync(&fresh, &mut Copy::of(&old.join("ledger.db")));
    assert!(matches!(rolled_back, Err(SyncError::Rollback { known: 4, found: 2, .. })), "{rolled_back:?}");
    let report = bench.sync(&fresh, &mut Copy::of(&bench.database())).unwrap();
    assert!(report.continued && report.new_blocks == 4);
    // Nothing of it is in the vault, and the honest ledger goes on.
    assert_eq!(bench.events(&dir), [0, 1, 2].map(|n| visit(n).to_string()));
    assert_eq!(bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap().new_blocks, 0);
}

/// Blocks that do not have the signed root are a finding, even if the older ones cannot be had to say whether they fork.
#[test]
fn another_root_is_a_finding_whatever_else_can_be_read() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    bench.log(&server, &[visit(0)]);
    drop(server);
    let dir = bench.dir("vault");
    bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    let server = bench.ledger.serve();
    bench.log(&server, &[visit(1)]);
    drop(server);
    let text = |h, t: String| if h == 2 { t.replace("records 1", "records 2") } else { t };
    let mut source = Copy { text, texts_left: 1, ..Copy::of(&bench.database()) };
    let refused = bench.sync(&dir, &mut source).unwrap_err();
    assert!(matches!(refused, SyncError::Wrong { .. }), "{refused}");
    assert!(refused.to_string().contains("do not have the root"), "{refused}");
}

#[test]
fn the_same_answers_from_the_server_and_the_vault() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    for n in 0..6 {
        bench.log(&server, &(0..50).map(|i| visit(n * 50 + i)).collect::<Vec<_>>());
    }
    let key = bench.ledger.vkey();
    let dir = bench.dir("vault");
    bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    let vault = Vault::open(&dir, &key).unwrap();
    let view = vault.view().unwrap();
    let alice = || vec![bench.ledger.identity("alice")];
    let records = vault.records(alice()).unwrap();
    let client = bench.ledger.reader_client(&server);
    let admin =
        VerifierKey::parse(std::fs::read_to_string(bench.ledger.path("keys/admin.vkey")).unwrap().trim())
            .unwrap();
    let fields =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let all = |pairs: &[(&str, &str)]| Criteria { fields: fields(pairs), limit: 1000, ..Criteria::default() };
    let indexes = |f: &Found| f.hits.iter().map(|h| h.record.index).collect::<Vec<_>>();
    let expect = |f: &dyn Fn(u64) -> bool| (0..300).filter(|n| f(*n)).collect::<Vec<u64>>();
    let ask = |criteria: &Criteria| {
        let from_vault = search_vault(&vault, &view, &records, &alice(), criteria).unwrap();
        let from_server = search_server(&client, &key, &admin, &alice(), criteria).unwrap();
        assert_eq!(indexes(&from_vault), indexes(&from_server));
        assert!(from_vault.hits.iter().all(|h| h.proof.is_none()));
        let made = vault.proofs(&view, &indexes(&from_vault)).unwrap();
        let given = from_server.hits.iter().map(|h| h.proof.as_ref().unwrap());
        for (hit, proof) in from_vault.hits.iter().chain(&from_server.hits).zip(made.iter().chain(given)) {
            assert_eq!(proof.verify(&key, None).unwrap().record, hit.record.index);
            assert_eq!(hit.record.content.event().unwrap(), visit(hit.record.index).to_string().as_bytes());
        }
        from_vault
    };
    assert_eq!(indexes(&ask(&all(&[("resource", "PAT-3")]))), expect(&|n| n % 5 == 3));
    assert_eq!(
        indexes(&ask(&all(&[("actor", " DR-1"), ("resource", "pat-3")]))),
        expect(&|n| n % 5 == 3 && n % 3 == 1)
    );
    assert_eq!(indexes(&ask(&all(&[("resource", "PAT-9")]))), [] as [u64; 0]);
    let november = |day| Timestamp::parse(&format!("2026-11-{day}T10:00:00.000Z"));
    let some = Criteria { from: november("05"), to: november("07"), ..all(&[("actor", "dr-2")]) };
    assert_eq!(indexes(&ask(&some)), expect(&|n| n % 3 == 2 && (4..6).contains(&(n % 20))));
    let few = ask(&Criteria { limit: 4, ..all(&[("action", "read")]) });
    assert!(few.cut);
    assert_eq!(indexes(&few), [0, 1, 2, 3]);
    let unknown = search_vault(&vault, &view, &records, &alice(), &all(&[("ward", "3")]));
    assert!(
        matches!(unknown, Err(SearchError::UnknownField(f, names)) if f == "ward" && names.contains("actor"))
    );
    assert!(matches!(search_vault(&vault, &view, &records, &alice(), &all(&[])), Err(SearchError::Nothing)));
    // Whose roster it is decides which search keys are believed.
    let other = bench.ledger.vkey();
    let refused = search_server(&client, &key, &other, &alice(), &all(&[("actor", "dr-1")]));
    assert!(matches!(refused, Err(SearchError::Roster(_))));
    // An identity that is no reader learns how much there is, and nothing of it.
    let stranger = bench.dir("stranger.identity");
    let made = program().args(["keygen", "reader", "eve", "--out"]).arg(bench.dir("eve")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::rename(bench.dir("eve").join("eve.identity"), &stranger).unwrap();
    let eve = || vec![identity(&stranger)];
    let refused = search_vault(&vault, &view, &records, &eve(), &all(&[("actor", "dr-1")]));
    assert!(matches!(refused, Err(SearchError::NotAReader)));
    let hers = vault.records(eve()).unwrap();
    assert!(hers.records(0..300).all(|r| matches!(r.unwrap().content, Content::NotForYou)));
    // Ranges, in the middle of blocks too, each record once and in order.
    for range in [0..0, 0..1, 49..51, 120..300, 290..999] {
        let got: Vec<u64> = records.records(range.clone()).map(|r| r.unwrap().index).collect();
        assert_eq!(got, (range.start..range.end.min(300)).collect::<Vec<_>>());
    }
    assert_eq!(records.blocks(0..99).count() as u64, view.as_of.blocks);
}

#[test]
fn an_admin_key_is_checked_whenever_it_is_given() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    bench.log(&server, &[visit(0)]);
    let dir = bench.dir("vault");
    bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    let with = |admin: &VerifierKey| {
        let mut vault = bench.to_sync(&dir).unwrap();
        vault.sync(&mut Copy::of(&bench.database()), Some(admin), &mut |_| {})
    };
    let admin = std::fs::read_to_string(bench.ledger.path("keys/admin.vkey")).unwrap();
    with(&VerifierKey::parse(admin.trim()).unwrap()).unwrap();
    assert!(matches!(with(&bench.ledger.vkey()), Err(SyncError::Wrong { block: Some(0), .. })));
}

#[test]
fn opened_events_are_kept_for_their_reader_only() {
    let bench = Bench::new();
    let server = bench.ledger.serve();
    for n in 0..3 {
        bench.log(&server, &(0..40).map(|i| visit(n * 40 + i)).collect::<Vec<_>>());
    }
    let dir = bench.dir("vault");
    bench.sync(&dir, &mut Copy::of(&bench.database())).unwrap();
    let before = bench.events(&dir);
    assert!(!dir.join("opened.db").exists(), "nothing is kept unless asked for");
    let mut vault = Vault::open(&dir, &bench.ledger.vkey()).unwrap();
    vault.keep_opened();
    let alice = || vec![bench.ledger.identity("alice")];
    let keep = || vault.records(alice()).unwrap().keep(&mut |_, _| {}).unwrap();
    assert_eq!((keep(), keep()), (120, 0));
    assert_eq!(bench.events(&dir), before);
    let raw = std::fs::read(dir.join("opened.db")).unwrap();
    assert!(raw.len() > 120 * 100 && !raw.windows(4).any(|w| w == b"PAT-" || w == b"acto"));
    // It is what is read: the ledger's bytes are no longer needed for it.
    let database = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    let cut = database.execute("UPDATE body_chunk SET data = zeroblob(length(data))", []).unwrap();
    assert!(cut > 0);
    assert_eq!(bench.events(&dir), before);
    // Changed bytes are not used, and the ledger's are then missed.
    let kept = rusqlite::Connection::open(dir.join("opened.db")).unwrap();
    kept.execute("UPDATE opened SET data = zeroblob(length(data)) WHERE height = 2", []).unwrap();
    let records = vault.records(alice()).unwrap();
    let all: Vec<_> = records.records(0..120).collect();
    assert!(all.iter().take(40).all(Result::is_ok) && all.last().unwrap().is_err());
}
