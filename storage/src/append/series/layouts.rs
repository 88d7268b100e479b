//! The layouts of sources that come series by series. A batch has any of a source's series, in any order: columns are given to
//! metrics as they are first seen, and stay, so that the segments of a source change only where metrics are new.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use model::{Labels, Layout, MetricId, SourceId};
use parking_lot::Mutex;

use super::group::SourceGroup;
use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::{Cf, last_id, source_segments_prefix};
use crate::limits;

/// The layouts of one database.
#[derive(Debug)]
pub(crate) struct SeriesLayouts {
    /// Tells it from any other that this process opens: senders keep ids that hold in this one alone.
    pub(super) database: u64,
    /// By labels of the source.
    layouts: Mutex<HashMap<Labels, Arc<SourceLayout>, RandomState>>,
}

impl Default for SeriesLayouts {
    fn default() -> Self {
        static DATABASES: AtomicU64 = AtomicU64::new(0);
        Self { database: DATABASES.fetch_add(1, Ordering::Relaxed), layouts: Mutex::default() }
    }
}

/// The columns of a source, in the order in which its metrics were first seen.
#[derive(Debug)]
struct SourceLayout {
    layout: Layout,
    columns: HashMap<u32, u32, RandomState>,
}

/// The ids of what a batch has of one source.
#[derive(Debug)]
pub(super) struct NamedGroup {
    pub(super) source: SourceId,
    /// Of each series.
    pub(super) metrics: Vec<MetricId>,
    pub(super) layout: Layout,
    /// Where each series has its column.
    pub(super) columns: Vec<u32>,
}

impl SeriesLayouts {
    /// The ids of a group, made where new.
    pub(super) fn named(&self, db: &Components, group: &SourceGroup<'_>) -> Result<NamedGroup, Error> {
        let source = {
            let _gate = db.open_gate()?;
            SourceId(db.index.intern_source(&db.store, &group.source)?)
        };
        let labels: Vec<Labels> = group.series.iter().map(|series| series.metric.clone()).collect();
        let mut metrics: Vec<MetricId> = Vec::with_capacity(labels.len());
        for some in labels.chunks(limits::IDS_AT_ONCE) {
            // Anew for each write: whoever waits for the gate keeps every commit waiting.
            let _gate = db.open_gate()?;
            metrics.extend(db.index.intern_metrics(&db.store, some)?.into_iter().map(MetricId));
        }
        let known = self.layouts.lock().get(&group.source).cloned();
        let known = match known {
            Some(known) => Some(known),
            None => stored(db, source)?.map(Arc::new),
        };
        // A layout that is mostly of series that are gone begins anew.
        let known = known.filter(|known| {
            let columns = known.layout.metrics.len();
            columns <= limits::SERIES_COLUMNS_KEPT || columns <= 4 * metrics.len()
        });
        let one = match known {
            Some(known) if metrics.iter().all(|metric| known.columns.contains_key(&metric.0)) => known,
            known => self.extend(db, &group.source, known, &metrics)?,
        };
        let columns = metrics.iter().map(|metric| one.columns[&metric.0]).collect();
        Ok(NamedGroup { source, metrics, layout: one.layout.clone(), columns })
    }

    /// Gives columns to metrics that have none yet.
    fn extend(
        &self,
        db: &Components,
        source: &Labels,
        known: Option<Arc<SourceLayout>>,
        metrics: &[MetricId],
    ) -> Result<Arc<SourceLayout>, Error> {
        // Copied: other batches may be writing with the layout as it was.
        let (mut all, mut columns) = match known {
            Some(known) => (known.layout.metrics.to_vec(), known.columns.clone()),
            None => (Vec::new(), HashMap::default()),
        };
        for metric in metrics {
            columns.entry(metric.0).or_insert_with(|| {
                all.push(*metric);
                (all.len() - 1) as u32
            });
        }
        let _gate = db.open_gate()?;
        let extended = Arc::new(SourceLayout { layout: db.index.layout(&db.store, &all)?, columns });
        let mut layouts = self.layouts.lock();
        let held: usize = layouts.values().map(|one| one.layout.metrics.len()).sum();
        if held + all.len() > limits::SERIES_COLUMNS {
            // All at once, as it is rare: a source that comes again finds its layout by its segments.
            layouts.clear();
        }
        layouts.insert(source.clone(), Arc::clone(&extended));
        Ok(extended)
    }

    /// The ids of a source, or of its metrics, were removed.
    pub(super) fn forget(&self, source: &Labels) {
        self.layouts.lock().remove(source);
    }
}

/// The layout that a source had before a restart, as far as its segments tell. Each was written again, longer, when metrics
/// came: of those that begin with the same metric the last counts.
fn stored(db: &Components, source: SourceId) -> Result<Option<SourceLayout>, Error> {
    let mut segments = Vec::new();
    db.store.each(Cf::Postings, &source_segments_prefix(source), |key, _| {
        segments.extend(last_id(key));
        // One more than the bound is read, which tells too many from just enough.
        Ok::<_, Error>(segments.len() <= limits::SERIES_SEGMENTS_READ)
    })?;
    if segments.is_empty() || segments.len() > limits::SERIES_SEGMENTS_READ {
        return Ok(None);
    }
    let mut latest: Vec<Arc<[u32]>> = Vec::new();
    for segment in segments {
        let Some(metrics) = db.index.segment_metrics(&db.store, segment)? else { continue };
        // Ids ascend, and so do segments by age: a later one takes the place of the one that it extended.
        match latest.iter_mut().find(|one| one.first() == metrics.first()) {
            Some(one) => *one = metrics,
            None => latest.push(metrics),
        }
    }
    let (mut all, mut columns) = (Vec::new(), HashMap::default());
    for metric in latest.iter().flat_map(|metrics| metrics.iter().copied()) {
        columns.entry(metric).or_insert_with(|| {
            all.push(MetricId(metric));
            (all.len() - 1) as u32
        });
    }
    let _gate = db.open_gate()?;
    match db.index.layout(&db.store, &all) {
        Ok(layout) => Ok(Some(SourceLayout { layout, columns })),
        // Removed while it was read: begun anew.
        Err(Error::Forgotten) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use model::{Committed, Lateness, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels, Timestamp};

    use super::super::group::grouped;
    use super::*;
    use crate::Options;
    use crate::db::Db;

    /// The segments and columns that these series of one source get.
    fn columns(db: &Db, layouts: &SeriesLayouts, some: &[usize]) -> (Vec<u32>, Vec<u32>) {
        let labels: Vec<Labels> = some.iter().map(|i| Labels::from_pairs([("__name__", format!("m{i}"))])).collect();
        let series: Vec<SeriesSamples<'_>> =
            labels.iter().map(|labels| SeriesSamples::floats(labels, &[Timestamp(1)], &[1.0])).collect();
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        let groups = grouped(&batch, Timestamp::MIN, &mut Committed::default());
        let named = layouts.named(&db.components, &groups[0]).unwrap();
        (named.layout.segments.to_vec(), named.columns)
    }

    #[test]
    fn columns_stay_whatever_part_of_the_series_comes() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
        let db = Db::open(options, &prometheus::Registry::new()).unwrap();
        let layouts = SeriesLayouts::default();
        let (first, all) = columns(&db, &layouts, &[0, 1, 2, 3]);
        assert_eq!(all, [0, 1, 2, 3]);
        assert_eq!(columns(&db, &layouts, &[3, 1]), (first.clone(), vec![3, 1]));
        let (grown, new) = columns(&db, &layouts, &[4, 1]);
        assert_eq!(new, [4, 1]);
        assert_ne!(grown, first, "a metric is new");
        assert_eq!(columns(&db, &layouts, &[0, 4]), (grown.clone(), vec![0, 4]));
        // What was full stays the same segment.
        let many: Vec<usize> = (0..Layout::SEGMENT_COLUMNS + 10).collect();
        let (wide, _) = columns(&db, &layouts, &many);
        let (wider, _) = columns(&db, &layouts, &[5000]);
        assert_eq!((wide.len(), wider.len(), wide[0]), (2, 2, wider[0]));
        assert_ne!(wide[1], wider[1]);
    }

    #[test]
    fn columns_stay_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
            Db::open(options, &prometheus::Registry::new()).unwrap()
        };
        let append = |db: &Db, some: &[usize], ts: Timestamp| {
            let labels: Vec<Labels> =
                some.iter().map(|i| Labels::from_pairs([("__name__", format!("m{i}"))])).collect();
            let times = [ts];
            let series: Vec<SeriesSamples<'_>> =
                labels.iter().map(|labels| SeriesSamples::floats(labels, &times, &[1.0])).collect();
            let batch =
                SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
            assert_eq!(db.append_series(&batch).unwrap().stored as usize, some.len());
        };
        let db = open();
        let many: Vec<usize> = (0..Layout::SEGMENT_COLUMNS + 5).collect();
        append(&db, &[3, 1], Timestamp(1));
        append(&db, &many, Timestamp(2));
        append(&db, &[5000, 3], Timestamp(3));
        let before = columns(&db, &db.series, &[5000, 1, 7]);
        drop(db);
        let db = open();
        assert_eq!(columns(&db, &db.series, &[5000, 1, 7]), before);
    }
}
