//! Sealing and opening together: what comes back, for whom, and what is refused. Where a test needs a
//! dishonest writer, it re-wraps slots with the sealer's own wrapping keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_core::SeedableRng;
use serde::Deserialize;

use super::super::disclosure::{Field, Scalar, field_leaves, field_path, root_from_path};
use super::super::keystream;
use super::super::sealer::{Plan, SealError, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use super::super::tag::SearchSecret;
use super::super::test_vectors::{Hex, load};
use super::*;
use crate::base::random::Csprng;
use crate::base::record::{NewSection, encode_sealed_head};
use crate::base::secret::Secret;
use crate::seal::reader_key::Recipient;

const LEDGER: &str = "example.org/log";
const WRITER: &str = "example.org/w";

/// A payload of lines `pointer=value`: what these tests use in place of JSON.
fn payload(fields: &[(String, String)]) -> Vec<u8> {
    fields.iter().map(|(p, v)| format!("{p}={v}\n")).collect::<String>().into_bytes()
}

fn fields_of(_: usize, payload: &[u8], sink: &mut FieldSink<'_>) -> Result<(), OpenError> {
    for line in std::str::from_utf8(payload).unwrap().lines() {
        let (pointer, value) = line.split_once('=').unwrap();
        sink.add(&Field { pointer, value: Scalar::String(value.into()) });
    }
    Ok(())
}

struct Setup {
    rng: Csprng,
    search: SearchSecret,
    /// In the header's order.
    readers: Vec<Identity>,
    sealer: Sealer,
}

/// A batch whose sections have the readers with these numbers.
fn setup(seed: u64, sequence: u64, readers: usize, sections: &[Vec<usize>]) -> Setup {
    let mut rng = Csprng::seed_from_u64(seed);
    let mut readers: Vec<Identity> = (0..readers).map(|_| Identity::generate(&mut rng)).collect();
    readers.sort_by_key(Identity::recipient);
    let spec = |(i, r): (usize, &Vec<usize>)| SectionSpec {
        name: format!("section-{i}"),
        readers: r.iter().map(|n| readers[*n].recipient()).collect(),
    };
    let search = SearchSecret::generate(&mut rng);
    // Another generator, so that batches with the same readers differ in everything fresh.
    let mut rng = Csprng::seed_from_u64(seed.wrapping_add(sequence) ^ 0x5eed);
    let config = SealerConfig {
        ledger: LEDGER.into(),
        writer: WRITER.into(),
        period: "2026-11".into(),
        readers: readers.iter().map(Identity::recipient).collect(),
        sections: sections.iter().enumerate().map(spec).collect(),
        tag_fields: vec!["actor".into(), "patient".into()],
    };
    let sealer = Sealer::new(Plan::new(config, &search).unwrap().into(), sequence, &mut rng).unwrap();
    Setup { rng, search, readers, sealer }
}

type Text = Vec<(String, String)>;

impl Setup {
    fn seal(&mut self, position: u32, sections: &[Text]) -> Vec<u8> {
        let payloads: Vec<Vec<u8>> = sections.iter().map(|s| payload(s)).collect();
        let fields: Vec<Vec<Field<'_>>> = sections
            .iter()
            .map(|s| s.iter().map(|(p, v)| Field { pointer: p, value: Scalar::String(v.into()) }).collect())
            .collect();
        let inputs: Vec<SectionInput<'_>> =
            payloads.iter().zip(&fields).map(|(payload, fields)| SectionInput { payload, fields }).collect();
        let tags = [TagInput { section: 0, field: "actor", value: b"alice" }];
        let mut out = Vec::new();
        self.sealer.worker().seal_record(position, &inputs, tags, &mut self.rng, &mut out).unwrap();
        out
    }

    fn opener(&self, reader: usize) -> Opener {
        let header = Header::decode(self.sealer.header_bytes()).unwrap();
        Opener::new(&self.readers[reader], &header).unwrap()
    }
}

fn open(opener: &Opener, position: u32, record: &[u8]) -> Result<Opened, OpenError> {
    opener.open(position, record)?.verify_disclosure(fields_of)
}

fn text(n: usize) -> Text {
    (0..n).map(|i| (format!("/f{i}"), format!("value {i}"))).collect()
}

/// A record taken apart, so that a test can change one thing and put it together again.
struct Parts {
    disclosure_root: Hash,
    sections: Vec<Part>,
}

struct Part {
    commitment: [u8; 32],
    root: SectionRoot,
    slots: Vec<u8>,
    ciphertext: Vec<u8>,
}

fn take_apart(record: &[u8]) -> Parts {
    let Record::Sealed { disclosure_root, sections, .. } = Record::decode(record).unwrap() else {
        panic!("sealed")
    };
    let none = SectionRoot { fields: 0, root: Hash::ZERO };
    let sections = sections
        .iter()
        .map(|s| Part {
            commitment: s.commitment,
            root: s.root.unwrap_or(none),
            slots: s.slots.to_vec(),
            ciphertext: s.ciphertext.to_vec(),
        })
        .collect();
    Parts { disclosure_root, sections }
}

fn put_together(parts: &Parts) -> Vec<u8> {
    let heads: Vec<NewSection<'_>> = parts
        .sections
        .iter()
        .map(|s| NewSection {
            ciphertext_len: s.ciphertext.len() as u32,
            commitment: s.commitment,
            root: s.root,
            slots: &s.slots,
        })
        .collect();
    let mut out = Vec::new();
    encode_sealed_head(&parts.disclosure_root, heads, &[], &mut out);
    parts.sections.iter().for_each(|s| out.extend_from_slice(&s.ciphertext));
    out
}

/// Moves what is in a reader's slot from one keystream block to another.
fn rewrap(sealer: &Sealer, reader: usize, from: u32, to: u32, slot: &mut [u8]) {
    let key = &sealer.wrapping_keys[reader];
    let (a, b) = (keystream::slot_mask(key, from), keystream::slot_mask(key, to));
    for ((s, a), b) in slot.iter_mut().zip(a.iter()).zip(b.iter()) {
        *s ^= a ^ b;
    }
}

/// Per section its readers, so that each of `readers` is in one section at least.
fn layout() -> impl Strategy<Value = (usize, Vec<Vec<usize>>)> {
    (1usize..5, 1usize..4).prop_flat_map(|(readers, sections)| {
        let one = proptest::collection::btree_set(0..readers, 1..=readers);
        proptest::collection::vec(one, sections).prop_map(move |mut s: Vec<BTreeSet<usize>>| {
            for r in 0..readers {
                if !s.iter().any(|x| x.contains(&r)) {
                    s[r % sections].insert(r);
                }
            }
            (readers, s.into_iter().map(|x| x.into_iter().collect()).collect())
        })
    })
}

fn section_text() -> impl Strategy<Value = Text> {
    proptest::collection::vec(("/[a-z]{1,9}", "[ -<>-~]{0,60}"), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_reader_gets_back_exactly_their_sections(
        (readers, layout) in layout(),
        texts in proptest::collection::vec(proptest::collection::vec(section_text(), 3), 1..4),
        seed in any::<u64>(),
    ) {
        let mut b = setup(seed, 1, readers, &layout);
        let texts: Vec<Vec<Text>> = texts.into_iter().map(|t| t[..layout.len()].to_vec()).collect();
        let records: Vec<Vec<u8>> =
            texts.iter().enumerate().map(|(p, t)| b.seal(p as u32, t)).collect();
        let body = b.sealer.finish(&records).unwrap();
        let body = crate::base::batch::Body::decode(&body).unwrap();
        prop_assert_eq!(body.header, b.sealer.header_bytes());
        for r in 0..readers {
            let opener = b.opener(r);
            for (p, record) in body.records().enumerate() {
                let opened = open(&opener, p as u32, record).unwrap();
                prop_assert_eq!(opened.sections(), layout.len());
                for (s, who) in layout.iter().enumerate() {
                    let want = who.contains(&r).then(|| payload(&texts[p][s]));
                    prop_assert_eq!(opened.payload(s), want.as_deref());
                    prop_assert_eq!(opened.record_key(s).is_some(), want.is_some());
                }
            }
            let secrets: Vec<(String, [u8; 32])> =
                opener.section_search_secrets().unwrap().iter().map(|(n, s)| (n.to_string(), *s.expose())).collect();
            let want: Vec<(String, [u8; 32])> = layout.iter().enumerate().filter(|(_, who)| who.contains(&r))
                .map(|(i, who)| {
                    let mut keys: Vec<Recipient> = who.iter().map(|w| b.readers[*w].recipient()).collect();
                    keys.sort_unstable();
                    let name = format!("section-{i}");
                    let secret = *b.search.for_readers(&keys).section(&name).expose();
                    (name, secret)
                })
                .collect();
            prop_assert_eq!(secrets, want);
        }
    }

    #[test]
    fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), position in any::<u32>()) {
        let b = setup(1, 1, 1, &[vec![0]]);
        prop_assert!(open(&b.opener(0), position, &bytes).is_err());
        let mut kind = bytes.clone();
        kind.insert(0, 1);
        prop_assert!(open(&b.opener(0), position, &kind).is_err());
    }
}

#[test]
fn a_non_reader_is_refused() {
    let mut b = setup(2, 9, 2, &[vec![0, 1]]);
    let stranger = Identity::generate(&mut Csprng::seed_from_u64(77));
    let error = Opener::new(&stranger, b.sealer.header()).unwrap_err();
    assert!(matches!(error, OpenError::NotAReader(_)));
    assert_eq!(
        error.to_string(),
        "batch 9 of example.org/w is not sealed for this identity: only the readers named in its header, and those it was granted to, can open it"
    );
    // Writing oneself into the header does not help: the key exchange was with someone else.
    let mut header = b.sealer.header().clone();
    header.readers[0].public_key = stranger.recipient().as_bytes().to_vec();
    header.readers.sort_by(|a, b| a.public_key.cmp(&b.public_key));
    let opener = Opener::new(&stranger, &header).unwrap();
    assert!(matches!(opener.section_search_secrets(), Err(OpenError::Envelope { .. })));
    assert!(matches!(open(&opener, 0, &b.seal(0, &[text(1)])), Err(OpenError::Commitment(_))));
    // Nor does a reader that is listed but in no section open anything.
    let mut header = b.sealer.header().clone();
    header.sections[0].readers = vec![0];
    assert!(matches!(Opener::new(&b.readers[1], &header), Err(OpenError::Header { .. })));
}

/// Every byte of a record that its readers do not themselves check is a tag byte; those are under the
/// envelope hash, which the ledger's proof covers.
#[test]
fn a_changed_byte_of_a_record_is_noticed() {
    let mut b = setup(3, 1, 3, &[vec![0, 1], vec![1, 2]]);
    let record = b.seal(0, &[text(3), text(2)]);
    let openers: Vec<Opener> = (0..3).map(|r| b.opener(r)).collect();
    let Record::Sealed { tags, envelope, .. } = Record::decode(&record).unwrap() else { panic!("sealed") };
    let tags_end = 33 + envelope.len();
    let tag_bytes = tags_end - tags.len()..tags_end;
    assert_eq!(tags.len(), 8);
    for at in 0..record.len() {
        for change in [1, 0x80] {
            let mut bad = record.clone();
            bad[at] ^= change;
            let all_open = openers.iter().all(|o| open(o, 0, &bad).is_ok());
            assert_eq!(all_open, tag_bytes.contains(&at), "byte {at}");
        }
    }
}

/// What a reader does not check of a header are names that only the search uses; those are under the
/// header hash in the signed statement.
#[test]
fn a_changed_byte_of_a_header_is_noticed() {
    let mut b = setup(4, 1, 2, &[vec![0, 1], vec![1]]);
    let record = b.seal(0, &[text(2), text(1)]);
    let header = b.sealer.header_bytes();
    let find = |name: &str| {
        let at = header.windows(name.len()).position(|w| w == name.as_bytes()).unwrap();
        at..at + name.len()
    };
    let names = ["2026-11", "section-0", "section-1", "actor", "patient"].map(find);
    let mut unnoticed = 0;
    for at in 0..header.len() {
        let mut bad = header.to_vec();
        // Not 1: that would make one section's name the other's.
        bad[at] ^= 2;
        let works = |o: Opener| o.section_search_secrets().is_ok() && open(&o, 0, &record).is_ok();
        let all_open =
            Header::decode(&bad).is_ok_and(|h| b.readers.iter().all(|r| Opener::new(r, &h).is_ok_and(works)));
        assert!(!all_open || names.iter().any(|n| n.contains(&at)), "byte {at}");
        unnoticed += usize::from(all_open);
    }
    // All but the hyphens, which become characters that no name may have.
    assert_eq!(unnoticed, names.iter().map(|n| n.len()).sum::<usize>() - 3);
}

#[test]
fn search_secrets_that_do_not_open_leave_the_records_open() {
    let mut b = setup(4, 1, 1, &[vec![0]]);
    let record = b.seal(0, &[text(2)]);
    let mut header = b.sealer.header().clone();
    header.readers[0].search[0] ^= 1;
    let opener = Opener::new(&b.readers[0], &header).unwrap();
    assert!(open(&opener, 0, &record).is_ok());
    let error = opener.section_search_secrets().unwrap_err();
    assert!(error.to_string().starts_with("the header of batch 1 of example.org/w names this reader but"));
}

#[test]
fn a_record_opens_only_where_it_was_sealed() {
    let mut b = setup(5, 1, 1, &[vec![0]]);
    let record = b.seal(0, &[text(3)]);
    let opener = b.opener(0);
    assert!(open(&opener, 0, &record).is_ok());
    assert!(matches!(open(&opener, 1, &record), Err(OpenError::Commitment(_))));
    assert!(matches!(open(&opener, u32::MAX, &record), Err(OpenError::Record { .. })));
    let other = setup(5, 2, 1, &[vec![0]]).opener(0);
    assert!(matches!(open(&other, 0, &record), Err(OpenError::Commitment(_))));

    // Even if the slot is wrapped anew for the other place, the cipher is bound to the first.
    let mut parts = take_apart(&record);
    rewrap(&b.sealer, 0, 0, 1, &mut parts.sections[0].slots);
    let error = open(&opener, 1, &put_together(&parts)).unwrap_err();
    assert!(matches!(error, OpenError::Ciphertext(_)));
    assert!(error.to_string().starts_with("section `section-0` of record 1 of batch 1 of example.org/w: "));
}

#[test]
fn sections_cannot_change_places() {
    let mut b = setup(6, 1, 1, &[vec![0], vec![0]]);
    let record = b.seal(0, &[text(3), text(3)]);
    let opener = b.opener(0);
    let mut parts = take_apart(&record);
    parts.sections.swap(0, 1);
    assert!(matches!(open(&opener, 0, &put_together(&parts)), Err(OpenError::Commitment(_))));
    rewrap(&b.sealer, 0, 1, 0, &mut parts.sections[0].slots);
    rewrap(&b.sealer, 0, 0, 1, &mut parts.sections[1].slots);
    assert!(matches!(open(&opener, 0, &put_together(&parts)), Err(OpenError::Ciphertext(_))));
}

#[test]
fn swapped_slots_are_refused() {
    let mut b = setup(7, 1, 2, &[vec![0, 1]]);
    let mut parts = take_apart(&b.seal(0, &[text(3)]));
    assert!(open(&b.opener(0), 0, &put_together(&parts)).is_ok());
    parts.sections[0].slots.rotate_left(32);
    for r in 0..2 {
        assert!(matches!(open(&b.opener(r), 0, &put_together(&parts)), Err(OpenError::Commitment(_))));
    }
}

#[derive(Deserialize)]
struct TwoKeys {
    ledger: String,
    writer: String,
    sequence: u64,
    position: u32,
    section: u8,
    record_key_1: Hex,
    record_key_2: Hex,
    ciphertext: Hex,
    plaintext_1: Hex,
    plaintext_2: Hex,
}

/// ChaCha20-Poly1305 accepts this ciphertext under two keys, so a writer could give each reader another
/// one; the commitment lets only one of them through.
#[test]
fn two_readers_cannot_be_shown_two_plaintexts() {
    let v: TwoKeys = load(include_str!("../../tests/vectors/crypto/two-keys-one-ciphertext.json"));
    let keys = [&v.record_key_1, &v.record_key_2]
        .map(|k| DerivedKeys::derive(&RecordKey(Secret::from_slice(&k.0).unwrap())));
    let context = keys::record_context(&v.ledger, &v.writer, v.sequence);
    let aad = keys::associated_data(&context, v.position, v.section);
    for (k, plaintext) in keys.iter().zip([&v.plaintext_1, &v.plaintext_2]) {
        assert_eq!(*aead::open(&k.encryption, &aad, &v.ciphertext.0).unwrap(), plaintext.0);
    }
    assert_eq!((v.ledger.as_str(), v.writer.as_str()), (LEDGER, WRITER));
    let b = setup(8, v.sequence, 2, &[vec![0, 1]]);
    let mut slots = Vec::new();
    for (r, key) in [&v.record_key_1, &v.record_key_2].into_iter().enumerate() {
        let mask = keystream::slot_mask(&b.sealer.wrapping_keys[r], v.position);
        slots.extend(mask.iter().zip(&key.0).map(|(m, k)| m ^ k));
    }
    let root = SectionRoot { fields: 0, root: Hash::of(&[]) };
    let record = |commitment| {
        put_together(&Parts {
            disclosure_root: disclosure_root(&[root]),
            sections: vec![Part {
                commitment,
                root,
                slots: slots.clone(),
                ciphertext: v.ciphertext.0.clone(),
            }],
        })
    };
    let no_fields = |_: usize, _: &[u8], _: &mut FieldSink<'_>| Ok::<(), OpenError>(());
    let (one, two) = (b.opener(0), b.opener(1));
    let first = record(keys[0].commitment);
    let opened = one.open(v.position, &first).unwrap().verify_disclosure(no_fields).unwrap();
    assert!(v.plaintext_1.0.starts_with(opened.payload(0).unwrap()));
    assert!(matches!(two.open(v.position, &first), Err(OpenError::Commitment(_))));
    let second = record(keys[1].commitment);
    assert!(matches!(one.open(v.position, &second), Err(OpenError::Commitment(_))));
    // The second plaintext is noise, so it fails on its padding: past commitment and cipher.
    assert!(matches!(two.open(v.position, &second), Err(OpenError::Padding(_))));
}

#[test]
fn other_fields_than_those_committed_to_are_refused() {
    let mut b = setup(9, 1, 2, &[vec![0], vec![1]]);
    let record = b.seal(0, &[text(3), text(4)]);
    let opener = b.opener(0);
    assert!(open(&opener, 0, &record).is_ok());
    // A field left out, one too many, and one changed by the parser's account.
    for wanted in [text(2), text(4), vec![("/f0".into(), "x".into()); 3]] {
        let other = |_: usize, _: &[u8], sink: &mut FieldSink<'_>| fields_of(0, &payload(&wanted), sink);
        let error = opener.open(0, &record).unwrap().verify_disclosure(other).unwrap_err();
        assert!(matches!(error, OpenError::Disclosure(_)));
    }
    // The root of a section one cannot read counts too, and so does what is stated of one's own.
    for s in 0..2 {
        let mut parts = take_apart(&record);
        parts.sections[s].root.fields += 1;
        assert!(matches!(open(&opener, 0, &put_together(&parts)), Err(OpenError::Disclosure(_))));
    }
    // A consistent lie about one's own section: the disclosure root fits the stated root, the fields do not.
    let mut parts = take_apart(&record);
    parts.sections[0].root.root = Hash::ZERO;
    let roots: Vec<SectionRoot> = parts.sections.iter().map(|s| s.root).collect();
    parts.disclosure_root = disclosure_root(&roots);
    assert!(matches!(open(&opener, 0, &put_together(&parts)), Err(OpenError::Disclosure(_))));
}

#[test]
fn the_parsers_error_and_the_limits_end_the_opening() {
    let mut b = setup(10, 1, 1, &[vec![0]]);
    let record = b.seal(0, &[text(1)]);
    let opener = b.opener(0);
    #[derive(Debug)]
    enum Above {
        Parse,
        Open(OpenError),
    }
    impl From<OpenError> for Above {
        fn from(e: OpenError) -> Self {
            Above::Open(e)
        }
    }
    let refuse = |_: usize, _: &[u8], _: &mut FieldSink<'_>| Err(Above::Parse);
    assert!(matches!(opener.open(0, &record).unwrap().verify_disclosure(refuse), Err(Above::Parse)));
    let long = "/".repeat(crate::base::limits::MAX_POINTER_BYTES + 1);
    let too_long = |_: usize, _: &[u8], sink: &mut FieldSink<'_>| -> Result<(), Above> {
        sink.add(&Field { pointer: &long, value: Scalar::Null });
        Ok(())
    };
    let error = opener.open(0, &record).unwrap().verify_disclosure(too_long).unwrap_err();
    assert!(matches!(error, Above::Open(OpenError::Fields { .. })), "{error:?}");
}

#[test]
fn an_erased_record_says_so() {
    let b = setup(11, 1, 1, &[vec![0]]);
    let inputs = crate::base::record::LeafInputs {
        ciphertext_hash: Hash::ZERO,
        envelope_hash: Hash::ZERO,
        disclosure_root: Hash::ZERO,
    };
    let mut record = Vec::new();
    Record::encode_erased(&inputs, &mut record);
    assert!(matches!(open(&b.opener(0), 5, &record), Err(OpenError::Erased { position: 5, .. })));
}

#[test]
fn a_record_of_another_shape_is_refused() {
    let mut two_sections = setup(12, 1, 1, &[vec![0], vec![0]]);
    let mut two_readers = setup(12, 1, 2, &[vec![0, 1]]);
    let one = setup(12, 1, 1, &[vec![0]]).opener(0);
    for record in [two_sections.seal(0, &[text(1), text(1)]), two_readers.seal(0, &[text(1)])] {
        assert!(matches!(open(&one, 0, &record), Err(OpenError::Record { .. })));
    }
}

#[test]
fn a_single_field_can_be_shown_with_the_record_key() {
    let mut b = setup(13, 1, 1, &[vec![0]]);
    let record = b.seal(0, &[text(7)]);
    let opened = open(&b.opener(0), 0, &record).unwrap();
    let root = opened.roots().next().unwrap();
    let derived = DerivedKeys::derive(opened.record_key(0).unwrap());
    let all = text(7);
    let fields: Vec<Field<'_>> =
        all.iter().map(|(p, v)| Field { pointer: p, value: Scalar::String(v.into()) }).collect();
    let leaves = field_leaves(&derived.salts, &fields).unwrap();
    let path = field_path(&leaves, 4).unwrap();
    assert_eq!(root_from_path(leaves[4], 4, root.fields, &path), Some(root.root));
    let Record::Sealed { disclosure_root: stated, .. } = Record::decode(&record).unwrap() else {
        panic!("sealed")
    };
    assert_eq!(disclosure_root(&[root]), stated);
}

#[test]
fn debug_shows_no_content() {
    let mut b = setup(14, 1, 1, &[vec![0]]);
    let record = b.seal(0, &[vec![("/name".into(), "MARKER".into())]]);
    let opener = b.opener(0);
    let unchecked = opener.open(0, &record).unwrap();
    let mut shown = format!("{opener:?} {unchecked:?} {:?}", b.sealer);
    shown += &format!("{:?}", unchecked.verify_disclosure(fields_of).unwrap());
    assert!(!shown.contains("MARKER"));
    let wrapping = b.sealer.wrapping_keys[0].0.expose();
    assert!(!shown.contains(&format!("{:?}", &wrapping[..4])[1..12]));
}

#[test]
fn a_position_is_sealed_once() {
    let mut b = setup(15, 1, 1, &[vec![0]]);
    b.seal(3, &[text(1)]);
    let input = [SectionInput { payload: b"{}", fields: &[] }];
    let mut out = vec![1, 2];
    let error = b.sealer.worker().seal_record(3, &input, [], &mut b.rng, &mut out).unwrap_err();
    assert!(matches!(error, SealError::PositionUsed(3)));
    assert_eq!(out, [1, 2]);
}
