//! What people write: settings, rules, queries and arguments.

use std::path::Path;

use sealtrail::auditor::fuzzing::{event_time, interval, sql as rewritten};
use sealtrail::auditor::period::{WorkingHours, Zone};
use sealtrail::auditor::watch::parse::duration_millis;
use sealtrail::auditor::watch::rules::Rules;
use sealtrail::auditor::watch::syslog::Syslog;
use sealtrail::base::clock::Timestamp;
use sealtrail::chain::authority::RecordRange;
use sealtrail::chain::proof::parse_record;
use sealtrail::config::settings::Settings;
use sealtrail::event::pattern::Pattern;
use sealtrail::event::prepare::Preparer;

use super::input::part;

/// Settings files of a server and of a writer. The policy in them compiles or is refused.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(at) = sealtrail::config::fuzzing::writer_settings(text) {
        assert!(at <= text.len());
    }
    let Ok(settings) = Settings::parse(text, Path::new("/l/sealtrail.toml")) else { return };
    let policy = settings.policy.compile().expect("settings were checked");
    let mut preparer = Preparer::new(policy.into());
    let event = br#"{"actor":{"user_id":"u"},"a":[1,{"b":2}],"patient":{"name":"p"}}"#;
    assert!(preparer.prepare(event).is_ok());
}

/// Rules of a watch.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(rules) = Rules::parse(text) {
        assert!(rules.replay_span() >= 0);
    }
}

/// Queries.
pub fn sql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (statements, _) = rewritten(text);
    assert!(statements.len() <= 1 + text.matches(';').count());
    let _ = interval(text);
}

/// Arguments: periods, zones, working hours, ranges, pointers, receivers. `length ‖ zone`, `length ‖ days`, text.
pub fn arguments(mut data: &[u8]) {
    let utf8 = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let (zone, days, text) = (utf8(part(&mut data)), utf8(part(&mut data)), utf8(data));
    let zone = Zone::parse(zone).unwrap_or_else(|_| Zone::utc());
    let (first, last) = (zone.first(text), zone.last(text));
    assert_eq!(first.is_ok(), last.is_ok());
    if let (Ok(first), Ok(last)) = (first, last) {
        assert!(first <= last);
        let _ = (zone.show(first), zone.show_date(last));
    }
    if let Ok(hours) = WorkingHours::parse(text, days) {
        let noon = Timestamp::parse("2026-01-05T12:00:00.000Z").unwrap();
        let _ = (hours.include(zone.local(noon)), hours.to_string());
    }
    if let Ok(ranges) = RecordRange::parse_list(text) {
        assert!(ranges.iter().all(|r| r.first <= r.last) && ranges.is_sorted_by(|a, b| a.last < b.first));
    }
    if let Some(range) = RecordRange::parse(text) {
        assert_eq!(range.to_string(), text);
    }
    let _ = (parse_record(text), duration_millis(text), Syslog::parse(text), event_time(text));
    if let Ok(pattern) = Pattern::parse(text) {
        assert_eq!(pattern.as_str(), text);
    }
}
