//! One write cycle under construction: what was submitted, checked and made into blocks. [`super::commit`] makes it durable.

use std::collections::HashMap;

use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::record::LEAF_INPUTS_LEN;
use crate::chain::batch;
use crate::chain::block::Block;
use crate::chain::log::Log;
use crate::chain::note::Note;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;
use crate::store::{NewBlock, Store};

use super::commit::Answer;
use super::erase::Order;
use super::prove::nodes_row;
use super::recent::Recent;
use super::recover::tile_key;
use super::search::{epoch_of, epoch_rows};
use super::{LedgerError, Payload, Receipt, Submission};

/// One cycle under construction, on copies of state and log that are kept only if it becomes durable.
pub(super) struct Cycle {
    pub(super) state: State,
    pub(super) log: Log,
    pub(super) blocks: Vec<NewBlock>,
    pub(super) derived: Vec<(String, Vec<u8>)>,
    /// Hash of the signed note and receipt of what this cycle holds, for a repetition inside the same cycle.
    held: HashMap<(String, u64), (Hash, Receipt)>,
    pub(super) orders: Vec<Order>,
    /// Search epochs of its batches.
    pub(super) epochs: Vec<Hash>,
    pub(super) answers: Vec<(Answer, Receipt)>,
}

impl Cycle {
    /// An empty one, on copies of what the chain says and of the log.
    pub(super) fn new(state: State, log: Log) -> Cycle {
        Cycle {
            state,
            log,
            blocks: Vec::new(),
            derived: Vec::new(),
            held: HashMap::new(),
            orders: Vec::new(),
            epochs: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Checks one submission against the chain as it will be after those before it, and adds its block. `noted` are search epochs
    /// that are in the store.
    pub(super) fn add(
        &mut self,
        store: &dyn Store,
        noted: &mut Recent<Hash, ()>,
        submission: Submission,
        retention: &Retention,
    ) -> Result<Receipt, LedgerError> {
        let Submission { note, body } = submission;
        let checked = match self.state.check(&note) {
            Ok(c) => c,
            Err(e) => return self.repeated(store, &note).unwrap_or(Err(e.into())),
        };
        let (mut derived, mut begun) = (Vec::new(), None);
        let (leaf_inputs, body, tags) = match (checked.statement(), body) {
            (Statement::Records(records), Some(Payload::Batch(body))) => {
                let (bytes, commitment) = body.into_parts();
                let roster = self.state.roster().ok_or(LedgerError::Empty)?;
                batch::check(records, note.signer_name(), &commitment, roster)?;
                let mut inputs = Vec::with_capacity(commitment.leaf_inputs.len() * LEAF_INPUTS_LEN);
                for l in &commitment.leaf_inputs {
                    inputs.extend_from_slice(&l.to_bytes());
                }
                let height = self.state.height();
                let epoch = epoch_of(&commitment.header);
                if noted.get(&epoch).is_none() {
                    derived = epoch_rows(store, &self.derived, height, &commitment.header)?;
                    begun = Some(epoch);
                }
                derived.extend(nodes_row(height, commitment.leaf_inputs.len(), &commitment.nodes));
                (inputs, Some(bytes), commitment.tags)
            }
            (Statement::Grant(_), Some(Payload::Grant(bytes))) => (Vec::new(), Some(bytes), Vec::new()),
            (Statement::Roster(roster), None)
                if self.state.ledger_keys().current().is_some_and(|key| *key != roster.ledger_key) =>
            {
                return Err(LedgerError::KeyChange);
            }
            (Statement::Records(_) | Statement::Grant(_), None) => return Err(LedgerError::BodyMissing),
            (_, Some(_)) => return Err(LedgerError::BodyUnexpected),
            (_, None) => (Vec::new(), None, Vec::new()),
        };
        let note_hash = Hash::of(&[note.to_string().as_bytes()]);
        let now = self.state.committed_at(Timestamp::now());
        if let Statement::Erasure(erasure) = checked.statement() {
            retention.check(erasure, now)?;
        }
        let (block, text, statement) = self.state.append(checked, now)?;
        let (signer, sequence) = (sequence_of(&statement, &block.statement), statement.sequence());
        if let Statement::Erasure(erasure) = &statement {
            self.orders.push(Order::new(erasure));
        }
        let records = (leaf_inputs.len() / LEAF_INPUTS_LEN) as u32;
        let receipt =
            Receipt { block: block.height, first_record: block.first_record, records, repeated: false };
        for (id, tile) in self.log.append(block.hash()) {
            self.derived.push((tile_key(id), tile));
        }
        self.derived.extend(derived);
        self.epochs.extend(begun);
        self.held.insert((signer.clone(), sequence), (note_hash, Receipt { repeated: true, ..receipt }));
        self.blocks.push(NewBlock {
            height: block.height,
            first_record: block.first_record,
            records,
            text: text.into_bytes(),
            leaf_inputs,
            signer,
            sequence,
            body,
            tags,
        });
        Ok(receipt)
    }

    /// If exactly this statement is in the chain already, its receipt: a resubmission is no error.
    fn repeated(&self, store: &dyn Store, note: &Note) -> Option<Result<Receipt, LedgerError>> {
        let statement = Statement::parse(&note.text).ok()?;
        let hash = Hash::of(&[note.to_string().as_bytes()]);
        let (signer, sequence) = (sequence_of(&statement, note), statement.sequence());
        if let Some((held, receipt)) = self.held.get(&(signer.clone(), sequence)) {
            return (*held == hash).then_some(Ok(*receipt));
        }
        committed(store, note).transpose()
    }
}

/// The receipt of exactly this statement, if it is in the store.
pub(super) fn committed(store: &dyn Store, note: &Note) -> Result<Option<Receipt>, LedgerError> {
    let Ok(statement) = Statement::parse(&note.text) else { return Ok(None) };
    let signer = sequence_of(&statement, note);
    let Some(height) = store.statement(&signer, statement.sequence())? else { return Ok(None) };
    let Some(text) = store.block_text(height)? else { return Ok(None) };
    let Some(block) = std::str::from_utf8(&text).ok().and_then(|t| Block::parse(t).ok()) else {
        return Ok(None);
    };
    // Signatures included: a repetition by someone without the key is none.
    let same = block.statement == *note;
    let records = statement.record_count() as u32;
    Ok(same.then_some(Receipt { block: height, first_record: block.first_record, records, repeated: true }))
}

/// Whose sequence a statement is numbered in: its writer's, or the authority sequence, which has no name.
pub fn sequence_of(statement: &Statement, note: &Note) -> String {
    match statement {
        Statement::Records(_) | Statement::Heartbeat(_) => note.signer_name().to_owned(),
        Statement::Roster(_) | Statement::Grant(_) | Statement::Erasure(_) | Statement::Hold(_) => {
            String::new()
        }
    }
}
