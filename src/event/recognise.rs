//! Where well-known event shapes keep who, what, which, how it went and from where. One list per
//! question, most telling pointer first; the default tags and the one-line view both use them.
//!
//! Covered: plain application events (`actor.user_id`, `actor_id`, `resource.id`, `subject` and their
//! like), FHIR AuditEvent R4, R5 and DSTU2, AWS CloudTrail (bare, and as the `detail` of an EventBridge
//! event), Kubernetes audit, Google Cloud audit logs.

/// Who did it.
pub const ACTOR: &[&str] = &[
    "/actor/user_id",
    "/actor/userId",
    "/actor/id",
    "/actor",
    "/actor_id",
    "/actorId",
    "/user_id",
    "/userId",
    "/user",
    // FHIR R4 and R5; a third of real agents have only a display name.
    "/agent/*/who/reference",
    "/agent/*/who/identifier/value",
    "/agent/*/altId",
    "/agent/*/who/display",
    "/agent/*/name",
    // FHIR DSTU2
    "/participant/*/userId/value",
    "/participant/*/reference/reference",
    // CloudTrail
    "/userIdentity/arn",
    "/userIdentity/userName",
    "/userIdentity/principalId",
    "/detail/userIdentity/arn",
    "/detail/userIdentity/userName",
    "/detail/userIdentity/principalId",
    // Kubernetes
    "/user/username",
    "/impersonatedUser/username",
    // Google Cloud
    "/protoPayload/authenticationInfo/principalEmail",
];

/// What it was done to.
pub const RESOURCE: &[&str] = &[
    "/resource/id",
    "/resource_id",
    "/resourceId",
    "/resource",
    "/subject",
    "/subject/id",
    // FHIR R5, then R4 and R5
    "/patient/reference",
    "/patient/identifier/value",
    "/entity/*/what/reference",
    "/entity/*/what/identifier/value",
    // FHIR DSTU2
    "/object/*/reference/reference",
    "/object/*/identifier/value",
    // CloudTrail
    "/resources/*/ARN",
    "/requestParameters/bucketName",
    "/detail/resources/*/ARN",
    "/detail/requestParameters/bucketName",
    // Kubernetes
    "/objectRef/name",
    "/requestURI",
    // Google Cloud
    "/protoPayload/resourceName",
];

/// What was done.
pub const ACTION: &[&str] = &[
    "/action",
    // CloudTrail
    "/eventName",
    "/detail/eventName",
    // Kubernetes
    "/verb",
    // Google Cloud
    "/protoPayload/methodName",
    // FHIR DSTU2; then the finer codes of R4 and R5
    "/event/action",
    "/subtype/*/code",
    "/code/coding/*/code",
];

/// How it went.
pub const RESULT: &[&str] = &[
    "/result",
    "/outcome",
    "/outcome/code/code",
    "/event/outcome",
    "/errorCode",
    "/detail/errorCode",
    "/annotations/authorization.k8s.io~1decision",
    "/responseStatus/code",
    "/protoPayload/status/code",
];

/// From which network address.
pub const ADDRESS: &[&str] = &[
    "/actor/ip_address",
    "/actor/ipAddress",
    "/ip_address",
    "/ipAddress",
    "/ip",
    "/details/ip",
    "/agent/*/network/address",
    "/agent/*/networkString",
    "/agent/*/networkUri",
    "/participant/*/network/address",
    "/sourceIPAddress",
    "/detail/sourceIPAddress",
    "/sourceIPs/*",
    "/protoPayload/requestMetadata/callerIp",
];

/// When, by the sender's clock. No tag: equal times would tell little and leak much.
pub const TIME: &[&str] = &[
    "/timestamp",
    "/recorded",
    "/eventTime",
    "/detail/eventTime",
    "/requestReceivedTimestamp",
    "/event/dateTime",
    "/time",
];

/// The default tags: field name and pointers.
pub const TAGS: &[(&str, &[&str])] =
    &[("actor", ACTOR), ("resource", RESOURCE), ("action", ACTION), ("result", RESULT), ("address", ADDRESS)];
