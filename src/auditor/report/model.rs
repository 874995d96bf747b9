//! What a report is before it is printed: text, numbers and the records each row rests on. The texts are as the events
//! write them; each renderer makes them safe for its own format.

use super::coverage::Coverage;
use super::kind::ReportKind;
use super::period::Zone;
use crate::auditor::record::AsOf;
use crate::base::clock::Timestamp;

/// A finished report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which report.
    pub kind: ReportKind,
    /// Its title.
    pub title: String,
    /// The question it answers.
    pub question: String,
    /// The answer in one sentence.
    pub answer: String,
    /// What a reader should know besides, one sentence each.
    pub findings: Vec<String>,
    /// What was asked for: name and value.
    pub parameters: Vec<(String, String)>,
    /// When it was made, by the clock of the machine that made it.
    pub created: Timestamp,
    /// Its times are in this zone.
    pub zone: Zone,
    /// The signed head it is true as of.
    pub as_of: AsOf,
    /// What was looked at and what could not be.
    pub coverage: Coverage,
    /// Summary figures.
    pub figures: Vec<Figure>,
    /// Charts.
    pub charts: Vec<Chart>,
    /// Tables; exactly one is the main one.
    pub tables: Vec<Table>,
    /// How to read it.
    pub notes: Vec<String>,
    /// Whether names of staff were replaced.
    pub staff_hidden: bool,
    /// Name of the evidence file that goes with it, once there is one.
    pub evidence: Option<String>,
}

impl Report {
    /// The indexes of all records that rows rest on, ascending, each once. Tables that must not be handed out with the rest
    /// ([`Table::apart`]) are left out, so that an evidence file does not give away what the page withholds.
    pub fn records(&self) -> Vec<u64> {
        self.record_ranges().into_iter().flat_map(|(first, last)| first..=last).collect()
    }

    /// [`Report::records`] as ranges, both ends included, that ascend and do not touch.
    pub fn record_ranges(&self) -> Vec<(u64, u64)> {
        let rows = self.tables.iter().filter(|t| !t.apart).flat_map(|t| &t.rows);
        let mut all: Vec<(u64, u64)> = rows.flat_map(|r| r.records.ranges.iter().copied()).collect();
        all.sort_unstable();
        let mut out: Vec<(u64, u64)> = Vec::new();
        for (first, last) in all {
            match out.last_mut() {
                Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
                _ => out.push((first, last)),
            }
        }
        out
    }

    /// Whether [`Report::records`] names every record that a row rests on. Summary rows hold a limited number of indexes.
    pub fn records_complete(&self) -> bool {
        self.tables.iter().flat_map(|t| &t.rows).all(|r| r.records.complete())
    }

    /// The table that is the report, where the others are summaries of it.
    pub fn main_table(&self) -> Option<&Table> {
        self.tables.iter().find(|t| t.main).or(self.tables.first())
    }
}

/// One number that matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figure {
    /// What it counts.
    pub label: String,
    /// The number, or a time, as text.
    pub value: String,
    /// Whether it should catch the eye: something to look into.
    pub alert: bool,
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Stable name, `a-z` and `-`.
    pub name: &'static str,
    /// Heading.
    pub title: String,
    /// Sentence that says what a row is.
    pub about: String,
    /// Order of the rows in words.
    pub order: &'static str,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows, as many cells as columns.
    pub rows: Vec<Row>,
    /// How many rows there would be without the limit.
    pub total: u64,
    /// Whether it is the report's main table.
    pub main: bool,
    /// Whether it starts on a new sheet and must not be handed out with the rest.
    pub apart: bool,
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Stable name, `a-z` and `_`.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Whether a page shows it below the column before it, in the same cell.
    pub below: bool,
}

impl Column {
    /// A column of its own.
    pub const fn new(name: &'static str, title: &'static str) -> Column {
        Column { name, title, below: false }
    }

    /// A column that a page shows below the one before.
    pub const fn below(name: &'static str, title: &'static str) -> Column {
        Column { name, title, below: true }
    }
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// One cell a column.
    pub cells: Vec<Cell>,
    /// The records it rests on.
    pub records: RecordSet,
    /// Whether it should catch the eye.
    pub mark: Mark,
}

/// How a row stands out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mark {
    /// It does not.
    #[default]
    None,
    /// Refused or failed.
    Refused,
    /// Emergency access.
    Emergency,
    /// Something to look into.
    Attention,
}

/// A cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Text, as the event writes it.
    Text(String),
    /// A number.
    Number(u64),
    /// A number that is at least this.
    AtLeast(u64),
    /// A time; `sealed` if it is when the record was sealed, because the event has no time of its own.
    Time {
        /// The time.
        at: Timestamp,
        /// Whether it is the sealing time.
        sealed: bool,
    },
    /// How something ended: `allowed`, `denied`, `failed`.
    Outcome(&'static str),
    /// The event says nothing.
    Missing,
    /// For a person to fill in.
    Blank,
}

impl Cell {
    /// Text, shortened if it is too long; missing if there is none.
    pub fn text(text: Option<&str>) -> Cell {
        match text {
            Some(t) if !t.is_empty() => Cell::Text(super::text::clip(t)),
            _ => Cell::Missing,
        }
    }

    /// A time, or none.
    pub fn time(at: Option<Timestamp>) -> Cell {
        at.map_or(Cell::Missing, |at| Cell::Time { at, sealed: false })
    }
}

/// The records a row rests on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordSet {
    /// Ranges, both ends included, ascending.
    pub ranges: Vec<(u64, u64)>,
    /// How many there are, of which the ranges may hold the first ones only.
    pub count: u64,
}

impl RecordSet {
    /// One record.
    pub fn one(index: u64) -> RecordSet {
        RecordSet { ranges: vec![(index, index)], count: 1 }
    }

    /// Adds a record above all others; takes one from `budget` to hold its index, and only counts it if there is none left.
    pub fn add(&mut self, index: u64, budget: &mut usize) {
        self.count += 1;
        if *budget == 0 || self.held() + 1 < self.count {
            return;
        }
        *budget -= 1;
        match self.ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => self.ranges.push((index, index)),
        }
    }

    /// How many indexes it holds.
    pub fn held(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether it holds all it counts.
    pub fn complete(&self) -> bool {
        self.held() == self.count
    }
}

/// How many events ended in which way: allowed, denied, failed, not stated.
pub type Outcomes = [u64; 4];

/// Names of [`Outcomes`].
pub const OUTCOME_NAMES: [&str; 4] = ["allowed", "denied", "failed", "not stated"];

/// Something to look at rather than to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chart {
    /// Events by day; the days are numbers of days since 1970 in the report's zone.
    Days {
        /// Heading.
        title: String,
        /// First and last day shown.
        span: (i32, i32),
        /// Events of each day that has any.
        days: Vec<(i32, Outcomes)>,
        /// Whether the four counts are outcomes; otherwise only the first is used.
        by_outcome: bool,
    },
    /// A bar for each name.
    Bars {
        /// Heading.
        title: String,
        /// Name and events, in the order shown.
        bars: Vec<(String, Outcomes)>,
        /// How many names are not shown.
        more: u64,
        /// Whether the four counts are outcomes; otherwise only the first is used.
        by_outcome: bool,
    },
    /// Events by weekday (Monday first) and hour.
    Week {
        /// Heading.
        title: String,
        /// Events.
        hours: Box<[[u64; 24]; 7]>,
        /// Which of them are within working hours.
        working: Box<[[bool; 24]; 7]>,
    },
    /// When something held, a line for each name.
    Lanes {
        /// Heading.
        title: String,
        /// First and last time shown.
        span: (Timestamp, Timestamp),
        /// Name and periods.
        lanes: Vec<(String, Vec<(Timestamp, Timestamp)>)>,
        /// How many names are not shown.
        more: u64,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_set_merges_neighbours_and_stops_holding_when_the_budget_is_spent() {
        let (mut set, mut budget) = (RecordSet::default(), 4);
        for index in [3, 4, 5, 9, 10, 12] {
            set.add(index, &mut budget);
        }
        assert_eq!(set.ranges, [(3, 5), (9, 9)]);
        assert_eq!((set.count, set.held(), set.complete()), (6, 4, false));
        // Once one was left out, no later one is held: what is held are the first ones.
        budget = 5;
        set.add(20, &mut budget);
        assert_eq!((set.ranges.len(), budget), (2, 5));
    }
}
