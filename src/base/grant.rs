//! The body of a grant as bytes: re-wrapped slots, batch by batch. `docs/FORMAT.md` §12. Framing only; hashing over it is
//! `chain`'s, keys are `seal`'s.

use super::hash::{HASH_LEN, Hash};
use super::limits::*;
use super::record::KEY_LEN;
use super::wire::{Reader, WireError, WireWrite};

/// First bytes of a grant body.
pub const GRANT_MAGIC: &[u8; 4] = b"STG1";
/// First byte of an entry whose slots are there.
const KIND_SLOTS: u8 = 1;
/// First byte of an entry of which only the hash of the slots remains.
const KIND_GONE: u8 = 2;
/// Length of a batch's head up to the encapsulated key, in bytes.
const HEAD_LEN: usize = 8 + 4 + 4 + 1;
/// Length of an AEAD authentication tag (RFC 8439 §2.8), in bytes.
const AEAD_TAG_LEN: usize = 16;
/// Longest head of a batch, in bytes.
const MAX_HEAD_LEN: usize = HEAD_LEN + KEY_LEN + 2 + MAX_SECTIONS * KEY_LEN + AEAD_TAG_LEN;
const ENTRY_LABEL: &[u8] = b"sealtrail.org/granted/v1\n";
const WHAT: &str = "grant body";

/// What a grant gives of one batch: of the records at `position` and the `records` − 1 after it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GrantHead {
    /// Height of the block that holds the batch.
    pub height: u64,
    /// Position in the batch of the first record.
    pub position: u32,
    /// How many records.
    pub records: u32,
    /// Bit `s` is set if section `s` is granted; 0 if nothing of this batch is.
    pub sections: u8,
    /// HPKE encapsulated key for the new reader; empty if no section is granted.
    pub enc: Vec<u8>,
    /// Sealed section search secrets, or a sealed empty text; empty if no section is granted.
    pub search: Vec<u8>,
}

impl GrantHead {
    /// Length of the entry of each record: kind, and a slot for each granted section. 0 if no section is granted.
    pub fn entry_len(&self) -> usize {
        match self.sections.count_ones() as usize {
            0 => 0,
            n => 1 + n * KEY_LEN,
        }
    }

    fn entries_len(&self) -> usize {
        self.records as usize * self.entry_len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u64(self.height);
        out.put_u32(self.position);
        out.put_u32(self.records);
        out.push(self.sections);
        if self.sections != 0 {
            out.extend_from_slice(&self.enc);
            out.put_bytes16(&self.search);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<GrantHead, WireError> {
        let (height, position, records, sections) = (r.u64()?, r.u32()?, r.u32()?, r.u8()?);
        let end = u64::from(position) + u64::from(records);
        if records == 0 || end > MAX_BATCH_RECORDS as u64 {
            return r.invalid("number or position of records");
        }
        let (mut enc, mut search) = (Vec::new(), Vec::new());
        if sections != 0 {
            enc = r.take(KEY_LEN)?.to_vec();
            search = r.bytes16()?.to_vec();
            let secrets = sections.count_ones() as usize * KEY_LEN;
            if search.len() != AEAD_TAG_LEN && search.len() != secrets + AEAD_TAG_LEN {
                return r.invalid("length of the search secrets");
            }
        }
        Ok(GrantHead { height, position, records, sections, enc, search })
    }
}

/// What a grant says of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantEntry<'a> {
    /// One slot for each granted section, in the order of the sections. One of zero bytes: this section of this record is
    /// left out.
    Slots(&'a [u8]),
    /// The record was erased, or the slots are not served; the hash still counts for `slots-hash`.
    Gone(Hash),
}

impl<'a> GrantEntry<'a> {
    /// Whether there is a slot for at least one section.
    pub fn gives_something(&self) -> bool {
        matches!(self, GrantEntry::Slots(slots) if slots.iter().any(|b| *b != 0))
    }

    /// Reads one entry; `None` if it is none.
    pub fn decode(bytes: &'a [u8]) -> Option<GrantEntry<'a>> {
        match bytes.split_first()? {
            (&KIND_SLOTS, slots) if !slots.is_empty() => Some(GrantEntry::Slots(slots)),
            (&KIND_GONE, rest) => {
                let (hash, zeros) = rest.split_first_chunk::<HASH_LEN>()?;
                zeros.iter().all(|b| *b == 0).then_some(GrantEntry::Gone(Hash(*hash)))
            }
            _ => None,
        }
    }
}

/// One batch of a grant, with the entries of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantPart<'a> {
    /// Which records and sections.
    pub head: &'a GrantHead,
    /// [`GrantHead::entry_len`] bytes a record.
    pub entries: &'a [u8],
}

impl<'a> GrantPart<'a> {
    /// What is said of each record; nothing at all if no section is granted.
    pub fn entries(&self) -> impl Iterator<Item = GrantEntry<'a>> + use<'a> {
        self.entries.chunks_exact(self.head.entry_len().max(1)).filter_map(GrantEntry::decode)
    }

    /// What is said of the record at this position of the batch; `None` if the grant does not cover it.
    pub fn entry(&self, position: u32) -> Option<GrantEntry<'a>> {
        let n = position.checked_sub(self.head.position)? as usize;
        let len = self.head.entry_len();
        GrantEntry::decode(self.entries.get(n * len..(n + 1) * len)?)
    }
}

/// A decoded grant body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantBody<'a> {
    heads: Vec<GrantHead>,
    /// All entries, one batch after the other.
    data: &'a [u8],
}

impl<'a> GrantBody<'a> {
    /// Checks every rule of the format that needs nothing but the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<GrantBody<'a>, WireError> {
        let mut r = Reader::new(bytes, WHAT);
        if bytes.len() > MAX_BATCH_BYTES {
            return r.invalid("larger than MAX_BATCH_BYTES");
        }
        let heads = read_heads(&mut r)?;
        let body = GrantBody { heads, data: r.remaining() };
        let mut entries = Reader::new(body.data, WHAT);
        for head in &body.heads {
            let part = entries.take(head.entries_len())?;
            let mut records = part.chunks_exact(head.entry_len().max(1));
            if records.any(|e| GrantEntry::decode(e).is_none()) {
                return r.invalid("an entry");
            }
        }
        entries.finish()?;
        Ok(body)
    }

    /// The batches, by ascending height.
    pub fn parts(&self) -> impl Iterator<Item = GrantPart<'_>> {
        let mut rest = self.data;
        self.heads.iter().map(move |head| {
            let (entries, after) = rest.split_at_checked(head.entries_len()).unwrap_or((rest, &[]));
            rest = after;
            GrantPart { head, entries }
        })
    }

    /// The batch of the block at `height`; `None` if the grant has none.
    pub fn part(&self, height: u64) -> Option<GrantPart<'_>> {
        self.parts().find(|p| p.head.height == height)
    }

    /// The records of which only the hash of the slots remains, ascending. `first_record` is the statement's.
    pub fn gone(&self, first_record: u64) -> Vec<u64> {
        let mut out = Vec::new();
        let mut record = first_record;
        for part in self.parts() {
            let entries = (record..).zip(part.entries());
            out.extend(entries.filter(|(_, e)| matches!(e, GrantEntry::Gone(_))).map(|(r, _)| r));
            record = record.saturating_add(u64::from(part.head.records));
        }
        out
    }

    /// Number of records covered, those left out included.
    pub fn records(&self) -> u64 {
        self.heads.iter().map(|h| u64::from(h.records)).sum()
    }
}

fn read_heads(r: &mut Reader<'_>) -> Result<Vec<GrantHead>, WireError> {
    if r.take(GRANT_MAGIC.len())? != GRANT_MAGIC {
        return r.invalid("does not start with STG1");
    }
    let count = r.u32()? as usize;
    if count == 0 || count > MAX_GRANT_BATCHES {
        return r.invalid("number of batches");
    }
    let heads = (0..count).map(|_| GrantHead::read(r)).collect::<Result<Vec<_>, _>>()?;
    if !heads.is_sorted_by(|a, b| a.height < b.height) || heads.iter().skip(1).any(|h| h.position != 0) {
        return r.invalid("the batches do not follow each other");
    }
    if heads.iter().all(|h| h.sections == 0) {
        return r.invalid("it grants nothing");
    }
    Ok(heads)
}

/// The entry of a record: its slots, one for each granted section. Zero bytes in place of a slot leave the section out.
pub fn put_entry(slots: &[[u8; KEY_LEN]], out: &mut Vec<u8>) {
    out.push(KIND_SLOTS);
    out.extend_from_slice(slots.as_flattened());
}

/// Puts a grant body together, batch by batch.
#[derive(Debug, Default)]
pub struct GrantBuilder {
    count: u32,
    heads: Vec<u8>,
    entries: Vec<u8>,
}

impl GrantBuilder {
    /// Appends a batch. `entries` has [`GrantHead::entry_len`] bytes a record.
    pub fn push(&mut self, head: &GrantHead, entries: &[u8]) {
        self.count += 1;
        head.write(&mut self.heads);
        self.entries.extend_from_slice(entries);
    }

    /// Whether a batch with that many bytes of entries still fits; there is always room for the first.
    pub fn has_room(&self, entries: usize) -> bool {
        let len = GRANT_MAGIC.len() + 4 + self.heads.len() + MAX_HEAD_LEN + self.entries.len();
        self.count == 0 || (self.batches() < MAX_GRANT_BATCHES && len + entries <= MAX_NEW_GRANT_BYTES)
    }

    /// Number of batches so far.
    pub fn batches(&self) -> usize {
        self.count as usize
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.heads.len() + self.entries.len());
        out.extend_from_slice(GRANT_MAGIC);
        out.put_u32(self.count);
        out.extend_from_slice(&self.heads);
        out.extend_from_slice(&self.entries);
        out
    }
}

/// Takes the slots of some records out of a grant body, in place and for good: `slots-hash` still verifies. `first_record` is
/// the statement's, `gone` is asked for each record by its index in the ledger. Returns how many entries lost their slots.
pub fn blank(body: &mut [u8], first_record: u64, gone: impl Fn(u64) -> bool) -> Result<u64, WireError> {
    let decoded = GrantBody::decode(body)?;
    let mut at = body.len() - decoded.data.len();
    let mut record = first_record;
    let mut blanked = 0;
    for head in decoded.heads {
        let len = head.entry_len();
        for n in 0..u64::from(head.records) {
            let Some(entry) = body.get_mut(at..at + len).filter(|e| e.first() == Some(&KIND_SLOTS)) else {
                at += len;
                continue;
            };
            at += len;
            if gone(record.saturating_add(n)) {
                let hash = Hash::of(&[ENTRY_LABEL, entry.get(1..).unwrap_or_default()]);
                entry.fill(0);
                entry.iter_mut().zip(std::iter::once(&KIND_GONE).chain(&hash.0)).for_each(|(e, b)| *e = *b);
                blanked += 1;
            }
        }
        record = record.saturating_add(u64::from(head.records));
    }
    Ok(blanked)
}

/// How many bytes at the front of a grant body hold all of its heads, at most, told by its first 8 bytes.
pub fn front_len(start: &[u8]) -> usize {
    let count = start.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
    8 + (count as usize).min(MAX_GRANT_BATCHES) * MAX_HEAD_LEN
}

/// The batches of a grant body; `front` holds all heads ([`front_len`]) and may go on.
pub fn heads(front: &[u8]) -> Result<Vec<GrantHead>, WireError> {
    read_heads(&mut Reader::new(front, WHAT))
}

/// Where a grant body keeps the entry of one record: the batch's head and the entry's offset in the body. `front` holds all
/// heads ([`front_len`]) and may go on; `n` counts from the statement's `first-record`. `None` if nothing of the record's
/// batch is granted.
pub fn locate(front: &[u8], n: u64) -> Result<Option<(GrantHead, u32, usize)>, WireError> {
    let mut r = Reader::new(front, WHAT);
    let heads = read_heads(&mut r)?;
    let mut at = front.len() - r.remaining().len();
    let mut before = n;
    for head in heads {
        if before < u64::from(head.records) {
            let place = at + before as usize * head.entry_len();
            let position = head.position + before as u32;
            return Ok((head.sections != 0).then_some((head, position, place)));
        }
        before -= u64::from(head.records);
        at += head.entries_len();
    }
    Ok(None)
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
