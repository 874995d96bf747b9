//! RFC 8032 vectors, the text forms of other programs, and what is refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand_core::SeedableRng as _;

use super::*;
use crate::base::hash::{from_hex, to_hex};

/// RFC 8032 §7.1, TEST 1 to 3: seed, public key, message, signature.
const RFC8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

/// The signer key of the Go package `sumdb/note`'s documentation, and its public half.
const GO_SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn rfc_8032_section_7_1() {
    for [seed, public, message, signature] in RFC8032 {
        let seed = Secret::from_slice(&from_hex(seed).unwrap()).unwrap();
        let key = SigningKey::from_seed("test", &seed).unwrap();
        assert_eq!(to_hex(key.verifier().public_bytes()), public);
        let message = from_hex(message).unwrap();
        assert_eq!(to_hex(&key.sign_bytes(&message)), signature);
        let signature = from_hex(signature).unwrap();
        assert!(key.verifier().verify_bytes(&message, &signature));
        for i in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[i] ^= 1;
            assert!(!key.verifier().verify_bytes(&message, &wrong));
        }
        assert!(!key.verifier().verify_bytes(b"other", &signature));
        assert!(!key.verifier().verify_bytes(&message, &signature[..63]));
    }
}

#[test]
fn keys_of_other_programs_read_and_write_back() {
    let signer = SigningKey::parse(GO_SIGNER).unwrap();
    assert_eq!(signer.to_text().as_str(), GO_SIGNER);
    assert_eq!(signer.verifier().to_string(), GO_VERIFIER);
    for (text, kind) in [
        (GO_VERIFIER, KeyKind::Ed25519),
        // C2SP signed-note, "Verifier keys".
        ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", KeyKind::Ed25519),
        // Tests of transparency-dev/formats: a base64 part with and without '+'.
        ("TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6", KeyKind::Ed25519),
        ("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2", KeyKind::CosignatureV1),
    ] {
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!((key.to_string().as_str(), key.kind()), (text, kind));
        assert_eq!(key.name(), text.split('+').next().unwrap());
    }
}

#[test]
fn no_second_spelling_of_a_key() {
    let good = GO_VERIFIER;
    for bad in [
        good.to_uppercase(),
        good.replace("c74f20a3", "C74F20A3"),
        good.replace("c74f20a3", "c74f20a4"),
        good.replace("c74f20a3", "+74f20a3"),
        good.replace("PeterNeumann", "PeterNeumanm"),
        good.replace("PeterNeumann", ""),
        good.replace("+ARpc", "+ARpd"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}="),
        good[..good.len() - 4].to_owned(),
        GO_SIGNER.to_owned(),
        String::new(),
        "+".to_owned(),
        "a++".to_owned(),
    ] {
        assert!(VerifierKey::parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(SigningKey::parse(good).err(), Some(KeyError::SignerForm));
    assert_eq!(SigningKey::parse(&GO_SIGNER.replace("c74f20a3", "c74f20a4")).err(), Some(KeyError::KeyId));
}

#[test]
fn names_follow_the_rule() {
    for bad in ["", "a b", "a\u{a0}b", "a\u{2003}b", "a+b", "a\nb", "a\u{7f}", "\u{85}", &"x".repeat(256)] {
        assert!(!is_key_name(bad), "{bad:?}");
        assert_eq!(SigningKey::from_seed(bad, &Secret::fill(|_| ())).err(), Some(KeyError::Name));
    }
    for good in ["a", "hospital.example/writers/ehr", "Prüfer", &"x".repeat(255)] {
        assert!(is_key_name(good), "{good:?}");
    }
}

#[test]
fn weak_and_non_canonical_points_are_refused() {
    // The identity, the point of order two, a point of order eight, and encodings with y not below p.
    let mut p_plus_3 = [0xff; 32];
    (p_plus_3[0], p_plus_3[31]) = (0xf0, 0x7f);
    let points = [
        from_hex("0100000000000000000000000000000000000000000000000000000000000000").unwrap(),
        from_hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f").unwrap(),
        from_hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap(),
        from_hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f").unwrap(),
        p_plus_3.to_vec(),
    ];
    for point in points {
        let point: [u8; 32] = point.try_into().unwrap();
        assert_eq!(VerifierKey::new("a", KeyKind::Ed25519, &point), Err(KeyError::Point), "{point:x?}");
    }
}

#[test]
fn the_same_key_as_witness_has_another_id() {
    let key = SigningKey::parse(GO_SIGNER).unwrap();
    let (plain, witness) = (key.verifier(), key.cosigner());
    assert_eq!(witness.kind(), KeyKind::CosignatureV1);
    assert_ne!(plain.key_id(), witness.key_id());
    assert_eq!(plain.public_bytes(), witness.public_bytes());
    assert_eq!(VerifierKey::parse(witness.as_str()).unwrap(), witness);
    assert_ne!(plain, witness);
}

#[test]
fn debug_does_not_show_the_seed() {
    let key = SigningKey::parse(GO_SIGNER).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains(GO_VERIFIER));
    assert!(!shown.contains("AYEKFALVFGyNhPJEMzD1QIDr"));
}

proptest! {
    #[test]
    fn generated_keys_round_trip(seed in any::<[u8; 32]>(), name in "[a-z./é-]{1,40}") {
        let key = SigningKey::generate(&name, &mut Csprng::from_seed(seed)).unwrap();
        let again = SigningKey::parse(&key.to_text()).unwrap();
        prop_assert_eq!(again.verifier(), key.verifier());
        prop_assert_eq!(VerifierKey::parse(key.verifier().as_str()).unwrap(), key.verifier());
        prop_assert_eq!(key.name(), name);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "(PRIVATE\\+KEY\\+)?.{0,20}\\+?[0-9a-f]{0,9}\\+?.{0,60}") {
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.as_str(), text.as_str());
        }
        if let Ok(key) = SigningKey::parse(&text) {
            let written = key.to_text();
            prop_assert_eq!(written.as_str(), text.as_str());
        }
    }
}
