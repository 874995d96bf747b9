//! `serve`: run the server until SIGINT or SIGTERM.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::chain::key::SigningKey;
use crate::chain::roster::Roster;
use crate::config::keyfile;
use crate::config::settings::Settings;
use crate::server::{Options, Server};
use crate::writer::{Writer, WriterOptions};

use super::next_key::{next_path, take_place};
use super::operator::*;
use super::{Failure, Outcome};

#[derive(clap::Args)]
pub struct Args {
    /// Listen here instead of where the settings say; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Start although the last-signed file is missing. Only after its loss has been explained
    #[arg(long)]
    accept_database_head: bool,
}

pub fn run(path: &Path, args: Args) -> Outcome {
    let mut settings = settings(path)?;
    if let Some(listen) = args.listen {
        settings.listen = override_listen(&listen, settings.tls.is_some())?;
    }
    let open = open_ledger(&settings, args.accept_database_head)?.ok_or_else(|| {
        Failure::Usage(format!("another process is using {}; stop it first", settings.database.display()))
    })?;
    let gateway_key = gateway_key(&settings, open.ledger.view().state.roster())?;
    if gateway_key.name() != settings.gateway.writer {
        return Err(Failure::Usage(format!(
            "the settings name the gateway {}, its key file {}",
            settings.gateway.writer,
            gateway_key.name()
        )));
    }
    let head = open.ledger.writer_head(gateway_key.name());
    let options = WriterOptions {
        key: gateway_key,
        ledger: settings.ledger.clone(),
        policy: settings.policy.clone(),
        retain_years: settings.gateway.retain_years,
        search: search_keeper(settings.keys.join(SEARCH_FILE)),
    };
    let writer = Writer::new(options, head).map_err(Failure::usage)?;
    let readers = open.ledger.view().state.roster().map(|r| r.readers.clone()).unwrap_or_default();
    if let Err(e) = writer.check_readers(&readers) {
        eprintln!("sealtrail: warning: no event can be logged yet: {e}");
    }
    if let Some(tls) = &settings.tls {
        keyfile::read_secret(&tls.key).map_err(Failure::usage)?;
    }
    let options = Options {
        listen: settings.listen.to_string(),
        tls: settings.tls.as_ref().map(|t| (t.cert.clone(), t.key.clone())),
        ingest_tokens: vec![token_hash(&settings.keys.join(TOKEN_FILE))?],
        heartbeat: Duration::from_secs(u64::from(settings.gateway.heartbeat_minutes) * 60),
    };
    // Every key that was protected is open: the server needs no passphrase again.
    crate::config::passphrase::forget();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::unavailable)?;
    let gateway = runtime.block_on(async {
        let server = Server::bind(open.ledger.clone(), writer, options)?;
        let addr = server.local_addr().map_err(Failure::unavailable)?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let _note = AddressNote::write(&settings.database, &format!("{scheme}://{}", reachable(addr)))?;
        let stop = stop_signal();
        let view = open.ledger.view();
        // One line on standard output, so that a script can wait for it.
        println!(
            "{scheme}://{addr} serves {} at {} blocks, {} records",
            settings.ledger,
            view.state.height(),
            view.state.next_record()
        );
        let stopper = server.stopper();
        tokio::spawn(async move {
            stop.await;
            stopper.stop();
        });
        server.run().await.map_err(Failure::from)
    })?;
    // The runtime's end drops the gateway, whose last batch is then committed; dropping the ledger waits for the commit.
    drop(runtime);
    gateway.join().map_err(|_| {
        Failure::Unavailable("the gateway's thread failed; the messages above say how".into())
    })?;
    drop(open);
    eprintln!("stopped; everything acknowledged is stored");
    Ok(())
}

/// The gateway's key. If it was being changed when something broke off, and the roster has the new one, that one, moved to its place.
fn gateway_key(settings: &Settings, roster: Option<&Roster>) -> Result<SigningKey, Failure> {
    let path = settings.keys.join(format!("{GATEWAY_KEY}.key"));
    let next = next_path(&path);
    if next.exists() {
        let (key, present) = (signing_key_file(&next)?.verifier(), signing_key_file(&path)?.verifier());
        if roster.and_then(|r| r.writer(key.name())) == Some(&key) {
            take_place(&path, &key, &present)?;
            eprintln!("sealtrail: the change of the gateway's key is finished");
        }
    }
    let key = signing_key_file(&path)?;
    let expected = roster.and_then(|r| r.writer(key.name()));
    if expected.is_some_and(|e| *e != key.verifier()) {
        eprintln!(
            "sealtrail: warning: no event can be logged: {} is not the key that the roster has for {}",
            path.display(),
            key.name()
        );
    }
    Ok(key)
}

/// The address of `--listen`: without TLS only this machine may reach it.
fn override_listen(text: &str, tls: bool) -> Result<SocketAddr, Failure> {
    let addr: SocketAddr = text
        .parse()
        .map_err(|_| Failure::Usage(format!("{text:?} is no address and port, such as 127.0.0.1:7470")))?;
    if !addr.ip().is_loopback() && !tls {
        return Err(Failure::Usage(format!(
            "{addr} can be reached from other machines, and without TLS everyone on the way could read events and tokens: \
             set tls_cert and tls_key in the settings, or listen on 127.0.0.1"
        )));
    }
    Ok(addr)
}

/// An address to call the server at: one that stands for every interface is called on this machine's own.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), addr.port())
        }
        _ => addr,
    }
}

/// Resolves on SIGINT or SIGTERM; either is caught from this call on, and no longer ends the process by itself.
pub(super) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let signals = {
        use tokio::signal::unix::{SignalKind, signal};
        [signal(SignalKind::terminate()).ok(), signal(SignalKind::interrupt()).ok()]
    };
    async move {
        #[cfg(unix)]
        if let [Some(mut terminate), Some(mut interrupt)] = signals {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
