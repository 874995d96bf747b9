//! Putting back what was divided gives the event; what an auditor recomputes is what was committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::json::tests::{Members, Plain, json_text, plain};
use super::super::pattern::Pattern;
use super::super::policy::{Policy, ReaderChoice, SectionPolicy, TagField};
use super::*;

fn policy(sections: &[(String, Vec<Pattern>)], tags: Vec<TagField>) -> Arc<CompiledPolicy> {
    let sections = sections
        .iter()
        .map(|(name, pointers)| SectionPolicy {
            name: name.clone(),
            readers: ReaderChoice::All,
            pointers: pointers.clone(),
        })
        .collect();
    Arc::new(Policy { sections, tags, access_log: ReaderChoice::All }.compile().unwrap())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let token = prop_oneof![
        3 => "[a-e]", 2 => Just("*".to_owned()), 1 => "[0-2]", 1 => Just("$sealed".to_owned()),
    ];
    ("[0-4]", proptest::collection::vec(token, 0..4)).prop_map(|(first, rest)| {
        let rest: String = rest.iter().map(|t| format!("/{t}")).collect();
        Pattern::parse(&format!("/m{first}{rest}")).unwrap()
    })
}

/// A random policy of one to three sections that do not overlap, and two tag fields.
fn any_policy() -> impl Strategy<Value = Policy> {
    let patterns = || proptest::collection::vec(pattern(), 0..5);
    (patterns(), patterns(), patterns(), patterns()).prop_map(|(one, two, tag1, tag2)| {
        let apart: Vec<Pattern> =
            two.into_iter().filter(|p| !one.iter().any(|q| p.may_contain(q) || q.may_contain(p))).collect();
        let section =
            |name: &str, pointers| SectionPolicy { name: name.into(), readers: ReaderChoice::All, pointers };
        let mut sections = vec![section("s0", vec![])];
        sections.extend(
            [section("s1", one), section("s2", apart)].into_iter().filter(|s| !s.pointers.is_empty()),
        );
        let tag = |name: &str, pointers| TagField { name: name.into(), pointers };
        Policy { sections, tags: vec![tag("t1", tag1), tag("t2", tag2)], access_log: ReaderChoice::All }
    })
}

/// A path whose tokens know whether they are array indices.
type Path = Vec<(String, bool)>;

/// The leaves of a text with such paths, from serde_json.
fn places(raw: &str, path: &Path, out: &mut Vec<Path>) {
    let below = |token: String, array: bool| [path.clone(), vec![(token, array)]].concat();
    let before = out.len();
    if raw.starts_with('{') {
        for (name, value) in serde_json::from_str::<Members<'_>>(raw).unwrap().0 {
            places(value.get(), &below(name.replace('~', "~0").replace('/', "~1"), false), out);
        }
    } else if raw.starts_with('[') {
        for (i, value) in serde_json::from_str::<Vec<&RawValue>>(raw).unwrap().iter().enumerate() {
            places(value.get(), &below(i.to_string(), true), out);
        }
    }
    if out.len() == before {
        out.push(path.clone());
    }
}

/// Whether the pattern leads to this path or, for a section, to something it lies in.
fn leads_to(p: &Pattern, path: &Path, or_above: bool) -> bool {
    let tokens: Vec<&str> = p.tokens().collect();
    (tokens.len() == path.len() || or_above && tokens.len() < path.len())
        && tokens.iter().zip(path).all(|(t, (name, array))| if *t == "*" { *array } else { t == name })
}

fn fields(fields: Fields<'_>) -> Vec<Plain> {
    fields.map(|f| plain(&f)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn dividing_and_putting_back(event in json_text(), policy in any_policy()) {
        let compiled = Arc::new(policy.compile().unwrap());
        let names = compiled.sections().to_vec();
        let mut preparer = Preparer::new(compiled);
        // The random text may repeat a member name; then there is nothing to divide.
        let Ok(prepared) = preparer.prepare(event.as_bytes()) else {
            prop_assert!(Parser::new().parse(event.as_bytes()).is_err());
            return Ok(());
        };
        let trimmed = event.trim_matches([' ', '\t', '\r', '\n']);
        let payloads: Vec<Option<&[u8]>> = (0..names.len()).map(|s| Some(prepared.payload(s))).collect();
        prop_assert_eq!(merge(&names, &payloads).unwrap(), trimmed.as_bytes());

        let mut all = Vec::new();
        for (s, payload) in payloads.iter().enumerate() {
            let mut parser = Parser::new();
            let again = fields(fields_of_payload(&mut parser, s, payload.unwrap(), &names).unwrap());
            prop_assert_eq!(&again, &fields(prepared.fields(s)));
            all.extend(again);
        }
        let mut whole = fields(Parser::new().parse(event.as_bytes()).unwrap());
        all.sort();
        whole.sort();
        prop_assert_eq!(all, whole);
    }

    #[test]
    fn values_go_where_the_policy_says(event in json_text(), policy in any_policy()) {
        // Objects that read as markers have a rule of their own.
        let event = event.replace("$sealed", "$open");
        let mut preparer = Preparer::new(Arc::new(policy.compile().unwrap()));
        let Ok(prepared) = preparer.prepare(event.as_bytes()) else { return Ok(()) };
        let mut paths = Vec::new();
        places(event.trim(), &Vec::new(), &mut paths);
        let leaves = fields(Parser::new().parse(event.as_bytes()).unwrap());
        prop_assert_eq!(paths.len(), leaves.len());
        let mut expected = vec![Vec::new(); policy.sections.len()];
        let mut tags = BTreeSet::new();
        for (path, leaf) in paths.iter().zip(leaves) {
            let of = |s: &SectionPolicy| s.pointers.iter().any(|p| leads_to(p, path, true));
            let section = policy.sections.iter().position(of).unwrap_or(0);
            for (t, field) in policy.tags.iter().enumerate() {
                if field.pointers.iter().any(|p| leads_to(p, path, false)) {
                    let text = match leaf.1 { 't' => "true", 'f' => "false", _ => &leaf.2 };
                    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0c']).to_ascii_lowercase();
                    if !text.is_empty() {
                        tags.insert((section, t, text));
                    }
                }
            }
            expected[section].push(leaf);
        }
        for (s, expected) in expected.iter().enumerate() {
            prop_assert_eq!(&fields(prepared.fields(s)), expected);
        }
        let got: Vec<_> = prepared.tags().map(|t| (t.section, t.field, t.value.to_owned())).collect();
        prop_assert_eq!(got.len(), tags.len(), "each once");
        prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), tags);
    }

    /// Changed payloads are refused or give something else, and never panic.
    #[test]
    fn damaged_payloads(
        event in json_text(), policy in any_policy(), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        let compiled = Arc::new(policy.compile().unwrap());
        let names = compiled.sections().to_vec();
        let mut preparer = Preparer::new(compiled);
        let Ok(prepared) = preparer.prepare(event.as_bytes()) else { return Ok(()) };
        let mut payloads: Vec<Vec<u8>> = (0..names.len()).map(|s| prepared.payload(s).to_vec()).collect();
        let total: usize = payloads.iter().map(Vec::len).sum();
        let mut i = at.index(total);
        let hit = payloads.iter_mut().find(|p| if i < p.len() { true } else { i -= p.len(); false }).unwrap();
        prop_assume!(hit[i] != byte);
        hit[i] = byte;
        let options: Vec<_> = payloads.iter().map(|p| Some(p.as_slice())).collect();
        if let Ok(merged) = merge(&names, &options) {
            prop_assert_ne!(merged, event.trim_matches([' ', '\t', '\r', '\n']).as_bytes());
        }
    }
}

fn strings(v: &serde_json::Value) -> Vec<String> {
    v.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
}

fn patterns(v: &serde_json::Value) -> Vec<Pattern> {
    strings(v).iter().map(|p| Pattern::parse(p).unwrap()).collect()
}

fn listed(v: &serde_json::Value) -> Vec<Plain> {
    let plain = |f: &serde_json::Value| match strings(f).as_slice() {
        [p, k, v] => (p.clone(), k.chars().next().unwrap(), v.clone()),
        other => panic!("not a field: {other:?}"),
    };
    v.as_array().unwrap().iter().map(plain).collect()
}

#[test]
fn section_vectors() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/event/sections.json")).unwrap();
    assert!(cases.as_array().unwrap().len() >= 7);
    for case in cases.as_array().unwrap() {
        let about = case["about"].as_str().unwrap();
        let sections: Vec<_> = case["sections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (s["name"].as_str().unwrap().to_owned(), patterns(&s["pointers"])))
            .collect();
        let tags = case["tags"].as_object().unwrap();
        let tags = tags.iter().map(|(n, p)| TagField { name: n.clone(), pointers: patterns(p) }).collect();
        let compiled = policy(&sections, tags);
        let names = compiled.sections().to_vec();
        let mut preparer = Preparer::new(compiled.clone());
        let event = case["event"].as_str().unwrap();
        let prepared = preparer.prepare(event.as_bytes()).unwrap();
        let payloads = strings(&case["payloads"]);
        for (s, payload) in payloads.iter().enumerate() {
            assert_eq!(std::str::from_utf8(prepared.payload(s)).unwrap(), payload, "{about}");
            assert_eq!(fields(prepared.fields(s)), listed(&case["fields"][s]), "{about}");
            let mut parser = Parser::new();
            let again = fields_of_payload(&mut parser, s, payload.as_bytes(), &names).unwrap();
            assert_eq!(fields(again), listed(&case["fields"][s]), "{about}");
        }
        let tags: Vec<_> = prepared
            .tags()
            .map(|t| serde_json::json!([t.section, compiled.tag_fields()[t.field], t.value]))
            .collect();
        assert_eq!(serde_json::Value::from(tags), case["tag_values"], "{about}");
        let options: Vec<_> = payloads.iter().map(|p| Some(p.as_bytes())).collect();
        assert_eq!(merge(&names, &options).unwrap(), event.as_bytes(), "{about}");
    }
}

#[test]
fn field_vectors_from_another_implementation() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/event/");
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/event/fields.json")).unwrap();
    for (file, expected) in all.as_object().unwrap() {
        let bytes = std::fs::read(format!("{folder}{file}")).unwrap();
        let mut parser = Parser::new();
        assert_eq!(fields(parser.parse(&bytes).unwrap()), listed(expected), "{file}");
    }
}

#[test]
fn the_default_policy_copies_nothing_and_tags_every_sample() {
    let mut preparer = Preparer::new(Arc::new(Policy::default().compile().unwrap()));
    let event = br#" {"a":1} "#;
    let prepared = preparer.prepare(event).unwrap();
    assert_eq!(prepared.payload(0).as_ptr(), event[1..].as_ptr());
    assert_eq!((prepared.sections(), prepared.payload(1), prepared.fields(1).count()), (1, &b""[..], 0));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/event");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("--") {
            let bytes = std::fs::read(&path).unwrap();
            let found: BTreeSet<usize> = preparer.prepare(&bytes).unwrap().tags().map(|t| t.field).collect();
            // One CloudTrail sample and the two bare ones name no resource or no result.
            assert!(found.contains(&0) && found.contains(&2) && found.len() >= 3, "{name}: {found:?}");
        }
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let names: Vec<String> = ["s0", "s1", "s2"].map(str::to_owned).to_vec();
    let frame = br#"{"a":{"$sealed":"s1"},"b":{"$sealed":"s2"},"c":{"$sealed":"s1"}}"#;
    let one = br#"{"/a":1,"/c":[ 2]}"#;
    let two = br#"{"/b":{"x":3}}"#;
    let put =
        |p: [Option<&[u8]>; 3]| merge(&names, &p).map(|b| String::from_utf8(b).unwrap()).map_err(|e| e.rule);
    assert_eq!(put([Some(frame), Some(one), Some(two)]).unwrap(), r#"{"a":1,"b":{"x":3},"c":[ 2]}"#);
    assert_eq!(
        put([Some(frame), None, Some(two)]).unwrap(),
        r#"{"a":{"$sealed":"s1"},"b":{"x":3},"c":{"$sealed":"s1"}}"#
    );
    assert_eq!(put([None, Some(one), Some(two)]), Err(Rule::NoFrame));
    for wrong in [&br#"{"/c":2,"/a":1}"#[..], br#"{"/a":1}"#, br#"{"/a":1,"/c":2,"/d":3}"#, b"{}"] {
        assert_eq!(put([Some(frame), Some(wrong), Some(two)]), Err(Rule::Mismatch));
    }
    assert_eq!(put([Some(frame), Some(br#"{"a":1,"/c":2}"#), Some(two)]), Err(Rule::NotAPointer));
    for spaced in
        [r#"{"/a":1,"/c":2} "#, r#"{"/a": 1,"/c":2}"#, r#"{"/a":1, "/c":2}"#, r#"{"\u002fa":1,"/c":2}"#]
    {
        assert_eq!(
            put([Some(frame), Some(spaced.as_bytes()), Some(two)]),
            Err(Rule::PaddedPayload),
            "{spaced}"
        );
    }
    for inside in [r#"{"":1,"/c":2}"#, r#"{"/c":1,"/c-":2,"/c/d":3}"#] {
        assert_eq!(
            put([Some(frame), Some(inside.as_bytes()), Some(two)]),
            Err(Rule::NotAPointer),
            "{inside}"
        );
    }
    assert_eq!(merge(&names, &[Some(b"{}")]).unwrap_err().rule, Rule::Mismatch);
}

#[test]
fn limits_of_tags_and_sections() {
    let pointer = |t: &str| vec![Pattern::parse(t).unwrap()];
    let tags = || vec![TagField { name: "l".into(), pointers: pointer("/l/*") }];
    let list = |n: usize| {
        format!("  {{\"l\":[{}\"same\",\"same\"]}}", (1..n).map(|i| format!("{i},")).collect::<String>())
    };
    let mut preparer = Preparer::new(policy(&[("s".into(), vec![])], tags()));
    assert_eq!(preparer.prepare(list(MAX_TAGS).as_bytes()).unwrap().tags().len(), MAX_TAGS);
    let text = list(MAX_TAGS + 1);
    let e = preparer.prepare(text.as_bytes()).err().unwrap();
    assert_eq!((e.rule, text.get(e.offset..e.offset + 6)), (Rule::TooManyTags, Some("\"same\"")));

    // 1,800 moved values under a name of 1,000 bytes would need 1.8 MB of pointers.
    let name = "n".repeat(1000);
    let sections = [("s0".to_owned(), vec![]), ("s1".to_owned(), pointer(&format!("/{name}/*")))];
    let mut preparer = Preparer::new(policy(&sections, vec![]));
    let event = |n: usize| format!("{{\"{name}\":[{}1]}}", "1,".repeat(n - 1));
    assert_eq!(preparer.prepare(event(1800).as_bytes()).err().unwrap().rule, Rule::SectionsTooLarge);
    assert!(preparer.prepare(event(100).as_bytes()).is_ok());
}
