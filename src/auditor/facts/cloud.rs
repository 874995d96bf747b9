//! Audit logs of cloud platforms: AWS CloudTrail, Kubernetes, Google Cloud.

use super::tree::Node;
use super::{Facts, Outcome, time, words};

/// AWS CloudTrail, one record, bare or as the `detail` of an EventBridge event.
/// CloudTrail User Guide, "CloudTrail record contents": `errorCode` is there if the call failed.
pub(super) fn cloudtrail(root: &Node<'_>, e: &Node<'_>, f: &mut Facts) {
    let who = e.get("userIdentity");
    let who_text = |name: &str| who?.text_at(&[name]);
    f.time = e.get("eventTime").or_else(|| root.get("time")).and_then(time::timestamp).map(|t| t.to_string());
    f.actor = ["arn", "userName", "principalId", "invokedBy", "accountId"].into_iter().find_map(who_text);
    f.actor_name =
        who_text("userName").or_else(|| who?.text_at(&["sessionContext", "sessionIssuer", "userName"]));
    f.role = who_text("type");
    f.action = e.text_at(&["eventName"]);
    f.event_type = e.text_at(&["eventType"]);
    f.category = e.text_at(&["eventCategory"]);
    f.application = e.text_at(&["eventSource"]);
    f.address = e.text_at(&["sourceIPAddress"]);
    f.reason = e.text_at(&["errorMessage"]);
    let read_only = e.get("readOnly").is_some_and(Node::is_true);
    f.operation = f.action.as_deref().and_then(words::operation).or(read_only.then_some("read"));
    let resource = e.get("resources").or_else(|| root.get("resources"));
    f.resource = resource.and_then(|r| r.text_at(&["ARN"]).or_else(|| r.items().find_map(Node::text)));
    f.resource_type = resource.and_then(|r| r.text_at(&["type"]));
    if f.resource.is_none() {
        (f.resource_type, f.resource) = parameter(e);
    }
    let login = e.text_at(&["responseElements", "ConsoleLogin"]);
    let withheld = |name| matches!(e.get(name), Some(Node::Withheld(_)));
    f.result = e.text_at(&["errorCode"]).or(login);
    f.outcome = match f.result.as_deref() {
        Some(code)
            if code.contains("Denied") || code.contains("Unauthorized") || code.contains("Forbidden") =>
        {
            Some(Outcome::Denied)
        }
        Some("Success") => Some(Outcome::Allowed),
        Some(_) => Some(Outcome::Failed),
        None => (!withheld("errorCode")).then_some(Outcome::Allowed),
    };
}

/// The request parameter that names what a call is about, and what kind of thing it says that is.
fn parameter(e: &Node<'_>) -> (Option<String>, Option<String>) {
    let Some(Node::Object(members)) = e.get("requestParameters") else { return (None, None) };
    let names = ["bucketName", "Arn", "ARN", "Name", "Id", "name"];
    names
        .iter()
        .find_map(|end| {
            let (name, value) = members.iter().find(|(n, v)| n.ends_with(end) && v.text().is_some())?;
            let kind =
                name.strip_suffix("Name").or_else(|| name.strip_suffix("Id")).filter(|k| !k.is_empty());
            Some((kind.map(str::to_owned), value.text()))
        })
        .unwrap_or_default()
}

/// Kubernetes `audit.k8s.io` Event, v1 and v1beta1.
pub(super) fn kubernetes(e: &Node<'_>, f: &mut Facts) {
    const TIMES: [&str; 4] = ["requestReceivedTimestamp", "stageTimestamp", "timestamp", "metadata"];
    f.time = TIMES
        .iter()
        .filter_map(|n| e.get(n))
        .find_map(|n| time::timestamp(n).or_else(|| time::timestamp(n.get("creationTimestamp")?)))
        .map(|t| t.to_string());
    f.actor = e.text_at(&["user", "username"]);
    f.role = e.text_at(&["user", "groups"]).or_else(|| e.get("user")?.each("groups").find_map(Node::text));
    f.action = e.text_at(&["verb"]);
    f.operation = f.action.as_deref().and_then(words::operation);
    f.event_type = e.text_at(&["stage"]);
    f.category = e.text_at(&["level"]);
    f.address = e.each("sourceIPs").find_map(Node::text);
    f.application = e.text_at(&["userAgent"]);
    let object = e.get("objectRef");
    f.resource_type = object.and_then(|o| {
        let kind = o.text_at(&["resource"])?;
        Some(o.text_at(&["subresource"]).map_or(kind.clone(), |sub| format!("{kind}/{sub}")))
    });
    f.resource = object.and_then(|o| o.text_at(&["name"])).or_else(|| e.text_at(&["requestURI"]));
    let code = e.text_at(&["responseStatus", "code"]);
    let decision = e.get("annotations").and_then(|a| a.text_at(&["authorization.k8s.io/decision"]));
    f.reason = e
        .text_at(&["responseStatus", "reason"])
        .or_else(|| e.get("annotations")?.text_at(&["authorization.k8s.io/reason"]));
    f.outcome = match decision.as_deref() {
        Some("forbid") => Some(Outcome::Denied),
        _ => code.as_deref().or(decision.as_deref()).and_then(words::outcome),
    };
    f.result = code.or(decision);
}

/// `google.rpc.Code`: PERMISSION_DENIED and UNAUTHENTICATED.
const GOOGLE_DENIED: [&str; 2] = ["7", "16"];

/// Google Cloud, a `LogEntry` that carries `google.cloud.audit.AuditLog`.
pub(super) fn google(e: &Node<'_>, payload: &Node<'_>, f: &mut Facts) {
    let time = e.get("timestamp").or_else(|| e.get("receiveTimestamp"));
    f.time = time.and_then(time::timestamp).map(|t| t.to_string());
    f.actor = payload
        .text_at(&["authenticationInfo", "principalEmail"])
        .or_else(|| payload.text_at(&["authenticationInfo", "principalSubject"]));
    f.action = payload.text_at(&["methodName"]);
    f.operation = f.action.as_deref().and_then(|a| words::operation(a.rsplit('.').next().unwrap_or(a)));
    f.resource = payload.text_at(&["resourceName"]);
    f.resource_type = e.text_at(&["resource", "type"]);
    f.application = payload.text_at(&["serviceName"]);
    f.address = payload.text_at(&["requestMetadata", "callerIp"]);
    f.severity = e.text_at(&["severity"]);
    f.event_type = payload.text_at(&["authorizationInfo", "permission"]);
    let log = e.text_at(&["logName"]);
    f.category = log.as_deref().and_then(|l| l.rsplit("%2F").next()).map(str::to_owned);
    f.reason = payload
        .text_at(&["requestMetadata", "requestAttributes", "reason"])
        .or_else(|| payload.text_at(&["status", "message"]));
    let granted = payload.each("authorizationInfo").filter_map(|a| a.get("granted"));
    let refused = granted.filter(|g| matches!(g, Node::Bool(false))).count() > 0;
    f.result = payload.text_at(&["status", "code"]);
    f.outcome = match (f.result.as_deref(), payload.get("status")) {
        _ if refused => Some(Outcome::Denied),
        (Some(code), _) if GOOGLE_DENIED.contains(&code) => Some(Outcome::Denied),
        (Some("0"), _) => Some(Outcome::Allowed),
        (Some(_), _) => Some(Outcome::Failed),
        (None, Some(Node::Withheld(_))) => None,
        (None, _) => Some(Outcome::Allowed),
    };
}
