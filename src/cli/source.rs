//! A database file as a verifier's source: a copy, a backup, or the live file. Opened read-only.

use std::path::Path;
use std::sync::Arc;

use crate::auditor::source::{Blocks, Source, SourceError};
use crate::base::limits::MAX_BULK_BYTES;
use crate::store::{SqliteStore, Store, StoreError};

use super::Failure;

/// Block texts read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// The database.
pub struct FileSource {
    store: Arc<Stored>,
}

struct Stored(SqliteStore);

impl FileSource {
    /// Opens the file without changing it.
    pub fn open(path: &Path) -> Result<FileSource, Failure> {
        Ok(FileSource { store: Arc::new(Stored(SqliteStore::open_read_only(path)?)) })
    }
}

fn failed(e: StoreError) -> SourceError {
    match e {
        StoreError::Corrupt { .. } => SourceError::Damaged(e.to_string()),
        e => SourceError::Unavailable(e.to_string()),
    }
}

impl Source for FileSource {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        let head = self
            .store
            .0
            .head()
            .map_err(failed)?
            .ok_or_else(|| SourceError::Empty("the database holds no ledger".to_owned()))?;
        String::from_utf8(head.checkpoint)
            .map_err(|_| SourceError::Damaged("the stored checkpoint is not text".to_owned()))
    }

    fn blocks(&mut self, height: u64, _size: u64) -> Result<Vec<String>, SourceError> {
        let texts = self.store.0.block_texts(height, BLOCKS_AT_ONCE, MAX_BULK_BYTES).map_err(failed)?;
        Ok(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned()).collect())
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, _size: u64) -> Result<Vec<u8>, SourceError> {
        self.store.body(height)
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        self.store.leaf_inputs(height)
    }

    fn shared(&self) -> Option<Arc<dyn Blocks>> {
        Some(self.store.clone())
    }
}

impl Blocks for Stored {
    fn stream(
        &self,
        height: u64,
        leaf_inputs: &mut Vec<u8>,
        body: &mut Vec<u8>,
        each: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<bool, SourceError> {
        self.0.stream(height, leaf_inputs, body, each).map_err(failed)
    }

    fn body(&self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.body(height).map_err(failed)?.unwrap_or_default())
    }

    fn leaf_inputs(&self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.leaf_inputs(height).map_err(failed)?.unwrap_or_default())
    }
}
