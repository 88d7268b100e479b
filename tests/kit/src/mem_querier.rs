//! A store to read from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    Batch, BatchSink, Column, Histogram, Labels, Listing, PartReader, Parts, Querier, QuerierError, ReadHints,
    Selection, Timestamp,
};

/// Value, and the start timestamp beside it; an odd value stands for a histogram with that count.
pub type Samples = BTreeMap<Timestamp, (u8, Timestamp)>;

/// A store of series in memory: obviously correct, and faulty where a test asks for it. It hands out everything, in label
/// order, in parts of two series.
#[derive(Clone, Debug, Default)]
pub struct MemQuerier {
    /// All there is.
    pub series: BTreeMap<Labels, Samples>,
    /// The part at which reading fails; `Some(usize::MAX)`: opening does.
    pub fails_at: Option<usize>,
}

fn failure() -> QuerierError {
    QuerierError::Store("no route to host".into())
}

impl Parts for &MemQuerier {
    fn count(&self) -> usize {
        self.series.len().div_ceil(2)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(*self))
    }
}

impl PartReader for &MemQuerier {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        if self.fails_at == Some(part) {
            return Err(failure());
        }
        for (labels, samples) in self.series.iter().skip(2 * part).take(2) {
            // An absent slot in front, which is no sample.
            let mut column = Column { metric: labels.clone(), values: vec![0.0], ..Column::default() };
            let mut timestamps = vec![Timestamp(-1)];
            for ((ts, (value, start)), slot) in samples.iter().zip(1..) {
                timestamps.push(*ts);
                column.values.push(f64::from(*value));
                if value % 2 == 1 {
                    let histogram = Histogram { sum: f64::from(*value), ..Histogram::default() };
                    column.histograms.push((slot, Arc::new(histogram)));
                }
                if *start != Timestamp::EPOCH {
                    column.start_times.push((slot, *start));
                }
            }
            let mut present = vec![u64::MAX; timestamps.len().div_ceil(64)];
            present[0] -= 1;
            column.present = Some(present);
            sink(Batch { timestamps, columns: vec![column], ..Batch::default() })?;
        }
        Ok(())
    }
}

impl Querier for MemQuerier {
    fn open<'q>(&'q self, _: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        if self.fails_at == Some(usize::MAX) { Err(failure()) } else { Ok(Box::new(self)) }
    }

    fn list_series(&self, _: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        if self.fails_at.is_some() {
            return Err(failure());
        }
        Ok(self.series.keys().take(listing.most()).cloned().collect())
    }

    fn list_label_names(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        let names = self.series.keys().flat_map(Labels::iter).map(|(name, _)| name.to_owned());
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn list_label_values(&self, name: &str, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        let values = self.series.keys().filter_map(|labels| labels.get(name)).map(str::to_owned);
        Ok(values.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn listing_warnings(&self, _: &Selection<'_>) -> Vec<String> {
        self.fails_at.map(|_| "cannot list".to_owned()).into_iter().collect()
    }
}
