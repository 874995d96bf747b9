//! Signatures at the edges of Ed25519, signed statements, session challenges.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sealtrail::base::hash::{from_hex, to_base64, to_hex};
use sealtrail::chain::authority::{ErasureStatement, GrantStatement, HoldAction, HoldStatement, RecordRange};
use sealtrail::chain::note::Note;
use sealtrail::chain::recipient::recipient_text;
use sealtrail::chain::replay::Head;
use sealtrail::chain::statement::{HeartbeatStatement, Statement};
use sealtrail::seal::kem::challenge_seal;
use sha2::{Digest as _, Sha512};

use crate::batch::plain_body;
use crate::kit::{ADMIN, Cases, LEDGER, OTHER, identity, key, number, rng};
use crate::ledger::{roster, statement, time};
use sealtrail::base::hash::Hash;

/// Writes the cases.
pub fn write(cases: &Cases) {
    ed25519(cases);
    statements(cases);
    sessions(cases);
}

fn hash(parts: &[&[u8]]) -> Scalar {
    let digest = parts.iter().fold(Sha512::new(), |h, p| h.chain_update(p));
    Scalar::from_bytes_mod_order_wide(&digest.finalize().into())
}

/// `y` as 32 bytes, little-endian, the sign bit clear: p + `more`, which is no canonical encoding.
fn p_plus(more: u8) -> [u8; 32] {
    let mut out = [0xff; 32];
    (out[0], out[31]) = (0xed + more, 0x7f);
    out
}

fn ed25519(cases: &Cases) {
    let message = b"sealtrail";
    let (a, r) = (hash(&[b"secret"]), hash(&[b"nonce"]));
    let (public, nonce) = (ED25519_BASEPOINT_POINT * a, ED25519_BASEPOINT_POINT * r);
    let bytes = |p: EdwardsPoint| p.compress().to_bytes();
    let [neutral, order_8] = [EIGHT_TORSION[0], EIGHT_TORSION[1]];
    let case = |name: &str, public: [u8; 32], message: &[u8], point: [u8; 32], s: [u8; 32], note: &str| {
        let case = cases.case(&format!("ed25519/{name}"), "ed25519").set("public_key", to_hex(&public));
        case.set("message", to_hex(message)).set("signature", to_hex(&[point, s].concat())).note(note)
    };
    // S for which S·B = R + k·A holds, k being over the bytes as they stand.
    let s = |public: &[u8; 32], point: &[u8; 32], message: &[u8], r: Scalar, a: Scalar| {
        r + hash(&[point, public, message]) * a
    };

    let good = s(&bytes(public), &bytes(nonce), message, r, a);
    case("good", bytes(public), message, bytes(nonce), good.to_bytes(), "").ok();
    case("another-message", bytes(public), b"sealtrai1", bytes(nonce), good.to_bytes(), "").fail("signature");
    let mut large = good.to_bytes();
    crate::proofs::add_group_order(&mut large);
    case("s-plus-l", bytes(public), message, bytes(nonce), large, "S not below L; the equation holds")
        .fail("signature");

    let weak = |name: &str, public: [u8; 32], note: &str| {
        case(name, public, message, bytes(nonce), r.to_bytes(), note).fail("signature");
    };
    weak("key-neutral", bytes(neutral), "A is the neutral element; the equation holds for every message");
    weak("key-neutral-not-canonical", p_plus(1), "A has y = p + 1; taken modulo p the equation holds");
    let mut signed_zero = bytes(neutral);
    signed_zero[31] |= 0x80;
    weak("key-neutral-with-sign", signed_zero, "x = 0 with the sign bit set");
    let searched = (0..64u8).find(|i| {
        let k = hash(&[&bytes(nonce), &bytes(order_8), &[*i]]);
        k.to_bytes()[0] & 7 == 0
    });
    let m = [searched.unwrap()];
    case(
        "key-of-order-8",
        bytes(order_8),
        &m,
        bytes(nonce),
        r.to_bytes(),
        "k is a multiple of 8, so the equation holds",
    )
    .fail("signature");

    let point = |name: &str, point: [u8; 32], note: &str| {
        let s = s(&bytes(public), &point, message, Scalar::ZERO, a);
        case(name, bytes(public), message, point, s.to_bytes(), note).fail("signature");
    };
    point("r-neutral", bytes(neutral), "R is the neutral element; the equation holds");
    point("r-neutral-not-canonical", p_plus(1), "R has y = p + 1; taken modulo p the equation holds");
    point("r-of-order-8", bytes(order_8), "only the equation multiplied by 8 holds");

    let mixed = public + order_8;
    for (name, rest, note) in [
        (
            "key-of-mixed-order",
            0,
            "A is of large order, with a component of order 8; the equation holds as it stands",
        ),
        ("key-of-mixed-order-with-cofactor", 1, "only the equation multiplied by 8 holds"),
    ] {
        let m = (0..255u8).find(|i| {
            let k = hash(&[&bytes(nonce), &bytes(mixed), &[*i]]);
            (k.to_bytes()[0] & 7 == 0) == (rest == 0)
        });
        let m = [m.unwrap()];
        let s = s(&bytes(mixed), &bytes(nonce), &m, r, a);
        let case = case(name, bytes(mixed), &m, bytes(nonce), s.to_bytes(), note);
        if rest == 0 { case.ok() } else { case.fail("signature") }
    }
    let shifted = bytes(nonce + order_8);
    let with_torsion = s(&bytes(public), &shifted, message, r, a);
    case(
        "r-of-mixed-order",
        bytes(public),
        message,
        shifted,
        with_torsion.to_bytes(),
        "only the equation multiplied by 8 holds",
    )
    .fail("signature");
    case("key-not-on-the-curve", [2; 32], message, bytes(nonce), good.to_bytes(), "").fail("signature");

    // RFC 8032 §7.1, TEST 2 and TEST SHA(abc) without its length: the shortest message that is not empty.
    let rfc = |name: &str, public: &str, message: &str, signature: &str| {
        let case = cases
            .case(&format!("ed25519/{name}"), "ed25519")
            .set("public_key", public)
            .set("message", message);
        case.set("signature", signature).ok();
    };
    rfc(
        "rfc-8032-test-1",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    rfc(
        "rfc-8032-test-2",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
}

fn statements(cases: &Cases) {
    let head = Head { next_sequence: 3, previous: Hash::of(&[b"previous"]) };
    let Head { next_sequence: sequence, previous } = head;
    let grant = GrantStatement {
        ledger: LEDGER.into(),
        sequence,
        previous,
        issued: time(8),
        range: RecordRange { first: 0, last: 4 },
        from: identity("auditor").recipient().to_string(),
        to_name: "network".into(),
        to: identity("network").recipient().to_string(),
        slots_hash: Hash::of(&[b"slots"]),
    };
    let erasure = ErasureStatement {
        ledger: LEDGER.into(),
        sequence,
        previous,
        issued: time(9),
        records: vec![RecordRange { first: 0, last: 0 }, RecordRange { first: 2, last: 3 }],
        reason: "retention.expired".into(),
        legal_basis: "GDPR Art. 17 (1) a \u{2014} L\u{f6}schung".into(),
    };
    let place = HoldStatement {
        ledger: LEDGER.into(),
        sequence,
        previous,
        issued: time(9),
        hold: "matter_2026-17".into(),
        action: HoldAction::Place(vec![RecordRange { first: 1, last: 1 }, RecordRange { first: 4, last: 6 }]),
        reason: "litigation".into(),
    };
    let release = HoldStatement { action: HoldAction::Release, reason: "settled".into(), ..place.clone() };
    let heartbeat = HeartbeatStatement { ledger: LEDGER.into(), sequence, previous, issued: time(3) };
    let all = [
        ("roster", Statement::Roster(roster(head))),
        ("records", Statement::Records(statement(&plain_body(number("statement"), 2), head))),
        ("heartbeat", Statement::Heartbeat(heartbeat)),
        ("grant", Statement::Grant(grant)),
        ("erasure", Statement::Erasure(erasure)),
        ("hold", Statement::Hold(place)),
        ("hold-release", Statement::Hold(release)),
    ];
    let case = |name: &str, text: &str| {
        let note = Note::sign(text, &key(ADMIN)).to_string();
        cases.case(name, "statement").file("statement", note).key("vkey", "admin.vkey")
    };
    for (name, statement) in &all {
        let text = statement.to_text();
        case(&format!("statement/{name}"), &text).ok();
        case(&format!("statement-fail/{name}-of-another-version"), &text.replacen("/v1\n", "/v2\n", 1))
            .fail("format");
        case(
            &format!("statement-fail/{name}-sequence-leading-zero"),
            &text.replacen("sequence 3", "sequence 03", 1),
        )
        .fail("format");
        case(&format!("statement-fail/{name}-line-behind"), &(text.clone() + "more 1\n")).fail("format");
    }
    let roster = all[0].1.to_text();
    let weak = recipient_text(&[0; 32]).unwrap();
    let order_8 = from_hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap();
    let order_8 = recipient_text(&order_8.try_into().unwrap()).unwrap();
    let above_p = recipient_text(&p_plus(9)).unwrap();
    let auditor = identity("auditor").recipient().to_string();
    for (name, recipient) in [("zero", weak), ("order-8", order_8), ("not-canonical", above_p)] {
        case(&format!("statement-fail/roster-recipient-{name}"), &roster.replace(&auditor, &recipient))
            .fail("format");
    }
    case("statement-fail/roster-recipient-in-capitals", &roster.replace(&auditor, &auditor.to_uppercase()))
        .fail("format");
    let witness = key("witness.example/w1").verifier().to_string();
    let cosigner = key("witness.example/w1").cosigner().to_string();
    case("statement-fail/roster-witness-of-another-type", &roster.replace(&cosigner, &witness))
        .fail("format");
    case(
        "statement-fail/roster-ledger-key-of-another-name",
        &roster.replace(key(LEDGER).verifier().as_str(), key(OTHER).verifier().as_str()),
    )
    .fail("format");
    let erasure = all[4].1.to_text();
    case("statement-fail/erasure-ranges-overlap", &erasure.replace("records 2..3", "records 0..3"))
        .fail("format");
    case("statement-fail/erasure-range-backwards", &erasure.replace("records 2..3", "records 3..2"))
        .fail("format");
    let (place, release) = (all[5].1.to_text(), all[6].1.to_text());
    let lines = "records 1..1\nrecords 4..6\n";
    for (name, text) in [
        ("place-without-records", place.replace(lines, "")),
        ("release-with-records", release.replace("release\n", &format!("release\n{lines}"))),
        ("of-another-action", place.replace("action place", "action extend")),
        ("ranges-touch", place.replace("4..6", "2..6")),
        ("name-with-a-capital", place.replace("matter", "Matter")),
        ("reason-with-an-underscore", place.replace("litigation", "liti_gation")),
    ] {
        case(&format!("statement-fail/hold-{name}"), &text).fail("format");
    }
    let note = Note::sign(&roster, &key(OTHER)).to_string();
    let case = cases.case("statement-fail/signed-by-another-key", "statement").file("statement", note);
    case.key("vkey", "admin.vkey").fail("signature");
}

fn sessions(cases: &Cases) {
    let token = [0x5e; 32];
    let seal = |name: &str, ledger: &str, reader: &str| {
        challenge_seal(&identity(reader).recipient(), ledger, &token, &mut rng(name)).unwrap()
    };
    let case = |name: &str, enc: &[u8], ciphertext: &[u8]| {
        let case = cases.case(name, "session").set("ledger", LEDGER).key("identity", "auditor.identity");
        case.set("enc", to_base64(enc))
            .set("ciphertext", to_base64(ciphertext))
            .set("token", to_base64(&token))
    };
    let good = seal("good", LEDGER, "auditor");
    case("session/challenge", &good.enc, &good.ciphertext).ok();
    let other = seal("other ledger", OTHER, "auditor");
    case("session-fail/of-another-ledger", &other.enc, &other.ciphertext).fail("hpke");
    let other = seal("other reader", LEDGER, "person");
    case("session-fail/for-another-reader", &other.enc, &other.ciphertext).fail("hpke");
    let mut changed = good.ciphertext.clone();
    changed[0] ^= 1;
    case("session-fail/ciphertext-changed", &good.enc, &changed).fail("hpke");
    case("session-fail/ciphertext-too-short", &good.enc, &good.ciphertext[..15]).fail("hpke");
    case("session-fail/encapsulated-key-zero", &[0; 32], &good.ciphertext).fail("hpke");
}
