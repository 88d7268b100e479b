//! Splits series and exemplars into label pairs. Needed only for series that were not in the last scrape.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use model::Timestamp;
use model::labels::{BUCKET, METRIC_NAME, METRIC_TYPE, METRIC_UNIT};

use super::kind::MetricKind;
use super::labels::{RawLabel, blanks, name_len, unescape, walk_labels};
use super::number::parse_value;
use super::pairs::{LabelPairs, format_bound};
use super::part::{Member, Part};
use super::protobuf::series::{push_labels, push_series_labels};

/// A series as it was exposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Series<'a> {
    /// In a text format.
    Text {
        /// Name and labels as written, without blanks after them.
        text: &'a str,
        /// The type that the last `# TYPE` line gave.
        kind: MetricKind,
        /// Its unit, where the labels `__type__` and `__unit__` are wanted.
        unit: Option<&'a str>,
        /// Stands for the whole histogram of which this series is a part.
        whole: bool,
    },
    /// One of the series that an OpenMetrics 2 line with a composite value stands for.
    Member {
        /// Name and labels as written.
        text: &'a str,
        /// As in text.
        kind: MetricKind,
        /// As in text.
        unit: Option<&'a str>,
        /// Which.
        member: Member,
    },
    /// In protobuf.
    Protobuf {
        /// The name of the metric family.
        name: &'a [u8],
        /// The label fields of the metric.
        labels: &'a [u8],
        /// Which of the metric's series.
        part: Part,
        /// Type and unit of the family, where the labels `__type__` and `__unit__` are wanted.
        about: Option<(MetricKind, &'a str)>,
    },
}

/// An exemplar: one observation, with labels of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar<'a> {
    labels: ExemplarLabels<'a>,
    /// What was observed.
    pub value: f64,
    /// When.
    pub ts: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ExemplarLabels<'a> {
    /// What stands behind the opening brace, the closing one included.
    Text(&'a str),
    /// The label fields.
    Protobuf(&'a [u8]),
}

impl<'a> Series<'a> {
    /// The (name, value) pairs: `__name__` first, then in the order written, empty values and repeated names included.
    /// `le` of histograms and `quantile` of summaries are brought into one spelling (`1` becomes `1.0`).
    ///
    /// # Errors
    /// Which label is not UTF-8 or has no name; in the text formats there is none.
    pub fn labels(&self) -> Result<LabelPairs<'a>, String> {
        let mut pairs = LabelPairs::with_capacity(8);
        self.push_labels(None, &mut pairs)?;
        Ok(pairs)
    }

    /// The same into an empty list. `pieces` are the parts of the text, if the parser still has them.
    pub(super) fn push_labels(&self, pieces: Option<&Pieces>, pairs: &mut LabelPairs<'a>) -> Result<(), String> {
        let about = match *self {
            Self::Text { text, kind, unit, whole } => {
                match pieces {
                    // The parser has just split this text and keeps the positions, which saves a second pass over it.
                    Some(pieces) => push_pieces(pairs, text, pieces, kind),
                    None => push_pieces(pairs, text, &Pieces::of(text)?, kind),
                }
                if whole {
                    cut_to_whole(pairs);
                }
                unit.map(|unit| (kind, unit))
            }
            Self::Member { text, kind, unit, member } => {
                // What is there of `le` is as it was written.
                match pieces {
                    Some(pieces) => push_pieces(pairs, text, pieces, MetricKind::Unknown),
                    None => push_pieces(pairs, text, &Pieces::of(text)?, MetricKind::Unknown),
                }
                push_member(pairs, member);
                unit.map(|unit| (kind, unit))
            }
            Self::Protobuf { name, labels, part, about } => {
                push_series_labels(pairs, name, labels, part)?;
                about
            }
        };
        if let Some((kind, unit)) = about {
            push_about(pairs, kind, unit);
        }
        Ok(())
    }
}

impl<'a> Exemplar<'a> {
    pub(super) fn text(labels: &'a str, value: f64, ts: Option<Timestamp>) -> Self {
        Self { labels: ExemplarLabels::Text(labels), value, ts }
    }

    pub(super) fn protobuf(labels: &'a [u8], value: f64, ts: Option<Timestamp>) -> Self {
        Self { labels: ExemplarLabels::Protobuf(labels), value, ts }
    }

    /// The (name, value) pairs in the order written.
    ///
    /// # Errors
    /// Which label is not UTF-8.
    pub fn labels(&self) -> Result<LabelPairs<'a>, String> {
        let mut pairs = LabelPairs::new();
        match self.labels {
            ExemplarLabels::Text(inside) => {
                let mut labels = Vec::new();
                let on_label = |label| {
                    labels.push(label);
                    Ok(())
                };
                walk_labels(inside.as_bytes(), on_label).map_err(|(_, why)| why.to_owned())?;
                push_inside(&mut pairs, inside, &labels, MetricKind::Unknown);
            }
            ExemplarLabels::Protobuf(fields) => push_labels(&mut pairs, fields)?,
        }
        Ok(pairs)
    }
}

/// The positions of name and labels in the text of a series.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The end of the name before the braces; 0 if there is none.
    pub(super) name: usize,
    /// The start of the text between the braces; past the end of the series if there are none.
    pub(super) inside: usize,
    /// The labels, as ranges of the text between the braces.
    pub(super) labels: Vec<RawLabel>,
}

impl Pieces {
    /// A series begins.
    pub(super) fn begin(&mut self, name: usize, inside: usize) {
        (self.name, self.inside) = (name, inside);
        self.labels.clear();
    }

    /// Adds the next label. A second metric name is an error.
    pub(super) fn add(&mut self, label: RawLabel, named: &mut bool) -> Result<(), &'static str> {
        if label.is_name && *named {
            return Err("metric name already set");
        }
        *named |= label.is_name;
        self.labels.push(label);
        Ok(())
    }

    fn of(text: &str) -> Result<Self, String> {
        // Leading blanks are part of the name, as upstream has it.
        let lead = blanks(text.as_bytes());
        let length = name_len(text.as_bytes().get(lead..).unwrap_or_default(), true);
        let name = if length == 0 { 0 } else { lead + length };
        let rest = text.get(name..).unwrap_or_default();
        // Positions as the parser leaves them: `inside` is behind the opening brace, or past the end if there is
        // none.
        let mut pieces = Self { name, inside: name + blanks(rest.as_bytes()) + 1, labels: Vec::new() };
        if let Some(inside) = text.get(pieces.inside..).filter(|inside| !inside.is_empty()) {
            let on_label = |label| {
                pieces.labels.push(label);
                Ok(())
            };
            walk_labels(inside.as_bytes(), on_label).map_err(|(_, why)| why.to_owned())?;
        }
        Ok(pieces)
    }
}

fn push_pieces<'a>(pairs: &mut LabelPairs<'a>, text: &'a str, pieces: &Pieces, kind: MetricKind) {
    if pieces.name > 0 {
        pairs.push((Cow::Borrowed(METRIC_NAME), Cow::Borrowed(text.get(..pieces.name).unwrap_or_default())));
    }
    push_inside(pairs, text.get(pieces.inside..).unwrap_or_default(), &pieces.labels, kind);
    // A name in quotes may stand anywhere between the braces; callers rely on it being first.
    if pairs.first().is_none_or(|(name, _)| name != METRIC_NAME)
        && let Some(at) = pairs.iter().position(|(name, _)| name == METRIC_NAME)
    {
        pairs.get_mut(..=at).unwrap_or_default().rotate_right(1);
    }
}

/// Adds `__type__` and `__unit__`; the metadata of the family overrides exposed labels of these names.
fn push_about<'a>(pairs: &mut LabelPairs<'a>, kind: MetricKind, unit: &'a str) {
    // Upstream's `Metadata.AddToLabels`: unknown type and empty unit add no label, and leave an exposed one alone.
    for (label, value) in [(METRIC_TYPE, kind.label()), (METRIC_UNIT, unit)] {
        if !value.is_empty() {
            pairs.retain(|(name, _)| name != label);
            pairs.push((Cow::Borrowed(label), Cow::Borrowed(value)));
        }
    }
}

/// Turns the labels of a composite value into those of one of its series.
fn push_member(pairs: &mut LabelPairs<'_>, member: Member) {
    if let Some((_, name)) = pairs.first_mut() {
        name.to_mut().push_str(member.suffix());
    }
    let bound = match member {
        Member::Bucket(bound) => (BUCKET, bound),
        Member::Quantile(bound) => ("quantile", bound),
        Member::Count(_) | Member::Sum(_) => return,
    };
    pairs.push((Cow::Borrowed(bound.0), Cow::Owned(format_bound(bound.1))));
}

/// Turns the labels of a bucket, sum or count into those of the whole histogram.
fn cut_to_whole(pairs: &mut LabelPairs<'_>) {
    pairs.retain(|(name, _)| name != BUCKET);
    if let Some((_, name)) = pairs.first_mut() {
        // The series is a bucket, sum or count of its family (`Member::of`), so one of these suffixes ends its name.
        let cut = ["_bucket", "_sum", "_count"].into_iter().find(|suffix| name.ends_with(suffix)).map_or(0, str::len);
        let length = name.len() - cut;
        match name {
            Cow::Borrowed(text) => *text = text.get(..length).unwrap_or_default(),
            Cow::Owned(text) => text.truncate(length),
        }
    }
}

/// Adds the labels of the text behind an opening brace.
fn push_inside<'a>(pairs: &mut LabelPairs<'a>, inside: &'a str, labels: &[RawLabel], kind: MetricKind) {
    // One search over all labels: nearly no series has an escape, and then no piece is searched or copied.
    let escapes = memchr(b'\\', inside.as_bytes()).is_some();
    let piece = |range: &Range<usize>| {
        let text = inside.get(range.clone()).unwrap_or_default();
        if escapes { unescape(text) } else { Cow::Borrowed(text) }
    };
    pairs.extend(labels.iter().map(|label| {
        let name = piece(&label.name);
        if label.is_name {
            return (Cow::Borrowed(METRIC_NAME), name);
        }
        let value = normalised(&name, piece(&label.value), kind);
        (name, value)
    }));
}

fn normalised<'a>(name: &str, value: Cow<'a, str>, kind: MetricKind) -> Cow<'a, str> {
    let bound = kind == MetricKind::Histogram && name == BUCKET || kind == MetricKind::Summary && name == "quantile";
    // Upstream's `normalizeFloatsInLabelValues`: `le="1"` and `le="1.0"` of different clients become one series.
    if !bound || is_normal(&value) {
        return value;
    }
    if is_small_integer(&value) {
        return Cow::Owned([&value, ".0"].concat());
    }
    match parse_value(value.as_bytes()) {
        // Not a number: the label stays as exposed, as with upstream.
        Err(_) => value,
        Ok(number) => {
            let text = format_bound(number);
            if text == value { value } else { Cow::Owned(text) }
        }
    }
}

/// Is this surely what [`format_bound`] would write? Up to six digits, a point, up to six more, no useless zeros.
fn is_normal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let part = digits(whole + 1);
    if bytes.get(whole) != Some(&b'.') || whole + 1 + part != bytes.len() {
        return text == "+Inf";
    }
    let (zero, last) = (bytes.first() == Some(&b'0'), bytes.last() == Some(&b'0'));
    let lone = |length: usize, zero: bool| length == 1 || !zero;
    // Below 1e-4 `format_g` writes an exponent, so such a text is not normal though its digits are.
    let small = zero && part > 1 && bytes.get(2..).is_some_and(|part| part.starts_with(b"0000"));
    (1..=6).contains(&whole) && (1..=6).contains(&part) && lone(whole, zero) && lone(part, last) && !small
}

/// Up to six digits without useless zeros: all that they lack is a point.
fn is_small_integer(text: &str) -> bool {
    (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_one_spelling() {
        for (written, stored) in [
            ("1", "1.0"),
            ("0", "0.0"),
            ("01", "1.0"),
            ("123456", "123456.0"),
            ("1234567", "1.234567e+06"),
            ("1.0", "1.0"),
            ("0.5", "0.5"),
            ("0.0", "0.0"),
            ("-0", "-0.0"),
            ("00.5", "0.5"),
            ("0.50", "0.5"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("123456.654321", "123456.654321"),
            ("1234567.5", "1.2345675e+06"),
            ("1e3", "1000.0"),
            ("+Inf", "+Inf"),
            ("inf", "+Inf"),
            ("1_0", "1_0"),
        ] {
            assert_eq!(normalised("le", Cow::Borrowed(written), MetricKind::Histogram), stored, "{written}");
            let once = stored.parse::<f64>().map(format_bound);
            assert!(once.is_err() || once.as_deref() == Ok(stored), "{stored}");
            assert_eq!(normalised("quantile", Cow::Borrowed(written), MetricKind::Histogram), written);
        }
    }
}
