//! The log over all blocks: an RFC 6962 tree kept as C2SP tlog-tiles. `docs/FORMAT.md` §9.
//!
//! In memory is only the right edge: per level the tile that is not full yet, with the roots inside it, at most
//! 16 KB each. Full tiles are handed to the caller once, to be stored, and read back through
//! [`TileReader`]. What is read back is trusted: who restores a log compares [`Log::root`] with the
//! last signed checkpoint.

use std::collections::HashMap;
use std::sync::Arc;

use super::subtree::{Subtrees, fold_peaks};
pub use super::tile::{TILE_WIDTH, TileId};
use crate::base::hash::{HASH_LEN, Hash};

/// Entries of a tile, as an index.
const WIDTH: u64 = TILE_WIDTH as u64;
/// Binary levels of the tree inside one tile.
const TILE_HEIGHT: u32 = 8;

/// Gives stored full tiles.
pub trait TileReader {
    /// The 8,192 bytes of a full tile; `None` if it is not stored.
    fn full_tile(&self, id: TileId) -> Result<Option<Vec<u8>>, String>;

    /// A full tile with the roots inside it; a reader may keep it, since full tiles never change.
    fn full_tree(&self, id: TileId) -> Result<Arc<Subtrees>, LogError> {
        Ok(Arc::new(Subtrees::of_bytes(&full_bytes(self, id)?)))
    }
}

/// Why a tile or proof could not be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The question goes beyond the log.
    #[error("the log has {size} entries; {asked} asks for more")]
    Range {
        /// Entries there are.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The tile must exist but the store does not have it.
    #[error("tile {} is missing from the store; rebuild the tiles from the blocks", .0.path())]
    Missing(TileId),
    /// The stored tile has another length.
    #[error("tile {} of the store has {bytes} bytes, not 8192; rebuild the tiles from the blocks", id.path())]
    Damaged {
        /// Which one.
        id: TileId,
        /// Its length.
        bytes: usize,
    },
    /// The store failed.
    #[error("reading a tile failed: {0}")]
    Store(String),
    /// The number of leaf hashes does not fit the size.
    #[error("restoring a log of {size} entries needs its last {expected} leaf hashes, not {found}")]
    Tail {
        /// Size of the log.
        size: u64,
        /// Hashes needed.
        expected: u64,
        /// Hashes given.
        found: usize,
    },
}

/// The log's tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    size: u64,
    /// `edge[l]` is the partial tile of level l: `size / 256^l mod 256` hashes.
    edge: Vec<Arc<Subtrees>>,
}

impl Log {
    /// The empty log.
    pub fn new() -> Log {
        Log::default()
    }

    /// Brings back a log of `size` entries. `tail` are the leaf hashes of its last `size mod 256` entries;
    /// the rest of the edge is computed from stored full tiles, at most 255 of each level.
    pub fn restore(size: u64, tail: &[Hash], reader: &dyn TileReader) -> Result<Log, LogError> {
        let expected = size % WIDTH;
        if tail.len() as u64 != expected {
            return Err(LogError::Tail { size, expected, found: tail.len() });
        }
        if size == 0 {
            return Ok(Log::new());
        }
        let tree = |hashes: &[Hash]| Arc::new(Subtrees::new(hashes.iter().copied()));
        let mut edge = vec![tree(tail)];
        let mut level = 0u8;
        // Number of full tiles of `level`, which is the number of hashes at the level above.
        let mut full = size / WIDTH;
        while full > 0 {
            let partial = full - full % WIDTH..full;
            let hashes = partial
                .map(|index| root_of_full(reader, TileId { level, index }))
                .collect::<Result<Vec<_>, LogError>>()?;
            edge.push(tree(&hashes));
            level += 1;
            full /= WIDTH;
        }
        Ok(Log { size, edge })
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds one entry by its leaf hash. Returns the full tiles this completes, lowest level first; the
    /// caller stores them before it asks for a proof.
    pub fn append(&mut self, leaf: Hash) -> Vec<(TileId, Vec<u8>)> {
        let mut done = Vec::new();
        self.size += 1;
        let (mut hash, mut level, mut count) = (leaf, 0u8, self.size);
        loop {
            let at = usize::from(level);
            if self.edge.len() <= at {
                self.edge.push(Arc::default());
            }
            let Some(tile) = self.edge.get_mut(at) else { return done };
            Arc::make_mut(tile).push(hash);
            let Some(root) = tile.root(TILE_HEIGHT, 0) else { return done };
            hash = root;
            count /= WIDTH;
            done.push((TileId { level, index: count - 1 }, tile.to_bytes()));
            *tile = Arc::default();
            level += 1;
        }
    }

    /// RFC 6962 root over all entries.
    pub fn root(&self) -> Hash {
        // Peaks, largest subtree first: high levels stand before low ones.
        let peaks = self.edge.iter().rev().flat_map(|tile| tile.peaks());
        fold_peaks(&peaks.collect::<Vec<_>>())
    }

    /// The bytes of a tile as its path names it: the first `width` hashes, 1 to 256. `None` if the log is
    /// not that long; a partial tile stays available after it has filled up.
    pub fn tile(&self, reader: &dyn TileReader, id: TileId, width: u16) -> Result<Option<Vec<u8>>, LogError> {
        let exists = self.tile_width(id);
        if width == 0 || u64::from(width) > exists {
            return Ok(None);
        }
        let mut bytes = if exists == WIDTH {
            full_bytes(reader, id)?
        } else {
            self.edge.get(usize::from(id.level)).map(|t| t.to_bytes()).unwrap_or_default()
        };
        bytes.truncate(usize::from(width) * HASH_LEN);
        Ok(Some(bytes))
    }

    /// How many hashes tile `id` has now, 0 to 256.
    pub fn tile_width(&self, id: TileId) -> u64 {
        let shift = TILE_HEIGHT * u32::from(id.level);
        let hashes = self.size.checked_shr(shift).unwrap_or(0);
        hashes.saturating_sub(id.index.saturating_mul(WIDTH)).min(WIDTH)
    }

    /// RFC 9162 §2.1.3.1: the inclusion path of entry `index` in the tree of the first `size` entries, the
    /// leaf's sibling first.
    pub fn inclusion_path(
        &self,
        reader: &dyn TileReader,
        index: u64,
        size: u64,
    ) -> Result<Vec<Hash>, LogError> {
        self.check(size, self.size)?;
        self.check(index.saturating_add(1), size)?;
        let mut nodes = Nodes { log: self, reader, tiles: HashMap::new() };
        let (mut lo, mut hi, mut path) = (0, size, Vec::new());
        while hi - lo > 1 {
            let middle = lo + split(hi - lo);
            if index < middle {
                path.push(nodes.root(middle, hi)?);
                hi = middle;
            } else {
                path.push(nodes.root(lo, middle)?);
                lo = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// RFC 9162 §2.1.4.1: the consistency path from the tree of the first `old` entries to that of the
    /// first `new`. Empty if `old` is 0 or equal to `new`.
    pub fn consistency_path(
        &self,
        reader: &dyn TileReader,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>, LogError> {
        self.check(new, self.size)?;
        self.check(old, new)?;
        if old == 0 {
            return Ok(Vec::new());
        }
        let mut nodes = Nodes { log: self, reader, tiles: HashMap::new() };
        let (mut lo, mut hi, mut path) = (0, new, Vec::new());
        // SUBPROOF(m, D, b): `lo..hi` is D, and b says that D still starts at the first entry.
        while old != hi {
            let middle = lo + split(hi - lo);
            if old <= middle {
                path.push(nodes.root(middle, hi)?);
                hi = middle;
            } else {
                path.push(nodes.root(lo, middle)?);
                lo = middle;
            }
        }
        if lo != 0 {
            path.push(nodes.root(lo, hi)?);
        }
        path.reverse();
        Ok(path)
    }

    fn check(&self, asked: u64, size: u64) -> Result<(), LogError> {
        if asked > size { Err(LogError::Range { size, asked }) } else { Ok(()) }
    }
}

/// RFC 6962 §2.1: the largest power of two smaller than `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Subtree roots for one proof; every tile is read once.
struct Nodes<'a> {
    log: &'a Log,
    reader: &'a dyn TileReader,
    tiles: HashMap<TileId, Arc<Subtrees>>,
}

impl Nodes<'_> {
    /// Root over entries `lo..hi`, a range that RFC 6962 cuts out of a tree: `lo` is a multiple of every
    /// power of two that the range's length reaches.
    fn root(&mut self, mut lo: u64, hi: u64) -> Result<Hash, LogError> {
        let mut peaks = Vec::new();
        while lo < hi {
            let height = (hi - lo).ilog2();
            peaks.push(self.perfect(lo, height)?);
            lo += 1 << height;
        }
        Ok(fold_peaks(&peaks))
    }

    /// Root of the perfect subtree of 2^height entries that starts at entry `start`.
    fn perfect(&mut self, start: u64, height: u32) -> Result<Hash, LogError> {
        let (level, inner) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let at = start >> (TILE_HEIGHT * level);
        let id = TileId { level: level as u8, index: at / WIDTH };
        if !self.tiles.contains_key(&id) {
            let tree = if self.log.tile_width(id) == WIDTH {
                self.reader.full_tree(id)?
            } else {
                self.log.edge.get(usize::from(id.level)).cloned().unwrap_or_default()
            };
            self.tiles.insert(id, tree);
        }
        let index = (at % WIDTH) as usize >> inner;
        self.tiles.get(&id).and_then(|t| t.root(inner, index)).ok_or(LogError::Missing(id))
    }
}

fn full_bytes<R: TileReader + ?Sized>(reader: &R, id: TileId) -> Result<Vec<u8>, LogError> {
    let bytes = reader.full_tile(id).map_err(LogError::Store)?.ok_or(LogError::Missing(id))?;
    if bytes.len() == WIDTH as usize * HASH_LEN {
        Ok(bytes)
    } else {
        Err(LogError::Damaged { id, bytes: bytes.len() })
    }
}

fn root_of_full(reader: &dyn TileReader, id: TileId) -> Result<Hash, LogError> {
    reader.full_tree(id)?.root(TILE_HEIGHT, 0).ok_or(LogError::Missing(id))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
