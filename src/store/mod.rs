//! Where a ledger's blocks are kept. In scope: durable appends with compare-and-swap, reads, look-up
//! indexes. Out of scope: what a block means. A store never parses a statement, hashes a tree or checks a
//! signature; it keeps what it is given and refuses what does not continue what it has.
//!
//! Two back ends answer alike, held to it by `tests/store_conformance.rs`: [`SqliteStore`], one file, and
//! [`MemoryStore`], the reference. A further one implements [`Store`] and runs the same tests.

mod check;
mod erase;
mod error;
mod lock;
pub mod mark;
mod memory;
mod sqlite;
mod tags;

use std::ops::Range;
use std::time::Duration;

use crate::base::hash::Hash;
use crate::base::record::{LEAF_INPUTS_LEN, Tag};

pub use erase::{ErasedBody, erase_from_body};
pub use error::StoreError;
pub use lock::LockFile;
pub use memory::MemoryStore;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use sqlite::fuzzing;
pub use sqlite::{IndexShape, SHM, Space, SqliteStore, WAL};
pub use tags::body_tags;

/// A blind tag as a big-endian number, and the position in its batch of a record that carries it.
pub type BlockTag = (u64, u32);

/// One block to append, with everything that is kept about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBlock {
    /// Index of the block: the number of blocks before it.
    pub height: u64,
    /// Ledger index of its first record, or of the next one if it has none.
    pub first_record: u64,
    /// Number of its records.
    pub records: u32,
    /// The block text with the signed statement. Permanent.
    pub text: Vec<u8>,
    /// [`LEAF_INPUTS_LEN`](crate::base::record::LEAF_INPUTS_LEN) bytes per record. Permanent.
    pub leaf_inputs: Vec<u8>,
    /// Name of who signed the statement; empty for the authority chain.
    pub signer: String,
    /// The statement's number in that signer's sequence; no two blocks share signer and number.
    pub sequence: u64,
    /// If there are records, their encoded [`Body`](crate::base::batch::Body); if there are none, bytes that belong to the
    /// statement, such as a grant's slots, or `None`. Never empty. A later erasure may change it.
    pub body: Option<Vec<u8>>,
    /// The tags in that body, sorted: [`body_tags`].
    pub tags: Vec<BlockTag>,
}

/// The state of the ledger after its last block, replaced with every append.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Number of blocks.
    pub size: u64,
    /// Number of records in all blocks.
    pub records: u64,
    /// The signed checkpoint over these blocks.
    pub checkpoint: Vec<u8>,
    /// An opaque snapshot of the replay state of the layer above.
    pub state: Vec<u8>,
}

/// What is known of a stored block without reading its contents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockInfo {
    /// Index of the block.
    pub height: u64,
    /// Ledger index of its first record, or of the next one if it has none.
    pub first_record: u64,
    /// Number of its records.
    pub records: u32,
    /// Name of who signed the statement; empty for the authority chain.
    pub signer: String,
    /// The statement's number in that signer's sequence.
    pub sequence: u64,
}

impl BlockInfo {
    /// Whether the record with this index is one of its records.
    pub fn holds(&self, record: u64) -> bool {
        record.checked_sub(self.first_record).is_some_and(|position| position < u64::from(self.records))
    }
}

/// One record and what is needed to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// The block that holds it.
    pub info: BlockInfo,
    /// Its position in that block, from 0.
    pub position: u32,
    /// The encoded batch header.
    pub header: Vec<u8>,
    /// The encoded record.
    pub record: Vec<u8>,
}

/// What an existence proof of one record is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProofParts {
    /// The block that holds it.
    pub block: BlockInfo,
    /// The text of that block.
    pub text: Vec<u8>,
    /// The derived value that was asked for with it.
    pub derived: Option<Vec<u8>>,
    /// The leaf inputs of the record and its neighbours.
    pub leaf_inputs: Vec<u8>,
}

/// Sizes, for people and for metrics. Cheap enough to ask for every few seconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreStats {
    /// Number of blocks.
    pub blocks: u64,
    /// Number of records.
    pub records: u64,
    /// Bytes of block texts.
    pub text_bytes: u64,
    /// Bytes of leaf inputs.
    pub leaf_bytes: u64,
    /// Bytes of batch bodies, as they are read.
    pub body_bytes: u64,
    /// Bytes they take: less, if what the leaf inputs say already is not kept twice.
    pub stored_body_bytes: u64,
    /// Values kept for the layers above.
    pub derived_rows: u64,
    /// Bytes of those values.
    pub derived_bytes: u64,
    /// Sorted runs of the ciphertext and tag indexes; [`Store::maintain`] keeps them few.
    pub index_runs: u64,
    /// Bytes of those runs.
    pub index_bytes: u64,
    /// How many of them are for tags; the others are for ciphertext hashes.
    pub index_tag_bytes: u64,
    /// Records whose index entries are in memory, because they are in no run yet.
    pub tail_records: u64,
    /// Size of the database file in bytes; 0 in memory.
    pub file_bytes: u64,
    /// Size of its write-ahead log in bytes; 0 in memory.
    pub wal_bytes: u64,
}

/// Something in a store that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreFault {
    /// Where.
    pub part: StorePart,
    /// The block concerned, if one can be named.
    pub height: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// A part of a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StorePart {
    /// Tables, indexes and triggers.
    Definitions,
    /// Pages of the file, and what the database engine keeps for itself.
    Pages,
    /// Rows of blocks.
    Blocks,
    /// Leaf inputs.
    LeafInputs,
    /// Bodies.
    Bodies,
    /// The head, and what it counts.
    Head,
    /// The look-up index.
    Index,
}

/// Keeps the blocks of one ledger. Reads see the last append that returned, never wait for a writer, and
/// give `None` for what is not there; errors are the store's own trouble.
pub trait Store: Send + Sync {
    /// Origin of the ledger this store belongs to.
    fn origin(&self) -> &str;

    /// The state after the last append; `None` before the first. After [`StoreError::Uncertain`] this
    /// answers only once the outcome is known.
    fn head(&self) -> Result<Option<Head>, StoreError>;

    /// Appends blocks (none is allowed), sets `derived` values and replaces the head, all or nothing and
    /// durable on return. `expected_size` must be the stored head's size (0 before the first append), or it
    /// is a [`StoreError::Conflict`]. Every error but [`StoreError::Uncertain`] means that nothing was kept.
    fn append(
        &self,
        expected_size: u64,
        blocks: &[NewBlock],
        derived: &[(String, Vec<u8>)],
        head: &Head,
    ) -> Result<(), StoreError>;

    /// Replaces records by what remains of them (`docs/FORMAT.md` §5, kind 0x02): ciphertext, slots and tags leave the bodies
    /// and the indexes; block texts and leaf inputs stay. All or nothing, durable on return, and harmless to repeat. Returns
    /// how many records were changed. Copies may be left behind in a log until [`Store::scrub`] has returned.
    fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError>;

    /// Overwrites the body of a block without records, a grant's, by one of the same length: what an erasure takes out of it. Durable on
    /// return, and harmless to repeat; [`Store::scrub`] as after [`Store::erase`].
    fn replace_body(&self, height: u64, body: &[u8]) -> Result<(), StoreError>;

    /// Makes sure that nothing which was erased before lies in any file of the store. [`StoreError::Busy`] while a reader holds
    /// on to an older state: try again.
    fn scrub(&self) -> Result<(), StoreError>;

    /// The text of one block.
    fn block_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Texts of consecutive blocks beginning with block `from`: at most `max` of them and `max_bytes` in
    /// all, but always the first if it exists and `max` is not 0.
    fn block_texts(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<Vec<u8>>, StoreError>;

    /// What is known of one block.
    fn block_info(&self, height: u64) -> Result<Option<BlockInfo>, StoreError>;

    /// The block that holds a record.
    fn block_of_record(&self, record: u64) -> Result<Option<BlockInfo>, StoreError>;

    /// The leaf inputs of a block's records; empty for a block without records.
    fn leaf_inputs(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// The leaf inputs of `count` records of a block from position `first` on, without reading all of the block's if that can be
    /// avoided: fewer if the block ends before, none if there is no block.
    fn leaf_range(&self, height: u64, first: usize, count: usize) -> Result<Vec<u8>, StoreError> {
        let all = self.leaf_inputs(height)?.unwrap_or_default();
        let bytes = |records: usize| records.saturating_mul(LEAF_INPUTS_LEN);
        Ok(all.into_iter().skip(bytes(first)).take(bytes(count)).collect())
    }

    /// What a proof of one record takes, in one go: its block, the value under the key that `derived` gives for that block, and of each
    /// `group` records of the block the leaf inputs of those the record is among. `None` if there is no such record. `group` is not 0.
    fn proof_parts(
        &self,
        record: u64,
        group: usize,
        derived: &dyn Fn(&BlockInfo) -> Option<String>,
    ) -> Result<Option<ProofParts>, StoreError> {
        let Some(block) = self.block_of_record(record)? else { return Ok(None) };
        let text = self.block_text(block.height)?.unwrap_or_default();
        let derived = derived(&block).map_or(Ok(None), |key| self.derived(&key))?;
        let first = (record - block.first_record) as usize / group * group;
        let leaf_inputs = self.leaf_range(block.height, first, group)?;
        Ok(Some(ProofParts { block, text, derived, leaf_inputs }))
    }

    /// The body of a block; `None` too for a block without one.
    fn body(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Bytes `offset..offset + len` of a block's body, without reading all of it if that can be avoided: fewer if it ends
    /// before, none if there is no body.
    fn body_part(&self, height: u64, offset: usize, len: usize) -> Result<Vec<u8>, StoreError> {
        let body = self.body(height)?.unwrap_or_default();
        Ok(body.into_iter().skip(offset).take(len).collect())
    }

    /// One record, without reading all of its block's body.
    fn record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError>;

    /// Index of the first record with this ciphertext hash. Looked up in an index, then compared with the
    /// leaf inputs.
    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError>;

    /// Records that carry this blind tag, from record `from` on, ascending: at most `limit`, and then the lowest ones.
    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError>;

    /// Height of the block with this signer's statement number `sequence`.
    fn statement(&self, signer: &str, sequence: u64) -> Result<Option<u64>, StoreError>;

    /// A value the layer above can rebuild and keeps here for speed.
    fn derived(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sizes of the parts.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Drops every index and computes it from the blocks. `progress` is told (records done, records in
    /// all). Until it is over, and if it is interrupted until it is run again, look-ups by ciphertext or tag may
    /// fail with [`StoreError::IndexIncomplete`]; appends go on. Derived values are left alone.
    fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError>;

    /// Housekeeping for idle moments, in steps that each hold up appends only briefly; no new step begins
    /// once `budget` is used up. True if there is more to do. Without it everything works, slower.
    fn maintain(&self, budget: Duration) -> Result<bool, StoreError> {
        let _ = budget;
        Ok(false)
    }
}
