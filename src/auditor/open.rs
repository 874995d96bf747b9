//! Opens one record with the auditor's own identity, after proving that it is the record the ledger committed.

use zeroize::Zeroizing;

use crate::base::batch::Header;
use crate::base::clock::Timestamp;
use crate::base::hash::{Hash, from_base64};
use crate::base::record::Record;
use crate::chain::batch::header_hash;
use crate::chain::block::Block;
use crate::chain::key::VerifierKey;
use crate::chain::proof::{Proof, ProofError, Verified, record_id, verify_block};
use crate::chain::statement::Statement;
use crate::client::{Client, ClientError};
use crate::event::error::EventError;
use crate::event::json::Parser;
use crate::event::prepare::{fields_of_payload, merge};
use crate::seal::open::{OpenError, Opener};
use crate::seal::reader_key::Identity;

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
        "{id} was erased by order at block {block} ({reason}, {legal_basis}), committed {committed}. The record existed, and its proof still holds; nobody can open it any more",
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

/// An opened record.
pub struct OpenedRecord {
    /// The event: exactly the bytes the application sent, if every section could be read.
    pub event: Zeroizing<Vec<u8>>,
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
    let malformed = |what: &str| OpenRecordError::Malformed(what.to_owned());
    let header_bytes = from_base64(&message.header).ok_or_else(|| malformed("header is not base64"))?;
    let record_bytes = from_base64(&message.bytes).ok_or_else(|| malformed("record is not base64"))?;
    let proof = Proof::parse(&client.proof(index)?)?;
    let verified = proof.verify(key, writer)?;
    if verified.record != index {
        return Err(malformed("the proof is for another record"));
    }
    proof.check_record(&record_bytes)?;
    let block = Block::parse(&proof.block).map_err(|e| malformed(&e.to_string()))?;
    let Ok(Statement::Records(statement)) = Statement::parse(&block.statement.text) else {
        return Err(malformed("the block holds no records"));
    };
    if header_hash(&header_bytes) != statement.header_hash {
        return Err(malformed("the batch header is not the one the writer signed"));
    }
    let header = Header::decode(&header_bytes).map_err(|e| malformed(&e.to_string()))?;
    if (&header.ledger, &*header.writer, header.sequence)
        != (&statement.ledger, block.statement.signer_name(), statement.sequence)
    {
        return Err(malformed("the batch header is of another batch than its statement"));
    }
    if let Ok(Record::Erased(_)) = Record::decode(&record_bytes) {
        return Err(erased(client, key, index, message.erased_by)?);
    }
    let position = (index - block.first_record) as u32;
    let (event, withheld) = open_bytes(identity, &header, position, &record_bytes)?;
    Ok(OpenedRecord { event, withheld, verified, proof })
}

/// What to say of an erased record: the order, if the server names one that is in the log. That officers signed it the ledger
/// vouches for; `audit verify` checks it.
fn erased(
    client: &Client,
    key: &VerifierKey,
    record: u64,
    by: Option<u64>,
) -> Result<OpenRecordError, OpenRecordError> {
    let Some(height) = by else { return Ok(OpenRecordError::Erased(record)) };
    let (block, _) = verify_block(&client.block(height)?, &client.block_proof(height)?, key)?;
    let statement = Statement::parse(&block.statement.text).ok();
    let order = match statement {
        Some(Statement::Erasure(order)) if block.height == height && order.ledger == key.name() => order,
        _ => return Err(OpenRecordError::Malformed("the block named as the order erases nothing".into())),
    };
    if !order.records.iter().any(|r| (r.first..=r.last).contains(&record)) {
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
) -> Result<(Zeroizing<Vec<u8>>, Vec<String>), OpenRecordError> {
    let opener = Opener::new(identity, header)?;
    let unchecked = opener.open(position, record)?;
    let names: Vec<String> = header.sections.iter().map(|s| s.name.clone()).collect();
    let mut parser = Parser::new();
    let opened = unchecked.verify_disclosure(|section, payload, sink| {
        for field in fields_of_payload(&mut parser, section, payload, &names)? {
            sink.add(&field);
        }
        Ok::<_, OpenRecordError>(())
    })?;
    let payloads: Vec<Option<&[u8]>> = (0..opened.sections()).map(|s| opened.payload(s)).collect();
    let withheld = names.iter().zip(&payloads).filter(|(_, p)| p.is_none()).map(|(n, _)| n.clone()).collect();
    let event = match payloads.first() {
        Some(Some(_)) => merge(&names, &payloads)?,
        // Without the first section there is no frame to put the others into: each stands on a line.
        _ => payloads.iter().flatten().copied().collect::<Vec<_>>().join(&b'\n'),
    };
    Ok((Zeroizing::new(event), withheld))
}

/// SHA-256 of a record's ciphertext, by which anyone finds it in the ledger.
pub fn ciphertext_hash(record: &[u8]) -> Option<Hash> {
    match Record::decode(record).ok()? {
        Record::Sealed { ciphertext, .. } => Some(Hash::of(&[ciphertext])),
        Record::Erased(inputs) => Some(inputs.ciphertext_hash),
    }
}
