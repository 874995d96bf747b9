//! One pass over the bytes of one JSON event: checks it, and lists its leaf values with their pointers.
//! No tree is built. `docs/FORMAT.md` §5, Fields; RFC 8259 for the text, RFC 6901 for the pointers.
//!
//! A [`Parser`] keeps its buffers from event to event, so that a steady stream allocates nothing. Time is
//! at most proportional to (length + pointers) · log(fields), whatever the input.

use super::error::{EventError, Rule};
use super::found::{Fields, Found, Hit, Kind, Leaf, Moved, Span, slice};
use super::lexer;
use super::names::{self, Names, Open};
use super::pattern::{is_pointer, push_index, push_token};
use super::policy::marker;
use super::tree::{DEAD, PatternTree, ROOT};
use crate::base::limits::*;

/// How every marker starts.
const MARKER_START: &str = r#"{"$sealed":"#;

/// What a text is and what to look for in it.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    /// Where the policy's pointers lead.
    pub patterns: Option<&'r PatternTree>,
    /// The section names. An object that reads as a marker for any but the first is set apart for it.
    pub sections: &'r [String],
    /// What kind of text it is.
    pub text: Text,
}

/// The three kinds of text that are made of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// An event as received.
    Event,
    /// The payload of section 0: an event with markers in it.
    Frame,
    /// The payload of another section: an object whose member names are pointers.
    Moved,
}

/// The buffers of the pass; see the module's text.
#[derive(Default)]
pub struct Parser {
    pub(super) found: Found,
    /// The pointer of the place being read.
    path: String,
    frames: Vec<Frame>,
    names: Names,
    /// Node of the pattern tree for the place being read.
    node: u16,
    /// The section of the place being read.
    section: u8,
}

/// An open object or array.
struct Frame {
    array: bool,
    /// Members or elements so far, this one included.
    count: u32,
    /// Length of its own pointer.
    path_len: usize,
    node: u16,
    /// The other section this whole value belongs to, or 0.
    moves: u8,
    start: u32,
    /// Where its first leaf's pointer stands, and so its own.
    arena: u32,
    names: Open,
}

impl Parser {
    /// A parser with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks one event and lists its fields in document order.
    pub fn parse<'p>(&'p mut self, event: &'p [u8]) -> Result<Fields<'p>, EventError> {
        let text = self.read(event, Rules { patterns: None, sections: &[], text: Text::Event })?;
        Ok(Fields { found: &self.found, text, leaves: self.found.leaves.iter(), section: None })
    }

    /// Reads `bytes` by `rules` into [`Parser::found`]; returns the text without white space around it.
    pub(super) fn read<'t>(&mut self, bytes: &'t [u8], rules: Rules<'_>) -> Result<&'t str, EventError> {
        self.found.clear();
        self.path.clear();
        self.frames.clear();
        self.names.clear();
        self.section = 0;
        self.node = if rules.patterns.is_some() { ROOT } else { DEAD };
        let limit = if rules.text == Text::Event { MAX_EVENT_BYTES } else { MAX_RECORD_BYTES };
        let start = lexer::skip_space(bytes, 0);
        let inner = lexer::trim_end(bytes.get(start..).unwrap_or_default());
        if rules.text != Text::Event && inner.len() != bytes.len() {
            return Err(EventError::new(Rule::PaddedPayload, 0));
        }
        let shift = |e: EventError| EventError { offset: e.offset + start, ..e };
        if inner.len() > limit {
            return Err(shift(EventError::new(Rule::TooLarge, limit)));
        }
        let text =
            std::str::from_utf8(inner).map_err(|e| shift(EventError::new(Rule::NotUtf8, e.valid_up_to())))?;
        match inner.first() {
            Some(b'{') => self.value(text, rules).map_err(shift)?,
            None => return Err(shift(EventError::new(Rule::Empty, 0))),
            Some(0xef) if text.starts_with('\u{feff}') => {
                return Err(shift(EventError::new(Rule::ByteOrderMark, 0)));
            }
            Some(_) => return Err(shift(EventError::new(Rule::NotAnObject, 0))),
        }
        Ok(text)
    }

    /// RFC 8259 §3: reads the value at the start of `text` and everything inside it, then the end.
    fn value(&mut self, text: &str, rules: Rules<'_>) -> Result<(), EventError> {
        let b = text.as_bytes();
        let mut i = 0;
        'value: loop {
            let start = i;
            match b.get(i) {
                Some(b'"') => {
                    let s = lexer::string(b, i)?;
                    i = s.end;
                    let mut unescaped = (0, 0);
                    if s.escaped {
                        unescaped.0 = self.found.unescaped.len() as u32;
                        let raw = slice(text, (start as u32 + 1, i as u32 - 1));
                        lexer::unescape(raw, start + 1, &mut self.found.unescaped)?;
                        unescaped.1 = self.found.unescaped.len() as u32;
                    }
                    let kind = if s.escaped { Kind::Escaped } else { Kind::Plain };
                    self.leaf(kind, (start as u32, i as u32), unescaped, rules)?;
                }
                Some(b'{') => {
                    i = lexer::skip_space(b, i + 1);
                    if b.get(i) != Some(&b'}') {
                        self.open(false, start, rules)?;
                        i = self.member(text, i, rules)?;
                        continue 'value;
                    }
                    i += 1;
                    self.leaf(Kind::EmptyObject, (start as u32, i as u32), (0, 0), rules)?;
                }
                Some(b'[') => {
                    i = lexer::skip_space(b, i + 1);
                    if b.get(i) != Some(&b']') {
                        self.open(true, start, rules)?;
                        self.element(i, rules)?;
                        continue 'value;
                    }
                    i += 1;
                    self.leaf(Kind::EmptyArray, (start as u32, i as u32), (0, 0), rules)?;
                }
                Some(b'-' | b'0'..=b'9') => {
                    i = lexer::number(b, i)?;
                    self.leaf(Kind::Number, (start as u32, i as u32), (0, 0), rules)?;
                }
                _ => {
                    let rest = b.get(i..).unwrap_or_default();
                    let (kind, word) = match rest {
                        [b't', ..] => (Kind::True, "true"),
                        [b'f', ..] => (Kind::False, "false"),
                        [b'n', ..] => (Kind::Null, "null"),
                        _ => return Err(lexer::expected(b, i, "a value")),
                    };
                    if !rest.starts_with(word.as_bytes()) {
                        return Err(lexer::expected(b, i, "true, false or null"));
                    }
                    i += word.len();
                    self.leaf(kind, (start as u32, i as u32), (0, 0), rules)?;
                }
            }
            // A value has ended: go on in what holds it, or end that too.
            loop {
                let Some(frame) = self.frames.last() else {
                    // White space around the text is gone already.
                    let done = i == b.len();
                    return if done { Ok(()) } else { Err(EventError::new(Rule::TrailingText, i)) };
                };
                i = lexer::skip_space(b, i);
                self.path.truncate(frame.path_len);
                match (b.get(i), frame.array) {
                    (Some(b','), array) => {
                        i = lexer::skip_space(b, i + 1);
                        if array {
                            self.element(i, rules)?;
                        } else {
                            i = self.member(text, i, rules)?;
                        }
                        continue 'value;
                    }
                    (Some(b'}'), false) | (Some(b']'), true) => {
                        i += 1;
                        self.close(text, i, rules)?;
                    }
                    (_, false) => return Err(lexer::expected(b, i, "a comma or }")),
                    (_, true) => return Err(lexer::expected(b, i, "a comma or ]")),
                }
            }
        }
    }

    /// The other section that a value starting here is to be moved to as a whole, or 0.
    #[inline]
    fn destination(&self, rules: Rules<'_>) -> u8 {
        if self.section != 0 {
            return 0;
        }
        match rules.patterns {
            Some(tree) if self.node != DEAD => tree.section(self.node),
            _ => u8::from(rules.text == Text::Moved && self.frames.len() == 1),
        }
    }

    #[inline]
    fn leaf(&mut self, kind: Kind, raw: Span, unescaped: Span, rules: Rules<'_>) -> Result<(), EventError> {
        let n = self.found.leaves.len();
        if n >= MAX_EVENT_FIELDS {
            return Err(EventError::new(Rule::TooManyFields, raw.0 as usize));
        }
        if matches!(kind, Kind::EmptyObject | Kind::EmptyArray) {
            self.check_depth(raw.0 as usize, rules)?;
        }
        if rules.text == Text::Moved && self.frames.is_empty() {
            // A section nothing was moved to is `{}` and has no fields.
            return Ok(());
        }
        let to = self.found.arena.len() as u32;
        self.found.arena.push_str(&self.path);
        let pointer = (to, self.found.arena.len() as u32);
        if rules.text == Text::Event && self.found.arena.len() > MAX_EVENT_POINTERS_BYTES {
            return Err(EventError::new(Rule::PointersTooLong, raw.0 as usize));
        }
        let moves = self.destination(rules);
        if moves != 0 {
            self.found.moved.push(Moved { section: moves, pointer, raw });
        }
        if let (Some(tree), true) = (rules.patterns, self.node != DEAD) {
            let hits = tree.tags(self.node).iter().map(|tag| Hit { leaf: n as u32, tag: *tag });
            self.found.hits.extend(hits);
        }
        self.found.leaves.push(Leaf { pointer, raw, unescaped, kind, section: self.section.max(moves) });
        Ok(())
    }

    fn check_depth(&self, at: usize, rules: Rules<'_>) -> Result<(), EventError> {
        // Moving a value, or standing a marker in its place, can add one level.
        let limit = MAX_EVENT_DEPTH + usize::from(rules.text != Text::Event);
        if self.frames.len() >= limit {
            return Err(EventError::new(Rule::TooDeep, at));
        }
        Ok(())
    }

    fn open(&mut self, array: bool, start: usize, rules: Rules<'_>) -> Result<(), EventError> {
        self.check_depth(start, rules)?;
        let moves = self.destination(rules);
        self.section = self.section.max(moves);
        self.frames.push(Frame {
            array,
            count: 0,
            path_len: self.path.len(),
            node: self.node,
            moves,
            start: start as u32,
            arena: self.found.arena.len() as u32,
            names: self.names.open(),
        });
        Ok(())
    }

    fn close(&mut self, text: &str, end: usize, rules: Rules<'_>) -> Result<(), EventError> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if !frame.array {
            self.names.close(frame.names, &self.found.arena)?;
        }
        let pointer = (frame.arena, frame.arena + frame.path_len as u32);
        let raw = (frame.start, end as u32);
        if frame.moves != 0 {
            self.section = 0;
            self.found.moved.push(Moved { section: frame.moves, pointer, raw });
        } else if self.section == 0
            && rules.sections.len() > 1
            && !self.frames.is_empty()
            && let Some(section) = self.marker(slice(text, raw), rules.sections)
        {
            if let Some(leaf) = self.found.leaves.last_mut() {
                leaf.section = section;
            }
            self.found.moved.push(Moved { section, pointer, raw });
        }
        Ok(())
    }

    /// The section of the marker that `raw`, the text of the object that has just ended, is: exactly those
    /// bytes. An event that has such an object by itself gets it moved to that very section: the payload
    /// then says the same thing as it would for any moved value, and putting back restores the event. The
    /// event as a whole is never one, as nothing could be moved out of it under the empty pointer.
    fn marker(&self, raw: &str, sections: &[String]) -> Option<u8> {
        // A string that was moved out of the object leaves something else in its place.
        if !raw.starts_with(MARKER_START) || self.found.leaves.last()?.section != 0 {
            return None;
        }
        let position = sections.iter().skip(1).position(|s| raw == marker(s))?;
        u8::try_from(position + 1).ok()
    }

    /// Moves to the next element of the innermost array, which starts at `at`.
    fn element(&mut self, at: usize, rules: Rules<'_>) -> Result<(), EventError> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let index = frame.count;
        frame.count += 1;
        push_index(index, &mut self.path);
        self.node = match rules.patterns {
            Some(tree) if frame.node != DEAD => tree.element(frame.node, index),
            _ => DEAD,
        };
        self.check_path(at)
    }

    /// RFC 8259 §4: reads a member's name and colon at `i`; returns where its value starts.
    fn member(&mut self, text: &str, i: usize, rules: Rules<'_>) -> Result<usize, EventError> {
        let b = text.as_bytes();
        if b.get(i) != Some(&b'"') {
            return Err(lexer::expected(b, i, "a member name in quotes"));
        }
        let s = lexer::string(b, i)?;
        let raw = slice(text, (i as u32 + 1, s.end as u32 - 1));
        let pointer_name = rules.text == Text::Moved && self.frames.len() == 1;
        let before = self.path.len();
        let name = lexer::characters(raw, s.escaped, i + 1)?;
        if !pointer_name {
            push_token(&name, &mut self.path);
        } else if is_pointer(&name) {
            self.path.push_str(&name);
        } else {
            return Err(EventError::new(Rule::NotAPointer, i));
        }
        self.check_path(i)?;
        let skip = usize::from(!pointer_name);
        let Some(frame) = self.frames.last_mut() else { return Ok(i) };
        frame.count += 1;
        let token = self.path.get(before + skip..).unwrap_or_default();
        let key = names::key(token.as_bytes());
        let start = self.found.arena.len() + before + skip;
        self.names.add(&mut frame.names, key, token, start, i, &self.found.arena)?;
        self.node = match rules.patterns {
            Some(tree) if frame.node != DEAD => tree.member(frame.node, key, token),
            _ => DEAD,
        };
        let colon = lexer::skip_space(b, s.end);
        if b.get(colon) != Some(&b':') {
            return Err(lexer::expected(b, colon, "a colon after the member name"));
        }
        Ok(lexer::skip_space(b, colon + 1))
    }

    #[inline]
    fn check_path(&self, at: usize) -> Result<(), EventError> {
        if self.path.len() > MAX_POINTER_BYTES {
            return Err(EventError::new(Rule::PointerTooLong, at));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
pub(super) mod tests;
