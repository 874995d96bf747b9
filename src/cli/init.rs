//! `init`: create a ledger: settings, keys, database, and the first roster as block 0.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::hash::{Hash, to_hex};
use crate::base::paths::beside;
use crate::base::random;
use crate::chain::key::is_key_name;
use crate::chain::roster::{Roster, RosterReader};
use crate::chain::statement::Statement;
use crate::config::keyfile;
use crate::config::settings::Settings;
use crate::ledger::{Ledger, Options};
use crate::store::{LockFile, SHM, SqliteStore, WAL};

use super::operator::*;
use super::{Failure, Outcome, keygen};

/// Bytes of randomness in an ingest token.
const TOKEN_BYTES: usize = 32;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  sealtrail keygen reader alice\n  sealtrail init hospital.example/phi-audit \
        --reader alice=$(cat keys/alice.recipient)\n  sealtrail serve"
)]
pub struct Args {
    /// The ledger's origin: a schema-less URL of your own, for ever its name
    ledger: String,
    /// A reader that records are sealed to: NAME=age1…; may be given again
    #[arg(long = "reader", value_name = "NAME=age1…")]
    readers: Vec<String>,
    /// Protect the ledger's, the gateway's and the admin's key with a passphrase. `serve` then needs it at every start: see
    /// --passphrase-file
    #[arg(long)]
    passphrase: bool,
}

pub fn run(settings: &Path, args: Args) -> Outcome {
    let readers = args.readers.iter().map(|r| parse_reader(r)).collect::<Result<Vec<_>, _>>()?;
    let made = create(settings, &args.ledger, readers, args.passphrase)?;
    println!("{}", made.vkey);
    eprintln!("Ledger {} created.", args.ledger);
    eprintln!("  settings   {}", settings.display());
    eprintln!("  database   {}", made.database.display());
    eprintln!(
        "  keys       {} (back them up; the project's keys/README.md says what each is)",
        made.keys.display()
    );
    eprintln!("  public key above: give it to everyone who is to verify");
    if args.readers.is_empty() {
        eprintln!("  no readers yet: nothing can be logged until `sealtrail reader add NAME age1…`");
    }
    Ok(())
}

/// `NAME=age1…`
pub fn parse_reader(text: &str) -> Result<RosterReader, Failure> {
    let (name, recipient) =
        text.split_once('=').ok_or_else(|| Failure::Usage(format!("{text:?} is not NAME=age1…")))?;
    roster_reader(name, recipient, false)
}

/// A checked roster entry.
pub fn roster_reader(name: &str, recipient: &str, required: bool) -> Result<RosterReader, Failure> {
    if !is_key_name(name) {
        return Err(Failure::Usage(format!(
            "{name:?} cannot be a reader's name: 1 to 255 bytes, no spaces, no +"
        )));
    }
    let recipient = crate::seal::reader_key::Recipient::parse(recipient)
        .map_err(|e| Failure::Usage(format!("the key of reader {name}: {e}")))?;
    Ok(RosterReader { name: name.to_owned(), recipient: recipient.to_string(), required })
}

/// What was created.
pub struct Created {
    /// The ledger's verifier key.
    pub vkey: String,
    /// The database.
    pub database: PathBuf,
    /// The keys folder.
    pub keys: PathBuf,
}

/// Creates everything; refuses to overwrite anything.
pub fn create(
    settings_path: &Path,
    ledger: &str,
    readers: Vec<RosterReader>,
    protected: bool,
) -> Result<Created, Failure> {
    if !is_key_name(ledger) {
        return Err(Failure::Usage(format!(
            "{ledger:?} cannot be a ledger's origin: 1 to 255 bytes, no spaces, no +, such as hospital.example/phi-audit"
        )));
    }
    if ledger.contains("://") {
        return Err(Failure::Usage(format!(
            "{ledger:?} has a scheme; an origin is a name without one, such as hospital.example/phi-audit, and can never be changed"
        )));
    }
    if settings_path.exists() {
        return Err(Failure::Usage(format!(
            "{} exists already; a ledger is created once",
            settings_path.display()
        )));
    }
    let text = Settings::to_toml_template(ledger);
    let settings = Settings::parse(&text, settings_path).map_err(Failure::usage)?;
    nothing_is_in_the_way(settings_path, &settings)?;
    let passphrase = keygen::new_passphrase(protected, "the keys of the ledger")?;
    let passphrase = passphrase.as_ref();
    let dir = &settings.keys;
    let (_, ledger_key) = keygen::signer(dir, LEDGER_KEY, ledger, passphrase)?;
    let (_, admin_key) = keygen::signer(dir, ADMIN_KEY, &format!("{ledger}/admin"), passphrase)?;
    let (_, gateway_key) = keygen::signer(dir, GATEWAY_KEY, &settings.gateway.writer, passphrase)?;
    let token = random::secret::<TOKEN_BYTES>().map_err(Failure::unavailable)?;
    let token = zeroize::Zeroizing::new(format!("{}\n", to_hex(token.expose())));
    keyfile::create_secret(&dir.join(TOKEN_FILE), &token).map_err(Failure::usage)?;

    let mut roster = Roster {
        ledger: ledger.to_owned(),
        sequence: 0,
        previous: Hash::ZERO,
        issued: Timestamp::now(),
        ledger_key: ledger_key.verifier(),
        admins: vec![admin_key.verifier()],
        writers: vec![gateway_key.verifier()],
        readers,
        officers_required: 0,
        officers: Vec::new(),
        witnesses: Vec::new(),
    };
    roster.sort();
    let note = Statement::Roster(roster).sign(&admin_key).map_err(Failure::usage)?;
    let lock = LockFile::acquire(&settings.database)?;
    owner_only(&settings.database)?;
    let store = Arc::new(SqliteStore::open(&settings.database, ledger, true)?);
    let vkey = ledger_key.verifier().to_string();
    let options =
        Options { key: ledger_key, guard: guard_path(&settings.database), accept_database_head: false };
    drop(Ledger::create(store, options, note)?);
    drop(lock);
    keyfile::create_public(settings_path, &text).map_err(Failure::usage)?;
    Ok(Created { vkey, database: settings.database, keys: settings.keys })
}

/// The settings are written last, so that without them no ledger was ever served from here: what lies here is of an `init` that was broken
/// off, or of something else. All of it is named at once: removing one file after the other would make others meanwhile.
fn nothing_is_in_the_way(settings_path: &Path, settings: &Settings) -> Outcome {
    let mut files = vec![settings.database.clone(), guard_path(&settings.database)];
    for suffix in [WAL, SHM, "-journal"] {
        files.push(beside(&settings.database, suffix));
    }
    for key in [LEDGER_KEY, ADMIN_KEY, GATEWAY_KEY] {
        files.extend(["key", "vkey"].map(|ending| settings.keys.join(format!("{key}.{ending}"))));
    }
    files.push(settings.keys.join(TOKEN_FILE));
    let found: Vec<String> = files.iter().filter(|f| f.exists()).map(|f| f.display().to_string()).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "there is no {}, but these are here already:\n  {}\nIf an `init` was broken off here, remove them and run it again; if not, \
         work in another folder",
        settings_path.display(),
        found.join("\n  ")
    )))
}

/// Makes the empty database file for its owner alone, before anything is in it: tags and slots are not for every user of the
/// machine. SQLite gives its log the same mode.
fn owner_only(database: &Path) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(database)
        .map_err(|e| Failure::Usage(format!("cannot create {}: {e}", database.display())))?;
    Ok(())
}
