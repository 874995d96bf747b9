//! What every handler shares, and who may call what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;

use crate::api::problem::Code;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::secret::ct_eq;
use crate::event::policy::CompiledPolicy;
use crate::ledger::Ledger;
use crate::seal::reader_key::Recipient;

use super::doors::Doors;
use super::gateway::Gateway;
use super::problem::Failure;
use super::room::Room;
use super::session::Sessions;
use super::turns::Turns;

/// Counters for `/metrics`.
#[derive(Default)]
pub struct Counters {
    /// Requests answered, by class of status: index 2 for 2xx and so on.
    pub responses: [AtomicU64; 6],
    /// Events accepted through `/v1/events`.
    pub events: AtomicU64,
    /// Batches accepted through `/v1/batches`.
    pub batches: AtomicU64,
    /// Records handed to readers.
    pub records_read: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// Shared by all handlers.
pub struct App {
    pub(super) ledger: Arc<Ledger>,
    pub(super) gateway: Gateway,
    /// The gateway's policy, for checking events before they are queued.
    pub(super) policy: Arc<CompiledPolicy>,
    pub(super) sessions: Sessions,
    /// SHA-256 of each token that may log events: a look at memory or a core dump gives no token.
    pub(super) ingest_tokens: Vec<Hash>,
    pub(super) counters: Counters,
    /// One permit a KiB of request body being taken in.
    pub(super) body_room: Arc<Semaphore>,
    /// A place for each core to draft events on.
    pub(super) drafting: Semaphore,
    /// For searches.
    pub(super) searches: Turns,
    /// For reading the database.
    pub(super) reads: Turns,
    /// For bodies of requests without credentials.
    pub(super) strangers: Room,
    /// For large answers to everyone.
    pub(super) public_answers: Room,
    /// For large answers to readers.
    pub(super) reader_answers: Room,
    /// Longest silence of the gateway.
    pub(super) heartbeat: Duration,
    pub(super) doors: Arc<Doors>,
}

/// A reader with a session, still in the roster.
#[derive(Debug, Clone)]
pub struct SessionReader {
    /// The roster's name for it.
    pub name: String,
    /// Its recipient, `age1…`.
    pub recipient: String,
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl App {
    /// Reads the database, on a thread that the runtime is told about. Only so many requests do at a time: when the disk hangs they all
    /// wait, and what needs no disk must still be answered.
    pub(super) async fn read<T>(&self, read: impl FnOnce() -> T) -> Result<T, Failure> {
        let _turn = self.reads.take().await.map_err(|_| {
            Failure::new(
                Code::Overloaded,
                "too many requests read the database, or its disk is slow; send this again in a moment",
            )
        })?;
        Ok(block_in_place(read))
    }

    /// Room for a request body of at most `bytes`, until the returned permit is dropped.
    pub(super) fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let permits = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.body_room.clone().try_acquire_many_owned(permits).map_err(|_| {
            Failure::new(
                Code::Overloaded,
                "too many large requests are being taken in; send this again in a moment",
            )
        })
    }

    /// Refuses a caller without an ingest token.
    pub(super) fn require_ingest(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let given = bearer(headers).map(|t| Hash::of(&[t.as_bytes()]));
        let known = given.is_some_and(|g| self.ingest_tokens.iter().any(|t| ct_eq(&t.0, &g.0)));
        known.then_some(()).ok_or_else(|| {
            Failure::new(
                Code::Unauthorized,
                "send the header `Authorization: Bearer TOKEN` with the token from the keys folder's ingest.token",
            )
        })
    }

    /// The reader whose session the caller presents. Removal from the roster ends a session at once.
    pub(super) fn require_reader(&self, headers: &HeaderMap) -> Result<SessionReader, Failure> {
        let denied = || {
            Failure::new(
                Code::Unauthorized,
                "open a session first: POST your age1… recipient to /v1/sessions and decrypt the token it returns; \
                 sessions last 15 minutes and end when the server restarts",
            )
        };
        let token = bearer(headers).ok_or_else(denied)?;
        let recipient = self.sessions.check(token, Timestamp::now()).ok_or_else(denied)?;
        let recipient = Recipient::from_bytes(recipient).map_err(|_| denied())?;
        self.roster_reader(&recipient)
            .ok_or_else(|| Failure::new(Code::Forbidden, "this reader is no longer in the ledger's roster"))
    }

    /// The roster's entry for a recipient.
    pub(super) fn roster_reader(&self, recipient: &Recipient) -> Option<SessionReader> {
        let text = recipient.to_string();
        let view = self.ledger.view();
        let reader = view.state.roster()?.readers.iter().find(|r| r.recipient == text)?;
        Some(SessionReader { name: reader.name.clone(), recipient: text })
    }
}
