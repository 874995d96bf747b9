//! Layer 2: the writer. Puts `event`, `seal` and `chain` together: events in, one sealed and signed batch out. The
//! gateway inside the server and the command line's remote writer are both this code.
//!
//! It holds the writer's signing key, the readers' public keys and the search secret of the current period,
//! and nothing that opens a record it sealed before.

use std::ops::Range;
use std::sync::Arc;

use crate::base::batch::Body;
use crate::base::clock::Timestamp;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_HEADER_BYTES, MAX_RECORD_BYTES};
use crate::base::random::{self, Csprng, RandomError};
use crate::base::wire::WireError;
use crate::chain::batch::{self, BatchError};
use crate::chain::key::SigningKey;
use crate::chain::note::Note;
use crate::chain::replay::Head;
use crate::chain::roster::RosterReader;
use crate::chain::statement::{HeartbeatStatement, RecordsStatement, Statement};
use crate::event::error::EventError;
use crate::event::field::Field;
use crate::event::policy::{CompiledPolicy, Policy, PolicyError, SectionPolicy};
use crate::event::prepare::Preparer;
use crate::seal::reader_key::{KeyError, Recipient};
use crate::seal::sealer::{SealError, Sealer, SealerConfig, SectionInput, SectionSpec, TagInput, Worker};
use crate::seal::tag::SearchSecret;

/// Why a batch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// An event is not acceptable; the batch goes on without its request.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A section of the policy has no reader in the roster.
    #[error(
        "section {0:?} of the policy has no reader in the roster: add one with `reader add`, or change the policy's reader names"
    )]
    NoReader(String),
    /// A recipient in the roster is not usable.
    #[error("the roster's reader {name} has an unusable key: {source}")]
    Recipient {
        /// The reader.
        name: String,
        /// What is wrong.
        source: KeyError,
    },
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The batch broke a limit of the format.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The finished batch did not pass its own check.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The search secret of the period could not be loaded or kept.
    #[error("the search secret of period {period} cannot be used: {why}")]
    Search {
        /// The period.
        period: String,
        /// What is wrong.
        why: String,
    },
    /// More than one batch can hold.
    #[error("the batch is full")]
    Full,
    /// The batch before this one was not committed.
    #[error("the batch before this one was not stored")]
    Broken,
}

/// Which readers and tags a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Events of applications.
    Events,
    /// Records of who read what from the ledger itself.
    AccessLog,
}

/// Given a month as `2026-11`, loads the search secret in use in it or makes and keeps a new one, and names its period: another
/// secret of the same month has another name.
pub type SearchKeeper = Box<dyn FnMut(&str) -> Result<(String, SearchSecret), String> + Send>;

/// What a writer is made of.
pub struct WriterOptions {
    /// The signing key; its name is the writer's.
    pub key: SigningKey,
    /// The ledger's origin.
    pub ledger: String,
    /// Sections, their readers, and tags for events.
    pub policy: Policy,
    /// Years until records may be removed.
    pub retain_years: u16,
    /// Where search secrets come from.
    pub search: SearchKeeper,
}

/// A writer with its place in its own statement sequence.
pub struct Writer {
    key: SigningKey,
    ledger: String,
    events: Rules,
    access_log: Rules,
    retain_years: u16,
    search: SearchKeeper,
    /// Month, and the period with its secret.
    period: Option<(String, String, SearchSecret)>,
    head: Head,
}

/// A policy and, for its sections, who may read them.
struct Rules {
    policy: Arc<CompiledPolicy>,
    sections: Vec<SectionPolicy>,
}

/// A batch whose public-key work is done.
pub struct OpenBatch {
    sealer: Sealer,
    policy: Arc<CompiledPolicy>,
    rng: Csprng,
}

/// A batch being filled.
pub struct Batch<'o> {
    sealer: &'o Sealer,
    worker: Worker<'o>,
    preparer: Preparer,
    rng: &'o mut Csprng,
    records: Vec<u8>,
    lengths: Vec<u32>,
    closed: bool,
}

/// A batch ready to be signed.
pub struct Unsigned {
    body: Vec<u8>,
    sequence: u64,
}

/// A signed batch, ready for a ledger.
pub struct Sealed {
    /// The statement.
    pub note: Note,
    /// The body.
    pub body: Vec<u8>,
}

impl Writer {
    /// A writer that goes on from `head`.
    pub fn new(options: WriterOptions, head: Head) -> Result<Writer, PolicyError> {
        let mut access = options.policy.clone();
        access.sections.truncate(1);
        for section in &mut access.sections {
            section.readers = options.policy.access_log.clone();
        }
        let rules = |policy: Policy| -> Result<Rules, PolicyError> {
            Ok(Rules { policy: Arc::new(policy.compile()?), sections: policy.sections })
        };
        Ok(Writer {
            key: options.key,
            ledger: options.ledger,
            events: rules(options.policy)?,
            access_log: rules(access)?,
            retain_years: options.retain_years,
            search: options.search,
            period: None,
            head,
        })
    }

    /// The policy for events, compiled: for checking events before they are queued.
    pub fn policy(&self) -> Arc<CompiledPolicy> {
        self.events.policy.clone()
    }

    /// The writer's key name.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Goes on from another place in the sequence, after a batch was refused or lost.
    pub fn resume(&mut self, head: Head) {
        self.head = head;
    }

    /// Whether every section of both policies has a reader among `readers`.
    pub fn check_readers(&self, readers: &[RosterReader]) -> Result<(), WriterError> {
        sections(&self.events.sections, readers)?;
        sections(&self.access_log.sections, readers)?;
        Ok(())
    }

    /// Starts a batch for the readers the roster has now.
    pub fn begin(
        &mut self,
        purpose: Purpose,
        readers: &[RosterReader],
        now: Timestamp,
    ) -> Result<OpenBatch, WriterError> {
        let rules = match purpose {
            Purpose::Events => &self.events,
            Purpose::AccessLog => &self.access_log,
        };
        let sections = sections(&rules.sections, readers)?;
        let month: String = now.date().chars().take("2026-11".len()).collect();
        if self.period.as_ref().is_none_or(|(of, ..)| *of != month) {
            let (period, secret) =
                (self.search)(&month).map_err(|why| WriterError::Search { period: month.clone(), why })?;
            self.period = Some((month, period, secret));
        }
        let Some((_, period, secret)) = &self.period else { return Err(WriterError::Broken) };
        let mut rng = random::csprng()?;
        let config = SealerConfig {
            ledger: self.ledger.clone(),
            writer: self.key.name().to_owned(),
            sequence: self.head.next_sequence,
            period: period.clone(),
            readers: sections.iter().flat_map(|s| s.readers.iter().copied()).collect(),
            sections,
            tag_fields: rules.policy.tag_fields().to_vec(),
        };
        let sealer = Sealer::new(config, secret, &mut rng)?;
        Ok(OpenBatch { sealer, policy: rules.policy.clone(), rng })
    }

    /// Signs a batch and takes its place in the sequence. If the ledger then refuses it, call [`Writer::resume`].
    pub fn sign(&mut self, batch: Unsigned, now: Timestamp) -> Result<Sealed, WriterError> {
        if batch.sequence != self.head.next_sequence {
            return Err(WriterError::Broken);
        }
        let commitment = batch::commit(&batch.body)?;
        let statement = Statement::Records(RecordsStatement {
            ledger: self.ledger.clone(),
            sequence: self.head.next_sequence,
            previous: self.head.previous,
            sealed: now,
            records: commitment.leaf_inputs.len() as u64,
            bytes: commitment.bytes,
            records_root: commitment.records_root,
            tags_root: commitment.tags_root.ok_or(WriterError::Broken)?,
            header_hash: commitment.header_hash,
            retain_until: now.plus_years(self.retain_years).date(),
        });
        Ok(Sealed { note: self.advance(&statement), body: batch.body })
    }

    /// A signed heartbeat: nothing since the last statement.
    pub fn heartbeat(&mut self, now: Timestamp) -> Result<Note, WriterError> {
        let statement = Statement::Heartbeat(HeartbeatStatement {
            ledger: self.ledger.clone(),
            sequence: self.head.next_sequence,
            previous: self.head.previous,
            issued: now,
        });
        Ok(self.advance(&statement))
    }

    fn advance(&mut self, statement: &Statement) -> Note {
        let text = statement.to_text();
        self.head = Head {
            next_sequence: self.head.next_sequence + 1,
            previous: crate::base::hash::Hash::of(&[text.as_bytes()]),
        };
        Note::sign(&text, &self.key)
    }
}

/// The readers of each section: those the policy names, and in the first section all that the roster requires.
fn sections(policy: &[SectionPolicy], readers: &[RosterReader]) -> Result<Vec<SectionSpec>, WriterError> {
    let mut specs = Vec::new();
    for (i, section) in policy.iter().enumerate() {
        let chosen = readers.iter().filter(|r| section.readers.includes(&r.name) || (i == 0 && r.required));
        let recipients = chosen
            .map(|r| {
                Recipient::parse(&r.recipient)
                    .map_err(|source| WriterError::Recipient { name: r.name.clone(), source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if recipients.is_empty() {
            return Err(WriterError::NoReader(section.name.clone()));
        }
        specs.push(SectionSpec { name: section.name.clone(), readers: recipients });
    }
    Ok(specs)
}

impl OpenBatch {
    /// Starts filling the batch.
    pub fn fill(&mut self) -> Batch<'_> {
        Batch {
            sealer: &self.sealer,
            worker: self.sealer.worker(),
            preparer: Preparer::new(self.policy.clone()),
            rng: &mut self.rng,
            records: Vec::new(),
            lengths: Vec::new(),
            closed: false,
        }
    }
}

impl Batch<'_> {
    /// Seals the events of one request: all of them, or none if one is not acceptable. Returns their positions.
    ///
    /// After a refusal that came when some events of the request were sealed already the batch is closed: their positions
    /// have been used, and a position is never sealed twice. What was added before stays; see [`Batch::is_closed`].
    pub fn add<E: AsRef<[u8]>>(&mut self, events: &[E]) -> Result<Range<u32>, WriterError> {
        if self.closed {
            return Err(WriterError::Full);
        }
        let start = (self.lengths.len(), self.records.len());
        match events.iter().try_for_each(|e| self.add_one(e.as_ref())) {
            Ok(()) => Ok(start.0 as u32..self.lengths.len() as u32),
            Err(e) => {
                self.closed = self.lengths.len() > start.0;
                self.lengths.truncate(start.0);
                self.records.truncate(start.1);
                Err(e)
            }
        }
    }

    fn add_one(&mut self, event: &[u8]) -> Result<(), WriterError> {
        if self.lengths.len() == MAX_BATCH_RECORDS {
            return Err(WriterError::Full);
        }
        let prepared = self.preparer.prepare(event)?;
        let fields: Vec<Vec<Field<'_>>> =
            (0..prepared.sections()).map(|s| prepared.fields(s).collect()).collect();
        let sections: Vec<SectionInput<'_>> = fields
            .iter()
            .enumerate()
            .map(|(s, fields)| SectionInput { payload: prepared.payload(s), fields })
            .collect();
        let names = &self.sealer.header().tag_fields;
        let tags = prepared.tags().filter_map(|t| {
            Some(TagInput { section: t.section, field: names.get(t.field)?, value: t.value.as_bytes() })
        });
        let before = self.records.len();
        if before + MAX_RECORD_BYTES + MAX_HEADER_BYTES > MAX_BATCH_BYTES {
            return Err(WriterError::Full);
        }
        self.worker.seal_record(self.lengths.len() as u32, &sections, tags, self.rng, &mut self.records)?;
        let len = self.records.len() - before;
        self.lengths.push(len as u32);
        Ok(())
    }

    /// Whether no more can be added.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Closes the batch.
    pub fn finish(self) -> Result<Unsigned, WriterError> {
        let header = self.sealer.header().encode()?;
        let mut body =
            Vec::with_capacity(Body::front_len(header.len(), self.lengths.len()) + self.records.len());
        Body::encode_front(&header, self.lengths.iter().map(|n| *n as usize), self.lengths.len(), &mut body);
        body.extend_from_slice(&self.records);
        Ok(Unsigned { body, sequence: self.sealer.header().sequence })
    }
}
