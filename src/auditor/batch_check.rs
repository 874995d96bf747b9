//! One batch against the statement that signs it: what every whole verification does to a body, on any thread.

use std::sync::Arc;

use crate::chain::authority::RecordRange;
use crate::chain::batch::{self, BatchCommitment, BatchError};
use crate::chain::block::Block;
use crate::chain::roster::Roster;
use crate::chain::statement::RecordsStatement;

/// Why a body is not what its writer signed.
#[derive(Debug, thiserror::Error)]
pub enum BatchFault {
    /// There is none.
    #[error("the body with its {records} records is missing")]
    Missing {
        /// Records it should hold.
        records: u64,
    },
    /// It cannot be read.
    #[error("its body is damaged: {0}")]
    Damaged(BatchError),
    /// There is no roster, so nobody may write.
    #[error("no roster allows its writer")]
    NoRoster,
    /// It can be read, and is not what was signed.
    #[error("its body is not what the writer signed: {0}")]
    NotSigned(BatchError),
}

/// A block with records, whose statement the chain has accepted, and its body.
pub struct Batch {
    /// Height of the block.
    pub height: u64,
    /// Index of its first record.
    pub first_record: u64,
    statement: RecordsStatement,
    writer: String,
    /// In force at this block.
    roster: Option<Arc<Roster>>,
    /// The stored bytes.
    pub body: Vec<u8>,
}

impl Batch {
    /// The batch of `block`, whose statement this is, under the roster in force.
    pub fn new(
        block: &Block,
        statement: RecordsStatement,
        roster: Option<Arc<Roster>>,
        body: Vec<u8>,
    ) -> Batch {
        Batch {
            height: block.height,
            first_record: block.first_record,
            statement,
            writer: block.statement.signer_name().to_owned(),
            roster,
            body,
        }
    }

    /// What the writer signed.
    pub fn statement(&self) -> &RecordsStatement {
        &self.statement
    }

    /// The roster in force.
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_deref()
    }

    /// The hashes of the body.
    pub fn hash(&self) -> Result<BatchCommitment, BatchFault> {
        if self.body.is_empty() {
            return Err(BatchFault::Missing { records: self.statement.records });
        }
        batch::commit(&self.body).map_err(BatchFault::Damaged)
    }

    /// Whether these hashes of the body are what was signed. Gives the records that are erased, which somebody must have ordered.
    pub fn check(&self, found: &BatchCommitment) -> Result<Vec<RecordRange>, BatchFault> {
        self.check_signed(found)?;
        Ok(if found.erased > 0 { batch::erased_in(self.first_record, &self.body) } else { Vec::new() })
    }

    /// [`Batch::check`] for hashes that were made elsewhere than from [`Batch::body`].
    pub fn check_signed(&self, found: &BatchCommitment) -> Result<(), BatchFault> {
        let roster = self.roster.as_deref().ok_or(BatchFault::NoRoster)?;
        batch::check_erased(&self.statement, &self.writer, found, roster).map_err(BatchFault::NotSigned)
    }
}
