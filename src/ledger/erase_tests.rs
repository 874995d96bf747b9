//! Erasure orders: carried out once they are durable, whatever fails between.

use super::*;
use crate::base::batch::Body;
use crate::base::grant::{GrantBody, GrantBuilder, GrantEntry, GrantHead, blank, put_entry};
use crate::base::record::Record;
use crate::chain::authority::{
    ErasureStatement, GrantStatement, HoldAction, HoldStatement, RETENTION_EXPIRED, RecordRange,
};
use crate::chain::grant::{GrantError, slots_hash};
use crate::chain::replay::ChainError;

impl Bench {
    fn order(&self, ranges: &[(u64, u64)], reason: &str) -> Note {
        let Head { next_sequence: sequence, previous } = self.ledger().view().state.authority();
        let erasure = ErasureStatement {
            ledger: ORIGIN.into(),
            sequence,
            previous,
            issued: Timestamp::now(),
            records: ranges.iter().map(|(first, last)| RecordRange { first: *first, last: *last }).collect(),
            reason: reason.into(),
            legal_basis: "Art. 17".into(),
        };
        Statement::Erasure(erasure).sign(&self.officer).unwrap()
    }

    pub(crate) fn erase(&self, ranges: &[(u64, u64)], reason: &str) -> Result<Receipt, LedgerError> {
        self.ledger().submit(Submission::statement(self.order(ranges, reason)))?.wait()
    }

    pub(crate) fn wait_erased(&self) {
        for _ in 0..500 {
            if self.ledger().health().erasures_pending == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing is erased: {:?}", self.ledger().health());
    }

    /// What is served, and what the store has.
    fn is_erased(&self, record: u64) -> (bool, bool) {
        let stored = self.store.inner().record(record).unwrap().unwrap().record;
        let stored = matches!(Record::decode(&stored), Ok(Record::Erased(_)));
        let served = self.ledger().record(record).unwrap();
        let body = self.ledger().body(served.block).unwrap().body;
        let in_body = Body::decode(&body).unwrap().records().nth(served.position as usize).unwrap().to_vec();
        assert_eq!(in_body, served.record, "record {record} alone and in its body");
        (served.is_erased(), stored)
    }

    fn state_of_all(&self) -> Vec<(bool, bool)> {
        (0..self.ledger().view().state.next_record()).map(|r| self.is_erased(r)).collect()
    }
}

const GONE: (bool, bool) = (true, true);
const THERE: (bool, bool) = (false, false);

fn filled(retain_years: u16) -> Bench {
    let mut b = Bench::keeping(retain_years);
    for n in [3, 1, 4] {
        let batch = b.batch(n);
        b.submit(batch).unwrap();
    }
    b
}

#[test]
fn an_order_is_carried_out_and_everything_else_stays() {
    let mut b = filled(6);
    let hash = b.ledger().proof(4).unwrap().leaf_inputs.ciphertext_hash;
    let receipt = b.erase(&[(1, 4), (6, 6)], "gdpr-17").unwrap();
    b.wait_erased();
    let expected = [THERE, GONE, GONE, GONE, GONE, THERE, GONE, THERE];
    assert_eq!(b.state_of_all(), expected);
    // Existence proofs hold as before, also of what is erased, and are found by the ciphertext's hash.
    b.check(8);
    assert_eq!(b.ledger().find_ciphertext(&hash).unwrap(), 4);
    assert_eq!(b.ledger().erased_by(6).unwrap(), Some(receipt.block));
    assert_eq!(b.ledger().erased_by(7).unwrap(), None);
    b.reopen().unwrap();
    assert_eq!(b.state_of_all(), expected);
    let batch = b.batch(2);
    b.submit(batch).unwrap();
    b.check(10);
    // Once more the same records, and others.
    b.erase(&[(0, 8)], "gdpr-17").unwrap();
    b.wait_erased();
    assert_eq!(b.state_of_all().iter().filter(|s| **s == GONE).count(), 9);
}

#[test]
fn until_it_is_carried_out_an_ordered_record_is_not_served() {
    let mut b = filled(6);
    b.store.unerasable.store(true, Ordering::Relaxed);
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    assert_eq!(b.is_erased(2), (true, false));
    assert_eq!(b.is_erased(3), (true, false));
    assert_eq!(b.is_erased(1), THERE);
    b.check(8);
    // The ledger goes on meanwhile, and tells.
    for _ in 0..20 {
        let batch = b.batch(1);
        b.submit(batch).unwrap();
        if b.ledger().health().erasing_failed.is_some() {
            break;
        }
    }
    let health = b.ledger().health();
    assert_eq!((health.erasures_pending, health.failing.is_some()), (1, false));
    assert!(health.erasing_failed.is_some_and(|why| why.contains("injected")));
    b.store.unerasable.store(false, Ordering::Relaxed);
    b.wait_erased();
    assert_eq!((b.is_erased(2), b.is_erased(3)), (GONE, GONE));
    assert!(b.ledger().health().erasing_failed.is_none());
}

/// A cycle is kept, and the ledger cannot find out: nothing is erased until it has, which is told, and then it goes on.
#[test]
fn erasing_that_waits_for_the_store_to_be_read_goes_on_by_itself() {
    let mut b = filled(6);
    b.store.unerasable.store(true, Ordering::Relaxed);
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    b.store.unreadable.store(true, Ordering::Relaxed);
    b.store.set(Fault::Kept);
    let batch = b.batch(1);
    b.submit(batch).unwrap_err();
    let told = |what: &str| {
        for _ in 0..500 {
            if b.ledger().health().erasing_failed.is_some_and(|why| why.contains(what)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    };
    let failing = b.ledger().health().failing;
    assert!(failing.is_some_and(|why| why.contains("it is not known whether the last append")));
    b.store.unreadable.store(false, Ordering::Relaxed);
    assert!(told("the disk takes no more data"), "{:?}", b.ledger().health());
    b.store.unerasable.store(false, Ordering::Relaxed);
    b.wait_erased();
    assert_eq!((b.is_erased(2), b.ledger().health().erasing_failed), (GONE, None));
}

#[test]
fn until_it_is_carried_out_the_slots_granted_of_an_ordered_record_are_not_served() {
    let b = filled(6);
    let place = b.ledger().record(2).unwrap();
    let head = GrantHead {
        height: place.block,
        position: place.position,
        records: 1,
        sections: 1,
        enc: vec![1; 32],
        search: vec![2; 16],
    };
    let mut entry = Vec::new();
    put_entry(&[[3; 32]], &mut entry);
    let mut body = GrantBuilder::default();
    body.push(&head, &entry);
    let body = body.finish();
    let alice = b.readers[0].recipient.clone();
    let Head { next_sequence: sequence, previous } = b.ledger().view().state.authority();
    let grant = GrantStatement {
        ledger: ORIGIN.into(),
        sequence,
        previous,
        issued: Timestamp::now(),
        range: RecordRange { first: 2, last: 2 },
        from: alice.clone(),
        to_name: "alice".into(),
        to: alice.clone(),
        slots_hash: slots_hash(&body).unwrap(),
    };
    let note = Statement::Grant(grant).sign(&b.admin).unwrap();
    // A body without its slots has the same hash, and is refused all the same.
    let mut emptied = body.clone();
    assert_eq!(blank(&mut emptied, 2, |_| true).unwrap(), 1);
    let refused = b.ledger().submit_grant(note.clone(), emptied).err();
    assert!(matches!(refused, Some(LedgerError::Grant(GrantError::Emptied { .. }))), "{refused:?}");
    let block = b.ledger().submit_grant(note, body.clone()).unwrap().wait().unwrap().block;
    assert_eq!(b.ledger().body(block).unwrap().body, body);
    assert_eq!(b.ledger().granted(2, &alice).unwrap().len(), 1);
    b.store.unerasable.store(true, Ordering::Relaxed);
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    assert_eq!(b.store.inner().body(block).unwrap().unwrap(), body, "it is still stored");
    let served = b.ledger().body(block).unwrap().body;
    let served = GrantBody::decode(&served).unwrap();
    assert!(served.parts().flat_map(|p| p.entries()).all(|e| matches!(e, GrantEntry::Gone(_))));
    assert!(b.ledger().granted(2, &alice).unwrap().is_empty());
    for epoch in b.ledger().granted_epochs(&alice).unwrap() {
        assert_eq!(GrantBody::decode(&epoch.granted.part).unwrap().gone(2), [2]);
    }
}

#[test]
fn a_start_finishes_what_a_crash_left() {
    let mut b = filled(6);
    b.erase(&[(0, 0)], "gdpr-17").unwrap();
    b.wait_erased();
    b.store.unerasable.store(true, Ordering::Relaxed);
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    b.erase(&[(7, 7)], "gdpr-17").unwrap();
    // As after a kill: the blocks are durable, the records are still there.
    drop(b.ledger.take());
    let stored = b.store.inner().record(7).unwrap().unwrap().record;
    assert!(matches!(Record::decode(&stored), Ok(Record::Sealed { .. })));
    b.reopen().unwrap();
    assert_eq!((b.is_erased(2), b.is_erased(7)), ((true, false), (true, false)));
    b.store.unerasable.store(false, Ordering::Relaxed);
    b.wait_erased();
    assert_eq!((b.is_erased(2), b.is_erased(3), b.is_erased(7)), (GONE, GONE, GONE));
    let done = b.store.inner().derived("erased-up-to").unwrap();
    assert_eq!(done, Some(4u64.to_be_bytes().to_vec()), "one roster and three orders");
    // Nothing is left to do at the next start.
    b.reopen().unwrap();
    assert_eq!(b.ledger().health().erasures_pending, 0);
}

/// A start reads the authority sequence from the first order on that is not carried out, not from its beginning.
#[test]
fn a_start_does_not_read_the_whole_authority_sequence() {
    let hold = |b: &Bench, action| {
        let Head { next_sequence: sequence, previous } = b.ledger().view().state.authority();
        let (hold, reason) = ("a".to_owned(), "litigation".to_owned());
        let hold = HoldStatement {
            ledger: ORIGIN.into(),
            sequence,
            previous,
            issued: Timestamp::now(),
            hold,
            action,
            reason,
        };
        let note = Statement::Hold(hold).sign(&b.officer).unwrap();
        b.ledger().submit(Submission::statement(note)).unwrap().wait().unwrap();
    };
    let holds = |b: &Bench| {
        for _ in 0..40 {
            hold(b, HoldAction::Place(vec![RecordRange { first: 0, last: 0 }]));
            hold(b, HoldAction::Release);
        }
    };
    let opened = |b: &mut Bench| {
        drop(b.ledger.take());
        b.store.texts_read.store(0, Ordering::Relaxed);
        b.reopen().unwrap();
        b.store.texts_read.load(Ordering::Relaxed)
    };
    let noted = |b: &Bench| b.store.inner().derived("erased-up-to").unwrap().map(|v| v[7]);
    let mut b = filled(6);
    holds(&b);
    assert_eq!((noted(&b), opened(&mut b) > 80), (None, true));
    assert_eq!((noted(&b), opened(&mut b) < 5), (Some(81), true));
    // Nothing is noted beyond an order that is not carried out.
    b.store.unerasable.store(true, Ordering::Relaxed);
    holds(&b);
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    holds(&b);
    opened(&mut b);
    assert_eq!((noted(&b), b.ledger().health().erasures_pending), (Some(161), 1));
    opened(&mut b);
    assert_eq!((noted(&b), b.is_erased(2)), (Some(161), (true, false)));
    b.store.unerasable.store(false, Ordering::Relaxed);
    b.wait_erased();
    assert_eq!((b.is_erased(2), b.is_erased(3), noted(&b)), (GONE, GONE, Some(162)));
}

#[test]
fn an_order_that_was_kept_although_the_append_failed_is_carried_out() {
    for fault in [Fault::Kept, Fault::Lost] {
        let b = filled(6);
        b.store.set(fault);
        let answer = b.erase(&[(2, 3)], "gdpr-17");
        b.wait_erased();
        match fault {
            Fault::Kept => {
                answer.unwrap();
                assert_eq!(b.is_erased(2), GONE);
            }
            _ => {
                assert!(matches!(answer, Err(LedgerError::NotStored { .. })));
                assert_eq!(b.is_erased(2), THERE);
            }
        }
    }
}

#[test]
fn retention_forbids_only_what_claims_to_be_past_it() {
    let b = filled(6);
    let refused = b.erase(&[(2, 3)], RETENTION_EXPIRED);
    assert!(
        matches!(&refused, Err(LedgerError::Chain(ChainError::NotExpired { record: 2, .. }))),
        "{refused:?}"
    );
    let beyond = b.erase(&[(2, 8)], RETENTION_EXPIRED);
    assert!(matches!(beyond, Err(LedgerError::Chain(ChainError::BeyondLedger { last: 8, records: 8 }))));
    b.erase(&[(2, 3)], "gdpr-17").unwrap();
    b.wait_erased();
    assert_eq!(b.state_of_all().iter().filter(|s| **s == GONE).count(), 2);
    // Kept for no time at all: past it today.
    let b = filled(0);
    b.erase(&[(0, 1), (4, 7)], RETENTION_EXPIRED).unwrap();
    b.wait_erased();
    assert_eq!(b.state_of_all().iter().filter(|s| **s == GONE).count(), 6);
}

/// More blocks than one step takes, while batches come in.
#[test]
fn a_large_order_and_appends_get_along() {
    let mut b = Bench::new();
    for _ in 0..30 {
        let batch = b.batch(300);
        b.submit(batch).unwrap();
    }
    b.erase(&[(10, 8990)], "gdpr-17").unwrap();
    for n in 0..5 {
        let batch = b.batch(2);
        assert_eq!(b.submit(batch).unwrap().first_record, 9000 + n * 2);
    }
    b.wait_erased();
    let gone = |record: u64| b.is_erased(record) == GONE;
    assert_eq!([9, 10, 4500, 8990, 8991, 9001].map(gone), [false, true, true, true, false, false]);
    let erased = (0..9010).filter(|r| b.ledger().record(*r).unwrap().is_erased()).count();
    assert_eq!(erased, 8981);
}

#[test]
fn only_the_next_order_has_its_blocks_read() {
    let b = filled(0);
    let reads = || b.store.runs_read.load(Ordering::Relaxed);
    // Signed for the next place, so the blocks are read; what comes later is a repetition or too late.
    let (note, late) = (b.order(&[(0, 7)], RETENTION_EXPIRED), b.order(&[(0, 6)], RETENTION_EXPIRED));
    let receipt = b.ledger().submit(Submission::statement(note.clone())).unwrap().wait().unwrap();
    b.wait_erased();
    let before = reads();
    assert!(before > 0);
    for _ in 0..3 {
        let again = b.ledger().submit(Submission::statement(note.clone())).unwrap().wait().unwrap();
        assert_eq!(again, Receipt { repeated: true, ..receipt });
    }
    let refused = b.ledger().submit(Submission::statement(late)).err().unwrap();
    assert!(
        matches!(refused, LedgerError::Chain(ChainError::Fork { .. } | ChainError::OldSequence { .. })),
        "{refused}"
    );
    // Nor for a statement that nobody who may has signed, or that comes with a body it must not have.
    let mut forged = b.order(&[(0, 6)], RETENTION_EXPIRED);
    forged.text = forged.text.replace("Art. 17", "Art. 18");
    let refused = b.ledger().submit(Submission::statement(forged)).err().unwrap();
    assert!(matches!(refused, LedgerError::Chain(ChainError::BadSignature { .. })), "{refused}");
    let note = b.order(&[(0, 6)], RETENTION_EXPIRED);
    let with_body = Submission { note, body: Some(Payload::Grant(Vec::new())) };
    assert!(matches!(b.ledger().submit(with_body).unwrap().wait(), Err(LedgerError::BodyUnexpected)));
    assert_eq!(reads(), before);
}
