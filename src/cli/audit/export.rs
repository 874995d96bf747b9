//! `audit export`: one evidence file for any selection of records.

use std::path::PathBuf;
use std::sync::Arc;

use crate::auditor::evidence::build::{Added, BuildError, Builder, Disclose};
use crate::auditor::evidence::format::Evidence;
use crate::auditor::evidence::gather::{GatherError, Gatherer};
use crate::auditor::evidence::manifest::{Words, is_text};
use crate::auditor::evidence::verify::{Trust, verify};
use crate::auditor::record::Content;
use crate::auditor::search::{Criteria, Found, search_server, search_vault};
use crate::auditor::vault::VaultError;
use crate::base::clock::Timestamp;
use crate::base::limits::{MAX_EVIDENCE_RECORDS, MAX_RECORDS_PER_REQUEST};
use crate::chain::authority::{RangeError, RecordRange};
use crate::chain::key::{SigningKey, VerifierKey};
use crate::chain::proof::{parse_record, record_id};
use crate::config::keyfile;

use super::super::operator::signing_key_file;
use super::super::progress::Bar;
use super::super::{Failure, Outcome};
use super::search::SelectArgs;
use super::vault::{OpenVault, VaultArgs};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
        sealtrail audit export --patient PAT-2026-00842 --out patient.evidence.json\n  \
        sealtrail audit export --records 3..9,12 --out november.evidence.json\n  \
        sealtrail audit export --records EVT-00000042 --hashes-only --out existence.evidence.json --key ledger.vkey\n\
        The file holds personal data unless it is --hashes-only; it is written for your eyes only (mode 0600).\n\
        Check it with: sealtrail verify november.evidence.json --key ledger.vkey")]
pub struct ExportArgs {
    /// Records by index or id, A..B with both ends, several with commas
    #[arg(long, value_name = "A..B,C", value_parser = record_ranges)]
    records: Option<Ranges>,
    #[command(flatten)]
    select: SelectArgs,
    /// Show the events your identity may read (the default)
    #[arg(long, conflicts_with = "hashes_only")]
    opened: bool,
    /// Show no event: prove only that the records exist. Given with --records it needs no identity
    #[arg(long)]
    hashes_only: bool,
    #[command(flatten)]
    file: FileArgs,
    /// Ask the server even if there is a vault; without a vault that is done anyhow
    #[arg(long, conflicts_with = "offline")]
    remote: bool,
    #[command(flatten)]
    vault: VaultArgs,
}

/// What every evidence file can carry.
#[derive(clap::Args)]
pub struct FileArgs {
    /// File to write; an existing one is not overwritten
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Heading to write into the file
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub title: Option<String>,
    /// Note to write into the file; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub note: Vec<String>,
    /// Sign the file with this key (as `keygen officer` makes it), so that nobody can pass parts of it off as yours
    #[arg(long, value_name = "KEYFILE")]
    pub sign: Option<PathBuf>,
}

/// Ranges of records, ascending and apart.
#[derive(Clone, Debug)]
pub struct Ranges(pub Vec<RecordRange>);

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(RecordRange::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl Ranges {
    /// Refuses more records than a file may have, before anything is downloaded.
    fn check_count(&self) -> Outcome {
        if RecordRange::total(&self.0) > MAX_EVIDENCE_RECORDS as u64 {
            Err(MakeError::from(BuildError::TooMany).into())
        } else {
            Ok(())
        }
    }

    /// Every index, if the ledger has so many records and a file may hold them.
    fn all(&self, records: u64) -> Result<Vec<u64>, Failure> {
        let last = self.0.last().map_or(0, |r| r.last);
        if last >= records {
            return Err(Failure::Usage(format!(
                "{} is beyond the {records} records in the vault: `sealtrail audit sync` fetches what is new",
                record_id(last)
            )));
        }
        Ok(self.0.iter().flat_map(|r| r.first..=r.last).collect())
    }
}

/// A record's index from an index or an id.
pub fn record_index(text: &str) -> Result<u64, String> {
    parse_record(text).ok_or_else(|| {
        format!("{text:?} names no record: give an index such as 42 or an id such as EVT-00000042")
    })
}

fn record_ranges(text: &str) -> Result<Ranges, RangeError> {
    RecordRange::parse_list(text).map(Ranges)
}

fn words(text: &str) -> Result<String, String> {
    if is_text(text) {
        Ok(text.to_owned())
    } else {
        Err("give 1 to 1000 characters on one line, without white space around them".to_owned())
    }
}

/// A failure of gathering or building.
pub enum MakeError {
    /// The server.
    Gather(GatherError),
    /// The file.
    Build(BuildError),
    /// The vault.
    Vault(VaultError),
}

impl From<VaultError> for MakeError {
    fn from(e: VaultError) -> MakeError {
        MakeError::Vault(e)
    }
}

impl From<GatherError> for MakeError {
    fn from(e: GatherError) -> MakeError {
        MakeError::Gather(e)
    }
}

impl From<BuildError> for MakeError {
    fn from(e: BuildError) -> MakeError {
        MakeError::Build(e)
    }
}

impl From<MakeError> for Failure {
    fn from(e: MakeError) -> Failure {
        match e {
            MakeError::Vault(e) => e.into(),
            MakeError::Gather(GatherError::Client(e)) => e.into(),
            MakeError::Gather(e @ (GatherError::Source(_) | GatherError::Malformed(_))) => {
                Failure::unavailable(e)
            }
            MakeError::Gather(e @ GatherError::Beyond { .. }) => Failure::usage(e),
            MakeError::Gather(e) => Failure::Wrong(e.to_string()),
            MakeError::Build(
                e @ (BuildError::NotForYou { .. }
                | BuildError::Erased { .. }
                | BuildError::NoPointer
                | BuildError::NoSuchField { .. }
                | BuildError::Withheld { .. }
                | BuildError::Note { .. }
                | BuildError::Manifest(_)
                | BuildError::Nothing
                | BuildError::TooMany
                | BuildError::TooLarge
                | BuildError::NoContent { .. }),
            ) => Failure::usage(e),
            MakeError::Build(e) => Failure::Wrong(e.to_string()),
        }
    }
}

/// How many records ended up how.
#[derive(Default)]
struct Tally {
    shown: usize,
    partly: usize,
    existence: usize,
    unreadable: usize,
    not_for_you: usize,
    erased: usize,
}

impl Tally {
    fn count(&mut self, added: Added) {
        match added {
            Added::Existence => self.existence += 1,
            Added::Shown { withheld: 0 } => self.shown += 1,
            Added::Shown { .. } => self.partly += 1,
            Added::NotForYou => self.not_for_you += 1,
            Added::Erased => self.erased += 1,
        }
    }

    fn tell(&self, disclose: &Disclose) {
        let fields = matches!(disclose, Disclose::Fields(_));
        let if_whole = |n| if fields { 0 } else { n };
        for (n, what) in [
            (
                self.shown + self.partly - if_whole(self.shown + self.partly),
                "with the fields asked for and nothing else",
            ),
            (if_whole(self.shown), "shown whole"),
            (if_whole(self.partly), "shown without the sections sealed to other readers"),
            (self.existence, "with nothing of their content, as asked"),
            (self.unreadable, "with nothing of their content: what the writer sealed does not open"),
            (self.not_for_you, "with nothing of their content: not sealed to this identity"),
            (self.erased, "erased: existence and the order"),
        ] {
            if n > 0 {
                eprintln!("  {n} {what}");
            }
        }
    }
}

pub fn run(args: ExportArgs) -> Outcome {
    let disclose = if args.hashes_only { Disclose::Nothing } else { Disclose::Everything };
    let criteria = args.select.criteria(MAX_EVIDENCE_RECORDS)?;
    if args.records.is_some() != criteria.fields.is_empty() {
        return Err(Failure::Usage(
            "choose the records: --records A..B, or who and what as in `audit search` (--patient, --actor, …), one of the two".into(),
        ));
    }
    if let Some(ranges) = &args.records {
        ranges.check_count()?;
    }
    if args.vault.remote(args.remote) {
        return from_server(&args, &criteria, &disclose);
    }
    let open = args.vault.open()?;
    let (records, words) = match &args.records {
        Some(ranges) => (ranges.all(open.view.as_of.records)?, ranges.to_string()),
        None => {
            let (records, identities) = (open.records()?, open.setting.identities()?);
            let found = search_vault(&open.vault, &open.view, &records, &identities, &criteria)?;
            (chosen(&found)?, args.select.words())
        }
    };
    from_vault(&open, &records, &disclose, &args.file, words)
}

/// Indexes of what a search found.
fn chosen(found: &Found) -> Result<Vec<u64>, Failure> {
    if found.cut {
        return Err(Failure::Usage(format!(
            "more than {MAX_EVIDENCE_RECORDS} records match: narrow the search, for example with --from and --to"
        )));
    }
    if found.hits.is_empty() {
        return Err(Failure::Usage("nothing matches, so there is nothing to prove".into()));
    }
    Ok(found.hits.iter().map(|h| h.record.index).collect())
}

fn from_server(args: &ExportArgs, criteria: &Criteria, disclose: &Disclose) -> Outcome {
    let setting = args.vault.remote_setting()?;
    let by_hashes = args.hashes_only && args.records.is_some();
    let (identities, client) = match by_hashes {
        true => (Vec::new(), setting.plain_client()?),
        false => (setting.identities()?, setting.client()?),
    };
    let (ranges, words) = match &args.records {
        Some(ranges) => (ranges.clone(), ranges.to_string()),
        None => {
            let found =
                search_server(&client, &setting.key, setting.admin_for_search()?, &identities, criteria)?;
            (Ranges(RecordRange::of_indexes(&chosen(&found)?)), args.select.words())
        }
    };
    let mut builder = Builder::new(&setting.key, &identities);
    let mut tally = Tally::default();
    let shown = if args.hashes_only { &[][..] } else { &identities };
    let mut gatherer = Gatherer::new(&client, &setting.key, shown).map_err(MakeError::from)?;
    let mut bar = Bar::new("gathering", "records");
    gatherer.each(&ranges.0, !args.hashes_only, |material| {
        bar.at(builder.len() as u64, RecordRange::total(&ranges.0));
        match builder.add(material.clone(), disclose, None) {
            // What a writer sealed wrongly, or somebody granted wrongly, can still be proved to exist.
            Err(BuildError::Open { .. } | BuildError::Event { .. }) => {
                builder.add(material, &Disclose::Nothing, None)?;
                tally.unreadable += 1;
            }
            added => tally.count(added?),
        }
        Ok::<_, MakeError>(())
    })?;
    drop(bar);
    finish(builder, &args.file, &setting.key, words)?;
    tally.tell(disclose);
    Ok(())
}

/// Writes evidence of some records of a vault, ascending and each once.
pub fn from_vault(
    open: &OpenVault,
    records: &[u64],
    disclose: &Disclose,
    file: &FileArgs,
    words: String,
) -> Outcome {
    let identities = open.setting.identities()?;
    let granted = Arc::new(open.vault.granted(&identities)?);
    let opened = open.records()?;
    let mut builder = Builder::new(&open.setting.key, &identities);
    let mut tally = Tally::default();
    let mut bar = Bar::new("gathering", "records");
    for some in records.chunks(MAX_RECORDS_PER_REQUEST) {
        bar.at(builder.len() as u64, records.len() as u64);
        // What a writer sealed wrongly can still be proved to exist.
        let unreadable: Vec<u64> = opened
            .pick(some)?
            .iter()
            .filter(|r| matches!(r.content, Content::Unreadable { .. }))
            .map(|r| r.index)
            .collect();
        open.vault.materials(&open.view, some, &granted, |material| {
            if unreadable.contains(&material.proof.record) && *disclose == Disclose::Everything {
                builder.add(material, &Disclose::Nothing, None)?;
                tally.unreadable += 1;
            } else {
                tally.count(builder.add(material, disclose, None)?);
            }
            Ok::<_, MakeError>(())
        })?;
    }
    drop(bar);
    finish(builder, file, &open.setting.key, words)?;
    tally.tell(disclose);
    Ok(())
}

/// Ends the file, verifies it as anybody would, and only then writes it.
pub fn finish(builder: Builder<'_>, file: &FileArgs, key: &VerifierKey, selection: String) -> Outcome {
    let sign: Option<SigningKey> = file.sign.as_deref().map(signing_key_file).transpose()?;
    let records = builder.len();
    let mut words = Words { selection, title: file.title.clone(), notes: file.note.clone() };
    if !is_text(&words.selection) {
        words.selection = format!("{records} records, as listed");
    }
    let evidence: Evidence =
        builder.finish(Timestamp::now(), words, sign.as_ref()).map_err(MakeError::from)?;
    let json = evidence.to_json();
    let signer = sign.as_ref().map(SigningKey::verifier);
    let trust = Trust { signer: signer.as_ref(), ..Trust::ledger(key) };
    verify(json.as_bytes(), &trust)
        .map_err(|e| Failure::Wrong(format!("the file made does not verify: {e}")))?;
    keyfile::create_secret(&file.out, &json).map_err(Failure::usage)?;
    let signed =
        signer.map_or_else(|| ", not signed (--sign KEYFILE)".to_owned(), |k| format!(", signed by {k}"));
    let path = file.out.display();
    eprintln!("{path}: evidence of {records} record{}{signed}", if records == 1 { "" } else { "s" });
    eprintln!("  check it with: sealtrail verify {path} --key VKEY");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn selections_are_sorted_and_joined() {
        assert_eq!(record_ranges("7").unwrap().to_string(), "EVT-00000007");
        let r = record_ranges("9..12, EVT-00000003,4,11..20").unwrap();
        assert_eq!(r.to_string(), "EVT-00000003 to EVT-00000004, EVT-00000009 to EVT-00000020");
        for bad in ["", "x", "5..3", "1..", "..2", "1-2", "1,,2"] {
            assert!(record_ranges(bad).is_err(), "{bad}");
        }
    }
}
