//! The types of metric families.

/// What `# TYPE` says of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// No or an unknown type; `untyped` in the text format.
    #[default]
    Unknown,
    /// Only ever rises, until it starts again from zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classic histogram: `_bucket`, `_sum`, `_count`.
    Histogram,
    /// A histogram whose buckets go up and down.
    GaugeHistogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// Labels about the target; the value is 1.
    Info,
    /// One series per state, 0 or 1.
    StateSet,
}

impl MetricKind {
    /// As the label `__type__` writes it: empty where it says nothing.
    pub(super) fn label(self) -> &'static str {
        if self == Self::Unknown { "" } else { self.as_str() }
    }

    /// As `/api/v1/metadata` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}
