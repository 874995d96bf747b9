//! The reports there are: what each answers, under which rule, and what it needs to be told.

/// A report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReportKind {
    /// Who saw a patient's record.
    PatientAccess,
    /// What a user did and saw.
    UserActivity,
    /// Accounting of disclosures.
    Disclosures,
    /// Denied and failed attempts.
    Denied,
    /// Emergency access.
    BreakGlass,
    /// Activity outside working hours.
    AfterHours,
    /// Processing by legal basis.
    ProcessingRegister,
    /// Who is affected by a breach.
    BreachScope,
    /// Who could read the ledger when.
    Readers,
    /// Whether the ledger is complete.
    Integrity,
    /// Counts.
    Statistics,
    /// List for the regular review.
    Review,
}

/// What a report can be told besides the period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Parameter {
    /// A patient's identifier.
    Patient,
    /// A user's identifier.
    Actor,
    /// A network address.
    Address,
    /// The zone whose clocks people work by.
    Timezone,
    /// Working hours and days.
    Hours,
    /// Replace the names of staff.
    HideStaff,
    /// Recipients whose disclosures are not to be told for now.
    Suspended,
    /// After how many hours a writer counts as silent.
    SilentAfter,
}

impl Parameter {
    /// The option of `audit report` that gives it.
    pub fn option(self) -> &'static str {
        match self {
            Parameter::Patient => "--patient",
            Parameter::Actor => "--actor",
            Parameter::Address => "--address",
            Parameter::Timezone => "--timezone",
            Parameter::Hours => "--hours and --days",
            Parameter::HideStaff => "--hide-staff",
            Parameter::Suspended => "--suspended",
            Parameter::SilentAfter => "--silent-after",
        }
    }
}

/// What there is to know about a report before running it.
pub struct Description {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Title.
    pub title: &'static str,
    /// One sentence: what it shows.
    pub description: &'static str,
    /// The rules it answers.
    pub rule: &'static str,
    /// What it must be told.
    pub needs: &'static [Parameter],
    /// What it can be told besides.
    pub takes: &'static [Parameter],
}

use Parameter::{Actor, Address, HideStaff, Hours, Patient, SilentAfter, Suspended, Timezone};

impl ReportKind {
    /// All reports, in the order people look for them.
    pub const ALL: [ReportKind; 12] = [
        ReportKind::PatientAccess,
        ReportKind::UserActivity,
        ReportKind::Disclosures,
        ReportKind::Denied,
        ReportKind::BreakGlass,
        ReportKind::AfterHours,
        ReportKind::ProcessingRegister,
        ReportKind::BreachScope,
        ReportKind::Readers,
        ReportKind::Integrity,
        ReportKind::Statistics,
        ReportKind::Review,
    ];

    /// The report of that name.
    pub fn by_name(name: &str) -> Option<ReportKind> {
        ReportKind::ALL.into_iter().find(|k| k.describe().name == name)
    }

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        self.describe().name
    }

    /// What there is to know about it.
    pub fn describe(self) -> &'static Description {
        match self {
            ReportKind::PatientAccess => &Description {
                name: "patient-access",
                title: "Who accessed a patient's record",
                description: "Everyone who accessed one patient's record, when and for what purpose; with --hide-staff the answer to the patient.",
                rule: "45 CFR 164.312(b) · GDPR Article 15",
                needs: &[Patient],
                takes: &[Actor, Address, Timezone, HideStaff],
            },
            ReportKind::UserActivity => &Description {
                name: "user-activity",
                title: "What a user did",
                description: "Everything one user did: which patients, which records, when, from where.",
                rule: "45 CFR 164.308(a)(1)(ii)(D), 164.312(b) · SOC 2 CC6.1",
                needs: &[Actor],
                takes: &[Patient, Address, Timezone],
            },
            ReportKind::Disclosures => &Description {
                name: "disclosures",
                title: "Accounting of disclosures",
                description: "Disclosures of health information to others: date, recipient, description, purpose; with what the rule leaves out, and why.",
                rule: "45 CFR 164.528 · GDPR Article 15(1)(c)",
                needs: &[],
                takes: &[Patient, Timezone, HideStaff, Suspended],
            },
            ReportKind::Denied => &Description {
                name: "denied",
                title: "Denied and failed attempts",
                description: "Attempts that were refused or failed, by user and by address.",
                rule: "45 CFR 164.308(a)(5)(ii)(C), 164.312(b) · PCI DSS 10.2.1.4 · SOC 2 CC7.2",
                needs: &[],
                takes: &[Patient, Actor, Address, Timezone],
            },
            ReportKind::BreakGlass => &Description {
                name: "break-glass",
                title: "Emergency access",
                description: "Every use of emergency access (\"break the glass\"), by whom, to which patient, and with what reason.",
                rule: "45 CFR 164.312(a)(2)(ii), 164.308(a)(1)(ii)(D)",
                needs: &[],
                takes: &[Patient, Actor, Address, Timezone],
            },
            ReportKind::AfterHours => &Description {
                name: "after-hours",
                title: "Activity outside working hours",
                description: "What was done outside working hours, with a map of the week.",
                rule: "45 CFR 164.308(a)(1)(ii)(D) · SOC 2 CC7.2",
                needs: &[Timezone],
                takes: &[Patient, Actor, Address, Hours],
            },
            ReportKind::ProcessingRegister => &Description {
                name: "processing-register",
                title: "Processing by legal basis",
                description: "Which categories of data were processed on which legal basis, for which purposes, and by how many people.",
                rule: "GDPR Article 30, Article 5(2)",
                needs: &[],
                takes: &[Patient, Actor, Address, Timezone],
            },
            ReportKind::BreachScope => &Description {
                name: "breach-scope",
                title: "Scope of a breach",
                description: "Which patients are affected, through which users, since when; given a user, an address or a period.",
                rule: "GDPR Article 33(3) · 45 CFR 164.404(c), 164.408",
                needs: &[],
                takes: &[Actor, Address, Timezone],
            },
            ReportKind::Readers => &Description {
                name: "readers",
                title: "Who could read the ledger",
                description: "Readers let in and taken out, grants of older records, and who may write and erase; from the signed chain.",
                rule: "SOC 2 CC6.1 to CC6.3 · 45 CFR 164.308(a)(4), 164.502(b)",
                needs: &[],
                takes: &[Timezone],
            },
            ReportKind::Integrity => &Description {
                name: "integrity",
                title: "Integrity and completeness",
                description: "State of the chain: continuity of every writer, silence, erasures, unreadable records, clocks that disagree.",
                rule: "45 CFR 164.312(c), 170.315(d)(2) · PCI DSS 10.3 · GDPR Article 5(1)(f)",
                needs: &[],
                takes: &[Timezone, SilentAfter],
            },
            ReportKind::Statistics => &Description {
                name: "statistics",
                title: "Statistics",
                description: "Events by type, category, severity, outcome and day.",
                rule: "45 CFR 164.312(b) · SOC 2 CC7.2",
                needs: &[],
                takes: &[Patient, Actor, Address, Timezone],
            },
            ReportKind::Review => &Description {
                name: "review",
                title: "List for the regular review",
                description: "Events that a person should look at, each with the reason, and columns for reviewer, decision and date to fill in.",
                rule: "45 CFR 164.308(a)(1)(ii)(D) · PCI DSS 10.4.1",
                needs: &[],
                takes: &[Patient, Actor, Address, Timezone, Hours],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_has_a_name_of_its_own_and_is_found_by_it() {
        for kind in ReportKind::ALL {
            assert_eq!(ReportKind::by_name(kind.name()), Some(kind));
            assert!(kind.describe().description.ends_with('.'));
        }
        assert_eq!(ReportKind::by_name("Statistics"), None);
    }
}
