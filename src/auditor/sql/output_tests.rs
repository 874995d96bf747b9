#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn written(format: Format, wide: bool, terminal: bool, names: &[&str], rows: &[Vec<Value>]) -> String {
    let mut bytes = Vec::new();
    let mut output = Output::new(&mut bytes, format, wide, terminal);
    output.columns(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    for row in rows {
        output.row(row).unwrap();
    }
    output.end().unwrap();
    assert_eq!(output.rows(), rows.len() as u64);
    String::from_utf8(bytes).unwrap()
}

fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_table_is_in_line_and_safe_on_a_terminal() {
    let rows = [
        vec![Value::Integer(7), t("Müller"), Value::Null],
        vec![Value::Integer(1234), t("a\u{1b}[2Jb\nc"), Value::Real(0.5)],
        vec![Value::Null, t(&"x".repeat(50)), Value::Integer(3)],
    ];
    let table = written(Format::Table, false, true, &["n", "name", "rate"], &rows);
    let cut = format!("{}…", "x".repeat(39));
    let expected = [
        "   n  name                                      rate",
        &format!("----  {}  ----", "-".repeat(40)),
        "   7  Müller",
        &format!("1234  a\\u{{1b}}[2Jb\\u{{a}}c{}   0.5", " ".repeat(23)),
        &format!("      {cut}     3"),
        "(3 rows)\n",
    ]
    .join("\n");
    assert_eq!(table, expected);
    assert!(written(Format::Table, true, true, &["a", "b", "c"], &rows).contains(&"x".repeat(50)), "--wide");
    assert_eq!(written(Format::Table, false, true, &["a", "b"], &[]), "a  b\n-  -\n(0 rows)\n");
    let many: Vec<Vec<Value>> =
        (0..SQL_WIDTH_ROWS as i64 + 5).map(|i| vec![t("v"), Value::Integer(i)]).collect();
    let table = written(Format::Table, false, true, &["a", "b"], &many);
    assert_eq!(table.lines().count(), many.len() + 3);
    assert_eq!(table.lines().last(), Some("(205 rows)"));
    assert!(table.contains("\nv  204\n"), "rows after the widths are fixed");
}

#[test]
fn csv_keeps_commas_and_disarms_formulas() {
    let rows = [
        vec![t("=HYPERLINK(\"http://x\")"), t("@SUM(1)"), t("-5"), t("+49 89")],
        vec![t("a,b"), t("say \"hi\""), Value::Integer(-5), Value::Null],
        vec![t("-x"), t("\tx"), t("-1e3"), t("two\nlines")],
    ];
    let csv = written(Format::Csv, false, false, &["a", "b", "c", "d"], &rows);
    assert_eq!(
        csv,
        "a,b,c,d\r\n\"'=HYPERLINK(\"\"http://x\"\")\",'@SUM(1),-5,'+49 89\r\n\"a,b\",\"say \"\"hi\"\"\",-5,\r\n\
         '-x,'\tx,-1e3,\"two\nlines\"\r\n"
    );
    let on_terminal = written(Format::Csv, false, true, &["a"], &[vec![t("\u{1b}[2J")]]);
    assert_eq!(on_terminal, "a\r\n\\u{1b}[2J\r\n");
}

#[test]
fn json_is_json_and_says_nothing_to_a_terminal() {
    let rows = [
        vec![Value::Integer(i64::MAX), t("\u{9b}2J \u{202e}x\u{7f} é \"q\""), Value::Null],
        vec![Value::Real(f64::INFINITY), t(""), Value::Blob(vec![1, 255])],
    ];
    let names = ["n", "te\"xt", "b"];
    let json = written(Format::Json, false, true, &names, &rows);
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed[0]["n"], i64::MAX);
    assert_eq!(parsed[0]["te\"xt"], "\u{9b}2J \u{202e}x\u{7f} é \"q\"");
    assert_eq!((&parsed[1]["n"], &parsed[1]["b"]), (&serde_json::Value::Null, &"01ff".into()));
    assert!(!json.contains(['\u{9b}', '\u{202e}', '\u{7f}']) && json.contains('é'));
    assert_eq!(written(Format::Json, false, true, &names, &[]), "[]\n");
    let lines = written(Format::NdJson, false, true, &names, &rows);
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
}
