//! Every query printed in the articles that people will copy from, as printed, on events of the articles' shapes.

use super::*;

fn days_ago(days: i64) -> String {
    Timestamp::from_millis(Timestamp::now().millis() - days * 86_400_000).unwrap().to_string()
}

fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Calls of the audit contract, as applications make them, and one entry as the ledger of the article stores it.
fn contract() -> Sql {
    over(MemoryRecords::of_events([
        r#"{"category": "finance", "action": "invoice_approved", "subject": "invoice:INV-2024-0042",
            "details": {"amount": 15000.00, "approvedBy": "jane.smith@example.com"}}"#,
        r#"{"category":"phi_access","action":"record_viewed","subject":"patient:PT-12345","details":{"recordType":"lab_results"}}"#,
        r#"{"category":"access","action":"login_failed","subject":"user:john.doe@example.com","details":{"attemptNumber":3}}"#,
        r#"{"eventId":"EVT-00000042","category":"access","action":"login","subject":"user:john.doe@example.com","details":null,
            "recordedBy":"3a7f1b2c9e4d8f05aa","blockHeight":127,"timestamp":1706000000000}"#,
        r#"{"category":"access","action":"role_changed","subject":"user:7","details":{"newRole":"admin"}}"#,
    ]))
}

#[test]
fn key_value_queries_on_contract_events() {
    let sql = contract();
    let events = Value::Text("audit:event:%".to_owned());
    let range = "SELECT key, value, updated_at FROM world_state WHERE key LIKE ? AND updated_at BETWEEN ? AND ? ORDER BY updated_at";
    let rows = query(
        &sql,
        range,
        &[events.clone(), Value::Integer(1_706_000_000_000), Value::Integer(1_706_100_000_000)],
    );
    assert_eq!(rows.len(), 5);
    assert!(
        rows[0].starts_with(r#"audit:event:EVT-00000000|{"category":"finance","action":"invoice_approved""#),
        "{rows:?}"
    );
    assert!(rows[0].ends_with("|1706000002000"), "{rows:?}");
    let none = [events.clone(), Value::Integer(1_706_000_013_000), Value::Integer(1_706_100_000_000)];
    assert!(query(&sql, range, &none).is_empty());

    let by_value = "SELECT key, value FROM world_state WHERE key LIKE ? AND value LIKE ?";
    let failed = query(&sql, by_value, &[events.clone(), t("%\"action\":\"login_failed\"%")]);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].starts_with("audit:event:EVT-00000002|"), "{failed:?}");
    let spaced = query(&sql, by_value, &[events.clone(), t("%\"action\":\"invoice_approved\"%")]);
    assert_eq!(spaced.len(), 1, "however the event was spaced when it was sent");
    let node = query(&sql, by_value, &[events.clone(), t("%\"recordedBy\":\"3a7f1b2c9e4d8f05%")]);
    assert_eq!(node.len(), 1);
    assert!(node[0].starts_with("audit:event:EVT-00000042|"), "{node:?}");
    let writer =
        query(&sql, by_value, &[events.clone(), t("%\"recordedBy\":\"hospital.example/writers/ehr%")]);
    assert_eq!(writer.len(), 4, "the rest was recorded by the writer");

    let counts = "SELECT key, json_array_length(value) as event_count FROM world_state WHERE key LIKE ?";
    assert_eq!(
        query(&sql, counts, &[t("audit:index:category:%")]),
        [
            "audit:index:category:access|3",
            "audit:index:category:finance|1",
            "audit:index:category:phi_access|1"
        ]
    );
    let blocks = "SELECT block_height, COUNT(*) as events FROM world_state WHERE key LIKE ? GROUP BY block_height ORDER BY block_height";
    assert_eq!(query(&sql, blocks, std::slice::from_ref(&events)), ["1|4", "2|1"]);

    let user =
        "SELECT key, value FROM world_state WHERE key LIKE ? AND value LIKE ? ORDER BY updated_at DESC";
    let subject = t("%\"subject\":\"user:john.doe@example.com\"%");
    assert_eq!(query(&sql, user, &[events, subject]).len(), 2);

    // What the article fetches by key: one event, the lists by category and by subject, the count.
    let get = "SELECT value FROM world_state WHERE key = ?";
    let event = query(&sql, get, &[t("audit:event:EVT-00000000")]);
    let event: serde_json::Value = serde_json::from_str(&event[0]).unwrap();
    assert_eq!((&event["eventId"], &event["blockHeight"]), (&"EVT-00000000".into(), &1.into()));
    assert_eq!(
        (&event["timestamp"], &event["details"]["amount"]),
        (&1_706_000_001_000_i64.into(), &15000.0.into())
    );
    let list = r#"["EVT-00000002","EVT-00000042","EVT-00000004"]"#;
    assert_eq!(query(&sql, get, &[t("audit:index:category:access")]), [list]);
    let subject = query(&sql, get, &[t("audit:index:subject:user:john.doe@example.com")]);
    assert_eq!(subject, [r#"["EVT-00000002","EVT-00000042"]"#]);
    let counter = "SELECT value, version, updated_at, updated_by, block_height FROM world_state WHERE key = 'audit:counter'";
    assert_eq!(query(&sql, counter, &[]), ["5|5|1706000012000|hospital.example/writers/ehr|2"]);
    assert_eq!(
        query(&sql, "SELECT count(*) FROM world_state WHERE key LIKE 'audit:%'", &[]),
        ["5"],
        "no index rows unasked"
    );
}

/// Events as step 2 and 3 of the article make them; record 5 says no time.
fn clinical() -> Sql {
    let event = |user: &str, action: &str, patient: &str, result: &str, days: i64| {
        format!(
            r#"{{"event_type":"patient_record_access","actor":{{"user_id":"{user}","role":"physician","ip_address":"10.21.4.88"}},
            "action":"{action}","resource":{{"type":"patient_record","id":"{patient}"}},"context":{{"purpose":"treatment",
            "legal_basis":"hipaa-treatment-provision"}},"result":"{result}","timestamp":"{}"}}"#,
            days_ago(days)
        )
    };
    over(MemoryRecords::of_events([
        event("dr-smith-4421", "read", "PAT-2026-00842", "allowed", 100),
        event("dr-smith-4421", "read", "PAT-2026-00842", "allowed", 10),
        event("nurse-7", "read", "PAT-2026-00842", "denied", 5),
        event("dr-jones-1", "update", "PAT-2026-00001", "denied", 40),
        event("dr-jones-1", "update", "PAT-2026-00001", "allowed", 8 * 366),
        r#"{"event_type":"config_change","actor":{"user_id":"ops"},"action":"update","result":"allowed"}"#
            .to_owned(),
    ]))
}

#[test]
fn compliance_reports() {
    let sql = clinical();
    let rows = query(
        &sql,
        "-- HIPAA: All accesses to a specific patient in the last 90 days
SELECT
key,
json_extract(value, '$.event_type') as event_type,
json_extract(value, '$.actor.user_id') as accessed_by,
json_extract(value, '$.actor.role') as role,
json_extract(value, '$.action') as action,
json_extract(value, '$.context.purpose') as purpose,
json_extract(value, '$.result') as result,
json_extract(value, '$.timestamp') as when_occurred
FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.resource.id') = 'PAT-2026-00842'
AND json_extract(value, '$.timestamp') > datetime('now', '-90 days')
ORDER BY json_extract(value, '$.timestamp') DESC;",
        &[],
    );
    assert_eq!(rows.len(), 2);
    assert!(rows[0].contains("|patient_record_access|nurse-7|physician|read|treatment|denied|"), "{rows:?}");
    assert!(rows[1].contains("|dr-smith-4421|"), "{rows:?}");

    let rows = query(
        &sql,
        "-- SOC2: Unauthorized access attempts in the last 30 days
SELECT
json_extract(value, '$.actor.user_id') as user,
json_extract(value, '$.resource.type') as resource_type,
json_extract(value, '$.resource.id') as resource_id,
json_extract(value, '$.timestamp') as attempted_at,
json_extract(value, '$.actor.ip_address') as from_ip
FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.result') = 'denied'
AND json_extract(value, '$.timestamp') > datetime('now', '-30 days')
ORDER BY json_extract(value, '$.timestamp') DESC;",
        &[],
    );
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].starts_with("nurse-7|patient_record|PAT-2026-00842|") && rows[0].ends_with("|10.21.4.88"),
        "{rows:?}"
    );

    let rows = query(
        &sql,
        "-- GDPR: Data processing activities by legal basis (for Article 30 records)
SELECT
json_extract(value, '$.context.legal_basis') as legal_basis,
json_extract(value, '$.resource.type') as data_category,
COUNT(*) as processing_events,
COUNT(DISTINCT json_extract(value, '$.actor.user_id')) as unique_processors
FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.context.legal_basis') IS NOT NULL
GROUP BY legal_basis, data_category
ORDER BY processing_events DESC;",
        &[],
    );
    assert_eq!(rows, ["hipaa-treatment-provision|patient_record|5|3"]);

    let rows = query(
        &sql,
        "-- Archive audit events older than 7 years (typical SOC2 retention)
SELECT key, value FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.timestamp') < datetime('now', '-7 years');",
        &[],
    );
    // Record 5 says no time itself: it counts as of when it was sealed, in January 2024.
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains(":00000004|"), "{rows:?}");
}

#[test]
fn chain_of_custody_by_key() {
    let event =
        r#"{"event_type":"patient_record_access","action":"read","timestamp":"2024-05-15T14:00:00Z"}"#;
    let sql =
        Sql::over(Arc::new(MemoryRecords::of(0xa1b2_c3d4, [opened(event, &[])])), 0xa1b2_c3d4..0xa1b2_c3d5)
            .unwrap();
    let rows = query(
        &sql,
        "-- Chain of custody verification: Prove a specific event exists and hasn't been tampered with
SELECT
key,
value,
block_height,
updated_at
FROM world_state
WHERE key = 'audit:patient_record_access:1715781600000:a1b2c3d4';",
        &[],
    );
    assert_eq!(rows, [format!("audit:patient_record_access:1715781600000:a1b2c3d4|{event}|1|1706000002000")]);
}

#[test]
fn the_dashboard_and_the_export() {
    let sql = clinical();
    let rows = query(
        &sql,
        "
SELECT
json_extract(value, '$.event_type') as event_type,
COUNT(*) as count,
COUNT(CASE WHEN json_extract(value, '$.result') = 'denied' THEN 1 END) as denied,
MIN(json_extract(value, '$.timestamp')) as first_seen,
MAX(json_extract(value, '$.timestamp')) as last_seen
FROM world_state
WHERE key LIKE 'audit:%'
GROUP BY event_type
ORDER BY count DESC
",
        &[],
    );
    assert_eq!(rows.len(), 2);
    assert!(rows[0].starts_with("patient_record_access|5|2|20"), "{rows:?}");
    assert_eq!(rows[1], "config_change|1|0|2024-01-23T08:53:31.000Z|2024-01-23T08:53:31.000Z");

    let activity = "
SELECT
json_extract(value, '$.event_type') as event_type,
json_extract(value, '$.action') as action,
json_extract(value, '$.resource.type') as resource_type,
json_extract(value, '$.resource.id') as resource_id,
json_extract(value, '$.result') as result,
json_extract(value, '$.timestamp') as timestamp,
json_extract(value, '$.actor.ip_address') as ip_address
FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.actor.user_id') = ?
AND json_extract(value, '$.timestamp') BETWEEN ? AND ?
ORDER BY json_extract(value, '$.timestamp') DESC
LIMIT 500
";
    let rows = query(&sql, activity, &[t("dr-jones-1"), t("1970-01-01"), t("2099-12-31")]);
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0].starts_with("patient_record_access|update|patient_record|PAT-2026-00001|denied|"),
        "{rows:?}"
    );

    let export = "
SELECT key, value, block_height, updated_at
FROM world_state
WHERE key LIKE 'audit:%'
AND json_extract(value, '$.timestamp') BETWEEN ? AND ?
ORDER BY block_height, key
";
    assert_eq!(query(&sql, export, &[t(&days_ago(50)), t("2099-12-31")]).len(), 3);
    let latest = "
SELECT block_height FROM world_state
ORDER BY block_height DESC LIMIT 1
";
    assert_eq!(query(&sql, latest, &[]), ["2"]);
}

/// Events of the append-only event store, and one of another shape, which fits in.
fn event_store() -> Sql {
    over(MemoryRecords::of_events([
        r#"{"eventId":"11111111-1111-4111-8111-111111111111","timestamp":"2026-01-01T10:00:00.000Z","actor":{"userId":"u1",
            "email":"u1@example.com","role":"doctor","ipAddress":"192.0.2.1"},"action":"read","resource":{"type":"patient_record",
            "id":"p1"},"details":{"reason":"visit"},"metadata":{"app":"ehr"}}"#,
        r#"{"eventId":"22222222-2222-4222-8222-222222222222","timestamp":"2026-01-02T10:00:00.000Z","actor":{"userId":"u2",
            "email":"u2@example.com","role":"clerk","ipAddress":"192.0.2.2"},"action":"export","resource":{"type":"financial_report",
            "id":"r1"},"details":{},"metadata":{}}"#,
        r#"{"timestamp":"2026-01-03T10:00:00Z","actor_id":"u1","action":"read","resource_type":"patient_record","resource_id":"p1"}"#,
    ]))
}

#[test]
fn event_store_queries() {
    let sql = event_store();
    let last = query(
        &sql,
        "SELECT sequence_number, event_hash FROM audit_log ORDER BY sequence_number DESC LIMIT 1",
        &[],
    );
    assert!(last[0].starts_with("3|") && last[0].len() == 66, "{last:?}");
    let range = "
    SELECT * FROM audit_log
    WHERE sequence_number >= $1 AND sequence_number <= 2
    ORDER BY sequence_number ASC
  ";
    let rows = query(&sql, range, &[Value::Integer(1)]);
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0].starts_with("1|11111111-1111-4111-8111-111111111111|2026-01-01T10:00:00.000Z|{"),
        "{rows:?}"
    );
    let all = "SELECT * FROM audit_log\n    WHERE sequence_number >= $1 \n    ORDER BY sequence_number ASC";
    assert_eq!(query(&sql, all, &[Value::Integer(2)]).len(), 2);
    let hash =
        query(&sql, "SELECT event_hash FROM audit_log WHERE sequence_number = $1", &[Value::Integer(3)]);
    assert_eq!(last[0], format!("3|{}", hash[0]));

    let filtered = "SELECT * FROM audit_log WHERE 1=1 AND actor->>'userId' = $1 AND resource->>'id' = $2 AND action = $3 \
                    AND timestamp >= $4 AND timestamp <= $5 ORDER BY sequence_number DESC LIMIT $6";
    let params =
        [t("u1"), t("p1"), t("read"), t("2026-01-01"), t("2026-12-31T00:00:00Z"), Value::Integer(100)];
    let rows = query(&sql, filtered, &params);
    assert_eq!(rows.len(), 2, "the event of another shape has an actor with a userId too: {rows:?}");
    assert!(rows[0].starts_with("3|EVT-00000002|"), "{rows:?}");
    let some =
        "SELECT * FROM audit_log WHERE 1=1 AND actor->>'userId' = $1 ORDER BY sequence_number DESC LIMIT $2";
    assert_eq!(query(&sql, some, &[t("u2"), t("100")]).len(), 1, "a limit given as text");

    let access = "
    SELECT actor, action, timestamp, details
    FROM audit_log
    WHERE resource->>'type' = $1 AND resource->>'id' = $2
    ORDER BY timestamp DESC LIMIT 500
  ";
    let rows = query(&sql, access, &[t("patient_record"), t("p1")]);
    assert_eq!(rows.len(), 2);
    let email = r#"{"email":"u1@example.com","ipAddress":"192.0.2.1","role":"doctor","userId":"u1"}"#;
    assert_eq!(rows[1], format!("{email}|read|2026-01-01T10:00:00.000Z|{{\"reason\":\"visit\"}}"));
    assert_eq!(rows[0], r#"{"userId":"u1"}|read|2026-01-03T10:00:00.000Z|{}"#);
}

#[test]
fn flat_log_queries() {
    let entry = |actor: &str, patient: &str, result: &str, days: i64| {
        format!(
            r#"{{"id":"{actor}-{days}","timestamp":"{}","actor_id":"{actor}","actor_type":"user","action":"read",
            "resource_type":"patient_record","resource_id":"{patient}","result":"{result}","ip_address":"192.0.2.9",
            "reason":"visit","prev_hash":"GENESIS","hash":"00"}}"#,
            days_ago(days)
        )
    };
    let mut events = vec![
        entry("user-123", "patient-456", "success", 3),
        entry("user-123", "patient-9", "denied", 29),
        entry("user-123", "patient-456", "success", 31),
        entry("user-5", "patient-456", "failure", 1),
    ];
    events.extend((0..6).map(|_| entry("intruder", "patient-1", "denied", 0)));
    // Another shape, whose word for a refusal is another: an unsuccessful read of FHIR.
    events.push(format!(
        r#"{{"resourceType":"AuditEvent","recorded":"{}","outcome":"8","outcomeDesc":"denied","agent":[{{"requestor":true,
        "who":{{"reference":"Practitioner/1"}}}}]}}"#,
        days_ago(0)
    ));
    let sql = over(MemoryRecords::of_events(events));
    let rows = query(
        &sql,
        "-- Query: All actions by a user in the last 30 days
SELECT timestamp, action, resource_type, resource_id, result, ip_address
FROM audit_logs
WHERE actor_id = 'user-123'
AND timestamp > NOW() - INTERVAL '30 days'
ORDER BY timestamp DESC;",
        &[],
    );
    assert_eq!(rows.len(), 2);
    assert!(rows[0].ends_with("|read|patient_record|patient-456|success|192.0.2.9"), "{rows:?}");
    assert!(rows[1].ends_with("|patient-9|denied|192.0.2.9"), "{rows:?}");
    let rows = query(
        &sql,
        "-- Query: All access to a specific patient record
SELECT timestamp, actor_id, action, result, ip_address, reason
FROM audit_logs
WHERE resource_type = 'patient_record'
AND resource_id = 'patient-456'
ORDER BY timestamp DESC;",
        &[],
    );
    assert_eq!(rows.len(), 3);
    assert!(rows[0].ends_with("|user-5|read|failure|192.0.2.9|visit"), "{rows:?}");
    let failed = "-- Query: Failed access attempts (security monitoring)
SELECT actor_id, COUNT(*) as failed_attempts, MAX(timestamp) as last_attempt
FROM audit_logs
WHERE result IN ('failure', 'denied')
AND timestamp > NOW() - INTERVAL '24 hours'
GROUP BY actor_id
HAVING COUNT(*) > 5
ORDER BY failed_attempts DESC;";
    let rows = query(&sql, failed, &[]);
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("intruder|6|"), "{rows:?}");
    let rows = query(&sql, &failed.replace("> 5", "> 0"), &[]);
    assert!(
        rows.iter().any(|r| r.starts_with("Practitioner/1|1|")),
        "every shape's refusals are found: {rows:?}"
    );
}

#[test]
fn security_log_queries() {
    let sql = over(MemoryRecords::of_events([
        r#"{"id":123,"timestamp":"2024-01-15T10:30:00Z","category":"AUTHENTICATION","action":"API_KEY_VALIDATED","severity":"HIGH",
        "result":"SUCCESS","userId":"user-123","requestId":"req-456","ipAddress":"192.168.1.1","resource":"/api/v1/donations",
        "reason":null,"details":{"role":"user","method":"POST"},"integrityHash":"abc123","createdAt":"2024-01-15T10:30:00Z"}"#,
        r#"{"id":124,"category":"AUTHORIZATION","action":"ADMIN_ACCESS_DENIED","severity":"HIGH","result":"FAILURE"}"#,
    ]));
    let rows = query(&sql, "SELECT * FROM audit_logs WHERE id = ?", &[Value::Integer(123)]);
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("123|2024-01-15T10:30:00.000Z|user-123|user|API_KEY_VALIDATED|"), "{rows:?}");
    // What the article's query() filters by: category, severity, result, action and a period.
    let filter = "SELECT id FROM audit_logs WHERE category = ? AND severity = ? AND result = ? AND timestamp >= ? AND timestamp <= ? \
                  ORDER BY timestamp DESC LIMIT 100 OFFSET 0";
    let params = ["AUTHENTICATION", "HIGH", "SUCCESS", "2024-01-01T00:00:00Z", "2024-01-31T23:59:59Z"].map(t);
    assert_eq!(query(&sql, filter, &params), ["123"]);
    let row =
        "SELECT userId, requestId, ipAddress, resource, details ->> 'method' FROM audit_logs WHERE id = 123";
    assert_eq!(query(&sql, row, &[]), ["user-123|req-456|192.168.1.1|/api/v1/donations|POST"]);
}
