//! Sealing a batch: one HPKE context per reader, then per record fresh keys, slots, commitments, tags and
//! ciphertext. `docs/FORMAT.md` §4 and §5. Nothing here can open a record again.

use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::kem::{self, KemError, SenderContext};
use super::keys::{self, SLOTS_LABEL, WrappingKey};
use super::reader_key::Recipient;
pub use super::seal_error::SealError;
use super::tag::{SearchSecret, SectionSecret, Tagger};
pub use super::worker::{SectionInput, TagInput, Worker};
use crate::base::batch::{BatchReader, BatchSection, Body, Header, KEM_X25519};
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, TAG_LEN};

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

/// Seals the records of one batch. Threads share it, each with a [`Worker`] of its own.
pub struct Sealer {
    pub(super) header: Header,
    header_bytes: Vec<u8>,
    pub(super) context: Hash,
    /// In the order of the header's readers.
    pub(super) wrapping_keys: Vec<WrappingKey>,
    /// One per section.
    pub(super) taggers: Vec<Tagger>,
    /// One bit per position sealed.
    used: Vec<AtomicU64>,
}

impl Sealer {
    /// Does the public-key work of a batch, about 85 µs per reader, and builds its header.
    pub fn new(config: SealerConfig, search: &SearchSecret, rng: &mut Csprng) -> Result<Sealer, SealError> {
        let SealerConfig { ledger, writer, sequence, period, mut readers, sections, tag_fields } = config;
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
            Header { ledger, writer, sequence, period, readers: Vec::new(), sections, tag_fields };
        // Placeholders of the right lengths, until the key exchange gives the real ones.
        let reads = |i: usize| header.sections.iter().filter(|s| s.readers.contains(&(i as u8))).count();
        header.readers = readers
            .iter()
            .enumerate()
            .map(|(i, r)| {
                batch_reader(r, vec![0; KEY_LEN], vec![0; reads(i) * KEY_LEN + super::aead::TAG_LEN])
            })
            .collect();
        if let Some(i) = (0..readers.len()).find(|i| reads(*i) == 0 && !header.sections.is_empty()) {
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
        Worker::new(self, self.wrapping_keys.len())
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
        let front = Body::front_len(self.header_bytes.len(), records.len());
        let total = front + records.iter().map(|r| r.as_ref().len()).sum::<usize>();
        if total > MAX_BATCH_BYTES {
            return Err(SealError::BatchTooLarge(total));
        }
        Ok(Body::encode(&self.header_bytes, records))
    }

    /// Takes a position for good. "Each block is used once": two record keys under one mask would tell
    /// their difference.
    pub(super) fn claim(&self, position: u32) -> Result<(), SealError> {
        let word = self.used.get(position as usize / 64).ok_or(SealError::Position(position))?;
        let bit = 1u64 << (position % 64);
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return Err(SealError::PositionUsed(position));
        }
        Ok(())
    }

    /// Length of the record up to its ciphertexts.
    pub(super) fn head_len(&self, tags: usize) -> usize {
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
    let mut plaintext = Zeroizing::new(Vec::with_capacity(secrets.len() * KEY_LEN));
    for s in secrets {
        plaintext.extend_from_slice(s.expose());
    }
    let search = context.seal(b"", &plaintext)?;
    Ok((context, search))
}

#[cfg(test)]
#[path = "sealer_tests.rs"]
mod tests;
