//! The auditor's commands. The files of this folder mirror them.

mod disclose;
mod export;
mod grant;
mod known;
mod open;
mod report;
mod search;
mod sql;
mod sync;
mod vault;
mod verify;

mod watch;
mod when;

use super::Outcome;

#[derive(clap::Subcommand)]
pub enum AuditCommand {
    /// Bring your verified copy of the ledger, the vault, up to date
    Sync(sync::SyncArgs),
    /// Find records by who, what, which: the ledger compares blind tags and learns no value
    Search(search::SearchArgs),
    /// Re-wrap the keys of records you can read for a later reader
    Grant(grant::GrantArgs),
    /// Make a report: who saw a patient, disclosures, denied attempts, breach scope, integrity and others
    Report(report::ReportArgs),
    /// Ask questions in SQL over the records you may open
    Sql(sql::SqlArgs),
    /// Fetch a record, prove that it is the one committed, and open it with your identity
    Open(open::OpenArgs),
    /// Verify the whole ledger from its bytes: every hash, link, signature, sequence and the checkpoint
    Verify(verify::VerifyArgs),
    /// Write one evidence file that proves a selection of records, with their events or without
    Export(export::ExportArgs),
    /// Write an evidence file that shows single fields of one record and nothing else of it
    Disclose(disclose::DiscloseArgs),
    /// Watch the ledger by rules, and alert: standard output, webhook, syslog
    Watch(Box<watch::WatchArgs>),
}

pub fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Sync(args) => sync::run(args),
        AuditCommand::Search(args) => search::run(args),
        AuditCommand::Grant(args) => grant::run(args),
        AuditCommand::Report(args) => report::run(args),
        AuditCommand::Sql(args) => sql::run(args),
        AuditCommand::Open(args) => open::run(args),
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Export(args) => export::run(args),
        AuditCommand::Disclose(args) => disclose::run(args),
        AuditCommand::Watch(args) => watch::run(*args),
    }
}
