//! Searching by blind tags: the auditor makes the tags of the wanted values for every search epoch it holds the secret of, asks where they stand, and
//! believes only what it then verifies and opens itself. Works on a server without downloading the ledger, and on a vault.

use std::collections::BTreeSet;

use crate::api::message::SearchRequest;
use crate::base::batch::Header;
use crate::base::clock::Timestamp;
use crate::base::hash::from_base64;
use crate::base::limits::{MAX_EPOCH_PAGES, MAX_RECORDS_PER_REQUEST, MAX_SEARCH_HITS, MAX_SEARCH_PAGES};
use crate::base::record::Tag;
use crate::base::threads::in_parts;
use crate::chain::batch::header_hash;
use crate::chain::block::Block;
use crate::chain::key::VerifierKey;
use crate::chain::proof::Proof;
use crate::chain::statement::Statement;
use crate::client::{Client, ClientError};
use crate::event::error::EventError;
use crate::event::json::Parser;
use crate::event::normalise::{REFERENCE_TYPES, normalise_into, normalise_text};
use crate::ledger::{LedgerError, epochs, find_tagged};
use crate::seal::reader_key::Identity;
use crate::store::{Store, StoreError};

use super::facts::Facts;
use super::granted::Granted;
use super::open::{OpenRecordError, open_proven};
use super::paging::Pages;
use super::plan::plan;
use super::record::{AuditRecord, Content, RecordsError};
use super::vault::{Vault, VaultError, VaultRecords, View};

/// Why a search could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// No field given, or none with a value.
    #[error(
        "nothing to search for: give at least one of --actor, --patient, --resource, --action, --result, --address \
         or --tag NAME=VALUE"
    )]
    Nothing,
    /// A value that no tag is made of.
    #[error("{0:?} is empty after trimming, and empty values carry no tag")]
    Empty(String),
    /// The identity reads nothing here.
    #[error(
        "none of your identities is a reader of any batch of this ledger, so there is nothing you could search. \
         Ask the admin to add you, or for a grant to older records"
    )]
    NotAReader,
    /// A field no writer tags.
    #[error(
        "no writer of this ledger makes {0:?} searchable; the searchable fields are: {1}. `audit sql` finds any other value in a vault"
    )]
    UnknownField(String, String),
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something the server sent does not hold.
    #[error(transparent)]
    Record(#[from] OpenRecordError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault's records.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The vault's proofs.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The roster is not the admin's.
    #[error(
        "the roster in force is not signed by {0}, so it cannot be told which writers' search keys to believe: \
         check --admin, or make a vault with `sealtrail audit sync` and search that"
    )]
    Roster(String),
    /// A server's answer that has not the form it must have.
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
}

impl From<StoreError> for SearchError {
    fn from(e: StoreError) -> Self {
        VaultError::Store(e).into()
    }
}

/// What to look for: every field must match.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// Name of a searchable field and the value wanted.
    pub fields: Vec<(String, String)>,
    /// Events at this time or later; by the event's own time, or the sealing time if it has none.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Most hits.
    pub limit: usize,
}

impl Criteria {
    /// Spellings under which a value may have been tagged, normalised: a bare id and FHIR references to it.
    pub(super) fn spellings(value: &str) -> Vec<String> {
        let Some(plain) = normalise_text(value) else { return Vec::new() };
        let types = REFERENCE_TYPES.map(str::to_ascii_lowercase);
        let (kind, id) = plain.split_once('/').unwrap_or(("", &plain));
        if id.contains(['/', ':']) || !(kind.is_empty() || types.iter().any(|t| t == kind)) {
            return vec![plain];
        }
        // Some senders write the reference, some the bare id.
        let with = |t: &String| format!("{t}/{id}");
        let references: Vec<String> = match kind {
            "" => types.iter().map(with).collect(),
            _ => vec![plain.clone()],
        };
        [vec![id.to_owned()], references].concat()
    }

    fn check(&self) -> Result<(), SearchError> {
        if self.fields.is_empty() {
            return Err(SearchError::Nothing);
        }
        match self.fields.iter().find(|(_, value)| normalise_text(value).is_none()) {
            Some((_, value)) => Err(SearchError::Empty(value.clone())),
            None => Ok(()),
        }
    }

    /// Whether an event has every value somewhere, and its time in the range. Tags are 8 bytes and made by writers: what they say is checked.
    fn matches(&self, parser: &mut Parser, record: &AuditRecord) -> Result<bool, EventError> {
        let Some(event) = record.content.event() else { return Ok(false) };
        let time = Facts::of(event).time.and_then(|t| Timestamp::parse(&t)).unwrap_or(record.sealed);
        if self.from.is_some_and(|from| time < from) || self.to.is_some_and(|to| time >= to) {
            return Ok(false);
        }
        let mut values = BTreeSet::new();
        // An event without its first section stands as one section a line; JSON text itself has no line break left out of a string.
        let lines: Vec<&[u8]> = match record.content.withheld() {
            [] => vec![event],
            _ if parser.parse(event).is_ok() => vec![event],
            _ => event.split(|b| *b == b'\n').collect(),
        };
        for line in lines {
            for field in parser.parse(line)? {
                let mut text = String::new();
                if normalise_into(&field.value, &mut text) {
                    values.insert(text);
                }
            }
        }
        Ok(self.fields.iter().all(|(_, wanted)| Self::spellings(wanted).iter().any(|s| values.contains(s))))
    }
}

/// A record that matches.
#[derive(Debug)]
pub struct Hit {
    /// The record, opened.
    pub record: AuditRecord,
    /// Its existence proof as the server gave it, verified. `None` from a vault, which makes proofs on demand: [`Vault::proofs`].
    pub proof: Option<Proof>,
}

/// What a search found and what it could not look into.
#[derive(Debug, Default)]
pub struct Found {
    /// The hits, in the order of the ledger.
    pub hits: Vec<Hit>,
    /// More than the limit matched; the rest was not looked at.
    pub cut: bool,
    /// Records that carry the tags and are erased by order: index and, in a vault, the order's block.
    pub erased: Vec<u64>,
    /// Records of which the server sent only the hashes: erased, or withheld.
    pub hashes_only: Vec<u64>,
    /// Records that carry the tags and could not be opened: not for this identity, or not what a record must be.
    pub unopened: Vec<u64>,
    /// Epochs whose search secrets cannot be used: writer and why.
    pub unsearchable: Vec<(String, String)>,
    /// There are grants, which only a search in a vault looks into.
    pub granted: bool,
    /// Epochs (one writer, period and circle of readers) of which no identity is a reader.
    pub epochs_not_for_you: usize,
    /// Sections of searched epochs that no identity may read: values there cannot be searched. Writer and section.
    pub hidden: Vec<(String, String)>,
    /// Epochs whose writer does not tag one of the fields: writer and field.
    pub untagged: Vec<(String, String)>,
}

impl Found {
    /// Whether there is something that was not looked at, not searchable or not opened.
    pub fn has_gaps(&self) -> bool {
        self.granted
            || self.epochs_not_for_you > 0
            || !self.unopened.is_empty()
            || !self.hashes_only.is_empty()
            || !self.unsearchable.is_empty()
            || !self.hidden.is_empty()
            || !self.untagged.is_empty()
    }
}

/// The writers of the roster in force, which `admin` must have signed.
fn trusted_writers(
    client: &Client,
    key: &VerifierKey,
    admin: &VerifierKey,
) -> Result<Vec<VerifierKey>, SearchError> {
    let block = Block::parse(&client.block(client.ledger()?.roster_block)?)
        .map_err(|e| SearchError::Answer(e.to_string()))?;
    let note = &block.statement;
    let signed = note.is_signed_by(admin);
    match Statement::parse(&note.text) {
        Ok(Statement::Roster(roster)) if signed && roster.ledger_key == *key => Ok(roster.writers),
        _ => Err(SearchError::Roster(admin.to_string())),
    }
}

/// Whether a batch header is one that a trusted writer signed. Anybody can seal a search secret of their choice to a reader's public
/// key; tags made with it would tell them what is searched for.
fn is_signed(
    client: &Client,
    writers: &[VerifierKey],
    height: u64,
    header: &[u8],
) -> Result<bool, SearchError> {
    let block = Block::parse(&client.block(height)?).map_err(|e| SearchError::Answer(e.to_string()))?;
    let Ok(Statement::Records(statement)) = Statement::parse(&block.statement.text) else { return Ok(false) };
    let note = &block.statement;
    Ok(statement.header_hash == header_hash(header) && writers.iter().any(|w| note.is_signed_by(w)))
}

/// One of the headers that begin an epoch, and whether a trusted writer signed it.
fn check_epoch(
    client: &Client,
    key: &VerifierKey,
    writers: &[VerifierKey],
    height: u64,
    header: &str,
) -> Result<(u64, Header, bool), SearchError> {
    let bytes =
        from_base64(header).ok_or_else(|| SearchError::Answer("a header is not base64".to_owned()))?;
    let header = Header::decode(&bytes).map_err(|e| SearchError::Answer(e.to_string()))?;
    if header.ledger != key.name() {
        return Err(SearchError::Answer(format!("a header is of the ledger {}", header.ledger)));
    }
    let signed = is_signed(client, writers, height, &bytes)?;
    Ok((height, header, signed))
}

/// Searches a ledger behind a server. The client must have a session, and `admin` must have signed the roster in force. What is found is
/// proven; that the server named everything is not: for that, sync a vault. What was granted is searched in a vault only: the
/// secrets of a grant are as honest as the granter.
pub fn search_server(
    client: &Client,
    key: &VerifierKey,
    admin: &VerifierKey,
    identities: &[Identity],
    criteria: &Criteria,
) -> Result<Found, SearchError> {
    criteria.check()?;
    let mut found = Found::default();
    let answer = |what: String| SearchError::Answer(what);
    let writers = trusted_writers(client, key, admin)?;
    let mut headers = Vec::new();
    let mut from = 0;
    let mut pages = Pages::new(MAX_EPOCH_PAGES);
    loop {
        let page = client.epochs(from)?;
        found.granted |= !page.granted.is_empty();
        let told = from.saturating_add(page.epochs.len().max(1) as u64);
        headers.extend(page.epochs.into_iter().map(|e| (e.block, e.header)));
        match pages.after(told, page.next).map_err(|e| answer(e.to_string()))? {
            Some(next) => from = next,
            None => break,
        }
    }
    let mut believed = Vec::new();
    let check = |(height, header): &(u64, String)| check_epoch(client, key, &writers, *height, header);
    for part in in_parts(&headers, |part| part.iter().map(check).collect::<Result<Vec<_>, _>>()) {
        for (height, header, signed) in part? {
            if signed {
                believed.push(Ok((height, header)));
            } else {
                let why = "not signed by a writer of the roster in force".to_owned();
                found.unsearchable.push((header.writer, why));
            }
        }
    }
    let plans = plan(criteria, identities, believed.into_iter(), &Granted::default(), &mut found)?;
    let mut parser = Parser::new();
    let mut pages = Pages::new(MAX_SEARCH_PAGES);
    'plans: for plan in plans {
        let hex = |tags: &Vec<Tag>| tags.iter().map(|t| format!("{:016x}", u64::from_be_bytes(*t))).collect();
        let all: Vec<Vec<String>> = plan.clauses.iter().map(hex).collect();
        let mut from = 0;
        loop {
            let limit = MAX_RECORDS_PER_REQUEST.min(MAX_SEARCH_HITS);
            let page = client.search(&SearchRequest { all: all.clone(), from, limit })?;
            let mut rest = page.records.as_slice();
            if !rest.is_sorted_by(|a, b| a < b) || rest.first().is_some_and(|r| *r < from) {
                return Err(answer("the records found are not in order".into()));
            }
            while !rest.is_empty() {
                let wanted = rest.get(..MAX_RECORDS_PER_REQUEST).unwrap_or(rest);
                let got = open_proven(client, identities, key, wanted)?;
                rest = rest.get(got.len()..).unwrap_or_default();
                for (record, proof) in got {
                    let Some(record) = record else {
                        found.hashes_only.push(proof.record);
                        continue;
                    };
                    if !take(&mut parser, criteria, &mut found, record, Some(proof)) {
                        break 'plans;
                    }
                }
            }
            let told = page.records.last().copied().unwrap_or(from).saturating_add(1);
            match pages.after(told, page.next).map_err(|e| answer(e.to_string()))? {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    found.hits.sort_by_key(|h| h.record.index);
    Ok(found)
}

/// Searches a vault. Complete: every batch's tags were verified when it was downloaded.
pub fn search_vault(
    vault: &Vault,
    view: &View,
    records: &VaultRecords,
    identities: &[Identity],
    criteria: &Criteria,
) -> Result<Found, SearchError> {
    criteria.check()?;
    let mut found = Found::default();
    let store: &dyn Store = vault.store();
    let damaged =
        |why: String| SearchError::Vault(VaultError::Damaged { dir: vault.dir().display().to_string(), why });
    let granted = vault.granted(identities)?;
    let mut heights = epochs(store, 0, u64::MAX)?;
    heights.extend(granted.blocks());
    let headers = heights.into_iter().filter(|h| *h < view.as_of.blocks).map(|height| {
        let info = store.block_info(height)?.ok_or_else(|| damaged(format!("block {height} is missing")))?;
        let first =
            store.record(info.first_record)?.ok_or_else(|| damaged(format!("block {height} is empty")))?;
        // A damaged one would not open, and what it leads to would be passed over.
        match vault.block(height)? {
            (_, Statement::Records(s)) if s.header_hash == header_hash(&first.header) => {}
            _ => return Err(damaged(format!("the header of block {height} is not what its writer signed"))),
        }
        Ok((height, Header::decode(&first.header).map_err(|e| damaged(e.to_string()))?))
    });
    let plans = plan(criteria, identities, headers, &granted, &mut found)?;
    let mut parser = Parser::new();
    'plans: for plan in plans {
        let mut from = 0;
        loop {
            let page = find_tagged(store, &plan.clauses, from, view.as_of.records, MAX_RECORDS_PER_REQUEST)?;
            for record in records.pick(&page.records)? {
                if !take(&mut parser, criteria, &mut found, record, None) {
                    break 'plans;
                }
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    found.hits.sort_by_key(|h| h.record.index);
    Ok(found)
}

/// Takes a candidate in if it matches; false once the limit is reached.
fn take(
    parser: &mut Parser,
    criteria: &Criteria,
    found: &mut Found,
    record: AuditRecord,
    proof: Option<Proof>,
) -> bool {
    match record.content {
        Content::Opened { .. } => {}
        Content::Erased { .. } => {
            found.erased.push(record.index);
            return true;
        }
        Content::NotForYou | Content::Unreadable { .. } => {
            found.unopened.push(record.index);
            return true;
        }
    }
    if !criteria.matches(parser, &record).unwrap_or(false) {
        return true;
    }
    if found.hits.len() >= criteria.limit {
        found.cut = true;
        return false;
    }
    found.hits.push(Hit { record, proof });
    true
}
