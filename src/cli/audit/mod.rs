//! The auditor's commands. The files of this folder mirror them.

mod grant;
mod open;
mod verify;

use super::Outcome;

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Re-wrap the keys of records you can read for a later reader
    Grant(grant::GrantArgs),
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(open::OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(verify::VerifyArgs),
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Grant(args) => grant::run(args),
        AuditCommand::Open(args) => open::run(args),
        AuditCommand::Verify(args) => verify::run(args),
    }
}
