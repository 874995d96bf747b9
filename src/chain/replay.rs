//! What the chain says so far, and the one routine that moves it on. The live ledger, its recovery and
//! every auditor call the same [`State::apply`], so none can accept what another refuses.
//! `docs/FORMAT.md` §7 and §8.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::authority::{ErasureStatement, HoldAction, HoldStatement, RecordRange};
use super::block::Block;
pub use super::error::ChainError;
use super::key::VerifierKey;
use super::ledger_key::LedgerKeys;
use super::note::{Note, Signature};
use super::roster::Roster;
use super::statement::{Statement, statement_hash};
use super::text::TextError;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_BLOCK_BYTES, MAX_HOLD_RANGES, MAX_HOLDS, MAX_STATEMENT_BYTES};

/// Name of the sequence that rosters, grants, erasures and holds share, in errors.
const AUTHORITY: &str = "authority";

/// Where a sequence of statements stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Number of the next statement.
    pub next_sequence: u64,
    /// Hash of the last one; zero if there is none.
    pub previous: Hash,
}

/// A hold in force: these records must not be erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Height of the block that placed it.
    pub block: u64,
    /// The records, ascending.
    pub records: Vec<RecordRange>,
    /// Reason code.
    pub reason: String,
}

/// What the chain says so far. Cheap to clone, so that a write cycle can be tried and dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub(super) origin: String,
    pub(super) height: u64,
    pub(super) next_record: u64,
    pub(super) block_hash: Hash,
    pub(super) last_committed: Option<Timestamp>,
    pub(super) roster: Option<Arc<Roster>>,
    pub(super) roster_height: u64,
    pub(super) authority: Head,
    pub(super) ledger_keys: LedgerKeys,
    /// By writer name. A head outlives the roster that drops its writer: a writer that comes back goes on
    /// where it stopped.
    pub(super) writers: BTreeMap<String, Head>,
    /// Holds in force, by name.
    pub(super) holds: Arc<BTreeMap<String, Hold>>,
}

/// A statement that was found fit to come next, and after what. [`State::check`] makes it, [`State::append`] takes it.
#[derive(Clone, Debug)]
pub struct Checked {
    note: Note,
    statement: Statement,
    after: (u64, Hash),
}

impl Checked {
    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

impl State {
    /// The state before block 0 of the ledger with that origin.
    pub fn new(origin: &str) -> State {
        State {
            origin: origin.to_owned(),
            height: 0,
            next_record: 0,
            block_hash: Hash::ZERO,
            last_committed: None,
            roster: None,
            roster_height: 0,
            authority: Head::default(),
            ledger_keys: LedgerKeys::default(),
            writers: BTreeMap::new(),
            holds: Arc::default(),
        }
    }

    /// The ledger's key name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of blocks, and height of the next one.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Number of records, and index of the next one.
    pub fn next_record(&self) -> u64 {
        self.next_record
    }

    /// Hash of the last block; zero before the first.
    pub fn block_hash(&self) -> Hash {
        self.block_hash
    }

    /// When the last block was committed.
    pub fn last_committed(&self) -> Option<Timestamp> {
        self.last_committed
    }

    /// The roster in force.
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_deref()
    }

    /// The roster in force, to keep beyond the next block.
    pub fn shared_roster(&self) -> Option<Arc<Roster>> {
        self.roster.clone()
    }

    /// Height of the block that carries the roster in force; 0 before there is one.
    pub fn roster_height(&self) -> u64 {
        self.roster_height
    }

    /// The keys the ledger has had.
    pub fn ledger_keys(&self) -> &LedgerKeys {
        &self.ledger_keys
    }

    /// Where the authority sequence stands.
    pub fn authority(&self) -> Head {
        self.authority
    }

    /// Where a writer's sequence stands; at its start for a name never seen.
    pub fn writer(&self, name: &str) -> Head {
        self.writers.get(name).copied().unwrap_or_default()
    }

    /// The holds in force, by name.
    pub fn holds(&self) -> impl Iterator<Item = (&str, &Hold)> {
        self.holds.iter().map(|(name, hold)| (name.as_str(), hold))
    }

    /// Whether a statement may come next: form, ledger, signers, place in its sequence, ranges. Does not
    /// look into a batch: that is [`super::batch::check`]'s; nor at how long records must be kept: that is
    /// [`super::retention`]'s.
    pub fn check_statement(&self, note: &Note) -> Result<Statement, ChainError> {
        if note.byte_len() > MAX_STATEMENT_BYTES {
            return Err(TextError::TooLarge { what: "statement", max: MAX_STATEMENT_BYTES }.into());
        }
        let statement = Statement::parse(&note.text)?;
        self.check_ledger(&statement)?;
        match (&statement, self.roster()) {
            // The first roster vouches for itself; who trusts a ledger has checked its block 0.
            (Statement::Roster(roster), None) => self.check_authority(note, &statement, &roster.admins)?,
            (_, None) => return Err(ChainError::NoRoster),
            (Statement::Records(_) | Statement::Heartbeat(_), Some(roster)) => {
                let [signature] = &note.signatures[..] else {
                    return Err(ChainError::SignatureCount { found: note.signatures.len() });
                };
                check_signers(note, &roster.writers, None, |signer| ChainError::UnknownSigner {
                    signer,
                    role: "writer",
                })?;
                check_head(&signature.name, self.writer(&signature.name), &statement, note)?;
            }
            (Statement::Roster(next), Some(roster)) => {
                check_roster(note, roster, next)?;
                check_head(AUTHORITY, self.authority, &statement, note)?;
                self.ledger_keys.check_next(&next.ledger_key)?;
            }
            (Statement::Grant(grant), Some(roster)) => {
                self.check_authority(note, &statement, &roster.admins)?;
                self.check_range(&grant.range)?;
                // Who cannot open a session could not fetch what it was granted.
                let known = roster.reader(&grant.to_name).is_some_and(|r| r.recipient == grant.to);
                if !known {
                    let (name, recipient) = (grant.to_name.clone(), grant.to.clone());
                    return Err(ChainError::GranteeNotReader { name, recipient });
                }
            }
            (Statement::Erasure(erasure), Some(roster)) => {
                let signers = check_signers(note, &roster.officers, None, |signer| {
                    ChainError::UnknownSigner { signer, role: "officer" }
                })?;
                let needed = roster.officers_required.max(1);
                if signers < needed {
                    return Err(ChainError::TooFewOfficers { needed, found: signers });
                }
                check_head(AUTHORITY, self.authority, &statement, note)?;
                erasure.records.iter().try_for_each(|range| self.check_range(range))?;
                self.check_not_held(erasure)?;
            }
            (Statement::Hold(hold), Some(roster)) => {
                let may: Vec<_> = roster.admins.iter().chain(&roster.officers).cloned().collect();
                check_signers(note, &may, None, |signer| ChainError::UnknownSigner {
                    signer,
                    role: "admin or officer",
                })?;
                check_head(AUTHORITY, self.authority, &statement, note)?;
                self.check_hold(hold)?;
            }
        }
        Ok(statement)
    }

    fn check_ledger(&self, statement: &Statement) -> Result<(), ChainError> {
        if statement.ledger() == self.origin {
            return Ok(());
        }
        let (expected, found) = (self.origin.clone(), statement.ledger().to_owned());
        Err(ChainError::WrongLedger { expected, found })
    }

    fn check_authority(
        &self,
        note: &Note,
        statement: &Statement,
        admins: &[VerifierKey],
    ) -> Result<(), ChainError> {
        check_signers(note, admins, None, |signer| ChainError::NotByAdmin { signer })?;
        check_head(AUTHORITY, self.authority, statement, note)
    }

    fn check_not_held(&self, erasure: &ErasureStatement) -> Result<(), ChainError> {
        for (name, hold) in self.holds() {
            for range in &erasure.records {
                let held = hold.records.iter().find_map(|h| h.first_common(range));
                if let Some(record) = held {
                    return Err(ChainError::Held { record, hold: name.to_owned() });
                }
            }
        }
        Ok(())
    }

    fn check_hold(&self, statement: &HoldStatement) -> Result<(), ChainError> {
        let name = statement.hold.clone();
        match (&statement.action, self.holds.get(&name)) {
            (HoldAction::Place(_), Some(hold)) => Err(ChainError::HoldInForce { name, block: hold.block }),
            (HoldAction::Release, None) => Err(ChainError::NoSuchHold { name }),
            (HoldAction::Release, Some(_)) => Ok(()),
            (HoldAction::Place(records), None) => {
                records.iter().try_for_each(|range| self.check_range(range))?;
                let ranges: usize = self.holds.values().map(|h| h.records.len()).sum();
                if self.holds.len() >= MAX_HOLDS || ranges + records.len() > MAX_HOLD_RANGES {
                    return Err(ChainError::TooManyHolds);
                }
                Ok(())
            }
        }
    }

    fn check_range(&self, range: &RecordRange) -> Result<(), ChainError> {
        if range.last < self.next_record {
            return Ok(());
        }
        Err(ChainError::BeyondLedger { last: range.last, records: self.next_record })
    }

    /// When a block made at `now` says it was committed: at its predecessor's time if the clock went back.
    pub fn committed_at(&self, now: Timestamp) -> Timestamp {
        self.last_committed.map_or(now, |last| last.max(now))
    }

    /// The block that carries `statement` next, at [`State::committed_at`]. Checks nothing: [`State::apply`] does.
    pub fn next_block(&self, statement: Note, now: Timestamp) -> Block {
        Block {
            height: self.height,
            previous: self.block_hash,
            committed: self.committed_at(now),
            first_record: self.next_record,
            statement,
        }
    }

    /// [`State::check_statement`], for [`State::append`]: so that a signature is verified once.
    pub fn check(&self, note: &Note) -> Result<Checked, ChainError> {
        let statement = self.check_statement(note)?;
        Ok(Checked { note: note.clone(), statement, after: (self.height, self.block_hash) })
    }

    /// Makes the next block of a statement that was checked, and takes it in. Gives its text too. An error leaves the state as
    /// it was; a statement that was checked against another state, or for another ledger, is one.
    pub fn append(
        &mut self,
        checked: Checked,
        now: Timestamp,
    ) -> Result<(Block, String, Statement), ChainError> {
        let Checked { note, statement, after: (height, hash) } = checked;
        // Before their block 0 all ledgers stand at the same place.
        self.check_ledger(&statement)?;
        if (height, hash) != (self.height, self.block_hash) {
            return Err(ChainError::PreviousBlock { expected: self.block_hash, found: hash });
        }
        let block = self.next_block(note, now);
        let text = block.to_string();
        self.check_place(&block, text.len()).map_err(|e| at(&block, e))?;
        self.advance(&block, &text, &statement)?;
        Ok((block, text, statement))
    }

    /// Takes the next block in. Everything is checked first: an error leaves the state as it was.
    pub fn apply(&mut self, block: &Block) -> Result<Statement, ChainError> {
        let text = block.to_string();
        self.check_place(block, text.len()).map_err(|e| at(block, e))?;
        let statement = self.check_statement(&block.statement).map_err(|e| at(block, e))?;
        self.advance(block, &text, &statement)?;
        Ok(statement)
    }

    fn advance(&mut self, block: &Block, text: &str, statement: &Statement) -> Result<(), ChainError> {
        // Numbers that do not fit refuse the block before anything has changed.
        let next_record = self.next_record.checked_add(statement.record_count());
        let next_sequence = statement.sequence().checked_add(1);
        let (Some(next_record), Some(next_sequence), Some(height)) =
            (next_record, next_sequence, self.height.checked_add(1))
        else {
            return Err(at(block, ChainError::Exhausted));
        };

        let head = Head { next_sequence, previous: statement_hash(&block.statement.text) };
        match statement {
            Statement::Records(_) | Statement::Heartbeat(_) => {
                self.writers.insert(block.statement.signer_name().to_owned(), head);
            }
            Statement::Roster(roster) => {
                self.authority = head;
                self.ledger_keys.take(block.height, &roster.ledger_key, &block.statement);
                self.roster = Some(Arc::new(roster.clone()));
                self.roster_height = block.height;
            }
            Statement::Grant(_) | Statement::Erasure(_) => self.authority = head,
            Statement::Hold(hold) => {
                self.authority = head;
                let holds = Arc::make_mut(&mut self.holds);
                match &hold.action {
                    HoldAction::Place(records) => {
                        let (records, reason) = (records.clone(), hold.reason.clone());
                        holds.insert(hold.hold.clone(), Hold { block: block.height, records, reason });
                    }
                    HoldAction::Release => {
                        holds.remove(&hold.hold);
                    }
                }
            }
        }
        self.next_record = next_record;
        self.height = height;
        self.block_hash = Block::hash_text(text);
        self.last_committed = Some(block.committed);
        Ok(())
    }

    /// `docs/FORMAT.md` §8: the head of the block.
    fn check_place(&self, block: &Block, bytes: usize) -> Result<(), ChainError> {
        if bytes > MAX_BLOCK_BYTES {
            return Err(TextError::TooLarge { what: "block", max: MAX_BLOCK_BYTES }.into());
        }
        if block.height != self.height {
            return Err(ChainError::Height { expected: self.height, found: block.height });
        }
        if block.previous != self.block_hash {
            return Err(ChainError::PreviousBlock { expected: self.block_hash, found: block.previous });
        }
        if let Some(previous) = self.last_committed.filter(|last| block.committed < *last) {
            return Err(ChainError::TimeRunsBack { previous, found: block.committed });
        }
        if block.first_record != self.next_record {
            return Err(ChainError::FirstRecord { expected: self.next_record, found: block.first_record });
        }
        Ok(())
    }
}

fn at(block: &Block, source: ChainError) -> ChainError {
    ChainError::AtBlock { height: block.height, source: Box::new(source) }
}

/// Whether a roster is signed as one after `before` must be: by its admins. With a new ledger key, the one before it may sign too;
/// nothing else has a line of it.
pub fn check_roster(note: &Note, before: &Roster, next: &Roster) -> Result<(), ChainError> {
    let key_before = (next.ledger_key != before.ledger_key).then_some(&before.ledger_key);
    check_signers(note, &before.admins, key_before, |signer| ChainError::NotByAdmin { signer })?;
    Ok(())
}

/// Every signature line must be by one of `keys`, verify, and be the only one of its key. Returns how many
/// there are, at least one. `beside` may sign too, once, and counts for nothing.
fn check_signers(
    note: &Note,
    keys: &[VerifierKey],
    beside: Option<&VerifierKey>,
    unknown: impl Fn(String) -> ChainError,
) -> Result<u64, ChainError> {
    let beside = beside.filter(|key| !keys.contains(key));
    let is_beside = |s: &Signature| beside.is_some_and(|key| s.is_by(key));
    let mut count = 0;
    for (i, signature) in note.signatures.iter().enumerate() {
        let signer = || signature.name.clone();
        let bad = |_| ChainError::BadSignature { signer: signer() };
        let mut before = note.signatures.iter().take(i);
        if let Some(key) = beside.filter(|_| is_beside(signature)) {
            if before.any(is_beside) {
                return Err(ChainError::RepeatedSigner { signer: signer() });
            }
            note.verify_signature(signature, key).map_err(bad)?;
            continue;
        }
        if !keys.iter().any(|k| k.name() == signature.name) {
            return Err(unknown(signer()));
        }
        // An admin and an officer may have one name.
        let Some(key) = keys.iter().find(|k| signature.is_by(k)) else {
            return Err(ChainError::OtherKey { signer: signer() });
        };
        if before.any(|s| s.name == signature.name && !is_beside(s)) {
            return Err(ChainError::RepeatedSigner { signer: signer() });
        }
        note.verify_signature(signature, key).map_err(bad)?;
        count += 1;
    }
    match (count, note.signatures.first()) {
        (0, None) => Err(ChainError::SignatureCount { found: 0 }),
        (0, Some(only)) => Err(unknown(only.name.clone())),
        _ => Ok(count),
    }
}

/// The statement must be the next of its sequence and follow the last.
fn check_head(chain: &str, head: Head, statement: &Statement, note: &Note) -> Result<(), ChainError> {
    let (expected, found) = (head.next_sequence, statement.sequence());
    let chain = chain.to_owned();
    if found > expected {
        return Err(ChainError::SequenceGap { chain, expected, found });
    }
    if found < expected {
        return Err(if found + 1 < expected {
            ChainError::OldSequence { chain, expected, found }
        } else if statement_hash(&note.text) == head.previous {
            ChainError::Duplicate { chain, sequence: found }
        } else {
            ChainError::Fork { chain, sequence: found }
        });
    }
    if statement.previous() != head.previous {
        let (expected, found) = (head.previous, statement.previous());
        return Err(ChainError::WrongPrevious { chain, sequence: head.next_sequence, expected, found });
    }
    Ok(())
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
