//! `fsck --repair`. What follows from the blocks is put in place. For everything else what is proved is copied into a new file, which
//! takes the place of the damaged one: so that nothing is ever patched over, and rows that hold content stay where they were written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::auditor::copies::Copy;
use crate::auditor::vault::DATABASE;
use crate::base::clock::Timestamp;
use crate::base::paths::beside;
use crate::client::Client;
use crate::ledger::{Guard, is_signed_state};
use crate::store::{Head, SHM, SqliteStore, Store, WAL};

use super::super::Failure;
use super::super::copying::{FromArgs, put_in_place, put_together, replace, tell_mended};
use super::super::operator::guard_path;
use super::super::progress::Bar;
use super::super::source::FileSource;
use super::Target;
use super::findings::{Findings, Mend};

/// A new database is put together in a folder that is called so.
const WORK: &str = ".repairing";
/// So the names end that damaged databases are kept under, with the time.
const DAMAGED: &str = ".damaged-";

/// Mends what can be mended; says how.
pub fn repair(
    target: &Target,
    from: &FromArgs,
    clients: &[Option<Client>],
    found: &Findings,
) -> Result<String, Failure> {
    let anew = found.has(|m| matches!(m, Mend::Anew | Mend::From(_)));
    let lost = found.has(|m| *m == Mend::Nobody);
    // A page may be wrong anywhere: nothing is written into such a file.
    let writable = found.is_readable()
        && !found.in_part("pages")
        && !found.in_part("definitions")
        && !found.in_part("head");
    if found.has(|m| *m == Mend::InPlace) && writable && (lost || !anew) {
        in_place(target, found)?;
        return Ok("indexes and derived values were made anew, in place".to_owned());
    }
    if lost && found.is_readable() {
        return Err(Failure::Wrong(format!(
            "nothing was changed: some blocks of {} are damaged, and no copy that was given has them. Look for a backup, an auditor's \
             vault or a server that runs with another copy, and name it with --from",
            target.database.display()
        )));
    }
    if !anew {
        return Err(Failure::Wrong(
            "nothing was changed: what was found cannot be mended by a command. See docs/OPERATIONS.md, \"When verification fails\"".into(),
        ));
    }
    let kept = new_file(target, from, clients, found)?;
    Ok(format!(
        "what is proved was copied into a new file; the damaged one is {}. Delete that when it is no longer needed as evidence: \
        later erasures do not reach it",
        kept.display()
    ))
}

/// What follows from the blocks.
fn in_place(target: &Target, found: &Findings) -> Result<(), Failure> {
    let store = SqliteStore::open(&target.database, target.key.name(), false)?;
    if let Some(head) = store.head()? {
        let signed = is_signed_state(&head.state, &String::from_utf8_lossy(&head.checkpoint), &target.key);
        let state = match &found.state {
            Some(state) if found.in_part("state") || !signed => state.clone(),
            _ => head.state.clone(),
        };
        store.append(head.size, &[], &found.derived, &Head { state, ..head })?;
    }
    if found.in_part("index") {
        let mut bar = Bar::new("making the index", "records");
        store.rebuild_index(&mut |done, all| bar.at(done, all))?;
    }
    Ok(())
}

/// A key that the ledger has had before proves an older state, and nothing of what was signed since: with it the database would be taken
/// back to that.
fn not_behind_another_key(target: &Target, readable: bool) -> Result<(), Failure> {
    let (guard, name) = (guard_path(&target.database), target.key.name());
    if Guard::peek(&guard, &target.key).is_empty() && fs::metadata(&guard).is_ok_and(|m| m.len() > 0) {
        return Err(Failure::Wrong(format!(
            "nothing was changed: {} holds no checkpoint signed by the key of {name} that was given. Give the ledger's present key (--key); if \
             the file is damaged, or of another ledger, and lost for good, move it away, and read \"When blocks are lost\" in docs/OPERATIONS.md",
            guard.display()
        )));
    }
    if !readable {
        return Ok(());
    }
    let source = FileSource::open_damaged(&target.database)?;
    let Some((block, other)) = source.signed_by_another(&target.key) else { return Ok(()) };
    Err(Failure::Wrong(format!(
        "nothing was changed: the roster in block {block} of {} gives the ledger the key {other}, and that signed its checkpoint, not the one \
         that was given. If the ledger's key was changed to it, name it with --key, or finish a change that broke off (sealtrail rotate \
         ledger); if not, the database is somebody else's: move it away, and restore",
        target.database.display()
    )))
}

/// Copies what is proved into a new file; gives the damaged one's new name.
fn new_file(
    target: &Target,
    from: &FromArgs,
    clients: &[Option<Client>],
    found: &Findings,
) -> Result<PathBuf, Failure> {
    let (database, key) = (&target.database, &target.key);
    not_behind_another_key(target, found.is_readable())?;
    let signed = Guard::peek_signed(&guard_path(database), key);
    let mut copies: Vec<Copy<'_>> = Vec::new();
    if found.is_readable() {
        let source = FileSource::open_damaged(database)?;
        copies.push(Copy { name: database.display().to_string(), source: Box::new(source) });
    }
    copies.extend(from.open(clients)?);
    let state = |checkpoint: &str| {
        let own = FileSource::open_damaged(database).ok().and_then(|s| s.signed_state(checkpoint));
        own.or_else(|| from.signed_state(checkpoint))
    };
    let work = beside(database, WORK);
    let (_, mended) = put_together(&work, key, copies, &signed, state, lost)?;
    let kept = swap(database, &work.join(DATABASE))?;
    let _ = fs::remove_dir_all(&work);
    tell_mended(&mended);
    Ok(kept)
}

fn lost(have: u64, signed: u64) -> String {
    format!(
        "nothing was changed: by its last-signed file the ledger has signed {signed} blocks, and what was given proves {have}. Look for \
         the missing ones and name what has them with --from: a newer backup, an auditor's vault, what a repair that broke off has left \
         ({DAMAGED}…)"
    )
}

/// Puts `new` in the place of `database`, which gets another name, with its log. Whenever this breaks off, there is a database under the
/// one name or the other with its log beside it, and one under its own name.
fn swap(database: &Path, new: &Path) -> Result<PathBuf, Failure> {
    let now: String = Timestamp::now().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let kept = beside(database, &format!("{DAMAGED}{now}"));
    let log = beside(database, WAL);
    // Where there are no hard links it is gone for a moment.
    let linked = fs::hard_link(database, &kept).is_ok();
    if log.exists() {
        put_in_place(&log, &beside(&kept, WAL))?;
    }
    let _ = fs::remove_file(beside(database, SHM));
    if !linked {
        put_in_place(database, &kept)?;
    }
    replace(new, database)?;
    Ok(kept)
}
