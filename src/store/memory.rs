//! The reference store: everything in memory, nothing clever. Tests of the layers above use it, and every
//! other back end must answer as it does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::check::{NO_REPLACEMENT, check_append, check_continues, check_erase, check_replace};
use super::erase::erase_from_body;
use super::{BlockInfo, Head, NewBlock, Store, StoreError, StoreStats, StoredRecord, body_tags};
use crate::base::batch::Body;
use crate::base::hash::Hash;
use crate::base::record::{LEAF_INPUTS_LEN, Tag};

/// A store that lasts as long as the process.
#[derive(Debug)]
pub struct MemoryStore {
    origin: String,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    head: Option<Head>,
    blocks: Vec<NewBlock>,
    derived: BTreeMap<String, Vec<u8>>,
    statements: HashMap<(String, u64), u64>,
    /// First record of each ciphertext hash.
    ciphertexts: HashMap<[u8; 32], u64>,
    /// Every (tag, record).
    tags: BTreeSet<(u64, u64)>,
}

impl MemoryStore {
    /// An empty store for the ledger `origin`.
    pub fn new(origin: &str) -> MemoryStore {
        MemoryStore { origin: origin.to_owned(), inner: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn block(&self, height: u64) -> Option<&NewBlock> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    fn block_of_record(&self, record: u64) -> Option<&NewBlock> {
        let after = self.blocks.partition_point(|b| b.first_record + u64::from(b.records) <= record);
        self.blocks.get(after)
    }

    fn index(&mut self, first_block: usize) {
        for b in self.blocks.iter().skip(first_block) {
            for (record, inputs) in (b.first_record..).zip(b.leaf_inputs.chunks_exact(LEAF_INPUTS_LEN)) {
                if let Some(hash) = inputs.first_chunk() {
                    self.ciphertexts.entry(*hash).or_insert(record);
                }
            }
            let tags = body_tags(b.body.as_deref().unwrap_or_default()).unwrap_or_default();
            self.tags.extend(tags.iter().map(|(t, position)| (*t, b.first_record + u64::from(*position))));
        }
    }
}

fn info(b: &NewBlock) -> BlockInfo {
    BlockInfo {
        height: b.height,
        first_record: b.first_record,
        records: b.records,
        signer: b.signer.clone(),
        sequence: b.sequence,
    }
}

impl Store for MemoryStore {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.read().head.clone())
    }

    fn append(
        &self,
        expected_size: u64,
        blocks: &[NewBlock],
        derived: &[(String, Vec<u8>)],
        head: &Head,
    ) -> Result<(), StoreError> {
        check_append(expected_size, blocks, head)?;
        let mut guard = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        let (found, records) = inner.head.as_ref().map_or((0, 0), |h| (h.size, h.records));
        if found != expected_size {
            return Err(StoreError::Conflict { expected: expected_size, found });
        }
        check_continues(records, blocks, head)?;
        let mut new = HashMap::new();
        for b in blocks {
            let key = (b.signer.clone(), b.sequence);
            let old = inner.statements.get(&key).copied().or_else(|| new.insert(key, b.height));
            if let Some(height) = old {
                return Err(StoreError::DuplicateStatement {
                    signer: b.signer.clone(),
                    sequence: b.sequence,
                    height,
                });
            }
        }
        inner.statements.extend(new);
        let first_new = inner.blocks.len();
        inner.blocks.extend_from_slice(blocks);
        inner.index(first_new);
        inner.derived.extend(derived.iter().cloned());
        inner.head = Some(head.clone());
        Ok(())
    }

    fn erase(&self, records: &[Range<u64>]) -> Result<u64, StoreError> {
        let mut guard = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        check_erase(inner.head.as_ref().map_or(0, |h| h.records), records)?;
        let mut changed = Vec::new();
        for (height, b) in inner.blocks.iter().enumerate() {
            let Some(body) = &b.body else { continue };
            let gone = |p: u32| records.iter().any(|r| r.contains(&(b.first_record + u64::from(p))));
            if (0..b.records).any(gone) {
                let erased =
                    erase_from_body(body, &b.leaf_inputs, gone).map_err(|e| StoreError::Corrupt {
                        place: "memory".to_owned(),
                        why: format!("body of block {height}: {e}"),
                    })?;
                changed.push((height, erased));
            }
        }
        let mut count = 0;
        for (height, erased) in changed {
            let Some(b) = inner.blocks.get_mut(height) else { continue };
            count += erased.records;
            b.body = Some(erased.body);
            b.tags.retain(|t| !erased.tags.contains(t));
            for (tag, position) in erased.tags {
                inner.tags.remove(&(tag, b.first_record + u64::from(position)));
            }
        }
        Ok(count)
    }

    fn replace_body(&self, height: u64, body: &[u8]) -> Result<(), StoreError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let block = usize::try_from(height).ok().and_then(|h| inner.blocks.get_mut(h));
        let fits = block.filter(|b| check_replace(b.records, b.body.as_ref().map_or(0, Vec::len), body));
        let block = fits.ok_or_else(|| StoreError::Invalid { why: NO_REPLACEMENT.to_owned() })?;
        block.body = Some(body.to_vec());
        Ok(())
    }

    fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn block_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().block(height).map(|b| b.text.clone()))
    }

    fn block_texts(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let inner = self.read();
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut total = 0;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for b in inner.blocks.iter().skip(from).take(max) {
            total += b.text.len();
            if total > max_bytes && !out.is_empty() {
                break;
            }
            out.push(b.text.clone());
        }
        Ok(out)
    }

    fn block_info(&self, height: u64) -> Result<Option<BlockInfo>, StoreError> {
        Ok(self.read().block(height).map(info))
    }

    fn block_of_record(&self, record: u64) -> Result<Option<BlockInfo>, StoreError> {
        Ok(self.read().block_of_record(record).map(info))
    }

    fn leaf_inputs(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().block(height).map(|b| b.leaf_inputs.clone()))
    }

    fn body(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().block(height).and_then(|b| b.body.clone()))
    }

    fn record(&self, record: u64) -> Result<Option<StoredRecord>, StoreError> {
        let inner = self.read();
        let Some((b, bytes)) = inner.block_of_record(record).and_then(|b| Some((b, b.body.as_deref()?)))
        else {
            return Ok(None);
        };
        let position = (record - b.first_record) as u32;
        let damaged = |why: String| StoreError::Corrupt { place: "memory".to_owned(), why };
        let body = Body::decode(bytes).map_err(|e| damaged(e.to_string()))?;
        let found = body.records().nth(position as usize);
        let bytes = found.ok_or_else(|| damaged(format!("record {record} is not in its body")))?;
        Ok(Some(StoredRecord {
            info: info(b),
            position,
            header: body.header.to_vec(),
            record: bytes.to_vec(),
        }))
    }

    fn find_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        Ok(self.read().ciphertexts.get(&hash.0).copied())
    }

    fn find_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let tag = u64::from_be_bytes(*tag);
        Ok(self.read().tags.range((tag, from)..=(tag, u64::MAX)).map(|(_, r)| *r).take(limit).collect())
    }

    fn statement(&self, signer: &str, sequence: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.read().statements.get(&(signer.to_owned(), sequence)).copied())
    }

    fn derived(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().derived.get(key).cloned())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let inner = self.read();
        let sum = |f: fn(&NewBlock) -> usize| inner.blocks.iter().map(|b| f(b) as u64).sum();
        Ok(StoreStats {
            blocks: inner.blocks.len() as u64,
            records: inner.head.as_ref().map_or(0, |h| h.records),
            text_bytes: sum(|b| b.text.len()),
            leaf_bytes: sum(|b| b.leaf_inputs.len()),
            body_bytes: sum(|b| b.body.as_ref().map_or(0, Vec::len)),
            stored_body_bytes: sum(|b| b.body.as_ref().map_or(0, Vec::len)),
            derived_rows: inner.derived.len() as u64,
            derived_bytes: inner.derived.values().map(|v| v.len() as u64).sum(),
            ..StoreStats::default()
        })
    }

    fn rebuild_index(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.ciphertexts.clear();
        inner.tags.clear();
        inner.index(0);
        inner.statements = inner.blocks.iter().map(|b| ((b.signer.clone(), b.sequence), b.height)).collect();
        let records = inner.head.as_ref().map_or(0, |h| h.records);
        progress(records, records);
        Ok(())
    }
}
