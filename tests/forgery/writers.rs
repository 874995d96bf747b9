//! Attacker: a dishonest writer, or the thief of a writer's key. What he signs is the writer's word; the ledger takes it like any
//! other, and where he rewrites what was committed the operator helps him.

use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::record::Record;
use sealtrail::base::secret::Secret;
use sealtrail::chain::note::Signature;
use sealtrail::chain::statement::Statement;
use sealtrail::event::policy::Policy;
use sealtrail::seal::reader_key::{Identity, Recipient};
use sealtrail::writer::Purpose;

use crate::forge::Forged;
use crate::judge::Victim::{
    Admin, File, Open, OpenAs, OpenBy, Proof, ProofBy, Reader, Resync, Seen, Stranger, Sync,
};
use crate::judge::{Scene, Victim, expect};
use crate::world::{EHR, LAB, copy, event, identity, on_roster, signer, world};

const AUDITORS: &[Victim] = &[File, Admin, Seen, Stranger, Reader, Sync, Resync];

/// Records that nobody's application logged.
#[test]
fn seal_false_records_with_a_stolen_key() {
    let mut forged = Forged::honest();
    forged.append_batch(&world().keys.ehr, &[event(99)]);
    let all = [AUDITORS, &[OpenBy(11, "ehr"), ProofBy(11, "ehr")]].concat();
    expect(
        &Scene::of(&forged.operated()).judge(&all),
        "
        File holds
        Admin holds
        Seen holds
        Stranger holds
        Reader holds
        Sync holds
        Resync holds
        OpenBy(11, \"ehr\") holds
        ProofBy(11, \"ehr\") holds",
    );
}

/// A batch that is also sealed to somebody whom the roster does not have.
#[test]
fn seal_to_a_reader_who_is_not_in_the_roster() {
    let mut forged = Forged::honest();
    let mut readers = world().roster.readers.clone();
    readers.push(on_roster("mallory", &identity()));
    let mut writer = crate::world::writer(copy(&world().keys.ehr), Policy::default(), forged.place(EHR));
    let sealed = writer.seal_events(Purpose::Events, &readers, &[event(99)], Timestamp::now()).unwrap();
    forged.append(sealed.note, sealed.body.to_vec());
    expect(
        &Scene::of(&forged.operated()).judge(&[File, Stranger, Reader, Sync]),
        "
        File holds, NOTE       from block 12 on, batches were also sealed to …, who was not in the roster
        Stranger holds
        Reader holds, NOTE       from block 12 on, batches were also sealed to …, who was not in the roster
        Sync holds",
    );
}

/// All that a writer holds opens nothing that it has sealed: its seed is no identity, and there is no other key.
#[test]
fn open_old_records_with_a_writers_key() {
    let scene = Scene::of(&Forged::honest());
    let text = world().keys.ehr.to_text();
    // PRIVATE+KEY+NAME+ID+BASE64, and base64 may have a + too.
    let seed = sealtrail::base::hash::from_base64(text.splitn(5, '+').last().unwrap()).unwrap();
    let seed: [u8; 32] = seed[1..].try_into().unwrap();
    let thief = Identity::from_secret(Secret::fill(|b: &mut [u8; 32]| b.copy_from_slice(&seed)));
    std::fs::remove_file(scene.path("bob.identity")).unwrap();
    sealtrail::config::keyfile::create_secret(&scene.path("bob.identity"), &thief.to_text()).unwrap();
    expect(&scene.judge(&[OpenAs(0, "bob")]), "
        OpenAs(0, \"bob\") 2: batch 0 of test.example/writers/ehr is not sealed for this identity: only the readers named in i…");
}

/// With the search secret of the month a thief can test guesses of values against that month's tags, and nobody sees it.
#[test]
fn test_guesses_with_a_stolen_search_secret() {
    let honest = Forged::honest();
    let header = Header::decode(Body::decode(&honest.parts[1].body).unwrap().header).unwrap();
    let (_, search) = crate::world::search("2026-11").unwrap();
    let key = |r: &u8| header.readers[usize::from(*r)].public_key.clone().try_into().unwrap();
    let readers = header.sections[0].readers.iter().map(|r| Recipient::from_bytes(key(r)).unwrap());
    let secret = search.for_readers(&readers.collect::<Vec<_>>()).section(&header.sections[0].name);
    let found = |record: &[u8], guess: &[u8]| {
        let Record::Sealed { tags, .. } = Record::decode(record).unwrap() else { panic!() };
        let tag = sealtrail::seal::tag::blind_tag(&secret, "actor", guess);
        tags.chunks(8).any(|t| t == tag)
    };
    let records = honest.parts[1].records();
    assert!(found(&records[0], b"dr-0") && !found(&records[0], b"dr-1"), "who did it is guessed");
    assert!(found(&records[1], b"dr-1"));
}

/// A batch that says it was sealed long ago. The ledger's own time stands beside it.
#[test]
fn backdate_what_is_sealed_with_a_stolen_key() {
    let mut forged = Forged::honest();
    forged.append_batch(&world().keys.ehr, &[event(99)]);
    let part = forged.parts.last_mut().unwrap();
    let mut statement = part.records_statement();
    statement.sealed = Timestamp::parse("2019-05-05T05:05:05.000Z").unwrap();
    part.set_note(Statement::Records(statement).sign(&world().keys.ehr).unwrap());
    let scene = Scene::of(&forged.operated());
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
    scene.run(&["prove", "11", "--out", "11.json", "--server", scene.url()]);
    let said = String::from_utf8(scene.run(&["verify", "11.json", "--key", "ledger.vkey"]).stdout).unwrap();
    assert!(said.contains("sealed      2019-05-05") && said.contains("committed   20"), "{said}");
    assert!(!said.contains("committed   2019"), "both clocks are told: {said}");
}

/// With the operator: the writer's whole past is written anew, every number and link in order.
#[test]
fn rewrite_a_writers_past_with_its_stolen_key_and_the_operator() {
    let mut forged = Forged::honest();
    let mut other = Forged::honest();
    other.append_batch(&world().keys.ehr, &[event(70), event(71), event(72)]);
    let mut records = other.parts.pop().unwrap();
    // In the place of the first batch: sealed for that number.
    let place = sealtrail::chain::replay::Head::default();
    let mut writer = crate::world::writer(copy(&world().keys.ehr), crate::world::policy(), place);
    let now = forged.parts[1].records_statement().sealed;
    let events = [event(70), event(71), event(72)];
    let readers = world().roster.readers.iter().filter(|r| r.name != "carol").cloned().collect::<Vec<_>>();
    let sealed = writer.seal_events(Purpose::Events, &readers, &events, now).unwrap();
    records.body = sealed.body.to_vec();
    let batch = Body::decode(&records.body).unwrap().records().map(<[u8]>::to_vec).collect::<Vec<_>>();
    forged.parts[1].body = records.body.clone();
    forged.parts[1].set_records(&batch);
    forged.parts[1].set_note(sealed.note);
    forged.resign(EHR, &[&world().keys.ehr]);
    let scene = Scene::of(&forged.operated());
    expect(&scene.judge(&[AUDITORS, &[OpenBy(0, "ehr"), ProofBy(0, "ehr")]].concat()), "
        File holds
        Admin holds
        Seen 1: block 11: up to here the ledger is not the one of the checkpoint seen before: two histories are…
        Stranger holds
        Reader holds
        Sync holds
        Resync 1: FORK: test.example/audit has signed two histories. The checkpoint of 12 blocks this vault truste…
        OpenBy(0, \"ehr\") holds
        ProofBy(0, \"ehr\") holds");
    // Whoever kept a receipt has the ledger's signature on what was there before.
    let kept = scene.run(&["verify", world().path("0.receipt").to_str().unwrap(), "--key", "ledger.vkey"]);
    assert!(kept.status.success(), "the old receipt proves the other history");
}

/// After the theft: the admin lets a new key in under the old name. The thief goes on with the old one, with the operator's help.
#[test]
fn go_on_with_a_key_that_was_replaced() {
    let (mut forged, new) = (Forged::honest(), signer(EHR));
    let mut roster = world().roster.clone();
    let place = forged.place("");
    (roster.sequence, roster.previous) = (place.next_sequence, place.previous);
    roster.writers.iter_mut().filter(|w| w.name() == EHR).for_each(|w| *w = new.verifier());
    forged.append(Statement::Roster(roster).sign(&world().keys.admin).unwrap(), Vec::new());
    let mut honest = forged.clone();
    forged.append_batch(&world().keys.ehr, &[event(99)]);
    expect(&Scene::of(&forged.operated()).judge(AUDITORS), "
        File 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Admin 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Seen 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Stranger 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Reader 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Sync 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…
        Resync 1: block 13: test.example/writers/ehr signed with another key than the roster in force has for that…");
    // The new key goes on where the old one stopped; what the old one sealed still verifies with it.
    honest.append_batch(&new, &[event(11)]);
    expect(&Scene::of(&honest.operated()).judge(&[File, Admin, Seen, Resync, OpenBy(0, "ehr"), OpenBy(11, "ehr")]), "
        File holds
        Admin holds
        Seen holds
        Resync holds
        OpenBy(0, \"ehr\") holds
        OpenBy(11, \"ehr\") 1: the proof that the server gave does not hold: the statement is signed by test.example/writers/eh…");
}

/// The key of a writer who is no longer in the roster at all.
#[test]
fn go_on_with_a_key_that_was_removed() {
    let mut forged = Forged::honest();
    let mut roster = world().roster.clone();
    let place = forged.place("");
    (roster.sequence, roster.previous) = (place.next_sequence, place.previous);
    roster.writers.retain(|w| w.name() != EHR);
    forged.append(Statement::Roster(roster).sign(&world().keys.admin).unwrap(), Vec::new());
    forged.append_batch(&world().keys.ehr, &[event(99)]);
    expect(
        &Scene::of(&forged.operated()).judge(AUDITORS),
        "
        File 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Admin 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Seen 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Stranger 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Reader 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Sync 1: block 13: test.example/writers/ehr is no writer of the roster in force
        Resync 1: block 13: test.example/writers/ehr is no writer of the roster in force",
    );
}

/// One writer's key signs for another writer's name, and in the other's sequence.
#[test]
fn sign_as_another_writer() {
    let mut forged = Forged::honest();
    forged.append_batch(&world().keys.lab, &[event(99)]);
    let part = forged.parts.last_mut().unwrap();
    let mut note = part.block().statement;
    note.signatures[0] = Signature { name: EHR.into(), ..note.signatures[0].clone() };
    part.set_note(note);
    expect(&Scene::of(&forged.operated()).judge(&[File, Stranger, Sync, ProofBy(11, "ehr"), ProofBy(11, "lab")]), "
        File 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Stranger 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        Sync 1: block 12: test.example/writers/ehr signed with another key than the roster in force has for that…
        ProofBy(11, \"ehr\") 1: NOT PROVEN: the statement is signed by test.example/writers/ehr, not with the given key of test.…
        ProofBy(11, \"lab\") 1: NOT PROVEN: the statement is signed by test.example/writers/ehr, not with the given key of test.…");
}

/// The batch names another writer inside than the one that signs it.
#[test]
fn say_another_writer_in_the_header() {
    let forged = Forged::honest();
    let body = forged.parts[1].body.clone();
    let found =
        rebuilt(forged, |h| h.writer = LAB.into()).judge(&[File, Stranger, Reader, Sync, Open(0), Proof(0)]);
    expect(&found, "
        File 1: block 1: its body is not what the writer signed: the statement says writer test.example/writers/…
        Stranger holds
        Reader 1: block 1: its body is not what the writer signed: the statement says writer test.example/writers/…
        Sync 1: block 1: its body is not what the writer signed: the statement says writer test.example/writers/…
        Open(0) 1: the server sent a malformed record: the batch header is not the one the writer signed: the state…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
    assert!(Body::decode(&body).is_ok());
}

/// Block 1 with another header, signed by its writer. Bytes that the program's own encoder refuses are patched in.
fn rebuilt(mut forged: Forged, change: impl FnOnce(&mut Header)) -> Scene {
    let records = forged.parts[1].records();
    let mut header = Header::decode(Body::decode(&forged.parts[1].body).unwrap().header).unwrap();
    change(&mut header);
    forged.parts[1].body = Body::encode(&header.encode().unwrap(), &records);
    Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records))
}

/// Readers are named twice, or are in no order: the same key would have two slots.
#[test]
fn name_a_reader_twice() {
    let mut forged = Forged::honest();
    let records = forged.parts[1].records();
    let mut bytes = Body::decode(&forged.parts[1].body).unwrap().header.to_vec();
    let header = Header::decode(&bytes).unwrap();
    let key = |n: usize| header.readers[n].public_key.clone();
    let at = bytes.windows(32).position(|w| w == key(1)).unwrap();
    bytes[at..at + 32].copy_from_slice(&key(0));
    forged.parts[1].body = Body::encode(&bytes, &records);
    let mut statement = forged.parts[1].records_statement();
    statement.header_hash = sealtrail::chain::batch::header_hash(&bytes);
    forged.parts[1].set_note(Statement::Records(statement).sign(&world().keys.ehr).unwrap());
    forged.resign(EHR, &[&world().keys.ehr]);
    let scene = Scene::of(&forged.operated());
    expect(&scene.judge(&[File, Stranger, Reader, Sync, Open(0), Proof(0)]), "
        File 1: block 1: its body is damaged: batch header is not valid: readers are not strictly ascending
        Stranger holds
        Reader 1: block 1: its body is damaged: batch header is not valid: readers are not strictly ascending
        Sync 1: block 1: its body is damaged: batch header is not valid: readers are not strictly ascending
        Open(0) 1: the server sent a malformed record: the batch header is not the one the writer signed: batch hea…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// Bob gets a slot that opens to nothing, alice a right one: a reader is shut out of one record.
#[test]
fn give_one_reader_a_slot_that_does_not_open() {
    let forged = Forged::honest();
    let mut records = forged.parts[1].records();
    let (bob, slots) = (slot_of(&forged, "bob"), slots(&records[0]));
    let at = records[0].windows(slots.len()).position(|w| w == slots).unwrap() + 32 * bob;
    records[0][at] ^= 1;
    let scene = Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, OpenAs(0, "alice"), OpenAs(0, "bob"), Proof(0)]), "
        File holds
        Reader holds
        Sync holds
        OpenAs(0, \"alice\") holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        OpenAs(0, \"bob\") 1: section `event` of record 0 of batch 0 of test.example/writers/ehr: the key in this reader's slo…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

fn slots(record: &[u8]) -> Vec<u8> {
    let Record::Sealed { sections, .. } = Record::decode(record).unwrap() else { panic!() };
    sections[0].slots.to_vec()
}

fn slot_of(forged: &Forged, name: &str) -> usize {
    let header = Header::decode(Body::decode(&forged.parts[1].body).unwrap().header).unwrap();
    let who = if name == "bob" { &world().keys.bob } else { &world().keys.alice };
    let at = header.readers.iter().position(|r| r.public_key == who.recipient().as_bytes()).unwrap();
    header.sections[0].readers.iter().position(|r| usize::from(*r) == at).unwrap()
}

/// Two plaintexts under one ciphertext: bob's slot holds another record key than alice's, and the commitment can only be to one.
#[test]
fn give_two_readers_two_record_keys() {
    let forged = Forged::honest();
    let mut records = forged.parts[1].records();
    let (from, to) = (slots(&records[1]), slots(&records[0]));
    let bob = 32 * slot_of(&forged, "bob");
    // A right slot of bob's, of another record with another key.
    let at = records[0].windows(to.len()).position(|w| w == to).unwrap() + bob;
    records[0].splice(at..at + 32, from[bob..bob + 32].to_vec());
    let scene = Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, OpenAs(0, "alice"), OpenAs(0, "bob"), Proof(0)]), "
        File holds
        Reader holds
        Sync holds
        OpenAs(0, \"alice\") holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        OpenAs(0, \"bob\") 1: section `event` of record 0 of batch 0 of test.example/writers/ehr: the key in this reader's slo…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// One record at two places of its batch, and one in the place of another batch's.
#[test]
fn put_a_record_at_two_places() {
    let forged = Forged::honest();
    let mut records = forged.parts[1].records();
    records[2] = records[0].clone();
    let scene = Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, Open(0), Open(2), Proof(2)]), "
        File holds
        Reader holds
        Sync holds
        Open(0) holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        Open(2) 1: section `event` of record 2 of batch 0 of test.example/writers/ehr: the key in this reader's slo…
        Proof(2) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
    let forged = Forged::honest();
    let mut records = forged.parts[3].records();
    records[1] = forged.parts[1].records()[1].clone();
    let scene = Scene::of(&forged.by_its_writer(3, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, Open(1), Open(6), Proof(6)]), "
        File holds
        Reader holds
        Sync holds
        Open(1) holds, EVT-00000001 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        Open(6) 1: section `event` of record 1 of batch 1 of test.example/writers/ehr: the key in this reader's slo…
        Proof(6) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// The two sections of a record change places in the ciphertext, lengths and commitments with them.
#[test]
fn swap_the_sections_of_a_record() {
    let forged = Forged::honest();
    let mut records = forged.parts[1].records();
    let Record::Sealed { ciphertext, .. } = Record::decode(&records[0]).unwrap() else { panic!() };
    let ciphertext = ciphertext.to_vec();
    let half = ciphertext.len() / 2;
    let swapped = [&ciphertext[half..], &ciphertext[..half]].concat();
    let at = records[0].len() - ciphertext.len();
    records[0].splice(at.., swapped);
    let scene = Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, OpenAs(0, "alice"), OpenAs(0, "bob"), Proof(0)]), "
        File holds
        Reader holds
        Sync holds
        OpenAs(0, \"alice\") 1: section `event` of record 0 of batch 0 of test.example/writers/ehr: the ciphertext does not auth…
        OpenAs(0, \"bob\") 1: section `event` of record 0 of batch 0 of test.example/writers/ehr: the ciphertext does not auth…
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// Tags that do not belong to the record: searches find it where it is not, and not where it is.
#[test]
fn seal_tags_of_other_values() {
    let forged = Forged::honest();
    let mut records = forged.parts[1].records();
    let Record::Sealed { tags, .. } = Record::decode(&records[0]).unwrap() else { panic!() };
    let tags = tags.to_vec();
    assert!(!tags.is_empty());
    let at = records[0].windows(tags.len()).position(|w| w == tags).unwrap();
    (0..tags.len()).filter(|n| n % 8 == 7).for_each(|n| records[0][at + n] ^= 1);
    let scene = Scene::of(&forged.by_its_writer(1, &world().keys.ehr, &records));
    expect(&scene.judge(&[File, Reader, Sync, Open(0), Proof(0)]), "
        File holds
        Reader holds
        Sync holds
        Open(0) holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
    // A search by tags misses it, whoever asks. What reads every record does not.
    let vault = ["--vault", "first", "--offline"];
    let answer = |what: &[&str]| String::from_utf8(scene.run(&[what, &vault].concat()).stdout).unwrap();
    let searched = answer(&["audit", "search", "--actor", "dr-0", "--json"]);
    assert!(!searched.contains("\"record\":0,") && searched.contains("\"record\":2,"), "{searched}");
    let counted =
        answer(&["audit", "sql", "--format", "csv", "SELECT record FROM events WHERE actor = 'dr-0'"]);
    assert!(counted.lines().any(|l| l == "0"), "{counted}");
}

/// Fields are committed to that are not those of the event: what would be disclosed later is another value.
#[test]
fn commit_to_other_fields() {
    let forged = Forged::honest();
    let mut records = forged.parts[2].records();
    // Kind, then the disclosure root.
    records[0][1..33].copy_from_slice(&[7; 32]);
    let scene = Scene::of(&forged.by_its_writer(2, &world().keys.lab, &records));
    expect(&scene.judge(&[File, Reader, Sync, Open(3), Proof(3)]), "
        File holds
        Reader holds
        Sync holds
        Open(3) 1: section `event` of record 0 of batch 0 of test.example/writers/lab: the fields are not the ones…
        Proof(3) holds, writer test.example/writers/lab, as the ledger says; give --writer VKEY to check that signature…");
}

/// Records of no bytes, of one byte, and cut short.
#[test]
fn seal_records_of_no_length() {
    let mut found = String::new();
    for (name, bytes) in [("none", vec![]), ("one", vec![1]), ("unknown kind", vec![3; 200])] {
        let mut forged = Forged::honest();
        let part = &mut forged.parts[1];
        let header = Body::decode(&part.body).unwrap().header.to_vec();
        let records = part.records();
        part.body = Body::encode(&header, &[bytes, records[1].clone(), records[2].clone()]);
        let mut statement = part.records_statement();
        statement.bytes = part.body.len() as u64;
        part.set_note(Statement::Records(statement).sign(&world().keys.ehr).unwrap());
        forged.resign(EHR, &[&world().keys.ehr]);
        let scene = Scene::served(&forged.operated());
        found += &format!("[{name}]\n{}", scene.judge(&[Stranger, Reader]));
    }
    expect(
        &found,
        "
        [none]
        Stranger holds
        Reader 1: block 1: its body is damaged: record 0 of the batch: cut short while reading record
        [one]
        Stranger holds
        Reader 1: block 1: its body is damaged: record 0 of the batch: cut short while reading record
        [unknown kind]
        Stranger holds
        Reader 1: block 1: its body is damaged: record 0 of the batch: record is not valid: unknown kind",
    );
}
