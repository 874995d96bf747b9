//! Verifies a whole ledger from its bytes: every statement and link, every writer's sequence, every stored
//! byte against the roots its writer signed, and the checkpoint over all of it. Names the first thing wrong.

use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::proof::record_id;
use crate::chain::statement::Statement;

use super::batch_check::Batch;
use super::chain_check::{ChainCheck, ChainFault, TextsError, block_texts, signed_checkpoint};
use super::pipeline::{Pipeline, pipeline};
use super::source::{ATTEMPTS, Source, SourceError};
use super::stored_check::{CheckedBatch, Room, Stored};
use super::verified::Findings;
pub use super::verified::{ErasureReport, Report};

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
    /// Content is gone that no order explains, though all orders there are were looked at.
    #[error("{}{what}", place(.block, .record))]
    Gone {
        /// The block concerned, if one can be named.
        block: Option<u64>,
        /// The record concerned, if one can be named.
        record: Option<u64>,
        /// What is gone.
        what: String,
    },
    /// The ledger is not that of a signed checkpoint seen before.
    #[error("{}{what}", place(.block, &None))]
    History {
        /// The block concerned, if one can be named.
        block: Option<u64>,
        /// What is wrong with it.
        what: String,
        /// The signed checkpoint that was shown before in this verification, if it began anew: the one shown now does not fit that.
        before: Option<String>,
        /// The signed checkpoint shown now.
        shown: String,
    },
    /// The bytes could not be read; what that says about the ledger, if anything, the source tells.
    #[error("the verification could not be finished: {0}")]
    Source(#[from] SourceError),
}

impl From<ChainFault> for VerifyError {
    fn from(fault: ChainFault) -> Self {
        match fault {
            // What was shown, `verify` knows.
            ChainFault { block, what, history: true } => {
                VerifyError::History { block, what, before: None, shown: String::new() }
            }
            ChainFault { block, what, history: false } => wrong(block, None, what),
        }
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

/// What the verifier knows beforehand. The ledger's key alone shows that the ledger is consistent with itself; a checkpoint
/// seen before shows that nothing was taken back since, the admin's key that its writers are those the admin let in.
pub struct Trust<'a> {
    /// The ledger's verifier key.
    pub ledger: &'a VerifierKey,
    /// The admin's, who must have signed the first roster.
    pub admin: Option<&'a VerifierKey>,
    /// Checkpoints seen before, from wherever: each of them must be kept to, so that a newer one that somebody else vouches for takes
    /// the place of none.
    pub known: &'a [Checkpoint],
}

/// Verifies everything `source` has. `progress` is told (blocks done, blocks in all). This thread walks the chain; bodies are hashed by
/// as many threads as there are cores, which also read them if the source can be read so. What is reported is the first thing wrong, as if one
/// thread did it all in order. If content is gone without an order and more was signed meanwhile, it begins anew, at most [`ATTEMPTS`] times.
pub fn verify(
    source: &mut dyn Source,
    trust: &Trust<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let mut attempt = 1;
    let (mut known, mut before) = (trust.known.to_vec(), None);
    loop {
        let trust = Trust { ledger: trust.ledger, admin: trust.admin, known: &known };
        let signed =
            source.checkpoint().map_err(|e| match (e, trust.known.iter().map(|k| k.size).max()) {
                (SourceError::Empty(what), Some(size)) => {
                    let seen = format!(
                        "{what}, but a signed checkpoint of {size} blocks has been seen: it was emptied"
                    );
                    wrong(None, None, seen)
                }
                (e, _) => e.into(),
            })?;
        match verify_shown(source, &trust, progress, &signed) {
            Err(VerifyError::Gone { .. })
                if attempt < ATTEMPTS && source.checkpoint().is_ok_and(|now| now != signed) =>
            {
                attempt += 1;
                // All of it but what is gone was verified: what is shown next must go on from it.
                known.extend(SignedCheckpoint::unverified(&signed));
                before = Some(signed);
            }
            Err(VerifyError::History { block, what, .. }) => {
                return Err(VerifyError::History { block, what, before, shown: signed });
            }
            done => return done,
        }
    }
}

/// [`verify`] of what the checkpoint `signed` stands for.
fn verify_shown(
    source: &mut dyn Source,
    trust: &Trust<'_>,
    progress: &mut dyn FnMut(u64, u64),
    signed: &str,
) -> Result<Report, VerifyError> {
    let checkpoint = signed_checkpoint(signed, trust.ledger)?;
    let mut chain = ChainCheck::new(trust.ledger, trust.admin, trust.known, &checkpoint)?;
    let mut found = Findings::new(source.has_bodies());
    let room = Room::default();
    pipeline(&|stored: Stored| stored.check(&room), |pipe| {
        match walk(&mut found, &mut chain, source, pipe, progress) {
            Err(Stop::Earlier(e)) => Err(e),
            // What is still under way stands before the block the walk ended at.
            ended => {
                while let Some(checked) = pipe.oldest() {
                    found.take(checked)?;
                }
                match ended {
                    Err(Stop::Here(e) | Stop::Earlier(e)) => Err(e),
                    Ok(()) => Ok(()),
                }
            }
        }
    })?;
    chain.finish()?;
    found.report(&chain, trust, signed.to_owned())
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

fn walk(
    found: &mut Findings,
    chain: &mut ChainCheck<'_>,
    source: &mut dyn Source,
    pipe: &mut Pipeline<'_, Stored, CheckedBatch>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Stop> {
    let size = chain.size();
    let shared = if found.with_bodies { source.shared() } else { None };
    while chain.height() < size {
        for text in block_texts(source, chain.height(), size)? {
            let block = chain.read(&text)?;
            let link = chain.take(&block)?;
            found.block(&block, &link.hash);
            match link.statement {
                Statement::Records(statement) => {
                    let (mut kept, mut body) = (Vec::new(), Vec::new());
                    // What is hashed as it is read takes no more than the memory of a thread.
                    if shared.is_none() {
                        // As its writer says: true, or its check fails. But it may be anything until then.
                        let stated = if found.with_bodies { statement.bytes } else { 0 };
                        let stated = usize::try_from(stated).unwrap_or(usize::MAX);
                        make_room(found, pipe, stated)?;
                        kept = source.leaf_inputs(block.height)?;
                        if found.with_bodies {
                            body = source.body(block.height, size)?;
                        }
                    }
                    // Later erasures make it shorter; a false statement lets it be longer.
                    let bytes = body.len() + kept.len();
                    make_room(found, pipe, bytes)?;
                    let batch = Batch::new(&block, statement, chain.state().shared_roster(), body);
                    let with_body = found.with_bodies;
                    pipe.push(Stored { batch, kept, with_body, shared: shared.clone() }, bytes);
                }
                Statement::Erasure(order) => found.erasure(&block, order),
                Statement::Grant(grant) => found.grant(source, &block, &grant, size)?,
                Statement::Heartbeat(_) | Statement::Roster(_) | Statement::Hold(_) => {}
            }
            progress(chain.height(), size);
        }
    }
    Ok(())
}

/// Takes answers until there is room for a job of `bytes`.
fn make_room(
    found: &mut Findings,
    pipe: &mut Pipeline<'_, Stored, CheckedBatch>,
    bytes: usize,
) -> Result<(), Stop> {
    while let Some(checked) = pipe.make_room(bytes) {
        found.take(checked).map_err(Stop::Earlier)?;
    }
    Ok(())
}
