#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn section(name: &str, pointers: &[&str]) -> SectionPolicy {
    SectionPolicy {
        name: name.into(),
        readers: ReaderChoice::All,
        pointers: pointers.iter().map(|p| Pattern::parse(p).unwrap()).collect(),
    }
}

fn with_sections(sections: Vec<SectionPolicy>) -> Policy {
    Policy { sections, ..Policy::default() }
}

#[test]
fn the_default_policy_keeps_every_pointer_of_its_lists() {
    let policy = Policy::default();
    let compiled = policy.compile().unwrap();
    assert_eq!(compiled.sections(), ["event"]);
    assert_eq!(compiled.tag_fields(), ["actor", "resource", "action", "result", "address"]);
    for (field, (_, list)) in policy.tags.iter().zip(recognise::TAGS) {
        let kept: Vec<_> = field.pointers.iter().map(Pattern::as_str).collect();
        assert_eq!(kept, *list);
    }
    for p in recognise::TIME {
        Pattern::parse(p).unwrap();
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |p: Policy| p.compile().unwrap_err();
    let ok = || vec![section("a", &[]), section("b", &["/b"])];
    assert!(with_sections(ok()).compile().is_ok());
    assert_eq!(refused(with_sections(vec![])), PolicyError::Sections(0));
    let nine = (0..=MAX_SECTIONS).map(|i| section(&format!("s{i}"), &[])).collect();
    assert_eq!(refused(with_sections(nine)), PolicyError::Sections(MAX_SECTIONS + 1));
    assert_eq!(
        refused(with_sections(vec![section("a", &["/x"])])),
        PolicyError::FirstHasPointers("a".into())
    );
    assert_eq!(
        refused(with_sections(vec![section("a", &[]), section("b", &[])])),
        PolicyError::NoPointers("b".into())
    );
    assert_eq!(
        refused(with_sections(vec![section("a", &[]), section("a", &["/x"])])),
        PolicyError::Twice("a".into())
    );
    for name in ["", "a\nb", &"n".repeat(MAX_NAME_BYTES + 1)] {
        assert_eq!(refused(with_sections(vec![section(name, &[])])), PolicyError::Label(name.into()));
    }
    let mut nobody = ok();
    nobody[1].readers = ReaderChoice::Named(vec![]);
    assert_eq!(refused(with_sections(nobody)), PolicyError::NoReaders("b".into()));
    let log = Policy { access_log: ReaderChoice::Named(vec![]), ..Policy::default() };
    assert_eq!(refused(log), PolicyError::NoReaders("access_log".into()));
    let tag = TagField { name: "t".into(), pointers: vec![] };
    let twice = Policy { tags: vec![tag.clone(), tag], ..Policy::default() };
    assert_eq!(refused(twice), PolicyError::Twice("t".into()));
    let many = (0..=MAX_TAG_FIELDS).map(|i| TagField { name: i.to_string(), pointers: vec![] }).collect();
    let many = Policy { tags: many, ..Policy::default() };
    assert_eq!(refused(many), PolicyError::TagFields(MAX_TAG_FIELDS + 1));
}

/// A part that only few may read must not end up in a section that more may read.
#[test]
fn sections_that_overlap_are_refused() {
    for (a, b) in [("/p", "/p"), ("/p", "/p/name"), ("/p/*", "/p/0"), ("/p/3", "/p/*/name")] {
        for (a, b) in [(a, b), (b, a)] {
            let e = with_sections(vec![section("s0", &[]), section("s1", &[a]), section("s2", &[b])]);
            let e = e.compile().unwrap_err();
            assert!(matches!(e, PolicyError::Overlap { .. }), "{a} {b}: {e}");
        }
    }
    let apart = vec![section("s0", &[]), section("s1", &["/p/*", "/p/0"]), section("s2", &["/p/x", "/q"])];
    assert!(with_sections(apart).compile().is_ok());
}

#[test]
fn readers_are_chosen_by_name() {
    let some = ReaderChoice::Named(vec!["anna".into()]);
    assert!(some.includes("anna") && !some.includes("ben") && ReaderChoice::All.includes("ben"));
}
