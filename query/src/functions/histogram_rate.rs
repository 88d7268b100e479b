//! `rate`, `increase`, `delta` and their like for histograms and for floats with start timestamps.

use std::sync::Arc;

use model::{Histogram, ResetHint, Timestamp};

use super::entries::{Entry, Outcome, entries};
use super::rate::{self, Kind, Stretch};
use crate::annotations::{Annotation, AnnotationList, Operation};
use crate::histogram::{self, Combined, Incompatible, Total, divided, scaled, started_anew, starts_overlap};
use crate::parse::types::Extension;
use crate::value::SampleRef;
use crate::window::{Timed, Window};

/// Adds annotations for combined histograms; `None` when they are incompatible. Counter resets are handled elsewhere, so
/// conflicting hints are not annotated.
fn taken(result: Result<Combined, Incompatible>, operation: Operation, annotations: &mut AnnotationList) -> Option<()> {
    match result {
        Ok(combined) => annotations.bounds(combined, operation),
        Err(Incompatible) => {
            annotations.add(Annotation::MixedSchemas);
            return None;
        }
    }
    Some(())
}

fn gauge(mut histogram: Histogram) -> Histogram {
    histogram.reset_hint = ResetHint::Gauge;
    histogram.compact();
    histogram
}

/// `rate`, `increase`, `delta`
pub(super) fn extrapolated(window: &Window<'_>, kind: Kind, annotations: &mut AnnotationList) -> Option<Outcome> {
    if !window.histograms.is_empty() && !window.ts.is_empty() {
        annotations.add(Annotation::MixedRange);
        return None;
    }
    if window.extension.is_some() {
        // Extended ranges take values at their bounds, so they are not extrapolated.
        return match window.histograms {
            [] => rate::extrapolated(window, kind).map(Outcome::Float),
            _ => extended(window, kind, annotations).map(Outcome::histogram),
        };
    }
    // Floats and histograms of the range in order of time; they are not mixed here.
    let all = entries(window);
    let (first, last) = (all.first()?, all.last()?);
    // The counter started within the range: its first value is an increase from zero.
    let from_start =
        kind.counter && first.start > window.start && first.start != Timestamp::EPOCH && first.start < first.ts;
    // One sample is enough only with a known start.
    if all.len() == 1 && !from_start {
        return None;
    }
    let mut stretch = Stretch::new(window, (first.ts, last.ts), all.len() - 1);
    if let SampleRef::Histogram(first_histogram) = first.cell {
        let mut change = match window.histograms {
            // The only histogram since a known start is the increase itself.
            [_] => Histogram::clone(first_histogram),
            samples => change(samples, kind, annotations)?,
        };
        if from_start {
            // The counter started at zero within the range: the increase starts there.
            stretch.begin_at(first.start);
            if all.len() > 1 {
                // The difference to the first histogram does not contain what it counted since the start.
                let mut total = Total::new(&change);
                taken(total.add(first_histogram), Operation::Addition, annotations)?;
                change = total.finish();
            }
        // The count alone decides, so that all buckets are scaled by one factor.
        } else if kind.counter && change.count > 0.0 && first_histogram.count >= 0.0 {
            stretch = stretch.not_below_zero(first_histogram.count / change.count);
        }
        return Some(Outcome::histogram(scaled(&change, stretch.factor(window.seconds(), kind))));
    }
    let (first_value, last_value) = (window.values[0], window.values[window.values.len() - 1]);
    let mut change = last_value - first_value;
    // The same correction as in `rate`, here with start timestamps.
    if kind.counter {
        change += float_resets(&all, annotations);
    }
    if from_start {
        stretch.begin_at(first.start);
        change += first_value;
    } else if kind.counter && change > 0.0 && first_value >= 0.0 {
        stretch = stretch.not_below_zero(first_value / change);
    }
    Some(Outcome::Float(change * stretch.factor(window.seconds(), kind)))
}

/// The sum of values lost by counter resets.
fn float_resets(all: &[Entry<'_>], annotations: &mut AnnotationList) -> f64 {
    let mut lost = 0.0;
    for pair in all.windows(2) {
        let (SampleRef::Float(before), SampleRef::Float(current)) = (pair[0].cell, pair[1].cell) else { continue };
        if starts_overlap(pair[0].times(), pair[1].start) {
            annotations.add(Annotation::StartsOverlap);
        }
        // The value before the reset was lost: it is added to the increase.
        if current < before || started_anew(pair[0].times(), pair[1].times()) {
            lost += before;
        }
    }
    lost
}

fn is_reset(before: &Timed, current: &Timed) -> bool {
    started_anew((before.start, before.ts), (current.start, current.ts))
        || histogram::is_reset(&current.histogram, &before.histogram)
}

/// The increase from the first histogram to the last, corrected for resets.
fn change(samples: &[Timed], kind: Kind, annotations: &mut AnnotationList) -> Option<Histogram> {
    let [first, .., last] = samples else { return None };
    let hint = |of: ResetHint| move |sample: &Timed| sample.histogram.reset_hint == of;
    if kind.counter && samples.iter().any(hint(ResetHint::Gauge)) {
        annotations.add(Annotation::NotCounter);
    }
    // With a reset right after the first sample that sample is ignored, including its bucket layout.
    let second = &samples[1];
    let begins_anew = kind.counter && is_reset(first, second);
    // An empty histogram in the layout of the second one, so that the subtraction changes neither schema nor bounds.
    let base = if begins_anew {
        let frame = &second.histogram;
        let custom_values = Arc::clone(&frame.custom_values);
        Arc::new(Histogram { schema: frame.schema, custom_values, ..Histogram::default() })
    } else {
        Arc::clone(&first.histogram)
    };
    // A gauge only needs the first and the last histogram; a counter all, for its resets.
    let between = if kind.counter { &samples[1..] } else { std::slice::from_ref(last) };
    // Checked before the sum, since upstream reports this and no other annotation then.
    if between.iter().any(|sample| sample.histogram.is_custom() != base.is_custom()) {
        annotations.0.clear();
        annotations.add(Annotation::MixedSchemas);
        return None;
    }
    // The coarsest schema of the range is used from the start, so that each step of the sum is exact.
    let mut total = Total::new(&last.histogram);
    if let Some(coarsest) = between.iter().map(|sample| sample.histogram.schema).min() {
        total.coarsen(coarsest);
    }
    taken(total.subtract(&base), Operation::Subtraction, annotations)?;
    if kind.counter {
        let mut before = base;
        for pair in samples.windows(2) {
            if starts_overlap((pair[0].start, pair[0].ts), pair[1].start) {
                annotations.add(Annotation::StartsOverlap);
            }
            let anew = started_anew((pair[0].start, pair[0].ts), (pair[1].start, pair[1].ts));
            // Values before a reset are added back.
            if anew || histogram::is_reset(&pair[1].histogram, &before) {
                taken(total.add(&before), Operation::Addition, annotations)?;
            }
            // Each sample is compared with the one before it; only the first is compared with `base`, which may be empty.
            before = Arc::clone(&pair[1].histogram);
        }
    } else if ![first, last].into_iter().all(hint(ResetHint::Gauge)) {
        annotations.add(Annotation::NotGauge);
    }
    Some(gauge(total.finish()))
}

/// `irate`, `idelta`
pub(super) fn instant(window: &Window<'_>, is_rate: bool, annotations: &mut AnnotationList) -> Option<Outcome> {
    let all = entries(window);
    let [.., before, last] = &all[..] else { return None };
    let seconds = (last.ts - before.ts) as f64 / 1000.0;
    let anew = is_rate && started_anew(before.times(), last.times());
    match (before.cell, last.cell) {
        (SampleRef::Float(a), SampleRef::Float(b)) => {
            let change = if is_rate && (b < a || anew) { b } else { b - a };
            Some(Outcome::Float(if is_rate { change / seconds } else { change }))
        }
        (SampleRef::Histogram(a), SampleRef::Histogram(b)) => {
            let gauges = [a, b].map(|h| h.is_gauge());
            // The annotations do not prevent a result.
            if is_rate && gauges.contains(&true) {
                annotations.add(Annotation::NotCounter);
            }
            if !is_rate && gauges.contains(&false) {
                annotations.add(Annotation::NotGauge);
            }
            let mut total = Total::new(b);
            // After a reset the increase is the value itself.
            if !is_rate || !anew && !histogram::is_reset(b, a) {
                taken(total.subtract(a), Operation::Subtraction, annotations)?;
            }
            let change = gauge(total.finish());
            Some(Outcome::histogram(if is_rate { divided(&change, seconds) } else { change }))
        }
        _ => {
            annotations.add(Annotation::MixedRange);
            None
        }
    }
}

/// The histogram interpolated at a bound of an extended range; from zero after a reset.
fn between(a: &Timed, b: &Timed, at: Timestamp, kind: Kind, annotations: &mut AnnotationList) -> Option<Histogram> {
    if at == a.ts || at == b.ts {
        let exact = if at == a.ts { a } else { b };
        return Some(Histogram::clone(&exact.histogram));
    }
    let share = (at - a.ts) as f64 / (b.ts - a.ts) as f64;
    // The counter was reset between the samples: it is assumed to have grown from zero over the whole interval.
    if kind.counter && histogram::is_reset(&b.histogram, &a.histogram) {
        return Some(scaled(&b.histogram, share));
    }
    // `a + (b - a) * share`, in the order in which upstream rounds.
    let mut difference = Total::new(&b.histogram);
    taken(difference.subtract(&a.histogram), Operation::Subtraction, annotations)?;
    let mut total = Total::new(&scaled(&difference.finish(), share));
    taken(total.add(&a.histogram), Operation::Addition, annotations)?;
    Some(total.finish())
}

/// The histogram interpolated at a time; the last one before it when none follows.
pub(crate) fn smoothed(samples: &[Timed], at: Timestamp, annotations: &mut AnnotationList) -> Option<Arc<Histogram>> {
    let after = samples.partition_point(|s| s.ts <= at);
    let before = &samples[after.checked_sub(1)?];
    match samples.get(after) {
        Some(next) if before.ts < at && before.histogram.is_custom() != next.histogram.is_custom() => {
            annotations.add(Annotation::MixedSchemas);
            None
        }
        // A gauge may fall, so a fall is interpolated; between counters it is a reset.
        Some(next) if before.ts < at => {
            let kind = Kind { counter: !next.histogram.is_gauge(), per_second: false };
            between(before, next, at, kind, annotations).map(Arc::new)
        }
        _ => Some(Arc::clone(&before.histogram)),
    }
}

/// The change from one bound of an extended range to the other.
fn extended(window: &Window<'_>, kind: Kind, annotations: &mut AnnotationList) -> Option<Histogram> {
    let samples = window.histograms;
    let smoothed = window.extension == Some(Extension::Smoothed);
    let within = samples.len() - 1;
    // The last sample at or before the left bound, if there is one. The search leaves out the last sample, so that
    // `first` is never behind `last`.
    let first = samples[..within].partition_point(|s| s.ts <= window.start).saturating_sub(1);
    let mut last = within;
    if smoothed {
        // The first sample at or behind the right bound: the value there is interpolated towards it.
        last = samples[..within].partition_point(|s| s.ts < window.end);
    }
    // All samples are on one side of the range.
    if samples[last].ts <= window.start || smoothed && samples[first].ts > window.end {
        return None;
    }
    let used = &samples[first..=last];
    if used.iter().any(|s| s.histogram.is_custom() != used[0].histogram.is_custom()) {
        annotations.add(Annotation::MixedSchemas);
        return None;
    }
    if kind.counter && used.iter().any(|s| s.histogram.is_gauge()) {
        annotations.add(Annotation::NotCounter);
    }
    let starts_between = smoothed && used[0].ts < window.start;
    // Anchored ranges use the sample before the bound as it is.
    let left = match used {
        [a, b, ..] if starts_between => between(a, b, window.start, kind, annotations)?,
        _ => Histogram::clone(&used[0].histogram),
    };
    let right = match used {
        [.., a, b] if smoothed && b.ts > window.end => between(a, b, window.end, kind, annotations)?,
        _ => Histogram::clone(&samples[last].histogram),
    };
    if !kind.counter && [&left, &right].iter().any(|h| !h.is_gauge()) {
        annotations.add(Annotation::NotGauge);
    }
    let mut total = Total::new(&right);
    taken(total.subtract(&left), Operation::Subtraction, annotations)?;
    if kind.counter {
        for lost in resets_between(used, &left, &right, starts_between) {
            taken(total.add(lost), Operation::Addition, annotations)?;
        }
    }
    let change = total.finish();
    Some(gauge(if kind.per_second { divided(&change, window.seconds()) } else { change }))
}

/// Values before each reset between the bounds of an extended range. A reset around the left bound is part of the value there.
fn resets_between<'a>(
    used: &'a [Timed],
    left: &'a Histogram,
    right: &'a Histogram,
    starts_between: bool,
) -> Vec<&'a Histogram> {
    let mut lost = Vec::new();
    let (mut before, mut rest) = (left, &used[1..]);
    if let [a, b, ..] = used
        && starts_between
        && histogram::is_reset(&b.histogram, &a.histogram)
    {
        // `left` was interpolated from zero to `b`: the loss of `a` is not part of this range.
        (before, rest) = (&b.histogram, &used[2..]);
        if rest.is_empty() {
            return lost;
        }
    }
    // The last sample is represented by the value at the right bound.
    let Some((_, inner)) = rest.split_last() else { return lost };
    for current in inner.iter().map(|s| &*s.histogram).chain([right]) {
        if histogram::is_reset(current, before) {
            lost.push(before);
        }
        before = current;
    }
    lost
}
