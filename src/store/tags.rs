//! The blind tags in a stored body. Only their places are looked at; what a tag stands for nobody here knows.

use super::BlockTag;
use crate::base::batch::Body;
use crate::base::record::{Record, TAG_LEN};
use crate::base::wire::WireError;

/// The tags of a body, sorted by tag and then position. Erased records have none left.
pub fn body_tags(body: &[u8]) -> Result<Vec<BlockTag>, WireError> {
    let mut out = Vec::new();
    if body.is_empty() {
        return Ok(out);
    }
    for (position, record) in (0u32..).zip(Body::decode(body)?.records()) {
        if let Record::Sealed { tags, .. } = Record::decode(record)? {
            let tags = tags.as_chunks::<TAG_LEN>().0.iter();
            out.extend(tags.map(|tag| (u64::from_be_bytes(*tag), position)));
        }
    }
    out.sort_unstable();
    Ok(out)
}
