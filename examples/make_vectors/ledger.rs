//! A ledger in memory, built by the library, and forged proofs: one step changed, everything after it
//! hashed and signed afresh.

use std::collections::HashMap;

use sealtrail::auditor::evidence::build::{LogEntry, Material, RawRecord};
use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::chain::batch::{commit, record_leaf};
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::log::{Log, TileId, TileReader};
use sealtrail::chain::note::Note;
use sealtrail::chain::proof::{Proof, record_id};
use sealtrail::chain::replay::{Head, State};
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::{
    ErasureStatement, HeartbeatStatement, RecordRange, RecordsStatement, Statement,
};
use sealtrail::chain::tlog_proof::TlogProof;
use sealtrail::chain::tree;
use serde_json::{Value, json};

use crate::batch::plain_body;
use crate::kit::{ADMIN, LEDGER, WRITER, identity, key};

/// 2026-11-20T12:00:00.000Z and some minutes.
pub fn time(minute: u64) -> Timestamp {
    Timestamp::from_millis(1_795_176_000_000 + minute as i64 * 60_000).unwrap()
}

#[derive(Default)]
struct Tiles(HashMap<TileId, Vec<u8>>);

impl TileReader for Tiles {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(&id).cloned())
    }
}

/// A log whose full tiles are kept.
#[derive(Default)]
struct KeptLog {
    log: Log,
    tiles: Tiles,
}

impl KeptLog {
    fn append(&mut self, leaf: Hash) {
        self.tiles.0.extend(self.log.append(leaf));
    }

    fn path(&self, index: u64) -> Vec<Hash> {
        self.log.inclusion_path(&self.tiles, index, self.log.size()).unwrap()
    }
}

/// A ledger whose every block has passed the library's checks.
pub struct Ledger {
    state: State,
    log: KeptLog,
    blocks: Vec<Block>,
    bodies: HashMap<u64, Vec<u8>>,
}

impl Ledger {
    /// Block 0: the roster.
    pub fn new() -> Ledger {
        let mut ledger = Ledger {
            state: State::new(LEDGER),
            log: KeptLog::default(),
            blocks: Vec::new(),
            bodies: HashMap::new(),
        };
        ledger.push(Statement::Roster(roster(Head::default())).sign(&key(ADMIN)).unwrap());
        ledger
    }

    /// Appends a statement in a block of its own.
    pub fn push(&mut self, note: Note) {
        let block = self.state.next_block(note, time(10 + self.state.height()));
        self.state.apply(&block).unwrap();
        self.log.append(block.hash());
        self.blocks.push(block);
    }

    /// Appends a batch of `n` records and gives its height.
    pub fn batch(&mut self, n: usize) -> u64 {
        let (height, head) = (self.state.height(), self.state.writer(WRITER));
        let body = plain_body(head.next_sequence, n);
        self.push(Statement::Records(statement(&body, head)).sign(&key(WRITER)).unwrap());
        self.bodies.insert(height, body);
        height
    }

    /// Appends a given batch and gives its height.
    pub fn push_body(&mut self, body: Vec<u8>) -> u64 {
        let (height, head) = (self.state.height(), self.state.writer(WRITER));
        self.push(Statement::Records(statement(&body, head)).sign(&key(WRITER)).unwrap());
        self.bodies.insert(height, body);
        height
    }

    /// The sequence number of the writer's next statement.
    pub fn next_sequence(&self) -> u64 {
        self.state.writer(WRITER).next_sequence
    }

    /// Orders the erasure of records, signed by both officers, and gives the order's height.
    pub fn erase(&mut self, records: &[RecordRange]) -> u64 {
        let (height, head) = (self.state.height(), self.state.authority());
        let erasure = ErasureStatement {
            ledger: LEDGER.into(),
            sequence: head.next_sequence,
            previous: head.previous,
            issued: time(6),
            records: records.to_vec(),
            reason: "gdpr-art-17".into(),
            legal_basis: "Art. 17(1)(b) GDPR, request 7/26".into(),
        };
        let mut note = Statement::Erasure(erasure).sign(&key("officer-a")).unwrap();
        note.add_signature(&key("officer-b"));
        self.push(note);
        height
    }

    /// Block text and tlog-proof of a block under a checkpoint.
    pub fn entry(&self, height: u64, checkpoint: &Note) -> LogEntry {
        let path = self.log.path(height);
        let log_proof = TlogProof { extra: None, index: height, path, checkpoint: checkpoint.to_string() };
        LogEntry { text: self.block(height), log_proof: log_proof.to_string() }
    }

    /// What evidence about a record is made of.
    pub fn material(&self, height: u64, position: usize, checkpoint: &Note) -> Material {
        let proof = Proof::parse(self.proof(height, position, checkpoint).as_bytes()).unwrap();
        let body = Body::decode(self.body(height)).unwrap();
        let record = body.records().nth(position).unwrap().to_vec();
        let content = Some(RawRecord { header: body.header.to_vec(), record });
        Material { proof, content, erasure: None, granted: std::sync::Arc::default() }
    }

    /// Appends heartbeats until there are `size` blocks.
    pub fn fill(&mut self, size: u64) {
        while self.state.height() < size {
            let Head { next_sequence: sequence, previous } = self.state.writer(WRITER);
            let heartbeat = HeartbeatStatement { ledger: LEDGER.into(), sequence, previous, issued: time(5) };
            self.push(Statement::Heartbeat(heartbeat).sign(&key(WRITER)).unwrap());
        }
    }

    /// The body of the batch in block `height`.
    pub fn body(&self, height: u64) -> &[u8] {
        &self.bodies[&height]
    }

    /// The text of block `height`.
    pub fn block(&self, height: u64) -> String {
        self.blocks[height as usize].to_string()
    }

    /// The signed checkpoint over all blocks.
    pub fn checkpoint(&self) -> Note {
        let checkpoint =
            Checkpoint { origin: LEDGER.into(), size: self.log.log.size(), root: self.log.log.root() };
        checkpoint.sign(&key(LEDGER)).note().clone()
    }

    /// The proof of a record under a checkpoint.
    pub fn proof(&self, height: u64, position: usize, checkpoint: &Note) -> String {
        let batch = commit(self.body(height)).unwrap();
        let leaves: Vec<_> = batch.leaf_inputs.iter().map(record_leaf).collect();
        let log_proof = TlogProof {
            extra: None,
            index: height,
            path: self.log.path(height),
            checkpoint: checkpoint.to_string(),
        };
        let proof = Proof {
            ledger: LEDGER.into(),
            record: self.blocks[height as usize].first_record + position as u64,
            leaf_inputs: batch.leaf_inputs[position],
            record_path: tree::inclusion_path(&leaves, position).unwrap(),
            block: self.block(height),
            log_proof: log_proof.to_string(),
        };
        proof.verify(&key(LEDGER).verifier(), Some(&key(WRITER).verifier())).unwrap();
        proof.to_json()
    }
}

/// The roster of every ledger here.
pub fn roster(head: Head) -> Roster {
    let reader = |name: &str| RosterReader {
        name: name.into(),
        recipient: identity(name).recipient().to_string(),
        required: name == "auditor",
    };
    let officers = ["officer-a", "officer-b"].map(|name| key(name).verifier()).to_vec();
    Roster {
        ledger: LEDGER.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(0),
        ledger_key: key(LEDGER).verifier(),
        admins: vec![key(ADMIN).verifier()],
        writers: vec![key(WRITER).verifier(), key("ledger.example/writers/lab").verifier()],
        readers: vec![reader("auditor"), reader("network"), reader("person")],
        officers_required: 2,
        officers,
        witnesses: vec![key("witness.example/w1").cosigner()],
    }
}

/// What a writer states about a body.
pub fn statement(body: &[u8], head: Head) -> RecordsStatement {
    let batch = commit(body).unwrap();
    RecordsStatement {
        ledger: LEDGER.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        sealed: time(1),
        records: batch.leaf_inputs.len() as u64,
        bytes: batch.bytes,
        records_root: batch.records_root,
        tags_root: batch.tags_root.unwrap(),
        header_hash: batch.header_hash,
        retain_until: "2036-11-20".into(),
    }
}

/// Changes the text of one step: `(step, text)` to text. The steps of a proof, in order: `statement`, `note`
/// (the signed statement), `block`, `checkpoint`, `signed checkpoint`, `log proof`.
pub type Twist<'t> = &'t dyn Fn(&str, String) -> String;

/// The twist that changes nothing.
pub fn honest(_: &str, text: String) -> String {
    text
}

/// Replaces `from`, which must be there, in the text of one step.
pub fn replace(step: &'static str, from: &str, to: &str) -> impl Fn(&str, String) -> String + use<> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |now, text| {
        if now != step {
            return text;
        }
        assert!(text.contains(&from), "no {from} in the {step}");
        text.replacen(&from, &to, 1)
    }
}

/// A block of a log whose other entries are made up.
pub struct Forge {
    /// Signs the statement.
    pub writer: SigningKey,
    /// Signs the checkpoint.
    pub ledger: SigningKey,
    /// Height of the block, by its own text and in the log proof.
    pub height: u64,
    /// Index of the block among the log's entries.
    pub index: u64,
    /// Number of entries.
    pub size: u64,
    /// First record of the block.
    pub first: u64,
}

impl Forge {
    /// Block 5 of 11, its records from number 1000.
    pub fn new() -> Forge {
        Forge { writer: key(WRITER), ledger: key(LEDGER), height: 5, index: 5, size: 11, first: 1000 }
    }

    /// The block that carries `body`.
    pub fn block(&self, body: &[u8], twist: Twist<'_>) -> String {
        let head =
            Head { next_sequence: crate::batch::header(body).sequence, previous: Hash::of(&[b"previous"]) };
        let text = twist("statement", Statement::Records(statement(body, head)).to_text());
        self.block_of(twist("note", Note::sign(&text, &self.writer).to_string()), twist)
    }

    /// The block that carries any statement.
    pub fn block_of(&self, note: String, twist: Twist<'_>) -> String {
        let block = format!(
            "sealtrail.org/block/v1\nheight {}\nprevious {}\ncommitted {}\nfirst-record {}\n\n{note}",
            self.height,
            Hash::of(&[b"block before"]).base64(),
            time(20),
            self.first,
        );
        twist("block", block)
    }

    /// The proof file of a record of `body`, as a JSON value to change or write.
    pub fn proof(&self, body: &[u8], position: usize, twist: Twist<'_>) -> Value {
        self.proof_of(self.block(body, twist), body, position, twist)
    }

    /// The same with a given block.
    pub fn proof_of(&self, block: String, body: &[u8], position: usize, twist: Twist<'_>) -> Value {
        let mut log = KeptLog::default();
        for i in 0..self.size {
            let other = Hash::of(&[b"entry", &i.to_be_bytes()]);
            log.append(if i == self.index { Block::hash_text(&block) } else { other });
        }
        let checkpoint =
            Checkpoint { origin: self.ledger.name().into(), size: self.size, root: log.log.root() }.to_text();
        let checkpoint = Note::sign(&twist("checkpoint", checkpoint), &self.ledger).to_string();
        let log_proof = TlogProof {
            extra: None,
            index: self.height,
            path: log.path(self.index),
            checkpoint: twist("signed checkpoint", checkpoint),
        };
        let batch = commit(body).unwrap();
        let leaves: Vec<_> = batch.leaf_inputs.iter().map(record_leaf).collect();
        let inputs = batch.leaf_inputs[position];
        let path = tree::inclusion_path(&leaves, position).unwrap();
        let record = self.first + position as u64;
        json!({
            "format": "sealtrail.org/proof/v1",
            "ledger": LEDGER,
            "record": record,
            "id": record_id(record),
            "ciphertext_sha256": inputs.ciphertext_hash.hex(),
            "envelope_hash": inputs.envelope_hash.hex(),
            "disclosure_root": inputs.disclosure_root.hex(),
            "record_path": path.iter().map(Hash::base64).collect::<Vec<_>>(),
            "block": block,
            "log_proof": twist("log proof", log_proof.to_string()),
        })
    }
}
