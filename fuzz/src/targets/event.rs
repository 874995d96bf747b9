//! JSON events: the reader, borders of requests, sections, merging, and what reports read out of events.

use std::sync::{Arc, OnceLock};

use sealtrail::auditor::facts::Facts;
use sealtrail::auditor::fuzzing::{event_time, event_tree};
use sealtrail::base::limits::*;
use sealtrail::event::field::Field;
use sealtrail::event::json::Parser;
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{CompiledPolicy, Policy, ReaderChoice, SectionPolicy, TagField};
use sealtrail::event::prepare::{Preparer, fields_of_payload, markers_of_payload, merge as merge_payloads};
use sealtrail::event::split::{Format, split as split_body};
use sealtrail::event::view::Summary;
use serde_json::value::RawValue;

use super::input::{byte, part};
use super::slow_json;

fn leaf(f: Field<'_>) -> slow_json::Leaf {
    (f.pointer.to_owned(), f.value.kind(), f.value.text().to_owned())
}

/// One event, against the slow reader.
pub fn json(data: &[u8]) {
    let mut parser = Parser::new();
    let fast = parser.parse(data).map(|fields| fields.map(leaf).collect::<Vec<_>>());
    let slow = slow_json::leaves(data);
    match (&fast, &slow) {
        (Ok(fast), Some(slow)) => assert_eq!(fast, slow),
        (Err(e), None) => assert!(e.offset <= data.len()),
        (Ok(_), None) => panic!("read although the rules refuse it"),
        (Err(e), Some(_)) => panic!("refused although the rules take it: {e}"),
    }
    // A parser keeps nothing of the event before.
    let again = parser.parse(data).map(|fields| fields.map(leaf).collect::<Vec<_>>());
    assert_eq!(fast, again);
}

/// The borders of the events of a request.
pub fn split(mut data: &[u8]) {
    let format = [Format::Json, Format::Ndjson, Format::Auto][usize::from(byte(&mut data)) % 3];
    let pieces = split_body(data, format);
    let start = data.iter().position(|b| !b" \t\r\n".contains(b)).unwrap_or(data.len());
    if data.get(start) == Some(&b'[') && format != Format::Ndjson {
        let slow = serde_json::from_slice::<Vec<&RawValue>>(data);
        let fits = |e: &&RawValue| e.get().starts_with('{') && e.get().len() <= MAX_EVENT_BYTES;
        if let Ok(slow) = &slow
            && (1..=MAX_EVENTS_PER_REQUEST).contains(&slow.len())
            && slow.iter().all(fits)
        {
            let pieces = pieces.as_ref().expect("an array of objects");
            assert!(pieces.iter().map(|p| p.bytes).eq(slow.iter().map(|e| e.get().as_bytes())));
        }
        let each_is_json =
            |p: &sealtrail::event::split::Piece<'_>| serde_json::from_slice::<&RawValue>(p.bytes).is_ok();
        if let Ok(pieces) = &pieces
            && pieces.iter().all(each_is_json)
        {
            assert!(slow.is_ok(), "whole events in what is no array");
        }
    }
    let Ok(pieces) = pieces else { return };
    assert!(!pieces.is_empty() && pieces.len() <= MAX_EVENTS_PER_REQUEST);
    let mut end = data.as_ptr() as usize;
    for (n, piece) in pieces.iter().enumerate() {
        let at = piece.bytes.as_ptr() as usize;
        assert!(at >= end && !piece.bytes.is_empty(), "in order and apart");
        end = at + piece.bytes.len();
        let before = &data[..at - data.as_ptr() as usize];
        assert_eq!(
            (piece.place.event, piece.place.line),
            (n, 1 + before.iter().filter(|b| **b == b'\n').count())
        );
        if n > 16 {
            break;
        }
    }
}

/// The default policy, and one with three sections and indices.
fn policies() -> &'static [Arc<CompiledPolicy>; 2] {
    static POLICIES: OnceLock<[Arc<CompiledPolicy>; 2]> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let patterns = |list: &[&str]| list.iter().map(|p| Pattern::parse(p).unwrap()).collect::<Vec<_>>();
        let section = |name: &str, pointers: &[&str]| SectionPolicy {
            name: name.to_owned(),
            readers: ReaderChoice::All,
            pointers: patterns(pointers),
        };
        let several = Policy {
            sections: vec![
                section("default", &[]),
                section("person", &["/patient", "/subject/*/name", "/a/0"]),
                section("network", &["/source/ip", "/a/1/b"]),
            ],
            tags: vec![
                TagField {
                    name: "who".into(),
                    pointers: patterns(&["/actor/user_id", "/subject/*/name", "/a/*"]),
                },
                TagField { name: "ip".into(), pointers: patterns(&["/source/ip", "/a/1/b"]) },
            ],
            access_log: ReaderChoice::All,
        };
        [Arc::new(Policy::default().compile().unwrap()), Arc::new(several.compile().unwrap())]
    })
}

/// Dividing an event into sections and putting it together again.
pub fn sections(data: &[u8]) {
    for policy in policies() {
        let mut preparer = Preparer::new(policy.clone());
        let Ok(prepared) = preparer.prepare(data) else { continue };
        let payloads: Vec<&[u8]> = (0..prepared.sections()).map(|s| prepared.payload(s)).collect();
        let all: Vec<Option<&[u8]>> = payloads.iter().copied().map(Some).collect();
        let names = policy.sections();
        let trimmed = data.trim_ascii();
        assert_eq!(merge_payloads(names, &all).as_deref(), Ok(trimmed));
        for (s, payload) in payloads.iter().enumerate() {
            let mut parser = Parser::new();
            let opened = fields_of_payload(&mut parser, s, payload, names).unwrap().map(leaf);
            assert!(opened.eq(prepared.fields(s).map(leaf)), "section {s}");
        }
        for withheld in 1..all.len() {
            let mut some = all.clone();
            some[withheld] = None;
            let event = merge_payloads(names, &some).unwrap();
            assert!(serde_json::from_slice::<&RawValue>(&event).is_ok());
        }
        assert!(prepared.tags().len() <= MAX_TAGS);
        assert!(prepared.tags().all(|t| !t.value.is_empty() && t.section < names.len()));
    }
}

/// Payloads that no writer of this program made: `length ‖ frame`, `length ‖ second`, third.
pub fn merge(mut data: &[u8]) {
    let names = policies()[1].sections();
    let (frame, person) = (part(&mut data), part(&mut data));
    let payloads = [Some(frame), Some(person), Some(data)];
    for (s, payload) in payloads.iter().flatten().enumerate() {
        let mut parser = Parser::new();
        if let Ok(fields) = fields_of_payload(&mut parser, s, payload, names) {
            assert!(fields.count() <= MAX_EVENT_FIELDS);
        }
    }
    let markers = markers_of_payload(&mut Parser::new(), frame, names);
    let Ok(event) = merge_payloads(names, &payloads) else { return };
    assert!(serde_json::from_slice::<&RawValue>(&event).is_ok());
    assert!(markers.is_ok_and(|m| m.iter().all(|(s, p)| (1..3).contains(s) && !p.is_empty())));
    let some = merge_payloads(names, &[Some(frame), None, Some(data)]);
    assert!(some.is_ok_and(|e| serde_json::from_slice::<&RawValue>(&e).is_ok()));
}

/// What search, SQL and reports read out of an event; also of lines of sections without their frame.
pub fn facts(data: &[u8]) {
    let facts = Facts::of(data);
    assert_eq!(facts, Facts::of(data));
    if let Some(time) = &facts.time {
        assert!(sealtrail::base::clock::Timestamp::parse(time).is_some(), "{time:?}");
    }
    let _ = event_time(std::str::from_utf8(data).unwrap_or_default());
    if let Some(tree) = event_tree(data) {
        let _ = tree.to_string();
    }
    if let Ok(summary) = Summary::of(data) {
        assert!(!summary.to_string().contains(sealtrail::event::view::hides));
    }
}

/// A file of events, as `log` sends it.
pub fn file(data: &[u8]) {
    let Some((events, bytes)) = sealtrail::cli::fuzzing::events_file(data) else { return };
    assert!(bytes <= data.len() && events <= bytes);
    let pieces = split_body(data, Format::Ndjson);
    if let Ok(pieces) = pieces
        && pieces.iter().all(|p| Parser::new().parse(p.bytes).is_ok())
    {
        assert_eq!((events, bytes), (pieces.len(), pieces.iter().map(|p| p.bytes.len()).sum()));
    }
}
