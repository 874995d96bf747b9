//! The attacker's tools: a ledger taken apart into what it is made of, changed at will, and put together again with everything
//! that can be computed computed anew.

use std::path::Path;

use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use sealtrail::chain::batch::{commit, leaf_inputs_of, record_leaves};
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::proof::Proof;
use sealtrail::chain::replay::{Head as Place, State};
use sealtrail::chain::statement::{RecordsStatement, Statement, statement_hash};
use sealtrail::chain::tlog_proof::TlogProof;
use sealtrail::chain::tree;
use sealtrail::event::policy::Policy;
use sealtrail::ledger::sequence_of;
use sealtrail::store::{Head, NewBlock, SqliteStore, Store, body_tags};
use sealtrail::writer::Purpose;

use crate::world::{ORIGIN, copy, identity, on_roster, world, writer};

/// One block with what is kept of it.
#[derive(Clone, Debug)]
pub struct Part {
    pub text: String,
    pub body: Vec<u8>,
    pub leaves: Vec<u8>,
}

impl Part {
    pub fn block(&self) -> Block {
        Block::parse(&self.text).unwrap()
    }
    pub fn statement(&self) -> Statement {
        Statement::parse(&self.block().statement.text).unwrap()
    }
    pub fn records_statement(&self) -> RecordsStatement {
        let Statement::Records(s) = self.statement() else { panic!("no batch: {}", self.text) };
        s
    }
    pub fn records(&self) -> Vec<Vec<u8>> {
        Body::decode(&self.body).unwrap().records().map(<[u8]>::to_vec).collect()
    }
    /// Other records in the batch, with the leaf inputs they have.
    pub fn set_records(&mut self, records: &[Vec<u8>]) {
        let header = Body::decode(&self.body).unwrap().header.to_vec();
        self.body = Body::encode(&header, records);
        self.leaves = records.iter().flat_map(|r| leaf_inputs_of(r).unwrap().to_bytes()).collect();
    }
    /// Another statement, keeping the block's place.
    pub fn set_note(&mut self, note: Note) {
        self.text = Block { statement: note, ..self.block() }.to_string();
    }
    /// What the writer of the batch would sign for the body as it is now.
    pub fn restated(&self) -> RecordsStatement {
        let found = commit(&self.body).unwrap();
        RecordsStatement {
            records: found.leaf_inputs.len() as u64,
            bytes: found.bytes,
            records_root: found.records_root,
            tags_root: found.tags_root.unwrap_or(self.records_statement().tags_root),
            header_hash: found.header_hash,
            ..self.records_statement()
        }
    }
}

/// A ledger in the attacker's hands.
#[derive(Clone, Debug)]
pub struct Forged {
    pub parts: Vec<Part>,
    pub checkpoint: String,
}

impl Forged {
    /// The honest one.
    pub fn honest() -> Forged {
        Forged::read(&world().path("ledger.db"))
    }

    pub fn read(database: &Path) -> Forged {
        let store = SqliteStore::open_read_only(database).unwrap();
        let head = store.head().unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let part = |h| Part {
            text: text(store.block_text(h).unwrap().unwrap()),
            body: store.body(h).unwrap().unwrap_or_default(),
            leaves: store.leaf_inputs(h).unwrap().unwrap_or_default(),
        };
        Forged { parts: (0..head.size).map(part).collect(), checkpoint: text(head.checkpoint) }
    }

    /// Height of the block that holds a record.
    pub fn height_of(&self, record: u64) -> usize {
        let holds = |p: &Part| {
            let first = p.block().first_record;
            (first..first + p.statement().record_count()).contains(&record)
        };
        self.parts.iter().position(holds).unwrap()
    }

    pub fn hashes(&self) -> Vec<Hash> {
        self.parts.iter().map(|p| Block::hash_text(&p.text)).collect()
    }

    /// What the ledger's own machine computes: heights, links and record numbers.
    pub fn relink(&mut self) {
        let (mut previous, mut next_record) = (Hash::ZERO, 0);
        for (height, part) in self.parts.iter_mut().enumerate() {
            let block = Block { height: height as u64, previous, first_record: next_record, ..part.block() };
            next_record += part.statement().record_count();
            part.text = block.to_string();
            previous = Block::hash_text(&part.text);
        }
    }

    /// Signs the log as it is now.
    pub fn sign(&mut self, key: &SigningKey) {
        let head = Checkpoint {
            origin: key.name().to_owned(),
            size: self.parts.len() as u64,
            root: tree::root(&self.hashes()),
        };
        self.checkpoint = head.sign(key).note().to_string();
    }

    /// [`Forged::relink`] and [`Forged::sign`] with the honest ledger's key: what its operator can do.
    pub fn operated(mut self) -> Forged {
        self.relink();
        self.sign(&world().keys.ledger);
        self
    }

    /// The numbers and links of one sequence, and the signatures on it: what its key's thief can do. `whose` is a writer's name, or
    /// nothing for the statements of admins and officers.
    pub fn resign(&mut self, whose: &str, keys: &[&SigningKey]) {
        let (mut sequence, mut previous) = (0, Hash::ZERO);
        for part in &mut self.parts {
            let note = part.block().statement;
            let mut statement = part.statement();
            if sequence_of(&statement, &note) != whose {
                continue;
            }
            match &mut statement {
                Statement::Records(s) => (s.sequence, s.previous) = (sequence, previous),
                Statement::Heartbeat(s) => (s.sequence, s.previous) = (sequence, previous),
                Statement::Roster(s) => (s.sequence, s.previous) = (sequence, previous),
                Statement::Grant(s) => (s.sequence, s.previous) = (sequence, previous),
                Statement::Erasure(s) => (s.sequence, s.previous) = (sequence, previous),
                Statement::Hold(s) => (s.sequence, s.previous) = (sequence, previous),
            }
            let text = statement.to_text();
            if text != note.text {
                let mut signed = Note { text: text.clone(), signatures: Vec::new() };
                let by = keys.iter().filter(|k| note.signatures.iter().any(|s| s.name == k.name()));
                by.for_each(|k| signed.add_signature(k));
                part.set_note(signed);
            }
            sequence += 1;
            previous = statement_hash(&text);
        }
    }

    /// Where a sequence stands: `whose` as in [`Forged::resign`].
    pub fn place(&self, whose: &str) -> Place {
        let mut place = Place::default();
        for part in &self.parts {
            let (note, statement) = (part.block().statement, part.statement());
            if sequence_of(&statement, &note) == whose {
                let previous = statement_hash(&note.text);
                place = Place { next_sequence: statement.sequence() + 1, previous };
            }
        }
        place
    }

    /// Adds a block at the end. Its place is right after [`Forged::relink`].
    pub fn append(&mut self, statement: Note, body: Vec<u8>) {
        let last = self.parts.last().unwrap().block();
        let leaves = match commit(&body) {
            Ok(found) => found.leaf_inputs.iter().flat_map(|l| l.to_bytes()).collect(),
            Err(_) => Vec::new(),
        };
        self.parts.push(Part { text: Block { statement, ..last }.to_string(), body, leaves });
    }

    /// Seals these events with a writer's key and adds them.
    pub fn append_batch(&mut self, key: &SigningKey, events: &[String]) {
        let readers = &world().roster.readers;
        let mut writer = writer(copy(key), Policy::default(), self.place(key.name()));
        let sealed = writer.seal_events(Purpose::Events, readers, events, Timestamp::now()).unwrap();
        self.append(sealed.note, sealed.body.to_vec());
    }

    /// Changes a batch as its own writer could, with the later statements of this writer; all by the operator's hand, or with his
    /// unknowing help when the batch was new.
    pub fn by_its_writer(mut self, height: usize, key: &SigningKey, records: &[Vec<u8>]) -> Forged {
        self.parts[height].set_records(records);
        let note = Statement::Records(self.parts[height].restated()).sign(key).unwrap();
        self.parts[height].set_note(note);
        self.resign(key.name(), &[key]);
        self.operated()
    }

    /// A new database with all of it: rows, chunks and search index as the program itself makes them.
    pub fn write(&self, database: &Path) {
        let store = SqliteStore::open(database, ORIGIN, true).unwrap();
        let (mut blocks, mut next_record) = (Vec::new(), 0);
        for (height, part) in self.parts.iter().enumerate() {
            let block = Block::parse(&part.text).ok();
            let statement = block.as_ref().and_then(|b| Statement::parse(&b.statement.text).ok());
            let (signer, sequence) = match (&block, &statement) {
                (Some(b), Some(s)) => (sequence_of(s, &b.statement), s.sequence()),
                _ => (format!("unreadable {height}"), 0),
            };
            // Two of one number cannot be in the table at once.
            let twice = blocks.iter().any(|b: &NewBlock| b.signer == signer && b.sequence == sequence);
            let records = (part.leaves.len() / LEAF_INPUTS_LEN) as u32;
            blocks.push(NewBlock {
                height: height as u64,
                first_record: next_record,
                records,
                text: part.text.clone().into_bytes(),
                leaf_inputs: part.leaves.clone(),
                signer: if twice { format!("{signer} again at {height}") } else { signer },
                sequence,
                tags: if records > 0 { body_tags(&part.body).unwrap() } else { Vec::new() },
                body: (!part.body.is_empty()).then(|| part.body.clone()),
            });
            next_record += u64::from(records);
        }
        let head = Head {
            size: self.parts.len() as u64,
            records: next_record,
            checkpoint: self.checkpoint.clone().into_bytes(),
            state: Vec::new(),
        };
        store.append(0, &blocks, &[], &head).unwrap();
    }

    /// The inclusion path of a block in the log.
    pub fn log_path(&self, height: usize) -> Vec<Hash> {
        tree::inclusion_path(&self.hashes(), height).unwrap_or_default()
    }

    pub fn log_proof(&self, height: usize) -> TlogProof {
        TlogProof {
            extra: None,
            index: height as u64,
            path: self.log_path(height),
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// A proof of a record, as good as it can be made.
    pub fn proof(&self, record: u64) -> Proof {
        let height = self.height_of(record);
        let part = &self.parts[height];
        let position = (record - part.block().first_record) as usize;
        let inputs: Vec<LeafInputs> =
            part.leaves.chunks(LEAF_INPUTS_LEN).map(|b| LeafInputs::from_bytes(b).unwrap()).collect();
        Proof {
            ledger: ORIGIN.to_owned(),
            record,
            leaf_inputs: inputs[position],
            record_path: tree::inclusion_path(&record_leaves(&inputs), position).unwrap(),
            block: part.text.clone(),
            log_proof: self.log_proof(height).to_string(),
        }
    }
}

/// Puts mallory among the readers of the state that is stored in the folder of a new ledger, and signs that with the ledger's key: what its
/// thief can do who can write to the database too.
pub fn plant_a_reader(dir: &Path) {
    let database = dir.join("ledger.db");
    let key = std::fs::read_to_string(dir.join("keys/ledger.key")).unwrap();
    let key = SigningKey::parse(key.trim()).unwrap();
    let store = SqliteStore::open(&database, ORIGIN, false).unwrap();
    let head = store.head().unwrap().unwrap();
    let Statement::Roster(mut roster) = Forged::read(&database).parts[0].statement() else { panic!() };
    let old = Statement::Roster(roster.clone()).to_text();
    roster.readers.push(on_roster("mallory", &identity()));
    roster.sort();
    let new = Statement::Roster(roster).to_text();
    // A signature of 64 bytes, then the snapshot with the roster's text and its length.
    let at = head.state.windows(old.len()).position(|w| w == old.as_bytes()).unwrap();
    let length = (new.len() as u16).to_be_bytes();
    let state = [&head.state[64..at - 2], &length, new.as_bytes(), &head.state[at + old.len()..]].concat();
    State::decode(&state).unwrap();
    let hash = Hash::of(&[&state]);
    let message = [b"sealtrail.org/state/v1\0", &head.checkpoint[..], b"\0", &hash.0].concat();
    let state = [&key.sign_bytes(&message)[..], &state].concat();
    store.append(head.size, &[], &[], &Head { state, ..head }).unwrap();
}
