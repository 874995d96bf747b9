//! `audit report`: the reports that auditors, privacy officers and patients ask for.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::auditor::evidence::build::Disclose;
use crate::auditor::evidence::manifest::to_text;
use crate::auditor::period::{WorkingHours, Zone};
use crate::auditor::record::Records;
use crate::auditor::report::kind::Parameter;
use crate::auditor::report::{
    Report, ReportError, ReportKind, ReportRequest, build, csv, csv_table, html, json,
};
use crate::base::clock::Timestamp;
use crate::base::limits::{DEFAULT_REPORT_ROWS, MAX_EVIDENCE_RECORDS, REPORT_EVIDENCE_RECORDS};
use crate::config::keyfile;
use crate::event::view::printable;

use super::super::{Failure, Outcome};
use super::export::{FileArgs, from_vault};
use super::vault::{OpenVault, VaultArgs};

/// Instead of a report's name: what reports there are.
const LIST: &str = "list";
/// Standard output as `--out`.
const STDOUT: &str = "-";

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    sealtrail audit report list\n  \
    sealtrail audit report patient-access --patient PAT-2026-00842 --from 2026-01-01 --to 2026-01-31 --out access.html\n  \
    sealtrail audit report patient-access --patient PAT-2026-00842 --hide-staff --out answer-to-the-patient.html\n  \
    sealtrail audit report after-hours --timezone Europe/Berlin --hours 07:00-19:00 --days mon-fri --out nights.html\n  \
    sealtrail audit report breach-scope --actor clerk-jones-7 --from 2026-03-01 --format csv > affected.csv\n\
    Dates: 2026-01-31 is the whole day, 2026-01-31T14:30 the whole minute, in --timezone; 2026-01-31T14:30:00+01:00 says its own. --from \
    and --to are both included and mean the event's own time; for an event without one, the time it was sealed.\n\
    An HTML report is one file without scripts that prints on A4; CSV is one table of it, the main one unless --table says \
    otherwise; JSON is all of it. Files hold personal data: they are made for your eyes only (mode 0600), and no existing one is overwritten.")]
pub struct ReportArgs {
    /// Which report, or `list` to see what each shows and takes
    #[arg(value_parser = names(), hide_possible_values = true)]
    name: String,
    /// First day or time
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last day or time, included
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Patient or data subject
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// User, by identifier or name as the events write it
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Network address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Zone of dates, times and working hours, such as Europe/Berlin or +01:00 [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Working hours [default: 07:00-19:00]
    #[arg(long, value_name = "HH:MM-HH:MM")]
    hours: Option<String>,
    /// Working days, such as mon-fri, mon,wed or all [default: mon-fri]
    #[arg(long, value_name = "DAYS")]
    days: Option<String>,
    /// Replace names of staff by numbers and roles
    #[arg(long)]
    hide_staff: bool,
    /// Recipient whose disclosures are under a suspension (45 CFR 164.528(a)(2)), or a part of its name; may be given several times
    #[arg(long, value_name = "NAME")]
    suspended: Vec<String>,
    /// Hours without a statement after which a writer counts as silent [default: 24]
    #[arg(long, value_name = "HOURS")]
    silent_after: Option<u64>,
    /// Most rows of a table; figures count everything
    #[arg(long, value_name = "N", default_value_t = DEFAULT_REPORT_ROWS)]
    rows: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// With --format csv: which table, by its name in the JSON form
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// File to write, - for standard output [default: html to NAME-DATE.html, csv and json to standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Evidence file that proves the rows [default: beside the report's file, NAME.evidence.json]
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Write no evidence file
    #[arg(long, conflicts_with = "evidence")]
    no_evidence: bool,
    /// Sign the evidence file with this key (as `keygen officer` makes it)
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultArgs,
}

/// How to write a report.
#[derive(clap::ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
enum ReportFormat {
    /// A page to read and print
    #[default]
    Html,
    /// A table for spreadsheets
    Csv,
    /// All of it for programs
    Json,
}

fn names() -> PossibleValuesParser {
    let reports = ReportKind::ALL.iter().map(|k| PossibleValue::new(k.name()).help(k.describe().description));
    PossibleValuesParser::new(reports.chain([PossibleValue::new(LIST)]).collect::<Vec<_>>())
}

impl From<ReportError> for Failure {
    fn from(e: ReportError) -> Failure {
        match e {
            ReportError::Records(e) => e.into(),
            _ => Failure::usage(e),
        }
    }
}

pub fn run(args: ReportArgs) -> Outcome {
    if args.name == LIST {
        return list();
    }
    // What is wrong with the request is said before anything is downloaded.
    let request = request(&args)?;
    request.check()?;
    if let Some(path) = args.out.as_ref().filter(|path| path.exists()) {
        let path = path.display();
        return Err(Failure::Usage(format!(
            "{path} exists already and is not overwritten; choose another --out"
        )));
    }
    let open = args.vault.open()?;
    eprintln!("{}", printable(&open.as_of()));
    let mut report = make(open.shared_records()?, &request)?;
    if let Some(name) = &args.table {
        table(&report, name)?;
    }
    prove(&args, &open, &mut report)?;
    write(&args, &report)
}

/// A table of the report as CSV.
fn table(report: &Report, name: &str) -> Result<String, Failure> {
    csv_table(report, name).ok_or_else(|| {
        let tables: Vec<&str> = report.tables.iter().map(|t| t.name).collect();
        Failure::Usage(format!("this report has no table {name}: choose one of {}", tables.join(", ")))
    })
}

/// Writes the evidence file of the report's rows, and names it in the report.
fn prove(args: &ReportArgs, open: &OpenVault, report: &mut Report) -> Outcome {
    let beside = || target(args, report).map(|path| path.with_extension("evidence.json"));
    let Some(path) = args.evidence.clone().or_else(beside).filter(|_| !args.no_evidence) else {
        return Ok(());
    };
    let records = report.records();
    let most = if args.evidence.is_some() { MAX_EVIDENCE_RECORDS } else { REPORT_EVIDENCE_RECORDS };
    if records.len() > most {
        eprintln!(
            "no evidence file: the rows rest on {} records, more than {most}. Narrow the report, or give --evidence FILE (at most {MAX_EVIDENCE_RECORDS})",
            records.len()
        );
        return Ok(());
    }
    if records.is_empty() {
        return Ok(());
    }
    let not_shown = match report.kind {
        // Opened events would name the staff that the report does not.
        _ if report.staff_hidden => {
            Some("names of staff are left out of the report, so the events are not shown here")
        }
        ReportKind::Integrity => {
            Some("the report is about places in the chain, so the events are not shown here")
        }
        _ => None,
    };
    let disclose = if not_shown.is_some() { Disclose::Nothing } else { Disclose::Everything };
    let title = Some(to_text(&report.title));
    let note = not_shown.map(str::to_owned);
    let file =
        FileArgs { out: path.clone(), title, note: note.into_iter().collect(), sign: args.sign.clone() };
    from_vault(open, &records, &disclose, &file, format!("the records of the report: {}", report.question))?;
    report.evidence = path.file_name().map(|n| n.to_string_lossy().into_owned());
    Ok(())
}

/// The file the report goes to; `None` for standard output.
fn target(args: &ReportArgs, report: &Report) -> Option<PathBuf> {
    let to_stdout = match &args.out {
        Some(path) => path == Path::new(STDOUT),
        None => args.format != ReportFormat::Html || !std::io::stdout().is_terminal(),
    };
    let named = || format!("{}-{}.html", report.kind.name(), report.zone.show_date(report.created)).into();
    (!to_stdout).then(|| args.out.clone().unwrap_or_else(named))
}

/// The report over any records.
pub fn make(records: Arc<dyn Records>, request: &ReportRequest) -> Result<Report, Failure> {
    Ok(build(records.as_ref(), request)?)
}

fn list() -> Outcome {
    let mut out = std::io::stdout().lock();
    let options = |list: &[Parameter]| list.iter().map(|p| p.option()).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    for kind in ReportKind::ALL {
        let about = kind.describe();
        text.push_str(&format!("{}\n    {}\n    {}\n", about.name, about.description, about.rule));
        if !about.needs.is_empty() {
            text.push_str(&format!("    needs {}\n", options(about.needs)));
        }
        text.push_str(&format!(
            "    takes --from, --to, --rows{}{}\n",
            if about.takes.is_empty() { "" } else { ", " },
            options(about.takes)
        ));
    }
    out.write_all(text.as_bytes()).map_err(Failure::unavailable)
}

fn request(args: &ReportArgs) -> Result<ReportRequest, Failure> {
    let kind = ReportKind::by_name(&args.name).ok_or_else(|| {
        Failure::Usage(format!("{} is no report; `sealtrail audit report list` shows them", args.name))
    })?;
    if args.table.is_some() && args.format != ReportFormat::Csv {
        return Err(Failure::Usage(
            "--table chooses the table of --format csv; the other forms hold all tables".into(),
        ));
    }
    let given = args.timezone.as_deref().map(Zone::parse).transpose().map_err(Failure::usage)?;
    let zone = given.clone().unwrap_or_else(Zone::utc);
    let hours = match (&args.hours, &args.days) {
        (None, None) => None,
        (hours, days) => {
            let (hours, days) =
                (hours.as_deref().unwrap_or("07:00-19:00"), days.as_deref().unwrap_or("mon-fri"));
            Some(WorkingHours::parse(hours, days).map_err(Failure::usage)?)
        }
    };
    let first = args.from.as_deref().map(|t| zone.first(t)).transpose().map_err(Failure::usage)?;
    let last = args.to.as_deref().map(|t| zone.last(t)).transpose().map_err(Failure::usage)?;
    Ok(ReportRequest {
        from: first,
        to: last,
        patient: args.patient.clone(),
        actor: args.actor.clone(),
        address: args.address.clone(),
        hide_staff: args.hide_staff,
        zone: given,
        hours,
        suspended: args.suspended.clone(),
        silent_after: args.silent_after,
        rows: args.rows,
        ..ReportRequest::new(kind, Timestamp::now())
    })
}

/// Prints the report or writes its file, and says the answer.
pub fn write(args: &ReportArgs, report: &Report) -> Outcome {
    let text = match (args.format, &args.table) {
        (ReportFormat::Html, _) => html(report),
        (ReportFormat::Json, _) => json(report) + "\n",
        (ReportFormat::Csv, None) => csv(report),
        (ReportFormat::Csv, Some(name)) => table(report, name)?,
    };
    let Some(path) = target(args, report) else {
        let written = std::io::stdout().lock().write_all(text.as_bytes());
        // Whoever reads it, such as `head`, has had enough.
        return match written {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::unavailable(e)),
            _ => Ok(()),
        };
    };
    keyfile::create_secret(&path, &text).map_err(Failure::usage)?;
    eprintln!("{}", printable(&report.answer));
    for finding in &report.findings {
        eprintln!("  {}", printable(finding));
    }
    eprintln!("{}", path.display());
    Ok(())
}
