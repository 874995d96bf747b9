//! Nothing secret where it does not belong. Takes the keys, tokens, passphrases and event values of a ledger as canaries, runs every
//! command over good and bad paths, and looks for them, raw and in the encodings a leak would wear, in what was printed, in process
//! listings, in databases, logs and temporary files, and in the memory of a server that has no more use for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use age::scrypt;
use memchr::memmem;
use sealtrail::base::hash::{from_base64, to_base64, to_hex};
use support::{LEDGER, Ledger, Server, program};

const PASSPHRASE: &str = "planted-passphrase-4471-xyzzy";
const VALUE: &str = "PlantedPatient-90210-äöü";

/// Something that must not be found, and what it may look like.
struct Canary {
    what: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// Secret bytes: each half, since a damaged key may leave one of them.
    fn bytes(what: &str, secret: &[u8]) -> Canary {
        assert!(secret.len() >= 16, "{what}");
        let (first, last) = secret.split_at(secret.len() / 2);
        let forms = [first, last].iter().flat_map(|half| encodings(half)).collect();
        Canary { what: what.to_owned(), forms }
    }

    fn text(what: &str, text: &str) -> Canary {
        let mut forms = encodings(text.as_bytes());
        forms.push(text.to_lowercase().into_bytes());
        forms.push(text.to_uppercase().into_bytes());
        let escaped =
            text.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) });
        forms.push(escaped.collect::<String>().into_bytes());
        Canary { what: what.to_owned(), forms }
    }
}

fn encodings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms =
        vec![bytes.to_vec(), to_hex(bytes).into_bytes(), to_hex(bytes).to_uppercase().into_bytes()];
    for shift in 0..3 {
        // Without the characters its neighbours would change.
        let coded = to_base64(&[&vec![b'x'; shift][..], bytes].concat());
        let part = &coded[(shift * 8).div_ceil(6)..(shift + bytes.len()) * 8 / 6];
        forms.push(part.as_bytes().to_vec());
        forms.push(part.replace('+', "-").replace('/', "_").into_bytes());
    }
    // As `{:?}` prints bytes.
    let list = format!("{bytes:?}");
    forms.push(list.trim_matches(['[', ']']).as_bytes().to_vec());
    forms
}

/// Canaries of a key file's content: its text, and the secret bytes in it.
fn of_file(path: &Path) -> Vec<Canary> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if let Some(rest) = line.strip_prefix("PRIVATE+KEY+") {
            let data = from_base64(rest.splitn(3, '+').nth(2).unwrap()).unwrap();
            found.push(Canary::bytes(&name, &data[1..]));
        } else if line.starts_with("AGE-SECRET-KEY-1") {
            let (_, scalar) = bech32::decode(line).unwrap();
            found.push(Canary::bytes(&name, &scalar));
            found.push(Canary::text(&name, &line[20..46]));
            found.push(Canary::text(&name, &line[46..]));
        } else if name.ends_with(".search") && !line.starts_with("period ") {
            found.push(Canary::bytes(&name, &from_base64(line).unwrap()));
        } else if name.ends_with(".token") {
            found.push(Canary::text(&name, &line[..32]));
            found.push(Canary::text(&name, &line[32..]));
            let raw: Vec<u8> =
                (0..32).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect();
            found.push(Canary::bytes(&name, &raw));
        }
    }
    found
}

/// Looks for all of them.
fn look(canaries: &[Canary], place: &str, haystack: &[u8]) {
    for canary in canaries {
        for form in &canary.forms {
            let at = memmem::find(haystack, form);
            let form = String::from_utf8_lossy(form);
            assert_eq!(at, None, "{} is in {place}, as {form:?}:\n{}", canary.what, around(haystack, at));
        }
    }
}

fn around(haystack: &[u8], at: Option<usize>) -> String {
    let at = at.unwrap_or(0);
    String::from_utf8_lossy(&haystack[at.saturating_sub(300)..(at + 200).min(haystack.len())]).into_owned()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// A ledger with everything in it, and what it has of secrets.
struct World {
    ledger: Ledger,
    temporary: tempfile::TempDir,
    keys: Vec<Canary>,
    values: Vec<Canary>,
    /// What every process said, with its command line.
    said: Vec<(String, Vec<u8>)>,
}

impl World {
    fn new() -> World {
        let ledger = Ledger::new();
        let event = format!(
            r#"{{"actor":{{"user_id":"{VALUE}"}},"resource":{{"id":"{VALUE}"}},"action":"read","{VALUE}":["{VALUE}"]}}"#
        );
        std::fs::write(ledger.path("e.ndjson"), event).unwrap();
        ledger.ok(&["keygen", "officer", "test.example/dpo", "--file", "dpo"]);
        ledger.ok(&["keygen", "writer", "test.example/ehr", "--file", "ehr"]);
        ledger.ok(&["officer", "add", "keys/dpo.vkey"]);
        ledger.ok(&["writer", "add", "keys/ehr.vkey"]);
        let alice = std::fs::read_to_string(ledger.path("keys/alice.recipient")).unwrap();
        let settings = format!(
            "ledger = \"{LEDGER}\"\nledger_key = \"keys/ledger.vkey\"\nkey = \"keys/ehr.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"{}\"\n",
            alice.trim()
        );
        std::fs::write(ledger.path("writer.toml"), settings).unwrap();
        let values = vec![Canary::text("an event's value", VALUE)];
        let temporary = tempfile::tempdir().unwrap();
        let mut world = World { ledger, temporary, keys: Vec::new(), values, said: Vec::new() };
        world.collect();
        world
    }

    /// Takes what the key files hold now as canaries.
    fn collect(&mut self) {
        self.keys = vec![Canary::text("a passphrase", PASSPHRASE)];
        for path in files_below(&self.ledger.path("keys")) {
            let name = path.to_string_lossy().into_owned();
            if [".key", ".identity", ".search", ".token"].iter().any(|end| name.ends_with(end)) {
                self.keys.extend(of_file(&path));
            }
        }
        assert!(self.keys.len() >= 10, "{}", self.keys.len());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).current_dir(self.ledger.dir.path());
        command.env("RUST_BACKTRACE", "full").env("TMPDIR", self.temporary.path());
        command
    }

    /// Runs a command; what it says is looked through for keys at once and for values at the end.
    fn run(&mut self, args: &[&str], server: Option<&str>) -> Output {
        let mut command = self.command(args);
        if let Some(url) = server {
            command.env("SEALTRAIL_SERVER", url).env("SEALTRAIL_KEY", self.ledger.path("keys/ledger.vkey"));
            command.env("SEALTRAIL_IDENTITY", self.ledger.path("keys/alice.identity"));
        }
        let out = command.output().unwrap();
        let text = [&out.stdout[..], &out.stderr].concat();
        look(&self.keys, &format!("what {args:?} printed"), &text);
        self.said.push((args.join(" "), text));
        out
    }

    fn ok(&mut self, args: &str, server: &str) {
        let out = self.run(&args.split_whitespace().collect::<Vec<_>>(), Some(server));
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn fails(&mut self, args: &str, server: &str) {
        let out = self.run(&args.split_whitespace().collect::<Vec<_>>(), Some(server));
        assert!(!out.status.success(), "{args}");
    }

    /// Files that are not the secrets themselves.
    fn look_at_files(&self) {
        let mut seen = 0;
        for path in files_below(self.ledger.dir.path()).into_iter().chain(files_below(self.temporary.path()))
        {
            let name = path.to_string_lossy().into_owned();
            if [".key", ".identity", ".search", ".token", ".passphrase"].iter().any(|end| name.ends_with(end))
            {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            look(&self.keys, &name, &bytes);
            // Made to be read: the events themselves, and what an auditor asked for.
            if !name.ends_with("e.ndjson") && !name.contains("/shown.") {
                look(&self.values, &name, &bytes);
            }
            seen += 1;
        }
        assert!(seen >= 12, "{seen}");
    }
}

fn proc_file(child: &Child, name: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/{name}", child.id())).unwrap_or_default()
}

/// Sends these bytes as they are; gives the answer.
fn raw(server: &Server, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.write_all(request).unwrap();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn no_command_and_no_file_tells_a_secret() {
    let mut w = World::new();
    // The positive control: what is there is found.
    let key = std::fs::read(w.ledger.path("keys/admin.key")).unwrap();
    assert!(std::panic::catch_unwind(|| look(&w.keys, "the key file", &key)).is_err());
    let identity = std::fs::read(w.ledger.path("keys/alice.identity")).unwrap();
    assert!(std::panic::catch_unwind(|| look(&w.keys, "the identity file", &identity)).is_err());
    let mut server = Server::start(&mut w.command(&["serve", "--listen", "127.0.0.1:0"]));
    let url = server.url.clone();
    for args in [
        "log e.ndjson",
        "log e.ndjson --seal writer.toml",
        "prove 0 --out p.json",
        "verify p.json",
        "audit verify --checkpoint seen",
        "audit sync --persist",
        "audit export --records 0 --hashes-only --out e.json",
        "audit watch --once",
        "reader list",
        "hold place h --records 1 --reason r --signer keys/admin.key",
        "hold release h --reason r --signer keys/dpo.key",
        "erase --records 1 --reason r --legal-basis b --officer keys/dpo.key",
        "rotate admin",
        "rotate writer writer.toml",
    ] {
        w.ok(args, &url);
    }
    w.collect();
    // What shows events on purpose; of keys it tells nothing either.
    for args in
        ["audit open 0 --offline", "audit search --action read --offline", "audit sql --offline VALUES(1)"]
    {
        let out = w.run(&args.split_whitespace().collect::<Vec<_>>(), Some(&url));
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
        w.said.pop();
    }
    for args in [
        "audit open 99",
        "audit search --patient x --server http://127.0.0.1:1 --remote --admin keys/admin.vkey",
        "reader add alice keys/alice.recipient",
        "writer remove nobody",
        "erase --records 0 --reason r --legal-basis b --officer keys/admin.key",
        "verify e.ndjson",
        "log e.ndjson --seal sealtrail.toml",
        "log writer.toml",
        "rotate ledger",
        "rotate gateway",
    ] {
        w.fails(args, &url);
    }
    broken_requests(&w, &server);
    // A disk that is full where the answer should go: Rust panics, and says so.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = w.command(&["keygen", "reader", "full"]).stdout(full).output().unwrap();
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("panicked"),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    w.collect();
    look(&w.keys, "a panic", &out.stderr);
    // The process listing, and the server's messages.
    for name in ["cmdline", "environ"] {
        look(&w.keys, name, &proc_file(&server.child, name));
    }
    w.look_at_files();
    let mut messages = server.child.stderr.take().unwrap();
    drop(server);
    let mut text = Vec::new();
    messages.read_to_end(&mut text).unwrap();
    look(&w.keys, "the server's messages", &text);
    look(&w.values, "the server's messages", &text);
    for (args, text) in &w.said {
        look(&w.values, args, text);
    }
    w.look_at_files();
}

/// Requests that are refused in every way: what is answered repeats nothing of them.
fn broken_requests(w: &World, server: &Server) {
    let token = w.ledger.token();
    let host = "Host: x\r\nConnection: close\r\n";
    let event = std::fs::read_to_string(w.ledger.path("e.ndjson")).unwrap();
    let head = |path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\r\n{host}{more}Content-Length: {}\r\n\r\n{event}", event.len())
    };
    let requests = [
        head("/v1/events", "Authorization: Bearer wrong\r\n"),
        head("/v1/events", &format!("Authorization: Basic {token}\r\n")),
        head("/v1/events", &format!("Authorization: Bearer {token}x\r\n")),
        head("/v1/events", &format!("Authorization: Bearer {token}\r\nContent-Type: text/xml\r\n")),
        head("/v1/events", &format!("Authorization: Bearer {token}\r\n")).replace("{\"actor\"", "[\"actor\""),
        head("/v1/statements", ""),
        head("/v1/batches", ""),
        head("/v1/sessions", ""),
        head("/v1/search", &format!("Authorization: Bearer {token}\r\n")),
        head(&format!("/v1/{}", "planted".repeat(9000)), &format!("Authorization: Bearer {token}\r\n")),
        format!("GET /v1/proofs/{token} HTTP/1.1\r\n{host}\r\n"),
        format!("GET /v1/records/0 HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\n\r\n"),
        format!("{event}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nAuthorization: Bearer {token}\r\n bad header {event}\r\n\r\n"),
    ];
    for request in &requests {
        let answer = raw(server, request.as_bytes());
        let place = format!("the answer to {:?}", &request[..request.len().min(60)]);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{place}");
        // A path that names a token is repeated by nobody either.
        look(&w.keys, &place, &answer);
        look(&w.values, &place, &answer);
    }
}

/// Key files that are damaged, exchanged, or given where something else belongs.
#[test]
fn no_message_about_a_bad_key_tells_the_key() {
    let mut w = World::new();
    let server = w.ledger.serve();
    w.ok("log e.ndjson", &server.url);
    w.ok("log e.ndjson --seal writer.toml", &server.url);
    w.collect();
    let url = server.url.clone();
    let readers = BTreeMap::from([
        ("admin.key", "hold place h --records 0 --reason r --signer keys/admin.key"),
        ("dpo.key", "erase --records 0 --reason r --legal-basis b --officer keys/dpo.key"),
        ("ehr.key", "log e.ndjson --seal writer.toml"),
        ("alice.identity", "audit open 0"),
        ("ingest.token", "log e.ndjson"),
        ("ehr.search", "log e.ndjson --seal writer.toml"),
    ]);
    let good: BTreeMap<&str, Vec<u8>> = readers
        .keys()
        .map(|name| (*name, std::fs::read(w.ledger.path("keys").join(name)).unwrap()))
        .collect();
    for (name, args) in &readers {
        let path = w.ledger.path("keys").join(name);
        let text = &good[name];
        let other = &good[if name.ends_with(".key") { "alice.identity" } else { "admin.key" }];
        let mut flipped = text.clone();
        let at = flipped.len() - 12;
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        let damaged = [
            text[..text.len() - 9].to_vec(),
            flipped,
            [text.as_slice(), b"more"].concat(),
            [text.as_slice(), &text[..]].concat(),
            [text.as_slice(), &[0xff]].concat(),
            text.iter().map(u8::to_ascii_lowercase).collect(),
            text.to_ascii_uppercase(),
            [b"x".as_slice(), text].concat(),
            other.clone(),
        ];
        for bytes in damaged {
            std::fs::write(&path, bytes).unwrap();
            w.run(&args.split_whitespace().collect::<Vec<_>>(), Some(&url));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        w.fails(args, &url);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    // A secret key where a file or a public key belongs.
    let line = |name: &str| {
        let text = String::from_utf8(good[name].clone()).unwrap();
        text.lines().find(|l| !l.starts_with('#')).unwrap().to_owned()
    };
    let (signer, identity) = (line("admin.key"), line("alice.identity"));
    for key in [&signer, &identity, &identity.to_lowercase()] {
        for args in [
            vec!["audit", "verify", "--key", key],
            vec!["audit", "open", "0", "--identity", key],
            vec!["reader", "add", "eve", key],
            vec!["reader", "remove", key],
            vec!["writer", "add", key],
            vec!["writer", "replace", key],
            vec!["officer", "add", key],
            vec!["hold", "place", "h", "--records", "0", "--reason", "r", "--signer", key],
            vec!["erase", "--records", "0", "--reason", "r", "--legal-basis", "b", "--officer", key],
            vec!["log", "e.ndjson", "--seal", key],
            vec!["log", "e.ndjson", "--token", key],
            vec!["audit", "grant", "--to", key, "--records", "0", "--out", "g"],
            vec!["keygen", key, "x"],
            vec!["keygen", "reader", "x", "--file", "../y", "--out", key],
            vec!["init", "a.example/b", "--reader", key, "--settings", "other.toml"],
            vec!["passphrase", key],
            vec!["verify", "e.ndjson", "--key", key, "--signer", key],
            vec!["--passphrase-file", key, "nonsense"],
            vec![key],
        ] {
            let out = w.run(&args, Some(&url));
            assert!(!out.status.success(), "{args:?}");
        }
    }
    // Settings with a key in the wrong place.
    let settings = std::fs::read_to_string(w.ledger.path("writer.toml")).unwrap();
    for (from, to) in
        [("keys/ledger.vkey", &signer), ("keys/ehr.key", &signer), ("age1", &identity), ("alice", &identity)]
    {
        std::fs::write(w.ledger.path("writer.toml"), settings.replacen(from, to, 1)).unwrap();
        w.run(&["log", "e.ndjson", "--seal", "writer.toml"], Some(&url));
    }
    std::fs::write(w.ledger.path("writer.toml"), &settings).unwrap();
    // Protected ones, with passphrases that do not fit.
    let file = w.ledger.path("keys/dpo.key");
    let mut recipient = scrypt::Recipient::new(PASSPHRASE.into());
    recipient.set_work_factor(2);
    let protected = age::encrypt_and_armor(&recipient, &good["dpo.key"]).unwrap();
    let pass = w.ledger.path("p.passphrase");
    std::fs::write(&pass, format!("{PASSPHRASE}-and-more\n")).unwrap();
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
    for bytes in [
        &protected[..],
        &protected[..protected.len() - 60],
        &protected.replace("A", "B"),
        &format!("{protected}x"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        w.fails("erase --records 0 --reason r --legal-basis b --officer keys/dpo.key --passphrase-file p.passphrase", &url);
        w.fails("passphrase keys/dpo.key --remove --passphrase-file p.passphrase", &url);
    }
    w.look_at_files();
}

/// Server and commands leave no core dump, whatever the limits of who starts them, and are nobody's to look into.
#[test]
fn a_process_that_dies_leaves_no_memory_behind() {
    let w = World::new();
    let start = |program: &str, args: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", program]).args(args);
        shell.current_dir(w.ledger.dir.path());
        shell
    };
    let mut control = start("sleep", &["60"]).spawn().unwrap();
    let mut server =
        Server::start(&mut start(env!("CARGO_BIN_EXE_sealtrail"), &["serve", "--listen", "127.0.0.1:0"]));
    let limits = String::from_utf8(proc_file(&server.child, "limits")).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
    let abort = |child: &mut Child| {
        Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap()
    };
    let (control, server) = (abort(&mut control), abort(&mut server.child));
    assert_eq!(server.signal(), control.signal());
    assert!(!server.core_dumped());
    if !control.core_dumped() {
        loud("that a core dump would have been written without it: this system writes none");
    }
    let dumps = files_below(w.ledger.dir.path());
    let own = dumps.iter().filter(|p| p.metadata().unwrap().len() > 1 << 22).count();
    assert!(own <= usize::from(control.core_dumped()), "{dumps:?}");
}

/// A process that is not dumpable belongs to root, whoever runs it: no debugger of the same user gets at its memory.
#[test]
fn a_process_cannot_be_looked_into_by_its_own_user() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("sealtrail");
    std::fs::copy(env!("CARGO_BIN_EXE_sealtrail"), &binary).unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "x\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    const NOBODY: u32 = 65534;
    if std::os::unix::fs::chown(&token, Some(NOBODY), None).is_err() {
        loud("that the process is not dumpable: only root can start one as somebody else");
        return;
    }
    let owner = |mut command: Command| {
        let mut child = command
            .uid(NOBODY)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        let owner = std::fs::metadata(format!("/proc/{}/environ", child.id())).unwrap().uid();
        child.kill().unwrap();
        child.wait().unwrap();
        owner
    };
    let mut control = Command::new("sleep");
    control.arg("60");
    assert_eq!(owner(control), NOBODY);
    let mut waiting = Command::new(&binary);
    waiting.args(["log", "-", "--token", "token"]).current_dir(dir.path());
    assert_eq!(owner(waiting), 0);
}

fn loud(what: &str) {
    let required = std::env::var("SEALTRAIL_REQUIRE_ALL").is_ok_and(|v| v == "1");
    assert!(!required || !what.contains("root"), "not tested: {what}");
    std::io::stderr().write_all(format!("\n!!! NOT TESTED: {what}\n").as_bytes()).unwrap();
}

/// The memory of a running server: the keys it works with are there, and what it needed only to open them is not.
#[test]
fn a_running_server_has_forgotten_what_it_needs_no_more() {
    let w = World::new();
    let canaries: Vec<Canary> = of_file(&w.ledger.path("keys/admin.key"));
    let in_use: Vec<Canary> = of_file(&w.ledger.path("keys/ledger.key"));
    let texts: Vec<Canary> = ["ledger.key", "gateway.key"]
        .iter()
        .map(|name| {
            let text = std::fs::read_to_string(w.ledger.path("keys").join(name)).unwrap();
            Canary { what: format!("the text of {name}"), forms: vec![text.trim().as_bytes()[40..].to_vec()] }
        })
        .collect();
    let pass = w.ledger.path("p.passphrase");
    std::fs::write(&pass, format!("{PASSPHRASE}\n")).unwrap();
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
    let args = ["passphrase", "keys/ledger.key", "keys/gateway.key", "--new-passphrase-file", "p.passphrase"];
    w.ledger.ok(&args);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--passphrase-file", "p.passphrase"];
    let server = Server::start(&mut w.command(&serve));
    w.ledger.ok(&["log", "e.ndjson", "--server", &server.url]);
    let Some(memory) = memory_of(&server.child) else {
        loud("the memory of a running server: only root may read it");
        return;
    };
    let found = |c: &Canary| c.forms.iter().any(|form| memmem::find(&memory, form).is_some());
    assert!(in_use.iter().any(found), "the control: a key in use is found");
    look(&[Canary::text("the passphrase", PASSPHRASE)], "the server's memory", &memory);
    look(&canaries, "the server's memory", &memory);
    look(&texts, "the server's memory", &memory);
}

/// Everything that can be written to in a process's memory; `None` if it may not be read.
fn memory_of(child: &Child) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).ok()?;
    let mut memory = std::fs::File::open(format!("/proc/{}/mem", child.id())).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|l| l.split_whitespace().nth(1).is_some_and(|p| p.starts_with("rw"))) {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        if to - from > 1 << 30 || memory.seek(std::io::SeekFrom::Start(from)).is_err() {
            continue;
        }
        let _ = (&mut memory).take(to - from).read_to_end(&mut all);
        all.push(b'\n');
    }
    Some(all)
}
