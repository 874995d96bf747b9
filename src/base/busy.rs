//! Since when a thread has been at one piece of work: whoever asks can tell one that hangs from one that has nothing to do.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock;

/// What a thread is doing, told by itself.
#[derive(Debug, Default)]
pub struct Busy(Mutex<Option<Instant>>);

impl Busy {
    /// Does `work`, and lets others see since when. What is inside other work counts from its own beginning.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.begin();
        let done = work();
        self.end();
        done
    }

    /// Work begins.
    pub fn begin(&self) {
        self.set(Some(clock::monotonic()));
    }

    /// It is done.
    pub fn end(&self) {
        self.set(None);
    }

    /// How long the work has gone on, if there is any.
    pub fn age(&self) -> Option<Duration> {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| clock::monotonic().duration_since(since))
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_an_age_while_it_lasts() {
        let busy = Busy::default();
        assert_eq!(busy.age(), None);
        busy.during(|| {
            std::thread::sleep(Duration::from_millis(5));
            assert!(busy.age() >= Some(Duration::from_millis(5)));
        });
        assert_eq!(busy.age(), None);
    }
}
