//! The manifest of an evidence file: what the exporter says was selected, over the exact contents. `docs/FORMAT.md` §13.

use std::fmt::Write as _;

use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_EVIDENCE_NOTES, MAX_EVIDENCE_TEXT_CHARS};
use crate::chain::key::{KeyKind, SigningKey, VerifierKey};
use crate::chain::note::{Note, NoteError};
use crate::chain::text::{Lines, TextError};

/// First line of a manifest. No statement and no checkpoint starts like this, so a key's signature on one is never one on the other.
const KIND: &str = "sealtrail.org/evidence-manifest/v1";
/// What errors call it.
const WHAT: &str = "the manifest";
/// Why a line of the exporter's words is refused.
const BAD_TEXT: &str = "expected 1 to 1000 characters on one line, without white space around them";

/// What the exporter says about the file. All texts are the exporter's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The origin.
    pub ledger: String,
    /// When the file was made, by the exporter's clock.
    pub created: Timestamp,
    /// Blocks of the checkpoint.
    pub tree_size: u64,
    /// Root of the checkpoint.
    pub root: Hash,
    /// Number of records in the file.
    pub records: u64,
    /// [`Evidence::contents_hash`](super::format::Evidence::contents_hash).
    pub contents: Hash,
    /// What was selected, and why.
    pub words: Words,
    /// The key that signs the manifest, if one does.
    pub signer: Option<VerifierKey>,
}

/// The exporter's own words, covered by the manifest and proved by nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Words {
    /// What was selected, such as `records 3..9` or `patient PAT-2026-00842, 2026-11-01 to 2026-11-30`.
    pub selection: String,
    /// Heading, for instance of the report this goes with.
    pub title: Option<String>,
    /// Further lines.
    pub notes: Vec<String>,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a manifest's text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not a note, or the signature is wrong.
    #[error("the manifest: {0}")]
    Note(#[from] NoteError),
    /// It names a signer and carries no signature, or the other way round.
    #[error("the manifest names {0} as its signer and is not signed: the signature was cut off")]
    NotSigned(VerifierKey),
    /// Signature lines without a line `signer`.
    #[error("the manifest carries signatures and does not name its signer")]
    SignerNotNamed,
    /// More signature lines than the signer's.
    #[error("the manifest must carry one signature line, its signer's")]
    SignatureLines,
}

/// Whether `text` may stand on a line of the exporter's words: 1 to 1000 characters, no control characters, no white space at
/// either end.
pub fn is_text(text: &str) -> bool {
    (1..=MAX_EVIDENCE_TEXT_CHARS).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

/// Makes any text fit for such a line: control characters become spaces, and what is too long is cut.
pub fn to_text(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cut: String = plain.trim().chars().take(MAX_EVIDENCE_TEXT_CHARS).collect();
    cut.trim().to_owned()
}

/// So that a change of the words is noticed in a file that nobody signed. Whoever means to change them can make it anew.
fn text_hash(text: &str) -> Hash {
    Hash::of(&[b"sealtrail.org/evidence-text/v1\n", text.as_bytes()])
}

impl Manifest {
    /// The text, signed if there is a signer. `key` must be that of [`Manifest::signer`].
    pub fn to_note(&self, key: Option<&SigningKey>) -> Result<String, ManifestError> {
        let mut text = format!(
            "{KIND}\nledger {}\ncreated {}\ntree-size {}\nroot-hash {}\nrecords {}\ncontents {}\nselection {}\n",
            self.ledger,
            self.created,
            self.tree_size,
            self.root.base64(),
            self.records,
            self.contents.base64(),
            self.words.selection,
        );
        // Writing to a String cannot fail.
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name} {value}");
        };
        self.words.title.iter().for_each(|t| line("title", t));
        self.words.notes.iter().for_each(|n| line("note", n));
        let hash = text_hash(&text);
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name} {value}");
        };
        line("text-hash", &hash.base64());
        self.signer.iter().for_each(|k| line("signer", k.as_str()));
        let note = match key {
            Some(key) => Note::sign(&text, key).to_string(),
            None => text,
        };
        // A text that breaks a rule is found here and not by whoever gets the file.
        Manifest::parse(&note)?;
        Ok(note)
    }

    /// Reads a manifest and verifies its signature by the key it names. Whose key that is, the caller decides.
    pub fn parse(note: &str) -> Result<Manifest, ManifestError> {
        // No line is empty, so a blank one ends the text of a signed manifest.
        let signed = if note.contains("\n\n") { Some(Note::parse(note)?) } else { None };
        let text = signed.as_ref().map_or(note, |n| &n.text);
        let mut l = Lines::new(text, WHAT);
        l.literal(KIND)?;
        let mut manifest = Manifest {
            ledger: l.value("ledger")?.to_owned(),
            created: l.time("created")?,
            tree_size: l.number("tree-size")?,
            root: l.hash("root-hash")?,
            records: l.number("records")?,
            contents: l.hash("contents")?,
            words: Words { selection: l.value("selection")?.to_owned(), title: None, notes: Vec::new() },
            signer: None,
        };
        let words = &mut manifest.words;
        words.title = l.optional("title").map(str::to_owned);
        while let Some(note) = l.optional("note") {
            if words.notes.len() == MAX_EVIDENCE_NOTES {
                return Ok(l.invalid("note", "more lines than a manifest may have")?);
            }
            words.notes.push(note.to_owned());
        }
        for (name, texts) in [
            ("selection", std::slice::from_ref(&words.selection)),
            ("title", words.title.as_slice()),
            ("note", &words.notes),
        ] {
            if !texts.iter().all(|t| is_text(t)) {
                return Ok(l.invalid(name, BAD_TEXT)?);
            }
        }
        let stated = l.hash("text-hash")?;
        let before = text.find("\ntext-hash ").and_then(|end| text.get(..=end)).unwrap_or_default();
        if stated != text_hash(before) {
            return Ok(l.invalid(
                "text-hash",
                "the lines above it are not those it was made for: they were changed",
            )?);
        }
        if let Some(key) = l.optional("signer") {
            manifest.signer = Some(l.key("signer", key, KeyKind::Ed25519)?);
        }
        l.finish()?;
        match (&manifest.signer, &signed) {
            (None, None) => {}
            (None, Some(_)) => return Err(ManifestError::SignerNotNamed),
            (Some(key), None) => return Err(ManifestError::NotSigned(key.clone())),
            (Some(key), Some(note)) => {
                if note.signatures.len() != 1 {
                    return Err(ManifestError::SignatureLines);
                }
                note.verify(std::slice::from_ref(key))?;
            }
        }
        Ok(manifest)
    }
}
