//! Alerts to syslog: RFC 5424 messages over UDP (RFC 5426), TCP with octet counting (RFC 6587 §3.4.1), or a local socket.
//!
//! UDP has no acknowledgement: a datagram that left counts as taken. TCP has none either; so each delivery is a connection
//! of its own, closed for writing at its end, and counts as taken when the receiver closes its side without an error or
//! does nothing for a while. A reset means that it is sent again.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::alert::Alert;
use super::sinks::{SendError, Sink, SinkConfigError};
use crate::base::limits::SINK_SECONDS;

/// How long the receiver gets to close a TCP connection that we have ended. Longer than a round trip to anywhere.
const CLOSING: Duration = Duration::from_secs(2);
/// How often a receiver that talks back is listened to before we hang up.
const ANSWERS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(SINK_SECONDS);

/// A syslog receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Syslog {
    /// `udp://HOST:PORT`
    Udp(String),
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `unix:/dev/log`
    Unix(PathBuf),
}

impl Syslog {
    /// Reads `udp://HOST[:514]`, `tcp://HOST[:601]` or `unix:PATH`.
    pub fn parse(text: &str) -> Result<Syslog, SinkConfigError> {
        let bad = || {
            SinkConfigError(format!(
                "--syslog {text:?}: write udp://HOST:514, tcp://HOST:601 or unix:/dev/log"
            ))
        };
        let place = |rest: &str, port: u16| -> Result<String, SinkConfigError> {
            let bracket = rest.starts_with('[');
            let has_port = if bracket { rest.contains("]:") } else { rest.contains(':') };
            let full = if has_port { rest.to_owned() } else { format!("{rest}:{port}") };
            let (host, number) = full.rsplit_once(':').ok_or_else(bad)?;
            let fits = !host.is_empty() && !rest.contains('/') && number.parse::<u16>().is_ok_and(|n| n > 0);
            if fits { Ok(full) } else { Err(bad()) }
        };
        if let Some(rest) = text.strip_prefix("udp://") {
            // RFC 5426 §3.3
            Ok(Syslog::Udp(place(rest, 514)?))
        } else if let Some(rest) = text.strip_prefix("tcp://") {
            // RFC 3195's port, which receivers use for this.
            Ok(Syslog::Tcp(place(rest, 601)?))
        } else if let Some(path) = text.strip_prefix("unix:").filter(|p| p.starts_with('/') && cfg!(unix)) {
            Ok(Syslog::Unix(PathBuf::from(path)))
        } else {
            Err(bad())
        }
    }
}

fn addresses(place: &str) -> Result<Vec<SocketAddr>, SendError> {
    let found: Vec<SocketAddr> = place
        .to_socket_addrs()
        .map_err(|e| SendError::nothing_taken(format!("{place} cannot be found: {e}")))?
        .collect();
    if found.is_empty() {
        return Err(SendError::nothing_taken(format!("{place} has no address")));
    }
    Ok(found)
}

/// Datagrams one after the other; those that left count as taken.
fn each(alerts: &[&Alert], mut send: impl FnMut(&[u8]) -> std::io::Result<usize>) -> Result<(), SendError> {
    for (taken, alert) in alerts.iter().enumerate() {
        send(alert.syslog().as_bytes()).map_err(|e| SendError { taken, why: e.to_string(), after: None })?;
    }
    Ok(())
}

fn udp(place: &str, alerts: &[&Alert]) -> Result<(), SendError> {
    let Some(to) = addresses(place)?.first().copied() else { return Ok(()) };
    let from = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    // Not connected: an answer "nobody listens" to one datagram would be reported on another.
    let socket = UdpSocket::bind(from).map_err(SendError::nothing_taken)?;
    each(alerts, |message| socket.send_to(message, to))
}

#[cfg(unix)]
fn unix(path: &std::path::Path, alerts: &[&Alert]) -> Result<(), SendError> {
    let socket = std::os::unix::net::UnixDatagram::unbound().map_err(SendError::nothing_taken)?;
    socket.set_write_timeout(Some(TIMEOUT)).map_err(SendError::nothing_taken)?;
    each(alerts, |message| socket.send_to(message, path))
}

#[cfg(not(unix))]
fn unix(_: &std::path::Path, _: &[&Alert]) -> Result<(), SendError> {
    Err(SendError::nothing_taken("this system has no such sockets"))
}

fn tcp(place: &str, alerts: &[&Alert]) -> Result<(), SendError> {
    let mut stream = connect(place)?;
    let set = stream.set_write_timeout(Some(TIMEOUT)).and_then(|()| stream.set_read_timeout(Some(CLOSING)));
    set.map_err(SendError::nothing_taken)?;
    let mut frames = Vec::new();
    for alert in alerts {
        // RFC 6587 §3.4.1: SYSLOG-FRAME = MSG-LEN SP SYSLOG-MSG, the length in octets.
        let message = alert.syslog();
        frames.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
    }
    let sent = stream.write_all(&frames).and_then(|()| stream.shutdown(Shutdown::Write));
    sent.map_err(|e| SendError::nothing_taken(format!("the connection broke: {e}")))?;
    let mut answer = [0u8; 256];
    for _ in 0..ANSWERS {
        match stream.read(&mut answer) {
            Ok(0) => return Ok(()),
            // A receiver has nothing to say; whatever it is, it is no refusal.
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
            Err(e) => return Err(SendError::nothing_taken(format!("the connection broke: {e}"))),
        }
    }
    Ok(())
}

fn connect(place: &str) -> Result<TcpStream, SendError> {
    let mut last = None;
    for address in addresses(place)? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = Some(e),
        }
    }
    let why = last.map_or_else(String::new, |e| format!(": {e}"));
    Err(SendError::nothing_taken(format!("no connection{why}; is the receiver running?")))
}

impl Sink for Syslog {
    fn name(&self) -> String {
        match self {
            Syslog::Udp(place) => format!("syslog udp://{place}"),
            Syslog::Tcp(place) => format!("syslog tcp://{place}"),
            Syslog::Unix(path) => format!("syslog unix:{}", path.display()),
        }
    }

    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SendError> {
        match self {
            Syslog::Udp(place) => udp(place, alerts),
            Syslog::Tcp(place) => tcp(place, alerts),
            Syslog::Unix(path) => unix(path, alerts),
        }
    }
}

#[cfg(test)]
#[path = "syslog_tests.rs"]
mod tests;
