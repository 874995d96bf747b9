//! What a sealer refuses, and the bytes it makes. That they open again is tested beside the opener.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_core::SeedableRng;

use super::super::disclosure::{DisclosureError, Field, Scalar};
use super::super::reader_key::{Identity, Recipient};
use super::*;
use crate::base::limits::{MAX_NAME_BYTES, MAX_POINTER_BYTES, MAX_READERS, MAX_RECORD_BYTES, MAX_TAGS};
use crate::base::record::Record;
use crate::seal::tag::SearchSecret;

fn rng() -> Csprng {
    Csprng::seed_from_u64(1)
}

fn recipients(n: usize) -> Vec<Recipient> {
    let mut rng = rng();
    (0..n).map(|_| Identity::generate(&mut rng).recipient()).collect()
}

fn config(readers: &[Recipient], sections: &[(&str, &[Recipient])]) -> SealerConfig {
    SealerConfig {
        ledger: "example.org/log".into(),
        writer: "example.org/w".into(),
        period: "2026-11".into(),
        readers: readers.to_vec(),
        sections: sections
            .iter()
            .map(|(name, readers)| SectionSpec { name: (*name).into(), readers: readers.to_vec() })
            .collect(),
        tag_fields: vec!["actor".into(), "patient".into()],
    }
}

fn new(config: SealerConfig) -> Result<Sealer, SealError> {
    Sealer::new(Plan::new(config, &SearchSecret::generate(&mut rng()))?.into(), 3, &mut rng())
}

fn sealer(readers: usize) -> Sealer {
    let r = recipients(readers);
    new(config(&r, &[("event", &r)])).unwrap()
}

fn event(payload: &[u8]) -> [SectionInput<'_>; 1] {
    [SectionInput { payload, fields: &[] }]
}

fn seal(s: &Sealer, position: u32, payload: &[u8], tags: &[TagInput<'_>]) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::new();
    let tags = tags.iter().copied();
    s.worker().seal_record(position, &event(payload), tags, &mut rng(), &mut out)?;
    Ok(out)
}

#[test]
fn readers_are_sorted_and_doubles_collapse() {
    let r = recipients(3);
    let doubled = [r[2], r[0], r[1], r[0]];
    let s = new(config(&doubled, &[("a", &doubled), ("b", &[r[1], r[1]])])).unwrap();
    let h = s.header();
    assert_eq!(Header::decode(s.header_bytes()).unwrap(), *h);
    assert_eq!(h.readers.len(), 3);
    assert_eq!(h.sections[0].readers, [0, 1, 2]);
    assert_eq!(h.sections[1].readers.len(), 1);
    let one = usize::from(h.sections[1].readers[0]);
    assert_eq!(h.readers[one].public_key, r[1].as_bytes());
    // The reader of both sections got two search secrets, the others one each; 16 bytes are the cipher's.
    for (i, reader) in h.readers.iter().enumerate() {
        assert_eq!(reader.search.len(), if i == one { 64 } else { 32 } + 16);
    }
}

#[test]
fn lists_of_readers_that_cannot_be_meant_are_refused() {
    let r = recipients(3);
    assert!(matches!(new(config(&r[..2], &[("a", &r)])), Err(SealError::UnknownReader { .. })));
    assert!(matches!(new(config(&r, &[("a", &r[..2])])), Err(SealError::IdleReader(x)) if x == r[2]));
    assert!(matches!(new(config(&r, &[])), Err(SealError::Header(_))));
    assert!(matches!(new(config(&[], &[("a", &[])])), Err(SealError::Header(_))));
    assert!(matches!(new(config(&r, &[("a", &r), ("a", &r)])), Err(SealError::Header(_))));
    let many = recipients(MAX_READERS + 1);
    assert!(matches!(new(config(&many, &[("a", &many)])), Err(SealError::Header(_))));
    let mut long = config(&r, &[("a", &r)]);
    long.ledger = "x".repeat(MAX_NAME_BYTES + 1);
    assert!(matches!(new(long), Err(SealError::Header(_))));
}

#[test]
fn tags_are_sorted_and_doubles_collapse() {
    let s = sealer(1);
    let tag = |field, value| TagInput { section: 0, field, value };
    let tags = [tag("patient", b"17"), tag("actor", b"x"), tag("patient", b"17"), tag("actor", b"")];
    let record = seal(&s, 0, b"{}", &tags).unwrap();
    let Record::Sealed { tags, .. } = Record::decode(&record).unwrap() else { panic!("sealed") };
    let secret = SearchSecret::generate(&mut rng()).for_readers(&recipients(1)).section("event").tagger();
    let mut want = [secret.tag("patient", b"17"), secret.tag("actor", b"x")];
    want.sort();
    assert_eq!(tags, want.concat());

    let unknown = [tag("nobody", b"x")];
    assert!(matches!(seal(&s, 1, b"{}", &unknown), Err(SealError::UnknownTag { .. })));
    let elsewhere = [TagInput { section: 1, field: "actor", value: b"x" }];
    assert!(matches!(seal(&s, 1, b"{}", &elsewhere), Err(SealError::UnknownTag { section: 1, .. })));
    let values: Vec<[u8; 1]> = (0..=MAX_TAGS as u8).map(|i| [i]).collect();
    let many: Vec<TagInput<'_>> = values.iter().map(|v| tag("actor", v)).collect();
    assert!(matches!(seal(&s, 1, b"{}", &many), Err(SealError::TooManyTags)));
    // Refused for what it contains: the position is still free.
    assert!(seal(&s, 1, b"{}", &many[1..]).is_ok());
}

#[test]
fn limits_are_kept_and_leave_the_output_alone() {
    let s = sealer(1);
    let big = vec![b' '; MAX_RECORD_BYTES];
    assert!(matches!(seal(&s, 0, &big, &[]), Err(SealError::RecordTooLarge(_))));
    assert!(matches!(seal(&s, MAX_BATCH_RECORDS as u32, b"", &[]), Err(SealError::Position(_))));
    assert!(seal(&s, MAX_BATCH_RECORDS as u32 - 1, b"", &[]).is_ok());
    let mut out = vec![9];
    let mut worker = s.worker();
    let two = [event(b"")[0], event(b"")[0]];
    let error = worker.seal_record(0, &two, [], &mut rng(), &mut out).unwrap_err();
    assert!(matches!(error, SealError::Sections { expected: 1, found: 2 }));
    let pointer = "/".repeat(MAX_POINTER_BYTES + 1);
    let fields = [Field { pointer: &pointer, value: Scalar::Null }];
    let input = [SectionInput { payload: b"", fields: &fields }];
    let error = worker.seal_record(0, &input, [], &mut rng(), &mut out).unwrap_err();
    assert!(matches!(error, SealError::Fields(DisclosureError::PointerTooLong)));
    assert_eq!(out, [9]);
    worker.seal_record(0, &event(b""), [], &mut rng(), &mut out).unwrap();
    assert!(Record::decode(&out[1..]).is_ok());
}

#[test]
fn the_reserved_length_is_the_records_length() {
    for sections in 1..=3 {
        let r = recipients(2);
        let all: Vec<(String, &[Recipient])> = (0..sections).map(|i| (format!("s{i}"), &r[..])).collect();
        let all: Vec<(&str, &[Recipient])> = all.iter().map(|(n, r)| (n.as_str(), *r)).collect();
        let s = new(config(&r, &all)).unwrap();
        let inputs = vec![event(b"{}")[0]; sections];
        let mut out = Vec::new();
        let tags = [TagInput { section: 0, field: "actor", value: b"a" }];
        s.worker().seal_record(0, &inputs, tags, &mut rng(), &mut out).unwrap();
        assert_eq!(out.len(), s.plan().head_len(1) + sections * (128 + 16));
    }
}

#[test]
fn a_body_holds_every_position_sealed_and_no_other() {
    let s = sealer(1);
    assert!(matches!(s.finish::<Vec<u8>>(&[]), Err(SealError::Incomplete { given: 0, sealed: 0 })));
    // More than one word of positions, sealed out of order.
    let mut records: Vec<Vec<u8>> = (0..70).rev().map(|p| seal(&s, p, b"{}", &[]).unwrap()).collect();
    records.reverse();
    let body = s.finish(&records).unwrap();
    let decoded = Body::decode(&body).unwrap();
    assert_eq!(decoded.header, s.header_bytes());
    assert!(decoded.records().eq(records.iter().map(Vec::as_slice)));
    assert!(matches!(s.finish(&records[..69]), Err(SealError::Incomplete { given: 69, sealed: 70 })));
    records.push(seal(&s, 71, b"{}", &[]).unwrap());
    assert!(matches!(s.finish(&records), Err(SealError::Incomplete { given: 71, sealed: 71 })));
    let huge = vec![vec![0; MAX_BATCH_BYTES / 2]; 2];
    let s = sealer(1);
    seal(&s, 0, b"", &[]).unwrap();
    seal(&s, 1, b"", &[]).unwrap();
    assert!(matches!(s.finish(&huge), Err(SealError::BatchTooLarge(_))));
}

#[test]
fn two_threads_seal_one_batch() {
    let s = sealer(2);
    let halves: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
        let half = |from: u32| {
            let s = &s;
            scope.spawn(move || (from..from + 40).map(|p| seal(s, p, b"{}", &[]).unwrap()).collect())
        };
        [half(0), half(40)].map(|h| h.join().unwrap()).into_iter().collect()
    });
    let body = s.finish(&halves.concat()).unwrap();
    assert_eq!(Body::decode(&body).unwrap().count(), 80);
}
