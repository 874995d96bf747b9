#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::chain::key::is_key_name;
use crate::event::policy::ReaderChoice;

const PATH: &str = "/srv/audit/sealtrail.toml";

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, Path::new(PATH))
}

fn settings(more: &str) -> Settings {
    parse(&format!("ledger = \"a.example/log\"\n{more}")).unwrap()
}

/// The line and text of the complaint about line 1 `ledger = …` followed by `more`.
fn complaint(more: &str) -> (usize, String) {
    match parse(&format!("ledger = \"a.example/log\"\n{more}")) {
        Err(SettingsError::Line { path, line, problem }) => {
            assert_eq!(path, Path::new(PATH));
            (line, problem)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_template_says_what_the_defaults_are() {
    for origin in ["hospital.example/phi-audit", "x", "a\"b\\c", "ä.example/log"] {
        let expected = Settings::default_for(origin, Path::new("/srv/audit"));
        let template = Settings::to_toml_template(origin);
        assert_eq!(parse(&template).unwrap(), expected, "{template}");
    }
    assert_eq!(settings(""), Settings::default_for("a.example/log", Path::new("/srv/audit")));
}

/// What the template shows commented out works once the mark is gone.
#[test]
fn the_examples_in_the_template_are_right() {
    let template = Settings::to_toml_template("a.example/log");
    let uncommented: String = template
        .lines()
        .map(|l| match l.strip_prefix("# ") {
            Some(code) if code.starts_with('[') || code.split(' ').nth(1) == Some("=") => format!("{code}\n"),
            _ => format!("{l}\n"),
        })
        .collect();
    let s = parse(&uncommented).unwrap();
    assert_eq!(s.tls.unwrap().key, Path::new("/srv/audit/tls/private.pem"));
    assert_eq!(s.policy.sections[1].name, "patient");
    assert_eq!(s.policy.sections[1].readers, ReaderChoice::Named(vec!["privacy-officer".into()]));
    let tags: Vec<_> = s.policy.tags.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tags, ["actor", "resource", "action", "result", "ward"]);
}

#[test]
fn every_setting_arrives() {
    let s = settings(
        r#"
listen = "0.0.0.0:443"
tls_cert = "c.pem"
tls_key = "/etc/k.pem"
keys = "/secure/keys"
database = "data/l.db"
[gateway]
writer = "a.example/writers/w"
retain_years = 10
heartbeat_minutes = 5
[[section]]
name = "all"
readers = ["*"]
[[section]]
name = "phi"
readers = ["anna", "ben"]
pointers = ["/p", "/q/*/r"]
[tags]
actor = ["/who"]
ward = ["/w"]
result = []
[access_log]
readers = ["anna"]
"#,
    );
    assert_eq!(s.listen.to_string(), "0.0.0.0:443");
    let tls = s.tls.unwrap();
    assert_eq!((tls.cert, tls.key), ("/srv/audit/c.pem".into(), "/etc/k.pem".into()));
    assert_eq!((s.keys, s.database), ("/secure/keys".into(), "/srv/audit/data/l.db".into()));
    let gateway = Gateway { writer: "a.example/writers/w".into(), retain_years: 10, heartbeat_minutes: 5 };
    assert_eq!(s.gateway, gateway);
    assert_eq!(s.policy.access_log, ReaderChoice::Named(vec!["anna".into()]));
    assert_eq!(s.policy.sections[1].pointers[1].as_str(), "/q/*/r");
    let tags: Vec<_> = s.policy.tags.iter().map(|t| (t.name.as_str(), t.pointers.len())).collect();
    let defaults = Policy::default().tags;
    let of = |n: &str| defaults.iter().find(|t| t.name == n).unwrap().pointers.len();
    assert_eq!(
        tags,
        [
            ("actor", 1),
            ("resource", of("resource")),
            ("action", of("action")),
            ("address", of("address")),
            ("ward", 1)
        ]
    );
}

#[test]
fn complaints_name_the_line_and_the_cure() {
    for (more, line, words) in [
        ("lsten = \"x\"", 2, "unknown field `lsten`"),
        ("\n[gateway]\nyears = 3", 4, "unknown field `years`"),
        ("listen = 5", 2, "expected a string"),
        ("listen = \"localhost\"", 2, "write an IP address and a port"),
        ("listen = \"127.0.0.1:70000\"", 2, "write an IP address and a port"),
        ("listen = \"0.0.0.0:80\"", 2, "allow_plaintext = true"),
        ("listen = \"[::]:80\"", 2, "tls_cert and tls_key"),
        ("listen = \"[::ffff:10.0.0.1]:80\"", 2, "tls_cert and tls_key"),
        ("tls_cert = \"c\"", 2, "needs tls_key"),
        ("\n\ntls_key = \"c\"", 4, "needs tls_cert"),
        ("[gateway]\nwriter = \"two words\"", 3, "key name"),
        ("[gateway]\nretain_years = 0", 3, "choose 1 to 100"),
        ("[gateway]\nretain_years = 70000", 3, "choose 1 to 100"),
        ("[gateway]\nheartbeat_minutes = -1", 3, "choose 1 to 1440"),
        ("[[section]]\nname = \"a\"", 2, "missing field `readers`"),
        ("[[section]]\nname = \"a\"\nreaders = []", 4, "at least one"),
        ("[[section]]\nname = \"a\"\nreaders = [\"*\", \"b\"]", 4, "all readers"),
        ("[[section]]\nname = \"a\"\nreaders = [\"*\"]\npointers = [\"/x\"]", 2, "is the first"),
        ("[tags]\nward = [\n\"/w\",\n\"w\"]", 5, "\"w\" is not a JSON Pointer"),
        ("[tags]\nward = [\"\"]", 3, "the whole event"),
        ("[tags]\n\"a\\nb\" = [\"/x\"]", 2, "not usable"),
        ("[access_log]\nreaders = []", 3, "at least one"),
        ("ledger = \"b\"", 2, "duplicate key"),
        ("x", 2, "expected"),
    ] {
        let (at, text) = complaint(more);
        assert!(at == line && text.contains(words), "{more:?}: line {at}: {text}");
    }
    let two = "[[section]]\nname = \"a\"\nreaders = [\"*\"]\n";
    let more = format!(
        "{two}[[section]]\nname = \"b\"\nreaders = [\"*\"]\npointers = [\"/x\"]\n[[section]]\nname = \"c\"\nreaders = [\"z\"]\npointers = [\"/x/y\"]"
    );
    let (line, text) = complaint(&more);
    assert!(line == 9 && text.contains("/x/y") && text.contains("\"c\""), "{line}: {text}");
    assert_eq!(complaint(&format!("{two}{two}")).0, 5);
    let e = parse("ledger = \"a b\"").unwrap_err().to_string();
    assert!(e.starts_with(&format!("{PATH}, line 1: ledger is")), "{e}");
    assert!(parse("").unwrap_err().to_string().contains("missing field `ledger`"));
}

#[test]
fn clear_text_beyond_this_machine_is_a_decision() {
    assert_eq!(settings("listen = \"0.0.0.0:80\"\nallow_plaintext = true").listen.port(), 80);
    assert_eq!(settings("listen = \"[::1]:80\"").listen.port(), 80);
    assert_eq!(settings("listen = \"127.9.9.9:0\"").listen.port(), 0);
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SETTINGS_FILE);
    let e = Settings::load(&path).unwrap_err().to_string();
    assert!(e.contains("sealtrail init"), "{e}");
    std::fs::write(&path, Settings::to_toml_template("a.example/log")).unwrap();
    assert_eq!(Settings::load(&path).unwrap(), Settings::default_for("a.example/log", dir.path()));
    std::fs::write(&path, vec![b'#'; MAX_SETTINGS_BYTES + 1]).unwrap();
    assert!(Settings::load(&path).unwrap_err().to_string().contains("larger than"));
    std::fs::write(&path, b"ledger = \"\xff\"").unwrap();
    assert!(Settings::load(&path).unwrap_err().to_string().contains("UTF-8"));
    assert!(Settings::load(dir.path()).is_err());
}

#[test]
fn key_names() {
    for good in ["a", "hospital.example/writers/ehr-gateway", "ä"] {
        assert!(is_key_name(good));
    }
    for bad in ["", "a b", "a\u{a0}b", "a+b", "a\u{7f}", "a\nb", &"n".repeat(256)] {
        assert!(!is_key_name(bad), "{bad:?}");
    }
}
