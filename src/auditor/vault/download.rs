//! The second pass of a sync: bodies are downloaded, checked on all cores against the statements that sign them, and written some
//! blocks at a time. An interrupted sync goes on from there.

use crate::base::grant::blank;
use crate::base::hash::Hash;
use crate::base::record::LEAF_INPUTS_LEN;
use crate::chain::authority::RecordRange;
use crate::chain::batch::BatchCommitment;
use crate::chain::grant;
use crate::chain::merkle;
use crate::chain::proof::record_id;
use crate::chain::roster::Roster;
use crate::chain::statement::{GrantStatement, Statement};
use crate::ledger::{epoch_rows, nodes_row, sequence_of, tile_key};
use crate::store::{Head, NewBlock};

use super::super::batch_check::{Batch, BatchFault};
use super::super::chain_check::{ChainCheck, block_texts};
use super::super::grant_check::{GrantFault, check_slots};
use super::super::pipeline::{Pipeline, pipeline};
use super::super::source::{Source, SourceError};
use super::outcome::{Progress, SyncError, wrong};
use super::{Vault, VaultError};

/// Bytes of bodies written together: enough for a sync of the disk not to matter, little enough for two such groups in memory.
const WRITE_BYTES: usize = 4 * 1024 * 1024;
/// Blocks verified and not yet written.
const WRITE_BLOCKS: usize = 256;

/// Why a walk ended early.
enum Stop {
    /// At the block it had come to.
    Here(SyncError),
    /// At one before, when its group was finished.
    Earlier(SyncError),
}

/// A body that was checked, with what is to be kept of it.
struct CheckedBatch {
    height: u64,
    commitment: BatchCommitment,
    body: Vec<u8>,
    erased: Vec<RecordRange>,
}

type CheckedBody = Result<CheckedBatch, SyncError>;

/// The batch must be what its statement signs. Whether what is erased was ordered to be, now or later, [`Download::finish`] says.
fn check(batch: Batch) -> CheckedBody {
    let fault = |fault: BatchFault| wrong(batch.height, fault);
    let commitment = batch.hash().map_err(fault)?;
    let erased = batch.check(&commitment).map_err(fault)?;
    Ok(CheckedBatch { height: batch.height, commitment, body: batch.body, erased })
}

/// Blocks that are written together. Those with records lack what [`check`] gives until the group is finished.
#[derive(Default)]
struct Group {
    blocks: Vec<NewBlock>,
    tiles: Vec<(String, Vec<u8>)>,
    /// Of bodies.
    bytes: usize,
    /// The state after its last block.
    head: Head,
}

impl Group {
    /// First record and number of records of a block, if it is in the group.
    fn place(&self, height: u64) -> Option<(u64, u32)> {
        let first = self.blocks.first()?.height;
        let at = usize::try_from(height.checked_sub(first)?).ok()?;
        self.blocks.get(at).map(|b| (b.first_record, b.records))
    }
}

type Pipe<'p> = Pipeline<'p, Batch, CheckedBody>;

/// The second pass. While one group of blocks is downloaded, the bodies of the last one are hashed, and it is written.
pub(super) struct Download<'a> {
    vault: &'a Vault,
    chain: ChainCheck<'a>,
    /// Text of the target.
    checkpoint: String,
    /// Every erasure order up to the target, normalised.
    ordered: Vec<RecordRange>,
    /// In force at the target.
    roster: Option<Roster>,
    /// Downloaded whole.
    last: Option<Group>,
    group: Group,
}

impl<'a> Download<'a> {
    /// Goes on with `chain`; `ordered` are the orders and `roster` the roster of the target, whose signed text `checkpoint` is.
    pub(super) fn new(
        vault: &'a Vault,
        chain: ChainCheck<'a>,
        checkpoint: &str,
        ordered: Vec<RecordRange>,
        roster: Option<Roster>,
    ) -> Download<'a> {
        let ordered = RecordRange::normalise(ordered);
        Download {
            vault,
            chain,
            checkpoint: checkpoint.to_owned(),
            ordered,
            roster,
            last: None,
            group: Group::default(),
        }
    }

    /// Gives the chain up to the target. `hashes` are those of the block texts that the first pass saw.
    pub(super) fn run(
        mut self,
        source: &mut dyn Source,
        hashes: &[Hash],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ChainCheck<'a>, SyncError> {
        pipeline(&check, |pipe| self.download(source, hashes, pipe, progress))?;
        self.chain.finish()?;
        Ok(self.chain)
    }

    fn download(
        &mut self,
        source: &mut dyn Source,
        hashes: &[Hash],
        pipe: &mut Pipe<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SyncError> {
        let ended = self.walk(source, hashes, pipe, progress);
        match ended {
            Err(Stop::Earlier(e)) => return Err(e),
            Err(Stop::Here(e)) if !matches!(e, SyncError::Source(_)) => {
                self.close(pipe)?;
                // What is still under way stands before the block the walk ended at.
                while let Some(checked) = pipe.oldest() {
                    self.ordered_only(&checked?)?;
                }
                return Err(e);
            }
            // Whatever was downloaded whole is kept.
            Ok(()) | Err(Stop::Here(_)) => {
                self.close(pipe)?;
                self.close(pipe)?;
            }
        }
        let size = self.chain.size();
        progress(Progress { checking: false, done: self.chain.height(), blocks: size });
        match ended {
            Err(Stop::Here(e) | Stop::Earlier(e)) => Err(e),
            Ok(()) => Ok(()),
        }
    }

    fn walk(
        &mut self,
        source: &mut dyn Source,
        hashes: &[Hash],
        pipe: &mut Pipe<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Stop> {
        let (first, size) = (self.chain.height(), self.chain.size());
        while self.chain.height() < size {
            let texts = block_texts(source, self.chain.height(), size);
            for text in texts.map_err(|e| Stop::Here(e.into()))? {
                let height = self.chain.height();
                if hashes.get((height - first) as usize) != Some(&merkle::leaf_hash(text.as_bytes())) {
                    let why = format!("the server gave two different texts of block {height}");
                    return Err(Stop::Here(SourceError::Unavailable(why).into()));
                }
                self.block(source, text, pipe).map_err(Stop::Here)?;
                if self.group.bytes >= WRITE_BYTES || self.group.blocks.len() >= WRITE_BLOCKS {
                    self.close(pipe).map_err(Stop::Earlier)?;
                    progress(Progress { checking: false, done: height + 1, blocks: size });
                }
            }
        }
        Ok(())
    }

    /// Ends the group being downloaded, and finishes and writes the one before.
    fn close(&mut self, pipe: &mut Pipe<'_>) -> Result<(), SyncError> {
        let state = self.chain.state();
        let mut group = std::mem::take(&mut self.group);
        group.head = Head {
            size: state.height(),
            records: state.next_record(),
            checkpoint: self.checkpoint.clone().into_bytes(),
            state: state.encode(),
        };
        match self.last.replace(group) {
            Some(done) => self.finish(done, pipe),
            None => Ok(()),
        }
    }

    fn block(&mut self, source: &mut dyn Source, text: String, pipe: &mut Pipe<'_>) -> Result<(), SyncError> {
        let height = self.chain.height();
        let block = self.chain.read(&text)?;
        // Downloaded first: a connection that breaks leaves the state at the block before.
        let mut body = match Statement::parse(&block.statement.text) {
            Ok(Statement::Records(_) | Statement::Grant(_)) => source.body(height, self.chain.size())?,
            _ => Vec::new(),
        };
        let link = self.chain.take(&block)?;
        let mut new = NewBlock {
            height,
            first_record: block.first_record,
            records: 0,
            text: text.into_bytes(),
            leaf_inputs: Vec::new(),
            signer: sequence_of(&link.statement, &block.statement),
            sequence: link.statement.sequence(),
            body: None,
            tags: Vec::new(),
        };
        self.group.bytes += body.len();
        match link.statement {
            Statement::Records(statement) => {
                // As many as a batch can have, or its check fails.
                new.records = u32::try_from(statement.records).unwrap_or(u32::MAX);
                let bytes = body.len();
                let roster = self.chain.state().shared_roster();
                pipe.push(Batch::new(&block, statement, roster, body), bytes);
            }
            Statement::Grant(grant) => {
                self.check_grant(height, &grant, &mut body)?;
                new.body = Some(body);
            }
            _ => {}
        }
        self.group.tiles.extend(link.tiles.into_iter().map(|(id, tile)| (tile_key(id), tile)));
        self.group.blocks.push(new);
        Ok(())
    }

    /// Takes in what was hashed meanwhile, and writes the group.
    fn finish(&self, mut group: Group, pipe: &mut Pipe<'_>) -> Result<(), SyncError> {
        let Some(expected) = group.blocks.first().map(|b| b.height) else { return Ok(()) };
        let mut derived = group.tiles;
        for new in group.blocks.iter_mut().filter(|b| b.records > 0) {
            let Some(checked) = pipe.oldest() else {
                return Err(wrong(new.height, "its body was not checked"));
            };
            let checked = checked?;
            self.ordered_only(&checked)?;
            let CheckedBatch { commitment, body, .. } = checked;
            let epochs = epoch_rows(self.vault.store(), &derived, new.height, &commitment.header);
            derived.extend(epochs.map_err(|e| self.vault.damaged(e))?);
            derived.extend(nodes_row(new.height, commitment.leaf_inputs.len(), &commitment.nodes));
            new.leaf_inputs = Vec::with_capacity(commitment.leaf_inputs.len() * LEAF_INPUTS_LEN);
            commitment.leaf_inputs.iter().for_each(|l| new.leaf_inputs.extend_from_slice(&l.to_bytes()));
            new.tags = commitment.tags;
            new.body = Some(body);
        }
        let store = self.vault.store();
        store.append(expected, &group.blocks, &derived, &group.head).map_err(VaultError::Store)?;
        Ok(())
    }

    /// What is erased must have been ordered to be, now or later.
    fn ordered_only(&self, checked: &CheckedBatch) -> Result<(), SyncError> {
        match RecordRange::without(&checked.erased, &self.ordered).first() {
            None => Ok(()),
            Some(range) => {
                let id = record_id(range.first);
                let what = format!("the content of {id} is missing and no erasure statement orders that");
                Err(SyncError::Gone { block: checked.height, what })
            }
        }
    }

    /// The slots must be those the statement names, except for records whose erasure was ordered, now or later, which are not kept,
    /// and for a reader who has left the roster.
    fn check_grant(&self, height: u64, statement: &GrantStatement, body: &mut [u8]) -> Result<(), SyncError> {
        let fault = |fault: GrantFault<VaultError>| match fault {
            GrantFault::Unknown(e) => e.into(),
            fault => wrong(height, fault),
        };
        check_slots(statement, body, |at| {
            let groups = [self.last.as_ref(), Some(&self.group)];
            let new = groups.into_iter().flatten().find_map(|g| g.place(at));
            if new.is_some() {
                return Ok(new);
            }
            let known = self.vault.store().block_info(at)?;
            Ok(known.map(|b| (b.first_record, b.records)))
        })
        .map_err(fault)?;
        let reads = self.roster.as_ref().is_some_and(|r| r.reader_by_recipient(&statement.to).is_some());
        let emptied = grant::emptied(statement, body, &self.ordered).map_err(|e| wrong(height, e))?;
        if let Some(records) = emptied.first().filter(|_| reads) {
            let what = GrantFault::<VaultError>::Emptied(*records).to_string();
            return Err(SyncError::Gone { block: height, what });
        }
        let gone = |record| {
            let near = self.ordered.partition_point(|r| r.last < record);
            self.ordered.get(near).is_some_and(|r| r.first <= record)
        };
        blank(body, statement.range.first, gone).map_err(|e| wrong(height, e))?;
        Ok(())
    }
}
