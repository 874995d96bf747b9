//! Style and structure that a compiler does not check: who may import whom, what may be named in one file only,
//! how long files and lines are, and words that have no place here. Reads the sources as text.

#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest file of `src` without its tests, in lines; aim at 150 to 350.
const MAX_FILE_LINES: usize = 600;
/// Longest line of Rust, in characters (rustfmt cannot break every string).
const MAX_LINE: usize = 160;

/// Layer → what it may import, besides itself. `docs/ARCHITECTURE.md` draws the same table.
fn layers() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("base", vec![]),
        ("seal", vec!["base"]),
        ("chain", vec!["base"]),
        ("event", vec!["base", "seal"]),
        ("store", vec!["base", "seal", "chain"]),
        ("api", vec!["base", "seal", "chain"]),
        ("writer", vec!["base", "seal", "chain", "event"]),
        ("ledger", vec!["base", "seal", "chain", "store"]),
        ("client", vec!["base", "seal", "chain", "api"]),
        ("server", vec!["base", "seal", "chain", "event", "writer", "api", "ledger"]),
        ("auditor", vec!["base", "seal", "chain", "event", "store", "api", "ledger", "client"]),
        (
            "config",
            vec![
                "base", "seal", "chain", "event", "store", "api", "writer", "ledger", "client", "server",
                "auditor",
            ],
        ),
        (
            "cli",
            vec![
                "base", "seal", "chain", "event", "store", "api", "writer", "ledger", "client", "server",
                "auditor", "config",
            ],
        ),
    ])
}

/// What exactly one file of `src` may name.
const ONE_FILE: &[(&str, &str)] = &[
    ("hpke::", "src/seal/kem.rs"),
    ("rs_merkle::", "src/chain/tree.rs"),
    ("SystemTime", "src/base/clock.rs"),
    ("Timestamp::now()", "src/base/clock.rs"),
    ("Instant::now", "src/base/clock.rs"),
    ("getrandom::", "src/base/random.rs"),
    ("chacha20poly1305::", "src/seal/aead.rs"),
    ("pulp::", "src/base/sha256_wide.rs"),
];

/// Layers that may name the opener: the operator cannot decrypt because the code is not there.
const MAY_OPEN: &[&str] = &["auditor", "cli", "seal"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a source folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(dir), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no Rust files below {dir}");
    paths
        .into_iter()
        .map(|p| {
            let name = p.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
            (name, std::fs::read_to_string(&p).expect("a readable file"))
        })
        .collect()
}

/// The source before its test module `mod tests`, which is always the last thing in a file.
fn untested(text: &str) -> &str {
    let is_module = |at: &usize| {
        // Between the attribute and the module there may be other attributes.
        let after = text.get(*at..).unwrap_or_default().lines();
        let module = after.skip(1).find(|l| !l.trim_start().starts_with("#[")).unwrap_or_default();
        module.starts_with("mod tests;") || module.starts_with("mod tests {")
    };
    let end = text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(is_module);
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The source without its test module and without comments.
fn code(text: &str) -> String {
    untested(text).lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(name: &str) -> bool {
    name.ends_with("_tests.rs") || name.contains("/tests/")
}

#[test]
fn layers_import_only_what_is_below_them() {
    let layers = layers();
    let mut faults = Vec::new();
    for (name, text) in rust_files("src") {
        let mut parts = name.split('/').skip(1);
        let layer = parts.next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        if layer == "lib" || layer == "main" || is_test(&name) {
            continue;
        }
        let Some(allowed) = layers.get(layer.as_str()) else {
            faults.push(format!("{name}: layer {layer} is not in the table"));
            continue;
        };
        let code = code(&text);
        for other in layers.keys() {
            let named =
                code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
            if *other != layer && named && !allowed.contains(other) {
                faults.push(format!("{name} imports {other}, which {layer} may not"));
            }
        }
        if code.contains("use crate::{") {
            faults.push(format!(
                "{name}: import each layer on a line of its own, so that this test can read it"
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_belongs_in_one_file_is_named_only_there() {
    let files = rust_files("src");
    let mut faults = Vec::new();
    for (what, home) in ONE_FILE {
        let mut at_home = false;
        for (name, text) in files.iter().filter(|(n, _)| !is_test(n)) {
            // The seam between our clock and the library's: ours is called by its own name everywhere.
            let code = code(text).replace(
                "Timestamp::now()",
                if *what == "Timestamp::now()" { "" } else { "Timestamp::now()" },
            );
            let named = if *what == "Timestamp::now()" {
                text.contains("jiff::Timestamp::now()")
            } else {
                code.contains(what)
            };
            at_home |= named && name == home;
            if named && name != home {
                faults.push(format!("{name} names {what}, which belongs in {home}"));
            }
        }
        if !at_home && *what != "SystemTime" {
            faults.push(format!("{home} no longer names {what}: this test guards nothing"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn only_the_auditor_can_open() {
    let mut faults = Vec::new();
    for (name, text) in rust_files("src") {
        let layer = name.split('/').nth(1).unwrap_or_default().to_owned();
        if is_test(&name) || MAY_OPEN.contains(&layer.as_str()) {
            continue;
        }
        for word in ["seal::open", "Opener", "Identity", "AGE-SECRET"] {
            // Event shapes have an identity of their own, spelled userIdentity.
            if code(&text).replace("userIdentity", "").contains(word) {
                faults.push(format!("{name} names {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_and_lines_are_of_readable_length() {
    let mut faults = Vec::new();
    for (name, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        let lines = untested(&text).lines().count();
        if lines > MAX_FILE_LINES && !is_test(&name) && name.starts_with("src") {
            faults.push(format!("{name} has {lines} lines"));
        }
        for (i, line) in text.lines().enumerate() {
            if line.chars().count() > MAX_LINE {
                faults.push(format!("{name}:{} is longer than {MAX_LINE} characters", i + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_source_file_is_compiled() {
    let files: BTreeMap<String, String> = rust_files("src").into_iter().collect();
    let faults: Vec<_> = files.keys().filter(|name| !is_declared(name, &files)).collect();
    assert!(faults.is_empty(), "in no module: {faults:#?}");
}

/// Whether the file of its parent module declares this one, or a file beside it takes it in by `#[path]`.
fn is_declared(name: &str, files: &BTreeMap<String, String>) -> bool {
    let Some((folder, file)) = name.rsplit_once('/') else { return false };
    let lines = |text: &String, wanted: &str| {
        // Whatever its visibility.
        let bare = |l: &str| {
            l.trim().split_once("pub").map_or(l.trim().to_owned(), |(_, rest)| {
                rest.trim_start_matches(|c| c != ' ').trim().to_owned()
            })
        };
        text.lines().any(|l| l.trim() == wanted || bare(l) == wanted)
    };
    if folder == "src" && matches!(file, "lib.rs" | "main.rs") {
        return true;
    }
    // The module `a/b` stands in a/b.rs or a/b/mod.rs, and is declared in the file of the module `a`.
    let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some((parent, stem)) = module.rsplit_once('/') else { return false };
    let parents = match parent {
        "src" => vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()],
        _ => vec![format!("{parent}.rs"), format!("{parent}/mod.rs")],
    };
    let by_name = parents.iter().filter_map(|p| files.get(p)).any(|t| lines(t, &format!("mod {stem};")));
    let beside = files.iter().filter(|(n, _)| n.rsplit_once('/').is_some_and(|(f, _)| f == folder));
    by_name || beside.into_iter().any(|(_, t)| lines(t, &format!("#[path = \"{file}\"]")))
}

#[test]
fn these_tests_see_what_they_look_for() {
    let text =
        "use a;\n#[cfg(test)]\nfn size() {}\nuse b;\n#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;\n";
    assert!(code(text).contains("use b;") && !code(text).contains("x_tests"));
    assert!(!code("use a;\n#[cfg(test)]\nmod tests {\n    use b;\n}\n").contains("use b;"));
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = BTreeMap::from([
        file("src/lib.rs", "pub(super) mod a;"),
        file("src/a/mod.rs", "mod b;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;"),
        file("src/a/b.rs", "mod c;"),
        file("src/a/c.rs", ""),
        file("src/a/b/c.rs", ""),
        file("src/a/b_tests.rs", ""),
    ]);
    let lost: Vec<_> = files.keys().filter(|n| !is_declared(n, &files)).collect();
    assert_eq!(lost, ["src/a/c.rs"], "declared elsewhere by the same name is not declared");
}

#[test]
fn nothing_unfinished_or_switched_off() {
    let mut faults = Vec::new();
    // Spelled in two parts, so that this file does not find itself.
    let banned = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ign", "ore"),
        concat!("target-cpu=", "native\""),
    ];
    for (name, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        for word in banned {
            if text.contains(word) {
                faults.push(format!("{name} contains {word}"));
            }
        }
        if name.starts_with("src") && !is_test(&name) && untested(&text).contains("#[allow(") {
            faults.push(format!("{name} silences a lint outside its tests"));
        }
    }
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    assert!(cargo.contains("unsafe_code = \"forbid\""), "unsafe code must stay forbidden");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
