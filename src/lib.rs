//! Sealtrail: an audit store whose records anyone can prove and only the named auditors can read.
//!
//! The folders of `src` are the layers, lowest first: [`base`]; [`seal`] (confidentiality) and [`chain`]
//! (integrity), which never import each other. `docs/ARCHITECTURE.md` has the map and `docs/FORMAT.md`
//! the normative bytes.

pub mod base;
pub mod config;
pub mod event;
