//! What the tests of this folder share: a small ledger in memory, with real blocks and events, and sinks that remember.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::alert::{Alert, Naming};
use super::engine::Engine;
use super::rules::Rules;
use super::sinks::{SendError, Sink};
use super::{Tail, TailError};
use crate::auditor::facts::Facts;
use crate::auditor::record::{AsOf, AuditRecord, BlockStream, Content, RecordStream, Records};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::secret::Secret;
use crate::base::secret::SecretBytes;
use crate::chain::block::Block;
use crate::chain::key::SigningKey;
use crate::chain::note::Note;
use crate::chain::roster::Roster;
use crate::chain::statement::{HeartbeatStatement, RecordsStatement, Statement};

pub const LEDGER: &str = "hospital.example/audit";
pub const WRITER: &str = "hospital.example/writers/ehr";
pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 3_600_000;

/// Monday 16 November 2026, 09:00 UTC, and some milliseconds.
pub fn at(ms: i64) -> Timestamp {
    let start = Timestamp::parse("2026-11-16T09:00:00.000Z").unwrap();
    Timestamp::from_millis(start.millis() + ms).unwrap()
}

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &Secret::from_slice(&Hash::of(&[name.as_bytes()]).0).unwrap()).unwrap()
}

pub fn secret() -> Secret<32> {
    Secret::fill(|s| s.fill(7))
}

pub fn engine(rules: &str) -> Engine {
    Engine::new(Rules::parse(rules).unwrap(), Naming::new(&secret(), false), LEDGER)
}

/// An event as applications send it.
pub fn event(time: i64, actor: &str, address: &str, result: &str) -> Value {
    json!({
        "event_type": "patient_record_access", "timestamp": at(time).to_string(),
        "actor": { "user_id": actor, "ip_address": address }, "action": "read",
        "resource": { "type": "patient_record", "id": "PAT-2026-00842" }, "result": result,
    })
}

/// A ledger in memory.
#[derive(Clone, Default)]
pub struct Sample {
    pub blocks: Vec<(Block, Statement)>,
    pub records: Vec<AuditRecord>,
}

impl Sample {
    /// A ledger whose first roster, at minute 0, names these writers.
    pub fn with_writers(writers: &[&str]) -> Sample {
        let mut sample = Sample::default();
        sample.roster(0, writers);
        sample
    }

    fn push(&mut self, signer: &str, committed: i64, statement: Statement) {
        let (height, first_record) = (self.blocks.len() as u64, self.records.len() as u64);
        let note = Note::sign(&statement.to_text(), &key(signer));
        let previous = self.blocks.last().map_or(Hash::ZERO, |(b, _)| b.hash());
        let block = Block { height, previous, committed: at(committed), first_record, statement: note };
        self.blocks.push((block, statement));
    }

    pub fn roster(&mut self, committed: i64, writers: &[&str]) {
        let mut roster = Roster {
            ledger: LEDGER.into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: at(committed),
            ledger_key: key(LEDGER).verifier(),
            admins: vec![key("hospital.example/admin").verifier()],
            writers: writers.iter().map(|w| key(w).verifier()).collect(),
            readers: Vec::new(),
            officers_required: 0,
            officers: Vec::new(),
            witnesses: Vec::new(),
        };
        roster.sort();
        self.push("hospital.example/admin", committed, Statement::Roster(roster));
    }

    pub fn heartbeat(&mut self, committed: i64, writer: &str) {
        let s = HeartbeatStatement {
            ledger: LEDGER.into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: at(committed),
        };
        self.push(writer, committed, Statement::Heartbeat(s));
    }

    /// One batch, sealed when it is committed.
    pub fn batch(&mut self, committed: i64, contents: Vec<Content>) {
        let s = RecordsStatement {
            ledger: LEDGER.into(),
            sequence: 0,
            previous: Hash::ZERO,
            sealed: at(committed),
            records: contents.len() as u64,
            bytes: 1,
            records_root: Hash::ZERO,
            tags_root: Hash::ZERO,
            header_hash: Hash::ZERO,
            retain_until: "2032-11-16".into(),
        };
        let block = self.blocks.len() as u64;
        self.push(WRITER, committed, Statement::Records(s));
        for (position, content) in contents.into_iter().enumerate() {
            self.records.push(AuditRecord {
                index: self.records.len() as u64,
                block,
                position: position as u32,
                committed: at(committed),
                sealed: at(committed),
                writer: WRITER.into(),
                retain_until: "2032-11-16".into(),
                content,
            });
        }
    }

    pub fn events(&mut self, committed: i64, events: &[Value]) {
        self.batch(committed, events.iter().map(opened).collect());
    }

    /// The first blocks of it.
    pub fn view(&self, blocks: usize) -> Arc<dyn Records> {
        let mut part = self.clone();
        part.blocks.truncate(blocks);
        part.records.retain(|r| r.block < blocks as u64);
        let committed = part.blocks.last().map(|(b, _)| b.committed);
        let (size, records) = (part.blocks.len() as u64, part.records.len() as u64);
        let as_of =
            AsOf { ledger: LEDGER.into(), checkpoint: format!("{size}"), blocks: size, records, committed };
        Arc::new(View { part, as_of })
    }

    /// All of it through an engine.
    pub fn observe(&self, engine: &mut Engine) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for (block, statement) in &self.blocks {
            alerts.extend(engine.observe_block(block, statement));
            for record in self.records.iter().filter(|r| r.block == block.height) {
                alerts.extend(engine.observe(record, &facts(record)));
            }
        }
        alerts
    }
}

pub fn facts(record: &AuditRecord) -> Facts {
    record.content.event().map_or_else(Facts::default, Facts::of)
}

pub fn opened(event: &Value) -> Content {
    Content::Opened { event: SecretBytes::new(event.to_string().into_bytes()), withheld: Vec::new() }
}

struct View {
    part: Sample,
    as_of: AsOf,
}

impl Records for View {
    fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        let records = self.part.records[range.start as usize..range.end as usize].to_vec();
        Box::new(records.into_iter().map(Ok))
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        let blocks = self.part.blocks[range.start as usize..range.end as usize].to_vec();
        Box::new(blocks.into_iter().map(Ok))
    }
}

/// Answers in the order given, then nothing new.
pub struct Script(pub VecDeque<Result<Option<Arc<dyn Records>>, TailError>>);

impl Script {
    pub fn of(answers: impl IntoIterator<Item = Result<Option<Arc<dyn Records>>, TailError>>) -> Script {
        Script(answers.into_iter().collect())
    }
}

impl Tail for Script {
    fn poll(&mut self) -> Result<Option<Arc<dyn Records>>, TailError> {
        self.0.pop_front().unwrap_or(Ok(None))
    }
}

/// A sink that remembers what it took, and fails when told to.
#[derive(Clone, Default)]
pub struct Memory {
    pub taken: Arc<Mutex<Vec<Alert>>>,
    /// For each call: how many alerts to take before failing, or none to take all.
    pub plan: Arc<Mutex<VecDeque<Option<usize>>>>,
    /// Where every alert taken is also noted, by this sink's name: shared, it shows the order among sinks.
    pub order: Arc<Mutex<Vec<&'static str>>>,
    /// Its name.
    pub called: Option<&'static str>,
    /// The plan is over as soon as `order` has so many entries.
    pub until: Option<usize>,
}

impl Memory {
    pub fn planned(plan: impl IntoIterator<Item = Option<usize>>) -> Memory {
        Memory { plan: Arc::new(Mutex::new(plan.into_iter().collect())), ..Memory::default() }
    }

    pub fn ids(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|a| a.id.clone()).collect()
    }
}

impl Sink for Memory {
    fn name(&self) -> String {
        self.called.unwrap_or("memory").into()
    }

    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SendError> {
        if self.until.is_some_and(|n| self.order.lock().unwrap().len() >= n) {
            self.plan.lock().unwrap().clear();
        }
        let take = self.plan.lock().unwrap().pop_front().flatten();
        let n = take.map_or(alerts.len(), |n| n.min(alerts.len()));
        self.taken.lock().unwrap().extend(alerts[..n].iter().map(|a| (*a).clone()));
        self.order.lock().unwrap().extend(self.called.iter().cycle().take(n));
        match take {
            None => Ok(()),
            Some(_) => Err(SendError { taken: n, why: "as planned".into(), after: None }),
        }
    }
}
