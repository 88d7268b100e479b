//! Reads the newest sample of each series, within the bounds of the request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use model::sample::is_stale;
use model::{
    Batch, Column, Histogram, Labels, Matcher, MetricId, Querier, QuerierError, ReadHints, Selection, SourceId,
    Timestamp,
};
use query::{Bounds, Error};

use super::series::{NO_SOURCE, Newest, Series, histogram_bytes};
use crate::api::ApiError;
use crate::api::error::told;

/// Memory that is reserved at once: a reservation for each label set would cost more than the set.
const GRAIN: usize = 64 << 10;
/// Samples for which there is room at first.
const SAMPLES_AT_FIRST: usize = 256;
/// Memory of a label set besides its text: where it stands in lists and maps while samples are read and sorted.
const SET_BYTES: usize = 160;
/// The same of a column of a batch.
const COLUMN_BYTES: usize = 160;
/// What is known of a metric without a name.
const NAMELESS: u32 = u32::MAX;

/// Reads what some selections have between two times. Histograms that `keep` refuses are left out, as are series whose newest
/// sample is a stale marker.
pub(super) fn read(
    querier: &dyn Querier,
    (start, end): (Timestamp, Timestamp),
    selections: &[Vec<Matcher>],
    keep: fn(&Histogram) -> bool,
    bounds: &Bounds,
) -> Result<Series, ApiError> {
    let mut reading = Reading::new(bounds, keep, selections.len() > 1);
    for matchers in selections {
        bounds.check().map_err(told)?;
        let parts = querier.open(&Selection { start, end, matchers }, &ReadHints::NEWEST)?;
        if parts.count() > 0 {
            reading.account.at_least(parts.reader_bytes()).map_err(told)?;
            reading.begin();
            // The store only passes on that it was stopped; why is kept here.
            let mut failed = None;
            let read = parts.read_all(&mut |batch| {
                reading.add(&batch).map_err(|error| {
                    failed = Some(error);
                    QuerierError::Stopped
                })
            });
            if let Some(error) = failed {
                return Err(told(error));
            }
            read?;
        }
        reading.series.warnings.extend(parts.warnings());
    }
    reading.series.sort(reading.are_several);
    Ok(reading.series)
}

/// Memory that is reserved for what is read.
struct Account<'b> {
    bounds: &'b Bounds,
    spare: usize,
    /// The most that was needed for a moment, which may be needed again.
    most: usize,
}

impl Account<'_> {
    /// For what stays.
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.spare {
            let more = bytes.max(GRAIN);
            self.bounds.take(more)?;
            self.spare += more;
        }
        self.spare -= bytes;
        Ok(())
    }

    /// For what is given back and taken again.
    fn at_least(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.most {
            self.bounds.take(bytes - self.most)?;
            self.most = bytes;
        }
        Ok(())
    }

    fn push<T>(&mut self, all: &mut Vec<T>, item: T) -> Result<(), Error> {
        if all.len() == all.capacity() {
            let more = all.len().max(SAMPLES_AT_FIRST);
            self.take(more * size_of::<T>())?;
            all.reserve_exact(more);
        }
        all.push(item);
        Ok(())
    }
}

/// Batches on their way into [`Series`].
struct Reading<'b> {
    account: Account<'b>,
    keep: fn(&Histogram) -> bool,
    /// What several selections have in common is there once.
    are_several: bool,
    series: Series,
    /// Places of label sets by what the store calls them in the selection that is read, and by themselves.
    metrics: HashMap<MetricId, u32>,
    sources: HashMap<SourceId, u32>,
    known_metrics: HashMap<Labels, u32>,
    known_sources: HashMap<Labels, u32>,
    /// Does the label set of a source hold a name?
    names_sources: Vec<bool>,
}

impl<'b> Reading<'b> {
    fn new(bounds: &'b Bounds, keep: fn(&Histogram) -> bool, are_several: bool) -> Self {
        let series = Series::new();
        Self {
            account: Account { bounds, spare: 0, most: 0 },
            keep,
            are_several,
            series,
            metrics: HashMap::new(),
            sources: HashMap::new(),
            known_metrics: HashMap::new(),
            known_sources: HashMap::new(),
            names_sources: vec![false],
        }
    }

    /// Another selection: its ids are its own.
    fn begin(&mut self) {
        self.metrics.clear();
        self.sources.clear();
    }

    fn add(&mut self, batch: &Batch) -> Result<(), Error> {
        self.account.bounds.check()?;
        let of_column = |column: &Column| {
            let histograms = column.histograms.iter().map(|(_, histogram)| histogram_bytes(histogram)).sum::<usize>();
            COLUMN_BYTES + 8 * column.values.len() + histograms
        };
        self.account.at_least(batch.columns.iter().map(of_column).sum())?;
        let source = batch.source_id.map(|id| self.source(id, &batch.source)).transpose()?;
        for column in &batch.columns {
            let Some(slot) = (0..batch.timestamps.len()).rev().find(|slot| column.is_present(*slot)) else { continue };
            let histogram = column.histograms.last().filter(|(of, _)| *of as usize == slot);
            let is_left_out = match histogram {
                Some((_, histogram)) => !(self.keep)(histogram),
                None => is_stale(column.values[slot]),
            };
            if is_left_out {
                continue;
            }
            let Some((metric, source)) = self.labels(batch, column, source)? else {
                self.series.nameless += 1;
                continue;
            };
            let ts = batch.timestamps[slot];
            match histogram {
                Some((_, value)) => {
                    self.account.take(histogram_bytes(value))?;
                    let one = Newest { metric, source, ts, value: Arc::clone(value) };
                    self.account.push(&mut self.series.histograms, one)?;
                }
                None => {
                    let one = Newest { metric, source, ts, value: column.values[slot] };
                    self.account.push(&mut self.series.floats, one)?;
                }
            }
        }
        Ok(())
    }

    /// The places of a series' labels; `None` when it has no name.
    fn labels(&mut self, batch: &Batch, column: &Column, source: Option<u32>) -> Result<Option<(u32, u32)>, Error> {
        if let (Some(id), Some(source)) = (column.metric_id, source) {
            let metric = self.metric(id, &column.metric)?;
            if metric != NAMELESS {
                return Ok(Some((metric, source)));
            }
            if !self.names_sources[source as usize] {
                return Ok(None);
            }
        }
        let whole = batch.labels(column);
        if whole.name().is_empty() {
            return Ok(None);
        }
        Ok(Some((self.place_of_metric(whole)?, NO_SOURCE)))
    }

    fn metric(&mut self, id: MetricId, labels: &Labels) -> Result<u32, Error> {
        if let Some(place) = self.metrics.get(&id) {
            return Ok(*place);
        }
        let place = if labels.name().is_empty() { NAMELESS } else { self.place_of_metric(labels.clone())? };
        self.metrics.insert(id, place);
        Ok(place)
    }

    fn place_of_metric(&mut self, labels: Labels) -> Result<u32, Error> {
        let all = &mut self.series.metrics;
        place(&mut self.account, (all, self.are_several.then_some(&mut self.known_metrics)), labels)
    }

    fn source(&mut self, id: SourceId, labels: &Labels) -> Result<u32, Error> {
        if let Some(place) = self.sources.get(&id) {
            return Ok(*place);
        }
        let all = &mut self.series.sources;
        let known = self.are_several.then_some(&mut self.known_sources);
        let place = place(&mut self.account, (all, known), labels.clone())?;
        self.names_sources.resize(self.series.sources.len(), !labels.name().is_empty());
        self.sources.insert(id, place);
        Ok(place)
    }
}

/// The place of a label set in a list, to which it is added unless it is known.
fn place(
    account: &mut Account<'_>,
    (all, known): (&mut Vec<Labels>, Option<&mut HashMap<Labels, u32>>),
    labels: Labels,
) -> Result<u32, Error> {
    // As many label sets do not fit into memory.
    let next = u32::try_from(all.len()).unwrap_or(NAMELESS);
    if let Some(known) = known {
        match known.entry(labels.clone()) {
            Entry::Occupied(entry) => return Ok(*entry.get()),
            Entry::Vacant(entry) => drop(entry.insert(next)),
        }
    }
    account.take(labels.as_text().len() + SET_BYTES)?;
    all.push(labels);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::{Listing, PartReader, Parts};
    use query::{Engine, QueryOptions};

    use super::*;

    /// Hands out these batches, those of one selection after those of the other.
    struct Fake {
        selections: Vec<Vec<Batch>>,
        opened: AtomicUsize,
    }

    struct Opened<'f>(&'f [Batch]);

    impl Querier for Fake {
        fn open<'q>(&'q self, _: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
            Ok(Box::new(Opened(&self.selections[self.opened.fetch_add(1, Ordering::Relaxed)])))
        }

        fn list_series(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
            Err(QuerierError::Stopped)
        }

        fn list_label_names(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
            Err(QuerierError::Stopped)
        }

        fn list_label_values(&self, _: &str, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
            Err(QuerierError::Stopped)
        }
    }

    impl Parts for Opened<'_> {
        fn count(&self) -> usize {
            1
        }

        fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
            Ok(Box::new(Opened(self.0)))
        }
    }

    impl PartReader for Opened<'_> {
        fn read(&self, _: usize, sink: &mut model::BatchSink<'_>) -> Result<(), QuerierError> {
            self.0.iter().cloned().try_for_each(sink)
        }
    }

    /// A batch of one sample a series; `ids` are those of the source and of the first metric.
    fn batch(ids: Option<(u32, u32)>, source: &[(&str, &str)], metrics: &[&[(&str, &str)]]) -> Batch {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let column = |(metric, at): (&&[(&str, &str)], u32)| Column {
            metric_id: ids.map(|(_, first)| MetricId(first + at)),
            metric: labels(metric),
            values: vec![f64::from(at)],
            ..Column::default()
        };
        Batch {
            source_id: ids.map(|(source, _)| SourceId(source)),
            source: labels(source),
            timestamps: vec![Timestamp(5)],
            columns: metrics.iter().zip(0..).map(column).collect(),
        }
    }

    #[track_caller]
    fn check(selections: Vec<Vec<Batch>>, nameless: usize, expected: &[&str]) {
        let matchers = vec![Vec::new(); selections.len()];
        let fake = Fake { selections, opened: AtomicUsize::new(0) };
        let bounds = Engine::default().bounds(&QueryOptions::default());
        let series = read(&fake, (Timestamp(0), Timestamp(9)), &matchers, |_| true, &bounds).unwrap();
        let shown = |one: &Newest<f64>| {
            let labels = series.sources[one.source as usize].joined(&series.metrics[one.metric as usize]);
            format!("{labels} {}", one.value)
        };
        assert_eq!(series.floats.iter().map(shown).collect::<Vec<_>>(), expected);
        assert_eq!(series.nameless, nameless);
    }

    #[test]
    fn names_are_in_order_and_come_from_either_side() {
        let up = [("__name__", "up")];
        let capital = [("Above", "x"), ("__name__", "down")];
        let of_source = batch(Some((1, 10)), &[("job", "a")], &[&up, &[("no", "name")], &capital]);
        let named = batch(Some((2, 20)), &[("__name__", "of_source")], &[&[("i", "1")], &[("i", "2")]]);
        // Ids are those of one selection: 10 is another metric in the next.
        let again = batch(Some((1, 10)), &[("job", "b")], &[&capital]);
        let expected = [
            r#"down{Above="x", job="a"} 2"#,
            r#"down{Above="x", job="b"} 0"#,
            r#"of_source{i="1"} 0"#,
            r#"of_source{i="2"} 1"#,
            r#"up{job="a"} 0"#,
        ];
        check(vec![vec![of_source, named], vec![again]], 1, &expected);
    }

    #[test]
    fn what_selections_have_in_common_is_there_once() {
        let pair = |ids| batch(Some(ids), &[("job", "a")], &[&[("__name__", "up")], &[("__name__", "up"), ("x", "y")]]);
        let whole = batch(None, &[], &[&[("__name__", "up"), ("job", "a")]]);
        let one = [r#"up{job="a"} 0"#, r#"up{job="a", x="y"} 1"#];
        check(vec![vec![pair((1, 1))]], 0, &one);
        check(vec![vec![pair((1, 1))], vec![pair((7, 8))]], 0, &one);
        check(vec![vec![whole.clone()], vec![whole.clone()]], 0, &one[..1]);
        // Found with one source, and then with two.
        check(vec![vec![pair((1, 1))], vec![whole]], 0, &one);
    }
}
