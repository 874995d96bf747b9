//! Reports against figures computed a second time, from what the events were meant to say; and what must never happen on a
//! page: scripts, formulas, names of hidden staff, silence about what was not seen.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod report_support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use report_support::*;
use sealtrail::auditor::record::{AsOf, BlockStream, RecordStream, Records};
use sealtrail::auditor::report::model::{Cell, Row, Table};
use sealtrail::auditor::report::period::{WorkingHours, Zone};
use sealtrail::auditor::report::{
    Report, ReportError, ReportKind, ReportRequest, build, csv, csv_table, html, json,
};
use sealtrail::base::clock::Timestamp;
use serde_json::{Value, json as value};

const EVENTS: u64 = 900;
const PATIENT: &str = "PAT-2026-00803";

fn now() -> Timestamp {
    at("2026-11-22T06:00:05.000Z")
}

fn request(kind: ReportKind) -> ReportRequest {
    ReportRequest::new(kind, now())
}

fn table<'r>(report: &'r Report, name: &str) -> &'r Table {
    report.tables.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no table {name}"))
}

fn figure(report: &Report, label: &str) -> String {
    report
        .figures
        .iter()
        .find(|f| f.label == label)
        .unwrap_or_else(|| panic!("no figure {label}"))
        .value
        .clone()
}

fn cell<'r>(t: &Table, row: &'r Row, column: &str) -> &'r Cell {
    let i = t.columns.iter().position(|c| c.name == column).unwrap_or_else(|| panic!("no column {column}"));
    &row.cells[i]
}

fn text(c: &Cell) -> String {
    match c {
        Cell::Text(t) => t.clone(),
        Cell::Number(n) | Cell::AtLeast(n) => n.to_string(),
        Cell::Time { at, .. } => at.to_string(),
        Cell::Outcome(o) => (*o).to_owned(),
        Cell::Missing | Cell::Blank => String::new(),
    }
}

/// One column as text, by the first column.
fn by_name(t: &Table, column: &str) -> BTreeMap<String, String> {
    t.rows.iter().map(|r| (text(&r.cells[0]), text(cell(t, r, column)))).collect()
}

fn main_records(report: &Report) -> BTreeSet<u64> {
    report
        .main_table()
        .unwrap()
        .rows
        .iter()
        .flat_map(|r| r.records.ranges.clone())
        .flat_map(|(a, b)| a..=b)
        .collect()
}

fn count_by<'m>(
    meant: impl Iterator<Item = &'m Meant>,
    key: impl Fn(&Meant) -> String,
) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, u64> = BTreeMap::new();
    for m in meant {
        *out.entry(key(m)).or_default() += 1;
    }
    out.into_iter().map(|(k, n)| (k, n.to_string())).collect()
}

/// When a report takes an event to have happened.
fn when(m: &Meant) -> i64 {
    if m.has_time { m.time } else { m.sealed }
}

#[test]
fn who_saw_a_patient() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::PatientAccess);
    r.patient = Some(PATIENT.to_lowercase());
    (r.from, r.to) =
        (Some(Zone::utc().first("2026-09-01").unwrap()), Some(Zone::utc().last("2026-10-31").unwrap()));
    let report = build(&h, &r).unwrap();
    let (from, to) = (at("2026-09-01T00:00:00.000Z").millis(), at("2026-10-31T23:59:59.999Z").millis());
    let wanted: Vec<&Meant> = h
        .meant
        .iter()
        .filter(|m| m.opened() && m.patient.as_deref() == Some(PATIENT) && (from..=to).contains(&when(m)))
        .collect();
    assert!(wanted.len() > 10, "{}", wanted.len());
    assert_eq!(main_records(&report), wanted.iter().map(|m| m.index).collect());
    assert_eq!(report.records(), wanted.iter().map(|m| m.index).collect::<Vec<_>>());
    assert_eq!(figure(&report, "accesses"), wanted.iter().filter(|m| !m.refused()).count().to_string());
    assert_eq!(
        figure(&report, "denied or failed"),
        wanted.iter().filter(|m| m.refused()).count().to_string()
    );
    let named: BTreeSet<_> = wanted.iter().filter(|m| !m.refused()).filter_map(|m| m.actor.clone()).collect();
    assert_eq!(figure(&report, "users"), named.len().to_string());
    let expected =
        count_by(wanted.iter().copied(), |m| m.actor.clone().unwrap_or("(no user named)".to_owned()));
    assert_eq!(by_name(table(&report, "users"), "events"), expected);
    // Newest first.
    let t = table(&report, "events");
    let times: Vec<String> = t.rows.iter().map(|row| text(cell(t, row, "time"))).collect();
    assert!(times.is_sorted_by(|a, b| a >= b) && times.len() == wanted.len());
    assert!(report.answer.contains("2026-09-01 to 2026-10-31"), "{}", report.answer);
}

#[test]
fn what_was_not_seen_is_counted() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::PatientAccess);
    r.patient = Some(PATIENT.to_owned());
    r.from = Some(at("2026-10-01T00:00:00.000Z"));
    let report = build(&h, &r).unwrap();
    let c = &report.coverage;
    let from = r.from.unwrap().millis();
    let states = |s: &str| h.meant.iter().filter(|m| m.state == s).count() as u64;
    assert_eq!(
        (c.records, c.opened, c.partly),
        (EVENTS + 24, states("opened") + states("partly"), states("partly"))
    );
    assert_eq!((c.not_for_you.count, c.erased.count, c.unreadable.count), (states("not-for-you"), 5, 1));
    let hidden = |m: &&Meant| m.state == "not-for-you" && m.sealed >= from;
    assert_eq!(c.not_for_you.sealed_since, h.meant.iter().filter(hidden).count() as u64);
    // What was sealed after the period may have happened in it.
    r.to = Some(at("2026-10-02T00:00:00.000Z"));
    let short = build(&h, &r).unwrap();
    assert_eq!(short.coverage.not_for_you, c.not_for_you);
    assert!(short.answer.contains("sealed in this time or later could not be read"), "{}", short.answer);
    r.to = None;
    assert_eq!(c.erased.ranges, [(40, 44)]);
    let inside = |m: &&Meant| m.opened() && when(m) >= from;
    assert_eq!(c.in_period, h.meant.iter().filter(inside).count() as u64);
    assert_eq!(c.outside, c.opened - c.in_period);
    let nameless = |m: &&Meant| inside(m) && m.patient.is_none();
    assert_eq!(c.unassigned, h.meant.iter().filter(nameless).count() as u64);
    let unseen = h.meant.iter().filter(|m| !m.opened() && m.sealed >= from).count();
    assert!(
        unseen > 0
            && report
                .answer
                .contains(&format!("{unseen} records sealed in this time or later could not be read")),
        "{}",
        report.answer
    );
    let page = html(&report);
    for sentence in c.sentences() {
        assert!(page.contains(&sentence), "{sentence}");
    }
}

#[test]
fn what_a_user_did() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::UserActivity);
    r.actor = Some("DR-SMITH-4421".to_owned());
    let report = build(&h, &r).unwrap();
    let wanted: Vec<&Meant> =
        h.meant.iter().filter(|m| m.opened() && m.actor.as_deref() == Some("dr-smith-4421")).collect();
    assert!(
        wanted.iter().any(|m| m.kind == "Patient") && wanted.iter().any(|m| m.kind != "Patient"),
        "both shapes"
    );
    assert_eq!(main_records(&report), wanted.iter().map(|m| m.index).collect());
    let expected = count_by(wanted.iter().copied(), |m| m.patient.clone().unwrap());
    assert_eq!(by_name(table(&report, "patients"), "events"), expected);
}

#[test]
fn denied_failed_and_emergency() {
    let h = hospital(EVENTS);
    let report = build(&h, &request(ReportKind::Denied)).unwrap();
    let wanted: Vec<&Meant> = h.meant.iter().filter(|m| m.opened() && m.refused()).collect();
    assert_eq!(main_records(&report), wanted.iter().map(|m| m.index).collect());
    assert_eq!(figure(&report, "denied"), wanted.iter().filter(|m| m.outcome == 1).count().to_string());
    assert_eq!(figure(&report, "failed"), wanted.iter().filter(|m| m.outcome == 2).count().to_string());
    let expected = count_by(wanted.iter().copied(), |m| m.address.clone().unwrap());
    assert_eq!(by_name(table(&report, "addresses"), "events"), expected);
    assert!(expected["203.0.113.42"].parse::<u64>().unwrap() >= 24);

    let report = build(&h, &request(ReportKind::BreakGlass)).unwrap();
    let wanted: Vec<&Meant> = h.meant.iter().filter(|m| m.opened() && m.emergency).collect();
    assert!(wanted.len() > 10);
    assert_eq!(main_records(&report), wanted.iter().map(|m| m.index).collect());
    assert_eq!(
        figure(&report, "without a reason"),
        wanted.iter().filter(|m| m.reason.is_none()).count().to_string()
    );
    let patients: BTreeSet<_> = wanted.iter().filter_map(|m| m.patient.clone()).collect();
    assert_eq!(figure(&report, "patients"), patients.len().to_string());
}

/// Europe/Berlin without a time zone library: two hours ahead until 2026-10-25T01:00Z, then one.
fn berlin(t: i64) -> (i64, i64) {
    let local = t + if t < at("2026-10-25T01:00:00.000Z").millis() { 2 } else { 1 } * 3_600_000;
    // 1970-01-01 was a Thursday.
    ((local.div_euclid(86_400_000) + 3) % 7, local.rem_euclid(86_400_000) / 60_000)
}

#[test]
fn after_hours_by_the_clocks_of_the_place() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::AfterHours);
    assert!(matches!(build(&h, &r), Err(ReportError::Missing { option: "--timezone", .. })));
    r.zone = Some(Zone::parse("Europe/Berlin").unwrap());
    r.hours = Some(WorkingHours::parse("06:30-18:00", "mon-sat").unwrap());
    let report = build(&h, &r).unwrap();
    let outside = |m: &&Meant| {
        let (weekday, minute) = berlin(m.time);
        weekday == 6 || !(390..1080).contains(&minute)
    };
    let timed: Vec<&Meant> = h.meant.iter().filter(|m| m.opened() && m.has_time).collect();
    let wanted: Vec<&Meant> = timed.iter().copied().filter(outside).collect();
    assert!(wanted.len() > 50);
    assert_eq!(main_records(&report), wanted.iter().map(|m| m.index).collect());
    assert_eq!(
        figure(&report, "of them on days off"),
        wanted.iter().filter(|m| berlin(m.time).0 == 6).count().to_string()
    );
    let expected =
        count_by(wanted.iter().copied(), |m| m.actor.clone().unwrap_or("(no user named)".to_owned()));
    assert_eq!(by_name(table(&report, "users"), "events"), expected);
    let mut week = [[0u64; 24]; 7];
    for m in &timed {
        let (weekday, minute) = berlin(m.time);
        week[weekday as usize][minute as usize / 60] += 1;
    }
    let found = report.charts.iter().find_map(|c| match c {
        sealtrail::auditor::report::model::Chart::Week { hours, .. } => Some(**hours),
        _ => None,
    });
    assert_eq!(found, Some(week));
}

#[test]
fn register_of_processing() {
    let h = hospital(EVENTS);
    let report = build(&h, &request(ReportKind::ProcessingRegister)).unwrap();
    let mut expected: BTreeMap<(String, String), (u64, BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for m in h.meant.iter().filter(|m| m.opened()) {
        let key = (m.basis.unwrap_or("(no legal basis stated)").to_owned(), m.kind.to_owned());
        let entry = expected.entry(key).or_default();
        entry.0 += 1;
        entry.1.extend(m.actor.clone());
        entry.2.extend(m.patient.clone());
    }
    let t = table(&report, "register");
    assert_eq!(t.rows.len(), expected.len());
    for row in &t.rows {
        let get = |c| text(cell(t, row, c));
        let (events, users, patients) = &expected[&(get("legal_basis"), get("data_category"))];
        assert_eq!(get("processing_events"), events.to_string());
        assert_eq!(
            (get("unique_processors"), get("data_subjects")),
            (users.len().to_string(), patients.len().to_string())
        );
        assert_eq!(row.records.count, *events);
    }
    assert!(report.records_complete());
    assert_eq!(report.records().len() as u64, report.coverage.selected);
}

#[test]
fn scope_of_a_breach() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::BreachScope);
    assert!(matches!(build(&h, &r), Err(ReportError::NoScope)));
    r.actor = Some("clerk-jones-7".to_owned());
    r.from = Some(at("2026-09-15T00:00:00.000Z"));
    let report = build(&h, &r).unwrap();
    let from = r.from.unwrap().millis();
    let of_clerk = |m: &&Meant| m.opened() && m.actor.as_deref() == Some("clerk-jones-7");
    let wanted: Vec<&Meant> = h.meant.iter().filter(of_clerk).filter(|m| when(m) >= from).collect();
    let reached: BTreeSet<_> =
        wanted.iter().filter(|m| !m.refused()).filter_map(|m| m.patient.clone()).collect();
    assert!(reached.len() > 5);
    assert_eq!(figure(&report, "patients affected"), reached.len().to_string());
    let t = table(&report, "patients");
    assert_eq!(by_name(t, "events"), count_by(wanted.iter().copied(), |m| m.patient.clone().unwrap()));
    let told: BTreeSet<String> = t
        .rows
        .iter()
        .filter(|row| text(cell(t, row, "affected")) == "yes")
        .map(|row| text(&row.cells[0]))
        .collect();
    assert_eq!(told, reached);
    let first = wanted.iter().filter(|m| !m.refused()).map(|m| when(m)).min().unwrap();
    let first = Zone::utc().show(Timestamp::from_millis(first).unwrap());
    assert!(report.answer.contains(&first), "{}", report.answer);
    let before = h.meant.iter().filter(of_clerk).filter(|m| when(m) < from).count();
    assert!(
        before > 0 && report.findings.iter().any(|f| f.contains(&format!("{before} event"))),
        "{:?}",
        report.findings
    );
}

#[test]
fn accounting_of_disclosures() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::Disclosures);
    r.suspended = vec!["county police".to_owned()];
    let report = build(&h, &r).unwrap();
    let all: Vec<&Meant> = h.meant.iter().filter(|m| m.opened() && m.recipient.is_some()).collect();
    let done = |m: &&&Meant| !m.refused();
    let by_rule = |m: &&&Meant| matches!(m.purpose, Some("payment" | "treatment"));
    let police = |m: &&&Meant| m.recipient == Some("County Police Department");
    let told: Vec<&&Meant> = all.iter().filter(done).filter(|m| !by_rule(m) && !police(m)).collect();
    assert!(told.len() > 5);
    assert_eq!(main_records(&report), told.iter().map(|m| m.index).collect());
    assert_eq!(figure(&report, "disclosures"), told.len().to_string());
    let out: u64 = table(&report, "left-out").rows.iter().map(|row| row.records.count).sum();
    assert_eq!(out as usize, all.len() - all.iter().filter(done).filter(|m| !by_rule(m)).count());
    let apart = table(&report, "suspension");
    assert!(apart.apart);
    assert_eq!(apart.rows.len(), all.iter().filter(done).filter(police).count());
    // What may not be told stands on the sheet of its own and nowhere else.
    let page = html(&report);
    let (handed_out, sheet) = page.split_once("<div class=\"apart\">").unwrap();
    assert!(!handed_out.contains("Police") && sheet.contains("County Police Department"));
    assert!(!csv(&report).contains("Police"));
    let held_back: BTreeSet<u64> = all.iter().filter(done).filter(police).map(|m| m.index).collect();
    assert!(report.records().iter().all(|index| !held_back.contains(index)), "nor in the evidence file");
}

#[test]
fn statistics_by_kind_and_day() {
    let h = hospital(EVENTS);
    let report = build(&h, &request(ReportKind::Statistics)).unwrap();
    let opened = || h.meant.iter().filter(|m| m.opened());
    let outcomes = ["allowed", "denied", "failed"];
    assert_eq!(
        by_name(table(&report, "outcomes"), "events"),
        count_by(opened(), |m| outcomes[m.outcome].to_owned())
    );
    let day = |m: &Meant| Timestamp::from_millis(when(m)).unwrap().date();
    assert_eq!(by_name(table(&report, "days"), "events"), count_by(opened(), day));
    assert_eq!(
        by_name(table(&report, "severities"), "events"),
        count_by(opened(), |m| m.severity.map_or("(not stated)".to_owned(), str::to_lowercase))
    );
    let total: u64 =
        by_name(table(&report, "event-types"), "events").values().map(|n| n.parse::<u64>().unwrap()).sum();
    assert_eq!(total, opened().count() as u64);
    let users: BTreeSet<_> = opened().filter_map(|m| m.actor.clone()).collect();
    assert_eq!(figure(&report, "users"), users.len().to_string());
}

#[test]
fn review_lists_each_reason() {
    let h = hospital(EVENTS);
    let report = build(&h, &request(ReportKind::Review)).unwrap();
    let asks = |m: &&Meant| {
        m.refused()
            || m.emergency
            || m.action == "delete"
            || m.recipient.is_some()
            || m.severity == Some("HIGH")
            || m.actor.is_none()
    };
    let wanted: BTreeSet<u64> = h.meant.iter().filter(|m| m.opened()).filter(asks).map(|m| m.index).collect();
    assert_eq!(main_records(&report), wanted);
    let t = table(&report, "review");
    assert!(
        t.rows
            .iter()
            .all(|row| !text(cell(t, row, "why")).is_empty() && *cell(t, row, "reviewer") == Cell::Blank)
    );
}

#[test]
fn readers_and_integrity_from_the_chain() {
    let h = hospital(EVENTS);
    let report = build(&h, &request(ReportKind::Readers)).unwrap();
    assert!(report.records().is_empty());
    let t = table(&report, "readers");
    let rows: Vec<(String, String)> =
        t.rows.iter().map(|r| (text(&r.cells[0]), text(cell(t, r, "status")))).collect();
    let status = |n: usize| rows[n].1.as_str();
    let names: Vec<&str> = rows.iter().map(|r| r.0.as_str()).collect();
    assert_eq!(names, ["alice", "internal-audit", "external-auditor", "external-auditor"]);
    assert_eq!((status(0), status(1)), ("reads", "ended on 2026-10-13"));
    assert!(status(2).starts_with("key replaced on 2026-10-13") && status(3) == "reads");
    // External auditor's first key: from the roster after slot 120 to the one after slot 200.
    let sealed = |slot: i64| at(START).millis() + (slot + 1) * 6 * 3_600_000;
    let between = h.meant.iter().filter(|m| m.sealed > sealed(120) && m.sealed <= sealed(200)).count();
    assert!(text(cell(t, &t.rows[2], "records")).ends_with(&format!("({between})")), "{:?}", t.rows[2]);
    let grants = table(&report, "grants");
    assert_eq!(text(cell(grants, &grants.rows[0], "count")), "100");
    assert_eq!(text(cell(grants, &grants.rows[0], "from")), "alice");

    let report = build(&h, &request(ReportKind::Integrity)).unwrap();
    let t = table(&report, "writers");
    assert_eq!(
        by_name(t, "status"),
        BTreeMap::from([(EHR.to_owned(), "reports".into()), (LAB.to_owned(), "silent".into())])
    );
    assert_eq!(by_name(t, "records")[EHR], (EVENTS + 24).to_string());
    // 60 days of one heartbeat a day but for four days in which it said nothing.
    assert_eq!(by_name(t, "heartbeats")[LAB], "56");
    assert_eq!(figure(&report, "silences before"), "1");
    assert_eq!(text(&table(&report, "silences").rows[0].cells[3]), "5 days");
    assert_eq!(
        (figure(&report, "unreadable"), figure(&report, "erased by order")),
        ("1".to_owned(), "5".to_owned())
    );
    assert_eq!(figure(&report, "breaks of the chain"), "0");
    assert_eq!(report.records(), [50]);
    assert!(
        report.findings.iter().any(|f| f.contains(LAB) && f.contains("is silent")),
        "{:?}",
        report.findings
    );
}

/// A copy of a ledger that leaves a record out, or stops early.
struct Damaged(Hospital, u64);

impl Records for Damaged {
    fn as_of(&self) -> &AsOf {
        self.0.as_of()
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        let without = self.1;
        Box::new(self.0.records(range).filter(move |r| r.as_ref().is_ok_and(|r| r.index != without)))
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        Box::new(self.0.blocks(range).skip(1))
    }
}

#[test]
fn a_copy_with_holes_gives_no_report() {
    for hole in [0, 7, EVENTS + 23] {
        let damaged = Damaged(hospital(EVENTS), hole);
        let result = build(&damaged, &request(ReportKind::Statistics));
        assert!(matches!(result, Err(ReportError::Records(_))), "{hole}");
    }
    assert!(build(&Damaged(ledger_of(&[hostile()]), u64::MAX), &request(ReportKind::Readers)).is_err());
}

#[test]
fn requests_that_make_no_sense_are_refused_with_advice() {
    let h = ledger_of(&[hostile()]);
    let refused = |change: &dyn Fn(&mut ReportRequest), kind| {
        let mut r = request(kind);
        change(&mut r);
        build(&h, &r).unwrap_err().to_string()
    };
    assert!(refused(&|_| {}, ReportKind::PatientAccess).contains("--patient PAT"));
    assert!(refused(&|r| r.actor = Some("x".into()), ReportKind::Integrity).contains("takes no --actor"));
    assert!(
        refused(&|r| (r.from, r.to) = (Some(now()), Some(at(START))), ReportKind::Denied)
            .contains("exchange")
    );
    assert!(refused(&|r| r.rows = 0, ReportKind::Denied).contains("1 to 200000"));
    let both = |r: &mut ReportRequest| {
        (r.patient, r.actor, r.hide_staff) = (Some("p".into()), Some("x".into()), true);
    };
    assert!(refused(&both, ReportKind::PatientAccess).contains("--hide-staff"));
}

#[test]
fn tables_are_cut_at_the_limit_and_say_so() {
    let h = hospital(EVENTS);
    let full = build(&h, &request(ReportKind::Denied)).unwrap();
    let mut r = request(ReportKind::Denied);
    r.rows = 7;
    let report = build(&h, &r).unwrap();
    let (cut, all) = (table(&report, "events"), table(&full, "events"));
    assert_eq!((cut.rows.len(), cut.total), (7, all.rows.len() as u64));
    assert_eq!(cut.rows, all.rows[..7], "the newest ones");
    assert_eq!(report.figures, full.figures, "figures count everything");
    let page = html(&report);
    assert!(page.contains(&format!("Cut: 7 of {} rows", cut.total)));
    assert!(!html(&full).contains("Cut: "));
}

#[test]
fn hidden_staff_appear_nowhere() {
    let h = hospital(EVENTS);
    let mut r = request(ReportKind::PatientAccess);
    (r.patient, r.hide_staff) = (Some(PATIENT.to_owned()), true);
    let report = build(&h, &r).unwrap();
    let all = [
        html(&report).replace("<wbr>", ""),
        csv(&report),
        json(&report),
        csv_table(&report, "users").unwrap(),
    ]
    .concat();
    let staff: BTreeSet<String> = h.meant.iter().filter_map(|m| m.actor.clone()).collect();
    for name in &staff {
        assert!(!all.contains(name), "{name}");
    }
    assert!(!all.contains("10.21.") && all.contains("Staff member 1") && all.contains("physician"));
    let shown = build(&h, &ReportRequest { hide_staff: false, ..r }).unwrap();
    assert_eq!(shown.records(), report.records());
    assert_eq!(table(&shown, "users").rows.len(), table(&report, "users").rows.len());
}

fn hostile() -> Value {
    value!({
        "timestamp": "2026-08-24T00:30:00Z",
        "event_type": "</style><script>alert(1)</script>",
        "actor": { "user_id": "\u{202e}eve\u{200b}\"><img src=x onerror=alert(2)>", "role": "=cmd|' /C calc'!A0" },
        "action": "read\u{7}\u{1b}[2J",
        "resource": { "type": "patient_record", "id": "P1" },
        "context": { "purpose": "@SUM(A1:A9)", "justification": "a,\"b\"\r\nc" },
        "result": "denied",
    })
}

#[test]
fn hostile_events_do_no_harm_in_any_format() {
    let h = ledger_of(&[hostile()]);
    let mut r = request(ReportKind::PatientAccess);
    r.patient = Some("P1".to_owned());
    let report = build(&h, &r).unwrap();
    let page = html(&report).replace("<wbr>", "");
    let head = page.split("</style>").next().unwrap();
    assert!(!page.contains("<script") && !page.contains("<img") && !head.contains("alert(1)"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(
        !page.contains(['\u{202e}', '\u{200b}', '\u{7}', '\u{1b}']) && page.contains("\\u{202e}eve\\u{200b}")
    );

    let mut lines =
        ::csv::ReaderBuilder::new().has_headers(true).from_reader(csv(&report).into_bytes().leak() as &[u8]);
    let heads = lines.headers().unwrap().clone();
    let row = lines.records().next().unwrap().unwrap();
    let get = |name: &str| row[heads.iter().position(|h| h == name).unwrap()].to_owned();
    assert_eq!(get("role"), "'=cmd|' /C calc'!A0");
    assert_eq!(get("purpose"), "'@SUM(A1:A9)");
    assert_eq!(get("reason"), "a,\"b\"\r\nc");
    assert_eq!(
        (get("record_ids"), get("record_count"), get("time_source")),
        ("EVT-00000000".into(), "1".into(), "event".into())
    );
    assert!(csv(&report).starts_with("time,user,role,") && csv(&report).ends_with("\r\n"));

    let parsed: Value = serde_json::from_str(&json(&report)).unwrap();
    let events = parsed["tables"].as_array().unwrap().iter().find(|t| t["main"] == true).unwrap();
    assert_eq!(events["rows"][0]["cells"]["reason"], "a,\"b\"\r\nc");
    assert_eq!(events["rows"][0]["records"], value!([[0, 0]]));
    assert_eq!(
        (&parsed["format"], &parsed["as_of"]["blocks"]),
        (&value!("sealtrail.org/report/v1"), &value!(2))
    );
}

#[test]
fn every_report_of_an_empty_ledger_and_of_a_full_one_is_a_page() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    std::fs::create_dir_all(&folder).unwrap();
    let (empty, full) = (ledger_of(&[value!({})]), hospital(EVENTS));
    for kind in ReportKind::ALL {
        let mut r = request(kind);
        match kind {
            ReportKind::PatientAccess => r.patient = Some(PATIENT.to_owned()),
            ReportKind::UserActivity => r.actor = Some("dr-smith-4421".to_owned()),
            ReportKind::AfterHours | ReportKind::Review => {
                r.zone = Some(Zone::parse("Europe/Berlin").unwrap())
            }
            ReportKind::BreachScope => r.actor = Some("clerk-jones-7".to_owned()),
            _ => {}
        }
        for (records, name) in [(&empty, "empty"), (&full, "full")] {
            let report = build(records, &r).unwrap();
            let page = html(&report);
            assert!(report.question.ends_with('?') && report.answer.ends_with('.'), "{}", report.answer);
            for part in
                ["<!DOCTYPE html>", "default-src 'none'", &*report.title, "signed by the ledger", ORIGIN]
            {
                assert!(page.contains(part), "{} lacks {part}", kind.name());
            }
            assert!(
                !page.contains("<script")
                    && !page.contains("src=")
                    && !page.contains("url(")
                    && !page.contains("href=")
            );
            assert_eq!(report.tables.iter().filter(|t| t.main).count(), 1, "{}", kind.name());
            for t in &report.tables {
                assert!(
                    t.rows.iter().all(|row| row.cells.len() == t.columns.len()),
                    "{} {}",
                    kind.name(),
                    t.name
                );
                assert!(t.total >= t.rows.len() as u64);
                let lines = csv_table(&report, t.name).unwrap();
                let parsed =
                    ::csv::Reader::from_reader(lines.as_bytes()).into_records().map(Result::unwrap).count();
                assert_eq!(parsed, t.rows.len());
            }
            let parsed: Value = serde_json::from_str(&json(&report)).unwrap();
            assert_eq!(parsed["report"], kind.name());
            std::fs::write(folder.join(format!("{}-{name}.html", kind.name())), page).unwrap();
        }
    }
}
