//! A store whose every call can be watched, held up or made to fail. For the tests of layers above stores.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test file uses its part

use std::ops::Range;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sealtrail::base::hash::Hash;
use sealtrail::base::record::Tag;
use sealtrail::store::{BlockInfo, Head, NewBlock, ProofParts, Store, StoreError, StoreStats, StoredRecord};

/// A method of [`Store`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    Head,
    Append,
    Erase,
    ReplaceBody,
    Scrub,
    BlockText,
    BlockTexts,
    BlockInfo,
    BlockOfRecord,
    LeafInputs,
    LeafRange,
    ProofParts,
    Body,
    BodyPart,
    Record,
    FindCiphertext,
    FindTag,
    Statement,
    Derived,
    Stats,
    RebuildIndex,
    Maintain,
}

impl Call {
    /// Whether it changes anything, so that it can fail and be kept all the same.
    pub fn writes(self) -> bool {
        use Call::*;
        matches!(self, Append | Erase | ReplaceBody | Scrub | RebuildIndex | Maintain)
    }
}

/// How a call fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails, and nothing is kept.
    Lost(StoreError),
    /// It fails although all of it is done.
    Kept(StoreError),
}

/// What the disk said, if it is not known whether it did it.
pub fn uncertain() -> StoreError {
    StoreError::Uncertain { place: "test".into(), why: "injected".into() }
}

/// What the disk said, if it is full.
pub fn full() -> StoreError {
    StoreError::Full { place: "test".into(), why: "injected".into() }
}

/// Decides about calls.
pub trait Watch: Send + Sync {
    /// Asked before every call, on the caller's thread: it may wait, and says whether the call fails.
    fn before(&self, call: Call) -> Option<Fault>;
}

/// A store in front of another one.
pub struct Watched<W> {
    origin: String,
    inner: RwLock<Arc<dyn Store>>,
    watch: W,
}

impl<W> Watched<W> {
    pub fn new(inner: Arc<dyn Store>, watch: W) -> Watched<W> {
        Watched { origin: inner.origin().to_owned(), inner: RwLock::new(inner), watch }
    }

    pub fn inner(&self) -> Arc<dyn Store> {
        self.inner.read().unwrap().clone()
    }

    /// Puts another store in place of the one behind. Gives that.
    pub fn replace(&self, other: Arc<dyn Store>) -> Arc<dyn Store> {
        std::mem::replace(&mut self.inner.write().unwrap(), other)
    }
}

/// What decides is at hand, to be told what to do.
impl<W> std::ops::Deref for Watched<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.watch
    }
}

impl<W: Watch> Watched<W> {
    fn call<T>(
        &self,
        call: Call,
        f: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.watch.before(call) {
            None => f(&*self.inner()),
            Some(Fault::Lost(e)) => Err(e),
            Some(Fault::Kept(e)) => f(&*self.inner()).and(Err(e)),
        }
    }
}

impl<W: Watch> Store for Watched<W> {
    fn origin(&self) -> &str {
        &self.origin
    }
    fn head(&self) -> Result<Option<Head>, StoreError> {
        self.call(Call::Head, |s| s.head())
    }
    fn append(
        &self,
        expected: u64,
        blocks: &[NewBlock],
        derived: &[(String, Vec<u8>)],
        head: &Head,
    ) -> Result<(), StoreError> {
        self.call(Call::Append, |s| s.append(expected, blocks, derived, head))
    }
    fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        self.call(Call::Erase, |s| s.erase(records))
    }
    fn replace_body(&self, height: u64, body: &[u8]) -> Result<(), StoreError> {
        self.call(Call::ReplaceBody, |s| s.replace_body(height, body))
    }
    fn scrub(&self) -> Result<(), StoreError> {
        self.call(Call::Scrub, |s| s.scrub())
    }
    fn block_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(Call::BlockText, |s| s.block_text(height))
    }
    fn block_texts(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.call(Call::BlockTexts, |s| s.block_texts(from, max, max_bytes))
    }
    fn block_info(&self, height: u64) -> Result<Option<BlockInfo>, StoreError> {
        self.call(Call::BlockInfo, |s| s.block_info(height))
    }
    fn block_of_record(&self, record: u64) -> Result<Option<BlockInfo>, StoreError> {
        self.call(Call::BlockOfRecord, |s| s.block_of_record(record))
    }
    fn leaf_inputs(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(Call::LeafInputs, |s| s.leaf_inputs(height))
    }
    fn leaf_range(&self, height: u64, first: usize, count: usize) -> Result<Vec<u8>, StoreError> {
        self.call(Call::LeafRange, |s| s.leaf_range(height, first, count))
    }
    fn proof_parts(
        &self,
        record: u64,
        group: usize,
        derived: &dyn Fn(&BlockInfo) -> Option<String>,
    ) -> Result<Option<ProofParts>, StoreError> {
        self.call(Call::ProofParts, |s| s.proof_parts(record, group, derived))
    }
    fn body(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(Call::Body, |s| s.body(height))
    }
    fn body_part(&self, height: u64, offset: usize, len: usize) -> Result<Vec<u8>, StoreError> {
        self.call(Call::BodyPart, |s| s.body_part(height, offset, len))
    }
    fn record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError> {
        self.call(Call::Record, |s| s.record(record))
    }
    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        self.call(Call::FindCiphertext, |s| s.find_ciphertext(hash))
    }
    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.call(Call::FindTag, |s| s.find_tag(tag, from, limit))
    }
    fn statement(&self, signer: &str, sequence: u64) -> Result<Option<u64>, StoreError> {
        self.call(Call::Statement, |s| s.statement(signer, sequence))
    }
    fn derived(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(Call::Derived, |s| s.derived(key))
    }
    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.call(Call::Stats, |s| s.stats())
    }
    fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        self.call(Call::RebuildIndex, |s| s.rebuild_index(progress))
    }
    fn maintain(&self, budget: Duration) -> Result<bool, StoreError> {
        self.call(Call::Maintain, |s| s.maintain(budget))
    }
}
