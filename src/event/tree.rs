//! The compiled policy: an automaton that a pass over an event walks along, one step per member or
//! element, so that finding what a policy names costs nothing where it names nothing.
//!
//! A node stands for the set of patterns that still match; merging them beforehand is what lets `*` and
//! an index stand side by side.

use std::collections::BTreeMap;

use super::names;
use super::pattern::{Pattern, index};

/// The place below which no pattern matches.
pub(super) const DEAD: u16 = 0;
/// The whole event.
pub(super) const ROOT: u16 = 1;

/// What a pattern is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// The value belongs to this section (never 0).
    Section(u8),
    /// The value gets a blind tag of this field.
    Tag(u8),
}

/// All patterns of a policy.
#[derive(Debug)]
pub(super) struct PatternTree {
    nodes: Vec<Node>,
}

#[derive(Default, Debug)]
struct Node {
    members: Table,
    /// Steps for particular indices, then the one for any other.
    indices: Vec<(u32, u16)>,
    any_index: u16,
    section: u8,
    tags: Vec<u8>,
}

/// Patterns by number, each with how many of its tokens are used up.
type State = Vec<(usize, usize)>;

impl PatternTree {
    /// Compiles patterns; `None` if they combine to more than 65,535 nodes.
    pub fn new(patterns: &[(&Pattern, Target)]) -> Option<PatternTree> {
        let tokens: Vec<Vec<&str>> = patterns.iter().map(|(p, _)| p.tokens().collect()).collect();
        let start: State = (0..patterns.len()).map(|p| (p, 0)).collect();
        let mut ids: BTreeMap<State, u16> = BTreeMap::from([(Vec::new(), DEAD), (start.clone(), ROOT)]);
        let mut queue = vec![start];
        let mut nodes = vec![Node::default()];
        let mut done = 0;
        while let Some(state) = queue.get(done).cloned() {
            done += 1;
            // The node the state leads to by one token that `takes` accepts.
            let mut step = |takes: &dyn Fn(&str) -> bool| -> Option<u16> {
                let next: State = state
                    .iter()
                    .filter(|(p, n)| tokens.get(*p).and_then(|t| t.get(*n)).is_some_and(|t| takes(t)))
                    .map(|(p, n)| (*p, n + 1))
                    .collect();
                if let Some(id) = ids.get(&next) {
                    return Some(*id);
                }
                let id = u16::try_from(queue.len() + 1).ok()?;
                queue.push(next.clone());
                ids.insert(next, id);
                Some(id)
            };
            let mut node = Node { any_index: step(&|t| t == "*")?, ..Node::default() };
            let mut members = Vec::new();
            for (p, n) in &state {
                match tokens.get(*p).and_then(|t| t.get(*n)) {
                    Some(token) => {
                        if *token != "*" {
                            members.push((*token, step(&|t| t == *token)?));
                        }
                        if let Some(i) = index(token) {
                            node.indices.push((i, step(&|t| t == *token || t == "*")?));
                        }
                    }
                    None => match patterns.get(*p).map(|(_, target)| *target) {
                        // The section named first wins; a policy whose sections overlap is refused before.
                        Some(Target::Section(s)) if node.section == 0 => node.section = s,
                        Some(Target::Tag(t)) if !node.tags.contains(&t) => node.tags.push(t),
                        _ => {}
                    },
                }
            }
            members.sort_unstable();
            members.dedup();
            node.members = Table::new(&members);
            nodes.push(node);
        }
        Some(PatternTree { nodes })
    }

    /// From an object to one of its members. `key` is [`names::key`] of `token`.
    #[inline]
    pub fn member(&self, from: u16, key: u64, token: &str) -> u16 {
        self.nodes.get(usize::from(from)).map_or(DEAD, |n| n.members.get(key, token))
    }

    /// From an array to one of its elements.
    #[inline]
    pub fn element(&self, from: u16, at: u32) -> u16 {
        let Some(n) = self.nodes.get(usize::from(from)) else { return DEAD };
        n.indices.iter().find(|(i, _)| *i == at).map_or(n.any_index, |(_, to)| *to)
    }

    /// The section a value here belongs to, or 0.
    #[inline]
    pub fn section(&self, at: u16) -> u8 {
        self.nodes.get(usize::from(at)).map_or(0, |n| n.section)
    }

    /// The tag fields a value here belongs to.
    #[inline]
    pub fn tags(&self, at: u16) -> &[u8] {
        self.nodes.get(usize::from(at)).map_or(&[], |n| &n.tags)
    }
}

/// Open-addressed table from names to nodes, at most half full. Its names come from the policy, so an
/// event cannot make it slow.
#[derive(Default, Debug)]
struct Table(Vec<(u64, Box<str>, u16)>);

impl Table {
    fn new(entries: &[(&str, u16)]) -> Table {
        if entries.is_empty() {
            return Table::default();
        }
        let size = (entries.len() * 2).next_power_of_two();
        let mut slots = vec![(0, Box::from(""), DEAD); size];
        for (name, node) in entries {
            let key = names::key(name.as_bytes());
            let mut at = key as usize & (size - 1);
            while slots.get(at).is_some_and(|s| s.2 != DEAD) {
                at = (at + 1) & (size - 1);
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = (key, Box::from(*name), *node);
            }
        }
        Table(slots)
    }

    #[inline]
    fn get(&self, key: u64, name: &str) -> u16 {
        let mask = self.0.len().wrapping_sub(1);
        let mut at = key as usize & mask;
        while let Some((k, n, node)) = self.0.get(at) {
            if *node == DEAD || (*k == key && **n == *name) {
                return *node;
            }
            at = (at + 1) & mask;
        }
        DEAD
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
