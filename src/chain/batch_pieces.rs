//! A batch's hashes from a body that comes in pieces: the same as [`commit`](super::batch::commit) gives for all of it.

use super::batch::{BatchCommitment, BatchError, Records, header_hash};
use super::merkle::TOGETHER;
use crate::base::batch::{Body, Header};
use crate::base::hash::Hash;
use crate::base::wire::WireError;

/// Bytes of records that are hashed as they are read although they are fewer than [`TOGETHER`].
const PIECE_BYTES: usize = 512 * 1024;

/// Hashes a body as it is read, each piece while it is in the core's cache, and then the next body in the same memory.
#[derive(Default)]
pub struct PieceHasher {
    front: Option<(Header, Hash)>,
    lengths: Vec<u32>,
    /// Records hashed.
    done: usize,
    /// Bytes hashed, with the front.
    bytes: usize,
    records: Records,
}

impl PieceHasher {
    /// Forgets what was not finished.
    pub fn start(&mut self) {
        (self.front, self.done, self.bytes) = (None, 0, 0);
    }

    /// Takes from the beginning of `pending` the whole records there, when they are worth it: the body is what was in `pending`.
    pub fn absorb(&mut self, pending: &mut Vec<u8>) -> Result<(), BatchError> {
        self.take(pending, TOGETHER, PIECE_BYTES)
    }

    fn take(&mut self, pending: &mut Vec<u8>, records: usize, bytes: usize) -> Result<(), BatchError> {
        let mut at = 0;
        if self.front.is_none() {
            let Some((header, lengths, front)) = Body::decode_front(pending)? else { return Ok(()) };
            let hash = header_hash(header);
            let header = Header::decode(header)?;
            self.lengths.clear();
            self.lengths.extend(lengths);
            let total = front + self.lengths.iter().map(|n| *n as usize).sum::<usize>();
            self.records.start(&header, self.lengths.len(), total);
            self.front = Some((header, hash));
            at = front;
        }
        let rest = pending.get(at..).unwrap_or_default();
        let lengths = self.lengths.get(self.done..).unwrap_or_default();
        let (mut whole, mut end) = (0, 0);
        for n in lengths.iter().map(|n| *n as usize) {
            if end + n > rest.len() {
                break;
            }
            (whole, end) = (whole + 1, end + n);
        }
        if whole >= records || end >= bytes {
            let mut left = rest;
            let split = |n: &u32| {
                let (record, later) = left.split_at_checked(*n as usize).unwrap_or((left, &[]));
                left = later;
                record
            };
            self.records.take(lengths.iter().take(whole).map(split))?;
            self.done += whole;
            at += end;
        }
        self.bytes += at;
        pending.drain(..at);
        Ok(())
    }

    /// After the last piece; what is left of the body is in `pending`.
    pub fn finish(&mut self, pending: &mut Vec<u8>) -> Result<BatchCommitment, BatchError> {
        self.take(pending, 0, 0)?;
        let what = "batch body";
        let (header, hash) = self.front.take().ok_or(WireError::Truncated { what })?;
        if self.done != self.lengths.len() {
            return Err(WireError::Truncated { what }.into());
        }
        match pending.len() {
            0 => Ok(self.records.finish(header, hash, self.bytes)),
            extra => Err(WireError::Trailing { what, extra }.into()),
        }
    }

    /// Takes the memory of an answer back, for the next one.
    pub fn recycle(&mut self, commitment: BatchCommitment) {
        (self.records.leaf_inputs, self.records.tags) = (commitment.leaf_inputs, commitment.tags);
    }

    /// Positions of the erased records of the body finished last.
    pub fn erased(&self) -> &[u32] {
        &self.records.erased
    }

    /// How many tags there are so far: the one thing kept of records that can become large.
    pub fn tags(&self) -> usize {
        self.records.tags.len()
    }
}
