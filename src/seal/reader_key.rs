//! Reader keys: X25519 in the text forms of age. `docs/FORMAT.md` §2.
//!
//! A file written by `age-keygen` is read as it stands, and ours works in age.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, ByteIterExt, Fe32IterExt, Hrp};
use rand_core::Rng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::base::clock::Timestamp;
use crate::base::limits::MAX_KEY_FILE_BYTES;
use crate::base::random::Csprng;
use crate::base::secret::Secret;
use crate::base::x25519::{is_canonical, is_low_order};

/// Length of a public key and of a secret scalar in bytes.
pub const READER_KEY_LEN: usize = 32;
/// Human-readable part of a recipient.
const RECIPIENT_HRP: &str = "age";
/// Human-readable part of an identity, in the case its text form has.
const IDENTITY_HRP: &str = "AGE-SECRET-KEY-";

/// Why a reader key could not be used. No message repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a recipient at all.
    #[error(
        "`{0}` is not a reader's public key: expected `age1` and 58 more characters, in lower case, copied whole"
    )]
    NotARecipient(String),
    /// An identity where a recipient belongs.
    #[error(
        "this is a secret identity (AGE-SECRET-KEY-…): give the public key (age1…) instead, and keep the identity to yourself"
    )]
    IdentityAsRecipient,
    /// Not an identity at all.
    #[error("this is not an age identity: expected a line `AGE-SECRET-KEY-1…`, in upper case, copied whole")]
    NotAnIdentity,
    /// A recipient where an identity belongs.
    #[error("this is a public key (age1…): the secret identity (AGE-SECRET-KEY-1…) is needed here")]
    RecipientAsIdentity,
    /// A hybrid post-quantum key.
    #[error(
        "post-quantum reader keys (age1pq1…, AGE-SECRET-KEY-PQ-1…) are not supported yet: make an X25519 key with `sealtrail keygen reader` or `age-keygen`"
    )]
    PostQuantum,
    /// A key of an age plugin.
    #[error(
        "keys of age plugins are not supported: make an X25519 key with `sealtrail keygen reader` or `age-keygen`"
    )]
    Plugin,
    /// An identity file that is itself encrypted.
    #[error("this identity file is encrypted: decrypt it first with `age -d`, into a file only you can read")]
    Encrypted,
    /// An SSH or PEM private key.
    #[error(
        "this is an SSH or PEM key: reader keys are X25519 keys in age's form, made by `sealtrail keygen reader` or `age-keygen`"
    )]
    Pem,
    /// A file without a single identity.
    #[error("the file holds no identity: expected a line `AGE-SECRET-KEY-1…`")]
    Empty,
    /// Larger than any identity file.
    #[error("the file is larger than {MAX_KEY_FILE_BYTES} bytes: this is no identity file")]
    TooLarge,
    /// A point with which no secret can be agreed.
    #[error("this public key has low order: anyone could read what is sealed for it, so it is refused")]
    LowOrder,
    /// Not the one encoding of its point; no identity would ever match it.
    #[error(
        "this public key is not in canonical form: nobody could open what is sealed for it, so it is refused"
    )]
    NotCanonical,
    /// An error and the line of the file it is on, counted from 1.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: Box<KeyError>,
    },
}

/// A reader's public key, `age1…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient([u8; READER_KEY_LEN]);

impl Recipient {
    /// Reads `age1…`.
    pub fn parse(text: &str) -> Result<Recipient, KeyError> {
        if text.len() >= IDENTITY_HRP.len() && has_prefix(text, IDENTITY_HRP) {
            return Err(KeyError::IdentityAsRecipient);
        }
        if has_prefix(text, "age1pq1") {
            return Err(KeyError::PostQuantum);
        }
        match decode(RECIPIENT_HRP, text) {
            Some(bytes) => Recipient::from_bytes(*bytes.expose()),
            None if is_plugin_recipient(text) => Err(KeyError::Plugin),
            None => Err(KeyError::NotARecipient(text.chars().take(80).collect())),
        }
    }

    /// From the 32 bytes of RFC 7748's u-coordinate.
    pub fn from_bytes(bytes: [u8; READER_KEY_LEN]) -> Result<Recipient, KeyError> {
        if !is_canonical(&bytes) {
            return Err(KeyError::NotCanonical);
        }
        if is_low_order(&bytes) {
            return Err(KeyError::LowOrder);
        }
        Ok(Recipient(bytes))
    }

    /// The public key's bytes.
    pub fn as_bytes(&self) -> &[u8; READER_KEY_LEN] {
        &self.0
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode(RECIPIENT_HRP, &self.0))
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Recipient {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Recipient::parse(text)
    }
}

/// A reader's secret key, `AGE-SECRET-KEY-1…`.
#[derive(Debug)]
pub struct Identity(Secret<READER_KEY_LEN>);

impl Identity {
    /// A fresh identity.
    pub fn generate(rng: &mut Csprng) -> Identity {
        Identity(Secret::fill(|b| rng.fill_bytes(b)))
    }

    /// From the 32 bytes of the scalar.
    pub fn from_secret(scalar: Secret<READER_KEY_LEN>) -> Identity {
        Identity(scalar)
    }

    /// Reads `AGE-SECRET-KEY-1…`.
    pub fn parse(text: &str) -> Result<Identity, KeyError> {
        if has_prefix(text, "AGE-SECRET-KEY-PQ-") {
            return Err(KeyError::PostQuantum);
        }
        if has_prefix(text, "AGE-PLUGIN-") {
            return Err(KeyError::Plugin);
        }
        if has_prefix(text, "age1") {
            return Err(KeyError::RecipientAsIdentity);
        }
        decode(IDENTITY_HRP, text).map(Identity).ok_or(KeyError::NotAnIdentity)
    }

    /// The text form.
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(IDENTITY_HRP, self.0.expose())
    }

    /// The public key that goes with it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&StaticSecret::from(*self.0.expose())).to_bytes())
    }

    /// The scalar, for the key exchange alone.
    pub(super) fn scalar(&self) -> &[u8; READER_KEY_LEN] {
        self.0.expose()
    }
}

/// Reads an identity file as age does: lines of identities, comments that start with `#`, blank lines.
pub fn parse_identity_file(text: &str) -> Result<Vec<Identity>, KeyError> {
    if text.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyError::TooLarge);
    }
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = match line {
            _ if line.starts_with("age-encryption.org/") => return Err(KeyError::Encrypted),
            "-----BEGIN AGE ENCRYPTED FILE-----" => return Err(KeyError::Encrypted),
            _ if line.starts_with("-----BEGIN ") => return Err(KeyError::Pem),
            _ => Identity::parse(line),
        };
        found.push(identity.map_err(|e| KeyError::Line { line: i + 1, problem: Box::new(e) })?);
    }
    if found.is_empty() { Err(KeyError::Empty) } else { Ok(found) }
}

/// An identity file exactly as `age-keygen` writes it; `created` is cut to whole seconds.
pub fn identity_file_text(identity: &Identity, created: Timestamp) -> Zeroizing<String> {
    let created = created.to_string();
    let seconds = created.split('.').next().unwrap_or(&created);
    let (recipient, secret) = (identity.recipient().to_string(), identity.to_text());
    // Reserved in full, so that growing leaves no copy of the secret behind.
    let mut out = Zeroizing::new(String::with_capacity(64 + recipient.len() + secret.len()));
    for part in ["# created: ", seconds, "Z\n# public key: ", &recipient, "\n", secret.as_str(), "\n"] {
        out.push_str(part);
    }
    out
}

/// Bech32 (BIP 173) of 32 bytes, in the case the human-readable part is written in.
fn encode(hrp: &str, bytes: &[u8; READER_KEY_LEN]) -> Zeroizing<String> {
    let upper = hrp.bytes().any(|b| b.is_ascii_uppercase());
    let hrp = Hrp::parse_unchecked(hrp);
    // 52 characters of data, 6 of checksum and a separator.
    let mut out = Zeroizing::new(String::with_capacity(hrp.len() + 59));
    let characters = bytes.iter().copied().bytes_to_fes().with_checksum::<Bech32>(&hrp).chars();
    out.extend(characters.map(|c| if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }));
    out
}

/// Strict inverse of [`encode`].
fn decode(hrp: &str, text: &str) -> Option<Secret<READER_KEY_LEN>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let mut bytes = checked.byte_iter();
    if bytes.len() != READER_KEY_LEN {
        return None;
    }
    let key = Secret::fill(|out: &mut [u8; READER_KEY_LEN]| {
        out.iter_mut().zip(&mut bytes).for_each(|(to, from)| *to = from);
    });
    // Writing it again catches another prefix, the other case and left-over bits that are not zero.
    (*encode(hrp, key.expose()) == text).then_some(key)
}

/// Whether `text` starts with `prefix`, in any case of its letters.
fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|t| t.eq_ignore_ascii_case(prefix))
}

/// `age1NAME1…`: what age calls a plugin's recipient.
fn is_plugin_recipient(text: &str) -> bool {
    CheckedHrpstring::new::<Bech32>(text).is_ok_and(|c| has_prefix(&c.hrp().to_string(), "age1"))
}

#[cfg(test)]
#[path = "reader_key_tests.rs"]
mod tests;
