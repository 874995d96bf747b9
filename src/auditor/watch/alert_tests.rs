#![allow(clippy::unwrap_used)]

use super::*;

fn sample() -> Alert {
    Alert {
        id: "00112233445566778899aabbccddeeff".into(),
        ledger: "hospital.example/audit:ä".into(),
        rule: "failures".into(),
        kind: "threshold",
        severity: Severity::High,
        message: "Failures (address 7f): 5 events".into(),
        key: vec![("address", "a\"b]c\\".into())],
        count: 5,
        first: Some(1),
        last: Some(5),
        block: Some(7),
        time: Timestamp::parse("2026-11-20T23:40:11.123Z").unwrap(),
        window: None,
        event: Vec::new(),
    }
}

#[test]
fn one_line_for_people_cannot_be_broken_or_turned() {
    assert_eq!(
        sample().line(),
        "2026-11-20T23:40:11.123Z HIGH failures: Failures (address 7f): 5 events [00112233445566778899aabbccddeeff]"
    );
    let evil = Alert { message: "a\nb\u{202e}c\u{1b}[2J".into(), ..sample() };
    assert!(!evil.line().contains(['\n', '\u{202e}', '\u{1b}']));
    assert_eq!(short(&"x".repeat(300)).chars().count(), MAX_ALERT_VALUE + 1);
}

#[test]
fn a_cloud_event_has_what_version_1_0_requires() {
    let e = sample().cloud_event();
    assert_eq!(e["specversion"], "1.0");
    assert_eq!(e["type"], "org.sealtrail.alert.threshold");
    assert_eq!(e["source"], "hospital.example/audit%3A%C3%A4");
    assert_eq!((e["id"].as_str(), e["data"]["id"].as_str()), (Some(&*sample().id), Some(&*sample().id)));
    assert_eq!(e["time"], "2026-11-20T23:40:11.123Z");
    assert_eq!(e["data"]["records"]["last"], "EVT-00000005");
    assert_eq!(e["data"].get("event"), None);
}

#[test]
fn a_syslog_message_is_rfc_5424() {
    let message = sample().syslog();
    // Facility 13, severity 3; nil host; the three characters of §6.3.3 escaped; a BOM before the words.
    assert!(message.starts_with("<107>1 2026-11-20T23:40:11.123Z - sealtrail "), "{message}");
    assert!(message.contains(" failures [alert@32473 id=\"0011"), "{message}");
    assert!(message.contains(r#" address="a\"b\]c\\"] "#), "{message}");
    assert!(message.ends_with("\u{feff}Failures (address 7f): 5 events"), "{message}");
}

#[test]
fn lengths_of_time_read_well() {
    for (ms, text) in [
        (1000, "1 second"),
        (300_000, "5 minutes"),
        (90_000, "1 min 30 s"),
        (3_600_000, "1 hour"),
        (11_520_000, "3 h 12 min"),
        (86_400_000, "1 day"),
        (180_000_000, "2 days 2 h"),
    ] {
        assert_eq!(span(ms), text);
    }
}
