//! `review`: the list for the regular review, 45 CFR 164.308(a)(1)(ii)(D), with columns for the reviewer to fill in.

use super::access::close_answer;
use super::disclosures::is_disclosure;
use super::events::{Events, Field};
use super::model::{Figure, Report};
use super::period::WorkingHours;
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Groups};
use super::text::{count, thousands};
use crate::auditor::facts::Outcome;

const FIELDS: [Field; 16] = [
    Field::Time,
    Field::Why,
    Field::Who,
    Field::Role,
    Field::Address,
    Field::Action,
    Field::EventType,
    Field::Patient,
    Field::ResourceType,
    Field::Resource,
    Field::Purpose,
    Field::Reason,
    Field::Blank("status", "Status"),
    Field::Blank("comment", "comment"),
    Field::Blank("reviewer", "Reviewer"),
    Field::Blank("reviewed_on", "date"),
];

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    // Without a zone nobody knows what the clocks at work showed.
    let hours = request.zone.is_some().then(|| request.hours.clone().unwrap_or_default());
    Box::new(Review {
        hours,
        events: Events::new(&FIELDS, request.rows, false),
        reasons: Groups::default(),
        users: Groups::default(),
        days: Days::default(),
        looked_at: 0,
    })
}

struct Review {
    hours: Option<WorkingHours>,
    events: Events,
    reasons: Groups,
    users: Groups,
    days: Days,
    looked_at: u64,
}

impl Collector for Review {
    fn entry(&mut self, e: &Entry<'_>) {
        self.looked_at += 1;
        let reasons = self.reasons_for(e);
        if reasons.is_empty() {
            return;
        }
        for (name, _) in &reasons {
            self.reasons.add(name, e);
        }
        self.users.add(e.who.as_deref().unwrap_or(super::access::NO_USER), e);
        self.days.add(e);
        let why: Vec<String> = reasons.into_iter().map(|(_, sentence)| sentence).collect();
        self.events.add(e, Some(&why.join(" ")));
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, total) = (request.period(), self.events.total());
        report.question = format!("Which events in {period} should a person look at, and why?");
        report.answer = match total {
            0 => format!("No event that could be read in {period} needs a second look by the rules below"),
            n => format!(
                "In {period}, {} of {} should be looked at, each for the reason given with it",
                thousands(n),
                count(self.looked_at, "event", "events")
            ),
        };
        close_answer(report);
        let unreadable = report.coverage.unreadable.count;
        if unreadable > 0 {
            report.findings.push(format!(
                "{} unreadable in the whole ledger; the report integrity names them. They need a look too.",
                count(unreadable, "record is", "records are")
            ));
        }
        report.figures = vec![
            Figure { label: "to look at".into(), value: thousands(total), alert: total > 0 },
            Figure { label: "looked through".into(), value: thousands(self.looked_at), alert: false },
            Figure { label: "users".into(), value: thousands(self.users.len()), alert: false },
        ];
        if total > 0 {
            report.charts.push(self.reasons.bars("Why events are listed"));
            report.charts.push(self.users.bars("By user"));
            report.charts.extend(self.days.chart("By day", request, true));
        }
        let mut table = self.events.table(
            "review",
            "To be looked at",
            "One row for each event; the last columns are for the reviewer.",
        );
        table.main = true;
        // A page has no room for a column each; the machine-readable forms keep them apart.
        for column in &mut table.columns {
            let below = ["resource_type", "resource", "address", "reviewed_on", "comment"];
            column.below |= below.contains(&column.name);
        }
        report.tables.push(table);
        report.notes.push(format!(
            "Listed are events that were denied or failed, used emergency access, deleted something, disclosed data, have a high severity, or name \
             no user{}.",
            match &self.hours {
                Some(hours) => format!(", or lie outside working hours ({hours}, {})", request.zone().name()),
                None => "; with --timezone also those outside working hours".to_owned(),
            }
        ));
        report.notes.push("Status: nothing found · followed up · reported. Keep the signed list for six years (45 CFR 164.316(b)(2)(i)).".to_owned());
    }
}

impl Review {
    /// Reasons to look at an event: a short name, and a sentence.
    fn reasons_for(&self, e: &Entry<'_>) -> Vec<(&'static str, String)> {
        let f = e.facts;
        let mut out = Vec::new();
        match f.outcome {
            Some(Outcome::Denied) => out.push(("denied", "The attempt was denied.".to_owned())),
            Some(Outcome::Failed) => out.push(("failed", "The attempt failed.".to_owned())),
            Some(Outcome::Allowed) | None => {}
        }
        if f.emergency {
            let stated = f.reason.as_deref().is_some_and(|r| !r.trim().is_empty());
            let sentence = if stated {
                "Emergency access was used; check the reason."
            } else {
                "Emergency access was used, and no reason is stated."
            };
            out.push(("emergency access", sentence.to_owned()));
        }
        if f.operation == Some("delete") {
            out.push(("deletion", "Something was deleted.".to_owned()));
        }
        if is_disclosure(f) && !e.refused() {
            out.push((
                "disclosure",
                match &f.recipient {
                    Some(to) => format!("Data was disclosed to {}.", super::text::clip(to)),
                    None => "Data was disclosed; to whom is not stated.".to_owned(),
                },
            ));
        }
        let severe = f.severity.as_deref().filter(|s| {
            ["high", "critical", "alert", "emergency"].iter().any(|w| s.trim().eq_ignore_ascii_case(w))
        });
        if let Some(severity) = severe {
            out.push(("high severity", format!("The sender gave it the severity {severity}.")));
        }
        if let Some(hours) = &self.hours
            && !e.sealed_time
            && !hours.include(e.local)
        {
            out.push(("after hours", "It lies outside working hours.".to_owned()));
        }
        if e.who.is_none() {
            out.push(("no user", "It names no user.".to_owned()));
        }
        out
    }
}
