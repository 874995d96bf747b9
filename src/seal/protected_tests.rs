#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// Low, so that a test takes no second for each attempt.
const WORK: u8 = 4;
const KEY: &str = "# a comment\nPRIVATE+KEY+a.example+00000000+AAAA\n";

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

/// What another program writes: binary, with this work factor.
fn binary(text: &[u8], passphrase: &str, work: u8) -> Vec<u8> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(work);
    age::encrypt(&recipient, text).unwrap()
}

#[test]
fn what_was_protected_opens_with_its_passphrase_alone() {
    let armored = protect_with(KEY, &phrase("correct horse"), WORK).unwrap();
    assert!(armored.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert!(armored.ends_with("-----END AGE ENCRYPTED FILE-----\n"));
    let files = [armored.clone().into_bytes(), binary(KEY.as_bytes(), "correct horse", WORK)];
    for file in &files {
        assert!(is_protected(file) && !is_protected(KEY.as_bytes()));
        assert_eq!(*open(file, &phrase("correct horse")).unwrap(), KEY);
        for wrong in ["", "correct horse ", "Correct horse", "correct hors"] {
            assert!(matches!(open(file, &phrase(wrong)), Err(ProtectedError::Wrong)), "{wrong:?}");
        }
    }
    // Each time another salt and file key.
    assert_ne!(armored, protect_with(KEY, &phrase("correct horse"), WORK).unwrap());
}

#[test]
fn what_is_written_takes_the_work_that_age_takes() {
    let file = protect(KEY, &phrase("p")).unwrap();
    let identity = |max| {
        let mut identity = scrypt::Identity::new(SecretString::from("p"));
        identity.set_max_work_factor(max);
        identity
    };
    let opened = |max| {
        let decryptor = Decryptor::new(ArmoredReader::new(file.as_bytes())).unwrap();
        decryptor.decrypt(iter::once(&identity(max) as &dyn age::Identity)).err()
    };
    assert!(matches!(
        opened(PASSPHRASE_WORK_FACTOR - 1),
        Some(DecryptError::ExcessiveWork { required: 18, .. })
    ));
}

#[test]
fn a_file_that_asks_for_too_much_work_is_refused_before_any_is_done() {
    // The work factor stands in the header in clear; changing it makes another file, and none of it must be computed.
    let file = binary(KEY.as_bytes(), "p", 9);
    let at = file.windows(3).position(|w| w == b" 9\n").unwrap();
    for work in ["21", "30", "63"] {
        let mut file = file.clone();
        file.splice(at + 1..at + 2, work.bytes());
        let refused = open(&file, &phrase("p")).unwrap_err();
        assert!(matches!(refused, ProtectedError::Work(n) if n.to_string() == work), "{refused}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let recipient = age::x25519::Identity::generate().to_public();
    let to_a_key = age::encrypt(&recipient, KEY.as_bytes()).unwrap();
    assert!(is_protected(&to_a_key));
    assert!(matches!(open(&to_a_key, &phrase("p")), Err(ProtectedError::NotPassphrase)));
    let twice = binary(&binary(KEY.as_bytes(), "p", WORK), "p", WORK);
    assert!(matches!(open(&twice, &phrase("p")), Err(ProtectedError::Damaged)));
    let large = binary(&vec![b'x'; MAX_KEY_FILE_BYTES + 1], "p", WORK);
    assert!(matches!(open(&large, &phrase("p")), Err(ProtectedError::Damaged)));
    let not_text = binary(&[0xff, 0xfe], "p", WORK);
    assert!(matches!(open(&not_text, &phrase("p")), Err(ProtectedError::Damaged)));
}

/// What Go's age makes, the first implementation of the format: `tests/vectors/crypto/README.md`.
#[test]
fn files_of_the_other_implementation_open() {
    let files = [
        &include_bytes!("../../tests/vectors/crypto/age-passphrase-armored.age")[..],
        include_bytes!("../../tests/vectors/crypto/age-passphrase-binary.age"),
    ];
    for file in files {
        assert!(is_protected(file));
        assert_eq!(*open(file, &phrase("correct horse")).unwrap(), KEY);
        assert!(matches!(open(file, &phrase("battery staple")), Err(ProtectedError::Wrong)));
    }
}

/// The library reads a header anew for each line: 64 KiB of short ones would take it minutes.
#[test]
fn a_long_header_is_refused_before_it_is_read() {
    let file = |stanza: &str| ["age-encryption.org/v1\n", &stanza.repeat(5000), "--- x\n"].concat();
    let to_keys = file("-> X25519 a\n\n");
    assert!(matches!(open(to_keys.as_bytes(), &phrase("p")), Err(ProtectedError::NotPassphrase)));
    for file in [file("-> scrypt a 18\n\n"), "age-encryption.org/v1\n-> X25519 a\n".to_owned()] {
        assert!(matches!(open(file.as_bytes(), &phrase("p")), Err(ProtectedError::Damaged)));
    }
}

/// Every byte changed, and every length: an error, never a key.
#[test]
fn a_damaged_file_gives_no_key() {
    let file = binary(KEY.as_bytes(), "p", 1);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(open(&changed, &phrase("p")).is_err(), "byte {at}");
        assert!(open(&file[..at], &phrase("p")).is_err(), "cut at {at}");
    }
    assert!(open(&[&file[..], b"x"].concat(), &phrase("p")).is_err());
    let armored = protect_with(KEY, &phrase("p"), 1).unwrap();
    for at in 0..armored.len() - 1 {
        assert!(open(&armored.as_bytes()[..at], &phrase("p")).is_err(), "cut at {at}");
    }
    assert!(open(format!("{armored}x").as_bytes(), &phrase("p")).is_err());
}
