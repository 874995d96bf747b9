//! Sealing a batch: one HPKE context per reader, then per record fresh keys, slots, commitments, tags and
//! ciphertext. `docs/FORMAT.md` §4 and §5. Nothing here can open a record again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::aead::{self, AeadError};
use super::disclosure::{DisclosureError, Field, disclosure_root, section_root};
use super::kem::{self, KemError, SenderContext};
use super::keys::{self, DerivedKeys, RecordKey, SLOTS_LABEL, WrappingKey};
use super::keystream::SlotMasks;
use super::padding;
use super::reader_key::Recipient;
use super::tag::{SearchSecret, SectionSecret, Tagger};
use crate::base::batch::{BODY_MAGIC, BatchReader, BatchSection, Body, Header, KEM_X25519};
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::*;
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, NewSection, SectionRoot, TAG_LEN, Tag, encode_sealed_head};
use crate::base::wire::WireError;

/// Why a batch or a record was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A section names a reader the batch does not have.
    #[error(
        "section `{section}` is to be sealed for {reader}, which is not among the batch's readers: add it there"
    )]
    UnknownReader {
        /// Section name.
        section: String,
        /// The reader.
        reader: Recipient,
    },
    /// A reader of the batch is in no section.
    #[error("reader {0} is listed but may read no section: add it to one, or remove it")]
    IdleReader(Recipient),
    /// The batch header is outside the format.
    #[error(transparent)]
    Header(#[from] WireError),
    /// The key exchange with a reader failed.
    #[error("cannot seal for reader {reader}: {problem}")]
    Kem {
        /// The reader.
        reader: Recipient,
        /// Why.
        problem: KemError,
    },
    /// The position is beyond the largest batch.
    #[error("record {0} of a batch: a batch holds at most {MAX_BATCH_RECORDS} records")]
    Position(u32),
    /// The position was sealed before.
    #[error(
        "record {0} of this batch was sealed before: sealing it again would reuse its key slots; start a new batch"
    )]
    PositionUsed(u32),
    /// Another number of sections than the batch has.
    #[error("the record has {found} sections, the batch {expected}")]
    Sections {
        /// Number of sections of the batch.
        expected: usize,
        /// Number of sections given.
        found: usize,
    },
    /// The fields cannot be committed to.
    #[error(transparent)]
    Fields(#[from] DisclosureError),
    /// A tag for a section or field the batch does not have.
    #[error("a blind tag names section number {section} and field `{field}`, which the batch does not have")]
    UnknownTag {
        /// Section number.
        section: usize,
        /// Field name.
        field: String,
    },
    /// Too many different tags.
    #[error("the record has more than {MAX_TAGS} blind tags: make fewer fields searchable")]
    TooManyTags,
    /// The record would be larger than allowed.
    #[error("the sealed record would be {0} bytes, the most is {MAX_RECORD_BYTES}: shorten the event")]
    RecordTooLarge(usize),
    /// The records given are not those that were sealed.
    #[error(
        "{given} records were given for a batch in which {sealed} were sealed; both must be 0 to n − 1, n at least 1"
    )]
    Incomplete {
        /// Number of records given.
        given: usize,
        /// Number of positions sealed.
        sealed: usize,
    },
    /// The body would be larger than allowed.
    #[error("the batch would be {0} bytes, the most is {MAX_BATCH_BYTES}: put fewer records into one batch")]
    BatchTooLarge(usize),
    /// The cipher refused the plaintext.
    #[error(transparent)]
    Cipher(#[from] AeadError),
}

/// One section of the records of a batch.
#[derive(Clone, Debug)]
pub struct SectionSpec {
    /// The policy's name for it.
    pub name: String,
    /// Who may read it, in any order; all of them readers of the batch.
    pub readers: Vec<Recipient>,
}

/// What a batch is sealed with.
#[derive(Clone, Debug)]
pub struct SealerConfig {
    /// Ledger origin.
    pub ledger: String,
    /// Writer key name.
    pub writer: String,
    /// The sequence number of the statement that will carry the batch.
    pub sequence: u64,
    /// Name of the search period.
    pub period: String,
    /// All readers, in any order.
    pub readers: Vec<Recipient>,
    /// The sections, at least one.
    pub sections: Vec<SectionSpec>,
    /// Names of the fields that may carry blind tags.
    pub tag_fields: Vec<String>,
}

/// One section of a record to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct SectionInput<'a> {
    /// The payload of the format: JSON text.
    pub payload: &'a [u8],
    /// Its leaf values in document order.
    pub fields: &'a [Field<'a>],
}

/// A value to make a blind tag of.
#[derive(Clone, Copy, Debug)]
pub struct TagInput<'a> {
    /// Number of the section that holds the value.
    pub section: usize,
    /// Name of the field, one of [`SealerConfig::tag_fields`].
    pub field: &'a str,
    /// The normalised value; an empty one makes no tag.
    pub value: &'a [u8],
}

/// Seals the records of one batch. Threads share it, each with a [`Worker`] of its own.
pub struct Sealer {
    header: Header,
    header_bytes: Vec<u8>,
    context: Hash,
    /// In the order of the header's readers.
    wrapping_keys: Vec<WrappingKey>,
    /// One per section.
    taggers: Vec<Tagger>,
    /// One bit per position sealed.
    used: Vec<AtomicU64>,
}

impl Sealer {
    /// Does the public-key work of a batch, about 75 µs per reader, and builds its header.
    pub fn new(config: SealerConfig, search: &SearchSecret, rng: &mut Csprng) -> Result<Sealer, SealError> {
        let SealerConfig { ledger, writer, sequence, period, mut readers, sections, tag_fields } = config;
        readers.sort_unstable();
        readers.dedup();
        let secrets: Vec<SectionSecret> = sections.iter().map(|s| search.section(&s.name)).collect();
        let sections = sections
            .iter()
            .map(|s| section_readers(s, &readers))
            .collect::<Result<Vec<BatchSection>, SealError>>()?;
        let mut header =
            Header { ledger, writer, sequence, period, readers: Vec::new(), sections, tag_fields };
        // Placeholders of the right lengths, until the key exchange gives the real ones.
        let reads = |i: usize| header.sections.iter().filter(|s| s.readers.contains(&(i as u8))).count();
        header.readers = readers
            .iter()
            .enumerate()
            .map(|(i, r)| batch_reader(r, vec![0; KEY_LEN], vec![0; reads(i) * KEY_LEN + aead::TAG_LEN]))
            .collect();
        if let Some(i) = (0..readers.len()).find(|i| reads(*i) == 0) {
            return Err(SealError::IdleReader(readers[i]));
        }
        // Refuses what the format does not allow before names reach the key exchange.
        header.encode()?;

        let info = keys::hpke_info(&header.ledger, &header.writer, sequence);
        let mut wrapping_keys = Vec::with_capacity(readers.len());
        for (i, reader) in readers.iter().enumerate() {
            let mine: Vec<&SectionSecret> = (header.sections.iter().zip(&secrets))
                .filter(|(section, _)| section.readers.contains(&(i as u8)))
                .map(|(_, secret)| secret)
                .collect();
            let (context, search) = reader_context(reader, &info, &mine, rng)
                .map_err(|problem| SealError::Kem { reader: *reader, problem })?;
            let key =
                context.export(SLOTS_LABEL).map_err(|problem| SealError::Kem { reader: *reader, problem })?;
            wrapping_keys.push(WrappingKey(key));
            header.readers[i] = batch_reader(reader, context.enc.to_vec(), search);
        }
        Ok(Sealer {
            header_bytes: header.encode()?,
            context: keys::record_context(&header.ledger, &header.writer, sequence),
            taggers: secrets.iter().map(SectionSecret::tagger).collect(),
            used: (0..MAX_BATCH_RECORDS.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            wrapping_keys,
            header,
        })
    }

    /// The batch header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The batch header's bytes, whose hash the writer signs.
    pub fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// A worker for one thread.
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            sealer: self,
            masks: self.wrapping_keys.iter().map(|_| SlotMasks::new()).collect(),
            leaves: Vec::new(),
            slots: Vec::new(),
            tags: Vec::new(),
            pending: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Joins the sealed records, in order of position, to the body of §6. Every position that was sealed
    /// must be there.
    pub fn finish<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<Vec<u8>, SealError> {
        let words = self.used.iter().map(|w| w.load(Ordering::Relaxed));
        let sealed: usize = words.clone().map(|w| w.count_ones() as usize).sum();
        // The positions are 0 to n − 1 when there are n and the n − 1 lowest bits run without a gap.
        let run: usize = words
            .scan(true, |go, w| {
                let ones = go.then_some(w.trailing_ones() as usize)?;
                *go = ones == 64;
                Some(ones)
            })
            .sum();
        if records.is_empty() || records.len() != sealed || run != sealed {
            return Err(SealError::Incomplete { given: records.len(), sealed });
        }
        let front = BODY_MAGIC.len() + 4 + self.header_bytes.len() + 4 + 4 * records.len();
        let total = front + records.iter().map(|r| r.as_ref().len()).sum::<usize>();
        if total > MAX_BATCH_BYTES {
            return Err(SealError::BatchTooLarge(total));
        }
        Ok(Body::encode(&self.header_bytes, records))
    }

    /// Takes a position for good. "Each block is used once": two record keys under one mask would tell
    /// their difference.
    fn claim(&self, position: u32) -> Result<(), SealError> {
        let word = self.used.get(position as usize / 64).ok_or(SealError::Position(position))?;
        let bit = 1u64 << (position % 64);
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return Err(SealError::PositionUsed(position));
        }
        Ok(())
    }

    /// A reader's wrapping key, for tests that play a dishonest writer.
    #[cfg(test)]
    pub(super) fn wrapping_key(&self, reader: usize) -> &WrappingKey {
        &self.wrapping_keys[reader]
    }

    /// Length of the record up to its ciphertexts.
    fn head_len(&self, tags: usize) -> usize {
        let root_len = if self.header.sections.len() > 1 { 4 + HASH_LEN } else { 0 };
        let sections = self.header.sections.iter();
        let sections = sections.map(|s| 4 + KEY_LEN + root_len + 1 + s.readers.len() * KEY_LEN);
        1 + HASH_LEN + 1 + sections.sum::<usize>() + 1 + tags * TAG_LEN
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("header", &self.header).finish_non_exhaustive()
    }
}

/// A section as the header has it: indices into the sorted readers.
fn section_readers(section: &SectionSpec, readers: &[Recipient]) -> Result<BatchSection, SealError> {
    let index = |r: &Recipient| {
        readers
            .binary_search(r)
            .map(|i| i as u8)
            .map_err(|_| SealError::UnknownReader { section: section.name.clone(), reader: *r })
    };
    let mut indices = section.readers.iter().map(index).collect::<Result<Vec<u8>, SealError>>()?;
    indices.sort_unstable();
    indices.dedup();
    Ok(BatchSection { name: section.name.clone(), readers: indices })
}

fn batch_reader(reader: &Recipient, enc: Vec<u8>, search: Vec<u8>) -> BatchReader {
    BatchReader { kem: KEM_X25519, public_key: reader.as_bytes().to_vec(), enc, search }
}

/// Sets up a reader's context and seals the search secrets of their sections as its first message. §4.
fn reader_context(
    reader: &Recipient,
    info: &[u8],
    secrets: &[&SectionSecret],
    rng: &mut Csprng,
) -> Result<(SenderContext, Vec<u8>), KemError> {
    let mut context = kem::sender(reader, info, rng)?;
    // Reserved in full, so that growing leaves no copy behind.
    let mut plaintext = zeroize::Zeroizing::new(Vec::with_capacity(secrets.len() * KEY_LEN));
    for s in secrets {
        plaintext.extend_from_slice(s.expose());
    }
    let search = context.seal(b"", &plaintext)?;
    Ok((context, search))
}

/// One thread's end of a [`Sealer`]: working space that is kept from record to record.
pub struct Worker<'s> {
    sealer: &'s Sealer,
    /// One per reader of the header.
    masks: Vec<SlotMasks>,
    leaves: Vec<Hash>,
    slots: Vec<u8>,
    tags: Vec<Tag>,
    pending: Vec<DerivedKeys>,
    roots: Vec<SectionRoot>,
}

impl Worker<'_> {
    /// Seals the record at `position` (from 0) and appends its bytes to `out`. On an error `out` is as it
    /// was. A position can be sealed once, by any of the sealer's workers; an event that was refused for
    /// what it contains leaves its position free.
    pub fn seal_record<'t>(
        &mut self,
        position: u32,
        sections: &[SectionInput<'_>],
        tags: impl IntoIterator<Item = TagInput<'t>>,
        rng: &mut Csprng,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let sealer = self.sealer;
        let expected = sealer.header.sections.len();
        if sections.len() != expected {
            return Err(SealError::Sections { expected, found: sections.len() });
        }
        self.make_tags(tags)?;
        let padded = sections.iter().map(|s| padding::padded_len(s.payload.len()) + aead::TAG_LEN);
        let total = sealer.head_len(self.tags.len()) + padded.sum::<usize>();
        if total > MAX_RECORD_BYTES {
            return Err(SealError::RecordTooLarge(total));
        }

        self.pending.clear();
        self.roots.clear();
        self.slots.clear();
        let mut record_keys = [const { None }; MAX_SECTIONS];
        for (section, key) in sections.iter().zip(&mut record_keys) {
            let key: &RecordKey = key.insert(RecordKey::generate(rng));
            let derived = DerivedKeys::derive(key);
            self.roots.push(section_root(&derived.salts, section.fields, &mut self.leaves)?);
            self.pending.push(derived);
        }
        sealer.claim(position)?;
        for (s, (section, key)) in sealer.header.sections.iter().zip(&record_keys).enumerate() {
            let Some(key) = key else { break };
            let block = position * expected as u32 + s as u32;
            for reader in &section.readers {
                let reader = usize::from(*reader);
                self.masks[reader].wrap(&sealer.wrapping_keys[reader], block, key.expose(), &mut self.slots);
            }
        }
        let start = out.len();
        // Reserved in full: plaintext is padded and encrypted where it will stay, and never moved.
        out.reserve(total);
        let written = self.write(position, sections, out);
        if written.is_err() {
            zeroize::Zeroize::zeroize(&mut out[start..]);
            out.truncate(start);
        }
        self.pending.clear();
        written
    }

    /// The record's tags, ascending and each once.
    fn make_tags<'t>(&mut self, inputs: impl IntoIterator<Item = TagInput<'t>>) -> Result<(), SealError> {
        self.tags.clear();
        for t in inputs.into_iter().filter(|t| !t.value.is_empty()) {
            let tagger = self.sealer.taggers.get(t.section);
            match tagger.filter(|_| self.sealer.header.tag_fields.iter().any(|f| f == t.field)) {
                Some(tagger) => self.tags.push(tagger.tag(t.field, t.value)),
                None => {
                    return Err(SealError::UnknownTag { section: t.section, field: t.field.to_owned() });
                }
            }
        }
        self.tags.sort_unstable();
        self.tags.dedup();
        if self.tags.len() > MAX_TAGS { Err(SealError::TooManyTags) } else { Ok(()) }
    }

    /// §5: head, then every section padded and encrypted in place.
    fn write(
        &self,
        position: u32,
        sections: &[SectionInput<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut slots = self.slots.as_slice();
        let mut heads = Vec::with_capacity(sections.len());
        let specs = self.sealer.header.sections.iter();
        for (((section, spec), keys), root) in sections.iter().zip(specs).zip(&self.pending).zip(&self.roots)
        {
            let (mine, rest) = slots.split_at(spec.readers.len() * KEY_LEN);
            slots = rest;
            heads.push(NewSection {
                ciphertext_len: (padding::padded_len(section.payload.len()) + aead::TAG_LEN) as u32,
                commitment: keys.commitment,
                root: *root,
                slots: mine,
            });
        }
        encode_sealed_head(&disclosure_root(&self.roots), &heads, &self.tags, out);
        for (s, (section, keys)) in sections.iter().zip(&self.pending).enumerate() {
            let start = out.len();
            padding::pad_into(section.payload, out);
            let aad = keys::associated_data(&self.sealer.context, position, s as u8);
            let tag = aead::seal_in_place(&keys.encryption, &aad, &mut out[start..])?;
            out.extend_from_slice(&tag);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sealer_tests.rs"]
mod tests;
