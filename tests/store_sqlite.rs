//! What only a database file can go wrong with: other files, damage, read-only places, full disks, killed
//! processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod store_support;

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use sealtrail::store::{IndexShape, SqliteStore, Store, StoreError};
use store_support::{Chain, ORIGIN, ciphertext_hash, record_bytes, record_tags};

/// Page size of the database.
const PAGE_BYTES: usize = 16384;

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, ORIGIN, false)
}

/// Appends one block of `records` records.
fn append(store: &dyn Store, chain: &mut Chain, records: u32) -> Result<(), StoreError> {
    let mut next = chain.clone();
    let block = next.block("w", records);
    store.append(block.height, &[block], &[], &next.head())?;
    *chain = next;
    Ok(())
}

/// A database with `blocks` blocks of 50 records.
fn filled(path: &Path, blocks: u64) -> (SqliteStore, Chain) {
    let store = SqliteStore::open(path, ORIGIN, true).unwrap();
    let mut chain = Chain::new();
    for _ in 0..blocks {
        append(&store, &mut chain, 50).unwrap();
    }
    (store, chain)
}

/// Runs small enough to have many.
const SHAPE: IndexShape = IndexShape { segment_records: 100, segment_tags: 1000, fanout: 3 };

/// As [`filled`], with many runs.
fn shaped(path: &Path, blocks: u64) -> (SqliteStore, Chain) {
    let store = SqliteStore::create_shaped(path, ORIGIN, SHAPE).unwrap();
    let mut chain = Chain::new();
    for _ in 0..blocks {
        append(&store, &mut chain, 50).unwrap();
    }
    (store, chain)
}

/// Every record of the first `size` blocks of 50 is there, and can be found.
fn assert_holds(store: &dyn Store, size: u64) {
    let head = store.head().unwrap().unwrap();
    assert!(head.size >= size, "{} blocks of {size}", head.size);
    for record in 0..head.records {
        assert_eq!(store.record(record).unwrap().unwrap().record, record_bytes(record));
    }
    for height in 0..head.size {
        assert_eq!(store.block_info(height).unwrap().unwrap().height, height);
        assert_eq!(store.leaf_inputs(height).unwrap().unwrap().len(), 50 * 96);
    }
    let last = head.records - 1;
    assert_eq!(store.find_ciphertext(&ciphertext_hash(last)).unwrap(), Some(last));
}

#[test]
fn opens_again_after_a_clean_end_and_after_a_copy_of_the_running_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger ü?#%.db");
    let (store, mut chain) = filled(&path, 3);
    // What a machine that loses power leaves behind, and what somebody copies.
    let copy = dir.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(dir.path().join("ledger ü?#%.db-wal"), dir.path().join("copy.db-wal")).unwrap();
    drop(store);
    assert!(!dir.path().join("ledger ü?#%.db-wal").exists(), "a clean end leaves one file");
    let store = open(&path).unwrap();
    append(&store, &mut chain, 50).unwrap();
    assert_holds(&store, 4);
    assert_holds(&SqliteStore::open_read_only(&path).unwrap(), 4);
    assert_holds(&SqliteStore::open_read_only(&copy).unwrap(), 3);
    assert_holds(&open(&copy).unwrap(), 3);
}

#[test]
fn a_store_opened_for_reading_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = filled(&path, 1);
    let reader = SqliteStore::open_read_only(&path).unwrap();
    assert_eq!(reader.origin(), ORIGIN);
    let refused = append(&reader, &mut chain.clone(), 1);
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })));
    assert!(matches!(reader.rebuild_index(&mut |_, _| ()), Err(StoreError::ReadOnly { .. })));
    // It follows a server that goes on.
    append(&store, &mut chain, 50).unwrap();
    assert_holds(&reader, 2);
}

#[test]
fn other_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    drop(filled(&path("ours.db"), 2));

    let other = SqliteStore::open(&path("ours.db"), "example.org/other", false).unwrap_err();
    assert!(matches!(&other, StoreError::WrongLedger { found, expected, .. }
        if found == ORIGIN && expected == "example.org/other"));
    assert!(other.to_string().contains("belongs to the ledger \"example.org/log\""));

    assert!(matches!(open(&path("none.db")), Err(StoreError::Missing { .. })));
    assert!(!path("none.db").exists());
    assert!(matches!(SqliteStore::open_read_only(&path("none.db")), Err(StoreError::Missing { .. })));
    let no_directory = SqliteStore::open(&path("no/such.db"), ORIGIN, true);
    assert!(matches!(no_directory, Err(StoreError::CannotOpen { .. })));

    std::fs::write(path("empty.db"), b"").unwrap();
    std::fs::write(path("text.db"), "not a database\n".repeat(1000)).unwrap();
    Connection::open(path("foreign.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    for (name, says) in [
        ("empty.db", "empty"),
        ("text.db", "not a database"),
        ("foreign.db", "another program"),
        (".", "directory"),
    ] {
        for error in [open(&path(name)).unwrap_err(), SqliteStore::open_read_only(&path(name)).unwrap_err()] {
            assert!(matches!(error, StoreError::NotADatabase { .. }), "{name}: {error}");
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
    }
    for name in ["text.db", "foreign.db", "."] {
        assert!(SqliteStore::open(&path(name), ORIGIN, true).is_err(), "{name}");
    }
    // Nothing was created in somebody else's database; an empty file may become one of ours.
    let tables: i64 = Connection::open(path("foreign.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .unwrap();
    assert_eq!(tables, 1);
    SqliteStore::open(&path("empty.db"), ORIGIN, true).unwrap();

    Connection::open(path("ours.db")).unwrap().pragma_update(None, "user_version", 5).unwrap();
    let newer = open(&path("ours.db")).unwrap_err();
    assert!(matches!(newer, StoreError::WrongVersion { found: 5, known: 4, .. }));
    Connection::open(path("ours.db")).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let older = open(&path("ours.db")).unwrap_err();
    assert!(matches!(older, StoreError::WrongVersion { found: 1, known: 4, .. }));
}

#[test]
fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    drop(filled(&path, 20));
    let whole = std::fs::read(&path).unwrap();
    let damaged = |result: Result<SqliteStore, StoreError>, what: &str| {
        let error = result.map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{what}: {error}");
        assert!(error.to_string().contains("sealtrail fsck"), "{error}");
    };
    for cut in [whole.len() - 1, whole.len() - PAGE_BYTES, whole.len() / 2, PAGE_BYTES, 4096, 50] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        damaged(open(&path), "cut");
        damaged(SqliteStore::open_read_only(&path), "cut");
    }
    // One page overwritten: an error or the right answer, never a panic or a wrong record.
    for start in (0..whole.len()).step_by(PAGE_BYTES) {
        let mut bytes = whole.clone();
        bytes[start..start + PAGE_BYTES].fill(0x5a);
        std::fs::write(&path, &bytes).unwrap();
        let Ok(store) = SqliteStore::open_read_only(&path) else { continue };
        let _ = store.stats();
        for record in (0..1000).step_by(9) {
            let _ = store.find_ciphertext(&ciphertext_hash(record));
            let _ = store.record(record);
            let _ = store.leaf_inputs(record / 50);
        }
    }
    // The head and the blocks disagree; a guard is gone; something was slipped in.
    for (sql, says) in [
        ("UPDATE head SET size = size + 1", "head and the last block disagree"),
        ("DELETE FROM head", "head and the last block disagree"),
        ("DROP TRIGGER block_delete", "block_delete"),
        ("CREATE TRIGGER extra AFTER INSERT ON block BEGIN DELETE FROM body_chunk; END", "extra"),
    ] {
        std::fs::write(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    std::fs::write(&path, &whole).unwrap();
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_holds(&open(&path).unwrap(), 20);
}

#[test]
fn permanent_tables_refuse_direct_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = filled(&path, 3);
    let shell = Connection::open(&path).unwrap();
    for (sql, says) in [
        ("UPDATE block SET text = x'00' WHERE height = 1", "blocks are permanent"),
        ("UPDATE block SET records = 0", "blocks are permanent"),
        ("DELETE FROM block WHERE height = 2", "blocks are permanent"),
        ("DELETE FROM block", "blocks are permanent"),
        ("INSERT OR REPLACE INTO block SELECT 1, 0, 0, 99, 'x', 0, x'00'", "blocks are permanent"),
        ("INSERT OR REPLACE INTO block SELECT 3, 150, 0, 1, 'w', 0, x'00'", "blocks are permanent"),
        ("INSERT INTO block SELECT 7, 150, 0, 99, 'x', 0, x'00'", "blocks are permanent"),
        ("UPDATE leaf_chunk SET data = x''", "leaf inputs are permanent"),
        ("DELETE FROM leaf_chunk", "leaf inputs are permanent"),
        ("INSERT OR REPLACE INTO leaf_chunk SELECT id, x'' FROM leaf_chunk", "leaf inputs are permanent"),
        ("UPDATE meta SET origin = 'example.org/other'", "origin of a ledger is permanent"),
        ("DELETE FROM meta", "origin of a ledger is permanent"),
        ("INSERT INTO meta VALUES ('example.org/other')", "origin of a ledger is permanent"),
    ] {
        let error = shell.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains(says), "{sql}: {error}");
    }
    append(&store, &mut chain, 50).unwrap();
    assert_holds(&store, 4);
}

#[test]
fn an_interrupted_rebuild_is_noticed_and_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = shaped(&path, 9);
    drop(store);
    // As a rebuild leaves it that ends after its first run: the other ones are to be deleted.
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE index_state SET records = 100; UPDATE run SET tier = -1 WHERE first_record > 0 OR tier > 0")
        .unwrap();
    let store = open(&path).unwrap();
    let incomplete =
        |records| StoreError::IndexIncomplete { place: path.display().to_string(), covered: 100, records };
    assert_eq!(store.find_ciphertext(&ciphertext_hash(1)), Err(incomplete(450)));
    append(&store, &mut chain, 50).unwrap();
    assert_eq!(store.find_ciphertext(&ciphertext_hash(151)), Err(incomplete(500)));
    assert_eq!(store.find_tag(&1u64.to_be_bytes(), 0, 9), Err(incomplete(500)));
    store.rebuild_index(&mut |_, _| ()).unwrap();
    assert_holds(&store, 10);
    assert_eq!(store.find_ciphertext(&ciphertext_hash(1)).unwrap(), Some(1));
}

/// What the index is on disk.
fn index_image(path: &Path) -> Vec<(i64, i64, i64, i64, Vec<u8>)> {
    let db = Connection::open(path).unwrap();
    let sql = "SELECT kind, tier, first_record, end_record, data FROM run JOIN run_chunk ON run_chunk.id >> 24 = run.id
        ORDER BY kind, first_record, tier, run_chunk.id";
    let mut select = db.prepare(sql).unwrap();
    let rows = select.query_map([], |r| {
        // Not the checksums: they are made with the number of the run.
        let mut data: Vec<u8> = r.get(4)?;
        data.chunks_exact_mut(1021).for_each(|cell| cell[..4].fill(0));
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, data))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Blocks of different sizes, stored one by one, many at once, with restarts, or indexed anew: the same runs.
#[test]
fn the_same_blocks_give_the_same_runs() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..4).map(|n| dir.path().join(format!("{n}.db"))).collect();
    for (way, path) in paths.iter().enumerate() {
        let mut store = SqliteStore::create_shaped(path, ORIGIN, SHAPE).unwrap();
        let mut chain = Chain::new();
        let blocks: Vec<_> =
            (0..90u32).map(|n| chain.block("w", [0, 1, 1, 9, 60, 230][(n * 7 % 6) as usize])).collect();
        for part in blocks.chunks(if way == 1 { 17 } else { 1 }) {
            let before = part[0].height;
            let head = chain.head_after(&blocks[..before as usize + part.len()]);
            store.append(before, part, &[], &head).unwrap();
            if way == 2 && before % 5 == 0 {
                drop(store);
                store = open(path).unwrap();
            }
        }
        if way == 3 {
            store.rebuild_index(&mut |_, _| ()).unwrap();
        }
        while store.maintain(std::time::Duration::from_secs(1)).unwrap() {}
        assert!(store.stats().unwrap().tail_records < 100);
    }
    let images: Vec<_> = paths.iter().map(|p| index_image(p)).collect();
    assert!(images[0].len() > 5 && images[0].iter().any(|row| row.1 == 2));
    assert!(images.iter().all(|image| *image == images[0]));
}

#[test]
fn damage_of_the_index_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = shaped(&path, 9);
    let shell = Connection::open(&path).unwrap();
    shell
        .execute_batch(
            "UPDATE run_chunk SET data = CAST(substr(data, 1, 900) || x'5a5a' || substr(data, 903) AS BLOB)",
        )
        .unwrap();
    let corrupt = |r: Result<(), StoreError>| assert!(matches!(r, Err(StoreError::Corrupt { .. })), "{r:?}");
    corrupt(store.find_ciphertext(&ciphertext_hash(1)).map(drop));
    corrupt(store.find_tag(&1u64.to_be_bytes(), 0, 9).map(drop));
    // It holds up nothing else, and making it anew repairs it.
    for _ in 0..9 {
        append(&store, &mut chain, 50).unwrap();
    }
    assert_eq!(store.record(7).unwrap().unwrap().record, record_bytes(7));
    store.rebuild_index(&mut |_, _| ()).unwrap();
    assert_holds(&store, 18);
    for sql in ["DELETE FROM run WHERE kind = 2", "DELETE FROM run_chunk", "DELETE FROM index_state"] {
        shell.execute_batch(sql).unwrap();
        corrupt(store.find_tag(&1u64.to_be_bytes(), 0, 9).map(drop));
    }
}

/// A store opened to read follows appends, runs that are cut off, and erasures, in what it has in memory too.
#[test]
fn a_reader_beside_the_server_finds_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = shaped(&path, 1);
    let reader = SqliteStore::open_read_only(&path).unwrap();
    for n in 0..30 {
        append(&store, &mut chain, 13).unwrap();
        let records = chain.head().records;
        let erased = records - 2..records;
        if n % 3 == 0 {
            store.erase(std::slice::from_ref(&erased)).unwrap();
        }
        for record in (0..records).rev().take(40) {
            assert_eq!(reader.find_ciphertext(&ciphertext_hash(record)).unwrap(), Some(record));
            for tag in record_tags(record) {
                let found = reader.find_tag(&tag, record, 1).unwrap();
                assert_eq!(found, store.find_tag(&tag, record, 1).unwrap());
                assert!(!(n % 3 == 0 && erased.contains(&record) && found == [record]));
            }
        }
    }
}

#[test]
fn the_log_stays_small_under_appends_without_a_pause() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = filled(&path, 2);
    let log = || std::fs::metadata(dir.path().join("ledger.db-wal")).unwrap().len();
    // Some 200 MB. The first part of the log must be in the database before the rest comes.
    let largest = (0..1000).map(|_| {
        append(&store, &mut chain, 1000).unwrap();
        log()
    });
    let largest = largest.max().unwrap();
    // Nothing is copied below 2 MB; from 48 MB on an append waits until all is.
    assert!((2 << 20..50 << 20).contains(&largest), "{largest}");
    let seen = SqliteStore::open_read_only(&path).unwrap();
    assert_eq!(seen.head().unwrap().unwrap().size, 1002);
    drop((seen, store));
    assert!(!dir.path().join("ledger.db-wal").exists(), "the writer's connection closes last");
}

#[test]
fn readers_that_hold_a_snapshot_do_not_stop_appends_and_the_log_shrinks_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, mut chain) = filled(&path, 2);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM block").unwrap();
    // More than the log is kept at.
    for _ in 0..400 {
        append(&store, &mut chain, 1000).unwrap();
    }
    assert!(store.stats().unwrap().wal_bytes > 80_000_000);
    let seen: u64 = reader.query_row("SELECT count(*) FROM block", [], |r| r.get(0)).unwrap();
    assert_eq!(seen, 2, "the snapshot stays");
    reader.execute_batch("COMMIT").unwrap();
    for _ in 0..3 {
        append(&store, &mut chain, 1).unwrap();
    }
    let left = store.stats().unwrap().wal_bytes;
    assert!(left <= 32 * 1024 * 1024, "{left}");
    assert_eq!(store.head().unwrap().unwrap().size, 405);
}

/// Environment variable by which a test runs itself again as a child process in another role.
const CHILD: &str = "STORE_TEST_CHILD";

/// This test program again, running only `test`, as a child with `path`.
fn child_command(test: &str, path: &Path) -> Command {
    let mut c = Command::new(std::env::current_exe().unwrap());
    c.args(["--exact", test, "--nocapture"]).env(CHILD, path).stdout(Stdio::piped());
    c
}

fn child_path() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

#[test]
fn a_killed_process_loses_no_acknowledged_append() {
    if let Some(path) = child_path() {
        let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
        let mut chain = Chain::new();
        while let Some(h) = store.head().unwrap().filter(|h| h.size > chain.head().size) {
            for _ in chain.head().size..h.size {
                chain.block("w", 50);
            }
        }
        loop {
            append(&store, &mut chain, 50).unwrap();
            println!("stored {}", chain.head().size);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut acknowledged = 0;
    for round in 1..=8 {
        let mut child =
            child_command("a_killed_process_loses_no_acknowledged_append", &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            if let Some((_, n)) = line.rsplit_once("stored ") {
                acknowledged = n.parse().unwrap();
            }
        };
        for line in lines.by_ref().take(10 + round * 17) {
            note(line.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(&mut note);
        assert_holds(&open(&path).unwrap(), acknowledged);
    }
    assert!(acknowledged > 500);
}

#[test]
fn a_file_that_may_not_grow_refuses_appends_and_loses_nothing() {
    if let Some(path) = child_path() {
        let store = open(&path).unwrap();
        let mut chain = Chain::new();
        for _ in 0..store.head().unwrap().unwrap().size {
            chain.block("w", 50);
        }
        // The write that breaks the limit fails in the middle of a commit, with an error of which SQLite
        // does not say whether the commit is on the disk.
        let mut failures = 0;
        for _ in 0..2000 {
            match append(&store, &mut chain, 50) {
                Ok(()) => {}
                Err(StoreError::Full { .. }) => {
                    failures += 1;
                    assert_eq!(store.head().unwrap(), Some(chain.head()));
                    assert_holds(&store, chain.head().size);
                }
                // The log cannot be emptied into a database that cannot grow: nobody may be told which
                // head holds.
                Err(StoreError::Uncertain { .. }) => {
                    assert!(matches!(store.head(), Err(StoreError::Uncertain { .. })));
                    let again = append(&store, &mut chain, 50);
                    assert!(matches!(again, Err(StoreError::Uncertain { .. })));
                    println!("uncertain after {} with {failures}", chain.head().size);
                    return;
                }
                Err(e) => panic!("{e}"),
            }
        }
        panic!("no limit was met");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    drop(filled(&path, 4));
    // Blocks of 1024 bytes, so 3 MB; the signal is ignored so that the write fails instead.
    let name = "a_file_that_may_not_grow_refuses_appends_and_loses_nothing";
    let test = std::env::current_exe().unwrap();
    let out = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 3000; exec \"$@\"", "bash"])
        .arg(test)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    let (_, numbers) = said.rsplit_once("uncertain after ").unwrap();
    let mut numbers = numbers.split_whitespace().filter_map(|w| w.parse::<u64>().ok());
    let (acknowledged, failures) = (numbers.next().unwrap(), numbers.next().unwrap());
    assert!(acknowledged > 20, "{acknowledged}");
    println!("{acknowledged} appends, {failures} definite failures");
    // With room again, everything acknowledged is there and the ledger goes on.
    let store = open(&path).unwrap();
    assert_holds(&store, acknowledged);
    let mut chain = Chain::new();
    for _ in 0..store.head().unwrap().unwrap().size {
        chain.block("w", 50);
    }
    append(&store, &mut chain, 50).unwrap();
    assert_holds(&store, acknowledged + 1);
}

#[test]
fn copies_in_a_read_only_directory_can_be_read() {
    if let Some(path) = child_path() {
        assert!(std::fs::File::create(path.join("x")).is_err(), "the directory must not be writable");
        for (name, size) in [("with-wal.db", 3), ("alone.db", 2)] {
            let store = SqliteStore::open_read_only(&path.join(name)).unwrap();
            assert_holds(&store, size);
            assert_eq!(store.head().unwrap().unwrap().size, size, "{name}");
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| assert_holds(&store, size));
                }
            });
            assert!(open(&path.join(name)).is_err());
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sealed = dir.path().join("sealed");
    std::fs::create_dir(&sealed).unwrap();
    drop(filled(&sealed.join("alone.db"), 2));
    let live = dir.path().join("ledger.db");
    let (store, _) = filled(&live, 3);
    std::fs::copy(&live, sealed.join("with-wal.db")).unwrap();
    std::fs::copy(dir.path().join("ledger.db-wal"), sealed.join("with-wal.db-wal")).unwrap();
    drop(store);
    for entry in std::fs::read_dir(&sealed).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o444)).unwrap();
    }
    for (path, mode) in [(dir.path(), 0o755), (&sealed, 0o555)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut child = child_command("copies_in_a_read_only_directory_can_be_read", &sealed);
    // Permissions do not bind the superuser: the child is somebody else.
    if std::fs::File::create(sealed.join("probe")).is_ok() {
        std::fs::remove_file(sealed.join("probe")).unwrap();
        child.uid(65534).gid(65534);
    }
    let out = child.stderr(Stdio::piped()).output().unwrap();
    std::fs::set_permissions(&sealed, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"));
    let left: Vec<_> = std::fs::read_dir(&sealed).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_log_cut_short_loses_only_its_last_append() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (store, _) = filled(&path, 6);
    let copy = dir.path().join("copy.db");
    let log = dir.path().join("copy.db-wal");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(dir.path().join("ledger.db-wal"), &log).unwrap();
    drop(store);
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&log).unwrap();
    let end = file.seek(SeekFrom::End(-10)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(end)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    drop(file);
    let store = open(&copy).unwrap();
    assert_eq!(store.head().unwrap().unwrap().size, 5);
    assert_holds(&store, 5);
}
