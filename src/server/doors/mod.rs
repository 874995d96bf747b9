//! Who is connected, and who has to leave when the house is full.
//!
//! In scope: a bound on open connections that leaves file descriptors to the database; which connection is closed in favour of a
//! newcomer; clients that do not take their answers. Slow request headers are hyper's time-out, slow bodies the request's.
//!
//! A newcomer takes the place of the connection that has been idle longest, or else of the one that has been sending its request or
//! taking its answer longest: so strangers who hold on to connections keep nobody out. A request that is being worked on is never
//! given up. When all are, newcomers get one of a few spare places, where only health and metrics are answered.

mod watched;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use futures_util::task::AtomicWaker;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::base::clock;
use crate::base::limits::*;

use super::ServerError;
use watched::Watched;

/// How long the door stays shut for those who were told to leave and are still there; then it is opened all the same.
const CLOSING_WAIT: Duration = Duration::from_millis(50);

/// What the server does for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Stage {
    /// Nothing: it has not asked, or was answered.
    Idle,
    /// Its request is arriving.
    Receiving,
    /// It has the whole request.
    Working,
}

/// Room of which a connection holds a part, if that is for everyone: it can be told to make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Holds {
    /// None, or what was given to someone known.
    Nothing,
    /// For the body of a request without credentials.
    StrangersBody,
    /// For an answer that everyone may ask for.
    PublicAnswer,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    number: u64,
    /// It has a spare place: all others are taken.
    pub(super) spare: bool,
    stage: AtomicU8,
    holds: AtomicU8,
    /// When the stage began, in milliseconds since the doors opened.
    since: AtomicU64,
    /// The client does not take what is written.
    stuck: AtomicBool,
    /// It was answered before all of its request had been read.
    unread: AtomicBool,
    sent_away: AtomicBool,
    task: AtomicWaker,
    opened: Instant,
}

impl Guest {
    fn new(number: u64, spare: bool, opened: Instant) -> Guest {
        let guest = Guest {
            number,
            spare,
            stage: AtomicU8::new(0),
            holds: AtomicU8::new(0),
            since: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            sent_away: AtomicBool::new(false),
            task: AtomicWaker::new(),
            opened,
        };
        guest.enter(Stage::Idle);
        guest
    }

    /// Its request begins; with a body, that is still to come.
    pub(super) fn asks(&self, with_body: bool) {
        self.holds(Holds::Nothing);
        self.unread.store(false, Ordering::Relaxed);
        self.enter(if with_body { Stage::Receiving } else { Stage::Working });
    }

    /// What is left of its request is not wanted.
    pub(super) fn is_left_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Its request is complete.
    pub(super) fn has_asked(&self) {
        if self.stage.load(Ordering::Relaxed) == Stage::Receiving as u8 {
            self.enter(Stage::Working);
        }
    }

    /// Its answer is ready.
    pub(super) fn is_answered(&self) {
        self.enter(Stage::Idle);
    }

    /// What it holds from now on.
    pub(super) fn holds(&self, what: Holds) {
        self.holds.store(what as u8, Ordering::Relaxed);
    }

    fn enter(&self, stage: Stage) {
        self.since.store(self.millis(), Ordering::Relaxed);
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        clock::monotonic().duration_since(self.opened).as_millis() as u64
    }

    fn slow(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == Stage::Receiving as u8 || self.stuck.load(Ordering::Relaxed)
    }

    /// Whom to send away first, lowest first; `None` for whom not to. `now` in milliseconds since the doors opened.
    fn dispensable(&self, now: u64) -> Option<(bool, u64)> {
        if self.sent_away.load(Ordering::Relaxed) {
            return None;
        }
        let since = self.since.load(Ordering::Relaxed);
        let slow = self.slow();
        let grace = if slow { SLOW_GRACE_MILLIS } else { IDLE_GRACE_MILLIS };
        let working = !slow && self.stage.load(Ordering::Relaxed) == Stage::Working as u8;
        (!working && now.saturating_sub(since) >= grace).then_some((slow, since))
    }

    fn send_away(&self) {
        self.sent_away.store(true, Ordering::Release);
        self.task.wake();
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        self.task.register(cx.waker());
        match self.sent_away.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed to make room")),
        }
    }
}

/// Counts for the metrics.
#[derive(Default)]
pub(super) struct DoorCounts {
    /// Connections closed in favour of others.
    pub(super) sent_away: AtomicU64,
    /// Connections turned away at once.
    pub(super) refused: AtomicU64,
    /// Connections closed because the client did not take its answer.
    pub(super) stalled: AtomicU64,
    /// Connections that could not be accepted.
    pub(super) failed: AtomicU64,
}

#[derive(Default)]
struct Guests {
    next: u64,
    present: HashMap<u64, Arc<Guest>>,
    spare: usize,
}

/// All connections.
pub(super) struct Doors {
    most: usize,
    opened: Instant,
    guests: Mutex<Guests>,
    /// Connections that were told to close and are still open.
    closing: AtomicUsize,
    closed: Notify,
    pub(super) counts: DoorCounts,
}

impl Doors {
    /// For at most `most` connections, and [`SPARE_CONNECTIONS`].
    pub(super) fn new(most: usize) -> Arc<Doors> {
        Arc::new(Doors {
            most,
            opened: clock::monotonic(),
            guests: Mutex::default(),
            closing: AtomicUsize::new(0),
            closed: Notify::new(),
            counts: DoorCounts::default(),
        })
    }

    /// Most connections, without the spare ones.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.guests().present.len()
    }

    /// Sends away the connection that has held this room longest, if one has for some time.
    pub(super) fn hurry(&self, holds: Holds) {
        let holding = |g: &Guest| g.holds.load(Ordering::Relaxed) == holds as u8 && g.slow();
        self.send_one_away(&self.guests(), holding);
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        clock::monotonic().duration_since(self.opened).as_millis() as u64
    }

    /// Tells the most dispensable of these to close. With the list locked, so that none is told who has left it.
    fn send_one_away(&self, guests: &Guests, of: impl Fn(&Guest) -> bool) -> bool {
        let now = self.now();
        let dispensable =
            guests.present.values().filter(|g| of(g)).filter_map(|g| Some((g.dispensable(now)?, g)));
        let Some((_, guest)) = dispensable.min_by_key(|(order, _)| *order) else { return false };
        self.closing.fetch_add(1, Ordering::AcqRel);
        self.counts.sent_away.fetch_add(1, Ordering::Relaxed);
        guest.send_away();
        true
    }

    /// A place for a newcomer, made if there is none; `None` if there is not even a spare one.
    fn admit(&self) -> Option<Arc<Guest>> {
        let mut guests = self.guests();
        let closing = self.closing.load(Ordering::Acquire);
        let inside = guests.present.len() - guests.spare;
        let spare = inside >= self.most + closing && !self.send_one_away(&guests, |g| !g.spare);
        if spare && guests.spare >= SPARE_CONNECTIONS && !self.send_one_away(&guests, |g| g.spare) {
            return None;
        }
        let guest = Arc::new(Guest::new(guests.next, spare, self.opened));
        guests.next += 1;
        guests.spare += usize::from(spare);
        guests.present.insert(guest.number, guest.clone());
        Some(guest)
    }

    fn leave(&self, guest: &Guest) {
        let mut guests = self.guests();
        if guests.present.remove(&guest.number).is_some() {
            guests.spare -= usize::from(guest.spare);
            if guest.sent_away.load(Ordering::Acquire) {
                self.closing.fetch_sub(1, Ordering::AcqRel);
                self.closed.notify_one();
            }
        }
    }

    /// Waits until not too many are on their way out: each still has its file descriptor.
    async fn quiet(&self) {
        while self.closing.load(Ordering::Acquire) >= MAX_CLOSING_CONNECTIONS {
            if timeout(CLOSING_WAIT, self.closed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// A connection with its client's address.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The client's.
    pub(super) addr: SocketAddr,
    /// The connection.
    pub(super) guest: Arc<Guest>,
}

impl Connected<Visitor> for Visitor {
    fn connect_info(visitor: Visitor) -> Visitor {
        visitor
    }
}

impl Address for Visitor {
    type Stream = Watched;
    type Listener = Doorkeeper;
}

/// Lets connections in.
pub(super) struct Doorkeeper {
    listener: TcpListener,
    doors: Arc<Doors>,
}

impl Doorkeeper {
    pub(super) fn new(listener: std::net::TcpListener, doors: Arc<Doors>) -> io::Result<Doorkeeper> {
        Ok(Doorkeeper { listener: TcpListener::from_std(listener)?, doors })
    }
}

impl AddrListener<Watched, Visitor> for Doorkeeper {
    /// Never asked for: the listener is bound beforehand.
    async fn bind_to(_: Visitor) -> io::Result<Doorkeeper> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(Watched, Visitor)> {
        loop {
            self.doors.quiet().await;
            let (stream, addr) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                // The client gave up before; the next one is nobody else's fault.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    continue;
                }
                Err(e) => {
                    // No descriptor left, in the process or the system. The server waits a moment before it asks again.
                    self.doors.counts.failed.fetch_add(1, Ordering::Relaxed);
                    self.doors.send_one_away(&self.doors.guests(), |_| true);
                    return Err(e);
                }
            };
            let Some(guest) = self.doors.admit() else {
                self.doors.counts.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let watched = Watched::new(stream, guest.clone(), self.doors.clone());
            return Ok((watched, Visitor { addr, guest }));
        }
    }

    fn get_local_addr(&self) -> io::Result<Visitor> {
        let guest = Arc::new(Guest::new(u64::MAX, true, self.doors.opened));
        Ok(Visitor { addr: self.listener.local_addr()?, guest })
    }
}

/// Raises the limit of open files as far as this process may, and says how many connections that leaves room for.
pub(super) fn connections_allowed() -> Result<usize, ServerError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let other = RESERVED_FILES + SPARE_CONNECTIONS + MAX_CLOSING_CONNECTIONS;
    let wanted = (MAX_CONNECTIONS + other) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let reachable = maximum.map_or(wanted, |most| most.min(wanted));
    let mut files = current.unwrap_or(u64::MAX);
    if files < reachable && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum }).is_ok()
    {
        files = reachable;
    }
    let connections = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(other).min(MAX_CONNECTIONS);
    match connections {
        MIN_CONNECTIONS.. => Ok(connections),
        _ => Err(ServerError::TooFewFiles { allowed: files, needed: other + MIN_CONNECTIONS }),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
