//! Filling a vault: what is new since the last checkpoint is downloaded, verified in full and only then kept.
//!
//! In two passes. The first downloads the block texts alone and shows that they have the root of the new checkpoint,
//! and that the tree of the checkpoint trusted before is its beginning: so nothing of a forked or rolled-back ledger
//! ever enters the vault. The second downloads the bodies, checks every batch against its signed statement, and writes
//! some blocks at a time: an interrupted sync goes on from there.

use crate::base::hash::Hash;
use crate::chain::authority::{ERASURE_KIND, ErasureStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::merkle;
use crate::chain::replay::{State, check_roster};
use crate::chain::retention::Retention;
use crate::chain::roster::{ROSTER_KIND, Roster};
use crate::chain::statement::Statement;
use crate::ledger::restore_log;
use crate::store::{Head, Store, mark};

use super::super::chain_check::{ChainCheck, OTHER_ADMIN, Shown, block_texts, signed_checkpoint};
use super::super::source::{ATTEMPTS, Source, SourceError};
use super::download::Download;
use super::outcome::{KeptProof, Progress, SyncError, SyncReport, wrong};
use super::{Vault, VaultError};

impl Vault {
    /// Brings the vault up to the source's checkpoint. `admin`, if known, must have signed the first roster. The vault must have
    /// been opened with [`Vault::open_to_sync`]. If content is gone without an order and more was signed meanwhile, it goes on from
    /// there with what is shown by then, at most [`ATTEMPTS`] times.
    pub fn sync(
        &mut self,
        source: &mut dyn Source,
        admin: Option<&VerifierKey>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SyncReport, SyncError> {
        let had = self.store.head().map_err(VaultError::Store)?.unwrap_or_default();
        let mut attempt = 1;
        loop {
            let before = source.checkpoint().ok();
            match self.sync_shown(source, admin, progress) {
                Err(SyncError::Gone { .. }) if attempt < ATTEMPTS && source.checkpoint().ok() != before => {
                    attempt += 1;
                }
                // Since the first attempt began.
                Ok(report) => {
                    return Ok(SyncReport {
                        new_blocks: report.blocks - had.size,
                        new_records: report.records - had.records,
                        continued: !had.checkpoint.is_empty(),
                        ..report
                    });
                }
                e => return e,
            }
        }
    }

    fn sync_shown(
        &mut self,
        source: &mut dyn Source,
        admin: Option<&VerifierKey>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SyncReport, SyncError> {
        if self.lock.is_none() {
            return Err(VaultError::Busy(self.dir.display().to_string()).into());
        }
        self.check_admin(admin)?;
        let had = self.store.head().map_err(VaultError::Store)?.unwrap_or_default();
        // The newest the ledger ever showed: that of the last sync, finished or not.
        let known = self.trusted(&had)?;
        let text = source.checkpoint().map_err(|e| match (e, &known) {
            (SourceError::Empty(what), Some((known, _))) => {
                let seen = format!("{what}, but a signed checkpoint of {} blocks has been seen", known.size);
                wrong(None, format!("{seen}: it was emptied. Nothing was changed in the vault"))
            }
            (e, _) => e.into(),
        })?;
        let shown = signed_checkpoint(&text, &self.key)?;
        let (had_state, vouched) = (self.state()?, admin.is_some() || self.whole()?.is_some());
        let target = &shown.checkpoint;
        // A key that is known to be out of use signs nothing any more; of blocks that are here the signer is known, too.
        let replaced = had_state.ledger_keys().replaced(&self.key).is_some();
        if target.size <= had_state.height() || (replaced && shown.by_given()) {
            shown.check(&self.key, had_state.ledger_keys(), vouched)?;
        }
        if let Some((known, known_text)) = &known
            && (target.size < known.size || (target.size == known.size && target.root != known.root))
        {
            // Said of nothing that anybody could have written.
            self.own_checkpoint(&text).map_err(|_| shown.not_signed(&self.key))?;
            let kept = self.keep_evidence(known_text, &text);
            let (ledger, known, found) = (self.key.name().to_owned(), known.size, target.size);
            return Err(if found < known {
                SyncError::Rollback { ledger, known, found, kept }
            } else {
                SyncError::Fork { ledger, known, found, kept }
            });
        }
        let log = restore_log(&*self.store, had.size).map_err(|e| self.damaged(e))?;
        let known_checkpoint = known.as_ref().map(|(c, _)| c);
        let trusted = Trusted { admin, vouched, known: known_checkpoint };
        let checked = self.check_chain(source, &log, &shown, &trusted, progress)?;
        if checked.forked
            && let Some((known, known_text)) = &known
        {
            let kept = self.keep_evidence(known_text, &text);
            let ledger = self.key.name().to_owned();
            return Err(SyncError::Fork { ledger, known: known.size, found: target.size, kept });
        }
        // From now on this is the newest signed head seen, even if nothing can be downloaded.
        let state = if had.size > 0 { had.state.clone() } else { State::new(self.key.name()).encode() };
        let seen = Head { checkpoint: text.clone().into_bytes(), state, ..had.clone() };
        let signer = checked
            .signer
            .as_ref()
            .map(|key| (mark::VAULT_SIGNED_BY.to_owned(), key.to_string().into_bytes()));
        self.store.append(had.size, &[], signer.as_slice(), &seen).map_err(VaultError::Store)?;
        let before = self.whole()?.map_or(0, |c| c.checkpoint().size);
        let chain = ChainCheck::resume(&self.key, admin, &shown, vouched, (self.state()?, log));
        let download = Download::new(self, chain, &text, checked.ordered, checked.roster);
        let chain = download.run(source, &checked.hashes, progress)?;
        let state = chain.state();
        let (blocks, records, state) = (state.height(), state.next_record(), state.encode());
        let dropped = self.drop_erased(before)?;
        // Last, so that an erasure that was interrupted is done again.
        let head = Head { size: blocks, records, checkpoint: text.clone().into_bytes(), state };
        let whole = [(mark::VAULT_WHOLE.to_owned(), text.into_bytes())];
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
        if self.block(0)?.0.statement.is_signed_by(admin) {
            return Ok(());
        }
        Err(wrong(0, OTHER_ADMIN))
    }

    /// The newest signed checkpoint this vault has seen, with its text.
    fn trusted(&self, head: &Head) -> Result<Option<(Checkpoint, String)>, SyncError> {
        if head.checkpoint.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(head.checkpoint.clone()).map_err(|e| self.damaged(e))?;
        let signed = self.own_checkpoint(&text)?;
        Ok(Some((signed.checkpoint().clone(), text)))
    }

    /// Writes both signed checkpoints into a file of their own, which no later sync overwrites. What they prove is told even if that
    /// cannot be done.
    fn keep_evidence(&self, known: &str, found: &str) -> KeptProof {
        let text = format!(
            "Two signed checkpoints of one ledger, {}, that cannot both be true.\n\n--- trusted before\n{known}\n--- shown now\n{found}",
            self.key.name()
        );
        let name = format!("two-histories-{}.txt", &Hash::of(&[text.as_bytes()]).hex()[..16]);
        let path = self.dir.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return KeptProof { path, lost: None };
        }
        let lost = std::fs::write(&path, &text).err().map(|why| (why, text));
        KeptProof { path, lost }
    }

    /// The first pass: hashes of the new block texts, whose tree must have the root of `target` and begin with that of `known`.
    fn check_chain(
        &self,
        source: &mut dyn Source,
        log: &Log,
        shown: &Shown,
        trusted: &Trusted<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Checked, SyncError> {
        let Trusted { admin, vouched, known } = *trusted;
        let (mut log, target, state) = (log.clone(), &shown.checkpoint, self.state()?);
        let mut keys = state.ledger_keys().clone();
        let mut checked = Checked { roster: state.roster().cloned(), ..Checked::default() };
        for (_, order) in self.erasures()? {
            checked.ordered.extend(order.records);
        }
        while log.size() < target.size {
            for text in block_texts(source, log.size(), target.size)? {
                let height = log.size();
                let hash = merkle::leaf_hash(text.as_bytes());
                log.append(hash);
                checked.hashes.push(hash);
                if text.contains(ERASURE_KIND) || text.contains(ROSTER_KIND) {
                    let block = Block::parse(&text).map_err(|e| wrong(height, e))?;
                    match Statement::parse(&block.statement.text) {
                        Ok(Statement::Erasure(order)) => checked.ordered.extend(order.records),
                        Ok(Statement::Roster(roster)) => {
                            // What is not about keys is the second pass's to check.
                            match &checked.roster {
                                Some(before) => check_roster(&block.statement, before, &roster)
                                    .map_err(|e| wrong(height, e))?,
                                // That the admins of a chain are vouched for is true of this admin's only.
                                None if admin.is_some_and(|a| !block.statement.is_signed_by(a)) => {
                                    return Err(wrong(height, OTHER_ADMIN));
                                }
                                None => {}
                            }
                            if roster.ledger != self.key.name() {
                                return Err(wrong(height, "it holds the roster of another ledger"));
                            }
                            keys.take(height, &roster.ledger_key, &block.statement);
                            checked.roster = Some(roster);
                        }
                        _ => {}
                    }
                }
                if known.is_some_and(|k| k.size == log.size() && k.root != log.root()) {
                    checked.forked = true;
                }
            }
            progress(Progress { checking: true, done: log.size(), blocks: target.size });
        }
        // Before anything is said about what the ledger signed. But what blocks say of its keys is worth nothing if they are not those
        // that were signed.
        let signed = shown.check(&self.key, &keys, vouched);
        if log.root() == target.root || !shown.by_given() {
            signed?;
            checked.signer = keys.at(target.size).cloned();
        }
        if log.root() != target.root {
            // That they have another root stands, whether or not the older ones can be read to say more.
            if let Some(known) = known
                && let Ok(true) = self.other_history(source, known, target)
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
            for text in block_texts(source, log.size(), target.size)? {
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

/// What the first pass goes by, besides the ledger's key.
struct Trusted<'a> {
    /// Who must have signed the first roster.
    admin: Option<&'a VerifierKey>,
    /// Whether the chain's admins are known to be right, once `admin` has signed it if it is new.
    vouched: bool,
    /// The newest checkpoint seen before.
    known: Option<&'a Checkpoint>,
}

#[derive(Default)]
struct Checked {
    /// The key that signed the checkpoint.
    signer: Option<VerifierKey>,
    hashes: Vec<Hash>,
    ordered: Vec<RecordRange>,
    /// In force at the end.
    roster: Option<Roster>,
    forked: bool,
}
