//! Watching a ledger: rules over its records as they come, alerts to whoever should know. `docs/WATCH.md`.
//!
//! The engine is pure; this file is the loop around it. **At least once**: the cursor moves past a block only after every sink
//! has taken all alerts up to it. What the rules remember is not stored: after a restart the records of the time that matters
//! are gone through again without raising anything, and whatever is raised twice has the same id.

pub mod alert;
pub mod cursor;
pub mod engine;
pub mod filter;
mod outbox;
pub mod parse;
pub mod rules;
pub mod sinks;
pub mod syslog;
pub mod tail;
mod windows;
pub mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::facts::Facts;
use super::record::{AuditRecord, Records, RecordsError};
use crate::base::clock::{Timestamp, monotonic};
use crate::chain::block::Block;
use crate::chain::statement::Statement;
use cursor::{Cursor, CursorError, Position};
use engine::{Coverage, Engine, Signal};
use outbox::Outbox;
pub use outbox::Retry;
use sinks::Sink;

/// The cursor is saved at least every so many blocks.
const SAVE_EVERY: u64 = 256;
/// How often a sink is tried before a command that is to end gives up.
const ATTEMPTS: u32 = 5;
/// Longest wait between polls of a server that cannot be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How quickly a stop is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// A ledger that grows.
pub trait Tail {
    /// The newest verified records if there are any new ones since the last call; the first call gives what there is.
    fn poll(&mut self) -> Result<Option<Arc<dyn Records>>, TailError>;
}

/// Why there is nothing new to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    /// Not reachable now; nothing is said about the ledger.
    #[error("{0}")]
    Unavailable(String),
    /// Two signed histories, or one that became shorter.
    #[error("{what}")]
    Fork {
        /// What was found, in a sentence.
        what: String,
        /// The signed checkpoint known before.
        known: String,
        /// The signed checkpoint shown now.
        shown: String,
    },
    /// What the ledger shows does not verify.
    #[error("{0}")]
    Broken(String),
    /// The server does not let this identity in, or a setting is wrong: waiting does not help.
    #[error("{0}")]
    Refused(String),
}

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between polls.
    pub every: Duration,
    /// Look once and end.
    pub once: bool,
    /// Where a watch begins that has no cursor yet: with the first record, or (false) with the next one.
    pub from_start: bool,
    /// Patience with sinks.
    pub retry: Retry,
    /// The clock that silences are measured by.
    pub now: fn() -> Timestamp,
}

/// Why a watch ended otherwise than by being stopped.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The ledger is not what it was, or not what it should be. The alert was sent before.
    #[error("{0}")]
    Integrity(String),
    /// The ledger could not be read (only where the watch was to look once).
    #[error("{0}")]
    Unavailable(String),
    /// The server or a setting refuses.
    #[error("{0}")]
    Refused(String),
    /// A sink did not take its alerts; the next run repeats them.
    #[error("{0}. The next run sends the alerts again")]
    Undelivered(String),
    /// The cursor cannot be used or written.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

/// What a watch did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Blocks read.
    pub blocks: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// What the rules could see.
    pub coverage: Coverage,
    /// Height of the next block.
    pub next_block: u64,
}

/// Something went wrong within a round.
enum Trouble {
    /// Try again later.
    Later(String),
    /// The ledger as a whole; alert and end.
    Ledger(Signal),
    End(WatchError),
}

impl From<RecordsError> for Trouble {
    fn from(e: RecordsError) -> Trouble {
        Trouble::Later(e.to_string())
    }
}

impl From<TailError> for Trouble {
    fn from(e: TailError) -> Trouble {
        match e {
            TailError::Unavailable(why) => Trouble::Later(why),
            TailError::Fork { what, known, shown } => Trouble::Ledger(Signal::Fork { what, known, shown }),
            TailError::Broken(what) => Trouble::Ledger(Signal::Broken { what }),
            TailError::Refused(why) => Trouble::End(WatchError::Refused(why)),
        }
    }
}

impl From<CursorError> for Trouble {
    fn from(e: CursorError) -> Trouble {
        Trouble::End(e.into())
    }
}

impl From<WatchError> for Trouble {
    fn from(e: WatchError) -> Trouble {
        Trouble::End(e)
    }
}

/// Watches until `stop` is set, or once. `say` gets what the person at the terminal should know.
pub fn run(
    tail: &mut dyn Tail,
    engine: Engine,
    sinks: Vec<Box<dyn Sink>>,
    cursor: Cursor,
    options: &Options,
    say: &mut dyn FnMut(&str),
    stop: &AtomicBool,
) -> Result<Summary, WatchError> {
    let outbox = Outbox::new(sinks, options.retry);
    let mut watch = Watch {
        engine,
        outbox,
        cursor,
        options,
        say,
        stop,
        latest: None,
        position: None,
        replayed: None,
        observed_blocks: 0,
        observed_records: 0,
        summary: Summary::default(),
        told_closed: false,
    };
    let mut failures = 0u32;
    while !stop.load(Ordering::Relaxed) {
        // The time before the poll: everything committed until then is in its answer.
        let now = (options.now)();
        let wait = match watch.round(tail, now) {
            Ok(()) => {
                if std::mem::take(&mut failures) > 0 {
                    (watch.say)("the ledger can be reached again");
                }
                options.every
            }
            Err(Trouble::Later(why)) if options.once => return Err(WatchError::Unavailable(why)),
            Err(Trouble::Later(why)) => {
                failures += 1;
                if failures == 1 || failures.is_multiple_of(10) {
                    (watch.say)(&format!("{why}. Trying again"));
                }
                options.every.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT.max(options.every))
            }
            Err(Trouble::Ledger(signal)) => return Err(watch.sound_and_end(&signal, now)),
            Err(Trouble::End(e)) => return Err(e),
        };
        if options.once {
            watch.drain()?;
            break;
        }
        watch.rest(wait)?;
    }
    watch.settle()?;
    Ok(watch.finish())
}

struct Watch<'a> {
    engine: Engine,
    outbox: Outbox,
    cursor: Cursor,
    options: &'a Options,
    say: &'a mut dyn FnMut(&str),
    stop: &'a AtomicBool,
    /// The newest answer: what could not be read to its end is gone on with.
    latest: Option<Arc<dyn Records>>,
    /// After the last block that was observed with all its records; none before the beginning was found.
    position: Option<Position>,
    /// The next record of the replay, while there is one.
    replayed: Option<u64>,
    /// Blocks the engine has observed, and records: further than `position` if reading broke off within a block.
    observed_blocks: u64,
    observed_records: u64,
    summary: Summary,
    told_closed: bool,
}

impl Watch<'_> {
    /// One look at the ledger.
    fn round(&mut self, tail: &mut dyn Tail, now: Timestamp) -> Result<(), Trouble> {
        if let Some(records) = tail.poll()? {
            self.latest = Some(records);
        }
        if let Some(records) = self.latest.clone() {
            if self.position.is_none() {
                self.begin(&*records)?;
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

    /// The ledger must still hold the block at which the cursor stands.
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

    fn raise(&mut self, alerts: Vec<alert::Alert>) {
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
    fn settle(&mut self) -> Result<(), WatchError> {
        if let Some(position) = self.outbox.pump(self.say) {
            self.cursor.save(position)?;
        }
        Ok(())
    }

    /// Hands over everything, or gives up after some attempts.
    fn drain(&mut self) -> Result<(), WatchError> {
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
    fn rest(&mut self, wait: Duration) -> Result<(), WatchError> {
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
    fn sound_and_end(&mut self, signal: &Signal, now: Timestamp) -> WatchError {
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

    fn finish(mut self) -> Summary {
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
        writers: writers::Writers::default(),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
