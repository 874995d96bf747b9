//! Fetches from a server what evidence is made of: every proof against one checkpoint, however the ledger grows meanwhile (each
//! download of a record is itself logged).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::build::{LogEntry, Material, RawRecord};
use crate::api::message::GrantMessage;
use crate::auditor::granted::Granted;
use crate::auditor::source::{ServerSource, Source as _, SourceError};
use crate::base::batch::Body;
use crate::base::hash::{HASH_LEN, Hash, from_base64};
use crate::base::limits::MAX_RECORDS_PER_REQUEST;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record};
use crate::chain::batch::record_leaf;
use crate::chain::block::Block;
use crate::chain::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::log::{Log, LogError, TILE_WIDTH, TileId, TileReader};
use crate::chain::proof::{Proof, ProofError, record_id};
use crate::chain::statement::{ErasureStatement, RecordRange, Statement};
use crate::chain::tlog_proof::TlogProof;
use crate::chain::tree::BlockTree;
use crate::client::{Client, ClientError};
use crate::seal::reader_key::Identity;

/// From so many wanted records of one block on, the whole body is downloaded at once.
const WHOLE_BODY_FROM: usize = 8;

/// Why the material could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The server did not deliver.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server did not deliver blocks.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The checkpoint is not the ledger's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A proof of the server cannot be read.
    #[error("the proof that the server gave cannot be used: {0}")]
    Proof(#[from] ProofError),
    /// The server's tiles are not those of its checkpoint, or missing.
    #[error("the server's tiles are not those of its checkpoint: {0}")]
    Log(#[from] LogError),
    /// The tiles lead to another root.
    #[error("the server's tiles do not lead to the root it signed")]
    Root,
    /// Beyond the ledger.
    #[error("record {} is not in the ledger yet: its checkpoint covers {blocks} blocks", record_id(*.record))]
    Beyond {
        /// The record.
        record: u64,
        /// Blocks of the checkpoint.
        blocks: u64,
    },
    /// Something else is malformed.
    #[error("the server sent something that is not valid: {0}")]
    Malformed(String),
}

fn malformed(what: impl std::fmt::Display) -> GatherError {
    GatherError::Malformed(what.to_string())
}

/// The ledger's tiles, each fetched once.
struct Tiles<'c> {
    client: &'c Client,
    known: RefCell<HashMap<TileId, Vec<u8>>>,
}

impl TileReader for Tiles<'_> {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        if let Some(bytes) = self.known.borrow().get(&id) {
            return Ok(Some(bytes.clone()));
        }
        let bytes = self.client.tile(&id.path()).map_err(|e| e.to_string())?;
        self.known.borrow_mut().insert(id, bytes.clone());
        Ok(Some(bytes))
    }
}

/// A ledger behind a server, as of one checkpoint.
pub struct Gatherer<'c> {
    client: &'c Client,
    origin: String,
    checkpoint: SignedCheckpoint,
    log: Log,
    tiles: Tiles<'c>,
    /// Every erasure, once one was looked for.
    erasures: Option<Vec<(ErasureStatement, LogEntry)>>,
    /// Records of which something was granted to who asks.
    granted: Vec<RecordRange>,
    /// What is granted of records of which nothing is.
    nothing: Arc<Granted>,
}

/// A record's bytes and what was granted of it.
type Content = (RawRecord, Arc<Granted>);

impl<'c> Gatherer<'c> {
    /// Fetches the checkpoint, the right edge of the log, and where something was granted to `identities`; give none if no record is
    /// to be shown.
    pub fn new(
        client: &'c Client,
        key: &VerifierKey,
        identities: &[Identity],
    ) -> Result<Gatherer<'c>, GatherError> {
        let checkpoint = SignedCheckpoint::parse(&client.checkpoint()?, key)?;
        let head = checkpoint.checkpoint().clone();
        let tiles = Tiles { client, known: RefCell::default() };
        let (index, width) = (head.size / u64::from(TILE_WIDTH), (head.size % u64::from(TILE_WIDTH)) as u16);
        let tail = if width == 0 {
            Vec::new()
        } else {
            client.tile(&TileId { level: 0, index }.path_with_width(width))?
        };
        let tail: Vec<Hash> = tail.as_chunks::<HASH_LEN>().0.iter().map(|h| Hash(*h)).collect();
        let log = Log::restore(head.size, &tail, &tiles)?;
        if log.root() != head.root {
            return Err(GatherError::Root);
        }
        let mut granted = Vec::new();
        for identity in identities {
            let grants = client.grants(&identity.recipient().to_string())?;
            granted.extend(grants.iter().map(|g| RecordRange { first: g.first_record, last: g.last_record }));
        }
        let (erasures, nothing) = (None, Arc::default());
        Ok(Gatherer { client, origin: head.origin, checkpoint, log, tiles, erasures, granted, nothing })
    }

    /// Hands over the material of all records of `ranges`, which ascend and do not overlap, in order. With `content` the
    /// records' bytes are downloaded too, which needs a session and is logged by the server.
    pub fn each<E: From<GatherError>>(
        &mut self,
        ranges: &[RecordRange],
        content: bool,
        mut take: impl FnMut(Material) -> Result<(), E>,
    ) -> Result<(), E> {
        // A range that ends beyond the ledger is found before anything is downloaded.
        for range in ranges {
            self.client.proof(range.last).map_err(GatherError::from)?;
        }
        for range in ranges {
            let mut next = range.first;
            loop {
                let block = self.block_of(next)?;
                let end = block.last().min(range.last);
                let bytes = if content { self.contents(&block, next, end)? } else { Vec::new() };
                let mut bytes = bytes.into_iter();
                for record in next..=end {
                    take(self.material(&block, record, bytes.next())?)?;
                }
                if end == range.last {
                    break;
                }
                next = end + 1;
            }
        }
        Ok(())
    }

    /// C2SP tlog-proof of a block.
    fn log_proof(&self, height: u64) -> Result<String, GatherError> {
        let path = self.log.inclusion_path(&self.tiles, height, self.log.size())?;
        let checkpoint = self.checkpoint.to_string();
        Ok(TlogProof { extra: None, index: height, path, checkpoint }.to_string())
    }

    /// The block that holds a record, with the leaf inputs of all its records.
    fn block_of(&self, record: u64) -> Result<FetchedBlock, GatherError> {
        let proof = Proof::parse(&self.client.proof(record)?)?;
        let block = Block::parse(&proof.block).map_err(malformed)?;
        let height = block.height;
        if height >= self.log.size() {
            return Err(GatherError::Beyond { record, blocks: self.log.size() });
        }
        let inputs = self.client.leaf_inputs(height)?;
        let inputs = inputs.chunks(LEAF_INPUTS_LEN).map(LeafInputs::from_bytes);
        let leaves: Vec<LeafInputs> = inputs.collect::<Result<_, _>>().map_err(malformed)?;
        let end = block.first_record.saturating_add(leaves.len() as u64);
        if !(block.first_record..end).contains(&record) {
            return Err(malformed(format!("block {height} does not hold record {record}")));
        }
        let tree = BlockTree::new(&leaves.iter().map(record_leaf).collect::<Vec<_>>());
        let log_proof = self.log_proof(height)?;
        Ok(FetchedBlock { height, first: block.first_record, text: proof.block, log_proof, leaves, tree })
    }

    /// The records `next` to `end` of a block.
    fn contents(&self, block: &FetchedBlock, next: u64, end: u64) -> Result<Vec<Content>, GatherError> {
        if end - next < WHOLE_BODY_FROM as u64 {
            let one = |record| {
                let message = self.client.record(record)?;
                self.content(&message.header, &message.bytes, &message.grants)
            };
            return (next..=end).map(one).collect();
        }
        // A body comes without what was granted of its records.
        if self.granted.iter().any(|r| r.first <= end && r.last >= next) {
            return self.listed(block.height, &(next..=end).collect::<Vec<_>>());
        }
        let bodies = self.client.bodies(block.height, 1)?;
        let body = bodies.into_iter().find(|(height, _)| *height == block.height);
        let (_, body) = body.ok_or_else(|| malformed(format!("no body for block {}", block.height)))?;
        let body = Body::decode(&body).map_err(malformed)?;
        let wanted = body.records().skip((next - block.first) as usize).take((end - next + 1) as usize);
        let raw = |record: &[u8]| RawRecord { header: body.header.to_vec(), record: record.to_vec() };
        let records: Vec<Content> = wanted.map(|r| (raw(r), self.nothing.clone())).collect();
        if records.len() as u64 != end - next + 1 {
            return Err(malformed(format!("the body of block {} is cut short", block.height)));
        }
        Ok(records)
    }

    /// Some records of the block at `height`, by lists.
    fn listed(&self, height: u64, records: &[u64]) -> Result<Vec<Content>, GatherError> {
        let mut out = Vec::with_capacity(records.len());
        let mut rest = records;
        while !rest.is_empty() {
            let message = self.client.records(rest.get(..MAX_RECORDS_PER_REQUEST).unwrap_or(rest))?;
            let header = message.headers.get(&height).ok_or_else(|| malformed("a header is missing"))?;
            let named = message.records.iter().map(|r| r.record);
            // As many as the server sent, at least one.
            if message.records.is_empty() || !rest.iter().copied().take(message.records.len()).eq(named) {
                return Err(malformed("other records than those asked for"));
            }
            for sent in &message.records {
                out.push(self.content(header, &sent.bytes, &sent.grants)?);
            }
            rest = rest.get(message.records.len()..).unwrap_or_default();
        }
        Ok(out)
    }

    /// What a server sent of one record.
    fn content(&self, header: &str, record: &str, grants: &[GrantMessage]) -> Result<Content, GatherError> {
        let decode = |text: &str| from_base64(text).ok_or_else(|| malformed("a record not in base64"));
        let granted = match grants {
            [] => self.nothing.clone(),
            _ => Arc::new(Granted::of_messages(grants).ok_or_else(|| malformed("no part of a grant"))?),
        };
        Ok((RawRecord { header: decode(header)?, record: decode(record)? }, granted))
    }

    fn material(
        &mut self,
        block: &FetchedBlock,
        record: u64,
        content: Option<Content>,
    ) -> Result<Material, GatherError> {
        let (content, granted) = content.unzip();
        let at = (record - block.first) as usize;
        let missing = || malformed(format!("no hashes for record {record}"));
        let proof = Proof {
            ledger: self.origin.clone(),
            record,
            leaf_inputs: *block.leaves.get(at).ok_or_else(missing)?,
            record_path: block.tree.path(at).ok_or_else(missing)?,
            block: block.text.clone(),
            log_proof: block.log_proof.clone(),
        };
        let erased =
            content.as_ref().is_some_and(|c| matches!(Record::decode(&c.record), Ok(Record::Erased(_))));
        let erasure = if erased { self.erasure(record)? } else { None };
        let granted = granted.unwrap_or_else(|| self.nothing.clone());
        Ok(Material { proof, content, erasure, granted })
    }

    /// The order to erase a record, if the ledger has one. The first time this reads all blocks.
    fn erasure(&mut self, record: u64) -> Result<Option<LogEntry>, GatherError> {
        if self.erasures.is_none() {
            self.erasures = Some(self.read_erasures()?);
        }
        let names_it = |s: &ErasureStatement| s.records.iter().any(|r| r.contains(record));
        let found = self.erasures.iter().flatten().find(|(statement, _)| names_it(statement));
        Ok(found.map(|(_, entry)| entry.clone()))
    }

    fn read_erasures(&self) -> Result<Vec<(ErasureStatement, LogEntry)>, GatherError> {
        let mut source = ServerSource::new(self.client, false);
        let (mut height, size) = (0, self.log.size());
        let mut found = Vec::new();
        while height < size {
            let texts = source.blocks(height, size)?;
            if texts.is_empty() {
                return Err(malformed(format!("no block {height}")));
            }
            for text in texts {
                let block = Block::parse(&text).map_err(malformed)?;
                if let Ok(Statement::Erasure(statement)) = Statement::parse(&block.statement.text) {
                    found.push((statement, LogEntry { text, log_proof: self.log_proof(height)? }));
                }
                height += 1;
            }
        }
        Ok(found)
    }
}

/// A block and what proofs of its records are made of. It has at least one record.
struct FetchedBlock {
    height: u64,
    first: u64,
    text: String,
    log_proof: String,
    leaves: Vec<LeafInputs>,
    tree: BlockTree,
}

impl FetchedBlock {
    /// Index of its last record.
    fn last(&self) -> u64 {
        self.first.saturating_add(self.leaves.len() as u64).saturating_sub(1)
    }
}
