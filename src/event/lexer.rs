//! The tokens of JSON: white space, strings and numbers as RFC 8259 writes them. Every function takes
//! the whole text and a position and returns the position behind the token.

use std::borrow::Cow;

use super::error::{EventError, Rule};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// RFC 8259 §2: the position of the first byte that is no white space.
#[inline]
pub(super) fn skip_space(b: &[u8], mut i: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = b.get(i) {
        i += 1;
    }
    i
}

/// The bytes without white space at their end.
pub(super) fn trim_end(b: &[u8]) -> &[u8] {
    let end = b.iter().rposition(|c| !matches!(c, b' ' | b'\n' | b'\r' | b'\t')).map_or(0, |p| p + 1);
    b.get(..end).unwrap_or_default()
}

/// The error for a byte that is not `what`, or for the end of the text in its place.
#[cold]
pub(super) fn expected(b: &[u8], i: usize, what: &'static str) -> EventError {
    let rule = if i < b.len() { Rule::Expected(what) } else { Rule::Truncated };
    EventError::new(rule, i.min(b.len()))
}

/// A string token: where it ends, and whether its characters differ from its bytes.
#[derive(Clone, Copy)]
pub(super) struct Quoted {
    /// Position behind the closing quote.
    pub end: usize,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

/// RFC 8259 §7: scans the string whose opening quote is at `i`. Escapes are only skipped here;
/// [`unescape`] checks them.
#[inline]
pub(super) fn string(b: &[u8], i: usize) -> Result<Quoted, EventError> {
    let mut at = i + 1;
    let mut escaped = false;
    loop {
        at = ordinary(b, at);
        match b.get(at) {
            Some(b'"') => return Ok(Quoted { end: at + 1, escaped }),
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(_) => return Err(EventError::new(Rule::ControlCharacter, at)),
            None => return Err(EventError::new(Rule::Truncated, b.len())),
        }
    }
}

/// Position of the first quote, backslash or control character from `at` on, eight bytes at a time.
#[inline]
fn ordinary(b: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = b.get(at..at + 8).and_then(|c| <[u8; 8]>::try_from(c).ok()) {
        let x = u64::from_le_bytes(chunk);
        let zero_in = |v: u64| v.wrapping_sub(ONES) & !v;
        let quote = zero_in(x ^ (ONES * 0x22));
        let backslash = zero_in(x ^ (ONES * 0x5c));
        let control = x.wrapping_sub(ONES * 0x20) & !x;
        // Borrows only travel upwards, so the lowest hit is a true one.
        let hits = (quote | backslash | control) & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while b.get(at).is_some_and(|c| *c >= 0x20 && *c != b'"' && *c != b'\\') {
        at += 1;
    }
    at
}

/// The characters of `raw`, the inside of a string token that starts at `offset`.
#[inline]
pub(super) fn characters(raw: &str, escaped: bool, offset: usize) -> Result<Cow<'_, str>, EventError> {
    if !escaped {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::new();
    unescape(raw, offset, &mut out)?;
    Ok(Cow::Owned(out))
}

/// RFC 8259 §7: appends the characters of `raw`, the inside of a string token that starts at `offset`.
pub(super) fn unescape(raw: &str, offset: usize, out: &mut String) -> Result<(), EventError> {
    let mut rest = raw;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        let at = offset + raw.len() - after.len() - 1;
        let bad = EventError::new(Rule::BadEscape, at);
        let (letter, tail) = after.split_at_checked(1).ok_or(bad)?;
        rest = tail;
        out.push(match letter {
            "\"" | "\\" | "/" => letter.chars().next().ok_or(bad)?,
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let first = hex4(&mut rest).ok_or(bad)?;
                let lone = EventError::new(Rule::LoneSurrogate, at);
                match first {
                    0xd800..=0xdbff => {
                        rest = rest.strip_prefix("\\u").ok_or(lone)?;
                        let second = hex4(&mut rest).ok_or(bad)?;
                        if !(0xdc00..=0xdfff).contains(&second) {
                            return Err(lone);
                        }
                        let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        char::from_u32(c).ok_or(lone)?
                    }
                    _ => char::from_u32(first).ok_or(lone)?,
                }
            }
            _ => return Err(bad),
        });
    }
    out.push_str(rest);
    Ok(())
}

fn hex4(rest: &mut &str) -> Option<u32> {
    let (digits, tail) = rest.split_at_checked(4)?;
    *rest = tail;
    digits.bytes().try_fold(0, |n, d| Some(n * 16 + (d as char).to_digit(16)?))
}

/// RFC 8259 §6: number = [ minus ] int [ frac ] [ exp ]. Starts at a minus or a digit.
#[inline]
pub(super) fn number(b: &[u8], mut i: usize) -> Result<usize, EventError> {
    let digits = |mut i: usize| {
        let start = i;
        while b.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        if i > start { Ok(i) } else { Err(bad_number(b, i)) }
    };
    if b.get(i) == Some(&b'-') {
        i += 1;
    }
    i = if b.get(i) == Some(&b'0') { i + 1 } else { digits(i)? };
    if b.get(i) == Some(&b'.') {
        i = digits(i + 1)?;
    }
    if let Some(b'e' | b'E') = b.get(i) {
        let signed = matches!(b.get(i + 1), Some(b'+' | b'-'));
        i = digits(i + 1 + usize::from(signed))?;
    }
    if b.get(i).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'-')) {
        return Err(bad_number(b, i));
    }
    Ok(i)
}

#[cold]
fn bad_number(b: &[u8], i: usize) -> EventError {
    EventError::new(if i < b.len() { Rule::BadNumber } else { Rule::Truncated }, i)
}
