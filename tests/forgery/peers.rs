//! What failed elsewhere: each thread that `docs/THREATS.md` lists became a test that fails on the behaviour reported there. Those that
//! have no better place stand here.

use std::sync::Arc;

use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::chain::note::Note;
use sealtrail::ledger::{Ledger, Submission};
use sealtrail::store::{SqliteStore, Store};
use sealtrail::writer::Purpose;

use crate::judge::Victim::{Admin, File, Resync, Seen, Start, Sync};
use crate::judge::{Scene, expect, with_triggers_off};
use crate::support::Ledger as Folder;
use crate::world::{copy, event, options, policy, take_copy, world, writer};

/// A verifier that exits with 0 on corruption (tesseract 937) or says "consistent" after a stored value was edited (immudb 2063, 2091):
/// one bit anywhere in what is stored for good, and in what is erasable, is exit code 1.
#[test]
fn every_stored_bit_counts() {
    let mut accepted = Vec::new();
    let mut flips = 0;
    for (table, column, key) in
        [("block", "text", "height"), ("leaf_chunk", "data", "id"), ("body_chunk", "data", "id")]
    {
        let all: Vec<(i64, usize)> = {
            let db = rusqlite::Connection::open(world().path("ledger.db")).unwrap();
            let mut rows = db.prepare(&format!("SELECT {key}, length({column}) FROM {table}")).unwrap();
            rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let bytes: usize = all.iter().map(|(_, n)| n).sum();
        // Spread over all of it; a number that is no multiple of any length in the format.
        let step = (bytes / 12).max(1) | 1;
        for at in (0..bytes).step_by(step) {
            let (mut row, mut rest) = (all.iter(), at);
            let (id, offset) = loop {
                let (id, len) = row.next().unwrap();
                if rest < *len {
                    break (*id, rest);
                }
                rest -= len;
            };
            let scene = Scene::edited(|db| {
                let select = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE {key} = ?1");
                let mut data: Vec<u8> = db.query_row(&select, [id], |r| r.get(0)).unwrap();
                data[offset] ^= 1 << (at % 8);
                let update = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = ?2");
                assert_eq!(db.execute(&update, (data, id)).unwrap(), 1);
            });
            flips += 1;
            let out = scene.run(&["audit", "verify", "--key", "ledger.vkey", "--file", "ledger.db"]);
            if out.status.code() != Some(1) {
                accepted.push(format!("{table} {id} byte {offset}: {:?}", out.status.code()));
            }
        }
    }
    assert!(flips > 30, "{flips}");
    assert!(accepted.is_empty(), "of {flips} flipped bits: {accepted:#?}");
}

/// A damaged index left the database unopenable (immudb 1997): here it opens, everything verifies, and the index is made anew.
#[test]
fn a_damaged_index_keeps_nothing_from_opening() {
    let scene = Scene::new();
    take_copy(&world().path("ledger.db"), &scene.database());
    with_triggers_off(&scene.database(), |db| {
        db.execute_batch(
            "UPDATE index_state SET records = 10, erasures = 7; DELETE FROM derived;
             INSERT INTO run VALUES (1, 1, 0, 0, 10, 1, 1, 1, 1); INSERT INTO run_chunk VALUES (1, x'00ff00ff');",
        )
        .unwrap();
    });
    expect(
        &scene.judge(&[Start, File, Admin, Seen, Sync, Resync]),
        "
        Start holds
        File holds
        Admin holds
        Seen holds
        Sync holds
        Resync holds",
    );
    let store = SqliteStore::open(&scene.database(), crate::world::ORIGIN, false).unwrap();
    store.rebuild_index(&mut |_, _| {}).unwrap();
    let body = store.body(1).unwrap().unwrap();
    let record = Body::decode(&body).unwrap().records().next().unwrap().to_vec();
    let hash = sealtrail::chain::batch::leaf_inputs_of(&record).unwrap().ciphertext_hash;
    assert_eq!(store.find_ciphertext(&hash).unwrap(), Some(0));
}

/// One flipped bit before signing made a log that nobody could repair (ct-policy, Yeti 2022). Here nothing is signed unless the bytes
/// that arrived hash to what their writer signed: the ledger goes on as if nothing had come, and takes the right batch after.
#[test]
fn a_bit_that_flips_before_signing_is_never_signed() {
    let dir = tempfile::tempdir().unwrap();
    take_copy(&world().path("ledger.db"), &dir.path().join("ledger.db"));
    std::fs::copy(world().path("ledger.db.last-signed"), dir.path().join("ledger.db.last-signed")).unwrap();
    let store =
        Arc::new(SqliteStore::open(&dir.path().join("ledger.db"), crate::world::ORIGIN, false).unwrap());
    let ledger = Ledger::open(store.clone(), options(&world().keys.ledger, dir.path())).unwrap();
    let mut ehr =
        writer(copy(&world().keys.ehr), policy(), crate::forge::Forged::honest().place(crate::world::EHR));
    let readers = &world().roster.readers;
    let sealed =
        ehr.seal_events(Purpose::Events, readers, &[event(50), event(51)], Timestamp::now()).unwrap();
    let (body, before) = (sealed.body.to_vec(), ledger.view().checkpoint.clone());
    let step = body.len() / 60;
    for at in (0..body.len()).step_by(step) {
        let mut flipped = body.clone();
        flipped[at] ^= 1 << (at % 8);
        let answer = Submission::batch(sealed.note.clone(), flipped).and_then(|s| ledger.submit(s)?.wait());
        assert!(answer.is_err(), "byte {at} of the body: {answer:?}");
    }
    let note = sealed.note.to_string();
    for at in (0..note.len()).step_by(17) {
        let mut flipped = note.clone().into_bytes();
        flipped[at] ^= 1;
        let Some(note) = String::from_utf8(flipped).ok().and_then(|t| Note::parse(&t).ok()) else { continue };
        let answer = Submission::batch(note, body.clone()).and_then(|s| ledger.submit(s)?.wait());
        assert!(answer.is_err(), "byte {at} of the statement: {answer:?}");
    }
    assert_eq!(ledger.view().checkpoint, before, "nothing was signed");
    ledger.submit(Submission::hashed(sealed.note, sealed.body)).unwrap().wait().unwrap();
}

/// Search results that are not guaranteed to be complete (rekor 2528, scorecard-webapp 999). Attacker: the database administrator, who
/// takes away what the server finds tags by. The server's answer is empty and says nothing; a search in a vault is whole, because its
/// index is made from what was verified.
#[test]
fn leave_hits_out_of_a_search() {
    let folder = Folder::new();
    let server = folder.serve();
    let visits: Vec<String> = (0..9).map(event).collect();
    folder.writer_client(&server).log_ndjson(visits.join("\n").as_bytes()).unwrap();
    server.kill();
    with_triggers_off(&folder.path("ledger.db"), |db| {
        assert!(db.execute("DELETE FROM derived WHERE key LIKE 'epoch%'", []).unwrap() > 0);
    });
    let server = folder.serve();
    let keys =
        ["--key", "keys/ledger.vkey", "--admin", "keys/admin.vkey", "--identity", "keys/alice.identity"];
    let place = ["--server", &server.url];
    let search = ["audit", "search", "--actor", "dr-0", "--json"];
    let hits = |text: String| text.matches("\"record\":").count();
    let remote = folder.ok(&[&search[..], &["--remote"], &keys, &place].concat());
    assert_eq!(hits(remote), 0, "this is what cannot be seen from the answer");
    folder.ok(&[&["audit", "sync"], &keys[..], &place].concat());
    assert_eq!(hits(folder.ok(&[&search[..], &["--offline"]].concat())), 5);
}
