//! Salted commitments to every field of a record, so that one field can be shown later and nothing else.
//! `docs/FORMAT.md` §3 and §5 (salts, fields).

use std::borrow::Cow;

use super::keys::SaltKey;
use super::keystream::{SALT_LEN, Salts};
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::{MAX_EVENT_FIELDS, MAX_POINTER_BYTES};
use crate::base::padded::Padded;
use crate::base::record::SectionRoot;

const ROOT_LABEL: &[u8] = b"sealtrail.org/disclosure/v1\n";
/// RFC 6962 §2.1: what a leaf's hash starts with, then the label of a field.
const FIELD_PREFIX: &[u8; 5] = b"\0stf1";

/// A leaf value of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scalar<'a> {
    /// A string's characters, after unescaping.
    String(Cow<'a, str>),
    /// A number's text as it stands.
    Number(&'a str),
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
    /// `{}`
    EmptyObject,
    /// `[]`
    EmptyArray,
}

impl<'a> Scalar<'a> {
    /// From the kind byte and the value's text; `None` for an unknown kind, or a text where the kind has none.
    pub fn from_parts(kind: u8, text: &'a str) -> Option<Scalar<'a>> {
        let plain = match kind {
            b's' => return Some(Scalar::String(Cow::Borrowed(text))),
            b'n' => return Some(Scalar::Number(text)),
            b't' => Scalar::True,
            b'f' => Scalar::False,
            b'z' => Scalar::Null,
            b'o' => Scalar::EmptyObject,
            b'a' => Scalar::EmptyArray,
            _ => return None,
        };
        text.is_empty().then_some(plain)
    }

    /// The kind byte of the format: `s n t f z o a`.
    pub fn kind(&self) -> u8 {
        self.parts().0
    }

    /// A string's characters or a number's text; empty for the other kinds.
    pub fn text(&self) -> &str {
        match self {
            Scalar::String(s) => s,
            Scalar::Number(n) => n,
            _ => "",
        }
    }

    /// The kind byte and the value bytes of the format.
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Scalar::String(s) => (b's', s.as_bytes()),
            Scalar::Number(n) => (b'n', n.as_bytes()),
            Scalar::True => (b't', b""),
            Scalar::False => (b'f', b""),
            Scalar::Null => (b'z', b""),
            Scalar::EmptyObject => (b'o', b""),
            Scalar::EmptyArray => (b'a', b""),
        }
    }
}

/// One field of an event: where it is and what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// JSON Pointer (RFC 6901) in the original event.
    pub pointer: &'a str,
    /// The value there.
    pub value: Scalar<'a>,
}

/// Fields that cannot be committed to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// A JSON Pointer beyond the limit.
    #[error(
        "a field's JSON Pointer is longer than {MAX_POINTER_BYTES} bytes: shorten the event's member names"
    )]
    PointerTooLong,
    /// More fields than the limit.
    #[error("a section has more than {MAX_EVENT_FIELDS} fields: split the event")]
    TooManyFields,
}

/// The commitment to one field under its salt. Fails on a pointer that is too long.
pub fn field_leaf(salt: &[u8; SALT_LEN], field: &Field<'_>) -> Result<Hash, DisclosureError> {
    with_message(salt, field, Hash::of)
}

/// Gives `f` the message whose hash is the commitment to a field.
fn with_message<T>(
    salt: &[u8; SALT_LEN],
    field: &Field<'_>,
    f: impl FnOnce(&[&[u8]]) -> T,
) -> Result<T, DisclosureError> {
    let pointer = field.pointer.as_bytes();
    if pointer.len() > MAX_POINTER_BYTES {
        return Err(DisclosureError::PointerTooLong);
    }
    let (kind, value) = field.value.parts();
    let mut head = [0; FIELD_PREFIX.len() + SALT_LEN + 2];
    head[..5].copy_from_slice(FIELD_PREFIX);
    head[5..21].copy_from_slice(salt);
    head[21..].copy_from_slice(&(pointer.len() as u16).to_be_bytes());
    Ok(f(&[&head, pointer, &[kind], value]))
}

/// Makes the commitments of one section after another, of one record or many, and hashes them all side by side at the end.
/// A value is kept to be filled again: what it held is erased when it is dropped.
pub struct Commitments {
    /// What is hashed to the fields' leaves.
    leaves: Padded,
    /// Number of fields of each section that is complete.
    sections: Vec<u32>,
    nodes: Padded,
    hashes: Vec<Hash>,
    roots: Vec<SectionRoot>,
}

impl Commitments {
    /// Without any section.
    pub fn new() -> Self {
        let (leaves, nodes) = (Padded::new(), Padded::new());
        Commitments { leaves, sections: Vec::new(), nodes, hashes: Vec::new(), roots: Vec::new() }
    }

    /// Starts the next section. It counts once it is [ended](FieldSink::end).
    pub fn section(&mut self, key: &SaltKey) -> FieldSink<'_> {
        self.truncate(self.sections.len());
        FieldSink { salts: Salts::new(key), first: self.leaves.len(), all: self, error: None }
    }

    /// Number of complete sections.
    pub(super) fn len(&self) -> usize {
        self.sections.len()
    }

    /// Bytes waiting to be hashed.
    pub(super) fn bytes(&self) -> usize {
        self.leaves.bytes()
    }

    /// Forgets all sections but the first `sections`.
    pub(super) fn truncate(&mut self, sections: usize) {
        self.sections.truncate(sections);
        self.leaves.truncate(self.sections.iter().map(|n| *n as usize).sum());
    }

    /// Number of fields and root of each complete section, in order. There are none afterwards.
    pub fn roots(&mut self) -> &[SectionRoot] {
        self.truncate(self.sections.len());
        self.leaves.digests(&mut self.hashes);
        self.leaves.truncate(0);
        self.roots.clear();
        self.roots.extend(self.sections.iter().map(|n| SectionRoot { fields: *n, root: Hash::ZERO }));
        merkle_roots(&mut self.hashes, &mut self.sections, &mut self.nodes);
        let mut tops = self.hashes.iter();
        for root in &mut self.roots {
            let top = if root.fields > 0 { tops.next() } else { None };
            root.root = top.copied().unwrap_or_else(|| Hash::of(&[]));
        }
        self.sections.clear();
        &self.roots
    }
}

impl Default for Commitments {
    fn default() -> Self {
        Commitments::new()
    }
}

/// Takes a section's fields in document order and commits to each.
pub struct FieldSink<'c> {
    salts: Salts,
    all: &'c mut Commitments,
    /// Number of the section's first leaf.
    first: usize,
    error: Option<DisclosureError>,
}

impl FieldSink<'_> {
    /// Takes the next field. What is wrong with it is told at the end of the section.
    pub fn add(&mut self, field: &Field<'_>) {
        if self.error.is_some() {
            return;
        }
        if self.all.leaves.len() - self.first == MAX_EVENT_FIELDS {
            self.error = Some(DisclosureError::TooManyFields);
            return;
        }
        match with_message(&self.salts.next_salt(), field, |message| self.all.leaves.push(message)) {
            Ok(()) => {}
            Err(e) => self.error = Some(e),
        }
    }

    /// Ends the section. One whose fields cannot be committed to is left out.
    pub fn end(self) -> Result<(), DisclosureError> {
        match self.error {
            Some(e) => Err(e),
            None => {
                self.all.sections.push((self.all.leaves.len() - self.first) as u32);
                Ok(())
            }
        }
    }
}

/// The commitments of a section's fields, in order.
pub fn field_leaves(key: &SaltKey, fields: &[Field<'_>]) -> Result<Vec<Hash>, DisclosureError> {
    let mut salts = Salts::new(key);
    if fields.len() > MAX_EVENT_FIELDS {
        return Err(DisclosureError::TooManyFields);
    }
    fields.iter().map(|f| field_leaf(&salts.next_salt(), f)).collect()
}

/// The root over a section's fields. `space` is working space.
pub fn section_root(
    key: &SaltKey,
    fields: &[Field<'_>],
    space: &mut Commitments,
) -> Result<SectionRoot, DisclosureError> {
    space.truncate(0);
    let mut sink = space.section(key);
    fields.iter().for_each(|f| sink.add(f));
    sink.end()?;
    Ok(space.roots()[0])
}

/// H(label ‖ u8(S) ‖ for each section u32(fields) ‖ root).
pub fn disclosure_root(sections: &[SectionRoot]) -> Hash {
    let mut bytes = Vec::with_capacity(ROOT_LABEL.len() + 1 + sections.len() * (4 + HASH_LEN));
    bytes.extend_from_slice(ROOT_LABEL);
    bytes.push(sections.len() as u8);
    for s in sections {
        bytes.extend_from_slice(&s.fields.to_be_bytes());
        bytes.extend_from_slice(&s.root.0);
    }
    Hash::of(&[&bytes])
}

/// Makes the level above `level`; an odd last node is carried up as it is, which gives RFC 6962's tree.
fn next_level(level: &mut Vec<Hash>) {
    let n = level.len();
    for i in 0..n / 2 {
        level[i] = Hash::node(&level[2 * i], &level[2 * i + 1]);
    }
    if n % 2 == 1 {
        level[n / 2] = level[n - 1];
    }
    level.truncate(n.div_ceil(2));
}

/// RFC 6962 §2.1 roots of trees that lie one after the other in `hashes`, so many leaves each as `sizes` says. All trees go up
/// one level together. What is left in `hashes` is a root for each tree that has leaves; `nodes` is working space.
fn merkle_roots(hashes: &mut Vec<Hash>, sizes: &mut [u32], nodes: &mut Padded) {
    let mut made = Vec::new();
    while sizes.iter().any(|n| *n > 1) {
        nodes.truncate(0);
        let mut rest = hashes.as_slice();
        for size in sizes.iter() {
            let (level, later) = rest.split_at(*size as usize);
            level.as_chunks().0.iter().for_each(|[left, right]| nodes.push_node(left, right));
            rest = later;
        }
        nodes.digests(&mut made);
        // An odd last node is carried up as it is.
        let (mut read, mut write, mut next) = (0, 0, 0);
        for size in sizes.iter_mut() {
            let (n, pairs) = (*size as usize, *size as usize / 2);
            hashes[write..write + pairs].copy_from_slice(&made[next..next + pairs]);
            if n % 2 == 1 {
                hashes[write + pairs] = hashes[read + n - 1];
            }
            (read, write, next) = (read + n, write + n.div_ceil(2), next + pairs);
            *size = size.div_ceil(2);
        }
        hashes.truncate(write);
    }
}

/// The inclusion path of leaf `index` (RFC 9162 §2.1.3.1), the leaf's sibling first; `None` if there is no
/// such leaf.
pub fn field_path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    leaves.get(index)?;
    let mut level = leaves.to_vec();
    let mut path = Vec::new();
    let mut at = index;
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        next_level(&mut level);
        at /= 2;
    }
    Some(path)
}

/// The root that `path` leads to from `leaf` at `index` among `fields` leaves; `None` if the path does not
/// have the length that place has. RFC 9162 §2.1.3.2.
pub fn root_from_path(leaf: Hash, index: u32, fields: u32, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, fields.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = Hash::node(sibling, &hash);
            // A node that was carried up has no sibling on the levels in between.
            while at % 2 == 0 && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            hash = Hash::node(&hash, sibling);
        }
        at /= 2;
        last /= 2;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
#[path = "disclosure_tests.rs"]
mod tests;
