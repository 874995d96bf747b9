//! Long byte strings (a block's body, its leaf inputs) as a row per chunk.
//!
//! One blob per block would do for writing. But SQLite keeps a blob as a chain of pages and walks it from
//! its start, so that one record in the middle of a 64 MB body would cost reading half of it.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::schema::PAGE_BYTES;

/// Full overflow pages per chunk.
const CHUNK_PAGES: usize = 65536 / PAGE_BYTES;
/// Bytes per chunk: what fills the overflow pages exactly and leaves in the tree's leaf page the least
/// SQLite allows there (<https://sqlite.org/fileformat2.html#b_tree_pages>: M = (U-12)*32/255-23), so that
/// no page is left half empty.
pub(super) const CHUNK_BYTES: usize = CHUNK_PAGES * (PAGE_BYTES - 4) + (PAGE_BYTES - 12) * 32 / 255 - 23;
/// Row key of a chunk: height ‖ chunk number in this many bits.
const CHUNK_BITS: u32 = 12;

// The largest body must fit the chunk number.
const _: () = assert!(crate::base::limits::MAX_BATCH_BYTES / CHUNK_BYTES < 1 << CHUNK_BITS);

/// A table of chunked byte strings, keyed by block height.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkTable {
    insert: &'static str,
    one: &'static str,
    all: &'static str,
}

macro_rules! chunk_table {
    ($table:literal) => {
        ChunkTable {
            insert: concat!("INSERT INTO ", $table, " (id, data) VALUES (?1, ?2)"),
            one: concat!("SELECT data FROM ", $table, " WHERE id = ?1"),
            all: concat!("SELECT data FROM ", $table, " WHERE id BETWEEN ?1 AND ?2 ORDER BY id"),
        }
    };
}

/// Leaf inputs, permanent.
pub(super) const LEAVES: ChunkTable = chunk_table!("leaf_chunk");
/// Batch bodies, erasable.
pub(super) const BODIES: ChunkTable = chunk_table!("body_chunk");

fn key(height: i64, chunk: usize) -> i64 {
    (height << CHUNK_BITS) | chunk as i64
}

impl ChunkTable {
    /// Stores `bytes` under `height`; nothing at all if there are none.
    pub(super) fn write(self, conn: &Connection, height: i64, bytes: &[u8]) -> Result<()> {
        let mut insert = conn.prepare_cached(self.insert)?;
        for (n, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            insert.execute(params![key(height, n), chunk])?;
        }
        Ok(())
    }

    /// All bytes under `height`; empty if there are none.
    pub(super) fn read_all(self, conn: &Connection, height: i64) -> Result<Vec<u8>> {
        let mut select = conn.prepare_cached(self.all)?;
        let mut rows = select.query([key(height, 0), key(height + 1, 0) - 1])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.extend_from_slice(row.get_ref(0)?.as_blob()?);
        }
        Ok(out)
    }

    /// Appends bytes `offset..offset + len` to `out`: fewer if the string ends before. Reads only the
    /// chunks they lie in.
    pub(super) fn read(
        self,
        conn: &Connection,
        height: i64,
        offset: usize,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut select = conn.prepare_cached(self.one)?;
        let (mut at, end) = (offset, offset.saturating_add(len));
        while at < end {
            let (chunk, start) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let n = (end - at).min(CHUNK_BYTES - start);
            let took = select
                .query_row([key(height, chunk)], |row| {
                    let data = row.get_ref(0)?.as_blob()?;
                    let part = data.get(start..).unwrap_or_default();
                    let part = part.get(..n).unwrap_or(part);
                    out.extend_from_slice(part);
                    Ok(part.len())
                })
                .optional()?;
            if took != Some(n) {
                break;
            }
            at += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges_across_chunks_and_the_end() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE body_chunk (id INTEGER PRIMARY KEY, data BLOB)").unwrap();
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|i| (i * 31 / 7) as u8).collect();
        BODIES.write(&conn, 6, b"before").unwrap();
        BODIES.write(&conn, 7, &bytes).unwrap();
        BODIES.write(&conn, 8, b"after").unwrap();
        assert_eq!(BODIES.read_all(&conn, 7).unwrap(), bytes);
        assert_eq!(BODIES.read_all(&conn, 9).unwrap(), b"");
        for (at, len) in
            [(0, 1), (CHUNK_BYTES - 1, 2), (5, 2 * CHUNK_BYTES), (3 * CHUNK_BYTES, 5), (3 * CHUNK_BYTES, 6)]
        {
            let mut out = Vec::new();
            BODIES.read(&conn, 7, at, len, &mut out).unwrap();
            assert_eq!(out, &bytes[at..bytes.len().min(at + len)], "{at} {len}");
        }
        let mut out = Vec::new();
        BODIES.read(&conn, 7, bytes.len() + CHUNK_BYTES, 1, &mut out).unwrap();
        assert_eq!(out, b"");
    }
}
