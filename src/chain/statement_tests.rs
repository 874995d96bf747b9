//! `parse` and `to_text` are exact inverses for every kind, and each rule of the format refuses something.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::super::key::{KeyKind, VerifierKey};
use super::super::replay::Head;
use super::super::roster::RosterReader;
use super::super::testing::*;
use super::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    valid: Vec<Valid>,
    invalid: Vec<Invalid>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    kind: String,
    text: String,
    /// Statement hash in base64.
    hash: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    why: String,
    text: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/chain/statements.json")).unwrap()
}

#[test]
fn statement_vectors() {
    let v = vectors();
    assert!(!v.about.is_empty() && v.invalid.len() > 50);
    let kinds: Vec<_> = v.valid.iter().map(|v| v.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [ROSTER_KIND, RECORDS_KIND, HEARTBEAT_KIND, GRANT_KIND, ERASURE_KIND, HOLD_KIND, HOLD_KIND]
    );
    for v in &v.valid {
        let statement = Statement::parse(&v.text).unwrap_or_else(|e| panic!("{}: {e}", v.kind));
        assert_eq!((statement.kind(), statement.to_text()), (v.kind.as_str(), v.text.clone()));
        assert_eq!(statement_hash(&v.text).base64(), v.hash);
    }
    for bad in &v.invalid {
        assert!(Statement::parse(&bad.text).is_err(), "{}", bad.why);
    }
}

/// The valid vectors are the samples of this layer's tests, so that they cannot drift apart.
#[test]
fn the_vectors_are_the_samples() {
    let head = Head { next_sequence: 7, previous: Hash::of(&[b"before"]) };
    let body = body(WRITER, 7, &[record(0, 150, 2), record(1, 150, 2)]);
    let samples = [
        Statement::Roster(roster(head)),
        Statement::Records(records_statement(head, &body)),
        heartbeat(head),
        Statement::Grant(grant(head)),
        Statement::Erasure(erasure(head)),
        Statement::Hold(hold(head)),
        Statement::Hold(HoldStatement {
            action: HoldAction::Release,
            reason: "settled".into(),
            ..hold(head)
        }),
    ];
    for (sample, vector) in samples.iter().zip(vectors().valid) {
        assert_eq!(sample.to_text(), vector.text);
        assert_eq!((sample.sequence(), sample.previous(), sample.ledger()), (7, head.previous, ORIGIN));
    }
}

#[test]
fn a_changed_byte_is_refused_or_is_another_statement() {
    for valid in vectors().valid {
        let original = Statement::parse(&valid.text).unwrap();
        for changed in mutations(&valid.text) {
            if let Ok(other) = Statement::parse(&changed) {
                assert_eq!(other.to_text(), changed);
                assert_ne!(other, original);
            }
        }
        for (cut, _) in valid.text.char_indices() {
            // Only a roster can lose lines at its end, the witnesses, and is then another roster.
            let short = Statement::parse(&valid.text[..cut]);
            assert!(short.is_err() || valid.kind == ROSTER_KIND && short != Ok(original.clone()));
        }
    }
}

#[test]
fn no_signed_byte_can_be_changed() {
    let signer = key(WRITER);
    let keys = [signer.verifier()];
    for valid in vectors().valid {
        let note = Statement::parse(&valid.text).unwrap().sign(&signer).unwrap();
        assert!(note.verify(&keys).is_ok());
        for changed in mutations(&note.to_string()) {
            assert!(!Note::parse(&changed).is_ok_and(|n| n.verify(&keys).is_ok()), "{changed}");
        }
    }
}

#[test]
fn signing_finds_a_field_out_of_its_rules() {
    let head = Head::default();
    let signer = key(ADMIN);
    let refused = |s: Statement| assert!(s.sign(&signer).is_err(), "{}", s.to_text());
    refused(Statement::Erasure(ErasureStatement { legal_basis: "two\nlines".into(), ..erasure(head) }));
    refused(Statement::Erasure(ErasureStatement { reason: "No Capitals".into(), ..erasure(head) }));
    refused(Statement::Erasure(ErasureStatement { records: vec![], ..erasure(head) }));
    refused(Statement::Hold(HoldStatement { hold: "two words".into(), ..hold(head) }));
    refused(Statement::Hold(HoldStatement { reason: "Free text".into(), ..hold(head) }));
    refused(Statement::Hold(HoldStatement { action: HoldAction::Place(vec![]), ..hold(head) }));
    refused(Statement::Grant(GrantStatement { to_name: "two words".into(), ..grant(head) }));
    refused(Statement::Grant(GrantStatement { to: "age1".into(), ..grant(head) }));
    refused(Statement::Roster(Roster { admins: vec![], ..roster(head) }));
    refused(Statement::Roster(Roster { officers_required: 4, ..roster(head) }));
    refused(Statement::Roster(Roster { ledger_key: key("other.example").verifier(), ..roster(head) }));
    refused(Statement::Roster(Roster { witnesses: vec![key("w").verifier()], ..roster(head) }));
    let again = |name: &str| {
        VerifierKey::new(name, KeyKind::Ed25519, key("officer-a").verifier().public_bytes()).unwrap()
    };
    let two_names = vec![key("officer-a").verifier(), again("officer-b")];
    refused(Statement::Roster(Roster { officers: two_names.clone(), ..roster(head) }));
    refused(Statement::Roster(Roster { admins: two_names.clone(), ..roster(head) }));
    refused(Statement::Roster(Roster { writers: two_names, ..roster(head) }));
    // In two roles one key is allowed.
    let admins = vec![key("officer-a").verifier()];
    assert!(Statement::Roster(Roster { admins, ..roster(head) }).sign(&signer).is_ok());
    let mut readers = roster(head).readers;
    readers[1].recipient = readers[0].recipient.clone();
    refused(Statement::Roster(Roster { readers, ..roster(head) }));
    let injected = format!("{ORIGIN}\nsequence 9");
    refused(Statement::Heartbeat(HeartbeatStatement {
        ledger: injected,
        sequence: 0,
        previous: Hash::ZERO,
        issued: time(0),
    }));
    let mut unsorted = roster(head);
    unsorted.writers.reverse();
    refused(Statement::Roster(unsorted.clone()));
    unsorted.sort();
    assert_eq!(unsorted, roster(head));
    assert!(Statement::Roster(unsorted).sign(&signer).is_ok());
}

#[test]
fn roster_lookups() {
    let r = roster(Head::default());
    assert_eq!(r.writer(WRITER), Some(&key(WRITER).verifier()));
    assert_eq!(r.writer(ADMIN), None);
    assert_eq!(r.admin(ADMIN), Some(&key(ADMIN).verifier()));
    assert_eq!(r.officer("officer-b"), Some(&key("officer-b").verifier()));
    assert_eq!(r.witness("witness.example/w1"), Some(&key("witness.example/w1").cosigner()));
    assert_eq!(r.reader("auditor"), r.reader_by_recipient(&recipient(1)));
    assert_eq!(r.required_readers().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["auditor"]);
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-zé./-]{0,20}"
}

fn head_strategy() -> impl Strategy<Value = (u64, Hash, Timestamp)> {
    (any::<u64>(), any::<[u8; 32]>(), 0i64..253_402_300_799_999)
        .prop_map(|(n, h, t)| (n, Hash(h), Timestamp::from_millis(t).unwrap()))
}

fn keys() -> impl Strategy<Value = Vec<VerifierKey>> {
    vec(name(), 0..3).prop_map(|mut names| {
        names.sort();
        names.dedup();
        names.iter().map(|n| key(n).verifier()).collect()
    })
}

fn any_roster() -> impl Strategy<Value = Statement> {
    let readers = btree_map(name(), (any::<u8>(), any::<bool>()), 0..4);
    (name(), head_strategy(), name(), keys(), readers, keys(), any::<u64>(), keys()).prop_map(
        |(ledger, (sequence, previous, issued), admin, writers, readers, officers, required, witnesses)| {
            let mut seen = std::collections::BTreeSet::new();
            Statement::Roster(Roster {
                ledger_key: key(&ledger).verifier(),
                ledger,
                sequence,
                previous,
                issued,
                admins: vec![key(&admin).verifier()],
                writers,
                readers: readers
                    .into_iter()
                    .filter(|(_, (seed, _))| seen.insert(recipient(*seed)))
                    .map(|(name, (seed, required))| RosterReader {
                        name,
                        recipient: recipient(seed),
                        required,
                    })
                    .collect(),
                officers_required: required % (officers.len() as u64 + 1),
                officers,
                witnesses: witnesses.iter().map(|k| key(k.name()).cosigner()).collect(),
            })
        },
    )
}

fn any_records() -> impl Strategy<Value = Statement> {
    let counts = (1..=MAX_BATCH_RECORDS as u64, 0..=MAX_BATCH_BYTES as u64);
    (name(), head_strategy(), counts, any::<[[u8; 32]; 3]>()).prop_map(
        |(ledger, (sequence, previous, sealed), (records, bytes), hashes)| {
            Statement::Records(RecordsStatement {
                ledger,
                sequence,
                previous,
                sealed,
                records,
                bytes,
                records_root: Hash(hashes[0]),
                tags_root: Hash(hashes[1]),
                header_hash: Hash(hashes[2]),
                retain_until: sealed.date(),
            })
        },
    )
}

fn any_authority() -> impl Strategy<Value = Statement> {
    let ranges = vec((0..1u64 << 40, 0..1u64 << 40), 1..5);
    let basis = "[!-~é§][ -~é§]{0,40}[!-~é§]";
    (name(), head_strategy(), ranges, "[a-z0-9.-]{1,64}", basis, any::<[u8; 3]>()).prop_map(
        |(ledger, (sequence, previous, issued), steps, reason, legal_basis, [from, to, grant])| {
            // Each range starts at least two above the end of the one before.
            let mut next = 0;
            let mut records = Vec::new();
            for (gap, length) in steps {
                records.push(RecordRange { first: next + gap, last: next + gap + length });
                next += gap + length + 2;
            }
            if grant > 127 {
                let (from, to, to_name) = (recipient(from), recipient(to), reason);
                let (range, slots_hash) = (records[0], Hash::of(&[&[grant]]));
                return Statement::Grant(GrantStatement {
                    ledger,
                    sequence,
                    previous,
                    issued,
                    range,
                    from,
                    to_name,
                    to,
                    slots_hash,
                });
            }
            if grant > 63 {
                let hold = format!("hold_{from}");
                let action = if to > 127 { HoldAction::Place(records) } else { HoldAction::Release };
                return Statement::Hold(HoldStatement {
                    ledger,
                    sequence,
                    previous,
                    issued,
                    hold,
                    action,
                    reason,
                });
            }
            Statement::Erasure(ErasureStatement {
                ledger,
                sequence,
                previous,
                issued,
                records,
                reason,
                legal_basis,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn every_statement_round_trips(s in prop_oneof![any_roster(), any_records(), any_authority()]) {
        let text = s.to_text();
        prop_assert_eq!(Statement::parse(&text).unwrap(), s);
    }

    #[test]
    fn lines_cannot_be_left_out_doubled_or_moved(which in 0usize..7, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let text = vectors().valid.swap_remove(which).text;
        let original = Statement::parse(&text).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        let mut without = lines.clone();
        without.remove(a);
        let mut doubled = lines.clone();
        doubled.insert(b, lines[a]);
        let mut swapped = lines.clone();
        swapped.swap(a, b);
        for changed in [without.concat(), doubled.concat(), swapped.concat()] {
            // Optional lines of a roster, erasure or hold may go; what is left is then another statement.
            if let Ok(other) = Statement::parse(&changed) {
                prop_assert_eq!(other == original, changed == text);
                prop_assert_eq!(other.to_text(), changed);
            }
        }
    }

    #[test]
    fn no_text_panics(kind in 0usize..7, text in "([a-z-]{1,9} [ -~]{0,20}\n){0,6}") {
        let kind = ["", RECORDS_KIND, HEARTBEAT_KIND, ROSTER_KIND, GRANT_KIND, ERASURE_KIND, HOLD_KIND][kind];
        let text = format!("{kind}\n{text}");
        prop_assert!(Statement::parse(&text).is_err());
    }
}
