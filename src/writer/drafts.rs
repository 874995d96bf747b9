//! Events of one request, drafted: parsed, divided into sections, committed to and tagged, but not yet in a batch.
//!
//! This is most of a writer's work and needs no place in the sequence, so that whoever took the request in does
//! it on a thread of its own. The batch then only wraps keys, encrypts and hashes.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::batch::Body;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::base::random::{self, Csprng};
use crate::event::policy::CompiledPolicy;
use crate::event::prepare::Preparer;
use crate::seal::draft::{Draft, Drafter};
use crate::seal::sealer::{Plan, TagInput};

use super::WriterError;

/// What events are drafted by until readers, policy or search period change. Threads share it.
#[derive(Debug)]
pub struct BatchPlan {
    pub(super) seal: Arc<Plan>,
    policy: Arc<CompiledPolicy>,
    header_len: usize,
}

impl BatchPlan {
    pub(super) fn new(seal: Plan, policy: Arc<CompiledPolicy>) -> Result<BatchPlan, WriterError> {
        let header_len = seal.header_len()?;
        Ok(BatchPlan { seal: Arc::new(seal), policy, header_len })
    }

    /// Whether one batch can hold this many records of so many bytes in all.
    pub fn fits(&self, records: usize, bytes: usize) -> bool {
        records <= MAX_BATCH_RECORDS && Body::front_len(self.header_len, records) + bytes <= MAX_BATCH_BYTES
    }

    /// Starts drafting a request of about `events` events.
    pub fn drafter(self: &Arc<Self>, events: usize) -> Result<EventDrafter<'_>, WriterError> {
        Ok(EventDrafter {
            plan: self,
            preparer: Preparer::new(self.policy.clone()),
            drafter: self.seal.drafter(),
            rng: random::csprng()?,
            records: Vec::with_capacity(events),
            waiting: Vec::new(),
            bytes: 0,
        })
    }

    /// Drafts events: all of them, or none if one is not acceptable.
    pub fn draft(
        self: &Arc<Self>,
        events: impl ExactSizeIterator<Item = Bytes>,
    ) -> Result<Drafts, WriterError> {
        let mut drafter = self.drafter(events.len())?;
        for event in events {
            drafter.add(event)?;
        }
        Ok(drafter.finish())
    }
}

/// Drafts event after event, with a generator of its own for their keys.
pub struct EventDrafter<'p> {
    plan: &'p Arc<BatchPlan>,
    preparer: Preparer,
    drafter: Drafter<'p>,
    rng: Csprng,
    records: Vec<Drafted>,
    /// The events that the drafter has not completed yet.
    waiting: Vec<(Bytes, Payloads)>,
    bytes: usize,
}

impl EventDrafter<'_> {
    /// Drafts one event. One that is not acceptable is left out.
    pub fn add(&mut self, event: Bytes) -> Result<(), WriterError> {
        let prepared = self.preparer.prepare(&event)?;
        let names = self.plan.seal.tag_fields();
        let tags = prepared.tags().filter_map(|t| {
            Some(TagInput { section: t.section, field: names.get(t.field)?, value: t.value.as_bytes() })
        });
        let sections = (0..prepared.sections()).map(|s| (prepared.payload(s).len(), prepared.fields(s)));
        self.bytes += self.drafter.add(sections, tags, &mut self.rng)?;
        let payloads = match prepared.sections() {
            1 => Payloads::Whole(event.slice_ref(prepared.payload(0))),
            n => Payloads::Split((0..n).map(|s| prepared.payload(s).to_vec()).collect()),
        };
        self.waiting.push((event, payloads));
        if self.drafter.is_full() {
            self.complete();
        }
        Ok(())
    }

    fn complete(&mut self) {
        let complete = self.waiting.drain(..).zip(self.drafter.complete());
        self.records.extend(complete.map(|((event, payloads), draft)| Drafted { event, draft, payloads }));
    }

    /// The drafts so far, in order.
    pub fn finish(mut self) -> Drafts {
        self.complete();
        Drafts { plan: self.plan.clone(), records: self.records, bytes: self.bytes }
    }
}

/// The drafted events of one request, in order.
pub struct Drafts {
    pub(super) plan: Arc<BatchPlan>,
    pub(super) records: Vec<Drafted>,
    bytes: usize,
}

/// One drafted event.
pub(super) struct Drafted {
    event: Bytes,
    pub(super) draft: Draft,
    payloads: Payloads,
}

/// The payload of each section.
enum Payloads {
    /// One section: the event itself.
    Whole(Bytes),
    Split(Vec<Vec<u8>>),
}

impl Drafted {
    /// Calls `f` with the draft and its payloads, section by section.
    pub(super) fn consume<T>(self, f: impl FnOnce(Draft, &[&[u8]]) -> T) -> T {
        match &self.payloads {
            Payloads::Whole(payload) => f(self.draft, &[payload]),
            Payloads::Split(payloads) => {
                f(self.draft, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>())
            }
        }
    }
}

impl Drafts {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Length of the sealed records in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Length of the events in bytes.
    pub fn plaintext_bytes(&self) -> usize {
        self.records.iter().map(|r| r.event.len()).sum()
    }

    /// The same events drafted by `plan`; nothing to do if they are already.
    pub fn by(self, plan: &Arc<BatchPlan>) -> Result<Drafts, WriterError> {
        if Arc::ptr_eq(&self.plan, plan) {
            return Ok(self);
        }
        plan.draft(self.records.into_iter().map(|r| r.event))
    }
}
