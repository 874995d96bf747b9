//! The sections of a shown record against its disclosure root. `docs/FORMAT.md` §13.

use zeroize::Zeroizing;

use super::explain::pointer_text;
use super::format::{SectionEvidence, ShownField};
use super::report::{FieldReport, SectionReport, ShownReport, kind_word};
use crate::base::hash::Hash;
use crate::base::limits::MAX_EVENT_FIELDS;
use crate::base::record::SectionRoot;
use crate::event::error::EventError;
use crate::event::field::Field;
use crate::event::json::Parser;
use crate::event::prepare::{fields_of_payload, merge};
use crate::seal::disclosure::{Commitments, DisclosureError, disclosure_root, root_from_path, section_root};
use crate::seal::keys::SaltKey;

/// Why what is shown of a record does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// Not the sections of the batch.
    #[error("it has {found} sections here, its batch has {expected}")]
    Count {
        /// Of the batch.
        expected: usize,
        /// In the file.
        found: usize,
    },
    /// Nothing is shown where something should be.
    #[error("it is marked as opened and shows nothing")]
    Empty,
    /// A payload that is no event.
    #[error("the text of its section {section} is no event of this format: {problem}")]
    Payload {
        /// Name of the section.
        section: String,
        /// What is wrong.
        problem: EventError,
    },
    /// Fields beyond a limit.
    #[error("the text of its section {section} cannot be what was sealed: {problem}")]
    Fields {
        /// Name of the section.
        section: String,
        /// What is wrong.
        problem: DisclosureError,
    },
    /// Values and markers of two shown sections do not go together.
    #[error("its sections do not fit together: {0}")]
    Merge(EventError),
    /// More fields than an event may have.
    #[error("its section {section} claims {fields} fields; no event has so many")]
    TooManyFields {
        /// Name of the section.
        section: String,
        /// The number claimed.
        fields: u32,
    },
    /// The shown fields do not ascend.
    #[error(
        "the shown fields of its section {section} are not in ascending order: {pointer} is out of place or there twice"
    )]
    Order {
        /// Name of the section.
        section: String,
        /// The field out of place.
        pointer: String,
    },
    /// A field that was not committed.
    #[error(
        "the field {pointer} of its section {section} is not what the record committed to: its value, place or proof was changed"
    )]
    Field {
        /// Name of the section.
        section: String,
        /// The field.
        pointer: String,
    },
    /// Together the sections are not the committed ones.
    #[error(
        "what is shown is not what the record committed to: text, keys or roots were changed, or belong to another record"
    )]
    Root,
}

/// Checks the sections against `committed`, the record's disclosure root; `names` are those of the batch header.
pub(super) fn check(
    sections: &[SectionEvidence],
    names: &[String],
    committed: Hash,
) -> Result<ShownReport, SectionError> {
    if sections.len() != names.len() {
        return Err(SectionError::Count { expected: names.len(), found: sections.len() });
    }
    let nothing = |s: &SectionEvidence| matches!(s, SectionEvidence::Parts { shown, .. } if shown.is_empty());
    if sections.iter().all(nothing) {
        return Err(SectionError::Empty);
    }
    let mut roots = Vec::with_capacity(sections.len());
    let mut reports = Vec::with_capacity(sections.len());
    let mut payloads = Vec::with_capacity(sections.len());
    let mut parser = Parser::new();
    for (s, (section, name)) in sections.iter().zip(names).enumerate() {
        let (root, shown) = match section {
            SectionEvidence::Whole { payload, salt_key } => {
                payloads.push(Some(payload.as_bytes()));
                whole(&mut parser, s, payload, salt_key, names)?
            }
            SectionEvidence::Parts { root, shown } => {
                payloads.push(None);
                (*root, parts(root, shown, name)?)
            }
        };
        roots.push(root);
        reports.push(SectionReport { name: name.clone(), fields: root.fields, shown });
    }
    if disclosure_root(&roots) != committed {
        return Err(SectionError::Root);
    }
    let event = match payloads.first() {
        Some(Some(_)) => {
            let event = Zeroizing::new(merge(names, &payloads).map_err(SectionError::Merge)?);
            Some(String::from_utf8_lossy(&event).into_owned())
        }
        _ => None,
    };
    Ok(ShownReport { sections: reports, event })
}

/// A section given as payload and salt key: every field's commitment is recomputed.
fn whole(
    parser: &mut Parser,
    s: usize,
    payload: &str,
    salt_key: &[u8],
    names: &[String],
) -> Result<(SectionRoot, Vec<FieldReport>), SectionError> {
    let section = || names.get(s).cloned().unwrap_or_default();
    let fields = fields_of_payload(parser, s, payload.as_bytes(), names);
    let fields: Vec<Field<'_>> =
        fields.map_err(|problem| SectionError::Payload { section: section(), problem })?.collect();
    let key = SaltKey::from_slice(salt_key).ok_or(SectionError::Root)?;
    let root = section_root(&key, &fields, &mut Commitments::new())
        .map_err(|problem| SectionError::Fields { section: section(), problem })?;
    let reports = (0..).zip(&fields).map(|(index, f)| FieldReport {
        index,
        pointer: f.pointer.to_owned(),
        kind: kind_word(f.value.kind()),
        value: f.value.text().to_owned(),
    });
    Ok((root, reports.collect()))
}

/// A section given by its root, with single fields: each must lead to that root from its place.
fn parts(root: &SectionRoot, shown: &[ShownField], name: &str) -> Result<Vec<FieldReport>, SectionError> {
    let section = || name.to_owned();
    if root.fields as usize > MAX_EVENT_FIELDS {
        return Err(SectionError::TooManyFields { section: section(), fields: root.fields });
    }
    let mut reports: Vec<FieldReport> = Vec::with_capacity(shown.len());
    for field in shown {
        let pointer = || pointer_text(&field.pointer);
        if reports.last().is_some_and(|last| last.index >= field.index) {
            return Err(SectionError::Order { section: section(), pointer: pointer() });
        }
        let leaf = field.leaf().and_then(Result::ok);
        let found = leaf.and_then(|leaf| root_from_path(leaf, field.index, root.fields, &field.path));
        if found != Some(root.root) {
            return Err(SectionError::Field { section: section(), pointer: pointer() });
        }
        reports.push(FieldReport {
            index: field.index,
            pointer: field.pointer.clone(),
            kind: kind_word(field.kind),
            value: field.value.to_string(),
        });
    }
    Ok(reports)
}
