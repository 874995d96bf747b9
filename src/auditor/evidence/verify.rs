//! Checks an evidence file with the ledger's public key and nothing else. `docs/FORMAT.md` §13, "To verify".

use crate::base::batch::Header;
use crate::chain::batch::{self, BatchError, record_leaf};
use crate::chain::block::{Block, BlockError};
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::key::VerifierKey;
use crate::chain::merkle::verify_inclusion;
use crate::chain::policy::WitnessPolicy;
use crate::chain::statement::{ErasureStatement, RecordsStatement, Statement};
use crate::event::view::printable;

pub use super::error::{BlockFault, EvidenceError, RecordFault};
use super::format::{Evidence, EvidenceBlock, EvidenceRecord};
use super::manifest::Manifest;
use super::report::{ContentReport, ErasureReport, EvidenceReport, RecordReport, Signer};
use super::section;
pub use super::section::SectionError;

/// Whom a verifier trusts, and what else it asks for.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// The ledger's key.
    pub ledger: &'a VerifierKey,
    /// Writers' keys; if any are given, every batch must be signed by one of them.
    pub writers: &'a [VerifierKey],
    /// The key that must have signed the manifest.
    pub signer: Option<&'a VerifierKey>,
    /// The witnesses that must have cosigned the checkpoint.
    pub policy: Option<&'a WitnessPolicy>,
}

impl<'a> Trust<'a> {
    /// Only the ledger's key.
    pub fn ledger(ledger: &'a VerifierKey) -> Trust<'a> {
        Trust { ledger, writers: &[], signer: None, policy: None }
    }
}

/// A block that is in the log.
pub(super) enum Checked {
    Records { block: Block, statement: Box<RecordsStatement>, header: Option<Header> },
    Erasure { block: Block, statement: ErasureStatement },
}

impl Checked {
    /// Checks a block's form, its place under `head`, and its header.
    pub(super) fn new(b: &EvidenceBlock, head: &Checkpoint) -> Result<Checked, BlockFault> {
        let block = Block::parse(&b.text)?;
        verify_inclusion(Block::hash_text(&b.text), block.height, head.size, &b.log_path, head.root)
            .map_err(BlockFault::Inclusion)?;
        let statement = Statement::parse(&block.statement.text).map_err(BlockError::Head)?;
        if statement.ledger() != head.origin {
            return Err(BlockFault::Ledger(statement.ledger().to_owned()));
        }
        match statement {
            Statement::Records(statement) => {
                if block.statement.signatures.len() != 1 {
                    return Err(BlockFault::Signatures);
                }
                let header = match &b.header {
                    Some(bytes) => Some(check_header(bytes, &block, &statement)?),
                    None => None,
                };
                Ok(Checked::Records { block, statement: Box::new(statement), header })
            }
            Statement::Erasure(_) if b.header.is_some() => Err(BlockFault::Header),
            Statement::Erasure(statement) => Ok(Checked::Erasure { block, statement }),
            _ => Err(BlockFault::Kind),
        }
    }

    pub(super) fn height(&self) -> u64 {
        match self {
            Checked::Records { block, .. } | Checked::Erasure { block, .. } => block.height,
        }
    }

    /// Checks a batch header against the statement that signs it.
    pub(super) fn header(&self, bytes: &[u8]) -> Result<Header, BlockFault> {
        match self {
            Checked::Records { block, statement, .. } => check_header(bytes, block, statement),
            Checked::Erasure { .. } => Err(BlockFault::Header),
        }
    }

    /// Checks that the block holds the record, and gives the record's position in its batch.
    pub(super) fn check_record(&self, r: &EvidenceRecord) -> Result<u64, RecordFault> {
        let Checked::Records { block, statement, .. } = self else {
            return Err(RecordFault::NoBlock("records"));
        };
        let (first, records) = (block.first_record, statement.records);
        let position = r.record.checked_sub(first).filter(|p| *p < records);
        let position = position.ok_or(RecordFault::Range { first, records })?;
        let leaf = record_leaf(&r.leaf_inputs);
        verify_inclusion(leaf, position, records, &r.record_path, statement.records_root)
            .map_err(RecordFault::Inclusion)?;
        Ok(position)
    }
}

fn check_header(bytes: &[u8], block: &Block, statement: &RecordsStatement) -> Result<Header, BlockFault> {
    batch::check_header(bytes, block, statement).map_err(|e| match e {
        BatchError::Wire(form) => BlockFault::HeaderForm(form),
        _ => BlockFault::OtherHeader,
    })
}

/// Verifies an evidence file.
pub fn verify(bytes: &[u8], trust: &Trust<'_>) -> Result<EvidenceReport, EvidenceError> {
    verify_parsed(&Evidence::parse(bytes)?, trust)
}

/// Verifies an evidence file that has been read.
pub fn verify_parsed(evidence: &Evidence, trust: &Trust<'_>) -> Result<EvidenceReport, EvidenceError> {
    let is_ledger = |what, found: &str| {
        let expected = trust.ledger.name();
        if found == expected {
            return Ok(());
        }
        Err(EvidenceError::Ledger { what, expected: expected.to_owned(), found: found.to_owned() })
    };
    is_ledger("the evidence file", &evidence.ledger)?;
    let manifest = Manifest::parse(&evidence.manifest)?;
    is_ledger("the manifest", &manifest.ledger)?;
    let signer = check_signer(&manifest, trust.signer)?;
    let checkpoint = SignedCheckpoint::parse(&evidence.checkpoint, trust.ledger)?;
    let head = checkpoint.checkpoint();
    if (head.size, head.root) != (manifest.tree_size, manifest.root) {
        return Err(EvidenceError::OtherCheckpoint);
    }
    let witnesses = trust.policy.map(|p| p.check(&checkpoint, trust.ledger)).transpose()?;
    let found = evidence.records.len() as u64;
    if manifest.records != found {
        return Err(EvidenceError::Records { manifest: manifest.records, found });
    }
    let blocks = check_blocks(evidence, head, trust.writers)?;
    let mut used = vec![Use::default(); blocks.len()];
    let mut records: Vec<RecordReport> = Vec::with_capacity(evidence.records.len());
    for r in &evidence.records {
        let fault = |fault| EvidenceError::Record { record: r.record, fault };
        if let Some(last) = records.last().filter(|last| last.record >= r.record) {
            return Err(fault(RecordFault::Order { after: last.record }));
        }
        records.push(check_record(r, &blocks, &mut used, !trust.writers.is_empty()).map_err(fault)?);
    }
    for (place, (block, used)) in blocks.iter().zip(&used).enumerate() {
        let has_header = matches!(block, Checked::Records { header: Some(_), .. });
        let fault = match used {
            Use { named: false, .. } => BlockFault::Unused,
            Use { shown, .. } if *shown != has_header => BlockFault::Header,
            _ => continue,
        };
        return Err(EvidenceError::Block { place, fault });
    }
    // Last, so that a changed part is named where it can be.
    if evidence.contents_hash() != manifest.contents {
        return Err(EvidenceError::Contents);
    }
    Ok(EvidenceReport {
        ledger: manifest.ledger,
        blocks: head.size,
        root: head.root.base64(),
        witnesses,
        created: manifest.created,
        words: manifest.words,
        signer,
        records,
    })
}

fn check_signer(manifest: &Manifest, expected: Option<&VerifierKey>) -> Result<Signer, EvidenceError> {
    match (&manifest.signer, expected) {
        (None, None) => Ok(Signer::Unsigned),
        (None, Some(key)) => Err(EvidenceError::Unsigned(key.to_string())),
        (Some(found), None) => Ok(Signer::Unknown(found.to_string())),
        (Some(found), Some(expected)) if found == expected => Ok(Signer::Checked(found.to_string())),
        (Some(found), Some(expected)) => {
            Err(EvidenceError::OtherSigner { expected: expected.to_string(), found: found.to_string() })
        }
    }
}

fn check_blocks(
    evidence: &Evidence,
    head: &Checkpoint,
    writers: &[VerifierKey],
) -> Result<Vec<Checked>, EvidenceError> {
    let mut blocks: Vec<Checked> = Vec::with_capacity(evidence.blocks.len());
    for (place, b) in evidence.blocks.iter().enumerate() {
        let at = |fault| EvidenceError::Block { place, fault };
        let checked = Checked::new(b, head).map_err(at)?;
        if blocks.last().is_some_and(|last| last.height() >= checked.height()) {
            return Err(at(BlockFault::Order(checked.height())));
        }
        if let Checked::Records { block, .. } = &checked
            && !writers.is_empty()
        {
            let writer = || BlockFault::Writer(printable(block.statement.signer_name()));
            block.statement.verify(writers).map_err(|_| at(writer()))?;
        }
        blocks.push(checked);
    }
    Ok(blocks)
}

/// How the records of the file use a block.
#[derive(Clone, Copy, Default)]
struct Use {
    /// A record or an erasure names it.
    named: bool,
    /// A record of it is opened.
    shown: bool,
}

fn check_record(
    r: &EvidenceRecord,
    blocks: &[Checked],
    used: &mut [Use],
    writer_checked: bool,
) -> Result<RecordReport, RecordFault> {
    let no_block = RecordFault::NoBlock("records");
    let at = r.block as usize;
    let checked = blocks.get(at).ok_or_else(|| no_block.clone())?;
    checked.check_record(r)?;
    let Checked::Records { block, statement, header } = checked else { return Err(no_block) };
    let mark = |used: &mut [Use], at: usize, shown: bool| {
        if let Some(u) = used.get_mut(at) {
            *u = Use { named: true, shown: u.shown || shown };
        }
    };
    mark(used, at, r.opened.is_some());
    let content = match (&r.opened, r.erased) {
        (None, None) => ContentReport::NotShown,
        (Some(_), Some(_)) => return Err(RecordFault::ErasedAndOpened),
        (None, Some(order)) => {
            mark(used, order as usize, false);
            ContentReport::Erased(check_erasure(r.record, block.height, blocks.get(order as usize))?)
        }
        (Some(sections), None) => {
            let names: Vec<String> = match header {
                Some(header) => header.sections.iter().map(|s| s.name.clone()).collect(),
                None => return Err(RecordFault::NoHeader),
            };
            ContentReport::Shown(section::check(sections, &names, r.leaf_inputs.disclosure_root)?)
        }
    };
    Ok(RecordReport {
        record: r.record,
        block: block.height,
        committed: block.committed,
        sealed: statement.sealed,
        writer: block.statement.signer_name().to_owned(),
        writer_checked,
        ciphertext_sha256: r.leaf_inputs.ciphertext_hash.hex(),
        content,
        note: r.note.clone(),
    })
}

/// Checks that `order` is an erasure of the record in the block at `height`.
pub(super) fn check_erasure(
    record: u64,
    height: u64,
    order: Option<&Checked>,
) -> Result<ErasureReport, RecordFault> {
    let Some(Checked::Erasure { block, statement }) = order else {
        return Err(RecordFault::NoBlock("an erasure"));
    };
    let names_it = statement.records.iter().any(|range| range.contains(record));
    if !names_it || block.height <= height {
        return Err(RecordFault::NotErased);
    }
    Ok(ErasureReport {
        block: block.height,
        committed: block.committed,
        reason: statement.reason.clone(),
        legal_basis: statement.legal_basis.clone(),
        signed_by: block.statement.signatures.iter().map(|s| s.name.clone()).collect(),
    })
}
