//! What the tests of this folder share: blocks of which little more than the size matters.

use std::ops::Range;

use crate::base::batch::Body;
use crate::base::record::LEAF_INPUTS_LEN;
use crate::store::{Head, NewBlock};

/// The ledger of these tests.
pub const ORIGIN: &str = "example.org/log";

/// The block at `height` with these records, of so many bytes each and without tags, and the head after it.
pub fn block(height: u64, records: Range<u64>, record_len: usize) -> (NewBlock, Head) {
    let count = (records.end - records.start) as usize;
    let block = NewBlock {
        height,
        first_record: records.start,
        records: count as u32,
        text: vec![b'x'; 1000],
        leaf_inputs: vec![height as u8; count * LEAF_INPUTS_LEN],
        signer: "w".into(),
        sequence: height,
        body: Some(Body::encode(b"h", &vec![vec![1; record_len]; count])),
        tags: Vec::new(),
    };
    let head = Head { size: height + 1, records: records.end, checkpoint: vec![1], state: vec![2] };
    (block, head)
}
