//! Every limit that a peer can meet or that bounds what a ledger holds, in one place; `docs/API.md` lists those a client can meet. What only
//! tunes one component stands where it is used.

/// Longest ledger origin, writer or reader name, in bytes of UTF-8.
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
/// Most bytes of all JSON Pointers of an event together. Each is hashed with its value: without this, an event of a long name and
/// many small values would cost a thousand times its length.
pub const MAX_EVENT_POINTERS_BYTES: usize = 2 * 1024 * 1024;
/// Largest request body of `POST /v1/events`, in bytes.
pub const MAX_EVENTS_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Most events in one request; a request is never split over two batches.
pub const MAX_EVENTS_PER_REQUEST: usize = 8192;

/// Most records in one batch, and so in one block.
pub const MAX_BATCH_RECORDS: usize = 16384;
/// Largest batch body, in bytes.
pub const MAX_BATCH_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes that are read of one body, whatever a database file says it has: a body as it is stored is no longer than that.
pub const MAX_STORED_BYTES: usize = MAX_BATCH_BYTES + 1024 * 1024;
/// Longest state of a chain that is stored, in bytes: some 100 for each writer there ever was.
pub const MAX_STATE_BYTES: usize = 15 * 1024 * 1024;
/// Longest row that is read of a database file, in bytes. None that is written is longer: the longest has the chain's state.
pub const MAX_STORED_ROW_BYTES: usize = 16 * 1024 * 1024;
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
/// Most granted search epochs a client takes from a server.
pub const MAX_GRANTED_EPOCHS: usize = 65_536;

/// Smallest padded plaintext of a section, in bytes.
pub const MIN_PADDED_BYTES: usize = 128;

/// Largest signed statement with its signatures, in bytes: a block must fit a 16-bit length of the
/// tlog-tiles entry bundle.
pub const MAX_STATEMENT_BYTES: usize = 60_000;
/// Most holds in force at a time: the ledger writes them down with every append.
pub const MAX_HOLDS: usize = 256;
/// Most record ranges in all holds in force.
pub const MAX_HOLD_RANGES: usize = 4096;
/// Largest block text, in bytes.
pub const MAX_BLOCK_BYTES: usize = 65_535;
/// Most signature lines of one note (C2SP signed-note asks for at least 16).
pub const MAX_SIGNATURES: usize = 32;
/// Largest checkpoint with its cosignatures, in bytes.
pub const MAX_CHECKPOINT_BYTES: usize = 64 * 1024;
/// Most hashes of an inclusion or consistency path: a tree of 2^63 leaves has 63 levels.
pub const MAX_PATH_HASHES: usize = 64;
/// Records from which on the nodes of a block's tree are stored with it. Below, hashing all leaves for a proof takes some 75 µs,
/// and the rows would cost small blocks more than they save.
pub const MIN_STORED_NODES_RECORDS: usize = 257;
/// Search epochs that the write cycle knows to be noted: those of as many writers that send batches in turn.
pub const MAX_EPOCHS_AT_HAND: usize = 256;
/// Records that are looked up at once for the one whose ciphertext has a given hash: those that share its first 32 bits. By accident
/// a few do in a ledger of billions of records; a writer may seal one ciphertext as often as it likes.
pub const CIPHERTEXT_PLACES: usize = 64;
/// Most tiles of the log that are kept at hand for proofs, 16 KB each.
pub const MAX_TILES_AT_HAND: usize = 256;
/// Most memory of blocks that are kept at hand for proofs, with their text and the nodes of their tree, in bytes: some 5 KB for a
/// block of 4,096 records.
pub const MAX_BLOCK_BYTES_AT_HAND: usize = 16 * 1024 * 1024;
/// Largest proof file, in bytes.
pub const MAX_PROOF_BYTES: usize = 1024 * 1024;
/// Largest evidence file, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 256 * 1024 * 1024;
/// Most records of one evidence file.
pub const MAX_EVIDENCE_RECORDS: usize = 100_000;
/// Longest line of an exporter's own words in an evidence file, in characters.
pub const MAX_EVIDENCE_TEXT_CHARS: usize = 1000;
/// Most lines of notes in an evidence file's manifest.
pub const MAX_EVIDENCE_NOTES: usize = 100;
/// Largest witness policy file, in bytes.
pub const MAX_POLICY_BYTES: usize = 64 * 1024;
/// Most logs, most witnesses and most groups of a witness policy (C2SP tlog-policy asks for at least 32).
pub const MAX_POLICY_ENTRIES: usize = 64;
/// Most keys a ledger has in its time, one after the other (`docs/FORMAT.md` §7).
pub const MAX_LEDGER_KEYS: usize = 256;
/// Largest key file, in bytes.
pub const MAX_KEY_FILE_BYTES: usize = 64 * 1024;
/// scrypt work factor of key files that are protected here, as the power of two: what `age -p` takes. About a second, and 256 MiB.
pub const PASSPHRASE_WORK_FACTOR: u8 = 18;
/// Largest scrypt work factor of a key file that is read: 1 GiB of memory, some seconds. A file that asks for more is refused before
/// anything is computed.
pub const MAX_PASSPHRASE_WORK_FACTOR: u8 = 20;
/// Longest header of a protected key file that is read, in bytes: with its one stanza it has some 160.
pub const MAX_PROTECTED_HEADER_BYTES: usize = 4096;
/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;
/// Most passphrases of a passphrase file, one a line: each is tried, and each attempt takes a second.
pub const MAX_PASSPHRASES: usize = 8;
/// How often a passphrase is asked for before the command gives up.
pub const PASSPHRASE_ATTEMPTS: usize = 3;
/// Largest settings file, in bytes.
pub const MAX_SETTINGS_BYTES: usize = 1024 * 1024;

/// Records after which a stretch of the look-up index is cut off as a run; with the block that reaches it, at most 65,535 are held
/// in memory.
pub const INDEX_SEGMENT_RECORDS: u32 = 49_152;
/// Tags after which it is cut off too: 8 MiB of them in memory, and those of one more block.
pub const INDEX_SEGMENT_TAGS: u32 = 524_288;
/// Runs of tags in the look-up index that are merged into one; of ciphertext hashes the square root of it.
pub const INDEX_FANOUT: u32 = 16;
/// Most chunks of the look-up index of which it is remembered where they begin, some 40 bytes each: those of 30 million records.
pub const MAX_INDEX_HINTS: usize = 32_768;

/// Most bytes of sealed batches waiting for the commit thread; beyond that the ledger answers "overloaded".
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Most submissions waiting for the commit thread.
pub const MAX_QUEUED_SUBMISSIONS: usize = 4096;
/// Most blocks made durable by one transaction.
pub const MAX_CYCLE_BLOCKS: usize = 256;
/// Most body bytes made durable by one transaction, unless a single batch is larger.
pub const MAX_CYCLE_BYTES: usize = 32 * 1024 * 1024;
/// Most memory of events waiting for the gateway to seal them, in bytes: their text, and [`DRAFT_BYTES`] each and section.
pub const MAX_QUEUED_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// What a drafted event takes in memory beside its text, for each section of the policy, in bytes, rounded up.
pub const DRAFT_BYTES: usize = 512;
/// Most requests of events waiting for the gateway.
pub const MAX_QUEUED_REQUESTS: usize = 16384;

/// Most blocks a reader may ask for in one bulk download.
pub const MAX_BULK_BLOCKS: u64 = 256;
/// Most bytes of block bodies in one bulk download, unless the first body alone is larger.
pub const MAX_BULK_BYTES: usize = 32 * 1024 * 1024;
/// Largest request body of the small JSON requests (sessions), in bytes.
pub const MAX_SMALL_REQUEST_BYTES: usize = 8 * 1024;
/// How long a reader's session lasts, in seconds.
pub const SESSION_SECONDS: u64 = 900;
/// How long a request may take to arrive and be answered, in seconds.
pub const REQUEST_SECONDS: u64 = 60;
/// Most bytes of request bodies being taken in at once; beyond that requests are answered "overloaded".
pub const MAX_BODY_BYTES_IN_FLIGHT: usize = 96 * 1024 * 1024;
/// How long a client may take to send its request headers, in seconds.
pub const HEADER_SECONDS: u64 = 15;
/// Most bytes of request bodies being taken in from senders who have not shown who they are (session requests, signed statements), at
/// once; beyond that the slowest sender makes room.
pub const MAX_STRANGER_BODY_BYTES_IN_FLIGHT: usize = 32 * 1024 * 1024;
/// How long a request without credentials waits for room for its body, in seconds.
pub const STRANGER_WAIT_SECONDS: u64 = 5;
/// Most bytes a connection buffers of what it receives: longest request line with its headers.
pub const MAX_REQUEST_HEAD_BYTES: usize = 16 * 1024;
/// Most open connections, if the limit of open files allows as many. Beyond that the one that has been idle longest is closed.
pub const MAX_CONNECTIONS: usize = 10_240;
/// Connections that the system may hold for the server until it takes them in; it allows fewer if it is set so.
pub const LISTEN_BACKLOG: i32 = 1024;
/// Connections beyond that, for when no one is idle: they get health and metrics, and 503 for everything else.
pub const SPARE_CONNECTIONS: usize = 32;
/// Connections that were told to close and may still be open before another one is taken in.
pub const MAX_CLOSING_CONNECTIONS: usize = 16;
/// Open files kept free of connections: the database's (some 25), the last-signed file, key files, the runtime's.
pub const RESERVED_FILES: usize = 64;
/// Fewest connections the limit of open files must leave room for, or the server does not start.
pub const MIN_CONNECTIONS: usize = 8;
/// How long a connection is safe from being closed in favour of another after it came or was answered, in milliseconds.
pub const IDLE_GRACE_MILLIS: u64 = 250;
/// How long one is while its request arrives or its answer is being taken, in milliseconds.
pub const SLOW_GRACE_MILLIS: u64 = 2_000;
/// How long a client may take for each [`MIN_STALL_BYTES`] of an answer, in seconds: slower ones are cut off.
pub const STALL_SECONDS: u64 = 20;
/// See [`STALL_SECONDS`]; the rest of an answer that is shorter counts as so much.
pub const MIN_STALL_BYTES: usize = 256 * 1024;
/// How long a client that was answered early may go on sending its request, in seconds; see [`MAX_LINGER_BYTES`].
pub const LINGER_SECONDS: u64 = 5;
/// Most bytes of such a request that are read and thrown away before the connection is closed.
pub const MAX_LINGER_BYTES: usize = MAX_EVENTS_REQUEST_BYTES + 1024 * 1024;
/// Most requests that read the database at a time; others wait for their turn.
pub const MAX_CONCURRENT_READS: usize = 64;
/// How long a request waits for its turn to read before it is answered "overloaded", in seconds.
pub const READ_WAIT_SECONDS: u64 = 10;
/// Most bytes of large answers to readers in memory at once, being made or sent; others wait.
pub const MAX_READER_ANSWER_BYTES: usize = 256 * 1024 * 1024;
/// Most bytes of large answers to everyone.
pub const MAX_PUBLIC_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long a request waits for room for its answer before it is answered "overloaded", in seconds.
pub const ANSWER_WAIT_SECONDS: u64 = 10;
/// How long one write cycle may take before the ledger counts as stalled, in seconds: health says so, and nothing more is queued.
pub const MAX_CYCLE_SECONDS: u64 = 10;
/// How long the gateway may be at one batch, with the wait for the ledger, before health says so, in seconds.
pub const MAX_GATEWAY_SECONDS: u64 = 20;
/// How often a ledger whose appends fail tries on its own whether they work again, in seconds.
pub const PROBE_SECONDS: u64 = 2;
/// How often the same complaint about failing appends is repeated on standard error, in seconds.
pub const COMPLAINT_SECONDS: u64 = 60;
/// What `Retry-After` says when the ledger is overloaded or cannot store, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// How often the client library tries a reader's request that the server has no room for.
pub const MAX_TRIES: u32 = 5;
/// Longest `Retry-After` the client library heeds, in seconds; a longer one counts as this.
pub const MAX_RETRY_AFTER_SECONDS: u64 = 10;
/// Largest answer the client library reads into memory, in bytes.
pub const MAX_RESPONSE_BYTES: u64 = 256 * 1024 * 1024;
/// Most threads that verify or open records at a time.
pub const MAX_WORK_THREADS: usize = 8;
/// Most bytes of block bodies a verification has in memory to be hashed, unless one body alone is larger.
pub const MAX_PIPELINE_BYTES: usize = 24 * 1024 * 1024;
/// Most tags of a block that is hashed as it is read, with its records let go; one with more is read whole, alone.
pub const MAX_STREAM_TAGS: usize = 256 * 1024;
/// Most blocks a verification has under way.
pub const MAX_PIPELINE_JOBS: usize = 64;
/// Bytes of block bodies an auditor asks a server for at once, as far as it can tell beforehand.
pub const FETCH_BYTES: usize = 16 * 1024 * 1024;
/// Most clauses of one search: fields that must all match.
pub const MAX_SEARCH_CLAUSES: usize = 16;
/// Most blind tags of one search, over all clauses.
pub const MAX_SEARCH_TAGS: usize = 4096;
/// Most work of one search before it is answered with the place to go on at, in steps: a step for every cursor moved and
/// [`SEARCH_READ_STEPS`] for every further page read of a tag's records.
pub const MAX_SEARCH_STEPS: u64 = 1_000_000;
/// What reading a page of a tag's records counts, in steps.
pub const SEARCH_READ_STEPS: u64 = 256;
/// Most searches at a time; others wait for their turn.
pub const MAX_CONCURRENT_SEARCHES: usize = 2;
/// Most searches that wait for their turn; beyond that they are answered "overloaded".
pub const MAX_WAITING_SEARCHES: usize = 32;
/// How long a search waits for its turn before it is answered "overloaded", in seconds: well below [`REQUEST_SECONDS`].
pub const SEARCH_WAIT_SECONDS: u64 = 10;
/// Most records one answer to a search names.
pub const MAX_SEARCH_HITS: usize = 10_000;
/// Most records fetched by one request with a list.
pub const MAX_RECORDS_PER_REQUEST: usize = 500;
/// Most batch headers one answer to the search epochs holds.
pub const MAX_EPOCHS_PER_REQUEST: u64 = 256;
/// Most pages of search epochs an auditor follows a server through: a million epochs.
pub const MAX_EPOCH_PAGES: usize = 4096;
/// Most pages of one search an auditor follows a server through: five million records that carry the tags.
pub const MAX_SEARCH_PAGES: usize = 10_000;
/// Fewest records, epochs or the like for which a further thread is started: below, starting it takes longer than the work.
pub const MIN_PART_ITEMS: usize = 16;
/// Most threads that work on one request or one answer.
pub const MAX_PART_THREADS: usize = 4;
/// Largest request body of a search or of a list of records, in bytes.
pub const MAX_SEARCH_REQUEST_BYTES: usize = 256 * 1024;

/// Largest rules file of `audit watch`, in bytes.
pub const MAX_RULES_BYTES: usize = 256 * 1024;
/// Most rules in it.
pub const MAX_RULES: usize = 64;
/// Longest rule name, in characters: the longest MSGID of RFC 5424 §6.
pub const MAX_RULE_NAME: usize = 32;
/// Longest description of a rule, in bytes.
pub const MAX_RULE_DESCRIPTION: usize = 256;
/// Most columns in the key of a rule.
pub const MAX_RULE_KEY: usize = 4;
/// Most values one condition of a rule may list.
pub const MAX_RULE_VALUES: usize = 256;
/// Longest window of a rule, in milliseconds: 31 days.
pub const MAX_RULE_WINDOW: i64 = 31 * 86_400_000;
/// Longest time by which an event may come late and still count in its own window, in milliseconds: 7 days.
pub const MAX_RULE_LATE: i64 = 7 * 86_400_000;
/// How far a sender's clock may run ahead of the ledger's and still be believed, in milliseconds: 5 minutes.
pub const MAX_CLOCK_AHEAD: i64 = 300_000;
/// Largest count of a threshold rule.
pub const MAX_RULE_COUNT: u32 = 1000;
/// Most earlier windows a volume rule may look back on.
pub const MAX_RULE_HISTORY: u32 = 1000;
/// Most keys (actors, addresses, …) one rule keeps track of; beyond that the ones idle longest are forgotten.
pub const MAX_RULE_KEYS: usize = 50_000;
/// Most times or windows one rule remembers over all keys, 24 to 32 bytes each; beyond that the keys idle longest are forgotten.
pub const MAX_RULE_ENTRIES: usize = 500_000;
/// Most of those of one key; beyond that its oldest are forgotten.
pub const MAX_KEY_ENTRIES: usize = 16_384;
/// Most alert ids remembered so as not to raise the same alert twice; beyond that the oldest are forgotten.
pub const MAX_ALERTS_SEEN: usize = 65_536;
/// Most alerts waiting for a sink that does not take them; beyond that the watch reads no further until it does.
pub const MAX_ALERTS_WAITING: usize = 10_000;
/// Most characters of a value from an event that an alert shows.
pub const MAX_ALERT_VALUE: usize = 200;
/// Largest cursor file of a watch, in bytes.
pub const MAX_CURSOR_BYTES: usize = 1024 * 1024;
/// How long a webhook or a syslog server may take to accept alerts, in seconds.
pub const SINK_SECONDS: u64 = 15;
/// Most memory that SQLite may take for a query, in bytes: sorting and grouping happen in memory, never on a disk. It holds
/// for the whole process.
pub const MAX_SQL_HEAP_BYTES: i64 = 1024 * 1024 * 1024;
/// Longest value that a query may make, in bytes.
pub const MAX_SQL_VALUE_BYTES: i32 = 64 * 1024 * 1024;
/// Longest query, in bytes.
pub const MAX_SQL_BYTES: i32 = 256 * 1024;
/// Most streams of records that a query keeps open; a query with more sub-queries reads some records again.
pub const SQL_STREAMS: usize = 4;
/// How many records a query reads and throws away rather than open a new stream; also how many it reads at once going backwards.
pub const SQL_GAP_RECORDS: u64 = 256;
/// Most characters of a cell in a table for people.
pub const SQL_CELL_CHARS: usize = 40;
/// Rows after which the widths of a table for people are fixed.
pub const SQL_WIDTH_ROWS: usize = 200;

/// Most records a report's own evidence file proves unless more are asked for.
pub const REPORT_EVIDENCE_RECORDS: usize = 20_000;
/// Most rows a table of a report has unless more are asked for.
pub const DEFAULT_REPORT_ROWS: usize = 5_000;
/// Most rows a table of a report can be asked to have.
pub const MAX_REPORT_ROWS: usize = 200_000;
/// Most different names (people, patients, addresses) a report keeps apart; the rest is counted together.
pub const MAX_REPORT_KEYS: usize = 200_000;
/// Most pairs (such as user and patient) a report remembers to count different ones.
pub const MAX_REPORT_PAIRS: usize = 1_000_000;
/// Most record indexes the summary rows of one table hold; beyond it they only count.
pub const MAX_REPORT_INDEXES: usize = 100_000;
/// Longest text in a cell of a report, in characters; longer text is cut and says so.
pub const MAX_REPORT_CELL_CHARS: usize = 300;
/// Most different days a report counts by.
pub const MAX_REPORT_DAYS: usize = 40_000;
/// Most ranges of records named in the coverage of a report.
pub const MAX_REPORT_RANGES: usize = 1_000;

/// Things that a look at a damaged store names one by one: a person reads them.
pub const MAX_STORE_FAULTS: usize = 1000;
