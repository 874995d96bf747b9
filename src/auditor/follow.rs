//! From a ledger's key that somebody was given to the one that signs now, for those who do not walk the whole chain.

use crate::base::limits::MAX_LEDGER_KEYS;
use crate::chain::block::Block;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::follow;
use crate::chain::note::Note;
use crate::client::{Client, ClientError};

/// Why the present key was not found.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The server did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The ledger's key was changed, and the rosters do not lead from the one given to the one that signs.
    #[error(
        "the ledger's key was changed, last at block {block}, and no signatures lead from the key given to the one it signs with now: \
         ask the operator, over a way you trust, for the present ledger.vkey"
    )]
    Lost {
        /// Height of the last roster that changed it.
        block: u64,
    },
}

/// The key that signs the server's checkpoint, if `given` does or if rosters lead from it there, each signed by the key before. What the
/// server says is believed in nothing: without such signatures it is `given`, and what is signed by another key does not verify.
pub fn present_key(client: &Client, given: &VerifierKey) -> Result<VerifierKey, FollowError> {
    let shown = client.checkpoint()?;
    let signs = |key: &VerifierKey| SignedCheckpoint::parse(&shown, key).is_ok();
    if signs(given) {
        return Ok(given.clone());
    }
    let changes = client.ledger()?.key_changes;
    let Some(last) = changes.last().copied() else { return Ok(given.clone()) };
    let mut rosters: Vec<Note> = Vec::new();
    for height in changes.into_iter().take(MAX_LEDGER_KEYS) {
        rosters.extend(Block::parse(&client.block(height)?).map(|b| b.statement));
    }
    let key = follow(given, &rosters);
    if signs(&key) { Ok(key) } else { Err(FollowError::Lost { block: last }) }
}
