//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use std::path::Path;

use super::facts::time::parse;
use super::facts::tree::Node;
use super::record::Content;
use super::sql::{functions, rewrite};
use super::vault::opened;
use super::watch::cursor::{self, Position};
use crate::base::clock::Timestamp;
use crate::base::wire::WireError;

/// What a vault keeps of a block's events, from its plaintext.
pub fn kept_events(bytes: &[u8]) -> Result<Vec<Content>, WireError> {
    opened::decode(bytes)
}

/// Inverse of [`kept_events`].
pub fn keep_events(records: &[Content]) -> Vec<u8> {
    opened::encode(records).to_vec()
}

/// The position in the text of a watch's cursor.
pub fn cursor(text: &str, ledger: &str) -> Option<Position> {
    cursor::parse(text, Path::new("cursor"), ledger).ok()
}

/// The text of a watch's cursor.
pub fn cursor_text(position: &Position, ledger: &str) -> Option<String> {
    cursor::text(position, ledger).ok()
}

/// The block texts of an entry bundle.
pub fn bundle(bytes: &[u8], width: usize) -> Result<Option<Vec<String>>, WireError> {
    super::source::split(bytes, width)
}

/// The statements of a query as they are given to SQLite, and whether the text is whole.
pub fn sql(text: &str) -> (Vec<String>, bool) {
    rewrite::names(text);
    rewrite::mentions(text, "key");
    (rewrite::statements(text), rewrite::is_complete(text))
}

/// Whether an interval such as `30 days` can be read.
pub fn interval(text: &str) -> bool {
    functions::interval(text).is_some()
}

/// A time as senders write it.
pub fn event_time(text: &str) -> Option<Timestamp> {
    parse(text)
}

/// An event's JSON as reports and queries see it; `None` if it is none.
pub fn event_tree(event: &[u8]) -> Option<serde_json::Value> {
    Some(Node::parse(event)?.to_value())
}
