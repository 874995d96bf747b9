//! One table of a report as CSV: RFC 4180, UTF-8, one line of column names, nothing else, and safe to open in a spreadsheet.

use super::coverage::range_name;
use super::model::{Cell, Report, Table};

/// First characters that make a spreadsheet take a cell for a formula, in their usual and full-width forms, and those it skips.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The main table.
pub fn csv(report: &Report) -> String {
    report.main_table().map(table_csv).unwrap_or_default()
}

/// The table of that name, if the report has it.
pub fn csv_table(report: &Report, name: &str) -> Option<String> {
    report.tables.iter().find(|t| t.name == name).map(table_csv)
}

fn table_csv(table: &Table) -> String {
    let mut out = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    let has_source = table.columns.iter().any(|c| c.name == "time");
    let mut heads: Vec<&str> = table.columns.iter().map(|c| c.name).collect();
    heads.extend(has_source.then_some("time_source"));
    heads.extend(["record_ids", "record_count"]);
    // Writing to memory cannot fail, and every line has as many cells as the first.
    let _ = out.write_record(&heads);
    for row in &table.rows {
        let mut cells: Vec<String> = row.cells.iter().map(cell).collect();
        cells.extend(has_source.then(|| time_source(&row.cells).to_owned()));
        cells.push(row.records.ranges.iter().map(range_name).collect::<Vec<_>>().join("; "));
        cells.push(row.records.count.to_string());
        let _ = out.write_record(&cells);
    }
    out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Whether the row's time is the event's own or when its record was sealed.
pub(super) fn time_source(cells: &[Cell]) -> &'static str {
    if cells.iter().any(|c| matches!(c, Cell::Time { sealed: true, .. })) { "sealed" } else { "event" }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => harmless(text),
        Cell::Number(n) => n.to_string(),
        Cell::AtLeast(n) => format!("{n} or more"),
        Cell::Time { at, .. } => at.to_string(),
        Cell::Outcome(o) => (*o).to_owned(),
        Cell::Missing | Cell::Blank => String::new(),
    }
}

/// Text that a spreadsheet could run gets an apostrophe before it, which spreadsheets take for "this is text".
fn harmless(text: &str) -> String {
    let start = text.trim_start_matches([' ', '\u{a0}', '\u{feff}', '\u{200b}']);
    if start.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(\"x\")", "\u{feff}=1", "＝1"]
        {
            assert!(harmless(bad).starts_with('\''), "{bad:?}");
        }
        for good in ["dr-smith", "10.0.0.1", "a=b", ""] {
            assert_eq!(harmless(good), good);
        }
    }
}
