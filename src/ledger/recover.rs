//! Start-up: the same state the live path keeps, rebuilt from the store and checked against what was signed.

use crate::base::hash::Hash;
use crate::base::limits::MAX_BATCH_BYTES;
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::{SigningKey, VerifierKey};
use crate::chain::log::{Log, TileReader};
use crate::chain::merkle;
use crate::chain::note::{Note, Signature};
use crate::chain::replay::State;
use crate::chain::tile::{TILE_WIDTH, TileId};
use crate::store::Store;

use super::error::LedgerError;

/// What a state snapshot's signature covers, before the checkpoint and the snapshot's hash. No note starts like this.
const STATE_LABEL: &[u8] = b"sealtrail.org/state/v1\0";
/// Length of an Ed25519 signature.
const SIGNATURE_LEN: usize = 64;

fn state_message(checkpoint: &str, state: &[u8]) -> Vec<u8> {
    [STATE_LABEL, checkpoint.as_bytes(), b"\0", &Hash::of(&[state]).0].concat()
}

/// A snapshot of the chain's state as the store keeps it: signature ‖ snapshot. It holds the roster, so whoever could write it
/// unsigned could make himself a reader; unsigned or altered ones are not believed.
pub(super) fn seal_state(state: &State, checkpoint: &str, key: &SigningKey) -> Vec<u8> {
    let bytes = state.encode();
    let mut out = key.sign_bytes(&state_message(checkpoint, &bytes)).to_vec();
    out.extend_from_slice(&bytes);
    out
}

/// Whether these bytes are `state`, an encoded one, signed by the ledger together with a checkpoint. For who knows the state from the
/// blocks, and so need not believe whoever has the key.
pub fn is_signed(stored: &[u8], state: &[u8], checkpoint: &str, key: &VerifierKey) -> bool {
    is_signed_state(stored, checkpoint, key) && stored.get(SIGNATURE_LEN..) == Some(state)
}

/// Whether these bytes are a state that the ledger signed together with a checkpoint.
pub fn is_signed_state(stored: &[u8], checkpoint: &str, key: &VerifierKey) -> bool {
    open_state(stored, checkpoint, key).is_some()
}

pub(super) fn open_state(stored: &[u8], checkpoint: &str, key: &VerifierKey) -> Option<State> {
    let (signature, bytes) = stored.split_at_checked(SIGNATURE_LEN)?;
    key.verify_bytes(&state_message(checkpoint, bytes), signature).then(|| State::decode(bytes).ok())?
}

/// Hashes of a full tile.
const WIDTH: u64 = TILE_WIDTH as u64;

/// Full tiles as the store keeps them: disposable rows, written in the transaction that completed them.
pub struct StoredTiles<'a>(pub &'a dyn Store);

impl TileReader for StoredTiles<'_> {
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String> {
        self.0.derived(&tile_key(id)).map_err(|e| e.to_string())
    }
}

/// The name under which a full tile is stored.
pub fn tile_key(id: TileId) -> String {
    format!("tile/{}/{}", id.level, id.index)
}

/// What the ledger knows after reading its store.
pub(super) struct Recovered {
    pub state: State,
    pub log: Log,
    pub checkpoint: String,
}

fn damaged(what: impl Into<String>) -> LedgerError {
    LedgerError::Damaged { what: what.into() }
}

/// Where the state comes from.
pub(super) enum StateFrom<'p> {
    /// The store, if the ledger signed it together with the checkpoint.
    Snapshot,
    /// The blocks, from the first on, whatever the store says; tells (blocks done, blocks in all).
    Blocks(&'p mut dyn FnMut(u64, u64)),
}

/// Reads head, state and log from the store and checks them against each other and the signed checkpoint.
/// `Ok(None)` if the store is empty.
pub(super) fn recover(store: &dyn Store, key: &VerifierKey) -> Result<Option<Recovered>, LedgerError> {
    recover_from(store, key, StateFrom::Snapshot)
}

/// [`recover`] with the state from there.
pub(super) fn recover_from(
    store: &dyn Store,
    key: &VerifierKey,
    from: StateFrom<'_>,
) -> Result<Option<Recovered>, LedgerError> {
    let Some(head) = store.head()? else { return Ok(None) };
    let text =
        String::from_utf8(head.checkpoint).map_err(|_| damaged("the stored checkpoint is not text"))?;
    let checkpoint = SignedCheckpoint::parse(&text, key).map_err(|e| match other_key(&text, key) {
        Some(expected) => LedgerError::WrongKey { given: key.to_string(), expected },
        None => damaged(format!("the stored checkpoint does not verify: {e}")),
    })?;
    let checkpoint = checkpoint.checkpoint();
    if checkpoint.size != head.size {
        return Err(damaged(format!(
            "the checkpoint counts {} blocks, the head {}",
            checkpoint.size, head.size
        )));
    }
    let state = match (from, open_state(&head.state, &text, key)) {
        (StateFrom::Snapshot, Some(s)) if s.height() == head.size => s,
        // The snapshot only saves time: the blocks have everything.
        (StateFrom::Snapshot, _) => replay(store, head.size, &mut |_, _| ())?,
        (StateFrom::Blocks(progress), _) => replay(store, head.size, progress)?,
    };
    let log = restore_log(store, head.size)?;
    if log.root() != checkpoint.root {
        return Err(damaged("the blocks do not have the root that the stored checkpoint signs"));
    }
    let last = head.size.checked_sub(1).ok_or_else(|| damaged("a checkpoint of no blocks"))?;
    let text_of_last = store.block_text(last)?.ok_or_else(|| damaged(format!("block {last} is missing")))?;
    if merkle::leaf_hash(&text_of_last) != state.block_hash() || state.next_record() != head.records {
        return Err(damaged("the head does not match the last block"));
    }
    Ok(Some(Recovered { state, log, checkpoint: text }))
}

/// Words for the key that signed a checkpoint of the same ledger, if it was another one: the ledger's key was changed, or this one is
/// of no use here.
fn other_key(checkpoint: &str, key: &VerifierKey) -> Option<String> {
    let note = Note::parse(checkpoint).ok()?;
    let by = |s: &&Signature| s.name == key.name() && s.key_id != key.key_id();
    let signature = note.signatures.iter().find(by)?;
    Some(format!(
        "{} with the key ID {:08x}, which signed its newest checkpoint",
        signature.name, signature.key_id
    ))
}

/// The log of the first `size` blocks, from stored tiles and the texts after the last full one.
pub fn restore_log(store: &dyn Store, size: u64) -> Result<Log, LedgerError> {
    let first_of_edge = size - size % WIDTH;
    let mut edge = Vec::new();
    let mut at = first_of_edge;
    while at < size {
        let texts = store.block_texts(at, WIDTH as usize, MAX_BATCH_BYTES)?;
        if texts.is_empty() {
            return Err(damaged(format!("block {at} is missing")));
        }
        at += texts.len() as u64;
        edge.extend(texts.iter().map(|t| merkle::leaf_hash(t)));
    }
    edge.truncate((size - first_of_edge) as usize);
    Log::restore(size, &edge, &StoredTiles(store))
        .map_err(|e| damaged(format!("the log's tiles cannot be read: {e}")))
}

/// Replays every block from the first.
fn replay(store: &dyn Store, size: u64, progress: &mut dyn FnMut(u64, u64)) -> Result<State, LedgerError> {
    let mut state = State::new(store.origin());
    while state.height() < size {
        let texts = store.block_texts(state.height(), WIDTH as usize, MAX_BATCH_BYTES)?;
        if texts.is_empty() {
            return Err(damaged(format!("block {} is missing", state.height())));
        }
        for text in texts {
            let height = state.height();
            let text = String::from_utf8(text).map_err(|_| damaged(format!("block {height} is not text")))?;
            let block = Block::parse(&text).map_err(|e| damaged(format!("block {height}: {e}")))?;
            state.apply(&block).map_err(|e| damaged(format!("block {height}: {e}")))?;
        }
        progress(state.height(), size);
    }
    Ok(state)
}

/// Holds the recovered history against the last checkpoint ever signed.
pub(super) fn check_guard(
    store: &dyn Store,
    recovered: &Recovered,
    guard: Option<&Checkpoint>,
    accept_missing: bool,
) -> Result<(), LedgerError> {
    let found = recovered.log.size();
    let Some(signed) = guard else {
        return if accept_missing { Ok(()) } else { Err(LedgerError::GuardMissing { found }) };
    };
    if signed.size > found {
        return Err(LedgerError::Behind { found, signed: signed.size });
    }
    let path = recovered
        .log
        .consistency_path(&StoredTiles(store), signed.size, found)
        .map_err(|e| damaged(format!("the log's tiles cannot be read: {e}")))?;
    merkle::verify_consistency(signed.size, signed.root, found, recovered.log.root(), &path)
        .map_err(|_| LedgerError::Forked { signed: signed.size })
}
