//! From every error a handler can meet to its problem document: the one place where errors become HTTP
//! statuses. The matches are exhaustive on purpose: a new error does not compile until it has a code here.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::problem::{Code, Problem};
use crate::api::route::PROBLEM_TYPE;
use crate::base::limits::RETRY_AFTER_SECONDS;
use crate::chain::replay::ChainError;
use crate::event::error::EventError;
use crate::ledger::LedgerError;

use super::gateway::IntakeError;

/// A problem on its way to the client.
#[derive(Debug)]
pub struct Failure(pub Problem);

impl Failure {
    /// A failure with a code and what to do about it.
    pub fn new(code: Code, detail: impl Into<String>) -> Failure {
        Failure(Problem::new(code, detail))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], body).into_response();
        if self.0.code.retry() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if self.0.code == Code::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<LedgerError> for Failure {
    fn from(e: LedgerError) -> Failure {
        let code = match &e {
            LedgerError::Chain(c) => chain_code(c),
            LedgerError::Batch(_)
            | LedgerError::Grant(_)
            | LedgerError::BodyMissing
            | LedgerError::BodyUnexpected => Code::BatchInvalid,
            LedgerError::NotStored { full: true, .. } => Code::StorageFull,
            LedgerError::NotStored { full: false, .. }
            | LedgerError::NotShown { .. }
            | LedgerError::Stalled { .. } => Code::StorageFailed,
            LedgerError::Store(_) | LedgerError::Guard(_) => Code::StorageFailed,
            LedgerError::Overloaded | LedgerError::Stopped => Code::Overloaded,
            LedgerError::NotFound { .. } | LedgerError::UnknownCiphertext => Code::NotFound,
            LedgerError::Behind { .. }
            | LedgerError::Forked { .. }
            | LedgerError::GuardMissing { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::Empty
            | LedgerError::WrongKey { .. } => Code::Internal,
            LedgerError::KeyChange => Code::RequestInvalid,
        };
        Failure::new(code, e.to_string())
    }
}

/// The code of a statement that does not fit the chain.
pub fn chain_code(e: &ChainError) -> Code {
    match e {
        ChainError::UnknownSigner { .. }
        | ChainError::NotByAdmin { .. }
        | ChainError::OtherKey { .. }
        | ChainError::BadSignature { .. }
        | ChainError::SignatureCount { .. }
        | ChainError::RepeatedSigner { .. }
        | ChainError::TooFewOfficers { .. }
        | ChainError::WrongLedger { .. } => Code::SignatureInvalid,
        ChainError::SequenceGap { .. } => Code::SequenceGap,
        ChainError::Duplicate { .. }
        | ChainError::OldSequence { .. }
        | ChainError::Fork { .. }
        | ChainError::WrongPrevious { .. } => Code::SequenceConflict,
        ChainError::Statement(_)
        | ChainError::BeyondLedger { .. }
        | ChainError::GranteeNotReader { .. }
        | ChainError::LedgerKey { .. }
        | ChainError::TooManyLedgerKeys => Code::RequestInvalid,
        ChainError::Held { .. }
        | ChainError::NotExpired { .. }
        | ChainError::HoldInForce { .. }
        | ChainError::NoSuchHold { .. }
        | ChainError::TooManyHolds => Code::HoldConflict,
        ChainError::NoRoster
        | ChainError::Exhausted
        | ChainError::Height { .. }
        | ChainError::PreviousBlock { .. }
        | ChainError::TimeRunsBack { .. }
        | ChainError::FirstRecord { .. }
        | ChainError::AtBlock { .. }
        | ChainError::Snapshot(_) => Code::Internal,
    }
}

impl From<EventError> for Failure {
    fn from(e: EventError) -> Failure {
        let code = if e.is_too_large() { Code::TooLarge } else { Code::EventInvalid };
        Failure::new(code, e.to_string())
    }
}

impl From<IntakeError> for Failure {
    fn from(e: IntakeError) -> Failure {
        match e {
            IntakeError::Event(e) => e.into(),
            IntakeError::Unsealable(_) => Failure::new(Code::EventInvalid, e.to_string()),
            IntakeError::NoReader(_) => Failure::new(Code::NoReader, e.to_string()),
            IntakeError::Overloaded => Failure::new(Code::Overloaded, e.to_string()),
            IntakeError::Writer(_) => Failure::new(Code::Internal, e.to_string()),
            IntakeError::Ledger(e) => e.into(),
        }
    }
}
