//! The command line. The files of this folder mirror the commands.

mod audit;
mod authority;
mod backup;
mod copying;
mod demo;
mod erase;
mod failure;
mod fsck;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod grant_file;
mod hold;
mod init;
mod journal;
mod keygen;
mod log;
mod next_key;
mod officer;
mod operator;
mod passphrase;
mod progress;
mod prove;
mod redact;
mod restore;
mod retain;
mod roster;
mod rotate;
mod seal;
mod serve;
mod source;
mod stats;
mod trust;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::settings::SETTINGS_FILE;
use crate::event::view::printable;
pub use failure::{Failure, Outcome};
use redact::without_keys;

/// An audit store whose records anyone can prove and only the named auditors can read.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 everything holds · 1 something was checked and does not hold · 2 the \
        command, a key or a setting is not usable · 3 not reachable or cannot store.\n\
                  Start with: sealtrail demo"
)]
struct Args {
    /// The ledger's settings file, for the commands of its operator
    #[arg(long, global = true, default_value = SETTINGS_FILE, value_name = "FILE")]
    settings: PathBuf,
    /// Where the passphrases of protected keys are, one a line, instead of asking; may be a pipe such as /dev/fd/3
    #[arg(long, global = true, env = "SEALTRAIL_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the whole story on a ledger of its own: log, look as the operator, open as an auditor, verify as a stranger, tamper
    Demo(demo::Args),
    /// Create a ledger here: settings, keys, database, first roster
    Init(init::Args),
    /// Make a key: reader (X25519, as age-keygen does), writer, officer or admin (Ed25519 signed-note key)
    Keygen(keygen::Args),
    /// Protect a key file with a passphrase, change the passphrase, or take it away
    Passphrase(passphrase::Args),
    /// Add, remove or list the readers new records are sealed to
    #[command(subcommand)]
    Reader(roster::ReaderCommand),
    /// Add, remove or list the writers that may sign batches
    #[command(subcommand)]
    Writer(roster::WriterCommand),
    /// Put a new key in the place of the ledger's, a writer's or the admin's: after a theft, a loss, or from time to time
    #[command(subcommand)]
    Rotate(rotate::RotateCommand),
    /// Let a later reader open old records: check and sign what an auditor re-wrapped with `audit grant`
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// Add, remove or list the officers that may order erasures
    #[command(subcommand)]
    Officer(officer::OfficerCommand),
    /// Order the erasure of records: ciphertext, key slots and tags leave the database, the proof that they existed stays
    Erase(erase::Args),
    /// List what is past its retention date; with officers' keys, erase it
    Retain(retain::Args),
    /// Place, release or list legal holds: what is held cannot be erased
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    /// Run the server
    Serve(serve::Args),
    /// Copy a ledger, running or not, into a new folder, and verify the copy from its bytes
    Backup(backup::Args),
    /// Say where the bytes are: of a database, running or not
    Stats(stats::Args),
    /// Look for damage in a stopped ledger's database, byte by byte; with --repair, mend what can be proved
    Fsck(fsck::Args),
    /// Put a ledger back from a backup, verified before and after; never behind what the ledger has signed
    Restore(restore::Args),
    /// Log events from a file or standard input
    Log(log::Args),
    /// Fetch the existence proof of a record into a file
    Prove(prove::Args),
    /// Verify a proof or evidence file offline, with nothing but the ledger's public key
    Verify(verify::Args),
    /// The auditor's commands: sync a verified copy, search, SQL, reports, watch, export evidence, open, grant, verify the whole ledger
    #[command(subcommand)]
    Audit(Box<audit::AuditCommand>),
}

/// Parses the command line, runs the command, and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    no_core_dumps();
    quiet_on_closed_pipe();
    let Args { settings, passphrase_file, command } = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let said = e.render().to_string();
            let shown = without_keys(&said);
            if shown == said {
                e.exit();
            }
            eprint!("{shown}");
            return ExitCode::from(2);
        }
    };
    crate::config::passphrase::hold(passphrase_file);
    let outcome = match command {
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(&settings, args),
        Command::Keygen(args) => keygen::run(args),
        Command::Passphrase(args) => passphrase::run(args),
        Command::Reader(command) => roster::reader(&settings, command),
        Command::Writer(command) => roster::writer(&settings, command),
        Command::Rotate(command) => rotate::run(&settings, command),
        Command::Grant(command) => grant::run(&settings, command),
        Command::Officer(command) => officer::run(&settings, command),
        Command::Erase(args) => erase::run(&settings, args),
        Command::Retain(args) => retain::run(&settings, args),
        Command::Hold(command) => hold::run(&settings, command),
        Command::Serve(args) => serve::run(&settings, args),
        Command::Backup(args) => backup::run(&settings, args),
        Command::Fsck(args) => fsck::run(&settings, args),
        Command::Stats(args) => stats::run(&settings, args),
        Command::Restore(args) => restore::run(&settings, args),
        Command::Log(args) => log::run(args),
        Command::Prove(args) => prove::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Audit(command) => audit::run(*command),
    };
    crate::config::passphrase::forget();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A message may carry words of a server: what could move the cursor is escaped.
            // Or of the command line, where somebody may have put a secret key by mistake.
            let message: Vec<String> = without_keys(failure.message()).lines().map(printable).collect();
            eprintln!("sealtrail: {}", message.join("\n"));
            failure.into()
        }
    }
}

/// A core dump would hold keys. Where the system has no such limit there is nothing to do. The limit alone is not enough on Linux, where
/// a dump that goes to a program does not heed it; a process that is not dumpable leaves none at all, and other processes of the same
/// user cannot read its memory either.
fn no_core_dumps() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(unix)]
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Core,
        rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
    );
}

/// `println!` panics when nobody reads on, as in `… | head`. That is no fault: the command ends as if it had been told to.
fn quiet_on_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if message.starts_with("failed printing to std") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        report(info);
    }));
}

/// Prints `value` as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string(value).map_err(Failure::unavailable)?;
    println!("{text}");
    Ok(())
}
