//! The log's signed head: C2SP tlog-checkpoint without extension lines. `docs/FORMAT.md` §9.

use std::fmt;

use super::key::{KeyKind, SigningKey, VerifierKey, is_key_name};
use super::note::{Cosignature, Note, NoteError, Signature};
use super::text::{Lines, TextError, parse_number};
use crate::base::hash::Hash;
use crate::base::limits::MAX_CHECKPOINT_BYTES;

/// What errors call it.
const WHAT: &str = "checkpoint";

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a checkpoint's text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not a note, or not signed by the ledger.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// For another ledger than the key's.
    #[error("the checkpoint is for the ledger {found}, the key belongs to {expected}")]
    Origin {
        /// Name of the key.
        expected: String,
        /// Origin line of the checkpoint.
        found: String,
    },
    /// A witness key was given where the ledger's belongs.
    #[error("{0} is a witness key; give the ledger's own verifier key")]
    WitnessKey(VerifierKey),
}

/// Size and root of the log under its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The ledger's key name.
    pub origin: String,
    /// Number of blocks.
    pub size: u64,
    /// RFC 6962 root over the blocks.
    pub root: Hash,
}

impl Checkpoint {
    /// The three lines that are signed.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.base64())
    }

    /// Inverse of [`Checkpoint::to_text`].
    pub fn parse_text(text: &str) -> Result<Checkpoint, TextError> {
        let mut l = Lines::new(text, WHAT);
        let origin = l.line("origin")?.to_owned();
        if !is_key_name(&origin) {
            return l.invalid("origin", "not a valid key name");
        }
        let Some(size) = parse_number(l.line("size")?) else {
            return l.invalid("size", "expected a decimal number without leading zeros");
        };
        let Some(root) = Hash::from_base64(l.line("root")?) else {
            return l.invalid("root", "expected 32 bytes in base64");
        };
        l.finish()?;
        Ok(Checkpoint { origin, size, root })
    }

    /// Signs it. The caller answers for never signing two different trees of one size.
    pub fn sign(&self, key: &SigningKey) -> SignedCheckpoint {
        SignedCheckpoint { checkpoint: self.clone(), note: Note::sign(&self.to_text(), key) }
    }
}

/// A checkpoint with the ledger's signature and any cosignatures, kept as they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Reads a checkpoint and verifies the signature of `key`, whose name must be the origin.
    pub fn parse(text: &str, key: &VerifierKey) -> Result<SignedCheckpoint, CheckpointError> {
        if text.len() > MAX_CHECKPOINT_BYTES {
            return Err(TextError::TooLarge { what: WHAT, max: MAX_CHECKPOINT_BYTES }.into());
        }
        if key.kind() != KeyKind::Ed25519 {
            return Err(CheckpointError::WitnessKey(key.clone()));
        }
        let note = Note::parse(text)?;
        let checkpoint = Checkpoint::parse_text(&note.text)?;
        if checkpoint.origin != key.name() {
            let expected = key.name().to_owned();
            return Err(CheckpointError::Origin { expected, found: checkpoint.origin });
        }
        note.verify(std::slice::from_ref(key))?;
        Ok(SignedCheckpoint { checkpoint, note })
    }

    /// What the text of a signed checkpoint says, without a look at its signatures: to find out which key must have made them.
    pub fn unverified(text: &str) -> Result<Checkpoint, CheckpointError> {
        if text.len() > MAX_CHECKPOINT_BYTES {
            return Err(TextError::TooLarge { what: WHAT, max: MAX_CHECKPOINT_BYTES }.into());
        }
        Ok(Checkpoint::parse_text(&Note::parse(text)?.text)?)
    }

    /// What is signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note: text and signature lines.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Which of `witnesses` cosigned, and when. A wrong signature by one of them is an error; none is not.
    pub fn verify_cosignatures<'k>(
        &self,
        witnesses: &'k [VerifierKey],
    ) -> Result<Vec<Cosignature<'k>>, CheckpointError> {
        Ok(self.note.verify_cosignatures(witnesses)?)
    }

    /// Adds a witness's signature line after verifying it; a second line of the same key replaces the
    /// first. Returns the time of the cosignature in seconds since 1970.
    pub fn add_cosignature(
        &mut self,
        signature: Signature,
        witness: &VerifierKey,
    ) -> Result<u64, CheckpointError> {
        let seconds = self.note.verify_signature(&signature, witness)?;
        let seconds = seconds.ok_or_else(|| NoteError::BadSignature { name: witness.name().to_owned() })?;
        self.note.signatures.retain(|s| !s.is_by(witness));
        self.note.signatures.push(signature);
        Ok(seconds)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
