//! Room in memory for what arrives and what is sent, with a bound for all requests together.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::api::problem::Code;
use crate::base::limits::{ANSWER_WAIT_SECONDS, MAX_BULK_BYTES, STRANGER_WAIT_SECONDS};

use super::doors::{Doors, Guest, Holds};
use super::problem::Failure;

/// How often somebody slow is asked to make room for those who wait.
const HURRY_EVERY: Duration = Duration::from_millis(500);

/// Capacity to begin a bulk answer with, in bytes: more than common allocators (glibc: 32 MiB) keep for themselves when it is freed, and
/// of which only those pages count that are written to.
pub(super) const BULK_CAPACITY: usize = MAX_BULK_BYTES + 1024 * 1024;

/// A bound on memory.
pub(super) struct Room {
    /// One permit a KiB.
    permits: Arc<Semaphore>,
    kib: usize,
    holds: Holds,
    doors: Arc<Doors>,
}

/// A part of it, until dropped.
pub(super) struct Share(OwnedSemaphorePermit);

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

impl Room {
    /// Of so many bytes. If what its parts are given to is for everyone, the slowest connection that has one is closed when others
    /// wait.
    pub(super) fn new(bytes: usize, holds: Holds, doors: &Arc<Doors>) -> Room {
        let kib = kib(bytes);
        Room { permits: Arc::new(Semaphore::new(kib)), kib, holds, doors: doors.clone() }
    }

    /// Bytes given away.
    pub(super) fn taken(&self) -> usize {
        (self.kib - self.permits.available_permits().min(self.kib)) * 1024
    }

    /// A part of at most `bytes`, in the order of asking.
    pub(super) async fn take(&self, guest: &Guest, bytes: usize) -> Result<Share, Failure> {
        let wanted = u32::try_from(kib(bytes).min(self.kib)).unwrap_or(u32::MAX);
        let share = match self.permits.clone().try_acquire_many_owned(wanted) {
            Ok(share) => share,
            Err(_) => self.wait(wanted).await?,
        };
        guest.holds(self.holds);
        Ok(Share(share))
    }

    async fn wait(&self, wanted: u32) -> Result<OwnedSemaphorePermit, Failure> {
        let mut share = pin!(self.permits.clone().acquire_many_owned(wanted));
        let for_body = self.holds == Holds::StrangersBody;
        let patience =
            Duration::from_secs(if for_body { STRANGER_WAIT_SECONDS } else { ANSWER_WAIT_SECONDS });
        for _ in 0..patience.as_millis() / HURRY_EVERY.as_millis() {
            if self.holds != Holds::Nothing {
                self.doors.hurry(self.holds);
            }
            if let Ok(Ok(share)) = timeout(HURRY_EVERY, share.as_mut()).await {
                return Ok(share);
            }
        }
        let what = if for_body { "requests are being taken in" } else { "large answers are being sent" };
        Err(Failure::new(Code::Overloaded, format!("too many {what}; send this again in a moment")))
    }
}

impl Share {
    /// An answer that keeps what it needs of this part until it is sent.
    pub(super) fn keep(mut self, mut answer: Vec<u8>) -> Bytes {
        // What grew has up to as much again to spare. Of a large allocation that costs nothing: its pages were never touched.
        if answer.capacity() < BULK_CAPACITY {
            answer.shrink_to_fit();
        }
        let share = self.0.split(kib(answer.len())).unwrap_or(self.0);
        Bytes::from_owner(Kept { answer, _share: share })
    }
}

struct Kept {
    answer: Vec<u8>,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}
