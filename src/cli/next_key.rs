//! A key file that is about to take another's place: `X.next.key` beside `X.key`. It is written before the roster names it, and moved
//! when the roster does; whatever breaks off in between, the chain says which of the two is in force, and the next command finishes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::random;
use crate::chain::block::Block;
use crate::chain::checkpoint::SignedCheckpoint;
use crate::chain::key::{SigningKey, VerifierKey};
use crate::config::keyfile;
use crate::config::settings::Settings;
use crate::ledger::{Ledger, Options};
use crate::store::Store;

use super::Failure;
use super::keygen::new_passphrase;
use super::operator::{LEDGER_KEY, guard_path, signing_key_file};

/// Ending of the next key's file.
const NEXT_ENDING: &str = "next.key";

/// Where the key that follows the one in `key` is.
pub fn next_path(key: &Path) -> PathBuf {
    key.with_extension(NEXT_ENDING)
}

/// The key that is to follow the one in `key`: the one of an attempt that broke off, or a new one. It is protected by a passphrase if
/// the present one is, or if that is wanted.
pub fn next_key(key: &Path, name: &str, passphrase: bool) -> Result<SigningKey, Failure> {
    let path = next_path(key);
    if path.exists() {
        let next = signing_key_file(&path)?;
        if next.name() != name {
            return Err(Failure::Usage(format!(
                "{} is a key of {}, not of {name}",
                path.display(),
                next.name()
            )));
        }
        return Ok(next);
    }
    let protected = key.exists() && keyfile::is_protected(key).map_err(Failure::usage)?;
    let passphrase = new_passphrase(passphrase || protected, "the new key")?;
    let next = SigningKey::generate(name, &mut random::csprng().map_err(Failure::unavailable)?);
    let next = next.map_err(Failure::usage)?;
    let text = zeroize::Zeroizing::new(format!("{}\n", next.to_text().as_str()));
    keyfile::create_key_like(&path, key, &text, passphrase.as_ref()).map_err(Failure::usage)?;
    Ok(next)
}

/// Where the public half of a key goes that was replaced: whoever checks old files needs it.
pub fn old_vkey_path(key: &Path, old: &VerifierKey) -> PathBuf {
    key.with_extension(format!("{:08x}.vkey", old.key_id()))
}

/// Puts the next key in place of the present one, whose secret half is kept aside. Moving the next key is the last step, so that what
/// broke off is begun again.
pub fn take_place(key: &Path, new: &VerifierKey, old: &VerifierKey) -> Result<PathBuf, Failure> {
    let old_public = old_vkey_path(key, old);
    keyfile::replace_public(&old_public, &format!("{old}\n")).map_err(Failure::usage)?;
    keyfile::replace_public(&key.with_extension("vkey"), &format!("{new}\n")).map_err(Failure::usage)?;
    let retired = key.with_extension(format!("{:08x}.retired.key", old.key_id()));
    keyfile::take_place(&next_path(key), key, &retired).map_err(Failure::usage)?;
    Ok(retired)
}

/// The ledger's signing key. If it was being changed when something broke off, and the chain has the new one, that one, moved to its place.
pub fn ledger_key(settings: &Settings, store: &Arc<dyn Store>) -> Result<SigningKey, Failure> {
    let path = settings.keys.join(format!("{LEDGER_KEY}.key"));
    if next_path(&path).exists() {
        let next = signing_key_file(&next_path(&path))?;
        if signs_head(&**store, &next.verifier())? {
            let (retired, _) = finish_ledger(settings, store, next)?;
            eprintln!(
                "sealtrail: the change of the ledger's key is finished; the old one is in {}",
                retired.display()
            );
        }
    }
    signing_key_file(&path)
}

/// Whether this key signed the checkpoint in the store.
pub fn signs_head(store: &dyn Store, key: &VerifierKey) -> Result<bool, Failure> {
    let head = store.head()?.unwrap_or_default();
    let text = String::from_utf8(head.checkpoint).unwrap_or_default();
    Ok(SignedCheckpoint::parse(&text, key).is_ok())
}

/// After the chain has the new ledger key: moves the files. Gives where the old secret key is, and the file with the roster that hands
/// over, if the old key signed that.
pub fn finish_ledger(
    settings: &Settings,
    store: &Arc<dyn Store>,
    next: SigningKey,
) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    let path = settings.keys.join(format!("{LEDGER_KEY}.key"));
    let new = next.verifier();
    // Opening is also what brings the last-signed file level.
    let options = Options { key: next, guard: guard_path(&settings.database), accept_database_head: false };
    let view = Ledger::open(store.clone(), options)?.view();
    let [.., before, change] = view.state.ledger_keys().all() else {
        return Err(Failure::Usage("the ledger's key was never changed".into()));
    };
    let mut handover = None;
    if change.handed_over {
        let text = store.block_text(change.since)?.unwrap_or_default();
        let block = Block::parse(&String::from_utf8_lossy(&text)).map_err(Failure::unavailable)?;
        let file = path.with_extension(format!("{:08x}.handover", before.key.key_id()));
        keyfile::replace_public(&file, &block.statement.to_string()).map_err(Failure::usage)?;
        handover = Some(file);
    }
    Ok((take_place(&path, &new, &before.key)?, handover))
}
