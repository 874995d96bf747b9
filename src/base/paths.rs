//! Names of files that stand beside others.

use std::path::{Path, PathBuf};

/// A name beside `path`: all of it, with `suffix` at its end. A folder's name may end with a slash, as people type it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_stays_and_a_slash_does_not() {
        assert_eq!(beside(Path::new("a/ledger.db"), "-wal"), Path::new("a/ledger.db-wal"));
        assert_eq!(beside(Path::new("../backup"), ".partial").as_os_str(), "../backup.partial");
        assert_eq!(beside(Path::new("/backups/a/"), ".partial").as_os_str(), "/backups/a.partial");
    }
}
