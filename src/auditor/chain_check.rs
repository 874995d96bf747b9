//! The one walk along the chain of blocks that every whole verification is made of: signed checkpoint, order and links, statements
//! and their signatures, the roster in force, retention, and at the end the root. What stands in bodies is [`super::batch_check`]'s.

use crate::base::hash::Hash;
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::{KeyChangeError, LedgerKeys};
use crate::chain::log::{Log, TileId};
use crate::chain::note::NoteError;
use crate::chain::replay::{ChainError, State};
use crate::chain::retention::Retention;
use crate::chain::statement::Statement;

use super::source::{Source, SourceError};

/// What is wrong with a chain whose first roster another admin signed than the one that is known.
pub const OTHER_ADMIN: &str = "its roster is not signed by the admin whose key was given: this is another ledger under the same name, or \
    the key is one that an admin changed to later (the first roster's is in keys/admin.ID.vkey)";

/// What is wrong with the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ChainFault {
    /// The block concerned, if one can be named.
    pub block: Option<u64>,
    /// What is wrong with it.
    pub what: String,
    /// Whether it does not fit a signed checkpoint seen before, which with the one shown now is proof then.
    pub history: bool,
}

impl ChainFault {
    fn new(block: impl Into<Option<u64>>, what: impl ToString) -> ChainFault {
        ChainFault { block: block.into(), what: what.to_string(), history: false }
    }
}

/// Why the next block texts are not there.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// The ledger lacks blocks its checkpoint signs.
    #[error(transparent)]
    Fault(#[from] ChainFault),
    /// They could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Some block texts from `height` on, at least one; `size` is what the checkpoint signs.
pub fn block_texts(source: &mut dyn Source, height: u64, size: u64) -> Result<Vec<String>, TextsError> {
    let mut texts = source.blocks(height, size)?;
    if texts.is_empty() {
        let what = format!("it is missing, and the checkpoint signs {size} blocks");
        return Err(ChainFault::new(height, what).into());
    }
    texts.truncate(usize::try_from(size - height).unwrap_or(usize::MAX));
    Ok(texts)
}

/// A checkpoint that a ledger shows, with what is known of its signature before the chain is walked.
pub struct Shown {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed text.
    pub text: String,
    /// Why it is not signed by the key given, if it is not: then the chain must lead from that key to the one that signed it.
    other_key: Option<CheckpointError>,
}

/// The ledger does not have at `height` what a checkpoint seen before signs, and another one signs what it has.
fn two_histories(height: u64) -> ChainFault {
    let what = "up to here the ledger is not the one of the checkpoint seen before: two histories are signed. Keep both checkpoints as \
                evidence";
    ChainFault { history: true, ..ChainFault::new(height, what) }
}

/// Reads a checkpoint that must be signed by `key`, or by one that the ledger's rosters put in its place.
pub fn signed_checkpoint(text: &str, key: &VerifierKey) -> Result<Shown, ChainFault> {
    match SignedCheckpoint::parse(text, key) {
        Ok(signed) => {
            Ok(Shown { checkpoint: signed.checkpoint().clone(), text: text.to_owned(), other_key: None })
        }
        Err(e @ CheckpointError::Note(NoteError::NoKnownSigner { .. })) => {
            let checkpoint = SignedCheckpoint::unverified(text).map_err(|e| not_signed(key, &e))?;
            Ok(Shown { checkpoint, text: text.to_owned(), other_key: Some(e) })
        }
        Err(e) => Err(not_signed(key, &e)),
    }
}

fn not_signed(key: &VerifierKey, e: &dyn std::fmt::Display) -> ChainFault {
    ChainFault::new(None, format!("the checkpoint is not signed by {}: {e}", key.name()))
}

impl Shown {
    /// Whether the key given signed it.
    pub fn by_given(&self) -> bool {
        self.other_key.is_none()
    }

    /// What is wrong if no key known signed it.
    pub fn not_signed(&self, given: &VerifierKey) -> ChainFault {
        not_signed(given, &"it is by another key")
    }

    /// Checks the signature: it must be by the key that `keys`, those of the whole chain, have for this size, and the key `given`
    /// must lead there, by signatures of the keys themselves or because the chain's admins are `vouched` for.
    pub fn check(&self, given: &VerifierKey, keys: &LedgerKeys, vouched: bool) -> Result<(), ChainFault> {
        let at = |e: &KeyChangeError| ChainFault::new(None, format!("the checkpoint: {e}"));
        match (keys.at(self.checkpoint.size), &self.other_key) {
            (Some(key), None) if key == given => Ok(()),
            (_, None) => match keys.replaced(given) {
                Some(block) => Err(at(&KeyChangeError::Replaced { block })),
                None => Err(at(&KeyChangeError::Unknown)),
            },
            (None, Some(e)) => Err(not_signed(given, e)),
            (Some(key), Some(e)) if key == given => Err(not_signed(given, e)),
            (Some(key), Some(_)) => {
                SignedCheckpoint::parse(&self.text, key).map_err(|e| not_signed(key, &e))?;
                keys.follow_from(given, vouched).map_err(|e| at(&e))
            }
        }
    }
}

/// A walk from some block to the one before the checkpoint's size.
pub struct ChainCheck<'a> {
    key: &'a VerifierKey,
    admin: Option<&'a VerifierKey>,
    known: &'a [Checkpoint],
    target: &'a Shown,
    /// The admins of the chain are known, or those of the part of it that was verified before.
    vouched: bool,
    state: State,
    log: Log,
    /// Where it is not the ledger of a checkpoint seen before, if it is not known yet whether the ledger signed it.
    contradicts: Option<u64>,
    /// Kept only from the first block on.
    retention: Option<Retention>,
}

impl<'a> ChainCheck<'a> {
    /// Starts before block 0. The trees of all `known`, checkpoints seen before, must be the beginning of `target`'s.
    pub fn new(
        key: &'a VerifierKey,
        admin: Option<&'a VerifierKey>,
        known: &'a [Checkpoint],
        target: &'a Shown,
    ) -> Result<ChainCheck<'a>, ChainFault> {
        if let Some(known) = known.iter().max_by_key(|k| k.size).filter(|k| k.size > target.checkpoint.size) {
            let what = format!(
                "it ends at {} blocks, but a signed checkpoint of {} blocks has been seen: it was cut off or rolled back",
                target.checkpoint.size, known.size
            );
            let history = target.by_given();
            return Err(ChainFault { history, ..ChainFault::new(None, what) });
        }
        let (state, log) = (State::new(key.name()), Log::new());
        let vouched = admin.is_some();
        let (contradicts, retention) = (None, Some(Retention::new()));
        Ok(ChainCheck { key, admin, known, target, vouched, state, log, contradicts, retention })
    }

    /// Goes on where a verified copy ends; `vouched` if its admins are known to be right, as those of a copy that was whole are.
    /// Retention is then for whoever has the blocks before.
    pub fn resume(
        key: &'a VerifierKey,
        admin: Option<&'a VerifierKey>,
        target: &'a Shown,
        vouched: bool,
        (state, log): (State, Log),
    ) -> ChainCheck<'a> {
        ChainCheck { key, admin, known: &[], target, vouched, state, log, contradicts: None, retention: None }
    }

    /// Number of blocks walked, and height of the next one.
    pub fn height(&self) -> u64 {
        self.state.height()
    }

    /// Blocks in all.
    pub fn size(&self) -> u64 {
        self.target.checkpoint.size
    }

    /// Root of the log over the blocks so far.
    pub fn root(&self) -> Hash {
        self.log.root()
    }

    /// What the blocks so far say.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads the next block's text, without taking it in yet.
    pub fn read(&self, text: &str) -> Result<Block, ChainFault> {
        Block::parse(text).map_err(|e| ChainFault::new(self.height(), e))
    }

    /// Takes the next block in: every rule it must keep towards those before. Gives its statement, its hash, and the tiles of the
    /// log it completes.
    pub fn take(&mut self, block: &Block) -> Result<Link, ChainFault> {
        let height = self.height();
        // The fault names the block itself.
        let fault = |e| match e {
            ChainError::AtBlock { source, .. } => ChainFault::new(height, source),
            e => ChainFault::new(height, e),
        };
        let statement = self.state.apply(block).map_err(fault)?;
        if let Some(retention) = &mut self.retention {
            retention.apply(block, &statement).map_err(fault)?;
        }
        let hash = block.hash();
        let tiles = self.log.append(hash);
        // To be named in it is not enough: anybody can write any key into a roster of their own.
        if height == 0 && self.admin.is_some_and(|admin| !block.statement.is_signed_by(admin)) {
            return Err(ChainFault::new(height, OTHER_ADMIN));
        }
        if self.known.iter().any(|k| k.size == height + 1 && k.root != self.log.root()) {
            // Whether the ledger signed it, a change of its key further on may decide.
            if self.target.by_given() {
                return Err(two_histories(height));
            }
            self.contradicts.get_or_insert(height);
        }
        Ok(Link { statement, hash, tiles })
    }

    /// After the last block: all of them have the root the checkpoint signs, by the key the rosters name for that size.
    pub fn finish(&self) -> Result<(), ChainFault> {
        if self.log.root() != self.target.checkpoint.root {
            let what = "the blocks do not have the root that the checkpoint signs: a block was changed, removed or added";
            return Err(ChainFault::new(None, what));
        }
        self.target.check(self.key, self.state.ledger_keys(), self.vouched)?;
        match self.contradicts {
            Some(height) => Err(two_histories(height)),
            None => Ok(()),
        }
    }
}

/// A block that was taken in.
pub struct Link {
    /// What it says.
    pub statement: Statement,
    /// Its hash.
    pub hash: Hash,
    /// Tiles of the log that are full now.
    pub tiles: Vec<(TileId, Vec<u8>)>,
}
