//! `after-hours`: what was done outside working hours.

use super::access::{NO_USER, close_answer};
use super::events::{Events, Field};
use super::model::{Cell, Column, Figure, Report};
use super::period::WorkingHours;
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Groups, Pairs, Week};
use super::text::{count, patient, thousands};

const FIELDS: [Field; 13] = [
    Field::Time,
    Field::Who,
    Field::Role,
    Field::Action,
    Field::EventType,
    Field::Patient,
    Field::ResourceType,
    Field::Resource,
    Field::Purpose,
    Field::Reason,
    Field::Outcome,
    Field::Address,
    Field::Application,
];

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    Box::new(AfterHours {
        hours: request.hours.clone().unwrap_or_default(),
        events: Events::new(&FIELDS, request.rows, false),
        users: Groups::default(),
        patients: Pairs::default(),
        days: Days::default(),
        week: Week::default(),
        looked_at: 0,
        refused: 0,
        free_days: 0,
        unknown: 0,
    })
}

struct AfterHours {
    hours: WorkingHours,
    events: Events,
    users: Groups,
    patients: Pairs,
    days: Days,
    week: Week,
    looked_at: u64,
    refused: u64,
    free_days: u64,
    /// Events without a time of their own: when they happened is not known.
    unknown: u64,
}

impl Collector for AfterHours {
    fn entry(&mut self, e: &Entry<'_>) {
        if e.sealed_time {
            self.unknown += 1;
            return;
        }
        self.looked_at += 1;
        self.week.add(e);
        if self.hours.include(e.local) {
            return;
        }
        self.refused += u64::from(e.refused());
        self.free_days += u64::from(!self.hours.days.get(e.local.weekday).copied().unwrap_or(true));
        let user = e.who.as_deref().unwrap_or(NO_USER);
        if let Some(group) = self.users.add(user, e) {
            group.lists[0].add(e.facts.role.as_deref());
            group.lists[1].add(e.facts.purpose.as_deref());
            let about = e.facts.patient.as_deref().map(patient);
            group.different[0] += u64::from(about.is_some_and(|p| self.patients.is_new((user, p))));
        }
        self.days.add(e);
        self.events.add(e, None);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, total) = (request.period(), self.events.total());
        let zone = request.zone();
        let users = self.users.len() - u64::from(self.users.get(NO_USER).is_some());
        report.question =
            format!("Who was active outside working hours ({}, {}) in {period}?", self.hours, zone.name());
        report.answer = match total {
            0 => format!("No event that could be read lies outside working hours in {period}"),
            n => format!(
                "In {period}, {} of {} outside working hours, by {}",
                thousands(n),
                count(self.looked_at, "event lies", "events lie"),
                count(users, "named user", "different named users")
            ),
        };
        close_answer(report);
        if self.unknown > 0 {
            report.findings.push(format!(
                "{} no time that can be read. When that happened is not known, and it is left out.",
                count(self.unknown, "event gives", "events give")
            ));
        }
        let figure =
            |label: &str, n: u64, alert: bool| Figure { label: label.to_owned(), value: thousands(n), alert };
        report.figures = vec![
            figure("outside working hours", total, total > 0),
            figure("of them on days off", self.free_days, false),
            figure("of them denied or failed", self.refused, self.refused > 0),
            figure("users", users, false),
        ];
        report.charts.push(
            self.week.chart("All events by weekday and hour; outside working hours framed", &self.hours),
        );
        if total > 0 {
            report.charts.push(self.users.bars("Outside working hours, by user"));
            report.charts.extend(self.days.chart("Outside working hours, by day", request, true));
        }
        let columns = [
            Column::new("user", "User"),
            Column::below("roles", "roles"),
            Column::new("events", "Events"),
            Column::new("refused", "Denied or failed"),
            Column::new("patients", "Patients"),
            Column::new("purposes", "Purposes"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        report.tables.push(self.users.table(
            ("users", "By user", "One row for each user."),
            &columns,
            request.rows,
            |name, g| {
                vec![
                    Cell::text(Some(name)),
                    g.lists[0].cell(),
                    Cell::Number(g.events),
                    Cell::Number(g.refused()),
                    self.patients.cell(g.different[0]),
                    g.lists[1].cell(),
                    Cell::time(g.first),
                    Cell::time(g.last),
                ]
            },
        ));
        let mut table =
            self.events.table("events", "Every event outside working hours", "One row for each event.");
        table.main = true;
        report.tables.push(table);
        report.notes.push(
            "Who works shifts or is on call is not known to the ledger; public holidays are not taken into account.".to_owned(),
        );
    }
}
