//! Rows for people and programs: a table, CSV, JSON, or JSON a line.

use std::io::{self, Write};

use rusqlite::types::Value;

use crate::base::limits::{SQL_CELL_CHARS, SQL_WIDTH_ROWS};
use crate::event::view::{hides, printable, spreadsheet_cell};

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Columns in line, for people.
    #[default]
    Table,
    /// RFC 4180 with a header line. A text that a spreadsheet would take for a formula gets a `'` in front.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    NdJson,
}

/// Takes the rows of a query one by one.
pub trait RowSink {
    /// The names of the columns, before any row.
    fn columns(&mut self, names: &[String]) -> io::Result<()>;
    /// One row.
    fn row(&mut self, values: &[Value]) -> io::Result<()>;
    /// After the last row.
    fn end(&mut self) -> io::Result<()>;
}

/// Writes rows to a file or terminal.
pub struct Output<W: Write> {
    to: W,
    format: Format,
    names: Vec<String>,
    rows: u64,
    /// Most characters of a cell of a table.
    cell: usize,
    /// Whether `to` is a terminal, where control characters must not arrive.
    terminal: bool,
    /// First rows of a table, held back until the widths are known.
    held: Vec<Vec<String>>,
    widths: Vec<usize>,
    right: Vec<bool>,
    /// Whether a table ends with the number of its rows.
    count: bool,
}

impl<W: Write> Output<W> {
    /// `wide`: cells of a table are not cut. `terminal`: `to` is one.
    pub fn new(to: W, format: Format, wide: bool, terminal: bool) -> Output<W> {
        let cell = if wide { usize::MAX } else { SQL_CELL_CHARS };
        let (names, held, widths, right) = Default::default();
        Output { to, format, names, rows: 0, cell, terminal, held, widths, right, count: true }
    }

    /// The same without the line that counts a table's rows.
    pub fn without_count(self) -> Output<W> {
        Output { count: false, ..self }
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn table_row(&mut self, values: &[Value]) -> io::Result<()> {
        let cells: Vec<String> = values.iter().map(|v| self.cell(v)).collect();
        for (right, value) in self.right.iter_mut().zip(values) {
            *right &= matches!(value, Value::Integer(_) | Value::Real(_) | Value::Null);
        }
        if !self.widths.is_empty() {
            return self.line(&cells);
        }
        self.held.push(cells);
        if self.held.len() >= SQL_WIDTH_ROWS { self.release() } else { Ok(()) }
    }

    /// Text of a table's cell.
    fn cell(&self, value: &Value) -> String {
        let text = printable(&plain(value));
        if text.chars().count() <= self.cell {
            return text;
        }
        let mut cut: String = text.chars().take(self.cell.saturating_sub(1)).collect();
        cut.push('…');
        cut
    }

    /// Writes the header and the rows held back.
    fn release(&mut self) -> io::Result<()> {
        let names: Vec<String> = self.names.iter().map(|n| printable(n)).collect();
        self.widths = names.iter().map(|n| n.chars().count()).collect();
        for cells in &self.held {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        self.line(&names)?;
        let dashes: Vec<String> = self.widths.iter().map(|w| "-".repeat(*w)).collect();
        self.line(&dashes)?;
        for cells in std::mem::take(&mut self.held) {
            self.line(&cells)?;
        }
        Ok(())
    }

    fn line(&mut self, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let width = self.widths.get(i).copied().unwrap_or_default();
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let right = self.right.get(i).copied().unwrap_or_default();
            let (before, after) = if right { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.extend([if i == 0 { "" } else { "  " }, before, cell, after]);
        }
        writeln!(self.to, "{}", line.trim_end())
    }

    fn csv_line(&mut self, cells: Vec<String>) -> io::Result<()> {
        let mut line = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        line.write_record(&cells)?;
        self.to.write_all(&line.into_inner().map_err(|e| io::Error::other(e.to_string()))?)
    }

    fn csv_cell(&self, value: &Value) -> String {
        let text = match value {
            Value::Text(t) => spreadsheet_cell(t),
            _ => plain(value),
        };
        if self.terminal { printable(&text) } else { text }
    }

    fn object(&self, values: &[Value]) -> String {
        let members = self.names.iter().zip(values).map(|(n, v)| format!("{}:{}", json_text(n), json(v)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl<W: Write> RowSink for Output<W> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.names = names.to_vec();
        self.rows = 0;
        self.widths.clear();
        self.right = vec![true; names.len()];
        match self.format {
            Format::Csv => self.csv_line(names.to_vec()),
            Format::Json => write!(self.to, "["),
            Format::Table | Format::NdJson => Ok(()),
        }
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.rows += 1;
        match self.format {
            Format::Table => self.table_row(values),
            Format::Csv => {
                let cells = values.iter().map(|v| self.csv_cell(v)).collect();
                self.csv_line(cells)
            }
            Format::Json => {
                let object = self.object(values);
                write!(self.to, "{}\n{object}", if self.rows == 1 { "" } else { "," })
            }
            Format::NdJson => {
                let object = self.object(values);
                writeln!(self.to, "{object}")
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self.format {
            Format::Table => {
                if self.widths.is_empty() {
                    self.release()?;
                }
                if self.count {
                    writeln!(self.to, "({} row{})", self.rows, if self.rows == 1 { "" } else { "s" })?;
                }
            }
            Format::Json => writeln!(self.to, "{}]", if self.rows == 0 { "" } else { "\n" })?,
            Format::Csv | Format::NdJson => {}
        }
        self.to.flush()
    }
}

/// A value as bare text; NULL is empty.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(n) => n.to_string(),
        Value::Real(n) => n.to_string(),
        Value::Text(t) => t.clone(),
        Value::Blob(b) => crate::base::hash::to_hex(b),
    }
}

fn json(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Real(n) => serde_json::Number::from_f64(*n).map_or("null".to_owned(), |n| n.to_string()),
        Value::Text(t) => json_text(t),
        Value::Blob(b) => json_text(&crate::base::hash::to_hex(b)),
    }
}

/// A JSON string in which everything that a terminal might obey is escaped.
fn json_text(text: &str) -> String {
    let mut out = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        if hides(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
