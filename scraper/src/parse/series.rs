//! Series and exemplars taken apart into label pairs: what only a series that was not in the last scrape needs.

use std::borrow::Cow;

use model::float::format_g;
use model::labels::METRIC_NAME;

use super::MetricKind;
use super::labels::{RawLabel, blanks, name_len, unescape, walk_labels};
use super::number::parse_value;
use super::protobuf::{self, Part};

/// Names and values.
pub type LabelPairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Whose a sample is, as it was exposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Series<'a> {
    /// In a text format.
    Text {
        /// Name and labels as written, without blanks after them.
        text: &'a [u8],
        /// The type that the last `# TYPE` line gave.
        kind: MetricKind,
    },
    /// In protobuf.
    Protobuf {
        /// The name of the metric family.
        name: &'a [u8],
        /// The label fields of the metric.
        labels: &'a [u8],
        /// Which of the metric's series.
        part: Part,
    },
}

/// An event that was counted, with labels of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar<'a> {
    labels: ExemplarLabels<'a>,
    /// What was observed.
    pub value: f64,
    /// When, milliseconds since the epoch.
    pub ts_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ExemplarLabels<'a> {
    /// What stands behind the opening brace, the closing one included.
    Text(&'a [u8]),
    /// The label fields.
    Protobuf(&'a [u8]),
}

impl<'a> Series<'a> {
    /// The (name, value) pairs: `__name__` first, then in the order written, empty values and repeated names included.
    /// `le` of histograms and `quantile` of summaries are brought into one spelling (`1` becomes `1.0`).
    ///
    /// # Errors
    /// Which label is not UTF-8, or has no name.
    pub fn labels(&self) -> Result<LabelPairs<'a>, String> {
        match *self {
            Self::Text { text, kind } => text_labels(text, kind),
            Self::Protobuf { name, labels, part } => protobuf::series_labels(name, labels, part),
        }
    }
}

impl<'a> Exemplar<'a> {
    pub(super) fn text(labels: &'a [u8], value: f64, ts_ms: Option<i64>) -> Self {
        Self { labels: ExemplarLabels::Text(labels), value, ts_ms }
    }

    pub(super) fn protobuf(labels: &'a [u8], value: f64, ts_ms: Option<i64>) -> Self {
        Self { labels: ExemplarLabels::Protobuf(labels), value, ts_ms }
    }

    /// The (name, value) pairs in the order written.
    ///
    /// # Errors
    /// Which label is not UTF-8.
    pub fn labels(&self) -> Result<LabelPairs<'a>, String> {
        let mut pairs = LabelPairs::new();
        match self.labels {
            ExemplarLabels::Text(inside) => push_inside(&mut pairs, inside, MetricKind::Unknown)?,
            ExemplarLabels::Protobuf(fields) => protobuf::push_labels(&mut pairs, fields)?,
        }
        Ok(pairs)
    }
}

fn text_labels(text: &[u8], kind: MetricKind) -> Result<LabelPairs<'_>, String> {
    // Leading blanks are part of the name, as upstream has it.
    let lead = blanks(text);
    let name = name_len(text.get(lead..).unwrap_or_default(), true);
    let (name, rest) = text.split_at_checked(if name == 0 { 0 } else { lead + name }).unwrap_or((text, &[]));
    let mut pairs = LabelPairs::with_capacity(8);
    if !name.is_empty() {
        pairs.push(pair(METRIC_NAME.as_bytes(), name)?);
    }
    let gap = blanks(rest);
    if let Some(inside) = rest.get(gap + 1..) {
        push_inside(&mut pairs, inside, kind)?;
    }
    if let Some(at) = pairs.iter().position(|(name, _)| name == METRIC_NAME) {
        pairs.get_mut(..=at).unwrap_or_default().rotate_right(1);
    }
    Ok(pairs)
}

/// What stands behind an opening brace.
fn push_inside<'a>(pairs: &mut LabelPairs<'a>, inside: &'a [u8], kind: MetricKind) -> Result<(), String> {
    let mut fault = None;
    let mut on_label = |label: RawLabel<'a>| {
        let read = if label.is_name { pair(METRIC_NAME.as_bytes(), label.name) } else { pair(label.name, label.value) };
        match read {
            Ok((name, value)) => {
                let value = normalised(&name, value, kind);
                pairs.push((name, value));
            }
            Err(why) => fault = Some(why),
        }
        Ok(())
    };
    walk_labels(inside, &mut on_label).map_err(|(_, why)| why.to_owned())?;
    fault.map_or(Ok(()), Err)
}

fn pair<'a>(name: &'a [u8], value: &'a [u8]) -> Result<(Cow<'a, str>, Cow<'a, str>), String> {
    match (std::str::from_utf8(name), std::str::from_utf8(value)) {
        (Ok(name), Ok(value)) => Ok((unescape(name), unescape(value))),
        (Ok(name), Err(_)) => Err(format!("value of label {name:?} is not valid UTF-8")),
        (Err(_), _) => Err(format!("label name {:?} is not valid UTF-8", String::from_utf8_lossy(name))),
    }
}

fn normalised<'a>(name: &str, value: Cow<'a, str>, kind: MetricKind) -> Cow<'a, str> {
    let bound = kind == MetricKind::Histogram && name == "le" || kind == MetricKind::Summary && name == "quantile";
    if !bound {
        return value;
    }
    match parse_value(value.as_bytes()) {
        Err(_) => value,
        Ok(number) => {
            let text = format_bound(number);
            if text == value { value } else { Cow::Owned(text) }
        }
    }
}

/// The bound of a bucket, or a quantile, as OpenMetrics wants it: always with a point or an exponent.
pub(super) fn format_bound(number: f64) -> String {
    let mut text = format_g(number);
    if number.is_finite() && !text.contains(['e', '.']) {
        text.push_str(".0");
    }
    text
}
