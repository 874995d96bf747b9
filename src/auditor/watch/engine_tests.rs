#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::*;
use super::*;

const FIVE_IN_FIVE: &str = r#"
    [[rule]]
    name = "failures"
    type = "threshold"
    severity = "high"
    count = 5
    window = "5m"
    key = "address"
    where = { outcome = ["denied", "failed"] }
"#;

/// Each event in a batch of its own, committed when it happens.
fn live(events: &[Value]) -> Sample {
    let mut sample = Sample::with_writers(&[WRITER]);
    for e in events {
        let time = Timestamp::parse(e["timestamp"].as_str().unwrap()).unwrap();
        sample.events(time.millis() - at(0).millis(), std::slice::from_ref(e));
    }
    sample
}

fn failures(times: &[i64]) -> Vec<Value> {
    times.iter().map(|t| event(*t, "mallory", "10.0.0.9", "denied")).collect()
}

fn raise(rules: &str, sample: &Sample) -> Vec<Alert> {
    sample.observe(&mut engine(rules))
}

#[test]
fn five_failures_from_one_address_in_five_minutes() {
    let alerts = raise(FIVE_IN_FIVE, &live(&failures(&[0, 1, 2, 3, 4].map(|m| m * MINUTE))));
    assert_eq!(alerts.len(), 1);
    let a = &alerts[0];
    assert_eq!((a.count, a.first, a.last, a.block), (5, Some(0), Some(4), Some(5)));
    assert_eq!(a.time, at(4 * MINUTE));
    assert_eq!(a.window, Some((at(-MINUTE), at(4 * MINUTE))));
    assert!(a.message.contains("5 events within 5 minutes, EVT-00000000 to EVT-00000004"), "{}", a.message);
    // Four; five but not within five minutes (the window is open at its beginning); five of others or that went well.
    for times in [&[0, 1, 2, 3][..], &[0, 1, 2, 3, 5]] {
        let times: Vec<i64> = times.iter().map(|m| m * MINUTE).collect();
        assert_eq!(raise(FIVE_IN_FIVE, &live(&failures(&times))), []);
    }
    let others: Vec<Value> =
        (0..9).map(|i| event(i * SECOND, "a", &format!("10.0.0.{i}"), "denied")).collect();
    assert_eq!(raise(FIVE_IN_FIVE, &live(&others)), []);
    let allowed: Vec<Value> = (0..9).map(|i| event(i * SECOND, "a", "10.0.0.9", "allowed")).collect();
    assert_eq!(raise(FIVE_IN_FIVE, &live(&allowed)), []);
    // An event without an address is counted for nobody.
    let mut none = failures(&[0, 1, 2, 3, 4]);
    none.iter_mut().for_each(|e| drop(e["actor"].as_object_mut().unwrap().remove("ip_address")));
    assert_eq!(raise(FIVE_IN_FIVE, &live(&none)), []);
}

#[test]
fn a_burst_raises_one_alert_a_slot_wherever_it_begins() {
    // 09:00 is the beginning of a slot of five minutes: this burst lies across the next border.
    let across =
        live(&failures(&[4 * MINUTE, 4 * MINUTE + 20 * SECOND, 5 * MINUTE, 6 * MINUTE, 6 * MINUTE + SECOND]));
    assert_eq!(raise(FIVE_IN_FIVE, &across).len(), 1);
    // An hour long, one event every 10 seconds.
    let long: Vec<i64> = (0..360).map(|i| i * 10 * SECOND).collect();
    let alerts = raise(FIVE_IN_FIVE, &live(&failures(&long)));
    assert_eq!(alerts.len(), 12);
    let ids: BTreeSet<&str> = alerts.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), 12);
    // The count stays nearly right though not every event is remembered, and is never too high.
    let counts: Vec<u64> = alerts[1..].iter().map(|a| a.count).collect();
    assert!(counts.iter().all(|n| (26..=30).contains(n)), "{counts:?}");
    assert!(alerts[1].message.contains("at least "), "{}", alerts[1].message);
}

#[test]
fn events_that_come_late_count_where_they_belong() {
    // Four at 09:00, live; the fifth of that minute comes at 10:00.
    let mut sample = live(&failures(&[0, SECOND, 2 * SECOND, 3 * SECOND]));
    sample.events(HOUR, &failures(&[4 * SECOND]));
    let alerts = raise(FIVE_IN_FIVE, &sample);
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].first, alerts[0].last, alerts[0].time), (Some(0), Some(4), at(4 * SECOND)));
    // It comes first and is the earliest: the window ends with another one, seen before.
    let mut sample = live(&failures(&[SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]));
    sample.events(HOUR, &failures(&[0]));
    let alerts = raise(FIVE_IN_FIVE, &sample);
    assert_eq!((alerts.len(), alerts[0].time), (1, at(4 * SECOND)));
}

#[test]
fn a_wrong_clock_hides_nothing() {
    // Times a week old, a year ahead, none at all, and none that can be read: they count when they were sealed.
    let mut sample = Sample::with_writers(&[WRITER]);
    let mut events = failures(&[-7 * 24 * HOUR, -2 * 24 * HOUR, 365 * 24 * HOUR, 0, 0]);
    events[3].as_object_mut().unwrap().remove("timestamp");
    events[4]["timestamp"] = json!("this morning");
    for (i, e) in events.iter().enumerate() {
        sample.events(10 * MINUTE + i as i64, std::slice::from_ref(e));
    }
    let alerts = raise(FIVE_IN_FIVE, &sample);
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].time, at(10 * MINUTE + 4));
}

#[test]
fn each_matching_event_raises_an_alert() {
    let rules = r#"
        [[rule]]
        name = "break-the-glass"
        type = "each"
        severity = "high"
        description = "Emergency access"
        where = { emergency = true }
        [[rule]]
        name = "admin"
        type = "each"
        severity = "critical"
        key = []
        where = { action = "ADMIN_ACCESS_DENIED" }
    "#;
    let mut events: Vec<Value> = (0..3).map(|i| event(i, "dr-smith-4421", "10.0.0.1", "allowed")).collect();
    events[1]["context"] = json!({ "emergency_access": true });
    events[2]["action"] = json!("admin_access_denied");
    let alerts = raise(rules, &live(&events));
    assert_eq!(alerts.len(), 2);
    assert!(alerts[0].message.starts_with("Emergency access (actor "), "{}", alerts[0].message);
    assert!(alerts[0].message.ends_with(": EVT-00000001."), "{}", alerts[0].message);
    assert_eq!((&*alerts[1].rule, alerts[1].severity), ("admin", Severity::Critical));
    assert_eq!(alerts[1].message, "Matching event: EVT-00000002.");
}

const NIGHT: &str = r#"
    [[rule]]
    name = "night"
    type = "after-hours"
    severity = "low"
    zone = "Europe/Berlin"
    from = "07:00"
    to = "19:00"
    holidays = ["2026-11-18"]
"#;

#[test]
fn after_hours_by_local_time_one_alert_a_night() {
    let night = |times: &[&str]| -> Vec<String> {
        let events: Vec<Value> = times
            .iter()
            .map(|t| {
                let mut e = event(0, "dr-smith-4421", "10.0.0.1", "allowed");
                e["timestamp"] = json!(t);
                e
            })
            .collect();
        let mut sample = Sample::with_writers(&[WRITER]);
        // Committed weeks later, as by an agent that was cut off: what counts is when it happened.
        sample.events(30 * 24 * HOUR, &events);
        raise(NIGHT, &sample).into_iter().map(|a| a.message).collect()
    };
    // Berlin is UTC+1 in November: 07:00 and 18:59 are working hours, 06:59 and 19:00 are not.
    assert_eq!(night(&["2026-11-16T06:00:00Z", "2026-11-16T17:59:59Z"]), [] as [&str; 0]);
    assert_eq!(night(&["2026-11-16T05:59:59Z"]).len(), 1);
    let m = night(&["2026-11-16T18:00:00Z"]);
    assert!(m[0].contains("EVT-00000000 at Mon 2026-11-16 19:00 Europe/Berlin."), "{m:?}");
    // In summer it is UTC+2.
    assert_eq!(night(&["2026-07-15T05:00:00Z"]), [] as [&str; 0]);
    // One night, over midnight; then the next evening.
    assert_eq!(night(&["2026-11-16T20:00:00Z", "2026-11-17T02:00:00Z"]).len(), 1);
    assert_eq!(night(&["2026-11-16T20:00:00Z", "2026-11-17T20:00:00Z"]).len(), 2);
    // Saturday noon, and a holiday in the week.
    assert_eq!(night(&["2026-11-14T11:00:00Z", "2026-11-18T11:00:00Z"]).len(), 2);
}

#[test]
fn a_night_shift_works_past_midnight() {
    let rules = NIGHT.replace("07:00", "22:00").replace("19:00", "06:00");
    let Test::AfterHours { hours, .. } = &Rules::parse(&rules).unwrap().rules[0].test else { unreachable!() };
    let works = |text: &str| hours.night(Timestamp::parse(text).unwrap()).is_none();
    // Monday's shift ends on Tuesday; Friday's on Saturday morning; on Saturday evening nobody works.
    assert!(works("2026-11-16T21:30:00.000Z") && works("2026-11-17T04:59:00.000Z"));
    assert!(!works("2026-11-17T05:00:00.000Z") && !works("2026-11-16T12:00:00.000Z"));
    assert!(works("2026-11-21T03:00:00.000Z") && !works("2026-11-21T22:00:00.000Z"));
    // Monday morning belongs to Sunday's shift, which there is not.
    assert!(!works("2026-11-16T03:00:00.000Z"));
}

const SPIKE: &str = r#"
    [[rule]]
    name = "spike"
    type = "volume"
    severity = "medium"
    window = "1h"
    history = 24
    baseline = 3
    factor = 4
    minimum = 20
"#;

/// So many events of one actor in the hours given.
fn hours(actor: &str, counts: &[(i64, i64)]) -> Vec<Value> {
    let one = |(h, n): &(i64, i64)| {
        let h = *h;
        (0..*n).map(move |i| event(h * HOUR + i * SECOND, actor, "10.0.0.1", "allowed")).collect::<Vec<_>>()
    };
    counts.iter().flat_map(one).collect()
}

#[test]
fn a_volume_spike_is_measured_against_the_key_s_own_past() {
    let spike = |counts: &[(i64, i64)]| raise(SPIKE, &live(&hours("dr-smith-4421", counts)));
    let alerts = spike(&[(0, 5), (1, 5), (2, 5), (3, 30)]);
    assert_eq!(alerts.len(), 1);
    // More than 4 × 5.
    assert_eq!((alerts[0].count, alerts[0].first, alerts[0].last), (21, Some(15), Some(35)));
    assert_eq!(alerts[0].window, Some((at(3 * HOUR), at(4 * HOUR))));
    assert!(
        alerts[0].message.contains("mean of its 3 active windows before is 5.0"),
        "{}",
        alerts[0].message
    );
    // Not enough past; below the minimum; used to it; the past is too long ago.
    assert_eq!(spike(&[(0, 5), (1, 5), (3, 99)]), []);
    assert_eq!(spike(&[(0, 1), (1, 1), (2, 1), (3, 19)]), []);
    assert_eq!(spike(&[(0, 10), (1, 10), (2, 10), (3, 40)]), []);
    assert_eq!(spike(&[(0, 5), (1, 5), (2, 5), (30, 99)]), []);
    // Quiet hours in between do not count as usual.
    assert_eq!(spike(&[(0, 10), (5, 10), (9, 10), (15, 40)]), []);
    // Another actor's habit is no excuse.
    let mut events = hours("dr-smith-4421", &[(0, 5), (1, 5), (2, 5), (3, 30)]);
    events.extend(hours("batch-job", &[(3, 300)]));
    assert_eq!(raise(SPIKE, &live(&events)).len(), 1);
}

const SILENT: &str = r#"
    [[rule]]
    name = "silent"
    type = "silent-writer"
    severity = "high"
    longer_than = "3h"
"#;

#[test]
fn a_silent_writer_is_found_live_and_in_retrospect_as_the_same_alert() {
    let other = "hospital.example/writers/lab";
    let mut sample = Sample::with_writers(&[WRITER, other]);
    for h in 1..10 {
        sample.heartbeat(h * HOUR, WRITER);
    }
    // Live: at 11:59 it is not too long yet, at 12:01 it is, and once is enough.
    let mut live = engine(SILENT);
    for (block, statement) in &sample.blocks[..3] {
        assert_eq!(live.observe_block(block, statement), []);
    }
    assert_eq!(live.tick(at(3 * HOUR)), []);
    let found = live.tick(at(3 * HOUR + 1));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].message.contains("lab has said nothing since it joined the roster at 2026-11-16T09:00"),
        "{}",
        found[0].message
    );
    assert_eq!(live.tick(at(4 * HOUR)), []);
    // In retrospect, from the chain alone.
    let later = raise(SILENT, &sample);
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].id, found[0].id);
    // A word, then silence again: another alert.
    sample.heartbeat(10 * HOUR, other);
    let mut engine = engine(SILENT);
    sample.observe(&mut engine);
    let again = engine.tick(at(14 * HOUR));
    assert_eq!(again.iter().filter(|a| a.message.contains(other)).count(), 1);
    assert!(again.iter().all(|a| a.id != found[0].id));
    // Not expected any more.
    sample.roster(11 * HOUR, &[WRITER]);
    let mut engine = super::super::testing::engine(SILENT);
    sample.observe(&mut engine);
    assert_eq!(engine.tick(at(12 * HOUR)), []);
}

#[test]
fn only_the_writers_named_and_batches_are_words() {
    let rules = format!("{SILENT}\nwriters = [\"hospital.example/writers/lab\"]");
    let mut sample = Sample::with_writers(&[WRITER, "hospital.example/writers/lab"]);
    sample.events(HOUR, &failures(&[HOUR]));
    let mut engine = engine(&rules);
    sample.observe(&mut engine);
    let alerts = engine.tick(at(9 * HOUR));
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].key, [("writer", "hospital.example/writers/lab".to_owned())]);
    assert_eq!(engine.writers().iter().find(|(w, _)| *w == WRITER).unwrap().1.block, 1);
}

#[test]
fn unreadable_records_raise_one_alert_per_writer_and_window_and_quote_nothing() {
    let rules = "[[rule]]\nname = \"bad\"\ntype = \"unreadable\"\nseverity = \"high\"\nwindow = \"1h\"";
    let bad = || Content::Unreadable { why: "member \"PAT-2026-00842\" twice".into() };
    let mut sample = Sample::with_writers(&[WRITER]);
    sample.batch(0, vec![bad(), bad()]);
    sample.batch(MINUTE, vec![bad(), Content::NotForYou, Content::Erased { by_block: Some(9) }]);
    sample.batch(HOUR, vec![bad()]);
    let mut engine = engine(rules);
    let alerts = sample.observe(&mut engine);
    assert_eq!(alerts.len(), 2);
    assert_eq!(
        alerts[0].message,
        format!("Unreadable record: EVT-00000000, sealed by {WRITER}, cannot be read.")
    );
    assert_eq!(
        engine.coverage(),
        Coverage { unreadable: 4, not_for_you: 1, erased: 1, ..Coverage::default() }
    );
    let mut open = Engine::new(Rules::parse(rules).unwrap(), Naming::new(&secret(), true), LEDGER);
    assert!(sample.observe(&mut open)[0].message.contains("twice"));
}

#[test]
fn a_fork_is_an_alert_with_or_without_a_rule() {
    let fork = Signal::Fork { what: "two roots for 9 blocks".into(), known: "a".into(), shown: "b".into() };
    let mut without = engine(FIVE_IN_FIVE);
    let alert = without.observe_signal(&fork, at(0));
    assert_eq!((&*alert.rule, alert.severity), ("fork", Severity::Critical));
    assert_eq!(alert.message, "The ledger shows two histories: two roots for 9 blocks");
    assert_eq!(without.observe_signal(&fork, at(HOUR)).id, alert.id);
    let other = Signal::Fork { what: "two roots for 9 blocks".into(), known: "a".into(), shown: "c".into() };
    assert_ne!(without.observe_signal(&other, at(0)).id, alert.id);
    let rules = "[[rule]]\nname = \"integrity\"\ntype = \"fork\"\nseverity = \"high\"\ndescription = \"Call the board\"";
    let alert = engine(rules).observe_signal(&Signal::Broken { what: "block 7".into() }, at(0));
    assert_eq!(
        (&*alert.rule, alert.severity, alert.message.as_str()),
        ("integrity", Severity::High, "Call the board: block 7")
    );
}

#[test]
fn alerts_carry_no_personal_data_unless_asked_and_equal_actors_look_equal() {
    let rules = format!(
        "{FIVE_IN_FIVE}{NIGHT}\n[[rule]]\nname = \"all\"\ntype = \"each\"\nseverity = \"low\"\nkey = [\"actor\", \"patient\"]"
    );
    let times: Vec<i64> = (0..6).map(|i| 12 * HOUR + i * SECOND).collect();
    let sample = live(&failures(&times));
    let alerts = raise(&rules, &sample);
    assert_eq!(alerts.len(), 8);
    let actors: BTreeSet<&str> =
        alerts.iter().flat_map(|a| &a.key).filter(|(c, _)| *c == "actor").map(|(_, v)| v.as_str()).collect();
    assert_eq!(actors.len(), 1, "one actor, one pseudonym in all rules");
    let personal = ["mallory", "10.0.0.9", "PAT-2026-00842"];
    for a in &alerts {
        let all = format!("{}{}{}{}", a.line(), a.json(), a.cloud_event(), a.syslog());
        assert!(personal.iter().all(|p| !all.contains(p)), "{all}");
    }
    // Another watch has other pseudonyms and ids that do not give the key away either.
    let naming = Naming::new(&Secret::fill(|s| s.fill(8)), false);
    let elsewhere = sample.observe(&mut Engine::new(Rules::parse(&rules).unwrap(), naming, LEDGER));
    assert!(elsewhere.iter().flat_map(|a| &a.key).all(|(_, v)| !actors.contains(v.as_str())));
    let threshold = |alerts: &[Alert]| alerts.iter().find(|a| &*a.rule == "failures").unwrap().id.clone();
    assert_ne!(threshold(&alerts), threshold(&elsewhere));
    // Asked for.
    let open = Naming::new(&secret(), true);
    let open = sample.observe(&mut Engine::new(Rules::parse(&rules).unwrap(), open, LEDGER));
    let text: String = open.iter().map(Alert::line).collect();
    assert!(personal.iter().all(|p| text.contains(p)), "{text}");
    let ids = |alerts: &[Alert]| alerts.iter().map(|a| a.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&open), ids(&alerts), "the same alerts, told differently");
}

use crate::base::secret::Secret;

#[test]
fn limits_forget_the_idle_and_say_so_once() {
    let limits = Limits { keys: 100, entries: 150, entries_of_a_key: 50 };
    let mut engine = Engine::with_limits(
        Rules::parse(FIVE_IN_FIVE).unwrap(),
        Naming::new(&secret(), false),
        LEDGER,
        limits,
    );
    // Four failures, then a flood of other addresses, then the fifth: forgotten. Not so if it kept on.
    let mut events = failures(&[0, 1, 2, 3]);
    events
        .extend((0..400).map(|i| event(SECOND + i, "x", &format!("10.1.{}.{}", i / 200, i % 200), "denied")));
    events.extend(failures(&[2 * SECOND]));
    assert_eq!(live(&events).observe(&mut engine), []);
    assert_eq!(engine.take_notices().len(), 1);
    events.extend(failures(&[3, 4, 5, 6].map(|s| s * SECOND)));
    let mut again = Engine::with_limits(
        Rules::parse(FIVE_IN_FIVE).unwrap(),
        Naming::new(&secret(), false),
        LEDGER,
        limits,
    );
    assert_eq!(live(&events).observe(&mut again).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever order events come in, within `late`: a threshold raises the same alerts.
    #[test]
    fn the_order_of_events_does_not_matter_to_a_threshold(
        events in prop::collection::vec((0i64..40 * MINUTE, 0u8..3), 0..120),
        order in any::<u64>(),
    ) {
        let one = |(t, who): &(i64, u8)| event(*t, "a", &format!("10.0.0.{who}"), "denied");
        let ordered = { let mut e = events.clone(); e.sort(); e };
        let mut shuffled = events;
        shuffled.sort_by_key(|e| Hash::of(&[&order.to_be_bytes(), &e.0.to_be_bytes(), &[e.1]]));
        let ids = |events: &[(i64, u8)]| -> BTreeSet<String> {
            let mut sample = Sample::with_writers(&[WRITER]);
            for e in events {
                sample.events(HOUR, &[one(e)]);
            }
            raise(FIVE_IN_FIVE, &sample).into_iter().map(|a| a.id).collect()
        };
        prop_assert_eq!(ids(&ordered), ids(&shuffled));
        // And the same as counting from the definition.
        let mut naive = BTreeSet::new();
        for who in 0..3 {
            let times: Vec<i64> = ordered.iter().filter(|e| e.1 == who).map(|e| at(e.0).millis()).collect();
            for t in &times {
                if times.iter().filter(|u| **u > t - 5 * MINUTE && **u <= *t).count() >= 5 {
                    naive.insert((who, t.div_euclid(5 * MINUTE)));
                }
            }
        }
        prop_assert_eq!(ids(&ordered).len(), naive.len());
    }
}
