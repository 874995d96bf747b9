//! `denied`: denied and failed attempts; `break-glass`: emergency access. Both list rare events that someone must look at.

use super::access::{NO_USER, close_answer, every_hour};
use super::events::{Events, Field};
use super::kind::ReportKind;
use super::model::{Cell, Column, Figure, Report};
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Groups, Pairs, Week};
use super::text::{count, patient, share, thousands};

/// What events without an address are counted under.
pub(super) const NO_ADDRESS: &str = "(no address)";

const FIELDS: [Field; 15] = [
    Field::Time,
    Field::Who,
    Field::Role,
    Field::Action,
    Field::EventType,
    Field::Patient,
    Field::ResourceType,
    Field::Resource,
    Field::Purpose,
    Field::LegalBasis,
    Field::Reason,
    Field::Outcome,
    Field::Result,
    Field::Address,
    Field::Application,
];

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    Box::new(Attempts {
        emergency: request.kind == ReportKind::BreakGlass,
        events: Events::new(&FIELDS, request.rows, false),
        users: Groups::default(),
        addresses: Groups::default(),
        patients: Pairs::default(),
        named_patients: 0,
        days: Days::default(),
        week: Week::default(),
        all: [0; 4],
        looked_at: 0,
        without_reason: 0,
    })
}

struct Attempts {
    emergency: bool,
    events: Events,
    users: Groups,
    addresses: Groups,
    patients: Pairs,
    named_patients: u64,
    days: Days,
    week: Week,
    all: [u64; 4],
    /// Events of any kind that were asked for.
    looked_at: u64,
    without_reason: u64,
}

impl Collector for Attempts {
    fn entry(&mut self, e: &Entry<'_>) {
        self.looked_at += 1;
        if !(if self.emergency { e.facts.emergency } else { e.refused() }) {
            return;
        }
        let f = e.facts;
        if let Some(n) = self.all.get_mut(e.outcome()) {
            *n += 1;
        }
        self.without_reason += u64::from(f.reason.as_deref().is_none_or(|r| r.trim().is_empty()));
        let (user, address) =
            (e.who.as_deref().unwrap_or(NO_USER), f.address.as_deref().unwrap_or(NO_ADDRESS));
        let about = f.patient.as_deref().map(patient);
        if let Some(about) = about {
            self.named_patients += u64::from(self.patients.is_new(("", about)));
        }
        if let Some(group) = self.users.add(user, e) {
            group.lists[0].add(f.role.as_deref());
            group.lists[1].add(f.address.as_deref());
            group.lists[2].add(f.reason.as_deref());
            group.different[0] += u64::from(about.is_some_and(|p| self.patients.is_new((user, p))));
        }
        if let Some(group) = self.addresses.add(address, e) {
            group.lists[0].add(e.who.as_deref());
        }
        self.days.add(e);
        self.week.add(e);
        self.events.add(e, None);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, total) = (request.period(), self.events.total());
        let [_, denied, failed, _] = self.all;
        let users = self.users.len() - u64::from(self.users.get(NO_USER).is_some());
        let figure =
            |label: &str, value: String, alert: bool| Figure { label: label.to_owned(), value, alert };
        if self.emergency {
            report.question = format!("Who used emergency access in {period}, to whose records, and why?");
            report.answer = match total {
                0 => format!("No event that could be read shows emergency access in {period}"),
                n => format!(
                    "In {period}, emergency access was used in {} by {}, to the records of {}",
                    count(n, "event", "events"),
                    count(users, "named user", "different named users"),
                    count(self.named_patients, "named patient", "different named patients")
                ),
            };
            close_answer(report);
            if self.without_reason > 0 {
                report
                    .findings
                    .push(format!("{} of these events state no reason.", share(self.without_reason, total)));
            }
            if denied + failed > 0 {
                report.findings.push(format!(
                    "{} denied or failed in spite of it.",
                    count(denied + failed, "event was", "events were")
                ));
            }
            report.figures = vec![
                figure("emergency events", thousands(total), total > 0),
                figure("users", thousands(users), false),
                figure("patients", thousands(self.named_patients), false),
                figure("without a reason", thousands(self.without_reason), self.without_reason > 0),
            ];
        } else {
            report.question =
                format!("Which attempts were denied or failed in {period}, whose were they, and from where?");
            report.answer = match total {
                0 => format!("No event that could be read shows a denied or failed attempt in {period}"),
                _ => format!(
                    "In {period}, {} denied and {} failed, of {} looked at; {} behind them",
                    count(denied, "attempt was", "attempts were"),
                    thousands(failed),
                    count(self.looked_at, "event", "events"),
                    match users {
                        1 => "1 named user is".to_owned(),
                        n => format!("{} different named users are", thousands(n)),
                    }
                ),
            };
            close_answer(report);
            if let Some((name, g)) =
                self.users.ranked().first().filter(|(_, g)| total >= 10 && g.events * 2 > total)
            {
                report
                    .findings
                    .push(format!("User {name} alone accounts for {} of them.", share(g.events, total)));
            }
            if let Some((name, g)) = self
                .addresses
                .ranked()
                .first()
                .filter(|(n, g)| *n != NO_ADDRESS && total >= 10 && g.events * 2 > total)
            {
                report
                    .findings
                    .push(format!("Address {name} alone accounts for {} of them.", share(g.events, total)));
            }
            let addresses = self.addresses.len() - u64::from(self.addresses.get(NO_ADDRESS).is_some());
            report.figures = vec![
                figure("denied", thousands(denied), denied > 0),
                figure("failed", thousands(failed), failed > 0),
                figure("users", thousands(users), false),
                figure("addresses", thousands(addresses), false),
            ];
        }
        if total > 0 {
            report.charts.extend(self.days.chart(
                if self.emergency { "Emergency access by day" } else { "Denied and failed attempts by day" },
                request,
                true,
            ));
            report.charts.push(self.users.bars("By user"));
            if !self.emergency {
                report.charts.push(self.addresses.bars("By address"));
            }
            report.charts.push(self.week.chart("By weekday and hour", &every_hour()));
        }
        let columns = [
            Column::new("user", "User"),
            Column::below("roles", "roles"),
            Column::new("events", "Events"),
            Column::new("denied", "Denied"),
            Column::new("failed", "Failed"),
            Column::new("patients", "Patients"),
            Column::new("addresses", "Addresses"),
            Column::new("reasons", "Reasons stated"),
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
                    Cell::Number(g.outcomes[1]),
                    Cell::Number(g.outcomes[2]),
                    self.patients.cell(g.different[0]),
                    g.lists[1].cell(),
                    g.lists[2].cell(),
                    Cell::time(g.first),
                    Cell::time(g.last),
                ]
            },
        ));
        if !self.emergency {
            let columns = [
                Column::new("address", "Address"),
                Column::new("events", "Events"),
                Column::new("users", "Users"),
                Column::new("first", "First"),
                Column::below("last", "last"),
            ];
            report.tables.push(self.addresses.table(
                ("addresses", "By address", "One row for each network address."),
                &columns,
                request.rows,
                |name, g| {
                    vec![
                        Cell::text(Some(name)),
                        Cell::Number(g.events),
                        g.lists[0].cell(),
                        Cell::time(g.first),
                        Cell::time(g.last),
                    ]
                },
            ));
        }
        let title =
            if self.emergency { "Every use of emergency access" } else { "Every denied or failed attempt" };
        let mut table = self.events.table("events", title, "One row for each event.");
        table.main = true;
        report.tables.push(table);
        report.notes.push(if self.emergency {
            "An event counts as emergency access if it says so itself: a flag, the DICOM code 110127, or a purpose of use such as ETREAT or BTG.".to_owned()
        } else {
            "Denied: it was refused. Failed: it was allowed and did not succeed. An event that states no outcome is in neither.".to_owned()
        });
    }
}
