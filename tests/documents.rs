//! The documents say what the code does: paths and problem codes of the HTTP interface stand in `docs/API.md`, and the tests that
//! `docs/THREATS.md` names are there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use sealtrail::api::problem::Code;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Values of the constants of `src/api/route.rs` that are paths.
fn paths() -> Vec<String> {
    let text = read("src/api/route.rs");
    let constants = text.lines().filter(|l| l.starts_with("pub const "));
    let values = constants.map(|l| l.split('"').nth(1).unwrap_or_else(|| panic!("not one line: {l}")));
    values.filter(|v| v.starts_with('/')).map(str::to_owned).collect()
}

/// Names of the variants of [`Code`], as problems carry them.
fn codes() -> Vec<String> {
    let text = read("src/api/problem.rs");
    let body = text.split("pub enum Code {").nth(1).and_then(|t| t.split("\n}").next()).expect("the enum");
    let variants = body.lines().map(str::trim).filter(|l| !l.starts_with("//") && !l.is_empty());
    variants.map(|v| kebab(v.trim_end_matches(','))).collect()
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Whether `path` stands in `page` as itself, not as the beginning of a longer word.
fn stands(page: &str, path: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    page.match_indices(path).any(|(at, _)| path.ends_with('/') || ends(&page[at + path.len()..]))
}

/// A route of `src/server/mod.rs`: its methods and its path, constants resolved.
fn routes() -> Vec<(Vec<&'static str>, String)> {
    let (server, constants) = (read("src/server/mod.rs"), read("src/api/route.rs"));
    let constant = |name: &str| {
        let line = constants.lines().find(|l| l.starts_with(&format!("pub const {name}:")));
        line.and_then(|l| l.split('"').nth(1)).unwrap_or_else(|| panic!("no constant {name}")).to_owned()
    };
    let router =
        server.split("Router::new()").nth(1).and_then(|t| t.split(".fallback(").next()).expect("the router");
    let mut found = Vec::new();
    for part in router.split(".route(").skip(1) {
        let (path, handlers) = part.split_once(',').expect("a path and its handlers");
        let path = match path.trim().strip_prefix("route::") {
            Some(name) => constant(name),
            None => path.trim().trim_matches('"').to_owned(),
        };
        let methods =
            [("GET", "get("), ("POST", "post(")].into_iter().filter(|(_, call)| handlers.contains(call));
        found.push((methods.map(|(method, _)| method).collect(), path));
    }
    found
}

#[test]
fn every_path_stands_in_the_interface_page() {
    let (page, paths) = (read("docs/API.md"), paths());
    assert!(paths.len() >= 17, "only {paths:?} were found in src/api/route.rs");
    let missing: Vec<_> = paths.iter().filter(|p| !stands(&page, p)).collect();
    assert!(missing.is_empty(), "docs/API.md does not have {missing:?}");
}

#[test]
fn every_route_stands_there_with_its_method() {
    let (page, routes) = (read("docs/API.md"), routes());
    assert!(routes.len() >= 20, "only {routes:?} were found in src/server/mod.rs");
    let mut missing = Vec::new();
    for (methods, path) in &routes {
        assert!(!methods.is_empty(), "{path} has no method that this test knows");
        // A wildcard is written out on the page.
        let path = path.split("{*").next().unwrap_or(path);
        missing.extend(methods.iter().map(|m| format!("{m} {path}")).filter(|line| !stands(&page, line)));
    }
    assert!(missing.is_empty(), "docs/API.md does not have {missing:?}");
}

#[test]
fn every_problem_code_stands_there_with_its_status() {
    let (page, codes) = (read("docs/API.md"), codes());
    assert!(codes.len() >= 19, "only {codes:?} were found in src/api/problem.rs");
    let rows: Vec<&str> = page.lines().filter(|l| l.starts_with("| `")).collect();
    for name in codes {
        let code: Code =
            serde_json::from_value(serde_json::Value::String(name.clone())).expect("a code's own name");
        let row = rows.iter().find(|row| row.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/API.md has no row for the problem {name}"));
        assert!(
            row.contains(&format!("| {} ", code.status())),
            "the status of {name} is {}: {row}",
            code.status()
        );
    }
}

/// The names of tests in a line: `file::test`, the file below `tests` or `src`.
fn tests_named(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let word = |w: &str| w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    quoted.filter(|name| name.contains("::") && name.split("::").all(word)).collect()
}

/// Whether a file below `tests` or `src` has this test.
fn is_test(name: &str) -> bool {
    let (path, function) = name.rsplit_once("::").unwrap_or_default();
    let path = path.replace("::", "/");
    let files = [format!("tests/{path}.rs"), format!("src/{path}.rs"), format!("src/{path}/mod.rs")];
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let texts = files.iter().filter_map(|f| std::fs::read_to_string(root.join(f)).ok());
    texts.into_iter().any(|text| {
        let at = text.find(&format!("fn {function}("));
        // Other attributes may stand between.
        at.is_some_and(|at| text[..at].lines().rev().take(4).any(|l| l.trim() == "#[test]"))
    })
}

#[test]
fn every_threat_names_tests_that_are_there() {
    let page = read("docs/THREATS.md");
    let tables = ["| attacker | move | found by | test |", "| reported | test here |"];
    let mut rows = 0;
    let mut named: Vec<&str> = Vec::new();
    for table in tables {
        let body = page.split(table).nth(1).unwrap_or_else(|| panic!("no table {table}"));
        for row in body.lines().skip(2).take_while(|l| l.starts_with('|')) {
            let tests = tests_named(row.rsplit(" | ").next().unwrap_or_default());
            assert!(!tests.is_empty(), "this row names no test: {row}");
            let gone: Vec<_> = tests.iter().filter(|t| !is_test(t)).collect();
            assert!(gone.is_empty(), "there is no test {gone:?}, named in: {row}");
            named.extend(tests);
            rows += 1;
        }
    }
    assert!(rows > 60, "only {rows} rows were found");
    // And the other way round: no move of the attack suite is without its line.
    let mut lost = Vec::new();
    for entry in std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/forgery")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("#[test]\n").skip(1) {
            let function = after.split_once("fn ").and_then(|(_, f)| f.split_once('(')).unwrap().0;
            let name = format!("forgery::{module}::{function}");
            if !named.contains(&&*name) && !function.starts_with("an_honest") {
                lost.push(name);
            }
        }
    }
    assert!(lost.is_empty(), "docs/THREATS.md does not have the moves {lost:#?}");
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    assert!(is_test("documents::a_test_that_is_not_there_is_missed"));
    assert!(is_test("chain::replay_tests::a_ledgers_life"), "beside its module");
    assert!(!is_test("documents::is_test"), "no test");
    assert!(!is_test("nowhere::at_all"));
    assert_eq!(tests_named("| x | `a::b_c`, `--admin VKEY`, `d::e::f` |"), ["a::b_c", "d::e::f"]);
}
