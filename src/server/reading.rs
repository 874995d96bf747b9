//! Readers: sessions, and ciphertext with its slots. Every download is sealed into the ledger as an audit
//! record of its own before a byte of it is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::bulk::put_body;
use crate::api::message::{GrantMessage, RecordMessage, SessionChallenge, SessionRequest};
use crate::api::problem::Code;
use crate::api::route::BINARY_TYPE;
use crate::base::clock::Timestamp;
use crate::base::hash::to_base64;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_BULK_BLOCKS, MAX_BULK_BYTES, MAX_RECORD_BYTES};
use crate::chain::proof::record_id;
use crate::ledger::GrantedRecord;
use crate::seal::reader_key::Recipient;
use crate::writer::Purpose;

use super::doors::Visitor;
use super::gateway::Events;
use super::problem::Failure;
use super::public::{JSON_TYPE, record_index};
use super::room::{BULK_CAPACITY, Share};
use super::state::{App, Counters, SessionReader};

/// What a bulk download takes while it is made: the answer, or one body that is longer. Of that there may be two for a moment.
const BULK_ROOM: usize = const_max(2 * MAX_BULK_BYTES, MAX_BATCH_BYTES);
/// What a record takes, in base64 and as it is.
const RECORD_ROOM: usize = 3 * MAX_RECORD_BYTES;

const fn const_max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// `POST /v1/sessions`: a token sealed to the recipient; using it proves that the caller can decrypt.
pub(super) async fn open_session(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<SessionChallenge>, Failure> {
    let request: SessionRequest = serde_json::from_slice(&body)
        .map_err(|_| Failure::new(Code::RequestInvalid, r#"send {"recipient":"age1…"}"#))?;
    let recipient = Recipient::parse(&request.recipient)
        .map_err(|e| Failure::new(Code::RequestInvalid, format!("the recipient is not usable: {e}")))?;
    app.roster_reader(&recipient).ok_or_else(|| {
        Failure::new(
            Code::Forbidden,
            "this recipient is not a reader of the ledger; an admin adds one with `reader add`",
        )
    })?;
    let (challenge, expires) = app
        .sessions
        .challenge(&recipient, Timestamp::now())
        .map_err(|e| Failure::new(Code::Internal, e.to_string()))?;
    Ok(Json(SessionChallenge {
        enc: to_base64(&challenge.enc),
        ciphertext: to_base64(&challenge.ciphertext),
        expires: expires.to_string(),
    }))
}

/// Seals the fact of a download. The answer waits for it: what cannot be logged is not served.
async fn log_access(
    app: &App,
    reader: &SessionReader,
    peer: SocketAddr,
    first: u64,
    count: u64,
    block: u64,
) -> Result<(), Failure> {
    let resource = match count {
        // Slots of a grant alone.
        0 => json!({ "type": "audit_grant", "id": format!("block {block}"), "block": block }),
        _ => json!({ "type": "audit_record", "id": record_id(first), "count": count, "block": block }),
    };
    log_event(app, reader, peer, "read", resource).await?;
    Counters::add(&app.counters.records_read, count);
    Ok(())
}

/// Seals the fact that a reader did something.
pub(super) async fn log_event(
    app: &App,
    reader: &SessionReader,
    peer: SocketAddr,
    action: &str,
    resource: serde_json::Value,
) -> Result<(), Failure> {
    let event = json!({
        "event_type": "audit_log_access",
        "actor": { "user_id": reader.name, "role": "reader", "key": reader.recipient, "ip_address": peer.ip().to_string() },
        "action": action,
        "resource": resource,
        "result": "allowed",
        "timestamp": Timestamp::now().to_string(),
    });
    app.gateway.log(Purpose::AccessLog, Events::Plain(vec![Bytes::from(event.to_string())])).await?;
    Ok(())
}

/// `GET /v1/records/{index}`
pub(super) async fn record(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Path(index): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let reader = app.require_reader(&headers)?;
    let index = record_index(&index)?;
    let share = app.reader_answers.take(&visitor.guest, RECORD_ROOM).await?;
    let read = || {
        let found = app.ledger.record(index)?;
        let erased = found.is_erased().then(|| app.ledger.erased_by(index)).transpose()?.flatten();
        Ok::<_, Failure>((found, erased, app.ledger.granted(index, &reader.recipient)?))
    };
    let (found, erased_by, granted) = app.read(read).await??;
    log_access(&app, &reader, visitor.addr, index, 1, found.block).await?;
    let message = RecordMessage {
        record: index,
        block: found.block,
        position: found.position,
        header: to_base64(&found.header),
        bytes: to_base64(&found.record),
        grants: granted.into_iter().map(granted_message).collect(),
        erased_by,
    };
    private_json(share, &message)
}

/// A large answer for this reader alone.
pub(super) fn private_json(share: Share, message: &impl Serialize) -> Result<Response, Failure> {
    let json = serde_json::to_vec(message).map_err(|e| Failure::new(Code::Internal, e.to_string()))?;
    let headers = [(header::CONTENT_TYPE, JSON_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, share.keep(json)).into_response())
}

pub(super) fn granted_message(g: GrantedRecord) -> GrantMessage {
    GrantMessage {
        block: g.grant.block,
        first_record: g.grant.range.first,
        last_record: g.grant.range.last,
        from: g.grant.from,
        part: Some(to_base64(&g.part)),
    }
}

#[derive(Deserialize)]
pub(super) struct BodiesQuery {
    from: u64,
    count: Option<u64>,
}

/// `GET /v1/bodies?from=&count=`: the bodies of up to [`MAX_BULK_BLOCKS`] blocks, in the order of the chain. The
/// answer may end early (at [`MAX_BULK_BYTES`]); ask again from the block after the last one it holds.
pub(super) async fn bodies(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Query(query): Query<BodiesQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let reader = app.require_reader(&headers)?;
    let end = query.from.saturating_add(query.count.unwrap_or(MAX_BULK_BLOCKS).min(MAX_BULK_BLOCKS));
    let end = end.min(app.ledger.view().state.height());
    let share = app.reader_answers.take(&visitor.guest, BULK_ROOM).await?;
    let mut out = Vec::with_capacity(BULK_CAPACITY);
    let mut records = None;
    for height in query.from..end {
        let body = app.read(|| app.ledger.body(height)).await??;
        if !out.is_empty() && out.len() + body.body.len() > MAX_BULK_BYTES {
            break;
        }
        if !body.body.is_empty() {
            let (first, count) = app.ledger.record_range(height)?;
            let so_far = records.get_or_insert((first, 0, height));
            so_far.1 += count;
        }
        put_body(height, &body.body, &mut out);
    }
    if let Some((first, count, block)) = records {
        log_access(&app, &reader, visitor.addr, first, count, block).await?;
    }
    Ok(([(header::CONTENT_TYPE, BINARY_TYPE), (header::CACHE_CONTROL, "no-store")], share.keep(out))
        .into_response())
}
