//! `reader` and `writer`: change who is in the roster. Each change is a new roster statement in the chain, signed by the
//! admin key, so anyone can see who was let in and since when.

use std::path::Path;

use crate::chain::key::VerifierKey;
use crate::chain::roster::Roster;
use crate::config::settings::Settings;
use crate::event::view::printable;

use super::authority::Authority;
use super::init::roster_reader;
use super::operator::{ADMIN_KEY, settings as load_settings, signing_key};
use super::rotate::replace_key;
use super::{Failure, Outcome, print_json};

#[derive(clap::Subcommand)]
pub enum ReaderCommand {
    /// Seal records to this reader from the next batch on
    #[command(after_help = "Example: sealtrail reader add alice $(cat keys/alice.recipient)")]
    Add {
        /// A name for people and for the settings' reader lists
        name: String,
        /// The reader's public key
        recipient: String,
        /// Every batch must include this reader; the ledger refuses one that does not
        #[arg(long)]
        required: bool,
    },
    /// Seal nothing more to this reader and end its access
    Remove {
        /// Its name
        name: String,
    },
    /// List the readers
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Subcommand)]
pub enum WriterCommand {
    /// Allow this writer to sign batches
    #[command(after_help = "Example: sealtrail writer add \"$(cat keys/ehr.vkey)\"")]
    Add {
        /// The writer's verifier key, or a .vkey file
        vkey: String,
    },
    /// Refuse this writer's batches from now on
    Remove {
        /// The key's name
        name: String,
    },
    /// Put a new key in the place of the one this writer has: batches signed with the old one are refused from now on
    #[command(
        after_help = "Example: sealtrail writer replace 'hospital.example/writers/ehr+…'   (what `rotate writer` printed)"
    )]
    Replace {
        /// The new verifier key, of the same name, or a .vkey file
        vkey: String,
    },
    /// List the writers
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn reader(settings: &Path, command: ReaderCommand) -> Outcome {
    match command {
        ReaderCommand::Add { name, recipient, required } => {
            let new = roster_reader(&name, &recipient, required)?;
            edit(settings, |roster| {
                if let Some(other) =
                    roster.readers.iter().find(|r| r.name == new.name || r.recipient == new.recipient)
                {
                    return Err(Failure::Usage(format!(
                        "reader {} is in the roster already with {}",
                        other.name, other.recipient
                    )));
                }
                roster.readers.push(new);
                Ok(format!(
                    "reader {name} added: the server seals new records to it from the next batch on; a remote writer does when its own settings name it. \
                     Older records stay closed to it until an auditor grants them: audit grant"
                ))
            })
        }
        ReaderCommand::Remove { name } => edit(settings, |roster| {
            let before = roster.readers.len();
            roster.readers.retain(|r| r.name != name);
            if roster.readers.len() == before {
                return Err(Failure::Usage(format!(
                    "there is no reader {name}; see `sealtrail reader list`"
                )));
            }
            let last = if roster.readers.is_empty() {
                ". It was the last: until another is added nothing can be logged"
            } else {
                ""
            };
            Ok(format!(
                "reader {name} removed: nothing more is sealed to it or served to it. What it has opened it keeps{last}"
            ))
        }),
        ReaderCommand::List { json } => {
            let roster = current(&load_settings(settings)?)?;
            if json {
                let rows: Vec<_> = roster
                    .readers
                    .iter()
                    .map(|r| serde_json::json!({"name": r.name, "recipient": r.recipient, "required": r.required}))
                    .collect();
                return print_json(&rows);
            }
            for r in &roster.readers {
                println!(
                    "{}  {}{}",
                    r.recipient,
                    printable(&r.name),
                    if r.required { "  (required)" } else { "" }
                );
            }
            Ok(())
        }
    }
}

pub fn writer(settings: &Path, command: WriterCommand) -> Outcome {
    match command {
        WriterCommand::Add { vkey } => {
            let key: VerifierKey = super::trust::verifier_key(&vkey)?;
            edit(settings, |roster| {
                if roster.writer(key.name()).is_some() {
                    return Err(Failure::Usage(format!("writer {} is in the roster already", key.name())));
                }
                let message = format!("writer {} added", key.name());
                roster.writers.push(key);
                Ok(message)
            })
        }
        WriterCommand::Replace { vkey } => {
            let key: VerifierKey = super::trust::verifier_key(&vkey)?;
            edit(settings, |roster| {
                replace_key(&mut roster.writers, &key, "writer")?;
                Ok(format!(
                    "writer {} has another key: what it signs with the old one is refused from now on",
                    key.name()
                ))
            })
        }
        WriterCommand::Remove { name } => {
            let gateway = load_settings(settings)?.gateway.writer;
            edit(settings, |roster| {
                let before = roster.writers.len();
                roster.writers.retain(|w| w.name() != name);
                if roster.writers.len() == before {
                    return Err(Failure::Usage(format!(
                        "there is no writer {name}; see `sealtrail writer list`"
                    )));
                }
                let warning =
                    if name == gateway { ". This is the gateway: POST /v1/events now fails" } else { "" };
                Ok(format!("writer {name} removed: its batches are refused from now on{warning}"))
            })
        }
        WriterCommand::List { json } => {
            let roster = current(&load_settings(settings)?)?;
            if json {
                let rows: Vec<_> = roster
                    .writers
                    .iter()
                    .map(|w| serde_json::json!({"name": w.name(), "key": w.to_string()}))
                    .collect();
                return print_json(&rows);
            }
            for w in &roster.writers {
                println!("{}", printable(w.as_str()));
            }
            Ok(())
        }
    }
}

/// The roster in force, from the database or, while the server has it, from the server.
pub fn current(settings: &Settings) -> Result<Roster, Failure> {
    Ok(Authority::of_settings(settings)?.roster)
}

/// Changes the roster and commits the new one, directly or through the running server.
pub fn edit(path: &Path, change: impl FnOnce(&mut Roster) -> Result<String, Failure>) -> Outcome {
    let settings = load_settings(path)?;
    let admin = signing_key(&settings.keys, ADMIN_KEY)?;
    let authority = Authority::of_settings(&settings)?;
    let mut message = String::new();
    let block = authority.change(&admin, |roster| {
        message = change(roster)?;
        Ok(())
    })?;
    println!("{message} (block {block})");
    Ok(())
}
