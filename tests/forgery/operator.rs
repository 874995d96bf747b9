//! Attacker: the operator. He has the ledger key, the database and the server, and no other key. Whatever he sends is signed by the
//! ledger; so nobody is asked who starts his server.

use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::statement::Statement;
use sealtrail::chain::tree;

use crate::forge::Forged;
use crate::judge::Victim::{Admin, File, Open, OpenBy, Proof, ProofBy, Reader, Resync, Seen, Stranger, Sync};
use crate::judge::{Scene, Victim, expect};
use crate::world::{
    ADMIN, EHR, LAB, OFFICERS, ORIGIN, copy, erasure, event, first_roster, on_roster, search, signer, world,
};

const AUDITORS: &[Victim] = &[File, Admin, Seen, Stranger, Reader, Sync, Resync];

/// A batch in the middle is left out, and everything after it renumbered and signed.
#[test]
fn drop_a_batch() {
    let mut forged = Forged::honest();
    forged.parts.remove(3);
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 9: test.example/writers/ehr: statement 2 arrived, 1 is next; send what is missing first
        Admin 1: block 9: test.example/writers/ehr: statement 2 arrived, 1 is next; send what is missing first
        Seen 1: it ends at 11 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or roll…
        Stranger 1: block 9: test.example/writers/ehr: statement 2 arrived, 1 is next; send what is missing first
        Reader 1: block 9: test.example/writers/ehr: statement 2 arrived, 1 is next; send what is missing first
        Sync 1: block 9: test.example/writers/ehr: statement 2 arrived, 1 is next; send what is missing first
        Resync 1: ROLLBACK: test.example/audit shows 11 blocks, and has signed 12 before: blocks were taken back,…");
}

/// The newest batch of a writer is left out. The writer has said nothing since, so no number is missing.
#[test]
fn suppress_a_writers_last_batch() {
    let mut forged = Forged::honest();
    forged.parts.pop();
    let scene = Scene::of(&forged.operated());
    expect(&scene.judge(AUDITORS), "
        File holds
        Admin holds
        Seen 1: it ends at 11 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or roll…
        Stranger holds
        Reader holds
        Sync holds
        Resync 1: ROLLBACK: test.example/audit shows 11 blocks, and has signed 12 before: blocks were taken back,…");
}

/// The first batch of a writer, and all of that writer: as if it had never sent anything.
#[test]
fn suppress_a_writer_altogether() {
    let mut forged = Forged::honest();
    let by_lab = |p: &crate::forge::Part| p.block().statement.signer_name() == LAB;
    let last_grant = forged.parts.iter().position(|p| matches!(p.statement(), Statement::Grant(_))).unwrap();
    forged.parts.remove(last_grant);
    forged.parts.retain(|p| !by_lab(p));
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 4: authority: statement 3 arrived, 2 is next; send what is missing first
        Admin 1: block 4: authority: statement 3 arrived, 2 is next; send what is missing first
        Seen 1: it ends at 7 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or rolle…
        Stranger 1: block 4: authority: statement 3 arrived, 2 is next; send what is missing first
        Reader 1: block 4: authority: statement 3 arrived, 2 is next; send what is missing first
        Sync 1: block 4: authority: statement 3 arrived, 2 is next; send what is missing first
        Resync 1: ROLLBACK: test.example/audit shows 7 blocks, and has signed 12 before: blocks were taken back, o…");
}

/// A batch of his own, signed with a key he made up, under the name of a writer.
#[test]
fn invent_records_under_a_writers_name() {
    let mut forged = Forged::honest();
    let mut mine = Forged::honest();
    mine.append_batch(&signer(EHR), &[event(99)]);
    let part = mine.parts.pop().unwrap();
    forged.parts.push(part);
    let record = 11;
    let all =
        [AUDITORS, &[Open(record), OpenBy(record, "ehr"), Proof(record), ProofBy(record, "ehr")]].concat();
    expect(&Scene::of(&forged.operated()).judge(&all), "
        File 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Admin 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Seen 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Stranger 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Reader 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Sync 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Resync 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Open(11) holds, EVT-00000011 block 12 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY ch
        OpenBy(11, \"ehr\") 1: the proof that the server gave does not hold: the statement is signed by test.example/writers/eh…
        Proof(11) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…
        ProofBy(11, \"ehr\") 1: NOT PROVEN: the statement is signed by test.example/writers/ehr, not with the given key of test.…");
}

/// A whole ledger of the same name with an admin, writers and officers of his own, who have the names of the honest ones.
fn invented(name_honest_admin: bool) -> Forged {
    let (admin, ehr, lab) = (signer(ADMIN), signer(EHR), signer(LAB));
    let honest = &world().keys;
    let mut admins = vec![admin.verifier()];
    if name_honest_admin {
        // One name stands once in a roster.
        let other = signer("test.example/other");
        admins = vec![honest.admin.verifier(), other.verifier()];
        return invented_by(&other, &admins, &ehr, &lab);
    }
    invented_by(&admin, &admins, &ehr, &lab)
}

fn invented_by(
    admin: &SigningKey,
    admins: &[sealtrail::chain::key::VerifierKey],
    ehr: &SigningKey,
    lab: &SigningKey,
) -> Forged {
    let readers = ["alice", "bob", "carol"].map(|n| {
        let roster = &world().roster;
        roster.readers.iter().find(|r| r.name == n).unwrap().clone()
    });
    let roster = first_roster(
        world().keys.ledger.verifier(),
        admins,
        &[ehr.verifier(), lab.verifier()],
        readers.to_vec(),
        &[],
    );
    let mut forged = Forged::honest();
    forged.parts.truncate(1);
    forged.parts[0].set_note(Statement::Roster(roster).sign(admin).unwrap());
    for n in 0..12 {
        forged.append_batch(if n % 2 == 0 { ehr } else { lab }, &[event(n)]);
    }
    forged.operated()
}

#[test]
fn invent_a_whole_ledger() {
    let all = [AUDITORS, &[Open(0), OpenBy(0, "ehr"), Proof(0), ProofBy(0, "ehr")]].concat();
    expect(&Scene::of(&invented(false)).judge(&all), "
        File holds
        Admin 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Reader holds
        Sync 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…
        Open(0) holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        OpenBy(0, \"ehr\") 1: the proof that the server gave does not hold: the statement is signed by test.example/writers/eh…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…
        ProofBy(0, \"ehr\") 1: NOT PROVEN: the statement is signed by test.example/writers/ehr, not with the given key of test.…");
}

/// The same, and its first roster also names the honest admin's public key, who never saw it.
#[test]
fn invent_a_ledger_that_names_the_honest_admin() {
    let all = [AUDITORS, &[OpenBy(0, "ehr"), ProofBy(0, "ehr")]].concat();
    expect(&Scene::of(&invented(true)).judge(&all), "
        File holds
        Admin 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Reader holds
        Sync 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…
        OpenBy(0, \"ehr\") 1: the proof that the server gave does not hold: the statement is signed by test.example/writers/eh…
        ProofBy(0, \"ehr\") 1: NOT PROVEN: the statement is signed by test.example/writers/ehr, not with the given key of test.…");
}

/// A ledger of anybody's that names the honest keys and then another one for the ledger, which signs it; of this many blocks.
pub fn made_up_by_anybody(blocks: u64) -> Forged {
    let (mine, other, ehr) = (signer(ORIGIN), signer("test.example/other"), signer(EHR));
    let mut forged = invented(true);
    let honest_admin = world().keys.admin.verifier();
    let Statement::Roster(first) = forged.parts[0].statement() else { panic!() };
    let (admins, writers) = (vec![honest_admin, other.verifier()], vec![ehr.verifier()]);
    let first = sealtrail::chain::roster::Roster { admins, writers, ..first };
    forged.parts.truncate(1);
    forged.parts[0].set_note(Statement::Roster(first.clone()).sign(&other).unwrap());
    let place = forged.place("");
    let mut next = sealtrail::chain::roster::Roster { ledger_key: mine.verifier(), ..first };
    (next.sequence, next.previous) = (place.next_sequence, place.previous);
    forged.append(Statement::Roster(next).sign(&other).unwrap(), Vec::new());
    (2..blocks).for_each(|n| forged.append_batch(&ehr, &[event(n)]));
    forged.relink();
    forged.sign(&mine);
    forged
}

/// Attacker: anybody, without any key. His first roster names the honest ledger's and admin's public keys, his second one a ledger key of
/// his own, with which he signs. Whatever it may take to change a ledger's key, this does not. (Only exit codes: the words are those of
/// the rule that is broken first.)
#[test]
fn invent_a_ledger_and_change_its_key() {
    // As many blocks as the auditor has seen.
    let found = Scene::of(&made_up_by_anybody(12)).judge(AUDITORS);
    assert!(found.lines().all(|line| line.contains(" 1: ")), "{found}");
}

/// A vault that was first filled without the admin's key is asked with it later.
#[test]
fn a_vault_of_an_invented_ledger_is_found_when_the_admins_key_is_given() {
    let scene = Scene::of(&invented(true));
    let sync = ["audit", "sync", "--file", "ledger.db", "--vault", "mine", "--key", "ledger.vkey"];
    let first = scene.run(&[&sync[..], &["--identity", "alice.identity"]].concat());
    assert!(first.status.success());
    let then = scene.run(&[&sync[..], &["--admin", "admin.vkey"]].concat());
    assert_eq!(then.status.code(), Some(1), "{}", String::from_utf8_lossy(&then.stderr));
    assert!(String::from_utf8_lossy(&then.stderr).contains("not signed by the admin"));
}

/// The admin is replaced in the first roster alone: the honest rest follows.
#[test]
fn substitute_the_first_roster() {
    let mut forged = Forged::honest();
    let Statement::Roster(mut roster) = forged.parts[0].statement() else { panic!() };
    let mine = signer(ADMIN);
    roster.admins = vec![mine.verifier()];
    forged.parts[0].set_note(Statement::Roster(roster).sign(&mine).unwrap());
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 4: test.example/admin signed with another key than the roster in force has for that name
        Admin 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Seen 1: block 4: test.example/admin signed with another key than the roster in force has for that name
        Stranger 1: block 4: test.example/admin signed with another key than the roster in force has for that name
        Reader 1: block 4: test.example/admin signed with another key than the roster in force has for that name
        Sync 1: block 0: its roster is not signed by the admin whose key was given: this is another ledger under…
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// A later roster of his own, signed by a key he made up under the admin's name, lets a reader in.
#[test]
fn substitute_a_later_roster() {
    let mut forged = Forged::honest();
    let place = forged.place("");
    let mut roster = sealtrail::chain::roster::Roster {
        sequence: place.next_sequence,
        previous: place.previous,
        ..world().roster.clone()
    };
    roster.readers.push(on_roster("mallory", &crate::world::identity()));
    roster.sort();
    forged.append(Statement::Roster(roster).sign(&signer(ADMIN)).unwrap(), Vec::new());
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Admin 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Seen 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Stranger 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Reader 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Sync 1: block 12: test.example/admin signed with another key than the roster in force has for that name
        Resync 1: block 12: test.example/admin signed with another key than the roster in force has for that name");
}

/// A time between those of its neighbours is moved, and the chain made anew from there.
#[test]
fn backdate_a_block_between_its_neighbours() {
    let mut forged = Forged::honest();
    let before = forged.parts[2].block().committed;
    let mut block = forged.parts[3].block();
    block.committed = before;
    forged.parts[3].text = block.to_string();
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File holds
        Admin holds
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Reader holds
        Sync holds
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// Further back than its neighbours.
#[test]
fn backdate_a_block_before_its_predecessor() {
    let mut forged = Forged::honest();
    let mut block = forged.parts[3].block();
    block.committed = sealtrail::base::clock::Timestamp::parse("2020-01-01T00:00:00.000Z").unwrap();
    forged.parts[3].text = block.to_string();
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 3: it was committed at …, before its predecessor at …
        Admin 1: block 3: it was committed at …, before its predecessor at …
        Seen 1: block 3: it was committed at …, before its predecessor at …
        Stranger 1: block 3: it was committed at …, before its predecessor at …
        Reader 1: block 3: it was committed at …, before its predecessor at …
        Sync 1: block 3: it was committed at …, before its predecessor at …
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// The clock runs ahead: the last block says 2045.
#[test]
fn date_a_block_ahead() {
    let mut forged = Forged::honest();
    let last = forged.parts.last_mut().unwrap();
    let mut block = last.block();
    block.committed = sealtrail::base::clock::Timestamp::parse("2045-01-01T00:00:00.000Z").unwrap();
    last.text = block.to_string();
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Admin holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Reader holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Sync holds, NOTE the last block says it was committed at …, which is later than now: the ledger's clock or t
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// Two auditors are shown two ledgers that part after block 9. Each holds by itself; whoever has seen the other one finds it.
#[test]
fn show_two_auditors_two_histories() {
    let mut forged = Forged::honest();
    forged.parts.truncate(11);
    forged.append_batch(&world().keys.lab, &["{\"the\":\"other\"}".into()]);
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File holds
        Admin holds
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Reader holds
        Sync holds
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…");
}

/// An erasure that no officer signed, by keys of his own under the officers' names; the record is reduced to its hashes.
#[test]
fn forge_an_erasure_statement() {
    let mut forged = Forged::honest();
    let mine = OFFICERS.map(signer);
    let records = sealtrail::chain::authority::RecordRange { first: 5, last: 5 };
    let note = erasure(forged.place(""), records, "gdpr-17", &mine.iter().collect::<Vec<_>>());
    forged.append(note, Vec::new());
    let mut kept = forged.parts[3].records();
    let inputs = sealtrail::chain::batch::leaf_inputs_of(&kept[0]).unwrap();
    kept[0].clear();
    sealtrail::base::record::Record::encode_erased(&inputs, &mut kept[0]);
    forged.parts[3].set_records(&kept);
    let all = [AUDITORS, &[Open(5), Proof(5)]].concat();
    expect(&Scene::of(&forged.operated()).judge(&all), "
        File 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Admin 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Seen 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Stranger 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Reader 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Sync 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Resync 1: block 12: test.example/officers/ciso signed with another key than the roster in force has for th…
        Open(5) holds, EVT-00000005 was erased by order at block 12 (gd | that officers signed the order is as the ledger 
        Proof(5) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// A batch stands in the chain twice.
#[test]
fn put_a_batch_in_twice() {
    let mut forged = Forged::honest();
    let again = forged.parts[3].clone();
    forged.append(again.block().statement, again.body);
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: the verification could not be finished: block 12: its row in the database does not say what its…
        Admin 1: the verification could not be finished: block 12: its row in the database does not say what its…
        Seen 1: the verification could not be finished: block 12: its row in the database does not say what its…
        Stranger 1: block 12: test.example/writers/ehr: statement 1 was accepted long ago, 3 is next
        Reader 1: block 12: test.example/writers/ehr: statement 1 was accepted long ago, 3 is next
        Sync 1: the sync could not be finished: block 12: its row in the database does not say what its signed t…
        Resync 1: the sync could not be finished: block 12: its row in the database does not say what its signed t…");
}

/// The writers' statements come from a ledger of another name, by the same writer keys.
#[test]
fn replay_a_batch_of_another_ledger() {
    let mut forged = Forged::honest();
    let options = sealtrail::writer::WriterOptions {
        key: copy(&world().keys.lab),
        ledger: "test.example/trial".into(),
        policy: sealtrail::event::policy::Policy::default(),
        retain_years: 6,
        search: Box::new(search),
    };
    let mut elsewhere = sealtrail::writer::Writer::new(options, forged.place(LAB)).unwrap();
    let now = sealtrail::base::clock::Timestamp::now();
    let purpose = sealtrail::writer::Purpose::Events;
    let sealed = elsewhere.seal_events(purpose, &world().roster.readers, &[event(50)], now).unwrap();
    forged.append(sealed.note, sealed.body.to_vec());
    let all = [AUDITORS, &[Open(11), ProofBy(11, "lab")]].concat();
    expect(&Scene::of(&forged.operated()).judge(&all), "
        File 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Admin 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Seen 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Stranger 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Reader 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Sync 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Resync 1: block 12: the statement is for the ledger test.example/trial, this is test.example/audit
        Open(11) 1: the proof that the server gave does not hold: the proof is for the ledger test.example/trial, th…
        ProofBy(11, \"lab\") 1: NOT PROVEN: the proof is for the ledger test.example/trial, the key belongs to test.example/audi…");
}

/// A heartbeat of the writer's from a trial under the very same name, at a number that fits.
#[test]
fn replay_a_statement_of_a_trial_under_the_same_name() {
    let mut forged = Forged::honest();
    let next = forged.place(LAB).next_sequence;
    let mut trial = crate::world::writer(
        copy(&world().keys.lab),
        sealtrail::event::policy::Policy::default(),
        Head { next_sequence: next, previous: sealtrail::base::hash::Hash::of(&[b"trial"]) },
    );
    let beat = trial.heartbeat(sealtrail::base::clock::Timestamp::now()).unwrap();
    forged.append(beat, Vec::new());
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Admin 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Seen 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Stranger 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Reader 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Sync 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…
        Resync 1: block 12: test.example/writers/lab: statement 4 follows a predecessor (…) that is not in the led…");
}

/// Versions of this format that never were, in each place that has a version.
#[test]
fn downgrade_a_version() {
    let lab = &world().keys.lab;
    let mut found = String::new();
    let mut case = |name: &str, forged: Forged| {
        found += &format!("[{name}]\n{}", Scene::of(&forged).judge(&[File, Stranger, Sync]));
    };
    let last = || {
        let mut forged = Forged::honest();
        let part = forged.parts.pop().unwrap();
        (forged, part)
    };
    // The block's first line: the operator's own.
    let (mut forged, part) = last();
    let text = part.text.replace("sealtrail.org/block/v1", "sealtrail.org/block/v0");
    forged.relink();
    forged.parts.push(crate::forge::Part { text, ..part });
    forged.sign(&world().keys.ledger);
    case("block", forged);
    // The statement's first line, which the writer's stolen key signs.
    let (mut forged, mut part) = last();
    let text = part.block().statement.text.replace("records/v1", "records/v0");
    part.set_note(Note::sign(&text, lab));
    forged.relink();
    forged.parts.push(part);
    forged.sign(&world().keys.ledger);
    case("statement", forged);
    expect(
        &found,
        "
        [block]
        File 1: block 11: block: expected the line 'sealtrail.org/block/v1'
        Stranger 1: block 11: block: expected the line 'sealtrail.org/block/v1'
        Sync 1: block 11: block: expected the line 'sealtrail.org/block/v1'
        [statement]
        File 1: block 11: the first line names no known kind of statement
        Stranger 1: block 11: the first line names no known kind of statement
        Sync 1: block 11: the first line names no known kind of statement",
    );
}

/// Checkpoints that are signed by the ledger's key and say what cannot be.
#[test]
fn sign_odd_checkpoints() {
    let key = &world().keys.ledger;
    let honest = Forged::honest();
    let root = tree::root(&honest.hashes());
    let size = honest.parts.len() as u64;
    let at = |origin: &str, size: u64| {
        Checkpoint { origin: origin.to_owned(), size, root }.sign(key).note().to_string()
    };
    let good = at(ORIGIN, size);
    let (text, lines) = good.split_once("\n\n").unwrap();
    let stranger = Note::sign(&format!("{text}\n"), &signer("test.example/stranger")).to_string();
    let stranger = stranger.split_once("\n\n").unwrap().1;
    let signed = |text: String| Note::sign(&text, key).to_string();
    let cases = [
        ("another origin", signed(format!("test.example/other\n{size}\n{}\n", root.base64()))),
        ("no blocks", at(ORIGIN, 0)),
        ("one block more", at(ORIGIN, size + 1)),
        ("as many as a number holds", at(ORIGIN, u64::MAX)),
        ("a leading zero", signed(format!("{ORIGIN}\n0{size}\n{}\n", root.base64()))),
        ("an extension line", signed(format!("{ORIGIN}\n{size}\n{}\nx\n", root.base64()))),
        ("line ends of another system", good.replace('\n', "\r\n")),
        ("a stranger's signature too", format!("{text}\n\n{lines}{stranger}")),
        ("the ledger's signature twice", format!("{text}\n\n{lines}{lines}")),
        ("a stranger's signature alone", format!("{text}\n\n{stranger}")),
        ("no signature", format!("{text}\n")),
        ("nothing", String::new()),
        ("forty signatures", format!("{text}\n\n{lines}{}", stranger.repeat(40))),
    ];
    let mut found = String::new();
    for (name, checkpoint) in cases {
        let forged = Forged { checkpoint, ..honest.clone() };
        found += &format!("[{name}]\n{}", Scene::of(&forged).judge(&[File, Stranger, Sync, Proof(0)]));
    }
    expect(&found, "
        [another origin]
        File 1: the checkpoint is not signed by test.example/audit: the checkpoint is for the ledger test.exampl…
        Stranger 1: the checkpoint is not signed by test.example/audit: the checkpoint is for the ledger test.exampl…
        Sync 1: the checkpoint is not signed by test.example/audit: the checkpoint is for the ledger test.exampl…
        Proof(0) 1: NOT PROVEN: the checkpoint is for the ledger test.example/other, the key belongs to test.example…
        [no blocks]
        File 1: the verification could not be finished: the database holds 12 blocks, and its checkpoint signs o…
        Stranger 1: the blocks do not have the root that the checkpoint signs: a block was changed, removed or added…
        Sync 1: the sync could not be finished: the database holds 12 blocks, and its checkpoint signs only 0 of…
        Proof(0) 1: NOT PROVEN: the block is not in the ledger's log: index 1 is outside a tree of 0 leaves
        [one block more]
        File 1: block 12: it is missing, and the checkpoint signs 13 blocks
        Stranger 3: the verification could not be finished: the entry bundle entries/000.p/13 does not hold 13 block…
        Sync 1: block 12: it is missing, and the checkpoint signs 13 blocks
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…
        [as many as a number holds]
        File 1: block 12: it is missing, and the checkpoint signs 18446744073709551615 blocks
        Stranger 3: the verification could not be finished: the entry bundle entries/000 does not hold 256 blocks, a…
        Sync 1: block 12: it is missing, and the checkpoint signs 18446744073709551615 blocks
        Proof(0) 1: NOT PROVEN: the block is not in the ledger's log: the proof has the wrong number of hashes (4) f…
        [a leading zero]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: the value of 'size' is not valid…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: the value of 'size' is not valid…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: the value of 'size' is not valid…
        Proof(0) 1: NOT PROVEN: checkpoint: the value of 'size' is not valid: expected a decimal number without lead…
        [an extension line]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: unexpected lines after the last…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: unexpected lines after the last…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: unexpected lines after the last…
        Proof(0) 1: NOT PROVEN: checkpoint: unexpected lines after the last one
        [line ends of another system]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has a control character…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has a control character…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has a control character…
        Proof(0) 1: NOT PROVEN: checkpoint: the note has a control character other than newline
        [a stranger's signature too]
        File holds
        Stranger holds
        Sync holds
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…
        [the ledger's signature twice]
        File holds
        Stranger holds
        Sync holds
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…
        [a stranger's signature alone]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: none of the signatures is by a k…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: none of the signatures is by a k…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: none of the signatures is by a k…
        Proof(0) 1: NOT PROVEN: checkpoint: none of the signatures is by a known key (signed by test.example/strange…
        [no signature]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Proof(0) 1: NOT PROVEN: checkpoint: the note has no signature lines: it must end in a blank line and '— NAME…
        [nothing]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has no signature lines:…
        Proof(0) 1: NOT PROVEN: checkpoint: the note has no signature lines: it must end in a blank line and '— NAME…
        [forty signatures]
        File 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has more than 32 signat…
        Stranger 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has more than 32 signat…
        Sync 1: the checkpoint is not signed by test.example/audit: checkpoint: the note has more than 32 signat…
        Proof(0) 1: NOT PROVEN: checkpoint: the note has more than 32 signature lines");
}
