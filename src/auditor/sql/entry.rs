//! An event as the key and value it would have in a key-value ledger: what the view `world_state` shows.

use crate::auditor::facts::Facts;
use crate::auditor::facts::tree::Node;
use crate::auditor::record::AuditRecord;
use crate::base::clock::Timestamp;
use crate::chain::proof::record_id;

/// Members that an event of the contract shape does not have: it is what the audit contract is called with
/// (category, action, subject, details) and adds to.
const NOT_CONTRACT: [&str; 6] = ["severity", "result", "userId", "actor", "actor_id", "event_type"];

/// Key and additions of one event.
pub(super) struct Entry {
    /// `audit:event:<eventId>` for the contract shape; `audit:<event_type>:<ms>:<record, 8 hexadecimal digits>` for others.
    pub key: String,
    /// Whether it has the contract shape.
    pub contract: bool,
    /// The event's own identifier, or the record's.
    pub event_id: String,
    /// The subject of an event of the contract shape.
    pub subject: Option<String>,
    /// Members to add to the value, as JSON text that starts with a comma.
    additions: String,
}

impl Entry {
    pub fn of(tree: Option<&Node<'_>>, facts: &Facts, record: &AuditRecord) -> Entry {
        let text = |name: &str| tree?.get(name)?.text();
        let has = |name: &str| tree.is_some_and(|t| t.get(name).is_some());
        let contract = facts.shape == "application"
            && (text("category").is_some() && text("action").is_some())
            && (!NOT_CONTRACT.iter().any(|n| has(n)) || has("eventId"));
        let own_id = text("eventId").or_else(|| text("event_id")).or_else(|| text("id"));
        let event_id = own_id.unwrap_or_else(|| record_id(record.index));
        let when = facts.time.as_deref().and_then(Timestamp::parse).unwrap_or(record.sealed);
        let key = if contract {
            format!("audit:event:{event_id}")
        } else {
            let kind = facts.event_type.as_ref().or(facts.category.as_ref()).or(facts.action.as_ref());
            format!("audit:{}:{}:{:08x}", kind.map_or("record", |k| k), when.millis(), record.index)
        };
        let mut additions = String::new();
        let mut add = |name: &str, value: serde_json::Value| {
            if !has(name) {
                additions.push_str(&format!(",\"{name}\":{value}"));
            }
        };
        if contract {
            add("eventId", event_id.as_str().into());
            add("recordedBy", (&*record.writer).into());
            add("blockHeight", record.block.into());
            add("timestamp", when.millis().into());
        } else {
            add("timestamp", when.to_string().into());
        }
        Entry { key, contract, event_id, subject: text("subject").filter(|_| contract), additions }
    }

    /// The event's compact text with the additions at its end.
    pub fn value(&self, compact: &str) -> String {
        match compact.strip_suffix('}') {
            Some("{") => format!("{{{}}}", self.additions.strip_prefix(',').unwrap_or_default()),
            Some(start) => format!("{start}{}}}", self.additions),
            None => compact.to_owned(),
        }
    }
}

/// JSON without white space between its tokens, so that a `LIKE '%"action":"login"%'` finds it however it was sent.
pub(super) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut copied = 0;
    for (at, b) in json.bytes().enumerate() {
        match b {
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => {
                out.push_str(json.get(copied..at).unwrap_or_default());
                copied = at + 1;
            }
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && b == b'\\' && !escaped;
    }
    out.push_str(json.get(copied..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_space_between_tokens_goes() {
        let spaced = " { \"a b\" :\t[ 1 , \"\\\" \\\\\" ,\r\n\"é  \\u0020\" ] } ";
        assert_eq!(compact(spaced), "{\"a b\":[1,\"\\\" \\\\\",\"é  \\u0020\"]}");
        assert_eq!(compact("{}"), "{}");
    }
}
