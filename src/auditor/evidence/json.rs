//! The evidence file as JSON. One file has one reading: every member is required, none may repeat or be unknown, and an object
//! is never taken for an array. `docs/FORMAT.md` §13.

use std::fmt;
use std::fmt::Write as _;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::format::{Evidence, EvidenceBlock, EvidenceRecord, FORMAT, SectionEvidence, ShownField};
use super::verify::EvidenceError;
use crate::base::hash::{Hash, from_base64, to_base64};
use crate::base::limits::*;
use crate::base::record::{LeafInputs, SectionRoot};
use crate::chain::proof::{parse_record_id, record_id};

/// A JSON object. serde alone would read an array of the members' values as well.
#[derive(Serialize)]
#[serde(transparent)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// A member that may be null but not missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(d)
}

/// A member that may be missing but not null.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    ledger: String,
    manifest: String,
    checkpoint: String,
    blocks: Vec<Object<BlockMembers>>,
    records: Vec<Object<RecordMembers>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockMembers {
    text: String,
    log_path: Vec<String>,
    #[serde(deserialize_with = "present")]
    header: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordMembers {
    record: u64,
    id: String,
    block: u32,
    ciphertext_sha256: String,
    envelope_hash: String,
    disclosure_root: String,
    record_path: Vec<String>,
    #[serde(deserialize_with = "present")]
    erased: Option<u32>,
    #[serde(deserialize_with = "present")]
    opened: Option<Vec<Object<SectionMembers>>>,
    #[serde(deserialize_with = "present")]
    note: Option<String>,
}

/// Either the first two members or the last three.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SectionMembers {
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    salt_key: Option<String>,
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    fields: Option<u32>,
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    shown: Option<Vec<Object<FieldMembers>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldMembers {
    index: u32,
    pointer: String,
    kind: String,
    value: String,
    salt: String,
    path: Vec<String>,
}

/// An error about one member's value.
fn bad(place: impl Into<String>, member: &'static str) -> EvidenceError {
    EvidenceError::Member { place: place.into(), member }
}

fn path(texts: &[String], place: &str, member: &'static str) -> Result<Vec<Hash>, EvidenceError> {
    let hashes = texts.iter().map(|t| Hash::from_base64(t)).collect::<Option<Vec<_>>>();
    hashes.filter(|h| h.len() <= MAX_PATH_HASHES).ok_or_else(|| bad(place, member))
}

impl Evidence {
    /// Reads an evidence file; verifies nothing.
    pub fn parse(bytes: &[u8]) -> Result<Evidence, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLarge);
        }
        let Object(file): Object<File> =
            serde_json::from_slice(bytes).map_err(|e| EvidenceError::Json(e.to_string()))?;
        if file.format != FORMAT {
            return Err(bad("the file", "format"));
        }
        if file.records.is_empty() || file.records.len() > MAX_EVIDENCE_RECORDS {
            return Err(EvidenceError::RecordCount);
        }
        let blocks = file.blocks.into_iter().enumerate();
        let blocks = blocks.map(|(i, Object(b))| b.read(&format!("block {i} of the file")));
        let records = file.records.into_iter().map(|Object(r)| r.read());
        Ok(Evidence {
            ledger: file.ledger,
            manifest: file.manifest,
            checkpoint: file.checkpoint,
            blocks: blocks.collect::<Result<_, _>>()?,
            records: records.collect::<Result<_, _>>()?,
        })
    }

    /// The file's text: a line for each block and record.
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::new());
        let text = |t: &str| serde_json::Value::from(t).to_string();
        let _ = write!(
            out,
            "{{\"format\":{},\n\"ledger\":{},\n\"manifest\":{},\n\"checkpoint\":{},\n\"blocks\":[",
            text(FORMAT),
            text(&self.ledger),
            text(&self.manifest),
            text(&self.checkpoint)
        );
        lines(&mut out, self.blocks.iter().map(BlockMembers::of));
        out.push_str("],\n\"records\":[");
        lines(&mut out, self.records.iter().map(RecordMembers::of));
        out.push_str("]}\n");
        out
    }
}

fn lines<T: Serialize>(out: &mut String, items: impl Iterator<Item = T>) {
    for (i, item) in items.enumerate() {
        // Strings, numbers and lists only: this cannot fail.
        let json = Zeroizing::new(serde_json::to_string(&item).unwrap_or_default());
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&json);
    }
}

impl BlockMembers {
    fn of(b: &EvidenceBlock) -> BlockMembers {
        BlockMembers {
            text: b.text.clone(),
            log_path: b.log_path.iter().map(Hash::base64).collect(),
            header: b.header.as_deref().map(to_base64),
        }
    }

    fn read(self, place: &str) -> Result<EvidenceBlock, EvidenceError> {
        let header = match self.header {
            Some(text) => Some(from_base64(&text).ok_or_else(|| bad(place, "header"))?),
            None => None,
        };
        Ok(EvidenceBlock { text: self.text, log_path: path(&self.log_path, place, "log_path")?, header })
    }
}

impl RecordMembers {
    fn of(r: &EvidenceRecord) -> RecordMembers {
        let sections = |s: &Vec<SectionEvidence>| s.iter().map(|s| Object(SectionMembers::of(s))).collect();
        RecordMembers {
            record: r.record,
            id: record_id(r.record),
            block: r.block,
            ciphertext_sha256: r.leaf_inputs.ciphertext_hash.hex(),
            envelope_hash: r.leaf_inputs.envelope_hash.hex(),
            disclosure_root: r.leaf_inputs.disclosure_root.hex(),
            record_path: r.record_path.iter().map(Hash::base64).collect(),
            erased: r.erased,
            opened: r.opened.as_ref().map(sections),
            note: r.note.clone(),
        }
    }

    fn read(self) -> Result<EvidenceRecord, EvidenceError> {
        let place = record_id(self.record);
        if parse_record_id(&self.id) != Some(self.record) {
            return Err(bad(place, "id"));
        }
        let hex = |text: &str, member| match Hash::from_hex(text) {
            Some(hash) if hash.hex() == text => Ok(hash),
            _ => Err(bad(&*place, member)),
        };
        let leaf_inputs = LeafInputs {
            ciphertext_hash: hex(&self.ciphertext_sha256, "ciphertext_sha256")?,
            envelope_hash: hex(&self.envelope_hash, "envelope_hash")?,
            disclosure_root: hex(&self.disclosure_root, "disclosure_root")?,
        };
        let opened = match self.opened {
            Some(sections) if (1..=MAX_SECTIONS).contains(&sections.len()) => {
                Some(sections.into_iter().map(|Object(s)| s.read(&place)).collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(bad(place, "opened")),
            None => None,
        };
        if self.note.as_deref().is_some_and(|n| !super::manifest::is_text(n)) {
            return Err(bad(place, "note"));
        }
        Ok(EvidenceRecord {
            record: self.record,
            block: self.block,
            leaf_inputs,
            record_path: path(&self.record_path, &place, "record_path")?,
            erased: self.erased,
            opened,
            note: self.note,
        })
    }
}

impl SectionMembers {
    fn of(section: &SectionEvidence) -> SectionMembers {
        match section {
            SectionEvidence::Whole { payload, salt_key } => SectionMembers {
                payload: Some(payload.to_string()),
                salt_key: Some(to_base64(salt_key)),
                ..Default::default()
            },
            SectionEvidence::Parts { root, shown } => SectionMembers {
                fields: Some(root.fields),
                root: Some(root.root.base64()),
                shown: Some(shown.iter().map(|f| Object(FieldMembers::of(f))).collect()),
                ..Default::default()
            },
        }
    }

    fn read(self, place: &str) -> Result<SectionEvidence, EvidenceError> {
        match self {
            SectionMembers {
                payload: Some(payload),
                salt_key: Some(key),
                fields: None,
                root: None,
                shown: None,
            } => {
                let key = from_base64(&key).and_then(|k| k.try_into().ok());
                let salt_key = key.ok_or_else(|| bad(place, "salt_key"))?;
                if payload.len() > MAX_RECORD_BYTES {
                    return Err(bad(place, "payload"));
                }
                Ok(SectionEvidence::Whole { payload: Zeroizing::new(payload), salt_key })
            }
            SectionMembers {
                payload: None,
                salt_key: None,
                fields: Some(fields),
                root: Some(root),
                shown: Some(shown),
            } => {
                let root = Hash::from_base64(&root).ok_or_else(|| bad(place, "root"))?;
                let shown = shown.into_iter().map(|Object(f)| f.read(place)).collect::<Result<_, _>>()?;
                Ok(SectionEvidence::Parts { root: SectionRoot { fields, root }, shown })
            }
            _ => Err(EvidenceError::Json(format!(
                "{place}: a section has either payload and salt_key, or fields, root and shown"
            ))),
        }
    }
}

impl FieldMembers {
    fn of(f: &ShownField) -> FieldMembers {
        FieldMembers {
            index: f.index,
            pointer: f.pointer.clone(),
            kind: char::from(f.kind).to_string(),
            value: f.value.to_string(),
            salt: to_base64(&f.salt),
            path: f.path.iter().map(Hash::base64).collect(),
        }
    }

    fn read(self, place: &str) -> Result<ShownField, EvidenceError> {
        let salt = from_base64(&self.salt).and_then(|s| s.try_into().ok());
        let salt = salt.ok_or_else(|| bad(place, "salt"))?;
        let field = ShownField {
            index: self.index,
            kind: if let [kind] = self.kind.as_bytes() { *kind } else { 0 },
            value: Zeroizing::new(self.value),
            salt,
            path: path(&self.path, place, "path")?,
            pointer: self.pointer,
        };
        match field.leaf() {
            Some(Ok(_)) => Ok(field),
            Some(Err(_)) => Err(bad(place, "pointer")),
            None => Err(bad(place, "kind")),
        }
    }
}
