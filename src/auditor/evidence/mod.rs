//! The evidence file: one file that proves a selection of records to anyone, and shows of each as much as its maker chose.
//! `docs/FORMAT.md` §13.
//!
//! [`build`] makes one (that needs an identity if anything is shown), [`mod@verify`] checks one with nothing but the ledger's
//! key, [`explain`] says in sentences what it proves, and [`gather`] fetches what [`build`] needs from a server.

pub mod build;
mod build_error;
mod disclose;
mod error;
pub mod explain;
pub mod format;
pub mod gather;
mod json;
pub mod manifest;
pub mod report;
mod section;
pub mod verify;
