//! The HTTP interface as `docs/API.md` has it: what is accepted, what is refused and how, and what anyone can check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use sealtrail::api::problem::{Code, Problem};
use sealtrail::auditor::open::open_record;
use sealtrail::auditor::source::ServerSource;
use sealtrail::auditor::verify::{Trust, verify};
use sealtrail::base::hash::Hash;
use sealtrail::base::limits::*;
use sealtrail::chain::checkpoint::SignedCheckpoint;
use sealtrail::chain::merkle::leaf_hash;
use sealtrail::chain::proof::Proof;
use sealtrail::chain::tree;
use sealtrail::client::{Client, ClientError};
use support::{LEDGER, Ledger, Server};

fn problem<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Problem(p)) => p,
        other => panic!("expected a problem document: {other:?}"),
    }
}

fn refused(result: Result<Vec<u8>, ClientError>, code: Code) {
    let p = problem(result);
    assert_eq!((p.code, p.status), (code, code.status()), "{}", p.detail);
    assert!(p.kind.starts_with("urn:sealtrail:problem:") && !p.detail.is_empty() && p.title == code.title());
}

const JSON: &str = "application/json";
const EVENTS: &str = "/v1/events";

#[test]
fn events_are_accepted_in_every_form_and_each_receipt_verifies() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let c = ledger.writer_client(&server);
    let json = |bytes: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
    let one = json(c.post(EVENTS, JSON, br#"{"a":1}"#).unwrap());
    assert_eq!((&one["id"], &one["receipt"]), (&"EVT-00000000".into(), &"/v1/proofs/0".into()));
    let array = json(c.post(EVENTS, JSON, br#" [{"a":1}, {"b":2.00}] "#).unwrap());
    assert_eq!((&array["count"], &array["first_record"]), (&2.into(), &1.into()));
    let lines = json(c.post(EVENTS, "application/x-ndjson", b"{\"a\":1}\r\n\n{\"b\":2}").unwrap());
    assert_eq!((&lines["count"], &lines["first_record"]), (&2.into(), &3.into()));
    c.post(EVENTS, "application/fhir+json; charset=utf-8", b"{\"resourceType\":\"AuditEvent\"}").unwrap();
    c.post(EVENTS, "application/x-www-form-urlencoded", b"{\"as\":\"curl -d sends it\"}").unwrap();

    let key = ledger.vkey();
    let reader = ledger.reader_client(&server);
    let opened = open_record(&reader, &ledger.identity("alice"), &key, None, 2).unwrap();
    assert_eq!(&opened.event[..], br#"{"b":2.00}"#);
    for record in 0..7 {
        let proof = Proof::parse(&c.proof(record).unwrap()).unwrap();
        assert_eq!(proof.verify(&key, None).unwrap().record, record);
        let found = c.find_proof(&proof.leaf_inputs.ciphertext_hash).unwrap();
        assert_eq!(Proof::parse(&found).unwrap().record, record);
    }
    let by_id = c.get("/v1/proofs/EVT-00000003").unwrap();
    assert_eq!(Proof::parse(&by_id).unwrap().record, 3);
}

#[test]
fn bad_requests_are_refused_with_stable_codes_and_lose_nothing() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let c = ledger.writer_client(&server);
    c.post(EVENTS, JSON, br#"{"kept":true}"#).unwrap();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "[1]",
        "{\"a\":1}{\"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{'a':1}",
        "\u{feff}{\"a\":1}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":1}\u{0}",
    ] {
        refused(c.post(EVENTS, JSON, body.as_bytes()), Code::EventInvalid);
    }
    refused(c.post(EVENTS, JSON, b"{\"a\":\"\xff\xfe\"}"), Code::EventInvalid);
    refused(c.post(EVENTS, JSON, deep.as_bytes()), Code::TooLarge);
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_EVENT_BYTES));
    refused(c.post(EVENTS, JSON, big.as_bytes()), Code::TooLarge);
    let many = format!("[{}{{}}]", "{},".repeat(MAX_EVENTS_PER_REQUEST));
    refused(c.post(EVENTS, JSON, many.as_bytes()), Code::TooLarge);
    // All or none: the second event is bad, so the first is not stored.
    refused(c.post(EVENTS, JSON, br#"[{"good":1},{"bad":}]"#), Code::EventInvalid);
    refused(c.post(EVENTS, "image/png", b"{}"), Code::UnsupportedType);
    let anonymous = server.client();
    refused(anonymous.post(EVENTS, JSON, b"{}"), Code::Unauthorized);
    let mut wrong = server.client();
    wrong.set_token("0".repeat(64));
    refused(wrong.post(EVENTS, JSON, b"{}"), Code::Unauthorized);
    refused(c.get("/v1/nothing"), Code::NotFound);
    refused(c.get(EVENTS), Code::MethodNotAllowed);
    refused(c.get("/v1/proofs/1"), Code::NotFound);
    refused(c.get("/v1/proofs/minus"), Code::RequestInvalid);
    refused(c.get("/v1/proofs?ciphertext_sha256=zz"), Code::RequestInvalid);
    refused(c.get(&format!("/v1/proofs?ciphertext_sha256={}", Hash::ZERO.hex())), Code::NotFound);
    refused(c.get("/v1/blocks/99"), Code::NotFound);
    refused(c.get("/v1/blocks/x"), Code::RequestInvalid);
    refused(c.get("/v1/blocks/99999999999999999999999"), Code::RequestInvalid);
    for tile in [
        "/tile/0/000",
        "/tile/0/000.p/99",
        "/tile/0/0",
        "/tile/64/000",
        "/tile/entries/001",
        "/tile/0/x999/x999/x999/x999/x999/x999/999",
    ] {
        refused(c.get(tile), Code::NotFound);
    }
    refused(c.get("/v1/records/0"), Code::Unauthorized);
    refused(c.get("/v1/bodies?from=0"), Code::Unauthorized);
    refused(c.get("/v1/writers?name=nobody"), Code::NotFound);
    refused(c.post("/v1/statements", "text/plain", b"no note"), Code::RequestInvalid);
    refused(c.post("/v1/batches", "application/octet-stream", &[0xff; 12]), Code::RequestInvalid);
    assert_eq!(c.ledger().unwrap().records, 1);
    assert_eq!(Proof::parse(&c.proof(0).unwrap()).unwrap().verify(&ledger.vkey(), None).unwrap().record, 0);
}

/// Who has no session is told so before the body of a search is sent.
#[test]
fn a_stranger_gets_no_search_body_in() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    for path in ["/v1/search", "/v1/records"] {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401", "{path}");
    }
}

/// A hundred megabytes are refused by their announced length, before they are sent, and without memory for them.
#[test]
fn a_huge_body_is_refused_early() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    for announced in ["Content-Length: 104857600", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{announced}\r\n\r\n",
            ledger.token()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A client that sends on regardless, until the server has had enough.
        let chunk = if announced.starts_with('T') {
            [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat()
        } else {
            vec![b' '; 0x10000]
        };
        for _ in 0..1600 {
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        // The connection may be reset before the answer is read; if there is one it must be the right one.
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 413"), "{text}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|l| l.strip_prefix("VmHWM:")) {
        let kilobytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
        assert!(kilobytes < 128 * 1024, "the server's memory peaked at {kilobytes} kB");
    }
    assert_eq!(server.client().ledger().unwrap().records, 0);
}

#[test]
fn checkpoint_tiles_entries_and_blocks_are_one_log() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let c = ledger.writer_client(&server);
    // Enough blocks to complete a tile.
    for i in 0..270 {
        c.post(EVENTS, JSON, format!("{{\"n\":{i}}}").as_bytes()).unwrap();
    }
    let checkpoint =
        SignedCheckpoint::parse(&c.checkpoint().unwrap(), &ledger.vkey()).unwrap().checkpoint().clone();
    let size = checkpoint.size;
    assert_eq!(size, 271);
    let leaves: Vec<Hash> = (0..size).map(|h| leaf_hash(c.block(h).unwrap().as_bytes())).collect();
    assert_eq!(tree::root(&leaves), checkpoint.root);
    let bytes = |hashes: &[Hash]| hashes.iter().flat_map(|h| h.0).collect::<Vec<u8>>();
    assert_eq!(c.tile("0/000").unwrap(), bytes(&leaves[..256]));
    assert_eq!(c.tile("0/000.p/7").unwrap(), bytes(&leaves[..7]));
    assert_eq!(c.tile("0/001.p/15").unwrap(), bytes(&leaves[256..]));
    assert_eq!(c.tile("1/000.p/1").unwrap(), bytes(&[tree::root(&leaves[..256])]));
    let entries = c.tile("entries/001.p/15").unwrap();
    let last = c.block(270).unwrap();
    assert!(entries.ends_with(last.as_bytes()));
    refused(c.get("/tile/0/001.p/16"), Code::NotFound);
    refused(c.get("/tile/1/000.p/2"), Code::NotFound);
}

#[test]
fn readers_prove_themselves_and_every_read_is_logged() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let writer = ledger.writer_client(&server);
    for i in 0..3 {
        writer.post(EVENTS, JSON, format!("{{\"n\":{i}}}").as_bytes()).unwrap();
    }
    let (alice, key) = (ledger.identity("alice"), ledger.vkey());
    let reader = ledger.reader_client(&server);
    open_record(&reader, &alice, &key, None, 1).unwrap();
    let opened = open_record(&reader, &alice, &key, None, 3).unwrap();
    let access: serde_json::Value = serde_json::from_slice(&opened.event).unwrap();
    assert_eq!(access["event_type"], "audit_log_access");
    assert_eq!(
        (&access["actor"]["user_id"], &access["resource"]["id"]),
        (&"alice".into(), &"EVT-00000001".into())
    );
    let before = writer.ledger().unwrap().records;
    reader.bodies(0, 100).unwrap();
    assert_eq!(writer.ledger().unwrap().records, before + 1, "a bulk download is one access record");

    // Tokens that are not ours.
    for token in ["", "x", "AAAA", &"A".repeat(120)] {
        let mut forged = server.client();
        forged.set_token(token.to_owned());
        refused(forged.get("/v1/records/0"), Code::Unauthorized);
    }
    let mut ingest = server.client();
    ingest.set_token(ledger.token());
    refused(ingest.get("/v1/records/0"), Code::Unauthorized);
    // A stranger's key, and what is no key.
    ledger.ok(&["keygen", "reader", "mallory"]);
    let stranger = ledger.identity("mallory").recipient().to_string();
    assert_eq!(problem(server.client().challenge(&stranger)).code, Code::Forbidden);
    assert_eq!(problem(server.client().challenge("age1zzz")).code, Code::RequestInvalid);
    // Removal from the roster ends a session that is open.
    reader.record(0).unwrap();
    ledger.ok(&["reader", "add", "mallory", &stranger]);
    ledger.ok(&["reader", "remove", "alice"]);
    assert_eq!(problem(reader.record(0)).code, Code::Forbidden);
    writer.post(EVENTS, JSON, b"{\"after\":true}").unwrap();
}

#[test]
fn many_clients_at_once_get_receipts_of_their_own() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let threads: Vec<_> = (0..16)
        .map(|t| {
            let c = ledger.writer_client(&server);
            std::thread::spawn(move || {
                (0..25)
                    .map(|i| {
                        let body =
                            format!("[{{\"t\":{t},\"i\":{i}}},{{\"t\":{t},\"i\":{i},\"second\":true}}]");
                        c.log_array(body.as_bytes()).unwrap().first_record
                    })
                    .collect::<Vec<u64>>()
            })
        })
        .collect();
    let mut firsts: Vec<u64> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, (0..400).map(|i| i * 2).collect::<Vec<u64>>());
    let reader = ledger.reader_client(&server);
    let report = verify(
        &mut ServerSource::new(&reader, true),
        &Trust { ledger: &ledger.vkey(), admin: None, known: &[] },
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!((report.records, report.records_rehashed), (800, 800));
    let open = verify(
        &mut ServerSource::new(&server.client(), false),
        &Trust { ledger: &ledger.vkey(), admin: None, known: &[] },
        &mut |_, _| {},
    )
    .unwrap();
    assert!(open.records >= 800 && open.records_rehashed == 0);
}

#[test]
fn a_ledger_without_readers_says_so() {
    let ledger = Ledger { dir: tempfile::tempdir().unwrap() };
    ledger.ok(&["init", LEDGER]);
    let server = ledger.serve();
    refused(ledger.writer_client(&server).post(EVENTS, JSON, b"{}"), Code::NoReader);
}

#[test]
fn tls_by_two_settings() {
    let ledger = Ledger::new();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "c.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"])
        .current_dir(ledger.dir.path())
        .output();
    if !made.is_ok_and(|o| o.status.success()) {
        assert!(
            std::env::var_os("SEALTRAIL_REQUIRE_ALL").is_none(),
            "openssl is needed to make a test certificate"
        );
        eprintln!("SKIPPED, LOUDLY: no openssl to make a certificate with; TLS is not tested in this run");
        return;
    }
    let settings = std::fs::read_to_string(ledger.path("sealtrail.toml")).unwrap();
    let settings = settings.replace(
        "listen = \"127.0.0.1:7470\"",
        "listen = \"127.0.0.1:7470\"\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"",
    );
    std::fs::write(ledger.path("sealtrail.toml"), settings).unwrap();
    let server: Server = ledger.serve();
    assert!(server.url.starts_with("https://"));
    let mut c = Client::new(&server.url, Some(&ledger.path("c.pem"))).unwrap();
    c.set_token(ledger.token());
    c.post(EVENTS, JSON, b"{\"over\":\"tls\"}").unwrap();
    // Only what is spoken is offered: a client that prefers HTTP/2 must not be led to it.
    let offered = std::process::Command::new("openssl")
        .args(["s_client", "-alpn", "h2,http/1.1", "-connect", server.url.trim_start_matches("https://")])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&offered.stdout).contains("ALPN protocol: http/1.1"));
    // http and https taken for each other.
    let plain = Client::new(&server.url.replace("https://", "http://"), None).unwrap();
    let said = plain.ledger().unwrap_err().to_string();
    assert!(said.contains("https://HOST:PORT") && !said.contains("Is the server running"), "{said}");
    let other = Ledger::new();
    let without = other.serve();
    let said = Client::new(&without.url.replace("http://", "https://"), Some(&ledger.path("c.pem"))).unwrap();
    let said = said.ledger().unwrap_err().to_string();
    assert!(said.contains("does not speak TLS") && !said.contains("Is the server running"), "{said}");
    drop(without);
    let distrusting = Client::new(&server.url, None).unwrap();
    assert!(matches!(distrusting.ledger(), Err(ClientError::Unreachable { .. })));
    drop(server);
    // Another certificate's key: nobody is told of a server that never serves.
    let key = ["genpkey", "-algorithm", "RSA", "-out", "k.pem"];
    assert!(
        std::process::Command::new("openssl")
            .args(key)
            .current_dir(ledger.dir.path())
            .output()
            .unwrap()
            .status
            .success()
    );
    ledger.mode("k.pem", 0o600);
    let out = ledger.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(2) && said.contains("TLS cannot be set up"), "{said}");
    assert!(out.stdout.is_empty(), "{}", String::from_utf8_lossy(&out.stdout));
}
