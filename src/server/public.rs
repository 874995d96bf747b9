//! What everyone may fetch without an account: the log and the proofs. Database reads run in place on a
//! worker thread that the runtime is told about, so that they hold up no other request.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::api::message::{GrantList, GrantMessage, HealthMessage, LedgerInfo, SequenceMessage, WriterHead};
use crate::api::problem::Code;
use crate::api::route::{BINARY_TYPE, TEXT_TYPE};
use crate::base::clock;
use crate::base::hash::Hash;
use crate::base::limits::{
    MAX_BATCH_RECORDS, MAX_BLOCK_BYTES, MAX_CYCLE_SECONDS, MAX_GRANTS_LISTED, MAX_NAME_BYTES,
};
use crate::base::record::LEAF_INPUTS_LEN;
use crate::chain::proof::parse_record;
use crate::chain::tile::{TileId, parse_index_path};
use crate::ledger::Health;

use super::doors::Visitor;
use super::problem::Failure;
use super::state::App;

/// Most bytes of a bundle of entries: a tile's blocks, each with its length.
const MAX_ENTRIES_BYTES: usize = 256 * (2 + MAX_BLOCK_BYTES);
/// Most bytes of a block's leaf inputs.
const MAX_LEAVES_BYTES: usize = MAX_BATCH_RECORDS * LEAF_INPUTS_LEN;
/// Most bytes of a list of grants: each has at most two recipients' names and three numbers.
const MAX_GRANT_LIST_BYTES: usize = MAX_GRANTS_LISTED * 512;

/// What most answers are.
pub(super) const JSON_TYPE: &str = "application/json";
/// For what never changes once it exists.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For what may change with every block.
const FRESH: &str = "no-cache";

fn text(cache: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, TEXT_TYPE), (header::CACHE_CONTROL, cache)], body).into_response()
}

fn binary(body: impl Into<Bytes>) -> Response {
    let body: Bytes = body.into();
    ([(header::CONTENT_TYPE, BINARY_TYPE), (header::CACHE_CONTROL, IMMUTABLE)], body).into_response()
}

/// `GET /checkpoint`
pub(super) async fn checkpoint(State(app): State<Arc<App>>) -> Response {
    text(FRESH, app.ledger.view().checkpoint.clone())
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `GET /tile/entries/<N>[.p/<W>]`
pub(super) async fn tile(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Path(path): Path<String>,
) -> Result<Response, Failure> {
    let missing =
        || Failure::new(Code::NotFound, "the log has no such tile; see c2sp.org/tlog-tiles for the paths");
    if let Some(rest) = path.strip_prefix("entries/") {
        let (index, width) = parse_index_path(rest).ok_or_else(missing)?;
        let share = app.public_answers.take(&visitor.guest, MAX_ENTRIES_BYTES).await?;
        let entries = app.read(|| app.ledger.entries(index, width)).await??;
        return Ok(binary(share.keep(entries.ok_or_else(missing)?)));
    }
    let (id, width) = TileId::parse(&path).ok_or_else(missing)?;
    let tile = app.read(|| app.ledger.tile(id, width)).await??;
    Ok(binary(tile.ok_or_else(missing)?))
}

/// `GET /v1/ledger`
pub(super) async fn ledger(State(app): State<Arc<App>>) -> Json<LedgerInfo> {
    let view = app.ledger.view();
    let key = view.state.roster().map(|r| r.ledger_key.to_string()).unwrap_or_default();
    let authority = view.state.authority();
    Json(LedgerInfo {
        ledger: app.ledger.origin().to_owned(),
        key,
        blocks: view.state.height(),
        records: view.state.next_record(),
        roster_block: view.state.roster_height(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        authority: Some(SequenceMessage {
            next_sequence: authority.next_sequence,
            previous: authority.previous.base64(),
        }),
        key_changes: view.state.ledger_keys().all().iter().skip(1).map(|k| k.since).collect(),
    })
}

/// `GET /v1/blocks/{height}`
pub(super) async fn block(State(app): State<Arc<App>>, Path(height): Path<u64>) -> Result<Response, Failure> {
    Ok(text(IMMUTABLE, app.read(|| app.ledger.block(height)).await??))
}

/// `GET /v1/blocks/{height}/proof`: the C2SP tlog-proof of the block against the current checkpoint.
pub(super) async fn block_proof(
    State(app): State<Arc<App>>,
    Path(height): Path<u64>,
) -> Result<Response, Failure> {
    Ok(text(FRESH, app.read(|| app.ledger.block_proof(height)).await??.to_string()))
}

/// `GET /v1/blocks/{height}/leaves`: 96 bytes a record, the hashes its leaf is made of.
pub(super) async fn leaves(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Path(height): Path<u64>,
) -> Result<Response, Failure> {
    let share = app.public_answers.take(&visitor.guest, MAX_LEAVES_BYTES).await?;
    Ok(binary(share.keep(app.read(|| app.ledger.leaf_inputs(height)).await??)))
}

async fn proof_answer(app: &App, record: u64) -> Result<Response, Failure> {
    let body = app.read(|| app.ledger.proof(record)).await??.to_json();
    Ok(([(header::CONTENT_TYPE, JSON_TYPE), (header::CACHE_CONTROL, FRESH)], body).into_response())
}

/// `GET /v1/proofs/{index}`: a number, or an id such as `EVT-00000042`.
pub(super) async fn proof(
    State(app): State<Arc<App>>,
    Path(index): Path<String>,
) -> Result<Response, Failure> {
    proof_answer(&app, record_index(&index)?).await
}

/// A record's index from a path: a number or an id.
pub(super) fn record_index(text: &str) -> Result<u64, Failure> {
    parse_record(text).ok_or_else(|| {
        Failure::new(
            Code::RequestInvalid,
            "a record is named by its index, such as 42, or its id, such as EVT-00000042",
        )
    })
}

#[derive(Deserialize)]
pub(super) struct ProofQuery {
    ciphertext_sha256: Option<String>,
}

/// `GET /v1/proofs?ciphertext_sha256=…`
pub(super) async fn find_proof(
    State(app): State<Arc<App>>,
    Query(query): Query<ProofQuery>,
) -> Result<Response, Failure> {
    let hash = query.ciphertext_sha256.as_deref().and_then(Hash::from_hex).ok_or_else(|| {
        Failure::new(
            Code::RequestInvalid,
            "give ?ciphertext_sha256= with 64 hexadecimal digits, as sha256sum prints them",
        )
    })?;
    let record = app.read(|| app.ledger.find_ciphertext(&hash)).await??;
    proof_answer(&app, record).await
}

#[derive(Deserialize)]
pub(super) struct WriterQuery {
    name: String,
}

/// `GET /v1/writers?name=…`: where a writer's sequence stands.
pub(super) async fn writer(
    State(app): State<Arc<App>>,
    Query(query): Query<WriterQuery>,
) -> Result<Json<WriterHead>, Failure> {
    let known = query.name.len() <= MAX_NAME_BYTES
        && app.ledger.view().state.roster().is_some_and(|r| r.writers.iter().any(|w| w.name() == query.name));
    if !known {
        return Err(Failure::new(
            Code::NotFound,
            "the roster has no writer of that name; an admin adds one with `writer add`",
        ));
    }
    let head = app.ledger.writer_head(&query.name);
    Ok(Json(WriterHead {
        writer: query.name,
        next_sequence: head.next_sequence,
        previous: head.previous.base64(),
    }))
}

#[derive(Deserialize)]
pub(super) struct GrantsQuery {
    to: String,
}

/// `GET /v1/grants?to=age1…`: where to find what was granted to a recipient. The blocks are public; so is this.
pub(super) async fn grants(
    State(app): State<Arc<App>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Query(query): Query<GrantsQuery>,
) -> Result<Response, Failure> {
    let share = app.public_answers.take(&visitor.guest, MAX_GRANT_LIST_BYTES).await?;
    let all = app.read(|| app.ledger.grants_to(&query.to)).await??;
    let newest = all.iter().skip(all.len().saturating_sub(MAX_GRANTS_LISTED));
    let grants = newest.map(|g| GrantMessage {
        block: g.block,
        first_record: g.range.first,
        last_record: g.range.last,
        from: g.from.clone(),
        part: None,
    });
    let list = serde_json::to_vec(&GrantList { grants: grants.collect() })
        .map_err(|e| Failure::new(Code::Internal, e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, JSON_TYPE)], share.keep(list)).into_response())
}

/// `GET /healthz`: 200 while appends succeed, 503 from the first write cycle that fails, or does not end, until one succeeds. It is
/// made from what is in memory, so that it answers when the disk does not.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = app.ledger.health();
    let view = app.ledger.view();
    let failing = trouble(&app, &health);
    let message = HealthMessage {
        status: if failing.is_none() { "ok" } else { "failing" }.to_owned(),
        last_durable_append_seconds: seconds(clock::monotonic().duration_since(health.last_append)),
        append_under_way_seconds: health.under_way.map_or(0.0, seconds),
        failing,
        blocks: view.state.height(),
        records: view.state.next_record(),
        erasures_pending: health.erasures_pending,
    };
    let status = if message.failing.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(message)).into_response()
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Why appends cannot be relied on. The reasons of failed cycles may name files; they are in the server's log, not for everyone.
pub(super) fn trouble(app: &App, health: &Health) -> Option<String> {
    if health.failing.is_some() {
        return Some("the last write cycle failed; the server's log says why".to_owned());
    }
    if let Some(age) = health.stalled() {
        let age = age.as_secs();
        return Some(format!(
            "an append has not finished for {age} s, where {MAX_CYCLE_SECONDS} are too many: look after the disk"
        ));
    }
    if let Some(why) = app.gateway.trouble() {
        return Some(why);
    }
    // A gateway that may write does so now and then, if only to say that there is nothing.
    let silence = clock::monotonic().duration_since(health.last_append);
    let view = app.ledger.view();
    let may = view.state.roster().is_some_and(|r| r.writers.iter().any(|w| w.name() == app.gateway.writer()));
    (may && silence > app.heartbeat * 2 + Duration::from_secs(MAX_CYCLE_SECONDS)).then(|| {
        "not even a heartbeat was appended when two were due; the server's log may say why".to_owned()
    })
}
