//! What hashing a batch into the chain costs: leaf, tree, and the whole commitment with and without tags, over batches of 4,096
//! records of 800-byte events sealed for three readers. Run with `cargo bench --bench chain`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[allow(dead_code)]
#[path = "../examples/bench/events.rs"]
mod events;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::random;
use sealtrail::chain::batch::{commit, leaf_inputs_of, record_leaf};
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::merkle::verify_inclusion;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::chain::tree::{self, BlockTree};
use sealtrail::event::policy::Policy;
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Purpose, Sealed, Writer, WriterOptions};

const BATCH: u64 = 4096;

/// A sealed batch.
fn batch(policy: Policy) -> Sealed {
    let mut rng = random::csprng().unwrap();
    let options = WriterOptions {
        key: SigningKey::generate("example.org/writers/gateway", &mut rng).unwrap(),
        ledger: "example.org/log".into(),
        policy,
        retain_years: 6,
        search: Box::new(|month| {
            let secret = random::secret().map_err(|e| e.to_string())?;
            Ok((format!("{month}.00000001"), SearchSecret::from_secret(secret)))
        }),
    };
    let mut writer = Writer::new(options, Head::default()).unwrap();
    let reader = |name: &str| RosterReader {
        name: name.to_owned(),
        recipient: Identity::generate(&mut rng).recipient().to_string(),
        required: false,
    };
    let readers: Vec<RosterReader> = ["a", "b", "c"].map(reader).into();
    let events = events::Events::new(7, u64::MAX);
    let events: Vec<Vec<u8>> = (0..BATCH).map(|n| events.event(n)).collect();
    writer.seal_events(Purpose::Events, &readers, &events, Timestamp::now()).unwrap()
}

fn chain(c: &mut Criterion) {
    let tagged = batch(Policy::default()).body;
    let untagged = batch(Policy { tags: Vec::new(), ..Policy::default() }).body;
    let record = Body::decode(&tagged).unwrap().records().next().unwrap().to_vec();
    let inputs = leaf_inputs_of(&record).unwrap();
    let mut g = c.benchmark_group("record");
    g.bench_function("leaf inputs from its bytes", |b| {
        b.iter(|| leaf_inputs_of(black_box(&record)).unwrap())
    });
    g.bench_function("leaf hash", |b| b.iter(|| record_leaf(black_box(&inputs))));
    g.finish();

    let mut g = c.benchmark_group("batch of 4096");
    g.throughput(Throughput::Elements(BATCH)).sample_size(30);
    let committed = commit(&tagged).unwrap();
    let leaves: Vec<Hash> = committed.leaf_inputs.iter().map(record_leaf).collect();
    g.bench_function("root of the leaves", |b| b.iter(|| tree::BlockTree::new(black_box(&leaves)).root()));
    g.bench_function("commit, five tags a record", |b| b.iter(|| commit(black_box(&tagged)).unwrap()));
    // The difference to the one before is what sorting and hashing the tags costs.
    g.bench_function("commit, no tags", |b| b.iter(|| commit(black_box(&untagged)).unwrap()));
    let mut tags = committed.tags.clone();
    tags.sort_unstable_by_key(|(tag, position)| (*position, *tag));
    g.bench_function("sort its 20480 tags", |b| {
        b.iter_batched_ref(|| tags.clone(), |tags| tags.sort_unstable(), criterion::BatchSize::LargeInput);
    });
    let path = BlockTree::new(&leaves).path(1234).unwrap();
    g.throughput(Throughput::Elements(1));
    g.bench_function("verify one inclusion path", |b| {
        b.iter(|| {
            verify_inclusion(leaves[1234], 1234, BATCH, black_box(&path), committed.records_root).unwrap();
        });
    });
}

criterion_group!(benches, chain);
criterion_main!(benches);
