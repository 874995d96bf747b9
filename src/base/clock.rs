//! Time: the one place that reads the system clock, and RFC 3339 text in UTC with milliseconds.

use std::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z, written as `2026-11-20T23:40:11.123Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

/// Length of the only accepted text form.
const TEXT_LEN: usize = "2026-11-20T23:40:11.123Z".len();
/// 9999-12-31T23:59:59.999Z, the last time with a four-digit year.
const MAX_MILLIS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The system clock, now.
    pub fn now() -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond().clamp(0, MAX_MILLIS))
    }

    /// From milliseconds since 1970; `None` before 1970 or after the year 9999.
    pub fn from_millis(ms: i64) -> Option<Timestamp> {
        (0..=MAX_MILLIS).contains(&ms).then_some(Timestamp(ms))
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The exact form of [`Display`](std::fmt::Display), nothing else that RFC 3339 would allow: one
    /// time has one spelling.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let t: jiff::Timestamp = (text.len() == TEXT_LEN).then(|| text.parse().ok())??;
        let t = Timestamp::from_millis(t.as_millisecond())?;
        (t.to_string() == text).then_some(t)
    }

    /// The date `YYYY-MM-DD`, in UTC.
    pub fn date(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// The same time of day `years` later (29 February becomes 1 March's eve, 28 February).
    pub fn plus_years(self, years: u16) -> Timestamp {
        let text = self.to_string();
        let year: u32 = text[..4].parse().unwrap_or(9999) + u32::from(years);
        let month_day = if &text[5..10] == "02-29" { "02-28" } else { &text[5..10] };
        Timestamp::parse(&format!("{year:04}-{month_day}{}", &text[10..])).unwrap_or(Timestamp(MAX_MILLIS))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => Err(std::fmt::Error),
        }
    }
}

/// Whether `text` is a date `YYYY-MM-DD` that exists.
pub fn is_date(text: &str) -> bool {
    Timestamp::parse(&format!("{text}T00:00:00.000Z")).is_some()
}

/// A reading of the monotonic clock, for ages and time-outs.
pub fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_time_has_one_spelling() {
        let t = Timestamp::parse("2026-11-20T23:40:11.123Z").unwrap();
        assert_eq!(t.to_string(), "2026-11-20T23:40:11.123Z");
        assert_eq!(t.date(), "2026-11-20");
        for bad in [
            "2026-11-20T23:40:11Z",
            "2026-11-20t23:40:11.123z",
            "2026-11-20T23:40:60.000Z",
            "2026-02-30T00:00:00.000Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
        assert!(is_date("2032-02-29") && !is_date("2031-02-29"));
    }

    #[test]
    fn years_are_added_by_the_calendar() {
        let t = Timestamp::parse("2028-02-29T01:02:03.004Z").unwrap();
        assert_eq!(t.plus_years(6).to_string(), "2034-02-28T01:02:03.004Z");
    }
}
