//! What the blocks say about keeping and erasing: retention dates, what was erased, what is held. Read from unverified blocks,
//! for lists and proposals; the ledger checks every order itself.

use std::collections::BTreeMap;

use crate::chain::authority::{HoldAction, RecordRange};
use crate::chain::replay::Hold;
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;

use super::Failure;
use super::authority::Authority;

/// The ledger's life so far, in this respect.
#[derive(Default)]
pub struct Journal {
    /// How long records must be kept.
    pub retention: Retention,
    /// What was ordered to be erased, normalised.
    pub erased: Vec<RecordRange>,
    /// Holds in force.
    pub holds: BTreeMap<String, Hold>,
}

impl Journal {
    /// Reads all blocks.
    pub fn read(authority: &Authority) -> Result<Journal, Failure> {
        let mut journal = Journal::default();
        let mut erased = Vec::new();
        authority.each_block(&mut |block| {
            let statement = Statement::parse(&block.statement.text).map_err(Failure::unavailable)?;
            match statement {
                Statement::Records(s) => {
                    journal.retention.push(block.first_record, s.records, &s.retain_until);
                }
                Statement::Erasure(e) => erased.extend(e.records),
                Statement::Hold(h) => match h.action {
                    HoldAction::Place(records) => {
                        let hold = Hold { block: block.height, records, reason: h.reason };
                        journal.holds.insert(h.hold, hold);
                    }
                    HoldAction::Release => {
                        journal.holds.remove(&h.hold);
                    }
                },
                Statement::Heartbeat(_) | Statement::Roster(_) | Statement::Grant(_) => {}
            }
            Ok(())
        })?;
        journal.erased = RecordRange::normalise(erased);
        Ok(journal)
    }

    /// All records under a hold, normalised.
    pub fn held(&self) -> Vec<RecordRange> {
        RecordRange::normalise(self.holds.values().flat_map(|h| h.records.iter().copied()).collect())
    }
}
