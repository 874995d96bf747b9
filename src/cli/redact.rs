//! Secret keys that somebody typed where something else belongs are kept out of messages.

/// What the text of a secret key begins with, in any case.
const SECRET_KEYS: [&str; 2] = ["PRIVATE+KEY+", "AGE-SECRET-KEY-"];

/// `text` without secret keys. For messages: people put keys where names of files or public keys belong, and messages repeat what does
/// not fit and end up in logs.
pub fn without_keys(text: &str) -> String {
    // ASCII only, so that places stay the same.
    let upper = text.to_ascii_uppercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = SECRET_KEYS.iter().filter_map(|k| upper.get(at..)?.find(k)).min() {
        let start = at + found;
        out.push_str(text.get(at..start).unwrap_or_default());
        out.push_str("(a secret key, not shown)");
        let rest = text.get(start..).unwrap_or_default();
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`,;()<>".contains(c);
        at = start + rest.find(ends).unwrap_or(rest.len());
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_secret_keys() {
        for (text, shown) in [
            ("nothing here, PRIVATE KEY", "nothing here, PRIVATE KEY"),
            ("PRIVATE+KEY+a.example+00+QUJD is none", "(a secret key, not shown) is none"),
            ("\"age-secret-key-1QQ\": no", "\"(a secret key, not shown)\": no"),
            (
                "ä=AGE-SECRET-KEY-1A,PRIVATE+KEY+ü+B\nc",
                "ä=(a secret key, not shown),(a secret key, not shown)\nc",
            ),
            ("AGE-SECRET-KEY-", "(a secret key, not shown)"),
        ] {
            assert_eq!(without_keys(text), shown);
        }
    }
}
