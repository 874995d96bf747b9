//! What documents, help texts and messages tell people to type or to read is there: every command with its options, every metric,
//! every section of the operator's page that a message sends somebody to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use support::program;

/// Pages that show commands, and how many at least: fewer means that this test no longer finds them.
const PAGES: [(&str, usize); 8] = [
    ("README.md", 40),
    ("docs/OPERATIONS.md", 60),
    ("docs/COMPLIANCE.md", 40),
    ("docs/REPORTS.md", 2),
    ("docs/SQL.md", 3),
    ("docs/THREATS.md", 40),
    ("docs/WATCH.md", 8),
    ("keys/README.md", 60),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What `--help` says of a command.
struct Help {
    text: String,
    /// Names of its commands, if it has some.
    commands: BTreeSet<String>,
    options: BTreeSet<String>,
}

/// Every command of the program, by its words.
type Commands = BTreeMap<Vec<String>, Help>;

fn help(path: &[String]) -> Help {
    let out = program().args(path).arg("--help").output().unwrap();
    assert!(out.status.success(), "{path:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let listed = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let listed = listed.lines().take_while(|l| l.starts_with(' ')).filter_map(|l| l.strip_prefix("  "));
    let names = listed.filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase()));
    let commands = names.filter_map(|l| Some(l.split(' ').next()?.to_owned())).filter(|n| n != "help");
    let lines = text.lines().map(str::trim).filter(|l| l.starts_with('-'));
    let words =
        lines.flat_map(|l| l.split([' ', ',', '=', '[']).take_while(|w| w.is_empty() || w.starts_with('-')));
    let options = words.filter(|w| w.starts_with('-')).map(str::to_owned).collect();
    Help { commands: commands.collect(), options, text }
}

fn commands() -> Commands {
    let mut all = Commands::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let found = help(&path);
        open.extend(found.commands.iter().map(|name| [&path[..], std::slice::from_ref(name)].concat()));
        all.insert(path, found);
    }
    all
}

/// The pieces of a page that are code: lines of blocks, continued ones put together, and what stands between backticks.
fn code(page: &str) -> Vec<String> {
    let (mut pieces, mut fenced) = (Vec::new(), false);
    let mut continued = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            continued += line.trim_end_matches('\\');
            if !line.ends_with('\\') {
                pieces.push(std::mem::take(&mut continued));
            }
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    pieces
}

/// The commands in a piece of code, each as the words after the program's name.
fn shown(piece: &str, commands: &Commands) -> Vec<Vec<String>> {
    // What follows is another program, or the end of what was quoted.
    let ends = [" | ", "&&", ";", " · ", "  ("];
    let piece = piece.split(" #").next().unwrap_or_default();
    let known = |word: &str| commands[&Vec::new()].commands.contains(word);
    let mut found = Vec::new();
    // In running text the program's name is often left out.
    let bare = Some(piece).filter(|p| known(p.split(' ').next().unwrap_or_default()));
    for text in piece.split("sealtrail ").skip(1).chain(bare) {
        let end = ends.iter().filter_map(|e| text.find(e)).min().unwrap_or(text.len());
        let words: Vec<String> = text[..end].split_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|w| known(w)) {
            found.push(words);
        }
    }
    found
}

/// What is wrong with a command.
fn fault(words: &[String], commands: &Commands) -> Option<String> {
    let (mut path, mut rest) = (Vec::new(), words);
    while let [first, more @ ..] = rest
        && commands[&path].commands.contains(first)
    {
        path.push(first.clone());
        rest = more;
    }
    let (here, whole) = (&commands[&path], &commands[&Vec::new()]);
    let plain = |w: &String| w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !w.starts_with('-');
    if !here.commands.is_empty() && rest.first().is_some_and(plain) {
        return Some(format!("`{}` has no command {}", path.join(" "), rest[0]));
    }
    let options = rest.iter().map(|w| w.trim_matches(|c| "[](),.:'".contains(c)));
    let options = options.filter(|w| w.starts_with('-') && w.len() > 1 && *w != "--" && *w != "->");
    let name = |w: &str| w.split('=').next().unwrap_or_default().to_owned();
    let unknown = options.map(name).find(|o| !here.options.contains(o) && !whole.options.contains(o))?;
    Some(format!("`{}` has no option {unknown}", path.join(" ")))
}

fn faults(place: &str, code: &[String], commands: &Commands) -> (usize, Vec<String>) {
    let found: Vec<_> = code.iter().flat_map(|piece| shown(piece, commands)).collect();
    let wrong = found.iter().filter_map(|words| {
        fault(words, commands).map(|why| format!("{place}: {why}: sealtrail {}", words.join(" ")))
    });
    (found.len(), wrong.collect())
}

#[test]
fn every_command_that_is_shown_is_there() {
    let commands = commands();
    assert!(commands.len() > 40, "only {:?} were found", commands.keys());
    let mut wrong = Vec::new();
    for (page, least) in PAGES {
        let (found, faults) = faults(page, &code(&read(page)), &commands);
        assert!(found >= least, "only {found} commands were found in {page}");
        wrong.extend(faults);
    }
    for (path, help) in &commands {
        let lines: Vec<String> = help.text.lines().map(str::to_owned).collect();
        wrong.extend(faults(&format!("{} --help", path.join(" ")), &lines, &commands).1);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_there_is_missed() {
    let commands = commands();
    let page = "so `backup --updat DEST`, `serve`, `vault/x`:\n\n    runuser -u sealtrail -- sealtrail audit sinc --key K\n\n\
                ```\nnew-sealtrail fsck \\\n  --file F --kee K  # sealtrail init --quickly\n```\n    chown sealtrail /var/lib\n";
    let (found, wrong) = faults("page", &code(page), &commands);
    assert_eq!(found, 4);
    let said = ["has no option --updat", "has no command sinc", "has no option --kee"];
    assert_eq!(wrong.len(), said.len(), "{wrong:#?}");
    for (wrong, said) in wrong.iter().zip(said) {
        assert!(wrong.contains(said), "{wrong}");
    }
}

/// A rule that alerts on a metric nobody has never alerts.
#[test]
fn every_metric_in_the_documents_is_one() {
    let source = read("src/server/metrics.rs");
    let mut found = 0;
    for page in ["docs/OPERATIONS.md", "docs/API.md"] {
        for after in read(page).split("sealtrail_").skip(1) {
            let end = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
            let name = format!("sealtrail_{}", &after[..end]);
            let there = source.contains(&format!("\"{name}\"")) || source.contains(&format!(" {name} "));
            assert!(there, "{page}: no metric {name}");
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} were found");
}

/// Messages send people to sections of the operator's page.
#[test]
fn every_section_that_a_message_names_is_there() {
    const PAGE: &str = "docs/OPERATIONS.md";
    let page = read(PAGE);
    let mut open = vec![root().join("src")];
    let mut found = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let text = read(&path);
        for (at, _) in text.match_indices(PAGE) {
            // The name stands quoted on the same line, before or after the page's.
            let from = text[..at].rfind('\n').map_or(0, |n| n + 1);
            let to = text[at..].find('\n').map_or(text.len(), |n| at + n);
            let quoted: Vec<&str> = text[from..to].split("\\\"").skip(1).step_by(2).collect();
            assert!(!quoted.is_empty(), "{}: no section is named: {}", path.display(), &text[from..to]);
            for name in quoted {
                let heading = page.lines().any(|l| l.starts_with('#') && l.ends_with(&format!("# {name}")));
                assert!(heading || page.contains(&format!("**{name}**")), "{PAGE} has no section {name:?}");
                found += 1;
            }
        }
    }
    assert!(found >= 7, "only {found} were found");
}

/// Whoever finds a message in the table of the operator's page must have been able to see it. `N`, `M` and what is left out (`…`) stand
/// for anything.
#[test]
fn every_message_that_is_explained_is_said() {
    // SQLite's own words.
    const FOREIGN: &str = "database disk image is malformed";
    let page = read("docs/OPERATIONS.md");
    let table = page.split("| message of `audit verify`").nth(1).expect("the table of messages");
    let mut source = String::new();
    let mut open = vec![root().join("src")];
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path())),
            // Strings go on in the next line.
            false => source.extend(read(&path).split("\\\n").map(str::trim_start)),
        }
    }
    let mut found = 0;
    for row in table.lines().skip(2).take_while(|l| l.starts_with('|')) {
        for quoted in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            let any = |word: &&str| matches!(word.trim_matches([',', ':']), "N" | "M") || word.contains('…');
            let words: Vec<&str> = quoted.split(' ').collect();
            for part in words.split(|word| any(word)) {
                let part = part.join(" ");
                if part.len() >= 12 && part != FOREIGN {
                    assert!(source.contains(&part), "nothing says {part:?}: {quoted}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 15, "only {found} were found");
}
