//! What a scrape left in its columns, as the rows that are stored. Step 6.

use model::sample::histogram_mark;
use model::{AppendError, Appender, Committed, Exemplar, Layout, MetricId, Row, SourceId};

use super::{OF_SCRAPE, SourceColumns, set};
use crate::starts::Zero;

impl SourceColumns {
    /// Stores the zeros at which counting began, one row for each time: before the samples, which are later.
    pub(crate) fn commit_zeros(&mut self, appender: &dyn Appender, ts_ms: i64) -> Result<(), AppendError> {
        let rows = self.starts.rows(ts_ms);
        if rows.is_empty() {
            return Ok(());
        }
        let (source, layout) = self.ids(appender)?;
        for (start_ms, zeros) in rows {
            let (mut values, mut present) = (vec![0.0; self.values.len()], vec![0; self.present.len()]);
            let mut histograms = Vec::new();
            for Zero { column, histogram } in zeros {
                set(&mut present, column as usize);
                if let Some(histogram) = histogram {
                    values[column as usize] = histogram_mark();
                    histograms.push((column, histogram));
                }
            }
            let (values, present) = (values.as_slice(), present.as_slice());
            let row = Row {
                source,
                ts_ms: start_ms,
                layout: &layout,
                values,
                present,
                own_times: &[],
                histograms: &histograms,
            };
            // One that comes too late was there before, or is left out.
            appender.commit(&[row])?;
        }
        Ok(())
    }

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

    /// What is to be stored.
    pub(crate) fn row(&mut self, appender: &dyn Appender, ts_ms: i64) -> Result<Row<'_>, AppendError> {
        let (source, _) = self.ids(appender)?;
        let layout = self.layout.as_ref().expect("BUG: it was just made");
        self.own_times.sort_unstable();
        self.histograms.sort_unstable_by_key(|(column, _)| *column);
        Ok(Row {
            source,
            ts_ms,
            layout,
            values: &self.values,
            present: &self.present,
            own_times: &self.own_times,
            histograms: &self.histograms,
        })
    }

    /// Stores the further samples of columns that were exposed several times: a row holds one sample per column, so the
    /// second samples of all columns make a row, the third another.
    pub(crate) fn commit_repeats(
        &mut self,
        appender: &dyn Appender,
        ts_ms: i64,
        sum: &mut Committed,
    ) -> Result<(), AppendError> {
        let mut rest = std::mem::take(&mut self.repeats);
        let (Some(source), Some(layout)) = (self.id, &self.layout) else { return Ok(()) };
        rest.sort_by_key(|(column, time, _)| (*column, *time));
        let mut values = vec![0.0; if rest.is_empty() { 0 } else { self.values.len() }];
        while !rest.is_empty() {
            let mut present = vec![0; self.present.len()];
            let mut own_times = Vec::new();
            let mut last = None;
            rest.retain(|(column, time, value)| {
                let later = last == Some(*column);
                if !later {
                    set(&mut present, *column as usize);
                    values[*column as usize] = *value;
                    last = Some(*column);
                    if *time != OF_SCRAPE {
                        own_times.push((*column, *time));
                    }
                }
                later
            });
            let row = Row {
                source,
                ts_ms,
                layout,
                values: &values,
                present: &present,
                own_times: &own_times,
                histograms: &[],
            };
            let more = appender.commit(&[row])?;
            sum.stored += more.stored;
            sum.out_of_order += more.out_of_order;
            sum.duplicate += more.duplicate;
            sum.too_old += more.too_old;
        }
        Ok(())
    }

    /// Stores the exemplars, once the samples are. That they cannot be is no fault of the scrape.
    pub(crate) fn commit_exemplars(&mut self, appender: &dyn Appender) {
        let (Some(source), false) = (self.id, self.exemplars.is_empty()) else { return };
        let mut exemplars: Vec<(MetricId, Exemplar)> =
            self.exemplars.drain(..).map(|(column, exemplar)| (self.metrics[column as usize], exemplar)).collect();
        // Of several the store keeps those that are new, in the order of their times.
        exemplars.sort_by_key(|(_, exemplar)| exemplar.ts_ms);
        if let Err(error) = appender.exemplars(source, &exemplars) {
            tracing::warn!(source = %self.labels, error = %crate::scrape_loop::chain(&error), "exemplars are lost");
        }
    }
}
