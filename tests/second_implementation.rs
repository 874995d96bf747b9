//! Two implementations against each other: this one and the Python reader of `tests/second_reader`, which was
//! written from `docs/FORMAT.md` alone. Both run the committed vectors, and both open what is sealed afresh.
//!
//! Without `python3` the parts that need it say so loudly and pass; with `SEALTRAIL_REQUIRE_ALL=1` they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use sealtrail::auditor::evidence::build::{Builder, Disclose, Material, RawRecord};
use sealtrail::auditor::evidence::manifest::{Words, is_text};
use sealtrail::auditor::evidence::report::ContentReport;
use sealtrail::auditor::evidence::verify::{Trust, verify as verify_evidence};
use sealtrail::auditor::open::open_bytes;
use sealtrail::base::batch::Body;
use sealtrail::base::hash::Hash;
use sealtrail::base::random::csprng;
use sealtrail::chain::batch::{commit, record_leaf};
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::key::{SigningKey, VerifierKey};
use sealtrail::chain::log::{Log, TileId, TileReader};
use sealtrail::chain::proof::Proof;
use sealtrail::chain::replay::{Head, State};
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::Statement;
use sealtrail::chain::tlog_proof::TlogProof;
use sealtrail::chain::tree;
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{Policy, ReaderChoice, SectionPolicy, TagField};
use sealtrail::seal::kem::challenge_seal;
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Purpose, Writer, WriterOptions};

#[path = "../examples/make_vectors/batch.rs"]
#[allow(dead_code)]
mod batch;
#[path = "../examples/make_vectors/kit.rs"]
#[allow(dead_code)]
mod kit;
mod second_support;

use kit::{Cases, LEDGER, WRITER};
use second_support::{Case, case_folders};

fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// How many batches are sealed afresh in every run.
const FRESH_BATCHES: usize = 24;
/// How many committed cases are damaged in every run.
const DAMAGED_CASES: usize = 300;
/// How many damaged payloads are sealed in every run.
const DAMAGED_PAYLOADS: usize = 200;

/// Runs a program of the second reader; false, and a loud line, if there is no Python.
fn python(program: &str, argument: Option<&Path>) -> bool {
    let script = tests_dir().join("second_reader").join(program);
    // -B: leave no compiled files in the source tree.
    match Command::new("python3").arg("-B").arg(script).args(argument).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            let wrong: Vec<&str> = text.lines().filter(|l| !l.starts_with("pass")).collect();
            assert!(output.status.success(), "{program}:\n{}", wrong.join("\n"));
            println!("{program}: {}", text.lines().last().unwrap_or_default());
            true
        }
        Err(error) => {
            let required = std::env::var("SEALTRAIL_REQUIRE_ALL").is_ok_and(|v| v == "1");
            assert!(
                !required,
                "python3 cannot be run ({error}), and SEALTRAIL_REQUIRE_ALL=1 asks for every test"
            );
            // Written directly: what a passing test prints is hidden otherwise.
            let loud = format!(
                "\n!!! NOT TESTED by the second reader: {program}; python3 cannot be run ({error})\n"
            );
            std::io::stderr().write_all(loud.as_bytes()).unwrap();
            false
        }
    }
}

/// Every case of `dir` must come out as it says. Returns how many there are.
fn run_here(dir: &Path) -> usize {
    let folders = case_folders(dir);
    let wrong: Vec<String> = folders
        .iter()
        .map(|folder| (folder, Case::read(folder)))
        .filter(|(_, case)| case.outcome() != case.expected())
        .map(|(folder, case)| {
            format!(
                "{}: expected {}, got {}",
                folder.strip_prefix(dir).unwrap().display(),
                case.expected(),
                case.outcome()
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), folders.len(), wrong.join("\n"));
    folders.len()
}

#[test]
fn the_committed_vectors_hold_here() {
    assert!(run_here(&tests_dir().join("vectors/format")) >= 400);
}

#[test]
fn the_committed_vectors_hold_in_python() {
    python("run_vectors.py", Some(&tests_dir().join("vectors/format")));
}

#[test]
fn the_other_vectors_hold_in_python() {
    python("run_shared.py", Some(&tests_dir().join("vectors")));
}

/// The Python side against the RFCs and against batches it seals itself, and this side against those.
#[test]
fn batches_sealed_in_python_are_read_here() {
    let scratch = tempfile::tempdir().unwrap();
    if python("selftest.py", Some(scratch.path())) {
        assert!(run_here(scratch.path()) > 50);
    }
}

/// Random policies, readers and events, sealed by the real writer with real randomness, read by both.
#[test]
fn batches_sealed_here_are_read_in_python() {
    let scratch = tempfile::tempdir().unwrap();
    let cases = Cases::new(scratch.path());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for number in 0..FRESH_BATCHES {
        write_cases(&cases, number, &plan().new_tree(&mut runner).unwrap().current());
    }
    run_here(scratch.path());
    python("run_vectors.py", Some(scratch.path()));
}

/// A committed case with one input damaged: whatever the damage does, both must say the same.
#[test]
fn damaged_cases_have_the_same_fate() {
    let scratch = tempfile::tempdir().unwrap();
    let vectors = tests_dir().join("vectors/format");
    let folders: Vec<PathBuf> = case_folders(&vectors);
    std::fs::create_dir_all(scratch.path().join("keys")).unwrap();
    for key in std::fs::read_dir(vectors.join("keys")).unwrap() {
        let key = key.unwrap();
        std::fs::copy(key.path(), scratch.path().join("keys").join(key.file_name())).unwrap();
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let mut written = 0;
    while written < DAMAGED_CASES {
        let pick = |n: usize, runner: &mut TestRunner| (0..n).new_tree(runner).unwrap().current();
        let from = &folders[pick(folders.len(), &mut runner)];
        let files: Vec<PathBuf> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
        let to = scratch.path().join("damaged").join(written.to_string());
        std::fs::create_dir_all(&to).unwrap();
        for file in &files {
            std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
        }
        let inputs: Vec<&PathBuf> =
            files.iter().filter(|f| !f.ends_with("case.json") && !f.ends_with("policy")).collect();
        let Some(input) = (!inputs.is_empty()).then(|| inputs[pick(inputs.len(), &mut runner)]) else {
            continue;
        };
        let input = to.join(input.file_name().unwrap());
        std::fs::write(&input, damage(&std::fs::read(&input).unwrap(), &mut runner)).unwrap();
        agree(&to);
        written += 1;
    }
    python("run_vectors.py", Some(scratch.path()));
}

/// Events damaged before they are sealed: both must read the same JSON, and refuse the same.
#[test]
fn damaged_payloads_have_the_same_fate() {
    let scratch = tempfile::tempdir().unwrap();
    let cases = Cases::new(scratch.path());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let two: &[batch::Section<'_>] = &[("event", &["auditor"], &[]), ("phi", &["auditor"], &["/p"])];
    for number in 0..DAMAGED_PAYLOADS {
        let event = event().new_tree(&mut runner).unwrap().current();
        let payloads = match number % 3 {
            0 => vec![damage(event.as_bytes(), &mut runner)],
            1 => vec![
                damage(br#"{"p":{"$sealed":"phi"},"q":[{"$sealed":"phi"}]}"#, &mut runner),
                br#"{"/p":{},"/q/0":"x"}"#.to_vec(),
            ],
            _ => vec![
                br#"{"p":{"$sealed":"phi"},"~/\"":{"$sealed":"phi"}}"#.to_vec(),
                damage(br#"{"/p":[1],"/~0~1\"":"x"}"#, &mut runner),
            ],
        };
        let layout = &two[..if payloads.len() == 1 { 1 } else { 2 }];
        let body = batch::Batch::new(number as u64, layout, Vec::new()).payloads(&payloads).body();
        let name = format!("payload/{number}");
        let case = cases
            .case(&name, "open")
            .file("body", body)
            .file("identity", &*kit::identity("auditor").to_text());
        case.set("position", 0)
            .note(&format!("{:?}", payloads.iter().map(|p| String::from_utf8_lossy(p)).collect::<Vec<_>>()))
            .ok();
        let folder = scratch.path().join(name);
        if let Some(event) = Case::read(&folder).opened() {
            std::fs::write(folder.join("event"), event).unwrap();
            set(&folder, "event", "event");
        }
        agree(&folder);
    }
    python("run_vectors.py", Some(scratch.path()));
}

/// Makes what this side says of a case what the case expects; the reason may be another there.
fn agree(folder: &Path) {
    let outcome = Case::read(folder).outcome();
    set(folder, "expect", if outcome == "ok" { "ok" } else { "fail" });
    set(folder, "why", "");
    set(folder, "here", outcome);
}

/// Sets one member of `case.json`; the empty text removes it.
fn set(folder: &Path, member: &str, value: &str) {
    let path = folder.join("case.json");
    let mut case: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    case.remove(member);
    if !value.is_empty() {
        case.insert(member.into(), value.into());
    }
    std::fs::write(path, serde_json::to_vec_pretty(&case).unwrap()).unwrap();
}

/// One or two small changes: a byte changed, left out, doubled or put in, or two exchanged.
fn damage(bytes: &[u8], runner: &mut TestRunner) -> Vec<u8> {
    const LIKELY: &[u8] = b" \t\n\r\0\"\\/{}[]:,+-.0129eEuUdD~*=Zz\x0b\x1c\x7f\x80\xc2\xff";
    let changes = prop::collection::vec(
        (0usize..5, any::<prop::sample::Index>(), prop::sample::select(LIKELY), any::<bool>()),
        1..3,
    );
    let mut out = bytes.to_vec();
    for (what, at, likely, flip) in changes.new_tree(runner).unwrap().current() {
        if out.is_empty() {
            break;
        }
        let at = at.index(out.len());
        match what {
            0 if flip => out[at] ^= 1 << (likely % 8),
            0 => out[at] = likely,
            1 => drop(out.remove(at)),
            2 => out.insert(at, out[at]),
            3 => out.insert(at, likely),
            _ => {
                let other = usize::from(likely) % out.len();
                out.swap(at, other);
            }
        }
    }
    out
}

/// What a fresh batch is made of. Readers are numbers from 0.
#[derive(Clone, Debug)]
struct Plan {
    /// Of each section, who reads it.
    sections: Vec<Vec<usize>>,
    /// Of each section after the first, which pointers it claims.
    claims: Vec<Vec<&'static str>>,
    events: Vec<String>,
    blocks_after: u64,
}

const READERS: usize = 4;
/// No two can lie one inside the other.
const POINTERS: &[&str] = &["/a", "/b/a", "/b/l/*", "/l/0", "/l/1/a", "/x~1y", "/~0", "/é", "/*x", "/n"];

fn plan() -> impl Strategy<Value = Plan> {
    let readers = || proptest::sample::subsequence((0..READERS).collect::<Vec<_>>(), 1..=READERS);
    (1usize..=4).prop_flat_map(move |n| {
        (
            prop::collection::vec(readers(), n),
            proptest::sample::subsequence(POINTERS.to_vec(), (n - 1)..=POINTERS.len()),
            prop::collection::vec(event(), 1..8),
            0u64..4,
        )
            .prop_map(move |(sections, pointers, events, blocks_after)| {
                let claims =
                    (0..n - 1).map(|s| pointers.iter().copied().skip(s).step_by(n - 1).collect()).collect();
                Plan { sections, claims, events, blocks_after }
            })
    })
}

/// An event on one line, spelled in many ways, whose members often are those of [`POINTERS`].
fn event() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        3 => prop::sample::select(vec!["", " Dr-Smith ", "Ä\u{30a}é😀", "s1", "a\u{b}", "\u{1c}b\u{1c}"]).prop_map(|s| serde_json::to_string(s).unwrap()),
        1 => Just(r#""\u0041\n\ud83d\ude00\/""#.to_owned()),
        1 => "[ -~]{0,40}".prop_map(|s| serde_json::to_string(&s).unwrap()),
        1 => "[a-z]{100,400}".prop_map(|s| format!("\"{s}\"")),
    ];
    let number = prop::sample::select(vec!["0", "-0", "1.00", "1e400", "9007199254740993", "0.1E-7", "-12"]);
    let leaf = prop_oneof![
        4 => string,
        3 => number.prop_map(str::to_owned),
        3 => prop::sample::select(vec!["true", "false", "null", "{}", "[]", "{ }", r#"{"$sealed":"s1"}"#, r#"{"$sealed": "s1"}"#, r#"{"$sealed":"s0"}"#])
            .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|v| format!("[{}]", v.join(" ,"))),
            object(inner),
        ]
    });
    object(value)
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "l", "x/y", "~", "é", "*x", "n", "$sealed", "*", "0", ""]);
    prop::collection::btree_map(name, value, 0..5).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(n, v)| format!("\"{n}\": {v}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

#[derive(Default)]
struct NoTiles;

impl TileReader for NoTiles {
    fn full_tile(&self, _: TileId) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

/// Seals the plan's events, puts the batch into a small ledger, and writes a case of every kind about it.
fn write_cases(cases: &Cases, number: usize, plan: &Plan) {
    let mut rng = csprng().unwrap();
    let identities: Vec<Identity> = (0..READERS).map(|_| Identity::generate(&mut rng)).collect();
    let key = |name: &str| SigningKey::generate(name, &mut csprng().unwrap()).unwrap();
    let (ledger, admin) = (key(LEDGER), key("admin.example"));
    let names: Vec<String> = (0..plan.sections.len()).map(|s| format!("s{s}")).collect();
    let patterns = |p: &[&str]| p.iter().map(|p| Pattern::parse(p).unwrap()).collect::<Vec<_>>();
    let section = |(s, readers): (usize, &Vec<usize>)| SectionPolicy {
        name: names[s].clone(),
        readers: ReaderChoice::Named(readers.iter().map(|r| format!("reader-{r}")).collect()),
        pointers: if s == 0 { Vec::new() } else { patterns(&plan.claims[s - 1]) },
    };
    let fields: [(&str, &[&str]); 3] =
        [("a", &["/a", "/b/a", "/*/a"]), ("list", &["/l/*", "/b/l/*", "/l/*/a"]), ("n", &["/n", "/é"])];
    let policy = Policy {
        sections: plan.sections.iter().enumerate().map(section).collect(),
        tags: fields.iter().map(|(n, p)| TagField { name: (*n).to_owned(), pointers: patterns(p) }).collect(),
        access_log: ReaderChoice::All,
    };
    let readers: Vec<RosterReader> = (identities.iter().enumerate())
        .map(|(i, id)| RosterReader {
            name: format!("reader-{i}"),
            recipient: id.recipient().to_string(),
            required: false,
        })
        .collect();

    let options = WriterOptions {
        key: key(WRITER),
        ledger: LEDGER.into(),
        policy,
        retain_years: 6,
        search: Box::new(|m| {
            Ok((m.to_owned(), SearchSecret::from_secret(sealtrail::base::random::secret().unwrap())))
        }),
    };
    let writer_vkey = options.key.verifier();
    let mut writer = Writer::new(options, Head::default()).unwrap();
    let now = kit_time(number);
    let sealed = writer.seal_events(Purpose::Events, &readers, &plan.events, now).unwrap();

    let mut state = State::new(LEDGER);
    let mut log = Log::new();
    let mut blocks = Vec::new();
    let roster = Roster {
        ledger: LEDGER.into(),
        sequence: 0,
        previous: Hash::ZERO,
        issued: now,
        ledger_key: ledger.verifier(),
        admins: vec![admin.verifier()],
        writers: vec![writer_vkey.clone()],
        readers,
        officers_required: 0,
        officers: Vec::new(),
        witnesses: Vec::new(),
    };
    let mut notes = vec![Statement::Roster(roster).sign(&admin).unwrap(), sealed.note.clone()];
    notes.extend((0..plan.blocks_after).map(|_| writer.heartbeat(now).unwrap()));
    for note in notes {
        let block = state.next_block(note, now);
        state.apply(&block).unwrap();
        log.append(block.hash());
        blocks.push(block);
    }
    let checkpoint = Checkpoint { origin: LEDGER.into(), size: log.size(), root: log.root() }.sign(&ledger);
    let commitment = commit(&sealed.body).unwrap();
    let leaves: Vec<Hash> = commitment.leaf_inputs.iter().map(record_leaf).collect();
    let position = plan.events.len() / 2;
    let log_proof = TlogProof {
        extra: None,
        index: 1,
        path: log.inclusion_path(&NoTiles, 1, log.size()).unwrap(),
        checkpoint: checkpoint.to_string(),
    };
    let proof = Proof {
        ledger: LEDGER.into(),
        record: position as u64,
        leaf_inputs: commitment.leaf_inputs[position],
        record_path: tree::inclusion_path(&leaves, position).unwrap(),
        block: blocks[1].to_string(),
        log_proof: log_proof.to_string(),
    };

    let case = |name: &str, kind: &str| {
        cases.case(&format!("fresh-{number}/{name}"), kind).note(&format!("{plan:?}"))
    };
    case("proof", "proof")
        .file("proof", proof.to_json())
        .file("vkey", ledger.verifier().as_str())
        .file("writer_vkey", writer_vkey.as_str())
        .file("body", &sealed.body)
        .ok();
    case("block", "block")
        .file("block", blocks[1].to_string())
        .file("body", &sealed.body)
        .file("writer_vkey", writer_vkey.as_str())
        .ok();
    write_evidence(cases, number, &proof, &sealed.body, &ledger.verifier(), &identities);
    let fields: serde_json::Map<String, serde_json::Value> =
        fields.iter().map(|(n, p)| ((*n).to_owned(), (*p).into())).collect();
    let fields = serde_json::to_vec(&fields).unwrap();
    for (r, identity) in identities.iter().enumerate() {
        let reads: Vec<bool> = plan.sections.iter().map(|readers| readers.contains(&r)).collect();
        let text = identity.to_text();
        if !reads.contains(&true) {
            let case = case(&format!("open-{r}"), "open").file("body", &sealed.body).file("identity", &*text);
            case.set("position", position).fail("identity");
            continue;
        }
        // Who reads everything gets the very bytes of the events; for the others both sides must agree.
        let expected = match reads.contains(&false) {
            true => opened_here(&sealed.body, identity),
            false => plan.events.iter().map(|e| e.clone().into_bytes()).collect(),
        };
        if reads[0] || reads.iter().filter(|r| **r).count() == 1 {
            let lines = expected.iter().flat_map(|e| [e, &b"\n"[..]].concat()).collect::<Vec<u8>>();
            let case =
                case(&format!("open-{r}"), "open-all").file("body", &sealed.body).file("identity", &*text);
            case.file("events", lines).ok();
        } else {
            // Several payloads, one per line.
            let case = case(&format!("open-{r}"), "open").file("body", &sealed.body).file("identity", &*text);
            case.set("position", position).file("event", &expected[position]).ok();
        }
        if reads[0] {
            let case = case(&format!("tags-{r}"), "tags").file("body", &sealed.body).file("identity", &*text);
            case.set("position", position).file("policy", &fields).ok();
        }
    }
    let token = [number as u8; 32];
    let challenge = challenge_seal(&identities[0].recipient(), LEDGER, &token, &mut rng).unwrap();
    case("session", "session")
        .file("identity", &*identities[0].to_text())
        .set("ledger", LEDGER)
        .set("enc", sealtrail::base::hash::to_base64(&challenge.enc))
        .set("ciphertext", sealtrail::base::hash::to_base64(&challenge.ciphertext))
        .set("token", sealtrail::base::hash::to_base64(&token))
        .ok();
}

/// Evidence about one record as each reader can give it: all they may read, and each of up to three fields alone.
fn write_evidence(
    cases: &Cases,
    number: usize,
    proof: &Proof,
    body: &[u8],
    ledger: &VerifierKey,
    identities: &[Identity],
) {
    let decoded = Body::decode(body).unwrap();
    let record = decoded.records().nth(proof.record as usize).unwrap();
    let material = || Material {
        proof: proof.clone(),
        content: Some(RawRecord { header: decoded.header.to_vec(), record: record.to_vec() }),
        erasure: None,
        granted: std::sync::Arc::default(),
    };
    for (r, identity) in identities.iter().enumerate() {
        let make = |disclose: &Disclose| {
            let identity = std::slice::from_ref(identity);
            let mut builder = Builder::new(ledger, identity);
            builder.add(material(), disclose, None).unwrap();
            let words = Words { selection: format!("{disclose:?}").replace('"', ""), ..Words::default() };
            let words =
                if is_text(&words.selection) { words } else { Words { selection: "x".into(), ..words } };
            let json = builder.finish(kit_time(number), words, None).unwrap().to_json();
            let report = verify_evidence(json.as_bytes(), &Trust::ledger(ledger)).unwrap();
            (json, report)
        };
        let write = |name: &str, json: &str| {
            let case = cases.case(&format!("fresh-{number}/evidence-{r}-{name}"), "evidence");
            case.file("evidence", json).file("vkey", ledger.as_str()).ok();
        };
        let (json, report) = make(&Disclose::Everything);
        write("whole", &json);
        let ContentReport::Shown(shown) = &report.records[0].content else { continue };
        let pointers = shown.sections.iter().flat_map(|s| &s.shown).map(|f| f.pointer.clone());
        for (i, pointer) in pointers.filter(|p| !p.is_empty()).take(3).enumerate() {
            write(&format!("field-{i}"), &make(&Disclose::Fields(vec![pointer])).0);
        }
    }
}

fn kit_time(minute: usize) -> sealtrail::base::clock::Timestamp {
    sealtrail::base::clock::Timestamp::from_millis(1_795_176_000_000 + minute as i64 * 60_000).unwrap()
}

/// What a reader sees here of every record.
fn opened_here(body: &[u8], identity: &Identity) -> Vec<Vec<u8>> {
    let decoded = Body::decode(body).unwrap();
    let header = sealtrail::base::batch::Header::decode(decoded.header).unwrap();
    let open = |(position, record)| open_bytes(identity, &header, position, record).unwrap().0.to_vec();
    (0..).zip(decoded.records()).map(open).collect()
}
