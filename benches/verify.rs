//! Verification without keys against plain SHA-256 over the same bytes: 800-byte events of 20 fields, three readers, five tags,
//! one section, batches of 4,096. Run with `cargo bench --bench verify`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealtrail::base::batch::Body;
use sealtrail::base::random;
use sealtrail::chain::batch;
use sealtrail::seal::disclosure::{Field, Scalar};
use sealtrail::seal::reader_key::{Identity, Recipient};
use sealtrail::seal::sealer::{Plan, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use sealtrail::seal::tag::SearchSecret;
use sha2::{Digest, Sha256};

const BATCH: u32 = 4096;
const TAG_FIELDS: [&str; 5] = ["actor", "patient", "action", "resource", "ip"];

/// One sealed batch body.
fn body() -> Vec<u8> {
    let mut rng = random::csprng().unwrap();
    let readers: Vec<Recipient> = (0..3).map(|_| Identity::generate(&mut rng).recipient()).collect();
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
    let fields: Vec<(String, String)> =
        (0..20).map(|i| (format!("/entity/{i:02}/name"), format!("value-{i:018}"))).collect();
    let fields: Vec<Field<'_>> =
        fields.iter().map(|(p, v)| Field { pointer: p, value: Scalar::String(v.into()) }).collect();
    let payload = [b' '; 800];
    let mut worker = sealer.worker();
    let records: Vec<Vec<u8>> = (0..BATCH)
        .map(|position| {
            let mut record = Vec::new();
            let value = format!("practitioner/{}", position % 500);
            let tags = TAG_FIELDS.map(|field| TagInput { section: 0, field, value: value.as_bytes() });
            let sections = [SectionInput { payload: &payload, fields: &fields }];
            worker.seal_record(position, &sections, tags, &mut rng, &mut record).unwrap();
            record
        })
        .collect();
    Body::encode(&sealer.header().encode().unwrap(), &records)
}

fn keyless(c: &mut Criterion) {
    let body = body();
    let mut g = c.benchmark_group("4096 records without keys");
    g.throughput(Throughput::Bytes(body.len() as u64)).sample_size(30);
    g.bench_function("plain SHA-256 of the body", |b| b.iter(|| Sha256::digest(black_box(&body))));
    g.bench_function("batch::commit", |b| b.iter(|| batch::commit(black_box(&body)).unwrap()));
    g.finish();
}

criterion_group!(benches, keyless);
criterion_main!(benches);
