//! Writes the seeds of the fuzz targets from the test vectors: `cargo run --example fuzz_seeds [DIR]`, into `fuzz/corpus` unless a
//! folder is named. Files already there stay, but for earlier seeds, whose names begin with `seed-`. The same code writes the same bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use rand_core::SeedableRng as _;
use sealtrail::api::bulk::{encode_batch, put_body};
use sealtrail::auditor::evidence::format::Evidence;
use sealtrail::auditor::fuzzing::{cursor_text, keep_events};
use sealtrail::auditor::record::Content;
use sealtrail::auditor::watch::cursor::Position;
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::grant::GrantBuilder;
use sealtrail::base::hash::Hash;
use sealtrail::base::random::Csprng;
use sealtrail::base::record::{LeafInputs, Record};
use sealtrail::base::secret::{Secret, SecretBytes};
use sealtrail::chain::authority::GrantStatement;
use sealtrail::chain::batch::commit;
use sealtrail::chain::block::Block;
use sealtrail::chain::grant::slots_hash;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::proof::Proof;
use sealtrail::chain::replay::State;
use sealtrail::chain::statement::Statement;
use sealtrail::config::settings::Settings;
use sealtrail::event::policy::Policy;
use sealtrail::event::prepare::Preparer;
use sealtrail::event::view::Summary;
use sealtrail::seal::grant::{GrantTerms, rewrap};
use sealtrail::seal::open::Opener;
use sealtrail::seal::reader_key::{Identity, parse_identity_file};
use sealtrail::store::fuzzing::{index_rows, pack};
use serde_json::{Value, json};

/// Longer artefacts make slow seeds and bring nothing that shorter ones do not.
const MAX_SEED: usize = 5000;

struct Seeds {
    dir: PathBuf,
    vectors: PathBuf,
}

impl Seeds {
    fn put(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) {
        let folder = self.dir.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        if bytes.as_ref().len() <= MAX_SEED {
            std::fs::write(folder.join(format!("seed-{}", name.replace('/', "-"))), bytes).unwrap();
        }
    }

    /// The cases of a group of `format/`, with their folders' names, and one of their files.
    fn cases(&self, group: &str, file: &str) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(self.vectors.join("format").join(group))
            .unwrap()
            .map(|e| e.unwrap())
            .filter_map(|e| {
                let name = format!("{group}-{}", e.file_name().to_string_lossy());
                Some((name, std::fs::read(e.path().join(file)).ok()?))
            })
            .collect();
        found.sort();
        found
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.vectors.join(path)).unwrap()).unwrap()
    }

    fn events(&self) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(self.vectors.join("event"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.file_name().unwrap().to_string_lossy().contains("--"))
            .map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap()))
            .collect();
        found.sort();
        found.push(("plain".into(), br#"{"actor":{"user_id":"alice"},"action":"read","resource":{"id":"p-1"},"result":"allowed","timestamp":"2026-11-20T12:00:00Z"}"#.to_vec()));
        found.push(("sections".into(), br#"{"patient":{"id":1},"subject":[{"name":"a"},{"name":"b"}],"a":[1,{"b":"10.0.0.1"}],"source":{"ip":"::1"}}"#.to_vec()));
        found
    }
}

/// Every few of a long list, so that the corpus stays small.
fn some(cases: Vec<(String, Vec<u8>)>, most: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let step = cases.len().div_ceil(most).max(1);
    cases.into_iter().step_by(step)
}

/// A part with its length in front, as targets with several parts want it.
fn part(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &Secret::from_slice(&Hash::of(&[name.as_bytes()]).0).unwrap()).unwrap()
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = std::env::args().nth(1).map_or_else(|| root.join("fuzz/corpus"), PathBuf::from);
    for target in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(target.path()).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with("seed-") {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    }
    let seeds = Seeds { dir, vectors: root.join("tests/vectors") };
    chain(&seeds);
    batches(&seeds);
    grants(&seeds);
    events(&seeds);
    messages(&seeds);
    files(&seeds);
    words(&seeds);
}

/// The text of a signed statement.
fn statement_text(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file).into_owned();
    Note::parse(&text).map_or(text, |note| note.text)
}

fn chain(s: &Seeds) {
    let ledger = s.json("chain/ledger.json");
    let mut state = State::new(ledger["ledger_key"].as_str().unwrap().split('+').next().unwrap());
    for (n, block) in ledger["blocks"].as_array().unwrap().iter().enumerate() {
        let text = block["text"].as_str().unwrap();
        let parsed = Block::parse(text).unwrap();
        s.put("block", &format!("ledger-{n}"), text);
        s.put("note", &format!("statement-{n}"), parsed.statement.to_string());
        s.put("statement", &format!("ledger-{n}"), &parsed.statement.text);
        state.apply(&parsed).unwrap();
        s.put("state", &format!("after-{n}"), state.encode());
    }
    let checkpoint = ledger["checkpoint"].as_str().unwrap();
    s.put("checkpoint", "ledger", checkpoint);
    s.put("last_signed", "one-slot", checkpoint);
    let two =
        [checkpoint.as_bytes(), &vec![0; 4096_usize.saturating_sub(checkpoint.len())], checkpoint.as_bytes()];
    s.put("last_signed", "two-slots", two.concat());
    let signed = key("ledger.example/audit").sign_bytes(&state.encode());
    s.put("last_signed", "state", [part(checkpoint.as_bytes()), signed.to_vec(), state.encode()].concat());
    for note in s.json("chain/notes.json")["notes"].as_array().unwrap() {
        s.put("note", note["name"].as_str().unwrap(), note["note"].as_str().unwrap());
    }
    for (name, text) in
        s.cases("statement", "statement").into_iter().chain(some(s.cases("statement-fail", "statement"), 10))
    {
        s.put("statement", &name, statement_text(&text));
        s.put("note", &name, text);
    }
    for (name, file) in some(s.cases("proof", "proof"), 8).chain(some(s.cases("proof-fail", "proof"), 12)) {
        s.put("proof", &name, &file);
        let Ok(proof) = Proof::parse(&file) else { continue };
        s.put("tlog_proof", &name, &proof.log_proof);
        s.put("block", &name, &proof.block);
        if let Some((_, signed)) = proof.log_proof.split_once("\n\n") {
            s.put("checkpoint", &name, signed);
        }
    }
    let witness = key("witness.example/w").cosigner();
    let log = key("ledger.example/audit").verifier();
    let policy = format!("# two of two\nlog {log}\nwitness w {witness}\ngroup g any w\nquorum g\n");
    s.put("policy", "group", [part(policy.as_bytes()), checkpoint.as_bytes().to_vec()].concat());
    s.put("policy", "none", [part(b"quorum none\n"), checkpoint.as_bytes().to_vec()].concat());
    s.put("key", "vkey", log.to_string());
    s.put("key", "witness", witness.to_string());
    s.put("key", "signing-key", key("ledger.example/audit").to_text().as_bytes());
    for reader in ["auditor", "person"] {
        let file = std::fs::read_to_string(s.vectors.join(format!("format/keys/{reader}.identity"))).unwrap();
        let identity = parse_identity_file(&file).unwrap().remove(0);
        s.put("key", &format!("{reader}-recipient"), identity.recipient().to_string());
        s.put("key", &format!("{reader}-identity"), identity.to_text().as_bytes());
        s.put("key", &format!("{reader}-file"), file);
    }
    for (n, path) in ["0/000", "1/x001/234.p/17", "EVT-00000042", "63/x018/x446/x744/x073/x709/x551/615"]
        .iter()
        .enumerate()
    {
        s.put("tile", &format!("path-{n}"), [part(path.as_bytes()), vec![n as u8; 64]].concat());
    }
    let out_of_range = s.json("chain/index_out_of_range.json");
    for (n, case) in out_of_range["cases"].as_array().unwrap().iter().enumerate().take(3) {
        let number = |name: &str| case[name].as_u64().unwrap().to_be_bytes().to_vec();
        let path = case["path"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|h| Hash::from_base64(h.as_str()?).or(Hash::from_hex(h.as_str()?)));
        s.put(
            "merkle",
            &format!("case-{n}"),
            [number("claimed"), number("size"), path.flat_map(|h| h.0).collect()].concat(),
        );
    }
    s.put(
        "merkle",
        "log",
        [300u64.to_be_bytes().to_vec(), 70_000u64.to_be_bytes().to_vec(), vec![9; 256]].concat(),
    );
}

fn leaf_inputs(body: &[u8]) -> Vec<u8> {
    commit(body).map(|c| c.leaf_inputs.iter().flat_map(LeafInputs::to_bytes).collect()).unwrap_or_default()
}

fn batches(s: &Seeds) {
    let bodies = some(s.cases("open", "body"), 12)
        .chain(s.cases("block", "body"))
        .chain(some(s.cases("open-fail", "body"), 10));
    for (name, body) in bodies.chain(some(s.cases("block-fail", "body"), 8)) {
        s.put("body", &name, [&[3][..], &body].concat());
        s.put("open", &name, &body);
        let inputs = leaf_inputs(&body);
        s.put("stored", &format!("{name}-body"), [vec![1], part(&inputs), body.clone()].concat());
        if let Ok(packed) = pack(&body, &inputs) {
            s.put("stored", &name, [vec![200], part(&inputs), packed].concat());
        }
        let Ok(decoded) = Body::decode(&body) else { continue };
        s.put("header", &name, decoded.header);
        for record in decoded.records().take(1) {
            s.put("record", &name, record);
        }
        let mut bulk = Vec::new();
        put_body(7, &body, &mut bulk);
        put_body(8, b"", &mut bulk);
        s.put("wire", &name, [&[0][..], &bulk].concat());
    }
    let mut erased = Vec::new();
    let zero = Hash::ZERO;
    Record::encode_erased(
        &LeafInputs { ciphertext_hash: zero, envelope_hash: zero, disclosure_root: zero },
        &mut erased,
    );
    s.put("record", "erased", &erased);
    s.put("record", "leaf-inputs", &erased[1..]);
    for (n, (_, statement)) in s.cases("statement", "statement").into_iter().enumerate().take(2) {
        let text = String::from_utf8(statement).unwrap();
        s.put("wire", &format!("upload-{n}"), [vec![0], encode_batch(&text, b"body")].concat());
        s.put("wire", &format!("bundle-{n}"), [vec![2], part(text.as_bytes()), part(b"x")].concat());
    }
    for (name, grouped) in [("tags", true), ("ciphertexts", false)] {
        let entry = |n: u128| (n / if grouped { 40 } else { 1 } * 0x0100_0000_0001) << 64 | (5 + n % 250);
        let mut entries: Vec<u128> = (0..300).map(entry).collect();
        entries.sort_unstable();
        let row = index_rows(grouped, 5..300, &entries).remove(0);
        let front =
            [&[u8::from(grouped)][..], &(5u64 << 24).to_be_bytes(), &(295u64 << 24).to_be_bytes()].concat();
        s.put("index_row", name, [front, row[..row.len().min(2200)].to_vec()].concat());
    }
}

/// Grants need readers of the batch: the batch of a vector, re-wrapped by one of its readers for another.
fn grants(s: &Seeds) {
    let identity = |name: &str| -> Identity {
        let file = std::fs::read_to_string(s.vectors.join(format!("format/keys/{name}.identity"))).unwrap();
        parse_identity_file(&file).unwrap().remove(0)
    };
    let (from, to) = (identity("auditor"), identity("person"));
    let mut rng = Csprng::from_seed([7; 32]);
    for case in ["simple", "positions"] {
        let body = std::fs::read(s.vectors.join(format!("format/open/{case}/body"))).unwrap();
        let decoded = Body::decode(&body).unwrap();
        let header = Header::decode(decoded.header).unwrap();
        let opener = Opener::new(&from, &header).unwrap();
        let terms = GrantTerms {
            from: from.recipient(),
            to: to.recipient(),
            first_record: 0,
            sections: None,
            search: true,
        };
        let records: Vec<&[u8]> = decoded.records().collect();
        let made = rewrap(Some(&opener), &header, &terms, (3, 0), records.iter().copied(), &mut rng).unwrap();
        let mut grant = GrantBuilder::default();
        grant.push(&made.head, &made.entries);
        let grant = grant.finish();
        s.put("grant", case, &grant);
        s.put("granted", case, [part(&grant), body.clone()].concat());
        let file = std::fs::read(s.vectors.join("format/statement/grant/statement")).unwrap();
        let Ok(Statement::Grant(statement)) = Statement::parse(&statement_text(&file)) else {
            panic!("the vector is a grant");
        };
        let mut range = statement.range;
        (range.first, range.last) = (0, records.len() as u64 - 1);
        let statement = GrantStatement { slots_hash: slots_hash(&grant).unwrap(), range, ..statement };
        let text = Statement::Grant(statement).to_text();
        let long = |b: &[u8]| [&(b.len() as u32).to_be_bytes()[..], b].concat();
        s.put(
            "grant_file",
            case,
            [b"STGF1".to_vec(), long(text.as_bytes()), long(&grant), vec![0; 4]].concat(),
        );
    }
    for (name, case) in
        s.cases("session", "case.json").into_iter().chain(some(s.cases("session-fail", "case.json"), 3))
    {
        let case: Value = serde_json::from_slice(&case).unwrap();
        let bytes =
            |member: &str| sealtrail::base::hash::from_base64(case[member].as_str().unwrap()).unwrap();
        s.put("sealed", &name, [part(&bytes("enc")), bytes("ciphertext")].concat());
    }
    for form in ["armored", "binary"] {
        let file = s.vectors.join(format!("crypto/age-passphrase-{form}.age"));
        s.put("protected", form, std::fs::read(file).unwrap());
    }
}

fn events(s: &Seeds) {
    let mut preparer = Preparer::new(Policy::default().compile().unwrap().into());
    for (name, event) in s.events() {
        let event = if event.len() > MAX_SEED { continue } else { event };
        assert!(preparer.prepare(&event).is_ok() && Summary::of(&event).is_ok());
        for target in ["event_json", "event_sections", "facts"] {
            s.put(target, &name, &event);
        }
        s.put("event_split", &name, [&[0][..], b"[", &event, b" , {}]"].concat());
    }
    for (name, event) in some(s.cases("open", "event"), 12) {
        s.put("event_json", &name, &event);
        s.put("event_sections", &name, &event);
    }
    s.put("events_file", "lines", b"{\"a\":1}\n\n{\"b\":[2]}\n");
    s.put("events_file", "array", b"[{\"a\":1},\n {\"b\":2}]");
    s.put("event_split", "lines", b"\x01{\"a\":1}\r\n\n  {\"b\":[2]}\n");
    s.put("event_split", "pretty", b"\x02{\n \"a\": 1\n}\n");
    s.put("facts", "lines-of-sections", b"{\"/a/0\":1,\"/a/7\":{\"b\":\"x\"},\"/actor/user_id\":\"u\"}\n{\"/timestamp\":\"2026-01-01T00:00:00Z\"}");
    let frame = br#"{"patient":{"$sealed":"person"},"a":[{"$sealed":"person"},{"b":{"$sealed":"network"}}]}"#;
    let (person, network) = (br#"{"/patient":{"id":1},"/a/0":true}"#, br#"{"/a/1/b":"10.0.0.1"}"#);
    s.put("event_merge", "three", [part(frame), part(person), network.to_vec()].concat());
    s.put("event_merge", "nothing-moved", [part(b"{\"x\":1}"), part(b"{}"), b"{}".to_vec()].concat());
    for (n, text) in [
        "2026-11-20T23:40:11.123Z",
        "2026-02-29",
        "=1+1",
        "Straße\u{202e}\u{7}",
        "Patient/123/_history/4",
        "AAEC",
        "00ff",
    ]
    .iter()
    .enumerate()
    {
        s.put("text", &format!("text-{n}"), text);
    }
}

fn messages(s: &Seeds) {
    let grant = json!({"block": 3, "first_record": 0, "last_record": 7, "from": "age1x", "part": "AAAA"});
    let receipt = json!({"id": "EVT-00000001", "record": 1, "block": 2, "receipt": "/v1/proofs/1"});
    for (name, message) in [
        ("receipts", json!({"block": 1, "count": 1, "first_record": 1, "events": [receipt]})),
        ("receipt", receipt.clone()),
        ("statement-receipt", json!({"block": 1, "first_record": 1, "count": 2, "repeated": false})),
        (
            "ledger",
            json!({"ledger": "a/b", "key": "k", "blocks": 1, "records": 2, "roster_block": 0, "version": "1", "authority": {"next_sequence": 1, "previous": "AA"}}),
        ),
        ("grants", json!({"grants": [grant]})),
        ("writer", json!({"writer": "w", "next_sequence": 1, "previous": "AA"})),
        ("session", json!({"recipient": "age1x"})),
        ("challenge", json!({"enc": "AA", "ciphertext": "AA", "expires": "2026-11-20T23:40:11.123Z"})),
        (
            "record",
            json!({"record": 1, "block": 2, "position": 0, "header": "AA", "bytes": "AA", "grants": [grant], "erased_by": 4}),
        ),
        ("records-request", json!({"records": [1, 2, 3]})),
        (
            "records",
            json!({"headers": {"2": "AA"}, "records": [{"record": 1, "block": 2, "bytes": "AA", "proof": "{}", "grants": [grant]}]}),
        ),
        ("search", json!({"all": [["00112233445566aa"], []], "from": 0, "limit": 10})),
        ("found", json!({"records": [1, 5], "next": 9})),
        (
            "epochs",
            json!({"epochs": [{"block": 1, "header": "AA"}], "granted": [{"block": 1, "header": "AA", "grant": grant}], "next": 4}),
        ),
        ("health", json!({"status": "ok", "last_durable_append_seconds": 0.5, "blocks": 1, "records": 2})),
        (
            "problem",
            json!({"type": "urn:sealtrail:problem:not-found", "title": "t", "status": 404, "detail": "d", "code": "not-found"}),
        ),
    ] {
        s.put("messages", name, message.to_string());
    }
    let request = |path: &str, query: &str, kind: &str, who: &str, tag: &str| {
        [
            part(path.as_bytes()),
            part(query.as_bytes()),
            part(kind.as_bytes()),
            part(who.as_bytes()),
            tag.as_bytes().to_vec(),
        ]
        .concat()
    };
    s.put(
        "request",
        "proof",
        request(
            "EVT-00000042",
            "ciphertext_sha256=00ff",
            "application/json; charset=utf-8",
            "Bearer abc",
            "00112233445566aa",
        ),
    );
    s.put("request", "bodies", request("42", "from=1&count=%32", "application/x-ndjson", "bearer  AAAA", ""));
    s.put(
        "request",
        "writer",
        request("x", "name=a%2Fb+c&to=age1x&from=18446744073709551615", "text/json", "Basic x", "g"),
    );
}

fn files(s: &Seeds) {
    for (name, file) in
        s.cases("evidence", "evidence").into_iter().chain(some(s.cases("evidence-fail", "evidence"), 16))
    {
        s.put("evidence", &name, &file);
        if let Ok(evidence) = Evidence::parse(&file) {
            s.put("manifest", &name, &evidence.manifest);
        }
    }
    let event = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let kept = [
        Content::Opened { event: event("{\"a\":1}"), withheld: vec!["person".into()] },
        Content::NotForYou,
        Content::Unreadable { why: "no event".into() },
        Content::Erased { by_block: None },
    ];
    s.put("kept", "each-kind", keep_events(&kept));
    s.put("kept", "none", keep_events(&[]));
    let position = Position {
        next_block: 4,
        next_record: 8,
        last_hash: Hash::of(&[b"x"]),
        began: 1,
        ..Position::default()
    };
    let text = cursor_text(&position, "ledger.example/audit").unwrap();
    s.put("cursor", "no-writers", &text);
    let writer = r#""writers": [{"name":"a/w","block":3,"committed":"2026-11-20T23:40:11.123Z","joined":true,"told":["silent"]}]"#;
    s.put("cursor", "writer", text.replace("\"writers\": []", writer));
}

fn words(s: &Seeds) {
    s.put("settings", "template", Settings::to_toml_template("ledger.example/audit"));
    s.put("settings", "sections", "ledger = \"a.example/l\"\n[gateway]\nwriter = \"a.example/w\"\n[[section]]\nname = \"d\"\nreaders = [\"*\"]\n\
        [[section]]\nname = \"p\"\nreaders = [\"alice\"]\npointers = [\"/patient\", \"/a/*/b\"]\n[tags]\nwho = [\"/actor\"]\n");
    s.put("settings", "writer", "ledger = \"a.example/l\"\nledger_key = \"k\"\nkey = \"k\"\n[[reader]]\nname = \"alice\"\nrecipient = \"age1x\"\n");
    let rules = sealtrail::auditor::watch::rules::DEFAULT_RULES;
    for (n, rule) in rules.split("[[rule]]").enumerate().skip(1) {
        s.put("rules", &format!("default-{n}"), format!("[[rule]]{rule}"));
    }
    for (n, query) in [
        "SELECT count(*) FROM events WHERE time > now() - INTERVAL '30 days' GROUP BY actor;",
        "SELECT e.body::json #>> '{a,0,b}' FROM e AS \"x\" WHERE EXTRACT(hour FROM t AT TIME ZONE 'UTC') > 18",
        "-- c\nSELECT date_trunc('day', TIMESTAMP '2026-01-01') + INTERVAL 2 HOUR /* x */, x::double precision, (a.b(c))::int",
        "30 days 2h",
    ].iter().enumerate() {
        s.put("sql", &format!("query-{n}"), query);
    }
    for (n, (zone, days, text)) in [
        ("Europe/Berlin", "mon-fri", "2026-03-29"),
        ("+01:00", "all", "07:00-19:00"),
        ("UTC", "sat,sun", "2026-01-01T00:00:00.5Z"),
        ("Z", "fri-mon", "EVT-00000001..9,11,12"),
        ("", "", "/a/*/b~1"),
        ("", "", "udp://[::1]:514"),
        ("", "", "90s"),
    ]
    .iter()
    .enumerate()
    {
        s.put(
            "arguments",
            &format!("words-{n}"),
            [part(zone.as_bytes()), part(days.as_bytes()), text.as_bytes().to_vec()].concat(),
        );
    }
}
