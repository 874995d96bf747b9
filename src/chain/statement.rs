//! Statements: the signed texts blocks carry. `docs/FORMAT.md` §7.
//!
//! `parse` and `to_text` are exact inverses. Who may sign what, and the order of statements, is
//! [`super::replay`]'s.

use std::fmt::Write as _;

pub use super::authority::{
    ERASURE_KIND, ErasureStatement, GRANT_KIND, GrantStatement, HOLD_KIND, HoldAction, HoldStatement,
    RecordRange,
};
use super::key::{SigningKey, is_key_name};
use super::note::Note;
use super::roster::{ROSTER_KIND, Roster};
use super::text::{Lines, TextError};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_STATEMENT_BYTES};

/// First line of a records statement.
pub const RECORDS_KIND: &str = "sealtrail.org/records/v1";
/// First line of a heartbeat.
pub const HEARTBEAT_KIND: &str = "sealtrail.org/heartbeat/v1";
/// A writer's batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordsStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the writer's sequence.
    pub sequence: u64,
    /// Hash of the writer's previous statement.
    pub previous: Hash,
    /// When the batch was sealed.
    pub sealed: Timestamp,
    /// Number of records, at least one.
    pub records: u64,
    /// Length of the batch body in bytes.
    pub bytes: u64,
    /// Root over the record leaves.
    pub records_root: Hash,
    /// Root over the sorted tags.
    pub tags_root: Hash,
    /// Hash of the batch header.
    pub header_hash: Hash,
    /// Date `YYYY-MM-DD` before which the records must not be erased.
    pub retain_until: String,
}

/// A writer says it has sealed nothing since its previous statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeartbeatStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the writer's sequence.
    pub sequence: u64,
    /// Hash of the writer's previous statement.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
}

/// What a block says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// A writer's batch.
    Records(RecordsStatement),
    /// A writer has nothing to say, and says so.
    Heartbeat(HeartbeatStatement),
    /// Who may do what from now on.
    Roster(Roster),
    /// Records opened to a later reader.
    Grant(GrantStatement),
    /// Records to be erased.
    Erasure(ErasureStatement),
    /// Records that must not be erased.
    Hold(HoldStatement),
}

/// `H(statement text)`, without the signature lines: `docs/FORMAT.md` §3.
pub fn statement_hash(text: &str) -> Hash {
    Hash::of(&[text.as_bytes()])
}

impl Statement {
    /// Reads a statement's text: the text of its note.
    pub fn parse(text: &str) -> Result<Statement, TextError> {
        if text.len() > MAX_STATEMENT_BYTES {
            return Err(TextError::TooLarge { what: "statement", max: MAX_STATEMENT_BYTES });
        }
        let (kind, rest) = text.split_once('\n').ok_or(TextError::UnknownKind)?;
        let statement = match kind {
            RECORDS_KIND => Statement::Records(RecordsStatement::parse(Lines::new(rest, "records"))?),
            HEARTBEAT_KIND => Statement::Heartbeat(HeartbeatStatement::parse(Lines::new(rest, "heartbeat"))?),
            ROSTER_KIND => Statement::Roster(Roster::parse(Lines::new(rest, "roster"))?),
            GRANT_KIND => Statement::Grant(GrantStatement::parse(Lines::new(rest, "grant"))?),
            ERASURE_KIND => Statement::Erasure(ErasureStatement::parse(Lines::new(rest, "erasure"))?),
            HOLD_KIND => Statement::Hold(HoldStatement::parse(Lines::new(rest, "hold"))?),
            _ => return Err(TextError::UnknownKind),
        };
        if !is_key_name(statement.ledger()) {
            return Err(TextError::Invalid {
                what: "statement",
                name: "ledger",
                why: "not a valid origin (1 to 255 bytes without spaces, control characters or '+')",
            });
        }
        Ok(statement)
    }

    /// The exact text that is signed.
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(640);
        match self {
            Statement::Records(s) => s.write(&mut out),
            Statement::Heartbeat(s) => s.write(&mut out),
            Statement::Roster(s) => s.write(&mut out),
            Statement::Grant(s) => s.write(&mut out),
            Statement::Erasure(s) => s.write(&mut out),
            Statement::Hold(s) => s.write(&mut out),
        }
        out
    }

    /// Signs the text, if it is one that [`Statement::parse`] reads back as the same statement: a field
    /// out of its rules is found here and not by the ledger.
    pub fn sign(&self, key: &SigningKey) -> Result<Note, TextError> {
        let text = self.to_text();
        if Statement::parse(&text)? != *self {
            return Err(TextError::Invalid {
                what: "statement",
                name: self.kind(),
                why: "a value contains a line break or another line",
            });
        }
        Ok(Note::sign(&text, key))
    }

    /// The first line of the text.
    pub fn kind(&self) -> &'static str {
        match self {
            Statement::Records(_) => RECORDS_KIND,
            Statement::Heartbeat(_) => HEARTBEAT_KIND,
            Statement::Roster(_) => ROSTER_KIND,
            Statement::Grant(_) => GRANT_KIND,
            Statement::Erasure(_) => ERASURE_KIND,
            Statement::Hold(_) => HOLD_KIND,
        }
    }

    /// Ledger origin.
    pub fn ledger(&self) -> &str {
        match self {
            Statement::Records(s) => &s.ledger,
            Statement::Heartbeat(s) => &s.ledger,
            Statement::Roster(s) => &s.ledger,
            Statement::Grant(s) => &s.ledger,
            Statement::Erasure(s) => &s.ledger,
            Statement::Hold(s) => &s.ledger,
        }
    }

    /// Number in its sequence.
    pub fn sequence(&self) -> u64 {
        match self {
            Statement::Records(s) => s.sequence,
            Statement::Heartbeat(s) => s.sequence,
            Statement::Roster(s) => s.sequence,
            Statement::Grant(s) => s.sequence,
            Statement::Erasure(s) => s.sequence,
            Statement::Hold(s) => s.sequence,
        }
    }

    /// Hash of the predecessor in its sequence.
    pub fn previous(&self) -> Hash {
        match self {
            Statement::Records(s) => s.previous,
            Statement::Heartbeat(s) => s.previous,
            Statement::Roster(s) => s.previous,
            Statement::Grant(s) => s.previous,
            Statement::Erasure(s) => s.previous,
            Statement::Hold(s) => s.previous,
        }
    }

    /// When it was made, by its signer's clock.
    pub fn time(&self) -> Timestamp {
        match self {
            Statement::Records(s) => s.sealed,
            Statement::Heartbeat(s) => s.issued,
            Statement::Roster(s) => s.issued,
            Statement::Grant(s) => s.issued,
            Statement::Erasure(s) => s.issued,
            Statement::Hold(s) => s.issued,
        }
    }

    /// How many records it adds to the ledger.
    pub fn record_count(&self) -> u64 {
        if let Statement::Records(s) = self { s.records } else { 0 }
    }
}

/// Appends the lines every statement starts with.
pub(super) fn write_head(out: &mut String, kind: &str, ledger: &str, sequence: u64, previous: &Hash) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{kind}\nledger {ledger}\nsequence {sequence}\nprevious {}\n", previous.base64());
}

impl RecordsStatement {
    fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let s = RecordsStatement {
            ledger: l.value("ledger")?.to_owned(),
            sequence: l.number("sequence")?,
            previous: l.hash("previous")?,
            sealed: l.time("sealed")?,
            records: l.number("records")?,
            bytes: l.number("bytes")?,
            records_root: l.hash("records-root")?,
            tags_root: l.hash("tags-root")?,
            header_hash: l.hash("header-hash")?,
            retain_until: l.date("retain-until")?.to_owned(),
        };
        if s.records == 0 || s.records > MAX_BATCH_RECORDS as u64 {
            return l.invalid("records", "none, or more than a batch may have");
        }
        if s.bytes > MAX_BATCH_BYTES as u64 {
            return l.invalid("bytes", "larger than a batch may be");
        }
        l.finish()?;
        Ok(s)
    }

    fn write(&self, out: &mut String) {
        write_head(out, RECORDS_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = write!(
            out,
            "sealed {}\nrecords {}\nbytes {}\nrecords-root {}\ntags-root {}\nheader-hash {}\nretain-until {}\n",
            self.sealed,
            self.records,
            self.bytes,
            self.records_root.base64(),
            self.tags_root.base64(),
            self.header_hash.base64(),
            self.retain_until
        );
    }
}

impl HeartbeatStatement {
    fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let s = HeartbeatStatement {
            ledger: l.value("ledger")?.to_owned(),
            sequence: l.number("sequence")?,
            previous: l.hash("previous")?,
            issued: l.time("issued")?,
        };
        l.finish()?;
        Ok(s)
    }

    fn write(&self, out: &mut String) {
        write_head(out, HEARTBEAT_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = writeln!(out, "issued {}", self.issued);
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
