//! A batch body as it is kept: without what the leaf inputs, which are kept beside it for ever, say already.
//!
//! ```text
//! stored = front ‖ n × stored record,    front = that of the body, with the form of each record in its length's top bits
//! ```
//!
//! The form says what of the record is there: all of it; all but the disclosure root of a sealed one; or nothing, of one that was
//! erased. Lengths are those of the whole records, so that a body is put together again byte for byte.

use crate::base::batch::{BODY_MAGIC, Body};
use crate::base::hash::HASH_LEN;
use crate::base::limits::{MAX_BATCH_RECORDS, MAX_RECORD_BYTES, MAX_STORED_BYTES};
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record};
use crate::base::wire::{Reader, WireError};

/// The bits of a length that say the form.
const FORM_SHIFT: u32 = 30;
// They are free.
const _: () = assert!(MAX_RECORD_BYTES < 1 << FORM_SHIFT);
/// Form of a record that is kept whole.
const WHOLE: u32 = 0;
/// Form of a sealed record without its disclosure root.
const ROOTLESS: u32 = 1;
/// Form of an erased record: nothing of it.
const ERASED: u32 = 2;
/// First byte of a sealed record, before the disclosure root (`docs/FORMAT.md` §5).
const SEALED: u8 = 1;

/// Where a record lies in a stored body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Offset of its first stored byte.
    pub(super) at: usize,
    /// Length of the record.
    len: usize,
    form: u32,
}

impl Place {
    /// How many bytes of it are stored.
    pub(super) fn stored_len(&self) -> usize {
        match self.form {
            ROOTLESS => self.len.saturating_sub(HASH_LEN),
            ERASED => 0,
            _ => self.len,
        }
    }

    /// Whether putting it together takes its leaf inputs.
    pub(super) fn needs_inputs(&self) -> bool {
        self.form != WHOLE
    }

    /// Appends the record, from its stored bytes and its leaf inputs.
    pub(super) fn restore(&self, stored: &[u8], inputs: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let before = out.len();
        match (self.form, stored.split_first()) {
            (WHOLE, _) => out.extend_from_slice(stored),
            (ROOTLESS, Some((kind, rest))) => {
                out.push(*kind);
                out.extend_from_slice(inputs.get(LEAF_INPUTS_LEN - HASH_LEN..).unwrap_or_default());
                out.extend_from_slice(rest);
            }
            (ERASED, _) => Record::encode_erased(&LeafInputs::from_bytes(inputs)?, out),
            _ => {}
        }
        match out.len() - before == self.len {
            true => Ok(()),
            false => Err(WireError::Truncated { what: "stored record" }),
        }
    }
}

/// The stored form of a body. `leaf_inputs` are those of its block.
pub(super) fn pack(body: &[u8], leaf_inputs: &[u8]) -> Result<Vec<u8>, WireError> {
    let decoded = Body::decode(body)?;
    let mut forms = Vec::with_capacity(decoded.count());
    let mut erased = Vec::new();
    for (record, inputs) in decoded.records().zip(leaf_inputs.chunks_exact(LEAF_INPUTS_LEN)) {
        erased.clear();
        Record::encode_erased(&LeafInputs::from_bytes(inputs)?, &mut erased);
        let root = inputs.get(LEAF_INPUTS_LEN - HASH_LEN..);
        let form = match record.first() {
            Some(&SEALED) if record.get(1..1 + HASH_LEN) == root => ROOTLESS,
            _ if record == erased => ERASED,
            _ => WHOLE,
        };
        forms.push(form);
    }
    let front = Body::front_len(decoded.header.len(), decoded.count());
    let mut out = Vec::with_capacity(body.len());
    out.extend_from_slice(body.get(..front).unwrap_or_default());
    if let Some(lengths) = out.get_mut(front - 4 * decoded.count()..) {
        for (length, form) in lengths.as_chunks_mut::<4>().0.iter_mut().zip(&forms) {
            *length = (u32::from_be_bytes(*length) | form << FORM_SHIFT).to_be_bytes();
        }
    }
    // A body whose leaf inputs are missing stays as it is: forms then end early.
    for (record, form) in decoded.records().zip(forms.iter().chain(std::iter::repeat(&WHOLE))) {
        match *form {
            ROOTLESS => {
                out.push(SEALED);
                out.extend_from_slice(record.get(1 + HASH_LEN..).unwrap_or_default());
            }
            ERASED => {}
            _ => out.extend_from_slice(record),
        }
    }
    Ok(out)
}

/// The number of records and their places, from the front of a stored body.
fn places(front: &[u8]) -> Result<(usize, impl Iterator<Item = Place>), WireError> {
    let mut r = Reader::new(front, "stored body");
    if r.take(BODY_MAGIC.len())? != BODY_MAGIC {
        return r.invalid("does not start with STB1");
    }
    let n = r.u32()? as usize;
    r.take(n)?;
    let count = r.u32()? as usize;
    if count > MAX_BATCH_RECORDS {
        return r.invalid("number of records");
    }
    let table = r.take(count * 4)?;
    let mut at = front.len() - r.remaining().len();
    let places = table.as_chunks::<4>().0.iter().map(move |c| {
        let word = u32::from_be_bytes(*c);
        let place = Place { at, len: (word & ((1 << FORM_SHIFT) - 1)) as usize, form: word >> FORM_SHIFT };
        at += place.stored_len();
        place
    });
    Ok((count, places))
}

/// Where record `position` lies. `front` must reach to the end of the length table; see [`Body::front_len`].
pub(super) fn locate(front: &[u8], position: usize) -> Result<Place, WireError> {
    let missing = WireError::Invalid { what: "stored body", why: "no record at that position" };
    places(front)?.1.nth(position).ok_or(missing)
}

/// What an erasure leaves behind a stored body is zero bytes, if anything.
fn only_zeros(behind: &[u8]) -> Result<(), WireError> {
    match behind.iter().all(|b| *b == 0) {
        true => Ok(()),
        false => Err(WireError::Invalid { what: "stored body", why: "other bytes than zeros follow it" }),
    }
}

/// The body from its stored form, however many zero bytes follow that, and the leaf inputs of its block.
pub(super) fn unpack(stored: &[u8], leaf_inputs: &[u8]) -> Result<Vec<u8>, WireError> {
    let (count, places) = places(stored)?;
    let header = stored.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
    let front = Body::front_len(header, count);
    let mut out = Vec::with_capacity(stored.len() + count * HASH_LEN);
    out.extend_from_slice(stored.get(..front).unwrap_or_default());
    if let Some(lengths) = out.get_mut(front.saturating_sub(4 * count)..) {
        without_forms(lengths);
    }
    let mut inputs = leaf_inputs.chunks_exact(LEAF_INPUTS_LEN);
    let mut end = front;
    for place in places {
        let inputs = inputs.next().unwrap_or_default();
        end = place.at.saturating_add(place.stored_len());
        let bytes = stored.get(place.at..end);
        let bytes = bytes.ok_or(WireError::Truncated { what: "stored body" })?;
        place.restore(bytes, inputs, &mut out)?;
    }
    only_zeros(stored.get(end..).unwrap_or_default())?;
    Ok(out)
}

/// [`unpack`] of a stored form that comes in chunks.
pub(super) struct Unpacker<'a> {
    inputs: std::slice::ChunksExact<'a, u8>,
    /// Of the records, once the front is there.
    places: Option<std::iter::Peekable<std::vec::IntoIter<Place>>>,
    /// What came before of something that is not whole yet.
    begun: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    /// For the body of a block with these leaf inputs.
    pub(super) fn new(leaf_inputs: &'a [u8]) -> Unpacker<'a> {
        let inputs = leaf_inputs.chunks_exact(LEAF_INPUTS_LEN);
        Unpacker { inputs, places: None, begun: Vec::new() }
    }

    /// Appends to `out` as much of the body as comes with the next chunk.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        if self.begun.len().saturating_add(chunk.len()) > MAX_STORED_BYTES {
            return Err(WireError::Invalid { what: "stored body", why: "more than any batch has" });
        }
        let front;
        let mut chunk = chunk;
        if self.places.is_none() {
            self.begun.extend_from_slice(chunk);
            let Some(len) = front_len(&self.begun).filter(|n| *n <= self.begun.len()) else { return Ok(()) };
            front = std::mem::take(&mut self.begun);
            let (before, records) = front.split_at(len);
            let (count, places) = places(before)?;
            let places: Vec<Place> = places.collect();
            out.extend_from_slice(before);
            if let Some(lengths) = out.len().checked_sub(4 * count).and_then(|at| out.get_mut(at..)) {
                without_forms(lengths);
            }
            self.places = Some(places.into_iter().peekable());
            chunk = records;
        }
        let Some(places) = &mut self.places else { return Ok(()) };
        while let Some(place) = places.peek() {
            let missing = place.stored_len().saturating_sub(self.begun.len());
            let Some((now, later)) = chunk.split_at_checked(missing) else {
                self.begun.extend_from_slice(chunk);
                return Ok(());
            };
            chunk = later;
            let inputs = self.inputs.next().unwrap_or_default();
            if self.begun.is_empty() {
                place.restore(now, inputs, out)?;
            } else {
                self.begun.extend_from_slice(now);
                place.restore(&self.begun, inputs, out)?;
                self.begun.clear();
            }
            places.next();
        }
        only_zeros(chunk)
    }

    /// Whether all of the body is there.
    pub(super) fn is_whole(&mut self) -> bool {
        self.places.as_mut().is_some_and(|places| places.peek().is_none())
    }
}

/// Length of what stands before the records, if enough of it is there to tell.
fn front_len(stored: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        stored
            .get(at..at.checked_add(4)?)
            .and_then(|b| b.try_into().ok())
            .map(|b| u32::from_be_bytes(b) as usize)
    };
    let header = word(4)?;
    Some(Body::front_len(header, word(header.checked_add(8)?)?.min(MAX_BATCH_RECORDS)))
}

/// Makes the lengths of a stored body those of a body.
fn without_forms(lengths: &mut [u8]) {
    for length in lengths.as_chunks_mut::<4>().0 {
        *length = (u32::from_be_bytes(*length) & ((1 << FORM_SHIFT) - 1)).to_be_bytes();
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
