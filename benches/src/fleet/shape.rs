//! What a target exposes: text that stays, and between its pieces the values.

use std::fmt::Write as _;

use super::value::Kind;

/// One line of an exposition.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// How it moves.
    pub kind: Kind,
    /// Series of one histogram share it, so that they count the same events.
    pub salt: u64,
    /// Its last label gets a new value now and then.
    pub churns: bool,
}

/// An exposition without its values.
#[derive(Debug, Default)]
pub struct Shape {
    text: String,
    ends: Vec<usize>,
    series: Vec<Series>,
    family: String,
    churn: Churn,
}

/// Which series get new labels: so many in a thousand.
#[derive(Clone, Copy, Debug, Default)]
struct Churn {
    per_mille: usize,
    budget: usize,
}

impl Shape {
    /// An empty one, in which so many series of a thousand churn.
    #[must_use]
    pub fn new(churn_per_mille: usize) -> Self {
        Self { churn: Churn { per_mille: churn_per_mille, budget: 0 }, ..Self::default() }
    }

    /// The lines that follow belong to this metric.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.family);
        // Writing to a String cannot fail.
        write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
    }

    /// A line of the current family; `labels` as between the braces, or empty.
    pub fn series(&mut self, labels: &str, kind: Kind) {
        self.part("", labels, kind);
    }

    /// A line of the current family whose name has a suffix: `_sum`, `_count`.
    pub fn part(&mut self, suffix: &str, labels: &str, kind: Kind) {
        let salt = self.series.len() as u64;
        self.line(suffix, labels, kind, salt);
    }

    /// A histogram of the current family: so many events a second of a mean length.
    pub fn histogram(&mut self, labels: &str, bounds: &[&str], rate: f64, mean: f64) {
        let salt = self.series.len() as u64;
        let comma = if labels.is_empty() { "" } else { "," };
        for bound in bounds {
            let le: f64 = bound.parse().unwrap_or(f64::INFINITY);
            // Most events are short and some are long: 1 - 1/(1 + (le/mean)^2) of them end before `le`.
            let share = if le.is_finite() { 1.0 - 1.0 / (1.0 + (le / mean).powi(2)) } else { 1.0 };
            self.line("_bucket", &format!("{labels}{comma}le=\"{bound}\""), Kind::Bucket(rate, share), salt);
        }
        self.line("_sum", labels, Kind::Seconds(rate * mean, None), salt | 1 << 40);
        self.line("_count", labels, Kind::Bucket(rate, 1.0), salt);
    }

    fn line(&mut self, suffix: &str, labels: &str, kind: Kind, salt: u64) {
        self.churn.budget += self.churn.per_mille;
        let churns = self.churn.budget >= 1_000 && suffix.is_empty();
        self.text.push_str(&self.family);
        self.text.push_str(suffix);
        if churns {
            self.churn.budget -= 1_000;
            let comma = if labels.is_empty() { "" } else { "," };
            write!(self.text, "{{{labels}{comma}session=\"").ok();
        } else if labels.is_empty() {
            self.text.push(' ');
        } else {
            write!(self.text, "{{{labels}}} ").ok();
        }
        self.ends.push(self.text.len());
        self.series.push(Series { kind, salt, churns });
        self.text.push('\n');
    }

    /// How many series it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Has it none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Each series with the text before it.
    pub fn lines(&self) -> impl Iterator<Item = (&str, Series)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end]);
        texts.zip(self.series.iter().copied())
    }
}
