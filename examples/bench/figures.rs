//! Figures and the table they are shown in.

use serde_json::{Value, json};

use super::args::Row;

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Events or records a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// One number over another.
    Times,
}

/// What the project wants to reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// The figure is at least this.
    AtLeast(f64),
    /// The figure is at most this.
    AtMost(f64),
    /// The figure is at least this many times the reference.
    RatioAtLeast(f64),
    /// The figure is at most this many times the reference.
    RatioAtMost(f64),
}

/// What a figure is compared with.
#[derive(Clone, Debug)]
enum Reference {
    Nothing,
    /// Measured beside it.
    Samples(String, Vec<f64>),
    /// Another figure of this run, by its key, if it was measured.
    Figure(String),
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    row: Row,
    /// Names it within the row, for comparing and for JSON.
    key: String,
    what: String,
    unit: Unit,
    samples: Vec<f64>,
    reference: Reference,
    target: Option<Target>,
}

impl Figure {
    /// A figure with its samples, one a run.
    pub fn new(
        row: Row,
        key: impl Into<String>,
        what: impl Into<String>,
        unit: Unit,
        samples: Vec<f64>,
    ) -> Figure {
        let (key, what) = (key.into(), what.into());
        Figure { row, key, what, unit, samples, reference: Reference::Nothing, target: None }
    }

    /// Compared with samples of something else, taken beside its own.
    pub fn against(mut self, what: impl Into<String>, samples: Vec<f64>) -> Figure {
        self.reference = Reference::Samples(what.into(), samples);
        self
    }

    /// Compared with the figure of this full key (`row/key`) if this run measured it.
    pub fn against_figure(mut self, key: &str) -> Figure {
        self.reference = Reference::Figure(key.to_owned());
        self
    }

    /// The same under another key, to be compared with something else.
    pub fn renamed(mut self, key: &str) -> Figure {
        (self.key, self.reference, self.target) = (key.to_owned(), Reference::Nothing, None);
        self
    }

    /// With a target.
    pub fn target(mut self, target: Target) -> Figure {
        self.target = Some(target);
        self
    }

    fn full_key(&self) -> String {
        format!("{}/{}", self.row.name(), self.key)
    }
}

/// The middle of some samples; of an even number the mean of the middle two.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|s| s.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => sorted[n / 2],
        _ => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Seconds that a share of the samples did not exceed.
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = ((sorted.len().max(1) - 1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn grouped(n: f64) -> String {
    let digits = format!("{:.0}", n.abs());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A number with its unit, three digits that count.
pub fn show(value: f64, unit: Unit) -> String {
    show_to(value, unit, 0)
}

/// [`show`] with more digits, as many as it takes to tell the number from a limit that it is not.
fn show_beside(value: f64, limit: f64, unit: Unit) -> String {
    let differ = |more: &usize| show_to(value, unit, *more) != show_to(limit, unit, *more);
    show_to(value, unit, (0..MOST_DIGITS).find(differ).unwrap_or(0))
}

/// Digits more than usual that a number is shown with at most.
const MOST_DIGITS: usize = 4;

fn show_to(value: f64, unit: Unit, more: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let few = |v: f64| {
        let decimals = match v.abs() {
            a if a >= 100.0 => 0,
            a if a >= 10.0 => 1,
            a if a < 0.01 => 4,
            a if a < 0.1 => 3,
            _ => 2,
        };
        format!("{v:.*}", decimals + more)
    };
    match unit {
        Unit::PerSecond => format!("{}/s", grouped(value)),
        Unit::BytesPerSecond => format!("{} MB/s", grouped(value / 1e6)),
        Unit::Seconds if value.abs() >= 1.0 => format!("{} s", few(value)),
        Unit::Seconds if value.abs() >= 1e-3 => format!("{} ms", few(value * 1e3)),
        Unit::Seconds => format!("{} µs", few(value * 1e6)),
        Unit::Bytes if value >= 1e10 => format!("{} GiB", few(value / f64::from(1 << 30))),
        Unit::Bytes => format!("{} MiB", few(value / f64::from(1 << 20))),
        Unit::Times => format!("{} ×", few(value)),
    }
}

/// All figures of a run.
#[derive(Default)]
pub struct Figures(Vec<Figure>);

/// A figure with its reference found.
struct Line<'a> {
    figure: &'a Figure,
    reference: Option<(&'a str, &'a [f64])>,
}

impl Line<'_> {
    fn median(&self) -> f64 {
        median(&self.figure.samples)
    }

    /// The figure over its reference; pairs of one run where there are pairs.
    fn ratio(&self) -> Option<f64> {
        let (_, reference) = self.reference?;
        let own = &self.figure.samples;
        if own.len() == reference.len() {
            return Some(median(&own.iter().zip(reference).map(|(a, b)| a / b).collect::<Vec<_>>()));
        }
        Some(self.median() / median(reference))
    }

    /// The target in words, and whether it is met.
    fn target(&self) -> Option<(String, bool)> {
        let unit = self.figure.unit;
        Some(match self.figure.target? {
            Target::AtLeast(t) => (format!("≥ {}", show(t, unit)), self.median() >= t),
            Target::AtMost(t) => (format!("≤ {}", show(t, unit)), self.median() <= t),
            Target::RatioAtLeast(t) => {
                (format!("≥ {} the reference", show(t, Unit::Times)), self.ratio()? >= t)
            }
            Target::RatioAtMost(t) => {
                (format!("≤ {} the reference", show(t, Unit::Times)), self.ratio()? <= t)
            }
        })
    }

    fn cells(&self, judged: bool) -> Vec<String> {
        let f = self.figure;
        let (low, high) = (
            f.samples.iter().copied().fold(f64::NAN, f64::min),
            f.samples.iter().copied().fold(f64::NAN, f64::max),
        );
        let range = match f.samples.len() {
            0 | 1 => String::new(),
            _ => format!("{} .. {}", show(low, f.unit), show(high, f.unit)),
        };
        let reference = self
            .reference
            .map_or_else(String::new, |(what, s)| format!("{what}: {}", show(median(s), f.unit)));
        let (own, ratio) = match f.target {
            Some(Target::AtLeast(t) | Target::AtMost(t)) => (Some(t), None),
            Some(Target::RatioAtLeast(t) | Target::RatioAtMost(t)) => (None, Some(t)),
            None => (None, None),
        };
        let beside =
            |v, limit: Option<f64>, unit| limit.map_or_else(|| show(v, unit), |t| show_beside(v, t, unit));
        let ratio = self.ratio().map_or_else(String::new, |r| beside(r, ratio, Unit::Times));
        let target = self.target().map_or_else(String::new, |(t, met)| match (judged, met) {
            (false, _) => t,
            (true, true) => format!("{t}: met"),
            (true, false) => format!("{t}: missed"),
        });
        vec![
            f.row.name().to_owned(),
            f.what.clone(),
            beside(self.median(), own, f.unit),
            range,
            reference,
            ratio,
            target,
        ]
    }
}

const HEADINGS: [&str; 7] =
    ["row", "what", "median", "min .. max", "reference in the same run", "ratio", "target"];

impl Figures {
    /// Adds one.
    pub fn add(&mut self, figure: Figure) {
        self.0.push(figure);
    }

    fn lines(&self) -> Vec<Line<'_>> {
        let find = |key: &String| self.0.iter().find(|f| f.full_key() == *key);
        let reference = |f: &'_ Figure| -> Option<(&str, &[f64])> {
            match &self.0.iter().find(|g| g.full_key() == f.full_key())?.reference {
                Reference::Nothing => None,
                Reference::Samples(what, samples) => Some((what, samples)),
                Reference::Figure(key) => find(key).map(|g| (g.what.as_str(), g.samples.as_slice())),
            }
        };
        let lines = self.0.iter().map(|figure| Line { figure, reference: reference(figure) });
        // A comparison with a row that this run did not measure says nothing.
        lines
            .filter(|l| l.reference.is_some() || !matches!(l.figure.target, Some(Target::RatioAtLeast(_))))
            .collect()
    }

    /// The table in Markdown, columns aligned; those with nothing in them left out. Says whether targets are met if they are `judged`.
    pub fn table(&self, judged: bool) -> String {
        let lines: Vec<Vec<String>> = self.lines().iter().map(|l| l.cells(judged)).collect();
        let used = |column: &usize| lines.iter().any(|l| !l[*column].is_empty());
        let columns: Vec<usize> = (0..HEADINGS.len()).filter(used).collect();
        let pick = |line: &[String]| columns.iter().map(|c| line[*c].clone()).collect::<Vec<_>>();
        let mut cells = vec![pick(&HEADINGS.map(str::to_owned))];
        cells.extend(lines.iter().map(|l| pick(l)));
        let width = |column: usize| cells.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let mut out = String::new();
        for (n, row) in cells.iter().enumerate() {
            let padded = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
            out.push_str(&format!(
                "| {} |\n",
                row.iter().zip(&widths).map(padded).collect::<Vec<_>>().join(" | ")
            ));
            if n == 0 {
                let dashes: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
                out.push_str(&format!("| {} |\n", dashes.join(" | ")));
            }
        }
        out
    }

    /// All figures with every sample.
    pub fn json(&self) -> Value {
        let figure = |l: &Line<'_>| {
            json!({
                "row": l.figure.row.name(), "key": l.figure.key, "what": l.figure.what,
                "unit": format!("{:?}", l.figure.unit), "median": l.median(), "samples": l.figure.samples,
                "reference": l.reference.map(|(what, samples)| json!({ "what": what, "samples": samples })),
                "ratio": l.ratio(), "target": l.target().map(|(t, met)| json!({ "is": t, "met": met })),
            })
        };
        self.lines().iter().map(figure).collect()
    }
}
