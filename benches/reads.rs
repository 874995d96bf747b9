//! What a proof costs where it is made and where it is checked: from blocks of 4,096 and of 16,384 records (as many as a block may
//! have) in a database file, with and without the stored nodes, and from a bare tree of 65,536 leaves; then verified, and the
//! record opened.
//! Run with `cargo bench --bench reads`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sealtrail::auditor::open::open_bytes;
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::random;
use sealtrail::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use sealtrail::base::secret::Secret;
use sealtrail::chain::batch::record_leaf;
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::log::Log;
use sealtrail::chain::proof::Proof;
use sealtrail::chain::replay;
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::{RecordsStatement, Statement};
use sealtrail::chain::tree::{self, BlockTree};
use sealtrail::chain::verifier::ProofVerifier;
use sealtrail::event::policy::Policy;
use sealtrail::ledger::{AtHand, Ledger, Options, Prover, Submission, nodes_row};
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::store::{Head, MemoryStore, NewBlock, SqliteStore, Store};
use sealtrail::writer::{Purpose, Writer, WriterOptions};

const ORIGIN: &str = "example.org/log";

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &Secret::from_slice(&Hash::of(&[name.as_bytes()]).0).unwrap()).unwrap()
}

/// A database of one block with so many records, its log and the signed checkpoint.
struct OneBlock {
    store: SqliteStore,
    log: Log,
    checkpoint: String,
    leaves: Vec<Hash>,
    _dir: tempfile::TempDir,
}

impl OneBlock {
    fn new(records: usize, with_nodes: bool) -> OneBlock {
        let inputs: Vec<u8> = (0..records as u64)
            .flat_map(|r| [1u64, 2, 3].map(|part| Hash::of(&[&(r * 4 + part).to_be_bytes()]).0).concat())
            .collect();
        let leaves: Vec<Hash> = inputs
            .chunks(LEAF_INPUTS_LEN)
            .map(|bytes| record_leaf(&LeafInputs::from_bytes(bytes).unwrap()))
            .collect();
        let nodes = tree::nodes(&leaves);
        let statement = Statement::Records(RecordsStatement {
            ledger: ORIGIN.into(),
            sequence: 0,
            previous: Hash::ZERO,
            sealed: Timestamp::now(),
            records: records as u64,
            bytes: 1,
            records_root: tree::root(&nodes),
            tags_root: Hash::ZERO,
            header_hash: Hash::ZERO,
            retain_until: "2032-11-20".into(),
        });
        let block = Block {
            height: 0,
            previous: Hash::ZERO,
            committed: Timestamp::now(),
            first_record: 0,
            statement: statement.sign(&key("example.org/writer")).unwrap(),
        };
        let mut log = Log::new();
        log.append(block.hash());
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 1, root: log.root() };
        let checkpoint = checkpoint.sign(&key(ORIGIN)).note().to_string();
        let new = NewBlock {
            height: 0,
            first_record: 0,
            records: records as u32,
            text: block.to_string().into_bytes(),
            leaf_inputs: inputs,
            signer: "example.org/writer".into(),
            sequence: 0,
            body: Some(Body::encode(&[1; 600], &vec![&[7u8; 8][..]; records])),
            tags: Vec::new(),
        };
        let derived: Vec<_> = nodes_row(0, records, &nodes).filter(|_| with_nodes).into_iter().collect();
        let head = Head {
            size: 1,
            records: records as u64,
            checkpoint: checkpoint.clone().into_bytes(),
            state: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("one.db"), ORIGIN, true).unwrap();
        store.append(0, &[new], &derived, &head).unwrap();
        OneBlock { store, log, checkpoint, leaves, _dir: dir }
    }

    fn proof(&self, record: u64, at_hand: &Arc<AtHand>) -> Proof {
        let records = self.leaves.len() as u64;
        let mut prover = Prover::new(&self.store, &self.log, &self.checkpoint, records, at_hand.clone());
        prover.proof(record).unwrap()
    }
}

fn made(c: &mut Criterion) {
    let mut g = c.benchmark_group("proof");
    for leaves in [4096usize, 16_384] {
        let (with, without) = (OneBlock::new(leaves, true), OneBlock::new(leaves, false));
        let mut record = 0;
        let mut next = || {
            record = (record + 7919) % leaves as u64;
            record
        };
        let at_hand = Arc::default();
        g.bench_function(format!("of {leaves} leaves, nodes at hand"), |b| {
            b.iter(|| with.proof(next(), &at_hand).to_json());
        });
        g.bench_function(format!("of {leaves} leaves, nodes stored"), |b| {
            b.iter(|| with.proof(next(), &Arc::default()).to_json());
        });
        g.sample_size(20);
        g.bench_function(format!("of {leaves} leaves, nodes computed"), |b| {
            b.iter(|| without.proof(next(), &Arc::default()).to_json());
        });
        g.bench_function(format!("of {leaves} leaves, the whole tree, for comparison"), |b| {
            b.iter(|| BlockTree::new(black_box(&with.leaves)).path(next() as usize).unwrap());
        });
        g.sample_size(100);
    }
    let leaves: Vec<Hash> = (0..65_536u32).map(|n| Hash::of(&[&n.to_be_bytes()])).collect();
    let nodes = tree::nodes(&leaves);
    let peaks = tree::peaks(&nodes);
    let mut index = 0;
    let mut next = || {
        index = (index + 7919) % leaves.len();
        index
    };
    g.bench_function("path of 65536 leaves, from nodes", |b| {
        b.iter(|| {
            let index = next();
            let group = leaves.chunks(tree::LEAVES_PER_NODE).nth(index / tree::LEAVES_PER_NODE).unwrap();
            let group = BlockTree::new(black_box(group));
            let mut under = nodes.chunks(tree::NODES_PER_PEAK);
            let under = under.nth(index / tree::LEAVES_PER_NODE / tree::NODES_PER_PEAK).unwrap();
            let (under, peaks) = (BlockTree::new(black_box(under)), BlockTree::new(black_box(&peaks)));
            tree::path_through(&group, &under, &peaks, index).unwrap()
        });
    });
    g.sample_size(20);
    g.bench_function("root of 65536 leaves", |b| b.iter(|| tree::BlockTree::new(black_box(&leaves)).root()));
    g.bench_function("root of 65536 leaves by rs_merkle alone, which makes paths", |b| {
        b.iter(|| tree::inclusion_path(black_box(&leaves), 0).unwrap());
    });
    g.bench_function("path of 65536 leaves, from all", |b| {
        b.iter(|| BlockTree::new(black_box(&leaves)).path(next()).unwrap());
    });
}

/// A ledger in memory with one real batch; its reader, and a record of it with its proof.
struct Real {
    reader: Identity,
    header: Vec<u8>,
    record: Vec<u8>,
    proof: String,
    other_of_block: String,
}

fn real() -> Real {
    let mut rng = random::csprng().unwrap();
    let readers: Vec<Identity> = (0..3).map(|_| Identity::generate(&mut rng)).collect();
    let roster_readers: Vec<RosterReader> = readers
        .iter()
        .enumerate()
        .map(|(n, id)| RosterReader {
            name: format!("reader-{n}"),
            recipient: id.recipient().to_string(),
            required: true,
        })
        .collect();
    let (admin, writer_key) = (key("example.org/admin"), key("example.org/writer"));
    let roster = Statement::Roster(Roster {
        ledger: ORIGIN.into(),
        sequence: 0,
        previous: Hash::ZERO,
        issued: Timestamp::now(),
        ledger_key: key(ORIGIN).verifier(),
        admins: vec![admin.verifier()],
        writers: vec![writer_key.verifier()],
        readers: roster_readers.clone(),
        officers_required: 1,
        officers: vec![key("example.org/officer").verifier()],
        witnesses: Vec::new(),
    });
    let dir = tempfile::tempdir().unwrap();
    let options = Options { key: key(ORIGIN), guard: dir.path().join("guard"), accept_database_head: false };
    let store = Arc::new(MemoryStore::new(ORIGIN));
    let ledger = Ledger::create(store, options, roster.sign(&admin).unwrap()).unwrap();
    let search = Box::new(|month: &str| {
        Ok((month.to_owned(), SearchSecret::generate(&mut random::csprng().unwrap())))
    });
    let options = WriterOptions {
        key: writer_key,
        ledger: ORIGIN.into(),
        policy: Policy::default(),
        retain_years: 6,
        search,
    };
    let mut writer = Writer::new(options, replay::Head::default()).unwrap();
    let now = Timestamp::now();
    let events: Vec<String> = (0..4096)
        .map(|n| {
            let fields: Vec<String> =
                (0..18).map(|i| format!("\"field-{i:02}\":\"value-{i:021}\"")).collect();
            let fields = fields.join(",");
            format!(r#"{{"actor":{{"user_id":"user-{n}"}},"resource":{{"id":"p-{n}"}},{fields}}}"#)
        })
        .collect();
    let sealed = writer.seal_events(Purpose::Events, &roster_readers, &events, now).unwrap();
    let submission = Submission::hashed(sealed.note, sealed.body);
    ledger.submit(submission).unwrap().wait().unwrap();
    let found = ledger.record(1234).unwrap();
    let proof = |record| ledger.proof(record).unwrap().to_json();
    let reader = Identity::parse(readers[1].to_text().as_str()).unwrap();
    Real {
        reader,
        header: found.header,
        record: found.record,
        proof: proof(1234),
        other_of_block: proof(4000),
    }
}

fn checked(c: &mut Criterion) {
    let real = real();
    let ledger_key = key(ORIGIN).verifier();
    let parse = |text: &str| Proof::parse(black_box(text.as_bytes())).unwrap();
    let mut g = c.benchmark_group("check");
    g.bench_function("one proof offline", |b| {
        b.iter(|| parse(&real.proof).verify(&ledger_key, None).unwrap());
    });
    g.bench_function("a further proof of the same checkpoint and block", |b| {
        let mut verifier = ProofVerifier::new(&ledger_key);
        let mut turn = [&real.proof, &real.other_of_block].into_iter().cycle();
        b.iter(|| verifier.verify(&parse(turn.next().unwrap()), None).unwrap().0);
    });
    g.bench_function("a hit: proof, record's hashes, batch keys, opening", |b| {
        let mut verifier = ProofVerifier::new(&ledger_key);
        b.iter(|| {
            let proof = parse(&real.proof);
            verifier.verify(&proof, None).unwrap();
            proof.check_record(&real.record).unwrap();
            let header = Header::decode(&real.header).unwrap();
            open_bytes(&real.reader, &header, 1234, &real.record).unwrap()
        });
    });
}

criterion_group!(benches, made, checked);
criterion_main!(benches);
