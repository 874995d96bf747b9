//! The write cycle: take what is queued → order → build blocks ([`super::cycle`]) → append to the log → sign the checkpoint →
//! one durable transaction → remember the signature → show and answer.
//!
//! Nothing is answered, and no checkpoint shown, before it is durable. There is no timer: while one
//! cycle is being written the next one fills.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::base::clock::{self, Timestamp};
use crate::base::hash::Hash;
use crate::base::limits::{
    COMPLAINT_SECONDS, MAX_CYCLE_BLOCKS, MAX_CYCLE_BYTES, MAX_EPOCHS_AT_HAND, PROBE_SECONDS,
};
use crate::base::notice::notice;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::SigningKey;
use crate::chain::log::Log;
use crate::chain::note::Note;
use crate::chain::replay::State;
use crate::store::{Head, NewBlock, Store, StoreError};

use super::cycle::{Cycle, sequence_of};
use super::erase::{Erasures, Step, done_value};
use super::recent::Recent;
use super::recover::{check_guard, recover, seal_state, tile_key};
use super::{Guard, Job, LedgerError, Receipt, Shared, View};

/// How long nothing must come before the store is tidied up: an append that comes meanwhile has to wait.
const QUIET: Duration = Duration::from_millis(200);
/// Longest that index upkeep between two cycles may begin new steps.
const MAINTENANCE_BUDGET: Duration = Duration::from_millis(20);

/// While appends fail, how often it is tried whether they work again.
const PROBE: Duration = Duration::from_secs(PROBE_SECONDS);
/// How long the same complaint is not repeated.
const COMPLAINT: Duration = Duration::from_secs(COMPLAINT_SECONDS);

pub(super) type Answer = oneshot::Sender<Result<Receipt, LedgerError>>;

/// The one write cycle that is signed with another key than those before: commits a roster that names `key`, with the checkpoint over
/// it, and gives that. The same steps as [`Committer::make_durable`] up to the guard, which is the caller's.
pub(super) fn change_key(
    store: &dyn Store,
    key: &SigningKey,
    mut state: State,
    mut log: Log,
    roster: Note,
) -> Result<String, LedgerError> {
    let size = log.size();
    let checked = state.check(&roster)?;
    let (block, text, statement) = state.append(checked, state.committed_at(Timestamp::now()))?;
    let derived: Vec<_> =
        log.append(block.hash()).into_iter().map(|(id, tile)| (tile_key(id), tile)).collect();
    let (signer, sequence) = (sequence_of(&statement, &block.statement), statement.sequence());
    let block = NewBlock {
        height: block.height,
        first_record: block.first_record,
        records: 0,
        text: text.into_bytes(),
        leaf_inputs: Vec::new(),
        signer,
        sequence,
        body: None,
        tags: Vec::new(),
    };
    let (checkpoint, head) = signed_head(store.origin(), key, &state, &log);
    store.append(size, &[block], &derived, &head)?;
    Ok(checkpoint)
}

/// The signed checkpoint of a log, and the head that goes into the store with it.
fn signed_head(origin: &str, key: &SigningKey, state: &State, log: &Log) -> (String, Head) {
    let checkpoint = Checkpoint { origin: origin.to_owned(), size: log.size(), root: log.root() };
    let checkpoint = checkpoint.sign(key).note().to_string();
    let head = Head {
        size: log.size(),
        records: state.next_record(),
        checkpoint: checkpoint.clone().into_bytes(),
        state: seal_state(state, &checkpoint, key),
    };
    (checkpoint, head)
}

/// Owner of the write cycle; lives on the commit thread.
pub(super) struct Committer {
    store: Arc<dyn Store>,
    key: SigningKey,
    guard: Guard,
    state: State,
    log: Log,
    shared: Arc<Shared>,
    /// Set when the outcome of a transaction is unknown: the store must be read before going on.
    reread: bool,
    /// Something was appended since the store was last tidied up.
    untidy: bool,
    erasures: Erasures,
    /// Search epochs that are noted in the store: one that goes on need not be looked up with every batch.
    epochs: Recent<Hash, ()>,
    /// While appends fail: why, and when that was last told.
    failing: Option<(String, Instant)>,
}

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        key: SigningKey,
        guard: Guard,
        state: State,
        log: Log,
        shared: Arc<Shared>,
    ) -> Self {
        let erasures = Erasures::default();
        let epochs = Recent::new(MAX_EPOCHS_AT_HAND);
        let (reread, untidy, failing) = (false, true, None);
        Committer { store, key, guard, state, log, shared, reread, untidy, erasures, epochs, failing }
    }

    /// After a crash between transaction and guard the guard is one step behind: bring it level.
    pub(super) fn align_guard(&mut self) -> Result<(), LedgerError> {
        let view = self.shared.view();
        if !view.checkpoint.is_empty() {
            self.guard.write(&view.checkpoint)?;
            self.guard.sync()?;
        }
        Ok(())
    }

    /// What was ordered to be erased and, because of a crash or a fault, is perhaps not.
    pub(super) fn find_erasures(&mut self) -> Result<(), LedgerError> {
        self.erasures = Erasures::outstanding(&*self.store, &self.state)?;
        self.tell_erasures(None);
        Ok(())
    }

    /// Notes how far all orders are carried out, so that no start reads the whole authority sequence.
    pub(super) fn note_examined(&mut self) {
        // It only saves time: a store that cannot take it says so at the first write cycle.
        if let Ok(Some(end)) = self.erasures.worth_noting(&*self.store, &self.state)
            && let Some(last) = end.checked_sub(1)
            && let Ok(Some(head)) = self.store.head()
        {
            let _ = self.store.append(head.size, &[], &[done_value(last)], &head);
        }
    }

    /// Runs until every sender is gone and the queue is empty. Between cycles, and after each, records are erased; the rest
    /// of them at the end.
    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        let mut kept_over = None;
        loop {
            let Some(first) = kept_over.take().or_else(|| self.next(jobs)) else { break };
            let mut bytes = first.submission.bytes();
            let mut taken = vec![first];
            while taken.len() < MAX_CYCLE_BLOCKS {
                let Ok(job) = jobs.try_recv() else { break };
                bytes += job.submission.bytes();
                if bytes > MAX_CYCLE_BYTES {
                    kept_over = Some(job);
                    break;
                }
                taken.push(job);
            }
            let shared = self.shared.clone();
            shared.busy.during(|| self.cycle(taken));
            self.untidy = true;
            if self.erasures.pause().is_zero() {
                shared.busy.during(|| self.erase());
            }
        }
        while self.erase() {}
        let _ = self.guard.sync();
    }

    /// Waits for a job, and does what can be done meanwhile. `None` when no more will come.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            let erasing = self.erasures.len() > 0;
            let patience = match (&self.failing, erasing, self.untidy) {
                (Some(_), ..) => Some(PROBE),
                (None, true, _) => Some(self.erasures.pause()),
                (None, false, true) => Some(QUIET),
                (None, false, false) => None,
            };
            let job = match patience {
                Some(patience) => jobs.recv_timeout(patience),
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match job {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let shared = self.shared.clone();
                    shared.busy.during(|| match (&self.failing, erasing) {
                        (Some(_), _) => self.probe(),
                        (None, true) => {
                            self.erase();
                        }
                        // Appends pay for the upkeep of their index; what is left is for quiet moments, and a failure leaves it for later.
                        (None, false) => {
                            self.untidy = self.store.maintain(MAINTENANCE_BUDGET).unwrap_or(false);
                        }
                    });
                }
            }
        }
    }

    /// While appends fail: takes the way of an append, with no blocks, to find out whether it is free again. Without this a server
    /// that nothing is sent to, because its health is bad, would never be healthy again.
    fn probe(&mut self) {
        match self.try_path() {
            Ok(()) => self.recovered(),
            Err(e) => self.complain(&e.to_string()),
        }
    }

    fn try_path(&mut self) -> Result<(), LedgerError> {
        if self.reread {
            self.reload()?;
        }
        if let Some(head) = self.store.head()? {
            self.store.append(head.size, &[], &[], &head)?;
            self.guard.write(&self.shared.view().checkpoint)?;
        }
        Ok(())
    }

    /// One step of erasing. True if there is more to do now.
    fn erase(&mut self) -> bool {
        if self.erasures.len() == 0 {
            return false;
        }
        if self.reread
            && let Err(e) = self.reload()
        {
            self.erasures.set_failed();
            self.tell_erasures(Some(e.to_string()));
            return false;
        }
        let result = self.erasures.step(&*self.store).and_then(|step| match step {
            Step::Idle | Step::More => Ok(false),
            Step::Finished(sequence) => self.note_erased(sequence).map(|()| true),
        });
        match result {
            Ok(finished) => {
                if finished {
                    self.tell_erasures(None);
                }
                true
            }
            Err(e) => {
                self.erasures.set_failed();
                // Busy readers are nothing to write home about: the next attempt is a second away.
                if !matches!(e, StoreError::Busy { .. }) {
                    notice(format!("an ordered erasure could not be carried out, and is tried again: {e}"));
                }
                self.tell_erasures(Some(e.to_string()));
                false
            }
        }
    }

    /// Notes durably that an order is carried out.
    fn note_erased(&mut self, sequence: u64) -> Result<(), StoreError> {
        if let Some(head) = self.store.head()? {
            self.store.append(head.size, &[], &[done_value(sequence)], &head)?;
        }
        self.erasures.noted();
        Ok(())
    }

    /// Tells everyone which records are to be served no more, and how the erasing goes.
    fn tell_erasures(&self, failed: Option<String>) {
        *self.shared.erasing.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(self.erasures.records());
        let mut health = self.shared.health.write().unwrap_or_else(|e| e.into_inner());
        (health.erasures_pending, health.erasing_failed) = (self.erasures.len() as u64, failed);
    }

    fn cycle(&mut self, jobs: Vec<Job>) {
        let started = clock::monotonic();
        let queued: usize = jobs.iter().map(|j| j.submission.bytes()).sum();
        if self.reread
            && let Err(e) = self.reload()
        {
            self.fail(jobs.into_iter().map(|j| j.answer).collect(), &e.to_string(), false);
            self.shared.queued_bytes.fetch_sub(queued, Ordering::AcqRel);
            return;
        }
        let mut cycle = Cycle::new(self.state.clone(), self.log.clone());
        for Job { submission, retention, answer } in jobs {
            match cycle.add(&*self.store, &mut self.epochs, submission, &retention) {
                Ok(receipt) => cycle.answers.push((answer, receipt)),
                Err(e) => drop(answer.send(Err(e))),
            }
        }
        if cycle.blocks.is_empty() {
            for (answer, receipt) in cycle.answers {
                let _ = answer.send(Ok(receipt));
            }
        } else {
            self.make_durable(cycle, started);
        }
        self.shared.queued_bytes.fetch_sub(queued, Ordering::AcqRel);
    }

    fn make_durable(&mut self, cycle: Cycle, started: std::time::Instant) {
        let Cycle { state, log, blocks, derived, answers, orders, epochs, .. } = cycle;
        // Signed now, shown only after the transaction: a signature that fails to become durable never leaves this function.
        let (checkpoint, head) = signed_head(self.store.origin(), &self.key, &state, &log);
        let result = self.store.append(self.log.size(), &blocks, &derived, &head);
        match result {
            // From here on nobody gets a record that this cycle orders to be erased.
            Ok(()) if !orders.is_empty() => {
                self.erasures.add(orders);
                self.tell_erasures(None);
            }
            Ok(()) => {}
            Err(e) => {
                // The transaction may have reached the disk all the same. Only the store can tell.
                let full = matches!(e, StoreError::Full { .. } | StoreError::NotWritable { .. });
                self.reread = true;
                let why = e.to_string();
                // Finds the orders of this cycle too, if they were kept.
                let kept =
                    self.reload().is_ok() && self.log.size() == log.size() && self.log.root() == log.root();
                if !kept {
                    self.fail(answers.into_iter().map(|(a, _)| a).collect(), &why, full);
                    return;
                }
            }
        }
        // The guard comes before anyone sees the checkpoint. If it cannot be written the checkpoint stays unseen: the blocks
        // are durable and the next cycle will sign a larger tree that contains them.
        if let Err(e) = self.guard.write(&checkpoint) {
            self.reread = true;
            let why = e.to_string();
            self.complain(&why);
            for (answer, _) in answers {
                let _ = answer.send(Err(LedgerError::NotShown { why: why.clone() }));
            }
            return;
        }
        self.reread = false;
        epochs.into_iter().for_each(|epoch| self.epochs.put(epoch, ()));
        let counts = (blocks.len() as u64, blocks.iter().map(|b| u64::from(b.records)).sum::<u64>());
        self.state = state.clone();
        self.log = log.clone();
        self.shared.show(View { checkpoint, state, log });
        {
            let mut health = self.shared.health.write().unwrap_or_else(|e| e.into_inner());
            health.last_append = clock::monotonic();
            health.cycles += 1;
            health.blocks += counts.0;
            health.records += counts.1;
            let micros = clock::monotonic().duration_since(started).as_micros() as u64;
            health.longest_cycle_micros = health.longest_cycle_micros.max(micros);
        }
        self.recovered();
        // Whoever is answered may submit at once, and must not be refused because this cycle took long.
        self.shared.busy.end();
        for (answer, receipt) in answers {
            let _ = answer.send(Ok(receipt));
        }
    }

    /// Reads the store again with recovery's own code. What it turns out to have kept is then shown, guard first, so that
    /// writers find their place again. It must go on from what was shown last: a backup put in place meanwhile does not.
    fn reload(&mut self) -> Result<(), LedgerError> {
        self.epochs.clear();
        let view = self.shared.view();
        let (size, root) = (view.log.size(), view.log.root());
        let shown = (size > 0).then(|| Checkpoint { origin: self.store.origin().to_owned(), size, root });
        match recover(&*self.store, &self.key.verifier())? {
            None if size > 0 => return Err(LedgerError::Behind { found: 0, signed: size }),
            Some(r) => {
                check_guard(&*self.store, &r, shown.as_ref(), shown.is_none())?;
                (self.state, self.log) = (r.state.clone(), r.log.clone());
                self.find_erasures()?;
                if self.shared.view().checkpoint != r.checkpoint {
                    self.guard.write(&r.checkpoint)?;
                    self.shared.show(View { checkpoint: r.checkpoint, state: r.state, log: r.log });
                }
            }
            None => (self.state, self.log) = (State::new(self.store.origin()), Log::new()),
        }
        self.reread = false;
        Ok(())
    }

    fn fail(&mut self, answers: Vec<Answer>, why: &str, full: bool) {
        self.complain(why);
        for answer in answers {
            let _ = answer.send(Err(LedgerError::NotStored { why: why.to_owned(), full }));
        }
    }

    /// Appends do not work: health says so from now on, and standard error once in a while.
    fn complain(&mut self, why: &str) {
        let now = clock::monotonic();
        let told = self.failing.take().filter(|(w, at)| w == why && now.duration_since(*at) < COMPLAINT);
        if told.is_none() {
            notice(format!("a write cycle failed, nothing of it was acknowledged: {why}"));
        }
        self.failing = told.or_else(|| Some((why.to_owned(), now)));
        self.shared.health.write().unwrap_or_else(|e| e.into_inner()).failing = Some(why.to_owned());
    }

    /// They work.
    fn recovered(&mut self) {
        if self.failing.take().is_some() {
            notice("appends work again");
            self.shared.health.write().unwrap_or_else(|e| e.into_inner()).failing = None;
        }
    }
}
