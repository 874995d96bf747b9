//! Records as an auditor sees them: where they stand in the chain, and what is inside if it may be read. Everything above
//! the download (search, SQL, reports, evidence, rules) works on [`Records`] and does not care where they come from.

use std::ops::Range;
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::secret::SecretBytes;
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// One record of a verified ledger.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// Index in the ledger.
    pub index: u64,
    /// Height of its block.
    pub block: u64,
    /// Position in its batch, from 0.
    pub position: u32,
    /// When the ledger committed the block, by the ledger's clock.
    pub committed: Timestamp,
    /// When the writer sealed the batch, by the writer's clock.
    pub sealed: Timestamp,
    /// Key name of the writer.
    pub writer: Arc<str>,
    /// Date `YYYY-MM-DD` before which it must not be erased.
    pub retain_until: Arc<str>,
    /// What is inside.
    pub content: Content,
}

/// What an auditor gets to see of a record.
#[derive(Clone)]
pub enum Content {
    /// Opened, and every check passed.
    Opened {
        /// The event's bytes. Fields of sections this identity may not read stand as `{"$sealed":"NAME"}`; if it is the first
        /// section that it may not read, the readable sections stand one a line.
        event: SecretBytes,
        /// Names of the sections this identity may not read.
        withheld: Vec<String>,
    },
    /// Sealed for others: it exists, and that is all this identity may know.
    NotForYou,
    /// Gone by order of the erasure statement in this block.
    Erased {
        /// Height of the block with the order; `None` if the source has not seen the chain.
        by_block: Option<u64>,
    },
    /// The writer sealed something that does not open or is no event. The statement it signed names it.
    Unreadable {
        /// What is wrong.
        why: String,
    },
}

impl Content {
    /// The event, if it was opened.
    pub fn event(&self) -> Option<&[u8]> {
        match self {
            Content::Opened { event, .. } => Some(event),
            Content::NotForYou | Content::Erased { .. } | Content::Unreadable { .. } => None,
        }
    }

    /// Names of withheld sections; none unless opened.
    pub fn withheld(&self) -> &[String] {
        match self {
            Content::Opened { withheld, .. } => withheld,
            Content::NotForYou | Content::Erased { .. } | Content::Unreadable { .. } => &[],
        }
    }

    /// One word: `opened`, `partly-opened`, `not-for-you`, `erased` or `unreadable`.
    pub fn state(&self) -> &'static str {
        match self {
            Content::Opened { withheld, .. } if withheld.is_empty() => "opened",
            Content::Opened { .. } => "partly-opened",
            Content::NotForYou => "not-for-you",
            Content::Erased { .. } => "erased",
            Content::Unreadable { .. } => "unreadable",
        }
    }
}

/// Events are personal data: only the state is printed.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.state())
    }
}

/// The signed head that everything was verified against.
#[derive(Clone, Debug)]
pub struct AsOf {
    /// The ledger's origin.
    pub ledger: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// Number of blocks it covers.
    pub blocks: u64,
    /// Number of records in them.
    pub records: u64,
    /// When the last block was committed.
    pub committed: Option<Timestamp>,
}

/// The records could not be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordsError {
    /// They cannot be reached, or are not there; nothing is said about the ledger.
    #[error("{0}")]
    Unavailable(String),
    /// The copy contradicts itself or what was verified before.
    #[error("{0}")]
    Damaged(String),
}

/// An iterator over records.
pub type RecordStream = Box<dyn Iterator<Item = Result<AuditRecord, RecordsError>> + Send>;
/// An iterator over blocks with their statements.
pub type BlockStream = Box<dyn Iterator<Item = Result<(Block, Statement), RecordsError>> + Send>;

/// A ledger whose records an auditor can go through. Implementations have verified what they give: a record that is not in
/// the checkpoint of [`Records::as_of`], or not what was committed, never comes out.
pub trait Records: Send + Sync {
    /// The head all of it was verified against.
    fn as_of(&self) -> &AsOf;

    /// The records of an index range that lies inside the ledger, ascending, none left out. Memory is bounded however long the range.
    fn records(&self, range: Range<u64>) -> RecordStream;

    /// Blocks from `range`, ascending: who was let in, what was erased, who was silent.
    fn blocks(&self, range: Range<u64>) -> BlockStream;
}
