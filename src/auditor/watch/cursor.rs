//! Where a watch stands, on disk: how far every sink has taken all alerts, and the secret behind the pseudonyms.
//!
//! The cursor is replaced as a whole: written beside, synced, renamed over the old one, the folder synced. After a crash
//! there is the old position or the new one, and the old one only repeats alerts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::writers::{LastWord, Writers};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::MAX_CURSOR_BYTES;
use crate::base::paths::beside;
use crate::base::random;
use crate::base::secret::Secret;

/// Bytes of the secret behind the pseudonyms.
const SECRET: usize = 32;
const FORMAT: &str = "sealtrail.org/watch-cursor/v1";

/// How far a watch has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Height of the next block to read.
    pub next_block: u64,
    /// Index of its first record.
    pub next_record: u64,
    /// Hash of the block before; zero if there is none.
    pub last_hash: Hash,
    /// Index of the first record the watch is about; what lies before only fills the rules' memory.
    pub began: u64,
    /// When each writer was last heard of.
    pub writers: Writers,
}

/// Why a cursor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Reading or writing failed.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a cursor.
    #[error(
        "{} is no cursor of a watch: {why}. Name another file with --cursor, or remove this one to begin anew",
        .path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Of another ledger.
    #[error("{} is the cursor of a watch over {theirs}, not {ours}; give each ledger its own --cursor", .path.display())]
    OtherLedger {
        /// The file.
        path: PathBuf,
        /// The ledger in it.
        theirs: String,
        /// The ledger watched.
        ours: String,
    },
    /// Another process has it.
    #[error("another watch is using {}; stop it, or give this one its own --cursor", .0.display())]
    Locked(PathBuf),
    /// The secret could be read by others.
    #[error("{path} is open to other users of this machine; run: chmod 600 {path}", path = .0.display())]
    TooOpen(PathBuf),
    /// No randomness for a new secret.
    #[error(transparent)]
    Random(#[from] random::RandomError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    format: String,
    ledger: String,
    next_block: u64,
    next_record: u64,
    last_hash: String,
    began: u64,
    writers: Vec<WriterOnDisk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriterOnDisk {
    name: String,
    block: u64,
    committed: String,
    joined: bool,
    told: Vec<String>,
}

/// An open cursor, ours alone until dropped.
pub struct Cursor {
    path: PathBuf,
    ledger: String,
    position: Option<Position>,
    secret: Secret<SECRET>,
    // Closing it releases the lock.
    _lock: File,
}

impl Cursor {
    /// Opens the cursor at `path` for a watch over `ledger`; creates the secret beside it, `<path>.secret`, if there is
    /// none. A cursor that does not exist yet has no position.
    pub fn open(path: &Path, ledger: &str) -> Result<Cursor, CursorError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(failed("make the folder", folder))?;
        }
        let lock_path = beside(path, ".lock");
        let lock = owner_only(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CursorError::Locked(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(failed("lock", &lock_path)(e)),
        }
        let position = match read(path)? {
            None => None,
            Some(text) => Some(parse(&text, path, ledger)?),
        };
        let secret = load_secret(&beside(path, ".secret"))?;
        Ok(Cursor { path: path.to_owned(), ledger: ledger.to_owned(), position, secret, _lock: lock })
    }

    /// The position, if the watch has one yet.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// The secret behind the pseudonyms.
    pub fn secret(&self) -> &Secret<SECRET> {
        &self.secret
    }

    /// Moves the cursor; it is on disk when this returns.
    pub fn save(&mut self, position: Position) -> Result<(), CursorError> {
        if self.position.as_ref() == Some(&position) {
            return Ok(());
        }
        let text =
            text(&position, &self.ledger).map_err(|e| failed("write", &self.path)(io::Error::other(e)))?;
        replace(&self.path, text.as_bytes())?;
        self.position = Some(position);
        Ok(())
    }
}

/// What is on disk for a position.
pub(in crate::auditor) fn text(position: &Position, ledger: &str) -> Result<String, serde_json::Error> {
    let writer = |(name, w): (&String, &LastWord)| WriterOnDisk {
        name: name.clone(),
        block: w.block,
        committed: w.committed.to_string(),
        joined: w.joined,
        told: w.told.iter().cloned().collect(),
    };
    serde_json::to_string_pretty(&OnDisk {
        format: FORMAT.to_owned(),
        ledger: ledger.to_owned(),
        next_block: position.next_block,
        next_record: position.next_record,
        last_hash: position.last_hash.hex(),
        began: position.began,
        writers: position.writers.iter().map(writer).collect(),
    })
}

fn failed<'p>(doing: &'static str, path: &'p Path) -> impl Fn(io::Error) -> CursorError + use<'p> {
    move |source| CursorError::Io { doing, path: path.to_owned(), source }
}

fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, CursorError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("read", path)(e)),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_CURSOR_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed("read", path))?;
    if text.len() > MAX_CURSOR_BYTES {
        let why = format!("it is larger than {MAX_CURSOR_BYTES} bytes");
        return Err(CursorError::Malformed { path: path.to_owned(), why });
    }
    Ok(Some(text))
}

pub(in crate::auditor) fn parse(text: &str, path: &Path, ledger: &str) -> Result<Position, CursorError> {
    let malformed = |why: &str| CursorError::Malformed { path: path.to_owned(), why: why.to_owned() };
    let disk: OnDisk = serde_json::from_str(text).map_err(|e| malformed(&e.to_string()))?;
    if disk.format != FORMAT {
        return Err(malformed("it is of another version of this program"));
    }
    if disk.ledger != ledger {
        return Err(CursorError::OtherLedger {
            path: path.to_owned(),
            theirs: disk.ledger,
            ours: ledger.to_owned(),
        });
    }
    let mut writers = Writers::default();
    for w in disk.writers {
        let committed = Timestamp::parse(&w.committed).ok_or_else(|| malformed("a time is malformed"))?;
        let told = w.told.into_iter().collect();
        writers.insert(w.name, LastWord { block: w.block, committed, joined: w.joined, told });
    }
    Ok(Position {
        next_block: disk.next_block,
        next_record: disk.next_record,
        last_hash: Hash::from_hex(&disk.last_hash).ok_or_else(|| malformed("the hash is malformed"))?,
        began: disk.began,
        writers,
    })
}

/// The secret in hexadecimal on one line; made if there is none.
fn load_secret(path: &Path) -> Result<Secret<SECRET>, CursorError> {
    let Some(text) = read(path)? else {
        let secret: Secret<SECRET> = random::secret()?;
        let text = Zeroizing::new(format!("{}\n", Hash(*secret.expose()).hex()));
        replace(path, text.as_bytes())?;
        return Ok(secret);
    };
    #[cfg(unix)]
    {
        let meta = fs::metadata(path).map_err(failed("look at", path))?;
        if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
            return Err(CursorError::TooOpen(path.to_owned()));
        }
    }
    let why = || "it is no secret of a watch: 64 hexadecimal digits".to_owned();
    let malformed = || CursorError::Malformed { path: path.to_owned(), why: why() };
    let bytes = Zeroizing::new(Hash::from_hex(text.trim()).ok_or_else(malformed)?.0);
    Secret::from_slice(&bytes[..]).ok_or_else(malformed)
}

/// Writes a file of mode 0600 in place of the one that may be there. The lock keeps others from the same name.
fn replace(path: &Path, content: &[u8]) -> Result<(), CursorError> {
    let new = beside(path, ".new");
    // One that a crash left behind may have another mode.
    let _ = fs::remove_file(&new);
    let written = owner_only(OpenOptions::new().write(true).create_new(true))
        .open(&new)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&new);
        return Err(failed("write", path)(e));
    }
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync the folder", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn position() -> Position {
        let mut writers = Writers::default();
        let last = LastWord {
            block: 7,
            committed: Timestamp::parse("2026-11-20T23:40:11.123Z").unwrap(),
            joined: true,
            told: ["silent-writer".to_owned()].into(),
        };
        writers.insert("w.example/a".into(), last);
        Position { next_block: 8, next_record: 4711, last_hash: Hash::of(&[b"x"]), began: 7, writers }
    }

    #[test]
    fn what_is_saved_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper/watch.cursor");
        let mut cursor = Cursor::open(&path, "l.example/a").unwrap();
        assert_eq!(cursor.position(), None);
        cursor.save(position()).unwrap();
        let secret = cursor.secret().duplicate();
        assert!(matches!(Cursor::open(&path, "l.example/a"), Err(CursorError::Locked(_))));
        drop(cursor);
        let cursor = Cursor::open(&path, "l.example/a").unwrap();
        assert_eq!(cursor.position(), Some(&position()));
        assert!(cursor.secret().ct_eq(&secret));
        drop(cursor);
        assert!(matches!(Cursor::open(&path, "l.example/b"), Err(CursorError::OtherLedger { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_secret_is_its_owner_s_alone_and_damage_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        Cursor::open(&path, "l").unwrap().save(position()).unwrap();
        let secret = dir.path().join("c.secret");
        for file in [&path, &secret] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Cursor::open(&path, "l"), Err(CursorError::TooOpen(_))));
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&secret, "12\n").unwrap();
        assert!(matches!(Cursor::open(&path, "l"), Err(CursorError::Malformed { .. })));
        fs::remove_file(&secret).unwrap();
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Cursor::open(&path, "l"), Err(CursorError::Malformed { .. })));
    }
}
