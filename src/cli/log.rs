//! `log`: send events from a file or standard input. NDJSON is streamed in chunks; one JSON object or an array is sent whole.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use crate::api::message::EventReceipts;
use crate::base::limits::{MAX_EVENT_BYTES, MAX_EVENTS_REQUEST_BYTES};
use crate::chain::proof::record_id;
use crate::client::{Client, ClientError};
use crate::config::keyfile;
use crate::event::json::Parser;
use crate::event::split::{Format, split};
use crate::event::view::printable;

use super::trust::ServerArgs;
use super::{Failure, Outcome, print_json, seal};

/// Events sent in one request.
const CHUNK_EVENTS: usize = 1000;
/// Bytes after which a request is sent although it has fewer events.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How often a request is sent again that the server was too busy for.
const RETRIES: u32 = 30;
/// Pause before each repetition.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail log events.ndjson\n  kubectl logs audit | sealtrail log -\n  \
        sealtrail log events.json --seal writer.toml    sealed on this machine: the server never sees plaintext"
)]
pub struct Args {
    /// NDJSON, one JSON object, or an array of them; - for standard input
    file: PathBuf,
    /// The token that may log events
    #[arg(long, value_name = "FILE", default_value = "keys/ingest.token")]
    token: PathBuf,
    /// Seal here with this writer's settings, instead of sending plaintext to the server's gateway
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// With --seal: take the ledger's word for where this writer's sequence stands, if its own memory is lost
    #[arg(long, requires = "seal")]
    adopt: bool,
    /// Skip this many events: to go on after an interruption
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: u64,
    /// Print one JSON receipt a request
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Where events go: to the gateway as plaintext, or sealed here.
enum Sink {
    Gateway(Client),
    Sealed(Box<seal::RemoteWriter>),
}

impl Sink {
    fn send(&mut self, events: &[Vec<u8>]) -> Result<EventReceipts, Failure> {
        match self {
            Sink::Gateway(client) => Ok(send(client, events)?),
            Sink::Sealed(writer) => writer.send(events),
        }
    }
}

/// Sends events as a JSON array of their exact bytes, waiting out a busy server.
fn send(client: &Client, events: &[Vec<u8>]) -> Result<EventReceipts, ClientError> {
    let mut body = vec![b'['];
    body.extend(events.join(&b','));
    body.push(b']');
    let mut tries = 0;
    loop {
        match client.log_array(&body) {
            Err(ClientError::Problem(p)) if p.code.retry() && tries < RETRIES => {
                tries += 1;
                if tries == 1 {
                    eprintln!(
                        "sealtrail: the server cannot store this now ({}); trying again for a while",
                        printable(&p.detail)
                    );
                }
                std::thread::sleep(RETRY_PAUSE);
            }
            other => return other,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let mut client = args.server.client()?;
    let mut sink = match &args.seal {
        Some(settings) => Sink::Sealed(Box::new(seal::RemoteWriter::open(settings, client, args.adopt)?)),
        None => {
            if !args.token.exists() {
                return Err(Failure::Usage(format!(
                    "there is no token in {}: ask the ledger's operator for its keys/ingest.token, and name the file with --token",
                    args.token.display()
                )));
            }
            client.set_token(keyfile::read_secret(&args.token).map_err(Failure::usage)?.trim().to_owned());
            Sink::Gateway(client)
        }
    };
    let (input, size) = open(&args.file)?;
    let bar = if size > 0 && !args.json { ProgressBar::new(size) } else { ProgressBar::hidden() };
    let mut logged = args.skip;
    let mut skip = args.skip;
    let result = for_each_chunk(input, &mut |events, bytes| {
        let dropped = usize::try_from(skip).unwrap_or(usize::MAX).min(events.len());
        skip -= dropped as u64;
        let events = events.split_off(dropped);
        bar.inc(bytes as u64);
        if events.is_empty() {
            return Ok(());
        }
        let receipts = sink.send(&events)?;
        logged += u64::from(receipts.count);
        if args.json {
            return print_json(&receipts);
        }
        let last = receipts.first_record + u64::from(receipts.count).saturating_sub(1);
        bar.suspend(|| {
            println!("{} to {}  block {}", record_id(receipts.first_record), record_id(last), receipts.block)
        });
        Ok(())
    });
    bar.finish_and_clear();
    match result {
        Ok(()) if logged == args.skip => {
            Err(Failure::Usage(format!("{} holds no event to log", args.file.display())))
        }
        Ok(()) => Ok(()),
        Err(e) if logged > args.skip => Err(match e {
            Failure::Usage(m) => Failure::Usage(go_on(m, logged)),
            Failure::Unavailable(m) => Failure::Unavailable(go_on(m, logged)),
            Failure::Wrong(m) => Failure::Wrong(go_on(m, logged)),
        }),
        Err(e) => Err(e),
    }
}

fn go_on(message: String, logged: u64) -> String {
    format!(
        "{message}\nThe first {logged} events are logged. When that is mended, go on with --skip {logged}"
    )
}

fn open(path: &Path) -> Result<(Box<dyn Read>, u64), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), 0));
    }
    let io = |e: std::io::Error| Failure::Usage(format!("cannot read {}: {e}", path.display()));
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    Ok((Box::new(file), size))
}

pub(super) type Take<'a> = &'a mut dyn FnMut(&mut Vec<Vec<u8>>, usize) -> Outcome;

/// Cuts the input into requests. Memory stays bounded by one request, or by one event line.
pub(super) fn for_each_chunk(input: Box<dyn Read>, take: Take<'_>) -> Outcome {
    let io = |e: std::io::Error| Failure::Unavailable(format!("reading the events broke off: {e}"));
    let mut input = BufReader::new(input);
    let mut chunk: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    let mut number = 0u64;
    let mut parser = Parser::new();
    loop {
        let mut line = Vec::new();
        let limit = MAX_EVENT_BYTES as u64 + 2;
        (&mut input).take(limit).read_until(b'\n', &mut line).map_err(io)?;
        number += 1;
        let at_end = line.is_empty();
        let fault = if line.trim_ascii().is_empty() { None } else { parser.parse(&line).err() };
        let complete = at_end
            || line.trim_ascii().is_empty()
            || serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok();
        if number == 1 && (!complete || line.trim_ascii_start().starts_with(b"[")) {
            // Not one event a line: one JSON text, sent as it is.
            (&mut input).take(MAX_EVENTS_REQUEST_BYTES as u64 + 1).read_to_end(&mut line).map_err(io)?;
            return whole(&line, take);
        }
        if !complete {
            let what = if line.len() as u64 == limit {
                "longer than an event may be"
            } else {
                "no complete JSON event"
            };
            if !chunk.is_empty() {
                take(&mut chunk, bytes)?;
            }
            let why = fault.map(|e| format!(": {e}")).unwrap_or_default();
            return Err(Failure::Usage(format!("line {number} is {what}{why}")));
        }
        if let Some(e) = fault {
            if !chunk.is_empty() {
                take(&mut chunk, bytes)?;
            }
            return Err(Failure::Usage(format!("line {number} cannot be logged: {e}")));
        }
        bytes += line.len();
        let event = line.trim_ascii();
        if !event.is_empty() {
            chunk.push(event.to_vec());
        }
        if !chunk.is_empty() && (at_end || chunk.len() == CHUNK_EVENTS || bytes >= CHUNK_BYTES) {
            take(&mut chunk, bytes)?;
            chunk.clear();
            bytes = 0;
        }
        if at_end {
            return Ok(());
        }
    }
}

/// One JSON object or array, in requests of [`CHUNK_EVENTS`].
fn whole(text: &[u8], take: Take<'_>) -> Outcome {
    if text.len() > MAX_EVENTS_REQUEST_BYTES {
        return Err(Failure::Usage(format!(
            "this is not one event a line (NDJSON), and as a single JSON text it is larger than the {MAX_EVENTS_REQUEST_BYTES} bytes allowed; \
             write one event a line, then there is no limit"
        )));
    }
    let events = split(text, Format::Json).map_err(Failure::usage)?;
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for (i, event) in events.iter().enumerate() {
        chunk.push(event.bytes.to_vec());
        bytes += event.bytes.len();
        if chunk.len() == CHUNK_EVENTS || bytes >= CHUNK_BYTES || i + 1 == events.len() {
            take(&mut chunk, bytes)?;
            chunk.clear();
            bytes = 0;
        }
    }
    Ok(())
}
