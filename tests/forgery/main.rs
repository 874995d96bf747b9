//! Forgery: one test for each move, stating who the attacker is and what he has. He gets exactly that, changes the real database file or
//! serves a ledger of his own, and computes anew whatever he can; then everyone who might be deceived looks, with the real program.
//! What each of them says, word for word and with its exit code, is the matrix: a change in either direction fails the test.
//! "holds" means exit code 0: the victim has noticed nothing. `docs/THREATS.md` says why where nobody does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authority;
mod database;
mod evil;
mod files;
mod forge;
mod forms;
mod judge;
mod network;
mod operator;
mod peers;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod world;
mod writers;
