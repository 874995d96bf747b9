//! The rules at work: records and blocks in, alerts out. No clock, no files, no network; the same records in the same
//! order give the same alerts, whether they come at once or after restarts that replay [`Engine::replay_span`].
//!
//! **Time.** An event counts at the time it says it happened, if the ledger committed it at most `late` after that (and not
//! more than five minutes before); otherwise at the time its batch was sealed, under the same condition, otherwise at the
//! time its block was committed. So order does not matter within `late`, and a wrong clock hides nothing.
//!
//! **Windows.** A threshold counts in the window that ends with each event. Alerts are raised once per key and *slot*, the
//! slots being the window's length, numbered from 1970: a burst that goes on gives one alert a slot.

use std::sync::Arc;

use super::alert::{Alert, DIGEST, Digest, Naming, alert_id, short, span};
use super::filter::{COLUMNS, Column};
use super::rules::{Rule, Rules, Severity, Test};
use super::windows::{Counts, Keyed, Limits, Moments, Seen};
use super::writers::Writers;
use crate::auditor::facts::Facts;
use crate::auditor::record::{AuditRecord, Content};
use crate::base::clock::Timestamp;
use crate::base::hash::{Hash, to_hex};
use crate::base::limits::MAX_CLOCK_AHEAD;
use crate::chain::block::Block;
use crate::chain::proof::record_id;
use crate::chain::statement::Statement;
use crate::event::view::printable;

/// What can be known of a ledger without its records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Two signed histories, or one that became shorter.
    Fork {
        /// What was found, in a sentence.
        what: String,
        /// The signed checkpoint known before.
        known: String,
        /// The signed checkpoint shown now.
        shown: String,
    },
    /// What the ledger shows does not verify.
    Broken {
        /// What does not hold.
        what: String,
    },
}

/// How much of the ledger the rules could see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Records opened as a whole.
    pub opened: u64,
    /// Records of which some sections stayed closed.
    pub partly_opened: u64,
    /// Records sealed for others: no rule but those about writers sees them.
    pub not_for_you: u64,
    /// Records erased by order.
    pub erased: u64,
    /// Records that do not open though they should.
    pub unreadable: u64,
}

/// The rules and what they remember.
pub struct Engine {
    rules: Vec<(Rule, Arc<str>, State)>,
    late: i64,
    span: i64,
    naming: Naming,
    ledger: Arc<str>,
    newest: i64,
    seen: Seen,
    writers: Writers,
    coverage: Coverage,
    notices: Vec<String>,
}

enum State {
    None,
    Moments { keys: Keyed<Moments>, told: bool },
    Counts { keys: Keyed<Counts>, told: bool },
}

impl Engine {
    /// An engine that has seen nothing of `ledger`.
    pub fn new(rules: Rules, naming: Naming, ledger: &str) -> Engine {
        Engine::with_limits(rules, naming, ledger, Limits::default())
    }

    pub(super) fn with_limits(rules: Rules, naming: Naming, ledger: &str, limits: Limits) -> Engine {
        let (late, span) = (rules.late, rules.replay_span());
        let state = |test: &Test| match test {
            Test::Threshold { .. } => State::Moments { keys: Keyed::new(limits), told: false },
            Test::Volume { .. } => State::Counts { keys: Keyed::new(limits), told: false },
            _ => State::None,
        };
        Engine {
            rules: rules
                .rules
                .into_iter()
                .map(|r| {
                    let (name, state) = (r.name.as_str().into(), state(&r.test));
                    (r, name, state)
                })
                .collect(),
            late,
            span,
            naming,
            ledger: ledger.into(),
            newest: 0,
            seen: Seen::default(),
            writers: Writers::default(),
            coverage: Coverage::default(),
            notices: Vec::new(),
        }
    }

    /// How much earlier than the cursor's block records must be observed again after a restart, in milliseconds between
    /// the times blocks were committed. Their alerts were sent before.
    pub fn replay_span(&self) -> i64 {
        self.span
    }

    /// How much of the ledger the rules could see so far.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What people should know about limits that were reached; each is told once.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// When each writer was last heard of, to be kept with the cursor.
    pub fn writers(&self) -> &Writers {
        &self.writers
    }

    /// Goes on from what [`Engine::writers`] was.
    pub fn set_writers(&mut self, writers: Writers) {
        self.writers = writers;
    }

    /// A block from before the watch began: who writes, and when each was last heard of. Raises nothing.
    pub fn learn_block(&mut self, block: &Block, statement: &Statement) {
        self.newest = self.newest.max(block.committed.millis());
        self.writers.observe(block, statement);
    }

    /// Alerts raised so far were nobody's: the watch begins with the next record, and may raise them.
    pub fn forget_alerts(&mut self) {
        self.seen = Seen::default();
    }

    /// The records observed so far were a replay: they do not count in [`Engine::coverage`].
    pub fn end_replay(&mut self) {
        self.coverage = Coverage::default();
    }

    /// The next record, by index. `facts` are its event's, or empty if it is not open.
    pub fn observe(&mut self, record: &AuditRecord, facts: &Facts) -> Vec<Alert> {
        let c = &mut self.coverage;
        *match &record.content {
            Content::Opened { withheld, .. } if withheld.is_empty() => &mut c.opened,
            Content::Opened { .. } => &mut c.partly_opened,
            Content::NotForYou => &mut c.not_for_you,
            Content::Erased { .. } => &mut c.erased,
            Content::Unreadable { .. } => &mut c.unreadable,
        } += 1;
        self.newest = self.newest.max(record.committed.millis());
        let opened = matches!(record.content, Content::Opened { .. });
        let unreadable = matches!(record.content, Content::Unreadable { .. });
        if !opened && !unreadable {
            return Vec::new();
        }
        let times = Times::of(record, facts, self.late);
        let newest = self.newest;
        let mut out = Vec::new();
        for (rule, name, state) in &mut self.rules {
            if matches!(rule.test, Test::Unreadable { .. }) != unreadable
                || !rule.filter.accepts(facts, &record.writer)
            {
                continue;
            }
            let mut at = Raiser {
                rule,
                name,
                naming: &self.naming,
                ledger: &self.ledger,
                seen: &mut self.seen,
                out: &mut out,
                record,
                facts,
                oldest: newest - self.late - MAX_CLOCK_AHEAD - rule.test.reach(),
            };
            let forgotten = at.judge(state, times);
            if let State::Moments { told, .. } | State::Counts { told, .. } = state
                && forgotten > 0
                && !std::mem::replace(told, true)
            {
                self.notices.push(format!(
                    "rule {name} has more keys or events than it can keep track of; those idle longest are forgotten, and it may \
                     miss some that are slow. Narrow its `where`, or shorten its `window` or `late`"
                ));
            }
        }
        out
    }

    /// The next block, before its records.
    pub fn observe_block(&mut self, block: &Block, statement: &Statement) -> Vec<Alert> {
        self.newest = self.newest.max(block.committed.millis());
        let alerts = self.silences(block.committed, Some(block.height));
        self.writers.observe(block, statement);
        alerts
    }

    /// It is `now`, and all blocks committed until then were observed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Alert> {
        self.silences(now, None)
    }

    /// Writers that have been silent for too long at `now`: one alert for each silence.
    fn silences(&mut self, now: Timestamp, block: Option<u64>) -> Vec<Alert> {
        let mut out = Vec::new();
        for (rule, name, _) in &self.rules {
            let Test::SilentWriter { longer_than, writers } = &rule.test else { continue };
            for (writer, last) in self.writers.silent(name, now, *longer_than) {
                if !writers.is_empty() && !writers.iter().any(|w| w == writer) {
                    continue;
                }
                last.told.insert(rule.name.clone());
                let spoke = if last.joined {
                    "has said nothing since it joined the roster at"
                } else {
                    "has said nothing since"
                };
                let silent = span(now.millis().saturating_sub(last.committed.millis()));
                let (block_height, window) = (last.block, last.block as i64);
                out.push(Alert {
                    id: to_hex(&alert_id(name, &self.naming.writer(writer), window)),
                    ledger: self.ledger.clone(),
                    rule: name.clone(),
                    kind: rule.test.kind(),
                    severity: rule.severity,
                    message: format!(
                        "{}: {} {spoke} {} (block {block_height}), {silent}, not even a heartbeat.",
                        says(rule, "Silent writer"),
                        short(writer),
                        last.committed
                    ),
                    key: vec![("writer", short(writer))],
                    count: 1,
                    first: None,
                    last: None,
                    block,
                    time: now,
                    window: None,
                    event: Vec::new(),
                });
            }
        }
        out
    }

    /// What is known of the ledger as a whole. An alert whether a rule names it or not.
    pub fn observe_signal(&mut self, signal: &Signal, now: Timestamp) -> Alert {
        let rule = self.rules.iter().find(|(r, ..)| matches!(r.test, Test::Fork));
        let (what, evidence) = match signal {
            Signal::Fork { what, known, shown } => {
                (what, Hash::of(&[known.as_bytes(), &[0], shown.as_bytes()]))
            }
            Signal::Broken { what } => (what, Hash::of(&[what.as_bytes()])),
        };
        let first = match signal {
            Signal::Fork { .. } => "The ledger shows two histories",
            Signal::Broken { .. } => "The ledger does not verify",
        };
        let mut digest = [0; DIGEST];
        digest.iter_mut().zip(evidence.0).for_each(|(d, e)| *d = e);
        let name: Arc<str> = rule.map_or_else(|| "fork".into(), |(_, name, _)| name.clone());
        Alert {
            id: to_hex(&alert_id(&name, &digest, 0)),
            ledger: self.ledger.clone(),
            kind: "fork",
            severity: rule.map_or(Severity::Critical, |(r, ..)| r.severity),
            message: format!("{}: {}", rule.map_or(first, |(r, ..)| says(r, first)), printable(what)),
            rule: name,
            key: Vec::new(),
            count: 1,
            first: None,
            last: None,
            block: None,
            time: now,
            window: None,
            event: Vec::new(),
        }
    }
}

fn says<'r>(rule: &'r Rule, default: &'r str) -> &'r str {
    rule.description.as_deref().unwrap_or(default)
}

/// The times a record counts at.
#[derive(Clone, Copy)]
struct Times {
    /// For windows: within `late` before and five minutes after the block.
    counted: Timestamp,
    /// When it happened, however long ago, as far as can be known.
    happened: Timestamp,
}

impl Times {
    fn of(record: &AuditRecord, facts: &Facts, late: i64) -> Times {
        let committed = record.committed.millis();
        let not_ahead = |t: &Timestamp| t.millis() <= committed.saturating_add(MAX_CLOCK_AHEAD);
        let near = |t: &Timestamp| not_ahead(t) && t.millis() >= committed.saturating_sub(late);
        let said = facts.time.as_deref().and_then(Timestamp::parse);
        let sealed = Some(record.sealed).filter(near).unwrap_or(record.committed);
        Times {
            counted: said.filter(near).unwrap_or(sealed),
            happened: said.filter(not_ahead).unwrap_or(sealed),
        }
    }
}

/// A rule in front of a record it is about.
struct Raiser<'a> {
    rule: &'a Rule,
    name: &'a Arc<str>,
    naming: &'a Naming,
    ledger: &'a Arc<str>,
    seen: &'a mut Seen,
    out: &'a mut Vec<Alert>,
    record: &'a AuditRecord,
    facts: &'a Facts,
    oldest: i64,
}

/// What differs from alert to alert.
struct Found {
    message: String,
    count: u64,
    first: u64,
    last: u64,
    time: Timestamp,
    window: Option<(Timestamp, Timestamp)>,
}

impl Raiser<'_> {
    /// Raises what there is to raise. How many keys had to be forgotten is the result.
    fn judge(&mut self, state: &mut State, times: Times) -> usize {
        let (index, at) = (self.record.index, times.counted.millis());
        let single =
            |message, time| Found { message, count: 1, first: index, last: index, time, window: None };
        match (&self.rule.test, state) {
            (Test::Each { key }, _) => {
                let about = self.about(key);
                let message = format!("{}{about}: {}.", says(self.rule, "Matching event"), record_id(index));
                self.raise(key, &[0; DIGEST], index as i64, single(message, times.happened));
                0
            }
            (Test::Threshold { key, count, window }, State::Moments { keys, .. }) => {
                let Some(digest) = self.naming.key(key, self.facts, &self.record.writer) else { return 0 };
                let n = u64::from(*count);
                let (hits, forgotten) = keys.change(digest, self.oldest, |m| m.add(at, index, n, *window));
                for hit in hits {
                    let Some(time) = Timestamp::from_millis(hit.time) else { continue };
                    let from = Timestamp::from_millis((hit.time - window).max(0)).unwrap_or(time);
                    // One that came late may have the higher index though it happened first.
                    let (first, last) = (hit.first.min(hit.last), hit.first.max(hit.last));
                    let records = Alert::records(Some(first), Some(last));
                    let message = format!(
                        "{}{}: {}{} events within {}, {records}.",
                        says(self.rule, "Threshold reached"),
                        self.about(key),
                        if hit.count > n { "at least " } else { "" },
                        hit.count,
                        span(*window)
                    );
                    let found =
                        Found { message, count: hit.count, first, last, time, window: Some((from, time)) };
                    self.raise(key, &digest, hit.time.div_euclid(*window), found);
                }
                forgotten
            }
            (
                Test::Volume { key, window, history, baseline, factor, minimum },
                State::Counts { keys, .. },
            ) => {
                let Some(digest) = self.naming.key(key, self.facts, &self.record.writer) else { return 0 };
                let change = |c: &mut Counts| c.add(at, index, i64::from(*history), *window);
                let (load, forgotten) = keys.change(digest, self.oldest, change);
                let mean = load.before as f64 / load.active.max(1) as f64;
                let judged = load.active >= u64::from(*baseline) && load.events >= *minimum;
                if judged && load.events as f64 > factor * mean {
                    let slot = at.div_euclid(*window);
                    let edge = |n: i64| Timestamp::from_millis(n.saturating_mul(*window).max(0));
                    let bounds = edge(slot).zip(edge(slot + 1));
                    let message = format!(
                        "{}{}: {} events within {}, where the mean of its {} active windows before is {mean:.1}; {} and later.",
                        says(self.rule, "Volume spike"),
                        self.about(key),
                        load.events,
                        span(*window),
                        load.active,
                        record_id(load.first),
                    );
                    let found = Found {
                        message,
                        count: load.events,
                        first: load.first,
                        last: index,
                        time: times.counted,
                        window: bounds,
                    };
                    self.raise(key, &digest, slot, found);
                }
                forgotten
            }
            (Test::AfterHours { key, hours }, _) => {
                let Some(night) = hours.night(times.happened) else { return 0 };
                let digest = self.naming.key(key, self.facts, &self.record.writer).unwrap_or([0; DIGEST]);
                let night =
                    (i64::from(night.year()) * 100 + i64::from(night.month())) * 100 + i64::from(night.day());
                let message = format!(
                    "{}{}: {} at {}.",
                    says(self.rule, "Outside working hours"),
                    self.about(key),
                    record_id(index),
                    hours.local(times.happened)
                );
                self.raise(key, &digest, night, single(message, times.happened));
                0
            }
            (Test::Unreadable { window }, _) => {
                let why = match &self.record.content {
                    // The reason may quote the event.
                    Content::Unreadable { why } if self.naming.shows() => format!(": {}", short(why)),
                    _ => String::new(),
                };
                let writer = short(&self.record.writer);
                let what = says(self.rule, "Unreadable record");
                let message =
                    format!("{what}: {}, sealed by {writer}, cannot be read{why}.", record_id(index));
                let digest = self.naming.writer(&self.record.writer);
                let key: Vec<Column> = Column::named("writer").into_iter().collect();
                self.raise(&key, &digest, at.div_euclid(*window), single(message, times.counted));
                0
            }
            (Test::Threshold { .. } | Test::Volume { .. } | Test::SilentWriter { .. } | Test::Fork, _) => 0,
        }
    }

    /// ` by actor 0123456789ab`, or nothing if there is nobody to name.
    fn about(&self, key: &[Column]) -> String {
        let shown = self.naming.shown(key, self.facts, &self.record.writer);
        let parts: Vec<String> = shown.iter().map(|(c, v)| format!("{c} {v}")).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }

    fn raise(&mut self, key: &[Column], digest: &Digest, window: i64, found: Found) {
        let id = alert_id(self.name, digest, window);
        if !self.seen.is_new(id) {
            return;
        }
        let event = |c: &Column| Some((c.name, short(c.value(self.facts, &self.record.writer)?)));
        let wanted = self.naming.shows() && matches!(self.record.content, Content::Opened { .. });
        self.out.push(Alert {
            id: to_hex(&id),
            ledger: self.ledger.clone(),
            rule: self.name.clone(),
            kind: self.rule.test.kind(),
            severity: self.rule.severity,
            message: found.message,
            key: self.naming.shown(key, self.facts, &self.record.writer),
            count: found.count,
            first: Some(found.first),
            last: Some(found.last),
            block: Some(self.record.block),
            time: found.time,
            window: found.window,
            event: if wanted { COLUMNS.iter().filter_map(event).collect() } else { Vec::new() },
        });
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
