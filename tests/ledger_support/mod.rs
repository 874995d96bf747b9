//! A ledger under a random workload that follows from a seed, and what must hold of it after any fault: every acknowledged
//! submission is there with a valid receipt, a repetition gets that same receipt, no checkpoint ever shown contradicts another,
//! and what was ordered to be erased is erased.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test file uses its part

mod check;
mod random;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;

use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::Hash;
use sealtrail::base::secret::Secret;
use sealtrail::chain::key::{SigningKey, VerifierKey};
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::Statement;
use sealtrail::event::policy::Policy;
use sealtrail::ledger::{Ledger, LedgerError, Options, Pending, Receipt, Submission};
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::writer::{Writer, WriterOptions};

pub use random::{Random, seeds};
#[allow(unused_imports)] // each test file uses its part
pub use workload::{Driver, Sink};

pub const ORIGIN: &str = "test.example/ledger";
/// Number of remote writers.
pub const WRITERS: usize = 3;

fn signer(name: &str, number: u8) -> SigningKey {
    SigningKey::from_seed(name, &Secret::fill(|s| *s = [number; 32])).unwrap()
}

pub fn ledger_key() -> SigningKey {
    signer(ORIGIN, 1)
}

pub fn vkey() -> VerifierKey {
    ledger_key().verifier()
}

pub fn admin() -> SigningKey {
    signer("test.example/admin", 2)
}

pub fn officer() -> SigningKey {
    signer("test.example/officer", 3)
}

pub fn writer_key(number: usize) -> SigningKey {
    signer(&format!("test.example/writers/{number}"), 10 + number as u8)
}

/// Reader number 0 is there from the beginning, the others are let in later.
pub fn reader(number: u64) -> RosterReader {
    let identity = Identity::from_secret(Secret::fill(|s| *s = [100 + (number % 100) as u8; 32]));
    RosterReader {
        name: format!("reader-{number}"),
        recipient: identity.recipient().to_string(),
        required: number == 0,
    }
}

pub fn writer(number: usize, head: Head) -> Writer {
    let options = WriterOptions {
        key: writer_key(number),
        ledger: ORIGIN.into(),
        policy: Policy::default(),
        retain_years: 6,
        search: Box::new(|m| Ok((m.to_owned(), SearchSecret::from_secret(Secret::fill(|s| *s = [7; 32]))))),
    };
    Writer::new(options, head).unwrap()
}

/// A roster with `readers` readers.
pub fn roster(at: Head, readers: u64) -> Note {
    let mut roster = Roster {
        ledger: ORIGIN.into(),
        sequence: at.next_sequence,
        previous: at.previous,
        issued: Timestamp::now(),
        ledger_key: vkey(),
        admins: vec![admin().verifier()],
        writers: (0..WRITERS).map(|w| writer_key(w).verifier()).collect(),
        readers: (0..readers).map(reader).collect(),
        officers_required: 1,
        officers: vec![officer().verifier()],
        witnesses: Vec::new(),
    };
    roster.sort();
    Statement::Roster(roster).sign(&admin()).unwrap()
}

pub fn genesis() -> Note {
    roster(Head { next_sequence: 0, previous: Hash::ZERO }, 1)
}

pub fn options(guard: &Path) -> Options {
    Options { key: ledger_key(), guard: guard.to_owned(), accept_database_head: false }
}

/// Something to submit, as its sender keeps it until it is acknowledged.
#[derive(Clone, Debug)]
pub enum Item {
    Batch(Note, Vec<u8>),
    Grant(Note, Vec<u8>),
    Statement(Note),
}

impl Item {
    pub fn submit(&self, ledger: &Ledger) -> Result<Pending, LedgerError> {
        match self.clone() {
            Item::Batch(note, body) => ledger.submit(Submission::batch(note, body)?),
            Item::Grant(note, body) => ledger.submit_grant(note, body),
            Item::Statement(note) => ledger.submit(Submission::statement(note)),
        }
    }

    pub fn note(&self) -> &Note {
        match self {
            Item::Batch(note, _) | Item::Grant(note, _) | Item::Statement(note) => note,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, body): (u8, &[u8]) = match self {
            Item::Batch(_, body) => (0, body),
            Item::Grant(_, body) => (1, body),
            Item::Statement(_) => (2, &[]),
        };
        let note = self.note().to_string();
        [&[kind][..], &(note.len() as u32).to_be_bytes(), note.as_bytes(), body].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Item {
        let len = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        let note = Note::parse(std::str::from_utf8(&bytes[5..5 + len]).unwrap()).unwrap();
        let body = bytes[5 + len..].to_vec();
        match bytes[0] {
            0 => Item::Batch(note, body),
            1 => Item::Grant(note, body),
            _ => Item::Statement(note),
        }
    }
}

/// What the world was told so far.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// The first roster was acknowledged.
    pub created: bool,
    /// By number, all that were ever submitted.
    pub items: BTreeMap<u64, Item>,
    /// Those that were acknowledged.
    pub acked: BTreeMap<u64, Receipt>,
    /// Every checkpoint anybody was shown.
    pub shown: Vec<String>,
}
