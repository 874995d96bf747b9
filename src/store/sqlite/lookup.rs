//! Look-ups: the runs of one snapshot, and the tail that belongs to it.

use rusqlite::Connection;

use super::super::StoreError;
use super::blocks::block_of_record;
use super::chunks::LEAVES;
use super::index::{Loaded, State, load, state};
use super::runs::{self, KIND_CIPHERTEXT, KIND_TAG, Wanted};
use super::tail::{self, Tail};
use super::{SqlResult, SqliteStore};
use crate::base::hash::{HASH_LEN, Hash};
use crate::base::limits::CIPHERTEXT_PLACES;
use crate::base::record::{LEAF_INPUTS_LEN, Tag};

/// How often a look-up begins anew because a run was cut off meanwhile.
const ATTEMPTS: usize = 16;

impl SqliteStore {
    /// The record whose sealed bytes have this hash.
    pub(super) fn look_up_ciphertext(&self, hash: &Hash) -> Result<Option<u64>, StoreError> {
        let key = tail::ciphertext_key(&hash.0);
        self.look_up(|tx, tail, state| {
            let mut stored = Vec::with_capacity(HASH_LEN);
            let mut is_it = |record: u64| {
                let Some(block) = block_of_record(tx, record as i64)? else { return Ok(false) };
                let offset = (record - block.first_record) as usize * LEAF_INPUTS_LEN;
                stored.clear();
                LEAVES.read(tx, block.height as i64, offset, HASH_LEN, &mut stored)?;
                Ok::<_, rusqlite::Error>(stored == hash.0)
            };
            let mut from = 0;
            loop {
                let wanted = Wanted { key, from, limit: CIPHERTEXT_PLACES };
                let places = runs::find(tx, KIND_CIPHERTEXT, &wanted, state.covered, self.index.hints())?;
                for record in &places {
                    if is_it(*record)? {
                        return Ok(Some(*record));
                    }
                }
                match places.last() {
                    Some(last) if places.len() == CIPHERTEXT_PLACES => from = last + 1,
                    _ => break,
                }
            }
            for record in tail.find_ciphertext(key, state.covered..state.records) {
                if is_it(record)? {
                    return Ok(Some(record));
                }
            }
            Ok(None)
        })
    }

    /// At most `limit` records that carry a tag, ascending, from `from` on.
    pub(super) fn look_up_tag(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let key = u64::from_be_bytes(*tag);
        self.look_up(|tx, tail, state| {
            let wanted = Wanted { key, from, limit };
            let mut found = runs::find(tx, KIND_TAG, &wanted, state.covered, self.index.hints())?;
            // All of them are behind those in runs.
            let newest = state.covered.max(from)..state.records;
            found.extend(tail.find_tag(key, newest, limit - found.len()));
            Ok(found)
        })
    }

    /// Runs a look-up on one snapshot of the runs and the tail that belongs to it.
    fn look_up<T>(&self, f: impl Fn(&Connection, &Tail, State) -> SqlResult<T>) -> Result<T, StoreError> {
        for _ in 0..ATTEMPTS {
            let found = self.pool.read(|tx| {
                let state = state(tx)?;
                match self.index.tail().filter(|t| state.is_served_by(t)) {
                    Some(tail) => f(tx, &tail, state).map(Some),
                    None => Ok(None),
                }
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
            // This snapshot is older than the tail, or the tail behind.
            let _pace = self.index.lock();
            let known = self.index.tail();
            match self.pool.read(|tx| load(tx, known.as_deref()))? {
                Loaded::Tail(tail) => self.index.set_tail(Some(tail)),
                Loaded::Gap(state) => return Err(self.incomplete((state.covered, state.records))),
            }
        }
        let why = "its index is cut again and again while it is read".to_owned();
        Err(StoreError::Busy { place: self.place(), why })
    }
}
