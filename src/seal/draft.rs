//! The part of sealing a record that does not depend on its place in a batch: fresh keys, commitments to its
//! fields, blind tags. It is three quarters of the work, and can be done before the batch exists, by any thread.
//! `docs/FORMAT.md` §5, sealing steps 1, 5 and "Blind tags".

use super::aead;
use super::disclosure::{Field, FieldSink};
use super::keys::{DerivedKeys, EncryptionKey, RecordKey};
use super::padding;
use super::plan::Plan;
use super::seal_error::SealError;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_RECORD_BYTES, MAX_TAGS};
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, SectionRoot, Tag};

/// A value to make a blind tag of.
#[derive(Clone, Copy, Debug)]
pub struct TagInput<'a> {
    /// Number of the section that holds the value.
    pub section: usize,
    /// Name of the field, one of [`SealerConfig::tag_fields`](super::plan::SealerConfig::tag_fields).
    pub field: &'a str,
    /// The normalised value; an empty one makes no tag.
    pub value: &'a [u8],
}

/// A record with its keys, commitments and tags, but without a place in a batch. It is sealed by
/// [`Placer::place`](super::worker::Placer::place), which uses it up: a record key seals once.
#[derive(Debug)]
pub struct Draft {
    pub(super) sections: Vec<DraftSection>,
    /// Ascending, each once.
    pub(super) tags: Vec<Tag>,
    len: u32,
}

/// One section of a draft.
#[derive(Debug)]
pub(super) struct DraftSection {
    pub(super) key: RecordKey,
    pub(super) encryption: EncryptionKey,
    pub(super) commitment: [u8; KEY_LEN],
    pub(super) root: SectionRoot,
    pub(super) payload_len: usize,
}

impl DraftSection {
    /// Length of the ciphertext.
    pub(super) fn ciphertext_len(&self) -> usize {
        padding::padded_len(self.payload_len) + aead::TAG_LEN
    }
}

impl Draft {
    /// Length of the sealed record in bytes.
    pub fn record_len(&self) -> usize {
        self.len as usize
    }
}

/// Makes drafts, in working space that is kept from record to record.
pub struct Drafter<'p> {
    plan: &'p Plan,
    leaves: Vec<Hash>,
}

impl<'p> Drafter<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Drafter { plan, leaves: Vec::new() }
    }

    /// Drafts a record. `sections` gives, for each section of the plan in order, the length of its payload in bytes and its
    /// leaf values in document order.
    pub fn draft<'a, 't, F: Iterator<Item = Field<'a>>>(
        &mut self,
        sections: impl ExactSizeIterator<Item = (usize, F)>,
        tags: impl IntoIterator<Item = TagInput<'t>>,
        rng: &mut Csprng,
    ) -> Result<Draft, SealError> {
        let (expected, found) = (self.plan.header.sections.len(), sections.len());
        if found != expected {
            return Err(SealError::Sections { expected, found });
        }
        let mut draft = Draft { sections: Vec::with_capacity(found), tags: self.make_tags(tags)?, len: 0 };
        for (payload_len, fields) in sections {
            let key = RecordKey::generate(rng);
            let DerivedKeys { encryption, salts, commitment } = DerivedKeys::derive(&key);
            let mut sink = FieldSink::new(&salts, &mut self.leaves);
            fields.for_each(|f| sink.add(&f));
            let root = sink.root()?;
            draft.sections.push(DraftSection { key, encryption, commitment, root, payload_len });
        }
        let ciphertexts = draft.sections.iter().map(DraftSection::ciphertext_len);
        let total = self.plan.head_len(draft.tags.len()) + ciphertexts.sum::<usize>();
        if total > MAX_RECORD_BYTES {
            return Err(SealError::RecordTooLarge(total));
        }
        draft.len = total as u32;
        Ok(draft)
    }

    /// The record's tags, ascending and each once.
    fn make_tags<'t>(&self, inputs: impl IntoIterator<Item = TagInput<'t>>) -> Result<Vec<Tag>, SealError> {
        let inputs = inputs.into_iter();
        let mut tags = Vec::with_capacity(inputs.size_hint().0);
        for t in inputs.filter(|t| !t.value.is_empty()) {
            let tagger = self.plan.taggers.get(t.section);
            match tagger.filter(|_| self.plan.header.tag_fields.iter().any(|f| f == t.field)) {
                Some(tagger) => tags.push(tagger.tag(t.field, t.value)),
                None => {
                    return Err(SealError::UnknownTag { section: t.section, field: t.field.to_owned() });
                }
            }
        }
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > MAX_TAGS { Err(SealError::TooManyTags) } else { Ok(tags) }
    }
}
