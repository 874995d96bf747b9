//! `patient-access`: who saw a patient's record; `user-activity`: what a user did. The same events from two sides.

use super::events::{Events, Field};
use super::kind::ReportKind;
use super::model::{Cell, Column, Figure, Report};
use super::period::WorkingHours;
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Group, Groups, Week};
use super::text::{count, patient, thousands};

/// What events without a user are counted under.
pub(super) const NO_USER: &str = "(no user named)";
/// What events without a patient are counted under.
pub(super) const NO_PATIENT: &str = "(no patient named)";

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    let patient = request.kind == ReportKind::PatientAccess;
    let fields: &[Field] = if patient { &PATIENT_FIELDS } else { &USER_FIELDS };
    Box::new(Access {
        patient,
        events: Events::new(fields, request.rows, request.hide_staff),
        names: Groups::default(),
        days: Days::default(),
        week: Week::default(),
        all: [0; 4],
        emergency: 0,
    })
}

const PATIENT_FIELDS: [Field; 13] = [
    Field::Time,
    Field::Who,
    Field::Role,
    Field::Action,
    Field::EventType,
    Field::ResourceType,
    Field::Resource,
    Field::Purpose,
    Field::LegalBasis,
    Field::Reason,
    Field::Outcome,
    Field::Address,
    Field::Application,
];

const USER_FIELDS: [Field; 13] = [
    Field::Time,
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

struct Access {
    patient: bool,
    events: Events,
    /// Users of a patient's record, or patients of a user.
    names: Groups,
    days: Days,
    week: Week,
    all: [u64; 4],
    emergency: u64,
}

impl Collector for Access {
    fn entry(&mut self, e: &Entry<'_>) {
        let name = if self.patient {
            e.who.as_deref().unwrap_or(NO_USER)
        } else {
            e.facts.patient.as_deref().map_or(NO_PATIENT, patient)
        };
        if let Some(group) = self.names.add(name, e) {
            let f = e.facts;
            let first = if self.patient { &f.role } else { &f.resource_type };
            group.lists[0].add(first.as_deref());
            group.lists[1].add(f.purpose.as_deref());
            group.lists[2].add(f.action.as_deref().or(f.operation));
        }
        self.days.add(e);
        self.week.add(e);
        if let Some(n) = self.all.get_mut(e.outcome()) {
            *n += 1;
        }
        self.emergency += u64::from(e.facts.emergency);
        self.events.add(e, None);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let [allowed, denied, failed, unstated] = self.all;
        let (done, refused) = (allowed + unstated, denied + failed);
        let none = if self.patient { NO_USER } else { NO_PATIENT };
        let reached = |g: &Group| g.events > g.refused();
        let named = self.names.all().filter(|(n, g)| *n != none && reached(g)).count() as u64;
        let unnamed = self.names.get(none).map_or(0, |g| g.events);
        let period = request.period();
        let rest = if self.names.rest > 0 { "at least " } else { "" };
        let of = |wanted: &Option<String>| wanted.clone().unwrap_or_default();
        if self.patient {
            let patient = of(&request.patient);
            report.question =
                format!("Who accessed the record of patient {patient} in {period}, and for what purpose?");
            report.answer = match done {
                0 => format!(
                    "No event that could be read shows that anyone accessed the record of patient {patient} in {period}"
                ),
                _ => format!(
                    "In {period}, {rest}{} accessed the record of patient {patient} in {}",
                    count(named, "named user", "different named users"),
                    count(done, "event", "events")
                ),
            };
        } else {
            let user = of(&request.actor);
            report.question = format!("What did user {user} do in {period}, and whose records did they see?");
            report.answer = match done + refused {
                0 => format!("No event that could be read shows any activity of user {user} in {period}"),
                _ => format!(
                    "In {period}, user {user} caused {} and reached the records of {rest}{}",
                    count(done + refused, "event", "events"),
                    count(named, "named patient", "different named patients")
                ),
            };
        }
        report.answer.push_str(&match refused {
            0 => String::new(),
            n if self.patient => {
                format!("; {} denied or failed", count(n, "further attempt was", "further attempts were"))
            }
            n => format!("; {} of the attempts were denied or failed", thousands(n)),
        });
        close_answer(report);
        if unnamed > 0 {
            let what = if self.patient { "who did it" } else { "a patient" };
            // A name that is sealed to others is not read either.
            report.findings.push(format!(
                "{} not name {what} as far as it could be read.",
                count(unnamed, "event does", "events do")
            ));
        }
        if self.emergency > 0 {
            let n = count(self.emergency, "event was", "events were");
            report.findings.push(format!(
                "{n} emergency access (\"break the glass\"); see the report break-glass for the reasons."
            ));
        }
        let alert =
            |label: &str, n: u64| Figure { label: label.to_owned(), value: thousands(n), alert: n > 0 };
        let plain = |label: &str, value: String| Figure { label: label.to_owned(), value, alert: false };
        let who = if self.patient { "users" } else { "patients" };
        report.figures = vec![
            plain(if self.patient { "accesses" } else { "events not refused" }, thousands(done)),
            plain(who, format!("{rest}{}", thousands(named))),
            alert("denied or failed", refused),
            alert("emergency access", self.emergency),
        ];
        report.charts.extend(self.days.chart("Events by day", request, true));
        report.charts.push(self.names.bars(if self.patient {
            "Events by user"
        } else {
            "Events by patient"
        }));
        if !self.patient {
            report.charts.push(self.week.chart("Events by weekday and hour", &every_hour()));
        }
        let summary = if self.patient {
            ("users", "Who, in summary", "One row for each user.")
        } else {
            ("patients", "Whose records, in summary", "One row for each patient.")
        };
        let columns = [
            Column::new(
                if self.patient { "user" } else { "patient" },
                if self.patient { "User" } else { "Patient" },
            ),
            Column::below(
                if self.patient { "roles" } else { "resource_types" },
                if self.patient { "roles" } else { "what" },
            ),
            Column::new("events", "Events"),
            Column::new("refused", "Denied or failed"),
            Column::new("emergency", "Emergency"),
            Column::new("purposes", "Purposes"),
            Column::new("actions", "Actions"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        report.tables.push(self.names.table(summary, &columns, request.rows, |name, g| {
            vec![
                Cell::text(Some(name)),
                g.lists[0].cell(),
                Cell::Number(g.events),
                Cell::Number(g.refused()),
                Cell::Number(g.emergency),
                g.lists[1].cell(),
                g.lists[2].cell(),
                Cell::time(g.first),
                Cell::time(g.last),
            ]
        }));
        let mut table = self.events.table("events", "Every event", "One row for each event.");
        table.main = true;
        report.tables.push(table);
        if self.patient && request.hide_staff {
            report.notes.push(
                "GDPR Article 15 gives a person the dates and purposes of consultations of their data; the names of staff who acted under the \
                 controller's authority only where they are needed to exercise their rights (Court of Justice, C-579/21)."
                    .to_owned(),
            );
        }
    }
}

/// No hour is out of the ordinary.
pub(super) fn every_hour() -> WorkingHours {
    WorkingHours { from: 0, to: 24 * 60, days: [true; 7] }
}

/// Ends the answer: with what it has to admit, and a full stop.
pub(super) fn close_answer(report: &mut Report) {
    if let Some(caveat) = report.coverage.caveat() {
        report.answer.push_str(&format!("; {caveat}"));
    }
    report.answer.push('.');
}
