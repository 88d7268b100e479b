//! Rows in, through whichever opening of the directory there is.

use model::{
    AppendError, Appender, Committed, Exemplar, Labels, Layout, MetricId, Scraped, SeriesAppendError, SeriesAppender,
    SeriesBatch, SourceId, Timestamp,
};

use super::{Db, StoreError};
use crate::error::Error;

impl StoreError for AppendError {
    fn of_store(&self) -> Option<&Error> {
        if let Self::Store(error) = self { error.downcast_ref() } else { None }
    }

    fn from_store(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Appender for Db {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        self.with(|opening| opening.source(labels))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        self.with(|opening| opening.metrics(labels))
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        self.with(|opening| opening.layout(metrics))
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        self.with(|opening| opening.commit_scrape(parts))
    }

    fn takes_late_from(&self) -> Timestamp {
        self.enter().map_or(Timestamp::MAX, |opening| opening.takes_late_from())
    }

    fn keeps_exemplars(&self) -> bool {
        self.settings.lock().exemplars_max.is_some_and(|max| max > 0)
    }

    fn exemplars(&self, source: SourceId, exemplars: &[(MetricId, Exemplar)]) -> Result<u32, AppendError> {
        self.with(|opening| Appender::exemplars(opening, source, exemplars))
    }
}

impl SeriesAppender for Db {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        // What an opening stored before it was left is there already for the next one.
        let appended = self.with(|opening| opening.append_series(batch).map_err(|error| error.source));
        appended.map_err(|source| SeriesAppendError { what: batch.describe(), source })
    }
}
