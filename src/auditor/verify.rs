//! Verifies a whole ledger from its bytes: every statement and link, every writer's sequence, every stored
//! byte against the roots its writer signed, and the checkpoint over all of it. Names the first thing wrong.

use crate::base::batch::Body;
use crate::base::grant::GrantBody;
use std::collections::BTreeMap;

use crate::base::hash::Hash;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record};
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::batch::{self, record_leaf};
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::grant::{self, GrantError};
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::proof::record_id;
use crate::chain::recipient::recipient_text;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::statement::{GrantStatement, RecordsStatement, Statement};
use crate::chain::tree;

use super::source::{Source, SourceError};

/// How a verification ended early.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The ledger is not what it must be.
    #[error("{}{what}", place(.block, .record))]
    Wrong {
        /// The block concerned, if one can be named.
        block: Option<u64>,
        /// The record concerned, if one can be named.
        record: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// The bytes could not be read; nothing is said about the ledger.
    #[error("the verification could not be finished: {0}")]
    Source(#[from] SourceError),
}

fn place(block: &Option<u64>, record: &Option<u64>) -> String {
    match (record, block) {
        (Some(r), Some(b)) => format!("record {} in block {b}: ", record_id(*r)),
        (Some(r), None) => format!("record {}: ", record_id(*r)),
        (None, Some(b)) => format!("block {b}: "),
        (None, None) => String::new(),
    }
}

fn wrong(
    block: impl Into<Option<u64>>,
    record: impl Into<Option<u64>>,
    what: impl Into<String>,
) -> VerifyError {
    VerifyError::Wrong { block: block.into(), record: record.into(), what: what.into() }
}

/// What was verified.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The origin.
    pub ledger: String,
    /// Blocks, all of them.
    pub blocks: u64,
    /// Records, all of them.
    pub records: u64,
    /// Records whose stored bytes were hashed again.
    pub records_rehashed: u64,
    /// Records that are gone by order of an erasure statement; 0 if stored bytes were not read.
    pub erased: u64,
    /// Records that were ordered to be erased, and that are stored all the same.
    pub not_yet_erased: u64,
    /// The orders, oldest first.
    pub erasures: Vec<ErasureReport>,
    /// Names of the holds in force.
    pub holds: Vec<String>,
    /// Grants to later readers.
    pub grants: u64,
    /// Those of them whose slots were not shown because their reader is no longer in the roster.
    pub hidden_grants: u64,
    /// Bytes of bodies hashed.
    pub bytes: u64,
    /// Root of the log, base64.
    pub root: String,
    /// Hash of block 0, base64: pins the first roster, and so the admin.
    pub genesis: String,
    /// Whether the first roster was found to be of the admin given.
    pub admin_checked: bool,
    /// Recipients that batches were sealed to although the roster did not have them, with the first such block.
    pub readers_outside_roster: Vec<(String, u64)>,
    /// The signed checkpoint, to remember.
    #[serde(skip)]
    pub checkpoint: String,
    /// When the last block was committed.
    pub last_committed: Option<String>,
}

/// An erasure order of the ledger.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ErasureReport {
    /// Height of its block.
    pub block: u64,
    /// When that was committed.
    pub committed: String,
    /// Its records, as `A..B`.
    pub records: Vec<String>,
    /// How many they are.
    pub count: u64,
    /// Reason code.
    pub reason: String,
    /// Legal basis.
    pub legal_basis: String,
    /// Who signed it.
    pub officers: Vec<String>,
}

impl ErasureReport {
    fn of(block: &Block, order: &ErasureStatement) -> ErasureReport {
        ErasureReport {
            block: block.height,
            committed: block.committed.to_string(),
            records: order.records.iter().map(RecordRange::to_string).collect(),
            count: RecordRange::total(&order.records),
            reason: order.reason.clone(),
            legal_basis: order.legal_basis.clone(),
            officers: block.statement.signatures.iter().map(|s| s.name.clone()).collect(),
        }
    }
}

/// What the verifier knows beforehand. The ledger's key alone shows that the ledger is consistent with itself; a checkpoint
/// seen before shows that nothing was taken back since, the admin's key that its writers are those the admin let in.
pub struct Trust<'a> {
    /// The ledger's verifier key.
    pub ledger: &'a VerifierKey,
    /// The admin's, who must have signed the first roster.
    pub admin: Option<&'a VerifierKey>,
    /// The newest checkpoint seen before.
    pub known: Option<&'a Checkpoint>,
}

/// Verifies everything `source` has. `progress` is told (blocks done, blocks in all).
pub fn verify(
    source: &mut dyn Source,
    trust: &Trust<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let key = trust.ledger;
    let signed = source.checkpoint()?;
    let checkpoint = SignedCheckpoint::parse(&signed, key)
        .map_err(|e| wrong(None, None, format!("the checkpoint is not signed by {}: {e}", key.name())))?;
    let checkpoint = checkpoint.checkpoint();
    let size = checkpoint.size;
    if let Some(known) = trust.known
        && known.size > size
    {
        let what = format!(
            "it ends at {size} blocks, but a signed checkpoint of {} blocks has been seen: it was cut off or rolled back",
            known.size
        );
        return Err(wrong(None, None, what));
    }
    let mut state = State::new(key.name());
    let mut log = Log::new();
    let mut genesis = String::new();
    let mut run = Run {
        source,
        outsiders: BTreeMap::new(),
        rehashed: 0,
        bytes: 0,
        grants: 0,
        erased: Vec::new(),
        slots: Vec::new(),
        emptied: Vec::new(),
        firsts: Vec::new(),
        ordered: Vec::new(),
    };
    let mut retention = Retention::new();
    let mut erasures = Vec::new();
    while state.height() < size {
        let texts = run.source.blocks(state.height(), size)?;
        if texts.is_empty() {
            return Err(wrong(
                state.height(),
                None,
                format!("it is missing, and the checkpoint signs {size} blocks"),
            ));
        }
        for text in texts {
            let height = state.height();
            if height == size {
                break;
            }
            let block = Block::parse(&text).map_err(|e| wrong(height, None, e.to_string()))?;
            let statement = state.apply(&block).map_err(|e| wrong(height, None, e.to_string()))?;
            retention.apply(&block, &statement).map_err(|e| wrong(height, None, e.to_string()))?;
            log.append(block.hash());
            run.firsts.push(block.first_record);
            if height == 0 {
                genesis = block.hash().base64();
                let by_admin =
                    trust.admin.is_none_or(|a| state.roster().is_some_and(|r| r.admins.contains(a)));
                if !by_admin {
                    return Err(wrong(
                        height,
                        None,
                        "its roster is not of the admin whose key was given: this is another ledger under the same name",
                    ));
                }
            }
            if trust.known.is_some_and(|k| k.size == height + 1 && k.root != log.root()) {
                return Err(wrong(
                    height,
                    None,
                    "up to here the ledger is not the one of the checkpoint seen before: two histories are signed. Keep both checkpoints as evidence",
                ));
            }
            match &statement {
                Statement::Records(records) => run.records(&state, &block, records, size)?,
                Statement::Erasure(e) => {
                    run.ordered.extend(&e.records);
                    erasures.push(ErasureReport::of(&block, e));
                }
                Statement::Grant(grant) => run.grant(&block, grant, size)?,
                Statement::Heartbeat(_) | Statement::Roster(_) | Statement::Hold(_) => {}
            }
            progress(state.height(), size);
        }
    }
    if log.root() != checkpoint.root {
        return Err(wrong(
            None,
            None,
            "the blocks do not have the root that the checkpoint signs: a block was changed, removed or added",
        ));
    }
    if state.roster().is_none_or(|r| r.ledger_key != *key) {
        return Err(wrong(None, None, "the roster in force names another ledger key than the one given"));
    }
    let ordered = RecordRange::normalise(run.ordered);
    if let Some(missing) = RecordRange::without(&run.erased, &ordered).first() {
        return Err(wrong(
            None,
            missing.first,
            "its ciphertext is missing and no erasure statement orders that",
        ));
    }
    let reads = |to: &str| state.roster().is_some_and(|r| r.reader_by_recipient(to).is_some());
    let mut hidden_grants = 0;
    for (block, to, gone) in run.emptied {
        let unexplained = RecordRange::without(&gone, &ordered);
        match unexplained.first() {
            Some(records) if reads(&to) => {
                let what = format!(
                    "{}. Its reader is still in the roster (if records were ordered to be erased or a reader was removed while this ran, run it again)",
                    GrantError::Emptied { records: *records }
                );
                return Err(wrong(block, None, what));
            }
            Some(_) => hidden_grants += 1,
            None => {}
        }
    }
    // A record is gone when its granted slots are, too.
    let gone = RecordRange::without(&run.erased, &RecordRange::normalise(run.slots));
    let not_yet = if run.source.has_bodies() { RecordRange::without(&ordered, &gone) } else { Vec::new() };
    Ok(Report {
        ledger: key.name().to_owned(),
        blocks: state.height(),
        records: state.next_record(),
        records_rehashed: run.rehashed,
        erased: RecordRange::total(&run.erased),
        not_yet_erased: RecordRange::total(&not_yet),
        erasures,
        holds: state.holds().map(|(name, _)| name.to_owned()).collect(),
        grants: run.grants,
        hidden_grants,
        bytes: run.bytes,
        root: checkpoint.root.base64(),
        genesis,
        admin_checked: trust.admin.is_some(),
        readers_outside_roster: run.outsiders.into_iter().collect(),
        checkpoint: signed,
        last_committed: state.last_committed().map(|t| t.to_string()),
    })
}

struct Run<'a> {
    source: &'a mut dyn Source,
    outsiders: BTreeMap<String, u64>,
    rehashed: u64,
    bytes: u64,
    grants: u64,
    /// Ascending.
    erased: Vec<RecordRange>,
    /// Records that a grant still has slots of.
    slots: Vec<RecordRange>,
    /// Block and grantee of each grant of which slots are gone, with their records.
    emptied: Vec<(u64, String, Vec<RecordRange>)>,
    /// The first record of each block so far.
    firsts: Vec<u64>,
    ordered: Vec<RecordRange>,
}

impl Run<'_> {
    /// A grant: its slots, as far as they are not gone, must be those its statement names. Whether they may be gone is said at the
    /// end of the ledger.
    fn grant(&mut self, block: &Block, statement: &GrantStatement, size: u64) -> Result<(), VerifyError> {
        let height = block.height;
        self.grants += 1;
        if !self.source.has_bodies() {
            return Ok(());
        }
        let body = self.source.body(height, size)?;
        if body.is_empty() {
            return Err(wrong(height, None, "the slots of its grant are missing"));
        }
        self.bytes += body.len() as u64;
        grant::check(statement, &body).map_err(|e| wrong(height, None, e.to_string()))?;
        grant::check_place(statement, &body, |at| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let (first, next) = (self.firsts.get(at), self.firsts.get(at.saturating_add(1)));
            Ok(first.zip(next).map(|(first, next)| (*first, (next - first) as u32)))
        })
        .map_err(|e: GrantError| wrong(height, None, e.to_string()))?;
        let gone = grant::emptied(statement, &body, &[]).map_err(|e| wrong(height, None, e.to_string()))?;
        if !gone.is_empty() {
            self.emptied.push((height, statement.to.clone(), gone));
        }
        let body = GrantBody::decode(&body).map_err(|e| wrong(height, None, e.to_string()))?;
        let mut record = statement.range.first;
        for part in body.parts() {
            let with_slots = (record..).zip(part.entries()).filter(|(_, entry)| entry.gives_something());
            let slots = with_slots.map(|(r, _)| RecordRange { first: r, last: r }).collect();
            self.slots.extend(RecordRange::normalise(slots));
            record += u64::from(part.head.records);
        }
        Ok(())
    }

    /// One batch: its permanent leaf inputs must have the signed root, and its stored bytes must hash to them.
    fn records(
        &mut self,
        state: &State,
        block: &Block,
        statement: &RecordsStatement,
        size: u64,
    ) -> Result<(), VerifyError> {
        let height = block.height;
        let kept = self.source.leaf_inputs(height)?;
        let kept: Vec<LeafInputs> = kept
            .chunks(LEAF_INPUTS_LEN)
            .map(LeafInputs::from_bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong(height, None, "its leaf inputs are cut short"))?;
        let leaves: Vec<Hash> = kept.iter().map(record_leaf).collect();
        let kept_fits =
            leaves.len() as u64 == statement.records && tree::root(&leaves) == statement.records_root;
        if !self.source.has_bodies() {
            return if kept_fits {
                Ok(())
            } else {
                Err(wrong(height, None, "its leaf inputs do not have the root that the writer signed"))
            };
        }
        let body = self.source.body(height, size)?;
        if body.is_empty() {
            return Err(wrong(
                height,
                None,
                format!("the body with its {} records is missing", statement.records),
            ));
        }
        let found = batch::commit(&body)
            .map_err(|e| wrong(height, None, format!("the stored body is damaged: {e}")))?;
        self.bytes += body.len() as u64;
        for (i, (now, then)) in found.leaf_inputs.iter().zip(&kept).enumerate() {
            if now != then {
                let record = block.first_record + i as u64;
                return Err(if kept_fits {
                    wrong(height, record, difference(now, then))
                } else {
                    wrong(
                        height,
                        record,
                        "its leaf inputs, kept for proofs, are not those of its stored bytes",
                    )
                });
            }
        }
        if !kept_fits {
            return Err(wrong(
                height,
                None,
                "its leaf inputs, kept for proofs, do not have the root that the writer signed",
            ));
        }
        let Some(roster) = state.roster() else {
            return Err(wrong(height, None, "no roster allows its writer"));
        };
        batch::check_erased(statement, block.statement.signer_name(), &found, roster)
            .map_err(|e| wrong(height, None, e.to_string()))?;
        for reader in &found.header.readers {
            let recipient = reader.public_key.as_slice().try_into().ok().and_then(recipient_text);
            let recipient = recipient.unwrap_or_else(|| format!("a key of KEM {:#06x}", reader.kem));
            if roster.reader_by_recipient(&recipient).is_none() {
                self.outsiders.entry(recipient).or_insert(height);
            }
        }
        if found.erased > 0 {
            let records = Body::decode(&body).map(|b| b.records()).into_iter().flatten();
            let gone = (block.first_record..)
                .zip(records)
                .filter(|(_, r)| matches!(Record::decode(r), Ok(Record::Erased(_))));
            for (record, _) in gone {
                match self.erased.last_mut() {
                    Some(r) if r.last + 1 == record => r.last = record,
                    _ => self.erased.push(RecordRange { first: record, last: record }),
                }
            }
        }
        self.rehashed += statement.records - found.erased;
        Ok(())
    }
}

/// Which part of a record was changed.
fn difference(now: &LeafInputs, then: &LeafInputs) -> String {
    let mut parts = Vec::new();
    if now.ciphertext_hash != then.ciphertext_hash {
        parts.push("the ciphertext");
    }
    if now.envelope_hash != then.envelope_hash {
        parts.push("the envelope (key slots, commitments or tags)");
    }
    if now.disclosure_root != then.disclosure_root {
        parts.push("the root of the field commitments");
    }
    format!(
        "{} stored here is not what the writer signed: it was changed after it was committed",
        parts.join(" and ")
    )
}
