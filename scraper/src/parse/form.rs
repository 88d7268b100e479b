//! The exposition formats, the options of a parser, and its errors.

/// The most lines (or buckets) of one histogram; one with more is dropped.
pub(super) const LINES_MAX: usize = 10_000;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format, 0.0.4 and 1.0.0.
    Text,
    /// OpenMetrics text, 0.0.1 and 1.0.0.
    OpenMetrics,
    /// OpenMetrics text, 2.0.0.
    OpenMetrics2,
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// Which parts of an exposition are read, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Native histograms where a histogram has both forms; classic series otherwise.
    pub native: bool,
    /// Classic series beside the native histogram.
    pub classic: bool,
    /// Convert classic histograms to native ones with custom buckets, where there is no other native one.
    pub convert: bool,
    /// Add the labels `__type__` and `__unit__` from the metadata of the family.
    pub types: bool,
    /// Start timestamps ([`Point::start_time`]). In OpenMetrics 1 they come from `_created` series, which are then not stored.
    pub start_times: bool,
    /// Accept OpenMetrics 2.0.
    pub openmetrics2: bool,
}

/// Where and why an exposition cannot be parsed. The text shows at most a hundred bytes of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}: {excerpt:?}")]
pub struct ParseError {
    /// `line 3`, from 1; or `byte 17`, from 0.
    pub place: String,
    /// What was expected, or what is wrong.
    pub reason: String,
    /// The start of the line; in protobuf the name of the metric family.
    pub excerpt: String,
}
