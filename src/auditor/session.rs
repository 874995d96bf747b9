//! Opens a reader's session: the server seals a token to the recipient, and being able to use it is the proof.

use crate::base::hash::from_base64;
use crate::client::{Client, ClientError};
use crate::seal::open::{OpenError, open_challenge};
use crate::seal::reader_key::Identity;

/// Why no session could be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The server did not give a challenge.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The challenge is not well formed.
    #[error("the server's challenge is malformed")]
    Malformed,
    /// The challenge does not open with this identity for this ledger.
    #[error(
        "the server serves another ledger than {ledger}, or --key is another key than the ledger's own (its ledger.vkey; an admin's or \
         writer's key does not do): {source}"
    )]
    Challenge {
        /// The origin expected.
        ledger: String,
        /// What the opener said.
        source: OpenError,
    },
}

/// Opens a session on `client` for `identity`; the token is sent with every request from then on. `ledger` is the
/// origin the auditor expects: a challenge relayed from another ledger does not open.
pub fn open_session(client: &mut Client, identity: &Identity, ledger: &str) -> Result<(), SessionError> {
    let challenge = client.challenge(&identity.recipient().to_string())?;
    let enc = from_base64(&challenge.enc).ok_or(SessionError::Malformed)?;
    let ciphertext = from_base64(&challenge.ciphertext).ok_or(SessionError::Malformed)?;
    let token = open_challenge(identity, ledger, &enc, &ciphertext)
        .map_err(|source| SessionError::Challenge { ledger: ledger.to_owned(), source })?;
    client.set_token(crate::base::hash::to_base64(&token));
    Ok(())
}
