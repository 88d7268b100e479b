//! The scan plan of a selection: which columns of which source are read in one batch, and which batches make a part.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use model::SourceId;
use roaring::RoaringBitmap;

use crate::index::select::Selected;
use crate::limits;

/// Some metrics of one source.
#[derive(Debug)]
pub(crate) struct ScanTask {
    pub(crate) source: SourceId,
    /// All that are selected of this source, and often of the next.
    pub(crate) metrics: Arc<[u32]>,
    pub(crate) range: Range<usize>,
}

/// The scan tasks of a selection, source by source, in parts that each are worth a thread's while.
pub(crate) fn tasks(selected: &[Selected], range: &RangeInclusive<i64>, batch_values: usize) -> Vec<Vec<ScanTask>> {
    let rows = assumed_rows(range);
    let (least, some, most) = limits::BATCH_COLUMNS;
    // Each batch reads the times of its source: of a long range more values at once are worth it, up to a bound.
    let some = (limits::LONG_BATCH * batch_values / rows).clamp(least, some);
    let columns_max = (batch_values / rows).clamp(some, most);
    let mut parts: Vec<Vec<ScanTask>> = Vec::new();
    // The first task begins the first part.
    let mut work = usize::MAX;
    by_source(selected, &mut |source, metrics| {
        for from in (0..metrics.len()).step_by(columns_max) {
            if work >= limits::PART_WORK {
                parts.push(Vec::new());
                work = 0;
            }
            let range = from..metrics.len().min(from + columns_max);
            work = work.saturating_add(range.len().saturating_mul(rows.saturating_add(limits::COLUMN_WORK)));
            let piece = ScanTask { source, metrics: Arc::clone(metrics), range };
            parts.last_mut().expect("BUG: a part was begun").push(piece);
        }
    });
    parts
}

/// About how many rows a source has in a range.
pub(crate) fn assumed_rows(range: &RangeInclusive<i64>) -> usize {
    let rows = range.end().saturating_sub(*range.start()) / limits::ASSUMED_INTERVAL_MS + 1;
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// Calls `each` with every source of a selection and its metrics, ascending.
pub(crate) fn by_source(selected: &[Selected], each: &mut dyn FnMut(SourceId, &Arc<[u32]>)) {
    let mut selected_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, one) in selected.iter().enumerate() {
        for source in &one.sources {
            selected_of.entry(source).or_default().push(i);
        }
    }
    // The next source is likely to have the same.
    let (mut last, mut metrics): (Vec<usize>, Arc<[u32]>) = <_>::default();
    for (source, these) in selected_of {
        if these != last {
            let union = these.iter().fold(RoaringBitmap::new(), |all, &i| all | &selected[i].metrics);
            metrics = union.into_iter().collect();
            last = these;
        }
        each(SourceId(source), &metrics);
    }
}
