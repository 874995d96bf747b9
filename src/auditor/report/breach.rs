//! `breach-scope`: who is affected by a breach, GDPR Article 33(3) and 45 CFR 164.404.

use super::access::{NO_PATIENT, NO_USER, close_answer};
use super::model::{Cell, Column, Figure, Mark, Report, Row};
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Group, Groups, Pairs};
use super::text::{count, patient, thousands};
use crate::auditor::record::AuditRecord;
use crate::base::clock::Timestamp;

/// From how many affected people on 45 CFR 164.408(b) asks for a notice to the Secretary without delay.
const MANY: u64 = 500;
/// Whether someone is affected, if events name no patient.
const NOT_KNOWN: &str = "not known";

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    Box::new(Breach { from: request.from, ..Breach::default() })
}

#[derive(Default)]
struct Breach {
    patients: Groups,
    users: Groups,
    addresses: Groups,
    kinds: Groups,
    pairs: Pairs,
    days: Days,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    events: u64,
    refused: u64,
    from: Option<Timestamp>,
    /// Events before and after the period, if by the same user or address: how many, the first or the last.
    before: Option<Timestamp>,
    before_count: u64,
    after: Option<Timestamp>,
    after_count: u64,
}

impl Collector for Breach {
    fn outside(&mut self, time: Timestamp, _record: &AuditRecord) {
        if self.from.is_some_and(|from| time < from) {
            self.before_count += 1;
            self.before = Some(self.before.map_or(time, |t| t.min(time)));
        } else {
            self.after_count += 1;
            self.after = Some(self.after.map_or(time, |t| t.max(time)));
        }
    }

    fn entry(&mut self, e: &Entry<'_>) {
        let f = e.facts;
        self.events += 1;
        self.refused += u64::from(e.refused());
        if !e.refused() {
            self.first = Some(self.first.map_or(e.time, |t| t.min(e.time)));
            self.last = Some(self.last.map_or(e.time, |t| t.max(e.time)));
        }
        let about = f.patient.as_deref().map_or(NO_PATIENT, patient);
        let user = e.who.as_deref().unwrap_or(NO_USER);
        if let Some(group) = self.patients.add(about, e) {
            group.lists[0].add(e.who.as_deref());
            group.lists[1].add(f.resource_type.as_deref());
            group.lists[2].add(f.operation.or(f.action.as_deref()));
            group.different[0] += u64::from(e.who.is_some() && self.pairs.is_new(("user", about, user)));
        }
        if let Some(group) = self.users.add(user, e) {
            group.lists[0].add(f.role.as_deref());
            group.lists[1].add(f.address.as_deref());
            group.lists[2].add(f.application.as_deref());
            let reached = about != NO_PATIENT && !e.refused();
            group.different[0] += u64::from(reached && self.pairs.is_new(("patient", user, about)));
        }
        if let Some(address) = f.address.as_deref() {
            self.addresses.add(address, e);
        }
        if let Some(kind) = f.resource_type.as_deref() {
            self.kinds.add(kind, e);
        }
        self.days.add(e);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, zone) = (request.period(), request.zone());
        let reached = |g: &Group| g.events > g.refused();
        let affected = self.patients.all().filter(|(n, g)| *n != NO_PATIENT && reached(g)).count() as u64;
        let tried = self.patients.all().filter(|(n, g)| *n != NO_PATIENT && !reached(g)).count() as u64;
        let unnamed = self.patients.get(NO_PATIENT).map_or(0, |g| g.events - g.refused());
        let users = self.users.len() - u64::from(self.users.get(NO_USER).is_some());
        let least = if self.patients.rest > 0 { "at least " } else { "" };
        let mut by = Vec::new();
        by.extend(request.actor.as_ref().map(|a| format!("user {a}")));
        by.extend(request.address.as_ref().map(|a| format!("address {a}")));
        let by = if by.is_empty() { String::new() } else { format!(" through {}", by.join(" at ")) };
        report.question =
            format!("Which patients are affected{by} in {period}, through which users, and since when?");
        let show = |t: Option<Timestamp>| t.map_or("never".to_owned(), |t| zone.show(t));
        report.answer = match self.events - self.refused {
            0 => format!("No event that could be read shows that anything was reached{by} in {period}"),
            n => format!(
                "In {period}, {}{by} affected {least}{}, the first at {}, the last at {}; {} involved",
                count(n, "event", "events"),
                count(affected, "named patient", "different named patients"),
                show(self.first),
                show(self.last),
                count(users, "named user was", "different named users were")
            ),
        };
        close_answer(report);
        if affected >= MANY {
            report.findings.push(format!(
                "{MANY} or more people are affected: 45 CFR 164.408(b) asks for notice to the Secretary at the same time as to them, and \
                 164.406 for notice to the media if they are residents of one state."
            ));
        }
        if unnamed > 0 {
            let n = count(unnamed, "event that was not refused names", "events that were not refused name");
            report
                .findings
                .push(format!("{n} no patient; whom they affect has to be found out from the systems."));
        }
        if tried > 0 {
            let n = count(tried, "further patient was", "further patients were");
            report.findings.push(format!(
                "{n} asked for, but every attempt was denied or failed; they stand at the end of the table."
            ));
        }
        // Without a user or address everything outside the period would count.
        let same = request.actor.is_some() || request.address.is_some();
        if same && self.before_count > 0 {
            report.findings.push(format!(
                "The same was active before the period already: {}, the first at {}. Consider an earlier --from.",
                count(self.before_count, "event", "events"),
                show(self.before)
            ));
        }
        if same && self.after_count > 0 {
            report.findings.push(format!(
                "And after the period: {}, the last at {}.",
                count(self.after_count, "event", "events"),
                show(self.after)
            ));
        }
        let figure =
            |label: &str, value: String, alert: bool| Figure { label: label.to_owned(), value, alert };
        report.figures = vec![
            figure("patients affected", format!("{least}{}", thousands(affected)), affected > 0),
            figure("events not refused", thousands(self.events - self.refused), false),
            figure("users", thousands(users), false),
            figure("since", self.first.map_or("–".to_owned(), |t| zone.show_date(t)), false),
            figure("denied or failed", thousands(self.refused), false),
        ];
        if self.events > 0 {
            report.charts.extend(self.days.chart("Events by day", request, true));
            report.charts.push(self.users.bars("By user"));
            report.charts.push(self.addresses.bars("By address"));
            report.charts.push(self.kinds.bars("By kind of data"));
        }
        self.tables(request, report);
        report.notes.push(
            "A patient is affected if at least one event about them was not denied and did not fail. The count is of the log: data reached in ways \
             that no system logs is not in it."
                .to_owned(),
        );
        report.notes.push(
            "GDPR Article 33 gives 72 hours from becoming aware; the notice names categories and approximate numbers of people and records. 45 CFR \
             164.404 gives 60 days to tell the people affected."
                .to_owned(),
        );
    }
}

impl Breach {
    fn tables(&self, request: &ReportRequest, report: &mut Report) {
        let columns = [
            Column::new("user", "User"),
            Column::below("roles", "roles"),
            Column::new("events", "Events"),
            Column::new("refused", "Denied or failed"),
            Column::new("patients", "Patients reached"),
            Column::new("addresses", "Addresses"),
            Column::new("applications", "Applications"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        report.tables.push(self.users.table(
            ("users", "Users involved", "One row for each user."),
            &columns,
            request.rows,
            |name, g| {
                vec![
                    Cell::text(Some(name)),
                    g.lists[0].cell(),
                    Cell::Number(g.events),
                    Cell::Number(g.refused()),
                    self.pairs.cell(g.different[0]),
                    g.lists[1].cell(),
                    g.lists[2].cell(),
                    Cell::time(g.first),
                    Cell::time(g.last),
                ]
            },
        ));
        let columns = [
            Column::new("patient", "Patient"),
            Column::new("affected", "Affected"),
            Column::new("events", "Events"),
            Column::new("refused", "Denied or failed"),
            Column::new("user_count", "Users"),
            Column::below("users", "names"),
            Column::new("data", "Kinds of data"),
            Column::new("operations", "Operations"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        let about = "One row for each patient, for the notices.";
        // Those to be told come first.
        let rank = |name: &str, g: &Group| match (name == NO_PATIENT, g.events > g.refused()) {
            (false, true) => 0,
            (true, _) => 1,
            (false, false) => 2,
        };
        let heading = ("patients", "Patients", about);
        let mut table = self.patients.table_by(heading, &columns, request.rows, rank, |name, g| {
            let affected = ["yes", NOT_KNOWN, "attempt only"].get(usize::from(rank(name, g)));
            vec![
                Cell::text(Some(name)),
                Cell::text(affected.copied()),
                Cell::Number(g.events),
                Cell::Number(g.refused()),
                self.pairs.cell(g.different[0]),
                g.lists[0].cell(),
                g.lists[1].cell(),
                g.lists[2].cell(),
                Cell::time(g.first),
                Cell::time(g.last),
            ]
        });
        let unknown = |r: &&mut Row| matches!(r.cells.get(1), Some(Cell::Text(t)) if t == NOT_KNOWN);
        for row in table.rows.iter_mut().filter(unknown) {
            row.mark = Mark::Attention;
        }
        table.order = "affected patients first, most events first";
        table.main = true;
        report.tables.push(table);
    }
}
