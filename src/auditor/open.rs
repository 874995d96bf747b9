//! Opens one record with the auditor's own identity, after proving that it is the record the ledger committed.

use std::collections::BTreeMap;

use crate::api::message::{GrantMessage, ProvenRecord};
use crate::base::batch::Header;
use crate::base::clock::Timestamp;
use crate::base::hash::from_base64;
use crate::base::record::Record;
use crate::base::secret::SecretBytes;
use crate::base::threads::in_parts;
use crate::chain::batch::check_header;
use crate::chain::key::VerifierKey;
use crate::chain::proof::{Proof, ProofError, Verified, record_id, verify_block};
use crate::chain::statement::Statement;
use crate::chain::verifier::ProofVerifier;
use crate::client::{Client, ClientError};
use crate::event::error::EventError;
use crate::event::json::Parser;
use crate::seal::open::OpenError;
use crate::seal::reader_key::Identity;

use super::batch::{BatchOpener, OPENED_TOGETHER, OpenBatchError};
use super::granted::Granted;
use super::record::{AuditRecord, Content};

/// Why a record could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRecordError {
    /// The server did not deliver.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server's proof does not hold: the record is not to be believed.
    #[error("the proof that the server gave does not hold: {0}")]
    Proof(#[from] ProofError),
    /// What the server sent is malformed.
    #[error("the server sent a malformed record: {0}")]
    Malformed(String),
    /// The server sent only the hashes of the record.
    #[error(
        "the server sent only the hashes of record {0}: it exists, and its content is withheld or erased. `audit verify` tells \
         whether an erasure was ordered; if none was, this is a fault"
    )]
    Erased(u64),
    /// Gone by order of an erasure statement; that its block is in the ledger was checked.
    #[error(
        "{id} was erased by order at block {block} ({reason}, {legal_basis}), committed {committed}. \
         The record existed, and its proof still holds; nobody can open it any more",
        id = record_id(*.record)
    )]
    ErasedByOrder {
        /// The record.
        record: u64,
        /// Height of the block with the order.
        block: u64,
        /// When the ledger committed that.
        committed: Timestamp,
        /// Reason code.
        reason: String,
        /// Legal basis.
        legal_basis: String,
    },
    /// The opener refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was inside is not what the format says.
    #[error("the writer sealed something that is no valid event: {0}")]
    Event(#[from] EventError),
}

impl From<OpenBatchError> for OpenRecordError {
    fn from(e: OpenBatchError) -> Self {
        match e {
            OpenBatchError::Open(e) => e.into(),
            OpenBatchError::Event(e) => e.into(),
        }
    }
}

/// An opened record.
pub struct OpenedRecord {
    /// The event: exactly the bytes the application sent, if every section could be read.
    pub event: SecretBytes,
    /// Names of the sections this identity may not read; their fields stand as `{"$sealed":"NAME"}`.
    pub withheld: Vec<String>,
    /// What the proof proved.
    pub verified: Verified,
    /// The proof itself, to hand on.
    pub proof: Proof,
}

/// Fetches, verifies and opens record `index`. The client must have a session. Without `writer`, who sealed the record is
/// what the ledger says.
pub fn open_record(
    client: &Client,
    identity: &Identity,
    key: &VerifierKey,
    writer: Option<&VerifierKey>,
    index: u64,
) -> Result<OpenedRecord, OpenRecordError> {
    let message = client.record(index)?;
    let header = from_base64(&message.header).ok_or_else(|| malformed("header is not base64"))?;
    let bytes = from_base64(&message.bytes).ok_or_else(|| malformed("record is not base64"))?;
    let proof = Proof::parse(&client.proof(index)?)?;
    let place = check_place(&header, &bytes, &proof, &mut ProofVerifier::new(key), writer, index)?;
    if let Ok(Record::Erased(_)) = Record::decode(&bytes) {
        return Err(erased(client, key, index, place.verified.block_height, message.erased_by)?);
    }
    let granted = granted(&message.grants)?;
    let opener = BatchOpener::new(
        std::slice::from_ref(identity),
        &place.header,
        &granted.batch(place.verified.block_height),
    )?;
    let (event, withheld) = open_with(&opener, place.position, &bytes)?;
    Ok(OpenedRecord { event, withheld, verified: place.verified, proof })
}

/// What the server sent of grants.
fn granted(messages: &[GrantMessage]) -> Result<Granted, OpenRecordError> {
    Granted::of_messages(messages).ok_or_else(|| malformed("what was granted of it is no part of a grant"))
}

fn malformed(what: &str) -> OpenRecordError {
    OpenRecordError::Malformed(what.to_owned())
}

/// Where a record stands, after everything the server said about it was checked.
struct Place {
    header: Header,
    position: u32,
    verified: Verified,
    retain_until: String,
}

/// Checks that the proof holds for record `index`, that the bytes are the proven ones, and that the header is the one the record's writer signed.
fn check_place(
    header_bytes: &[u8],
    record: &[u8],
    proof: &Proof,
    verifier: &mut ProofVerifier<'_>,
    writer: Option<&VerifierKey>,
    index: u64,
) -> Result<Place, OpenRecordError> {
    let (verified, proven) = verifier.verify(proof, writer)?;
    if verified.record != index {
        return Err(malformed("the proof is for another record"));
    }
    proof.check_record(record)?;
    let header = check_header(header_bytes, &proven.block, &proven.statement)
        .map_err(|e| malformed(&format!("the batch header is not the one the writer signed: {e}")))?;
    let position = (index - proven.block.first_record) as u32;
    Ok(Place { header, position, verified, retain_until: proven.statement.retain_until.clone() })
}

/// Fetches, verifies and opens some records, ascending and each once, for all of `identities` at once. Gives as many of the first ones as
/// the server sent, at least one. Of an erased record there is only the proof; one that is not for these identities has no content.
pub fn open_proven(
    client: &Client,
    identities: &[Identity],
    key: &VerifierKey,
    records: &[u64],
) -> Result<Vec<(Option<AuditRecord>, Proof)>, OpenRecordError> {
    let message = client.records(records)?;
    if message.records.is_empty() || message.records.len() > records.len() {
        return Err(malformed("it sent none of the records asked for, or more than those"));
    }
    let pairs: Vec<(u64, &ProvenRecord)> = records.iter().copied().zip(&message.records).collect();
    let opened = in_parts(&pairs, |part| open_sent(part, &message.headers, identities, key));
    let mut out = Vec::with_capacity(pairs.len());
    for part in opened {
        out.extend(part?);
    }
    Ok(out)
}

/// A record's content, unless it is erased, and its proof.
type Sent = (Option<AuditRecord>, Proof);

/// Verifies and opens some records of one answer: the index asked for, and what was sent.
fn open_sent(
    pairs: &[(u64, &ProvenRecord)],
    headers: &BTreeMap<u64, String>,
    identities: &[Identity],
    key: &VerifierKey,
) -> Result<Vec<Sent>, OpenRecordError> {
    let mut group: Option<Group> = None;
    let mut verifier = ProofVerifier::new(key);
    let mut parser = Parser::new();
    let mut out = Vec::with_capacity(pairs.len());
    for (index, sent) in pairs {
        let header = headers.get(&sent.block).and_then(|h| from_base64(h));
        let header = header.ok_or_else(|| malformed("a header is missing"))?;
        let bytes = from_base64(&sent.bytes).ok_or_else(|| malformed("record is not base64"))?;
        let proof = Proof::parse(sent.proof.as_bytes())?;
        let place = check_place(&header, &bytes, &proof, &mut verifier, None, *index)?;
        if let Ok(Record::Erased(_)) = Record::decode(&bytes) {
            out.push((None, proof));
            continue;
        }
        let block = place.verified.block_height;
        let granted = granted(&sent.grants)?;
        let alone = !sent.grants.is_empty();
        let here = match group.take_if(|g| g.block != block || g.alone || alone) {
            Some(mut done) => {
                done.open(&mut parser, &mut out);
                group.insert(Group::new(block, identities, &place.header, &granted, alone))
            }
            None => {
                group.get_or_insert_with(|| Group::new(block, identities, &place.header, &granted, alone))
            }
        };
        here.waiting.push((out.len(), place.position, bytes));
        let record = AuditRecord {
            index: *index,
            block,
            position: place.position,
            committed: place.verified.committed,
            sealed: place.verified.sealed,
            writer: place.verified.writer.as_str().into(),
            retain_until: place.retain_until.as_str().into(),
            // Until its group is opened.
            content: Content::NotForYou,
        };
        out.push((Some(record), proof));
        if here.waiting.len() >= OPENED_TOGETHER {
            here.open(&mut parser, &mut out);
        }
    }
    if let Some(mut last) = group {
        last.open(&mut parser, &mut out);
    }
    Ok(out)
}

/// Records of one batch, opened a few together.
struct Group {
    block: u64,
    opener: Result<BatchOpener, OpenError>,
    /// Whether what opens it was granted for one record.
    alone: bool,
    /// Checked and not opened yet: which of the answers, position in the batch, bytes.
    waiting: Vec<(usize, u32, Vec<u8>)>,
}

impl Group {
    fn new(block: u64, identities: &[Identity], header: &Header, granted: &Granted, alone: bool) -> Group {
        let opener = BatchOpener::new(identities, header, &granted.batch(block));
        Group { block, opener, alone, waiting: Vec::new() }
    }

    /// Opens those that wait, and puts what is inside them into `out`.
    fn open(&mut self, parser: &mut Parser, out: &mut [Sent]) {
        let sealed: Vec<(u32, &[u8])> = self.waiting.iter().map(|(_, p, bytes)| (*p, &bytes[..])).collect();
        let contents = BatchOpener::contents(&self.opener, parser, &sealed);
        for ((at, _, _), content) in self.waiting.drain(..).zip(contents) {
            if let Some((Some(record), _)) = out.get_mut(at) {
                record.content = content;
            }
        }
    }
}

/// What to say of an erased record: the order, if the server names one that is in the log. That officers signed it the ledger
/// vouches for; `audit verify` checks it.
fn erased(
    client: &Client,
    key: &VerifierKey,
    record: u64,
    block_of_record: u64,
    by: Option<u64>,
) -> Result<OpenRecordError, OpenRecordError> {
    let Some(height) = by else { return Ok(OpenRecordError::Erased(record)) };
    let (block, _) = verify_block(&client.block(height)?, &client.block_proof(height)?, key)?;
    let statement = Statement::parse(&block.statement.text).ok();
    let order = match statement {
        Some(Statement::Erasure(order)) if block.height == height && order.ledger == key.name() => order,
        _ => return Err(OpenRecordError::Malformed("the block named as the order erases nothing".into())),
    };
    if height <= block_of_record || !order.records.iter().any(|r| r.contains(record)) {
        return Err(OpenRecordError::Malformed("the order does not name the record".into()));
    }
    let (reason, legal_basis) = (order.reason, order.legal_basis);
    Ok(OpenRecordError::ErasedByOrder {
        record,
        block: height,
        committed: block.committed,
        reason,
        legal_basis,
    })
}

/// Opens record bytes whose place in the chain has been checked. Returns the event and the names of withheld sections.
pub fn open_bytes(
    identity: &Identity,
    header: &Header,
    position: u32,
    record: &[u8],
) -> Result<(SecretBytes, Vec<String>), OpenRecordError> {
    open_with(&BatchOpener::new(std::slice::from_ref(identity), header, &[])?, position, record)
}

/// [`open_bytes`] with an opener of the record's batch, which may use grants.
pub fn open_with(
    opener: &BatchOpener,
    position: u32,
    record: &[u8],
) -> Result<(SecretBytes, Vec<String>), OpenRecordError> {
    let opened = opener.open(&mut Parser::new(), position, record)?;
    Ok((opened.event, opened.withheld))
}
