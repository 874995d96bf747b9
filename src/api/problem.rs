//! Errors as RFC 9457 problem documents with stable codes.

use serde::{Deserialize, Serialize};

/// What went wrong, by consequence. The code never changes meaning; the text may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The event is not one JSON object this ledger takes.
    EventInvalid,
    /// The request is malformed in another way.
    RequestInvalid,
    /// No or a wrong bearer token.
    Unauthorized,
    /// The key is not in the roster for that.
    Forbidden,
    /// Nothing there.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is larger than the limit.
    TooLarge,
    /// The content type is not one this path takes.
    UnsupportedType,
    /// A statement's signature or signer is wrong.
    SignatureInvalid,
    /// A writer's sequence has a gap.
    SequenceGap,
    /// The sequence number is taken by another statement.
    SequenceConflict,
    /// The policy seals a section to readers that the roster does not have.
    NoReader,
    /// An erasure of what a hold or its retention date protects, or a hold that does not fit those in force.
    HoldConflict,
    /// Statement and body do not fit together, or break a rule of the format.
    BatchInvalid,
    /// Queues are full.
    Overloaded,
    /// The store cannot take more.
    StorageFull,
    /// The store failed in another way.
    StorageFailed,
    /// The request took too long.
    Timeout,
    /// A fault of the server's own.
    Internal,
}

impl Code {
    /// The HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Code::EventInvalid | Code::RequestInvalid => 400,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::MethodNotAllowed => 405,
            Code::Timeout => 408,
            Code::SequenceGap | Code::SequenceConflict | Code::NoReader | Code::HoldConflict => 409,
            Code::TooLarge => 413,
            Code::UnsupportedType => 415,
            Code::SignatureInvalid | Code::BatchInvalid => 422,
            Code::Overloaded | Code::StorageFull | Code::StorageFailed => 503,
            Code::Internal => 500,
        }
    }

    /// Whether the same request may succeed later.
    pub fn retry(self) -> bool {
        matches!(self, Code::Overloaded | Code::StorageFull | Code::StorageFailed | Code::Timeout)
    }

    /// A short summary that is the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Code::EventInvalid => "The event cannot be logged",
            Code::RequestInvalid => "The request is malformed",
            Code::Unauthorized => "A valid bearer token is needed",
            Code::Forbidden => "This key may not do that",
            Code::NotFound => "There is nothing here",
            Code::MethodNotAllowed => "The method is not allowed here",
            Code::TooLarge => "The body is too large",
            Code::UnsupportedType => "The content type is not supported",
            Code::SignatureInvalid => "The statement is not signed by a key the roster allows",
            Code::SequenceGap => "The writer's sequence has a gap",
            Code::SequenceConflict => "The sequence number is already used",
            Code::NoReader => "There is no reader to seal to",
            Code::HoldConflict => "A hold or a retention date forbids that",
            Code::BatchInvalid => "The batch does not match its statement",
            Code::Overloaded => "The ledger is busy",
            Code::StorageFull => "The disk is full",
            Code::StorageFailed => "The ledger cannot store",
            Code::Timeout => "The request took too long",
            Code::Internal => "The server failed",
        }
    }
}

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:sealtrail:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Code::title`].
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong with this request and what to do. Never repeats the request's content.
    pub detail: String,
    /// The stable code.
    pub code: Code,
}

impl Problem {
    /// A problem with its own detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let name = serde_json::to_value(code).ok().and_then(|v| v.as_str().map(str::to_owned));
        Problem {
            kind: format!("urn:sealtrail:problem:{}", name.unwrap_or_default()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
        }
    }
}
