//! Clients that take more than their share: idle connections by the thousand, slow senders, readers who download everything or do not
//! take what they asked for. Whatever they do, appends and health are answered, memory and file descriptors stay bounded, and when they
//! leave nothing is left of it. Disks that fail are in `exhaustion_disk.rs`.
//!
//! What takes a minute to show is tested too with `SEALTRAIL_LONG=1 cargo test --test exhaustion --test exhaustion_disk`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exhaustion_support;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use exhaustion_support::*;
use sealtrail::base::limits::*;
use sealtrail::client::Client;
use support::{Ledger, Server};

/// Files the server may open in the tests that exhaust them, and the connections it then takes, without the spare ones.
const FEW_FILES: u32 = 200;
const FEW: usize = FEW_FILES as usize - RESERVED_FILES - SPARE_CONNECTIONS - MAX_CLOSING_CONNECTIONS;

const MOMENT: Duration = Duration::from_secs(10);

/// Whether the server has closed this connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    let closed = match stream.read(&mut byte) {
        Ok(0) => true,
        Ok(_) => false,
        Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

/// Appends some events, one request after the other; the longest wait.
fn appends(told: &Told, ledger: &Ledger, server: &Server, requests: usize) -> Duration {
    let waits = (0..requests).map(|_| {
        let start = Instant::now();
        assert!(
            told.send(ledger, server, 5, 100),
            "{:?} {:?}",
            told.refused.lock().unwrap(),
            told.odd.lock().unwrap()
        );
        start.elapsed()
    });
    waits.max().unwrap()
}

/// Waits until somebody new is let in, well before those inside would have to leave anyway. Their moment, after which they make room,
/// begins when the server has taken them in, and a busy machine is late with that.
fn let_in(server: &Server) {
    let asked = || get(server, "/v1/ledger").is_some_and(|a| a.status == 200);
    wait_until("a place for somebody new", MOMENT, asked);
}

/// What waits for the server's patience to end.
#[test]
fn a_crowd_that_outlasts_the_servers_patience() {
    together(&[
        ("ten thousand idle connections", ten_thousand_idle_connections),
        ("readers who do not take what they asked for", readers_who_do_not_take_what_they_asked_for),
        ("slow headers", slow_headers_have_an_end),
        ("strangers who do not take public answers", strangers_who_do_not_take_public_answers),
    ]);
}

fn ten_thousand_idle_connections() {
    let most = 10_000.min(own_files().saturating_sub(500) as usize);
    let ledger = Ledger::new();
    let server = ledger.serve();
    let told = Told::default();
    appends(&told, &ledger, &server, 5);
    let (before, start) = (memory(&server, "VmRSS"), Instant::now());
    let mut idle: Vec<TcpStream> = Vec::with_capacity(most);
    // Every tenth has asked for something, and says no more; the others never said anything.
    for n in 0..most {
        let mut stream = connect(&server);
        if n % 10 == 0 {
            stream.write_all(b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        idle.push(stream);
    }
    let opened = start.elapsed();
    wait_until("all of them inside", MOMENT, || metric(&server, "sealtrail_connections") >= most as f64);
    let with = memory(&server, "VmRSS");
    let longest = appends(&told, &ledger, &server, 20);
    assert!(is_healthy(&server));
    println!(
        "{most} idle connections, opened in {opened:?}: {before} KiB before, {with} KiB with them, longest append {longest:?}"
    );
    if most == 10_000 {
        assert!(with < before + 160 * 1024, "{} bytes each", (with - before) * 1024 / most as u64);
    }
    assert!(longest < Duration::from_secs(5), "an append took {longest:?}");
    // Silence has an end, before the first request and after it.
    let limit = Duration::from_secs(HEADER_SECONDS + 10);
    wait_until("the end of silence", limit, || metric(&server, "sealtrail_connections") < 10.0);
    assert!(idle.iter_mut().skip(1).step_by(10).all(is_closed));
    told.account(&ledger, &server);
}

/// More clients than the server may open files for, all holding on: whoever comes gets in, and the database has its files.
#[test]
fn file_descriptors_exhausted_by_idle_clients() {
    let ledger = Ledger::new();
    let server = serve_with_files(&ledger, FEW_FILES);
    let told = Told::default();
    let mut idle: Vec<TcpStream> = Vec::new();
    for n in 0..3 * FEW {
        let mut stream = connect(&server);
        // Half of them begin to ask.
        if n % 2 == 0 {
            stream.write_all(b"GET /check").unwrap();
        }
        idle.push(stream);
        if n % FEW == FEW - 1 {
            std::thread::sleep(Duration::from_millis(IDLE_GRACE_MILLIS + 50));
            let_in(&server);
            appends(&told, &ledger, &server, 5);
            for path in ["/v1/proofs/0", "/v1/blocks/1/leaves", "/tile/entries/000.p/2"] {
                assert_eq!(get(&server, path).unwrap().status, 200, "{path}");
            }
            assert!(is_healthy(&server));
            assert!(files(&server) <= FEW_FILES as usize, "{} files", files(&server));
        }
    }
    assert!(metric(&server, "sealtrail_connections_sent_away_total") >= (2 * FEW) as f64 - 5.0);
    assert_eq!(metric(&server, "sealtrail_connections_max"), FEW as f64);
    // Those who have held on longest went first.
    assert!(idle[..FEW].iter_mut().all(is_closed));
    drop(idle);
    wait_until("all gone", MOMENT, || metric(&server, "sealtrail_connections") < 5.0);
    appends(&told, &ledger, &server, 5);
    told.account(&ledger, &server);
}

/// Strangers who never begin the TLS handshake, or stop in it, take no place from those who do.
#[test]
fn tls_connections_exhausted_by_silent_clients() {
    let ledger = Ledger::new();
    let Some(ca) = certificate(&ledger) else { return };
    let server = serve_with_files(&ledger, FEW_FILES);
    let connect = |n: usize| {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("https://")).unwrap();
        if n.is_multiple_of(2) {
            // The beginning of a client's first message.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
        }
        stream
    };
    let mut silent: Vec<TcpStream> = (0..2 * FEW).map(connect).collect();
    std::thread::sleep(Duration::from_millis(IDLE_GRACE_MILLIS + 50));
    let mut client = Client::new(&server.url, Some(&ca)).unwrap();
    client.set_token(ledger.token());
    // Well before the silent ones would have to leave anyway ([`HEADER_SECONDS`]); see [`let_in`].
    wait_until("a place over TLS", MOMENT, || client.log_array(b"[{\"over\":\"tls\"}]").is_ok());
    assert_eq!(client.health().unwrap().status, "ok");
    assert!(silent.iter_mut().any(is_closed));
}

/// Gives the ledger a certificate; its file. `None`, said loudly, without openssl.
fn certificate(ledger: &Ledger) -> Option<std::path::PathBuf> {
    let made = std::process::Command::new("openssl")
        .args(
            "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=localhost"
                .split(' '),
        )
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"])
        .current_dir(ledger.dir.path())
        .output();
    if !made.is_ok_and(|o| o.status.success()) {
        skip("no openssl to make a certificate with; exhaustion over TLS is not tested in this run");
        return None;
    }
    let settings = std::fs::read_to_string(ledger.path("sealtrail.toml")).unwrap();
    let listen = "listen = \"127.0.0.1:7470\"\n";
    let with_tls = settings.replace(listen, &format!("{listen}tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n"));
    std::fs::write(ledger.path("sealtrail.toml"), with_tls).unwrap();
    Some(ledger.path("c.pem"))
}

/// The limit is lowered under the running server, as a full system table would do: no connection can be accepted. It does not spin, it
/// goes on with those it has, and makes room by itself.
#[test]
fn a_server_that_cannot_accept() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let ledger = Ledger::new();
    let server = serve_with_files(&ledger, 500);
    let told = Told::default();
    appends(&told, &ledger, &server, 5);
    let writer = ledger.writer_client(&server);
    writer.log_array(b"[{\"before\":1}]").unwrap();
    let mut idle: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    wait_until("all inside", MOMENT, || files(&server) > 100);
    let cpu = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // User and system time, in ticks of 10 ms.
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let limit = |files: u64| {
        let pid = Pid::from_raw(server.child.id() as i32);
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum: Some(500) }).unwrap();
    };
    limit(files(&server) as u64 - 20);
    let (before, start) = (cpu(), Instant::now());
    let newcomer = std::thread::scope(|scope| {
        let newcomer = scope.spawn(|| get(&server, "/v1/proofs/0").unwrap().status);
        // A connection that is there already is none the worse for it.
        for _ in 0..10 {
            writer.log_array(b"[{\"meanwhile\":1}]").unwrap();
        }
        newcomer.join().unwrap()
    });
    println!("a newcomer got in after {:?}, {} ms of processor time", start.elapsed(), (cpu() - before) * 10);
    assert_eq!(newcomer, 200);
    assert!((cpu() - before) * 10 < 500 + start.elapsed().as_millis() as u64 / 2, "it spins");
    // One that is closed is enough: its descriptor's number is below the limit.
    assert!(metric(&server, "sealtrail_connections_failed_total") >= 1.0);
    assert!(idle.iter_mut().any(is_closed));
    limit(500);
    appends(&told, &ledger, &server, 5);
    told.account(&ledger, &server);
}

/// Strangers who never finish sending what they began: they go when others come, and meanwhile health is answered.
#[test]
fn connections_exhausted_by_slow_senders() {
    let ledger = Ledger::new();
    let server = serve_with_files(&ledger, FEW_FILES);
    let told = Told::default();
    appends(&told, &ledger, &server, 2);
    let slow = || -> Vec<TcpStream> {
        let send = |_| {
            let mut stream = connect(&server);
            let head = b"POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nsealtrail";
            stream.write_all(head).unwrap();
            stream
        };
        (0..FEW).map(send).collect()
    };
    // For a moment they may stay; then there are spare places, for health and metrics. On a busy machine the moment may be over.
    let attempt = |_| {
        let (start, first) = (Instant::now(), slow());
        let (health, other) = (get(&server, "/healthz").unwrap(), get(&server, "/v1/ledger").unwrap());
        (start.elapsed() < Duration::from_millis(SLOW_GRACE_MILLIS)).then_some((first, health, other))
    };
    let (mut first, health, refused) = (0..10).find_map(attempt).expect("too busy a machine");
    assert_eq!(health.status, 200);
    assert!(refused.status == 503 && refused.retry_after(), "{refused:?}");
    assert_eq!(refused.json()["code"], "overloaded");
    std::thread::sleep(Duration::from_millis(SLOW_GRACE_MILLIS + 100));
    let_in(&server);
    let longest = appends(&told, &ledger, &server, 5);
    let second = slow();
    std::thread::sleep(Duration::from_millis(SLOW_GRACE_MILLIS + 100));
    let_in(&server);
    let again = appends(&told, &ledger, &server, 5);
    println!("{FEW} slow senders twice: longest append {longest:?} and {again:?}");
    assert!(first.iter_mut().filter_map(|s| is_closed(s).then_some(())).count() > FEW / 2);
    drop(second);
    told.account(&ledger, &server);
}

/// Answered early, a client that goes on sending still gets its answer: the connection is not reset under it.
#[test]
fn a_refusal_reaches_who_is_still_sending() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    for _ in 0..10 {
        let mut stream = connect(&server);
        let head = format!("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 8 << 20);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; 8 << 20]).unwrap();
        assert_eq!(answer(&mut stream).unwrap().status, 401);
    }
}

/// Room for the bodies of strangers is bounded, and the slowest makes room.
#[test]
fn memory_for_strangers_bodies_is_bounded() {
    own_files();
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(ledger.serve());
    let told = Told::default();
    appends(&told, &ledger, &server, 2);
    let before = memory(&server, "VmRSS");
    let count = 6 * MAX_STRANGER_BODY_BYTES_IN_FLIGHT / MAX_STATEMENT_BYTES;
    let head =
        format!("POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_STATEMENT_BYTES}\r\n\r\n");
    let slow: Vec<_> = (0..count)
        .map(|_| {
            let mut stream = connect(&server);
            // All but the end.
            stream.write_all(&[head.as_bytes(), &vec![b' '; MAX_STATEMENT_BYTES - 10]].concat()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    // A statement from somebody else: room is made for it, after those who asked before.
    let start = Instant::now();
    wait_until("an answer", 2 * MOMENT, || {
        let answer = request(&server, "POST /v1/statements", b"no statement at all").unwrap();
        assert!(answer.status == 400 || (answer.status == 503 && answer.retry_after()), "{answer:?}");
        answer.status == 400
    });
    let took = start.elapsed();
    let peak = memory(&server, "VmHWM");
    println!(
        "{count} slow strangers: {before} KiB before, {peak} KiB at most; another one answered after {took:?}"
    );
    // What arrives, and what the system hands over at a time to each connection.
    let bound = MAX_STRANGER_BODY_BYTES_IN_FLIGHT + count * MAX_REQUEST_HEAD_BYTES;
    assert!(peak < before + (bound / 1024) as u64 + 50_000, "{peak} KiB");
    appends(&told, &ledger, &server, 5);
    drop(slow);
    told.account(&ledger, &server);
}

/// Events of some size, so that downloads are large.
fn fill(told: &Told, ledger: &Ledger, server: &Server, megabytes: usize) {
    for _ in 0..megabytes {
        assert!(told.send(ledger, server, 10, 100_000));
    }
}

/// Asks for everything with alice's session, and leaves the answer where it is.
fn ask_for_all(server: &Server, token: &str) -> TcpStream {
    let mut stream = connect(server);
    let head = format!(
        "GET /v1/bodies?from=0&count=256 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Sixty readers ask for 9 MB each and take nothing of it: memory is bounded, appends go on, the later ones are told to come again,
/// and those who take nothing are cut off.
fn readers_who_do_not_take_what_they_asked_for() {
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(ledger.serve());
    let told = Told::default();
    fill(&told, &ledger, &server, 9);
    let token = session(&ledger, &server);
    let before = memory(&server, "VmRSS");
    let mut readers: Vec<TcpStream> = (0..60).map(|_| ask_for_all(&server, &token)).collect();
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(ANSWER_WAIT_SECONDS + 1) {
        longest = longest.max(appends(&told, &ledger, &server, 1));
        assert!(is_healthy(&server));
    }
    let kept = metric(&server, "sealtrail_answer_bytes");
    assert!(kept > 0.0 && kept <= MAX_READER_ANSWER_BYTES as f64, "{kept}");
    wait_until("those who take nothing are cut off", Duration::from_secs(STALL_SECONDS + 5), || {
        metric(&server, "sealtrail_connections_stalled_total") >= 5.0
            && metric(&server, "sealtrail_answer_bytes") == 0.0
    });
    let peak = memory(&server, "VmHWM");
    let answers: Vec<_> = readers.iter_mut().filter_map(answer).collect();
    let refused = answers.iter().filter(|a| a.status == 503).count();
    println!(
        "60 readers who take nothing: {before} KiB before, {peak} KiB at most, {refused} refused, longest append {longest:?}"
    );
    assert!(
        answers
            .iter()
            .filter(|a| a.status == 503)
            .all(|a| a.retry_after() && a.json()["code"] == "overloaded")
    );
    assert!(refused >= 20, "{refused}");
    // What is sent, and what one download reads while it is made; the allocator keeps some of it.
    let bound = MAX_READER_ANSWER_BYTES as u64 / 1024 + 100_000;
    assert!(peak < before + bound, "{peak} KiB");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    told.account(&ledger, &server);
}

/// Many readers download everything, again and again, while writers write.
#[test]
fn readers_who_download_everything_while_writers_write() {
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(ledger.serve());
    fill(&Told::default(), &ledger, &server, 6);
    let before = memory(&server, "VmRSS");
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..12)
        .map(|_| {
            let (ledger, server) = (ledger.clone(), server.clone());
            let (stop, taken) = (stop.clone(), taken.clone());
            std::thread::spawn(move || {
                let client = ledger.reader_client(&server);
                while !stop.load(Ordering::Relaxed) {
                    let (mut height, blocks) = (0, client.ledger().unwrap().blocks);
                    while height < blocks && !stop.load(Ordering::Relaxed) {
                        for (h, body) in client.bodies(height, 256).unwrap() {
                            height = h + 1;
                            taken.fetch_add(body.len(), Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    let (load, start) = (Load::start(&ledger, &server, 4, 10, 1000), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    // On a machine that has other things to do it takes longer.
    let enough = || taken.load(Ordering::Relaxed) > 12 * 6_000_000 && load.told.acknowledged() > 200;
    wait_until("downloads beside events", Duration::from_secs(60), enough);
    let told = load.stop();
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|r| r.join().unwrap());
    let (bytes, took) = (taken.load(Ordering::Relaxed), start.elapsed());
    let (peak, longest) = (memory(&server, "VmHWM"), told.longest.load(Ordering::Relaxed));
    let logged = told.acknowledged();
    println!(
        "12 readers took {} MB in {took:?} while {logged} events were logged: {before} KiB before, {peak} KiB at most, longest append {longest} ms",
        bytes / 1_000_000
    );
    // Their answers, of a ledger that grew by at most 2 KiB an event, and one that is made; not what the allocator would like to
    // keep of each.
    let answer = 7_000 + 2 * logged as u64;
    assert!(peak < before + 12 * answer + 32 * 1024, "{peak} KiB");
    assert!(longest < 10_000, "{longest} ms");
    assert_eq!(told.refusals(), 0);
    told.account(&ledger, &server);
}

/// Strangers who ask for large public answers and do not take them hold up no other stranger for long, and no reader or writer at all.
fn strangers_who_do_not_take_public_answers() {
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(ledger.serve());
    let told = Told::default();
    // One block of 5,000 records: 480 kB of leaf inputs.
    assert!(told.send(&ledger, &server, 5000, 10));
    let before = memory(&server, "VmRSS");
    // Sixteen answers on each connection, one after the other.
    let ask = "GET /v1/blocks/1/leaves HTTP/1.1\r\nHost: x\r\n\r\n".repeat(16);
    let strangers: Vec<_> = (0..150)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(ask.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let start = Instant::now();
    assert_eq!(get(&server, "/v1/blocks/1/leaves").unwrap().body.len(), 480_000);
    let took = start.elapsed();
    let longest = appends(&told, &ledger, &server, 10);
    let peak = memory(&server, "VmHWM");
    println!(
        "150 strangers who take nothing: {before} KiB before, {peak} KiB at most, another one answered after {took:?}, longest append {longest:?}"
    );
    assert!(peak < before + MAX_PUBLIC_ANSWER_BYTES as u64 / 1024 + 60_000, "{peak} KiB");
    assert!(took < Duration::from_secs(ANSWER_WAIT_SECONDS), "{took:?}");
    drop(strangers);
    told.account(&ledger, &server);
}

/// Headers, then a body, sent a byte at a time: both have an end.
fn slow_headers_have_an_end() {
    let ledger = Ledger::new();
    let server = ledger.serve();
    let mut stream = connect(&server);
    let start = Instant::now();
    let mut sent = 0;
    while !is_closed(&mut stream) && stream.write_all(b"G").is_ok() {
        sent += 1;
        std::thread::sleep(Duration::from_millis(500));
        assert!(start.elapsed() < Duration::from_secs(HEADER_SECONDS + 5), "{sent} bytes and no end");
    }
    assert!(start.elapsed() > Duration::from_secs(HEADER_SECONDS - 2));
    // Nor do they have any length.
    let mut stream = connect(&server);
    let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_REQUEST_HEAD_BYTES + 5000));
    stream.write_all(endless.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).unwrap().status, 431);
}

#[test]
fn slow_bodies_have_an_end() {
    if short() {
        return;
    }
    let ledger = Ledger::new();
    let server = ledger.serve();
    let mut stream = connect(&server);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: 10000\r\n\r\n",
        ledger.token()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let start = Instant::now();
    while !is_closed(&mut stream) && stream.write_all(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(500));
        assert!(start.elapsed() < Duration::from_secs(REQUEST_SECONDS + LINGER_SECONDS + 5));
    }
    assert!(start.elapsed() > Duration::from_secs(REQUEST_SECONDS - 2));
}

/// A limit that leaves no room is said at the start.
#[test]
fn a_server_with_too_few_files_says_so() {
    let ledger = Ledger::new();
    let files = RESERVED_FILES + SPARE_CONNECTIONS + MAX_CLOSING_CONNECTIONS + MIN_CONNECTIONS - 1;
    let mut child = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n {files}; exec \"$0\" serve --listen 127.0.0.1:0")])
        .arg(env!("CARGO_BIN_EXE_sealtrail"))
        .current_dir(ledger.dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < MOMENT {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("ulimit -n") && said.contains("LimitNOFILE"), "{said}");
}

/// A soft limit below the hard one is raised.
#[test]
fn the_soft_limit_of_files_is_raised() {
    let ledger = Ledger::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -S -n 150; exec \"$0\" serve --listen 127.0.0.1:0"]);
    command.arg(env!("CARGO_BIN_EXE_sealtrail")).current_dir(ledger.dir.path());
    let server = start(&mut command, &ledger);
    assert!(metric(&server, "sealtrail_connections_max") > 150.0);
}
