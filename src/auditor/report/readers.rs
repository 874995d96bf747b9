//! `readers`: who could read the ledger when, from the rosters and grants of the chain.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Cell, Chart, Column, Figure, Mark, RecordSet, Report, Row, Table};
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::MAX_BARS;
use super::text::{count, thousands};
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_REPORT_KEYS;
use crate::chain::authority::GrantStatement;
use crate::chain::block::Block;
use crate::chain::roster::Roster;
use crate::chain::statement::Statement;

pub(super) fn collector() -> Box<dyn Collector> {
    Box::new(Readers::default())
}

/// A place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    block: u64,
    at: Timestamp,
    /// Index of the next record.
    record: u64,
}

/// Someone holds a role from one roster to another.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Tenure {
    role: &'static str,
    name: String,
    key: String,
    required: bool,
    from: Place,
    until: Option<Place>,
    /// Whether someone of the same role and name, with another key, takes over or took over.
    key_changed: bool,
}

#[derive(Default)]
struct Readers {
    held: BTreeMap<(&'static str, String), Tenure>,
    past: Vec<Tenure>,
    changes: Vec<Row>,
    grants: Vec<(Place, GrantStatement, String)>,
    rosters: u64,
    required: u64,
    /// How many officers an erasure needs.
    officers: Option<u64>,
    records: u64,
    /// Changes that were too many to list.
    cut: u64,
}

impl Collector for Readers {
    fn goes_through(&self) -> (bool, bool) {
        (true, false)
    }

    fn entry(&mut self, _entry: &Entry<'_>) {}

    fn block(&mut self, block: &Block, statement: &Statement) {
        let place = Place { block: block.height, at: block.committed, record: block.first_record };
        self.records += statement.record_count();
        let signers = super::listed::signers(block);
        match statement {
            Statement::Roster(roster) => self.roster(place, roster, &signers),
            Statement::Grant(grant) if self.grants.len() < MAX_REPORT_KEYS => {
                self.grants.push((place, grant.clone(), signers));
            }
            Statement::Grant(_) => self.cut += 1,
            _ => {}
        }
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, zone) = (request.period(), request.zone());
        let end = report.as_of.committed.unwrap_or(request.created);
        let overlaps = |t: &Tenure| {
            request.to.is_none_or(|to| t.from.at <= to)
                && t.until.is_none_or(|u| request.from.is_none_or(|from| u.at >= from))
        };
        let mut all: Vec<&Tenure> =
            self.past.iter().chain(self.held.values()).filter(|t| overlaps(t)).collect();
        all.sort_by(|a, b| {
            (a.role != READER, a.from.block, a.role, &a.name).cmp(&(
                b.role != READER,
                b.from.block,
                b.role,
                &b.name,
            ))
        });
        let readers: Vec<&Tenure> = all.iter().copied().filter(|t| t.role == READER).collect();
        let grants: Vec<_> =
            self.grants.iter().filter(|(p, ..)| request.to.is_none_or(|to| p.at <= to)).collect();
        let names: BTreeSet<&str> = readers.iter().map(|t| t.name.as_str()).collect();
        let now: BTreeSet<&str> =
            readers.iter().filter(|t| t.until.is_none()).map(|t| t.name.as_str()).collect();
        let (all_names, still) = (names.len() as u64, now.len() as u64);
        let ended = all_names - still;
        let during = if request.from.is_none() && request.to.is_none() {
            String::new()
        } else {
            format!(" in {period}")
        };
        report.question =
            format!("Who could read the records of the ledger{during}, since when, and by whose decision?");
        report.answer = match all_names {
            0 => format!("The rosters of the chain name no reader{during}"),
            n => format!(
                "The rosters of the chain name {}{during}, of which {} now",
                count(n, "reader", "readers"),
                count(still, "is one", "are readers")
            ),
        };
        report.answer.push_str(&match grants.len() as u64 {
            0 => "; no older records were granted to anyone.".to_owned(),
            n => format!("; {} older records.", count(n, "grant opened", "grants opened")),
        });
        let figure =
            |label: &str, n: u64, alert: bool| Figure { label: label.to_owned(), value: thousands(n), alert };
        report.figures = vec![
            figure("readers", all_names, false),
            figure("readers now", still, false),
            figure("taken out", ended, false),
            figure("grants", grants.len() as u64, false),
            figure("rosters", self.rosters, false),
        ];
        let first = readers.iter().map(|t| t.from.at).min().unwrap_or(end);
        let span = (request.from.unwrap_or(first).max(first), request.to.unwrap_or(end).min(end));
        if span.0 < span.1 && !readers.is_empty() {
            let mut lanes: Vec<(String, Vec<(Timestamp, Timestamp)>)> = Vec::new();
            for t in &readers {
                let during = (t.from.at.max(span.0), t.until.map_or(span.1, |u| u.at).min(span.1));
                match lanes.iter_mut().find(|(name, _)| *name == t.name) {
                    Some((_, periods)) => periods.push(during),
                    None => lanes.push((t.name.clone(), vec![during])),
                }
            }
            let more = lanes.len().saturating_sub(MAX_BARS) as u64;
            lanes.truncate(MAX_BARS);
            report.charts.push(Chart::Lanes {
                title: "Who could read, over time".to_owned(),
                span,
                lanes,
                more,
            });
        }
        if ended > 0 {
            report.findings.push(
                "Taking a reader out ends their access to records sealed from then on. What they could open before they may have kept, and nothing undoes that."
                    .to_owned(),
            );
        }
        if self.required == 0 {
            report
                .findings
                .push("No reader is required: a writer may leave any of them out of a batch.".to_owned());
        }
        let rows = readers.iter().take(request.rows).map(|t| self.reader_row(t, &zone)).collect();
        let mut tables = vec![Table {
            name: "readers",
            title: "Readers".to_owned(),
            about: "One row for each time a key was a reader. Records sealed in that time were to be sealed for it.".to_owned(),
            order: "oldest first",
            columns: READER_COLUMNS.to_vec(),
            rows,
            total: readers.len() as u64,
            main: true,
            apart: false,
        }];
        let rows: Vec<Row> =
            grants.iter().rev().take(request.rows).map(|(p, g, by)| self.grant_row(*p, g, by)).collect();
        tables.push(plain(
            "grants",
            "Grants of older records",
            "One row for each grant: an auditor re-wrapped the keys of a range for a later reader.",
            &GRANT_COLUMNS,
            rows,
            grants.len(),
        ));
        let others: Vec<&Tenure> = all.iter().copied().filter(|t| t.role != READER).collect();
        let rows = others.iter().take(request.rows).map(|t| other_row(t)).collect();
        tables.push(Table {
            order: "by role, oldest first",
            ..plain(
                "officials",
                "Who may write, decide and erase",
                "One row for each time a key held a role.",
                &OTHER_COLUMNS,
                rows,
                others.len(),
            )
        });
        let inside: Vec<Row> =
            self.changes.iter().rev().filter(|row| in_period(row, request)).cloned().collect();
        let total = inside.len();
        tables.push(plain(
            "changes",
            "Decisions",
            "One row for each roster: what it changed, and which admins signed it.",
            &CHANGE_COLUMNS,
            inside.into_iter().take(request.rows).collect(),
            total,
        ));
        report.tables = tables;
        report.notes.push(
            "A roster names whom batches are to be sealed for from the next block on; a writer's policy can keep sections from some readers. Whom a \
             batch was really sealed for stands in its signed header; `sealtrail audit verify` reports readers outside the roster."
                .to_owned(),
        );
        report.notes.push(
            "Times are those of the ledger's commits. The rows rest on signed statements in the blocks they name, which anyone can \
             fetch and check."
                .to_owned(),
        );
        if self.cut > 0 {
            report.notes.push(format!(
                "{} not listed: there are too many.",
                count(self.cut, "change is", "changes are")
            ));
        }
    }
}

const READER: &str = "reader";

const READER_COLUMNS: [Column; 9] = [
    Column::new("reader", "Reader"),
    Column::below("recipient", "key"),
    Column::new("from", "From"),
    Column::below("from_block", "block"),
    Column::new("until", "Until"),
    Column::below("until_block", "block"),
    Column::new("records", "Records sealed in that time"),
    Column::new("required", "Required"),
    Column::new("status", "Status"),
];

const GRANT_COLUMNS: [Column; 8] = [
    Column::new("to", "To"),
    Column::below("recipient", "key"),
    Column::new("granted_records", "Records"),
    Column::below("count", "how many"),
    Column::new("from", "By the key of"),
    Column::new("committed", "Committed"),
    Column::below("block", "block"),
    Column::new("signed_by", "Signed by"),
];

const OTHER_COLUMNS: [Column; 7] = [
    Column::new("role", "Role"),
    Column::new("name", "Name"),
    Column::below("key", "key"),
    Column::new("from", "From"),
    Column::below("from_block", "block"),
    Column::new("until", "Until"),
    Column::below("until_block", "block"),
];

const CHANGE_COLUMNS: [Column; 4] = [
    Column::new("committed", "Committed"),
    Column::below("block", "block"),
    Column::new("changes", "What changed"),
    Column::new("signed_by", "Signed by"),
];

fn plain(
    name: &'static str,
    title: &str,
    about: &str,
    columns: &[Column],
    rows: Vec<Row>,
    total: usize,
) -> Table {
    Table {
        name,
        title: title.to_owned(),
        about: about.to_owned(),
        order: "newest first",
        columns: columns.to_vec(),
        rows,
        total: total as u64,
        main: false,
        apart: false,
    }
}

fn in_period(row: &Row, request: &ReportRequest) -> bool {
    matches!(row.cells.first(), Some(Cell::Time { at, .. }) if request.covers(*at))
}

impl Readers {
    fn roster(&mut self, place: Place, roster: &Roster, signers: &str) {
        let keys = |role: &'static str, keys: &[crate::chain::key::VerifierKey]| {
            keys.iter().map(|k| (role, k.name().to_owned(), k.to_string(), false)).collect::<Vec<_>>()
        };
        let mut now = keys("admin", &roster.admins);
        now.extend(keys("writer", &roster.writers));
        now.extend(roster.readers.iter().map(|r| (READER, r.name.clone(), r.recipient.clone(), r.required)));
        now.extend(keys("officer", &roster.officers));
        now.extend(keys("witness", &roster.witnesses));
        let mut words = Vec::new();
        let gone: Vec<_> = self
            .held
            .values()
            .filter(|t| {
                !now.iter().any(|n| n.0 == t.role && n.1 == t.name && n.2 == t.key && n.3 == t.required)
            })
            .map(|t| (t.role, t.name.clone()))
            .collect();
        for id in gone {
            let Some(mut old) = self.held.remove(&id) else { continue };
            let next = now.iter().find(|n| n.0 == old.role && n.1 == old.name);
            old.key_changed = next.is_some_and(|n| n.2 != old.key);
            words.push(match next {
                None => format!("{} {} taken out", old.role, old.name),
                Some(n) if n.2 != old.key => format!("{} {} has another key", old.role, old.name),
                Some(n) if n.3 => format!("{} {} is required from now on", old.role, old.name),
                Some(_) => format!("{} {} is no longer required", old.role, old.name),
            });
            old.until = Some(place);
            if self.past.len() < MAX_REPORT_KEYS { self.past.push(old) } else { self.cut += 1 }
        }
        for (role, name, key, required) in now {
            let id = (role, name.clone());
            if self.held.contains_key(&id) {
                continue;
            }
            if !words.iter().any(|w| w.starts_with(&format!("{role} {name} "))) {
                words.push(format!("{role} {name} let in{}", if required { ", required" } else { "" }));
            }
            self.held.insert(
                id,
                Tenure { role, name, key, required, from: place, until: None, key_changed: false },
            );
        }
        self.required = roster.required_readers().count() as u64;
        self.rosters += 1;
        let needed = roster.officers_required.max(1);
        if !roster.officers.is_empty() && self.officers != Some(needed) {
            words.push(format!("an erasure needs {} of officers", count(needed, "signature", "signatures")));
            self.officers = Some(needed);
        }
        let changed = if words.is_empty() { "nothing about roles".to_owned() } else { words.join("; ") };
        let cells = vec![
            Cell::time(Some(place.at)),
            Cell::Number(place.block),
            Cell::text(Some(&changed)),
            Cell::text(Some(signers)),
        ];
        if self.changes.len() < MAX_REPORT_KEYS {
            self.changes.push(Row { cells, records: RecordSet::default(), mark: Mark::None });
        } else {
            self.cut += 1;
        }
    }

    fn reader_row(&self, t: &Tenure, zone: &super::period::Zone) -> Row {
        let sealed = t.until.map_or(self.records, |u| u.record)
            - t.from.record.min(t.until.map_or(self.records, |u| u.record));
        let records = match sealed {
            0 => "none".to_owned(),
            n => {
                let range = (t.from.record, t.from.record + n - 1);
                format!("{} ({})", super::coverage::range_name(&range), thousands(n))
            }
        };
        let status = match (t.until, t.key_changed) {
            (None, _) => "reads".to_owned(),
            (Some(u), true) => format!("key replaced on {}", zone.show_date(u.at)),
            (Some(u), false) => format!("ended on {}", zone.show_date(u.at)),
        };
        let mut cells = vec![Cell::text(Some(&t.name)), Cell::text(Some(&t.key))];
        cells.extend(span_cells(t));
        cells.extend([
            Cell::Text(records),
            Cell::Text(if t.required { "yes" } else { "no" }.to_owned()),
            Cell::Text(status),
        ]);
        Row { cells, records: RecordSet::default(), mark: Mark::None }
    }

    fn grant_row(&self, place: Place, g: &GrantStatement, by: &str) -> Row {
        let known = self.past.iter().chain(self.held.values()).find(|t| t.role == READER && t.key == g.from);
        let from = known.map_or(g.from.as_str(), |t| t.name.as_str());
        let range = (g.range.first, g.range.last);
        let cells = vec![
            Cell::text(Some(&g.to_name)),
            Cell::text(Some(&g.to)),
            Cell::Text(super::coverage::range_name(&range)),
            Cell::Number((range.1 - range.0).saturating_add(1)),
            Cell::text(Some(from)),
            Cell::time(Some(place.at)),
            Cell::Number(place.block),
            Cell::text(Some(by)),
        ];
        Row { cells, records: RecordSet::default(), mark: Mark::None }
    }
}

fn span_cells(t: &Tenure) -> [Cell; 4] {
    [
        Cell::time(Some(t.from.at)),
        Cell::Number(t.from.block),
        Cell::time(t.until.map(|u| u.at)),
        t.until.map_or(Cell::Missing, |u| Cell::Number(u.block)),
    ]
}

fn other_row(t: &Tenure) -> Row {
    let mut cells = vec![Cell::Text(t.role.to_owned()), Cell::text(Some(&t.name)), Cell::text(Some(&t.key))];
    cells.extend(span_cells(t));
    Row { cells, records: RecordSet::default(), mark: Mark::None }
}
