//! Member names: a cheap 64-bit key, and finding the same name twice in one object in bounded time.

use super::error::{EventError, Rule};

/// Objects with more members than this are checked once, by sorting, when they close.
const CHECKED_ONE_BY_ONE: usize = 32;

/// A key equal for equal names: from the length and the first and last eight bytes. Names that were
/// chosen to share a key only cost the comparison of their bytes.
#[inline]
pub(super) fn key(name: &[u8]) -> u64 {
    let n = name.len();
    let (a, b) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(a), Some(b)) => (u64::from_le_bytes(*a), u64::from_le_bytes(*b)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(a), Some(b)) => (u64::from(u32::from_le_bytes(*a)), u64::from(u32::from_le_bytes(*b))),
            _ => (name.iter().fold(0, |x, c| x << 8 | u64::from(*c)), 0),
        },
    };
    let x = (a ^ b.rotate_left(29) ^ (n as u64).rotate_left(56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^ (x >> 32)
}

/// One name of an open object.
pub(super) struct Name {
    key: u64,
    /// Where its bytes will stand in the arena of pointers: the first leaf under a member puts them there.
    start: u32,
    len: u32,
    /// Offset of the name in the text, for errors.
    at: u32,
}

/// The names of all open objects, innermost last.
#[derive(Default)]
pub(super) struct Names(Vec<Name>);

/// Where one object's names start, and a 64-bit Bloom filter of their keys.
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    start: usize,
    seen: u64,
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Starts an object.
    pub(super) fn open(&self) -> Open {
        Open { start: self.0.len(), seen: 0 }
    }

    /// Adds the name `token`, which will stand at `start` of the arena.
    #[inline]
    pub(super) fn add(
        &mut self,
        open: &mut Open,
        key: u64,
        token: &str,
        start: usize,
        at: usize,
        arena: &str,
    ) -> Result<(), EventError> {
        let bit = 1 << (key & 63);
        if open.seen & bit != 0 {
            let names = self.0.get(open.start..).unwrap_or_default();
            if names.len() < CHECKED_ONE_BY_ONE
                && names.iter().any(|n| n.key == key && n.text(arena) == Some(token.as_bytes()))
            {
                return Err(EventError::new(Rule::DuplicateName, at));
            }
        }
        open.seen |= bit;
        self.0.push(Name { key, start: start as u32, len: token.len() as u32, at: at as u32 });
        Ok(())
    }

    /// Ends an object, whose leaves are all in the arena by now.
    #[inline]
    pub(super) fn close(&mut self, open: Open, arena: &str) -> Result<(), EventError> {
        if self.0.len() - open.start > CHECKED_ONE_BY_ONE {
            let names = self.0.get_mut(open.start..).unwrap_or_default();
            names.sort_unstable_by(|a, b| (a.key, a.text(arena), a.at).cmp(&(b.key, b.text(arena), b.at)));
            for (a, b) in names.iter().zip(names.iter().skip(1)) {
                if a.key == b.key && a.text(arena) == b.text(arena) {
                    return Err(EventError::new(Rule::DuplicateName, b.at as usize));
                }
            }
        }
        self.0.truncate(open.start);
        Ok(())
    }
}

impl Name {
    fn text<'a>(&self, arena: &'a str) -> Option<&'a [u8]> {
        arena.as_bytes().get(self.start as usize..(self.start + self.len) as usize)
    }
}
