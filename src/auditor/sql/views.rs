//! What a query can select from.

/// A table as people see it.
pub struct TableInfo {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// Columns and what they hold.
    pub columns: &'static [(&'static str, &'static str)],
    /// Expressions for the columns, in the same order, over `records` or over the series of indices.
    expressions: &'static [&'static str],
    /// What follows: FROM and WHERE. SQLite checks a condition that is a sub-query after all others, so that a query's own
    /// conditions on `record` come before any record is opened.
    from: &'static str,
}

/// Stands for the name of the column function with the record's index in it.
const SERIES: &str = "";

/// All tables, most useful first.
pub const TABLES: &[TableInfo] = &[
    TableInfo {
        name: "records",
        about: "every record of the ledger, opened or not",
        columns: &[
            ("record", "index in the ledger, from 0"),
            ("id", "the same as EVT-00000042"),
            ("block", "height of its block"),
            ("position", "position in its batch, from 0"),
            ("committed", "when the ledger committed it, by the ledger's clock"),
            ("sealed", "when the writer sealed it, by the writer's clock"),
            ("writer", "who sealed it"),
            ("retain_until", "it must not be erased before this date"),
            ("state", "opened, partly-opened, not-for-you, erased or unreadable"),
            ("proof", "verified: it is in the signed chain as shown, or it would not be here"),
            ("withheld", "sections you may not read"),
            ("note", "why a record is not open"),
            ("time", "when it happened, by the sender's clock, in UTC"),
            ("actor", "who did it"),
            ("actor_name", "the name of who did it"),
            ("role", "role or kind of who did it"),
            ("action", "what was done, in the event's word"),
            ("operation", "create, read, update, delete or execute"),
            ("event_type", "kind of event"),
            ("resource_type", "kind of what it was done to"),
            ("resource", "what it was done to"),
            ("patient", "the patient or data subject"),
            ("purpose", "purpose of use"),
            ("legal_basis", "legal basis"),
            ("reason", "reason or justification in words"),
            ("outcome", "allowed, denied or failed"),
            ("result", "how it went, in the event's word"),
            ("category", "category"),
            ("severity", "severity"),
            ("address", "network address it came from"),
            ("application", "system that reported it"),
            ("recipient", "whom data was disclosed to"),
            ("emergency", "1 for emergency access (break the glass)"),
            ("shape", "which shape of event was recognised"),
            ("event", "the whole event, JSON"),
        ],
        expressions: &[SERIES],
        from: "",
    },
    TableInfo {
        name: "events",
        about: "the records you may open, with the same columns",
        columns: &[],
        expressions: &["*"],
        from: "FROM records WHERE (SELECT record_column(record, 'is_open'))",
    },
    TableInfo {
        name: "world_state",
        about: "opened events as keys and values of a key-value ledger",
        columns: &[
            ("key", "audit:event:<eventId>, or audit:<event_type>:<milliseconds>:<record in hexadecimal>"),
            ("value", "the event, JSON without white space; a missing timestamp is filled in"),
            ("version", "1: nothing is ever changed"),
            ("updated_at", "when the ledger committed it, in milliseconds since 1970"),
            ("updated_by", "the writer"),
            ("block_height", "height of its block"),
        ],
        expressions: &[
            "CAST(record_column(value, 'key') AS TEXT)",
            "record_column(value, 'value')",
            "1",
            "CAST(record_column(value, 'committed_ms') AS INTEGER)",
            "CAST(record_column(value, 'writer') AS TEXT)",
            "CAST(record_column(value, 'block') AS INTEGER)",
        ],
        from: "FROM generate_series($START, $STOP) WHERE (SELECT record_column(value, 'is_open'))",
    },
    TableInfo {
        name: "audit_log",
        about: "opened events with actor, resource, details and metadata as JSON",
        columns: &[
            ("sequence_number", "from 1: the record's index and one"),
            ("event_id", "the event's own identifier, or the record's"),
            ("timestamp", "when it happened, or was sealed if the event does not say"),
            ("actor", "JSON: the event's actor, with userId, role and ipAddress"),
            ("action", "what was done"),
            ("resource", "JSON: the event's resource, with type and id"),
            ("details", "JSON: the event's details or context"),
            ("metadata", "JSON: the event's metadata"),
            ("previous_hash", "empty: the signed chain takes its place, see `audit verify`"),
            ("event_hash", "SHA-256 of the event, in hexadecimal"),
            ("signature", "empty: the writer's signed statement takes its place"),
        ],
        expressions: &[
            "value",
            "CAST(record_column(value - 1, 'event_id') AS TEXT)",
            "CAST(record_column(value - 1, 'time_or_sealed') AS TEXT)",
            "record_column(value - 1, 'actor_json')",
            "CAST(record_column(value - 1, 'action') AS TEXT)",
            "record_column(value - 1, 'resource_json')",
            "coalesce(record_column(value - 1, 'event') -> '$.details', record_column(value - 1, 'event') -> '$.context', '{}')",
            "coalesce(record_column(value - 1, 'event') -> '$.metadata', '{}')",
            "NULL",
            "CAST(record_column(value - 1, 'event_hash') AS TEXT)",
            "NULL",
        ],
        from: "FROM generate_series($START + 1, $STOP + 1) WHERE (SELECT record_column(value - 1, 'is_open'))",
    },
    TableInfo {
        name: "audit_logs",
        about: "opened events as flat log entries",
        columns: &[
            ("id", "the event's own id, or the record's"),
            ("timestamp", "when it happened, or was sealed if the event does not say"),
            ("actor_id", "who did it"),
            ("actor_type", "role or kind of who did it"),
            ("action", "what was done"),
            ("resource_type", "kind of what it was done to"),
            ("resource_id", "what it was done to"),
            ("result", "the event's own word; without one success, denied or failure"),
            ("ip_address", "network address it came from"),
            ("user_agent", "client software"),
            ("session_id", "session"),
            ("duration_ms", "how long it took"),
            ("reason", "reason or justification"),
            ("changed_fields", "JSON array"),
            ("old_values", "JSON"),
            ("category", "category"),
            ("severity", "severity"),
            ("userId", "who did it"),
            ("requestId", "request"),
            ("ipAddress", "network address it came from"),
            ("resource", "what it was done to"),
            ("details", "JSON: the event's details, context or metadata"),
            ("prev_hash", "empty: the signed chain takes its place, see `audit verify`"),
            ("hash", "SHA-256 of the event, in hexadecimal"),
            ("integrityHash", "the same"),
            ("createdAt", "when the ledger committed it"),
        ],
        expressions: &[
            "CAST(coalesce(event ->> '$.id', id) AS TEXT)",
            "CAST(record_column(record, 'time_or_sealed') AS TEXT)",
            "actor",
            "role",
            "action",
            "resource_type",
            "resource",
            "CAST(coalesce(event ->> '$.result', CASE outcome WHEN 'allowed' THEN 'success' WHEN 'failed' THEN 'failure' \
             ELSE outcome END) AS TEXT)",
            "address",
            "CAST(coalesce(event ->> '$.user_agent', event ->> '$.userAgent', event ->> '$.actor.userAgent', \
             event ->> '$.details.userAgent') AS TEXT)",
            "CAST(coalesce(event ->> '$.session_id', event ->> '$.sessionId', event ->> '$.actor.session_id') AS TEXT)",
            "event ->> '$.duration_ms'",
            "reason",
            "event -> '$.changed_fields'",
            "event -> '$.old_values'",
            "category",
            "severity",
            "actor",
            "CAST(coalesce(event ->> '$.requestId', event ->> '$.request_id', event ->> '$.metadata.request_id') AS TEXT)",
            "address",
            "resource",
            "coalesce(event -> '$.details', event -> '$.context', event -> '$.metadata', '{}')",
            "NULL",
            "CAST(record_column(record, 'event_hash') AS TEXT)",
            "CAST(record_column(record, 'event_hash') AS TEXT)",
            "committed",
        ],
        from: "FROM events",
    },
];

/// Keys that the audit contract keeps beside the events: lists of event ids by category and by subject, and the count.
/// They are made for a query that asks for them by name, and cost a pass over the records each.
pub(super) const INDEX_KEYS: [&str; 2] = ["audit:index:", "audit:counter"];

/// `world_state` with the index keys, in front of the view of that name.
pub(super) const WITH_INDEX: &str = "
CREATE TEMP VIEW world_state(key, value, version, updated_at, updated_by, block_height) AS
SELECT * FROM main.world_state
UNION ALL
SELECT 'audit:index:category:' || category, ids, n, at, by, block FROM (
  SELECT category, json_group_array(event_id ORDER BY record) ids, count(*) n, at, by, block, max(record)
  FROM contract_events GROUP BY category)
UNION ALL
SELECT 'audit:index:subject:' || subject, ids, n, at, by, block FROM (
  SELECT subject, json_group_array(event_id ORDER BY record) ids, count(*) n, at, by, block, max(record)
  FROM contract_events WHERE subject IS NOT NULL GROUP BY subject)
UNION ALL
SELECT 'audit:counter', n, n, at, by, block FROM (
  SELECT count(*) n, at, by, block, max(record) FROM contract_events) WHERE n > 0";

/// Takes [`WITH_INDEX`] away.
pub(super) const WITHOUT_INDEX: &str = "DROP VIEW IF EXISTS temp.world_state";

/// The statements that make the views for records `first` to `last`, both included; none of them if `last` is less.
pub(super) fn definitions(first: i64, last: i64) -> String {
    let mut sql = String::new();
    for table in TABLES {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (names, expressions) = match table.expressions {
            [SERIES] => {
                (names.join(", "), names.iter().map(|n| of_record(n)).collect::<Vec<_>>().join(",\n  "))
            }
            all => (names.join(", "), all.join(",\n  ")),
        };
        let names = if names.is_empty() { String::new() } else { format!("({names})") };
        let from = if table.from.is_empty() { "FROM generate_series($START, $STOP)" } else { table.from };
        sql.push_str(&format!("CREATE VIEW {}{names} AS SELECT\n  {expressions}\n{from};\n", table.name));
    }
    sql.push_str(
        "CREATE VIEW contract_events AS SELECT value AS record,
          record_column(value, 'event_id') AS event_id, record_column(value, 'category') AS category,
          record_column(value, 'subject') AS subject, record_column(value, 'committed_ms') AS at,
          record_column(value, 'writer') AS by, record_column(value, 'block') AS block
        FROM generate_series($START, $STOP) WHERE record_column(value, 'contract');",
    );
    sql.replace("$START", &first.to_string()).replace("$STOP", &last.to_string())
}

/// The expression for a column of `records`. The casts tell SQLite the column's type, so that comparisons treat '42' and 42
/// alike.
fn of_record(name: &str) -> String {
    match name {
        "record" => "value".to_owned(),
        "proof" => "'verified'".to_owned(),
        "event" => "record_column(value, 'event')".to_owned(),
        "block" | "position" | "emergency" => format!("CAST(record_column(value, '{name}') AS INTEGER)"),
        _ => format!("CAST(record_column(value, '{name}') AS TEXT)"),
    }
}

/// The columns of a table.
pub fn columns_of(table: &TableInfo) -> &'static [(&'static str, &'static str)] {
    match (table.columns, TABLES.first()) {
        ([], Some(records)) => records.columns,
        (own, _) => own,
    }
}
