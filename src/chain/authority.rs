//! Statements of the authority sequence beside the roster: grants and erasures. `docs/FORMAT.md` §7.

use std::fmt::Write as _;

use super::recipient::recipient_key;
use super::roster::named_recipient;
use super::statement::write_head;
use super::text::{Lines, TextError, parse_number};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;

/// First line of a grant.
pub const GRANT_KIND: &str = "sealtrail.org/grant/v1";
/// First line of an erasure.
pub const ERASURE_KIND: &str = "sealtrail.org/erasure/v1";

/// Longest reason code, from the format.
const REASON_CHARS: usize = 64;
/// Longest legal basis, from the format.
const LEGAL_BASIS_CHARS: usize = 1000;

/// A range of records is re-wrapped for a later reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The records.
    pub range: RecordRange,
    /// Recipient whose slots were re-wrapped.
    pub from: String,
    /// Name of the new reader.
    pub to_name: String,
    /// Recipient of the new reader.
    pub to: String,
    /// Hash over the new slots.
    pub slots_hash: Hash,
}

/// Ciphertext, slots and tags of records are to be erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The records: at least one range; ranges ascend and do not touch.
    pub records: Vec<RecordRange>,
    /// Reason code: 1 to 64 characters of `a-z 0-9 . -`.
    pub reason: String,
    /// Legal basis: 1 to 1000 characters on one line.
    pub legal_basis: String,
}

/// Records `first` to `last` of the ledger, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRange {
    /// Index of the first record.
    pub first: u64,
    /// Index of the last record, not below `first`.
    pub last: u64,
}

impl GrantStatement {
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let range = RecordRange { first: l.number("first-record")?, last: l.number("last-record")? };
        if range.first > range.last {
            return l.invalid("last-record", "below first-record");
        }
        let from = l.value("from")?.to_owned();
        if recipient_key(&from).is_none() {
            return l.invalid("from", "expected age1…");
        }
        let to = l.value("to")?;
        let (to_name, to) = named_recipient(&l, "to", to)?;
        let slots_hash = l.hash("slots-hash")?;
        l.finish()?;
        Ok(GrantStatement { ledger, sequence, previous, issued, range, from, to_name, to, slots_hash })
    }

    pub(super) fn write(&self, out: &mut String) {
        write_head(out, GRANT_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = write!(
            out,
            "issued {}\nfirst-record {}\nlast-record {}\nfrom {}\nto {} {}\nslots-hash {}\n",
            self.issued,
            self.range.first,
            self.range.last,
            self.from,
            self.to_name,
            self.to,
            self.slots_hash.base64()
        );
    }
}

impl ErasureStatement {
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let mut records: Vec<RecordRange> = Vec::new();
        while let Some(text) = l.optional("records") {
            let Some(range) = RecordRange::parse(text) else {
                return l.invalid("records", "expected A..B with A not above B");
            };
            // "Apart": two ranges that touch are one range, which has its own spelling.
            if records.last().is_some_and(|r| range.first <= r.last.saturating_add(1)) {
                return l.invalid("records", "ranges must ascend and not touch");
            }
            records.push(range);
        }
        if records.is_empty() {
            return l.invalid("records", "at least one range is needed");
        }
        let reason = l.value("reason")?.to_owned();
        let code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        if reason.is_empty() || reason.len() > REASON_CHARS || !reason.bytes().all(code) {
            return l.invalid("reason", "expected 1 to 64 characters of a-z 0-9 . -");
        }
        let legal_basis = l.value("legal-basis")?.to_owned();
        let length = legal_basis.chars().count();
        if length == 0 || length > LEGAL_BASIS_CHARS || legal_basis.chars().any(char::is_control) {
            return l.invalid("legal-basis", "expected 1 to 1000 characters of text on one line");
        }
        if legal_basis.trim() != legal_basis {
            return l.invalid("legal-basis", "white space at the beginning or end");
        }
        l.finish()?;
        Ok(ErasureStatement { ledger, sequence, previous, issued, records, reason, legal_basis })
    }

    pub(super) fn write(&self, out: &mut String) {
        write_head(out, ERASURE_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = writeln!(out, "issued {}", self.issued);
        for r in &self.records {
            let _ = writeln!(out, "records {}..{}", r.first, r.last);
        }
        let _ = write!(out, "reason {}\nlegal-basis {}\n", self.reason, self.legal_basis);
    }
}

impl RecordRange {
    /// `A..B`, A not above B.
    fn parse(text: &str) -> Option<RecordRange> {
        let (first, last) = text.split_once("..")?;
        let range = RecordRange { first: parse_number(first)?, last: parse_number(last)? };
        (range.first <= range.last).then_some(range)
    }
}
