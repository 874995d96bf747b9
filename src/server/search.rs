//! Readers: searching by blind tags, and fetching what was found. The server sees which tags are asked for together and which
//! records carry them; not the field's values. Each search is sealed into the ledger as an audit record of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::task::block_in_place;

use crate::api::message::{
    EpochMessage, EpochsMessage, GrantedEpochMessage, ProvenRecord, RecordsMessage, RecordsRequest,
    SearchRequest, SearchResult,
};
use crate::api::problem::Code;
use crate::base::hash::to_base64;
use crate::base::limits::{
    MAX_BULK_BYTES, MAX_EPOCHS_PER_REQUEST, MAX_HEADER_BYTES, MAX_RECORDS_PER_REQUEST, MAX_SEARCH_CLAUSES,
    MAX_SEARCH_HITS, MAX_SEARCH_REQUEST_BYTES, MAX_SEARCH_TAGS,
};
use crate::base::record::Tag;
use crate::base::threads::in_parts;
use crate::chain::proof::record_id;
use crate::ledger::{TagPage, View};

use super::doors::Visitor;
use super::problem::Failure;
use super::reading::{granted_message, log_event, private_json};
use super::state::{App, Counters};
use super::turns::NoTurn;

/// What an answer with search epochs takes, in base64, twice for a moment.
const EPOCHS_ROOM: usize = MAX_EPOCHS_PER_REQUEST as usize * MAX_HEADER_BYTES * 4 / 3 * 2;
/// What an answer with records takes, as a message and as JSON.
const RECORDS_ROOM: usize = 2 * MAX_BULK_BYTES;

/// Before a byte of the body is read: the session, and room for the body.
pub(super) async fn session_first(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let admitted = app.require_reader(request.headers()).and_then(|_| {
        app.room_for(announced.unwrap_or(MAX_SEARCH_REQUEST_BYTES).min(MAX_SEARCH_REQUEST_BYTES))
    });
    match admitted {
        Ok(_room) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn invalid(why: impl Into<String>) -> Failure {
    Failure::new(Code::RequestInvalid, why)
}

#[derive(Deserialize)]
pub(super) struct EpochsQuery {
    from: Option<u64>,
}

/// `GET /v1/epochs?from=`: the first batch header of each writer, period and layout. What a reader needs to make tags with is in it,
/// sealed to the reader.
pub(super) async fn epochs(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Query(query): Query<EpochsQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let reader = app.require_reader(&headers)?;
    let from = query.from.unwrap_or(0);
    let mut blocks = BTreeSet::new();
    let share = app.reader_answers.take(&visitor.guest, EPOCHS_ROOM).await?;
    let collected = app.read(|| {
        let heights = app.ledger.epochs(from, MAX_EPOCHS_PER_REQUEST)?;
        let next = (heights.len() as u64 == MAX_EPOCHS_PER_REQUEST).then(|| from + heights.len() as u64);
        let epoch = |block| Ok(EpochMessage { block, header: to_base64(&app.ledger.batch_header(block)?) });
        let epochs = heights.into_iter().map(epoch).collect::<Result<_, crate::ledger::LedgerError>>()?;
        let granted = if from == 0 { app.ledger.granted_epochs(&reader.recipient)? } else { Vec::new() };
        blocks.extend(granted.iter().map(|g| g.granted.grant.block));
        let granted = granted.into_iter().map(|g| GrantedEpochMessage {
            block: g.block,
            header: to_base64(&g.header),
            grant: granted_message(g.granted),
        });
        Ok::<_, Failure>(EpochsMessage { epochs, granted: granted.collect(), next })
    });
    let message = collected.await??;
    // Granted slots open records and their search secrets, so handing them out is a download like any other.
    if let (Some(first), Some(last)) = (blocks.first(), blocks.last()) {
        let id = if first == last { format!("block {first}") } else { format!("blocks {first} to {last}") };
        let resource = json!({
            "type": "audit_grant", "id": id, "grants": blocks.len(), "parts": message.granted.len()
        });
        log_event(&app, &reader, visitor.addr, "read", resource).await?;
    }
    private_json(share, &message)
}

/// `POST /v1/search`
pub(super) async fn search(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let reader = app.require_reader(&headers)?;
    let request: SearchRequest = serde_json::from_slice(&body).map_err(|e| {
        invalid(format!(r#"send {{"all":[["16 hex digits",…],…],"from":0,"limit":100}}: {e}"#))
    })?;
    let tags: usize = request.all.iter().map(Vec::len).sum();
    if request.all.is_empty() || request.all.len() > MAX_SEARCH_CLAUSES || tags > MAX_SEARCH_TAGS {
        return Err(invalid(format!(
            "a search has 1 to {MAX_SEARCH_CLAUSES} clauses and at most {MAX_SEARCH_TAGS} tags"
        )));
    }
    let query = request
        .all
        .iter()
        .map(|clause| clause.iter().map(|t| parse_tag(t)).collect::<Option<Vec<Tag>>>())
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid("a tag is 16 lower-case hexadecimal digits"))?;
    let limit = request.limit.clamp(1, MAX_SEARCH_HITS);
    let found = {
        let _turn = app.searches.take().await.map_err(|why| {
            let others = match why {
                NoTurn::Full => "too many searches are waiting already",
                NoTurn::TooLong => "other searches take too long",
            };
            Failure::new(Code::Overloaded, format!("{others}; send this again in a moment"))
        })?;
        block_in_place(|| app.ledger.find_tagged(&query, request.from, limit))?
    };
    let TagPage { records, next } = found;
    let resource =
        json!({ "type": "audit_log", "clauses": query.len(), "tags": tags, "hits": records.len() });
    log_event(&app, &reader, visitor.addr, "search", resource).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(SearchResult { records, next })).into_response())
}

pub(super) fn parse_tag(text: &str) -> Option<Tag> {
    let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(u64::to_be_bytes)
}

/// `POST /v1/records`: several records with their proofs, all against one checkpoint. The answer may end early (at
/// [`MAX_BULK_BYTES`]); ask again for the rest.
pub(super) async fn records(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let reader = app.require_reader(&headers)?;
    let request: RecordsRequest =
        serde_json::from_slice(&body).map_err(|e| invalid(format!(r#"send {{"records":[1,2,…]}}: {e}"#)))?;
    let asked = &request.records;
    if asked.is_empty() || asked.len() > MAX_RECORDS_PER_REQUEST || !asked.is_sorted_by(|a, b| a < b) {
        return Err(invalid(format!("name 1 to {MAX_RECORDS_PER_REQUEST} records, ascending, each once")));
    }
    let share = app.reader_answers.take(&visitor.guest, RECORDS_ROOM).await?;
    let message = app.read(|| collect(&app, &reader.recipient, asked)).await??;
    let ids: Vec<String> = message.records.iter().map(|r| record_id(r.record)).collect();
    let count = ids.len() as u64;
    log_event(
        &app,
        &reader,
        visitor.addr,
        "read",
        json!({ "type": "audit_record", "ids": ids, "count": count }),
    )
    .await?;
    Counters::add(&app.counters.records_read, count);
    private_json(share, &message)
}

fn collect(app: &App, recipient: &str, asked: &[u64]) -> Result<RecordsMessage, Failure> {
    let view = app.ledger.view();
    // Together the parts are no longer than one answer may be.
    let parts = in_parts(asked, |part| {
        collect_part(app, &view, recipient, part, MAX_BULK_BYTES * part.len() / asked.len())
    });
    let mut all = RecordsMessage { headers: BTreeMap::new(), records: Vec::with_capacity(asked.len()) };
    for part in parts {
        let (part, whole) = part?;
        all.headers.extend(part.headers);
        all.records.extend(part.records);
        if !whole {
            break;
        }
    }
    Ok(all)
}

/// Some records, ending early before there are more than `most` bytes, and whether it is all of them. The first record asked for is
/// there whatever its length.
fn collect_part(
    app: &App,
    view: &View,
    recipient: &str,
    asked: &[u64],
    most: usize,
) -> Result<(RecordsMessage, bool), Failure> {
    let mut prover = app.ledger.prover(view);
    let mut headers = BTreeMap::new();
    let mut records = Vec::with_capacity(asked.len());
    let mut bytes = 0;
    for index in asked {
        let found = app.ledger.record(*index)?;
        let proof = prover.proof(*index)?.to_json();
        let header = if headers.contains_key(&found.block) { 0 } else { found.header.len() };
        bytes += (found.record.len() + header) * 4 / 3 + proof.len();
        if bytes > most && Some(index) != asked.first() {
            return Ok((RecordsMessage { headers, records }, false));
        }
        headers.entry(found.block).or_insert_with(|| to_base64(&found.header));
        records.push(ProvenRecord {
            record: *index,
            block: found.block,
            bytes: to_base64(&found.record),
            proof,
            grants: app.ledger.granted(*index, recipient)?.into_iter().map(granted_message).collect(),
        });
    }
    Ok((RecordsMessage { headers, records }, true))
}
