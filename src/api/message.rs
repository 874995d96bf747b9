//! JSON messages. Lists end where the other side may not go on: what a message takes in memory stays near its own size.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::route;
use crate::base::bounded::{at_most, lists_at_most, members_at_most};
use crate::base::limits::*;
use crate::chain::proof::{RecordId, record_id};

const MAX_EPOCHS: usize = MAX_EPOCHS_PER_REQUEST as usize;

/// One event, logged durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReceipt {
    /// `EVT-00000042`.
    pub id: String,
    /// Index of the record in the ledger.
    pub record: u64,
    /// Height of the block that holds it.
    pub block: u64,
    /// Path of the existence proof, which is the receipt.
    pub receipt: String,
}

/// Several events of one request, logged durably, in the order they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReceipts {
    /// Height of the block that holds them all.
    pub block: u64,
    /// How many.
    pub count: u32,
    /// Index of the first; the others follow without a gap.
    pub first_record: u64,
    /// One receipt an event.
    #[serde(deserialize_with = "at_most::<_, _, MAX_EVENTS_PER_REQUEST>")]
    pub events: Vec<EventReceipt>,
}

impl EventReceipt {
    /// Of the record with this index in this block.
    pub fn of(record: u64, block: u64) -> EventReceipt {
        EventReceipt { id: record_id(record), record, block, receipt: format!("{}/{record}", route::PROOFS) }
    }
}

impl EventReceipts {
    /// Of `count` records from `first_record` on.
    pub fn of(block: u64, first_record: u64, count: u32) -> EventReceipts {
        let events = (first_record..first_record + u64::from(count)).map(|r| EventReceipt::of(r, block));
        EventReceipts { block, count, first_record, events: events.collect() }
    }

    /// [`EventReceipts::of`] as JSON, written down at once: an answer may have thousands of them.
    pub fn json_of(block: u64, first_record: u64, count: u32) -> String {
        let mut out = String::with_capacity(96 + count as usize * 96);
        // Writing to a string cannot fail.
        let _ = write!(out, r#"{{"block":{block},"count":{count},"first_record":{first_record},"events":["#);
        for record in first_record..first_record + u64::from(count) {
            let comma = if record == first_record { "" } else { "," };
            let id = RecordId(record);
            let _ = write!(
                out,
                r#"{comma}{{"id":"{id}","record":{record},"block":{block},"receipt":"{}/{record}"}}"#,
                route::PROOFS
            );
        }
        out.push_str("]}");
        out
    }
}

/// A batch or statement, committed durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementReceipt {
    /// Height of its block.
    pub block: u64,
    /// Index of its first record.
    pub first_record: u64,
    /// Number of its records; 0 for a statement without a body.
    pub count: u32,
    /// The same statement had been committed before; nothing was added.
    pub repeated: bool,
}

/// What a ledger says about itself. Only signed data is to be believed; this is for finding one's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerInfo {
    /// The origin.
    pub ledger: String,
    /// The verifier key that signs checkpoints.
    pub key: String,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of records.
    pub records: u64,
    /// Height of the roster in force.
    pub roster_block: u64,
    /// Version of the program.
    pub version: String,
    /// Where the sequence of rosters, grants and erasures stands; older servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<SequenceMessage>,
    /// Heights of the rosters that gave the ledger another key, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_changes: Vec<u64>,
}

/// Where a sequence of statements stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceMessage {
    /// Number of its next statement.
    pub next_sequence: u64,
    /// Statement hash of its last one, base64; zero bytes if there is none.
    pub previous: String,
}

/// A grant of the ledger, for finding it: what it says is in its block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantMessage {
    /// Height of its block.
    pub block: u64,
    /// Index of the first record granted.
    pub first_record: u64,
    /// Index of the last record granted.
    pub last_record: u64,
    /// Recipient of the reader that granted.
    pub from: String,
    /// What it gives of one record, base64, in the answer for that record: a grant body that covers this record alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// The grants to one recipient, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantList {
    /// The grants.
    #[serde(deserialize_with = "at_most::<_, _, MAX_GRANTS_LISTED>")]
    pub grants: Vec<GrantMessage>,
}

/// Where a writer's sequence stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterHead {
    /// The writer's key name.
    pub writer: String,
    /// Sequence number of its next statement.
    pub next_sequence: u64,
    /// Statement hash of its last one, base64; zero bytes if there is none.
    pub previous: String,
}

/// Asks for a session: proves nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The reader's `age1…` recipient.
    pub recipient: String,
}

/// A challenge only the holder of the identity can open; what is inside is the bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionChallenge {
    /// HPKE encapsulated key, base64.
    pub enc: String,
    /// HPKE ciphertext of the token, base64.
    pub ciphertext: String,
    /// When the session ends.
    pub expires: String,
}

/// One record for a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordMessage {
    /// Index of the record.
    pub record: u64,
    /// Height of its block.
    pub block: u64,
    /// Position in its batch.
    pub position: u32,
    /// The batch header, base64.
    pub header: String,
    /// The encoded record, base64.
    pub bytes: String,
    /// What was granted of it to the reader who asks, newest first.
    #[serde(
        deserialize_with = "at_most::<_, _, MAX_RECORD_GRANTS>",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub grants: Vec<GrantMessage>,
    /// If it is erased, the height of the block that ordered it, for finding that: believe the block, with its proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_by: Option<u64>,
}

/// Asks for several records with their proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsRequest {
    /// Indexes, ascending strictly; at most [`MAX_RECORDS_PER_REQUEST`](crate::base::limits::MAX_RECORDS_PER_REQUEST).
    #[serde(deserialize_with = "at_most::<_, _, MAX_RECORDS_PER_REQUEST>")]
    pub records: Vec<u64>,
}

/// Several records, in the order asked for, with proofs against one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsMessage {
    /// Batch headers by block height, base64.
    #[serde(deserialize_with = "members_at_most::<_, _, _, MAX_RECORDS_PER_REQUEST>")]
    pub headers: std::collections::BTreeMap<u64, String>,
    /// The records.
    #[serde(deserialize_with = "at_most::<_, _, MAX_RECORDS_PER_REQUEST>")]
    pub records: Vec<ProvenRecord>,
}

/// One record of [`RecordsMessage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenRecord {
    /// Index of the record.
    pub record: u64,
    /// Height of its block.
    pub block: u64,
    /// The encoded record, base64.
    pub bytes: String,
    /// The text of its proof file.
    pub proof: String,
    /// What was granted of it to the asking reader, beside the slots it has for it.
    #[serde(
        deserialize_with = "at_most::<_, _, MAX_RECORD_GRANTS>",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub grants: Vec<GrantMessage>,
}

/// A search by blind tags: records that carry, for every clause, at least one of its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The clauses: tags as 16 hexadecimal digits.
    #[serde(deserialize_with = "lists_at_most::<_, _, MAX_SEARCH_CLAUSES, MAX_SEARCH_TAGS>")]
    pub all: Vec<Vec<String>>,
    /// First record to look at.
    pub from: u64,
    /// Most records to name.
    pub limit: usize,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Indexes of matching records, ascending.
    #[serde(deserialize_with = "at_most::<_, _, MAX_SEARCH_HITS>")]
    pub records: Vec<u64>,
    /// Where to search on, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The first batch header of each search epoch: all batches of one writer, period and layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsMessage {
    /// The epochs, oldest first.
    #[serde(deserialize_with = "at_most::<_, _, MAX_EPOCHS>")]
    pub epochs: Vec<EpochMessage>,
    /// With the first of them: epochs that were granted to the reader who asks.
    #[serde(
        deserialize_with = "at_most::<_, _, MAX_GRANTED_EPOCHS>",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub granted: Vec<GrantedEpochMessage>,
    /// Where to ask on, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A search epoch that a grant covers, by one of its batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedEpochMessage {
    /// Height of the batch's block.
    pub block: u64,
    /// Its batch header, base64.
    pub header: String,
    /// What was granted of one record of the batch.
    pub grant: GrantMessage,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochMessage {
    /// Height of the first block of the epoch.
    pub block: u64,
    /// Its batch header, base64.
    pub header: String,
}

/// Health of the write path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthMessage {
    /// `ok` or `failing`.
    pub status: String,
    /// Seconds since blocks last became durable (or since start-up).
    pub last_durable_append_seconds: f64,
    /// Seconds that the append under way has taken so far; 0 if there is none.
    #[serde(default)]
    pub append_under_way_seconds: f64,
    /// Why appends cannot be relied on: the last one failed, or does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of records.
    pub records: u64,
    /// Erasure orders whose records are not all gone from the store yet.
    #[serde(default)]
    pub erasures_pending: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lists_end_where_the_interface_says() {
        let records = |n: usize| format!(r#"{{"records":[{}0]}}"#, "0,".repeat(n - 1));
        let asked = |n| serde_json::from_str::<RecordsRequest>(&records(n)).map(|r| r.records.len());
        assert_eq!(asked(MAX_RECORDS_PER_REQUEST).unwrap(), MAX_RECORDS_PER_REQUEST);
        let refused = asked(MAX_RECORDS_PER_REQUEST + 1).unwrap_err().to_string();
        assert!(refused.contains("at most 500 elements"), "{refused}");
        assert!(serde_json::from_str::<SearchResult>(&records(MAX_SEARCH_HITS)).is_ok());
        assert!(serde_json::from_str::<SearchResult>(&records(MAX_SEARCH_HITS + 1)).is_err());
        let clauses = |n: usize, of: &str| {
            let all = vec![of; n].join(",");
            serde_json::from_str::<SearchRequest>(&format!(r#"{{"all":[{all}],"from":0,"limit":1}}"#)).is_ok()
        };
        assert!(clauses(MAX_SEARCH_CLAUSES, "[]") && !clauses(MAX_SEARCH_CLAUSES + 1, "[]"));
        assert!(!clauses(1, &format!("[{}\"\"]", "\"\",".repeat(MAX_SEARCH_TAGS))));
        let headers = |n: u64| {
            let members: Vec<String> = (0..n).map(|h| format!("\"{h}\":\"\"")).collect();
            serde_json::from_str::<RecordsMessage>(&format!(
                r#"{{"headers":{{{}}},"records":[]}}"#,
                members.join(",")
            ))
        };
        assert_eq!(headers(500).unwrap().headers.len(), 500);
        assert!(headers(501).unwrap_err().to_string().contains("more than 500 members"));
    }

    #[test]
    fn receipts_written_at_once_are_the_same_json() {
        for (block, first, count) in [(0, 0, 1), (7, 99_999_998, 3), (u64::from(u32::MAX), 1 << 60, 20)] {
            let want = serde_json::to_string(&EventReceipts::of(block, first, count)).unwrap();
            assert_eq!(EventReceipts::json_of(block, first, count), want);
        }
    }
}
