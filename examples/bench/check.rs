//! Whether what was measured was right: every receipt counted, and some records opened by an auditor and compared with the
//! events that were sent.

use std::collections::BTreeMap;

use sealtrail::auditor::open::open_proven;
use sealtrail::auditor::session::open_session;
use sealtrail::base::hash::from_base64;
use sealtrail::base::record::{Record, TAG_LEN};
use sealtrail::client::Client;

use super::Fallible;
use super::events::{Events, TAGS};
use super::program::{LEDGER, Place, READERS, Server};

/// Records opened.
const OPENED: usize = 24;

/// A client with a reader's session.
pub fn reader(place: &Place, server: &Server) -> Fallible<Client> {
    let mut client = Client::new(&server.url(), None)?;
    open_session(&mut client, &place.identity(READERS[0])?, LEDGER)?;
    Ok(client)
}

/// Checks the receipts of a ledger that holds `count` events and nothing else. `placed` is, for each request, the number of its first event and
/// the index of its first record.
pub fn receipts(
    place: &Place,
    server: &Server,
    events: &Events,
    count: u64,
    placed: &[(u64, u64)],
) -> Fallible<()> {
    let client = reader(place, server)?;
    let stored = client.ledger()?.records;
    if stored != count {
        return Err(format!("{count} events were acknowledged, and the ledger holds {stored} records").into());
    }
    let mut firsts: Vec<u64> = placed.iter().map(|(_, record)| *record).collect();
    firsts.sort_unstable();
    firsts.dedup();
    if firsts.len() != placed.len() {
        return Err("two requests have receipts for the same record".into());
    }
    let sample = placed.iter().step_by(placed.len().div_ceil(OPENED).max(1));
    let sample: BTreeMap<u64, u64> = sample.map(|(number, record)| (*record, *number)).collect();
    // All in one request: each leaves a record of its own in the ledger.
    let wanted: Vec<u64> = sample.keys().copied().collect();
    let (key, writer) = (place.vkey("ledger")?, place.vkey("gateway")?);
    let opened = open_proven(&client, &[place.identity(READERS[0])?], &key, &wanted)?;
    if opened.len() != sample.len() {
        return Err(format!("{} records of {} were sent", opened.len(), sample.len()).into());
    }
    for ((index, number), (record, proof)) in sample.iter().zip(opened) {
        let verified = proof.verify(&key, Some(&writer))?;
        let event = record.as_ref().and_then(|r| r.content.event());
        if verified.record != *index || event != Some(&events.event(*number)) {
            return Err(format!("record {index} opens, and is not event {number}").into());
        }
    }
    for record in client.records(wanted.get(..1).unwrap_or_default())?.records {
        let bytes = from_base64(&record.bytes).ok_or("a record is not base64")?;
        match Record::decode(&bytes)? {
            Record::Sealed { tags, .. } if tags.len() == TAGS * TAG_LEN => {}
            _ => return Err(format!("record {} has not {TAGS} tags", record.record).into()),
        }
    }
    Ok(())
}
