//! Where a verifier reads a ledger from: a server here, a database file in the command line's layer.

use std::sync::Arc;

use crate::base::limits::{FETCH_BYTES, MAX_BULK_BLOCKS};
use crate::base::record::LEAF_INPUTS_LEN;
use crate::base::wire::{Reader, WireError};
use crate::chain::tile::{TILE_WIDTH, index_path_with_width};
use crate::client::{Client, ClientError};

/// Why a source could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not a finding about the ledger: the question stays open.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read as what it must be: it does not hold, whatever else there is.
    #[error("{0}")]
    Damaged(String),
    /// There is no ledger in it. A finding for whoever has seen one there.
    #[error("{0}")]
    Empty(String),
}

impl From<ClientError> for SourceError {
    fn from(e: ClientError) -> Self {
        SourceError::Unavailable(e.to_string())
    }
}

/// How often a reading begins anew because content is gone that no order explains: a ledger that runs may have been given the order, and
/// have carried it out, since the reading began.
pub(super) const ATTEMPTS: usize = 5;

/// Blocks with records that several threads may read at a time, each hashing what it reads.
pub trait Blocks: Send + Sync {
    /// Reads the block at `height`: its leaf inputs into `leaf_inputs`, then its body, piece by piece, onto the end of `body`. `each`
    /// is called after every piece and may take from `body` what it is done with; it ends the reading with `false`. Gives whether all
    /// of the body came.
    fn stream(
        &self,
        height: u64,
        leaf_inputs: &mut Vec<u8>,
        body: &mut Vec<u8>,
        each: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<bool, SourceError>;
    /// As [`Source::body`].
    fn body(&self, height: u64) -> Result<Vec<u8>, SourceError>;
    /// As [`Source::leaf_inputs`].
    fn leaf_inputs(&self, height: u64) -> Result<Vec<u8>, SourceError>;
}

/// A ledger as stored, believed in nothing.
pub trait Source {
    /// The signed checkpoint.
    fn checkpoint(&mut self) -> Result<String, SourceError>;
    /// Some block texts from `height` on, at least one if there is one.
    fn blocks(&mut self, height: u64, size: u64) -> Result<Vec<String>, SourceError>;
    /// Whether [`Source::body`] gives bodies; without them only hashes can be verified.
    fn has_bodies(&self) -> bool;
    /// The body of a block; empty if it is not there.
    fn body(&mut self, height: u64, size: u64) -> Result<Vec<u8>, SourceError>;
    /// The permanent leaf inputs of a block.
    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError>;
    /// What [`Source::body`] and [`Source::leaf_inputs`] give, for several threads, if this source can be read so.
    fn shared(&self) -> Option<Arc<dyn Blocks>> {
        None
    }
}

/// A ledger behind a server. With a session, bodies are downloaded in bulk.
pub struct ServerSource<'a> {
    client: &'a Client,
    with_bodies: bool,
    /// Bodies downloaded and not yet asked for, lowest height last.
    ahead: Vec<(u64, Vec<u8>)>,
    /// How many blocks to ask for next.
    count: u64,
}

impl<'a> ServerSource<'a> {
    /// Reads through `client`; `with_bodies` needs a session.
    pub fn new(client: &'a Client, with_bodies: bool) -> Self {
        ServerSource { client, with_bodies, ahead: Vec::new(), count: FIRST_COUNT }
    }
}

/// Blocks asked for when nothing is known of their size.
const FIRST_COUNT: u64 = 4;

/// How many blocks to ask for so that the answer has about [`FETCH_BYTES`], if they are like these. At most twice as many, so that a
/// few small blocks do not bring many large ones.
fn next_count(last: &[(u64, Vec<u8>)]) -> u64 {
    let bytes: usize = last.iter().map(|(_, body)| body.len()).sum();
    let fits = FETCH_BYTES.saturating_mul(last.len()) / bytes.max(1);
    (fits as u64).clamp(1, (2 * last.len() as u64).max(FIRST_COUNT)).min(MAX_BULK_BLOCKS)
}

/// Entries of a full bundle (C2SP tlog-tiles): those of a full tile.
const BUNDLE: u64 = TILE_WIDTH as u64;

impl Source for ServerSource<'_> {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(self.client.checkpoint()?)
    }

    fn blocks(&mut self, height: u64, size: u64) -> Result<Vec<String>, SourceError> {
        let bundle = height / BUNDLE;
        let width = (size - bundle * BUNDLE).min(BUNDLE);
        let path = entries_path(bundle, width);
        let bytes = self.client.tile(&path)?;
        let bad = |_| SourceError::Unavailable(format!("the entry bundle {path} is malformed"));
        let mut texts = split(&bytes, width as usize).map_err(bad)?.ok_or_else(|| {
            SourceError::Unavailable(format!(
                "the entry bundle {path} does not hold {width} blocks, as it must"
            ))
        })?;
        Ok(texts.split_off((height - bundle * BUNDLE) as usize))
    }

    fn has_bodies(&self) -> bool {
        self.with_bodies
    }

    fn body(&mut self, height: u64, size: u64) -> Result<Vec<u8>, SourceError> {
        while self.ahead.last().is_some_and(|(h, _)| *h < height) {
            self.ahead.pop();
        }
        if self.ahead.last().is_none_or(|(h, _)| *h != height) {
            // What was left of the last answer goes before the next one comes.
            self.ahead = Vec::new();
            self.ahead = self.client.bodies(height, self.count.min(size - height))?;
            self.count = next_count(&self.ahead);
            self.ahead.reverse();
        }
        match self.ahead.pop() {
            Some((h, body)) if h == height => Ok(body),
            _ => Err(SourceError::Unavailable(format!("the server gave no body for block {height}"))),
        }
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        let bytes = self.client.leaf_inputs(height)?;
        if bytes.len() % LEAF_INPUTS_LEN != 0 {
            return Err(SourceError::Unavailable(format!("the leaf inputs of block {height} are cut short")));
        }
        Ok(bytes)
    }
}

/// The texts of a bundle; `None` unless there are exactly `width`. Stops there: a bundle of empty texts would take many times
/// its size.
pub(super) fn split(bytes: &[u8], width: usize) -> Result<Option<Vec<String>>, WireError> {
    let mut reader = Reader::new(bytes, "entry bundle");
    let mut texts = Vec::with_capacity(width);
    while !reader.remaining().is_empty() {
        if texts.len() == width {
            return Ok(None);
        }
        texts.push(reader.str16()?.to_owned());
    }
    Ok(Some(texts).filter(|t| t.len() == width))
}

fn entries_path(bundle: u64, width: u64) -> String {
    // A bundle has at most 256 entries.
    format!("entries/{}", index_path_with_width(bundle, width as u16))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_many_blocks_are_asked_for_as_fit_the_memory() {
        let bodies = |count: u64, bytes: usize| (0..count).map(|h| (h, vec![0; bytes])).collect::<Vec<_>>();
        assert_eq!(next_count(&bodies(4, FETCH_BYTES / 10)), 8);
        assert_eq!(next_count(&bodies(8, FETCH_BYTES / 10)), 10);
        assert_eq!(next_count(&bodies(8, 2 * FETCH_BYTES)), 1);
        assert_eq!(next_count(&bodies(200, 10)), MAX_BULK_BLOCKS);
        assert_eq!(next_count(&[]), 1);
    }

    #[test]
    fn a_bundle_is_split_no_further_than_its_width() {
        let three = [0, 1, b'a', 0, 0, 0, 1, b'c'];
        assert_eq!(split(&three, 3), Ok(Some(vec!["a".into(), String::new(), "c".into()])));
        assert_eq!(split(&three, 4), Ok(None));
        assert!(split(&three[..7], 3).is_err());
        // What follows the last wanted text is not read: a cut length would be an error otherwise.
        assert_eq!(split(&[0, 0, 0, 0, 9, 9, 9], 2), Ok(None));
        assert_eq!(split(&[0; 1000], 256), Ok(None));
    }
}
