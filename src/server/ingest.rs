//! Taking things in: events from applications, sealed batches and statements from remote writers.

use std::sync::Arc;

use axum::Json;
use axum::body::{BodyDataStream, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::block_in_place;

use crate::api::message::{EventReceipt, EventReceipts, StatementReceipt};
use crate::api::problem::Code;
use crate::base::limits::{MAX_BATCH_BYTES, MAX_EVENTS_REQUEST_BYTES, MAX_STATEMENT_BYTES};
use crate::chain::note::Note;
use crate::event::prepare::Preparer;
use crate::event::split::{self, Format, Piece};
use crate::ledger::{LedgerError, Pending, Receipt, Submission};
use crate::writer::{Purpose, WriterError};

use super::doors::{Holds, Visitor};
use super::gateway::{Events, IntakeError};
use super::problem::{Failure, chain_code};
use super::state::{App, Counters};

/// Bytes of events up to which they are drafted without telling the runtime that the thread is busy: half a millisecond.
const DRAFT_IN_PLACE_BYTES: usize = 64 * 1024;

/// Before a byte of the body is read: the token, and room for the body.
pub(super) async fn token_first(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let admitted = app.require_ingest(request.headers()).and_then(|()| {
        app.room_for(announced.unwrap_or(MAX_EVENTS_REQUEST_BYTES).min(MAX_EVENTS_REQUEST_BYTES))
    });
    match admitted {
        Ok(_room) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// Before a byte of the body is read, of requests that anyone may send: room for it. The bound on their bodies stands beside it.
pub(super) async fn room_first(
    State((app, most)): State<(Arc<App>, usize)>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    match app.strangers.take(&visitor.guest, announced.unwrap_or(most).min(most)).await {
        Ok(_share) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// `POST /v1/events`: one JSON object, an array of them, or NDJSON. Answers when they are durable.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let format = event_format(&headers)?;
    let pieces = split::split(&body, format)?;
    let count = pieces.len();
    // As many requests are drafted at a time as there are cores; the others wait with nothing but their body.
    let turn = app.drafting.acquire().await.map_err(|_| Failure::new(Code::Internal, "the server stops"))?;
    if !app.gateway.has_room(count, body.len()) {
        return Err(IntakeError::Overloaded.into());
    }
    let drafted = || draft(&app, &body, &pieces);
    let events = if body.len() > DRAFT_IN_PLACE_BYTES { block_in_place(drafted) } else { drafted() }?;
    let array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    let single = count == 1 && !array && format != Format::Ndjson;
    let logged = app.gateway.queue(Purpose::Events, events, body.len())?;
    drop(turn);
    let logged = logged.await.unwrap_or(Err(IntakeError::Ledger(LedgerError::Stopped)))?;
    Counters::add(&app.counters.events, u64::from(logged.count));
    if single {
        let receipt = EventReceipt::of(logged.first_record, logged.block);
        let location = [(header::LOCATION, receipt.receipt.clone())];
        return Ok((StatusCode::CREATED, location, Json(receipt)).into_response());
    }
    let json = EventReceipts::json_of(logged.block, logged.first_record, logged.count);
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// Prepares the events of a request for sealing, on the connection's own thread.
fn draft(app: &App, body: &Bytes, pieces: &[Piece<'_>]) -> Result<Events, Failure> {
    let Some(plan) = app.gateway.plan() else {
        let mut preparer = Preparer::new(app.policy.clone());
        let check = |p: &Piece<'_>| {
            preparer.prepare(p.bytes).map_err(|e| e.at(p.place))?;
            Ok(body.slice_ref(p.bytes))
        };
        return Ok(Events::Plain(pieces.iter().map(check).collect::<Result<_, Failure>>()?));
    };
    let mut drafter = plan.drafter(pieces.len()).map_err(IntakeError::from)?;
    for piece in pieces {
        drafter.add(body.slice_ref(piece.bytes)).map_err(|e| match e {
            WriterError::Event(e) => Failure::from(e.at(piece.place)),
            other => IntakeError::from(other).into(),
        })?;
    }
    let drafts = drafter.finish();
    if !plan.fits(drafts.len(), drafts.bytes()) {
        return Err(IntakeError::from(WriterError::Full).into());
    }
    Ok(Events::Drafted(drafts))
}

/// How the body is laid out, by its content type. `curl -d` calls everything a form without being asked, so that is looked at.
pub(super) fn event_format(headers: &HeaderMap) -> Result<Format, Failure> {
    let value = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or_default());
    let media =
        value.unwrap_or("application/json").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let taken = media == "application/x-www-form-urlencoded"
        || (media.starts_with("application/") && (media.ends_with("json") || media.ends_with("jsonl")))
        || media == "text/json";
    if taken {
        return Ok(Format::of_content_type(value));
    }
    Err(Failure::new(
        Code::UnsupportedType,
        "send application/json (one event or an array) or application/x-ndjson (one event a line)",
    ))
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

pub(super) fn parse_note(text: &str) -> Result<Note, Failure> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(Failure::new(
            Code::TooLarge,
            format!("a statement has at most {MAX_STATEMENT_BYTES} bytes"),
        ));
    }
    Note::parse(text)
        .map_err(|e| Failure::new(Code::RequestInvalid, format!("the statement is no signed note: {e}")))
}

/// Refuses what no rostered key has signed, before anything else is done for it. What only its place in the sequence is wrong
/// with goes on: it may be a repetition, or the successor of one that is queued.
fn check_signature(app: &App, note: &Note) -> Result<bool, Failure> {
    match app.ledger.view().state.check_statement(note) {
        Ok(_) => Ok(true),
        Err(e) => match chain_code(&e) {
            Code::SequenceConflict | Code::SequenceGap => Ok(false),
            // What was committed before its signer's key was changed or removed still has its receipt.
            _ if block_in_place(|| app.ledger.is_committed(note))? => Ok(false),
            _ => Err(LedgerError::from(e).into()),
        },
    }
}

/// Reads the statement at the front of a batch upload; returns it and the bytes of the body that came with it.
async fn read_statement(stream: &mut BodyDataStream) -> Result<(Note, Vec<u8>), Failure> {
    let malformed = |what: &str| Failure::new(Code::RequestInvalid, format!("the batch upload {what}"));
    let mut taken = Vec::new();
    loop {
        if let Some(length) = taken.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*length) as usize;
            if end > 4 + MAX_STATEMENT_BYTES {
                return Err(malformed("starts with a statement larger than MAX_STATEMENT_BYTES"));
            }
            if taken.len() >= end {
                let body = taken.split_off(end);
                let text = std::str::from_utf8(&taken[4..])
                    .map_err(|_| malformed("starts with a statement that is not UTF-8"))?;
                return Ok((parse_note(text)?, body));
            }
        }
        match stream.next().await {
            Some(Ok(chunk)) => taken.extend_from_slice(&chunk),
            _ => return Err(malformed("ends before its statement does")),
        }
    }
}

/// An upload whose statement is signed by somebody the roster allows.
enum Upload {
    /// A repetition, answered without its body.
    Repeated(Receipt),
    /// Statement and body, and the room it takes up.
    New(Note, Vec<u8>, OwnedSemaphorePermit),
}

/// Takes in a statement with its body. The signature is the authentication: it is checked when the statement has come, before
/// the body is taken in or hashed.
async fn take_upload(app: &App, request: Request) -> Result<Upload, Failure> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let Some(ConnectInfo(visitor)) = request.extensions().get::<ConnectInfo<Visitor>>().cloned() else {
        return Err(Failure::new(Code::Internal, "the connection is not known"));
    };
    let share = app
        .strangers
        .take(&visitor.guest, announced.unwrap_or(MAX_STATEMENT_BYTES).min(MAX_STATEMENT_BYTES))
        .await?;
    let mut stream = request.into_body().into_data_stream();
    let (note, mut body) = read_statement(&mut stream).await?;
    if !check_signature(app, &note)? {
        // What is wrong otherwise is said without the body too.
        let ledger = app.ledger.clone();
        let pending = queue(move || ledger.submit(Submission::statement(note))).await?;
        return Ok(Upload::Repeated(pending.done().await?));
    }
    // From here on it is somebody the roster knows.
    drop(share);
    visitor.guest.holds(Holds::Nothing);
    let expected = announced.unwrap_or(MAX_BATCH_BYTES).min(MAX_BATCH_BYTES);
    let room = app.room_for(expected)?;
    if announced.is_some() {
        // Grown piece by piece it would be copied as often as it doubles.
        body.reserve_exact(expected.saturating_sub(body.len()));
    }
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::new(Code::RequestInvalid, "the batch upload broke off"))?;
        if body.len() + chunk.len() > MAX_BATCH_BYTES {
            return Err(Failure::new(
                Code::TooLarge,
                format!("a batch body has at most {MAX_BATCH_BYTES} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Upload::New(note, body, room))
}

/// Checks and queues a submission on a thread that may take its time.
async fn queue(
    f: impl FnOnce() -> Result<Pending, LedgerError> + Send + 'static,
) -> Result<Pending, Failure> {
    tokio::task::spawn_blocking(f)
        .await
        .map_err(|_| Failure::new(Code::Internal, "the upload could not be checked"))?
        .map_err(Failure::from)
}

/// `POST /v1/batches`: already sealed by a remote writer.
pub(super) async fn batches(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (note, body, _room) = match take_upload(&app, request).await? {
        Upload::Repeated(receipt) => return Ok(accepted(receipt)),
        Upload::New(note, body, room) => (note, body, room),
    };
    let ledger = app.ledger.clone();
    let receipt = queue(move || ledger.submit(Submission::batch(note, body)?)).await?.done().await?;
    Counters::add(&app.counters.batches, 1);
    Ok(accepted(receipt))
}

/// `POST /v1/grants`: signed by an admin, with the slots that an auditor re-wrapped.
pub(super) async fn grants(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (note, body, _room) = match take_upload(&app, request).await? {
        Upload::Repeated(receipt) => return Ok(accepted(receipt)),
        Upload::New(note, body, room) => (note, body, room),
    };
    let ledger = app.ledger.clone();
    Ok(accepted(queue(move || ledger.submit_grant(note, body)).await?.done().await?))
}

/// `POST /v1/statements`: a roster, heartbeat, erasure or hold, as a signed note.
pub(super) async fn statements(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, Failure> {
    let text = std::str::from_utf8(&body)
        .map_err(|_| Failure::new(Code::RequestInvalid, "the statement is not UTF-8"))?;
    let note = parse_note(text)?;
    check_signature(&app, &note)?;
    // How long the records of an erasure must be kept is looked up first.
    let pending = block_in_place(|| app.ledger.submit(Submission::statement(note)))?;
    Ok(accepted(pending.done().await?))
}
