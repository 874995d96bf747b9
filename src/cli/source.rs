//! A database file as a verifier's source: a copy, a backup, or the live file. Opened read-only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::auditor::source::{Blocks, Source, SourceError};
use crate::auditor::vault::DATABASE;
use crate::base::limits::MAX_BULK_BYTES;
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::note::Note;
use crate::chain::statement::Statement;
use crate::ledger::sequence_of;
use crate::store::{BlockInfo, Head, SqliteStore, Store, StoreError, mark};

use super::Failure;

/// Block texts read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// The database.
pub struct FileSource {
    store: Arc<Stored>,
    /// What to show instead of the head's checkpoint.
    whole: Option<Vec<u8>>,
    /// The head that was shown last: a running ledger has another one by the time its copy is complete.
    shown: Option<Head>,
    /// What is read is proved by whoever reads it: what is odd about rows and texts is no reason to give nothing.
    damaged: bool,
}

struct Stored(SqliteStore);

impl FileSource {
    /// Opens the file without changing it.
    pub fn open(path: &Path) -> Result<FileSource, Failure> {
        Ok(FileSource {
            store: Arc::new(Stored(SqliteStore::open_read_only(path)?)),
            whole: None,
            shown: None,
            damaged: false,
        })
    }

    /// Opens a copy of a ledger: a database file, or the folder of a backup or a vault. If filling that broke off, it shows what it
    /// was filled to before. Of a damaged one what is whole is read: whoever asks for copies takes what is proved, and nothing else.
    pub fn open_copy(path: &Path) -> Result<FileSource, Failure> {
        let database = database_of(path);
        let store = match SqliteStore::open_read_only(&database) {
            Ok(store) => store,
            Err(StoreError::Corrupt { .. }) => {
                return Ok(FileSource::open_damaged(&database)?);
            }
            Err(e) => return Err(e.into()),
        };
        let mut source =
            FileSource { store: Arc::new(Stored(store)), whole: None, shown: None, damaged: false };
        let store = &source.store.0;
        if let Some(head) = store.head()?
            && checkpoint_size(&head.checkpoint) != Some(head.size)
        {
            source.whole = store.derived(mark::VAULT_WHOLE)?;
        }
        Ok(source)
    }

    /// Of a database that may be damaged, to take what is whole out of it.
    pub fn open_damaged(path: &Path) -> Result<FileSource, StoreError> {
        Ok(FileSource {
            store: Arc::new(Stored(SqliteStore::open_damaged(path)?)),
            whole: None,
            shown: None,
            damaged: true,
        })
    }

    /// The store.
    pub fn store(&self) -> &SqliteStore {
        &self.store.0
    }

    /// The state that the ledger signed with this checkpoint, if it is here. Whoever uses it checks the signature.
    pub fn signed_state(&self, checkpoint: &str) -> Option<Vec<u8>> {
        let store = &self.store.0;
        let is_it = |text: &[u8]| text == checkpoint.as_bytes();
        if store.derived(mark::VAULT_WHOLE).ok().flatten().is_some_and(|whole| is_it(&whole))
            && let Ok(Some(state)) = store.derived(mark::BACKUP_STATE)
        {
            return Some(state);
        }
        let heads = self.shown.clone().into_iter().chain(store.head().ok().flatten());
        heads.into_iter().find(|head| is_it(&head.checkpoint)).map(|head| head.state)
    }

    /// Another key than this one, that a roster in the database names and that signed the checkpoint in it, with the roster's block.
    pub fn signed_by_another(&self, key: &VerifierKey) -> Option<(u64, VerifierKey)> {
        let store = &self.store.0;
        let checkpoint = String::from_utf8(store.head().ok()??.checkpoint).ok()?;
        let rosters = (0..).map_while(|sequence| store.statement("", sequence).ok()?);
        rosters
            .filter_map(|height| {
                let block = Block::parse(std::str::from_utf8(&store.block_text(height).ok()??).ok()?).ok()?;
                let Ok(Statement::Roster(roster)) = Statement::parse(&block.statement.text) else {
                    return None;
                };
                let other = Some(roster.ledger_key).filter(|other| other != key)?;
                SignedCheckpoint::parse(&checkpoint, &other).is_ok().then_some((height, other))
            })
            .next()
    }
}

/// The database in the folder of a backup or vault, or the file itself.
pub fn database_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(DATABASE) } else { path.to_owned() }
}

fn checkpoint_size(text: &[u8]) -> Option<u64> {
    let note = Note::parse(std::str::from_utf8(text).ok()?).ok()?;
    Some(Checkpoint::parse_text(&note.text).ok()?.size)
}

fn failed(e: StoreError) -> SourceError {
    match e {
        StoreError::Corrupt { .. } => SourceError::Damaged(e.to_string()),
        e => SourceError::Unavailable(e.to_string()),
    }
}

/// Blocks that no signature covers must not pass for a part of the ledger because nobody looks at them.
fn check_size(head: &Head) -> Result<(), SourceError> {
    let signed = std::str::from_utf8(&head.checkpoint).ok().and_then(|text| Note::parse(text).ok());
    let signed = signed.and_then(|note| Checkpoint::parse_text(&note.text).ok());
    match signed {
        Some(signed) if signed.size < head.size => Err(SourceError::Damaged(format!(
            "the database holds {} blocks, and its checkpoint signs only {} of them",
            head.size, signed.size
        ))),
        // Whether it is a checkpoint at all the verifier says.
        _ => Ok(()),
    }
}

/// Whether a block's row says something else than its text. By their rows blocks are found: for a record, and for a statement that
/// is submitted again.
fn contradicts(row: &BlockInfo, text: &str) -> bool {
    let Ok(block) = Block::parse(text) else { return false };
    let Ok(statement) = Statement::parse(&block.statement.text) else { return false };
    let told = (row.first_record, u64::from(row.records), row.sequence);
    told != (block.first_record, statement.record_count(), statement.sequence())
        || row.signer != sequence_of(&statement, &block.statement)
}

impl Source for FileSource {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        let head = self
            .store
            .0
            .head()
            .map_err(failed)?
            .ok_or_else(|| SourceError::Empty("the database holds no ledger".to_owned()))?;
        // A copy whose filling broke off has blocks beyond what it shows.
        if self.whole.is_none() && !self.damaged {
            check_size(&head)?;
        }
        let text = self.whole.clone().unwrap_or_else(|| head.checkpoint.clone());
        self.shown = Some(head);
        String::from_utf8(text)
            .map_err(|_| SourceError::Damaged("the stored checkpoint is not text".to_owned()))
    }

    fn blocks(&mut self, height: u64, _size: u64) -> Result<Vec<String>, SourceError> {
        let texts = self.store.0.block_texts(height, BLOCKS_AT_ONCE, MAX_BULK_BYTES).map_err(failed)?;
        if self.damaged {
            return Ok(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned()).collect());
        }
        // Other bytes must not be read as the text that was signed.
        let text = |(at, bytes)| {
            let text = String::from_utf8(bytes)
                .map_err(|_| SourceError::Damaged(format!("block {at}: its stored text is not UTF-8")))?;
            match self.store.0.block_info(at).map_err(failed)? {
                Some(row) if contradicts(&row, &text) => Err(SourceError::Damaged(format!(
                    "block {at}: its row in the database does not say what its signed text says"
                ))),
                _ => Ok(text),
            }
        };
        (height..).zip(texts).map(text).collect()
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
