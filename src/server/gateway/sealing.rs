//! The gateway's thread: takes what is queued, seals it as a batch, hands it to the ledger and answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::base::busy::Busy;
use crate::base::clock::{self, Timestamp};
use crate::base::limits::PROBE_SECONDS;
use crate::base::notice::notice;
use crate::chain::replay::ChainError;
use crate::chain::roster::RosterReader;
use crate::ledger::{Ledger, LedgerError, Pending, Receipt, Submission};
use crate::writer::{BatchPlan, Drafts, OpenBatch, Purpose, Writer, WriterError};

use super::{Answer, Events, Intake, IntakeError, Logged, Queued, Shown};

/// From this many queued events on, the next batch is sealed while the previous one commits; below it, waiting
/// for the commit gives fewer, larger batches.
const PIPELINE_EVENTS: usize = 256;
/// Records after which no further request is taken into a batch, so that sealing one and committing another overlap. Larger batches
/// take more memory and make longer commits, smaller ones have more bytes of their own for each record.
const BATCH_RECORDS: usize = 2560;
/// The same in bytes, counted as the queue counts them.
const BATCH_BYTES: usize = 12 * 1024 * 1024;

/// While nothing can be sealed, how often that is tried.
const PROBE: Duration = Duration::from_secs(PROBE_SECONDS);

/// Whether nothing can be sealed for want of the search secret.
pub(super) type Unready = Arc<AtomicBool>;

/// A batch handed to the ledger, with the requests it answers.
struct InFlight {
    pending: Pending,
    requests: Vec<(Answer, u32, u32)>,
}

pub(super) struct Worker {
    ledger: Arc<Ledger>,
    writer: Writer,
    queued: Arc<Queued>,
    shown: Shown,
    heartbeat: Duration,
    in_flight: Option<InFlight>,
    /// Opened while the batch before it was being committed.
    next: Option<OpenBatch>,
    busy: Arc<Busy>,
    unready: Unready,
    /// What the ledger has of this writer may be more than could be seen when that was last looked at.
    doubt: bool,
}

impl Worker {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        writer: Writer,
        queued: Arc<Queued>,
        shown: Shown,
        heartbeat: Duration,
        (busy, unready): (Arc<Busy>, Unready),
    ) -> Worker {
        let (in_flight, next, doubt) = (None, None, false);
        Worker { ledger, writer, queued, shown, heartbeat, in_flight, next, busy, unready, doubt }
    }

    pub(super) fn run(mut self, intake: &Receiver<Intake>) {
        let mut last_statement = clock::monotonic();
        loop {
            self.busy.begin();
            if self.queued.events.load(Ordering::Acquire) < PIPELINE_EVENTS {
                self.settle();
            }
            let first = match intake.try_recv() {
                Ok(first) => first,
                Err(_) => {
                    self.settle();
                    let idle = clock::monotonic().duration_since(last_statement);
                    self.busy.end();
                    let unready = self.unready.load(Ordering::Acquire);
                    let patience = self.heartbeat.saturating_sub(idle);
                    let first = intake.recv_timeout(if unready { patience.min(PROBE) } else { patience });
                    self.busy.begin();
                    match first {
                        Ok(first) => first,
                        Err(RecvTimeoutError::Timeout) if unready && idle + PROBE < self.heartbeat => {
                            let view = self.ledger.view();
                            let readers = view.state.roster().map_or(&[][..], |r| &r.readers[..]);
                            let _ = self.plan(Purpose::Events, readers, Timestamp::now());
                            continue;
                        }
                        Err(RecvTimeoutError::Timeout) => {
                            self.beat();
                            last_statement = clock::monotonic();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            };
            let taken = self.take(first, intake);
            let (events, accesses): (Vec<_>, Vec<_>) =
                taken.into_iter().partition(|i| i.purpose == Purpose::Events);
            for (purpose, requests) in [(Purpose::Events, events), (Purpose::AccessLog, accesses)] {
                if !requests.is_empty() {
                    self.seal(purpose, requests);
                    last_statement = clock::monotonic();
                }
            }
        }
    }

    /// Everything that is queued, up to the size of one batch.
    fn take(&self, first: Intake, intake: &Receiver<Intake>) -> Vec<Intake> {
        let mut taken = vec![first];
        let (mut records, mut bytes) = (taken[0].count, taken[0].bytes);
        while records < BATCH_RECORDS && bytes < BATCH_BYTES {
            let Ok(next) = intake.try_recv() else { break };
            records += next.count;
            bytes += next.bytes;
            taken.push(next);
        }
        self.queued.events.fetch_sub(records, Ordering::AcqRel);
        self.queued.bytes.fetch_sub(bytes, Ordering::AcqRel);
        taken
    }

    fn seal(&mut self, purpose: Purpose, requests: Vec<Intake>) {
        let mut waiting = VecDeque::from(requests);
        while !waiting.is_empty() {
            self.seal_batch(purpose, &mut waiting);
        }
    }

    /// Seals one batch of as many waiting requests as fit, and hands it to the ledger.
    fn seal_batch(&mut self, purpose: Purpose, waiting: &mut VecDeque<Intake>) {
        // A batch may have been stored that could not be shown at the time.
        if self.doubt && self.in_flight.is_none() {
            self.resync();
        }
        let view = self.ledger.view();
        let readers = view.state.roster().map_or(&[][..], |r| &r.readers[..]);
        let now = Timestamp::now();
        let plan = match self.plan(purpose, readers, now) {
            Ok(p) => p,
            Err(e) => return refuse(waiting.drain(..).map(|r| r.answer), &e),
        };
        if purpose == Purpose::Events {
            self.show(&plan);
        }
        let (drafts, placed) = choose(&plan, waiting);
        if placed.is_empty() {
            return;
        }
        let sealed = self.opened(&plan).and_then(|b| self.writer.seal(b, drafts, now));
        let sealed = match sealed {
            Ok(s) => s,
            Err(e) => return refuse(placed.into_iter().map(|(a, ..)| a), &e),
        };
        // The batch before this one must be in the chain: this statement names it as its predecessor.
        if !self.settle() {
            let e = WriterError::Broken;
            return refuse(placed.into_iter().map(|(a, ..)| a), &e);
        }
        // Nor may it be sealed to somebody who was removed meanwhile.
        let view = self.ledger.view();
        if view.state.roster().is_none_or(|r| r.readers != *readers) {
            self.resync();
            return refuse(placed.into_iter().map(|(a, ..)| a), &WriterError::Broken);
        }
        match self.ledger.submit(Submission::hashed(sealed.note, sealed.body)) {
            Ok(pending) => {
                self.in_flight = Some(InFlight { pending, requests: placed });
                // Cheap now, while the disk works, and dear when somebody waits. A failure comes up again then.
                self.next = self.writer.open(&plan).ok();
            }
            Err(e) => {
                self.resync();
                answer_all(placed, Err(e));
            }
        }
    }

    /// How to seal now. Health says so if the search secret cannot be kept: nothing can be sealed then.
    fn plan(
        &mut self,
        purpose: Purpose,
        readers: &[RosterReader],
        now: Timestamp,
    ) -> Result<Arc<BatchPlan>, WriterError> {
        let plan = self.writer.plan(purpose, readers, now);
        let unready = matches!(plan, Err(WriterError::Search { .. }));
        if self.unready.swap(unready, Ordering::AcqRel) != unready {
            match &plan {
                Err(e) => notice(format!("no event can be sealed: {e}")),
                Ok(_) => notice("events can be sealed again"),
            }
        }
        plan
    }

    /// The batch opened beforehand, if it is the right one.
    fn opened(&mut self, plan: &Arc<BatchPlan>) -> Result<OpenBatch, WriterError> {
        match self.next.take() {
            Some(next) if next.serves(&self.writer, plan) => Ok(next),
            _ => self.writer.open(plan),
        }
    }

    /// Lets requests be drafted by this plan from now on.
    fn show(&self, plan: &Arc<BatchPlan>) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if !shown.as_ref().is_some_and(|s| Arc::ptr_eq(s, plan)) {
            *shown = Some(plan.clone());
        }
    }

    /// Waits for the batch in flight and answers its requests. False if it failed: whatever was sealed on top of it is void.
    fn settle(&mut self) -> bool {
        let Some(InFlight { pending, requests }) = self.in_flight.take() else { return true };
        let result = pending.wait();
        let fine = result.is_ok();
        self.doubt = !fine;
        if !fine {
            self.resync();
        }
        answer_all(requests, result);
        fine
    }

    fn resync(&mut self) {
        self.writer.resume(self.ledger.writer_head(self.writer.name()));
    }

    /// Signs a heartbeat, so that silence and suppression differ. A failure shows in the ledger's health.
    fn beat(&mut self) {
        if self.doubt {
            self.resync();
        }
        let Ok(note) = self.writer.heartbeat(Timestamp::now()) else { return };
        let sent = self.ledger.submit(Submission::statement(note)).and_then(Pending::wait);
        if sent.is_err() {
            self.resync();
        }
    }
}

/// The waiting requests that fit one batch, as drafts, and what to answer of each: first position and number of records.
fn choose(plan: &Arc<BatchPlan>, waiting: &mut VecDeque<Intake>) -> (Vec<Drafts>, Vec<(Answer, u32, u32)>) {
    let mut drafts = Vec::with_capacity(waiting.len());
    let mut placed = Vec::with_capacity(waiting.len());
    let (mut records, mut bytes) = (0, 0);
    while let Some(request) = waiting.pop_front() {
        let drafted = match request.events.by(plan) {
            Ok(d) => d,
            Err(e) => {
                let _ = request.answer.send(Err(e.into()));
                continue;
            }
        };
        let (all, all_bytes) = (records + drafted.len(), bytes + drafted.bytes());
        if plan.fits(all, all_bytes) {
            placed.push((request.answer, records as u32, drafted.len() as u32));
            drafts.push(drafted);
            (records, bytes) = (all, all_bytes);
        } else if placed.is_empty() {
            let _ = request.answer.send(Err(WriterError::Full.into()));
        } else {
            // The next batch takes it.
            waiting.push_front(Intake { events: Events::Drafted(drafted), ..request });
            break;
        }
    }
    (drafts, placed)
}

fn refuse(answers: impl Iterator<Item = Answer>, why: &WriterError) {
    for answer in answers {
        // The client may have gone; its events were not stored.
        let _ = answer.send(Err(why.into()));
    }
}

/// Answers every request of a batch with its own share of the receipt, or with the same failure.
fn answer_all(requests: Vec<(Answer, u32, u32)>, result: Result<Receipt, LedgerError>) {
    match result {
        Ok(receipt) => {
            for (answer, start, count) in requests {
                let first_record = receipt.first_record + u64::from(start);
                let _ = answer.send(Ok(Logged { block: receipt.block, first_record, count }));
            }
        }
        Err(e) => {
            let full = matches!(e, LedgerError::NotStored { full: true, .. });
            let overloaded = matches!(e, LedgerError::Overloaded);
            // Sending again does not help a gateway that the roster does not have.
            let refused = matches!(
                e,
                LedgerError::Chain(ChainError::UnknownSigner { .. } | ChainError::OtherKey { .. })
            );
            let stalled = if let LedgerError::Stalled { seconds } = e { Some(seconds) } else { None };
            let not_shown = matches!(e, LedgerError::NotShown { .. });
            let why = match &e {
                LedgerError::NotStored { why, .. } | LedgerError::NotShown { why } => why.clone(),
                other => other.to_string(),
            };
            for (answer, ..) in requests {
                let error = if let Some(seconds) = stalled {
                    IntakeError::Ledger(LedgerError::Stalled { seconds })
                } else if not_shown {
                    IntakeError::Ledger(LedgerError::NotShown { why: why.clone() })
                } else if refused {
                    IntakeError::Writer(why.clone())
                } else if overloaded {
                    IntakeError::Overloaded
                } else {
                    IntakeError::Ledger(LedgerError::NotStored { why: why.clone(), full })
                };
                let _ = answer.send(Err(error));
            }
        }
    }
}
