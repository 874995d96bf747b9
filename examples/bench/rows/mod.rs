//! One file a row.

mod http;

use super::Fallible;
use super::args::Row;
use super::context::Bench;

/// Measures a row.
pub fn run(row: Row, bench: &mut Bench) -> Fallible<()> {
    match row {
        Row::Http => http::run(bench),
    }
}
