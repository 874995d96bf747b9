//! `audit export`: one evidence file for any selection of records.

use std::path::{Path, PathBuf};

use crate::auditor::evidence::build::{Added, BuildError, Builder, Disclose};
use crate::auditor::evidence::format::Evidence;
use crate::auditor::evidence::gather::{GatherError, Gatherer};
use crate::auditor::evidence::manifest::{Words, is_text};
use crate::auditor::evidence::verify::{Trust, verify};
use crate::auditor::session::open_session;
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_EVIDENCE_RECORDS;
use crate::chain::key::{SigningKey, VerifierKey};
use crate::chain::proof::{parse_record_id, record_id};
use crate::chain::statement::RecordRange;
use crate::client::Client;
use crate::config::keyfile;
use crate::seal::reader_key::Identity;

use super::super::operator::signing_key_file;
use super::super::trust::{ServerArgs, identities, verifier_key};
use super::super::{Failure, Outcome};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
        sealtrail audit export --records 3..9,12 --out november.evidence.json --identity keys/alice.identity --key ledger.vkey\n  \
        sealtrail audit export --records EVT-00000042 --hashes-only --out existence.evidence.json --key ledger.vkey\n\
        The file holds personal data unless it is --hashes-only; it is written for your eyes only (mode 0600).\n\
        Check it with: sealtrail verify november.evidence.json --key ledger.vkey")]
pub struct ExportArgs {
    /// Records by index or id, A..B with both ends, several with commas
    #[arg(long, value_name = "A..B,C", value_parser = record_ranges)]
    records: Ranges,
    /// Show the events your identity may read (the default)
    #[arg(long, conflicts_with = "hashes_only")]
    opened: bool,
    /// Show no event: prove only that the records exist. Needs no identity
    #[arg(long)]
    hashes_only: bool,
    #[command(flatten)]
    file: FileArgs,
    /// Your identity file, as age-keygen or `keygen reader` writes it
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE", required_unless_present = "hashes_only")]
    identity: Option<PathBuf>,
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    #[command(flatten)]
    server: ServerArgs,
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

impl Ranges {
    /// Refuses more records than a file may have, before anything is downloaded.
    fn check_count(&self) -> Outcome {
        let count = self.0.iter().fold(0u64, |n, r| n.saturating_add(r.last - r.first).saturating_add(1));
        if count > MAX_EVIDENCE_RECORDS as u64 {
            Err(MakeError::from(BuildError::TooMany).into())
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, r) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match r.last - r.first {
                0 => write!(f, "{comma}{}", record_id(r.first))?,
                _ => write!(f, "{comma}{} to {}", record_id(r.first), record_id(r.last))?,
            }
        }
        Ok(())
    }
}

/// A record's index from an index or an id.
pub fn record_index(text: &str) -> Result<u64, String> {
    parse_record_id(text).or_else(|| text.parse().ok()).ok_or_else(|| {
        format!("{text:?} names no record: give an index such as 42 or an id such as EVT-00000042")
    })
}

/// Reads `A..B,C`; sorts it, and joins what overlaps.
pub fn record_ranges(text: &str) -> Result<Ranges, String> {
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.trim().split_once("..").unwrap_or((part.trim(), part.trim()));
        let range = RecordRange { first: record_index(first)?, last: record_index(last)? };
        if range.first > range.last {
            return Err(format!("{part}: the first record comes after the last"));
        }
        ranges.push(range);
    }
    ranges.sort_by_key(|r| r.first);
    let mut joined: Vec<RecordRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => last.last = last.last.max(range.last),
            _ => joined.push(range),
        }
    }
    Ok(Ranges(joined))
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

/// The identities of the file, and a session with the first that the server knows as a reader.
pub fn reader_session(
    server: &ServerArgs,
    identity: &Path,
    key: &VerifierKey,
) -> Result<(Vec<Identity>, Client), Failure> {
    let all = identities(identity)?;
    let mut refusal = Failure::Usage(format!("{} holds no identity", identity.display()));
    for one in &all {
        let mut client = server.client()?;
        match open_session(&mut client, one, key.name()) {
            Ok(()) => return Ok((all, client)),
            Err(e) => match Failure::from(e) {
                Failure::Usage(why) => refusal = Failure::Usage(why),
                other => return Err(other),
            },
        }
    }
    Err(refusal)
}

/// How many records ended up how.
#[derive(Default)]
struct Tally {
    shown: usize,
    partly: usize,
    existence: usize,
    not_for_you: usize,
    erased: usize,
}

pub fn run(args: ExportArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    args.records.check_count()?;
    let (identities, client) = match &args.identity {
        Some(path) if !args.hashes_only => reader_session(&args.server, path, &key)?,
        _ => (Vec::new(), args.server.client()?),
    };
    let disclose = if args.hashes_only { Disclose::Nothing } else { Disclose::Everything };
    let mut builder = Builder::new(&key, &identities);
    let mut tally = Tally::default();
    let mut gatherer = Gatherer::new(&client, &key).map_err(MakeError::from)?;
    gatherer.each(&args.records.0, !args.hashes_only, |material| {
        match builder.add(material, &disclose, None)? {
            Added::Existence => tally.existence += 1,
            Added::Shown { withheld: 0 } => tally.shown += 1,
            Added::Shown { .. } => tally.partly += 1,
            Added::NotForYou => tally.not_for_you += 1,
            Added::Erased => tally.erased += 1,
        }
        Ok::<_, MakeError>(())
    })?;
    finish(builder, &args.file, &key, args.records.to_string())?;
    for (n, what) in [
        (tally.shown, "shown whole"),
        (tally.partly, "shown without the sections sealed to other readers"),
        (tally.existence, "with nothing of their content, as asked"),
        (tally.not_for_you, "with nothing of their content: not sealed to this identity"),
        (tally.erased, "erased: existence and the order"),
    ] {
        if n > 0 {
            eprintln!("  {n} {what}");
        }
    }
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
