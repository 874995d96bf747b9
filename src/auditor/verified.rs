//! What a verification found on its way, and what it says at the end.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::base::hash::Hash;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::grant;
use crate::chain::ledger_key::{LedgerKey, LedgerKeys};
use crate::chain::statement::GrantStatement;

use super::chain_check::ChainCheck;
use super::grant_check::{GrantFault, check_slots};
use super::source::Source;
use super::stored_check::CheckedBatch;
use super::verify::{Trust, VerifyError, wrong};

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
    /// Batches that were read a second time, whole: those with very many tags. One that does not hold ends the verification.
    pub batches_read_again: u64,
    /// Root of the log, base64.
    pub root: String,
    /// Hash of block 0, base64: pins the first roster, and so the admin.
    pub genesis: String,
    /// Whether the first roster was found to be of the admin given.
    pub admin_checked: bool,
    /// Recipients that batches were sealed to although the roster did not have them, with the first such block.
    pub readers_outside_roster: Vec<(String, u64)>,
    /// Changes of the ledger's key, oldest first.
    pub key_changes: Vec<KeyChangeReport>,
    /// The keys the ledger has had.
    #[serde(skip)]
    pub ledger_keys: LedgerKeys,
    /// The signed checkpoint, to remember.
    #[serde(skip)]
    pub checkpoint: String,
    /// When the last block was committed.
    pub last_committed: Option<String>,
}

/// A roster that gave the ledger another key.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KeyChangeReport {
    /// Height of its block.
    pub block: u64,
    /// The new key.
    pub key: String,
    /// Whether the key before signed it too.
    pub handed_over: bool,
}

impl KeyChangeReport {
    fn of(key: &LedgerKey) -> KeyChangeReport {
        KeyChangeReport { block: key.since, key: key.key.to_string(), handed_over: key.handed_over }
    }
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

/// What was found so far, to be judged when the whole ledger is known.
#[derive(Default)]
pub(super) struct Findings {
    /// Whether the source gives bodies.
    pub(super) with_bodies: bool,
    genesis: String,
    outsiders: BTreeMap<String, u64>,
    rehashed: u64,
    read_again: u64,
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

impl Findings {
    pub(super) fn new(with_bodies: bool) -> Findings {
        Findings { with_bodies, ..Findings::default() }
    }

    /// A block that the chain has accepted, with its hash.
    pub(super) fn block(&mut self, block: &Block, hash: &Hash) {
        if block.height == 0 {
            self.genesis = hash.base64();
        }
        self.firsts.push(block.first_record);
    }

    /// The erasure order of a block.
    pub(super) fn erasure(&mut self, block: &Block, order: ErasureStatement) {
        self.erasures.push(ErasureReport::of(block, &order));
        self.ordered.extend(order.records);
    }

    /// A batch that holds, or why one does not; in the order of their blocks.
    pub(super) fn take(&mut self, checked: CheckedBatch) -> Result<(), VerifyError> {
        let checked = checked?;
        self.rehashed += checked.rehashed;
        self.read_again += checked.read_again;
        self.bytes += checked.bytes;
        checked.erased.into_iter().for_each(|range| range.append_to(&mut self.erased));
        for recipient in checked.outsiders {
            self.outsiders.entry(recipient).or_insert(checked.height);
        }
        Ok(())
    }

    /// A grant: its slots, as far as they are not gone, must be those its statement names. Whether they may be gone is said at the
    /// end of the ledger.
    pub(super) fn grant(
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
        self.bytes += body.len() as u64;
        check_slots(statement, &body, |at| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let (first, next) = (self.firsts.get(at), self.firsts.get(at.saturating_add(1)));
            Ok(first.zip(next).map(|(first, next)| (*first, (next - first) as u32)))
        })
        .map_err(|e: GrantFault| wrong(height, None, e.to_string()))?;
        let gone = grant::emptied(statement, &body, &[]).map_err(|e| wrong(height, None, e.to_string()))?;
        if !gone.is_empty() {
            self.emptied.push((height, statement.to.clone(), gone));
        }
        let slots = grant::given(statement, &body).map_err(|e| wrong(height, None, e.to_string()))?;
        self.slots.extend(slots);
        Ok(())
    }

    /// What only shows at the end: whether everything that is gone was ordered to go.
    pub(super) fn report(
        self,
        chain: &ChainCheck<'_>,
        trust: &Trust<'_>,
        checkpoint: String,
    ) -> Result<Report, VerifyError> {
        let state = chain.state();
        let ordered = RecordRange::normalise(self.ordered);
        if let Some(missing) = RecordRange::without(&self.erased, &ordered).first() {
            let what = "its ciphertext is missing and no erasure statement orders that".to_owned();
            return Err(VerifyError::Gone { block: None, record: Some(missing.first), what });
        }
        let reads = |to: &str| state.roster().is_some_and(|r| r.reader_by_recipient(to).is_some());
        let mut hidden_grants = 0;
        for (block, to, gone) in self.emptied {
            let unexplained = RecordRange::without(&gone, &ordered);
            match unexplained.first() {
                Some(records) if reads(&to) => {
                    let what = GrantFault::<Infallible>::Emptied(*records).to_string();
                    return Err(VerifyError::Gone { block: Some(block), record: None, what });
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
            batches_read_again: self.read_again,
            root: chain.root().base64(),
            genesis: self.genesis,
            admin_checked: trust.admin.is_some(),
            readers_outside_roster: self.outsiders.into_iter().collect(),
            key_changes: state.ledger_keys().all().iter().skip(1).map(KeyChangeReport::of).collect(),
            ledger_keys: state.ledger_keys().clone(),
            checkpoint,
            last_committed: state.last_committed().map(|t| t.to_string()),
        })
    }
}
