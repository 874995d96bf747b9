//! Opened records kept at rest (`audit sync --persist`): each block's events, sealed to the auditor's own key. Without it nothing that was decrypted is ever
//! written; with it going through a vault costs a decryption instead of opening and checking every record. Whoever has the folder and not the identity
//! has ciphertext, as with the vault itself.
//!
//! What is kept belongs to one set of identities and grants; for any other it does not exist.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::base::hash::Hash;
use crate::base::limits::MAX_BATCH_RECORDS;
use crate::base::secret::SecretBytes;
use crate::base::wire::{Reader, WireError, WireWrite};
use crate::seal::at_rest;
use crate::seal::reader_key::Identity;

use super::super::granted::Granted;
use super::super::record::Content;

/// The database inside the vault's folder.
const DATABASE: &str = "opened.db";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS opened (
        height INTEGER NOT NULL,
        who BLOB NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (height, who)
    ) STRICT;";

/// Kept events of one set of identities.
pub(super) struct Kept {
    conn: Mutex<Connection>,
    who: Hash,
    ledger: String,
}

impl Kept {
    /// Opens what is kept in a vault's folder, or with `create` begins to keep. `None` if nothing is kept.
    pub(super) fn open(
        dir: &Path,
        ledger: &str,
        identities: &[Identity],
        granted: &Granted,
        create: bool,
    ) -> Result<Option<Kept>, rusqlite::Error> {
        let Some(conn) = connect(dir, create)? else { return Ok(None) };
        let mut who: Vec<u8> = identities.iter().flat_map(|i| *i.recipient().as_bytes()).collect();
        who.put_u64(granted.count() as u64);
        Ok(Some(Kept { conn: Mutex::new(conn), who: Hash::of(&[&who]), ledger: ledger.to_owned() }))
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a block's events are kept.
    pub(super) fn has(&self, height: u64) -> Result<bool, rusqlite::Error> {
        let sql = "SELECT 1 FROM opened WHERE height = ?1 AND who = ?2";
        let found =
            self.conn().prepare_cached(sql)?.query_row(params![height, self.who.0], |_| Ok(())).optional()?;
        Ok(found.is_some())
    }

    /// What is kept of a block, by position. `None` if nothing, or nothing usable: it is then opened from the vault.
    pub(super) fn get(&self, identity: &Identity, height: u64) -> Option<Vec<Content>> {
        let sql = "SELECT data FROM opened WHERE height = ?1 AND who = ?2";
        let data: Vec<u8> = self
            .conn()
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(params![height, self.who.0], |r| r.get(0)).optional())
            .ok()
            .flatten()?;
        let bytes = at_rest::open(identity, &self.ledger, &height.to_string(), &data).ok()?;
        decode(&bytes).ok()
    }

    /// Keeps a block's events, sealed to `identity`.
    pub(super) fn put(&self, identity: &Identity, height: u64, records: &[Content]) -> Result<(), String> {
        let plain = encode(records);
        let sealed = at_rest::seal(&identity.recipient(), &self.ledger, &height.to_string(), &plain)
            .map_err(|e| e.to_string())?;
        let sql = "INSERT OR REPLACE INTO opened (height, who, data) VALUES (?1, ?2, ?3)";
        let kept =
            self.conn().prepare_cached(sql).and_then(|mut s| s.execute(params![height, self.who.0, sealed]));
        kept.map(|_| ()).map_err(|e| e.to_string())
    }
}

fn connect(dir: &Path, create: bool) -> Result<Option<Connection>, rusqlite::Error> {
    let path = dir.join(DATABASE);
    if !create && !path.exists() {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    // What is deleted is overwritten; a journal holds the same ciphertext until the transaction ends.
    conn.execute_batch(
        "PRAGMA secure_delete = ON; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL;",
    )?;
    conn.execute_batch(SCHEMA)?;
    // It is ciphertext; if this fails the folder's mode still keeps others out.
    let _ = super::only_mine(&path);
    Ok(Some(conn))
}

/// Drops what is kept of blocks, for everybody: some of their records were erased.
pub(super) fn forget(dir: &Path, heights: &[u64]) -> Result<(), rusqlite::Error> {
    if let Some(conn) = connect(dir, false)? {
        for height in heights {
            conn.prepare_cached("DELETE FROM opened WHERE height = ?1")?.execute([height])?;
        }
    }
    Ok(())
}

const OPENED: u8 = 1;
const NOT_FOR_YOU: u8 = 2;
const UNREADABLE: u8 = 3;
const ERASED: u8 = 4;

/// As much of a reason as is kept.
fn kept_why(why: &str) -> &str {
    why.char_indices().nth(1000).map_or(why, |(end, _)| why.get(..end).unwrap_or_default())
}

/// u32(records) ‖ for each: kind ‖ what belongs to it.
pub(in crate::auditor) fn encode(records: &[Content]) -> SecretBytes {
    let length = |content: &Content| match content {
        Content::Opened { event, withheld } => {
            1 + 4 + event.len() + 1 + withheld.iter().map(|name| 2 + name.len()).sum::<usize>()
        }
        Content::Unreadable { why } => 1 + 2 + kept_why(why).len(),
        Content::NotForYou | Content::Erased { .. } => 1,
    };
    // All of it, so that growing leaves no copy behind that is not wiped.
    let mut out = Vec::with_capacity(4 + records.iter().map(length).sum::<usize>());
    out.put_u32(records.len() as u32);
    for content in records {
        match content {
            Content::Opened { event, withheld } => {
                out.push(OPENED);
                out.put_u32(event.len() as u32);
                out.extend_from_slice(event);
                out.push(withheld.len() as u8);
                withheld.iter().for_each(|name| out.put_bytes16(name.as_bytes()));
            }
            Content::NotForYou => out.push(NOT_FOR_YOU),
            Content::Unreadable { why } => {
                out.push(UNREADABLE);
                out.put_bytes16(kept_why(why).as_bytes());
            }
            // By which order the vault knows.
            Content::Erased { .. } => out.push(ERASED),
        }
    }
    SecretBytes::new(out)
}

pub(in crate::auditor) fn decode(bytes: &[u8]) -> Result<Vec<Content>, WireError> {
    let mut r = Reader::new(bytes, "kept events");
    let count = r.u32()?;
    if count as usize > MAX_BATCH_RECORDS {
        return r.invalid("number of records");
    }
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(match r.u8()? {
            OPENED => {
                let len = r.u32()? as usize;
                let event = SecretBytes::new(r.take(len)?.to_vec());
                let sections = r.u8()?;
                let withheld =
                    (0..sections).map(|_| r.str16().map(str::to_owned)).collect::<Result<_, _>>()?;
                Content::Opened { event, withheld }
            }
            NOT_FOR_YOU => Content::NotForYou,
            UNREADABLE => Content::Unreadable { why: r.str16()?.to_owned() },
            ERASED => Content::Erased { by_block: None },
            _ => return r.invalid("unknown kind"),
        });
    }
    r.finish()?;
    Ok(out)
}
