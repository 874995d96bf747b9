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
    let find = |names: &[&str]| names.iter().find_map(|n| root.find(n));
    let who = find(&["actor", "user", "principal"]);
    let what = find(&["resource", "target", "object"]);
    let subject = root.find("subject").and_then(identifier);
    let whole = Some(Place::new(root));
    let [actor, resource] = [who, what].map(|n| n.map(Place::new));
    let context = root.find("context").map(Place::new);
    let details = find(&["details", "detail"]).map(Place::new);
    let metadata = find(&["metadata", "meta"]).map(Place::new);
    // Most telling place first.
    let anywhere = [whole, context, details, metadata, actor, resource];
    let told = |names: &[&str]| text_in(&anywhere, names);

    f.time =
        first(&[whole, context, metadata, details], TIMES, |n| time::timestamp(n)).map(|t| t.to_string());
    f.event_type = text_in(&[whole], &["eventtype", "type", "eventname", "event"]);
    f.action = text_in(&[whole], &["action", "operation", "verb", "activity", "method"]);
    f.category = text_in(&[whole, metadata], &["category", "eventcategory"]);
    f.severity = text_in(&[whole, metadata], &["severity", "level", "priority"]);

    f.actor = who
        .and_then(identifier)
        .or_else(|| {
            text_in(&[whole], &["actorid", "userid", "username", "useremail", "principalid", "performedby"])
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
        .or_else(|| text_in(&[whole], &["actorname", "username", "displayname", "useremail"]))
        .filter(|name| f.actor.as_ref() != Some(name));
    f.role = text_in(&[actor], &["role", "roles", "type"]).or_else(|| {
        text_in(&[whole, details, context], &["actorrole", "userrole", "role", "actortype", "usertype"])
    });

    f.resource_type = text_in(&[resource], &["type", "kind", "resourcetype"])
        .or_else(|| text_in(&[whole], &["resourcetype", "targettype", "objecttype", "subjecttype"]))
        .or_else(|| Some(subject.as_deref()?.split_once(':')?.0.to_owned()));
    f.resource = what
        .and_then(identifier)
        .or_else(|| text_in(&[whole], &["resourceid", "targetid", "objectid", "documentid", "recordid"]))
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
    f.address = told(&["ipaddress", "ip", "sourceip", "clientip", "remoteaddress", "remoteaddr"]);
    f.recipient = told(&["recipient", "disclosedto", "recipientname", "sharedwith"]);
    f.application = text_in(
        &[whole, metadata, context, details],
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

    let success = first(&[whole, details, context], &["success", "allowed"], |n| match n {
        Node::Bool(b) => Some(*b),
        _ => None,
    });
    f.result = text_in(&[whole], &["result", "outcome", "status", "decision"])
        .or_else(|| text_in(&[details, context], &["result", "outcome", "decision"]))
        .or_else(|| success.map(|s| if s { "success".to_owned() } else { "failure".to_owned() }))
        .or_else(|| text_in(&[whole], &["httpstatus", "statuscode"]));
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

/// An object to look in, with the first letters of its member names: most names looked for are not there.
#[derive(Clone, Copy)]
struct Place<'t, 'e> {
    node: &'t Node<'e>,
    letters: u32,
}

impl<'t, 'e> Place<'t, 'e> {
    fn new(node: &'t Node<'e>) -> Place<'t, 'e> {
        Place { node, letters: node.names().map(letter).fold(0, |all, one| all | one) }
    }

    fn find(&self, name: &str) -> Option<&'t Node<'e>> {
        if self.letters & letter(name) == 0 { None } else { self.node.find(name) }
    }
}

/// A bit for the first letter of a name; all bits for a name that starts with something else.
fn letter(name: &str) -> u32 {
    match name.as_bytes().first().map(u8::to_ascii_lowercase) {
        Some(c @ b'a'..=b'z') => 1 << (c - b'a'),
        _ => u32::MAX,
    }
}

fn text_in(places: &[Option<Place<'_, '_>>], names: &[&str]) -> Option<String> {
    first(places, names, |n| n.items().find_map(Node::text))
}

/// The first answer, by the order of the places and then of the names.
fn first<'t, 'e: 't, T>(
    places: &[Option<Place<'t, 'e>>],
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
