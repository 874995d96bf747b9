//! Tables of single events: the newest ones up to the limit, newest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::model::{Cell, Column, Mark, OUTCOME_NAMES, RecordSet, Row, Table};
use super::scan::Entry;
use super::text::patient;

/// A column that an event fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// When it happened.
    Time,
    /// Why the event is in the table, given by the report.
    Why,
    /// Who did it.
    Who,
    /// Role.
    Role,
    /// What was done.
    Action,
    /// Kind of event.
    EventType,
    /// Kind of what it was done to.
    ResourceType,
    /// What it was done to.
    Resource,
    /// Patient.
    Patient,
    /// Purpose of use.
    Purpose,
    /// Legal basis.
    LegalBasis,
    /// Reason in words.
    Reason,
    /// Allowed, denied or failed.
    Outcome,
    /// The event's word for it.
    Result,
    /// Network address.
    Address,
    /// Application.
    Application,
    /// Recipient of a disclosure.
    Recipient,
    /// For a person to fill in.
    Blank(&'static str, &'static str),
}

impl Field {
    fn column(self) -> Column {
        match self {
            Field::Time => Column::new("time", "Time"),
            Field::Why => Column::new("why", "Why it is listed"),
            Field::Who => Column::new("user", "User"),
            Field::Role => Column::below("role", "role"),
            Field::Action => Column::new("action", "Action"),
            Field::EventType => Column::below("event_type", "event"),
            Field::ResourceType => Column::new("resource_type", "What"),
            Field::Resource => Column::below("resource", "identifier"),
            Field::Patient => Column::new("patient", "Patient"),
            Field::Purpose => Column::new("purpose", "Purpose"),
            Field::LegalBasis => Column::below("legal_basis", "legal basis"),
            Field::Reason => Column::below("reason", "reason"),
            Field::Outcome => Column::new("outcome", "Outcome"),
            Field::Result => Column::below("result", "in the event's word"),
            Field::Address => Column::new("address", "From"),
            Field::Application => Column::below("application", "application"),
            Field::Recipient => Column::new("recipient", "Recipient"),
            Field::Blank(name, title) => Column::new(name, title),
        }
    }

    fn cell(self, e: &Entry<'_>, why: Option<&str>, hidden: bool) -> Cell {
        let f = e.facts;
        let text = |t: &Option<String>| Cell::text(t.as_deref());
        match self {
            Field::Time => Cell::Time { at: e.time, sealed: e.sealed_time },
            Field::Why => Cell::text(why),
            Field::Who => Cell::text(e.who.as_deref()),
            Field::Role => text(&f.role),
            Field::Action => Cell::text(f.action.as_deref().or(f.operation)),
            Field::EventType => text(&f.event_type),
            Field::ResourceType => text(&f.resource_type),
            Field::Resource => text(&f.resource),
            Field::Patient => Cell::text(f.patient.as_deref().map(patient)),
            Field::Purpose => text(&f.purpose),
            Field::LegalBasis => text(&f.legal_basis),
            // Free text and network addresses can name a person.
            Field::Reason | Field::Address if hidden => Cell::Missing,
            Field::Reason => text(&f.reason),
            Field::Address => text(&f.address),
            Field::Outcome => f.outcome.map_or(Cell::Missing, |o| Cell::Outcome(o.as_str())),
            Field::Result => match (&f.result, f.outcome) {
                // Said twice, it says nothing more.
                (Some(r), Some(o)) if r.eq_ignore_ascii_case(o.as_str()) => Cell::Missing,
                (r, _) => text(r),
            },
            Field::Application => text(&f.application),
            Field::Recipient => text(&f.recipient),
            Field::Blank(..) => Cell::Blank,
        }
    }
}

/// Gathers a table of events.
pub(super) struct Events {
    fields: Vec<Field>,
    limit: usize,
    hidden: bool,
    kept: BinaryHeap<Reverse<Kept>>,
    total: u64,
}

struct Kept {
    at: (i64, u64),
    row: Row,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Events {
    /// With these columns and at most `limit` rows; `hidden` leaves out what can name staff.
    pub fn new(fields: &[Field], limit: usize, hidden: bool) -> Events {
        Events { fields: fields.to_vec(), limit, hidden, kept: BinaryHeap::new(), total: 0 }
    }

    /// Adds an event, with the reason it is listed for a table that has one.
    pub fn add(&mut self, e: &Entry<'_>, why: Option<&str>) {
        self.total += 1;
        let at = (e.time.millis(), e.record.index);
        if self.kept.len() >= self.limit {
            if self.kept.peek().is_some_and(|Reverse(oldest)| oldest.at >= at) {
                return;
            }
            self.kept.pop();
        }
        let mark = if e.facts.emergency {
            Mark::Emergency
        } else if e.refused() {
            Mark::Refused
        } else {
            Mark::None
        };
        let cells = self.fields.iter().map(|f| f.cell(e, why, self.hidden)).collect();
        self.kept
            .push(Reverse(Kept { at, row: Row { cells, records: RecordSet::one(e.record.index), mark } }));
    }

    /// How many events there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The table, newest first.
    pub fn table(self, name: &'static str, title: &str, about: &str) -> Table {
        // Ascending by Reverse is descending by time.
        let rows = self.kept.into_sorted_vec().into_iter().map(|Reverse(k)| k.row).collect();
        Table {
            name,
            title: title.to_owned(),
            about: about.to_owned(),
            order: "newest first",
            columns: self.fields.iter().map(|f| f.column()).collect(),
            rows,
            total: self.total,
            main: false,
            apart: false,
        }
    }
}

/// What an event's outcome is called in text.
pub(super) fn outcome_name(outcome: usize) -> &'static str {
    OUTCOME_NAMES.get(outcome).copied().unwrap_or("not stated")
}
