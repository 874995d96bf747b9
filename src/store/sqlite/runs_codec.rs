//! How the entries of a run lie in its rows.
//!
//! A row fills a page of the database alone (`runs.rs` says why) and is a **chunk**: sixteen **cells** of a fixed size. A cell is
//! checked and coded by itself, so that a look-up reads few kilobytes, and so that taking an entry out means coding one cell
//! anew, which then never needs more room than before:
//!
//! ```text
//! chunk = 16 × cell[1021] ‖ 8 zero bytes
//! cell  = u32(checksum) ‖ u16(number of entries) ‖ entries ‖ zero bytes
//! ```
//!
//! Entries ascend by key, then record. Records are numbers within the run, in `width` bytes. Keys are differences to the key
//! before, the first to 0. Ciphertext entries stand one by one, tags in groups of one key:
//!
//! ```text
//! ciphertext = varint(key difference) ‖ record[width]
//! group      = u8(32-fold number of records, or 31 and a u16 follows; + bytes of the key difference − 1)
//!              ‖ key difference ‖ first record[width] ‖ varint(difference to the record before) for each further one
//! ```

use std::cmp::Ordering;

use super::schema::ROW_BYTES;

/// Length of a cell in bytes.
pub(super) const CELL_BYTES: usize = 1021;
/// Cells of a chunk.
const CELLS: usize = ROW_BYTES / CELL_BYTES;
/// Length of a cell's checksum.
const CHECK_BYTES: usize = 4;
/// Length of a cell's number of entries.
const COUNT_BYTES: usize = 2;
/// Where the entries of a cell begin.
const FRONT_BYTES: usize = CHECK_BYTES + COUNT_BYTES;
const _: () = assert!(CELLS == 16);
/// Number of records from which a group has its number in two further bytes.
const MANY: usize = 31;

/// Key ‖ record index, which sorts as it should.
pub(super) type Entry = u128;

/// The entry for a key and a record index below 2^40.
pub(super) fn entry(key: u64, record: u64) -> Entry {
    (Entry::from(key) << 64) | Entry::from(record)
}

/// The key of an entry.
pub(super) fn key_of(e: Entry) -> u64 {
    (e >> 64) as u64
}

/// The record index of an entry.
pub(super) fn record_of(e: Entry) -> u64 {
    e as u64
}

/// How the entries of one run are coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// Groups of equal keys, or entries one by one.
    pub(super) grouped: bool,
    /// The run's first record.
    pub(super) base: u64,
    /// Bytes of a record's number within the run.
    pub(super) width: usize,
}

impl Layout {
    /// For a run over the records `first..end`.
    pub(super) fn new(grouped: bool, first: u64, end: u64) -> Layout {
        let bits = u64::BITS - end.saturating_sub(first + 1).leading_zeros();
        Layout { grouped, base: first, width: bits.div_ceil(8).max(1) as usize }
    }

    /// Bytes that `e` adds to a cell after `last`; `group` entries have the key of `last` so far.
    fn cost(&self, last: Option<Entry>, group: usize, e: Entry) -> usize {
        let delta = key_of(e).wrapping_sub(last.map_or(0, key_of));
        match (self.grouped, last) {
            (false, _) => varint_len(delta) + self.width,
            (true, Some(last)) if delta == 0 => {
                varint_len(record_of(e).wrapping_sub(record_of(last))) + if group + 1 == MANY { 2 } else { 0 }
            }
            (true, _) => 1 + byte_len(delta) + self.width,
        }
    }
}

/// Why a chunk cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a chunk of the look-up index is damaged")]
pub(super) struct Damaged;

fn byte_len(n: u64) -> usize {
    (u64::BITS - n.leading_zeros()).div_ceil(8).max(1) as usize
}

fn varint_len(n: u64) -> usize {
    (u64::BITS - n.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(n: u64, width: usize, out: &mut Vec<u8>) {
    let bytes = n.to_be_bytes();
    out.extend_from_slice(bytes.get(8usize.saturating_sub(width)..).unwrap_or(&bytes));
}

/// Reads a cell.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut n = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let b = self.byte()?;
            n |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(n);
            }
        }
        Err(Damaged)
    }

    #[inline]
    fn bytes(&mut self, width: usize) -> Result<u64, Damaged> {
        let (taken, rest) = self.0.split_at_checked(width).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
}

/// Codes `entries`, which are sorted, as one cell; `None` if they do not fit.
fn encode_cell(layout: Layout, entries: &[Entry]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(CELL_BYTES);
    out.resize(CHECK_BYTES, 0);
    out.extend_from_slice(&(entries.len() as u16).to_be_bytes());
    let mut before = 0;
    for group in entries.chunk_by(|a, b| layout.grouped && key_of(*a) == key_of(*b)) {
        let first = *group.first()?;
        let delta = key_of(first).wrapping_sub(before);
        let number = record_of(first).wrapping_sub(layout.base);
        before = key_of(first);
        if !layout.grouped {
            put_varint(delta, &mut out);
            put_bytes(number, layout.width, &mut out);
            continue;
        }
        out.push((group.len().min(MANY) << 3 | (byte_len(delta) - 1)) as u8);
        if group.len() >= MANY {
            out.extend_from_slice(&(group.len() as u16).to_be_bytes());
        }
        put_bytes(delta, byte_len(delta), &mut out);
        put_bytes(number, layout.width, &mut out);
        for pair in group.windows(2) {
            if let [a, b] = pair {
                put_varint(record_of(*b).wrapping_sub(record_of(*a)), &mut out);
            }
        }
    }
    if out.len() > CELL_BYTES {
        return None;
    }
    out.resize(CELL_BYTES, 0);
    Some(out)
}

/// Appends the entries of a cell to `out`.
fn decode_cell(layout: Layout, cell: &[u8], out: &mut Vec<Entry>) -> Result<(), Damaged> {
    let mut c = Cursor(cell.get(CHECK_BYTES..).unwrap_or_default());
    let mut left = c.bytes(COUNT_BYTES)? as usize;
    let mut key = 0u64;
    while left > 0 {
        if !layout.grouped {
            key = key.wrapping_add(c.varint()?);
            out.push(entry(key, layout.base.wrapping_add(c.bytes(layout.width)?)));
            left -= 1;
            continue;
        }
        let head = usize::from(c.byte()?);
        let count = if head >> 3 == MANY { c.bytes(2)? as usize } else { head >> 3 };
        key = key.wrapping_add(c.bytes((head & 7) + 1)?);
        let mut record = layout.base.wrapping_add(c.bytes(layout.width)?);
        left = left.checked_sub(count.max(1)).ok_or(Damaged)?;
        out.push(entry(key, record));
        for _ in 1..count {
            record = record.wrapping_add(c.varint()?);
            out.push(entry(key, record));
        }
    }
    Ok(())
}

/// The first entry of a cell; `None` if it is empty.
fn first_of_cell(layout: Layout, cell: &[u8]) -> Result<Option<Entry>, Damaged> {
    let mut c = Cursor(cell.get(CHECK_BYTES..).unwrap_or_default());
    if c.bytes(COUNT_BYTES)? == 0 {
        return Ok(None);
    }
    let key = match layout.grouped {
        false => c.varint()?,
        true => {
            let head = usize::from(c.byte()?);
            if head >> 3 == MANY {
                c.bytes(2)?;
            }
            c.bytes((head & 7) + 1)?
        }
    };
    Ok(Some(entry(key, layout.base.wrapping_add(c.bytes(layout.width)?))))
}

/// The checksum of a cell that is number `at` of the chunk `id`, over all behind the checksum itself. Against damage, not against
/// malice: whoever can forge an index can also drop it. Two lanes, so that it costs some 100 ns.
fn checksum(id: i64, at: usize, cell: &[u8]) -> u32 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xbf58_476d_1ce4_e5b9;
    let (blocks, rest) = cell.get(CHECK_BYTES..).unwrap_or_default().as_chunks::<16>();
    let (mut a, mut b) = (A ^ id as u64, B ^ at as u64);
    for block in blocks {
        let words = u128::from_le_bytes(*block);
        a = (a ^ words as u64).wrapping_mul(A).rotate_left(29);
        b = (b ^ (words >> 64) as u64).wrapping_mul(B).rotate_left(31);
    }
    let rest = rest.iter().fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    a = (a ^ rest as u64).wrapping_mul(A);
    b = (b ^ (rest >> 64) as u64 ^ (a >> 32)).wrapping_mul(B);
    let sum = (a ^ b.rotate_left(32)).wrapping_mul(A);
    (sum >> 32) as u32 ^ sum as u32
}

/// A row as it was read. Each cell is checked when it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    layout: Layout,
    id: i64,
    cells: &'a [[u8; CELL_BYTES]],
}

impl<'a> Chunk<'a> {
    /// A row read from under `id`.
    pub(super) fn open(layout: Layout, id: i64, row: &'a [u8]) -> Result<Chunk<'a>, Damaged> {
        let (cells, _) = row.as_chunks();
        if row.len() == ROW_BYTES { Ok(Chunk { layout, id, cells }) } else { Err(Damaged) }
    }

    /// A cell whose checksum is right; `None` beyond the last one.
    fn cell(&self, at: usize) -> Result<Option<&'a [u8]>, Damaged> {
        let Some(cell) = self.cells.get(at) else { return Ok(None) };
        match cell.first_chunk() {
            Some(sum) if u32::from_be_bytes(*sum) == checksum(self.id, at, cell) => Ok(Some(cell)),
            _ => Err(Damaged),
        }
    }

    /// The first entry; `None` if all were erased.
    pub(super) fn first(&self) -> Result<Option<Entry>, Damaged> {
        self.first_from(0, self.cells.len()).map(|f| f.map(|(_, e)| e))
    }

    /// Where `bound` lies: before the first entry, from it to the last one, or behind that. `None` if all were erased.
    pub(super) fn side(&self, bound: Entry) -> Result<Option<Ordering>, Damaged> {
        let Some(first) = self.first()? else { return Ok(None) };
        if bound < first {
            return Ok(Some(Ordering::Less));
        }
        // Mostly the first entry of the last cell tells, which costs less than the last entry.
        let last_cell = self.first_from(self.cells.len().saturating_sub(1), self.cells.len())?;
        let within = last_cell.is_some_and(|(_, e)| bound <= e) || self.last()? >= Some(bound);
        Ok(Some(if within { Ordering::Equal } else { Ordering::Greater }))
    }

    /// The first cell in `from..to` that is not empty, and its first entry.
    fn first_from(&self, from: usize, to: usize) -> Result<Option<(usize, Entry)>, Damaged> {
        for at in from..to {
            let Some(cell) = self.cell(at)? else { break };
            if let Some(e) = first_of_cell(self.layout, cell)? {
                return Ok(Some((at, e)));
            }
        }
        Ok(None)
    }

    /// The cell in which `bound`, or what follows it, begins: the last one whose first entry is not above it.
    pub(super) fn cell_of(&self, bound: Entry) -> Result<usize, Damaged> {
        let (mut low, mut high) = (0, self.cells.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.first_from(middle, high)? {
                Some((at, e)) if e <= bound => low = at,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Appends the entries of one cell to `out`; false beyond the last cell.
    pub(super) fn decode(&self, cell: usize, out: &mut Vec<Entry>) -> Result<bool, Damaged> {
        let Some(cell) = self.cell(cell)? else { return Ok(false) };
        decode_cell(self.layout, cell, out)?;
        Ok(true)
    }

    /// The last entry.
    pub(super) fn last(&self) -> Result<Option<Entry>, Damaged> {
        let mut entries = Vec::new();
        for at in (0..self.cells.len()).rev() {
            self.decode(at, &mut entries)?;
            if let Some(e) = entries.last() {
                return Ok(Some(*e));
            }
        }
        Ok(None)
    }

    /// The row without the entries for which `gone` holds, of the same length; `None` if there are none. Says too whether
    /// anything is left.
    pub(super) fn without(&self, gone: impl Fn(Entry) -> bool) -> Result<Option<(Vec<u8>, bool)>, Damaged> {
        let (mut changed, mut left) = (false, false);
        let mut row = Vec::with_capacity(ROW_BYTES);
        let mut entries = Vec::new();
        for (at, cell) in self.cells.iter().enumerate() {
            entries.clear();
            self.decode(at, &mut entries)?;
            let before = entries.len();
            entries.retain(|e| !gone(*e));
            left |= !entries.is_empty();
            match before == entries.len() {
                true => row.extend_from_slice(cell),
                false => row.extend(encode_cell(self.layout, &entries).ok_or(Damaged)?),
            }
            changed |= before != entries.len();
        }
        row.resize(ROW_BYTES, 0);
        seal(&mut row, self.id);
        Ok(changed.then_some((row, left)))
    }
}

/// Writes the checksums of a row that will stand under `id`.
pub(super) fn seal(row: &mut [u8], id: i64) {
    let (cells, _) = row.as_chunks_mut::<CELL_BYTES>();
    for (at, cell) in cells.iter_mut().enumerate() {
        let sum = checksum(id, at, cell).to_be_bytes();
        if let Some(place) = cell.first_chunk_mut() {
            *place = sum;
        }
    }
}

/// Fills chunks with sorted entries.
#[derive(Debug)]
pub(super) struct Packer {
    layout: Layout,
    row: Vec<u8>,
    /// The entries of the cell being filled, the bytes they take, and how many of the last have one key.
    cell: Vec<Entry>,
    size: usize,
    group: usize,
}

impl Packer {
    pub(super) fn new(layout: Layout) -> Packer {
        Packer { layout, row: Vec::new(), cell: Vec::new(), size: FRONT_BYTES, group: 0 }
    }

    /// Takes the next entry; false, and it is not taken, if the chunk is full: [`Packer::take`] it then.
    pub(super) fn push(&mut self, e: Entry) -> bool {
        let mut last = self.cell.last().copied();
        let mut cost = self.layout.cost(last, self.group, e);
        if self.size + cost > CELL_BYTES {
            if self.row.len() + 2 * CELL_BYTES > CELLS * CELL_BYTES {
                return false;
            }
            self.close();
            last = None;
            cost = self.layout.cost(None, 0, e);
        }
        self.size += cost;
        self.group = if last.is_some_and(|l| key_of(l) == key_of(e)) { self.group + 1 } else { 1 };
        self.cell.push(e);
        true
    }

    fn close(&mut self) {
        // The sizes were added up: this always fits.
        self.row.extend(encode_cell(self.layout, &self.cell).unwrap_or_default());
        self.cell.clear();
        (self.size, self.group) = (FRONT_BYTES, 0);
    }

    /// The chunk as it is, without its checksums; `None` if it is empty.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if !self.cell.is_empty() {
            self.close();
        }
        let mut row = std::mem::take(&mut self.row);
        let filled = !row.is_empty();
        row.resize(ROW_BYTES, 0);
        filled.then_some(row)
    }
}

#[cfg(test)]
#[path = "runs_codec_tests.rs"]
mod tests;
