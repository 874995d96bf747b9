//! The records as rows: streams them in the order a query asks, and computes a column only when the query reads it.
//!
//! SQLite calls one function, `record_column(record, name)`, for every column it reads of a record; `generate_series` gives
//! the record indices. (A virtual table of our own would need `unsafe`, which this program does without.) So a condition on
//! `record` alone never opens a record, and a scan holds one record at a time and stream.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use rusqlite::types::Value;

use crate::auditor::facts::Facts;
use crate::auditor::facts::tree::Node;
use crate::auditor::record::{AuditRecord, Content, RecordStream, Records, RecordsError};
use crate::base::hash::Hash;
use crate::base::limits::{SQL_GAP_RECORDS, SQL_STREAMS};
use crate::chain::proof::record_id;

use super::entry::{Entry, compact};

/// Reads records by index, best in ascending order.
pub(super) struct Table {
    records: Arc<dyn Records>,
    range: Range<u64>,
    streams: Vec<Stream>,
    /// A short run of records read for a query that goes backwards.
    window: Vec<Row>,
    last: Option<u64>,
    reads: u64,
    /// What kept a record from being read.
    failure: Option<RecordsError>,
}

struct Stream {
    rows: RecordStream,
    /// Index of what comes next out of `rows`.
    next: u64,
    current: Option<Row>,
    /// The read that used it last.
    used: u64,
}

impl Table {
    pub fn new(records: Arc<dyn Records>, range: Range<u64>) -> Table {
        Table { records, range, streams: Vec::new(), window: Vec::new(), last: None, reads: 0, failure: None }
    }

    /// Ends all streams: the query is over. Gives what kept a record from being read.
    pub fn close(&mut self) -> Option<RecordsError> {
        self.streams.clear();
        self.window.clear();
        self.last = None;
        self.failure.take()
    }

    /// The value of a column of record `index`, which lies in the range; `None` if there is no such column.
    pub fn column(&mut self, index: u64, name: &str) -> Result<Option<Value>, RecordsError> {
        match self.row(index) {
            Ok(row) => Ok(row.column(name)),
            Err(e) => {
                self.failure = Some(e.clone());
                Err(e)
            }
        }
    }

    fn row(&mut self, index: u64) -> Result<&Row, RecordsError> {
        if !self.range.contains(&index) {
            return Err(RecordsError::Damaged(format!(
                "there is no record {index} in records {:?}",
                self.range
            )));
        }
        self.reads += 1;
        let last = self.last.replace(index);
        if let Some(at) =
            self.streams.iter().position(|s| s.current.as_ref().is_some_and(|r| r.record.index == index))
        {
            return self.current(at);
        }
        if let Some(at) = self.window.iter().position(|r| r.record.index == index) {
            return self.window.get(at).ok_or_else(|| missing(index));
        }
        if last.is_some_and(|last| index < last && last - index <= SQL_GAP_RECORDS) {
            let start = (index + 1).saturating_sub(SQL_GAP_RECORDS).max(self.range.start);
            self.window.clear();
            for record in self.records.records(start..index + 1) {
                self.window.push(Row::new(record?));
            }
            return self.window.last().filter(|r| r.record.index == index).ok_or_else(|| missing(index));
        }
        let near = |s: &Stream| s.next <= index && index - s.next <= SQL_GAP_RECORDS;
        let at = match self.streams.iter().position(near) {
            Some(at) => at,
            None => self.open(index),
        };
        if let Some(stream) = self.streams.get_mut(at) {
            stream.current = None;
            while stream.next <= index {
                let record = stream.rows.next().ok_or_else(|| missing(stream.next))??;
                if record.index != stream.next {
                    return Err(missing(stream.next));
                }
                stream.next += 1;
                stream.current = Some(Row::new(record));
            }
        }
        self.current(at)
    }

    /// A new stream from `index` on, in the place of the one not used for longest if there are many. Returns its place.
    fn open(&mut self, index: u64) -> usize {
        if self.streams.len() >= SQL_STREAMS {
            let oldest = self.streams.iter().enumerate().min_by_key(|(_, s)| s.used).map(|(i, _)| i);
            self.streams.swap_remove(oldest.unwrap_or_default());
        }
        let rows = self.records.records(index..self.range.end);
        self.streams.push(Stream { rows, next: index, current: None, used: self.reads });
        self.streams.len() - 1
    }

    fn current(&mut self, at: usize) -> Result<&Row, RecordsError> {
        let reads = self.reads;
        let stream = self.streams.get_mut(at);
        let row = stream.and_then(|s| {
            s.used = reads;
            s.current.as_ref()
        });
        row.ok_or_else(|| RecordsError::Damaged("a stream of records ended early".to_owned()))
    }
}

fn missing(index: u64) -> RecordsError {
    RecordsError::Damaged(format!("record {index} was left out of the stream of records"))
}

/// One record with what was computed of it.
struct Row {
    record: AuditRecord,
    parsed: OnceCell<Option<(Facts, Entry)>>,
    /// The column `value`, which queries read several times a row.
    value: OnceCell<Option<String>>,
}

impl Row {
    fn new(record: AuditRecord) -> Row {
        Row { record, parsed: OnceCell::new(), value: OnceCell::new() }
    }

    /// What the event says; `None` if it was not opened.
    fn parsed(&self) -> Option<&(Facts, Entry)> {
        self.parsed
            .get_or_init(|| {
                let event = self.record.content.event()?;
                let tree = Node::parse(event);
                let facts = tree.as_ref().map_or_else(|| Facts::of(event), Facts::of_tree);
                let entry = Entry::of(tree.as_ref(), &facts, &self.record);
                Some((facts, entry))
            })
            .as_ref()
    }

    /// The event as one JSON text: as received, unless its frame is withheld.
    fn event(&self) -> Option<String> {
        let event = self.record.content.event()?;
        let whole = self.record.content.withheld().is_empty();
        if whole
            || serde_json::from_slice::<serde::de::IgnoredAny>(event).is_ok() && !event.starts_with(b"{\"/")
        {
            return Some(String::from_utf8_lossy(event).into_owned());
        }
        Some(Node::parse(event)?.to_value().to_string())
    }

    /// The value of a column; `None` if there is no such column.
    fn column(&self, name: &str) -> Option<Value> {
        let r = &self.record;
        let known = match name {
            "id" => Value::Text(record_id(r.index)),
            "block" => integer(r.block),
            "position" => Value::Integer(i64::from(r.position)),
            "committed" => Value::Text(r.committed.to_string()),
            "committed_ms" => Value::Integer(r.committed.millis()),
            "sealed" => Value::Text(r.sealed.to_string()),
            "writer" => Value::Text(r.writer.to_string()),
            "retain_until" => Value::Text(r.retain_until.to_string()),
            "state" => Value::Text(r.content.state().to_owned()),
            "is_open" => Value::Integer(i64::from(r.content.event().is_some())),
            "withheld" => match r.content.withheld() {
                [] => Value::Null,
                names => Value::Text(names.join(",")),
            },
            "note" => match &r.content {
                Content::Opened { .. } => Value::Null,
                Content::NotForYou => Value::Text("sealed for other readers".to_owned()),
                Content::Erased { by_block: Some(block) } => {
                    Value::Text(format!("erased by the order in block {block}"))
                }
                Content::Erased { by_block: None } => Value::Text("erased".to_owned()),

                Content::Unreadable { why } => Value::Text(why.clone()),
            },
            "event" => text(self.event()),
            "event_hash" => text(r.content.event().map(|e| Hash::of(&[e]).hex())),
            "value" => text(self.value.get_or_init(|| self.ledger_value()).clone()),
            "actor_json" => {
                text(self.object("actor", &[("userId", "actor"), ("role", "role"), ("ipAddress", "address")]))
            }
            "resource_json" => {
                text(self.object("resource", &[("type", "resource_type"), ("id", "resource")]))
            }
            _ => return self.fact(name),
        };
        Some(known)
    }

    fn ledger_value(&self) -> Option<String> {
        let (_, entry) = self.parsed()?;
        Some(entry.value(&compact(&self.event()?)))
    }

    /// The object that is member `name` of the event, with the members it lacks filled in from columns; where it is no
    /// object, an object of these alone.
    fn object(&self, name: &str, members: &[(&str, &str)]) -> Option<String> {
        let tree = Node::parse(self.record.content.event()?)?;
        let mut object = match tree.get(name).map(Node::to_value) {
            Some(serde_json::Value::Object(object)) => object,
            _ => serde_json::Map::new(),
        };
        for (member, column) in members {
            if let Some(Value::Text(text)) = self.fact(column) {
                object.entry(*member).or_insert(text.into());
            }
        }
        Some(serde_json::Value::Object(object).to_string())
    }

    /// A column of what the event says.
    fn fact(&self, name: &str) -> Option<Value> {
        let parsed = self.parsed();
        let fact = |of: fn(&Facts) -> Option<&str>| text(parsed.and_then(|(f, _)| of(f)).map(str::to_owned));
        Some(match name {
            "time" => fact(|f| f.time.as_deref()),
            "time_or_sealed" => match parsed {
                Some((Facts { time: Some(time), .. }, _)) => Value::Text(time.clone()),
                _ => Value::Text(self.record.sealed.to_string()),
            },
            "actor" => fact(|f| f.actor.as_deref()),
            "actor_name" => fact(|f| f.actor_name.as_deref()),
            "role" => fact(|f| f.role.as_deref()),
            "action" => fact(|f| f.action.as_deref()),
            "operation" => fact(|f| f.operation),
            "event_type" => fact(|f| f.event_type.as_deref()),
            "resource_type" => fact(|f| f.resource_type.as_deref()),
            "resource" => fact(|f| f.resource.as_deref()),
            "patient" => fact(|f| f.patient.as_deref()),
            "purpose" => fact(|f| f.purpose.as_deref()),
            "legal_basis" => fact(|f| f.legal_basis.as_deref()),
            "reason" => fact(|f| f.reason.as_deref()),
            "outcome" => fact(|f| f.outcome.map(|o| o.as_str())),
            "result" => fact(|f| f.result.as_deref()),
            "category" => fact(|f| f.category.as_deref()),
            "severity" => fact(|f| f.severity.as_deref()),
            "address" => fact(|f| f.address.as_deref()),
            "application" => fact(|f| f.application.as_deref()),
            "recipient" => fact(|f| f.recipient.as_deref()),
            "shape" => fact(|f| Some(f.shape)),
            "emergency" => parsed.map_or(Value::Null, |(f, _)| Value::Integer(i64::from(f.emergency))),
            "key" => text(parsed.map(|(_, entry)| entry.key.clone())),
            "contract" => parsed.map_or(Value::Null, |(_, entry)| Value::Integer(i64::from(entry.contract))),
            "event_id" => text(parsed.map(|(_, entry)| entry.event_id.clone())),
            "subject" => text(parsed.and_then(|(_, entry)| entry.subject.clone())),
            _ => return None,
        })
    }
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::Text)
}

fn integer(n: u64) -> Value {
    i64::try_from(n).map_or(Value::Null, Value::Integer)
}
