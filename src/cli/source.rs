//! A database file as a verifier's source: a copy, a backup, or the live file. Opened read-only.

use std::path::Path;

use crate::auditor::source::{Source, SourceError};
use crate::base::limits::MAX_BULK_BYTES;
use crate::store::{SqliteStore, Store};

use super::Failure;

/// Block texts read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// The database.
pub struct FileSource {
    store: SqliteStore,
}

impl FileSource {
    /// Opens the file without changing it.
    pub fn open(path: &Path) -> Result<FileSource, Failure> {
        Ok(FileSource { store: SqliteStore::open_read_only(path)? })
    }
}

fn failed(e: impl std::fmt::Display) -> SourceError {
    SourceError(e.to_string())
}

impl Source for FileSource {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        let head =
            self.store.head().map_err(failed)?.ok_or_else(|| failed("the database holds no ledger"))?;
        String::from_utf8(head.checkpoint).map_err(|_| failed("the stored checkpoint is not text"))
    }

    fn blocks(&mut self, height: u64, _size: u64) -> Result<Vec<String>, SourceError> {
        let texts = self.store.block_texts(height, BLOCKS_AT_ONCE, MAX_BULK_BYTES).map_err(failed)?;
        Ok(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned()).collect())
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, _size: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.body(height).map_err(failed)?.unwrap_or_default())
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.leaf_inputs(height).map_err(failed)?.unwrap_or_default())
    }
}
