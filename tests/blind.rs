//! What the operator and the public can see: nothing of the content. Plants strings in every kind of field, then searches
//! the database files and every public answer for them, raw and in the encodings a leak would wear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use sealtrail::auditor::open::open_record;
use sealtrail::base::hash::{to_base64, to_hex};
use support::Ledger;

/// Planted in names, values, numbers, nested objects and arrays, and in requests that are refused.
const PLANTED: [&str; 6] = [
    "PlantedPatient77012",
    "planted_member_name_5581",
    "918273645546372819",
    "planted-überraschung-42",
    "planted/slash~tilde",
    "planted-refused-9917",
];

/// The forms a planted string could be found in.
fn disguises(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms =
        vec![bytes.to_vec(), to_hex(bytes).into_bytes(), to_hex(bytes).to_uppercase().into_bytes()];
    // Base64 of the string at each alignment, without the characters its neighbours would change.
    for shift in 0..3 {
        let coded = to_base64(&[&vec![b'x'; shift][..], bytes].concat());
        let from = (shift * 8).div_ceil(6);
        let to = (shift + bytes.len()) * 8 / 6;
        forms.push(coded.as_bytes()[from..to].to_vec());
    }
    let escaped: String = text
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) })
        .collect();
    forms.push(escaped.into_bytes());
    forms.push(text.to_lowercase().into_bytes());
    forms
}

fn find(haystack: &[u8], place: &str) {
    for planted in PLANTED {
        for form in disguises(planted) {
            let at = haystack.windows(form.len()).position(|w| w == form);
            assert_eq!(at, None, "{planted} leaks in {place}, as {}", String::from_utf8_lossy(&form));
        }
    }
}

#[test]
fn no_planted_plaintext_in_any_file_or_public_answer() {
    let ledger = Ledger::new();
    let settings = std::fs::read_to_string(ledger.path("sealtrail.toml")).unwrap();
    let sections = "[[section]]\nname = \"event\"\nreaders = [\"*\"]\n[[section]]\nname = \"patient\"\nreaders = [\"alice\"]\npointers = [\"/resource\"]\n";
    let settings = settings.replace("[[section]]\nname = \"event\"\nreaders = [\"*\"]\n", sections);
    assert!(settings.contains("\"/resource\""));
    std::fs::write(ledger.path("sealtrail.toml"), settings).unwrap();
    let mut server = ledger.serve();
    let writer = ledger.writer_client(&server);
    let event = r#"{"actor":{"user_id":"PlantedPatient77012"},"planted_member_name_5581":[918273645546372819,{"x":"planted-überraschung-42"}],
        "resource":{"id":"PlantedPatient77012","path":"planted/slash~tilde"},"action":"PlantedPatient77012","result":"planted-überraschung-42"}"#;
    for _ in 0..5 {
        writer.post("/v1/events", "application/json", event.as_bytes()).unwrap();
    }
    // Refused requests: their answers must not repeat what was in them.
    let refused = [
        r#"{"planted-refused-9917":1,"planted-refused-9917":2}"#,
        r#"{"a":"planted-refused-9917"#,
        r#"["planted-refused-9917"]"#,
        r#"{"a":planted-refused-9917}"#,
        r#""planted-refused-9917""#,
    ];
    for body in refused {
        let answer = writer.post("/v1/events", "application/json", body.as_bytes()).unwrap_err();
        find(answer.to_string().as_bytes(), "a problem document");
        find(format!("{answer:?}").as_bytes(), "a problem document");
    }
    // A read, so that the access record is there too.
    let reader = ledger.reader_client(&server);
    let opened = open_record(&reader, &ledger.identity("alice"), &ledger.vkey(), None, 3).unwrap();
    // The positive control: the search finds what is there to be found.
    let found = std::panic::catch_unwind(|| find(&opened.event, "the opened event"));
    assert!(found.is_err(), "the search cannot find a planted string");
    assert_eq!(String::from_utf8_lossy(&opened.event), event);

    let public = server.client();
    let info = public.ledger().unwrap();
    let mut paths = vec!["/checkpoint".to_owned(), "/v1/ledger".into(), "/healthz".into(), "/metrics".into()];
    paths.push(format!("/tile/0/000.p/{}", info.blocks));
    paths.push(format!("/tile/entries/000.p/{}", info.blocks));
    paths.push(format!("/v1/writers?name={LEDGER}/writers/gateway", LEDGER = support::LEDGER));
    paths
        .extend((0..info.blocks).flat_map(|h| [format!("/v1/blocks/{h}"), format!("/v1/blocks/{h}/leaves")]));
    paths.extend((0..info.records).map(|r| format!("/v1/proofs/{r}")));
    for path in paths {
        find(&public.get(&path).unwrap(), &path);
    }
    for path in ["/v1/records/0", "/v1/bodies?from=0", "/v1/nothing", "/v1/proofs/99", "/tile/9/000"] {
        let answer = public.get(path).unwrap_err();
        find(answer.to_string().as_bytes(), path);
    }
    let mut files = 0;
    for entry in std::fs::read_dir(ledger.dir.path()).unwrap().flatten() {
        if entry.path().is_file() {
            files += 1;
            find(&std::fs::read(entry.path()).unwrap(), &entry.path().display().to_string());
        }
    }
    assert!(files >= 4, "database, its log, the last-signed file and the settings were to be searched");
    // What the server said.
    let mut said = server.child.stderr.take().unwrap();
    server.child.kill().unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut said, &mut text).unwrap();
    find(&text, "the server's messages");
}
