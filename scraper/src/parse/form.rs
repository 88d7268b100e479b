//! What is read: the forms of an exposition, what is wanted of it, and why it is none.

/// Lines of one histogram; one that has more is none.
pub(super) const LINES_MAX: usize = 10_000;

/// In which form a target says what it says.
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

/// What is wanted of a target, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The native one of those that have it; otherwise what there is of a classic one.
    pub native: bool,
    /// The classic one beside the native one.
    pub classic: bool,
    /// A native one with custom buckets in place of the classic one, where there is no other native one.
    pub convert: bool,
    /// The labels `__type__` and `__unit__`, out of what the page says of the family.
    pub types: bool,
    /// Since when samples count ([`Point::start_ms`]): in OpenMetrics out of `_created` series, which are no series then.
    pub start_times: bool,
    /// Is OpenMetrics 2.0 read?
    pub openmetrics2: bool,
}

/// Where and why an exposition is not one. The text shows at most a hundred bytes of the line.
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
