//! `fsck` against every kind of damage: each is either found, with the exit code that says so, and mended from a backup, or it is shown
//! that nobody can ever read anything else for it. A longer run of random damage:
//! `SEALTRAIL_DAMAGES=2000 cargo test --test fsck random`; the seed of a failure is in its message, `SEALTRAIL_TEST_SEED=N` tries it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage_support;
mod exhaustion_support;
#[allow(dead_code)] // its part of it
#[path = "ledger_support/random.rs"]
mod random;
mod support;

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use damage_support::{BASE, EARLY, Victim, log, rows, try_rows};
use random::Random;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use sealtrail::store::{SqliteStore, Store};

const FSCK: &[&str] = &["fsck"];
const REPAIR: &[&str] = &["fsck", "--repair"];
const REPAIR_FROM: &[&str] = &["fsck", "--repair", "--from", "backup"];

/// Runs SQL that may flip the lowest bit of a byte in the middle of a value: `flip(value)`.
fn damage(victim: &Victim, sql: &str) {
    victim.sql(|conn| {
        conn.create_scalar_function("flip", 1, FunctionFlags::SQLITE_UTF8, |c| {
            let mut bytes = match c.get_raw(0) {
                rusqlite::types::ValueRef::Text(b) | rusqlite::types::ValueRef::Blob(b) => b.to_vec(),
                other => panic!("{other:?}"),
            };
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            Ok(bytes)
        })
        .unwrap();
        conn.execute_batch(sql).unwrap();
    });
}

/// Everything that was ever signed or sealed is as it was.
fn same_ledger(victim: &Victim) {
    let open = |path: &Path| SqliteStore::open_read_only(path).unwrap();
    let (now, then) = (open(&victim.database()), open(&BASE.ledger.path("ledger.db")));
    let (head, wanted) = (now.head().unwrap().unwrap(), then.head().unwrap().unwrap());
    assert_eq!((head.size, head.records, head.checkpoint), (wanted.size, wanted.records, wanted.checkpoint));
    for height in 0..head.size {
        assert_eq!(now.block_text(height), then.block_text(height));
        assert_eq!(now.leaf_inputs(height), then.leaf_inputs(height));
        assert_eq!(now.body(height), then.body(height));
        assert_eq!(now.block_info(height), then.block_info(height));
    }
}

/// Whether to mend this one, too: each of them only in a long run.
fn mends(number: usize) -> bool {
    number.is_multiple_of(3) || std::env::var_os("SEALTRAIL_DAMAGES").is_some()
}

/// Found, in this part, by exit code 1, and nothing is changed by looking; mended from the backup, if not without.
fn found(number: usize, sql: &str, part: &str, alone: bool) {
    let victim = Victim::new();
    damage(&victim, sql);
    let before = rows(&victim.database());
    let said = victim.expect(1, FSCK);
    assert!(said.contains(&format!("  {part}")), "{sql}: {said}");
    assert_eq!(said.contains("all of it can be mended"), alone, "{sql}: {said}");
    assert_eq!(rows(&victim.database()), before, "{sql}");
    if !mends(number) {
        return;
    }
    if alone {
        victim.expect(0, REPAIR);
    } else {
        let said = victim.expect(1, REPAIR);
        assert!(said.contains("nothing was changed"), "{sql}: {said}");
        assert_eq!(rows(&victim.database()), before, "{sql}");
        victim.expect(0, REPAIR_FROM);
    }
    same_ledger(&victim);
}

#[test]
fn a_sound_ledger_and_its_backup_are_sound() {
    let victim = Victim::new();
    let said = victim.expect(0, FSCK);
    assert!(said.contains("SOUND"), "{said}");
    assert_eq!(rows(&victim.database()), BASE.rows);
    victim.expect(0, &["fsck", "--file", "backup", "--key", "keys/ledger.vkey"]);
    assert!(victim.expect(0, REPAIR).contains("SOUND"));
    assert_eq!(rows(&victim.database()), BASE.rows, "nothing to repair, nothing changed");
}

/// Vaults have notes of their own. One that is made from a server also lacks what readers are not given.
#[test]
fn vaults_are_sound() {
    let ledger = support::Ledger { dir: Victim::new().dir };
    let server = ledger.serve();
    for (vault, from) in [("filed", ["--file", "ledger.db"]), ("served", ["--server", &server.url])] {
        let sync = ["audit", "sync", "--vault", vault, "--identity", "keys/alice.identity"];
        ledger.ok(&[&sync[..], &["--key", "keys/ledger.vkey"], &from].concat());
        ledger.ok(&["fsck", "--file", vault, "--key", "keys/ledger.vkey"]);
    }
    server.stop();
}

#[test]
fn damaged_blocks_are_found_and_taken_from_a_backup() {
    let damages = [
        ("UPDATE block SET text = CAST(flip(text) AS BLOB) WHERE height = 100", "block text of block 100"),
        ("UPDATE block SET text = CAST(flip(text) AS BLOB) WHERE height = 0", "block text of block 0"),
        ("UPDATE block SET text = x'' WHERE height = 7", "block text of block 7"),
        (
            "UPDATE block SET text = (SELECT text FROM block WHERE height = 51) WHERE height = 50",
            "block text of block 50",
        ),
        ("DELETE FROM block WHERE height = 120", "block text of block 120"),
        (
            "UPDATE body_chunk SET data = CAST(flip(data) AS BLOB) WHERE id >> 12 = 30",
            "body of block 30 (EVT-",
        ),
        (
            "UPDATE body_chunk SET data = zeroblob(length(data)) WHERE id >> 12 = 254",
            "body of block 254 (EVT-",
        ),
        (
            "UPDATE body_chunk SET data = substr(data, 1, 5000) WHERE id = (254 << 12) + 1",
            "body of block 254 (EVT-",
        ),
        ("DELETE FROM body_chunk WHERE id >> 12 = 31", "body of block 31 (EVT-"),
        (
            "UPDATE body_chunk SET data = (SELECT data FROM body_chunk WHERE id = 33 << 12) WHERE id = 32 << 12",
            "body of block 32",
        ),
        // The disclosure roots are kept there alone.
        ("DELETE FROM leaf_chunk WHERE id >> 12 = 40", "leaf inputs of block 40"),
        (
            "UPDATE leaf_chunk SET data = zeroblob(length(data)) WHERE id = 254 << 12",
            "leaf inputs of block 254",
        ),
    ];
    damages.into_iter().enumerate().for_each(|(n, (sql, part))| found(n, sql, part, false));
}

#[test]
fn what_follows_from_the_blocks_is_made_anew() {
    let damages = [
        ("UPDATE block SET first_record = first_record + 1 WHERE height = 90", "block row of block 90"),
        ("UPDATE block SET sequence = sequence + 9999 WHERE height = 90", "block row of block 90"),
        ("UPDATE block SET signer = CAST(flip(signer) AS TEXT) WHERE height = 90", "block row of block 90"),
        ("UPDATE block SET tags = tags + 1 WHERE height = 90", "block row of block 90"),
        // The ciphertext hash of one record: its body says what it is.
        (
            "UPDATE leaf_chunk SET data = CAST(iif(substr(data, 1, 1) = x'00', x'01', x'00') || substr(data, 2) AS BLOB)
             WHERE id = 90 << 12",
            "leaf inputs of block 90",
        ),
        ("INSERT INTO leaf_chunk VALUES (9000 << 12, x'00')", "leaf inputs: 1 rows belong to no block"),
        ("INSERT INTO body_chunk VALUES (9000 << 12, x'00')", "body: 1 rows belong to no block"),
        ("UPDATE meta SET origin = CAST(flip(origin) AS TEXT)", "head: the ledger's name"),
        ("DELETE FROM meta", "head"),
        ("UPDATE head SET size = size - 1", "head"),
        ("UPDATE head SET records = records + 1", "head"),
        ("UPDATE head SET text_bytes = text_bytes + 1", "head"),
        ("UPDATE head SET body_bytes = body_bytes - 1", "head"),
        ("UPDATE head SET stored_body_bytes = 0", "head"),
        ("UPDATE head SET checkpoint = CAST(flip(checkpoint) AS BLOB)", "checkpoint"),
        ("UPDATE head SET checkpoint = x''", "checkpoint"),
        ("DELETE FROM head", "head: it is missing"),
        ("UPDATE head SET state = CAST(flip(state) AS BLOB)", "state"),
        ("UPDATE head SET state = x''", "state"),
        ("UPDATE derived SET value = CAST(flip(value) AS BLOB) WHERE key = 'tile/0/0'", "derived: tile/0/0"),
        ("DELETE FROM derived WHERE key = 'tile/0/0'", "derived: tile/0/0"),
        ("UPDATE derived SET value = CAST(flip(value) AS BLOB) WHERE key LIKE 'nodes/%'", "derived: nodes/"),
        ("UPDATE derived SET value = x'0000000000000009' WHERE key = 'epoch/count'", "derived: epoch/count"),
        ("UPDATE derived SET value = x'0000000000000009' WHERE key = 'epoch/0'", "derived: epoch/0"),
        ("DELETE FROM derived WHERE key LIKE 'epoch/seen/%'", "derived: epoch/seen/"),
        ("INSERT INTO derived VALUES ('tile/0/9', x'00')", "derived: 1 values belong to nothing"),
        ("UPDATE derived SET value = x'00000000000000ff' WHERE key = 'erased-up-to'", "erasures"),
        ("DROP TRIGGER block_update", "definitions"),
        ("CREATE VIEW other AS SELECT 1", "definitions"),
        ("DROP INDEX block_statement", "definitions"),
    ];
    damages.into_iter().enumerate().for_each(|(n, (sql, part))| found(n, sql, part, true));
}

#[test]
fn a_damaged_index_is_found_and_made_anew_in_place() {
    let damages = [
        "UPDATE run_chunk SET data = CAST(flip(data) AS BLOB) WHERE id = (SELECT min(id) FROM run_chunk)",
        "UPDATE run_chunk SET data = CAST(flip(data) AS BLOB) WHERE id = (SELECT max(id) FROM run_chunk)",
        "UPDATE run_chunk SET data = zeroblob(length(data))",
        "DELETE FROM run_chunk WHERE id = (SELECT min(id) FROM run_chunk)",
        "DELETE FROM run WHERE id = (SELECT min(id) FROM run WHERE kind = 1)",
        "DELETE FROM run WHERE id = (SELECT max(id) FROM run WHERE kind = 2)",
        "UPDATE run SET end_record = end_record + 1 WHERE id = (SELECT min(id) FROM run WHERE kind = 1)",
        "UPDATE run SET first_record = first_record + 1 WHERE id = (SELECT max(id) FROM run WHERE kind = 2)",
        "UPDATE run SET chunks = chunks + 1 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE run SET chunks = chunks - 1 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE run SET live = 0 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE run SET done = 0 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE run SET tier = 9 WHERE id = (SELECT max(id) FROM run)",
        "UPDATE run SET kind = 3 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE run SET start = 5 WHERE id = (SELECT min(id) FROM run)",
        "UPDATE index_state SET records = records - 1",
        "UPDATE index_state SET records = 0",
        "UPDATE index_state SET fanout = 0",
        "DELETE FROM index_state",
    ];
    for (n, sql) in damages.into_iter().enumerate() {
        let victim = Victim::new();
        damage(&victim, sql);
        let said = victim.expect(1, FSCK);
        assert!(said.contains("  index"), "{sql}: {said}");
        if !mends(n) {
            continue;
        }
        let said = victim.expect(0, REPAIR);
        assert!(said.contains("in place") || said.contains("into a new file"), "{sql}: {said}");
        same_ledger(&victim);
    }
}

/// What may differ without anybody ever reading anything else: said here, so that `fsck` need not cry about it.
#[test]
fn what_is_harmless_is_harmless() {
    for sql in [
        // Only ever compared with what a process remembers.
        "UPDATE index_state SET erasures = erasures + 1",
        // How long runs will be from now on.
        "UPDATE index_state SET segment_records = 19",
        // Erasures are carried out again, which changes nothing.
        "DELETE FROM derived WHERE key = 'erased-up-to'",
        "VACUUM",
        "ANALYZE",
    ] {
        let victim = Victim::new();
        damage(&victim, sql);
        victim.expect(0, FSCK);
        victim.expect(0, &["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"]);
        same_ledger(&victim);
        // Goes on as ever.
        let ledger = support::Ledger { dir: victim.dir };
        let server = ledger.serve();
        log(&ledger, &server, 0, 50);
        server.stop();
        ledger.ok(FSCK);
    }
}

/// The content of an erased record is put back, by somebody who kept it.
#[test]
fn an_erasure_that_was_undone_is_found_and_carried_out_again() {
    let ledger = support::Ledger { dir: Victim::new().dir };
    ledger.ok(&["backup", "before"]);
    let server = ledger.serve();
    damage_support::erase(&ledger, &server, "10..12");
    server.stop();
    let victim = Victim { dir: ledger.dir };
    let kept = Connection::open(victim.path("before/ledger.db")).unwrap();
    let old: Vec<(i64, Vec<u8>)> = kept
        .prepare("SELECT id, data FROM body_chunk WHERE id >> 12 BETWEEN 8 AND 16")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    victim.sql(|conn| {
        for (id, data) in &old {
            conn.execute("UPDATE body_chunk SET data = ?2 WHERE id = ?1", (id, data)).unwrap();
        }
    });
    let said = victim.expect(1, FSCK);
    assert!(said.contains("erasures (EVT-00000010 to EVT-00000012)"), "{said}");
    assert!(said.contains("their content is still here"), "{said}");
    // The backup still has the content; it goes all the same.
    victim.expect(0, &["fsck", "--repair", "--from", "before"]);
    let report =
        victim.expect(0, &["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db", "--json"]);
    assert!(report.contains("\"not_yet_erased\":0"), "{report}");
}

#[test]
fn files_that_are_not_there_or_something_else() {
    // Missing.
    let victim = Victim::new();
    fs::remove_file(victim.database()).unwrap();
    assert!(victim.expect(2, FSCK).contains("sealtrail restore"));
    // Empty, foreign, cut short, zeroed at the start: nothing can be read of it; the backup has all.
    let damages: [(&str, DamageFile); 4] = [
        ("empty", |p| fs::write(p, b"").unwrap()),
        ("text", |p| fs::write(p, "this is no database".repeat(1000)).unwrap()),
        ("zeroed", |p| write_at(p, 0, &[0; 4096])),
        ("foreign", |p| {
            fs::remove_file(p).unwrap();
            Connection::open(p)
                .unwrap()
                .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
                .unwrap();
        }),
    ];
    for (name, damage) in damages {
        let victim = Victim::new();
        damage(&victim.database());
        let said = victim.expect(1, FSCK);
        assert!(said.contains("  file: "), "{name}: {said}");
        victim.expect(1, REPAIR);
        let said = victim.expect(0, REPAIR_FROM);
        assert!(said.contains("SOUND"), "{name}: {said}");
        same_ledger(&victim);
        assert!(
            fs::read_dir(victim.dir.path())
                .unwrap()
                .flatten()
                .any(|e| e.file_name().to_string_lossy().contains(".damaged-"))
        );
    }
    // Cut short.
    for keep in [1, 5, 9] {
        let victim = Victim::new();
        let file = fs::OpenOptions::new().write(true).open(victim.database()).unwrap();
        file.set_len(file.metadata().unwrap().len() * keep / 10).unwrap();
        drop(file);
        victim.expect(1, FSCK);
        victim.expect(0, REPAIR_FROM);
        same_ledger(&victim);
    }
    // Of another ledger.
    let victim = Victim::new();
    let other = support::Ledger::new();
    fs::copy(other.path("keys/ledger.vkey"), victim.path("keys/ledger.vkey")).unwrap();
    victim.expect(1, FSCK);
}

/// A disk that cannot read some sectors any more: everything else is looked at all the same, and a backup has the rest.
#[test]
fn sectors_that_cannot_be_read() {
    let Some(disk) = exhaustion_support::Disk::new() else { return };
    let base = SqliteStore::open_read_only(&BASE.ledger.path("ledger.db")).unwrap();
    let (body, text) = (base.body(30).unwrap().unwrap(), base.block_text(100).unwrap().unwrap());
    let bytes = fs::read(BASE.ledger.path("ledger.db")).unwrap();
    let place = |of: &[u8]| bytes.windows(of.len()).position(|w| w == of).unwrap() as u64;
    for (at, part) in [
        (place(&body[body.len() - 64..]), "body of block 30 (EVT-"),
        (place(&text[..64]), "block row: "),
        (0, "file: "),
    ] {
        let victim = Victim::new();
        let run = |args: &[&str]| {
            let mut command = support::program();
            disk.preload(&mut command);
            let out = command.args(args).current_dir(victim.dir.path()).output().unwrap();
            (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
        };
        disk.does(&format!("read {}$ errno 5 {at} {}", victim.database().display(), at + 512));
        let (code, said) = run(FSCK);
        assert!(code == Some(1) && said.contains(&format!("  {part}")), "{code:?}: {said}");
        assert!(!said.contains("it counts"), "what was not read is not missing: {said}");
        // This disk goes by names, so that it cannot read the new file in that place either.
        let (_, said) = run(REPAIR_FROM);
        disk.heal();
        assert!(said.contains("REPAIRED: what is proved was copied into a new file"), "{said}");
        victim.expect(0, FSCK);
        same_ledger(&victim);
    }
}

#[test]
fn an_emptied_database_does_not_hold_where_a_ledger_was_seen() {
    let victim = Victim::new();
    fs::write(victim.database(), b"").unwrap();
    let verify = ["audit", "verify", "--key", "keys/ledger.vkey", "--file", "ledger.db"];
    assert!(victim.expect(1, &verify).contains("it was emptied"));
    fs::remove_file(victim.path("ledger.db.last-signed")).unwrap();
    victim.expect(2, &verify);
}

/// The head counts blocks without end, and nothing proves those that are there: the walk ends all the same.
#[test]
fn a_head_that_counts_blocks_without_end() {
    let victim = Victim::new();
    fs::remove_file(victim.path("ledger.db.last-signed")).unwrap();
    let sql = "UPDATE head SET size = 1 << 40; UPDATE head SET checkpoint = CAST(flip(checkpoint) AS BLOB)";
    damage(&victim, sql);
    let said = victim.expect(1, FSCK);
    assert!(said.contains("  head") && said.contains("  blocks"), "{said}");
}

/// A file that may not be read is no finding; one that may only be read is looked at.
#[test]
fn permissions() {
    let victim = Victim::new();
    let key = fs::read_to_string(victim.path("keys/ledger.vkey")).unwrap();
    let mode =
        |name: &str, mode| fs::set_permissions(victim.path(name), fs::Permissions::from_mode(mode)).unwrap();
    let as_somebody_else = || {
        let mut fsck = support::program();
        fsck.args(["fsck", "--file", "ledger.db", "--key", key.trim()]).current_dir(victim.dir.path());
        // To root permissions are nothing.
        if rustix::process::geteuid().is_root() {
            fsck.uid(65534).gid(65534);
        }
        let out = fsck.output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    mode("", 0o555);
    for name in ["ledger.db", "ledger.db.last-signed", "ledger.db.lock"] {
        mode(name, 0o444);
    }
    let (code, said) = as_somebody_else();
    assert_eq!(code, Some(0), "{said}");
    mode("ledger.db", 0);
    let (code, said) = as_somebody_else();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("permissions"), "{said}");
    mode("", 0o755);
}

#[test]
fn a_running_server_keeps_fsck_out() {
    let victim = Victim::new();
    let _lock = sealtrail::store::LockFile::acquire(&victim.database()).unwrap();
    assert!(victim.expect(2, FSCK).contains("in use by process"));
    assert!(victim.expect(2, REPAIR_FROM).contains("in use by process"));
}

/// Damages a file.
type DamageFile = fn(&Path);

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn the_last_signed_file_is_held_against_the_blocks() {
    // Missing: told, and not made up.
    let victim = Victim::new();
    fs::remove_file(victim.path("ledger.db.last-signed")).unwrap();
    let said = victim.expect(1, FSCK);
    assert!(said.contains("last-signed: there is no") && !said.contains("all of it can be mended"), "{said}");
    victim.expect(1, REPAIR_FROM);
    assert!(!victim.path("ledger.db.last-signed").exists());
    // Damaged.
    let victim = Victim::new();
    fs::write(victim.path("ledger.db.last-signed"), [b'x'; 8192]).unwrap();
    assert!(victim.expect(1, FSCK).contains("last-signed"));
    // Ahead: the newest blocks are lost, with the log that held them.
    let victim = Victim::new();
    let ledger = support::Ledger { dir: victim.dir };
    let before = fs::read(ledger.path("ledger.db")).unwrap();
    let server = ledger.serve();
    log(&ledger, &server, 7000, 5);
    server.kill();
    let logged = ledger.path("ledger.db-wal");
    assert!(logged.exists(), "a killed server leaves its log");
    ledger.ok(FSCK);
    fs::remove_file(&logged).unwrap();
    let _ = fs::remove_file(ledger.path("ledger.db-shm"));
    let victim = Victim { dir: ledger.dir };
    let said = victim.expect(1, FSCK);
    assert!(said.contains("the last one is lost") && said.contains("1 thing is not as it must be"), "{said}");
    assert!(said.contains("When blocks are lost") && !said.contains("When verification fails"), "{said}");
    assert!(!said.contains("all of it can be mended"), "{said}");
    let said = victim.expect(1, REPAIR_FROM);
    assert!(said.contains("nothing was changed"), "{said}");
    assert!(fs::read(victim.database()).unwrap().len() >= before.len());
}

/// The last-signed file's other slot may be of long ago. That it proves a beginning makes no lost end of what comes after a damage.
#[test]
fn an_old_slot_of_the_last_signed_file_hides_no_damage() {
    const SLOT: usize = 4096;
    let victim = Victim::new();
    let path = victim.path("ledger.db.last-signed");
    let size = |slot: &[u8]| -> Option<u64> { std::str::from_utf8(slot).ok()?.lines().nth(1)?.parse().ok() };
    let slots = fs::read(&path).unwrap();
    let older = slots.chunks(SLOT).enumerate().min_by_key(|(_, slot)| size(slot)).unwrap().0;
    let early = fs::read(victim.path(EARLY)).unwrap();
    assert!(size(&early).is_some_and(|size| size < 100));
    write_at(&path, (older * SLOT) as u64, &[0; SLOT]);
    write_at(&path, (older * SLOT) as u64, &early);
    victim.expect(0, FSCK);
    damage(&victim, "UPDATE block SET text = CAST(flip(text) AS BLOB) WHERE height = 100");
    let said = victim.expect(1, FSCK);
    assert!(said.contains("  block text of block 100") && !said.contains("are lost"), "{said}");
    victim.expect(0, REPAIR_FROM);
    same_ledger(&victim);
}

/// The block that is damaged is had from a server that runs with another copy.
#[test]
fn a_server_mends_a_block() {
    let victim = Victim::new();
    let other = support::Ledger { dir: Victim::new().dir };
    let server = other.serve();
    damage(&victim, "UPDATE body_chunk SET data = CAST(flip(data) AS BLOB) WHERE id >> 12 = 30");
    let from = ["--from", &server.url, "--identity", "keys/alice.identity"];
    let said = victim.expect(1, &[FSCK, &from].concat());
    assert!(said.contains("  body of block 30") && said.contains(&server.url), "{said}");
    victim.expect(0, &[REPAIR, &from].concat());
    victim.expect(0, FSCK);
    let body = |path: &Path| SqliteStore::open_read_only(path).unwrap().body(30).unwrap();
    assert_eq!(body(&victim.database()), body(&BASE.ledger.path("ledger.db")));
}

/// One damage to the bytes of the file.
fn damage_bytes(path: &Path, random: &mut Random) -> String {
    const PAGE: u64 = 16384;
    let length = fs::metadata(path).unwrap().len();
    let page = random.below(length / PAGE);
    match random.below(5) {
        0 => {
            let at = page * PAGE + random.below(PAGE);
            flip(path, at, 1 << random.below(8));
            format!("a bit at {at}")
        }
        1 => {
            let (at, n) = (page * PAGE + random.below(PAGE - 600), 1 + random.below(512));
            (at..at + n).for_each(|at| flip(path, at, random.next() as u8));
            format!("{n} bytes at {at}")
        }
        2 => {
            write_at(path, page * PAGE, &[0; PAGE as usize]);
            format!("page {page} zero")
        }
        3 => {
            // A write that went to the wrong place.
            let from = random.below(length / PAGE);
            let mut bytes = vec![0; PAGE as usize];
            let mut file = fs::File::open(path).unwrap();
            file.seek(SeekFrom::Start(from * PAGE)).unwrap();
            file.read_exact(&mut bytes).unwrap();
            write_at(path, page * PAGE, &bytes);
            format!("page {from} on page {page}")
        }
        _ => {
            // A sector that was not written.
            let at = page * PAGE + 512 * random.below(PAGE / 512);
            write_at(path, at, &[0; 512]);
            format!("sector at {at} zero")
        }
    }
}

fn flip(path: &Path, at: u64, mask: u8) {
    let mut file = fs::File::open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    write_at(path, at, &[byte[0] ^ mask]);
}

#[test]
fn random_damage_is_found_or_harmless() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("SEALTRAIL_TEST_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEALTRAIL_DAMAGES").unwrap_or(12)).collect(),
    };
    let mut detected = 0;
    for seed in seeds.iter().copied() {
        let victim = Victim::new();
        let what = damage_bytes(&victim.database(), &mut Random::new(seed));
        let out = victim.run(FSCK);
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        let context = format!("SEALTRAIL_TEST_SEED={seed}: {what}: {said}");
        assert!(!said.contains("panicked"), "{context}");
        match out.status.code() {
            Some(1 | 2) => {
                detected += 1;
                if seed % 3 == 0 {
                    let out = victim.run(REPAIR_FROM);
                    let said = String::from_utf8_lossy(&out.stderr).into_owned();
                    // A file of another layout is refused: that may be what it is.
                    let refused = said.contains("layout version");
                    assert!(out.status.success() || refused, "{context}\n{said}");
                    if !refused {
                        same_ledger(&victim);
                    }
                }
            }
            // Nobody reads those bytes: every row is what it was, and SQLite has nothing to say.
            Some(0) => {
                let conn = Connection::open(victim.database()).unwrap();
                assert_eq!(try_rows(&conn).unwrap(), BASE.rows, "{context}");
            }
            code => panic!("exit code {code:?}: {context}"),
        }
    }
    assert!(
        seeds.len() < 10 || detected * 2 > seeds.len(),
        "most damage hits something: {detected} of {}",
        seeds.len()
    );
}
