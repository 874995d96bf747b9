//! What a report looked at and what it could not see. A report that is silent about this would claim too much.

use std::collections::BTreeMap;

use super::text::{count, thousands};
use crate::auditor::record::{AuditRecord, Content};
use crate::base::limits::MAX_REPORT_RANGES;
use crate::chain::authority::RecordRange;

/// How many records of the ledger were looked at, and which could not be seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Records in the ledger.
    pub records: u64,
    /// Whether the period has a beginning or an end.
    pub limited: bool,
    /// Whether the records were gone through; `false` for a report about the chain alone.
    pub looked_at: bool,
    /// Records that were opened, wholly or in part.
    pub opened: u64,
    /// How many of those were opened in part, by the sections that were withheld.
    pub withheld: BTreeMap<String, u64>,
    /// How many were opened in part.
    pub partly: u64,
    /// Opened records within the period.
    pub in_period: u64,
    /// Opened records outside the period.
    pub outside: u64,
    /// Opened records within the period that the report rests on.
    pub selected: u64,
    /// Opened records within the period that carry no time that can be read; their sealing time was used.
    pub without_time: u64,
    /// Opened records within the period of which nothing could be said, because they do not name what was asked for.
    pub unassigned: u64,
    /// How many of those are opened in part: what was asked for may stand in a withheld section.
    pub unassigned_partly: u64,
    /// Sealed for other readers.
    pub not_for_you: Hidden,
    /// Erased by order.
    pub erased: Hidden,
    /// How many records each erasure order took: height of its block, records.
    pub orders: BTreeMap<u64, u64>,
    /// Sealed wrongly by the writer.
    pub unreadable: Hidden,
}

/// Records that could not be seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hidden {
    /// How many.
    pub count: u64,
    /// How many of them were sealed from the period's beginning on; when their events happened is not known, and may be within it.
    pub sealed_since: u64,
    /// Which: ranges, both ends included; the first ones.
    pub ranges: Vec<(u64, u64)>,
    /// Whether there are more ranges.
    pub more: bool,
}

impl Hidden {
    fn add(&mut self, index: u64, in_period: bool) {
        self.count += 1;
        self.sealed_since += u64::from(in_period);
        let room = self.ranges.len() < MAX_REPORT_RANGES;
        match self.ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) && !self.more => *last = index,
            _ if room => self.ranges.push((index, index)),
            _ => self.more = true,
        }
    }

    fn which(&self) -> String {
        const SHOWN: usize = 6;
        let names: Vec<String> = self.ranges.iter().take(SHOWN).map(range_name).collect();
        let more = if self.ranges.len() > SHOWN || self.more { " and more" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

/// [`RecordRange::name`] of a pair.
pub fn range_name(&(first, last): &(u64, u64)) -> String {
    RecordRange { first, last }.name()
}

impl Coverage {
    /// Counts a record that was not opened.
    pub(super) fn closed(&mut self, record: &AuditRecord, sealed_since: bool) {
        match &record.content {
            Content::Opened { .. } => {}
            Content::NotForYou => self.not_for_you.add(record.index, sealed_since),
            Content::Erased { by_block } => {
                self.erased.add(record.index, sealed_since);
                // One entry an order; there are as few as there are erasure blocks.
                if let Some(block) = by_block {
                    *self.orders.entry(*block).or_default() += 1;
                }
            }
            Content::Unreadable { .. } => self.unreadable.add(record.index, sealed_since),
        }
    }

    /// Counts a section that was withheld from an opened record.
    pub(super) fn withhold(&mut self, section: &str) {
        // A writer chooses the names of its sections: only so many are told apart.
        let known = self.withheld.contains_key(section) || self.withheld.len() < MAX_REPORT_RANGES;
        let name = if known { section } else { "others" };
        *self.withheld.entry(name.to_owned()).or_default() += 1;
    }

    /// Records that could not be seen at all, and may be of the period: an event is sealed when it happened or later.
    pub fn unseen(&self) -> u64 {
        self.not_for_you.sealed_since + self.erased.sealed_since + self.unreadable.sealed_since
    }

    /// What the answer has to admit, if anything, as a half sentence.
    pub fn caveat(&self) -> Option<String> {
        let unseen = self.unseen();
        let mut parts = Vec::new();
        if unseen > 0 {
            let records = count(unseen, "record", "records");
            parts.push(match self.limited {
                true => format!("{records} sealed in this time or later could not be read"),
                false => format!("{records} could not be read"),
            });
        }
        if self.unassigned_partly > 0 {
            let n = count(self.unassigned_partly, "record", "records");
            parts.push(format!("{n} could be read only in part and may belong here"));
        }
        (!parts.is_empty()).then(|| parts.join(", and "))
    }

    /// All of it, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        if !self.looked_at {
            return vec![
                "This report rests on the signed statements of the chain alone; no record was opened for it."
                    .to_owned(),
            ];
        }
        let within = if self.limited { " within the period" } else { "" };
        let mut out = vec![format!(
            "The ledger holds {}; every one was looked at, and {} could be opened{}.",
            count(self.records, "record", "records"),
            thousands(self.opened),
            if self.limited { format!(", {}{within}", thousands(self.in_period)) } else { String::new() }
        )];
        if self.not_for_you.count > 0 {
            let what = "sealed for other readers and cannot be read with this identity";
            out.push(self.closed_sentence(&self.not_for_you, what));
        }
        if self.erased.count > 0 {
            let orders: Vec<String> = self.orders.keys().take(12).map(|b| format!("block {b}")).collect();
            let more = if self.orders.len() > orders.len() { " and more" } else { "" };
            let what = format!("erased by order ({}{more})", orders.join(", "));
            out.push(self.closed_sentence(&self.erased, &what));
        }
        if self.unreadable.count > 0 {
            let what = "unreadable: what the writer sealed does not open or is no event";
            out.push(self.closed_sentence(&self.unreadable, what));
        }
        if self.partly > 0 {
            let names: Vec<String> =
                self.withheld.iter().map(|(n, c)| format!("{n} ({})", thousands(*c))).collect();
            out.push(format!(
                "{} could be read only in part; fields of these sections are sealed for others: {}.",
                count(self.partly, "record", "records"),
                names.join(", ")
            ));
        }
        if self.unassigned > 0 {
            let partly = match self.unassigned_partly {
                0 => String::new(),
                n => format!(
                    " In {} of them the name may stand in a section that is sealed for others.",
                    thousands(n)
                ),
            };
            out.push(format!(
                "Left out: {}{within} that may or may not belong here, because what was asked for is not named.{partly}",
                count(self.unassigned, "opened record", "opened records")
            ));
        }
        if self.without_time > 0 {
            out.push(format!(
                "{}{within} without a time that can be read; the time of sealing stands for it, marked †.",
                count(self.without_time, "record is", "records are")
            ));
        }
        if self.outside > 0 {
            out.push(format!(
                "{} outside the period.",
                count(self.outside, "opened record lies", "opened records lie")
            ));
        }
        out
    }

    fn closed_sentence(&self, hidden: &Hidden, what: &str) -> String {
        let subject = count(hidden.count, "record is", "records are");
        let within = match hidden.sealed_since {
            _ if !self.limited => String::new(),
            0 => "; all sealed before the period".to_owned(),
            n => format!(
                "; {} sealed after the period began, so that their events may fall into it",
                thousands(n)
            ),
        };
        format!("{subject} {what}{within}: {}.", hidden.which())
    }
}
