//! Looks at a stored ledger from its first block to its last, and names everything that is not as it must be: texts, leaf inputs, bodies,
//! the numbers in rows, what was derived from the blocks, the state, the checkpoint, what was noted about erasures, and the last-signed
//! file. A verification ends at the first fault; this goes on, because somebody has to know what is lost.
//!
//! Nothing is changed. What the blocks give is computed with the code of the live path, and compared.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::limits::MAX_STORE_FAULTS;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::merkle;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;
use crate::store::{MemoryStore, Store, StoreError};

use super::guard::Guard;

mod block;
mod whole;

/// A part of a stored ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// The text of a block.
    Text,
    /// A block's numbers in its row, or the index of statements.
    Row,
    /// Leaf inputs.
    LeafInputs,
    /// The body of a batch or grant.
    Body,
    /// Tiles, nodes and search epochs.
    Derived,
    /// Derived values that belong to nothing.
    Leftover,
    /// The snapshot of the chain's state.
    State,
    /// The checkpoint in the head.
    Checkpoint,
    /// What is noted about erasures.
    Erasures,
    /// The last-signed file.
    LastSigned,
}

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub part: Part,
    /// Height of the block concerned, if one can be named.
    pub block: Option<u64>,
    /// The records concerned.
    pub records: Option<RecordRange>,
    /// What is wrong.
    pub what: String,
}

/// What was found out about a stored ledger.
#[derive(Default)]
pub struct Inspection {
    /// What is wrong, the first [`MAX_STORE_FAULTS`] things.
    pub faults: Vec<Fault>,
    /// Blocks looked at.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Derived values that are missing or wrong, as they should be.
    pub derived: Vec<(String, Vec<u8>)>,
    /// The state after the last block; `None` if the chain could not be followed so far.
    pub state: Option<Vec<u8>>,
}

/// Where the texts of blocks are taken from that are known to be right: some from a height on, none at the end.
pub type Texts<'a> = &'a mut dyn FnMut(u64) -> Result<Vec<String>, StoreError>;

/// Looks at everything in `store`. If `proved` is given, texts are compared with what it gives; without it they are followed for as
/// long as they hold, and what is derived from them is not judged. `progress` is told (blocks done, blocks in all).
pub fn inspect(
    store: &dyn Store,
    key: &VerifierKey,
    guard: &Path,
    proved: Option<Texts<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Inspection, StoreError> {
    let mut walk = Walk {
        store,
        found: Inspection::default(),
        chain: Some(State::new(key.name())),
        retention: Retention::new(),
        log: Log::new(),
        signed: Guard::peek(guard, key),
        proved: proved.is_some(),
        erased: Vec::new(),
        orders: Vec::new(),
        epochs: Vec::new(),
        none: MemoryStore::new(key.name()),
        headers_known: true,
        rows: 0,
        firsts: BTreeMap::new(),
        grants: Vec::new(),
    };
    let head = store.head().or_else(damaged_as_none)?.unwrap_or_default();
    match proved {
        Some(texts) => {
            while let Some(more) = Some(texts(walk.log.size())?).filter(|t| !t.is_empty()) {
                for text in more {
                    let height = walk.log.size();
                    if walk.stored_text(height)?.as_deref() != Some(text.as_bytes()) {
                        let records = records_in(&text);
                        walk.fault(
                            Part::Text,
                            height,
                            records,
                            "it is not what is signed, missing or not readable",
                        );
                    }
                    walk.block(&text)?;
                    progress(height + 1, head.size.max(height + 1));
                }
            }
        }
        None => {
            while walk.log.size() < head.size {
                let height = walk.log.size();
                let text = walk.stored_text(height)?;
                match text.map(String::from_utf8) {
                    Some(Ok(text)) => walk.block(&text)?,
                    _ => {
                        walk.chain = None;
                        // The number of blocks is as little proved as they are: what is found from here on is not told any more.
                        if walk.found.faults.len() >= MAX_STORE_FAULTS {
                            break;
                        }
                        walk.fault(Part::Text, height, None, "it is missing or not readable");
                        walk.log.append(merkle::leaf_hash(b""));
                    }
                }
                progress(height + 1, head.size);
            }
        }
    }
    walk.head(&head.checkpoint, &head.state, key)?;
    walk.last_signed(guard, key)?;
    walk.bookkeeping()?;
    Ok(walk.found)
}

/// What cannot be read because it is damaged is not there.
fn damaged_as_none<T: Default>(e: StoreError) -> Result<T, StoreError> {
    match e {
        StoreError::Corrupt { .. } | StoreError::Engine { .. } => Ok(T::default()),
        e => Err(e),
    }
}

fn records_in(text: &str) -> Option<RecordRange> {
    let block = Block::parse(text).ok()?;
    let count = Statement::parse(&block.statement.text).ok()?.record_count();
    range_of(block.first_record, count)
}

fn range_of(first: u64, count: u64) -> Option<RecordRange> {
    Some(RecordRange { first, last: first.checked_add(count.checked_sub(1)?)? })
}

struct Walk<'a> {
    store: &'a dyn Store,
    found: Inspection,
    /// `None` from the first text on that does not continue the chain.
    chain: Option<State>,
    retention: Retention,
    log: Log,
    /// Whether the texts are known to be right: what follows from them is else not known either.
    proved: bool,
    /// What the last-signed file holds.
    signed: Vec<Checkpoint>,
    erased: Vec<RecordRange>,
    orders: Vec<ErasureStatement>,
    /// Rows of search epochs so far, as the blocks give them, and a store without any.
    epochs: Vec<(String, Vec<u8>)>,
    none: MemoryStore,
    /// Whether all headers could be read, without which the epochs are not known.
    headers_known: bool,
    /// Derived values there should be, search epochs apart.
    rows: u64,
    /// First record and number of records of each block.
    firsts: BTreeMap<u64, (u64, u32)>,
    grants: Vec<Granted>,
}

/// What a grant's body holds of its records.
struct Granted {
    height: u64,
    to: String,
    /// Slots that were taken out.
    gone: Vec<RecordRange>,
    /// Slots that are there.
    here: Vec<RecordRange>,
}

impl Walk<'_> {
    fn fault(
        &mut self,
        part: Part,
        block: impl Into<Option<u64>>,
        records: Option<RecordRange>,
        what: impl Into<String>,
    ) {
        if self.found.faults.len() < MAX_STORE_FAULTS {
            self.found.faults.push(Fault { part, block: block.into(), records, what: what.into() });
        }
    }

    fn stored_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.block_text(height).or_else(damaged_as_none)
    }

    /// A value that must be there.
    fn derived(&mut self, key: String, value: Vec<u8>) -> Result<(), StoreError> {
        self.rows += 1;
        if !self.proved {
            return Ok(());
        }
        if self.store.derived(&key).or_else(damaged_as_none)?.as_ref() != Some(&value) {
            self.fault(Part::Derived, None, None, format!("{key} is missing, or not what the blocks give"));
            self.found.derived.push((key, value));
        }
        Ok(())
    }
}
