#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::json::Parser;
use super::super::json::tests::json_text;
use super::*;

fn pieces(body: &[u8], format: Format) -> Vec<(&[u8], usize)> {
    split(body, format).unwrap().into_iter().map(|p| (p.bytes, p.place.line)).collect()
}

fn refused(body: &[u8], format: Format) -> EventError {
    split(body, format).unwrap_err()
}

proptest! {
    #[test]
    fn every_layout_gives_the_exact_bytes_back(
        events in proptest::collection::vec(json_text(), 1..6), space in "[ \t\r\n]{0,3}",
    ) {
        let trimmed: Vec<&[u8]> = events.iter().map(|e| {
            let start = lexer::skip_space(e.as_bytes(), 0);
            lexer::trim_end(&e.as_bytes()[start..])
        }).collect();
        let array = format!("{space}[{}]{space}", events.join(","));
        for format in [Format::Json, Format::Auto] {
            let got: Vec<_> = split(array.as_bytes(), format).unwrap().iter().map(|p| p.bytes).collect();
            prop_assert_eq!(&got, &trimmed);
        }
        // One event per line: white space between tokens may not be a line feed then.
        let flat: Vec<String> = events.iter().map(|e| e.replace('\n', " ")).collect();
        let body = flat.join("\r\n \n");
        let got: Vec<_> = split(body.as_bytes(), Format::Ndjson).unwrap().iter().map(|p| p.bytes.to_vec()).collect();
        let expected: Vec<_> = flat.iter().map(|e| e.trim_matches([' ', '\t', '\r']).as_bytes().to_vec()).collect();
        prop_assert_eq!(&got, &expected);
        let auto: Vec<_> = split(body.as_bytes(), Format::Auto).unwrap().iter().map(|p| p.bytes.to_vec()).collect();
        prop_assert_eq!(auto, expected);
        let one: Vec<_> = split(events[0].as_bytes(), Format::Auto).unwrap().iter().map(|p| p.bytes).collect();
        prop_assert_eq!(one, &trimmed[..1]);
    }

    /// Whatever is split and then read as events was valid JSON as a whole.
    #[test]
    fn splitting_accepts_nothing_that_is_not_json(
        events in proptest::collection::vec(json_text(), 1..4), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        let mut body = format!("[{}]", events.join(",")).into_bytes();
        let i = at.index(body.len());
        body[i] = byte;
        let whole = split(&body, Format::Json).is_ok_and(|pieces| {
            pieces.iter().all(|p| Parser::new().parse(p.bytes).is_ok())
        });
        if whole {
            let text = std::str::from_utf8(&body).unwrap();
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok());
        }
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Json, Format::Ndjson, Format::Auto] {
            if let Ok(pieces) = split(&body, format) {
                prop_assert!(!pieces.is_empty());
            }
        }
    }
}

#[test]
fn layouts() {
    let two = [(&b"{\"a\":\"}\\\"\"}"[..], 2), (&b"{}"[..], 4)];
    assert_eq!(pieces(b"\n{\"a\":\"}\\\"\"}\r\n\n  {}  ", Format::Ndjson), two);
    assert_eq!(pieces(b"\n{\"a\":\"}\\\"\"}\r\n\n  {}  ", Format::Auto), two);
    assert_eq!(pieces(b"[\n{\"a\":\"}\\\"\"}\n,\n{} ]", Format::Json), two);
    assert_eq!(pieces(b"{\n\"a\":1}\n", Format::Auto), [(&b"{\n\"a\":1}"[..], 1)]);
    // A line that is an array is a wrong event, found when it is read.
    assert_eq!(pieces(b"[]\n{}", Format::Ndjson).len(), 2);
}

#[test]
fn refusals_name_the_event_and_the_line() {
    for (body, format, rule) in [
        (&b""[..], Format::Auto, Rule::Empty),
        (b" \r\n\n ", Format::Ndjson, Rule::Empty),
        (b"[ ]", Format::Json, Rule::Empty),
        (b"[{}", Format::Json, Rule::Truncated),
        (b"[{} {}]", Format::Json, Rule::Expected("a comma or ] after an event of the array")),
        (b"[{}] x", Format::Auto, Rule::Expected("nothing after the array")),
    ] {
        assert_eq!(refused(body, format).rule, rule);
    }
    let e = refused(b"[{},\n{},\n 7]", Format::Json);
    assert_eq!((e.rule, e.place), (Rule::NotAnObject, Some(Place { event: 2, line: 3 })));
    let e = refused(b"[{},\n{\"a\":[}", Format::Json);
    assert_eq!((e.rule, e.place), (Rule::Truncated, Some(Place { event: 1, line: 2 })));
    assert_eq!(refused(b"[{},]", Format::Json).rule, Rule::NotAnObject);
    let long = format!("{{}}\n{{\"a\":\"{}\"}}", "x".repeat(MAX_EVENT_BYTES));
    let e = refused(long.as_bytes(), Format::Ndjson);
    assert_eq!((e.rule, e.place), (Rule::TooLarge, Some(Place { event: 1, line: 2 })));
}

#[test]
fn limits_and_speed() {
    let body = |n: usize| format!("[{}{{}}]", "{},".repeat(n - 1));
    assert_eq!(pieces(body(MAX_EVENTS_PER_REQUEST).as_bytes(), Format::Json).len(), MAX_EVENTS_PER_REQUEST);
    let e = refused(body(MAX_EVENTS_PER_REQUEST + 1).as_bytes(), Format::Json);
    assert_eq!((e.rule, e.is_too_large()), (Rule::TooManyEvents, true));
    let n = MAX_EVENTS_REQUEST_BYTES;
    assert_eq!(refused(&vec![b'['; n + 1], Format::Json).rule, Rule::BodyTooLarge);
    for fill in [b'[', b'{', b'\n', b' ', b'"', b'1', b'\\', 0] {
        for start in ["", "[", "[{\"", "{"] {
            let mut body = start.as_bytes().to_vec();
            body.resize(1024 * 1024, fill);
            for format in [Format::Json, Format::Ndjson, Format::Auto] {
                let begin = Instant::now();
                let _ = split(&body, format);
                assert!(begin.elapsed() < Duration::from_secs(5), "{start} {fill} {format:?}");
            }
        }
    }
}

#[test]
fn media_types() {
    let of = |t| Format::of_content_type(Some(t));
    assert_eq!(of("application/json; charset=utf-8"), Format::Json);
    assert_eq!(of("Application/X-NDJSON"), Format::Ndjson);
    assert_eq!(of("text/plain"), Format::Auto);
    assert_eq!(Format::of_content_type(None), Format::Auto);
}
