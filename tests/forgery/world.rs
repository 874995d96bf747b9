//! A small honest ledger on the disk, and the keys and files of everyone in it. Attackers take from it what their role has.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::grant::GrantBuilder;
use sealtrail::base::hash::Hash;
use sealtrail::base::random;
use sealtrail::base::secret::Secret;
use sealtrail::chain::authority::{ErasureStatement, GrantStatement, HoldAction, HoldStatement, RecordRange};
use sealtrail::chain::grant::slots_hash;
use sealtrail::chain::key::{SigningKey, VerifierKey};
use sealtrail::chain::note::Note;
use sealtrail::chain::replay::Head;
use sealtrail::chain::roster::{Roster, RosterReader};
use sealtrail::chain::statement::Statement;
use sealtrail::config::keyfile::{create_public, create_secret};
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{Policy, ReaderChoice, SectionPolicy};
use sealtrail::ledger::{Ledger, Options, Submission};
use sealtrail::seal::grant::{GrantTerms, rewrap};
use sealtrail::seal::open::Opener;
use sealtrail::seal::reader_key::Identity;
use sealtrail::seal::tag::SearchSecret;
use sealtrail::store::{SqliteStore, Store};
use sealtrail::writer::{Purpose, Writer, WriterOptions};

pub const ORIGIN: &str = "test.example/audit";
pub const EHR: &str = "test.example/writers/ehr";
pub const LAB: &str = "test.example/writers/lab";
pub const ADMIN: &str = "test.example/admin";
pub const OFFICERS: [&str; 2] = ["test.example/officers/ciso", "test.example/officers/dpo"];

/// Height of the newest block in the auditor's old copy and in the backup, and so its number of blocks less one.
pub const BACKUP: u64 = 7;

/// A new signing key.
pub fn signer(name: &str) -> SigningKey {
    SigningKey::generate(name, &mut random::csprng().unwrap()).unwrap()
}

/// A new reader.
pub fn identity() -> Identity {
    Identity::generate(&mut random::csprng().unwrap())
}

pub fn copy(key: &SigningKey) -> SigningKey {
    SigningKey::parse(&key.to_text()).unwrap()
}

pub fn on_roster(name: &str, who: &Identity) -> RosterReader {
    RosterReader { name: name.into(), recipient: who.recipient().to_string(), required: false }
}

/// A writer's search secret, the same in every month.
pub fn search(month: &str) -> Result<(String, SearchSecret), String> {
    Ok((month.to_owned(), SearchSecret::from_secret(Secret::fill(|b: &mut [u8; 32]| b.fill(9)))))
}

/// A section that only alice reads.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.sections.push(SectionPolicy {
        name: "patient".into(),
        readers: ReaderChoice::Named(vec!["alice".into()]),
        pointers: vec![Pattern::parse("/resource/id").unwrap()],
    });
    policy
}

pub fn writer(key: SigningKey, policy: Policy, head: Head) -> Writer {
    let options =
        WriterOptions { key, ledger: ORIGIN.into(), policy, retain_years: 6, search: Box::new(search) };
    Writer::new(options, head).unwrap()
}

/// What the application logged as record `n`.
pub fn event(n: u64) -> String {
    format!(
        r#"{{"actor":{{"user_id":"dr-{}"}},"action":"read","resource":{{"id":"PAT-{n}"}},"n":{n}}}"#,
        n % 2
    )
}

/// Everyone's keys.
pub struct Keys {
    pub ledger: SigningKey,
    pub admin: SigningKey,
    pub ehr: SigningKey,
    pub lab: SigningKey,
    pub officers: [SigningKey; 2],
    pub alice: Identity,
    pub bob: Identity,
    pub carol: Identity,
}

/// The honest ledger, and what was kept of it at an earlier time.
pub struct World {
    pub keys: Keys,
    /// `ledger.db` with its last-signed file, the auditor's keys, `seen.note` and `vault`.
    pub dir: tempfile::TempDir,
    /// The database after block [`BACKUP`].
    pub backup: PathBuf,
    /// The last roster.
    pub roster: Roster,
}

/// Made once: nobody changes it.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::build)
}

struct Building {
    keys: Keys,
    ledger: Ledger,
    store: Arc<SqliteStore>,
    readers: Vec<RosterReader>,
    ehr: Writer,
    lab: Writer,
}

impl Building {
    fn submit(&self, note: Note) {
        self.ledger.submit(Submission::statement(note)).unwrap().wait().unwrap();
    }
    fn place(&self) -> Head {
        self.ledger.view().state.authority()
    }
    fn log(&mut self, lab: bool, events: std::ops::Range<u64>) {
        let writer = if lab { &mut self.lab } else { &mut self.ehr };
        let events: Vec<String> = events.map(event).collect();
        let sealed = writer.seal_events(Purpose::Events, &self.readers, &events, Timestamp::now()).unwrap();
        self.ledger.submit(Submission::hashed(sealed.note, sealed.body)).unwrap().wait().unwrap();
    }
    /// What alice reads of records 0 to 4, for carol.
    fn grant(&self) {
        let (alice, carol) = (&self.keys.alice, self.keys.carol.recipient());
        let mut builder = GrantBuilder::default();
        let terms =
            GrantTerms { from: alice.recipient(), to: carol, first_record: 0, sections: None, search: true };
        for height in [1, 2] {
            let body = self.store.body(height).unwrap().unwrap();
            let body = Body::decode(&body).unwrap();
            let header = Header::decode(body.header).unwrap();
            let opener = Opener::new(alice, &header).unwrap();
            let records: Vec<&[u8]> = body.records().collect();
            let mut rng = random::csprng().unwrap();
            let made =
                rewrap(Some(&opener), &header, &terms, (height, 0), records.into_iter(), &mut rng).unwrap();
            builder.push(&made.head, &made.entries);
        }
        let body = builder.finish();
        let place = self.place();
        let statement = GrantStatement {
            ledger: ORIGIN.into(),
            sequence: place.next_sequence,
            previous: place.previous,
            issued: Timestamp::now(),
            range: RecordRange { first: 0, last: 4 },
            from: alice.recipient().to_string(),
            to_name: "carol".into(),
            to: carol.to_string(),
            slots_hash: slots_hash(&body).unwrap(),
        };
        let note = Statement::Grant(statement).sign(&self.keys.admin).unwrap();
        self.ledger.submit_grant(note, body).unwrap().wait().unwrap();
    }
}

/// An order for these records, signed by `officers`.
pub fn erasure(place: Head, records: RecordRange, reason: &str, officers: &[&SigningKey]) -> Note {
    let statement = Statement::Erasure(ErasureStatement {
        ledger: ORIGIN.into(),
        sequence: place.next_sequence,
        previous: place.previous,
        issued: Timestamp::now(),
        records: vec![records],
        reason: reason.into(),
        legal_basis: "Art. 17(1) GDPR".into(),
    });
    let mut note = statement.sign(officers[0]).unwrap();
    officers[1..].iter().for_each(|o| note.add_signature(o));
    note
}

pub fn hold(place: Head, name: &str, records: RecordRange) -> Statement {
    Statement::Hold(HoldStatement {
        ledger: ORIGIN.into(),
        sequence: place.next_sequence,
        previous: place.previous,
        issued: Timestamp::now(),
        hold: name.into(),
        action: HoldAction::Place(vec![records]),
        reason: "litigation".into(),
    })
}

/// A first roster by these.
pub fn first_roster(
    ledger: VerifierKey,
    admins: &[VerifierKey],
    writers: &[VerifierKey],
    readers: Vec<RosterReader>,
    officers: &[VerifierKey],
) -> Roster {
    let mut roster = Roster {
        ledger: ORIGIN.into(),
        sequence: 0,
        previous: Hash::ZERO,
        issued: Timestamp::now(),
        ledger_key: ledger,
        admins: admins.to_vec(),
        writers: writers.to_vec(),
        readers,
        officers_required: officers.len() as u64,
        officers: officers.to_vec(),
        witnesses: Vec::new(),
    };
    roster.sort();
    roster
}

impl World {
    fn build() -> World {
        let keys = Keys {
            ledger: signer(ORIGIN),
            admin: signer(ADMIN),
            ehr: signer(EHR),
            lab: signer(LAB),
            officers: OFFICERS.map(signer),
            alice: identity(),
            bob: identity(),
            carol: identity(),
        };
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, key) in
            [("ledger", &keys.ledger), ("admin", &keys.admin), ("ehr", &keys.ehr), ("lab", &keys.lab)]
        {
            create_public(&at(&format!("{name}.vkey")), &key.verifier().to_string()).unwrap();
        }
        for (name, who) in [("alice", &keys.alice), ("bob", &keys.bob), ("carol", &keys.carol)] {
            create_secret(&at(&format!("{name}.identity")), &who.to_text()).unwrap();
        }

        let mut readers = vec![on_roster("alice", &keys.alice), on_roster("bob", &keys.bob)];
        let officers = [keys.officers[0].verifier(), keys.officers[1].verifier()];
        let writers = [keys.ehr.verifier(), keys.lab.verifier()];
        let admin = [keys.admin.verifier()];
        let mut roster = first_roster(keys.ledger.verifier(), &admin, &writers, readers.clone(), &officers);
        let note = Statement::Roster(roster.clone()).sign(&keys.admin).unwrap();
        let store = Arc::new(SqliteStore::open(&at("ledger.db"), ORIGIN, true).unwrap());
        let ledger = Ledger::create(store.clone(), options(&keys.ledger, dir.path()), note).unwrap();
        let mut w = Building {
            ehr: writer(copy(&keys.ehr), policy(), Head::default()),
            lab: writer(copy(&keys.lab), Policy::default(), Head::default()),
            readers: readers.clone(),
            keys,
            ledger,
            store,
        };
        // Block 0 is the roster.
        w.log(false, 0..3);
        w.log(true, 3..5);
        w.log(false, 5..7);
        readers.push(on_roster("carol", &w.keys.carol));
        let place = w.place();
        roster = Roster {
            sequence: place.next_sequence,
            previous: place.previous,
            issued: Timestamp::now(),
            readers,
            ..roster
        };
        roster.sort();
        w.submit(Statement::Roster(roster.clone()).sign(&w.keys.admin).unwrap());
        w.grant();
        let beat = w.lab.heartbeat(Timestamp::now()).unwrap();
        w.submit(beat);
        w.log(true, 7..8);
        // The backup, after block 7.
        let backup = at("backup.db");
        drop(w.ledger);
        drop(w.store);
        take_copy(&at("ledger.db"), &backup);
        std::fs::copy(at("ledger.db.last-signed"), at("backup.last-signed")).unwrap();
        let store = Arc::new(SqliteStore::open(&at("ledger.db"), ORIGIN, false).unwrap());
        let ledger = Ledger::open(store.clone(), options(&w.keys.ledger, dir.path())).unwrap();
        let mut w = Building { ledger, store, ..w };
        let officers: Vec<&SigningKey> = w.keys.officers.iter().collect();
        w.submit(erasure(w.place(), RecordRange { first: 4, last: 4 }, "gdpr-17", &officers));
        w.submit(hold(w.place(), "case-1", RecordRange { first: 0, last: 1 }).sign(&w.keys.admin).unwrap());
        w.log(false, 8..9);
        w.log(true, 9..11);
        while w.ledger.health().erasures_pending > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::write(at("seen.note"), &w.ledger.view().checkpoint).unwrap();
        let proof = |record: u64| {
            std::fs::write(at(&format!("{record}.receipt")), w.ledger.proof(record).unwrap().to_json())
        };
        (0..11).for_each(|record| proof(record).unwrap());
        drop(w.ledger);
        drop(w.store);
        let world = World { keys: w.keys, dir, backup, roster };
        // The auditor's verified copy.
        let synced = crate::judge::run(
            world.dir.path(),
            &[
                "audit",
                "sync",
                "--file",
                "ledger.db",
                "--vault",
                "vault",
                "--key",
                "ledger.vkey",
                "--admin",
                "admin.vkey",
                "--identity",
                "alice.identity",
            ],
        );
        assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub fn options(key: &SigningKey, dir: &Path) -> Options {
    Options { key: copy(key), guard: dir.join("ledger.db.last-signed"), accept_database_head: false }
}

/// Copies a database with the log that lies beside it.
pub fn take_copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    let log = |p: &Path| PathBuf::from(format!("{}-wal", p.display()));
    if log(from).exists() {
        std::fs::copy(log(from), log(to)).unwrap();
    }
}
