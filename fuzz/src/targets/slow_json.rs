//! A second reader of events: slow, simple, and made of `serde_json` and the rules of `docs/FORMAT.md` §5. What it says and what the
//! program's own reader says must be the same.

use std::collections::HashSet;
use std::fmt;

use sealtrail::base::limits::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A leaf: pointer, kind byte, text.
pub type Leaf = (String, u8, String);

/// An object's members as they stand, with the names unescaped.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(Each)
    }
}

/// The leaves of an event in document order; `None` if it must be refused.
pub fn leaves(event: &[u8]) -> Option<Vec<Leaf>> {
    let text = std::str::from_utf8(event).ok()?.trim_matches([' ', '\t', '\n', '\r']);
    if text.len() > MAX_EVENT_BYTES || !text.starts_with('{') {
        return None;
    }
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = Vec::new();
    value(raw.get(), String::new(), 1, &mut out)?;
    let pointers: usize = out.iter().map(|(pointer, _, _)| pointer.len()).sum();
    (out.len() <= MAX_EVENT_FIELDS && pointers <= MAX_EVENT_POINTERS_BYTES).then_some(out)
}

fn value(raw: &str, pointer: String, depth: usize, out: &mut Vec<Leaf>) -> Option<()> {
    if pointer.len() > MAX_POINTER_BYTES || out.len() > MAX_EVENT_FIELDS {
        return None;
    }
    let (kind, text) = match raw.as_bytes().first()? {
        b'{' | b'[' if depth > MAX_EVENT_DEPTH => return None,
        b'{' => {
            let Members(members) = serde_json::from_str(raw).ok()?;
            let mut names = HashSet::new();
            if !members.iter().all(|(name, _)| names.insert(name)) {
                return None;
            }
            for (name, inner) in &members {
                let token = name.replace('~', "~0").replace('/', "~1");
                value(inner.get(), format!("{pointer}/{token}"), depth + 1, out)?;
            }
            if !members.is_empty() {
                return Some(());
            }
            (b'o', String::new())
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            for (n, inner) in elements.iter().enumerate() {
                value(inner.get(), format!("{pointer}/{n}"), depth + 1, out)?;
            }
            if !elements.is_empty() {
                return Some(());
            }
            (b'a', String::new())
        }
        b'"' => (b's', serde_json::from_str(raw).ok()?),
        b't' => (b't', String::new()),
        b'f' => (b'f', String::new()),
        b'n' => (b'z', String::new()),
        _ => (b'n', raw.to_owned()),
    };
    out.push((pointer, kind, text));
    Some(())
}
