//! Times as people give and read them: time zones, dates that stand for whole days, working hours.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use crate::base::clock::Timestamp;

/// A time, zone or working hours that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// No date and no time.
    #[error("{0:?} is no date and no time: write 2026-01-31, 2026-01-31T14:30 or 2026-01-31T14:30:00+01:00")]
    Moment(String),
    /// No time zone.
    #[error(
        "{0:?} is no time zone known here: write a name such as Europe/Berlin or America/New_York, or UTC, or an offset such as +01:00"
    )]
    Zone(String),
    /// No working hours.
    #[error("{0:?} are no working hours: write for example 07:00-19:00")]
    Hours(String),
    /// No days of the week.
    #[error("{0:?} are no days of the week: write for example mon-fri, or mon,tue,thu, or all")]
    Days(String),
}

/// A time zone with the name it was given by.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A time as the clocks of a zone show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Day of the week, Monday being 0.
    pub weekday: usize,
    /// Minutes since midnight.
    pub minute: u16,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// An IANA name, `UTC` or `Z`, or an offset such as `+01:00`.
    pub fn parse(text: &str) -> Result<Zone, PeriodError> {
        let text = text.trim();
        let wrong = || PeriodError::Zone(text.to_owned());
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Ok(Zone::utc());
        }
        let zone = if text.starts_with(['+', '-']) {
            TimeZone::fixed(offset(text).ok_or_else(wrong)?)
        } else {
            TimeZone::get(text).map_err(|_| wrong())?
        };
        let name = zone.iana_name().unwrap_or(text).to_owned();
        Ok(Zone { name, zone })
    }

    /// The name it goes by.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn zoned(&self, t: Timestamp) -> jiff::Zoned {
        // A timestamp is between 1970 and 9999, which jiff covers.
        jiff::Timestamp::from_millisecond(t.millis()).unwrap_or_default().to_zoned(self.zone.clone())
    }

    /// What the clocks of the zone show.
    pub fn local(&self, t: Timestamp) -> Local {
        let z = self.zoned(t);
        Local {
            day: day_number(z.date()),
            weekday: z.weekday().to_monday_zero_offset().unsigned_abs().into(),
            minute: z.hour().unsigned_abs() as u16 * 60 + u16::from(z.minute().unsigned_abs()),
        }
    }

    /// `2026-01-31 14:30:00`, followed by the offset unless the zone is UTC.
    pub fn show(&self, t: Timestamp) -> String {
        let format = if self.name == "UTC" { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S %:z" };
        self.zoned(t).strftime(format).to_string()
    }

    /// `2026-01-31`.
    pub fn show_date(&self, t: Timestamp) -> String {
        self.zoned(t).date().to_string()
    }

    /// The first moment that `text` stands for: of a date the start of the day.
    pub fn first(&self, text: &str) -> Result<Timestamp, PeriodError> {
        self.moment(text).map(|(first, _)| first)
    }

    /// The last moment that `text` stands for: of a date the last millisecond of the day, of a time without fractions that of
    /// its second (or minute).
    pub fn last(&self, text: &str) -> Result<Timestamp, PeriodError> {
        self.moment(text).map(|(_, last)| last)
    }

    fn moment(&self, text: &str) -> Result<(Timestamp, Timestamp), PeriodError> {
        let text = text.trim();
        self.read_moment(text).ok_or_else(|| PeriodError::Moment(text.to_owned()))
    }

    fn read_moment(&self, text: &str) -> Option<(Timestamp, Timestamp)> {
        if text.len() == 10 {
            let date: civil::Date = text.parse().ok()?;
            let start =
                |d: civil::Date| Some(d.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond());
            return pair(start(date)?, start(date.tomorrow().ok()?)? - 1);
        }
        let first = match text.parse::<jiff::Timestamp>() {
            Ok(t) => t,
            Err(_) => text.parse::<civil::DateTime>().ok()?.to_zoned(self.zone.clone()).ok()?.timestamp(),
        };
        let clock = text.get(11..)?.split(['Z', 'z', '+', '-', '[']).next()?;
        let length = match (clock.contains('.'), clock.matches(':').count()) {
            (true, _) => 1,
            (false, 1) => 60_000,
            (false, 2) => 1_000,
            (false, _) => return None,
        };
        pair(first.as_millisecond(), first.as_millisecond() + length - 1)
    }
}

fn pair(first: i64, last: i64) -> Option<(Timestamp, Timestamp)> {
    Some((Timestamp::from_millis(first)?, Timestamp::from_millis(last)?))
}

/// Days since 1970-01-01.
fn day_number(date: civil::Date) -> i32 {
    let epoch = civil::date(1970, 1, 1);
    epoch.until(date).map_or(0, |span| span.get_days())
}

/// The date of a [`Local::day`].
pub fn date_of(day: i32) -> civil::Date {
    civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day.clamp(-400, 2_932_896)))
}

/// `+01:00`, up to 14 hours.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number =
        |t: &str| t.parse::<i32>().ok().filter(|_| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

/// When people are expected to work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkingHours {
    /// First minute of the day, from midnight.
    pub from: u16,
    /// Minute after the last. Below `from`, the hours go over midnight.
    pub to: u16,
    /// Days of the week, Monday first.
    pub days: [bool; 7],
}

impl Default for WorkingHours {
    /// 07:00 to 19:00, Monday to Friday.
    fn default() -> Self {
        WorkingHours { from: 7 * 60, to: 19 * 60, days: [true, true, true, true, true, false, false] }
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl WorkingHours {
    /// Hours as `07:00-19:00` and days as `mon-fri`, `mon,wed` or `all`.
    pub fn parse(hours: &str, days: &str) -> Result<WorkingHours, PeriodError> {
        let (from, to) = read_hours(hours.trim()).ok_or_else(|| PeriodError::Hours(hours.to_owned()))?;
        let days = read_days(days).ok_or_else(|| PeriodError::Days(days.to_owned()))?;
        Ok(WorkingHours { from, to, days })
    }

    /// Whether a time is within them. Hours that go over midnight belong to the day they begin on.
    pub fn include(&self, local: Local) -> bool {
        let day = |d: usize| self.days.get(d).copied().unwrap_or(false);
        let (today, yesterday) = (day(local.weekday), day((local.weekday + 6) % 7));
        if self.from < self.to {
            today && (self.from..self.to).contains(&local.minute)
        } else {
            (today && local.minute >= self.from) || (yesterday && local.minute < self.to)
        }
    }
}

impl std::fmt::Display for WorkingHours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clock = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
        write!(f, "{} to {}, ", clock(self.from), clock(self.to))?;
        let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let on: Vec<&str> = names.iter().zip(self.days).filter(|(_, on)| *on).map(|(n, _)| *n).collect();
        match (self.days, on.as_slice()) {
            ([true, true, true, true, true, false, false], _) => f.write_str("Monday to Friday"),
            (_, [_, _, _, _, _, _, _]) => f.write_str("every day"),
            (_, on) => f.write_str(&on.join(", ")),
        }
    }
}

fn read_hours(text: &str) -> Option<(u16, u16)> {
    let clock = |t: &str| {
        let (hour, minute) = t.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        // The hour first: a number beyond it would not fit when it is multiplied.
        (hour <= 24 && minute < 60).then(|| hour * 60 + minute).filter(|m| *m <= 24 * 60)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    (from != to && from < 24 * 60).then_some((from, to))
}

fn read_days(text: &str) -> Option<[bool; 7]> {
    let number = |t: &str| DAYS.iter().position(|d| t.trim().to_ascii_lowercase().starts_with(d));
    let mut days = [false; 7];
    if text.trim().eq_ignore_ascii_case("all") {
        return Some([true; 7]);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_date_is_the_whole_day_of_its_zone() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(berlin.first("2026-01-31").unwrap(), at("2026-01-30T23:00:00.000Z"));
        assert_eq!(berlin.last("2026-01-31").unwrap(), at("2026-01-31T22:59:59.999Z"));
        // The day summer time begins has 23 hours.
        let day = (berlin.first("2026-03-29").unwrap(), berlin.last("2026-03-29").unwrap());
        assert_eq!(day.1.millis() - day.0.millis() + 1, 23 * 3_600_000);
        assert_eq!(Zone::utc().last("2026-01-31").unwrap(), at("2026-01-31T23:59:59.999Z"));
    }

    #[test]
    fn a_time_is_as_long_as_it_is_exact() {
        let utc = Zone::utc();
        assert_eq!(utc.last("2026-01-31T14:30:05Z").unwrap(), at("2026-01-31T14:30:05.999Z"));
        assert_eq!(utc.last("2026-01-31T14:30:05.5+01:00").unwrap(), at("2026-01-31T13:30:05.500Z"));
        assert_eq!(utc.last("2026-01-31T14:30").unwrap(), at("2026-01-31T14:30:59.999Z"));
        assert_eq!(
            Zone::parse("+02:00").unwrap().first("2026-01-31 14:30").unwrap(),
            at("2026-01-31T12:30:00.000Z")
        );
        assert_eq!(
            Zone::parse("-05:30").unwrap().first("2026-01-31 14:30").unwrap(),
            at("2026-01-31T20:00:00.000Z")
        );
        for bad in [
            "",
            "yesterday",
            "2026-02-30",
            "31.01.2026",
            "2026-1-31",
            "1969-12-31",
            "2026-01-31T25:00Z",
            "2026-01-31T14",
        ] {
            assert!(utc.first(bad).is_err(), "{bad}");
        }
        for bad in ["Europe/Atlantis", "+25:00", "+1", "../etc/passwd", ""] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clocks_of_the_zone() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        // A Saturday, 00:15 in Berlin and still Friday in UTC.
        let t = at("2026-07-03T22:15:00.000Z");
        let local = berlin.local(t);
        assert_eq!((local.weekday, local.minute), (5, 15));
        assert_eq!(date_of(local.day).to_string(), "2026-07-04");
        assert_eq!(berlin.show(t), "2026-07-04 00:15:00 +02:00");
        assert_eq!(
            (Zone::utc().show(t), Zone::utc().show_date(t)),
            ("2026-07-03 22:15:00".into(), "2026-07-03".into())
        );
        assert_eq!(Zone::utc().local(at("1970-01-01T00:00:00.000Z")).day, 0);
    }

    #[test]
    fn working_hours_and_days() {
        let local = |weekday, minute| Local { day: 0, weekday, minute };
        let usual = WorkingHours::default();
        assert_eq!(usual, WorkingHours::parse("07:00-19:00", "mon-fri").unwrap());
        assert!(usual.include(local(0, 420)) && !usual.include(local(0, 419)));
        assert!(
            usual.include(local(4, 1139)) && !usual.include(local(4, 1140)) && !usual.include(local(5, 600))
        );
        // A night shift from Friday belongs to Friday.
        let night = WorkingHours::parse("22:00-06:00", "mon,FRI").unwrap();
        assert!(night.include(local(4, 1320)) && night.include(local(5, 359)));
        assert!(
            !night.include(local(5, 1320)) && !night.include(local(0, 100)) && night.include(local(1, 100))
        );
        assert_eq!(
            WorkingHours::parse("00:00-24:00", "fri-mon").unwrap().days,
            [true, false, false, false, true, true, true]
        );
        assert_eq!(usual.to_string(), "07:00 to 19:00, Monday to Friday");
        for (hours, days) in [
            ("7-19", "all"),
            ("07:00-07:00", "all"),
            ("07:00-24:30", "all"),
            ("24:00-07:00", "all"),
            ("1093:00-07:00", "all"),
            ("07:00-65535:59", "all"),
            ("07:00-19:00", "weekend"),
        ] {
            assert!(WorkingHours::parse(hours, days).is_err(), "{hours} {days}");
        }
    }
}
