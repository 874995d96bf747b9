//! What rules remember per key, within limits: times of a threshold rule, counts per window of a volume rule.
//!
//! Both are functions of the set of events, as far as they reach back: an event that comes late takes its place among
//! the others, and whatever was seen in between is judged again where that can raise an alert.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::alert::Digest;
use crate::base::limits::{MAX_ALERTS_SEEN, MAX_KEY_ENTRIES, MAX_RULE_ENTRIES, MAX_RULE_KEYS};

/// Something remembered about a key.
pub(super) trait Memory: Default {
    /// How many entries it takes up.
    fn entries(&self) -> usize;
    /// Forgets what lies before a time, in milliseconds.
    fn forget(&mut self, before: i64);
    /// Forgets its oldest entries down to a number of them.
    fn shrink(&mut self, to: usize);
}

/// Keys and what is remembered about them, bounded in number and in entries.
pub(super) struct Keyed<M> {
    map: HashMap<Digest, Slot<M>>,
    entries: usize,
    touches: u64,
    limits: Limits,
}

struct Slot<M> {
    touched: u64,
    memory: M,
}

/// How much a rule may remember.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub keys: usize,
    pub entries: usize,
    pub entries_of_a_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keys: MAX_RULE_KEYS, entries: MAX_RULE_ENTRIES, entries_of_a_key: MAX_KEY_ENTRIES }
    }
}

/// Of so many keys one part in this is forgotten at once, so that forgetting is cheap for each.
const PART: usize = 16;

impl<M: Memory> Keyed<M> {
    pub fn new(limits: Limits) -> Self {
        Keyed { map: HashMap::new(), entries: 0, touches: 0, limits }
    }

    /// Changes what is remembered about `key`. What lies before `before` no longer matters. The number of keys that
    /// were forgotten, or cut short, to stay within the limits, is the second result.
    pub fn change<R>(&mut self, key: Digest, before: i64, f: impl FnOnce(&mut M) -> R) -> (R, usize) {
        let mut forgotten = 0;
        if !self.map.contains_key(&key) && self.map.len() >= self.limits.keys {
            self.sweep(before);
            if self.map.len() >= self.limits.keys {
                forgotten += self.evict(self.map.len() / PART + 1);
            }
        }
        self.touches += 1;
        let slot = self.map.entry(key).or_insert_with(|| Slot { touched: 0, memory: M::default() });
        slot.touched = self.touches;
        let was = slot.memory.entries();
        slot.memory.forget(before);
        let result = f(&mut slot.memory);
        if slot.memory.entries() > self.limits.entries_of_a_key {
            slot.memory.shrink(self.limits.entries_of_a_key - self.limits.entries_of_a_key / PART);
            forgotten += 1;
        }
        self.entries = (self.entries + slot.memory.entries()).saturating_sub(was);
        if self.entries > self.limits.entries {
            self.sweep(before);
            while self.entries > self.limits.entries && self.map.len() > 1 {
                forgotten += self.evict((self.map.len() / PART + 1).min(self.map.len() - 1));
            }
        }
        (result, forgotten)
    }

    /// Forgets what no longer matters, of all keys.
    fn sweep(&mut self, before: i64) {
        self.map.retain(|_, slot| {
            slot.memory.forget(before);
            slot.memory.entries() > 0
        });
        self.entries = self.map.values().map(|s| s.memory.entries()).sum();
    }

    /// Forgets the `n` keys idle longest.
    fn evict(&mut self, n: usize) -> usize {
        let mut touched: Vec<u64> = self.map.values().map(|s| s.touched).collect();
        touched.sort_unstable();
        let Some(last) = n.checked_sub(1).and_then(|i| touched.get(i)) else { return 0 };
        let was = self.map.len();
        self.map.retain(|_, slot| slot.touched > *last);
        self.entries = self.map.values().map(|s| s.memory.entries()).sum();
        was - self.map.len()
    }

    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        (self.map.len(), self.entries)
    }
}

/// Moments nearer to each other than one part in this of the window may become one.
const CELLS: i64 = 8;

/// An event, or several so close together that it makes no difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Moment {
    time: i64,
    index: u64,
    weight: u64,
}

/// The times of a key's events, ascending.
#[derive(Default)]
pub(super) struct Moments(Vec<Moment>);

/// A window with enough events in it: it ends with the event `last`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    pub time: i64,
    pub count: u64,
    pub first: u64,
    pub last: u64,
}

impl Moments {
    /// Adds an event and finds every event that it makes, or keeps, the last of at least `n` within `window`: of those
    /// with time in (t − window, t].
    pub fn add(&mut self, time: i64, index: u64, n: u64, window: i64) -> Vec<Hit> {
        let all = &mut self.0;
        let place = all.partition_point(|m| (m.time, m.index) < (time, index));
        all.insert(place, Moment { time, index, weight: 1 });
        let mut hits = Vec::new();
        let mut begin = all.partition_point(|m| m.time <= time - window);
        let mut count: u64 = all.iter().take(place).skip(begin).map(|m| m.weight).sum();
        for end in all.iter().skip(place) {
            if end.time - window >= time {
                break;
            }
            count += end.weight;
            while let Some(m) = all.get(begin).filter(|m| m.time <= end.time - window) {
                count -= m.weight;
                begin += 1;
            }
            if count >= n {
                let first = all.get(begin).map_or(end.index, |m| m.index);
                hits.push(Hit { time: end.time, count, first, last: end.index });
            }
        }
        self.thin(place, n as usize, window);
        hits
    }

    /// A moment with `n` others within half a window before it and `n` within half a window after it stands in no window
    /// that has fewer than `n` without it, so it need not be remembered; its weight goes to the moment before it, if that is near, so
    /// that counts stay nearly right and never too high. So a key that never stops is remembered by some moments a window.
    fn thin(&mut self, added: usize, n: usize, window: i64) {
        let all = &mut self.0;
        let Some(middle) = added.checked_sub(n).filter(|m| *m >= n) else { return };
        let Some(m) = all.get(middle).copied() else { return };
        let before = all.get(middle - n).is_some_and(|b| m.time - b.time <= window / 2);
        let after = all.get(middle + n).is_some_and(|a| a.time - m.time <= window / 2);
        let cell = |t: i64| t.div_euclid((window / CELLS).max(1));
        if let Some(previous) = middle.checked_sub(1).and_then(|p| all.get_mut(p))
            && before
            && after
            && cell(previous.time) == cell(m.time)
        {
            previous.weight += m.weight;
            all.remove(middle);
        }
    }
}

impl Memory for Moments {
    fn entries(&self) -> usize {
        self.0.len()
    }

    fn forget(&mut self, before: i64) {
        // Nearly always there is nothing to forget, and finding that out is one comparison.
        if self.0.first().is_some_and(|m| m.time < before) {
            self.0.drain(..self.0.partition_point(|m| m.time < before));
        }
    }

    fn shrink(&mut self, to: usize) {
        self.0.drain(..self.0.len().saturating_sub(to));
    }
}

/// How many events a key had in each window; windows are numbered from 1970 on.
#[derive(Default)]
pub(super) struct Counts {
    windows: BTreeMap<i64, Count>,
    length: i64,
}

#[derive(Clone, Copy)]
struct Count {
    events: u64,
    first: u64,
}

/// What a volume rule decides by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Load {
    /// Events in the window of the event just added.
    pub events: u64,
    /// The first of them.
    pub first: u64,
    /// In how many of the windows before the key was active.
    pub active: u64,
    /// How many events it had in those.
    pub before: u64,
}

impl Counts {
    /// Adds an event and tells how its window compares to the `history` windows before it.
    pub fn add(&mut self, time: i64, index: u64, history: i64, length: i64) -> Load {
        self.length = length;
        let window = time.div_euclid(length);
        let now = self.windows.entry(window).or_insert(Count { events: 0, first: index });
        now.events += 1;
        let now = *now;
        let past = self.windows.range(window.saturating_sub(history)..window);
        let (active, before) = past.fold((0, 0), |(n, sum), (_, c)| (n + 1, sum + c.events));
        Load { events: now.events, first: now.first, active, before }
    }
}

impl Memory for Counts {
    fn entries(&self) -> usize {
        self.windows.len()
    }

    fn forget(&mut self, before: i64) {
        while let Some(oldest) = self.windows.first_entry() {
            if (oldest.key() + 1).saturating_mul(self.length) > before {
                break;
            }
            oldest.remove();
        }
    }

    fn shrink(&mut self, to: usize) {
        while self.windows.len() > to {
            self.windows.pop_first();
        }
    }
}

/// The ids of alerts raised so far, the newest of them.
#[derive(Default)]
pub(super) struct Seen {
    known: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Seen {
    /// Whether this id is new; from now on it is not.
    pub fn is_new(&mut self, id: Digest) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_ALERTS_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
