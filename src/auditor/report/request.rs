//! What is asked of a report, and whether it can be answered.

use super::ReportError;
use super::kind::{Parameter, ReportKind};
use super::period::{WorkingHours, Zone};
use super::text::{patient, person, same};
use crate::auditor::facts::Facts;
use crate::base::clock::Timestamp;
use crate::base::limits::{DEFAULT_REPORT_ROWS, MAX_REPORT_ROWS};

/// After how many hours without a statement a writer counts as silent, unless said otherwise.
const SILENT_AFTER_HOURS: u64 = 24;

/// What is asked of a report.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// Which report.
    pub kind: ReportKind,
    /// First moment of the period.
    pub from: Option<Timestamp>,
    /// Last moment of the period.
    pub to: Option<Timestamp>,
    /// Only events about this patient.
    pub patient: Option<String>,
    /// Only events of this user, by identifier or display name.
    pub actor: Option<String>,
    /// Only events from this network address.
    pub address: Option<String>,
    /// Replace the names of staff by numbers and roles.
    pub hide_staff: bool,
    /// The zone of the report's times; UTC if none is given.
    pub zone: Option<Zone>,
    /// Working hours.
    pub hours: Option<WorkingHours>,
    /// Recipients whose disclosures are not to be told for now, 45 CFR 164.528(a)(2).
    pub suspended: Vec<String>,
    /// After how many hours without a statement a writer counts as silent.
    pub silent_after: Option<u64>,
    /// Most rows of a table, at most [`MAX_REPORT_ROWS`].
    pub rows: usize,
    /// The time now.
    pub created: Timestamp,
}

/// Whether an event is one that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It does not name what was asked for: no patient, user or address.
    Unknown,
}

impl ReportRequest {
    /// A request with nothing but defaults.
    pub fn new(kind: ReportKind, created: Timestamp) -> ReportRequest {
        ReportRequest {
            kind,
            from: None,
            to: None,
            patient: None,
            actor: None,
            address: None,
            hide_staff: false,
            zone: None,
            hours: None,
            suspended: Vec::new(),
            silent_after: None,
            rows: DEFAULT_REPORT_ROWS,
            created,
        }
    }

    /// Whether the report can be made: nothing it needs is missing, nothing is given that it would ignore.
    pub fn check(&self) -> Result<(), ReportError> {
        let about = self.kind.describe();
        let given = [
            (Parameter::Patient, filled(&self.patient)),
            (Parameter::Actor, filled(&self.actor)),
            (Parameter::Address, filled(&self.address)),
            (Parameter::Timezone, self.zone.is_some()),
            (Parameter::Hours, self.hours.is_some()),
            (Parameter::HideStaff, self.hide_staff),
            (Parameter::Suspended, !self.suspended.is_empty()),
            (Parameter::SilentAfter, self.silent_after.is_some()),
        ];
        for (parameter, given) in given {
            if given && !about.needs.contains(&parameter) && !about.takes.contains(&parameter) {
                return Err(ReportError::Unused { report: about.name, option: parameter.option() });
            }
            if !given && about.needs.contains(&parameter) {
                return Err(ReportError::Missing {
                    report: about.name,
                    option: parameter.option(),
                    example: example(parameter),
                });
            }
        }
        if self.hide_staff && (filled(&self.actor) || filled(&self.address)) {
            return Err(ReportError::NamesStaff);
        }
        if self.kind == ReportKind::BreachScope
            && !filled(&self.actor)
            && !filled(&self.address)
            && self.from.is_none()
            && self.to.is_none()
        {
            return Err(ReportError::NoScope);
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(ReportError::EmptyPeriod { from, to });
        }
        if self.rows == 0 || self.rows > MAX_REPORT_ROWS {
            return Err(ReportError::Rows);
        }
        if self.silent_after == Some(0) {
            return Err(ReportError::SilentAfter);
        }
        Ok(())
    }

    /// The zone of the report's times.
    pub(super) fn zone(&self) -> Zone {
        self.zone.clone().unwrap_or_else(Zone::utc)
    }

    /// After how many milliseconds a writer counts as silent.
    pub(super) fn silent_millis(&self) -> i64 {
        let hours = self.silent_after.unwrap_or(SILENT_AFTER_HOURS);
        i64::try_from(hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX)
    }

    /// Whether a time is in the period.
    pub(super) fn covers(&self, t: Timestamp) -> bool {
        self.from.is_none_or(|from| t >= from) && self.to.is_none_or(|to| t <= to)
    }

    /// Whether an event is one that is asked for.
    pub(super) fn wants(&self, facts: &Facts) -> Verdict {
        let mut verdict = Verdict::Yes;
        let mut test = |wanted: &Option<String>, found: bool, is: &dyn Fn(&str) -> bool| {
            let Some(wanted) = wanted.as_deref().filter(|w| !w.trim().is_empty()) else { return };
            match (is(wanted), found) {
                (true, _) => {}
                (false, true) => verdict = Verdict::No,
                (false, false) if verdict == Verdict::Yes => verdict = Verdict::Unknown,
                (false, false) => {}
            }
        };
        let has = |field: &Option<String>, is: &dyn Fn(&str) -> bool| field.as_deref().is_some_and(is);
        test(&self.patient, facts.patient.is_some(), &|w| {
            let is = |p: &str| same(patient(p), patient(w));
            has(&facts.patient, &is) || has(&facts.resource, &is)
        });
        test(&self.actor, facts.actor.is_some() || facts.actor_name.is_some(), &|w| {
            has(&facts.actor, &|a| same(a, w) || same(person(a), person(w)))
                || has(&facts.actor_name, &|a| same(a, w))
        });
        test(&self.address, facts.address.is_some(), &|w| has(&facts.address, &|a| same(a, w)));
        verdict
    }

    /// The period in words, to stand after "In", such as `the period from 2026-01-01 to 2026-01-31`.
    pub(super) fn period(&self) -> String {
        let zone = self.zone();
        // Whole days are written as days.
        let midnight = |t: Timestamp| t.millis() % 1000 == 0 && zone.show(t).contains(" 00:00:00");
        let first = |t| if midnight(t) { zone.show_date(t) } else { zone.show(t) };
        let last = |t: Timestamp| {
            let ends_day = Timestamp::from_millis(t.millis() + 1).is_some_and(midnight);
            if ends_day { zone.show_date(t) } else { zone.show(t) }
        };
        match (self.from, self.to) {
            (None, None) => "the whole ledger".to_owned(),
            (Some(from), None) => format!("the period from {} on", first(from)),
            (None, Some(to)) => format!("the period up to {}", last(to)),
            (Some(from), Some(to)) if first(from) == last(to) => format!("the day {}", first(from)),
            (Some(from), Some(to)) => format!("the period from {} to {}", first(from), last(to)),
        }
    }

    /// What was asked for, as name and value.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let about = self.kind.describe();
        let takes = |p| about.needs.contains(&p) || about.takes.contains(&p);
        let mut out = Vec::new();
        let mut put = |name: &str, value: String| out.push((name.to_owned(), value));
        put(
            "Period",
            match self.period() {
                all if self.from.is_none() && self.to.is_none() => all,
                period => format!("{}, both ends included", period.trim_start_matches("the ")),
            },
        );
        put("Time zone", self.zone().name().to_owned());
        for (name, value) in [("Patient", &self.patient), ("User", &self.actor), ("Address", &self.address)] {
            if let Some(value) = value {
                put(name, value.clone());
            }
        }
        if let Some(hours) = &self.hours {
            put("Working hours", hours.to_string());
        } else if self.kind == ReportKind::AfterHours {
            put("Working hours", WorkingHours::default().to_string());
        }
        if takes(Parameter::HideStaff) {
            put(
                "Names of staff",
                if self.hide_staff { "replaced by numbers and roles" } else { "shown" }.to_owned(),
            );
        }
        if takes(Parameter::SilentAfter) {
            let hours = self.silent_millis() / 3_600_000;
            put("A writer is silent after", format!("{hours} hours without a statement"));
        }
        out
    }
}

fn filled(text: &Option<String>) -> bool {
    text.as_deref().is_some_and(|t| !t.trim().is_empty())
}

fn example(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Patient => "--patient PAT-2026-00842",
        Parameter::Actor => "--actor dr-smith-4421",
        Parameter::Address => "--address 10.21.4.88",
        Parameter::Timezone => "--timezone Europe/Berlin, or --timezone UTC",
        Parameter::Hours => "--hours 07:00-19:00 --days mon-fri",
        Parameter::HideStaff => "--hide-staff",
        Parameter::Suspended => "--suspended \"State police\"",
        Parameter::SilentAfter => "--silent-after 24",
    }
}
