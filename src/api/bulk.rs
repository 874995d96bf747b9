//! Binary messages: a sealed batch on its way in, and the bodies of many blocks on their way out.

use crate::base::limits::{MAX_BATCH_BYTES, MAX_BULK_BLOCKS, MAX_STATEMENT_BYTES};
use crate::base::wire::{Reader, WireError, WireWrite};

/// `u32(statement length) ‖ statement ‖ body`.
pub fn encode_batch(statement: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + statement.len() + body.len());
    out.put_u32(statement.len() as u32);
    out.extend_from_slice(statement.as_bytes());
    out.extend_from_slice(body);
    out
}

/// Splits what [`encode_batch`] joined.
pub fn decode_batch(bytes: &[u8]) -> Result<(&str, &[u8]), WireError> {
    let mut r = Reader::new(bytes, "batch upload");
    let n = r.u32()? as usize;
    if n > MAX_STATEMENT_BYTES {
        return r.invalid("the statement is larger than MAX_STATEMENT_BYTES");
    }
    let statement = r.take(n)?;
    let Ok(statement) = std::str::from_utf8(statement) else {
        return r.invalid("the statement is not UTF-8");
    };
    Ok((statement, r.remaining()))
}

/// Appends one block's body: `u64(height) ‖ u32(length) ‖ body`.
pub fn put_body(height: u64, body: &[u8], out: &mut Vec<u8>) {
    out.put_u64(height);
    out.put_u32(body.len() as u32);
    out.extend_from_slice(body);
}

/// Splits a bulk answer into (height, body).
pub fn decode_bodies(bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, WireError> {
    let mut r = Reader::new(bytes, "bulk download");
    let mut out = Vec::new();
    while !r.remaining().is_empty() {
        // Empty bodies would take several times their bytes.
        if out.len() as u64 == MAX_BULK_BLOCKS {
            return r.invalid("more bodies than are ever sent at once");
        }
        let height = r.u64()?;
        let n = r.u32()? as usize;
        if n > MAX_BATCH_BYTES {
            return r.invalid("a body is larger than MAX_BATCH_BYTES");
        }
        out.push((height, r.take(n)?));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_bodies_than_are_asked_for() {
        let mut bytes = Vec::new();
        (0..MAX_BULK_BLOCKS).for_each(|height| put_body(height, b"", &mut bytes));
        assert_eq!(decode_bodies(&bytes).map(|b| b.len() as u64), Ok(MAX_BULK_BLOCKS));
        put_body(7, b"", &mut bytes);
        assert!(decode_bodies(&bytes).is_err());
    }
}
