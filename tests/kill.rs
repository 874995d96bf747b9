//! Kills the server process hard in the middle of load, again and again, and then accounts for every acknowledged
//! record: it is there, at the index its receipt says, with the content that was sent, provable against the checkpoint shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealtrail::auditor::open::open_record;
use sealtrail::auditor::source::ServerSource;
use sealtrail::auditor::verify::{Trust, verify};
use sealtrail::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use sealtrail::chain::log::Log;
use sealtrail::chain::merkle::leaf_hash;
use sealtrail::client::ClientError;
use support::Ledger;

const ROUNDS: u64 = 4;
const CLIENTS: u64 = 4;
/// How long each round's load runs before the kill.
const LOAD: Duration = Duration::from_millis(700);

/// What the clients were told.
#[derive(Default)]
struct Told {
    /// Index of an acknowledged record → the event sent.
    records: Mutex<BTreeMap<u64, String>>,
    /// Every checkpoint anyone was shown.
    checkpoints: Mutex<Vec<String>>,
}

#[test]
fn every_acknowledged_record_survives_hard_kills() {
    let ledger = Ledger::new();
    let told = Arc::new(Told::default());
    let number = Arc::new(AtomicU64::new(0));
    for round in 0..ROUNDS {
        let server = ledger.serve();
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..CLIENTS)
            .map(|c| {
                let (told, number, stop) = (told.clone(), number.clone(), stop.clone());
                let client = ledger.writer_client(&server);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // One client sends single events, the others batches of growing size.
                        let n = if c == 0 { 1 } else { c * 7 };
                        let first = number.fetch_add(n, Ordering::Relaxed);
                        let events: Vec<String> = (first..first + n)
                            .map(|i| format!(r#"{{"event":"e-{i}","round":{round}}}"#))
                            .collect();
                        match client.log_ndjson(events.join("\n").as_bytes()) {
                            Ok(receipts) => {
                                assert_eq!(u64::from(receipts.count), n);
                                let mut records = told.records.lock().unwrap();
                                for (receipt, event) in receipts.events.iter().zip(events) {
                                    let before = records.insert(receipt.record, event);
                                    assert_eq!(
                                        before, None,
                                        "record {} was acknowledged twice",
                                        receipt.record
                                    );
                                }
                            }
                            // The kill cuts connections; those events may or may not be there.
                            Err(ClientError::Unreachable { .. } | ClientError::Malformed { .. }) => return,
                            Err(e) => panic!("{e}"),
                        }
                        if c == 1
                            && let Ok(text) = client.checkpoint()
                        {
                            told.checkpoints.lock().unwrap().push(text);
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(LOAD);
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for t in threads {
            t.join().unwrap();
        }
    }

    let server = ledger.serve();
    let client = ledger.reader_client(&server);
    let (key, alice) = (ledger.vkey(), ledger.identity("alice"));
    let report = verify(
        &mut ServerSource::new(&client, true),
        &Trust { ledger: &key, admin: None, known: &[] },
        &mut |_, _| {},
    )
    .unwrap();
    let records = told.records.lock().unwrap();
    assert!(records.len() > 100, "the load was too small to mean anything: {}", records.len());
    assert!(report.records >= records.len() as u64);
    // Opening is a request and a log record each: a sample of them, and the last one told of each round's end.
    let step = (records.len() / 60).max(1);
    let last = records.last_key_value().unwrap();
    for (index, event) in records.iter().step_by(step).chain([last]) {
        let opened = open_record(&client, &alice, &key, None, *index).unwrap();
        assert_eq!(String::from_utf8_lossy(&opened.event), event.as_str(), "record {index}");
    }
    check_all_contents(&ledger, &server, &records);

    // No checkpoint ever shown may differ from the log as it is now.
    let shown = told.checkpoints.lock().unwrap();
    assert!(shown.len() > 5);
    let newest = SignedCheckpoint::parse(&client.checkpoint().unwrap(), &key).unwrap().checkpoint().clone();
    let mut roots = BTreeMap::new();
    let mut log = Log::new();
    for height in 0..newest.size {
        log.append(leaf_hash(client.block(height).unwrap().as_bytes()));
        roots.insert(height + 1, log.root());
    }
    for text in shown.iter() {
        let Checkpoint { size, root, .. } = SignedCheckpoint::parse(text, &key).unwrap().checkpoint().clone();
        assert_eq!(
            roots.get(&size),
            Some(&root),
            "a checkpoint of {size} blocks was shown that is not in the log"
        );
    }
}

/// Opens every record in bulk and compares all that was acknowledged.
fn check_all_contents(ledger: &Ledger, server: &support::Server, told: &BTreeMap<u64, String>) {
    use sealtrail::auditor::open::open_bytes;
    use sealtrail::base::batch::{Body, Header};
    let client = ledger.reader_client(server);
    let alice = ledger.identity("alice");
    let blocks = client.ledger().unwrap().blocks;
    let (mut height, mut record, mut compared) = (0, 0u64, 0usize);
    while height < blocks {
        for (h, body) in client.bodies(height, blocks - height).unwrap() {
            height = h + 1;
            if body.is_empty() {
                continue;
            }
            let body = Body::decode(&body).unwrap();
            let header = Header::decode(body.header).unwrap();
            for (position, bytes) in body.records().enumerate() {
                let (event, _) = open_bytes(&alice, &header, position as u32, bytes).unwrap();
                if let Some(sent) = told.get(&record) {
                    assert_eq!(String::from_utf8_lossy(&event), sent.as_str(), "record {record}");
                    compared += 1;
                }
                record += 1;
            }
        }
    }
    assert_eq!(compared, told.len(), "acknowledged records are missing");
}
