//! Padding that hides lengths: `docs/FORMAT.md` §5, sealing step 2. Padmé (Nikitin et al., PETS 2019)
//! costs at most 12 % and leaves few distinct lengths; a floor makes short payloads all alike.

use crate::base::limits::MIN_PADDED_BYTES;

/// First byte after the payload; zero bytes follow it.
const MARK: u8 = 0x80;

/// Padmé: E = ⌊log2 L⌋, B = ⌊log2 E⌋ + 1, z = E − B, and L rounded up to a multiple of 2^z. `len` ≥ 2.
fn padme(len: usize) -> usize {
    let e = len.ilog2();
    let b = e.ilog2() + 1;
    let low = (1usize << (e - b.min(e))) - 1;
    (len + low) & !low
}

/// Length of a payload of `len` bytes once padded. `len` is at most half of `usize::MAX`.
pub fn padded_len(len: usize) -> usize {
    padme((len + 1).max(MIN_PADDED_BYTES))
}

/// Appends `payload` and its padding to `out`.
pub fn pad_into(payload: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + padded_len(payload.len());
    out.extend_from_slice(payload);
    out.push(MARK);
    out.resize(end, 0);
}

/// Length of the payload inside `padded`; `None` unless it is padded exactly as [`pad_into`] does.
pub fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let len = padded.iter().rposition(|b| *b != 0)?;
    (padded.get(len) == Some(&MARK) && padded_len(len) == padded.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_lengths() {
        // By hand: 129 → E = 7, B = 3, z = 4, next multiple of 16; 801 → E = 9, B = 4, z = 5, next multiple of 32; 9,000 →
        // E = 13, B = 4, z = 9.
        for (payload, padded) in
            [(0, 128), (127, 128), (128, 144), (143, 144), (799, 800), (800, 832), (8_999, 9_216)]
        {
            assert_eq!(padded_len(payload), padded, "{payload}");
        }
    }

    #[test]
    fn overhead_is_at_most_12_percent_above_the_floor() {
        for len in MIN_PADDED_BYTES..100_000 {
            let p = padme(len);
            assert!(p >= len && p * 100 <= len * 112, "{len} → {p}");
        }
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mut out = vec![1, 2, 3];
            pad_into(&payload, &mut out);
            let padded = &out[3..];
            prop_assert_eq!(padded.len(), padded_len(payload.len()));
            let n = unpadded_len(padded).unwrap();
            prop_assert_eq!(&padded[..n], &payload[..]);
            // One payload has one padded form: neither longer nor shorter is accepted.
            let longer = [padded, &[0]].concat();
            prop_assert_eq!(unpadded_len(&longer), None);
            prop_assert_ne!(unpadded_len(&padded[..padded.len() - 1]), Some(n));
        }
    }

    #[test]
    fn no_mark_is_refused() {
        assert_eq!(unpadded_len(&[0; 128]), None);
        assert_eq!(unpadded_len(&[7; 128]), None);
        assert_eq!(unpadded_len(&[]), None);
    }
}
