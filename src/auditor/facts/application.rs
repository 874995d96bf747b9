//! Events that applications write themselves: `event_type`/`actor`/`action`/`resource`/`context`/`result`;
//! `actor_id`/`resource_type`/`resource_id`; `category`/`action`/`severity`/`userId`/`ipAddress`;
//! `eventId`/`category`/`action`/`subject`/`details`; and mixtures of them. Names count without capitals, `_` and `-`.

use super::tree::Node;
use super::{Facts, time, words};

/// Kinds of resource whose identifier is the patient's.
const PATIENT_TYPES: &[&str] = &[
    "patient",
    "patients",
    "patientrecord",
    "patientrecords",
    "patientchart",
    "patientfile",
    "patientdata",
    "phi",
    "datasubject",
];

pub(super) fn fill(root: &Node<'_>, f: &mut Facts) {
    let actor = root.find("actor").or_else(|| root.find("user")).or_else(|| root.find("principal"));
    let resource = root.find("resource").or_else(|| root.find("target")).or_else(|| root.find("object"));
    let context = root.find("context");
    let details = root.find("details").or_else(|| root.find("detail"));
    let metadata = root.find("metadata").or_else(|| root.find("meta"));
    let subject = root.find("subject").and_then(identifier);
    // Most telling place first.
    let anywhere = [Some(root), context, details, metadata, actor, resource];
    let told = |names: &[&str]| text_in(&anywhere, names);

    f.time = first(&[Some(root), context, metadata, details], TIMES, |n| time::timestamp(n))
        .map(|t| t.to_string());
    f.event_type = text_in(&[Some(root)], &["eventtype", "type", "eventname", "event"]);
    f.action = text_in(&[Some(root)], &["action", "operation", "verb", "activity", "method"]);
    f.category = text_in(&[Some(root), metadata], &["category", "eventcategory"]);
    f.severity = text_in(&[Some(root), metadata], &["severity", "level", "priority"]);

    f.actor = actor
        .and_then(identifier)
        .or_else(|| {
            text_in(
                &[Some(root)],
                &["actorid", "userid", "username", "useremail", "principalid", "performedby"],
            )
        })
        .or_else(|| {
            let by = [
                "accessedby",
                "performedby",
                "changedby",
                "approvedby",
                "requestedby",
                "actorid",
                "userid",
                "user",
            ];
            text_in(&[details, context, metadata], &by)
        })
        .or_else(|| Some(subject.as_deref()?.strip_prefix("user:")?.to_owned()));
    f.actor_name = text_in(&[actor], &["displayname", "fullname", "name", "email"])
        .or_else(|| text_in(&[Some(root)], &["actorname", "username", "displayname", "useremail"]))
        .filter(|name| f.actor.as_ref() != Some(name));
    f.role = text_in(&[actor], &["role", "roles", "type"]).or_else(|| {
        text_in(&[Some(root), details, context], &["actorrole", "userrole", "role", "actortype", "usertype"])
    });

    f.resource_type = text_in(&[resource], &["type", "kind", "resourcetype"])
        .or_else(|| text_in(&[Some(root)], &["resourcetype", "targettype", "objecttype", "subjecttype"]))
        .or_else(|| Some(subject.as_deref()?.split_once(':')?.0.to_owned()));
    f.resource = resource
        .and_then(identifier)
        .or_else(|| text_in(&[Some(root)], &["resourceid", "targetid", "objectid", "documentid", "recordid"]))
        .or_else(|| subject.clone());
    let of_patient = |kind: &str| {
        let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
        PATIENT_TYPES.contains(&&*kind.to_ascii_lowercase())
    };
    f.patient = first(
        &anywhere,
        &["patientid", "patient", "datasubject", "datasubjectid", "patientmrn", "mrn"],
        identifier,
    )
    .or_else(|| subject.as_deref()?.strip_prefix("patient:").map(str::to_owned))
    .or_else(|| f.resource.clone().filter(|_| f.resource_type.as_deref().is_some_and(of_patient)))
    .or_else(|| f.resource.clone().filter(|r| r.starts_with("Patient/")))
    .map(|p| without_patient(&p).to_owned());

    f.purpose = told(&["purpose", "purposeofuse", "processingpurpose"]);
    f.legal_basis = told(&["legalbasis", "lawfulbasis"]);
    f.reason = told(&["reason", "justification", "failurereason", "errormessage"]);
    f.address = told(&["ipaddress", "ip", "sourceip", "clientip", "remoteaddress", "remoteaddr", "address"]);
    f.recipient = told(&["recipient", "disclosedto", "recipientname", "sharedwith"]);
    f.application = text_in(
        &[Some(root), metadata, context, details],
        &[
            "application",
            "applicationname",
            "app",
            "service",
            "servicename",
            "source",
            "system",
            "recordedby",
        ],
    );

    let success = first(&anywhere, &["success", "allowed", "granted"], |n| match n {
        Node::Bool(b) => Some(*b),
        _ => None,
    });
    f.result = text_in(&[Some(root)], &["result", "outcome", "status", "decision"])
        .or_else(|| text_in(&[details, context], &["result", "outcome", "decision"]))
        .or_else(|| success.map(|s| if s { "success".to_owned() } else { "failure".to_owned() }))
        .or_else(|| text_in(&[Some(root)], &["httpstatus", "statuscode"]));
    let by_action = f.action.as_deref().or(f.event_type.as_deref()).and_then(words::outcome_of_action);
    f.outcome = match (f.result.as_deref().and_then(words::outcome), by_action) {
        // "ADMIN_ACCESS_DENIED: FAILURE" is a refusal.
        (Some(super::Outcome::Failed), Some(super::Outcome::Denied)) => by_action,
        (Some(outcome), _) => Some(outcome),
        (None, _) => by_action,
    };
    f.operation = f.action.as_deref().and_then(words::operation);
    f.emergency = first(&anywhere, EMERGENCY, |n| n.is_true().then_some(())).is_some()
        || [&f.action, &f.event_type, &f.purpose, &f.category]
            .into_iter()
            .flatten()
            .any(|t| words::is_emergency(t));
}

const TIMES: &[&str] = &[
    "timestamp",
    "time",
    "@timestamp",
    "occurredat",
    "occurred",
    "recorded",
    "eventtime",
    "datetime",
    "createdat",
    "date",
];
const EMERGENCY: &[&str] =
    &["emergencyaccess", "emergency", "breakglass", "breaktheglass", "emergencyoverride"];

/// The text of a value that says who or what: itself, or the identifier in an object.
fn identifier(node: &Node<'_>) -> Option<String> {
    node.text().or_else(|| {
        let names = [
            "userid",
            "id",
            "identifier",
            "username",
            "login",
            "email",
            "sub",
            "reference",
            "value",
            "patientid",
            "name",
            "uri",
        ];
        names.iter().find_map(|n| node.find(n)?.text())
    })
}

fn text_in(places: &[Option<&Node<'_>>], names: &[&str]) -> Option<String> {
    first(places, names, |n| n.items().find_map(Node::text))
}

/// The first answer, by the order of the places and then of the names.
fn first<'t, 'e, T>(
    places: &[Option<&'t Node<'e>>],
    names: &[&str],
    answer: impl Fn(&'t Node<'e>) -> Option<T>,
) -> Option<T> {
    places.iter().flatten().find_map(|place| names.iter().find_map(|n| answer(place.find(n)?)))
}

/// A reference to a patient without what stands before the identifier and without a version.
pub(super) fn without_patient(reference: &str) -> &str {
    let id = match reference.rsplit_once("Patient/") {
        Some((before, id)) if before.is_empty() || before.ends_with('/') => id,
        _ => return reference,
    };
    id.split_once("/_history/").map_or(id, |(id, _)| id)
}
