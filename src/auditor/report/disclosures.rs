//! `disclosures`: the accounting of disclosures, 45 CFR 164.528: date, recipient, description, purpose.

use super::access::{NO_PATIENT, close_answer};
use super::events::{Events, Field};
use super::model::{Cell, Column, Figure, Mark, Report};
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, Groups, Pairs};
use super::text::{count, patient, same, thousands};
use crate::auditor::facts::Facts;

/// What a disclosure whose event names no recipient is counted under.
const NO_RECIPIENT: &str = "(no recipient named)";
/// Parts of words that tell a disclosure when no recipient is named.
const DISCLOSING: [&str; 5] = ["disclos", "export", "release", "share", "transmit"];
/// Why a disclosure is shown again on the sheet for the privacy officer.
const STILL_IN: &str = "Still in the accounting: looks like law enforcement or health oversight. If a suspension was asked for, make the \
    report again with --suspended RECIPIENT";
/// Parts of words that tell a health oversight agency or law enforcement, who may ask for a suspension, 164.528(a)(2).
const OFFICIAL: [&str; 8] = [
    "police",
    "law enforcement",
    "law-enforcement",
    "oversight",
    "sheriff",
    "prosecut",
    "attorney general",
    "inspector general",
];

/// What 164.528(a)(1) leaves out: words of purpose or legal basis, the paragraph, and what it says.
const EXCLUSIONS: [(&[&str], &str, &str); 8] = [
    (&["treat", "etreat", "treatment", "caremgt", "coc"], "(a)(1)(i)", "for treatment"),
    (&["hpaymt", "payment", "billing", "claimatt", "covauth"], "(a)(1)(i)", "for payment"),
    (&["hoperat", "operations", "health-care-operations"], "(a)(1)(i)", "for health care operations"),
    (&["patrqt", "patient-request", "individual"], "(a)(1)(ii)", "to the individual"),
    (
        &["authorization", "authorisation", "hipaa-authorization"],
        "(a)(1)(iv)",
        "under the individual's authorization",
    ),
    (
        &["directory", "family"],
        "(a)(1)(v)",
        "for the facility's directory or to persons involved in the care",
    ),
    (&["national-security", "intelligence"], "(a)(1)(vi)", "for national security or intelligence"),
    (&["limited-data-set"], "(a)(1)(viii)", "as part of a limited data set"),
];

const FIELDS: [Field; 11] = [
    Field::Time,
    Field::Recipient,
    Field::Patient,
    Field::ResourceType,
    Field::Resource,
    Field::Action,
    Field::Purpose,
    Field::LegalBasis,
    Field::Reason,
    Field::Who,
    Field::Role,
];

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    let with_why: Vec<Field> = std::iter::once(Field::Why).chain(FIELDS).collect();
    Box::new(Disclosures {
        suspended: request
            .suspended
            .iter()
            .map(|s| s.trim().to_lowercase())
            .filter(|s| !s.is_empty())
            .collect(),
        events: Events::new(&FIELDS, request.rows, request.hide_staff),
        apart: Events::new(&with_why, request.rows, request.hide_staff),
        recipients: Groups::default(),
        purposes: Pairs::default(),
        patients: Groups::default(),
        left_out: Groups::default(),
        days: Days::default(),
        without_recipient: 0,
        held_back: 0,
    })
}

struct Disclosures {
    suspended: Vec<String>,
    events: Events,
    /// Those under a suspension, or that may be.
    apart: Events,
    recipients: Groups,
    purposes: Pairs,
    patients: Groups,
    left_out: Groups,
    days: Days,
    without_recipient: u64,
    held_back: u64,
}

impl Collector for Disclosures {
    fn entry(&mut self, e: &Entry<'_>) {
        let f = e.facts;
        if !is_disclosure(f) {
            return;
        }
        if e.refused() {
            self.left_out.add("It was denied or failed: nothing was disclosed", e);
            return;
        }
        if let Some(why) = exclusion(f) {
            self.left_out.add(&why, e);
            return;
        }
        let recipient = f.recipient.as_deref();
        let lower = |t: Option<&str>| t.unwrap_or_default().to_lowercase();
        if self.suspended.iter().any(|s| lower(recipient).contains(s)) {
            self.apart.add(e, Some("Under a suspension: not to be told while it lasts"));
            self.held_back += 1;
            return;
        }
        let words = [recipient, f.purpose.as_deref(), f.legal_basis.as_deref(), f.reason.as_deref()];
        if words.iter().any(|t| OFFICIAL.iter().any(|o| lower(*t).contains(o))) {
            self.apart.add(e, Some(STILL_IN));
        }
        self.without_recipient += u64::from(recipient.is_none());
        let name = recipient.unwrap_or(NO_RECIPIENT);
        if let Some(group) = self.recipients.add(name, e) {
            group.lists[0].add(f.purpose.as_deref());
            group.lists[1].add(f.resource_type.as_deref());
            let about = f.patient.as_deref().map_or(NO_PATIENT, patient);
            group.different[0] += u64::from(self.purposes.is_new((name, about)));
        }
        self.patients.add(f.patient.as_deref().map_or(NO_PATIENT, patient), e);
        self.days.add(e);
        self.events.add(e, None);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        let (period, total) = (request.period(), self.events.total());
        let about = request.patient.as_ref().map_or(String::new(), |p| format!(" about patient {p}"));
        report.question = format!(
            "To whom was health information{about} disclosed in {period}, what was it, and for what purpose?"
        );
        let named = self.recipients.len() - u64::from(self.without_recipient > 0);
        report.answer = match total {
            0 => format!("No disclosure{about} that has to be accounted for was found in {period}"),
            n => format!(
                "In {period}, {}{about} to {} {} to be accounted for",
                count(n, "disclosure", "disclosures"),
                count(named, "named recipient", "different named recipients"),
                if n == 1 { "has" } else { "have" }
            ),
        };
        let left_out: u64 = self.left_out.all().map(|(_, g)| g.events).sum();
        if left_out > 0 {
            report.answer.push_str(&format!(
                "; {} left out under 164.528(a)(1), each with its reason below",
                count(left_out, "disclosure is", "disclosures are")
            ));
        }
        close_answer(report);
        if self.without_recipient > 0 {
            report.findings.push(format!(
                "{} no recipient: 164.528(b)(2)(ii) asks for the name and, if known, the address. Complete them by hand.",
                count(self.without_recipient, "disclosure names", "disclosures name")
            ));
        }
        report.figures = vec![
            Figure { label: "disclosures".into(), value: thousands(total), alert: false },
            Figure { label: "recipients".into(), value: thousands(named), alert: false },
            Figure {
                label: "patients".into(),
                value: thousands(self.patients.len() - u64::from(self.patients.get(NO_PATIENT).is_some())),
                alert: false,
            },
            Figure { label: "left out by rule".into(), value: thousands(left_out), alert: false },
        ];
        if total > 0 {
            report.charts.extend(self.days.chart("Disclosures by day", request, false));
            report.charts.push(self.recipients.bars("Disclosures by recipient"));
        }
        let columns = [
            Column::new("recipient", "Recipient"),
            Column::new("disclosures", "Disclosures"),
            Column::new("patients", "Patients"),
            Column::new("purposes", "Purposes"),
            Column::new("what", "What"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        let about = "Repeated disclosures to one recipient for one purpose may be accounted for like this, with first, number and last: 164.528(b)(3).";
        report.tables.push(self.recipients.table(
            ("recipients", "By recipient", about),
            &columns,
            request.rows,
            |name, g| {
                vec![
                    Cell::text(Some(name)),
                    Cell::Number(g.events),
                    self.purposes.cell(g.different[0]),
                    g.lists[0].cell(),
                    g.lists[1].cell(),
                    Cell::time(g.first),
                    Cell::time(g.last),
                ]
            },
        ));
        let columns = [
            Column::new("reason", "Why it is left out"),
            Column::new("disclosures", "Disclosures"),
            Column::new("first", "First"),
            Column::below("last", "last"),
        ];
        if left_out > 0 {
            let about = "Disclosures that the rule does not ask to be accounted for, by the purpose or legal basis their events state.";
            report.tables.push(self.left_out.table(
                ("left-out", "Left out, and why", about),
                &columns,
                request.rows,
                |name, g| {
                    vec![
                        Cell::text(Some(name)),
                        Cell::Number(g.events),
                        Cell::time(g.first),
                        Cell::time(g.last),
                    ]
                },
            ));
        }
        let mut table = self.events.table(
            "disclosures",
            "Every disclosure to be accounted for",
            "One row for each disclosure.",
        );
        table.main = true;
        report.tables.push(table);
        if self.apart.total() > 0 {
            let about = "For the privacy officer alone: take this sheet out before the accounting is handed over. A health oversight agency or \
                 law enforcement official can have a person's right suspended for the time they state, 164.528(a)(2). A row that says \
                 \"under a suspension\" stands here only; one that says \"still in the accounting\" stands above as well.";
            let mut table = self.apart.table("suspension", "Suspensions", about);
            table.apart = true;
            for row in &mut table.rows {
                row.mark = Mark::Attention;
            }
            report.tables.push(table);
        }
        report.notes.push(
            "A disclosure is an event that names a recipient outside, or whose action or type speaks of disclosing, exporting, releasing, sharing \
             or transmitting. Disclosures that no system logged (by telephone, on paper) are not here."
                .to_owned(),
        );
        report.notes.push(
            "A person may ask for the six years before the request (164.528(a)(3)): choose --from accordingly. Whether the stated purpose of an event \
             is the true one is not something this report can tell."
                .to_owned(),
        );
    }
}

/// Whether an event tells of data that left the house.
pub(super) fn is_disclosure(f: &Facts) -> bool {
    let speaks = |t: &Option<String>| {
        t.as_deref().is_some_and(|t| {
            let t = t.to_ascii_lowercase();
            DISCLOSING.iter().any(|w| t.contains(w))
        })
    };
    f.recipient.is_some() || speaks(&f.action) || speaks(&f.event_type)
}

/// Why the rule leaves a disclosure out, if it does.
fn exclusion(f: &Facts) -> Option<String> {
    let to_self =
        f.recipient.as_deref().zip(f.patient.as_deref()).is_some_and(|(r, p)| same(patient(r), patient(p)));
    if to_self {
        return Some("164.528(a)(1)(ii): to the individual".to_owned());
    }
    let stated = [&f.purpose, &f.legal_basis];
    let words: Vec<String> = stated
        .into_iter()
        .flatten()
        .flat_map(|t| {
            let t = t.trim().to_ascii_lowercase();
            // `hipaa-treatment-provision` states treatment as much as TREAT does.
            let parts = t.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
            parts.into_iter().chain([t.replace([' ', '_'], "-")])
        })
        .collect();
    EXCLUSIONS
        .iter()
        .find(|(codes, _, _)| words.iter().any(|w| codes.contains(&w.as_str())))
        .map(|(_, paragraph, what)| format!("164.528{paragraph}: {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts(purpose: &str, basis: &str) -> Facts {
        Facts { purpose: Some(purpose.to_owned()), legal_basis: Some(basis.to_owned()), ..Facts::default() }
    }

    #[test]
    fn what_the_rule_leaves_out() {
        assert!(exclusion(&facts("TREAT", "")).unwrap().contains("treatment"));
        assert!(exclusion(&facts("", "hipaa-treatment-provision")).unwrap().contains("(a)(1)(i)"));
        assert!(exclusion(&facts("limited data set", "")).unwrap().contains("limited data set"));
        for kept in ["PUBHLTH", "research", "law enforcement", "entreaty", "treaty"] {
            assert_eq!(exclusion(&facts(kept, "")), None, "{kept}");
        }
        let own =
            Facts { recipient: Some("Patient/P1".into()), patient: Some("P1".into()), ..Facts::default() };
        assert!(is_disclosure(&own) && exclusion(&own).unwrap().contains("individual"));
    }

    #[test]
    fn what_counts_as_a_disclosure() {
        let does =
            |action: &str| is_disclosure(&Facts { action: Some(action.to_owned()), ..Facts::default() });
        assert!(does("Export") && does("record_disclosed") && !does("read"));
    }
}
