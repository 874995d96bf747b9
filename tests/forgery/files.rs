//! Attacker: whoever hands over a proof or evidence file. He has true files and changes them. What is refused here is refused by the
//! second implementation, in Python, too.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sealtrail::auditor::evidence::format::Evidence;
use sealtrail::chain::batch::{check_erased, commit};
use sealtrail::chain::checkpoint::Checkpoint;
use sealtrail::chain::proof::Proof;
use sealtrail::chain::tlog_proof::TlogProof;
use sealtrail::chain::tree;

use crate::forge::{Forged, Part};
use crate::judge::{Scene, expect};
use crate::world::{signer, world};

/// Files with their names, judged here and by the second implementation, which must agree.
struct Brought {
    scene: Scene,
    kind: &'static str,
    said: String,
}

impl Brought {
    fn new(kind: &'static str) -> Brought {
        Brought { scene: Scene::new(), kind, said: String::new() }
    }

    fn judge(&mut self, name: &str, content: &str) {
        let verdict = self.scene.verify(content, &[]);
        let expect = if verdict.starts_with("verify holds") { "ok" } else { "refused" };
        let verdict = verdict.trim_start_matches("verify ");
        let verdict = if expect == "ok" { "holds\n" } else { verdict };
        self.said += &format!("{name}: {verdict}");
        let dir = self.scene.path(&format!("cases/{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file.json"), content).unwrap();
        std::fs::copy(self.scene.path("ledger.vkey"), dir.join("ledger.vkey")).unwrap();
        let case = serde_json::json!({ "kind": self.kind, self.kind: "file.json", "vkey": "ledger.vkey", "expect": expect });
        std::fs::write(dir.join("case.json"), case.to_string()).unwrap();
    }

    /// The matrix of these files must be exactly this.
    #[track_caller]
    fn finish(self, wanted: &str) -> Scene {
        expect(&self.said, wanted);
        second_reader(&self.scene.path("cases"), self.kind);
        self.scene
    }
}

/// Every case in the folder must come out in Python as it says.
fn second_reader(cases: &Path, kind: &str) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader/run_vectors.py");
    match Command::new("python3").arg("-B").arg(program).arg(cases).output() {
        Ok(out) => {
            let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
            let wrong: Vec<&str> = said.lines().filter(|l| !l.starts_with("pass")).collect();
            assert!(out.status.success(), "the second implementation says otherwise:\n{}", wrong.join("\n"));
        }
        Err(e) => {
            let required = std::env::var_os("SEALTRAIL_REQUIRE_ALL").is_some();
            assert!(!required, "python3 cannot be run ({e})");
            let loud = format!("\n!!! NOT TESTED by the second reader: forged {kind}; {e}\n");
            std::io::stderr().write_all(loud.as_bytes()).unwrap();
        }
    }
}

/// Parts of true proofs of two ledgers, two sizes and two records, put together.
#[test]
fn splice_proofs() {
    let honest = Forged::honest();
    let (mine, other) = (honest.proof(5), honest.proof(0));
    let mut backup = Forged::read(&world().backup);
    backup.parts.truncate(8);
    let older = backup.proof(5);
    let mut b = Brought::new("proof");
    let mut case = |name: &str, change: &dyn Fn(&mut Proof)| {
        let mut proof = mine.clone();
        change(&mut proof);
        b.judge(name, &proof.to_json());
    };
    case("as it is", &|_| {});
    case("against the older, smaller tree", &|p| p.log_proof = older.log_proof.clone());
    case("the older path under the newer checkpoint", &|p| {
        let mut log = TlogProof::parse(&older.log_proof).unwrap();
        log.checkpoint = honest.checkpoint.clone();
        p.log_proof = log.to_string();
    });
    case("the newer path under the older checkpoint", &|p| {
        let mut log = TlogProof::parse(&mine.log_proof).unwrap();
        log.checkpoint = backup.checkpoint.clone();
        p.log_proof = log.to_string();
    });
    case("another record's number", &|p| p.record = 6);
    case("a number of another block", &|p| p.record = 1);
    case("another record's hashes", &|p| p.leaf_inputs = other.leaf_inputs);
    case("another record's path", &|p| p.record_path = other.record_path.clone());
    case("another block", &|p| p.block = other.block.clone());
    case("a path one longer", &|p| p.record_path.push(p.record_path[0]));
    case("no path", &|p| p.record_path.clear());
    case("two hashes exchanged", &|p| {
        let log = p.log_proof.clone();
        let mut log = TlogProof::parse(&log).unwrap();
        log.path.swap(0, 1);
        p.log_proof = log.to_string();
    });
    case("an extra line", &|p| p.log_proof = p.log_proof.replace("index", "extra AAAA\nindex"));
    case("another index", &|p| p.log_proof = p.log_proof.replace("index 3", "index 1"));
    case("another ledger's name", &|p| p.ledger = "test.example/other".into());
    case("a checkpoint by another key of this name", &|p| {
        let key = signer(crate::world::ORIGIN);
        let root = tree::root(&honest.hashes());
        let signed = Checkpoint { origin: key.name().into(), size: 12, root }.sign(&key).note().to_string();
        let mut log = TlogProof::parse(&p.log_proof).unwrap();
        log.checkpoint = signed;
        p.log_proof = log.to_string();
    });
    b.finish("
        as it is: holds
        against the older, smaller tree: holds
        the older path under the newer checkpoint: 1: NOT PROVEN: the block is not in the ledger's log: the proof has the wrong number of hashes (3) f…
        the newer path under the older checkpoint: 1: NOT PROVEN: the block is not in the ledger's log: the proof has the wrong number of hashes (4) f…
        another record's number: 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…
        a number of another block: 1: NOT PROVEN: record 1 is not in this block, which holds 2 records from 5
        another record's hashes: 1: NOT PROVEN: the record is not in the block: the proof does not lead to the tree's root: somethin…
        another record's path: 1: NOT PROVEN: the record is not in the block: the proof has the wrong number of hashes (2) for its…
        another block: 1: NOT PROVEN: the block has the height 1, the log proof is for 3
        a path one longer: 1: NOT PROVEN: the record is not in the block: the proof has the wrong number of hashes (2) for its…
        no path: 1: NOT PROVEN: the record is not in the block: the proof has the wrong number of hashes (0) for its…
        two hashes exchanged: 1: NOT PROVEN: the block is not in the ledger's log: the proof does not lead to the tree's root: so…
        an extra line: 1: NOT PROVEN: not a proof file: the value of \"log_proof\" is not valid
        another index: 1: NOT PROVEN: the block has the height 3, the log proof is for 1
        another ledger's name: 1: NOT PROVEN: the proof is for the ledger test.example/other, the key belongs to test.example/audi…
        a checkpoint by another key of this name: 1: NOT PROVEN: checkpoint: none of the signatures is by a known key (signed by test.example/audit).…");
}

/// The folder that comes with a proof has a file whose name is the ledger's key, as text, and in it another key of the same name.
#[test]
fn put_a_file_where_a_key_is_named() {
    let (scene, mine) = (Scene::new(), signer(crate::world::ORIGIN));
    let mut forged = Forged::honest();
    forged.sign(&mine);
    std::fs::write(scene.path("brought.json"), forged.proof(5).to_json()).unwrap();
    let key = world().keys.ledger.verifier().to_string();
    let file = scene.path(&key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, mine.verifier().to_string()).unwrap();
    let out = scene.run(&["verify", "brought.json", "--key", &key]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
    let by_file = scene.run(&["verify", "brought.json", "--key", file.to_str().unwrap()]);
    assert!(by_file.status.success(), "a file that is named as one is still read");
}

/// Other spellings of a true proof file: each file has one reading, and what has two is refused.
#[test]
fn spell_a_proof_otherwise() {
    let text = Forged::honest().proof(5).to_json();
    let mut b = Brought::new("proof");
    let mut case = |name: &str, changed: String| {
        assert_ne!(changed, text, "{name}");
        b.judge(name, &changed);
    };
    case("other white space", text.replace("  ", "\t"));
    case("a member twice", text.replacen("{", "{\"record\": 5,", 1));
    case("a member twice, once escaped", text.replacen("{", "{\"\\u0072ecord\": 5,", 1));
    case("a member more", text.replacen("{", "{\"note\": 5,", 1));
    case("a member less", text.replace("\"id\": \"EVT-00000005\",", ""));
    case("the number as text", text.replace("\"record\": 5", "\"record\": \"5\""));
    case("the number as 5.0", text.replace("\"record\": 5", "\"record\": 5.0"));
    case("the number as 5e0", text.replace("\"record\": 5", "\"record\": 5e0"));
    case("the number as -0", text.replace("\"record\": 5", "\"record\": -0"));
    case("the number as 05", text.replace("\"record\": 5", "\"record\": 05"));
    case("another id", text.replace("EVT-00000005", "EVT-00000006"));
    case("an id with a zero more", text.replace("EVT-00000005", "EVT-000000005"));
    case("hashes in capitals", text.replace("\"ciphertext_sha256\": \"", "\"ciphertext_sha256\": \"A"));
    case("something after it", format!("{text}{{}}"));
    case("a byte order mark", format!("\u{feff}{text}"));
    case("in a list", format!("[{text}]"));
    case("an older version", text.replace("proof/v1", "proof/v0"));
    b.finish("
        other white space: holds
        a member twice: 1: NOT PROVEN: not a proof file: duplicate field `record`
        a member twice, once escaped: 1: NOT PROVEN: not a proof file: duplicate field `record`
        a member more: 1: NOT PROVEN: not a proof file: unknown field `note`, expected one of `format`, `ledger`, `record`…
        a member less: 1: NOT PROVEN: not a proof file: missing field `id`
        the number as text: 1: NOT PROVEN: not a proof file: invalid type: string \"5\", expected u64
        the number as 5.0: 1: NOT PROVEN: not a proof file: invalid type: floating point `5.0`, expected u64
        the number as 5e0: 1: NOT PROVEN: not a proof file: invalid type: floating point `5.0`, expected u64
        the number as -0: 1: NOT PROVEN: not a proof file: invalid type: floating point `-0.0`, expected u64
        the number as 05: 1: NOT PROVEN: not a proof file: invalid number
        another id: 1: NOT PROVEN: not a proof file: the value of \"id\" is not valid
        an id with a zero more: 1: NOT PROVEN: not a proof file: the value of \"id\" is not valid
        hashes in capitals: 1: NOT PROVEN: not a proof file: the value of \"ciphertext_sha256\" is not valid
        something after it: 1: NOT PROVEN: not a proof file: trailing characters
        a byte order mark: 1: NOT PROVEN: not a proof file: expected one JSON object
        in a list: 1: NOT PROVEN: not a proof file: expected one JSON object
        an older version: 1: NOT PROVEN: not a proof file: the value of \"format\" is not valid");
}

/// One field of record 0, as alice would hand it to somebody.
fn disclosed() -> String {
    let scene = Scene::new();
    let vault = world().path("vault");
    let args = [
        "audit",
        "disclose",
        "0",
        "--fields",
        "/actor/user_id,/n",
        "--out",
        "who.json",
        "--offline",
        "--vault",
    ];
    let out = scene.run(&[&args[..], &[vault.to_str().unwrap(), "--identity", "alice.identity"]].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::read_to_string(scene.path("who.json")).unwrap()
}

/// The value, pointer, kind or place of a disclosed field is another one, in every spelling JSON has for that. The manifest is made
/// anew each time, so that only the commitments stand in the way.
#[test]
fn disclose_one_field_with_another_value() {
    let text = disclosed();
    let mut b = Brought::new("evidence");
    let mut case = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{name}: {text}");
        b.judge(name, &with_new_manifest(&text.replace(from, to)));
    };
    case("as it is", "\"dr-0\"", "\"dr-0\"");
    case("the same string, escaped", "\"dr-0\"", "\"dr-\\u0030\"");
    case("another string", "\"dr-0\"", "\"dr-1\"");
    case("a string with a space", "\"dr-0\"", "\"dr-0 \"");
    case("a string that looks the same", "\"dr-0\"", "\"\u{501}r-0\"");
    case("a string and a zero", "\"dr-0\"", "\"dr-0\\u0000\"");
    case("the value twice", "\"value\":\"dr-0\"", "\"value\":\"dr-1\",\"value\":\"dr-0\"");
    case("a number for a string", "\"kind\":\"s\"", "\"kind\":\"n\"");
    case("a string for a number", "\"kind\":\"n\"", "\"kind\":\"s\"");
    case("true for a number", "\"kind\":\"n\"", "\"kind\":\"t\"");
    case("the number as 0.0", "\"value\":\"0\"", "\"value\":\"0.0\"");
    case("the number as -0", "\"value\":\"0\"", "\"value\":\"-0\"");
    case("the number as 0e0", "\"value\":\"0\"", "\"value\":\"0e0\"");
    case("the number as 00", "\"value\":\"0\"", "\"value\":\"00\"");
    case("the same pointer, escaped", "\"/actor/user_id\"", "\"/\\u0061ctor/user_id\"");
    case("another pointer", "\"/actor/user_id\"", "\"/approver/user_id\"");
    case("a pointer with a slash inside", "\"/actor/user_id\"", "\"/actor~1user_id\"");
    case("a pointer with a slash more", "\"/actor/user_id\"", "\"/actor//user_id\"");
    case("a pointer with a capital", "\"/actor/user_id\"", "\"/Actor/user_id\"");
    case("another place", "\"index\":0", "\"index\":1");
    case("another number of fields", "\"fields\":3", "\"fields\":4");
    let scene = b.finish("
        as it is: holds
        the same string, escaped: holds
        another string: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        a string with a space: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        a string that looks the same: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        a string and a zero: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        the value twice: 1: NOT PROVEN: not an evidence file: duplicate field `value`
        a number for a string: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        a string for a number: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…
        true for a number: 1: NOT PROVEN: not an evidence file: EVT-00000000: the value of \"kind\" is not valid
        the number as 0.0: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…
        the number as -0: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…
        the number as 0e0: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…
        the number as 00: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…
        the same pointer, escaped: holds
        another pointer: 1: NOT PROVEN: record EVT-00000000: the field /approver/user_id of its section event is not what th…
        a pointer with a slash inside: 1: NOT PROVEN: record EVT-00000000: the field /actor~1user_id of its section event is not what the…
        a pointer with a slash more: 1: NOT PROVEN: record EVT-00000000: the field /actor//user_id of its section event is not what the…
        a pointer with a capital: 1: NOT PROVEN: record EVT-00000000: the field /Actor/user_id of its section event is not what the r…
        another place: 1: NOT PROVEN: record EVT-00000000: the field /actor/user_id of its section event is not what the r…
        another number of fields: 1: NOT PROVEN: record EVT-00000000: the field /n of its section event is not what the record commit…");
    // Only the file as it is, and the same strings written otherwise, say "dr-0".
    std::fs::write(scene.path("true.json"), &text).unwrap();
    let said = scene.run(&["verify", "true.json", "--key", "ledger.vkey"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("/actor/user_id was \"dr-0\""));
}

/// What a forger who signs nothing does after a change: counts and hashes in the manifest are made to fit.
fn with_new_manifest(text: &str) -> String {
    use sealtrail::auditor::evidence::manifest::Manifest;
    let Ok(mut evidence) = Evidence::parse(text.as_bytes()) else { return text.to_owned() };
    let Ok(mut manifest) = Manifest::parse(&evidence.manifest) else { return text.to_owned() };
    manifest.contents = evidence.contents_hash();
    evidence.manifest = manifest.to_note(None).unwrap();
    // A change that reading and writing would undo is kept as it was written.
    let made = evidence.to_json().to_string();
    let (from, to) = (line_of(&made, "\"manifest\":"), line_of(text, "\"manifest\":"));
    text.replace(&to, &from)
}

fn line_of(text: &str, start: &str) -> String {
    text.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_owned()
}

/// Attacker: the database administrator, and a dishonest writer. Blocks and bodies as they make them: what does not hold here does not
/// hold in the second implementation.
#[test]
fn hand_over_forged_blocks_with_their_bodies() {
    let honest = Forged::honest();
    let dir = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let mut case = |name: &str, change: &dyn Fn(&mut Part)| {
        let mut part = honest.parts[1].clone();
        change(&mut part);
        let found = commit(&part.body).map_err(|e| e.to_string()).and_then(|found| {
            let writer = part.block().statement.signer_name().to_owned();
            let held = check_erased(&part.records_statement(), &writer, &found, &world().roster);
            held.map_err(|e| e.to_string())
        });
        let expect = if found.is_ok() { "ok" } else { "refused" };
        said += &format!("{name}: {expect}\n");
        let folder = dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("block"), &part.text).unwrap();
        std::fs::write(folder.join("body"), &part.body).unwrap();
        let case = serde_json::json!({ "kind": "block", "block": "block", "body": "body", "expect": expect });
        std::fs::write(folder.join("case.json"), case.to_string()).unwrap();
    };
    case("as it is", &|_| {});
    case("a bit of a ciphertext", &|p| *p.body.last_mut().unwrap() ^= 1);
    case("a byte more", &|p| p.body.push(0));
    case("a byte less", &|p| p.body.truncate(p.body.len() - 1));
    case("two records exchanged", &|p| {
        let mut records = p.records();
        records.swap(0, 1);
        p.set_records(&records);
    });
    case("a record twice", &|p| {
        let mut records = p.records();
        records[2] = records[0].clone();
        p.set_records(&records);
    });
    case("a record less", &|p| {
        let records = p.records();
        p.set_records(&records[..2]);
    });
    case("a record of another batch", &|p| {
        let mut records = p.records();
        records[0] = honest.parts[3].records()[0].clone();
        p.set_records(&records);
    });
    case("the body of another block", &|p| p.body = honest.parts[3].body.clone());
    case("a body of no kind", &|p| p.body[..4].copy_from_slice(b"STB0"));
    case("a header of another version", &|p| p.body[8] = 0);
    expect(
        &said,
        "
        as it is: ok
        a bit of a ciphertext: refused
        a byte more: refused
        a byte less: refused
        two records exchanged: refused
        a record twice: refused
        a record less: refused
        a record of another batch: refused
        the body of another block: refused
        a body of no kind: refused
        a header of another version: refused",
    );
    second_reader(dir.path(), "blocks");
}
