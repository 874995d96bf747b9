//! Evidence files, honest ones and ones with one thing wrong.

use sealtrail::auditor::evidence::build::{Builder, Disclose, LogEntry, Material};
use sealtrail::auditor::evidence::format::{Evidence, SectionEvidence};
use sealtrail::auditor::evidence::manifest::{Manifest, Words};
use sealtrail::base::hash::Hash;
use sealtrail::base::record::Record;
use sealtrail::chain::batch::leaf_inputs_of;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::statement::RecordRange;
use sealtrail::seal::reader_key::Identity;

use crate::batch::{Batch, PLAIN, Section, tag_fields};
use crate::kit::{LEDGER, identity, key};
use crate::ledger::{Ledger, time};

/// Signs manifests.
pub const SIGNER: &str = "auditor.example/alice";
/// A section all may read and one for `person` alone.
pub const SPLIT: &[Section<'_>] =
    &[("event", &["auditor", "person"], &[]), ("patient", &["person"], &["/resource/id", "/entity/*/what"])];
/// Events of the batch in two sections. The first two say the same of the same patient.
pub const EVENTS: [&str; 5] = [
    r#"{"actor":{"user_id":"dr-smith-4421","role":"physician"},"action":"read","resource":{"type":"patient_record","id":"PAT-2026-00842"},"result":"allowed"}"#,
    r#"{"actor":{"user_id":"dr-smith-4421","role":"physician"},"action":"read","resource":{"type":"patient_record","id":"PAT-2026-00842"},"result":"allowed"}"#,
    r#"{"entity":[{"what":{"reference":"Patient/1"}},{"what":"x"}],"n":[1.50,-0,1e400,true,false,null,{},[]],"é~/":"\u0041\n\ud83d\ude00"}"#,
    "{}",
    r#"{ "resource" : {"id":{"$sealed":"patient"}}, "pad":"                    " }"#,
];

/// A ledger with two batches, an erasure and a cosigned checkpoint.
pub struct World {
    /// The ledger.
    pub ledger: Ledger,
    /// Height of the batch in one section: records 0 to 4, of which record 2 is erased.
    pub plain: u64,
    /// Height of the batch in two sections: records 5 to 9.
    pub split: u64,
    /// Height of the order.
    pub order: u64,
    /// The checkpoint, cosigned by one witness.
    pub checkpoint: Note,
}

impl World {
    /// Makes it; always the same bytes.
    pub fn new() -> World {
        let mut ledger = Ledger::new();
        let mut batch = Batch::new(ledger.next_sequence(), PLAIN, Vec::new());
        for n in 0..5 {
            batch.event(format!("{{\"n\":{n},\"who\":\"dr-{n}\",\"what\":\"read\"}}"));
        }
        let plain = ledger.push_body(batch.body());
        ledger.fill(4);
        let mut batch =
            Batch::new(ledger.next_sequence(), SPLIT, tag_fields(&[("actor", &["/actor/user_id"])]));
        for event in EVENTS {
            batch.event(event);
        }
        let split = ledger.push_body(batch.body());
        let order = ledger.erase(&[RecordRange { first: 2, last: 2 }]);
        ledger.fill(9);
        let mut checkpoint = ledger.checkpoint();
        checkpoint.cosign(&key("witness.example/w1"), 1_795_176_600);
        World { ledger, plain, split, order, checkpoint }
    }

    /// The order to erase record 2.
    pub fn order(&self) -> LogEntry {
        self.ledger.entry(self.order, &self.checkpoint)
    }

    /// What evidence about record `n` is made of.
    pub fn material(&self, n: u64) -> Material {
        let (height, position) = if n < 5 { (self.plain, n) } else { (self.split, n - 5) };
        let mut material = self.ledger.material(height, position as usize, &self.checkpoint);
        if n == 2
            && let Some(content) = &mut material.content
        {
            let inputs = leaf_inputs_of(&content.record).unwrap();
            content.record.clear();
            Record::encode_erased(&inputs, &mut content.record);
            material.erasure = Some(self.order());
        }
        material
    }

    /// Evidence about some records, as seen by some readers.
    pub fn evidence(
        &self,
        records: &[(u64, Disclose)],
        readers: &[&str],
        sign: Option<&SigningKey>,
    ) -> Evidence {
        let identities: Vec<Identity> = readers.iter().map(|r| identity(r)).collect();
        let ledger = key(LEDGER).verifier();
        let mut builder = Builder::new(&ledger, &identities);
        for (n, disclose) in records {
            let note = (*n == 9).then(|| "row 1 of the report".to_owned());
            builder.add(self.material(*n), disclose, note).unwrap();
        }
        let words = Words {
            selection: "as asked for".to_owned(),
            title: Some("Accesses — Zugriffe".to_owned()),
            notes: vec!["first".to_owned(), "second".to_owned()],
        };
        builder.finish(time(60), words, sign).unwrap()
    }
}

/// Single fields.
pub fn fields(pointers: &[&str]) -> Disclose {
    Disclose::Fields(pointers.iter().map(|p| (*p).to_owned()).collect())
}

/// Makes the manifest afresh after a change, as anybody can who has no signer to answer to.
pub fn reseal(mut evidence: Evidence) -> Evidence {
    let old = Manifest::parse(&evidence.manifest).unwrap();
    let manifest = Manifest {
        records: evidence.records.len() as u64,
        contents: evidence.contents_hash(),
        signer: None,
        ..old
    };
    evidence.manifest = manifest.to_note(None).unwrap();
    evidence
}

/// A change, and the family of the refusal.
pub type Change = (&'static str, &'static str, fn(&mut Evidence));

fn parts(
    evidence: &mut Evidence,
    record: usize,
) -> &mut Vec<sealtrail::auditor::evidence::format::ShownField> {
    match &mut evidence.records[record].opened.as_mut().unwrap()[0] {
        SectionEvidence::Parts { shown, .. } => shown,
        SectionEvidence::Whole { .. } => panic!("a whole section"),
    }
}

fn payload(evidence: &mut Evidence, record: usize) -> (&mut String, &mut [u8; 32]) {
    match &mut evidence.records[record].opened.as_mut().unwrap()[0] {
        SectionEvidence::Whole { payload, salt_key } => (payload, salt_key),
        SectionEvidence::Parts { .. } => panic!("a section in parts"),
    }
}

/// The file that [`CHANGES`] change: records 1 and 2 by existence and erasure, 5 and 6 by fields, 7 and 8 whole.
pub fn everything(world: &World, sign: Option<&SigningKey>) -> Evidence {
    let actor = || fields(&["/actor", "/result"]);
    let records = [
        (1, Disclose::Nothing),
        (2, Disclose::Everything),
        (5, actor()),
        (6, actor()),
        (7, Disclose::Everything),
        (8, Disclose::Everything),
    ];
    world.evidence(&records, &["auditor"], sign)
}

/// Everything that must be found although the manifest is made afresh. Blocks of [`everything`]: 0 plain, 1 split, 2 order.
pub const CHANGES: &[Change] = &[
    ("records-swapped", "order", |e| e.records.swap(0, 1)),
    ("record-twice", "order", |e| {
        let again = e.records[0].clone();
        e.records.insert(0, again);
    }),
    ("blocks-swapped", "order", |e| {
        e.blocks.swap(0, 1);
        e.records.iter_mut().for_each(|r| r.block = 1 - r.block);
    }),
    ("block-not-needed", "order", |e| drop(e.records.remove(1))),
    ("another-record-number", "inclusion", |e| e.records[0].record = 0),
    ("record-of-another-block", "range", |e| e.records[0].block = 1),
    ("no-such-block", "range", |e| e.records[0].block = 7),
    ("record-in-the-order", "range", |e| e.records[0].block = 2),
    ("leaf-of-another-record", "inclusion", |e| e.records[2].leaf_inputs = e.records[3].leaf_inputs),
    ("ciphertext-hash-changed", "inclusion", |e| e.records[0].leaf_inputs.ciphertext_hash.0[5] ^= 1),
    ("record-path-changed", "inclusion", |e| e.records[0].record_path[0].0[0] ^= 1),
    ("record-path-cut", "inclusion", |e| _ = e.records[0].record_path.pop()),
    ("log-path-changed", "inclusion", |e| e.blocks[1].log_path[1].0[31] ^= 1),
    ("log-path-of-another-block", "inclusion", |e| e.blocks[1].log_path = e.blocks[0].log_path.clone()),
    ("not-erased", "erased", |e| e.records[0].erased = Some(2)),
    ("erased-by-records", "range", |e| e.records[0].erased = Some(1)),
    ("erased-and-opened", "format", |e| e.records[2].erased = Some(2)),
    ("header-missing", "format", |e| e.blocks[1].header = None),
    ("header-changed", "header", |e| e.blocks[1].header.as_mut().unwrap()[60] ^= 1),
    ("header-not-needed", "format", |e| {
        e.records.iter_mut().for_each(|r| r.opened = None);
    }),
    ("value-changed", "disclosure", |e| *parts(e, 2)[0].value = "dr-smyth-4421".into()),
    ("value-of-another-kind", "disclosure", |e| parts(e, 2)[0].kind = b'n'),
    ("pointer-changed", "disclosure", |e| parts(e, 2)[0].pointer = "/actor/patient".into()),
    ("salt-changed", "disclosure", |e| parts(e, 2)[0].salt[3] ^= 1),
    ("index-changed", "disclosure", |e| parts(e, 2)[2].index = 3),
    ("path-cut", "disclosure", |e| _ = parts(e, 2)[0].path.pop()),
    ("path-longer", "disclosure", |e| parts(e, 2)[0].path.push(Hash::ZERO)),
    ("fields-swapped", "order", |e| parts(e, 2).swap(0, 1)),
    ("field-twice", "order", |e| {
        let again = parts(e, 2)[1].clone();
        parts(e, 2).push(again);
    }),
    ("field-of-another-record", "disclosure", |e| {
        // The same field with the same value: only salt and path tell.
        let other = parts(e, 3)[0].clone();
        parts(e, 2)[0] = other;
    }),
    ("sections-of-another-record", "disclosure", |e| e.records[2].opened = e.records[3].opened.clone()),
    ("sections-swapped", "disclosure", |e| e.records[2].opened.as_mut().unwrap().swap(0, 1)),
    ("section-missing", "format", |e| _ = e.records[2].opened.as_mut().unwrap().pop()),
    ("nothing-shown", "format", |e| parts(e, 2).clear()),
    ("root-of-a-hidden-section", "disclosure", |e| {
        if let SectionEvidence::Parts { root, .. } = &mut e.records[2].opened.as_mut().unwrap()[1] {
            root.root.0[0] ^= 1;
        }
    }),
    ("more-hidden-fields", "disclosure", |e| {
        if let SectionEvidence::Parts { root, .. } = &mut e.records[2].opened.as_mut().unwrap()[1] {
            root.fields += 1;
        }
    }),
    ("too-many-fields", "format", |e| {
        if let SectionEvidence::Parts { root, .. } = &mut e.records[2].opened.as_mut().unwrap()[1] {
            root.fields = 4097;
        }
    }),
    ("event-changed", "disclosure", |e| {
        let (payload, _) = payload(e, 4);
        *payload = payload.replace("1.50", "1.5");
    }),
    ("event-with-a-field-more", "disclosure", |e| {
        let (payload, _) = payload(e, 4);
        *payload = payload.replace("true,", "true,true,");
    }),
    ("event-no-json", "payload", |e| _ = payload(e, 4).0.pop()),
    ("event-with-space", "payload", |e| payload(e, 4).0.push(' ')),
    ("event-of-another-record", "disclosure", |e| {
        let (text, key) = payload(e, 5);
        let (text, key) = (text.clone(), *key);
        let (payload, salt_key) = payload(e, 4);
        (*payload, *salt_key) = (text, key);
    }),
    ("salt-key-changed", "disclosure", |e| payload(e, 4).1[0] ^= 1),
];

/// Writes the cases.
#[allow(dead_code)]
pub fn write(cases: &crate::kit::Cases) {
    let world = World::new();
    let signer = key(SIGNER);
    let good = |name: &str, evidence: &Evidence| {
        cases
            .case(&format!("evidence/{name}"), "evidence")
            .file("evidence", evidence.to_json().as_str())
            .key("vkey", "ledger.vkey")
    };
    let all = |n: u64| (n, Disclose::Everything);
    let none = |n: u64| (n, Disclose::Nothing);
    good("existence", &world.evidence(&[none(0)], &[], None)).ok();
    good(
        "existence-of-many",
        &world.evidence(&(0..10).filter(|n| *n != 2).map(none).collect::<Vec<_>>(), &[], None),
    )
    .ok();
    good("whole", &world.evidence(&[all(3)], &["auditor"], None)).key("writer_vkey", "writer.vkey").ok();
    good("whole-two-sections", &world.evidence(&(5..10).map(all).collect::<Vec<_>>(), &["person"], None))
        .ok();
    good("one-section-withheld", &world.evidence(&(5..10).map(all).collect::<Vec<_>>(), &["auditor"], None))
        .ok();
    good("erased", &world.evidence(&[none(2)], &[], None)).note("a record that is gone, and the order").ok();
    good("fields", &world.evidence(&[(0, fields(&["/who", "/n"]))], &["auditor"], None)).ok();
    let kinds = fields(&["/n", "/entity", "/é~0~1"]);
    good("fields-of-two-sections", &world.evidence(&[(7, kinds)], &["person"], None))
        .note("every kind of value")
        .ok();
    good("mixed", &everything(&world, None)).ok();
    let signed = everything(&world, Some(&signer));
    let signed_by = |case: crate::kit::Case| case.file("signer_vkey", signer.verifier().as_str());
    signed_by(good("signed", &signed)).ok();
    good("signed-not-asked-for", &signed).ok();
    let json: serde_json::Value = serde_json::from_str(&signed.to_json()).unwrap();
    cases
        .case("evidence/members-in-another-order", "evidence")
        .file("evidence", serde_json::to_string_pretty(&json).unwrap())
        .key("vkey", "ledger.vkey")
        .note("alphabetical, with white space")
        .ok();

    let bad_text = |name: &str, text: &str| {
        cases
            .case(&format!("evidence-fail/{name}"), "evidence")
            .file("evidence", text)
            .key("vkey", "ledger.vkey")
    };
    let bad = |name: &str, evidence: &Evidence| bad_text(name, &evidence.to_json());
    for (name, family, change) in CHANGES {
        let mut evidence = everything(&world, None);
        change(&mut evidence);
        bad(name, &reseal(evidence)).note("the manifest is made afresh").fail(family);
    }
    signed_by(bad("unsigned", &everything(&world, None))).fail("signature");
    bad("signed-by-another", &signed)
        .file("signer_vkey", key("auditor.example/eve").verifier().as_str())
        .fail("signature");
    let mut cut = signed.clone();
    cut.manifest = Note::parse(&cut.manifest).unwrap().text;
    bad("signature-cut-off", &cut).fail("signature");
    let mut changed = signed.clone();
    changed.manifest = changed.manifest.replace("Accesses", "Access");
    bad("manifest-changed", &changed).note("the text hash does not fit").fail("format");
    let mut less = signed.clone();
    less.records.pop();
    bad("record-taken-out", &less).fail("manifest");
    let mut note = signed.clone();
    note.records[0].note = Some("another word".into());
    bad("note-changed", &note).note("no proof covers it, the manifest does").fail("manifest");
    let mut recombined = world.evidence(&[none(0), none(1)], &[], Some(&signer));
    recombined.records = world.evidence(&[none(0), none(3)], &[], Some(&signer)).records;
    bad("two-files-recombined", &recombined).fail("manifest");
    let mut later = World::new();
    later.ledger.fill(12);
    later.checkpoint = later.ledger.checkpoint();
    let mut newer = later.evidence(&[none(0)], &[], None);
    newer.manifest = world.evidence(&[none(0)], &[], None).manifest;
    bad("another-checkpoint", &newer).note("the manifest of an earlier one").fail("manifest");
    bad("another-writer", &signed)
        .file("writer_vkey", key("ledger.example/writers/lab").verifier().as_str())
        .fail("signature");
    cases
        .case("evidence-fail/another-ledger", "evidence")
        .file("evidence", signed.to_json().as_str())
        .file("vkey", key("other.example").verifier().as_str())
        .fail("origin");

    let text = everything(&world, None).to_json();
    for (name, from, to) in [
        ("cut-short", "]}\n", ""),
        ("format", "evidence/v1", "evidence/v2"),
        ("id", "EVT-00000001", "EVT-0000001"),
        ("null-missing", "\"erased\":null,", ""),
        ("null-for-a-section-member", "\"shown\":[]", "\"shown\":null"),
        ("member-twice", "\"block\":0,", "\"block\":0,\"block\":0,"),
        ("member-unknown", "\"block\":0,", "\"block\":0,\"blocks\":0,"),
        ("number-as-text", "\"block\":0,", "\"block\":\"0\","),
        ("number-with-fraction", "\"block\":0,", "\"block\":0.0,"),
        ("negative-number", "\"block\":0,", "\"block\":-0,"),
        ("unknown-kind", "\"kind\":\"s\"", "\"kind\":\"u\""),
        ("value-where-none-belongs", "\"kind\":\"s\"", "\"kind\":\"t\""),
        ("both-kinds-of-section", "\"fields\":", "\"payload\":\"{}\",\"fields\":"),
        ("words-with-space-before", "selection as", "selection  as"),
        ("manifest-version", "evidence-manifest/v1", "evidence-manifest/v2"),
        ("manifest-line-missing", "\\nselection as asked for", ""),
        ("manifest-line-twice", "\\ntitle", "\\ntitle x\\ntitle"),
        ("upper-case-hexadecimal", "\"envelope_hash\":\"", "\"envelope_hash\":\"A"),
    ] {
        assert!(text.contains(from), "no {from}");
        bad_text(name, &text.replacen(from, to, 1)).fail("format");
    }
    // An array of the values in order is no object.
    let start = text.find("{\"text\":").unwrap();
    let end = start + text[start..].find("},\n").unwrap();
    let block: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text[start..=end]).unwrap();
    let values = serde_json::json!([block["text"], block["log_path"], block["header"]]).to_string();
    bad_text("array-for-an-object", &format!("{}{values}{}", &text[..start], &text[end + 1..]))
        .fail("format");
}
