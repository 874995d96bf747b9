//! Proof files: what they prove, what they refuse, and the vectors an outsider's checker can run against.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::super::testing::*;
use super::*;
use crate::base::hash::{from_base64, to_base64};
use crate::base::limits::MAX_PATH_HASHES;

/// A whole small ledger, and the proof of every record in it.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    /// Verifier key of the ledger.
    ledger_key: String,
    /// Verifier key of the writer.
    writer_key: String,
    checkpoint: String,
    blocks: Vec<Vector>,
    proofs: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Vector {
    text: String,
    /// Block hash, in base64.
    hash: String,
    /// The batch body in base64, empty if the statement is no batch. Its records cannot be opened.
    body: String,
}

const POSITIONS: [(u64, usize); 8] = [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (3, 0), (3, 1), (3, 2)];

fn sample_vectors() -> Vectors {
    let l = Ledger::sample();
    let body = |height| l.bodies.get(&height).map(|b| to_base64(b)).unwrap_or_default();
    Vectors {
        about: "A ledger of four blocks (roster, batch of five, heartbeat, batch of three), its \
            checkpoint and the proof of every record. Every key's Ed25519 seed is the SHA-256 of its name."
            .into(),
        ledger_key: key(ORIGIN).verifier().to_string(),
        writer_key: key(WRITER).verifier().to_string(),
        checkpoint: l.checkpoint().to_string(),
        blocks: l
            .blocks
            .iter()
            .map(|b| Vector { text: b.to_string(), hash: b.hash().base64(), body: body(b.height) })
            .collect(),
        proofs: POSITIONS
            .iter()
            .map(|(height, at)| serde_json::from_str(&l.proof(*height, *at).to_json()).unwrap())
            .collect(),
    }
}

#[test]
fn ledger_vectors() {
    let file = include_str!("../../tests/vectors/chain/ledger.json");
    let v: Vectors = serde_json::from_str(file).unwrap();
    assert_eq!(v, sample_vectors(), "now:\n{}", serde_json::to_string_pretty(&sample_vectors()).unwrap());
    let (ledger, writer) = (v.ledger_key.parse().unwrap(), v.writer_key.parse().unwrap());
    for (proof, (height, at)) in v.proofs.iter().zip(POSITIONS) {
        let proof = Proof::parse(proof.to_string().as_bytes()).unwrap();
        let verified = proof.verify(&ledger, Some(&writer)).unwrap();
        assert_eq!(verified.block_height, height);
        let body = from_base64(&v.blocks[height as usize].body).unwrap();
        let record = crate::base::batch::Body::decode(&body).unwrap().records().nth(at).unwrap();
        assert_eq!(proof.check_record(record), Ok(()));
    }
}

#[test]
fn a_proof_proves_what_it_says() {
    let l = Ledger::sample();
    let (ledger, writer) = (key(ORIGIN).verifier(), key(WRITER).verifier());
    let proof = l.proof(3, 1);
    assert_eq!(Proof::parse(proof.to_json().as_bytes()).unwrap(), proof);
    let found = proof.verify(&ledger, None).unwrap();
    assert_eq!((found.record, found.block_height, found.writer_checked), (6, 3, false));
    assert_eq!((found.ledger.as_str(), found.writer.as_str()), (ORIGIN, WRITER));
    assert_eq!((found.committed, found.sealed), (l.blocks[3].committed, time(5)));
    assert_eq!(found.checkpoint, l.checkpoint());
    assert_eq!(found.leaf_inputs, proof.leaf_inputs);
    assert!(proof.verify(&ledger, Some(&writer)).unwrap().writer_checked);
    let lab = proof.verify(&ledger, Some(&key("ledger.example/writers/lab").verifier()));
    assert!(matches!(lab, Err(ProofError::Writer { .. })));
    let other = proof.verify(&key("other.example").verifier(), None);
    assert!(matches!(other, Err(ProofError::Ledger { .. })));

    assert_eq!(proof.check_record(&l.record_bytes(3, 1)), Ok(()));
    assert_eq!(proof.check_record(&l.record_bytes(3, 0)), Err(ProofError::OtherRecord("ciphertext")));
    assert_eq!(proof.check_record(&erased(&l.record_bytes(3, 1))), Ok(()));
    let mut changed = l.record_bytes(3, 1);
    changed[1] ^= 1;
    assert_eq!(proof.check_record(&changed), Err(ProofError::OtherRecord("disclosure root")));
    changed[1] ^= 1;
    changed[40] ^= 1;
    assert_eq!(proof.check_record(&changed), Err(ProofError::OtherRecord("envelope")));
    assert!(matches!(proof.check_record(&changed[..9]), Err(ProofError::Record(_))));
}

/// Parts of honest proofs put together to say something false.
#[test]
fn no_mixture_of_true_parts_verifies() {
    let l = Ledger::sample();
    let ledger = key(ORIGIN).verifier();
    let (a, b, other_block) = (l.proof(1, 0), l.proof(1, 1), l.proof(3, 0));
    let refused = |p: Proof| p.verify(&ledger, None).unwrap_err();
    let inclusion = |e| matches!(e, ProofError::RecordInclusion(_));
    assert!(inclusion(refused(Proof { leaf_inputs: b.leaf_inputs, ..a.clone() })));
    assert!(inclusion(refused(Proof { record_path: b.record_path.clone(), ..a.clone() })));
    assert!(inclusion(refused(Proof { record: 1, ..a.clone() })));
    assert!(matches!(
        refused(Proof { record: 5, ..a.clone() }),
        ProofError::Range { record: 5, first: 0, records: 5 }
    ));
    assert!(matches!(refused(Proof { record: 4, ..other_block.clone() }), ProofError::Range { .. }));
    assert!(matches!(refused(Proof { record: u64::MAX, ..a.clone() }), ProofError::Range { .. }));
    assert!(matches!(
        refused(Proof { block: other_block.block.clone(), ..a.clone() }),
        ProofError::Height { .. }
    ));
    assert!(matches!(refused(Proof { ledger: "x".into(), ..a.clone() }), ProofError::Ledger { .. }));
    // A block that holds no records, with its own honest log proof.
    let mut beat = a.clone();
    beat.block = l.blocks[2].to_string();
    let path = l.log.inclusion_path(&l.tiles, 2, 4).unwrap();
    let checkpoint = l.checkpoint().to_string();
    let tlog = TlogProof { extra: None, index: 2, path, checkpoint };
    beat.log_proof = tlog.to_string();
    assert_eq!(refused(beat), ProofError::NoRecords);
    // The same, but for a block that was never logged, at every height the log might seem to have.
    let mut forged = a.clone();
    forged.block = forged.block.replace("records 5", "records 6");
    assert!(matches!(refused(forged), ProofError::BlockInclusion(MerkleError::Root(_))));
    let mut beyond = a.clone();
    beyond.block = beyond.block.replace("height 1", "height 5");
    beyond.log_proof = beyond.log_proof.replace("index 1", "index 5");
    assert!(matches!(refused(beyond), ProofError::BlockInclusion(MerkleError::Index { .. })));
    let mut extra = a;
    extra.log_proof = extra.log_proof.replacen("\nindex", "\nextra AAAA\nindex", 1);
    assert_eq!(refused(extra), ProofError::Member("log_proof"));
}

#[test]
fn every_changed_byte_of_a_proof_file_is_detected() {
    let ledger = key(ORIGIN).verifier();
    let proof = Ledger::sample().proof(3, 2);
    for changed in mutations(&proof.to_json()) {
        let Ok(other) = Proof::parse(changed.as_bytes()) else { continue };
        // White space between members may be another white space: it is then still the same proof.
        if other != proof {
            assert!(other.verify(&ledger, None).is_err(), "{changed}");
        }
    }
}

#[test]
fn files_that_are_no_proof() {
    let good = Ledger::sample().proof(1, 3).to_json();
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let refused = |text: String| assert!(Proof::parse(text.as_bytes()).is_err(), "{text}");
    for member in value.as_object().unwrap().keys() {
        let mut without = value.clone();
        without.as_object_mut().unwrap().remove(member);
        refused(without.to_string());
        let mut wrong = value.clone();
        wrong[member] = serde_json::Value::Null;
        refused(wrong.to_string());
    }
    // An array of the values in order is what serde would take for the object.
    let members = [
        "format",
        "ledger",
        "record",
        "id",
        "ciphertext_sha256",
        "envelope_hash",
        "disclosure_root",
        "record_path",
        "block",
        "log_proof",
    ];
    let array: Vec<_> = members.iter().map(|m| value[*m].clone()).collect();
    assert!(serde_json::from_value::<Members>(array.clone().into()).is_ok());
    refused(serde_json::Value::from(array).to_string());
    for (from, to) in [
        ("proof/v1", "proof/v2"),
        ("EVT-00000003", "EVT-3"),
        ("EVT-00000003", "EVT-00000004"),
        ("\"record\": 3", "\"record\": 3.0"),
        ("\"record\": 3", "\"record\": -3"),
        ("\"record\": 3", "\"record\": \"3\""),
        ("\"record\": 3", "\"record\": 3, \"record\": 3"),
        ("\"record\": 3", "\"record\": 3, \"more\": 1"),
        ("\n}\n", "\n}\n}"),
        ("\n}\n", ""),
    ] {
        assert!(good.contains(from), "{from}");
        refused(good.replacen(from, to, 1));
    }
    let hash = value["envelope_hash"].as_str().unwrap();
    refused(good.replace(hash, &hash.to_uppercase()));
    refused(good.replace(hash, &hash[2..]));
    let mut long = value.clone();
    long["record_path"] = vec![Hash::ZERO.base64(); MAX_PATH_HASHES + 1].into();
    refused(long.to_string());
    refused(String::new());
    assert_eq!(Proof::parse(&vec![b' '; MAX_PROOF_BYTES + 1]), Err(ProofError::TooLarge));
}

#[test]
fn record_names() {
    for (index, id) in [(0, "EVT-00000000"), (42, "EVT-00000042"), (123_456_789, "EVT-123456789")] {
        assert_eq!((record_id(index).as_str(), parse_record_id(id)), (id, Some(index)));
    }
    assert_eq!(parse_record_id(&record_id(u64::MAX)), Some(u64::MAX));
    for bad in
        ["EVT-42", "EVT-000000042", "evt-00000042", "EVT-0000004x", "EVT-", "42", "EVT-99999999999999999999"]
    {
        assert_eq!(parse_record_id(bad), None, "{bad}");
    }
}

#[test]
fn tlog_proof_form() {
    let text = "c2sp.org/tlog-proof@v1\nextra YWJj\nindex 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\norigin\n…anything\n";
    let proof = TlogProof::parse(text).unwrap();
    assert_eq!(proof.to_string(), text);
    assert_eq!((proof.extra.as_deref(), proof.path.len()), (Some(&b"abc"[..]), 1));
    assert_eq!(proof.checkpoint, "origin\n…anything\n");
    for (from, to) in [
        ("@v1", "@v2"),
        ("YWJj", "YWJ"),
        ("index 0", "index 00"),
        ("AAA=", "AAB="),
        ("\n\norigin\n…anything\n", "\n"),
    ] {
        assert!(text.contains(from));
        assert!(TlogProof::parse(&text.replacen(from, to, 1)).is_err(), "{from}");
    }
    let many = format!(
        "c2sp.org/tlog-proof@v1\nindex 0\n{}\n",
        format!("{}\n", Hash::ZERO.base64()).repeat(MAX_PATH_HASHES + 1)
    );
    assert!(TlogProof::parse(&many).is_err());
}

proptest! {
    #[test]
    fn tlog_proofs_round_trip(
        extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..40)),
        index: u64,
        path in proptest::collection::vec(any::<[u8; 32]>(), 0..9),
        checkpoint in "([ -~]{0,9}\n){0,4}",
    ) {
        let proof = TlogProof { extra, index, path: path.into_iter().map(Hash).collect(), checkpoint };
        prop_assert_eq!(TlogProof::parse(&proof.to_string()).unwrap(), proof);
    }

    #[test]
    fn no_tlog_proof_text_panics(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z=]{0,8}\n)?(index [0-9]{0,21}\n)?([A-Za-z0-9+/=]{0,44}\n){0,4}.{0,9}") {
        if let Ok(proof) = TlogProof::parse(&text) {
            prop_assert_eq!(proof.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_panic_the_proof_parser(noise in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let good = include_str!("../../tests/vectors/chain/ledger.json").as_bytes();
        prop_assert!(Proof::parse(&noise).is_err());
        let from = at.index(good.len());
        prop_assert!(Proof::parse(&[&good[..from], &noise].concat()).is_err());
    }

    #[test]
    fn record_names_round_trip(index: u64) {
        prop_assert_eq!(parse_record_id(&record_id(index)), Some(index));
    }
}
