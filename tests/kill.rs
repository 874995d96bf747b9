//! Kills the server process hard under real load, again and again, at random moments, also while it starts and while it stops; and then
//! accounts for every acknowledged record, offline: it is there, at the index its receipt says, with the content that was sent unless it
//! was ordered to be erased, provable; no checkpoint anybody was shown is of another log; a batch sent again gets its receipt of then.
//!
//! Load meanwhile: single events, batches, large events, a remote writer with sealed batches, erasures, searches, checkpoints.
//! `SEALTRAIL_KILL_SECONDS=300 cargo test --test kill` does so for five minutes; `SEALTRAIL_TEST_SEED=N` with the same random moments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ledger_support;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger_support::{Random, seeds};
use sealtrail::auditor::open::open_bytes;
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::secret::Secret;
use sealtrail::chain::checkpoint::SignedCheckpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::log::Log;
use sealtrail::chain::merkle::leaf_hash;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::client::{Client, ClientError};
use sealtrail::event::policy::Policy;
use sealtrail::ledger::{Ledger as InProcess, Options, Submission};
use sealtrail::seal::tag::SearchSecret;
use sealtrail::store::{LockFile, SqliteStore};
use sealtrail::writer::{Purpose, Writer, WriterOptions};
use support::{Done, LEDGER, Ledger, Server, program};

/// How long, unless the environment says otherwise.
const SECONDS: u64 = 5;
/// Proofs verified at the end, at most; contents are compared all.
const PROOFS: usize = 2000;
/// Name of the remote writer.
const REMOTE: &str = "test.example/ehr";

/// What people were told.
#[derive(Default)]
struct Told {
    /// Record → the event sent, of all that were acknowledged.
    records: Mutex<BTreeMap<u64, String>>,
    /// Acknowledged batches of the remote writer: statement, body, first record.
    batches: Mutex<Vec<(Note, Vec<u8>, u64)>>,
    checkpoints: Mutex<BTreeSet<String>>,
    /// Records whose erasure was acknowledged.
    erased: Mutex<BTreeSet<u64>>,
    /// Records of all orders given.
    ordered: Mutex<BTreeSet<u64>>,
    searches: AtomicU64,
}

/// The remote writer, with the batch it was not told about yet.
struct Remote {
    writer: Writer,
    reader: RosterReader,
    waiting: Option<(Note, Vec<u8>)>,
}

impl Remote {
    fn new(ledger: &Ledger) -> Remote {
        let key = std::fs::read_to_string(ledger.path("keys/ehr.key")).unwrap();
        let options = WriterOptions {
            key: SigningKey::parse(key.trim()).unwrap(),
            ledger: LEDGER.into(),
            policy: Policy::default(),
            retain_years: 6,
            search: Box::new(|m| Ok((m.into(), SearchSecret::from_secret(Secret::fill(|s| *s = [9; 32]))))),
        };
        let recipient = ledger.identity("alice").recipient().to_string();
        let reader = RosterReader { name: "alice".into(), recipient, required: false };
        Remote { writer: Writer::new(options, Head::default()).unwrap(), reader, waiting: None }
    }

    /// Sends the batch that waits, or a new one.
    fn send(&mut self, client: &Client, told: &Told, events: &[String]) -> Result<(), ClientError> {
        let (note, body) = self.waiting.take().unwrap_or_else(|| {
            let readers = std::slice::from_ref(&self.reader);
            let sealed = self.writer.seal_events(Purpose::Events, readers, events, Timestamp::now()).unwrap();
            (sealed.note, sealed.body.to_vec())
        });
        match client.send_batch(&note.to_string(), &body) {
            Ok(receipt) => {
                told.batches.lock().unwrap().push((note, body, receipt.first_record));
                Ok(())
            }
            Err(e) => {
                self.waiting = Some((note, body));
                Err(e)
            }
        }
    }
}

/// Whether it is what a client gets of a server that is killed or stops.
fn is_no_finding(e: &ClientError) -> bool {
    match e {
        ClientError::Unreachable { .. } | ClientError::Malformed { .. } => true,
        ClientError::Problem(p) => p.status == 503,
        _ => false,
    }
}

/// Events, from one client.
fn log_events(
    client: &Client,
    kind: u64,
    told: &Told,
    number: &AtomicU64,
    random: &mut Random,
) -> Result<(), ClientError> {
    let (count, text) = match kind {
        0 => (1, 10),
        1 => (1 + random.below(40), 20),
        _ => (1 + random.below(3), 1000 + random.below(100_000)),
    };
    let first = number.fetch_add(count, Ordering::Relaxed);
    let events: Vec<String> = (first..first + count)
        .map(|i| {
            let text = "x".repeat(random.below(text) as usize);
            format!(r#"{{"actor":{{"user_id":"u-{}"}},"n":{i},"text":"{text}"}}"#, i % 50)
        })
        .collect();
    let receipts = client.log_ndjson(events.join("\n").as_bytes())?;
    assert_eq!(u64::from(receipts.count), count);
    let mut records = told.records.lock().unwrap();
    for (receipt, event) in receipts.events.iter().zip(events) {
        let before = records.insert(receipt.record, event);
        assert_eq!(before, None, "record {} was acknowledged twice", receipt.record);
    }
    Ok(())
}

/// Orders some acknowledged records to be erased, as an officer.
fn erase(ledger: &Ledger, url: &str, told: &Told, stop: &AtomicBool, random: &mut Random) {
    let Some(last) = told.records.lock().unwrap().last_key_value().map(|(r, _)| *r) else { return };
    let first = random.below(last + 1);
    let end = (first + random.below(20)).min(last);
    told.ordered.lock().unwrap().extend(first..=end);
    let records = format!("{first}..{end}");
    let args = ["erase", "--records", &records, "--reason", "gdpr-17", "--legal-basis", "Art. 17"];
    let mut command = program();
    command.args(args).args(["--officer", "keys/dpo.key", "--server", url]).current_dir(ledger.dir.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if stop.load(Ordering::Relaxed) {
            // It would wait for the server to come back.
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    match code {
        Some(0) => told.erased.lock().unwrap().extend(first..=end),
        // Unavailable, or the sequence moved on since an order that was accepted without an answer.
        Some(2 | 3) => {}
        code => {
            let mut said = String::new();
            child.stderr.unwrap().read_to_string(&mut said).unwrap();
            panic!("{code:?}: {said}")
        }
    }
}

/// Looks something up, as an auditor. It may fail, and must never find that something does not hold.
fn search(ledger: &Ledger, url: &str, told: &Told, random: &mut Random) {
    let actor = format!("u-{}", random.below(50));
    let args = ["audit", "search", "--actor", &actor, "--remote", "--server", url];
    let keys =
        ["--key", "keys/ledger.vkey", "--admin", "keys/admin.vkey", "--identity", "keys/alice.identity"];
    let out = ledger.run(&[&args[..], &keys].concat());
    match out.status.code() {
        Some(0) => drop(told.searches.fetch_add(1, Ordering::Relaxed)),
        Some(3) => {}
        code => panic!(
            "{code:?}: {} {}",
            String::from_utf8_lossy(&out.stderr),
            String::from_utf8_lossy(&out.stdout)
        ),
    }
}

/// One life of the server under load; `ends` ends it. Gives the number of answers.
fn live(
    ledger: &Ledger,
    told: &Told,
    remote: &mut Remote,
    number: &AtomicU64,
    seed: u64,
    ends: impl FnOnce(Server),
) {
    let server = ledger.serve();
    let (done, url) = (Done::default(), server.url.clone());
    let stop = &done.0;
    std::thread::scope(|scope| {
        let again = |mut f: Box<dyn FnMut() -> Result<(), ClientError> + Send>| {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match f() {
                        Ok(()) => {}
                        Err(e) if is_no_finding(&e) => std::thread::sleep(Duration::from_millis(5)),
                        Err(e) => panic!("{e}"),
                    }
                }
            })
        };
        let (url, stopped) = (&url, stop);
        let mut threads = Vec::new();
        for kind in 0..3 {
            let (client, mut random) = (ledger.writer_client(&server), Random::new(seed + kind));
            threads.push(again(Box::new(move || log_events(&client, kind, told, number, &mut random))));
        }
        let (client, mut random) = (server.client(), Random::new(seed + 10));
        let from = client.checkpoint();
        threads.push(again(Box::new(move || {
            let events: Vec<String> = (0..1 + random.below(20)).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
            remote.send(&client, told, &events)
        })));
        let client = server.client();
        threads.push(again(Box::new(move || {
            let text = client.checkpoint()?;
            told.checkpoints.lock().unwrap().insert(text);
            std::thread::sleep(Duration::from_millis(3));
            Ok(())
        })));
        let mut random = Random::new(seed + 20);
        threads.push(again(Box::new(move || {
            std::thread::sleep(Duration::from_millis(random.below(300)));
            match random.once_in(2) {
                true => erase(ledger, url, told, stopped, &mut random),
                false => search(ledger, url, told, &mut random),
            }
            Ok(())
        })));
        told.checkpoints.lock().unwrap().extend(from);
        let at_the_end = done.at_the_end();
        ends(server);
        drop(at_the_end);
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn every_acknowledged_record_survives_hard_kills() {
    let seed = seeds(&[], 1)[0];
    eprintln!("SEALTRAIL_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let seconds = std::env::var("SEALTRAIL_KILL_SECONDS").map_or(SECONDS, |s| s.parse().unwrap());
    let ledger = Ledger::new();
    let officer = ledger.ok(&["keygen", "officer", "test.example/officers/dpo"]);
    ledger.ok(&["officer", "add", officer.trim(), "--required", "1"]);
    let writer = ledger.ok(&["keygen", "writer", REMOTE]);
    ledger.ok(&["writer", "add", writer.trim()]);
    let (told, number, mut remote) = (Told::default(), AtomicU64::new(0), Remote::new(&ledger));
    let (begun, mut kills, mut life) = (Instant::now(), [0; 4], 0);
    while begun.elapsed() < Duration::from_secs(seconds) || life < 6 {
        // Each way of dying comes.
        let way = if life < 4 { life as usize } else { random.below(4) as usize };
        life += 1;
        kills[way] += 1;
        let load = Duration::from_millis(100 + random.below(1000));
        let moment = Duration::from_millis(random.below(120));
        let seed = random.next();
        match way {
            0 => live(&ledger, &told, &mut remote, &number, seed, |server| {
                std::thread::sleep(load);
                server.kill();
            }),
            1 => {
                // While it starts, which takes some time after a kill under load.
                let mut c = program();
                c.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(ledger.dir.path());
                let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(moment);
                child.kill().unwrap();
                child.wait().unwrap();
            }
            2 => live(&ledger, &told, &mut remote, &number, seed, |mut server| {
                std::thread::sleep(load);
                // While it stops.
                server.terminate();
                std::thread::sleep(moment);
                let _ = server.child.kill();
                server.child.wait().unwrap();
            }),
            _ => live(&ledger, &told, &mut remote, &number, seed, |server| {
                std::thread::sleep(load);
                server.stop();
            }),
        }
    }
    let took = begun.elapsed();
    // Once more to its end: what was ordered to be erased is then erased.
    ledger.serve().stop();
    let out = ledger.ok(&["audit", "verify", "--file", "ledger.db", "--key", "keys/ledger.vkey"]);
    assert!(!out.is_empty());
    account(&ledger, &told);
    eprintln!(
        "{:?} under load, while starting, while stopping, and clean stops {}; {} s; {} events, {} batches, {} checkpoints, {} erased \
         records, {} searches",
        &kills[..3],
        kills[3],
        took.as_secs(),
        told.records.lock().unwrap().len(),
        told.batches.lock().unwrap().len(),
        told.checkpoints.lock().unwrap().len(),
        told.erased.lock().unwrap().len(),
        told.searches.load(Ordering::Relaxed)
    );
}

/// Holds the files against everything anybody was told.
fn account(ledger: &Ledger, told: &Told) {
    let path = ledger.path("ledger.db");
    let _lock = LockFile::acquire(&path).unwrap();
    let store = Arc::new(SqliteStore::open(&path, LEDGER, false).unwrap());
    let key =
        SigningKey::parse(std::fs::read_to_string(ledger.path("keys/ledger.key")).unwrap().trim()).unwrap();
    let (vkey, guard) = (key.verifier(), ledger.path("ledger.db.last-signed"));
    let open = InProcess::open(store, Options { key, guard, accept_database_head: false }).unwrap();
    let (records, erased) = (told.records.lock().unwrap(), told.erased.lock().unwrap());
    let (ordered, batches) = (told.ordered.lock().unwrap(), told.batches.lock().unwrap());
    assert!(records.len() > 100 && batches.len() > 5, "the load was too small to mean anything");

    // Contents, all of them; and the roots.
    let alice = ledger.identity("alice");
    let (mut log, mut roots, mut compared) = (Log::new(), BTreeMap::new(), 0);
    let mut record = 0;
    for height in 0..open.view().log.size() {
        log.append(leaf_hash(open.block(height).unwrap().as_bytes()));
        roots.insert(height + 1, log.root());
        let body = open.body(height).unwrap().body;
        let (_, count) = open.record_range(height).unwrap();
        if count == 0 {
            continue;
        }
        let body = Body::decode(&body).unwrap();
        let header = Header::decode(body.header).unwrap();
        for (position, bytes) in body.records().enumerate() {
            if let Some(sent) = records.get(&record) {
                match open_bytes(&alice, &header, position as u32, bytes) {
                    Ok((event, _)) => {
                        assert_eq!(String::from_utf8_lossy(&event), sent.as_str(), "record {record}");
                        assert!(!erased.contains(&record), "record {record} is not erased");
                    }
                    Err(e) => assert!(ordered.contains(&record), "record {record}: {e}"),
                }
                compared += 1;
            }
            record += 1;
        }
    }
    assert_eq!(compared, records.len(), "acknowledged records are missing");
    for text in told.checkpoints.lock().unwrap().iter() {
        let shown = SignedCheckpoint::parse(text, &vkey).unwrap().checkpoint().clone();
        assert_eq!(roots.get(&shown.size), Some(&shown.root), "a checkpoint of {} blocks", shown.size);
    }

    // Receipts: proofs of records, and batches sent again.
    let step = (records.len() / PROOFS).max(1);
    for record in records.keys().step_by(step).chain(records.keys().rev().take(50)) {
        assert_eq!(open.proof(*record).unwrap().verify(&vkey, None).unwrap().record, *record);
    }
    for (note, body, first) in batches.iter() {
        let again = Submission::batch(note.clone(), body.clone()).unwrap();
        let receipt = open.submit(again).unwrap().wait().unwrap();
        assert_eq!((receipt.repeated, receipt.first_record), (true, *first));
        for (record, bytes) in (*first..).zip(Body::decode(body).unwrap().records()).take(2) {
            let proof = open.proof(record).unwrap();
            assert_eq!(proof.verify(&vkey, None).unwrap().writer, REMOTE);
            proof.check_record(bytes).unwrap();
        }
    }
}
