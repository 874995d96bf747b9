//! A pipeline: work spread over the cores, its answers in the order the work was given.
//!
//! Bounded is what was given and not taken back, in jobs and in the bytes a job says it takes, for whoever calls
//! [`Pipeline::make_room`] before each [`Pipeline::push`]; an answer counts as what its job took until it is taken. `push` itself never waits:
//! a sync, which takes answers back a group of blocks at a time, is bounded by its groups.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::limits::{MAX_PIPELINE_BYTES, MAX_PIPELINE_JOBS, MAX_WORK_THREADS};
use crate::base::threads;

type Job<J, R> = (J, SyncSender<R>);

/// Where jobs are given and their answers taken.
pub struct Pipeline<'w, J, R> {
    /// `None` if no thread could be started: then each job is done when it is given.
    jobs: Option<Sender<Job<J, R>>>,
    work: &'w (dyn Fn(J) -> R + Sync),
    /// Size and answer of each job under way, oldest first.
    waiting: VecDeque<(usize, Receiver<R>)>,
    bytes: usize,
}

/// How many threads are worth having here.
fn cores() -> usize {
    threads::cores(MAX_WORK_THREADS)
}

/// Runs `with` while some threads do `work`. They end when it returns, whatever is still under way.
pub fn pipeline<J: Send, R: Send, T>(
    work: &(dyn Fn(J) -> R + Sync),
    with: impl FnOnce(&mut Pipeline<'_, J, R>) -> T,
) -> T {
    let (jobs, queue) = channel::<Job<J, R>>();
    // Only the threads have it: when all have panicked, giving a job and waiting for an answer end instead of waiting for ever.
    let queue = Arc::new(Mutex::new(queue));
    std::thread::scope(|scope| {
        let start = |_: &usize| {
            let queue = queue.clone();
            let run = move || work_off(&queue, work);
            std::thread::Builder::new().name("check".into()).spawn_scoped(scope, run).is_ok()
        };
        let started = (0..cores()).filter(start).count();
        drop(queue);
        let jobs = (started > 0).then_some(jobs);
        with(&mut Pipeline { jobs, work, waiting: VecDeque::new(), bytes: 0 })
    })
}

fn work_off<J, R>(queue: &Mutex<Receiver<Job<J, R>>>, work: &(dyn Fn(J) -> R + Sync)) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, answer)) = job else { break };
        // Nobody listening any more is no reason to complain.
        let _ = answer.send(work(job));
    }
}

impl<J, R> Pipeline<'_, J, R> {
    /// The oldest answer, if it must be taken before there is room for a job of `bytes`. Call until there is none.
    pub fn make_room(&mut self, bytes: usize) -> Option<R> {
        let room =
            self.waiting.len() < MAX_PIPELINE_JOBS && self.bytes.saturating_add(bytes) <= MAX_PIPELINE_BYTES;
        if room { None } else { self.oldest() }
    }

    /// Gives a job that takes `bytes` of memory.
    pub fn push(&mut self, job: J, bytes: usize) {
        let (answer, receiver) = sync_channel(1);
        match &self.jobs {
            // Fails only if all threads have panicked, which ends the scope with that panic.
            Some(jobs) => drop(jobs.send((job, answer))),
            None => drop(answer.send((self.work)(job))),
        }
        self.waiting.push_back((bytes, receiver));
        self.bytes += bytes;
    }

    /// The oldest answer, waited for; `None` if nothing is under way.
    pub fn oldest(&mut self) -> Option<R> {
        let (bytes, answer) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        answer.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn answers_come_in_order_and_room_is_bounded() {
        let work = |n: u64| {
            std::thread::sleep(std::time::Duration::from_micros(n * 7919 % 300));
            n * n
        };
        let taken = pipeline(&work, |pipe| {
            let mut taken = Vec::new();
            for n in 0..500 {
                while let Some(r) = pipe.make_room(MAX_PIPELINE_BYTES / 5) {
                    taken.push(r);
                }
                assert!(pipe.waiting.len() < 5);
                pipe.push(n, MAX_PIPELINE_BYTES / 5);
            }
            // One that is larger than all the room there is has it to itself.
            while let Some(r) = pipe.make_room(2 * MAX_PIPELINE_BYTES) {
                taken.push(r);
            }
            assert!(pipe.waiting.is_empty());
            pipe.push(500, 2 * MAX_PIPELINE_BYTES);
            while let Some(r) = pipe.oldest() {
                taken.push(r);
            }
            taken
        });
        assert_eq!(taken, (0..=500).map(|n| n * n).collect::<Vec<u64>>());
    }

    #[test]
    fn threads_that_all_panic_end_it() {
        let work = |_: usize| -> usize { panic!("for the test") };
        let run = || {
            pipeline(&work, |pipe| {
                (0..100).for_each(|n| pipe.push(n, 1));
                (0..100).filter_map(|_| pipe.oldest()).count()
            })
        };
        assert!(std::panic::catch_unwind(run).is_err());
    }

    #[test]
    fn leaving_early_ends_the_threads() {
        let work = |n: usize| n + 1;
        let first = pipeline(&work, |pipe| {
            (0..10).for_each(|n| pipe.push(n, 1));
            pipe.oldest()
        });
        assert_eq!(first, Some(1));
    }
}
