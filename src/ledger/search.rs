//! Searching without being able to read: records by blind tags, and the batch headers from which a reader gets the secrets to make tags with.
//!
//! A search secret belongs to one writer, one period and one layout of sections and readers, an **epoch**. The first batch of every epoch is noted as derived
//! values, so that a reader learns all secrets from few headers.

use crate::base::batch::Header;
use crate::base::hash::Hash;
use crate::base::record::Tag;
use crate::base::wire::WireWrite;
use crate::store::{Store, StoreError};

use super::{Ledger, LedgerError};

/// Derived value: number of epochs.
const COUNT: &str = "epoch/count";
/// Records of one tag read at once.
const PAGE: usize = 512;

/// What all batches of an epoch share: writer, period, readers, who reads which section, and the tag fields.
pub fn epoch_of(header: &Header) -> Hash {
    let mut bytes = Vec::new();
    bytes.put_bytes16(header.writer.as_bytes());
    bytes.put_bytes16(header.period.as_bytes());
    for reader in &header.readers {
        bytes.put_u16(reader.kem);
        bytes.put_bytes16(&reader.public_key);
    }
    for section in &header.sections {
        bytes.put_bytes16(section.name.as_bytes());
        bytes.put_bytes16(&section.readers);
    }
    for field in &header.tag_fields {
        bytes.put_bytes16(field.as_bytes());
    }
    Hash::of(&[&bytes])
}

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes.and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// The derived values to write with the block at `height`: none unless its batch begins an epoch. `pending` are those that will be
/// written in the same transaction by blocks before it.
pub fn epoch_rows(
    store: &dyn Store,
    pending: &[(String, Vec<u8>)],
    height: u64,
    header: &Header,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let seen = format!("epoch/seen/{}", epoch_of(header).hex());
    if pending.iter().any(|(key, _)| *key == seen) || store.derived(&seen)?.is_some() {
        return Ok(Vec::new());
    }
    let count = pending.iter().rev().find(|(key, _)| key == COUNT).map(|(_, value)| value.clone());
    let count = number(count.map_or_else(|| store.derived(COUNT), |c| Ok(Some(c)))?);
    let height = height.to_be_bytes().to_vec();
    Ok(vec![
        (seen, Vec::new()),
        (format!("epoch/{count}"), height),
        (COUNT.to_owned(), (count + 1).to_be_bytes().to_vec()),
    ])
}

/// Heights of the blocks that begin an epoch, from epoch number `from` on, at most `limit`.
pub fn epochs(store: &dyn Store, from: u64, limit: u64) -> Result<Vec<u64>, StoreError> {
    let count = number(store.derived(COUNT)?);
    let mut heights = Vec::new();
    for n in from..count.min(from.saturating_add(limit)) {
        heights.push(number(store.derived(&format!("epoch/{n}"))?));
    }
    Ok(heights)
}

/// A question in blind tags: records that carry, for every clause, at least one of its tags.
pub type TagQuery = Vec<Vec<Tag>>;

/// Indexes of the records that match, from `from` on and below `end`, ascending, at most `limit` and then the lowest ones.
pub fn find_tagged(
    store: &dyn Store,
    query: &TagQuery,
    from: u64,
    end: u64,
    limit: usize,
) -> Result<Vec<u64>, StoreError> {
    let mut clauses: Vec<Clause> = query.iter().map(|tags| Clause::new(tags, from)).collect();
    let mut found = Vec::new();
    let mut at = from;
    'next: while found.len() < limit && !clauses.is_empty() {
        let start = at;
        for clause in &mut clauses {
            match clause.at_or_after(store, at)? {
                Some(record) if record < end => at = record,
                _ => break 'next,
            }
        }
        // Every clause has stopped at the same record, or somebody went on and all are asked again.
        if at == start && clauses.iter().all(|c| c.holds(at)) {
            found.push(at);
            at += 1;
        }
    }
    Ok(found)
}

/// The records of one clause, read as needed.
struct Clause {
    cursors: Vec<Cursor>,
}

struct Cursor {
    tag: Tag,
    /// Records read and not yet passed, last first.
    page: Vec<u64>,
    /// Where to read on; `None` after the last page.
    next: Option<u64>,
}

impl Clause {
    fn new(tags: &[Tag], from: u64) -> Clause {
        let cursor = |tag: &Tag| Cursor { tag: *tag, page: Vec::new(), next: Some(from) };
        Clause { cursors: tags.iter().map(cursor).collect() }
    }

    /// The first record not below `at`.
    fn at_or_after(&mut self, store: &dyn Store, at: u64) -> Result<Option<u64>, StoreError> {
        let mut lowest = None;
        for cursor in &mut self.cursors {
            if let Some(record) = cursor.at_or_after(store, at)? {
                lowest = Some(lowest.map_or(record, |l: u64| l.min(record)));
            }
        }
        Ok(lowest)
    }

    fn holds(&self, record: u64) -> bool {
        self.cursors.iter().any(|c| c.page.last() == Some(&record))
    }
}

impl Cursor {
    fn at_or_after(&mut self, store: &dyn Store, at: u64) -> Result<Option<u64>, StoreError> {
        loop {
            while self.page.last().is_some_and(|r| *r < at) {
                self.page.pop();
            }
            match (self.page.last(), self.next) {
                (Some(record), _) => return Ok(Some(*record)),
                (None, None) => return Ok(None),
                (None, Some(next)) => {
                    self.page = store.find_tag(&self.tag, next.max(at), PAGE)?;
                    self.next = self.page.last().filter(|_| self.page.len() == PAGE).map(|r| r + 1);
                    self.page.reverse();
                }
            }
        }
    }
}

impl Ledger {
    /// Heights of the blocks that begin a search epoch, from epoch number `from` on.
    pub fn epochs(&self, from: u64, limit: u64) -> Result<Vec<u64>, LedgerError> {
        Ok(epochs(&*self.store, from, limit)?)
    }

    /// The batch header of a block; empty for a block without records.
    pub fn batch_header(&self, height: u64) -> Result<Vec<u8>, LedgerError> {
        let (first, records) = self.record_range(height)?;
        if records == 0 {
            return Ok(Vec::new());
        }
        Ok(self.record(first)?.header)
    }

    /// Records by blind tags, as [`find_tagged`].
    pub fn find_tagged(&self, query: &TagQuery, from: u64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        let end = self.view().state.next_record();
        Ok(find_tagged(&*self.store, query, from, end, limit)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Head, MemoryStore, NewBlock};

    /// A store of one block per three records, in which record r carries the tags [2, r mod 2], [3, r mod 3], [r / 100, 9].
    fn store(records: u64) -> MemoryStore {
        let store = MemoryStore::new("test.example");
        for height in 0..records / 3 {
            let encoded: Vec<Vec<u8>> = (height * 3..height * 3 + 3).map(record).collect();
            let block = NewBlock {
                height,
                first_record: height * 3,
                records: 3,
                text: b"block".to_vec(),
                leaf_inputs: vec![height as u8; 3 * 96],
                signer: "w".into(),
                sequence: height,
                tags: Vec::new(),
                body: Some(crate::base::batch::Body::encode(b"h", &encoded)),
            };
            let head = Head { size: height + 1, records: height * 3 + 3, ..Head::default() };
            store.append(height, &[block], &[], &head).unwrap();
        }
        store
    }

    fn record(r: u64) -> Vec<u8> {
        let mut tags = [tag(2, r % 2), tag(3, r % 3), tag(r / 100, 9)];
        tags.sort();
        let sealed = [&[1][..], &[0; 32], &[1], &0u32.to_be_bytes(), &[0; 32], &[1], &[0; 32], &[3]];
        [&sealed.concat(), tags.as_flattened()].concat()
    }

    fn tag(a: u64, b: u64) -> Tag {
        (a << 32 | b).to_be_bytes()
    }

    #[test]
    fn clauses_intersect_and_their_tags_unite() {
        let store = store(3000);
        let ask = |query: TagQuery, from, end, limit| find_tagged(&store, &query, from, end, limit).unwrap();
        let matching = |f: &dyn Fn(u64) -> bool| (0..3000).filter(|r| f(*r)).collect::<Vec<u64>>();
        let sixth = vec![vec![tag(2, 1)], vec![tag(3, 0)]];
        assert_eq!(ask(sixth.clone(), 0, 3000, 9999), matching(&|r| r % 6 == 3));
        assert_eq!(ask(sixth.clone(), 10, 40, 9999), [15, 21, 27, 33, 39]);
        assert_eq!(ask(sixth, 10, 3000, 2), [15, 21]);
        let either = vec![vec![tag(3, 0), tag(3, 1)], vec![tag(7, 9), tag(29, 9)]];
        assert_eq!(ask(either, 0, 3000, 9999), matching(&|r| r % 3 != 2 && (r / 100 == 7 || r / 100 == 29)));
        assert_eq!(ask(vec![vec![tag(2, 0)], vec![tag(2, 1)]], 0, 3000, 9999), [] as [u64; 0]);
        assert_eq!(ask(vec![vec![tag(99, 1)]], 0, 3000, 9999), [] as [u64; 0]);
        assert_eq!(ask(vec![vec![]], 0, 3000, 9999), [] as [u64; 0]);
        assert_eq!(ask(vec![], 0, 3000, 9999), [] as [u64; 0]);
    }
}
