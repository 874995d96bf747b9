//! Layer 2: the writer. Puts `event`, `seal` and `chain` together: events in, one sealed and signed batch out. The
//! gateway inside the server and the command line's remote writer are both this code.
//!
//! It holds the writer's signing key, the readers' public keys and the search secret of the current period,
//! and nothing that opens a record it sealed before.

mod drafts;
mod error;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::batch::Body;
use crate::base::clock::Timestamp;
use crate::base::random;
use crate::chain::batch::HashedBody;
use crate::chain::key::SigningKey;
use crate::chain::note::Note;
use crate::chain::replay::Head;
use crate::chain::roster::RosterReader;
use crate::chain::statement::{HeartbeatStatement, RecordsStatement, Statement};
use crate::event::policy::{CompiledPolicy, Policy, PolicyError, SectionPolicy};
use crate::seal::reader_key::Recipient;
use crate::seal::sealer::{Plan, Sealer, SealerConfig, SectionSpec};
use crate::seal::tag::SearchSecret;

pub use drafts::{BatchPlan, Drafts, EventDrafter};
pub use error::WriterError;

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

/// A plan and what it was made from.
struct Made {
    readers: Vec<RosterReader>,
    period: String,
    plan: Arc<BatchPlan>,
}

/// A policy and, for its sections, who may read them.
struct Rules {
    policy: Arc<CompiledPolicy>,
    sections: Vec<SectionPolicy>,
    made: Option<Made>,
}

/// A batch whose public-key work is done, in wait for its records.
pub struct OpenBatch {
    plan: Arc<BatchPlan>,
    sealer: Sealer,
}

/// A signed batch, ready for a ledger.
pub struct Sealed {
    /// The statement.
    pub note: Note,
    /// The body.
    pub body: HashedBody,
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
            Ok(Rules { policy: Arc::new(policy.compile()?), sections: policy.sections, made: None })
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

    /// How events are drafted for the readers the roster has now. The same plan as before if nothing has changed.
    pub fn plan(
        &mut self,
        purpose: Purpose,
        readers: &[RosterReader],
        now: Timestamp,
    ) -> Result<Arc<BatchPlan>, WriterError> {
        let month: String = now.date().chars().take("2026-11".len()).collect();
        if self.period.as_ref().is_none_or(|(of, ..)| *of != month) {
            let (period, secret) =
                (self.search)(&month).map_err(|why| WriterError::Search { period: month.clone(), why })?;
            self.period = Some((month, period, secret));
        }
        let Some((_, period, secret)) = &self.period else {
            return Err(WriterError::Internal("it has no search period"));
        };
        let rules = match purpose {
            Purpose::Events => &mut self.events,
            Purpose::AccessLog => &mut self.access_log,
        };
        if let Some(made) = &rules.made
            && made.readers == readers
            && made.period == *period
        {
            return Ok(made.plan.clone());
        }
        let sections = sections(&rules.sections, readers)?;
        let config = SealerConfig {
            ledger: self.ledger.clone(),
            writer: self.key.name().to_owned(),
            period: period.clone(),
            readers: sections.iter().flat_map(|s| s.readers.iter().copied()).collect(),
            sections,
            tag_fields: rules.policy.tag_fields().to_vec(),
        };
        let plan = Arc::new(BatchPlan::new(Plan::new(config, secret)?, rules.policy.clone())?);
        rules.made = Some(Made { readers: readers.to_vec(), period: period.clone(), plan: plan.clone() });
        Ok(plan)
    }

    /// Does the public-key work of the next batch, which may be done before there is anything to seal.
    pub fn open(&self, plan: &Arc<BatchPlan>) -> Result<OpenBatch, WriterError> {
        let sealer = Sealer::new(plan.seal.clone(), self.head.next_sequence, &mut random::csprng()?)?;
        Ok(OpenBatch { plan: plan.clone(), sealer })
    }

    /// Seals drafted requests of the batch's plan, in order, and signs. The batch takes its place in the sequence; if the
    /// ledger then refuses it, call [`Writer::resume`].
    pub fn seal(
        &mut self,
        batch: OpenBatch,
        requests: Vec<Drafts>,
        now: Timestamp,
    ) -> Result<Sealed, WriterError> {
        if batch.sealer.header().sequence != self.head.next_sequence {
            return Err(WriterError::Broken);
        }
        let body = HashedBody::new(batch.fill(requests)?)?;
        let commitment = body.commitment();
        let statement = Statement::Records(RecordsStatement {
            ledger: self.ledger.clone(),
            sequence: self.head.next_sequence,
            previous: self.head.previous,
            sealed: now,
            records: commitment.leaf_inputs.len() as u64,
            bytes: commitment.bytes,
            records_root: commitment.records_root,
            tags_root: commitment.tags_root.ok_or(WriterError::Internal("its tags have no root"))?,
            header_hash: commitment.header_hash,
            retain_until: now.plus_years(self.retain_years).date(),
        });
        Ok(Sealed { note: self.advance(&statement), body })
    }

    /// Plans, drafts, opens and seals: the events of one batch, all or none.
    pub fn seal_events<E: AsRef<[u8]>>(
        &mut self,
        purpose: Purpose,
        readers: &[RosterReader],
        events: &[E],
        now: Timestamp,
    ) -> Result<Sealed, WriterError> {
        let plan = self.plan(purpose, readers, now)?;
        let drafts = plan.draft(events.iter().map(|e| Bytes::copy_from_slice(e.as_ref())))?;
        self.seal(self.open(&plan)?, vec![drafts], now)
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
    /// Whether this batch is the next one and of this plan.
    pub fn serves(&self, writer: &Writer, plan: &Arc<BatchPlan>) -> bool {
        Arc::ptr_eq(&self.plan, plan) && self.sealer.header().sequence == writer.head.next_sequence
    }

    /// The body, every record sealed where it stays.
    fn fill(&self, requests: Vec<Drafts>) -> Result<Vec<u8>, WriterError> {
        if !requests.iter().all(|r| Arc::ptr_eq(&r.plan, &self.plan)) {
            return Err(WriterError::Internal("a request was drafted by another plan"));
        }
        let records: usize = requests.iter().map(Drafts::len).sum();
        let bytes: usize = requests.iter().map(Drafts::bytes).sum();
        if records == 0 {
            return Err(WriterError::Empty);
        }
        if !self.plan.fits(records, bytes) {
            return Err(WriterError::Full);
        }
        let header = self.sealer.header_bytes();
        let mut body = Vec::with_capacity(Body::front_len(header.len(), records) + bytes);
        let lengths = requests.iter().flat_map(|r| &r.records).map(|r| r.draft.record_len());
        Body::encode_front(header, lengths, records, &mut body);
        let mut placer = self.sealer.placer();
        for (position, drafted) in (0u32..).zip(requests.into_iter().flat_map(|r| r.records)) {
            drafted.consume(|draft, payloads| placer.place(position, draft, payloads, &mut body))?;
        }
        Ok(body)
    }
}
