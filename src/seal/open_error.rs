//! Why a record was not opened: each error names the batch, and so the signed statement, it is about.

use std::fmt;

use super::disclosure::DisclosureError;
use super::kem::KemError;
use crate::base::wire::WireError;

/// Which batch an error is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchName {
    /// Writer key name.
    pub writer: String,
    /// The writer's statement sequence number.
    pub sequence: u64,
}

impl fmt::Display for BatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {} of {}", self.sequence, self.writer)
    }
}

/// Which section of which record an error is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The batch.
    pub batch: BatchName,
    /// Position of the record in it, from 0.
    pub position: u32,
    /// Section name.
    pub section: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "section `{}` of record {} of {}", self.section, self.position, self.batch)
    }
}

/// Why a record was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The identity is not among the readers.
    #[error(
        "{0} is not sealed for this identity: only the readers named in its header, and those it was granted to, can open it"
    )]
    NotAReader(BatchName),
    /// The header is outside the format.
    #[error("the header of {batch} is not valid: {problem}")]
    Header {
        /// The batch.
        batch: BatchName,
        /// What is wrong.
        problem: WireError,
    },
    /// The key exchange or the search secrets in the header do not work out.
    #[error(
        "the header of {batch} names this reader but does not open for them ({problem}): either these \
            are not the bytes the ledger holds, or the writer that signed them sealed something else"
    )]
    Envelope {
        /// The batch.
        batch: BatchName,
        /// What failed.
        problem: KemError,
    },
    /// The record's bytes are outside the format, or do not fit the batch.
    #[error("record {position} of {batch} is not valid: {problem}")]
    Record {
        /// The batch.
        batch: BatchName,
        /// Position of the record.
        position: u32,
        /// What is wrong.
        problem: WireError,
    },
    /// Only the proof inputs are left.
    #[error(
        "record {position} of {batch} was erased; its existence can still be proved, its content is gone"
    )]
    Erased {
        /// The batch.
        batch: BatchName,
        /// Position of the record.
        position: u32,
    },
    /// The key in the slot is not the one committed to.
    #[error(
        "{0}: the key in this reader's slot is not the one the record commits to. If the record's proof \
            holds, the writer that signed the batch sealed something else; if not, the bytes were \
            changed or belong elsewhere"
    )]
    Commitment(Box<Place>),
    /// The key in a granted slot is not the one committed to.
    #[error(
        "{0}: the key in the granted slot is not the one the record commits to. The record itself is not in question: whoever \
            made the grant wrapped something else, or the grant was changed on its way. Ask for a new grant"
    )]
    GrantedSlot(Box<Place>),
    /// The ciphertext does not authenticate.
    #[error(
        "{0}: the ciphertext does not authenticate. If the record's proof holds, the writer that signed \
            the batch sealed something else; if not, the bytes were changed or belong elsewhere"
    )]
    Ciphertext(Box<Place>),
    /// The padding is wrong; only the writer can have done that.
    #[error("{0}: the padding is not the format's; the writer that signed the batch does not follow it")]
    Padding(Box<Place>),
    /// The payload's fields are outside the limits.
    #[error("{place}: {problem}")]
    Fields {
        /// The section.
        place: Box<Place>,
        /// What is wrong.
        problem: DisclosureError,
    },
    /// The fields are not those committed to.
    #[error(
        "{0}: the fields are not the ones the record commits to. If the record's proof holds, the writer \
            that signed the batch sealed something else; if not, the bytes were changed"
    )]
    Disclosure(Box<Place>),
    /// The session challenge does not open.
    #[error(
        "the session challenge does not open with this identity ({0}): check that the identity belongs to the reader named, and the ledger's origin"
    )]
    Challenge(KemError),
}
