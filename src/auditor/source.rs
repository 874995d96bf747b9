//! Where a verifier reads a ledger from: a server here, a database file in the command line's layer.

use crate::base::record::LEAF_INPUTS_LEN;
use crate::base::wire::Reader;
use crate::chain::tile::index_path_with_width;
use crate::client::{Client, ClientError};

/// Why a source could not deliver. Not a finding about the ledger: the question stays open.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

impl From<ClientError> for SourceError {
    fn from(e: ClientError) -> Self {
        SourceError(e.to_string())
    }
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
}

/// A ledger behind a server. With a session, bodies are downloaded in bulk.
pub struct ServerSource<'a> {
    client: &'a Client,
    with_bodies: bool,
    /// Bodies downloaded and not yet asked for, lowest height last.
    ahead: Vec<(u64, Vec<u8>)>,
}

impl<'a> ServerSource<'a> {
    /// Reads through `client`; `with_bodies` needs a session.
    pub fn new(client: &'a Client, with_bodies: bool) -> Self {
        ServerSource { client, with_bodies, ahead: Vec::new() }
    }
}

/// Entries of a full bundle (C2SP tlog-tiles).
const BUNDLE: u64 = 256;

impl Source for ServerSource<'_> {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(self.client.checkpoint()?)
    }

    fn blocks(&mut self, height: u64, size: u64) -> Result<Vec<String>, SourceError> {
        let bundle = height / BUNDLE;
        let width = (size - bundle * BUNDLE).min(BUNDLE);
        let path = entries_path(bundle, width);
        let bytes = self.client.tile(&path)?;
        let bad = |_| SourceError(format!("the entry bundle {path} is malformed"));
        let mut reader = Reader::new(&bytes, "entry bundle");
        let mut texts = Vec::new();
        while !reader.remaining().is_empty() {
            texts.push(reader.str16().map_err(bad)?.to_owned());
        }
        if texts.len() as u64 != width {
            return Err(SourceError(format!(
                "the entry bundle {path} holds {} blocks, not {width}",
                texts.len()
            )));
        }
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
            self.ahead = self.client.bodies(height, size - height)?;
            self.ahead.reverse();
        }
        match self.ahead.pop() {
            Some((h, body)) if h == height => Ok(body),
            _ => Err(SourceError(format!("the server gave no body for block {height}"))),
        }
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        let bytes = self.client.leaf_inputs(height)?;
        if bytes.len() % LEAF_INPUTS_LEN != 0 {
            return Err(SourceError(format!("the leaf inputs of block {height} are cut short")));
        }
        Ok(bytes)
    }
}

fn entries_path(bundle: u64, width: u64) -> String {
    // A bundle has at most 256 entries.
    format!("entries/{}", index_path_with_width(bundle, width as u16))
}
