//! Recipients as text: `age1…`, compared by the public key inside. `docs/FORMAT.md` §2.
//!
//! Nothing can be sealed to a recipient here; this only tells whether a text is one and whose it is.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};

use crate::base::x25519::{is_canonical, is_low_order};

/// Human-readable part of an age recipient.
const HRP: Hrp = Hrp::parse_unchecked("age");
/// Length of an X25519 public key in bytes.
const KEY_BYTES: usize = 32;

/// The X25519 public key of a recipient; `None` unless `text` is the one lower-case Bech32 spelling of a key
/// that can be sealed for: canonical and not of low order.
pub fn recipient_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let key: [u8; KEY_BYTES] = bytes.try_into().ok()?;
    // Upper case, another prefix and padding bits that are not zero all spell the same key differently.
    (recipient_text(&key)? == text && is_canonical(&key) && !is_low_order(&key)).then_some(key)
}

/// Inverse of [`recipient_key`].
pub fn recipient_text(key: &[u8; KEY_BYTES]) -> Option<String> {
    bech32::encode::<Bech32>(HRP, key).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A recipient as `age-keygen` prints it.
    const EXAMPLE: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn one_key_has_one_spelling() {
        let key = recipient_key(EXAMPLE).unwrap();
        assert_eq!(recipient_text(&key).unwrap(), EXAMPLE);
        assert_eq!(recipient_key(&EXAMPLE.to_uppercase()), None);
        assert_eq!(recipient_key(&EXAMPLE[..EXAMPLE.len() - 1]), None);
        assert_eq!(recipient_key(&format!(" {EXAMPLE}")), None);
        let other = bech32::encode::<Bech32>(Hrp::parse("bge").unwrap(), &key).unwrap();
        assert_eq!(recipient_key(&other), None);
        let wrong_checksum = bech32::encode::<bech32::Bech32m>(HRP, &key).unwrap();
        assert_eq!(recipient_key(&wrong_checksum), None);
    }

    #[test]
    fn keys_nobody_may_seal_for_are_no_recipients() {
        let not_canonical = [0xff; 32];
        for key in crate::base::x25519::LOW_ORDER.into_iter().chain([not_canonical]) {
            assert_eq!(recipient_key(&recipient_text(&key).unwrap()), None);
        }
    }

    #[test]
    fn every_single_character_counts() {
        for i in 0..EXAMPLE.len() {
            for c in ['q', 'p', '1', ' ', 'b'] {
                let mut text: Vec<char> = EXAMPLE.chars().collect();
                if text[i] != c {
                    text[i] = c;
                    assert_eq!(recipient_key(&text.into_iter().collect::<String>()), None);
                }
            }
        }
    }
}
