//! The series that a metric is: their names and labels.

use std::borrow::Cow;

use model::labels::{BUCKET, METRIC_NAME};

use crate::parse::pairs::{LabelPairs, format_bound};
use crate::parse::part::Part;
use model::protobuf::{Fields, Value};

/// The pairs of one of a metric's series: the name first, then the labels, then the bound.
pub(crate) fn push_series_labels<'a>(
    pairs: &mut LabelPairs<'a>,
    name: &'a [u8],
    labels: &'a [u8],
    part: Part,
) -> Result<(), String> {
    let name = std::str::from_utf8(name).map_err(|_| "metric name is not valid UTF-8".to_owned())?;
    let name = match part.suffix() {
        "" => Cow::Borrowed(name),
        suffix => Cow::Owned(format!("{name}{suffix}")),
    };
    pairs.push((Cow::Borrowed(METRIC_NAME), name));
    push_labels(pairs, labels)?;
    match part {
        Part::Bucket(bound) => pairs.push((Cow::Borrowed(BUCKET), Cow::Owned(format_bound(bound)))),
        Part::Quantile(bound) => pairs.push((Cow::Borrowed("quantile"), Cow::Owned(format_bound(bound)))),
        Part::Whole | Part::Native | Part::Count | Part::Sum => {}
    }
    Ok(())
}

/// The pairs of the label fields, each field number 1, among `fields`.
pub(crate) fn push_labels<'a>(pairs: &mut LabelPairs<'a>, fields: &'a [u8]) -> Result<(), String> {
    let mut fields = Fields::new(fields);
    while let Some((number, value)) = fields.next()? {
        // The slice reaches from the first to the last label and may hold other fields of the metric in between.
        let (1, Value::Bytes(message)) = (number, value) else { continue };
        let (mut name, mut text): (&[u8], &[u8]) = (&[], &[]);
        let mut pair = Fields::new(message);
        while let Some((number, value)) = pair.next()? {
            match number {
                1 => name = value.bytes()?,
                2 => text = value.bytes()?,
                _ => {}
            }
        }
        let shown = || String::from_utf8_lossy(name).into_owned();
        // An empty value is a missing label and dropped later; an empty name is an error, as with upstream.
        let valid = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
        let name = valid.ok_or_else(|| format!("invalid label name: {:?}", shown()))?;
        let text = std::str::from_utf8(text).map_err(|_| format!("invalid value of label {name:?}"))?;
        pairs.push((Cow::Borrowed(name), Cow::Borrowed(text)));
    }
    Ok(())
}
