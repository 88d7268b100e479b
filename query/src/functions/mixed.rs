//! Range functions for ranges with histograms or start timestamps. Functions that are not here use floats only.

use std::sync::Arc;

use model::{Histogram, Timestamp};

pub(crate) use super::entries::Outcome;
use super::entries::{Entry, entries};
use super::{histogram_rate, over_time, rate};
use crate::annotations::{Annotation, AnnotationList, Operation};
use crate::histogram::{self, Combined, Incompatible, Mean, Total, started_anew};
use crate::parse::types::Extension;
use crate::value::SampleRef;
use crate::window::Window;

pub(crate) type MixedFn = fn(&Window<'_>, &mut AnnotationList) -> Option<Outcome>;

/// The function of this name, if it supports histograms.
pub(crate) fn of(name: &str) -> Option<MixedFn> {
    Some(match name {
        "rate" => |w, r| histogram_rate::extrapolated(w, rate::Kind::RATE, r),
        "increase" => |w, r| histogram_rate::extrapolated(w, rate::Kind::INCREASE, r),
        "delta" => |w, r| histogram_rate::extrapolated(w, rate::Kind::DELTA, r),
        "irate" => |w, r| histogram_rate::instant(w, true, r),
        "idelta" => |w, r| histogram_rate::instant(w, false, r),
        "sum_over_time" => sum,
        "avg_over_time" => avg,
        "count_over_time" => |w, _| (!w.is_empty()).then(|| Outcome::Float(w.len() as f64)),
        "present_over_time" => |w, _| (!w.is_empty()).then_some(Outcome::Float(1.0)),
        "first_over_time" => |w, _| entries(w).first().map(|entry| outcome(entry.cell)),
        "last_over_time" => |w, _| entries(w).last().map(|entry| outcome(entry.cell)),
        "ts_of_first_over_time" => |w, _| entries(w).first().map(|entry| seconds(entry.ts)),
        "ts_of_last_over_time" => |w, _| entries(w).last().map(|entry| seconds(entry.ts)),
        "changes" => changes,
        "resets" => resets,
        _ => return None,
    })
}

fn outcome(cell: SampleRef<'_>) -> Outcome {
    match cell {
        SampleRef::Float(value) => Outcome::Float(value),
        SampleRef::Histogram(histogram) => Outcome::Histogram(Arc::clone(histogram)),
    }
}

fn seconds(ts: Timestamp) -> Outcome {
    Outcome::Float(ts.as_seconds())
}

/// The samples from the anchor on; none when all are before an extended range.
fn since_anchor<'a>(window: &Window<'a>) -> Option<Vec<Entry<'a>>> {
    let mut all = entries(window);
    if window.extension == Some(Extension::Anchored) {
        let before = all.partition_point(|entry| entry.ts <= window.start);
        // All samples are before the range.
        if before == all.len() {
            return None;
        }
        // The last sample at or before the start is the anchor, and stays.
        all.drain(..before.saturating_sub(1));
    }
    (!all.is_empty()).then_some(all)
}

fn changes(window: &Window<'_>, _: &mut AnnotationList) -> Option<Outcome> {
    let changed = |pair: &&[Entry<'_>]| match (pair[0].cell, pair[1].cell) {
        (SampleRef::Float(a), SampleRef::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (SampleRef::Histogram(a), SampleRef::Histogram(b)) => a != b,
        _ => true,
    };
    Some(Outcome::Float(since_anchor(window)?.windows(2).filter(changed).count() as f64))
}

fn resets(window: &Window<'_>, _: &mut AnnotationList) -> Option<Outcome> {
    let reset = |pair: &&[Entry<'_>]| {
        let fell = match (pair[0].cell, pair[1].cell) {
            (SampleRef::Float(a), SampleRef::Float(b)) => b < a,
            (SampleRef::Histogram(a), SampleRef::Histogram(b)) => histogram::is_reset(b, a),
            // A change of the kind of sample counts as a reset.
            _ => return true,
        };
        fell || started_anew(pair[0].times(), pair[1].times())
    };
    Some(Outcome::Float(since_anchor(window)?.windows(2).filter(reset).count() as f64))
}

fn sum(window: &Window<'_>, annotations: &mut AnnotationList) -> Option<Outcome> {
    if window.histograms.is_empty() {
        return over_time::sum(window, &[]).map(Outcome::Float);
    }
    // The first histogram is the initial sum; `all_of` adds the others.
    let mut total = Total::new(&window.histograms[0].histogram);
    all_of(window, annotations, |histogram| total.add(histogram))?;
    Some(Outcome::histogram(total.finish()))
}

fn avg(window: &Window<'_>, annotations: &mut AnnotationList) -> Option<Outcome> {
    if window.histograms.is_empty() {
        return over_time::avg(window, &[]).map(Outcome::Float);
    }
    let mut mean = Mean::new(&window.histograms[0].histogram);
    all_of(window, annotations, |histogram| mean.add(histogram))?;
    Some(Outcome::histogram(mean.finish()))
}

/// Sums the histograms of a range; `None` when they are incompatible.
fn all_of(
    window: &Window<'_>,
    annotations: &mut AnnotationList,
    mut add: impl FnMut(&Histogram) -> Result<Combined, Incompatible>,
) -> Option<()> {
    // Floats and histograms cannot be summed.
    if !window.values.is_empty() {
        annotations.add(Annotation::MixedRange);
        return None;
    }
    let mut hints = Hints::default();
    hints.see(&window.histograms[0].histogram);
    let mut combined = Combined::default();
    for one in &window.histograms[1..] {
        hints.see(&one.histogram);
        match add(&one.histogram) {
            Ok(found) => combined |= found,
            Err(Incompatible) => {
                annotations.add(Annotation::MixedSchemas);
                return None;
            }
        }
    }
    // Conflicting hints are detected among all histograms, not between each and the running sum.
    combined.resets_collide = hints.collide();
    annotations.combined(combined, Operation::Aggregation);
    Some(())
}

/// The reset hints seen among some histograms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    reset: bool,
    not_reset: bool,
}

impl Hints {
    pub(crate) fn see(&mut self, histogram: &Histogram) {
        self.reset |= histogram.reset_hint == model::ResetHint::Reset;
        self.not_reset |= histogram.reset_hint == model::ResetHint::NotReset;
    }

    /// Do the hints conflict?
    pub(crate) fn collide(self) -> bool {
        self.reset && self.not_reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Timed;

    #[test]
    fn times_before_the_epoch() {
        let histogram = Arc::new(Histogram::default());
        let timed = |ts| Timed { ts: Timestamp(ts), start: Timestamp::EPOCH, histogram: Arc::clone(&histogram) };
        let last = |ts: &[Timestamp], histograms: &[Timed]| {
            let values = vec![1.0; ts.len()];
            let window = Window { ts, values: &values, histograms, ..Window::default() };
            of("ts_of_last_over_time").and_then(|f| f(&window, &mut AnnotationList::default()))
        };
        assert_eq!(last(&[-9_000, -5_000].map(Timestamp), &[]), Some(Outcome::Float(-5.0)));
        assert_eq!(last(&[], &[timed(-7_000)]), Some(Outcome::Float(-7.0)));
        assert_eq!(last(&[-9_000, -5_000].map(Timestamp), &[timed(-7_000)]), Some(Outcome::Float(-5.0)));
        assert_eq!(last(&[], &[]), None);
    }
}
