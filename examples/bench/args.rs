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
        cargo run --release --example bench -- http rows append --records 20000000 the large comparison (about 60 GB free)\n  \
        cargo run --release --example bench -- http --records 20000000 --dir /data/bench --keep\n  \
        cargo run --release --example bench -- proof search verify open restart --dir /data/bench --keep\n\
        The last two: --keep leaves the grown ledger in DIR, and later runs use it."
)]
pub struct Args {
    /// What to measure; everything if not given
    #[arg(value_name = "ROWS", hide_possible_values = false)]
    rows: Vec<Row>,
    /// Records of the ledger that is grown, and rows of the SQLite it is compared with
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub records: u64,
    /// Times everything is measured; the table shows the median
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1000))]
    pub runs: u64,
    /// Working folder; a temporary one that is deleted at the end if not given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave the grown ledger in DIR for later runs
    #[arg(long, requires = "dir")]
    pub keep: bool,
    /// Everything small, once, and check that receipts, counts and opened records are right: for continuous integration
    #[arg(long)]
    pub quick: bool,
    /// Also write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Connections of row `http`
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub connections: usize,
    /// Events of one request in row `http`; each is measured on a ledger of its own
    #[arg(long, value_delimiter = ',', default_value = "100,1000", value_name = "N,N")]
    pub per_request: Vec<u64>,
    /// Seed of the events
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub seed: u64,
}

/// One part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    /// Batches of events over HTTP.
    Http,
}

/// Name, title, and what is measured against what and why.
const ROWS: &[(Row, &str, &str, &str)] = &[(
    Row::Http,
    "http",
    "Events over HTTP, many a request",
    "NDJSON over kept connections to the real server, each request answered with a receipt once its events are sealed, chained and \
     durable. Measured: the whole rate; the second million against the last (a store that slows down as it grows shows it here); how \
     long a request takes; the longest time without any answer; the server's peak memory; bytes on disk per byte of plaintext. \
     Compared with row `rows` at the same size: plain text without proof or encryption, the least a database would do",
)];

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
