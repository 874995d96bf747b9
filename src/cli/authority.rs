//! Where statements of the authority sequence (rosters, erasures, holds) come from and go to: the database itself, or the
//! server that has it open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::message::LedgerInfo;
use crate::auditor::source::{ServerSource, Source};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::chain::block::Block;
use crate::chain::key::SigningKey;
use crate::chain::note::Note;
use crate::chain::replay::Head;
use crate::chain::roster::Roster;
use crate::chain::statement::{Statement, statement_hash};
use crate::client::Client;
use crate::config::settings::Settings;
use crate::ledger::Submission;

use super::Failure;
use super::operator::{AddressNote, OpenLedger, open_ledger, settings as load_settings, settings_or};
use super::progress::Bar;
use super::source::FileSource;

/// How often one looks whether an erasure is carried out.
const POLL: Duration = Duration::from_millis(100);
/// What whoever has no settings can do: officers work on machines of their own.
const OR_SERVER: &str = ". On another machine than the ledger's: name its server with --server URL";
/// How long one looks.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an officer's or admin's command works: beside the database by its settings, or on any machine by a server's address.
#[derive(clap::Args, Clone, Default)]
pub struct Remote {
    /// Work through this server instead of the settings file's database: for officers on machines of their own
    #[arg(long, env = "SEALTRAIL_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Certificate to trust for https, PEM
    #[arg(long, env = "SEALTRAIL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// The authority sequence of a ledger, and a way to continue it.
pub struct Authority {
    /// The ledger's origin.
    pub ledger: String,
    /// The roster in force.
    pub roster: Roster,
    /// Where the sequence stands.
    pub head: Head,
    /// Number of blocks.
    pub blocks: u64,
    via: Via,
}

enum Via {
    Here(Box<OpenLedger>, PathBuf),
    Server(Client),
}

impl Authority {
    /// Opens the database of the settings or, if a server has it, talks to that; with [`Remote::server`] needs no settings.
    pub fn open(settings: &Path, place: &Remote) -> Result<Authority, Failure> {
        let Some(url) = &place.server else {
            return Authority::of_settings(&settings_or(settings, OR_SERVER)?);
        };
        let authority =
            Authority::of_server(Client::new(url, place.ca.as_deref())?).map_err(|e| match e {
                Failure::Unavailable(why) if settings.exists() => Failure::Unavailable(format!(
                    "{why}. Without --server and SEALTRAIL_SERVER this command works on the database of {}",
                    settings.display()
                )),
                other => other,
            })?;
        // Settings are not needed for a server. But whoever has some for another ledger may have forgotten a variable, and what
        // these commands do cannot be taken back.
        if settings.exists()
            && let Ok(here) = load_settings(settings)
        {
            same_ledger(url, &authority.ledger, &here.ledger)?;
        }
        Ok(authority)
    }

    /// [`Authority::open`] of settings that are loaded.
    pub fn of_settings(settings: &Settings) -> Result<Authority, Failure> {
        let Some(open) = open_ledger(settings, false)? else {
            return Authority::of_server(client(settings)?);
        };
        let view = open.ledger.view();
        if view.state.roster().is_none() {
            return Err(Failure::Usage("the ledger has no roster".into()));
        }
        let place = (view.state.roster_height(), view.state.height());
        let mut file = FileSource::open(&settings.database)?;
        let roster = followed(&mut file, &settings.ledger, place, view.state.authority())?;
        Ok(Authority {
            ledger: settings.ledger.clone(),
            roster,
            head: view.state.authority(),
            blocks: view.state.height(),
            via: Via::Here(Box::new(open), settings.database.clone()),
        })
    }

    fn of_server(client: Client) -> Result<Authority, Failure> {
        let info = client.ledger()?;
        let head = head_of(&info, &roster_of(&client.block(info.roster_block)?)?)?;
        let place = (info.roster_block, info.blocks);
        let roster = followed(&mut ServerSource::new(&client, false), &info.ledger, place, head)?;
        Ok(Authority { ledger: info.ledger, roster, head, blocks: info.blocks, via: Via::Server(client) })
    }

    /// Commits a signed statement; returns the height of its block.
    pub fn submit(&self, note: Note) -> Result<u64, Failure> {
        match &self.via {
            Via::Here(open, _) => Ok(open.ledger.submit(Submission::statement(note))?.wait()?.block),
            Via::Server(client) => Ok(client.send_statement(&note.to_string())?.block),
        }
    }

    /// Signs the next roster, changed so, and commits it; returns the height of its block.
    pub fn change(
        &self,
        admin: &SigningKey,
        change: impl FnOnce(&mut Roster) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut roster = self.roster.clone();
        change(&mut roster)?;
        roster.sort();
        roster.sequence = self.head.next_sequence;
        roster.previous = self.head.previous;
        roster.issued = Timestamp::now();
        self.submit(Statement::Roster(roster).sign(admin).map_err(Failure::usage)?)
    }

    /// Waits until every erasure that was ordered is carried out. False if it takes long, or fails for now.
    pub fn wait_erased(&self) -> bool {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let pending = match &self.via {
                Via::Here(open, _) => open.ledger.health().erasures_pending,
                Via::Server(client) => client.health().map_or(1, |h| h.erasures_pending),
            };
            if pending == 0 {
                return true;
            }
            std::thread::sleep(POLL);
            waited += POLL;
        }
        false
    }

    /// Gives every block to `take`, from the first on. Nothing is verified: this is for finding one's way.
    pub fn each_block(&self, take: &mut dyn FnMut(Block) -> Result<(), Failure>) -> Result<(), Failure> {
        let (mut file, mut server);
        let source: &mut dyn Source = match &self.via {
            Via::Here(_, database) => {
                file = FileSource::open(database)?;
                &mut file
            }
            Via::Server(client) => {
                server = ServerSource::new(client, false);
                &mut server
            }
        };
        let mut height = 0;
        while height < self.blocks {
            let texts = source.blocks(height, self.blocks).map_err(Failure::unavailable)?;
            if texts.is_empty() {
                return Err(Failure::Unavailable(format!("block {height} is missing")));
            }
            for text in texts {
                take(Block::parse(&text).map_err(Failure::unavailable)?)?;
                height += 1;
            }
        }
        Ok(())
    }
}

/// The roster in force, by the hashes of the statements that lead from it to `head`, where the authority sequence is said to stand. The
/// word of a server, or of a database's stored state, does not do: an admin signs that roster with a change, and what somebody had put in
/// would be let in. What is signed is good only after `head`, and no roster but the true one leads to the true head.
fn followed(
    source: &mut dyn Source,
    ledger: &str,
    (roster_block, blocks): (u64, u64),
    head: Head,
) -> Result<Roster, Failure> {
    let wrong = |height: u64, what: &str| Failure::Wrong(format!("block {height} {what}"));
    let mut found: Option<(Roster, Head)> = None;
    let mut bar = Bar::new("reading", "blocks");
    let mut height = roster_block;
    while height < blocks {
        let texts = source.blocks(height, blocks).map_err(Failure::unavailable)?;
        if texts.is_empty() {
            return Err(Failure::Unavailable(format!("block {height} is missing")));
        }
        for text in texts {
            let block = Block::parse(&text).map_err(Failure::unavailable)?;
            let statement = Statement::parse(&block.statement.text).map_err(Failure::unavailable)?;
            let place = (statement.sequence(), statement.previous());
            let next_sequence = place.0.saturating_add(1);
            let after = Head { next_sequence, previous: statement_hash(&block.statement.text) };
            found = match (statement, found.take()) {
                (Statement::Records(_) | Statement::Heartbeat(_), found) => found,
                (_, Some((_, last))) if place != (last.next_sequence, last.previous) => {
                    return Err(wrong(
                        height,
                        "does not follow the roster that is named as the one in force",
                    ));
                }
                (Statement::Roster(roster), _) if roster.ledger != ledger => {
                    return Err(wrong(height, "holds the roster of another ledger"));
                }
                (Statement::Roster(roster), _) => Some((roster, after)),
                (_, Some((roster, _))) => Some((roster, after)),
                (_, None) => return Err(wrong(height, "is named as the roster's and holds none")),
            };
            height += 1;
        }
        bar.at(height.min(blocks), blocks);
    }
    match found {
        Some((roster, after)) if after == head => Ok(roster),
        Some(_) => Err(wrong(
            roster_block,
            "holds another roster than the one that the authority sequence goes on from",
        )),
        None => Err(wrong(roster_block, "is named as the roster's and holds none")),
    }
}

/// Where the authority sequence stands, by the server's word: with a wrong one a statement is refused, no more.
pub fn head_of(info: &LedgerInfo, roster: &Roster) -> Result<Head, Failure> {
    match &info.authority {
        Some(a) => {
            let previous = Hash::from_base64(&a.previous).ok_or_else(|| {
                Failure::Unavailable("the server's answer about its sequence is malformed".into())
            })?;
            Ok(Head { next_sequence: a.next_sequence, previous })
        }
        // An older server knows of nothing but rosters.
        None => Ok(Head {
            next_sequence: roster.sequence + 1,
            previous: statement_hash(&Statement::Roster(roster.clone()).to_text()),
        }),
    }
}

/// A client for the server of these settings.
pub fn client(settings: &Settings) -> Result<Client, Failure> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = std::env::var("SEALTRAIL_SERVER")
        .ok()
        .or_else(|| AddressNote::read(&settings.database))
        .unwrap_or_else(|| format!("{scheme}://{}", settings.listen));
    let named = std::env::var_os("SEALTRAIL_CA").map(PathBuf::from);
    let ca: Option<&PathBuf> = settings.tls.as_ref().map(|t| &t.cert);
    let client = Client::new(&url, named.as_ref().or(ca).map(PathBuf::as_path))?;
    same_ledger(&url, &client.ledger()?.ledger, &settings.ledger)?;
    Ok(client)
}

/// Refuses a server of another ledger than the settings are for.
fn same_ledger(url: &str, found: &str, wanted: &str) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{url} serves the ledger {found}, and the settings here are for {wanted}: name the right server (--server or \
         SEALTRAIL_SERVER), or name other settings with --settings; without a server the command works on the settings' database"
    )))
}

/// The roster in a block's text.
pub fn roster_of(block: &str) -> Result<Roster, Failure> {
    let block = Block::parse(block).map_err(Failure::unavailable)?;
    match Statement::parse(&block.statement.text) {
        Ok(Statement::Roster(roster)) => Ok(roster),
        _ => Err(Failure::Unavailable("the block named as the roster's holds none".into())),
    }
}
