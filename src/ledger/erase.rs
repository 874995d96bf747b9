//! Carries out erasure orders. An order is a block like any other, durable before anything is erased; the commit thread then
//! takes the records out of the store, in steps between which appends go on. A derived value says how far the authority
//! sequence has been carried out. It is written last, so that a crash at any point leaves the order, or the rest of it, to be
//! found at the next start; without the value every order is carried out again, which changes nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::base::grant;
use crate::base::limits::MAX_BATCH_BYTES;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record};
use crate::chain::authority::{ErasureStatement, RETENTION_EXPIRED, RecordRange};
use crate::chain::block::Block;
use crate::chain::note::Note;
use crate::chain::replay::{ChainError, State};
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;
use crate::store::{Store, StoreError, erase_from_body, mark};

use super::{Ledger, LedgerError};

/// A step ends with the block in which it has this many records.
const STEP_RECORDS: u64 = 4096;
/// Pause after a step that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Authority statements after which a start notes that they hold no outstanding order, so that the next one need not read them.
const NOTE_AFTER: u64 = 64;
/// Block texts read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// An erasure statement of the chain.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Its number in the authority sequence.
    pub(super) sequence: u64,
    /// The records.
    pub(super) records: Vec<RecordRange>,
}

impl Order {
    pub(super) fn new(erasure: &ErasureStatement) -> Order {
        Order { sequence: erasure.sequence, records: erasure.records.clone() }
    }
}

/// What is still to be done, oldest order first.
#[derive(Default)]
pub(super) struct Erasures {
    orders: VecDeque<Order>,
    /// Of the first order, the records below this one are done.
    next: u64,
    failed: Option<Instant>,
}

/// What a step has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// There was nothing to do.
    Idle,
    /// There may be more to do.
    More,
    /// All records of an order are gone; its sequence number has yet to be noted with [`done_value`].
    Finished(u64),
}

impl Erasures {
    /// The orders of the chain that are not known to be carried out.
    pub(super) fn outstanding(store: &dyn Store, state: &State) -> Result<Erasures, LedgerError> {
        let mut erasures = Erasures::default();
        for sequence in noted(store)?..state.authority().next_sequence {
            if let (_, Statement::Erasure(e)) = authority_statement(store, sequence)? {
                erasures.orders.push_back(Order::new(&e));
            }
        }
        Ok(erasures)
    }

    /// How far the authority sequence is known to be carried out, if that is worth noting: the statements before this number hold no
    /// outstanding order, and there are at least [`NOTE_AFTER`] of them after what is noted.
    pub(super) fn worth_noting(&self, store: &dyn Store, state: &State) -> Result<Option<u64>, StoreError> {
        let end = self.orders.front().map_or(state.authority().next_sequence, |o| o.sequence);
        let since = end.saturating_sub(noted(store)?);
        Ok((since >= NOTE_AFTER).then_some(end))
    }

    pub(super) fn add(&mut self, orders: Vec<Order>) {
        self.orders.extend(orders);
    }

    /// Number of orders.
    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }

    /// How long to wait for other work before the next step.
    pub(super) fn pause(&self) -> Duration {
        let since = self.failed.map(|t| clock::monotonic().duration_since(t));
        since.map_or(Duration::ZERO, |t| RETRY.saturating_sub(t))
    }

    /// All records still to be erased.
    pub(super) fn records(&self) -> Vec<RecordRange> {
        RecordRange::normalise(self.orders.iter().flat_map(|o| o.records.iter().copied()).collect())
    }

    /// Erases some records of the first order. An error leaves everything to be tried again.
    pub(super) fn step(&mut self, store: &dyn Store) -> Result<Step, StoreError> {
        let Some(order) = self.orders.front() else { return Ok(Step::Idle) };
        let (piece, next) = piece(store, &order.records, self.next)?;
        if piece.is_empty() {
            blank_grants(store, order.sequence, &order.records)?;
            store.scrub()?;
            return Ok(Step::Finished(order.sequence));
        }
        store.erase(&piece)?;
        (self.next, self.failed) = (next, None);
        Ok(Step::More)
    }

    /// The first order is noted as carried out.
    pub(super) fn noted(&mut self) {
        self.orders.pop_front();
        (self.next, self.failed) = (0, None);
    }

    /// A step, or noting it, failed: try again later.
    pub(super) fn set_failed(&mut self) {
        self.failed = Some(clock::monotonic());
    }
}

/// How many authority statements are noted as carried out.
pub(super) fn noted(store: &dyn Store) -> Result<u64, StoreError> {
    let done = store.derived(mark::ERASED_UP_TO)?.and_then(|v| Some(u64::from_be_bytes(v.try_into().ok()?)));
    Ok(done.unwrap_or_default())
}

/// The derived value that says that the order with this sequence number, and all before it, are carried out.
pub(super) fn done_value(sequence: u64) -> (String, Vec<u8>) {
    (mark::ERASED_UP_TO.to_owned(), (sequence + 1).to_be_bytes().to_vec())
}

/// Whole blocks' shares of `records` from record `from` on, about [`STEP_RECORDS`], and the record to go on with.
fn piece(
    store: &dyn Store,
    records: &[RecordRange],
    from: u64,
) -> Result<(Vec<Range<u64>>, u64), StoreError> {
    let (mut piece, mut count, mut next) = (Vec::new(), 0, from);
    for range in records.iter().filter(|r| r.last >= from) {
        let (start, end) = (range.first.max(next), range.last.saturating_add(1));
        let mut at = start;
        while at < end && count < STEP_RECORDS {
            let Some(block) = store.block_of_record(at)? else { break };
            let stop = end.min(block.first_record + u64::from(block.records));
            count += stop - at;
            at = stop;
        }
        if at > start {
            piece.push(start..at);
            next = at;
        }
        if count >= STEP_RECORDS {
            break;
        }
    }
    Ok((piece, next))
}

/// An authority statement with the height of its block.
fn authority_statement(store: &dyn Store, sequence: u64) -> Result<(u64, Statement), LedgerError> {
    let damaged = || LedgerError::Damaged { what: format!("authority statement {sequence} cannot be read") };
    let height = store.statement("", sequence)?.ok_or_else(damaged)?;
    let text = store.block_text(height)?.and_then(|t| String::from_utf8(t).ok()).ok_or_else(damaged)?;
    let block = Block::parse(&text).map_err(|_| damaged())?;
    Ok((height, Statement::parse(&block.statement.text).map_err(|_| damaged())?))
}

/// Takes the slots of `records` out of every grant before authority statement number `end`. Harmless to repeat.
pub fn blank_grants(store: &dyn Store, end: u64, records: &[RecordRange]) -> Result<(), StoreError> {
    let damaged = |e: &dyn std::fmt::Display| StoreError::Corrupt {
        place: "the authority statements".to_owned(),
        why: e.to_string(),
    };
    for sequence in 0..end {
        let (height, statement) = match authority_statement(store, sequence) {
            Ok(found) => found,
            Err(LedgerError::Store(e)) => return Err(e),
            Err(e) => return Err(damaged(&e)),
        };
        let Statement::Grant(grant) = statement else { continue };
        if !records.iter().any(|r| r.first_common(&grant.range).is_some()) {
            continue;
        }
        let mut body = store.body(height)?.unwrap_or_default();
        let gone = |record| records.iter().any(|r| r.contains(record));
        if grant::blank(&mut body, grant.range.first, gone).map_err(|e| damaged(&e))? > 0 {
            store.replace_body(height, &body)?;
        }
    }
    Ok(())
}

/// Whether a statement is an erasure of which [`retention_of`] finds something out.
pub(super) fn has_retention(note: &Note) -> bool {
    matches!(Statement::parse(&note.text), Ok(Statement::Erasure(e)) if e.reason == RETENTION_EXPIRED)
}

/// How long the records must be kept that an erasure for [`RETENTION_EXPIRED`] names; nothing for any other statement. Reads
/// every block they are in, so it is done before the commit thread has the statement; what it finds cannot change.
pub(super) fn retention_of(store: &dyn Store, state: &State, note: &Note) -> Result<Retention, LedgerError> {
    let mut retention = Retention::new();
    let Ok(Statement::Erasure(erasure)) = Statement::parse(&note.text) else { return Ok(retention) };
    if erasure.reason != RETENTION_EXPIRED {
        return Ok(retention);
    }
    let records = state.next_record();
    for range in &erasure.records {
        if range.last >= records {
            return Err(ChainError::BeyondLedger { last: range.last, records }.into());
        }
        let damaged = |at| LedgerError::Damaged { what: format!("record {at} is in no block") };
        let mut next = range.first;
        while next <= range.last {
            let height = store.block_of_record(next)?.ok_or_else(|| damaged(next))?.height;
            let before = next;
            for text in store.block_texts(height, BLOCKS_AT_ONCE, MAX_BATCH_BYTES)? {
                let block = std::str::from_utf8(&text).ok().and_then(|t| Block::parse(t).ok());
                let block = block.ok_or_else(|| damaged(next))?;
                if let Ok(Statement::Records(s)) = Statement::parse(&block.statement.text) {
                    let end = block.first_record.saturating_add(s.records);
                    if block.first_record > range.last {
                        next = block.first_record;
                        break;
                    }
                    retention.push(next, end.saturating_sub(next), &s.retain_until);
                    next = end;
                }
            }
            if next == before {
                return Err(damaged(next));
            }
        }
    }
    Ok(retention)
}

impl Ledger {
    /// What remains of a record that is erased.
    pub(super) fn remains(&self, height: u64, position: u32) -> Result<Vec<u8>, LedgerError> {
        let damaged =
            || LedgerError::Damaged { what: format!("the leaf inputs of block {height} are cut short") };
        let inputs = self.store.leaf_inputs(height)?.unwrap_or_default();
        let own = inputs.chunks(LEAF_INPUTS_LEN).nth(position as usize).ok_or_else(damaged)?;
        let mut out = Vec::new();
        Record::encode_erased(&LeafInputs::from_bytes(own).map_err(|_| damaged())?, &mut out);
        Ok(out)
    }

    /// Takes the records that are being erased out of a body.
    pub(super) fn without_erased(
        &self,
        erasing: &[RecordRange],
        height: u64,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, LedgerError> {
        let Some(info) = self.store.block_info(height)?.filter(|b| b.records > 0) else { return Ok(body) };
        let last = info.first_record + u64::from(info.records) - 1;
        let block = RecordRange { first: info.first_record, last };
        if !erasing.iter().any(|r| r.first_common(&block).is_some()) {
            return Ok(body);
        }
        let inputs = self.store.leaf_inputs(height)?.unwrap_or_default();
        let gone = |p: u32| {
            let record = info.first_record + u64::from(p);
            erasing.iter().any(|r| r.contains(record))
        };
        let erased = erase_from_body(&body, &inputs, gone)
            .map_err(|e| LedgerError::Damaged { what: format!("body of block {height}: {e}") })?;
        Ok(erased.body)
    }
}
