//! Why sealing was refused, and what to do about it.

use super::aead::AeadError;
use super::disclosure::DisclosureError;
use super::kem::KemError;
use super::reader_key::Recipient;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_RECORD_BYTES, MAX_TAGS};
use crate::base::wire::WireError;

/// Why a batch or a record was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A section names a reader the batch does not have.
    #[error(
        "section `{section}` is to be sealed for {reader}, which is not among the batch's readers: add it there"
    )]
    UnknownReader {
        /// Section name.
        section: String,
        /// The reader.
        reader: Recipient,
    },
    /// A reader of the batch is in no section.
    #[error("reader {0} is listed but may read no section: add it to one, or remove it")]
    IdleReader(Recipient),
    /// The batch header is outside the format.
    #[error(transparent)]
    Header(#[from] WireError),
    /// The key exchange with a reader failed.
    #[error("cannot seal for reader {reader}: {problem}")]
    Kem {
        /// The reader.
        reader: Recipient,
        /// Why.
        problem: KemError,
    },
    /// The position is beyond the largest batch.
    #[error("record {0} of a batch: a batch holds at most {MAX_BATCH_RECORDS} records")]
    Position(u32),
    /// The position was sealed before.
    #[error(
        "record {0} of this batch was sealed before: sealing it again would reuse its key slots; start a new batch"
    )]
    PositionUsed(u32),
    /// Another number of sections than the batch has.
    #[error("the record has {found} sections, the batch {expected}")]
    Sections {
        /// Number of sections of the batch.
        expected: usize,
        /// Number of sections given.
        found: usize,
    },
    /// The fields cannot be committed to.
    #[error(transparent)]
    Fields(#[from] DisclosureError),
    /// A tag for a section or field the batch does not have.
    #[error("a blind tag names section number {section} and field `{field}`, which the batch does not have")]
    UnknownTag {
        /// Section number.
        section: usize,
        /// Field name.
        field: String,
    },
    /// Too many different tags.
    #[error("the record has more than {MAX_TAGS} blind tags: make fewer fields searchable")]
    TooManyTags,
    /// The record would be larger than allowed.
    #[error("the sealed record would be {0} bytes, the most is {MAX_RECORD_BYTES}: shorten the event")]
    RecordTooLarge(usize),
    /// The records given are not those that were sealed.
    #[error(
        "{given} records were given for a batch in which {sealed} were sealed; both must be 0 to n − 1, n at least 1"
    )]
    Incomplete {
        /// Number of records given.
        given: usize,
        /// Number of positions sealed.
        sealed: usize,
    },
    /// The body would be larger than allowed.
    #[error("the batch would be {0} bytes, the most is {MAX_BATCH_BYTES}: put fewer records into one batch")]
    BatchTooLarge(usize),
    /// The cipher refused the plaintext.
    #[error(transparent)]
    Cipher(#[from] AeadError),
}
