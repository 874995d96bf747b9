//! What auditors and strangers bring: the server's address, the ledger's public key, their own identity.

use std::path::{Path, PathBuf};

use crate::auditor::session::open_session;
use crate::chain::key::VerifierKey;
use crate::client::Client;
use crate::config::keyfile;
use crate::seal::reader_key::{Identity, parse_identity_file};

use super::Failure;

/// Address used when none is given: the one `serve` listens on by default.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7470";

/// Where the server is.
#[derive(clap::Args)]
pub struct ServerArgs {
    /// Address of the server
    #[arg(long, env = "SEALTRAIL_SERVER", default_value = DEFAULT_SERVER, value_name = "URL")]
    pub server: String,
    /// Certificate to trust for https, PEM
    #[arg(long, env = "SEALTRAIL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl ServerArgs {
    /// A client for that server.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.server, self.ca.as_deref())?)
    }
}

/// The ledger's public key, given as text or as a file that holds it.
pub fn verifier_key(given: &str) -> Result<VerifierKey, Failure> {
    // A key first: a file of that very name, in a folder that came with what is to be checked, must not take its place.
    if let Ok(key) = VerifierKey::parse(given.trim()) {
        return Ok(key);
    }
    let text = if given.contains('+') && !Path::new(given).exists() {
        given.to_owned()
    } else {
        keyfile::read_public(Path::new(given)).map_err(Failure::usage)?
    };
    VerifierKey::parse(text.trim()).map_err(|e| {
        Failure::Usage(format!(
            "{given} is not a verifier key: {e}. Give the text `name+id+key` or the .vkey file that the ledger's operator publishes"
        ))
    })
}

/// Gives the client a session for the first identity of a file that the ledger lets in.
pub fn any_session(client: &mut Client, file: &Path, ledger: &str) -> Result<(), Failure> {
    let mut refusal = None;
    for identity in identities(file)? {
        match open_session(client, &identity, ledger).map_err(Failure::from) {
            Ok(()) => return Ok(()),
            // Another identity of the file may be the reader.
            Err(Failure::Usage(why)) => refusal = Some(Failure::Usage(why)),
            Err(e) => return Err(e),
        }
    }
    Err(refusal.unwrap_or_else(|| Failure::Usage(format!("{} holds no identity", file.display()))))
}

/// All identities of an identity file.
pub fn identities(path: &Path) -> Result<Vec<Identity>, Failure> {
    let text = keyfile::read_key(path).map_err(Failure::usage)?;
    parse_identity_file(&text).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
}
