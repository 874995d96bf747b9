//! `audit sql`: one query, a file of them, or a shell.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::auditor::record::Records;
use crate::auditor::sql::functions::FUNCTIONS;
use crate::auditor::sql::output::{Format, Output};
use crate::auditor::sql::views::{TABLES, columns_of};
use crate::auditor::sql::{Sql, SqlError, is_complete, parameter};
use crate::chain::authority::RecordRange;
use crate::event::view::printable;

use super::super::{Failure, Outcome, progress};
use super::vault::VaultArgs;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    sealtrail audit sql \"SELECT time, actor, action, patient FROM events WHERE outcome = 'denied' ORDER BY time DESC\"\n  \
    sealtrail audit sql \"SELECT actor, count(*) FROM events WHERE patient = ? GROUP BY actor\" --param PAT-2026-00842\n  \
    sealtrail audit sql --format csv \"SELECT * FROM events\" > events.csv\n  \
    sealtrail audit sql < monthly-review.sql\n  \
    sealtrail audit sql                                     a shell; .help tells more\n\
    Tables: records (all of the ledger), events (those you may open), world_state, audit_log, audit_logs.\n\
    Rows are decrypted as the query reads them: nothing is written to a disk, and the records cannot be changed.\n\
    In CSV a text that a spreadsheet would run as a formula (it starts with = + - @) gets a ' in front.")]
pub struct SqlArgs {
    /// The query; without it a shell, or what comes on standard input
    query: Option<String>,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t)]
    format: RowFormat,
    /// Value for the next ? (or $1, $2, …) of the query. A whole number is a number; '42' in quotes is a text
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    param: Vec<String>,
    /// Do not cut long cells of a table
    #[arg(long)]
    wide: bool,
    /// Only these records, first to last, by index or id: a query on few records of a large ledger is faster
    #[arg(long, value_name = "A..B")]
    records: Option<String>,
    #[command(flatten)]
    vault: VaultArgs,
}

/// How to print the rows.
#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum RowFormat {
    /// Columns in line, for people
    #[default]
    Table,
    /// With a header line, for spreadsheets
    Csv,
    /// One array of objects
    Json,
    /// One JSON object a line
    Ndjson,
}

impl From<RowFormat> for Format {
    fn from(f: RowFormat) -> Format {
        match f {
            RowFormat::Table => Format::Table,
            RowFormat::Csv => Format::Csv,
            RowFormat::Json => Format::Json,
            RowFormat::Ndjson => Format::NdJson,
        }
    }
}

impl From<SqlError> for Failure {
    fn from(e: SqlError) -> Failure {
        match e {
            SqlError::Query(_) => Failure::usage(e),
            SqlError::Records(e) => e.into(),
            SqlError::Output(_) => Failure::unavailable(e),
        }
    }
}

pub fn run(args: SqlArgs) -> Outcome {
    let open = args.vault.open()?;
    eprintln!("{}", printable(&open.as_of()));
    run_query(open.shared_records()?, &args)
}

/// The command over any records.
pub fn run_query(records: Arc<dyn Records>, args: &SqlArgs) -> Outcome {
    let all = records.as_of().records;
    let sql = match &args.records {
        Some(text) => Sql::over(records, range(text, all)?)?,
        None => Sql::new(records)?,
    };
    match &args.query {
        Some(query) => print_rows(&sql, query, args, args.format.into()),
        None if io::stdin().is_terminal() => shell(&sql, args),
        None => {
            let mut script = String::new();
            io::stdin().read_to_string(&mut script).map_err(Failure::unavailable)?;
            print_rows(&sql, &script, args, args.format.into())
        }
    }
}

/// A table is over one stretch of the ledger.
fn range(text: &str, all: u64) -> Result<std::ops::Range<u64>, Failure> {
    let range = RecordRange::parse_named(text).map_err(Failure::usage)?;
    if range.last >= all {
        return Err(Failure::Usage(format!("{text} goes beyond this ledger's {all} records")));
    }
    Ok(range.first..range.last + 1)
}

fn print_rows(sql: &Sql, query: &str, args: &SqlArgs, format: Format) -> Outcome {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let mut output =
        Output::new(io::BufWriter::new(progress::Output(stdout.lock())), format, args.wide, terminal);
    let params: Vec<_> = args.param.iter().map(|p| parameter(p)).collect();
    match sql.run(query, &params, &mut output) {
        // Whoever reads the rows, such as `head`, has had enough.
        Err(SqlError::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(e.into()),
        Ok(_) => Ok(()),
    }
}

/// Reads queries from the terminal until the end. They hold names of people: they are remembered for the arrow keys while the
/// shell runs, and never on a disk.
fn shell(sql: &Sql, args: &SqlArgs) -> Outcome {
    let mut editor = DefaultEditor::new().map_err(Failure::unavailable)?;
    let mut format: Format = args.format.into();
    println!("End a query with ; and type .help for help.");
    let mut query = String::new();
    loop {
        let prompt = if query.is_empty() { "sql> " } else { "...> " };
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            // Ctrl-C forgets the query that is being typed; Ctrl-D ends.
            Err(ReadlineError::Interrupted) => {
                query.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(Failure::unavailable(e)),
        };
        if query.is_empty() && line.trim_start().starts_with('.') {
            let _ = editor.add_history_entry(line.trim());
            match dot_command(line.trim(), &mut format) {
                Some(answer) => print!("{answer}"),
                None => return Ok(()),
            }
            continue;
        }
        query.push_str(&line);
        query.push('\n');
        if !is_complete(&query) {
            continue;
        }
        let whole = std::mem::take(&mut query);
        if whole.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(whole.trim());
        if let Err(failure) = print_rows(sql, &whole, args, format) {
            let lines: Vec<String> = failure.message().lines().map(printable).collect();
            eprintln!("{}", lines.join("\n"));
        }
        let _ = io::stdout().flush();
    }
}

/// The answer to a command that starts with a dot; `None` to end.
fn dot_command(line: &str, format: &mut Format) -> Option<String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let argument = words.next();
    Some(match name {
        ".quit" | ".exit" | ".q" => return None,
        ".tables" => TABLES.iter().map(|t| format!("{:12} {}\n", t.name, t.about)).collect(),
        ".schema" => {
            let wanted: Vec<_> = TABLES.iter().filter(|t| argument.is_none_or(|a| a == t.name)).collect();
            if wanted.is_empty() {
                "there is no such table; .tables lists them\n".to_owned()
            } else {
                schema(&wanted)
            }
        }
        ".functions" => FUNCTIONS.iter().map(|(f, about)| format!("{f:28} {about}\n")).collect(),
        ".format" => match argument.and_then(|a| <RowFormat as clap::ValueEnum>::from_str(a, true).ok()) {
            Some(new) => {
                *format = new.into();
                String::new()
            }
            None => "write .format table, csv, json or ndjson\n".to_owned(),
        },
        ".help" => HELP.to_owned(),
        _ => format!("{} is no command; .help lists them\n", printable(name)),
    })
}

const HELP: &str = "\
.tables             what can be selected from
.schema [TABLE]     columns and what they hold
.functions          functions beyond those of SQLite
.format NAME        table, csv, json or ndjson
.quit               end; so does Ctrl-D
Anything else is SQL and ends with a semicolon. Try: SELECT time, actor, action, patient FROM events LIMIT 10;
";

fn schema(tables: &[&crate::auditor::sql::views::TableInfo]) -> String {
    let mut out = String::new();
    for table in tables {
        out.push_str(&format!("{}: {}\n", table.name, table.about));
        for (column, about) in columns_of(table) {
            out.push_str(&format!("  {column:16} {about}\n"));
        }
    }
    out
}
