//! The auditor's commands. The files of this folder mirror them.

mod open;
mod search;
mod sync;
mod vault;
mod verify;
mod when;

use super::Outcome;

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Bring your verified copy of the ledger, the vault, up to date
    Sync(sync::SyncArgs),
    /// Find records by who, what, which: the ledger compares blind tags and learns no value
    Search(search::SearchArgs),
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(open::OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(verify::VerifyArgs),
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Sync(args) => sync::run(args),
        AuditCommand::Search(args) => search::run(args),
        AuditCommand::Open(args) => open::run(args),
        AuditCommand::Verify(args) => verify::run(args),
    }
}
