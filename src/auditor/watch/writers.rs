//! When each writer of the roster was last heard of. Names and times only: they stand in the public chain.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::clock::Timestamp;
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// The writers of the roster in force.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Writers(BTreeMap<String, LastWord>);

/// A writer's last statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastWord {
    /// Height of its block, or of the roster that let the writer in.
    pub block: u64,
    /// When the ledger committed that block.
    pub committed: Timestamp,
    /// It is the roster's block: the writer has said nothing yet.
    pub joined: bool,
    /// Rules that raised an alert about the silence since.
    pub told: BTreeSet<String>,
}

impl Writers {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &LastWord)> {
        self.0.iter()
    }

    /// Takes one back from where it was kept.
    pub fn insert(&mut self, name: String, last: LastWord) {
        self.0.insert(name, last);
    }

    /// Takes note of a block.
    pub fn observe(&mut self, block: &Block, statement: &Statement) {
        let word = |joined| LastWord {
            block: block.height,
            committed: block.committed,
            joined,
            told: BTreeSet::new(),
        };
        match statement {
            Statement::Records(_) | Statement::Heartbeat(_) => {
                self.0.insert(block.statement.signer_name().to_owned(), word(false));
            }
            Statement::Roster(roster) => {
                self.0.retain(|name, _| roster.writer(name).is_some());
                for writer in &roster.writers {
                    self.0.entry(writer.name().to_owned()).or_insert_with(|| word(true));
                }
            }
            // Of the admins and officers.
            _ => {}
        }
    }

    /// Those silent for longer than `longer_than` milliseconds at `now` of whom `rule` has not told yet.
    pub(super) fn silent(
        &mut self,
        rule: &str,
        now: Timestamp,
        longer_than: i64,
    ) -> impl Iterator<Item = (&String, &mut LastWord)> {
        self.0.iter_mut().filter(move |(_, last)| {
            now.millis().saturating_sub(last.committed.millis()) > longer_than && !last.told.contains(rule)
        })
    }
}
