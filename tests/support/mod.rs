//! A ledger in a temporary folder, run by the real program: what an operator would do, by process and by file.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use sealtrail::auditor::session::open_session;
use sealtrail::chain::key::VerifierKey;
use sealtrail::client::Client;
use sealtrail::seal::reader_key::{Identity, parse_identity_file};

pub const LEDGER: &str = "test.example/audit";

/// Somebody on every system to whom nothing belongs.
pub const OTHER_USER: u32 = 65_534;

/// The program under test.
pub fn program() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_sealtrail"));
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("SEALTRAIL_")) {
        c.env_remove(name);
    }
    c.stdin(Stdio::null());
    c
}

/// A ledger's folder, with reader `alice`.
pub struct Ledger {
    pub dir: tempfile::TempDir,
}

/// A server process, killed when dropped.
pub struct Server {
    pub child: Child,
    pub url: String,
}

impl Ledger {
    /// keygen and init.
    pub fn new() -> Ledger {
        let ledger = Ledger { dir: tempfile::tempdir().unwrap() };
        let recipient = ledger.ok(&["keygen", "reader", "alice"]);
        ledger.ok(&["init", LEDGER, "--reader", &format!("alice={}", recipient.trim())]);
        ledger
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Output {
        program().args(args).current_dir(self.dir.path()).output().unwrap()
    }

    /// A command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// A command that must fail with this exit code; its message.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let out = self.run(args);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{args:?}: {message}");
        assert!(!message.contains("panicked"), "{args:?}: {message}");
        message
    }

    /// A command by another user than the one whose files these are, if root runs the tests; its exit code and message. To root
    /// permissions are nothing.
    pub fn by_another(&self, args: &[&str]) -> (Option<i32>, String) {
        use std::os::unix::process::CommandExt as _;
        let mut command = program();
        command.args(args).current_dir(self.dir.path());
        if rustix::process::geteuid().is_root() {
            command.uid(OTHER_USER).gid(OTHER_USER);
        }
        let out = command.output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    pub fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn serve(&self) -> Server {
        Server::start(program().args(["serve", "--listen", "127.0.0.1:0"]).current_dir(self.dir.path()))
    }

    pub fn vkey(&self) -> VerifierKey {
        VerifierKey::parse(std::fs::read_to_string(self.path("keys/ledger.vkey")).unwrap().trim()).unwrap()
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.path("keys/ingest.token")).unwrap().trim().to_owned()
    }

    pub fn identity(&self, name: &str) -> Identity {
        identity(&self.path(&format!("keys/{name}.identity")))
    }

    /// A client that may log.
    pub fn writer_client(&self, server: &Server) -> Client {
        let mut c = Client::new(&server.url, None).unwrap();
        c.set_token(self.token());
        c
    }

    /// A client with alice's session.
    pub fn reader_client(&self, server: &Server) -> Client {
        let mut c = Client::new(&server.url, None).unwrap();
        open_session(&mut c, &self.identity("alice"), LEDGER).unwrap();
        c
    }
}

/// Tells threads that they are to end: also if the test fails, which would wait for them for ever.
#[derive(Default)]
pub struct Done(pub AtomicBool);

/// Until this is dropped they go on.
pub struct AtTheEnd<'a>(&'a Done);

impl Done {
    pub fn at_the_end(&self) -> AtTheEnd<'_> {
        AtTheEnd(self)
    }
}

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Copies a folder with all that is in it; `to` need not be there.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(std::fs::copy(&path, target).unwrap()),
        }
    }
}

pub fn identity(path: &Path) -> Identity {
    parse_identity_file(&std::fs::read_to_string(path).unwrap()).unwrap().remove(0)
}

impl Server {
    /// Starts a server and waits for its first line.
    pub fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().next().unwrap_or_default().to_owned();
        if !url.starts_with("http") {
            let mut message = String::new();
            let _ = std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut message);
            panic!("the server did not start: {line}{message}");
        }
        Server { child, url }
    }

    /// As hard as an operating system can: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an operator stops it: SIGTERM. It must end by itself, and well.
    pub fn stop(mut self) {
        self.terminate();
        let mut said = String::new();
        let _ = std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut said);
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {said}");
    }

    /// SIGTERM, and no waiting.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url, None).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
