//! The power goes while somebody creates a ledger, logs the first events, restarts the server and stops it: with the real program, at
//! every operation on a disk (`crash_support`). Before `init` has said that it is done, it must be possible to begin again, and the
//! program must say how; after that nothing may be missing, and every acknowledged event must be there.
//!
//! `SEALTRAIL_CRASH_IMAGES=5000 cargo test --test crash_program` makes more images; `SEALTRAIL_TEST_SEED=N` the same by chance again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash_support;
mod ledger_support;
mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use crash_support::{Disk, Kind, Loss, Marker, Op, read_log, recorded, recorder, scratch};
use ledger_support::{Random, seeds};
use sealtrail::auditor::open::open_bytes;
use sealtrail::base::batch::Header;
use sealtrail::chain::checkpoint::SignedCheckpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::log::Log;
use sealtrail::chain::merkle::leaf_hash;
use sealtrail::ledger::{Ledger, Options};
use sealtrail::store::{LockFile, SqliteStore};
use support::{LEDGER, Server, identity, program};

const CREATED: u64 = 0;
const ACKED: u64 = 1;
const SHOWN: u64 = 2;

/// What people were told.
#[derive(Default, Clone)]
struct Told {
    created: bool,
    events: BTreeMap<u64, String>,
    shown: Vec<String>,
}

impl Told {
    fn hear(&mut self, op: &Op) {
        if op.kind != Kind::Mark {
            return;
        }
        let text = || String::from_utf8(op.data.clone()).unwrap();
        match op.file {
            CREATED => self.created = true,
            ACKED => drop(self.events.insert(op.offset, text())),
            _ => self.shown.push(text()),
        }
    }
}

/// Creates a ledger, serves it, kills it, serves it again and stops it, all recorded.
fn record(folder: &Path, log: &Path) {
    let command = |args: &[&str]| {
        let mut c = program();
        c.args(args).current_dir(folder);
        recorded(c, folder, log, None).unwrap()
    };
    let mut marker = Marker::new(log);
    let out = command(&["keygen", "reader", "alice"]).output().unwrap();
    assert!(out.status.success());
    let alice = format!("alice={}", String::from_utf8(out.stdout).unwrap().trim());
    let out = command(&["init", LEDGER, "--reader", &alice]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    marker.mark(CREATED, 0, &[]);
    for round in 0..2 {
        let server = Server::start(&mut command(&["serve", "--listen", "127.0.0.1:0"]));
        let mut client = server.client();
        client
            .set_token(std::fs::read_to_string(folder.join("keys/ingest.token")).unwrap().trim().to_owned());
        for n in 0..6 {
            let events: Vec<String> =
                (0..1 + n % 3).map(|i| format!(r#"{{"event":"{round}-{n}-{i}"}}"#)).collect();
            let receipts = client.log_ndjson(events.join("\n").as_bytes()).unwrap();
            for (receipt, event) in receipts.events.iter().zip(&events) {
                marker.mark(ACKED, receipt.record, event.as_bytes());
            }
            marker.mark(SHOWN, 0, client.checkpoint().unwrap().as_bytes());
        }
        match round {
            0 => server.kill(),
            _ => server.stop(),
        }
    }
}

/// Gives whether `init` has to be run again.
fn check(folder: &Path, told: &Told) -> bool {
    if !told.created {
        begin_again(folder);
        return true;
    }
    let path = folder.join("ledger.db");
    assert!(folder.join("sealtrail.toml").exists());
    for key in ["ledger.key", "ledger.vkey", "admin.key", "gateway.key", "ingest.token", "alice.identity"] {
        assert!(std::fs::read(folder.join("keys").join(key)).is_ok_and(|b| !b.is_empty()), "{key} is lost");
    }
    let _lock = LockFile::acquire(&path).unwrap();
    let store = Arc::new(SqliteStore::open(&path, LEDGER, false).unwrap());
    let key =
        SigningKey::parse(std::fs::read_to_string(folder.join("keys/ledger.key")).unwrap().trim()).unwrap();
    let vkey = key.verifier();
    let guard = folder.join("ledger.db.last-signed");
    let ledger = Ledger::open(store, Options { key, guard, accept_database_head: false }).unwrap();
    let alice = identity(&folder.join("keys/alice.identity"));
    for (record, event) in &told.events {
        let found = ledger.record(*record).unwrap();
        let header = Header::decode(&found.header).unwrap();
        let (opened, _) = open_bytes(&alice, &header, found.position, &found.record).unwrap();
        assert_eq!(String::from_utf8_lossy(&opened), event.as_str());
        assert_eq!(ledger.proof(*record).unwrap().verify(&vkey, None).unwrap().record, *record);
    }
    let (mut log, mut roots) = (Log::new(), BTreeMap::new());
    for height in 0..ledger.view().log.size() {
        log.append(leaf_hash(ledger.block(height).unwrap().as_bytes()));
        roots.insert(height + 1, log.root());
    }
    for text in &told.shown {
        let shown = SignedCheckpoint::parse(text, &vkey).unwrap().checkpoint().clone();
        assert_eq!(roots.get(&shown.size), Some(&shown.root));
    }
    false
}

/// Whoever was not told that the ledger is there runs `init` again, removes once what it names, and has one; or is told that it is
/// there.
fn begin_again(folder: &Path) {
    let run = |args: &[&str]| program().args(args).current_dir(folder).output().unwrap();
    let mut out = run(&["init", LEDGER]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    if !out.status.success() && !said.contains("sealtrail.toml exists already") {
        assert_eq!(out.status.code(), Some(2), "{said}");
        let files: Vec<_> = said.split_whitespace().map(|w| folder.join(w)).filter(|p| p.is_file()).collect();
        files.iter().for_each(|f| std::fs::remove_file(f).unwrap());
        out = run(&["init", LEDGER]);
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    }
    let out = run(&["audit", "verify", "--file", "ledger.db", "--key", "keys/ledger.vkey"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn power_is_lost_while_a_ledger_is_created_and_served() {
    if recorder().is_none() {
        return;
    }
    let place = scratch();
    let (folder, log) = (place.path().join("ledger"), place.path().join("log"));
    std::fs::create_dir(&folder).unwrap();
    record(&folder, &log);
    let ops = read_log(&log);
    let cuts: Vec<usize> = (0..ops.len()).filter(|i| ops[*i].kind != Kind::Mark).collect();
    let wanted = std::env::var("SEALTRAIL_CRASH_IMAGES").map_or(150, |v| v.parse().unwrap());
    for seed in seeds(&[], 1) {
        let mut random = Random::new(seed);
        let mut work: Vec<(usize, Loss)> = (0..wanted)
            .map(|i: usize| {
                let loss = match random.below(6) {
                    0 => Loss::All,
                    1 => Loss::None,
                    _ => Loss::Random(random.next() >> 32),
                };
                (cuts[i * cuts.len() / wanted], loss)
            })
            .collect();
        work.sort_by_key(|w| w.0);
        let (mut disk, mut told, mut at, mut again) = (Disk::default(), Told::default(), 0, 0);
        for (cut, loss) in &work {
            while at <= *cut {
                disk.apply(&ops[at]);
                told.hear(&ops[at]);
                at += 1;
            }
            let image = scratch();
            disk.image(image.path(), *loss);
            match catch_unwind(AssertUnwindSafe(|| check(image.path(), &told))) {
                Ok(init) => again += u32::from(init),
                Err(_) => panic!(
                    "SEALTRAIL_TEST_SEED={seed}: {loss:?} after operation {cut}, {:?} of {}; the image is {}",
                    ops[*cut].kind,
                    ops[*cut].path,
                    image.keep().display()
                ),
            }
        }
        eprintln!("{} operations, {} images, {again} of them before init was done", cuts.len(), work.len());
        assert!(again > 0 && (again as usize) < work.len(), "both before and after init is looked at");
    }
}
