//! One file a row.

mod append;
mod disk;
mod embedded;
mod http;
mod open;
mod proof;
mod remote;
mod restart;
mod seal;
mod search;
mod single;
mod sqlite;
mod verify;

use super::Fallible;
use super::args::Row;
use super::context::Bench;

pub use open::{OPENER, child as open_in_child};

/// Measures a row.
pub fn run(row: Row, bench: &mut Bench) -> Fallible<()> {
    match row {
        Row::Seal => seal::run(bench),
        Row::Append => append::run(bench),
        Row::Disk => disk::run(bench),
        Row::Rows => sqlite::run(bench),
        Row::Embedded => embedded::run(bench),
        Row::Remote => remote::run(bench),
        Row::Single => single::run(bench),
        Row::Http => http::run(bench),
        Row::Proof => proof::run(bench),
        Row::Search => search::run(bench),
        Row::Verify => verify::run(bench),
        Row::Open => open::run(bench),
        Row::Restart => restart::run(bench),
    }
}
