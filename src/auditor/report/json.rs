//! A report as JSON. The members are stable: new ones may come, none goes or changes its meaning.
//!
//! | member | is |
//! |---|---|
//! | `format` | `sealtrail.org/report/v1` |
//! | `report`, `title`, `rule`, `question`, `answer`, `findings` | name, title, rules it answers, and the text of the page |
//! | `parameters` | what was asked for, an object of name and value |
//! | `created`, `timezone` | when it was made, RFC 3339 in UTC; zone of the page's local times |
//! | `as_of` | `ledger`, `blocks`, `records`, `root`, `committed`, `checkpoint` (the signed text) |
//! | `coverage` | counts and ranges of what was and was not seen, and `sentences` |
//! | `figures` | `label`, `value`, `alert` |
//! | `tables` | `name`, `title`, `about`, `order`, `main`, `apart`, `total`, `columns` (`name`, `title`) and `rows` |
//! | row | `cells` by column name; `records` as `[first, last]` ranges; `record_count` |
//! | row, too | `time_source` (`event` or `sealed`) where there is a `time`; `at_least`, the columns whose number is a least one |
//! | `notes`, `staff_hidden`, `evidence` | how to read it; whether staff is hidden; name of the evidence file or null |
//!
//! Cells are text, a number, an RFC 3339 time in UTC, or null where the event says nothing.

use serde_json::{Map, Value, json};

use super::coverage::{Coverage, Hidden};
use super::csv::time_source;
use super::html::root_of;
use super::model::{Cell, Report, Row, Table};

/// The report as one line of JSON text.
pub fn json(report: &Report) -> String {
    let about = report.kind.describe();
    let parameters: Map<String, Value> =
        report.parameters.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    let figures: Vec<Value> = report
        .figures
        .iter()
        .map(|f| json!({ "label": f.label, "value": f.value, "alert": f.alert }))
        .collect();
    let as_of = &report.as_of;
    json!({
        "format": "sealtrail.org/report/v1",
        "report": about.name,
        "title": report.title,
        "rule": about.rule,
        "question": report.question,
        "answer": report.answer,
        "findings": report.findings,
        "parameters": parameters,
        "created": report.created.to_string(),
        "timezone": report.zone.name(),
        "as_of": {
            "ledger": as_of.ledger, "blocks": as_of.blocks, "records": as_of.records, "root": root_of(&as_of.checkpoint),
            "committed": as_of.committed.map(|t| t.to_string()), "checkpoint": as_of.checkpoint,
        },
        "coverage": coverage(&report.coverage),
        "figures": figures,
        "tables": report.tables.iter().map(table).collect::<Vec<_>>(),
        "notes": report.notes,
        "staff_hidden": report.staff_hidden,
        "evidence": report.evidence,
    })
    .to_string()
}

fn coverage(c: &Coverage) -> Value {
    let hidden = |h: &Hidden| json!({ "count": h.count, "sealed_since": h.sealed_since, "ranges": h.ranges, "more": h.more });
    json!({
        "records": c.records, "looked_at": c.looked_at, "opened": c.opened, "opened_in_part": c.partly, "in_period": c.in_period,
        "outside_period": c.outside, "selected": c.selected, "without_time": c.without_time, "unassigned": c.unassigned,
        "unassigned_in_part": c.unassigned_partly, "not_for_you": hidden(&c.not_for_you), "erased": hidden(&c.erased),
        "unreadable": hidden(&c.unreadable), "withheld_sections": c.withheld, "sentences": c.sentences(),
    })
}

fn table(t: &Table) -> Value {
    let columns: Vec<Value> = t.columns.iter().map(|c| json!({ "name": c.name, "title": c.title })).collect();
    json!({
        "name": t.name, "title": t.title, "about": t.about, "order": t.order, "main": t.main, "apart": t.apart, "total": t.total,
        "columns": columns, "rows": t.rows.iter().map(|r| row(t, r)).collect::<Vec<_>>(),
    })
}

fn row(t: &Table, r: &Row) -> Value {
    let named = || t.columns.iter().map(|c| c.name).zip(&r.cells);
    let cells: Map<String, Value> = named().map(|(name, c)| (name.to_owned(), cell(c))).collect();
    let least: Vec<&str> =
        named().filter(|(_, c)| matches!(c, Cell::AtLeast(_))).map(|(name, _)| name).collect();
    let mut out = Map::new();
    out.insert("cells".to_owned(), cells.into());
    out.insert("records".to_owned(), json!(r.records.ranges));
    out.insert("record_count".to_owned(), r.records.count.into());
    if t.columns.iter().any(|c| c.name == "time") {
        out.insert("time_source".to_owned(), time_source(&r.cells).into());
    }
    if !least.is_empty() {
        out.insert("at_least".to_owned(), json!(least));
    }
    out.into()
}

fn cell(c: &Cell) -> Value {
    match c {
        Cell::Text(text) => text.clone().into(),
        Cell::Number(n) | Cell::AtLeast(n) => (*n).into(),
        Cell::Time { at, .. } => at.to_string().into(),
        Cell::Outcome(o) => (*o).into(),
        Cell::Missing | Cell::Blank => Value::Null,
    }
}
