#![allow(clippy::unwrap_used)]

use std::net::TcpListener;

use super::super::testing::*;
use super::*;

fn alerts() -> Vec<Alert> {
    let mut sample = Sample::with_writers(&[WRITER]);
    let events: Vec<_> = (0..3).map(|i| event(i, "dr-smith-4421", "10.0.0.1", "denied")).collect();
    sample.events(HOUR, &events);
    let rules =
        "[[rule]]\nname = \"all\"\ntype = \"each\"\nseverity = \"high\"\ndescription = \"Zugriff über\"";
    sample.observe(&mut engine(rules))
}

#[test]
fn places_are_read_and_completed() {
    for (text, place) in [
        ("udp://logs.example", "syslog udp://logs.example:514"),
        ("tcp://logs.example", "syslog tcp://logs.example:601"),
        ("tcp://[::1]", "syslog tcp://[::1]:601"),
        ("udp://[::1]:5514", "syslog udp://[::1]:5514"),
        ("unix:/dev/log", "syslog unix:/dev/log"),
    ] {
        assert_eq!(Syslog::parse(text).unwrap().name(), place);
    }
    for text in
        ["logs.example", "udp://", "udp://:514", "tcp://a:0", "tcp://a:x", "tcp://a/b", "tls://a", "unix:log"]
    {
        assert!(Syslog::parse(text).is_err(), "{text}");
    }
}

#[test]
fn udp_sends_one_datagram_an_alert() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let all = alerts();
    let mut sink = Syslog::parse(&format!("udp://{}", socket.local_addr().unwrap())).unwrap();
    sink.send(&all.iter().collect::<Vec<_>>()).unwrap();
    for alert in &all {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..n]).unwrap(), alert.syslog());
    }
}

/// RFC 6587 §3.4.1, read by the book.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|b| *b == b' ').unwrap();
        let n: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        out.push(String::from_utf8(bytes[space + 1..space + 1 + n].to_vec()).unwrap());
        bytes = &bytes[space + 1 + n..];
    }
    out
}

#[test]
fn tcp_counts_octets_and_waits_for_the_other_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp://{}", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        let mut all = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
        all
    });
    let all = alerts();
    Syslog::parse(&place).unwrap().send(&all.iter().collect::<Vec<_>>()).unwrap();
    // Characters of more than one byte among them.
    assert!(all[0].message.contains('ü'));
    assert_eq!(frames(&receiver.join().unwrap()), all.iter().map(Alert::syslog).collect::<Vec<_>>());
}

#[test]
fn a_connection_that_breaks_or_never_comes_about_took_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp://{}", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        // Closing with data unread resets the connection.
        let (stream, _) = listener.accept().unwrap();
        let mut one = [0; 1];
        let _ = stream.peek(&mut one);
        drop(stream);
    });
    let all = alerts();
    let all: Vec<&Alert> = all.iter().collect();
    let mut sink = Syslog::parse(&place).unwrap();
    let e = sink.send(&all).unwrap_err();
    assert_eq!((e.taken, e.why.contains("broke")), (0, true), "{e}");
    receiver.join().unwrap();
    let e = sink.send(&all).unwrap_err();
    assert!(e.why.contains("is the receiver running?"), "{e}");
}

#[cfg(unix)]
#[test]
fn a_local_socket_gets_datagrams() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sink = Syslog::parse(&format!("unix:{}", path.display())).unwrap();
    let all = alerts();
    let all: Vec<&Alert> = all.iter().collect();
    assert_eq!(sink.send(&all).unwrap_err().taken, 0);
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    sink.send(&all).unwrap();
    let mut buffer = [0; 4096];
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(std::str::from_utf8(&buffer[..n]).unwrap(), all[0].syslog());
}
