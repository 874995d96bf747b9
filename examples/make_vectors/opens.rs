//! Records that open.

use std::path::Path;

use sealtrail::base::batch::BatchReader;
use sealtrail::seal::padding::padded_len;

use crate::batch::{Batch, PLAIN, Parts, Section, encode_header, header, records, with_header, with_records};
use crate::kit::{Cases, number};

/// Three sections with different readers; `network` reads only the last one, `everyone` all.
pub const THREE: &[Section<'_>] = &[
    ("event", &["auditor", "person", "everyone"], &[]),
    ("person", &["person", "everyone"], &["/actor", "/agents/*/who"]),
    ("net", &["network", "everyone"], &["/ip", "/a~1b/~0"]),
];

/// An event with something for each of [`THREE`], as someone sees it who may read the person's or the network's section.
pub fn event(person: bool, net: bool) -> String {
    let show = |readable, section, value: &str| if readable { value.to_owned() } else { marker(section) };
    let (person, net) = (|v| show(person, "person", v), |v| show(net, "net", v));
    format!(
        r#"{{"actor":{},"n":1.50,"ip":{},"agents":[{{"who":{}}},{{}},{{"who":{}}}] ,"a/b":{{"~":{}}},"last":{{}}}}"#,
        person(r#"{"name":" Zoë ", "id":-0.0E+1}"#),
        net(r#"["10.0.0.1",null]"#),
        person(r#""a""#),
        person("[ 1 , 2 ]"),
        net("true")
    )
}

/// What stands for a value that was moved to a section.
pub fn marker(section: &str) -> String {
    format!("{{\"$sealed\":\"{section}\"}}")
}

/// Writes the cases.
pub fn write(cases: &Cases, events: &Path) {
    one_section(cases);
    numbers_and_text(cases);
    sections(cases);
    look_alikes(cases);
    lengths(cases);
    samples(cases, events);
    carried_along(cases);
}

fn open(cases: &Cases, name: &str, event: impl AsRef<[u8]>, note: &str) {
    let body = Batch::new(number(name), PLAIN, vec![]).event(&event).body();
    let case =
        cases.case(&format!("open/{name}"), "open").file("body", body).key("identity", "auditor.identity");
    case.set("position", 0).file("event", event).note(note).ok();
}

fn one_section(cases: &Cases) {
    open(
        cases,
        "simple",
        r#"{"action":"read","actor":{"user_id":"dr-smith"},"resource":{"id":"PAT-1"},"ok":true}"#,
        "",
    );
    open(cases, "empty-event", "{}", "one field: the empty pointer, kind o");
    open(
        cases,
        "white-space-inside",
        "{ \"a\" : [ 1 ,\r\n\t2 ] }",
        "white space inside stays, around it there is none",
    );
    let deep = format!("{}7{}", r#"{"a":[0,"#.repeat(32), "]}".repeat(32));
    open(cases, "deep", deep, "64 levels, the most there may be");
    let fields: Vec<String> = (0..200).map(|i| format!("\"field-{i}\":\"{}\"", "v".repeat(i % 7))).collect();
    open(
        cases,
        "200-fields",
        format!("{{{}}}", fields.join(",")),
        "50 blocks of salts, a root over 200 leaves",
    );
    let kinds = r#"{"s":"","n":0,"t":true,"f":false,"z":null,"o":{},"a":[],"in":[{},[],[[]],{"x":{}}]}"#;
    open(cases, "every-kind", kinds, "");
    let mut batch = Batch::new(2, PLAIN, vec![]);
    for i in 0..70 {
        batch.event(format!("{{\"n\":{i}}}"));
    }
    let all: String = (0..70).map(|i| format!("{{\"n\":{i}}}\n")).collect();
    let case = cases
        .case("open/positions", "open-all")
        .file("body", batch.body())
        .key("identity", "auditor.identity");
    case.file("events", all).note("slot masks are blocks 0 to 69 of one keystream").ok();
}

fn numbers_and_text(cases: &Cases) {
    let numbers =
        r#"{"n":[1.00,1e400,9007199254740993,-0,-0.0,1E+2,1e-7,0.1,123456789012345678901234567890,0e0]}"#;
    open(
        cases,
        "number-texts",
        numbers,
        "numbers are their texts; through floating point most of these change",
    );
    let escapes = r#"{"\u0061":"\u00e9\n\/\\\"\b\f\r\t","pair":"\ud83d\ude00","raw":"é😀","\ud83d\ude00/~":1,"nul":"\u0000"}"#;
    open(
        cases,
        "unicode-and-escapes",
        escapes,
        "names and strings are committed to after unescaping, and kept as written",
    );
    let names = r#"{"":{"":1},"/":{"~":2,"~1":3,"~0":4},"*":[5],"0":{"1":6},"$sealed":"event"}"#;
    open(cases, "odd-names", names, "RFC 6901 pointers of empty names, slashes, tildes, digits and stars");
    open(cases, "star-name", r#"{"*":"*"}"#, "a member literally named *");
}

fn sections(cases: &Cases) {
    let mut batch = Batch::new(3, THREE, vec![]);
    let third = |ip: &str| format!("{{\"n\":1,\"ip\":{}}}", marker(ip));
    let body = batch.event(event(true, true)).event("{}").event(third("person")).body();
    for (reader, person, net) in
        [("auditor", false, false), ("person", true, false), ("everyone", true, true)]
    {
        let (first, last) = (event(person, net), third(if net { "person" } else { "net" }));
        let case = cases.case(&format!("open/three-sections-{reader}"), "open-all").file("body", &body);
        let case = case.key("identity", &format!("{reader}.identity"));
        case.file("events", format!("{first}\n{{}}\n{last}\n")).ok();
    }
    let net = "{\"/ip\":[\"10.0.0.1\",null],\"/a~1b/~0\":true}\n{}\n{\"/ip\":{\"$sealed\":\"person\"}}\n";
    let case = cases
        .case("open/three-sections-network", "open-all")
        .file("body", &body)
        .key("identity", "network.identity");
    case.file("events", net)
        .note("a reader of the last section only gets its payload; the second record has nothing there")
        .ok();

    let second: &[Section<'_>] =
        &[("event", &["auditor"], &[]), ("s", &["person"], &["/p"]), ("t", &["person"], &["/q"])];
    let body = Batch::new(4, second, vec![]).event(r#"{"q":[1],"p":"x","r":0}"#).body();
    let case = cases
        .case("open/two-of-three-sections", "open")
        .file("body", body)
        .key("identity", "person.identity");
    case.set("position", 0)
        .file("event", "{\"/p\":\"x\"}\n{\"/q\":[1]}")
        .note("without section 0: payloads by section, one per line")
        .ok();

    let eight: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    let pointers: Vec<String> = (0..8).map(|i| format!("/f{i}")).collect();
    let pointers: Vec<[&str; 1]> = pointers.iter().map(|p| [p.as_str()]).collect();
    let readers = ["auditor", "everyone"];
    let eight: Vec<Section<'_>> = eight
        .iter()
        .enumerate()
        .map(|(i, n)| (n.as_str(), &readers[i % 2..], if i == 0 { &[][..] } else { &pointers[i][..] }))
        .collect();
    let event = r#"{"f7":7,"f6":"6","f5":[5],"f4":{"4":4},"f3":null,"f2":true,"f1":1.0,"f0":0}"#;
    let body = Batch::new(5, &eight, vec![]).event("{}").event(event).body();
    let case =
        cases.case("open/eight-sections", "open").file("body", body).key("identity", "everyone.identity");
    case.set("position", 1).file("event", event).note("slot masks are blocks 8 to 15").ok();
}

fn look_alikes(cases: &Cases) {
    let two: &[Section<'_>] = &[("event", &["auditor"], &[]), ("phi", &["auditor"], &["/p"])];
    let look_alikes = [
        (
            "marker-in-event",
            r#"{"a":{"$sealed":"phi"},"p":1,"l":[{"$sealed":"phi"}]}"#,
            "an event with the bytes of a marker: moved like any value",
        ),
        (
            "marker-of-no-section",
            r#"{"a":{"$sealed":"x"},"b":{"$sealed":"event"},"p":{"$sealed":"x"}}"#,
            "no section, or the first: an ordinary object",
        ),
        (
            "marker-spelled-otherwise",
            r#"{"a":{"$sealed": "phi"},"b":{"$seale\u0064":"phi"},"c":{"$sealed":"phi","d":1}}"#,
            "only the exact bytes are a marker",
        ),
        ("marker-as-event", r#"{"$sealed":"phi"}"#, "the whole event is never a marker"),
        ("nothing-moved", r#"{"q":1}"#, "the payload of the second section is {}, which has no fields"),
    ];
    for (i, (name, event, note)) in look_alikes.into_iter().enumerate() {
        let body = Batch::new(10 + i as u64, two, vec![]).event(event).body();
        let case = cases
            .case(&format!("open/{name}"), "open")
            .file("body", body)
            .key("identity", "auditor.identity");
        case.set("position", 0).file("event", event).note(note).ok();
    }
}

/// Both sides of every step of the padded length up to 900 bytes, and of some steps above.
fn lengths(cases: &Cases) {
    for (name, lengths) in
        [("100-to-900", 100..900), ("2000-to-2200", 2_000..2_200), ("4000-to-4400", 4_000..4_400)]
    {
        let steps: Vec<usize> = lengths.filter(|n| padded_len(*n) != padded_len(n + 1)).collect();
        let mut batch = Batch::new(number(name), PLAIN, vec![]);
        let events: Vec<String> = steps
            .iter()
            .flat_map(|n| [*n, n + 1])
            .map(|n| format!("{{\"x\":\"{}\"}}", "y".repeat(n - 8)))
            .collect();
        for event in &events {
            batch.event(event);
        }
        let case = cases.case(&format!("open/lengths-{name}"), "open-all").file("body", batch.body());
        let case = case.key("identity", "auditor.identity").file("events", events.join("\n") + "\n");
        case.note("two events at each step: the last payload that fits a padded length, and one byte more")
            .ok();
    }
}

/// Published audit events, each a record of one batch, for a reader of everything.
fn samples(cases: &Cases, events: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(events).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.file_name().unwrap().to_string_lossy().contains("--"));
    files.sort();
    for file in files {
        let event = std::fs::read(&file).unwrap();
        let event = event.trim_ascii();
        let sections: &[Section<'_>] = &[
            ("event", &["auditor"], &[]),
            (
                "who",
                &["auditor"],
                &[
                    "/agent/*/who",
                    "/userIdentity",
                    "/user",
                    "/participant/*/userId",
                    "/protoPayload/authenticationInfo",
                ],
            ),
        ];
        if event.len() > 6_000 {
            continue;
        }
        let body = Batch::new(
            number(&file.file_name().unwrap().to_string_lossy()),
            sections,
            sealtrail::event::policy::default_tags(),
        )
        .event(event)
        .body();
        let name = file.file_stem().unwrap().to_string_lossy().to_lowercase();
        let case = cases
            .case(&format!("open/sample-{name}"), "open")
            .file("body", body)
            .key("identity", "auditor.identity");
        case.set("position", 0).file("event", event).note("from tests/vectors/event; sources there").ok();
    }
}

/// What an opener carries along without understanding or needing it.
fn carried_along(cases: &Cases) {
    let event = r#"{"n":1}"#;
    let body = Batch::new(6, PLAIN, vec![]).event(event).body();
    let case = |name: &str, body: Vec<u8>| {
        let case = cases
            .case(&format!("open/{name}"), "open")
            .file("body", body)
            .key("identity", "auditor.identity");
        case.set("position", 0).file("event", event)
    };
    let mut h = header(&body);
    h.readers[0].search[3] ^= 1;
    case("search-does-not-open", with_header(&body, &encode_header(&h)))
        .note("searching fails, opening does not")
        .ok();

    let mut h = header(&body);
    let unknown =
        BatchReader { kem: 0x647a, public_key: vec![7; 1216], enc: vec![8; 1120], search: vec![9; 48] };
    h.readers.push(unknown);
    h.sections[0].readers.push(1);
    let mut parts = Parts::of(&records(&body)[0]);
    parts.sections[0].slots.extend_from_slice(&[0xaa; 32]);
    let body = with_records(&with_header(&body, &encode_header(&h)), &[parts.encode()]);
    case("reader-of-unknown-kem", body).note("a reader of KEM 0x647a stands beside").ok();
}
