//! The layout of the database file, and the check that a file has exactly this one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Result};

use super::super::StoreError;
use super::IndexShape;
use super::fault::fault;
use super::log::WAL;
use crate::base::paths::beside;

/// `application_id`: "STrl".
const APPLICATION_ID: i64 = 0x5354_726c;
/// `user_version`: the layout below. A change of it needs a new number. Files of another are refused: so far there is no migration.
const SCHEMA_VERSION: i64 = 4;

/// Page size in bytes. Blocks of 4,096 records: 250,000 records/s with 4,096, 290,000 with 8,192, 370,000
/// with 16,384; commits of one record: 0.23, 0.25 and 0.32 ms (`examples/store_load.rs`).
pub(super) const PAGE_BYTES: usize = 16384;

/// Largest blob that a row keeps whole in its page of the tree, with no overflow page, in bytes: the largest payload
/// <https://sqlite.org/fileformat2.html#b_tree_pages> (X = U-35) less 5 bytes of record header. It leaves no room for another.
pub(super) const ROW_BYTES: usize = PAGE_BYTES - 35 - 5;

/// Permanent: `meta`, `block`, `leaf_chunk`. Erasable: `body_chunk`. Replaced by every append: `head`.
/// Disposable: `derived` (the layers above rebuild it), `run`, `run_chunk` and `index_state` (this layer).
///
/// The triggers guard against mistakes made with a database shell, by people and by programs; somebody who
/// means to cheat can drop them, and is caught by the chain's hashes. Rows may be added at the end
/// only, which also stops `INSERT OR REPLACE`, whose deletions fire no trigger.
const SCHEMA: &str = "
CREATE TABLE meta (
    origin TEXT NOT NULL
) STRICT;
CREATE TRIGGER meta_update BEFORE UPDATE ON meta
    BEGIN SELECT RAISE(ABORT, 'the origin of a ledger is permanent'); END;
CREATE TRIGGER meta_delete BEFORE DELETE ON meta
    BEGIN SELECT RAISE(ABORT, 'the origin of a ledger is permanent'); END;
CREATE TRIGGER meta_insert BEFORE INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta)
    BEGIN SELECT RAISE(ABORT, 'the origin of a ledger is permanent'); END;

CREATE TABLE block (
    height INTEGER PRIMARY KEY,
    first_record INTEGER NOT NULL,
    records INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    signer TEXT NOT NULL,
    tags INTEGER NOT NULL,
    text BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX block_statement ON block (signer, sequence);
CREATE INDEX block_first_record ON block (first_record) WHERE records > 0;
CREATE TRIGGER block_update BEFORE UPDATE ON block
    BEGIN SELECT RAISE(ABORT, 'blocks are permanent'); END;
CREATE TRIGGER block_delete BEFORE DELETE ON block
    BEGIN SELECT RAISE(ABORT, 'blocks are permanent'); END;
CREATE TRIGGER block_insert BEFORE INSERT ON block
    WHEN NEW.height IS NOT (SELECT ifnull(max(height) + 1, 0) FROM block)
      OR EXISTS (SELECT 1 FROM block WHERE signer = NEW.signer AND sequence = NEW.sequence)
    BEGIN SELECT RAISE(ABORT, 'blocks are permanent'); END;

CREATE TABLE leaf_chunk (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
CREATE TRIGGER leaf_chunk_update BEFORE UPDATE ON leaf_chunk
    BEGIN SELECT RAISE(ABORT, 'leaf inputs are permanent'); END;
CREATE TRIGGER leaf_chunk_delete BEFORE DELETE ON leaf_chunk
    BEGIN SELECT RAISE(ABORT, 'leaf inputs are permanent'); END;
CREATE TRIGGER leaf_chunk_insert BEFORE INSERT ON leaf_chunk
    WHEN NEW.id <= (SELECT max(id) FROM leaf_chunk)
    BEGIN SELECT RAISE(ABORT, 'leaf inputs are permanent'); END;

CREATE TABLE body_chunk (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    records INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    body_bytes INTEGER NOT NULL,
    stored_body_bytes INTEGER NOT NULL,
    checkpoint BLOB NOT NULL,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE derived (
    key TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    first_record INTEGER NOT NULL,
    end_record INTEGER NOT NULL,
    start INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    live INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT;
CREATE TABLE run_chunk (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE index_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    records INTEGER NOT NULL,
    erasures INTEGER NOT NULL,
    segment_records INTEGER NOT NULL,
    segment_tags INTEGER NOT NULL,
    fanout INTEGER NOT NULL
) STRICT;
";

/// Whether nothing has been created in this database yet.
pub(super) fn is_blank(conn: &Connection) -> Result<bool> {
    let id: i64 = conn.pragma_query_value(None, "application_id", |r| r.get(0))?;
    Ok(id == 0 && objects(conn)?.is_empty())
}

/// Creates the tables, in one transaction, so that a crash leaves a blank file or a whole one.
pub(super) fn create(conn: &mut Connection, origin: &str) -> Result<()> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if is_blank(&tx)? {
        tx.execute_batch(SCHEMA)?;
        tx.execute("INSERT INTO meta (origin) VALUES (?1)", [origin])?;
        let shape = IndexShape::default();
        tx.execute(
            "INSERT INTO index_state VALUES (1, 0, 0, ?1, ?2, ?3)",
            [shape.segment_records, shape.segment_tags, shape.fanout],
        )?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    tx.commit()
}

/// Checks that this is a database of this program and layout, and returns its origin.
fn identify(conn: &Connection, path: &Path) -> std::result::Result<String, StoreError> {
    check_layout(conn, path)?;
    conn.query_row("SELECT origin FROM meta", [], |r| r.get(0)).map_err(|e| fault(path, &e))
}

/// The same for a database that may be damaged; an origin that cannot be read is empty.
pub(super) fn identify_damaged(conn: &Connection, path: &Path) -> std::result::Result<String, StoreError> {
    check_layout(conn, path)?;
    Ok(conn.query_row("SELECT origin FROM meta", [], |r| r.get(0)).unwrap_or_default())
}

fn check_layout(conn: &Connection, path: &Path) -> std::result::Result<(), StoreError> {
    let place = || path.display().to_string();
    let sql = |e| fault(path, &e);
    let pragma = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).map_err(sql);
    if pragma("application_id")? != APPLICATION_ID {
        let why = match is_blank(conn).map_err(sql)? {
            true => "it is empty",
            false => "it is an SQLite database of another program",
        };
        return Err(StoreError::NotADatabase { place: place(), why: why.to_owned() });
    }
    let found = pragma("user_version")?;
    if found != SCHEMA_VERSION {
        return Err(StoreError::WrongVersion { place: place(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// [`identify`]; checks too that nothing is defined that should not be, and that the head and the last block agree, so that the
/// commonest damage shows at the start.
pub(super) fn check(conn: &Connection, path: &Path) -> std::result::Result<String, StoreError> {
    let origin = identify(conn, path)?;
    let place = || path.display().to_string();
    let sql = |e| fault(path, &e);
    // A file from somebody else could define views and triggers that make reading it misleading, and a
    // file of ours could have lost its guards.
    let corrupt = |why: String| StoreError::Corrupt { place: place(), why };
    if let Some(name) = differing_object(conn).map_err(sql)? {
        return Err(corrupt(format!("the definition of {name:?} is missing, added or changed")));
    }
    check_length(conn, path)?;
    let last: Option<(i64, i64)> = conn
        .query_row(
            "SELECT height + 1, first_record + records FROM block ORDER BY height DESC LIMIT 1",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()
        .map_err(sql)?;
    let head: Option<(i64, i64)> = conn
        .query_row("SELECT size, records FROM head", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()
        .map_err(sql)?;
    if head.unwrap_or_default() != last.unwrap_or_default() {
        return Err(corrupt(format!("the head and the last block disagree: {head:?}, {last:?}")));
    }
    Ok(origin)
}

/// SQLite notices missing pages, but reads a last page cut short as if zeros followed. A log still to be
/// copied into the file may hold the rest of it.
fn check_length(conn: &Connection, path: &Path) -> std::result::Result<(), StoreError> {
    let pragma =
        |name| conn.pragma_query_value(None, name, |r| r.get::<_, u64>(0)).map_err(|e| fault(path, &e));
    let wanted = pragma("page_count")? * pragma("page_size")?;
    let length = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
    if length(&beside(path, WAL)) > 0 || length(path) >= wanted {
        return Ok(());
    }
    let why = format!("it is cut short, {} of {wanted} bytes are there", length(path));
    Err(StoreError::Corrupt { place: path.display().to_string(), why })
}

/// Every table, index and trigger with its definition, by name. SQLite's own are left out: it makes
/// statistics tables when somebody runs ANALYZE.
fn objects(conn: &Connection) -> Result<Vec<(String, String)>> {
    conn.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?
    .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
    .collect()
}

/// The first object that is not as [`SCHEMA`] defines it.
pub(super) fn differing_object(conn: &Connection) -> Result<Option<String>> {
    let wanted = Connection::open_in_memory()?;
    wanted.execute_batch(SCHEMA)?;
    let (wanted, found) = (objects(&wanted)?, objects(conn)?);
    let lacking = wanted.iter().find(|o| !found.contains(o));
    let added = found.iter().find(|o| !wanted.contains(o));
    Ok(lacking.or(added).map(|(name, _)| name.clone()))
}
