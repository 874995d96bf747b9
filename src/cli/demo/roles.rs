//! The demo's roles: a folder each, and this program started in it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::super::{Failure, Outcome};

/// Who acts.
#[derive(Clone, Copy)]
pub enum Role {
    /// Runs the ledger.
    Operator,
    /// Logs events.
    Application,
    /// A reader of the roster.
    Auditor,
    /// Verifies, knowing only the ledger's public key.
    Stranger,
    /// Has a key of their own that is in no roster, and a copy of the database.
    Outsider,
}

/// All folders.
pub struct Roles {
    /// The folder they are in.
    pub root: PathBuf,
    program: PathBuf,
}

/// A finished command.
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Done {
    /// Standard output of a command that must have succeeded.
    pub fn expect_ok(self) -> Result<String, Failure> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        Err(Failure::Wrong(format!(
            "a step that must succeed ended with exit code {}: {}",
            self.code,
            self.stderr.trim()
        )))
    }
}

fn failed(e: std::io::Error) -> Failure {
    Failure::Unavailable(format!("the demo cannot go on: {e}"))
}

impl Roles {
    /// Makes the folders.
    pub fn create(root: &Path) -> Result<Roles, Failure> {
        let program = std::env::current_exe().map_err(failed)?;
        std::fs::create_dir_all(root).map_err(failed)?;
        let roles = Roles { root: root.canonicalize().map_err(failed)?, program };
        for role in [Role::Operator, Role::Application, Role::Auditor, Role::Stranger, Role::Outsider] {
            std::fs::create_dir(roles.dir(role)).map_err(failed)?;
        }
        Ok(roles)
    }

    /// A role's folder.
    pub fn dir(&self, role: Role) -> PathBuf {
        self.root.join(match role {
            Role::Operator => "operator",
            Role::Application => "application",
            Role::Auditor => "auditor",
            Role::Stranger => "stranger",
            Role::Outsider => "outsider",
        })
    }

    /// The operator's database.
    pub fn operator_db(&self) -> PathBuf {
        self.dir(Role::Operator).join("ledger.db")
    }

    /// Every byte of every file that the operator has, but for key files.
    pub fn operator_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.dir(Role::Operator)).map_err(failed)?.flatten() {
            if entry.path().is_file() {
                std::fs::File::open(entry.path())
                    .and_then(|mut f| f.read_to_end(&mut bytes))
                    .map_err(failed)?;
            }
        }
        Ok(bytes)
    }

    fn command(&self, role: Role, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.dir(role))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("SEALTRAIL_")) {
            command.env_remove(name);
        }
        command
    }

    /// Starts the operator's server on a free port and waits until it says its address.
    pub fn serve(&self) -> Result<(Server, String), Failure> {
        let mut command = self.command(Role::Operator, &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stderr(Stdio::inherit()).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(failed)?;
        }
        let server = Server(child);
        match line.split_whitespace().next() {
            Some(url) if url.starts_with("http") => Ok((server, url.to_owned())),
            _ => Err(Failure::Wrong("the server did not start; its message is above".into())),
        }
    }
}

/// Runs this program as a role and waits for it.
pub fn run_role(roles: &Roles, role: Role, args: &[&str]) -> Result<Done, Failure> {
    let output = roles.command(role, args).output().map_err(failed)?;
    Ok(Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The server process; ended when dropped.
pub struct Server(Child);

impl Server {
    /// Waits until the server ends by itself, as on Ctrl-C, which reaches it too.
    pub fn wait(&mut self) -> Outcome {
        self.0.wait().map_err(failed)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
