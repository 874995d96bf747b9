//! `audit disclose`: prove single fields of one record and show nothing else of it.

use crate::auditor::evidence::build::{Builder, Disclose};
use crate::auditor::evidence::gather::Gatherer;
use crate::chain::proof::record_id;
use crate::chain::statement::RecordRange;

use super::super::{Failure, Outcome};
use super::export::{FileArgs, MakeError, finish, from_vault, record_index};
use super::vault::VaultArgs;

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
    /// Ask the server even if there is a vault; without a vault that is done anyhow
    #[arg(long, conflicts_with = "offline")]
    remote: bool,
    #[command(flatten)]
    vault: VaultArgs,
}

pub fn run(args: DiscloseArgs) -> Outcome {
    let pointers: Vec<String> = args.fields.iter().chain(&args.field).map(|p| p.trim().to_owned()).collect();
    if let Some(bad) = pointers.iter().find(|p| !p.starts_with('/')) {
        return Err(Failure::Usage(format!(
            "{bad:?} is no field: write a JSON Pointer such as /actor/user_id; the whole event is for `audit export --opened`"
        )));
    }
    let disclose = Disclose::Fields(pointers.clone());
    let selection = format!("{} of {}", pointers.join(", "), record_id(args.record));
    if !args.vault.remote(args.remote) {
        let open = args.vault.open()?;
        return from_vault(&open, &[args.record], &disclose, &args.file, selection);
    }
    let setting = args.vault.remote_setting()?;
    let (identities, client) = (setting.identities()?, setting.client()?);
    let mut builder = Builder::new(&setting.key, &identities);
    let mut gatherer = Gatherer::new(&client, &setting.key, &identities).map_err(MakeError::from)?;
    let range = RecordRange { first: args.record, last: args.record };
    gatherer.each(&[range], true, |material| {
        builder.add(material, &disclose, None)?;
        Ok::<_, MakeError>(())
    })?;
    finish(builder, &args.file, &setting.key, selection)
}
