#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::base::hash::Hash;
use crate::base::secret::Secret;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::SigningKey;

const LOG: &str = "log.example/x";

fn key(name: &str) -> SigningKey {
    let seed = Hash::of(&[name.as_bytes()]);
    SigningKey::from_seed(name, &Secret::from_slice(&seed.0).unwrap()).unwrap()
}

/// The key of witness `name`, called something else than the policy calls it.
fn witness(name: &str) -> SigningKey {
    key(&format!("witness.example/{name}"))
}

/// The example of the specification, with keys filled in.
fn example() -> String {
    let line = |n: &str| format!("witness {n} {}\n", witness(n).cosigner());
    let mut text = format!("log {}\n\n", key(LOG).verifier());
    ["X1", "X2", "X3"].iter().for_each(|n| text += &line(n));
    text += "group X-witnesses 2 X1 X2 X3\n\n";
    ["Y1", "Y2", "Y3"].iter().for_each(|n| text += &line(n));
    text += "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n";
    text
}

/// A checkpoint with cosignatures of these witnesses.
fn cosigned(by: &[&str]) -> SignedCheckpoint {
    let head = Checkpoint { origin: LOG.into(), size: 7, root: Hash::of(&[b"root"]) };
    let mut note = head.sign(&key(LOG)).note().clone();
    for (i, name) in by.iter().enumerate() {
        note.cosign(&witness(name), 1_795_176_000 + i as u64);
    }
    SignedCheckpoint::parse(&note.to_string(), &key(LOG).verifier()).unwrap()
}

fn check(policy: &str, by: &[&str]) -> Result<Met, PolicyError> {
    WitnessPolicy::parse(policy.as_bytes()).unwrap().check(&cosigned(by), &key(LOG).verifier())
}

fn fault(policy: &str) -> (usize, LineFault) {
    match WitnessPolicy::parse(policy.as_bytes()).err().unwrap() {
        PolicyError::Line { line, fault } => (line, fault),
        other => panic!("{other}"),
    }
}

#[test]
fn the_specifications_example() {
    for (by, met) in [
        (&["X1", "X2", "Y1"][..], true),
        (&["X3", "X1", "Y3", "Y2"], true),
        (&["X1", "X2", "X3"], false),
        (&["X1", "Y1", "Y2", "Y3"], false),
        (&[], false),
        // One witness on two lines counts once, and strangers do not count.
        (&["X1", "X1", "Y1"], false),
        (&["X1", "stranger", "Y1"], false),
    ] {
        let outcome = check(&example(), by);
        assert_eq!(outcome.is_ok(), met, "{by:?}");
        if let Ok(met) = outcome {
            assert_eq!(met.quorum, "X-and-Y");
            assert_eq!(met.witnesses.len(), by.len());
        }
    }
    let error = check(&example(), &["X1", "Y2"]).unwrap_err().to_string();
    assert!(error.contains("quorum X-and-Y") && error.contains("only X1, Y2 cosigned"), "{error}");
    let met = check(&example(), &["X1", "X2", "Y1"]).unwrap();
    assert_eq!(met.witnesses[1].time.to_string(), "2026-11-20T12:00:01.000Z");
    assert_eq!(met.witnesses[1].key, "witness.example/X2");
}

#[test]
fn small_policies() {
    assert_eq!(check("quorum none\n", &[]).unwrap().quorum, "none");
    let one =
        format!(" \t# comment\n\twitness\tA {}  https://a.example \n quorum A", witness("A").cosigner());
    assert!(check(&one, &["A"]).is_ok());
    assert!(matches!(check(&one, &["B"]), Err(PolicyError::Quorum { .. })));
    // Names are bytes, not text.
    let mut bytes = format!("witness ?? {}\nquorum ??\n", witness("A").cosigner()).into_bytes();
    bytes.iter_mut().filter(|b| **b == b'?').for_each(|b| *b = 0xfe);
    let policy = WitnessPolicy::parse(&bytes).unwrap();
    assert!(policy.check(&cosigned(&["A"]), &key(LOG).verifier()).is_ok());
}

#[test]
fn another_log_or_a_wrong_cosignature_is_refused() {
    let other = format!("log {}\nquorum none\n", key("other.example").verifier());
    assert!(matches!(check(&other, &[]), Err(PolicyError::UnknownLog(_))));
    let mut note = cosigned(&["X1", "X2", "Y1"]).note().clone();
    note.signatures[2].bytes[20] ^= 1;
    let checkpoint = SignedCheckpoint::parse(&note.to_string(), &key(LOG).verifier()).unwrap();
    let policy = WitnessPolicy::parse(example().as_bytes()).unwrap();
    let error = policy.check(&checkpoint, &key(LOG).verifier()).unwrap_err();
    assert!(error.to_string().contains("witness.example/X2"), "{error}");
}

#[test]
fn every_rule_of_the_format() {
    let (log, a) = (key(LOG).verifier(), witness("A").cosigner());
    let b = witness("B").cosigner();
    let ab = format!("witness A {a}\nwitness B {b}\n");
    assert_eq!(WitnessPolicy::parse(b"# nothing\n").err(), Some(PolicyError::NoQuorum));
    assert_eq!(WitnessPolicy::parse(&vec![b'#'; MAX_POLICY_BYTES + 1]).err(), Some(PolicyError::TooLarge));
    for (text, line, expected) in [
        ("quorum none\r\n".to_owned(), 1, LineFault::ControlCharacter),
        ("quorum none\nquorum none\n".to_owned(), 2, LineFault::SecondQuorum),
        ("Quorum none\n".to_owned(), 1, LineFault::Keyword),
        ("quorum\n".to_owned(), 1, LineFault::Form("quorum NAME")),
        ("quorum A\n".to_owned(), 1, LineFault::UnknownName("A".into())),
        (format!("quorum A\nwitness A {a}\n"), 1, LineFault::UnknownName("A".into())),
        (format!("log {log}\nlog {log}\n"), 2, LineFault::DuplicateKey),
        (format!("log {a}\n"), 1, LineFault::Key(KeyError::Kind(4))),
        (format!("witness A {}\n", witness("A").verifier()), 1, LineFault::Key(KeyError::Kind(1))),
        (format!("witness none {a}\n"), 1, LineFault::NameTaken("none".into())),
        (format!("witness A {a}\nwitness B {a}\n"), 2, LineFault::DuplicateKey),
        (format!("witness A {a}\nwitness A {b}\n"), 2, LineFault::NameTaken("A".into())),
        (format!("{ab}group A any B\n"), 3, LineFault::NameTaken("A".into())),
        (format!("{ab}group G 3 A B\n"), 3, LineFault::Threshold),
        (format!("{ab}group G 0 A B\n"), 3, LineFault::Threshold),
        (format!("{ab}group G 01 A B\n"), 3, LineFault::Threshold),
        (format!("{ab}group G any none\n"), 3, LineFault::UnknownName("none".into())),
        (format!("{ab}group G any G\n"), 3, LineFault::UnknownName("G".into())),
        (format!("{ab}group G any A A\n"), 3, LineFault::SecondMembership("A".into())),
        (format!("{ab}group G any A\ngroup H any A B\n"), 4, LineFault::SecondMembership("A".into())),
        (format!("{ab}group G any\n"), 3, LineFault::Form("group NAME any|all|NUMBER MEMBER…")),
    ] {
        assert_eq!(fault(&text), (line, expected), "{text}");
    }
    // The same point under two key names is one key.
    let renamed = VerifierKey::new("b.example", KeyKind::CosignatureV1, a.public_bytes()).unwrap();
    assert_eq!(fault(&format!("witness A {a}\nwitness B {renamed}\n")).1, LineFault::DuplicateKey);
    let many: String = (0..=MAX_POLICY_ENTRIES)
        .map(|i| format!("witness w{i} {}\n", witness(&i.to_string()).cosigner()))
        .collect();
    assert_eq!(fault(&many), (MAX_POLICY_ENTRIES + 1, LineFault::TooMany));
}
