//! Series in memory: the store that scripts load into.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    Batch, BatchSink, Column, Committed, Histogram, Labels, Lateness, Listing, PartReader, Parts, Querier,
    QuerierError, ReadHints, ResetHint, Selection, SeriesSamples, Timestamp,
};

use super::Point;
use super::script::Line;
use crate::histogram;

/// Columns per batch, so that scripts exercise columns with and without gaps.
pub(super) const COLUMNS: usize = 3;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    value: Value,
    /// The start timestamp; [`Timestamp::EPOCH`] when unknown.
    start: Timestamp,
}

type Samples = BTreeMap<Timestamp, Sample>;
pub(super) type Found<'a> = (&'a Labels, Vec<(Timestamp, &'a Sample)>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    series: BTreeMap<Labels, Samples>,
}

impl Store {
    /// Loads one line of series notation, starting at a time.
    #[cfg(test)]
    pub(crate) fn load_line(&mut self, line: &str, (start, step_ms): (Timestamp, i64)) -> Result<(), String> {
        let (labels, points) = super::notation::series(line)?;
        self.load(&Line { labels, points, start_offsets_ms: Vec::new() }, (start, step_ms))
    }

    /// Runs the loads of a script.
    #[cfg(test)]
    pub(crate) fn load_script(&mut self, text: &str) {
        for command in super::script::parse(text).unwrap() {
            if let super::script::Command::Load { step_ms, series, .. } = command {
                series.iter().for_each(|line| self.load(line, (Timestamp::EPOCH, step_ms)).unwrap());
            }
        }
    }

    /// Loads the points of a series. Invalid histograms are refused.
    pub(crate) fn load(&mut self, line: &Line, times: (Timestamp, i64)) -> Result<(), String> {
        self.load_points((&line.labels, &line.points), times)?;
        let (start, step_ms) = times;
        let Some(samples) = self.series.get_mut(&line.labels) else { return Ok(()) };
        for (i, offset) in line.start_offsets_ms.iter().enumerate() {
            let ts = start + step_ms * i as i64;
            if let (Some(offset), Some(sample)) = (offset, samples.get_mut(&ts)) {
                sample.start = ts + *offset;
            }
        }
        Ok(())
    }

    pub(super) fn load_points(
        &mut self,
        (labels, points): (&Labels, &[Point]),
        (start, step_ms): (Timestamp, i64),
    ) -> Result<(), String> {
        let samples = self.series.entry(labels.clone()).or_default();
        for (i, point) in points.iter().enumerate() {
            let ts = start + step_ms * i as i64;
            let value = match point {
                Point::Absent => continue,
                Point::Float(value) => Value::Float(*value),
                Point::Histogram { histogram, .. } => {
                    histogram.validate().map_err(|error| format!("{labels}: {error}"))?;
                    // The previous sample by time, which an earlier load may have written.
                    let before = samples.range(..ts).next_back().map(|(_, sample)| &sample.value);
                    Value::Histogram(as_kept(histogram, before))
                }
            };
            samples.insert(ts, Sample { value, start: Timestamp::EPOCH });
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends samples to a series, each after those that it has unless late ones are taken.
    pub(super) fn append(&mut self, series: &SeriesSamples<'_>, lateness: Lateness, committed: &mut Committed) {
        let samples = self.series.entry(series.labels.clone()).or_default();
        for (i, (&ts, &value)) in (0..).zip(series.timestamps.iter().zip(series.values)) {
            let histogram = series.histograms.iter().find(|(index, _)| *index == i).map(|(_, histogram)| histogram);
            let last = match lateness {
                Lateness::Window => samples.last_key_value(),
                Lateness::Any => samples.range(..=ts).next_back(),
            };
            let value = match histogram {
                Some(histogram) => {
                    let before = last.filter(|(last, _)| **last < ts).map(|(_, sample)| &sample.value);
                    Value::Histogram(as_kept(&Arc::new(histogram.clone()), before))
                }
                None => Value::Float(value),
            };
            match last.map(|(last, sample)| (last.cmp(&ts), sample)) {
                Some((Ordering::Greater, _)) => committed.out_of_order += 1,
                Some((Ordering::Equal, sample)) if !sample.value.is_same(&value) => committed.duplicate += 1,
                _ => {
                    committed.stored += 1;
                    samples.insert(ts, Sample { value, start: Timestamp::EPOCH });
                }
            }
        }
    }

    /// The samples of a series in a range of time, if it has any.
    pub(super) fn found(&self, labels: &Labels, (start, end): (Timestamp, Timestamp)) -> Option<Found<'_>> {
        let (labels, samples) = self.series.get_key_value(labels)?;
        Some((labels, in_range(samples, (start, end)))).filter(|(_, samples)| !samples.is_empty())
    }

    pub(super) fn matching(&self, selection: &Selection<'_>) -> Vec<Found<'_>> {
        let matches = |labels: &Labels| selection.matchers.iter().all(|m| m.matches(labels.value(&m.name)));
        let series = self.series.iter().filter(move |(labels, _)| matches(labels));
        let found = series.map(|(labels, samples)| (labels, in_range(samples, (selection.start, selection.end))));
        found.filter(|(_, samples)| !samples.is_empty()).collect()
    }
}

fn in_range(samples: &Samples, (start, end): (Timestamp, Timestamp)) -> Vec<(Timestamp, &Sample)> {
    // `BTreeMap::range` panics where the start is behind the end.
    if start <= end { samples.range(start..=end).map(|(ts, sample)| (*ts, sample)).collect() } else { Vec::new() }
}

/// Sets the reset hint that upstream's store returns: not the one that was appended, but `not reset` between histograms of one
/// layout without a reset, and `unknown` where such a run begins.
fn as_kept(histogram: &Arc<Histogram>, before: Option<&Value>) -> Arc<Histogram> {
    let continues = match before {
        Some(Value::Histogram(before)) if histogram.reset_hint != ResetHint::Reset => {
            let unhinted = Histogram { reset_hint: ResetHint::Unknown, ..Histogram::clone(histogram) };
            !before.is_gauge()
                && before.schema == histogram.schema
                && before.zero_threshold == histogram.zero_threshold
                && before.custom_values == histogram.custom_values
                && !histogram::is_reset(&unhinted, before)
        }
        _ => false,
    };
    let reset_hint = match histogram.reset_hint {
        ResetHint::Gauge => ResetHint::Gauge,
        _ if continues => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    };
    Arc::new(Histogram { reset_hint, ..Histogram::clone(histogram) })
}

pub(super) fn batch(series: &[Found<'_>]) -> Batch {
    let all: BTreeSet<Timestamp> = series.iter().flat_map(|(_, samples)| samples.iter().map(|(ts, _)| *ts)).collect();
    let timestamps: Vec<Timestamp> = all.into_iter().collect();
    // The labels of the first series, if all have labels with these names.
    let in_all = |name: &str| series.iter().all(|(labels, _)| labels.get(name).is_some());
    // Common labels go to the source of the batch, the others to the metric: both ways of the real store are exercised.
    let source = series.first().map_or_else(Labels::empty, |(labels, _)| labels.filtered(in_all));
    let columns = series.iter().map(|(labels, samples)| {
        let n = timestamps.len();
        let metric = labels.filtered(|name| source.get(name) != labels.get(name));
        let mut column = Column { metric, values: vec![0.0; n], ..Column::default() };
        let mut present = vec![0u64; n.div_ceil(64)];
        for (ts, sample) in samples {
            let Ok(i) = timestamps.binary_search(ts) else { continue };
            present[i / 64] |= 1 << (i % 64);
            match &sample.value {
                Value::Float(value) => column.values[i] = *value,
                Value::Histogram(histogram) => column.histograms.push((i as u32, Arc::clone(histogram))),
            }
            if sample.start != Timestamp::EPOCH {
                column.start_times.push((i as u32, sample.start));
            }
        }
        // Without gaps there is no bitmap, which is the fast path of the engine.
        column.present = (samples.len() < n).then_some(present);
        column
    });
    let columns = columns.collect();
    Batch { source, columns, timestamps, ..Batch::default() }
}

fn limited<T>(values: BTreeSet<T>, limit: usize) -> Vec<T> {
    // Zero is no limit.
    values.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect()
}

/// The series of a selection, [`COLUMNS`] to a part.
struct Chosen<'a>(Vec<Found<'a>>);

impl Parts for Chosen<'_> {
    fn count(&self) -> usize {
        self.0.len().div_ceil(COLUMNS)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(self))
    }
}

impl PartReader for &Chosen<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        self.0.chunks(COLUMNS).nth(part).map_or(Ok(()), |chunk| sink(batch(chunk)))
    }
}

impl Querier for Store {
    fn open<'q>(&'q self, selection: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        Ok(Box::new(Chosen(self.matching(selection))))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let found = self.matching(selection);
        found.iter().try_for_each(|(labels, _)| (listing.grow)(labels.as_text().len()))?;
        Ok(limited(found.iter().map(|&(labels, _)| labels.clone()).collect(), listing.limit))
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        let found = self.matching(selection);
        let names = found.iter().flat_map(|(labels, _)| labels.iter().map(|(n, _)| n.to_owned()));
        Ok(limited(names.collect(), listing.limit))
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        let found = self.matching(selection);
        let values = found.iter().filter_map(|(labels, _)| labels.get(name).map(str::to_owned));
        Ok(limited(values.collect(), listing.limit))
    }
}
