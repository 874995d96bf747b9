//! Reports: from the records of a verified ledger to a page that a lawyer can read, in one pass and with bounded memory.
//!
//! [`build`] gathers, [`html`], [`csv`] and [`json`] print. A report says as of which signed head it is true, what it could not
//! see, and for each row which records it rests on ([`Report::records`]), so that an evidence file can prove them.
//! Not in scope here: proving. The records come verified from [`Records`]; the evidence file is another module's.

mod access;
mod after;
mod attempts;
mod breach;
mod clocks;
pub mod coverage;
mod csv;
mod disclosures;
mod events;
mod html;
mod integrity;
mod json;
pub mod kind;
mod listed;
pub mod model;
pub use crate::auditor::period;
mod readers;
mod register;
pub mod request;
mod review;
mod scan;
mod statistics;
mod svg;
mod tally;
mod text;

pub use self::csv::{csv, csv_table};
pub use self::html::html;
pub use self::json::json;
pub use self::kind::ReportKind;
pub use self::model::Report;
pub use self::request::ReportRequest;

use self::scan::Collector;
use crate::auditor::record::{Records, RecordsError};
use crate::base::clock::Timestamp;

/// Why there is no report.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReportError {
    /// It was not told what it needs.
    #[error("the report {report} needs {option}: give for example {example}")]
    Missing {
        /// Its name.
        report: &'static str,
        /// The option that is missing.
        option: &'static str,
        /// How to give it.
        example: &'static str,
    },
    /// It was told something that it would ignore.
    #[error("the report {report} takes no {option}; `audit report list` says what each report takes")]
    Unused {
        /// Its name.
        report: &'static str,
        /// The option that has no place.
        option: &'static str,
    },
    /// One person of the staff is asked for, and names are to be hidden.
    #[error(
        "--hide-staff hides who did what, so it cannot be combined with --actor or --address: leave one of them out"
    )]
    NamesStaff,
    /// A breach without bounds.
    #[error(
        "breach-scope needs to know what the breach was: give --actor, --address, or a period with --from and --to"
    )]
    NoScope,
    /// The period ends before it begins.
    #[error("the period from {from} to {to} ends before it begins: exchange --from and --to")]
    EmptyPeriod {
        /// Its first moment.
        from: Timestamp,
        /// Its last.
        to: Timestamp,
    },
    /// No rows, or too many.
    #[error("a report has 1 to {} rows: choose a number between them", crate::base::limits::MAX_REPORT_ROWS)]
    Rows,
    /// Everybody would be silent.
    #[error("a writer cannot be silent after no time at all: give --silent-after 1 or more hours")]
    SilentAfter,
    /// The records could not be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// Makes a report in one pass over `records`.
pub fn build(records: &dyn Records, request: &ReportRequest) -> Result<Report, ReportError> {
    request.check()?;
    let mut collector: Box<dyn Collector> = match request.kind {
        ReportKind::PatientAccess | ReportKind::UserActivity => access::collector(request),
        ReportKind::Disclosures => disclosures::collector(request),
        ReportKind::Denied | ReportKind::BreakGlass => attempts::collector(request),
        ReportKind::AfterHours => after::collector(request),
        ReportKind::ProcessingRegister => register::collector(),
        ReportKind::BreachScope => breach::collector(request),
        ReportKind::Readers => readers::collector(),
        ReportKind::Integrity => integrity::collector(request),
        ReportKind::Statistics => statistics::collector(),
        ReportKind::Review => review::collector(request),
    };
    let coverage = scan::scan(records, request, collector.as_mut())?;
    let mut report = Report {
        kind: request.kind,
        title: request.kind.describe().title.to_owned(),
        question: String::new(),
        answer: String::new(),
        findings: Vec::new(),
        parameters: request.parameters(),
        created: request.created,
        zone: request.zone(),
        as_of: records.as_of().clone(),
        coverage,
        figures: Vec::new(),
        charts: Vec::new(),
        tables: Vec::new(),
        notes: Vec::new(),
        staff_hidden: request.hide_staff,
        evidence: None,
    };
    collector.finish(request, &mut report);
    add_notes(&mut report);
    Ok(report)
}

/// What holds for every report.
fn add_notes(report: &mut Report) {
    if report.coverage.looked_at {
        report.notes.push(
            "The period is applied to the time each event gives itself, by the sender's clock; where it gives none that can be read, to \
             the time its record was sealed (marked †)."
                .to_owned(),
        );
    }
    if report.staff_hidden {
        report.notes.push(
            "Names of staff are replaced by numbers that hold within this report only; network addresses and reasons in free text are \
             left out because they can name a person. An evidence file that opens whole events would show them."
                .to_owned(),
        );
    }
    if report.tables.iter().any(|t| t.total > t.rows.len() as u64) {
        report.notes.push(
            "Figures and charts count everything; a table that was cut to its limit says so. A shorter period or a larger --rows shows the rest."
                .to_owned(),
        );
    }
    if !report.records_complete() {
        report.notes.push(
            "Summary rows name the first records they rest on; how many there are is exact.".to_owned(),
        );
    }
}
