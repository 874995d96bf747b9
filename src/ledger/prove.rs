//! Existence proofs from stored blocks, for a ledger or a verified copy of one.
//!
//! A proof reads 32 leaf inputs of its block and the roots over each 32 leaves, the block's **nodes**: one byte a record, stored
//! as a derived value with blocks of some size and computed for all others. They depend on leaf inputs alone, which an
//! erasure leaves in place. Nothing stored is believed: nodes that do not lead to the root the writer signed are computed
//! again, and leaf inputs that do not are damage.

use std::sync::Arc;

use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::MIN_STORED_NODES_RECORDS;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use crate::chain::batch::record_leaves;
use crate::chain::block::Block;
use crate::chain::log::Log;
use crate::chain::merkle::{leaf_hash, verify_inclusion};
use crate::chain::proof::Proof;
use crate::chain::statement::Statement;
use crate::chain::tlog_proof::TlogProof;
use crate::chain::tree::{BlockTree, LEAVES_PER_NODE, NODES_PER_PEAK, nodes, path_through, peaks};
use crate::store::{BlockInfo, Store};

use super::LedgerError;
use super::at_hand::{AtHand, KnownBlock, TilesAtHand};

/// The derived value to write with a block: its [`nodes`], unless it has too few records for them to be worth it.
pub fn nodes_row(height: u64, records: usize, nodes: &[Hash]) -> Option<(String, Vec<u8>)> {
    (records >= MIN_STORED_NODES_RECORDS)
        .then(|| (nodes_key(height), nodes.iter().flat_map(|n| n.0).collect()))
}

fn nodes_key(height: u64) -> String {
    format!("nodes/{height}")
}

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
    known: Arc<KnownBlock>,
    /// The tree over its peaks.
    peaks: BlockTree,
    log_proof: String,
    /// The group of leaves of the last proof.
    group: Option<Group>,
}

/// A block, and leaf inputs if they were read with it.
type Known = (Arc<KnownBlock>, Option<Vec<u8>>);

/// The leaves under one node.
struct Group {
    number: usize,
    inputs: Vec<LeafInputs>,
    tree: BlockTree,
    /// The tree over the nodes under the same peak.
    nodes: BlockTree,
}

impl<'a> Prover<'a> {
    /// For one store, its log, the checkpoint over that log, the number of records the checkpoint covers, and what all provers of
    /// the store have at hand.
    pub fn new(
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
        let (mut block, read) = match self.last.take().filter(|b| b.known.info.holds(record)) {
            Some(block) => (block, None),
            None => {
                let (known, read) = self.known(record)?.ok_or_else(missing)?;
                let block = self.block(known.clone())?;
                // It is in the log: the next proof may have it too.
                if read.is_some() {
                    self.at_hand.blocks().put(known);
                }
                (block, read)
            }
        };
        let info = &block.known.info;
        let (height, position) = (info.height, (record - info.first_record) as usize);
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
        let path = path_through(&group.tree, &group.nodes, &block.peaks, position);
        let (Some(own), Some(record_path)) = (own, path) else {
            return Err(damaged(height, "it has fewer leaves than records"));
        };
        let proof = Proof {
            ledger: self.store.origin().to_owned(),
            record,
            leaf_inputs: *own,
            record_path,
            block: block.known.text.clone(),
            log_proof: block.log_proof.clone(),
        };
        block.group = Some(group);
        self.last = Some(block);
        Ok(proof)
    }

    /// The block of a record, at hand or read, then with the leaf inputs around the record; `None` if there is no such record.
    fn known(&self, record: u64) -> Result<Option<Known>, LedgerError> {
        if let Some(known) = self.at_hand.blocks().get(record) {
            return Ok(Some((known, None)));
        }
        let key =
            |b: &BlockInfo| (b.records as usize >= MIN_STORED_NODES_RECORDS).then(|| nodes_key(b.height));
        let Some(parts) = self.store.proof_parts(record, LEAVES_PER_NODE, &key)? else { return Ok(None) };
        let height = parts.block.height;
        let text = String::from_utf8(parts.text).map_err(|_| damaged(height, "it is not text"))?;
        let (nodes, peaks) = self.nodes(&parts.block, &text, parts.derived)?;
        let known = Arc::new(KnownBlock { info: parts.block, text, nodes, peaks });
        Ok(Some((known, Some(parts.leaf_inputs))))
    }

    fn block(&self, known: Arc<KnownBlock>) -> Result<ProvenBlock, LedgerError> {
        let height = known.info.height;
        let path = checked_path(self.store, &self.at_hand, self.log, height, known.text.as_bytes())?;
        let checkpoint = self.checkpoint.to_owned();
        let log_proof = TlogProof { extra: None, index: height, path, checkpoint }.to_string();
        let peaks = BlockTree::new(&known.peaks);
        Ok(ProvenBlock { known, peaks, log_proof, group: None })
    }

    /// The nodes of a block, as stored or from all its leaves, and its peaks.
    fn nodes(
        &self,
        info: &BlockInfo,
        text: &str,
        stored: Option<Vec<u8>>,
    ) -> Result<(Vec<Hash>, Vec<Hash>), LedgerError> {
        let height = info.height;
        let block = Block::parse(text).ok();
        let statement = block.as_ref().and_then(|b| Statement::parse(&b.statement.text).ok());
        let (Some(block), Some(Statement::Records(signed))) = (block, statement) else {
            return Err(damaged(height, "its statement is not one of records"));
        };
        let told = (block.height, block.first_record, signed.records);
        if told != (height, info.first_record, u64::from(info.records)) {
            return Err(damaged(height, "its row does not say what its text says"));
        }
        let lead_to_root = |nodes: Vec<Hash>| {
            let peaks = peaks(&nodes);
            (BlockTree::new(&peaks).root() == signed.records_root).then_some((nodes, peaks))
        };
        let wanted = (info.records as usize).div_ceil(LEAVES_PER_NODE) * HASH_LEN;
        // Fewer or more of them would be another level of the tree, which leads to the same root.
        let stored = stored.filter(|bytes| bytes.len() == wanted);
        let stored = stored.map(|b| b.as_chunks::<HASH_LEN>().0.iter().map(|h| Hash(*h)).collect());
        if let Some(found) = stored.and_then(lead_to_root) {
            return Ok(found);
        }
        let inputs = leaf_inputs(height, &self.store.leaf_inputs(height)?.unwrap_or_default())?;
        let root = || damaged(height, "its leaf inputs do not have the root that its writer signed");
        lead_to_root(nodes(&record_leaves(&inputs))).ok_or_else(root)
    }
}

/// A group of a block's leaves, from their inputs.
fn group_of(block: &ProvenBlock, number: usize, bytes: &[u8]) -> Result<Group, LedgerError> {
    let height = block.known.info.height;
    let inputs = leaf_inputs(height, bytes)?;
    let tree = BlockTree::new(&record_leaves(&inputs));
    if block.known.nodes.get(number) != Some(&tree.root()) {
        return Err(damaged(height, "its leaf inputs do not have the root that its writer signed"));
    }
    let nodes = block.known.nodes.chunks(NODES_PER_PEAK).nth(number / NODES_PER_PEAK).unwrap_or_default();
    Ok(Group { number, inputs, tree, nodes: BlockTree::new(nodes) })
}

/// The path of a block in the log. Tiles are no more believed than anything else stored: what does not lead to the log's own root
/// is never given out, nor kept.
pub fn checked_path(
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
            at_hand.forget_tiles();
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
