//! The in-process writer: plaintext events in, sealed batches out to the ledger.
//!
//! One thread owns the writer key. It takes whatever queued while the last batch was being committed, seals it as
//! one batch and waits for nothing else: there is no timer. When much is queued it seals the next batch while the
//! previous one is on its way to the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::base::clock::{self, Timestamp};
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_QUEUED_EVENT_BYTES, MAX_QUEUED_REQUESTS};
use crate::chain::replay::ChainError;
use crate::event::error::EventError;
use crate::ledger::{Ledger, LedgerError, Pending, Receipt, Submission};
use crate::seal::sealer::SealError;
use crate::writer::{Purpose, Writer, WriterError};

/// From this many queued events on, the next batch is sealed while the previous one commits; below it, waiting
/// for the commit gives fewer, larger batches.
const PIPELINE_EVENTS: usize = 256;
/// Plaintext bytes after which a batch is closed: sealing adds padding and slots, and must stay under the body limit.
const BATCH_PLAINTEXT_BYTES: usize = MAX_BATCH_BYTES / 4;

/// Why events were not logged.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// One event of the request is not acceptable; none of the request was logged.
    #[error("{0}")]
    Event(EventError),
    /// The queue is full.
    #[error("more events are waiting than the ledger can take in; send this again in a moment")]
    Overloaded,
    /// An event cannot be sealed within the limits of a record; none of the request was logged.
    #[error("{0}")]
    Unsealable(String),
    /// The policy has a section that no reader of the roster may read.
    #[error("{0}")]
    NoReader(String),
    /// Sealing failed.
    #[error("the events could not be sealed: {0}")]
    Writer(String),
    /// The ledger did not take the batch.
    #[error(transparent)]
    Ledger(LedgerError),
}

impl From<WriterError> for IntakeError {
    fn from(e: WriterError) -> Self {
        match e {
            WriterError::Event(e) => IntakeError::Event(e),
            WriterError::Full => IntakeError::Unsealable(
                "the request is too large for one batch; send fewer events at once".into(),
            ),
            WriterError::Seal(
                e @ (SealError::TooManyTags | SealError::RecordTooLarge(_) | SealError::Fields(_)),
            ) => IntakeError::Unsealable(e.to_string()),
            WriterError::NoReader(_) => IntakeError::NoReader(e.to_string()),
            other => IntakeError::Writer(other.to_string()),
        }
    }
}

/// Where the events of one request ended up.
#[derive(Clone, Copy, Debug)]
pub struct Logged {
    /// Height of the block.
    pub block: u64,
    /// Index of the first record; the others follow.
    pub first_record: u64,
    /// How many.
    pub count: u32,
}

struct Intake {
    purpose: Purpose,
    events: Vec<Bytes>,
    bytes: usize,
    answer: oneshot::Sender<Result<Logged, IntakeError>>,
}

#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    events: AtomicUsize,
}

/// Handle to the gateway thread; it ends when the last handle is dropped and the queue is empty.
#[derive(Clone)]
pub struct Gateway {
    queue: SyncSender<Intake>,
    queued: Arc<Queued>,
}

impl Gateway {
    /// Starts the thread. A heartbeat is signed when nothing was sealed for `heartbeat`.
    pub fn start(ledger: Arc<Ledger>, writer: Writer, heartbeat: Duration) -> std::io::Result<Gateway> {
        let (queue, intake) = sync_channel(MAX_QUEUED_REQUESTS);
        let queued = Arc::new(Queued::default());
        let worker = Worker { ledger, writer, queued: queued.clone(), heartbeat, in_flight: None };
        std::thread::Builder::new().name("gateway".into()).spawn(move || worker.run(&intake))?;
        Ok(Gateway { queue, queued })
    }

    /// Logs the events of one request, all or none, in one block without a gap. Resolves when they are durable.
    pub async fn log(&self, purpose: Purpose, events: Vec<Bytes>) -> Result<Logged, IntakeError> {
        let bytes = events.iter().map(Bytes::len).sum();
        let count = events.len();
        let before = self.queued.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.queued.events.fetch_add(count, Ordering::AcqRel);
        let release = || {
            self.queued.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.queued.events.fetch_sub(count, Ordering::AcqRel);
        };
        if before != 0 && before + bytes > MAX_QUEUED_EVENT_BYTES {
            release();
            return Err(IntakeError::Overloaded);
        }
        let (answer, logged) = oneshot::channel();
        self.queue.try_send(Intake { purpose, events, bytes, answer }).map_err(|e| {
            release();
            match e {
                TrySendError::Full(_) => IntakeError::Overloaded,
                TrySendError::Disconnected(_) => IntakeError::Ledger(LedgerError::Stopped),
            }
        })?;
        logged.await.unwrap_or(Err(IntakeError::Ledger(LedgerError::Stopped)))
    }

    /// Plaintext bytes waiting to be sealed.
    pub fn queued_bytes(&self) -> usize {
        self.queued.bytes.load(Ordering::Acquire)
    }
}

type Answer = oneshot::Sender<Result<Logged, IntakeError>>;

/// A batch handed to the ledger, with the requests it answers.
struct InFlight {
    pending: Pending,
    requests: Vec<(Answer, u32, u32)>,
}

struct Worker {
    ledger: Arc<Ledger>,
    writer: Writer,
    queued: Arc<Queued>,
    heartbeat: Duration,
    in_flight: Option<InFlight>,
}

impl Worker {
    fn run(mut self, intake: &Receiver<Intake>) {
        let mut last_statement = clock::monotonic();
        loop {
            if self.queued.events.load(Ordering::Acquire) < PIPELINE_EVENTS {
                self.settle();
            }
            let first = match intake.try_recv() {
                Ok(first) => first,
                Err(_) => {
                    self.settle();
                    let idle = clock::monotonic().duration_since(last_statement);
                    match intake.recv_timeout(self.heartbeat.saturating_sub(idle)) {
                        Ok(first) => first,
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
        let (mut records, mut bytes) = (taken[0].events.len(), taken[0].bytes);
        // A request has at most MAX_EVENTS_PER_REQUEST events, so stopping at half a batch can never overfill one.
        while records < MAX_BATCH_RECORDS / 2 && bytes < BATCH_PLAINTEXT_BYTES {
            let Ok(next) = intake.try_recv() else { break };
            records += next.events.len();
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
        let view = self.ledger.view();
        let readers = view.state.roster().map(|r| r.readers.clone()).unwrap_or_default();
        let now = Timestamp::now();
        let mut open = match self.writer.begin(purpose, &readers, now) {
            Ok(b) => b,
            Err(e) => return refuse(waiting.drain(..).map(|r| r.answer), &e),
        };
        let mut batch = open.fill();
        let mut placed: Vec<(Answer, u32, u32)> = Vec::with_capacity(waiting.len());
        while let Some(request) = waiting.pop_front() {
            match batch.add(&request.events) {
                Ok(range) => placed.push((request.answer, range.start, range.end - range.start)),
                // No room, or closed by a refusal before: the next batch takes it.
                Err(WriterError::Full) if !placed.is_empty() || batch.is_closed() => {
                    waiting.push_front(request);
                    break;
                }
                Err(e) => drop(request.answer.send(Err(e.into()))),
            }
        }
        if placed.is_empty() {
            return;
        }
        let sealed = match batch.finish().and_then(|b| self.writer.sign(b, now)) {
            Ok(s) => s,
            Err(e) => return refuse(placed.into_iter().map(|(a, ..)| a), &e),
        };
        let submission = Submission::batch(sealed.note, sealed.body);
        // The batch before this one must be in the chain: this statement names it as its predecessor.
        if !self.settle() {
            let e = WriterError::Broken;
            return refuse(placed.into_iter().map(|(a, ..)| a), &e);
        }
        match submission.and_then(|s| self.ledger.submit(s)) {
            Ok(pending) => self.in_flight = Some(InFlight { pending, requests: placed }),
            Err(e) => {
                self.resync();
                answer_all(placed, Err(e));
            }
        }
    }

    /// Waits for the batch in flight and answers its requests. False if it failed: whatever was sealed on top of it is void.
    fn settle(&mut self) -> bool {
        let Some(InFlight { pending, requests }) = self.in_flight.take() else { return true };
        let result = pending.wait();
        let fine = result.is_ok();
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
        let Ok(note) = self.writer.heartbeat(Timestamp::now()) else { return };
        let sent = self.ledger.submit(Submission::statement(note)).and_then(Pending::wait);
        if sent.is_err() {
            self.resync();
        }
    }
}

fn refuse(answers: impl Iterator<Item = Answer>, why: &WriterError) {
    for answer in answers {
        let error = match why {
            // The cause was reported to the requests of the failed batch; these may simply be sent again.
            WriterError::Broken => {
                IntakeError::Ledger(LedgerError::NotStored { why: why.to_string(), full: false })
            }
            WriterError::NoReader(_) => IntakeError::NoReader(why.to_string()),
            _ => IntakeError::Writer(why.to_string()),
        };
        // The client may have gone; its events were not stored.
        let _ = answer.send(Err(error));
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
            let why = match &e {
                LedgerError::NotStored { why, .. } => why.clone(),
                other => other.to_string(),
            };
            for (answer, ..) in requests {
                let error = if refused {
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
