//! The part of sealing a record that does not depend on its place in a batch: fresh keys, commitments to its
//! fields, blind tags. It is three quarters of the work, and can be done before the batch exists, by any thread.
//! `docs/FORMAT.md` §5, sealing steps 1, 5 and "Blind tags".

use super::aead;
use super::disclosure::{Commitments, Field};
use super::keys::{DerivedKeys, EncryptionKey, RecordKey};
use super::padding;
use super::plan::Plan;
use super::seal_error::SealError;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_RECORD_BYTES, MAX_TAGS};
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, SectionRoot, Tag};

/// Records whose fields are hashed together: as many as there are lanes, so that every level of their trees fills whole lanes.
const DRAFTED_TOGETHER: usize = 16;
/// Their fields stay in the cache, whatever their size.
const DRAFTED_BYTES: usize = 128 << 10;

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

/// Makes drafts, in working space that is kept from record to record. The fields of several records are hashed side by side.
pub struct Drafter<'p> {
    plan: &'p Plan,
    commitments: Commitments,
    /// Drafts whose roots are still to be computed.
    waiting: Vec<Draft>,
}

impl<'p> Drafter<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Drafter { plan, commitments: Commitments::new(), waiting: Vec::new() }
    }

    /// Drafts a record, for which [`Drafter::complete`] is still to be called. `sections` gives, for each section of the plan in
    /// order, the length of its payload in bytes and its leaf values in document order. Gives the length of the sealed record in
    /// bytes. On an error nothing was added.
    pub fn add<'a, 't, F: Iterator<Item = Field<'a>>>(
        &mut self,
        sections: impl ExactSizeIterator<Item = (usize, F)>,
        tags: impl IntoIterator<Item = TagInput<'t>>,
        rng: &mut Csprng,
    ) -> Result<usize, SealError> {
        let before = self.commitments.len();
        let added = self.start(sections, tags, rng);
        match added {
            Ok(draft) => {
                let len = draft.record_len();
                self.waiting.push(draft);
                Ok(len)
            }
            Err(e) => {
                self.commitments.truncate(before);
                Err(e)
            }
        }
    }

    /// Whether no more records than those added so far should be completed together: that would save nothing.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= DRAFTED_TOGETHER || self.commitments.bytes() >= DRAFTED_BYTES
    }

    /// The drafts of the records added since the last call, in order.
    pub fn complete(&mut self) -> impl Iterator<Item = Draft> {
        let mut roots = self.commitments.roots().iter();
        for section in self.waiting.iter_mut().flat_map(|draft| &mut draft.sections) {
            // As many roots as sections: each was added to both.
            if let Some(root) = roots.next() {
                section.root = *root;
            }
        }
        self.waiting.drain(..)
    }

    fn start<'a, 't, F: Iterator<Item = Field<'a>>>(
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
            let mut sink = self.commitments.section(&salts);
            fields.for_each(|f| sink.add(&f));
            sink.end()?;
            let root = SectionRoot { fields: 0, root: Hash::ZERO };
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
