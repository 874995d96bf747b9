//! `stats`: where the bytes of a ledger are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::batch::Body;
use crate::base::limits::MAX_BULK_BYTES;
use crate::base::record::Record;
use crate::chain::authority::RecordRange;
use crate::chain::block::Block;
use crate::chain::statement::Statement;
use crate::event::view::printable;
use crate::store::{Space, SqliteStore, Store, StoreStats};

use super::operator::settings;
use super::progress::Bar;
use super::source::database_of;
use super::{Failure, Outcome, print_json};

/// Batches whose records are looked into unless all of them are asked for.
const SAMPLED: u64 = 64;
/// Block texts read at once.
const BLOCKS_AT_ONCE: usize = 256;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealtrail stats\n  sealtrail stats --file /backups/ledger\n\
    The server may run. Nothing is opened or verified: `audit verify` and `fsck` do that.")]
pub struct Args {
    /// This database, or the folder of a backup or vault, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Look into every record to tell ciphertext, slots and tags apart, not only into some batches
    #[arg(long)]
    deep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All of it, in bytes unless said otherwise.
#[derive(Serialize, Default)]
struct Stats {
    ledger: String,
    database: PathBuf,
    file: u64,
    log: u64,
    blocks: u64,
    records: u64,
    /// Records whose erasure was ordered.
    erased_records: u64,
    /// Bytes that bodies are shorter than when they came.
    freed_by_erasure: u64,
    bodies: u64,
    /// Bodies as they are kept, without what leaf inputs say already.
    bodies_stored: u64,
    parts: Parts,
    block_texts: u64,
    leaf_inputs: u64,
    index_ciphertexts: u64,
    index_tags: u64,
    /// Records whose index entries are in memory only.
    index_in_memory_records: u64,
    nodes: u64,
    tiles: u64,
    other_derived: u64,
    free_pages: u64,
    /// What is left of the file: page and row headers, unused ends of pages, state, SQLite's own trees.
    overhead: u64,
    by_writer_and_month: Vec<Share>,
}

/// What bodies are made of.
#[derive(Serialize, Default, Clone, Copy)]
struct Parts {
    /// Batches looked into; the others are taken to be alike.
    batches: u64,
    ciphertext: u64,
    slots: u64,
    tags: u64,
    /// Batch headers, key commitments, disclosure roots, lengths, what is left of erased records, grants.
    rest: u64,
}

/// What one writer sealed in one month.
#[derive(Serialize)]
struct Share {
    writer: String,
    month: String,
    batches: u64,
    records: u64,
    /// As it came, before any erasure.
    bytes: u64,
}

pub fn run(settings_path: &Path, args: Args) -> Outcome {
    let database = match &args.file {
        Some(file) => database_of(file),
        None => settings(settings_path)?.database,
    };
    let store = SqliteStore::open_read_only(&database)?;
    let (sizes, space) = (store.stats()?, store.space()?);
    let mut bar = Bar::new("reading the blocks", "blocks");
    let walked = Walked::new(&store, sizes.blocks, args.deep, &mut |done, all| bar.at(done, all))?;
    drop(bar);
    let stats = Stats::new(&store, database, &sizes, &space, walked);
    match args.json {
        true => print_json(&stats),
        false => {
            stats.tell();
            Ok(())
        }
    }
}

/// What the blocks say.
#[derive(Default)]
struct Walked {
    shares: BTreeMap<(String, String), (u64, u64, u64)>,
    ordered: Vec<RecordRange>,
    /// Bytes of bodies as they came.
    came: u64,
    parts: Parts,
    looked_into: u64,
}

impl Walked {
    fn new(
        store: &SqliteStore,
        blocks: u64,
        deep: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Walked, Failure> {
        let mut walked = Walked::default();
        let step = if deep { 1 } else { blocks.div_ceil(SAMPLED).max(1) };
        let mut height = 0;
        while height < blocks {
            let texts = store.block_texts(height, BLOCKS_AT_ONCE, MAX_BULK_BYTES)?;
            if texts.is_empty() {
                break;
            }
            for text in texts {
                let text = String::from_utf8_lossy(&text);
                if let Some(block) = Block::parse(&text).ok().filter(|_| height < blocks) {
                    walked.block(store, &block, height.is_multiple_of(step))?;
                }
                height += 1;
            }
            progress(height.min(blocks), blocks);
        }
        Ok(walked)
    }

    fn block(&mut self, store: &SqliteStore, block: &Block, look: bool) -> Result<(), Failure> {
        match Statement::parse(&block.statement.text) {
            Ok(Statement::Records(s)) => {
                let month = s.sealed.to_string().chars().take(7).collect();
                let share = self.shares.entry((block.statement.signer_name().to_owned(), month)).or_default();
                *share = (share.0 + 1, share.1 + s.records, share.2 + s.bytes);
                self.came += s.bytes;
                if look {
                    self.look_into(&store.body(block.height)?.unwrap_or_default());
                }
            }
            // Its slots are overwritten when they are erased: the length stays.
            Ok(Statement::Grant(_)) => self.came += store.body(block.height)?.map_or(0, |b| b.len() as u64),
            Ok(Statement::Erasure(order)) => self.ordered.extend(order.records),
            _ => {}
        }
        Ok(())
    }

    fn look_into(&mut self, body: &[u8]) {
        self.looked_into += body.len() as u64;
        self.parts.batches += 1;
        for record in Body::decode(body).map(|b| b.records()).into_iter().flatten() {
            if let Ok(Record::Sealed { sections, tags, ciphertext, .. }) = Record::decode(record) {
                self.parts.ciphertext += ciphertext.len() as u64;
                self.parts.tags += tags.len() as u64;
                self.parts.slots += sections.iter().map(|s| s.slots.len() as u64).sum::<u64>();
            }
        }
    }

    /// The parts of all bodies, if those that were looked into are like the others.
    fn parts_of(&self, bodies: u64) -> Parts {
        let of_all = |part: u64| match self.looked_into {
            0 => 0,
            seen => (u128::from(part) * u128::from(bodies) / u128::from(seen)) as u64,
        };
        let p = self.parts;
        let (ciphertext, slots, tags) = (of_all(p.ciphertext), of_all(p.slots), of_all(p.tags));
        let rest = bodies.saturating_sub(ciphertext + slots + tags);
        Parts { batches: p.batches, ciphertext, slots, tags, rest }
    }
}

impl Stats {
    fn new(store: &SqliteStore, database: PathBuf, s: &StoreStats, space: &Space, walked: Walked) -> Stats {
        let parts = walked.parts_of(s.body_bytes);
        let known = s.stored_body_bytes
            + s.text_bytes
            + s.leaf_bytes
            + s.index_bytes
            + s.derived_bytes
            + space.free_bytes;
        let shares = walked.shares.into_iter().map(|((writer, month), (batches, records, bytes))| Share {
            writer,
            month,
            batches,
            records,
            bytes,
        });
        Stats {
            ledger: store.origin().to_owned(),
            database,
            file: s.file_bytes,
            log: s.wal_bytes,
            blocks: s.blocks,
            records: s.records,
            erased_records: RecordRange::total(&RecordRange::normalise(walked.ordered)),
            freed_by_erasure: walked.came.saturating_sub(s.body_bytes),
            bodies: s.body_bytes,
            bodies_stored: s.stored_body_bytes,
            parts,
            block_texts: s.text_bytes,
            leaf_inputs: s.leaf_bytes,
            index_ciphertexts: s.index_bytes - s.index_tag_bytes.min(s.index_bytes),
            index_tags: s.index_tag_bytes,
            index_in_memory_records: s.tail_records,
            nodes: space.node_bytes,
            tiles: space.tile_bytes,
            other_derived: space.other_bytes,
            free_pages: space.free_bytes,
            overhead: s.file_bytes.saturating_sub(known),
            by_writer_and_month: shares.collect(),
        }
    }

    fn line(&self, name: &str, bytes: u64) {
        let each = bytes as f64 / self.records.max(1) as f64;
        let share = 100.0 * bytes as f64 / self.file.max(1) as f64;
        println!("  {name:<34} {bytes:>15} {each:>10.1} {share:>7.1} %");
    }

    fn tell(&self) {
        println!("{} in {}", self.ledger, self.database.display());
        println!(
            "  {} blocks, {} records, {} of them ordered to be erased",
            self.blocks, self.records, self.erased_records
        );
        println!("{:36} {:>15} {:>10} {:>9}", "", "bytes", "a record", "of file");
        self.line("database file", self.file);
        self.line("  bodies, as they are kept", self.bodies_stored);
        self.line("  block texts", self.block_texts);
        self.line("  leaf inputs", self.leaf_inputs);
        self.line("  index of ciphertext hashes", self.index_ciphertexts);
        self.line("  index of tags", self.index_tags);
        self.line("  nodes of block trees", self.nodes);
        self.line("  tiles of the log", self.tiles);
        self.line("  other derived values", self.other_derived);
        self.line("  free pages", self.free_pages);
        self.line("  the rest: pages not quite full", self.overhead);
        self.line("write-ahead log", self.log);
        println!();
        let of = match self.parts.batches {
            0 => String::new(),
            n => format!(", by {n} batches"),
        };
        self.line(&format!("bodies, whole{of}"), self.bodies);
        self.line("  ciphertext", self.parts.ciphertext);
        self.line("  slots", self.parts.slots);
        self.line("  tags", self.parts.tags);
        self.line("  headers, commitments, lengths", self.parts.rest);
        self.line("freed by erasure", self.freed_by_erasure);
        if self.index_in_memory_records > 0 {
            println!(
                "  index entries of the last {} records are in memory only, as yet",
                self.index_in_memory_records
            );
        }
        if !self.by_writer_and_month.is_empty() {
            println!(
                "\n  {:<40} {:<8} {:>9} {:>12} {:>15}",
                "sealed by", "month", "batches", "records", "bytes"
            );
        }
        for s in &self.by_writer_and_month {
            println!(
                "  {:<40} {:<8} {:>9} {:>12} {:>15}",
                printable(&s.writer),
                s.month,
                s.batches,
                s.records,
                s.bytes
            );
        }
    }
}
