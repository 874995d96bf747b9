//! A batch's hashes, recomputed from its bytes; [`check`] and its like hold a statement against them. `docs/FORMAT.md` §3 to §7.
//! Writer, ledger and auditor all go through [`commit`].

pub use super::batch_pieces::PieceHasher;
pub use super::batch_rules::{check, check_erased, check_hashes, check_header, erased_in};
use super::batch_tags::{sort_tags, tags_root};
use super::merkle::{TOGETHER, empty_root, node_hashes};
use super::tree;
use crate::base::batch::{Body, Header};
use crate::base::hash::Hash;
use crate::base::limits::{MAX_HEADER_BYTES, MAX_SECTIONS};
use crate::base::padded::Padded;
use crate::base::record::{LeafInputs, Outline, TAG_LEN};
use crate::base::sha256_wide::{Message, hash_each};
use crate::base::wire::WireError;

/// `docs/FORMAT.md` §3.
const HEADER_LABEL: &[u8] = b"sealtrail.org/header/v1\n";
const ENVELOPE_LABEL: &[u8] = b"sealtrail.org/envelope/v1\n";
const LEAF_PREFIX: &[u8] = b"\0sealtrail.org/leaf/v1\n";

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Body or header cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// One record cannot be read, or does not have the sections and slots of the header.
    #[error("record {position} of the batch: {source}")]
    Record {
        /// Position in the batch, from 0.
        position: u64,
        /// What is wrong.
        source: WireError,
    },
    /// Statement and batch disagree.
    #[error("the statement says {what} {stated}, the batch has {found}")]
    Mismatch {
        /// The line of the statement or field of the header.
        what: &'static str,
        /// What was signed.
        stated: String,
        /// What the bytes give.
        found: String,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("the batch header has {found} bytes, more than the {MAX_HEADER_BYTES} allowed")]
    HeaderLength {
        /// Its length in bytes.
        found: usize,
    },
    /// A reader of the header is not one this version seals for.
    #[error("reader {index} of the batch header: {why}")]
    Reader {
        /// Index in the header.
        index: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The roster requires a reader whom the first section leaves out.
    #[error("the roster requires the reader {name} in every batch, and the first section has no slot for it")]
    MissingReader {
        /// Name in the roster.
        name: String,
    },
    /// The statement can only be checked in part, because records are erased.
    #[error("{erased} records of the batch are erased, so the statement cannot be checked whole")]
    Erased {
        /// How many.
        erased: u64,
    },
}

/// What the bytes of a batch body hash to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchCommitment {
    /// The decoded header.
    pub header: Header,
    /// Hash of the header's bytes.
    pub header_hash: Hash,
    /// Per record, what its leaf is made of.
    pub leaf_inputs: Vec<LeafInputs>,
    /// Root over the record leaves.
    pub records_root: Hash,
    /// The [`tree::nodes`] of the record leaves, from which proofs are made.
    pub nodes: Vec<Hash>,
    /// Root over the sorted tags; `None` if a record is erased, since its tags are gone.
    pub tags_root: Option<Hash>,
    /// Every tag, as a big-endian number, with the position of its record, sorted.
    pub tags: Vec<(u64, u32)>,
    /// Length of the body in bytes.
    pub bytes: u64,
    /// How many records are erased.
    pub erased: u64,
}

/// A batch body with what its bytes hash to: the two cannot be of different batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashedBody {
    bytes: Vec<u8>,
    commitment: BatchCommitment,
}

impl HashedBody {
    /// Hashes a body with [`commit`].
    pub fn new(bytes: Vec<u8>) -> Result<HashedBody, BatchError> {
        let commitment = commit(&bytes)?;
        Ok(HashedBody { bytes, commitment })
    }

    /// What the body hashes to.
    pub fn commitment(&self) -> &BatchCommitment {
        &self.commitment
    }

    /// The body and what it hashes to.
    pub fn into_parts(self) -> (Vec<u8>, BatchCommitment) {
        (self.bytes, self.commitment)
    }
}

impl std::ops::Deref for HashedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for HashedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Record leaf: `H(0x00 ‖ label ‖ ciphertext_hash ‖ envelope_hash ‖ disclosure_root)`.
pub fn record_leaf(inputs: &LeafInputs) -> Hash {
    Hash::of(&[LEAF_PREFIX, &inputs.to_bytes()])
}

/// The root that records with these leaf inputs have.
pub fn records_root(inputs: &[LeafInputs]) -> Hash {
    root_of(record_leaves(inputs))
}

/// The leaf inputs of one encoded record, computed from its bytes (an erased record states them).
pub fn leaf_inputs_of(record: &[u8]) -> Result<LeafInputs, WireError> {
    Ok(inputs(&Outline::decode(record)?))
}

/// Hash of a batch header's bytes.
pub fn header_hash(header: &[u8]) -> Hash {
    Hash::of(&[HEADER_LABEL, header])
}

fn inputs(record: &Outline<'_>) -> LeafInputs {
    match record {
        Outline::Erased(inputs) => *inputs,
        Outline::Sealed { disclosure_root, envelope, ciphertext, .. } => LeafInputs {
            ciphertext_hash: Hash::of(&[ciphertext]),
            envelope_hash: Hash::of(&[ENVELOPE_LABEL, envelope]),
            disclosure_root: *disclosure_root,
        },
    }
}

/// Sealed records whose ciphertext and envelope are hashed together with others': (which, ciphertext, envelope).
type Waiting<'a> = Vec<(usize, &'a [u8], &'a [u8])>;

/// [`inputs`] of many records.
fn hash_waiting(waiting: &mut Waiting<'_>, leaf_inputs: &mut [LeafInputs], digests: &mut Vec<Hash>) {
    digests.clear();
    digests.resize(2 * waiting.len(), Hash::ZERO);
    let (ciphertexts, envelopes) = digests.split_at_mut(waiting.len());
    let messages: Vec<Message<'_>> = waiting.iter().map(|(_, c, _)| [*c, &[], &[], &[]]).collect();
    hash_each(&messages, ciphertexts);
    let messages: Vec<Message<'_>> = waiting.iter().map(|(_, _, e)| [ENVELOPE_LABEL, e, &[], &[]]).collect();
    hash_each(&messages, envelopes);
    for ((which, _, _), (c, e)) in waiting.drain(..).zip(ciphertexts.iter().zip(envelopes)) {
        if let Some(inputs) = leaf_inputs.get_mut(which) {
            (inputs.ciphertext_hash, inputs.envelope_hash) = (*c, *e);
        }
    }
}

/// [`record_leaf`] of many records, several side by side.
pub fn record_leaves(inputs: &[LeafInputs]) -> Vec<Hash> {
    let mut leaves = vec![Hash::ZERO; inputs.len()];
    let mut messages = Padded::new();
    for (inputs, leaves) in inputs.chunks(TOGETHER).zip(leaves.chunks_mut(TOGETHER)) {
        messages.truncate(0);
        for l in inputs {
            messages.push(&[LEAF_PREFIX, &l.ciphertext_hash.0, &l.envelope_hash.0, &l.disclosure_root.0]);
        }
        messages.digests_into(leaves);
    }
    leaves
}

/// Hashes a batch body. Every record must have the header's sections, each with one slot per reader.
pub fn commit(body: &[u8]) -> Result<BatchCommitment, BatchError> {
    let bytes = body.len();
    let body = Body::decode(body)?;
    let mut records = Records::default();
    let header = Header::decode(body.header)?;
    records.start(&header, body.count(), bytes);
    records.take(body.records())?;
    Ok(records.finish(header, header_hash(body.header), bytes))
}

/// What the records of a body give.
#[derive(Default)]
pub(super) struct Records {
    /// Slots of each section.
    shape: [u8; MAX_SECTIONS],
    /// Records in all.
    count: usize,
    /// Most tags there can be.
    most_tags: usize,
    pub(super) leaf_inputs: Vec<LeafInputs>,
    pub(super) tags: Vec<(u64, u32)>,
    /// Room to sort them.
    sorted: Vec<(u64, u32)>,
    digests: Vec<Hash>,
    /// Positions of erased records.
    pub(super) erased: Vec<u32>,
}

impl Records {
    /// Before the first record of a body with so many records and bytes.
    pub(super) fn start(&mut self, header: &Header, count: usize, bytes: usize) {
        self.shape = [0; MAX_SECTIONS];
        for (slots, section) in self.shape.iter_mut().zip(&header.sections) {
            // At most MAX_READERS.
            *slots = section.readers.len() as u8;
        }
        self.leaf_inputs.clear();
        self.leaf_inputs.reserve(count);
        self.tags.clear();
        self.erased.clear();
        (self.count, self.most_tags) = (count, bytes / TAG_LEN);
    }

    /// The next records.
    pub(super) fn take<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> Result<(), BatchError> {
        let mut waiting: Waiting<'a> = Vec::with_capacity(TOGETHER);
        // A body has at most MAX_BATCH_RECORDS.
        for (position, record) in (self.leaf_inputs.len() as u32..).zip(records) {
            let error = |source| BatchError::Record { position: position.into(), source };
            let record = Outline::decode(record).map_err(error)?;
            match record {
                Outline::Erased(inputs) => {
                    self.erased.push(position);
                    self.leaf_inputs.push(inputs);
                }
                Outline::Sealed { disclosure_root, envelope, slots, tags: found, ciphertext } => {
                    if slots != self.shape {
                        let why = "its sections and slots are not those of the header";
                        return Err(error(WireError::Invalid { what: "record", why }));
                    }
                    let found = found.as_chunks::<TAG_LEN>().0;
                    if self.tags.is_empty() {
                        // Records of one batch mostly have as many tags each. Never more than the body has room for.
                        self.tags.reserve((found.len() * self.count).min(self.most_tags));
                    }
                    self.tags.extend(found.iter().map(|tag| (u64::from_be_bytes(*tag), position)));
                    waiting.push((self.leaf_inputs.len(), ciphertext, envelope));
                    let hashed_later = Hash::ZERO;
                    self.leaf_inputs.push(LeafInputs {
                        ciphertext_hash: hashed_later,
                        envelope_hash: hashed_later,
                        disclosure_root,
                    });
                }
            }
            if waiting.len() == TOGETHER {
                hash_waiting(&mut waiting, &mut self.leaf_inputs, &mut self.digests);
            }
        }
        hash_waiting(&mut waiting, &mut self.leaf_inputs, &mut self.digests);
        Ok(())
    }

    /// After the last record.
    pub(super) fn finish(&mut self, header: Header, header_hash: Hash, bytes: usize) -> BatchCommitment {
        sort_tags(&mut self.tags, &mut self.sorted);
        let (leaf_inputs, tags) = (std::mem::take(&mut self.leaf_inputs), std::mem::take(&mut self.tags));
        let nodes = levels_up(record_leaves(&leaf_inputs), tree::LEAVES_PER_NODE.ilog2());
        BatchCommitment {
            header,
            header_hash,
            records_root: root_of(nodes.clone()),
            leaf_inputs,
            nodes,
            tags_root: self.erased.is_empty().then(|| tags_root(&tags)),
            tags,
            bytes: bytes as u64,
            erased: self.erased.len() as u64,
        }
    }
}

/// RFC 6962 §2.1 (RFC 9162 §2.1.1) root over leaf hashes, level by level: the k-th node of a level is the hash
/// of nodes 2k and 2k + 1 of the one below, and a last one without sibling is carried up as it is. That is the RFC's tree: its
/// split at the largest power of two below n leaves whole subtrees on the left of every level.
pub(super) fn root_of(level: Vec<Hash>) -> Hash {
    levels_up(level, u32::MAX).first().copied().unwrap_or_else(empty_root)
}

/// The nodes `levels` above these, or the root if there are fewer levels. Five levels up are [`tree::nodes`].
fn levels_up(mut level: Vec<Hash>, levels: u32) -> Vec<Hash> {
    let mut above = Vec::with_capacity(level.len().div_ceil(2));
    let mut messages = Padded::new();
    for _ in 0..levels {
        if level.len() <= 1 {
            break;
        }
        let (pairs, odd) = level.as_chunks::<2>();
        above.clear();
        node_hashes(pairs, &mut above, &mut messages);
        above.extend(odd);
        std::mem::swap(&mut level, &mut above);
    }
    level
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
