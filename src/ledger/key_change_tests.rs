//! Changing the ledger's key under faults: after each, one of the two keys opens the ledger, nothing acknowledged is gone, and what one
//! key signed the other does not contradict.

use super::*;
use crate::chain::checkpoint::SignedCheckpoint;

fn other_key() -> SigningKey {
    signer(ORIGIN)
}

fn copy(key: &SigningKey) -> SigningKey {
    SigningKey::parse(&key.to_text()).unwrap()
}

/// The next roster, which names `next` and is signed as `rotate ledger` signs it.
fn roster(state: &State, next: &SigningKey, admin: &SigningKey, old: &SigningKey) -> Note {
    let head = state.authority();
    let roster = Roster {
        sequence: head.next_sequence,
        previous: head.previous,
        ledger_key: next.verifier(),
        ..state.roster().unwrap().clone()
    };
    let mut note = Statement::Roster(roster).sign(admin).unwrap();
    note.add_signature(old);
    note
}

impl Bench {
    fn change_key(&mut self, next: &SigningKey) -> Result<Ledger, LedgerError> {
        drop(self.ledger.take());
        let options = Options { key: copy(next), guard: self.guard_path(), accept_database_head: false };
        let (admin, old) = (&self.admin, self.key());
        Ledger::change_key(self.store.clone(), options, &old.verifier(), &mut |_, _| (), |s| {
            Some(roster(s, next, admin, &old))
        })
    }

    fn opens_with(&self, key: &SigningKey) -> Result<Ledger, LedgerError> {
        let options = Options { key: copy(key), guard: self.guard_path(), accept_database_head: false };
        Ledger::open(self.store.clone(), options)
    }
}

#[test]
fn whatever_the_store_does_one_of_the_keys_goes_on() {
    for fault in [Fault::None, Fault::Lost, Fault::Kept, Fault::Full] {
        let mut b = Bench::new();
        let batch = b.batch(3);
        b.submit(batch).unwrap();
        let (old, next) = (b.key(), other_key());
        drop(b.ledger.take());
        let guard_before = std::fs::read(b.guard_path()).unwrap();
        b.store.set(fault);
        let changed = b.change_key(&next);
        assert_eq!(changed.is_ok(), fault == Fault::None, "{fault:?}");
        drop(changed);
        let committed = matches!(fault, Fault::None | Fault::Kept);
        let (right, wrong) = if committed { (&next, &old) } else { (&old, &next) };
        assert!(matches!(b.opens_with(wrong), Err(LedgerError::WrongKey { .. })), "{fault:?}");
        if committed {
            // The process died before the last-signed file was written.
            std::fs::write(b.guard_path(), &guard_before).unwrap();
        }
        b.ledger = Some(b.opens_with(right).unwrap());
        b.key_text = right.to_text().to_string();
        let view = b.ledger().view();
        assert!(SignedCheckpoint::parse(&view.checkpoint, &right.verifier()).is_ok());
        assert_eq!(
            (view.state.next_record(), view.state.height()),
            (3, if committed { 3 } else { 2 }),
            "{fault:?}"
        );
        drop(view);
        // It goes on, and once more over a restart.
        let batch = b.batch(2);
        b.submit(batch).unwrap();
        b.reopen().unwrap();
        if !committed {
            drop(b.change_key(&next).unwrap());
            b.ledger = Some(b.opens_with(&next).unwrap());
        }
        assert_eq!(b.ledger().view().state.ledger_keys().current(), Some(&next.verifier()));
    }
}

#[test]
fn a_running_ledger_takes_no_roster_with_a_key_it_does_not_have() {
    let b = Bench::new();
    let (old, next) = (b.key(), other_key());
    let note = roster(&b.ledger().view().state, &next, &b.admin, &old);
    let refused = b.ledger().submit(Submission::statement(note)).unwrap().wait();
    assert!(matches!(refused, Err(LedgerError::KeyChange)), "{refused:?}");
    assert_eq!(b.ledger().view().state.height(), 1);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut b = Bench::new();
    drop(b.ledger.take());
    let (old, next, third) = (b.key(), other_key(), other_key());
    let admin = SigningKey::parse(&b.admin.to_text()).unwrap();
    let options =
        |key: &SigningKey| Options { key: copy(key), guard: b.guard_path(), accept_database_head: false };
    let change = |key: &SigningKey, before: &SigningKey, named: &SigningKey, by: &SigningKey| {
        Ledger::change_key(b.store.clone(), options(key), &before.verifier(), &mut |_, _| (), |s| {
            Some(roster(s, named, by, &old))
        })
        .err()
        .unwrap()
    };
    assert!(matches!(change(&next, &old, &third, &admin), LedgerError::WrongKey { .. }));
    assert!(matches!(change(&next, &third, &next, &admin), LedgerError::WrongKey { .. }));
    assert!(matches!(change(&next, &old, &next, &third), LedgerError::Chain(_)));
    assert!(matches!(change(&next, &old, &next, &old), LedgerError::Chain(_)), "the ledger's key alone");
    assert_eq!(b.opens_with(&old).unwrap().view().state.height(), 1);
}

#[test]
fn the_last_signed_file_remembers_nothing_of_the_key_before() {
    let mut b = Bench::new();
    let batch = b.batch(1);
    b.submit(batch).unwrap();
    let (old, next) = (b.key(), other_key());
    drop(b.change_key(&next).unwrap());
    assert!(Guard::peek(&b.guard_path(), &old.verifier()).is_empty());
    let seen = Guard::peek(&b.guard_path(), &next.verifier());
    assert_eq!(seen.iter().map(|c| c.size).collect::<Vec<_>>(), [3, 3]);
}
