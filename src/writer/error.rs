//! Why a batch could not be made.

use crate::base::random::RandomError;
use crate::base::wire::WireError;
use crate::chain::batch::BatchError;
use crate::event::error::EventError;
use crate::seal::reader_key::KeyError;
use crate::seal::sealer::SealError;

/// Why a batch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// An event is not acceptable; the batch goes on without its request.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A section of the policy has no reader in the roster.
    #[error(
        "section {0:?} of the policy has no reader in the roster: add one with `reader add`, or change the policy's reader names"
    )]
    NoReader(String),
    /// A recipient in the roster is not usable.
    #[error("the roster's reader {name} has an unusable key: {source}")]
    Recipient {
        /// The reader.
        name: String,
        /// What is wrong.
        source: KeyError,
    },
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The batch broke a limit of the format.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The finished batch did not pass its own check.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The search secret of the period could not be loaded or kept.
    #[error("the search secret of period {period} cannot be used: {why}")]
    Search {
        /// The period.
        period: String,
        /// What is wrong.
        why: String,
    },
    /// More than one batch can hold.
    #[error("the request is too large for one batch; send fewer events at once")]
    Full,
    /// There is nothing to seal.
    #[error("there are no events to seal")]
    Empty,
    /// The batch before this one was not committed.
    #[error("the batch before this one was not stored")]
    Broken,
    /// The writer was used in a way it is not made for.
    #[error("the batch could not be made: {0}")]
    Internal(&'static str),
}
