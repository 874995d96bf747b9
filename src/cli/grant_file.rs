//! The file an auditor hands to an admin: grants that are made and not signed yet. `docs/FORMAT.md` §12.
//!
//! Nothing in it is secret: the slots open with the new reader's identity only.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::auditor::grant::{MadeGrant, check_made};
use crate::base::limits::{MAX_BATCH_BYTES, MAX_STATEMENT_BYTES};
use crate::base::paths::beside;
use crate::chain::statement::Statement;

use super::Failure;

/// First bytes of a grant file.
const MAGIC: &[u8; 5] = b"STGF1";

/// Writes a grant file; until it is finished there is only `FILE.new`.
pub struct GrantFileWriter {
    path: PathBuf,
    new: PathBuf,
    out: BufWriter<File>,
}

impl GrantFileWriter {
    /// Starts the file.
    pub fn create(path: &Path) -> Result<GrantFileWriter, Failure> {
        let new = beside(path, ".new");
        let started = File::create(&new).map(BufWriter::new).and_then(|mut out| {
            out.write_all(MAGIC)?;
            Ok(out)
        });
        let out = started.map_err(|e| unwritable(path, &e))?;
        Ok(GrantFileWriter { path: path.to_owned(), new, out })
    }

    /// Appends a grant.
    pub fn push(&mut self, grant: &MadeGrant) -> Result<(), Failure> {
        let text = Statement::Grant(grant.statement.clone()).to_text();
        for part in [text.as_bytes(), &grant.body] {
            let length = (part.len() as u32).to_be_bytes();
            let written = self.out.write_all(&length).and_then(|()| self.out.write_all(part));
            written.map_err(|e| unwritable(&self.path, &e))?;
        }
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<(), Failure> {
        let done = self.out.write_all(&[0; 4]).and_then(|()| self.out.flush());
        done.and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.new, &self.path))
            .map_err(|e| unwritable(&self.path, &e))
    }
}

fn unwritable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::Unavailable(format!("cannot write {}: {e}", path.display()))
}

/// Reads a grant file, grant by grant, each checked against its slots.
pub struct GrantFileReader {
    path: PathBuf,
    input: Box<dyn Read>,
}

impl GrantFileReader {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<GrantFileReader, Failure> {
        let file = File::open(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
        GrantFileReader::of(path, Box::new(BufReader::new(file)))
    }

    /// Reads what the file at `path` holds.
    pub(super) fn of(path: &Path, input: Box<dyn Read>) -> Result<GrantFileReader, Failure> {
        let mut reader = GrantFileReader { path: path.to_owned(), input };
        let mut magic = [0; MAGIC.len()];
        let read = reader.input.read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            return Err(reader.damaged("it is no grant file; `sealtrail audit grant --out FILE` makes one"));
        }
        Ok(reader)
    }

    fn damaged(&self, why: &str) -> Failure {
        Failure::Usage(format!("{}: {why}", self.path.display()))
    }

    fn part(&mut self, max: usize) -> Result<Vec<u8>, Failure> {
        let cut = "it is cut short; ask the auditor to send it again";
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(|_| self.damaged(cut))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > max {
            return Err(self.damaged("it is damaged; ask the auditor to send it again"));
        }
        // Grown as it is read: a length that is made up takes no memory.
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() != length {
            return Err(self.damaged(cut));
        }
        Ok(bytes)
    }

    /// The next grant; `None` after the last.
    pub fn next_grant(&mut self) -> Result<Option<MadeGrant>, Failure> {
        let text = self.part(MAX_STATEMENT_BYTES)?;
        if text.is_empty() {
            let mut more = [0];
            return match self.input.read(&mut more) {
                Ok(0) => Ok(None),
                _ => Err(self.damaged("something follows its end; ask the auditor to send it again")),
            };
        }
        let text = String::from_utf8(text).map_err(|_| self.damaged("it is damaged"))?;
        let statement = match Statement::parse(&text) {
            Ok(Statement::Grant(statement)) => statement,
            Ok(_) => return Err(self.damaged("it holds a statement that is no grant")),
            Err(e) => return Err(self.damaged(&e.to_string())),
        };
        let body = self.part(MAX_BATCH_BYTES)?;
        let granted = check_made(&statement, &body).map_err(|e| self.damaged(&e))?;
        Ok(Some(MadeGrant { statement, body, granted }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::grant::{GrantBuilder, GrantHead, put_entry};
    use crate::base::hash::Hash;
    use crate::chain::authority::{GrantStatement, RecordRange};
    use crate::chain::grant::slots_hash;

    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn made(first: u64, records: u32) -> MadeGrant {
        let mut builder = GrantBuilder::default();
        let head =
            GrantHead { height: 3, position: 0, records, sections: 1, enc: vec![1; 32], search: vec![2; 48] };
        let mut entries = Vec::new();
        (0..records).for_each(|n| put_entry(&[[n as u8; 32]], &mut entries));
        builder.push(&head, &entries);
        let body = builder.finish();
        let statement = GrantStatement {
            ledger: "l.example".into(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: Timestamp::from_millis(1_700_000_000_000).unwrap(),
            range: RecordRange { first, last: first + u64::from(records) - 1 },
            from: RECIPIENT.into(),
            to_name: "carol".into(),
            to: RECIPIENT.into(),
            slots_hash: slots_hash(&body).unwrap(),
        };
        // A slot of zero bytes is a record left out.
        MadeGrant { statement, body, granted: u64::from(records) - 1 }
    }

    fn read(path: &Path) -> Result<Vec<MadeGrant>, Failure> {
        let mut reader = GrantFileReader::open(path)?;
        let mut all = Vec::new();
        while let Some(grant) = reader.next_grant()? {
            all.push(grant);
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read_and_every_cut_or_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.grant");
        let grants = [made(5, 3), made(8, 2)];
        let mut writer = GrantFileWriter::create(&path).unwrap();
        grants.iter().for_each(|g| writer.push(g).unwrap());
        assert!(!path.exists(), "an unfinished file has another name");
        writer.finish().unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.len(), 2);
        for (a, b) in back.iter().zip(&grants) {
            assert_eq!((&a.statement, &a.body, a.granted), (&b.statement, &b.body, b.granted));
        }
        let bytes = std::fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            assert!(matches!(read(&path), Err(Failure::Usage(_))), "cut at {end}");
        }
        std::fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(read(&path).is_err());
        let last = bytes.len() - 5;
        let mut changed = bytes;
        changed[last] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let Err(Failure::Usage(why)) = read(&path) else { panic!("a changed slot is noticed") };
        assert!(why.contains("slots-hash"), "{why}");
    }
}
