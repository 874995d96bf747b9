//! Grants: taken in with their re-wrapped slots, and handed to the readers they are for. `docs/FORMAT.md` §12. The ledger
//! checks everything about a grant but whether its slots open, which only the new reader can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use super::search::epoch_of;
use super::{Ledger, LedgerError, Payload, Pending, Submission};
use crate::base::batch::Header;
use crate::base::grant::{self, GRANT_MAGIC, GrantBuilder, GrantEntry};
use crate::base::limits::{MAX_GRANTS_LISTED, MAX_RECORD_GRANTS};
use crate::base::wire::WireError;
use crate::chain::authority::{GrantStatement, RecordRange};
use crate::chain::block::Block;
use crate::chain::grant::{GrantError, check, check_place, emptied};
use crate::chain::note::Note;
use crate::chain::statement::Statement;
use crate::store::Store;

/// A grant of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantInfo {
    /// Height of its block, whose body has the slots.
    pub block: u64,
    /// The records.
    pub range: RecordRange,
    /// Recipient whose slots were re-wrapped.
    pub from: String,
    /// Recipient of the new reader.
    pub to: String,
}

/// What a grant gives of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedRecord {
    /// The grant.
    pub grant: GrantInfo,
    /// A grant body that covers this one record.
    pub part: Vec<u8>,
}

/// One batch of a search epoch that a grant covers: with it the new reader gets the epoch's search secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedEpoch {
    /// Height of the batch's block.
    pub block: u64,
    /// The encoded batch header.
    pub header: Vec<u8>,
    /// What was granted of one record of the batch.
    pub granted: GrantedRecord,
}

/// What the authority sequence says that the ledger needs at hand. Read from the store as far as it was not yet.
#[derive(Default)]
pub(super) struct AuthorityIndex {
    known: RwLock<Known>,
    /// By the block of a grant: a record of each search epoch it covers.
    epochs: Mutex<BTreeMap<u64, Arc<Vec<u64>>>>,
}

#[derive(Default)]
struct Known {
    /// The next authority statement to read.
    next: u64,
    grants: Vec<Arc<GrantInfo>>,
    /// Recipients of every roster.
    readers: BTreeSet<String>,
    /// What was ordered to be erased, and the block of the order.
    erased: Vec<(RecordRange, u64)>,
}

impl AuthorityIndex {
    /// The grants among the authority statements before number `end`, which are in the store, that cover a record of one of
    /// these ranges, oldest first: whoever erases the records has to call [`blank`](grant::blank) on their bodies.
    pub(super) fn covering(
        &self,
        store: &dyn Store,
        end: u64,
        ranges: &[RecordRange],
    ) -> Result<Vec<Arc<GrantInfo>>, LedgerError> {
        let covers =
            |g: &GrantInfo| ranges.iter().any(|r| r.first <= g.range.last && g.range.first <= r.last);
        Ok(self.read(store, end)?.grants.iter().filter(|g| covers(g)).cloned().collect())
    }

    /// All that the authority statements before number `end` say; they are in the store.
    fn read(&self, store: &dyn Store, end: u64) -> Result<RwLockReadGuard<'_, Known>, LedgerError> {
        let shared = || self.known.read().unwrap_or_else(|e| e.into_inner());
        let known = shared();
        if known.next >= end {
            return Ok(known);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(|e| e.into_inner());
        while known.next < end {
            let next = known.next;
            let damaged = || LedgerError::Damaged { what: format!("authority statement {next} is missing") };
            let height = store.statement("", next)?.ok_or_else(damaged)?;
            known.take(height, statement_of(store, height)?.ok_or_else(damaged)?);
            known.next += 1;
        }
        drop(known);
        Ok(shared())
    }
}

impl Known {
    fn take(&mut self, block: u64, statement: Statement) {
        match statement {
            Statement::Grant(g) => {
                let GrantStatement { range, from, to, .. } = g;
                self.grants.push(Arc::new(GrantInfo { block, range, from, to }));
            }
            Statement::Roster(r) => self.readers.extend(r.readers.into_iter().map(|r| r.recipient)),
            Statement::Erasure(e) => self.erased.extend(e.records.into_iter().map(|r| (r, block))),
            Statement::Records(_) | Statement::Heartbeat(_) | Statement::Hold(_) => {}
        }
    }
}

fn statement_of(store: &dyn Store, height: u64) -> Result<Option<Statement>, LedgerError> {
    let text = store.block_text(height)?.and_then(|t| String::from_utf8(t).ok());
    let block = text.and_then(|t| Block::parse(&t).ok());
    Ok(block.and_then(|b| Statement::parse(&b.statement.text).ok()))
}

impl Ledger {
    fn known(&self) -> Result<RwLockReadGuard<'_, Known>, LedgerError> {
        let end = self.view().state.authority().next_sequence;
        self.shared.authority.read(&*self.store, end)
    }

    /// Queues a grant with its slots. Hashes and compares them on the caller's thread. Slots of records that were erased
    /// since the grant was made are taken out.
    pub fn submit_grant(&self, note: Note, mut body: Vec<u8>) -> Result<Pending, LedgerError> {
        // What is wrong with its signature or place the commit thread says; a repetition gets its receipt there.
        let view = self.view();
        let grant = match view.state.check_statement(&note) {
            Err(_) => return self.submit(Submission::statement(note)),
            Ok(Statement::Grant(grant)) => grant,
            Ok(_) => return Err(LedgerError::BodyUnexpected),
        };
        check(&grant, &body)?;
        check_place(&grant, &body, |height| {
            Ok::<_, LedgerError>(self.store.block_info(height)?.map(|b| (b.first_record, b.records)))
        })?;
        // The grant is the next authority statement, so every erasure before it is known, and none can slip in between.
        {
            let known = self.shared.authority.read(&*self.store, grant.sequence)?;
            if !known.readers.contains(&grant.from) {
                return Err(GrantError::NeverReader(grant.from).into());
            }
            // `slots-hash` fits a body without slots, too: whoever sees the statement first must not empty the grant.
            let ordered = RecordRange::normalise(known.erased.iter().map(|(records, _)| *records).collect());
            if let Some(records) = emptied(&grant, &body, &ordered).map_err(GrantError::from)?.first() {
                return Err(GrantError::Emptied { records: *records }.into());
            }
            grant::blank(&mut body, grant.range.first, |r| known.erased.iter().any(|(e, _)| e.contains(r)))
                .map_err(GrantError::from)?;
        }
        self.submit(Submission { note, body: Some(Payload::Grant(body)) })
    }

    /// Height of the block whose order erased this record, or is about to; the first, if there are several.
    pub fn erased_by(&self, record: u64) -> Result<Option<u64>, LedgerError> {
        Ok(self.known()?.erased.iter().find(|(e, _)| e.contains(record)).map(|(_, height)| *height))
    }

    /// The grants to a recipient, oldest first.
    pub fn grants_to(&self, recipient: &str) -> Result<Vec<Arc<GrantInfo>>, LedgerError> {
        Ok(self.known()?.grants.iter().filter(|g| g.to == recipient).cloned().collect())
    }

    /// The grants that cover a record of one of these ranges, oldest first.
    pub fn grants_covering(&self, ranges: &[RecordRange]) -> Result<Vec<Arc<GrantInfo>>, LedgerError> {
        let end = self.view().state.authority().next_sequence;
        self.shared.authority.covering(&*self.store, end, ranges)
    }

    /// What was granted of a record to a recipient: the newest [`MAX_RECORD_GRANTS`] grants that have a slot for it.
    pub fn granted(&self, record: u64, recipient: &str) -> Result<Vec<GrantedRecord>, LedgerError> {
        let grants: Vec<_> = {
            let known = self.known()?;
            let mine = known.grants.iter().rev().filter(|g| g.to == recipient && g.range.contains(record));
            mine.cloned().collect()
        };
        let mut out = Vec::new();
        for grant in grants {
            if out.len() == MAX_RECORD_GRANTS {
                break;
            }
            if let Some(part) = self.granted_part(&grant, record)? {
                out.push(GrantedRecord { grant: (*grant).clone(), part });
            }
        }
        Ok(out)
    }

    /// Of each grant to a recipient a batch of every search epoch it covers, of the newest [`MAX_GRANTS_LISTED`] grants.
    pub fn granted_epochs(&self, recipient: &str) -> Result<Vec<GrantedEpoch>, LedgerError> {
        let mut out = Vec::new();
        for grant in self.grants_to(recipient)?.iter().rev().take(MAX_GRANTS_LISTED) {
            for record in self.epochs_of(grant)?.iter() {
                if let Some((_, part)) = self.cut(grant, *record)? {
                    let found = self.record(*record)?;
                    let granted = GrantedRecord { grant: (**grant).clone(), part };
                    out.push(GrantedEpoch { block: found.block, header: found.header, granted });
                }
            }
        }
        Ok(out)
    }

    /// A record of each search epoch that a grant covers. Reads the headers of all its batches, once.
    fn epochs_of(&self, grant: &GrantInfo) -> Result<Arc<Vec<u64>>, LedgerError> {
        let cache = || self.shared.authority.epochs.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = cache().get(&grant.block) {
            return Ok(known.clone());
        }
        let damaged = |e: WireError| LedgerError::Damaged { what: format!("block {}: {e}", grant.block) };
        let mut seen = BTreeSet::new();
        let mut records = Vec::new();
        let mut record = grant.range.first;
        for head in grant::heads(&self.front(grant)?).map_err(damaged)? {
            if head.sections != 0 {
                let header = Header::decode(&self.batch_header(head.height)?).map_err(damaged)?;
                if seen.insert((epoch_of(&header), head.sections)) {
                    records.push(record);
                }
            }
            record = record.saturating_add(u64::from(head.records));
        }
        let records = Arc::new(records);
        cache().insert(grant.block, records.clone());
        Ok(records)
    }

    fn front(&self, grant: &GrantInfo) -> Result<Vec<u8>, LedgerError> {
        let start = self.store.body_part(grant.block, 0, 8)?;
        Ok(self.store.body_part(grant.block, 0, grant::front_len(&start))?)
    }

    /// Cuts one record out of a grant body; `None` if the grant has no slot for it.
    fn granted_part(&self, grant: &GrantInfo, record: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.cut(grant, record)?.filter(|(given, _)| *given).map(|(_, part)| part))
    }

    /// Cuts one record out of a grant body, and tells whether there is a slot for it; `None` if nothing of its batch is granted.
    fn cut(&self, grant: &GrantInfo, record: u64) -> Result<Option<(bool, Vec<u8>)>, LedgerError> {
        let damaged = |what: &str| LedgerError::Damaged { what: format!("block {}: {what}", grant.block) };
        // Asked before reading, as for the record itself.
        let erasing = self.shared.erasing();
        let place = grant::locate(&self.front(grant)?, record - grant.range.first)
            .map_err(|e| damaged(&e.to_string()))?;
        let Some((mut head, position, at)) = place else { return Ok(None) };
        let entry = self.store.body_part(grant.block, at, head.entry_len())?;
        (head.position, head.records) = (position, 1);
        let found = GrantEntry::decode(&entry).ok_or_else(|| damaged("a granted slot is malformed"))?;
        let mut part = GrantBuilder::default();
        part.push(&head, &entry);
        let mut part = part.finish();
        if erasing.iter().any(|e| e.contains(record)) {
            grant::blank(&mut part, record, |_| true).map_err(GrantError::from)?;
            return Ok(Some((false, part)));
        }
        Ok(Some((found.gives_something(), part)))
    }

    /// Takes the slots out of the body of a grant: of records that are being erased, and all of them if its reader is no longer in
    /// the roster. What is left verifies.
    pub(super) fn hide_slots(
        &self,
        erasing: &[RecordRange],
        height: u64,
        body: &mut [u8],
    ) -> Result<(), LedgerError> {
        if !body.starts_with(GRANT_MAGIC) {
            return Ok(());
        }
        let Some(Statement::Grant(grant)) = statement_of(&*self.store, height)? else { return Ok(()) };
        let view = self.view();
        let reads = view.state.roster().is_some_and(|r| r.reader_by_recipient(&grant.to).is_some());
        let hidden = |record| !reads || erasing.iter().any(|e| e.contains(record));
        grant::blank(body, grant.range.first, hidden).map_err(GrantError::from)?;
        Ok(())
    }
}
