//! A ledger whose store fails: every call of a workload, with both outcomes (failed and kept, failed and not kept), then random ones.
//! After each fault and after a restart everything the world was told must hold (`ledger_support`).
//!
//! Faults: an error from any call of the store, also of those a start makes. Not faults here: a process that is killed
//! (`tests/kill.rs`), a disk that loses what it was not told to keep (`tests/crash.rs`). Sources of nondeterminism: which submissions come
//! into one cycle, and when the commit thread erases and tidies up between them; so the number of a call is that of its kind of call.
//!
//! A failure names its seed. `SEALTRAIL_TEST_SEED=N cargo test --test faults` runs it again, `SEALTRAIL_TEST_COUNT=1000` more random ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ledger_support;
#[path = "store_support/watched.rs"]
mod watched;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ledger_support::{Driver, History, Item, ORIGIN, Random, Sink, genesis, options, seeds};
use sealtrail::ledger::{Ledger, Receipt};
use sealtrail::store::{LockFile, MemoryStore, SqliteStore, Store, StoreError};
use watched::{Call, Fault, Watch, Watched, full, uncertain};

/// Steps of the workload of which every call fails once.
const STEPS: u64 = 26;
/// Its seed: one whose steps are of every kind.
const SEED: u64 = 152;
/// Seeds of random faults that once found something.
const FOUND: &[u64] = &[2754410881];

/// Which calls fail.
#[derive(Clone, Debug)]
enum Plan {
    None,
    /// The call of this kind with this number, from 0.
    Once {
        call: Call,
        number: u64,
        kept: bool,
    },
    /// One in so many.
    Random {
        one_in: u64,
        seed: u64,
    },
}

struct Faults {
    plan: Plan,
    random: Mutex<Random>,
    counts: Mutex<BTreeMap<Call, u64>>,
    injected: AtomicU64,
}

impl Watch for Faults {
    fn before(&self, call: Call) -> Option<Fault> {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(call).or_default();
        let now = *count;
        *count += 1;
        let mut random = self.random.lock().unwrap();
        let error = |r: u64| match r {
            0 => full(),
            1 => StoreError::Busy { place: "test".into(), why: "injected".into() },
            _ => uncertain(),
        };
        let fault = match self.plan {
            Plan::Once { call: c, number, kept } if c == call && number == now => match kept {
                true => Fault::Kept(uncertain()),
                false => Fault::Lost(error(random.below(3))),
            },
            Plan::Random { one_in, .. } if random.once_in(one_in) => match call.writes() && random.once_in(2)
            {
                // Every error but this one says that nothing was kept.
                true => Fault::Kept(uncertain()),
                false => Fault::Lost(error(random.below(3))),
            },
            _ => return None,
        };
        self.injected.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}

/// The history, as the driver makes it.
struct Remember(Arc<Mutex<History>>);

impl Sink for Remember {
    fn created(&mut self) {
        self.0.lock().unwrap().created = true;
    }
    fn submitting(&mut self, id: u64, item: &Item) {
        self.0.lock().unwrap().items.insert(id, item.clone());
    }
    fn acked(&mut self, id: u64, receipt: &Receipt) {
        self.0.lock().unwrap().acked.insert(id, *receipt);
    }
    fn shown(&mut self, checkpoint: &str) {
        let mut history = self.0.lock().unwrap();
        if history.shown.last().is_none_or(|last| last != checkpoint) {
            history.shown.push(checkpoint.to_owned());
        }
    }
}

/// Runs a workload, restarts without faults, checks. Gives how often each call was made and how many faults there were.
fn run(inner: Arc<dyn Store>, guard: &Path, seed: u64, steps: u64, plan: Plan) -> (BTreeMap<Call, u64>, u64) {
    let random = Mutex::new(Random::new(match plan {
        Plan::Random { seed, .. } => seed,
        _ => seed,
    }));
    let often = matches!(plan, Plan::Random { .. });
    let (counts, injected) = Default::default();
    let store = Arc::new(Watched::new(inner.clone(), Faults { plan, random, counts, injected }));
    let history = Arc::new(Mutex::new(History::default()));
    let open = || match Ledger::open(store.clone(), options(guard)) {
        // As whoever creates a ledger would: only if there is none.
        Err(sealtrail::ledger::LedgerError::Empty) => {
            Ledger::create(store.clone(), options(guard), genesis_once())
        }
        answer => answer,
    };
    let mut driver = Driver::new(seed, Box::new(Remember(history.clone())), Box::new(open));
    driver.restart_often = often;
    driver.run(steps);
    // The store is tidied up when it is quiet.
    std::thread::sleep(std::time::Duration::from_millis(260));
    drop(driver);
    let ledger = Ledger::open(inner.clone(), options(guard)).unwrap();
    history.lock().unwrap().check(&ledger, &*inner, &mut Random::new(seed));
    let counts = store.counts.lock().unwrap().clone();
    (counts, store.injected.load(Ordering::Relaxed))
}

/// The first roster, always with the same bytes: it may have been kept at the first attempt.
fn genesis_once() -> sealtrail::chain::note::Note {
    static ONCE: std::sync::OnceLock<sealtrail::chain::note::Note> = std::sync::OnceLock::new();
    ONCE.get_or_init(genesis).clone()
}

fn in_memory(seed: u64, steps: u64, plan: Plan) -> (BTreeMap<Call, u64>, u64) {
    let dir = tempfile::tempdir().unwrap();
    run(Arc::new(MemoryStore::new(ORIGIN)), &dir.path().join("guard"), seed, steps, plan)
}

/// Runs `f` and says before its panic goes on how to get there again.
fn naming<T>(what: impl std::fmt::Display, f: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|e| {
        eprintln!("found by {what}");
        resume_unwind(e)
    })
}

/// All of `work`, on every core.
fn on_all_cores<T: Sync>(work: &[T], f: impl Fn(&T) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) * 6 {
            scope.spawn(|| {
                while let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    f(item);
                }
            });
        }
    });
}

#[test]
fn every_call_of_a_workload_fails_once_with_both_outcomes() {
    let (counts, _) = in_memory(SEED, STEPS, Plan::None);
    for call in [Call::Append, Call::Erase, Call::Scrub, Call::Maintain, Call::Head, Call::ReplaceBody] {
        assert!(counts.contains_key(&call), "the workload makes no call of {call:?}");
    }
    let mut work = Vec::new();
    for (call, count) in counts {
        for number in 0..count {
            work.push(Plan::Once { call, number, kept: false });
            if call.writes() {
                work.push(Plan::Once { call, number, kept: true });
            }
        }
    }
    let injected = AtomicU64::new(0);
    on_all_cores(&work, |plan| {
        let (_, n) = naming(format!("{plan:?}"), || in_memory(SEED, STEPS, plan.clone()));
        injected.fetch_add(n, Ordering::Relaxed);
    });
    eprintln!(
        "{} calls failed once, {} of them met their fault",
        work.len(),
        injected.load(Ordering::Relaxed)
    );
    assert!(injected.load(Ordering::Relaxed) * 10 > work.len() as u64 * 9);
}

#[test]
fn random_faults_in_memory() {
    let (injected, seeds) = (AtomicU64::new(0), seeds(FOUND, 40));
    on_all_cores(&seeds, |seed| {
        let one_in = 20 + seed % 60;
        let plan = Plan::Random { one_in, seed: *seed };
        let (_, n) = naming(format!("SEALTRAIL_TEST_SEED={seed}"), || in_memory(*seed, 40, plan));
        injected.fetch_add(n, Ordering::Relaxed);
    });
    let injected = injected.into_inner();
    eprintln!("{injected} faults");
    assert!(injected >= seeds.len() as u64, "only {injected} faults in {} workloads", seeds.len());
}

#[test]
fn random_faults_on_a_database() {
    let (injected, seeds) = (AtomicU64::new(0), seeds(FOUND, 8));
    on_all_cores(&seeds, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let _lock = LockFile::acquire(&path).unwrap();
        let store = Arc::new(SqliteStore::open(&path, ORIGIN, true).unwrap());
        let plan = Plan::Random { one_in: 20 + seed % 60, seed: *seed };
        let f = || run(store.clone(), &dir.path().join("guard"), *seed, 40, plan);
        let (_, n) = naming(format!("SEALTRAIL_TEST_SEED={seed}"), f);
        injected.fetch_add(n, Ordering::Relaxed);
        drop(store);
        // The bytes on the disk are what the store said.
        History::default().check_bytes(&SqliteStore::open_read_only(&path).unwrap());
    });
    let injected = injected.into_inner();
    assert!(injected >= seeds.len() as u64, "only {injected} faults in {} workloads", seeds.len());
}
