//! What evidence is made of, from a vault: everything against the vault's one checkpoint, and nothing asked of a server.

use std::sync::Arc;

use crate::base::record::Record;
use crate::chain::authority::ErasureStatement;
use crate::chain::tlog_proof::TlogProof;
use crate::ledger::{LedgerError, checked_path};
use crate::store::Store;

use super::super::evidence::build::{LogEntry, Material, RawRecord};
use super::super::granted::Granted;
use super::{Vault, VaultError, View};

impl Vault {
    /// Hands over the material of some records, ascending and each once; `granted` is [`Vault::granted`] of whoever opens them.
    pub fn materials<E: From<VaultError>>(
        &self,
        view: &View,
        records: &[u64],
        granted: &Arc<Granted>,
        mut take: impl FnMut(Material) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut prover = self.prover(view);
        let mut orders = None;
        for record in records {
            let proof = prover.proof(*record).map_err(|e| self.ledger_fault(e))?;
            let stored = self.store.record(*record).map_err(VaultError::Store)?;
            let stored = stored.ok_or_else(|| self.damaged(format!("record {record} is missing")))?;
            let gone = matches!(Record::decode(&stored.record), Ok(Record::Erased(_)));
            let erasure = if gone { self.order_of(view, *record, &mut orders)? } else { None };
            let content = Some(RawRecord { header: stored.header, record: stored.record });
            take(Material { proof, content, erasure, granted: granted.clone() })?;
        }
        Ok(())
    }

    fn ledger_fault(&self, e: LedgerError) -> VaultError {
        match e {
            LedgerError::Store(e) => e.into(),
            e => self.damaged(e),
        }
    }

    /// The order that erased a record, with its proof.
    fn order_of(
        &self,
        view: &View,
        record: u64,
        orders: &mut Option<Vec<(u64, ErasureStatement)>>,
    ) -> Result<Option<LogEntry>, VaultError> {
        if orders.is_none() {
            *orders = Some(self.erasures()?);
        }
        let names_it = |(height, order): &&(u64, ErasureStatement)| {
            *height < view.as_of.blocks && order.records.iter().any(|r| r.contains(record))
        };
        let Some((height, _)) = orders.iter().flatten().find(names_it) else { return Ok(None) };
        let log = &view.log;
        let text = self.store.block_text(*height)?.and_then(|t| String::from_utf8(t).ok());
        let text = text.ok_or_else(|| self.damaged(format!("block {height} is missing")))?;
        let path = checked_path(&*self.store, &self.at_hand, log, *height, text.as_bytes())
            .map_err(|e| self.damaged(e))?;
        let checkpoint = view.as_of.checkpoint.clone();
        let log_proof = TlogProof { extra: None, index: *height, path, checkpoint }.to_string();
        Ok(Some(LogEntry { text, log_proof }))
    }
}

#[cfg(test)]
#[path = "material_tests.rs"]
mod tests;
