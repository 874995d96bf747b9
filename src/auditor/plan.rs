//! Which tags a search has to ask for: those of the wanted values, in every search epoch whose secret an identity holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::batch::Header;
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_SEARCH_TAGS;
use crate::base::record::Tag;
use crate::base::threads::in_parts;
use crate::ledger::epoch_of;
use crate::seal::open::OpenError;
use crate::seal::reader_key::Identity;
use crate::seal::tag::blind_tag;

use super::batch::BatchOpener;
use super::granted::Granted;
use super::search::{Criteria, Found, SearchError};

/// The tags to look for, clause by clause.
pub(super) struct Plan {
    pub(super) clauses: Vec<Vec<Tag>>,
}

/// One epoch: what its own header and grants of its batches give together.
struct Epoch {
    writer: String,
    sections: Vec<String>,
    /// Names of the sections whose secret is known.
    known: BTreeSet<String>,
    /// Its writer tags every field that is asked for.
    tagged: bool,
    clauses: Vec<BTreeSet<Tag>>,
}

/// Makes the tags of all criteria for every epoch. `headers` are batch headers with their blocks' heights; several may be of one
/// epoch.
pub(super) fn plan(
    criteria: &Criteria,
    identities: &[Identity],
    headers: impl Iterator<Item = Result<(u64, Header), SearchError>>,
    granted: &Granted,
    found: &mut Found,
) -> Result<Vec<Plan>, SearchError> {
    let mut epochs: Vec<Epoch> = Vec::new();
    let (mut open, mut closed) = (BTreeMap::new(), BTreeSet::new());
    let mut known_fields = BTreeSet::new();
    let earliest = criteria.from.map(|t| month_before(&t));
    // An event cannot be sealed before it happens; a month of leeway covers clocks and time zones.
    let too_early = |header: &Header| {
        earliest.as_ref().is_some_and(|month| header.period.get(..7).is_some_and(|p| p < month.as_str()))
    };
    let headers = headers.filter(|h| !matches!(h, Ok((_, header)) if too_early(header)));
    for opened in open_headers(headers, identities, granted) {
        let (header, opener) = opened?;
        let key = epoch_of(&header);
        let opener = match opener {
            Ok(opener) => opener,
            Err(OpenError::NotAReader(_)) => {
                closed.insert(key);
                continue;
            }
            // One writer's broken header must not end all searching.
            Err(e) => {
                found.unsearchable.push((header.writer.clone(), e.to_string()));
                continue;
            }
        };
        known_fields.extend(header.tag_fields.iter().cloned());
        let place = *open.entry(key).or_insert(epochs.len());
        if place == epochs.len() {
            let clauses = criteria.fields.iter().map(|_| BTreeSet::new()).collect();
            let (writer, sections) = (header.writer.clone(), opener.section_names().to_vec());
            let tagged = criteria.fields.iter().all(|(f, _)| header.tag_fields.contains(f));
            epochs.push(Epoch { writer, sections, known: BTreeSet::new(), tagged, clauses });
        }
        let missing: Vec<_> =
            criteria.fields.iter().filter(|(f, _)| !header.tag_fields.contains(f)).collect();
        let Some(epoch) = epochs.get_mut(place).filter(|e| e.tagged) else {
            found.untagged.extend(missing.iter().map(|(f, _)| (header.writer.clone(), f.clone())));
            continue;
        };
        let secrets = match opener.search_secrets() {
            Ok(secrets) => secrets,
            Err(e) => {
                found.unsearchable.push((header.writer.clone(), e.to_string()));
                continue;
            }
        };
        for (section, secret) in secrets {
            epoch.known.insert(section.to_owned());
            for ((field, value), clause) in criteria.fields.iter().zip(&mut epoch.clauses) {
                let spellings = Criteria::spellings(value);
                clause.extend(spellings.iter().map(|s| blind_tag(secret, field, s.as_bytes())));
            }
        }
    }
    closed.retain(|key| !open.contains_key(key));
    found.epochs_not_for_you = closed.len();
    let mut plans: Vec<Plan> = Vec::new();
    for epoch in epochs.into_iter().filter(|e| e.tagged) {
        let hidden = epoch.sections.iter().filter(|name| !epoch.known.contains(*name));
        found.hidden.extend(hidden.map(|name| (epoch.writer.clone(), name.clone())));
        let size = |p: &Plan| p.clauses.iter().map(Vec::len).sum::<usize>();
        let more: usize = epoch.clauses.iter().map(BTreeSet::len).sum();
        match plans.last_mut() {
            Some(last) if size(last) + more <= MAX_SEARCH_TAGS => {
                last.clauses.iter_mut().zip(epoch.clauses).for_each(|(old, new)| old.extend(new));
            }
            _ => plans
                .push(Plan { clauses: epoch.clauses.into_iter().map(|c| c.into_iter().collect()).collect() }),
        }
    }
    for list in [&mut found.untagged, &mut found.hidden, &mut found.unsearchable] {
        list.sort();
        list.dedup();
    }
    if plans.is_empty() && found.epochs_not_for_you > 0 && known_fields.is_empty() {
        return Err(SearchError::NotAReader);
    }
    let unknown = criteria.fields.iter().find(|(f, _)| !known_fields.contains(f));
    if let (Some((field, _)), false) = (unknown, known_fields.is_empty()) {
        let names: Vec<String> = known_fields.into_iter().collect();
        return Err(SearchError::UnknownField(field.clone(), names.join(", ")));
    }
    Ok(plans)
}

/// Headers opened at once.
const AT_ONCE: usize = 256;

type OpenedHeader = (Header, Result<BatchOpener, OpenError>);

/// Does the public-key work of headers, some of them at a time. Ends after an error.
fn open_headers<'a>(
    mut headers: impl Iterator<Item = Result<(u64, Header), SearchError>> + 'a,
    identities: &'a [Identity],
    granted: &'a Granted,
) -> impl Iterator<Item = Result<OpenedHeader, SearchError>> + 'a {
    let mut ahead = VecDeque::new();
    std::iter::from_fn(move || {
        if ahead.is_empty() {
            let some: Vec<(u64, Header)> = match headers.by_ref().take(AT_ONCE).collect() {
                Ok(some) => some,
                Err(e) => return Some(Err(e)),
            };
            let open = |(height, header): &(u64, Header)| {
                BatchOpener::new(identities, header, &granted.batch(*height))
            };
            let openers = in_parts(&some, |part| part.iter().map(open).collect::<Vec<_>>());
            ahead.extend(some.into_iter().map(|(_, header)| header).zip(openers.into_iter().flatten()));
        }
        ahead.pop_front().map(Ok)
    })
}

fn month_before(t: &Timestamp) -> String {
    let date = t.date();
    let year: i32 = date.get(..4).and_then(|y| y.parse().ok()).unwrap_or(0);
    let month: i32 = date.get(5..7).and_then(|m| m.parse().ok()).unwrap_or(1);
    if month > 1 { format!("{year:04}-{:02}", month - 1) } else { format!("{:04}-12", year - 1) }
}
