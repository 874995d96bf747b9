//! What everyone may fetch without an account: the log and the proofs. Database reads run in place on a
//! worker thread that the runtime is told about, so that they hold up no other request.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::task::block_in_place;

use crate::api::message::{GrantList, GrantMessage, HealthMessage, LedgerInfo, SequenceMessage, WriterHead};
use crate::api::problem::Code;
use crate::api::route::{BINARY_TYPE, TEXT_TYPE};
use crate::base::clock;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_GRANTS_LISTED, MAX_NAME_BYTES};
use crate::chain::proof::parse_record;
use crate::chain::tile::{TileId, parse_index_path};

use super::problem::Failure;
use super::state::App;

/// For what never changes once it exists.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For what may change with every block.
const FRESH: &str = "no-cache";

fn text(cache: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, TEXT_TYPE), (header::CACHE_CONTROL, cache)], body).into_response()
}

fn binary(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, BINARY_TYPE), (header::CACHE_CONTROL, IMMUTABLE)], body).into_response()
}

/// `GET /checkpoint`
pub(super) async fn checkpoint(State(app): State<Arc<App>>) -> Response {
    text(FRESH, app.ledger.view().checkpoint.clone())
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `GET /tile/entries/<N>[.p/<W>]`
pub(super) async fn tile(State(app): State<Arc<App>>, Path(path): Path<String>) -> Result<Response, Failure> {
    let missing =
        || Failure::new(Code::NotFound, "the log has no such tile; see c2sp.org/tlog-tiles for the paths");
    let tile = match path.strip_prefix("entries/") {
        Some(rest) => {
            let (index, width) = parse_index_path(rest).ok_or_else(missing)?;
            block_in_place(|| app.ledger.entries(index, width))?
        }
        None => {
            let (id, width) = TileId::parse(&path).ok_or_else(missing)?;
            block_in_place(|| app.ledger.tile(id, width))?
        }
    };
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
    Ok(text(IMMUTABLE, block_in_place(|| app.ledger.block(height))?))
}

/// `GET /v1/blocks/{height}/proof`: the C2SP tlog-proof of the block against the current checkpoint.
pub(super) async fn block_proof(
    State(app): State<Arc<App>>,
    Path(height): Path<u64>,
) -> Result<Response, Failure> {
    Ok(text(FRESH, block_in_place(|| app.ledger.block_proof(height))?.to_string()))
}

/// `GET /v1/blocks/{height}/leaves`: 96 bytes a record, the hashes its leaf is made of.
pub(super) async fn leaves(
    State(app): State<Arc<App>>,
    Path(height): Path<u64>,
) -> Result<Response, Failure> {
    Ok(binary(block_in_place(|| app.ledger.leaf_inputs(height))?))
}

fn proof_answer(app: &App, record: u64) -> Result<Response, Failure> {
    let body = block_in_place(|| app.ledger.proof(record))?.to_json();
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, FRESH)], body).into_response())
}

/// `GET /v1/proofs/{index}`: a number, or an id such as `EVT-00000042`.
pub(super) async fn proof(
    State(app): State<Arc<App>>,
    Path(index): Path<String>,
) -> Result<Response, Failure> {
    proof_answer(&app, record_index(&index)?)
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
    proof_answer(&app, block_in_place(|| app.ledger.find_ciphertext(&hash))?)
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
    Query(query): Query<GrantsQuery>,
) -> Result<Json<GrantList>, Failure> {
    let all = block_in_place(|| app.ledger.grants_to(&query.to))?;
    let newest = all.iter().skip(all.len().saturating_sub(MAX_GRANTS_LISTED));
    let grants = newest.map(|g| GrantMessage {
        block: g.block,
        first_record: g.range.first,
        last_record: g.range.last,
        from: g.from.clone(),
        part: None,
    });
    Ok(Json(GrantList { grants: grants.collect() }))
}

/// `GET /healthz`: 200 while appends succeed, 503 from the first write cycle that fails until one succeeds.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = app.ledger.health();
    let view = app.ledger.view();
    let age = clock::monotonic().duration_since(health.last_append);
    let ok = health.failing.is_none();
    let message = HealthMessage {
        status: if ok { "ok" } else { "failing" }.to_owned(),
        last_durable_append_seconds: (age.as_secs_f64() * 1000.0).round() / 1000.0,
        // The reason may name files; it is in the server's log, not for everyone.
        failing: health.failing.map(|_| "the last write cycle failed; the server's log says why".to_owned()),
        blocks: view.state.height(),
        records: view.state.next_record(),
        erasures_pending: health.erasures_pending,
    };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(message)).into_response()
}
