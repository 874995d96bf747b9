//! Rules: what they are, and the file new users start from. Reading that file is [`super::parse`]'s.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::filter::{Column, Filter};
use super::parse;
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_CLOCK_AHEAD;

/// The commented rules `audit watch --print-rules` prints, in force when no file is given.
pub const DEFAULT_RULES: &str = include_str!("default_rules.toml");

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;
/// `late` where the file says nothing: a day.
pub(super) const DEFAULT_LATE: i64 = DAY;

/// How much an alert matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Good to know.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at today.
    High,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// All of them, by name.
    pub const ALL: [(&'static str, Severity); 4] = [
        ("low", Severity::Low),
        ("medium", Severity::Medium),
        ("high", Severity::High),
        ("critical", Severity::Critical),
    ];

    /// `low`, `medium`, `high` or `critical`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// What a rules file says.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How much later than it happened an event may be committed and still count in its own window, in milliseconds.
    pub late: i64,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name: 1 to 32 characters of `a-z 0-9 . -`, different from all others.
    pub name: String,
    /// Severity of its alerts.
    pub severity: Severity,
    /// First words of its alerts; without it they say what kind of rule it is.
    pub description: Option<String>,
    /// Which events it is about.
    pub filter: Filter,
    /// What makes it raise an alert.
    pub test: Test,
}

/// What makes a rule raise an alert.
#[derive(Clone, Debug)]
pub enum Test {
    /// Any event it is about. One alert an event.
    Each {
        /// Whom the alert names.
        key: Vec<Column>,
    },
    /// So many events of one key within a window.
    Threshold {
        /// What is counted apart; nothing: all events together.
        key: Vec<Column>,
        /// How many events, at least 1.
        count: u32,
        /// Length of the window in milliseconds.
        window: i64,
    },
    /// An event outside working hours.
    AfterHours {
        /// Whom the alert names; one alert per key and night.
        key: Vec<Column>,
        /// When people work.
        hours: Hours,
    },
    /// More events of a key in a window than it is used to.
    Volume {
        /// What is counted apart.
        key: Vec<Column>,
        /// Length of the window in milliseconds.
        window: i64,
        /// How many windows before count as what it is used to.
        history: u32,
        /// In how many of those it must have been active to be judged.
        baseline: u32,
        /// How many times its mean.
        factor: f64,
        /// How many events at least.
        minimum: u64,
    },
    /// A writer that has signed nothing for too long, not even a heartbeat.
    SilentWriter {
        /// How long is too long, in milliseconds.
        longer_than: i64,
        /// Which writers; none: all of the roster.
        writers: Vec<String>,
    },
    /// A record that does not open though it is sealed for this reader, or is no event. One alert per writer and window.
    Unreadable {
        /// Length of the window in milliseconds.
        window: i64,
    },
    /// The ledger was forked, rolled back, or does not verify.
    Fork,
}

/// When people work.
#[derive(Clone, Debug)]
pub struct Hours {
    /// Where.
    pub zone: TimeZone,
    /// Beginning of work.
    pub from: Time,
    /// End of work; before `from`: on the next day.
    pub to: Time,
    /// On these days of the week.
    pub days: Vec<Weekday>,
    /// But not on these dates.
    pub holidays: Vec<Date>,
}

impl Hours {
    /// The night an event belongs to, named by the date on which work last ended or would have; `None` in working hours.
    pub fn night(&self, at: Timestamp) -> Option<Date> {
        let local = self.zone.to_datetime(jiff::Timestamp::from_millisecond(at.millis()).ok()?);
        let (date, time) = (local.date(), local.time());
        let before = date.yesterday().unwrap_or(date);
        let works = |d: Date| self.days.contains(&d.weekday()) && !self.holidays.contains(&d);
        let working = if self.from < self.to {
            self.from <= time && time < self.to && works(date)
        } else {
            (self.from <= time && works(date)) || (time < self.to && works(before))
        };
        (!working).then_some(if time >= self.to { date } else { before })
    }

    /// The local day and time, such as `Sat 2026-11-21 02:14 Europe/Berlin`.
    pub fn local(&self, at: Timestamp) -> String {
        let Ok(at) = jiff::Timestamp::from_millisecond(at.millis()) else { return at.to_string() };
        let local = self.zone.to_datetime(at);
        format!("{} {}", local.strftime("%a %Y-%m-%d %H:%M"), self.zone.iana_name().unwrap_or("UTC"))
    }
}

impl Test {
    /// Its name in the rules file.
    pub fn kind(&self) -> &'static str {
        match self {
            Test::Each { .. } => "each",
            Test::Threshold { .. } => "threshold",
            Test::AfterHours { .. } => "after-hours",
            Test::Volume { .. } => "volume",
            Test::SilentWriter { .. } => "silent-writer",
            Test::Unreadable { .. } => "unreadable",
            Test::Fork => "fork",
        }
    }

    /// How far before an event other events can lie that decide whether it raises an alert, or whether the alert
    /// was raised already, in milliseconds.
    pub fn reach(&self) -> i64 {
        match self {
            Test::Each { .. } | Test::SilentWriter { .. } | Test::Fork => 0,
            // An event looks one window back, and so does the event that may have raised the same alert.
            Test::Threshold { window, .. } => 2 * window,
            Test::Volume { window, history, .. } => window.saturating_mul(i64::from(*history) + 2),
            // From the last end of work over a night and its day, with an hour for the change of clocks.
            Test::AfterHours { .. } => DAY + DAY / 24,
            Test::Unreadable { window } => *window,
        }
    }
}

impl Rules {
    /// Reads the text of a rules file.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        parse::rules(text)
    }

    /// How far before the cursor records must be seen again for every window to be as it was, in milliseconds
    /// between the times blocks were committed: the longest reach, plus how far the times of events may stand from those.
    pub fn replay_span(&self) -> i64 {
        let reach = self.rules.iter().map(|r| r.test.reach()).max().unwrap_or(0);
        if reach == 0 { 0 } else { reach.saturating_add(self.late + MAX_CLOCK_AHEAD) }
    }
}

/// What is wrong with a rules file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: String,
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
