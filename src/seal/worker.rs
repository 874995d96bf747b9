//! Sealing one record, in a thread's own working space. `docs/FORMAT.md` §5, "Sealing a section".

use zeroize::Zeroize;

use super::aead;
use super::disclosure::{Field, disclosure_root, section_root};
use super::keys::{self, DerivedKeys, RecordKey};
use super::keystream::SlotMasks;
use super::padding;
use super::seal_error::SealError;
use super::sealer::Sealer;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_RECORD_BYTES, MAX_SECTIONS, MAX_TAGS};
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, NewSection, SectionRoot, Tag, encode_sealed_head};

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
    /// Name of the field, one of [`SealerConfig::tag_fields`](super::sealer::SealerConfig::tag_fields).
    pub field: &'a str,
    /// The normalised value; an empty one makes no tag.
    pub value: &'a [u8],
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

impl<'s> Worker<'s> {
    pub(super) fn new(sealer: &'s Sealer, readers: usize) -> Self {
        Worker {
            sealer,
            masks: (0..readers).map(|_| SlotMasks::new()).collect(),
            leaves: Vec::new(),
            slots: Vec::new(),
            tags: Vec::new(),
            pending: Vec::new(),
            roots: Vec::new(),
        }
    }

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
            out[start..].zeroize();
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
