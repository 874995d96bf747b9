//! Searching without being able to read: records by blind tags, and the batch headers from which a reader gets the secrets to make tags with.
//!
//! A search secret belongs to one writer, one period and one layout of sections and readers, an **epoch**. The first batch of every epoch is noted as derived
//! values, so that a reader learns all secrets from few headers.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;

use crate::base::batch::Header;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_SEARCH_STEPS, SEARCH_READ_STEPS};
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

/// One answer to a [`TagQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// Indexes of matching records, ascending.
    pub records: Vec<u64>,
    /// Where to search on: the limit or the end of the allowed work came first. `None` if there is no more.
    pub next: Option<u64>,
}

/// The records that match, from `from` on and below `end`: the lowest ones, at most `limit`, and no more than are found with
/// [`MAX_SEARCH_STEPS`] of work. An answer with few or no records may still say where to go on.
pub fn find_tagged(
    store: &dyn Store,
    query: &TagQuery,
    from: u64,
    end: u64,
    limit: usize,
) -> Result<TagPage, StoreError> {
    find_within(store, query, from..end, limit, &mut Work { done: 0, most: MAX_SEARCH_STEPS })
}

/// What a search has cost: a step for every cursor moved, and [`SEARCH_READ_STEPS`] for every page read after a cursor's first.
struct Work {
    done: u64,
    most: u64,
}

fn find_within(
    store: &dyn Store,
    query: &TagQuery,
    range: Range<u64>,
    limit: usize,
    work: &mut Work,
) -> Result<TagPage, StoreError> {
    let mut clauses: Vec<Clause> = query.iter().map(|tags| Clause::new(tags, range.start)).collect();
    let mut records = Vec::new();
    let mut at = range.start;
    let ended = |records| Ok(TagPage { records, next: None });
    while !clauses.is_empty() && at < range.end {
        // Every turn gets beyond `at`, so whoever follows `next` arrives.
        if records.len() >= limit || (at > range.start && work.done >= work.most) {
            return Ok(TagPage { records, next: Some(at) });
        }
        let start = at;
        for clause in &mut clauses {
            match clause.at_or_after(store, at, work)? {
                Some(record) if record < range.end => at = record,
                _ => return ended(records),
            }
        }
        // Every clause has stopped at the same record, or somebody went on and all are asked again.
        if at == start {
            records.push(at);
            at += 1;
        }
    }
    ended(records)
}

/// The records of one clause, read as needed.
struct Clause {
    /// One for each different tag that has records left, the one with the lowest record on top.
    cursors: BinaryHeap<Reverse<Cursor>>,
}

/// The records of one tag. Ordered by the first that is not passed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    /// The first record not passed; before anything is read, where to begin.
    record: u64,
    tag: Tag,
    /// Records read and not passed, last first; without `record`.
    page: Vec<u64>,
    /// Where to read on; `None` after the last page.
    next: Option<u64>,
    opened: bool,
}

impl Clause {
    fn new(tags: &[Tag], from: u64) -> Clause {
        let tags: BTreeSet<Tag> = tags.iter().copied().collect();
        let cursor =
            |tag| Reverse(Cursor { record: from, tag, page: Vec::new(), next: Some(from), opened: false });
        Clause { cursors: tags.into_iter().map(cursor).collect() }
    }

    /// The first record not below `at`.
    fn at_or_after(
        &mut self,
        store: &dyn Store,
        at: u64,
        work: &mut Work,
    ) -> Result<Option<u64>, StoreError> {
        while let Some(Reverse(lowest)) = self.cursors.peek() {
            if lowest.opened && lowest.record >= at {
                return Ok(Some(lowest.record));
            }
            let Some(Reverse(mut cursor)) = self.cursors.pop() else { break };
            work.done += 1;
            if cursor.go_to(store, at, work)? {
                self.cursors.push(Reverse(cursor));
            }
        }
        Ok(None)
    }
}

impl Cursor {
    /// Goes to the first record not below `at`; false if there is none.
    fn go_to(&mut self, store: &dyn Store, at: u64, work: &mut Work) -> Result<bool, StoreError> {
        loop {
            let left = self.page.partition_point(|r| *r >= at);
            self.page.truncate(left);
            if let Some(record) = self.page.pop() {
                self.record = record;
                return Ok(true);
            }
            let Some(next) = self.next else { return Ok(false) };
            // The first pages are as many as the tags; what they cost is bounded already.
            work.done += if self.opened { SEARCH_READ_STEPS } else { 0 };
            self.opened = true;
            self.page = store.find_tag(&self.tag, next.max(at), PAGE)?;
            self.next = self.page.last().filter(|_| self.page.len() == PAGE).map(|r| r + 1);
            self.page.reverse();
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
    pub fn find_tagged(&self, query: &TagQuery, from: u64, limit: usize) -> Result<TagPage, LedgerError> {
        let end = self.view().state.next_record();
        Ok(find_tagged(&*self.store, query, from, end, limit)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
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
        let ask = |query: TagQuery, from, end, limit| {
            find_tagged(&store, &query, from, end, limit).unwrap().records
        };
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

    /// Follows `next` to the end: what was found, and what the pages cost.
    fn all_pages(store: &MemoryStore, query: &TagQuery, most: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut found, mut costs, mut from) = (Vec::new(), Vec::new(), 0);
        loop {
            let mut work = Work { done: 0, most };
            let page = find_within(store, query, from..3000, 9999, &mut work).unwrap();
            found.extend(page.records);
            costs.push(work.done);
            match page.next {
                Some(next) if next > from => from = next,
                Some(_) => panic!("no progress"),
                None => return (found, costs),
            }
        }
    }

    #[test]
    fn repeated_tags_cost_nothing() {
        let store = store(3000);
        let query = |copies| vec![vec![tag(2, 0); copies], vec![tag(2, 1); copies]];
        let (once, often) =
            (all_pages(&store, &query(1), u64::MAX), all_pages(&store, &query(2048), u64::MAX));
        assert_eq!(once, often);
        // One step a record, and the pages.
        let pages = 2 * (1500 / PAGE as u64) * SEARCH_READ_STEPS;
        assert!((2900..=3010 + pages).contains(&once.1[0]), "{:?}", once.1);
    }

    #[test]
    fn many_tags_cost_what_their_records_do() {
        let store = store(3000);
        // 2,046 tags that nothing carries, and two that every record carries one of.
        let clause = |n: u64| (0..2046).map(|t| tag(1000 + n, t)).chain([tag(2, 0), tag(2, 1)]).collect();
        let (found, costs) = all_pages(&store, &vec![clause(1), clause(2)], u64::MAX);
        assert_eq!(found.len(), 3000);
        assert!(costs[0] < 2 * 2048 + 2 * 3000 + 20 * SEARCH_READ_STEPS, "{costs:?}");
    }

    #[test]
    fn a_search_stops_when_its_work_is_done_and_goes_on_where_it_stopped() {
        let store = store(3000);
        let never = vec![vec![tag(2, 0)], vec![tag(2, 1)]];
        let (found, costs) = all_pages(&store, &never, 100);
        assert!(found.is_empty() && costs.len() > 20, "{costs:?}");
        assert!(costs.iter().all(|c| *c <= 100 + 2 * (1 + SEARCH_READ_STEPS)), "{costs:?}");
        let sixth = vec![vec![tag(2, 1), tag(2, 1)], vec![tag(3, 0)]];
        for most in [0, 1, 7, 100, 5000] {
            let (found, _) = all_pages(&store, &sixth, most);
            assert_eq!(found, (0..3000).filter(|r| r % 6 == 3).collect::<Vec<u64>>(), "{most}");
        }
        let page = find_tagged(&store, &sixth, 0, 3000, 2).unwrap();
        assert_eq!(page, TagPage { records: vec![3, 9], next: Some(10) });
        assert_eq!(find_tagged(&store, &sixth, 2998, 3000, 2).unwrap().next, None);
    }
}
