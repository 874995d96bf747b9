//! The victims: everyone who looks at what an attacker made, with the real program. What each says is the matrix.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use sealtrail::ledger::Ledger;
use sealtrail::store::SqliteStore;

use crate::evil::Evil;
use crate::forge::Forged;
use crate::support::{copy_folder, program};
use crate::world::{ORIGIN, options, take_copy, world};

/// Runs the program in `dir`.
pub fn run(dir: &Path, args: &[&str]) -> Output {
    program().args(args).current_dir(dir).output().unwrap()
}

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    /// The honest operator's next start, with the last-signed file.
    Start,
    /// The same after the last-signed file was lost or deleted too.
    StartUnguarded,
    /// `audit verify --file`, with the ledger's key alone.
    File,
    /// The same by an auditor who has the admin's key.
    Admin,
    /// The same by an auditor who remembers a checkpoint of the honest ledger.
    Seen,
    /// `audit verify` over HTTP by somebody without an account.
    Stranger,
    /// `audit verify` over HTTP by a reader.
    Reader,
    /// A first `audit sync`, with the admin's key.
    Sync,
    /// `audit sync` into a vault that holds the honest ledger.
    Resync,
    /// `audit open` of this record from the server.
    Open(u64),
    /// The same by this reader.
    OpenAs(u64, &'static str),
    /// By alice, with the key of its writer.
    OpenBy(u64, &'static str),
    /// `verify` of the proof that the server gives for this record.
    Proof(u64),
    /// The same with the key of its writer.
    ProofBy(u64, &'static str),
}

/// Those without a server.
pub const FILES: &[Victim] =
    &[Victim::Start, Victim::File, Victim::Admin, Victim::Seen, Victim::Sync, Victim::Resync];

/// What came out.
struct Verdict {
    code: i32,
    words: String,
}

impl Verdict {
    fn of(out: &Output) -> Verdict {
        let code = out.status.code().unwrap_or(-1);
        let (said, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(!told.contains("panicked"), "{told}");
        if code != 0 {
            let last = told.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
            return Verdict { code, words: plain(last) };
        }
        // What an attentive reader sees although the command succeeds.
        let telling = ["NOTE", "was erased by order", "as the ledger says"];
        let notes = said.lines().chain(told.lines()).filter(|l| telling.iter().any(|t| l.contains(t)));
        let notes: Vec<String> =
            notes.filter(|l| !l.contains("who may write")).map(|l| plain(l.trim())).collect();
        // One line in all.
        let most = 96 / notes.len().max(1);
        let notes = notes.iter().map(|n| n.chars().take(most).collect::<String>().trim_end().to_owned());
        Verdict { code, words: notes.collect::<Vec<_>>().join(" | ") }
    }
}

fn line(name: &str, verdict: &Verdict) -> String {
    match (verdict.code, verdict.words.as_str()) {
        (0, "") => format!("{name} holds\n"),
        (0, notes) => format!("{name} holds, {notes}\n"),
        (code, words) => format!("{name} {code}: {words}\n"),
    }
}

/// Without what changes from run to run: keys, hashes, times, folders; and cut where it gets long.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("sealtrail: ").unwrap_or(text);
    // Columns depend on lengths.
    let text = text.split(" at line ").next().unwrap_or_default();
    let word = |w: &str| {
        let bare = w.trim_matches(|c: char| ".,:;()\"".contains(c));
        let date = bare.len() == 10 && bare.matches('-').count() == 2 && bare.starts_with("20");
        let hour = bare.len() == 8 && bare.matches(':').count() == 2;
        let random = date
            || hour
            || bare.len() >= 40 && !bare.contains("://")
            || bare.starts_with("age1")
            || bare.contains("/tmp/")
            || bare.contains("127.0.0.1")
            || (bare.len() == 24 && bare.ends_with('Z') && bare.starts_with(|c: char| c.is_ascii_digit()));
        if random { w.replace(bare, "…") } else { w.to_owned() }
    };
    let words = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
    let cut: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(96).collect();
    if cut.chars().count() == 96 { format!("{}…", cut.trim_end()) } else { words }
}

/// What an attacker left behind: a folder with the database and the auditor's own files.
pub struct Scene {
    dir: tempfile::TempDir,
    evil: Option<Evil>,
}

impl Scene {
    /// The auditor's own files, and the operator's last-signed file.
    pub fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let names = ["ledger.vkey", "admin.vkey", "ehr.vkey", "lab.vkey", "seen.note"];
        let names = names.into_iter().chain(["alice.identity", "bob.identity", "carol.identity"]);
        for name in names.chain(["ledger.db.last-signed"]) {
            std::fs::copy(world().path(name), dir.path().join(name)).unwrap();
        }
        Scene { dir, evil: None }
    }

    /// The honest database, changed in place by SQL with its triggers dropped, as a database shell would.
    pub fn edited(edit: impl FnOnce(&rusqlite::Connection)) -> Scene {
        let scene = Scene::new();
        take_copy(&world().path("ledger.db"), &scene.database());
        with_triggers_off(&scene.database(), edit);
        scene
    }

    /// A database with this content, everything derived made anew.
    pub fn of(forged: &Forged) -> Scene {
        let scene = Scene::new();
        forged.write(&scene.database());
        Scene { evil: Some(Evil::serve(forged.clone())), ..scene }
    }

    /// Only served: no database would take it.
    pub fn served(forged: &Forged) -> Scene {
        Scene::new().served_by(Evil::serve(forged.clone()))
    }

    pub fn url(&self) -> &str {
        self.evil.as_ref().map_or("http://127.0.0.1:9", |e| e.url.as_str())
    }

    /// Serves this, whatever lies in the database.
    pub fn served_by(mut self, evil: Evil) -> Scene {
        self.evil = Some(evil);
        self
    }

    pub fn database(&self) -> PathBuf {
        self.path("ledger.db")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Output {
        run(self.dir.path(), args)
    }

    /// What `verify` says of a file with this content: one line.
    pub fn verify(&self, content: &str, more: &[&str]) -> String {
        std::fs::write(self.path("brought.json"), content).unwrap();
        let out = self.run(&[&["verify", "brought.json", "--key", "ledger.vkey"], more].concat());
        line("verify", &Verdict::of(&out))
    }

    /// What each of these says: one line each.
    pub fn judge(&self, victims: &[Victim]) -> String {
        let mut out = String::new();
        for victim in victims {
            out += &line(&format!("{victim:?}"), &self.ask(*victim));
        }
        out
    }

    fn ask(&self, victim: Victim) -> Verdict {
        let url = self.url();
        let verify = ["audit", "verify", "--key", "ledger.vkey"];
        let file = ["--file", "ledger.db"];
        let reader = ["--identity", "alice.identity", "--server", url];
        let go = |parts: &[&[&str]]| Verdict::of(&self.run(&parts.concat()));
        match victim {
            Victim::Start => self.start(true),
            Victim::StartUnguarded => self.start(false),
            // A copy without the operator's last-signed file.
            Victim::File => {
                take_copy(&self.database(), &self.path("copy.db"));
                go(&[&verify, &["--file", "copy.db"]])
            }
            Victim::Admin => {
                take_copy(&self.database(), &self.path("copy.db"));
                go(&[&verify, &["--file", "copy.db", "--admin", "admin.vkey"]])
            }
            Victim::Seen => {
                take_copy(&self.database(), &self.path("copy.db"));
                std::fs::copy(self.path("seen.note"), self.path("mine.note")).unwrap();
                go(&[&verify, &["--file", "copy.db", "--checkpoint", "mine.note"]])
            }
            Victim::Stranger => go(&[&verify, &["--server", url]]),
            Victim::Reader => go(&[&verify, &reader]),
            Victim::Sync => {
                let _ = std::fs::remove_dir_all(self.path("first"));
                let vault = [
                    "--vault",
                    "first",
                    "--key",
                    "ledger.vkey",
                    "--admin",
                    "admin.vkey",
                    "--identity",
                    "alice.identity",
                ];
                go(&[&["audit", "sync"], &file, &vault])
            }
            Victim::Resync => {
                let _ = std::fs::remove_dir_all(self.path("vault"));
                copy_folder(&world().path("vault"), &self.path("vault"));
                go(&[&["audit", "sync"], &file, &["--vault", "vault"]])
            }
            Victim::Open(record) => {
                go(&[&["audit", "open", &record.to_string(), "--remote", "--key", "ledger.vkey"], &reader])
            }
            Victim::OpenAs(record, who) => {
                let identity = format!("{who}.identity");
                let open = ["audit", "open", &record.to_string(), "--remote", "--key", "ledger.vkey"];
                go(&[&open, &["--identity", &identity, "--server", url]])
            }
            Victim::OpenBy(record, writer) => {
                let by = format!("{writer}.vkey");
                let open = ["audit", "open", &record.to_string(), "--remote", "--key", "ledger.vkey"];
                go(&[&open, &["--writer", &by], &reader])
            }
            Victim::Proof(record) => self.proof(url, record, None),
            Victim::ProofBy(record, writer) => self.proof(url, record, Some(writer)),
        }
    }

    fn proof(&self, url: &str, record: u64, writer: Option<&str>) -> Verdict {
        let number = record.to_string();
        let got = self.run(&["prove", &number, "--out", "given.json", "--server", url]);
        if !got.status.success() {
            return Verdict::of(&got);
        }
        let by = writer.map(|w| format!("{w}.vkey"));
        let mut args = vec!["verify", "given.json", "--key", "ledger.vkey"];
        if let Some(by) = &by {
            args.extend(["--writer", by]);
        }
        Verdict::of(&self.run(&args))
    }

    /// What `serve` does first: it opens the ledger.
    fn start(&self, guarded: bool) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        take_copy(&self.database(), &dir.path().join("ledger.db"));
        if guarded {
            let guard = "ledger.db.last-signed";
            std::fs::copy(self.path(guard), dir.path().join(guard)).unwrap();
        }
        let opened = SqliteStore::open(&dir.path().join("ledger.db"), ORIGIN, false)
            .map_err(sealtrail::cli::Failure::from)
            .and_then(|store| {
                Ok(Ledger::open(Arc::new(store), options(&world().keys.ledger, dir.path())).map(drop)?)
            });
        match opened {
            Ok(()) => Verdict { code: 0, words: String::new() },
            Err(e) => Verdict { code: e.code().into(), words: plain(e.message()) },
        }
    }
}

/// The schema's triggers stop mistakes, not people: they are dropped, and put back so that nothing shows.
pub fn with_triggers_off(database: &Path, edit: impl FnOnce(&rusqlite::Connection)) {
    let conn = rusqlite::Connection::open(database).unwrap();
    let triggers: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!triggers.is_empty());
    triggers.iter().for_each(|(name, _)| conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    edit(&conn);
    triggers.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
}

/// The matrix's lines for one move must be exactly these.
#[track_caller]
pub fn expect(found: &str, wanted: &str) {
    let wanted: String =
        wanted.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert!(found == wanted, "the matrix has changed.\n--- found\n{found}--- wanted\n{wanted}");
}
