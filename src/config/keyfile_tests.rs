#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn secret_files_are_their_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/inner/ledger.key");
    create_secret(&path, "secret\n").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(**read_secret(&path).unwrap(), *"secret\n");
    assert_eq!(names(path.parent().unwrap()), ["ledger.key"], "nothing else is left behind");
    let public = dir.path().join("keys/ledger.vkey");
    create_public(&public, "public\n").unwrap();
    assert_eq!(mode(&public) & 0o600, 0o600);
    assert_eq!(read_public(&public).unwrap(), "public\n");
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.key");
    create_secret(&path, "first").unwrap();
    assert!(matches!(create_secret(&path, "second"), Err(KeyFileError::Exists(_))));
    assert!(matches!(create_public(&path, "second"), Err(KeyFileError::Exists(_))));
    let dangling = dir.path().join("link");
    symlink(dir.path().join("elsewhere"), &dangling).unwrap();
    assert!(matches!(create_secret(&dangling, "x"), Err(KeyFileError::Exists(_))));
    assert!(!dir.path().join("elsewhere").exists());
    assert_eq!(**read_secret(&path).unwrap(), *"first");
    replace_secret(&path, "second").unwrap();
    assert_eq!((&**read_secret(&path).unwrap(), mode(&path)), ("second", 0o600));
    replace_secret(&dir.path().join("b.key"), "new").unwrap();
    assert_eq!(mode(&dir.path().join("b.key")), 0o600);
    replace_public(&dir.path().join("c.new"), "anyone's").unwrap();
    assert_eq!(
        (&*read_public(&dir.path().join("c.new")).unwrap(), mode(&dir.path().join("c.new"))),
        ("anyone's", 0o644)
    );
    assert_eq!(names(dir.path()).iter().filter(|n| n.contains("new")).count(), 1);
}

/// What root writes for a service must be the service's: a key that it may not read keeps it from starting. Only root can see this fail.
#[test]
fn what_root_writes_belongs_to_whom_the_folder_or_the_file_belongs_to() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const SERVICE: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        return;
    }
    let owner = |name: &str| fs::metadata(dir.path().join(name)).unwrap().uid();
    create_secret(&dir.path().join("admin.key"), "root's").unwrap();
    chown(dir.path(), Some(SERVICE), Some(SERVICE)).unwrap();
    create_secret(&dir.path().join("a.key"), "new").unwrap();
    create_public(&dir.path().join("a.vkey"), "new").unwrap();
    assert_eq!((owner("a.key"), owner("a.vkey")), (SERVICE, SERVICE));
    replace_secret(&dir.path().join("a.key"), "replaced").unwrap();
    assert_eq!((owner("a.key"), mode(&dir.path().join("a.key"))), (SERVICE, 0o600));
    // What was root's own stays so, and what takes its place.
    replace_secret(&dir.path().join("admin.key"), "replaced").unwrap();
    let next = dir.path().join("admin.next.key");
    create_key_like(&next, &dir.path().join("admin.key"), "next", None).unwrap();
    assert_eq!((owner("admin.key"), owner("admin.next.key")), (0, 0));
    // A link is not what it leads to: the file that takes its place is the folder's.
    symlink("admin.key", dir.path().join("link.key")).unwrap();
    replace_secret(&dir.path().join("link.key"), "a file").unwrap();
    assert_eq!((owner("link.key"), owner("admin.key")), (SERVICE, 0));
}

#[test]
fn of_many_writers_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.key");
    let wins: usize = std::thread::scope(|s| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let path = path.clone();
                s.spawn(move || usize::from(create_secret(&path, &format!("{i}")).is_ok()))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!((wins, names(dir.path())), (1, vec!["a.key".to_owned()]));
}

#[test]
fn files_open_to_others_are_refused_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.key");
    create_secret(&path, "x").unwrap();
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    for bits in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        for name in [&path, &link] {
            let e = read_secret(name).unwrap_err().to_string();
            assert!(e.contains(&format!("mode {bits:04o}")), "{e}");
            assert!(e.ends_with(&format!("chmod 600 {}", name.display())), "{e}");
        }
        assert!(read_public(&path).is_ok());
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(read_secret(&link).is_ok());
}

#[test]
fn what_is_no_key_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |n: &str| dir.path().join(n);
    assert!(matches!(read_secret(&path("none")), Err(KeyFileError::Missing(_))));
    assert!(matches!(read_secret(dir.path()), Err(KeyFileError::NotAFile(_))));
    create_secret(&path("big"), &"x".repeat(MAX_KEY_FILE_BYTES)).unwrap();
    assert!(read_secret(&path("big")).is_ok());
    replace_secret(&path("big"), &"x".repeat(MAX_KEY_FILE_BYTES + 1)).unwrap();
    assert!(matches!(read_secret(&path("big")), Err(KeyFileError::TooLarge(_))));
    fs::write(path("binary"), b"\xff\xfe").unwrap();
    fs::set_permissions(path("binary"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(read_secret(&path("binary")), Err(KeyFileError::NotText(_))));
    assert!(matches!(read_secret(Path::new("/dev/zero")), Err(KeyFileError::NotAFile(_))));
    assert!(matches!(create_secret(&path("big/below"), "x"), Err(KeyFileError::Io { .. })));
}
