//! What is remembered of a batch for the next one of the same series: their ids and columns.
//!
//! Invariant: it holds for a batch whose series have these very labels, in this order, in this database, as long as no id is taken
//! away. Labels are compared, ids that went are noticed when a row is committed ([`Error::Forgotten`]).

use std::sync::Arc;

use model::{Committed, Labels, SeriesBatch, SourceLabels, Timestamp};

use super::group::{SourceGroup, SourceSeries};
use super::layouts::{NamedGroup, SeriesLayouts};
#[cfg(doc)]
use crate::error::Error;

/// A batch of one source that has each series once.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Which database gave out the ids.
    database: u64,
    sources: SourceLabels,
    source: Labels,
    /// All labels of each series, and those of its metric.
    series: Vec<(Labels, Labels)>,
    named: Arc<NamedGroup>,
}

impl Remembered {
    /// What was remembered of this batch.
    pub(super) fn of(layouts: &SeriesLayouts, batch: &SeriesBatch<'_>) -> Option<Arc<Self>> {
        let remembered = batch.memo?.get::<Self>()?;
        let is_same = remembered.database == layouts.database
            && remembered.sources == *batch.sources
            && remembered.series.len() == batch.series.len()
            && remembered.series.iter().zip(batch.series).all(|((labels, _), series)| labels == series.labels);
        is_same.then_some(remembered)
    }

    /// Remembers a batch, if it is one of those of which that is possible.
    pub(super) fn put(
        layouts: &SeriesLayouts,
        batch: &SeriesBatch<'_>,
        (group, named): (&SourceGroup<'_>, Arc<NamedGroup>),
    ) {
        let Some(memo) = batch.memo.filter(|_| group.series.len() == batch.series.len()) else { return };
        // As each comes once and all are of this source, they are in the order of the batch.
        let series = batch.series.iter().zip(&group.series);
        let series = series.map(|(series, of)| (series.labels.clone(), of.metric.clone())).collect();
        let (sources, source) = (batch.sources.clone(), group.source.clone());
        memo.set(Self { database: layouts.database, sources, source, series, named });
    }

    /// The batch as a group of one source.
    pub(super) fn group<'a>(
        &self,
        batch: &SeriesBatch<'a>,
        horizon: Timestamp,
        committed: &mut Committed,
    ) -> SourceGroup<'a> {
        let series = self.series.iter().zip(batch.series);
        let series = series.map(|((_, metric), one)| SourceSeries::new(metric.clone(), &[one], horizon, committed));
        SourceGroup { source: self.source.clone(), series: series.collect() }
    }

    /// The ids of the group.
    pub(super) fn named(&self) -> Arc<NamedGroup> {
        Arc::clone(&self.named)
    }
}

#[cfg(test)]
mod tests {
    use model::{Lateness, Memo, SeriesAppender, SeriesSamples};

    use super::*;
    use crate::Options;
    use crate::db::Db;

    #[test]
    fn the_same_series_of_one_source_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
        let db = Db::open(options, &prometheus::Registry::new()).unwrap();
        let memo = Memo::default();
        let series = |job: &str, name: &str| Labels::from_pairs([("__name__", name), ("job", job)]);
        // Is anything remembered of the batch before it is stored?
        let append = |db: &Db, labels: &[Labels], sources: &SourceLabels| {
            let times = [Timestamp(1)];
            let series: Vec<_> = labels.iter().map(|labels| SeriesSamples::floats(labels, &times, &[1.0])).collect();
            let batch = SeriesBatch { series: &series, sources, lateness: Lateness::Any, memo: Some(&memo) };
            let is_known = Remembered::of(&db.series, &batch).is_some();
            assert_eq!(db.append_series(&batch).unwrap().stored as usize, labels.len());
            is_known
        };
        let (known, none) = (SourceLabels::Known, SourceLabels::Named([].into()));
        let both = [series("a", "x"), series("a", "y")];
        assert!(!append(&db, &both, &known));
        assert!(append(&db, &both, &known) && append(&db, &both, &known));
        assert!(!append(&db, &both, &none), "split in another way");
        assert!(append(&db, &both, &none));
        assert!(!append(&db, &[series("a", "x")], &known));
        // Two sources, and a series twice: nothing is remembered of these.
        for other in [[series("a", "x"), series("b", "x")], [series("a", "x"), series("a", "x")]] {
            assert!(!append(&db, &other, &known) && !append(&db, &other, &known));
        }
        assert!(!append(&db, &both, &known));
        let other = tempfile::tempdir().unwrap();
        let other = Options { memory_bytes: 8 << 20, ..Options::new(other.path()) };
        let other = Db::open(other, &prometheus::Registry::new()).unwrap();
        assert!(!append(&other, &both, &known), "another database");
    }
}
