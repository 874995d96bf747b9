//! `processing-register`: processing by legal basis and category of data, GDPR Article 30.

use std::collections::HashMap;

use super::access::{NO_USER, close_answer};
use super::model::{Cell, Column, Figure, Mark, Report, Row, Table};
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Groups, Pairs};
use super::text::{clip, count, patient, share, thousands};

/// What events without a legal basis are counted under.
const NO_BASIS: &str = "(no legal basis stated)";
/// What events without a kind of resource are counted under.
const NO_CATEGORY: &str = "(no category stated)";

pub(super) fn collector() -> Box<dyn Collector> {
    Box::new(Register::default())
}

#[derive(Default)]
struct Register {
    /// By legal basis and category; the key is an index into `keys`.
    cells: Groups,
    keys: HashMap<String, (String, String)>,
    bases: Groups,
    processors: Pairs,
    subjects: Pairs,
    all_processors: u64,
    all_subjects: u64,
    events: u64,
}

impl Collector for Register {
    fn entry(&mut self, e: &Entry<'_>) {
        let f = e.facts;
        self.events += 1;
        let stated = |t: &Option<String>, none: &str| {
            clip(t.as_deref().map(str::trim).filter(|t| !t.is_empty()).unwrap_or(none))
        };
        let (basis, category) = (stated(&f.legal_basis, NO_BASIS), stated(&f.resource_type, NO_CATEGORY));
        let key = format!("{}:{basis}{category}", basis.len());
        self.bases.add(&basis, e);
        let about = f.patient.as_deref().map(patient);
        self.all_processors += u64::from(e.who.as_deref().is_some_and(|w| self.processors.is_new(("", w))));
        self.all_subjects += u64::from(about.is_some_and(|p| self.subjects.is_new(("", p))));
        let Some(group) = self.cells.add(&key, e) else { return };
        group.lists[0].add(f.purpose.as_deref());
        group.lists[1].add(f.recipient.as_deref());
        group.lists[2].add(f.operation.or(f.action.as_deref()));
        group.different[0] +=
            u64::from(e.who.as_deref().is_some_and(|w| self.processors.is_new((key.as_str(), w))));
        group.different[1] += u64::from(about.is_some_and(|p| self.subjects.is_new((key.as_str(), p))));
        // The groups know a long key by its shortened form.
        self.keys.entry(clip(&key)).or_insert((basis, category));
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let period = request.period();
        let without = self.bases.get(NO_BASIS).map_or(0, |g| g.events);
        let bases = self.bases.len() - u64::from(without > 0);
        report.question = format!(
            "Which categories of data were processed in {period}, on which legal basis, for what, and by how many people?"
        );
        report.answer = match self.events {
            0 => format!("No event of processing that could be read lies in {period}"),
            n => format!(
                "In {period}, {} of {} state their legal basis: {}, by {}",
                thousands(n - without),
                count(n, "event of processing", "events of processing"),
                count(bases, "basis", "different bases"),
                count(self.all_processors, "named processor", "different named processors")
            ),
        };
        close_answer(report);
        if without > 0 {
            report.findings.push(format!("{} events state no legal basis.", share(without, self.events)));
        }
        let figure =
            |label: &str, n: u64, alert: bool| Figure { label: label.to_owned(), value: thousands(n), alert };
        report.figures = vec![
            figure("events of processing", self.events, false),
            figure("legal bases", bases, false),
            figure("processors", self.all_processors, false),
            figure("data subjects", self.all_subjects, false),
            figure("without a legal basis", without, without > 0),
        ];
        report.charts.push(self.bases.bars("Events by legal basis"));
        let mut rows = Vec::new();
        for (key, g) in self.cells.ranked().into_iter().take(request.rows) {
            let Some((basis, category)) = self.keys.get(key) else { continue };
            let cells = vec![
                Cell::Text(basis.clone()),
                Cell::Text(category.clone()),
                Cell::Number(g.events),
                self.processors.cell(g.different[0]),
                self.subjects.cell(g.different[1]),
                g.lists[0].cell(),
                g.lists[2].cell(),
                g.lists[1].cell(),
                Cell::time(g.first),
                Cell::time(g.last),
            ];
            let mark = if basis == NO_BASIS { Mark::Attention } else { Mark::None };
            rows.push(Row { cells, records: g.records.clone(), mark });
        }
        report.tables.push(Table {
            name: "register",
            title: "Register".to_owned(),
            about: "One row for each legal basis and category of data.".to_owned(),
            order: "most events first",
            columns: vec![
                Column::new("legal_basis", "Legal basis"),
                Column::new("data_category", "Category of data"),
                Column::new("processing_events", "Events"),
                Column::new("unique_processors", "Processors"),
                Column::new("data_subjects", "Data subjects"),
                Column::new("purposes", "Purposes"),
                Column::below("operations", "operations"),
                Column::new("recipients", "Recipients"),
                Column::new("first", "First"),
                Column::below("last", "last"),
            ],
            rows,
            total: self.cells.len(),
            main: true,
            apart: false,
        });
        report.notes.push(format!(
            "Processors are the different users that events name; events that name none ({NO_USER}) add none. The category is the kind of resource."
        ));
        report.notes.push(
            "Article 30 also asks for what no log holds: the controller and its contact, transfers to third countries, time limits for erasure and \
             the security measures. This is the part that the log can show."
                .to_owned(),
        );
    }
}
