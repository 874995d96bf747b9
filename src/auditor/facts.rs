//! The common columns of an event: who, what, when, where, why and how it went, whatever shape the sender uses. SQL,
//! reports and rules read these and not the shapes.

/// How something ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// It was allowed, or succeeded.
    Allowed,
    /// It was refused.
    Denied,
    /// It was allowed and failed.
    Failed,
}

impl Outcome {
    /// `allowed`, `denied` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }
}

/// What an event says, as far as its shape is known. Text stands as the event writes it unless stated otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Which shape was recognised, such as `application`, `fhir-r4`, `cloudtrail`.
    pub shape: &'static str,
    /// When it happened by the sender's clock, as `YYYY-MM-DDThh:mm:ss.mmmZ`; `None` if there is no time that can be read.
    pub time: Option<String>,
    /// Identifier of who did it.
    pub actor: Option<String>,
    /// Display name of who did it.
    pub actor_name: Option<String>,
    /// Role or kind of who did it.
    pub role: Option<String>,
    /// What was done, in the event's word.
    pub action: Option<String>,
    /// The same as one of `create`, `read`, `update`, `delete`, `execute`, if it can be told.
    pub operation: Option<&'static str>,
    /// Kind of event.
    pub event_type: Option<String>,
    /// Kind of what it was done to.
    pub resource_type: Option<String>,
    /// Identifier of what it was done to.
    pub resource: Option<String>,
    /// The patient or data subject, without a `Patient/` prefix.
    pub patient: Option<String>,
    /// Purpose of use.
    pub purpose: Option<String>,
    /// Legal basis.
    pub legal_basis: Option<String>,
    /// Reason or justification in words.
    pub reason: Option<String>,
    /// How it went.
    pub outcome: Option<Outcome>,
    /// How it went, in the event's word.
    pub result: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// Severity.
    pub severity: Option<String>,
    /// Network address it came from.
    pub address: Option<String>,
    /// Application or system that reported it.
    pub application: Option<String>,
    /// Whom the data was disclosed to outside, if the event says so.
    pub recipient: Option<String>,
    /// Emergency access ("break the glass").
    pub emergency: bool,
}
