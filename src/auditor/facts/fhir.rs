//! FHIR AuditEvent: R5, R4 (and R4B), STU3, DSTU2. HL7 FHIR, resource AuditEvent; IHE Basic Audit Log Patterns (BALP) for
//! how its agents and entities are used.

use super::application::without_patient;
use super::tree::Node;
use super::{Facts, Outcome, time, words};
use crate::event::normalise::plain_reference;

/// DICOM PS3.16 CID 400 and 402: codes of the controlled terminology "DCM".
mod dcm {
    pub const EMERGENCY_OVERRIDE: &str = "110127";
    pub const EXPORT: &str = "110106";
    pub const IMPORT: &str = "110107";
    pub const DISCLOSURE: &str = "110031";
    pub const SOURCE: &str = "110153";
    pub const DESTINATION: &str = "110152";
    pub const APPLICATION: &str = "110150";

    /// What the event codes are called, for events that leave it out.
    pub fn name(code: &str) -> Option<&'static str> {
        Some(match code {
            "110100" => "Application Activity",
            "110101" => "Audit Log Used",
            "110102" => "Begin Transferring DICOM Instances",
            "110103" => "DICOM Instances Accessed",
            "110104" => "DICOM Instances Transferred",
            "110105" => "DICOM Study Deleted",
            "110106" => "Export",
            "110107" => "Import",
            "110108" => "Network Entry",
            "110109" => "Order Record",
            "110110" => "Patient Record",
            "110111" => "Procedure Record",
            "110112" => "Query",
            "110113" => "Security Alert",
            "110114" => "User Authentication",
            "110120" => "Application Start",
            "110121" => "Application Stop",
            "110122" => "Login",
            "110123" => "Logout",
            "110127" => "Emergency Override Started",
            "110128" => "Emergency Override Stopped",
            _ => return None,
        })
    }
}

/// Codes for agents who are people, in the order in which they are taken for the actor when no agent is the requestor.
const PEOPLE: &[&str] = &["UserSamlAgent", "UserOauthAgent", "humanuser", "IRCP", "AUT", "INF"];
/// Purposes of use that mean emergency access: HL7 v3 ActReason.
const EMERGENCY_PURPOSES: &[&str] = &["ETREAT", "BTG", "HPRGRP-BTG"];

pub(super) fn fill(root: &Node<'_>, f: &mut Facts) {
    // DSTU2 keeps action, time and outcome in `event`, and says participant and object for agent and entity.
    let dstu2 = root.get("event");
    let event = dstu2.unwrap_or(root);
    let agents: Vec<&Node<'_>> = root.each(if dstu2.is_some() { "participant" } else { "agent" }).collect();
    let entities: Vec<&Node<'_>> = root.each(if dstu2.is_some() { "object" } else { "entity" }).collect();
    let old_agent = agents
        .iter()
        .any(|a| a.get("who").is_none() && (a.get("userId").is_some() || a.get("reference").is_some()));
    f.shape = match (dstu2, root.get("category").is_some() || root.get("code").is_some()) {
        (Some(_), _) => "fhir-dstu2",
        (None, true) => "fhir-r5",
        (None, false) if old_agent => "fhir-stu3",
        (None, false) => "fhir-r4",
    };
    let kind = event.get("type").or_else(|| event.get("category"));
    let detail = event.get("subtype").or_else(|| event.get("code"));
    let when =
        ["recorded", "dateTime", "occurredDateTime"].into_iter().find_map(|n| time::timestamp(event.get(n)?));
    let period = || event.get("occurredPeriod").or_else(|| event.get("period"))?.get("start");
    f.time = when.or_else(|| time::timestamp(period()?)).map(|t| t.to_string());
    f.event_type = kind.and_then(word);
    f.category = kind.and_then(display).or_else(|| f.event_type.clone());
    let letter = event.get("action").and_then(Node::str);
    f.action = detail.and_then(word).or_else(|| letter.map(str::to_owned)).or_else(|| f.event_type.clone());
    f.operation = match letter {
        Some("C") => Some("create"),
        Some("R") => Some("read"),
        Some("U") => Some("update"),
        Some("D") => Some("delete"),
        // A search is written as E; what it does is read.
        Some("E") => f.action.as_deref().and_then(words::operation).or(Some("execute")),
        _ => f.action.as_deref().and_then(words::operation),
    };
    f.severity = root.text_at(&["severity"]);
    outcome(event, f);
    let actor = actor(&agents);
    if let Some(agent) = actor {
        f.actor = who(agent);
        f.actor_name = name(agent).filter(|n| f.actor.as_ref() != Some(n));
        f.role = agent.each("role").chain(agent.get("type")).find_map(|c| display(c).or_else(|| word(c)));
    }
    f.address = actor
        .and_then(address)
        .or_else(|| agents.iter().filter(|a| has_code(a, dcm::SOURCE)).find_map(|a| address(a)))
        .or_else(|| agents.iter().filter(|a| !has_code(a, dcm::DESTINATION)).find_map(|a| address(a)));
    let source = root.get("source");
    f.application = source.and_then(|s| {
        s.get("observer")
            .and_then(reference_or_display)
            .or_else(|| s.text_at(&["identifier", "value"]))
            .or_else(|| s.get("site").and_then(|site| site.text().or_else(|| reference_or_display(site))))
    });
    purpose(root, event, &agents, actor, f);
    f.emergency = [kind, detail]
        .into_iter()
        .flatten()
        .any(|c| codes(c).any(|c| c == dcm::EMERGENCY_OVERRIDE))
        || f.purpose.as_deref().is_some_and(|p| EMERGENCY_PURPOSES.contains(&p) || words::is_emergency(p));
    subject(root, &entities, f);
    let disclosed = |c: &str| {
        [dcm::EXPORT, dcm::IMPORT, dcm::DISCLOSURE].contains(&c)
            || c.get(..8).is_some_and(|d| d.eq_ignore_ascii_case("disclose"))
            || c.eq_ignore_ascii_case("disclosure")
    };
    if [kind, detail].into_iter().flatten().any(|c| codes(c).any(disclosed)) {
        let recipient = agents.iter().find(|a| has_code(a, dcm::DESTINATION));
        f.recipient = recipient.and_then(|a| name(a).or_else(|| who(a)));
    }
}

/// R4: `outcome` 0, 4, 8 or 12. R5: `outcome.code` of the same codes, or of issue-severity.
fn outcome(event: &Node<'_>, f: &mut Facts) {
    let Some(outcome) = event.get("outcome") else { return };
    f.result = outcome
        .text()
        .or_else(|| codes(outcome).next().map(str::to_owned))
        .or_else(|| outcome.get("code").and_then(|c| codes(c).next()).map(str::to_owned));
    f.reason = event
        .text_at(&["outcomeDesc"])
        .or_else(|| outcome.each("detail").find_map(|d| d.text_at(&["text"]).or_else(|| word(d))));
    let refused = f.reason.as_deref().is_some_and(words::says_denied)
        || outcome.each("detail").any(|d| codes(d).any(|c| matches!(c, "forbidden" | "security" | "login")));
    f.outcome = match f.result.as_deref() {
        Some("0" | "success" | "information" | "warning") => Some(Outcome::Allowed),
        Some("4" | "8" | "12" | "error" | "fatal") => {
            Some(if refused { Outcome::Denied } else { Outcome::Failed })
        }
        Some(other) => words::outcome(other),
        None => None,
    };
}

/// Who started the event: the requestor; where none is said to be, a person; then the application that acted.
fn actor<'t, 'e>(agents: &[&'t Node<'e>]) -> Option<&'t Node<'e>> {
    let requestors: Vec<&'t Node<'e>> =
        agents.iter().copied().filter(|a| a.get("requestor").is_some_and(Node::is_true)).collect();
    let with_code = |from: &[&'t Node<'e>], code: &str| from.iter().copied().find(|a| has_code(a, code));
    let person = |from: &[&'t Node<'e>]| PEOPLE.iter().find_map(|code| with_code(from, code));
    person(&requestors)
        .or_else(|| requestors.first().copied())
        .or_else(|| person(agents))
        .or_else(|| with_code(agents, dcm::SOURCE))
        .or_else(|| with_code(agents, dcm::APPLICATION))
        .or_else(|| agents.first().copied())
}

/// An agent's identifier: a literal reference, a logical identifier, or, where there is neither, a display name. A client
/// with an opaque access token is known by nothing but the token's identifier, which BALP keeps in `policy`.
fn who(agent: &Node<'_>) -> Option<String> {
    [agent.get("who"), agent.get("reference")]
        .into_iter()
        .flatten()
        .find_map(reference)
        .or_else(|| agent.text_at(&["userId", "value"]))
        .or_else(|| agent.text_at(&["altId"]))
        .or_else(|| name(agent))
        .or_else(|| agent.each("policy").find_map(Node::text))
}

fn name(agent: &Node<'_>) -> Option<String> {
    agent.text_at(&["name"]).or_else(|| agent.text_at(&["who", "display"]))
}

/// Reference: literal, else logical.
fn reference(node: &Node<'_>) -> Option<String> {
    let literal = node.text_at(&["reference"]).map(|r| plain_reference(&r).to_owned());
    literal.or_else(|| node.text_at(&["identifier", "value"]))
}

fn reference_or_display(node: &Node<'_>) -> Option<String> {
    node.text_at(&["display"]).or_else(|| reference(node))
}

fn address(agent: &Node<'_>) -> Option<String> {
    agent
        .text_at(&["network", "address"])
        .or_else(|| agent.text_at(&["networkString"]))
        .or_else(|| agent.text_at(&["networkUri"]))
        .or_else(|| agent.text_at(&["networkReference", "reference"]))
}

/// `purposeOfUse` and `purposeOfEvent`; in R5 `authorization` of the agent and of the event.
fn purpose(root: &Node<'_>, event: &Node<'_>, agents: &[&Node<'_>], actor: Option<&Node<'_>>, f: &mut Facts) {
    let of_agent =
        |a: &Node<'_>| ["purposeOfUse", "authorization"].into_iter().find_map(|n| purpose_word(a.get(n)?));
    f.purpose = actor
        .and_then(of_agent)
        .or_else(|| {
            ["purposeOfEvent", "authorization"]
                .into_iter()
                .find_map(|n| purpose_word(root.get(n).or_else(|| event.get(n))?))
        })
        .or_else(|| agents.iter().find_map(|a| of_agent(a)));
}

/// Purposes are known by their codes; an emergency among several is the one that matters.
fn purpose_word(concept: &Node<'_>) -> Option<String> {
    let emergency = codes(concept).find(|c| EMERGENCY_PURPOSES.contains(c));
    emergency
        .or_else(|| codes(concept).next())
        .map(str::to_owned)
        .or_else(|| concept.items().find_map(|c| c.text_at(&["text"])))
}

/// The patient, and what else the event was about.
fn subject(root: &Node<'_>, entities: &[&Node<'_>], f: &mut Facts) {
    let what = |e: &Node<'_>| {
        [e.get("what"), e.get("reference")]
            .into_iter()
            .flatten()
            .find_map(reference)
            // "#id" is a resource inside this event.
            .filter(|r| !r.starts_with('#'))
            .or_else(|| e.text_at(&["identifier", "value"]))
    };
    // object-role 1 is the patient; BALP writes it so in every version.
    let is_patient = |e: &Node<'_>| e.get("role").is_some_and(|r| codes(r).any(|c| c == "1"));
    let names_patient = |e: &Node<'_>| what(e).is_some_and(|w| without_patient(&w) != w);
    f.patient = root
        .get("patient")
        .and_then(|p| reference(p).or_else(|| p.text_at(&["display"])))
        .or_else(|| entities.iter().filter(|e| is_patient(e)).find_map(|e| what(e)))
        .or_else(|| entities.iter().filter(|e| names_patient(e)).find_map(|e| what(e)))
        .or_else(|| {
            let by_name = entities.iter().filter(|e| is_patient(e));
            by_name.filter_map(|e| e.text_at(&["what", "display"]).or_else(|| e.text_at(&["name"]))).next()
        })
        .map(|p| without_patient(&p).to_owned());
    let others =
        || entities.iter().filter(|e| !is_patient(e) && !codes_of(e, "type").any(|c| c == "XrequestId"));
    let referenced = |e: &&&Node<'_>| ["what", "reference"].iter().any(|n| e.at(&[n, "reference"]).is_some());
    let literal = others().find(referenced).or_else(|| entities.iter().find(referenced));
    f.resource = literal
        .and_then(|e| what(e))
        .or_else(|| others().find_map(|e| what(e)))
        .or_else(|| root.get("patient").and_then(reference))
        .or_else(|| entities.iter().find_map(|e| what(e)))
        .or_else(|| others().find_map(|e| e.text_at(&["name"]).or_else(|| e.text_at(&["what", "display"]))));
    // "List/7", "https://host/fhir/List/7/_history/2": the type stands before the identifier.
    f.resource_type = f.resource.as_deref().and_then(|r| {
        let r = r.split_once("/_history/").map_or(r, |(r, _)| r);
        let kind = r.rsplit('/').nth(1)?;
        kind.starts_with(|c: char| c.is_ascii_uppercase()).then(|| kind.to_owned())
    });
}

/// The codes of a Coding or CodeableConcept, or of several.
fn codes<'t>(concept: &'t Node<'_>) -> impl Iterator<Item = &'t str> {
    concept.items().flat_map(|c| {
        let own = c.get("code").and_then(Node::str);
        own.into_iter().chain(c.each("coding").filter_map(|c| c.get("code")?.str()))
    })
}

fn codes_of<'t>(node: &'t Node<'_>, name: &str) -> impl Iterator<Item = &'t str> {
    node.get(name).into_iter().flat_map(codes)
}

fn has_code(agent: &Node<'_>, code: &str) -> bool {
    codes_of(agent, "type").chain(codes_of(agent, "role")).any(|c| c == code)
}

/// What a code is called.
fn display(concept: &Node<'_>) -> Option<String> {
    concept.items().find_map(|c| {
        c.text_at(&["display"])
            .or_else(|| c.each("coding").find_map(|c| c.text_at(&["display"])))
            .or_else(|| c.text_at(&["text"]))
    })
}

/// A code that reads like a word, or, of a code that is only a number, what it is called.
fn word(concept: &Node<'_>) -> Option<String> {
    let is_word = |c: &&str| !c.bytes().all(|b| b.is_ascii_digit());
    let first = codes(concept).next();
    first
        .filter(is_word)
        .map(str::to_owned)
        .or_else(|| display(concept))
        .or_else(|| first.map(|c| dcm::name(c).unwrap_or(c).to_owned()))
}
