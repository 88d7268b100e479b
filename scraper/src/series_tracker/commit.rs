//! What a scrape left in its columns, as it is stored. Step 6.

use model::{AppendError, Appender, Exemplar, Layout, MetricId, Row, Scraped, SourceId, Timestamp};

use super::SeriesTracker;

impl SeriesTracker {
    /// The names that the store has for the source and its columns.
    fn ids(&mut self, appender: &dyn Appender) -> Result<(SourceId, Layout), AppendError> {
        let source = match self.id {
            Some(id) => id,
            None => *self.id.insert(appender.source(&self.labels)?),
        };
        let layout = match &self.layout {
            Some(layout) => layout.clone(),
            None => self.layout.insert(appender.layout(&self.metrics)?).clone(),
        };
        Ok((source, layout))
    }

    /// The part of the scrape to store.
    pub(crate) fn part(&mut self, appender: &dyn Appender, ts: Timestamp) -> Result<Scraped<'_>, AppendError> {
        let (source, _) = self.ids(appender)?;
        let layout = self.layout.as_ref().expect("BUG: it was just made");
        self.own_times.sort_unstable();
        self.histograms.sort_unstable_by_key(|(column, _)| *column);
        let row = Row {
            source,
            ts,
            layout,
            values: &self.values,
            present: &self.present,
            own_times: &self.own_times,
            histograms: &self.histograms,
        };
        Ok(Scraped { row, starts: self.starts.zeros(), repeats: &self.repeats })
    }

    /// Stores the exemplars, once the samples are; returns how many were late. That they cannot be is no fault of the scrape.
    pub(crate) fn commit_exemplars(&mut self, appender: &dyn Appender) -> u32 {
        let (Some(source), false) = (self.id, self.exemplars.is_empty()) else { return 0 };
        let mut exemplars: Vec<(MetricId, Exemplar)> =
            self.exemplars.drain(..).map(|(column, exemplar)| (self.metrics[column as usize], exemplar)).collect();
        // Of several the store keeps those that are new, in the order of their times.
        exemplars.sort_by_key(|(_, exemplar)| exemplar.ts);
        appender.exemplars(source, &exemplars).unwrap_or_else(|error| {
            tracing::warn!(source = %self.labels, error = %model::with_causes(&error), "exemplars are lost");
            0
        })
    }
}
