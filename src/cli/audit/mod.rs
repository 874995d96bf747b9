//! The auditor's commands. The files of this folder mirror them.

mod disclose;
mod export;
mod open;
mod verify;

use super::Outcome;

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(open::OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(verify::VerifyArgs),
    /// Write one evidence file that proves a selection of records, with their events or without
    Export(export::ExportArgs),
    /// Write an evidence file that shows single fields of one record and nothing else of it
    Disclose(disclose::DiscloseArgs),
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Open(args) => open::run(args),
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Export(args) => export::run(args),
        AuditCommand::Disclose(args) => disclose::run(args),
    }
}
