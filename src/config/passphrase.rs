//! Key files under a passphrase: what `age -p` writes (C2SP age, one scrypt recipient, armored or binary) around the key file as it is
//! without one, so that `age -d` and `age -p` unprotect and protect them too.
//!
//! A passphrase comes from the file named with `--passphrase-file`, from the variable `SEALTRAIL_PASSPHRASE`, or from the terminal;
//! never from the command line, which every user of the machine can read. One process has one source, and what it was told once it
//! does not ask for again: [`hold`] sets the source, [`forget`] erases what is remembered.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use zeroize::Zeroizing;

use crate::base::hash::Hash;
use crate::base::limits::{MAX_PASSPHRASE_BYTES, MAX_PASSPHRASES, PASSPHRASE_ATTEMPTS};
use crate::seal::protected::{self, Passphrase, ProtectedError};

/// The variable that may hold a passphrase.
pub const VARIABLE: &str = "SEALTRAIL_PASSPHRASE";

/// Why a protected key cannot be used. Never holds any part of a passphrase or key.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file does not open with it.
    #[error(transparent)]
    Protected(#[from] ProtectedError),
    /// None of those in the file or variable fits.
    #[error("none of the passphrases in {0} is the right one")]
    WrongGiven(String),
    /// There is nobody to ask.
    #[error(
        "the key is protected by a passphrase, and there is no terminal to ask for it: name a file that holds it with \
         --passphrase-file or SEALTRAIL_PASSPHRASE_FILE"
    )]
    NoTerminal,
    /// The terminal failed.
    #[error("the passphrase could not be read from the terminal: {0}")]
    Terminal(std::io::Error),
    /// The two entries of a new passphrase differ.
    #[error("the two entries differ; nothing was changed")]
    Differ,
    /// Nothing was entered.
    #[error("the passphrase is empty; nothing was changed")]
    Empty,
    /// Longer than [`MAX_PASSPHRASE_BYTES`].
    #[error("a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes")]
    TooLong,
    /// The file with the passphrase.
    #[error("the passphrase file {}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What this process was told.
struct Held {
    file: Option<PathBuf>,
    /// Right ones that were asked for.
    asked: Vec<Arc<Passphrase>>,
    /// Key files that were opened: hash of the protected bytes, and the text.
    opened: Vec<(Hash, Zeroizing<String>)>,
}

static HELD: Mutex<Held> = Mutex::new(Held { file: None, asked: Vec::new(), opened: Vec::new() });

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(|e| e.into_inner())
}

/// From now on passphrases come from this file, if one is named.
pub fn hold(file: Option<PathBuf>) {
    held().file = file;
}

/// Erases every passphrase and key text that is remembered: for a process that goes on for long and needs none of them again.
pub fn forget() {
    let mut held = held();
    held.asked.clear();
    held.opened.clear();
}

/// The text inside a protected key file. `path` is for the question.
pub fn open(path: &Path, bytes: &[u8]) -> Result<Zeroizing<String>, PassphraseError> {
    let hash = Hash::of(&[bytes]);
    let (known, file) = {
        let held = held();
        if let Some((_, text)) = held.opened.iter().find(|(of, _)| *of == hash) {
            return Ok(text.clone());
        }
        (held.asked.clone(), held.file.clone())
    };
    let text = match given(file.as_deref())? {
        Some((passphrases, place)) => {
            first_that_fits(bytes, passphrases.iter())?.ok_or(PassphraseError::WrongGiven(place))?
        }
        None => match first_that_fits(bytes, known.iter().map(|p| &**p))? {
            Some(text) => text,
            None => ask_until_it_fits(path, bytes)?,
        },
    };
    held().opened.push((hash, text.clone()));
    Ok(text)
}

fn first_that_fits<'p>(
    bytes: &[u8],
    passphrases: impl Iterator<Item = &'p Passphrase>,
) -> Result<Option<Zeroizing<String>>, PassphraseError> {
    for passphrase in passphrases {
        match protected::open(bytes, passphrase) {
            Err(ProtectedError::Wrong) => {}
            other => return Ok(Some(other?)),
        }
    }
    Ok(None)
}

fn ask_until_it_fits(path: &Path, bytes: &[u8]) -> Result<Zeroizing<String>, PassphraseError> {
    let mut attempts = 0;
    loop {
        let passphrase = ask(&format!("Passphrase for {}: ", path.display()))?;
        match protected::open(bytes, &passphrase) {
            Ok(text) => {
                held().asked.push(Arc::new(passphrase));
                return Ok(text);
            }
            Err(ProtectedError::Wrong) if attempts + 1 < PASSPHRASE_ATTEMPTS => {
                eprintln!("sealtrail: that passphrase is wrong; try again");
                attempts += 1;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// A new passphrase for `what`: the first of those given, or asked for twice.
pub fn new_for(what: &str) -> Result<Passphrase, PassphraseError> {
    let file = held().file.clone();
    new_from(file.as_deref(), what)
}

/// [`new_for`], from this file if one is named.
pub fn new_from(file: Option<&Path>, what: &str) -> Result<Passphrase, PassphraseError> {
    if let Some((passphrases, _)) = given(file)? {
        return passphrases.into_iter().next().ok_or(PassphraseError::Empty);
    }
    ask_new(what)
}

/// A new passphrase from the terminal, asked for twice.
pub fn ask_new(what: &str) -> Result<Passphrase, PassphraseError> {
    let first = ask(&format!("New passphrase for {what}: "))?;
    if first.is_empty() {
        return Err(PassphraseError::Empty);
    }
    let second = ask("The same again: ")?;
    if !first.same(&second) {
        return Err(PassphraseError::Differ);
    }
    Ok(first)
}

/// The passphrases of the file or variable, at least one, and words for where they came from. `None`: ask.
fn given(file: Option<&Path>) -> Result<Option<(Vec<Passphrase>, String)>, PassphraseError> {
    if let Some(path) = file {
        return Ok(Some((lines_of(path)?, path.display().to_string())));
    }
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    let file = |why: String| PassphraseError::File { path: PathBuf::from(VARIABLE), why };
    Ok(Some((split(&bytes).map_err(file)?, format!("the variable {VARIABLE}"))))
}

/// Reads a passphrase file; also a pipe such as `/dev/fd/3`.
fn lines_of(path: &Path) -> Result<Vec<Passphrase>, PassphraseError> {
    let failed = |why: String| PassphraseError::File { path: path.to_owned(), why };
    let file = std::fs::File::open(path).map_err(|e| failed(format!("cannot be opened: {e}")))?;
    let meta = file.metadata().map_err(|e| failed(e.to_string()))?;
    check_mode(&meta).map_err(failed)?;
    let most = MAX_PASSPHRASES * (MAX_PASSPHRASE_BYTES + 2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(format!("cannot be read: {e}")))?;
    if bytes.len() > most {
        return Err(failed("is too large; it holds one passphrase a line".into()));
    }
    split(&bytes).map_err(failed)
}

/// One passphrase a line; blank lines are none.
fn split(bytes: &[u8]) -> Result<Vec<Passphrase>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let found: Vec<_> = lines.map(|line| Passphrase::new(line.to_owned())).collect();
    match found.len() {
        0 => Err("holds no passphrase; write one into its first line".into()),
        n if n > MAX_PASSPHRASES => Err(format!("holds more than {MAX_PASSPHRASES} passphrases")),
        _ if found.iter().any(|p| p.len() > MAX_PASSPHRASE_BYTES) => {
            Err(format!("holds a passphrase of more than {MAX_PASSPHRASE_BYTES} bytes"))
        }
        _ => Ok(found),
    }
}

/// A file that everybody can read is none for secrets. The group may read it, unlike a key file: service managers hand over
/// credentials with an access list, which shows in the bits of the group, or with a group of the service.
#[cfg(unix)]
fn check_mode(meta: &std::fs::Metadata) -> Result<(), String> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if meta.is_file() && mode & 0o027 != 0 {
        return Err(format!("is open to other users of this machine (mode {mode:04o}); run chmod 600 on it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}

/// Asks on the terminal, without echo.
fn ask(question: &str) -> Result<Passphrase, PassphraseError> {
    // Neither of them: nobody sees the question, even if the process could find a terminal.
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return Err(PassphraseError::NoTerminal);
    }
    let answer =
        rpassword::prompt_password(question).map(Passphrase::new).map_err(PassphraseError::Terminal)?;
    if answer.len() > MAX_PASSPHRASE_BYTES { Err(PassphraseError::TooLong) } else { Ok(answer) }
}

#[cfg(test)]
#[path = "passphrase_tests.rs"]
mod tests;
