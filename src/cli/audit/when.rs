//! Days and times as people give them to `--from` and `--to`.

use crate::auditor::period::Zone;
use crate::base::clock::Timestamp;

use super::super::Failure;

/// The first instant of a day, or the time given.
pub fn first(text: &str) -> Result<Timestamp, Failure> {
    Zone::utc().first(text).map_err(Failure::usage)
}

/// The first instant that is no longer in the range: the one after the day, or after the time given.
pub fn after(text: &str) -> Result<Timestamp, Failure> {
    let last = Zone::utc().last(text).map_err(Failure::usage)?;
    Ok(Timestamp::from_millis(last.millis() + 1).unwrap_or(last))
}
