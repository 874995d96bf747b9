//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use super::{guard, recover};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::VerifierKey;
use crate::chain::replay::State;

/// The checkpoints in the bytes of a last-signed file.
pub fn guard_slots(bytes: &[u8], key: &VerifierKey) -> Vec<Checkpoint> {
    guard::slots(bytes, |_| key).map(|(_, signed)| signed.checkpoint().clone()).collect()
}

/// The state in the bytes of a signed state.
pub fn open_state(stored: &[u8], checkpoint: &str, key: &VerifierKey) -> Option<State> {
    recover::open_state(stored, checkpoint, key)
}
