//! What `fsck` found, and how it is told.

use std::path::{Path, PathBuf};

use crate::chain::authority::RecordRange;
use crate::event::view::printable;

use super::super::{Failure, Outcome, print_json};

/// Findings that are printed one by one; JSON has all.
const PRINTED: usize = 40;

/// How a finding can be mended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mend {
    /// Computed from the blocks, and put in place.
    InPlace,
    /// Goes away when what is proved is copied into a new file.
    Anew,
    /// Taken from this copy.
    From(String),
    /// No copy that was given has it.
    Nobody,
    /// Not by a command: the ledger signed more than there is.
    Lost,
    /// Not by a command.
    Operator,
}

impl Mend {
    fn words(&self) -> String {
        match self {
            Mend::InPlace | Mend::Anew => "--repair makes it anew".to_owned(),
            Mend::From(copy) => format!("--repair takes it from {copy}"),
            Mend::Nobody => "no copy here has it; name one with --from".to_owned(),
            Mend::Lost => "see docs/OPERATIONS.md, \"When blocks are lost\"".to_owned(),
            Mend::Operator => "see docs/OPERATIONS.md, \"When verification fails\"".to_owned(),
        }
    }
}

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The kind of thing.
    pub part: &'static str,
    /// Height of the block.
    pub block: Option<u64>,
    /// The records concerned.
    pub records: Option<RecordRange>,
    /// What is wrong.
    pub what: String,
    /// What can be done.
    pub mend: Mend,
}

impl Finding {
    /// Of no block.
    pub fn new(part: &'static str, what: &str, mend: Mend) -> Finding {
        Finding { part, block: None, records: None, what: what.to_owned(), mend }
    }

    fn line(&self) -> String {
        let block = self.block.map(|b| format!(" of block {b}")).unwrap_or_default();
        let records = self.records.map(|r| format!(" ({})", r.name())).unwrap_or_default();
        format!("{}{block}{records}: {}. {}", self.part, printable(&self.what), self.mend.words())
    }
}

/// Everything that was found in one database.
#[derive(Default)]
pub struct Findings {
    ledger: String,
    database: PathBuf,
    /// Blocks there are, or were proved to be.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    all: Vec<Finding>,
    /// Blocks that the other copies prove, if the file cannot be read at all.
    provable: Option<u64>,
    is_unreadable: bool,
    /// Derived values as they should be.
    pub derived: Vec<(String, Vec<u8>)>,
    /// The state as it should be.
    pub state: Option<Vec<u8>>,
}

impl Findings {
    /// None so far.
    pub fn new(ledger: &str, database: &Path) -> Findings {
        Findings { ledger: ledger.to_owned(), database: database.to_owned(), ..Findings::default() }
    }

    /// One more; what was said of the same part of the same block already is not said again.
    pub fn add(&mut self, finding: Finding) {
        let same = |f: &&mut Finding| f.part == finding.part && f.block.is_some() && f.block == finding.block;
        match self.all.iter_mut().find(same) {
            // The later look knows more: whose records they are, and who has them.
            Some(before) => *before = finding,
            None => self.all.push(finding),
        }
    }

    /// The file cannot be read at all.
    pub fn unreadable(&mut self, why: String) {
        self.is_unreadable = true;
        self.add(Finding::new("file", &why, Mend::Nobody));
    }

    /// How many blocks the other copies prove, if they prove any.
    pub fn provable(&mut self, blocks: Option<u64>) {
        self.provable = blocks;
        if let (Some(_), Some(f)) = (blocks, self.all.iter_mut().find(|f| f.part == "file")) {
            f.mend = Mend::Anew;
        }
    }

    /// No copy has blocks whose root is signed.
    pub fn unproved(&mut self, why: String) {
        self.add(Finding::new("blocks", &why, Mend::Nobody));
    }

    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is something of this kind to do.
    pub fn has(&self, wanted: impl Fn(&Mend) -> bool) -> bool {
        self.all.iter().any(|f| wanted(&f.mend))
    }

    /// Whether the file can be read.
    pub fn is_readable(&self) -> bool {
        !self.is_unreadable
    }

    /// Whether something was found in a part.
    pub fn in_part(&self, part: &str) -> bool {
        self.all.iter().any(|f| f.part == part)
    }

    /// Records whose content no copy has.
    fn lost(&self) -> Vec<RecordRange> {
        let nobody = self.all.iter().filter(|f| f.mend == Mend::Nobody);
        RecordRange::normalise(nobody.filter_map(|f| f.records).collect())
    }

    /// Prints what was found.
    pub fn print(&self) {
        let place = self.database.display();
        if self.is_sound() {
            println!("SOUND: {} in {place}", self.ledger);
            println!(
                "  {} blocks and {} records: every page, row, hash, signature, index entry and derived value",
                self.blocks, self.records
            );
            return;
        }
        println!("DAMAGED: {} in {place}", self.ledger);
        for finding in self.all.iter().take(PRINTED) {
            println!("  {}", finding.line());
        }
        if self.all.len() > PRINTED {
            println!("  and {} more; --json names all", self.all.len() - PRINTED);
        }
        let lost = self.lost();
        if !lost.is_empty() {
            println!("  records that cannot be mended with what was given: {}", RecordRange::total(&lost));
        }
    }

    fn json(&self, mended: Option<&str>) -> Outcome {
        let finding = |f: &Finding| {
            serde_json::json!({
                "part": f.part, "block": f.block, "records": f.records.map(|r| r.to_string()), "what": f.what,
                "mend": f.mend.words(), "mendable": !matches!(f.mend, Mend::Nobody | Mend::Lost | Mend::Operator),
            })
        };
        print_json(&serde_json::json!({
            "sound": self.is_sound(), "ledger": self.ledger, "database": self.database, "blocks": self.blocks, "records": self.records,
            "findings": self.all.iter().map(finding).collect::<Vec<_>>(), "repaired": mended,
        }))
    }

    fn verdict(&self, before: &str) -> Outcome {
        if self.is_sound() {
            return Ok(());
        }
        let count = self.all.len();
        let things = match count {
            1 => "1 thing is not as it must be".to_owned(),
            _ => format!("{count} things are not as they must be"),
        };
        let where_to_read = match self.has(|m| *m == Mend::Lost) {
            true => "docs/OPERATIONS.md, \"When blocks are lost\",",
            false => "docs/OPERATIONS.md, \"When verification fails\",",
        };
        Err(Failure::Wrong(format!(
            "{before}{}: {things}. Keep the file as it is; {where_to_read} says what to do",
            self.database.display()
        )))
    }

    /// Tells everything, and how the command ends.
    pub fn tell(&self, json: bool) -> Outcome {
        match json {
            true => self.json(None)?,
            false => self.print(),
        }
        if !json && !self.is_sound() && !self.has(|m| matches!(m, Mend::Nobody | Mend::Lost | Mend::Operator))
        {
            println!("  all of it can be mended: the same command with --repair does so");
        }
        self.verdict("")
    }

    /// The same after a repair.
    pub fn tell_after(&self, mended: &str, json: bool) -> Outcome {
        if json {
            self.json(Some(mended))?;
        } else {
            println!("REPAIRED: {mended}");
            self.print();
        }
        self.verdict("after the repair: ")
    }
}
