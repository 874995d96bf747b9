//! Alerts and how they read. Nothing in one is personal data unless asked for: whoever a rule is about appears under a
//! pseudonym that is the same in every alert of one watch and means nothing without the watch's secret.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::filter::Column;
use super::rules::Severity;
use crate::auditor::facts::Facts;
use crate::base::clock::Timestamp;
use crate::base::hash::{Hash, to_hex};
use crate::base::hmac::PreparedHmac;
use crate::base::limits::MAX_ALERT_VALUE;
use crate::base::secret::Secret;
use crate::chain::proof::record_id;
use crate::event::view::printable;

/// Bytes of a digest that stands for a key.
pub(super) const DIGEST: usize = 16;
/// What the engine keeps in place of an actor, an address, ….
pub(super) type Digest = [u8; DIGEST];
/// Bytes of a pseudonym that are shown: 48 bits, so that among a million actors two hardly ever look alike.
const SHOWN: usize = 6;

/// How those whom alerts are about are named.
pub struct Naming {
    mac: PreparedHmac,
    show: bool,
}

impl Naming {
    /// `secret` is the watch's own; `show` puts the values themselves into alerts.
    pub fn new(secret: &Secret<32>, show: bool) -> Naming {
        Naming { mac: PreparedHmac::new(secret.expose()), show }
    }

    /// Whether alerts carry personal data.
    pub fn shows(&self) -> bool {
        self.show
    }

    /// HMAC-SHA256 of the column's name, a zero byte and the value, trimmed and in lower case.
    fn digest(&self, column: &str, value: &str) -> Digest {
        let value = value.trim().to_ascii_lowercase();
        cut(&self.mac.mac(&[column.as_bytes(), &[0], value.as_bytes()]))
    }

    /// The digest of all columns of a key; `None` if the event has none of them.
    pub(super) fn key(&self, key: &[Column], facts: &Facts, writer: &str) -> Option<Digest> {
        match key {
            [] => Some([0; DIGEST]),
            [one] => Some(self.digest(one.name, one.value(facts, writer)?)),
            many => {
                let values: Vec<Option<&str>> = many.iter().map(|c| c.value(facts, writer)).collect();
                values.iter().any(Option::is_some).then(|| {
                    let parts = many.iter().zip(values);
                    let all: Vec<Digest> =
                        parts.map(|(c, v)| v.map_or([0; DIGEST], |v| self.digest(c.name, v))).collect();
                    cut(&self.mac.mac(&[&all.concat()]))
                })
            }
        }
    }

    /// A digest of a writer's name, which is public.
    pub(super) fn writer(&self, name: &str) -> Digest {
        self.digest("writer", name)
    }

    /// What an alert says the key is.
    pub(super) fn shown(&self, key: &[Column], facts: &Facts, writer: &str) -> Vec<(&'static str, String)> {
        let shown = |c: &Column| {
            let value = c.value(facts, writer)?;
            let open = self.show || c.public;
            Some((c.name, if open { short(value) } else { to_hex(self.digest(c.name, value).get(..SHOWN)?) }))
        };
        key.iter().filter_map(shown).collect()
    }
}

fn cut(mac: &[u8; 32]) -> Digest {
    let mut digest = [0; DIGEST];
    digest.iter_mut().zip(mac).for_each(|(d, m)| *d = *m);
    digest
}

/// Text from an event or a server, fit for a terminal and not longer than an alert should carry.
pub(super) fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_ALERT_VALUE).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable(&cut)
}

/// One alert.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// 32 hexadecimal digits over rule, key and window: a repeat after a crash has the same.
    pub id: String,
    /// Origin of the ledger.
    pub ledger: Arc<str>,
    /// Name of the rule.
    pub rule: Arc<str>,
    /// Type of the rule.
    pub kind: &'static str,
    /// Severity of the rule.
    pub severity: Severity,
    /// What happened, in a sentence.
    pub message: String,
    /// Column and pseudonym (or value) of whom it is about.
    pub key: Vec<(&'static str, String)>,
    /// How many events there were when it was raised.
    pub count: u64,
    /// Index of the first of them.
    pub first: Option<u64>,
    /// Index of the last of them.
    pub last: Option<u64>,
    /// Height of the block that raised it, if one did.
    pub block: Option<u64>,
    /// When it happened: the last event's time, or when a silence or a fork was noticed.
    pub time: Timestamp,
    /// Beginning and end of the window, for rules that have one of fixed length.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Columns of the last event; only where personal data was asked for.
    pub event: Vec<(&'static str, String)>,
}

/// The stable id: SHA-256 over label, rule, key and window, the first 16 bytes.
pub(super) fn alert_id(rule: &str, key: &Digest, window: i64) -> Digest {
    let hash =
        Hash::of(&[b"sealtrail.org/watch-alert/v1\n", rule.as_bytes(), &[0], key, &window.to_be_bytes()]);
    cut(&hash.0)
}

impl Alert {
    /// The records it is about, such as `EVT-00000001 to EVT-00000005`; empty if there are none.
    pub(super) fn records(first: Option<u64>, last: Option<u64>) -> String {
        match (first, last) {
            (Some(a), Some(b)) if a != b => format!("{} to {}", record_id(a), record_id(b)),
            (_, Some(b)) => record_id(b),
            _ => String::new(),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} {} {}: {}",
            self.time,
            self.severity.as_str().to_uppercase(),
            self.rule,
            self.message
        );
        for (column, value) in &self.event {
            let _ = write!(line, " {column}={value:?}");
        }
        let _ = write!(line, " [{}]", self.id);
        printable(&line)
    }

    /// All of it as JSON.
    pub fn json(&self) -> Value {
        let pairs = |list: &[(&str, String)]| -> Map<String, Value> {
            list.iter().map(|(c, v)| ((*c).to_owned(), Value::from(v.as_str()))).collect()
        };
        let mut all = json!({
            "id": self.id, "ledger": &*self.ledger, "rule": &*self.rule, "type": self.kind,
            "severity": self.severity.as_str(), "message": self.message, "time": self.time.to_string(),
            "key": pairs(&self.key), "count": self.count,
        });
        if let Value::Object(map) = &mut all {
            if let (Some(first), Some(last)) = (self.first, self.last) {
                map.insert("records".into(), json!({ "first": record_id(first), "last": record_id(last) }));
            }
            if let Some(block) = self.block {
                map.insert("block".into(), block.into());
            }
            if let Some((from, to)) = self.window {
                map.insert("window".into(), json!({ "from": from.to_string(), "to": to.to_string() }));
            }
            if !self.event.is_empty() {
                map.insert("event".into(), pairs(&self.event).into());
            }
        }
        all
    }

    /// CloudEvents 1.0, JSON format §3, structured mode: what a webhook is sent.
    pub fn cloud_event(&self) -> Value {
        json!({
            "specversion": "1.0",
            "id": self.id,
            "source": uri_reference(&self.ledger),
            "type": format!("org.sealtrail.alert.{}", self.kind),
            "subject": &*self.rule,
            "time": self.time.to_string(),
            "datacontenttype": "application/json",
            "data": self.json(),
        })
    }

    /// RFC 5424 §6: facility 13 (log audit), message id = rule, the columns as structured data, the sentence after a BOM.
    pub fn syslog(&self) -> String {
        const FACILITY: u8 = 13;
        let severity = match self.severity {
            Severity::Low => 5,
            Severity::Medium => 4,
            Severity::High => 3,
            Severity::Critical => 2,
        };
        let mut data = String::new();
        let mut param = |name: &str, value: &str| {
            // §6.3.3: these three are escaped, and nothing else.
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
            let _ = write!(data, " {name}=\"{value}\"");
        };
        param("id", &self.id);
        param("ledger", &self.ledger);
        param("type", self.kind);
        param("severity", self.severity.as_str());
        param("count", &self.count.to_string());
        if let (Some(first), Some(last)) = (self.first, self.last) {
            param("first", &record_id(first));
            param("last", &record_id(last));
        }
        if let Some(block) = self.block {
            param("block", &block.to_string());
        }
        for (column, value) in &self.key {
            param(column, value);
        }
        for (column, value) in &self.event {
            param(&format!("event-{column}"), value);
        }
        format!(
            "<{}>1 {} - sealtrail {} {} [alert@{ENTERPRISE}{data}] \u{feff}{}",
            FACILITY * 8 + severity,
            self.time,
            std::process::id(),
            self.rule,
            self.message
        )
    }
}

/// RFC 5424 §6.3.2 wants a private enterprise number behind the `@`; this is the one RFC 5612 sets aside for examples.
const ENTERPRISE: u32 = 32473;

/// RFC 3986: what a URI reference may not hold is percent-encoded. A colon would make a scheme of what stands before it.
fn uri_reference(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// A length of time for people: `5 minutes`, `2 h 10 min`.
pub(super) fn span(ms: i64) -> String {
    let s = ms / 1000;
    let unit = |n: i64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => unit(s, "second"),
        (0, 0, m, 0) => unit(m, "minute"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => unit(h, "hour"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, ..) => unit(d, "day"),
        (d, h, ..) => format!("{} {h} h", unit(d, "day")),
    }
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
