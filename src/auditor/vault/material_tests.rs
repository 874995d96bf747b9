//! A vault that is changed while it is in use, or before, gives no evidence.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};

use super::super::DATABASE;
use super::*;
use crate::chain::tile::TileId;
use crate::ledger::tests::Bench;
use crate::ledger::tile_key;
use crate::store::{NewBlock, SqliteStore, mark};

/// A record that is erased; the order for it is the last block.
const ERASED: u64 = 3;
/// Blocks of one record each: more than one tile of the log.
const BLOCKS: u64 = 258;

/// The vault of a ledger: everything it has, synced to its checkpoint.
fn vault(b: &Bench, dir: &Path) -> Vault {
    let tile = tile_key(TileId { level: 0, index: 0 });
    let derived = [
        (tile.clone(), b.store.derived(&tile).unwrap().unwrap()),
        (mark::VAULT_WHOLE.to_owned(), b.ledger().view().checkpoint.clone().into_bytes()),
    ];
    let head = b.store.head().unwrap().unwrap();
    let blocks: Vec<NewBlock> = (0..head.size).map(|height| b.stored_block(height)).collect();
    let store = SqliteStore::open(&dir.join(DATABASE), b.store.origin(), true).unwrap();
    store.append(0, &blocks, &derived, &head).unwrap();
    drop(store);
    Vault::open(dir, &b.key().verifier()).unwrap()
}

/// What becomes of the order that erased the record, in evidence about it.
fn order(vault: &Vault, view: &View) -> Result<LogEntry, VaultError> {
    let mut order = None;
    vault.materials(view, &[ERASED], &Arc::default(), |m| {
        order = m.erasure;
        Ok::<_, VaultError>(())
    })?;
    Ok(order.unwrap())
}

#[test]
fn what_was_changed_in_a_vault_is_no_evidence() {
    let mut b = Bench::new();
    for _ in 0..BLOCKS {
        let batch = b.batch(1);
        b.submit(batch).unwrap();
    }
    let height = b.erase(&[(ERASED, ERASED)], "subject-request").unwrap().block;
    b.wait_erased();
    let dir = tempfile::tempdir().unwrap();
    let good = vault(&b, dir.path());
    let again = || Vault::open(dir.path(), good.key()).unwrap();
    let view = good.view().unwrap();
    let text = order(&good, &view).unwrap().text;
    assert_eq!(text.as_bytes(), b.store.block_text(height).unwrap().unwrap());

    let conn = Connection::open(dir.path().join(DATABASE)).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let change = |sql: &str, key: &dyn rusqlite::ToSql, value: &[u8]| {
        assert_eq!(conn.execute(sql, params![key, value]).unwrap(), 1);
    };
    let damaged = |answer: Result<(), VaultError>| {
        let error = answer.unwrap_err().to_string();
        assert!(
            error.contains("is damaged") && error.contains("delete the folder and sync again"),
            "{error}"
        );
    };
    // The text of the order: another reason, for the same record.
    let set_text = "UPDATE block SET text = ?2 WHERE height = ?1";
    let changed = text.replace("subject-request", "subject-demands");
    assert_ne!(changed, text);
    change(set_text, &height, changed.as_bytes());
    damaged(order(&good, &view).map(drop));
    damaged(again().view().map(drop));
    change(set_text, &height, text.as_bytes());
    assert_eq!(order(&good, &view).unwrap().text, text);
    // A node of the log, beside the record's block; who has it at hand from before does not need it.
    let set_tile = "UPDATE derived SET value = ?2 WHERE key = ?1";
    let key = tile_key(TileId { level: 0, index: 0 });
    let tile = b.store.derived(&key).unwrap().unwrap();
    let mut flipped = tile.clone();
    flipped[32 * (ERASED as usize + 2)] ^= 1;
    change(set_tile, &key, &flipped);
    damaged(order(&again(), &view).map(drop));
    damaged(again().view().map(drop));
    assert!(again().proofs(&view, &[ERASED]).is_err());
    change(set_tile, &key, &tile);
    assert_eq!(order(&again(), &view).unwrap().text, text);
}
