//! What the tests of this layer share: keys from fixed seeds, a small ledger, a naive tree.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::batch::{commit, record_leaf};
use super::block::Block;
use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::key::SigningKey;
use super::log::{Log, TileId, TileReader};
use super::merkle::{empty_root, node_hash};
use super::note::Note;
use super::proof::Proof;
use super::recipient::recipient_text;
use super::replay::{Head, State};
use super::roster::{Roster, RosterReader};
use super::statement::*;
use super::tlog_proof::TlogProof;
use super::tree;
use crate::base::batch::{BatchReader, BatchSection, Body, Header, KEM_X25519};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::record::{LeafInputs, NewSection, Record, SectionRoot, encode_sealed_head};
use crate::base::secret::Secret;

pub const ORIGIN: &str = "ledger.example/audit";
pub const WRITER: &str = "ledger.example/writers/ehr";
pub const ADMIN: &str = "ledger.example/admin";

/// The key whose seed is the hash of its name.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &Secret::from_slice(&Hash::of(&[name.as_bytes()]).0).unwrap()).unwrap()
}

pub fn time(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + minute * 60_000).unwrap()
}

pub fn recipient(seed: u8) -> String {
    // Neither 0, of low order, nor above the field's prime.
    recipient_text(&[seed.clamp(1, 127); 32]).unwrap()
}

/// RFC 6962 §2.1 as it is written: recursive, nothing shared with the code under test but the hashes.
pub fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = largest_power_below(leaves.len());
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

/// RFC 6962 §2.1.1, PATH(m, D).
pub fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = largest_power_below(leaves.len());
    let (mut path, sibling) = if index < k {
        (naive_path(index, &leaves[..k]), naive_root(&leaves[k..]))
    } else {
        (naive_path(index - k, &leaves[k..]), naive_root(&leaves[..k]))
    };
    path.push(sibling);
    path
}

/// RFC 6962 §2.1.2, SUBPROOF(m, D, b).
pub fn naive_consistency(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = largest_power_below(leaves.len());
    let (mut path, sibling) = if old <= k {
        (naive_consistency(old, &leaves[..k], whole), naive_root(&leaves[k..]))
    } else {
        (naive_consistency(old - k, &leaves[k..], false), naive_root(&leaves[..k]))
    };
    path.push(sibling);
    path
}

fn largest_power_below(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// `n` different leaf hashes.
pub fn leaves(n: usize) -> Vec<Hash> {
    (0..n as u64).map(|i| Hash::of(&[&i.to_be_bytes()])).collect()
}

/// Full tiles in memory.
#[derive(Default)]
pub struct Tiles(pub HashMap<TileId, Vec<u8>>);

impl TileReader for Tiles {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(&id).cloned())
    }
}

pub fn header(writer: &str, sequence: u64) -> Header {
    let reader = |seed: u8, sections: usize| BatchReader {
        kem: KEM_X25519,
        public_key: vec![seed; 32],
        enc: vec![seed + 100; 32],
        search: vec![seed; sections * 32 + 16],
    };
    Header {
        ledger: ORIGIN.into(),
        writer: writer.into(),
        sequence,
        period: "2026-11".into(),
        readers: vec![reader(1, 2), reader(2, 1)],
        sections: vec![
            BatchSection { name: "event".into(), readers: vec![0, 1] },
            BatchSection { name: "patient".into(), readers: vec![0] },
        ],
        tag_fields: vec!["actor".into()],
    }
}

/// A record in the shape of [`header`]: two sections of `len` and 32 bytes, `tags` blind tags.
pub fn record(seed: u64, len: usize, tags: u64) -> Vec<u8> {
    let root = SectionRoot { fields: 3, root: Hash::of(&[b"section", &seed.to_be_bytes()]) };
    let section = |ciphertext_len: usize, slots| NewSection {
        ciphertext_len: ciphertext_len as u32,
        commitment: Hash::of(&[b"commitment", &seed.to_be_bytes()]).0,
        root,
        slots,
    };
    let mut all: Vec<[u8; 8]> = (0..tags)
        .map(|t| Hash::of(&[&(seed % 7).to_be_bytes(), &t.to_be_bytes()]).0[..8].try_into().unwrap())
        .collect();
    all.sort_unstable();
    let mut out = Vec::with_capacity(len + 400);
    let disclosure = Hash::of(&[b"disclosure", &seed.to_be_bytes()]);
    encode_sealed_head(&disclosure, [section(len, &[7; 64]), section(32, &[8; 32])], &all, &mut out);
    out.extend((0..len + 32).map(|i| (seed as usize + i) as u8));
    out
}

pub fn erased(record: &[u8]) -> Vec<u8> {
    let inputs: LeafInputs = super::batch::leaf_inputs_of(record).unwrap();
    let mut out = Vec::new();
    Record::encode_erased(&inputs, &mut out);
    out
}

pub fn body(writer: &str, sequence: u64, records: &[Vec<u8>]) -> Vec<u8> {
    Body::encode(&header(writer, sequence).encode().unwrap(), records)
}

pub fn records_statement(head: Head, body: &[u8]) -> RecordsStatement {
    let batch = commit(body).unwrap();
    RecordsStatement {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        sealed: time(5),
        records: batch.leaf_inputs.len() as u64,
        bytes: batch.bytes,
        records_root: batch.records_root,
        tags_root: batch.tags_root.unwrap(),
        header_hash: batch.header_hash,
        retain_until: "2032-11-20".into(),
    }
}

pub fn heartbeat(head: Head) -> Statement {
    Statement::Heartbeat(HeartbeatStatement {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(6),
    })
}

pub fn roster(head: Head) -> Roster {
    let vkey = |name: &str| key(name).verifier();
    Roster {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(0),
        ledger_key: vkey(ORIGIN),
        admins: vec![vkey(ADMIN)],
        writers: vec![vkey(WRITER), vkey("ledger.example/writers/lab")],
        readers: vec![
            RosterReader { name: "auditor".into(), recipient: recipient(1), required: true },
            RosterReader { name: "patient-office".into(), recipient: recipient(2), required: false },
        ],
        officers_required: 2,
        officers: vec![vkey("officer-a"), vkey("officer-b"), vkey("officer-c")],
        witnesses: vec![key("witness.example/w1").cosigner()],
    }
}

pub fn grant(head: Head) -> GrantStatement {
    GrantStatement {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(8),
        range: RecordRange { first: 0, last: 4 },
        from: recipient(1),
        to_name: "new-auditor".into(),
        to: recipient(3),
        slots_hash: Hash::of(&[b"slots"]),
    }
}

pub fn erasure(head: Head) -> ErasureStatement {
    ErasureStatement {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(9),
        records: vec![RecordRange { first: 0, last: 0 }, RecordRange { first: 2, last: 3 }],
        reason: "retention.expired".into(),
        legal_basis: "GDPR Art. 17 (1) a — Löschung".into(),
    }
}

pub fn hold(head: Head) -> HoldStatement {
    HoldStatement {
        ledger: ORIGIN.into(),
        sequence: head.next_sequence,
        previous: head.previous,
        issued: time(9),
        hold: "matter_2026-17".into(),
        action: HoldAction::Place(vec![RecordRange { first: 1, last: 1 }, RecordRange { first: 4, last: 6 }]),
        reason: "litigation".into(),
    }
}

/// A ledger in memory: the state, its log and what was put in.
#[derive(Default)]
pub struct Ledger {
    pub state: Option<State>,
    pub log: Log,
    pub tiles: Tiles,
    pub blocks: Vec<Block>,
    pub bodies: HashMap<u64, Vec<u8>>,
}

impl Ledger {
    /// Roster, batch of five, heartbeat, batch of three.
    pub fn sample() -> Ledger {
        let mut l = Ledger { state: Some(State::new(ORIGIN)), ..Ledger::default() };
        l.push(Statement::Roster(roster(Head::default())).sign(&key(ADMIN)).unwrap());
        l.push_batch(5);
        l.push(heartbeat(l.state().writer(WRITER)).sign(&key(WRITER)).unwrap());
        l.push_batch(3);
        l
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    pub fn push(&mut self, note: Note) {
        let state = self.state.as_mut().unwrap();
        let block = state.next_block(note, time(state.height() as i64 + 10));
        state.apply(&block).unwrap();
        self.tiles.0.extend(self.log.append(block.hash()));
        self.blocks.push(block);
    }

    pub fn push_batch(&mut self, records: u64) {
        let head = self.state().writer(WRITER);
        let first = self.state().next_record();
        let records: Vec<_> = (first..first + records).map(|i| record(i, 150, 2)).collect();
        let body = body(WRITER, head.next_sequence, &records);
        let statement = records_statement(head, &body);
        self.bodies.insert(self.state().height(), body);
        self.push(Statement::Records(statement).sign(&key(WRITER)).unwrap());
    }

    pub fn checkpoint(&self) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: self.log.size(), root: self.log.root() };
        checkpoint.sign(&key(ORIGIN))
    }

    pub fn record_bytes(&self, height: u64, position: usize) -> Vec<u8> {
        Body::decode(&self.bodies[&height]).unwrap().records().nth(position).unwrap().to_vec()
    }

    pub fn proof(&self, height: u64, position: usize) -> Proof {
        let batch = commit(&self.bodies[&height]).unwrap();
        let leaves: Vec<_> = batch.leaf_inputs.iter().map(record_leaf).collect();
        let block = &self.blocks[height as usize];
        let log_proof = TlogProof {
            extra: None,
            index: height,
            path: self.log.inclusion_path(&self.tiles, height, self.log.size()).unwrap(),
            checkpoint: self.checkpoint().to_string(),
        };
        Proof {
            ledger: ORIGIN.into(),
            record: block.first_record + position as u64,
            leaf_inputs: batch.leaf_inputs[position],
            record_path: tree::inclusion_path(&leaves, position).unwrap(),
            block: block.to_string(),
            log_proof: log_proof.to_string(),
        }
    }
}

/// Every text that differs from `text` in one byte and is still UTF-8, three changes per byte.
pub fn mutations(text: &str) -> impl Iterator<Item = String> {
    (0..text.len()).flat_map(move |i| {
        [0x01u8, 0x20, 0x04].into_iter().filter_map(move |x| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] ^= x;
            String::from_utf8(bytes).ok()
        })
    })
}
