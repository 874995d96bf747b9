//! Sealtrail: an audit store whose records anyone can prove and only the named auditors can read.
//!
//! The folders of `src` are the layers. `docs/ARCHITECTURE.md` has the map and `docs/FORMAT.md` the
//! normative bytes.

pub mod api;
pub mod auditor;
pub mod base;
pub mod chain;
pub mod cli;
pub mod client;
pub mod config;
pub mod event;
pub mod ledger;
pub mod seal;
pub mod server;
pub mod store;
pub mod writer;

// Files that unit tests share with the tests beside the crate call it by its name.
#[cfg(test)]
extern crate self as sealtrail;
