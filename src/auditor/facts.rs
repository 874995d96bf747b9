//! The common columns of an event: who, what, when, where, why and how it went, whatever shape the sender uses. SQL,
//! reports and rules read these and not the shapes.
//!
//! Known shapes: events of applications (`application.rs` lists them), FHIR AuditEvent R5, R4, STU3 and DSTU2, AWS
//! CloudTrail, Kubernetes audit, Google Cloud audit logs. Nothing is decided here about access or proof.

mod application;
mod cloud;
mod fhir;
pub(super) mod time;
pub(super) mod tree;
mod words;

use tree::Node;

pub(super) use time::parse as parse_time;

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
    /// Which shape was recognised: `application`, `fhir-r5`, `fhir-r4`, `fhir-stu3`, `fhir-dstu2`, `cloudtrail`, `kubernetes`,
    /// `google-cloud`; `unknown` if nothing could be told.
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

impl Facts {
    /// Reads an event as [`super::record::Content::event`] gives it. Never fails: of an unknown shape it gives what can be
    /// told, and what is withheld is left out.
    pub fn of(event: &[u8]) -> Facts {
        match Node::parse(event) {
            Some(root) => Facts::of_tree(&root),
            None => Facts { shape: "unknown", ..Facts::default() },
        }
    }

    pub(super) fn of_tree(root: &Node<'_>) -> Facts {
        let mut facts = Facts::default();
        let detail =
            root.get("detail").filter(|d| d.get("eventSource").is_some() || d.get("userIdentity").is_some());
        let is_trail = root.get("eventSource").is_some() && root.get("eventName").is_some();
        let is_kubernetes =
            root.get("apiVersion").and_then(Node::str).is_some_and(|v| v.starts_with("audit.k8s.io/"))
                || (root.get("auditID").is_some() && root.get("verb").is_some());
        if root.get("resourceType").and_then(Node::str) == Some("AuditEvent") {
            fhir::fill(root, &mut facts);
        } else if let Some(record) = detail.or(is_trail.then_some(root)) {
            facts.shape = "cloudtrail";
            cloud::cloudtrail(root, record, &mut facts);
        } else if is_kubernetes {
            facts.shape = "kubernetes";
            cloud::kubernetes(root, &mut facts);
        } else if let Some(payload) = root.get("protoPayload").filter(|p| p.is_object()) {
            facts.shape = "google-cloud";
            cloud::google(root, payload, &mut facts);
        } else {
            application::fill(root, &mut facts);
            let told = facts != Facts::default();
            facts.shape = if told { "application" } else { "unknown" };
        }
        facts
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
