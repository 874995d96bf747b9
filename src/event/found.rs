//! What one pass over an event found, kept in buffers that are used again for the next event.

use std::borrow::Cow;

use super::field::{Field, Scalar};

/// What one pass found. Positions are byte offsets into the text without the white space around it.
#[derive(Default)]
pub(super) struct Found {
    /// All pointers, one after the other.
    pub arena: String,
    /// The characters of the strings that have escapes.
    pub unescaped: String,
    pub leaves: Vec<Leaf>,
    /// Values that belong to another section, in document order.
    pub moved: Vec<Moved>,
    /// Leaves that a tag's pointer leads to.
    pub hits: Vec<Hit>,
}

/// A range of bytes.
pub(super) type Span = (u32, u32);

pub(super) struct Leaf {
    pub pointer: Span,
    /// The raw text of the value.
    pub raw: Span,
    /// Where the characters of an escaped string are.
    pub unescaped: Span,
    pub kind: Kind,
    pub section: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Escaped,
    Number,
    True,
    False,
    Null,
    EmptyObject,
    EmptyArray,
}

pub(super) struct Moved {
    pub section: u8,
    pub pointer: Span,
    pub raw: Span,
}

pub(super) struct Hit {
    pub leaf: u32,
    pub tag: u8,
}

impl Found {
    pub fn clear(&mut self) {
        self.arena.clear();
        self.unescaped.clear();
        self.leaves.clear();
        self.moved.clear();
        self.hits.clear();
    }

    pub fn pointer(&self, span: Span) -> &str {
        slice(&self.arena, span)
    }

    pub fn field<'p>(&'p self, text: &'p str, leaf: &Leaf) -> Field<'p> {
        Field { pointer: self.pointer(leaf.pointer), value: self.value(text, leaf) }
    }

    pub fn value<'p>(&'p self, text: &'p str, leaf: &Leaf) -> Scalar<'p> {
        match leaf.kind {
            Kind::Plain => {
                Scalar::String(Cow::Borrowed(slice(text, (leaf.raw.0 + 1, leaf.raw.1.saturating_sub(1)))))
            }
            Kind::Escaped => Scalar::String(Cow::Borrowed(slice(&self.unescaped, leaf.unescaped))),
            Kind::Number => Scalar::Number(slice(text, leaf.raw)),
            Kind::True => Scalar::True,
            Kind::False => Scalar::False,
            Kind::Null => Scalar::Null,
            Kind::EmptyObject => Scalar::EmptyObject,
            Kind::EmptyArray => Scalar::EmptyArray,
        }
    }
}

/// A part of a text whose borders were found by reading it, and so are always inside it.
pub(super) fn slice(text: &str, span: Span) -> &str {
    text.get(span.0 as usize..span.1 as usize).unwrap_or_default()
}

/// Fields of a text in document order, borrowed from it and from the parser.
#[derive(Clone)]
pub struct Fields<'p> {
    pub(super) found: &'p Found,
    pub(super) text: &'p str,
    pub(super) leaves: std::slice::Iter<'p, Leaf>,
    /// Only those of this section.
    pub(super) section: Option<u8>,
}

impl<'p> Iterator for Fields<'p> {
    type Item = Field<'p>;

    fn next(&mut self) -> Option<Field<'p>> {
        let section = self.section;
        let leaf = self.leaves.find(|l| section.is_none_or(|s| l.section == s))?;
        Some(self.found.field(self.text, leaf))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.leaves.len();
        (if self.section.is_none() { n } else { 0 }, Some(n))
    }
}
