//! Verification without keys against plain SHA-256 over the same bytes, and opening with a key: 800-byte events of 20 fields, three readers, five tags,
//! one section, batches of 4,096. Run with `cargo bench --bench verify`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealtrail::auditor::batch::BatchOpener;
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::random;
use sealtrail::chain::batch;
use sealtrail::event::json::Parser;
use sealtrail::event::prepare::fields_of_payload;
use sealtrail::seal::reader_key::{Identity, Recipient};
use sealtrail::seal::sealer::{Plan, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use sealtrail::seal::tag::SearchSecret;
use sha2::{Digest, Sha256};

const BATCH: u32 = 4096;
const TAG_FIELDS: [&str; 5] = ["actor", "patient", "action", "resource", "ip"];

/// An 800-byte event of 20 fields.
fn event() -> String {
    let field = |i: u32| format!("\"field-{i:02}\":\"value-{i:020}\"");
    let mut event = format!("{{{}", (1..20).map(field).collect::<Vec<_>>().join(","));
    event += ",\"note\":\"";
    event += &"x".repeat(800 - event.len() - 2);
    event + "\"}"
}

/// One sealed batch body and one of its three readers.
fn body() -> (Vec<u8>, Identity) {
    let mut rng = random::csprng().unwrap();
    let identity = Identity::generate(&mut rng);
    let others = (0..2).map(|_| Identity::generate(&mut rng).recipient());
    let readers: Vec<Recipient> = others.chain([identity.recipient()]).collect();
    let config = SealerConfig {
        ledger: "example.org/log".into(),
        writer: "example.org/writers/gateway".into(),
        period: "2026-11".into(),
        sections: vec![SectionSpec { name: "event".into(), readers: readers.clone() }],
        readers,
        tag_fields: TAG_FIELDS.map(String::from).to_vec(),
    };
    let sealer =
        Sealer::new(Plan::new(config, &SearchSecret::generate(&mut rng)).unwrap().into(), 1, &mut rng)
            .unwrap();
    let event = event();
    let mut parser = Parser::new();
    let names = ["event".to_owned()];
    let fields: Vec<_> = fields_of_payload(&mut parser, 0, event.as_bytes(), &names).unwrap().collect();
    let payload = event.as_bytes();
    let mut worker = sealer.worker();
    let records: Vec<Vec<u8>> = (0..BATCH)
        .map(|position| {
            let mut record = Vec::new();
            let value = format!("practitioner/{}", position % 500);
            let tags = TAG_FIELDS.map(|field| TagInput { section: 0, field, value: value.as_bytes() });
            let sections = [SectionInput { payload, fields: &fields }];
            worker.seal_record(position, &sections, tags, &mut rng, &mut record).unwrap();
            record
        })
        .collect();
    (Body::encode(&sealer.header().encode().unwrap(), &records), identity)
}

fn keyless(c: &mut Criterion) {
    let (body, _) = body();
    let mut g = c.benchmark_group("4096 records without keys");
    g.throughput(Throughput::Bytes(body.len() as u64)).sample_size(30);
    g.bench_function("plain SHA-256 of the body", |b| b.iter(|| Sha256::digest(black_box(&body))));
    g.bench_function("batch::commit", |b| b.iter(|| batch::commit(black_box(&body)).unwrap()));
    g.finish();
}

fn opening(c: &mut Criterion) {
    let (body, identity) = body();
    let mut g = c.benchmark_group("4096 records with a key");
    g.throughput(Throughput::Elements(u64::from(BATCH))).sample_size(20);
    g.bench_function("open, check every commitment, put the event together", |b| {
        b.iter(|| {
            let body = Body::decode(black_box(&body)).unwrap();
            let header = Header::decode(body.header).unwrap();
            let opener = BatchOpener::new(std::slice::from_ref(&identity), &header, &[]).unwrap();
            let mut parser = Parser::new();
            for (position, record) in (0u32..).zip(body.records()) {
                black_box(opener.open(&mut parser, position, record).unwrap());
            }
        });
    });
}

criterion_group!(benches, keyless, opening);
criterion_main!(benches);
