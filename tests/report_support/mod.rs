//! A ledger of a small hospital in memory: a real signed chain, and records whose events come in three shapes. Each event is
//! remembered as it was meant, so that the figures of reports can be computed a second time without reading any event.
#![allow(
    clippy::unnecessary_unwrap,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::ops::Range;
use std::sync::Arc;

use sealtrail::auditor::record::{AsOf, AuditRecord, BlockStream, Content, RecordStream, Records};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::secret::Secret;
use sealtrail::base::secret::SecretBytes;
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::recipient::recipient_text;
use sealtrail::chain::replay::State;
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::*;
use serde_json::{Value, json};

pub const ORIGIN: &str = "hospital.example/phi-audit";
pub const EHR: &str = "hospital.example/writers/ehr-gateway";
pub const LAB: &str = "hospital.example/writers/lab";
/// The first day of the ledger, a Monday.
pub const START: &str = "2026-08-24T00:00:00.000Z";
/// How many days it covers. Summer time ends within, on 25 October.
pub const DAYS: i64 = 90;
const HOUR: i64 = 3_600_000;

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub fn plus(t: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(t.millis() + ms).unwrap()
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &Secret::from_slice(&Hash::of(&[name.as_bytes()]).0).unwrap()).unwrap()
}

fn recipient(seed: u8) -> String {
    recipient_text(&[seed; 32]).unwrap()
}

/// What an event was meant to say, as far as its shape can say it.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    pub index: u64,
    pub time: i64,
    pub has_time: bool,
    pub sealed: i64,
    pub actor: Option<String>,
    pub role: Option<&'static str>,
    pub action: &'static str,
    pub kind: &'static str,
    pub patient: Option<String>,
    pub purpose: Option<&'static str>,
    pub basis: Option<&'static str>,
    pub reason: Option<&'static str>,
    pub address: Option<String>,
    pub recipient: Option<&'static str>,
    /// allowed, denied, failed.
    pub outcome: usize,
    pub emergency: bool,
    pub severity: Option<&'static str>,
    /// opened, partly, not-for-you, erased, unreadable.
    pub state: &'static str,
}

impl Meant {
    pub fn refused(&self) -> bool {
        self.outcome == 1 || self.outcome == 2
    }

    pub fn opened(&self) -> bool {
        self.state == "opened" || self.state == "partly"
    }
}

pub struct Hospital {
    as_of: AsOf,
    blocks: Vec<(Block, Statement)>,
    records: Vec<AuditRecord>,
    pub meant: Vec<Meant>,
}

impl Records for Hospital {
    fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        let some = self.records[range.start as usize..range.end as usize].to_vec();
        Box::new(some.into_iter().map(Ok))
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        let some = self.blocks[range.start as usize..range.end as usize].to_vec();
        Box::new(some.into_iter().map(Ok))
    }
}

/// xorshift64*: the same events every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

const STAFF: [(&str, &str, &str); 12] = [
    ("dr-smith-4421", "physician", "10.21.4.88"),
    ("dr-garcia-2210", "physician", "10.21.4.12"),
    ("dr-haddad-3077", "physician", "10.21.5.40"),
    ("nurse-okafor-118", "nurse", "10.21.4.91"),
    ("nurse-lindqvist-204", "nurse", "10.21.4.92"),
    ("nurse-baptiste-77", "nurse", "10.21.6.17"),
    ("clerk-jones-7", "billing", "10.21.9.14"),
    ("clerk-nowak-31", "billing", "10.21.9.15"),
    ("pharm-ito-12", "pharmacist", "10.21.7.3"),
    ("lab-mueller-9", "laboratory", "10.21.8.8"),
    ("svc-billing-export", "service", "10.21.30.2"),
    ("research-adeyemi-3", "researcher", "10.21.40.19"),
];

/// Another organisation's clients, which write like this everywhere.
const RECIPIENTS: [(&str, &str, &str); 6] = [
    ("State Department of Health, Registry", "public health reporting", "hipaa-public-health"),
    ("County Police Department", "law enforcement", "hipaa-164-512-f"),
    ("Northside Insurance", "payment", "hipaa-payment"),
    ("University Trial Office", "research", "irb-waiver-2026-11"),
    ("Mercy Rehabilitation Clinic", "treatment", "hipaa-treatment-provision"),
    ("Organ Procurement Network", "organ donation", "hipaa-164-512-h"),
];

/// The whole ledger with about `events` events.
pub fn hospital(events: u64) -> Hospital {
    let mut dice = Dice(20_261_121);
    let mut meant: Vec<Meant> = (0..events).map(|n| logical(&mut dice, n)).collect();
    // An attack from outside: one address, one evening, one account.
    for n in 0..24 {
        meant.push(Meant {
            time: at("2026-10-17T21:40:00.000Z").millis() + n * 11_000,
            has_time: true,
            actor: Some("dr-garcia-2210".to_owned()),
            role: Some("physician"),
            action: "login",
            kind: "session",
            address: Some("203.0.113.42".to_owned()),
            outcome: 2,
            reason: Some("invalid_password"),
            state: "opened",
            ..Meant::default()
        });
    }
    meant.sort_by_key(|m| m.time);
    Builder::new().build(meant)
}

/// A ledger with these events, sealed one a second after they happened.
pub fn ledger_of(events: &[Value]) -> Hospital {
    let mut b = Builder::new();
    let start = at(START);
    b.roster(start, &[("alice", 1, true)]);
    let contents = events
        .iter()
        .map(|e| Content::Opened {
            event: SecretBytes::new(e.to_string().into_bytes()),
            withheld: Vec::new(),
        })
        .collect();
    b.batch(EHR, plus(start, HOUR), contents);
    b.finish(Vec::new())
}

fn logical(dice: &mut Dice, n: u64) -> Meant {
    let (actor, role, address) = dice.of(&STAFF);
    let day = dice.below(DAYS as u64) as i64;
    let weekend = day % 7 >= 5;
    // Most work is done by day; nights and weekends are thin.
    let hour =
        if dice.below(100) < if weekend { 60 } else { 12 } { dice.below(24) } else { 7 + dice.below(10) }
            as i64;
    let time = at(START).millis() + (day * 24 + hour) * HOUR + dice.below(3_600_000) as i64;
    let patient = format!("PAT-2026-{:05}", 800 + (dice.below(60) * dice.below(60)) / 50);
    let (kind, purpose, basis) = match role {
        "billing" | "service" => ("invoice", "payment", "hipaa-payment"),
        "researcher" => ("dataset", "research", "irb-waiver-2026-11"),
        "laboratory" => ("lab_result", "treatment", "hipaa-treatment-provision"),
        _ => ("patient_record", "treatment", "hipaa-treatment-provision"),
    };
    let mut m = Meant {
        time,
        has_time: true,
        actor: Some(actor.to_owned()),
        role: Some(role),
        action: dice.of(&["read", "read", "read", "read", "update", "create", "delete"]),
        kind,
        patient: Some(patient),
        purpose: Some(purpose),
        basis: Some(basis),
        address: Some(address.to_owned()),
        outcome: match dice.below(100) {
            0..6 => 1,
            6..8 => 2,
            _ => 0,
        },
        state: "opened",
        ..Meant::default()
    };
    match n % 37 {
        3 => {
            m.emergency = true;
            m.reason = n.is_multiple_of(2).then_some("patient unconscious in the emergency room");
        }
        7 | 19 => {
            let (to, purpose, basis) = dice.of(&RECIPIENTS);
            (m.action, m.recipient, m.purpose, m.basis) = ("disclose", Some(to), Some(purpose), Some(basis));
        }
        11 => m.basis = None,
        23 => m.severity = Some("HIGH"),
        29 => m.actor = None,
        31 => m.has_time = false,
        _ => {}
    }
    match n % 50 {
        9 => m.state = "not-for-you",
        17 => m.state = "partly",
        _ => {}
    }
    m
}

/// The event in one of three shapes; what the shape cannot say is taken out of `m`.
fn event(m: &mut Meant, n: usize) -> Value {
    let time = Timestamp::from_millis(m.time).unwrap().to_string();
    let special =
        m.emergency || m.recipient.is_some() || m.severity.is_some() || !m.has_time || m.reason.is_some();
    if n % 3 == 1 && !special && m.actor.is_some() {
        (m.role, m.basis) = (None, None);
        // FHIR R4 knows failures and no refusals.
        m.outcome = if m.outcome == 1 { 2 } else { m.outcome };
        m.purpose = m.purpose.map(|p| match p {
            "treatment" => "TREAT",
            "payment" => "HPAYMT",
            _ => "HRESCH",
        });
        m.kind = "Patient";
        let codes = [
            ("read", "R"),
            ("update", "U"),
            ("create", "C"),
            ("delete", "D"),
            ("disclose", "R"),
            ("login", "E"),
        ];
        let code = codes.iter().find(|c| c.0 == m.action).unwrap().1;
        return json!({
            "resourceType": "AuditEvent",
            "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest" },
            "subtype": [{ "system": "http://hl7.org/fhir/restful-interaction", "code": m.action }],
            "action": code, "recorded": time, "outcome": (["0", "4", "8"][m.outcome]),
            "purposeOfEvent": [{ "coding": [{ "code": m.purpose }] }],
            "agent": [{ "who": { "reference": format!("Practitioner/{}", m.actor.as_ref().unwrap()) }, "requestor": true,
                        "network": { "address": m.address, "type": "2" } }],
            "source": { "observer": { "reference": "Device/ehr" } },
            "entity": [{ "what": { "reference": format!("Patient/{}", m.patient.as_ref().unwrap()) }, "role": { "code": "1" } }],
        });
    }
    if n % 3 == 2 && !special && m.actor.is_some() {
        (m.basis, m.purpose) = (None, None);
        return json!({
            "id": format!("req-{n}"), "timestamp": time, "actor_id": m.actor, "actor_type": m.role, "action": m.action,
            "resource_type": m.kind, "resource_id": format!("DOC-{n}"), "patient_id": m.patient,
            "result": (["success", "denied", "failure"][m.outcome]), "ip_address": m.address,
        });
    }
    let mut e = json!({
        "event_type": format!("{}_access", m.kind),
        "actor": { "user_id": m.actor, "role": m.role, "ip_address": m.address },
        "action": m.action,
        "resource": { "type": m.kind, "id": m.patient },
        "context": { "purpose": m.purpose, "legal_basis": m.basis, "emergency_access": m.emergency,
                     "justification": m.reason, "recipient": m.recipient, "patient_id": m.patient },
        "result": (["allowed", "denied", "failure"][m.outcome]),
        "metadata": { "application": "EHR-System-v4.2", "severity": m.severity },
    });
    if m.has_time {
        e["timestamp"] = time.into();
    }
    e
}

struct Builder {
    state: State,
    blocks: Vec<(Block, Statement)>,
    records: Vec<AuditRecord>,
}

impl Builder {
    fn new() -> Builder {
        Builder { state: State::new(ORIGIN), blocks: Vec::new(), records: Vec::new() }
    }

    fn commit(&mut self, note: Note, t: Timestamp) -> u64 {
        let block = self.state.next_block(note, t);
        let statement = self.state.apply(&block).unwrap();
        self.blocks.push((block.clone(), statement));
        block.height
    }

    fn roster(&mut self, t: Timestamp, readers: &[(&str, u8, bool)]) {
        let head = self.state.authority();
        let mut roster = Roster {
            ledger: ORIGIN.to_owned(),
            sequence: head.next_sequence,
            previous: head.previous,
            issued: t,
            ledger_key: key(ORIGIN).verifier(),
            admins: vec![key("hospital.example/admin").verifier()],
            writers: vec![key(EHR).verifier(), key(LAB).verifier()],
            readers: readers
                .iter()
                .map(|(name, seed, required)| RosterReader {
                    name: (*name).to_owned(),
                    recipient: recipient(*seed),
                    required: *required,
                })
                .collect(),
            officers_required: 1,
            officers: vec![key("hospital.example/officers/privacy").verifier()],
            witnesses: Vec::new(),
        };
        roster.sort();
        let note = Statement::Roster(roster).sign(&key("hospital.example/admin")).unwrap();
        self.commit(note, t);
    }

    fn heartbeat(&mut self, writer: &str, t: Timestamp) {
        let head = self.state.writer(writer);
        let statement = HeartbeatStatement {
            ledger: ORIGIN.to_owned(),
            sequence: head.next_sequence,
            previous: head.previous,
            issued: t,
        };
        let note = Statement::Heartbeat(statement).sign(&key(writer)).unwrap();
        self.commit(note, t);
    }

    fn batch(&mut self, writer: &str, sealed: Timestamp, contents: Vec<Content>) {
        let head = self.state.writer(writer);
        let statement = RecordsStatement {
            ledger: ORIGIN.to_owned(),
            sequence: head.next_sequence,
            previous: head.previous,
            sealed,
            records: contents.len() as u64,
            bytes: 1000,
            records_root: Hash::of(&[b"records"]),
            tags_root: Hash::of(&[b"tags"]),
            header_hash: Hash::of(&[b"header"]),
            retain_until: "2032-11-20".to_owned(),
        };
        let note = Statement::Records(statement).sign(&key(writer)).unwrap();
        let committed = plus(sealed, 900);
        let block = self.commit(note, committed);
        let writer: Arc<str> = writer.into();
        for (position, content) in contents.into_iter().enumerate() {
            self.records.push(AuditRecord {
                index: self.records.len() as u64,
                block,
                position: position as u32,
                committed,
                sealed,
                writer: writer.clone(),
                retain_until: "2032-11-20".into(),
                content,
            });
        }
    }

    fn build(mut self, mut meant: Vec<Meant>) -> Hospital {
        let start = at(START);
        self.roster(plus(start, -HOUR), &[("alice", 1, true), ("internal-audit", 2, false)]);
        let mut n = 0;
        for slot in 0..DAYS * 4 {
            let (from, to) = (start.millis() + slot * 6 * HOUR, start.millis() + (slot + 1) * 6 * HOUR);
            let mut contents = Vec::new();
            while let Some(m) = meant.get_mut(n).filter(|m| m.time < to) {
                assert!(m.time >= from);
                (m.index, m.sealed) = (n as u64, to);
                let event = SecretBytes::new(event(m, n).to_string().into_bytes());
                contents.push(match m.state {
                    "opened" => Content::Opened { event, withheld: Vec::new() },
                    "partly" => Content::Opened { event, withheld: vec!["clinical".to_owned()] },
                    _ => Content::NotForYou,
                });
                n += 1;
            }
            let sealed = Timestamp::from_millis(to).unwrap();
            match contents.is_empty() {
                true => self.heartbeat(EHR, sealed),
                false => self.batch(EHR, sealed, contents),
            }
            // The laboratory says it is there, until it does not any more.
            if slot % 4 == 0 && slot < 60 * 4 && !(100..116).contains(&slot) {
                self.heartbeat(LAB, plus(sealed, 2000));
            }
            match slot {
                120 => self.roster(
                    plus(sealed, 5000),
                    &[("alice", 1, true), ("external-auditor", 3, false), ("internal-audit", 2, false)],
                ),
                200 => self.roster(plus(sealed, 5000), &[("alice", 1, true), ("external-auditor", 4, false)]),
                220 => self.grant(plus(sealed, 5000), 0, 99, "external-auditor", 4),
                240 => self.erase(plus(sealed, 5000), 40, 44, &mut meant),
                _ => {}
            }
            if slot == 250 {
                self.records[50].content =
                    Content::Unreadable { why: "the key commitment does not fit".to_owned() };
                meant[50].state = "unreadable";
            }
        }
        assert_eq!(n, meant.len());
        self.finish(meant)
    }

    fn grant(&mut self, t: Timestamp, first: u64, last: u64, name: &str, seed: u8) {
        let head = self.state.authority();
        let grant = GrantStatement {
            ledger: ORIGIN.to_owned(),
            sequence: head.next_sequence,
            previous: head.previous,
            issued: t,
            range: RecordRange { first, last },
            from: recipient(1),
            to_name: name.to_owned(),
            to: recipient(seed),
            slots_hash: Hash::of(&[b"slots"]),
        };
        let note = Statement::Grant(grant).sign(&key("hospital.example/admin")).unwrap();
        self.commit(note, t);
    }

    fn erase(&mut self, t: Timestamp, first: u64, last: u64, meant: &mut [Meant]) {
        let head = self.state.authority();
        let order = ErasureStatement {
            ledger: ORIGIN.to_owned(),
            sequence: head.next_sequence,
            previous: head.previous,
            issued: t,
            records: vec![RecordRange { first, last }],
            reason: "gdpr-17-1-d".to_owned(),
            legal_basis: "Unlawful processing found by the privacy office, case 2026-118".to_owned(),
        };
        let note = Statement::Erasure(order).sign(&key("hospital.example/officers/privacy")).unwrap();
        let by_block = self.commit(note, t);
        for index in first..=last {
            self.records[index as usize].content = Content::Erased { by_block: Some(by_block) };
            meant[index as usize].state = "erased";
        }
    }

    fn finish(self, meant: Vec<Meant>) -> Hospital {
        let root = self.state.block_hash();
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size: self.state.height(), root }.sign(&key(ORIGIN));
        let as_of = AsOf {
            ledger: ORIGIN.to_owned(),
            checkpoint: checkpoint.to_string(),
            blocks: self.state.height(),
            records: self.records.len() as u64,
            committed: self.state.last_committed(),
        };
        Hospital { as_of, blocks: self.blocks, records: self.records, meant }
    }
}
