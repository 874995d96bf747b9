//! Verifies a whole ledger from its bytes: every statement and link, every writer's sequence, every stored
//! byte against the roots its writer signed, and the checkpoint over all of it. Names the first thing wrong.

use std::collections::BTreeMap;

use crate::base::grant::GrantBody;
use crate::base::record::LEAF_INPUTS_LEN;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::grant::{self, GrantError};
use crate::chain::key::VerifierKey;
use crate::chain::proof::record_id;
use crate::chain::statement::{GrantStatement, Statement};

use super::batch_check::Batch;
use super::chain_check::{ChainCheck, ChainFault, TextsError, block_texts, signed_checkpoint};
use super::pipeline::{Pipeline, pipeline};
use super::source::{Source, SourceError};
use super::stored_check::{CheckedBatch, Room, Stored};

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

impl From<ChainFault> for VerifyError {
    fn from(fault: ChainFault) -> Self {
        wrong(fault.block, None, fault.what)
    }
}

impl From<TextsError> for VerifyError {
    fn from(e: TextsError) -> Self {
        match e {
            TextsError::Fault(fault) => fault.into(),
            TextsError::Source(e) => e.into(),
        }
    }
}

fn place(block: &Option<u64>, record: &Option<u64>) -> String {
    match (record, block) {
        (Some(r), Some(b)) => format!("record {} in block {b}: ", record_id(*r)),
        (Some(r), None) => format!("record {}: ", record_id(*r)),
        (None, Some(b)) => format!("block {b}: "),
        (None, None) => String::new(),
    }
}

pub(super) fn wrong(
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

/// Verifies everything `source` has. `progress` is told (blocks done, blocks in all). This thread walks the chain; bodies are hashed by
/// as many threads as there are cores, which also read them if the source can be read so. What is reported is the first thing wrong, as if one
/// thread did it all in order.
pub fn verify(
    source: &mut dyn Source,
    trust: &Trust<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let signed = source.checkpoint()?;
    let checkpoint = signed_checkpoint(&signed, trust.ledger)?;
    let mut chain = ChainCheck::new(trust.ledger, trust.admin, trust.known, &checkpoint)?;
    let mut run = Run { with_bodies: source.has_bodies(), ..Run::default() };
    let room = Room::default();
    pipeline(&|stored: Stored| stored.check(&room), |pipe| {
        match run.walk(&mut chain, source, pipe, progress) {
            Err(Stop::Earlier(e)) => Err(e),
            // What is still under way stands before the block the walk ended at.
            ended => {
                while let Some(checked) = pipe.oldest() {
                    run.take(checked)?;
                }
                match ended {
                    Err(Stop::Here(e) | Stop::Earlier(e)) => Err(e),
                    Ok(()) => Ok(()),
                }
            }
        }
    })?;
    chain.finish()?;
    run.report(&chain, trust, signed)
}

/// Why a walk ended early.
enum Stop {
    /// At the block it had come to.
    Here(VerifyError),
    /// At one before, whose body was checked meanwhile.
    Earlier(VerifyError),
}

impl<E: Into<VerifyError>> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Here(e.into())
    }
}

#[derive(Default)]
struct Run {
    with_bodies: bool,
    genesis: String,
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
    erasures: Vec<ErasureReport>,
}

impl Run {
    fn walk(
        &mut self,
        chain: &mut ChainCheck<'_>,
        source: &mut dyn Source,
        pipe: &mut Pipeline<'_, Stored, CheckedBatch>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Stop> {
        let size = chain.size();
        let shared = if self.with_bodies { source.shared() } else { None };
        while chain.height() < size {
            for text in block_texts(source, chain.height(), size)? {
                let block = chain.read(&text)?;
                let link = chain.take(&block)?;
                if block.height == 0 {
                    self.genesis = link.hash.base64();
                }
                self.firsts.push(block.first_record);
                match link.statement {
                    Statement::Records(statement) => {
                        // Later erasures only make it shorter. What is hashed as it is read takes no more than a room.
                        let body = if self.with_bodies && shared.is_none() { statement.bytes } else { 0 };
                        let kept = statement.records.saturating_mul(LEAF_INPUTS_LEN as u64);
                        let bytes = usize::try_from(body.saturating_add(kept)).unwrap_or(usize::MAX);
                        while let Some(checked) = pipe.make_room(bytes) {
                            self.take(checked).map_err(Stop::Earlier)?;
                        }
                        let (mut kept, mut body) = (Vec::new(), Vec::new());
                        if shared.is_none() {
                            kept = source.leaf_inputs(block.height)?;
                        }
                        if self.with_bodies && shared.is_none() {
                            body = source.body(block.height, size)?;
                        }
                        let batch = Batch::new(&block, statement, chain.state().shared_roster(), body);
                        let with_body = self.with_bodies;
                        pipe.push(Stored { batch, kept, with_body, shared: shared.clone() }, bytes);
                    }
                    Statement::Erasure(e) => {
                        self.ordered.extend(&e.records);
                        self.erasures.push(ErasureReport::of(&block, &e));
                    }
                    Statement::Grant(grant) => self.grant(source, &block, &grant, size)?,
                    Statement::Heartbeat(_) | Statement::Roster(_) | Statement::Hold(_) => {}
                }
                progress(chain.height(), size);
            }
        }
        Ok(())
    }

    fn take(&mut self, checked: CheckedBatch) -> Result<(), VerifyError> {
        let checked = checked?;
        self.rehashed += checked.rehashed;
        self.bytes += checked.bytes;
        for range in checked.erased {
            match self.erased.last_mut() {
                Some(r) if r.last + 1 == range.first => r.last = range.last,
                _ => self.erased.push(range),
            }
        }
        for recipient in checked.outsiders {
            self.outsiders.entry(recipient).or_insert(checked.height);
        }
        Ok(())
    }

    /// A grant: its slots, as far as they are not gone, must be those its statement names. Whether they may be gone is said at the
    /// end of the ledger.
    fn grant(
        &mut self,
        source: &mut dyn Source,
        block: &Block,
        statement: &GrantStatement,
        size: u64,
    ) -> Result<(), VerifyError> {
        let height = block.height;
        self.grants += 1;
        if !self.with_bodies {
            return Ok(());
        }
        let body = source.body(height, size)?;
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

    /// What only shows at the end: whether everything that is gone was ordered to go.
    fn report(
        self,
        chain: &ChainCheck<'_>,
        trust: &Trust<'_>,
        checkpoint: String,
    ) -> Result<Report, VerifyError> {
        let state = chain.state();
        let ordered = RecordRange::normalise(self.ordered);
        if let Some(missing) = RecordRange::without(&self.erased, &ordered).first() {
            return Err(wrong(
                None,
                missing.first,
                "its ciphertext is missing and no erasure statement orders that",
            ));
        }
        let reads = |to: &str| state.roster().is_some_and(|r| r.reader_by_recipient(to).is_some());
        let mut hidden_grants = 0;
        for (block, to, gone) in self.emptied {
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
        let gone = RecordRange::without(&self.erased, &RecordRange::normalise(self.slots));
        let not_yet = if self.with_bodies { RecordRange::without(&ordered, &gone) } else { Vec::new() };
        Ok(Report {
            ledger: trust.ledger.name().to_owned(),
            blocks: state.height(),
            records: state.next_record(),
            records_rehashed: self.rehashed,
            erased: RecordRange::total(&self.erased),
            not_yet_erased: RecordRange::total(&not_yet),
            erasures: self.erasures,
            holds: state.holds().map(|(name, _)| name.to_owned()).collect(),
            grants: self.grants,
            hidden_grants,
            bytes: self.bytes,
            root: chain.root().base64(),
            genesis: self.genesis,
            admin_checked: trust.admin.is_some(),
            readers_outside_roster: self.outsiders.into_iter().collect(),
            checkpoint,
            last_committed: state.last_committed().map(|t| t.to_string()),
        })
    }
}
