//! Going through a vault's records: blocks are opened by a few threads ahead of the reader and given in order. Decrypted bytes live in memory
//! until the reader drops them; at most [`BLOCKS_AHEAD`] blocks are open at once, however long the range.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use crate::base::batch::Body;
use crate::base::limits::{MAX_BULK_BYTES, MAX_WORK_THREADS};
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record};
use crate::base::threads::cores;
use crate::base::{batch::Header, clock::Timestamp};
use crate::chain::authority::ErasureStatement;
use crate::chain::batch::leaf_inputs_of;
use crate::chain::block::Block;
use crate::chain::statement::Statement;
use crate::event::json::Parser;
use crate::seal::open::OpenError;
use crate::seal::reader_key::Identity;
use crate::store::{BlockInfo, SqliteStore, Store};

use super::super::batch::{BatchOpener, OPENED_TOGETHER};
use super::super::granted::Granted;
use super::super::record::{AsOf, AuditRecord, BlockStream, Content, RecordStream, Records, RecordsError};
use super::opened::Kept;

/// Blocks opened and not yet given out. With blocks of 4,096 records of 1.1 KB each takes some 12 MB.
const BLOCKS_AHEAD: usize = 3;
/// Block texts read at once.
const TEXTS_AT_ONCE: usize = 256;

/// The records of a vault, for whoever holds some identities.
pub struct VaultRecords {
    shared: Arc<Shared>,
    as_of: AsOf,
}

struct Shared {
    store: Arc<SqliteStore>,
    kept: Option<Kept>,
    identities: Vec<Identity>,
    orders: Vec<(u64, ErasureStatement)>,
    granted: Granted,
}

impl VaultRecords {
    pub(super) fn new(
        store: Arc<SqliteStore>,
        kept: Option<Kept>,
        as_of: AsOf,
        identities: Vec<Identity>,
        orders: Vec<(u64, ErasureStatement)>,
        granted: Granted,
    ) -> Self {
        VaultRecords { shared: Arc::new(Shared { store, kept, identities, orders, granted }), as_of }
    }

    /// Keeps the opened events of every block that are not kept yet, sealed to the first identity. `progress` is told
    /// (records done, records in all).
    pub fn keep(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, RecordsError> {
        let (Some(kept), Some(identity)) = (&self.shared.kept, self.shared.identities.first()) else {
            return Ok(0);
        };
        let (mut next, mut new) = (0, 0);
        while next < self.as_of.records {
            let info = self.shared.info_of(next)?;
            next = info.first_record + u64::from(info.records);
            if !kept.has(info.height).map_err(Shared::failed)? {
                let opened = self.shared.open_block(&info, &(info.first_record..next))?;
                let contents: Vec<Content> = opened.into_iter().map(|r| r.content).collect();
                kept.put(identity, info.height, &contents).map_err(RecordsError::Unavailable)?;
                new += u64::from(info.records);
            }
            progress(next, self.as_of.records);
        }
        Ok(new)
    }

    /// Some records by index, ascending and each once, opened.
    pub fn pick(&self, records: &[u64]) -> Result<Vec<AuditRecord>, RecordsError> {
        let mut out = Vec::with_capacity(records.len());
        let mut rest = records;
        while let Some(first) = rest.first() {
            let info = self.shared.info_of(*first)?;
            let end = info.first_record + u64::from(info.records);
            let here = rest.partition_point(|r| *r < end);
            let (these, others) = rest.split_at(here.max(1));
            out.extend(self.shared.open_some(&info, these)?);
            rest = others;
        }
        Ok(out)
    }
}

impl Records for VaultRecords {
    fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        let range = range.start..range.end.min(self.as_of.records);
        Box::new(Scan::start(self.shared.clone(), range))
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        let range = range.start..range.end.min(self.as_of.blocks);
        let shared = self.shared.clone();
        let mut next = range.start;
        let mut texts = VecDeque::new();
        Box::new(std::iter::from_fn(move || {
            if next >= range.end {
                return None;
            }
            if texts.is_empty() {
                match shared.store.block_texts(next, TEXTS_AT_ONCE, MAX_BULK_BYTES) {
                    Ok(more) => texts.extend(more),
                    Err(e) => {
                        next = range.end;
                        return Some(Err(RecordsError::Unavailable(e.to_string())));
                    }
                }
            }
            let height = next;
            next += 1;
            let parsed = texts
                .pop_front()
                .ok_or_else(|| damaged(height, "it is missing"))
                .and_then(|t| parse(height, t));
            if parsed.is_err() {
                next = range.end;
            }
            Some(parsed)
        }))
    }
}

fn damaged(height: u64, why: impl std::fmt::Display) -> RecordsError {
    RecordsError::Damaged(format!(
        "the vault is damaged at block {height} ({why}): delete its folder and sync again"
    ))
}

fn parse(height: u64, text: Vec<u8>) -> Result<(Block, Statement), RecordsError> {
    let text = String::from_utf8(text).map_err(|_| damaged(height, "it is not text"))?;
    let block = Block::parse(&text).map_err(|e| damaged(height, e))?;
    let statement = Statement::parse(&block.statement.text).map_err(|e| damaged(height, e))?;
    Ok((block, statement))
}

/// What the records of a block share.
struct Meta {
    block: u64,
    committed: Timestamp,
    sealed: Timestamp,
    writer: Arc<str>,
    retain_until: Arc<str>,
}

impl Meta {
    fn record(&self, index: u64, position: u32, content: Content) -> AuditRecord {
        AuditRecord {
            index,
            block: self.block,
            position,
            committed: self.committed,
            sealed: self.sealed,
            writer: self.writer.clone(),
            retain_until: self.retain_until.clone(),
            content,
        }
    }
}

/// A block and what opens its records.
struct Batch {
    meta: Meta,
    opener: Result<BatchOpener, OpenError>,
}

impl Shared {
    fn failed(e: impl std::fmt::Display) -> RecordsError {
        RecordsError::Unavailable(e.to_string())
    }

    fn info_of(&self, record: u64) -> Result<BlockInfo, RecordsError> {
        let info = self.store.block_of_record(record).map_err(Self::failed)?;
        info.ok_or_else(|| {
            RecordsError::Unavailable(format!(
                "record {record} is not in the vault: `sealtrail audit sync` fetches what is new"
            ))
        })
    }

    fn meta(&self, height: u64) -> Result<Meta, RecordsError> {
        let text = self.store.block_text(height).map_err(Self::failed)?;
        let (block, statement) = parse(height, text.ok_or_else(|| damaged(height, "it is missing"))?)?;
        let Statement::Records(statement) = statement else {
            return Err(damaged(height, "it holds no records"));
        };
        Ok(Meta {
            block: height,
            committed: block.committed,
            sealed: statement.sealed,
            writer: block.statement.signer_name().into(),
            retain_until: statement.retain_until.as_str().into(),
        })
    }

    fn batch(&self, height: u64, header: &[u8]) -> Result<Batch, RecordsError> {
        let header = Header::decode(header).map_err(|e| damaged(height, e))?;
        let opener = BatchOpener::new(&self.identities, &header, &self.granted.batch(height));
        Ok(Batch { meta: self.meta(height)?, opener })
    }

    /// A block whose opened events are kept, or the part of it in `range`.
    fn kept_block(
        &self,
        info: &BlockInfo,
        range: &Range<u64>,
    ) -> Result<Option<Vec<AuditRecord>>, RecordsError> {
        let kept = self.kept.as_ref().zip(self.identities.first());
        let Some(contents) = kept.and_then(|(kept, identity)| kept.get(identity, info.height)) else {
            return Ok(None);
        };
        if contents.len() != info.records as usize {
            return Ok(None);
        }
        let shared = self.meta(info.height)?;
        let records = (0u32..).zip(contents).map(|(position, content)| {
            let index = info.first_record + u64::from(position);
            let content = match self.order_for(index) {
                Some(block) => Content::Erased { by_block: Some(block) },
                None => content,
            };
            shared.record(index, position, content)
        });
        Ok(Some(records.filter(|r| range.contains(&r.index)).collect()))
    }

    /// Opens a whole block, or the part of it in `range`.
    fn open_block(&self, info: &BlockInfo, range: &Range<u64>) -> Result<Vec<AuditRecord>, RecordsError> {
        if let Some(records) = self.kept_block(info, range)? {
            return Ok(records);
        }
        let bytes = self.store.body(info.height).map_err(Self::failed)?;
        let bytes = bytes.ok_or_else(|| damaged(info.height, "its body is missing"))?;
        let body = Body::decode(&bytes).map_err(|e| damaged(info.height, e))?;
        let batch = self.batch(info.height, body.header)?;
        let wanted = |p: u32| range.contains(&(info.first_record + u64::from(p)));
        let records: Vec<(u32, &[u8])> = (0u32..).zip(body.records()).filter(|(p, _)| wanted(*p)).collect();
        self.open(info, &batch, &mut Parser::new(), &records)
    }

    /// Opens single records of one block, a few of them in memory at a time.
    fn open_some(&self, info: &BlockInfo, records: &[u64]) -> Result<Vec<AuditRecord>, RecordsError> {
        let mut batch = None;
        let mut parser = Parser::new();
        let mut out = Vec::with_capacity(records.len());
        for some in records.chunks(OPENED_TOGETHER) {
            let mut sealed = Vec::with_capacity(some.len());
            for record in some {
                let stored = self.store.record(*record).map_err(Self::failed)?;
                let stored = stored.ok_or_else(|| damaged(info.height, "a record is missing"))?;
                if batch.is_none() {
                    batch = Some(self.batch(info.height, &stored.header)?);
                }
                sealed.push((stored.position, stored.record));
            }
            if let Some(batch) = &batch {
                let sealed: Vec<(u32, &[u8])> = sealed.iter().map(|(p, bytes)| (*p, &bytes[..])).collect();
                out.extend(self.open(info, batch, &mut parser, &sealed)?);
            }
        }
        Ok(out)
    }

    /// Opens records of one block, given with their positions.
    fn open(
        &self,
        info: &BlockInfo,
        batch: &Batch,
        parser: &mut Parser,
        records: &[(u32, &[u8])],
    ) -> Result<Vec<AuditRecord>, RecordsError> {
        let index = |position: u32| info.first_record + u64::from(position);
        let mut erased = Vec::with_capacity(records.len());
        let mut sealed = Vec::with_capacity(records.len());
        for (position, bytes) in records {
            let record = index(*position);
            erased.push(match Record::decode(bytes) {
                Err(e) => return Err(damaged(info.height, e)),
                Ok(Record::Erased(_)) => Some(self.order_for(record).ok_or_else(|| {
                    damaged(info.height, format!("record {record} is missing and no order erased it"))
                })?),
                Ok(_) => None,
            });
            if let Some(None) = erased.last() {
                sealed.push((*position, *bytes));
            }
        }
        let mut contents = BatchOpener::contents(&batch.opener, parser, &sealed).into_iter();
        let mut out = Vec::with_capacity(records.len());
        for ((position, bytes), erased) in records.iter().zip(erased) {
            let content = match erased {
                Some(block) => Content::Erased { by_block: Some(block) },
                // As many as were sealed.
                None => contents.next().unwrap_or(Content::NotForYou),
            };
            if let Content::Unreadable { .. } = content {
                self.check_bytes(info, *position, bytes)?;
            }
            out.push(batch.meta.record(index(*position), *position, content));
        }
        Ok(out)
    }

    fn order_for(&self, record: u64) -> Option<u64> {
        let covers = |o: &ErasureStatement| o.records.iter().any(|r| r.contains(record));
        self.orders.iter().find(|(_, order)| covers(order)).map(|(height, _)| *height)
    }

    /// Whose fault a record that does not open is: the writer's only if the bytes here are those that were committed.
    fn check_bytes(&self, info: &BlockInfo, position: u32, bytes: &[u8]) -> Result<(), RecordsError> {
        let kept = self.store.leaf_inputs(info.height).map_err(Self::failed)?.unwrap_or_default();
        let kept =
            kept.chunks(LEAF_INPUTS_LEN).nth(position as usize).and_then(|b| LeafInputs::from_bytes(b).ok());
        match leaf_inputs_of(bytes) {
            Ok(now) if Some(now) == kept => Ok(()),
            _ => Err(damaged(info.height, "a record is not the one that was downloaded")),
        }
    }
}

type Opened = Result<Vec<AuditRecord>, RecordsError>;

/// The pipeline: jobs go to a few threads, each job's answer comes back through a channel of its own, in order.
struct Scan {
    shared: Arc<Shared>,
    range: Range<u64>,
    /// Index of the next record that no job covers.
    next: u64,
    jobs: Option<Sender<Job>>,
    ahead: VecDeque<Receiver<Opened>>,
    ready: std::vec::IntoIter<AuditRecord>,
}

struct Job {
    info: BlockInfo,
    answer: std::sync::mpsc::SyncSender<Opened>,
}

impl Scan {
    fn start(shared: Arc<Shared>, range: Range<u64>) -> Scan {
        let threads = cores(MAX_WORK_THREADS);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(std::sync::Mutex::new(queue));
        let mut started = 0;
        for _ in 0..threads {
            let (shared, queue, range) = (shared.clone(), queue.clone(), range.clone());
            let work = move || {
                loop {
                    let job = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    // Nobody listening any more is no reason to complain.
                    let _ = job.answer.send(shared.open_block(&job.info, &range));
                }
            };
            started += usize::from(std::thread::Builder::new().name("open".into()).spawn(work).is_ok());
        }
        let next = range.start;
        let jobs = (started > 0).then_some(jobs);
        Scan { shared, range, next, jobs, ahead: VecDeque::new(), ready: Vec::new().into_iter() }
    }

    /// Keeps the threads busy.
    fn fill(&mut self) -> Result<(), RecordsError> {
        while self.next < self.range.end && self.ahead.len() < BLOCKS_AHEAD {
            let info = self.shared.info_of(self.next)?;
            self.next = info.first_record + u64::from(info.records);
            let (answer, receiver) = sync_channel(1);
            let job = Job { info, answer };
            if let Some(job) = match &self.jobs {
                Some(jobs) => jobs.send(job).err().map(|e| e.0),
                None => Some(job),
            } {
                let _ = job.answer.send(self.shared.open_block(&job.info, &self.range));
            }
            self.ahead.push_back(receiver);
        }
        Ok(())
    }

    fn stop(&mut self, e: RecordsError) -> Option<Result<AuditRecord, RecordsError>> {
        self.next = self.range.end;
        self.ahead.clear();
        Some(Err(e))
    }
}

impl Iterator for Scan {
    type Item = Result<AuditRecord, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.next() {
                return Some(Ok(record));
            }
            if let Err(e) = self.fill() {
                return self.stop(e);
            }
            let opened = self.ahead.pop_front()?.recv();
            match opened.unwrap_or_else(|_| {
                Err(RecordsError::Unavailable("a thread that opens records failed".into()))
            }) {
                Ok(records) => self.ready = records.into_iter(),
                Err(e) => return self.stop(e),
            }
        }
    }
}
