//! The settings file `sealtrail.toml`: parsed, checked as a whole, and complained about with file, line
//! and what to change. Paths in it are relative to its folder.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check;
use crate::base::limits::MAX_SETTINGS_BYTES;
use crate::event::policy::Policy;

/// The usual file name.
pub const SETTINGS_FILE: &str = "sealtrail.toml";
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:7470";
pub(super) const DEFAULT_KEYS: &str = "keys";
pub(super) const DEFAULT_DATABASE: &str = "ledger.db";
/// 45 CFR 164.316(b)(2)(i): six years.
pub(super) const DEFAULT_RETAIN_YEARS: u16 = 6;
pub(super) const DEFAULT_HEARTBEAT_MINUTES: u32 = 60;

/// All settings, checked; paths are ready for use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The ledger's origin: its key name.
    pub ledger: String,
    /// Where to serve. Loopback unless there is TLS or `allow_plaintext`.
    pub listen: SocketAddr,
    /// Certificate and key for TLS.
    pub tls: Option<TlsFiles>,
    /// Folder of the key files.
    pub keys: PathBuf,
    /// The SQLite file.
    pub database: PathBuf,
    /// The writer inside `serve`.
    pub gateway: Gateway,
    /// Sections, tags and who reads the log of reads.
    pub policy: Policy,
}

/// The two files TLS needs, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Settings of the writer that seals events for HTTP clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Its key name.
    pub writer: String,
    /// How long its records must be kept, in years.
    pub retain_years: u16,
    /// Longest silence before it says that it has nothing to say, in minutes.
    pub heartbeat_minutes: u32,
}

/// What is wrong with a settings file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read the settings {}: {source}; `sealtrail init` makes such a file", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line of it needs to be changed.
    #[error("{}, line {line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl Settings {
    /// Reads and checks a settings file.
    pub fn load(path: &Path) -> Result<Settings, SettingsError> {
        Settings::parse(&read_text(path)?, path)
    }

    /// Checks the text of a settings file that stands, or will stand, at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Settings, SettingsError> {
        check::settings(text, folder(path)).map_err(|p| at_line(text, path, p))
    }

    /// The settings of the file [`Settings::to_toml_template`] writes to `folder`.
    pub fn default_for(origin: &str, folder: &Path) -> Settings {
        Settings {
            ledger: origin.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7470)),
            tls: None,
            keys: folder.join(DEFAULT_KEYS),
            database: folder.join(DEFAULT_DATABASE),
            gateway: Gateway {
                writer: default_writer(origin),
                retain_years: DEFAULT_RETAIN_YEARS,
                heartbeat_minutes: DEFAULT_HEARTBEAT_MINUTES,
            },
            policy: Policy::default(),
        }
    }

    /// The commented settings file for a new ledger.
    pub fn to_toml_template(origin: &str) -> String {
        super::template::settings(origin)
    }
}

/// The folder that relative paths in the file at `path` start from.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The text of a settings file, within its limit.
pub(super) fn read_text(path: &Path) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_SETTINGS_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_SETTINGS_BYTES {
        let what = format!("larger than {MAX_SETTINGS_BYTES} bytes, and so no settings file");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, what)));
    }
    String::from_utf8(bytes)
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8")))
}

/// A problem, told with the line it is on.
pub(super) fn at_line(text: &str, path: &Path, problem: check::Problem) -> SettingsError {
    SettingsError::Line {
        path: path.to_owned(),
        line: 1 + text.bytes().take(problem.at).filter(|c| *c == b'\n').count(),
        problem: problem.text,
    }
}

/// The gateway's key name where the settings give none.
pub(super) fn default_writer(origin: &str) -> String {
    format!("{origin}/writers/gateway")
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
