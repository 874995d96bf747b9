//! The keys of a record and of a batch, and the byte strings that bind them to their place.
//! `docs/FORMAT.md` §3 to §5.

use rand_core::Rng;

use crate::base::hash::Hash;
use crate::base::hmac::PreparedHmac;
use crate::base::random::Csprng;
use crate::base::record::KEY_LEN;
use crate::base::secret::Secret;
use crate::base::wire::WireWrite;

const ENCRYPT_LABEL: &[u8] = b"sealtrail.org/key/v1 encrypt";
const SALTS_LABEL: &[u8] = b"sealtrail.org/key/v1 salts";
const COMMIT_LABEL: &[u8] = b"sealtrail.org/key/v1 commit";
const RECORD_LABEL: &[u8] = b"sealtrail.org/record/v1\n";
const HPKE_LABEL: &[u8] = b"sealtrail.org/hpke/v1\n";
const GRANT_LABEL: &[u8] = b"sealtrail.org/grant-hpke/v1\n";
/// HPKE exporter context of the wrapping key.
pub(super) const SLOTS_LABEL: &[u8] = b"sealtrail.org/slots/v1";

/// The key one section of one record is sealed under. Whoever has it can read that section, nothing else.
#[derive(Debug)]
pub struct RecordKey(pub(super) Secret<KEY_LEN>);

impl RecordKey {
    /// A fresh key.
    pub(super) fn generate(rng: &mut Csprng) -> Self {
        RecordKey(Secret::fill(|b| rng.fill_bytes(b)))
    }

    /// The key's bytes, for a file that gives this one section away on purpose.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }
}

/// Encrypts one section, once.
#[derive(Debug)]
pub struct EncryptionKey(pub(super) Secret<KEY_LEN>);

/// Makes the salts of one section's field commitments.
#[derive(Debug)]
pub struct SaltKey(pub(super) Secret<KEY_LEN>);

impl SaltKey {
    /// From the bytes an evidence file gives; `None` if there are not exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(SaltKey)
    }

    /// The key's bytes, for a file that shows this whole section on purpose. They open no ciphertext.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }
}

/// Wraps the record keys of one batch for one reader.
#[derive(Debug)]
pub struct WrappingKey(pub(super) Secret<KEY_LEN>);

/// Everything that follows from a record key. §5, sealing step 1.
#[derive(Debug)]
pub struct DerivedKeys {
    /// Encryption key.
    pub encryption: EncryptionKey,
    /// Salt key.
    pub salts: SaltKey,
    /// The public commitment to the record key.
    pub commitment: [u8; KEY_LEN],
}

impl DerivedKeys {
    /// The three HKDF-Expand outputs of §3.
    pub fn derive(key: &RecordKey) -> Self {
        let prk = PreparedHmac::new(key.0.expose());
        let mut commitment = [0; KEY_LEN];
        prk.expand([COMMIT_LABEL, b""], &mut commitment);
        DerivedKeys {
            encryption: EncryptionKey(Secret::fill(|b| prk.expand([ENCRYPT_LABEL, b""], b))),
            salts: SaltKey(Secret::fill(|b| prk.expand([SALTS_LABEL, b""], b))),
            commitment,
        }
    }
}

/// str16(ledger) ‖ str16(writer) ‖ u64(sequence) behind a label: what ties bytes to one batch.
fn batch_bytes(label: &[u8], ledger: &str, writer: &str, sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + 2 + ledger.len() + 2 + writer.len() + 8);
    out.extend_from_slice(label);
    out.put_bytes16(ledger.as_bytes());
    out.put_bytes16(writer.as_bytes());
    out.put_u64(sequence);
    out
}

/// The HPKE `info` of a batch. §4.
pub fn hpke_info(ledger: &str, writer: &str, sequence: u64) -> Vec<u8> {
    batch_bytes(HPKE_LABEL, ledger, writer, sequence)
}

/// The HPKE `info` of a batch in a grant: what of a grant belongs to which batch (ledger, writer, sequence), who granted it and
/// with which first record. §12.
pub fn grant_info(batch: (&str, &str, u64), from: &[u8; 32], first_record: u64) -> Vec<u8> {
    let mut out = batch_bytes(GRANT_LABEL, batch.0, batch.1, batch.2);
    out.extend_from_slice(from);
    out.put_u64(first_record);
    out
}

/// The record context of a batch. §3.
pub fn record_context(ledger: &str, writer: &str, sequence: u64) -> Hash {
    Hash::of(&[&batch_bytes(RECORD_LABEL, ledger, writer, sequence)])
}

/// Length of [`associated_data`].
pub const ASSOCIATED_DATA_LEN: usize = 32 + 4 + 1;

/// record context ‖ u32(position) ‖ u8(section): the associated data of a section. §5, sealing step 3.
pub fn associated_data(context: &Hash, position: u32, section: u8) -> [u8; ASSOCIATED_DATA_LEN] {
    let mut out = [0; ASSOCIATED_DATA_LEN];
    out[..32].copy_from_slice(&context.0);
    out[32..36].copy_from_slice(&position.to_be_bytes());
    out[36] = section;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_from_each_other_and_per_key() {
        let keys: Vec<DerivedKeys> =
            [1u8, 2].iter().map(|n| DerivedKeys::derive(&RecordKey(Secret::fill(|b| b.fill(*n))))).collect();
        let mut all: Vec<[u8; 32]> =
            keys.iter().flat_map(|k| [*k.encryption.0.expose(), *k.salts.0.expose(), k.commitment]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn debug_shows_no_key() {
        let key = RecordKey(Secret::fill(|b| b.fill(0xab)));
        let derived = DerivedKeys::derive(&key);
        let text = format!("{key:?} {:?} {:?}", derived.encryption, derived.salts);
        assert_eq!(text, "RecordKey(Secret(…)) EncryptionKey(Secret(…)) SaltKey(Secret(…))");
    }

    #[test]
    fn batch_bytes_cannot_be_shifted_between_names() {
        assert_ne!(record_context("ab", "c", 1), record_context("a", "bc", 1));
        assert_eq!(hpke_info("l", "w", 258), b"sealtrail.org/hpke/v1\n\0\x01l\0\x01w\0\0\0\0\0\0\x01\x02");
    }
}
