//! Around a change of the ledger's key. Attacker: who stole the old key and can write to the database, before the change that is to end
//! that.

use std::fs;

use sealtrail::chain::statement::Statement;
use sealtrail::store::{SqliteStore, Store};

use crate::forge::{Forged, plant_a_reader};
use crate::support::Ledger;

/// Whether the state that is stored with the database has mallory in it.
fn is_planted(ledger: &Ledger) -> bool {
    let head = SqliteStore::open_read_only(&ledger.path("ledger.db")).unwrap().head().unwrap().unwrap();
    head.state.windows(7).any(|w| w == b"mallory")
}

/// Attacker: stole the ledger's key and can write to the database. He leaves a state with a reader of his own; then the theft is noticed,
/// and the admin changes the key. Neither does the admin sign that reader, nor does the ledger go on with the thief's state under its new key.
#[test]
fn have_a_planted_state_signed_at_the_change_of_the_key() {
    let ledger = Ledger::new();
    plant_a_reader(ledger.dir.path());
    assert!(is_planted(&ledger));
    ledger.ok(&["rotate", "ledger"]);
    let Statement::Roster(signed) = Forged::read(&ledger.path("ledger.db")).parts[1].statement() else {
        panic!()
    };
    let names: Vec<&str> = signed.readers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["alice"]);
    assert!(!is_planted(&ledger));
    ledger.ok(&["fsck"]);
}

/// The same thief's state is in a backup: what is put back from there has the state that the blocks give.
#[test]
fn bring_a_planted_state_back_with_a_backup() {
    let ledger = Ledger::new();
    plant_a_reader(ledger.dir.path());
    ledger.ok(&["backup", "backup"]);
    fs::rename(ledger.path("ledger.db"), ledger.path("lost.db")).unwrap();
    ledger.ok(&["restore", "backup"]);
    assert!(!is_planted(&ledger));
    ledger.ok(&["fsck"]);
}
