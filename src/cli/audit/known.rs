//! The checkpoints that `audit verify` knows beforehand, and the one it remembers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::hash::Hash;
use crate::chain::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::LedgerKeys;
use crate::chain::note::NoteError;
use crate::config::keyfile::{self, KeyFileError};
use crate::event::view::printable;
use crate::ledger::Guard;

use super::super::Failure;
use super::super::operator::guard_path;

/// Where the checkpoints known beforehand are from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The auditor remembered one.
    Own,
    /// One lies beside the database file, where the operator's server left it, and that is all.
    Operators,
    /// Nobody's.
    No,
}

impl Whose {
    /// For JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Whose::Own => "own",
            Whose::Operators => "operator",
            Whose::No => "none",
        }
    }
}

/// The checkpoints known beforehand: the one remembered, and those beside the database file. A newer one of the operator's does
/// not stand for the auditor's own: a ledger that was forked has one, too.
pub struct Known {
    /// All of them.
    pub checkpoints: Vec<Checkpoint>,
    /// Where they are from.
    pub whose: Whose,
    /// The text of the one remembered.
    own: Option<String>,
}

impl Known {
    /// Reads the checkpoint remembered in `remembered`, and those beside `database`.
    pub fn read(
        remembered: Option<&Path>,
        database: Option<&Path>,
        key: &VerifierKey,
    ) -> Result<Known, Failure> {
        let own = remembered.map(read_own).transpose()?.flatten();
        let mut checkpoints = Vec::new();
        if let (Some(text), Some(path)) = (&own, remembered) {
            let foreign = |e: &dyn std::fmt::Display| {
                Failure::Usage(format!("{} is no checkpoint of {}: {e}", path.display(), key.name()))
            };
            let seen = match SignedCheckpoint::parse(text, key) {
                Ok(signed) => signed.checkpoint().clone(),
                // By another key of the ledger: `check_own` says so when the chain was walked.
                Err(CheckpointError::Note(NoteError::NoKnownSigner { .. })) => {
                    SignedCheckpoint::unverified(text).map_err(|e| foreign(&e))?
                }
                Err(e) => return Err(foreign(&e)),
            };
            checkpoints.push(seen);
        }
        let beside = database.map(|f| Guard::peek(&guard_path(f), key)).unwrap_or_default();
        let whose = match (&own, &beside[..]) {
            (Some(_), _) => Whose::Own,
            (None, [_, ..]) => Whose::Operators,
            (None, []) => Whose::No,
        };
        checkpoints.extend(beside);
        Ok(Known { checkpoints, whose, own })
    }

    /// Whether the one remembered is signed by the key the ledger had for its size.
    pub fn check_own(&self, path: &Path, keys: &LedgerKeys) -> Result<(), Failure> {
        let Some(text) = &self.own else { return Ok(()) };
        let size = SignedCheckpoint::unverified(text).map_err(Failure::usage)?.size;
        match keys.at(size).map(|key| SignedCheckpoint::parse(text, key)) {
            Some(Ok(_)) => Ok(()),
            _ => Err(Failure::Usage(format!(
                "the checkpoint remembered in {} is not signed by a key this ledger had when it was of {size} blocks: it is of another \
                 ledger, or was changed",
                path.display()
            ))),
        }
    }

    /// Keeps `checkpoint`, which was just verified against these, for the next time. `false`, and nothing is done, if another one has
    /// been remembered meanwhile: it has to be held against that one, too, before it may take its place.
    pub fn remember(&self, path: &Path, checkpoint: &str) -> Result<bool, Failure> {
        let now = read_own(path)?;
        if now != self.own {
            return Ok(false);
        }
        if now.as_deref() != Some(checkpoint) {
            // Where a link leads, rather than in place of the link.
            let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            keyfile::replace_public(&target, checkpoint).map_err(Failure::unavailable)?;
        }
        Ok(true)
    }

    /// The checkpoint seen `before`, or else the one remembered in `path`, and the one `shown` now, which cannot both be true, for a file of
    /// their own beside it. `None` if none was seen.
    pub fn evidence(&self, path: &Path, before: Option<&str>, shown: &str) -> Option<Evidence> {
        let own = before.or(self.own.as_deref())?;
        let text = format!(
            "Two signed checkpoints of one ledger that do not fit together.\n\n--- seen before\n{own}\n--- shown now\n{shown}"
        );
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".two-histories-{}.txt", &Hash::of(&[text.as_bytes()]).hex()[..16]));
        Some(Evidence { path: path.with_file_name(name), text })
    }
}

/// Two signed checkpoints, and the file for them, whose name no other two have.
pub struct Evidence {
    /// Where to keep them.
    pub path: PathBuf,
    /// Both.
    pub text: String,
}

impl Evidence {
    /// The text for a terminal.
    pub fn printable(&self) -> String {
        self.text.lines().map(printable).collect::<Vec<_>>().join("\n")
    }
}

/// The text in the auditor's file; `None` if there is no such file. A link that leads nowhere, or a folder that may not be looked into, is
/// not the first use.
fn read_own(path: &Path) -> Result<Option<String>, Failure> {
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::Usage(format!("the checkpoint remembered in {} cannot be read: {e}", path.display()))
    };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(cannot(&e)),
        Ok(_) => keyfile::read_public(path).map(Some).map_err(|e| match e {
            KeyFileError::Missing(_) | KeyFileError::LeadsNowhere(_) => {
                cannot(&"it is a link to a file that does not exist")
            }
            e => cannot(&e),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::random;
    use crate::chain::key::SigningKey;

    fn signed(key: &SigningKey, size: u64) -> String {
        let root = Hash::of(&[&size.to_be_bytes()]);
        Checkpoint { origin: key.name().to_owned(), size, root }.sign(key).note().to_string()
    }

    #[test]
    fn what_another_run_remembered_meanwhile_is_not_overwritten() {
        let key = SigningKey::generate("test.example/ledger", &mut random::csprng().unwrap()).unwrap();
        let verifier = key.verifier();
        let dir = tempfile::tempdir().unwrap();
        // A name that a careless temporary one would be.
        let path = dir.path().join("seen.new");
        let read = || Known::read(Some(&path), None, &verifier).unwrap();
        let sizes = |k: &Known| k.checkpoints.iter().map(|c| c.size).collect::<Vec<_>>();
        let (first, second) = (read(), read());
        assert_eq!((sizes(&first), first.whose), (vec![], Whose::No));
        assert!(first.remember(&path, &signed(&key, 7)).unwrap());
        // The other one began at the same time, and must look at what it has not seen.
        assert!(!second.remember(&path, &signed(&key, 9)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), signed(&key, 7));
        let again = read();
        assert_eq!((sizes(&again), again.whose), (vec![7], Whose::Own));
        assert!(again.remember(&path, &signed(&key, 9)).unwrap());
        assert_eq!(sizes(&read()), [9]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_histories_have_a_file_of_their_own() {
        let key = SigningKey::generate("test.example/ledger", &mut random::csprng().unwrap()).unwrap();
        let known = |own: Option<u64>| Known {
            checkpoints: Vec::new(),
            whose: Whose::No,
            own: own.map(|size| signed(&key, size)),
        };
        let path = Path::new("folder/seen.note");
        let (shown, other) = (signed(&key, 8), signed(&key, 9));
        assert!(known(None).evidence(path, None, &shown).is_none());
        let evidence = known(Some(7)).evidence(path, None, &shown).unwrap();
        assert!(evidence.text.contains(&signed(&key, 7)) && evidence.text.contains(&shown));
        assert!(evidence.path.starts_with("folder") && evidence.path != path);
        assert_ne!(evidence.path, known(Some(7)).evidence(path, None, &other).unwrap().path);
        // What was shown a moment ago is more than what was remembered.
        let between = signed(&key, 10);
        let evidence = known(Some(7)).evidence(path, Some(&between), &shown).unwrap();
        assert!(evidence.text.contains(&between) && !evidence.text.contains(&signed(&key, 7)));
        // Lines stay lines; what else a server may have put into a note does not reach the terminal.
        let odd = known(Some(7)).evidence(path, None, "a\n\u{1b}[2Jb").unwrap().printable();
        assert!(odd.lines().count() > 5 && !odd.contains('\u{1b}'), "{odd}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_read_is_not_the_first_use() {
        let key = SigningKey::generate("test.example/ledger", &mut random::csprng().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let read = |path: &Path| Known::read(Some(path), None, &key.verifier());
        assert!(
            matches!(read(&link), Err(Failure::Usage(why)) if why.contains("cannot be read: it is a link"))
        );
        // A name too long to look for.
        assert!(matches!(read(&dir.path().join("x".repeat(1000))), Err(Failure::Usage(_))));
        fs::write(&target, "something else").unwrap();
        assert!(matches!(read(&link), Err(Failure::Usage(why)) if why.contains("is no checkpoint of")));
        // A link stays one.
        fs::write(&target, signed(&key, 7)).unwrap();
        assert!(read(&link).unwrap().remember(&link, &signed(&key, 8)).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), signed(&key, 8));
    }
}
