//! The roster: who may write, read, erase and witness. `docs/FORMAT.md` §7.

use std::fmt::Write as _;

use super::key::{KeyKind, VerifierKey, is_key_name};
use super::recipient::recipient_key;
use super::text::{Lines, TextError};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;

/// First line of a roster.
pub const ROSTER_KIND: &str = "sealtrail.org/roster/v1";
/// What ends a `reader` line if every batch must include the reader.
const REQUIRED: &str = " required";

/// A reader by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterReader {
    /// Name, under the rules of a key name.
    pub name: String,
    /// `age1…`
    pub recipient: String,
    /// Whether every batch must have this reader in its first section.
    pub required: bool,
}

/// Who may do what, from the block of this statement on. The keys of one kind ascend strictly by name;
/// none of them stands under two names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    /// Ledger origin.
    pub ledger: String,
    /// Number in the authority sequence.
    pub sequence: u64,
    /// Hash of the predecessor in the authority sequence.
    pub previous: Hash,
    /// When it was issued.
    pub issued: Timestamp,
    /// Signs checkpoints; its name is the origin.
    pub ledger_key: VerifierKey,
    /// May issue rosters and grants; at least one.
    pub admins: Vec<VerifierKey>,
    /// May issue records and heartbeats.
    pub writers: Vec<VerifierKey>,
    /// Whom batches are sealed for.
    pub readers: Vec<RosterReader>,
    /// How many officers an erasure needs; never more than there are. An erasure needs at least one
    /// whatever this says, so that zero stands for "no officers yet".
    pub officers_required: u64,
    /// May order erasures.
    pub officers: Vec<VerifierKey>,
    /// Cosign checkpoints (keys of type 0x04).
    pub witnesses: Vec<VerifierKey>,
}

impl Roster {
    /// The writer's key.
    pub fn writer(&self, name: &str) -> Option<&VerifierKey> {
        by_name(&self.writers, name)
    }

    /// The admin's key.
    pub fn admin(&self, name: &str) -> Option<&VerifierKey> {
        by_name(&self.admins, name)
    }

    /// The officer's key.
    pub fn officer(&self, name: &str) -> Option<&VerifierKey> {
        by_name(&self.officers, name)
    }

    /// The witness's key.
    pub fn witness(&self, name: &str) -> Option<&VerifierKey> {
        by_name(&self.witnesses, name)
    }

    /// The reader of that name.
    pub fn reader(&self, name: &str) -> Option<&RosterReader> {
        self.readers.iter().find(|r| r.name == name)
    }

    /// The reader with that recipient, `age1…`.
    pub fn reader_by_recipient(&self, recipient: &str) -> Option<&RosterReader> {
        self.readers.iter().find(|r| r.recipient == recipient)
    }

    /// The readers every batch must have in its first section.
    pub fn required_readers(&self) -> impl Iterator<Item = &RosterReader> {
        self.readers.iter().filter(|r| r.required)
    }

    /// Puts the keys of each kind in the order the format asks for.
    pub fn sort(&mut self) {
        for keys in [&mut self.admins, &mut self.writers, &mut self.officers, &mut self.witnesses] {
            keys.sort_by(|a, b| a.name().cmp(b.name()));
        }
        self.readers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Reads the lines after the first.
    pub(super) fn parse(mut l: Lines<'_>) -> Result<Roster, TextError> {
        let ledger = l.value("ledger")?.to_owned();
        let (sequence, previous) = (l.number("sequence")?, l.hash("previous")?);
        let issued = l.time("issued")?;
        let text = l.value("ledger-key")?;
        let ledger_key = l.key("ledger-key", text, KeyKind::Ed25519)?;
        if ledger_key.name() != ledger {
            return l.invalid("ledger-key", "its name must be the ledger's origin");
        }
        let admins = keys(&mut l, "admin", KeyKind::Ed25519)?;
        if admins.is_empty() {
            return l.invalid("admin", "at least one admin is needed");
        }
        let writers = keys(&mut l, "writer", KeyKind::Ed25519)?;
        let mut readers = Vec::new();
        while let Some(text) = l.optional("reader") {
            let (text, required) = text.strip_suffix(REQUIRED).map_or((text, false), |t| (t, true));
            let (name, recipient) = named_recipient(&l, "reader", text)?;
            readers.push(RosterReader { name, recipient, required });
        }
        if !readers.is_sorted_by(|a, b| a.name < b.name) {
            return l.invalid("reader", "names must ascend, each once");
        }
        let mut recipients: Vec<&str> = readers.iter().map(|r| r.recipient.as_str()).collect();
        recipients.sort_unstable();
        if !recipients.is_sorted_by(|a, b| a < b) {
            return l.invalid("reader", "one recipient has two names");
        }
        let officers_required = l.number("officers-required")?;
        let officers = keys(&mut l, "officer", KeyKind::Ed25519)?;
        if officers_required > officers.len() as u64 {
            return l.invalid("officers-required", "more than there are officers");
        }
        let witnesses = keys(&mut l, "witness", KeyKind::CosignatureV1)?;
        l.finish()?;
        Ok(Roster {
            ledger,
            sequence,
            previous,
            issued,
            ledger_key,
            admins,
            writers,
            readers,
            officers_required,
            officers,
            witnesses,
        })
    }

    /// Appends all lines, the first included.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{ROSTER_KIND}\nledger {}\nsequence {}\nprevious {}\nissued {}\nledger-key {}\n",
            self.ledger,
            self.sequence,
            self.previous.base64(),
            self.issued,
            self.ledger_key
        );
        let keys = |out: &mut String, name, keys: &[VerifierKey]| {
            for key in keys {
                let _ = writeln!(out, "{name} {key}");
            }
        };
        keys(out, "admin", &self.admins);
        keys(out, "writer", &self.writers);
        for r in &self.readers {
            let required = if r.required { REQUIRED } else { "" };
            let _ = writeln!(out, "reader {} {}{required}", r.name, r.recipient);
        }
        let _ = writeln!(out, "officers-required {}", self.officers_required);
        keys(out, "officer", &self.officers);
        keys(out, "witness", &self.witnesses);
    }
}

fn by_name<'k>(keys: &'k [VerifierKey], name: &str) -> Option<&'k VerifierKey> {
    keys.iter().find(|k| k.name() == name)
}

/// All lines `name VKEY` that stand here, ascending strictly by key name.
fn keys(l: &mut Lines<'_>, name: &'static str, kind: KeyKind) -> Result<Vec<VerifierKey>, TextError> {
    let mut keys: Vec<VerifierKey> = Vec::new();
    while let Some(text) = l.optional(name) {
        let key = l.key(name, text, kind)?;
        if keys.last().is_some_and(|last| last.name() >= key.name()) {
            return l.invalid(name, "names must ascend, each once");
        }
        keys.push(key);
    }
    // One person under two names would count twice as an officer, and stay after a removal.
    let mut public: Vec<&[u8; 32]> = keys.iter().map(VerifierKey::public_bytes).collect();
    public.sort_unstable();
    if !public.is_sorted_by(|a, b| a < b) {
        return l.invalid(name, "one public key has two names");
    }
    Ok(keys)
}

/// `NAME age1…`
pub(super) fn named_recipient(
    l: &Lines<'_>,
    line: &'static str,
    text: &str,
) -> Result<(String, String), TextError> {
    match text.split_once(' ') {
        Some((name, recipient)) if is_key_name(name) && recipient_key(recipient).is_some() => {
            Ok((name.to_owned(), recipient.to_owned()))
        }
        _ => l.invalid(line, "expected NAME age1…"),
    }
}
