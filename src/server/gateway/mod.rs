//! The in-process writer: plaintext events in, sealed batches out to the ledger.
//!
//! Whoever takes a request in drafts its events by the [`Gateway::plan`]. One thread owns the writer key. It takes
//! whatever queued while the last batch was being committed, seals it as one batch and waits for nothing else:
//! there is no timer. When much is queued it seals the next batch while the previous one is on its way to the
//! disk; when little is, it does the next batch's public-key work meanwhile.

mod sealing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::base::busy::Busy;
use crate::base::limits::{DRAFT_BYTES, MAX_GATEWAY_SECONDS, MAX_QUEUED_EVENT_BYTES, MAX_QUEUED_REQUESTS};
use crate::base::threads::Places;
use crate::event::error::EventError;
use crate::ledger::{Ledger, LedgerError};
use crate::seal::sealer::SealError;
use crate::writer::{BatchPlan, Drafts, Purpose, Writer, WriterError};
use sealing::{Unready, Worker};

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
        IntakeError::from(&e)
    }
}

impl From<&WriterError> for IntakeError {
    fn from(e: &WriterError) -> Self {
        match e {
            WriterError::Event(e) => IntakeError::Event(*e),
            WriterError::Full
            | WriterError::Empty
            | WriterError::Seal(
                SealError::TooManyTags | SealError::RecordTooLarge(_) | SealError::Fields(_),
            ) => IntakeError::Unsealable(e.to_string()),
            WriterError::NoReader(_) => IntakeError::NoReader(e.to_string()),
            // The cause was reported to the requests of the failed batch; these may simply be sent again. The search secret of a new
            // month may find the disk full.
            WriterError::Broken | WriterError::Search { .. } => {
                IntakeError::Ledger(LedgerError::NotStored { why: e.to_string(), full: false })
            }
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

/// The events of one request.
pub enum Events {
    /// As they came; the gateway drafts them.
    Plain(Vec<Bytes>),
    /// Drafted by the plan of the moment. The gateway drafts them again if it is another one by now.
    Drafted(Drafts),
}

impl Events {
    fn len(&self) -> usize {
        match self {
            Events::Plain(events) => events.len(),
            Events::Drafted(drafts) => drafts.len(),
        }
    }

    /// Length of the events themselves.
    fn bytes(&self) -> usize {
        match self {
            Events::Plain(events) => events.iter().map(Bytes::len).sum(),
            Events::Drafted(drafts) => drafts.plaintext_bytes(),
        }
    }

    fn by(self, plan: &Arc<BatchPlan>) -> Result<Drafts, WriterError> {
        match self {
            Events::Plain(events) => plan.draft(events.into_iter()),
            Events::Drafted(drafts) => drafts.by(plan),
        }
    }
}

type Answer = oneshot::Sender<Result<Logged, IntakeError>>;
/// Where the answer to a queued request will be.
pub type Answered = oneshot::Receiver<Result<Logged, IntakeError>>;
/// The plan by which requests are drafted.
type Shown = Arc<RwLock<Option<Arc<BatchPlan>>>>;

struct Intake {
    purpose: Purpose,
    events: Events,
    count: usize,
    bytes: usize,
    answer: Answer,
}

#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    events: AtomicUsize,
}

/// Handle to the gateway thread; it ends when the last handle is dropped and the queue is empty.
#[derive(Clone)]
pub struct Gateway {
    intake: SyncSender<Intake>,
    queued: Arc<Queued>,
    plan: Shown,
    sections: usize,
    drafting: Arc<Places>,
    ledger: Arc<Ledger>,
    /// Name of its key.
    writer: Arc<str>,
    /// What its thread is at.
    busy: Arc<Busy>,
    unready: Unready,
    /// Gone when its thread is.
    alive: Weak<()>,
}

impl Gateway {
    /// Starts the thread, which keeps the ledger open: wait for it when the last handle is dropped, so that what it still has
    /// is committed. A heartbeat is signed when nothing was sealed for `heartbeat`.
    pub fn start(
        ledger: Arc<Ledger>,
        writer: Writer,
        heartbeat: Duration,
    ) -> std::io::Result<(Gateway, JoinHandle<()>)> {
        let (queue, intake) = sync_channel(MAX_QUEUED_REQUESTS);
        let queued = Arc::new(Queued::default());
        let sections = writer.policy().sections().len();
        let plan = Arc::new(RwLock::new(None));
        let (name, busy, alive) = (writer.name().into(), Arc::new(Busy::default()), Arc::new(()));
        let unready = Unready::default();
        let states = (busy.clone(), unready.clone());
        let worker = Worker::new(ledger.clone(), writer, queued.clone(), plan.clone(), heartbeat, states);
        let gateway = Gateway {
            intake: queue,
            queued,
            plan,
            sections,
            drafting: Arc::default(),
            ledger,
            writer: name,
            busy,
            unready,
            alive: Arc::downgrade(&alive),
        };
        let run = move || {
            // Dropped also by a panic.
            let _alive = alive;
            worker.run(&intake);
        };
        let thread = std::thread::Builder::new().name("gateway".into()).spawn(run)?;
        Ok((gateway, thread))
    }

    /// Name of the key that it signs with.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// Why its thread cannot be relied on, if that is so.
    pub fn trouble(&self) -> Option<String> {
        if self.alive.strong_count() == 0 {
            return Some("the thread that seals events has ended; the server's log says why".to_owned());
        }
        if self.unready.load(Ordering::Acquire) {
            return Some("the gateway's search secret cannot be used; the server's log says why".to_owned());
        }
        let age = self.busy.age()?.as_secs();
        (age >= MAX_GATEWAY_SECONDS).then(|| format!("a batch has not been sealed and stored for {age} s"))
    }

    /// How applications' events are drafted at the moment; `None` before the first of them.
    pub fn plan(&self) -> Option<Arc<BatchPlan>> {
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a request of so many events, of so many bytes in all, would be taken in at the moment. Asked before they are
    /// drafted, which is most of the work.
    pub fn has_room(&self, events: usize, bytes: usize) -> bool {
        let before = self.queued.bytes.load(Ordering::Acquire);
        before == 0 || before + self.memory(events, bytes) <= MAX_QUEUED_EVENT_BYTES
    }

    /// What a request takes up in the queue: all of its body, of which its events are parts; payloads of their own, if there is
    /// more than one section; and drafts.
    fn memory(&self, events: usize, body: usize) -> usize {
        let payloads = if self.sections > 1 { body } else { 0 };
        body + payloads + events * self.sections * DRAFT_BYTES
    }

    /// Prepares an application's events, for [`Gateway::log`] with [`Purpose::Events`], on the caller's thread as far as that
    /// can be done before they have a place in a batch. As many threads as there are cores do so at a time: more would only take
    /// the gateway's own thread its share. Not to be called on an async thread.
    pub fn prepare(&self, events: impl ExactSizeIterator<Item = Bytes>) -> Result<Events, IntakeError> {
        let _place = self.drafting.take();
        match self.plan() {
            Some(plan) => Ok(Events::Drafted(plan.draft(events)?)),
            None => Ok(Events::Plain(events.collect())),
        }
    }

    /// Logs the events of one request, all or none, in one block without a gap. Resolves when they are durable.
    pub async fn log(&self, purpose: Purpose, events: Events) -> Result<Logged, IntakeError> {
        let bytes = events.bytes();
        self.queue(purpose, events, bytes)?.await.unwrap_or(Err(IntakeError::Ledger(LedgerError::Stopped)))
    }

    /// [`Gateway::log`] up to the queue; the answer comes when they are durable, or not at all if the gateway stops. The events
    /// are parts of a body of so many bytes.
    pub fn queue(&self, purpose: Purpose, events: Events, body: usize) -> Result<Answered, IntakeError> {
        let (count, bytes) = (events.len(), body.max(events.bytes()));
        if count == 0 {
            return Err(WriterError::Empty.into());
        }
        self.ledger.moving().map_err(IntakeError::Ledger)?;
        let bytes = self.memory(count, bytes);
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
        self.intake.try_send(Intake { purpose, events, count, bytes, answer }).map_err(|e| {
            release();
            match e {
                TrySendError::Full(_) => IntakeError::Overloaded,
                TrySendError::Disconnected(_) => IntakeError::Ledger(LedgerError::Stopped),
            }
        })?;
        Ok(logged)
    }

    /// Memory of the events that wait to be sealed, in bytes: of [`MAX_QUEUED_EVENT_BYTES`].
    pub fn queued_bytes(&self) -> usize {
        self.queued.bytes.load(Ordering::Acquire)
    }
}
