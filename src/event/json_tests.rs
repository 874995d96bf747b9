//! The one-pass reader against serde_json as the reference, and against what is meant to be refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::event::field::{Field, Scalar};

/// A field in plain form: pointer, kind letter of FORMAT §5, value.
pub(in crate::event) type Plain = (String, char, String);

pub(in crate::event) fn plain(f: &Field<'_>) -> Plain {
    let (kind, value) = match &f.value {
        Scalar::String(s) => ('s', s.to_string()),
        Scalar::Number(n) => ('n', (*n).to_owned()),
        Scalar::True => ('t', String::new()),
        Scalar::False => ('f', String::new()),
        Scalar::Null => ('z', String::new()),
        Scalar::EmptyObject => ('o', String::new()),
        Scalar::EmptyArray => ('a', String::new()),
    };
    (f.pointer.to_string(), kind, value)
}

fn ours(bytes: &[u8]) -> Result<Vec<Plain>, Rule> {
    let mut parser = Parser::new();
    match parser.parse(bytes) {
        Ok(fields) => Ok(fields.map(|f| plain(&f)).collect()),
        Err(e) => {
            assert!(e.offset <= bytes.len(), "offset {} of {}", e.offset, bytes.len());
            Err(e.rule)
        }
    }
}

/// The members of an object in order, repeated names included.
pub(in crate::event) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(all)
            }
        }
        d.deserialize_map(V).map(Members)
    }
}

/// The format's rules, written a second time on top of serde_json; `None` means refused.
fn reference(bytes: &[u8]) -> Option<Vec<Plain>> {
    fn walk(raw: &str, pointer: String, depth: usize, out: &mut Vec<Plain>) -> Option<()> {
        let leaf = |kind, value: &str| (pointer.clone(), kind, value.to_owned());
        if raw.starts_with(['{', '[']) && depth >= MAX_EVENT_DEPTH || pointer.len() > MAX_POINTER_BYTES {
            return None;
        }
        match raw.chars().next()? {
            '{' => {
                let members: Members<'_> = serde_json::from_str(raw).ok()?;
                let mut names: Vec<&String> = members.0.iter().map(|m| &m.0).collect();
                names.sort();
                if names.windows(2).any(|w| w[0] == w[1]) {
                    return None;
                }
                if names.is_empty() {
                    out.push(leaf('o', ""));
                }
                for (name, value) in &members.0 {
                    let token = name.replace('~', "~0").replace('/', "~1");
                    walk(value.get(), format!("{pointer}/{token}"), depth + 1, out)?;
                }
            }
            '[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                if elements.is_empty() {
                    out.push(leaf('a', ""));
                }
                for (i, value) in elements.iter().enumerate() {
                    walk(value.get(), format!("{pointer}/{i}"), depth + 1, out)?;
                }
            }
            '"' => out.push(leaf('s', &serde_json::from_str::<String>(raw).ok()?)),
            't' => out.push(leaf('t', "")),
            'f' => out.push(leaf('f', "")),
            'n' => out.push(leaf('z', "")),
            _ => out.push(leaf('n', raw)),
        }
        (out.len() <= MAX_EVENT_FIELDS).then_some(())
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let raw = raw.get();
    if !raw.starts_with('{') || raw.len() > MAX_EVENT_BYTES {
        return None;
    }
    let mut out = Vec::new();
    walk(raw, String::new(), 0, &mut out)?;
    Some(out)
}

fn same_as_reference(bytes: &[u8]) {
    assert_eq!(ours(bytes).ok(), reference(bytes), "{:?}", String::from_utf8_lossy(bytes));
}

/// JSON text with all the spellings a value can have: white space, escapes, number forms.
pub(in crate::event) fn json_text() -> impl Strategy<Value = String> {
    let space = "[ \t\r\n]{0,2}";
    let character = prop_oneof![
        8 => "[a-z$*0-9 ]", 2 => "[~/é😀\u{7f}]",
        1 => r#"\\["\\/bfnrt]"#, 1 => r"\\u00[0-7][0-9a-fA-F]", 1 => Just(r"\ud83d\uDE00".to_owned()),
    ];
    let string =
        proptest::collection::vec(character, 0..12).prop_map(|c| format!("\"{}\"", c.concat())).boxed();
    let name = prop_oneof![
        3 => "[a-e]".prop_map(|s| format!("\"{s}\"")), 2 => string.clone(), 1 => Just("\"$sealed\"".to_owned()),
    ];
    let leaf = prop_oneof![
        3 => string, 1 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?",
        1 => prop_oneof!["true", "false", "null", "\\{ ?\\}", "\\[\n?\\]", "\"(s1|s2)\""],
    ];
    let value = leaf.prop_recursive(5, 48, 6, move |inner| {
        let item = (space, inner, space).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member =
            (space, name.clone(), space, item.clone()).prop_map(|(a, n, b, v)| format!("{a}{n}{b}:{v}"));
        prop_oneof![
            proptest::collection::vec(item, 1..5).prop_map(|v| format!("[{}]", v.join(","))),
            proptest::collection::vec(member, 1..7).prop_map(|v| format!("{{{}}}", v.join(","))),
        ]
    });
    (space, proptest::collection::vec(value, 0..5), space).prop_map(|(a, values, b)| {
        let members: Vec<_> = values.iter().enumerate().map(|(i, v)| format!("\"m{i}\":{v}")).collect();
        format!("{a}{{{}}}{b}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn reads_what_serde_json_reads(text in json_text()) {
        same_as_reference(text.as_bytes());
    }

    #[test]
    fn agrees_on_damaged_text(
        text in json_text(), at in any::<prop::sample::Index>(), byte in prop_oneof![
            any::<u8>(), prop::sample::select(b"{}[]\",:\\0-.eEtu/ \n\x00\x1f\x7f".to_vec())],
        how in 0..3,
    ) {
        let mut bytes = text.into_bytes();
        let i = at.index(bytes.len());
        match how {
            0 => bytes[i] = byte,
            1 => bytes.insert(i, byte),
            _ => drop(bytes.remove(i)),
        }
        same_as_reference(&bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        same_as_reference(&bytes);
        let mut object = b"{\"".to_vec();
        object.extend(bytes);
        same_as_reference(&object);
    }

    #[test]
    fn a_used_parser_remembers_nothing(a in json_text(), b in json_text()) {
        let mut parser = Parser::new();
        let _ = parser.parse(a.as_bytes());
        let used: Option<Vec<_>> = parser.parse(b.as_bytes()).ok().map(|f| f.map(|f| plain(&f)).collect());
        prop_assert_eq!(used, ours(b.as_bytes()).ok());
    }
}

#[test]
fn pointers_and_values() {
    let fields = ours(br#" {"a~/b":[1.50,-0,{"":[]}],"":"q\"\u00e9\ud83d\ude00","t":true,"o":{}} "#).unwrap();
    let expected = [
        ("/a~0~1b/0", 'n', "1.50"),
        ("/a~0~1b/1", 'n', "-0"),
        ("/a~0~1b/2/", 'a', ""),
        ("/", 's', "q\"é😀"),
        ("/t", 't', ""),
        ("/o", 'o', ""),
    ];
    assert_eq!(fields, expected.map(|(p, k, v)| (p.to_owned(), k, v.to_owned())));
    assert_eq!(ours(b"{}").unwrap(), [(String::new(), 'o', String::new())]);
}

#[test]
fn each_rule_has_its_error() {
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_EVENT_BYTES));
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
    let many = |n: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(n - 1));
    let named = |n: usize| format!("{{\"{}\":1}}", "n".repeat(n));
    for good in [nested(MAX_EVENT_DEPTH), many(MAX_EVENT_FIELDS), named(MAX_POINTER_BYTES - 1)] {
        assert!(ours(good.as_bytes()).is_ok());
    }
    let cases: Vec<(Vec<u8>, Rule)> = [
        (&b""[..], Rule::Empty),
        (b" \n", Rule::Empty),
        (b"[1]", Rule::NotAnObject),
        (b"1", Rule::NotAnObject),
        (b"\xef\xbb\xbf{}", Rule::ByteOrderMark),
        (b"{\"a\":\"\xff\"}", Rule::NotUtf8),
        (b"{\"a\":\"\xed\xa0\x80\"}", Rule::NotUtf8),
        (b"{\"a\":\"\x00\"}", Rule::ControlCharacter),
        (b"{\"a\x1f\":1}", Rule::ControlCharacter),
        (b"\x00{}", Rule::NotAnObject),
        (b"{}\x00", Rule::TrailingText),
        (b"{} {}", Rule::TrailingText),
        (b"{\"a\":1", Rule::Truncated),
        (b"{\"a\":\"b", Rule::Truncated),
        (b"{\"a\":\"b\\", Rule::Truncated),
        (b"{\"a\":-", Rule::Truncated),
        (b"{\"a\"", Rule::Truncated),
        (b"{", Rule::Truncated),
        (b"{\"a\":01}", Rule::BadNumber),
        (b"{\"a\":1.}", Rule::BadNumber),
        (b"{\"a\":1e+}", Rule::BadNumber),
        (b"{\"a\":0x10}", Rule::BadNumber),
        (b"{\"a\":+1}", Rule::Expected("a value")),
        (b"{\"a\":NaN}", Rule::Expected("a value")),
        (b"{\"a\":tru}", Rule::Expected("true, false or null")),
        (b"{\"a\":1,}", Rule::Expected("a member name in quotes")),
        (b"{a:1}", Rule::Expected("a member name in quotes")),
        (b"{\"a\" 1}", Rule::Expected("a colon after the member name")),
        (b"{\"a\":[1,]}", Rule::Expected("a value")),
        (b"{\"a\":[1}}", Rule::Expected("a comma or ]")),
        (b"{\"a\":1]", Rule::Expected("a comma or }")),
        (br#"{"a":"\x"}"#, Rule::BadEscape),
        (br#"{"a":"\u12g4"}"#, Rule::BadEscape),
        (br#"{"a":"\u+123"}"#, Rule::BadEscape),
        (br#"{"a":"\ud800"}"#, Rule::LoneSurrogate),
        (br#"{"a":"\udc00\ud800"}"#, Rule::LoneSurrogate),
        (br#"{"a":"\ud800\u0041"}"#, Rule::LoneSurrogate),
        (br#"{"\ud800":1}"#, Rule::LoneSurrogate),
        (br#"{"a":1,"a":2}"#, Rule::DuplicateName),
        (br#"{"a":{"b":1,"c":{"d":1},"\u0062":2}}"#, Rule::DuplicateName),
        (br#"{"a/":{"x":1,"y":2},"a\/":1}"#, Rule::DuplicateName),
    ]
    .map(|(b, r)| (b.to_vec(), r))
    .into_iter()
    .chain([
        (huge.into_bytes(), Rule::TooLarge),
        (nested(MAX_EVENT_DEPTH + 1).into_bytes(), Rule::TooDeep),
        (many(MAX_EVENT_FIELDS + 1).into_bytes(), Rule::TooManyFields),
        (named(MAX_POINTER_BYTES).into_bytes(), Rule::PointerTooLong),
    ])
    .collect();
    for (bytes, rule) in cases {
        let shown = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        assert_eq!(ours(&bytes).unwrap_err(), rule, "{shown}");
        same_as_reference(&bytes);
    }
}

#[test]
fn pointers_are_bounded_together() {
    let event = |name: usize| format!(r#"{{"{}":[{}0]}}"#, "n".repeat(name), "0,".repeat(2047));
    // 2,048 pointers: `/n…/` and 1 to 4 digits, 7,082 digits in all.
    let fits = (MAX_EVENT_POINTERS_BYTES - 7_082) / 2048 - 2;
    assert_eq!(Parser::new().parse(event(fits).as_bytes()).map(Iterator::count), Ok(2048));
    assert_eq!(ours(event(fits + 1).as_bytes()), Err(Rule::PointersTooLong));
}

#[test]
fn errors_tell_the_place_and_never_the_content() {
    let event = br#"  {"patient-name":"secret-value","b":"secret\qother"}"#;
    let e = Parser::new().parse(event).err().unwrap();
    assert_eq!(event.get(e.offset), Some(&b'\\'));
    let e = e.at(super::super::error::Place { event: 3, line: 7 });
    assert_eq!(
        e.to_string(),
        format!(
            "event 3 (line 7 of the body), byte {}: a string holds an escape that JSON does not have",
            e.offset
        )
    );
    let e = Parser::new().parse(br#"{"secret":1,"b":2,"secret":3}"#).err().unwrap();
    assert_eq!((e.rule, e.offset), (Rule::DuplicateName, 18));
    assert!(!format!("{e} {e:?}").contains("secret"));
}

/// Numbers that no machine type holds are kept as text (serde_json without arbitrary precision cannot).
#[test]
fn huge_numbers_are_text() {
    let digits = "9".repeat(100_000);
    for n in [&digits, "1e999999", "-1.0E-400", "0.1000"] {
        let event = format!("{{\"n\":{n}}}");
        assert_eq!(ours(event.as_bytes()).unwrap(), [("/n".to_owned(), 'n', n.to_owned())]);
    }
}

#[test]
fn duplicate_names_are_found_in_objects_of_any_size() {
    for n in [2usize, 31, 32, 33, 34, 500, 4095] {
        let object = |last: &str| {
            // Distinct names of one length that share their first and last eight bytes: the worst case.
            let members: Vec<_> = (0..n).map(|i| format!("\"aaaaaaaa{i:06}bbbbbbbb\":[1]")).collect();
            format!("{{\"o\":{{{},\"{last}\":2}}}}", members.join(","))
        };
        assert!(ours(object("aaaaaaaa999999bbbbbbbb").as_bytes()).is_ok(), "{n}");
        for i in [0, n / 2, n - 1] {
            let text = object(&format!("aaaaaaaa{i:06}bbbbbbb\\u0062"));
            let e = Parser::new().parse(text.as_bytes()).err().unwrap();
            assert_eq!(e.rule, Rule::DuplicateName);
            assert_eq!(text.get(e.offset..e.offset + 3), Some("\"aa"));
            assert!(e.offset > text.len() - 40, "the second of the two is named");
        }
    }
}

/// No input makes the pass slow. The bound is some hundred times what an unoptimised build needs.
#[test]
fn hostile_input_is_refused_or_read_quickly() {
    let bait: Vec<_> = (0..4096).map(|i| format!("\"aaaaaaaa{i:06}bbbbbbbb\":0")).collect();
    let deep_names = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
    let hostile: Vec<Vec<u8>> = vec![
        format!("{{{}}}", bait.join(",")).into_bytes(),
        "[".repeat(100_000).into_bytes(),
        format!("{{\"a\":{}", "[".repeat(100_000)).into_bytes(),
        format!("{{\"a\":{}", "{\"a\":".repeat(100_000)).into_bytes(),
        format!("{{\"{}\":[{}1]}}", "k".repeat(4000), "1,".repeat(4000)).into_bytes(),
        format!("{{\"a\":\"{}\"}}", "\\u0041".repeat(40_000)).into_bytes(),
        format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60)).into_bytes(),
        vec![b' '; 16 * 1024 * 1024],
        vec![b'{'; 16 * 1024 * 1024],
        deep_names.into_bytes(),
    ];
    for bytes in &hostile {
        let start = Instant::now();
        let _ = ours(bytes);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[test]
fn sample_events_of_every_kind_read_as_serde_json_reads_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/event");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let bytes = std::fs::read(&path).unwrap();
            same_as_reference(&bytes);
            seen += usize::from(ours(&bytes).is_ok());
        }
    }
    assert!(seen >= 11, "only {seen} sample events were readable");
}
