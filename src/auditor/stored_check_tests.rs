//! A batch that is hashed while it is read is accepted and refused as one that is read whole, however it was changed.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};

use super::super::source::SourceError;
use super::*;
use crate::base::batch::Body;
use crate::chain::statement::Statement;
use crate::chain::testing::{Ledger, ORIGIN, erased};
use crate::store::{Head, NewBlock, SqliteStore, Store};

/// A block with records, as its writer signed it, and what is stored of it.
struct Sample {
    ledger: Ledger,
    height: u64,
    kept: Vec<u8>,
    body: Vec<u8>,
}

impl Sample {
    /// The newest block is a batch of so many records, of which these are erased.
    fn new(records: u64, gone: &[usize]) -> Sample {
        let mut ledger = Ledger::sample();
        let height = ledger.state().height();
        ledger.push_batch(records);
        let body = &ledger.bodies[&height];
        let inputs = batch::commit(body).unwrap().leaf_inputs;
        let kept = inputs.iter().flat_map(LeafInputs::to_bytes).collect();
        let decoded = Body::decode(body).unwrap();
        let records = decoded.records().enumerate();
        let records: Vec<Vec<u8>> =
            records.map(|(n, r)| if gone.contains(&n) { erased(r) } else { r.to_vec() }).collect();
        let body = Body::encode(decoded.header, &records);
        Sample { ledger, height, kept, body }
    }

    fn stored(&self, kept: Vec<u8>, body: Vec<u8>) -> Stored {
        let block = &self.ledger.blocks[self.height as usize];
        let Ok(Statement::Records(statement)) = Statement::parse(&block.statement.text) else {
            unreachable!("it is a batch");
        };
        let batch = Batch::new(block, statement, self.ledger.state().shared_roster(), body);
        Stored { batch, kept, with_body: true, shared: None }
    }

    /// Whether it holds, which must be the same in all ways it can be checked.
    fn holds(&self, blocks: &Arc<dyn Blocks>, what: &str) -> bool {
        let room = Room::default();
        let streamed = self.stored(Vec::new(), Vec::new()).check_streamed(&**blocks, &room);
        let kept = blocks.leaf_inputs(self.height).ok();
        let whole = kept.zip(blocks.body(self.height).ok());
        let whole = whole.and_then(|(kept, body)| self.stored(kept, body).check_whole().ok());
        let shared = Some(blocks.clone());
        let either = Stored { shared, ..self.stored(Vec::new(), Vec::new()) }.check(&room).ok();
        let told = |c: &Checked| (c.height, c.rehashed, c.bytes, c.erased.clone(), c.outsiders.clone());
        assert_eq!(streamed.as_ref().map(told), whole.as_ref().map(told), "{what}");
        assert_eq!(either.as_ref().map(told), whole.as_ref().map(told), "{what}");
        // What holds is read once.
        assert!(either.is_none_or(|c| c.read_again == 0), "{what}");
        whole.is_some()
    }
}

/// A block's bytes, which come in pieces of some size.
struct Pieces {
    kept: Vec<u8>,
    body: Vec<u8>,
    size: usize,
}

impl Blocks for Pieces {
    fn stream(
        &self,
        _: u64,
        leaf_inputs: &mut Vec<u8>,
        body: &mut Vec<u8>,
        each: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<bool, SourceError> {
        leaf_inputs.clear();
        leaf_inputs.extend_from_slice(&self.kept);
        let came = self.body.chunks(self.size).all(|piece| {
            body.extend_from_slice(piece);
            each(body)
        });
        Ok(came && !self.body.is_empty())
    }
    fn body(&self, _: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.body.clone())
    }
    fn leaf_inputs(&self, _: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.kept.clone())
    }
}

/// The only block of a database file, at height 0 there.
struct Rows(SqliteStore);

impl Blocks for Rows {
    fn stream(
        &self,
        _: u64,
        leaf_inputs: &mut Vec<u8>,
        body: &mut Vec<u8>,
        each: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<bool, SourceError> {
        self.0.stream(0, leaf_inputs, body, each).map_err(|e| SourceError::Damaged(e.to_string()))
    }
    fn body(&self, _: u64) -> Result<Vec<u8>, SourceError> {
        self.0.body(0).map(Option::unwrap_or_default).map_err(|e| SourceError::Damaged(e.to_string()))
    }
    fn leaf_inputs(&self, _: u64) -> Result<Vec<u8>, SourceError> {
        self.0.leaf_inputs(0).map(Option::unwrap_or_default).map_err(|e| SourceError::Damaged(e.to_string()))
    }
}

/// Bytes with a bit flipped in each place of every `step`; cut short and made longer; and two stretches exchanged.
fn changes(good: &[u8], step: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let flipped = (0..good.len()).step_by(step).map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        (format!("a bit of byte {at}"), bytes)
    });
    let cut = (0..good.len()).step_by(7 * step).map(|n| (format!("{n} bytes"), good[..n].to_vec()));
    let longer = [&[0][..], &[7; 97]].map(|more| (format!("{more:?} after it"), [good, more].concat()));
    let half = good.len() / 2;
    let exchanged = ("halves exchanged".to_owned(), [&good[half..], &good[..half]].concat());
    flipped.chain(cut).chain(longer).chain([exchanged])
}

/// Header, lengths, heads, slots, tags and ciphertext of records: one region after the other.
#[test]
fn whatever_is_changed_is_found_in_pieces_as_well_as_whole() {
    for (sample, step, size) in [
        (Sample::new(2, &[]), 1, 300),
        (Sample::new(4, &[0, 2, 3]), 1, 777),
        // More records than are hashed at a time.
        (Sample::new(600, &[1, 2, 599]), 9973, 5000),
    ] {
        let holds = |kept: &[u8], body: &[u8], what: &str| {
            let blocks = Pieces { kept: kept.to_vec(), body: body.to_vec(), size };
            sample.holds(&(Arc::new(blocks) as Arc<dyn Blocks>), what)
        };
        assert!(holds(&sample.kept, &sample.body, "nothing changed"));
        for (what, body) in changes(&sample.body, step) {
            assert!(!holds(&sample.kept, &body, &what), "body with {what}");
        }
        for (what, kept) in changes(&sample.kept, step) {
            assert!(!holds(&kept, &sample.body, &what), "leaf inputs with {what}");
        }
    }
}

fn database(sample: &Sample, path: &Path) -> Arc<dyn Blocks> {
    let records = (sample.kept.len() / LEAF_INPUTS_LEN) as u32;
    let block = NewBlock {
        height: 0,
        first_record: 0,
        records,
        text: b"of no interest here".to_vec(),
        leaf_inputs: sample.kept.clone(),
        signer: "w".into(),
        sequence: 0,
        body: Some(sample.body.clone()),
        tags: Vec::new(),
    };
    let head = Head { size: 1, records: u64::from(records), ..Head::default() };
    let store = SqliteStore::open(path, ORIGIN, true).unwrap();
    store.append(0, &[block], &[], &head).unwrap();
    drop(store);
    Arc::new(Rows(SqliteStore::open_read_only(path).unwrap()))
}

#[test]
fn whatever_is_changed_in_the_database_is_found_while_it_is_read_as_well_as_whole() {
    for sample in [Sample::new(3, &[]), Sample::new(4, &[0, 2, 3])] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let rows = database(&sample, &path);
        assert!(sample.holds(&rows, "nothing changed"));
        let conn = Connection::open(&path).unwrap();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
        for table in ["body_chunk", "leaf_chunk"] {
            let good: Vec<u8> =
                conn.query_row(&format!("SELECT data FROM {table}"), [], |r| r.get(0)).unwrap();
            let set = format!("UPDATE {table} SET data = ?1");
            let mut accepted = Vec::new();
            for (what, bytes) in changes(&good, 3) {
                conn.execute(&set, params![bytes]).unwrap();
                if sample.holds(&rows, &format!("{table} with {what}")) {
                    accepted.push(what);
                }
            }
            conn.execute(&set, params![good]).unwrap();
            assert!(sample.holds(&rows, "all put back"));
            // Zero bytes behind a stored body are no part of it: rows that shrink leave some. Nothing else may be there.
            let fine: &[&str] = if table == "body_chunk" { &["[0] after it"] } else { &[] };
            assert_eq!(accepted, fine, "{table}");
        }
    }
}
