//! A small ledger that has one of everything that can be damaged: a full tile, a batch with nodes, index runs of both kinds in several
//! tiers, records that were erased, a grant; and a backup of it. Made once; damaged as often as one likes, each time as a copy.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::support::{Ledger, Server, copy_folder, program};

pub const OFFICER: &str = "test.example/officers/dpo";
/// The records that are erased.
pub const ERASED: &str = "261..262,300..340";

/// The file with a checkpoint of when there were some fifty blocks.
pub const EARLY: &str = "early.checkpoint";

/// The folder that all copies are made of, with the backup in `backup`.
pub struct Base {
    pub ledger: Ledger,
    /// All rows of all tables, as they must be.
    pub rows: Vec<String>,
}

pub static BASE: LazyLock<Base> = LazyLock::new(make);

pub fn log(ledger: &Ledger, server: &Server, from: u64, count: u64) {
    let event = |i: u64| {
        format!(
            r#"{{"event_type":"read","actor":{{"user_id":"user-{}"}},"resource":{{"id":"PAT-{i}"}},"text":"{}"}}"#,
            i % 3,
            "x".repeat((i * 97 % 400) as usize)
        )
    };
    let events: Vec<String> = (from..from + count).map(event).collect();
    ledger.writer_client(server).log_ndjson(events.join("\n").as_bytes()).unwrap();
}

pub fn erase(ledger: &Ledger, server: &Server, records: &str) {
    ledger.ok(&[
        "erase",
        "--records",
        records,
        "--reason",
        "data-subject-request",
        "--legal-basis",
        "GDPR Art. 17",
        "--officer",
        "keys/dpo.key",
    ]);
    for _ in 0..600 {
        if server.client().health().unwrap().erasures_pending == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the order is not carried out");
}

fn make() -> Base {
    let ledger = Ledger::new();
    let vkey = ledger.ok(&["keygen", "officer", OFFICER]);
    ledger.ok(&["officer", "add", vkey.trim()]);
    let bob = ledger.ok(&["keygen", "reader", "bob"]);
    // Small runs, so that there are many.
    let shape = "UPDATE index_state SET segment_records = 20, segment_tags = 100, fanout = 4";
    Connection::open(ledger.path("ledger.db")).unwrap().execute_batch(shape).unwrap();
    let server = ledger.serve();
    for n in 0..252 {
        log(&ledger, &server, n, 1);
        if n == 50 {
            std::fs::write(ledger.path(EARLY), server.client().checkpoint().unwrap()).unwrap();
        }
    }
    log(&ledger, &server, 252, 260);
    ledger.ok(&["reader", "add", "bob", bob.trim()]);
    for n in 0..6 {
        log(&ledger, &server, 600 + 30 * n, 30);
    }
    let to = format!("bob={}", bob.trim());
    let grant = ["audit", "grant", "--to", &to, "--records", "250..270", "--identity", "keys/alice.identity"];
    let grant = [&grant[..], &["--key", "keys/ledger.vkey"]].concat();
    ledger.ok(&[&grant[..], &["--server", &server.url, "--admin-key", "keys/admin.key"]].concat());
    erase(&ledger, &server, ERASED);
    log(&ledger, &server, 900, 7);
    server.stop();
    ledger.ok(&["backup", "backup"]);
    let rows = rows(&ledger.path("ledger.db"));
    Base { ledger, rows }
}

/// A copy of the base, to be damaged.
pub struct Victim {
    pub dir: tempfile::TempDir,
}

impl Victim {
    pub fn new() -> Victim {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(BASE.ledger.dir.path(), dir.path());
        Victim { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("ledger.db")
    }

    pub fn run(&self, args: &[&str]) -> Output {
        program().args(args).current_dir(self.dir.path()).output().unwrap()
    }

    /// Runs a command, which must end with this exit code; gives all it said.
    pub fn expect(&self, code: i32, args: &[&str]) -> String {
        let out = self.run(args);
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        said
    }

    /// Changes the database behind the program's back: no triggers, definitions can be written.
    pub fn sql(&self, f: impl FnOnce(&Connection)) {
        let conn = Connection::open(self.database()).unwrap();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        f(&conn);
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
}

/// Every row of every table, as text: what a reader of the database can ever get to see.
pub fn rows(database: &Path) -> Vec<String> {
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    try_rows(&conn).unwrap()
}

/// The same of a damaged database.
pub fn try_rows(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut out = Vec::new();
    let mut tables = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let tables: Vec<(String, Option<String>)> =
        tables.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (name, sql) in tables {
        out.push(format!("{name} {sql:?}"));
        if sql.is_none_or(|sql| !sql.starts_with("CREATE TABLE")) {
            continue;
        }
        let mut select = conn.prepare(&format!("SELECT rowid, * FROM {name} ORDER BY 1"))?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let values: Vec<Value> = (0..columns).map(|c| row.get(c)).collect::<rusqlite::Result<_>>()?;
            out.push(format!("{name} {values:?}"));
        }
    }
    Ok(out)
}
