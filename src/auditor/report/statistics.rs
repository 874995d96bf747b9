//! `statistics`: events by type, category, severity, outcome and day.

use super::access::{close_answer, every_hour};
use super::events::outcome_name;
use super::model::{Cell, Column, Figure, Report};
use super::period::date_of;
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Groups, Pairs, Week};
use super::text::{count, patient, thousands};

/// What events that state nothing are counted under.
const NOT_STATED: &str = "(not stated)";

pub(super) fn collector() -> Box<dyn Collector> {
    Box::new(Statistics::default())
}

#[derive(Default)]
struct Statistics {
    types: Groups,
    categories: Groups,
    severities: Groups,
    outcomes: Groups,
    operations: Groups,
    by_day: Groups,
    days: Days,
    week: Week,
    different: Pairs,
    users: u64,
    patients: u64,
    all: [u64; 4],
}

impl Collector for Statistics {
    fn entry(&mut self, e: &Entry<'_>) {
        let f = e.facts;
        let name = |t: &Option<String>| {
            t.clone().filter(|t| !t.trim().is_empty()).unwrap_or_else(|| NOT_STATED.to_owned())
        };
        self.types.add(&name(&f.event_type), e);
        self.categories.add(&name(&f.category), e);
        // Severities are written in either case; they are the same few words.
        self.severities.add(&name(&f.severity).to_lowercase(), e);
        self.outcomes.add(outcome_name(e.outcome()), e);
        self.operations.add(f.operation.unwrap_or(NOT_STATED), e);
        self.by_day.add(&date_of(e.local.day).to_string(), e);
        self.days.add(e);
        self.week.add(e);
        self.users += u64::from(e.who.as_deref().is_some_and(|w| self.different.is_new(("user", w))));
        let about = f.patient.as_deref().map(patient);
        self.patients += u64::from(about.is_some_and(|p| self.different.is_new(("patient", p))));
        if let Some(n) = self.all.get_mut(e.outcome()) {
            *n += 1;
        }
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let period = request.period();
        let total: u64 = self.all.iter().sum();
        let [allowed, denied, failed, unstated] = self.all;
        report.question =
            format!("How many events of which kind were there in {period}, and how did they end?");
        report.answer = match total {
            0 => format!("No event that could be read lies in {period}"),
            n => format!(
                "In {period}, {}: {} allowed, {} denied, {} failed, {} without a stated outcome",
                count(n, "event was read", "events were read"),
                thousands(allowed),
                thousands(denied),
                thousands(failed),
                thousands(unstated)
            ),
        };
        close_answer(report);
        let least = if self.different.full { "at least " } else { "" };
        let figure =
            |label: &str, value: String, alert: bool| Figure { label: label.to_owned(), value, alert };
        report.figures = vec![
            figure("events", thousands(total), false),
            figure("users", format!("{least}{}", thousands(self.users)), false),
            figure("patients", format!("{least}{}", thousands(self.patients)), false),
            figure("denied or failed", thousands(denied + failed), denied + failed > 0),
        ];
        if total > 0 {
            report.charts.extend(self.days.chart("Events by day", request, true));
            report.charts.push(self.types.bars("By type of event"));
            report.charts.push(self.categories.bars("By category"));
            report.charts.push(self.severities.bars("By severity"));
            report.charts.push(self.week.chart("By weekday and hour", &every_hour()));
        }
        let columns = |name, title| {
            [
                Column::new(name, title),
                Column::new("events", "Events"),
                Column::new("allowed", "Allowed"),
                Column::new("denied", "Denied"),
                Column::new("failed", "Failed"),
                Column::new("not_stated", "Not stated"),
                Column::new("first_seen", "First"),
                Column::new("last_seen", "Last"),
            ]
        };
        let mut put = |groups: &Groups, heading: (&'static str, &str, &str), column, title, main: bool| {
            let mut table = groups.table(heading, &columns(column, title), request.rows, |name, g| {
                let mut cells = vec![Cell::text(Some(name)), Cell::Number(g.events)];
                cells.extend(g.outcomes.iter().map(|n| Cell::Number(*n)));
                cells.extend([Cell::time(g.first), Cell::time(g.last)]);
                cells
            });
            table.main = main;
            report.tables.push(table);
        };
        put(
            &self.types,
            ("event-types", "By type of event", "One row for each type."),
            "event_type",
            "Type",
            true,
        );
        put(
            &self.categories,
            ("categories", "By category", "One row for each category."),
            "category",
            "Category",
            false,
        );
        put(
            &self.severities,
            ("severities", "By severity", "One row for each severity, in small letters."),
            "severity",
            "Severity",
            false,
        );
        put(
            &self.outcomes,
            ("outcomes", "By outcome", "One row for each outcome."),
            "outcome",
            "Outcome",
            false,
        );
        put(
            &self.operations,
            ("operations", "By operation", "One row for each kind of operation."),
            "operation",
            "Operation",
            false,
        );
        put(&self.by_day, ("days", "By day", "One row for each day with an event."), "day", "Day", false);
        if let Some(days) = report.tables.iter_mut().find(|t| t.name == "days") {
            days.rows.sort_by(|a, b| format!("{:?}", b.cells.first()).cmp(&format!("{:?}", a.cells.first())));
            days.order = "newest first";
        }
    }
}
