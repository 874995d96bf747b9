//! A look-up index as sorted runs. A run holds the entries of a stretch of records, sorted by key; runs of neighbouring stretches
//! are merged (`runs_merge.rs`), so that there are few. A B-tree with a row per entry slows down twenty-fold within two million
//! records, because every entry of an append lands on another page.
//!
//! An entry is a key and a record index. What the key is depends on the index kind; this module does not care. Which records
//! a run covers follows from the blocks alone, never from timing: the same blocks give the same runs, byte for byte.
//!
//! A tag must be able to leave the file when its record is erased. Its row is then coded anew without it and written in place.
//! Rows are deleted when runs are merged, and deleting makes SQLite move others, from page to page and within a page;
//! copies of those stay behind in unused space. A row that fills its page alone is never moved within it, and when it goes to
//! another page its old one is freed, and so overwritten, whole.

use std::cmp::Ordering;

use rusqlite::{Connection, Error, OptionalExtension, Result, params};

use super::runs_codec::{Chunk, Damaged, Entry, Layout, Packer, entry, key_of, record_of, seal};
use super::runs_hints::Hints;
use super::schema::ROW_BYTES;

/// Index kind: the first 4 bytes of the ciphertext hash. More would only make the index larger: what is found is compared with
/// the whole hash, and among 16 million records one in 250 look-ups reads one more than it needs.
pub(super) const KIND_CIPHERTEXT: i64 = 1;
/// Index kind: blind tags, all 8 bytes, so that a search need not read the records it finds.
pub(super) const KIND_TAG: i64 = 2;
/// Every index kind.
pub(super) const KINDS: [i64; 2] = [KIND_CIPHERTEXT, KIND_TAG];

/// Row key of a chunk: run number ‖ chunk number in this many bits. The largest run has 16 million records with 255 tags.
pub(super) const CHUNK_BITS: u32 = 24;
/// Tier of runs that are to be deleted.
pub(super) const DEAD_TIER: i64 = -1;
/// Steps of a search around the guessed place before it halves what is left.
const GALLOP_STEPS: u32 = 5;

/// One stored run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: i64,
    pub(super) kind: i64,
    pub(super) tier: i64,
    /// The records it covers.
    pub(super) first: u64,
    pub(super) end: u64,
    /// The chunks that are there: merging takes them away from the front.
    pub(super) start: i64,
    pub(super) chunks: i64,
    /// How many of its chunks have entries.
    pub(super) live: i64,
    /// False while it is being merged from others, which hold what it lacks yet.
    pub(super) done: bool,
}

impl Run {
    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.kind == KIND_TAG, self.first, self.end)
    }

    pub(super) fn key(&self, chunk: i64) -> i64 {
        (self.id << CHUNK_BITS) | chunk
    }
}

/// An index that is not as it must be: [`fault`](super::fault::fault) makes [`StoreError::Corrupt`](super::StoreError) of it.
pub(super) fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::ToSqlConversionFailure(why.into())
}

impl From<Damaged> for Error {
    fn from(e: Damaged) -> Error {
        damaged(e)
    }
}

/// The runs of a kind: by first record, a run before those it is merged from.
pub(super) fn list(conn: &Connection, kind: i64) -> Result<Vec<Run>> {
    let runs = listed(conn, kind)?;
    // Rows that make no sense would make look-ups go round for ever.
    match runs.iter().find(|r| r.first >= r.end || r.start < 0 || r.start > r.chunks) {
        Some(run) => Err(damaged(format!("run {} of the index has impossible bounds", run.id))),
        None => Ok(runs),
    }
}

fn listed(conn: &Connection, kind: i64) -> Result<Vec<Run>> {
    let sql = "SELECT id, tier, first_record, end_record, start, chunks, live, done FROM run
        WHERE kind = ?1 AND tier >= 0 ORDER BY first_record, tier DESC";
    conn.prepare_cached(sql)?
        .query_map([kind], |r| {
            Ok(Run {
                id: r.get(0)?,
                kind,
                tier: r.get(1)?,
                first: r.get(2)?,
                end: r.get(3)?,
                start: r.get(4)?,
                chunks: r.get(5)?,
                live: r.get(6)?,
                done: r.get(7)?,
            })
        })?
        .collect()
}

/// Number of runs of a kind and of rows in them, those still to be deleted included.
pub(super) fn totals(conn: &Connection, kind: i64) -> Result<(u64, u64)> {
    let sql = "SELECT count(*), ifnull(sum(chunks - start), 0) FROM run WHERE kind = ?1";
    conn.prepare_cached(sql)?.query_row([kind], |r| Ok((r.get(0)?, r.get(1)?)))
}

/// Notes a new run without chunks.
pub(super) fn insert_run(conn: &Connection, run: &Run) -> Result<Run> {
    let sql = "INSERT INTO run (kind, tier, first_record, end_record, start, chunks, live, done)
        VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5)";
    conn.prepare_cached(sql)?.execute(params![run.kind, run.tier, run.first, run.end, run.done])?;
    Ok(Run { id: conn.last_insert_rowid(), start: 0, chunks: 0, live: 0, ..run.clone() })
}

/// Appends chunks to a run.
pub(super) fn push_chunks(conn: &Connection, run: &mut Run, rows: Vec<Vec<u8>>) -> Result<()> {
    let mut insert = conn.prepare_cached("INSERT INTO run_chunk (id, data) VALUES (?1, ?2)")?;
    for mut row in rows {
        let id = run.key(run.chunks);
        seal(&mut row, id);
        insert.execute(params![id, row])?;
        (run.chunks, run.live) = (run.chunks + 1, run.live + 1);
    }
    save(conn, run)
}

/// Writes down what of a run changes.
pub(super) fn save(conn: &Connection, run: &Run) -> Result<()> {
    let sql = "UPDATE run SET start = ?2, chunks = ?3, live = ?4, done = ?5, tier = ?6 WHERE id = ?1";
    let values = params![run.id, run.start, run.chunks, run.live, run.done, run.tier];
    conn.prepare_cached(sql)?.execute(values).map(drop)
}

/// Deletes the chunks of a run before chunk `to`.
pub(super) fn delete_chunks(conn: &Connection, run: &mut Run, to: i64) -> Result<()> {
    if to > run.start {
        conn.prepare_cached("DELETE FROM run_chunk WHERE id BETWEEN ?1 AND ?2")?
            .execute([run.key(run.start), run.key(to - 1)])?;
        run.start = to;
        save(conn, run)?;
    }
    Ok(())
}

/// Stores `entries`, sorted and of the records `first..end`, as a run of the lowest tier. One without entries is noted too: the
/// runs of a kind leave no record out.
pub(super) fn add(conn: &Connection, kind: i64, first: u64, end: u64, entries: &[Entry]) -> Result<()> {
    debug_assert!(entries.is_sorted());
    let new = Run { id: 0, kind, tier: 0, first, end, start: 0, chunks: 0, live: 0, done: true };
    let mut run = insert_run(conn, &new)?;
    let mut packer = Packer::new(run.layout());
    let mut rows = Vec::new();
    for e in entries {
        if !packer.push(*e) {
            rows.extend(packer.take());
            packer.push(*e);
        }
    }
    rows.extend(packer.take());
    push_chunks(conn, &mut run, rows)
}

/// Reads one chunk.
pub(super) fn read_chunk<T>(
    conn: &Connection,
    run: &Run,
    chunk: i64,
    f: impl FnOnce(Chunk<'_>) -> std::result::Result<T, Damaged>,
) -> Result<T> {
    let id = run.key(chunk);
    let found = conn
        .prepare_cached("SELECT data FROM run_chunk WHERE id = ?1")?
        .query_row([id], |row| Ok(f(Chunk::open(run.layout(), id, row.get_ref(0)?.as_blob()?)?)?))
        .optional()?;
    found.ok_or_else(|| damaged("a chunk of the look-up index is missing"))
}

/// The chunk in which `bound`, or what follows it, begins: the last one whose first entry is not above it, or the first chunk.
pub(super) fn locate(conn: &Connection, run: &Run, bound: Entry) -> Result<i64> {
    descend(conn, run, bound, &Hints::default(), |_| Ok(())).map(|(chunk, _)| chunk)
}

/// Goes to that chunk. If the bound is not beyond its last entry, `within` is called for it, so that it need not be read again.
///
/// Keys are hashes, so the place of one can be guessed from its value, and from what look-ups before have seen. From there the
/// search goes on in growing steps, and after a few of those halves what is left, which bounds the number of steps for any
/// keys. A guess is only ever where to look first: what is read decides.
fn descend<T>(
    conn: &Connection,
    run: &Run,
    bound: Entry,
    hints: &Hints,
    mut within: impl FnMut(Chunk<'_>) -> std::result::Result<T, Damaged>,
) -> Result<(i64, Option<T>)> {
    // Chunk `low` does not begin above the bound, or is before the first; chunk `high` does, or is beyond the last.
    let (mut low, mut high) = (run.start - 1, run.chunks);
    let mut guess = Some(hints.guess(run, bound));
    let (mut step, mut steps) = (1i64, 0u32);
    while high - low > 1 {
        steps += 1;
        let middle = guess.take().unwrap_or(low + (high - low) / 2).clamp(low + 1, high - 1);
        match side_from(conn, run, middle, high, bound, hints, &mut within)? {
            Some((at, Ordering::Equal, found)) => return Ok((at, found)),
            Some((at, Ordering::Greater, _)) => {
                low = at;
                guess = (steps <= GALLOP_STEPS).then(|| low.saturating_add(step));
            }
            _ => {
                high = middle;
                guess = (steps <= GALLOP_STEPS).then(|| high.saturating_sub(step));
            }
        }
        step *= 2;
    }
    Ok((low.max(run.start), None))
}

/// The first chunk in `from..to` that is not empty, where `bound` lies in it, and what `within` said of it if it lies inside.
fn side_from<T>(
    conn: &Connection,
    run: &Run,
    from: i64,
    to: i64,
    bound: Entry,
    hints: &Hints,
    within: &mut impl FnMut(Chunk<'_>) -> std::result::Result<T, Damaged>,
) -> Result<Option<(i64, Ordering, Option<T>)>> {
    for chunk in from..to {
        let seen = read_chunk(conn, run, chunk, |c| {
            let Some(side) = c.side(bound)? else { return Ok(None) };
            let found = if side == Ordering::Equal { Some(within(c)?) } else { None };
            Ok(c.first()?.map(|first| (first, side, found)))
        })?;
        if let Some((first, side, found)) = seen {
            hints.note(run, chunk, first);
            return Ok(Some((chunk, side, found)));
        }
    }
    Ok(None)
}

/// What a look-up asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Key of the entries.
    pub(super) key: u64,
    /// The first record.
    pub(super) from: u64,
    /// Most records, the lowest ones.
    pub(super) limit: usize,
}

/// Appends to `out` what is wanted of a run, ascending.
fn search(conn: &Connection, run: &Run, wanted: &Wanted, hints: &Hints, out: &mut Vec<u64>) -> Result<()> {
    if run.start >= run.chunks || wanted.limit == 0 {
        return Ok(());
    }
    let (bound, end) = (entry(wanted.key, wanted.from), out.len().saturating_add(wanted.limit));
    let mut entries = Vec::new();
    // Says whether there can be no more in later chunks.
    let mut take = |c: Chunk<'_>| {
        let mut cell = c.cell_of(bound)?;
        entries.clear();
        while c.decode(cell, &mut entries)? {
            for e in entries.drain(..).filter(|e| *e >= bound) {
                if key_of(e) != wanted.key || out.len() >= end {
                    return Ok(true);
                }
                out.push(record_of(e));
            }
            cell += 1;
        }
        Ok(false)
    };
    let (chunk, found) = descend(conn, run, bound, hints, &mut take)?;
    let next = match found {
        Some(true) => return Ok(()),
        Some(false) => chunk + 1,
        None => chunk,
    };
    for chunk in next..run.chunks {
        if read_chunk(conn, run, chunk, &mut take)? {
            break;
        }
    }
    Ok(())
}

/// The wanted records that are in runs, ascending. The runs must cover all records below `covered`.
pub(super) fn find(
    conn: &Connection,
    kind: i64,
    wanted: &Wanted,
    covered: u64,
    hints: &Hints,
) -> Result<Vec<u64>> {
    let Wanted { from, limit, .. } = *wanted;
    let runs = list(conn, kind)?;
    check_cover(&runs, covered)?;
    let mut records: Vec<u64> = Vec::new();
    let mut rest = runs.as_slice();
    while let Some(first) = rest.first() {
        // A run that is being merged stands before the ones it is made of: together they have all its entries.
        let group = rest.iter().take_while(|r| r.first < first.end).count();
        let (now, later) = rest.split_at(group);
        rest = later;
        let before = records.len();
        for run in now.iter().filter(|r| r.end > from) {
            search(conn, run, &Wanted { limit: limit - before, ..*wanted }, hints, &mut records)?;
        }
        if let Some(found) = records.get_mut(before..).filter(|_| group > 1) {
            found.sort_unstable();
            // What a merge has taken already may still stand where it came from.
            records.dedup();
        }
        records.truncate(limit);
        if records.len() == limit {
            break;
        }
    }
    Ok(records)
}

/// That no record is left out.
pub(super) fn check_cover(runs: &[Run], covered: u64) -> Result<()> {
    let mut end = 0;
    for run in runs.iter().filter(|r| r.done) {
        if run.first != end {
            break;
        }
        end = run.end;
    }
    match end == covered {
        true => Ok(()),
        false => Err(damaged(format!("runs of the look-up index are missing from record {end} on"))),
    }
}

/// Removes entries wherever they are. `gone` must be sorted.
pub(super) fn remove(conn: &Connection, kind: i64, gone: &[Entry]) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    for mut run in list(conn, kind)? {
        let covered = |e: &&Entry| (run.first..run.end).contains(&record_of(**e));
        let here: Vec<Entry> = gone.iter().filter(covered).copied().collect();
        remove_from(conn, &mut run, &here)?;
        reclaim(conn, &mut run)?;
    }
    Ok(())
}

fn remove_from(conn: &Connection, run: &mut Run, gone: &[Entry]) -> Result<()> {
    let mut update = conn.prepare_cached("UPDATE run_chunk SET data = ?2 WHERE id = ?1")?;
    let mut rest = gone;
    let live = run.live;
    while let (Some(next), true) = (rest.first(), run.start < run.chunks) {
        let chunk = locate(conn, run, *next)?;
        let id = run.key(chunk);
        let (here, changed) = read_chunk(conn, run, chunk, |c| {
            let last = c.last()?;
            // At least the one looked for, whether it is there or not.
            let here = rest.partition_point(|e| Some(*e) <= last).max(1);
            let among = rest.get(..here).unwrap_or(rest);
            Ok((here, c.without(|e| among.binary_search(&e).is_ok())?))
        })?;
        if let Some((row, left)) = changed {
            update.execute(params![id, row])?;
            run.live -= i64::from(!left);
        }
        rest = rest.get(here..).unwrap_or_default();
    }
    if run.live != live {
        save(conn, run)?;
    }
    Ok(())
}

/// Deletes the rows of a finished run of which all entries were erased. The run itself stays: it says which records it covers.
pub(super) fn reclaim(conn: &Connection, run: &mut Run) -> Result<()> {
    if run.done && run.live <= 0 {
        delete_chunks(conn, run, run.chunks)?;
    }
    Ok(())
}

/// Bytes of the rows of a number of chunks.
pub(super) fn bytes(chunks: u64) -> u64 {
    chunks * ROW_BYTES as u64
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
