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
mod round;
pub mod rules;
pub mod sinks;
pub mod syslog;
pub mod tail;
mod windows;
pub mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::record::{Records, RecordsError};
use crate::base::clock::Timestamp;
use cursor::{Cursor, CursorError};
use engine::{Coverage, Engine, Signal};
use outbox::Outbox;
pub use outbox::Retry;
use round::Watch;
use sinks::Sink;

/// Longest wait between polls of a server that cannot be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

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
        match e {
            RecordsError::Unavailable(why) => Trouble::Later(why),
            // It will not heal by waiting.
            RecordsError::Damaged(what) => Trouble::Ledger(Signal::Broken { what }),
        }
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

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
