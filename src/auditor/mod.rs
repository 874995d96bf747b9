//! The auditor's side: verifies everything, and opens what its identity may open. The only layer besides the
//! command line that may name the opener.

pub mod batch;
pub mod batch_check;
pub mod chain_check;
pub mod copies;
pub mod evidence;
pub mod facts;
pub mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod grant;
mod grant_check;
pub mod granted;
pub mod open;
mod paging;
pub mod period;
pub mod pipeline;
mod plan;
pub mod record;
#[cfg(test)]
pub mod record_testing;
pub mod report;
pub mod search;
pub mod session;
pub mod source;
pub mod sql;
mod stored_check;
pub mod vault;
mod verified;
pub mod verify;
pub mod watch;
