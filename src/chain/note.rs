//! C2SP signed notes, and the cosignatures of C2SP tlog-cosignature. `docs/FORMAT.md` §2 and §7.

use std::fmt;

use super::key::{KeyKind, SigningKey, VerifierKey, is_key_name};
use crate::base::hash::{from_base64, to_base64};
use crate::base::limits::MAX_SIGNATURES;

/// Em dash and space, which start a signature line.
const LINE_START: &str = "\u{2014} ";
/// Shortest signature: a key ID and one byte.
const MIN_SIGNATURE_BYTES: usize = 5;
/// C2SP tlog-cosignature: the timestamp must not exceed 2^63 − 1.
const MAX_COSIGNATURE_SECONDS: u64 = i64::MAX as u64;

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A control character other than newline.
    #[error("the note has a control character other than newline")]
    ControlCharacter,
    /// No blank line with signature lines after it.
    #[error("the note has no signature lines: it must end in a blank line and '— NAME BASE64' lines")]
    NoSignatures,
    /// A signature line is malformed.
    #[error("signature line {line} is not '— NAME BASE64'")]
    SignatureLine {
        /// From 1, below the blank line.
        line: usize,
    },
    /// More than [`MAX_SIGNATURES`] lines.
    #[error("the note has more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
    /// A known key's signature is wrong.
    #[error("the signature of {name} does not verify: the text was changed or another key signed it")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// No signature is by a key the caller knows.
    #[error("none of the signatures is by a known key (signed by {signed_by})")]
    NoKnownSigner {
        /// The names on the signature lines.
        signed_by: String,
    },
    /// Two different known keys have the same name and key ID.
    #[error("two known keys share the name {name} and the key ID; remove one of them")]
    AmbiguousKey {
        /// Their name.
        name: String,
    },
}

/// One signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Key ID, which with the name says which key and algorithm it is.
    pub key_id: u32,
    /// What follows the key ID: 64 bytes for Ed25519, 72 for a cosignature.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Whether name and key ID are `key`'s.
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.key_id == key.key_id() && self.name == key.name()
    }

    /// Reads a signature line without its newline.
    pub fn parse(line: &str) -> Option<Signature> {
        let (name, data) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let data = from_base64(data)?;
        let (id, bytes) = data.split_first_chunk::<4>()?;
        if !is_key_name(name) || data.len() < MIN_SIGNATURE_BYTES {
            return None;
        }
        Some(Signature { name: name.to_owned(), key_id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = [&self.key_id.to_be_bytes()[..], &self.bytes].concat();
        write!(f, "{LINE_START}{} {}", self.name, to_base64(&data))
    }
}

/// A text and the signatures over it. Nothing of the text may be believed before
/// [`verify`](Note::verify).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The signed text, with its last newline.
    pub text: String,
    /// The signatures in the order of their lines, at least one.
    pub signatures: Vec<Signature>,
}

/// A witness's signature that verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosignature<'k> {
    /// The witness.
    pub witness: &'k VerifierKey,
    /// When it signed, in seconds since 1970.
    pub seconds: u64,
}

impl Note {
    /// Splits a note into text and signature lines; checks form only. The size is the caller's to limit.
    pub fn parse(input: &str) -> Result<Note, NoteError> {
        if input.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::ControlCharacter);
        }
        // The last blank line ends the text.
        let (text, lines) = input.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (i, line) in lines.split('\n').enumerate() {
            if i == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::SignatureLine { line: i + 1 })?);
        }
        Ok(Note { text: format!("{text}\n"), signatures })
    }

    /// Signs `text`, which must end in a newline and hold no other control character: [`Note::parse`]
    /// refuses the result otherwise.
    pub fn sign(text: &str, key: &SigningKey) -> Note {
        let mut note = Note { text: text.to_owned(), signatures: Vec::with_capacity(1) };
        note.add_signature(key);
        note
    }

    /// Adds one more signature over the same text.
    pub fn add_signature(&mut self, key: &SigningKey) {
        self.signatures.push(Signature {
            name: key.name().to_owned(),
            key_id: key.verifier().key_id(),
            bytes: key.sign_bytes(self.text.as_bytes()).to_vec(),
        });
    }

    /// Adds a witness's cosignature made at `seconds` since 1970; the text must be a checkpoint.
    /// C2SP tlog-cosignature, Ed25519 signed message.
    pub fn cosign(&mut self, key: &SigningKey, seconds: u64) {
        let signature = key.sign_bytes(cosigned_message(seconds, &self.text).as_bytes());
        self.signatures.push(Signature {
            name: key.name().to_owned(),
            key_id: key.cosigner().key_id(),
            bytes: [&seconds.to_be_bytes()[..], &signature].concat(),
        });
    }

    /// Length in bytes of the whole note as [`Display`](fmt::Display) writes it.
    pub fn byte_len(&self) -> usize {
        let line = |s: &Signature| LINE_START.len() + s.name.len() + 2 + (4 + s.bytes.len()).div_ceil(3) * 4;
        self.text.len() + 1 + self.signatures.iter().map(line).sum::<usize>()
    }

    /// Name on the first signature line; of a writer's statement, that is the writer. Proves nothing
    /// before verification.
    pub fn signer_name(&self) -> &str {
        self.signatures.first().map_or("", |s| &s.name)
    }

    /// C2SP signed-note, "Signatures": a signature by an unknown key is ignored, a wrong one by a known
    /// key refuses the whole note, and so does the lack of any by a known key. Returns the keys that
    /// signed, each once.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let signers: Vec<_> = self.known_signers(keys)?.into_iter().map(|(key, _)| key).collect();
        if signers.is_empty() {
            let names: Vec<_> = self.signatures.iter().map(|s| s.name.as_str()).collect();
            return Err(NoteError::NoKnownSigner { signed_by: names.join(", ") });
        }
        Ok(signers)
    }

    /// The cosignatures by known witnesses, each witness once (its first line). May be none; a wrong one
    /// by a known witness is an error.
    pub fn verify_cosignatures<'k>(
        &self,
        witnesses: &'k [VerifierKey],
    ) -> Result<Vec<Cosignature<'k>>, NoteError> {
        let known = self.known_signers(witnesses)?;
        Ok(known
            .into_iter()
            .filter_map(|(witness, seconds)| Some(Cosignature { witness, seconds: seconds? }))
            .collect())
    }

    /// Whether one of the signature lines is `key`'s, and verifies.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.signatures.iter().any(|s| s.is_by(key) && self.verify_signature(s, key).is_ok())
    }

    /// Verifies one signature line against the key it names. A cosignature gives its time, in seconds
    /// since 1970.
    pub fn verify_signature(
        &self,
        signature: &Signature,
        key: &VerifierKey,
    ) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::BadSignature { name: key.name().to_owned() };
        if !signature.is_by(key) {
            return Err(bad());
        }
        match key.kind() {
            KeyKind::Ed25519 => {
                let ok = key.verify_bytes(self.text.as_bytes(), &signature.bytes);
                if ok { Ok(None) } else { Err(bad()) }
            }
            KeyKind::CosignatureV1 => {
                let (seconds, bytes) = signature.bytes.split_first_chunk::<8>().ok_or_else(bad)?;
                let seconds = u64::from_be_bytes(*seconds);
                let message = cosigned_message(seconds, &self.text);
                let ok = seconds <= MAX_COSIGNATURE_SECONDS && key.verify_bytes(message.as_bytes(), bytes);
                if ok { Ok(Some(seconds)) } else { Err(bad()) }
            }
        }
    }

    /// Verifies every signature by a known key; each key comes out once.
    fn known_signers<'k>(
        &self,
        keys: &'k [VerifierKey],
    ) -> Result<Vec<(&'k VerifierKey, Option<u64>)>, NoteError> {
        let mut found: Vec<(&VerifierKey, Option<u64>)> = Vec::new();
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|k| signature.is_by(k));
            let Some(key) = known.next() else { continue };
            if known.any(|other| other != key) {
                return Err(NoteError::AmbiguousKey { name: key.name().to_owned() });
            }
            let seconds = self.verify_signature(signature, key)?;
            if !found.iter().any(|(k, _)| *k == key) {
                found.push((key, seconds));
            }
        }
        Ok(found)
    }
}

/// C2SP tlog-cosignature: header line, time line, then the whole note text.
fn cosigned_message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|s| writeln!(f, "{s}"))
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
