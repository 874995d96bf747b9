//! Sealing in this process, as the gateway and remote writers do it, and the naive design it is compared with.

use std::io::{Read as _, Write as _};

use ed25519_dalek::{Signature, Signer as _, Verifier as _};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::random;
use sealtrail::base::secret::Secret;
use sealtrail::chain::key::SigningKey;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::RosterReader;
use sealtrail::event::policy::Policy;
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Purpose, Sealed, Writer, WriterOptions};

use super::Fallible;
use super::program::{LEDGER, READERS};

/// Records of one batch.
pub const BATCH: u64 = 4096;
/// Years that records are kept, the default of the settings.
const RETAIN_YEARS: u16 = 6;

/// Options of a writer with this key; its search secret lives in memory.
pub fn options(key: SigningKey) -> WriterOptions {
    WriterOptions {
        key,
        ledger: LEDGER.to_owned(),
        policy: Policy::default(),
        retain_years: RETAIN_YEARS,
        search: Box::new(|month| {
            let secret = random::secret::<32>().map_err(|e| e.to_string())?;
            Ok((format!("{month}.00000001"), SearchSecret::from_secret(secret)))
        }),
    }
}

/// A writer with a key of its own.
pub fn writer(name: &str) -> Fallible<Writer> {
    let key = SigningKey::generate(name, &mut random::csprng()?)?;
    Ok(Writer::new(options(key), Head::default())?)
}

/// Three readers with fresh keys.
pub fn readers() -> Fallible<Vec<RosterReader>> {
    let mut rng = random::csprng()?;
    let reader = |name: &&str| RosterReader {
        name: (*name).to_owned(),
        recipient: Identity::generate(&mut rng).recipient().to_string(),
        required: false,
    };
    Ok(READERS.iter().map(reader).collect())
}

/// Seals some events as one batch and signs it: everything from JSON text to what a ledger takes.
pub fn seal(writer: &mut Writer, readers: &[RosterReader], events: &[Vec<u8>]) -> Fallible<Sealed> {
    Ok(writer.seal_events(Purpose::Events, readers, events, Timestamp::now())?)
}

/// The naive design: each event an age file to three X25519 recipients, signed with Ed25519 on its own.
pub struct Naive {
    key: ed25519_dalek::SigningKey,
    identities: Vec<age::x25519::Identity>,
    recipients: Vec<age::x25519::Recipient>,
}

impl Naive {
    /// With fresh keys.
    pub fn new() -> Fallible<Naive> {
        let seed: Secret<32> = random::secret()?;
        let identities: Vec<_> = READERS.iter().map(|_| age::x25519::Identity::generate()).collect();
        let recipients = identities.iter().map(age::x25519::Identity::to_public).collect();
        Ok(Naive { key: ed25519_dalek::SigningKey::from_bytes(seed.expose()), identities, recipients })
    }

    /// Encrypts and signs one event: file and signature.
    pub fn seal(&self, event: &[u8]) -> Fallible<(Vec<u8>, Signature)> {
        let recipients = self.recipients.iter().map(|r| r as &dyn age::Recipient);
        let mut out = Vec::with_capacity(event.len() + 600);
        let mut writer = age::Encryptor::with_recipients(recipients)?.wrap_output(&mut out)?;
        writer.write_all(event)?;
        writer.finish()?;
        let signature = self.key.sign(&out);
        Ok((out, signature))
    }

    /// Checks the signature and decrypts, as the reader whose turn comes first: its best case.
    pub fn open(&self, file: &[u8], signature: &Signature) -> Fallible<Vec<u8>> {
        self.key.verifying_key().verify(file, signature)?;
        let identity = self.identities.first().map(|i| i as &dyn age::Identity);
        let mut event = Vec::new();
        age::Decryptor::new_buffered(file)?.decrypt(identity.into_iter())?.read_to_end(&mut event)?;
        Ok(event)
    }
}
