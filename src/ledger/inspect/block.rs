//! One block of a stored ledger: its row, its leaf inputs, its body, and what follows from them.

use super::{Granted, Part, Walk, damaged_as_none, range_of, records_in};
use crate::base::batch::{Body, Header};
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs};
use crate::chain::batch::{self, BatchCommitment};
use crate::chain::block::Block;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::grant;
use crate::chain::merkle;
use crate::chain::statement::{GrantStatement, RecordsStatement, Statement};
use crate::chain::tree;
use crate::ledger::cycle::sequence_of;
use crate::ledger::prove::nodes_row;
use crate::ledger::recover::tile_key;
use crate::ledger::search::epoch_rows;
use crate::store::StoreError;

impl Walk<'_> {
    /// The next block.
    pub(super) fn block(&mut self, text: &str) -> Result<(), StoreError> {
        let height = self.log.size();
        for (id, tile) in self.log.append(merkle::leaf_hash(text.as_bytes())) {
            self.derived(tile_key(id), tile)?;
        }
        let other = |c: &Checkpoint| c.size == self.log.size() && c.root != self.log.root();
        if self.proved && self.signed.iter().any(other) {
            let what = "up to here it is not the ledger of the last-signed file: two histories are signed";
            self.fault(Part::LastSigned, height, None, what);
        }
        self.found.blocks = height + 1;
        let block = match Block::parse(text) {
            Ok(block) => block,
            Err(e) => {
                self.chain = None;
                self.headers_known = false;
                self.fault(Part::Text, height, None, e.to_string());
                return Ok(());
            }
        };
        let statement = match &mut self.chain {
            Some(state) => state
                .apply(&block)
                .and_then(|s| self.retention.apply(&block, &s).map(|()| s))
                .map_err(|e| e.to_string()),
            None => Statement::parse(&block.statement.text).map_err(|e| e.to_string()),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(e) => {
                self.chain = None;
                let what = format!(
                    "{e}. This block or the one before it is damaged; links from here on could not be followed"
                );
                self.fault(Part::Text, height, records_in(text), what);
                match Statement::parse(&block.statement.text) {
                    Ok(statement) => statement,
                    Err(_) => {
                        self.headers_known = false;
                        return Ok(());
                    }
                }
            }
        };
        self.row(&block, &statement)?;
        match statement {
            Statement::Records(s) => self.batch(&block, &s)?,
            Statement::Grant(g) => self.grant(height, &g)?,
            Statement::Erasure(order) => self.orders.push(order),
            _ => {}
        }
        Ok(())
    }

    /// The numbers in the block's row, and that it is found by its statement.
    fn row(&mut self, block: &Block, statement: &Statement) -> Result<(), StoreError> {
        let (height, count) = (block.height, statement.record_count());
        let (signer, sequence) = (sequence_of(statement, &block.statement), statement.sequence());
        self.found.records = block.first_record.saturating_add(count);
        self.firsts.insert(height, (block.first_record, u32::try_from(count).unwrap_or(u32::MAX)));
        let records = range_of(block.first_record, count);
        match self.store.block_info(height).or_else(damaged_as_none)? {
            None => self.fault(Part::Row, height, records, "its row is missing or not readable"),
            Some(info) => {
                let same = info.first_record == block.first_record
                    && u64::from(info.records) == count
                    && info.signer == signer
                    && info.sequence == sequence;
                if !same {
                    self.fault(
                        Part::Row,
                        height,
                        records,
                        "the numbers in its row are not those of its text",
                    );
                }
            }
        }
        if self.store.statement(&signer, sequence).or_else(damaged_as_none)? != Some(height) {
            self.fault(Part::Row, height, records, "it is not found by its signer and number");
        }
        Ok(())
    }

    fn batch(&mut self, block: &Block, statement: &RecordsStatement) -> Result<(), StoreError> {
        let (height, records) = (block.height, range_of(block.first_record, statement.records));
        let kept = self.store.leaf_inputs(height).or_else(damaged_as_none)?.unwrap_or_default();
        let (kept, rest) = kept.as_chunks::<LEAF_INPUTS_LEN>();
        let inputs: Vec<LeafInputs> = kept.iter().filter_map(|l| LeafInputs::from_bytes(l).ok()).collect();
        let leaves = batch::record_leaves(&inputs);
        let kept_fits = rest.is_empty()
            && inputs.len() as u64 == statement.records
            && tree::BlockTree::new(&leaves).root() == statement.records_root;
        if !kept_fits {
            self.fault(Part::LeafInputs, height, records, "they do not have the root that the writer signed");
        }
        let body = self.store.body(height).or_else(damaged_as_none)?.unwrap_or_default();
        match commitment(&body, statement) {
            Ok(found) => {
                if found.erased > 0 {
                    let erased = batch::erased_in(block.first_record, &body);
                    erased.into_iter().for_each(|range| range.append_to(&mut self.erased));
                }
                self.epoch(height, &found.header)?;
                if let Some((key, value)) = nodes_row(height, inputs.len(), &found.nodes) {
                    self.derived(key, value)?;
                }
            }
            Err(what) => {
                self.fault(Part::Body, height, records, what);
                let signed = |b: &Body<'_>| batch::header_hash(b.header) == statement.header_hash;
                let header = Body::decode(&body).ok().filter(signed).map(|b| Header::decode(b.header));
                match header {
                    Some(Ok(header)) => self.epoch(height, &header)?,
                    _ => self.headers_known = false,
                }
                if kept_fits
                    && let Some((key, value)) = nodes_row(height, inputs.len(), &tree::nodes(&leaves))
                {
                    self.derived(key, value)?;
                }
            }
        }
        Ok(())
    }

    fn epoch(&mut self, height: u64, header: &Header) -> Result<(), StoreError> {
        let rows = epoch_rows(&self.none, &self.epochs, height, header)?;
        // One row counts them all.
        self.epochs.retain(|(key, _)| !rows.iter().any(|(k, _)| k == key));
        self.epochs.extend(rows);
        Ok(())
    }

    fn grant(&mut self, height: u64, statement: &GrantStatement) -> Result<(), StoreError> {
        let body = self.store.body(height).or_else(damaged_as_none)?.unwrap_or_default();
        let place = |at: u64| Ok::<_, grant::GrantError>(self.firsts.get(&at).copied());
        let fits = grant::check(statement, &body).and_then(|()| grant::check_place(statement, &body, place));
        let read = fits.and_then(|()| {
            let (gone, here) = (grant::emptied(statement, &body, &[])?, grant::given(statement, &body)?);
            Ok(Granted { height, to: statement.to.clone(), gone, here })
        });
        match read {
            Ok(granted) => self.grants.push(granted),
            Err(e) => self.fault(Part::Body, height, Some(statement.range), e.to_string()),
        }
        Ok(())
    }
}

/// The hashes of a body, if they are those that the statement signs.
fn commitment(body: &[u8], statement: &RecordsStatement) -> Result<BatchCommitment, String> {
    if body.is_empty() {
        return Err("it is missing or not readable".to_owned());
    }
    let found = batch::commit(body).map_err(|e| e.to_string())?;
    batch::check_hashes(statement, &found).map_err(|_| "it is not what the writer signed".to_owned())?;
    Ok(found)
}
