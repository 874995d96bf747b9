//! What all rows share: the working folder, the events, the grown ledger, progress, the report.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressStyle};
use sealtrail::base::clock::Timestamp;
use serde_json::json;

use super::args::{Args, Row};
use super::events::{EVENT_BYTES, Events};
use super::figures::{Figure, Figures};
use super::load::{self, Load, Sent};
use super::program::Place;
use super::{Fallible, machine};

/// Events about the planted patient.
pub const PLANTED_EVENTS: u64 = 200;
/// What the benchmark makes in a folder it is given, and the only thing in there it touches.
const WORK: &str = "sealtrail-bench";
/// From this many records on the targets are for.
const FULL_SIZE: u64 = 1_000_000;
/// Folder of the grown ledger.
const GROWN: &str = "grown";
/// Folder of the ledger of a tenth of its size.
const SMALL: &str = "small";
/// How many events it was grown with, beside it.
const GROWN_NOTE: &str = "bench.json";
/// Bytes on disk for a byte of plaintext, at most: for telling how much room is needed.
const ROOM_FACTOR: f64 = 1.75;

/// A run of the benchmark.
pub struct Bench {
    /// The command line; `--quick` has made it small.
    pub args: Args,
    /// The events.
    pub events: Rc<Events>,
    figures: Figures,
    dir: PathBuf,
    /// Deletes the folder when the run ends.
    _temporary: Option<tempfile::TempDir>,
    grown: Option<Rc<Grown>>,
    /// Whether this run grew it.
    grown_now: bool,
    small: Option<Rc<Grown>>,
}

/// A ledger that holds events `0..records`.
pub struct Grown {
    /// Where it is.
    pub place: Place,
    /// Events in it.
    pub records: u64,
    /// Makes its events.
    pub events: Rc<Events>,
}

impl Bench {
    /// Makes the folder and the events.
    pub fn new(mut args: Args) -> Fallible<Bench> {
        if args.quick {
            args.records = args.records.min(20_000);
            args.runs = 1;
        }
        let (dir, temporary) = match &args.dir {
            Some(given) => {
                let dir = given.join(WORK);
                let made = std::fs::create_dir_all(&dir).and_then(|()| dir.canonicalize());
                let dir =
                    made.map_err(|e| format!("no folder can be made in --dir {}: {e}", given.display()))?;
                // What an interrupted run left.
                clear(&dir)?;
                (dir, None)
            }
            None => {
                let dir = tempfile::tempdir()?;
                (dir.path().canonicalize()?, Some(dir))
            }
        };
        if let Some(path) = &args.json {
            std::fs::write(path, "").map_err(|e| format!("--json {}: {e}", path.display()))?;
        }
        clear_when_interrupted(dir.clone(), temporary.is_some())?;
        let events = Rc::new(Events::new(args.seed, args.records / PLANTED_EVENTS));
        Ok(Bench {
            args,
            events,
            figures: Figures::default(),
            dir,
            _temporary: temporary,
            grown: None,
            grown_now: false,
            small: None,
        })
    }

    /// Refuses to begin what the disk has no room for.
    pub fn check_room(&self) -> Fallible<()> {
        let full = (self.args.records * EVENT_BYTES as u64) as f64 * ROOM_FACTOR;
        let rows = self.args.rows();
        // One large thing at a time, beside it a ledger of a tenth the size.
        let there = self.dir.join(GROWN).join(GROWN_NOTE).exists();
        let large =
            !there || rows.iter().any(|r| matches!(r, Row::Http | Row::Rows | Row::Append | Row::Disk));
        let needed = (if large { full * 1.1 } else { full * 0.1 }) as u64 + (1 << 30);
        match machine::free_bytes(&self.dir) {
            Some(free) if free < needed => Err(format!(
                "{} records need about {} GiB in {}, and {} GiB are free: choose fewer with --records or another folder with --dir",
                self.args.records,
                needed >> 30,
                self.dir.display(),
                free >> 30
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Adds a figure to the table.
    pub fn add(&mut self, figure: Figure) {
        self.figures.add(figure);
    }

    /// A folder for one row, empty.
    pub fn folder(&self, name: &str) -> Fallible<PathBuf> {
        let dir = self.dir.join(name);
        remove(&dir)?;
        Ok(dir)
    }

    /// Keeps a ledger that was grown to the full size, for the rows that need one.
    pub fn keep(&mut self, place: Place) -> Fallible<()> {
        let records = self.args.records;
        if self.dir.join(GROWN).join(GROWN_NOTE).exists() {
            eprintln!("  the ledger of an earlier run is replaced by this one of {records} records");
        }
        let dir = self.folder(GROWN)?;
        std::fs::rename(place.dir(), &dir)?;
        self.grown_now = true;
        let note = json!({ "records": records, "seed": self.args.seed });
        std::fs::write(dir.join(GROWN_NOTE), note.to_string())?;
        let place = Place::existing(dir);
        self.grown = Some(Rc::new(Grown { place, records, events: self.events.clone() }));
        Ok(())
    }

    /// The grown ledger: that of row `http`, one left by an earlier run, or one made now.
    pub fn grown(&mut self) -> Fallible<Rc<Grown>> {
        if self.grown.is_none() {
            self.find_grown()?;
        }
        if self.grown.is_none() {
            let place = self.grow("growing", self.args.records, &self.events)?;
            self.keep(place)?;
        }
        self.grown.clone().ok_or_else(|| "no ledger could be grown".into())
    }

    /// A ledger of a tenth of the size, with as many events about the planted patient: what does not slow down takes as long there.
    pub fn small(&mut self) -> Fallible<Rc<Grown>> {
        // First, because it may know how many records there are.
        let records = self.grown()?.records / 10;
        if self.small.is_none() {
            let events = Rc::new(Events::new(self.args.seed, records / PLANTED_EVENTS));
            let place = self.grow(SMALL, records, &events)?;
            self.small = Some(Rc::new(Grown { place, records, events }));
        }
        self.small.clone().ok_or_else(|| "no ledger could be grown".into())
    }

    fn grow(&self, name: &str, count: u64, events: &Rc<Events>) -> Fallible<Place> {
        let place = Place::create(self.folder(name)?)?;
        let server = place.serve()?;
        let bar = bar(&format!("growing a ledger of {count}"), count, "events");
        let token = place.token()?;
        let connections = self.args.connections;
        let (first, per_request) = (0, 100);
        let load = Load {
            addr: server.addr,
            token: &token,
            connections,
            per_request,
            first,
            count,
            sent: Sent::Events,
            most: None,
        };
        load::run(&load, events, &bar)?;
        bar.finish_and_clear();
        server.stop()?;
        Ok(place)
    }

    fn find_grown(&mut self) -> Fallible<()> {
        let dir = self.dir.join(GROWN);
        let Ok(note) = std::fs::read(dir.join(GROWN_NOTE)) else { return Ok(()) };
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap_or_default();
        let (Some(records), Some(seed)) = (note["records"].as_u64(), note["seed"].as_u64()) else {
            return Err(format!("{} is damaged: delete the folder", dir.display()).into());
        };
        eprintln!(
            "  using the ledger in {}, of {records} records with seed {seed}, whatever --records and --seed say",
            dir.display()
        );
        (self.args.records, self.args.seed) = (records, seed);
        self.events = Rc::new(Events::new(seed, records / PLANTED_EVENTS));
        let place = Place::existing(dir);
        self.grown = Some(Rc::new(Grown { place, records, events: self.events.clone() }));
        Ok(())
    }

    /// Prints the table, writes the JSON, cleans up.
    pub fn report(self) -> Fallible<()> {
        let command = command();
        let mut about = machine::describe(&self.dir);
        about.push(("storage", "SQLite, journal_mode=WAL, synchronous=FULL".to_owned()));
        about.push(("date", Timestamp::now().to_string()));
        about.push(("command", command));
        let runs = match self.args.runs {
            1 => "one run".to_owned(),
            n => format!("medians of {n} runs"),
        };
        about.push(("records", format!("{}, {runs}", self.args.records)));
        let judged = self.args.records >= FULL_SIZE;
        if !judged {
            about.push(("targets", format!("for {FULL_SIZE} records or more: not judged here")));
        }
        println!();
        for (name, text) in &about {
            println!("- {name}: {text}");
        }
        println!("\n{}", self.figures.table(judged));
        println!("Receipts, counts, proofs and opened records were checked, and held.");
        if let Some(path) = &self.args.json {
            let about: serde_json::Map<_, _> =
                about.into_iter().map(|(n, t)| (n.to_owned(), t.into())).collect();
            let all = json!({ "about": about, "figures": self.figures.json() });
            std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
        }
        remove(&self.dir.join(SMALL))?;
        // One that an earlier run kept is kept.
        if self.grown_now && !self.args.keep {
            remove(&self.dir.join(GROWN))?;
        }
        // Only if it is empty.
        let _ = std::fs::remove_dir(&self.dir);
        Ok(())
    }
}

/// Deletes everything in a working folder but the grown ledger.
fn clear(dir: &Path) -> Fallible<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() != GROWN {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Leaves nothing behind when the user has had enough.
fn clear_when_interrupted(dir: PathBuf, temporary: bool) -> Fallible<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _runtime = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        let cleared = if temporary { remove(&dir) } else { clear(&dir) };
        match cleared {
            Ok(()) => eprintln!("\nbench: interrupted; what it had made is deleted"),
            Err(e) => eprintln!("\nbench: interrupted; delete {} ({e})", dir.display()),
        }
        std::process::exit(130);
    });
    Ok(())
}

/// The command to run this again, by where cargo has put the executable.
fn command() -> String {
    let executable = std::env::current_exe().unwrap_or_default();
    let profile =
        executable.parent().filter(|d| d.ends_with("examples")).and_then(|d| d.parent()?.file_name());
    let program = match profile.map(|p| p.to_string_lossy()) {
        Some(p) if p == "release" => "cargo run --release --example bench".to_owned(),
        Some(p) if p == "debug" => "cargo run --example bench".to_owned(),
        Some(p) => format!("cargo run --profile {p} --example bench"),
        None => executable.display().to_string(),
    };
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() { program } else { format!("{program} -- {}", args.join(" ")) }
}

/// Deletes a folder if it is there.
pub fn remove(dir: &Path) -> Fallible<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

/// The title of a row in front of a bar, so that people see where the time goes.
pub fn bar(what: &str, length: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = format!(
        "  {what:<34} {{bar:24}} {{human_pos}}/{{human_len}} {unit}  {{elapsed}}, about {{eta}} left"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// The name of a measurement and its run, for a bar.
pub fn of_run(row: Row, what: &str, run: u64, runs: u64) -> String {
    let what = if what.is_empty() { String::new() } else { format!(" {what}") };
    format!("{}{what}, run {} of {runs}", row.name(), run + 1)
}
