//! Row `rows`: the same events as plain rows of an unencrypted SQLite, with the same five fields indexed.
//!
//! The table is filled to its full size without indexes and unsynchronised, then indexed, because filling it with the indexes in place takes hours
//! at tens of millions of rows; only inserts that come after that are measured. It is given 256 MiB of page cache, as much as the
//! server may use, and a write-ahead log of 64 MiB between checkpoints; what it inserts is parsed before the clock runs.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::super::Fallible;
use super::super::args::Row;
use super::super::context::{self, Bench, bar, of_run};
use super::super::events::{EVENT_BYTES, Events, PLANTED};
use super::super::figures::{Figure, Unit};
use super::super::machine;

const ROW: Row = Row::Rows;
/// Rows of one transaction while filling, and while measuring.
const FILL: u64 = 50_000;
const PER_COMMIT: u64 = 1000;
/// How long inserts are measured in one run.
const SLICE: Duration = Duration::from_secs(15);
const QUICK_SLICE: Duration = Duration::from_millis(700);
/// Page cache in KiB; pages of 4 KiB after which the write-ahead log is checkpointed.
const CACHE_KIB: i64 = 256 * 1024;
const CHECKPOINT_PAGES: i64 = 16 * 1024;

const FIELDS: [&str; 5] = ["actor", "resource", "action", "result", "address"];

/// An event and its five fields.
struct Plain {
    text: String,
    fields: [String; 5],
}

impl Plain {
    fn of(events: &Events, number: u64) -> Fallible<Plain> {
        let text = String::from_utf8(events.event(number))?;
        // All values are plain ASCII without escapes, each name stands where it is looked for first.
        let value = |from: &str, name: &str| {
            let rest = text.split_once(from)?.1;
            Some(rest.split_once(name)?.1.split_once('"')?.0.to_owned())
        };
        let fields = [
            value("\"actor\":{", "\"user_id\":\""),
            value("\"resource\":{", "\"id\":\""),
            value("\"resource\":{", "\"action\":\""),
            value("\"resource\":{", "\"result\":\""),
            value("\"actor\":{", "\"ip_address\":\""),
        ];
        let fields = fields.map(Option::unwrap_or_default);
        Ok(Plain { text, fields })
    }
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let dir = bench.folder("rows")?;
    std::fs::create_dir_all(&dir)?;
    let (runs, count) = (bench.args.runs, bench.args.records);
    let db = fill(bench, &dir.join("rows.db"), count)?;
    let slice = if bench.args.quick { QUICK_SLICE } else { SLICE };
    let mut next = count;
    let mut rates = Vec::new();
    for run in 0..runs {
        let bar = bar(&of_run(ROW, "inserting", run, runs), slice.as_millis() as u64, "ms");
        rates.push(insert(&db, &bench.events, &mut next, slice, &bar)?);
        bar.finish_and_clear();
    }
    let finding: Vec<f64> = (0..runs).map(|_| find(&db, &bench.events, next)).collect::<Fallible<_>>()?;
    checkpoint(&db)?;
    let bytes = machine::file_bytes(&dir, "rows")? as f64 / (next as f64 * EVENT_BYTES as f64);
    drop(db);
    context::remove(&dir)?;
    bench.add(Figure::new(ROW, "insert", "plain SQLite rows with five indexes", Unit::PerSecond, rates));
    bench.add(Figure::new(ROW, "find", "plain SQLite: rows of one patient, warm", Unit::Seconds, finding));
    bench.add(Figure::new(
        ROW,
        "disk",
        "plain SQLite: bytes on disk per byte of event",
        Unit::Times,
        vec![bytes],
    ));
    Ok(())
}

fn fill(bench: &Bench, path: &Path, count: u64) -> Fallible<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    let columns = FIELDS.map(|f| format!("{f} TEXT")).join(", ");
    db.execute_batch(&format!("CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, {columns})"))?;
    let bar = bar("rows: filling the table", count, "rows");
    let mut next = 0;
    while next < count {
        let end = count.min(next + FILL);
        let rows = (next..end).map(|n| Plain::of(&bench.events, n)).collect::<Fallible<Vec<_>>>()?;
        write(&db, &rows)?;
        next = end;
        bar.set_position(next);
    }
    bar.finish_and_clear();
    let bar = context::bar("rows: making the indexes", FIELDS.len() as u64, "indexes");
    bar.enable_steady_tick(Duration::from_millis(200));
    for field in FIELDS {
        db.execute_batch(&format!("CREATE INDEX by_{field} ON events ({field})"))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    checkpoint(&db)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

/// Puts everything into the database file itself.
fn checkpoint(db: &Connection) -> Fallible<()> {
    Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

fn write(db: &Connection, rows: &[Plain]) -> Fallible<()> {
    let transaction = db.unchecked_transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO events (body, actor, resource, action, result, address) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for row in rows {
            let [actor, resource, action, result, address] = &row.fields;
            insert.execute(params![row.text, actor, resource, action, result, address])?;
        }
    }
    Ok(transaction.commit()?)
}

/// Rows a second, of the transactions alone.
fn insert(
    db: &Connection,
    events: &Events,
    next: &mut u64,
    slice: Duration,
    bar: &indicatif::ProgressBar,
) -> Fallible<f64> {
    let (mut spent, mut rows) = (Duration::ZERO, 0);
    while spent < slice {
        let batch =
            (*next..*next + PER_COMMIT).map(|n| Plain::of(events, n)).collect::<Fallible<Vec<_>>>()?;
        *next += PER_COMMIT;
        let start = Instant::now();
        write(db, &batch)?;
        spent += start.elapsed();
        rows += PER_COMMIT;
        bar.set_position((spent.as_millis() as u64).min(slice.as_millis() as u64));
    }
    Ok(rows as f64 / spent.as_secs_f64())
}

/// Seconds to find the rows of the planted patient; the second of two look-ups.
fn find(db: &Connection, events: &Events, rows: u64) -> Fallible<f64> {
    let mut query = db.prepare_cached("SELECT id FROM events WHERE resource = ? ORDER BY id")?;
    let mut seconds = 0.0;
    for _ in 0..2 {
        let start = Instant::now();
        let found = query.query_map([PLANTED], |row| row.get::<_, i64>(0))?.count() as u64;
        seconds = start.elapsed().as_secs_f64();
        if found != events.planted(rows) {
            return Err(format!("plain SQLite found {found} rows of {}", events.planted(rows)).into());
        }
    }
    Ok(seconds)
}
