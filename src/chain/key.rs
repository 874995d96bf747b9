//! Ed25519 keys in the text forms of C2SP signed-note. `docs/FORMAT.md` §2.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use rand_core::Rng as _;
use zeroize::Zeroizing;

use crate::base::hash::{Hash, from_base64, to_base64};
use crate::base::limits::MAX_NAME_BYTES;
use crate::base::random::Csprng;
use crate::base::secret::Secret;

/// What a signer key's text starts with.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";
/// Length of an Ed25519 public key, and of a seed, in bytes.
const KEY_BYTES: usize = 32;

/// How a key signs: the type byte of C2SP signed-note.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum KeyKind {
    /// Ed25519 over the note text (type byte 0x01): writers, ledgers, admins, officers.
    Ed25519 = 0x01,
    /// Timestamped checkpoint cosignature of C2SP tlog-cosignature (type byte 0x04): witnesses.
    CosignatureV1 = 0x04,
}

/// Why a text is not a key. Never contains any part of the text, which may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name breaks the rules of [`is_key_name`].
    #[error("a key name must be 1 to 255 bytes without spaces, control characters or '+'")]
    Name,
    /// Not three parts with `+` between them.
    #[error("not a verifier key: expected NAME+8 hex digits+BASE64")]
    VerifierForm,
    /// Not a signer key.
    #[error("not a signer key: expected PRIVATE+KEY+NAME+8 hex digits+BASE64 on one line")]
    SignerForm,
    /// A type byte this program does not know, or not allowed in this place.
    #[error("key type 0x{0:02x} is not supported here (0x01 is Ed25519, 0x04 a witness cosignature key)")]
    Kind(u8),
    /// The stated key ID is not the hash of name and key.
    #[error("the key ID does not belong to this name and key: the text was altered or mistyped")]
    KeyId,
    /// The public key is no usable Ed25519 point.
    #[error("the public key is not a valid Ed25519 point (or one of small order)")]
    Point,
}

/// Whether `name` may name a key: 1 to 255 bytes of UTF-8 without Unicode spaces, control characters or
/// `+`. `docs/FORMAT.md` §2.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// First 4 bytes of `H(name ‖ "\n" ‖ type ‖ public key)`.
fn key_id(name: &str, kind: KeyKind, public: &[u8]) -> u32 {
    let Hash([a, b, c, d, ..]) = Hash::of(&[name.as_bytes(), b"\n", &[kind as u8], public]);
    u32::from_be_bytes([a, b, c, d])
}

/// Splits `NAME+8 hex digits+BASE64`; the last part may itself contain `+`.
fn split(text: &str) -> Option<(&str, u32, Zeroizing<Vec<u8>>)> {
    let (name, rest) = text.split_once('+')?;
    let (id, data) = rest.split_once('+')?;
    let hex = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| hex)?;
    Some((name, id, Zeroizing::new(from_base64(data)?)))
}

/// A public key with its name: what a `vkey` text says. Cheap to clone.
#[derive(Clone)]
pub struct VerifierKey(Arc<Parts>);

struct Parts {
    /// The only text form; identity and order are its.
    text: String,
    name_len: usize,
    key_id: u32,
    kind: KeyKind,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// Reads `NAME+8 hex digits+BASE64`; refuses a key ID that does not fit, and weak points.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, data) = split(text).ok_or(KeyError::VerifierForm)?;
        let (kind, public) = data.split_first().ok_or(KeyError::VerifierForm)?;
        let kind = match kind {
            0x01 => KeyKind::Ed25519,
            0x04 => KeyKind::CosignatureV1,
            other => return Err(KeyError::Kind(*other)),
        };
        let public: &[u8; KEY_BYTES] = public.try_into().map_err(|_| KeyError::VerifierForm)?;
        let key = Self::new(name, kind, public)?;
        if key.key_id() == id { Ok(key) } else { Err(KeyError::KeyId) }
    }

    /// From a name and the 32 bytes of a public key.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point)?;
        // A second encoding of the same point would be a second text for one key.
        if key.is_weak() || key.to_edwards().compress().to_bytes() != *public {
            return Err(KeyError::Point);
        }
        let key_id = key_id(name, kind, public);
        let mut data = vec![kind as u8];
        data.extend_from_slice(public);
        let text = format!("{name}+{key_id:08x}+{}", to_base64(&data));
        Ok(VerifierKey(Arc::new(Parts { text, name_len: name.len(), key_id, kind, key })))
    }

    /// The key's name; the origin, if it is a ledger's.
    pub fn name(&self) -> &str {
        self.0.text.get(..self.0.name_len).unwrap_or_default()
    }

    /// First four bytes of the hash over name, type and key.
    pub fn key_id(&self) -> u32 {
        self.0.key_id
    }

    /// How this key signs.
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The text form, as [`Display`](fmt::Display) writes it.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The 32 bytes of the public key.
    pub fn public_bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.key.as_bytes()
    }

    /// Whether `signature` (64 bytes) is this key's over exactly `message`. RFC 8032 §5.1.7, strict: no
    /// small-order point, no second encoding.
    pub fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|s| self.0.key.verify_strict(message, &s).is_ok())
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        VerifierKey::parse(text)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for VerifierKey {}

impl PartialOrd for VerifierKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VerifierKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.text.cmp(&other.0.text)
    }
}

impl std::hash::Hash for VerifierKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// A private key with its name. Erased when dropped; boxed, so that moving it leaves no copy behind.
pub struct SigningKey {
    key: Box<ed25519_dalek::SigningKey>,
    verifier: VerifierKey,
}

impl SigningKey {
    /// A new key from `rng`, which should come fresh from [`crate::base::random::csprng`].
    pub fn generate(name: &str, rng: &mut Csprng) -> Result<Self, KeyError> {
        Self::from_seed(name, &Secret::fill(|seed| rng.fill_bytes(seed)))
    }

    /// The key RFC 8032 §5.1.5 derives from a seed.
    pub fn from_seed(name: &str, seed: &Secret<KEY_BYTES>) -> Result<Self, KeyError> {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed.expose()));
        let verifier = VerifierKey::new(name, KeyKind::Ed25519, key.verifying_key().as_bytes())?;
        Ok(SigningKey { key, verifier })
    }

    /// Reads `PRIVATE+KEY+NAME+8 hex digits+BASE64`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::SignerForm)?;
        let (name, id, data) = split(rest).ok_or(KeyError::SignerForm)?;
        let (kind, seed) = data.split_first().ok_or(KeyError::SignerForm)?;
        if *kind != KeyKind::Ed25519 as u8 {
            return Err(KeyError::Kind(*kind));
        }
        let key = Self::from_seed(name, &Secret::from_slice(seed).ok_or(KeyError::SignerForm)?)?;
        if key.verifier.key_id() == id { Ok(key) } else { Err(KeyError::KeyId) }
    }

    /// The text form, erased when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut data = Zeroizing::new([0; KEY_BYTES + 1]);
        let (kind, seed) = data.split_at_mut(1);
        kind.fill(KeyKind::Ed25519 as u8);
        seed.copy_from_slice(self.key.as_bytes());
        let data = Zeroizing::new(to_base64(&data[..]));
        Zeroizing::new(format!("{PRIVATE_PREFIX}{}+{:08x}+{}", self.name(), self.verifier.key_id(), *data))
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// The public half, type 0x01.
    pub fn verifier(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// The public half as a witness key, type 0x04: for a key that only cosigns checkpoints.
    pub fn cosigner(&self) -> VerifierKey {
        // Only the type byte changes, so name and point stay valid.
        VerifierKey::new(self.name(), KeyKind::CosignatureV1, self.verifier.public_bytes())
            .unwrap_or_else(|_| self.verifier.clone())
    }

    /// RFC 8032 §5.1.6 signature over `message`, 64 bytes.
    pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.verifier)
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
