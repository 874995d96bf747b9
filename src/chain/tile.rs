//! Tiles by name: C2SP tlog-tiles, "Merkle Tree" and "Log entries". `docs/FORMAT.md` §9.

use super::text::parse_number;

/// Hashes of a full tile, and entries of a full entry bundle.
pub const TILE_WIDTH: u16 = 256;
/// Highest level a tile path may name.
const MAX_LEVEL: u8 = 63;

/// A tile of the log: 256 consecutive hashes of one level, each over 256^level entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TileId {
    /// 0 holds leaf hashes; each hash of level L + 1 is the root of a full tile of level L.
    pub level: u8,
    /// Number of the tile within its level.
    pub index: u64,
}

impl TileId {
    /// `<L>/<N>` as it follows `/tile/`, such as `0/x001/x234/067`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.level, index_path(self.index))
    }

    /// Like [`TileId::path`], with `.p/<W>` for a partial tile of `width` below 256.
    pub fn path_with_width(&self, width: u16) -> String {
        format!("{}/{}", self.level, index_path_with_width(self.index, width))
    }

    /// Reads `<L>/<N>[.p/<W>]` in its only spelling; gives the width too, 256 without `.p`.
    pub fn parse(path: &str) -> Option<(TileId, u16)> {
        let (level, rest) = path.split_once('/')?;
        let level = u8::try_from(parse_number(level)?).ok().filter(|l| *l <= MAX_LEVEL)?;
        let (index, width) = parse_index_path(rest)?;
        Some((TileId { level, index }, width))
    }
}

/// `<N>`: groups of three digits, all but the last behind an `x`, such as `x001/x234/067`.
pub fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Like [`index_path`], with `.p/<W>` for a `width` below 256.
pub fn index_path_with_width(index: u64, width: u16) -> String {
    let path = index_path(index);
    if width < TILE_WIDTH { format!("{path}.p/{width}") } else { path }
}

/// Reads `<N>[.p/<W>]` in its only spelling, as tiles and entry bundles have it: (index, width).
pub fn parse_index_path(path: &str) -> Option<(u64, u16)> {
    let (number, width) = match path.split_once(".p/") {
        None => (path, TILE_WIDTH),
        Some((number, width)) => {
            let width = u16::try_from(parse_number(width)?).ok()?;
            (number, Some(width).filter(|w| (1..TILE_WIDTH).contains(w))?)
        }
    };
    let mut index = 0u64;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // Wrong x marks and leading groups of zeros come out differently.
    (index_path(index) == number).then_some((index, width))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_specifications_example() {
        assert_eq!(index_path(1_234_067), "x001/x234/067");
        assert_eq!(TileId { level: 0, index: 273 }.path_with_width(112), "0/273.p/112");
        assert_eq!(TileId { level: 2, index: 0 }.path_with_width(256), "2/000");
        assert_eq!(TileId::parse("63/x001/x234/067"), Some((TileId { level: 63, index: 1_234_067 }, 256)));
    }

    #[test]
    fn every_index_round_trips() {
        for index in [0, 9, 999, 1000, 1_000_000, 999_999_999, u64::MAX] {
            for width in [1, 255, 256] {
                let text = TileId { level: 1, index }.path_with_width(width);
                assert_eq!(TileId::parse(&text), Some((TileId { level: 1, index }, width)), "{text}");
            }
            assert_eq!(TileId::parse(&TileId { level: 0, index }.path()).unwrap().0.index, index);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "0",
            "0/",
            "0/0",
            "0/00",
            "0/0000",
            "0/x000/001",
            "0/001/002",
            "0/x001",
            "0/001.p/0",
            "0/001.p/256",
            "0/001.p/01",
            "0/001.p/",
            "64/000",
            "00/000",
            "+1/000",
            "0/000/",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/-01",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
            "0/é00",
            "data/000",
        ] {
            assert_eq!(TileId::parse(bad), None, "{bad}");
        }
    }
}
