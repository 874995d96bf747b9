//! Verifying many proofs: what they have in common is checked once. `docs/FORMAT.md` §10.

use super::block::{Block, BlockError};
use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::key::VerifierKey;
use super::merkle::verify_inclusion;
use super::proof::{Proof, ProofError, Verified, verify_block_with};
use super::statement::{RecordsStatement, Statement};

/// Verifies proofs of one ledger. Proofs against one checkpoint share the check of its signature, and proofs of records of
/// one block share the block's. Only bytes that are the same as those checked before are not checked again.
pub struct ProofVerifier<'k> {
    key: &'k VerifierKey,
    /// The last checkpoint that verified, and its text.
    checkpoint: Option<(String, SignedCheckpoint)>,
    block: Option<Proven>,
}

/// A block of records that is in the ledger.
pub struct Proven {
    text: String,
    log_proof: String,
    /// The block.
    pub block: Block,
    /// Its statement.
    pub statement: RecordsStatement,
    checkpoint: SignedCheckpoint,
}

impl<'k> ProofVerifier<'k> {
    /// For the ledger with this key.
    pub fn new(key: &'k VerifierKey) -> ProofVerifier<'k> {
        ProofVerifier { key, checkpoint: None, block: None }
    }

    /// [`Proof::verify`], and the block in which the record is.
    pub fn verify(
        &mut self,
        proof: &Proof,
        writer_key: Option<&VerifierKey>,
    ) -> Result<(Verified, &Proven), ProofError> {
        self.check_ledger(&proof.ledger)?;
        let known = self.block.take().filter(|b| b.text == proof.block && b.log_proof == proof.log_proof);
        let proven = match known {
            Some(known) => known,
            None => self.prove(proof)?,
        };
        let verified = verify_record(proof, &proven, writer_key)?;
        Ok((verified, self.block.insert(proven)))
    }

    fn check_ledger(&self, found: &str) -> Result<(), ProofError> {
        if found == self.key.name() {
            return Ok(());
        }
        Err(ProofError::Ledger { expected: self.key.name().to_owned(), found: found.to_owned() })
    }

    fn prove(&mut self, proof: &Proof) -> Result<Proven, ProofError> {
        let (block, checkpoint) =
            verify_block_with(&proof.block, &proof.log_proof, |text| self.checkpoint(text))?;
        let statement = Statement::parse(&block.statement.text).map_err(BlockError::Head)?;
        let Statement::Records(statement) = statement else { return Err(ProofError::NoRecords) };
        self.check_ledger(&statement.ledger)?;
        let (text, log_proof) = (proof.block.clone(), proof.log_proof.clone());
        Ok(Proven { text, log_proof, block, statement, checkpoint })
    }

    fn checkpoint(&mut self, text: &str) -> Result<SignedCheckpoint, CheckpointError> {
        if let Some((known, checkpoint)) = &self.checkpoint
            && known == text
        {
            return Ok(checkpoint.clone());
        }
        let checkpoint = SignedCheckpoint::parse(text, self.key)?;
        self.checkpoint = Some((text.to_owned(), checkpoint.clone()));
        Ok(checkpoint)
    }
}

/// The record is in the block. Index and size come from the block, which the log vouches for.
fn verify_record(
    proof: &Proof,
    proven: &Proven,
    writer_key: Option<&VerifierKey>,
) -> Result<Verified, ProofError> {
    let Proven { block, statement, checkpoint, .. } = proven;
    let (first, records) = (block.first_record, statement.records);
    let position = proof.record.checked_sub(first).filter(|p| *p < records);
    let position = position.ok_or(ProofError::Range { record: proof.record, first, records })?;
    let leaf = super::batch::record_leaf(&proof.leaf_inputs);
    verify_inclusion(leaf, position, records, &proof.record_path, statement.records_root)
        .map_err(ProofError::RecordInclusion)?;
    // The writer.
    let [signature] = &block.statement.signatures[..] else { return Err(ProofError::Signatures) };
    if let Some(key) = writer_key {
        let writer =
            |_| ProofError::Writer { expected: key.name().to_owned(), found: signature.name.clone() };
        block.statement.verify_signature(signature, key).map_err(writer)?;
    }
    Ok(Verified {
        ledger: proof.ledger.clone(),
        record: proof.record,
        block_height: block.height,
        committed: block.committed,
        sealed: statement.sealed,
        writer: signature.name.clone(),
        writer_checked: writer_key.is_some(),
        checkpoint: checkpoint.clone(),
        leaf_inputs: proof.leaf_inputs,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::testing::*;
    use super::*;

    /// Of every pair of proofs, right or wrong, the second gets the answer it gets alone.
    #[test]
    fn what_was_verified_before_changes_no_answer() {
        let l = Ledger::sample();
        let ledger_key = key(ORIGIN).verifier();
        let good: Vec<Proof> = [(1, 0), (1, 4), (3, 1)].iter().map(|(h, at)| l.proof(*h, *at)).collect();
        let mut all = good.clone();
        type Change = fn(&mut Proof, &Proof);
        let changes: [Change; 12] = [
            |p, _| p.ledger.push('x'),
            |p, _| p.record += 1,
            |p, _| p.record = 999,
            |p, _| p.record_path.clear(),
            |p, _| p.leaf_inputs.ciphertext_hash.0[3] ^= 1,
            |p, other| p.block = other.block.clone(),
            |p, other| p.log_proof = other.log_proof.clone(),
            |p, other| p.record_path = other.record_path.clone(),
            |p, _| p.block = p.block.replace("\n", "\r\n"),
            |p, _| p.log_proof = p.log_proof.replacen("index ", "index 1", 1),
            // Another root over the same signature, and the signature broken.
            |p, _| {
                let at = p.log_proof.find(ORIGIN).unwrap() + ORIGIN.len() + 5;
                let changed = if p.log_proof.as_bytes()[at] == b'A' { "B" } else { "A" };
                p.log_proof.replace_range(at..=at, changed);
            },
            |p, _| p.log_proof.truncate(p.log_proof.len() - 9),
        ];
        for change in changes {
            for (proof, other) in [(&good[0], &good[2]), (&good[2], &good[0])] {
                let mut changed = proof.clone();
                change(&mut changed, other);
                assert!(changed.verify(&ledger_key, None).is_err());
                all.push(changed);
            }
        }
        let writer = key(WRITER).verifier();
        for first in &all {
            for second in &all {
                for writer in [None, Some(&writer), Some(&ledger_key)] {
                    let mut verifier = ProofVerifier::new(&ledger_key);
                    let _ = verifier.verify(first, None);
                    let together = verifier.verify(second, writer).map(|(v, _)| v);
                    assert_eq!(together, second.verify(&ledger_key, writer));
                }
            }
        }
        let mut verifier = ProofVerifier::new(&ledger_key);
        let (verified, proven) = verifier.verify(&good[1], Some(&writer)).unwrap();
        assert_eq!((verified.block_height, proven.block.height, proven.statement.records), (1, 1, 5));
    }
}
