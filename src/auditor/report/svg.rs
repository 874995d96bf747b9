//! Charts as inline SVG. Every number a chart shows also stands in a table or beside its bar; colours differ in lightness too,
//! so that a black-and-white print still tells them apart.

use maud::{Markup, html};

use super::model::{Chart, OUTCOME_NAMES, Outcomes};
use super::period::{Zone, date_of};
use super::text::{count, shown, thousands};
use crate::base::clock::Timestamp;

/// Classes of the four outcomes in the style sheet.
const CLASSES: [&str; 4] = ["c-allowed", "c-denied", "c-failed", "c-unstated"];
/// Width of a chart that takes the whole width, in its own units, which are about the page's pixels.
const WIDTH: u64 = 984;
/// Width of a chart that takes half of it.
const HALF: u64 = 476;
/// Most bars of a chart by day.
const MAX_COLUMNS: i32 = 92;
/// Longest label of a bar, in characters.
const LABEL_CHARS: usize = 21;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A chart with its heading. Charts over time take the whole width, bars half of it.
pub(super) fn chart(chart: &Chart, zone: &Zone) -> Markup {
    let hidden = |more: u64| {
        html! { @if more > 0 { p.small { (count(more, "more name is", "more names are")) " not shown here." } } }
    };
    match chart {
        Chart::Days { title, span, days, by_outcome } => {
            let legend = legend_of(days.iter().map(|d| d.1), *by_outcome);
            figure(title, "full", days_chart(title, *span, days), legend)
        }
        Chart::Bars { title, bars, more, by_outcome } => {
            let legend = legend_of(bars.iter().map(|b| b.1), *by_outcome);
            figure(title, "half", bars_chart(title, bars), html! { (legend) (hidden(*more)) })
        }
        Chart::Week { title, hours, working } => {
            figure(title, "full", week_chart(title, hours, working), html! {})
        }
        Chart::Lanes { title, span, lanes, more } => {
            figure(title, "full", lanes_chart(title, *span, lanes, zone), hidden(*more))
        }
    }
}

fn figure(title: &str, class: &str, picture: Markup, below: Markup) -> Markup {
    html! { figure.(class) { figcaption { (title) } (picture) (below) } }
}

/// A colour and what it stands for.
fn key(class: &str, name: &str) -> Markup {
    html! { span { svg.key viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} } " " (name) } }
}

/// Which colour is which, for the outcomes that occur.
fn legend_of(all: impl Iterator<Item = Outcomes>, by_outcome: bool) -> Markup {
    let mut sum = [0u64; 4];
    for one in all {
        for (total, n) in sum.iter_mut().zip(one) {
            *total += n;
        }
    }
    // All allowed needs no key.
    let by_outcome = by_outcome && sum.iter().skip(1).any(|n| *n > 0);
    let parts = OUTCOME_NAMES.iter().zip(CLASSES).zip(sum).filter(|(_, n)| *n > 0).map(|(part, _)| part);
    html! {
        @if by_outcome {
            p.legend { @for (name, class) in parts { (key(class, name)) } }
        }
    }
}

/// Days put together so that there are not too many columns: label of the column, events.
fn columns((first, last): (i32, i32), days: &[(i32, Outcomes)]) -> (&'static str, Vec<(String, Outcomes)>) {
    let span = last.saturating_sub(first);
    let month = |d: i32| {
        let date = date_of(d);
        i32::from(date.year()) * 12 + i32::from(date.month()) - 1
    };
    // 1970-01-01 was a Thursday: weeks begin on Mondays.
    let week = |d: i32| (d + 3).div_euclid(7);
    type Unit<'u> = (&'static str, &'u dyn Fn(i32) -> i32, &'u dyn Fn(i32) -> String);
    let date = |d: i32| date_of(d).to_string();
    let units: [Unit<'_>; 4] = [
        ("day", &|d| d, &date),
        ("week beginning", &week, &|w| date(w * 7 - 3)),
        ("month", &month, &|m| format!("{:04}-{:02}", m.div_euclid(12), m.rem_euclid(12) + 1)),
        ("year", &|d| date_of(d).year().into(), &|y| format!("{y:04}")),
    ];
    let fitting = units.iter().find(|(_, of, _)| of(first + span).saturating_sub(of(first)) < MAX_COLUMNS);
    let Some((name, of, label)) = fitting else {
        // Centuries: only the years with events, the newest ones.
        let mut years: Vec<(i32, Outcomes)> = Vec::new();
        for (day, n) in days {
            let year = i32::from(date_of(*day).year());
            match years.last_mut() {
                Some((y, sum)) if *y == year => add(sum, n),
                _ => years.push((year, *n)),
            }
        }
        let skip = years.len().saturating_sub(MAX_COLUMNS as usize);
        return ("year", years.into_iter().skip(skip).map(|(y, n)| (format!("{y:04}"), n)).collect());
    };
    let start = of(first);
    let mut out: Vec<(String, Outcomes)> = (start..=of(last)).map(|u| (label(u), [0; 4])).collect();
    for (day, n) in days {
        let at = usize::try_from(of(*day) - start).ok().and_then(|i| out.get_mut(i));
        if let Some((_, sum)) = at {
            add(sum, n);
        }
    }
    (name, out)
}

fn add(sum: &mut Outcomes, more: &Outcomes) {
    for (total, n) in sum.iter_mut().zip(more) {
        *total += n;
    }
}

fn total(n: &Outcomes) -> u64 {
    n.iter().sum()
}

/// A round number at or above `n` that divides by `parts`.
fn ceiling(n: u64, parts: u64) -> u64 {
    let mut step = 1;
    loop {
        for factor in [1, 2, 5] {
            if step * factor * parts >= n {
                return step * factor * parts;
            }
        }
        step = match step.checked_mul(10) {
            Some(s) if s < u64::MAX / 100 => s,
            _ => return n.max(1),
        };
    }
}

fn scaled(n: u64, of: u64, length: f64) -> f64 {
    if of == 0 { 0.0 } else { n as f64 / of as f64 * length }
}

fn px(x: f64) -> String {
    format!("{x:.1}")
}

fn days_chart(title: &str, span: (i32, i32), days: &[(i32, Outcomes)]) -> Markup {
    const HEIGHT: f64 = 150.0;
    const LEFT: f64 = 52.0;
    const TOP: f64 = 10.0;
    let (unit, cols) = columns(span, days);
    let top = ceiling(cols.iter().map(|c| total(&c.1)).max().unwrap_or(0), 2);
    let width = WIDTH as f64 - LEFT - 8.0;
    let step = width / cols.len().max(1) as f64;
    let bar = (step * 0.82).min(34.0);
    let every = cols.len().div_ceil(10).max(1);
    let most = cols.iter().map(|c| total(&c.1)).max().unwrap_or(0);
    let busiest = cols.iter().find(|c| total(&c.1) == most);
    let when = if unit == "day" { "on".to_owned() } else { format!("in the {unit}") };
    let told = busiest.map_or(String::new(), |(l, _)| format!(" Most: {} {when} {l}.", thousands(most)));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} 190")) role="img" aria-label=(format!("{title}, by {unit}.{told}")) {
            @for i in 0..=2u64 {
                @let y = TOP + HEIGHT - HEIGHT * i as f64 / 2.0;
                line.grid x1=(px(LEFT)) x2=(px(LEFT + width)) y1=(px(y)) y2=(px(y)) {}
                text.axis x=(px(LEFT - 6.0)) y=(px(y + 4.0)) text-anchor="end" { (thousands(top * i / 2)) }
            }
            @for (i, (label, n)) in cols.iter().enumerate() {
                @let x = LEFT + step * i as f64 + (step - bar) / 2.0;
                (stack(n, top, HEIGHT, |from, length| (px(x), px(TOP + HEIGHT - from - length), px(bar), px(length))))
                @if i % every == 0 {
                    text.axis x=(px(x + bar / 2.0)) y="178" text-anchor="middle" { (label) }
                }
            }
        }
        p.small { "One column a " (unit) "." (told) }
    }
}

/// The parts of one bar, as x, y, width and height.
fn stack(
    n: &Outcomes,
    top: u64,
    length: f64,
    place: impl Fn(f64, f64) -> (String, String, String, String),
) -> Markup {
    let mut from = 0.0;
    let shown = n.iter().zip(CLASSES).filter(|(part, _)| **part > 0);
    let bars: Vec<_> = shown
        .map(|(part, class)| {
            let size = scaled(*part, top, length);
            from += size;
            (place(from - size, size), class)
        })
        .collect();
    html! {
        @for ((x, y, w, h), class) in bars {
                rect class=(class) x=(x) y=(y) width=(w) height=(h) {}
        }
    }
}

fn label(text: &str) -> String {
    let text = shown(text);
    match text.char_indices().nth(LABEL_CHARS) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

fn bars_chart(title: &str, bars: &[(String, Outcomes)]) -> Markup {
    const ROW: u64 = 24;
    const LEFT: f64 = 178.0;
    const LENGTH: f64 = 240.0;
    let top = bars.iter().map(|b| total(&b.1)).max().unwrap_or(0);
    let height = bars.len() as u64 * ROW + 4;
    let told = bars
        .first()
        .map_or(String::new(), |(name, n)| format!(" Most: {}, {}.", shown(name), thousands(total(n))));
    html! {
        svg viewBox=(format!("0 0 {HALF} {height}")) role="img" aria-label=(format!("{title}.{told}")) {
            @for (i, (name, n)) in bars.iter().enumerate() {
                @let y = (i as u64 * ROW + 4) as f64;
                text.name x=(px(LEFT - 8.0)) y=(px(y + 13.0)) text-anchor="end" { (label(name)) }
                (stack(n, top, LENGTH, |from, length| (px(LEFT + from), px(y), px(length), px(17.0))))
                text.value x=(px(LEFT + scaled(total(n), top, LENGTH) + 6.0)) y=(px(y + 13.0)) { (thousands(total(n))) }
            }
        }
    }
}

fn week_chart(title: &str, hours: &[[u64; 24]; 7], working: &[[bool; 24]; 7]) -> Markup {
    const LEFT: f64 = 84.0;
    const CELL: f64 = 36.0;
    const ROW: f64 = 24.0;
    let top = hours.iter().flatten().copied().max().unwrap_or(0);
    let framed = working.iter().flatten().any(|w| !w);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} 190")) role="img" aria-label=(format!("{title}. At most {} events in one hour of the week.", thousands(top))) {
            @for hour in (0..24usize).step_by(3) {
                text.axis x=(px(LEFT + CELL * hour as f64)) y="12" { (format!("{hour:02}:00")) }
            }
            @for (d, (day, (counts, work))) in WEEKDAYS.iter().zip(hours.iter().zip(working)).enumerate() {
                @let y = 20.0 + ROW * d as f64;
                text.name x=(px(LEFT - 8.0)) y=(px(y + 15.0)) text-anchor="end" { (day) }
                @for (h, (n, inside)) in counts.iter().zip(work).enumerate() {
                    @let x = LEFT + CELL * h as f64;
                    // The lightest shade that is not "none" can still be seen; a square root keeps small counts apart.
                    @let shade = if *n == 0 { 0.0 } else { 0.12 + 0.88 * scaled(*n, top, 1.0).sqrt() };
                    rect class=(if *inside { "heat" } else { "heat out" }) x=(px(x + 1.0)) y=(px(y + 1.0)) width="34" height="21" rx="2" {}
                    @if *n > 0 {
                        @let class = if *inside { "heat-in" } else { "heat-out" };
                        @let opacity = format!("{shade:.2}");
                        rect class=(class) x=(px(x + 1.0)) y=(px(y + 1.0)) width="34" height="21" rx="2" fill-opacity=(opacity) {}
                        text class=(if shade > 0.6 { "count light" } else { "count" }) x=(px(x + 18.0)) y=(px(y + 15.5)) text-anchor="middle" { (short(*n)) }
                    }
                }
            }
        }
        @if framed { p.legend {
            (key("heat-in", "within working hours"))
            (key("heat-out", "outside"))
        } }
    }
}

/// A number that fits a small square.
fn short(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1000),
        _ => format!("{}M", n / 1_000_000),
    }
}

type Lane = (String, Vec<(Timestamp, Timestamp)>);

fn lanes_chart(title: &str, (first, last): (Timestamp, Timestamp), lanes: &[Lane], zone: &Zone) -> Markup {
    const ROW: u64 = 24;
    const LEFT: f64 = 240.0;
    const LENGTH: f64 = 730.0;
    let whole = (last.millis() - first.millis()).max(1) as f64;
    let x = |t: Timestamp| LEFT + ((t.millis() - first.millis()) as f64 / whole).clamp(0.0, 1.0) * LENGTH;
    let height = lanes.len() as u64 * ROW + 26;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(format!("{title}, from {} to {}.", zone.show_date(first), zone.show_date(last))) {
            @for (i, (name, periods)) in lanes.iter().enumerate() {
                @let y = (i as u64 * ROW + 4) as f64;
                text.name x=(px(LEFT - 8.0)) y=(px(y + 13.0)) text-anchor="end" { (label(name)) }
                line.grid x1=(px(LEFT)) x2=(px(LEFT + LENGTH)) y1=(px(y + 8.5)) y2=(px(y + 8.5)) {}
                @for (from, to) in periods {
                    rect.c-allowed x=(px(x(*from))) y=(px(y)) width=(px((x(*to) - x(*from)).max(3.0))) height="17" rx="2" {}
                }
            }
            text.axis x=(px(LEFT)) y=(height - 6) { (zone.show_date(first)) }
            text.axis x=(px(LEFT + LENGTH)) y=(height - 6) text-anchor="end" { (zone.show_date(last)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_periods_are_put_together() {
        let days = [(0, [1, 0, 0, 0]), (6, [0, 2, 0, 0]), (400, [0, 0, 3, 0])];
        let sum = |cols: &[(String, Outcomes)]| cols.iter().map(|c| total(&c.1)).sum::<u64>();
        let (unit, cols) = columns((0, 6), &days[..2]);
        assert_eq!((unit, cols.len(), sum(&cols)), ("day", 7, 3));
        let (unit, cols) = columns((0, 400), &days);
        assert_eq!((unit, sum(&cols), cols[0].0.as_str()), ("week beginning", 6, "1969-12-29"));
        let (unit, cols) = columns((0, 2000), &days);
        assert_eq!((unit, sum(&cols), cols[0].0.as_str(), cols.len()), ("month", 6, "1970-01", 66));
        let (unit, cols) = columns((0, 20_000), &days);
        assert_eq!((unit, sum(&cols), cols[1].0.as_str()), ("year", 6, "1971"));
        let far = [(0, [1, 0, 0, 0]), (2_900_000, [1, 0, 0, 0])];
        let (unit, cols) = columns((0, 2_900_000), &far);
        assert_eq!((unit, sum(&cols), cols.len()), ("year", 2, 2));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0, 1, 3, 17, 99, 1001].map(|n| ceiling(n, 2)), [2, 2, 4, 20, 100, 2000]);
        assert!(ceiling(u64::MAX, 2) > 0);
        assert_eq!((short(999).as_str(), short(1500).as_str()), ("999", "1k"));
    }
}
