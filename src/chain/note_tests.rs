//! The examples of C2SP and Go, the rules of verification, and every single-byte change.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::super::testing::{key, mutations};
use super::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    notes: Vec<Vector>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    note: String,
    keys: Vec<String>,
    /// `ok`, `malformed`, `bad-signature` or `no-known-signer`.
    expect: String,
    /// Names of the keys that signed, if `ok`.
    signers: Vec<String>,
}

#[test]
fn vectors() {
    let file = include_str!("../../tests/vectors/chain/notes.json");
    let vectors: Vectors = serde_json::from_str(file).unwrap();
    assert!(!vectors.about.is_empty() && vectors.notes.len() > 15);
    for v in vectors.notes {
        let keys: Vec<_> = v.keys.iter().map(|k| VerifierKey::parse(k).unwrap()).collect();
        let note = Note::parse(&v.note);
        let (outcome, signers) = match &note {
            Err(_) => ("malformed", vec![]),
            Ok(note) => {
                assert_eq!(note.to_string(), v.note, "{}", v.name);
                assert_eq!(note.byte_len(), v.note.len(), "{}", v.name);
                match note.verify(&keys) {
                    Ok(signers) => ("ok", signers.iter().map(|k| k.name().to_owned()).collect()),
                    Err(NoteError::BadSignature { .. }) => ("bad-signature", vec![]),
                    Err(NoteError::NoKnownSigner { .. }) => ("no-known-signer", vec![]),
                    Err(other) => panic!("{}: {other}", v.name),
                }
            }
        };
        assert_eq!((outcome, signers), (v.expect.as_str(), v.signers), "{}", v.name);
    }
}

/// The example of C2SP tlog-cosignature: no key is published for it, so this is about its form.
#[test]
fn cosignature_example_of_the_specification() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let note = format!(
        "{text}\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
         — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    );
    let parsed = Note::parse(&note).unwrap();
    assert_eq!(parsed.to_string(), note);
    let [_, cosignature] = &parsed.signatures[..] else { panic!("two lines") };
    assert_eq!(cosignature.key_id, 0x8d66_cf3f);
    assert_eq!(cosignature.bytes.len(), 8 + 64);
    let seconds = u64::from_be_bytes(cosignature.bytes[..8].try_into().unwrap());
    assert_eq!(
        cosigned_message(seconds, text),
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    );
}

#[test]
fn cosignatures_verify_and_tell_the_time() {
    let (log, witness, other) = (key("log.example"), key("w.example/1"), key("w.example/2"));
    let mut note = Note::sign("log.example\n7\nroot\n", &log);
    note.cosign(&witness, 1_679_315_147);
    let note = Note::parse(&note.to_string()).unwrap();
    let keys = [witness.cosigner(), other.cosigner()];
    let found = note.verify_cosignatures(&keys).unwrap();
    assert_eq!(found, [Cosignature { witness: &keys[0], seconds: 1_679_315_147 }]);
    assert_eq!(note.verify_cosignatures(&keys[1..]).unwrap(), []);
    // The witness's key as an ordinary one is another key, and unknown.
    assert!(matches!(note.verify(&[witness.verifier()]), Err(NoteError::NoKnownSigner { .. })));
    // Neither time nor text may change, and the time must fit 63 bits.
    for change in [0, 7, 8, 71] {
        let mut wrong = note.clone();
        wrong.signatures[1].bytes[change] ^= 1;
        assert!(matches!(wrong.verify_cosignatures(&keys), Err(NoteError::BadSignature { .. })));
    }
    let mut late = Note::sign("log.example\n7\nroot\n", &log);
    late.cosign(&witness, 1 << 63);
    assert!(late.verify_cosignatures(&keys).is_err());
}

#[test]
fn a_known_key_must_verify_even_if_another_does() {
    let (a, b) = (key("a.example"), key("b.example"));
    let mut note = Note::sign("text\n", &a);
    note.add_signature(&b);
    assert_eq!(note.verify(&[a.verifier(), b.verifier()]).unwrap().len(), 2);
    note.signatures[1].bytes[9] ^= 1;
    assert_eq!(note.verify(&[a.verifier()]).unwrap(), [&a.verifier()]);
    let both = [a.verifier(), b.verifier()];
    assert_eq!(note.verify(&both), Err(NoteError::BadSignature { name: "b.example".into() }));
    // A wrong second line of a key whose first line is right.
    let mut twice = Note::sign("text\n", &a);
    twice.add_signature(&a);
    assert_eq!(twice.verify(&[a.verifier()]).unwrap().len(), 1);
    twice.signatures[1].bytes[0] ^= 1;
    assert!(twice.verify(&[a.verifier()]).is_err());
}

#[test]
fn signature_lines_are_limited() {
    let a = key("a.example");
    let mut note = Note::sign("text\n", &a);
    while note.signatures.len() < MAX_SIGNATURES {
        note.add_signature(&a);
    }
    assert_eq!(Note::parse(&note.to_string()).unwrap(), note);
    note.add_signature(&a);
    assert_eq!(Note::parse(&note.to_string()), Err(NoteError::TooManySignatures));
}

#[test]
fn every_single_byte_counts() {
    let a = key("a.example/Prüfer");
    let text = Note::sign("first line\n\nsecond — line\n", &a).to_string();
    let keys = [a.verifier()];
    assert!(Note::parse(&text).unwrap().verify(&keys).is_ok());
    for changed in mutations(&text) {
        let accepted = Note::parse(&changed).is_ok_and(|n| n.verify(&keys).is_ok());
        assert!(!accepted, "{changed}");
    }
    for (cut, _) in text.char_indices() {
        assert!(!Note::parse(&text[..cut]).is_ok_and(|n| n.verify(&keys).is_ok()));
    }
}

proptest! {
    #[test]
    fn notes_round_trip(text in "([ -~é]{0,30}\n){1,5}", names in proptest::collection::vec("[a-z.]{1,9}", 1..5)) {
        let mut note = Note::sign(&text, &key(&names[0]));
        names[1..].iter().for_each(|n| note.add_signature(&key(n)));
        let bytes = note.to_string();
        prop_assert_eq!(note.byte_len(), bytes.len());
        prop_assert_eq!(Note::parse(&bytes).unwrap(), note);
    }

    #[test]
    fn whatever_parses_has_this_one_spelling(text in "(.{0,9}\n){0,3}\n?(— ?[a-z ]{0,4} ?[A-Za-z0-9+/]{0,12}={0,2}\n?){0,3}") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
