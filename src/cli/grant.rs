//! `grant`: the admin's side. Signs grants that an auditor made and puts them into the chain. The admin need not be able to read
//! anything, and cannot: what is wrapped opens with the new reader's identity only.

use std::path::{Path, PathBuf};

use crate::auditor::grant::MadeGrant;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::chain::block::Block;
use crate::chain::key::SigningKey;
use crate::chain::replay::Head;
use crate::chain::roster::Roster;
use crate::chain::statement::Statement;
use crate::client::Client;

use super::authority;
use super::grant_file::GrantFileReader;
use super::operator::{ADMIN_KEY, OpenLedger, open_ledger, settings as load_settings};
use super::operator::{signing_key, signing_key_file};
use super::{Failure, Outcome};

#[derive(clap::Subcommand)]
pub enum GrantCommand {
    /// Sign the grants an auditor made and put them into the chain, so that the new reader can open those records
    #[command(
        after_help = "Example:\n  sealtrail audit grant --to carol=age1… --records 0..4999 … --out carol.grant   (the auditor)\n  \
                      sealtrail reader add carol age1…                                               (the admin)\n  \
                      sealtrail grant show carol.grant                                               (the admin)\n  \
                      sealtrail grant submit carol.grant                                             (the admin)"
    )]
    Submit {
        /// The file from `audit grant --out`
        file: PathBuf,
        /// The admin's key; admin.key of the keys folder by default
        #[arg(long, value_name = "FILE")]
        admin_key: Option<PathBuf>,
    },
    /// Show what a grant file would give, to whom, and check it, without signing anything
    #[command(after_help = "Example: sealtrail grant show carol.grant")]
    Show {
        /// The file from `audit grant --out`
        file: PathBuf,
    },
}

pub fn run(settings: &Path, command: GrantCommand) -> Outcome {
    match command {
        GrantCommand::Show { file } => {
            let mut reader = GrantFileReader::open(&file)?;
            let mut all = 0;
            while let Some(grant) = reader.next_grant()? {
                all += 1;
                println!("{}", describe(&grant, None));
            }
            println!(
                "{all} in the file; nothing is signed yet. Whether the slots open only the new reader can tell; wrong ones would open nothing"
            );
            Ok(())
        }
        GrantCommand::Submit { file, admin_key } => {
            let settings = load_settings(settings)?;
            let admin = match &admin_key {
                Some(path) => signing_key_file(path)?,
                None => signing_key(&settings.keys, ADMIN_KEY)?,
            };
            let target = match open_ledger(&settings, false)? {
                Some(open) => Target::Open(open),
                None => Target::Server(authority::client(&settings)?),
            };
            let mut reader = GrantFileReader::open(&file)?;
            let mut submitter = Submitter::new(&target, &admin)?;
            while let Some(grant) = reader.next_grant()? {
                println!("{}", submitter.submit(grant)?);
            }
            Ok(())
        }
    }
}

fn describe(grant: &MadeGrant, roster: Option<&Roster>) -> String {
    let s = &grant.statement;
    let from = roster.and_then(|r| r.reader_by_recipient(&s.from));
    let from = from.map_or(s.from.clone(), |r| format!("{} ({})", r.name, s.from));
    let count = s.range.last - s.range.first + 1;
    let left_out = match count - grant.granted {
        0 => String::new(),
        n => format!(", {n} of them left out"),
    };
    format!("{}: {count} records{left_out}, from {from} to {} ({})", s.range.name(), s.to_name, s.to)
}

/// Where a signed statement goes: into the database, or to the server that has it.
pub enum Target {
    /// The ledger, open in this process.
    Open(OpenLedger),
    /// Its server.
    Server(Client),
}

impl Target {
    fn head(&self) -> Result<Head, Failure> {
        match self {
            Target::Open(open) => Ok(open.ledger.view().state.authority()),
            Target::Server(client) => {
                let info = client.ledger()?;
                authority::head_of(&info, &authority::roster_of(&client.block(info.roster_block)?)?)
            }
        }
    }

    fn roster(&self) -> Result<Roster, Failure> {
        match self {
            Target::Open(open) => open
                .ledger
                .view()
                .state
                .roster()
                .cloned()
                .ok_or_else(|| Failure::Usage("the ledger has no roster".into())),
            Target::Server(client) => authority::roster_of(&client.block(client.ledger()?.roster_block)?),
        }
    }

    fn origin(&self) -> Result<String, Failure> {
        match self {
            Target::Open(open) => Ok(open.ledger.origin().to_owned()),
            Target::Server(client) => Ok(client.ledger()?.ledger),
        }
    }

    /// Slots already granted to a recipient, with their blocks.
    fn granted_to(&self, recipient: &str) -> Result<Vec<(Hash, u64)>, Failure> {
        let blocks: Vec<u64> = match self {
            Target::Open(open) => open.ledger.grants_to(recipient)?.iter().map(|g| g.block).collect(),
            Target::Server(client) => client.grants(recipient)?.iter().map(|g| g.block).collect(),
        };
        let mut found = Vec::new();
        for height in blocks {
            let text = match self {
                Target::Open(open) => open.ledger.block(height)?,
                Target::Server(client) => client.block(height)?,
            };
            let block = Block::parse(&text).map_err(Failure::unavailable)?;
            if let Ok(Statement::Grant(g)) = Statement::parse(&block.statement.text) {
                found.push((g.slots_hash, height));
            }
        }
        Ok(found)
    }
}

/// Signs grants and puts them into the chain, one after the other.
pub struct Submitter<'a> {
    target: &'a Target,
    admin: &'a SigningKey,
    roster: Roster,
    origin: String,
    /// Recipient last asked about, and what was granted to it before.
    known: Option<(String, Vec<(Hash, u64)>)>,
}

impl<'a> Submitter<'a> {
    /// A submitter for the ledger behind `target`.
    pub fn new(target: &'a Target, admin: &'a SigningKey) -> Result<Submitter<'a>, Failure> {
        Ok(Submitter { target, admin, roster: target.roster()?, origin: target.origin()?, known: None })
    }

    /// Submits a grant; what was done, in words. One that is in the chain already is not put there again, so that an
    /// interrupted submission can be repeated.
    pub fn submit(&mut self, grant: MadeGrant) -> Result<String, Failure> {
        let text = describe(&grant, Some(&self.roster));
        let MadeGrant { mut statement, body, .. } = grant;
        if statement.ledger != self.origin {
            return Err(Failure::Usage(format!(
                "the grant is for the ledger {}, this is {}",
                statement.ledger, self.origin
            )));
        }
        let (name, recipient) = (&statement.to_name, &statement.to);
        if self.roster.reader(name).is_none_or(|r| r.recipient != *recipient) {
            return Err(Failure::Usage(format!(
                "{name} with {recipient} is no reader yet, so it could not fetch what is granted. Add it first: \
                 sealtrail reader add {name} {recipient}"
            )));
        }
        if self.known.as_ref().is_none_or(|(known, _)| known != recipient) {
            self.known = Some((recipient.clone(), self.target.granted_to(recipient)?));
        }
        let before = self.known.iter().flat_map(|(_, all)| all);
        if let Some((_, block)) = before.clone().find(|(hash, _)| *hash == statement.slots_hash) {
            return Ok(format!("{text} (already in block {block})"));
        }
        let head = self.target.head()?;
        statement.sequence = head.next_sequence;
        statement.previous = head.previous;
        statement.issued = Timestamp::now();
        let note = Statement::Grant(statement).sign(self.admin).map_err(Failure::usage)?;
        let block = match self.target {
            Target::Open(open) => open.ledger.submit_grant(note, body)?.wait()?.block,
            Target::Server(client) => client.send_grant(&note.to_string(), &body)?.block,
        };
        Ok(format!("{text} (block {block})"))
    }
}
