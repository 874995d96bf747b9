//! Around a change of the ledger's key. Attackers: who stole the old key and can write to the database, before the change that is to end
//! that; and who has no key at all, and makes up a ledger that changes its key to one of his own.

use std::fs;
use std::process::Output;

use sealtrail::chain::roster::Roster;
use sealtrail::chain::statement::Statement;
use sealtrail::store::{SqliteStore, Store};

use crate::forge::{Forged, plant_a_reader};
use crate::judge::Victim::{Admin, File, Open, Reader, Resync, Seen, Stranger, Sync};
use crate::judge::{Scene, expect};
use crate::operator::made_up_by_anybody;
use crate::support::Ledger;
use crate::world::{ORIGIN, signer, world};

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

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Names of the files in the scene in which two histories are kept.
fn evidence(scene: &Scene, folder: &str) -> Vec<String> {
    let names = fs::read_dir(scene.path(folder)).unwrap().flatten();
    let names = names.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("two-histories")).collect()
}

/// Attacker: no key. He answers the first sync of an auditor who knows the ledger's key and the admin's. Nothing of his may stay behind, or
/// the vault accuses the honest ledger from then on.
#[test]
fn make_a_new_vault_accuse_the_ledger() {
    for blocks in [3, 40] {
        let scene = Scene::of(&made_up_by_anybody(blocks));
        let honest = world().path("ledger.db").display().to_string();
        let sync = |file: &str| {
            let keys = ["--key", "ledger.vkey", "--admin", "admin.vkey", "--identity", "alice.identity"];
            scene.run(&[&["audit", "sync", "--vault", "mine", "--file", file], &keys[..]].concat())
        };
        let refused = sync("ledger.db");
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let then = sync(&honest);
        assert!(then.status.success(), "{}", said(&then));
        assert!(evidence(&scene, "mine").is_empty());
    }
}

/// Attacker: no key. He answers an auditor who has seen the honest ledger: it is refused, and does not pass for a second history that the
/// ledger signed.
#[test]
fn pass_for_a_second_history_without_any_key() {
    let scene = Scene::of(&made_up_by_anybody(40));
    let verify = ["audit", "verify", "--file", "ledger.db", "--key", "ledger.vkey"];
    fs::remove_file(scene.path("ledger.db.last-signed")).unwrap();
    for admin in [&[][..], &["--admin", "admin.vkey"]] {
        let refused = scene.run(&[&verify[..], &["--checkpoint", "seen.note"], admin].concat());
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(!said(&refused).contains("two histories"), "{}", said(&refused));
        assert!(evidence(&scene, "").is_empty());
    }
}

/// Attacker: stole the admin's key, and answers for the server; he does not have the ledger's. He gives the ledger a key of his own, and goes
/// on from its true history.
#[test]
fn give_the_ledger_another_key_with_a_stolen_admin_key() {
    let (mine, keys) = (signer(ORIGIN), &world().keys);
    let mut forged = Forged::honest();
    let place = forged.place("");
    let roster = Roster {
        sequence: place.next_sequence,
        previous: place.previous,
        ledger_key: mine.verifier(),
        ..world().roster.clone()
    };
    forged.append(Statement::Roster(roster).sign(&keys.admin).unwrap(), Vec::new());
    forged.relink();
    forged.sign(&mine);
    expect(&Scene::of(&forged).judge(&[File, Admin, Seen, Stranger, Reader, Open(0), Sync, Resync]), "
        File 1: the checkpoint: the ledger's key was changed at block 12 without a signature of the key before i…
        Admin holds
        Seen 1: the checkpoint: the ledger's key was changed at block 12 without a signature of the key before i…
        Stranger 1: the checkpoint: the ledger's key was changed at block 12 without a signature of the key before i…
        Reader 1: the checkpoint: the ledger's key was changed at block 12 without a signature of the key before i…
        Open(0) 1: the proof that the server gave does not hold: checkpoint: none of the signatures is by a known k…
        Sync holds, NOTE: from block 12 on the ledger signs with another key, …; an admin alone has signed that, wit
        Resync holds, NOTE: from block 12 on the ledger signs with another key, …; an admin alone has signed that, wit");
}

/// Attacker: the operator, with the ledger's keys. He goes on from an older state and changes the key then, as if to leave the other history
/// behind with the old one; the admin signs that without knowing.
#[test]
fn hide_a_second_history_behind_a_change_of_the_key() {
    let (second, keys) = (signer(ORIGIN), &world().keys);
    let mut forged = Forged::honest();
    forged.parts.pop();
    forged.append_batch(&keys.lab, &["{\"other\":1}".to_owned()]);
    let place = forged.place("");
    let roster = Roster {
        sequence: place.next_sequence,
        previous: place.previous,
        ledger_key: second.verifier(),
        ..world().roster.clone()
    };
    let mut note = Statement::Roster(roster).sign(&keys.admin).unwrap();
    note.add_signature(&keys.ledger);
    forged.append(note, Vec::new());
    forged.relink();
    forged.sign(&second);
    expect(&Scene::of(&forged).judge(&[File, Admin, Seen, Stranger, Sync, Resync]), "
        File holds
        Admin holds
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Sync holds, NOTE: from block 12 on the ledger signs with another key, …; an admin and the key before it have
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}
