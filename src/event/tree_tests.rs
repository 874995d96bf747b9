#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn tree(patterns: &[(&str, Target)]) -> Option<PatternTree> {
    let parsed: Vec<_> = patterns.iter().map(|(p, t)| (Pattern::parse(p).unwrap(), *t)).collect();
    PatternTree::new(&parsed.iter().map(|(p, t)| (p, *t)).collect::<Vec<_>>())
}

impl PatternTree {
    fn by_name(&self, from: u16, token: &str) -> u16 {
        self.member(from, names::key(token.as_bytes()), token)
    }
}

#[test]
fn star_and_index_stand_side_by_side() {
    let t = tree(&[
        ("/a/*/x", Target::Tag(0)),
        ("/a/0/x", Target::Tag(1)),
        ("/a/0", Target::Tag(2)),
        ("/a", Target::Section(3)),
    ])
    .unwrap();
    let a = t.by_name(ROOT, "a");
    assert_eq!((t.section(a), t.tags(a)), (3, &[][..]));
    let (zero, one) = (t.element(a, 0), t.element(a, 1));
    assert_eq!((t.tags(zero), t.tags(one)), (&[2][..], &[][..]));
    assert_eq!(t.tags(t.by_name(zero, "x")), [0, 1]);
    assert_eq!(t.tags(t.by_name(one, "x")), [0]);
    // A member called 0 is what the pointer /a/0 names too; one called * is not what * means.
    assert_eq!(t.tags(t.by_name(t.by_name(a, "0"), "x")), [1]);
    assert_eq!(t.by_name(a, "*"), DEAD);
    assert_eq!(t.element(ROOT, 0), DEAD);
}

#[test]
fn many_names_are_told_apart() {
    let names: Vec<String> = (0..300).map(|i| format!("/aaaaaaaa{i:03}bbbbbbbb")).collect();
    let patterns: Vec<_> =
        names.iter().enumerate().map(|(i, n)| (n.as_str(), Target::Tag((i % 250) as u8))).collect();
    let t = tree(&patterns).unwrap();
    for (i, n) in names.iter().enumerate() {
        assert_eq!(t.tags(t.by_name(ROOT, &n[1..])), [(i % 250) as u8]);
    }
    assert_eq!(t.by_name(ROOT, "aaaaaaaa300bbbbbbbb"), DEAD);
    assert_eq!(t.by_name(ROOT, ""), DEAD);
    assert_eq!(tree(&[]).unwrap().by_name(ROOT, "a"), DEAD);
}

#[test]
fn what_combines_without_end_is_refused() {
    // Which of the 17 still match is a different set for every choice of zeros: 2^17 nodes.
    let patterns: Vec<String> =
        (0..17).map(|i| format!("{}/0{}", "/*".repeat(i), "/*".repeat(17 - i))).collect();
    let patterns: Vec<_> = patterns.iter().map(|p| (p.as_str(), Target::Tag(0))).collect();
    assert!(tree(&patterns).is_none());
}
