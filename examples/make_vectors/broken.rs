//! Records that must not open. Each case is wrong in one thing.

use sealtrail::base::batch::Header;
use sealtrail::base::hash::Hash;
use sealtrail::base::record::{Record, SectionRoot};
use sealtrail::chain::batch::leaf_inputs_of;
use sealtrail::event::field::Scalar;
use sealtrail::seal::keys::record_context;
use sealtrail::seal::padding::pad_into;

use crate::batch::{
    Batch, Inside, PLAIN, Parts, Section, disclosed, encode_header, header, plain_body, records, with_header,
    with_records,
};
use crate::kit::{Case, Cases, LEDGER, WRITER, flip, number};
use crate::opens::{THREE, event};

/// Writes the cases.
pub fn write(cases: &Cases) {
    checks(cases);
    places(cases);
    several_sections(cases);
    payloads(cases);
    markers(cases);
    framing(cases);
    headers(cases);
}

fn case(cases: &Cases, name: &str, body: Vec<u8>) -> Case {
    let case = cases.case(&format!("open-fail/{name}"), "open").file("body", body);
    case.key("identity", "auditor.identity").set("position", 0)
}

/// A batch of three records, one of them changed.
fn changed(name: &str, position: usize, change: impl FnOnce(&mut Parts, &Inside)) -> Vec<u8> {
    let body = plain_body(number(name), 3);
    let mut all = records(&body);
    let mut parts = Parts::of(&all[position]);
    change(&mut parts, &Inside::of(&body, position, "auditor"));
    all[position] = parts.encode();
    with_records(&body, &all)
}

fn padded(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pad_into(payload, &mut out);
    out
}

/// Commitment, ciphertext, padding, disclosure root.
fn checks(cases: &Cases) {
    let body = changed("commitment", 0, |p, _| p.sections[0].commitment[31] ^= 1);
    case(cases, "commitment", body).note("key, ciphertext and root are right").fail("commitment");
    let body = changed("slot", 0, |p, _| p.sections[0].slots[0] ^= 1);
    case(cases, "slot", body).fail("commitment");
    let body = changed("aead-tag", 0, |p, _| *p.sections[0].ciphertext.last_mut().unwrap() ^= 1);
    case(cases, "aead-tag", body).note("decrypted without looking at the tag, all is right").fail("aead");
    let body = changed("aead-ciphertext", 0, |p, _| p.sections[0].ciphertext[100] ^= 1);
    case(cases, "aead-ciphertext", body).note("a byte of the padding").fail("aead");
    let body = changed("aead-short", 0, |p, _| p.sections[0].ciphertext.truncate(15));
    case(cases, "aead-short", body).note("shorter than an authentication tag").fail("aead");

    type Padding<'a> = (&'a str, &'a dyn Fn(&[u8]) -> Vec<u8>, &'a str);
    let paddings: [Padding<'_>; 7] = [
        ("padding-none", &|p| [p, b"\x80"].concat(), "0x80 but no zero bytes"),
        ("padding-next-step", &|p| [&padded(p)[..], &[0; 16]].concat(), "one step too long, otherwise exact"),
        ("padding-one-byte-more", &|p| [&padded(p)[..], &[0]].concat(), "not a Padmé length"),
        ("padding-no-mark", &|p| [p, &vec![0; 128 - p.len()]].concat(), "zero bytes only"),
        ("padding-last-byte", &|p| [&padded(p)[..127], &[1]].concat(), "the last byte is not zero"),
        ("padding-other-mark", &|p| [p, b"\x81", &vec![0; 127 - p.len()]].concat(), "0x81 for 0x80"),
        ("padding-nothing-inside", &|_| vec![0; 128], "128 zero bytes"),
    ];
    for (name, pad, note) in paddings {
        let body =
            changed(name, 0, |p, i| p.sections[0].ciphertext = i.encrypt(0, &pad(&i.payloads[0]), 0, 0));
        case(cases, name, body).note(note).fail("padding");
    }
    let body = changed("disclosure-root", 0, |p, _| p.disclosure_root.0[0] ^= 1);
    case(cases, "disclosure-root", body).fail("disclosure");
    let other = |fields: &[(&str, Scalar<'_>)], name: &str| {
        changed(name, 0, |p, i| {
            p.disclosure_root = sealtrail::seal::disclosure::disclosure_root(&[i.root(0, fields)]);
        })
    };
    let string = |s: &'static str| Scalar::String(s.into());
    for (name, fields, note) in [
        (
            "disclosure-other-value",
            vec![("/n", Scalar::Number("1")), ("/what", string(""))],
            "commits to n = 1; the payload has 0",
        ),
        (
            "disclosure-other-kind",
            vec![("/n", string("0")), ("/what", string(""))],
            "commits to the string \"0\"",
        ),
        (
            "disclosure-other-order",
            vec![("/what", string("")), ("/n", Scalar::Number("0"))],
            "fields in another order",
        ),
        ("disclosure-field-missing", vec![("/n", Scalar::Number("0"))], "one field fewer"),
        (
            "disclosure-normalised-number",
            vec![("/n", Scalar::Number("0.0")), ("/what", string(""))],
            "the number as another text",
        ),
    ] {
        case(cases, name, other(&fields, name)).note(note).fail("disclosure");
    }
}

/// Bytes that belong somewhere else.
fn places(cases: &Cases) {
    let body = plain_body(number("swapped"), 3);
    let mut all = records(&body);
    all.swap(0, 1);
    case(cases, "record-of-another-position", with_records(&body, &all)).fail("commitment");
    let all = records(&body);
    let mut parts = Parts::of(&all[0]);
    parts.sections[0].slots = Parts::of(&all[1]).sections[0].slots.clone();
    let slots = with_records(&body, &[parts.encode(), all[1].clone(), all[2].clone()]);
    case(cases, "slot-of-another-record", slots).fail("commitment");

    // The mask of a position is the slot there without the key in it.
    let (first, second) = (Inside::of(&body, 0, "auditor"), Inside::of(&body, 1, "auditor"));
    let mut moved = Parts::of(&all[1]);
    let here = Parts::of(&all[0]).sections[0].slots.clone();
    moved.sections[0].slots = (0..32).map(|i| here[i] ^ first.keys[0][i] ^ second.keys[0][i]).collect();
    let moved = with_records(&body, &[moved.encode(), all[1].clone(), all[2].clone()]);
    case(cases, "record-of-another-position-with-its-key", moved)
        .note("the slot holds the right key for this position")
        .fail("aead");

    let place = |name: &str, seal: &dyn Fn(&Inside) -> Vec<u8>, note: &str| {
        let body = changed(name, 0, |p, i| p.sections[0].ciphertext = seal(i));
        case(cases, name, body).note(note).fail("aead");
    };
    place(
        "sealed-for-another-position",
        &|i| i.encrypt(0, &padded(&i.payloads[0]), 1, 0),
        "associated data of position 1",
    );
    place(
        "sealed-for-another-section",
        &|i| i.encrypt(0, &padded(&i.payloads[0]), 0, 1),
        "associated data of section 1",
    );
    for (name, ledger, writer, more) in [
        ("sealed-for-another-batch", LEDGER, WRITER, 1),
        ("sealed-for-another-ledger", "ledger.example/audi", WRITER, 0),
        ("sealed-by-another-writer", LEDGER, "ledger.example/writers/lab", 0),
    ] {
        let context = record_context(ledger, writer, number(name) + more);
        place(
            name,
            &|i| i.encrypt_in(&context, 0, &padded(&i.payloads[0]), 0, 0),
            "associated data of another record context",
        );
    }
    case(cases, "no-such-position", plain_body(number("range"), 3)).set("position", 3).fail("range");
    case(cases, "not-a-reader", plain_body(number("stranger"), 1))
        .key("identity", "person.identity")
        .fail("identity");
    let mut erased = Vec::new();
    let body = plain_body(number("erased"), 2);
    let all = records(&body);
    Record::encode_erased(&leaf_inputs_of(&all[0]).unwrap(), &mut erased);
    case(cases, "erased", with_records(&body, &[erased, all[1].clone()])).fail("erased");
}

fn three(name: &str, change: impl FnOnce(&mut Parts, &Inside)) -> Vec<u8> {
    let body = Batch::new(number(name), THREE, vec![]).event(event(true, true)).body();
    let mut parts = Parts::of(&records(&body)[0]);
    change(&mut parts, &Inside::of(&body, 0, "everyone"));
    with_records(&body, &[parts.encode()])
}

fn several_sections(cases: &Cases) {
    let root = |p: &mut Parts, s: usize, root: SectionRoot| {
        p.sections[s].root = Some(root);
        p.disclosure_root = disclosed(p);
    };
    let flipped = |name: &str, s: usize| {
        three(name, |p, _| {
            let mut old = p.sections[s].root.unwrap();
            old.root.0[9] ^= 1;
            root(p, s, old);
        })
    };
    case(cases, "section-root", flipped("section-root", 0))
        .note("the disclosure root is that of the wrong root")
        .fail("disclosure");
    let name = "section-root-of-an-unread-section";
    let case_ok = cases
        .case(&format!("open/{name}"), "open")
        .file("body", flipped(name, 1))
        .key("identity", "auditor.identity");
    case_ok
        .set("position", 0)
        .file("event", event(false, false))
        .note("only a reader of that section can notice")
        .ok();
    let last = case(cases, "section-root-noticed-by-its-reader", flipped("section-root-noticed", 2));
    last.key("identity", "network.identity").fail("disclosure");
    let body = three("section-fields", |p, _| {
        let old = p.sections[0].root.unwrap();
        root(p, 0, SectionRoot { fields: old.fields + 1, ..old });
    });
    case(cases, "section-fields", body).note("one field more stated than there is").fail("disclosure");
    let body = three("unread-root", |p, _| {
        let old = p.sections[1].root.unwrap();
        p.sections[1].root = Some(SectionRoot { fields: old.fields + 1, ..old });
    });
    case(cases, "unread-section-fields", body)
        .note("the disclosure root is not that of the envelope")
        .fail("disclosure");
    let body = three("sections-swapped", |p, _| p.sections.swap(0, 1));
    case(cases, "sections-swapped", body).fail("format");
    let body = Batch::new(number("two"), &[("a", &["auditor"], &[]), ("b", &["auditor"], &["/b"])], vec![])
        .event("{}")
        .body();
    let mut parts = Parts::of(&records(&body)[0]);
    parts.sections.swap(0, 1);
    case(cases, "equal-sections-swapped", with_records(&body, &[parts.encode()])).fail("commitment");
}

/// Well sealed, but what is inside is no event.
fn payloads(cases: &Cases) {
    for (name, payload) in [
        ("duplicate-member", &br#"{"a":1,"a":1}"#[..]),
        ("duplicate-member-escaped", br#"{"a":1,"\u0061":1}"#),
        ("duplicate-member-deep", br#"[{"a":{"b":1,"c":2,"b":3}}]"#),
        ("leading-zero", br#"{"a":01}"#),
        ("plus-sign", br#"{"a":+1}"#),
        ("number-without-digits", br#"{"a":1.}"#),
        ("not-a-number", br#"{"a":NaN}"#),
        ("white-space-before", br#" {"a":1}"#),
        ("white-space-after", b"{\"a\":1}\n"),
        ("lone-surrogate", br#"{"a":"\ud800"}"#),
        ("lone-low-surrogate", br#"{"a":"\udc00\ud800"}"#),
        ("trailing-comma", br#"{"a":1,}"#),
        ("array", b"[1]"),
        ("nothing", b""),
        ("two-events", b"{}{}"),
        ("control-character", b"{\"a\":\"\x01\"}"),
        ("not-utf-8", b"{\"a\":\"\xff\"}"),
        ("surrogate-in-utf-8", b"{\"a\":\"\xed\xa0\x80\"}"),
        ("byte-order-mark", b"\xef\xbb\xbf{}"),
        ("bad-escape", br#"{"a":"\x61"}"#),
        ("single-quotes", b"{'a':1}"),
    ] {
        let name = format!("payload-{name}");
        case(cases, &name, Batch::new(number(&name), PLAIN, vec![]).payloads(&[payload]).body())
            .fail("payload");
    }
}

/// Section 0 and the others do not fit together, or the others are spelled wrongly.
fn markers(cases: &Cases) {
    let two: &[Section<'_>] = &[("event", &["auditor"], &[]), ("phi", &["auditor"], &["/p"])];
    let frame = r#"{"p":{"$sealed":"phi"},"q":{"$sealed":"phi"}}"#;
    for (name, frame, other, family) in [
        ("marker-without-value", frame, r#"{"/p":1}"#, "marker"),
        ("marker-without-any-value", frame, "{}", "marker"),
        ("value-without-marker", r#"{"p":{"$sealed":"phi"}}"#, r#"{"/p":1,"/q":2}"#, "marker"),
        ("markers-in-another-order", frame, r#"{"/q":2,"/p":1}"#, "marker"),
        ("marker-at-another-place", frame, r#"{"/p":1,"/r":2}"#, "marker"),
        ("marker-spelled-otherwise", r#"{"p":{"$sealed": "phi"}}"#, r#"{"/p":1}"#, "marker"),
        ("marker-is-the-event", r#"{"$sealed":"phi"}"#, r#"{"/p":1}"#, "marker"),
        ("moved-name-is-no-pointer", frame, r#"{"p":1,"/q":2}"#, "payload"),
        ("moved-name-with-a-bad-escape", r#"{"~2":{"$sealed":"phi"}}"#, r#"{"/~2":1}"#, "payload"),
        ("moved-name-is-empty", r#"{"$sealed":"phi"}"#, r#"{"":{}}"#, "payload"),
        ("moved-value-inside-another", frame, r#"{"/p":{},"/p-":2,"/p/x":1}"#, "payload"),
        ("moved-twice", frame, r#"{"/p":1,"/p":1}"#, "payload"),
        ("moved-with-white-space", frame, r#"{"/p":1, "/q":2}"#, "payload"),
        ("moved-with-white-space-in-front", frame, r#"{"/p": 1,"/q":2}"#, "payload"),
        ("moved-name-spelled-otherwise", frame, r#"{"\/p":1,"/q":2}"#, "payload"),
        ("moved-is-an-array", frame, "[1,2]", "payload"),
    ] {
        let body = Batch::new(number(name), two, vec![]).payloads(&[frame, other]).body();
        case(cases, name, body).fail(family);
    }
    let unread: &[Section<'_>] = &[("event", &["auditor"], &[]), ("phi", &["person"], &["/p"])];
    let body = Batch::new(number("unread marker"), unread, vec![]).payloads(&[frame, "{}"]).body();
    let case = cases
        .case("open/marker-without-value-unread", "open")
        .file("body", body)
        .key("identity", "auditor.identity");
    case.set("position", 0).file("event", frame).note("who cannot read the section cannot notice").ok();
}

fn framing(cases: &Cases) {
    let record = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let body = plain_body(number(name), 2);
        let mut all = records(&body);
        change(&mut all[0]);
        case(cases, name, with_records(&body, &all))
    };
    record("record-trailing-byte", &|r| r.push(0)).fail("format");
    record("record-cut-short", &|r| r.truncate(r.len() - 1)).fail("format");
    record("record-of-unknown-kind", &|r| r[0] = 3).fail("format");
    record("record-with-two-sections", &|r| r[33] = 2).note("the header has one").fail("format");
    record("record-with-two-slots", &|r| r[33 + 1 + 4 + 32] = 2)
        .note("the header has one reader")
        .fail("format");
    record("record-without-slots", &|r| r[33 + 1 + 4 + 32] = 0).fail("format");
    let tags = |name: &str, tags: Vec<[u8; 8]>| case(cases, name, changed(name, 0, |p, _| p.tags = tags));
    tags("tags-descend", vec![[2; 8], [1; 8]]).fail("format");
    tags("tag-twice", vec![[1; 8], [1; 8]]).fail("format");

    let body = plain_body(number("body"), 2);
    case(cases, "body-trailing-byte", [&body[..], &[0]].concat()).fail("format");
    case(cases, "body-cut-short", body[..body.len() - 1].to_vec()).fail("format");
    case(cases, "body-of-another-version", [b"STB2", &body[4..]].concat()).fail("format");
    let count = 8 + header_len(&body);
    case(cases, "body-with-one-record-less", flip(&flip(&body, count + 3), count + 3 - 1))
        .note("257 records stated")
        .fail("format");
    let zero = with_records(&body, &[]);
    case(cases, "body-without-records", zero).fail("format");
}

fn header_len(body: &[u8]) -> usize {
    encode_header(&header(body)).len()
}

fn headers(cases: &Cases) {
    let two: &[Section<'_>] = &[("event", &["auditor", "person"], &[]), ("phi", &["auditor"], &["/p"])];
    let tags = || crate::batch::tag_fields(&[("a", &["/a"]), ("b", &["/b"])]);
    let changed = |name: &str, change: &dyn Fn(&mut Header)| {
        let body = Batch::new(number(name), two, tags()).event(r#"{"a":1,"p":2}"#).body();
        let mut h = header(&body);
        change(&mut h);
        case(cases, &format!("header-{name}"), with_header(&body, &encode_header(&h)))
    };
    changed("readers-descend", &|h| h.readers.swap(0, 1)).fail("format");
    changed("reader-twice", &|h| h.readers[1] = h.readers[0].clone()).fail("format");
    changed("reader-index", &|h| h.sections[1].readers = vec![2]).fail("format");
    changed("reader-indices-descend", &|h| h.sections[0].readers = vec![1, 0]).fail("format");
    changed("section-without-reader", &|h| h.sections[1].readers.clear()).fail("format");
    changed("section-twice", &|h| h.sections[1].name = "event".into()).fail("format");
    changed("section-in-capitals", &|h| h.sections[1].name = "Phi".into()).fail("format");
    changed("section-without-name", &|h| h.sections[1].name.clear()).fail("format");
    changed("section-name-too-long", &|h| h.sections[1].name = "p".repeat(65)).fail("format");
    changed("tag-field-twice", &|h| h.tag_fields[1] = "a".into()).fail("format");
    changed("period-with-a-space", &|h| h.period = "2026 11".into()).fail("format");
    changed("search-length", &|h| h.readers[0].search.push(0)).fail("format");
    changed("public-key-length", &|h| h.readers[0].public_key.push(0)).fail("format");
    changed("no-readers", &|h| h.readers.clear()).fail("format");
    changed("encapsulated-key-zero", &|h| h.readers.iter_mut().for_each(|r| r.enc.fill(0)))
        .note("an all-zero shared secret")
        .fail("hpke");
    let order_8 = Hash::from_hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap();
    let weak = changed("encapsulated-key-of-small-order", &|h| {
        h.readers.iter_mut().for_each(|r| r.enc = order_8.0.to_vec())
    });
    weak.note("a point of order 8: an all-zero shared secret").fail("hpke");
    changed("another-encapsulated-key", &|h| h.readers.iter_mut().for_each(|r| r.enc[0] ^= 1))
        .fail("commitment");
    changed("another-sequence", &|h| h.sequence += 1)
        .note("the key exchange is bound to it")
        .fail("commitment");
    changed("another-writer", &|h| h.writer = "ledger.example/writers/lab".into()).fail("commitment");
    changed("another-ledger", &|h| h.ledger = "other.example".into()).fail("commitment");

    let body = plain_body(number("raw"), 1);
    let bytes = encode_header(&header(&body));
    let raw = |name: &str, bytes: Vec<u8>| case(cases, &format!("header-{name}"), with_header(&body, &bytes));
    raw("trailing-byte", [&bytes[..], &[0]].concat()).fail("format");
    raw("of-another-version", [&[2], &bytes[1..]].concat()).fail("format");
    raw("cut-short", bytes[..bytes.len() - 1].to_vec()).fail("format");
}
