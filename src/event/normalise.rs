//! The one spelling of a value that a blind tag is computed from. `docs/FORMAT.md` §5, Blind tags.

use super::field::Scalar;

/// Appends the normalised value: a string's characters, a number's text, `true` or `false`, without
/// ASCII white space (space, tab, line feed, form feed, carriage return) at the ends and with ASCII
/// letters in lower case. Returns whether anything is left; other kinds have no tag.
pub fn normalise_into(value: &Scalar<'_>, out: &mut String) -> bool {
    let text = match value {
        Scalar::String(s) => &**s,
        Scalar::Number(n) => n,
        Scalar::True => "true",
        Scalar::False => "false",
        Scalar::Null | Scalar::EmptyObject | Scalar::EmptyArray => return false,
    };
    let start = out.len();
    out.push_str(text.trim_matches(|c: char| c.is_ascii_whitespace()));
    if let Some(added) = out.get_mut(start..) {
        added.make_ascii_lowercase();
    }
    out.len() > start
}

/// The same for text that someone searches for; `None` if nothing is left of it.
pub fn normalise_text(text: &str) -> Option<String> {
    let mut out = String::new();
    normalise_into(&Scalar::String(text.into()), &mut out).then_some(out)
}

#[cfg(test)]
mod tests {
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
