//! Existence proofs from stored blocks, for a ledger or a verified copy of one.
//!
//! A proof reads 32 leaf inputs of its block and the roots over each 32 leaves, the block's **nodes**: one byte a record, stored
//! as a derived value with blocks of some size and computed for all others. They depend on leaf inputs alone, which an
//! erasure leaves in place. Nothing stored is believed: nodes that do not lead to the root the writer signed are computed
//! again, and leaf inputs that do not are damage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::{MAX_BLOCK_NODES_AT_HAND, MAX_TILES_AT_HAND, MIN_STORED_NODES_RECORDS};
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use crate::chain::batch::record_leaves;
use crate::chain::block::Block;
use crate::chain::log::{Log, LogError, TileReader};
use crate::chain::merkle::{leaf_hash, verify_inclusion};
use crate::chain::proof::Proof;
use crate::chain::statement::Statement;
use crate::chain::subtree::Subtrees;
use crate::chain::tile::TileId;
use crate::chain::tlog_proof::TlogProof;
use crate::chain::tree::{BlockTree, LEAVES_PER_NODE, nodes, path_through};
use crate::store::{BlockInfo, Store};

use super::LedgerError;
use super::recent::Recent;
use super::recover::StoredTiles;

/// The derived value to write with a block: its [`nodes`], unless it has too few records for them to be worth it.
pub fn nodes_row(height: u64, records: usize, nodes: &[Hash]) -> Option<(String, Vec<u8>)> {
    (records >= MIN_STORED_NODES_RECORDS)
        .then(|| (nodes_key(height), nodes.iter().flat_map(|n| n.0).collect()))
}

fn nodes_key(height: u64) -> String {
    format!("nodes/{height}")
}

/// What proofs are made from and never changes, kept for the next proof. Bounded.
pub struct AtHand {
    tiles: Mutex<Recent<TileId, Arc<Subtrees>>>,
    blocks: Mutex<Recent<u64, Arc<BlockNodes>>>,
}

impl Default for AtHand {
    fn default() -> AtHand {
        AtHand {
            tiles: Mutex::new(Recent::new(MAX_TILES_AT_HAND)),
            blocks: Mutex::new(Recent::new(MAX_BLOCK_NODES_AT_HAND)),
        }
    }
}

/// [`StoredTiles`] that are kept once read.
pub struct TilesAtHand<'a>(pub &'a dyn Store, pub &'a AtHand);

impl TileReader for TilesAtHand<'_> {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        StoredTiles(self.0).full_tile(id)
    }

    fn full_tree(&self, id: TileId) -> Result<Arc<Subtrees>, LogError> {
        let tiles = || self.1.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = tiles().get(&id) {
            return Ok(tree);
        }
        let tree = StoredTiles(self.0).full_tree(id)?;
        tiles().put(id, tree.clone());
        Ok(tree)
    }
}

/// The tree over the nodes of one block, which leads to the records root of its statement.
struct BlockNodes(BlockTree);

/// Makes existence proofs against one checkpoint. Cheapest if one proof after the other is of the same block.
pub struct Prover<'a> {
    store: &'a dyn Store,
    log: &'a Log,
    checkpoint: &'a str,
    records: u64,
    at_hand: Arc<AtHand>,
    /// The block of the last proof.
    last: Option<ProvenBlock>,
}

struct ProvenBlock {
    info: BlockInfo,
    text: String,
    log_proof: String,
    nodes: Arc<BlockNodes>,
    /// The group of leaves of the last proof.
    group: Option<Group>,
}

/// The leaves under one node.
struct Group {
    number: usize,
    inputs: Vec<LeafInputs>,
    tree: BlockTree,
}

impl<'a> Prover<'a> {
    /// For one store, its log, the checkpoint over that log, and the number of records the checkpoint covers.
    pub fn new(store: &'a dyn Store, log: &'a Log, checkpoint: &'a str, records: u64) -> Prover<'a> {
        Prover::with(store, log, checkpoint, records, Arc::default())
    }

    /// [`Prover::new`] with what other provers of the same store have at hand.
    pub fn with(
        store: &'a dyn Store,
        log: &'a Log,
        checkpoint: &'a str,
        records: u64,
        at_hand: Arc<AtHand>,
    ) -> Prover<'a> {
        Prover { store, log, checkpoint, records, at_hand, last: None }
    }

    /// The proof of one record.
    pub fn proof(&mut self, record: u64) -> Result<Proof, LedgerError> {
        let count = self.records;
        let missing = || LedgerError::NotFound { what: "record", index: record, count };
        if record >= count {
            return Err(missing());
        }
        let (mut block, read) = match self.last.take().filter(|b| b.info.holds(record)) {
            Some(block) => (block, None),
            None => {
                // One transaction, and nodes only if they are not at hand.
                let key = |b: &BlockInfo| self.needs_nodes(b).then(|| nodes_key(b.height));
                let parts = self.store.proof_parts(record, LEAVES_PER_NODE, &key)?.ok_or_else(missing)?;
                (self.block(parts.block, parts.text, parts.derived)?, Some(parts.leaf_inputs))
            }
        };
        let height = block.info.height;
        let position = (record - block.info.first_record) as usize;
        let number = position / LEAVES_PER_NODE;
        let group = match block.group.take().filter(|g| g.number == number) {
            Some(group) => group,
            None => {
                let first = number * LEAVES_PER_NODE;
                let again = || self.store.leaf_range(height, first, LEAVES_PER_NODE);
                group_of(&block, number, &read.map_or_else(again, Ok)?)?
            }
        };
        let own = group.inputs.get(position % LEAVES_PER_NODE);
        let path = path_through(&group.tree, &block.nodes.0, position);
        let (Some(own), Some(record_path)) = (own, path) else {
            return Err(damaged(height, "it has fewer leaves than records"));
        };
        let proof = Proof {
            ledger: self.store.origin().to_owned(),
            record,
            leaf_inputs: *own,
            record_path,
            block: block.text.clone(),
            log_proof: block.log_proof.clone(),
        };
        block.group = Some(group);
        self.last = Some(block);
        Ok(proof)
    }

    fn block(
        &self,
        info: BlockInfo,
        text: Vec<u8>,
        stored_nodes: Option<Vec<u8>>,
    ) -> Result<ProvenBlock, LedgerError> {
        let height = info.height;
        let text = String::from_utf8(text).map_err(|_| damaged(height, "it is not text"))?;
        let nodes = self.nodes(&info, &text, stored_nodes)?;
        let path = checked_path(self.store, &self.at_hand, self.log, height, text.as_bytes())?;
        let checkpoint = self.checkpoint.to_owned();
        let log_proof = TlogProof { extra: None, index: height, path, checkpoint }.to_string();
        Ok(ProvenBlock { info, text, log_proof, nodes, group: None })
    }

    /// Whether stored nodes of a block are of use.
    fn needs_nodes(&self, info: &BlockInfo) -> bool {
        info.records as usize >= MIN_STORED_NODES_RECORDS && self.blocks().get(&info.height).is_none()
    }

    fn blocks(&self) -> MutexGuard<'_, Recent<u64, Arc<BlockNodes>>> {
        self.at_hand.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes of a block, from what is at hand, as stored, or from all its leaves.
    fn nodes(
        &self,
        info: &BlockInfo,
        text: &str,
        stored: Option<Vec<u8>>,
    ) -> Result<Arc<BlockNodes>, LedgerError> {
        let height = info.height;
        if let Some(nodes) = self.blocks().get(&height) {
            return Ok(nodes);
        }
        let statement = Block::parse(text).ok().and_then(|b| Statement::parse(&b.statement.text).ok());
        let Some(Statement::Records(signed)) = statement else {
            return Err(damaged(height, "its statement is not one of records"));
        };
        let lead_to_root = |nodes: Vec<Hash>| {
            let tree = BlockTree::new(&nodes);
            (tree.root() == signed.records_root).then_some(BlockNodes(tree))
        };
        let wanted = (info.records as usize).div_ceil(LEAVES_PER_NODE) * HASH_LEN;
        // Fewer or more of them would be another level of the tree, which leads to the same root.
        let stored = stored.filter(|bytes| bytes.len() == wanted).and_then(|bytes| {
            lead_to_root(bytes.as_chunks::<HASH_LEN>().0.iter().map(|h| Hash(*h)).collect())
        });
        let found = match stored {
            Some(found) => found,
            None => {
                let inputs = leaf_inputs(height, &self.store.leaf_inputs(height)?.unwrap_or_default())?;
                lead_to_root(nodes(&record_leaves(&inputs))).ok_or_else(|| {
                    damaged(height, "its leaf inputs do not have the root that its writer signed")
                })?
            }
        };
        let found = Arc::new(found);
        self.blocks().put(height, found.clone());
        Ok(found)
    }
}

/// A group of a block's leaves, from their inputs.
fn group_of(block: &ProvenBlock, number: usize, bytes: &[u8]) -> Result<Group, LedgerError> {
    let height = block.info.height;
    let inputs = leaf_inputs(height, bytes)?;
    let tree = BlockTree::new(&record_leaves(&inputs));
    if block.nodes.0.leaf(number) != Some(tree.root()) {
        return Err(damaged(height, "its leaf inputs do not have the root that its writer signed"));
    }
    Ok(Group { number, inputs, tree })
}

/// The path of a block in the log. Tiles are no more believed than anything else stored: what does not lead to the log's own root
/// is never given out, nor kept.
pub(super) fn checked_path(
    store: &dyn Store,
    at_hand: &AtHand,
    log: &Log,
    height: u64,
    text: &[u8],
) -> Result<Vec<Hash>, LedgerError> {
    let path = log
        .inclusion_path(&TilesAtHand(store, at_hand), height, log.size())
        .map_err(|e| damaged(height, e))?;
    match verify_inclusion(leaf_hash(text), height, log.size(), &path, log.root()) {
        Ok(()) => Ok(path),
        Err(_) => {
            at_hand.tiles.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Err(damaged(height, "the stored tiles of the log do not lead from it to the checkpoint"))
        }
    }
}

fn damaged(height: u64, what: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged { what: format!("block {height}: {what}") }
}

fn leaf_inputs(height: u64, bytes: &[u8]) -> Result<Vec<LeafInputs>, LedgerError> {
    let all = bytes.chunks(LEAF_INPUTS_LEN).map(LeafInputs::from_bytes).collect::<Result<_, _>>();
    all.map_err(|_| damaged(height, "its leaf inputs are cut short"))
}

#[cfg(test)]
#[path = "prove_tests.rs"]
mod tests;
