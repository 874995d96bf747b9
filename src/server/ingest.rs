//! Taking things in: events from applications, sealed batches and statements from remote writers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::bulk::decode_batch;
use crate::api::message::{EventReceipt, EventReceipts, StatementReceipt};
use crate::api::problem::Code;
use crate::api::route::{self, NDJSON};
use crate::base::limits::MAX_STATEMENT_BYTES;
use crate::chain::note::Note;
use crate::chain::proof::record_id;
use crate::event::prepare::Preparer;
use crate::event::split::{self, Format};
use crate::ledger::{LedgerError, Receipt, Submission};
use crate::writer::Purpose;

use super::problem::{Failure, chain_code};
use super::state::{App, Counters};

/// `POST /v1/events`: one JSON object, an array of them, or NDJSON. Answers when they are durable.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    app.require_ingest(&headers)?;
    let format = event_format(&headers)?;
    let single = format == Format::Json && body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'[');
    // Checked here, on the connection's own thread, so that the gateway seldom meets an event it must refuse.
    let mut preparer = Preparer::new(app.policy.clone());
    let mut events = Vec::new();
    for piece in split::split(&body, format)? {
        preparer.prepare(piece.bytes).map_err(|e| e.at(piece.place))?;
        events.push(body.slice_ref(piece.bytes));
    }
    let logged = app.gateway.log(Purpose::Events, events).await?;
    Counters::add(&app.counters.events, u64::from(logged.count));
    let receipts: Vec<EventReceipt> = (logged.first_record..logged.first_record + u64::from(logged.count))
        .map(|record| EventReceipt {
            id: record_id(record),
            record,
            block: logged.block,
            receipt: format!("{}/{record}", route::PROOFS),
        })
        .collect();
    if single && let Some(first) = receipts.first() {
        let location = [(header::LOCATION, first.receipt.clone())];
        return Ok((StatusCode::CREATED, location, Json(first)).into_response());
    }
    let all = EventReceipts {
        block: logged.block,
        count: logged.count,
        first_record: logged.first_record,
        events: receipts,
    };
    Ok((StatusCode::CREATED, Json(all)).into_response())
}

/// What the body is by its content type. `curl -d` sends form-urlencoded without being asked, so that counts as JSON.
fn event_format(headers: &HeaderMap) -> Result<Format, Failure> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Format::Json) };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        NDJSON | "application/ndjson" | "application/jsonl" => Ok(Format::Ndjson),
        "application/json" | "application/x-www-form-urlencoded" | "text/json" => Ok(Format::Json),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Format::Json),
        _ => Err(Failure::new(
            Code::UnsupportedType,
            "send application/json (one event or an array) or application/x-ndjson (one event a line)",
        )),
    }
}

fn accepted(receipt: Receipt) -> Response {
    let message = StatementReceipt {
        block: receipt.block,
        first_record: receipt.first_record,
        count: receipt.records,
        repeated: receipt.repeated,
    };
    let status = if receipt.repeated { StatusCode::OK } else { StatusCode::CREATED };
    (status, Json(message)).into_response()
}

fn parse_note(text: &str) -> Result<Note, Failure> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(Failure::new(
            Code::TooLarge,
            format!("a statement has at most {MAX_STATEMENT_BYTES} bytes"),
        ));
    }
    Note::parse(text)
        .map_err(|e| Failure::new(Code::RequestInvalid, format!("the statement is no signed note: {e}")))
}

/// `POST /v1/batches`: already sealed by a remote writer. The signature is the authentication.
pub(super) async fn batches(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, Failure> {
    let (statement, _) =
        decode_batch(&body).map_err(|e| Failure::new(Code::RequestInvalid, e.to_string()))?;
    let note = parse_note(statement)?;
    // The signature is checked before a byte of the body is hashed: strangers cannot make the server work.
    if let Err(e) = app.ledger.view().state.check_statement(&note)
        && chain_code(&e) == Code::SignatureInvalid
    {
        return Err(LedgerError::from(e).into());
    }
    let ledger = app.ledger.clone();
    let pending = tokio::task::spawn_blocking(move || {
        let (_, sealed) =
            decode_batch(&body).map_err(|e| Failure::new(Code::RequestInvalid, e.to_string()))?;
        Ok::<_, Failure>(ledger.submit(Submission::batch(note, sealed.to_vec())?)?)
    })
    .await
    .map_err(|_| Failure::new(Code::Internal, "the batch could not be checked"))??;
    let receipt = pending.done().await?;
    Counters::add(&app.counters.batches, 1);
    Ok(accepted(receipt))
}

/// `POST /v1/statements`: a roster or a heartbeat, as a signed note.
pub(super) async fn statements(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, Failure> {
    let text = std::str::from_utf8(&body)
        .map_err(|_| Failure::new(Code::RequestInvalid, "the statement is not UTF-8"))?;
    let submission = Submission::statement(parse_note(text)?);
    Ok(accepted(app.ledger.submit(submission)?.done().await?))
}
