//! The remote writer behind `log --seal`: seals on this machine and sends only ciphertext.
//!
//! It trusts its own settings for who the readers are, never the server. Its place in the statement sequence is kept beside
//! its key, so a server cannot talk it into forgetting a statement; a batch is written to `KEY.pending` before it is sent and
//! removed when its receipt has come, so an interruption neither loses nor doubles it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::api::bulk::{decode_batch, encode_batch};
use crate::api::message::{EventReceipts, StatementReceipt};
use crate::auditor::follow::present_key;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::paths::beside;
use crate::chain::block::Block;
use crate::chain::key::VerifierKey;
use crate::chain::note::Note;
use crate::chain::proof::Proof;
use crate::chain::replay::Head;
use crate::chain::roster::RosterReader;
use crate::chain::statement::{Statement, statement_hash};
use crate::client::{Client, ClientError};
use crate::config::keyfile::{self, KeyFileError};
use crate::config::writer_settings::WriterSettings;
use crate::store::LockFile;
use crate::writer::{Purpose, Writer, WriterOptions};

use super::Failure;
use super::authority::roster_of;
use super::next_key::{next_path, take_place};
use super::operator::{search_keeper, signing_key_file};

/// Ending of the file that keeps the place in the sequence.
const STATE_ENDING: &str = "state";
/// Ending of the file that keeps a batch until its receipt has come.
const PENDING_ENDING: &str = "pending";

/// Ending of the file that keeps the ledger's key that this machine was led to, with the one in the settings it was led from.
const FOLLOWED_ENDING: &str = "followed";

/// A writer on this machine and the server it sends to.
pub struct RemoteWriter {
    writer: Writer,
    readers: Vec<RosterReader>,
    client: Client,
    state: PathBuf,
    pending: PathBuf,
    /// Receipts are believed only with a proof under this key.
    ledger_key: VerifierKey,
    _lock: LockFile,
}

impl RemoteWriter {
    /// Opens the writer, and first delivers a batch that an earlier run left. With `adopt` a writer that has no memory of its
    /// own takes the ledger's word for where its sequence stands.
    pub fn open(path: &Path, client: Client, adopt: bool) -> Result<RemoteWriter, Failure> {
        let settings = WriterSettings::load(path).map_err(Failure::usage)?;
        let readers = settings
            .readers
            .iter()
            .map(|r| super::init::roster_reader(&r.name, &r.recipient, false))
            .collect::<Result<Vec<_>, _>>()?;
        let lock = LockFile::acquire(&settings.key)?;
        let found = client.ledger()?.ledger;
        if found != settings.ledger {
            return Err(Failure::Usage(format!(
                "{} serves the ledger {found}, {} names {}: correct one of them",
                client.base(),
                path.display(),
                settings.ledger
            )));
        }
        change_over(&settings.key, &client)?;
        let key = signing_key_file(&settings.key)?;
        let ledger_key = followed(&client, &settings)?;
        let state = settings.key.with_extension(STATE_ENDING);
        let pending = settings.key.with_extension(PENDING_ENDING);
        let name = key.name().to_owned();
        let options = WriterOptions {
            key,
            ledger: settings.ledger,
            policy: settings.policy,
            retain_years: settings.retain_years,
            search: search_keeper(settings.search),
        };
        let writer = Writer::new(options, Head::default()).map_err(Failure::usage)?;
        let mut remote = RemoteWriter { writer, readers, client, state, pending, ledger_key, _lock: lock };
        let head = remote.place(&name, adopt)?;
        remote.writer.resume(head);
        if remote.pending.exists() {
            let receipt = remote.deliver()?;
            eprintln!("a batch left by an earlier run is in block {}", receipt.block);
        }
        Ok(remote)
    }

    /// Where the sequence stands: what this machine remembers must be what the ledger says, or one ahead with a batch pending.
    fn place(&self, name: &str, adopt: bool) -> Result<Head, Failure> {
        let theirs = self.client.writer(name)?;
        let previous = Hash::from_base64(&theirs.previous).ok_or_else(|| {
            Failure::Unavailable("the server's answer about this writer is malformed".into())
        })?;
        let theirs = Head { next_sequence: theirs.next_sequence, previous };
        if !self.state.exists() {
            let fresh = theirs == Head::default() || self.pending.exists();
            return if fresh || adopt {
                Ok(theirs)
            } else {
                Err(Failure::Usage(format!(
                    "the ledger has {} statements of this writer, and {} is missing, so this machine cannot tell whether they are its own. \
                     Put the file back, or go on with --adopt if it is lost and nobody else has the key",
                    theirs.next_sequence,
                    self.state.display()
                )))
            };
        }
        let text = std::fs::read_to_string(&self.state)
            .map_err(|e| Failure::Usage(format!("{}: {e}", self.state.display())))?;
        let ours = text.trim().split_once(' ').and_then(|(n, h)| {
            Some(Head { next_sequence: n.parse().ok()?, previous: Hash::from_base64(h)? })
        });
        let ours = ours.ok_or_else(|| {
            Failure::Usage(format!(
                "{} is damaged; remove it to take the ledger's word",
                self.state.display()
            ))
        })?;
        if theirs.next_sequence < ours.next_sequence
            || (theirs.next_sequence == ours.next_sequence && theirs.previous != ours.previous)
        {
            return Err(Failure::Wrong(format!(
                "the ledger has lost statements of this writer: it expects number {}, this machine has \
                    receipts up to {}. Keep {} as evidence and ask the operator",
                theirs.next_sequence,
                ours.next_sequence.saturating_sub(1),
                self.state.display()
            )));
        }
        let explained = ours.next_sequence + u64::from(self.pending.exists());
        if theirs.next_sequence > explained {
            return Err(Failure::Wrong(format!(
                "the ledger has statements of this writer up to number {}, this machine has sent them up to {}: either \
                 {} is an old copy, or someone else signs with this key. If it is not the first, have an admin remove the writer",
                theirs.next_sequence.saturating_sub(1),
                explained.saturating_sub(1),
                self.state.display()
            )));
        }
        Ok(theirs)
    }

    /// Seals the events as one batch and sends it.
    pub fn send(&mut self, events: &[Vec<u8>]) -> Result<EventReceipts, Failure> {
        let now = Timestamp::now();
        let sealed = self.writer.seal_events(Purpose::Events, &self.readers, events, now)?;
        let upload = encode_batch(&sealed.note.to_string(), &sealed.body);
        replace(&self.pending, &upload)?;
        let receipt = self.deliver()?;
        Ok(EventReceipts::of(receipt.block, receipt.first_record, receipt.count))
    }

    /// A receipt is the server's word; the proof behind it is the ledger's signature over this very statement.
    fn check_receipt(&self, note: &Note, receipt: &StatementReceipt) -> Result<(), Failure> {
        let untrue = |why: String| {
            Failure::Wrong(format!(
                "the server said that the batch is stored, and that is not proven: {why}. The batch stays in {}",
                self.pending.display()
            ))
        };
        let proof = self.client.proof(receipt.first_record).map_err(|e| match e {
            ClientError::Problem(p) => untrue(format!("it gives no proof: {}", p.detail)),
            other => other.into(),
        })?;
        let proof = Proof::parse(&proof).map_err(|e| untrue(e.to_string()))?;
        let verified = proof.verify(&self.ledger_key, None).map_err(|e| untrue(e.to_string()))?;
        let block = Block::parse(&proof.block).map_err(|e| untrue(e.to_string()))?;
        let records = Statement::parse(&note.text).map_or(0, |s| s.record_count());
        // With the very signature this machine made, by the key of that time.
        let ours = block.statement == *note
            && verified.block_height == receipt.block
            && block.first_record == receipt.first_record
            && records == u64::from(receipt.count);
        if ours { Ok(()) } else { Err(untrue("the proof is for another batch".into())) }
    }

    /// Sends the pending batch; remembers its place; removes it.
    fn deliver(&mut self) -> Result<StatementReceipt, Failure> {
        let damaged = || {
            Failure::Usage(format!(
                "{} is damaged; remove it and log its events again",
                self.pending.display()
            ))
        };
        let upload = std::fs::read(&self.pending)
            .map_err(|e| Failure::Usage(format!("{}: {e}", self.pending.display())))?;
        let (statement, body) = decode_batch(&upload).map_err(|_| damaged())?;
        let note = Note::parse(statement).map_err(|_| damaged())?;
        let sequence = Statement::parse(&note.text).map_err(|_| damaged())?.sequence();
        let receipt = match self.client.send_batch(statement, body) {
            Err(ClientError::Problem(p)) if !p.code.retry() && p.status < 500 => {
                // Refused for good: sending it again first thing would block this writer for ever.
                let aside = self.pending.with_extension("refused");
                std::fs::rename(&self.pending, &aside).map_err(Failure::unavailable)?;
                return Err(Failure::Usage(format!(
                    "the ledger refused the batch: {}. Its events are not logged; the sealed batch is kept in {}",
                    p.detail,
                    aside.display()
                )));
            }
            other => other?,
        };
        self.check_receipt(&note, &receipt)?;
        let head = Head { next_sequence: sequence + 1, previous: statement_hash(&note.text) };
        let text = format!("{} {}\n", head.next_sequence, head.previous.base64());
        replace(&self.state, text.as_bytes())?;
        self.writer.resume(head);
        std::fs::remove_file(&self.pending)
            .map_err(|e| Failure::Unavailable(format!("{}: {e}", self.pending.display())))?;
        Ok(receipt)
    }
}

/// Changes over to the writer's next key, if there is one and the ledger's roster has it. A batch that waits is signed anew: its place,
/// content and statement do not depend on the key. By the server's word about the roster: with a wrong one batches are refused, no more.
fn change_over(path: &Path, client: &Client) -> Result<(), Failure> {
    let next_file = next_path(path);
    if !next_file.exists() {
        return Ok(());
    }
    let (next, present) = (signing_key_file(&next_file)?, signing_key_file(path)?.verifier());
    let roster = roster_of(&client.block(client.ledger()?.roster_block)?)?;
    if roster.writer(next.name()) != Some(&next.verifier()) {
        return Ok(());
    }
    let pending = path.with_extension(PENDING_ENDING);
    if let Ok(upload) = std::fs::read(&pending)
        && let Ok((statement, body)) = decode_batch(&upload)
        && let Ok(note) = Note::parse(statement)
    {
        let stored =
            Hash::from_base64(&client.writer(next.name())?.previous) == Some(statement_hash(&note.text));
        // One that is in the ledger already is answered as it is.
        if !stored {
            replace(&pending, &encode_batch(&Note::sign(&note.text, &next).to_string(), body))?;
        }
    }
    let retired = take_place(path, &next.verifier(), &present)?;
    eprintln!("signing with the new key from now on; {} is refused: destroy it", retired.display());
    Ok(())
}

/// Puts `bytes` in place of the file at `path`: after a crash the old content is there or the new.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let new = beside(path, ".new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    };
    write().map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))
}

/// The ledger's present key. Once a change was followed nothing leads back: who stole the key in the settings gives no more receipts.
fn followed(client: &Client, settings: &WriterSettings) -> Result<VerifierKey, Failure> {
    let named = super::trust::verifier_key(&settings.ledger_key)?;
    let path = settings.key.with_extension(FOLLOWED_ENDING);
    let given = match keyfile::read_public(&path) {
        Ok(kept) => match kept.trim().split_once('\n') {
            Some((from, key)) if from == named.to_string() => super::trust::verifier_key(key)?,
            // Of other settings it says nothing.
            Some(_) => named.clone(),
            // One that says nothing at all must not lead back.
            None => {
                return Err(Failure::Usage(format!(
                    "{} is damaged: name the ledger's present key in the settings (ledger_key), and remove it",
                    path.display()
                )));
            }
        },
        Err(KeyFileError::Missing(_)) => named.clone(),
        Err(e) => return Err(Failure::usage(e)),
    };
    let present = present_key(client, &given)?;
    if present != given {
        keyfile::replace_public(&path, &format!("{named}\n{present}\n")).map_err(Failure::usage)?;
        eprintln!(
            "The ledger has a new key, which the one before it signed: {present}. From now on only that is believed ({}); put it into the \
             settings as ledger_key",
            path.display()
        );
    }
    Ok(present)
}
