//! Which events a rule is about: conditions over the common columns of an event, and the columns a rule counts by.
//!
//! Text is compared as the blind tags compare it: without white space around it, and ASCII letters in either case.

use crate::auditor::facts::Facts;

/// A column conditions and keys may name.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name in the rules file.
    pub name: &'static str,
    /// Whether its value stands in the public chain anyway, so that alerts may show it.
    pub public: bool,
    /// The values it can have, if there is a fixed list.
    pub values: &'static [&'static str],
    get: for<'f> fn(&'f Facts, &'f str) -> Option<&'f str>,
}

const fn column(name: &'static str, get: for<'f> fn(&'f Facts, &'f str) -> Option<&'f str>) -> Column {
    Column { name, public: false, values: &[], get }
}

/// Every column, in the order of [`Facts`]; the last is the record's.
pub const COLUMNS: &[Column] = &[
    column("shape", |f, _| Some(f.shape).filter(|s| !s.is_empty())),
    column("actor", |f, _| f.actor.as_deref()),
    column("actor_name", |f, _| f.actor_name.as_deref()),
    column("role", |f, _| f.role.as_deref()),
    column("action", |f, _| f.action.as_deref()),
    Column {
        values: &["create", "read", "update", "delete", "execute"],
        ..column("operation", |f, _| f.operation)
    },
    column("event_type", |f, _| f.event_type.as_deref()),
    column("resource_type", |f, _| f.resource_type.as_deref()),
    column("resource", |f, _| f.resource.as_deref()),
    column("patient", |f, _| f.patient.as_deref()),
    column("purpose", |f, _| f.purpose.as_deref()),
    column("legal_basis", |f, _| f.legal_basis.as_deref()),
    column("reason", |f, _| f.reason.as_deref()),
    Column {
        values: &["allowed", "denied", "failed"],
        ..column("outcome", |f, _| f.outcome.map(|o| o.as_str()))
    },
    column("result", |f, _| f.result.as_deref()),
    column("category", |f, _| f.category.as_deref()),
    column("severity", |f, _| f.severity.as_deref()),
    column("address", |f, _| f.address.as_deref()),
    column("application", |f, _| f.application.as_deref()),
    column("recipient", |f, _| f.recipient.as_deref()),
    Column {
        values: &["true", "false"],
        ..column("emergency", |f, _| Some(if f.emergency { "true" } else { "false" }))
    },
    Column { public: true, ..column("writer", |_, writer| Some(writer)) },
];

impl Column {
    /// The column of that name.
    pub fn named(name: &str) -> Option<Column> {
        COLUMNS.iter().find(|c| c.name == name).copied()
    }

    /// Its value: trimmed, never empty.
    pub fn value<'f>(&self, facts: &'f Facts, writer: &'f str) -> Option<&'f str> {
        (self.get)(facts, writer).map(str::trim).filter(|v| !v.is_empty())
    }
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Column) -> bool {
        self.name == other.name
    }
}

/// What is asked of one column.
#[derive(Clone, PartialEq, Debug)]
pub enum Match {
    /// It is one of these.
    Is(Vec<String>),
    /// It begins with one of these.
    Prefix(Vec<String>),
    /// It is none of these, or absent.
    Not(Vec<String>),
    /// It begins with none of these, or is absent.
    NotPrefix(Vec<String>),
    /// It is there at all, or is not.
    Present(bool),
}

impl Match {
    fn accepts(&self, value: Option<&str>) -> bool {
        let is = |list: &[String]| value.is_some_and(|v| list.iter().any(|w| v.eq_ignore_ascii_case(w)));
        let begins = |list: &[String]| value.is_some_and(|v| list.iter().any(|w| starts_with(v, w)));
        match self {
            Match::Is(list) => is(list),
            Match::Prefix(list) => begins(list),
            Match::Not(list) => !is(list),
            Match::NotPrefix(list) => !begins(list),
            Match::Present(wanted) => value.is_some() == *wanted,
        }
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|t| t.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Conditions that must all hold.
pub type Conditions = Vec<(Column, Match)>;

/// Which events a rule is about: those that meet any of `any` (all events if it is empty) and none of `except`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// `where`
    pub any: Vec<Conditions>,
    /// `except`
    pub except: Vec<Conditions>,
}

impl Filter {
    /// Whether the rule is about this event, which `writer` sealed.
    pub fn accepts(&self, facts: &Facts, writer: &str) -> bool {
        let all = |c: &Conditions| c.iter().all(|(column, m)| m.accepts(column.value(facts, writer)));
        (self.any.is_empty() || self.any.iter().any(all)) && !self.except.iter().any(all)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auditor::facts::Outcome;

    fn one(column: &str, m: Match) -> Filter {
        Filter { any: vec![vec![(Column::named(column).unwrap(), m)]], except: Vec::new() }
    }

    #[test]
    fn each_condition_does_what_it_says() {
        let facts = Facts {
            action: Some(" Login_Failed ".into()),
            outcome: Some(Outcome::Denied),
            emergency: true,
            ..Facts::default()
        };
        let list = |w: &str| vec![w.to_owned()];
        for (column, m, expected) in [
            ("action", Match::Is(list("LOGIN_FAILED")), true),
            ("action", Match::Is(list("LOGIN")), false),
            ("action", Match::Prefix(list("login")), true),
            ("action", Match::Prefix(list("login_failed_twice")), false),
            ("action", Match::Not(list("login_failed")), false),
            ("action", Match::NotPrefix(list("logout")), true),
            ("outcome", Match::Is(list("denied")), true),
            ("emergency", Match::Is(list("true")), true),
            ("actor", Match::Is(list("")), false),
            ("actor", Match::Not(list("root")), true),
            ("actor", Match::Present(false), true),
            ("action", Match::Present(true), true),
            ("writer", Match::Prefix(list("hospital.example/")), true),
        ] {
            assert_eq!(
                one(column, m.clone()).accepts(&facts, "hospital.example/w"),
                expected,
                "{column} {m:?}"
            );
        }
    }

    #[test]
    fn all_of_a_table_any_of_several_none_of_except() {
        let is = |c: &str, w: &str| (Column::named(c).unwrap(), Match::Is(vec![w.to_owned()]));
        let filter = Filter {
            any: vec![vec![is("actor", "a"), is("action", "read")], vec![is("actor", "b")]],
            except: vec![vec![is("patient", "p9")]],
        };
        let facts = |actor: &str, action: &str, patient: &str| Facts {
            actor: Some(actor.into()),
            action: Some(action.into()),
            patient: Some(patient.into()),
            ..Facts::default()
        };
        assert!(filter.accepts(&facts("a", "read", "p1"), ""));
        assert!(!filter.accepts(&facts("a", "update", "p1"), ""));
        assert!(filter.accepts(&facts("b", "update", "p1"), ""));
        assert!(!filter.accepts(&facts("b", "update", "p9"), ""));
        assert!(Filter::default().accepts(&facts("x", "y", "z"), ""));
    }
}
