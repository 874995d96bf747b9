//! What the documents say of the code of others, and of decoders, is complete: every direct dependency stands in
//! `docs/DEPENDENCIES.md`, every file that decodes and every fuzz target in `docs/FUZZING.md`. Nothing here is unsafe code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn rust_files(dir: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match path.is_dir() {
                true => walk(&path, out),
                false => out.extend(Some(path).filter(|p| p.extension().is_some_and(|e| e == "rs"))),
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(dir), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no Rust files below {dir}");
    let name = |p: &PathBuf| p.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    paths.iter().map(|p| (name(p), std::fs::read_to_string(p).unwrap())).collect()
}

/// Names of the keys of the tables of a Cargo.toml whose heading ends with `dependencies`.
fn dependencies(cargo: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in cargo.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            found.insert(name.trim().to_owned());
        }
    }
    found
}

#[test]
fn every_direct_dependency_is_explained() {
    let page = read("docs/DEPENDENCIES.md");
    for cargo in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let all = dependencies(&read(cargo));
        assert!(all.contains("sealtrail"), "{cargo}: {all:?}");
        let missing: Vec<_> = all.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/DEPENDENCIES.md does not name {missing:?} of {cargo}");
    }
    // And nothing that is no longer one: the first cell of each row of the crates' tables.
    let known: BTreeSet<String> = dependencies(&read("Cargo.toml"));
    let tables = page.split("## Code that is not Rust").next().unwrap();
    for row in tables.lines().filter(|l| l.starts_with("| `")) {
        let names = row.split('|').nth(1).unwrap().split(',').map(|n| n.trim().trim_matches('`'));
        names.for_each(|name| assert!(known.contains(name), "{name} is no direct dependency any more"));
    }
}

#[test]
fn no_unsafe_code_anywhere() {
    for cargo in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let text = read(cargo);
        let lints = text.split("[lints.rust]").nth(1).unwrap_or_default();
        assert!(lints.trim_start().starts_with("unsafe_code = \"forbid\""), "{cargo} no longer forbids it");
    }
    // In two parts, so that this line is not found.
    let word = concat!("un", "safe");
    let mut faults = Vec::new();
    for dir in ["src", "tests", "examples", "benches", "fuzz/src", "fuzz/fuzz_targets"] {
        for (name, text) in rust_files(dir) {
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            let uses = |l: &&str| {
                l.contains(&format!("{word} {{"))
                    || l.contains(&format!("{word} fn"))
                    || l.contains(&format!("{word} impl"))
            };
            faults.extend(code.filter(uses).map(|l| format!("{name}: {l}")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What a file says that turns bytes or text from elsewhere into values.
const DECODES: &[&str] = &[
    "fn parse",
    "fn decode",
    "fn from_bytes",
    "fn from_base64",
    "fn from_hex",
    "fn from_text",
    "fn from_str(",
    "fn unpack",
    "serde_json::from_",
    "toml::from_str",
    "DeTable::parse",
    "Reader::new(",
    "Lines::new(",
    "from_be_bytes(",
    "from_utf8(",
    "Deserialize",
];

#[test]
fn every_file_that_decodes_is_on_the_list() {
    let page = read("docs/FUZZING.md");
    let mut missing = Vec::new();
    let mut decoding = 0;
    for (name, text) in rust_files("src") {
        if name.ends_with("_tests.rs") || name.ends_with("/tests.rs") || name.ends_with("fuzzing.rs") {
            continue;
        }
        let end =
            ["#[cfg(test)]\nmod tests", "#[cfg(test)]\n#[path"].iter().filter_map(|m| text.find(m)).min();
        let code = text.get(..end.unwrap_or(text.len())).unwrap();
        let mut lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
        if lines.any(|l| DECODES.iter().any(|d| l.contains(d))) {
            decoding += 1;
            let short = name.trim_start_matches("src/");
            missing.extend(Some(short.to_owned()).filter(|s| !page.contains(&format!("`{s}`"))));
        }
    }
    assert!(decoding > 50, "these words find next to nothing: {decoding}");
    assert!(missing.is_empty(), "docs/FUZZING.md lists no target for {missing:#?}, nor why there is none");
    for row in page.lines().filter(|l| l.starts_with("| `")) {
        let files = row.split('`').skip(1).step_by(2).filter(|w| w.ends_with(".rs"));
        let gone: Vec<_> =
            files.filter(|f| !root().join("src").join(f).exists() && !root().join(f).exists()).collect();
        assert!(gone.is_empty(), "docs/FUZZING.md names files that are not there: {gone:?}");
    }
}

#[test]
fn every_target_has_a_binary_a_row_and_a_corpus() {
    let (page, cargo, list) =
        (read("docs/FUZZING.md"), read("fuzz/Cargo.toml"), read("fuzz/src/targets/mod.rs"));
    let targets: Vec<&str> = list.split("target(\"").skip(1).map(|t| t.split('"').next().unwrap()).collect();
    assert!(targets.len() > 30);
    for target in &targets {
        assert!(
            cargo.contains(&format!("name = \"{target}\"\n")),
            "{target} has no [[bin]] in fuzz/Cargo.toml"
        );
        assert!(page.contains(&format!("| `{target}` |")), "{target} has no row in docs/FUZZING.md");
        assert!(root().join("fuzz/corpus").join(target).is_dir(), "{target} has no corpus");
    }
    let binaries = cargo.matches("[[bin]]").count();
    // One more: `any`.
    assert_eq!(binaries, targets.len() + 1);
}
