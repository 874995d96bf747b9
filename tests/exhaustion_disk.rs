//! Disks that are full, read-only, failing, slow or hung, under a server at work: what is acknowledged is there, what is not is refused
//! with 503 and Retry-After, `/healthz` says so within a bounded time, everyone may still read, and when the disk is well again the
//! server goes on by itself.
//!
//! Most disks here are made by `exhaustion_support/disk.c`, which is compiled with `cc` and preloaded into the server. The one that is
//! really full is a small file system of its own, in a mount namespace (`unshare`); where that is not allowed its test says so.
//!
//! What takes a minute is tested too with `SEALTRAIL_LONG=1 cargo test --test exhaustion_disk`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exhaustion_support;
mod support;

use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use exhaustion_support::*;
use sealtrail::base::limits::*;
use support::{Ledger, Server, program};

/// What the disk says: no space left, read-only file system, input/output error.
const ENOSPC: &str = "errno 28";
const EROFS: &str = "errno 30";
const EIO: &str = "errno 5";

const MOMENT: Duration = Duration::from_secs(10);

/// A server at work on a disk that fails so, and recovers: appends stop and go on, reads never stop.
fn survives(disk: &Disk, rules: &str, codes: &[&str]) {
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let load = Load::start(&ledger, &server, 3, 5, 2000);
    let told = load.told.clone();
    wait_until("some appends", MOMENT, || told.acknowledged() > 50);
    disk.does(rules);
    wait_until("refusals", MOMENT, || told.refusals() > 10);
    wait_until("bad health", MOMENT, || !is_healthy(&server));
    let (status, message) = health(&server);
    assert_eq!((status, message.status.as_str()), (503, "failing"), "{rules}");
    let before = told.acknowledged();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(told.acknowledged(), before, "{rules}: something was acknowledged that cannot be stored");
    for path in ["/checkpoint", "/v1/ledger", "/v1/blocks/1", "/v1/proofs/0"] {
        assert_eq!(get(&server, path).unwrap().status, 200, "{rules}: {path}");
    }
    // Nobody sends anything any more, as behind a load balancer that has seen the health. It comes back by itself.
    let told = load.stop();
    let refused = told.refused.lock().unwrap().clone();
    for code in refused.keys() {
        assert!(codes.contains(&code.as_str()), "{rules}: {refused:?}");
    }
    disk.heal();
    let healed = wait_until("recovery", MOMENT, || is_healthy(&server));
    assert!(healed < Duration::from_secs(PROBE_SECONDS + 2), "{rules}: {healed:?}");
    assert!(told.send(&ledger, &server, 5, 100), "{rules}");
    told.account(&ledger, &server);
}

#[test]
fn a_disk_that_takes_nothing_more() {
    let Some(disk) = Disk::new() else { return };
    survives(&disk, &format!("write ledger.db {ENOSPC}"), &["storage-full", "storage-failed"]);
}

#[test]
fn a_disk_that_becomes_read_only() {
    let Some(disk) = Disk::new() else { return };
    survives(&disk, &format!("write ledger.db {EROFS}"), &["storage-full", "storage-failed"]);
}

#[test]
fn a_disk_that_fails_to_write() {
    let Some(disk) = Disk::new() else { return };
    survives(&disk, &format!("write ledger.db-wal {EIO}"), &["storage-full", "storage-failed"]);
}

#[test]
fn a_last_signed_file_that_cannot_be_written() {
    let Some(disk) = Disk::new() else { return };
    survives(&disk, &format!("write .last-signed {ENOSPC}"), &["storage-full", "storage-failed"]);
}

/// After a failed sync nobody knows what the disk has (the system forgets the pages): nothing is written until a restart, which copies
/// the whole log again.
#[test]
fn a_disk_that_fails_to_sync_needs_a_restart_and_loses_nothing() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let load = Load::start(&ledger, &server, 3, 5, 60_000);
    let told = load.told.clone();
    wait_until("some appends", MOMENT, || told.acknowledged() > 50);
    disk.does(&format!("sync ledger.db$ {EIO}"));
    wait_until("bad health", MOMENT, || !is_healthy(&server));
    let told = load.stop();
    disk.heal();
    std::thread::sleep(Duration::from_secs(PROBE_SECONDS + 1));
    assert!(!is_healthy(&server) && !told.send(&ledger, &server, 1, 10));
    let said = std::fs::read_to_string(ledger.path("stderr")).unwrap();
    assert!(said.contains("start the server again"), "{said}");
    drop(server);
    let server = disk.serve(&ledger);
    assert!(is_healthy(&server) && told.send(&ledger, &server, 5, 100));
    told.account(&ledger, &server);
}

/// The search secret of a month is kept before anything is sealed with it.
#[test]
fn a_search_secret_that_cannot_be_kept() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Ledger::new();
    let server = disk.serve(&ledger);
    disk.does(&format!("write gateway.search {ENOSPC}"));
    let told = Told::default();
    assert!(!told.send(&ledger, &server, 1, 10));
    assert_eq!(told.refused.lock().unwrap().keys().collect::<Vec<_>>(), ["storage-failed"]);
    let (status, message) = health(&server);
    assert_eq!(status, 503, "{message:?}");
    disk.heal();
    wait_until("recovery", MOMENT, || is_healthy(&server));
    assert!(told.send(&ledger, &server, 1, 10));
    told.account(&ledger, &server);
}

/// The log beside the database takes appends while the database itself is full; when there is space again it is copied.
#[test]
fn a_full_disk_while_the_log_is_copied() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let told = Told::default();
    assert!(told.send(&ledger, &server, 5, 100));
    let file = || std::fs::metadata(ledger.path("ledger.db")).unwrap().len();
    let before = file();
    disk.does(&format!("write ledger.db$ {ENOSPC}"));
    for _ in 0..10 {
        assert!(told.send(&ledger, &server, 100, 4000), "{:?}", told.refused.lock().unwrap());
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(file(), before, "nothing can have been copied");
    assert!(is_healthy(&server), "appends are not affected");
    disk.heal();
    for _ in 0..5 {
        assert!(told.send(&ledger, &server, 100, 4000));
    }
    wait_until("copying", MOMENT, || file() > before + 2_000_000);
    told.account(&ledger, &server);
}

#[test]
fn a_disk_that_hangs_in_a_write_or_a_read() {
    together(&[
        ("an append that hangs", a_disk_that_hangs),
        ("reads that hang", a_disk_that_hangs_when_it_is_read),
    ]);
}

/// An append that never returns: health turns bad in bounded time, new appends are refused at once, and reads go on.
fn a_disk_that_hangs() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let told = Arc::new(Told::default());
    assert!(told.send(&ledger, &server, 5, 100));
    disk.does("sync ledger.db hang");
    // More than one batch: one hangs, the others wait for it.
    let hanging: Vec<_> = (0..3)
        .map(|_| {
            let (told, ledger, server) = (told.clone(), ledger.clone(), server.clone());
            std::thread::spawn(move || told.send(&ledger, &server, 2, 100))
        })
        .collect();
    let bad = wait_until("bad health", Duration::from_secs(MAX_CYCLE_SECONDS + 3), || !is_healthy(&server));
    assert!(bad > Duration::from_secs(MAX_CYCLE_SECONDS - 2), "{bad:?} are no reason yet");
    let (_, message) = health(&server);
    assert!(message.append_under_way_seconds >= MAX_CYCLE_SECONDS as f64, "{message:?}");
    assert!(message.failing.unwrap().contains("has not finished"));
    for _ in 0..20 {
        let start = Instant::now();
        assert!(!told.send(&ledger, &server, 1, 100));
        assert!(start.elapsed() < AT_ONCE, "a refusal took {:?}", start.elapsed());
    }
    assert_eq!(told.refused.lock().unwrap().keys().collect::<Vec<_>>(), ["storage-failed"]);
    for path in ["/checkpoint", "/v1/ledger", "/v1/blocks/1", "/v1/proofs/0", "/metrics"] {
        assert_eq!(get(&server, path).unwrap().status, 200, "{path}");
    }
    // What hung was neither refused nor acknowledged: it is, when the disk goes on.
    disk.heal();
    let acknowledged = hanging.into_iter().map(|h| h.join().unwrap()).filter(|yes| *yes).count();
    assert_eq!(acknowledged, 3, "{:?} {:?}", told.refused.lock().unwrap(), told.odd.lock().unwrap());
    wait_until("recovery", MOMENT, || is_healthy(&server));
    assert!(told.send(&ledger, &server, 5, 100));
    told.account(&ledger, &server);
}

/// Reads that never return take up a bounded number of threads: what is answered from memory still is.
fn a_disk_that_hangs_when_it_is_read() {
    let Some(disk) = Disk::new() else { return };
    own_files();
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let told = Told::default();
    assert!(told.send(&ledger, &server, 5, 100));
    disk.does("read ledger.db hang");
    // More than the 512 threads the runtime would start.
    let mut waiting: Vec<_> = (0..700)
        .map(|i| {
            use std::io::Write as _;
            let mut stream = connect(&server);
            let path = if i % 2 == 0 { "/v1/blocks/1/leaves" } else { "/v1/proofs?ciphertext_sha256=" };
            let hash = if i % 2 == 0 { String::new() } else { format!("{i:064x}") };
            write!(stream, "GET {path}{hash} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(READ_WAIT_SECONDS + 2) {
        health(&server);
        assert_eq!(get(&server, "/checkpoint").unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(200));
    }
    disk.heal();
    let answers: Vec<_> = waiting.iter_mut().map(|s| answer(s).expect("every request is answered")).collect();
    let refused = answers.iter().filter(|a| a.status == 503).count();
    assert!(answers.iter().all(|a| matches!(a.status, 200 | 404) || (a.status == 503 && a.retry_after())));
    assert!(refused > 500, "{refused} were refused: the others hung");
    wait_until("recovery", MOMENT, || told.send(&ledger, &server, 5, 100));
    told.account(&ledger, &server);
}

/// Writers that are faster than the disk are told so; memory and waiting are bounded. `slow` clients hold most of the room for bodies
/// with requests of 4 MiB that do not come.
fn a_slow_disk(slow: usize, clients: usize, bytes: usize) {
    use std::io::Write as _;
    let Some(disk) = Disk::new() else { return };
    let ledger = Arc::new(Ledger::new());
    let server = Arc::new(disk.serve(&ledger));
    let told = Told::default();
    assert!(told.send(&ledger, &server, 1, 100));
    let before = memory(&server, "VmRSS");
    disk.does("sync ledger.db sleep 400");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n[",
        ledger.token(),
        4 << 20
    );
    let slow: Vec<_> = (0..slow)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let load = Load::start(&ledger, &server, clients, 20, bytes / 20);
    std::thread::sleep(Duration::from_secs(6));
    assert!(is_healthy(&server), "slow is not failing");
    let told = load.stop();
    drop(slow);
    disk.heal();
    let peak = memory(&server, "VmHWM");
    let (accepted, refused, longest) =
        (told.acknowledged(), told.refused.lock().unwrap().clone(), told.longest.load(Ordering::Relaxed));
    println!(
        "slow disk: {before} KiB before, {peak} KiB at most; {accepted} events in, refused {refused:?}, longest answer {longest} ms"
    );
    assert!(
        accepted > 0 && refused.get("overloaded").is_some_and(|n| *n > 10) && refused.len() == 1,
        "{refused:?}"
    );
    // Bodies being taken in, their drafts, the queue, two batches under way and what SQLite and the allocator keep.
    let bound =
        MAX_BODY_BYTES_IN_FLIGHT + 2 * MAX_QUEUED_EVENT_BYTES + MAX_QUEUED_BYTES + 2 * MAX_CYCLE_BYTES;
    assert!(peak < before + (bound / 1024) as u64 + 100_000, "{peak} KiB");
    assert!(longest < 1000 * REQUEST_SECONDS, "an answer took {longest} ms");
    wait_until("good health", MOMENT, || is_healthy(&server));
    told.account(&ledger, &server);
}

#[test]
fn a_disk_that_is_slower_than_the_writers() {
    a_slow_disk(22, 8, 2_000_000);
}

/// 48 clients with 4 MB each: twice what may be taken in at once. It takes a minute in the dev profile, where sealing 100 MB does.
#[test]
fn a_disk_that_is_far_slower_than_the_writers() {
    if short() {
        return;
    }
    a_slow_disk(0, 48, 4_000_000);
}

/// Nobody reads standard error, and its pipe is full: complaints about the disk must not hold up the thread that appends.
#[test]
fn a_standard_error_that_nobody_reads() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Ledger::new();
    let (unread, full) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(full.as_fd(), true).unwrap();
    while rustix::io::write(&full, &[b'.'; 512]).is_ok() {}
    rustix::io::ioctl_fionbio(full.as_fd(), false).unwrap();
    let mut command = program();
    disk.preload(&mut command);
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(ledger.dir.path());
    let server = start_with(&mut command, Stdio::from(full));
    let told = Told::default();
    assert!(told.send(&ledger, &server, 5, 100));
    for errno in [28, 5, 30, 28] {
        disk.does(&format!("write ledger.db errno {errno}"));
        assert!(!told.send(&ledger, &server, 5, 100));
        assert!(!is_healthy(&server));
    }
    disk.heal();
    wait_until("recovery", MOMENT, || is_healthy(&server));
    assert!(told.send(&ledger, &server, 5, 100));
    told.account(&ledger, &server);
    drop(unread);
}

#[test]
fn a_folder_that_is_read_only_is_named_at_the_start() {
    let Some(disk) = Disk::new() else { return };
    let ledger = Ledger::new();
    disk.does(&format!("write ledger.db {EROFS}\nsync ledger.db {EROFS}"));
    let mut command = program();
    disk.preload(&mut command);
    let out =
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(ledger.dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("ledger.db") && said.contains("writable"), "{said}");
}

/// A server on a file system of its own, of some megabytes.
struct Small {
    ledger: Arc<Ledger>,
    server: Arc<Server>,
    /// The shell that made the file system, in whose namespace it is.
    shell: std::process::Child,
}

impl Small {
    /// `None`, said loudly, if no file system can be made here.
    fn new(megabytes: u32) -> Option<Small> {
        let ledger = Ledger::new();
        let script = format!(
            "set -e; mkdir small; mount -t tmpfs -o size={megabytes}m tmpfs small; \
             for f in sealtrail.toml keys ledger.db*; do cp -a $f small; done; cd small; \
             \"$0\" serve --listen 127.0.0.1:0 > ../out 2> ../stderr < /dev/null & echo $! > ../pid; wait || true"
        );
        for how in [&["-m"][..], &["-r", "-m"]] {
            let mut shell = Command::new("unshare")
                .args(how)
                .args(["sh", "-c", &script, env!("CARGO_BIN_EXE_sealtrail")])
                .current_dir(ledger.dir.path())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let first_line = || std::fs::read_to_string(ledger.path("out")).ok().filter(|s| s.contains('\n'));
            for _ in 0..500 {
                if let Some(line) = first_line() {
                    let url = line.split(' ').next().unwrap().to_owned();
                    // The server's own handle is the shell: it ends when the server does.
                    let child = Command::new("true").spawn().unwrap();
                    return Some(Small {
                        ledger: Arc::new(ledger),
                        server: Arc::new(Server { child, url }),
                        shell,
                    });
                }
                if shell.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = shell.kill();
            let _ = shell.wait();
        }
        skip(
            "no file system of its own can be made here (`unshare -rm`); the really full disk is not tested in this run",
        );
        None
    }

    /// The folder, as seen from outside.
    fn folder(&self) -> std::path::PathBuf {
        let inside = self.ledger.dir.path().canonicalize().unwrap();
        std::path::PathBuf::from(format!("/proc/{}/root{}/small", self.shell.id(), inside.display()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.ledger.path("pid")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}

#[test]
fn a_file_system_that_is_full() {
    let Some(small) = Small::new(24) else { return };
    let folder = small.folder();
    // Somebody else's bytes, which can be deleted later.
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    let load = Load::start(&small.ledger, &small.server, 4, 20, 3000);
    let told = load.told.clone();
    wait_until("a full disk", Duration::from_secs(30), || told.refusals() > 20);
    wait_until("bad health", MOMENT, || !is_healthy(&small.server));
    // To the last byte.
    let _ = std::fs::write(folder.join("rest"), vec![1; 1 << 20]);
    let before = told.acknowledged();
    assert!(before > 100);
    for path in ["/checkpoint", "/v1/blocks/1", "/v1/proofs/0"] {
        assert_eq!(get(&small.server, path).unwrap().status, 200, "{path}");
    }
    assert!(told.refused.lock().unwrap().contains_key("storage-full"), "{:?}", told.refused.lock().unwrap());
    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(folder.join("rest")).unwrap();
    wait_until("recovery", MOMENT, || told.acknowledged() > before + 100);
    let told = load.stop();
    wait_until("good health", MOMENT, || is_healthy(&small.server));
    told.account(&small.ledger, &small.server);
}
