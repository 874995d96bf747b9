//! Checkpoints: whose they are, what they must not contain, and who cosigned.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::merkle::empty_root;
use super::super::testing::{Ledger, ORIGIN, key, mutations};
use super::*;

#[test]
fn signed_and_read_back() {
    let signed = Ledger::sample().checkpoint();
    let text = signed.to_string();
    assert_eq!(SignedCheckpoint::parse(&text, &key(ORIGIN).verifier()).unwrap(), signed);
    assert_eq!(signed.checkpoint().size, 4);
    assert!(text.starts_with(&format!("{ORIGIN}\n4\n")));
}

#[test]
fn another_key_or_another_origin_is_refused() {
    let signed = Ledger::sample().checkpoint();
    let other = key("other.example").verifier();
    assert!(matches!(
        SignedCheckpoint::parse(&signed.to_string(), &other),
        Err(CheckpointError::Origin { .. })
    ));
    // Our origin, signed by somebody else.
    let forged = signed.checkpoint().sign(&key("other.example")).to_string();
    assert!(matches!(
        SignedCheckpoint::parse(&forged, &key(ORIGIN).verifier()),
        Err(CheckpointError::Note(_))
    ));
    let witness = SignedCheckpoint::parse(&signed.to_string(), &key(ORIGIN).cosigner());
    assert!(matches!(witness, Err(CheckpointError::WitnessKey(_))));
}

#[test]
fn texts_that_are_no_checkpoint() {
    let ledger = key(ORIGIN);
    let root = empty_root().base64();
    for text in [
        format!("{ORIGIN}\n0\n"),
        format!("{ORIGIN}\n00\n{root}\n"),
        format!("{ORIGIN}\n01\n{root}\n"),
        format!("{ORIGIN}\n-1\n{root}\n"),
        format!("{ORIGIN}\n0\n{root}=\n"),
        format!("{ORIGIN}\n0\nAAAA\n"),
        format!("{ORIGIN}\n0\n{root}\nextension\n"),
        format!("{ORIGIN}\n0\n{root}\n\n"),
        format!("\n0\n{root}\n"),
        format!("two words\n0\n{root}\n"),
    ] {
        let note = Note::sign(&text, &ledger).to_string();
        let refused = SignedCheckpoint::parse(&note, &ledger.verifier());
        assert!(matches!(refused, Err(CheckpointError::Text(_))), "{text:?}");
    }
}

#[test]
fn every_changed_byte_is_detected() {
    let text = Ledger::sample().checkpoint().to_string();
    for changed in mutations(&text) {
        assert!(SignedCheckpoint::parse(&changed, &key(ORIGIN).verifier()).is_err(), "{changed}");
    }
}

#[test]
fn cosignatures_are_kept_checked_and_replaced() {
    let mut signed = Ledger::sample().checkpoint();
    let (w1, w2) = (key("witness.example/w1"), key("witness.example/w2"));
    let by = |witness: &SigningKey, seconds| {
        let mut note = Note { text: signed.note().text.clone(), signatures: vec![] };
        note.cosign(witness, seconds);
        note.signatures.remove(0)
    };
    let (first, second, later) = (by(&w1, 100), by(&w2, 200), by(&w1, 300));
    assert_eq!(signed.add_cosignature(first.clone(), &w1.cosigner()), Ok(100));
    assert_eq!(signed.add_cosignature(second, &w2.cosigner()), Ok(200));
    assert_eq!(signed.add_cosignature(later, &w1.cosigner()), Ok(300));
    assert!(signed.add_cosignature(first, &w2.cosigner()).is_err());
    let again = SignedCheckpoint::parse(&signed.to_string(), &key(ORIGIN).verifier()).unwrap();
    assert_eq!(again, signed);
    let keys = [w1.cosigner(), w2.cosigner(), key("w3").cosigner()];
    let found: Vec<_> = again.verify_cosignatures(&keys).unwrap().iter().map(|c| c.seconds).collect();
    assert_eq!(found, [200, 300]);
    // The ledger's own ordinary signature is no cosignature.
    let ledger = key(ORIGIN);
    let mut note = Note { text: signed.note().text.clone(), signatures: vec![] };
    note.add_signature(&ledger);
    assert!(signed.add_cosignature(note.signatures.remove(0), &ledger.verifier()).is_err());
    assert_eq!(signed.verify_cosignatures(&[ledger.verifier()]).unwrap(), []);
    // A known witness's wrong line spoils the checkpoint for who knows the witness.
    let text = signed.to_string();
    let at = text.rfind("w1 ").unwrap() + 30;
    let changed =
        format!("{}{}{}", &text[..at], if &text[at..=at] == "A" { "B" } else { "A" }, &text[at + 1..]);
    let spoiled = SignedCheckpoint::parse(&changed, &ledger.verifier()).unwrap();
    assert!(spoiled.verify_cosignatures(&keys).is_err());
}

proptest! {
    #[test]
    fn round_trip(size: u64, root: [u8; 32], name in "[a-z][a-z./-]{0,30}") {
        let signed = Checkpoint { origin: name.clone(), size, root: Hash(root) }.sign(&key(&name));
        prop_assert_eq!(SignedCheckpoint::parse(&signed.to_string(), &key(&name).verifier()).unwrap(), signed);
    }
}
