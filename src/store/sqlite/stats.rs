//! How large everything is.

use std::path::Path;

use rusqlite::OptionalExtension;

use super::super::{StoreError, StoreStats};
use super::log::WAL;
use super::runs::{self, KIND_TAG, KINDS};
use super::{SqliteStore, index};
use crate::base::paths::beside;
use crate::base::record::LEAF_INPUTS_LEN;

/// What takes room in a database file beside the blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Space {
    /// Bytes of pages that are free: overwritten, and used again by the next appends.
    pub free_bytes: u64,
    /// Bytes of the log's tiles.
    pub tile_bytes: u64,
    /// Bytes of the nodes of block trees.
    pub node_bytes: u64,
    /// Bytes of other derived values.
    pub other_bytes: u64,
}

impl SqliteStore {
    /// What [`Store::stats`](super::super::Store::stats) does not say apart.
    pub fn space(&self) -> Result<Space, StoreError> {
        self.pool.read(|tx| {
            let pragma = |name| tx.pragma_query_value(None, name, |r| r.get::<_, u64>(0));
            let free_bytes = pragma("freelist_count")? * pragma("page_size")?;
            let sql = "SELECT ifnull(sum(length(value)) FILTER (WHERE key GLOB 'tile/*'), 0),
                ifnull(sum(length(value)) FILTER (WHERE key GLOB 'nodes/*'), 0),
                ifnull(sum(length(value)), 0) FROM derived";
            let (tile_bytes, node_bytes, all): (u64, u64, u64) =
                tx.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            let other_bytes = all.saturating_sub(tile_bytes + node_bytes);
            Ok(Space { free_bytes, tile_bytes, node_bytes, other_bytes })
        })
    }

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
        stats.wal_bytes = size(&beside(&self.path, WAL));
        Ok(stats)
    }
}
