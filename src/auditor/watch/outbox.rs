//! Alerts on their way. Each sink has its own place in the queue, so one that is down holds up nobody else; the cursor
//! follows the slowest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::alert::Alert;
use super::cursor::Position;
use super::sinks::Sink;
use crate::base::clock::monotonic;
use crate::base::limits::MAX_ALERTS_WAITING;

/// Most alerts handed to a sink at once.
const AT_ONCE: usize = 100;
/// Of the failures of a sink every so many-th is told.
const TELL_EVERY: u32 = 20;

/// How long to wait before a sink that failed is tried again: `first`, then twice as long each time up to `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The wait after so many failures in a row.
    pub(super) fn wait(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }
}

struct Lane {
    sink: Box<dyn Sink>,
    /// Number of the next alert to hand over.
    next: u64,
    failures: u32,
    due: Option<Instant>,
    last_error: String,
}

/// The queue.
pub(super) struct Outbox {
    alerts: VecDeque<Alert>,
    /// Number of the first alert in the queue.
    base: u64,
    lanes: Vec<Lane>,
    /// The cursor may go to the position once all alerts below the number are taken.
    marks: VecDeque<(u64, Position)>,
    retry: Retry,
}

impl Outbox {
    pub fn new(sinks: Vec<Box<dyn Sink>>, retry: Retry) -> Outbox {
        let lane = |sink| Lane { sink, next: 0, failures: 0, due: None, last_error: String::new() };
        let lanes = sinks.into_iter().map(lane).collect();
        Outbox { alerts: VecDeque::new(), base: 0, lanes, marks: VecDeque::new(), retry }
    }

    fn end(&self) -> u64 {
        self.base + self.alerts.len() as u64
    }

    pub fn push(&mut self, alert: Alert) {
        self.alerts.push_back(alert);
    }

    /// Everything pushed so far belongs to what lies before `position`.
    pub fn mark(&mut self, position: Position) {
        let end = self.end();
        match self.marks.back_mut() {
            Some((number, last)) if *number == end => *last = position,
            _ => self.marks.push_back((end, position)),
        }
    }

    /// Whether no more should be read before sinks have taken some.
    pub fn is_full(&self) -> bool {
        self.alerts.len() >= MAX_ALERTS_WAITING
    }

    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Hands over what is due, and gives the position that all sinks have now reached, if it is a new one.
    pub fn pump(&mut self, say: &mut dyn FnMut(&str)) -> Option<Position> {
        let (base, end) = (self.base, self.end());
        for lane in &mut self.lanes {
            while lane.next < end && lane.due.is_none_or(|due| due <= monotonic()) {
                let from = (lane.next - base) as usize;
                let batch: Vec<&Alert> = self.alerts.iter().skip(from).take(AT_ONCE).collect();
                match lane.sink.send(&batch) {
                    Ok(()) => {
                        lane.next += batch.len() as u64;
                        lane.due = None;
                        if std::mem::take(&mut lane.failures) > 0 {
                            say(&format!("{} takes alerts again", lane.sink.name()));
                        }
                    }
                    Err(e) => {
                        lane.next += e.taken.min(batch.len()) as u64;
                        lane.failures += 1;
                        let wait = self.retry.wait(lane.failures);
                        let wait =
                            e.after.map_or(wait, |after| after.clamp(wait, self.retry.longest.max(wait)));
                        lane.due = Some(monotonic() + wait);
                        if lane.failures % TELL_EVERY == 1 {
                            let (name, waiting) = (lane.sink.name(), end - lane.next);
                            say(&format!(
                                "{name} does not take alerts: {e}. {waiting} waiting; trying again"
                            ));
                        }
                        lane.last_error = e.why;
                    }
                }
            }
        }
        let done = self.lanes.iter().map(|l| l.next).min().unwrap_or(end);
        self.alerts.drain(..((done - base) as usize).min(self.alerts.len()));
        self.base = done;
        let mut reached = None;
        while self.marks.front().is_some_and(|(number, _)| *number <= done) {
            reached = self.marks.pop_front().map(|(_, position)| position);
        }
        reached
    }

    /// A sink that has failed so often in a row, and what it said.
    pub fn given_up(&self, attempts: u32) -> Option<String> {
        let lane = self.lanes.iter().find(|l| l.failures >= attempts)?;
        Some(format!("{} does not take alerts: {}", lane.sink.name(), lane.last_error))
    }
}
