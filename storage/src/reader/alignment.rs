//! Time alignment: runs and cells of one source are put on one ascending line of times, the same for all its series.

use std::collections::BTreeMap;

use model::{Batch, Column, Labels, MetricId, SourceId, Timestamp};

use crate::error::Error;
use crate::rows::run::{Cells, Run, RunColumn, all_set, is_empty, mark, none_set};

/// See [`Gathered::into_batches`].
pub(crate) type Complete<'c> = dyn FnMut(usize, &[Timestamp], ColumnValues) -> Result<Option<Column>, Error> + 'c;

/// The values of a column, which is then given its labels.
pub(crate) struct ColumnValues {
    values: Vec<f64>,
    present: Option<Vec<u64>>,
}

impl ColumnValues {
    /// The column of a metric.
    pub(crate) fn of(self, metric: Labels, metric_id: Option<MetricId>) -> Column {
        let (values, present) = (self.values, self.present);
        Column { metric_id, metric, values, present, histograms: Vec::new(), start_times: Vec::new() }
    }
}

/// What was read of one source.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(super) runs: Vec<Run>,
    pub(super) cells: Cells,
    /// Deleted ranges of time, first and last millisecond, by index of a wanted metric.
    pub(super) deleted: Vec<(usize, Timestamp, Timestamp)>,
}

/// One aligned series: a value and a presence bit per time of the line.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) values: Vec<f64>,
    pub(crate) present: Vec<u64>,
}

/// All wanted series of a source.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    /// Those on the line, by index of their metric among the wanted, ascending.
    pub(crate) common: Vec<(usize, Slots)>,
    /// Those with a sample at a time that is not on the line: their times, ascending, and values.
    pub(crate) own_times: Vec<(usize, Vec<Timestamp>, Vec<f64>)>,
}

impl Gathered {
    /// The times of all rows, ascending.
    pub(crate) fn common_times(&self) -> Vec<Timestamp> {
        let mut line: Vec<Timestamp> = Vec::new();
        for run in &self.runs {
            // Segments of one bucket have the same times: added once, the sort has little to do.
            if !line.ends_with(&run.timestamps) {
                line.extend_from_slice(&run.timestamps);
            }
        }
        // Long sorted runs: the stable sort only merges them.
        line.sort();
        line.dedup();
        line
    }

    /// Aligns everything to `line`, which must hold the times of all rows. Of two samples at one time the first read stays.
    pub(crate) fn align(self, line: &[Timestamp]) -> Aligned {
        let mut columns: Vec<Option<Slots>> = Vec::new();
        for run in self.runs {
            let places = Places::of(&run, line);
            let whole = run.timestamps.len() == line.len();
            for column in run.columns.into_iter().filter(|column| !is_empty(&column.present)) {
                if columns.len() <= column.wanted {
                    columns.resize_with(column.wanted + 1, || None);
                }
                match &mut columns[column.wanted] {
                    // The common case: the column has all times of the line, and its memory is moved, not copied.
                    slot @ None if whole => *slot = Some(Slots { values: column.values, present: column.present }),
                    slot => slot.get_or_insert_with(|| Slots::new(line.len())).fill(&column, &places),
                }
            }
        }
        let mut own_times = Vec::new();
        let mut cells: Vec<_> = self.cells.into_iter().collect();
        cells.sort_unstable_by_key(|(wanted, _)| *wanted);
        for (wanted, cells) in cells {
            if columns.len() <= wanted {
                columns.resize_with(wanted + 1, || None);
            }
            let slot = &mut columns[wanted];
            // Own times that happen to be on the line cost the series nothing.
            if cells.iter().all(|(ts, _)| line.binary_search(ts).is_ok()) {
                slot.get_or_insert_with(|| Slots::new(line.len())).fill_cells(&cells, line);
            } else {
                let (times, values) = merge(slot.take().as_ref(), line, cells);
                own_times.push((wanted, times, values));
            }
        }
        // After merging: a deletion covers rows, pages and cells alike.
        for &(wanted, from, to) in &self.deleted {
            if let Some(Some(slots)) = columns.get_mut(wanted) {
                let range = line.partition_point(|&ts| ts < from)..line.partition_point(|&ts| ts <= to);
                mark(&mut slots.present, range.start..range.end.max(range.start), false);
            }
            for (_, times, values) in own_times.iter_mut().filter(|(other, _, _)| *other == wanted) {
                let kept = times.iter().zip(&*values).filter(|(ts, _)| **ts < from || **ts > to);
                (*times, *values) = kept.map(|(&ts, &value)| (ts, value)).unzip();
            }
        }
        // A deletion may have left nothing of a series.
        own_times.retain(|(_, times, _)| !times.is_empty());
        let common = columns.into_iter().enumerate().filter_map(|(wanted, slots)| Some((wanted, slots?)));
        Aligned { common: common.filter(|(_, slots)| !is_empty(&slots.present)).collect(), own_times }
    }

    /// The only run, where there is nothing to align it with: most of what rules and dashboards ask for is in one segment.
    fn take_only_run(&mut self) -> Option<Run> {
        let is_alone = self.runs.len() == 1 && self.cells.is_empty() && self.deleted.is_empty();
        let run = if is_alone { self.runs.first_mut()? } else { return None };
        run.columns.sort_by_key(|column| column.wanted);
        let is_whole =
            run.timestamps.is_sorted_by(|a, b| a < b) && run.columns.is_sorted_by(|a, b| a.wanted < b.wanted);
        if is_whole { self.runs.pop() } else { None }
    }

    /// Batches of a source: one with the common times, then one for each other set of times. `complete` makes a column of the
    /// values of a wanted metric over these times, or says that it is not to be handed out.
    pub(crate) fn into_batches(
        mut self,
        source: (Option<SourceId>, &Labels),
        complete: &mut Complete<'_>,
    ) -> Result<Vec<Batch>, Error> {
        let batch = |timestamps, columns| {
            let (source_id, labels) = source;
            Batch { source_id, source: labels.clone(), timestamps, columns }
        };
        if let Some(Run { timestamps, columns }) = self.take_only_run() {
            let columns =
                columns.into_iter().map(|RunColumn { wanted, values, present }| (wanted, Slots { values, present }));
            let columns = completed(columns.filter(|(_, slots)| !is_empty(&slots.present)), &timestamps, complete)?;
            return Ok(if columns.is_empty() { Vec::new() } else { vec![batch(timestamps, columns)] });
        }
        let line = self.common_times();
        let aligned = self.align(&line);
        // In an order that is the same each time: sums of floats depend on it.
        let mut apart: BTreeMap<Vec<Timestamp>, Vec<Column>> = BTreeMap::new();
        for (wanted, times, values) in aligned.own_times {
            if let Some(column) = complete(wanted, &times, ColumnValues { values, present: None })? {
                apart.entry(times).or_default().push(column);
            }
        }
        let common = completed(aligned.common.into_iter(), &line, complete)?;
        let mut batches = Vec::with_capacity(1 + apart.len());
        if !common.is_empty() {
            batches.push(batch(line, common));
        }
        batches.extend(apart.into_iter().map(|(timestamps, columns)| batch(timestamps, columns)));
        Ok(batches)
    }
}

/// The columns of series over common times.
fn completed(
    slots: impl Iterator<Item = (usize, Slots)>,
    times: &[Timestamp],
    complete: &mut Complete<'_>,
) -> Result<Vec<Column>, Error> {
    let mut columns = Vec::with_capacity(slots.size_hint().1.unwrap_or(0));
    for (wanted, slots) in slots {
        columns.extend(complete(wanted, times, slots.into())?);
    }
    Ok(columns)
}

/// One series of a source over a line of times.
#[derive(Debug, Default)]
pub(crate) enum SeriesColumn {
    #[default]
    Empty,
    /// All samples are at times of the line.
    Common(Slots),
    /// At least one is not: times, ascending, and values.
    OwnTimes(Vec<Timestamp>, Vec<f64>),
}

impl Aligned {
    /// The series by index of their metric among so many wanted.
    pub(crate) fn into_columns(self, wanted: usize) -> Vec<SeriesColumn> {
        let mut columns: Vec<SeriesColumn> = Vec::new();
        columns.resize_with(wanted, SeriesColumn::default);
        for (wanted, slots) in self.common {
            columns[wanted] = SeriesColumn::Common(slots);
        }
        for (wanted, times, values) in self.own_times {
            columns[wanted] = SeriesColumn::OwnTimes(times, values);
        }
        columns
    }
}

impl SeriesColumn {
    pub(crate) fn samples(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Common(slots) => slots.present.iter().map(|word| u64::from(word.count_ones())).sum(),
            Self::OwnTimes(times, _) => times.len() as u64,
        }
    }

    /// Adds samples at ascending times. One at the time of another is not added; `met` is called with its index and the
    /// value that is there.
    pub(crate) fn add(
        self,
        line: &[Timestamp],
        (times, values): (&[Timestamp], &[f64]),
        met: &mut dyn FnMut(usize, f64),
    ) -> Self {
        // A series that has times of its own keeps them: its times cannot all be on the line.
        let is_common = !matches!(self, Self::OwnTimes(..)) && times.iter().all(|ts| line.binary_search(ts).is_ok());
        if is_common {
            let mut slots = if let Self::Common(slots) = self { slots } else { Slots::new(line.len()) };
            for (i, (ts, value)) in times.iter().zip(values).enumerate() {
                let Ok(place) = line.binary_search(ts) else { continue };
                if slots.present[place / 64] >> (place % 64) & 1 == 1 {
                    met(i, slots.values[place]);
                } else {
                    slots.set(place, *value);
                }
            }
            return Self::Common(slots);
        }
        let (known_times, known) = match self {
            Self::Empty => (Vec::new(), Vec::new()),
            Self::Common(slots) => merge(Some(&slots), line, Vec::new()),
            Self::OwnTimes(times, values) => (times, values),
        };
        let (mut all_times, mut all_values) = (known_times.clone(), known.clone());
        for (i, (ts, value)) in times.iter().zip(values).enumerate() {
            match known_times.binary_search(ts) {
                Ok(place) => met(i, known[place]),
                Err(_) => {
                    all_times.push(*ts);
                    all_values.push(*value);
                }
            }
        }
        let cells: Vec<(Timestamp, f64)> = all_times.into_iter().zip(all_values).collect();
        let (times, values) = merge(None, line, cells);
        Self::OwnTimes(times, values)
    }
}

/// Where the rows of a run lie on the line.
enum Places {
    From(usize),
    Each(Vec<usize>),
}

impl Places {
    fn of(run: &Run, line: &[Timestamp]) -> Self {
        let place = |ts: &Timestamp| line.binary_search(ts).unwrap_or_else(|place| place);
        let first = run.timestamps.first().map_or(0, place);
        // Runs are mostly contiguous stretches of the line, so that columns are copied as slices.
        if line[first..].starts_with(&run.timestamps) {
            return Self::From(first);
        }
        Self::Each(run.timestamps.iter().map(place).collect())
    }
}

impl Slots {
    fn new(len: usize) -> Self {
        Self { values: vec![0.0; len], present: vec![0; len.div_ceil(64)] }
    }

    /// What is there already stays.
    fn set(&mut self, place: usize, value: f64) {
        if self.present[place / 64] >> (place % 64) & 1 == 0 {
            self.values[place] = value;
            self.present[place / 64] |= 1 << (place % 64);
        }
    }

    fn fill(&mut self, column: &RunColumn, places: &Places) {
        let rows = column.values.len();
        if let Places::From(first) = *places
            && all_set(&column.present, rows)
            && none_set(&self.present, first..first + rows)
        {
            self.values[first..first + rows].copy_from_slice(&column.values);
            mark(&mut self.present, first..first + rows, true);
            return;
        }
        for (i, &value) in column.values.iter().enumerate() {
            if column.present[i / 64] >> (i % 64) & 1 == 1 {
                let place = match places {
                    Places::From(first) => first + i,
                    Places::Each(each) => each[i],
                };
                self.set(place, value);
            }
        }
    }

    fn fill_cells(&mut self, cells: &[(Timestamp, f64)], line: &[Timestamp]) {
        for (ts, value) in cells {
            if let Ok(place) = line.binary_search(ts) {
                self.set(place, *value);
            }
        }
    }
}

impl From<Slots> for ColumnValues {
    fn from(Slots { values, present }: Slots) -> Self {
        let all = all_set(&present, values.len());
        Self { values, present: (!all).then_some(present) }
    }
}

/// The samples of a series with its own times, ascending.
fn merge(dense: Option<&Slots>, line: &[Timestamp], mut cells: Vec<(Timestamp, f64)>) -> (Vec<Timestamp>, Vec<f64>) {
    if let Some(slots) = dense {
        let present = |i: &usize| slots.present[i / 64] >> (i % 64) & 1 == 1;
        let mut all: Vec<_> = (0..line.len()).filter(present).map(|i| (line[i], slots.values[i])).collect();
        all.append(&mut cells);
        cells = all;
    }
    // Stable, and the first of equal times is kept: what was read first stays.
    cells.sort_by_key(|&(ts, _)| ts);
    cells.dedup_by_key(|&mut (ts, _)| ts);
    cells.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of a column as times and values.
    fn samples(column: &SeriesColumn, line: &[Timestamp]) -> Vec<(i64, f64)> {
        let (times, values) = match column {
            SeriesColumn::Empty => (Vec::new(), Vec::new()),
            SeriesColumn::Common(slots) => merge(Some(slots), line, Vec::new()),
            SeriesColumn::OwnTimes(times, values) => (times.clone(), values.clone()),
        };
        times.into_iter().map(|ts| ts.0).zip(values).collect()
    }

    #[test]
    fn one_run_alone_is_handed_out_as_beside_an_empty_one() {
        let run = |times: &[i64], columns: &[(usize, u64)]| {
            let column = |&(wanted, present): &(usize, u64)| {
                let values = (0..times.len()).map(|i| (wanted * 10 + i) as f64).collect();
                RunColumn { wanted, values, present: vec![present; times.len().div_ceil(64)] }
            };
            let timestamps = times.iter().copied().map(Timestamp).collect();
            Run { timestamps, columns: columns.iter().map(column).collect() }
        };
        for (times, columns) in [
            (&[10, 20, 30][..], &[(0, 0b111), (1, 0b101), (3, 0b111)][..]),
            // Columns of a segment are in the order of its page, and one may have no sample in the range.
            (&[10, 20, 30], &[(3, 0b111), (0, 0b011), (1, 0)]),
            (&[10], &[(0, 0)]),
            (&[], &[(0, 0)]),
            // What no reader makes, and alignment would still bring into order.
            (&[20, 10], &[(0, 0b11)]),
            (&[10, 20], &[(1, 0b10), (1, 0b11)]),
        ] {
            let handed_out = |runs: Vec<Run>| {
                let mut complete = |wanted: usize, _: &[Timestamp], values: ColumnValues| {
                    Ok((wanted != 3).then(|| values.of(Labels::empty(), Some(MetricId(wanted as u32)))))
                };
                let gathered = Gathered { runs, ..Gathered::default() };
                format!("{:?}", gathered.into_batches((None, &Labels::empty()), &mut complete).unwrap())
            };
            let with_empty = handed_out(vec![run(times, columns), Run::default()]);
            assert_eq!(handed_out(vec![run(times, columns)]), with_empty, "{times:?} {columns:?}");
        }
    }

    #[test]
    fn what_is_there_stays_and_the_rest_is_added() {
        let line = [10, 20, 30].map(Timestamp);
        let mut met = Vec::new();
        let mut add = |column: SeriesColumn, times: &[i64], values: &[f64]| {
            met.clear();
            let times: Vec<Timestamp> = times.iter().copied().map(Timestamp).collect();
            let column = column.add(&line, (&times, values), &mut |i, there| met.push((i, there)));
            (column, met.clone())
        };
        let (column, none) = add(SeriesColumn::Empty, &[10, 30], &[1.0, 3.0]);
        assert!(matches!(column, SeriesColumn::Common(_)) && none.is_empty());
        let (column, one) = add(column, &[20, 30], &[2.0, 9.0]);
        assert_eq!((samples(&column, &line), one), (vec![(10, 1.0), (20, 2.0), (30, 3.0)], vec![(1, 3.0)]));
        // One time off the line, and the series has times of its own.
        let (column, two) = add(column, &[5, 10, 30], &[0.5, 8.0, 8.0]);
        assert!(matches!(column, SeriesColumn::OwnTimes(..)));
        assert_eq!((column.samples(), two), (4, vec![(1, 1.0), (2, 3.0)]));
        let (column, one) = add(column, &[5, 25], &[7.0, 2.5]);
        assert_eq!(samples(&column, &line), [(5, 0.5), (10, 1.0), (20, 2.0), (25, 2.5), (30, 3.0)]);
        assert_eq!(one, [(0, 0.5)]);
    }
}
