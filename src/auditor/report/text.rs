//! Words of reports: numbers, lists, names, and event text made safe to look at.

use crate::event::normalise::plain_reference;
use std::collections::HashMap;

use crate::auditor::facts::Facts;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_REPORT_CELL_CHARS, MAX_REPORT_KEYS};
pub use crate::event::view::printable as shown;

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 record`, `2,000 records`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// `3 of 12 (25%)`.
pub fn share(part: u64, whole: u64) -> String {
    match part.saturating_mul(100).checked_div(whole) {
        Some(percent) => format!("{} of {} ({percent}%)", thousands(part), thousands(whole)),
        None => thousands(part),
    }
}

/// A length of time in milliseconds, in its two largest units.
pub fn duration(ms: i64) -> String {
    let seconds = ms.unsigned_abs() / 1000;
    let units = [
        (seconds / 86_400, "day", "days"),
        (seconds / 3600 % 24, "hour", "hours"),
        (seconds / 60 % 60, "minute", "minutes"),
    ];
    let first = units.iter().position(|(n, ..)| *n > 0);
    match first {
        None => count(seconds, "second", "seconds"),
        Some(at) => {
            let parts: Vec<String> = units
                .iter()
                .skip(at)
                .take(2)
                .filter(|(n, ..)| *n > 0)
                .map(|(n, one, many)| count(*n, one, many))
                .collect();
            parts.join(" ")
        }
    }
}

/// Text for a cell or a name. What is too long is cut; its hash then keeps different texts different.
pub fn clip(text: &str) -> String {
    let Some((cut, _)) = text.char_indices().nth(MAX_REPORT_CELL_CHARS) else { return text.to_owned() };
    let hash = Hash::of(&[text.as_bytes()]).hex();
    let kept = text.get(..cut).unwrap_or_default();
    format!(
        "{kept}… ({} characters, SHA-256 {}…)",
        thousands(text.chars().count() as u64),
        hash.get(..8).unwrap_or_default()
    )
}

/// FHIR writes `Practitioner/dr-smith` where an application writes `dr-smith`: for a report they are one person.
pub fn person(text: &str) -> &str {
    const KIND: &str = "Practitioner/";
    let text = plain_reference(text);
    match text.rfind(KIND) {
        Some(at) if at == 0 || text.get(..at).is_some_and(|t| t.ends_with('/')) => {
            text.get(at + KIND.len()..).filter(|t| !t.is_empty()).unwrap_or(text)
        }
        _ => text,
    }
}

/// The patient's identifier without the kinds of prefix events put before it.
pub fn patient(text: &str) -> &str {
    let text =
        text.rfind("Patient/").and_then(|at| text.get(at + 8..)).filter(|t| !t.is_empty()).unwrap_or(text);
    text.strip_prefix("patient:").filter(|t| !t.is_empty()).unwrap_or(text)
}

/// Whether two identifiers are the same but for case and white space around them, as blind tags see it.
pub fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

/// Names of staff: as the events write them, or replaced by the role and a number.
#[derive(Default)]
pub struct Staff {
    hide: bool,
    numbers: HashMap<String, usize>,
}

impl Staff {
    /// `hide`: replace names.
    pub fn new(hide: bool) -> Staff {
        Staff { hide, numbers: HashMap::new() }
    }

    /// What to call who did it; `None` if the event does not say. Numbers follow the order of first appearance in the ledger.
    pub fn name(&mut self, facts: &Facts) -> Option<String> {
        let actor =
            facts.actor.as_deref().or(facts.actor_name.as_deref()).filter(|a| !a.trim().is_empty())?;
        let id = person(actor.trim());
        if !self.hide {
            return Some(clip(id));
        }
        let key = clip(id).to_ascii_lowercase();
        let next = self.numbers.len() + 1;
        match self.numbers.get(&key) {
            Some(n) => Some(format!("Staff member {n}")),
            None if next > MAX_REPORT_KEYS => Some("Staff member (not numbered)".to_owned()),
            None => {
                self.numbers.insert(key, next);
                Some(format!("Staff member {next}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!((thousands(0).as_str(), thousands(999).as_str()), ("0", "999"));
        assert_eq!((thousands(1000).as_str(), thousands(1_234_567).as_str()), ("1,000", "1,234,567"));
        assert_eq!(count(1, "record", "records"), "1 record");
        assert_eq!((share(1, 3).as_str(), share(0, 0).as_str()), ("1 of 3 (33%)", "0"));
        assert_eq!((duration(59_000).as_str(), duration(86_400_000).as_str()), ("59 seconds", "1 day"));
        assert_eq!(duration(2 * 86_400_000 + 3 * 3_600_000 + 1000), "2 days 3 hours");
        assert_eq!(person("Practitioner/dr-smith"), "dr-smith");
        assert_eq!(person("https://ehr.example/fhir/Practitioner/dr-smith"), "dr-smith");
        assert_eq!(
            (person("SomePractitioner/x"), person("Practitioner/")),
            ("SomePractitioner/x", "Practitioner/")
        );
        assert_eq!(
            (person("Patient/x"), patient("Patient/x"), patient("patient:PT-1")),
            ("Patient/x", "x", "PT-1")
        );
        assert!(same(" PAT-1", "pat-1") && !same("PAT-1", "PAT-11"));
    }

    #[test]
    fn long_text_is_cut_and_stays_different() {
        let long = "ä".repeat(MAX_REPORT_CELL_CHARS);
        assert_eq!(clip(&long), long);
        let (a, b) = (clip(&format!("{long}a")), clip(&format!("{long}b")));
        assert!(a.chars().count() < MAX_REPORT_CELL_CHARS + 50 && a != b, "{a}");
    }

    #[test]
    fn nothing_invisible_is_left() {
        for bad in ['\u{202e}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{7}', '\u{2066}', '\u{feff}'] {
            let text = shown(&format!("a{bad}b"));
            assert!(!text.contains(bad) && text.contains("\\u{"), "{text}");
        }
        assert_eq!(shown("Ärztin שלום"), "Ärztin שלום");
    }

    #[test]
    fn hidden_staff_have_stable_numbers() {
        let mut staff = Staff::new(true);
        let mut name = |a: &str| staff.name(&Facts { actor: Some(a.to_owned()), ..Facts::default() });
        assert_eq!(name("dr-smith").as_deref(), Some("Staff member 1"));
        assert_eq!(name("nurse").as_deref(), Some("Staff member 2"));
        assert_eq!(name("Practitioner/DR-SMITH").as_deref(), Some("Staff member 1"));
        assert_eq!(name(" "), None);
    }
}
