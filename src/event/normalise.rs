//! The one spelling of a value that a blind tag is computed from. `docs/FORMAT.md` §5, Blind tags.

use super::field::Scalar;

/// Appends the normalised value: a string's characters, a number's text, `true` or `false`, without
/// ASCII white space (space, tab, line feed, form feed, carriage return) at the ends, as a plain FHIR reference if it is one, and with
/// ASCII letters in lower case. Returns whether anything is left; other kinds have no tag.
pub fn normalise_into(value: &Scalar<'_>, out: &mut String) -> bool {
    let text = match value {
        Scalar::String(s) => &**s,
        Scalar::Number(n) => n,
        Scalar::True => "true",
        Scalar::False => "false",
        Scalar::Null | Scalar::EmptyObject | Scalar::EmptyArray => return false,
    };
    let start = out.len();
    out.push_str(plain_reference(text.trim_matches(|c: char| c.is_ascii_whitespace())));
    if let Some(added) = out.get_mut(start..) {
        added.make_ascii_lowercase();
    }
    out.len() > start
}

/// FHIR resource types whose references are brought to one form: people and those who act for them.
pub const REFERENCE_TYPES: [&str; 8] = [
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Device",
    "RelatedPerson",
    "Person",
    "Group",
];

/// A FHIR reference (R4 §2.3.0.1) without base address and version: `https://host/fhir/Patient/7/_history/2` and
/// `Patient/7` name the same patient. Other text stays as it is.
pub fn plain_reference(text: &str) -> &str {
    if !text.contains('/') {
        return text;
    }
    let versioned = text.rsplit_once("/_history/").filter(|(_, version)| !version.contains('/'));
    let unversioned = versioned.map_or(text, |(reference, _)| reference);
    let Some((front, id)) = unversioned.rsplit_once('/') else { return text };
    let (base, kind) = front.rsplit_once('/').map_or(("", front), |(base, kind)| (base, kind));
    let is_base = base.is_empty() || base.starts_with("http://") || base.starts_with("https://");
    if !is_base || id.is_empty() || !REFERENCE_TYPES.contains(&kind) || front.starts_with('/') {
        return text;
    }
    unversioned.get(unversioned.len() - kind.len() - 1 - id.len()..).unwrap_or(text)
}

/// The same for text that someone searches for; `None` if nothing is left of it.
pub fn normalise_text(text: &str) -> Option<String> {
    let mut out = String::new();
    normalise_into(&Scalar::String(text.into()), &mut out).then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_ascii_changes() {
        let n = |t| normalise_text(t);
        assert_eq!(n(" \t\r\n\x0cDr-Smith 7 ").as_deref(), Some("dr-smith 7"));
        assert_eq!(n("ÄRZTIN\u{a0}").as_deref(), Some("Ärztin\u{a0}"));
        assert_eq!(n("\x0b").as_deref(), Some("\x0b"), "vertical tab is no white space here");
        assert_eq!(n("  "), None);
    }

    #[test]
    fn references_have_one_form() {
        let n = |t| normalise_text(t).unwrap();
        for same in [
            "Patient/7a",
            " Patient/7A ",
            "Patient/7a/_history/3",
            "http://h/Patient/7a",
            "https://h:1/fhir/r4/Patient/7a/_history/9",
        ] {
            assert_eq!(n(same), "patient/7a", "{same}");
        }
        for (other, stays) in [
            ("patient/7a/_history/3", "patient/7a/_history/3"),
            ("Observation/7", "observation/7"),
            ("/Patient/7", "/patient/7"),
            ("ftp://h/Patient/7", "ftp://h/patient/7"),
            ("https://h/Patient/7/x", "https://h/patient/7/x"),
            ("https://h/Patient/", "https://h/patient/"),
            ("Patient/7/_history/", "patient/7"),
            ("a/Patient/7", "a/patient/7"),
        ] {
            assert_eq!(n(other), stays);
        }
    }

    #[test]
    fn kinds() {
        let n = |v| {
            let mut s = String::from("kept");
            let some = normalise_into(&v, &mut s);
            (some, s)
        };
        assert_eq!(n(Scalar::Number("1E5")), (true, "kept1e5".into()));
        assert_eq!(n(Scalar::True), (true, "kepttrue".into()));
        assert_eq!(n(Scalar::False), (true, "keptfalse".into()));
        for none in [Scalar::Null, Scalar::EmptyArray, Scalar::EmptyObject] {
            assert_eq!(n(none), (false, "kept".into()));
        }
    }
}
