//! `load_with_nhcb`: the classic histograms of a `load` as native ones with custom bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::{BUCKET, METRIC_NAME};
use model::{Histogram, Labels, LabelsBuilder};

use super::Point;
use super::script::Line;

/// The parts of one histogram at one time.
#[derive(Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// A line for each histogram of the classic series among these lines.
pub(super) fn histograms(lines: &[Line]) -> Result<Vec<Line>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<usize, Parts>> = BTreeMap::new();
    for line in lines {
        let name = line.labels.name();
        let bound = line.labels.value(BUCKET).parse::<f64>().ok().filter(|bound| !bound.is_nan());
        // The series of a classic histogram differ in the suffix of the name, and buckets in `le`.
        let of = |suffix| name.strip_suffix(suffix);
        let (base, part): (&str, fn(&mut Parts, f64, f64)) = match (of("_bucket"), bound, of("_count"), of("_sum")) {
            (Some(base), Some(_), ..) => (base, |parts, bound, value| parts.buckets.push((bound, value))),
            (_, _, Some(base), _) => (base, |parts, _, value| parts.count = Some(value)),
            (.., Some(base)) => (base, |parts, _, value| parts.sum = value),
            // Other series of the same `load` are no parts of histograms.
            _ => continue,
        };
        let mut builder = LabelsBuilder::new(&line.labels);
        builder.del(BUCKET).set(METRIC_NAME, base);
        let parts = found.entry(builder.labels()).or_default();
        for (i, point) in line.points.iter().enumerate() {
            if let Point::Float(value) = point {
                part(parts.entry(i).or_default(), bound.unwrap_or(0.0), *value);
            }
        }
    }
    found.into_iter().map(|(labels, parts)| line(labels, parts)).collect()
}

fn line(labels: Labels, parts: BTreeMap<usize, Parts>) -> Result<Line, String> {
    let mut points = Vec::new();
    for (i, Parts { buckets, count, sum }) in parts {
        let histogram = Histogram::from_classic(&buckets, count, sum)
            .map_err(|error| format!("{labels} as a histogram: {error}"))?;
        // Times without any part are gaps.
        points.resize(i, Point::Absent);
        points.push(Point::Histogram { histogram: Arc::new(histogram), names_hint: false });
    }
    Ok(Line { labels, points, start_offsets_ms: Vec::new() })
}
