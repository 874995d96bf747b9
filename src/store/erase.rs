//! What remains of a body when some of its records are erased. In one place, so that every back end and whoever serves a
//! body before its erasure is carried out say the same.

use super::BlockTag;
use crate::base::batch::Body;
use crate::base::record::{LEAF_INPUTS_LEN, LeafInputs, Record, TAG_LEN};
use crate::base::wire::WireError;

/// A body without the content of the records erased from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedBody {
    /// The encoded body, never longer than before.
    pub body: Vec<u8>,
    /// How many records were changed; those that were erased already do not count.
    pub records: u64,
    /// The tags that were in them, with their positions.
    pub tags: Vec<BlockTag>,
}

/// Replaces the records of `body` whose position `gone` names by their leaf inputs (`docs/FORMAT.md` §5, kind 0x02).
/// `leaf_inputs` are those of the whole block. An error if a record is so short that it would grow; no sealed one is.
pub fn erase_from_body(
    body: &[u8],
    leaf_inputs: &[u8],
    gone: impl Fn(u32) -> bool,
) -> Result<ErasedBody, WireError> {
    let decoded = Body::decode(body)?;
    let mut out = ErasedBody { body: Vec::new(), records: 0, tags: Vec::new() };
    let mut records: Vec<Vec<u8>> = Vec::with_capacity(decoded.count());
    let mut inputs = leaf_inputs.chunks(LEAF_INPUTS_LEN);
    for (position, record) in (0u32..).zip(decoded.records()) {
        let kept = inputs.next().unwrap_or_default();
        let mut bytes = Vec::new();
        if gone(position) {
            Record::encode_erased(&LeafInputs::from_bytes(kept)?, &mut bytes);
        }
        if bytes.is_empty() || bytes == record {
            records.push(record.to_vec());
            continue;
        }
        if bytes.len() > record.len() {
            return Err(WireError::Invalid { what: "record", why: "shorter than what would remain of it" });
        }
        // What does not decode goes all the same; it was never in the tag index either.
        if let Ok(Record::Sealed { tags, .. }) = Record::decode(record) {
            let tags = tags.as_chunks::<TAG_LEN>().0.iter();
            out.tags.extend(tags.map(|t| (u64::from_be_bytes(*t), position)));
        }
        out.records += 1;
        records.push(bytes);
    }
    out.body = Body::encode(decoded.header, &records);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::hash::Hash;

    fn inputs(n: u8) -> [u8; LEAF_INPUTS_LEN] {
        let hash = Hash([n; 32]);
        LeafInputs { ciphertext_hash: hash, envelope_hash: hash, disclosure_root: hash }.to_bytes()
    }

    #[test]
    fn only_the_named_records_change_and_only_once() {
        let records: Vec<Vec<u8>> = (0..4u8).map(|n| vec![n + 10; 200]).collect();
        let body = Body::encode(b"header", &records);
        let leaves: Vec<u8> = (0..4).flat_map(inputs).collect();
        let once = erase_from_body(&body, &leaves, |p| p % 2 == 1).unwrap();
        assert_eq!(once.records, 2);
        let left: Vec<Vec<u8>> = Body::decode(&once.body).unwrap().records().map(<[u8]>::to_vec).collect();
        assert_eq!((&left[0], &left[2]), (&records[0], &records[2]));
        for n in [1, 3u8] {
            assert_eq!(left[usize::from(n)], [&[2], &inputs(n)[..]].concat());
        }
        let again = erase_from_body(&once.body, &leaves, |p| p % 2 == 1).unwrap();
        assert_eq!((again.records, &again.body), (0, &once.body));
        assert_eq!(erase_from_body(&once.body, &leaves, |_| true).unwrap().records, 2);
    }

    #[test]
    fn a_record_does_not_grow() {
        let body = Body::encode(b"header", &[vec![1; 96]]);
        assert!(erase_from_body(&body, &inputs(0), |_| true).is_err());
        assert_eq!(erase_from_body(&body, &inputs(0), |_| false).unwrap().body, body);
    }
}
