//! Counting with bounded memory: by name, by pair, by day, by hour.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};

use super::model::{Cell, Chart, Column, Mark, Outcomes, RecordSet, Row, Table};
use super::period::{Local, WorkingHours};
use super::request::ReportRequest;
use super::scan::Entry;
use super::text::{clip, count};
use crate::base::clock::Timestamp;
use crate::base::limits::{MAX_REPORT_DAYS, MAX_REPORT_INDEXES, MAX_REPORT_KEYS, MAX_REPORT_PAIRS};

/// Most bars or lanes of a chart.
pub(super) const MAX_BARS: usize = 12;
/// Most names listed in one cell.
const MAX_LISTED: usize = 6;

/// The first few different names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Few {
    names: Vec<String>,
    more: bool,
}

impl Few {
    /// Adds a name, if there is one.
    pub fn add(&mut self, name: Option<&str>) {
        let Some(name) = name.filter(|n| !n.is_empty()) else { return };
        if self.names.len() >= MAX_LISTED {
            self.more |= !self.names.iter().any(|n| n == name);
            return;
        }
        let name = clip(name);
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// As a cell.
    pub fn cell(&self) -> Cell {
        let more = if self.more { " and more" } else { "" };
        Cell::text(Some(format!("{}{more}", self.names.join(", ")).as_str()))
    }
}

/// What is known of all events of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Events.
    pub events: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// How many were emergency access.
    pub emergency: u64,
    /// First event.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
    /// The records.
    pub records: RecordSet,
    /// Names that come up in them; what each list holds is the report's.
    pub lists: [Few; 3],
    /// Counts of different names; what each counts is the report's.
    pub different: [u64; 2],
}

impl Group {
    fn add(&mut self, e: &Entry<'_>, budget: &mut usize) {
        self.events += 1;
        if let Some(n) = self.outcomes.get_mut(e.outcome()) {
            *n += 1;
        }
        self.emergency += u64::from(e.facts.emergency);
        self.first = Some(self.first.map_or(e.time, |t| t.min(e.time)));
        self.last = Some(self.last.map_or(e.time, |t| t.max(e.time)));
        self.records.add(e.record.index, budget);
    }

    /// Denied and failed events.
    pub fn refused(&self) -> u64 {
        let [_, denied, failed, _] = self.outcomes;
        denied + failed
    }
}

/// Events by name.
pub(super) struct Groups {
    map: HashMap<String, Group>,
    budget: usize,
    /// Events of names that were too many to keep apart.
    pub rest: u64,
}

impl Default for Groups {
    fn default() -> Self {
        Groups { map: HashMap::new(), budget: MAX_REPORT_INDEXES, rest: 0 }
    }
}

impl Groups {
    /// Counts an event under a name. `None` if there are too many names already.
    pub fn add(&mut self, name: &str, e: &Entry<'_>) -> Option<&mut Group> {
        let name = clip(name);
        if self.map.len() >= MAX_REPORT_KEYS && !self.map.contains_key(&name) {
            self.rest += 1;
            return None;
        }
        let group = self.map.entry(name).or_default();
        group.add(e, &mut self.budget);
        Some(group)
    }

    /// How many names.
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The group of a name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.map.get(name)
    }

    /// All groups, in no order.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.map.iter()
    }

    /// Most events first, then by name.
    pub fn ranked(&self) -> Vec<(&String, &Group)> {
        let mut all: Vec<_> = self.map.iter().collect();
        all.sort_by(|a, b| (b.1.events, a.0).cmp(&(a.1.events, b.0)));
        all
    }

    /// A table with a row for each name, most events first.
    pub fn table(
        &self,
        heading: (&'static str, &str, &str),
        columns: &[Column],
        limit: usize,
        cells: impl Fn(&str, &Group) -> Vec<Cell>,
    ) -> Table {
        self.table_by(heading, columns, limit, |_, _| 0, cells)
    }

    /// The same, the names of a lower rank first.
    pub fn table_by(
        &self,
        (name, title, about): (&'static str, &str, &str),
        columns: &[Column],
        limit: usize,
        rank: impl Fn(&str, &Group) -> u8,
        cells: impl Fn(&str, &Group) -> Vec<Cell>,
    ) -> Table {
        let mut ranked = self.ranked();
        ranked.sort_by_key(|(name, group)| rank(name, group));
        let mut rows: Vec<Row> = Vec::new();
        for (name, group) in ranked.iter().take(limit) {
            rows.push(Row { cells: cells(name, group), records: group.records.clone(), mark: Mark::None });
        }
        Table {
            name,
            title: title.to_owned(),
            about: match self.rest {
                0 => about.to_owned(),
                n => format!(
                    "{about} There are too many names: {} of further ones are not in it.",
                    count(n, "event", "events")
                ),
            },
            order: "most events first",
            columns: columns.to_vec(),
            rows,
            total: self.len(),
            main: false,
            apart: false,
        }
    }

    /// A bar for each of the names with most events.
    pub fn bars(&self, title: &str) -> Chart {
        let ranked = self.ranked();
        let bars = ranked.iter().take(MAX_BARS).map(|(name, g)| ((*name).clone(), g.outcomes)).collect();
        let more = ranked.len().saturating_sub(MAX_BARS) as u64;
        Chart::Bars { title: title.to_owned(), bars, more, by_outcome: true }
    }
}

/// Which pairs were seen before, by a keyed hash: two pairs look the same with a chance of one in billions of billions.
pub(super) struct Pairs {
    hasher: RandomState,
    seen: HashSet<u64>,
    /// Whether there were too many, so that counts are "at least".
    pub full: bool,
}

impl Default for Pairs {
    fn default() -> Self {
        Pairs { hasher: RandomState::new(), seen: HashSet::new(), full: false }
    }
}

impl Pairs {
    /// Whether this pair is new.
    pub fn is_new(&mut self, pair: impl Hash) -> bool {
        let hash = self.hasher.hash_one(pair);
        if self.seen.len() >= MAX_REPORT_PAIRS {
            self.full |= !self.seen.contains(&hash);
            return false;
        }
        self.seen.insert(hash)
    }

    /// A count of different things, which is a least count once there were too many.
    pub fn cell(&self, n: u64) -> Cell {
        if self.full { Cell::AtLeast(n) } else { Cell::Number(n) }
    }
}

/// Events by day.
#[derive(Default)]
pub(super) struct Days {
    days: BTreeMap<i32, Outcomes>,
    /// Events of days that were too many to keep apart.
    pub rest: u64,
}

impl Days {
    /// Counts an event.
    pub fn add(&mut self, e: &Entry<'_>) {
        self.count(e.local.day, e.outcome(), 1);
    }

    /// Counts `n` events of one day that ended in one way.
    pub fn count(&mut self, day: i32, outcome: usize, n: u64) {
        if self.days.len() >= MAX_REPORT_DAYS && !self.days.contains_key(&day) {
            self.rest += n;
            return;
        }
        if let Some(count) = self.days.entry(day).or_default().get_mut(outcome) {
            *count += n;
        }
    }

    /// Events by day, from the first to the last day of the period or, where it is open, of the events.
    pub fn chart(&self, title: &str, request: &ReportRequest, by_outcome: bool) -> Option<Chart> {
        let (first, last) = (*self.days.keys().next()?, *self.days.keys().next_back()?);
        let zone = request.zone();
        let day = |t: Option<Timestamp>| t.map(|t| zone.local(t).day);
        let span = (day(request.from).unwrap_or(first).min(first), day(request.to).unwrap_or(last).max(last));
        let days = self.days.iter().map(|(d, o)| (*d, *o)).collect();
        Some(Chart::Days { title: title.to_owned(), span, days, by_outcome })
    }
}

/// Events by weekday and hour.
#[derive(Default)]
pub(super) struct Week {
    hours: Box<[[u64; 24]; 7]>,
}

impl Week {
    /// Counts an event.
    pub fn add(&mut self, e: &Entry<'_>) {
        let hour = usize::from(e.local.minute / 60);
        if let Some(n) = self.hours.get_mut(e.local.weekday).and_then(|d| d.get_mut(hour)) {
            *n += 1;
        }
    }

    /// The map, with working hours marked.
    pub fn chart(&self, title: &str, hours: &WorkingHours) -> Chart {
        let mut working = Box::new([[false; 24]; 7]);
        for (weekday, day) in working.iter_mut().enumerate() {
            for (hour, cell) in day.iter_mut().enumerate() {
                *cell = hours.include(Local { day: 0, weekday, minute: hour as u16 * 60 + 30 });
            }
        }
        Chart::Week { title: title.to_owned(), hours: self.hours.clone(), working }
    }
}
