//! The paths. Those of the log follow C2SP tlog-tiles.

/// Log a JSON event, an array of them, or NDJSON. Bearer token.
pub const EVENTS: &str = "/v1/events";
/// A sealed batch from a remote writer: statement and body.
pub const BATCHES: &str = "/v1/batches";
/// A grant: signed statement and slots; and the list of grants to a recipient, `?to=`.
pub const GRANTS: &str = "/v1/grants";
/// A signed statement without a body: roster, heartbeat, erasure, hold.
pub const STATEMENTS: &str = "/v1/statements";
/// The signed head of the log.
pub const CHECKPOINT: &str = "/checkpoint";
/// Prefix of tiles and entry bundles.
pub const TILE: &str = "/tile/";
/// What this ledger is.
pub const LEDGER: &str = "/v1/ledger";
/// A block text: `/v1/blocks/{height}`; `…/leaves` its leaf inputs, `…/proof` that it is in the log.
pub const BLOCKS: &str = "/v1/blocks";
/// Existence proofs by record index, or by `?ciphertext_sha256=`.
pub const PROOFS: &str = "/v1/proofs";
/// Where a writer's sequence stands: `?name=`.
pub const WRITERS: &str = "/v1/writers";
/// Opens a reader's session.
pub const SESSIONS: &str = "/v1/sessions";
/// A record's ciphertext and slots, for readers: `/v1/records/{index}`; posting a list gives several with their proofs.
pub const RECORDS: &str = "/v1/records";
/// Batch headers that begin a search epoch, for readers: `?from=`.
pub const EPOCHS: &str = "/v1/epochs";
/// Records by blind tags, for readers.
pub const SEARCH: &str = "/v1/search";
/// Bodies of many blocks in one answer, for readers: `?from=&count=`.
pub const BODIES: &str = "/v1/bodies";
/// Health, with the age of the last durable append.
pub const HEALTH: &str = "/healthz";
/// Prometheus metrics.
pub const METRICS: &str = "/metrics";

/// Media type of newline-delimited JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of a sealed batch.
pub const BATCH_TYPE: &str = "application/vnd.sealtrail.batch";
/// Media type of statements, blocks and checkpoints.
pub const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// Media type of binary answers.
pub const BINARY_TYPE: &str = "application/octet-stream";
/// Media type of problems (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";
