//! Files under a passphrase as C2SP age writes them: one scrypt recipient, armored or binary. For key files, never for records.

use std::io::{Read as _, Write as _};
use std::iter;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use zeroize::Zeroizing;

use crate::base::limits::{
    MAX_KEY_FILE_BYTES, MAX_PASSPHRASE_WORK_FACTOR, MAX_PROTECTED_HEADER_BYTES, PASSPHRASE_WORK_FACTOR,
};
use crate::base::secret::ct_eq;

/// What a binary age file starts with.
const BINARY: &[u8] = b"age-encryption.org/";
/// What an armored one starts with, after white space.
const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// How the header of a file under a passphrase begins, and how every header ends.
const SCRYPT_HEADER: &[u8] = b"age-encryption.org/v1\n-> scrypt ";
const HEADER_END: &[u8] = b"\n---";

/// A passphrase, erased when dropped. No `Debug`, no `Clone`.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text over.
    pub fn new(text: String) -> Passphrase {
        Passphrase(Zeroizing::new(text))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether two are the same.
    pub fn same(&self, other: &Passphrase) -> bool {
        ct_eq(self.0.as_bytes(), other.0.as_bytes())
    }

    /// For the library, which erases it too.
    fn secret(&self) -> SecretString {
        SecretString::from(self.0.as_str())
    }
}

/// Why a protected file does not open.
#[derive(Debug, thiserror::Error)]
pub enum ProtectedError {
    /// No passphrase fits.
    #[error("the passphrase is wrong")]
    Wrong,
    /// The work factor is above [`MAX_PASSPHRASE_WORK_FACTOR`].
    #[error(
        "the file asks for a scrypt work factor of {0}, and this program takes at most {MAX_PASSPHRASE_WORK_FACTOR} (1 GiB of \
         memory): decrypt it with `age -d` and protect it again with `sealtrail passphrase`"
    )]
    Work(u8),
    /// An age file for recipients.
    #[error(
        "the file is encrypted to age keys, not with a passphrase: decrypt it with `age -d -i`, then protect it with `sealtrail passphrase`"
    )]
    NotPassphrase,
    /// Not a whole age file.
    #[error(
        "the file is encrypted with age and damaged, or was made by a newer version of age: take it from a backup"
    )]
    Damaged,
}

/// Whether these bytes of a key file are an age file.
pub fn is_protected(bytes: &[u8]) -> bool {
    bytes.starts_with(BINARY) || bytes.trim_ascii_start().starts_with(ARMORED)
}

/// The age file, armored, that holds `text` under `passphrase`.
pub fn protect(text: &str, passphrase: &Passphrase) -> Result<String, ProtectedError> {
    protect_with(text, passphrase, PASSPHRASE_WORK_FACTOR)
}

fn protect_with(text: &str, passphrase: &Passphrase, work: u8) -> Result<String, ProtectedError> {
    let mut recipient = scrypt::Recipient::new(passphrase.secret());
    recipient.set_work_factor(work);
    // Nothing of this depends on what is outside; writing to memory does not fail either.
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(|_| ProtectedError::Damaged)?;
    let armor = |out| -> std::io::Result<Vec<u8>> {
        let armored = ArmoredWriter::wrap_output(out, Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armored)?;
        writer.write_all(text.as_bytes())?;
        writer.finish()?.finish()
    };
    let bytes = armor(Vec::new()).map_err(|_| ProtectedError::Damaged)?;
    String::from_utf8(bytes).map_err(|_| ProtectedError::Damaged)
}

/// The age file without its armor, if it has one. The library reads a header again from the beginning for each line of it, so a long one
/// is refused before; one stanza is short.
fn unarmored(bytes: &[u8]) -> Result<Vec<u8>, ProtectedError> {
    let mut file = Vec::new();
    ArmoredReader::new(bytes).read_to_end(&mut file).map_err(|_| ProtectedError::Damaged)?;
    let front = file.get(..file.len().min(MAX_PROTECTED_HEADER_BYTES)).unwrap_or_default();
    match front.windows(HEADER_END.len()).any(|w| w == HEADER_END) {
        true => Ok(file),
        false if file.starts_with(SCRYPT_HEADER) || file.len() < MAX_PROTECTED_HEADER_BYTES => {
            Err(ProtectedError::Damaged)
        }
        false => Err(ProtectedError::NotPassphrase),
    }
}

/// The text in an age file, with its passphrase.
pub fn open(bytes: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, ProtectedError> {
    open_within(bytes, passphrase, MAX_PASSPHRASE_WORK_FACTOR)
}

/// [`open`] with this largest work factor.
pub(super) fn open_within(
    bytes: &[u8],
    passphrase: &Passphrase,
    most_work: u8,
) -> Result<Zeroizing<String>, ProtectedError> {
    let damaged = |e: DecryptError| match e {
        DecryptError::ExcessiveWork { required, .. } => ProtectedError::Work(required),
        // The AEAD over the file key fails: only a wrong passphrase, or a changed salt, does that.
        DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => ProtectedError::Wrong,
        DecryptError::NoMatchingKeys => ProtectedError::NotPassphrase,
        _ => ProtectedError::Damaged,
    };
    let file = unarmored(bytes)?;
    let decryptor = Decryptor::new_buffered(&*file).map_err(damaged)?;
    if !decryptor.is_scrypt() {
        return Err(ProtectedError::NotPassphrase);
    }
    let mut identity = scrypt::Identity::new(passphrase.secret());
    identity.set_max_work_factor(most_work);
    let reader = decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(damaged)?;
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES + 1));
    reader
        .take(MAX_KEY_FILE_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| ProtectedError::Damaged)?;
    if plain.len() > MAX_KEY_FILE_BYTES || is_protected(&plain) || std::str::from_utf8(&plain).is_err() {
        return Err(ProtectedError::Damaged);
    }
    let text = String::from_utf8(std::mem::take(&mut *plain));
    text.map(Zeroizing::new).map_err(|_| ProtectedError::Damaged)
}

#[cfg(test)]
#[path = "protected_tests.rs"]
mod tests;
