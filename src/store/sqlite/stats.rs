//! How large everything is.

use std::path::Path;

use rusqlite::OptionalExtension;

use super::super::{StoreError, StoreStats};
use super::open::beside;
use super::runs::{self, KIND_TAG, KINDS};
use super::{SqliteStore, index};
use crate::base::record::LEAF_INPUTS_LEN;

impl SqliteStore {
    /// See [`Store::stats`](super::super::Store::stats).
    pub(super) fn read_stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = self.pool.read(|tx| {
            let mut s = StoreStats::default();
            let sql = "SELECT size, records, text_bytes, body_bytes, stored_body_bytes FROM head";
            let sizes: Option<(u64, u64, u64, u64, u64)> = tx
                .prepare_cached(sql)?
                .query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
                .optional()?;
            (s.blocks, s.records, s.text_bytes, s.body_bytes, s.stored_body_bytes) =
                sizes.unwrap_or_default();
            s.leaf_bytes = s.records.saturating_mul(LEAF_INPUTS_LEN as u64);
            let sql = "SELECT count(*), ifnull(sum(length(value)), 0) FROM derived";
            (s.derived_rows, s.derived_bytes) =
                tx.prepare_cached(sql)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            for kind in KINDS {
                let (runs, chunks) = runs::totals(tx, kind)?;
                s.index_runs += runs;
                s.index_bytes += runs::bytes(chunks);
                s.index_tag_bytes += if kind == KIND_TAG { runs::bytes(chunks) } else { 0 };
            }
            s.tail_records = s.records.saturating_sub(index::state(tx)?.covered);
            Ok(s)
        })?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        stats.file_bytes = size(&self.path);
        stats.wal_bytes = size(&beside(&self.path, "-wal"));
        Ok(stats)
    }
}
