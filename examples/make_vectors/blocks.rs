//! Batch bodies against the block that carries their statement, and blind tags.

use sealtrail::base::hash::{Hash, to_hex};
use sealtrail::base::record::Record;
use sealtrail::chain::batch::leaf_inputs_of;
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::statement::{HeartbeatStatement, Statement};
use sealtrail::event::normalise::normalise_into;
use sealtrail::event::policy::default_tags;
use sealtrail::event::recognise::TAGS;
use sealtrail::seal::disclosure::Scalar;
use sealtrail::seal::tag::blind_tag;
use serde_json::{Value, json};

use crate::batch::{
    Batch, PLAIN, Parts, Section, encode_header, header, plain_body, records, search, tag_fields,
    with_header, with_records,
};
use crate::kit::{Case, Cases, LEDGER, OTHER, WRITER, flip, key, number};
use crate::ledger::{Forge, Twist, honest, replace, time};

/// Writes the cases.
pub fn write(cases: &Cases) {
    blocks(cases);
    broken_blocks(cases);
    tag_values(cases);
    tags_of_records(cases);
}

fn block(cases: &Cases, folder: &str, body: &[u8], twist: Twist<'_>) -> Case {
    given(cases, folder, Forge::new().block(body, twist), body)
}

fn given(cases: &Cases, folder: &str, block: String, body: &[u8]) -> Case {
    cases.case(folder, "block").file("block", block).file("body", body).key("writer_vkey", "writer.vkey")
}

fn blocks(cases: &Cases) {
    for n in [1, 2, 3, 5, 7] {
        block(cases, &format!("block/{n}-records"), &plain_body(number("block") + n as u64, n), &honest).ok();
    }
    for n in [0, 1, 64, 65, 129] {
        let mut batch = Batch::new(number("tags") + n as u64, PLAIN, tag_fields(&[("l", &["/l/*"])]));
        let list =
            |from: usize, n: usize| (from..from + n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        // The same values in two records give equal tags at two positions.
        let half = n / 2;
        let body = batch
            .event(format!("{{\"l\":[{}]}}", list(0, half)))
            .event("{}")
            .event(format!("{{\"l\":[{}]}}", list(0, n - half)))
            .body();
        let case = block(cases, &format!("block/{n}-tags"), &body, &honest);
        case.note("tags leaves hold up to 64 entries; equal tags are ordered by position").ok();
    }
    let sections: &[Section<'_>] = &[("event", &["auditor", "person"], &[]), ("phi", &["auditor"], &["/p"])];
    let body = Batch::new(number("sections"), sections, vec![]).event(r#"{"p":1}"#).event("{}").body();
    block(cases, "block/two-sections", &body, &honest).ok();
    let body = plain_body(number("erased block"), 3);
    let mut all = records(&body);
    let full = Forge::new().block(&body, &honest);
    for (name, gone) in [("one-erased", &[1][..]), ("all-erased", &[0, 1, 2])] {
        for i in gone {
            let inputs = leaf_inputs_of(&all[*i]).unwrap();
            all[*i].clear();
            Record::encode_erased(&inputs, &mut all[*i]);
        }
        let case = given(cases, &format!("block/{name}"), full.clone(), &with_records(&body, &all));
        case.note("records-root, records and header-hash still verify; bytes and tags-root no longer can")
            .ok();
    }
}

fn broken_blocks(cases: &Cases) {
    let body = plain_body(number("broken block"), 3);
    let line = |name: &str, line: &'static str, value: &str| {
        let value = value.to_owned();
        let twist = move |step: &str, text: String| match step {
            "statement" => text
                .lines()
                .map(|l| {
                    if l.starts_with(&format!("{line} ")) {
                        format!("{line} {value}\n")
                    } else {
                        format!("{l}\n")
                    }
                })
                .collect(),
            _ => text,
        };
        block(cases, &format!("block-fail/{name}"), &body, &twist)
    };
    let zero = Hash::ZERO.base64();
    line("records", "records", "4").fail("records");
    line("bytes", "bytes", &(body.len() + 1).to_string()).fail("bytes");
    line("records-root", "records-root", &zero).fail("records-root");
    line("tags-root", "tags-root", &zero).fail("tags-root");
    line("tags-root-of-no-tags", "tags-root", &Hash::of(&[]).base64()).fail("tags-root");
    line("header-hash", "header-hash", &zero).fail("header-hash");
    line("ledger", "ledger", OTHER).fail("header");
    line("sequence", "sequence", &(header(&body).sequence + 1).to_string()).fail("header");
    let lab = Forge { writer: key("ledger.example/writers/lab"), ..Forge::new() };
    let case =
        cases.case("block-fail/writer", "block").file("block", lab.block(&body, &honest)).file("body", &body);
    case.note("signed by another writer than the header names").fail("header");

    let full = Forge::new().block(&body, &honest);
    let all = records(&body);
    let swapped = with_records(&body, &[all[1].clone(), all[0].clone(), all[2].clone()]);
    given(cases, "block-fail/records-swapped", full.clone(), &swapped).fail("records-root");
    let mut changed = all.clone();
    changed[2] = flip(&changed[2], changed[2].len() - 1);
    given(cases, "block-fail/ciphertext-changed", full.clone(), &with_records(&body, &changed))
        .fail("records-root");
    let mut changed = all.clone();
    let mut parts = Parts::of(&changed[0]);
    parts.sections[0].slots[5] ^= 1;
    changed[0] = parts.encode();
    given(cases, "block-fail/slot-changed", full.clone(), &with_records(&body, &changed))
        .fail("records-root");
    let mut h = header(&body);
    h.readers[0].search[0] ^= 1;
    given(cases, "block-fail/header-changed", full.clone(), &with_header(&body, &encode_header(&h)))
        .fail("header-hash");
    given(cases, "block-fail/body-cut-short", full.clone(), &body[..body.len() - 1]).fail("format");
    let signature = |step: &str, text: String| match step {
        "note" => {
            let mut note = Note::parse(&text).unwrap();
            note.signatures[0].bytes[10] ^= 1;
            note.to_string()
        }
        _ => text,
    };
    block(cases, "block-fail/signature", &body, &signature).fail("signature");
    let twist = replace("statement", "sequence ", "sequence 0");
    block(cases, "block-fail/leading-zero", &body, &twist).fail("format");
    let head = Head { next_sequence: 4, previous: Hash::of(&[b"previous"]) };
    let heartbeat =
        HeartbeatStatement { ledger: LEDGER.into(), sequence: 4, previous: head.previous, issued: time(3) };
    let note = Note::sign(&Statement::Heartbeat(heartbeat).to_text(), &key(WRITER)).to_string();
    given(cases, "block-fail/heartbeat", Forge::new().block_of(note, &honest), &body).fail("statement");
}

/// Single values and their tags.
fn tag_values(cases: &Cases) {
    let section = search().section("event");
    for (name, value) in [
        ("plain", json!("dr-smith")),
        ("spaces-and-capitals", json!(" \t\r\n\u{c}Dr-SMITH 7 \n")),
        ("spaces-inside", json!("a  b\tc")),
        ("capitals-beyond-ascii", json!("\u{c4}RZTIN \u{130}")),
        ("no-break-space", json!("\u{a0}x\u{a0}")),
        ("ideographic-space", json!("\u{3000}x")),
        ("vertical-tab", json!("\u{b}x\u{b}")),
        ("file-separator", json!("\u{1c}x\u{1c}")),
        ("next-line", json!("\u{85}x")),
        ("zero-byte", json!("a\u{0}b")),
        ("empty", json!("")),
        ("spaces-only", json!(" \t")),
        ("true", json!(true)),
        ("false", json!(false)),
        ("text-true", json!("TRUE")),
        ("reference", json!("Patient/7A")),
        ("reference-version", json!(" Patient/7A/_history/3 ")),
        ("reference-absolute", json!("https://h.example/fhir/Patient/7A/_history/3")),
        ("reference-no-host", json!("http://Patient/7A")),
        ("reference-other-type", json!("https://h.example/fhir/Observation/7A/_history/3")),
        ("reference-other-scheme", json!("urn:x/Patient/7A")),
        ("reference-slash-first", json!("/Patient/7A")),
        ("reference-lower-case", json!("https://h.example/patient/7A")),
        ("null", Value::Null),
        ("array", json!(["x"])),
        ("empty-object", json!({})),
    ] {
        let scalar = match &value {
            Value::String(s) => Scalar::String(s.into()),
            Value::Bool(true) => Scalar::True,
            Value::Bool(false) => Scalar::False,
            _ => Scalar::Null,
        };
        tag_value(cases, name, &value.to_string(), scalar, &section);
    }
    for (name, text) in [
        ("number", "7"),
        ("number-text", "1.50E3"),
        ("number-minus-zero", "-0"),
        ("number-large", "9007199254740993"),
    ] {
        tag_value(cases, name, text, Scalar::Number(text), &section);
    }
    tag_value(
        cases,
        "escaped",
        r#""\u0044r-Sm\u0069th\u0020""#,
        Scalar::String("Dr-Smith ".into()),
        &section,
    );
}

fn tag_value(
    cases: &Cases,
    name: &str,
    value: &str,
    scalar: Scalar<'_>,
    section: &sealtrail::seal::tag::SectionSecret,
) {
    let mut normalised = String::new();
    let tag = normalise_into(&scalar, &mut normalised)
        .then(|| to_hex(&blind_tag(section, "actor", normalised.as_bytes())));
    let case =
        cases.case(&format!("tag-value/{name}"), "tags").set("search_secret", to_hex(search().expose()));
    case.set("section", "event")
        .set("field", "actor")
        .set("value", value)
        .set("tag", tag.map_or(Value::Null, Value::from))
        .ok();
}

fn policy(fields: &[(&str, &[&str])]) -> String {
    let map: serde_json::Map<String, Value> =
        fields.iter().map(|(name, pointers)| ((*name).to_owned(), json!(pointers))).collect();
    serde_json::to_string_pretty(&map).unwrap() + "\n"
}

/// The tags of whole records.
fn tags_of_records(cases: &Cases) {
    let event = r#"{"actor":{"user_id":" Dr-SMITH\n","id":7},"action":"READ","resource":{"id":"Ä-1 "},"result":true,
  "agent":[{"who":{"reference":"Practitioner/X"}},{"who":{"reference":"practitioner/x"}}],"ip":"\u000b10.0.0.1"}"#;
    let case = |name: &str, body: Vec<u8>, reader: &str, policy: &str| {
        let case = cases.case(name, "tags").file("body", body).key("identity", &format!("{reader}.identity"));
        case.set("position", 0).file("policy", policy)
    };
    let body = Batch::new(number("default policy"), PLAIN, default_tags()).event(event).body();
    case("tags/default-policy", body.clone(), "auditor", &policy(TAGS))
        .note("two values that differ in case give one tag")
        .ok();

    let stars: &[(&str, &[&str])] =
        &[("x", &["/l/*", "/l/*/*", "/m/0"]), ("star", &["/*"]), ("zero", &["/l/0", "/l/00"])];
    let event = r#"{"*":"member named star","l":["a",["b",{"*":"no","0":"no"}],"c"],"m":{"0":"digit member","*":"no"},"0":"no"}"#;
    let body_of_stars = Batch::new(number("stars"), PLAIN, tag_fields(stars)).event(event).body();
    case("tags/stars-and-indices", body_of_stars, "auditor", &policy(stars))
        .note("* matches array indices only")
        .ok();

    let fields: &[(&str, &[&str])] =
        &[("actor", &["/actor/id", "/actor/name"]), ("ip", &["/ip", "/via/*"]), ("n", &["/n"])];
    let sections: &[Section<'_>] = &[
        ("event", &["auditor", "person", "everyone"], &[]),
        ("person", &["person", "everyone"], &["/actor"]),
        ("net", &["network", "everyone"], &["/ip", "/via/1"]),
    ];
    let event = r#"{"actor":{"id":"A","name":" a "},"ip":"10.0.0.1","via":["10.0.0.1","10.0.0.1"],"n":1.50}"#;
    let body = Batch::new(number("tags of sections"), sections, tag_fields(fields)).event(event).body();
    for reader in ["auditor", "person", "everyone"] {
        case(&format!("tags/sections-{reader}"), body.clone(), reader, &policy(fields))
            .note("a tag is made with the secret of the section that holds the value")
            .ok();
    }
    case("tags-fail/without-section-0", body.clone(), "network", &policy(fields)).fail("identity");
    let changed = |name: &str, reader: &str, change: &dyn Fn(&mut Vec<[u8; 8]>), note: &str| {
        let mut parts = Parts::of(&records(&body)[0]);
        change(&mut parts.tags);
        case(&format!("tags-fail/{name}"), with_records(&body, &[parts.encode()]), reader, &policy(fields))
            .note(note)
            .fail("tags");
    };
    changed("one-missing", "everyone", &|t| t.truncate(t.len() - 1), "");
    changed("none", "auditor", &Vec::clear, "");
    changed("one-more", "everyone", &|t| t.push([0xff; 8]), "who can read all sections can tell");
    changed("one-changed", "everyone", &|t| t[0][7] ^= 1, "");
    let other: &[(&str, &[&str])] = &[("n", &["/n", "/via/0"])];
    let body_other =
        Batch::new(number("other policy"), PLAIN, tag_fields(&[("n", &["/n"])])).event(event).body();
    case("tags-fail/another-policy", body_other, "auditor", &policy(other))
        .note("sealed with fewer pointers")
        .fail("tags");
    let mut h = header(&body);
    h.readers.iter_mut().for_each(|r| r.search[3] ^= 1);
    let search = with_header(&body, &encode_header(&h));
    case("tags-fail/search-does-not-open", search, "everyone", &policy(fields))
        .note("searching fails; open/search-does-not-open shows that opening does not")
        .fail("hpke");
}
