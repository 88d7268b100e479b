//! Metric families.

/// All metrics of a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    /// `None` as long as there is no sample.
    pub(crate) kind: Option<Kind>,
    pub(crate) metrics: Vec<Metric>,
}

impl Family {
    pub(super) fn new(name: String) -> Self {
        Self { name, help: None, kind: None, metrics: Vec::new() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Untyped)
    }
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Untyped,
    Counter,
    Gauge,
    Summary,
    Histogram,
    GaugeHistogram,
}

/// A label set with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// In the order written, without `le` of histograms and `quantile` of summaries.
    pub(crate) labels: Vec<(String, String)>,
    /// Milliseconds.
    pub(crate) ts: Option<i64>,
    pub(crate) value: MetricValue,
}

/// What a metric says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetricValue {
    Number(f64),
    Histogram {
        count: f64,
        sum: f64,
        /// Upper bounds and cumulative counts.
        buckets: Vec<(f64, f64)>,
    },
    Summary {
        count: f64,
        sum: f64,
        quantiles: Vec<(f64, f64)>,
    },
}
