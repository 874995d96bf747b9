//! Writes `tests/vectors/format/`: `cargo run --example make_vectors [DIR]`. The folders of the cases are made
//! anew; every key follows from its name, so that the same code writes the same bytes again. The layout is
//! that of `tests/second_reader/VECTORS.md`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

mod batch;
mod blocks;
mod broken;
mod evidence;
mod kit;
mod ledger;
mod opens;
mod proofs;
mod signatures;

use kit::{ADMIN, Cases, LEDGER, WRITER, identity, key};

fn main() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let dir = std::env::args().nth(1).map_or_else(|| vectors.join("format"), PathBuf::from);
    remove_old(&dir);
    let cases = Cases::new(&dir);
    for (file, name) in [("ledger.vkey", LEDGER), ("writer.vkey", WRITER), ("admin.vkey", ADMIN)] {
        cases.shared(file, "Ed25519; the seed is the SHA-256 of the name", key(name).verifier().as_str());
    }
    for name in ["auditor", "person", "network", "everyone"] {
        let identity = identity(name);
        let comment = format!(
            "for tests only: the scalar is the SHA-256 of \"reader {name}\"\n# public key: {}",
            identity.recipient()
        );
        cases.shared(&format!("{name}.identity"), &comment, &identity.to_text());
    }
    opens::write(&cases, &vectors.join("event"));
    broken::write(&cases);
    proofs::write(&cases);
    evidence::write(&cases);
    blocks::write(&cases);
    signatures::write(&cases);
}

/// Removes what an earlier run wrote: folders of folders with a `case.json`, and nothing else.
fn remove_old(dir: &Path) {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
        let entries: Vec<PathBuf> = entries;
        entries.into_iter().filter(|p| p.is_dir()).collect()
    };
    for group in folders(dir) {
        for case in folders(&group).into_iter().filter(|c| c.join("case.json").is_file()) {
            std::fs::remove_dir_all(case).unwrap();
        }
        let _ = std::fs::remove_dir(group);
    }
}
