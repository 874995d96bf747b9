//! One table of a report as CSV: RFC 4180, UTF-8, one line of column names, nothing else, and safe to open in a spreadsheet.

use super::coverage::range_name;
use super::model::{Cell, Report, Table};
use crate::event::view::spreadsheet_cell;

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
        Cell::Text(text) => spreadsheet_cell(text),
        Cell::Number(n) => n.to_string(),
        Cell::AtLeast(n) => format!("{n} or more"),
        Cell::Time { at, .. } => at.to_string(),
        Cell::Outcome(o) => (*o).to_owned(),
        Cell::Missing | Cell::Blank => String::new(),
    }
}
