//! A batch's hashes against the format's definitions, and every rule between statement, batch and roster.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::super::replay::Head;
use super::super::roster::Roster;
use super::super::statement::RecordsStatement;
use super::super::testing::*;
use super::*;
use crate::base::batch::BatchSection;
use crate::base::record::{KEY_LEN, Record};

/// FORMAT §3, word by word, from decoded records.
fn expected_leaf(bytes: &[u8]) -> Hash {
    let Record::Sealed { disclosure_root, envelope, ciphertext, .. } = Record::decode(bytes).unwrap() else {
        panic!("sealed")
    };
    let (c, e) = (Hash::of(&[ciphertext]), Hash::of(&[b"sealtrail.org/envelope/v1\n", envelope]));
    Hash::of(&[b"\0sealtrail.org/leaf/v1\n", &c.0, &e.0, &disclosure_root.0])
}

/// FORMAT §3, tags_root: entries as bytes, sorted as bytes.
fn expected_tags_root(records: &[Vec<u8>]) -> Hash {
    let mut entries: Vec<[u8; 12]> = Vec::new();
    for (position, bytes) in records.iter().enumerate() {
        let Record::Sealed { tags, .. } = Record::decode(bytes).unwrap() else { continue };
        for tag in tags.chunks(8) {
            let entry = [tag, &(position as u32).to_be_bytes()].concat();
            entries.push(entry.try_into().unwrap());
        }
    }
    entries.sort();
    let leaf = |chunk: &[[u8; 12]]| Hash::of(&[b"\0sealtrail.org/tags/v1\n", &chunk.concat()]);
    naive_root(&entries.chunks(64).map(leaf).collect::<Vec<_>>())
}

#[test]
fn hashes_follow_the_format() {
    for (count, tags) in [(1, 0), (1, 1), (13, 5), (64, 1), (65, 1), (100, 9), (129, 1), (300, 0)] {
        let records: Vec<_> = (0..count).map(|i| record(i, 100 + i as usize, tags)).collect();
        let body = body(WRITER, 3, &records);
        let batch = commit(&body).unwrap();
        assert_eq!(batch.header, header(WRITER, 3));
        let header = header(WRITER, 3).encode().unwrap();
        assert_eq!(batch.header_hash, Hash::of(&[b"sealtrail.org/header/v1\n", &header]));
        let leaves: Vec<_> = records.iter().map(|r| expected_leaf(r)).collect();
        assert_eq!(batch.records_root, naive_root(&leaves));
        assert_eq!(batch.nodes, tree::nodes(&leaves));
        assert_eq!(batch.tags_root, Some(expected_tags_root(&records)));
        assert_eq!((batch.bytes, batch.erased), (body.len() as u64, 0));
        for (record, (inputs, leaf)) in records.iter().zip(batch.leaf_inputs.iter().zip(leaves)) {
            assert_eq!(leaf_inputs_of(record).unwrap(), *inputs);
            assert_eq!(record_leaf(inputs), leaf);
        }
    }
}

#[test]
fn a_body_in_pieces_has_the_same_hashes() {
    let mut hasher = PieceHasher::default();
    for (count, tags, size) in
        [(300, 5, 1000), (1, 0, 1), (700, 1, 100_000), (600, 2, 7777), (90, 3, 1 << 20)]
    {
        let records: Vec<_> = (0..count).map(|i| record(i, 100 + i as usize, tags)).collect();
        let body = body(WRITER, 3, &records);
        let mut whole = |body: &[u8]| {
            hasher.start();
            let mut pending = Vec::new();
            for piece in body.chunks(size) {
                pending.extend_from_slice(piece);
                hasher.absorb(&mut pending)?;
            }
            let found = hasher.finish(&mut pending)?;
            hasher.recycle(found.clone());
            Ok::<_, BatchError>(found)
        };
        assert_eq!(whole(&body).unwrap(), commit(&body).unwrap());
        // What is begun and not finished leaves nothing behind.
        assert!(whole(&body[..body.len() - 1]).is_err());
        assert!(whole(&[&body[..], &[0]].concat()).is_err());
        assert_eq!(whole(&body).unwrap(), commit(&body).unwrap());
    }
}

#[test]
fn roots_are_those_of_rfc_6962_and_of_the_library() {
    for size in (0..=130).chain([255, 256, 257, 1000, 4096, 4097]) {
        let leaves = leaves(size);
        let root = root_of(leaves.clone());
        assert_eq!(root, naive_root(&leaves), "size {size}");
        assert_eq!(root, super::super::tree::root(&leaves), "size {size}");
    }
}

#[test]
fn tags_are_sorted_however_they_are_spread() {
    let spread = |i: u64| Hash::of(&[&i.to_be_bytes()]).0[..8].try_into().map(u64::from_be_bytes).unwrap();
    let kinds: [fn(u64, u64) -> u64; 5] = [
        |spread, _| spread,
        |_, _| 7,
        |_, i| i.wrapping_neg(),
        |spread, _| spread & 0xffff,
        |spread, i| if i.is_multiple_of(5) { u64::MAX } else { spread % 3 },
    ];
    for count in [0, 1, 2, 255, 256, 257, 1000, 20_000] {
        for (n, kind) in kinds.iter().enumerate() {
            let mut entries: Vec<_> = (0..count).map(|i| (kind(spread(i), i), (i / 5) as u32)).collect();
            let mut found = entries.clone();
            sort_tags(&mut found, &mut vec![(7, 7); 3]);
            entries.sort();
            assert_eq!(found, entries, "{count} of kind {n}");
        }
    }
}

/// The outline that hashing reads is the record.
fn assert_same_outline(bytes: &[u8]) {
    match (Record::decode(bytes), Outline::decode(bytes)) {
        (Err(a), Err(b)) => assert_eq!(a, b),
        (Ok(Record::Erased(a)), Ok(Outline::Erased(b))) => assert_eq!(a, b),
        (
            Ok(Record::Sealed { disclosure_root, envelope, sections, tags, ciphertext }),
            Ok(Outline::Sealed { disclosure_root: root, envelope: e, slots, tags: t, ciphertext: c }),
        ) => {
            assert_eq!((disclosure_root, envelope, tags, ciphertext), (root, e, t, c));
            let mut expected = [0; MAX_SECTIONS];
            expected.iter_mut().zip(&sections).for_each(|(n, s)| *n = (s.slots.len() / KEY_LEN) as u8);
            assert_eq!(slots, expected);
            let pieces: Vec<_> = sections.iter().map(|s| s.ciphertext).collect();
            assert_eq!(pieces.concat(), c);
        }
        (a, b) => panic!("{a:?} is not {b:?}"),
    }
}

#[test]
fn erasing_keeps_the_records_root() {
    let mut records: Vec<_> = (0..9).map(|i| record(i, 200, 3)).collect();
    let whole = commit(&body(WRITER, 0, &records)).unwrap();
    let statement = records_statement(Head::default(), &body(WRITER, 0, &records));
    let roster = roster(Head::default());
    records[2] = erased(&records[2]);
    records[8] = erased(&records[8]);
    let left = commit(&body(WRITER, 0, &records)).unwrap();
    assert_eq!(left.leaf_inputs, whole.leaf_inputs);
    assert_eq!(left.records_root, whole.records_root);
    assert_eq!((left.tags_root, left.erased), (None, 2));
    let whole_check = check(&statement, WRITER, &left, &roster);
    assert_eq!(whole_check, Err(BatchError::Erased { erased: 2 }));
    assert_eq!(check_erased(&statement, WRITER, &left, &roster), Ok(()));
    // What is erased can still not be swapped for something else.
    records[2] = erased(&record(77, 200, 3));
    let forged = commit(&body(WRITER, 0, &records)).unwrap();
    assert!(check_erased(&statement, WRITER, &forged, &roster).is_err());
}

/// The statement, the batch's commitment and the roster of a batch that keeps every rule.
fn good() -> (RecordsStatement, BatchCommitment, Roster) {
    let body = body(WRITER, 0, &[record(0, 100, 2), record(1, 90, 0)]);
    (records_statement(Head::default(), &body), commit(&body).unwrap(), roster(Head::default()))
}

#[test]
fn statement_and_batch_must_agree_in_everything() {
    let (statement, batch, roster) = good();
    assert_eq!(check(&statement, WRITER, &batch, &roster), Ok(()));
    type Change = fn(&mut RecordsStatement);
    let changes: [(&str, Change); 7] = [
        ("ledger", |s| s.ledger.push('x')),
        ("sequence", |s| s.sequence += 1),
        ("records", |s| s.records += 1),
        ("header-hash", |s| s.header_hash.0[0] ^= 1),
        ("records-root", |s| s.records_root.0[31] ^= 1),
        ("bytes", |s| s.bytes += 1),
        ("tags-root", |s| s.tags_root.0[5] ^= 1),
    ];
    for (name, change) in changes {
        let mut wrong = statement.clone();
        change(&mut wrong);
        let found = check(&wrong, WRITER, &batch, &roster);
        assert!(matches!(found, Err(BatchError::Mismatch { what, .. }) if what == name), "{name}: {found:?}");
    }
    let other_writer = check(&statement, "ledger.example/writers/lab", &batch, &roster);
    assert!(matches!(other_writer, Err(BatchError::Mismatch { what: "writer", .. })));
}

/// A batch whose header was changed and everything else made to fit again.
fn with_header(change: impl Fn(&mut Header)) -> Result<(), BatchError> {
    let mut h = header(WRITER, 0);
    change(&mut h);
    let bytes = Body::encode(&h.encode().unwrap(), &[record(0, 100, 2)]);
    let batch = commit(&bytes)?;
    check(&records_statement(Head::default(), &bytes), WRITER, &batch, &roster(Head::default()))
}

#[test]
fn readers_are_checked() {
    assert_eq!(with_header(|_| ()), Ok(()));
    let reader = |result: Result<(), BatchError>, at: usize| {
        assert!(matches!(result, Err(BatchError::Reader { index, .. }) if index == at), "{result:?}");
    };
    reader(with_header(|h| h.readers[1].kem = 0x647a), 1);
    // The lengths that the KEM gives each field are the header's own rule.
    let lengths: [fn(&mut Header); 4] = [
        |h| h.readers[0].enc.push(0),
        |h| h.readers[0].search.truncate(48),
        |h| h.readers[1].search.extend([0; 32]),
        |h| h.readers[1].public_key.push(0),
    ];
    for change in lengths {
        let mut h = header(WRITER, 0);
        change(&mut h);
        assert!(h.encode().is_err());
    }
    // The required reader is recipient 1, whose public key is 32 bytes 0x01.
    let missing = with_header(|h| h.readers[0].public_key = vec![0; 32]);
    assert_eq!(missing, Err(BatchError::MissingReader { name: "auditor".into() }));
}

#[test]
fn a_required_reader_must_be_in_the_first_section() {
    let mut h = header(WRITER, 0);
    h.sections = vec![
        BatchSection { name: "event".into(), readers: vec![1] },
        BatchSection { name: "patient".into(), readers: vec![0] },
    ];
    h.readers[0].search.truncate(48);
    let (statement, mut batch, roster) = good();
    batch.header = h;
    let missing = check(&statement, WRITER, &batch, &roster);
    assert_eq!(missing, Err(BatchError::MissingReader { name: "auditor".into() }));
}

#[test]
fn records_must_have_the_sections_and_slots_of_the_header() {
    let shape = with_header(|h| {
        h.sections[0].readers.pop();
        h.sections[1].readers = vec![0, 1];
    });
    assert!(matches!(&shape, Err(BatchError::Record { position: 0, .. })), "{shape:?}");
    let sections = with_header(|h| {
        h.sections.pop();
        h.readers[0].search.truncate(48);
    });
    assert!(matches!(sections, Err(BatchError::Record { position: 0, .. })));
    let mut damaged = record(1, 80, 1);
    damaged.pop();
    let batch = commit(&body(WRITER, 0, &[record(0, 80, 1), damaged]));
    assert!(matches!(batch, Err(BatchError::Record { position: 1, .. })));
}

#[test]
fn every_changed_byte_of_a_body_is_detected() {
    let body = body(WRITER, 0, &[record(0, 40, 2), record(1, 33, 1)]);
    let (statement, roster) = (records_statement(Head::default(), &body), roster(Head::default()));
    let accepts = |b: &[u8]| commit(b).is_ok_and(|b| check(&statement, WRITER, &b, &roster).is_ok());
    assert!(accepts(&body));
    for i in 0..body.len() {
        for x in [1, 0x80] {
            let mut changed = body.clone();
            changed[i] ^= x;
            assert!(!accepts(&changed), "byte {i}");
        }
        assert!(!accepts(&body[..i]));
    }
    assert!(!accepts(&[&body[..], &[0]].concat()));
}

proptest! {
    #[test]
    fn no_bytes_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let mut bytes = body(WRITER, 0, &[record(0, 40, 2)]);
        prop_assert!(commit(&noise).is_err());
        assert_same_outline(&noise);
        let mut changed = record(3, 40, 4);
        let start = at.index(changed.len());
        changed.iter_mut().skip(start).zip(&noise).take(2).for_each(|(to, from)| *to = *from);
        assert_same_outline(&changed);
        changed.truncate(start);
        assert_same_outline(&changed);
        assert_same_outline(&record(3, 40, 4));
        assert_same_outline(&erased(&record(3, 40, 4)));
        let _ = leaf_inputs_of(&noise);
        let from = at.index(bytes.len());
        bytes.truncate(from);
        bytes.extend(&noise);
        let _ = commit(&bytes);
    }
}
