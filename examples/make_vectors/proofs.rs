//! Proof files.

use sealtrail::base::hash::{Hash, to_base64};
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::note::Note;
use sealtrail::chain::proof::record_id;
use sealtrail::chain::replay::Head;
use sealtrail::chain::statement::{HeartbeatStatement, Statement};
use serde_json::{Value, json};

use crate::batch::{plain_body, records, with_records};
use crate::kit::{ADMIN, Case, Cases, LEDGER, OTHER, WRITER, flip, key, number};
use crate::ledger::{Forge, Ledger, Twist, honest, replace, roster, time};

/// Writes the cases.
pub fn write(cases: &Cases) {
    sizes(cases);
    accepted(cases);
    signatures(cases);
    indices(cases);
    paths(cases);
    other_texts(cases);
    spellings(cases);
    members(cases);
}

fn good(cases: &Cases, name: &str, proof: impl AsRef<[u8]>) -> Case {
    let case = cases.case(&format!("proof/{name}"), "proof").file("proof", proof);
    case.key("vkey", "ledger.vkey").key("writer_vkey", "writer.vkey")
}

fn bad(cases: &Cases, name: &str, proof: &Value) -> Case {
    bad_text(cases, name, &serde_json::to_string_pretty(proof).unwrap())
}

fn bad_text(cases: &Cases, name: &str, proof: &str) -> Case {
    let case = cases.case(&format!("proof-fail/{name}"), "proof").file("proof", proof);
    case.key("vkey", "ledger.vkey")
}

fn forged(cases: &Cases, name: &str, twist: Twist<'_>) -> Case {
    bad(cases, name, &Forge::new().proof(&plain_body(number(name), 3), 1, twist))
}

/// Blocks of 1, 2, 3, 5 and 7 records, in real ledgers around the width of a tile.
fn sizes(cases: &Cases) {
    for size in [2, 255, 256, 257, 258] {
        let mut ledger = Ledger::new();
        let early: &[usize] = if size == 2 { &[] } else { &[1, 2, 3, 5] };
        let mut heights: Vec<(usize, u64)> = early.iter().map(|n| (*n, ledger.batch(*n))).collect();
        ledger.fill(size - 1);
        heights.push((7, ledger.batch(7)));
        let checkpoint = ledger.checkpoint();
        for (n, height) in heights.into_iter().filter(|(n, _)| size == 258 || size == 2 || *n == 7 || *n == 3)
        {
            let mut positions = if size == 258 { vec![0, n / 2, n - 1] } else { vec![n - 1] };
            positions.dedup();
            for position in positions {
                let name = format!("log-{size}-block-{height}-record-{}-of-{n}", position + 1);
                good(cases, &name, ledger.proof(height, position, &checkpoint)).ok();
            }
        }
    }
    let alone = Forge { height: 0, index: 0, size: 1, first: 0, ..Forge::new() };
    let proof = alone.proof(&plain_body(number("alone"), 1), 0, &honest);
    let case = good(cases, "log-1-record-1-of-1", serde_json::to_string(&proof).unwrap());
    case.note("no path at all; a real block 0 carries the roster").ok();
}

fn accepted(cases: &Cases) {
    let mut ledger = Ledger::new();
    let height = ledger.batch(3);
    let checkpoint = ledger.checkpoint();
    let proof = ledger.proof(height, 1, &checkpoint);
    good(cases, "with-the-record", &proof).file("body", ledger.body(height)).ok();
    let case = cases.case("proof/without-writer-key", "proof").file("proof", &proof);
    case.key("vkey", "ledger.vkey").note("shows what the ledger key vouches for").ok();

    let signed = |more: &dyn Fn(&mut Note)| {
        let mut note = checkpoint.clone();
        more(&mut note);
        ledger.proof(height, 1, &note)
    };
    let unknown = signed(&|n| n.add_signature(&key("unknown.example")));
    good(cases, "signature-of-an-unknown-key", unknown)
        .note("a second line, of a key the verifier does not know")
        .ok();
    let first = signed(&|n| {
        n.add_signature(&key("unknown.example"));
        n.signatures.reverse();
    });
    good(cases, "signature-of-an-unknown-key-first", first).ok();
    let cosigned = signed(&|n| n.cosign(&key("witness.example/w1"), 1_795_176_600));
    good(cases, "cosigned", cosigned).note("a line of a witness key, type 0x04").ok();
    let garbage = signed(&|n| {
        n.add_signature(&key("unknown.example"));
        n.signatures[1].bytes = vec![1, 2, 3];
    });
    good(cases, "signature-of-an-unknown-algorithm", garbage).note("3 bytes long; its key is unknown").ok();
    let mut namesake = SigningKey::from_seed(LEDGER, &crate::kit::secret("another seed")).unwrap();
    let same_name = signed(&|n| n.add_signature(&namesake));
    good(cases, "signature-of-a-namesake", same_name)
        .note("the ledger's name with another key ID: an unknown key")
        .ok();
    namesake = key(LEDGER);
    let twice = signed(&|n| n.add_signature(&namesake));
    good(cases, "signed-twice", twice).ok();
    let many = signed(&|n| (1..32).for_each(|i| n.add_signature(&key(&format!("unknown-{i}.example")))));
    good(cases, "32-signatures", many).ok();

    let value: Value = serde_json::from_str(&proof).unwrap();
    let members: Vec<String> =
        value.as_object().unwrap().iter().rev().map(|(k, v)| format!("{}\t:\r\n {v}", json!(k))).collect();
    good(cases, "members-in-another-order", format!("\n {{{} }} ", members.join(" ,\t"))).ok();
    let spelled = proof.replacen("\"ledger\"", "\"\\u006cedger\"", 1).replacen(
        "sealtrail.org/proof",
        "sealtrail\\u002eorg\\/proof",
        1,
    );
    good(cases, "members-with-escapes", spelled).note("JSON may spell a string in many ways").ok();
}

fn signatures(cases: &Cases) {
    let proof = Forge::new().proof(&plain_body(number("signatures"), 3), 1, &honest);
    let namesake = SigningKey::from_seed(LEDGER, &crate::kit::secret("another seed")).unwrap();
    let case =
        cases.case("proof-fail/another-key-of-the-same-name", "proof").file("proof", proof.to_string());
    case.file("vkey", namesake.verifier().as_str()).fail("signature");
    let case =
        cases.case("proof-fail/another-writer-of-the-same-name", "proof").file("proof", proof.to_string());
    let namesake = SigningKey::from_seed(WRITER, &crate::kit::secret("another seed")).unwrap();
    case.key("vkey", "ledger.vkey").file("writer_vkey", namesake.verifier().as_str()).fail("signature");
    let lab = Forge { writer: key("ledger.example/writers/lab"), ..Forge::new() };
    let other = lab.proof(&plain_body(number("other writer"), 3), 1, &honest);
    bad(cases, "statement-signed-by-another-writer", &other)
        .key("writer_vkey", "writer.vkey")
        .fail("signature");
    let resign = |key: SigningKey| {
        move |step: &str, text: String| match step {
            "note" => Note::sign(&Note::parse(&text).unwrap().text, &key).to_string(),
            _ => text,
        }
    };
    let impostor = forged(cases, "statement-signed-by-a-namesake", &resign(namesake));
    impostor.key("writer_vkey", "writer.vkey").note("same key name, another key").fail("signature");
    let broken = |which: &'static str, change: &'static dyn Fn(&mut Note)| {
        move |step: &str, text: String| {
            if step != which {
                return text;
            }
            let mut note = Note::parse(&text).unwrap();
            change(&mut note);
            note.to_string()
        }
    };
    forged(cases, "checkpoint-signature", &broken("signed checkpoint", &|n| n.signatures[0].bytes[63] ^= 1))
        .fail("signature");
    forged(
        cases,
        "checkpoint-signature-cut-short",
        &broken("signed checkpoint", &|n| n.signatures[0].bytes.truncate(63)),
    )
    .fail("signature");
    forged(
        cases,
        "checkpoint-signature-too-long",
        &broken("signed checkpoint", &|n| n.signatures[0].bytes.push(0)),
    )
    .fail("signature");
    let plus_l = |n: &mut Note| add_group_order(&mut n.signatures[0].bytes[32..]);
    forged(cases, "checkpoint-signature-s-plus-l", &broken("signed checkpoint", Box::leak(Box::new(plus_l))))
        .note("S is not below the group order; the equation holds")
        .fail("signature");
    forged(
        cases,
        "checkpoint-signed-by-a-stranger",
        &broken("signed checkpoint", &|n| *n = Note::sign(&n.text, &key(OTHER))),
    )
    .fail("signature");
    let second_wrong = |n: &mut Note| {
        n.add_signature(&key(LEDGER));
        n.signatures[1].bytes[0] ^= 1;
    };
    forged(
        cases,
        "second-signature-of-the-ledger-wrong",
        &broken("signed checkpoint", Box::leak(Box::new(second_wrong))),
    )
    .note("every line that names the key must verify")
    .fail("signature");
    forged(cases, "statement-signature", &broken("note", &|n| n.signatures[0].bytes[0] ^= 1))
        .key("writer_vkey", "writer.vkey")
        .fail("signature");
    forged(cases, "statement-with-two-signatures", &broken("note", &|n| n.add_signature(&key(ADMIN))))
        .fail("format");
    let many = |n: &mut Note| (0..32).for_each(|i| n.add_signature(&key(&format!("unknown-{i}.example"))));
    forged(cases, "33-signatures", &broken("signed checkpoint", Box::leak(Box::new(many)))).fail("format");

    for (name, point, note) in [
        (
            "key-of-small-order",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "the neutral element",
        ),
        (
            "key-of-order-8",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "a point of order 8",
        ),
        (
            "key-not-canonical",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "y = p + 3, a point of large order",
        ),
        (
            "key-not-on-the-curve",
            "0200000000000000000000000000000000000000000000000000000000000000",
            "no point has y = 2",
        ),
    ] {
        let public = sealtrail::base::hash::from_hex(point).unwrap();
        let data = [&[1], &public[..]].concat();
        let Hash([a, b, c, d, ..]) = Hash::of(&[LEDGER.as_bytes(), b"\n", &data]);
        let vkey = format!("{LEDGER}+{:08x}+{}", u32::from_be_bytes([a, b, c, d]), to_base64(&data));
        let case = cases.case(&format!("proof-fail/{name}"), "proof").file("proof", proof.to_string());
        case.file("vkey", vkey).note(note).fail("format");
    }
    let vkey = key(LEDGER).verifier().to_string();
    let (name, rest) = vkey.split_once('+').unwrap();
    let (id, data) = rest.split_once('+').unwrap();
    for (what, vkey) in [
        ("key-id-wrong", format!("{name}+{:08x}+{data}", u32::from_str_radix(id, 16).unwrap() ^ 1)),
        ("key-id-in-capitals", format!("{name}+{}+{data}", id.to_uppercase())),
        ("key-of-a-witness", key(LEDGER).cosigner().to_string()),
        ("key-cut-short", vkey[..vkey.len() - 4].to_owned()),
    ] {
        let case = cases.case(&format!("proof-fail/{what}"), "proof").file("proof", proof.to_string());
        case.file("vkey", vkey).fail("format");
    }
}

/// S + L, little-endian (RFC 8032 §5.1.7 asks for S < L).
pub fn add_group_order(s: &mut [u8]) {
    let order =
        sealtrail::base::hash::from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
    let mut carry = 0u16;
    for (s, l) in s.iter_mut().zip(order) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum as u8;
        carry = sum >> 8;
    }
}

fn set(proof: &mut Value, record: u64) {
    proof["record"] = record.into();
    proof["id"] = record_id(record).into();
}

/// Positions and sizes.
fn indices(cases: &Cases) {
    let body = plain_body(number("indices"), 3);
    let proof = |record: u64, position: usize| {
        let mut proof = Forge::new().proof(&body, position, &honest);
        set(&mut proof, record);
        proof
    };
    bad(cases, "record-one-too-high", &proof(1002, 1)).note("the path of record 1001").fail("inclusion");
    bad(cases, "record-one-too-low", &proof(1000, 1)).fail("inclusion");
    bad(cases, "record-before-the-block", &proof(999, 0)).fail("range");
    bad(cases, "record-after-the-block", &proof(1003, 2)).fail("range");
    let case = bad(cases, "record-outside-that-rs-merkle-accepts", &proof(1004, 0));
    case.note("the path of position 0 of 3; rs_merkle 1.5 verifies it for position 4 as well").fail("range");
    let log = Forge { height: 4, index: 0, size: 3, ..Forge::new() };
    let case = bad(cases, "block-outside-that-rs-merkle-accepts", &log.proof(&body, 1, &honest));
    case.note("the path of entry 0 of 3, claimed for entry 4").fail("range");
    let log = Forge { height: 6, ..Forge::new() };
    bad(cases, "block-at-another-index", &log.proof(&body, 1, &honest))
        .note("height and index say 6, the path is that of entry 5")
        .fail("inclusion");
    let index = replace("log proof", "index 5", "index 4");
    bad(cases, "height-and-index-differ", &Forge::new().proof(&body, 1, &index)).fail("range");
    let records = replace("statement", "records 3", "records 2");
    bad(cases, "fewer-records-than-the-position", &Forge::new().proof(&body, 2, &records)).fail("range");
    let records = replace("statement", "records 3", "records 5");
    bad(cases, "more-records-than-the-tree", &Forge::new().proof(&body, 2, &records))
        .note("the size comes from the statement")
        .fail("inclusion");
    let last = Forge { first: u64::MAX, ..Forge::new() };
    let mut wraps = last.proof(&plain_body(number("wraps"), 1), 0, &honest);
    set(&mut wraps, 0);
    bad(cases, "record-wraps-around", &wraps)
        .note("record − first-record must not be taken modulo 2^64")
        .fail("range");
}

fn paths(cases: &Cases) {
    let body = plain_body(number("paths"), 7);
    let changed = |name: &str, change: &dyn Fn(&mut Vec<Value>)| {
        let mut proof = Forge::new().proof(&body, 2, &honest);
        change(proof["record_path"].as_array_mut().unwrap());
        bad(cases, name, &proof)
    };
    let other = || Value::from(Hash::of(&[b"other"]).base64());
    changed("record-path-one-hash-short", &|p| drop(p.pop())).fail("inclusion");
    changed("record-path-one-hash-long", &|p| p.push(other())).fail("inclusion");
    changed("record-path-empty", &Vec::clear).fail("inclusion");
    changed("record-path-hash-changed", &|p| p[1] = other()).fail("inclusion");
    changed("record-path-reversed", &|p| p.reverse()).fail("inclusion");
    changed("record-path-31-bytes", &|p| p[0] = to_base64(&[7; 31]).into()).fail("format");
    let leaf = Forge { height: 5, index: 5, size: 11, ..Forge::new() };
    let mut proof = leaf.proof(&body, 2, &honest);
    proof["envelope_hash"] = Hash::of(&[b"other"]).hex().into();
    bad(cases, "leaf-input-changed", &proof).fail("inclusion");
    let log = |name: &str, change: &dyn Fn(&mut Vec<String>)| {
        let twist = |step: &str, text: String| {
            if step != "log proof" {
                return text;
            }
            let (head, checkpoint) = text.split_once("\n\n").unwrap();
            let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
            change(&mut lines);
            format!("{}\n\n{checkpoint}", lines.join("\n"))
        };
        bad(cases, name, &Forge::new().proof(&body, 2, &twist))
    };
    log("log-path-one-hash-short", &|l| drop(l.pop())).fail("inclusion");
    log("log-path-one-hash-long", &|l| l.push(Hash::of(&[b"other"]).base64())).fail("inclusion");
    log("log-path-hash-changed", &|l| l[2] = Hash::of(&[b"other"]).base64()).fail("inclusion");
    log("log-path-empty", &|l| l.truncate(2)).fail("inclusion");
    log("log-proof-with-extra", &|l| l.insert(1, "extra AA==".into())).fail("format");
    log("log-proof-of-another-version", &|l| l[0] = "c2sp.org/tlog-proof@v2".into()).fail("format");
    log("log-proof-leading-zero", &|l| l[1] = "index 05".into()).fail("format");
    log("log-proof-without-index", &|l| drop(l.remove(1))).fail("format");

    let mut all = records(&body);
    let mut proof = Forge::new().proof(&body, 2, &honest);
    let case = cases
        .case("proof-fail/another-record", "proof")
        .file("proof", proof.to_string())
        .key("vkey", "ledger.vkey");
    all[2] = flip(&all[2], all[2].len() - 1);
    case.file("body", with_records(&body, &all))
        .note("the record in the body is not the proven one")
        .fail("record");
    proof["block"] =
        proof["block"].as_str().unwrap().replacen("first-record 1000", "first-record 1001", 1).into();
    bad(cases, "block-changed-after-it-was-logged", &proof).fail("inclusion");
}

/// The right texts of another ledger or kind.
fn other_texts(cases: &Cases) {
    let body = plain_body(number("other"), 3);
    let proof = Forge::new().proof(&body, 1, &honest);
    let case = cases.case("proof-fail/key-of-another-ledger", "proof").file("proof", proof.to_string());
    case.file("vkey", key(OTHER).verifier().as_str()).fail("origin");
    let mut other = proof.clone();
    other["ledger"] = OTHER.into();
    bad(cases, "member-ledger", &other).fail("origin");
    forged(cases, "checkpoint-of-another-origin", &replace("checkpoint", LEDGER, OTHER))
        .note("signed by the right key")
        .fail("origin");
    forged(cases, "statement-of-another-ledger", &replace("statement", LEDGER, OTHER)).fail("origin");
    let whole = Forge { ledger: key(OTHER), ..Forge::new() }.proof(&body, 1, &honest);
    bad(cases, "checkpoint-of-another-ledger", &whole).fail("origin");

    let head = Head { next_sequence: 4, previous: Hash::of(&[b"previous"]) };
    let heartbeat =
        HeartbeatStatement { ledger: LEDGER.into(), sequence: 4, previous: head.previous, issued: time(3) };
    let note = Note::sign(&Statement::Heartbeat(heartbeat).to_text(), &key(WRITER)).to_string();
    let forge = Forge::new();
    bad(cases, "heartbeat", &forge.proof_of(forge.block_of(note, &honest), &body, 1, &honest))
        .fail("statement");
    let note = Note::sign(&Statement::Roster(roster(head)).to_text(), &key(ADMIN)).to_string();
    bad(cases, "roster", &forge.proof_of(forge.block_of(note, &honest), &body, 1, &honest)).fail("statement");
}

/// Another spelling of the same thing in a block, statement or checkpoint.
fn spellings(cases: &Cases) {
    let bits = |text: &str| {
        // 32 bytes leave two bits behind the last digit; this sets one.
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let at = digits.iter().position(|d| *d == text.as_bytes()[text.len() - 2]).unwrap();
        format!("{}{}=", &text[..text.len() - 2], char::from(digits[at + 1]))
    };
    let zero = |v: &str| format!("0{v}");
    let space = |v: &str| format!(" {v}");
    let no_pad = |v: &str| v.trim_end_matches('=').to_owned();
    for (name, step, line, spell) in [
        ("block-height-leading-zero", "block", "height", &zero as &dyn Fn(&str) -> String),
        ("block-previous-bits", "block", "previous", &bits),
        ("block-time-without-milliseconds", "block", "committed", &|v| v.replace(".000Z", "Z")),
        ("block-two-spaces", "block", "first-record", &space),
        ("statement-sequence-leading-zero", "statement", "sequence", &zero),
        ("statement-sequence-plus", "statement", "sequence", &|v| format!("+{v}")),
        ("statement-records-leading-zero", "statement", "records", &zero),
        ("statement-root-bits", "statement", "records-root", &bits),
        ("statement-root-without-padding", "statement", "records-root", &no_pad),
        ("statement-time-lower-case", "statement", "sealed", &|v| v.replace('T', "t")),
        ("statement-time-leap-second", "statement", "sealed", &|v| v.replace(":00.000Z", ":60.000Z")),
        ("statement-date-with-time", "statement", "retain-until", &|v| format!("{v}T00:00:00.000Z")),
        ("statement-date-that-is-none", "statement", "retain-until", &|_| "2035-02-29".into()),
        ("statement-trailing-space", "statement", "bytes", &|v| format!("{v} ")),
        ("statement-bytes-above-64-bits", "statement", "bytes", &|_| "18446744073709551616".into()),
    ] {
        let twist = |now: &str, text: String| if now == step { respell(&text, line, spell) } else { text };
        forged(cases, name, &twist).fail("format");
    }
    let hash = || Hash::of(&[b"records"]).base64();
    forged(cases, "statement-extra-line", &replace("statement", "retain-until", "note x\nretain-until"))
        .fail("format");
    forged(cases, "statement-line-after-the-end", &|s, t| if s == "statement" { t + "more 1\n" } else { t })
        .fail("format");
    forged(cases, "statement-lines-exchanged", &|s, t| {
        if s == "statement" { exchange(&t, "sealed ", "records ") } else { t }
    })
    .fail("format");
    let twice = format!("header-hash {}\nheader-hash", hash());
    forged(cases, "statement-line-twice", &replace("statement", "header-hash", &twice)).fail("format");
    forged(cases, "statement-of-another-version", &replace("statement", "records/v1", "records/v2"))
        .fail("format");
    forged(cases, "statement-carriage-returns", &|s, t| {
        if s == "statement" { t.replace('\n', "\r\n") } else { t }
    })
    .fail("format");
    forged(cases, "block-of-another-version", &replace("block", "block/v1", "block/v2")).fail("format");
    forged(cases, "block-without-signature", &|s, t| {
        if s == "block" { t.split("\n\u{2014}").next().unwrap().to_owned() } else { t }
    })
    .fail("format");
    forged(cases, "block-last-newline-missing", &|s, t| {
        if s == "block" { t.trim_end().to_owned() } else { t }
    })
    .fail("format");
    forged(cases, "block-text-after-the-signature", &|s, t| if s == "block" { t + "more\n" } else { t })
        .fail("format");
    forged(cases, "block-hyphen-for-em-dash", &replace("block", "\u{2014} ", "- ")).fail("format");
    let long = |step: &str, text: String| match step {
        "block" => {
            let more = 65_536 - text.len();
            text.replacen("\n\n\u{2014} ", &format!("{}\n\n\u{2014} ", "x".repeat(more)), 1)
        }
        _ => text,
    };
    forged(cases, "block-too-long", &long).note("65,536 bytes").fail("format");
    forged(cases, "checkpoint-leading-zero", &replace("checkpoint", "\n11\n", "\n011\n")).fail("format");
    forged(cases, "checkpoint-with-extension", &|s, t| if s == "checkpoint" { t + "extension\n" } else { t })
        .fail("format");
    forged(cases, "checkpoint-without-root", &|s, t| {
        if s == "checkpoint" { t.lines().take(2).map(|l| format!("{l}\n")).collect() } else { t }
    })
    .fail("format");
    let root = |s: &str, t: String| match s {
        "checkpoint" => {
            let root = t.lines().nth(2).unwrap().to_owned();
            t.replace(&root, &bits(&root))
        }
        _ => t,
    };
    forged(cases, "checkpoint-root-bits", &root).fail("format");
    let mut proof = Forge::new().proof(&plain_body(number("bits"), 3), 1, &honest);
    let path = proof["record_path"][0].as_str().unwrap().to_owned();
    for (name, spelled) in [
        ("record-path-bits", bits(&path)),
        ("record-path-without-padding", no_pad(&path)),
        ("record-path-newline", path.clone() + "\n"),
        ("record-path-url-safe", format!("-_{}A=", "A".repeat(40))),
    ] {
        proof["record_path"][0] = spelled.into();
        bad(cases, name, &proof).fail("format");
    }
}

/// Another spelling of the value of one line.
fn respell(text: &str, name: &str, spell: &dyn Fn(&str) -> String) -> String {
    let lines = text.split('\n').map(|l| match l.strip_prefix(name).and_then(|l| l.strip_prefix(' ')) {
        Some(value) => format!("{name} {}", spell(value)),
        None => l.to_owned(),
    });
    let new = lines.collect::<Vec<_>>().join("\n");
    assert_ne!(new, text, "no line {name}");
    new
}

fn exchange(text: &str, a: &str, b: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let at = |lines: &[&str], p: &str| lines.iter().position(|l| l.starts_with(p)).unwrap();
    let (a, b) = (at(&lines, a), at(&lines, b));
    lines.swap(a, b);
    lines.join("\n") + "\n"
}

/// The JSON file itself.
fn members(cases: &Cases) {
    let proof = Forge::new().proof(&plain_body(number("members"), 3), 1, &honest);
    let text = serde_json::to_string_pretty(&proof).unwrap();
    let member = |name: &str, member: &str, value: Value| {
        let mut proof = proof.clone();
        proof[member] = value;
        bad(cases, name, &proof)
    };
    member("extra-member", "more", json!(1)).fail("format");
    member("format-version", "format", json!("sealtrail.org/proof/v2")).fail("format");
    member("id-of-another-record", "id", json!("EVT-00001002")).fail("format");
    member("id-too-short", "id", json!("EVT-1001")).fail("format");
    member("id-too-long", "id", json!("EVT-000001001")).fail("format");
    member("record-as-text", "record", json!("1001")).fail("format");
    member("record-negative", "record", json!(-1)).fail("format");
    member("record-null", "record", Value::Null).fail("format");
    member("record-path-as-text", "record_path", json!("")).fail("format");
    member("hash-too-short", "disclosure_root", json!("00")).fail("format");
    let capitals = proof["envelope_hash"].as_str().unwrap().to_uppercase();
    member("hash-in-capitals", "envelope_hash", json!(capitals)).fail("format");
    for (name, from, to) in [
        ("record-as-float", "\"record\": 1001", "\"record\": 1001.0"),
        ("record-with-exponent", "\"record\": 1001", "\"record\": 1001e0"),
        ("record-with-leading-zero", "\"record\": 1001", "\"record\": 01001"),
        ("record-above-64-bits", "\"record\": 1001", "\"record\": 18446744073709552617"),
        ("member-twice", "\"record\": 1001", "\"record\": 1001,\n  \"record\": 1001"),
        ("member-twice-escaped", "\"record\": 1001", "\"record\": 1001,\n  \"recor\\u0064\": 1001"),
        ("member-missing", "\"record\": 1001,", ""),
        ("lone-surrogate", "\"ledger\": \"", "\"ledger\": \"\\ud800"),
        ("trailing-comma", "\n}", ",\n}"),
        ("comment", "{", "{ // a comment"),
        ("array", "{", "[{"),
    ] {
        assert!(text.contains(from), "{name}");
        bad_text(cases, name, &text.replacen(from, to, 1)).fail("format");
    }
    bad_text(cases, "json-cut-short", &text[..text.len() - 2]).fail("format");
    bad_text(cases, "json-with-more-behind", &format!("{text}{{}}")).fail("format");
    bad_text(cases, "json-byte-order-mark", &format!("\u{feff}{text}")).fail("format");
    let zero = Forge { height: 0, index: 0, size: 1, first: 0, ..Forge::new() };
    let zero = zero.proof(&plain_body(number("minus"), 1), 0, &honest).to_string();
    bad_text(cases, "record-minus-zero", &zero.replacen("\"record\":0", "\"record\":-0", 1)).fail("format");
    let values: Vec<String> = proof.as_object().unwrap().values().map(Value::to_string).collect();
    bad_text(cases, "json-array-of-values", &format!("[{}]", values.join(","))).fail("format");
}
