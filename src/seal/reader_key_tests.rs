//! Text forms and refusals of reader keys.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::base::hash::to_hex;
use crate::base::x25519::LOW_ORDER;

/// Written by age-keygen 1.3.2; see `tests/vectors/crypto/README.md`.
const AGE_KEYGEN_FILE: &str = include_str!("../../tests/vectors/crypto/age-keygen-identity.txt");

fn identity(n: u8) -> Identity {
    Identity(Secret::fill(|b| b.fill(n)))
}

#[test]
fn a_file_of_age_keygen_gives_the_public_key_it_states() {
    let stated = AGE_KEYGEN_FILE.lines().find_map(|l| l.strip_prefix("# public key: ")).unwrap();
    let found = parse_identity_file(AGE_KEYGEN_FILE).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].recipient().to_string(), stated);
    assert_eq!(Recipient::parse(stated).unwrap(), found[0].recipient());
}

#[test]
fn our_file_is_byte_for_byte_what_age_keygen_wrote() {
    let created = AGE_KEYGEN_FILE.lines().find_map(|l| l.strip_prefix("# created: ")).unwrap();
    let created = Timestamp::parse(&created.replace('Z', ".999Z")).unwrap();
    let id = &parse_identity_file(AGE_KEYGEN_FILE).unwrap()[0];
    assert_eq!(*identity_file_text(id, created), AGE_KEYGEN_FILE);
}

#[test]
fn debug_of_an_identity_tells_nothing() {
    let id = identity(0x41);
    assert_eq!(format!("{id:?}"), "Identity(Secret(…))");
    let error = Identity::parse(&id.to_text().replace('Q', "P")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&id.to_text()[20..40]));
}

proptest! {
    #[test]
    fn both_text_forms_round_trip(bytes in any::<[u8; 32]>()) {
        let id = Identity(Secret::fill(|b| *b = bytes));
        let again = Identity::parse(&id.to_text()).unwrap();
        prop_assert!(again.0.ct_eq(&id.0));
        let r = id.recipient();
        prop_assert_eq!(Recipient::parse(&r.to_string()).unwrap(), r);
        prop_assert_eq!(Recipient::from_bytes(*r.as_bytes()).unwrap(), r);
    }

    #[test]
    fn one_wrong_character_is_refused(at in 0usize..62, c in "[a-z0-9]") {
        let text = identity(3).recipient().to_string();
        let mut other = text.clone();
        other.replace_range(at..=at, &c);
        prop_assert_eq!(Recipient::parse(&other).is_ok(), other == text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,90}") {
        let _ = Recipient::parse(&text);
        let _ = Identity::parse(&text);
        let _ = parse_identity_file(&text);
    }
}

#[test]
fn the_other_case_is_another_spelling_and_refused() {
    let id = identity(5);
    let r = id.recipient().to_string();
    assert!(matches!(Recipient::parse(&r.to_uppercase()), Err(KeyError::NotARecipient(_))));
    assert_eq!(Identity::parse(&id.to_text().to_lowercase()).unwrap_err(), KeyError::NotAnIdentity);
    assert!(matches!(Recipient::parse(&format!(" {r}")), Err(KeyError::NotARecipient(_))));
}

#[test]
fn left_over_bits_that_are_not_zero_are_refused() {
    // 52 characters hold 260 bits; the last four must be zero. The checksum of this one is right.
    let hrp = Hrp::parse_unchecked("age");
    let mut data: Vec<_> = [9u8; 32].iter().copied().bytes_to_fes().collect();
    *data.last_mut().unwrap() = bech32::Fe32::L;
    let text: String = data.into_iter().with_checksum::<Bech32>(&hrp).chars().collect();
    assert!(CheckedHrpstring::new::<Bech32>(&text).is_ok());
    assert!(matches!(Recipient::parse(&text), Err(KeyError::NotARecipient(_))));
}

#[test]
fn what_people_mix_up_gets_its_own_message() {
    let id = identity(7);
    let recipient = id.recipient().to_string();
    assert_eq!(Recipient::parse(&id.to_text()), Err(KeyError::IdentityAsRecipient));
    assert_eq!(Identity::parse(&recipient).unwrap_err(), KeyError::RecipientAsIdentity);
    assert_eq!(Identity::parse("AGE-SECRET-KEY-PQ-1QQQ").unwrap_err(), KeyError::PostQuantum);
    assert_eq!(Recipient::parse("age1pq1qqq"), Err(KeyError::PostQuantum));
    assert_eq!(Identity::parse("AGE-PLUGIN-YUBIKEY-1QQQ").unwrap_err(), KeyError::Plugin);
    let plugin = encode("age1yubikey", &[1; 32]);
    assert_eq!(Recipient::parse(&plugin), Err(KeyError::Plugin));
    for (file, error) in [
        ("age-encryption.org/v1\n-> scrypt x 18\n", KeyError::Encrypted),
        ("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", KeyError::Encrypted),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", KeyError::Pem),
        ("# nothing here\n\n", KeyError::Empty),
        ("", KeyError::Empty),
    ] {
        assert_eq!(parse_identity_file(file).unwrap_err(), error, "{file}");
    }
    let line = |line, problem| KeyError::Line { line, problem: Box::new(problem) };
    assert_eq!(
        parse_identity_file(&format!("# c\n\n{recipient}\n")).unwrap_err(),
        line(3, KeyError::RecipientAsIdentity)
    );
    assert_eq!(parse_identity_file("hello").unwrap_err(), line(1, KeyError::NotAnIdentity));
    assert_eq!(parse_identity_file(&"#".repeat(MAX_KEY_FILE_BYTES + 1)).unwrap_err(), KeyError::TooLarge);
}

#[test]
fn several_identities_and_windows_line_ends_are_read() {
    let text = format!("# a\r\n{}\r\n\r\n{}\n", *identity(1).to_text(), *identity(2).to_text());
    let found = parse_identity_file(&text).unwrap();
    assert_eq!(
        found.iter().map(Identity::recipient).collect::<Vec<_>>(),
        [identity(1).recipient(), identity(2).recipient()]
    );
}

#[test]
fn low_order_and_non_canonical_keys_are_refused() {
    let secret = StaticSecret::from([0x55; 32]);
    for u in LOW_ORDER {
        assert!(
            !secret.diffie_hellman(&PublicKey::from(u)).was_contributory(),
            "{} has low order",
            to_hex(&u)
        );
        assert_eq!(Recipient::from_bytes(u), Err(KeyError::LowOrder));
        assert_eq!(Recipient::parse(&encode(RECIPIENT_HRP, &u)), Err(KeyError::LowOrder));
    }
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    for (lowest, highest) in [(0xed, 0x7f), (0xee, 0x7f), (0xff, 0x7f), (0x00, 0x80)] {
        (p[0], p[31]) = (lowest, highest);
        assert_eq!(Recipient::from_bytes(p), Err(KeyError::NotCanonical), "{}", to_hex(&p));
    }
    // Other points pass: the largest canonical value but one.
    (p[0], p[31]) = (0xeb, 0x7f);
    assert!(Recipient::from_bytes(p).is_ok());
}
