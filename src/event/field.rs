//! A leaf value of an event and the JSON Pointer it stands at: what a record commits to, one by one.
//! `docs/FORMAT.md` §5, Fields.

use std::borrow::Cow;

/// One leaf of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// JSON Pointer (RFC 6901) in the original event; empty only for an event that is `{}`.
    pub pointer: &'a str,
    /// The value found there.
    pub value: Scalar<'a>,
}

/// A value without parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scalar<'a> {
    /// A string's characters, after unescaping.
    String(Cow<'a, str>),
    /// A number's text as it stands in the event.
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
