//! Attacker: the thief of a writer's key, with the operator. He signs forms that another program might read otherwise: numbers that
//! cannot be, other spellings of one statement, other bytes for one signature.

use sealtrail::chain::note::Note;

use crate::forge::Forged;
use crate::judge::Victim::{ProofBy, Reader, Stranger};
use crate::judge::{Scene, expect};
use crate::world::{signer, world};

/// Numbers in a signed statement that cannot be: signed by the writer, taken in by the operator.
#[test]
fn sign_huge_numbers() {
    let mut found = String::new();
    let change = |name: &str, value: &str| {
        let mut forged = Forged::honest();
        let part = forged.parts.last_mut().unwrap();
        let text = part.block().statement.text;
        let line = text.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap().to_owned();
        part.set_note(Note::sign(&text.replace(&line, &format!("{name} {value}")), &world().keys.lab));
        // Not relinked: nothing of it may be readable.
        forged.sign(&world().keys.ledger);
        forged
    };
    for (name, value) in [
        ("records", "18446744073709551615"),
        ("records", "18446744073709551616"),
        ("records", "0"),
        ("records", "3"),
        ("bytes", "18446744073709551615"),
        ("sequence", "18446744073709551615"),
        ("sequence", "03"),
        ("sealed", "2026-13-01T00:00:00.000Z"),
        ("sealed", "2026-11-01T00:00:60.000Z"),
        ("retain-until", "9999-99-99"),
        ("retain-until", "2026-11-01 "),
    ] {
        let scene = Scene::served(&change(name, value));
        found += &format!("[{name} {value}]\n{}", scene.judge(&[Stranger, Reader]));
    }
    expect(&found, "
        [records 18446744073709551615]
        Stranger 1: block 11: records: the value of 'records' is not valid: none, or more than a batch may have
        Reader 1: block 11: records: the value of 'records' is not valid: none, or more than a batch may have
        [records 18446744073709551616]
        Stranger 1: block 11: records: the value of 'records' is not valid: expected a decimal number without leadin…
        Reader 1: block 11: records: the value of 'records' is not valid: expected a decimal number without leadin…
        [records 0]
        Stranger 1: block 11: records: the value of 'records' is not valid: none, or more than a batch may have
        Reader 1: block 11: records: the value of 'records' is not valid: none, or more than a batch may have
        [records 3]
        Stranger 1: block 11: its leaf inputs do not have the root that the writer signed
        Reader 1: block 11: its leaf inputs, kept for proofs, do not have the root that the writer signed
        [bytes 18446744073709551615]
        Stranger 1: block 11: records: the value of 'bytes' is not valid: larger than a batch may be
        Reader 1: block 11: records: the value of 'bytes' is not valid: larger than a batch may be
        [sequence 18446744073709551615]
        Stranger 1: block 11: test.example/writers/lab: statement 18446744073709551615 arrived, 3 is next; send what…
        Reader 1: block 11: test.example/writers/lab: statement 18446744073709551615 arrived, 3 is next; send what…
        [sequence 03]
        Stranger 1: block 11: records: the value of 'sequence' is not valid: expected a decimal number without leadi…
        Reader 1: block 11: records: the value of 'sequence' is not valid: expected a decimal number without leadi…
        [sealed 2026-13-01T00:00:00.000Z]
        Stranger 1: block 11: records: the value of 'sealed' is not valid: expected a time YYYY-MM-DDThh:mm:ss.mmmZ
        Reader 1: block 11: records: the value of 'sealed' is not valid: expected a time YYYY-MM-DDThh:mm:ss.mmmZ
        [sealed 2026-11-01T00:00:60.000Z]
        Stranger 1: block 11: records: the value of 'sealed' is not valid: expected a time YYYY-MM-DDThh:mm:ss.mmmZ
        Reader 1: block 11: records: the value of 'sealed' is not valid: expected a time YYYY-MM-DDThh:mm:ss.mmmZ
        [retain-until 9999-99-99]
        Stranger 1: block 11: records: the value of 'retain-until' is not valid: expected a date YYYY-MM-DD
        Reader 1: block 11: records: the value of 'retain-until' is not valid: expected a date YYYY-MM-DD
        [retain-until 2026-11-01 ]
        Stranger 1: block 11: records: the value of 'retain-until' is not valid: expected a date YYYY-MM-DD
        Reader 1: block 11: records: the value of 'retain-until' is not valid: expected a date YYYY-MM-DD");
}

/// Another spelling of the same statement, signed by its writer: other line ends, spaces, a mark at the front, a line twice.
#[test]
fn sign_another_spelling() {
    let mut found = String::new();
    type Respell = fn(&str) -> String;
    let cases: [(&str, Respell); 8] = [
        ("carriage returns", |t| t.replace('\n', "\r\n")),
        ("two spaces", |t| t.replace("records 2", "records  2")),
        ("a space at the end", |t| t.replace("records 2\n", "records 2 \n")),
        ("a byte order mark", |t| format!("\u{feff}{t}")),
        ("a line twice", |t| t.replace("records 2\n", "records 2\nrecords 2\n")),
        ("a line more", |t| format!("{t}note hello\n")),
        ("full-width digits", |t| t.replace("records 2", "records \u{ff12}")),
        ("a small letter that looks alike", |t| t.replace("ledger test", "ledger t\u{435}st")),
    ];
    for (name, change) in cases {
        let mut forged = Forged::honest();
        let part = forged.parts.last_mut().unwrap();
        let text = part.block().statement.text;
        let changed = change(&text);
        assert_ne!(changed, text);
        part.set_note(Note::sign(&changed, &world().keys.lab));
        forged.sign(&world().keys.ledger);
        let scene = Scene::served(&forged);
        // A proof by hand: the rest of it is in order.
        let proof = sealtrail::chain::proof::Proof {
            block: forged.parts[11].text.clone(),
            log_proof: forged.log_proof(11).to_string(),
            ..Forged::honest().proof(9)
        };
        let proof = scene.verify(&proof.to_json(), &[]);
        found += &format!("[{name}]\n{}{proof}", scene.judge(&[Stranger]));
    }
    expect(&found, "
        [carriage returns]
        Stranger 1: block 11: the block's statement is not a signed note: the note has a control character other tha…
        verify 1: NOT PROVEN: the block in the proof cannot be read: the block's statement is not a signed note: t…
        [two spaces]
        Stranger 1: block 11: records: the value of 'records' is not valid: expected a decimal number without leadin…
        verify 1: NOT PROVEN: the block in the proof cannot be read: records: the value of 'records' is not valid:…
        [a space at the end]
        Stranger 1: block 11: records: the value of 'records' is not valid: expected a decimal number without leadin…
        verify 1: NOT PROVEN: the block in the proof cannot be read: records: the value of 'records' is not valid:…
        [a byte order mark]
        Stranger 1: block 11: the first line names no known kind of statement
        verify 1: NOT PROVEN: the block in the proof cannot be read: the first line names no known kind of stateme…
        [a line twice]
        Stranger 1: block 11: records: expected the line 'bytes'
        verify 1: NOT PROVEN: the block in the proof cannot be read: records: expected the line 'bytes'
        [a line more]
        Stranger 1: block 11: records: unexpected lines after the last one
        verify 1: NOT PROVEN: the block in the proof cannot be read: records: unexpected lines after the last one
        [full-width digits]
        Stranger 1: block 11: records: the value of 'records' is not valid: expected a decimal number without leadin…
        verify 1: NOT PROVEN: the block in the proof cannot be read: records: the value of 'records' is not valid:…
        [a small letter that looks alike]
        Stranger 1: block 11: the statement is for the ledger tеst.example/audit, this is test.example/audit
        verify 1: NOT PROVEN: the proof is for the ledger tеst.example/audit, the key belongs to test.example/audi…");
}

/// Other bytes that a careless verifier takes for the same signature: S + L, a second line, a cosignature's form.
#[test]
fn bend_a_signature() {
    let mut found = String::new();
    type Bend = fn(&mut Note);
    let cases: [(&str, Bend); 5] = [
        ("S plus the order of the group", |n| {
            let s: &mut [u8] = &mut n.signatures[0].bytes[32..];
            add_order(s);
        }),
        ("the same line twice", |n| n.signatures.push(n.signatures[0].clone())),
        ("a stranger's line beside it", |n| n.add_signature(&signer("test.example/stranger"))),
        ("one byte more", |n| n.signatures[0].bytes.push(0)),
        ("all zero", |n| n.signatures[0].bytes = vec![0; 64]),
    ];
    for (name, bend) in cases {
        let mut forged = Forged::honest();
        let part = forged.parts.last_mut().unwrap();
        let mut note = part.block().statement;
        bend(&mut note);
        part.set_note(note);
        forged.sign(&world().keys.ledger);
        found += &format!("[{name}]\n{}", Scene::served(&forged).judge(&[Stranger, ProofBy(9, "lab")]));
    }
    expect(&found, "
        [S plus the order of the group]
        Stranger 1: block 11: the signature of test.example/writers/lab does not verify: the statement was changed a…
        ProofBy(9, \"lab\") 1: NOT PROVEN: the statement is signed by test.example/writers/lab, not with the given key of test.…
        [the same line twice]
        Stranger 1: block 11: a writer's statement carries exactly one signature, this has 2
        ProofBy(9, \"lab\") 1: NOT PROVEN: the block's statement has more than one signature line; a writer's has exactly one
        [a stranger's line beside it]
        Stranger 1: block 11: a writer's statement carries exactly one signature, this has 2
        ProofBy(9, \"lab\") 1: NOT PROVEN: the block's statement has more than one signature line; a writer's has exactly one
        [one byte more]
        Stranger 1: block 11: the signature of test.example/writers/lab does not verify: the statement was changed a…
        ProofBy(9, \"lab\") 1: NOT PROVEN: the statement is signed by test.example/writers/lab, not with the given key of test.…
        [all zero]
        Stranger 1: block 11: the signature of test.example/writers/lab does not verify: the statement was changed a…
        ProofBy(9, \"lab\") 1: NOT PROVEN: the statement is signed by test.example/writers/lab, not with the given key of test.…");
}

/// RFC 8032 §5.1: L = 2^252 + 27742317777372353535851937790883648493, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn add_order(s: &mut [u8]) {
    let mut carry = 0u16;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
}
