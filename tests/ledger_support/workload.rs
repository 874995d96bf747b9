//! The workload: writers with batches of several sizes, one at a time and several at once, repetitions, heartbeats, rosters,
//! erasures, grants, look-ups, checkpoints fetched in between, and restarts. Senders keep what they were not told about, and
//! send it again.

use std::time::Duration;

use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::grant::{GrantBuilder, GrantHead, put_entry};
use sealtrail::base::hash::Hash;
use sealtrail::chain::authority::{ErasureStatement, GrantStatement, RecordRange};
use sealtrail::chain::grant::slots_hash;
use sealtrail::chain::replay::Head;
use sealtrail::chain::statement::Statement;
use sealtrail::ledger::{Ledger, LedgerError, Receipt};
use sealtrail::writer::{Purpose, Writer};

use super::{Item, Random, WRITERS, admin, check, officer, reader, roster, vkey, writer};

/// How often a sender tries before the test gives up: more than there are faults in a row.
const ATTEMPTS: usize = 400;

/// Takes note of what happens, before it goes on.
pub trait Sink {
    /// The first roster was acknowledged.
    fn created(&mut self) {}
    /// Before it is submitted for the first time.
    fn submitting(&mut self, id: u64, item: &Item);
    fn acked(&mut self, id: u64, receipt: &Receipt);
    fn shown(&mut self, checkpoint: &str);
}

/// Opens the ledger, or tells why it does not open.
pub type Open<'a> = Box<dyn FnMut() -> Result<Ledger, LedgerError> + 'a>;

/// Runs a workload.
pub struct Driver<'a> {
    pub random: Random,
    pub sink: Box<dyn Sink + 'a>,
    open: Open<'a>,
    ledger: Option<Ledger>,
    writers: Vec<Writer>,
    next_id: u64,
    acked: Vec<(u64, Item, Receipt)>,
    readers: u64,
    /// A restart after every failed attempt, too.
    pub restart_often: bool,
    pub large_events: bool,
}

impl<'a> Driver<'a> {
    /// On a ledger that is created or opened with `open`.
    pub fn new(seed: u64, sink: Box<dyn Sink + 'a>, open: Open<'a>) -> Driver<'a> {
        let mut driver = Driver {
            random: Random::new(seed),
            sink,
            open,
            ledger: None,
            writers: (0..WRITERS).map(|w| writer(w, Head::default())).collect(),
            next_id: 0,
            acked: Vec::new(),
            readers: 1,
            restart_often: false,
            large_events: false,
        };
        driver.restart();
        driver.sink.created();
        for (number, w) in driver.writers.iter_mut().enumerate() {
            w.resume(driver.ledger.as_ref().unwrap().writer_head(super::writer_key(number).name()));
        }
        driver
    }

    /// Numbers after those of an earlier driver.
    pub fn number_from(&mut self, id: u64) {
        self.next_id = id;
    }

    pub fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Stops the ledger and starts it again. Whatever fails may fail a few times only.
    pub fn restart(&mut self) {
        drop(self.ledger.take());
        let mut told = String::new();
        for _ in 0..ATTEMPTS {
            match (self.open)() {
                Ok(ledger) => {
                    self.ledger = Some(ledger);
                    self.show();
                    return;
                }
                Err(e) => told = e.to_string(),
            }
        }
        panic!("the ledger does not start: {told}");
    }

    pub fn show(&mut self) {
        let checkpoint = self.ledger().view().checkpoint.clone();
        self.sink.shown(&checkpoint);
    }

    /// Some steps.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
            self.show();
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=8 => {
                let w = self.random.below(WRITERS as u64) as usize;
                let item = self.batch(w);
                self.send(vec![item]);
            }
            // Several at once come into one cycle, or two.
            9..=11 => {
                let items = (0..WRITERS).map(|w| self.batch(w)).collect();
                self.send(items);
            }
            12 => {
                let w = self.random.below(WRITERS as u64) as usize;
                let note = self.writers[w].heartbeat(Timestamp::now()).unwrap();
                self.send(vec![Item::Statement(note)]);
            }
            13..=14 => self.repeat(),
            15 => {
                self.readers = 1 + self.random.below(3);
                let readers = self.readers;
                self.authority(|at, _| Some(Item::Statement(roster(at, readers))));
            }
            16 => self.erase(),
            17 => self.grant(),
            18 => self.look(),
            _ => match self.random.below(3) {
                0 => self.restart(),
                // The store is tidied up when it is quiet.
                1 => std::thread::sleep(Duration::from_millis(230)),
                _ => {}
            },
        }
    }

    fn batch(&mut self, w: usize) -> Item {
        let r = &mut self.random;
        let count = match r.below(12) {
            0 => 30 + r.below(60),
            1..=4 => 1,
            _ => 1 + r.below(8),
        };
        let large = if self.large_events && r.once_in(4) { 20_000 + r.below(100_000) } else { 0 };
        let events: Vec<String> = (0..count)
            .map(|n| {
                let text = "x".repeat(if n == 0 { large as usize } else { r.below(60) as usize });
                format!(r#"{{"actor":{{"user_id":"u-{}"}},"n":{},"text":"{text}"}}"#, r.below(5), r.next())
            })
            .collect();
        let readers: Vec<_> = (0..self.readers).map(reader).collect();
        let sealed = self.writers[w].seal_events(Purpose::Events, &readers[..1], &events, Timestamp::now());
        let sealed = sealed.unwrap();
        Item::Batch(sealed.note, sealed.body.to_vec())
    }

    /// Submits these at once, and again until each is acknowledged.
    pub fn send(&mut self, items: Vec<Item>) {
        let mut open: Vec<(u64, Item)> = Vec::new();
        for item in items {
            self.sink.submitting(self.next_id, &item);
            open.push((self.next_id, item));
            self.next_id += 1;
        }
        let mut told = String::new();
        for _ in 0..ATTEMPTS {
            let pending: Vec<_> = open.iter().map(|(_, item)| item.submit(self.ledger())).collect();
            let mut left = Vec::new();
            for ((id, item), answer) in open.into_iter().zip(pending) {
                match answer.and_then(|p| p.wait()) {
                    Ok(receipt) => {
                        let receipt = Receipt { repeated: false, ..receipt };
                        self.sink.acked(id, &receipt);
                        // What cannot be read just now is checked at the end.
                        let _ = check::try_check_batch(self.ledger(), &item, &receipt);
                        self.acked.push((id, item, receipt));
                    }
                    Err(e) => {
                        told = e.to_string();
                        left.push((id, item));
                    }
                }
            }
            open = left;
            if open.is_empty() {
                return;
            }
            self.show();
            if self.restart_often && self.random.once_in(2) {
                self.restart();
            }
        }
        panic!("never acknowledged: {told}");
    }

    /// Sends something acknowledged again.
    fn repeat(&mut self) {
        if self.acked.is_empty() {
            return;
        }
        let i = self.random.below(self.acked.len() as u64) as usize;
        let (id, item, receipt) = self.acked[i].clone();
        for _ in 0..ATTEMPTS {
            if let Ok(again) = item.submit(self.ledger()).and_then(|p| p.wait()) {
                assert_eq!(again, Receipt { repeated: true, ..receipt }, "item {id}");
                return;
            }
        }
        panic!("item {id} was acknowledged and is not known any more");
    }

    /// A statement of the authority sequence, signed for the place where that is now.
    fn authority(&mut self, make: impl Fn(Head, &Ledger) -> Option<Item>) {
        let at = self.ledger().view().state.authority();
        if let Some(item) = make(at, self.ledger()) {
            self.send(vec![item]);
        }
    }

    fn erase(&mut self) {
        let records = self.ledger().view().state.next_record();
        if records == 0 {
            return;
        }
        let first = self.random.below(records);
        let last = (first + self.random.below(6)).min(records - 1);
        self.authority(|at, _| {
            let erasure = ErasureStatement {
                ledger: super::ORIGIN.into(),
                sequence: at.next_sequence,
                previous: at.previous,
                issued: Timestamp::now(),
                records: vec![RecordRange { first, last }],
                reason: "gdpr-17".into(),
                legal_basis: "Art. 17".into(),
            };
            Some(Item::Statement(Statement::Erasure(erasure).sign(&officer()).unwrap()))
        });
    }

    /// A grant of one record that is not erased; its slots open nothing, which only its reader would see.
    fn grant(&mut self) {
        let records = self.ledger().view().state.next_record();
        if records == 0 {
            return;
        }
        let record = self.random.below(records);
        let Ok(place) = self.ledger().record(record) else { return };
        if place.is_erased() {
            return;
        }
        let head = GrantHead {
            height: place.block,
            position: place.position,
            records: 1,
            sections: 1,
            enc: vec![1; 32],
            search: vec![2; 16],
        };
        let mut entry = Vec::new();
        put_entry(&[[3; 32]], &mut entry);
        let mut body = GrantBuilder::default();
        body.push(&head, &entry);
        let body = body.finish();
        let hash = slots_hash(&body).unwrap();
        self.authority(|at, _| {
            let grant = GrantStatement {
                ledger: super::ORIGIN.into(),
                sequence: at.next_sequence,
                previous: at.previous,
                issued: Timestamp::now(),
                range: RecordRange { first: record, last: record },
                from: reader(0).recipient,
                to_name: reader(0).name,
                to: reader(0).recipient,
                slots_hash: hash,
            };
            Some(Item::Grant(Statement::Grant(grant).sign(&admin()).unwrap(), body.clone()))
        });
    }

    /// What readers and auditors do. Answers may fail, and are right if they do not.
    fn look(&mut self) {
        let records = self.ledger().view().state.next_record();
        if records == 0 {
            return;
        }
        let record = self.random.below(records);
        let ledger = self.ledger();
        if let Ok(proof) = ledger.proof(record) {
            assert_eq!(proof.verify(&vkey(), None).unwrap().record, record);
            if let Ok(found) = ledger.find_ciphertext(&proof.leaf_inputs.ciphertext_hash) {
                assert_eq!(found, record);
            }
        }
        if let Ok(found) = ledger.record(record)
            && let Ok(body) = ledger.body(found.block)
        {
            let body = Body::decode(&body.body).unwrap();
            assert_eq!(body.records().nth(found.position as usize).unwrap(), found.record);
        }
        let _: Result<Option<u64>, _> = ledger.erased_by(record);
        let _: Result<u64, _> = ledger.find_ciphertext(&Hash::ZERO);
        let _ = ledger.stats();
    }
}
