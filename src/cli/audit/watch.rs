//! `audit watch`.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::auditor::watch::alert::Naming;
use crate::auditor::watch::cursor::{Cursor, CursorError};
use crate::auditor::watch::engine::{Coverage, Engine};
use crate::auditor::watch::parse::duration_millis;
use crate::auditor::watch::rules::{DEFAULT_RULES, Rules};
use crate::auditor::watch::sinks::{LineFormat, LineSink, Sink, Webhook, WebhookOptions};
use crate::auditor::watch::syslog::Syslog;
use crate::auditor::watch::tail::{Connect, VaultTail};
use crate::auditor::watch::{self, Options, Retry, Summary, TailError, WatchError};
use crate::base::clock::Timestamp;
use crate::base::limits::MAX_RULES_BYTES;
use crate::config::keyfile;
use crate::event::view::printable;

use super::super::{Failure, Outcome};
use super::vault::{Setting, VaultArgs};

/// Longest time between two polls.
const MAX_EVERY_MILLIS: i64 = 86_400_000;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    sealtrail audit watch --print-rules > rules.toml        a commented file to start from\n  \
    sealtrail audit watch --rules rules.toml --check-rules  is it right?\n  \
    sealtrail audit watch --server https://audit.example:7470 --key ledger.vkey --identity me.identity   (the first time)\n  \
    sealtrail audit watch --rules rules.toml                (the vault remembers the rest)\n  \
    sealtrail audit watch … --from-start --once --json      go through what is there, then end\n  \
    sealtrail audit watch … --webhook https://alerts.example/hook --syslog tcp://logs.example:601\n\
    A new watch begins with the next record unless --from-start is given. Ctrl-C ends it at any time; the next run goes on at its \
    cursor. Alerts name people by pseudonyms and records by id: `audit open` shows a record.\n\
    Exit codes: 1 the ledger was forked, rolled back or does not verify, after the alert about it went out; 3 (with --once) the ledger or a \
    receiver could not be reached.")]
pub struct WatchArgs {
    /// Rules file; without it the rules that --print-rules shows
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print a commented rules file with useful rules and end
    #[arg(long)]
    print_rules: bool,
    /// Say whether the rules file is right and end
    #[arg(long)]
    check_rules: bool,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// How to watch and whom to tell.
#[derive(clap::Args)]
pub struct HowArgs {
    /// Time between looks at the ledger: 5s, 1m, …
    #[arg(long, default_value = "5s", value_name = "TIME")]
    every: String,
    /// Look once and end, for cron
    #[arg(long)]
    once: bool,
    /// Where this watch stands; its secret is kept beside it [default: watch.cursor in the vault]
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// A new watch goes through all records there are
    #[arg(long)]
    from_start: bool,
    /// One JSON object a line on standard output
    #[arg(long)]
    json: bool,
    /// Nothing on standard output
    #[arg(long)]
    quiet: bool,
    /// POST each alert as a CloudEvent to this address
    #[arg(long, env = "SEALTRAIL_WEBHOOK", hide_env_values = true, value_name = "URL")]
    webhook: Option<String>,
    /// File with a token for it, sent as `Authorization: Bearer`
    #[arg(long, requires = "webhook", value_name = "FILE")]
    webhook_token: Option<PathBuf>,
    /// Certificate to trust for the webhook's https, PEM
    #[arg(long, requires = "webhook", value_name = "FILE")]
    webhook_ca: Option<PathBuf>,
    /// Send alerts to syslog: udp://HOST:514, tcp://HOST:601 or unix:/dev/log; may be given several times
    #[arg(long, value_name = "PLACE")]
    syslog: Vec<String>,
    /// Put names, addresses and the event's columns into alerts. Whoever receives them can then read them
    #[arg(long)]
    with_personal_data: bool,
}

pub fn run(args: WatchArgs) -> Outcome {
    if args.print_rules {
        print!("{DEFAULT_RULES}");
        return Ok(());
    }
    let rules = load_rules(args.rules.as_deref())?;
    if args.check_rules {
        println!("{} rules, all right", rules.rules.len());
        return Ok(());
    }
    let how = args.how;
    let every = duration_millis(&how.every).filter(|ms| (100..=MAX_EVERY_MILLIS).contains(ms));
    let every =
        every.ok_or_else(|| Failure::Usage("--every: write a time such as 5s, 1m or 1h, up to 1d".into()))?;
    let sinks = sinks(&how)?;
    let setting = Rc::new(args.vault.setting()?);
    // A file that is not there, or open to others, is told before anything else happens.
    setting.identities()?;
    if args.vault.remote(false) {
        // The first download can be long: with a progress bar. What is wrong with the ledger is the watch's to alert about.
        match setting.sync(None, false) {
            Err(e @ Failure::Usage(_)) => return Err(e),
            Err(Failure::Unavailable(why)) if how.once => return Err(Failure::Unavailable(why)),
            _ => {}
        }
    }
    let ledger = setting.key.name().to_owned();
    let path = how.cursor.clone().unwrap_or_else(|| setting.dir().join("watch.cursor"));
    let cursor = Cursor::open(&path, &ledger)?;
    let engine = Engine::new(rules, Naming::new(cursor.secret(), how.with_personal_data), &ledger);
    let options = Options {
        every: Duration::from_millis(u64::try_from(every).unwrap_or(5000)),
        once: how.once,
        from_start: how.from_start,
        retry: Retry::default(),
        now: Timestamp::now,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop);
    let mut say = |text: &str| eprintln!("sealtrail: {}", printable(text));
    if !how.once {
        say(&format!("watching {ledger}, every {}; Ctrl-C ends it", how.every));
    }
    let mut tail = tail(&setting, args.vault.offline);
    let summary = watch::run(&mut tail, engine, sinks, cursor, &options, &mut say, &stop)?;
    say(&told(&summary));
    Ok(())
}

/// The vault as something that grows: by syncing it, or (offline) by what other commands sync.
fn tail(setting: &Rc<Setting>, offline: bool) -> VaultTail {
    let (for_client, for_identities) = (setting.clone(), setting.clone());
    let connect: Connect = Box::new(move || for_client.client().map_err(tail_error));
    let identities = Box::new(move || for_identities.identities().map_err(tail_error));
    let connect = (!offline).then_some(connect);
    VaultTail::new(setting.dir(), &setting.key, setting.admin().cloned(), connect, identities)
}

fn tail_error(e: Failure) -> TailError {
    match e {
        Failure::Unavailable(why) => TailError::Unavailable(why),
        Failure::Usage(why) => TailError::Refused(why),
        Failure::Wrong(why) => TailError::Broken(why),
    }
}

fn told(s: &Summary) -> String {
    let Coverage { opened, partly_opened, not_for_you, erased, unreadable } = s.coverage;
    let records = opened + partly_opened + not_for_you + erased + unreadable;
    let mut text = format!("{} alerts from {records} records in {} blocks", s.alerts, s.blocks);
    let mut add = |n: u64, what: &str| {
        if n > 0 {
            text.push_str(&format!("; {n} {what}"));
        }
    };
    add(partly_opened, "open in part only: rules see no more of them");
    add(not_for_you, "not sealed for you: no rule sees what is in them");
    add(erased, "erased by order");
    add(unreadable, "unreadable");
    format!("{text}. The next run begins with block {}", s.next_block)
}

fn load_rules(path: Option<&Path>) -> Result<Rules, Failure> {
    let Some(path) = path else { return Rules::parse(DEFAULT_RULES).map_err(Failure::usage) };
    let too_large = |n: u64| n > MAX_RULES_BYTES as u64;
    let text = match std::fs::metadata(path) {
        Ok(meta) if too_large(meta.len()) => {
            return Err(Failure::Usage(format!("{} is larger than {MAX_RULES_BYTES} bytes", path.display())));
        }
        _ => std::fs::read_to_string(path).map_err(|e| {
            Failure::Usage(format!(
                "cannot read the rules {}: {e}; `sealtrail audit watch --print-rules` prints a file to start from",
                path.display()
            ))
        })?,
    };
    Rules::parse(&text).map_err(|e| Failure::Usage(format!("{}, {e}", path.display())))
}

fn sinks(how: &HowArgs) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if !how.quiet {
        let format = if how.json { LineFormat::Json } else { LineFormat::Text };
        sinks.push(Box::new(LineSink::new(std::io::stdout(), format)));
    }
    if let Some(url) = &how.webhook {
        let token =
            how.webhook_token.as_deref().map(keyfile::read_secret).transpose().map_err(Failure::usage)?;
        let token = token.as_ref().map(|t| t.as_str());
        let options = WebhookOptions { url, token, ca: how.webhook_ca.as_deref() };
        sinks.push(Box::new(Webhook::new(&options).map_err(Failure::usage)?));
    }
    for place in &how.syslog {
        sinks.push(Box::new(Syslog::parse(place).map_err(Failure::usage)?));
    }
    if sinks.is_empty() {
        return Err(Failure::Usage("--quiet without --webhook or --syslog: nobody would be told".into()));
    }
    Ok(sinks)
}

/// Sets `stop` on SIGINT or SIGTERM. Where that cannot be, the signal ends the process at once, which loses nothing either.
fn stop_on_signal(stop: &Arc<AtomicBool>) {
    let stop = stop.clone();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    std::thread::spawn(move || {
        runtime.block_on(async { super::super::serve::stop_signal().await });
        stop.store(true, Ordering::Relaxed);
    });
}

impl From<CursorError> for Failure {
    fn from(e: CursorError) -> Failure {
        match e {
            CursorError::Io { .. } | CursorError::Random(_) => Failure::unavailable(e),
            CursorError::Malformed { .. }
            | CursorError::OtherLedger { .. }
            | CursorError::Locked(_)
            | CursorError::TooOpen(_) => Failure::usage(e),
        }
    }
}

impl From<WatchError> for Failure {
    fn from(e: WatchError) -> Failure {
        match e {
            WatchError::Integrity(_) => Failure::Wrong(e.to_string()),
            WatchError::Unavailable(_) | WatchError::Undelivered(_) => Failure::unavailable(e),
            WatchError::Refused(_) => Failure::usage(e),
            WatchError::Cursor(e) => e.into(),
        }
    }
}
