//! One block: a head of five lines and the signed statement. `docs/FORMAT.md` §8.

use std::fmt;

use super::merkle::leaf_hash;
use super::note::{Note, NoteError};
use super::text::{Lines, TextError};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::MAX_BLOCK_BYTES;

/// First line of a block.
const BLOCK_KIND: &str = "sealtrail.org/block/v1";
/// What errors call it.
const WHAT: &str = "block";

/// Why a text is not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The head is malformed, or the whole is too large.
    #[error(transparent)]
    Head(#[from] TextError),
    /// The statement is no signed note.
    #[error("the block's statement is not a signed note: {0}")]
    Statement(#[from] NoteError),
}

/// A block. Its place in the chain is [`super::replay`]'s to check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its number, from 0; also its index in the log.
    pub height: u64,
    /// Hash of block `height − 1`; zero bytes at height 0.
    pub previous: Hash,
    /// When the ledger made it; never before its predecessor's.
    pub committed: Timestamp,
    /// Index of its first record, or of the ledger's next one if it has none.
    pub first_record: u64,
    /// The signed statement.
    pub statement: Note,
}

impl Block {
    /// Reads a block text; the inverse of [`Display`](fmt::Display).
    pub fn parse(text: &str) -> Result<Block, BlockError> {
        if text.len() > MAX_BLOCK_BYTES {
            return Err(TextError::TooLarge { what: WHAT, max: MAX_BLOCK_BYTES }.into());
        }
        let mut l = Lines::new(text, WHAT);
        l.literal(BLOCK_KIND)?;
        let height = l.number("height")?;
        let previous = l.hash("previous")?;
        let committed = l.time("committed")?;
        let first_record = l.number("first-record")?;
        l.literal("")?;
        Ok(Block { height, previous, committed, first_record, statement: Note::parse(l.rest())? })
    }

    /// The block's leaf in the log: `H(0x00 ‖ block text)`.
    pub fn hash(&self) -> Hash {
        Self::hash_text(&self.to_string())
    }

    /// [`Block::hash`] of a block text that is at hand.
    pub fn hash_text(text: &str) -> Hash {
        leaf_hash(text.as_bytes())
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{BLOCK_KIND}\nheight {}\nprevious {}\ncommitted {}\nfirst-record {}\n\n{}",
            self.height,
            self.previous.base64(),
            self.committed,
            self.first_record,
            self.statement
        )
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
