//! JSON Pointers (RFC 6901), and the patterns of a policy: pointers in which `*` stands for any array index.
//! `docs/FORMAT.md` §5, Blind tags.

use crate::base::limits::{MAX_EVENT_DEPTH, MAX_POINTER_BYTES};

/// A JSON Pointer with at least one token; a token `*` matches every index of an array, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// RFC 6901 §3.
    #[error("is not a JSON Pointer: write it like /actor/user_id, with ~1 for / and ~0 for ~ inside a name")]
    NotAPointer,
    /// The empty pointer means the whole event.
    #[error("means the whole event; name a place inside it, such as /actor/user_id")]
    WholeEvent,
    /// No event reaches this far.
    #[error(
        "is longer or deeper than any event may be ({MAX_POINTER_BYTES} bytes, {MAX_EVENT_DEPTH} levels)"
    )]
    TooLong,
}

impl Pattern {
    /// Checks the syntax.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.is_empty() {
            return Err(PatternError::WholeEvent);
        }
        if !is_pointer(text) {
            return Err(PatternError::NotAPointer);
        }
        if text.len() > MAX_POINTER_BYTES || text.split('/').count() > MAX_EVENT_DEPTH + 1 {
            return Err(PatternError::TooLong);
        }
        Ok(Pattern(text.to_owned()))
    }

    /// The text it was made from.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, escaped as they stand.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Whether some value that this pattern matches contains, or is, one that `inner` matches.
    pub(super) fn may_contain(&self, inner: &Pattern) -> bool {
        self.tokens().count() <= inner.tokens().count()
            && self
                .tokens()
                .zip(inner.tokens())
                .all(|(a, b)| a == b || (a == "*" && index(b).is_some()) || (b == "*" && index(a).is_some()))
    }

    /// Whether this pattern matches `pointer`. For single look-ups; the hot path walks a tree instead.
    pub(super) fn matches(&self, pointer: &str) -> bool {
        let mut theirs = pointer.split('/').skip(1);
        self.tokens().all(|t| theirs.next().is_some_and(|p| t == p || (t == "*" && index(p).is_some())))
            && theirs.next().is_none()
    }
}

/// RFC 6901 §3: empty, or tokens that each start with `/`, with `~` only in `~0` and `~1`.
pub(super) fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

/// RFC 6901 §3: appends a member name as a token, `~` as `~0` and `/` as `~1`.
#[inline]
pub(super) fn push_token(name: &str, pointer: &mut String) {
    pointer.push('/');
    if name.bytes().any(|c| matches!(c, b'~' | b'/')) {
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(name);
    }
}

/// RFC 6901 §4: appends an array index as a token.
pub(super) fn push_index(index: u32, pointer: &mut String) {
    fn digits(n: u32, out: &mut String) {
        if n >= 10 {
            digits(n / 10, out);
        }
        out.push(char::from(b'0' + (n % 10) as u8));
    }
    pointer.push('/');
    digits(index, pointer);
}

/// RFC 6901 §4: an array index, digits without a leading zero.
pub(super) fn index(token: &str) -> Option<u32> {
    let plain = token == "0" || (token.starts_with(|c: char| ('1'..='9').contains(&c)));
    (plain && token.bytes().all(|c| c.is_ascii_digit())).then(|| token.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn syntax_is_that_of_rfc_6901() {
        for good in ["/a", "/", "/a~0b~1c", "/agent/*/who", "/0", "//"] {
            assert_eq!(Pattern::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Pattern::parse(""), Err(PatternError::WholeEvent));
        for bad in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert_eq!(Pattern::parse(bad), Err(PatternError::NotAPointer), "{bad}");
        }
        assert_eq!(Pattern::parse(&"/a".repeat(MAX_EVENT_DEPTH + 1)), Err(PatternError::TooLong));
    }

    #[test]
    fn containment_knows_indices() {
        let p = |t| Pattern::parse(t).unwrap();
        for (a, b, yes) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a/b", "/a", false),
            ("/a/*", "/a/0/c", true),
            ("/a/0", "/a/*", true),
            ("/a/*", "/a/x", false),
            ("/a/*", "/a/01", false),
        ] {
            assert_eq!(p(a).may_contain(&p(b)), yes, "{a} {b}");
        }
        assert!(p("/a/*").matches("/a/12") && !p("/a/*").matches("/a/b") && !p("/a/*").matches("/a/1/b"));
        assert!(p("/a").matches("/a") && !p("/a").matches("/b") && !p("/a").matches(""));
    }
}
