//! Work that only some requests may do at a time: the others wait for their turn, up to a number and a time.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// A bounded queue in front of some places.
pub(super) struct Turns {
    /// One permit for each request that works or waits.
    room: Semaphore,
    /// One permit for each that works; given in the order of asking.
    places: Semaphore,
    patience: Duration,
}

/// Why it is not one's turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// As many are waiting as may.
    Full,
    /// It did not come in time.
    TooLong,
}

/// One's turn, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _place: SemaphorePermit<'a>,
    _room: SemaphorePermit<'a>,
}

impl Turns {
    /// `places` at a time; `waiting` more may wait, no longer than `patience`.
    pub(super) fn new(places: usize, waiting: usize, patience: Duration) -> Turns {
        Turns { room: Semaphore::new(places + waiting), places: Semaphore::new(places), patience }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Result<Turn<'_>, NoTurn> {
        let room = self.room.try_acquire().map_err(|_| NoTurn::Full)?;
        if let Ok(place) = self.places.try_acquire() {
            return Ok(Turn { _place: place, _room: room });
        }
        match timeout(self.patience, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(Turn { _place: place, _room: room }),
            // Nobody closes it.
            Ok(Err(_)) | Err(_) => Err(NoTurn::TooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn a_third_waits_and_a_sixth_does_not() {
        let turns = Turns::new(2, 3, Duration::from_secs(60));
        let (first, _second) = (turns.take().await.unwrap(), turns.take().await.unwrap());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take())).collect();
        for w in &mut waiting {
            assert!(timeout(Duration::from_millis(5), w).await.is_err(), "there was no place");
        }
        assert_eq!(turns.take().await.unwrap_err(), NoTurn::Full);
        drop(first);
        // The one that asked first is next, and there is room to wait again.
        let next = waiting.remove(0).await.unwrap();
        assert!(timeout(Duration::from_millis(5), &mut waiting[0]).await.is_err());
        let mut later = Box::pin(turns.take());
        assert!(timeout(Duration::from_millis(5), &mut later).await.is_err());
        drop(next);
        waiting.remove(0).await.unwrap();
    }

    #[tokio::test]
    async fn waiting_has_an_end_and_whoever_gives_up_makes_room() {
        let turns = Turns::new(1, 1, Duration::from_millis(20));
        let held = turns.take().await.unwrap();
        assert_eq!(turns.take().await.unwrap_err(), NoTurn::TooLong);
        {
            // A client that went away.
            let mut gone = Box::pin(turns.take());
            assert!(timeout(Duration::from_millis(1), &mut gone).await.is_err());
        }
        let waits = async { turns.take().await.map(drop) };
        let frees = async {
            sleep(Duration::from_millis(2)).await;
            drop(held);
        };
        assert_eq!(tokio::join!(waits, frees).0, Ok(()));
    }
}
