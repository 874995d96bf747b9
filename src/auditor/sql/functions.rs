//! Functions for queries: one that reads the records, and those PostgreSQL has and SQLite has not. Times are texts
//! `YYYY-MM-DDThh:mm:ss.mmmZ`, which compare in order; what is no time gives NULL.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{Span, Unit, Zoned, ZonedRound};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::table::Table;
use crate::auditor::facts::parse_time;
use crate::base::clock::Timestamp;

/// Functions as people see them: how they are called, and what they give.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("now()", "the current time; CURRENT_TIMESTAMP is the same"),
    ("time - INTERVAL '30 days'", "an earlier time; + for a later one; days, hours, months, years and so on"),
    ("date_trunc('day', time)", "the start of that second, minute, hour, day, week, month, quarter or year"),
    ("date_part('hour', time)", "one part of a time as a number; EXTRACT(hour FROM time) is the same"),
    ("to_timestamp(seconds)", "the time so many seconds after 1970"),
    (
        "to_time(text)",
        "a time in any usual spelling, in the one that compares; text::timestamptz is the same",
    ),
    (
        "value ->> 'member'",
        "a member of a JSON value as text; -> as JSON; json_extract(value, '$.a.b') further down",
    ),
    ("jsonb_array_length(value)", "json_array_length, and the other json_ functions of SQLite"),
];

type Result<T> = std::result::Result<T, Error>;

/// Adds the functions to a connection.
pub(super) fn install(conn: &Connection, table: &Arc<Mutex<Table>>) -> Result<()> {
    let fixed = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let table = Arc::clone(table);
    conn.create_scalar_function("record_column", 2, fixed, move |ctx| record_column(ctx, &table))?;
    // Within one statement the time stands still.
    conn.create_scalar_function("now", 0, fixed, |_| Ok(Timestamp::now().to_string()))?;
    conn.create_scalar_function("to_time", 1, fixed, |ctx| Ok(time_in(ctx, 0).map(|t| t.to_string())))?;
    conn.create_scalar_function("shift_time", 3, fixed, |ctx| {
        let by = text_in(ctx, 2).unwrap_or_default();
        let span = interval(&by).ok_or_else(|| {
            user_error(format!(
                "{by:?} is no interval: write a number and a unit, such as '30 days', '24 hours' or '1 year 6 months'"
            ))
        })?;
        let span = if ctx.get::<i64>(1)? < 0 { span.negate() } else { span };
        Ok(zoned_in(ctx, 0).and_then(|t| t.checked_add(span).ok()).and_then(|t| iso(&t)))
    })?;
    conn.create_scalar_function("date_trunc", 2, fixed, |ctx| {
        let unit = unit_in(ctx, 0)?;
        Ok(zoned_in(ctx, 1).and_then(|t| truncate(&t, &unit)).and_then(|t| iso(&t)))
    })?;
    conn.create_scalar_function("date_part", 2, fixed, |ctx| {
        let unit = unit_in(ctx, 0)?;
        Ok(zoned_in(ctx, 1).and_then(|t| part(&t, &unit)))
    })?;
    conn.create_scalar_function("to_timestamp", 1, fixed, |ctx| {
        let seconds: Option<f64> = ctx.get(0)?;
        Ok(seconds.and_then(|s| Timestamp::from_millis((s * 1000.0) as i64)).map(|t| t.to_string()))
    })?;
    conn.create_scalar_function("jsonb_array_length", 1, fixed, |ctx| {
        let json = text_in(ctx, 0).and_then(|t| serde_json::from_str::<serde_json::Value>(&t).ok());
        Ok(json.and_then(|v| Some(v.as_array()?.len() as i64)))
    })
}

fn record_column(ctx: &Context<'_>, table: &Mutex<Table>) -> Result<Value> {
    let index: i64 = ctx.get(0)?;
    let name = ctx.get_raw(1).as_str().map_err(user_error)?;
    let index = u64::try_from(index).map_err(user_error)?;
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let value = table.column(index, name).map_err(user_error)?;
    value.ok_or_else(|| user_error(format!("there is no column {name}")))
}

fn user_error(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::UserFunctionError(e.into())
}

/// An argument as text; `None` for NULL.
fn text_in(ctx: &Context<'_>, at: usize) -> Option<String> {
    match ctx.get_raw(at) {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(n) => Some(n.to_string()),
        ValueRef::Text(t) => Some(String::from_utf8_lossy(t).into_owned()),
    }
}

fn time_in(ctx: &Context<'_>, at: usize) -> Option<Timestamp> {
    match ctx.get_raw(at) {
        ValueRef::Integer(ms) => Timestamp::from_millis(ms),
        _ => parse_time(text_in(ctx, at)?.trim()),
    }
}

fn zoned_in(ctx: &Context<'_>, at: usize) -> Option<Zoned> {
    let t = jiff::Timestamp::from_millisecond(time_in(ctx, at)?.millis()).ok()?;
    Some(t.to_zoned(TimeZone::UTC))
}

fn iso(t: &Zoned) -> Option<String> {
    Timestamp::from_millis(t.timestamp().as_millisecond()).map(|t| t.to_string())
}

fn unit_in(ctx: &Context<'_>, at: usize) -> Result<String> {
    let unit = text_in(ctx, at).unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
        "dow",
        "isodow",
        "doy",
        "epoch",
        "milliseconds",
    ];
    if known.contains(&&*unit) {
        Ok(unit)
    } else {
        Err(user_error(format!("{unit:?} is none of {}", known.join(", "))))
    }
}

/// PostgreSQL documentation, section 9.9.2, date_trunc.
fn truncate(t: &Zoned, unit: &str) -> Option<Zoned> {
    let round = |unit| t.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)).ok();
    let date = t.date();
    let start = match unit {
        "second" => return round(Unit::Second),
        "minute" => return round(Unit::Minute),
        "hour" => return round(Unit::Hour),
        "day" => date,
        "week" => {
            date.checked_sub(Span::new().days(i64::from(date.weekday().to_monday_zero_offset()))).ok()?
        }
        "month" => date.first_of_month(),
        "quarter" => jiff::civil::Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok()?,
        "year" => date.first_of_year(),
        _ => return None,
    };
    start.to_zoned(TimeZone::UTC).ok()
}

/// PostgreSQL documentation, section 9.9.1, extract.
fn part(t: &Zoned, unit: &str) -> Option<f64> {
    Some(match unit {
        "second" => f64::from(t.second()) + f64::from(t.millisecond()) / 1000.0,
        "milliseconds" => f64::from(t.second()) * 1000.0 + f64::from(t.millisecond()),
        "minute" => f64::from(t.minute()),
        "hour" => f64::from(t.hour()),
        "day" => f64::from(t.day()),
        "week" => f64::from(t.date().iso_week_date().week()),
        "month" => f64::from(t.month()),
        "quarter" => f64::from((t.month() - 1) / 3 + 1),
        "year" => f64::from(t.year()),
        "dow" => f64::from(t.weekday().to_sunday_zero_offset()),
        "isodow" => f64::from(t.weekday().to_monday_one_offset()),
        "doy" => f64::from(t.day_of_year()),
        "epoch" => t.timestamp().as_millisecond() as f64 / 1000.0,
        _ => return None,
    })
}

/// An interval as PostgreSQL writes it: numbers with units.
pub(in crate::auditor) fn interval(text: &str) -> Option<Span> {
    let mut span = Span::new();
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        // "30days" is as good as "30 days".
        let end = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, unit) = word.split_at_checked(end)?;
        let number: i64 = number.parse().ok()?;
        let unit = if unit.is_empty() { words.next()? } else { unit };
        let unit = unit.trim_end_matches(',').to_ascii_lowercase();
        span = match unit.as_str() {
            "ms" | "millisecond" | "milliseconds" => {
                span.try_milliseconds(span.get_milliseconds().checked_add(number)?)
            }
            "s" | "sec" | "secs" | "second" | "seconds" => {
                span.try_seconds(span.get_seconds().checked_add(number)?)
            }
            "m" | "min" | "mins" | "minute" | "minutes" => {
                span.try_minutes(span.get_minutes().checked_add(number)?)
            }
            "h" | "hour" | "hours" => span.try_hours(i64::from(span.get_hours()).checked_add(number)?),
            "d" | "day" | "days" => span.try_days(i64::from(span.get_days()).checked_add(number)?),
            "w" | "week" | "weeks" => span.try_weeks(i64::from(span.get_weeks()).checked_add(number)?),
            "mon" | "mons" | "month" | "months" => {
                span.try_months(i64::from(span.get_months()).checked_add(number)?)
            }
            "quarter" | "quarters" => {
                span.try_months(i64::from(span.get_months()).checked_add(number.checked_mul(3)?)?)
            }
            "y" | "year" | "years" => span.try_years(i64::from(span.get_years()).checked_add(number)?),
            _ => return None,
        }
        .ok()?;
    }
    Some(span)
}
