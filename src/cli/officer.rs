//! `officer`: who may order erasures, and how many of them it takes.

use std::path::Path;

use crate::chain::roster::Roster;
use crate::event::view::printable;

use super::operator::settings as load_settings;
use super::roster::{current, edit};
use super::rotate::replace_key;
use super::{Failure, Outcome, print_json};

#[derive(clap::Subcommand)]
pub enum OfficerCommand {
    /// Let this officer order erasures, together with as many others as are required
    #[command(after_help = "Examples:\n  sealtrail keygen officer hospital.example/officers/dpo\n  \
            sealtrail officer add keys/dpo.vkey\n  sealtrail officer add ciso.vkey --required 2    \
            from now on an erasure needs two officers")]
    Add {
        /// The officer's verifier key, or a .vkey file
        vkey: String,
        /// How many officers must sign an erasure from now on; as before if not given
        #[arg(long, value_name = "N")]
        required: Option<u64>,
    },
    /// Let this officer order nothing more
    #[command(after_help = "Example: sealtrail officer remove hospital.example/officers/dpo --required 1")]
    Remove {
        /// The key's name
        name: String,
        /// How many officers must sign an erasure from now on; as before if not given
        #[arg(long, value_name = "N")]
        required: Option<u64>,
    },
    /// Put a new key in the place of the one this officer has
    #[command(
        after_help = "Example:\n  sealtrail keygen officer hospital.example/officers/dpo --file dpo2\n  sealtrail officer replace keys/dpo2.vkey"
    )]
    Replace {
        /// The new verifier key, of the same name, or a .vkey file
        vkey: String,
    },
    /// List the officers, and how many of them an erasure needs
    #[command(after_help = "Example: sealtrail officer list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(settings: &Path, command: OfficerCommand) -> Outcome {
    match command {
        OfficerCommand::Add { vkey, required } => {
            let key = super::trust::verifier_key(&vkey)?;
            edit(settings, |roster| {
                if roster.officer(key.name()).is_some() {
                    return Err(Failure::Usage(format!("officer {} is in the roster already", key.name())));
                }
                let name = key.name().to_owned();
                roster.officers.push(key);
                require(roster, required.or((roster.officers_required == 0).then_some(1)))?;
                Ok(format!("officer {name} added: {}", rule(roster)))
            })
        }
        OfficerCommand::Replace { vkey } => {
            let key = super::trust::verifier_key(&vkey)?;
            edit(settings, |roster| {
                replace_key(&mut roster.officers, &key, "officer")?;
                Ok(format!("officer {} has another key: {}", key.name(), rule(roster)))
            })
        }
        OfficerCommand::Remove { name, required } => edit(settings, |roster| {
            let before = roster.officers.len();
            roster.officers.retain(|o| o.name() != name);
            if roster.officers.len() == before {
                return Err(Failure::Usage(format!(
                    "there is no officer {name}; see `sealtrail officer list`"
                )));
            }
            require(roster, required.or(roster.officers.is_empty().then_some(0)))?;
            Ok(format!("officer {name} removed: {}", rule(roster)))
        }),
        OfficerCommand::List { json } => {
            let roster = current(&load_settings(settings)?)?;
            if json {
                let officers: Vec<_> = roster
                    .officers
                    .iter()
                    .map(|o| serde_json::json!({"name": o.name(), "key": o.to_string()}))
                    .collect();
                return print_json(
                    &serde_json::json!({"required": roster.officers_required, "officers": officers}),
                );
            }
            for o in &roster.officers {
                println!("{}", printable(o.as_str()));
            }
            eprintln!("{}", rule(&roster));
            Ok(())
        }
    }
}

fn require(roster: &mut Roster, required: Option<u64>) -> Outcome {
    let there = roster.officers.len() as u64;
    match required {
        Some(0) if there > 0 => Err(Failure::Usage("an erasure needs at least one officer".into())),
        Some(n) if n > there => {
            Err(Failure::Usage(format!("{n} officers cannot be required: there would be {there}")))
        }
        Some(n) => {
            roster.officers_required = n;
            Ok(())
        }
        None if roster.officers_required > there => Err(Failure::Usage(format!(
            "an erasure needs {} officers, and there would be {there}: say with --required how many it needs then",
            roster.officers_required
        ))),
        None => Ok(()),
    }
}

fn rule(roster: &Roster) -> String {
    match (roster.officers_required, roster.officers.len()) {
        (_, 0) => "there are no officers, so nothing can be erased".to_owned(),
        (k, n) => format!("an erasure needs the signatures of {} of {n} officers", k.max(1)),
    }
}
