//! Making grants: downloads records the auditor can read, verifies them against the chain, and re-wraps their keys for a later
//! reader. `docs/FORMAT.md` §12. What comes out is not signed: an admin signs it, who need not be able to read anything.

use crate::api::problem::Code;
use crate::base::batch::{Body, Header};
use crate::base::clock::Timestamp;
use crate::base::grant::{GRANT_MAGIC, GrantBody, GrantBuilder, GrantEntry};
use crate::base::hash::Hash;
use crate::base::limits::MAX_GRANT_BATCHES;
use crate::base::random::{self, Csprng, RandomError};
use crate::base::record::KEY_LEN;
use crate::base::wire::WireError;
use crate::chain::authority::{GrantStatement, RecordRange};
use crate::chain::batch::{BatchError, check_header, commit};
use crate::chain::block::Block;
use crate::chain::grant::slots_hash;
use crate::chain::key::VerifierKey;
use crate::chain::proof::{Proof, ProofError};
use crate::chain::statement::Statement;
use crate::client::{Client, ClientError};
use crate::seal::grant::{GrantTerms, Rewrapped, rewrap};
use crate::seal::kem::KemError;
use crate::seal::open::OpenError;
use crate::seal::reader_key::{Identity, Recipient};

use super::granted::Granted;
use super::session::{SessionError, open_session};

/// Why no grant could be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeGrantError {
    /// The server did not deliver.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A proof does not hold.
    #[error("the proof that the server gave for record {record} does not hold: {source}")]
    Proof {
        /// The record.
        record: u64,
        /// What is wrong.
        source: ProofError,
    },
    /// The server sent something else than what its proof is about.
    #[error("the server sent something else for block {block} than what the chain commits to: {what}")]
    Mismatch {
        /// The block.
        block: u64,
        /// What is wrong.
        what: String,
    },
    /// Nothing to grant.
    #[error(
        "you can read none of the records {first} to {last} in the sections asked for, so there is nothing to grant"
    )]
    Nothing {
        /// The first record.
        first: u64,
        /// The last record.
        last: u64,
    },
    /// No key exchange with the new reader's key.
    #[error("the keys could not be wrapped: {0}")]
    Kem(#[from] KemError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The finished grant could not be kept or sent.
    #[error("{0}")]
    Deliver(String),
}

/// What is to be granted, and to whom.
#[derive(Clone, Debug)]
pub struct GrantOrder {
    /// The new reader's name in the roster.
    pub to_name: String,
    /// The new reader.
    pub to: Recipient,
    /// The records.
    pub range: RecordRange,
    /// Names of the sections; `None` for all that can be read.
    pub sections: Option<Vec<String>>,
    /// Whether the new reader also gets the search secrets.
    pub search: bool,
    /// Most batches in one grant, up to [`MAX_GRANT_BATCHES`].
    pub batches: usize,
}

/// A grant that nobody has signed yet: `sequence` and `previous` of its statement are filled in when an admin does.
#[derive(Clone, Debug)]
pub struct MadeGrant {
    /// The statement.
    pub statement: GrantStatement,
    /// The slots.
    pub body: Vec<u8>,
    /// Records of which at least one section is granted.
    pub granted: u64,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantSummary {
    /// How many grants the range became.
    pub grants: u64,
    /// Records of which at least one section is granted.
    pub granted: u64,
    /// Records that are left out: erased, or not readable for the granter.
    pub left_out: Vec<RecordRange>,
}

/// Makes the grants for an order, each handed to `deliver` when it is finished. The client needs no session yet. `progress` is
/// told how many records are done.
pub fn make_grants(
    client: &mut Client,
    identity: &Identity,
    key: &VerifierKey,
    order: &GrantOrder,
    deliver: &mut dyn FnMut(MadeGrant) -> Result<(), String>,
    progress: &mut dyn FnMut(u64),
) -> Result<GrantSummary, MakeGrantError> {
    open_session(client, identity, key.name())?;
    let mut maker = Maker {
        rng: random::csprng()?,
        granted: Granted::default(),
        builder: GrantBuilder::default(),
        first: order.range.first,
        in_builder: 0,
        summary: GrantSummary::default(),
        client,
        identity,
        key,
        order,
        deliver,
    };
    maker.collect_own_grants()?;
    let mut next = order.range.first;
    let end = maker.block_of(order.range.last)?.height;
    while next <= order.range.last {
        let from = maker.block_of(next)?.height;
        for (height, body) in maker.bodies(from, end - from + 1)? {
            // Blocks of other statements have no body, or the slots of a grant.
            if !body.is_empty() && !body.starts_with(GRANT_MAGIC) && next <= order.range.last {
                next = maker.batch(height, &body, next)?;
                progress(next - order.range.first);
            }
        }
    }
    maker.flush(next)?;
    if maker.summary.granted == 0 {
        return Err(MakeGrantError::Nothing { first: order.range.first, last: order.range.last });
    }
    Ok(maker.summary)
}

struct Maker<'a> {
    client: &'a mut Client,
    identity: &'a Identity,
    key: &'a VerifierKey,
    order: &'a GrantOrder,
    deliver: &'a mut dyn FnMut(MadeGrant) -> Result<(), String>,
    rng: Csprng,
    /// What was granted to the granter, who may hand it on.
    granted: Granted,
    builder: GrantBuilder,
    /// First record of the grant under construction.
    first: u64,
    /// Records granted in it.
    in_builder: u64,
    summary: GrantSummary,
}

fn mismatch(block: u64, what: impl ToString) -> MakeGrantError {
    MakeGrantError::Mismatch { block, what: what.to_string() }
}

impl Maker<'_> {
    /// The block that holds a record, proven to be in the log.
    fn block_of(&self, record: u64) -> Result<Block, MakeGrantError> {
        let wrong = |source| MakeGrantError::Proof { record, source };
        let proof = Proof::parse(&self.client.proof(record)?).map_err(wrong)?;
        let verified = proof.verify(self.key, None).map_err(wrong)?;
        if verified.record != record {
            return Err(mismatch(verified.block_height, "the proof is for another record"));
        }
        Block::parse(&proof.block).map_err(|e| mismatch(verified.block_height, e))
    }

    /// Bodies from the server, at least one. A session that ended meanwhile is opened again.
    fn bodies(&mut self, from: u64, count: u64) -> Result<Vec<(u64, Vec<u8>)>, MakeGrantError> {
        let found = match self.client.bodies(from, count) {
            Err(ClientError::Problem(p)) if p.code == Code::Unauthorized => {
                open_session(self.client, self.identity, self.key.name())?;
                self.client.bodies(from, count)?
            }
            other => other?,
        };
        match found.first() {
            Some((height, body)) if *height == from && !body.is_empty() => Ok(found),
            _ => Err(mismatch(from, "the records are missing")),
        }
    }

    /// Takes in what was granted to the granter itself, as far as it is about the range.
    fn collect_own_grants(&mut self) -> Result<(), MakeGrantError> {
        let mine = self.identity.recipient().to_string();
        let range = self.order.range;
        for g in self.client.grants(&mine)? {
            if g.first_record > range.last || g.last_record < range.first {
                continue;
            }
            let block = Block::parse(&self.client.block(g.block)?).map_err(|e| mismatch(g.block, e))?;
            let Ok(Statement::Grant(statement)) = Statement::parse(&block.statement.text) else {
                return Err(mismatch(g.block, "it holds no grant"));
            };
            let body = self.bodies(g.block, 1)?.into_iter().next().map(|(_, b)| b).unwrap_or_default();
            self.granted.add(&statement, body).map_err(|e: WireError| mismatch(g.block, e))?;
        }
        Ok(())
    }

    /// Verifies a batch against its block and re-wraps what of it is in the range, from record `next` on. Returns the record
    /// after it.
    fn batch(&mut self, height: u64, body: &[u8], next: u64) -> Result<u64, MakeGrantError> {
        let block = self.block_of(next)?;
        let (header, records) = check_batch(&block, height, body)?;
        let first = (next - block.first_record) as usize;
        let after = (block.first_record + records).min(self.order.range.last + 1);
        let count = (after - next) as usize;
        let room = self.builder.has_room(count * (1 + header.sections.len() * KEY_LEN));
        if !room || self.builder.batches() >= self.order.batches.clamp(1, MAX_GRANT_BATCHES) {
            self.flush(next)?;
        }
        let opener = match self.granted.opener(self.identity, &header, height) {
            Ok(opener) => Some(opener),
            Err(OpenError::NotAReader(_) | OpenError::Envelope { .. }) => None,
            Err(e) => return Err(mismatch(height, e)),
        };
        let body = Body::decode(body).map_err(|e| mismatch(height, e))?;
        let bytes: Vec<&[u8]> = body.records().skip(first).take(count).collect();
        let terms = GrantTerms {
            from: self.identity.recipient(),
            to: self.order.to,
            first_record: self.first,
            sections: self.order.sections.as_deref(),
            search: self.order.search,
        };
        let place = (height, first as u32);
        let made = rewrap(opener.as_ref(), &header, &terms, place, bytes.into_iter(), &mut self.rng)?;
        self.note_left_out(&made, next);
        self.in_builder += u64::from(made.granted);
        self.builder.push(&made.head, &made.entries);
        Ok(after)
    }

    fn note_left_out(&mut self, made: &Rewrapped, first_record: u64) {
        let len = made.head.entry_len();
        for n in 0..made.head.records as usize {
            let entry = made.entries.get(n * len..(n + 1) * len).and_then(GrantEntry::decode);
            if entry.is_some_and(|e| e.gives_something()) {
                continue;
            }
            let record = first_record + n as u64;
            RecordRange { first: record, last: record }.append_to(&mut self.summary.left_out);
        }
    }

    /// Finishes the grant that ends before record `next`. One that would give nothing is not made.
    fn flush(&mut self, next: u64) -> Result<(), MakeGrantError> {
        let builder = std::mem::take(&mut self.builder);
        let range = RecordRange { first: self.first, last: next.saturating_sub(1) };
        let granted = std::mem::take(&mut self.in_builder);
        self.first = next;
        if granted == 0 {
            return Ok(());
        }
        let body = builder.finish();
        let slots_hash = slots_hash(&body).map_err(|e| MakeGrantError::Deliver(e.to_string()))?;
        let statement = GrantStatement {
            ledger: self.key.name().to_owned(),
            sequence: 0,
            previous: Hash::ZERO,
            issued: Timestamp::now(),
            range,
            from: self.identity.recipient().to_string(),
            to_name: self.order.to_name.clone(),
            to: self.order.to.to_string(),
            slots_hash,
        };
        self.summary.grants += 1;
        self.summary.granted += granted;
        (self.deliver)(MadeGrant { statement, body, granted }).map_err(MakeGrantError::Deliver)
    }
}

/// The bytes must be those that the writer signed, and the header that of the statement. Gives the header and the number of records.
fn check_batch(block: &Block, height: u64, body: &[u8]) -> Result<(Header, u64), MakeGrantError> {
    let Ok(Statement::Records(statement)) = Statement::parse(&block.statement.text) else {
        return Err(mismatch(height, "the block holds no records"));
    };
    let found = commit(body).map_err(|e: BatchError| mismatch(height, e))?;
    let decoded = Body::decode(body).map_err(|e| mismatch(height, e))?;
    let header = check_header(decoded.header, block, &statement).map_err(|e| mismatch(height, e))?;
    if block.height != height || found.records_root != statement.records_root {
        return Err(mismatch(height, "the stored records are not the ones the writer signed"));
    }
    Ok((header, found.leaf_inputs.len() as u64))
}

/// Whether a body covers what its statement says and is the one it names; how many records it gives something of.
pub fn check_made(statement: &GrantStatement, body: &[u8]) -> Result<u64, String> {
    crate::chain::grant::check(statement, body).map_err(|e| e.to_string())?;
    let body = GrantBody::decode(body).map_err(|e| e.to_string())?;
    Ok(body.parts().flat_map(|p| p.entries()).filter(GrantEntry::gives_something).count() as u64)
}
