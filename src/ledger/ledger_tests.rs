//! The write cycle under faults. Each store call that can fail does so with both outcomes: failed and kept,
//! failed and not kept. Not a fault here: torn bytes inside the database (the store's tests), a killed process
//! (`tests/crash.rs`). Sources of nondeterminism: the commit thread's timing, which the tests wait out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::random;
use crate::chain::key::VerifierKey;
use crate::chain::roster::{Roster, RosterReader};
use crate::chain::statement::Statement;
use crate::event::policy::Policy;
use crate::seal::reader_key::Identity;
use crate::seal::tag::SearchSecret;
use crate::store::{Head as StoreHead, MemoryStore, NewBlock};
use crate::writer::{Purpose, Writer, WriterOptions};

const ORIGIN: &str = "test.example/ledger";
const WRITER: &str = "test.example/writer";

#[derive(Clone, Copy, PartialEq, Default, Debug)]
enum Fault {
    #[default]
    None,
    /// The append fails and nothing is kept.
    Lost,
    /// The append fails although everything is kept.
    Kept,
    /// The disk is full.
    Full,
}

/// Makes appends fail on demand, and the head unreadable.
#[derive(Default)]
pub(crate) struct Switches {
    fault: Mutex<Fault>,
    unreadable: AtomicBool,
    /// Erasing fails, and nothing is erased.
    unerasable: AtomicBool,
    /// How often a run of block texts was read.
    runs_read: AtomicUsize,
    /// How often a single one was.
    texts_read: AtomicUsize,
}

impl Switches {
    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Watch for Switches {
    fn before(&self, call: Call) -> Option<StoreFault> {
        let is = |switch: &AtomicBool| switch.load(Ordering::Relaxed);
        match call {
            Call::Append => match std::mem::take(&mut *self.fault.lock().unwrap()) {
                Fault::None => return None,
                Fault::Lost => return Some(StoreFault::Lost(uncertain())),
                Fault::Kept => return Some(StoreFault::Kept(uncertain())),
                Fault::Full => return Some(StoreFault::Lost(full())),
            },
            Call::Head if is(&self.unreadable) => return Some(StoreFault::Lost(uncertain())),
            Call::Erase if is(&self.unerasable) => return Some(StoreFault::Lost(full())),
            Call::BlockText => self.texts_read.fetch_add(1, Ordering::Relaxed),
            Call::BlockTexts => self.runs_read.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        None
    }
}

#[path = "../../tests/store_support/watched.rs"]
mod watched;
use watched::{Call, Fault as StoreFault, Watch, Watched, full, uncertain};

/// A ledger on a faulty store, and a writer for it.
pub(crate) struct Bench {
    pub(crate) store: Arc<Watched<Switches>>,
    ledger: Option<Ledger>,
    writer: Writer,
    readers: Vec<RosterReader>,
    key_text: String,
    pub(crate) officer: SigningKey,
    admin: SigningKey,
    dir: tempfile::TempDir,
}

fn signer(name: &str) -> SigningKey {
    SigningKey::generate(name, &mut random::csprng().unwrap()).unwrap()
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::keeping(6)
    }

    /// Records are to be kept for that many years.
    fn keeping(retain_years: u16) -> Bench {
        let officer = signer("test.example/officer");
        let (ledger_key, admin, writer_key) = (signer(ORIGIN), signer("test.example/admin"), signer(WRITER));
        let reader = Identity::generate(&mut random::csprng().unwrap());
        let readers = vec![RosterReader {
            name: "alice".into(),
            recipient: reader.recipient().to_string(),
            required: true,
        }];
        let roster = Roster {
            ledger: ORIGIN.into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: Timestamp::now(),
            ledger_key: ledger_key.verifier(),
            admins: vec![admin.verifier()],
            writers: vec![writer_key.verifier()],
            readers: readers.clone(),
            officers_required: 1,
            officers: vec![officer.verifier()],
            witnesses: Vec::new(),
        };
        let note = Statement::Roster(roster).sign(&admin).unwrap();
        let options = WriterOptions {
            key: writer_key,
            ledger: ORIGIN.into(),
            policy: Policy::default(),
            retain_years,
            search: Box::new(|m| Ok((m.to_owned(), SearchSecret::generate(&mut random::csprng().unwrap())))),
        };
        let mut bench = Bench {
            store: Arc::new(Watched::new(Arc::new(MemoryStore::new(ORIGIN)), Switches::default())),
            ledger: None,
            writer: Writer::new(options, Head::default()).unwrap(),
            readers,
            key_text: ledger_key.to_text().to_string(),
            officer,
            admin,
            dir: tempfile::tempdir().unwrap(),
        };
        bench.ledger = Some(Ledger::create(bench.store.clone(), bench.options(false), note).unwrap());
        bench
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::parse(&self.key_text).unwrap()
    }

    fn guard_path(&self) -> std::path::PathBuf {
        self.dir.path().join("guard")
    }

    fn options(&self, accept_database_head: bool) -> Options {
        Options { key: self.key(), guard: self.guard_path(), accept_database_head }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Stops the ledger and opens it again.
    pub(crate) fn reopen(&mut self) -> Result<(), LedgerError> {
        drop(self.ledger.take());
        self.ledger = Some(Ledger::open(self.store.clone(), self.options(false))?);
        Ok(())
    }

    /// A signed batch of `n` events; the writer moves on.
    pub(crate) fn batch(&mut self, n: usize) -> (Note, Vec<u8>) {
        let now = Timestamp::now();
        let events: Vec<String> = (0..n).map(|i| format!(r#"{{"action":"read","n":{i}}}"#)).collect();
        let sealed = self.writer.seal_events(Purpose::Events, &self.readers, &events, now).unwrap();
        (sealed.note, sealed.body.to_vec())
    }

    pub(crate) fn submit(&self, (note, body): (Note, Vec<u8>)) -> Result<Receipt, LedgerError> {
        self.ledger().submit(Submission::batch(note, body)?)?.wait()
    }

    /// A block as it is stored, for another store.
    pub(crate) fn stored_block(&self, height: u64) -> NewBlock {
        let info = self.store.block_info(height).unwrap().unwrap();
        NewBlock {
            height,
            first_record: info.first_record,
            records: info.records,
            text: self.store.block_text(height).unwrap().unwrap(),
            leaf_inputs: self.store.leaf_inputs(height).unwrap().unwrap(),
            signer: info.signer,
            sequence: info.sequence,
            body: self.store.body(height).unwrap(),
            tags: Vec::new(),
        }
    }

    /// The database as it is now.
    fn backup(&self) -> MemoryStore {
        let copy = MemoryStore::new(ORIGIN);
        let head = self.store.head().unwrap().unwrap();
        let blocks: Vec<NewBlock> = (0..head.size).map(|height| self.stored_block(height)).collect();
        copy.append(0, &blocks, &[], &head).unwrap();
        copy
    }

    /// Everything acknowledged is provable against the checkpoint shown.
    fn check(&self, records: u64) {
        let view = self.ledger().view();
        assert_eq!(view.state.next_record(), records);
        for record in 0..records {
            let proof = self.ledger().proof(record).unwrap();
            let verified = proof.verify(&self.key().verifier(), None).unwrap();
            assert_eq!(verified.record, record);
            proof.check_record(&self.ledger().record(record).unwrap().record).unwrap();
        }
    }
}

use crate::chain::replay::Head;

#[test]
fn batches_are_ordered_proved_and_found_again_after_a_restart() {
    let mut b = Bench::new();
    for n in [1, 5, 3] {
        let batch = b.batch(n);
        assert_eq!(b.submit(batch).unwrap().records, n as u32);
    }
    b.check(9);
    let hash = b.ledger().proof(7).unwrap().leaf_inputs.ciphertext_hash;
    assert_eq!(b.ledger().find_ciphertext(&hash).unwrap(), 7);
    assert!(matches!(b.ledger().find_ciphertext(&Hash::ZERO), Err(LedgerError::UnknownCiphertext)));
    assert!(matches!(b.ledger().proof(9), Err(LedgerError::NotFound { count: 9, .. })));
    b.reopen().unwrap();
    b.check(9);
    let batch = b.batch(2);
    assert_eq!(b.submit(batch).unwrap().first_record, 9);
    b.check(11);
}

#[test]
fn a_resubmission_gets_the_same_receipt_and_a_changed_one_none() {
    let mut b = Bench::new();
    let (first, second) = (b.batch(2), b.batch(3));
    let given = b.submit(first.clone()).unwrap();
    b.submit(second.clone()).unwrap();
    // Also of one that is not the writer's last, and after a restart.
    assert_eq!(b.submit(first.clone()).unwrap(), Receipt { repeated: true, ..given });
    b.reopen().unwrap();
    assert_eq!(b.submit(first.clone()).unwrap(), Receipt { repeated: true, ..given });
    b.writer.resume(Head::default());
    let other = b.batch(2);
    assert!(matches!(b.submit(other), Err(LedgerError::Chain(_))));
    b.check(5);
}

#[test]
fn a_gap_is_refused_and_healed_by_the_missing_batch() {
    let mut b = Bench::new();
    let (first, second) = (b.batch(1), b.batch(1));
    assert!(matches!(b.submit(second.clone()), Err(LedgerError::Chain(_))));
    b.submit(first).unwrap();
    b.submit(second).unwrap();
    b.check(2);
}

#[test]
fn statement_and_body_must_come_together() {
    let mut b = Bench::new();
    let (note, body) = b.batch(1);
    let alone = b.ledger().submit(Submission::statement(note.clone())).unwrap().wait();
    assert!(matches!(alone, Err(LedgerError::BodyMissing)));
    let (_, other_body) = b.batch(1);
    assert!(matches!(b.submit((note.clone(), other_body)), Err(LedgerError::Batch(_))));
    b.submit((note, body)).unwrap();
    b.check(1);
}

/// The heart of it: after each fault the answer, the store and what is shown agree, and the next batch goes on.
#[test]
fn every_failed_append_is_answered_by_what_the_store_really_has() {
    for fault in [Fault::Lost, Fault::Kept, Fault::Full] {
        let mut b = Bench::new();
        let batch = b.batch(2);
        b.submit(batch).unwrap();
        let shown = b.ledger().view().checkpoint.clone();
        let batch = b.batch(3);
        b.store.set(fault);
        let answer = b.submit(batch.clone());
        match fault {
            Fault::Kept => {
                assert_eq!(answer.unwrap().first_record, 2);
                assert!(b.ledger().health().failing.is_none());
                b.check(5);
            }
            _ => {
                let full = fault == Fault::Full;
                assert!(
                    matches!(answer, Err(LedgerError::NotStored { full: f, .. }) if f == full),
                    "{fault:?}"
                );
                assert!(b.ledger().health().failing.is_some());
                assert_eq!(b.ledger().view().checkpoint, shown, "a checkpoint that is not durable was shown");
                b.check(2);
                // The same batch is accepted now, and the ledger is healthy again.
                assert!(!b.submit(batch).unwrap().repeated);
                assert!(b.ledger().health().failing.is_none());
                b.check(5);
            }
        }
        let next = b.batch(1);
        b.submit(next).unwrap();
        b.check(6);
        b.reopen().unwrap();
        b.check(6);
    }
}

#[test]
fn an_unreadable_store_stops_nothing_for_good() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.store.set(Fault::Kept);
    b.store.unreadable.store(true, Ordering::Relaxed);
    // Nobody can tell whether it was kept, so it is not acknowledged.
    assert!(matches!(b.submit(batch.clone()), Err(LedgerError::NotStored { .. })));
    assert!(matches!(b.submit(batch.clone()), Err(LedgerError::NotStored { .. })));
    b.store.unreadable.store(false, Ordering::Relaxed);
    // Once it can be read, the resubmission finds the batch in the chain.
    assert!(b.submit(batch).unwrap().repeated);
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    b.check(2);
}

/// Someone puts a backup in place while the ledger runs. It is read again after a fault, and must go on from what was shown.
#[test]
fn a_backup_put_in_place_of_a_running_ledgers_database_is_refused() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    let (older, for_fork) = (b.backup(), b.backup());
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    // Of the same size, by the same key, and another history.
    let fork = Arc::new(for_fork);
    let options = Options { guard: b.dir.path().join("other"), ..b.options(true) };
    let other = Ledger::open(fork.clone(), options).unwrap();
    b.writer.resume(other.writer_head(WRITER));
    let (note, body) = b.batch(1);
    other.submit(Submission::batch(note, body).unwrap()).unwrap().wait().unwrap();
    drop(other);
    let fork = Arc::into_inner(fork).unwrap();

    let (shown, guard) = (b.ledger().view().checkpoint.clone(), std::fs::read(b.guard_path()).unwrap());
    for (other, finding) in [
        (older, "ends at block 2 but this ledger has signed a checkpoint of 3"),
        (fork, "does not contain the history this ledger signed at 3 blocks"),
        (MemoryStore::new(ORIGIN), "ends at block 0 but this ledger has signed a checkpoint of 3"),
    ] {
        b.writer.resume(b.ledger().writer_head(WRITER));
        let batch = b.batch(1);
        let ours = b.store.replace(Arc::new(other));
        b.store.set(Fault::Lost);
        assert!(b.submit(batch.clone()).is_err(), "{finding}");
        // It stays refused, however often it is tried.
        let told = b.submit(batch.clone()).unwrap_err().to_string();
        assert!(told.contains(finding), "{told}");
        assert!(b.ledger().health().failing.unwrap().contains(finding));
        assert_eq!(b.ledger().view().checkpoint, shown);
        assert_eq!(std::fs::read(b.guard_path()).unwrap(), guard, "{finding}");
        // Nothing was signed meanwhile, and the ledger goes on with its own.
        b.store.replace(ours);
        b.store.set(Fault::None);
    }
    b.writer.resume(b.ledger().writer_head(WRITER));
    let batch = b.batch(1);
    assert_eq!(b.submit(batch).unwrap().first_record, 2);
    b.check(3);
}

#[test]
fn a_failed_cycle_fails_its_own_batches_only() {
    let mut b = Bench::new();
    let batches = [b.batch(1), b.batch(1), b.batch(1)];
    b.store.set(Fault::Lost);
    let pending: Vec<_> = batches
        .iter()
        .map(|(n, body)| b.ledger().submit(Submission::batch(n.clone(), body.clone()).unwrap()).unwrap())
        .collect();
    let answers: Vec<_> = pending.into_iter().map(Pending::wait).collect();
    assert!(answers.iter().any(Result::is_err));
    for batch in batches {
        b.submit(batch).unwrap();
    }
    b.check(3);
}

#[test]
fn a_database_behind_the_guard_is_refused() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    drop(b.ledger.take());
    // The guard of a ledger that went further.
    let (mut guard, signed) = Guard::open(&b.guard_path(), &b.key().verifier()).unwrap();
    assert_eq!(signed.checkpoint().unwrap().size, 2);
    let ahead = Checkpoint { origin: ORIGIN.into(), size: 3, root: Hash::of(&[b"later"]) };
    guard.write(&ahead.sign(&b.key()).note().to_string()).unwrap();
    assert!(matches!(b.reopen(), Err(LedgerError::Behind { found: 2, signed: 3 })));
    // Of the same size and another root: a fork.
    std::fs::remove_file(b.guard_path()).unwrap();
    let (mut guard, _) = Guard::open(&b.guard_path(), &b.key().verifier()).unwrap();
    let forked = Checkpoint { origin: ORIGIN.into(), size: 2, root: Hash::of(&[b"other"]) };
    guard.write(&forked.sign(&b.key()).note().to_string()).unwrap();
    assert!(matches!(b.reopen(), Err(LedgerError::Forked { signed: 2 })));
    // Missing: refused, unless a person has said otherwise.
    std::fs::remove_file(b.guard_path()).unwrap();
    assert!(matches!(b.reopen(), Err(LedgerError::GuardMissing { found: 2 })));
    // Also the second time, and if it is there and nothing in it.
    assert!(matches!(b.reopen(), Err(LedgerError::GuardMissing { found: 2 })));
    std::fs::write(b.guard_path(), [0; 5000]).unwrap();
    assert!(matches!(b.reopen(), Err(LedgerError::GuardMissing { found: 2 })));
    std::fs::remove_file(b.guard_path()).unwrap();
    b.ledger = Some(Ledger::open(b.store.clone(), b.options(true)).unwrap());
    b.reopen().unwrap();
    b.check(1);
}

use crate::chain::checkpoint::Checkpoint;

#[test]
fn the_guard_survives_a_torn_write_and_refuses_a_foreign_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guard");
    let key = signer(ORIGIN);
    let verifier: VerifierKey = key.verifier();
    let write = |size: u64| {
        let (mut guard, _) = Guard::open(&path, &verifier).unwrap();
        let c = Checkpoint { origin: ORIGIN.into(), size, root: Hash::of(&[&size.to_be_bytes()]) };
        guard.write(&c.sign(&key).note().to_string()).unwrap();
    };
    let newest = || Guard::open(&path, &verifier).unwrap().1.checkpoint().map(|c| c.size);
    assert_eq!(newest(), None);
    for size in 1..=5 {
        write(size);
        assert_eq!(newest(), Some(size));
    }
    // Size 5 is in the first slot (1, 3, 5), size 4 in the second. Whoever looks on sees both. Tear each write in turn.
    let both = Guard::peek(&path, &verifier);
    assert_eq!(both.iter().map(|c| c.size).collect::<Vec<_>>(), [5, 4]);
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[40..120].fill(0);
    std::fs::write(&path, &torn).unwrap();
    assert_eq!(newest(), Some(4));
    std::fs::write(&path, &whole[..4096]).unwrap();
    assert_eq!(newest(), Some(5));
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(Guard::open(&path, &verifier), Err(GuardError::Foreign { .. })));
    std::fs::write(&path, &whole).unwrap();
    assert!(matches!(Guard::open(&path, &signer(ORIGIN).verifier()), Err(GuardError::Foreign { .. })));
}

/// Between two syncs the power may tear whatever is written: it is one slot, and the other one is on the disk.
#[test]
fn between_syncs_the_guard_leaves_one_slot_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guard");
    let key = signer(ORIGIN);
    let (mut guard, said) = Guard::open(&path, &key.verifier()).unwrap();
    assert_eq!(said, LastSigned::Missing);
    assert!(!path.exists(), "looking makes no file");
    guard.prepare().unwrap();
    assert_eq!(Guard::open(&path, &key.verifier()).unwrap().1, LastSigned::Blank);
    let mut write = |size: u64| {
        let c = Checkpoint { origin: ORIGIN.into(), size, root: Hash::of(&[&size.to_be_bytes()]) };
        guard.write(&c.sign(&key).note().to_string()).unwrap();
        Guard::peek(&path, &key.verifier()).iter().map(|c| c.size).collect::<Vec<_>>()
    };
    // The first one is synced at once.
    assert_eq!(write(1), [1]);
    assert_eq!([write(2), write(3), write(4)], [[1, 2], [1, 3], [1, 4]]);
    std::thread::sleep(Duration::from_millis(1010));
    assert_eq!([write(5), write(6), write(7)], [[1, 5], [6, 5], [7, 5]]);
}

#[test]
fn a_changed_store_is_noticed_at_start() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    drop(b.ledger.take());
    // A head that says something else than the blocks.
    let head = b.store.inner().head().unwrap().unwrap();
    let other = signer("test.example/other").verifier();
    assert!(matches!(recover::recover(&*b.store, &other), Err(LedgerError::Damaged { .. })));
    // A snapshot that cannot be read costs time, not the ledger: the blocks have everything.
    let spoiled = StoreHead { state: b"?".to_vec(), ..head };
    b.store.inner().append(2, &[], &[], &spoiled).unwrap();
    b.reopen().unwrap();
    b.check(1);
}

/// The disk hiccups once. What the gateway does after a refusal is `resume(writer_head())`; the head it
/// is shown stays the one from before the cycle that was kept after all, so that it is refused for ever (and it
/// has signed two statements of one number).
#[test]
fn after_an_uncertain_append_the_gateway_finds_its_way_again() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.store.set(Fault::Kept);
    b.store.unreadable.store(true, Ordering::Relaxed);
    assert!(matches!(b.submit(batch), Err(LedgerError::NotStored { .. })));
    b.store.unreadable.store(false, Ordering::Relaxed);
    let mut answers = Vec::new();
    for _ in 0..5 {
        // Gateway::resync, then the next events.
        let head = b.ledger().writer_head(WRITER);
        b.writer.resume(head);
        let batch = b.batch(1);
        match b.submit(batch) {
            Ok(_) => return,
            Err(e) => answers.push(e.to_string()),
        }
    }
    panic!("never again: {answers:#?}");
}

#[path = "erase_tests.rs"]
mod erase_tests;

#[path = "key_change_tests.rs"]
mod key_change_tests;
