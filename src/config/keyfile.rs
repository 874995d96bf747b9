//! Key files: secret ones readable by their owner only, and none ever overwritten by accident.
//! `keys/README.md` lists them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

use super::passphrase::{self, PassphraseError};
use crate::base::limits::MAX_KEY_FILE_BYTES;
use crate::base::owner;
use crate::seal::protected::{self, Passphrase};

/// Why a key file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not there.
    #[error(
        "{} does not exist; check the path and the folder you are in. A lost key comes back from your own copy of keys/ only: no backup has it",
        .0.display()
    )]
    Missing(PathBuf),
    /// A link to what is not there.
    #[error(
        "{} is a link that leads nowhere. If systemd brings the key, it does so only while the service runs: put the file back for this step, \
         as docs/OPERATIONS.md says in \"The service\"",
        .0.display()
    )]
    LeadsNowhere(PathBuf),
    /// The public half, where the secret one is needed.
    #[error("{} is a public key; this needs the secret file that was made with it, which ends in .key or .identity", .0.display())]
    Public(PathBuf),
    /// There already, and never overwritten.
    #[error("{} exists already and is not overwritten; move it away or choose another name", .0.display())]
    Exists(PathBuf),
    /// Readable or writable by others than its owner.
    #[error("{0} is open to other users of this machine (mode {1:04o}); run: chmod 600 {0}", .path.display(), .mode)]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a device, a pipe.
    #[error("{} is not an ordinary file; name a key file", .0.display())]
    NotAFile(PathBuf),
    /// Larger than [`MAX_KEY_FILE_BYTES`].
    #[error("{} is larger than {MAX_KEY_FILE_BYTES} bytes and so no key file; check the path", .0.display())]
    TooLarge(PathBuf),
    /// Not UTF-8.
    #[error("{} is not a text file in UTF-8 and so no key file; check the path", .0.display())]
    NotText(PathBuf),
    /// Protected by a passphrase, and not to be opened.
    #[error("{}: {source}", .path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PassphraseError,
    },
    /// Of another user.
    #[error("cannot open {}: {}", .0.display(), owner::denied(.0))]
    Denied(PathBuf),
    /// The operating system said no.
    #[error("{doing} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The variable in which systemd names the folder of a service's credentials.
#[cfg(unix)]
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Who may read a file that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Audience {
    Owner,
    Everyone,
}

/// Reads a key file, with the passphrase if it is protected by one; otherwise like [`read_secret`].
pub fn read_key(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    read_key_and_protection(path).map(|(text, _)| text)
}

/// [`read_key`], and whether the file is protected by a passphrase.
pub fn read_key_and_protection(path: &Path) -> Result<(Zeroizing<String>, bool), KeyFileError> {
    let bytes = read(path, Audience::Owner)?;
    if !protected::is_protected(&bytes) {
        return Ok((text(path, bytes)?, false));
    }
    let opened = passphrase::open(path, &bytes);
    let opened = opened.map_err(|source| KeyFileError::Passphrase { path: path.to_owned(), source })?;
    Ok((opened, true))
}

/// Writes a new key file like [`create_secret`], protected if a passphrase is given.
pub fn create_key(path: &Path, content: &str, passphrase: Option<&Passphrase>) -> Result<(), KeyFileError> {
    create_key_like(path, path, content, passphrase)
}

/// [`create_key`] of a key that is to take the place of `like`: root makes it for whom that one belongs to.
pub fn create_key_like(
    path: &Path,
    like: &Path,
    content: &str,
    passphrase: Option<&Passphrase>,
) -> Result<(), KeyFileError> {
    let Some(passphrase) = passphrase else { return create(path, like, content, Audience::Owner) };
    let failed = |source| KeyFileError::Passphrase { path: path.to_owned(), source };
    let content = protected::protect(content, passphrase).map_err(|e| failed(e.into()))?;
    create(path, like, &content, Audience::Owner)
}

/// Whether a key file is protected by a passphrase.
pub fn is_protected(path: &Path) -> Result<bool, KeyFileError> {
    read(path, Audience::Owner).map(|bytes| protected::is_protected(&bytes))
}

/// Moves the key file `next` to the place of `key`, in one step; what was there is kept as `retired`. A second time does no harm.
pub fn take_place(next: &Path, key: &Path, retired: &Path) -> Result<(), KeyFileError> {
    match fs::hard_link(key, retired) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
        // A file system without links.
        Err(_) => {
            fs::copy(key, retired).map_err(io_error("cannot copy a key file to", retired))?;
        }
    }
    sync_folder(key)?;
    fs::rename(next, key).map_err(io_error("cannot rename a file to", key))?;
    sync_folder(key)
}

/// Reads a secret file; refuses one that others can read or write. A symbolic link is followed, and the
/// file it leads to is the one that is checked. The group may read what a service manager hands over.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    text(path, read(path, Audience::Owner)?)
}

/// Reads a public file.
pub fn read_public(path: &Path) -> Result<String, KeyFileError> {
    Ok(std::mem::take(&mut *text(path, read(path, Audience::Everyone)?)?))
}

/// Writes a new secret file with mode 0600, and its folder with mode 0700 if there is none. All of it is
/// on disk when this returns, and nothing of it is there if it fails. What root writes belongs to the owner of the folder.
pub fn create_secret(path: &Path, content: &str) -> Result<(), KeyFileError> {
    create(path, path, content, Audience::Owner)
}

/// Writes a new public file with mode 0644, otherwise like [`create_secret`].
pub fn create_public(path: &Path, content: &str) -> Result<(), KeyFileError> {
    create(path, path, content, Audience::Everyone)
}

/// Writes a secret file in place of the one that may be there: a reader finds the old content or the new. What root
/// writes belongs to whom the file belonged to.
pub fn replace_secret(path: &Path, content: &str) -> Result<(), KeyFileError> {
    replace(path, content, Audience::Owner)
}

/// The same with a public file of mode 0644.
pub fn replace_public(path: &Path, content: &str) -> Result<(), KeyFileError> {
    replace(path, content, Audience::Everyone)
}

fn replace(path: &Path, content: &str, audience: Audience) -> Result<(), KeyFileError> {
    let new = Temporary::write(path, path, content, audience)?;
    fs::rename(&new.path, path).map_err(io_error("cannot rename a file to", path))?;
    sync_folder(path)
}

/// Makes a folder, with mode 0700, unless it is there.
pub fn create_folder(path: &Path) -> Result<(), KeyFileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_error("cannot make the folder", path))
}

fn io_error<'p>(doing: &'static str, path: &'p Path) -> impl Fn(io::Error) -> KeyFileError + use<'p> {
    move |source| KeyFileError::Io { doing, path: path.to_owned(), source }
}

fn read(path: &Path, audience: Audience) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let opening = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound if fs::symlink_metadata(path).is_ok() => {
            KeyFileError::LeadsNowhere(path.to_owned())
        }
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        io::ErrorKind::PermissionDenied => KeyFileError::Denied(path.to_owned()),
        _ => io_error("cannot open", path)(e),
    };
    // Before opening, because opening a pipe would wait; the check that counts is the one below.
    if !fs::metadata(path).map_err(opening)?.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(opening)?;
    let meta = file.metadata().map_err(io_error("cannot look at", path))?;
    if !meta.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    if audience == Audience::Owner {
        check_mode(path, &meta)?;
    }
    let too_large = || KeyFileError::TooLarge(path.to_owned());
    let length =
        usize::try_from(meta.len()).ok().filter(|n| *n <= MAX_KEY_FILE_BYTES).ok_or_else(too_large)?;
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(MAX_KEY_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error("cannot read", path))?;
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The bytes as text, without a copy.
fn text(path: &Path, mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, KeyFileError> {
    if std::str::from_utf8(&bytes).is_err() {
        return Err(KeyFileError::NotText(path.to_owned()));
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|_| KeyFileError::NotText(path.to_owned()))
}

#[cfg(unix)]
fn check_mode(path: &Path, meta: &fs::Metadata) -> Result<(), KeyFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if mode & 0o077 == 0 || (mode & 0o037 == 0 && is_credential(path)) {
        return Ok(());
    }
    if path.extension().is_some_and(|e| e == "vkey") {
        return Err(KeyFileError::Public(path.to_owned()));
    }
    Err(KeyFileError::TooOpen { path: path.to_owned(), mode })
}

/// Whether a file was handed to this service alone, by the manager of services (systemd.exec(5), `LoadCredential`). Such a file is in a
/// folder of the service's own, and readable through an access list, which shows in the bits of the group.
#[cfg(unix)]
fn is_credential(path: &Path) -> bool {
    let handed_over = std::env::var_os(CREDENTIALS).and_then(|folder| fs::canonicalize(folder).ok());
    let file = fs::canonicalize(path).ok();
    handed_over.is_some_and(|folder| file.is_some_and(|file| file.parent() == Some(&folder)))
}

/// Where there are no mode bits, the folder's access list is the owner's business.
#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

fn create(path: &Path, like: &Path, content: &str, audience: Audience) -> Result<(), KeyFileError> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        create_folder(folder)?;
    }
    let exists = || KeyFileError::Exists(path.to_owned());
    if fs::symlink_metadata(path).is_ok() {
        return Err(exists());
    }
    let new = Temporary::write(path, like, content, audience)?;
    // Unlike a rename, a link fails if the name was taken in the meantime.
    match fs::hard_link(&new.path, path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        // A file system without links.
        Err(_) => fs::rename(&new.path, path).map_err(io_error("cannot rename a file to", path))?,
    }
    drop(new);
    sync_folder(path)
}

/// A complete file under a name of its own, which goes away with this value.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// As `beside`, but for its name; root makes it for the owner of `like`.
    fn write(
        beside: &Path,
        like: &Path,
        content: &str,
        audience: Audience,
    ) -> Result<Temporary, KeyFileError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = beside.file_name().ok_or_else(|| KeyFileError::NotAFile(beside.to_owned()))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let own = format!(".{}.{}-{number}.new", name.to_string_lossy(), std::process::id());
        let path = beside.with_file_name(own);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(
            &mut options,
            if audience == Audience::Owner { 0o600 } else { 0o644 },
        );
        #[cfg(not(unix))]
        let _ = audience;
        let mut file = options.open(&path).map_err(io_error("cannot write", &path))?;
        let temporary = Temporary { path };
        owner::hand_over(&file, like).map_err(io_error("cannot give to its owner the file", beside))?;
        file.write_all(content.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io_error("cannot write", beside))?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename it is gone already, and there is nothing to do about another failure.
        let _ = fs::remove_file(&self.path);
    }
}

/// A new name is durable only once its folder is.
fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(io_error("cannot sync the folder", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
#[path = "keyfile_tests.rs"]
mod tests;
