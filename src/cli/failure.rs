//! How a command ends: one exit code a kind of outcome, and words that tell the person what to do.

use std::process::ExitCode;

use crate::auditor::follow::FollowError;
use crate::auditor::grant::MakeGrantError;
use crate::auditor::open::OpenRecordError;
use crate::auditor::session::SessionError;
use crate::auditor::source::SourceError;
use crate::auditor::verify::VerifyError;
use crate::client::ClientError;
use crate::ledger::LedgerError;
use crate::server::ServerError;
use crate::store::StoreError;
use crate::writer::WriterError;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something was checked and does not hold. Exit code 1.
    Wrong(String),
    /// The command, a file or a setting is not usable. Exit code 2.
    Usage(String),
    /// A server, disk or file could not be reached or take more; nothing is said about the ledger. Exit code 3.
    Unavailable(String),
}

/// What every command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// The exit code: 1 wrong, 2 usage, 3 unavailable.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Wrong(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unavailable(_) => 3,
        }
    }

    /// The message.
    pub fn message(&self) -> &str {
        match self {
            Failure::Wrong(m) | Failure::Usage(m) | Failure::Unavailable(m) => m,
        }
    }

    /// Usage failure from anything printable.
    pub fn usage(e: impl std::fmt::Display) -> Failure {
        Failure::Usage(e.to_string())
    }

    /// Unavailability from anything printable.
    pub fn unavailable(e: impl std::fmt::Display) -> Failure {
        Failure::Unavailable(e.to_string())
    }
}

impl From<Failure> for ExitCode {
    fn from(f: Failure) -> ExitCode {
        ExitCode::from(f.code())
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Failure {
        match &e {
            ClientError::Problem(p) if p.code.retry() || p.status >= 500 => Failure::unavailable(e),
            ClientError::Problem(_) | ClientError::Certificate { .. } | ClientError::Address(_) => {
                Failure::usage(e)
            }
            ClientError::Status { .. } | ClientError::Malformed { .. } | ClientError::Unreachable { .. } => {
                Failure::unavailable(e)
            }
        }
    }
}

impl From<SessionError> for Failure {
    fn from(e: SessionError) -> Failure {
        match e {
            SessionError::Client(e) => e.into(),
            SessionError::Malformed => Failure::unavailable(e),
            SessionError::Challenge { .. } => Failure::usage(e),
        }
    }
}

impl From<FollowError> for Failure {
    fn from(e: FollowError) -> Failure {
        match e {
            FollowError::Client(e) => e.into(),
            FollowError::Lost { .. } => Failure::usage(e),
        }
    }
}

impl From<OpenRecordError> for Failure {
    fn from(e: OpenRecordError) -> Failure {
        match e {
            OpenRecordError::Client(e) => e.into(),
            OpenRecordError::Open(crate::seal::open::OpenError::NotAReader { .. }) => Failure::usage(e),
            OpenRecordError::Erased(_)
            | OpenRecordError::ErasedByOrder { .. }
            | OpenRecordError::Proof(_)
            | OpenRecordError::Malformed(_)
            | OpenRecordError::Open(_)
            | OpenRecordError::Event(_) => Failure::Wrong(e.to_string()),
        }
    }
}

impl From<MakeGrantError> for Failure {
    fn from(e: MakeGrantError) -> Failure {
        match e {
            MakeGrantError::Client(e) => e.into(),
            MakeGrantError::Session(e) => e.into(),
            MakeGrantError::Proof { .. } | MakeGrantError::Mismatch { .. } => Failure::Wrong(e.to_string()),
            MakeGrantError::Nothing { .. } | MakeGrantError::Kem(_) => Failure::usage(e),
            MakeGrantError::Random(_) | MakeGrantError::Deliver(_) => Failure::unavailable(e),
        }
    }
}

impl From<crate::auditor::record::RecordsError> for Failure {
    fn from(e: crate::auditor::record::RecordsError) -> Failure {
        use crate::auditor::record::RecordsError;
        match e {
            RecordsError::Unavailable(_) => Failure::unavailable(e),
            RecordsError::Damaged(_) => Failure::Wrong(e.to_string()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(e: VerifyError) -> Failure {
        match e {
            VerifyError::Wrong { .. } | VerifyError::History { .. } | VerifyError::Gone { .. } => {
                Failure::Wrong(e.to_string())
            }
            VerifyError::Source(SourceError::Damaged(_)) => Failure::Wrong(e.to_string()),
            VerifyError::Source(SourceError::Unavailable(_) | SourceError::Empty(_)) => {
                Failure::unavailable(e)
            }
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(e: LedgerError) -> Failure {
        match e {
            LedgerError::Behind { .. } | LedgerError::Forked { .. } | LedgerError::Damaged { .. } => {
                Failure::Wrong(e.to_string())
            }
            LedgerError::Store(e) => e.into(),
            LedgerError::NotStored { .. }
            | LedgerError::NotShown { .. }
            | LedgerError::Stalled { .. }
            | LedgerError::Overloaded
            | LedgerError::Stopped => Failure::unavailable(e),
            LedgerError::Chain(_)
            | LedgerError::Batch(_)
            | LedgerError::Grant(_)
            | LedgerError::BodyMissing
            | LedgerError::BodyUnexpected
            | LedgerError::Guard(_)
            | LedgerError::GuardMissing { .. }
            | LedgerError::Empty
            | LedgerError::NotFound { .. }
            | LedgerError::UnknownCiphertext
            | LedgerError::WrongKey { .. }
            | LedgerError::KeyChange => Failure::usage(e),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Failure {
        match e {
            StoreError::Corrupt { .. } => Failure::Wrong(e.to_string()),
            StoreError::Full { .. }
            | StoreError::NotWritable { .. }
            | StoreError::Unsynced { .. }
            | StoreError::Busy { .. }
            | StoreError::Uncertain { .. } => Failure::unavailable(e),
            StoreError::Conflict { .. }
            | StoreError::WrongLedger { .. }
            | StoreError::WrongVersion { .. }
            | StoreError::NotADatabase { .. }
            | StoreError::Missing { .. }
            | StoreError::CannotOpen { .. }
            | StoreError::Locked { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::DuplicateStatement { .. }
            | StoreError::Invalid { .. }
            | StoreError::IndexIncomplete { .. }
            | StoreError::Engine { .. } => Failure::usage(e),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(e: ServerError) -> Failure {
        match e {
            ServerError::Listen { .. } | ServerError::Tls { .. } => Failure::usage(e),
            ServerError::TooFewFiles { .. } | ServerError::Random(_) | ServerError::Io(_) => {
                Failure::unavailable(e)
            }
        }
    }
}

impl From<WriterError> for Failure {
    fn from(e: WriterError) -> Failure {
        Failure::usage(e)
    }
}
