#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::super::testing::*;
use super::*;

/// A web server that gives these answers, one a connection, and tells what it was sent: head and body.
fn receiver(answers: Vec<&'static str>) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            let _ = tell.send((head, String::from_utf8(body).unwrap()));
        }
    });
    (url, told)
}

pub(super) fn alerts(n: i64) -> Vec<Alert> {
    let mut sample = Sample::with_writers(&[WRITER]);
    let events: Vec<_> = (0..n).map(|i| event(i, "dr-smith-4421", "10.0.0.1", "denied")).collect();
    sample.events(HOUR, &events);
    sample.observe(&mut engine("[[rule]]\nname = \"all\"\ntype = \"each\"\nseverity = \"high\""))
}

fn webhook(url: &str) -> Webhook {
    Webhook::new(&WebhookOptions { url, token: Some("s3cret\n"), ca: None }).unwrap()
}

#[test]
fn a_webhook_gets_each_alert_as_a_cloud_event() {
    let (url, told) = receiver(vec!["200 OK", "202 Accepted"]);
    let all = alerts(2);
    webhook(&url).send(&all.iter().collect::<Vec<_>>()).unwrap();
    for alert in &all {
        let (head, body) = told.recv().unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /hook http/1.1"), "{head}");
        assert!(head.contains("content-type: application/cloudevents+json; charset=utf-8"), "{head}");
        assert!(head.contains("authorization: bearer s3cret\r\n"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, alert.cloud_event());
    }
}

#[test]
fn what_a_webhook_refuses_is_not_taken() {
    let all = alerts(3);
    let all: Vec<&Alert> = all.iter().collect();
    for (answers, taken, words) in [
        (vec!["200 OK", "500 Oops"], 1, "status 500"),
        (vec!["401 No"], 0, "check --webhook-token"),
        (vec!["302 Found\r\nlocation: http://127.0.0.1:1/"], 0, "give the address it leads to"),
        (vec!["429 Slow\r\nretry-after: 7"], 0, "status 429"),
    ] {
        let (url, _told) = receiver(answers);
        let e = webhook(&url).send(&all).unwrap_err();
        assert_eq!((e.taken, e.why.contains(words)), (taken, true), "{e}");
        assert_eq!(e.after, words.contains("429").then(|| Duration::from_secs(7)));
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(webhook(&format!("http://{closed}/")).send(&all).unwrap_err().taken, 0);
}

#[test]
fn addresses_that_cannot_be_are_refused_and_secrets_in_them_stay_there() {
    let make = |url| Webhook::new(&WebhookOptions { url, token: None, ca: None });
    for url in ["alerts.example/hook", "ftp://alerts.example/", "", "https:///x", "http://[::1"] {
        assert!(make(url).is_err(), "{url}");
    }
    assert_eq!(
        make("https://user:pw@alerts.example:8443/T0KEN").ok().unwrap().name(),
        "webhook alerts.example:8443"
    );
    let none = WebhookOptions { url: "https://a.example", token: None, ca: Some(Path::new("/dev/null")) };
    assert!(Webhook::new(&none).err().unwrap().0.contains("no PEM certificate"));
}

#[test]
fn lines_are_lines() {
    let all = alerts(2);
    let all: Vec<&Alert> = all.iter().collect();
    let mut out = Vec::new();
    LineSink::new(&mut out, LineFormat::Json).send(&all).unwrap();
    let lines: Vec<serde_json::Value> =
        out.lines().map(|l| serde_json::from_str(&l.unwrap()).unwrap()).collect();
    assert_eq!(lines, all.iter().map(|a| a.json()).collect::<Vec<_>>());
    let mut out = Vec::new();
    LineSink::new(&mut out, LineFormat::Text).send(&all).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("{}\n{}\n", all[0].line(), all[1].line()));
    // A full disk: what was written counts.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            if buf.len() > self.0 {
                return Err(std::io::Error::other("disk full"));
            }
            self.0 -= buf.len();
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let e = LineSink::new(Full(all[0].line().len() + 1), LineFormat::Text).send(&all).unwrap_err();
    assert_eq!((e.taken, e.why.as_str()), (1, "disk full"));
}
