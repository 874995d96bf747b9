//! An event made ready for sealing, and put together again after opening. `docs/FORMAT.md` §5, Payload
//! and Fields.
//!
//! In the common case of one section nothing is copied: its payload is the event.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::{EventError, Rule};
use super::found::{Fields, Found, Moved, slice};
use super::json::{Parser, Rules, Text};
use super::lexer;
use super::normalise::normalise_into;
use super::policy::CompiledPolicy;
use crate::base::limits::*;

/// Applies one policy to event after event, in buffers it keeps.
pub struct Preparer {
    policy: Arc<CompiledPolicy>,
    parser: Parser,
    /// One per section, unused where there is only one.
    payloads: Vec<Vec<u8>>,
    tags: Vec<TagSpan>,
    tag_text: String,
}

/// One event, ready for sealing; borrowed from the event and the [`Preparer`].
pub struct Prepared<'p> {
    text: &'p str,
    found: &'p Found,
    payloads: &'p [Vec<u8>],
    tags: &'p [TagSpan],
    tag_text: &'p str,
}

/// A value that gets a blind tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagValue<'p> {
    /// Index of the section that holds the value.
    pub section: usize,
    /// Index of the tag field.
    pub field: usize,
    /// The normalised value, never empty.
    pub value: &'p str,
}

struct TagSpan {
    section: u8,
    field: u8,
    value: std::ops::Range<usize>,
}

impl Preparer {
    /// A preparer with empty buffers.
    pub fn new(policy: Arc<CompiledPolicy>) -> Self {
        let payloads = policy.sections().iter().map(|_| Vec::new()).collect();
        Preparer { policy, parser: Parser::new(), payloads, tags: Vec::new(), tag_text: String::new() }
    }

    /// The policy in use.
    pub fn policy(&self) -> &Arc<CompiledPolicy> {
        &self.policy
    }

    /// Checks an event, divides it into sections and finds its tag values.
    pub fn prepare<'p>(&'p mut self, event: &'p [u8]) -> Result<Prepared<'p>, EventError> {
        let rules =
            Rules { patterns: Some(&self.policy.tree), sections: &self.policy.sections, text: Text::Event };
        let text = self.parser.read(event, rules)?;
        let shift = |e: EventError| EventError { offset: e.offset + lexer::skip_space(event, 0), ..e };
        self.find_tags(text).map_err(shift)?;
        if self.payloads.len() > 1 {
            self.write_payloads(text).map_err(shift)?;
        }
        Ok(Prepared {
            text,
            found: &self.parser.found,
            payloads: &self.payloads,
            tags: &self.tags,
            tag_text: &self.tag_text,
        })
    }

    /// §5, Blind tags: equal values of one field and section make one tag.
    fn find_tags(&mut self, text: &str) -> Result<(), EventError> {
        let Preparer { parser, tags, tag_text, .. } = self;
        tags.clear();
        tag_text.clear();
        for hit in &parser.found.hits {
            let Some(leaf) = parser.found.leaves.get(hit.leaf as usize) else { continue };
            let start = tag_text.len();
            normalise_into(&parser.found.value(text, leaf), tag_text);
            let new = tag_text.get(start..).unwrap_or_default();
            let known = tags.iter().any(|t| {
                t.field == hit.tag && t.section == leaf.section && tag_text.get(t.value.clone()) == Some(new)
            });
            if new.is_empty() || known {
                tag_text.truncate(start);
                continue;
            }
            if tags.len() >= MAX_TAGS {
                return Err(EventError::new(Rule::TooManyTags, leaf.raw.0 as usize));
            }
            tags.push(TagSpan { section: leaf.section, field: hit.tag, value: start..tag_text.len() });
        }
        Ok(())
    }

    /// §5, Payload.
    fn write_payloads(&mut self, text: &str) -> Result<(), EventError> {
        let Some((frame, others)) = self.payloads.split_first_mut() else { return Ok(()) };
        frame.clear();
        for out in others.iter_mut() {
            out.clear();
            out.push(b'{');
        }
        let too_large = EventError::new(Rule::SectionsTooLarge, 0);
        let mut total = text.len();
        let mut copied = 0;
        for m in &self.parser.found.moved {
            let Some(out) = others.get_mut(usize::from(m.section).wrapping_sub(1)) else { continue };
            let marker = self.policy.markers.get(usize::from(m.section)).map_or("", String::as_str);
            frame.extend_from_slice(slice(text, (copied, m.raw.0)).as_bytes());
            frame.extend_from_slice(marker.as_bytes());
            copied = m.raw.1;
            let before = out.len();
            if before > 1 {
                out.push(b',');
            }
            push_json_string(self.parser.found.pointer(m.pointer), out);
            out.push(b':');
            out.extend_from_slice(slice(text, m.raw).as_bytes());
            total += marker.len() + out.len() - before;
            // Half a record: the other half is room for padding and slots.
            if total > MAX_RECORD_BYTES / 2 {
                return Err(too_large);
            }
        }
        frame.extend_from_slice(slice(text, (copied, text.len() as u32)).as_bytes());
        others.iter_mut().for_each(|out| out.push(b'}'));
        Ok(())
    }
}

impl<'p> Prepared<'p> {
    /// Number of sections, the policy's.
    pub fn sections(&self) -> usize {
        self.payloads.len()
    }

    /// The bytes to seal in section `section`.
    pub fn payload(&self, section: usize) -> &'p [u8] {
        match self.payloads {
            [_] if section == 0 => self.text.as_bytes(),
            many => many.get(section).map_or(&[], Vec::as_slice),
        }
    }

    /// The fields to commit to in section `section`, in document order.
    pub fn fields(&self, section: usize) -> Fields<'p> {
        let section = if self.payloads.len() == 1 && section == 0 { None } else { Some(section) };
        Fields {
            found: self.found,
            text: self.text,
            leaves: self.found.leaves.iter(),
            // No section has this number: there are at most MAX_SECTIONS.
            section: section.map(|s| u8::try_from(s).unwrap_or(u8::MAX)),
        }
    }

    /// The values that get blind tags, in document order, each (section, field, value) once.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = TagValue<'p>> + use<'p> {
        let text = self.tag_text;
        self.tags.iter().map(move |t| TagValue {
            section: usize::from(t.section),
            field: usize::from(t.field),
            value: text.get(t.value.clone()).unwrap_or_default(),
        })
    }
}

/// The fields of an opened payload, which the record's commitments must match. `sections` are all section
/// names of the batch header: in section 0 only an object that names another one of them is a marker.
pub fn fields_of_payload<'p>(
    parser: &'p mut Parser,
    section: usize,
    payload: &'p [u8],
    sections: &[String],
) -> Result<Fields<'p>, EventError> {
    let (text, section) = match section {
        0 => (parser.read(payload, Rules { patterns: None, sections, text: Text::Frame })?, Some(0)),
        _ => (read_moved(parser, payload)?, None),
    };
    Ok(Fields { found: &parser.found, text, leaves: parser.found.leaves.iter(), section })
}

/// Where the payload of section 0 has markers: of each, the number of its section and the pointer of the moved value.
pub fn markers_of_payload(
    parser: &mut Parser,
    payload: &[u8],
    sections: &[String],
) -> Result<Vec<(usize, String)>, EventError> {
    parser.read(payload, Rules { patterns: None, sections, text: Text::Frame })?;
    let found = &parser.found;
    Ok(found.moved.iter().map(|m| (usize::from(m.section), found.pointer(m.pointer).to_owned())).collect())
}

/// Restores the event from its payloads, one per section. Of a section that is `None` (not readable by
/// whoever asks) the markers stay; all others must fit together exactly.
pub fn merge(sections: &[String], payloads: &[Option<&[u8]>]) -> Result<Vec<u8>, EventError> {
    let mismatch = EventError::new(Rule::Mismatch, 0);
    if sections.len() != payloads.len() {
        return Err(mismatch);
    }
    let Some((Some(frame), others)) = payloads.split_first() else {
        return Err(EventError::new(Rule::NoFrame, 0));
    };
    let mut parser = Parser::new();
    let frame = parser.read(frame, Rules { patterns: None, sections, text: Text::Frame })?;
    let mut read = Vec::with_capacity(others.len());
    for payload in others {
        let mut parser = Parser::new();
        let text = match payload {
            Some(p) => Some(read_moved(&mut parser, p)?),
            None => None,
        };
        read.push((parser.found, text));
    }
    let mut rest: Vec<std::slice::Iter<'_, Moved>> = read.iter().map(|(f, _)| f.moved.iter()).collect();
    let mut out = Vec::with_capacity(frame.len());
    let mut copied = 0;
    for marker in &parser.found.moved {
        let at = usize::from(marker.section).wrapping_sub(1);
        let (Some((found, text)), Some(members)) = (read.get(at), rest.get_mut(at)) else {
            return Err(mismatch);
        };
        let Some(text) = text else { continue };
        let member = members.next().ok_or(mismatch)?;
        if found.pointer(member.pointer) != parser.found.pointer(marker.pointer) {
            return Err(mismatch);
        }
        out.extend_from_slice(slice(frame, (copied, marker.raw.0)).as_bytes());
        out.extend_from_slice(slice(text, member.raw).as_bytes());
        copied = marker.raw.1;
    }
    if rest.iter_mut().any(|members| members.next().is_some()) {
        return Err(mismatch);
    }
    out.extend_from_slice(slice(frame, (copied, frame.len() as u32)).as_bytes());
    Ok(out)
}

/// Reads the payload of a section other than the first: spelled as [`Preparer`] spells it, no pointer empty
/// or inside another.
fn read_moved<'t>(parser: &mut Parser, payload: &'t [u8]) -> Result<&'t str, EventError> {
    let text = parser.read(payload, Rules { patterns: None, sections: &[], text: Text::Moved })?;
    let mut spelled = Vec::with_capacity(text.len());
    let pointers: HashSet<&str> =
        parser.found.moved.iter().map(|m| parser.found.pointer(m.pointer)).collect();
    for m in &parser.found.moved {
        let pointer = parser.found.pointer(m.pointer);
        let mut outer = pointer.match_indices('/').map(|(i, _)| pointer.get(..i).unwrap_or_default());
        if pointer.is_empty() || outer.any(|o| pointers.contains(o)) {
            return Err(EventError::new(Rule::NotAPointer, 0));
        }
        spelled.push(if spelled.is_empty() { b'{' } else { b',' });
        push_json_string(pointer, &mut spelled);
        spelled.push(b':');
        spelled.extend_from_slice(slice(text, m.raw).as_bytes());
    }
    spelled.extend_from_slice(if spelled.is_empty() { b"{}" } else { b"}" });
    if spelled != payload {
        return Err(EventError::new(Rule::PaddedPayload, 0));
    }
    Ok(text)
}

/// Appends `text` as a JSON string.
fn push_json_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|c| c < 0x20 || c == b'"' || c == b'\\') {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
