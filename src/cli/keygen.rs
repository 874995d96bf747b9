//! `keygen`: make a key in the field's own text form.

use std::path::{Path, PathBuf};

use crate::base::clock::Timestamp;
use crate::base::random;
use crate::chain::key::SigningKey;
use crate::config::keyfile;
use crate::config::passphrase;
use crate::seal::protected::Passphrase;
use crate::seal::reader_key::{Identity, identity_file_text};

use super::{Failure, Outcome};

/// What kind of key.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// X25519, opens records; the file is what age-keygen writes
    Reader,
    /// Ed25519, signs sealed batches
    Writer,
    /// Ed25519, signs erasures
    Officer,
    /// Ed25519, signs rosters: who may write, read and erase
    Admin,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail keygen reader alice                                   keys/alice.identity, keys/alice.recipient\n  \
                  sealtrail keygen writer hospital.example/writers/ehr --file ehr   keys/ehr.key, keys/ehr.vkey\n  \
                  sealtrail keygen officer hospital.example/officers/dpo --passphrase"
)]
pub struct Args {
    /// Kind of key
    kind: Kind,
    /// Reader: a file name. Others: the key's name, a schema-less URL of your own
    name: String,
    /// File name without ending; the last part of the name if not given
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Folder
    #[arg(long, default_value = "keys", value_name = "DIR")]
    out: PathBuf,
    /// Protect the secret file with a passphrase, as `age -p` does; asked for twice, or the first line of --passphrase-file
    #[arg(long)]
    passphrase: bool,
}

pub fn run(args: Args) -> Outcome {
    let last = args.name.rsplit('/').next().unwrap_or(&args.name);
    let stem = args.file.as_deref().unwrap_or(last);
    if stem.is_empty() || stem.contains(['/', '\\']) || stem.starts_with('.') {
        return Err(Failure::Usage(format!("{stem:?} cannot be a file name; give one with --file")));
    }
    let passphrase = new_passphrase(args.passphrase, "the new key")?;
    let passphrase = passphrase.as_ref();
    match args.kind {
        Kind::Reader => {
            let (file, recipient) = reader(&args.out, stem, passphrase)?;
            println!("{recipient}");
            eprintln!(
                "Secret identity in {}: it opens records, keep it where the auditor works.",
                file.display()
            );
        }
        Kind::Writer | Kind::Officer | Kind::Admin => {
            let (file, key) = signer(&args.out, stem, &args.name, passphrase)?;
            println!("{}", key.verifier());
            eprintln!("Secret key in {}.", file.display());
        }
    }
    Ok(())
}

/// Asks for a new passphrase if one is wanted.
pub fn new_passphrase(wanted: bool, what: &str) -> Result<Option<Passphrase>, Failure> {
    wanted.then(|| passphrase::new_for(what)).transpose().map_err(Failure::usage)
}

/// Makes `STEM.identity` and `STEM.recipient`; returns the secret's path and the recipient.
pub fn reader(dir: &Path, stem: &str, passphrase: Option<&Passphrase>) -> Result<(PathBuf, String), Failure> {
    let identity = Identity::generate(&mut random::csprng().map_err(Failure::unavailable)?);
    let recipient = identity.recipient().to_string();
    let file = dir.join(format!("{stem}.identity"));
    let text = identity_file_text(&identity, Timestamp::now());
    keyfile::create_key(&file, &text, passphrase).map_err(Failure::usage)?;
    let public = dir.join(format!("{stem}.recipient"));
    keyfile::create_public(&public, &format!("{recipient}\n")).map_err(Failure::usage)?;
    Ok((file, recipient))
}

/// Makes `STEM.key` and `STEM.vkey`; returns the secret's path and the key.
pub fn signer(
    dir: &Path,
    stem: &str,
    name: &str,
    passphrase: Option<&Passphrase>,
) -> Result<(PathBuf, SigningKey), Failure> {
    let mut rng = random::csprng().map_err(Failure::unavailable)?;
    let key = SigningKey::generate(name, &mut rng).map_err(Failure::usage)?;
    let file = dir.join(format!("{stem}.key"));
    let text = zeroize::Zeroizing::new(format!("{}\n", key.to_text().as_str()));
    keyfile::create_key(&file, &text, passphrase).map_err(Failure::usage)?;
    let public = dir.join(format!("{stem}.vkey"));
    keyfile::create_public(&public, &format!("{}\n", key.verifier())).map_err(Failure::usage)?;
    Ok((file, key))
}
