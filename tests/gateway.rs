//! The gateway's queue when the ledger stands still: what is beyond its bounds is refused, what was accepted is logged when the ledger
//! goes on, and no more threads draft events at a time than there are cores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "store_support/watched.rs"]
mod watched;

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::limits::{DRAFT_BYTES, MAX_QUEUED_EVENT_BYTES, MAX_QUEUED_REQUESTS};
use sealtrail::base::random;
use sealtrail::base::threads::cores;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::replay::Head as WriterHead;
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::Statement;
use sealtrail::event::policy::Policy;
use sealtrail::ledger::{Ledger, Options};
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::server::{Events, Gateway, IntakeError, Logged};
use sealtrail::store::MemoryStore;
use sealtrail::writer::{Purpose, Writer, WriterOptions};
use watched::{Call, Fault, Watch, Watched};

const ORIGIN: &str = "test.example/log";
/// The gateway need not say that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(3600);
/// More than the gateway takes out of its queue before it has to wait for the ledger: two batches of 4,096 records or 12 MiB.
const TAKEN_REQUESTS: usize = 2 * 4096;
const TAKEN_BYTES: usize = 2 * 16 * 1024 * 1024;

/// Has appends wait while the store is held.
#[derive(Default)]
struct Hold {
    /// Whether it is held, and how many appends wait.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Hold {
    fn hold(&self, held: bool) {
        self.state.lock().unwrap().0 = held;
        self.changed.notify_all();
    }

    /// Returns when an append waits.
    fn wait_for_append(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |s| s.1 == 0).unwrap());
    }
}

impl Watch for Hold {
    fn before(&self, call: Call) -> Option<Fault> {
        if call == Call::Append {
            let mut state = self.state.lock().unwrap();
            state.1 += 1;
            self.changed.notify_all();
            let mut state = self.changed.wait_while(state, |s| s.0).unwrap();
            state.1 -= 1;
        }
        None
    }
}

/// A ledger that can be held, and its gateway, which has logged one event.
struct Bench {
    store: Arc<Watched<Hold>>,
    ledger: Arc<Ledger>,
    gateway: Gateway,
    thread: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let signer = |name: &str| SigningKey::generate(name, &mut random::csprng().unwrap()).unwrap();
        let (key, admin, writer) = (signer(ORIGIN), signer("test.example/admin"), signer("test.example/app"));
        let reader = Identity::generate(&mut random::csprng().unwrap());
        let recipient = reader.recipient().to_string();
        let roster = Roster {
            ledger: ORIGIN.into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: Timestamp::now(),
            ledger_key: key.verifier(),
            admins: vec![admin.verifier()],
            writers: vec![writer.verifier()],
            readers: vec![RosterReader { name: "alice".into(), recipient, required: true }],
            officers_required: 0,
            officers: Vec::new(),
            witnesses: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Watched::new(Arc::new(MemoryStore::new(ORIGIN)), Hold::default()));
        let options = Options { key, guard: dir.path().join("guard"), accept_database_head: false };
        let note = Statement::Roster(roster).sign(&admin).unwrap();
        let ledger = Arc::new(Ledger::create(store.clone(), options, note).unwrap());
        let options = WriterOptions {
            key: writer,
            ledger: ORIGIN.into(),
            policy: Policy::default(),
            retain_years: 6,
            search: Box::new(|m| Ok((m.to_owned(), SearchSecret::generate(&mut random::csprng().unwrap())))),
        };
        let writer = Writer::new(options, WriterHead::default()).unwrap();
        let (gateway, thread) = Gateway::start(ledger.clone(), writer, HEARTBEAT).unwrap();
        let bench = Bench { store, ledger, gateway, thread, _dir: dir };
        let first = bench.gateway.queue(Purpose::Events, Events::Plain(vec![event(0)]), 0).unwrap();
        first.blocking_recv().unwrap().unwrap();
        assert!(bench.gateway.plan().is_some());
        bench
    }

    /// Holds the ledger and hands over requests of so many events in a body of so many bytes until one is refused, at most `most`;
    /// then lets it go on and checks that every request that was accepted is logged, whole and once. Gives how many were.
    fn fill(self, count: usize, event: &Bytes, body: usize, most: usize) -> usize {
        let before = self.ledger.view().state.next_record();
        let request = || Events::Plain(vec![event.clone(); count]);
        let memory = memory(count, event, body);
        self.store.hold(true);
        let mut accepted = vec![self.gateway.queue(Purpose::Events, request(), body).unwrap()];
        self.store.wait_for_append();
        let refused = loop {
            match self.gateway.queue(Purpose::Events, request(), body) {
                Ok(answered) => accepted.push(answered),
                Err(refused) => break refused,
            }
            assert!(self.gateway.queued_bytes() <= MAX_QUEUED_EVENT_BYTES);
            assert!(accepted.len() <= most, "the queue has no end");
        };
        // Which is answered with 503.
        assert!(matches!(refused, IntakeError::Overloaded), "{refused}");
        // A request that was refused takes up no room.
        assert!(self.gateway.queued_bytes() <= accepted.len() * memory);
        let answered = accepted.iter_mut().any(|a| a.try_recv().is_ok());
        assert!(!answered, "nothing is answered while the ledger is held");

        self.store.hold(false);
        let answers = accepted.into_iter().map(|a| a.blocking_recv().unwrap().unwrap());
        let mut logged: Vec<Logged> = answers.collect();
        logged.sort_by_key(|l| l.first_record);
        let mut next = before;
        for l in &logged {
            assert_eq!((l.first_record, l.count as usize), (next, count));
            next += u64::from(l.count);
        }
        assert_eq!(self.gateway.queued_bytes(), 0);
        // There is room again.
        assert!(self.gateway.has_room(count, body));
        let again = self.gateway.queue(Purpose::Events, request(), body).unwrap();
        let again = again.blocking_recv().unwrap().unwrap();
        assert_eq!(again.first_record, next);
        drop(self.gateway);
        self.thread.join().unwrap();
        assert_eq!(self.ledger.view().state.next_record(), next + count as u64);
        logged.len()
    }
}

/// What a request takes up in the queue.
fn memory(count: usize, event: &Bytes, body: usize) -> usize {
    body.max(count * event.len()) + count * DRAFT_BYTES
}

fn event(number: usize) -> Bytes {
    Bytes::from(format!(r#"{{"action":"read","number":{number}}}"#))
}

#[test]
fn the_queue_is_bounded_in_bytes_and_loses_nothing() {
    let large = Bytes::from(format!(r#"{{"action":"read","text":"{}"}}"#, "x".repeat(200 * 1024)));
    let memory = memory(8, &large, 0);
    let most = (MAX_QUEUED_EVENT_BYTES + TAKEN_BYTES) / memory;
    let accepted = Bench::new().fill(8, &large, 0, most);
    assert!(accepted >= MAX_QUEUED_EVENT_BYTES / memory, "{accepted} requests filled the queue");
}

/// Events are parts of their request's body, which stays in memory with them, whatever else is in it.
#[test]
fn the_queue_is_bounded_in_the_bytes_of_bodies() {
    let (small, body) = (event(1), 1024 * 1024);
    let memory = memory(2, &small, body);
    let most = (MAX_QUEUED_EVENT_BYTES + TAKEN_BYTES) / memory;
    let accepted = Bench::new().fill(2, &small, body, most);
    assert!(accepted >= MAX_QUEUED_EVENT_BYTES / memory, "{accepted} requests filled the queue");
}

#[test]
fn the_queue_is_bounded_in_requests_and_loses_nothing() {
    let small = event(1);
    assert!((MAX_QUEUED_REQUESTS + 1) * (small.len() + DRAFT_BYTES) < MAX_QUEUED_EVENT_BYTES);
    let accepted = Bench::new().fill(1, &small, 0, MAX_QUEUED_REQUESTS + TAKEN_REQUESTS);
    assert!(accepted >= MAX_QUEUED_REQUESTS, "{accepted} requests filled the queue");
}

/// How many threads draft, and the most that ever did.
type Drafting = Arc<(Mutex<(usize, usize)>, Condvar)>;

/// An event whose reading shows that a thread drafts.
struct Slow {
    left: usize,
    drafting: Drafting,
}

impl Iterator for Slow {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (count, changed) = &*self.drafting;
        let mut now = count.lock().unwrap();
        match self.left {
            2 => {
                now.0 += 1;
                now.1 = now.1.max(now.0);
                changed.notify_all();
                // Until as many are there as may be, and then for a moment in which one more could come.
                drop(changed.wait_while(now, |now| now.1 < cores(usize::MAX)).unwrap());
                std::thread::sleep(Duration::from_millis(20));
            }
            1 => now.0 -= 1,
            _ => return None,
        }
        self.left -= 1;
        Some(event(self.left))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Slow {}

#[test]
fn as_many_threads_draft_as_there_are_cores() {
    let bench = Bench::new();
    let drafting = Drafting::default();
    std::thread::scope(|scope| {
        for _ in 0..4 * cores(usize::MAX) {
            scope.spawn(|| {
                let events = Slow { left: 2, drafting: drafting.clone() };
                let events = bench.gateway.prepare(events).unwrap();
                let logged = bench.gateway.queue(Purpose::Events, events, 0).unwrap();
                assert_eq!(logged.blocking_recv().unwrap().unwrap().count, 2);
            });
        }
    });
    assert_eq!(*drafting.0.lock().unwrap(), (0, cores(usize::MAX)));
}
