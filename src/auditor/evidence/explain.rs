//! What an evidence file proves, in sentences for a reader who knows nothing of its format, and as JSON for programs.

use serde_json::{Value, json};

use super::report::{
    ContentReport, EvidenceReport, FieldReport, RecordReport, SectionReport, ShownReport, Signer,
};
use crate::base::clock::Timestamp;
use crate::chain::policy::{Met, Witnessed};
use crate::chain::proof::record_id;
use crate::event::view::{hides, printable};

/// In front of the words of whoever made the file, so that they do not look like what was proved.
const WORDS: &str = "    ";

/// A time as people write it, to the second.
fn when(t: Timestamp) -> String {
    let text = t.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.get(..8).unwrap_or(time))
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

impl EvidenceReport {
    /// What the whole file is: ledger, witnesses, who made it and what they say it is.
    pub fn heading(&self) -> Vec<String> {
        let records = count(self.records.len() as u64, "record", "records");
        let mut lines = vec![format!(
            "{records} of the ledger {}, proved against its signed checkpoint over {}.",
            printable(&self.ledger),
            count(self.blocks, "block", "blocks")
        )];
        if let Some(met) = &self.witnesses {
            lines.push(witnessed(met));
        }
        let made = when(self.created);
        lines.push(match &self.signer {
            Signer::Unsigned => format!("Put together on {made} by somebody who did not sign it."),
            Signer::Unknown(key) => format!(
                "Put together on {made} by the holder of the key {}. Whose key that is was not checked; --signer VKEY does.",
                printable(key)
            ),
            Signer::Checked(key) => {
                format!("Put together on {made} by the holder of the key you gave, {}.", printable(key))
            }
        });
        if let Some(title) = &self.words.title {
            lines.push(format!("{WORDS}Its maker calls it: {}", quoted(title)));
        }
        lines.push(format!("{WORDS}Its maker says it holds: {}", quoted(&self.words.selection)));
        lines.extend(self.words.notes.iter().map(|n| format!("{WORDS}Its maker's note: {}", quoted(n))));
        lines
    }

    /// What the file does not prove.
    pub fn not_proven(&self) -> Vec<String> {
        let mut lines = vec![match &self.signer {
            Signer::Unsigned => "That nothing was left out: the file proves what is in it. It is not signed, so anybody who has \
                                 such files can make another out of parts of them, with other words about it."
                .to_owned(),
            Signer::Unknown(_) => "That nothing was left out: the file proves what is in it. That this is all there was to find \
                                   is the word of whoever holds the signing key, which was not checked."
                .to_owned(),
            Signer::Checked(_) => "That nothing was left out: the file proves what is in it. That this is all there was to find \
                                   is the signer's word."
                .to_owned(),
        }];
        lines.push("That an event is true: the record shows what was reported, when it was sealed, and that nobody changed it since."
            .to_owned());
        if self.records.iter().any(|r| !r.writer_checked) {
            lines.push(
                "Who wrote it, beyond the ledger's word: --writer VKEY checks the writer's own signature."
                    .to_owned(),
            );
        }
        if self.witnesses.is_none() {
            lines.push(
                "The times, beyond the clocks of ledger and writer, and that the ledger shows everybody the same: \
                 --witness-policy FILE asks for witnesses."
                    .to_owned(),
            );
        }
        let erased = |r: &RecordReport| matches!(r.content, ContentReport::Erased(_));
        if self.records.iter().any(erased) {
            lines.push(
                "That the officers named did sign an erasure: the ledger says so; `audit verify` checks it."
                    .to_owned(),
            );
        }
        let whole = |r: &RecordReport| matches!(&r.content, ContentReport::Shown(s) if s.event.is_some());
        if self.records.iter().any(whole) {
            lines.push(
                "The spelling of an event's text (white space, escapes, a list against an object with numbered names): each \
                 field's name, value and order is proved."
                    .to_owned(),
            );
        }
        lines
    }

    /// All of it as JSON.
    pub fn to_json(&self) -> Value {
        let (signer, checked) = match &self.signer {
            Signer::Unsigned => (None, false),
            Signer::Unknown(key) => (Some(key), false),
            Signer::Checked(key) => (Some(key), true),
        };
        json!({
            "proven": true,
            "kind": "evidence",
            "ledger": self.ledger,
            "checkpoint_blocks": self.blocks,
            "checkpoint_root": self.root,
            "witnesses": self.witnesses.as_ref().map(witnesses_json),
            "created": self.created.to_string(),
            "words": self.words,
            "signer": signer,
            "signer_checked": checked,
            "records": self.records.iter().map(RecordReport::to_json).collect::<Vec<_>>(),
            "not_proven": self.not_proven(),
        })
    }
}

/// The witnesses that saw a checkpoint, as JSON.
pub fn witnesses_json(met: &Met) -> Value {
    let one = |w: &Witnessed| json!({ "name": w.name, "key": w.key, "time": w.time.to_string() });
    json!({ "quorum": met.quorum, "cosigned": met.witnesses.iter().map(one).collect::<Vec<_>>() })
}

/// The witnesses that saw a checkpoint, in a sentence.
pub fn witnessed(met: &Met) -> String {
    if met.witnesses.is_empty() {
        return "The witness policy asks for no witness, and none of its witnesses cosigned.".to_owned();
    }
    let seen = met.witnesses.iter().map(|w| format!("{} on {}", printable(&w.name), when(w.time)));
    format!(
        "The witnesses of your policy saw this checkpoint: {}. That meets the quorum {}.",
        seen.collect::<Vec<_>>().join(", "),
        printable(&met.quorum)
    )
}

impl RecordReport {
    /// Sentences about this record; the first says that it exists.
    pub fn sentences(&self, ledger: &str) -> Vec<String> {
        let writer = if self.writer_checked {
            "whose signature was checked with a key you gave"
        } else {
            "as the ledger says"
        };
        let mut lines = vec![format!(
            "Record {} existed in the ledger {} at the latest on {} (the ledger's clock, block {}); it was sealed on {} by {}, {writer}.",
            record_id(self.record),
            printable(ledger),
            when(self.committed),
            self.block,
            when(self.sealed),
            printable(&self.writer)
        )];
        match &self.content {
            ContentReport::NotShown => lines.push("Nothing is shown of what it says.".to_owned()),
            ContentReport::Erased(e) => lines.push(format!(
                "Its content was ordered to be erased by block {} on {}; reason {}, legal basis: {} (signed, as the ledger says, by {}). \
                 Whether every copy is gone, a file cannot show.",
                e.block,
                when(e.committed),
                printable(&e.reason),
                quoted(&e.legal_basis),
                printable(&e.signed_by.join(", "))
            )),
            ContentReport::Shown(shown) => shown.sentences(&mut lines),
        }
        if let Some(note) = &self.note {
            lines.push(format!("{WORDS}The file's maker says about it: {}", quoted(note)));
        }
        lines
    }

    /// This record as JSON.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "id": record_id(self.record),
            "record": self.record,
            "block": self.block,
            "committed": self.committed.to_string(),
            "sealed": self.sealed.to_string(),
            "writer": self.writer,
            "writer_signature_checked": self.writer_checked,
            "ciphertext_sha256": self.ciphertext_sha256,
            "note": self.note,
        });
        let (state, key, content) = match &self.content {
            ContentReport::NotShown => ("not-shown", "shown", Value::Null),
            ContentReport::Erased(e) => ("erased", "erasure", json!(e)),
            ContentReport::Shown(s) => {
                ("shown", "shown", json!({ "sections": s.sections, "event_as_written_by_exporter": s.event }))
            }
        };
        if let Value::Object(members) = &mut value {
            members.insert("content".to_owned(), state.into());
            members.insert(key.to_owned(), content);
        }
        value
    }
}

impl ShownReport {
    fn sentences(&self, lines: &mut Vec<String>) {
        let shown = |s: &SectionReport| s.shown.len() as u32;
        for section in &self.sections {
            lines.extend(section.shown.iter().map(FieldReport::sentence));
        }
        let hidden: Vec<(u32, &str)> = self
            .sections
            .iter()
            .map(|s| (s.fields.saturating_sub(shown(s)), &*s.name))
            .filter(|(n, _)| *n > 0)
            .collect();
        let one = self.sections.len() == 1;
        let parts: Vec<String> = hidden
            .iter()
            .map(|(n, name)| {
                let fields = count(u64::from(*n), "other field", "other fields");
                if one { fields } else { format!("{fields} in its section {}", quoted(name)) }
            })
            .collect();
        lines.push(if parts.is_empty() {
            "These are all its fields.".to_owned()
        } else {
            format!("Nothing is shown about {}.", parts.join(" and "))
        });
    }
}

impl FieldReport {
    /// `The field /a was "x".` What the event holds cannot end its quotation and go on as our sentence.
    fn sentence(&self) -> String {
        let value = match self.kind {
            "string" => quoted(&self.value),
            "number" => plain_or_quoted(&self.value, |c| {
                c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
            }),
            "empty-object" => "an empty object".to_owned(),
            "empty-array" => "an empty list".to_owned(),
            word => word.to_owned(),
        };
        match &*self.pointer {
            "" => format!("The event was {value}."),
            pointer => format!("The field {} was {value}.", pointer_text(pointer)),
        }
    }
}

/// A text in quotation marks, with those inside it escaped, and of several blanks all but the first: a line cannot be moved out
/// of sight, nor made to look like two.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut blank = false;
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if hides(c) || (blank && c.is_whitespace()) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        blank = c.is_whitespace();
    }
    out.push('"');
    out
}

/// A JSON Pointer as it is, or in quotation marks if it could be taken for something else.
pub(super) fn pointer_text(pointer: &str) -> String {
    plain_or_quoted(pointer, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '~' | '_' | '-' | '.' | '$' | '@')
    })
}

fn plain_or_quoted(text: &str, plain: impl Fn(char) -> bool) -> String {
    if text.chars().all(plain) { printable(text) } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_write_a_sentence_of_its_own() {
        let field = |pointer: &str, kind, value: &str| {
            FieldReport { index: 0, pointer: pointer.to_owned(), kind, value: value.to_owned() }.sentence()
        };
        assert_eq!(
            field("/a", "string", "x\". The field /b was \"y\n"),
            r#"The field /a was "x\". The field /b was \"y\u{a}"."#
        );
        assert_eq!(field("/a:\u{2800}1,/b", "true", ""), r#"The field "/a:\u{2800}1,/b" was true."#);
        assert_eq!(
            field("/é", "string", "a  b \u{3000}c d"),
            r#"The field "/é" was "a \u{20}b \u{3000}c d"."#
        );
        assert_eq!(field("/a~1b_c-d.e/0", "null", ""), "The field /a~1b_c-d.e/0 was null.");
        assert_eq!(field("/a was 1. /b", "true", ""), r#"The field "/a was 1. /b" was true."#);
        assert_eq!(
            field("/n", "number", "1. The field /m was 2"),
            r#"The field /n was "1. The field /m was 2"."#
        );
        assert_eq!(field("/n", "number", "-1.50e+3"), "The field /n was -1.50e+3.");
        assert_eq!(field("", "empty-object", ""), "The event was an empty object.");
    }
}
