//! A store in memory that is written while it is read: for unit tests of rules.

use std::sync::Arc;

use model::{
    BatchSink, Committed, Labels, Listing, PartReader, Parts, Querier, QuerierError, ReadHints, Selection,
    SeriesAppendError, SeriesAppender, SeriesBatch, Timestamp,
};
use parking_lot::RwLock;

use super::notation;
use super::store::{COLUMNS, Store, batch};

/// Series in memory. Queries read it as it was when they began.
#[derive(Debug, Default)]
pub struct SharedStore(RwLock<Arc<Store>>);

impl SharedStore {
    /// Loads a line of series notation (`up{job="a"} 1+1x10`), a sample per step from `start` on.
    ///
    /// # Errors
    /// When it is not such a line, or a histogram is not valid.
    pub fn load(&self, line: &str, (start, step_ms): (Timestamp, i64)) -> Result<(), String> {
        let (labels, points) = notation::series(line)?;
        Arc::make_mut(&mut self.0.write()).load_points((&labels, &points), (start, step_ms))
    }

    fn snapshot(&self) -> Arc<Store> {
        Arc::clone(&self.0.read())
    }
}

impl SeriesAppender for SharedStore {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        let mut store = self.0.write();
        let store = Arc::make_mut(&mut store);
        let mut committed = Committed::default();
        batch.series.iter().for_each(|series| store.append(series, batch.lateness, &mut committed));
        Ok(committed)
    }
}

/// The series of a selection.
struct Chosen {
    store: Arc<Store>,
    series: Vec<Labels>,
    start: Timestamp,
    end: Timestamp,
}

impl Parts for Chosen {
    fn count(&self) -> usize {
        self.series.len().div_ceil(COLUMNS)
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(self))
    }
}

impl PartReader for &Chosen {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let chunk = self.series.chunks(COLUMNS).nth(part).unwrap_or_default();
        let found: Vec<_> =
            chunk.iter().filter_map(|labels| self.store.found(labels, (self.start, self.end))).collect();
        if found.is_empty() { Ok(()) } else { sink(batch(&found)) }
    }
}

impl Querier for SharedStore {
    fn open<'q>(&'q self, selection: &Selection<'_>, _: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let store = self.snapshot();
        let series = store.matching(selection).into_iter().map(|(labels, _)| labels.clone()).collect();
        Ok(Box::new(Chosen { store, series, start: selection.start, end: selection.end }))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.snapshot().list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.snapshot().list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.snapshot().list_label_values(name, selection, listing)
    }
}

#[cfg(test)]
mod tests {
    use model::{Lateness, SeriesSamples, SourceLabels};

    use super::*;
    use crate::{Engine, QueryOptions, Value};

    #[test]
    fn written_while_it_is_read() {
        let store = SharedStore::default();
        store.load("a 1 2 3", (Timestamp(0), 1000)).unwrap();
        let labels = Labels::from_pairs([("__name__", "a")]);
        let append = |ts, value| {
            let (timestamps, values) = ([Timestamp(ts)], [value]);
            let series = [SeriesSamples::floats(&labels, &timestamps, &values)];
            let batch =
                SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Window, memo: None };
            store.append_series(&batch).unwrap()
        };
        assert_eq!(append(3000, 7.0), Committed { stored: 1, ..Committed::default() });
        assert_eq!(append(3000, 7.0), Committed { stored: 1, ..Committed::default() }, "the same again");
        assert_eq!(append(3000, 8.0), Committed { duplicate: 1, ..Committed::default() });
        assert_eq!(append(2500, 8.0), Committed { out_of_order: 1, ..Committed::default() });
        let value = |ts| {
            let result = Engine::default().instant(&store, "a", Timestamp(ts), &QueryOptions::default()).unwrap();
            let Value::Vector(samples) = result.value else { panic!("no vector") };
            samples.iter().map(|sample| sample.value).collect::<Vec<_>>()
        };
        assert_eq!((value(2000), value(3000)), (vec![3.0], vec![7.0]));
    }
}
