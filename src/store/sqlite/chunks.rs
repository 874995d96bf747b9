//! Long byte strings (a block's body, its leaf inputs) as a row per chunk.
//!
//! One blob per block would do for writing. But SQLite keeps a blob as a chain of pages and walks it from
//! its start, so that one record in the middle of a 64 MB body would cost reading half of it.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::schema::{PAGE_BYTES, ROW_BYTES};
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_STORED_BYTES};
use crate::base::record::LEAF_INPUTS_LEN;

/// Full overflow pages per chunk.
const CHUNK_PAGES: usize = 65536 / PAGE_BYTES;
/// Bytes per chunk: what fills the overflow pages exactly and leaves in the tree's leaf page the least
/// SQLite allows there (<https://sqlite.org/fileformat2.html#b_tree_pages>: M = (U-12)*32/255-23), so that
/// no page is left half empty.
pub(super) const CHUNK_BYTES: usize = CHUNK_PAGES * (PAGE_BYTES - 4) + (PAGE_BYTES - 12) * 32 / 255 - 23;
/// The same for leaf inputs: whole ones, as many as one page of the tree holds. A proof reads 32 of them
/// (`chain::tree::LEAVES_PER_NODE`) somewhere in the file, and each further page would be another wait for the disk.
const LEAVES_BYTES: usize = ROW_BYTES / LEAF_INPUTS_LEN * LEAF_INPUTS_LEN;
/// Row key of a chunk: height ‖ chunk number in this many bits.
const CHUNK_BITS: u32 = 12;

// The largest body and the most leaf inputs must fit the chunk number.
const _: () = assert!(MAX_BATCH_BYTES / CHUNK_BYTES < 1 << CHUNK_BITS);
const _: () = assert!(MAX_BATCH_RECORDS * LEAF_INPUTS_LEN / LEAVES_BYTES < 1 << CHUNK_BITS);

/// A table of chunked byte strings, keyed by block height.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkTable {
    chunk_bytes: usize,
    /// Most bytes under one height.
    most: usize,
    /// Whether rows may have become shorter.
    shrinks: bool,
    insert: &'static str,
    update: &'static str,
    lengths: &'static str,
    one: &'static str,
    all: &'static str,
}

macro_rules! chunk_table {
    ($table:literal, $chunk_bytes:expr, $most:expr, $shrinks:expr) => {
        ChunkTable {
            chunk_bytes: $chunk_bytes,
            most: $most,
            shrinks: $shrinks,
            insert: concat!("INSERT INTO ", $table, " (id, data) VALUES (?1, ?2)"),
            update: concat!("UPDATE ", $table, " SET data = ?2 WHERE id = ?1"),
            lengths: concat!(
                "SELECT id, length(data) FROM ",
                $table,
                " WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
            ),
            one: concat!("SELECT data FROM ", $table, " WHERE id = ?1"),
            all: concat!("SELECT data FROM ", $table, " WHERE id BETWEEN ?1 AND ?2 ORDER BY id"),
        }
    };
}

/// Leaf inputs, permanent.
pub(super) const LEAVES: ChunkTable =
    chunk_table!("leaf_chunk", LEAVES_BYTES, MAX_BATCH_RECORDS * LEAF_INPUTS_LEN, false);
/// Batch bodies, erasable.
pub(super) const BODIES: ChunkTable = chunk_table!("body_chunk", CHUNK_BYTES, MAX_STORED_BYTES, true);

/// The rows under a height.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rows {
    pub(super) count: u64,
    /// Numbered from 0 on, and none but the last shorter than it may be.
    pub(super) in_order: bool,
}

fn key(height: i64, chunk: usize) -> i64 {
    (height << CHUNK_BITS) | chunk as i64
}

/// Bytes of a row's payload in the tree's leaf page, for a blob of this length; the rest lies in overflow pages.
/// <https://sqlite.org/fileformat2.html#b_tree_pages>, table leaf cells: X = U-35, M = (U-12)*32/255-23.
fn local_bytes(length: usize) -> usize {
    const MOST: usize = PAGE_BYTES - 35;
    const LEAST: usize = (PAGE_BYTES - 12) * 32 / 255 - 23;
    // Record header: its own length, NULL for the key, and 12 + 2·length as a variable-length integer for the blob.
    let payload = length + 3 + usize::from(length >= 58) + usize::from(length >= 8186);
    if payload <= MOST {
        return payload;
    }
    let local = LEAST + (payload - LEAST) % (PAGE_BYTES - 4);
    if local <= MOST { local } else { LEAST }
}

/// The shortest length not below `wanted` that a row of `length` can be cut to without growing in the tree's leaf page.
fn shorter(length: usize, wanted: usize) -> usize {
    // Within one overflow page a length comes with nothing but the least in the leaf page, so this ends soon.
    (wanted..length).find(|n| local_bytes(*n) <= local_bytes(length)).unwrap_or(length)
}

impl ChunkTable {
    /// Stores `bytes` under `height`; nothing at all if there are none.
    pub(super) fn write(self, conn: &Connection, height: i64, bytes: &[u8]) -> Result<()> {
        let mut insert = conn.prepare_cached(self.insert)?;
        for (n, chunk) in bytes.chunks(self.chunk_bytes).enumerate() {
            insert.execute(params![key(height, n), chunk])?;
        }
        Ok(())
    }

    /// Writes `bytes`, which must not be longer, over what is under `height`, so that no copy of the old bytes is left in the
    /// file. What [`ChunkTable::read_all`] gives may then end in some zero bytes that are not part of `bytes`.
    ///
    /// With `secure_delete` SQLite overwrites what it frees. But when rows are moved to another page, or within one, copies
    /// of them can stay behind in the page's unused space, and a row erased later would still be readable there. So no row may
    /// ever move: rows are only added at the end of the table, and here each either keeps its length, which overwrites it in
    /// place, or gets so short that what lies in the tree's page does not grow. Rows are not deleted for the same reason; the
    /// empty ones that stay cost some ten bytes each.
    pub(super) fn overwrite(self, conn: &Connection, height: i64, bytes: &[u8]) -> Result<()> {
        let mut select = conn.prepare_cached(self.lengths)?;
        let rows =
            select.query_map([key(height, 0), key(height + 1, 0) - 1], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let rows: Vec<(i64, usize)> = rows.collect::<Result<_>>()?;
        let mut update = conn.prepare_cached(self.update)?;
        let mut rest = bytes;
        for (id, length) in rows {
            let (now, later) = rest.split_at(rest.len().min(length));
            let mut chunk = now.to_vec();
            chunk.resize(shorter(length, now.len()), 0);
            update.execute(params![id, chunk])?;
            rest = later;
        }
        // The caller broke the rule, or rows are missing.
        if rest.is_empty() { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
    }

    /// How the rows under `height` are laid out.
    pub(super) fn rows(self, conn: &Connection, height: i64) -> Result<Rows> {
        let mut select = conn.prepare_cached(self.lengths)?;
        let mut rows = select.query([key(height, 0), key(height + 1, 0) - 1])?;
        let mut found = Rows { count: 0, in_order: true };
        let mut last_full = true;
        while let Some(row) = rows.next()? {
            let (id, length): (i64, usize) = (row.get(0)?, row.get(1)?);
            let before_full = std::mem::replace(&mut last_full, length == self.chunk_bytes || self.shrinks);
            found.in_order &=
                id == key(height, 0) + found.count as i64 && before_full && length <= self.chunk_bytes;
            found.count += 1;
        }
        Ok(found)
    }

    /// All bytes under `height`; empty if there are none. If there are more than any block has, some more than that.
    pub(super) fn read_all(self, conn: &Connection, height: i64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.each(conn, height, |chunk| {
            out.extend_from_slice(chunk);
            out.len() <= self.most
        })?;
        Ok(out)
    }

    /// Gives the chunks under `height` in order, for as long as `take` wants more.
    pub(super) fn each(
        self,
        conn: &Connection,
        height: i64,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let mut select = conn.prepare_cached(self.all)?;
        let mut rows = select.query([key(height, 0), key(height + 1, 0) - 1])?;
        while let Some(row) = rows.next()? {
            if !take(row.get_ref(0)?.as_blob()?) {
                break;
            }
        }
        Ok(())
    }

    /// Appends bytes `offset..offset + len` to `out`: fewer if the string ends before, which it does where the longest would.
    /// Reads only the chunks they lie in.
    pub(super) fn read(
        self,
        conn: &Connection,
        height: i64,
        offset: usize,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut select = conn.prepare_cached(self.one)?;
        let (mut at, end) = (offset, offset.saturating_add(len).min(MAX_STORED_BYTES));
        while at < end {
            let (chunk, start) = (at / self.chunk_bytes, at % self.chunk_bytes);
            // The next key is that of another height.
            if chunk >= 1 << CHUNK_BITS {
                break;
            }
            let n = (end - at).min(self.chunk_bytes - start);
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
    fn a_row_is_cut_so_that_it_does_not_grow_in_its_page() {
        let lengths =
            [0, 57, 8185, 8186, 16_343, 16_344, 16_345, 20_000, 40_000, CHUNK_BYTES - 1, CHUNK_BYTES];
        for length in lengths {
            for wanted in (0..length).step_by(977).chain([length]) {
                let cut = shorter(length, wanted);
                assert!((wanted..=length).contains(&cut) && cut - wanted <= PAGE_BYTES, "{length} {wanted}");
                assert!(local_bytes(cut) <= local_bytes(length), "{length} {wanted}");
            }
            assert_eq!(shorter(length, 0), 0);
        }
        // Leaf inputs stay in their page whole, and as many as fit it.
        assert_eq!(local_bytes(LEAVES_BYTES), LEAVES_BYTES + 5);
        assert!(local_bytes(LEAVES_BYTES + LEAF_INPUTS_LEN) < LEAVES_BYTES);
        // A full chunk has the least in its leaf page, to within the header.
        assert!(local_bytes(CHUNK_BYTES) < 2100);
    }

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

    #[test]
    fn what_is_read_of_one_height_is_bounded() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE body_chunk (id INTEGER PRIMARY KEY, data BLOB);
            CREATE TABLE leaf_chunk (id INTEGER PRIMARY KEY, data BLOB)",
        )
        .unwrap();
        // More than any batch has.
        BODIES.write(&conn, 7, &vec![1; MAX_STORED_BYTES + 3 * CHUNK_BYTES]).unwrap();
        let all = BODIES.read_all(&conn, 7).unwrap();
        assert!((MAX_STORED_BYTES..=MAX_STORED_BYTES + CHUNK_BYTES).contains(&all.len()), "{}", all.len());
        drop(all);
        let mut out = Vec::new();
        BODIES.read(&conn, 7, 0, usize::MAX, &mut out).unwrap();
        assert_eq!(out.len(), MAX_STORED_BYTES);
        const MOST: usize = MAX_BATCH_RECORDS * LEAF_INPUTS_LEN;
        LEAVES.write(&conn, 6, &vec![3; 2 * MOST]).unwrap();
        let all = LEAVES.read_all(&conn, 6).unwrap().len();
        assert!((MOST..=MOST + LEAVES_BYTES).contains(&all), "{all}");
        // As many chunks as a height has keys for: behind the last begins another one.
        let last = (1 << CHUNK_BITS) - 1;
        conn.execute("INSERT INTO leaf_chunk VALUES (?1, zeroblob(?2))", params![key(7, last), LEAVES_BYTES])
            .unwrap();
        LEAVES.write(&conn, 8, &vec![2; LEAVES_BYTES]).unwrap();
        for (at, given) in [(last * LEAVES_BYTES, LEAVES_BYTES), ((last + 1) * LEAVES_BYTES, 0)] {
            out.clear();
            LEAVES.read(&conn, 7, at, 2 * LEAVES_BYTES, &mut out).unwrap();
            assert_eq!(out, vec![0; given], "{at}");
        }
    }
}
