#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn line(event: &str) -> String {
    Summary::of(event.as_bytes()).unwrap().to_string()
}

fn sample(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/event/");
    line(&std::fs::read_to_string(format!("{folder}{name}.json")).unwrap())
}

#[test]
fn plain_events() {
    assert_eq!(
        line(
            r#"{"timestamp":1706000000000,"actor":{"user_id":"dr-smith","ip_address":"10.21.4.88"},
                "action":"read","resource":{"type":"record","id":"PAT-1"},"result":"allowed"}"#
        ),
        "1706000000000 dr-smith read PAT-1: allowed from 10.21.4.88"
    );
    assert_eq!(
        line(r#"{"actor_id":"u7","action":"login","resource_id":"r","ip":"::1","timestamp":"T"}"#),
        "T u7 login r from ::1"
    );
    assert_eq!(
        line(r#"{"actor":{"userId":"u"},"action":""}"#),
        "(no time) u (unknown action) (unknown resource)"
    );
    assert_eq!(line("{}"), "(no time) (unknown actor) (unknown action) (unknown resource)");
}

#[test]
fn sample_events() {
    assert_eq!(
        sample("fhir-auditevent-r4--balp-ex-auditBasicReadServer"),
        "2020-04-29T09:49:00.000Z John Smith R Patient/ex-patient: 0 from 2001:0db8:85a3:0000:0000:8a2e:0370:7334"
    );
    assert_eq!(
        sample("fhir-auditevent-r5--hl7-example-disclosure"),
        "2013-09-22T00:08:00Z SomeIdiot@nowhere R Patient/example: 0 from custodian.net"
    );
    assert_eq!(
        sample("cloudtrail--c7n-event-cloud-trail-s3"),
        "2015-11-23T07:45:25Z arn:aws:sts::101010101111:assumed-role/Sandbox_Dev/user CreateBucket cwe-test from 101.244.214.105"
    );
    assert_eq!(
        sample("cloudtrail--c7n-event-appmesh-create-mesh"),
        "2023-11-05T04:29:11Z arn:aws:iam::00000:robot CreateMesh (unknown resource) from 81.101.58.184"
    );
    assert_eq!(
        sample("k8s-audit--falco-exec_pod"),
        "2018-10-26T13:38:34Z minikube-user create nginx-deployment-7998647bdf-phvq7: allow from 192.168.99.1"
    );
    assert_eq!(
        sample("gcp-auditlog--c7n-iam-role-create"),
        "2019-06-03T11:12:52.484722728Z custodian.gcp.test@gmail.com google.iam.admin.v1.CreateRole \
            projects/mythic-tribute-232915/roles/CustomRole1 from 188.163.232.130"
    );
    assert!(sample("fhir-auditevent-dstu2--hl7-example-login").contains(" E "));
}

/// An event must not be able to write to the terminal of whoever looks at it.
#[test]
fn control_characters_are_shown_and_not_obeyed() {
    let shown = line(r#"{"actor":"\u001b[2Jx\u202egone\n","action":"\u0000","resource":"é"}"#);
    assert_eq!(shown, r"(no time) \u{1b}[2Jx\u{202e}gone\u{a} \u{0} é");
    assert_eq!(printable("a\u{9b}b"), r"a\u{9b}b");
}

#[test]
fn what_cannot_be_seen_is_shown() {
    let listed = [
        0xad..=0xad,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x180e..=0x180e,
        0x200b..=0x200f,
        0x2028..=0x202e,
        0x2060..=0x206f,
        0x2800..=0x2800,
        0x3164..=0x3164,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xe0000..=0xe0fff,
        0..=0x1f,
        0x7f..=0x9f,
    ];
    for c in listed.into_iter().flatten().filter_map(char::from_u32) {
        assert!(hides(c), "{:x}", c as u32);
        assert_eq!(printable(&c.to_string()), format!("\\u{{{:x}}}", c as u32));
    }
    let plain = "Zoë \u{627}\u{644} 木村 Ж e\u{301} 😀 \u{a0}~";
    assert_eq!(printable(plain), plain);
}

#[test]
fn formulas_become_text() {
    for bad in [
        "=1+1",
        "+1x",
        "-",
        "-inf",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =HYPERLINK(\"x\")",
        "\u{feff}=1",
        "＝1",
        "+49 89",
    ] {
        assert_eq!(spreadsheet_cell(bad), format!("'{bad}"));
    }
    for good in ["dr-smith", "10.0.0.1", "a=b", "", "-5", "+1", "-1e3"] {
        assert_eq!(spreadsheet_cell(good), good);
    }
}

#[test]
fn what_turns_or_hides_is_spelled_out() {
    for c in
        "\u{0}\u{1b}\u{7f}\u{9b}\u{61c}\u{200e}\u{2028}\u{202e}\u{2066}\u{ad}\u{200b}\u{2060}\u{feff}".chars()
    {
        assert!(hides(c), "{c:?}");
        assert_eq!(printable(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
    }
    assert!(!"aé漢 😀'=".chars().any(hides));
}
