//! What a verified evidence file says: only what was checked, or is marked as somebody's word.

use serde::Serialize;

use crate::base::clock::Timestamp;
use crate::chain::policy::Met;

use super::manifest::Words;

/// What an evidence file has proved.
#[derive(Clone, PartialEq, Eq)]
pub struct EvidenceReport {
    /// The ledger's origin.
    pub ledger: String,
    /// Number of blocks of the checkpoint everything was proved against.
    pub blocks: u64,
    /// Root of that checkpoint, base64.
    pub root: String,
    /// How the checkpoint meets the witness policy, if one was given.
    pub witnesses: Option<Met>,
    /// When the file was made, by the exporter's clock.
    pub created: Timestamp,
    /// The exporter's words: not proved by the ledger.
    pub words: Words,
    /// Who put the file together.
    pub signer: Signer,
    /// The records, ascending.
    pub records: Vec<RecordReport>,
}

/// Who put an evidence file together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signer {
    /// Anybody: there is no signature.
    Unsigned,
    /// The holder of this key; nobody said whose it should be.
    Unknown(String),
    /// The holder of the key the verifier gave.
    Checked(String),
}

/// What is proved of one record.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordReport {
    /// Index in the ledger.
    pub record: u64,
    /// Height of its block.
    pub block: u64,
    /// When the ledger committed it, by the ledger's clock.
    pub committed: Timestamp,
    /// When the writer sealed it, by the writer's clock.
    pub sealed: Timestamp,
    /// Name of the writer.
    pub writer: String,
    /// Whether the writer's signature was verified with a key the verifier gave.
    pub writer_checked: bool,
    /// SHA-256 of the ciphertext, hexadecimal.
    pub ciphertext_sha256: String,
    /// What is shown of it.
    pub content: ContentReport,
    /// The exporter's words about it.
    pub note: Option<String>,
}

/// What is shown of a record.
#[derive(Clone, PartialEq, Eq)]
pub enum ContentReport {
    /// Nothing.
    NotShown,
    /// It was ordered to be erased.
    Erased(ErasureReport),
    /// Some or all of its fields.
    Shown(ShownReport),
}

/// The order to erase a record, as the ledger has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ErasureReport {
    /// Height of the block with the order.
    pub block: u64,
    /// When the ledger committed the order.
    #[serde(serialize_with = "as_text")]
    pub committed: Timestamp,
    /// Reason code.
    pub reason: String,
    /// Legal basis.
    pub legal_basis: String,
    /// Names on the order's signature lines.
    pub signed_by: Vec<String>,
}

/// The sections of a shown record.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownReport {
    /// In the batch's order.
    pub sections: Vec<SectionReport>,
    /// The event as the exporter wrote it down, if all its first section is shown. Proved of it are the fields of `sections`;
    /// not its white space and escapes, nor where markers of withheld values stand.
    pub event: Option<String>,
}

/// One section.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Its name.
    pub name: String,
    /// How many fields it has.
    pub fields: u32,
    /// Those that are shown, in document order.
    pub shown: Vec<FieldReport>,
}

/// One field.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FieldReport {
    /// Which of the section's fields, from 0.
    pub index: u32,
    /// JSON Pointer in the event.
    pub pointer: String,
    /// `string`, `number`, `true`, `false`, `null`, `empty-object` or `empty-array`.
    pub kind: &'static str,
    /// A string's characters or a number's text; empty for the other kinds.
    pub value: String,
}

/// The word of [`FieldReport::kind`] for a kind byte of the format.
pub fn kind_word(kind: u8) -> &'static str {
    match kind {
        b's' => "string",
        b'n' => "number",
        b't' => "true",
        b'f' => "false",
        b'z' => "null",
        b'o' => "empty-object",
        _ => "empty-array",
    }
}

pub(super) fn as_text<S: serde::Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(t)
}

/// Personal data: only the number of records is printed.
impl std::fmt::Debug for EvidenceReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceReport").field("records", &self.records.len()).finish_non_exhaustive()
    }
}
