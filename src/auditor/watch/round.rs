//! The loop's single steps: find the beginning, replay, read on, hand over, keep the cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::alert::Alert;
use super::cursor::{Cursor, Position};
use super::engine::{Engine, Signal};
use super::outbox::Outbox;
use super::writers::Writers;
use super::{Options, Summary, Tail, Trouble, WatchError};
use crate::auditor::facts::Facts;
use crate::auditor::record::{AuditRecord, Records};
use crate::base::clock::{Timestamp, monotonic};
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// The cursor is saved at least every so many blocks.
const SAVE_EVERY: u64 = 256;
/// How often a sink is tried before a command that is to end gives up.
const ATTEMPTS: u32 = 5;
/// How quickly a stop is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// A watch under way.
pub(super) struct Watch<'a> {
    pub(super) engine: Engine,
    pub(super) outbox: Outbox,
    pub(super) cursor: Cursor,
    pub(super) options: &'a Options,
    pub(super) say: &'a mut dyn FnMut(&str),
    pub(super) stop: &'a AtomicBool,
    /// The newest answer: what could not be read to its end is gone on with.
    pub(super) latest: Option<Arc<dyn Records>>,
    /// After the last block that was observed with all its records; none before the beginning was found.
    pub(super) position: Option<Position>,
    /// The next record of the replay, while there is one.
    pub(super) replayed: Option<u64>,
    /// Blocks the engine has observed, and records: further than `position` if reading broke off within a block.
    pub(super) observed_blocks: u64,
    pub(super) observed_records: u64,
    pub(super) summary: Summary,
    pub(super) told_closed: bool,
}

impl Watch<'_> {
    /// One look at the ledger.
    pub(super) fn round(&mut self, tail: &mut dyn Tail, now: Timestamp) -> Result<(), Trouble> {
        if let Some(records) = tail.poll()? {
            self.latest = Some(records);
        }
        if let Some(records) = self.latest.clone() {
            match &self.position {
                None => self.begin(&*records)?,
                // Whoever syncs may have had nothing to hold the ledger against: a vault that was deleted and made anew.
                Some(position) => self.check_history(&*records, position)?,
            }
            self.read_on(&*records)?;
        }
        if !self.stopping() && self.position.is_some() {
            let alerts = self.engine.tick(now);
            self.raise(alerts);
            self.mark();
        }
        self.settle()?;
        Ok(())
    }

    /// Finds the place to begin at, and fills the engine's memory from what lies before it.
    fn begin(&mut self, records: &dyn Records) -> Result<(), Trouble> {
        let size = records.as_of().blocks;
        let position = match self.cursor.position().cloned() {
            Some(position) => {
                self.check_history(records, &position)?;
                self.engine.set_writers(position.writers.clone());
                if self.options.from_start && position.next_block > 0 {
                    (self.say)(&format!(
                        "--from-start is for a new watch; this one goes on with block {}. Name a new --cursor to go through all again",
                        position.next_block
                    ));
                }
                position
            }
            None if self.options.from_start => Position::default(),
            None => {
                let mut position = Position::default();
                for item in records.blocks(0..size) {
                    let (block, statement) = item?;
                    self.engine.learn_block(&block, &statement);
                    position = after(&block, &statement);
                }
                position.writers = self.engine.writers().clone();
                position.began = position.next_record;
                (self.say)(&format!(
                    "a new watch: it begins after block {}. With --from-start it goes through what is there",
                    size.saturating_sub(1)
                ));
                position
            }
        };
        self.replay(records, &position)?;
        if self.stopping() {
            return Ok(());
        }
        self.cursor.save(position.clone())?;
        (self.observed_blocks, self.observed_records) = (position.next_block, position.next_record);
        self.position = Some(position);
        Ok(())
    }

    /// The ledger must still hold the block at which the watch stands.
    fn check_history(&self, records: &dyn Records, position: &Position) -> Result<(), Trouble> {
        let Some(last) = position.next_block.checked_sub(1) else { return Ok(()) };
        let shown = records.as_of().checkpoint.clone();
        let fork = |what: String| {
            let known = format!("block {last} with hash {}", position.last_hash.base64());
            Err(Trouble::Ledger(Signal::Fork { what, known, shown: shown.clone() }))
        };
        let size = records.as_of().blocks;
        if size < position.next_block {
            let seen = position.next_block;
            return fork(format!("this watch has seen {seen} blocks, and now the ledger shows only {size}"));
        }
        match records.blocks(last..last + 1).next().transpose()? {
            Some((block, _)) if block.hash() == position.last_hash => Ok(()),
            _ => fork(format!("block {last} is not the one this watch has seen")),
        }
    }

    /// Observes again the records before `position` that lie within the reach of the rules. Their alerts were sent.
    fn replay(&mut self, records: &dyn Records, position: &Position) -> Result<(), Trouble> {
        let span = self.engine.replay_span();
        let block = |height: u64| -> Result<Option<Block>, Trouble> {
            Ok(records.blocks(height..height + 1).next().transpose()?.map(|(block, _)| block))
        };
        let Some(last) = position.next_block.checked_sub(1).map(&block).transpose()?.flatten() else {
            return Ok(());
        };
        if span == 0 {
            return Ok(());
        }
        let from = last.committed.millis().saturating_sub(span);
        // The first block committed at or after `from`; times never go back along the chain.
        let (mut low, mut high) = (0, last.height);
        while low < high {
            let middle = low + (high - low) / 2;
            match block(middle)? {
                Some(b) if b.committed.millis() >= from => high = middle,
                _ => low = middle + 1,
            }
        }
        let Some(first) = block(low)? else { return Ok(()) };
        let next = self.replayed.unwrap_or(first.first_record);
        for record in records.records(next..position.next_record) {
            let record = record?;
            if record.index == position.began {
                self.engine.forget_alerts();
            }
            self.engine.observe(&record, &facts(&record));
            self.replayed = Some(record.index + 1);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if position.began == position.next_record {
            self.engine.forget_alerts();
        }
        self.engine.end_replay();
        Ok(())
    }

    /// Observes what is new.
    fn read_on(&mut self, records: &dyn Records) -> Result<(), Trouble> {
        let as_of = records.as_of();
        let Some(position) = &self.position else { return Ok(()) };
        let began = position.began;
        if as_of.blocks <= position.next_block {
            return Ok(());
        }
        let mut stream = records.records(self.observed_records..as_of.records);
        for item in records.blocks(position.next_block..as_of.blocks) {
            let (block, statement) = item?;
            let mut raised = Vec::new();
            if block.height >= self.observed_blocks {
                raised = self.engine.observe_block(&block, &statement);
                self.observed_blocks = block.height + 1;
            }
            self.raise(raised);
            let end = block.first_record + statement.record_count();
            while self.observed_records < end {
                let Some(record) = stream.next().transpose()? else {
                    return Err(Trouble::Later(format!("record {} is missing", self.observed_records)));
                };
                let alerts = self.engine.observe(&record, &facts(&record));
                self.observed_records += 1;
                self.raise(alerts);
            }
            self.summary.blocks += 1;
            self.position = Some(Position { began, ..after(&block, &statement) });
            if !self.outbox.is_empty() || block.height % SAVE_EVERY == 0 {
                self.mark();
                self.settle()?;
            }
            while self.outbox.is_full() && !self.stopping() {
                if self.options.once {
                    self.drain()?;
                } else {
                    self.rest(SLICE)?;
                }
            }
            if self.stopping() {
                break;
            }
        }
        self.mark();
        for notice in self.engine.take_notices() {
            (self.say)(&notice);
        }
        let closed = self.engine.coverage().not_for_you;
        if closed > 0 && !std::mem::replace(&mut self.told_closed, true) {
            (self.say)("some records are not sealed for this identity: no rule sees what is in them");
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn raise(&mut self, alerts: Vec<Alert>) {
        self.summary.alerts += alerts.len() as u64;
        alerts.into_iter().for_each(|a| self.outbox.push(a));
    }

    /// The cursor may come here once the alerts so far are taken.
    fn mark(&mut self) {
        if let Some(position) = &mut self.position {
            position.writers = self.engine.writers().clone();
            // Within a block the cursor stays before it.
            if position.next_block == self.observed_blocks {
                self.outbox.mark(position.clone());
            }
        }
    }

    /// Hands over alerts that are due and moves the cursor as far as all sinks have come.
    pub(super) fn settle(&mut self) -> Result<(), WatchError> {
        if let Some(position) = self.outbox.pump(self.say) {
            self.cursor.save(position)?;
        }
        Ok(())
    }

    /// Hands over everything, or gives up after some attempts.
    pub(super) fn drain(&mut self) -> Result<(), WatchError> {
        loop {
            self.settle()?;
            if self.outbox.is_empty() || self.stopping() {
                return Ok(());
            }
            if let Some(why) = self.outbox.given_up(ATTEMPTS) {
                return Err(WatchError::Undelivered(why));
            }
            std::thread::sleep(SLICE);
        }
    }

    /// Waits, and meanwhile tries sinks that are due.
    pub(super) fn rest(&mut self, wait: Duration) -> Result<(), WatchError> {
        let begin = monotonic();
        loop {
            self.settle()?;
            let left = wait.saturating_sub(monotonic().duration_since(begin));
            if left.is_zero() || self.stopping() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }

    /// Alerts every sink that will listen, and ends.
    pub(super) fn sound_and_end(&mut self, signal: &Signal, now: Timestamp) -> WatchError {
        let alert = self.engine.observe_signal(signal, now);
        let message = alert.message.clone();
        self.raise(vec![alert]);
        match self.drain() {
            Ok(()) => WatchError::Integrity(message),
            Err(e) => {
                WatchError::Integrity(format!("{message} (and the alert did not reach every sink: {e})"))
            }
        }
    }

    pub(super) fn finish(mut self) -> Summary {
        self.summary.coverage = self.engine.coverage();
        self.summary.next_block = self.cursor.position().map_or(0, |p| p.next_block);
        self.summary
    }
}

/// The common columns of a record; none if it is not open.
fn facts(record: &AuditRecord) -> Facts {
    record.content.event().map_or_else(Facts::default, Facts::of)
}

/// The position behind a block; writers and beginning are the caller's to add.
fn after(block: &Block, statement: &Statement) -> Position {
    Position {
        next_block: block.height + 1,
        next_record: block.first_record + statement.record_count(),
        last_hash: block.hash(),
        began: 0,
        writers: Writers::default(),
    }
}
