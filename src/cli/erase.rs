//! `erase`: an order, signed by as many officers as the roster requires, that takes the content of records out of the ledger.

use std::path::{Path, PathBuf};

use crate::base::clock::Timestamp;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::key::SigningKey;
use crate::chain::note::Note;
use crate::chain::replay::Head;
use crate::chain::statement::{Statement, statement_hash};
use crate::config::keyfile;
use crate::event::view::printable;

use super::authority::{Authority, Remote};
use super::journal::Journal;
use super::operator::signing_key_file;
use super::{Failure, Outcome};

/// What an erasure cannot undo, told after each.
const NOT_UNDONE: &str =
    "What readers opened before, mirrors and backups keep what they have: see docs/THREATS.md";

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealtrail erase --records 40..51,77 --reason gdpr-17 --legal-basis \"GDPR Art. 17(1)(d)\" \
              --officer keys/dpo.key\n\n  Two officers, two machines:\n  sealtrail erase --records EVT-00000040 --reason gdpr-17 \
              --legal-basis \"GDPR Art. 17(1)(d)\" --officer dpo.key --out order.txt\n  sealtrail erase --order order.txt --officer \
              ciso.key --server https://audit.hospital.example\n\n\
              The order is public for ever: reason and legal basis must not say whose records these are."
)]
pub struct Args {
    /// Records to erase: indexes or ids, as A..B (both included) or single, with commas between
    #[arg(long, value_name = "A..B,…", required_unless_present = "order", conflicts_with = "order")]
    records: Option<String>,
    /// Reason code of a-z 0-9 . - such as gdpr-17; `retention-expired` only takes what is past its retain-until
    #[arg(long, value_name = "CODE", required_unless_present = "order", conflicts_with = "order")]
    reason: Option<String>,
    /// The legal basis, one line
    #[arg(long, value_name = "TEXT", required_unless_present = "order", conflicts_with = "order")]
    legal_basis: Option<String>,
    /// Sign an order that others have signed, instead of making one
    #[arg(long, value_name = "ORDER")]
    order: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

/// How an order is signed and where it goes.
#[derive(clap::Args)]
pub struct Signing {
    /// Key of an officer; may be given again
    #[arg(long = "officer", value_name = "KEYFILE", num_args = 1..)]
    pub officers: Vec<PathBuf>,
    /// Write the signed order to this file and carry nothing out: for another officer to sign
    #[arg(long, value_name = "ORDER")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub place: Remote,
}

pub fn run(settings: &Path, args: Args) -> Outcome {
    let keys = keys(&args.signing)?;
    let (Some(records), Some(reason), Some(legal_basis)) = (&args.records, args.reason, args.legal_basis)
    else {
        return sign_again(settings, &args.order.unwrap_or_default(), &args.signing, &keys);
    };
    let records = RecordRange::parse_list(records).map_err(Failure::usage)?;
    let authority = Authority::open(settings, &args.signing.place)?;
    // An order stands in the chain for ever: not a second one for what is gone.
    let records = RecordRange::without(&records, &Journal::read(&authority)?.erased);
    if records.is_empty() {
        println!("all of these records were ordered to be erased before; nothing done");
        return Ok(());
    }
    let order = Order { records, reason, legal_basis };
    issue(authority, order, &args.signing, &keys)
}

/// What an order says.
pub struct Order {
    /// The records.
    pub records: Vec<RecordRange>,
    /// Reason code.
    pub reason: String,
    /// Legal basis.
    pub legal_basis: String,
}

/// The officers' keys, at least one.
pub fn keys(signing: &Signing) -> Result<Vec<SigningKey>, Failure> {
    if signing.officers.is_empty() {
        return Err(Failure::Usage("an erasure is signed by officers: give --officer KEYFILE".into()));
    }
    signing.officers.iter().map(|path| signing_key_file(path)).collect()
}

/// Makes an order, signs it, and commits it or hands it on.
pub fn issue(authority: Authority, order: Order, signing: &Signing, keys: &[SigningKey]) -> Outcome {
    let Head { next_sequence: sequence, previous } = authority.head;
    let statement = Statement::Erasure(ErasureStatement {
        ledger: authority.ledger.clone(),
        sequence,
        previous,
        issued: Timestamp::now(),
        records: order.records,
        reason: order.reason,
        legal_basis: order.legal_basis,
    });
    let (first, others) =
        keys.split_first().ok_or_else(|| Failure::Usage("give --officer KEYFILE".into()))?;
    let mut note = statement.sign(first).map_err(Failure::usage)?;
    for key in others {
        add_signature(&mut note, key)?;
    }
    complete(authority, note, signing, None)
}

/// Signs an order from a file.
fn sign_again(settings: &Path, order: &Path, signing: &Signing, keys: &[SigningKey]) -> Outcome {
    let text = keyfile::read_public(order).map_err(Failure::usage)?;
    let mut note = Note::parse(&text).map_err(|e| Failure::Usage(format!("{}: {e}", order.display())))?;
    let erasure = erasure_of(&note)
        .map_err(|why| Failure::Usage(format!("{} is no erasure order: {why}", order.display())))?;
    tell(&erasure);
    for key in keys {
        add_signature(&mut note, key)?;
    }
    if let Some(out) = &signing.out {
        return hand_on(&note, out, None);
    }
    let authority = Authority::open(settings, &signing.place)?;
    if authority.ledger != erasure.ledger {
        return Err(Failure::Usage(format!(
            "the order is for the ledger {}, this is {}",
            erasure.ledger, authority.ledger
        )));
    }
    complete(authority, note, signing, Some(order))
}

fn erasure_of(note: &Note) -> Result<ErasureStatement, String> {
    match Statement::parse(&note.text) {
        Ok(Statement::Erasure(erasure)) => Ok(erasure),
        Ok(other) => Err(format!("it is a {}", other.kind())),
        Err(e) => Err(e.to_string()),
    }
}

fn add_signature(note: &mut Note, key: &SigningKey) -> Outcome {
    if note.signatures.iter().any(|s| s.name == key.name()) {
        return Err(Failure::Usage(format!("{} has signed this order already", key.name())));
    }
    note.add_signature(key);
    Ok(())
}

/// What the order says, for who is about to sign it.
fn tell(erasure: &ErasureStatement) {
    eprintln!("Order to erase {} records of {}", RecordRange::total(&erasure.records), erasure.ledger);
    for r in &erasure.records {
        eprintln!("  records      {r}");
    }
    eprintln!("  reason       {}", erasure.reason);
    eprintln!("  legal basis  {}", printable(&erasure.legal_basis));
}

/// Commits an order with enough signatures; writes one with too few to a file.
fn complete(authority: Authority, note: Note, signing: &Signing, order: Option<&Path>) -> Outcome {
    let erasure = erasure_of(&note).map_err(Failure::Usage)?;
    for signature in &note.signatures {
        if !authority.roster.officers.iter().any(|key| signature.is_by(key)) {
            return Err(Failure::Usage(format!(
                "{} is no officer of this ledger, or has another key there: see `sealtrail officer list`; an admin adds one with \
                 `officer add`",
                signature.name
            )));
        }
    }
    let (have, need) = (note.signatures.len() as u64, authority.roster.officers_required.max(1));
    if let Some(out) = &signing.out {
        return hand_on(&note, out, Some((have, need)));
    }
    if have < need {
        let Some(order) = order else {
            return Err(Failure::Usage(format!(
                "an erasure needs {need} officers and this has {have}: give --officer once more, or --out ORDER to hand it on to \
                 another officer"
            )));
        };
        return hand_on(&note, order, Some((have, need)));
    }
    let stale =
        erasure.sequence != authority.head.next_sequence || erasure.previous != authority.head.previous;
    let mine = statement_hash(&note.text) == authority.head.previous;
    if stale && !mine {
        return Err(Failure::Usage(
            "since this order was made another roster, grant, hold or erasure was committed, and its place in the sequence is taken: \
             make the order again"
                .into(),
        ));
    }
    let block = authority.submit(note)?;
    println!("ordered at block {block}: {} records", RecordRange::total(&erasure.records));
    if authority.wait_erased() {
        println!("erased: ciphertext, key slots and tags are gone from the database and its log");
    } else {
        println!("the ledger goes on erasing; GET /healthz counts the orders that are pending");
    }
    eprintln!("{NOT_UNDONE}");
    Ok(())
}

/// Writes an order for another officer; over the old one if it came from there.
fn hand_on(note: &Note, path: &Path, signatures: Option<(u64, u64)>) -> Outcome {
    let new = path.with_extension("new");
    std::fs::write(&new, note.to_string())
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|e| Failure::Unavailable(format!("cannot write {}: {e}", path.display())))?;
    let count = match signatures {
        Some((have, need)) => format!("{have} of {need}"),
        None => note.signatures.len().to_string(),
    };
    println!("{} has {count} signatures; nothing is erased yet", path.display());
    eprintln!("Next officer: sealtrail erase --order {} --officer KEYFILE", path.display());
    Ok(())
}
