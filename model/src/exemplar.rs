//! Exemplars: single events behind a sample.

use crate::{Labels, Timestamp};

/// One of the events that a sample counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Which event it was: the id of a trace, say.
    pub labels: Labels,
    /// What was measured of it.
    pub value: f64,
    /// When it was.
    pub ts: Timestamp,
}

impl Exemplar {
    /// Names and values of the labels together have at most so many characters (OpenMetrics 1.0, "Exemplars").
    pub const LABELS_MAX: usize = 128;

    /// Are its labels short enough?
    #[must_use]
    pub fn is_short(&self) -> bool {
        let chars = |(name, value): (&str, &str)| name.chars().count() + value.chars().count();
        self.labels.iter().map(chars).sum::<usize>() <= Self::LABELS_MAX
    }
}
