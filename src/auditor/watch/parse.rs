//! From the text of a rules file to [`Rules`]: strict, and every complaint with its line.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::filter::{COLUMNS, Column, Conditions, Filter, Match};
use super::rules::{DAY, DEFAULT_LATE, Hours, Rule, Rules, RulesError, Severity, Test};
use crate::base::limits::*;
use crate::chain::key::is_key_name;

/// A problem at a byte offset of the text.
struct Problem {
    at: usize,
    text: String,
}

type Parsed<T> = Result<T, Problem>;
type Value<'i> = Spanned<DeValue<'i>>;

fn problem<T>(at: usize, text: impl Into<String>) -> Parsed<T> {
    Err(Problem { at, text: text.into() })
}

/// Reads the text of a rules file.
pub(super) fn rules(text: &str) -> Result<Rules, RulesError> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|c| *c == b'\n').count();
    if text.len() > MAX_RULES_BYTES {
        let problem = format!("the file is larger than {MAX_RULES_BYTES} bytes, and so no rules file");
        return Err(RulesError { line: 1, problem });
    }
    let root = DeTable::parse(text).map_err(|e| RulesError {
        line: line(e.span().map_or(0, |s| s.start)),
        problem: e.message().to_owned(),
    })?;
    file(&root).map_err(|p| RulesError { line: line(p.at), problem: p.text })
}

fn file(root: &Spanned<DeTable<'_>>) -> Parsed<Rules> {
    let mut fields = Fields::of(root.get_ref(), root.span().start);
    let late = match fields.take("late") {
        Some(v) => duration(v, "late", 1000, MAX_RULE_LATE)?,
        None => DEFAULT_LATE,
    };
    let list = match fields.take("rule") {
        Some(v) => v.get_ref().as_array().ok_or(Problem { at: at(v), text: "write [[rule]]".into() })?,
        None => {
            return problem(
                0,
                "no rule: write at least one [[rule]]; `audit watch --print-rules` prints a file to start from",
            );
        }
    };
    fields.finish("a rules file holds `late` and any number of [[rule]]")?;
    if list.len() > MAX_RULES {
        return problem(0, format!("{} rules; at most {MAX_RULES} are kept track of", list.len()));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for value in list.iter() {
        let rule = rule(value)?;
        if rules.iter().any(|r| r.name == rule.name) {
            return problem(at(value), format!("there are two rules named {:?}; rename one", rule.name));
        }
        if matches!(rule.test, Test::Fork) && rules.iter().any(|r| matches!(r.test, Test::Fork)) {
            return problem(at(value), "a fork rule is there already; one is enough");
        }
        rules.push(rule);
    }
    Ok(Rules { late, rules })
}

const KINDS: &str = "each, threshold, after-hours, volume, silent-writer, unreadable or fork";

fn rule(value: &Value<'_>) -> Parsed<Rule> {
    let mut f = Fields::of(table(value, "a rule")?, at(value));
    let name = f.need("name")?;
    let (name, name_at) = (string(name, "name")?, at(name));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || name.len() > MAX_RULE_NAME || !name.chars().all(fits) {
        return problem(
            name_at,
            format!("the name {name:?}: choose 1 to {MAX_RULE_NAME} characters of a-z 0-9 . -"),
        );
    }
    let kind = f.need("type")?;
    let (kind, kind_at) = (string(kind, "type")?, at(kind));
    let severity = f.need("severity")?;
    let word = string(severity, "severity")?;
    let Some((_, severity)) = Severity::ALL.iter().find(|(name, _)| *name == word) else {
        return problem(at(severity), format!("severity is {word:?}; choose low, medium, high or critical"));
    };
    let description = f.take("description").map(description).transpose()?;
    let (test, about_events) = match kind.as_str() {
        "each" => (Test::Each { key: f.key(Some("actor"))? }, true),
        "threshold" => (threshold(&mut f)?, true),
        "after-hours" => (Test::AfterHours { key: f.key(Some("actor"))?, hours: hours(&mut f)? }, true),
        "volume" => (volume(&mut f)?, true),
        "silent-writer" => (silent_writer(&mut f)?, false),
        "unreadable" => (Test::Unreadable { window: f.window(Some(DAY / 24))? }, false),
        "fork" => (Test::Fork, false),
        other => return problem(kind_at, format!("type is {other:?}; choose {KINDS}")),
    };
    let filter = if about_events {
        Filter { any: conditions(f.take("where"), "where")?, except: conditions(f.take("except"), "except")? }
    } else {
        Filter::default()
    };
    f.finish(match test {
        Test::Each { .. } => "a rule of type each takes key, where, except",
        Test::Threshold { .. } => "a rule of type threshold takes count, window, key, where, except",
        Test::AfterHours { .. } => {
            "a rule of type after-hours takes zone, from, to, days, holidays, key, where, except"
        }
        Test::Volume { .. } => {
            "a rule of type volume takes window, factor, minimum, history, baseline, key, where, except"
        }
        Test::SilentWriter { .. } => "a rule of type silent-writer takes longer_than, writers",
        Test::Unreadable { .. } => "a rule of type unreadable takes window",
        Test::Fork => "a rule of type fork takes name, severity and description only",
    })?;
    Ok(Rule { name, severity: *severity, description, filter, test })
}

fn threshold(f: &mut Fields<'_, '_>) -> Parsed<Test> {
    let count = f.need("count")?;
    let count = whole(count, "count", 1, i64::from(MAX_RULE_COUNT))? as u32;
    Ok(Test::Threshold { key: f.key(None)?, count, window: f.window(None)? })
}

fn volume(f: &mut Fields<'_, '_>) -> Parsed<Test> {
    let factor = f.need("factor")?;
    let number = match factor.get_ref() {
        DeValue::Float(x) => x.as_str().replace('_', "").parse::<f64>().ok(),
        _ => Some(whole(factor, "factor", 1, 1_000_000)? as f64),
    };
    let Some(number) = number.filter(|x| (1.0..=1e6).contains(x)) else {
        return problem(at(factor), "factor must be a number from 1 to 1000000, such as 5 or 2.5");
    };
    let mut or =
        |name, default: i64, min, max| f.take(name).map_or(Ok(default), |v| whole(v, name, min, max));
    let minimum = or("minimum", 50, 1, i64::from(u32::MAX))? as u64;
    let history = or("history", 24, 1, i64::from(MAX_RULE_HISTORY))? as u32;
    let baseline = or("baseline", 3, 1, i64::from(history))? as u32;
    let key = f.key(Some("actor"))?;
    Ok(Test::Volume { key, window: f.window(None)?, history, baseline, factor: number, minimum })
}

fn silent_writer(f: &mut Fields<'_, '_>) -> Parsed<Test> {
    let longer = f.need("longer_than")?;
    let longer_than = duration(longer, "longer_than", 1000, MAX_RULE_WINDOW)?;
    let list = f.take("writers").map(|v| strings(v, "writers")).transpose()?.unwrap_or_default();
    let mut writers = Vec::new();
    for (name, at) in list {
        if !is_key_name(&name) {
            return problem(
                at,
                format!("{name:?} is no name of a writer: no spaces, control characters or +"),
            );
        }
        writers.push(name);
    }
    Ok(Test::SilentWriter { longer_than, writers })
}

fn hours(f: &mut Fields<'_, '_>) -> Parsed<Hours> {
    let zone = f.need("zone")?;
    let name = string(zone, "zone")?;
    let Ok(zone) = TimeZone::get(&name) else {
        let text = format!(
            "this machine knows no time zone {name:?}; write it like \"Europe/Berlin\" or \"UTC\", and install tzdata if it is right"
        );
        return problem(at(zone), text);
    };
    let (from, to) = (f.need("from")?, f.need("to")?);
    let (from, to, to_at) = (time(from, "from")?, time(to, "to")?, at(to));
    if from == to {
        return problem(to_at, "from and to are the same time: there would be no hours outside");
    }
    let days = match f.take("days") {
        None => WEEK.iter().take(5).map(|(_, d)| *d).collect(),
        Some(v) => {
            let day = |(name, at): (String, usize)| {
                let found = WEEK.iter().find(|(n, _)| *n == name).map(|(_, d)| *d);
                found.ok_or(Problem {
                    at,
                    text: format!("{name:?} is no day; choose of mon tue wed thu fri sat sun"),
                })
            };
            strings(v, "days")?.into_iter().map(day).collect::<Parsed<Vec<_>>>()?
        }
    };
    let holiday = |(text, at): (String, usize)| {
        text.parse::<Date>().map_err(|_| Problem { at, text: format!("{text:?} is no date YYYY-MM-DD") })
    };
    let holidays = f.take("holidays").map(|v| strings(v, "holidays")).transpose()?.unwrap_or_default();
    let holidays = holidays.into_iter().map(holiday).collect::<Parsed<Vec<_>>>()?;
    Ok(Hours { zone, from, to, days, holidays })
}

const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn time(v: &Value<'_>, name: &str) -> Parsed<Time> {
    let text = string(v, name)?;
    let parts = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2);
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i8>().ok()).flatten();
    let parsed = parts.and_then(|(h, m)| Time::new(number(h)?, number(m)?, 0, 0).ok());
    parsed
        .ok_or(Problem { at: at(v), text: format!("{name} is {text:?}; write a time of day like \"07:00\"") })
}

/// `where` and `except`: one table, all of whose conditions must hold, or several, any of which will do.
fn conditions(value: Option<&Value<'_>>, name: &str) -> Parsed<Vec<Conditions>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let tables: Vec<&Value<'_>> = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![value],
    };
    let mut all = Vec::new();
    for one in tables {
        let entries = table(one, name)?;
        let mut conditions = Conditions::new();
        for (column_name, v) in entries {
            let column = column(column_name.get_ref(), column_name.span().start)?;
            conditions.extend(matches(column, v)?.into_iter().map(|m| (column, m)));
        }
        if conditions.is_empty() {
            return problem(at(one), format!("{name} has no condition; name a column, or leave {name} out"));
        }
        all.push(conditions);
    }
    Ok(all)
}

/// `column = "x"`, `["x", "y"]`, `true`, or `{ not = …, prefix = …, not_prefix = …, present = … }`.
fn matches(column: Column, v: &Value<'_>) -> Parsed<Vec<Match>> {
    match v.get_ref() {
        DeValue::Boolean(b) if column.name == "emergency" => Ok(vec![Match::Is(vec![b.to_string()])]),
        DeValue::String(_) | DeValue::Array(_) => Ok(vec![Match::Is(words(column, v, true)?)]),
        DeValue::Table(t) => {
            let mut f = Fields::of(t, at(v));
            let mut all = Vec::new();
            if let Some(w) = f.take("is") {
                all.push(Match::Is(words(column, w, true)?));
            }
            if let Some(w) = f.take("not") {
                all.push(Match::Not(words(column, w, true)?));
            }
            if let Some(w) = f.take("prefix") {
                all.push(Match::Prefix(words(column, w, false)?));
            }
            if let Some(w) = f.take("not_prefix") {
                all.push(Match::NotPrefix(words(column, w, false)?));
            }
            if let Some(w) = f.take("present") {
                let Some(wanted) = w.get_ref().as_bool() else {
                    return problem(at(w), "present is true or false");
                };
                all.push(Match::Present(wanted));
            }
            f.finish("a condition takes is, not, prefix, not_prefix, present")?;
            Ok(all)
        }
        _ => problem(
            at(v),
            format!("{} is compared with text in quotes, a list of such, or {{ not = … }}", column.name),
        ),
    }
}

fn words(column: Column, v: &Value<'_>, whole: bool) -> Parsed<Vec<String>> {
    let list = strings(v, column.name)?;
    if list.is_empty() {
        return problem(at(v), format!("{}: the list is empty and would match nothing", column.name));
    }
    let mut out = Vec::new();
    for (word, at) in list {
        let word = word.trim().to_owned();
        if word.is_empty() {
            return problem(at, format!("{}: write present = false for events without it", column.name));
        }
        let known = column.values.is_empty() || column.values.iter().any(|k| k.eq_ignore_ascii_case(&word));
        if whole && !known {
            let values = column.values.join(", ");
            return problem(at, format!("{} is never {word:?}; it is one of {values}", column.name));
        }
        out.push(word);
    }
    Ok(out)
}

fn column(name: &str, at: usize) -> Parsed<Column> {
    Column::named(name).ok_or_else(|| {
        let all: Vec<&str> = COLUMNS.iter().map(|c| c.name).collect();
        Problem { at, text: format!("{name:?} is no column; the columns are {}", all.join(", ")) }
    })
}

/// The members of a table that nothing has asked for yet.
struct Fields<'t, 'i> {
    left: Vec<(&'t str, usize, &'t Value<'i>)>,
    at: usize,
}

impl<'t, 'i> Fields<'t, 'i> {
    fn of(table: &'t DeTable<'i>, at: usize) -> Self {
        Fields { left: table.iter().map(|(k, v)| (&**k.get_ref(), k.span().start, v)).collect(), at }
    }

    fn take(&mut self, name: &str) -> Option<&'t Value<'i>> {
        let found = self.left.iter().position(|(n, ..)| *n == name)?;
        Some(self.left.swap_remove(found).2)
    }

    fn need(&mut self, name: &str) -> Parsed<&'t Value<'i>> {
        let at = self.at;
        self.take(name).ok_or_else(|| Problem { at, text: format!("this rule needs `{name}`") })
    }

    fn window(&mut self, default: Option<i64>) -> Parsed<i64> {
        match (self.take("window"), default) {
            (Some(v), _) => duration(v, "window", 1000, MAX_RULE_WINDOW),
            (None, Some(default)) => Ok(default),
            (None, None) => problem(self.at, "this rule needs `window`, such as \"5m\""),
        }
    }

    fn key(&mut self, default: Option<&str>) -> Parsed<Vec<Column>> {
        let Some(v) = self.take("key") else {
            return Ok(default.and_then(Column::named).into_iter().collect());
        };
        let mut key = Vec::new();
        for (name, at) in strings(v, "key")? {
            let column = column(&name, at)?;
            if key.contains(&column) {
                return problem(at, format!("key names {name} twice"));
            }
            key.push(column);
        }
        if key.len() > MAX_RULE_KEY {
            return problem(at(v), format!("key names {} columns; at most {MAX_RULE_KEY}", key.len()));
        }
        Ok(key)
    }

    fn finish(self, takes: &str) -> Parsed<()> {
        match self.left.iter().min_by_key(|(_, at, _)| *at) {
            None => Ok(()),
            Some((name, at, _)) => problem(*at, format!("unknown setting `{name}`; {takes}")),
        }
    }
}

fn at(v: &Value<'_>) -> usize {
    v.span().start
}

fn table<'t, 'i>(v: &'t Value<'i>, name: &str) -> Parsed<&'t DeTable<'i>> {
    v.get_ref()
        .as_table()
        .ok_or_else(|| Problem { at: at(v), text: format!("{name} must be a table of settings") })
}

fn string(v: &Value<'_>, name: &str) -> Parsed<String> {
    let text = v.get_ref().as_str().map(str::to_owned);
    text.ok_or_else(|| Problem { at: at(v), text: format!("{name} must be text in quotes") })
}

/// One text, or a list of texts, each with its place.
fn strings(v: &Value<'_>, name: &str) -> Parsed<Vec<(String, usize)>> {
    let list = match v.get_ref() {
        DeValue::Array(list) => {
            list.iter().map(|e| Ok((string(e, name)?, at(e)))).collect::<Parsed<Vec<_>>>()?
        }
        _ => vec![(string(v, name)?, at(v))],
    };
    if list.len() > MAX_RULE_VALUES {
        return problem(at(v), format!("{name} lists {} values; at most {MAX_RULE_VALUES}", list.len()));
    }
    Ok(list)
}

fn description(v: &Value<'_>) -> Parsed<String> {
    let text = string(v, "description")?;
    if text.is_empty() || text.len() > MAX_RULE_DESCRIPTION || text.chars().any(char::is_control) {
        return problem(at(v), format!("description must be 1 to {MAX_RULE_DESCRIPTION} bytes on one line"));
    }
    Ok(text)
}

fn whole(v: &Value<'_>, name: &str, min: i64, max: i64) -> Parsed<i64> {
    let n = v
        .get_ref()
        .as_integer()
        .and_then(|i| i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
    match n {
        Some(n) if (min..=max).contains(&n) => Ok(n),
        _ => problem(at(v), format!("{name} must be a whole number from {min} to {max}")),
    }
}

/// `90s`, `5m`, `2h` or `1d`, in milliseconds.
fn duration(v: &Value<'_>, name: &str, min: i64, max: i64) -> Parsed<i64> {
    let text = string(v, name)?;
    let ms = duration_millis(&text);
    match ms {
        Some(ms) if (min..=max).contains(&ms) => Ok(ms),
        Some(_) => {
            let bounds = (super::alert::span(min), super::alert::span(max));
            problem(at(v), format!("{name} is {text:?}; choose {} to {}", bounds.0, bounds.1))
        }
        None => problem(
            at(v),
            format!("{name} is {text:?}; write a number with s, m, h or d, such as \"90s\" or \"5m\""),
        ),
    }
}

/// `90s`, `5m`, `2h` or `1d` in milliseconds; nothing else.
pub fn duration_millis(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => DAY,
        _ => return None,
    };
    let digits =
        text.get(..text.len() - 1).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse::<i64>().ok()?.checked_mul(unit)
}
