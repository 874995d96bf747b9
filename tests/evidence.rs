//! Evidence files: what they prove, that nothing else can be made of them, and what they hide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use proptest::prelude::*;
use sealtrail::auditor::evidence::build::{Added, BuildError, Builder, Disclose};
use sealtrail::auditor::evidence::format::Evidence;
use sealtrail::auditor::evidence::manifest::{Manifest, Words, is_text, to_text};
use sealtrail::auditor::evidence::report::{ContentReport, EvidenceReport, RecordReport, Signer};
use sealtrail::auditor::evidence::verify::{EvidenceError, Trust, verify};
use sealtrail::base::hash::from_base64;
use sealtrail::base::limits::MAX_EVIDENCE_BYTES;
use sealtrail::base::record::Record;
use sealtrail::chain::key::VerifierKey;
use sealtrail::chain::policy::WitnessPolicy;
use serde_json::Value;

#[path = "../examples/make_vectors/batch.rs"]
#[allow(dead_code)]
mod batch;
#[path = "../examples/make_vectors/evidence.rs"]
#[allow(dead_code)]
mod fixture;
#[path = "../examples/make_vectors/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "../examples/make_vectors/ledger.rs"]
#[allow(dead_code)]
mod ledger;

use fixture::{CHANGES, EVENTS, SIGNER, World, everything, fields, reseal};
use kit::{LEDGER, WRITER, identity, key};

fn ledger_key() -> VerifierKey {
    key(LEDGER).verifier()
}

fn check(evidence: &Evidence) -> Result<EvidenceReport, EvidenceError> {
    verify(evidence.to_json().as_bytes(), &Trust::ledger(&ledger_key()))
}

fn shown(report: &RecordReport) -> Vec<(String, &'static str, String)> {
    let ContentReport::Shown(shown) = &report.content else { panic!("nothing is shown") };
    let fields = shown.sections.iter().flat_map(|s| &s.shown);
    fields.map(|f| (f.pointer.clone(), f.kind, f.value.clone())).collect()
}

fn event(report: &RecordReport) -> &str {
    let ContentReport::Shown(shown) = &report.content else { panic!("nothing is shown") };
    shown.event.as_deref().unwrap()
}

#[test]
fn everything_asked_for_is_proved() {
    let world = World::new();
    let report = check(&everything(&world, None)).unwrap();
    assert_eq!(report.signer, Signer::Unsigned);
    assert_eq!(report.blocks, 9);
    let records: Vec<u64> = report.records.iter().map(|r| r.record).collect();
    assert_eq!(records, [1, 2, 5, 6, 7, 8]);
    assert!(matches!(report.records[0].content, ContentReport::NotShown));
    let ContentReport::Erased(order) = &report.records[1].content else { panic!() };
    assert_eq!((order.block, &*order.reason), (world.order, "gdpr-art-17"));
    assert_eq!(order.signed_by, ["officer-a", "officer-b"]);
    let actor = ("/actor/user_id".to_owned(), "string", "dr-smith-4421".to_owned());
    let role = ("/actor/role".to_owned(), "string", "physician".to_owned());
    let result = ("/result".to_owned(), "string", "allowed".to_owned());
    assert_eq!(shown(&report.records[2]), [actor, role, result]);
    let ContentReport::Shown(five) = &report.records[2].content else { panic!() };
    assert_eq!((five.sections[0].fields, five.sections[1].fields), (5, 1));
    // Record 7 as the auditor may read it: markers stand where the patient section was.
    assert_eq!(
        event(&report.records[4]),
        EVENTS[2]
            .replace(r#"{"reference":"Patient/1"}"#, r#"{"$sealed":"patient"}"#)
            .replace(r#""what":"x""#, r#""what":{"$sealed":"patient"}"#)
    );
    assert_eq!(shown(&report.records[5]), [(String::new(), "empty-object", String::new())]);
    assert_eq!(&*report.records[5].writer, WRITER);
    assert!(!report.records[5].writer_checked);

    // Who may read both sections shows the very bytes of the event.
    let all: Vec<_> = (5..10).map(|n| (n, Disclose::Everything)).collect();
    let report = check(&world.evidence(&all, &["person"], None)).unwrap();
    for (record, text) in report.records.iter().zip(EVENTS) {
        assert_eq!(event(record), text);
    }
    assert_eq!(report.records[4].note.as_deref(), Some("row 1 of the report"));
}

#[test]
fn a_pointer_opens_all_below_it() {
    let world = World::new();
    let of = |n, pointers: &[&str], reader| {
        let report = check(&world.evidence(&[(n, fields(pointers))], &[reader], None)).unwrap();
        shown(&report.records[0]).into_iter().map(|f| f.0).collect::<Vec<_>>()
    };
    assert_eq!(of(5, &["/resource"], "person"), ["/resource/type", "/resource/id"]);
    assert_eq!(of(7, &["/n/2", "/n/0"], "auditor"), ["/n/0", "/n/2"]);
    assert_eq!(of(7, &["/entity/0"], "person"), ["/entity/0/what/reference"]);
    // A name that starts the same is another name.
    assert_eq!(of(7, &["/é~0~1"], "auditor"), ["/é~0~1"]);
    let refuse = |n, pointers: &[&str], reader: &str| {
        let (key, identities) = (ledger_key(), [identity(reader)]);
        Builder::new(&key, &identities)
            .add(world.material(n), &fields(pointers), None)
            .unwrap_err()
            .to_string()
    };
    for (n, pointer, reader, says) in [
        (5, "/actor/user", "auditor", "has no field /actor/user; it has /actor/user_id, /actor/role"),
        (5, "/nothing", "auditor", "has no field /nothing; it has /actor/user_id"),
        (5, "/resource/id", "auditor", "/resource/id lies in the section patient"),
        (5, "/resource", "auditor", "not all of it"),
        (7, "/entity/0/what/reference", "auditor", "lies in the section patient"),
        (5, "", "auditor", "name at least one field"),
        (2, "/n", "auditor", "was erased by order in block"),
        (5, "/actor", "network", "is not sealed to this identity"),
    ] {
        let error = refuse(n, &[pointer], reader);
        assert!(error.contains(says), "{pointer}: {error}");
    }
}

#[test]
fn every_change_is_found_even_with_a_manifest_made_afresh() {
    let world = World::new();
    let honest = everything(&world, None);
    assert_eq!(check(&reseal(honest.clone())).unwrap(), check(&honest).unwrap());
    for (name, _, change) in CHANGES {
        let mut evidence = honest.clone();
        change(&mut evidence);
        assert!(check(&evidence).is_err(), "{name}");
        let error = check(&reseal(evidence)).err().unwrap_or_else(|| panic!("{name} goes unnoticed"));
        assert!(!error.to_string().is_empty() && !format!("{error}").contains("manifest"), "{name}: {error}");
    }
}

#[test]
fn a_signature_binds_the_selection() {
    let world = World::new();
    let signer = key(SIGNER);
    let honest = everything(&world, Some(&signer));
    let (ledger, vkey) = (ledger_key(), signer.verifier());
    let trust = Trust { signer: Some(&vkey), ..Trust::ledger(&ledger) };
    let with_signer = |e: &Evidence| verify(e.to_json().as_bytes(), &trust);
    assert_eq!(with_signer(&honest).unwrap().signer, Signer::Checked(vkey.to_string()));
    assert_eq!(check(&honest).unwrap().signer, Signer::Unknown(vkey.to_string()));
    // Less than was signed, made up afresh: true in every part, and not the signer's.
    let mut less = honest.clone();
    less.records.truncate(2);
    less.blocks.remove(1);
    less.records[1].erased = Some(1);
    assert!(matches!(check(&less), Err(EvidenceError::Records { .. })));
    let less = reseal(less);
    let report = check(&less).unwrap();
    assert!(report.not_proven()[0].contains("anybody who has such files can make another"));
    assert!(matches!(with_signer(&less), Err(EvidenceError::Unsigned(_))));
    // The words of one file over the records of another.
    let other = world.evidence(&[(1, Disclose::Nothing), (3, Disclose::Nothing)], &[], Some(&signer));
    for mixed in [
        Evidence { manifest: other.manifest.clone(), ..honest.clone() },
        Evidence { records: other.records.clone(), blocks: other.blocks.clone(), ..honest.clone() },
    ] {
        assert!(check(&mixed).unwrap_err().to_string().contains("manifest"));
    }
    let eve = key("auditor.example/eve").verifier();
    let eve = Trust { signer: Some(&eve), ..Trust::ledger(&ledger) };
    assert!(matches!(verify(honest.to_json().as_bytes(), &eve), Err(EvidenceError::OtherSigner { .. })));
}

#[test]
fn writers_and_witnesses_can_be_asked_for() {
    let world = World::new();
    let json = everything(&world, None).to_json();
    let ledger = ledger_key();
    let check = |writers: &[VerifierKey], policy: Option<&WitnessPolicy>| {
        verify(json.as_bytes(), &Trust { writers, policy, ..Trust::ledger(&ledger) })
    };
    let report = check(&[key(WRITER).verifier()], None).unwrap();
    assert!(report.records.iter().all(|r| r.writer_checked));
    assert!(!report.not_proven().iter().any(|l| l.contains("--writer")));
    let error = check(&[key("ledger.example/writers/lab").verifier()], None).unwrap_err();
    assert!(error.to_string().contains(WRITER), "{error}");

    let w = |n: u32| format!("witness w{n} {}\n", key(&format!("witness.example/w{n}")).cosigner());
    let policy = |text: String| WitnessPolicy::parse(text.as_bytes()).unwrap();
    let any = policy(format!("log {ledger}\n{}{}group g any w1 w2\nquorum g\n", w(1), w(2)));
    let met = check(&[], Some(&any)).unwrap();
    assert!(met.heading()[1].contains("w1 on 2026-11-20 12:10:00 UTC"), "{:?}", met.heading());
    let all = policy(format!("{}{}group g all w1 w2\nquorum g\n", w(1), w(2)));
    let error = check(&[], Some(&all)).unwrap_err().to_string();
    assert!(error.contains("only w1 cosigned"), "{error}");
}

/// Every byte of every kind of file: whatever is changed, the file fails or says exactly the same.
#[test]
fn no_flipped_byte_changes_a_statement() {
    let world = World::new();
    let signer = key(SIGNER);
    let evidence = world.evidence(
        &[(2, Disclose::Nothing), (5, fields(&["/actor/role"])), (8, Disclose::Everything)],
        &["auditor"],
        Some(&signer),
    );
    let json = evidence.to_json();
    let honest = check(&evidence).unwrap();
    let ledger = ledger_key();
    let mut survivors = 0;
    for at in 0..json.len() {
        for bit in [0, 5] {
            let mut bytes = json.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(report) = verify(&bytes, &Trust::ledger(&ledger)) {
                assert_eq!(report, honest, "byte {at}, bit {bit}");
                survivors += 1;
            }
        }
    }
    // Only the line of a witness nobody asked for may change unnoticed.
    assert!(survivors < 2 * 200, "{survivors} changes of {} went unnoticed", 2 * json.len());
    for end in (0..json.len() - 2).step_by(7) {
        assert!(verify(&json.as_bytes()[..end], &Trust::ledger(&ledger)).is_err(), "cut at {end}");
    }
}

/// What a shown field tells of the others: their number, its place, and not whether they are equal to another record's.
#[test]
fn hidden_fields_leave_nothing_in_the_file() {
    let world = World::new();
    // The two events are the same, byte for byte; both times one and the same field is shown.
    let one = |n| world.evidence(&[(n, fields(&["/actor/role"]))], &["auditor"], None);
    let (five, six) = (one(5), one(6));
    let strings = |e: &Evidence| {
        let mut found = HashSet::new();
        let mut json: Value = serde_json::from_str(&e.to_json()).unwrap();
        // Records of one batch share the upper part of their paths, which are hashes of whole records.
        json["records"][0]["record_path"].take();
        collect(&json["records"][0], &mut found);
        found
    };
    let common: Vec<String> = strings(&five).intersection(&strings(&six)).cloned().collect();
    let mut common: Vec<&str> = common.iter().map(String::as_str).collect();
    common.sort_unstable();
    assert_eq!(common, ["/actor/role", "physician", "s"], "more than the shown field is equal");

    // Neither a hidden value, nor any piece of ciphertext, slots or tags is in it, in any of the encodings of the file.
    let json = five.to_json();
    for hidden in ["dr-smith-4421", "PAT-2026-00842", "patient_record", "allowed"] {
        assert!(!json.contains(hidden), "{hidden}");
    }
    let mut blobs = vec![json.as_bytes().to_vec()];
    for text in strings(&five) {
        blobs.extend(from_base64(&text));
        blobs.extend(sealtrail::base::hash::from_hex(&text));
    }
    blobs.extend(five.blocks.iter().filter_map(|b| b.header.clone()));
    let content = world.material(5).content.unwrap();
    let Ok(Record::Sealed { sections, tags, ciphertext, .. }) = Record::decode(&content.record) else {
        panic!()
    };
    assert_eq!(tags.len(), 8);
    let mut secret = vec![tags, ciphertext];
    sections.iter().for_each(|s| secret.extend([&s.commitment[..], s.slots]));
    for piece in secret.iter().flat_map(|s| s.windows(8)) {
        assert!(!blobs.iter().any(|b| b.windows(8).any(|w| w == piece)), "{piece:02x?}");
    }
}

fn collect(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::String(s) => drop(found.insert(s.clone())),
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        Value::Object(members) => members.values().for_each(|v| collect(v, found)),
        _ => {}
    }
}

#[test]
fn whole_sections_give_no_key_that_opens_ciphertext() {
    let world = World::new();
    let evidence = world.evidence(&[(5, Disclose::Everything)], &["auditor"], None);
    let body = world.ledger.body(world.split).to_vec();
    let inside = batch::Inside::of(&body, 0, "person");
    let json = evidence.to_json();
    for key in &inside.keys {
        assert!(!json.contains(&sealtrail::base::hash::to_base64(key)));
        assert!(!json.contains(&sealtrail::base::hash::to_hex(key)));
    }
    assert!(json.contains(&sealtrail::base::hash::to_base64(inside.derived[0].salts.expose())));
    assert!(!json.contains(&sealtrail::base::hash::to_base64(inside.derived[1].salts.expose())));
}

#[test]
fn the_builder_refuses_what_would_not_verify() {
    let world = World::new();
    let (ledger, identities) = (ledger_key(), [identity("auditor")]);
    let mut builder = Builder::new(&ledger, &identities);
    assert_eq!(
        builder.add(world.material(5), &Disclose::Everything, None).unwrap(),
        Added::Shown { withheld: 1 }
    );
    for n in [5, 1] {
        let error = builder.add(world.material(n), &Disclose::Nothing, None).unwrap_err();
        assert!(matches!(error, BuildError::Record { .. }), "{error}");
    }
    let mut later = World::new();
    later.ledger.fill(12);
    later.checkpoint = later.ledger.checkpoint();
    assert!(matches!(
        builder.add(later.material(6), &Disclose::Nothing, None),
        Err(BuildError::OtherCheckpoint { record: 6 })
    ));
    let mut missing = world.material(7);
    missing.content.as_mut().unwrap().record = world.material(2).content.unwrap().record;
    assert!(matches!(builder.add(missing, &Disclose::Nothing, None), Err(BuildError::Proof { .. })));
    let mut other_header = world.material(7);
    other_header.content.as_mut().unwrap().header[70] ^= 1;
    let error = builder.add(other_header, &Disclose::Everything, None).unwrap_err();
    assert!(matches!(error, BuildError::Block { .. }), "{error}");
    let mut bare = world.material(7);
    bare.content = None;
    assert!(matches!(
        builder.add(bare, &Disclose::Everything, None),
        Err(BuildError::NoContent { record: 7 })
    ));
    let note = Some(" x".to_owned());
    assert!(matches!(
        builder.add(world.material(7), &Disclose::Nothing, note),
        Err(BuildError::Note { record: 7 })
    ));
    // Nothing of what was refused is left in it.
    let evidence =
        builder.finish(ledger::time(1), Words { selection: "x".into(), ..Words::default() }, None).unwrap();
    assert_eq!(check(&evidence).unwrap().records.len(), 1);

    let mut gone = world.material(2);
    gone.erasure = None;
    let mut builder = Builder::new(&ledger, &identities);
    let error = builder.add(gone, &Disclose::Nothing, None).unwrap_err();
    assert!(matches!(error, BuildError::Missing { record: 2 }), "{error}");
    let words = Words { selection: "x".into(), ..Words::default() };
    assert!(matches!(
        Builder::new(&ledger, &[]).finish(ledger::time(1), words, None),
        Err(BuildError::Nothing)
    ));
    let none = [identity("network")];
    let mut builder = Builder::new(&ledger, &none);
    assert_eq!(builder.add(world.material(5), &Disclose::Everything, None).unwrap(), Added::NotForYou);
}

#[test]
fn words_and_sizes_are_bounded() {
    assert!(
        is_text("a b") && !is_text("") && !is_text(" a") && !is_text("a\nb") && !is_text(&"x".repeat(1001))
    );
    for text in [" a\nb\u{7f} ", &"é".repeat(2000), "x"] {
        assert!(is_text(&to_text(text)));
    }
    let big = vec![b' '; MAX_EVIDENCE_BYTES + 1];
    assert_eq!(Evidence::parse(&big).unwrap_err(), EvidenceError::TooLarge);
    let evidence = everything(&World::new(), None);
    let manifest = Manifest::parse(&evidence.manifest).unwrap();
    let words = Words { selection: "a\nrecords 9".into(), ..Words::default() };
    assert!(Manifest { words, ..manifest.clone() }.to_note(None).is_err());
    let words = Words { notes: vec!["n".into(); 101], ..manifest.words.clone() };
    assert!(Manifest { words, ..manifest }.to_note(None).is_err());
    // Reading it back gives the same file.
    assert!(Evidence::parse(evidence.to_json().as_bytes()).unwrap() == evidence);
}

#[test]
fn sentences_for_a_reader_who_knows_nothing() {
    let world = World::new();
    let report = check(&everything(&world, None)).unwrap();
    let text: Vec<String> = report.records.iter().flat_map(|r| r.sentences(&report.ledger)).collect();
    for expected in [
        "Record EVT-00000005 existed in the ledger ledger.example/audit at the latest on 2026-11-20 12:14:00 UTC",
        "The field /actor/user_id was \"dr-smith-4421\".",
        "Nothing is shown about 2 other fields in its section \"event\" and 1 other field in its section \"patient\".",
        "Nothing is shown of what it says.",
        "Its content was ordered to be erased by block 5 on",
        "The event was an empty object.",
        "The field /n/2 was 1e400.",
    ] {
        assert!(text.iter().any(|l| l.starts_with(expected)), "{expected}:\n{}", text.join("\n"));
    }
    let json = report.to_json();
    assert_eq!(json["records"][2]["shown"]["sections"][0]["shown"][0]["value"], "dr-smith-4421");
    assert_eq!(json["records"][1]["content"], "erased");
}

use prop::sample::Index;

/// What to do, at which two places, with which byte.
fn change() -> impl Strategy<Value = (u8, Index, Index, u8)> {
    (0u8..6, any::<Index>(), any::<Index>(), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage of any kind to the JSON: the file fails or says the same.
    #[test]
    fn damage_never_makes_another_statement(changes in prop::collection::vec(change(), 1..4)) {
        static WORLD: std::sync::OnceLock<(String, EvidenceReport)> = std::sync::OnceLock::new();
        let (json, honest) = WORLD.get_or_init(|| {
            let evidence = everything(&World::new(), None);
            (evidence.to_json().to_string(), check(&evidence).unwrap())
        });
        let mut bytes = json.clone().into_bytes();
        for (what, a, b, byte) in changes {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            match what {
                0 => bytes[a] = byte,
                1 => { bytes.remove(a); }
                2 => bytes.insert(a, byte),
                3 => bytes.swap(a, b),
                // A piece copied over another, as when values are exchanged.
                4 => {
                    let piece = bytes[a..(a + 44).min(bytes.len())].to_vec();
                    let end = (b + piece.len()).min(bytes.len());
                    bytes[b..end].copy_from_slice(&piece[..end - b]);
                }
                _ => bytes.truncate(a),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Ok(report) = verify(&bytes, &Trust::ledger(&ledger_key())) {
            prop_assert_eq!(&report, honest);
        }
    }
}

/// Every byte taken out in turn, of a file that nobody signed: its words too are not changed unnoticed.
#[test]
fn no_byte_can_be_taken_out() {
    let evidence = everything(&World::new(), None);
    let (json, honest) = (evidence.to_json().to_string(), check(&evidence).unwrap());
    for at in 0..json.len() {
        let mut bytes = json.clone().into_bytes();
        bytes.remove(at);
        if let Ok(report) = verify(&bytes, &Trust::ledger(&ledger_key())) {
            assert_eq!(report, honest, "byte {at}");
        }
    }
}
