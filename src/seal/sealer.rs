//! Sealing a batch: one HPKE context per reader, then per record fresh keys, slots, commitments, tags and
//! ciphertext. `docs/FORMAT.md` §4 and §5. Nothing here can open a record again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

pub use super::draft::TagInput;
use super::kem::{self, KemError, PreparedRecipient, SenderContext};
use super::keys::{self, SLOTS_LABEL, WrappingKey};
use super::plan::batch_reader;
pub use super::plan::{Plan, SealerConfig, SectionSpec};
pub use super::seal_error::SealError;
use super::tag::SectionSecret;
pub use super::worker::{Placer, SectionInput, Worker};
use crate::base::batch::{Body, Header};
use crate::base::hash::Hash;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::base::random::Csprng;
use crate::base::record::KEY_LEN;

/// Seals the records of one batch. Threads share it, each with a [`Worker`] of its own.
pub struct Sealer {
    pub(super) plan: Arc<Plan>,
    pub(super) header: Header,
    header_bytes: Vec<u8>,
    pub(super) context: Hash,
    /// In the order of the header's readers.
    pub(super) wrapping_keys: Vec<WrappingKey>,
    /// One bit per position sealed.
    used: Vec<AtomicU64>,
}

impl Sealer {
    /// Does the public-key work of the batch that the statement with this sequence number will carry, a key pair and a key
    /// exchange per reader, and builds its header.
    pub fn new(plan: Arc<Plan>, sequence: u64, rng: &mut Csprng) -> Result<Sealer, SealError> {
        let mut header = Header { sequence, ..plan.header.clone() };
        let info = keys::hpke_info(&header.ledger, &header.writer, sequence);
        let mut wrapping_keys = Vec::with_capacity(plan.readers.len());
        for (i, (reader, prepared)) in plan.readers.iter().enumerate() {
            let mine: Vec<&SectionSecret> = (header.sections.iter().zip(&plan.secrets))
                .filter(|(section, _)| section.readers.contains(&(i as u8)))
                .map(|(_, secret)| secret)
                .collect();
            let (context, search) = reader_context(prepared, &info, &mine, rng)
                .map_err(|problem| SealError::Kem { reader: *reader, problem })?;
            let key =
                context.export(SLOTS_LABEL).map_err(|problem| SealError::Kem { reader: *reader, problem })?;
            wrapping_keys.push(WrappingKey(key));
            header.readers[i] = batch_reader(reader, context.enc.to_vec(), search);
        }
        Ok(Sealer {
            header_bytes: header.encode()?,
            context: keys::record_context(&header.ledger, &header.writer, sequence),
            used: (0..MAX_BATCH_RECORDS.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            wrapping_keys,
            header,
            plan,
        })
    }

    /// What the batch has in common with others.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
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
        Worker::new(self)
    }

    /// The same for records that are drafted already.
    pub fn placer(&self) -> Placer<'_> {
        Placer::new(self)
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
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Sets up a reader's context and seals the search secrets of their sections as its first message. §4.
fn reader_context(
    reader: &PreparedRecipient,
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
