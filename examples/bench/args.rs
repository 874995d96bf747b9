//! The command line and what each row means.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Parser, ValueEnum};

/// Measures Sealtrail on this machine, each figure beside a reference taken in the same run.
///
/// The work: JSON events of 800 bytes and twenty fields, sealed to three readers, five blind tags each, synchronous=FULL; the load
/// generator runs on the same cores as the server. Every figure is the median over --runs, with the smallest and the largest.
#[derive(Parser, Clone)]
#[command(
    name = "bench",
    after_help = "Examples:\n  \
        cargo run --release --example bench -- --quick                             every row, small, in under a minute\n  \
        cargo run --release --example bench -- http rows append --records 20000000 the large comparison (about 30 GB free)\n  \
        cargo run --release --example bench -- http --records 20000000 --dir /data/bench --keep\n  \
        cargo run --release --example bench -- proof search verify open restart --dir /data/bench --keep\n\
        The last two: --keep leaves the grown ledger in DIR, and later runs use it. A reference is shown\n\
        if its row is measured in the same run."
)]
pub struct Args {
    /// What to measure; everything if not given
    #[arg(value_name = "ROWS", hide_possible_values = false)]
    rows: Vec<Row>,
    /// Records of the ledger that is grown, and rows of the SQLite it is compared with
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000))]
    pub records: u64,
    /// Times everything is measured; the table shows the median
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1000))]
    pub runs: u64,
    /// Where to work, in a folder `sealtrail-bench` of its own; a temporary one that is deleted at the end if not given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave the grown ledger in DIR for later runs, which then use it
    #[arg(long, requires = "dir")]
    pub keep: bool,
    /// Everything small, once, and check that receipts, counts and opened records are right: for continuous integration
    #[arg(long)]
    pub quick: bool,
    /// Also write all figures, with every sample, to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Connections of row `http`
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub connections: usize,
    /// Events of one request in row `http`; each is measured on a ledger of its own
    #[arg(long, value_delimiter = ',', default_value = "100,1000", value_name = "N,N", value_parser = clap::value_parser!(u64).range(1..=8192))]
    pub per_request: Vec<u64>,
    /// Seed of the events
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub seed: u64,
}

/// One part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    /// Sealing alone.
    Seal,
    /// Appending to a file.
    Append,
    /// Plain files under the load of the store.
    Disk,
    /// Plain SQLite rows.
    Rows,
    /// The library in process.
    Embedded,
    /// Batches of remote writers.
    Remote,
    /// One event a request.
    Single,
    /// Events over HTTP, many a request.
    Http,
    /// Existence proofs.
    Proof,
    /// Who accessed a patient.
    Search,
    /// Whole-ledger verification.
    Verify,
    /// Opening every record.
    Open,
    /// Start-up.
    Restart,
}

/// Name, title, and what is measured against what and why, in the order in which rows are measured.
const ROWS: &[(Row, &str, &str, &str)] = &[
    (
        Row::Seal,
        "seal",
        "Sealing alone",
        "From JSON text to a signed batch of 4,096 sealed records, in memory, by one thread and by two. Compared with the naive design: an \
         age file to three X25519 readers and one Ed25519 signature for every event. Short slices of both take turns, so that noise falls \
         on both. Shows what paying for public keys once a batch is worth",
    ),
    (
        Row::Append,
        "append",
        "Appending to a file",
        "The same bytes appended to a plain file, fdatasync after every thousand events: the least that any durable log does, and what \
         `embedded` and `remote` are compared with",
    ),
    (
        Row::Disk,
        "disk",
        "Plain files under the load of the store",
        "What `http` makes a store write, written to plain files at the same pace for as long: 2,560 events at a time over and over a log of \
         24 MB, beside it 2 MB at a time to a growing file, fdatasync after each, while two threads keep the cores busy. Measured: the \
         longest append to the log, which is how long the disk makes any durable store wait. The longest commit of `http` is compared with it",
    ),
    (
        Row::Rows,
        "rows",
        "Plain SQLite rows",
        "The same events as unencrypted rows of SQLite with the same five fields indexed, a thousand a transaction, WAL and \
         synchronous=FULL, 256 MiB of page cache, inserted when the table already holds N rows: the least a database would do, and what \
         `http` is compared with. Also how long it takes to find one patient's rows there",
    ),
    (
        Row::Embedded,
        "embedded",
        "The library in this process",
        "Events handed to the gateway in this process, without HTTP, until their receipts come: sealed, chained, indexed, durable. \
         Compared with `append`",
    ),
    (
        Row::Remote,
        "remote",
        "Batches of remote writers",
        "Batches of 4,096 records, sealed before the clock starts, posted by four writers at a time to the real server, which checks \
         signatures, sequence and every hash and makes them durable. Compared with `append`",
    ),
    (
        Row::Single,
        "single",
        "One event a request",
        "One JSON event a POST over 1, 64 and 256 kept connections, each waiting for its receipt: rate and how long a request takes. \
         Compared with as many GET /healthz, which store nothing: what HTTP alone costs",
    ),
    (
        Row::Http,
        "http",
        "Events over HTTP, many a request",
        "NDJSON over kept connections to the real server, each request answered with a receipt once its events are sealed, chained and \
         durable. Measured: the whole rate; the second million against the last (a store that slows down as it grows shows it here); how \
         long a request takes; the longest time without any answer; the server's peak memory; bytes on disk per byte of plaintext. \
         Compared with `rows` at the same size: plain text without proof or encryption. Grows the ledger that the rows below use",
    ),
    (
        Row::Proof,
        "proof",
        "Existence proofs",
        "Proofs of records all over the grown ledger, each first by index and then by the ciphertext's SHA-256 (which finds in the cache \
         what by index had to read), fetched over HTTP and verified offline. The server's own part is the time above that of GET /healthz on the same connection. Compared with a ledger of a tenth \
         of the size: proofs should not slow down as it grows",
    ),
    (
        Row::Search,
        "search",
        "Who accessed a patient",
        "An auditor asks the server for the 200 events of one patient, spread over the grown ledger: tags looked up, records fetched, \
         proofs verified, events opened and compared. Then the look-up alone, over HTTP (with the record that every search leaves) and in \
         the index. Compared with a ledger of a tenth of the size, and with finding the rows in `rows`",
    ),
    (
        Row::Verify,
        "verify",
        "The whole ledger verified without keys",
        "`sealtrail audit verify` on the grown ledger's file: every hash, link, signature and root; and the auditor's peak memory. \
         Compared with plain SHA-256 over the same file by two threads: nothing that reads every byte can be faster",
    ),
    (
        Row::Open,
        "open",
        "Every record opened",
        "A copy of the ledger (of a tenth of it if it is large) made by `audit sync`, every record opened with a reader's key, checked and \
         some compared with what was sent; records a second for each core that was busy, and the auditor's peak memory. Compared with \
         opening the naive design",
    ),
    (
        Row::Restart,
        "restart",
        "Start-up",
        "From starting the server on the grown ledger to the first 200 of /healthz, after a clean stop and after kill -9 under load",
    ),
];

impl Row {
    fn entry(self) -> &'static (Row, &'static str, &'static str, &'static str) {
        ROWS.iter().find(|r| r.0 == self).unwrap_or(&ROWS[0])
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Its title.
    pub fn title(self) -> &'static str {
        self.entry().2
    }
}

impl ValueEnum for Row {
    fn value_variants<'a>() -> &'a [Row] {
        static ALL: std::sync::LazyLock<Vec<Row>> =
            std::sync::LazyLock::new(|| ROWS.iter().map(|r| r.0).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.entry().3))
    }
}

impl Args {
    /// The rows to measure, in the order in which they are best measured.
    pub fn rows(&self) -> Vec<Row> {
        let wanted = |r: &Row| self.rows.is_empty() || self.rows.contains(r);
        ROWS.iter().map(|r| r.0).filter(wanted).collect()
    }
}
