//! The settings of a writer that seals beside the application (`log --seal`). They name the readers: the writer
//! believes this file about who may read, never the server.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::check;
use super::settings::{SettingsError, at_line, folder, read_text};
use crate::event::policy::Policy;

/// A remote writer's settings, checked; paths are ready for use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriterSettings {
    /// The ledger's origin.
    pub ledger: String,
    /// The ledger's verifier key, as text or the path of a .vkey file: receipts are checked with it.
    pub ledger_key: String,
    /// The writer's signing key file.
    pub key: PathBuf,
    /// The file of the current search secret; beside the key if not set.
    pub search: PathBuf,
    /// How long its records must be kept, in years.
    pub retain_years: u16,
    /// Who may read.
    pub readers: Vec<WriterReader>,
    /// Sections and tags.
    pub policy: Policy,
}

/// One reader of a remote writer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriterReader {
    /// The name that sections use.
    pub name: String,
    /// The reader's public key, `age1…`.
    pub recipient: String,
}

impl WriterSettings {
    /// Reads and checks a writer's settings file.
    pub fn load(path: &Path) -> Result<WriterSettings, SettingsError> {
        let text = read_text(path)?;
        check::writer_settings(&text, folder(path)).map_err(|p| at_line(&text, path, p))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<WriterSettings, String> {
        check::writer_settings(text, Path::new("/w")).map_err(|p| p.text)
    }

    #[test]
    fn a_writer_needs_a_ledger_a_key_and_a_reader() {
        let text = "ledger = \"a.example/l\"\nledger_key = \"a.example/l+00+AA\"\nkey = \"ehr.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"age1x\"\n";
        let s = parse(text).unwrap();
        assert_eq!(
            (s.key.as_path(), s.search.as_path()),
            (Path::new("/w/ehr.key"), Path::new("/w/ehr.search"))
        );
        assert_eq!((s.retain_years, s.readers.len()), (6, 1));
        assert!(
            parse("ledger = \"a.example/l\"\nledger_key = \"k\"\nkey = \"k\"\n")
                .unwrap_err()
                .contains("[[reader]]")
        );
        assert!(parse(&format!("{text}colour = 1\n")).unwrap_err().contains("unknown field"));
        assert!(parse("key = \"k\"").is_err());
    }
}
