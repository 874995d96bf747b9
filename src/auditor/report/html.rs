//! A report as one page of HTML: no script, nothing from elsewhere, printable on A4. All event text is escaped, and what is
//! invisible or turns lines around is spelled out; a policy in the head forbids scripts and every load in case it were not.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::coverage::range_name;
use super::kind::ReportKind;
use super::model::{Cell, Column, Mark, RecordSet, Report, Row, Table};
use super::period::Zone;
use super::svg;
use super::text::{count, shown, thousands};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::note::Note;

const STYLE: &str = include_str!("style.css");
/// The number of sheets would tell that one was taken out.
const APART_STYLE: &str = "@page { @bottom-right { content: \"Page \" counter(page); } }";
/// A word with more characters may be broken anywhere.
const LONG_WORD: usize = 24;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The report as a page.
pub fn html(report: &Report) -> String {
    let about = report.kind.describe();
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (report.title) " – " (shown(&report.as_of.ledger)) }
                style { (PreEscaped(STYLE)) @if report.tables.iter().any(|t| t.apart) { (PreEscaped(APART_STYLE)) } }
            }
            body {
                header {
                    p.over { "Audit report · " (about.rule) }
                    h1 { (report.title) }
                    p.question { (shown(&report.question)) }
                }
                main {
                    section.answer {
                        p.lead { (shown(&report.answer)) }
                        @if !report.findings.is_empty() {
                            ul { @for finding in &report.findings { li { (shown(finding)) } } }
                        }
                    }
                    div.figures { @for f in &report.figures {
                        div.(if f.alert { "figure alert" } else { "figure" }) { b { (shown(&f.value)) } span { (f.label) } }
                    } }
                    (facts(report))
                    @if !report.charts.is_empty() {
                        div.charts { @for chart in &report.charts { (svg::chart(chart, &report.zone)) } }
                    }
                    @for table in &report.tables { @if !table.apart { (section(table, &report.zone)) } }
                    @if report.kind == ReportKind::Review { (sign_off()) }
                    section.notes { h2 { "How to read this report" } ul { @for note in &report.notes { li { (shown(note)) } } } }
                    (verify(report))
                }
                footer { p {
                    (report.title) " · " (shown(&report.as_of.ledger))
                    " · made " (report.zone.show(report.created)) " " (zone_name(&report.zone))
                    " · contains personal data: keep it accordingly"
                } }
                @for table in &report.tables { @if table.apart { div.apart { (section(table, &report.zone)) } } }
            }
        }
    };
    body.into_string()
}

/// The zone's name where a time does not say its offset.
fn zone_name(zone: &Zone) -> &str {
    if zone.name() == "UTC" { "UTC" } else { "" }
}

/// What was asked, as of when it is true, and what was not seen.
fn facts(report: &Report) -> Markup {
    let as_of = &report.as_of;
    html! {
        div.facts {
            section {
                h2 { "Asked for" }
                dl { @for (name, value) in &report.parameters { dt { (name) } dd { (shown(value)) } } }
            }
            section {
                h2 { "True as of" }
                dl {
                    dt { "Ledger" } dd { (shown(&as_of.ledger)) }
                    dt { "Size" } dd { (count(as_of.blocks, "block", "blocks")) ", " (count(as_of.records, "record", "records")) }
                    @if let Some(t) = as_of.committed { dt { "Last block" } dd { (report.zone.show(t)) " " (zone_name(&report.zone)) } }
                    @if let Some(root) = root_of(&as_of.checkpoint) { dt { "Signed root" } dd { code { (root) } } }
                }
            }
            section.wide {
                h2 { "What was covered, and what was not" }
                ul { @for sentence in report.coverage.sentences() { li { (shown(&sentence)) } } }
            }
        }
    }
}

/// The root hash in a signed checkpoint, if it can be read.
pub(super) fn root_of(checkpoint: &str) -> Option<String> {
    let note = Note::parse(checkpoint).ok()?;
    Some(Checkpoint::parse_text(&note.text).ok()?.root.base64())
}

fn section(table: &Table, zone: &Zone) -> Markup {
    html! {
        section.table {
            h2 { (table.title) }
            p.about {
                (shown(&table.about)) " "
                @if table.rows.is_empty() { "There are none." } @else {
                    (count(table.total, "row", "rows")) ", " (table.order) "."
                }
            }
            @if table.total > table.rows.len() as u64 {
                p.cut {
                    "Cut: " (thousands(table.rows.len() as u64)) " of " (thousands(table.total))
                    " rows are shown. Choose a shorter period or a larger --rows for the rest."
                }
            }
            @if !table.rows.is_empty() { (rows(table, zone)) }
        }
    }
}

/// Columns put together as a page shows them: indexes of the cells that share one.
fn groups(table: &Table) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    let mut base_kept = false;
    for (i, column) in table.columns.iter().enumerate() {
        // A column without a single value only takes room.
        let kept = table.rows.iter().any(|r| r.cells.get(i).is_some_and(|c| *c != Cell::Missing));
        if !column.below {
            base_kept = kept;
        }
        match out.last_mut() {
            Some(group) if kept && column.below && base_kept => group.push(i),
            _ if kept => {
                out.push(vec![i]);
                base_kept = true;
            }
            _ => {}
        }
    }
    out
}

/// Class of a column and the cells it shows.
type Group = (&'static str, Vec<usize>);

fn rows(table: &Table, zone: &Zone) -> Markup {
    let groups: Vec<Group> = groups(table).into_iter().map(|g| (class_of(table, &g), g)).collect();
    let column = |i: &usize| table.columns.get(*i);
    let records = table.rows.iter().any(|r| r.records.count > 0);
    let single = table.rows.iter().all(|r| r.records.count == 1);
    html! {
        table {
            thead { tr {
                @for (class, group) in &groups {
                    th scope="col" class=(class) {
                        @for (n, c) in group.iter().filter_map(column).enumerate() {
                            @if n == 0 { (capital(c)) } @else { span.sub { (c.title) } }
                        }
                    }
                }
                @if records { th scope="col" { @if single { "Record" } @else { "Records" } } }
            } }
            tbody { @for row in &table.rows { (line(row, &groups, table, records, zone)) } }
        }
    }
}

/// A heading, whose first letter is a capital even if its column usually stands below another.
fn capital(column: &Column) -> String {
    let mut chars = column.title.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// How a column stands: by what it holds first.
fn class_of(table: &Table, group: &[usize]) -> &'static str {
    let first = |i: &usize| table.rows.iter().filter_map(|r| r.cells.get(*i)).find(|c| **c != Cell::Missing);
    let name = group.first().and_then(|i| table.columns.get(*i)).map_or("", |c| c.name);
    match group.first().and_then(first) {
        Some(Cell::Number(_) | Cell::AtLeast(_)) if group.len() == 1 => "n",
        Some(Cell::Time { .. }) if group.len() == 1 => "t one",
        Some(Cell::Time { .. }) => "t",
        Some(Cell::Blank) => "blank",
        _ if name == "why" => "why",
        Some(Cell::Text(_))
            if group.first().is_some_and(|i| table.rows.iter().all(|r| is_short(r.cells.get(*i)))) =>
        {
            "w"
        }
        _ => "",
    }
}

/// Whether a cell can stand on one line in any table: an identifier rather than a sentence.
fn is_short(cell: Option<&Cell>) -> bool {
    const SHORT: usize = 20;
    !matches!(cell, Some(Cell::Text(t)) if t.chars().nth(SHORT).is_some() || (t.contains(' ') && !t.starts_with('(')))
}

fn line(row: &Row, groups: &[Group], table: &Table, records: bool, zone: &Zone) -> Markup {
    let mark = match row.mark {
        Mark::None => "",
        Mark::Refused => "m-refused",
        Mark::Emergency => "m-emergency",
        Mark::Attention => "m-attention",
    };
    html! {
        tr class=(mark) {
            @for (g, (class, group)) in groups.iter().enumerate() {
                td class=(class) {
                    @if g == 0 && row.mark == Mark::Emergency { span.flag { "emergency" } }
                    @for (n, i) in group.iter().enumerate() {
                        @if let Some(c) = row.cells.get(*i) {
                            @if n == 0 { (cell(c, zone)) } @else if *c != Cell::Missing {
                                div.sub title=(table.columns.get(*i).map_or("", |c| c.title)) { (cell(c, zone)) }
                            }
                        }
                    }
                }
            }
            @if records { td.rec { (record_names(&row.records)) } }
        }
    }
}

fn cell(c: &Cell, zone: &Zone) -> Markup {
    match c {
        Cell::Text(text) => {
            let text = shown(text);
            // Words stay whole unless one is too long for any column.
            let long = text.split_whitespace().any(|word| word.chars().count() > LONG_WORD);
            html! { @if long { span.brk { (breakable(&text)) } } @else { (breakable(&text)) } }
        }
        Cell::Number(n) => html! { (thousands(*n)) },
        Cell::AtLeast(n) => html! { "≥ " (thousands(*n)) },
        Cell::Time { at, sealed } => {
            let text = zone.show(*at);
            // The offset, if there is one, stands apart: it matters in the hour that a clock shows twice.
            let (clock, offset) = text.split_at_checked(19).unwrap_or((&text, ""));
            html! { (clock) @if *sealed { " †" } span.off { (offset) } }
        }
        Cell::Outcome(o) => html! { span.{"o o-" (o)} { (o) } },
        Cell::Missing => html! { span.none { "–" } },
        Cell::Blank => html! {},
    }
}

/// Long words may go on in the next line after the marks that join their parts.
fn breakable(text: &str) -> Markup {
    const WHOLE: usize = 16;
    if text.split_whitespace().all(|word| word.len() <= WHOLE) {
        return html! { (text) };
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if matches!(c, '_' | '/' | '.' | '@' | ':') && at - from >= 5 {
            parts.push(text.get(from..=at).unwrap_or_default());
            from = at + c.len_utf8();
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    html! { @for (n, part) in parts.iter().enumerate() { @if n > 0 { wbr; } (part) } }
}

fn record_names(records: &RecordSet) -> Markup {
    const SHOWN: usize = 1;
    let names: Vec<String> = records.ranges.iter().take(SHOWN).map(range_name).collect();
    let named: u64 = records.ranges.iter().take(SHOWN).map(|(first, last)| last - first + 1).sum();
    let more = records.count.saturating_sub(named);
    html! {
        @for name in &names {
            @for (n, id) in name.split(" to ").enumerate() { @if n > 0 { " to " } span.nbr { (id) } }
            " "
        }
        @if more > 0 { "and " (thousands(more)) " more" }
    }
}

fn verify(report: &Report) -> Markup {
    let file = report.evidence.as_deref().unwrap_or("EVIDENCE-FILE");
    let proves = report.records_complete() && !report.tables.iter().any(|t| t.total > t.rows.len() as u64);
    html! {
        section.verify {
            h2 { "How to check this report" }
            @if report.coverage.looked_at {
                p { "Nobody has to believe this page. The evidence file "
                    @if report.evidence.is_some() { "that comes with it " } @else { "that `audit export` makes of the records named here " }
                    "proves that each record named here was committed to the ledger as it was, and says what is proven and what is not. It is checked \
                     offline, with the program and the ledger's public key, which should come from the operator or a witness and not from this page:" }
                pre { "sealtrail verify " (shown(file)) " --key LEDGER.vkey" }
                @if !proves { p { "Rows that were cut, and records that summary rows only count, are not in it." } }
            } @else {
                p { "Everything here stands in signed statements of the chain, which anyone can fetch without an account and check:" }
                pre { "sealtrail audit verify --key LEDGER.vkey" }
            }
            p { "The report itself is not signed. It is true as of this checkpoint, signed by the ledger:" }
            pre.checkpoint { (report.as_of.checkpoint.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n")) }
        }
    }
}

fn sign_off() -> Markup {
    html! {
        section.sign {
            h2 { "Sign-off" }
            div { @for name in ["Reviewed by", "Date", "Signature"] { p { span {} (name) } } }
        }
    }
}
