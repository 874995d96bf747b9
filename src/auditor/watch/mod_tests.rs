#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::record::AsOf;
use super::alert::{Alert, Naming};
use super::testing::*;
use super::*;

const RULES: &str = r#"
    late = "2h"
    [[rule]]
    name = "glass"
    type = "each"
    severity = "high"
    where = { emergency = true }
    [[rule]]
    name = "failures"
    type = "threshold"
    severity = "high"
    count = 3
    window = "5m"
    key = "address"
    where = { outcome = "denied" }
    [[rule]]
    name = "spike"
    type = "volume"
    severity = "medium"
    window = "10m"
    history = 6
    baseline = 2
    factor = 2
    minimum = 4
    [[rule]]
    name = "night"
    type = "after-hours"
    severity = "low"
    zone = "UTC"
    from = "09:30"
    to = "10:30"
    [[rule]]
    name = "silent"
    type = "silent-writer"
    severity = "high"
    longer_than = "20m"
    [[rule]]
    name = "bad"
    type = "unreadable"
    severity = "high"
    window = "15m"
"#;

thread_local! {
    /// What the watch thinks the time is: minutes after the sample's beginning, in milliseconds.
    static NOW: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

fn now() -> Timestamp {
    at(NOW.get())
}

struct Setup {
    dir: tempfile::TempDir,
    said: Vec<String>,
    options: Options,
}

impl Setup {
    fn new() -> Setup {
        let retry = Retry { first: Duration::from_millis(1), longest: Duration::from_millis(5) };
        let every = Duration::from_millis(1);
        let options = Options { every, once: true, from_start: true, retry, now };
        Setup { dir: tempfile::tempdir().unwrap(), said: Vec::new(), options }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("watch.cursor")
    }

    fn run(&mut self, rules: &str, tail: &mut dyn Tail, sinks: &[&Memory]) -> Result<Summary, WatchError> {
        let cursor = Cursor::open(&self.path(), LEDGER)?;
        let engine =
            Engine::new(rules::Rules::parse(rules).unwrap(), Naming::new(cursor.secret(), false), LEDGER);
        let sinks = sinks.iter().map(|m| Box::new((*m).clone()) as Box<dyn Sink>).collect();
        let mut say = |text: &str| self.said.push(text.to_owned());
        run(tail, engine, sinks, cursor, &self.options, &mut say, &AtomicBool::new(false))
    }

    fn next_block(&self) -> u64 {
        Cursor::open(&self.path(), LEDGER).unwrap().position().map_or(0, |p| p.next_block)
    }
}

fn once(sample: &Sample, blocks: usize) -> Script {
    Script::of([Ok(Some(sample.view(blocks)))])
}

fn glass(n: i64) -> Sample {
    let mut sample = Sample::with_writers(&[WRITER]);
    for i in 0..n {
        let mut e = event(i * MINUTE, "dr-smith-4421", "10.0.0.1", "allowed");
        e["context"] = json!({ "emergency_access": true });
        sample.events(i * MINUTE, &[e]);
    }
    sample
}

const GLASS: &str =
    "[[rule]]\nname = \"glass\"\ntype = \"each\"\nseverity = \"high\"\nwhere = { emergency = true }";

#[test]
fn the_cursor_follows_the_slowest_sink_and_nothing_is_lost() {
    let sample = glass(4);
    let mut setup = Setup::new();
    // Two alerts are taken, then the second sink fails for good: the run ends, as a crash between two alerts would.
    let (first, second) =
        (Memory::default(), Memory::planned([None, Some(1)].into_iter().chain([Some(0); 40])));
    let e = setup.run(GLASS, &mut once(&sample, 5), &[&first, &second]).unwrap_err();
    assert!(matches!(e, WatchError::Undelivered(_)), "{e}");
    assert_eq!((first.ids().len(), second.ids().len()), (4, 2));
    // The blocks of the alerts that both took.
    assert_eq!(setup.next_block(), 3);
    assert!(
        setup.said.iter().any(|s| s.contains("memory does not take alerts: as planned")),
        "{:?}",
        setup.said
    );
    // The next run: the first sink gets what it had already once more, by the same ids, the second what it missed.
    let (first_again, second_again) = (Memory::default(), Memory::default());
    setup.run(GLASS, &mut once(&sample, 5), &[&first_again, &second_again]).unwrap();
    assert_eq!(first_again.ids(), first.ids()[2..]);
    assert_eq!([second.ids(), second_again.ids()].concat(), first.ids());
    assert_eq!(setup.next_block(), 5);
    // And then there is nothing more to say.
    let third = Memory::default();
    setup.run(GLASS, &mut once(&sample, 5), &[&third]).unwrap();
    assert_eq!(third.ids(), [] as [&str; 0]);
}

#[test]
fn a_sink_that_is_down_holds_up_nobody_and_catches_up() {
    let sample = glass(30);
    let mut setup = Setup::new();
    setup.options.once = false;
    let order: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let up = Memory { called: Some("up"), order: order.clone(), ..Memory::default() };
    // Down until the other has everything; if that never came, it would take alerts in the end, and the order would tell.
    let down = Memory {
        called: Some("down"),
        order: order.clone(),
        until: Some(30),
        ..Memory::planned([Some(0); 2000])
    };
    let stop = AtomicBool::new(false);
    let cursor = Cursor::open(&setup.path(), LEDGER).unwrap();
    let engine =
        Engine::new(rules::Rules::parse(GLASS).unwrap(), Naming::new(cursor.secret(), false), LEDGER);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(down.clone()), Box::new(up.clone())];
    // The end comes when both have everything.
    std::thread::scope(|s| {
        s.spawn(|| {
            while down.ids().len() < 30 {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.store(true, Ordering::Relaxed);
        });
        run(&mut once(&sample, 31), engine, sinks, cursor, &setup.options, &mut |_| {}, &stop).unwrap();
    });
    // The healthy one had everything before the other had anything.
    assert_eq!(*order.lock().unwrap(), [["up"; 30], ["down"; 30]].concat());
    assert_eq!(up.ids(), down.ids());
    assert_eq!(setup.next_block(), 31);
}

#[test]
fn a_new_watch_begins_at_the_end_but_knows_what_came_before() {
    // Two failures before it began, one after: together three within five minutes.
    let mut sample = Sample::with_writers(&[WRITER, "hospital.example/writers/lab"]);
    let fail = |t: i64| event(t, "m", "10.0.0.9", "denied");
    sample.events(MINUTE, &[fail(0), fail(1)]);
    sample.events(2 * MINUTE, &[fail(MINUTE)]);
    let mut setup = Setup::new();
    setup.options.from_start = false;
    let sink = Memory::default();
    setup.run(RULES, &mut once(&sample, 2), &[&sink]).unwrap();
    let kinds = |m: &Memory| m.taken.lock().unwrap().iter().map(|a| a.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&sink), [] as [&str; 0]);
    assert!(setup.said[0].contains("a new watch: it begins after block 1"), "{:?}", setup.said);
    let sink = Memory::default();
    // And it knows the writers: one has been silent for 21 minutes.
    NOW.set(21 * MINUTE);
    setup.run(RULES, &mut once(&sample, 3), &[&sink]).unwrap();
    assert_eq!(kinds(&sink).iter().filter(|k| **k == "silent-writer").count(), 1);
    assert_eq!(kinds(&sink).iter().filter(|k| **k == "threshold").count(), 1);
}

#[test]
fn what_was_full_before_a_watch_began_is_still_told_when_it_goes_on() {
    let fail = |t: i64| event(t, "m", "10.0.0.9", "denied");
    let mut sample = Sample::with_writers(&[WRITER]);
    sample.events(0, &[fail(0), fail(1), fail(2)]);
    sample.events(SECOND, &[fail(SECOND)]);
    sample.events(2 * SECOND, &[fail(2 * SECOND)]);
    let rules = RULES.split("    [[rule]]\n    name = \"spike\"").next().unwrap();
    let mut setup = Setup::new();
    setup.options.from_start = false;
    // It begins after the first batch; the second goes on in the same slot and is told, the third is not told again.
    for (blocks, told) in [(2, 0), (3, 1), (4, 0)] {
        let sink = Memory::default();
        setup.run(rules, &mut once(&sample, blocks), &[&sink]).unwrap();
        assert_eq!(sink.ids().len(), told, "{blocks} blocks");
    }
}

#[test]
fn a_silence_is_told_once_whatever_the_restarts() {
    let sample = Sample::with_writers(&[WRITER]);
    let mut setup = Setup::new();
    let sink = Memory::default();
    for minute in [20, 21, 22, 90] {
        NOW.set(minute * MINUTE);
        setup.run(RULES, &mut once(&sample, 1), &[&sink]).unwrap();
    }
    assert_eq!(sink.ids().len(), 1);
}

#[test]
fn an_unreachable_ledger_is_waited_for() {
    let sample = glass(2);
    let down = || Err(TailError::Unavailable("http://ledger.example cannot be reached".into()));
    let mut setup = Setup::new();
    let sink = Memory::default();
    let e = setup.run(GLASS, &mut Script::of([down()]), &[&sink]).unwrap_err();
    assert!(matches!(e, WatchError::Unavailable(_)));
    setup.options.once = false;
    let refused = Err(TailError::Refused("no reader any more".into()));
    let mut tail = Script::of([down(), down(), Ok(Some(sample.view(3))), Ok(None), refused]);
    let e = setup.run(GLASS, &mut tail, &[&sink]).unwrap_err();
    assert!(matches!(e, WatchError::Refused(_)));
    assert_eq!(sink.ids().len(), 2);
    assert_eq!(
        setup.said,
        ["http://ledger.example cannot be reached. Trying again", "the ledger can be reached again"]
    );
}

#[test]
fn a_fork_reaches_every_sink_and_ends_the_watch() {
    let sample = glass(1);
    let fork = || TailError::Fork { what: "two roots".into(), known: "a".into(), shown: "b".into() };
    let mut setup = Setup::new();
    setup.options.once = false;
    let (a, b) = (Memory::default(), Memory::planned([None, Some(0)]));
    let mut tail = Script::of([Ok(Some(sample.view(2))), Err(fork())]);
    let e = setup.run(GLASS, &mut tail, &[&a, &b]).unwrap_err();
    assert!(matches!(&e, WatchError::Integrity(m) if m.contains("two roots")), "{e}");
    for sink in [&a, &b] {
        let taken = sink.taken.lock().unwrap();
        assert_eq!(taken.iter().map(|a| a.kind).collect::<Vec<_>>(), ["each", "fork"]);
    }
    // Again after a restart, as the same alert.
    let again = Memory::default();
    setup.run(GLASS, &mut Script::of([Err(fork())]), &[&again]).unwrap_err();
    assert_eq!(again.ids()[0], a.ids()[1]);
}

#[test]
fn a_cursor_that_does_not_fit_the_ledger_is_a_fork() {
    let mut setup = Setup::new();
    setup.run(GLASS, &mut once(&glass(3), 4), &[&Memory::default()]).unwrap();
    // Shorter; then as long, but another history.
    let mut other = Sample::with_writers(&[WRITER, "hospital.example/writers/lab"]);
    (0..5).for_each(|i| other.events(i * MINUTE, &[event(0, "a", "b", "allowed")]));
    for (sample, blocks) in [(&glass(3), 3), (&other, 6)] {
        let sink = Memory::default();
        let e = setup.run(GLASS, &mut once(sample, blocks), &[&sink]).unwrap_err();
        assert!(matches!(e, WatchError::Integrity(_)), "{e}");
        assert_eq!(sink.taken.lock().unwrap()[0].kind, "fork");
    }
    assert_eq!(setup.next_block(), 4);
}

/// The vault is deleted while the watch runs, and synced anew from a ledger that shows another history.
#[test]
fn a_history_that_changes_while_the_watch_runs_is_a_fork() {
    let mut other = Sample::with_writers(&[WRITER, "hospital.example/writers/lab"]);
    (0..5).for_each(|i| other.events(i * MINUTE, &[event(0, "a", "b", "allowed")]));
    // Shorter, as long, longer.
    for later in [glass(3).view(3), other.view(4), other.view(6)] {
        let mut setup = Setup::new();
        setup.options.once = false;
        let end = Err(TailError::Refused("end".into()));
        let mut tail = Script::of([Ok(Some(glass(3).view(4))), Ok(None), Ok(Some(later)), end]);
        let sink = Memory::default();
        let e = setup.run(GLASS, &mut tail, &[&sink]).unwrap_err();
        assert!(matches!(e, WatchError::Integrity(_)), "{e}");
        let kinds: Vec<&str> = sink.taken.lock().unwrap().iter().map(|a| a.kind).collect();
        assert_eq!(kinds, ["each", "each", "each", "fork"]);
        assert_eq!(setup.next_block(), 4);
    }
}

/// Records that break off at some index, the first time.
struct Breaks(Arc<dyn Records>, u64);

impl Records for Breaks {
    fn as_of(&self) -> &AsOf {
        self.0.as_of()
    }
    fn records(&self, range: std::ops::Range<u64>) -> super::super::record::RecordStream {
        let at = self.1;
        Box::new(self.0.records(range).map(move |r| match r {
            Ok(r) if r.index == at => Err(RecordsError::Unavailable("disk error".into())),
            other => other,
        }))
    }
    fn blocks(&self, range: std::ops::Range<u64>) -> super::super::record::BlockStream {
        self.0.blocks(range)
    }
}

#[test]
fn reading_that_breaks_off_goes_on_where_it_was_and_counts_nothing_twice() {
    let mut sample = Sample::with_writers(&[WRITER]);
    let fail = |t: i64| event(t, "m", "10.0.0.9", "denied");
    // Two and an unreadable third in one block: counting the first twice would make three.
    sample.events(MINUTE, &[fail(0), fail(1), event(0, "a", "b", "allowed")]);
    let breaks: Arc<dyn Records> = Arc::new(Breaks(sample.view(2), 2));
    let mut setup = Setup::new();
    setup.options.once = false;
    let rules = RULES.split("    [[rule]]\n    name = \"silent\"").next().unwrap();
    let sink = Memory::default();
    let end = Err(TailError::Refused("end".into()));
    let mut tail = Script::of([Ok(Some(breaks)), Ok(Some(sample.view(2))), end]);
    setup.run(rules, &mut tail, &[&sink]).unwrap_err();
    let kinds: Vec<&str> = sink.taken.lock().unwrap().iter().map(|a| a.kind).collect();
    assert!(!kinds.contains(&"threshold"), "{kinds:?}");
    assert_eq!(setup.next_block(), 2);
}

/// Minutes since the block before, kind, and how late, by whom and how each event was.
type Past = Vec<(i64, u8, Vec<(i64, u8, bool)>)>;

/// Blocks some minutes apart, with events that come up to an hour late, unreadable records and heartbeats.
fn history() -> impl Strategy<Value = Past> {
    let event = (0i64..60 * MINUTE, 0u8..3, any::<bool>());
    prop::collection::vec((0i64..15 * MINUTE, 0u8..10, prop::collection::vec(event, 1..6)), 1..40)
}

fn ledger(history: &Past) -> Sample {
    let lab = "hospital.example/writers/lab";
    let mut sample = Sample::with_writers(&[WRITER, lab]);
    let mut now = 0;
    for (pause, kind, events) in history {
        now += pause;
        match kind {
            0 => sample.heartbeat(now, lab),
            1 => sample.batch(now, vec![super::super::record::Content::Unreadable { why: "x".into() }]),
            _ => {
                let one = |(late, who, bad): &(i64, u8, bool)| -> Value {
                    let result = if *bad { "denied" } else { "allowed" };
                    event(now - late, &format!("a{who}"), &format!("10.0.0.{who}"), result)
                };
                sample.events(now, &events.iter().map(one).collect::<Vec<_>>());
            }
        }
    }
    sample
}

fn by_id(sinks: &[&Memory]) -> BTreeMap<String, Alert> {
    sinks.iter().flat_map(|m| m.taken.lock().unwrap().clone()).map(|a| (a.id.clone(), a)).collect()
}

fn copy_secret(from: &Path, to: &Path) {
    std::fs::copy(from.with_extension("cursor.secret"), to.with_extension("cursor.secret")).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In one go, or in pieces with a restart after each and sinks that fail in between: the same alerts.
    #[test]
    fn restarts_and_failures_change_nothing(
        history in history(),
        cuts in prop::collection::vec(1usize..42, 0..8),
        plan in prop::collection::vec(prop::option::of(0usize..4), 0..60),
    ) {
        let sample = ledger(&history);
        let size = sample.blocks.len();
        let mut whole = Setup::new();
        let all = Memory::default();
        let set = |blocks: usize| NOW.set(sample.blocks[blocks - 1].0.committed.millis() - at(0).millis());
        set(size);
        whole.run(RULES, &mut once(&sample, size), &[&all]).unwrap();

        let mut pieces = Setup::new();
        copy_secret(&whole.path(), &pieces.path());
        let (steady, shaky) = (Memory::default(), Memory::planned(plan));
        let cuts: BTreeSet<usize> = cuts.into_iter().filter(|c| *c < size).chain([size]).collect();
        for cut in cuts {
            set(cut);
            // A run that ends because a sink took nothing five times is a crash; the next piece comes anyway.
            let _ = pieces.run(RULES, &mut once(&sample, cut), &[&steady, &shaky]);
        }
        shaky.plan.lock().unwrap().clear();
        pieces.run(RULES, &mut once(&sample, size), &[&steady, &shaky]).unwrap();

        let expected: BTreeSet<String> = all.ids().into_iter().collect();
        for sink in [&steady, &shaky] {
            let ids: BTreeSet<String> = sink.ids().into_iter().collect();
            prop_assert_eq!(&ids, &expected);
        }
        // The same alert says the same, but for when a silence was noticed.
        let (one, other) = (by_id(&[&all]), by_id(&[&steady]));
        for (id, alert) in &one {
            if alert.kind != "silent-writer" {
                prop_assert_eq!(alert, &other[id]);
            }
        }
        prop_assert_eq!(pieces.next_block(), size as u64);
    }
}
