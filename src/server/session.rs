//! Reader sessions. A reader names its recipient and gets a bearer token sealed to it: whoever can use the
//! token has shown that it can decrypt. Nothing is stored; the token carries its own expiry under a MAC
//! whose key lives as long as the process.
//!
//! token = u64(expiry, ms) ‖ recipient[32] ‖ nonce[16] ‖ HMAC-SHA256(key, what precedes)[32]

use crate::base::clock::Timestamp;
use crate::base::hash::from_base64;
use crate::base::hmac::hmac;
use crate::base::limits::SESSION_SECONDS;
use crate::base::random::{self, RandomError};
use crate::base::secret::{Secret, ct_eq};
use crate::base::wire::{Reader, WireWrite};
use crate::seal::kem::{self, Challenge};
use crate::seal::reader_key::Recipient;

const NONCE_LEN: usize = 16;
const MAC_LEN: usize = 32;

/// Issues and checks session tokens.
pub struct Sessions {
    key: Secret<32>,
    ledger: String,
}

impl Sessions {
    /// Sessions of one ledger, under a fresh key: tokens end with the process.
    pub fn new(ledger: &str) -> Result<Sessions, RandomError> {
        Ok(Sessions { key: random::secret()?, ledger: ledger.to_owned() })
    }

    /// A challenge for `recipient` and when the session it opens will end.
    pub fn challenge(
        &self,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<(Challenge, Timestamp), kem::KemError> {
        let expires = Timestamp::from_millis(now.millis() + SESSION_SECONDS as i64 * 1000).unwrap_or(now);
        let mut token = Vec::with_capacity(8 + 32 + NONCE_LEN + MAC_LEN);
        token.put_u64(expires.millis() as u64);
        token.extend_from_slice(recipient.as_bytes());
        token.extend_from_slice(random::secret::<NONCE_LEN>()?.expose());
        let mac = hmac(self.key.expose(), &[&token]);
        token.extend_from_slice(&mac.0);
        let challenge = kem::challenge_seal(recipient, &self.ledger, &token, &mut random::csprng()?)?;
        Ok((challenge, expires))
    }

    /// The recipient a token was issued to, if it is genuine and has not ended.
    pub fn check(&self, token: &str, now: Timestamp) -> Option<[u8; 32]> {
        let bytes = from_base64(token)?;
        let split = bytes.len().checked_sub(MAC_LEN)?;
        let (body, mac) = bytes.split_at(split);
        if !ct_eq(&hmac(self.key.expose(), &[body]).0, mac) {
            return None;
        }
        let mut r = Reader::new(body, "session token");
        let expires = r.u64().ok()?;
        let recipient = r.array().ok()?;
        (i64::try_from(expires).ok()? > now.millis()).then_some(recipient)
    }
}
