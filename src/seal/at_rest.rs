//! Bytes a reader keeps for itself: sealed to its own key, RFC 9180 base mode, one context and one message each. For an auditor's
//! vault; not part of the ledger's format.

use zeroize::Zeroizing;

use super::kem::{self, ENC_LEN, KemError, PreparedRecipient};
use super::reader_key::{Identity, Recipient};
use crate::base::random::csprng;
use crate::base::wire::WireWrite;

/// No other use of HPKE here starts its `info` like this.
const LABEL: &[u8] = b"sealtrail.org/at-rest/v1\n";

/// What bytes are tied to: they open in no other place.
fn info(ledger: &str, place: &str) -> Vec<u8> {
    let mut info = LABEL.to_vec();
    info.put_bytes16(ledger.as_bytes());
    info.put_bytes16(place.as_bytes());
    info
}

/// enc ‖ ciphertext.
pub fn seal(recipient: &Recipient, ledger: &str, place: &str, plaintext: &[u8]) -> Result<Vec<u8>, KemError> {
    let mut context = kem::sender(&PreparedRecipient::once(recipient), &info(ledger, place), &mut csprng()?)?;
    let mut out = context.enc.to_vec();
    out.extend_from_slice(&context.seal(b"", plaintext)?);
    Ok(out)
}

/// Inverse of [`seal`], for the holder of the identity.
pub fn open(
    identity: &Identity,
    ledger: &str,
    place: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KemError> {
    let (enc, ciphertext) = sealed.split_at_checked(ENC_LEN).ok_or(KemError::Open)?;
    kem::receiver(identity, enc, &info(ledger, place))?.open(b"", ciphertext)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn opens_for_its_owner_in_its_place_only() {
        let mut rng = csprng().unwrap();
        let (mine, other) = (Identity::generate(&mut rng), Identity::generate(&mut rng));
        let sealed = seal(&mine.recipient(), "a.example", "7", b"opened events").unwrap();
        assert_eq!(*open(&mine, "a.example", "7", &sealed).unwrap(), b"opened events");
        assert!(open(&other, "a.example", "7", &sealed).is_err());
        assert!(open(&mine, "b.example", "7", &sealed).is_err());
        assert!(open(&mine, "a.example", "8", &sealed).is_err());
        assert!(open(&mine, "a.example", "7", &sealed[..31]).is_err());
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(open(&mine, "a.example", "7", &bad).is_err(), "{i}");
        }
    }
}
