//! A request body into events: one JSON object, an array of objects, or one object per line (NDJSON).
//! Only the borders are found here; [`super::json`] checks what lies between them.

use memchr::memchr_iter;

use super::error::{EventError, Place, Rule};
use super::lexer;
use crate::base::limits::*;

/// How the events of a body are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON value: an object, or an array of objects.
    Json,
    /// One object per line; blank lines and CRLF line ends are fine.
    Ndjson,
    /// Whichever of the two it looks like: one object or array, otherwise lines.
    Auto,
}

impl Format {
    /// From the media type of a request; parameters such as `charset` are ignored.
    pub fn of_content_type(content_type: Option<&str>) -> Format {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is = |t: &str| media.eq_ignore_ascii_case(t);
        if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl") {
            Format::Ndjson
        } else if is("application/json") {
            Format::Json
        } else {
            Format::Auto
        }
    }
}

/// One event of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// Its exact bytes, without white space around them.
    pub bytes: &'a [u8],
    /// Its number and line, for errors about it.
    pub place: Place,
}

/// Splits a body into its events, at least one, in order.
pub fn split(body: &[u8], format: Format) -> Result<Vec<Piece<'_>>, EventError> {
    if body.len() > MAX_EVENTS_REQUEST_BYTES {
        return Err(EventError::new(Rule::BodyTooLarge, MAX_EVENTS_REQUEST_BYTES));
    }
    let start = lexer::skip_space(body, 0);
    match (body.get(start), format) {
        (None, _) => Err(EventError::new(Rule::Empty, 0)),
        (Some(b'['), Format::Json | Format::Auto) => array(body, start),
        (_, Format::Json) => one(body),
        (_, Format::Ndjson) => lines(body),
        // A single object, though it may span lines; an object that does not end is one too.
        (Some(b'{'), Format::Auto)
            if object_end(body, start).is_none_or(|e| lexer::skip_space(body, e) == body.len()) =>
        {
            one(body)
        }
        (_, Format::Auto) => lines(body),
    }
}

fn one(body: &[u8]) -> Result<Vec<Piece<'_>>, EventError> {
    let mut events = Events { body, pieces: Vec::new(), counted: 0, line: 1 };
    events.push(lexer::skip_space(body, 0), body.len())?;
    Ok(events.pieces)
}

fn lines(body: &[u8]) -> Result<Vec<Piece<'_>>, EventError> {
    let mut events = Events { body, pieces: Vec::new(), counted: 0, line: 1 };
    let mut at = 0;
    for end in memchr_iter(b'\n', body).chain([body.len()]) {
        let line = body.get(at..end).unwrap_or_default();
        let space = lexer::skip_space(line, 0);
        if space < line.len() {
            events.push(at + space, end)?;
        }
        at = end + 1;
    }
    Ok(events.pieces)
}

fn array(body: &[u8], open: usize) -> Result<Vec<Piece<'_>>, EventError> {
    let mut events = Events { body, pieces: Vec::new(), counted: 0, line: 1 };
    let mut at = lexer::skip_space(body, open + 1);
    if body.get(at) == Some(&b']') {
        return Err(EventError::new(Rule::Empty, at));
    }
    loop {
        let place = events.place(at);
        if body.get(at) != Some(&b'{') {
            let rule = if at < body.len() { Rule::NotAnObject } else { Rule::Truncated };
            return Err(EventError::new(rule, 0).at(place));
        }
        let end = object_end(body, at).ok_or(EventError::new(Rule::Truncated, body.len() - at).at(place))?;
        events.push(at, end)?;
        at = lexer::skip_space(body, end);
        match body.get(at) {
            Some(b',') => at = lexer::skip_space(body, at + 1),
            Some(b']') => break,
            _ => return Err(lexer::expected(body, at, "a comma or ] after an event of the array")),
        }
    }
    at = lexer::skip_space(body, at + 1);
    if at < body.len() {
        return Err(EventError::new(Rule::Expected("nothing after the array"), at));
    }
    Ok(events.pieces)
}

/// Position behind the object that starts at `at`, if its brackets and quotes are balanced. Which bracket
/// closes which is not looked at: whatever is wrong inside, reading the event will find.
fn object_end(body: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match body.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at = string_end(body, at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

fn string_end(body: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match body.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The pieces so far, and how far lines have been counted.
struct Events<'a> {
    body: &'a [u8],
    pieces: Vec<Piece<'a>>,
    counted: usize,
    line: usize,
}

impl<'a> Events<'a> {
    fn place(&mut self, at: usize) -> Place {
        let passed = self.body.get(self.counted..at).unwrap_or_default();
        self.line += memchr_iter(b'\n', passed).count();
        self.counted = self.counted.max(at);
        Place { event: self.pieces.len(), line: self.line }
    }

    fn push(&mut self, start: usize, end: usize) -> Result<(), EventError> {
        let place = self.place(start);
        let bytes = lexer::trim_end(self.body.get(start..end).unwrap_or_default());
        if self.pieces.len() >= MAX_EVENTS_PER_REQUEST {
            return Err(EventError::new(Rule::TooManyEvents, 0).at(place));
        }
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::new(Rule::TooLarge, MAX_EVENT_BYTES).at(place));
        }
        self.pieces.push(Piece { bytes, place });
        Ok(())
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
