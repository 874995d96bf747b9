//! Messages of the HTTP interface, in both directions, and what else a request says.

use std::fmt::Debug;

use sealtrail::api::message::*;
use sealtrail::api::problem::Problem;
use sealtrail::auditor::granted::Granted;
use sealtrail::event::split::Format;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::input::part;

fn message<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let message: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_vec(&message).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&text).unwrap(), message);
    Some(message)
}

/// Every JSON message.
pub fn messages(data: &[u8]) {
    message::<EventReceipt>(data);
    message::<EventReceipts>(data);
    message::<StatementReceipt>(data);
    message::<LedgerInfo>(data);
    message::<SequenceMessage>(data);
    message::<GrantMessage>(data);
    message::<WriterHead>(data);
    message::<SessionRequest>(data);
    message::<SessionChallenge>(data);
    message::<RecordMessage>(data);
    message::<RecordsRequest>(data);
    message::<SearchRequest>(data);
    message::<SearchResult>(data);
    message::<EpochsMessage>(data);
    message::<Problem>(data);
    if let Some(m) = message::<RecordsMessage>(data) {
        m.records.iter().for_each(|r| drop(Granted::of_messages(&r.grants)));
    }
    if let Some(m) = message::<GrantList>(data) {
        drop(Granted::of_messages(&m.grants));
    }
    // Seconds with fractions need not come back to the last digit.
    let _ = serde_json::from_slice::<HealthMessage>(data);
}

/// A request besides its body: `length ‖ path`, query string, content type, authorization, tag.
pub fn request(mut data: &[u8]) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let (path, query) = (text(part(&mut data)), text(part(&mut data)));
    let (content_type, authorization) = (part(&mut data), part(&mut data));
    let token = sealtrail::server::fuzzing::request(path, query, content_type, authorization, text(data));
    if let Some(token) = token {
        assert!(!sealtrail::server::fuzzing::session_token(&token), "nobody was given a token");
    }
    let _ = Format::of_content_type(std::str::from_utf8(content_type).ok());
}
