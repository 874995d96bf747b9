//! `GET /metrics`: Prometheus text exposition. Nothing here tells what any record says or who is in it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::base::clock;

use super::public::trouble;
use super::state::App;

/// Media type of the text exposition format.
const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let health = app.ledger.health();
    let view = app.ledger.view();
    let age = clock::monotonic().duration_since(health.last_append).as_secs_f64();
    let mut out = String::with_capacity(4096);
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    };
    put("sealtrail_blocks", "gauge", "Blocks in the ledger.", view.state.height() as f64);
    put("sealtrail_records", "gauge", "Records in the ledger.", view.state.next_record() as f64);
    put("sealtrail_last_durable_append_age_seconds", "gauge", "Age of the last durable append.", age);
    put(
        "sealtrail_append_failing",
        "gauge",
        "1 if appends cannot be relied on, as in /healthz.",
        trouble(&app, &health).is_some().into(),
    );
    let under_way = health.under_way.map_or(0.0, |age| age.as_secs_f64());
    put("sealtrail_append_under_way_seconds", "gauge", "Age of the append under way, or 0.", under_way);
    put("sealtrail_cycles_total", "counter", "Write cycles made durable since start.", health.cycles as f64);
    put("sealtrail_blocks_total", "counter", "Blocks made durable since start.", health.blocks as f64);
    put("sealtrail_records_total", "counter", "Records made durable since start.", health.records as f64);
    let longest = health.longest_cycle_micros as f64 / 1e6;
    put("sealtrail_longest_cycle_seconds", "gauge", "Longest write cycle since start.", longest);
    let pending = health.erasures_pending as f64;
    put("sealtrail_erasures_pending", "gauge", "Erasure orders not carried out yet.", pending);
    put(
        "sealtrail_erasing_failing",
        "gauge",
        "1 if the last attempt to erase failed; it is tried again.",
        health.erasing_failed.is_some().into(),
    );
    let queued = app.ledger.queued_bytes() as f64;
    put("sealtrail_queued_batch_bytes", "gauge", "Sealed bytes waiting for the write cycle.", queued);
    let queued = app.gateway.queued_bytes() as f64;
    put("sealtrail_queued_event_bytes", "gauge", "Memory of events waiting to be sealed.", queued);
    let c = &app.counters;
    let load = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
    put("sealtrail_connections", "gauge", "Open connections.", app.doors.open() as f64);
    put(
        "sealtrail_connections_max",
        "gauge",
        "Most connections before idle ones are closed.",
        app.doors.most() as f64,
    );
    let doors = &app.doors.counts;
    for (name, help, count) in [
        ("sent_away", "Connections closed to make room for others.", &doors.sent_away),
        ("refused", "Connections closed at once, because none could be closed for them.", &doors.refused),
        ("stalled", "Connections closed because the client did not take its answer.", &doors.stalled),
        (
            "failed",
            "Times that no connection could be accepted, for want of file descriptors.",
            &doors.failed,
        ),
    ] {
        put(&format!("sealtrail_connections_{name}_total"), "counter", help, load(count));
    }
    let answers = app.public_answers.taken() + app.reader_answers.taken();
    put("sealtrail_answer_bytes", "gauge", "Memory kept for large answers.", answers as f64);
    put("sealtrail_events_total", "counter", "Events accepted from applications.", load(&c.events));
    put("sealtrail_batches_total", "counter", "Batches accepted from remote writers.", load(&c.batches));
    put("sealtrail_records_read_total", "counter", "Records handed to readers.", load(&c.records_read));
    out.push_str("# HELP sealtrail_responses_total HTTP responses by class.\n# TYPE sealtrail_responses_total counter\n");
    for (class, n) in c.responses.iter().enumerate().skip(1) {
        let _ =
            writeln!(out, "sealtrail_responses_total{{class=\"{class}xx\"}} {}", n.load(Ordering::Relaxed));
    }
    ([(header::CONTENT_TYPE, EXPOSITION_TYPE)], out).into_response()
}
