//! What of a record goes into an evidence file: whole sections, or single fields with nothing but their own salts.
//! `docs/FORMAT.md` §13.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::build::Disclose;
use super::build_error::BuildError;
use super::format::{SectionEvidence, ShownField};
use crate::auditor::batch::{BatchOpener, OpenBatchError};
use crate::auditor::granted::Granted;
use crate::base::batch::Header;
use crate::base::record::SectionRoot;
use crate::event::json::Parser;
use crate::event::prepare::{fields_of_payload, markers_of_payload};
use crate::event::view::printable;
use crate::seal::disclosure::{Field, field_leaves, field_path};
use crate::seal::keys::{DerivedKeys, RecordKey};
use crate::seal::keystream::Salts;
use crate::seal::open::{OpenError, Opened};
use crate::seal::reader_key::Identity;

/// The header of a batch and what opens it.
pub(super) struct Batch {
    pub(super) header: Vec<u8>,
    /// What was granted, that `opener` was made with.
    pub(super) granted: Arc<Granted>,
    names: Vec<String>,
    /// `None` if no identity is a reader.
    opener: Option<BatchOpener>,
}

impl Batch {
    /// For the batch of the block at `height`.
    pub(super) fn new(
        record: u64,
        height: u64,
        (bytes, header): (&[u8], &Header),
        identities: &[Identity],
        granted: Arc<Granted>,
    ) -> Result<Batch, BuildError> {
        let opener = match BatchOpener::new(identities, header, &granted.batch(height)) {
            Ok(opener) => Some(opener),
            // As it is without any identity.
            Err(OpenError::NotAReader(_)) => None,
            Err(source) => return Err(BuildError::Open { record, source }),
        };
        let names = header.sections.iter().map(|s| s.name.clone()).collect();
        Ok(Batch { header: bytes.to_vec(), granted, names, opener })
    }

    /// What is shown of one record, and how many sections are withheld; `None` if no identity may read any of it.
    pub(super) fn show(
        &self,
        record: u64,
        position: u32,
        bytes: &[u8],
        disclose: &Disclose,
    ) -> Result<Option<(Vec<SectionEvidence>, usize)>, BuildError> {
        let Some(opener) = &self.opener else { return Ok(None) };
        let opened = match opener.open_sections(&mut Parser::new(), position, bytes) {
            Ok(opened) => Sections(opened),
            // Of a batch that was granted in part.
            Err(OpenBatchError::Open(OpenError::NotAReader(_))) => return Ok(None),
            Err(OpenBatchError::Open(source)) => return Err(BuildError::Open { record, source }),
            Err(OpenBatchError::Event(source)) => return Err(BuildError::Event { record, source }),
        };
        let withheld = (0..self.names.len()).filter(|s| opened.payload(*s).is_none()).count();
        let sections = match disclose {
            Disclose::Fields(pointers) => self.show_fields(record, &opened, pointers)?,
            Disclose::Nothing | Disclose::Everything => opened.show(),
        };
        Ok(Some((sections, withheld)))
    }

    /// The fields at the pointers, each with its own salt and path.
    fn show_fields(
        &self,
        record: u64,
        opened: &Sections,
        pointers: &[String],
    ) -> Result<Vec<SectionEvidence>, BuildError> {
        if pointers.is_empty() || pointers.iter().any(String::is_empty) {
            return Err(BuildError::NoPointer);
        }
        let event = |source| BuildError::Event { record, source };
        let mut found = vec![false; pointers.len()];
        let mut there = Vec::new();
        let mut sections = Vec::with_capacity(self.names.len());
        for (s, root) in opened.roots().enumerate() {
            let Some((payload, key)) = opened.section(s) else {
                sections.push(SectionEvidence::Parts { root, shown: Vec::new() });
                continue;
            };
            let keys = DerivedKeys::derive(key);
            let mut parser = Parser::new();
            let fields: Vec<Field<'_>> =
                fields_of_payload(&mut parser, s, payload, &self.names).map_err(event)?.collect();
            // The record opened, so its fields are within the limits.
            let leaves = field_leaves(&keys.salts, &fields).unwrap_or_default();
            let mut salts = Salts::new(&keys.salts);
            let mut shown = Vec::new();
            for (i, field) in fields.iter().enumerate() {
                let salt = salts.next_salt();
                there.push(field.pointer.to_owned());
                let mut wanted = false;
                for (pointer, found) in pointers.iter().zip(&mut found) {
                    let here = contains(pointer, field.pointer);
                    *found |= here;
                    wanted |= here;
                }
                if wanted {
                    shown.push(ShownField {
                        index: i as u32,
                        pointer: field.pointer.to_owned(),
                        kind: field.value.kind(),
                        value: Zeroizing::new(field.value.text().to_owned()),
                        salt,
                        path: field_path(&leaves, i).unwrap_or_default(),
                    });
                }
            }
            sections.push(SectionEvidence::Parts { root, shown });
        }
        self.check_found(record, opened, pointers, &found, &there)?;
        Ok(sections)
    }

    /// Every pointer must have led to something, and to nothing withheld.
    fn check_found(
        &self,
        record: u64,
        opened: &Sections,
        pointers: &[String],
        found: &[bool],
        there: &[String],
    ) -> Result<(), BuildError> {
        let markers = match opened.payload(0) {
            Some(frame) => markers_of_payload(&mut Parser::new(), frame, &self.names)
                .map_err(|source| BuildError::Event { record, source })?,
            None => Vec::new(),
        };
        for (pointer, found) in pointers.iter().zip(found) {
            let hidden = markers.iter().find(|(s, at)| {
                opened.payload(*s).is_none() && (contains(at, pointer) || contains(pointer, at))
            });
            let shown = || printable(pointer);
            if let Some((s, _)) = hidden {
                let section = self.names.get(*s).cloned().unwrap_or_default();
                return Err(BuildError::Withheld { record, pointer: shown(), section, partly: *found });
            }
            if !found {
                return Err(BuildError::NoSuchField {
                    record,
                    pointer: shown(),
                    there: nearest(pointer, there),
                });
            }
        }
        Ok(())
    }
}

/// A record as each identity that may read some of it opened it. All of them lead to the same roots.
struct Sections(Vec<Opened>);

impl Sections {
    /// Payload and key of a section, if any identity may read it.
    fn section(&self, section: usize) -> Option<(&[u8], &RecordKey)> {
        self.0.iter().find_map(|o| Some((o.payload(section)?, o.record_key(section)?)))
    }

    fn payload(&self, section: usize) -> Option<&[u8]> {
        self.section(section).map(|(payload, _)| payload)
    }

    fn roots(&self) -> impl Iterator<Item = SectionRoot> {
        self.0.first().into_iter().flat_map(Opened::roots)
    }

    /// Every readable section whole.
    fn show(&self) -> Vec<SectionEvidence> {
        let section = |(s, root)| match self.section(s) {
            Some((payload, key)) => SectionEvidence::Whole {
                // It was parsed as JSON, so it is UTF-8.
                payload: Zeroizing::new(String::from_utf8_lossy(payload).into_owned()),
                salt_key: *DerivedKeys::derive(key).salts.expose(),
            },
            None => SectionEvidence::Parts { root, shown: Vec::new() },
        };
        self.roots().enumerate().map(section).collect()
    }
}

/// Whether the value at `outer` is, or holds, the one at `inner`. RFC 6901.
fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Pointers that could have been meant: those that share the first or the last name, or else the first few.
fn nearest(pointer: &str, there: &[String]) -> String {
    const SHOWN: usize = 8;
    let first = |p: &str| p.split('/').nth(1).map(str::to_lowercase);
    let last = |p: &str| p.rsplit('/').next().map(str::to_lowercase);
    let like = |p: &&String| first(p) == first(pointer) || last(p) == last(pointer);
    let mut near: Vec<&String> = there.iter().filter(like).collect();
    if near.is_empty() {
        near = there.iter().collect();
    }
    let more = if near.len() > SHOWN { " …" } else { "" };
    let list: Vec<String> = near.into_iter().take(SHOWN).map(|p| printable(p)).collect();
    if list.is_empty() { "no fields that you may read".to_owned() } else { list.join(", ") + more }
}
