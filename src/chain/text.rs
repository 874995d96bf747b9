//! Lines `name value`: the form of statements, block heads and checkpoints. `docs/FORMAT.md` §7.
//!
//! One value has one spelling: what parses here formats to the same bytes.

use super::key::{KeyError, KeyKind, VerifierKey};
use crate::base::clock::{Timestamp, is_date};
use crate::base::hash::Hash;

/// Why a text is not what it should be. `what` names the kind of text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Another line than this one, or the end.
    #[error("{what}: expected the line '{name}'")]
    Missing {
        /// Kind of text.
        what: &'static str,
        /// The line that should be here.
        name: &'static str,
    },
    /// A value is not in the one form the format allows.
    #[error("{what}: the value of '{name}' is not valid: {why}")]
    Invalid {
        /// Kind of text.
        what: &'static str,
        /// The line.
        name: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A key does not parse.
    #[error("{what}: the key in '{name}' is not valid: {source}")]
    Key {
        /// Kind of text.
        what: &'static str,
        /// The line.
        name: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Lines follow the last one.
    #[error("{what}: unexpected lines after the last one")]
    Trailing {
        /// Kind of text.
        what: &'static str,
    },
    /// The first line names no kind of statement this version knows.
    #[error("the first line names no known kind of statement")]
    UnknownKind,
    /// Longer than its limit.
    #[error("{what}: larger than {max} bytes")]
    TooLarge {
        /// Kind of text.
        what: &'static str,
        /// The limit, in bytes.
        max: usize,
    },
}

/// A number as the format writes it: decimal digits, no leading zero.
pub fn parse_number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Reads lines from the front of a text.
pub struct Lines<'a> {
    rest: &'a str,
    what: &'static str,
}

impl<'a> Lines<'a> {
    /// Starts at the front of `text`; `what` names it in errors.
    pub fn new(text: &'a str, what: &'static str) -> Self {
        Lines { rest: text, what }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next whole line, without its newline.
    pub fn line(&mut self, name: &'static str) -> Result<&'a str, TextError> {
        let missing = TextError::Missing { what: self.what, name };
        let (line, rest) = self.rest.split_once('\n').ok_or(missing)?;
        self.rest = rest;
        Ok(line)
    }

    /// The next line, which must be exactly `literal`.
    pub fn literal(&mut self, literal: &'static str) -> Result<(), TextError> {
        if self.line(literal)? == literal {
            Ok(())
        } else {
            Err(TextError::Missing { what: self.what, name: literal })
        }
    }

    /// The value of the next line if that line is `name value`; otherwise nothing is read.
    pub fn optional(&mut self, name: &'static str) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        self.rest = rest;
        Some(value)
    }

    /// The value of the next line, which must be `name value`.
    pub fn value(&mut self, name: &'static str) -> Result<&'a str, TextError> {
        self.optional(name).ok_or(TextError::Missing { what: self.what, name })
    }

    /// An error about the value of line `name`.
    pub fn invalid<T>(&self, name: &'static str, why: &'static str) -> Result<T, TextError> {
        Err(TextError::Invalid { what: self.what, name, why })
    }

    fn convert<T>(
        &mut self,
        name: &'static str,
        why: &'static str,
        f: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, TextError> {
        match f(self.value(name)?) {
            Some(value) => Ok(value),
            None => self.invalid(name, why),
        }
    }

    /// A decimal number without leading zeros.
    pub fn number(&mut self, name: &'static str) -> Result<u64, TextError> {
        self.convert(name, "expected a decimal number without leading zeros", parse_number)
    }

    /// A hash in base64.
    pub fn hash(&mut self, name: &'static str) -> Result<Hash, TextError> {
        self.convert(name, "expected 32 bytes in base64", Hash::from_base64)
    }

    /// A time in UTC with milliseconds.
    pub fn time(&mut self, name: &'static str) -> Result<Timestamp, TextError> {
        self.convert(name, "expected a time YYYY-MM-DDThh:mm:ss.mmmZ", Timestamp::parse)
    }

    /// A date.
    pub fn date(&mut self, name: &'static str) -> Result<&'a str, TextError> {
        self.convert(name, "expected a date YYYY-MM-DD", |text| is_date(text).then_some(text))
    }

    /// A verifier key of the given kind from the text of line `name`.
    pub fn key(&self, name: &'static str, text: &str, kind: KeyKind) -> Result<VerifierKey, TextError> {
        let error = |source| TextError::Key { what: self.what, name, source };
        let key = VerifierKey::parse(text).map_err(error)?;
        if key.kind() == kind { Ok(key) } else { Err(error(KeyError::Kind(key.kind() as u8))) }
    }

    /// Ends the reading; an error if anything is left.
    pub fn finish(self) -> Result<(), TextError> {
        if self.rest.is_empty() { Ok(()) } else { Err(TextError::Trailing { what: self.what }) }
    }
}
