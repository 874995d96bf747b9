#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;

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
        assert_eq!(*decrypt(file, &phrase("correct horse")).unwrap(), KEY);
        for wrong in ["", "correct horse ", "Correct horse", "correct hors"] {
            assert!(matches!(decrypt(file, &phrase(wrong)), Err(PassphraseError::Wrong)), "{wrong:?}");
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
    let open = |max| {
        let decryptor = Decryptor::new(ArmoredReader::new(file.as_bytes())).unwrap();
        decryptor.decrypt(iter::once(&identity(max) as &dyn age::Identity)).err()
    };
    assert!(matches!(
        open(PASSPHRASE_WORK_FACTOR - 1),
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
        let refused = decrypt(&file, &phrase("p")).unwrap_err();
        assert!(matches!(refused, PassphraseError::Work(n) if n.to_string() == work), "{refused}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let recipient = age::x25519::Identity::generate().to_public();
    let to_a_key = age::encrypt(&recipient, KEY.as_bytes()).unwrap();
    assert!(is_protected(&to_a_key));
    assert!(matches!(decrypt(&to_a_key, &phrase("p")), Err(PassphraseError::NotPassphrase)));
    let twice = binary(&binary(KEY.as_bytes(), "p", WORK), "p", WORK);
    assert!(matches!(decrypt(&twice, &phrase("p")), Err(PassphraseError::Damaged)));
    let large = binary(&vec![b'x'; MAX_KEY_FILE_BYTES + 1], "p", WORK);
    assert!(matches!(decrypt(&large, &phrase("p")), Err(PassphraseError::Damaged)));
    let not_text = binary(&[0xff, 0xfe], "p", WORK);
    assert!(matches!(decrypt(&not_text, &phrase("p")), Err(PassphraseError::Damaged)));
}

/// Every byte changed, and every length: an error, never a key.
#[test]
fn a_damaged_file_gives_no_key() {
    let file = binary(KEY.as_bytes(), "p", 1);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(decrypt(&changed, &phrase("p")).is_err(), "byte {at}");
        assert!(decrypt(&file[..at], &phrase("p")).is_err(), "cut at {at}");
    }
    assert!(decrypt(&[&file[..], b"x"].concat(), &phrase("p")).is_err());
    let armored = protect_with(KEY, &phrase("p"), 1).unwrap();
    for at in 0..armored.len() - 1 {
        assert!(decrypt(&armored.as_bytes()[..at], &phrase("p")).is_err(), "cut at {at}");
    }
    assert!(decrypt(format!("{armored}x").as_bytes(), &phrase("p")).is_err());
}

#[test]
fn a_passphrase_file_has_one_a_line() {
    let read =
        |bytes: &[u8]| split(bytes).map(|found| found.iter().map(|p| p.0.to_string()).collect::<Vec<_>>());
    assert_eq!(read(b"one\n").unwrap(), ["one"]);
    assert_eq!(read(b"one\r\n\n two \nthree").unwrap(), ["one", " two ", "three"]);
    let many = "p\n".repeat(MAX_PASSPHRASES);
    assert_eq!(read(many.as_bytes()).unwrap().len(), MAX_PASSPHRASES);
    let long = "x".repeat(MAX_PASSPHRASE_BYTES);
    assert_eq!(read(long.as_bytes()).unwrap(), std::slice::from_ref(&long));
    let too_many = format!("{many}p");
    let too_long = format!("{long}x");
    for bad in [&b""[..], b"\n\n", b"\xff", too_many.as_bytes(), too_long.as_bytes()] {
        assert!(read(bad).is_err());
    }
}

#[test]
fn a_passphrase_file_that_everybody_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passphrase");
    std::fs::write(&path, "one\n").unwrap();
    for (mode, good) in [
        (0o400, true),
        (0o600, true),
        (0o440, true),
        (0o640, true),
        (0o644, false),
        (0o620, false),
        (0o602, false),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(lines_of(&path).is_ok(), good, "{mode:o}");
    }
    assert!(matches!(lines_of(&dir.path().join("none")), Err(PassphraseError::File { .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    assert!(lines_of(&path).err().unwrap().to_string().contains("too large"));
}
