//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//! `docs/FORMAT.md` §1, §4 and §11. The only file that names the HPKE library.

use std::sync::Arc;

use curve25519_dalek::edwards::EdwardsBasepointTable;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::BasepointTable;
use hpke::aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305};
use hpke::hybrid_array::typenum::U32;
use hpke::kdf::{HkdfSha256, Kdf};
use hpke::kem::{SharedSecret, X25519HkdfSha256};
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::reader_key::{Identity, Recipient};
use crate::base::random::{Csprng, RandomError};
use crate::base::secret::Secret;
use crate::base::wire::WireWrite;

type SenderCtx = AeadCtxS<ChaCha20Poly1305, HkdfSha256, FixedBase>;
type ReceiverCtx = AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;

/// Length of an encapsulated key in bytes (RFC 9180 §7.1, Nenc).
pub const ENC_LEN: usize = 32;
/// The library asserts that the length of `info` and five bytes more fit 16 bits.
const INFO_END: usize = u16::MAX as usize - 5;

type Standard = X25519HkdfSha256;
type EphemeralKey = <Standard as Kem>::PrivateKey;
type EncapsulatedKey = <Standard as Kem>::EncappedKey;

/// RFC 9180 §4.1: "KEM", and §7.1: the number of DHKEM(X25519, HKDF-SHA256).
const SUITE_ID: &[u8; 5] = b"KEM\x00\x20";
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
    recipient: &PreparedRecipient,
    info: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<SenderContext, KemError> {
    check_info(info)?;
    let (enc, context): (_, SenderCtx) =
        hpke::setup_sender_with_rng::<_, _, FixedBase>(&OpModeS::Base, recipient, info, rng)
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
    let key = <Standard as Kem>::PrivateKey::from_bytes(identity.scalar()).map_err(KemError::Library)?;
    let enc = <Standard as Kem>::EncappedKey::from_bytes(enc).map_err(|_| KemError::Encapsulated)?;
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
    let mut context = sender(&PreparedRecipient::once(recipient), &session_info(ledger)?, rng)?;
    Ok(Challenge { enc: context.enc, ciphertext: context.seal(b"", token)? })
}

/// The HPKE `info` of a session challenge. §11.
pub(super) fn session_info(ledger: &str) -> Result<Vec<u8>, KemError> {
    check_info(ledger.as_bytes())?;
    let mut info = SESSION_LABEL.to_vec();
    info.put_bytes16(ledger.as_bytes());
    Ok(info)
}

/// A recipient with what makes sealing to it again and again faster.
///
/// The sender's Diffie-Hellman (RFC 9180 §4.1) is a multiple of the recipient's public key. With a table of that key's multiples, on
/// the Edwards form of the curve, it takes as long as making a key pair does, a fifth of the Montgomery ladder. What comes out is the same.
#[derive(Clone)]
pub struct PreparedRecipient {
    key: [u8; ENC_LEN],
    /// Multiples of the key's point: 30 KB. None if there are none to be had, or it is not worth the millisecond they take.
    table: Option<Arc<EdwardsBasepointTable>>,
}

impl PreparedRecipient {
    /// For many exchanges.
    pub fn new(recipient: &Recipient) -> Self {
        prepare(*recipient.as_bytes())
    }

    /// For one exchange.
    pub fn once(recipient: &Recipient) -> Self {
        PreparedRecipient { key: *recipient.as_bytes(), table: None }
    }

    #[cfg(test)]
    fn is_prepared(&self) -> bool {
        self.table.is_some()
    }

    /// RFC 7748 §5, X25519, in constant time whatever the secret: the table is the one Ed25519 signs with, for another point.
    fn agree(&self, secret: &EphemeralKey) -> Result<Zeroizing<[u8; ENC_LEN]>, HpkeError> {
        let mut scalar = Zeroizing::new([0; ENC_LEN]);
        secret.write_exact(&mut *scalar);
        let agreed = Zeroizing::new(match &self.table {
            Some(table) => Zeroizing::new(table.mul_base_clamped(*scalar)).to_montgomery(),
            None => MontgomeryPoint(self.key).mul_clamped(*scalar),
        });
        let agreed = Zeroizing::new(agreed.to_bytes());
        // RFC 9180 §7.1.4: the all-zero value, which a key of low order gives, is refused.
        let zero: bool = agreed.ct_eq(&[0; ENC_LEN]).into();
        if zero { Err(HpkeError::EncapError) } else { Ok(agreed) }
    }
}

fn prepare(key: [u8; ENC_LEN]) -> PreparedRecipient {
    // RFC 7748 §4.1: the two forms of the curve are birationally equivalent. The sign is free, as it is in X25519: P and −P have one
    // u-coordinate, and so have their multiples. A key on the twist has no Edwards form here and is left to the ladder.
    let point = MontgomeryPoint(key).to_edwards(0);
    PreparedRecipient { key, table: point.map(|p| Arc::new(EdwardsBasepointTable::create(&p))) }
}

impl PartialEq for PreparedRecipient {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PreparedRecipient {}

impl std::fmt::Debug for PreparedRecipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedRecipient").field("prepared", &self.table.is_some()).finish_non_exhaustive()
    }
}

impl Serializable for PreparedRecipient {
    type OutputSize = U32;

    fn write_exact(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.key);
    }
}

impl Deserializable for PreparedRecipient {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let key = encoded.try_into().map_err(|_| HpkeError::IncorrectInputLength(ENC_LEN, encoded.len()))?;
        Ok(PreparedRecipient { key, table: None })
    }
}

/// The library's KEM with another way to the same shared secret: its key schedule and its receiver are used as they are.
struct FixedBase;

impl Kem for FixedBase {
    type PublicKey = PreparedRecipient;
    type PrivateKey = EphemeralKey;
    type EncappedKey = EncapsulatedKey;
    type NSecret = U32;

    const KEM_ID: u16 = Standard::KEM_ID;

    fn sk_to_pk(secret: &EphemeralKey) -> PreparedRecipient {
        PreparedRecipient { key: Standard::sk_to_pk(secret).to_bytes().into(), table: None }
    }

    fn derive_keypair(ikm: &[u8]) -> (EphemeralKey, PreparedRecipient) {
        let (secret, public) = Standard::derive_keypair(ikm);
        (secret, PreparedRecipient { key: public.to_bytes().into(), table: None })
    }

    fn decap(
        secret: &EphemeralKey,
        sender: Option<&PreparedRecipient>,
        enc: &EncapsulatedKey,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        let sender = sender.map(|s| <Standard as Kem>::PublicKey::from_bytes(&s.key)).transpose()?;
        let shared = Standard::decap(secret, sender.as_ref(), enc)?;
        let mut same = SharedSecret::default();
        same.0.copy_from_slice(&shared.0);
        Ok(same)
    }

    /// RFC 9180 §4.1, Encap. The authenticated mode is not used anywhere and refused.
    fn encap_with_rng(
        recipient: &PreparedRecipient,
        sender: Option<(&EphemeralKey, &PreparedRecipient)>,
        rng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, EncapsulatedKey), HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (secret, public) = Self::gen_keypair_with_rng(rng);
        let dh = recipient.agree(&secret)?;
        // kem_context = enc ‖ pkRm; shared_secret = ExtractAndExpand(dh, kem_context)
        let mut context = [0; 2 * ENC_LEN];
        let (enc, key) = context.split_at_mut(ENC_LEN);
        enc.copy_from_slice(&public.key);
        key.copy_from_slice(&recipient.key);
        let mut shared = SharedSecret::default();
        HkdfSha256::extract_and_expand(&*dh, SUITE_ID, &context, &mut shared.0)?;
        Ok((shared, EncapsulatedKey::from_bytes(&public.key)?))
    }
}

#[cfg(test)]
#[path = "kem_tests.rs"]
mod tests;
