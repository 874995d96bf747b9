//! `audit watch` as it is used: by process, with a receiver that the test plays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Ledger, Server, program};

const RULES: &str =
    "[[rule]]\nname = \"glass\"\ntype = \"each\"\nseverity = \"high\"\nwhere = { emergency = true }\n";

fn log(ledger: &Ledger, server: &Server, actors: &[&str]) {
    let event = |a: &&str| {
        json!({ "actor": { "user_id": a }, "action": "read", "emergency_access": true }).to_string()
    };
    std::fs::write(ledger.path("e.ndjson"), actors.iter().map(event).collect::<Vec<_>>().join("\n")).unwrap();
    ledger.ok(&["log", "e.ndjson", "--server", &server.url]);
}

fn watch(ledger: &Ledger, url: &str, more: &[&str]) -> Command {
    std::fs::write(ledger.path("rules.toml"), RULES).unwrap();
    let mut command = program();
    command.current_dir(ledger.dir.path()).args(["audit", "watch", "--key", "keys/ledger.vkey"]);
    command.args(["--identity", "keys/alice.identity", "--rules", "rules.toml", "--server", url]).args(more);
    command
}

/// The next request of a webhook: the connection to answer on, and the event's id.
fn request(listener: &TcpListener) -> (std::net::TcpStream, String) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let event: Value = serde_json::from_slice(&body).unwrap();
    (stream, event["id"].as_str().unwrap().to_owned())
}

fn accept(mut stream: std::net::TcpStream) {
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watch_that_is_killed_repeats_and_never_loses() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    // Three blocks with one alert each.
    for actor in ["a", "b", "c"] {
        log(&ledger, &server, &[actor]);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/", listener.local_addr().unwrap());
    let more = ["--from-start", "--webhook", &hook, "--quiet", "--every", "1s"];
    let mut taken = Vec::new();
    // Killed while the second alert is on its way: whether it arrived is not known.
    let mut first = Running(watch(&ledger, &server.url, &more).stderr(Stdio::null()).spawn().unwrap());
    let (stream, id) = request(&listener);
    accept(stream);
    taken.push(id);
    let (stream, uncertain) = request(&listener);
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    drop(stream);
    // The next one goes on: the uncertain one again, by the same id, then the rest, then nothing twice.
    let second = Running(watch(&ledger, &server.url, &more).stderr(Stdio::null()).spawn().unwrap());
    while taken.len() < 4 {
        let (stream, id) = request(&listener);
        accept(stream);
        if !taken.contains(&id) {
            taken.push(id);
        }
        if taken.len() == 3 {
            log(&ledger, &server, &["d"]);
        }
    }
    assert!(taken.contains(&uncertain));
    drop(second);
    let text = std::fs::read_to_string(ledger.path("vault/watch.cursor")).unwrap();
    assert!(text.contains("sealtrail.org/watch-cursor/v1"));
}

#[test]
fn a_fork_is_told_and_ends_the_watch_with_1() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    log(&ledger, &server, &["a"]);
    let out = watch(&ledger, &server.url, &["--from-start", "--once", "--json"]).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let alert: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (alert["rule"].as_str(), alert["records"]["first"].as_str()),
        (Some("glass"), Some("EVT-00000000"))
    );
    drop(server);
    // The operator copies the ledger, and each copy goes its own way.
    let other = copy(&ledger);
    let server = ledger.serve();
    log(&ledger, &server, &["b"]);
    assert!(watch(&ledger, &server.url, &["--once"]).status().unwrap().success());
    let forked = other.serve();
    log(&other, &forked, &["c", "d"]);
    log(&other, &forked, &["e"]);
    log(&other, &forked, &["f"]);
    let out = watch(&ledger, &forked.url, &["--json"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let alert: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((alert["type"].as_str(), alert["severity"].as_str()), (Some("fork"), Some("critical")));
    // The honest one can still be watched.
    assert!(watch(&ledger, &server.url, &["--once"]).status().unwrap().success());
}

/// Another folder with the same ledger: database, keys and the note of what was signed.
fn copy(ledger: &Ledger) -> Ledger {
    let other = Ledger { dir: tempfile::tempdir().unwrap() };
    fn all(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                all(&from, &to);
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
    }
    all(ledger.dir.path(), other.dir.path());
    other
}

#[test]
fn what_a_newcomer_does_wrong_is_said() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ok(&["audit", "watch", "--check-rules"]), "12 rules, all right\n");
    std::fs::write(ledger.path("r.toml"), ledger.ok(&["audit", "watch", "--print-rules"])).unwrap();
    assert_eq!(ledger.ok(&["audit", "watch", "--rules", "r.toml", "--check-rules"]), "12 rules, all right\n");
    std::fs::write(ledger.path("r.toml"), format!("{RULES}windw = \"5m\"\n")).unwrap();
    let message = ledger.fails(2, &["audit", "watch", "--rules", "r.toml"]);
    assert!(message.contains("r.toml, line 6: unknown setting `windw`"), "{message}");
    assert!(ledger.fails(2, &["audit", "watch", "--rules", "none.toml"]).contains("--print-rules"));
    assert!(ledger.fails(2, &["audit", "watch"]).contains("--key is needed"));
    let message = |more: &[&str], code| {
        let out = watch(&ledger, "http://127.0.0.1:9", more).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{more:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    assert!(message(&["--quiet"], 2).contains("nobody would be told"));
    assert!(message(&["--syslog", "logs.example"], 2).contains("udp://HOST:514"));
    assert!(message(&["--webhook", "alerts.example"], 2).contains("https://"));
    assert!(message(&["--every", "soon"], 2).contains("5s"));
    assert!(message(&["--once"], 3).contains("cannot be reached"));
}
