//! Reads the raw files after erasures and looks for what should be gone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::super::SqliteStore;
use crate::base::batch::Body;
use crate::base::hash::Hash;
use crate::base::record::{LeafInputs, NewSection, Record, SectionRoot, Tag, encode_sealed_head};
use crate::store::{Head, MemoryStore, NewBlock, Store, body_tags};

const ORIGIN: &str = "example.org/log";
/// A tag that many records share.
const COMMON: Tag = *b"common!!";

/// A fixed sequence that looks random (SplitMix64's step and mix).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_be_bytes()).collect();
        out.truncate(len);
        out
    }
}

/// One record, whole.
struct Made {
    bytes: Vec<u8>,
    inputs: LeafInputs,
    /// Ciphertext, slots and tags, but not the common tag: what must be gone.
    secrets: Vec<Vec<u8>>,
    tags: Vec<Tag>,
}

fn make_record(random: &mut Random) -> Made {
    let len = match random.below(20) {
        0 => 10_000 + random.below(90_000),
        1..5 => 1500 + random.below(15_000),
        _ => 144 + random.below(900),
    } as usize;
    let readers = 1 + random.below(4) as usize;
    let slots = random.bytes(32 * readers);
    let ciphertext = random.bytes(len);
    let own: Vec<Tag> = (0..random.below(9)).map(|_| random.next().to_be_bytes()).collect();
    let mut tags = own.clone();
    if random.below(3) == 0 {
        tags.push(COMMON);
    }
    tags.sort_unstable();
    let disclosure_root = Hash::of(&[&random.bytes(8)]);
    let section = NewSection {
        ciphertext_len: len as u32,
        commitment: Hash::of(&[&random.bytes(8)]).0,
        root: SectionRoot { fields: 1, root: Hash::ZERO },
        slots: &slots,
    };
    let mut bytes = Vec::new();
    encode_sealed_head(&disclosure_root, &[section], &tags, &mut bytes);
    bytes.extend_from_slice(&ciphertext);
    let hash = |label: &[u8]| Hash::of(&[label, &bytes]);
    let inputs = LeafInputs {
        ciphertext_hash: hash(b"ciphertext"),
        envelope_hash: hash(b"envelope"),
        disclosure_root,
    };
    let mut secrets: Vec<Vec<u8>> = own.iter().map(|t| t.to_vec()).collect();
    secrets.extend(slots.chunks(32).map(<[u8]>::to_vec));
    secrets.push(ciphertext);
    Made { bytes, inputs, secrets, tags }
}

/// Words that must not be found: of each secret every eighth byte starts one, so that any 15 bytes of it hold one.
#[derive(Default)]
struct Wanted {
    words: BTreeSet<u64>,
    /// Which low bits occur, to be fast.
    bits: Vec<u64>,
}

impl Wanted {
    fn add(&mut self, secret: &[u8]) {
        self.bits.resize(1 << 14, 0);
        for word in secret.as_chunks::<8>().0 {
            let word = u64::from_be_bytes(*word);
            self.words.insert(word);
            self.bits[(word as usize >> 6) & 0x3fff] |= 1 << (word & 63);
        }
    }

    /// Offsets in `file` at which a word stands.
    fn find(&self, file: &[u8]) -> Vec<usize> {
        let mut word = 0u64;
        let mut found = Vec::new();
        for (at, byte) in file.iter().enumerate() {
            word = word << 8 | u64::from(*byte);
            let maybe = self.bits[(word as usize >> 6) & 0x3fff] >> (word & 63) & 1 == 1;
            if maybe && at >= 7 && self.words.contains(&word) {
                found.push(at - 7);
            }
        }
        found
    }

    /// What is found in all files of the database, as (suffix, offset).
    fn in_files(&self, path: &Path) -> Vec<(&'static str, usize)> {
        let mut found = Vec::new();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let file = std::fs::read(format!("{}{suffix}", path.display())).unwrap_or_default();
            found.extend(self.find(&file).into_iter().map(|at| (suffix, at)));
        }
        found
    }
}

/// The store under test, the reference, and everything that was put in.
struct World {
    dir: tempfile::TempDir,
    store: Option<SqliteStore>,
    memory: MemoryStore,
    records: Vec<Made>,
    erased: BTreeSet<u64>,
    blocks: Vec<Range<u64>>,
    wanted: Wanted,
    random: Random,
}

impl World {
    fn new(seed: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("a.db"), ORIGIN, true).unwrap();
        World {
            dir,
            store: Some(store),
            memory: MemoryStore::new(ORIGIN),
            records: Vec::new(),
            erased: BTreeSet::new(),
            blocks: Vec::new(),
            wanted: Wanted::default(),
            random: Random(seed),
        }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("a.db")
    }

    fn append(&mut self) {
        let count = match self.random.below(6) {
            0 => 0,
            1..4 => 1 + self.random.below(4),
            4 => 10 + self.random.below(40),
            _ => 50 + self.random.below(120),
        };
        let (height, first) = (self.blocks.len() as u64, self.records.len() as u64);
        self.records.extend((0..count).map(|_| make_record(&mut self.random)));
        let new = &self.records[first as usize..];
        let records: Vec<&[u8]> = new.iter().map(|r| r.bytes.as_slice()).collect();
        let body = (count > 0).then(|| Body::encode(b"header", &records));
        let block = NewBlock {
            height,
            first_record: first,
            records: count as u32,
            text: format!("block {height}").into_bytes(),
            leaf_inputs: new.iter().flat_map(|r| r.inputs.to_bytes()).collect(),
            signer: "w".into(),
            sequence: height,
            tags: body_tags(body.as_deref().unwrap_or_default()).unwrap(),
            body,
        };
        let head = Head { size: height + 1, records: first + count, ..Head::default() };
        self.blocks.push(first..first + count);
        self.memory.append(height, std::slice::from_ref(&block), &[], &head).unwrap();
        self.store().append(height, &[block], &[], &head).unwrap();
    }

    fn erase(&mut self) {
        let all = self.records.len() as u64;
        let mut ranges = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let first = self.random.below(all.max(1));
            let length = [1, 2, 40, 400][self.random.below(4) as usize];
            ranges.push(first..(first + length).min(all));
        }
        if self.random.below(4) == 0 {
            // A whole block.
            let block = self.random.below(self.blocks.len() as u64) as usize;
            ranges.push(self.blocks[block].clone());
        }
        ranges.retain(|r| !r.is_empty());
        let before = self.erased.len();
        for record in ranges.iter().cloned().flatten() {
            if self.erased.insert(record) {
                self.records[record as usize].secrets.iter().for_each(|s| self.wanted.add(s));
            }
        }
        let changed = (self.erased.len() - before) as u64;
        assert_eq!(self.memory.erase(&ranges), Ok(changed));
        assert_eq!(self.store().erase(&ranges), Ok(changed));
        assert_eq!(self.store().erase(&ranges), Ok(0), "a second time there is nothing to do");
    }

    fn erase_one(&mut self, record: u64) {
        if self.erased.insert(record) {
            self.records[record as usize].secrets.iter().for_each(|s| self.wanted.add(s));
            let range = record..record + 1;
            assert_eq!(self.memory.erase(std::slice::from_ref(&range)), Ok(1));
            assert_eq!(self.store().erase(&[range]), Ok(1));
        }
    }

    fn check_gone(&self) {
        self.store().scrub().unwrap();
        let found = self.wanted.in_files(&self.path());
        assert!(found.is_empty(), "{} fragments, the first at {:?}", found.len(), found.first());
    }

    fn check_rest(&self) {
        for (index, made) in (0u64..).zip(&self.records) {
            let stored = self.store().record(index).unwrap().unwrap();
            if self.erased.contains(&index) {
                let inputs = Record::decode(&stored.record).unwrap();
                assert_eq!(inputs, Record::Erased(made.inputs));
            } else {
                assert!(stored.record == made.bytes, "record {index}");
            }
            for tag in &made.tags {
                let found = self.store().find_tag(tag, index, 1).unwrap();
                let first = found.first() == Some(&index);
                assert_eq!(first, !self.erased.contains(&index), "tag of record {index}");
            }
            assert_eq!(self.store().find_ciphertext(&made.inputs.ciphertext_hash), Ok(Some(index)));
        }
        for height in 0..self.blocks.len() as u64 {
            assert!(self.store().body(height) == self.memory.body(height));
            assert_eq!(self.store().leaf_inputs(height), self.memory.leaf_inputs(height));
        }
        let common = self.store().find_tag(&COMMON, 0, usize::MAX).unwrap();
        assert_eq!(common, self.memory.find_tag(&COMMON, 0, usize::MAX).unwrap());
        let (a, b) = (self.store().stats().unwrap(), self.memory.stats().unwrap());
        assert_eq!((a.body_bytes, a.text_bytes, a.leaf_bytes), (b.body_bytes, b.text_bytes, b.leaf_bytes));
    }
}

fn nothing_is_left(seed: u64) {
    let mut world = World::new(seed);
    world.append();
    while world.records.is_empty() {
        world.append();
    }
    for step in 0..70 {
        match world.random.below(12) {
            0..6 => world.append(),
            6 | 7 => world.erase(),
            8 => {
                world.store().maintain(Duration::from_micros(200)).unwrap();
            }
            9 => while world.store().maintain(Duration::from_secs(1)).unwrap() {},
            10 if step % 3 == 0 => world.store().rebuild_index(&mut |_, _| ()).unwrap(),
            _ => {
                world.store = None;
                world.store = Some(SqliteStore::open(&world.path(), ORIGIN, false).unwrap());
            }
        }
        if step % 10 == 9 && !world.erased.is_empty() {
            world.check_gone();
        }
    }
    world.check_gone();
    // What was appended a moment ago is still in the log as it was: the search finds it until it is scrubbed.
    let first = world.records.len() as u64;
    while world.records.len() as u64 == first {
        world.append();
    }
    world.erase_one(first);
    let in_log = world.wanted.in_files(&world.path());
    assert!(in_log.iter().any(|(suffix, _)| *suffix == "-wal"));
    world.check_gone();
    world.check_rest();
    // And when all of it goes, record by record from both ends.
    let all = world.records.len() as u64;
    for record in 0..all {
        let record = if record % 2 == 0 { record / 2 } else { all - 1 - record / 2 };
        world.erase_one(record);
    }
    world.check_gone();
    world.check_rest();
    assert!(
        !std::fs::read(world.path()).unwrap().windows(8).any(|w| w == COMMON),
        "the shared tag is gone too"
    );
}

#[test]
fn no_fragment_of_an_erased_record_is_in_the_files() {
    (1..=2).for_each(nothing_is_left);
}

/// Retention: whole blocks go, and the space they took is used again.
#[test]
fn erased_space_is_used_again() {
    let mut world = World::new(9);
    let size = |w: &World| {
        w.store().scrub().unwrap();
        std::fs::metadata(w.path()).unwrap().len()
    };
    let mut grown = 0;
    for round in 0..4 {
        let first = world.records.len() as u64;
        for _ in 0..40 {
            world.append();
        }
        let end = world.records.len() as u64;
        assert_eq!(world.store().erase(std::slice::from_ref(&(first..end))), Ok(end - first));
        while world.store().maintain(Duration::from_secs(1)).unwrap() {}
        match round {
            0 => grown = size(&world),
            _ => assert!(size(&world) < grown * 2, "round {round}: {} after {grown}", size(&world)),
        }
    }
}
