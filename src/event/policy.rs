//! What a writer does with an event: which values go to which section, who reads a section, which values
//! get blind tags. `docs/FORMAT.md` §4 and §5.

use super::pattern::Pattern;
use super::recognise;
use super::tree::{PatternTree, Target};
use crate::base::batch::is_label;
use crate::base::limits::*;

/// The name of the default policy's only section.
pub const DEFAULT_SECTION: &str = "event";

/// Who may read something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReaderChoice {
    /// Every reader of the roster.
    All,
    /// These readers of the roster, by name.
    Named(Vec<String>),
}

impl ReaderChoice {
    /// Whether the reader of this name is chosen.
    pub fn includes(&self, reader: &str) -> bool {
        match self {
            ReaderChoice::All => true,
            ReaderChoice::Named(names) => names.iter().any(|n| n == reader),
        }
    }
}

/// One section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionPolicy {
    /// Its name in the batch header.
    pub name: String,
    /// Who may read it.
    pub readers: ReaderChoice,
    /// What goes there; a pattern that leads to an object or array moves all of it. None for the first
    /// section, which holds what no other one claims.
    pub pointers: Vec<Pattern>,
}

/// One searchable field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagField {
    /// Its name in the batch header and in searches.
    pub name: String,
    /// Where its values stand in an event; several for one event give several tags.
    pub pointers: Vec<Pattern>,
}

/// A writer's policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// At least one.
    pub sections: Vec<SectionPolicy>,
    /// The searchable fields, in the order of the batch header.
    pub tags: Vec<TagField>,
    /// Who reads the records about readers' downloads.
    pub access_log: ReaderChoice,
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// None, or more than [`MAX_SECTIONS`].
    #[error("there are {0} sections; there must be 1 to {MAX_SECTIONS}")]
    Sections(usize),
    /// More than [`MAX_TAG_FIELDS`].
    #[error("there are {0} searchable fields; at most {MAX_TAG_FIELDS} are possible: remove some")]
    TagFields(usize),
    /// A name of a section or tag field.
    #[error(
        "the name {0:?} is not usable for a section or tag: 1 to {MAX_LABEL_BYTES} characters of a-z 0-9 . _ -"
    )]
    Label(String),
    /// A name of a reader.
    #[error("the name {0:?} is not usable: 1 to {MAX_NAME_BYTES} bytes without control characters")]
    Name(String),
    /// Two sections or two tag fields of one name.
    #[error("the name {0:?} is there twice; rename or remove one")]
    Twice(String),
    /// The first section claims something.
    #[error(
        "section {0:?} is the first and holds whatever no other section claims: remove its pointers, or put another section before it"
    )]
    FirstHasPointers(String),
    /// A later section claims nothing.
    #[error("section {0:?} has no pointers, so nothing would ever go there: add pointers or remove it")]
    NoPointers(String),
    /// Nobody could open it.
    #[error("section {0:?} has no readers: name at least one, or \"*\" for all")]
    NoReaders(String),
    /// One section would take what another one claims.
    #[error(
        "{inner} of section {inner_section:?} can lie inside {outer} of section {outer_section:?}, which takes the whole value: make the two disjoint"
    )]
    Overlap {
        /// The pattern of the value that would lose a part.
        outer: String,
        /// Its section.
        outer_section: String,
        /// The pattern of the part.
        inner: String,
        /// Its section.
        inner_section: String,
    },
    /// The automaton grew too large.
    #[error("the pointers combine in too many ways: use fewer that mix * and numbers at the same place")]
    TooComplex,
}

impl Default for Policy {
    /// One section for all readers, and the tags of [`recognise::TAGS`].
    fn default() -> Self {
        Policy {
            sections: vec![SectionPolicy {
                name: DEFAULT_SECTION.into(),
                readers: ReaderChoice::All,
                pointers: Vec::new(),
            }],
            tags: default_tags(),
            access_log: ReaderChoice::All,
        }
    }
}

/// The tag fields of [`recognise::TAGS`].
pub fn default_tags() -> Vec<TagField> {
    let patterns = |list: &[&str]| list.iter().filter_map(|p| Pattern::parse(p).ok()).collect();
    recognise::TAGS
        .iter()
        .map(|(name, list)| TagField { name: (*name).to_owned(), pointers: patterns(list) })
        .collect()
}

/// A policy checked and made ready for [`super::prepare::Preparer`].
#[derive(Debug)]
pub struct CompiledPolicy {
    pub(super) tree: PatternTree,
    pub(super) sections: Vec<String>,
    /// What stands in section 0 for a value moved to each section.
    pub(super) markers: Vec<String>,
    tag_fields: Vec<String>,
}

impl CompiledPolicy {
    /// Section names, in the order of the batch header.
    pub fn sections(&self) -> &[String] {
        &self.sections
    }

    /// Tag field names, in the order of the batch header.
    pub fn tag_fields(&self) -> &[String] {
        &self.tag_fields
    }
}

impl Policy {
    /// Checks the policy and compiles it.
    pub fn compile(&self) -> Result<CompiledPolicy, PolicyError> {
        self.check_names()?;
        self.check_sections()?;
        let mut patterns = Vec::new();
        for (n, s) in self.sections.iter().enumerate() {
            patterns.extend(s.pointers.iter().map(|p| (p, Target::Section(n as u8))));
        }
        for (n, t) in self.tags.iter().enumerate() {
            patterns.extend(t.pointers.iter().map(|p| (p, Target::Tag(n as u8))));
        }
        Ok(CompiledPolicy {
            tree: PatternTree::new(&patterns).ok_or(PolicyError::TooComplex)?,
            sections: self.sections.iter().map(|s| s.name.clone()).collect(),
            markers: self.sections.iter().map(|s| marker(&s.name)).collect(),
            tag_fields: self.tags.iter().map(|t| t.name.clone()).collect(),
        })
    }

    fn check_names(&self) -> Result<(), PolicyError> {
        if self.sections.is_empty() || self.sections.len() > MAX_SECTIONS {
            return Err(PolicyError::Sections(self.sections.len()));
        }
        if self.tags.len() > MAX_TAG_FIELDS {
            return Err(PolicyError::TagFields(self.tags.len()));
        }
        let sections: Vec<&str> = self.sections.iter().map(|s| s.name.as_str()).collect();
        let tags: Vec<&str> = self.tags.iter().map(|t| t.name.as_str()).collect();
        for names in [sections, tags] {
            for (i, name) in names.iter().enumerate() {
                if !is_label(name) {
                    return Err(PolicyError::Label((*name).to_owned()));
                }
                if names.iter().take(i).any(|other| other == name) {
                    return Err(PolicyError::Twice((*name).to_owned()));
                }
            }
        }
        let readers = self.sections.iter().map(|s| (&s.name, &s.readers));
        for (section, readers) in readers {
            if let ReaderChoice::Named(names) = readers {
                if names.is_empty() {
                    return Err(PolicyError::NoReaders(section.clone()));
                }
                names.iter().try_for_each(|n| check_name(n))?;
            }
        }
        match &self.access_log {
            ReaderChoice::Named(names) if names.is_empty() => {
                Err(PolicyError::NoReaders("access_log".to_owned()))
            }
            ReaderChoice::Named(names) => names.iter().try_for_each(|n| check_name(n)),
            ReaderChoice::All => Ok(()),
        }
    }

    /// Nothing that one section is to keep from some readers may slip into another.
    fn check_sections(&self) -> Result<(), PolicyError> {
        let mut rest = self.sections.iter();
        if let Some(first) = rest.next().filter(|s| !s.pointers.is_empty()) {
            return Err(PolicyError::FirstHasPointers(first.name.clone()));
        }
        if let Some(empty) = rest.clone().find(|s| s.pointers.is_empty()) {
            return Err(PolicyError::NoPointers(empty.name.clone()));
        }
        for a in rest.clone() {
            for b in rest.clone().filter(|b| b.name != a.name) {
                for (outer, inner) in a.pointers.iter().flat_map(|o| b.pointers.iter().map(move |i| (o, i))) {
                    if outer.may_contain(inner) {
                        return Err(PolicyError::Overlap {
                            outer: outer.as_str().to_owned(),
                            outer_section: a.name.clone(),
                            inner: inner.as_str().to_owned(),
                            inner_section: b.name.clone(),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// `{"$sealed":"NAME"}`, the name escaped as JSON wants it.
pub(super) fn marker(section: &str) -> String {
    format!("{{\"$sealed\":{}}}", serde_json::Value::from(section))
}

fn check_name(name: &str) -> Result<(), PolicyError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(PolicyError::Name(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
