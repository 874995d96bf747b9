//! `audit disclose`: prove single fields of one record and show nothing else of it.

use std::path::PathBuf;

use crate::auditor::evidence::build::{Builder, Disclose};
use crate::auditor::evidence::gather::Gatherer;
use crate::chain::proof::record_id;
use crate::chain::statement::RecordRange;

use super::super::trust::{ServerArgs, verifier_key};
use super::super::{Failure, Outcome};
use super::export::{FileArgs, MakeError, finish, reader_session, record_index};

#[derive(clap::Args)]
#[command(
    after_help = "Example: sealtrail audit disclose EVT-00000042 --fields /actor/user_id,/timestamp --out who.evidence.json\n\
        Fields are JSON Pointers, such as /agent/0/who/reference. One that names an object or a list shows all below it.\n\
        Whoever gets the file learns these fields, their place among the others and how many others there are: nothing else."
)]
pub struct DiscloseArgs {
    /// Index or id of the record
    #[arg(value_parser = record_index)]
    record: u64,
    /// JSON Pointers of the fields to show, several with commas
    #[arg(long, value_name = "POINTER,…", value_delimiter = ',', required_unless_present = "field")]
    fields: Vec<String>,
    /// One pointer that may itself have a comma; may be given several times
    #[arg(long, value_name = "POINTER")]
    field: Vec<String>,
    #[command(flatten)]
    file: FileArgs,
    /// Your identity file, as age-keygen or `keygen reader` writes it
    #[arg(long, env = "SEALTRAIL_IDENTITY", value_name = "FILE")]
    identity: PathBuf,
    /// The ledger's verifier key, as text or as a .vkey file
    #[arg(long, env = "SEALTRAIL_KEY", value_name = "VKEY")]
    key: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: DiscloseArgs) -> Outcome {
    let key = verifier_key(&args.key)?;
    let pointers: Vec<String> = args.fields.iter().chain(&args.field).map(|p| p.trim().to_owned()).collect();
    if let Some(bad) = pointers.iter().find(|p| !p.starts_with('/')) {
        return Err(Failure::Usage(format!(
            "{bad:?} is no field: write a JSON Pointer such as /actor/user_id; the whole event is for `audit export --opened`"
        )));
    }
    let (identities, client) = reader_session(&args.server, &args.identity, &key)?;
    let mut builder = Builder::new(&key, &identities);
    let mut gatherer = Gatherer::new(&client, &key).map_err(MakeError::from)?;
    let range = RecordRange { first: args.record, last: args.record };
    let disclose = Disclose::Fields(pointers.clone());
    gatherer.each(&[range], true, |material| {
        builder.add(material, &disclose, None)?;
        Ok::<_, MakeError>(())
    })?;
    let selection = format!("{} of {}", pointers.join(", "), record_id(args.record));
    finish(builder, &args.file, &key, selection)
}
