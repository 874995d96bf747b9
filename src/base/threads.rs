//! Work on some items by all cores at once, and no more of it at a time than there are cores.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::limits::{MAX_PART_THREADS, MIN_PART_ITEMS};

/// The cores of this machine, but at most `most`.
pub fn cores(most: usize) -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(most)
}

/// Cuts `items` into one part a core, works on the parts at the same time and gives what came of each, in order. Few items are
/// one part, on the caller's thread: at least [`MIN_PART_ITEMS`] are worth a thread, and there are at most [`MAX_PART_THREADS`].
pub fn in_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let parts = cores(MAX_PART_THREADS).min(items.len() / MIN_PART_ITEMS).max(1);
    let mut rest = items.chunks(items.len().div_ceil(parts).max(1));
    let Some(own) = rest.next() else { return vec![work(items)] };
    thread::scope(|scope| {
        let others: Vec<_> = rest.map(|part| scope.spawn(|| work(part))).collect();
        let mut all = vec![work(own)];
        for other in others {
            // A panic there goes on here.
            all.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}

/// As many places as there are cores, for threads that would otherwise crowd out those who take their results.
#[derive(Debug)]
pub struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Place<'p>(&'p Places);

impl Default for Places {
    fn default() -> Self {
        Places { free: Mutex::new(cores(usize::MAX)), freed: Condvar::new() }
    }
}

impl Places {
    /// Waits for a place. Not to be called on an async thread.
    pub fn take(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |n| *n == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_once_and_in_order() {
        for n in [0, 1, MIN_PART_ITEMS - 1, MIN_PART_ITEMS, 2 * MIN_PART_ITEMS, 1000] {
            let items: Vec<usize> = (0..n).collect();
            let parts = in_parts(&items, <[usize]>::to_vec);
            assert!(!parts.is_empty() && parts.len() <= MAX_PART_THREADS.max(1));
            assert!(parts.len() == 1 || n >= parts.len() * MIN_PART_ITEMS);
            assert_eq!(parts.concat(), items);
        }
    }
}
