//! What a database file that somebody made up gives to read: errors, and no more memory than a batch may take.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rusqlite::Params;
use rusqlite::config::DbConfig;

use super::super::testing::{ORIGIN, block};
use super::*;
use crate::base::limits::MAX_STORED_ROW_BYTES;
use crate::store::{NewBlock, Store};

/// A store of one block with four records, changed by a statement.
fn crafted(dir: &Path, sql: &str, values: impl Params) -> SqliteStore {
    let path = dir.join("a.db");
    let store = SqliteStore::open(&path, ORIGIN, true).unwrap();
    let (b, head) = block(0, 0..4, 1000);
    let sealed = vec![vec![1; 1000]; 4];
    let b = NewBlock { body: Some(Body::encode(&[7; 40], &sealed)), ..b };
    store.append(0, &[b], &[("k".into(), vec![1])], &head).unwrap();
    assert_eq!(store.record(2).unwrap().unwrap().record, sealed[2]);
    drop(store);
    let conn = Connection::open(&path).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    assert_eq!(conn.execute(sql, values).unwrap(), 1);
    drop(conn);
    SqliteStore::open_read_only(&path).unwrap()
}

fn damaged<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Corrupt { .. })));
}

/// All that reads bodies.
fn read_body(store: &SqliteStore) -> [Result<(), StoreError>; 4] {
    let (mut inputs, mut body) = (Vec::new(), Vec::new());
    let streamed = store.stream(0, &mut inputs, &mut body, &mut |b| {
        b.clear();
        true
    });
    [
        store.body(0).map(drop),
        store.body_part(0, 0, 10).map(drop),
        store.record(2).map(drop),
        streamed.map(drop),
    ]
}

#[test]
fn a_row_longer_than_any_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let long = MAX_STORED_ROW_BYTES + 1;
    let store = crafted(dir.path(), "UPDATE body_chunk SET data = zeroblob(?1)", [long]);
    read_body(&store).into_iter().for_each(damaged);
    let dir = tempfile::tempdir().unwrap();
    let store = crafted(dir.path(), "UPDATE block SET text = zeroblob(?1)", [long]);
    damaged(store.block_text(0));
    damaged(store.block_texts(0, 1, 1));
    damaged(store.proof_parts(0, 32, &|_| None));
    let dir = tempfile::tempdir().unwrap();
    let store = crafted(dir.path(), "UPDATE derived SET value = zeroblob(?1)", [long]);
    damaged(store.derived("k"));
}

#[test]
fn a_body_that_contradicts_its_block_is_damage() {
    // A header of 4 GiB.
    let header = "UPDATE body_chunk SET data = CAST(substr(data, 1, 4) || ?1 || substr(data, 9) AS BLOB)";
    let dir = tempfile::tempdir().unwrap();
    let store = crafted(dir.path(), header, [&[0xff_u8; 4]]);
    damaged(store.record(2));
    assert!(store.body(0).unwrap().unwrap().len() < 5000, "as it is stored");
    // One record, where the block has four.
    let one = Body::encode(b"", &[b"x"]);
    let dir = tempfile::tempdir().unwrap();
    let store = crafted(dir.path(), "UPDATE body_chunk SET data = ?1", [one]);
    damaged(store.record(0));
    damaged(store.record(2));
}
