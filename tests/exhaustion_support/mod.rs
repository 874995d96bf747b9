//! What the tests of exhaustion share: a disk that misbehaves, load that remembers what was acknowledged, plain sockets, and what a
//! process takes of the machine.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sealtrail::api::message::HealthMessage;
use sealtrail::auditor::open::open_bytes;
use sealtrail::auditor::source::ServerSource;
use sealtrail::auditor::verify::{Trust, verify};
use sealtrail::base::batch::{Body, Header};
use sealtrail::chain::proof::Proof;
use sealtrail::client::ClientError;

use crate::support::{Ledger, Server, program};

/// Says that a test is left out, or fails if nothing may be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("SEALTRAIL_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("SKIPPED, LOUDLY: {why}");
}

/// Whether what takes minutes is left out, and says so.
pub fn short() -> bool {
    let short = std::env::var_os("SEALTRAIL_LONG").is_none();
    if short {
        eprintln!("LEFT OUT: takes a minute; set SEALTRAIL_LONG=1 to run it");
    }
    short
}

/// Runs scenarios at the same time: they wait most of theirs. Fails after all of them if one did.
pub fn together(scenarios: &[(&str, fn())]) {
    let run = |(name, scenario): &(&str, fn())| {
        let thread = std::thread::Builder::new().name((*name).to_owned());
        (name.to_string(), thread.spawn(*scenario).unwrap())
    };
    let running: Vec<_> = scenarios.iter().map(run).collect();
    let ended: Vec<_> = running.into_iter().map(|(name, thread)| (name, thread.join())).collect();
    let failed: Vec<_> =
        ended.into_iter().filter(|(_, result)| result.is_err()).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// Waits until something holds, and fails after `limit`. Gives how long it took.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// A disk that does what it is told (`disk.c`).
pub struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// `None`, said loudly, where it cannot be made.
    pub fn new() -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exhaustion_support/disk.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.path().join("disk.so"))
            .args([source, "-ldl"])
            .output();
        if !cfg!(target_os = "linux") || !made.is_ok_and(|o| o.status.success()) {
            skip("no Linux, or no `cc` to make a disk with that fails; not tested in this run");
            return None;
        }
        let disk = Disk { dir };
        disk.heal();
        Some(disk)
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    /// From now on it behaves so.
    pub fn does(&self, rules: &str) {
        // In one step: the server reads it at any moment.
        let new = self.dir.path().join("new");
        std::fs::write(&new, rules).unwrap();
        std::fs::rename(new, self.control()).unwrap();
    }

    /// From now on it behaves well.
    pub fn heal(&self) {
        self.does("");
    }

    /// The server on this disk. What it says on standard error goes to `stderr` in the ledger's folder.
    pub fn serve(&self, ledger: &Ledger) -> Server {
        let mut command = program();
        self.preload(&mut command);
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(ledger.dir.path());
        start(&mut command, ledger)
    }

    /// Lets a program have this disk.
    pub fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.dir.path().join("disk.so")).env("DISK_CONTROL", self.control());
    }
}

/// Starts a server whose messages go to the file `stderr`.
pub fn start(command: &mut Command, ledger: &Ledger) -> Server {
    let file = std::fs::File::create(ledger.path("stderr")).unwrap();
    start_with(command, Stdio::from(file))
}

/// Starts a server with this standard error.
pub fn start_with(command: &mut Command, stderr: Stdio) -> Server {
    use std::io::{BufRead as _, BufReader};
    let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().next().unwrap_or_default().to_owned();
    assert!(url.starts_with("http"), "the server did not start: {line}");
    Server { child, url }
}

/// The server under a limit of open files.
pub fn serve_with_files(ledger: &Ledger, files: u32) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_sealtrail")).args(["serve", "--listen", "127.0.0.1:0"]);
    start(command.current_dir(ledger.dir.path()), ledger)
}

/// Raises this process's own limit of open files as far as it may, and says where it is.
pub fn own_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A figure of `/proc/PID/status` in KiB: `VmRSS` now, `VmHWM` at most since the start or [`forget_peak`].
pub fn memory(server: &Server, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

pub fn forget_peak(server: &Server) {
    std::fs::write(format!("/proc/{}/clear_refs", server.child.id()), "5").unwrap();
}

/// Descriptors the server has open.
pub fn files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count()
}

/// An answer as it came over a socket of its own.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn retry_after(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n")
    }
}

pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(70))).unwrap();
    stream
}

/// Reads an answer to its end, which the server makes by closing.
pub fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: bytes.split_off(end) })
}

/// One request on a connection of its own.
pub fn request(server: &Server, head: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = connect(server);
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    answer(&mut stream)
}

pub fn get(server: &Server, path: &str) -> Option<Answer> {
    request(server, &format!("GET {path}"), b"")
}

/// Posts events with the ledger's token.
pub fn post_events(ledger: &Ledger, server: &Server, body: &[u8]) -> Option<Answer> {
    let mut stream = connect(server);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n",
        ledger.token(),
        "application/x-ndjson",
        body.len()
    );
    // It may be answered before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    answer(&mut stream)
}

/// What needs nothing that may fail or hang is answered within this, on a busy machine too; and well before any time after which
/// something that waits would give up ([`MAX_CYCLE_SECONDS`](sealtrail::base::limits::MAX_CYCLE_SECONDS) and others: 10 s).
pub const AT_ONCE: Duration = Duration::from_secs(5);

/// `/healthz`, which answers at once whatever else is the matter.
pub fn health(server: &Server) -> (u16, HealthMessage) {
    let start = Instant::now();
    let answer = get(server, "/healthz").expect("no answer from /healthz");
    assert!(start.elapsed() < AT_ONCE, "/healthz took {:?}", start.elapsed());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

pub fn is_healthy(server: &Server) -> bool {
    health(server).0 == 200
}

/// A value of `/metrics`.
pub fn metric(server: &Server, name: &str) -> f64 {
    let text = String::from_utf8(get(server, "/metrics").unwrap().body).unwrap();
    let line = text.lines().find(|l| l.split(' ').next() == Some(name));
    line.and_then(|l| l.split(' ').nth(1)?.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

/// Writers at work, and what they were told.
#[derive(Default)]
pub struct Told {
    /// Index of an acknowledged record → the event sent.
    pub records: Mutex<BTreeMap<u64, String>>,
    /// Refusals by code, all of them with 503.
    pub refused: Mutex<BTreeMap<String, u64>>,
    /// Answers that were no acknowledgement and no 503.
    pub odd: Mutex<Vec<String>>,
    /// Longest time to an answer of either kind, in milliseconds.
    pub longest: AtomicU64,
    number: AtomicU64,
}

impl Told {
    pub fn acknowledged(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    pub fn refusals(&self) -> u64 {
        self.refused.lock().unwrap().values().sum()
    }

    /// Sends `events` events of `bytes` bytes as one request, and takes note of the answer. True if acknowledged.
    pub fn send(&self, ledger: &Ledger, server: &Server, events: u64, bytes: usize) -> bool {
        let first = self.number.fetch_add(events, Ordering::Relaxed);
        let filler = "x".repeat(bytes);
        let lines: Vec<String> =
            (first..first + events).map(|i| format!(r#"{{"event":"e-{i}","filler":"{filler}"}}"#)).collect();
        let start = Instant::now();
        let answer = post_events(ledger, server, lines.join("\n").as_bytes());
        self.longest.fetch_max(start.elapsed().as_millis() as u64, Ordering::Relaxed);
        match answer {
            Some(a) if a.status == 201 => {
                let receipts = a.json();
                let first = receipts["first_record"].as_u64().unwrap();
                assert_eq!(receipts["count"].as_u64(), Some(events));
                let mut records = self.records.lock().unwrap();
                for (record, event) in (first..).zip(lines) {
                    assert_eq!(records.insert(record, event), None, "record {record} was acknowledged twice");
                }
                true
            }
            Some(a) if a.status == 503 => {
                assert!(a.retry_after(), "503 without Retry-After: {}", a.head);
                let code = a.json()["code"].as_str().unwrap().to_owned();
                *self.refused.lock().unwrap().entry(code).or_default() += 1;
                false
            }
            other => {
                let text = other.map_or("no answer".to_owned(), |a| {
                    format!("{} {}", a.status, String::from_utf8_lossy(&a.body))
                });
                self.odd.lock().unwrap().push(text);
                false
            }
        }
    }

    /// Every acknowledged record is there with the content that was sent, its receipt verifies, and the whole ledger does.
    pub fn account(&self, ledger: &Ledger, server: &Server) {
        let (client, key) = (ledger.reader_client(server), ledger.vkey());
        let trust = Trust { ledger: &key, admin: None, known: &[] };
        let report = verify(&mut ServerSource::new(&client, true), &trust, &mut |_, _| {}).unwrap();
        let told = self.records.lock().unwrap();
        assert!(report.records >= told.len() as u64);
        let alice = ledger.identity("alice");
        let (mut height, mut record, mut compared) = (0, 0u64, 0);
        let blocks = client.ledger().unwrap().blocks;
        while height < blocks {
            for (h, body) in client.bodies(height, blocks - height).unwrap() {
                height = h + 1;
                if body.is_empty() {
                    continue;
                }
                let body = Body::decode(&body).unwrap();
                let header = Header::decode(body.header).unwrap();
                for (position, bytes) in body.records().enumerate() {
                    if let Some(sent) = told.get(&record) {
                        let (event, _) = open_bytes(&alice, &header, position as u32, bytes).unwrap();
                        assert!(event[..] == *sent.as_bytes(), "record {record} is not what was sent");
                        compared += 1;
                    }
                    record += 1;
                }
            }
        }
        assert_eq!(compared, told.len(), "acknowledged records are missing");
        let step = (told.len() / 20).max(1);
        for index in told.keys().step_by(step).chain(told.keys().last()) {
            let proof = Proof::parse(&client.proof(*index).unwrap()).unwrap();
            assert_eq!(proof.verify(&key, None).unwrap().record, *index);
        }
        let odd = self.odd.lock().unwrap();
        assert!(odd.is_empty(), "{} answers such as {:?}", odd.len(), &odd[..odd.len().min(5)]);
    }
}

/// Threads that log until they are stopped.
pub struct Load {
    pub told: Arc<Told>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// `clients` of them, each sending requests of `events` events of `bytes` bytes, with a pause after a refusal.
    pub fn start(
        ledger: &Arc<Ledger>,
        server: &Arc<Server>,
        clients: usize,
        events: u64,
        bytes: usize,
    ) -> Load {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let threads = (0..clients).map(|_| {
            let (ledger, server, told, stop) = (ledger.clone(), server.clone(), told.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if !told.send(&ledger, &server, events, bytes) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            })
        });
        Load { threads: threads.collect(), told, stop }
    }

    pub fn stop(self) -> Arc<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
        self.told
    }
}

/// A session token of alice's, for plain sockets.
pub fn session(ledger: &Ledger, server: &Server) -> String {
    use sealtrail::base::hash::from_base64;
    use sealtrail::seal::open::open_challenge;
    let recipient = ledger.identity("alice").recipient().to_string();
    let challenge = match server.client().challenge(&recipient) {
        Ok(c) => c,
        Err(ClientError::Problem(p)) => panic!("{}", p.detail),
        Err(e) => panic!("{e}"),
    };
    let enc = from_base64(&challenge.enc).unwrap();
    let ciphertext = from_base64(&challenge.ciphertext).unwrap();
    let token = open_challenge(&ledger.identity("alice"), crate::support::LEDGER, &enc, &ciphertext).unwrap();
    sealtrail::base::hash::to_base64(&token)
}
