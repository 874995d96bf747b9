//! A small map that forgets what was not asked for the longest time.

use std::collections::HashMap;
use std::hash::Hash;

/// At most so many values, which are cheap to clone. Forgetting looks at all of them, so they should be few.
pub(super) struct Recent<K, V> {
    most: usize,
    /// Counts questions.
    now: u64,
    values: HashMap<K, (u64, V)>,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// At most `most` values.
    pub(super) fn new(most: usize) -> Recent<K, V> {
        Recent { most, now: 0, values: HashMap::new() }
    }

    /// The value under a key, if it is still there.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.now += 1;
        let (asked, value) = self.values.get_mut(key)?;
        *asked = self.now;
        Some(value.clone())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    /// Keeps a value.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.now += 1;
        if self.values.len() >= self.most && !self.values.contains_key(&key) {
            let oldest = self.values.iter().min_by_key(|(_, (asked, _))| *asked).map(|(k, _)| k.clone());
            oldest.and_then(|k| self.values.remove(&k));
        }
        self.values.insert(key, (self.now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten() {
        let mut recent = Recent::new(3);
        (0..3).for_each(|k| recent.put(k, k * 10));
        assert_eq!(recent.get(&0), Some(0));
        recent.put(3, 30);
        recent.put(3, 31);
        let left: Vec<_> = (0..4).map(|k| recent.get(&k)).collect();
        assert_eq!(left, [Some(0), None, Some(20), Some(31)]);
    }
}
