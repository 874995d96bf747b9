//! A [`State`] as bytes, so that a ledger starts without replaying its blocks. Private to the program that
//! wrote it: not part of the format, and always rebuildable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::authority::RecordRange;
use super::key::VerifierKey;
use super::ledger_key::{LedgerKey, LedgerKeys};
use super::replay::{ChainError, Head, Hold, State};
use super::roster::Roster;
use super::statement::Statement;
use crate::base::clock::Timestamp;
use crate::base::wire::{Reader, WireError, WireWrite};

/// Changes whenever the layout does; an older snapshot is then replayed from the blocks.
const SNAPSHOT_VERSION: u8 = 3;

impl State {
    /// version ‖ origin ‖ height ‖ block hash ‖ committed ‖ next record ‖ roster height ‖ authority head
    /// ‖ roster text ‖ number of writers ‖ (name ‖ head)… ‖ number of holds ‖ (name ‖ block ‖ reason ‖ number of ranges ‖
    /// (first ‖ last)…)… ‖ number of ledger keys ‖ (since ‖ handed over ‖ key)…; before the first block only version and origin.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SNAPSHOT_VERSION];
        out.put_bytes16(self.origin.as_bytes());
        let (Some(committed), Some(roster)) = (self.last_committed, &self.roster) else { return out };
        out.put_u64(self.height);
        out.extend_from_slice(&self.block_hash.0);
        out.put_u64(committed.millis() as u64);
        out.put_u64(self.next_record);
        out.put_u64(self.roster_height);
        put_head(&mut out, &self.authority);
        // At most MAX_STATEMENT_BYTES, which 16 bits hold.
        out.put_bytes16(Statement::Roster(Roster::clone(roster)).to_text().as_bytes());
        out.put_u32(self.writers.len() as u32);
        for (name, head) in &self.writers {
            out.put_bytes16(name.as_bytes());
            put_head(&mut out, head);
        }
        out.put_u32(self.holds.len() as u32);
        for (name, hold) in self.holds.iter() {
            out.put_bytes16(name.as_bytes());
            out.put_u64(hold.block);
            out.put_bytes16(hold.reason.as_bytes());
            out.put_u32(hold.records.len() as u32);
            for range in &hold.records {
                out.put_u64(range.first);
                out.put_u64(range.last);
            }
        }
        out.put_u32(self.ledger_keys.all().len() as u32);
        for key in self.ledger_keys.all() {
            out.put_u64(key.since);
            out.push(u8::from(key.handed_over));
            out.put_bytes16(key.key.as_str().as_bytes());
        }
        out
    }

    /// Inverse of [`State::encode`]; refuses any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<State, ChainError> {
        let mut r = Reader::new(bytes, "chain state");
        if r.u8()? != SNAPSHOT_VERSION {
            return Ok(r.invalid("written by another version")?);
        }
        let mut state = State::new(r.str16()?);
        if r.remaining().is_empty() {
            return Ok(state);
        }
        state.height = r.u64()?;
        state.block_hash = r.hash()?;
        state.last_committed = i64::try_from(r.u64()?).ok().and_then(Timestamp::from_millis);
        state.next_record = r.u64()?;
        state.roster_height = r.u64()?;
        state.authority = head(&mut r)?;
        let Ok(Statement::Roster(roster)) = Statement::parse(r.str16()?) else {
            return Ok(r.invalid("no roster in it")?);
        };
        let heights = state.height > 0 && state.roster_height < state.height;
        if !heights || state.last_committed.is_none() || roster.ledger != state.origin {
            return Ok(r.invalid("its parts contradict each other")?);
        }
        let mut writers = BTreeMap::new();
        for _ in 0..r.u32()? {
            let name = r.str16()?;
            if writers.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= name) {
                return Ok(r.invalid("writers are not in order")?);
            }
            writers.insert(name.to_owned(), head(&mut r)?);
        }
        state.writers = writers;
        state.holds = Arc::new(holds(&mut r)?);
        let keys =
            LedgerKeys::restore(ledger_keys(&mut r)?).filter(|k| k.current() == Some(&roster.ledger_key));
        let Some(keys) = keys else { return Ok(r.invalid("its ledger keys contradict each other")?) };
        (state.ledger_keys, state.roster) = (keys, Some(Arc::new(roster)));
        r.finish()?;
        Ok(state)
    }
}

fn holds(r: &mut Reader<'_>) -> Result<BTreeMap<String, Hold>, WireError> {
    let mut holds = BTreeMap::new();
    for _ in 0..r.u32()? {
        let name = r.str16()?.to_owned();
        if holds.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return r.invalid("holds are not in order");
        }
        let (block, reason) = (r.u64()?, r.str16()?.to_owned());
        let mut records = Vec::new();
        for _ in 0..r.u32()? {
            records.push(RecordRange { first: r.u64()?, last: r.u64()? });
        }
        holds.insert(name, Hold { block, records, reason });
    }
    Ok(holds)
}

fn ledger_keys(r: &mut Reader<'_>) -> Result<Vec<LedgerKey>, WireError> {
    let mut keys = Vec::new();
    for _ in 0..r.u32()? {
        let since = r.u64()?;
        let handed_over = match r.u8()? {
            0 => false,
            1 => true,
            _ => return r.invalid("it says neither that a ledger key was handed over nor that it was not"),
        };
        let Ok(key) = VerifierKey::parse(r.str16()?) else { return r.invalid("a ledger key in it is none") };
        keys.push(LedgerKey { since, key, handed_over });
    }
    Ok(keys)
}

fn put_head(out: &mut Vec<u8>, head: &Head) {
    out.put_u64(head.next_sequence);
    out.extend_from_slice(&head.previous.0);
}

fn head(r: &mut Reader<'_>) -> Result<Head, WireError> {
    Ok(Head { next_sequence: r.u64()?, previous: r.hash()? })
}
