//! The power goes, at every operation on a disk. A process runs a ledger under load on a database while a recorder (`crash_support`)
//! writes down what it does to its files; for each operation the folder is made as a loss of power would have left it then, and a
//! ledger started on that must hold to everything the world was told before (`ledger_support`).
//!
//! In scope: the database with its write-ahead log, copied by the commit thread and by the log's own; the last-signed file; the creation
//! of a ledger; syncs that fail. The model of a disk stands in `crash_support`. Sources of nondeterminism: the order of the threads'
//! operations, so a failure keeps its recording and says where.
//!
//! `SEALTRAIL_CRASH_STEPS=600 SEALTRAIL_CRASH_IMAGES=20000 cargo test --test crash` runs a longer workload and more images;
//! `SEALTRAIL_TEST_SEED=N` a workload again; `SEALTRAIL_CRASH_RECORDING=FOLDER` and `SEALTRAIL_CRASH_CUT=OPERATION:SEED` an image again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash_support;
mod ledger_support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crash_support::{Disk, Kind, Loss, Marker, Op, read_log, recorded, scratch};
use ledger_support::{Driver, History, Item, ORIGIN, Random, Sink, genesis, options, seeds, vkey};
use sealtrail::ledger::{Guard, Ledger, LedgerError, Receipt};
use sealtrail::store::{LockFile, SqliteStore};

/// Seeds whose workload once found something.
const FOUND: &[u64] = &[];

const CREATED: u64 = 0;
const SUBMITTING: u64 = 1;
const ACKED: u64 = 2;
const SHOWN: u64 = 3;

/// Notes what happens between the operations.
struct Marks {
    marker: Marker,
    items: PathBuf,
    shown: String,
}

impl Sink for Marks {
    fn created(&mut self) {
        self.marker.mark(CREATED, 0, &[]);
    }
    fn submitting(&mut self, id: u64, item: &Item) {
        std::fs::write(self.items.join(id.to_string()), item.to_bytes()).unwrap();
        self.marker.mark(SUBMITTING, id, &[]);
    }
    fn acked(&mut self, id: u64, receipt: &Receipt) {
        let numbers = [receipt.block, receipt.first_record, u64::from(receipt.records)];
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        self.marker.mark(ACKED, id, &bytes);
    }
    fn shown(&mut self, checkpoint: &str) {
        if self.shown != checkpoint {
            self.marker.mark(SHOWN, 0, checkpoint.as_bytes());
            self.shown = checkpoint.to_owned();
        }
    }
}

/// What the world had been told after an operation.
fn tell(history: &mut History, op: &Op, items: &Path) {
    if op.kind != Kind::Mark {
        return;
    }
    let id = op.offset;
    match op.file {
        CREATED => history.created = true,
        SUBMITTING => {
            let item = Item::from_bytes(&std::fs::read(items.join(id.to_string())).unwrap());
            history.items.insert(id, item);
        }
        ACKED => {
            let n = |i: usize| u64::from_ne_bytes(op.data[i * 8..i * 8 + 8].try_into().unwrap());
            let receipt = Receipt { block: n(0), first_record: n(1), records: n(2) as u32, repeated: false };
            history.acked.insert(id, receipt);
        }
        _ => history.shown.push(String::from_utf8(op.data.clone()).unwrap()),
    }
}

/// A workload to record.
#[derive(Clone, Debug)]
struct Job {
    seed: u64,
    steps: u64,
    /// Which syncs fail.
    fail: Option<String>,
}

/// Where everything of a recording lies.
struct Recording {
    dir: tempfile::TempDir,
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Of a failure it is needed.
        let keep = self.path("keep").exists();
        self.dir.disable_cleanup(keep);
    }
}

impl Recording {
    fn new() -> Recording {
        let dir = scratch();
        for name in ["ledger", "items"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Recording { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs this program again as a process of its own, recorded, with `SEALTRAIL_CRASH_CHILD`. `None` without a recorder.
    fn child(&self, job: &Job, first_id: u64) -> Option<Command> {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_process_of_its_own", "--nocapture"]);
        child
            .env("SEALTRAIL_CRASH_CHILD", self.dir.path())
            .env("SEALTRAIL_CRASH_FIRST", first_id.to_string());
        child.env("SEALTRAIL_CRASH_SEED", job.seed.to_string());
        child.env("SEALTRAIL_CRASH_STEPS", job.steps.to_string());
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        recorded(child, &self.path("ledger"), &self.path("log"), job.fail.as_deref())
    }

    fn record(&self, job: &Job, first_id: u64) -> Option<std::process::Output> {
        Some(self.child(job, first_id)?.output().unwrap())
    }
}

/// The other process, when it is one: the workload. Killed at its end, as by a loss of power.
#[test]
fn a_process_of_its_own() {
    let Some(dir) = std::env::var_os("SEALTRAIL_CRASH_CHILD") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let dir = PathBuf::from(dir);
    let marks =
        Marks { marker: Marker::new(&dir.join("log")), items: dir.join("items"), shown: String::new() };
    let (folder, first) = (dir.join("ledger"), number("SEALTRAIL_CRASH_FIRST"));
    let _lock = LockFile::acquire(&folder.join("ledger.db")).unwrap();
    let genesis = genesis();
    let open = || start(&folder, first == 0, &genesis);
    let mut driver = Driver::new(number("SEALTRAIL_CRASH_SEED"), Box::new(marks), Box::new(open));
    driver.number_from(first);
    driver.large_events = true;
    // After some failures only a new start helps.
    let failing = std::env::var("SEALTRAIL_FAIL_SYNC");
    driver.restart_often = failing.as_ref().is_ok_and(|f| !f.ends_with(":1000"));
    driver.run(number("SEALTRAIL_CRASH_STEPS"));
    std::process::abort();
}

/// Starts a ledger; a creation that fails begins with nothing again, as a person is told to do.
fn start(folder: &Path, create: bool, genesis: &sealtrail::chain::note::Note) -> Result<Ledger, LedgerError> {
    let (path, guard) = (folder.join("ledger.db"), folder.join("guard"));
    if !create || guard.exists() {
        return Ledger::open(Arc::new(SqliteStore::open(&path, ORIGIN, false)?), options(&guard));
    }
    let created = SqliteStore::open(&path, ORIGIN, true)
        .map_err(LedgerError::from)
        .and_then(|store| Ledger::create(Arc::new(store), options(&guard), genesis.clone()));
    if created.is_err() {
        for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal", "guard"] {
            let _ = std::fs::remove_file(folder.join(file));
        }
    }
    created
}

/// What became of a ledger that was being created.
#[derive(Default, Debug)]
struct Outcomes {
    checked: AtomicU64,
    unfinished: AtomicU64,
}

/// Starts a ledger on an image and holds it against the history.
fn check_image(folder: &Path, history: &History, seed: u64, outcomes: &Outcomes) {
    let path = folder.join("ledger.db");
    let lock = LockFile::acquire(&path).unwrap();
    let store = SqliteStore::open(&path, ORIGIN, false);
    let store = match store {
        Ok(store) => Arc::new(store),
        Err(e) => {
            assert!(!history.created, "the database does not open: {e}");
            outcomes.unfinished.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let ledger = match Ledger::open(store.clone(), options(&folder.join("guard"))) {
        Ok(ledger) => ledger,
        Err(e) => {
            assert!(!history.created, "the ledger does not start: {e}");
            outcomes.unfinished.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let signed = Guard::peek(&folder.join("guard"), &vkey());
    assert_eq!(signed.iter().map(|c| c.size).max(), Some(ledger.view().log.size()));
    history.check(&ledger, &*store, &mut Random::new(seed));
    drop((ledger, store, lock));
    let conn = rusqlite::Connection::open(&path).unwrap();
    let found: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(found, "ok");
    outcomes.checked.fetch_add(1, Ordering::Relaxed);
}

/// Number of an environment variable, or another one.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |v| v.parse().expect("a number"))
}

/// Checks images at the operations of a recording: at all of them, or at as many as `images` says.
fn check_images(recording: &Recording, job: &Job, images: u64) {
    let ops = read_log(&recording.path("log"));
    let cuts: Vec<usize> = (0..ops.len()).filter(|i| ops[*i].kind != Kind::Mark).collect();
    let mut random = Random::new(job.seed ^ 0x5ea1);
    let mut loss = || match random.below(8) {
        0 => Loss::All,
        1 => Loss::None,
        _ => Loss::Random(random.next() >> 32),
    };
    let each = images / cuts.len() as u64;
    let mut work: Vec<(usize, Loss)> = match each {
        0 => Vec::new(),
        _ => cuts.iter().flat_map(|c| (0..each).map(|_| (*c, loss())).collect::<Vec<_>>()).collect(),
    };
    if each == 0 {
        let step = cuts.len() as f64 / images as f64;
        work.extend((0..images).map(|i| (cuts[(i as f64 * step) as usize], loss())));
    }
    let (next, outcomes) = (AtomicU64::new(0), Outcomes::default());
    let failed = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut disk, mut history, mut at) = (Disk::default(), History::default(), 0);
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some((cut, loss)) = work.get(i).copied().filter(|_| failed.lock().unwrap().len() < 3)
                    else {
                        return;
                    };
                    while at <= cut {
                        disk.apply(&ops[at]);
                        tell(&mut history, &ops[at], &recording.path("items"));
                        at += 1;
                    }
                    let folder = scratch();
                    disk.image(folder.path(), loss);
                    let checked = catch_unwind(AssertUnwindSafe(|| {
                        check_image(folder.path(), &history, cut as u64, &outcomes)
                    }));
                    if checked.is_err() {
                        let op = &ops[cut];
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{loss:?} after operation {cut}, {:?} of {}", op.kind, op.path));
                    }
                }
            });
        }
    });
    let (checked, unfinished) = (outcomes.checked.into_inner(), outcomes.unfinished.into_inner());
    eprintln!(
        "{job:?}: {} operations, {} images: {checked} ledgers held, {unfinished} were not created yet",
        cuts.len(),
        work.len()
    );
    let failed = failed.into_inner().unwrap();
    // An image of a ledger that was not created yet has nothing to hold.
    let enough = checked * 3 > work.len() as u64;
    assert!(!failed.is_empty() || enough, "{job:?}: only {checked} of {} images had a ledger", work.len());
    if !failed.is_empty() {
        let kept = recording.path("").join("keep");
        std::fs::write(&kept, []).unwrap();
        panic!("{job:?}: {failed:#?}; the recording is kept: {}", kept.parent().unwrap().display());
    }
}

/// Records a workload and checks images of it.
fn run(job: &Job, images: u64) {
    let recording = Recording::new();
    let Some(out) = recording.record(job, 0) else { return };
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!said.contains("panicked"), "{job:?}: {said}");
    check_images(&recording, job, images);
}

#[test]
fn power_is_lost_at_every_operation_of_a_short_workload() {
    for seed in seeds(FOUND, 1) {
        run(&Job { seed, steps: 8, fail: None }, number("SEALTRAIL_CRASH_IMAGES", 400));
    }
}

#[test]
fn power_is_lost_in_a_longer_workload() {
    for seed in seeds(FOUND, 1) {
        let steps = number("SEALTRAIL_CRASH_STEPS", 60);
        run(&Job { seed, steps, fail: None }, number("SEALTRAIL_CRASH_IMAGES", 100));
    }
}

/// A sync fails, what it was for may be lost for ever, and later the power goes.
#[test]
fn power_is_lost_after_a_sync_failed() {
    for seed in seeds(FOUND, 4) {
        let mut random = Random::new(seed);
        let file = ["ledger.db-wal", "ledger.db", "guard"][random.below(3) as usize];
        let fail = Some(format!("{file}:{}:{}", 1 + random.below(20), 1 + random.below(3)));
        let steps = number("SEALTRAIL_CRASH_STEPS", 12);
        run(&Job { seed, steps, fail }, number("SEALTRAIL_CRASH_IMAGES", 100));
    }
}

/// Another program has the database open, as `audit verify --file` has it, in the middle of reading, while a copy of the log into the
/// database cannot be synced and the server is killed; it still has it open when the server starts again. SQLite's note of how much
/// is copied lives as long as anybody has the file open.
#[test]
fn power_is_lost_after_a_sync_failed_and_a_reader_outlived_the_server() {
    for seed in seeds(FOUND, 2) {
        let recording = Recording::new();
        let jobs = [(6, None), (50, Some("ledger.db:1:1000".to_owned())), (40, None)];
        let mut reader = None;
        for (i, (steps, fail)) in jobs.into_iter().enumerate() {
            let job = Job { seed: seed + i as u64, steps, fail };
            let Some(out) = recording.record(&job, i as u64 * 1000) else { return };
            let said = String::from_utf8_lossy(&out.stderr);
            // The second one ends when it has no other way.
            assert!(i == 1 || !said.contains("panicked"), "{job:?}: {said}");
            match i {
                0 => {
                    let conn = rusqlite::Connection::open(recording.path("ledger/ledger.db")).unwrap();
                    conn.execute_batch("BEGIN; SELECT * FROM head").unwrap();
                    reader = Some(conn);
                }
                1 => reader.as_ref().unwrap().execute_batch("COMMIT").unwrap(),
                _ => {}
            }
        }
        check_images(&recording, &Job { seed, steps: 0, fail: None }, number("SEALTRAIL_CRASH_IMAGES", 150));
        drop(reader);
    }
}

/// An image that once failed: `SEALTRAIL_CRASH_RECORDING` is what the failure kept, `SEALTRAIL_CRASH_CUT` the operation and the seed.
#[test]
fn an_image_again() {
    let Ok(folder) = std::env::var("SEALTRAIL_CRASH_RECORDING") else { return };
    let cut = std::env::var("SEALTRAIL_CRASH_CUT").unwrap();
    let (cut, loss) = cut.split_once(':').unwrap();
    let (cut, folder) = (cut.parse::<usize>().unwrap(), PathBuf::from(folder));
    let loss = match loss {
        "all" => Loss::All,
        "none" => Loss::None,
        seed => Loss::Random(seed.parse().unwrap()),
    };
    let (mut disk, mut history) = (Disk::default(), History::default());
    for op in &read_log(&folder.join("log"))[..=cut] {
        if number("SEALTRAIL_CRASH_SHOW", 0) > 0 {
            eprintln!("{:?} {} {} {} +{}", op.kind, op.file, op.path, op.offset, op.data.len());
        }
        disk.apply(op);
        tell(&mut history, op, &folder.join("items"));
    }
    let image = scratch();
    disk.image(image.path(), loss);
    check_image(image.path(), &history, cut as u64, &Outcomes::default());
}
