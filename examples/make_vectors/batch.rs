//! Batches from fixed seeds: honest ones, sealed by the library, and records taken apart and put together
//! again with one thing wrong, which the library itself would never write.

use sealtrail::base::batch::{BatchSection, Body, Header};
use sealtrail::base::hash::Hash;
use sealtrail::base::random::Csprng;
use sealtrail::base::record::{KEY_LEN, NewSection, Record, SectionRoot, Tag, encode_sealed_head};
use sealtrail::base::wire::WireWrite as _;
use sealtrail::event::field::{Field, Scalar};
use sealtrail::event::json::Parser;
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{Policy, ReaderChoice, SectionPolicy, TagField};
use sealtrail::event::prepare::{Preparer, fields_of_payload};
use sealtrail::seal::aead;
use sealtrail::seal::disclosure::{Commitments, disclosure_root, section_root};
use sealtrail::seal::keys::{DerivedKeys, associated_data, record_context};
use sealtrail::seal::open::{OpenError, Opener};
use sealtrail::seal::sealer::{Plan, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput};
use sealtrail::seal::tag::SearchSecret;

use crate::kit::{LEDGER, WRITER, identity, rng, secret};

/// One section: its name, the names of its readers, the pointers it claims.
pub type Section<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// A batch being sealed.
pub struct Batch {
    /// The library's sealer.
    pub sealer: Sealer,
    /// Section names.
    pub names: Vec<String>,
    preparer: Preparer,
    rng: Csprng,
    records: Vec<Vec<u8>>,
}

/// The search secret of every batch: its period is always the same.
pub fn search() -> SearchSecret {
    SearchSecret::from_secret(secret("search"))
}

/// Tag fields by name and pointers.
pub fn tag_fields(fields: &[(&str, &[&str])]) -> Vec<TagField> {
    let field = |(name, pointers): &(&str, &[&str])| TagField {
        name: (*name).to_owned(),
        pointers: patterns(pointers),
    };
    fields.iter().map(field).collect()
}

fn patterns(pointers: &[&str]) -> Vec<Pattern> {
    pointers.iter().map(|p| Pattern::parse(p).unwrap()).collect()
}

impl Batch {
    /// The batch of this sequence number. Everything random in it follows from number and sections.
    pub fn new(sequence: u64, sections: &[Section<'_>], tags: Vec<TagField>) -> Batch {
        let mut rng = rng(&format!("{sequence} {sections:?}"));
        let names: Vec<String> = sections.iter().map(|s| s.0.to_owned()).collect();
        let recipients = |s: &Section<'_>| s.1.iter().map(|r| identity(r).recipient()).collect::<Vec<_>>();
        let config = SealerConfig {
            ledger: LEDGER.into(),
            writer: WRITER.into(),
            period: "2026-11".into(),
            readers: sections.iter().flat_map(recipients).collect(),
            sections: sections
                .iter()
                .map(|s| SectionSpec { name: s.0.into(), readers: recipients(s) })
                .collect(),
            tag_fields: tags.iter().map(|t| t.name.clone()).collect(),
        };
        let sealer = Sealer::new(Plan::new(config, &search()).unwrap().into(), sequence, &mut rng).unwrap();
        let section = |s: &Section<'_>| SectionPolicy {
            name: s.0.into(),
            readers: ReaderChoice::All,
            pointers: patterns(s.2),
        };
        let policy =
            Policy { sections: sections.iter().map(section).collect(), tags, access_log: ReaderChoice::All };
        let preparer = Preparer::new(policy.compile().unwrap().into());
        Batch { sealer, names, preparer, rng, records: Vec::new() }
    }

    /// Seals one event as a writer does.
    pub fn event(&mut self, event: impl AsRef<[u8]>) -> &mut Batch {
        let prepared = self.preparer.prepare(event.as_ref()).unwrap();
        let fields: Vec<Vec<Field<'_>>> =
            (0..prepared.sections()).map(|s| prepared.fields(s).collect()).collect();
        let sections: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(s, fields)| SectionInput { payload: prepared.payload(s), fields })
            .collect();
        let names = &self.sealer.header().tag_fields;
        let tags = prepared.tags().map(|t| TagInput {
            section: t.section,
            field: &names[t.field],
            value: t.value.as_bytes(),
        });
        let mut out = Vec::new();
        self.sealer
            .worker()
            .seal_record(self.records.len() as u32, &sections, tags, &mut self.rng, &mut out)
            .unwrap();
        self.records.push(out);
        self
    }

    /// Seals payloads as they are, whatever they say. One that is none commits to no fields.
    pub fn payloads<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> &mut Batch {
        let mut parsers: Vec<Parser> = payloads.iter().map(|_| Parser::new()).collect();
        let fields: Vec<Vec<Field<'_>>> = (payloads.iter().zip(&mut parsers).enumerate())
            .map(|(s, (p, parser))| {
                fields_of_payload(parser, s, p.as_ref(), &self.names)
                    .map(Iterator::collect)
                    .unwrap_or_default()
            })
            .collect();
        let sections: Vec<_> = payloads
            .iter()
            .zip(&fields)
            .map(|(p, fields)| SectionInput { payload: p.as_ref(), fields })
            .collect();
        let mut out = Vec::new();
        self.sealer
            .worker()
            .seal_record(self.records.len() as u32, &sections, [], &mut self.rng, &mut out)
            .unwrap();
        self.records.push(out);
        self
    }

    /// The batch body.
    pub fn body(&self) -> Vec<u8> {
        self.sealer.finish(&self.records).unwrap()
    }
}

/// One section for one reader.
pub const PLAIN: &[Section<'_>] = &[("event", &["auditor"], &[])];

/// A body of `n` records in one section.
pub fn plain_body(sequence: u64, n: usize) -> Vec<u8> {
    let mut batch = Batch::new(sequence, PLAIN, tag_fields(&[("n", &["/n"])]));
    for i in 0..n {
        batch.event(format!("{{\"n\":{i},\"what\":\"{}\"}}", "x".repeat(10 * i)));
    }
    batch.body()
}

/// The records of a body.
pub fn records(body: &[u8]) -> Vec<Vec<u8>> {
    Body::decode(body).unwrap().records().map(<[u8]>::to_vec).collect()
}

/// The header of a body.
pub fn header(body: &[u8]) -> Header {
    Header::decode(Body::decode(body).unwrap().header).unwrap()
}

/// The body with other records.
pub fn with_records(body: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    Body::encode(Body::decode(body).unwrap().header, records)
}

/// The body with another header.
pub fn with_header(body: &[u8], header: &[u8]) -> Vec<u8> {
    Body::encode(header, &records(body))
}

/// A header as bytes, whether it keeps the rules or not.
pub fn encode_header(h: &Header) -> Vec<u8> {
    let mut out = vec![1];
    out.put_bytes16(h.ledger.as_bytes());
    out.put_bytes16(h.writer.as_bytes());
    out.put_u64(h.sequence);
    out.put_bytes16(h.period.as_bytes());
    out.push(h.readers.len() as u8);
    for r in &h.readers {
        out.put_u16(r.kem);
        [&r.public_key, &r.enc, &r.search].iter().for_each(|part| out.put_bytes16(part));
    }
    out.push(h.sections.len() as u8);
    for BatchSection { name, readers } in &h.sections {
        out.put_bytes16(name.as_bytes());
        out.push(readers.len() as u8);
        out.extend_from_slice(readers);
    }
    out.push(h.tag_fields.len() as u8);
    h.tag_fields.iter().for_each(|f| out.put_bytes16(f.as_bytes()));
    out
}

/// One section of a record taken apart.
#[derive(Clone)]
pub struct Part {
    pub commitment: [u8; KEY_LEN],
    pub root: Option<SectionRoot>,
    pub slots: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// A record taken apart.
#[derive(Clone)]
pub struct Parts {
    pub disclosure_root: Hash,
    pub sections: Vec<Part>,
    pub tags: Vec<Tag>,
}

impl Parts {
    /// Takes a sealed record apart.
    pub fn of(record: &[u8]) -> Parts {
        let Record::Sealed { disclosure_root, sections, tags, .. } = Record::decode(record).unwrap() else {
            panic!("an erased record has no parts")
        };
        let part = |s: &sealtrail::base::record::SectionView<'_>| Part {
            commitment: s.commitment,
            root: s.root,
            slots: s.slots.to_vec(),
            ciphertext: s.ciphertext.to_vec(),
        };
        let tags = tags.chunks(8).map(|t| t.try_into().unwrap()).collect();
        Parts { disclosure_root, sections: sections.iter().map(part).collect(), tags }
    }

    /// Puts it together again.
    pub fn encode(&self) -> Vec<u8> {
        let none = SectionRoot { fields: 0, root: Hash::ZERO };
        let section = |p: &'_ Part| (p.ciphertext.len() as u32, p.commitment, p.root.unwrap_or(none));
        let heads: Vec<NewSection<'_>> = self
            .sections
            .iter()
            .map(|p| {
                let (ciphertext_len, commitment, root) = section(p);
                NewSection { ciphertext_len, commitment, root, slots: &p.slots }
            })
            .collect();
        let mut out = Vec::new();
        encode_sealed_head(&self.disclosure_root, heads, &self.tags, &mut out);
        self.sections.iter().for_each(|p| out.extend_from_slice(&p.ciphertext));
        out
    }
}

/// What a reader of all sections finds in an honest record.
pub struct Inside {
    /// Per section, the record key.
    pub keys: Vec<[u8; KEY_LEN]>,
    /// Per section, the keys derived from it.
    pub derived: Vec<DerivedKeys>,
    /// Per section, the payload.
    pub payloads: Vec<Vec<u8>>,
    context: Hash,
}

impl Inside {
    /// Opens record `position`; `reader` may read all sections.
    pub fn of(body: &[u8], position: usize, reader: &str) -> Inside {
        let header = header(body);
        let names: Vec<String> = header.sections.iter().map(|s| s.name.clone()).collect();
        let opener = Opener::new(&identity(reader), &header).unwrap();
        let opened = opener
            .open(position as u32, &records(body)[position])
            .unwrap()
            .verify_disclosure(|s, payload, sink| {
                fields_of_payload(&mut Parser::new(), s, payload, &names).unwrap().for_each(|f| sink.add(&f));
                Ok::<_, OpenError>(())
            })
            .unwrap();
        let keys: Vec<_> = (0..names.len()).map(|s| opened.record_key(s).unwrap()).collect();
        Inside {
            keys: keys.iter().map(|k| *k.expose()).collect(),
            derived: keys.into_iter().map(DerivedKeys::derive).collect(),
            payloads: (0..names.len()).map(|s| opened.payload(s).unwrap().to_vec()).collect(),
            context: record_context(&header.ledger, &header.writer, header.sequence),
        }
    }

    /// Encrypts any bytes as section `s`, bound to any place.
    pub fn encrypt(&self, s: usize, padded: &[u8], position: u32, section: u8) -> Vec<u8> {
        self.encrypt_in(&self.context, s, padded, position, section)
    }

    /// Like [`Inside::encrypt`], under the context of another batch.
    pub fn encrypt_in(&self, context: &Hash, s: usize, padded: &[u8], position: u32, section: u8) -> Vec<u8> {
        let mut out = padded.to_vec();
        let tag = aead::seal_in_place(
            &self.derived[s].encryption,
            &associated_data(context, position, section),
            &mut out,
        )
        .unwrap();
        out.extend_from_slice(&tag);
        out
    }

    /// Commitment to other fields than the payload has.
    pub fn root(&self, s: usize, fields: &[(&str, Scalar<'_>)]) -> SectionRoot {
        let fields: Vec<Field<'_>> =
            fields.iter().map(|(pointer, value)| Field { pointer, value: value.clone() }).collect();
        section_root(&self.derived[s].salts, &fields, &mut Commitments::new()).unwrap()
    }
}

/// The disclosure root over the roots that the parts state.
pub fn disclosed(parts: &Parts) -> Hash {
    disclosure_root(&parts.sections.iter().map(|p| p.root.unwrap()).collect::<Vec<_>>())
}
