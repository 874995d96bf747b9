//! Which witnesses a verifier wants to see on a checkpoint: C2SP tlog-policy. `docs/FORMAT.md` §9.
//!
//! Names are opaque bytes there, so the file is read as bytes. Keys are C2SP verifier keys: Ed25519 (type 0x01) for logs,
//! cosignature/v1 (type 0x04) for witnesses.

use std::collections::HashSet;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::key::{KeyError, KeyKind, VerifierKey};
use super::text::parse_number;
use crate::base::clock::Timestamp;
use crate::base::limits::{MAX_POLICY_BYTES, MAX_POLICY_ENTRIES};

/// Predefined name of the quorum that needs nobody.
const NONE: &[u8] = b"none";

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Tab and newline are the only control characters.
    #[error("it has a control character other than tab and newline (save the file with Unix line endings)")]
    ControlCharacter,
    /// Not one of the four kinds of lines.
    #[error("it starts with none of: log, witness, group, quorum, #")]
    Keyword,
    /// Too few or too many words.
    #[error("expected: {0}")]
    Form(&'static str),
    /// The key does not parse or is of the other kind.
    #[error("the key is not usable here: {0}")]
    Key(KeyError),
    /// The same public key twice.
    #[error("this public key is on another line already")]
    DuplicateKey,
    /// The name is taken, or is `none`.
    #[error("the name {0} is in use already")]
    NameTaken(String),
    /// The name stands for nothing yet.
    #[error("{0} is the name of no witness or group on a line above")]
    UnknownName(String),
    /// A name is a member of two groups, or twice of one.
    #[error("{0} is a member of a group already; each name may be one once")]
    SecondMembership(String),
    /// Neither `any`, `all` nor a number from 1 to the number of members.
    #[error("the threshold must be any, all, or a number from 1 to the number of members")]
    Threshold,
    /// A second quorum line.
    #[error("there is a quorum line already")]
    SecondQuorum,
    /// More entries than [`MAX_POLICY_ENTRIES`].
    #[error("more than {MAX_POLICY_ENTRIES} entries of this kind")]
    TooMany,
}

/// Why a policy cannot be used, or is not met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Larger than [`MAX_POLICY_BYTES`].
    #[error("the witness policy is larger than {MAX_POLICY_BYTES} bytes")]
    TooLarge,
    /// One line is wrong.
    #[error("line {line} of the witness policy: {fault}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: LineFault,
    },
    /// No quorum line.
    #[error("the witness policy has no quorum line; `quorum none` asks for no witness")]
    NoQuorum,
    /// The policy lists logs, and this is none of them.
    #[error("the witness policy does not list the ledger {0} with this key")]
    UnknownLog(String),
    /// A known witness's line is wrong.
    #[error("{0}")]
    Cosignature(CheckpointError),
    /// Not enough witnesses.
    #[error("the checkpoint does not meet the witness policy: the quorum {quorum} is not reached; {}", signed_by(.cosigned))]
    Quorum {
        /// Name of the quorum.
        quorum: String,
        /// Names of the policy's witnesses that did cosign.
        cosigned: Vec<String>,
    },
}

fn signed_by(names: &[String]) -> String {
    if names.is_empty() {
        "none of its witnesses cosigned".to_owned()
    } else {
        format!("only {} cosigned", names.join(", "))
    }
}

/// A witness or a group, by its place among all named things of the policy.
type Id = usize;

enum Rule {
    Witness(VerifierKey),
    /// At least `threshold` of `members`, all of which have lower numbers.
    Group {
        threshold: usize,
        members: Vec<Id>,
    },
}

struct Named {
    name: Vec<u8>,
    rule: Rule,
    /// Whether a group has it as a member.
    member: bool,
}

/// A witness policy.
pub struct WitnessPolicy {
    logs: Vec<VerifierKey>,
    named: Vec<Named>,
    /// `None` asks for nobody.
    quorum: Option<Id>,
}

/// One witness's cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The witness's name in the policy.
    pub name: String,
    /// Name of its key.
    pub key: String,
    /// When it saw the checkpoint, by its own clock.
    pub time: Timestamp,
}

/// That a checkpoint meets a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Name of the quorum; `none` if the policy asks for nobody.
    pub quorum: String,
    /// The policy's witnesses that cosigned, in the policy's order.
    pub witnesses: Vec<Witnessed>,
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl WitnessPolicy {
    /// Reads a policy file.
    pub fn parse(bytes: &[u8]) -> Result<WitnessPolicy, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge);
        }
        let mut parser = Parser::default();
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
            parser.line(line).map_err(|fault| PolicyError::Line { line: i + 1, fault })?;
        }
        let quorum = parser.quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(WitnessPolicy { logs: parser.logs, named: parser.named, quorum })
    }

    /// Whether the checkpoint, whose signature by `ledger` has been verified, meets the policy.
    pub fn check(&self, checkpoint: &SignedCheckpoint, ledger: &VerifierKey) -> Result<Met, PolicyError> {
        if !self.logs.is_empty() && !self.logs.contains(ledger) {
            return Err(PolicyError::UnknownLog(ledger.to_string()));
        }
        let keys: Vec<VerifierKey> = self.named.iter().filter_map(Named::key).cloned().collect();
        let found = checkpoint.verify_cosignatures(&keys).map_err(PolicyError::Cosignature)?;
        let mut witnesses = Vec::new();
        // Members have lower numbers than their group: one pass settles everything.
        let mut counts = Vec::with_capacity(self.named.len());
        for named in &self.named {
            let count = match &named.rule {
                Rule::Witness(key) => match found.iter().find(|c| c.witness == key) {
                    Some(c) => {
                        let millis = i64::try_from(c.seconds).ok().and_then(|s| s.checked_mul(1000));
                        let time = millis.and_then(Timestamp::from_millis);
                        // A year beyond 9999 is no time anybody saw anything.
                        witnesses.extend(time.map(|time| Witnessed {
                            name: shown(&named.name),
                            key: key.name().to_owned(),
                            time,
                        }));
                        time.is_some()
                    }
                    None => false,
                },
                Rule::Group { threshold, members } => {
                    members.iter().filter(|m| counts.get(**m) == Some(&true)).count() >= *threshold
                }
            };
            counts.push(count);
        }
        let Some(id) = self.quorum else { return Ok(Met { quorum: shown(NONE), witnesses }) };
        let quorum = self.named.get(id).map(|n| shown(&n.name)).unwrap_or_default();
        if counts.get(id) == Some(&true) {
            return Ok(Met { quorum, witnesses });
        }
        Err(PolicyError::Quorum { quorum, cosigned: witnesses.into_iter().map(|w| w.name).collect() })
    }
}

impl Named {
    fn key(&self) -> Option<&VerifierKey> {
        if let Rule::Witness(key) = &self.rule { Some(key) } else { None }
    }
}

#[derive(Default)]
struct Parser {
    logs: Vec<VerifierKey>,
    named: Vec<Named>,
    witnesses: usize,
    /// Public keys of witnesses so far.
    points: HashSet<[u8; 32]>,
    quorum: Option<Option<Id>>,
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), LineFault> {
        if line.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(LineFault::ControlCharacter);
        }
        let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty());
        let Some(keyword) = words.next() else { return Ok(()) };
        let words: Vec<&[u8]> = words.collect();
        match keyword {
            _ if keyword.starts_with(b"#") => Ok(()),
            b"log" => self.log(&words),
            b"witness" => self.witness(&words),
            b"group" => self.group(&words),
            b"quorum" => self.set_quorum(&words),
            _ => Err(LineFault::Keyword),
        }
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), LineFault> {
        let ([vkey] | [vkey, _]) = words else { return Err(LineFault::Form("log VKEY [URL]")) };
        let key = key(vkey, KeyKind::Ed25519)?;
        if self.logs.iter().any(|l| l.public_bytes() == key.public_bytes()) {
            return Err(LineFault::DuplicateKey);
        }
        if self.logs.len() == MAX_POLICY_ENTRIES {
            return Err(LineFault::TooMany);
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), LineFault> {
        let ([name, vkey] | [name, vkey, _]) = words else {
            return Err(LineFault::Form("witness NAME VKEY [URL]"));
        };
        let key = key(vkey, KeyKind::CosignatureV1)?;
        if !self.points.insert(*key.public_bytes()) {
            return Err(LineFault::DuplicateKey);
        }
        if self.witnesses == MAX_POLICY_ENTRIES {
            return Err(LineFault::TooMany);
        }
        self.witnesses += 1;
        self.define(name, Rule::Witness(key))
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), LineFault> {
        let [name, threshold, members @ ..] = words else {
            return Err(LineFault::Form("group NAME any|all|NUMBER MEMBER…"));
        };
        if members.is_empty() {
            return Err(LineFault::Form("group NAME any|all|NUMBER MEMBER…"));
        }
        let threshold = match *threshold {
            b"any" => 1,
            b"all" => members.len(),
            digits => std::str::from_utf8(digits)
                .ok()
                .and_then(parse_number)
                .and_then(|k| usize::try_from(k).ok())
                .filter(|k| (1..=members.len()).contains(k))
                .ok_or(LineFault::Threshold)?,
        };
        let mut ids = Vec::with_capacity(members.len());
        for member in members {
            let id = self.find(member)?;
            let named = self.named.get_mut(id).ok_or_else(|| LineFault::UnknownName(shown(member)))?;
            if std::mem::replace(&mut named.member, true) {
                return Err(LineFault::SecondMembership(shown(member)));
            }
            ids.push(id);
        }
        if self.named.len() - self.witnesses == MAX_POLICY_ENTRIES {
            return Err(LineFault::TooMany);
        }
        self.define(name, Rule::Group { threshold, members: ids })
    }

    fn set_quorum(&mut self, words: &[&[u8]]) -> Result<(), LineFault> {
        let [name] = words else { return Err(LineFault::Form("quorum NAME")) };
        if self.quorum.is_some() {
            return Err(LineFault::SecondQuorum);
        }
        self.quorum = Some(if *name == NONE { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn define(&mut self, name: &[u8], rule: Rule) -> Result<(), LineFault> {
        if name == NONE || self.named.iter().any(|n| n.name == name) {
            return Err(LineFault::NameTaken(shown(name)));
        }
        self.named.push(Named { name: name.to_owned(), rule, member: false });
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Result<Id, LineFault> {
        let found = self.named.iter().position(|n| n.name == name);
        found.ok_or_else(|| LineFault::UnknownName(shown(name)))
    }
}

fn key(text: &[u8], kind: KeyKind) -> Result<VerifierKey, LineFault> {
    let text = std::str::from_utf8(text).map_err(|_| LineFault::Key(KeyError::VerifierForm))?;
    let key = VerifierKey::parse(text).map_err(LineFault::Key)?;
    if key.kind() == kind { Ok(key) } else { Err(LineFault::Key(KeyError::Kind(key.kind() as u8))) }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
