//! The real program: this file's own executable, started again to be `sealtrail`. A ledger in a folder of its own, made and
//! served as an operator would do it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sealtrail::chain::key::VerifierKey;
use sealtrail::seal::reader_key::{Identity, parse_identity_file};

use super::{Fallible, machine};

/// Set for a process that is to be something else than the benchmark: the program, or one part of a row.
pub const AS: &str = "SEALTRAIL_BENCH_AS";
/// The value for the program.
pub const PROGRAM: &str = "program";
/// The origin of every ledger made here.
pub const LEDGER: &str = "bench.example/audit";
/// Readers that every record is sealed to.
pub const READERS: [&str; 3] = ["auditor", "security-officer", "supervisor"];
/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the program in this process, which was started for it. It ends with the benchmark, even one that is killed.
pub fn be_program() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    sealtrail::cli::main()
}

/// The program, with nothing of the caller's settings.
pub fn program() -> Fallible<Command> {
    this_as(PROGRAM)
}

/// This executable as something else.
pub fn this_as(what: &str) -> Fallible<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("SEALTRAIL_")) {
        command.env_remove(name);
    }
    command.env(AS, what).stdin(Stdio::null());
    Ok(command)
}

/// A ledger's folder.
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes a ledger with three readers.
    pub fn create(dir: PathBuf) -> Fallible<Place> {
        std::fs::create_dir_all(&dir)?;
        let place = Place { dir };
        let mut init = vec!["init".to_owned(), LEDGER.to_owned()];
        for reader in READERS {
            let recipient = place.run(&["keygen", "reader", reader])?;
            init.extend(["--reader".to_owned(), format!("{reader}={}", recipient.trim())]);
        }
        place.run(&init.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(place)
    }

    /// A ledger made before.
    pub fn existing(dir: PathBuf) -> Place {
        Place { dir }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command that must succeed; its standard output.
    pub fn run(&self, args: &[&str]) -> Fallible<String> {
        let out = program()?.args(args).current_dir(&self.dir).output()?;
        if !out.status.success() {
            return Err(
                format!("sealtrail {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr)).into()
            );
        }
        Ok(String::from_utf8(out.stdout)?)
    }

    /// The token that applications send.
    pub fn token(&self) -> Fallible<String> {
        Ok(std::fs::read_to_string(self.path("keys/ingest.token"))?.trim().to_owned())
    }

    /// A public key of the keys folder: `ledger`, `admin`, `gateway`.
    pub fn vkey(&self, name: &str) -> Fallible<VerifierKey> {
        Ok(VerifierKey::parse(std::fs::read_to_string(self.path(&format!("keys/{name}.vkey")))?.trim())?)
    }

    /// A reader's identity.
    pub fn identity(&self, reader: &str) -> Fallible<Identity> {
        let text = std::fs::read_to_string(self.path(&format!("keys/{reader}.identity")))?;
        parse_identity_file(&text)?.pop().ok_or_else(|| "the identity file is empty".into())
    }

    /// Bytes of the ledger's files: the database and what stands beside it.
    pub fn bytes(&self) -> Fallible<u64> {
        machine::file_bytes(&self.dir, "ledger")
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Fallible<Server> {
        let log = self.path("server.log");
        let mut child = program()?
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(&self.dir)
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let addr = line.split_whitespace().next().and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let mut server = Server { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        match addr {
            Some(addr) => server.addr = addr,
            None => return Err(format!("the server did not start: {}", std::fs::read_to_string(log)?).into()),
        }
        Ok(server)
    }
}

/// A server process; killed if it is still there when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Server {
    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits until everything is put away.
    pub fn stop(mut self) -> Fallible<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.ok_or("no process id")?, rustix::process::Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return ended_well(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the server did not stop".into())
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn ended_well(status: ExitStatus) -> Fallible<()> {
    if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
