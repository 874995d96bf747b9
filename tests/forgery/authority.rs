//! Attackers with an authority's keys: an admin who is no longer one, one officer of two, thieves of such keys, an admin who goes too
//! far. The operator helps them: the ledger itself would refuse most of this.

use sealtrail::base::clock::Timestamp;
use sealtrail::base::grant::{GrantBuilder, GrantHead};
use sealtrail::base::record::Record;
use sealtrail::chain::authority::{GrantStatement, HoldAction, RecordRange};
use sealtrail::chain::grant::slots_hash;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::State;
use sealtrail::chain::roster::Roster;
use sealtrail::chain::statement::Statement;

use crate::forge::{Forged, plant_a_reader};
use crate::judge::Victim::{Admin, File, Open, OpenAs, Reader, Resync, Seen, Stranger, Sync};
use crate::judge::{Scene, Victim, expect};
use crate::world::{ADMIN, erasure, identity, on_roster, signer, world};

const AUDITORS: &[Victim] = &[File, Admin, Seen, Stranger, Reader, Sync, Resync];

fn one(record: u64) -> RecordRange {
    RecordRange { first: record, last: record }
}

/// The next roster, changed.
fn roster(forged: &Forged, change: impl FnOnce(&mut Roster)) -> Roster {
    let place = forged.place("");
    let mut roster = Roster {
        sequence: place.next_sequence,
        previous: place.previous,
        issued: Timestamp::now(),
        ..world().roster.clone()
    };
    change(&mut roster);
    roster.sort();
    roster
}

/// The record is reduced to its hashes.
fn without(mut forged: Forged, record: u64) -> Forged {
    let height = forged.height_of(record);
    let part = &mut forged.parts[height];
    let position = (record - part.block().first_record) as usize;
    let mut records = part.records();
    let inputs = sealtrail::chain::batch::leaf_inputs_of(&records[position]).unwrap();
    records[position].clear();
    Record::encode_erased(&inputs, &mut records[position]);
    part.set_records(&records);
    forged
}

fn ordered(mut forged: Forged, record: u64, reason: &str, officers: &[&SigningKey]) -> Forged {
    let note = erasure(forged.place(""), one(record), reason, officers);
    forged.append(note, Vec::new());
    without(forged, record).operated()
}

/// Two are required.
#[test]
fn erase_with_one_officer_of_two() {
    let forged = ordered(Forged::honest(), 5, "gdpr-17", &[&world().keys.officers[0]]);
    expect(
        &Scene::of(&forged).judge(AUDITORS),
        "
        File 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Admin 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Seen 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Stranger 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Reader 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Sync 1: block 12: an erasure needs the signatures of 2 officers, this has 1
        Resync 1: block 12: an erasure needs the signatures of 2 officers, this has 1",
    );
}

/// One officer signs twice, and once more under the other's name.
#[test]
fn count_one_officer_twice() {
    let [ciso, dpo] = &world().keys.officers;
    let mut found = String::new();
    let twice = ordered(Forged::honest(), 5, "gdpr-17", &[ciso, ciso]);
    found += &format!("[the same line twice]\n{}", Scene::of(&twice).judge(&[File, Stranger, Sync]));
    let mut forged = Forged::honest();
    let mut note = erasure(forged.place(""), one(5), "gdpr-17", &[ciso, ciso]);
    note.signatures[1].name = dpo.name().into();
    forged.append(note, Vec::new());
    let forged = without(forged, 5).operated();
    found += &format!("[under the other's name]\n{}", Scene::of(&forged).judge(&[File, Stranger, Sync]));
    let mut forged = Forged::honest();
    let mut note = erasure(forged.place(""), one(5), "gdpr-17", &[ciso, ciso]);
    note.signatures[1].name = dpo.name().into();
    note.signatures[1].key_id = dpo.verifier().key_id();
    forged.append(note, Vec::new());
    let forged = without(forged, 5).operated();
    found += &format!("[with the other's key id]\n{}", Scene::of(&forged).judge(&[File, Stranger, Sync]));
    expect(&found, "
        [the same line twice]
        File 1: block 12: test.example/officers/ciso is on two signature lines
        Stranger 1: block 12: test.example/officers/ciso is on two signature lines
        Sync 1: block 12: test.example/officers/ciso is on two signature lines
        [under the other's name]
        File 1: block 12: test.example/officers/dpo signed with another key than the roster in force has for tha…
        Stranger 1: block 12: test.example/officers/dpo signed with another key than the roster in force has for tha…
        Sync 1: block 12: test.example/officers/dpo signed with another key than the roster in force has for tha…
        [with the other's key id]
        File 1: block 12: the signature of test.example/officers/dpo does not verify: the statement was changed…
        Stranger 1: block 12: the signature of test.example/officers/dpo does not verify: the statement was changed…
        Sync 1: block 12: the signature of test.example/officers/dpo does not verify: the statement was changed…");
}

/// Both officers, and the record is under a hold.
#[test]
fn erase_what_is_held() {
    let officers: Vec<&SigningKey> = world().keys.officers.iter().collect();
    let forged = ordered(Forged::honest(), 1, "gdpr-17", &officers);
    expect(&Scene::of(&forged).judge(AUDITORS), "
        File 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Admin 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Seen 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Stranger 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Reader 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Sync 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…
        Resync 1: block 12: record 1 is under the hold case-1: nothing of it may be erased before that is released…");
}

/// Both officers say that the time is over, years before it is.
#[test]
fn erase_as_expired_before_its_time() {
    let officers: Vec<&SigningKey> = world().keys.officers.iter().collect();
    let forged = ordered(Forged::honest(), 5, "retention-expired", &officers);
    expect(&Scene::of(&forged).judge(AUDITORS), "
        File 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Admin 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Seen 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Stranger 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Reader 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Sync 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…
        Resync 1: block 12: record 5 must be kept until …, and it is …: before that day it cannot be erased as ret…");
    // With the operator's clock set ahead it is past its date; every later block must then say so too.
    let mut late = Forged::honest();
    let note = erasure(late.place(""), one(5), "retention-expired", &officers);
    late.append(note, Vec::new());
    let last = late.parts.last_mut().unwrap();
    let mut block = last.block();
    block.committed = Timestamp::parse("2045-01-01T00:00:00.000Z").unwrap();
    last.text = block.to_string();
    expect(&Scene::of(&without(late, 5).operated()).judge(AUDITORS), "
        File holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Admin holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Seen holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Stranger holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Reader holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Sync holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Resync holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t");
}

/// A hold is released by a key that is neither admin nor officer, and the record erased.
#[test]
fn release_a_hold_without_the_right_to() {
    let mut forged = Forged::honest();
    let Statement::Hold(mut hold) = crate::world::hold(forged.place(""), "case-1", one(1)) else { panic!() };
    hold.action = HoldAction::Release;
    forged.append(Statement::Hold(hold).sign(&signer(ADMIN)).unwrap(), Vec::new());
    let officers: Vec<&SigningKey> = world().keys.officers.iter().collect();
    let forged = ordered(forged, 1, "gdpr-17", &officers);
    expect(&Scene::of(&forged).judge(&[File, Stranger, Sync]), "
        File 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Stranger 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Sync 1: block 12: test.example/admin signed with another key than the roster in force has for that name");
}

/// An admin alone makes officers of his own and erases what officers did not order. Nothing forbids it; nothing hides it.
#[test]
fn admin_makes_himself_the_only_officer() {
    let mut forged = Forged::honest();
    let mine = signer("test.example/officers/me");
    let next = roster(&forged, |r| (r.officers_required, r.officers) = (1, vec![mine.verifier()]));
    forged.append(Statement::Roster(next).sign(&world().keys.admin).unwrap(), Vec::new());
    let scene = Scene::of(&ordered(forged, 5, "gdpr-17", &[&mine]));
    expect(
        &scene.judge(AUDITORS),
        "
        File holds
        Admin holds
        Seen holds
        Stranger holds
        Reader holds
        Sync holds
        Resync holds",
    );
    let said = scene.run(&["audit", "verify", "--key", "ledger.vkey", "--file", "ledger.db"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("by order at block 13 (gdpr-17, Art. 17(1) GDPR), signed by test.example/officers/me"),
        "{said}"
    );
}

/// An officer of the roster before signs after the roster of now.
#[test]
fn erase_with_officers_who_left() {
    let mut forged = Forged::honest();
    let [ciso, dpo] = &world().keys.officers;
    let new = [signer("test.example/officers/a"), signer("test.example/officers/b")];
    let next = roster(&forged, |r| r.officers = new.iter().map(SigningKey::verifier).collect());
    forged.append(Statement::Roster(next).sign(&world().keys.admin).unwrap(), Vec::new());
    expect(
        &Scene::of(&ordered(forged, 5, "gdpr-17", &[ciso, dpo])).judge(&[File, Stranger, Sync]),
        "
        File 1: block 13: test.example/officers/ciso is no officer of the roster in force
        Stranger 1: block 13: test.example/officers/ciso is no officer of the roster in force
        Sync 1: block 13: test.example/officers/ciso is no officer of the roster in force",
    );
}

/// The admin was replaced. The old key signs one more roster, with a reader of its own.
#[test]
fn old_admin_signs_after_the_change() {
    let mut forged = Forged::honest();
    let new = signer("test.example/admins/new");
    let next = roster(&forged, |r| r.admins = vec![new.verifier()]);
    forged.append(Statement::Roster(next).sign(&world().keys.admin).unwrap(), Vec::new());
    // The honest way on: what follows is the new admin's, and the auditor's old key still holds for the beginning.
    let honest = forged.clone().operated();
    expect(
        &Scene::of(&honest).judge(&[File, Admin, Seen, Resync]),
        "
        File holds
        Admin holds
        Seen holds
        Resync holds",
    );
    let mallory = roster(&forged, |r| r.readers.push(on_roster("mallory", &identity())));
    forged.append(Statement::Roster(mallory).sign(&world().keys.admin).unwrap(), Vec::new());
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Admin 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Seen 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Stranger 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Reader 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Sync 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…
        Resync 1: block 13: a roster or grant must be signed by an admin of the roster in force; test.example/admi…");
}

/// An old roster of the admin's, with readers who have left, is brought again.
#[test]
fn bring_an_old_roster_again() {
    let mut forged = Forged::honest();
    let old = forged.parts[0].block().statement;
    forged.append(old, Vec::new());
    expect(&Scene::of(&forged.operated()).judge(&[File, Stranger, Sync]), "
        File 1: the verification could not be finished: block 12: its row in the database does not say what its…
        Stranger 1: block 12: authority: statement 0 was accepted long ago, 5 is next
        Sync 1: the sync could not be finished: block 12: its row in the database does not say what its signed t…");
}

/// A name that looks like the writer's, with another letter in it, is let in by the admin.
#[test]
fn admin_adds_a_name_that_looks_the_same() {
    let mut forged = Forged::honest();
    let alike = signer("test.example/writers/\u{435}hr");
    let next = roster(&forged, |r| r.writers.push(alike.verifier()));
    forged.append(Statement::Roster(next).sign(&world().keys.admin).unwrap(), Vec::new());
    forged.append_batch(&alike, &["{\"n\":\"alike\"}".into()]);
    let scene = Scene::of(&forged.operated());
    expect(&scene.judge(&[File, Stranger, Sync, Open(11), Victim::ProofBy(11, "ehr")]), "
        File holds
        Stranger holds
        Sync holds
        Open(11) holds, EVT-00000011 block 13 sealed … by test.example/writers/еhr (as the ledger says; --writer VKEY ch
        ProofBy(11, \"ehr\") 1: NOT PROVEN: the statement is signed by test.example/writers/еhr, not with the given key of test.…");
}

/// A reader's key of small order: the record keys of everything sealed to it would be anybody's.
#[test]
fn admin_adds_a_key_of_small_order() {
    let mut forged = Forged::honest();
    let text = sealtrail::chain::recipient::recipient_text(&[0; 32]).unwrap();
    let next = roster(&forged, |r| {
        r.readers.push(sealtrail::chain::roster::RosterReader {
            name: "zero".into(),
            recipient: text,
            required: false,
        });
    });
    let text = Statement::Roster(next).to_text();
    forged.append(Note::sign(&text, &world().keys.admin), Vec::new());
    let scene = Scene::served(&signed_as_it_is(forged));
    expect(
        &scene.judge(&[Stranger, Reader]),
        "
        Stranger 1: block 12: roster: the value of 'reader' is not valid: expected NAME …
        Reader 1: block 12: roster: the value of 'reader' is not valid: expected NAME …",
    );
}

/// Relinked but for the last block, which no reader of the format can read.
fn signed_as_it_is(mut forged: Forged) -> Forged {
    let mut last = forged.parts.pop().unwrap();
    forged.relink();
    let (height, previous) = (forged.parts.len(), *forged.hashes().last().unwrap());
    let mut block = last.block();
    (block.height, block.previous) = (height as u64, previous);
    block.first_record = 11;
    last.text = block.to_string();
    forged.parts.push(last);
    forged.sign(&world().keys.ledger);
    forged
}

/// The grant in block 5, changed.
fn grant(forged: &Forged) -> GrantStatement {
    let Statement::Grant(grant) = forged.parts[5].statement() else { panic!() };
    grant
}

/// A grant's range is made wider than its slots, by the operator: the admin's signature stays.
#[test]
fn widen_a_grant() {
    let mut forged = Forged::honest();
    let wide = GrantStatement { range: RecordRange { first: 0, last: 6 }, ..grant(&forged) };
    let mut note = forged.parts[5].block().statement;
    note.text = Statement::Grant(wide).to_text();
    forged.parts[5].set_note(note);
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Admin 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Seen 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Stranger 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Reader 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Sync 1: block 5: the signature of test.example/admin does not verify: the statement was changed after si…
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// The admin signs a grant that says more than its body gives, one to somebody who is no reader, and one in a granter's name who
/// knows nothing of it.
#[test]
fn admin_signs_false_grants() {
    let mut found = String::new();
    let mut case = |name: &str, change: &dyn Fn(&mut GrantStatement)| {
        let mut forged = Forged::honest();
        let place = forged.place("");
        let mut false_grant =
            GrantStatement { sequence: place.next_sequence, previous: place.previous, ..grant(&forged) };
        change(&mut false_grant);
        let body = forged.parts[5].body.clone();
        let note = Statement::Grant(false_grant).sign(&world().keys.admin).unwrap();
        let honest = forged.parts[5].clone();
        forged.parts.push(crate::forge::Part { body, leaves: Vec::new(), ..honest });
        let last = forged.parts.last_mut().unwrap();
        last.set_note(note);
        let mut block = last.block();
        block.committed = forged.parts[11].block().committed;
        forged.parts[12].text = block.to_string();
        found +=
            &format!("[{name}]\n{}", Scene::of(&forged.operated()).judge(&[File, Reader, Stranger, Sync]));
    };
    case("more records", &|g| g.range.last = 6);
    case("records that are not there yet", &|g| g.range.last = 99);
    case("other slots", &|g| g.slots_hash = sealtrail::base::hash::Hash::of(&[b"x"]));
    case("to nobody", &|g| g.to = identity().recipient().to_string());
    case("from bob, who did not make it", &|g| g.from = world().keys.bob.recipient().to_string());
    expect(&found, "
        [more records]
        File 1: block 12: the statement covers 7 records, the slots 5
        Reader 1: block 12: the statement covers 7 records, the slots 5
        Stranger holds
        Sync 1: block 12: the statement covers 7 records, the slots 5
        [records that are not there yet]
        File 1: block 12: record 99 is beyond the ledger, which has 11 records
        Reader 1: block 12: record 99 is beyond the ledger, which has 11 records
        Stranger 1: block 12: record 99 is beyond the ledger, which has 11 records
        Sync 1: block 12: record 99 is beyond the ledger, which has 11 records
        [other slots]
        File 1: block 12: the statement says slots-hash …, the slots have …
        Reader 1: block 12: the statement says slots-hash …, the slots have …
        Stranger holds
        Sync 1: block 12: the statement says slots-hash …, the slots have …
        [to nobody]
        File 1: block 12: a grant must be to a reader of the roster in force, and carol with … is none; add it f…
        Reader 1: block 12: a grant must be to a reader of the roster in force, and carol with … is none; add it f…
        Stranger 1: block 12: a grant must be to a reader of the roster in force, and carol with … is none; add it f…
        Sync 1: block 12: a grant must be to a reader of the roster in force, and carol with … is none; add it f…
        [from bob, who did not make it]
        File holds
        Reader holds
        Stranger holds
        Sync holds");
}

/// Slots for a section that the granter could not read: whoever makes the body can write what he likes into it.
#[test]
fn grant_a_section_that_the_granter_does_not_read() {
    let mut forged = Forged::honest();
    let mut builder = GrantBuilder::default();
    let head = GrantHead {
        height: 1,
        position: 0,
        records: 3,
        sections: 0b10,
        enc: vec![9; 32],
        search: vec![0; 16],
    };
    let mut entries = Vec::new();
    (0..3).for_each(|n| sealtrail::base::grant::put_entry(&[[n + 1; 32]], &mut entries));
    builder.push(&head, &entries);
    let body = builder.finish();
    let place = forged.place("");
    let statement = GrantStatement {
        sequence: place.next_sequence,
        previous: place.previous,
        range: RecordRange { first: 0, last: 2 },
        from: world().keys.bob.recipient().to_string(),
        slots_hash: slots_hash(&body).unwrap(),
        ..grant(&forged)
    };
    forged.append(Statement::Grant(statement).sign(&world().keys.admin).unwrap(), Vec::new());
    forged.parts.last_mut().unwrap().body = body;
    // The new reader opens what she was honestly granted, and nothing by the false slots.
    let scene = Scene::of(&forged.operated());
    expect(&scene.judge(&[File, Reader, Sync, OpenAs(0, "carol")]), "
        File holds
        Reader holds
        Sync holds
        OpenAs(0, \"carol\") 2: batch 0 of test.example/writers/ehr is not sealed for this identity: only the readers named in i…");
    let vault = ["--vault", "carols", "--key", "ledger.vkey", "--identity", "carol.identity"];
    assert!(scene.run(&[&["audit", "sync", "--file", "ledger.db"], &vault[..]].concat()).status.success());
    let opened = scene.run(&[&["audit", "open", "0", "--offline"], &vault[..]].concat());
    assert_eq!(String::from_utf8_lossy(&opened.stdout).trim(), crate::world::event(0));
}

/// The operator changes a granted slot in place.
#[test]
fn change_a_granted_slot() {
    let mut forged = Forged::honest();
    *forged.parts[5].body.last_mut().unwrap() ^= 1;
    expect(
        &Scene::of(&forged.operated()).judge(&[File, Reader, Stranger, Sync]),
        "
        File 1: block 5: the statement says slots-hash …, the slots have …
        Reader 1: block 5: the statement says slots-hash …, the slots have …
        Stranger holds
        Sync 1: block 5: the statement says slots-hash …, the slots have …",
    );
}

/// Attacker: can write beside the database, or stands for the server, and has no key. The admin adds a reader through him. He shows a
/// roster with a reader of his own in it, says truly where the sequence stands, and waits for the admin to sign.
#[test]
fn substitute_a_roster_under_the_admins_hands() {
    use sealtrail::api::message::StatementReceipt;
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| crate::judge::run(dir.path(), args);
    let alice = String::from_utf8(run(&["keygen", "reader", "alice"]).stdout).unwrap();
    assert!(
        run(&["init", "test.example/audit", "--reader", &format!("alice={}", alice.trim())]).status.success()
    );
    let bob = identity().recipient().to_string();
    assert!(run(&["reader", "add", "bob", &bob]).status.success());
    let database = dir.path().join("ledger.db");
    let honest = Forged::read(&database);
    let place = honest.place("");
    // Somebody has the database open, so the command asks the server whose address stands beside it.
    let _lock = sealtrail::store::LockFile::acquire(&database).unwrap();
    let mut found = String::new();
    let mut attempt = |name: &str, forged: Forged, sequence: (u64, sealtrail::base::hash::Hash)| {
        let info = crate::evil::ledger_info(forged.parts.len(), 1, sequence);
        let receipt = StatementReceipt { block: 2, first_record: 0, count: 0, repeated: false };
        let sent = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let keep = sent.clone();
        let lie = move |path: &str, body: &[u8]| match path {
            "/v1/ledger" => serde_json::to_vec(&info).ok(),
            "/v1/statements" => {
                *keep.lock().unwrap() = String::from_utf8(body.to_vec()).unwrap();
                serde_json::to_vec(&receipt).ok()
            }
            _ => None,
        };
        let evil = crate::evil::Evil::lying(forged, Box::new(lie));
        std::fs::write(dir.path().join("ledger.db.url"), &evil.url).unwrap();
        let out = run(&["reader", "add", "carol", &identity().recipient().to_string()]);
        let code = out.status.code().unwrap();
        let said = String::from_utf8_lossy(if code == 0 { &out.stdout } else { &out.stderr }).into_owned();
        found += &format!("{name}: {code}: {}", said.lines().last().unwrap().split(" added").next().unwrap());
        // What he has got from the admin: would the ledger take it, and is it a beginning of another one?
        if let Ok(note) = Note::parse(&sent.lock().unwrap()) {
            let mut state = State::new("test.example/audit");
            let anew = state.check_statement(&note).is_ok();
            honest.parts.iter().for_each(|p| drop(state.apply(&p.block()).unwrap()));
            let good = state.check_statement(&note).map(|_| "good").unwrap_or("good for nothing");
            found +=
                &format!("; what was signed is {good}{}", if anew { ", and a first roster" } else { "" });
        }
        found.push('\n');
    };
    let true_place = (place.next_sequence, place.previous);
    attempt("as it is", honest.clone(), true_place);
    let with_mallory = |height: usize| {
        let mut forged = honest.clone();
        let Statement::Roster(mut roster) = forged.parts[height].statement() else { panic!() };
        roster.readers.push(on_roster("mallory", &identity()));
        roster.sort();
        let mut note = forged.parts[height].block().statement;
        note.text = Statement::Roster(roster).to_text();
        forged.parts[height].set_note(note);
        forged
    };
    attempt("a reader of his own in it", with_mallory(1), true_place);
    // What is signed then follows the false roster, and nothing true.
    let fitting = with_mallory(1);
    let place = fitting.place("");
    attempt("a reader of his own, and a place that fits it", fitting, (place.next_sequence, place.previous));
    let nowhere = sealtrail::base::hash::Hash::ZERO;
    attempt("the place of a first roster", with_mallory(1), (0, nowhere));
    // The true statement after it, so that what is signed would be good.
    let mut bridged = with_mallory(1);
    bridged.parts.push(honest.parts[1].clone());
    attempt("a reader of his own, then the true roster", bridged, true_place);
    let mut first = with_mallory(1);
    let Statement::Roster(mut roster) = first.parts[1].statement() else { panic!() };
    roster.ledger = "test.example/other".into();
    roster.ledger_key = signer("test.example/other").verifier();
    let mut note = first.parts[1].block().statement;
    note.text = Statement::Roster(roster).to_text();
    first.parts[1].set_note(note);
    attempt("of another ledger", first, true_place);
    expect(&found, "
        as it is: 0: reader carol; what was signed is good
        a reader of his own in it: 1: sealtrail: block 1 holds another roster than the one that the authority sequence goes on from
        a reader of his own, and a place that fits it: 0: reader carol; what was signed is good for nothing
        the place of a first roster: 1: sealtrail: block 1 holds another roster than the one that the authority sequence goes on from
        a reader of his own, then the true roster: 1: sealtrail: block 2 does not follow the roster that is named as the one in force
        of another ledger: 1: sealtrail: block 1 holds the roster of another ledger");
}

/// Attacker: the operator, with the ledger key. He puts a reader of his own into the state that is stored with the database, signs that,
/// and lets an admin whose key he does not have add somebody at this machine.
#[test]
fn substitute_a_roster_in_the_stored_state() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| crate::judge::run(dir.path(), args);
    let alice = String::from_utf8(run(&["keygen", "reader", "alice"]).stdout).unwrap();
    assert!(
        run(&["init", "test.example/audit", "--reader", &format!("alice={}", alice.trim())]).status.success()
    );
    plant_a_reader(dir.path());
    let database = dir.path().join("ledger.db");
    let out = run(&["reader", "add", "bob", &identity().recipient().to_string()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // What the admin has signed has bob in it, and nobody else. (The stored state stays the operator's own to spoil.)
    let Statement::Roster(signed) = Forged::read(&database).parts[1].statement() else { panic!() };
    let names: Vec<&str> = signed.readers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
}

/// A name with a letter in it that nobody sees, or that turns the line around: lists show it as its number.
#[test]
fn admin_adds_a_name_with_hidden_letters() {
    let folder = crate::support::Ledger::new();
    folder.ok(&["reader", "add", "ali\u{200b}ce", &identity().recipient().to_string()]);
    for role in ["writer", "officer"] {
        let key = signer(&format!("test.example/\u{202e}{role}")).verifier().to_string();
        folder.ok(&[role, "add", &key]);
    }
    let shown = ["reader", "writer", "officer"].map(|role| folder.ok(&[role, "list"])).concat();
    assert!(shown.contains("ali\\u{200b}ce") && !shown.contains('\u{200b}'), "{shown}");
    assert_eq!(shown.matches("\\u{202e}").count(), 2, "{shown}");
    assert!(!shown.contains('\u{202e}'));
}
