//! What an event costs until it is sealed: splitting a request, parsing, the whole way into a batch (`benches/seal.rs` has the
//! stages of that).
//! Events of 800 bytes and twenty fields, five tags, three readers. Run with `cargo bench --bench event`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[allow(dead_code)]
#[path = "../examples/bench/events.rs"]
mod events;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::random;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::event::json::Parser;
use sealtrail::event::policy::Policy;
use sealtrail::event::prepare::Preparer;
use sealtrail::event::split::{Format, split};
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Purpose, Writer, WriterOptions};

const BATCH: u64 = 4096;

fn parsing(c: &mut Criterion) {
    let all = events::Events::new(7, u64::MAX);
    let event = all.event(12_345);
    let mut g = c.benchmark_group("event");
    let mut parser = Parser::new();
    g.bench_function("parse into fields", |b| b.iter(|| parser.parse(black_box(&event)).unwrap().count()));
    let policy = Arc::new(Policy::default().compile().unwrap());
    let mut preparer = Preparer::new(policy);
    g.bench_function("prepare: parse, sections, tag values", |b| {
        b.iter(|| {
            let prepared = preparer.prepare(black_box(&event)).unwrap();
            assert_eq!((prepared.fields(0).count(), prepared.tags().len()), (20, events::TAGS));
        });
    });
    g.finish();

    let mut lines = Vec::new();
    for number in 0..1000 {
        all.write(number, &mut lines);
        lines.push(b'\n');
    }
    let mut g = c.benchmark_group("request of 1000 events");
    g.throughput(Throughput::Elements(1000));
    g.bench_function("split NDJSON", |b| b.iter(|| split(black_box(&lines), Format::Ndjson).unwrap().len()));
}

fn sealing(c: &mut Criterion) {
    let mut rng = random::csprng().unwrap();
    let options = WriterOptions {
        key: SigningKey::generate("example.org/writers/gateway", &mut rng).unwrap(),
        ledger: "example.org/log".into(),
        policy: Policy::default(),
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
    let all = events::Events::new(7, u64::MAX);
    let events: Vec<Vec<u8>> = (0..BATCH).map(|n| all.event(n)).collect();
    let mut g = c.benchmark_group("batch of 4096 events");
    g.throughput(Throughput::Elements(BATCH)).sample_size(20);
    g.bench_function("seal and sign, from JSON text", |b| {
        b.iter(|| writer.seal_events(Purpose::Events, &readers, &events, Timestamp::now()).unwrap());
    });
}

criterion_group!(benches, parsing, sealing);
criterion_main!(benches);
