//! Filling a vault: what is new since the last checkpoint is downloaded, verified in full and only then kept.
//!
//! In two passes. The first downloads the block texts alone and shows that they have the root of the new checkpoint,
//! and that the tree of the checkpoint trusted before is its beginning: so nothing of a forked or rolled-back ledger
//! ever enters the vault. The second downloads the bodies, checks every batch against its signed statement, and writes
//! some blocks at a time: an interrupted sync goes on from there.

use std::path::PathBuf;

use crate::base::batch::Body;
use crate::base::grant::blank;
use crate::base::hash::Hash;
use crate::base::record::{LEAF_INPUTS_LEN, Record};
use crate::chain::authority::{ERASURE_KIND, ErasureStatement, RecordRange};
use crate::chain::batch::{self, BatchCommitment};
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::grant::{self, GrantError};
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::merkle;
use crate::chain::proof::record_id;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::roster::{ROSTER_KIND, Roster};
use crate::chain::statement::{GrantStatement, RecordsStatement, Statement};
use crate::ledger::{epoch_rows, restore_log, sequence_of, tile_key};
use crate::store::{Head, NewBlock, Store};

use super::super::source::{Source, SourceError};
use super::{ErrorKind, Vault, VaultError, WHOLE};

/// Bytes of bodies verified and not yet written.
const WRITE_BYTES: usize = 16 * 1024 * 1024;
/// Blocks verified and not yet written.
const WRITE_BLOCKS: usize = 256;

/// Why a sync did not reach the end. What was verified before stays in the vault.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The ledger signed two histories.
    #[error(
        "FORK: {ledger} has signed two histories. The checkpoint of {known} blocks this vault trusted is not the \
         beginning of the one of {found} blocks it shows now. Nothing of the new one was kept. \
         Both signed checkpoints are in {}: they are proof; show them to others", .kept.display()
    )]
    Fork {
        /// The ledger.
        ledger: String,
        /// Size trusted before.
        known: u64,
        /// Size shown now.
        found: u64,
        /// The file with both.
        kept: PathBuf,
    },
    /// The ledger shows less than it signed before.
    #[error(
        "ROLLBACK: {ledger} shows {found} blocks, and has signed {known} before: blocks were taken back, or this is an old copy. \
         Nothing was changed in the vault. Both signed checkpoints are in {}", .kept.display()
    )]
    Rollback {
        /// The ledger.
        ledger: String,
        /// Size trusted before.
        known: u64,
        /// Size shown now.
        found: u64,
        /// The file with both.
        kept: PathBuf,
    },
    /// Something that was downloaded is not what the ledger signed.
    #[error("{}{what}", .block.map(|b| format!("block {b}: ")).unwrap_or_default())]
    Wrong {
        /// The block concerned, if one can be named.
        block: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// The server did not deliver. Nothing is said about the ledger.
    #[error("the sync could not be finished: {0}. What was verified is kept; run it again to go on")]
    Source(#[from] SourceError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl SyncError {
    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        match self {
            SyncError::Fork { .. } | SyncError::Rollback { .. } | SyncError::Wrong { .. } => ErrorKind::Wrong,
            SyncError::Source(_) => ErrorKind::Unavailable,
            SyncError::Vault(e) => e.kind(),
        }
    }
}

fn wrong(block: impl Into<Option<u64>>, what: impl ToString) -> SyncError {
    SyncError::Wrong { block: block.into(), what: what.to_string() }
}

/// How far a sync is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Checking the chain, before bodies are downloaded.
    pub checking: bool,
    /// Blocks done in this phase.
    pub done: u64,
    /// Blocks in all.
    pub blocks: u64,
}

/// What a sync did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct SyncReport {
    /// Blocks that are new in the vault.
    pub new_blocks: u64,
    /// Records that are new in the vault.
    pub new_records: u64,
    /// Records dropped because their erasure was ordered since the last sync.
    pub dropped: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Records in all.
    pub records: u64,
    /// Whether there was a checkpoint to hold the ledger against.
    pub continued: bool,
}

impl Vault {
    /// Brings the vault up to the source's checkpoint. `admin`, if known, must have signed the first roster. The vault must have
    /// been opened with [`Vault::open_to_sync`].
    pub fn sync(
        &mut self,
        source: &mut dyn Source,
        admin: Option<&VerifierKey>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SyncReport, SyncError> {
        if self.lock.is_none() {
            return Err(VaultError::Busy(self.dir.display().to_string()).into());
        }
        self.check_admin(admin)?;
        let text = source.checkpoint()?;
        let signed = SignedCheckpoint::parse(&text, &self.key)
            .map_err(|e| wrong(None, format!("the checkpoint is not signed by {}: {e}", self.key.name())))?;
        let target = signed.checkpoint().clone();
        let had = self.store.head().map_err(VaultError::Store)?.unwrap_or_default();
        // The newest the ledger ever showed: that of the last sync, finished or not.
        let known = self.trusted(&had)?;
        if let Some((known, known_text)) = &known
            && (target.size < known.size || (target.size == known.size && target.root != known.root))
        {
            let kept = self.keep_evidence(known_text, &text)?;
            let (ledger, known, found) = (self.key.name().to_owned(), known.size, target.size);
            return Err(if found < known {
                SyncError::Rollback { ledger, known, found, kept }
            } else {
                SyncError::Fork { ledger, known, found, kept }
            });
        }
        let log = restore_log(&*self.store, had.size).map_err(|e| self.damaged(e))?;
        let known_checkpoint = known.as_ref().map(|(c, _)| c);
        let checked = self.check_chain(source, &log, &target, known_checkpoint, progress)?;
        if checked.forked
            && let Some((known, known_text)) = &known
        {
            let kept = self.keep_evidence(known_text, &text)?;
            let ledger = self.key.name().to_owned();
            return Err(SyncError::Fork { ledger, known: known.size, found: target.size, kept });
        }
        // From now on this is the newest signed head seen, even if nothing can be downloaded.
        if had.size > 0 {
            let seen = Head { checkpoint: text.clone().into_bytes(), ..had.clone() };
            self.store.append(had.size, &[], &[], &seen).map_err(VaultError::Store)?;
        }
        let before = self.whole()?.map_or(0, |c| c.checkpoint().size);
        let mut run = Run {
            state: self.state()?,
            log,
            vault: self,
            checkpoint: text.clone(),
            target: &target,
            admin,
            ordered: RecordRange::normalise(checked.ordered),
            roster: checked.roster,
            blocks: Vec::new(),
            derived: Vec::new(),
            bytes: 0,
        };
        run.download(source, &checked.hashes, progress)?;
        if run.state.roster().is_none_or(|r| r.ledger_key != self.key) {
            return Err(wrong(None, "the roster in force names another ledger key than the one given"));
        }
        let (blocks, records, state) = (run.state.height(), run.state.next_record(), run.state.encode());
        let dropped = self.drop_erased(before)?;
        // Last, so that an erasure that was interrupted is done again.
        let head = Head { size: blocks, records, checkpoint: text.clone().into_bytes(), state };
        let whole = [(WHOLE.to_owned(), text.into_bytes())];
        self.store.append(blocks, &[], &whole, &head).map_err(VaultError::Store)?;
        Ok(SyncReport {
            new_blocks: blocks - had.size,
            new_records: records - had.records,
            dropped,
            blocks,
            records,
            continued: known.is_some(),
        })
    }

    /// A vault filled before the admin's key was known must begin with that admin's roster too.
    fn check_admin(&self, admin: Option<&VerifierKey>) -> Result<(), SyncError> {
        let (Some(admin), Some(_)) = (admin, self.store.block_info(0).map_err(VaultError::Store)?) else {
            return Ok(());
        };
        match self.block(0)? {
            (_, Statement::Roster(roster)) if roster.admins.contains(admin) => Ok(()),
            _ => Err(wrong(
                0,
                "its roster is not of the admin whose key was given: this vault is of another ledger under the same name",
            )),
        }
    }

    /// The newest signed checkpoint this vault has seen, with its text.
    fn trusted(&self, head: &Head) -> Result<Option<(Checkpoint, String)>, SyncError> {
        if head.checkpoint.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(head.checkpoint.clone()).map_err(|e| self.damaged(e))?;
        let signed = SignedCheckpoint::parse(&text, &self.key).map_err(|e| self.damaged(e))?;
        Ok(Some((signed.checkpoint().clone(), text)))
    }

    /// Writes both signed checkpoints into a file of their own, which no later sync overwrites.
    fn keep_evidence(&self, known: &str, found: &str) -> Result<PathBuf, SyncError> {
        let text = format!(
            "Two signed checkpoints of one ledger, {}, that cannot both be true.\n\n--- trusted before\n{known}\n--- shown now\n{found}",
            self.key.name()
        );
        let name = format!("two-histories-{}.txt", &Hash::of(&[text.as_bytes()]).hex()[..16]);
        let path = self.dir.join(name);
        std::fs::write(&path, text).map_err(|e| self.damaged(e))?;
        Ok(path)
    }

    /// The first pass: hashes of the new block texts, whose tree must have the root of `target` and begin with that of `known`.
    fn check_chain(
        &self,
        source: &mut dyn Source,
        log: &Log,
        target: &Checkpoint,
        known: Option<&Checkpoint>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Checked, SyncError> {
        let mut log = log.clone();
        let mut checked = Checked { hashes: Vec::new(), ordered: Vec::new(), roster: None, forked: false };
        checked.roster = self.state()?.roster().cloned();
        for (_, order) in self.erasures()? {
            checked.ordered.extend(order.records);
        }
        while log.size() < target.size {
            for text in fetch(source, log.size(), target.size)? {
                let height = log.size();
                let hash = merkle::leaf_hash(text.as_bytes());
                log.append(hash);
                checked.hashes.push(hash);
                if text.contains(ERASURE_KIND) || text.contains(ROSTER_KIND) {
                    let block = Block::parse(&text).map_err(|e| wrong(height, e))?;
                    match Statement::parse(&block.statement.text) {
                        Ok(Statement::Erasure(order)) => checked.ordered.extend(order.records),
                        Ok(Statement::Roster(roster)) => checked.roster = Some(roster),
                        _ => {}
                    }
                }
                if known.is_some_and(|k| k.size == log.size() && k.root != log.root()) {
                    checked.forked = true;
                }
            }
            progress(Progress { checking: true, done: log.size(), blocks: target.size });
        }
        if log.root() != target.root {
            if let Some(known) = known
                && self.other_history(source, known, target)?
            {
                checked.forked = true;
                return Ok(checked);
            }
            return Err(wrong(
                None,
                "the blocks the server gave do not have the root that its checkpoint signs: a block was changed, removed or added. Nothing of them was kept",
            ));
        }
        Ok(checked)
    }

    /// Whether the blocks of `target` are consistent with it from the first on, and are not those of `known`.
    fn other_history(
        &self,
        source: &mut dyn Source,
        known: &Checkpoint,
        target: &Checkpoint,
    ) -> Result<bool, SyncError> {
        let mut log = Log::new();
        let mut differs = false;
        while log.size() < target.size {
            for text in fetch(source, log.size(), target.size)? {
                log.append(merkle::leaf_hash(text.as_bytes()));
                differs |= log.size() == known.size && log.root() != known.root;
            }
        }
        Ok(differs && log.root() == target.root)
    }

    /// Erases in the copy what was ordered in the blocks from `before` on. Returns how many records went.
    fn drop_erased(&self, before: u64) -> Result<u64, SyncError> {
        let mut dropped = 0;
        for (height, order) in self.erasures()?.iter().filter(|(height, _)| *height >= before) {
            self.check_retention(*height, order)?;
            dropped += self.erase_in_copy(&order.records)?;
        }
        Ok(dropped)
    }
}

impl Vault {
    /// An order for [`RETENTION_EXPIRED`](crate::chain::authority::RETENTION_EXPIRED) may only take what is past its date.
    fn check_retention(&self, height: u64, order: &ErasureStatement) -> Result<(), SyncError> {
        let mut retention = Retention::new();
        let mut next = 0;
        for range in &order.records {
            let first = self.store.block_of_record(range.first).map_err(VaultError::Store)?;
            // Ranges ascend; two of them may lie in one block.
            let mut at = first.map_or(height, |info| info.height).max(next);
            while at < height {
                let (block, statement) = self.block(at)?;
                if block.first_record > range.last {
                    break;
                }
                if let Statement::Records(s) = statement {
                    retention.push(block.first_record, s.records, &s.retain_until);
                }
                at += 1;
            }
            next = at;
        }
        let (block, _) = self.block(height)?;
        retention.check(order, block.committed).map_err(|e| wrong(height, e))
    }
}

struct Checked {
    hashes: Vec<Hash>,
    ordered: Vec<RecordRange>,
    /// In force at the end.
    roster: Option<Roster>,
    forked: bool,
}

fn fetch(source: &mut dyn Source, height: u64, size: u64) -> Result<Vec<String>, SyncError> {
    let mut texts = source.blocks(height, size)?;
    if texts.is_empty() {
        return Err(wrong(height, format!("it is missing, and the checkpoint signs {size} blocks")));
    }
    texts.truncate((size - height) as usize);
    Ok(texts)
}

/// Why a grant's place could not be shown.
enum PlaceError {
    Grant(GrantError),
    Vault(VaultError),
}

impl From<GrantError> for PlaceError {
    fn from(e: GrantError) -> PlaceError {
        PlaceError::Grant(e)
    }
}

/// The second pass.
struct Run<'a> {
    vault: &'a Vault,
    state: State,
    log: Log,
    checkpoint: String,
    target: &'a Checkpoint,
    admin: Option<&'a VerifierKey>,
    /// Every erasure order up to the target, normalised.
    ordered: Vec<RecordRange>,
    /// In force at the target.
    roster: Option<Roster>,
    blocks: Vec<NewBlock>,
    derived: Vec<(String, Vec<u8>)>,
    bytes: usize,
}

impl Run<'_> {
    fn download(
        &mut self,
        source: &mut dyn Source,
        hashes: &[Hash],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SyncError> {
        let first = self.state.height();
        while self.state.height() < self.target.size {
            for text in fetch(source, self.state.height(), self.target.size)? {
                let height = self.state.height();
                if hashes.get((height - first) as usize) != Some(&merkle::leaf_hash(text.as_bytes())) {
                    return Err(SourceError(format!(
                        "the server gave two different texts of block {height}"
                    ))
                    .into());
                }
                if let Err(e) = self.block(source, text) {
                    if let SyncError::Source(_) = e {
                        self.write()?;
                    }
                    return Err(e);
                }
                if self.bytes >= WRITE_BYTES || self.blocks.len() >= WRITE_BLOCKS {
                    self.write()?;
                    self.tell(progress);
                }
            }
        }
        self.write()?;
        self.tell(progress);
        Ok(())
    }

    fn tell(&self, progress: &mut dyn FnMut(Progress)) {
        progress(Progress { checking: false, done: self.state.height(), blocks: self.target.size });
    }

    fn block(&mut self, source: &mut dyn Source, text: String) -> Result<(), SyncError> {
        let height = self.state.height();
        let block = Block::parse(&text).map_err(|e| wrong(height, e))?;
        // Downloaded first: a connection that breaks leaves the state at the block before.
        let mut body = match Statement::parse(&block.statement.text) {
            Ok(Statement::Records(_) | Statement::Grant(_)) => source.body(height, self.target.size)?,
            _ => Vec::new(),
        };
        let statement = self.state.apply(&block).map_err(|e| wrong(height, e))?;
        if height == 0
            && self.admin.is_some_and(|a| !self.state.roster().is_some_and(|r| r.admins.contains(a)))
        {
            return Err(wrong(
                height,
                "its roster is not of the admin whose key was given: this is another ledger under the same name",
            ));
        }
        let mut new = NewBlock {
            height,
            first_record: block.first_record,
            records: 0,
            text: text.into_bytes(),
            leaf_inputs: Vec::new(),
            signer: sequence_of(&statement, &block.statement),
            sequence: statement.sequence(),
            body: None,
            tags: Vec::new(),
        };
        if let Statement::Records(records) = &statement {
            let commitment = self.check_batch(&block, records, &body)?;
            for (key, value) in epoch_rows(self.vault.store(), &self.derived, height, &commitment.header)
                .map_err(|e| self.vault.damaged(e))?
            {
                self.derived.push((key, value));
            }
            new.records = commitment.leaf_inputs.len() as u32;
            new.leaf_inputs = Vec::with_capacity(commitment.leaf_inputs.len() * LEAF_INPUTS_LEN);
            commitment.leaf_inputs.iter().for_each(|l| new.leaf_inputs.extend_from_slice(&l.to_bytes()));
            new.tags = commitment.tags;
            self.bytes += body.len();
            new.body = Some(body);
        } else if let Statement::Grant(grant) = &statement {
            self.check_grant(height, grant, &mut body)?;
            self.bytes += body.len();
            new.body = Some(body);
        }
        for (id, tile) in self.log.append(block.hash()) {
            self.derived.push((tile_key(id), tile));
        }
        self.blocks.push(new);
        Ok(())
    }

    /// The slots must be those the statement names, except for records whose erasure was ordered, now or later, which are not kept,
    /// and for a reader who has left the roster.
    fn check_grant(&self, height: u64, statement: &GrantStatement, body: &mut [u8]) -> Result<(), SyncError> {
        if body.is_empty() {
            return Err(wrong(height, "the slots of its grant are missing"));
        }
        grant::check(statement, body).map_err(|e| wrong(height, e))?;
        grant::check_place(statement, body, |at| {
            let new = self.blocks.iter().find(|b| b.height == at).map(|b| (b.first_record, b.records));
            if new.is_some() {
                return Ok(new);
            }
            let known = self.vault.store.block_info(at).map_err(|e| PlaceError::Vault(e.into()))?;
            Ok(known.map(|b| (b.first_record, b.records)))
        })
        .map_err(|e: PlaceError| match e {
            PlaceError::Grant(e) => wrong(height, e),
            PlaceError::Vault(e) => e.into(),
        })?;
        let reads = self.roster.as_ref().is_some_and(|r| r.reader_by_recipient(&statement.to).is_some());
        let emptied = grant::emptied(statement, body, &self.ordered).map_err(|e| wrong(height, e))?;
        if let Some(records) = emptied.first().filter(|_| reads) {
            let what = format!(
                "{}. Its reader is still in the roster (if records were ordered to be erased or a reader was removed during the sync, sync again)",
                GrantError::Emptied { records: *records }
            );
            return Err(wrong(height, what));
        }
        let gone = |record| {
            let near = self.ordered.partition_point(|r| r.last < record);
            self.ordered.get(near).is_some_and(|r| r.first <= record)
        };
        blank(body, statement.range.first, gone).map_err(|e| wrong(height, e))?;
        Ok(())
    }

    /// The batch must be what its statement signs, except for records whose erasure was ordered, now or later.
    fn check_batch(
        &self,
        block: &Block,
        statement: &RecordsStatement,
        body: &[u8],
    ) -> Result<BatchCommitment, SyncError> {
        let height = block.height;
        if body.is_empty() {
            return Err(wrong(height, format!("the body with its {} records is missing", statement.records)));
        }
        let found = batch::commit(body).map_err(|e| wrong(height, format!("its body is damaged: {e}")))?;
        let roster = self.state.roster().ok_or_else(|| wrong(height, "no roster allows its writer"))?;
        batch::check_erased(statement, block.statement.signer_name(), &found, roster)
            .map_err(|e| wrong(height, format!("its body is not what the writer signed: {e}")))?;
        if found.erased > 0 {
            let records = Body::decode(body).map(|b| b.records()).into_iter().flatten();
            for (index, bytes) in (block.first_record..).zip(records) {
                let gone = matches!(Record::decode(bytes), Ok(Record::Erased(_)));
                if gone && !self.ordered.iter().any(|r| r.contains(index)) {
                    let id = record_id(index);
                    return Err(wrong(
                        height,
                        format!("the content of {id} is missing and no erasure statement orders that"),
                    ));
                }
            }
        }
        Ok(found)
    }

    fn write(&mut self) -> Result<(), SyncError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let store = &self.vault.store;
        let expected = self.blocks.first().map_or(self.state.height(), |b| b.height);
        let head = Head {
            size: self.state.height(),
            records: self.state.next_record(),
            checkpoint: self.checkpoint.clone().into_bytes(),
            state: self.state.encode(),
        };
        store.append(expected, &self.blocks, &self.derived, &head).map_err(VaultError::Store)?;
        self.blocks.clear();
        self.derived.clear();
        self.bytes = 0;
        // Index upkeep; without it everything works, slower.
        let _ = store.maintain(std::time::Duration::from_millis(50));
        Ok(())
    }
}
