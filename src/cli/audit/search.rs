//! `audit search`.

use std::io::{self, IsTerminal as _};

use rusqlite::types::Value;

use crate::auditor::facts::Facts;
use crate::auditor::search::{Criteria, Found, Hit, SearchError, search_server, search_vault};
use crate::auditor::sql::output::{Format, Output, RowSink};
use crate::base::clock::Timestamp;
use crate::chain::proof::record_id;
use crate::event::view::printable;

use super::super::{Failure, Outcome, print_json};
use super::vault::VaultArgs;
use super::when;

/// Hits shown when no limit is given.
const DEFAULT_LIMIT: usize = 1000;

/// What to look for. Every one given must match; case and spaces around a value do not matter.
#[derive(clap::Args, Clone, Default)]
pub struct SelectArgs {
    /// Who did it: a user id, `Practitioner/…`, …
    #[arg(long, value_name = "ID")]
    pub actor: Option<String>,
    /// Whose data it was: a patient's id, with or without `Patient/`
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// What it was done to, if not a patient
    #[arg(long, value_name = "ID")]
    pub resource: Option<String>,
    /// What was done
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// How it went, in the event's word
    #[arg(long, value_name = "RESULT")]
    pub result: Option<String>,
    /// From which network address
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Any other searchable field of the writers' policies
    #[arg(long, value_name = "NAME=VALUE")]
    pub tag: Vec<String>,
    /// Not before this day or time (UTC): 2026-01-31 or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Not after this day (which is included) or time (UTC)
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    sealtrail audit search --patient PAT-2026-00842          who accessed this patient\n  \
    sealtrail audit search --actor dr-smith-4421 --from 2026-01-01 --to 2026-03-31\n  \
    sealtrail audit search --actor dr-smith-4421 --server URL --key ledger.vkey --identity me.identity   (without a vault; also --admin VKEY)\n\
    The ledger finds equal blind tags and learns no value. With --remote nothing is downloaded but the \
    hits; then the server could leave some out. In a vault the answer is complete.")]
pub struct SearchArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Most hits to show
    #[arg(long, default_value_t = DEFAULT_LIMIT, value_name = "N")]
    limit: usize,
    /// Ask the server and download only the hits, even if there is a vault; without a vault that is done anyhow
    #[arg(long, conflicts_with = "offline")]
    remote: bool,
    /// Print JSON: the hits with whole events
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    vault: VaultArgs,
}

impl SelectArgs {
    /// As criteria.
    pub fn criteria(&self, limit: usize) -> Result<Criteria, Failure> {
        let named = [
            ("actor", &self.actor),
            ("resource", &self.patient),
            ("resource", &self.resource),
            ("action", &self.action),
            ("result", &self.result),
            ("address", &self.address),
        ];
        let mut fields: Vec<(String, String)> =
            named.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v.clone()?))).collect();
        for given in &self.tag {
            let (name, value) = given.split_once('=').ok_or_else(|| {
                Failure::Usage(format!("--tag {given:?} is not NAME=VALUE; for example --tag ward=icu-2"))
            })?;
            fields.push((name.to_owned(), value.to_owned()));
        }
        let from = self.from.as_deref().map(when::first).transpose()?;
        let to = self.to.as_deref().map(when::after).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Failure::Usage(
                "the time range ends before it begins: exchange --from and --to".into(),
            ));
        }
        Ok(Criteria { fields, from, to, limit })
    }

    /// The same in words, for files that say what they hold.
    pub fn words(&self) -> String {
        let named = [
            ("actor", &self.actor),
            ("patient", &self.patient),
            ("resource", &self.resource),
            ("action", &self.action),
            ("result", &self.result),
            ("address", &self.address),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let mut words: Vec<String> =
            named.into_iter().filter_map(|(name, v)| Some(format!("{name} {}", v.as_ref()?))).collect();
        words.extend(self.tag.iter().cloned());
        words.join(", ")
    }
}

pub fn run(args: SearchArgs) -> Outcome {
    let criteria = args.select.criteria(args.limit)?;
    let (found, basis) = if args.vault.remote(args.remote) {
        let setting = args.vault.remote_setting()?;
        let client = setting.client()?;
        let found = search_server(
            &client,
            &setting.key,
            setting.admin_for_search()?,
            &setting.identities()?,
            &criteria,
        )?;
        let basis = "each hit proven to be in the ledger; that the server named all of them is not proven (a synced vault shows that)";
        (found, format!("{}: {basis}", setting.key.name()))
    } else {
        let open = args.vault.open()?;
        let records = open.records()?;
        let identities = open.setting.identities()?;
        let found = search_vault(&open.vault, &open.view, &records, &identities, &criteria)?;
        let erased: u64 =
            open.vault.erasures()?.iter().flat_map(|(_, o)| &o.records).map(|r| r.last - r.first + 1).sum();
        let gone = match erased {
            0 => String::new(),
            n => format!(
                "; {n} records were erased by order: whether they would have matched nobody can search any more"
            ),
        };
        let complete = match (found.cut, found.has_gaps()) {
            (true, _) => "NOT complete: it ended at the limit",
            (_, true) => "NOT complete: some of it could not be searched, as said above",
            _ => "complete",
        };
        (found, format!("{}; {complete}{gone}", open.as_of()))
    };
    if args.json {
        return json(&found, &basis);
    }
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let to = io::BufWriter::new(stdout.lock());
    match table(&found.hits, &mut Output::new(to, Format::Table, false, terminal).without_count()) {
        // Whoever reads the rows, such as `head`, has had enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.map_err(Failure::unavailable)?,
    }
    eprintln!("{}", summary(&found));
    eprintln!("{basis}");
    Ok(())
}

fn summary(found: &Found) -> String {
    let mut out = match found.hits.len() {
        0 => "nothing found".to_owned(),
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    };
    if found.cut {
        out.push_str("; there are more: raise --limit or narrow the search");
    }
    if !found.erased.is_empty() {
        out.push_str(&format!("; {} more matched and are erased by order", found.erased.len()));
    }
    if found.epochs_not_for_you > 0 {
        out.push_str(&format!(
            "; not looked at: {} periods of writers whose records are not sealed to you",
            found.epochs_not_for_you
        ));
    }
    if !found.hashes_only.is_empty() {
        out.push_str(&format!(
            "; of {} more the server sent only the hashes: erased, or withheld (a vault tells which)",
            found.hashes_only.len()
        ));
    }
    if !found.unopened.is_empty() {
        let ids: Vec<String> = found.unopened.iter().take(5).map(|r| record_id(*r)).collect();
        out.push_str(&format!(
            "; {} more carry the tags and do not open for you ({}…)",
            found.unopened.len(),
            ids.join(", ")
        ));
    }
    for (writer, why) in &found.unsearchable {
        out.push_str(&format!("; not searchable: records of {}: {}", printable(writer), printable(why)));
    }
    if found.granted {
        out.push_str("; not looked at: records granted to you, which a vault searches too");
    }
    for (writer, field) in &found.untagged {
        out.push_str(&format!("; not searchable: records of {} carry no tag {field:?}", printable(writer)));
    }
    for (writer, section) in &found.hidden {
        let writer = printable(writer);
        out.push_str(&format!(
            "; not searchable: section {section:?} of the records of {writer} is sealed to others"
        ));
    }
    out
}

const COLUMNS: [&str; 7] = ["record", "time", "actor", "action", "on", "result", "from"];

fn table(hits: &[Hit], to: &mut dyn RowSink) -> io::Result<()> {
    if hits.is_empty() {
        return Ok(());
    }
    to.columns(&COLUMNS.map(str::to_owned))?;
    for hit in hits {
        let f = hit.record.content.event().map(Facts::of).unwrap_or_default();
        let time = f.time.unwrap_or_else(|| format!("{} (sealed)", hit.record.sealed));
        let withheld = if hit.record.content.withheld().is_empty() { "" } else { "(sealed to others)" };
        let on = f.resource.or(f.patient).unwrap_or_else(|| withheld.to_owned());
        let result = f.outcome.map(|o| o.as_str().to_owned()).or(f.result).unwrap_or_default();
        let cells = [
            record_id(hit.record.index),
            time,
            f.actor.or(f.actor_name).unwrap_or_default(),
            f.action.or(f.event_type).unwrap_or_default(),
            on,
            result,
            f.address.unwrap_or_default(),
        ];
        to.row(&cells.map(Value::Text))?;
    }
    to.end()
}

fn json(found: &Found, basis: &str) -> Outcome {
    let hit = |h: &Hit| {
        let event = h.record.content.event().unwrap_or_default();
        serde_json::json!({
            "record": h.record.index, "id": record_id(h.record.index), "block": h.record.block,
            "committed": h.record.committed.to_string(), "sealed": h.record.sealed.to_string(),
            "writer": &*h.record.writer, "withheld": h.record.content.withheld(),
            "event": serde_json::from_slice::<serde_json::Value>(event).unwrap_or_default(),
        })
    };
    print_json(&serde_json::json!({
        "hits": found.hits.iter().map(hit).collect::<Vec<_>>(),
        "cut": found.cut, "erased": found.erased, "hashes_only": found.hashes_only, "unopened": found.unopened,
        "unsearchable": found.unsearchable, "granted_not_searched": found.granted, "epochs_not_for_you": found.epochs_not_for_you,
        "untagged": found.untagged, "hidden_sections": found.hidden, "basis": basis, "now": Timestamp::now().to_string(),
    }))
}

impl From<SearchError> for Failure {
    fn from(e: SearchError) -> Failure {
        match e {
            SearchError::Nothing
            | SearchError::Roster(_)
            | SearchError::Empty(_)
            | SearchError::NotAReader
            | SearchError::UnknownField(..) => Failure::usage(e),
            SearchError::Client(e) => e.into(),
            SearchError::Record(e) => e.into(),
            SearchError::Vault(e) => e.into(),
            SearchError::Ledger(e) => e.into(),
            SearchError::Records(e) => e.into(),
            SearchError::Answer(_) => Failure::Wrong(e.to_string()),
        }
    }
}
