//! Blocks to store: contents that follow from their place, so that any test can tell what must be where.
#![allow(dead_code)] // each test file uses its part

use std::collections::HashMap;

use sealtrail::base::batch::Body;
use sealtrail::base::hash::Hash;
use sealtrail::base::record::{LeafInputs, Record, Tag};
use sealtrail::store::{Head, NewBlock, body_tags};

/// Origin of the ledger in all these tests.
pub const ORIGIN: &str = "example.org/log";

/// The ciphertext hash of a record. Every fourth one shares its index key with others.
pub fn ciphertext_hash(record: u64) -> Hash {
    let mut hash = Hash::of(&[b"ciphertext", &record.to_be_bytes()]);
    if record.is_multiple_of(4) {
        hash.0[..8].copy_from_slice(&[0xab; 8]);
    }
    hash
}

fn leaf_inputs(record: u64) -> LeafInputs {
    let other = |label: &[u8]| Hash::of(&[label, &record.to_be_bytes()]);
    LeafInputs {
        ciphertext_hash: ciphertext_hash(record),
        envelope_hash: other(b"envelope"),
        disclosure_root: other(b"root"),
    }
}

/// The bytes of a record: most of some length of their own, every fifth one erased.
pub fn record_bytes(record: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if record.is_multiple_of(5) {
        Record::encode_erased(&leaf_inputs(record), &mut out);
        return out;
    }
    // FORMAT §5, one section with one slot: kind, disclosure root, S, section, T, tags, ciphertext.
    let len = 40 + (record * 37 % 300) as usize;
    out.push(1);
    out.extend([record as u8; 32]);
    out.push(1);
    out.extend((len as u32).to_be_bytes());
    out.extend([record as u8 ^ 1; 32]);
    out.push(1);
    out.extend([record as u8 ^ 2; 32]);
    let tags = record_tags(record);
    out.push(tags.len() as u8);
    tags.iter().for_each(|t| out.extend(t));
    out.extend((0..len).map(|i| (record as usize * 7 + i) as u8));
    out
}

/// The tags of a record, ascending: one that a third of all records share, one of a few, one of its own.
pub fn record_tags(record: u64) -> Vec<Tag> {
    if record.is_multiple_of(5) {
        return Vec::new();
    }
    let own = u64::from_be_bytes(*ciphertext_hash(record).0.last_chunk().unwrap()) | 1 << 63;
    [record % 3, 1000 + record / 20, own].map(u64::to_be_bytes).to_vec()
}

/// Makes blocks that continue each other.
#[derive(Clone, Default)]
pub struct Chain {
    size: u64,
    records: u64,
    next: HashMap<String, u64>,
}

impl Chain {
    pub fn new() -> Chain {
        Chain::default()
    }

    /// Goes on as if there were that many more blocks.
    pub fn skip(&mut self, blocks: u64) {
        self.size += blocks;
    }

    /// The next block, of `signer` with its next statement number.
    pub fn block(&mut self, signer: &str, records: u32) -> NewBlock {
        let sequence = self.next.entry(signer.to_owned()).or_default();
        let (height, first_record) = (self.size, self.records);
        let range = first_record..first_record + u64::from(records);
        let body = (records > 0).then(|| {
            let records: Vec<_> = range.clone().map(record_bytes).collect();
            Body::encode(format!("header {height}").as_bytes(), &records)
        });
        let block = NewBlock {
            height,
            first_record,
            records,
            text: format!("block {height} with {} {sequence}\n", "x".repeat(height as usize % 90))
                .into_bytes(),
            leaf_inputs: range.flat_map(|r| leaf_inputs(r).to_bytes()).collect(),
            signer: signer.to_owned(),
            sequence: *sequence,
            tags: body.as_deref().map_or(Vec::new(), |b| body_tags(b).unwrap()),
            body,
        };
        *sequence += 1;
        self.size += 1;
        self.records += u64::from(records);
        block
    }

    /// The next block, without records and with a body of `len` bytes, as a grant has.
    pub fn granting_block(&mut self, signer: &str, len: usize) -> NewBlock {
        let block = self.block(signer, 0);
        // Its front looks like that of a batch body with a header of one byte and no records.
        let front = [&b"STG1"[..], &1u32.to_be_bytes(), &[0; 8]].concat();
        let rest = (0..len).map(|i| (i * 31 + block.height as usize) as u8);
        let body = front.into_iter().chain(rest).take(len).collect();
        NewBlock { body: Some(body), ..block }
    }

    /// The head after all blocks made so far.
    pub fn head(&self) -> Head {
        head(self.size, self.records)
    }

    /// The head after `blocks`, the first ones of this chain.
    pub fn head_after(&self, blocks: &[NewBlock]) -> Head {
        head(blocks.len() as u64, blocks.iter().map(|b| u64::from(b.records)).sum())
    }
}

fn head(size: u64, records: u64) -> Head {
    Head {
        size,
        records,
        checkpoint: format!("checkpoint {size}").into_bytes(),
        state: vec![size as u8; size as usize % 7],
    }
}
