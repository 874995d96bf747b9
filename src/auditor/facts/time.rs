//! Times as senders write them, in one spelling.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::tree::Node;
use crate::base::clock::Timestamp;

/// Numbers below this are seconds since 1970, those from it on milliseconds: it is the year 5138 in seconds and March 1973
/// in milliseconds.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// The time a value says. A text is RFC 3339 or ISO 8601; one that names no zone is taken as UTC. A number, or a text of
/// digits, is milliseconds or seconds since 1970.
pub(super) fn timestamp(value: &Node<'_>) -> Option<Timestamp> {
    match value {
        Node::Number(n) => match n.as_i64() {
            Some(n) => from_number(n),
            None => from_number((n.as_f64()? * 1000.0) as i64),
        },
        Node::Text(text) => parse(text.trim()),
        Node::Null | Node::Withheld(_) | Node::Bool(_) | Node::List(_) | Node::Object(_) => None,
    }
}

/// The time that a text says; see [`timestamp`].
pub(in crate::auditor) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(t) = text.parse::<jiff::Timestamp>() {
        return Timestamp::from_millis(t.as_millisecond());
    }
    if text.len() >= 10 && text.bytes().all(|b| b.is_ascii_digit()) {
        return from_number(text.parse().ok()?);
    }
    let civil: DateTime = text.parse().ok()?;
    Timestamp::from_millis(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn from_number(n: i64) -> Option<Timestamp> {
    Timestamp::from_millis(if n.unsigned_abs() < FIRST_MILLIS.unsigned_abs() {
        n.checked_mul(1000)?
    } else {
        n
    })
}
