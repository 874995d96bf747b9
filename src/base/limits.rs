//! Every limit of the system, in one place. `docs/API.md` lists those a client can meet.

/// Longest ledger origin, writer, reader or section name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest section name, field name or period, in bytes.
pub const MAX_LABEL_BYTES: usize = 64;

/// Largest single event, in bytes of JSON.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Deepest nesting of a JSON event.
pub const MAX_EVENT_DEPTH: usize = 64;
/// Most leaf fields (JSON Pointers) of one event.
pub const MAX_EVENT_FIELDS: usize = 4096;
/// Longest JSON Pointer of a field, in bytes.
pub const MAX_POINTER_BYTES: usize = 4096;
/// Largest request body of `POST /v1/events`, in bytes.
pub const MAX_EVENTS_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Most events in one request; a request is never split over two batches.
pub const MAX_EVENTS_PER_REQUEST: usize = 8192;

/// Most records in one batch, and so in one block.
pub const MAX_BATCH_RECORDS: usize = 16384;
/// Largest batch body, in bytes.
pub const MAX_BATCH_BYTES: usize = 64 * 1024 * 1024;
/// Largest encoded record (envelope and ciphertexts) of a batch, in bytes.
pub const MAX_RECORD_BYTES: usize = 2 * 1024 * 1024;
/// Most readers of one batch.
pub const MAX_READERS: usize = 64;
/// Most sections of one record.
pub const MAX_SECTIONS: usize = 8;
/// Most blind tags of one record.
pub const MAX_TAGS: usize = 255;
/// Most searchable fields a policy may name.
pub const MAX_TAG_FIELDS: usize = 32;
/// Largest batch header, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most batches one grant may cover; a larger range becomes several grants.
pub const MAX_GRANT_BATCHES: usize = 16384;
/// Largest grant body this program makes, in bytes: small enough to hold up no write cycle. The ledger takes up to
/// [`MAX_BATCH_BYTES`].
pub const MAX_NEW_GRANT_BYTES: usize = 16 * 1024 * 1024;
/// Most grants to one reader that come with one record, the newest first.
pub const MAX_RECORD_GRANTS: usize = 8;
/// Most grants in one answer of the grant list, the newest.
pub const MAX_GRANTS_LISTED: usize = 4096;

/// Smallest padded plaintext of a section, in bytes.
pub const MIN_PADDED_BYTES: usize = 128;

/// Largest signed statement with its signatures, in bytes: a block must fit a 16-bit length of the
/// tlog-tiles entry bundle.
pub const MAX_STATEMENT_BYTES: usize = 60_000;
/// Largest block text, in bytes.
pub const MAX_BLOCK_BYTES: usize = 65_535;
/// Most signature lines of one note (C2SP signed-note asks for at least 16).
pub const MAX_SIGNATURES: usize = 32;
/// Largest checkpoint with its cosignatures, in bytes.
pub const MAX_CHECKPOINT_BYTES: usize = 64 * 1024;
/// Most hashes of an inclusion or consistency path: a tree of 2^63 leaves has 63 levels.
pub const MAX_PATH_HASHES: usize = 64;
/// Largest proof file, in bytes.
pub const MAX_PROOF_BYTES: usize = 1024 * 1024;
/// Largest key file, in bytes.
pub const MAX_KEY_FILE_BYTES: usize = 64 * 1024;
/// Largest settings file, in bytes.
pub const MAX_SETTINGS_BYTES: usize = 1024 * 1024;

/// Most bytes of sealed batches waiting for the commit thread; beyond that the ledger answers "overloaded".
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Most submissions waiting for the commit thread.
pub const MAX_QUEUED_SUBMISSIONS: usize = 4096;
/// Most blocks made durable by one transaction.
pub const MAX_CYCLE_BLOCKS: usize = 256;
/// Most body bytes made durable by one transaction, unless a single batch is larger.
pub const MAX_CYCLE_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of plaintext events waiting for the gateway to seal them.
pub const MAX_QUEUED_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// Most requests of events waiting for the gateway.
pub const MAX_QUEUED_REQUESTS: usize = 16384;

/// Most blocks a reader may ask for in one bulk download.
pub const MAX_BULK_BLOCKS: u64 = 256;
/// Most bytes of block bodies in one bulk download, unless the first body alone is larger.
pub const MAX_BULK_BYTES: usize = 32 * 1024 * 1024;
/// Largest request body of the small JSON requests (sessions), in bytes.
pub const MAX_SMALL_REQUEST_BYTES: usize = 64 * 1024;
/// How long a reader's session lasts, in seconds.
pub const SESSION_SECONDS: u64 = 900;
/// How long a request may take to arrive and be answered, in seconds.
pub const REQUEST_SECONDS: u64 = 60;
/// Most bytes of request bodies being taken in at once; beyond that requests are answered "overloaded".
pub const MAX_BODY_BYTES_IN_FLIGHT: usize = 160 * 1024 * 1024;
/// How long a client may take to send its request headers, in seconds.
pub const HEADER_SECONDS: u64 = 15;
/// What `Retry-After` says when the ledger is overloaded or cannot store, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// Largest answer the client library reads into memory, in bytes.
pub const MAX_RESPONSE_BYTES: u64 = 256 * 1024 * 1024;
