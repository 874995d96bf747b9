//! Statements of the authority sequence beside the roster: grants, erasures and holds. `docs/FORMAT.md` §7.

use std::fmt::{self, Write as _};

use super::proof::{parse_record, record_id};
use super::recipient::recipient_key;
use super::roster::named_recipient;
use super::statement::write_head;
use super::text::{Lines, TextError, parse_number};
use crate::base::batch::is_label;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;

/// First line of a grant.
pub const GRANT_KIND: &str = "sealtrail.org/grant/v1";
/// First line of an erasure.
pub const ERASURE_KIND: &str = "sealtrail.org/erasure/v1";
/// First line of a hold.
pub const HOLD_KIND: &str = "sealtrail.org/hold/v1";

/// The reason of an erasure that only takes what is past its `retain-until`; see [`super::retention`].
pub const RETENTION_EXPIRED: &str = "retention-expired";

/// Longest reason code, from the format.
const REASON_CHARS: usize = 64;
/// Longest legal basis, from the format.
const LEGAL_BASIS_CHARS: usize = 1000;

/// A range of records is re-wrapped for a later reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The records.
    pub range: RecordRange,
    /// Recipient whose slots were re-wrapped.
    pub from: String,
    /// Name of the new reader.
    pub to_name: String,
    /// Recipient of the new reader.
    pub to: String,
    /// Hash over the new slots.
    pub slots_hash: Hash,
}

/// Ciphertext, slots and tags of records are to be erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The records: at least one range; ranges ascend and do not touch.
    pub records: Vec<RecordRange>,
    /// Reason code: 1 to 64 characters of `a-z 0-9 . -`.
    pub reason: String,
    /// Legal basis: 1 to 1000 characters on one line.
    pub legal_basis: String,
}

/// Records must not be erased until the hold is released, or a hold is released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldStatement {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The hold's name: 1 to 64 characters of `a-z 0-9 . _ -`.
    pub hold: String,
    /// What happens to it.
    pub action: HoldAction,
    /// Reason code: 1 to 64 characters of `a-z 0-9 . -`.
    pub reason: String,
}

/// What a hold statement does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HoldAction {
    /// Places a hold on these records: at least one range; ranges ascend and do not touch.
    Place(Vec<RecordRange>),
    /// Ends it.
    Release,
}

/// Why a text names no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not an index or id, nor two of them.
    #[error(
        "{0:?} names no records: give an index or id such as 42 or EVT-00000042, or the first and the last such as 40..51"
    )]
    Unreadable(String),
    /// The last record comes before the first.
    #[error("{0:?} ends before it begins: give the first record, two dots, and the last")]
    Backwards(String),
}

/// Records `first` to `last` of the ledger, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRange {
    /// Index of the first record.
    pub first: u64,
    /// Index of the last record, not below `first`.
    pub last: u64,
}

impl GrantStatement {
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let range = RecordRange { first: l.number("first-record")?, last: l.number("last-record")? };
        if range.first > range.last {
            return l.invalid("last-record", "below first-record");
        }
        let from = l.value("from")?.to_owned();
        if recipient_key(&from).is_none() {
            return l.invalid("from", "expected age1…");
        }
        let to = l.value("to")?;
        let (to_name, to) = named_recipient(&l, "to", to)?;
        let slots_hash = l.hash("slots-hash")?;
        l.finish()?;
        Ok(GrantStatement { ledger, sequence, previous, issued, range, from, to_name, to, slots_hash })
    }

    pub(super) fn write(&self, out: &mut String) {
        write_head(out, GRANT_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = write!(
            out,
            "issued {}\nfirst-record {}\nlast-record {}\nfrom {}\nto {} {}\nslots-hash {}\n",
            self.issued,
            self.range.first,
            self.range.last,
            self.from,
            self.to_name,
            self.to,
            self.slots_hash.base64()
        );
    }
}

impl ErasureStatement {
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let records = ranges(&mut l)?;
        let reason = reason(&mut l)?;
        let legal_basis = l.value("legal-basis")?.to_owned();
        let length = legal_basis.chars().count();
        if length == 0 || length > LEGAL_BASIS_CHARS || legal_basis.chars().any(char::is_control) {
            return l.invalid("legal-basis", "expected 1 to 1000 characters of text on one line");
        }
        if legal_basis.trim() != legal_basis {
            return l.invalid("legal-basis", "white space at the beginning or end");
        }
        l.finish()?;
        Ok(ErasureStatement { ledger, sequence, previous, issued, records, reason, legal_basis })
    }

    pub(super) fn write(&self, out: &mut String) {
        write_head(out, ERASURE_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = writeln!(out, "issued {}", self.issued);
        write_ranges(&self.records, out);
        let _ = write!(out, "reason {}\nlegal-basis {}\n", self.reason, self.legal_basis);
    }
}

impl HoldStatement {
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Self, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let hold = l.value("hold")?.to_owned();
        if !is_label(&hold) {
            return l.invalid("hold", "expected 1 to 64 characters of a-z 0-9 . _ -");
        }
        let action = match l.value("action")? {
            "place" => HoldAction::Place(ranges(&mut l)?),
            "release" => HoldAction::Release,
            _ => return l.invalid("action", "expected place or release"),
        };
        let reason = reason(&mut l)?;
        l.finish()?;
        Ok(HoldStatement { ledger, sequence, previous, issued, hold, action, reason })
    }

    pub(super) fn write(&self, out: &mut String) {
        write_head(out, HOLD_KIND, &self.ledger, self.sequence, &self.previous);
        let _ = writeln!(out, "issued {}\nhold {}", self.issued, self.hold);
        match &self.action {
            HoldAction::Place(records) => {
                out.push_str("action place\n");
                write_ranges(records, out);
            }
            HoldAction::Release => out.push_str("action release\n"),
        }
        let _ = writeln!(out, "reason {}", self.reason);
    }
}

/// One or more lines `records A..B`.
fn ranges(l: &mut Lines<'_>) -> Result<Vec<RecordRange>, TextError> {
    let mut records: Vec<RecordRange> = Vec::new();
    while let Some(text) = l.optional("records") {
        let Some(range) = RecordRange::parse(text) else {
            return l.invalid("records", "expected A..B with A not above B");
        };
        // "Apart": two ranges that touch are one range, which has its own spelling.
        if records.last().is_some_and(|r| range.first <= r.last.saturating_add(1)) {
            return l.invalid("records", "ranges must ascend and not touch");
        }
        records.push(range);
    }
    if records.is_empty() {
        return l.invalid("records", "at least one range is needed");
    }
    Ok(records)
}

fn write_ranges(records: &[RecordRange], out: &mut String) {
    for r in records {
        let _ = writeln!(out, "records {r}");
    }
}

fn reason(l: &mut Lines<'_>) -> Result<String, TextError> {
    let reason = l.value("reason")?;
    let code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if reason.is_empty() || reason.len() > REASON_CHARS || !reason.bytes().all(code) {
        return l.invalid("reason", "expected 1 to 64 characters of a-z 0-9 . -");
    }
    Ok(reason.to_owned())
}

impl fmt::Display for RecordRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

impl RecordRange {
    /// Whether the record is one of these.
    pub fn contains(&self, record: u64) -> bool {
        (self.first..=self.last).contains(&record)
    }

    /// The range for people's eyes: `EVT-00000012`, or `EVT-00000012 to EVT-00000015`.
    pub fn name(&self) -> String {
        match self.first == self.last {
            true => record_id(self.first),
            false => format!("{} to {}", record_id(self.first), record_id(self.last)),
        }
    }

    /// The ranges, ascending and apart, that hold exactly these records.
    pub fn of_indexes(records: &[u64]) -> Vec<RecordRange> {
        RecordRange::normalise(records.iter().map(|r| RecordRange { first: *r, last: *r }).collect())
    }

    /// The lowest record of both; `None` if they have none in common.
    pub fn first_common(&self, other: &RecordRange) -> Option<u64> {
        let first = self.first.max(other.first);
        (first <= self.last.min(other.last)).then_some(first)
    }

    /// Puts ranges into the form the format asks for: ascending, and those that overlap or touch written as one.
    pub fn normalise(mut ranges: Vec<RecordRange>) -> Vec<RecordRange> {
        ranges.sort_by_key(|r| r.first);
        let mut out: Vec<RecordRange> = Vec::with_capacity(ranges.len());
        ranges.into_iter().for_each(|range| range.append_to(&mut out));
        out
    }

    /// Adds a range that begins nowhere before those of a normalised list to it: to its last one, if the two overlap or touch. One
    /// that does begin before is kept as it is rather than lost in the last one.
    pub fn append_to(self, ranges: &mut Vec<RecordRange>) {
        debug_assert!(
            ranges.last().is_none_or(|l| l.first <= self.first),
            "{self:?} begins before the last one"
        );
        match ranges.last_mut() {
            Some(last) if (last.first..=last.last.saturating_add(1)).contains(&self.first) => {
                last.last = last.last.max(self.last)
            }
            _ => ranges.push(self),
        }
    }

    /// What of these ranges is in none of those; both normalised.
    pub fn without(ranges: &[RecordRange], taken: &[RecordRange]) -> Vec<RecordRange> {
        let mut out = Vec::new();
        for range in ranges {
            let mut first = range.first;
            let near = taken.partition_point(|t| t.last < range.first);
            for t in taken.iter().skip(near).take_while(|t| t.first <= range.last) {
                if t.first > first {
                    out.push(RecordRange { first, last: t.first - 1 });
                }
                first = t.last.saturating_add(1);
            }
            if first <= range.last {
                out.push(RecordRange { first, last: range.last });
            }
        }
        out
    }

    /// How many records these ranges have, which must not overlap.
    pub fn total(ranges: &[RecordRange]) -> u64 {
        ranges.iter().fold(0, |n, r| n.saturating_add((r.last - r.first).saturating_add(1)))
    }

    /// A range as people write it: `A..B` with both ends, or one record; each by index or id.
    pub fn parse_named(text: &str) -> Result<RecordRange, RangeError> {
        let text = text.trim();
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        match (parse_record(first.trim()), parse_record(last.trim())) {
            (Some(first), Some(last)) if first <= last => Ok(RecordRange { first, last }),
            (Some(_), Some(_)) => Err(RangeError::Backwards(text.to_owned())),
            _ => Err(RangeError::Unreadable(text.to_owned())),
        }
    }

    /// Several of [`RecordRange::parse_named`] with commas between, normalised.
    pub fn parse_list(text: &str) -> Result<Vec<RecordRange>, RangeError> {
        text.split(',').map(RecordRange::parse_named).collect::<Result<_, _>>().map(RecordRange::normalise)
    }

    /// `A..B`, A not above B; numbers as the format writes them.
    pub fn parse(text: &str) -> Option<RecordRange> {
        let (first, last) = text.split_once("..")?;
        let range = RecordRange { first: parse_number(first)?, last: parse_number(last)? };
        (range.first <= range.last).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(first: u64, last: u64) -> RecordRange {
        RecordRange { first, last }
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "begins before the last one")]
    fn a_range_out_of_order_is_noticed() {
        r(2, 3).append_to(&mut vec![r(5, 6)]);
    }

    #[test]
    fn ranges_are_sets() {
        let set = RecordRange::normalise(vec![r(9, 9), r(0, 2), r(3, 4), r(1, 1), r(u64::MAX, u64::MAX)]);
        assert_eq!(set, [r(0, 4), r(9, 9), r(u64::MAX, u64::MAX)]);
        assert_eq!(RecordRange::total(&set), 7);
        assert_eq!(
            RecordRange::without(&set, &[r(1, 2), r(9, 20)]),
            [r(0, 0), r(3, 4), r(u64::MAX, u64::MAX)]
        );
        assert_eq!(RecordRange::without(&[r(5, 8)], &[r(0, 5), r(8, 8)]), [r(6, 7)]);
        assert_eq!(RecordRange::without(&[r(5, 8)], &[r(0, u64::MAX)]), []);
        assert_eq!((r(2, 5).first_common(&r(5, 7)), r(2, 5).first_common(&r(6, 7))), (Some(5), None));
        assert_eq!((r(3, 14).to_string(), RecordRange::parse("3..14")), ("3..14".into(), Some(r(3, 14))));
        assert_eq!([2, 3, 5, 6].map(|n| r(3, 5).contains(n)), [false, true, true, false]);
        assert!(r(0, u64::MAX).contains(u64::MAX));
        assert_eq!(RecordRange::of_indexes(&[3, 4, 9, u64::MAX]), [r(3, 4), r(9, 9), r(u64::MAX, u64::MAX)]);
        assert_eq!(RecordRange::of_indexes(&[]), []);
        let names = [r(7, 7), r(12, 15)].map(|r| r.name());
        assert_eq!(names, ["EVT-00000007", "EVT-00000012 to EVT-00000015"]);
    }

    #[test]
    fn records_are_named_by_index_or_id() {
        assert_eq!(RecordRange::parse_list("7"), Ok(vec![r(7, 7)]));
        assert_eq!(RecordRange::parse_list("EVT-00000009..12, 3 ,4"), Ok(vec![r(3, 4), r(9, 12)]));
        assert_eq!(RecordRange::parse_list("0..5,5..9, 11..20,8 .. 9"), Ok(vec![r(0, 9), r(11, 20)]));
        assert_eq!(RecordRange::parse_list("1,5..4"), Err(RangeError::Backwards("5..4".into())));
        for bad in
            ["", "a", "1..", "..2", "1,,2", "-1", "1-2", "+1", "EVT-9", "1..2..3", "18446744073709551616"]
        {
            assert!(matches!(RecordRange::parse_list(bad), Err(RangeError::Unreadable(_))), "{bad}");
        }
    }
}
