//! One readable line about an event, from the places well-known shapes keep their answers in
//! ([`super::recognise`]). For people's eyes; nothing is decided by it.

use super::error::EventError;
use super::field::{Field, Scalar};
use super::json::Parser;
use super::pattern::Pattern;
use super::recognise;

/// Who, what, which, how it went, when and from where, as far as recognised.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Who did it.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// What it was done to.
    pub resource: Option<String>,
    /// How it went.
    pub result: Option<String>,
    /// When, as the event writes it.
    pub time: Option<String>,
    /// From which network address.
    pub address: Option<String>,
}

impl Summary {
    /// Reads an event.
    pub fn of(event: &[u8]) -> Result<Summary, EventError> {
        let mut parser = Parser::new();
        let fields: Vec<Field<'_>> = parser.parse(event)?.collect();
        let requestor = requestor(&fields);
        let from_requestor = |f: &&Field<'_>| requestor.is_some_and(|agent| f.pointer.starts_with(agent));
        let patient = |f: &&Field<'_>| text(&f.value).is_some_and(|t| t.starts_with("Patient/"));
        let first = |list| best(&fields, list, |_| true);
        Ok(Summary {
            actor: best(&fields, recognise::ACTOR, from_requestor).or_else(|| first(recognise::ACTOR)),
            resource: best(&fields, recognise::RESOURCE, patient).or_else(|| first(recognise::RESOURCE)),
            address: best(&fields, recognise::ADDRESS, from_requestor).or_else(|| first(recognise::ADDRESS)),
            action: first(recognise::ACTION),
            result: first(recognise::RESULT),
            time: first(recognise::TIME),
        })
    }
}

/// FHIR R4 and R5: the pointer, with its last slash, of the agent who started the event.
fn requestor<'f>(fields: &'f [Field<'_>]) -> Option<&'f str> {
    let is = Pattern::parse("/agent/*/requestor").ok()?;
    let field = fields.iter().find(|f| f.value == Scalar::True && is.matches(f.pointer))?;
    field.pointer.strip_suffix("requestor")
}

/// The first field, by the order of `list` and then of the event, that `wanted` lets through.
fn best(fields: &[Field<'_>], list: &[&str], wanted: impl Fn(&&Field<'_>) -> bool) -> Option<String> {
    list.iter().filter_map(|p| Pattern::parse(p).ok()).find_map(|pattern| {
        let mut matching = fields.iter().filter(|f| pattern.matches(f.pointer)).filter(&wanted);
        matching.find_map(|f| text(&f.value)).map(str::to_owned)
    })
}

fn text<'f>(value: &'f Scalar<'_>) -> Option<&'f str> {
    match value {
        Scalar::String(s) => Some(s).filter(|s| !s.is_empty()).map(|s| &**s),
        Scalar::Number(n) => Some(n),
        Scalar::True => Some("true"),
        Scalar::False => Some("false"),
        Scalar::Null | Scalar::EmptyObject | Scalar::EmptyArray => None,
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |p: &Option<String>, none: &str| p.as_deref().map_or(none.to_owned(), printable);
        write!(f, "{} ", part(&self.time, "(no time)"))?;
        write!(f, "{} ", part(&self.actor, "(unknown actor)"))?;
        write!(f, "{} ", part(&self.action, "(unknown action)"))?;
        write!(f, "{}", part(&self.resource, "(unknown resource)"))?;
        if let Some(result) = &self.result {
            write!(f, ": {}", printable(result))?;
        }
        if let Some(address) = &self.address {
            write!(f, " from {}", printable(address))?;
        }
        Ok(())
    }
}

/// Whether a character could move the cursor, turn the line around or not be seen: control characters, direction marks, what
/// Unicode calls default-ignorable, and letters that look blank.
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Text from an event for a terminal: every character that [`hides`] is shown as its number.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// First characters that make a spreadsheet take a cell for a formula (OWASP, "CSV Injection"), in their usual and full-width forms.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Text for a cell of a CSV file: what a spreadsheet could run gets an apostrophe in front, which spreadsheets take for "this is
/// text". A number with a sign is left alone. Characters that a spreadsheet skips do not hide a formula.
pub fn spreadsheet_cell(text: &str) -> String {
    let start = text.trim_start_matches([' ', '\u{a0}', '\u{feff}', '\u{200b}']);
    let number = || text.bytes().any(|b| b.is_ascii_digit()) && text.parse::<f64>().is_ok();
    if start.starts_with(FORMULA) && !number() { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
