//! Reads the raw files after erasures and looks for what should be gone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::super::chunks::BODIES;
use super::super::runs::{self, KIND_CIPHERTEXT, KIND_TAG};
use super::super::runs_codec::{CELL_BYTES, entry, key_of, record_of};
use super::super::runs_hints::Hints;
use super::super::schema::{PAGE_BYTES, ROW_BYTES};
use super::super::{IndexShape, SqliteStore, runs_merge};
use crate::base::batch::Body;
use crate::base::hash::Hash;
use crate::base::record::{LeafInputs, NewSection, Record, SectionRoot, Tag, encode_sealed_head};
use crate::store::{Head, MemoryStore, NewBlock, Store, body_tags};

const ORIGIN: &str = "example.org/log";
/// Small runs, so that there are many.
const SHAPE: IndexShape = IndexShape { segment_records: 150, segment_tags: 500, fanout: 3 };
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
    encode_sealed_head(&disclosure_root, [section], &tags, &mut bytes);
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
        let store = SqliteStore::create_shaped(&dir.path().join("a.db"), ORIGIN, SHAPE).unwrap();
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

/// The layer below, harder: rows of one table that shrink in any order while others are added. With rows deleted and written
/// anew instead, or moved in another way, fragments are found within seconds.
#[test]
fn rows_that_shrink_leave_nothing_behind() {
    let lengths = [200, 200, 200, 3000, 3000, 3000, 3000, 9000, 9000, 9000, 22_000, 150_000];
    for (seed, longest) in (1..).zip(lengths) {
        let mut world = World::new(seed);
        let mut live: Vec<(i64, Vec<u8>)> = Vec::new();
        for height in 0..if longest < 100_000 { 1500 } else { 200 } {
            let (random, wanted) = (&mut world.random, &mut world.wanted);
            let length = 20 + random.below(longest - 20) as usize;
            let new = random.bytes(length);
            let changed = (!live.is_empty() && random.below(2) == 0).then(|| {
                let at = random.below(live.len() as u64) as usize;
                let old = live[at].1.len();
                let left = if random.below(5) == 0 { 0 } else { random.below(old as u64 + 1) as usize };
                let mut body = live[at].1[..left / 2].to_vec();
                body.extend(random.bytes(left - left / 2));
                wanted.add(&live[at].1[left / 2..]);
                live[at].1 = body;
                at
            });
            let store = world.store.as_ref().unwrap();
            let writer = store.writer.as_ref().unwrap();
            writer
                .disposable(|tx| {
                    match changed {
                        Some(at) => BODIES.overwrite(tx, live[at].0, &live[at].1)?,
                        None => BODIES.write(tx, height, &new)?,
                    }
                    Ok(())
                })
                .unwrap();
            match changed {
                Some(at) if live[at].1.is_empty() => drop(live.swap_remove(at)),
                Some(_) => {}
                None => live.push((height, new)),
            }
        }
        world.check_gone();
        let writer = world.store().writer.as_ref().unwrap();
        for (height, body) in &live {
            let stored = writer.disposable(|tx| BODIES.read_all(tx, *height)).unwrap();
            assert!(stored.starts_with(body) && stored[body.len()..].iter().all(|b| *b == 0), "{height}");
        }
    }
}

/// Rows of which little lies in the tree's page, cut to lengths of which all would.
#[test]
fn rows_that_could_grow_in_their_page_leave_nothing_behind() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        let mut rows: Vec<Vec<u8>> = (0..150).map(|_| world.random.bytes(18_400)).collect();
        let writer = world.store.as_ref().unwrap().writer.as_ref().unwrap();
        for (height, row) in (0..).zip(&rows) {
            writer.disposable(|tx| BODIES.write(tx, height, row)).unwrap();
        }
        for shortest in [8000, 4000, 0] {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by_cached_key(|_| world.random.next());
            for at in order {
                let left = match shortest {
                    0 => 0,
                    n => (n + world.random.below(n as u64) as usize).min(rows[at].len()),
                };
                world.wanted.add(&rows[at][left / 2..]);
                let mut row = rows[at][..left / 2].to_vec();
                row.extend(world.random.bytes(left - left / 2));
                writer.disposable(|tx| BODIES.overwrite(tx, at as i64, &row)).unwrap();
                rows[at] = row;
            }
        }
        rows.iter().for_each(|r| assert!(r.is_empty()));
        world.check_gone();
    }
}

/// Tag entries that are removed, among runs of all sizes that come, are merged and go.
#[test]
fn removed_tags_leave_nothing_behind() {
    for seed in 1..=3 {
        let mut world = World::new(seed);
        let mut live: BTreeSet<(u64, u64)> = BTreeSet::new();
        let (mut gone, mut covered) = (BTreeSet::new(), 0);
        for _ in 0..400 {
            let random = &mut world.random;
            let store = world.store.as_ref().unwrap();
            let writer = store.writer.as_ref().unwrap();
            match random.below(10) {
                0..4 => {
                    let many = [20, 200, 600, 4000][random.below(4) as usize];
                    let end = covered + 1 + random.below(many);
                    let mut entries: Vec<_> = (covered..end).map(|r| entry(random.next(), r)).collect();
                    entries.sort_unstable();
                    live.extend(entries.iter().map(|e| (record_of(*e), key_of(*e))));
                    writer.disposable(|tx| runs::add(tx, KIND_TAG, covered, end, &entries)).unwrap();
                    covered = end;
                }
                4 => {
                    let entries: Vec<_> = (0..random.below(3000)).map(|r| entry(r * 7, r)).collect();
                    writer.disposable(|tx| runs::add(tx, KIND_CIPHERTEXT, 0, 3000, &entries)).unwrap();
                }
                5..7 => {
                    writer.disposable(|tx| runs_merge::step(tx, 3, 1)).unwrap();
                }
                _ => {
                    let first = random.below(covered + 1);
                    let end = first + [1, 1, 300, 5000][random.below(4) as usize];
                    let out: Vec<_> = live.range((first, 0)..(end, 0)).copied().collect();
                    let mut entries: Vec<_> = out.iter().map(|(r, k)| entry(*k, *r)).collect();
                    entries.sort_unstable();
                    writer.disposable(|tx| runs::remove(tx, KIND_TAG, &entries)).unwrap();
                    for pair in out {
                        live.remove(&pair);
                        gone.insert(pair.1);
                    }
                }
            }
        }
        gone.iter().for_each(|key| world.wanted.add(&key.to_be_bytes()));
        world.check_gone();
        assert!(gone.len() > 1000 && live.len() > 1000);
        let seen = keys_in_pages(&world.path());
        assert_eq!(seen.intersection(&gone).count(), 0, "seed {seed}");
        let writer = world.store().writer.as_ref().unwrap();
        for (record, key) in live.iter().step_by(37) {
            assert!(seen.contains(key), "what is there is found in this way");
            let wanted = runs::Wanted { key: *key, from: 0, limit: 9 };
            let found = writer
                .disposable(|tx| runs::find(tx, KIND_TAG, &wanted, covered, &Hints::default()))
                .unwrap();
            assert_eq!(found, [*record]);
        }
    }
}

/// Tags do not stand in the file as they are, but as differences. So: every key in anything that can be read as a cell of tags,
/// in any page, used or not, for every width that a record's number can have.
fn keys_in_pages(path: &Path) -> BTreeSet<u64> {
    let mut keys = BTreeSet::new();
    let file = std::fs::read(path).unwrap();
    for page in file.chunks(PAGE_BYTES) {
        let row = &page[page.len() - ROW_BYTES..];
        for cell in row.chunks_exact(CELL_BYTES) {
            for width in 1..=3 {
                let mut key = 0u64;
                let mut at = 6;
                while let Some(head) = cell.get(at).map(|b| usize::from(*b)).filter(|head| *head > 0) {
                    let bytes = (head & 7) + 1;
                    let Some(delta) = cell.get(at + 1..at + 1 + bytes) else { break };
                    key = key.wrapping_add(delta.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
                    keys.insert(key);
                    // All tags of this test are different: groups of one.
                    at += 1 + bytes + width;
                }
            }
        }
    }
    keys
}
