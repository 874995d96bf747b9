//! The auditor's commands. The files of this folder mirror them.

mod open;
mod verify;
mod watch;

use super::Outcome;

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(open::OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(verify::VerifyArgs),
    /// Watch the ledger by rules, and alert: standard output, webhook, syslog
    Watch(watch::WatchArgs),
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Open(args) => open::run(args),
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Watch(args) => watch::run(args),
    }
}
