//! Sealing records into their places of a batch, in a thread's own working space. `docs/FORMAT.md` §5,
//! "Sealing a section".

use super::aead;
use super::disclosure::{Field, disclosure_root};
use super::draft::{Draft, Drafter, TagInput};
use super::keys;
use super::keystream::SlotMasks;
use super::padding;
use super::seal_error::SealError;
use super::sealer::Sealer;
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, NewSection, SectionRoot, encode_sealed_head};
use crate::base::secret::wipe;

/// One section of a record to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct SectionInput<'a> {
    /// The payload of the format: JSON text.
    pub payload: &'a [u8],
    /// Its leaf values in document order.
    pub fields: &'a [Field<'a>],
}

/// One thread's way of sealing drafts into a [`Sealer`]'s batch.
pub struct Placer<'s> {
    sealer: &'s Sealer,
    /// One per reader of the header.
    masks: Vec<SlotMasks>,
    slots: Vec<u8>,
    roots: Vec<SectionRoot>,
}

impl<'s> Placer<'s> {
    pub(super) fn new(sealer: &'s Sealer) -> Self {
        Placer {
            sealer,
            masks: sealer.wrapping_keys.iter().map(|_| SlotMasks::new()).collect(),
            slots: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Seals a draft of the sealer's plan, whose payloads are given by section, at `position` (from 0) and appends its bytes
    /// to `out`. On an error `out` is as it was. A position can be sealed once, by any thread.
    pub fn place(
        &mut self,
        position: u32,
        draft: Draft,
        payloads: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let sealer = self.sealer;
        let sections = &sealer.header.sections;
        let (expected, found) = (sections.len(), draft.sections.len());
        let lengths = draft.sections.iter().map(|s| s.payload_len);
        if found != expected || !lengths.eq(payloads.iter().map(|p| p.len())) {
            return Err(SealError::Sections { expected, found });
        }
        sealer.claim(position)?;
        self.slots.clear();
        for (s, (section, drafted)) in sections.iter().zip(&draft.sections).enumerate() {
            let block = position * expected as u32 + s as u32;
            for reader in &section.readers {
                let reader = usize::from(*reader);
                let (masks, key) = (&mut self.masks[reader], &sealer.wrapping_keys[reader]);
                masks.wrap(key, block, drafted.key.expose(), &mut self.slots);
            }
        }
        let start = out.len();
        // Reserved in full: plaintext is padded and encrypted where it will stay, and never moved.
        out.reserve(draft.record_len());
        let written = self.write(position, &draft, payloads, out);
        if written.is_err() {
            wipe(&mut out[start..]);
            out.truncate(start);
        }
        written
    }

    /// §5: head, then every section padded and encrypted in place.
    fn write(
        &mut self,
        position: u32,
        draft: &Draft,
        payloads: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut slots = self.slots.as_slice();
        let specs = self.sealer.header.sections.iter();
        let heads = specs.zip(&draft.sections).map(|(spec, section)| {
            let (mine, rest) = slots.split_at(spec.readers.len() * KEY_LEN);
            slots = rest;
            NewSection {
                ciphertext_len: section.ciphertext_len() as u32,
                commitment: section.commitment,
                root: section.root,
                slots: mine,
            }
        });
        self.roots.clear();
        self.roots.extend(draft.sections.iter().map(|s| s.root));
        encode_sealed_head(&disclosure_root(&self.roots), heads, &draft.tags, out);
        for (s, (payload, section)) in payloads.iter().zip(&draft.sections).enumerate() {
            let start = out.len();
            padding::pad_into(payload, out);
            let aad = keys::associated_data(&self.sealer.context, position, s as u8);
            let tag = aead::seal_in_place(&section.encryption, &aad, &mut out[start..])?;
            out.extend_from_slice(&tag);
        }
        Ok(())
    }
}

/// Drafts and places in one: for whoever seals record after record on one thread.
pub struct Worker<'s> {
    drafter: Drafter<'s>,
    placer: Placer<'s>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(sealer: &'s Sealer) -> Self {
        Worker { drafter: sealer.plan.drafter(), placer: sealer.placer() }
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
        let inputs = sections.iter().map(|s| (s.payload.len(), s.fields.iter().cloned()));
        self.drafter.add(inputs, tags, rng)?;
        let payloads: Vec<&[u8]> = sections.iter().map(|s| s.payload).collect();
        self.drafter.complete().try_for_each(|draft| self.placer.place(position, draft, &payloads, out))
    }
}
