//! What an evidence file holds, and the hash over it that its manifest carries. `docs/FORMAT.md` §13.

use std::fmt;

use zeroize::Zeroizing;

use crate::base::hash::Hash;
use crate::base::record::{KEY_LEN, LeafInputs, SectionRoot};
use crate::base::wire::WireWrite as _;
use crate::chain::batch::record_leaf;
use crate::chain::block::Block;
use crate::event::field::{Field, Scalar};
use crate::seal::disclosure::{DisclosureError, field_leaf};
use crate::seal::keystream::SALT_LEN;

/// Value of the member `format`.
pub const FORMAT: &str = "sealtrail.org/evidence/v1";
/// In front of everything the contents hash covers.
const CONTENTS_LABEL: &[u8] = b"sealtrail.org/evidence/v1\n";
/// In front of what is hashed of one record.
const RECORD_LABEL: &[u8] = b"sealtrail.org/evidence-record/v1\n";
/// How the hash tells a whole section from one shown in part.
const WHOLE: u8 = 1;
const PARTS: u8 = 2;

/// An evidence file, read but not verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The origin.
    pub ledger: String,
    /// The manifest: its text, or a signed note.
    pub manifest: String,
    /// The signed checkpoint every block is proved against.
    pub checkpoint: String,
    /// The blocks, ascending by height.
    pub blocks: Vec<EvidenceBlock>,
    /// The records, ascending by index.
    pub records: Vec<EvidenceRecord>,
}

/// A block and its place in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct EvidenceBlock {
    /// The block text.
    pub text: String,
    /// Inclusion path of the block in the checkpoint's log, the leaf's sibling first.
    pub log_path: Vec<Hash>,
    /// The batch header; there if a record of the block is shown.
    pub header: Option<Vec<u8>>,
}

/// A record, and as much of it as is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// Index in the ledger.
    pub record: u64,
    /// Which of [`Evidence::blocks`] holds it.
    pub block: u32,
    /// What its leaf is made of.
    pub leaf_inputs: LeafInputs,
    /// Inclusion path of the leaf in the block's records root.
    pub record_path: Vec<Hash>,
    /// Which of [`Evidence::blocks`] orders its erasure.
    pub erased: Option<u32>,
    /// Per section of the batch, what is shown; `None` shows nothing.
    pub opened: Option<Vec<SectionEvidence>>,
    /// The exporter's own words about it.
    pub note: Option<String>,
}

/// One section of a shown record.
#[derive(Clone, PartialEq, Eq)]
pub enum SectionEvidence {
    /// All of it.
    Whole {
        /// The payload, as sealed.
        payload: Zeroizing<String>,
        /// The section's salt key.
        salt_key: [u8; KEY_LEN],
    },
    /// Only what it commits to, and some of its fields or none.
    Parts {
        /// The section's commitment.
        root: SectionRoot,
        /// The fields shown, ascending by index.
        shown: Vec<ShownField>,
    },
}

/// One field with the proof that it stands where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownField {
    /// Which of the section's fields, from 0.
    pub index: u32,
    /// JSON Pointer in the original event.
    pub pointer: String,
    /// Kind byte of the format, `s n t f z o a`.
    pub kind: u8,
    /// A string's characters or a number's text.
    pub value: Zeroizing<String>,
    /// The salt of this field alone.
    pub salt: [u8; SALT_LEN],
    /// Inclusion path of the field's leaf in the section root.
    pub path: Vec<Hash>,
}

impl ShownField {
    /// The field's leaf; `None` for an unknown kind or a value where the kind has none.
    pub fn leaf(&self) -> Option<Result<Hash, DisclosureError>> {
        let value = Scalar::from_parts(self.kind, &self.value)?;
        Some(field_leaf(&self.salt, &Field { pointer: &self.pointer, value }))
    }
}

impl Evidence {
    /// The hash over all blocks and records, in order, that the manifest carries. Paths and headers are not in it: what is in
    /// it leaves them no choice. A field with no valid leaf counts as zero bytes; it is refused elsewhere.
    pub fn contents_hash(&self) -> Hash {
        let mut bytes = CONTENTS_LABEL.to_vec();
        bytes.put_u32(self.blocks.len() as u32);
        self.blocks.iter().for_each(|b| bytes.extend_from_slice(&Block::hash_text(&b.text).0));
        bytes.put_u32(self.records.len() as u32);
        self.records.iter().for_each(|r| bytes.extend_from_slice(&r.hash().0));
        Hash::of(&[&bytes])
    }
}

impl EvidenceRecord {
    fn hash(&self) -> Hash {
        let mut bytes = Zeroizing::new(RECORD_LABEL.to_vec());
        bytes.put_u64(self.record);
        bytes.put_u32(self.block);
        bytes.extend_from_slice(&record_leaf(&self.leaf_inputs).0);
        match self.erased {
            None => bytes.push(0),
            Some(block) => {
                bytes.push(1);
                bytes.put_u32(block);
            }
        }
        let sections = self.opened.as_deref().unwrap_or_default();
        bytes.push(sections.len() as u8);
        sections.iter().for_each(|s| s.hash_into(&mut bytes));
        let note = self.note.as_deref().unwrap_or_default();
        bytes.put_u32(note.len() as u32);
        bytes.extend_from_slice(note.as_bytes());
        Hash::of(&[&bytes])
    }
}

impl SectionEvidence {
    fn hash_into(&self, bytes: &mut Vec<u8>) {
        match self {
            SectionEvidence::Whole { payload, salt_key } => {
                bytes.push(WHOLE);
                bytes.extend_from_slice(salt_key);
                bytes.extend_from_slice(&Hash::of(&[payload.as_bytes()]).0);
            }
            SectionEvidence::Parts { root, shown } => {
                bytes.push(PARTS);
                bytes.put_u32(root.fields);
                bytes.extend_from_slice(&root.root.0);
                bytes.put_u32(shown.len() as u32);
                for field in shown {
                    bytes.put_u32(field.index);
                    let leaf = field.leaf().and_then(Result::ok).unwrap_or(Hash::ZERO);
                    bytes.extend_from_slice(&leaf.0);
                }
            }
        }
    }
}

/// Evidence holds personal data: only sizes are printed.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (blocks, records) = (self.blocks.len(), self.records.len());
        f.debug_struct("Evidence").field("blocks", &blocks).field("records", &records).finish_non_exhaustive()
    }
}
