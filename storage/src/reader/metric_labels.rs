//! The labels of metrics that one reader met lately: other sources mostly have the same metrics.

use model::Labels;

use crate::error::Error;
use crate::limits;
use crate::reader::context::ReadContext;

/// A direct-mapped cache: the slot of a metric is given by its id, and a later one with that slot takes its place.
#[derive(Default)]
pub(crate) struct MetricLabels(Vec<Option<(u32, Labels)>>);

impl MetricLabels {
    /// Makes room for sources of so many metrics.
    pub(crate) fn expect(&mut self, metrics: usize) {
        let places = (4 * metrics).next_power_of_two().min(limits::KNOWN_METRICS);
        if self.0.len() < places {
            self.0.clear();
            self.0.resize(places, None);
        }
    }

    fn place(&self, metric: u32) -> usize {
        metric as usize & (self.0.len() - 1)
    }

    fn has(&self, metric: u32) -> bool {
        self.0[self.place(metric)].as_ref().is_some_and(|(of, _)| *of == metric)
    }

    /// The labels of the first of some metrics of a source; those behind it are likely to be asked for next.
    pub(crate) fn labels(&mut self, context: ReadContext<'_>, metrics: &[u32]) -> Result<Option<&Labels>, Error> {
        let Some(&metric) = metrics.first() else { return Ok(None) };
        if !self.has(metric) {
            let near = &metrics[..metrics.len().min(limits::KNOWN_AT_ONCE)];
            let mut found = Vec::with_capacity(near.len());
            let unknown = near.iter().copied().filter(|metric| !self.has(*metric));
            context
                .index
                .labels_of_metrics(context.store, unknown, |metric, labels| found.push((metric, labels.apart())))?;
            // Where two have one place, that of this one is its own.
            found.sort_unstable_by_key(|(one, _)| *one == metric);
            for (metric, labels) in found {
                let place = self.place(metric);
                self.0[place] = Some((metric, labels));
            }
        }
        // It is not there when its labels are damaged.
        Ok(self.0[self.place(metric)].as_ref().filter(|(of, _)| *of == metric).map(|(_, labels)| labels))
    }
}
