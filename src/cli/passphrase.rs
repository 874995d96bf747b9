//! `passphrase`: protect a key file with a passphrase, change the passphrase, or take it away.

use std::path::PathBuf;

use crate::config::keyfile;
use crate::seal::protected::protect;

use super::{Failure, Outcome};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail passphrase keys/admin.key             protect it, or change its passphrase\n  \
        sealtrail passphrase keys/admin.key --remove\n  \
        sealtrail passphrase keys/ledger.key --new-passphrase-file /run/secrets/ledger\n\
        The file is then what `age -p` writes, and `age -d keys/admin.key` shows the key. Passphrases are asked for on the terminal, or \
        come from files (--passphrase-file for the present one), which may be pipes such as /dev/fd/3."
)]
pub struct Args {
    /// Key files: *.key or *.identity; several get the same passphrase
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take the passphrase away: the file is then protected by its permissions alone
    #[arg(long, conflicts_with = "new_passphrase_file")]
    remove: bool,
    /// Take the new passphrase from the first line of this file instead of asking
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

pub fn run(args: Args) -> Outcome {
    use crate::config::passphrase;
    // All are opened before anything is asked or changed.
    let mut keys = Vec::new();
    for file in &args.files {
        let (text, protected) = keyfile::read_key_and_protection(file).map_err(Failure::usage)?;
        // Protecting what is no key would lock away something else.
        if !text.contains("PRIVATE+KEY+") && !text.contains("AGE-SECRET-KEY-") {
            return Err(Failure::Usage(format!(
                "{} holds no key: files that end in .key and .identity can have a passphrase",
                file.display()
            )));
        }
        if args.remove && !protected {
            return Err(Failure::Usage(format!("{} has no passphrase", file.display())));
        }
        keys.push((file, text, protected));
    }
    if args.remove {
        for (file, text, _) in &keys {
            keyfile::replace_secret(file, text).map_err(Failure::usage)?;
            println!("{} has no passphrase any more", file.display());
        }
        return Ok(());
    }
    let what = match &args.files[..] {
        [one] => one.display().to_string(),
        many => format!("{} key files", many.len()),
    };
    // The present passphrase's file is not taken for the new one: it would change nothing.
    let changed = keys.iter().any(|(_, _, protected)| *protected);
    let new = match (&args.new_passphrase_file, changed) {
        (Some(file), _) => passphrase::new_from(Some(file), &what),
        (None, true) => passphrase::ask_new(&what),
        (None, false) => passphrase::new_for(&what),
    };
    let new = new.map_err(Failure::usage)?;
    for (file, text, protected) in &keys {
        keyfile::replace_secret(file, &protect(text, &new).map_err(Failure::usage)?)
            .map_err(Failure::usage)?;
        let done = if *protected { "has another passphrase" } else { "is protected by a passphrase" };
        println!("{} {done} now", file.display());
    }
    eprintln!(
        "Without the passphrase the key is lost. Copies made before, in backups too, are as they were."
    );
    Ok(())
}
