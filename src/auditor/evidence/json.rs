//! The evidence file as JSON. One file has one reading: every member is required, none may repeat or be unknown, and an object
//! is never taken for an array. `docs/FORMAT.md` §13.

use std::fmt;
use std::fmt::Write as _;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::format::{Evidence, EvidenceBlock, EvidenceRecord, FORMAT, SectionEvidence, ShownField};
use super::verify::EvidenceError;
use crate::base::bounded::{Bounded, HashPath};
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
    blocks: Bounded<Object<BlockMembers>, { 2 * MAX_EVIDENCE_RECORDS }>,
    records: Bounded<Object<RecordMembers>, MAX_EVIDENCE_RECORDS>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockMembers {
    text: String,
    log_path: HashPath,
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
    record_path: HashPath,
    #[serde(deserialize_with = "present")]
    erased: Option<u32>,
    #[serde(deserialize_with = "present")]
    opened: Option<Bounded<Object<SectionMembers>, MAX_SECTIONS>>,
    #[serde(deserialize_with = "present")]
    note: Option<String>,
}

/// A section's members: those of one form, all of them.
#[derive(Serialize)]
#[serde(untagged)]
enum SectionMembers {
    Whole { payload: String, salt_key: String },
    Parts { fields: u32, root: String, shown: ShownMembers },
}

type ShownMembers = Bounded<Object<FieldMembers>, MAX_EVENT_FIELDS>;

/// Sorted out at once: a list of sections without members would cost many times its text.
impl<'de> Deserialize<'de> for SectionMembers {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match AnyMembers::deserialize(d)? {
            AnyMembers {
                payload: Some(payload),
                salt_key: Some(salt_key),
                fields: None,
                root: None,
                shown: None,
            } => Ok(SectionMembers::Whole { payload, salt_key }),
            AnyMembers {
                payload: None,
                salt_key: None,
                fields: Some(fields),
                root: Some(root),
                shown: Some(shown),
            } => Ok(SectionMembers::Parts { fields, root, shown }),
            _ => {
                Err(D::Error::custom("a section has either payload and salt_key, or fields, root and shown"))
            }
        }
    }
}

/// Either the first two members or the last three.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AnyMembers {
    #[serde(deserialize_with = "not_null")]
    payload: Option<String>,
    #[serde(deserialize_with = "not_null")]
    salt_key: Option<String>,
    #[serde(deserialize_with = "not_null")]
    fields: Option<u32>,
    #[serde(deserialize_with = "not_null")]
    root: Option<String>,
    #[serde(deserialize_with = "not_null")]
    shown: Option<ShownMembers>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldMembers {
    index: u32,
    pointer: String,
    kind: String,
    value: String,
    salt: String,
    path: HashPath,
}

/// An error about one member's value.
fn bad(place: impl Into<String>, member: &'static str) -> EvidenceError {
    EvidenceError::Member { place: place.into(), member }
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
        if file.records.0.is_empty() {
            return Err(EvidenceError::RecordCount);
        }
        let blocks = file.blocks.0.into_iter().enumerate();
        let blocks = blocks.map(|(i, Object(b))| b.read(&format!("block {i} of the file")));
        let records = file.records.0.into_iter().map(|Object(r)| r.read());
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
            log_path: HashPath::of(&b.log_path),
            header: b.header.as_deref().map(to_base64),
        }
    }

    fn read(self, place: &str) -> Result<EvidenceBlock, EvidenceError> {
        let header = match self.header {
            Some(text) => Some(from_base64(&text).ok_or_else(|| bad(place, "header"))?),
            None => None,
        };
        Ok(EvidenceBlock { text: self.text, log_path: self.log_path.hashes(), header })
    }
}

impl RecordMembers {
    fn of(r: &EvidenceRecord) -> RecordMembers {
        let sections =
            |s: &Vec<SectionEvidence>| Bounded(s.iter().map(|s| Object(SectionMembers::of(s))).collect());
        RecordMembers {
            record: r.record,
            id: record_id(r.record),
            block: r.block,
            ciphertext_sha256: r.leaf_inputs.ciphertext_hash.hex(),
            envelope_hash: r.leaf_inputs.envelope_hash.hex(),
            disclosure_root: r.leaf_inputs.disclosure_root.hex(),
            record_path: HashPath::of(&r.record_path),
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
            Some(Bounded(sections)) if !sections.is_empty() => {
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
            record_path: self.record_path.hashes(),
            erased: self.erased,
            opened,
            note: self.note,
        })
    }
}

impl SectionMembers {
    fn of(section: &SectionEvidence) -> SectionMembers {
        match section {
            SectionEvidence::Whole { payload, salt_key } => {
                SectionMembers::Whole { payload: payload.to_string(), salt_key: to_base64(salt_key) }
            }
            SectionEvidence::Parts { root, shown } => SectionMembers::Parts {
                fields: root.fields,
                root: root.root.base64(),
                shown: Bounded(shown.iter().map(|f| Object(FieldMembers::of(f))).collect()),
            },
        }
    }

    fn read(self, place: &str) -> Result<SectionEvidence, EvidenceError> {
        match self {
            SectionMembers::Whole { payload, salt_key } => {
                let key = from_base64(&salt_key).and_then(|k| k.try_into().ok());
                let salt_key = key.ok_or_else(|| bad(place, "salt_key"))?;
                if payload.len() > MAX_RECORD_BYTES {
                    return Err(bad(place, "payload"));
                }
                Ok(SectionEvidence::Whole { payload: Zeroizing::new(payload), salt_key })
            }
            SectionMembers::Parts { fields, root, shown: Bounded(shown) } => {
                let root = Hash::from_base64(&root).ok_or_else(|| bad(place, "root"))?;
                let shown = shown.into_iter().map(|Object(f)| f.read(place)).collect::<Result<_, _>>()?;
                Ok(SectionEvidence::Parts { root: SectionRoot { fields, root }, shown })
            }
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
            path: HashPath::of(&f.path),
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
            path: self.path.hashes(),
            pointer: self.pointer,
        };
        match field.leaf() {
            Some(Ok(_)) => Ok(field),
            Some(Err(_)) => Err(bad(place, "pointer")),
            None => Err(bad(place, "kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Reads `n` times `item` as a list.
    fn read<T: for<'de> Deserialize<'de>>(item: &str, n: usize) -> Result<T, serde_json::Error> {
        serde_json::from_str(&format!("[{}]", vec![item; n].join(",")))
    }

    #[test]
    fn a_section_without_members_is_refused_where_it_stands() {
        for bad in [
            "{}",
            r#"{"payload":""}"#,
            r#"{"payload":"","salt_key":"","fields":1}"#,
            r#"{"fields":1,"root":""}"#,
            "[]",
        ] {
            // The rest of the text is not even JSON: it was not looked at.
            let error =
                serde_json::from_str::<Bounded<Object<SectionMembers>, MAX_SECTIONS>>(&format!("[{bad},?"))
                    .err();
            let error = error.unwrap();
            assert!(error.is_data() && error.column() <= bad.len() + 2, "{bad}: {error}");
        }
    }

    #[test]
    fn lists_end_at_their_limit() {
        let section = r#"{"payload":"","salt_key":""}"#;
        type Sections = Bounded<Object<SectionMembers>, MAX_SECTIONS>;
        assert!(read::<Sections>(section, MAX_SECTIONS).is_ok());
        assert!(read::<Sections>(section, MAX_SECTIONS + 1).err().unwrap().is_data());
        let field = r#"{"index":0,"pointer":"","kind":"z","value":"","salt":"","path":[]}"#;
        assert!(read::<ShownMembers>(field, MAX_EVENT_FIELDS).is_ok());
        assert!(read::<ShownMembers>(field, MAX_EVENT_FIELDS + 1).err().unwrap().is_data());

        let block = r#"{"text":"","log_path":[],"header":null}"#;
        let hashes = r#""ciphertext_sha256":"","envelope_hash":"","disclosure_root":"","record_path":[]"#;
        let record =
            format!(r#"{{"record":0,"id":"","block":0,{hashes},"erased":null,"opened":null,"note":null}}"#);
        let file = |blocks: usize, records: usize| {
            let text = format!(
                r#"{{"format":"","ledger":"","manifest":"","checkpoint":"","blocks":[{}],"records":[{}]}}"#,
                vec![block; blocks].join(","),
                vec![record.as_str(); records].join(",")
            );
            serde_json::from_str::<File>(&text).err().map(|e| e.to_string())
        };
        let refused = |e: Option<String>| e.is_some_and(|e| e.contains("a list is too long"));
        assert_eq!(file(2 * MAX_EVIDENCE_RECORDS, MAX_EVIDENCE_RECORDS), None);
        assert!(refused(file(2 * MAX_EVIDENCE_RECORDS + 1, 1)));
        assert!(refused(file(1, MAX_EVIDENCE_RECORDS + 1)));
    }
}
