//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use std::io::Cursor;
use std::path::Path;

use super::grant_file::GrantFileReader;
use super::{init, log, verify};

/// How many grants a grant file holds; `None` if it is damaged.
pub fn grant_file(bytes: &[u8]) -> Option<usize> {
    let mut reader = GrantFileReader::of(Path::new("grants"), Box::new(Cursor::new(bytes.to_vec()))).ok()?;
    let mut grants = 0;
    while reader.next_grant().ok()?.is_some() {
        grants += 1;
    }
    Some(grants)
}

/// Whether `NAME=age1…` names a reader.
pub fn reader_argument(text: &str) -> bool {
    init::parse_reader(text).is_ok()
}

/// Whether a file that is to be verified is taken for evidence rather than for a proof.
pub fn is_evidence(bytes: &[u8]) -> bool {
    verify::is_evidence(bytes)
}

/// How many events `log` finds in a file, and their bytes; `None` if it refuses the file, or would after sending a part.
pub fn events_file(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut events, mut length) = (0, 0);
    let mut take = |chunk: &mut Vec<Vec<u8>>, _: usize| {
        events += chunk.len();
        length += chunk.iter().map(Vec::len).sum::<usize>();
        Ok(())
    };
    log::for_each_chunk(Box::new(Cursor::new(bytes.to_vec())), &mut take).ok()?;
    Some((events, length))
}
