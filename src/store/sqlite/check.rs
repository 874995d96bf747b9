//! Looks at everything this layer keeps: pages, rows, numbers, and whether the look-up index is what the blocks give. What the bytes of
//! a block mean is for the layers above.
//!
//! Nothing is changed. The index is not made a second time to be compared: entries of the blocks and of the runs are summed up, each
//! hashed with a random key, so that two different sets have one sum as good as never.

use rusqlite::{Connection, OptionalExtension};

use super::super::tags::body_tags;
use super::super::{StoreError, StoreFault, StorePart};
use super::blocks::{self, key};
use super::chunks::{BODIES, LEAVES};
use super::runs::{self, KIND_CIPHERTEXT, KIND_TAG, KINDS, Run};
use super::runs_codec::Entry;
use super::runs_merge::Source;
use super::tail::{ciphertext_entries, tag_entries};
use super::{SqlResult, SqliteStore, index, schema, stored};
use crate::base::batch::Body;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_BATCH_RECORDS, MAX_STORE_FAULTS};
use crate::base::random;
use crate::base::record::{LEAF_INPUTS_LEN, Outline};

/// Rows of `block` read at once.
const ROWS_AT_ONCE: u64 = 256;

impl SqliteStore {
    /// Reads everything and names what is not as it must be: at most [`MAX_STORE_FAULTS`] things. `progress` is told (blocks done,
    /// blocks in all), first when SQLite has looked at all pages. No server may have the file open meanwhile.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<StoreFault>, StoreError> {
        let salt = random::secret::<32>()
            .map_err(|e| StoreError::Engine { place: self.place(), why: e.to_string() })?;
        let mut check = Check::new(*salt.expose());
        let part = |faults: &mut Faults, what: StorePart, e: StoreError| match e {
            StoreError::Corrupt { why, .. }
            | StoreError::NotADatabase { why, .. }
            | StoreError::Engine { why, .. } => {
                faults.add(what, None, why);
                Ok(())
            }
            e => Err(e),
        };
        if let Err(e) = self.pool.read(|tx| check.definitions(tx)) {
            part(&mut check.faults, StorePart::Definitions, e)?;
        }
        if let Err(e) = self.pool.read(|tx| check.pages(tx)) {
            part(&mut check.faults, StorePart::Pages, e)?;
        }
        if let Err(e) = self.pool.read(|tx| check.index_begins(tx)) {
            part(&mut check.faults, StorePart::Index, e)?;
        }
        let blocks = self.pool.read(|tx| tx.query_row("SELECT count(*) FROM block", [], |r| r.get(0)));
        let blocks: u64 = match blocks {
            Ok(n) => n,
            Err(e) => part(&mut check.faults, StorePart::Blocks, e).map(|()| 0)?,
        };
        progress(0, blocks);
        let mut next = 0;
        loop {
            match self.pool.read(|tx| check.rows(tx, next)) {
                Ok(Some(last)) => next = last + 1,
                Ok(None) => break,
                Err(e) => {
                    part(&mut check.faults, StorePart::Blocks, e)?;
                    check.seen.incomplete = true;
                    break;
                }
            }
            progress(check.seen.blocks.min(blocks), blocks);
        }
        for (what, f) in [
            (StorePart::Head, Check::totals as fn(&mut Check, &Connection) -> SqlResult<()>),
            (StorePart::Index, Check::index_ends),
        ] {
            if let Err(e) = self.pool.read(|tx| f(&mut check, tx)) {
                part(&mut check.faults, what, e)?;
            }
        }
        Ok(check.faults.0)
    }
}

/// What was found, bounded.
#[derive(Default)]
struct Faults(Vec<StoreFault>);

impl Faults {
    fn add(&mut self, part: StorePart, height: Option<u64>, what: impl Into<String>) {
        if self.0.len() < MAX_STORE_FAULTS {
            self.0.push(StoreFault { part, height, what: what.into() });
        }
    }
}

/// What the rows add up to.
#[derive(Default)]
struct Seen {
    blocks: u64,
    records: u64,
    text_bytes: u64,
    body_bytes: u64,
    stored_bytes: u64,
    leaf_rows: u64,
    body_rows: u64,
    /// A block could not be read whole, so that sums say nothing.
    incomplete: bool,
}

/// Neighbouring runs that share records, and what they must hold.
struct Group {
    kind: i64,
    runs: Vec<Run>,
    end: u64,
    sum: Sum,
}

/// A set of entries: how many, and the sum of their keyed hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    hashes: u128,
}

impl Sum {
    fn add(&mut self, salt: &[u8], e: Entry) {
        let hash = Hash::of(&[salt, &e.to_be_bytes()]);
        self.count += 1;
        let short = hash.0.first_chunk().map_or(0, |b| u128::from_be_bytes(*b));
        self.hashes = self.hashes.wrapping_add(short);
    }
}

struct Check {
    faults: Faults,
    seen: Seen,
    salt: [u8; 32],
    groups: Vec<Group>,
}

/// A row of `block` as far as this layer understands it.
struct BlockRow {
    height: u64,
    first: u64,
    records: u64,
    tags: u64,
    text_bytes: u64,
}

impl Check {
    fn new(salt: [u8; 32]) -> Check {
        Check { faults: Faults::default(), seen: Seen::default(), salt, groups: Vec::new() }
    }

    fn definitions(&mut self, conn: &Connection) -> SqlResult<()> {
        if let Some(name) = schema::differing_object(conn)? {
            let what = format!("the definition of {name:?} is missing, added or changed");
            self.faults.add(StorePart::Definitions, None, what);
        }
        Ok(())
    }

    /// SQLite's own look at every page and at its own two indexes.
    fn pages(&mut self, conn: &Connection) -> SqlResult<()> {
        let mut select = conn.prepare("PRAGMA integrity_check(20)")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let said: String = row.get(0)?;
            if said != "ok" {
                self.faults.add(StorePart::Pages, None, said.replace('\n', " "));
            }
        }
        Ok(())
    }

    /// Some rows of `block` from a height on, with everything stored for them; gives the last height.
    fn rows(&mut self, conn: &Connection, from: u64) -> SqlResult<Option<u64>> {
        let sql = "SELECT height, first_record, records, tags, length(text) FROM block
            WHERE height >= ?1 ORDER BY height LIMIT ?2";
        let Some(from) = key(from) else { return Ok(None) };
        let mut select = conn.prepare_cached(sql)?;
        let rows = select.query_map([from, ROWS_AT_ONCE as i64], |r| {
            let row =
                |at: usize| -> SqlResult<u64> { Ok(u64::try_from(r.get::<_, i64>(at)?).unwrap_or(u64::MAX)) };
            Ok(BlockRow {
                height: row(0)?,
                first: row(1)?,
                records: row(2)?,
                tags: row(3)?,
                text_bytes: row(4)?,
            })
        })?;
        let mut last = None;
        for row in rows {
            let row = row?;
            last = Some(row.height);
            self.row(conn, &row)?;
        }
        Ok(last)
    }

    fn row(&mut self, conn: &Connection, row: &BlockRow) -> SqlResult<()> {
        let BlockRow { height, first, records, .. } = *row;
        if height != self.seen.blocks {
            self.faults.add(
                StorePart::Blocks,
                Some(self.seen.blocks),
                format!("rows are missing from here to block {}", height.saturating_sub(1)),
            );
            self.seen.incomplete = true;
            self.seen.records = first;
        }
        if first != self.seen.records {
            let what = format!(
                "its row says that it begins with record {first}, where record {} belongs",
                self.seen.records
            );
            self.faults.add(StorePart::Blocks, Some(height), what);
            self.seen.records = first;
        }
        self.seen.blocks = height.saturating_add(1);
        self.seen.text_bytes += row.text_bytes;
        let Some(id) = key(height).filter(|_| records <= MAX_BATCH_RECORDS as u64) else {
            self.faults.add(
                StorePart::Blocks,
                Some(height),
                "its row says more records than a batch can have",
            );
            self.seen.incomplete = true;
            return Ok(());
        };
        self.seen.records = self.seen.records.saturating_add(records);
        let leaves = self.leaves(conn, id, height, records);
        match leaves {
            Some(leaves) => self.body(conn, id, row, &leaves),
            None => self.seen.incomplete = true,
        }
        Ok(())
    }

    /// The leaf inputs of a block, if they are whole.
    fn leaves(&mut self, conn: &Connection, id: i64, height: u64, records: u64) -> Option<Vec<u8>> {
        let fault = |faults: &mut Faults, what: String| faults.add(StorePart::LeafInputs, Some(height), what);
        match LEAVES.rows(conn, id) {
            Ok(rows) => {
                self.seen.leaf_rows += rows.count;
                if !rows.in_order {
                    fault(
                        &mut self.faults,
                        "their rows are not numbered from 0 on, or not of the lengths they must have".into(),
                    );
                }
            }
            Err(e) => fault(&mut self.faults, e.to_string()),
        }
        let wanted = records as usize * LEAF_INPUTS_LEN;
        match LEAVES.read_all(conn, id) {
            Ok(bytes) if bytes.len() == wanted => return Some(bytes),
            Ok(bytes) => fault(
                &mut self.faults,
                format!("there are {} bytes of them where {wanted} belong", bytes.len()),
            ),
            Err(e) => fault(&mut self.faults, e.to_string()),
        }
        None
    }

    fn body(&mut self, conn: &Connection, id: i64, row: &BlockRow, leaves: &[u8]) {
        let fault = |faults: &mut Faults, what: String| faults.add(StorePart::Bodies, Some(row.height), what);
        match BODIES.rows(conn, id) {
            Ok(rows) => {
                self.seen.body_rows += rows.count;
                if !rows.in_order {
                    fault(&mut self.faults, "its rows are not numbered from 0 on".into());
                }
            }
            Err(e) => fault(&mut self.faults, e.to_string()),
        }
        let body = match blocks::body(conn, id, row.records, Some(leaves)) {
            Ok(body) => body,
            Err(e) => {
                self.seen.incomplete = true;
                return fault(&mut self.faults, e.to_string());
            }
        };
        self.seen.body_bytes += body.len() as u64;
        if row.records == 0 {
            self.seen.stored_bytes += body.len() as u64;
            return;
        }
        let packed = stored::pack(&body, leaves).map(|packed| packed.len());
        let found = body_tags(&body).and_then(|tags| Ok((Body::decode(&body)?, tags, packed?)));
        let (decoded, tags, packed) = match found {
            Ok(found) => found,
            Err(e) => {
                self.seen.incomplete = true;
                return fault(&mut self.faults, e.to_string());
            }
        };
        if decoded.count() as u64 != row.records {
            self.seen.incomplete = true;
            let what = format!("it has {} records, its block {}", decoded.count(), row.records);
            return fault(&mut self.faults, what);
        }
        self.seen.stored_bytes += packed as u64;
        let gone = decoded.records().any(|r| matches!(Outline::decode(r), Ok(Outline::Erased(_))));
        let fits = if gone { row.tags >= tags.len() as u64 } else { row.tags == tags.len() as u64 };
        if !fits {
            let what =
                format!("its row says that it came with {} tags, its body has {}", row.tags, tags.len());
            self.faults.add(StorePart::Blocks, Some(row.height), what);
        }
        self.expect(KIND_CIPHERTEXT, row.first, &ciphertext_entries(row.first, leaves));
        self.expect(KIND_TAG, row.first, &tag_entries(row.first, &tags));
    }

    /// Takes note of entries that must be in the index, unless their records, those of a block from `first` on, are in no run yet.
    fn expect(&mut self, kind: i64, first: u64, entries: &[Entry]) {
        // Runs end where blocks do.
        if let Some(group) = self.groups.iter_mut().find(|g| g.kind == kind && first < g.end) {
            entries.iter().for_each(|e| group.sum.add(&self.salt, *e));
        }
    }

    /// What the head row counts.
    fn totals(&mut self, conn: &Connection) -> SqlResult<()> {
        let seen = &self.seen;
        let sql = "SELECT size, records, text_bytes, body_bytes, stored_body_bytes FROM head";
        let row = |r: &rusqlite::Row<'_>| -> SqlResult<[u64; 5]> {
            Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?])
        };
        let head = conn.query_row(sql, [], row).optional()?;
        let found = [seen.blocks, seen.records, seen.text_bytes, seen.body_bytes, seen.stored_bytes];
        let counted = ["blocks", "records", "bytes of texts", "bytes of bodies", "bytes of stored bodies"];
        if head.is_none() && seen.blocks > 0 {
            self.faults.add(StorePart::Head, None, "it is missing");
        }
        for ((says, has), what) in head.iter().flatten().zip(found).zip(counted) {
            if *says != has && !seen.incomplete {
                self.faults.add(StorePart::Head, None, format!("it counts {says} {what}, there are {has}"));
            }
        }
        let leaf_rows: u64 = conn.query_row("SELECT count(*) FROM leaf_chunk", [], |r| r.get(0))?;
        let body_rows: u64 = conn.query_row("SELECT count(*) FROM body_chunk", [], |r| r.get(0))?;
        if leaf_rows > seen.leaf_rows && !seen.incomplete {
            let what = format!("{} rows belong to no block", leaf_rows - seen.leaf_rows);
            self.faults.add(StorePart::LeafInputs, None, what);
        }
        if body_rows > seen.body_rows && !seen.incomplete {
            let what = format!("{} rows belong to no block", body_rows - seen.body_rows);
            self.faults.add(StorePart::Bodies, None, what);
        }
        let origins: u64 = conn.query_row("SELECT count(*) FROM meta", [], |r| r.get(0))?;
        if origins != 1 {
            self.faults.add(StorePart::Head, None, format!("it names {origins} origins"));
        }
        Ok(())
    }

    /// The runs there are, in groups.
    fn index_begins(&mut self, conn: &Connection) -> SqlResult<()> {
        for kind in KINDS {
            let runs = runs::list(conn, kind)?;
            let mut rest = runs.as_slice();
            while let Some(first) = rest.first() {
                let count = rest.iter().take_while(|r| r.first < first.end).count();
                let (now, later) = rest.split_at(count);
                rest = later;
                self.groups.push(Group { kind, runs: now.to_vec(), end: first.end, sum: Sum::default() });
            }
        }
        Ok(())
    }

    fn index_ends(&mut self, conn: &Connection) -> SqlResult<()> {
        let state = index::state(conn)?;
        if state.has_gap() {
            let what = format!(
                "it covers {} of {} records: making it anew was interrupted",
                state.covered, state.records
            );
            self.faults.add(StorePart::Index, None, what);
        }
        for kind in KINDS {
            let runs = runs::list(conn, kind)?;
            if let Err(e) = runs::check_cover(&runs, state.covered) {
                self.faults.add(StorePart::Index, None, e.to_string());
            }
            let done: Vec<&Run> = runs.iter().filter(|r| r.done).collect();
            if !done.is_sorted_by(|a, b| a.tier >= b.tier) {
                self.faults.add(StorePart::Index, None, "its runs are not in the order of their tiers");
            }
        }
        let sql = "SELECT count(*), ifnull(sum(chunks - start), 0),
            ifnull(sum(kind NOT IN (1, 2) OR tier NOT BETWEEN -1 AND 8 OR done NOT IN (0, 1)), 0) FROM run";
        let (_, rows, odd): (i64, i64, i64) =
            conn.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        if odd > 0 {
            self.faults.add(StorePart::Index, None, format!("{odd} of its runs are of no known kind"));
        }
        let found: i64 = conn.query_row("SELECT count(*) FROM run_chunk", [], |r| r.get(0))?;
        if found != rows {
            self.faults.add(
                StorePart::Index,
                None,
                format!("it has {found} rows where its runs have {rows}"),
            );
        }
        for group in std::mem::take(&mut self.groups) {
            if let Err(e) = self.group(conn, &group) {
                let what = format!("its runs up to record {} cannot be read: {e}", group.end);
                self.faults.add(StorePart::Index, None, what);
            }
        }
        Ok(())
    }

    fn group(&mut self, conn: &Connection, group: &Group) -> SqlResult<()> {
        let mut sources = Vec::new();
        for run in &group.runs {
            let mut live = 0;
            for chunk in run.start..run.chunks {
                live += i64::from(runs::read_chunk(conn, run, chunk, |c| c.first())?.is_some());
            }
            if live != run.live {
                let what =
                    format!("run {} says that {} of its rows have entries, {live} have", run.id, run.live);
                self.faults.add(StorePart::Index, None, what);
            }
            sources.push(Source::open(conn, run.clone(), None)?);
        }
        let (mut sum, mut last) = (Sum::default(), None);
        while let Some(e) = sources.iter().filter_map(Source::head).min() {
            if Some(e) < last {
                return Err(runs::damaged("its entries are out of order"));
            }
            // What a merge has taken already may still stand where it came from.
            if last.replace(e) != Some(e) {
                sum.add(&self.salt, e);
            }
            if let Some(source) = sources.iter_mut().find(|s| s.head() == Some(e)) {
                source.next(conn)?;
            }
        }
        if sum != group.sum && !self.seen.incomplete {
            let what = if group.kind == KIND_TAG { "tags" } else { "ciphertext hashes" };
            let what = format!(
                "up to record {} it has {} entries of {what} that are not those of the blocks, which have {}",
                group.end, sum.count, group.sum.count
            );
            self.faults.add(StorePart::Index, None, what);
        }
        Ok(())
    }
}
