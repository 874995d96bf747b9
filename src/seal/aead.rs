//! ChaCha20-Poly1305 (RFC 8439 §2.8) with the all-zero nonce: each key encrypts exactly one section.
//! The only file that names the cipher's library, so that it can be exchanged.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};

use super::keys::EncryptionKey;
use crate::base::secret::SecretBytes;

/// Length of the authentication tag in bytes.
pub const TAG_LEN: usize = 16;

/// The bytes are longer than the cipher allows, or do not authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ChaCha20-Poly1305 refused the bytes")]
pub struct AeadError;

/// Encrypts `buffer` in place and returns the tag that follows it. Fails only beyond 256 GB, leaving
/// `buffer` as it was.
pub fn seal_in_place(key: &EncryptionKey, aad: &[u8], buffer: &mut [u8]) -> Result<[u8; TAG_LEN], AeadError> {
    seal_with_nonce(key.0.expose(), &Nonce::default(), aad, buffer)
}

/// Authenticates `ciphertext` (with its tag at the end), and only then decrypts it.
pub(super) fn open(key: &EncryptionKey, aad: &[u8], ciphertext: &[u8]) -> Result<SecretBytes, AeadError> {
    open_with_nonce(key.0.expose(), &Nonce::default(), aad, ciphertext)
}

fn seal_with_nonce(
    key: &[u8; 32],
    nonce: &Nonce,
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; TAG_LEN], AeadError> {
    ChaCha20Poly1305::new(<&Key>::from(key))
        .encrypt_inout_detached(nonce, aad, InOutBuf::from(buffer))
        .map(Into::into)
        .map_err(|_| AeadError)
}

fn open_with_nonce(
    key: &[u8; 32],
    nonce: &Nonce,
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<SecretBytes, AeadError> {
    let (bytes, tag) = ciphertext.split_last_chunk::<TAG_LEN>().ok_or(AeadError)?;
    let mut plaintext = SecretBytes::new(bytes.to_vec());
    ChaCha20Poly1305::new(<&Key>::from(key))
        .decrypt_inout_detached(nonce, aad, InOutBuf::from(plaintext.as_mut_slice()), <&Tag>::from(tag))
        .map_err(|_| AeadError)?;
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::super::test_vectors::{Hex, load};
    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        key: Hex,
        nonce: Hex,
        aad: Hex,
        plaintext: Hex,
        ciphertext: Hex,
        tag: Hex,
    }

    #[test]
    fn rfc_8439_2_8_2() {
        let v: Vector = load(include_str!("../../tests/vectors/crypto/rfc8439-aead.json"));
        let nonce = Nonce::from(*v.nonce.array::<12>());
        let mut buffer = v.plaintext.0.clone();
        let tag = seal_with_nonce(v.key.array(), &nonce, &v.aad.0, &mut buffer).unwrap();
        assert_eq!(buffer, v.ciphertext.0);
        assert_eq!(tag[..], v.tag.0);
        let sealed = [v.ciphertext.0, v.tag.0].concat();
        assert_eq!(*open_with_nonce(v.key.array(), &nonce, &v.aad.0, &sealed).unwrap(), v.plaintext.0);
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(open_with_nonce(v.key.array(), &nonce, &v.aad.0, &bad), Err(AeadError));
        }
        assert_eq!(open_with_nonce(v.key.array(), &nonce, b"", &sealed), Err(AeadError));
        assert_eq!(open_with_nonce(v.key.array(), &nonce, &v.aad.0, &sealed[..15]), Err(AeadError));
    }
}
