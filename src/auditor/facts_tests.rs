#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn of(event: &str) -> Facts {
    Facts::of(event.as_bytes())
}

fn s(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn an_application_event_with_actor_action_resource_context_result() {
    let f =
        of(r#"{"event_type":"patient_record_access","actor":{"user_id":"dr-smith-4421","role":"physician",
        "ip_address":"10.21.4.88","session_id":"sess-1"},"action":"read","resource":{"type":"patient_record",
        "id":"PAT-2026-00842","fields_accessed":["diagnosis"]},"context":{"purpose":"treatment",
        "legal_basis":"hipaa-treatment-provision","emergency_access":false},"result":"allowed",
        "metadata":{"application":"EHR-System-v4.2"},"timestamp":"2026-05-15T14:00:00+02:00"}"#);
    let expected = Facts {
        shape: "application",
        time: s("2026-05-15T12:00:00.000Z"),
        actor: s("dr-smith-4421"),
        role: s("physician"),
        action: s("read"),
        operation: Some("read"),
        event_type: s("patient_record_access"),
        resource_type: s("patient_record"),
        resource: s("PAT-2026-00842"),
        patient: s("PAT-2026-00842"),
        purpose: s("treatment"),
        legal_basis: s("hipaa-treatment-provision"),
        outcome: Some(Outcome::Allowed),
        result: s("allowed"),
        address: s("10.21.4.88"),
        application: s("EHR-System-v4.2"),
        ..Facts::default()
    };
    assert_eq!(f, expected);
}

#[test]
fn an_application_event_with_user_id_in_camel_case_and_details() {
    let f = of(
        r#"{"eventId":"7d2f","timestamp":"2026-01-02T03:04:05.678Z","actor":{"userId":"u-1","email":"a@b.example",
        "role":"nurse","ipAddress":"192.0.2.1"},"action":"export","resource":{"type":"patient_record","id":"p-9","name":"x"},
        "details":{"reason":"referral","fieldsAccessed":["a"]},"metadata":{}}"#,
    );
    assert_eq!((f.actor, f.actor_name, f.role), (s("u-1"), s("a@b.example"), s("nurse")));
    assert_eq!((f.resource, f.patient, f.reason), (s("p-9"), s("p-9"), s("referral")));
    assert_eq!((f.operation, f.address, f.outcome), (Some("read"), s("192.0.2.1"), None));
    assert_eq!(f.time, s("2026-01-02T03:04:05.678Z"));
}

#[test]
fn a_flat_log_entry() {
    let f = of(
        r#"{"id":"0f","timestamp":"2026-02-03T04:05:06.123456+00:00","actor_id":"user-123","actor_type":"user",
        "action":"delete","resource_type":"invoice","resource_id":"inv-7","result":"denied","ip_address":"192.0.2.7",
        "reason":"outside of hours","prev_hash":"GENESIS","hash":"00"}"#,
    );
    assert_eq!((f.actor, f.role, f.operation), (s("user-123"), s("user"), Some("delete")));
    assert_eq!((f.resource_type, f.resource, f.patient), (s("invoice"), s("inv-7"), None));
    assert_eq!((f.outcome, f.result, f.reason), (Some(Outcome::Denied), s("denied"), s("outside of hours")));
    assert_eq!((f.time, f.address), (s("2026-02-03T04:05:06.123Z"), s("192.0.2.7")));
}

#[test]
fn a_security_log_entry_with_severity() {
    let f = of(
        r#"{"id":123,"timestamp":"2024-01-15T10:30:00Z","category":"AUTHORIZATION","action":"ADMIN_ACCESS_DENIED",
        "severity":"HIGH","result":"FAILURE","userId":"user-123","requestId":"req-456","ipAddress":"192.168.1.1",
        "resource":"/api/v1/donations","reason":"Invalid credentials","details":{"role":"user","method":"POST"},
        "integrityHash":"abc","createdAt":"2024-01-15T10:30:01Z"}"#,
    );
    assert_eq!((f.category, f.severity), (s("AUTHORIZATION"), s("HIGH")));
    assert_eq!(
        (f.outcome, f.result),
        (Some(Outcome::Denied), s("FAILURE")),
        "a refusal that calls itself a failure"
    );
    assert_eq!((f.actor, f.resource, f.role), (s("user-123"), s("/api/v1/donations"), s("user")));
    assert_eq!((f.time, f.reason), (s("2024-01-15T10:30:00.000Z"), s("Invalid credentials")));
}

#[test]
fn a_contract_event_names_its_actor_in_the_details_or_the_subject() {
    let login = of(
        r#"{"eventId":"EVT-00000042","category":"access","action":"login_failed","subject":"user:john@example.com",
        "details":{"ip":"203.0.113.42","reason":"invalid_password"},"recordedBy":"3a7f","timestamp":1706000000000}"#,
    );
    assert_eq!((login.actor, login.outcome), (s("john@example.com"), Some(Outcome::Failed)));
    assert_eq!((login.address, login.reason), (s("203.0.113.42"), s("invalid_password")));
    assert_eq!((login.time, login.application), (s("2024-01-23T08:53:20.000Z"), s("3a7f")));
    let phi = of(r#"{"category":"phi_access","action":"record_viewed","subject":"patient:PT-12345",
        "details":{"accessedBy":"dr.williams@hospital.org","justification":"scheduled_appointment"}}"#);
    assert_eq!((phi.actor, phi.patient), (s("dr.williams@hospital.org"), s("PT-12345")));
    assert_eq!((phi.resource, phi.resource_type), (s("patient:PT-12345"), s("patient")));
    assert_eq!((phi.reason, phi.operation), (s("scheduled_appointment"), Some("read")));
    let role = of(
        r#"{"category":"access","action":"role_changed","subject":"user:9","details":{"changedBy":"boss"}}"#,
    );
    assert_eq!((role.actor, role.operation), (s("boss"), Some("update")));
}

#[test]
fn small_and_odd_events() {
    let f = of(r#"{"action":"login","user":"user123","ip":"192.168.1.100","success":true}"#);
    assert_eq!((f.actor, f.outcome, f.operation), (s("user123"), Some(Outcome::Allowed), Some("execute")));
    let f = of(
        r#"{"user":{"id":7,"name":"Ann"},"action":"x","result":"not authorized","time":1706000000,"breakGlass":true}"#,
    );
    assert_eq!((f.actor, f.actor_name, f.outcome), (s("7"), s("Ann"), Some(Outcome::Denied)));
    assert_eq!((f.time, f.emergency), (s("2024-01-23T08:53:20.000Z"), true));
    for nothing in ["{}", "", "[1]", "{", "{\"a\":null}", "\u{0}"] {
        assert_eq!(of(nothing), Facts { shape: "unknown", ..Facts::default() }, "{nothing}");
    }
    assert_eq!(of(r#"{"time":"soon","a":1}"#).time, None);
    assert_eq!(
        of(r#"{"timestamp":"2026-01-02 03:04:05"}"#).time,
        s("2026-01-02T03:04:05.000Z"),
        "no zone is UTC"
    );
    assert_eq!(of(r#"{"timestamp":"2026-01-02"}"#).time, s("2026-01-02T00:00:00.000Z"));
}

#[test]
fn what_is_withheld_is_left_out_and_the_rest_is_read() {
    let f = of(
        r#"{"actor":{"$sealed":"staff"},"action":"read","resource":{"type":"patient_record","id":{"$sealed":"phi"}},
        "result":"allowed"}"#,
    );
    assert_eq!((f.actor, f.resource, f.patient), (None, None, None));
    assert_eq!(
        (f.action, f.resource_type, f.outcome),
        (s("read"), s("patient_record"), Some(Outcome::Allowed))
    );
    // The first section withheld: the others stand a line each, by pointers.
    let f = of(
        "{\"/actor/user_id\":\"u\",\"/resource/id\":\"PAT-1\"}\n{}\n{\"/context/reason\":\"r~1\",\"/a~1b\":1}",
    );
    assert_eq!((f.actor, f.resource, f.reason), (s("u"), s("PAT-1"), s("r~1")));
    let f = of(
        "{}\n{\"/agent/1/who/reference\":\"Practitioner/1\",\"/agent/1/requestor\":true,\"/resourceType\":\"AuditEvent\"}",
    );
    assert_eq!(f.actor, s("Practitioner/1"), "an array of which one element can be read");
}

#[test]
fn made_up_numbers_and_indices_do_no_harm() {
    for time in ["-1e300", "-9223372036854775808", "9223372036854775807", "1e300"] {
        assert_eq!(of(&format!(r#"{{"actor":{{"user_id":"u"}},"timestamp":{time}}}"#)).time, None, "{time}");
    }
    // Of a list some elements can be read: those that cannot stand as null, if a list of that length can have been in the event.
    let value = |event: &str| tree::Node::parse(event.as_bytes()).unwrap().to_value().to_string();
    assert_eq!(value("{}\n{\"/a/0\":1,\"/a/2\":{\"b\":2}}"), r#"{"a":[1,null,{"b":2}]}"#);
    assert_eq!(value("{}\n{\"/a/4096\":1}"), r#"{"a":{"4096":1}}"#);
    let many = format!("{{}}\n{{\"/a\":[{}0]}}", "{\"4095\":1},".repeat(1000));
    assert!(value(&many).len() < 64 * 1024);
    // A writer may have moved thousands of elements, and what comes later counts.
    assert_eq!(value("{}\n{\"/a\":1}\n{\"/a/b\":2}"), r#"{"a":{"b":2}}"#);
    assert_eq!(value("{}\n{\"/a/b\":2}\n{\"/a\":1}"), r#"{"a":1}"#);
}

#[test]
fn fhir_r4() {
    let f = of(
        r#"{"resourceType":"AuditEvent","type":{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"110106",
        "display":"Export"},"subtype":[{"code":"disclose"}],"action":"R","recorded":"2020-04-29T09:49:00.000+02:00",
        "outcome":"8","outcomeDesc":"Access denied by consent","purposeOfEvent":[{"coding":[{"code":"PATRQT"}]}],"agent":[
        {"type":{"coding":[{"code":"110153"}]},"who":{"display":"machine"},"requestor":false,"network":{"address":"192.0.2.3"}},
        {"type":{"coding":[{"code":"110152"}]},"who":{"display":"Insurer"},"requestor":false,"network":{"address":"b"}},
        {"type":{"coding":[{"code":"IRCP","display":"information recipient"}]},"who":{"identifier":{"value":"95"}},
         "altId":"6","name":"Ann Example","requestor":true}],
        "source":{"site":"s","observer":{"reference":"Device/d"}},"entity":[
        {"role":{"code":"24"},"query":"UVVFUlk="},{"type":{"code":"XrequestId"},"what":{"identifier":{"value":"rq"}}},
        {"role":{"code":"1"},"what":{"reference":"https://ehr.example/fhir/Patient/p1/_history/3"}},
        {"role":{"code":"3"},"what":{"reference":"DocumentReference/d1"}}]}"#,
    );
    let expected = Facts {
        shape: "fhir-r4",
        time: s("2020-04-29T07:49:00.000Z"),
        actor: s("95"),
        actor_name: s("Ann Example"),
        role: s("information recipient"),
        action: s("disclose"),
        operation: Some("read"),
        event_type: s("Export"),
        resource_type: s("DocumentReference"),
        resource: s("DocumentReference/d1"),
        patient: s("p1"),
        purpose: s("PATRQT"),
        reason: s("Access denied by consent"),
        outcome: Some(Outcome::Denied),
        result: s("8"),
        category: s("Export"),
        address: s("192.0.2.3"),
        application: s("Device/d"),
        recipient: s("Insurer"),
        ..Facts::default()
    };
    assert_eq!(f, expected);
}

#[test]
fn fhir_r5_with_break_the_glass() {
    let f = of(
        r#"{"resourceType":"AuditEvent","category":[{"coding":[{"code":"110113","display":"Security Alert"}]}],
        "code":{"coding":[{"code":"110127","display":"Emergency Override Started"}]},"action":"E","severity":"notice",
        "recorded":"2013-09-22T00:08:00Z","outcome":{"code":{"code":"0"},"detail":[{"text":"started"}]},
        "authorization":[{"coding":[{"code":"TREAT"},{"code":"ETREAT"}]}],"patient":{"reference":"Patient/example"},
        "agent":[{"who":{"reference":"Practitioner/f001"},"requestor":true,"networkString":"custodian.net"}],
        "source":{"observer":{"display":"Watcher"}}}"#,
    );
    assert_eq!((f.shape, f.emergency, f.purpose), ("fhir-r5", true, s("ETREAT")));
    assert_eq!(
        (f.patient, f.actor, f.resource),
        (s("example"), s("Practitioner/f001"), s("Patient/example"))
    );
    assert_eq!((f.action, f.operation), (s("Emergency Override Started"), Some("execute")));
    assert_eq!((f.outcome, f.severity, f.address), (Some(Outcome::Allowed), s("notice"), s("custodian.net")));
    let by_code_alone =
        of(r#"{"resourceType":"AuditEvent","type":{"code":"110113"},"subtype":[{"code":"110127"}]}"#);
    assert!(by_code_alone.emergency);
    let by_purpose =
        of(r#"{"resourceType":"AuditEvent","agent":[{"purposeOfUse":[{"coding":[{"code":"BTG"}]}]}]}"#);
    assert!(by_purpose.emergency);
}

#[test]
fn fhir_outcomes_agents_and_patients_of_many_kinds() {
    let outcome = |text: &str| of(&format!(r#"{{"resourceType":"AuditEvent","outcome":{text}}}"#)).outcome;
    assert_eq!(outcome("\"0\""), Some(Outcome::Allowed));
    for failed in ["\"4\"", "\"8\"", "\"12\"", r#"{"code":{"code":"error"}}"#] {
        assert_eq!(outcome(failed), Some(Outcome::Failed), "{failed}");
    }
    let forbidden = r#"{"code":{"code":"8"},"detail":[{"coding":[{"code":"forbidden"}]}]}"#;
    assert_eq!(outcome(forbidden), Some(Outcome::Denied));
    let with = |agents: &str, more: &str| {
        of(&format!(r#"{{"resourceType":"AuditEvent","agent":[{agents}]{more}}}"#))
    };
    assert_eq!(with(r#"{"who":{"display":"John"},"requestor":true}"#, "").actor, s("John"), "display only");
    let nobody = r#"{"type":{"coding":[{"code":"110150"}]},"who":{"display":"app"}},{"type":{"coding":[{"code":"custodian"}]}}"#;
    assert_eq!(with(nobody, "").actor, s("app"), "no requestor: the application that acted");
    let saml = r#"{"type":{"coding":[{"code":"PROV"}]},"who":{"display":"org"}},
        {"type":{"coding":[{"code":"IRCP"},{"code":"UserSamlAgent"}]},"who":{"identifier":{"value":"UID=k"}}}"#;
    assert_eq!(with(saml, "").actor, s("UID=k"), "no requestor: the person");
    let token = r#"{"type":{"coding":[{"code":"UserOauthAgent"}]},"requestor":true,"policy":["C187CC"]},{"who":{"display":"m"}}"#;
    assert_eq!(with(token, "").actor, s("C187CC"), "an opaque token is all that is known of the user");
    assert_eq!(with("", r#","action":"E","subtype":[{"code":"search"}]"#).operation, Some("read"));
    assert_eq!(with("", r#","type":{"code":"110107"}"#).event_type, s("Import"), "a code without its name");
    assert_eq!(
        with("", r##","entity":[{"what":{"reference":"#o1"},"name":"n"}]"##).resource,
        s("n"),
        "a contained resource"
    );
    let by_reference = r#","entity":[{"what":{"reference":"Patient/7/_history/1"}}]"#;
    assert_eq!(with("", by_reference).patient, s("7"));
    let logical = r#","entity":[{"role":{"coding":[{"code":"1"}]},"what":{"identifier":{"value":"MRN-5"}}}]"#;
    assert_eq!(with("", logical).patient, s("MRN-5"));
    let by_name = r#","entity":[{"role":{"code":"1"},"name":"Doe, Jane"}]"#;
    assert_eq!(with("", by_name).patient, s("Doe, Jane"));
}

#[test]
fn fhir_dstu2() {
    let f = of(
        r#"{"resourceType":"AuditEvent","event":{"type":{"code":"110114","display":"User Authentication"},
        "subtype":[{"code":"110122","display":"Login"}],"action":"E","dateTime":"2012-10-25T22:04:27+11:00","outcome":"0",
        "purposeOfEvent":[{"code":"TREAT"}]},
        "participant":[{"userId":{"value":"95"},"name":"Ann","requestor":true,"network":{"address":"127.0.0.1"}}],
        "source":{"site":"Cloud","identifier":{"value":"app.example"}},
        "object":[{"role":{"code":"1"},"reference":{"reference":"Patient/3"}}]}"#,
    );
    assert_eq!((f.shape, f.actor, f.actor_name), ("fhir-dstu2", s("95"), s("Ann")));
    assert_eq!((f.time, f.outcome), (s("2012-10-25T11:04:27.000Z"), Some(Outcome::Allowed)));
    assert_eq!((f.event_type, f.action), (s("User Authentication"), s("Login")));
    assert_eq!((f.patient, f.application, f.address), (s("3"), s("app.example"), s("127.0.0.1")));
    assert_eq!(f.purpose, s("TREAT"));
}

#[test]
fn cloudtrail_bare_and_in_an_envelope() {
    let bare = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/ann","userName":"ann"},
        "eventTime":"2023-11-05T04:29:11Z","eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","sourceIPAddress":"192.0.2.9",
        "errorCode":"AccessDenied","errorMessage":"no","requestParameters":{"bucketName":"b"},"eventType":"AwsApiCall"}"#;
    let f = of(bare);
    assert_eq!((f.shape, f.actor, f.actor_name), ("cloudtrail", s("arn:aws:iam::1:user/ann"), s("ann")));
    assert_eq!((f.action, f.operation, f.resource), (s("DeleteBucket"), Some("delete"), s("b")));
    assert_eq!((f.outcome, f.result), (Some(Outcome::Denied), s("AccessDenied")));
    let wrapped =
        of(&format!(r#"{{"source":"aws.s3","time":"2023-11-05T04:29:12Z","detail":{bare},"resources":[]}}"#));
    assert_eq!(wrapped, of(bare));
    let no_error = of(r#"{"eventSource":"x","eventName":"PutKey"}"#);
    assert_eq!(
        no_error.outcome,
        Some(Outcome::Allowed),
        "CloudTrail writes errorCode only when a call failed"
    );
    assert_eq!(of(r#"{"eventSource":"x","eventName":"y","errorCode":{"$sealed":"s"}}"#).outcome, None);
}

#[test]
fn kubernetes_and_google_cloud() {
    let f = of(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"create","user":{"username":"kim","groups":["g","h"]},
        "sourceIPs":["192.0.2.4"],"objectRef":{"resource":"pods","name":"web","subresource":"exec"},"responseStatus":{"code":403},
        "requestReceivedTimestamp":"2018-10-25T13:58:49.730588Z","annotations":{"authorization.k8s.io/decision":"forbid"}}"#,
    );
    assert_eq!((f.shape, f.actor, f.role), ("kubernetes", s("kim"), s("g")));
    assert_eq!((f.resource_type, f.resource), (s("pods/exec"), s("web")));
    assert_eq!((f.time, f.outcome), (s("2018-10-25T13:58:49.730Z"), Some(Outcome::Denied)));
    let old = of(
        r#"{"kind":"Event","auditID":"1","verb":"get","user":{"username":"kim"},"responseStatus":{"code":200}}"#,
    );
    assert_eq!((old.shape, old.operation, old.outcome), ("kubernetes", Some("read"), Some(Outcome::Allowed)));
    let google = |status: &str| {
        of(&format!(
            r#"{{"protoPayload":{{"status":{status},"authenticationInfo":{{"principalEmail":"a@b.example"}},"serviceName":"iam",
            "methodName":"google.iam.admin.v1.CreateRole","resourceName":"projects/p/roles/r"}},"severity":"NOTICE",
            "resource":{{"type":"iam_role"}},"timestamp":"2019-06-03T11:12:52.484722728Z","logName":"x%2Factivity"}}"#
        ))
    };
    let f = google("{}");
    assert_eq!((f.shape, f.actor, f.operation), ("google-cloud", s("a@b.example"), Some("create")));
    assert_eq!((f.resource_type, f.category), (s("iam_role"), s("activity")));
    assert_eq!((f.time, f.outcome), (s("2019-06-03T11:12:52.484Z"), Some(Outcome::Allowed)));
    assert_eq!(google(r#"{"code":7,"message":"no"}"#).outcome, Some(Outcome::Denied));
    assert_eq!(google(r#"{"code":5,"message":"none"}"#).outcome, Some(Outcome::Failed));
}

#[test]
fn words_of_results_and_actions() {
    let outcomes = [
        ("SUCCESS", Some(Outcome::Allowed)),
        ("failure", Some(Outcome::Failed)),
        ("Access Denied", Some(Outcome::Denied)),
        ("not allowed", Some(Outcome::Denied)),
        ("not completed", Some(Outcome::Failed)),
        ("200", Some(Outcome::Allowed)),
        ("403", Some(Outcome::Denied)),
        ("500", Some(Outcome::Failed)),
        ("7", None),
        ("pending", None),
    ];
    for (word, outcome) in outcomes {
        assert_eq!(words::outcome(word), outcome, "{word}");
    }
    for (action, operation) in [
        ("API_KEY_CREATED", Some("create")),
        ("PutBucketPolicy", Some("update")),
        ("get:/api/patients/1", Some("read")),
        ("patient-record-viewed", Some("read")),
        ("login_failed", Some("execute")),
        ("deletecollection", Some("delete")),
        ("frobnicate", None),
    ] {
        assert_eq!(words::operation(action), operation, "{action}");
    }
    assert_eq!(words::outcome_of_action("invoice_rejected"), None, "rejecting was what they came to do");
}
