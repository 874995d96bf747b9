//! The auditor's side: verifies everything, and opens what its identity may open. The only layer besides the
//! command line that may name the opener.

pub mod facts;
pub mod open;
pub mod record;
pub mod report;
pub mod session;
pub mod source;
pub mod verify;
