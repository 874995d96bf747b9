//! What the batches of a writer have in common until readers, policy or search period change.
//! `docs/FORMAT.md` §4, and §5 "Blind tags".

use super::aead;
use super::draft::Drafter;
use super::kem::PreparedRecipient;
use super::reader_key::Recipient;
use super::seal_error::SealError;
use super::tag::{SearchSecret, SectionSecret, Tagger};
use crate::base::batch::{BatchReader, BatchSection, Header, KEM_X25519};
use crate::base::hash::HASH_LEN;
use crate::base::record::{KEY_LEN, TAG_LEN};

/// One section of the records of a batch.
#[derive(Clone, Debug)]
pub struct SectionSpec {
    /// The policy's name for it.
    pub name: String,
    /// Who may read it, in any order; all of them readers of the batch.
    pub readers: Vec<Recipient>,
}

/// What batches are sealed with.
#[derive(Clone, Debug)]
pub struct SealerConfig {
    /// Ledger origin.
    pub ledger: String,
    /// Writer key name.
    pub writer: String,
    /// Name of the search period.
    pub period: String,
    /// All readers, in any order.
    pub readers: Vec<Recipient>,
    /// The sections, at least one.
    pub sections: Vec<SectionSpec>,
    /// Names of the fields that may carry blind tags.
    pub tag_fields: Vec<String>,
}

/// A checked [`SealerConfig`] with the search secrets of its sections. Threads share it.
pub struct Plan {
    /// As every batch has it, but for what a key exchange gives: those parts are zero bytes of the right length.
    pub(super) header: Header,
    /// In the order of the header's readers.
    pub(super) readers: Vec<(Recipient, PreparedRecipient)>,
    /// One per section.
    pub(super) secrets: Vec<SectionSecret>,
    /// One per section.
    pub(super) taggers: Vec<Tagger>,
}

impl Plan {
    /// Refuses what the format does not allow. No public-key work.
    pub fn new(config: SealerConfig, search: &SearchSecret) -> Result<Plan, SealError> {
        let SealerConfig { ledger, writer, period, mut readers, sections, tag_fields } = config;
        readers.sort_unstable();
        readers.dedup();
        let sections = sections
            .iter()
            .map(|s| section_readers(s, &readers))
            .collect::<Result<Vec<BatchSection>, SealError>>()?;
        let secret = |s: &BatchSection| {
            let mine = s.readers.iter().filter_map(|i| readers.get(usize::from(*i)));
            search.for_readers(mine).section(&s.name)
        };
        let secrets: Vec<SectionSecret> = sections.iter().map(secret).collect();
        let mut header =
            Header { ledger, writer, sequence: 0, period, readers: Vec::new(), sections, tag_fields };
        let reads = |i: usize| header.sections.iter().filter(|s| s.readers.contains(&(i as u8))).count();
        header.readers = readers
            .iter()
            .enumerate()
            .map(|(i, r)| batch_reader(r, vec![0; KEY_LEN], vec![0; reads(i) * KEY_LEN + aead::TAG_LEN]))
            .collect();
        if let Some(i) = (0..readers.len()).find(|i| reads(*i) == 0 && !header.sections.is_empty()) {
            return Err(SealError::IdleReader(readers[i]));
        }
        header.encode()?;
        let taggers = secrets.iter().map(SectionSecret::tagger).collect();
        let readers = readers.into_iter().map(|r| (r, PreparedRecipient::new(&r))).collect();
        Ok(Plan { header, readers, secrets, taggers })
    }

    /// One thread's way of drafting records.
    pub fn drafter(&self) -> Drafter<'_> {
        Drafter::new(self)
    }

    /// Names of the fields that may carry blind tags.
    pub fn tag_fields(&self) -> &[String] {
        &self.header.tag_fields
    }

    /// Length in bytes of the header of every batch of this plan.
    pub fn header_len(&self) -> Result<usize, SealError> {
        Ok(self.header.encode()?.len())
    }

    /// Length of a record up to its ciphertexts.
    pub(super) fn head_len(&self, tags: usize) -> usize {
        let root_len = if self.header.sections.len() > 1 { 4 + HASH_LEN } else { 0 };
        let sections = self.header.sections.iter();
        let sections = sections.map(|s| 4 + KEY_LEN + root_len + 1 + s.readers.len() * KEY_LEN);
        1 + HASH_LEN + 1 + sections.sum::<usize>() + 1 + tags * TAG_LEN
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("header", &self.header).finish_non_exhaustive()
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

pub(super) fn batch_reader(reader: &Recipient, enc: Vec<u8>, search: Vec<u8>) -> BatchReader {
    BatchReader { kem: KEM_X25519, public_key: reader.as_bytes().to_vec(), enc, search }
}
