//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//! `docs/FORMAT.md` §1, §4 and §11. The only file that names the HPKE library.

use hpke::aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::reader_key::{Identity, Recipient};
use crate::base::random::{Csprng, RandomError};
use crate::base::secret::Secret;
use crate::base::wire::WireWrite;

type SenderCtx = AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
type ReceiverCtx = AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;

/// Length of an encapsulated key in bytes (RFC 9180 §7.1, Nenc).
pub const ENC_LEN: usize = 32;
/// The library asserts that the length of `info` and five bytes more fit 16 bits.
const INFO_END: usize = u16::MAX as usize - 5;

const SESSION_LABEL: &[u8] = b"sealtrail.org/session/v1\n";

/// Why a key exchange or a message under it failed.
#[derive(Debug, thiserror::Error)]
pub enum KemError {
    /// No secret can be agreed with this public key.
    #[error("the public key cannot be used for a key exchange")]
    PublicKey,
    /// The encapsulated key is not one.
    #[error("the encapsulated key is not valid for this identity")]
    Encapsulated,
    /// The message does not authenticate: another key, other context or other bytes.
    #[error("the message was not sealed for this identity in this context, or was changed")]
    Open,
    /// A context string is too long.
    #[error("the names a message is bound to are too long")]
    Info,
    /// The library refused an operation that cannot fail on valid sizes.
    #[error("HPKE failed: {0}")]
    Library(HpkeError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The writer's end of a context.
pub struct SenderContext {
    /// The encapsulated key that the receiver needs.
    pub enc: [u8; ENC_LEN],
    context: SenderCtx,
}

/// RFC 9180 §5.1.1, SetupBaseS: a context that only the holder of `recipient`'s identity can set up too.
pub fn sender(
    recipient: &Recipient,
    info: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<SenderContext, KemError> {
    check_info(info)?;
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient.as_bytes())
        .map_err(|_| KemError::PublicKey)?;
    let (enc, context): (_, SenderCtx) =
        hpke::setup_sender_with_rng::<_, _, X25519HkdfSha256>(&OpModeS::Base, &key, info, rng)
            .map_err(|_| KemError::PublicKey)?;
    Ok(SenderContext { enc: enc.to_bytes().into(), context })
}

impl SenderContext {
    /// RFC 9180 §5.2, Seal: each call is the next message of the context.
    pub fn seal(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KemError> {
        self.context.seal(plaintext, aad).map_err(KemError::Library)
    }

    /// RFC 9180 §5.3, Export: a secret both ends have.
    pub fn export(&self, exporter_context: &[u8]) -> Result<Secret<32>, KemError> {
        export_with(|out| self.context.export(exporter_context, out))
    }
}

/// The reader's end of a context.
pub(super) struct ReceiverContext(ReceiverCtx);

/// RFC 9180 §5.1.1, SetupBaseR.
pub(super) fn receiver(identity: &Identity, enc: &[u8], info: &[u8]) -> Result<ReceiverContext, KemError> {
    check_info(info)?;
    let key =
        <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(identity.scalar()).map_err(KemError::Library)?;
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).map_err(|_| KemError::Encapsulated)?;
    hpke::setup_receiver(&OpModeR::Base, &key, &enc, info)
        .map(ReceiverContext)
        .map_err(|_| KemError::Encapsulated)
}

impl ReceiverContext {
    /// RFC 9180 §5.2, Open: each call is the next message of the context.
    pub(super) fn open(&mut self, aad: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KemError> {
        self.0.open(ciphertext, aad).map(Zeroizing::new).map_err(|_| KemError::Open)
    }

    /// RFC 9180 §5.3, Export.
    pub(super) fn export(&self, exporter_context: &[u8]) -> Result<Secret<32>, KemError> {
        export_with(|out| self.0.export(exporter_context, out))
    }
}

fn export_with(export: impl FnOnce(&mut [u8]) -> Result<(), HpkeError>) -> Result<Secret<32>, KemError> {
    let mut result = Ok(());
    let secret = Secret::fill(|out: &mut [u8; 32]| result = export(out));
    result.map_err(KemError::Library)?;
    Ok(secret)
}

fn check_info(info: &[u8]) -> Result<(), KemError> {
    if info.len() < INFO_END { Ok(()) } else { Err(KemError::Info) }
}

/// A session token that only one reader can read. §11.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// HPKE encapsulated key.
    pub enc: [u8; ENC_LEN],
    /// The sealed token.
    pub ciphertext: Vec<u8>,
}

/// Seals a session token to a reader, who proves by using it that they can decrypt. §11.
pub fn challenge_seal(
    recipient: &Recipient,
    ledger: &str,
    token: &[u8],
    rng: &mut Csprng,
) -> Result<Challenge, KemError> {
    let mut context = sender(recipient, &session_info(ledger)?, rng)?;
    Ok(Challenge { enc: context.enc, ciphertext: context.seal(b"", token)? })
}

/// The HPKE `info` of a session challenge. §11.
pub(super) fn session_info(ledger: &str) -> Result<Vec<u8>, KemError> {
    check_info(ledger.as_bytes())?;
    let mut info = SESSION_LABEL.to_vec();
    info.put_bytes16(ledger.as_bytes());
    Ok(info)
}

#[cfg(test)]
#[path = "kem_tests.rs"]
mod tests;
