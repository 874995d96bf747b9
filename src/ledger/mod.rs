//! The ledger: takes sealed batches and other signed statements, orders them into blocks, makes them
//! durable, and answers with what is provable. It is blind: nothing here can read a record.
//!
//! One thread owns the write cycle ([`commit`]); readers work on an immutable [`View`] that is
//! replaced only after a cycle is durable, so nothing is ever shown that a crash could take back.
//! Recovery ([`recover`]) rebuilds the same state with the same code that the live path runs.

mod at_hand;
mod commit;
mod cycle;
mod erase;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grants;
mod guard;
mod inspect;
mod prove;
mod read;
mod recent;
mod recover;
mod search;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::base::busy::Busy;
use crate::base::clock;
use crate::base::limits::{MAX_CYCLE_SECONDS, MAX_QUEUED_BYTES, MAX_QUEUED_SUBMISSIONS};
use crate::chain::authority::RecordRange;
use crate::chain::batch::HashedBody;
use crate::chain::key::{SigningKey, VerifierKey};
use crate::chain::log::Log;
use crate::chain::note::Note;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;
use crate::store::Store;

pub use at_hand::{AtHand, TilesAtHand};
pub use cycle::sequence_of;
pub use erase::blank_grants;
pub use error::LedgerError;
pub use grants::{GrantInfo, GrantedEpoch, GrantedRecord};
pub use guard::{Guard, GuardError, LastSigned};
pub use inspect::{Fault, Inspection, Part, inspect};
pub use prove::{Prover, checked_path, nodes_row};
pub use read::{BlockBody, RecordBytes};
pub use recover::{StoredTiles, is_signed, is_signed_state, restore_log, tile_key};
pub use search::{TagPage, TagQuery, epoch_of, epoch_rows, epochs, find_tagged};

/// A signed statement on its way into the chain, with its body if it has one.
#[derive(Debug)]
pub struct Submission {
    note: Note,
    body: Option<Payload>,
}

/// The body of a statement, hashed.
#[derive(Debug)]
enum Payload {
    Batch(Box<HashedBody>),
    /// The slots of a grant, checked against it.
    Grant(Vec<u8>),
}

impl Submission {
    /// A statement without a body: heartbeat, roster, erasure, hold.
    pub fn statement(note: Note) -> Submission {
        Submission { note, body: None }
    }

    /// A batch. Hashes every byte of `body` on the caller's thread, so that the commit thread need not.
    pub fn batch(note: Note, body: Vec<u8>) -> Result<Submission, LedgerError> {
        Ok(Submission::hashed(note, HashedBody::new(body)?))
    }

    /// A batch that is hashed already.
    pub fn hashed(note: Note, body: HashedBody) -> Submission {
        Submission { note, body: Some(Payload::Batch(Box::new(body))) }
    }

    fn bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |p| match p {
            Payload::Batch(b) => b.len(),
            Payload::Grant(b) => b.len(),
        });
        self.note.text.len() + body
    }
}

/// Where a submission ended up, once durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Height of its block.
    pub block: u64,
    /// Index of its first record, or of the next record if it has none.
    pub first_record: u64,
    /// Number of its records.
    pub records: u32,
    /// It had been committed before; this is the receipt of that time.
    pub repeated: bool,
}

/// The answer that will come when the submission is durable or refused.
pub struct Pending(oneshot::Receiver<Result<Receipt, LedgerError>>);

impl Pending {
    /// Blocks until the answer is there. Not to be called on an async thread.
    pub fn wait(self) -> Result<Receipt, LedgerError> {
        self.0.blocking_recv().unwrap_or(Err(LedgerError::Stopped))
    }

    /// Awaits the answer.
    pub async fn done(self) -> Result<Receipt, LedgerError> {
        self.0.await.unwrap_or(Err(LedgerError::Stopped))
    }
}

/// What the world may see: the state after the last durable cycle.
pub struct View {
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The chain's state.
    pub state: State,
    /// The log's tree.
    pub log: Log,
}

/// How the last write cycles went, for health and metrics.
#[derive(Clone, Debug)]
pub struct Health {
    /// When blocks last became durable; start-up counts as such a time.
    pub last_append: Instant,
    /// Why the last cycle failed, if it did; or that there will be no other.
    pub failing: Option<String>,
    /// How long the cycle under way has taken so far, if there is one.
    pub under_way: Option<Duration>,
    /// Cycles made durable since start-up.
    pub cycles: u64,
    /// Blocks made durable since start-up.
    pub blocks: u64,
    /// Records made durable since start-up.
    pub records: u64,
    /// Longest cycle since start-up, in microseconds.
    pub longest_cycle_micros: u64,
    /// Erasure orders in the chain whose records are not all gone from the store yet.
    pub erasures_pending: u64,
    /// Why the last attempt to erase failed, if it did; it is tried again.
    pub erasing_failed: Option<String>,
}

impl Health {
    /// How long the cycle under way has taken, if that is too long: the disk hangs, or is far too slow.
    pub fn stalled(&self) -> Option<Duration> {
        self.under_way.filter(|age| *age >= MAX_CYCLE)
    }
}

/// How long a cycle may take.
const MAX_CYCLE: Duration = Duration::from_secs(MAX_CYCLE_SECONDS);

struct Shared {
    view: RwLock<Arc<View>>,
    health: RwLock<Health>,
    /// What the commit thread is at.
    busy: Busy,
    queued_bytes: AtomicUsize,
    /// Records ordered to be erased that may still be in the store: nobody gets them any more.
    erasing: RwLock<Arc<Vec<RecordRange>>>,
    authority: grants::AuthorityIndex,
    at_hand: Arc<AtHand>,
}

impl Shared {
    fn erasing(&self) -> Arc<Vec<RecordRange>> {
        self.erasing.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn show(&self, view: View) {
        *self.view.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(view);
    }
}

struct Job {
    submission: Submission,
    /// Of the records an erasure names; see [`erase::retention_of`].
    retention: Retention,
    answer: oneshot::Sender<Result<Receipt, LedgerError>>,
}

/// What is to be done with a submission before it is queued.
enum Due {
    /// It goes on, with what is known of its records.
    Queue(Retention),
    /// It was committed before.
    Repeated(Receipt),
}

/// What a ledger is opened with.
pub struct Options {
    /// The signing key the roster names as `ledger-key`.
    pub key: SigningKey,
    /// Path of the last-signed file.
    pub guard: PathBuf,
    /// Start although the last-signed file is missing.
    pub accept_database_head: bool,
}

/// A running ledger. Dropping it finishes what is queued and ends the commit thread.
pub struct Ledger {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Commits the first roster to an empty store; the ledger can then be opened.
    pub fn create(store: Arc<dyn Store>, options: Options, roster: Note) -> Result<Ledger, LedgerError> {
        Ledger::start(store, options, Some(roster))
    }

    /// Opens a ledger: recovers, checks the last-signed guard, starts the commit thread.
    pub fn open(store: Arc<dyn Store>, options: Options) -> Result<Ledger, LedgerError> {
        Ledger::start(store, options, None)
    }

    /// Opens a ledger whose key is `before`, and changes it: commits the roster that `next` makes, if it makes one, which must name the
    /// key of `options`, and signs the checkpoint over it with that one. Either both are durable when this returns, or neither has left this function; after a
    /// crash the stored checkpoint tells which, and the ledger opens with the key that signed it. `before` signs nothing here.
    ///
    /// All blocks are replayed, and `progress` is told how many. The state that is stored is signed by `before`, and so by whoever has
    /// stolen that: it would be signed anew here, and its roster by an admin.
    pub fn change_key(
        store: Arc<dyn Store>,
        options: Options,
        before: &VerifierKey,
        progress: &mut dyn FnMut(u64, u64),
        next: impl FnOnce(&State) -> Option<Note>,
    ) -> Result<Ledger, LedgerError> {
        let from = recover::StateFrom::Blocks(progress);
        let recovered = recover::recover_from(&*store, before, from)?.ok_or(LedgerError::Empty)?;
        let (mut guard, signed) = Guard::open_for(&options.guard, before, recovered.state.ledger_keys())?;
        recover::check_guard(&*store, &recovered, signed.checkpoint(), options.accept_database_head)?;
        let roster = next(&recovered.state).ok_or(LedgerError::KeyChange)?;
        let Statement::Roster(next) = recovered.state.check_statement(&roster)? else {
            return Err(LedgerError::KeyChange);
        };
        let (given, expected) = (options.key.verifier(), next.ledger_key);
        if given != expected {
            return Err(LedgerError::WrongKey { given: given.to_string(), expected: expected.to_string() });
        }
        let recover::Recovered { state, log, .. } = recovered;
        let checkpoint = commit::change_key(&*store, &options.key, state, log, roster)?;
        // One slot here and the other by the opening: what the key before signed is then no longer what this file remembers.
        guard.write(&checkpoint)?;
        guard.sync()?;
        drop(guard);
        Ledger::open(store, options)
    }

    fn start(store: Arc<dyn Store>, options: Options, genesis: Option<Note>) -> Result<Ledger, LedgerError> {
        let verifier = options.key.verifier();
        let recovered = recover::recover(&*store, &verifier)?;
        let keys = recovered.as_ref().map(|r| r.state.ledger_keys().clone()).unwrap_or_default();
        let (mut guard, signed) = Guard::open_for(&options.guard, &verifier, &keys)?;
        let (state, log, checkpoint) = match (recovered, &genesis) {
            (Some(r), None) => {
                // It stopped while it was being created: nobody was shown anything but its first block.
                let created = signed == LastSigned::Blank && r.log.size() == 1;
                let accept = options.accept_database_head || created;
                recover::check_guard(&*store, &r, signed.checkpoint(), accept)?;
                (r.state, r.log, r.checkpoint)
            }
            (Some(r), Some(_)) => {
                return Err(LedgerError::Damaged {
                    what: format!("it already holds a ledger of {} blocks", r.log.size()),
                });
            }
            (None, Some(_)) => match signed.checkpoint() {
                Some(s) => return Err(LedgerError::Behind { found: 0, signed: s.size }),
                None => {
                    guard.prepare()?;
                    (State::new(store.origin()), Log::new(), String::new())
                }
            },
            (None, None) => return Err(LedgerError::Empty),
        };
        let first = genesis.as_ref().and_then(|n| match Statement::parse(&n.text) {
            Ok(Statement::Roster(r)) => Some(r),
            _ => None,
        });
        if let Some(roster) = state.roster().or(first.as_ref())
            && roster.ledger_key != verifier
        {
            return Err(LedgerError::WrongKey {
                given: verifier.to_string(),
                expected: roster.ledger_key.to_string(),
            });
        }
        let shared = Arc::new(Shared {
            view: RwLock::new(Arc::new(View { checkpoint, state: state.clone(), log: log.clone() })),
            health: RwLock::new(Health {
                last_append: clock::monotonic(),
                failing: None,
                under_way: None,
                cycles: 0,
                blocks: 0,
                records: 0,
                longest_cycle_micros: 0,
                erasures_pending: 0,
                erasing_failed: None,
            }),
            busy: Busy::default(),
            queued_bytes: AtomicUsize::new(0),
            erasing: RwLock::default(),
            authority: grants::AuthorityIndex::default(),
            at_hand: Arc::default(),
        });
        let mut committer =
            commit::Committer::new(store.clone(), options.key, guard, state, log, shared.clone());
        committer.align_guard()?;
        committer.find_erasures()?;
        committer.note_examined();
        let (queue, jobs) = sync_channel(MAX_QUEUED_SUBMISSIONS);
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || committer.run(&jobs))
            .map_err(|e| LedgerError::Damaged { what: format!("no thread could be started: {e}") })?;
        let ledger = Ledger { store, shared, queue: Some(queue), thread: Some(thread) };
        if let Some(roster) = genesis {
            ledger.submit(Submission::statement(roster))?.wait()?;
        }
        Ok(ledger)
    }

    /// Queues a submission; a statement's signatures are better checked before. The answer comes once it is durable, or says why it was refused.
    pub fn submit(&self, submission: Submission) -> Result<Pending, LedgerError> {
        self.moving()?;
        let retention = match self.retention(&submission)? {
            Due::Queue(retention) => retention,
            Due::Repeated(receipt) => {
                let (answer, pending) = oneshot::channel();
                let _ = answer.send(Ok(receipt));
                return Ok(Pending(pending));
            }
        };
        let bytes = submission.bytes();
        let before = self.shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let release = || {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        };
        if before != 0 && before + bytes > MAX_QUEUED_BYTES {
            release();
            return Err(LedgerError::Overloaded);
        }
        let (answer, pending) = oneshot::channel();
        let Some(queue) = &self.queue else { return Err(LedgerError::Stopped) };
        queue.try_send(Job { submission, retention, answer }).map_err(|e| {
            release();
            match e {
                TrySendError::Full(_) => LedgerError::Overloaded,
                TrySendError::Disconnected(_) => LedgerError::Stopped,
            }
        })?;
        Ok(Pending(pending))
    }

    /// Whether exactly this statement, with these signatures, is in the chain already.
    pub fn is_committed(&self, note: &Note) -> Result<bool, LedgerError> {
        Ok(cycle::committed(&*self.store, note)?.is_some())
    }

    /// What a submission says about how long its records must be kept. Finding it out reads every block they are in, and
    /// everybody can send an old order again: only for a valid order that is the next of its sequence.
    fn retention(&self, submission: &Submission) -> Result<Due, LedgerError> {
        let Submission { note, body } = submission;
        if body.is_some() || !erase::has_retention(note) {
            return Ok(Due::Queue(Retention::new()));
        }
        let view = self.view();
        match view.state.check_statement(note) {
            Ok(_) => Ok(Due::Queue(erase::retention_of(&*self.store, &view.state, note)?)),
            Err(e) => match cycle::committed(&*self.store, note)? {
                Some(receipt) => Ok(Due::Repeated(receipt)),
                None => Err(e.into()),
            },
        }
    }

    /// The state after the last durable cycle.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// How the write path is doing.
    pub fn health(&self) -> Health {
        let mut health = self.shared.health.read().unwrap_or_else(|e| e.into_inner()).clone();
        health.under_way = self.shared.busy.age();
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            health.failing =
                Some("the thread that appends has ended; the messages before say why".to_owned());
        }
        health
    }

    /// An error while the ledger is stalled: what is queued then would wait for nobody knows how long.
    pub fn moving(&self) -> Result<(), LedgerError> {
        match self.shared.busy.age() {
            Some(age) if age >= MAX_CYCLE => Err(LedgerError::Stalled { seconds: age.as_secs() }),
            _ => Ok(()),
        }
    }

    /// Bytes of submissions waiting.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::Acquire)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed; there is nothing left to save here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(crate) mod tests;
