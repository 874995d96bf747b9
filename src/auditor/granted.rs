//! What was granted to an auditor: finds, for a batch, what the grants give of it, and makes the opener that uses it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::api::message::GrantMessage;
use crate::base::batch::Header;
use crate::base::grant::{GrantBody, GrantHead, GrantPart};
use crate::base::hash::from_base64;
use crate::base::wire::WireError;
use crate::chain::authority::GrantStatement;
use crate::seal::open::{BatchGrant, OpenError, Opener};
use crate::seal::reader_key::{Identity, Recipient};

/// Grants to one identity. Nothing of them needs to be believed: a slot opens a record only if the record commits to its key.
#[derive(Default)]
pub struct Granted {
    grants: Vec<Grant>,
    /// Height of a block → which parts of which grants are about it.
    by_block: BTreeMap<u64, Vec<(usize, usize)>>,
}

struct Grant {
    from: Recipient,
    first_record: u64,
    body: Vec<u8>,
    /// By batch: the head, and where its entries are in the body.
    parts: Vec<(GrantHead, Range<usize>)>,
}

impl Granted {
    /// Takes a grant in. Grants to others do no harm, and no good.
    pub fn add(&mut self, statement: &GrantStatement, body: Vec<u8>) -> Result<(), WireError> {
        self.add_body(&statement.from, statement.range.first, body)
    }

    /// Takes in what a server sent with one record; `false` if it is malformed.
    pub fn add_message(&mut self, message: &GrantMessage) -> bool {
        let part = message.part.as_deref().and_then(from_base64);
        part.is_some_and(|body| self.add_body(&message.from, message.first_record, body).is_ok())
    }

    /// All that a server sent with one record; `None` if some of it is malformed.
    pub fn of_messages(messages: &[GrantMessage]) -> Option<Granted> {
        let mut granted = Granted::default();
        messages.iter().all(|grant| granted.add_message(grant)).then_some(granted)
    }

    fn add_body(&mut self, from: &str, first_record: u64, body: Vec<u8>) -> Result<(), WireError> {
        let what = WireError::Invalid { what: "grant", why: "its `from` is no recipient" };
        let from = Recipient::parse(from).map_err(|_| what)?;
        let decoded = GrantBody::decode(&body)?;
        let entries: usize = decoded.parts().map(|p| p.entries.len()).sum();
        let mut at = body.len() - entries;
        let mut parts = Vec::new();
        for part in decoded.parts() {
            let range = at..at + part.entries.len();
            at = range.end;
            let place = (self.grants.len(), parts.len());
            self.by_block.entry(part.head.height).or_default().push(place);
            parts.push((part.head.clone(), range));
        }
        self.grants.push(Grant { from, first_record, body, parts });
        Ok(())
    }

    /// Number of grants.
    pub fn count(&self) -> usize {
        self.grants.len()
    }

    /// Heights of the blocks of which something is granted, ascending.
    pub fn blocks(&self) -> impl Iterator<Item = u64> {
        self.by_block.keys().copied()
    }

    /// What the grants give of the batch of the block at `height`, the newest grant first.
    pub fn batch(&self, height: u64) -> Vec<BatchGrant<'_>> {
        let places = self.by_block.get(&height).into_iter().flatten().rev();
        let found = places.filter_map(|(grant, part)| {
            let grant = self.grants.get(*grant)?;
            let (head, range) = grant.parts.get(*part)?;
            let part = GrantPart { head, entries: grant.body.get(range.clone())? };
            Some(BatchGrant { from: grant.from, first_record: grant.first_record, part })
        });
        found.collect()
    }

    /// An opener for the batch with this header, which the block at `height` holds: by the identity's own slots and by what was
    /// granted to it.
    pub fn opener(&self, identity: &Identity, header: &Header, height: u64) -> Result<Opener, OpenError> {
        Opener::with_grants(identity, header, &self.batch(height))
    }
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({} grants)", self.grants.len())
    }
}
