//! Integrity: signatures, Merkle trees, statements, blocks, the log and the proofs taken from it.
//! `docs/FORMAT.md` §2, §3 and §7 to §10.
//!
//! Pure: no I/O, no clock, no randomness of its own. Nothing here can decrypt, and a recipient is only a
//! public key to compare.

pub mod authority;
pub mod batch;
mod batch_pieces;
mod batch_rules;
mod batch_tags;
pub mod block;
pub mod checkpoint;
pub mod grant;
pub mod key;
pub mod ledger_key;
pub mod log;
pub mod merkle;
pub mod note;
pub mod policy;
pub mod proof;
pub mod recipient;
pub mod replay;
pub mod retention;
pub mod roster;
pub mod statement;
pub mod subtree;
pub mod text;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod verifier;

mod error;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
