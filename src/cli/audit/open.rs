//! `audit open`.

use std::io::Write as _;
use std::path::PathBuf;

use crate::auditor::open::{OpenRecordError, OpenedRecord, open_record};
use crate::auditor::record::Content;
use crate::auditor::session::open_session;
use crate::chain::key::VerifierKey;
use crate::chain::proof::record_id;
use crate::event::view::{Summary, printable};

use super::super::trust::verifier_key;
use super::super::{Failure, Outcome, print_json};
use super::export::record_index;
use super::vault::VaultArgs;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealtrail audit open EVT-00000042\n  \
    sealtrail audit open EVT-00000042 --identity keys/auditor.identity --key ledger.vkey   (without a vault)\n\
    Without a vault the record is fetched from the server and proven.")]
pub struct OpenArgs {
    /// Index or id of the record
    #[arg(value_parser = record_index)]
    record: u64,
    /// The writer's verifier key, to check its signature too
    #[arg(long, value_name = "VKEY")]
    writer: Option<String>,
    /// Also write the existence proof to this file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Print JSON: the event and where it stands in the ledger
    #[arg(long)]
    json: bool,
    /// Ask the server even if there is a vault; without a vault that is done anyhow
    #[arg(long, conflicts_with = "offline")]
    remote: bool,
    #[command(flatten)]
    vault: VaultArgs,
}

pub fn run(args: OpenArgs) -> Outcome {
    let index = args.record;
    let writer = args.writer.as_deref().map(verifier_key).transpose()?;
    if !args.vault.remote(args.remote) {
        return from_vault(&args, writer.as_ref(), index);
    }
    let setting = args.vault.remote_setting()?;
    let key = &setting.key;
    let mut refusal = None;
    for identity in setting.identities()? {
        let mut client = setting.plain_client()?;
        let opened = open_session(&mut client, &identity, key.name()).map_err(Failure::from).and_then(|()| {
            match open_record(&client, &identity, key, writer.as_ref(), index) {
                Ok(opened) => Ok(Ok(opened)),
                // Nothing is wrong: the ledger says why there is nothing to open, and that was checked.
                Err(erased @ OpenRecordError::ErasedByOrder { .. }) => Ok(Err(erased)),
                Err(e) => Err(Failure::from(e)),
            }
        });
        match opened {
            Ok(Ok(opened)) => return show(&args, index, &opened),
            Ok(Err(erased)) => return show_erased(&args, index, &erased, false),
            // Another identity of the file may be the reader; anything but a refusal ends the search.
            Err(Failure::Usage(why)) => refusal = Some(Failure::Usage(why)),
            Err(other) => return Err(other),
        }
    }
    Err(refusal.unwrap_or_else(|| Failure::Usage("the identity file holds no identity".into())))
}

/// Opens a record of the vault, which was verified when it was downloaded.
fn from_vault(args: &OpenArgs, writer: Option<&VerifierKey>, index: u64) -> Outcome {
    let open = args.vault.open()?;
    let records = open.view.as_of.records;
    if index >= records {
        return Err(Failure::Usage(format!("record {index} is beyond the {records} records of the ledger")));
    }
    let record = open.records()?.pick(&[index])?.pop();
    let record = record.ok_or_else(|| Failure::Usage(format!("record {index} is not in the vault")))?;
    let proof = open.vault.proofs(&open.view, &[index])?.pop();
    let proof = proof.ok_or_else(|| Failure::Usage(format!("record {index} is not in the vault")))?;
    let verified = proof.verify(&open.setting.key, writer).map_err(|e| Failure::Wrong(e.to_string()))?;
    let id = record_id(index);
    match record.content {
        Content::Opened { event, withheld } => {
            show(args, index, &OpenedRecord { event, withheld, verified, proof })
        }
        Content::NotForYou => Err(Failure::Usage(format!("{id} exists, and is not sealed to your identity"))),
        Content::Erased { by_block: Some(height) } => {
            let (block, order) = open.vault.erasure(height)?;
            show_erased(
                args,
                index,
                &OpenRecordError::ErasedByOrder {
                    record: index,
                    block: height,
                    committed: block.committed,
                    reason: order.reason,
                    legal_basis: order.legal_basis,
                },
                true,
            )
        }
        Content::Erased { by_block: None } => {
            Err(Failure::Wrong(format!("{id} is missing without an order")))
        }
        Content::Unreadable { why } => Err(Failure::Wrong(format!("{id}: {why}"))),
    }
}

/// `checked`: whether the officers' signatures on the order were, as they are in a vault.
fn show_erased(args: &OpenArgs, index: u64, erased: &OpenRecordError, checked: bool) -> Outcome {
    if let (true, OpenRecordError::ErasedByOrder { block, committed, reason, legal_basis, .. }) =
        (args.json, erased)
    {
        return print_json(&serde_json::json!({
            "id": record_id(index), "record": index, "erased": {
                "block": block, "committed": committed.to_string(), "reason": reason, "legal_basis": legal_basis,
                "officers_checked": checked,
            },
        }));
    }
    eprintln!("{}", printable(&erased.to_string()));
    if !checked {
        eprintln!(
            "that officers signed the order is as the ledger says; `audit sync` and `audit verify` check it"
        );
    }
    Ok(())
}

fn show(args: &OpenArgs, index: u64, opened: &OpenedRecord) -> Outcome {
    if let Some(path) = &args.proof {
        std::fs::write(path, opened.proof.to_json())
            .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))?;
    }
    let v = &opened.verified;
    if args.json {
        let event: Box<serde_json::value::RawValue> =
            serde_json::from_slice(&opened.event).map_err(|e| Failure::Wrong(e.to_string()))?;
        return print_json(&serde_json::json!({
            "id": record_id(index), "record": index, "block": v.block_height, "writer": v.writer,
            "sealed": v.sealed.to_string(), "committed": v.committed.to_string(),
            "withheld": opened.withheld, "event": event,
        }));
    }
    let who =
        if v.writer_checked { "signature checked" } else { "as the ledger says; --writer VKEY checks it" };
    eprintln!(
        "{}  block {}  sealed {}  by {} ({who})  proven against checkpoint {}",
        record_id(index),
        v.block_height,
        v.sealed,
        printable(&v.writer),
        v.checkpoint.checkpoint().size
    );
    if let Ok(summary) = Summary::of(&opened.event) {
        eprintln!("{summary}");
    }
    for section in &opened.withheld {
        eprintln!(
            "section {section:?} is sealed to other readers; its fields stand as {{\"$sealed\":\"{section}\"}}"
        );
    }
    let mut out = std::io::stdout().lock();
    let written = out.write_all(&opened.event).and_then(|()| out.write_all(b"\n"));
    written.map_err(Failure::unavailable)
}
