//! One record as bytes: `docs/FORMAT.md` §5. Framing only; hashing is `chain`'s, ciphers are `seal`'s.

use super::hash::{HASH_LEN, Hash};
use super::limits::{MAX_READERS, MAX_SECTIONS, MAX_TAGS};
use super::wire::{Reader, WireError, WireWrite};

/// First byte of a record that is all there.
const KIND_SEALED: u8 = 1;
/// First byte of a record of which only the leaf inputs remain.
const KIND_ERASED: u8 = 2;

/// Length of a key commitment, a slot and a record key, in bytes.
pub const KEY_LEN: usize = 32;
/// Length of a blind tag in bytes.
pub const TAG_LEN: usize = 8;
/// A blind tag.
pub type Tag = [u8; TAG_LEN];

/// The three hashes a record's leaf is made of; all that remains of an erased record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafInputs {
    /// SHA-256 of the record's ciphertext bytes.
    pub ciphertext_hash: Hash,
    /// Hash of the envelope bytes.
    pub envelope_hash: Hash,
    /// Hash over the roots of the field commitments.
    pub disclosure_root: Hash,
}

/// Length of [`LeafInputs::to_bytes`].
pub const LEAF_INPUTS_LEN: usize = 3 * HASH_LEN;

impl LeafInputs {
    /// ciphertext hash ‖ envelope hash ‖ disclosure root.
    pub fn to_bytes(&self) -> [u8; LEAF_INPUTS_LEN] {
        let mut out = [0; LEAF_INPUTS_LEN];
        out[..32].copy_from_slice(&self.ciphertext_hash.0);
        out[32..64].copy_from_slice(&self.envelope_hash.0);
        out[64..].copy_from_slice(&self.disclosure_root.0);
        out
    }

    /// Inverse of [`LeafInputs::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes, "leaf inputs");
        let l =
            LeafInputs { ciphertext_hash: r.hash()?, envelope_hash: r.hash()?, disclosure_root: r.hash()? };
        r.finish()?;
        Ok(l)
    }
}

/// The number of committed fields of a section and the root over them. Travels in the envelope only
/// when a record has several sections: the reader of one needs the others' roots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SectionRoot {
    /// Number of field commitments.
    pub fields: u32,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// One section inside an encoded record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionView<'a> {
    /// Key commitment of the section's record key.
    pub commitment: [u8; KEY_LEN],
    /// Present when the record has more than one section.
    pub root: Option<SectionRoot>,
    /// One wrapped record key per reader of the section, in the header's order.
    pub slots: &'a [u8],
    /// The ciphertext with its authentication tag.
    pub ciphertext: &'a [u8],
}

impl<'a> SectionView<'a> {
    /// The `n`th slot.
    pub fn slot(&self, n: usize) -> Option<&'a [u8; KEY_LEN]> {
        self.slots.get(n * KEY_LEN..(n + 1) * KEY_LEN)?.try_into().ok()
    }
}

/// A decoded record, borrowing from the bytes it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// All of it is there.
    Sealed {
        /// Hash over the roots of the field commitments, as the writer computed it.
        disclosure_root: Hash,
        /// The envelope bytes: commitments, slots, tags.
        envelope: &'a [u8],
        /// The sections, decoded from the envelope, with their ciphertexts.
        sections: Vec<SectionView<'a>>,
        /// The blind tags, ascending.
        tags: &'a [u8],
        /// All ciphertexts, one after the other.
        ciphertext: &'a [u8],
    },
    /// Ciphertext, slots and tags are gone; the proof inputs remain.
    Erased(LeafInputs),
}

/// A record's parts as far as hashing needs them, borrowed; made without allocating.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outline<'a> {
    /// All of it is there.
    Sealed {
        /// As in [`Record::Sealed`].
        disclosure_root: Hash,
        /// As in [`Record::Sealed`].
        envelope: &'a [u8],
        /// Slots of each section; 0 from the first section on that the record does not have.
        slots: [u8; MAX_SECTIONS],
        /// As in [`Record::Sealed`].
        tags: &'a [u8],
        /// As in [`Record::Sealed`].
        ciphertext: &'a [u8],
    },
    /// Ciphertext, slots and tags are gone; the proof inputs remain.
    Erased(LeafInputs),
}

impl<'a> Outline<'a> {
    /// Reads exactly one record, refusing what [`Record::decode`] refuses.
    pub fn decode(bytes: &'a [u8]) -> Result<Outline<'a>, WireError> {
        let mut slots = [0; MAX_SECTIONS];
        let mut next = slots.iter_mut();
        let sealed = Sealed::decode(bytes, |section| {
            if let Some(n) = next.next() {
                *n = (section.slots.len() / KEY_LEN) as u8;
            }
        })?;
        Ok(match sealed {
            Ok(Sealed { disclosure_root, envelope, tags, ciphertext, .. }) => {
                Outline::Sealed { disclosure_root, envelope, slots, tags, ciphertext }
            }
            Err(inputs) => Outline::Erased(inputs),
        })
    }
}

/// What [`Record`] and [`Outline`] have in common.
struct Sealed<'a> {
    disclosure_root: Hash,
    envelope: &'a [u8],
    tags: &'a [u8],
    ciphertext: &'a [u8],
    /// Of each section's ciphertext; together that of all.
    lengths: [usize; MAX_SECTIONS],
}

impl<'a> Sealed<'a> {
    /// The one reader of a record's bytes: gives each section, its ciphertext still empty, to `section`. The inner error is an
    /// erased record.
    fn decode(
        bytes: &'a [u8],
        mut section: impl FnMut(SectionView<'a>),
    ) -> Result<Result<Sealed<'a>, LeafInputs>, WireError> {
        let mut r = Reader::new(bytes, "record");
        match r.u8()? {
            KIND_ERASED => return Ok(Err(LeafInputs::from_bytes(r.remaining())?)),
            KIND_SEALED => {}
            _ => return r.invalid("unknown kind"),
        }
        let disclosure_root = r.hash()?;
        let start = r.remaining();
        let count = usize::from(r.u8()?);
        if count == 0 || count > MAX_SECTIONS {
            return r.invalid("number of sections");
        }
        let mut lengths = [0usize; MAX_SECTIONS];
        for length in lengths.iter_mut().take(count) {
            *length = r.u32()? as usize;
            let commitment = r.array()?;
            let root = if count > 1 { Some(SectionRoot { fields: r.u32()?, root: r.hash()? }) } else { None };
            let readers = usize::from(r.u8()?);
            if readers == 0 || readers > MAX_READERS {
                return r.invalid("number of slots");
            }
            let slots = r.take(readers * KEY_LEN)?;
            section(SectionView { commitment, root, slots, ciphertext: &[] });
        }
        let tag_count = usize::from(r.u8()?);
        if tag_count > MAX_TAGS {
            return r.invalid("number of tags");
        }
        let tags = r.take(tag_count * TAG_LEN)?;
        // Big-endian numbers ascend as their bytes do.
        let numbers = tags.as_chunks::<TAG_LEN>().0.iter().map(|t| u64::from_be_bytes(*t));
        if !numbers.is_sorted_by(|a, b| a < b) {
            return r.invalid("tags are not strictly ascending");
        }
        let envelope = &start[..start.len() - r.remaining().len()];
        let ciphertext = r.remaining();
        for length in lengths.iter().take(count) {
            r.take(*length)?;
        }
        r.finish()?;
        Ok(Ok(Sealed { disclosure_root, envelope, tags, ciphertext, lengths }))
    }
}

impl<'a> Record<'a> {
    /// Decodes exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, WireError> {
        let mut sections = Vec::new();
        let sealed = match Sealed::decode(bytes, |section| sections.push(section))? {
            Ok(sealed) => sealed,
            Err(inputs) => return Ok(Record::Erased(inputs)),
        };
        let Sealed { disclosure_root, envelope, tags, ciphertext, lengths } = sealed;
        let mut rest = ciphertext;
        for (section, length) in sections.iter_mut().zip(lengths) {
            (section.ciphertext, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        }
        Ok(Record::Sealed { disclosure_root, envelope, sections, tags, ciphertext })
    }

    /// Appends the encoding of an erased record.
    pub fn encode_erased(inputs: &LeafInputs, out: &mut Vec<u8>) {
        out.push(KIND_ERASED);
        out.extend_from_slice(&inputs.to_bytes());
    }
}

/// What a writer puts into one section of a new record.
#[derive(Clone, Copy, Debug)]
pub struct NewSection<'a> {
    /// Length of the ciphertext that will follow the envelope, with its authentication tag.
    pub ciphertext_len: u32,
    /// Key commitment.
    pub commitment: [u8; KEY_LEN],
    /// Number and root of the field commitments.
    pub root: SectionRoot,
    /// Slots, 32 bytes each, in the header's order.
    pub slots: &'a [u8],
}

/// Appends everything of a sealed record that stands before the ciphertexts, which the caller then
/// appends in section order. `tags` must be strictly ascending.
pub fn encode_sealed_head<'s>(
    disclosure_root: &Hash,
    sections: impl IntoIterator<Item = NewSection<'s>, IntoIter: ExactSizeIterator>,
    tags: &[Tag],
    out: &mut Vec<u8>,
) {
    let sections = sections.into_iter();
    let many = sections.len() > 1;
    out.push(KIND_SEALED);
    out.extend_from_slice(&disclosure_root.0);
    out.push(sections.len() as u8);
    for s in sections {
        out.put_u32(s.ciphertext_len);
        out.extend_from_slice(&s.commitment);
        if many {
            out.put_u32(s.root.fields);
            out.extend_from_slice(&s.root.root.0);
        }
        out.push((s.slots.len() / KEY_LEN) as u8);
        out.extend_from_slice(s.slots);
    }
    out.push(tags.len() as u8);
    for t in tags {
        out.extend_from_slice(t);
    }
}
