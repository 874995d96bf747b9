//! `audit grant`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::auditor::grant::{GrantOrder, GrantSummary, MadeGrant, make_grants};
use crate::auditor::session::SessionError;
use crate::base::limits::MAX_GRANT_BATCHES;
use crate::chain::authority::RecordRange;
use crate::chain::key::is_key_name;
use crate::client::ClientError;
use crate::seal::reader_key::{Identity, Recipient};

use super::super::authority::roster_of;
use super::super::grant::{Submitter, Target};
use super::super::grant_file::GrantFileWriter;
use super::super::operator::signing_key_file;
use super::super::{Failure, Outcome};
use super::vault::{Setting, VaultArgs};

/// Ranges of left-out records that are listed by name.
const LISTED: usize = 8;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail audit grant --to carol=age1… --records 0..4999 --out carol.grant\n  \
    sealtrail audit grant --to lawyer=age1… --records EVT-00000042 --section event --no-search --out lawyer.grant\n\
    The admin then runs `sealtrail grant submit FILE`. Who holds the admin's key too does both at once with --admin-key.\n\
    A grant cannot be taken back: `reader remove` ends downloads, not what was downloaded."
)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true).args(["out", "admin_key"]))]
pub struct GrantArgs {
    /// The new reader: the name it has in the roster, and its public key, which you got from its owner
    #[arg(long, value_name = "NAME=age1…")]
    to: String,
    /// The records, both ends included: A..B, or one; indexes or ids
    #[arg(long, value_name = "A..B")]
    records: String,
    /// Grant only this section; may be given several times. Without it all that you can read
    #[arg(long, value_name = "NAME")]
    section: Vec<String>,
    /// Keep the search secrets back: the new reader opens the records and cannot search for values among them, nor among others
    /// of the same writers and months
    #[arg(long)]
    no_search: bool,
    /// Write the grant to this file, for the admin to sign
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign with this admin key and send the grant to the server at once
    #[arg(long, value_name = "FILE")]
    admin_key: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultArgs,
}

fn parse_to(text: &str) -> Result<(String, Recipient), Failure> {
    let (name, recipient) = text
        .split_once('=')
        .ok_or_else(|| Failure::Usage(format!("{text}: give the new reader as NAME=age1…")))?;
    if !is_key_name(name) {
        return Err(Failure::Usage(format!(
            "{name} is no name of a reader: no spaces, control characters or '+'"
        )));
    }
    let recipient = Recipient::parse(recipient).map_err(Failure::usage)?;
    Ok((name.to_owned(), recipient))
}

pub fn run(args: GrantArgs) -> Outcome {
    if args.vault.offline {
        return Err(Failure::Usage("a grant is made with the server; leave out --offline".into()));
    }
    let setting = args.vault.remote_setting()?;
    let (to_name, to) = parse_to(&args.to)?;
    let order = GrantOrder {
        to_name,
        to,
        range: RecordRange::parse_named(&args.records).map_err(Failure::usage)?,
        sections: (!args.section.is_empty()).then(|| args.section.clone()),
        search: !args.no_search,
        batches: MAX_GRANT_BATCHES,
    };
    let mut refusal = None;
    for identity in setting.identities()? {
        match grant(&args, &setting, &order, &identity) {
            // Another identity of the file may be the reader.
            Err(Error::NoSession(e)) => refusal = Some(e),
            Err(Error::Other(e)) => return Err(e),
            Ok(summary) => return tell(&args, &order, &summary),
        }
    }
    Err(refusal.unwrap_or_else(|| Failure::Usage("the identity file holds no identity".into())))
}

enum Error {
    NoSession(Failure),
    Other(Failure),
}

impl From<Failure> for Error {
    fn from(e: Failure) -> Error {
        Error::Other(e)
    }
}

fn grant(
    args: &GrantArgs,
    setting: &Setting,
    order: &GrantOrder,
    identity: &Identity,
) -> Result<GrantSummary, Error> {
    let key = &setting.key;
    let mut client = setting.plain_client()?;
    let admin = args.admin_key.as_deref().map(signing_key_file).transpose()?;
    let target = Target::Server(setting.plain_client()?);
    let mut submitter = admin.as_ref().map(|admin| Submitter::new(&target, admin)).transpose()?;
    let mut file = args.out.as_deref().map(GrantFileWriter::create).transpose()?;
    let bar = ProgressBar::new(order.range.last - order.range.first + 1);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} records  {elapsed} (about {eta} left)")
    {
        bar.set_style(style);
    }
    let mut failed = None;
    let mut deliver = |made: MadeGrant| {
        let mut keep = || {
            if let Some(file) = &mut file {
                file.push(&made)?;
            }
            if let Some(submitter) = &mut submitter {
                let done = submitter.submit(made.clone())?;
                bar.suspend(|| println!("{done}"));
            }
            Ok(())
        };
        keep().map_err(|e: Failure| {
            let message = e.message().to_owned();
            failed = Some(e);
            message
        })
    };
    let made = make_grants(&mut client, identity, key, order, &mut deliver, &mut |n| bar.set_position(n));
    bar.finish_and_clear();
    if let Some(failure) = failed {
        return Err(failure.into());
    }
    let summary = made.map_err(|e| match e {
        crate::auditor::grant::MakeGrantError::Session(
            e @ (SessionError::Client(ClientError::Problem(_)) | SessionError::Challenge { .. }),
        ) => Error::NoSession(e.into()),
        e => Error::Other(e.into()),
    })?;
    if let Some(file) = file {
        file.finish()?;
    }
    Ok(summary)
}

fn tell(args: &GrantArgs, order: &GrantOrder, summary: &GrantSummary) -> Outcome {
    let count = order.range.last - order.range.first + 1;
    println!(
        "{} of {count} records ({}) re-wrapped for {} in {} {}",
        summary.granted,
        order.range.name(),
        order.to_name,
        summary.grants,
        if summary.grants == 1 { "grant" } else { "grants" }
    );
    let holes = &summary.left_out;
    if !holes.is_empty() {
        let shown: Vec<String> = holes.iter().take(LISTED).map(RecordRange::name).collect();
        let more = if holes.len() > LISTED { ", and others" } else { "" };
        println!("left out, because erased or not readable for you: {}{more}", shown.join(", "));
    }
    if let (Some(file), None) = (&args.out, &args.admin_key) {
        println!("next: the admin runs `sealtrail grant submit {}`", file.display());
        // What the server says here is a hint; the ledger checks it when the grant comes.
        let client = args.vault.remote_setting()?.plain_client()?;
        let roster = roster_of(&client.block(client.ledger()?.roster_block)?)?;
        let recipient = order.to.to_string();
        if roster.reader(&order.to_name).is_none_or(|r| r.recipient != recipient) {
            println!(
                "      and before that `sealtrail reader add {} {recipient}`, since it is no reader yet",
                order.to_name
            );
        }
    }
    Ok(())
}
