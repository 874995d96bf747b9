//! The keys a ledger has had. A roster may name another `ledger-key`: from its block on checkpoints are signed with that one.
//! `docs/FORMAT.md` §7, "Ledger key".

use std::sync::Arc;

use super::error::ChainError;
use super::key::VerifierKey;
use super::note::Note;
use super::statement::Statement;
use crate::base::limits::MAX_LEDGER_KEYS;

/// A key of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerKey {
    /// Height of the block whose roster named it first: it signs the checkpoints of more blocks than that.
    pub since: u64,
    /// The key; its name is the origin.
    pub key: VerifierKey,
    /// Whether the key before it signed that roster too, so that who trusts that one may trust this one. False for the first.
    pub handed_over: bool,
}

/// Why the key a verifier was given does not lead to the one that signs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyChangeError {
    /// The ledger never had it.
    #[error(
        "the key given is none of this ledger's keys as far as these blocks go: check that it is the one the ledger's operator publishes; for a \
         copy from before the ledger's key was changed, give the key of that time (keys/ledger.ID.vkey)"
    )]
    Unknown,
    /// A change that only admins signed.
    #[error(
        "the ledger's key was changed at block {block} without a signature of the key before it (it was lost, or somebody else \
         wants to take its place): give the admin's key with --admin, or ask the operator, over a way you trust, for the new one"
    )]
    NotHandedOver {
        /// Height of the block with that roster.
        block: u64,
    },
    /// The key was in use, and is not any more.
    #[error(
        "it is signed with a key that the roster of block {block} replaced: whoever signed it uses a key that was taken out of use"
    )]
    Replaced {
        /// Height of the block with that roster.
        block: u64,
    },
}

/// All keys of a ledger, the first one first. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LedgerKeys(Arc<Vec<LedgerKey>>);

impl LedgerKeys {
    /// From keys whose `since` ascend, the first with 0; `None` for others, or if one comes twice.
    pub(super) fn restore(keys: Vec<LedgerKey>) -> Option<LedgerKeys> {
        let ordered =
            keys.first().is_some_and(|k| k.since == 0) && keys.is_sorted_by(|a, b| a.since < b.since);
        let mut public: Vec<_> = keys.iter().map(|k| k.key.public_bytes()).collect();
        public.sort_unstable();
        let good = ordered && public.is_sorted_by(|a, b| a < b) && keys.len() <= MAX_LEDGER_KEYS;
        good.then(|| LedgerKeys(Arc::new(keys)))
    }

    /// Each of them.
    pub fn all(&self) -> &[LedgerKey] {
        &self.0
    }

    /// The one in force after the last block.
    pub fn current(&self) -> Option<&VerifierKey> {
        self.0.last().map(|k| &k.key)
    }

    /// The one that signs the checkpoint of so many blocks.
    pub fn at(&self, size: u64) -> Option<&VerifierKey> {
        self.0.iter().rev().find(|k| k.since < size).map(|k| &k.key)
    }

    /// Whether the next roster may name `next`: a key that was given up never comes back, since it may be a thief's by now.
    pub(super) fn check_next(&self, next: &VerifierKey) -> Result<(), ChainError> {
        if self.current() == Some(next) {
            return Ok(());
        }
        if self.0.iter().any(|k| k.key.public_bytes() == next.public_bytes()) {
            return Err(ChainError::LedgerKey { given_up: next.to_string() });
        }
        if self.0.len() >= MAX_LEDGER_KEYS {
            return Err(ChainError::TooManyLedgerKeys);
        }
        Ok(())
    }

    /// Takes in what a roster names that was checked. Its note's signatures are verified.
    pub fn take(&mut self, height: u64, next: &VerifierKey, note: &Note) {
        if self.current() == Some(next) {
            return;
        }
        let handed_over = self.current().is_some_and(|k| note.signatures.iter().any(|s| s.is_by(k)));
        Arc::make_mut(&mut self.0).push(LedgerKey { since: height, key: next.clone(), handed_over });
    }

    /// Whether somebody who trusts `given` may trust the key in force: each change since was signed by the key before it, or is
    /// `vouched` for by what else is known of the chain's admins.
    pub fn follow_from(&self, given: &VerifierKey, vouched: bool) -> Result<(), KeyChangeError> {
        let at = self.0.iter().position(|k| k.key == *given).ok_or(KeyChangeError::Unknown)?;
        match self.0.iter().skip(at + 1).find(|k| !k.handed_over && !vouched) {
            Some(change) => Err(KeyChangeError::NotHandedOver { block: change.since }),
            None => Ok(()),
        }
    }

    /// The block whose roster took `key` out of use.
    pub fn replaced(&self, key: &VerifierKey) -> Option<u64> {
        let at = self.0.iter().position(|k| k.key == *key)?;
        self.0.get(at + 1).map(|k| k.since)
    }
}

/// Follows from `given` along rosters, each signed by the key before the one it names: who holds nothing but an old key finds the
/// new one, and needs neither the chain nor an admin's key. Statements that change nothing, or were not signed by the key reached so
/// far, lead nowhere and are passed over.
pub fn follow<'n>(given: &VerifierKey, rosters: impl IntoIterator<Item = &'n Note>) -> VerifierKey {
    let mut key = given.clone();
    for note in rosters {
        let Ok(Statement::Roster(roster)) = Statement::parse(&note.text) else { continue };
        let signed = note.signatures.iter().find(|s| s.is_by(&key));
        let signed = signed.is_some_and(|s| note.verify_signature(s, &key).is_ok());
        if signed && roster.ledger == key.name() {
            key = roster.ledger_key;
        }
    }
    key
}

#[cfg(test)]
#[path = "ledger_key_tests.rs"]
mod tests;
