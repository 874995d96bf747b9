//! `demo`: the whole story, told by the program's own commands. Each role is a process of its own that starts in a
//! folder of its own and finds nothing there but its own files. Any step that does not go as told ends the demo with an error.

mod roles;
mod tamper;

use std::io::Write as _;
use std::path::PathBuf;

use crate::chain::proof::Proof;
use crate::client::Client;

use super::{Failure, Outcome};
use roles::{Role, Roles, run_role};

/// The demo ledger's name.
const LEDGER: &str = "demo.example/phi-audit";
/// What the application logs: the shapes applications really send. The last two are FHIR AuditEvents, R4 and R5.
const EVENTS: &str = include_str!("demo/events.ndjson");
/// What must never be found at the operator.
const SECRETS: [&str; 6] = [
    "dr-smith-4421",
    "PAT-2026-00842",
    "nurse-okafor-118",
    "clerk-jones-7",
    "diagnosis",
    "Emergency Override",
];
/// The record the story follows.
const FOLLOWED: &str = "EVT-00000000";

#[derive(clap::Args)]
#[command(after_help = "Example: sealtrail demo --keep")]
pub struct Args {
    /// Keep the ledger in ./demo-ledger and leave it serving; print the curl lines to try
    #[arg(long)]
    keep: bool,
}

fn say(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

fn step(number: u32, title: &str) {
    say(&format!("\n{number}. {title}"));
}

/// A claim of the story that must be true.
fn ensure(claim: bool, what: &str) -> Outcome {
    if claim {
        say(&format!("   ok: {what}"));
        return Ok(());
    }
    Err(Failure::Wrong(format!("the demo expected this and it is not so: {what}")))
}

pub fn run(args: Args) -> Outcome {
    let root = if args.keep {
        PathBuf::from("demo-ledger")
    } else {
        std::env::temp_dir().join(format!("sealtrail-demo-{}", std::process::id()))
    };
    if root.exists() {
        return Err(Failure::Usage(format!(
            "{} exists already: remove it, or look at what it holds",
            root.display()
        )));
    }
    let roles = Roles::create(&root)?;
    let result = tell(&roles, args.keep);
    if !args.keep {
        let _ = std::fs::remove_dir_all(&root);
    }
    result
}

fn tell(roles: &Roles, keep: bool) -> Outcome {
    say("Sealtrail demo. Five roles, each a process in a folder of its own under");
    say(&format!("  {}", roles.root.display()));
    let (mut server, url, vkey) = set_up(roles)?;
    log_events(roles, &url)?;
    operator_sees_nothing(roles, &url)?;
    auditor_opens(roles, &url)?;
    stranger_verifies(roles, &url, &vkey)?;
    outsider_is_refused(roles, &url)?;
    reading_is_logged(roles, &url)?;
    tampering_is_caught(roles, &url)?;
    auditor_asks(roles, &url, &vkey)?;
    say("\nEverything held: logged once, read by one, provable by anyone, changed by nobody.");
    if keep {
        leave_serving(roles, &url, &vkey, &mut server)?;
    }
    Ok(())
}

/// 1. Keys, ledger, server.
fn set_up(roles: &Roles) -> Result<(roles::Server, String, String), Failure> {
    step(
        1,
        "The auditor makes a key. The operator creates the ledger, knowing only its public half, and starts the server.",
    );
    let recipient = run_role(roles, Role::Auditor, &["keygen", "reader", "alice"])?.expect_ok()?;
    let recipient = recipient.trim().to_owned();
    let reader = format!("alice={recipient}");
    let vkey = run_role(roles, Role::Operator, &["init", LEDGER, "--reader", &reader])?.expect_ok()?;
    let vkey = vkey.trim().to_owned();
    let (server, url) = roles.serve()?;
    say(&format!("   server     {url}"));
    say(&format!("   public key {vkey}"));
    for role in [Role::Auditor, Role::Stranger, Role::Outsider] {
        std::fs::write(roles.dir(role).join("ledger.vkey"), format!("{vkey}\n"))
            .map_err(Failure::unavailable)?;
    }
    let token = crate::config::keyfile::read_secret(&roles.dir(Role::Operator).join("keys/ingest.token"))
        .map_err(Failure::usage)?;
    crate::config::keyfile::create_secret(&roles.dir(Role::Application).join("keys/ingest.token"), &token)
        .map_err(Failure::usage)?;
    let client = Client::new(&url, None)?;
    ensure(client.ledger()?.key == vkey, "the server signs with that key")?;
    Ok((server, url, vkey))
}

/// 2. The application logs over HTTP.
fn log_events(roles: &Roles, url: &str) -> Outcome {
    step(
        2,
        "The application logs who accessed which patient: one HTTP call, one receipt, durable before the answer.",
    );
    let mut client = Client::new(url, None)?;
    let token = std::fs::read_to_string(roles.dir(Role::Application).join("keys/ingest.token"))
        .map_err(Failure::unavailable)?;
    client.set_token(token.trim().to_owned());
    for event in EVENTS.lines() {
        let answer = client.post("/v1/events", "application/json", event.as_bytes())?;
        say(&format!("   {}", String::from_utf8_lossy(&answer)));
    }
    let many: Vec<String> = (0..1000)
        .zip(EVENTS.lines().cycle())
        .map(|(i, event)| event.replace("PAT-2026-00842", &format!("PAT-2026-{i:05}")))
        .collect();
    std::fs::write(roles.dir(Role::Application).join("events.ndjson"), many.join("\n"))
        .map_err(Failure::unavailable)?;
    let started = crate::base::clock::monotonic();
    let said = run_role(roles, Role::Application, &["log", "events.ndjson", "--server", url])?.expect_ok()?;
    let took = crate::base::clock::monotonic().duration_since(started);
    say(&format!(
        "   {}  (1,000 events from a file in {} ms, process start included)",
        said.trim(),
        took.as_millis()
    ));
    let info = client.ledger()?;
    ensure(info.records == 1005, "1,005 records are in the ledger")
}

/// 3. What the operator has.
fn operator_sees_nothing(roles: &Roles, url: &str) -> Outcome {
    step(3, "The operator looks into the database and at everything the server publishes.");
    let client = Client::new(url, None)?;
    let block = client.block(1)?;
    say("   block 1, as everyone can read it:");
    for line in block.lines() {
        say(&format!("   | {line}"));
    }
    let mut seen = roles.operator_bytes()?;
    let on_disk = seen.len();
    let info = client.ledger()?;
    for height in 0..info.blocks {
        seen.extend(client.block(height)?.into_bytes());
        seen.extend(client.leaf_inputs(height)?);
    }
    for record in [0, 4, info.records - 1] {
        seen.extend(client.proof(record)?);
    }
    seen.extend(client.get("/metrics")?);
    seen.extend(client.checkpoint()?.into_bytes());
    say(&format!(
        "   searched {on_disk} bytes on disk and {} bytes published for {SECRETS:?}",
        seen.len() - on_disk
    ));
    let found = SECRETS.iter().find(|s| seen.windows(s.len()).any(|w| w == s.as_bytes()));
    ensure(found.is_none(), "nothing readable: no name, no patient, no field")
}

/// 4. The auditor, with their own key.
fn auditor_opens(roles: &Roles, url: &str) -> Outcome {
    step(4, "An auditor opens a record with their own key.");
    let args = [
        "audit",
        "open",
        FOLLOWED,
        "--identity",
        "keys/alice.identity",
        "--key",
        "ledger.vkey",
        "--server",
        url,
    ];
    say(&format!("   $ sealtrail {}", args.join(" ")));
    let done = run_role(roles, Role::Auditor, &args)?;
    for line in done.stderr.lines() {
        say(&format!("   {line}"));
    }
    let event = done.expect_ok()?;
    say(&format!("   {}", event.trim_end()));
    ensure(Some(event.trim_end()) == EVENTS.lines().next(), "byte for byte what the application sent")
}

/// 5. A stranger, offline.
fn stranger_verifies(roles: &Roles, url: &str, vkey: &str) -> Outcome {
    step(
        5,
        "A stranger gets a proof file and verifies it offline, with nothing but the ledger's public key.",
    );
    run_role(roles, Role::Auditor, &["prove", FOLLOWED, "--out", "record.proof.json", "--server", url])?
        .expect_ok()?;
    let proof = std::fs::read_to_string(roles.dir(Role::Auditor).join("record.proof.json"))
        .map_err(Failure::unavailable)?;
    let stranger = roles.dir(Role::Stranger);
    std::fs::write(stranger.join("record.proof.json"), &proof).map_err(Failure::unavailable)?;
    let said =
        run_role(roles, Role::Stranger, &["verify", "record.proof.json", "--key", vkey])?.expect_ok()?;
    for line in said.lines() {
        say(&format!("   {line}"));
    }
    ensure(!SECRETS.iter().any(|s| proof.contains(s)), "the proof file tells nothing of the content")?;
    let parsed = Proof::parse(proof.as_bytes()).map_err(Failure::unavailable)?;
    let digits = parsed.leaf_inputs.ciphertext_hash.hex();
    let changed = if digits.starts_with('0') { "1" } else { "0" };
    let forged = proof.replace(&digits, &format!("{changed}{}", digits.get(1..).unwrap_or_default()));
    std::fs::write(stranger.join("forged.proof.json"), forged).map_err(Failure::unavailable)?;
    let done = run_role(roles, Role::Stranger, &["verify", "forged.proof.json", "--key", vkey])?;
    say(&format!("   with one digit changed: {}", done.stderr.trim()));
    ensure(done.code == 1, "a changed proof file is refused, exit code 1")
}

/// 6. Someone with a key that is not in the roster.
fn outsider_is_refused(roles: &Roles, url: &str) -> Outcome {
    step(
        6,
        "Someone who is not a reader tries: at the server, and with a stolen copy of the database's bytes.",
    );
    run_role(roles, Role::Outsider, &["keygen", "reader", "mallory"])?.expect_ok()?;
    let args = [
        "audit",
        "open",
        FOLLOWED,
        "--identity",
        "keys/mallory.identity",
        "--key",
        "ledger.vkey",
        "--server",
        url,
    ];
    let done = run_role(roles, Role::Outsider, &args)?;
    say(&format!("   {}", done.stderr.trim()));
    ensure(done.code == 2, "refused at the server")?;
    let refused =
        tamper::open_stolen(&roles.operator_db(), &roles.dir(Role::Outsider).join("keys/mallory.identity"))?;
    say(&format!("   with the stolen bytes: {refused}"));
    ensure(refused.contains("not sealed for this identity"), "the bytes alone do not open either")
}

/// 7. Reads are records too.
fn reading_is_logged(roles: &Roles, url: &str) -> Outcome {
    step(7, "Reading the log is itself in the log.");
    let args = [
        "audit",
        "open",
        "EVT-00001005",
        "--identity",
        "keys/alice.identity",
        "--key",
        "ledger.vkey",
        "--server",
        url,
    ];
    let event = run_role(roles, Role::Auditor, &args)?.expect_ok()?;
    say(&format!("   {}", event.trim_end()));
    ensure(
        event.contains("audit_log_access") && event.contains("alice") && event.contains(FOLLOWED),
        "the first record after the events says that alice read EVT-00000000",
    )
}

/// 8. A copy is changed.
fn tampering_is_caught(roles: &Roles, url: &str) -> Outcome {
    step(8, "A database administrator changes one byte in a copy of the database.");
    let args =
        ["audit", "verify", "--key", "ledger.vkey", "--identity", "keys/alice.identity", "--server", url];
    let said = run_role(roles, Role::Auditor, &args)?.expect_ok()?;
    say(&format!("   the live ledger: {}", said.lines().next().unwrap_or_default()));
    let copy = roles.dir(Role::Outsider).join("copy.db");
    tamper::copy_database(&roles.operator_db(), &copy)?;
    let args = ["audit", "verify", "--key", "ledger.vkey", "--file", "copy.db"];
    let done = run_role(roles, Role::Outsider, &args)?;
    ensure(done.code == 0, "the untouched copy holds")?;
    tamper::flip_byte_of_record(&copy, 3)?;
    let done = run_role(roles, Role::Outsider, &args)?;
    say(&format!("   {}", done.stderr.trim()));
    ensure(
        done.code == 1 && done.stderr.contains("EVT-00000003"),
        "the change is found and the record is named, exit code 1",
    )
}

/// 9. What an auditor does in the morning.
fn auditor_asks(roles: &Roles, url: &str, vkey: &str) -> Outcome {
    step(9, "The auditor asks who accessed a patient, and proves one field of the answer to the stranger.");
    let args =
        ["audit", "sync", "--key", "ledger.vkey", "--identity", "keys/alice.identity", "--server", url];
    let said = run_role(roles, Role::Auditor, &args)?.expect_ok()?;
    say(&format!("   {}", said.lines().next().unwrap_or_default()));
    let args = ["audit", "search", "--patient", "PAT-2026-00842", "--offline"];
    say(&format!("   $ sealtrail {}", args.join(" ")));
    let said = run_role(roles, Role::Auditor, &args)?.expect_ok()?;
    for line in said.lines() {
        say(&format!("   {line}"));
    }
    ensure(said.contains("dr-smith-4421"), "answered from blind tags: the ledger learned no name")?;
    let fields = "/actor/user_id,/action";
    let args = ["audit", "disclose", FOLLOWED, "--fields", fields, "--out", "who.evidence.json", "--offline"];
    run_role(roles, Role::Auditor, &args)?.expect_ok()?;
    let evidence =
        std::fs::read(roles.dir(Role::Auditor).join("who.evidence.json")).map_err(Failure::unavailable)?;
    std::fs::write(roles.dir(Role::Stranger).join("who.evidence.json"), evidence)
        .map_err(Failure::unavailable)?;
    let said =
        run_role(roles, Role::Stranger, &["verify", "who.evidence.json", "--key", vkey])?.expect_ok()?;
    for line in said.lines().filter(|l| l.contains("field")) {
        say(&format!("   {}", line.trim()));
    }
    ensure(
        said.contains("\"dr-smith-4421\"") && !said.contains("PAT-2026-00842"),
        "the stranger knows who and what was done, proven, and not to whom",
    )
}

fn leave_serving(roles: &Roles, url: &str, vkey: &str, server: &mut roles::Server) -> Outcome {
    let (token, auditor) = (roles.dir(Role::Application).join("keys/ingest.token"), roles.dir(Role::Auditor));
    say("\nThe server goes on until you press Ctrl-C. Try:");
    say(&format!(
        "  curl -s {url}/v1/events -H \"Authorization: Bearer $(cat {})\" --json \
            '{{\"actor\":{{\"user_id\":\"me\"}},\"action\":\"read\",\"resource\":{{\"id\":\"PAT-1\"}}}}'",
        token.display()
    ));
    say(&format!("  curl -s {url}/checkpoint"));
    say(&format!("  curl -s {url}/v1/blocks/1"));
    say(&format!(
        "  curl -s {url}/v1/proofs/0 > record.proof.json && sealtrail verify record.proof.json --key '{vkey}'"
    ));
    say(&format!(
        "  sealtrail audit open 0 --server {url} --identity {} --key {}",
        auditor.join("keys/alice.identity").display(),
        auditor.join("ledger.vkey").display()
    ));
    say(&format!("  curl -s {url}/healthz; curl -s {url}/metrics"));
    server.wait()
}
