//! What sealing and opening a record costs, whole and by stage: 800-byte events of 20 fields, three
//! readers, five tags, one section, batches of 4,096. Fields are parsed beforehand.
//! Run with `cargo bench --bench seal`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sealtrail::base::hash::Hash;
use sealtrail::base::random::{self, Csprng};
use sealtrail::base::secret::Secret;
use sealtrail::seal::aead;
use sealtrail::seal::disclosure::{Commitments, Field, FieldSink, Scalar, section_root};
use sealtrail::seal::keys::{DerivedKeys, RecordKey};
use sealtrail::seal::open::{OpenError, Opener, Together};
use sealtrail::seal::padding;
use sealtrail::seal::reader_key::{Identity, Recipient};
use sealtrail::seal::sealer::{Plan, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use sealtrail::seal::tag::SearchSecret;

const BATCH: u32 = 4096;
const TAG_FIELDS: [&str; 5] = ["actor", "patient", "action", "resource", "ip"];

/// Pointer and value of the 20 fields of an 800-byte event.
fn event() -> (Vec<(String, String)>, Vec<u8>) {
    let fields: Vec<(String, String)> =
        (0..20).map(|i| (format!("/entity/{i:02}/name"), format!("value-{i:018}"))).collect();
    let mut payload: Vec<u8> =
        fields.iter().flat_map(|(p, v)| format!("\"{p}\":\"{v}\",").into_bytes()).collect();
    payload.resize(800, b' ');
    (fields, payload)
}

fn fields(event: &[(String, String)]) -> Vec<Field<'_>> {
    event.iter().map(|(p, v)| Field { pointer: p, value: Scalar::String(v.into()) }).collect()
}

fn sealer(readers: &[Recipient], rng: &mut Csprng) -> Sealer {
    let readers = readers.to_vec();
    let config = SealerConfig {
        ledger: "example.org/log".into(),
        writer: "example.org/writers/gateway".into(),
        period: "2026-11".into(),
        sections: vec![SectionSpec { name: "event".into(), readers: readers.clone() }],
        readers,
        tag_fields: TAG_FIELDS.map(String::from).to_vec(),
    };
    let search = SearchSecret::generate(rng);
    Sealer::new(Plan::new(config, &search).unwrap().into(), 1, rng).unwrap()
}

fn seal_batch(sealer: &Sealer, payload: &[u8], fields: &[Field<'_>], rng: &mut Csprng, out: &mut Vec<u8>) {
    let mut worker = sealer.worker();
    let tags = TAG_FIELDS.map(|field| TagInput { section: 0, field, value: b"practitioner/12345" });
    for position in 0..BATCH {
        worker.seal_record(position, &[SectionInput { payload, fields }], tags, rng, out).unwrap();
    }
}

fn whole(c: &mut Criterion) {
    let mut rng = random::csprng().unwrap();
    let readers: Vec<Identity> = (0..3).map(|_| Identity::generate(&mut rng)).collect();
    let recipients: Vec<Recipient> = readers.iter().map(Identity::recipient).collect();
    let (event, payload) = event();
    let fields = fields(&event);
    let mut g = c.benchmark_group("batch of 4096");
    g.throughput(Throughput::Elements(u64::from(BATCH))).sample_size(30);
    let mut out = Vec::with_capacity(8 << 20);
    let mut fresh = random::csprng().unwrap();
    g.bench_function("seal", |b| {
        b.iter_batched(
            || sealer(&recipients, &mut fresh),
            |sealer| {
                out.clear();
                seal_batch(&sealer, &payload, &fields, &mut rng, &mut out);
                sealer
            },
            BatchSize::PerIteration,
        );
    });
    let sealer = sealer(&recipients, &mut rng);
    let tags = TAG_FIELDS.map(|field| TagInput { section: 0, field, value: b"practitioner/12345" });
    for (name, together) in [("draft one by one", 1), ("draft side by side", usize::MAX)] {
        g.bench_function(name, |b| {
            let mut drafter = sealer.plan().drafter();
            let mut drafts = Vec::with_capacity(BATCH as usize);
            b.iter(|| {
                drafts.clear();
                for n in 1..=BATCH as usize {
                    let sections = [(payload.len(), fields.iter().cloned())];
                    drafter.add(sections.into_iter(), tags, &mut rng).unwrap();
                    if n.is_multiple_of(together) || drafter.is_full() {
                        drafts.extend(drafter.complete());
                    }
                }
            });
        });
    }
    out.clear();
    seal_batch(&sealer, &payload, &fields, &mut rng, &mut out);
    let record_len = out.len() / BATCH as usize;
    let opener = Opener::new(&readers[1], sealer.header()).unwrap();
    let add = |_: usize, _: &[u8], sink: &mut FieldSink<'_>| -> Result<(), OpenError> {
        fields.iter().for_each(|f| sink.add(f));
        Ok(())
    };
    g.bench_function("open and verify", |b| {
        b.iter(|| {
            for (position, record) in out.chunks_exact(record_len).enumerate() {
                let opened = opener.open(position as u32, record).unwrap();
                black_box(opened.verify_disclosure(add).unwrap());
            }
        });
    });
    g.bench_function("open and verify side by side", |b| {
        let records: Vec<(usize, &[u8])> = out.chunks_exact(record_len).enumerate().collect();
        let mut together = Together::default();
        b.iter(|| {
            for some in records.chunks(16) {
                for (position, record) in some {
                    together.add(opener.open(*position as u32, record).unwrap(), add).unwrap();
                }
                together.verify().for_each(|opened| {
                    black_box(opened.unwrap());
                });
            }
        });
    });
}

fn stages(c: &mut Criterion) {
    let mut rng = random::csprng().unwrap();
    let readers: Vec<Identity> = (0..3).map(|_| Identity::generate(&mut rng)).collect();
    let recipients: Vec<Recipient> = readers.iter().map(Identity::recipient).collect();
    let (event, payload) = event();
    let fields = fields(&event);
    let sealed = sealer(&recipients, &mut rng);
    let opener = Opener::new(&readers[0], sealed.header()).unwrap();
    let mut g = c.benchmark_group("stage");
    g.bench_function("batch set-up, 3 readers", |b| b.iter(|| sealer(&recipients, &mut rng)));
    g.bench_function("opener set-up", |b| {
        b.iter(|| Opener::new(black_box(&readers[0]), sealed.header()).unwrap());
    });

    let mut out = Vec::new();
    sealed
        .worker()
        .seal_record(0, &[SectionInput { payload: &payload, fields: &fields }], [], &mut rng, &mut out)
        .unwrap();
    let add = |_: usize, _: &[u8], sink: &mut FieldSink<'_>| -> Result<(), OpenError> {
        fields.iter().for_each(|f| sink.add(f));
        Ok(())
    };
    let opened = opener.open(0, &out).unwrap().verify_disclosure(add).unwrap();
    let key: &RecordKey = opened.record_key(0).unwrap();
    let keys = DerivedKeys::derive(key);
    g.bench_function("derive three keys", |b| b.iter(|| DerivedKeys::derive(black_box(key))));

    let mut space = Commitments::new();
    g.bench_function("20 field commitments and root", |b| {
        b.iter(|| section_root(&keys.salts, black_box(&fields), &mut space).unwrap());
    });
    let tagger = SearchSecret::from_secret(Secret::fill(|b| b.fill(1))).section("event").tagger();
    g.bench_function("5 blind tags", |b| {
        b.iter(|| TAG_FIELDS.map(|f| tagger.tag(f, black_box(b"practitioner/12345"))));
    });
    let mut buffer = Vec::with_capacity(2000);
    g.bench_function("pad and encrypt 800 bytes", |b| {
        b.iter(|| {
            buffer.clear();
            padding::pad_into(black_box(&payload), &mut buffer);
            aead::seal_in_place(&keys.encryption, &[7; 37], &mut buffer).unwrap()
        });
    });
    g.bench_function("SHA-256 of 848 bytes, for comparison", |b| {
        b.iter(|| Hash::of(&[black_box(&buffer[..])]));
    });
}

criterion_group!(benches, whole, stages);
criterion_main!(benches);
