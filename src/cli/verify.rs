//! `verify`: check a proof or evidence file offline. Reads the file and the keys given, and nothing else.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::auditor::evidence::explain::{witnessed, witnesses_json};
use crate::auditor::evidence::format::FORMAT as EVIDENCE_FORMAT;
use crate::auditor::evidence::report::EvidenceReport;
use crate::auditor::evidence::verify::{EvidenceError, Trust};
use crate::auditor::evidence::{format::Evidence, verify as evidence};
use crate::base::hash::Hash;
use crate::base::limits::{MAX_EVIDENCE_BYTES, MAX_POLICY_BYTES, MAX_STATEMENT_BYTES};
use crate::chain::key::VerifierKey;
use crate::chain::ledger_key::follow;
use crate::chain::note::{Note, Signature};
use crate::chain::policy::{Met, WitnessPolicy};
use crate::chain::proof::{Proof, Verified, record_id};
use crate::chain::roster::ROSTER_KIND;
use crate::event::view::printable;

use super::trust::verifier_key;
use super::{Failure, Outcome, print_json};

/// Records that are told one by one; the rest is counted, and `--json` has all.
const TOLD_RECORDS: usize = 100;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail verify record42.proof.json --key hospital.example/phi-audit+1a2b3c4d+AT…\n  \
                  sealtrail verify november.evidence.json --key ledger.vkey --signer auditor.vkey --witness-policy witnesses.txt\n\
                  Exit code 0 only if everything holds."
)]
pub struct Args {
    /// The proof file or evidence file
    file: PathBuf,
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    /// For a key that the ledger has changed since: the signed roster that leads from it to the next one, as the operator publishes it;
    /// may be given again, the oldest first
    #[arg(long, value_name = "FILE")]
    handover: Vec<PathBuf>,
    /// A writer's verifier key, to check that signature too; for evidence of several writers give it several times
    #[arg(long, value_name = "VKEY")]
    writer: Vec<String>,
    /// The verifier key of whoever must have made and signed the evidence file
    #[arg(long, value_name = "VKEY")]
    signer: Option<String>,
    /// The witnesses that must have seen the ledger in this state: a file as c2sp.org/tlog-policy describes it
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<PathBuf>,
    /// Also check that this file is the record's ciphertext (proof files)
    #[arg(long, value_name = "FILE")]
    ciphertext: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the command line names, read.
struct Trusted {
    ledger: VerifierKey,
    writers: Vec<VerifierKey>,
    signer: Option<VerifierKey>,
    policy: Option<WitnessPolicy>,
    /// By a handover file that was given, the ledger replaced the key that signed this.
    replaced: bool,
}

/// What a signature by a replaced key leaves open.
const REPLACED: &str = "that this is from before the ledger's key was replaced: who has the old key can still make such a file. \
     `sealtrail prove` fetches a new proof";

pub fn run(args: Args) -> Outcome {
    let mut trusted = Trusted {
        ledger: verifier_key(&args.key)?,
        writers: args.writer.iter().map(|w| verifier_key(w)).collect::<Result<_, _>>()?,
        signer: args.signer.as_deref().map(verifier_key).transpose()?,
        policy: args.witness_policy.as_deref().map(policy).transpose()?,
        replaced: false,
    };
    let bytes = read(&args.file, MAX_EVIDENCE_BYTES)?;
    // The key of the file's time: the one given, unless that did not sign it and leads to another one.
    let signer = signer(&bytes, &trusted.ledger);
    let rosters = args.handover.iter().map(|path| handover(path)).collect::<Result<Vec<_>, _>>()?;
    let newest = follow(&trusted.ledger, &rosters);
    match signer {
        Some(_) => trusted.ledger = newest,
        None => trusted.replaced = newest != trusted.ledger,
    }
    let outcome = if is_evidence(&bytes) {
        check_evidence(&args, &trusted, &bytes)
    } else {
        check_proof(&args, &trusted, &bytes)
    };
    match outcome {
        Err(Failure::Wrong(mut why)) => {
            if let Some(other) = signer.filter(|id| *id != trusted.ledger.key_id()) {
                why.push_str(&format!(
                    ". It is signed with another key of that name, ID {other:08x}: if the ledger's key was changed, give the key of the time \
                     of this file (ledger.{other:08x}.vkey), or an older one with the handover files that lead to it (--handover leads from \
                     older keys to newer ones, not back); or get a new one: `sealtrail prove` for a proof, `audit export` or `audit disclose` for evidence"
                ));
            }
            if args.json {
                print_json(&serde_json::json!({ "proven": false, "reason": why }))?;
            }
            Err(Failure::Wrong(format!("NOT PROVEN: {why}")))
        }
        other => other,
    }
}

/// The ID of the key that signed the file's checkpoint, if it has `key`'s name and is another one.
fn signer(bytes: &[u8], key: &VerifierKey) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Signed {
        #[serde(alias = "log_proof")]
        checkpoint: String,
    }
    let signed: Signed = serde_json::from_slice(bytes).ok()?;
    let lines = signed.checkpoint.lines().filter_map(Signature::parse);
    let ids: Vec<u32> = lines.filter(|s| s.name == key.name()).map(|s| s.key_id).collect();
    if ids.contains(&key.key_id()) { None } else { ids.first().copied() }
}

/// Reads a signed roster.
fn handover(path: &Path) -> Result<Note, Failure> {
    let text = String::from_utf8(read(path, MAX_STATEMENT_BYTES)?).unwrap_or_default();
    let note = Note::parse(&text).ok().filter(|note| note.text.starts_with(ROSTER_KIND));
    note.ok_or_else(|| {
        Failure::Usage(format!("{} is no signed roster, as `rotate ledger` writes it", path.display()))
    })
}

/// A file of at most `max` bytes.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let io = |e: std::io::Error| Failure::Usage(format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|f| f.take(max as u64 + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() > max {
        return Err(Failure::Usage(format!("{} is larger than {max} bytes", path.display())));
    }
    Ok(bytes)
}

fn policy(path: &Path) -> Result<WitnessPolicy, Failure> {
    WitnessPolicy::parse(&read(path, MAX_POLICY_BYTES)?)
        .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
}

/// Whether the file says it is evidence. One that says nothing readable is told what a proof file should be.
pub(super) fn is_evidence(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind {
        format: String,
    }
    match serde_json::from_slice::<Kind>(bytes) {
        Ok(kind) => kind.format == EVIDENCE_FORMAT,
        // Cut off or damaged: what stands at its front still tells.
        Err(_) => {
            let front = bytes.get(..bytes.len().min(200)).unwrap_or_default();
            front.windows(EVIDENCE_FORMAT.len()).any(|w| w == EVIDENCE_FORMAT.as_bytes())
        }
    }
}

fn wrong(e: impl std::fmt::Display) -> Failure {
    Failure::Wrong(e.to_string())
}

fn check_evidence(args: &Args, trusted: &Trusted, bytes: &[u8]) -> Outcome {
    if args.ciphertext.is_some() {
        return Err(Failure::Usage(
            "--ciphertext goes with a proof file, and this is an evidence file".to_owned(),
        ));
    }
    let trust = Trust {
        ledger: &trusted.ledger,
        writers: &trusted.writers,
        signer: trusted.signer.as_ref(),
        policy: trusted.policy.as_ref(),
    };
    let read = Evidence::parse(bytes).map_err(wrong)?;
    let report = evidence::verify_parsed(&read, &trust).map_err(|e: EvidenceError| wrong(e))?;
    if args.json {
        let mut json = report.to_json();
        json["key_replaced"] = trusted.replaced.into();
        print_json(&json)
    } else {
        tell_evidence(&report, trusted.replaced)
    }
}

fn tell_evidence(report: &EvidenceReport, replaced: bool) -> Outcome {
    let mut text = String::from("PROVEN: everything this file shows.\n");
    report.heading().iter().for_each(|line| text.extend(["  ", line, "\n"]));
    for record in report.records.iter().take(TOLD_RECORDS) {
        text.push('\n');
        for (i, sentence) in record.sentences(&report.ledger).iter().enumerate() {
            text.extend([if i == 0 { "" } else { "  " }, sentence, "\n"]);
        }
    }
    let more = report.records.len().saturating_sub(TOLD_RECORDS);
    if more > 0 {
        text += &format!("\nThe {more} further records hold as well; --json tells them all.\n");
    }
    text.push_str("\nNOT PROVEN by it:\n");
    report.not_proven().iter().for_each(|line| text.extend(["  - ", line, "\n"]));
    if replaced {
        text.extend(["  - ", REPLACED, "\n"]);
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads only the first lines has the answer.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::unavailable),
    }
}

fn check_proof(args: &Args, trusted: &Trusted, bytes: &[u8]) -> Outcome {
    if trusted.signer.is_some() {
        return Err(Failure::Usage(
            "--signer goes with an evidence file; a proof file is signed by the ledger".to_owned(),
        ));
    }
    if trusted.writers.len() > 1 {
        return Err(Failure::Usage("a proof file is about one record: give --writer once".to_owned()));
    }
    let proof = Proof::parse(bytes).map_err(wrong)?;
    let verified = proof.verify(&trusted.ledger, trusted.writers.first()).map_err(wrong)?;
    let met = trusted.policy.as_ref().map(|p| p.check(&verified.checkpoint, &trusted.ledger));
    let met = met.transpose().map_err(wrong)?;
    if let Some(path) = &args.ciphertext {
        let bytes = std::fs::read(path)
            .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))?;
        if Hash::of(&[&bytes]) != proof.leaf_inputs.ciphertext_hash {
            let id = record_id(proof.record);
            return Err(wrong(format!("{} is not the ciphertext of record {id}", path.display())));
        }
    }
    if args.json {
        let mut json = summary(&verified, &proof, met.as_ref());
        json["key_replaced"] = trusted.replaced.into();
        return print_json(&json);
    }
    tell(&verified, &proof, met.as_ref(), args.ciphertext.is_some())?;
    if trusted.replaced {
        println!("  not proven  {REPLACED}");
    }
    Ok(())
}

fn summary(v: &Verified, proof: &Proof, met: Option<&Met>) -> serde_json::Value {
    serde_json::json!({
        "proven": true,
        "kind": "proof",
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
        "witnesses": met.map(witnesses_json),
    })
}

fn tell(v: &Verified, proof: &Proof, met: Option<&Met>, ciphertext: bool) -> Outcome {
    println!(
        "PROVEN: record {} exists in the ledger {} and has not been changed.",
        record_id(v.record),
        printable(&v.ledger)
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
    let writer = printable(&v.writer);
    if v.writer_checked {
        println!("  writer      {writer}, signature checked with the key you gave");
    } else {
        println!(
            "  writer      {writer}, as the ledger says; give --writer VKEY to check that signature too"
        );
    }
    if let Some(met) = met {
        println!("  witnesses   {}", witnessed(met));
    }
    println!("  not proven  what the record says: only a reader's key shows that");
    Ok(())
}
