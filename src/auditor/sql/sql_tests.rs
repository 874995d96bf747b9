#![allow(clippy::single_range_in_vec_init, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::auditor::record::Content;
use crate::auditor::record_testing::{MemoryRecords, opened};
use crate::base::clock::Timestamp;

#[path = "printed_tests.rs"]
mod printed;

/// Rows as texts, with the columns joined by `|`.
#[derive(Default)]
struct Lines {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl RowSink for Lines {
    fn columns(&mut self, names: &[String]) -> std::io::Result<()> {
        *self = Lines { names: names.to_vec(), rows: Vec::new() };
        Ok(())
    }
    fn row(&mut self, values: &[Value]) -> std::io::Result<()> {
        self.rows.push(values.to_vec());
        Ok(())
    }
    fn end(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Real(n) => n.to_string(),
        Value::Text(t) => t.clone(),
        Value::Blob(_) => "blob".to_owned(),
    }
}

fn try_query(sql: &Sql, query: &str, params: &[Value]) -> Result<Vec<String>, SqlError> {
    let mut lines = Lines::default();
    sql.run(query, params, &mut lines)?;
    Ok(lines.rows.iter().map(|r| r.iter().map(text).collect::<Vec<_>>().join("|")).collect())
}

fn query(sql: &Sql, text: &str, params: &[Value]) -> Vec<String> {
    try_query(sql, text, params).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn over(records: MemoryRecords) -> Sql {
    Sql::new(Arc::new(records)).unwrap()
}

fn mixed() -> Sql {
    over(MemoryRecords::of(
        0,
        [
            opened(
                r#"{"actor":{"user_id":"ann"},"action":"read","result":"allowed","timestamp":"2024-01-23T09:00:00+01:00"}"#,
                &[],
            ),
            Content::NotForYou,
            opened(r#"{"actor":{"$sealed":"staff"},"action":"delete","result":"denied"}"#, &["staff"]),
            Content::Erased { by_block: Some(7) },
            Content::Unreadable { why: "no JSON".to_owned() },
            opened(
                "{\"/actor/user_id\":\"bob\",\"/agent/2\":\"x\"}\n{\"/context/purpose\":\"TREAT\"}",
                &["main"],
            ),
        ],
    ))
}

#[test]
fn every_record_is_a_row_whatever_its_state() {
    let sql = mixed();
    assert_eq!(
        query(
            &sql,
            "SELECT record, id, block, position, state, proof, withheld, note, actor, outcome FROM records",
            &[]
        ),
        [
            "0|EVT-00000000|1|0|opened|verified|NULL|NULL|ann|allowed",
            "1|EVT-00000001|1|1|not-for-you|verified|NULL|sealed for other readers|NULL|NULL",
            "2|EVT-00000002|1|2|partly-opened|verified|staff|NULL|NULL|denied",
            "3|EVT-00000003|1|3|erased|verified|NULL|erased by the order in block 7|NULL|NULL",
            "4|EVT-00000004|2|0|unreadable|verified|NULL|no JSON|NULL|NULL",
            "5|EVT-00000005|2|1|partly-opened|verified|main|NULL|bob|NULL",
        ]
    );
    assert_eq!(
        query(&sql, "SELECT count(*), count(event), min(time) FROM events", &[]),
        ["3|3|2024-01-23T08:00:00.000Z"]
    );
    let event = "SELECT event ->> '$.actor.user_id', event -> '$.agent', json_valid(event), purpose FROM records WHERE record = 5";
    assert_eq!(
        query(&sql, event, &[]),
        [r#"bob|[null,null,"x"]|1|TREAT"#],
        "the readable sections make one JSON value"
    );
    assert_eq!(
        query(&sql, "SELECT committed, sealed, writer, retain_until FROM records WHERE record = 4", &[]),
        ["2024-01-23T08:53:32.000Z|2024-01-23T08:53:31.000Z|hospital.example/writers/ehr|2030-01-23"]
    );
    assert_eq!(
        query(&sql, "SELECT value ->> '$.timestamp' FROM world_state WHERE updated_at > 0 LIMIT 2", &[])
            .len(),
        2
    );
}

#[test]
fn all_columns_of_all_tables_can_be_read() {
    let sql = mixed();
    for table in TABLES {
        let mut lines = Lines::default();
        sql.run(&format!("SELECT * FROM {}", table.name), &[], &mut lines).unwrap();
        let names: Vec<&str> = views::columns_of(table).iter().map(|(n, _)| *n).collect();
        assert_eq!(lines.names, names, "{}", table.name);
        assert_eq!(lines.rows.len(), if table.name == "records" { 6 } else { 3 }, "{}", table.name);
        let listed = query(&sql, &format!("SELECT count(*) FROM pragma_table_info('{}')", table.name), &[]);
        assert_eq!(listed, [names.len().to_string()]);
    }
    assert!(
        query(&over(MemoryRecords::of(0, [])), "SELECT * FROM records", &[]).is_empty(),
        "an empty ledger"
    );
}

#[test]
fn text_and_numbers_compare_as_people_expect() {
    let sql = mixed();
    for (condition, params) in [
        ("record = ?", vec![Value::Integer(2)]),
        ("block = '1' AND position = ?1", vec![Value::Text("2".to_owned())]),
        ("id = :id", vec![Value::Text("EVT-00000002".to_owned())]),
    ] {
        let q = format!("SELECT record FROM records WHERE {condition}");
        assert_eq!(query(&sql, &q, &params), ["2"], "{condition}");
    }
    let flat = over(MemoryRecords::of_events([r#"{"actor_id":"42","resource_id":7,"id":123,"action":"x"}"#]));
    for q in ["actor_id = 42", "actor_id = '42'", "resource_id = 7", "id = 123", "id = '123'"] {
        assert_eq!(query(&flat, &format!("SELECT count(*) FROM audit_logs WHERE {q}"), &[]), ["1"], "{q}");
    }
    assert_eq!(parameter("42"), Value::Integer(42));
    assert_eq!(parameter("'42'"), Value::Text("42".to_owned()));
    for text in ["042", "4.2", "PAT-1", "", "'"] {
        assert_eq!(parameter(text), Value::Text(text.to_owned()), "{text}");
    }
}

/// Counts what is asked of it.
struct Counting {
    inner: MemoryRecords,
    asked: Mutex<Vec<Range<u64>>>,
}

impl Records for Counting {
    fn as_of(&self) -> &crate::auditor::record::AsOf {
        self.inner.as_of()
    }
    fn records(&self, range: Range<u64>) -> crate::auditor::record::RecordStream {
        self.asked.lock().unwrap().push(range.clone());
        self.inner.records(range)
    }
    fn blocks(&self, range: Range<u64>) -> crate::auditor::record::BlockStream {
        self.inner.blocks(range)
    }
}

#[test]
fn only_the_records_that_a_query_needs_are_read() {
    let events = (0..2000).map(|i| format!(r#"{{"actor_id":"u{}","action":"read","n":{i}}}"#, i % 7));
    let records = Arc::new(Counting { inner: MemoryRecords::of_events(events), asked: Mutex::default() });
    let sql = Sql::new(Arc::clone(&records) as Arc<dyn Records>).unwrap();
    let asked = |q: &str| {
        records.asked.lock().unwrap().clear();
        let rows = query(&sql, q, &[]);
        (rows, records.asked.lock().unwrap().clone())
    };
    assert_eq!(
        asked("SELECT count(*) FROM records"),
        (vec!["2000".to_owned()], vec![]),
        "no record is opened to be counted"
    );
    assert_eq!(
        asked("SELECT actor FROM records WHERE record = 1500"),
        (vec!["u2".to_owned()], vec![1500..2000])
    );
    let (rows, ranges) = asked("SELECT actor, event ->> '$.n' FROM records WHERE record >= 1998");
    assert_eq!((rows, ranges), (vec!["u3|1998".to_owned(), "u4|1999".to_owned()], vec![1998..2000]));
    let (rows, ranges) = asked("SELECT event ->> '$.n' FROM records ORDER BY record DESC LIMIT 300");
    assert_eq!(
        (rows.len(), rows.first().unwrap().as_str(), rows.last().unwrap().as_str()),
        (300, "1999", "1700")
    );
    assert_eq!(ranges, [1999..2000, 1743..1999, 1487..1743], "backwards in runs");
    let (rows, ranges) =
        asked("SELECT count(*) FROM records WHERE actor IN (SELECT actor FROM records WHERE record < 2)");
    assert_eq!((rows, ranges.len()), (vec!["572".to_owned()], 2), "a sub-query has a stream of its own");
    let (rows, ranges) = asked("SELECT event ->> '$.n' FROM records WHERE record % 1000 = 1");
    assert_eq!(
        (rows.join(" "), ranges),
        ("1 1001".to_owned(), vec![1..2000, 1001..2000]),
        "a long gap is stepped over"
    );
    let part = Sql::over(Arc::clone(&records) as Arc<dyn Records>, 10..12).unwrap();
    assert_eq!(query(&part, "SELECT record FROM events", &[]), ["10", "11"]);
    let join = "SELECT count(*) FROM records a JOIN records b ON b.record = a.record + 1 AND a.actor <> b.actor WHERE a.record < 9";
    assert_eq!(asked(join).0, ["9"]);
}

#[test]
fn a_ledger_that_cannot_be_read_on_is_no_answer() {
    let mut records = MemoryRecords::of_events((0..9).map(|_| r#"{"action":"x"}"#));
    records.broken_at = Some(7);
    let sql = over(records);
    let error = try_query(&sql, "SELECT count(action) FROM events", &[]).unwrap_err();
    assert!(
        matches!(&error, SqlError::Records(why) if why.to_string().contains("the disk is gone")),
        "{error:?}"
    );
    assert_eq!(
        query(&sql, "SELECT count(action) FROM events WHERE record < 7", &[]),
        ["7"],
        "and the next query starts anew"
    );
}

#[test]
fn nothing_can_be_written_attached_or_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    let sql = mixed();
    let refused = [
        format!("ATTACH '{}' AS other", file.display()),
        format!("VACUUM INTO '{}'", file.display()),
        "VACUUM".to_owned(),
        "CREATE TABLE t(a)".to_owned(),
        "CREATE TEMP TABLE t AS SELECT * FROM events".to_owned(),
        "CREATE TEMP VIEW v AS SELECT 1".to_owned(),
        "CREATE VIRTUAL TABLE t USING fts5(a)".to_owned(),
        "INSERT INTO audit_log(action) VALUES ('x')".to_owned(),
        "UPDATE audit_log SET action = 'authorized' WHERE sequence_number = 42".to_owned(),
        "DELETE FROM records".to_owned(),
        "DROP VIEW records".to_owned(),
        "PRAGMA journal_mode = WAL".to_owned(),
        "PRAGMA temp_store = FILE".to_owned(),
        "PRAGMA temp_store_directory = '/'".to_owned(),
        "PRAGMA hard_heap_limit = 0".to_owned(),
        "PRAGMA trusted_schema".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        "BEGIN".to_owned(),
        "SAVEPOINT a".to_owned(),
        "ANALYZE".to_owned(),
        "REINDEX".to_owned(),
        "SELECT 1; DROP VIEW events".to_owned(),
    ];
    for statement in refused {
        let error = try_query(&sql, &statement, &[]).expect_err(&statement);
        assert!(error.to_string().contains("only SELECT is possible here"), "{statement}: {error}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "no file appeared");
    assert_eq!(query(&sql, "SELECT count(*) FROM events", &[]), ["3"]);
    let too_long = "SELECT length(hex(zeroblob(60000000)))";
    assert!(try_query(&sql, too_long, &[]).is_err(), "values are bounded");
}

#[test]
fn errors_say_what_to_do() {
    let sql = mixed();
    let error = |q: &str, p: &[Value]| try_query(&sql, q, p).unwrap_err().to_string();
    let unknown = error("SELECT actr FROM events", &[]);
    assert!(
        unknown.starts_with("there is no column actr. Columns:\n  events: record, id, block"),
        "{unknown}"
    );
    assert!(!unknown.contains("world_state"), "only of the tables named: {unknown}");
    let unknown = error("SELECT * FROM event", &[]);
    assert!(
        unknown.contains("there is no table event") && unknown.contains("world_state (opened events as keys"),
        "{unknown}"
    );
    assert!(error("SELECT frob(actor) FROM events", &[]).contains("date_trunc('day', time)"));
    assert!(
        error("SELECT * FROM events WHERE record = ?", &[])
            .contains("has 1 parameter, and none was given with --param")
    );
    assert!(error("SELECT 1", &[Value::Null]).contains("has 0 parameters, and 1 was given"));
    assert!(error("SELECT ?; SELECT ?", &[Value::Null]).contains("single statement"));
    assert!(error(" -- nothing\n ; ", &[]).contains("there is no query"));
    assert!(error("SELEC 1", &[]).contains("syntax error"));
    assert!(error("SELECT date_trunc('moon', '2026-01-01')", &[]).contains("is none of second"));
}

#[test]
fn postgresql_spellings() {
    let sql = over(MemoryRecords::of_events([
        r#"{"timestamp":"2026-05-15T13:14:15.250Z","actor_id":"Ann","action":"x","details":{"a":{"b":["p","q"]},"n":5}}"#,
    ]));
    for (expression, value) in [
        ("timestamp - INTERVAL '30 days'", "2026-04-15T13:14:15.250Z"),
        ("timestamp-INTERVAL '1 year 2 months'", "2025-03-15T13:14:15.250Z"),
        ("timestamp + interval '90 minutes' - INTERVAL '1' HOUR", "2026-05-15T13:44:15.250Z"),
        ("(timestamp) + INTERVAL 2 DAY", "2026-05-17T13:14:15.250Z"),
        ("audit_logs.timestamp + '1 week'::interval", "2026-05-22T13:14:15.250Z"),
        ("coalesce(NULL, timestamp) - INTERVAL '1 day'", "2026-05-14T13:14:15.250Z"),
        ("'2026-03-01' - INTERVAL '1 mon'", "2026-02-01T00:00:00.000Z"),
        ("'soon' - INTERVAL '1 day'", "NULL"),
        ("'a - INTERVAL ''1 day'''", "a - INTERVAL '1 day'"),
        ("date_trunc('week', timestamp)", "2026-05-11T00:00:00.000Z"),
        ("date_trunc('quarter', timestamp)", "2026-04-01T00:00:00.000Z"),
        ("date_trunc('hour', timestamp)", "2026-05-15T13:00:00.000Z"),
        ("date_trunc('minute', timestamp)", "2026-05-15T13:14:00.000Z"),
        ("EXTRACT(hour FROM timestamp)", "13"),
        ("extract( dow from timestamp )", "5"),
        ("date_part('epoch', timestamp)::bigint", "1778850855"),
        ("to_timestamp(1706000000)", "2024-01-23T08:53:20.000Z"),
        ("'2026-01-02 03:04:05+01'::timestamptz", "2026-01-02T02:04:05.000Z"),
        ("'2026-01-02'::timestamp with time zone", "2026-01-02T00:00:00.000Z"),
        ("TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02T03:04:05.000Z"),
        ("timestamp AT TIME ZONE 'UTC'", "2026-05-15T13:14:15.250Z"),
        ("timestamp::date", "2026-05-15"),
        ("actor_id ILIKE 'ann'", "1"),
        ("details #>> '{a,b,1}'", "q"),
        ("details::jsonb #> '{a,b}'", r#"["p","q"]"#),
        ("(details ->> 'n')::int + 1", "6"),
        ("jsonb_array_length(details -> '$.a.b')", "2"),
        ("'5'::text || '::x'", "5::x"),
    ] {
        let q = format!("SELECT {expression} FROM audit_logs");
        assert_eq!(query(&sql, &q, &[]), [value], "{expression}");
    }
    let now = query(&sql, "SELECT now(), CURRENT_TIMESTAMP, NOW() - INTERVAL '24 hours' < now()", &[]);
    let parts: Vec<&str> = now[0].split('|').collect();
    assert!(
        Timestamp::parse(parts[0]).is_some() && parts[0].get(..16) == parts[1].get(..16) && parts[2] == "1",
        "{now:?}"
    );
    assert!(try_query(&sql, "SELECT INTERVAL '1 day'", &[]).is_err(), "not understood, and not guessed at");
    assert_eq!(query(&sql, "SELECT $2 || $1 || $2", &["a", "b"].map(|t| Value::Text(t.to_owned()))), ["bab"]);
    assert_eq!(
        query(&sql, "SELECT 1 -- - INTERVAL 'x'\n ; /* ; */ SELECT \"action\" FROM [audit_logs];", &[]),
        ["x"]
    );
    assert!(is_complete("SELECT 1; -- end") && !is_complete("SELECT ';'") && !is_complete("SELECT 1"));
}

#[test]
fn a_query_is_cut_off_before_it_takes_all_memory() {
    let sql = over(MemoryRecords::of_events(["{}"]));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
        SELECT group_concat(x, '') FROM (SELECT hex(randomblob(15000000)) AS x FROM n)";
    let error = try_query(&sql, endless, &[]).unwrap_err().to_string();
    assert!(error.contains("too big") || error.contains("needs more than"), "{error}");
}
