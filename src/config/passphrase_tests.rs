#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_passphrase_file_has_one_a_line() {
    let read = |bytes: &[u8]| split(bytes).map(|found| found.len());
    let same = |bytes: &[u8], expected: &[&str]| {
        let found = split(bytes).unwrap();
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(p, text)| p.same(&Passphrase::new((*text).to_owned()))));
    };
    same(b"one\n", &["one"]);
    same(b"one\r\n\n two \nthree", &["one", " two ", "three"]);
    let many = "p\n".repeat(MAX_PASSPHRASES);
    assert_eq!(read(many.as_bytes()).unwrap(), MAX_PASSPHRASES);
    let long = "x".repeat(MAX_PASSPHRASE_BYTES);
    same(long.as_bytes(), &[&long]);
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
