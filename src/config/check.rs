//! From the text of a settings file to [`Settings`]: every rule a setting must follow, each complaint with
//! its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::settings::*;
use super::writer_settings::{WriterReader, WriterSettings};
use crate::base::limits::MAX_NAME_BYTES;
use crate::chain::key::is_key_name;
use crate::event::pattern::Pattern;
use crate::event::policy::{Policy, PolicyError, ReaderChoice, SectionPolicy, TagField};

const RETAIN_YEARS: Range<i64> = 1..101;
const HEARTBEAT_MINUTES: Range<i64> = 1..1441;

/// A problem at a byte offset of the text.
pub(super) struct Problem {
    pub at: usize,
    pub text: String,
}

/// Reads the text of a settings file that stands in `folder`.
pub(super) fn settings(text: &str, folder: &Path) -> Result<Settings, Problem> {
    from_toml::<RawSettings>(text)?.check(folder)
}

/// Reads the text of a remote writer's settings file that stands in `folder`.
pub(super) fn writer_settings(text: &str, folder: &Path) -> Result<WriterSettings, Problem> {
    from_toml::<RawWriter>(text)?.check(folder)
}

fn from_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|e| Problem {
        at: e.span().map_or(0, |s| s.start),
        text: match e.message() {
            m if m.starts_with("unknown field") => format!("{m}; remove it or correct its spelling"),
            m => m.to_owned(),
        },
    })
}

fn problem<T>(at: &Spanned<impl Sized>, text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { at: at.span().start, text: text.into() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    ledger: Spanned<String>,
    listen: Option<Spanned<String>>,
    tls_cert: Option<Spanned<PathBuf>>,
    tls_key: Option<Spanned<PathBuf>>,
    #[serde(default)]
    allow_plaintext: bool,
    keys: Option<PathBuf>,
    database: Option<PathBuf>,
    #[serde(default)]
    gateway: RawGateway,
    #[serde(default)]
    section: Vec<Spanned<RawSection>>,
    tags: Option<Spanned<BTreeMap<String, Vec<Spanned<String>>>>>,
    access_log: Option<Spanned<RawAccessLog>>,
}

/// A remote writer's settings: the parts of a ledger's that concern sealing, and who the readers are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWriter {
    ledger: Spanned<String>,
    ledger_key: String,
    key: PathBuf,
    search: Option<PathBuf>,
    retain_years: Option<Spanned<i64>>,
    #[serde(default)]
    reader: Vec<Spanned<WriterReader>>,
    #[serde(default)]
    section: Vec<Spanned<RawSection>>,
    tags: Option<Spanned<BTreeMap<String, Vec<Spanned<String>>>>>,
}

impl RawWriter {
    fn check(self, folder: &Path) -> Result<WriterSettings, Problem> {
        if self.reader.is_empty() {
            let text = "no reader: write a [[reader]] with name and recipient for each who may read";
            return Err(Problem { at: self.ledger.span().start, text: text.into() });
        }
        let key = folder.join(self.key);
        let search = self.search.map_or_else(|| key.with_extension("search"), |s| folder.join(s));
        let rest = RawSettings {
            ledger: self.ledger,
            listen: None,
            tls_cert: None,
            tls_key: None,
            allow_plaintext: false,
            keys: None,
            database: None,
            gateway: RawGateway { retain_years: self.retain_years, ..RawGateway::default() },
            section: self.section,
            tags: self.tags,
            access_log: None,
        }
        .check(folder)?;
        Ok(WriterSettings {
            ledger: rest.ledger,
            ledger_key: if self.ledger_key.contains('+') {
                self.ledger_key
            } else {
                folder.join(self.ledger_key).to_string_lossy().into_owned()
            },
            key,
            search,
            retain_years: rest.gateway.retain_years,
            readers: self.reader.into_iter().map(Spanned::into_inner).collect(),
            policy: rest.policy,
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    writer: Option<Spanned<String>>,
    retain_years: Option<Spanned<i64>>,
    heartbeat_minutes: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSection {
    name: String,
    readers: Spanned<Vec<String>>,
    #[serde(default)]
    pointers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccessLog {
    readers: Spanned<Vec<String>>,
}

impl RawSettings {
    fn check(self, folder: &Path) -> Result<Settings, Problem> {
        let policy = self.policy()?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => {
                Some(TlsFiles { cert: folder.join(cert.into_inner()), key: folder.join(key.into_inner()) })
            }
            (None, None) => None,
            (Some(there), None) => return problem(&there, "tls_cert needs tls_key beside it"),
            (None, Some(there)) => return problem(&there, "tls_key needs tls_cert beside it"),
        };
        let listen = listen(self.listen, tls.is_some() || self.allow_plaintext)?;
        let writer = match self.gateway.writer {
            Some(name) => key_name(name, "writer")?,
            None => default_writer(self.ledger.get_ref()),
        };
        let years = number(self.gateway.retain_years, "retain_years", RETAIN_YEARS)?;
        let minutes = number(self.gateway.heartbeat_minutes, "heartbeat_minutes", HEARTBEAT_MINUTES)?;
        Ok(Settings {
            ledger: key_name(self.ledger, "ledger")?,
            listen,
            tls,
            keys: folder.join(self.keys.unwrap_or_else(|| DEFAULT_KEYS.into())),
            database: folder.join(self.database.unwrap_or_else(|| DEFAULT_DATABASE.into())),
            gateway: Gateway {
                writer,
                retain_years: years.unwrap_or(DEFAULT_RETAIN_YEARS),
                heartbeat_minutes: minutes.unwrap_or(DEFAULT_HEARTBEAT_MINUTES),
            },
            policy,
        })
    }

    fn policy(&self) -> Result<Policy, Problem> {
        let mut policy = Policy::default();
        if !self.section.is_empty() {
            policy.sections = self.section.iter().map(|s| s.get_ref().check()).collect::<Result<_, _>>()?;
        }
        for (name, pointers) in self.tags.iter().flat_map(|t| t.get_ref()) {
            let pointers = patterns(pointers)?;
            let known = policy.tags.iter().position(|t| t.name == *name);
            match (known, pointers.is_empty()) {
                (Some(at), true) => drop(policy.tags.remove(at)),
                (None, true) => {}
                (Some(_), false) => {
                    policy
                        .tags
                        .iter_mut()
                        .filter(|t| t.name == *name)
                        .for_each(|t| t.pointers = pointers.clone());
                }
                (None, false) => policy.tags.push(TagField { name: name.clone(), pointers }),
            }
        }
        if let Some(log) = &self.access_log {
            policy.access_log = readers(&log.get_ref().readers)?;
        }
        match policy.compile() {
            Ok(_) => Ok(policy),
            Err(e) => Err(Problem { at: self.blame(&e), text: e.to_string() }),
        }
    }

    /// Where the part of the file stands that a policy error is about.
    fn blame(&self, e: &PolicyError) -> usize {
        let section = |name: &str| self.section.iter().rev().find(|s| s.get_ref().name == *name);
        let name = match e {
            PolicyError::Name(n)
            | PolicyError::Label(n)
            | PolicyError::Twice(n)
            | PolicyError::FirstHasPointers(n)
            | PolicyError::NoPointers(n)
            | PolicyError::NoReaders(n) => Some(n),
            PolicyError::Overlap { inner_section, .. } => Some(inner_section),
            PolicyError::Sections(_) | PolicyError::TagFields(_) | PolicyError::TooComplex => None,
        };
        let tags = || self.tags.as_ref().map(|t| t.span().start);
        let last = || self.section.last().map(|s| s.span().start);
        match (name, e) {
            (Some(name), _) => section(name).map(|s| s.span().start).or_else(tags).or_else(last),
            (None, PolicyError::Sections(_)) => last(),
            (None, _) => tags().or_else(last),
        }
        .unwrap_or(0)
    }
}

impl RawSection {
    fn check(&self) -> Result<SectionPolicy, Problem> {
        Ok(SectionPolicy {
            name: self.name.clone(),
            readers: readers(&self.readers)?,
            pointers: patterns(&self.pointers)?,
        })
    }
}

/// A server that takes events and tokens in clear text is for this machine only.
fn listen(setting: Option<Spanned<String>>, clear_text_is_settled: bool) -> Result<SocketAddr, Problem> {
    let setting = setting.unwrap_or_else(|| Spanned::new(0..0, DEFAULT_LISTEN.into()));
    let text = setting.get_ref();
    let Ok(address) = text.parse::<SocketAddr>() else {
        let text = format!("listen is {text:?}; write an IP address and a port, like {DEFAULT_LISTEN:?}");
        return problem(&setting, text);
    };
    if !address.ip().to_canonical().is_loopback() && !clear_text_is_settled {
        return problem(
            &setting,
            format!(
                "listen is {text:?}, which other machines can reach, and without TLS everyone on the way could read \
                 events and tokens: set tls_cert and tls_key, or, behind a proxy that does TLS, allow_plaintext = true"
            ),
        );
    }
    Ok(address)
}

fn key_name(name: Spanned<String>, setting: &str) -> Result<String, Problem> {
    if !is_key_name(name.get_ref()) {
        let text = format!(
            "{setting} is {:?}; a key name is 1 to {MAX_NAME_BYTES} bytes without spaces, control characters or +, \
             like \"hospital.example/audit\"",
            name.get_ref()
        );
        return problem(&name, text);
    }
    Ok(name.into_inner())
}

fn number<T: TryFrom<i64>>(
    setting: Option<Spanned<i64>>,
    name: &str,
    range: Range<i64>,
) -> Result<Option<T>, Problem> {
    let Some(setting) = setting else { return Ok(None) };
    let n = *setting.get_ref();
    match T::try_from(n) {
        Ok(value) if range.contains(&n) => Ok(Some(value)),
        _ => problem(&setting, format!("{name} is {n}; choose {} to {}", range.start, range.end - 1)),
    }
}

fn readers(names: &Spanned<Vec<String>>) -> Result<ReaderChoice, Problem> {
    match names.get_ref().as_slice() {
        [] => problem(names, "readers is empty; name at least one, or \"*\" for all"),
        [all] if all == "*" => Ok(ReaderChoice::All),
        many if many.iter().any(|n| n == "*") => {
            problem(names, "\"*\" means all readers; leave it alone, or name readers without it")
        }
        many => Ok(ReaderChoice::Named(many.to_vec())),
    }
}

fn patterns(pointers: &[Spanned<String>]) -> Result<Vec<Pattern>, Problem> {
    let parse = |p: &Spanned<String>| {
        Pattern::parse(p.get_ref())
            .map_err(|e| Problem { at: p.span().start, text: format!("the pointer {:?} {e}", p.get_ref()) })
    };
    pointers.iter().map(parse).collect()
}
