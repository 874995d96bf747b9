//! Case folders (`tests/second_reader/VECTORS.md`) and keys that follow from their names.

use std::path::{Path, PathBuf};

use rand_core::SeedableRng as _;
use sealtrail::base::hash::Hash;
use sealtrail::base::random::Csprng;
use sealtrail::base::secret::Secret;
use sealtrail::chain::key::SigningKey;
use sealtrail::seal::reader_key::Identity;
use serde_json::{Map, Value};

/// The origin of every case's ledger, unless the case is about another one.
pub const LEDGER: &str = "ledger.example/audit";
/// The writer of every batch, unless the case is about another one.
pub const WRITER: &str = "ledger.example/writers/ehr";
/// Issues the roster.
pub const ADMIN: &str = "ledger.example/admin";
/// Another ledger and another writer.
pub const OTHER: &str = "other.example";

/// The Ed25519 key whose seed is the SHA-256 of its name.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &secret(name)).unwrap()
}

/// The X25519 key whose scalar is the SHA-256 of `reader NAME`.
pub fn identity(name: &str) -> Identity {
    Identity::from_secret(secret(&format!("reader {name}")))
}

/// The SHA-256 of a text as a secret.
pub fn secret(text: &str) -> Secret<32> {
    Secret::from_slice(&Hash::of(&[text.as_bytes()]).0).unwrap()
}

/// A generator that gives the same bytes for the same label.
pub fn rng(label: &str) -> Csprng {
    Csprng::from_seed(Hash::of(&[b"random ", label.as_bytes()]).0)
}

/// A sequence number that goes with a case's name, so that no two cases seal with the same keys.
pub fn number(name: &str) -> u64 {
    let Hash([a, b, c, ..]) = Hash::of(&[name.as_bytes()]);
    u64::from_be_bytes([0, 0, 0, 0, 0, a, b, c])
}

/// A copy with one bit of byte `at` turned over.
pub fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at] ^= 1;
    out
}

/// A directory of cases.
pub struct Cases {
    dir: PathBuf,
}

impl Cases {
    /// Cases below `dir`, which is made if it is not there.
    pub fn new(dir: &Path) -> Cases {
        std::fs::create_dir_all(dir).unwrap();
        Cases { dir: dir.to_owned() }
    }

    /// A case in the folder `GROUP/NAME`; nothing is complete before [`Case::ok`] or [`Case::fail`].
    pub fn case(&self, folder: &str, kind: &str) -> Case {
        let depth = folder.split('/').count();
        let folder = self.dir.join(folder);
        assert!(!folder.exists(), "two cases in {}", folder.display());
        std::fs::create_dir_all(&folder).unwrap();
        let mut case = Case { folder, depth, inputs: Map::new() };
        case.inputs.insert("kind".into(), kind.into());
        case
    }

    /// Writes a file that many cases name: a key of one line with a comment above it.
    pub fn shared(&self, name: &str, comment: &str, line: &str) {
        std::fs::create_dir_all(self.dir.join("keys")).unwrap();
        std::fs::write(self.dir.join("keys").join(name), format!("# {comment}\n{line}\n")).unwrap();
    }
}

/// One case being written.
pub struct Case {
    folder: PathBuf,
    depth: usize,
    inputs: Map<String, Value>,
}

impl Case {
    /// An input in a file of its own.
    pub fn file(mut self, input: &str, bytes: impl AsRef<[u8]>) -> Case {
        std::fs::write(self.folder.join(input), bytes).unwrap();
        self.inputs.insert(input.into(), input.into());
        self
    }

    /// An input in a file of [`Cases::shared`].
    pub fn key(mut self, input: &str, name: &str) -> Case {
        self.inputs.insert(input.into(), format!("{}keys/{name}", "../".repeat(self.depth)).into());
        self
    }

    /// An input in `case.json` itself.
    pub fn set(mut self, input: &str, value: impl Into<Value>) -> Case {
        self.inputs.insert(input.into(), value.into());
        self
    }

    /// What is special about the case.
    pub fn note(self, text: &str) -> Case {
        self.set("note", text)
    }

    /// The case must succeed.
    pub fn ok(self) {
        self.set("expect", "ok").write();
    }

    /// The case must be refused for a reason of this family.
    pub fn fail(self, family: &str) {
        self.set("expect", "fail").set("why", family).write();
    }

    fn write(self) {
        let mut text = serde_json::to_string_pretty(&Value::Object(self.inputs)).unwrap();
        text.push('\n');
        std::fs::write(self.folder.join("case.json"), text).unwrap();
    }
}
