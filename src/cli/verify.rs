//! `verify`: check a proof file offline. Reads the file and the keys given, and nothing else.

use std::path::PathBuf;

use crate::base::limits::MAX_PROOF_BYTES;
use crate::chain::proof::{Proof, Verified, record_id};

use super::trust::verifier_key;
use super::{Failure, Outcome, print_json};

#[derive(clap::Args)]
#[command(
    after_help = "Example: sealtrail verify record42.proof.json --key hospital.example/phi-audit+1a2b3c4d+AT…\nExit code 0 only if everything holds."
)]
pub struct Args {
    /// The proof file
    file: PathBuf,
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    /// The writer's verifier key, to check that signature too
    #[arg(long, value_name = "VKEY")]
    writer: Option<String>,
    /// Also check that this file is the record's ciphertext
    #[arg(long, value_name = "FILE")]
    ciphertext: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let key = verifier_key(&args.key)?;
    let writer = args.writer.as_deref().map(verifier_key).transpose()?;
    let io = |e: std::io::Error| Failure::Usage(format!("cannot read {}: {e}", args.file.display()));
    let size = std::fs::metadata(&args.file).map_err(io)?.len();
    if size > MAX_PROOF_BYTES as u64 {
        return Err(Failure::Usage(format!("{} is too large to be a proof file", args.file.display())));
    }
    let bytes = std::fs::read(&args.file).map_err(io)?;
    let refuse = |e: &dyn std::fmt::Display| Failure::Wrong(format!("NOT PROVEN: {e}"));
    let proof = Proof::parse(&bytes).map_err(|e| refuse(&e))?;
    let verified = proof.verify(&key, writer.as_ref()).map_err(|e| refuse(&e))?;
    if let Some(path) = &args.ciphertext {
        let bytes = std::fs::read(path)
            .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))?;
        if crate::base::hash::Hash::of(&[&bytes]) != proof.leaf_inputs.ciphertext_hash {
            return Err(Failure::Wrong(format!(
                "NOT PROVEN: {} is not the ciphertext of record {}",
                path.display(),
                record_id(proof.record)
            )));
        }
    }
    if args.json {
        print_json(&summary(&verified, &proof))
    } else {
        tell(&verified, &proof, args.ciphertext.is_some())
    }
}

fn summary(v: &Verified, proof: &Proof) -> serde_json::Value {
    serde_json::json!({
        "proven": true,
        "ledger": v.ledger,
        "id": record_id(v.record),
        "record": v.record,
        "block": v.block_height,
        "writer": v.writer,
        "writer_signature_checked": v.writer_checked,
        "sealed": v.sealed.to_string(),
        "committed": v.committed.to_string(),
        "ciphertext_sha256": proof.leaf_inputs.ciphertext_hash.hex(),
        "checkpoint_blocks": v.checkpoint.checkpoint().size,
    })
}

fn tell(v: &Verified, proof: &Proof, ciphertext: bool) -> Outcome {
    println!(
        "PROVEN: record {} exists in the ledger {} and has not been changed.",
        record_id(v.record),
        v.ledger
    );
    println!(
        "  block       {} of the {} that the signed checkpoint covers",
        v.block_height,
        v.checkpoint.checkpoint().size
    );
    println!("  committed   {} (the ledger's clock)", v.committed);
    println!("  sealed      {} (the writer's clock)", v.sealed);
    println!(
        "  ciphertext  sha256 {}{}",
        proof.leaf_inputs.ciphertext_hash.hex(),
        if ciphertext { ", the file given" } else { "" }
    );
    if v.writer_checked {
        println!("  writer      {}, signature checked with the key you gave", v.writer);
    } else {
        println!(
            "  writer      {}, as the ledger says; give --writer VKEY to check that signature too",
            v.writer
        );
    }
    println!("  not proven  what the record says: only a reader's key shows that");
    Ok(())
}
