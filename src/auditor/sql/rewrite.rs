//! PostgreSQL spellings that SQLite's grammar does not have, put into ones it has. String literals, quoted names and
//! comments are never touched.
//!
//! | written | becomes |
//! |---|---|
//! | `x - INTERVAL '30 days'`, `x + '1 day'::interval` | `shift_time(x, …)` |
//! | `x::type`, `TIMESTAMP '…'`, `DATE '…'` | a cast; times through `to_time(…)` |
//! | `EXTRACT(hour FROM x)` | `date_part('hour', x)` |
//! | `CURRENT_TIMESTAMP`, `LOCALTIMESTAMP` | `now()` |
//! | `a ILIKE b` | `a LIKE b`, which ignores the case of ASCII letters |
//! | `x #>> '{a,b}'`, `x #> '{a,b}'` | `x ->> '$.a.b'`, `x -> '$.a.b'` |
//! | `x AT TIME ZONE 'UTC'` | `x` |
//!
//! In front of an interval or `::` stands a name, a literal, a parameter, a call or something in parentheses. Anything else
//! is left as it is, and SQLite says where it does not understand.

use super::functions::interval;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// White space and comments.
    Space,
    /// A keyword or name.
    Word,
    /// `"a"`, `` `a` `` or `[a]`.
    Name,
    Number,
    /// `'a'`
    Text,
    /// `?`, `?1`, `$1`, `:a`, `@a`
    Parameter,
    Operator,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    text: String,
}

/// The statements of a text, rewritten; those with nothing in them are left out.
pub(in crate::auditor) fn statements(sql: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut tokens = Vec::new();
    for token in tokenize(sql) {
        if token.kind == Kind::Operator && token.text == ";" {
            all.push(std::mem::take(&mut tokens));
        } else {
            tokens.push(token);
        }
    }
    all.push(tokens);
    all.into_iter().filter(|t| t.iter().any(|t| t.kind != Kind::Space)).map(|t| rewrite(&t)).collect()
}

/// Whether a text ends with a whole statement, so that there is no need to wait for more lines.
pub(in crate::auditor) fn is_complete(sql: &str) -> bool {
    let last = tokenize(sql).into_iter().rfind(|t| t.kind != Kind::Space);
    last.is_none_or(|t| t.kind == Kind::Operator && t.text == ";")
}

/// Whether some literal of a query contains `what`.
pub(in crate::auditor) fn mentions(sql: &str, what: &str) -> bool {
    tokenize(sql).iter().any(|t| t.kind == Kind::Text && t.text.to_ascii_lowercase().contains(what))
}

/// The names that a query mentions, in small letters.
pub(in crate::auditor) fn names(sql: &str) -> Vec<String> {
    let plain = |t: &Token| t.text.trim_matches(|c| matches!(c, '"' | '`' | '[' | ']')).to_ascii_lowercase();
    tokenize(sql).iter().filter(|t| matches!(t.kind, Kind::Word | Kind::Name)).map(plain).collect()
}

fn tokenize(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = token(rest, first);
        let (text, after) = rest.split_at_checked(length.max(first.len_utf8())).unwrap_or((rest, ""));
        tokens.push(Token { kind, text: text.to_owned() });
        rest = after;
    }
    tokens
}

/// Kind and length of the token that `rest` starts with. What is not closed reaches to the end.
fn token(rest: &str, first: char) -> (Kind, usize) {
    let up_to = |end: &str, skip: usize| {
        let body = rest.get(skip..).unwrap_or_default();
        body.find(end).map_or(rest.len(), |at| skip + at + end.len())
    };
    let while_word = |skip: usize| {
        let body = rest.get(skip..).unwrap_or_default();
        skip + body.find(|c: char| !is_word(c)).unwrap_or(body.len())
    };
    match first {
        '-' if rest.starts_with("--") => (Kind::Space, up_to("\n", 2)),
        '/' if rest.starts_with("/*") => (Kind::Space, up_to("*/", 2)),
        c if c.is_ascii_whitespace() => {
            (Kind::Space, rest.find(|c: char| !c.is_ascii_whitespace()).unwrap_or(rest.len()))
        }
        '\'' => (Kind::Text, quoted(rest, '\'')),
        '"' | '`' => (Kind::Name, quoted(rest, first)),
        '[' => (Kind::Name, up_to("]", 1)),
        '0'..='9' => {
            let number = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
            (Kind::Number, rest.find(number).unwrap_or(rest.len()))
        }
        ':' if rest.starts_with("::") => (Kind::Operator, 2),
        '?' | '$' | ':' | '@' => (Kind::Parameter, while_word(1)),
        c if is_word(c) => (Kind::Word, while_word(0)),
        _ => {
            let long = ["->>", "#>>", "->", "#>", "||", "<=", ">=", "<>", "!=", "==", "<<", ">>"];
            (
                Kind::Operator,
                long.iter().find(|o| rest.starts_with(**o)).map_or(first.len_utf8(), |o| o.len()),
            )
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Length of a quoted text, in which the quote is written twice.
fn quoted(rest: &str, quote: char) -> usize {
    let mut at = 1;
    loop {
        let Some(found) = rest.get(at..).and_then(|r| r.find(quote)) else { return rest.len() };
        at += found + 1;
        if !rest.get(at..).is_some_and(|r| r.starts_with(quote)) {
            return at;
        }
        at += 1;
    }
}

/// What is read so far, and what has been written.
struct Rewriter<'t> {
    tokens: std::slice::Iter<'t, Token>,
    out: Vec<Token>,
}

fn rewrite(tokens: &[Token]) -> String {
    let mut r = Rewriter { tokens: tokens.iter(), out: Vec::new() };
    while let Some(token) = r.tokens.next() {
        r.take(token.clone());
    }
    r.out.into_iter().map(|t| t.text).collect::<String>().trim().to_owned()
}

impl Rewriter<'_> {
    fn take(&mut self, token: Token) {
        let word = match token.kind {
            Kind::Word | Kind::Operator => token.text.to_ascii_uppercase(),
            _ => String::new(),
        };
        let done = match word.as_str() {
            "INTERVAL" => self.interval(),
            "::" => {
                let before = self.tokens.clone();
                let done = self.cast();
                if done.is_none() {
                    self.tokens = before;
                }
                done
            }
            "EXTRACT" => self.extract(),
            "TIMESTAMP" | "TIMESTAMPTZ" | "DATE" => self.typed_literal(),
            "AT" => self.time_zone(),
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" => self.put(Kind::Word, "now()"),
            "ILIKE" => self.put(Kind::Word, "LIKE"),
            "#>>" => self.path("->>"),
            "#>" => self.path("->"),
            _ => None,
        };
        if done.is_none() {
            self.out.push(token);
        }
    }

    fn put(&mut self, kind: Kind, text: impl Into<String>) -> Option<()> {
        self.out.push(Token { kind, text: text.into() });
        Some(())
    }

    /// The next tokens that are no white space, as many as `kinds` has, if they are of these kinds. Takes nothing otherwise.
    fn next_are(&mut self, kinds: &[Kind]) -> Option<Vec<Token>> {
        let mut ahead = self.tokens.clone();
        let mut found = Vec::new();
        for kind in kinds {
            found.push(ahead.find(|t| t.kind != Kind::Space).filter(|t| t.kind == *kind)?.clone());
        }
        self.tokens = ahead;
        Some(found)
    }

    /// `± INTERVAL '30 days'`, `± INTERVAL '30' DAY`, `± INTERVAL 30 DAY`
    fn interval(&mut self) -> Option<()> {
        let before = self.tokens.clone();
        let units = |t: &Token| t.text.to_ascii_lowercase();
        let by = if let Some(found) = self.next_are(&[Kind::Text]) {
            let plain = found.first().map(inside)?;
            match plain.trim().parse::<i64>() {
                Ok(_) => format!("{plain} {}", self.next_are(&[Kind::Word])?.first().map(units)?),
                Err(_) => plain,
            }
        } else {
            let found = self.next_are(&[Kind::Number, Kind::Word])?;
            found.iter().map(units).collect::<Vec<_>>().join(" ")
        };
        let done = self.shift(&by);
        if done.is_none() {
            self.tokens = before;
        }
        done
    }

    /// Applies an interval to what stands before the sign that was read last.
    fn shift(&mut self, by: &str) -> Option<()> {
        interval(by)?;
        let at = last_token(&self.out)?;
        let sign = match self.out.get(at).map(|t| (t.kind, t.text.as_str()))? {
            (Kind::Operator, "+") => 1,
            (Kind::Operator, "-") => -1,
            _ => return None,
        };
        let (start, operand) = operand(self.out.get(..at)?)?;
        self.out.truncate(start);
        self.put(Kind::Name, format!("shift_time({operand}, {sign}, '{by}')"))
    }

    /// `x::type`
    fn cast(&mut self) -> Option<()> {
        let mut name = self.next_are(&[Kind::Word])?.first()?.text.to_ascii_lowercase();
        if name == "double" || name == "character" || name == "timestamp" || name == "time" {
            while let Some(more) =
                self.following_word(&["precision", "varying", "with", "without", "time", "zone"])
            {
                name = format!("{name} {more}");
            }
        }
        if name == "interval" {
            let by = self.out.last().filter(|t| t.kind == Kind::Text).map(inside)?;
            let literal = self.out.pop()?;
            let done = self.shift(&by);
            if done.is_none() {
                self.out.push(literal);
            }
            return done;
        }
        let (start, x) = operand(&self.out)?;
        self.out.truncate(start);
        self.put(
            Kind::Name,
            match name.as_str() {
                "json" | "jsonb" => x,
                "int" | "integer" | "bigint" | "smallint" | "int4" | "int8" | "boolean" | "bool" => {
                    format!("CAST({x} AS INTEGER)")
                }
                "float" | "real" | "numeric" | "decimal" | "float8" | "double precision" => {
                    format!("CAST({x} AS REAL)")
                }
                "date" => format!("date({x})"),
                time if time.starts_with("timestamp") => format!("to_time({x})"),
                _ => format!("CAST({x} AS TEXT)"),
            },
        )
    }

    fn following_word(&mut self, words: &[&str]) -> Option<String> {
        let before = self.tokens.clone();
        let word = self.next_are(&[Kind::Word])?.first()?.text.to_ascii_lowercase();
        if words.contains(&&*word) {
            return Some(word);
        }
        self.tokens = before;
        None
    }

    /// `EXTRACT(hour FROM x)`: up to FROM.
    fn extract(&mut self) -> Option<()> {
        let before = self.tokens.clone();
        let found = self.next_are(&[Kind::Operator, Kind::Word, Kind::Word])?;
        match found.as_slice() {
            [open, unit, from] if open.text == "(" && from.text.eq_ignore_ascii_case("from") => {
                self.put(Kind::Word, "date_part")?;
                self.put(Kind::Operator, "(")?;
                self.put(Kind::Text, format!("'{}'", unit.text))?;
                self.put(Kind::Operator, ", ")
            }
            _ => {
                self.tokens = before;
                None
            }
        }
    }

    /// `TIMESTAMP '…'`
    fn typed_literal(&mut self) -> Option<()> {
        let qualified = self.out.iter().rfind(|t| t.kind != Kind::Space).is_some_and(|t| t.text == ".");
        if qualified {
            return None;
        }
        let literal = self.next_are(&[Kind::Text])?;
        self.put(Kind::Name, format!("to_time({})", literal.first()?.text))
    }

    /// `AT TIME ZONE 'UTC'`
    fn time_zone(&mut self) -> Option<()> {
        let before = self.tokens.clone();
        let found = self.next_are(&[Kind::Word, Kind::Word, Kind::Text])?;
        let words: Vec<String> = found.iter().map(|t| t.text.to_ascii_uppercase()).collect();
        if words == ["TIME", "ZONE", "'UTC'"] {
            return Some(());
        }
        self.tokens = before;
        None
    }

    /// `#>> '{a,b}'`
    fn path(&mut self, operator: &str) -> Option<()> {
        let before = self.tokens.clone();
        let literal = self.next_are(&[Kind::Text])?.first().map(inside)?;
        let Some(path) = literal.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
            self.tokens = before;
            return None;
        };
        let step = |s: &str| match s.trim() {
            index if index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() => format!("[{index}]"),
            name => format!(".\"{}\"", name.trim_matches('"')),
        };
        let path: String = path.split(',').map(step).collect();
        self.put(Kind::Operator, operator)?;
        self.put(Kind::Text, format!("'${}'", path.replace('\'', "''")))
    }
}

/// The characters of a string literal.
fn inside(token: &Token) -> String {
    let text = token.text.strip_prefix('\'').unwrap_or(&token.text);
    text.strip_suffix('\'').unwrap_or(text).replace("''", "'")
}

/// Where the last token stands that is no white space.
fn last_token(out: &[Token]) -> Option<usize> {
    out.iter().rposition(|t| t.kind != Kind::Space)
}

/// Longest operand that is rewritten, in bytes: casts of casts would otherwise copy all that is inside them again and again.
const MAX_OPERAND: usize = 4 * 1024;

/// Words that are no operand and, before a parenthesis, call nothing.
const NOT_CALLED: [&str; 17] = [
    "AND", "OR", "NOT", "IN", "WHERE", "SELECT", "BETWEEN", "WHEN", "THEN", "ELSE", "ON", "HAVING", "BY",
    "CASE", "FROM", "AS", "END",
];

/// The operand that `out` ends with, and where it begins: a name, a literal, a parameter, a call, or something in parentheses.
fn operand(out: &[Token]) -> Option<(usize, String)> {
    let end = last_token(out)?;
    let mut start = end;
    let last = out.get(end)?;
    let called = |t: &Token| t.kind == Kind::Word && !NOT_CALLED.contains(&&*t.text.to_ascii_uppercase());
    if last.kind == Kind::Word && !called(last) {
        return None;
    }
    if last.kind == Kind::Operator {
        if last.text != ")" {
            return None;
        }
        let mut depth = 1;
        let mut bytes = 0;
        while depth > 0 {
            start = start.checked_sub(1)?;
            let token = out.get(start)?;
            bytes += token.text.len();
            if bytes > MAX_OPERAND {
                return None;
            }
            match (token.kind, token.text.as_str()) {
                (Kind::Operator, ")") => depth += 1,
                (Kind::Operator, "(") => depth -= 1,
                _ => {}
            }
        }
        if start.checked_sub(1).and_then(|before| out.get(before)).is_some_and(called) {
            start -= 1;
        }
    }
    let is_dot = |t: &Token| t.kind == Kind::Operator && t.text == ".";
    while start.checked_sub(1).and_then(|before| out.get(before)).is_some_and(is_dot) {
        start = start.checked_sub(2)?;
    }
    let text: String = out.get(start..=end)?.iter().map(|t| t.text.as_str()).collect();
    (text.len() <= MAX_OPERAND).then_some((start, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_cut_into_tokens_without_loss(text in "[ -~é'\"`\\[\\]\n$?:#>;()-]{0,60}") {
            let tokens = tokenize(&text);
            prop_assert!(tokens.iter().all(|t| !t.text.is_empty()));
            prop_assert_eq!(tokens.into_iter().map(|t| t.text).collect::<String>(), text.clone());
            // Whatever it is, it does not panic, and literals stay.
            let statement = format!("SELECT 'INTERVAL ''1 day'' ILIKE {}'", text.replace('\'', "''"));
            prop_assert_eq!(statements(&statement), vec![statement.trim().to_owned()]);
            statements(&text);
        }
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for text in [
            "SELECT INTERVAL '1 day'",
            "SELECT a * INTERVAL '1 day'",
            "SELECT a - INTERVAL 'a while'",
            "SELECT -INTERVAL '1 day'",
            "SELECT a AT TIME ZONE 'Europe/Berlin'",
            "SELECT extract, date FROM t WHERE date = 1",
            "SELECT a #>> b",
            "SELECT :: text",
            ") - INTERVAL '1 day'",
        ] {
            assert_eq!(statements(text), [text]);
        }
    }
}
