#![allow(clippy::unwrap_used)]

use super::*;

const HEAD: &str = "[[rule]]\nname = \"r\"\nseverity = \"low\"\n";

#[test]
fn the_rules_to_start_from_are_rules() {
    let rules = Rules::parse(DEFAULT_RULES).unwrap();
    let kinds: std::collections::BTreeSet<&str> = rules.rules.iter().map(|r| r.test.kind()).collect();
    assert_eq!(kinds.len(), 7, "an example of each type");
    assert_eq!(rules.late, DAY);
    // A day of volume before, and as late as events may be.
    assert_eq!(rules.replay_span(), 26 * 3_600_000 + DAY + MAX_CLOCK_AHEAD);
    for (name, _) in Severity::ALL {
        assert!(DEFAULT_RULES.contains(name), "{name}");
    }
}

#[test]
fn conditions_read_in_every_form() {
    let rules = Rules::parse(
        "[[rule]]\nname = \"r\"\ntype = \"each\"\nseverity = \"low\"\nexcept = { actor = \"root\" }\n\
         [[rule.where]]\naction = { prefix = \"login\", not = [\"login_ok\"] }\nemergency = false\n\
         [[rule.where]]\npatient = { present = true }\nwriter = { not_prefix = \"test.\" }\n",
    )
    .unwrap();
    let filter = &rules.rules[0].filter;
    assert_eq!(
        (filter.any.len(), filter.any[0].len(), filter.any[1].len(), filter.except.len()),
        (2, 3, 2, 1)
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (body, line, words) in [
        ("type = \"ech\"", 4, "choose each, threshold"),
        ("type = \"each\"\ncount = 5", 5, "unknown setting `count`; a rule of type each takes"),
        ("type = \"threshold\"\nwindow = \"5m\"", 1, "needs `count`"),
        ("type = \"threshold\"\ncount = 5", 1, "needs `window`"),
        (
            "type = \"threshold\"\ncount = 0\nwindow = \"5m\"",
            5,
            "count must be a whole number from 1 to 1000",
        ),
        ("type = \"threshold\"\ncount = 5\nwindow = \"5 minutes\"", 6, "write a number with s, m, h or d"),
        ("type = \"threshold\"\ncount = 5\nwindow = \"32d\"", 6, "choose 1 second to 31 days"),
        ("type = \"threshold\"\ncount = 5\nwindow = \"99999999999999999d\"", 6, "write a number"),
        (
            "type = \"threshold\"\ncount = 5\nwindow = \"5m\"\nkey = [\"actor\",\n \"user\"]",
            8,
            "\"user\" is no column; the columns are",
        ),
        ("type = \"threshold\"\ncount = 5\nwindow = \"5m\"\nkey = [\"actor\", \"actor\"]", 7, "twice"),
        ("type = \"each\"\nwhere = { outcom = \"denied\" }", 5, "\"outcom\" is no column"),
        (
            "type = \"each\"\nwhere = { outcome = \"refused\" }",
            5,
            "outcome is never \"refused\"; it is one of allowed, denied, failed",
        ),
        ("type = \"each\"\nwhere = { actor = true }", 5, "compared with text in quotes"),
        ("type = \"each\"\nwhere = { actor = [] }", 5, "would match nothing"),
        ("type = \"each\"\nwhere = { actor = \" \" }", 5, "present = false"),
        ("type = \"each\"\nwhere = {}", 5, "no condition"),
        (
            "type = \"each\"\nwhere = { actor = { starts = \"x\" } }",
            5,
            "unknown setting `starts`; a condition takes",
        ),
        (
            "type = \"each\"\n[[rule.where]]\nactor = \"a\"\n[[rule.where]]\nactr = \"b\"",
            8,
            "\"actr\" is no column",
        ),
        (
            "type = \"silent-writer\"\nlonger_than = \"3h\"\nwhere = { actor = \"a\" }",
            6,
            "unknown setting `where`",
        ),
        ("type = \"silent-writer\"\nlonger_than = \"3h\"\nwriters = [\"a b\"]", 6, "no name of a writer"),
        (
            "type = \"after-hours\"\nzone = \"Europe/Berln\"\nfrom = \"07:00\"\nto = \"19:00\"",
            5,
            "no time zone \"Europe/Berln\"",
        ),
        ("type = \"after-hours\"\nzone = \"UTC\"\nfrom = \"7:00\"\nto = \"19:00\"", 6, "time of day like"),
        ("type = \"after-hours\"\nzone = \"UTC\"\nfrom = \"07:00\"\nto = \"24:00\"", 7, "time of day like"),
        ("type = \"after-hours\"\nzone = \"UTC\"\nfrom = \"07:00\"\nto = \"07:00\"", 7, "same time"),
        (
            "type = \"after-hours\"\nzone = \"UTC\"\nfrom = \"07:00\"\nto = \"19:00\"\ndays = [\"monday\"]",
            8,
            "no day",
        ),
        (
            "type = \"after-hours\"\nzone = \"UTC\"\nfrom = \"07:00\"\nto = \"19:00\"\nholidays = [\"2026-02-30\"]",
            8,
            "no date",
        ),
        ("type = \"volume\"\nwindow = \"1h\"\nfactor = 0.5", 6, "factor must be a number"),
        ("type = \"volume\"\nwindow = \"1h\"\nfactor = 2.5\nhistory = 5\nbaseline = 6", 8, "from 1 to 5"),
        ("type = \"fork\"\n[[rule]]\nname = \"f\"\ntype = \"fork\"\nseverity = \"low\"", 5, "one is enough"),
        (
            "type = \"each\"\n[[rule]]\nname = \"r\"\ntype = \"each\"\nseverity = \"low\"",
            5,
            "two rules named \"r\"",
        ),
        ("type = \"each\"\ndescription = \"a\\nb\"", 5, "one line"),
        ("type = \"each\"\ntype = \"each\"", 5, "duplicate key"),
        ("type = \"each\"\nname", 5, ""),
    ] {
        let e = Rules::parse(&format!("{HEAD}{body}\n")).unwrap_err();
        assert_eq!((e.line, e.problem.contains(words)), (line, true), "{body}: {e}");
    }
    for (text, line, words) in [
        ("", 1, "no rule: write at least one [[rule]]"),
        ("late = \"8d\"\n[[rule]]", 1, "choose 1 second to 7 days"),
        ("rules = 3\n", 1, "no rule"),
        (
            "extra = 1\n[[rule]]\nname = \"r\"\ntype = \"fork\"\nseverity = \"low\"",
            1,
            "unknown setting `extra`",
        ),
        ("[rule]\nname = \"r\"", 1, "write [[rule]]"),
        (
            "[[rule]]\nname = \"Has Capitals\"\ntype = \"fork\"\nseverity = \"low\"",
            2,
            "characters of a-z 0-9 . -",
        ),
        (
            "[[rule]]\nname = \"r\"\ntype = \"fork\"\nseverity = \"urgent\"",
            4,
            "low, medium, high or critical",
        ),
        ("[[rule]]\ntype = \"fork\"\nseverity = \"low\"", 1, "needs `name`"),
    ] {
        let e = Rules::parse(text).unwrap_err();
        assert_eq!((e.line, e.problem.contains(words)), (line, true), "{text}: {e}");
    }
    let many = (0..65)
        .map(|i| format!("[[rule]]\nname = \"r{i}\"\ntype = \"each\"\nseverity = \"low\"\n"))
        .collect::<String>();
    assert!(Rules::parse(&many).unwrap_err().problem.contains("at most 64"));
}
