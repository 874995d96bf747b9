//! Puts an evidence file together, record by record. Everything is verified on the way in, so that what comes out verifies.
//! `docs/FORMAT.md` §13.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::build_error::BuildError;
use super::disclose::Batch;
use super::format::{Evidence, EvidenceBlock, EvidenceRecord, SectionEvidence, ShownField};
use super::manifest::{Manifest, Words, is_text};
use super::verify::{Checked, RecordFault, check_erasure};
use crate::auditor::granted::Granted;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_EVIDENCE_BYTES, MAX_EVIDENCE_RECORDS};
use crate::base::record::Record;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::{SigningKey, VerifierKey};
use crate::chain::proof::{Proof, ProofError};
use crate::chain::tlog_proof::TlogProof;
use crate::seal::reader_key::Identity;

/// Everything about one record that evidence can be made of.
#[derive(Clone)]
pub struct Material {
    /// Proof that the record exists. All proofs of one file lead to one checkpoint.
    pub proof: Proof,
    /// Batch header and record, as stored; needed to show anything.
    pub content: Option<RawRecord>,
    /// The block that orders the record's erasure, if one does.
    pub erasure: Option<LogEntry>,
    /// What was granted of the record to the identities; it may be about others too. Records of one block that share it are opened
    /// with less work.
    pub granted: Arc<Granted>,
}

/// A record and its batch header, as bytes.
#[derive(Clone)]
pub struct RawRecord {
    /// The batch header.
    pub header: Vec<u8>,
    /// The encoded record.
    pub record: Vec<u8>,
}

/// A block with its proof.
#[derive(Clone)]
pub struct LogEntry {
    /// The block text.
    pub text: String,
    /// C2SP tlog-proof of the block, with the checkpoint.
    pub log_proof: String,
}

/// How much of a record to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disclose {
    /// That it exists.
    Nothing,
    /// Every section the identities may read.
    Everything,
    /// The fields at these JSON Pointers; one of an object or array stands for all fields below it.
    Fields(Vec<String>),
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// Only its existence is in the file, as asked.
    Existence,
    /// It is shown as asked. The number of sections that no identity may read.
    Shown {
        /// Sections withheld from these identities.
        withheld: usize,
    },
    /// None of the identities is a reader of it: only its existence is in the file.
    NotForYou,
    /// It was ordered to be erased; the file has the order.
    Erased,
}

/// An evidence file in the making. Records are added in ascending order.
pub struct Builder<'k> {
    ledger: &'k VerifierKey,
    identities: &'k [Identity],
    checkpoint: Option<(String, SignedCheckpoint)>,
    /// By height; records name their blocks by height until the end.
    blocks: BTreeMap<u64, EvidenceBlock>,
    records: Vec<(u64, Option<u64>, EvidenceRecord)>,
    bytes: usize,
    current: Option<Current>,
}

/// The block of the record added last: the next one is often in it too.
struct Current {
    text: String,
    height: u64,
    checked: Checked,
    batch: Option<Batch>,
}

/// Bytes a block adds besides its text, at most about.
const BLOCK_OVERHEAD: usize = 4096;

impl<'k> Builder<'k> {
    /// An empty file about the ledger of this key. `identities` open what is to be shown, together.
    pub fn new(ledger: &'k VerifierKey, identities: &'k [Identity]) -> Builder<'k> {
        let (blocks, records) = (BTreeMap::new(), Vec::new());
        Builder { ledger, identities, checkpoint: None, blocks, records, bytes: 0, current: None }
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Verifies the next record and adds it; records ascend by index. `note` is the exporter's own word about it.
    pub fn add(
        &mut self,
        material: Material,
        disclose: &Disclose,
        note: Option<String>,
    ) -> Result<Added, BuildError> {
        let record = material.proof.record;
        if self.records.len() == MAX_EVIDENCE_RECORDS {
            return Err(BuildError::TooMany);
        }
        let fault = |source| BuildError::Record { record, source };
        if let Some((_, _, last)) = self.records.last().filter(|(_, _, last)| last.record >= record) {
            return Err(fault(RecordFault::Order { after: last.record }));
        }
        if note.as_deref().is_some_and(|n| !is_text(n)) {
            return Err(BuildError::Note { record });
        }
        self.enter_block(&material.proof)?;
        let Some(current) = &mut self.current else { return Err(fault(RecordFault::NoBlock("records"))) };
        let mut entry = EvidenceRecord {
            record,
            block: 0,
            leaf_inputs: material.proof.leaf_inputs,
            record_path: material.proof.record_path.clone(),
            erased: None,
            opened: None,
            note,
        };
        let position = current.checked.check_record(&entry).map_err(fault)? as u32;
        let height = current.height;
        let mut order = None;
        let mut added = Added::Existence;
        let gone = match &material.content {
            Some(content) => {
                let proof = |source| BuildError::Proof { record, source };
                material.proof.check_record(&content.record).map_err(proof)?;
                matches!(Record::decode(&content.record), Ok(Record::Erased(_)))
            }
            None => false,
        };
        match (&material.erasure, &material.content, disclose) {
            (Some(entry), _, _) => {
                let at = self.add_erasure(record, height, entry)?;
                if let Disclose::Fields(_) = disclose {
                    return Err(BuildError::Erased { record, block: at });
                }
                order = Some(at);
                added = Added::Erased;
            }
            (None, _, _) if gone => return Err(BuildError::Missing { record }),
            (None, _, Disclose::Nothing) => {}
            (None, None, _) => return Err(BuildError::NoContent { record }),
            (None, Some(content), _) => {
                let batch = current.batch(record, &content.header, self.identities, &material.granted)?;
                match batch.show(record, position, &content.record, disclose)? {
                    None if matches!(disclose, Disclose::Fields(_)) => {
                        return Err(BuildError::NotForYou { record });
                    }
                    None => added = Added::NotForYou,
                    Some((sections, withheld)) => {
                        entry.opened = Some(sections);
                        added = Added::Shown { withheld };
                        if let Some(block) = self.blocks.get_mut(&height)
                            && block.header.is_none()
                        {
                            self.bytes += content.header.len() * 4 / 3;
                            block.header = Some(content.header.clone());
                        }
                    }
                }
            }
        }
        self.bytes += entry.approximate_bytes();
        if self.bytes > MAX_EVIDENCE_BYTES {
            return Err(BuildError::TooLarge);
        }
        self.records.push((height, order, entry));
        Ok(added)
    }

    /// Makes `current` the block of this proof.
    fn enter_block(&mut self, proof: &Proof) -> Result<(), BuildError> {
        let record = proof.record;
        let log_proof = self.log_proof(record, &proof.log_proof)?;
        if proof.ledger != self.ledger.name() {
            let (expected, found) = (self.ledger.name().to_owned(), proof.ledger.clone());
            return Err(BuildError::Proof { record, source: ProofError::Ledger { expected, found } });
        }
        if self.current.as_ref().is_some_and(|c| c.text == proof.block) {
            return Ok(());
        }
        let entry = LogEntry { text: proof.block.clone(), log_proof: String::new() };
        let checked = self.check_block(record, &entry, log_proof.path)?;
        let height = checked.height();
        self.current = Some(Current { text: entry.text, height, checked, batch: None });
        Ok(())
    }

    /// Reads a log proof and holds its checkpoint against the one of the records before.
    fn log_proof(&mut self, record: u64, text: &str) -> Result<TlogProof, BuildError> {
        let proof = TlogProof::parse(text).map_err(|source| BuildError::LogProof { record, source })?;
        match &self.checkpoint {
            Some((text, _)) if *text == proof.checkpoint => {}
            Some((_, known)) => {
                let other = SignedCheckpoint::parse(&proof.checkpoint, self.ledger)?;
                if other.checkpoint() != known.checkpoint() {
                    return Err(BuildError::OtherCheckpoint { record });
                }
            }
            None => {
                let signed = SignedCheckpoint::parse(&proof.checkpoint, self.ledger)?;
                self.checkpoint = Some((proof.checkpoint.clone(), signed));
            }
        }
        Ok(proof)
    }

    /// Checks a block and keeps it.
    fn check_block(
        &mut self,
        record: u64,
        entry: &LogEntry,
        log_path: Vec<Hash>,
    ) -> Result<Checked, BuildError> {
        let Some((_, checkpoint)) = &self.checkpoint else {
            return Err(BuildError::OtherCheckpoint { record });
        };
        let block = EvidenceBlock { text: entry.text.clone(), log_path, header: None };
        let fault = |source| BuildError::Block { record, source };
        let checked = Checked::new(&block, checkpoint.checkpoint()).map_err(fault)?;
        self.bytes += block.text.len() + BLOCK_OVERHEAD;
        self.blocks.entry(checked.height()).or_insert(block);
        Ok(checked)
    }

    fn add_erasure(&mut self, record: u64, height: u64, entry: &LogEntry) -> Result<u64, BuildError> {
        let proof = self.log_proof(record, &entry.log_proof)?;
        let checked = self.check_block(record, entry, proof.path)?;
        let report = check_erasure(record, height, Some(&checked));
        Ok(report.map_err(|source| BuildError::Record { record, source })?.block)
    }

    /// The file. `created` is now, by the exporter's clock; with `sign` the manifest is signed by that key.
    pub fn finish(
        self,
        created: Timestamp,
        words: Words,
        sign: Option<&SigningKey>,
    ) -> Result<Evidence, BuildError> {
        let Some((text, checkpoint)) = self.checkpoint.filter(|_| !self.records.is_empty()) else {
            return Err(BuildError::Nothing);
        };
        let heights: Vec<u64> = self.blocks.keys().copied().collect();
        // Every height named is a key of the map.
        let place = |height: u64| heights.binary_search(&height).unwrap_or_default() as u32;
        let records = self.records.into_iter().map(|(height, order, record)| EvidenceRecord {
            block: place(height),
            erased: order.map(place),
            ..record
        });
        let mut evidence = Evidence {
            ledger: self.ledger.name().to_owned(),
            manifest: String::new(),
            checkpoint: text,
            records: records.collect(),
            blocks: self.blocks.into_values().collect(),
        };
        let manifest = Manifest {
            ledger: evidence.ledger.clone(),
            created,
            tree_size: checkpoint.checkpoint().size,
            root: checkpoint.checkpoint().root,
            records: evidence.records.len() as u64,
            contents: evidence.contents_hash(),
            words,
            signer: sign.map(SigningKey::verifier),
        };
        evidence.manifest = manifest.to_note(sign)?;
        Ok(evidence)
    }
}

impl EvidenceRecord {
    /// About how many bytes of JSON it takes.
    fn approximate_bytes(&self) -> usize {
        let section = |s: &SectionEvidence| match s {
            SectionEvidence::Whole { payload, .. } => {
                payload.len() + payload.bytes().filter(|b| matches!(b, b'"' | b'\\' | b'\n')).count() + 90
            }
            SectionEvidence::Parts { shown, .. } => {
                let field = |f: &ShownField| 120 + f.pointer.len() + f.value.len() + 47 * f.path.len();
                100 + shown.iter().map(field).sum::<usize>()
            }
        };
        400 + 47 * self.record_path.len()
            + self.note.as_ref().map_or(0, String::len)
            + self.opened.iter().flatten().map(section).sum::<usize>()
    }
}

impl Current {
    /// The batch of this block, with what opens it.
    fn batch(
        &mut self,
        record: u64,
        header: &[u8],
        identities: &[Identity],
        granted: &Arc<Granted>,
    ) -> Result<&Batch, BuildError> {
        if !self.batch.as_ref().is_some_and(|b| b.header == header && Arc::ptr_eq(&b.granted, granted)) {
            let decoded =
                self.checked.header(header).map_err(|source| BuildError::Block { record, source })?;
            let (height, bytes) = (self.height, (header, &decoded));
            self.batch = Some(Batch::new(record, height, bytes, identities, granted.clone())?);
        }
        self.batch.as_ref().ok_or(BuildError::NoContent { record })
    }
}
