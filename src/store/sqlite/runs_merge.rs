//! Turning many small runs into few large ones, a little at a time.
//!
//! A step runs inside somebody's transaction. It takes the next entries from runs of one tier, appends them to a run of the next
//! and deletes the rows it has used up. Between any two steps, and after a crash at any point, every entry is in the new run or
//! still where it was, and a look-up reads both. What a step must know is in the database: it goes on after the
//! last entry of the new run. So there is nothing to recover, and the space a merge needs beside the runs themselves is one row
//! for each of them.

use rusqlite::{Connection, Result};

use super::runs::{
    CHUNK_BITS, DEAD_TIER, KIND_TAG, KINDS, Run, delete_chunks, insert_run, list, locate, push_chunks,
    read_chunk, reclaim,
};
use super::runs_codec::{Entry, Packer, key_of};

/// How runs of a kind are merged: how many neighbours of a tier become one of the next, and the tier that is not merged any more,
/// some 16 million records.
///
/// Those of tags become one in few and large steps, because there are many tags. A record has one ciphertext hash: merging
/// them in twice as many steps costs little, and a look-up finds less than half as many runs.
fn shape(kind: i64, fanout: usize) -> (usize, i64) {
    match kind {
        KIND_TAG => (fanout, 2),
        _ => (fanout.isqrt().max(2), 4),
    }
}

/// Rows one step of deleting takes away.
const DELETE_CHUNKS: i64 = 64;

/// Does a step of what there is to do, at least a row and about `most` entries; answers with the number of entries moved, 0 if
/// there is nothing to do. `fanout` is that of tags.
pub(super) fn step(conn: &Connection, fanout: usize, most: usize) -> Result<usize> {
    if delete_dead(conn)? {
        return Ok(most.max(1));
    }
    // The shortest first: they come often, and must not wait for the long ones.
    let mut best: Option<(Run, Vec<Run>)> = None;
    for kind in KINDS {
        if let Some(merge) = next_merge(list(conn, kind)?, kind, fanout)
            && best.as_ref().is_none_or(|(run, _)| length(&merge.0) < length(run))
        {
            best = Some(merge);
        }
    }
    match best {
        Some((output, inputs)) => merge_some(conn, output, inputs, most).map(|n| n.max(1)),
        None => Ok(0),
    }
}

/// Records of a run.
fn length(run: &Run) -> u64 {
    run.end.saturating_sub(run.first)
}

/// A run to be made or gone on with, without a number if it does not exist yet, and those it is made of.
fn next_merge(runs: Vec<Run>, kind: i64, fanout: usize) -> Option<(Run, Vec<Run>)> {
    let (fanout, top) = shape(kind, fanout);
    for tier in 0..top {
        let open = runs.iter().find(|r| r.tier == tier + 1 && !r.done);
        let inputs = runs.iter().filter(|r| r.tier == tier && r.done);
        if let Some(output) = open {
            let inside = inputs.filter(|r| r.first >= output.first && r.end <= output.end);
            return Some((output.clone(), inside.cloned().collect()));
        }
        let inputs: Vec<Run> = inputs.take(fanout).cloned().collect();
        if let (true, [oldest, .., newest]) = (inputs.len() == fanout, inputs.as_slice()) {
            let (id, first, end) = (0, oldest.first, newest.end);
            let output =
                Run { id, kind, tier: tier + 1, first, end, start: 0, chunks: 0, live: 0, done: false };
            return Some((output, inputs));
        }
    }
    None
}

fn merge_some(conn: &Connection, output: Run, mut inputs: Vec<Run>, most: usize) -> Result<usize> {
    let mut output = if output.id == 0 { insert_run(conn, &output)? } else { output };
    let after = last_entry(conn, &output)?;
    let mut sources = Vec::with_capacity(inputs.len());
    for run in &inputs {
        sources.push(Source::open(conn, run.clone(), after)?);
    }
    let mut packer = Packer::new(output.layout());
    let mut rows = Vec::new();
    let (mut moved, mut taken) = (0, 0);
    let mut full = false;
    // Neighbouring stretches of records in order: of one key, all entries of a source come before those of the next one.
    while let Some(key) = sources.iter().filter_map(Source::key).min() {
        for source in sources.iter_mut().filter(|s| s.key() == Some(key)) {
            while let Some(e) = source.head.filter(|e| key_of(*e) == key) {
                if !packer.push(e) {
                    rows.extend(packer.take());
                    moved += std::mem::take(&mut taken);
                    full = moved >= most;
                    if full {
                        break;
                    }
                    packer.push(e);
                }
                taken += 1;
                source.next(conn)?;
            }
            if full {
                break;
            }
        }
        if full {
            break;
        }
    }
    if !full {
        rows.extend(packer.take());
        moved += taken;
        output.done = true;
    }
    // Rows first deleted, then written: the pages are used again at once.
    for (run, source) in inputs.iter_mut().zip(&sources) {
        let to = if output.done { run.chunks } else { source.place() };
        delete_chunks(conn, run, to)?;
        if output.done {
            conn.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run.id])?;
        }
    }
    push_chunks(conn, &mut output, rows)?;
    reclaim(conn, &mut output)?;
    Ok(moved)
}

/// The last entry of a run; `None` if it has none.
fn last_entry(conn: &Connection, run: &Run) -> Result<Option<Entry>> {
    for chunk in (run.start..run.chunks).rev() {
        if let Some(e) = read_chunk(conn, run, chunk, |c| c.last())? {
            return Ok(Some(e));
        }
    }
    Ok(None)
}

/// Reads a run in order, a chunk at a time.
pub(super) struct Source {
    run: Run,
    /// The chunk that `head` is from, or the one beyond the last.
    chunk: i64,
    entries: std::vec::IntoIter<Entry>,
    head: Option<Entry>,
}

impl Source {
    /// From behind `after` on.
    pub(super) fn open(conn: &Connection, run: Run, after: Option<Entry>) -> Result<Source> {
        let start = match after {
            Some(after) if run.start < run.chunks => locate(conn, &run, after)?,
            _ => run.start,
        };
        let mut source = Source { run, chunk: start - 1, entries: Vec::new().into_iter(), head: None };
        source.next(conn)?;
        while source.head.is_some_and(|e| Some(e) <= after) {
            source.next(conn)?;
        }
        Ok(source)
    }

    /// The entry it stands at.
    pub(super) fn head(&self) -> Option<Entry> {
        self.head
    }

    fn key(&self) -> Option<u64> {
        self.head.map(key_of)
    }

    /// The first chunk that is still needed.
    fn place(&self) -> i64 {
        self.chunk.min(self.run.chunks)
    }

    /// Goes on to the next one.
    pub(super) fn next(&mut self, conn: &Connection) -> Result<()> {
        self.head = self.entries.next();
        while self.head.is_none() && self.chunk < self.run.chunks {
            self.chunk += 1;
            if self.chunk < self.run.chunks {
                let mut entries = Vec::with_capacity(4096);
                read_chunk(conn, &self.run, self.chunk, |c| {
                    let mut cell = 0;
                    while c.decode(cell, &mut entries)? {
                        cell += 1;
                    }
                    Ok(())
                })?;
                self.entries = entries.into_iter();
                self.head = self.entries.next();
            }
        }
        Ok(())
    }
}

/// Says that all runs are to be deleted; steps do it. Nothing is found in them any more. Their bounds may be damaged: those of their
/// rows are taken.
pub(super) fn drop_all(conn: &Connection) -> Result<()> {
    let sql = "UPDATE run SET tier = ?1, start = 0, chunks = ifnull((SELECT max(c.id) - (run.id << ?2) + 1 FROM run_chunk c
            WHERE c.id BETWEEN run.id << ?2 AND ((run.id + 1) << ?2) - 1), 0)";
    conn.prepare_cached(sql)?.execute([DEAD_TIER, i64::from(CHUNK_BITS)]).map(drop)
}

/// Deletes rows that belong to no run.
pub(super) fn delete_orphans(conn: &Connection) -> Result<()> {
    let sql = "DELETE FROM run_chunk WHERE id >> ?1 NOT IN (SELECT id FROM run)";
    conn.prepare_cached(sql)?.execute([CHUNK_BITS]).map(drop)
}

/// Deletes all rows of runs that are to go: they may hold what an erasure is about to remove.
pub(super) fn delete_all_dead(conn: &Connection) -> Result<()> {
    while delete_dead(conn)? {}
    Ok(())
}

/// Deletes some rows of runs that are to go. False if there are none.
fn delete_dead(conn: &Connection) -> Result<bool> {
    let sql = "SELECT id, kind, start, chunks FROM run WHERE tier = ?1 LIMIT 1";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([DEAD_TIER])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let mut run = Run {
        id: row.get(0)?,
        kind: row.get(1)?,
        tier: DEAD_TIER,
        first: 0,
        end: 0,
        start: row.get(2)?,
        chunks: row.get(3)?,
        live: 0,
        done: true,
    };
    drop(rows);
    let to = run.chunks.min(run.start + DELETE_CHUNKS);
    delete_chunks(conn, &mut run, to)?;
    if to == run.chunks {
        conn.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run.id])?;
    }
    Ok(true)
}
