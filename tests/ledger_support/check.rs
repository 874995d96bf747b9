//! What must hold.

use std::collections::BTreeMap;
use std::time::Duration;

use sealtrail::auditor::source::{Source, SourceError};
use sealtrail::auditor::verify::{Trust, verify};
use sealtrail::base::batch::Body;
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use sealtrail::chain::log::Log;
use sealtrail::chain::merkle::leaf_hash;
use sealtrail::chain::statement::Statement;
use sealtrail::ledger::{Ledger, LedgerError, Receipt};
use sealtrail::store::Store;
use sealtrail::writer::Purpose;

use super::{History, Item, Random, admin, reader, vkey, writer, writer_key};

/// Records of one batch that are opened to the last byte; of the others the proofs are left out.
const PROVED: usize = 3;

impl History {
    /// Everything the world was told holds of this ledger, which has just recovered; of the proofs, those of the newest batches and some
    /// by `random`. Then it goes on.
    pub fn check(&self, ledger: &Ledger, store: &dyn Store, random: &mut Random) {
        self.check_checkpoints(ledger);
        self.check_receipts(ledger, random);
        self.check_erasures(ledger);
        self.goes_on(ledger, random);
        self.check_bytes(store);
    }

    /// All checkpoints ever shown, and the one shown now, are of one log.
    pub fn check_checkpoints(&self, ledger: &Ledger) {
        let now = ledger.view().checkpoint.clone();
        let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
        let mut log = Log::new();
        for height in 0..parse(&now).size {
            log.append(leaf_hash(ledger.block(height).unwrap().as_bytes()));
            roots.insert(height + 1, log.root());
        }
        for text in self.shown.iter().chain([&now]) {
            let Checkpoint { size, root, .. } = parse(text);
            assert_eq!(roots.get(&size), Some(&root), "a checkpoint of {size} blocks is not of this log");
        }
    }

    /// Whoever sends again what was acknowledged gets the receipt of then, and what it says is true.
    pub fn check_receipts(&self, ledger: &Ledger, random: &mut Random) {
        let newest = self.acked.len().saturating_sub(4);
        for (i, (id, receipt)) in self.acked.iter().enumerate() {
            let item = &self.items[id];
            let again = item.submit(ledger).unwrap_or_else(|e| panic!("item {id}: {e}")).wait();
            let again = again.unwrap_or_else(|e| panic!("item {id} was acknowledged at {receipt:?}: {e}"));
            assert_eq!(again, Receipt { repeated: true, ..*receipt }, "item {id}");
            if i >= newest || random.once_in(8) {
                check_batch(ledger, item, receipt);
            }
        }
    }

    /// What an acknowledged order names is served no more, and is soon gone.
    fn check_erasures(&self, ledger: &Ledger) {
        for _ in 0..1000 {
            if ledger.health().erasures_pending == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(ledger.health().erasures_pending, 0, "{:?}", ledger.health());
        for id in self.acked.keys() {
            let Ok(Statement::Erasure(order)) = Statement::parse(&self.items[id].note().text) else {
                continue;
            };
            for record in order.records.iter().flat_map(|r| r.first..=r.last) {
                assert!(
                    ledger.erased_by(record).unwrap().is_some(),
                    "record {record} was ordered to be erased"
                );
                assert!(ledger.record(record).unwrap().is_erased(), "record {record}");
            }
        }
    }

    /// Every writer can go on: with what it was never told about, if it sends that again, and with the next batch.
    fn goes_on(&self, ledger: &Ledger, random: &mut Random) {
        let number = random.below(super::WRITERS as u64) as usize;
        let mut writer = writer(number, ledger.writer_head(writer_key(number).name()));
        let sealed = writer.seal_events(Purpose::Events, &[reader(0)], &["{}"], Timestamp::now()).unwrap();
        let records = ledger.view().state.next_record();
        let item = Item::Batch(sealed.note, sealed.body.to_vec());
        let receipt = item.submit(ledger).unwrap().wait().unwrap();
        assert_eq!((receipt.first_record, receipt.repeated), (records, false));
        check_batch(ledger, &item, &receipt);
        assert!(ledger.health().failing.is_none());
    }

    /// The whole database, as an auditor verifies it.
    pub fn check_bytes(&self, store: &dyn Store) {
        let known: Vec<Checkpoint> = self.shown.iter().map(|t| parse(t)).collect();
        let trust = Trust { ledger: &vkey(), admin: Some(&admin().verifier()), known: &known };
        let report = verify(&mut StoreSource(store), &trust, &mut |_, _| {}).unwrap();
        assert_eq!(report.records, store.head().unwrap().unwrap().records);
    }
}

/// What a receipt says: the records are where it says, are what was sent unless they were erased, and are proved.
pub fn check_batch(ledger: &Ledger, item: &Item, receipt: &Receipt) {
    try_check_batch(ledger, item, receipt).unwrap();
}

/// The same, if nothing fails that has to be read.
pub fn try_check_batch(ledger: &Ledger, item: &Item, receipt: &Receipt) -> Result<(), LedgerError> {
    let Item::Batch(note, body) = item else { return Ok(()) };
    let sent = Body::decode(body).unwrap();
    assert_eq!(sent.count(), receipt.records as usize);
    let block = ledger.block(receipt.block)?;
    assert!(block.ends_with(&note.to_string()), "another statement stands in block {}", receipt.block);
    let step = (sent.count() / PROVED).max(1);
    for (record, bytes) in (receipt.first_record..).zip(sent.records()).step_by(step) {
        let found = ledger.record(record)?;
        assert_eq!(found.block, receipt.block);
        if ledger.erased_by(record)?.is_some() {
            assert!(found.is_erased());
        } else {
            assert_eq!(found.record, bytes, "record {record} is another one");
        }
        let proof = ledger.proof(record)?;
        let verified = proof.verify(&vkey(), None).unwrap();
        assert_eq!((verified.record, verified.block_height), (record, receipt.block));
        assert!(verified.checkpoint.checkpoint().size > receipt.block);
        proof.check_record(bytes).unwrap();
    }
    Ok(())
}

pub fn parse(checkpoint: &str) -> Checkpoint {
    SignedCheckpoint::parse(checkpoint, &vkey()).unwrap().checkpoint().clone()
}

/// A store as a verifier's source.
struct StoreSource<'a>(&'a dyn Store);

fn failed(e: impl ToString) -> SourceError {
    SourceError::Damaged(e.to_string())
}

impl Source for StoreSource<'_> {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        let head = self.0.head().map_err(failed)?.ok_or_else(|| failed("no head"))?;
        String::from_utf8(head.checkpoint).map_err(failed)
    }
    fn blocks(&mut self, height: u64, _size: u64) -> Result<Vec<String>, SourceError> {
        let texts = self.0.block_texts(height, 100, 1 << 20).map_err(failed)?;
        texts.into_iter().map(|t| String::from_utf8(t).map_err(failed)).collect()
    }
    fn has_bodies(&self) -> bool {
        true
    }
    fn body(&mut self, height: u64, _size: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.body(height).map_err(failed)?.unwrap_or_default())
    }
    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.leaf_inputs(height).map_err(failed)?.unwrap_or_default())
    }
}
