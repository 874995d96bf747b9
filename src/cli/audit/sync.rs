//! `audit sync`.

use std::path::PathBuf;

use super::super::{Outcome, print_json};
use super::vault::VaultArgs;
use super::verify::ahead;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    sealtrail audit sync --server https://audit.example:7470 --key ledger.vkey --identity me.identity   (the first time)\n  \
    sealtrail audit sync                                                              (from then on)\n\
    The vault holds ciphertext only; your identity opens it in memory when you ask something. A ledger that was cut off, rolled back or forked \
    since the last sync is refused, and both signed checkpoints are kept as proof.")]
pub struct SyncArgs {
    #[command(flatten)]
    vault: VaultArgs,
    /// Read this copy of the ledger's database instead of a server
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    file: Option<PathBuf>,
    /// Also keep the opened events, encrypted to your own key, so that SQL and reports need not open every record again. Remembered. Without
    /// it nothing decrypted is ever written
    #[arg(long)]
    persist: bool,
    /// Also hash and verify again what was there before, and make the search index anew: for a disk you do not trust
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: SyncArgs) -> Outcome {
    let mut setting = args.vault.setting()?;
    setting.persist |= args.persist;
    let report = setting.sync(args.file.as_deref(), true)?;
    let checked = args.check.then(|| setting.check()).transpose()?;
    if args.json {
        return print_json(&report);
    }
    let open = setting.open()?;
    println!("SYNCED  {}", open.as_of());
    println!(
        "  new        {} records in {} blocks, every hash, signature and link verified",
        report.new_records, report.new_blocks
    );
    let before = report.records - report.new_records;
    if let Some(all) = &checked {
        println!("  checked    all {} records hashed again, search index made anew", all.records);
    } else if before > 0 {
        println!(
            "  before     {before} records, verified when they were downloaded and not read again now (--check does)"
        );
    }
    if report.dropped > 0 {
        println!("  erased     {} records dropped from the vault, by orders in the chain", report.dropped);
    }
    match report.continued {
        true => println!("  history    continues the checkpoint this vault trusted before"),
        false => println!(
            "  history    first sync: what is here is trusted from now on; compare the checkpoint with someone else's to be sure"
        ),
    }
    if let Some(note) = open.view.as_of.committed.and_then(ahead) {
        println!("  NOTE       {note}");
    }
    println!("  vault      {}", open.setting.dir().display());
    println!(
        "Now ask: sealtrail audit search --patient ID, sealtrail audit sql, sealtrail audit report list"
    );
    Ok(())
}
