//! Attacker: the database administrator. He can write to the database file and delete the files beside it. He has no key.

use rusqlite::Connection;
use sealtrail::base::record::Record;
use sealtrail::chain::authority::RecordRange;
use sealtrail::chain::note::Note;

use crate::forge::{Forged, Part};
use crate::judge::Victim::{
    Admin, File, Open, Proof, Reader, Resync, Seen, Start, StartUnguarded, Stranger, Sync,
};
use crate::judge::{FILES, Scene, expect, with_triggers_off};
use crate::world::{BACKUP, take_copy, world};

/// The honest ledger holds for everyone: what is found below is found because of the attack.
#[test]
fn an_honest_ledger_holds_for_everyone() {
    let scene = Scene::of(&Forged::honest());
    let all = [Start, File, Admin, Seen, Stranger, Reader, Sync, Resync, Open(0), Proof(0)];
    expect(&scene.judge(&all), "
        Start holds
        File holds
        Admin holds
        Seen holds
        Stranger holds
        Reader holds
        Sync holds
        Resync holds
        Open(0) holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che
        Proof(0) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// One bit of a ciphertext, by SQL, where the stored chunk has it.
#[test]
fn edit_a_ciphertext() {
    let honest = Forged::honest();
    let needle = honest.parts[1].records()[1].clone();
    let Ok(Record::Sealed { ciphertext, .. }) = Record::decode(&needle) else { panic!() };
    let piece = ciphertext[40..60].to_vec();
    let scene = Scene::edited(|db| {
        let chunks: Vec<(i64, Vec<u8>)> = rows(db, "SELECT id, data FROM body_chunk");
        let (id, mut data) = chunks.into_iter().find(|(_, d)| d.windows(20).any(|w| w == piece)).unwrap();
        let at = data.windows(20).position(|w| w == piece).unwrap();
        data[at + 3] ^= 1;
        db.execute("UPDATE body_chunk SET data = ?1 WHERE id = ?2", (data, id)).unwrap();
    });
    expect(&scene.judge(FILES), "
        Start holds
        File 1: record EVT-00000001 in block 1: the ciphertext stored here is not what the writer signed: it was…
        Admin 1: record EVT-00000001 in block 1: the ciphertext stored here is not what the writer signed: it was…
        Seen 1: record EVT-00000001 in block 1: the ciphertext stored here is not what the writer signed: it was…
        Sync 1: block 1: its body is not what the writer signed: the statement says records-root …, the batch ha…
        Resync holds");
}

fn rows(db: &Connection, sql: &str) -> Vec<(i64, Vec<u8>)> {
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The same, and the permanent leaf inputs with it, so that proofs are made of the changed record.
#[test]
fn edit_a_ciphertext_and_its_leaf_inputs() {
    let mut forged = Forged::honest();
    let mut records = forged.parts[1].records();
    *records[1].last_mut().unwrap() ^= 1;
    forged.parts[1].set_records(&records);
    let scene = Scene::of(&forged);
    let all = [Start, File, Seen, Stranger, Reader, Sync, Resync, Open(1), Open(0), Proof(1)];
    expect(&scene.judge(&all), "
        Start holds
        File 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Seen 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Stranger 1: block 1: its leaf inputs do not have the root that the writer signed
        Reader 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Sync 1: block 1: its body is not what the writer signed: the statement says records-root …, the batch ha…
        Resync holds
        Open(1) 1: the proof that the server gave does not hold: the record is not in the block: the proof does not…
        Open(0) 1: the proof that the server gave does not hold: the record is not in the block: the proof does not…
        Proof(1) 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…");
}

/// Two records of one batch change places, leaf inputs and all.
#[test]
fn reorder_records_of_a_batch() {
    let mut forged = Forged::honest();
    let mut records = forged.parts[1].records();
    records.swap(0, 2);
    forged.parts[1].set_records(&records);
    expect(&Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Reader, Sync, Open(0), Proof(0)]), "
        Start holds
        File 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Seen 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Stranger 1: block 1: its leaf inputs do not have the root that the writer signed
        Reader 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Sync 1: block 1: its body is not what the writer signed: the statement says records-root …, the batch ha…
        Open(0) 1: the proof that the server gave does not hold: the record is not in the block: the proof does not…
        Proof(0) 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…");
}

/// Two blocks of different writers change places, each with its records, and all that has no signature is computed anew.
#[test]
fn reorder_blocks() {
    let mut forged = Forged::honest();
    forged.parts.swap(1, 2);
    forged.relink();
    expect(&Scene::of(&forged).judge(&[Start, StartUnguarded, File, Seen, Stranger, Sync, Resync, Proof(0)]), "
        Start 1: the database is damaged: block 2: block 2: it was committed at …, before its predecessor at …. R…
        StartUnguarded 1: the database is damaged: block 2: block 2: it was committed at …, before its predecessor at …. R…
        File 1: block 2: it was committed at …, before its predecessor at …
        Seen 1: block 2: it was committed at …, before its predecessor at …
        Stranger 1: block 2: it was committed at …, before its predecessor at …
        Sync 1: the blocks the server gave do not have the root that its checkpoint signs: a block was changed,…
        Resync holds
        Proof(0) 1: NOT PROVEN: the block is not in the ledger's log: the proof does not lead to the tree's root: so…");
}

/// A block is taken out and the gap closed.
#[test]
fn delete_a_block() {
    let mut forged = Forged::honest();
    forged.parts.remove(2);
    forged.relink();
    expect(&Scene::of(&forged).judge(&[Start, StartUnguarded, File, Seen, Stranger, Sync, Resync]), "
        Start 1: the database is damaged: the checkpoint counts 12 blocks, the head 11. Run `sealtrail fsck`: it…
        StartUnguarded 1: the database is damaged: the checkpoint counts 12 blocks, the head 11. Run `sealtrail fsck`: it…
        File 1: block 5: test.example/writers/lab: statement 1 arrived, 0 is next; send what is missing first
        Seen 1: block 5: test.example/writers/lab: statement 1 arrived, 0 is next; send what is missing first
        Stranger 3: the verification could not be finished: the entry bundle entries/000.p/12 does not hold 12 block…
        Sync 1: block 11: it is missing, and the checkpoint signs 12 blocks
        Resync holds");
}

/// The newest blocks are cut off, and the checkpoint of that time, which everyone could keep, is put back.
#[test]
fn truncate_to_an_old_checkpoint() {
    let backup = Forged::read(&world().backup);
    let mut forged = Forged::honest();
    forged.parts.truncate(backup.parts.len());
    forged.checkpoint = backup.checkpoint;
    expect(&Scene::of(&forged).judge(&[Start, StartUnguarded, File, Admin, Seen, Stranger, Sync, Resync]), "
        Start 1: the database ends at block 8 but this ledger has signed a checkpoint of 12 blocks: it was restor…
        StartUnguarded 2: the last-signed file is missing although the database holds 8 blocks, so a rollback could not be…
        File 1: record EVT-00000004: its ciphertext is missing and no erasure statement orders that
        Admin 1: record EVT-00000004: its ciphertext is missing and no erasure statement orders that
        Seen 1: it ends at 8 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or rolle…
        Stranger holds
        Sync 1: block 2: the content of EVT-00000004 is missing and no erasure statement orders that
        Resync 1: ROLLBACK: test.example/audit shows 8 blocks, and has signed 12 before: blocks were taken back, o…");
}

/// The whole file as it was, as a backup has it.
#[test]
fn roll_back_to_a_backup() {
    let scene = Scene::new();
    take_copy(&world().backup, &scene.database());
    assert_eq!(Forged::read(&scene.database()).parts.len() as u64, BACKUP + 1);
    expect(&scene.judge(&[Start, StartUnguarded, File, Admin, Seen, Sync, Resync]), "
        Start 1: the database ends at block 8 but this ledger has signed a checkpoint of 12 blocks: it was restor…
        StartUnguarded 2: the last-signed file is missing although the database holds 8 blocks, so a rollback could not be…
        File holds
        Admin holds
        Seen 1: it ends at 8 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or rolle…
        Sync holds
        Resync 1: ROLLBACK: test.example/audit shows 8 blocks, and has signed 12 before: blocks were taken back, o…");
}

/// The database and the last-signed file, both as they were. The machine itself cannot tell; whoever has seen more can.
#[test]
fn roll_back_database_and_last_signed_file() {
    let scene = Scene::new();
    take_copy(&world().backup, &scene.database());
    std::fs::copy(world().path("backup.last-signed"), scene.path("ledger.db.last-signed")).unwrap();
    expect(&scene.judge(&[Start, File, Admin, Seen, Sync, Resync]), "
        Start holds
        File holds
        Admin holds
        Seen 1: it ends at 8 blocks, but a signed checkpoint of 12 blocks has been seen: it was cut off or rolle…
        Sync holds
        Resync 1: ROLLBACK: test.example/audit shows 8 blocks, and has signed 12 before: blocks were taken back, o…");
}

/// A body is swapped for another block's: whole and well-formed ciphertext of the same ledger.
#[test]
fn swap_ciphertexts_between_blocks() {
    let mut forged = Forged::honest();
    let (a, b) = (forged.parts[1].records(), forged.parts[3].records());
    let ciphertext = |r: &[u8]| match Record::decode(r).unwrap() {
        Record::Sealed { ciphertext, .. } => ciphertext.to_vec(),
        _ => panic!(),
    };
    // The ciphertext of record 5 in the place of that of record 0, which has its length.
    let (old, new) = (ciphertext(&a[0]), ciphertext(&b[0]));
    assert_eq!(old.len(), new.len());
    let mut records = a.clone();
    let at = records[0].len() - old.len();
    records[0].splice(at.., new);
    forged.parts[1].set_records(&records);
    expect(&Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Reader, Sync, Open(0), Proof(0)]), "
        Start holds
        File 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Seen 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Stranger 1: block 1: its leaf inputs do not have the root that the writer signed
        Reader 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Sync 1: block 1: its body is not what the writer signed: the statement says records-root …, the batch ha…
        Open(0) 1: the proof that the server gave does not hold: the record is not in the block: the proof does not…
        Proof(0) 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…");
}

/// Alice's and bob's slots of one record change places.
#[test]
fn swap_slots_of_two_readers() {
    let mut forged = Forged::honest();
    let mut records = forged.parts[1].records();
    let Ok(Record::Sealed { sections, .. }) = Record::decode(&records[0]) else { panic!() };
    let slots = sections[0].slots.to_vec();
    let at = records[0].windows(slots.len()).position(|w| w == slots).unwrap();
    let swapped = [&slots[32..64], &slots[..32]].concat();
    records[0].splice(at..at + 64, swapped);
    forged.parts[1].set_records(&records);
    expect(&Scene::of(&forged).judge(&[Start, File, Stranger, Reader, Sync, Open(0), Proof(0)]), "
        Start holds
        File 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Stranger 1: block 1: its leaf inputs do not have the root that the writer signed
        Reader 1: block 1: its leaf inputs, kept for proofs, do not have the root that the writer signed
        Sync 1: block 1: its body is not what the writer signed: the statement says records-root …, the batch ha…
        Open(0) 1: the proof that the server gave does not hold: the record is not in the block: the proof does not…
        Proof(0) 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…");
}

/// A record is replaced by its hashes, as if it had been erased. No officer ordered that.
#[test]
fn forge_an_erasure_by_leaving_hashes() {
    let mut forged = Forged::honest();
    erase(&mut forged.parts[1], 1);
    expect(&Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Reader, Sync, Resync, Open(1), Proof(1)]), "
        Start holds
        File 1: record EVT-00000001: its ciphertext is missing and no erasure statement orders that
        Seen 1: record EVT-00000001: its ciphertext is missing and no erasure statement orders that
        Stranger holds
        Reader 1: record EVT-00000001: its ciphertext is missing and no erasure statement orders that
        Sync 1: block 1: the content of EVT-00000001 is missing and no erasure statement orders that
        Resync holds
        Open(1) 1: the server sent only the hashes of record 1: it exists, and its content is withheld or erased. `…
        Proof(1) holds, writer test.example/writers/ehr, as the ledger says; give --writer VKEY to check that signature…");
}

/// Leaves the hashes of a record.
pub fn erase(part: &mut Part, position: usize) {
    let mut records = part.records();
    let inputs = sealtrail::chain::batch::leaf_inputs_of(&records[position]).unwrap();
    records[position].clear();
    Record::encode_erased(&inputs, &mut records[position]);
    part.set_records(&records);
}

/// The ciphertext of the record that officers ordered to be erased comes back from the backup.
#[test]
fn bring_back_an_erased_record() {
    let backup = Forged::read(&world().backup);
    let mut forged = Forged::honest();
    let height = forged.height_of(4);
    forged.parts[height] = backup.parts[height].clone();
    expect(&Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Reader, Sync, Resync, Open(4)]), "
        Start holds
        File holds, NOTE 1 of these records are still stored here: the order is not carried out, or this is an older
        Seen holds, NOTE 1 of these records are still stored here: the order is not carried out, or this is an older
        Stranger holds
        Reader holds, NOTE 1 of these records are still stored here: the order is not carried out, or this is an older
        Sync holds
        Resync holds
        Open(4) holds, EVT-00000004 block 2 sealed … by test.example/writers/lab (as the ledger says; --writer VKEY che");
}

/// The statement of a batch is made older, its signature left as it was.
#[test]
fn backdate_a_signed_time() {
    let mut found = String::new();
    for name in ["sealed", "committed"] {
        let mut forged = Forged::honest();
        let part = &mut forged.parts[1];
        let at = part.text.find(&format!("\n{name} 20")).unwrap() + name.len() + 2;
        part.text.replace_range(at..at + 4, "2019");
        forged.relink();
        found += &format!("[{name}]\n{}", Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Sync]));
    }
    expect(&found, "
        [sealed]
        Start 1: the database is damaged: block 1: block 1: the signature of test.example/writers/ehr does not ve…
        File 1: block 1: the signature of test.example/writers/ehr does not verify: the statement was changed af…
        Seen 1: block 1: the signature of test.example/writers/ehr does not verify: the statement was changed af…
        Stranger 1: block 1: the signature of test.example/writers/ehr does not verify: the statement was changed af…
        Sync 1: the blocks the server gave do not have the root that its checkpoint signs: a block was changed,…
        [committed]
        Start 1: the database is damaged: block 1: block 1: it was committed at …, before its predecessor at …. R…
        File 1: block 1: it was committed at …, before its predecessor at …
        Seen 1: block 1: it was committed at …, before its predecessor at …
        Stranger 1: block 1: it was committed at …, before its predecessor at …
        Sync 1: the blocks the server gave do not have the root that its checkpoint signs: a block was changed,…");
}

/// Rows that say where to find what, changed: the signed texts are all there.
#[test]
fn change_the_rows_beside_the_signed_texts() {
    let mut found = String::new();
    for sql in [
        "UPDATE block SET sequence = sequence + 100 WHERE height = 8",
        "UPDATE block SET signer = 'nobody' WHERE height = 8",
        "UPDATE block SET first_record = 1, records = 2 WHERE height = 1",
    ] {
        let scene = Scene::edited(|db| assert_eq!(db.execute(sql, []).unwrap(), 1));
        found += &format!("[{sql}]\n{}", scene.judge(FILES));
    }
    expect(&found, "
        [UPDATE block SET sequence = sequence + 100 WHERE height = 8]
        Start holds
        File 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Admin 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Seen 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Sync 1: the sync could not be finished: block 8: its row in the database does not say what its signed te…
        Resync holds
        [UPDATE block SET signer = 'nobody' WHERE height = 8]
        Start holds
        File 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Admin 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Seen 1: the verification could not be finished: block 8: its row in the database does not say what its s…
        Sync 1: the sync could not be finished: block 8: its row in the database does not say what its signed te…
        Resync holds
        [UPDATE block SET first_record = 1, records = 2 WHERE height = 1]
        Start holds
        File 1: the verification could not be finished: block 1: its row in the database does not say what its s…
        Admin 1: the verification could not be finished: block 1: its row in the database does not say what its s…
        Seen 1: the verification could not be finished: block 1: its row in the database does not say what its s…
        Sync 1: the sync could not be finished: block 1: its row in the database does not say what its signed te…
        Resync holds");
}

/// More blocks than the checkpoint signs: a false batch at the end that nobody looks at.
#[test]
fn add_blocks_that_no_checkpoint_covers() {
    let mut forged = Forged::honest();
    let mut extra = forged.parts[1].clone();
    extra.text = extra.text.replace("height 1\n", "height 12\n");
    forged.parts.push(extra);
    forged.relink();
    expect(&Scene::of(&forged).judge(&[Start, File, Seen, Stranger, Reader, Sync, Resync]), "
        Start 1: the database is damaged: the checkpoint counts 12 blocks, the head 13. Run `sealtrail fsck`: it…
        File 1: the verification could not be finished: the database holds 13 blocks, and its checkpoint signs o…
        Seen 1: the verification could not be finished: the database holds 13 blocks, and its checkpoint signs o…
        Stranger holds
        Reader holds
        Sync 1: the sync could not be finished: the database holds 13 blocks, and its checkpoint signs only 12 o…
        Resync 1: the sync could not be finished: the database holds 13 blocks, and its checkpoint signs only 12 o…");
}

/// Bytes that are no UTF-8 in a signed text. Read loosely they would be the replacement character, and so the text that was signed.
#[test]
fn put_other_bytes_in_place_of_a_replacement_character() {
    let mut forged = Forged::honest();
    let place = forged.place("");
    let hold = crate::world::erasure(
        place,
        RecordRange { first: 8, last: 8 },
        "gdpr-17",
        &world().keys.officers.iter().collect::<Vec<_>>(),
    );
    let text = hold.text.replace("Art. 17(1) GDPR", "Art. 17 \u{fffd} GDPR");
    let mut note = Note { text, signatures: Vec::new() };
    world().keys.officers.iter().for_each(|o| note.add_signature(o));
    forged.append(note, Vec::new());
    let scene = Scene::of(&forged.operated());
    let before = scene.judge(&[File, Seen, Sync]);
    with_triggers_off(&scene.database(), |db| {
        let text: Vec<u8> =
            db.query_row("SELECT text FROM block WHERE height = 12", [], |r| r.get(0)).unwrap();
        let at = text.windows(3).position(|w| w == "\u{fffd}".as_bytes()).unwrap();
        let other = [&text[..at], &[0xff][..], &text[at + 3..]].concat();
        db.execute("UPDATE block SET text = ?1 WHERE height = 12", [other]).unwrap();
    });
    expect(&format!("{before}[after]\n{}", scene.judge(&[File, Seen, Sync])), "
        File holds, NOTE 1 of these records are still stored here: the order is not carried out, or this is an older
        Seen holds, NOTE 1 of these records are still stored here: the order is not carried out, or this is an older
        Sync holds
        [after]
        File 1: the verification could not be finished: block 12: its stored text is not UTF-8
        Seen 1: the verification could not be finished: block 12: its stored text is not UTF-8
        Sync 1: the sync could not be finished: block 12: its stored text is not UTF-8. What was verified is kep…");
}
