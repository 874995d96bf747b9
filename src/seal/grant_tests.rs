//! A batch re-wrapped: who can open it then, with what, and what a dishonest granter can do.
#![allow(clippy::unwrap_used, clippy::panic)]

use rand_core::SeedableRng;

use super::super::disclosure::{Field, FieldSink, Scalar};
use super::super::open::{BatchGrant, OpenError, Opened, Opener};
use super::super::reader_key::Identity;
use super::super::sealer::{Plan, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use super::super::tag::SearchSecret;
use super::*;
use crate::base::grant::GrantPart;
use crate::base::limits::MAX_SECTIONS;

const RECORDS: u32 = 5;

struct Batch {
    rng: Csprng,
    header: Header,
    records: Vec<Vec<u8>>,
    /// Reads sections 0 and 2, reads section 1, reads all.
    readers: [Identity; 3],
}

fn text(record: u32, section: usize) -> String {
    format!("record {record} section {section}")
}

impl Batch {
    fn new(sequence: u64) -> Batch {
        let mut rng = Csprng::seed_from_u64(11);
        let readers = [(); 3].map(|()| Identity::generate(&mut rng));
        let of = |n: &[usize]| n.iter().map(|n| readers[*n].recipient()).collect::<Vec<_>>();
        let spec = |name: &str, n: &[usize]| SectionSpec { name: name.into(), readers: of(n) };
        let config = SealerConfig {
            ledger: "example.org/log".into(),
            writer: "example.org/w".into(),
            period: "2026-11".into(),
            readers: of(&[0, 1, 2]),
            sections: vec![spec("event", &[0, 2]), spec("patient", &[1, 2]), spec("notes", &[0, 2])],
            tag_fields: vec!["actor".into()],
        };
        let search = SearchSecret::generate(&mut rng);
        let sealer = Sealer::new(Plan::new(config, &search).unwrap().into(), sequence, &mut rng).unwrap();
        let records = (0..RECORDS).map(|n| {
            let payloads: Vec<String> = (0..3).map(|s| text(n, s)).collect();
            let fields: Vec<[Field<'_>; 1]> = payloads
                .iter()
                .map(|p| [Field { pointer: "/f", value: Scalar::String(p.as_str().into()) }])
                .collect();
            let inputs: Vec<SectionInput<'_>> = (payloads.iter().zip(&fields))
                .map(|(p, fields)| SectionInput { payload: p.as_bytes(), fields })
                .collect();
            let tags = [TagInput { section: 0, field: "actor", value: b"alice" }];
            let mut out = Vec::new();
            sealer.worker().seal_record(n, &inputs, tags, &mut rng, &mut out).unwrap();
            out
        });
        let records: Vec<Vec<u8>> = records.collect();
        let header = Header::decode(sealer.header_bytes()).unwrap();
        Batch { rng, header, records, readers }
    }

    fn opener(&self, reader: usize) -> Opener {
        Opener::new(&self.readers[reader], &self.header).unwrap()
    }

    fn terms(&self, from: usize, to: &Identity) -> GrantTerms<'static> {
        let from = self.readers[from].recipient();
        GrantTerms { from, to: to.recipient(), first_record: 40, sections: None, search: true }
    }

    /// Re-wraps records `position` and on.
    fn rewrap(&mut self, opener: &Opener, terms: &GrantTerms<'_>, position: u32) -> Rewrapped {
        let records: Vec<&[u8]> = self.records[position as usize..].iter().map(Vec::as_slice).collect();
        rewrap(Some(opener), &self.header, terms, (9, position), records.into_iter(), &mut self.rng).unwrap()
    }
}

fn part(made: &Rewrapped) -> GrantPart<'_> {
    GrantPart { head: &made.head, entries: &made.entries }
}

fn grant<'a>(terms: &GrantTerms<'_>, made: &'a Rewrapped) -> BatchGrant<'a> {
    BatchGrant { from: terms.from, first_record: terms.first_record, part: part(made) }
}

fn open(opener: &Opener, position: u32, record: &[u8]) -> Result<Opened, OpenError> {
    opener.open(position, record)?.verify_disclosure(|_, payload, sink: &mut FieldSink<'_>| {
        let text = std::str::from_utf8(payload).unwrap();
        sink.add(&Field { pointer: "/f", value: Scalar::String(text.into()) });
        Ok::<_, OpenError>(())
    })
}

/// Which sections open, all with the right text.
fn sections(opener: &Opener, batch: &Batch, position: u32) -> Result<Vec<usize>, OpenError> {
    let opened = open(opener, position, &batch.records[position as usize])?;
    Ok((0..3)
        .filter(|s| {
            let payload = opened.payload(*s);
            assert!(payload.is_none_or(|p| p == text(position, *s).as_bytes()));
            payload.is_some()
        })
        .collect())
}

#[test]
fn the_new_reader_reads_what_the_granter_reads_and_nobody_else_does() {
    let mut b = Batch::new(3);
    let (carol, mallory) = (Identity::generate(&mut b.rng), Identity::generate(&mut b.rng));
    assert!(matches!(Opener::new(&carol, &b.header), Err(OpenError::NotAReader(_))));
    for (from, readable) in [(0, vec![0, 2]), (1, vec![1]), (2, vec![0, 1, 2])] {
        let terms = b.terms(from, &carol);
        let granter = b.opener(from);
        let made = b.rewrap(&granter, &terms, 1);
        assert_eq!((made.granted, made.head.records, made.head.position), (RECORDS - 1, RECORDS - 1, 1));
        let opener = Opener::with_grants(&carol, &b.header, &[grant(&terms, &made)]).unwrap();
        for position in 1..RECORDS {
            assert_eq!(sections(&opener, &b, position).unwrap(), readable);
        }
        // Record 0 is outside the grant.
        assert!(matches!(sections(&opener, &b, 0), Err(OpenError::NotAReader(_))));
        let secrets = |o: &Opener| -> Vec<(String, [u8; 32])> {
            let found = o.section_search_secrets().unwrap();
            found.iter().map(|(n, s)| ((*n).to_owned(), *s.expose())).collect()
        };
        assert_eq!(secrets(&opener), secrets(&granter));
        assert!(Opener::with_grants(&mallory, &b.header, &[grant(&terms, &made)]).is_err());
        // And on from there.
        let terms = GrantTerms { from: carol.recipient(), to: mallory.recipient(), ..terms };
        let again = b.rewrap(&opener, &terms, 0);
        assert_eq!(again.granted, RECORDS - 1);
        let opener = Opener::with_grants(&mallory, &b.header, &[grant(&terms, &again)]).unwrap();
        assert_eq!(sections(&opener, &b, 2).unwrap(), readable);
        assert!(matches!(sections(&opener, &b, 0), Err(OpenError::NotAReader(_))));
    }
}

#[test]
fn sections_can_be_chosen_and_searching_kept_back() {
    let mut b = Batch::new(3);
    let carol = Identity::generate(&mut b.rng);
    let granter = b.opener(2);
    let names = ["patient".to_owned(), "unknown".to_owned()];
    let terms = GrantTerms { sections: Some(&names), search: false, ..b.terms(2, &carol) };
    let made = b.rewrap(&granter, &terms, 0);
    assert_eq!((made.head.sections, made.head.entry_len(), made.head.search.len()), (0b10, 33, 16));
    let opener = Opener::with_grants(&carol, &b.header, &[grant(&terms, &made)]).unwrap();
    assert_eq!(sections(&opener, &b, 4).unwrap(), [1]);
    assert!(opener.section_search_secrets().unwrap().is_empty());
    // Nothing asked for that can be read: covered, and nothing given.
    let terms = GrantTerms { sections: Some(&names[1..]), ..terms };
    let nothing = b.rewrap(&granter, &terms, 0);
    assert_eq!((nothing.head.sections, nothing.granted, nothing.entries.len()), (0, 0, 0));
    let without =
        rewrap(None, &b.header, &terms, (9, 0), b.records.iter().map(Vec::as_slice), &mut b.rng).unwrap();
    assert_eq!(without.head, nothing.head);
    assert!(Opener::with_grants(&carol, &b.header, &[grant(&terms, &nothing)]).is_err());
}

#[test]
fn a_record_that_cannot_be_read_is_left_out() {
    let mut b = Batch::new(3);
    let carol = Identity::generate(&mut b.rng);
    let granter = b.opener(0);
    let terms = b.terms(0, &carol);
    // Erased, not a record, and one whose key does not fit its commitment (the first section's, after root, count and length).
    b.records[1] = [&[2][..], &[7; 96]].concat();
    b.records[2] = vec![9; 12];
    b.records[3][1 + 32 + 1 + 4] ^= 1;
    let made = b.rewrap(&granter, &terms, 0);
    assert_eq!((made.granted, made.head.records), (2, RECORDS));
    let given: Vec<bool> = part(&made).entries().map(|e| e.gives_something()).collect();
    assert_eq!(given, [true, false, false, false, true]);
    let opener = Opener::with_grants(&carol, &b.header, &[grant(&terms, &made)]).unwrap();
    assert_eq!(sections(&opener, &b, 4).unwrap(), [0, 2]);
    assert!(matches!(open(&opener, 1, &b.records[1]), Err(OpenError::Erased { .. })));
    assert!(matches!(open(&opener, 3, &b.records[3]), Err(OpenError::NotAReader(_))));
}

#[test]
fn a_changed_slot_is_refused_and_a_bad_grant_takes_nothing_away() {
    let mut b = Batch::new(3);
    let carol = Identity::generate(&mut b.rng);
    let terms = b.terms(2, &carol);
    let granter = b.opener(2);
    let good = b.rewrap(&granter, &terms, 0);
    for at in [1, 32, 33, 64, 65, 96] {
        let mut bad =
            Rewrapped { head: good.head.clone(), entries: good.entries.clone(), granted: good.granted };
        bad.entries[97 * 2 + at] ^= 0x40;
        let opener = Opener::with_grants(&carol, &b.header, &[grant(&terms, &bad)]).unwrap();
        // The section whose slot was changed is lost, and nothing else: a bad slot takes nothing away.
        let lost = (at - 1) / 32;
        let rest: Vec<usize> = (0..3).filter(|s| *s != lost).collect();
        assert_eq!(sections(&opener, &b, 2).unwrap(), rest, "byte {at}");
        assert_eq!(sections(&opener, &b, 1).unwrap(), [0, 1, 2], "the next record is not concerned");
        // Another grant that is right, in either order.
        for both in [[&bad, &good], [&good, &bad]] {
            let both = both.map(|m| grant(&terms, m));
            let opener = Opener::with_grants(&carol, &b.header, &both).unwrap();
            assert_eq!(sections(&opener, &b, 2).unwrap(), [0, 1, 2]);
        }
        // Reader 0 has slots of its own for sections 0 and 2: no grant can take them away.
        let terms = b.terms(2, &b.readers[0]);
        let mut bad = b.rewrap(&granter, &terms, 0);
        bad.entries[97 * 2 + at] ^= 0x40;
        let opener = Opener::with_grants(&b.readers[0], &b.header, &[grant(&terms, &bad)]).unwrap();
        let readable = if (33..=64).contains(&at) { vec![0, 2] } else { vec![0, 1, 2] };
        assert_eq!(sections(&opener, &b, 2).unwrap(), readable);
    }
}

/// Nothing of a grant can be moved: not to another batch, granter, first record, reader or position.
#[test]
fn a_grant_is_bound_to_its_place() {
    let mut b = Batch::new(3);
    let carol = Identity::generate(&mut b.rng);
    let terms = b.terms(2, &carol);
    let granter = b.opener(2);
    let made = b.rewrap(&granter, &terms, 0);
    let good = grant(&terms, &made);
    let other = Batch::new(4);
    assert!(Opener::with_grants(&carol, &other.header, &[good]).is_err(), "another batch");
    let writer = Header { writer: "example.org/v".into(), ..b.header.clone() };
    assert!(Opener::with_grants(&carol, &writer, &[good]).is_err(), "another writer");
    let ledger = Header { ledger: "example.org/lag".into(), ..b.header.clone() };
    assert!(Opener::with_grants(&carol, &ledger, &[good]).is_err(), "another ledger");
    let from = BatchGrant { from: b.readers[0].recipient(), ..good };
    assert!(Opener::with_grants(&carol, &b.header, &[from]).is_err(), "another granter");
    let first = BatchGrant { first_record: 41, ..good };
    assert!(Opener::with_grants(&carol, &b.header, &[first]).is_err(), "another first record");
    let shifted = GrantHead { position: 1, records: RECORDS - 1, ..made.head.clone() };
    let entries = &made.entries[..made.entries.len() - 97];
    let moved = BatchGrant { part: GrantPart { head: &shifted, entries }, ..good };
    let opener = Opener::with_grants(&carol, &b.header, &[moved]).unwrap();
    assert!(matches!(sections(&opener, &b, 1), Err(OpenError::GrantedSlot(_))), "another position");
    // More sections than the batch has.
    let wide = GrantHead { sections: 0b1000_0001, ..made.head.clone() };
    let wide = BatchGrant { part: GrantPart { head: &wide, entries: &made.entries }, ..good };
    assert!(Opener::with_grants(&carol, &b.header, &[wide]).is_err());
    assert_eq!(MAX_SECTIONS, 8, "the sections of a grant are the bits of a byte");
    // The writer's own context does not open as a grant's, nor the other way round.
    let own = &b.header.readers.iter().find(|r| r.public_key == b.readers[2].recipient().as_bytes()).unwrap();
    let head = GrantHead { enc: own.enc.clone(), search: own.search.clone(), ..made.head.clone() };
    let terms = b.terms(2, &b.readers[2]);
    let swapped =
        BatchGrant { part: GrantPart { head: &head, entries: &made.entries }, ..grant(&terms, &made) };
    let opener = Opener::with_grants(&b.readers[2], &b.header, &[swapped]).unwrap();
    assert_eq!(opener.section_search_secrets().unwrap().len(), 3, "only its own");
}

/// A search secret that a dishonest granter made up stands beside the right one, never in its place.
#[test]
fn a_false_search_secret_hides_no_right_one() {
    let mut b = Batch::new(3);
    let carol = Identity::generate(&mut b.rng);
    let terms = b.terms(2, &carol);
    let granter = b.opener(2);
    let good = b.rewrap(&granter, &terms, 0);
    let info = keys::grant_info(
        (&b.header.ledger, &b.header.writer, b.header.sequence),
        terms.from.as_bytes(),
        terms.first_record,
    );
    let mut context = kem::sender(&kem::PreparedRecipient::once(&terms.to), &info, &mut b.rng).unwrap();
    let head = GrantHead {
        enc: context.enc.to_vec(),
        search: context.seal(b"", &[5; 96]).unwrap(),
        ..good.head.clone()
    };
    let lie = Rewrapped { head, entries: good.entries.clone(), granted: good.granted };
    let both = [grant(&terms, &lie), grant(&terms, &good)];
    let opener = Opener::with_grants(&carol, &b.header, &both).unwrap();
    let found = opener.section_search_secrets().unwrap();
    assert_eq!(found.len(), 6);
    for (name, secret) in granter.section_search_secrets().unwrap() {
        assert!(found.iter().any(|(n, s)| *n == name && s.0.ct_eq(&secret.0)), "{name}");
    }
    assert_eq!(sections(&opener, &b, 0).unwrap(), [0, 1, 2], "opening does not need them");
}
