//! What the ledger shows: checkpoint, tiles, entries, blocks, proofs, and ciphertext for readers.
//!
//! Every answer is computed for one [`View`], so proof and checkpoint always belong together.

use crate::base::hash::Hash;
use crate::base::limits::MAX_BATCH_BYTES;
use crate::base::record::Record;
use crate::chain::proof::Proof;
use crate::chain::replay::Head as SequenceHead;
use crate::chain::tile::TileId;
use crate::chain::tlog_proof::TlogProof;
use crate::store::StoreStats;

use super::prove::{Prover, checked_path};
use super::recover::StoredTiles;
use super::{Ledger, LedgerError, View};

/// One record as stored.
#[derive(Debug, Clone)]
pub struct RecordBytes {
    /// Height of its block.
    pub block: u64,
    /// Position in its batch.
    pub position: u32,
    /// The batch header.
    pub header: Vec<u8>,
    /// The encoded record.
    pub record: Vec<u8>,
}

impl RecordBytes {
    /// Whether only its leaf inputs remain.
    pub fn is_erased(&self) -> bool {
        matches!(Record::decode(&self.record), Ok(Record::Erased(_)))
    }
}

/// The body of one block as stored, but for the slots of a grant to somebody who is no longer a reader; empty for blocks without
/// a body.
#[derive(Debug, Clone)]
pub struct BlockBody {
    /// Height of the block.
    pub height: u64,
    /// Its body.
    pub body: Vec<u8>,
}

impl Ledger {
    /// The ledger's origin.
    pub fn origin(&self) -> &str {
        self.store.origin()
    }

    /// A block's text.
    pub fn block(&self, height: u64) -> Result<String, LedgerError> {
        let view = self.view();
        let missing = || LedgerError::NotFound { what: "block", index: height, count: view.log.size() };
        if height >= view.log.size() {
            return Err(missing());
        }
        let text = self.store.block_text(height)?.ok_or_else(missing)?;
        String::from_utf8(text)
            .map_err(|_| LedgerError::Damaged { what: format!("block {height} is not text") })
    }

    /// The hashes a block's record leaves are made of, 96 bytes each. They reveal nothing of the content.
    pub fn leaf_inputs(&self, height: u64) -> Result<Vec<u8>, LedgerError> {
        let size = self.view().log.size();
        if height >= size {
            return Err(LedgerError::NotFound { what: "block", index: height, count: size });
        }
        Ok(self.store.leaf_inputs(height)?.unwrap_or_default())
    }

    /// A tile of the log of `width` hashes (256 for a full one); `None` if the tree is not that large.
    pub fn tile(&self, id: TileId, width: u16) -> Result<Option<Vec<u8>>, LedgerError> {
        let view = self.view();
        view.log
            .tile(&StoredTiles(&*self.store), id, width)
            .map_err(|e| LedgerError::Damaged { what: e.to_string() })
    }

    /// An entry bundle: `width` block texts, each behind a 16-bit length; `None` if the tree is not that large.
    pub fn entries(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some(first) = index.checked_mul(256) else { return Ok(None) };
        let Some(end) = first.checked_add(u64::from(width)) else { return Ok(None) };
        if end > self.view().log.size() {
            return Ok(None);
        }
        let mut out = Vec::new();
        let mut at = first;
        while at < end {
            let texts = self.store.block_texts(at, (end - at) as usize, MAX_BATCH_BYTES)?;
            if texts.is_empty() {
                return Err(LedgerError::Damaged { what: format!("block {at} is missing") });
            }
            at += texts.len() as u64;
            for t in texts {
                let n = u16::try_from(t.len())
                    .map_err(|_| LedgerError::Damaged { what: "a block text is too long".into() })?;
                out.extend_from_slice(&n.to_be_bytes());
                out.extend_from_slice(&t);
            }
        }
        Ok(Some(out))
    }

    /// The existence proof of a record against the current checkpoint; also its receipt.
    pub fn proof(&self, record: u64) -> Result<Proof, LedgerError> {
        self.prover(&self.view()).proof(record)
    }

    /// Makes existence proofs of several records as they are asked for, all against the checkpoint of `view`.
    pub fn prover<'a>(&'a self, view: &'a View) -> Prover<'a> {
        let at_hand = self.shared.at_hand.clone();
        Prover::new(&*self.store, &view.log, &view.checkpoint, view.state.next_record(), at_hand)
    }

    /// The proof that a block is in the log of the current checkpoint.
    pub fn block_proof(&self, height: u64) -> Result<TlogProof, LedgerError> {
        let view = self.view();
        if height >= view.log.size() {
            return Err(LedgerError::NotFound { what: "block", index: height, count: view.log.size() });
        }
        self.log_proof(&view, height)
    }

    fn log_proof(&self, view: &View, height: u64) -> Result<TlogProof, LedgerError> {
        let damaged = || LedgerError::Damaged { what: format!("block {height} is missing") };
        let text = self.store.block_text(height)?.ok_or_else(damaged)?;
        let path = checked_path(&*self.store, &self.shared.at_hand, &view.log, height, &text)?;
        Ok(TlogProof { extra: None, index: height, path, checkpoint: view.checkpoint.clone() })
    }

    /// The record whose ciphertext has this SHA-256.
    pub fn find_ciphertext(&self, hash: &Hash) -> Result<u64, LedgerError> {
        let found = self.store.find_ciphertext(hash)?;
        found.filter(|r| *r < self.view().state.next_record()).ok_or(LedgerError::UnknownCiphertext)
    }

    /// One record's ciphertext and slots. For authenticated readers only; the caller logs the access first.
    pub fn record(&self, record: u64) -> Result<RecordBytes, LedgerError> {
        let count = self.view().state.next_record();
        let missing = || LedgerError::NotFound { what: "record", index: record, count };
        if record >= count {
            return Err(missing());
        }
        // Asked before reading: what is not being erased by now has not been ordered to, or is gone already.
        let erasing = self.shared.erasing();
        let mut r = self.store.record(record)?.ok_or_else(missing)?;
        if erasing.iter().any(|e| e.contains(record)) {
            r.record = self.remains(r.info.height, r.position)?;
        }
        Ok(RecordBytes { block: r.info.height, position: r.position, header: r.header, record: r.record })
    }

    /// A block's body. For authenticated readers only; the caller logs the access first.
    pub fn body(&self, height: u64) -> Result<BlockBody, LedgerError> {
        let size = self.view().log.size();
        if height >= size {
            return Err(LedgerError::NotFound { what: "block", index: height, count: size });
        }
        let erasing = self.shared.erasing();
        let body = self.store.body(height)?.unwrap_or_default();
        let mut body = self.without_erased(&erasing, height, body)?;
        self.hide_slots(&erasing, height, &mut body)?;
        Ok(BlockBody { height, body })
    }

    /// Index of the first record of a block and the number of its records.
    pub fn record_range(&self, height: u64) -> Result<(u64, u64), LedgerError> {
        let size = self.view().log.size();
        let missing = || LedgerError::NotFound { what: "block", index: height, count: size };
        let info = self.store.block_info(height)?.ok_or_else(missing)?;
        Ok((info.first_record, u64::from(info.records)))
    }

    /// Where a writer's sequence stands.
    pub fn writer_head(&self, name: &str) -> SequenceHead {
        self.view().state.writer(name)
    }

    /// Bytes and rows of the store's parts.
    pub fn stats(&self) -> Result<StoreStats, LedgerError> {
        Ok(self.store.stats()?)
    }
}
