//! The look-up index as a whole: runs on disk for most records, the tail in memory for the newest, and the work that
//! appends do for it.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::super::tags::body_tags;
use super::super::{NewBlock, StoreError};
use super::blocks::body;
use super::chunks::LEAVES;
use super::runs::{self, KIND_CIPHERTEXT, KIND_TAG};
use super::runs_hints::Hints;
use super::tail::{Cut, Tail};
use super::{IndexShape, SqliteStore, runs_merge, writer};
use crate::base::limits::MAX_BATCH_RECORDS;

/// Entries that merging moves for every tag appended. Each is merged twice on its way to the largest runs; the rest makes up
/// for merges that begin late, so that one is over before the next of its tier is due.
const TAG_PACE: usize = 3;
/// The same for ciphertext hashes, which are merged four times.
const CIPHERTEXT_PACE: usize = 5;
/// Fewest and most entries moved by one append: each step costs a row of every run beside what it moves.
const MERGE_LEAST: usize = 1 << 17;
const MERGE_MOST: usize = 1 << 18;

/// What is in memory about the index of one store.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Taken by whoever changes the tail, for as long as the transaction takes that belongs to the change.
    pace: Mutex<Pace>,
    /// Read by look-ups without waiting. `None` if it is not known.
    tail: RwLock<Option<Arc<Tail>>>,
    hints: Hints,
}

/// What appends owe to merging.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Entries that may be moved.
    credit: usize,
    /// Merging came upon damage: nothing more is tried until the index is rebuilt or the store opened again.
    stuck: bool,
}

impl Index {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tail(&self) -> Option<Arc<Tail>> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What look-ups have seen of runs.
    pub(super) fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Under the lock.
    pub(super) fn set_tail(&self, tail: Option<Tail>) {
        *self.tail.write().unwrap_or_else(PoisonError::into_inner) = tail.map(Arc::new);
    }
}

impl Pace {
    /// The index is made anew.
    pub(super) fn restart(&mut self) {
        *self = Pace::default();
    }
}

/// What the database says about the index, in one snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// How many records, from the first on, are in runs.
    pub(super) covered: u64,
    /// How many there are.
    pub(super) records: u64,
    /// How often something was erased.
    pub(super) erasures: u64,
    pub(super) shape: IndexShape,
}

impl State {
    /// Whether more records are in no run than there can be unless a rebuild was interrupted.
    pub(super) fn has_gap(&self) -> bool {
        let most = u64::from(self.shape.segment_records) + MAX_BATCH_RECORDS as u64;
        self.records.saturating_sub(self.covered) >= most
    }

    pub(super) fn is_served_by(&self, tail: &Tail) -> bool {
        tail.from <= self.covered && tail.to >= self.records && tail.erasures == self.erasures
    }
}

pub(super) fn state(conn: &Connection) -> Result<State> {
    let sql = "SELECT records, erasures, segment_records, segment_tags, fanout FROM index_state";
    let found = conn.prepare_cached(sql)?.query_row([], |r| {
        let shape = IndexShape { segment_records: r.get(2)?, segment_tags: r.get(3)?, fanout: r.get(4)? };
        Ok(State { covered: r.get(0)?, records: 0, erasures: r.get(1)?, shape })
    });
    let state =
        found.optional()?.ok_or_else(|| runs::damaged("the state of the look-up index is missing"))?;
    let records = writer::read_size(conn)?.1;
    if state.covered > records || !state.shape.is_valid() {
        return Err(runs::damaged("the state of the look-up index makes no sense"));
    }
    Ok(State { records, ..state })
}

pub(super) fn set_covered(conn: &Connection, records: u64) -> Result<()> {
    conn.prepare_cached("UPDATE index_state SET records = ?1")?.execute([records]).map(drop)
}

/// The index covers nothing. A state that is missing or makes no sense is made anew.
pub(super) fn restart(conn: &Connection) -> Result<()> {
    let shape = IndexShape::default();
    let values = params![shape.segment_records, shape.segment_tags, shape.fanout];
    conn.execute("INSERT INTO index_state VALUES (1, 0, 0, ?1, ?2, ?3) ON CONFLICT DO NOTHING", values)?;
    set_covered(conn, 0)?;
    if state(conn).is_err() {
        let sql = "UPDATE index_state SET erasures = 0, segment_records = ?1, segment_tags = ?2, fanout = ?3";
        conn.execute(sql, values)?;
    }
    Ok(())
}

/// Counts an erasure, inside its transaction.
pub(super) fn count_erasure(conn: &Connection) -> Result<()> {
    conn.prepare_cached("UPDATE index_state SET erasures = erasures + 1")?.execute([]).map(drop)
}

/// Gives an index without records another shape.
pub(super) fn set_shape(conn: &Connection, shape: IndexShape) -> Result<usize> {
    let sql = "UPDATE index_state SET segment_records = ?1, segment_tags = ?2, fanout = ?3
        WHERE NOT EXISTS (SELECT 1 FROM block)";
    conn.execute(sql, params![shape.segment_records, shape.segment_tags, shape.fanout])
}

/// What became of reading the tail.
pub(super) enum Loaded {
    Tail(Tail),
    /// Records are in no run that should be: a rebuild was interrupted.
    Gap(State),
}

/// The records from `tail` on until it is full or there are no more. `tail` begins where a run ends.
pub(super) fn extend(conn: &Connection, state: State, tail: &mut Tail) -> Result<()> {
    let sql = "SELECT height, first_record, records, tags FROM block
        WHERE records > 0 AND first_record >= ?1 ORDER BY first_record";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([tail.to as i64])?;
    while !tail.is_full(state.shape) {
        let Some(row) = rows.next()? else { break };
        let (height, first, records, had): (i64, u64, u64, u64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let leaves = LEAVES.read_all(conn, height)?;
        // A body that does not decode has no tags to find; whoever reads its records is told.
        let tags = body_tags(&body(conn, height, records, Some(&leaves))?).unwrap_or_default();
        if first != tail.to {
            return Err(runs::damaged(format!("block {height} does not begin with record {}", tail.to)));
        }
        tail.push(&leaves, &tags, had);
        if tail.to != first + records {
            return Err(runs::damaged(format!("leaf inputs of block {height} are missing")));
        }
    }
    Ok(())
}

/// The tail as it should be in this snapshot, starting from an earlier one.
pub(super) fn load(conn: &Connection, known: Option<&Tail>) -> Result<Loaded> {
    let state = state(conn)?;
    if state.has_gap() {
        return Ok(Loaded::Gap(state));
    }
    let usable = |t: &&Tail| {
        t.erasures == state.erasures
            && t.from <= state.covered
            && (state.covered..=state.records).contains(&t.to)
    };
    let mut tail = known.filter(usable).cloned().unwrap_or_else(|| Tail::at(state.covered, state.erasures));
    tail.trim(state.covered);
    extend(conn, state, &mut tail)?;
    match tail.is_full(state.shape) {
        true => Ok(Loaded::Gap(state)),
        false => Ok(Loaded::Tail(tail)),
    }
}

/// What an append does for the index inside its transaction.
#[derive(Debug)]
pub(super) struct IndexStep {
    /// Where runs end before it.
    from: u64,
    cuts: Vec<Cut>,
    fanout: usize,
    /// Entries to merge, about; 0 for none.
    merge: usize,
    /// The tail after it.
    tail: Tail,
    /// Entries merged, and whether damage was found.
    merged: Cell<usize>,
    stuck: Cell<bool>,
    applied: Cell<bool>,
}

impl IndexStep {
    /// Inside the append's transaction.
    pub(super) fn write(&self, conn: &Connection) -> Result<()> {
        if state(conn)?.covered != self.from {
            return Ok(());
        }
        for cut in &self.cuts {
            runs::add(conn, KIND_CIPHERTEXT, cut.first, cut.end, &cut.ciphertexts)?;
            runs::add(conn, KIND_TAG, cut.first, cut.end, &cut.tags)?;
            set_covered(conn, cut.end)?;
        }
        if self.merge > 0 {
            match runs_merge::step(conn, self.fanout, self.merge) {
                Ok(moved) => self.merged.set(moved),
                // Damage stops merging, and look-ups that meet it; it does not stop appends. A step reads before it writes.
                Err(e) if e.sqlite_error().is_none() => self.stuck.set(true),
                Err(e) => return Err(e),
            }
        }
        self.applied.set(true);
        Ok(())
    }
}

impl SqliteStore {
    /// Prepares what an append of `blocks` does for the index; `None` if it leaves it alone: it has no records, or the index has
    /// a gap, which stays so, visibly, until it is rebuilt.
    pub(super) fn plan(
        &self,
        pace: &mut Pace,
        blocks: &[NewBlock],
    ) -> std::result::Result<Option<IndexStep>, StoreError> {
        let Some(first) = blocks.iter().find(|b| b.records > 0) else { return Ok(None) };
        let known = self.index.tail();
        let (shape, erasures) = self.pool.read(|tx| state(tx).map(|s| (s.shape, s.erasures)))?;
        let ready = known.filter(|t| t.to == first.first_record && t.erasures == erasures);
        let mut tail = match ready {
            Some(tail) => Tail::clone(&tail),
            None => match self.pool.read(|tx| load(tx, self.index.tail().as_deref()))? {
                Loaded::Tail(tail) if tail.to == first.first_record => tail,
                // A gap, or an append that will be refused.
                _ => return Ok(None),
            },
        };
        let (from, mut cuts) = (tail.from, Vec::new());
        let mut owed = 0;
        for b in blocks.iter().filter(|b| b.records > 0) {
            tail.push(&b.leaf_inputs, &b.tags, b.tags.len() as u64);
            owed += b.records as usize * CIPHERTEXT_PACE + b.tags.len() * TAG_PACE;
            if tail.is_full(shape) {
                cuts.push(tail.cut());
            }
        }
        pace.credit = pace.credit.saturating_add(owed);
        let merge = if pace.credit < MERGE_LEAST || pace.stuck { 0 } else { pace.credit.min(MERGE_MOST) };
        Ok(Some(IndexStep {
            from,
            cuts,
            fanout: shape.fanout as usize,
            merge,
            tail,
            merged: Cell::new(0),
            stuck: Cell::new(false),
            applied: Cell::new(false),
        }))
    }

    /// Notes what became of an append, under the lock it was planned under.
    pub(super) fn settle(
        &self,
        pace: &mut Pace,
        step: Option<IndexStep>,
        result: &std::result::Result<(), StoreError>,
    ) {
        match (result, step) {
            (Ok(()), Some(step)) => {
                pace.stuck |= step.stuck.get();
                // What was not needed is not owed either.
                let unused = step.merge > 0 && step.merged.get() == 0;
                pace.credit = if unused { 0 } else { pace.credit.saturating_sub(step.merged.get()) };
                self.index.set_tail(step.applied.get().then_some(step.tail));
            }
            (Ok(()), None) => {}
            // Nothing was written, without doubt.
            (
                Err(
                    StoreError::Conflict { .. }
                    | StoreError::DuplicateStatement { .. }
                    | StoreError::Invalid { .. },
                ),
                _,
            ) => {}
            (Err(_), _) => self.index.set_tail(None),
        }
    }
}
