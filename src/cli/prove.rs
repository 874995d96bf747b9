//! `prove`: fetch a record's existence proof.

use std::path::PathBuf;

use crate::base::hash::Hash;
use crate::chain::proof::{Proof, parse_record, record_id};

use super::trust::ServerArgs;
use super::{Failure, Outcome};

#[derive(clap::Args)]
#[command(after_help = "Example: sealtrail prove EVT-00000042 --out record42.proof.json")]
pub struct Args {
    /// Index or id of the record, or the SHA-256 of its ciphertext
    record: String,
    /// File to write; standard output if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: Args) -> Outcome {
    let client = args.server.client()?;
    let bytes = match (parse_record(&args.record), Hash::from_hex(&args.record)) {
        (Some(index), _) => client.proof(index)?,
        (None, Some(hash)) => client.find_proof(&hash)?,
        (None, None) => {
            return Err(Failure::Usage(format!(
                "{} names no record: give an index such as 42, an id such as EVT-00000042, or 64 hexadecimal digits",
                args.record
            )));
        }
    };
    let proof = Proof::parse(&bytes).map_err(Failure::unavailable)?;
    // A proof of something else would verify all the same, and be taken for the one asked for.
    let index = parse_record(&args.record);
    let asked = index.map_or_else(
        || Hash::from_hex(&args.record) == Some(proof.leaf_inputs.ciphertext_hash),
        |i| i == proof.record,
    );
    if !asked {
        return Err(Failure::Wrong(format!(
            "the server gave the proof of {} when asked for {}: nothing was written",
            record_id(proof.record),
            args.record
        )));
    }
    match args.out {
        None => println!("{}", String::from_utf8_lossy(&bytes)),
        Some(path) => {
            std::fs::write(&path, &bytes)
                .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))?;
            eprintln!(
                "{}: existence proof of {}; check it with: sealtrail verify {} --key VKEY",
                path.display(),
                record_id(proof.record),
                path.display()
            );
        }
    }
    Ok(())
}
