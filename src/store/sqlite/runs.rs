//! A look-up index as sorted runs: every append writes its entries as one sorted run, and
//! [`prepare_merge`] turns many small runs into few large ones when there is time. A B-tree with a
//! row per record slows down twenty-fold within two million records, because every entry of an
//! append lands on another page.
//!
//! An entry is an 8-byte key and a record index. What the key is depends on the index kind; this module
//! does not care. Entries of a run are packed into rows of about half a page; those of tags into rows of a whole one.
//!
//! A tag must be able to leave the file when its record is erased. Removing it means writing its run anew without it and
//! deleting the old rows, which `secure_delete` overwrites. But deleting rows makes SQLite move others, from page to page and
//! within a page, and copies of those stay behind in unused space. A row that fills its page alone is never moved within it,
//! and when it goes to another page its old one is freed, and so overwritten, whole.

use rusqlite::{Connection, Result, params};

use super::schema::PAGE_BYTES;

/// Index kind: the first 8 bytes of the ciphertext hash.
pub(super) const KIND_CIPHERTEXT: i64 = 1;
/// Index kind: blind tags.
pub(super) const KIND_TAG: i64 = 2;
/// Every index kind.
pub(super) const KINDS: [i64; 2] = [KIND_CIPHERTEXT, KIND_TAG];

/// Bytes per stored entry: 8 of key, 5 of record index.
pub(super) const ENTRY_BYTES: usize = 13;
/// Entries per row. Two rows fill a page: a row is what a look-up reads, an overflow page would be a second.
const HALF_PAGE_ENTRIES: usize = (PAGE_BYTES / 2 - 20) / ENTRY_BYTES;
/// Length of a row that leaves no room for another in its page, in bytes, and has no overflow page: the largest payload
/// <https://sqlite.org/fileformat2.html#b_tree_pages> (X = U-35) less 5 bytes of record header.
const PAGE_ROW_BYTES: usize = PAGE_BYTES - 35 - 5;
/// Entries per such row.
const PAGE_ENTRIES: usize = PAGE_ROW_BYTES / ENTRY_BYTES;
// What is left of a page, 8 bytes of its header and 13 of this row's cell taken off, must not hold a cell of one entry: 4 bytes
// of record header, at least 4 of cell, 2 of cell pointer.
const _: () = assert!(PAGE_BYTES - 8 - PAGE_ROW_BYTES - 5 - 2 - 2 - 3 < ENTRY_BYTES + 4 + 4 + 2);
/// Row key of a chunk: run number ‖ chunk number in this many bits.
const CHUNK_BITS: u32 = 20;
/// Runs of one tier that are merged into one of the next.
const FANOUT: usize = 16;
/// Most entries one merge writes, so that appends wait less than 50 ms for it (measured: 12 ms per 2^18). Runs too large to be merged
/// within it stay as they are: each costs a look-up some 5 µs.
pub(super) const MERGE_MAX_ENTRIES: usize = 1 << 19;
/// Tier of runs that are never merged again.
const FINAL_TIER: i64 = 99;

/// Key ‖ record index, which sorts as the stored bytes do.
pub(super) type Entry = u128;

/// The entry for a key and a record index below 2^40.
pub(super) fn entry(key: u64, record: u64) -> Entry {
    (Entry::from(key) << 64) | Entry::from(record)
}

fn encode(entries: &[Entry], out: &mut Vec<u8>) {
    out.clear();
    for e in entries {
        let b = e.to_be_bytes();
        out.extend_from_slice(&b[..8]);
        out.extend_from_slice(&b[11..]);
    }
}

fn decode(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(decode_one)
}

fn decode_one(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    let mut b = [0; 16];
    let (key, record) = bytes.split_at(8);
    b[..8].copy_from_slice(key);
    b[11..].copy_from_slice(record);
    Entry::from_be_bytes(b)
}

/// One stored run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    id: i64,
    kind: i64,
    tier: i64,
    entries: usize,
}

/// Entries per row of a kind.
fn chunk_entries(kind: i64) -> usize {
    if kind == KIND_TAG { PAGE_ENTRIES } else { HALF_PAGE_ENTRIES }
}

impl Run {
    fn chunks(&self) -> usize {
        self.entries.div_ceil(chunk_entries(self.kind))
    }

    /// Bytes of the entries in a chunk; what follows them is zero.
    fn chunk_bytes(&self, chunk: usize) -> usize {
        let each = chunk_entries(self.kind);
        self.entries.saturating_sub(chunk * each).min(each) * ENTRY_BYTES
    }

    fn chunk_key(&self, chunk: usize) -> i64 {
        (self.id << CHUNK_BITS) | chunk as i64
    }
}

/// The runs of a kind, oldest first.
fn list(conn: &Connection, kind: i64) -> Result<Vec<Run>> {
    conn.prepare_cached("SELECT id, tier, entries FROM run WHERE kind = ?1 ORDER BY id")?
        .query_map([kind], |r| Ok(Run { id: r.get(0)?, kind, tier: r.get(1)?, entries: r.get(2)? }))?
        .collect()
}

/// Number of runs of a kind and of entries in them.
pub(super) fn totals(conn: &Connection, kind: i64) -> Result<(u64, u64)> {
    let sql = "SELECT count(*), ifnull(sum(entries), 0) FROM run WHERE kind = ?1";
    conn.prepare_cached(sql)?.query_row([kind], |r| Ok((r.get(0)?, r.get(1)?)))
}

/// Stores `entries`, which must be sorted, as a new run of the lowest tier.
pub(super) fn add(conn: &Connection, kind: i64, entries: &[Entry]) -> Result<()> {
    add_to_tier(conn, kind, 0, entries)
}

/// Stores a run made by a rebuild: as large as may be, never merged.
pub(super) fn add_final(conn: &Connection, kind: i64, entries: &[Entry]) -> Result<()> {
    add_to_tier(conn, kind, FINAL_TIER, entries)
}

fn add_to_tier(conn: &Connection, kind: i64, tier: i64, entries: &[Entry]) -> Result<()> {
    debug_assert!(entries.is_sorted());
    if entries.is_empty() {
        return Ok(());
    }
    conn.prepare_cached("INSERT INTO run (kind, tier, entries) VALUES (?1, ?2, ?3)")?.execute(params![
        kind,
        tier,
        entries.len()
    ])?;
    let run = Run { id: conn.last_insert_rowid(), kind, tier, entries: entries.len() };
    let mut insert = conn.prepare_cached("INSERT INTO run_chunk (id, data) VALUES (?1, ?2)")?;
    let mut bytes = Vec::with_capacity(PAGE_ROW_BYTES);
    for (n, chunk) in entries.chunks(chunk_entries(kind)).enumerate() {
        encode(chunk, &mut bytes);
        if kind == KIND_TAG {
            bytes.resize(PAGE_ROW_BYTES, 0);
        }
        insert.execute(params![run.chunk_key(n), bytes])?;
    }
    Ok(())
}

/// Deletes all runs of a kind.
pub(super) fn clear(conn: &Connection, kind: i64) -> Result<()> {
    for run in list(conn, kind)? {
        delete(conn, &run)?;
    }
    Ok(())
}

fn delete(conn: &Connection, run: &Run) -> Result<()> {
    conn.prepare_cached("DELETE FROM run_chunk WHERE id BETWEEN ?1 AND ?2")?
        .execute([run.chunk_key(0), run.chunk_key(run.chunks())])?;
    conn.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run.id])?;
    Ok(())
}

/// Removes entries: for each block a list of its own. The runs that hold them are written anew without them. The entries of a
/// block came in one run and are in one run still, so that the first of them tells which.
pub(super) fn remove(conn: &Connection, kind: i64, blocks: &[Vec<Entry>]) -> Result<()> {
    let runs = list(conn, kind)?;
    let mut hits: Vec<Vec<Entry>> = vec![Vec::new(); runs.len()];
    let mut last = 0;
    for entries in blocks {
        let Some(first) = entries.first() else { continue };
        // Blocks that follow each other are mostly in the same run.
        for at in std::iter::once(last).chain(0..runs.len()) {
            let (Some(run), Some(hit)) = (runs.get(at), hits.get_mut(at)) else { continue };
            if contains(conn, run, *first)? {
                hit.extend_from_slice(entries);
                last = at;
                break;
            }
        }
    }
    for (run, mut gone) in runs.iter().zip(hits).filter(|(_, gone)| !gone.is_empty()) {
        gone.sort_unstable();
        let mut kept = read_sorted(conn, std::slice::from_ref(run))?;
        kept.retain(|e| gone.binary_search(e).is_err());
        delete(conn, run)?;
        add_to_tier(conn, kind, run.tier, &kept)?;
    }
    Ok(())
}

fn contains(conn: &Connection, run: &Run, entry: Entry) -> Result<bool> {
    let mut found = Vec::new();
    Search { conn, run, bound: entry, limit: 1 }.run(&mut found)?;
    Ok(found == [entry as u64])
}

/// The records of `key` from record `from` on, ascending: at most `limit`, and then the lowest ones.
pub(super) fn find(conn: &Connection, kind: i64, key: u64, from: u64, limit: usize) -> Result<Vec<u64>> {
    let mut records = Vec::new();
    for run in list(conn, kind)? {
        Search { conn, run: &run, bound: entry(key, from), limit }.run(&mut records)?;
    }
    // Merged runs have newer numbers than the small ones of later records.
    records.sort_unstable();
    records.truncate(limit);
    Ok(records)
}

/// One look-up in one run.
struct Search<'a> {
    conn: &'a Connection,
    run: &'a Run,
    /// The key, and the lowest record wanted.
    bound: Entry,
    limit: usize,
}

impl Search<'_> {
    /// Appends what is found.
    ///
    /// Keys are hashes, so the place of one can be guessed from its value; every second step halves the range
    /// instead, which bounds the number of steps for any keys.
    fn run(&self, out: &mut Vec<u64>) -> Result<()> {
        let (mut start, mut end) = (0, self.run.chunks());
        let (mut least, mut most) = (0, u64::MAX);
        let (mut halve, key, empty) = (false, (self.bound >> 64) as u64, out.len());
        while start < end {
            let middle = match halve {
                true => start + (end - start) / 2,
                false => {
                    let part = u128::from(key.saturating_sub(least)) * (end - start) as u128;
                    start + (part / u128::from((most - least).max(1))) as usize
                }
            }
            .min(end - 1);
            halve = !halve;
            match read_chunk(self.conn, self.run, middle, |data| self.matches(data, out, empty))? {
                Matches::AllBelow(last) => (start, least) = (middle + 1, last),
                // The chunk before may hold some too, unless it is known to be below.
                Matches::FromStart(first) if middle > start => {
                    out.truncate(empty);
                    (end, most) = (middle, first);
                }
                Matches::FromStart(_) | Matches::Inside => return self.further(middle + 1, out, empty),
            }
        }
        self.further(end, out, empty)
    }

    /// Appends what is found from chunk `chunk` on, as long as it reaches the start of a chunk.
    fn further(&self, chunk: usize, out: &mut Vec<u64>, empty: usize) -> Result<()> {
        for chunk in chunk..self.run.chunks() {
            let before = out.len();
            if before - empty >= self.limit {
                break;
            }
            read_chunk(self.conn, self.run, chunk, |data| self.matches(data, out, empty))?;
            if out.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Appends the records of one chunk.
    fn matches(&self, data: &[u8], out: &mut Vec<u64>, empty: usize) -> Matches {
        let (entries, _) = data.as_chunks::<ENTRY_BYTES>();
        let key_of = |e: &[u8; ENTRY_BYTES]| (decode_one(e) >> 64) as u64;
        let key = (self.bound >> 64) as u64;
        let below = entries.partition_point(|e| decode_one(e) < self.bound);
        let equal = entries.iter().skip(below).take_while(|e| key_of(e) == key);
        let room = self.limit.saturating_sub(out.len() - empty);
        out.extend(equal.take(room).map(|e| decode_one(e) as u64));
        match (entries.first(), entries.last()) {
            (Some(first), Some(_)) if below == 0 => Matches::FromStart(key_of(first)),
            (_, Some(last)) if below == entries.len() => Matches::AllBelow(key_of(last)),
            _ => Matches::Inside,
        }
    }
}

/// How the entries of a chunk compare with what is looked for.
enum Matches {
    /// All are below; this is the last one's key.
    AllBelow(u64),
    /// None is below; this is the first one's key.
    FromStart(u64),
    /// Some are below, some not.
    Inside,
}

fn read_chunk<T>(conn: &Connection, run: &Run, chunk: usize, f: impl FnOnce(&[u8]) -> T) -> Result<T> {
    conn.prepare_cached("SELECT data FROM run_chunk WHERE id = ?1")?.query_row(
        [run.chunk_key(chunk)],
        |row| {
            let data = row.get_ref(0)?.as_blob()?;
            Ok(f(data.get(..run.chunk_bytes(chunk)).unwrap_or(data)))
        },
    )
}

/// The next step of merging, read and sorted but not written.
pub(super) enum Merge {
    /// Replace these runs of a kind by one of the next tier with these entries.
    Replace { kind: i64, inputs: Vec<Run>, output: Vec<Entry> },
    /// This run is too large to be merged with the next one.
    Keep(Run),
}

/// Reads and sorts the next group of runs worth merging; `None` if there is none. Runs never change, so
/// this needs no lock, only a connection; nobody else may merge until [`finish_merge`].
pub(super) fn prepare_merge(conn: &Connection, kind: i64) -> Result<Option<Merge>> {
    let runs = list(conn, kind)?;
    let is_full = |tier: &i64| runs.iter().filter(|r| r.tier == *tier).count() >= FANOUT;
    let tiers = runs.iter().map(|r| r.tier).filter(|t| *t < FINAL_TIER);
    let Some(tier) = tiers.filter(is_full).min() else { return Ok(None) };
    let mut total = 0;
    let fits = |r: &Run| {
        total += r.entries;
        total <= MERGE_MAX_ENTRIES
    };
    let mut group = runs.into_iter().filter(|r| r.tier == tier).take(FANOUT).peekable();
    let oldest = group.peek().cloned();
    let inputs: Vec<Run> = group.take_while(fits).collect();
    match oldest {
        Some(run) if inputs.len() < 2 => Ok(Some(Merge::Keep(run))),
        _ => Ok(Some(Merge::Replace { kind, output: read_sorted(conn, &inputs)?, inputs })),
    }
}

fn read_sorted(conn: &Connection, runs: &[Run]) -> Result<Vec<Entry>> {
    let mut all = Vec::with_capacity(runs.iter().map(|r| r.entries).sum());
    for run in runs {
        for chunk in 0..run.chunks() {
            read_chunk(conn, run, chunk, |data| all.extend(decode(data)))?;
        }
    }
    // The stable sort recognises sorted stretches and merges them.
    all.sort();
    Ok(all)
}

/// Writes the step down, inside the caller's transaction.
pub(super) fn finish_merge(conn: &Connection, merge: &Merge) -> Result<()> {
    match merge {
        Merge::Keep(run) => {
            let sql = "UPDATE run SET tier = ?2 WHERE id = ?1";
            conn.prepare_cached(sql)?.execute([run.id, FINAL_TIER])?;
        }
        Merge::Replace { kind, inputs, output } => {
            for run in inputs {
                delete(conn, run)?;
            }
            add_to_tier(conn, *kind, inputs.first().map_or(FINAL_TIER, |r| r.tier + 1), output)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
