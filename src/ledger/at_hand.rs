//! What proofs are made from and never changes, kept for the next proof: tiles of the log, and blocks with the nodes of their
//! trees. Bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::{MAX_BLOCK_BYTES_AT_HAND, MAX_TILES_AT_HAND};
use crate::chain::log::{LogError, TileReader};
use crate::chain::subtree::Subtrees;
use crate::chain::tile::TileId;
use crate::store::{BlockInfo, Store};

use super::recent::Recent;
use super::recover::StoredTiles;

/// What a block takes beside its text and nodes, in bytes, about.
const ENTRY_BYTES: usize = 256;

/// What proofs of one store have at hand.
pub struct AtHand {
    tiles: Mutex<Recent<TileId, Arc<Subtrees>>>,
    blocks: Mutex<Blocks>,
}

impl Default for AtHand {
    fn default() -> AtHand {
        AtHand { tiles: Mutex::new(Recent::new(MAX_TILES_AT_HAND)), blocks: Mutex::default() }
    }
}

impl AtHand {
    fn tiles(&self) -> MutexGuard<'_, Recent<TileId, Arc<Subtrees>>> {
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the tiles.
    pub(super) fn forget_tiles(&self) {
        self.tiles().clear();
    }

    pub(super) fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`StoredTiles`] that are kept once read.
pub struct TilesAtHand<'a>(pub &'a dyn Store, pub &'a AtHand);

impl TileReader for TilesAtHand<'_> {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        StoredTiles(self.0).full_tile(id)
    }

    fn full_tree(&self, id: TileId) -> Result<Arc<Subtrees>, LogError> {
        if let Some(tree) = self.1.tiles().get(&id) {
            return Ok(tree);
        }
        let tree = StoredTiles(self.0).full_tree(id)?;
        self.1.tiles().put(id, tree.clone());
        Ok(tree)
    }
}

/// A block, and the nodes and peaks of its tree, which lead to the records root of its statement.
pub(super) struct KnownBlock {
    pub(super) info: BlockInfo,
    pub(super) text: String,
    pub(super) nodes: Vec<Hash>,
    pub(super) peaks: Vec<Hash>,
}

impl KnownBlock {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.text.len() + (self.nodes.len() + self.peaks.len()) * HASH_LEN
    }
}

/// Blocks by their first record; those that were not asked for the longest time are forgotten.
#[derive(Default)]
pub(super) struct Blocks {
    /// Counts questions.
    now: u64,
    bytes: usize,
    blocks: BTreeMap<u64, (u64, Arc<KnownBlock>)>,
    /// First records by the question that last asked for their block.
    asked: BTreeMap<u64, u64>,
}

impl Blocks {
    /// The block that holds a record.
    pub(super) fn get(&mut self, record: u64) -> Option<Arc<KnownBlock>> {
        let (first, (asked, block)) =
            self.blocks.range_mut(..=record).next_back().filter(|(_, (_, b))| b.info.holds(record))?;
        self.now += 1;
        self.asked.remove(asked);
        self.asked.insert(self.now, *first);
        *asked = self.now;
        Some(block.clone())
    }

    /// Keeps a block.
    pub(super) fn put(&mut self, block: Arc<KnownBlock>) {
        if block.bytes() > MAX_BLOCK_BYTES_AT_HAND {
            return;
        }
        self.now += 1;
        self.bytes += block.bytes();
        let first = block.info.first_record;
        self.asked.insert(self.now, first);
        if let Some((asked, old)) = self.blocks.insert(first, (self.now, block)) {
            self.asked.remove(&asked);
            self.bytes -= old.bytes();
        }
        while self.bytes > MAX_BLOCK_BYTES_AT_HAND {
            let Some((_, first)) = self.asked.pop_first() else { break };
            self.bytes -= self.blocks.remove(&first).map_or(0, |(_, old)| old.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn block(first_record: u64, records: u32, text: usize) -> Arc<KnownBlock> {
        let info =
            BlockInfo { height: first_record, first_record, records, signer: String::new(), sequence: 0 };
        Arc::new(KnownBlock {
            info,
            text: "x".repeat(text),
            nodes: vec![Hash::ZERO],
            peaks: vec![Hash::ZERO],
        })
    }

    #[test]
    fn blocks_are_found_by_any_of_their_records() {
        let mut blocks = Blocks::default();
        blocks.put(block(10, 5, 1));
        blocks.put(block(20, 1, 1));
        let found: Vec<u64> = (0..30).filter_map(|r| blocks.get(r)).map(|b| b.info.first_record).collect();
        assert_eq!(found, [10, 10, 10, 10, 10, 20]);
    }

    #[test]
    fn those_not_asked_for_longest_are_forgotten() {
        let mut blocks = Blocks::default();
        let size = MAX_BLOCK_BYTES_AT_HAND / 10;
        for first in 0..9 {
            blocks.put(block(first, 1, size));
        }
        assert!((0..9).all(|r| blocks.get(r).is_some()));
        blocks.get(0).unwrap();
        // Again the same, which counts once; then three new ones.
        blocks.put(block(0, 1, size));
        (9..12).for_each(|first| blocks.put(block(first, 1, size)));
        let left: Vec<u64> = (0..12).filter(|r| blocks.get(*r).is_some()).collect();
        assert_eq!(left, [0, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(blocks.bytes, blocks.blocks.values().map(|(_, b)| b.bytes()).sum::<usize>());
        assert_eq!(blocks.asked.len(), blocks.blocks.len());
        blocks.put(block(50, 1, MAX_BLOCK_BYTES_AT_HAND));
        assert_eq!(
            (blocks.blocks.len(), blocks.get(50).is_some()),
            (9, false),
            "too large to keep, and no reason to forget others"
        );
    }
}
