//! Looks at a stored ledger from its first block to its last, and names everything that is not as it must be: texts, leaf inputs, bodies,
//! the numbers in rows, what was derived from the blocks, the state, the checkpoint, what was noted about erasures, and the last-signed
//! file. A verification ends at the first fault; this goes on, because somebody has to know what is lost.
//!
//! Nothing is changed. What the blocks give is computed with the code of the live path, and compared.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::batch::{Body, Header};
use crate::base::grant::GrantBody;
use crate::base::limits::MAX_STORE_FAULTS;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Outline};
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::batch::{self, BatchCommitment};
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::grant;
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::merkle;
use crate::chain::replay::State;
use crate::chain::retention::Retention;
use crate::chain::statement::{RecordsStatement, Statement};
use crate::chain::tree;
use crate::store::{MemoryStore, Store, StoreError};

use super::cycle::sequence_of;
use super::erase::noted;
use super::guard::Guard;
use super::prove::nodes_row;
use super::recover::{open_state, tile_key};
use super::search::epoch_rows;

/// A part of a stored ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// The text of a block.
    Text,
    /// A block's numbers in its row, or the index of statements.
    Row,
    /// Leaf inputs.
    LeafInputs,
    /// The body of a batch or grant.
    Body,
    /// Tiles, nodes and search epochs.
    Derived,
    /// The snapshot of the chain's state.
    State,
    /// The checkpoint in the head.
    Checkpoint,
    /// What is noted about erasures.
    Erasures,
    /// The last-signed file.
    LastSigned,
}

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub part: Part,
    /// Height of the block concerned, if one can be named.
    pub block: Option<u64>,
    /// The records concerned.
    pub records: Option<RecordRange>,
    /// What is wrong.
    pub what: String,
}

/// What was found out about a stored ledger.
#[derive(Default)]
pub struct Inspection {
    /// What is wrong, the first [`MAX_STORE_FAULTS`] things.
    pub faults: Vec<Fault>,
    /// Blocks looked at.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Derived values that are missing or wrong, as they should be.
    pub derived: Vec<(String, Vec<u8>)>,
    /// The state after the last block; `None` if the chain could not be followed so far.
    pub state: Option<Vec<u8>>,
}

/// Where the texts of blocks are taken from that are known to be right: some from a height on, none at the end.
pub type Texts<'a> = &'a mut dyn FnMut(u64) -> Result<Vec<String>, StoreError>;

/// Looks at everything in `store`. If `proved` is given, texts are compared with what it gives; without it they are followed for as
/// long as they hold, and what is derived from them is not judged. `progress` is told (blocks done, blocks in all).
pub fn inspect(
    store: &dyn Store,
    key: &VerifierKey,
    guard: &Path,
    proved: Option<Texts<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Inspection, StoreError> {
    let mut walk = Walk {
        store,
        found: Inspection::default(),
        chain: Some(State::new(key.name())),
        retention: Retention::new(),
        log: Log::new(),
        signed: Guard::peek(guard, key),
        proved: proved.is_some(),
        erased: Vec::new(),
        orders: Vec::new(),
        epochs: Vec::new(),
        none: MemoryStore::new(key.name()),
        headers_known: true,
        rows: 0,
        firsts: BTreeMap::new(),
        grants: Vec::new(),
    };
    let head = store.head().or_else(damaged_as_none)?.unwrap_or_default();
    match proved {
        Some(texts) => {
            while let Some(more) = Some(texts(walk.log.size())?).filter(|t| !t.is_empty()) {
                for text in more {
                    let height = walk.log.size();
                    if walk.stored_text(height)?.as_deref() != Some(text.as_bytes()) {
                        let records = records_in(&text);
                        walk.fault(
                            Part::Text,
                            height,
                            records,
                            "it is not what is signed, missing or not readable",
                        );
                    }
                    walk.block(&text)?;
                    progress(height + 1, head.size.max(height + 1));
                }
            }
        }
        None => {
            while walk.log.size() < head.size {
                let height = walk.log.size();
                let text = walk.stored_text(height)?;
                match text.map(String::from_utf8) {
                    Some(Ok(text)) => walk.block(&text)?,
                    _ => {
                        walk.chain = None;
                        walk.fault(Part::Text, height, None, "it is missing or not readable");
                        walk.log.append(merkle::leaf_hash(b""));
                    }
                }
                progress(height + 1, head.size);
            }
        }
    }
    walk.head(&head.checkpoint, &head.state, key)?;
    walk.last_signed(guard, key)?;
    walk.bookkeeping()?;
    Ok(walk.found)
}

/// What cannot be read because it is damaged is not there.
fn damaged_as_none<T: Default>(e: StoreError) -> Result<T, StoreError> {
    match e {
        StoreError::Corrupt { .. } | StoreError::Engine { .. } => Ok(T::default()),
        e => Err(e),
    }
}

fn records_in(text: &str) -> Option<RecordRange> {
    let block = Block::parse(text).ok()?;
    let count = Statement::parse(&block.statement.text).ok()?.record_count();
    range_of(block.first_record, count)
}

fn range_of(first: u64, count: u64) -> Option<RecordRange> {
    Some(RecordRange { first, last: first.checked_add(count.checked_sub(1)?)? })
}

struct Walk<'a> {
    store: &'a dyn Store,
    found: Inspection,
    /// `None` from the first text on that does not continue the chain.
    chain: Option<State>,
    retention: Retention,
    log: Log,
    /// Whether the texts are known to be right: what follows from them is else not known either.
    proved: bool,
    /// What the last-signed file holds.
    signed: Vec<Checkpoint>,
    erased: Vec<RecordRange>,
    orders: Vec<ErasureStatement>,
    /// Rows of search epochs so far, as the blocks give them, and a store without any.
    epochs: Vec<(String, Vec<u8>)>,
    none: MemoryStore,
    /// Whether all headers could be read, without which the epochs are not known.
    headers_known: bool,
    /// Derived values there should be, search epochs apart.
    rows: u64,
    /// First record and number of records of each block.
    firsts: BTreeMap<u64, (u64, u32)>,
    grants: Vec<Granted>,
}

/// What a grant's body holds of its records.
struct Granted {
    height: u64,
    to: String,
    /// Slots that were taken out.
    gone: Vec<RecordRange>,
    /// Slots that are there.
    here: Vec<RecordRange>,
}

impl Walk<'_> {
    fn fault(
        &mut self,
        part: Part,
        block: impl Into<Option<u64>>,
        records: Option<RecordRange>,
        what: impl Into<String>,
    ) {
        if self.found.faults.len() < MAX_STORE_FAULTS {
            self.found.faults.push(Fault { part, block: block.into(), records, what: what.into() });
        }
    }

    fn stored_text(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.block_text(height).or_else(damaged_as_none)
    }

    /// The next block.
    fn block(&mut self, text: &str) -> Result<(), StoreError> {
        let height = self.log.size();
        for (id, tile) in self.log.append(merkle::leaf_hash(text.as_bytes())) {
            self.derived(tile_key(id), tile)?;
        }
        let other = |c: &Checkpoint| c.size == self.log.size() && c.root != self.log.root();
        if self.proved && self.signed.iter().any(other) {
            let what = "up to here it is not the ledger of the last-signed file: two histories are signed";
            self.fault(Part::LastSigned, height, None, what);
        }
        self.found.blocks = height + 1;
        let block = match Block::parse(text) {
            Ok(block) => block,
            Err(e) => {
                self.chain = None;
                self.headers_known = false;
                self.fault(Part::Text, height, None, e.to_string());
                return Ok(());
            }
        };
        let statement = match &mut self.chain {
            Some(state) => state
                .apply(&block)
                .and_then(|s| self.retention.apply(&block, &s).map(|()| s))
                .map_err(|e| e.to_string()),
            None => Statement::parse(&block.statement.text).map_err(|e| e.to_string()),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(e) => {
                self.chain = None;
                let what = format!(
                    "{e}. This block or the one before it is damaged; links from here on could not be followed"
                );
                self.fault(Part::Text, height, records_in(text), what);
                match Statement::parse(&block.statement.text) {
                    Ok(statement) => statement,
                    Err(_) => {
                        self.headers_known = false;
                        return Ok(());
                    }
                }
            }
        };
        self.row(&block, &statement)?;
        match statement {
            Statement::Records(s) => self.batch(&block, &s)?,
            Statement::Grant(g) => self.grant(height, &g)?,
            Statement::Erasure(order) => self.orders.push(order),
            _ => {}
        }
        Ok(())
    }

    /// The numbers in the block's row, and that it is found by its statement.
    fn row(&mut self, block: &Block, statement: &Statement) -> Result<(), StoreError> {
        let (height, count) = (block.height, statement.record_count());
        let (signer, sequence) = (sequence_of(statement, &block.statement), statement.sequence());
        self.found.records = block.first_record.saturating_add(count);
        self.firsts.insert(height, (block.first_record, u32::try_from(count).unwrap_or(u32::MAX)));
        let records = range_of(block.first_record, count);
        match self.store.block_info(height).or_else(damaged_as_none)? {
            None => self.fault(Part::Row, height, records, "its row is missing or not readable"),
            Some(info) => {
                let same = info.first_record == block.first_record
                    && u64::from(info.records) == count
                    && info.signer == signer
                    && info.sequence == sequence;
                if !same {
                    self.fault(
                        Part::Row,
                        height,
                        records,
                        "the numbers in its row are not those of its text",
                    );
                }
            }
        }
        if self.store.statement(&signer, sequence).or_else(damaged_as_none)? != Some(height) {
            self.fault(Part::Row, height, records, "it is not found by its signer and number");
        }
        Ok(())
    }

    fn batch(&mut self, block: &Block, statement: &RecordsStatement) -> Result<(), StoreError> {
        let (height, records) = (block.height, range_of(block.first_record, statement.records));
        let kept = self.store.leaf_inputs(height).or_else(damaged_as_none)?.unwrap_or_default();
        let (kept, rest) = kept.as_chunks::<LEAF_INPUTS_LEN>();
        let inputs: Vec<LeafInputs> = kept.iter().filter_map(|l| LeafInputs::from_bytes(l).ok()).collect();
        let leaves = batch::record_leaves(&inputs);
        let kept_fits = rest.is_empty()
            && inputs.len() as u64 == statement.records
            && tree::BlockTree::new(&leaves).root() == statement.records_root;
        if !kept_fits {
            self.fault(Part::LeafInputs, height, records, "they do not have the root that the writer signed");
        }
        let body = self.store.body(height).or_else(damaged_as_none)?.unwrap_or_default();
        match commitment(&body, statement) {
            Ok(found) => {
                if found.erased > 0 {
                    self.note_erased(block.first_record, &body);
                }
                self.epoch(height, &found.header)?;
                if let Some((key, value)) = nodes_row(height, inputs.len(), &found.nodes) {
                    self.derived(key, value)?;
                }
            }
            Err(what) => {
                self.fault(Part::Body, height, records, what);
                let signed = |b: &Body<'_>| batch::header_hash(b.header) == statement.header_hash;
                let header = Body::decode(&body).ok().filter(signed).map(|b| Header::decode(b.header));
                match header {
                    Some(Ok(header)) => self.epoch(height, &header)?,
                    _ => self.headers_known = false,
                }
                if kept_fits
                    && let Some((key, value)) = nodes_row(height, inputs.len(), &tree::nodes(&leaves))
                {
                    self.derived(key, value)?;
                }
            }
        }
        Ok(())
    }

    fn note_erased(&mut self, first_record: u64, body: &[u8]) {
        let records = Body::decode(body).map(|b| b.records()).into_iter().flatten();
        for (record, bytes) in (first_record..).zip(records) {
            if matches!(Outline::decode(bytes), Ok(Outline::Erased(_))) {
                RecordRange { first: record, last: record }.append_to(&mut self.erased);
            }
        }
    }

    fn epoch(&mut self, height: u64, header: &Header) -> Result<(), StoreError> {
        let rows = epoch_rows(&self.none, &self.epochs, height, header)?;
        // One row counts them all.
        self.epochs.retain(|(key, _)| !rows.iter().any(|(k, _)| k == key));
        self.epochs.extend(rows);
        Ok(())
    }

    fn grant(
        &mut self,
        height: u64,
        statement: &crate::chain::statement::GrantStatement,
    ) -> Result<(), StoreError> {
        let body = self.store.body(height).or_else(damaged_as_none)?.unwrap_or_default();
        let place = |at: u64| Ok::<_, grant::GrantError>(self.firsts.get(&at).copied());
        let fits = grant::check(statement, &body).and_then(|()| grant::check_place(statement, &body, place));
        let read = fits.and_then(|()| {
            let mut record = statement.range.first;
            let mut here = Vec::new();
            for part in GrantBody::decode(&body)?.parts() {
                let there = (record..).zip(part.entries()).filter(|(_, entry)| entry.gives_something());
                here.extend(there.map(|(r, _)| RecordRange { first: r, last: r }));
                record += u64::from(part.head.records);
            }
            let gone = grant::emptied(statement, &body, &[])?;
            Ok(Granted { height, to: statement.to.clone(), gone, here: RecordRange::normalise(here) })
        });
        match read {
            Ok(granted) => self.grants.push(granted),
            Err(e) => self.fault(Part::Body, height, Some(statement.range), e.to_string()),
        }
        Ok(())
    }

    /// A value that must be there.
    fn derived(&mut self, key: String, value: Vec<u8>) -> Result<(), StoreError> {
        self.rows += 1;
        if !self.proved {
            return Ok(());
        }
        if self.store.derived(&key).or_else(damaged_as_none)?.as_ref() != Some(&value) {
            self.fault(Part::Derived, None, None, format!("{key} is missing, or not what the blocks give"));
            self.found.derived.push((key, value));
        }
        Ok(())
    }

    /// Checkpoint and state of the head.
    fn head(&mut self, checkpoint: &[u8], state: &[u8], key: &VerifierKey) -> Result<(), StoreError> {
        let text = String::from_utf8_lossy(checkpoint).into_owned();
        match SignedCheckpoint::parse(&text, key) {
            Err(e) => self.fault(Part::Checkpoint, None, None, e.to_string()),
            Ok(signed) => {
                let checkpoint = signed.checkpoint();
                if self.proved && (checkpoint.size != self.log.size() || checkpoint.root != self.log.root()) {
                    let what = format!(
                        "it signs {} blocks with another root than the {} blocks have that are here",
                        checkpoint.size,
                        self.log.size()
                    );
                    self.fault(Part::Checkpoint, None, None, what);
                }
            }
        }
        let Some(replayed) = self.chain.as_ref().filter(|_| self.proved) else { return Ok(()) };
        let right = replayed.encode();
        // One that is not signed is not believed at a start, and that is all.
        let is_right = match open_state(state, &text, key) {
            Some(opened) => opened.encode() == right,
            None => state == right,
        };
        if !is_right {
            self.fault(Part::State, None, None, "it is not what the blocks give, or not signed");
        }
        self.found.state = Some(right);
        Ok(())
    }

    fn last_signed(&mut self, guard: &Path, key: &VerifierKey) -> Result<(), StoreError> {
        let size = self.log.size();
        match self.signed.iter().map(|c| c.size).max() {
            Some(signed) if signed > size => {
                let what = format!(
                    "by it the ledger has signed {signed} blocks, and {size} are here: the last {} are lost",
                    signed - size
                );
                self.fault(Part::LastSigned, None, None, what);
            }
            Some(_) => {}
            None if guard.exists() => {
                let what = format!("{} holds no checkpoint signed by {}", guard.display(), key.name());
                self.fault(Part::LastSigned, None, None, what);
            }
            None => {
                let what = format!(
                    "there is no {}: a ledger that was rolled back could not be told",
                    guard.display()
                );
                self.fault(Part::LastSigned, None, None, what);
            }
        }
        Ok(())
    }

    /// What is gone must have been ordered to go; what is noted as carried out must be gone; and no derived value is there that
    /// belongs to nothing.
    fn bookkeeping(&mut self) -> Result<(), StoreError> {
        let ordered = |orders: &[ErasureStatement]| {
            RecordRange::normalise(orders.iter().flat_map(|o| o.records.iter().copied()).collect())
        };
        let erased = RecordRange::normalise(std::mem::take(&mut self.erased));
        for range in RecordRange::without(&erased, &ordered(&self.orders)) {
            self.fault(
                Part::Body,
                None,
                Some(range),
                "their content is missing and no erasure statement orders that",
            );
        }
        let done = noted(self.store).or_else(damaged_as_none)?;
        if self.chain.as_ref().is_some_and(|state| done > state.authority().next_sequence) {
            let what = "more orders are noted as carried out than there are statements";
            self.fault(Part::Erasures, None, None, what);
        }
        let carried: Vec<_> = self.orders.iter().filter(|o| o.sequence < done).cloned().collect();
        let unreadable = self.found.faults.iter().any(|f| f.part == Part::Body && f.block.is_some());
        if !unreadable {
            for range in RecordRange::without(&ordered(&carried), &erased) {
                let what = "their erasure is noted as carried out, and their content is still here";
                self.fault(Part::Erasures, None, Some(range), what);
            }
        }
        let all = ordered(&self.orders);
        let carried = ordered(&carried);
        let roster = self.chain.as_ref().and_then(|state| state.shared_roster());
        for granted in std::mem::take(&mut self.grants) {
            // A copy that a server gave lacks the slots of readers who have left.
            let reads = roster.as_ref().is_none_or(|r| r.reader_by_recipient(&granted.to).is_some());
            for range in RecordRange::without(&granted.gone, &all).into_iter().filter(|_| reads) {
                self.fault(
                    Part::Body,
                    granted.height,
                    Some(range),
                    "slots are missing in this grant that nobody ordered to erase",
                );
            }
            let here = |range: &&RecordRange| granted.here.iter().any(|h| h.first_common(range).is_some());
            if let Some(range) = carried.iter().find(here) {
                let what = "their erasure is noted as carried out, and slots of this grant are still here";
                self.fault(Part::Erasures, granted.height, Some(*range), what);
            }
        }
        if !self.headers_known || self.chain.is_none() || !self.proved {
            return Ok(());
        }
        for (key, value) in std::mem::take(&mut self.epochs) {
            self.derived(key, value)?;
        }
        for note in OTHER_ROWS {
            self.rows += u64::from(self.store.derived(note).or_else(damaged_as_none)?.is_some());
        }
        let missing = self.found.derived.len() as u64;
        let there = self.store.stats().map(|s| s.derived_rows).or_else(damaged_as_none)?;
        if missing == 0 && there > self.rows {
            let what = format!("{} values belong to nothing", there - self.rows);
            self.fault(Part::Derived, None, None, what);
        }
        Ok(())
    }
}

/// Derived values that do not follow from the blocks: how far erasures are carried out, and what backups and vaults note.
const OTHER_ROWS: [&str; 4] = ["erased-up-to", "vault/whole", "vault/signed-by", "backup/state"];

/// The hashes of a body, if they are those that the statement signs.
fn commitment(body: &[u8], statement: &RecordsStatement) -> Result<BatchCommitment, String> {
    if body.is_empty() {
        return Err("it is missing or not readable".to_owned());
    }
    let found = batch::commit(body).map_err(|e| e.to_string())?;
    batch::check_hashes(statement, &found).map_err(|_| "it is not what the writer signed".to_owned())?;
    Ok(found)
}
