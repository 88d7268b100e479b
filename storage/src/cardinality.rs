//! How many series there are by the values of a label, and how many of them are new: who brought the series of a day.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::{Grow, QuerierError, SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::components::Components;
use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::schema::{Cf, METRIC_LABEL, SOURCE_LABEL, label_prefix, parse_label_key};
use crate::reader::Reader;

/// About what an entry of the counts takes, and one of the answer besides its text, bytes.
const ENTRY_BYTES: usize = 48;

/// Series of a range of time by the values of a label. "In a range" is by buckets and partitions of time: a series counts if its
/// source wrote in one that reaches into the range what the series is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// All series of the range.
    pub total: SeriesCount,
    /// Those without the label.
    pub without: SeriesCount,
    /// By the label's value, in the order of the values.
    pub values: Vec<(String, SeriesCount)>,
}

/// A number of series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesCount {
    /// All of them.
    pub series: u64,
    /// Those that were not in the range before.
    pub new: u64,
}

impl SeriesCount {
    fn add(&mut self, other: Self, times: u64) {
        self.series += other.series * times;
        self.new += other.new * times;
    }
}

/// Counts by metric, or by source.
type Counts = HashMap<u32, SeriesCount, RandomState>;
/// Segments that sources wrote in the range, and in the one before.
type Segments = (Arc<[u32]>, Arc<[u32]>);

/// Counts the series of a range by the values of a label; those are new that are not in the range before. `grow` is told what
/// that takes.
pub(crate) fn cardinality(
    db: &Components,
    label: &str,
    (range, before): (&RangeInclusive<Timestamp>, &RangeInclusive<Timestamp>),
    grow: &Grow<'_>,
) -> Result<Cardinality, QuerierError> {
    let unreadable = |error: Error| QuerierError::Store(Box::new(error));
    let groups = by_segments(db, range, before).map_err(unreadable)?;
    let having = db.index.having(&db.store, METRIC_LABEL, label).map_err(unreadable)?;
    let (mut by_metric, mut by_source) = (Counts::default(), Counts::default());
    let mut found = Cardinality::default();
    for ((now, then), sources) in groups {
        // Between two groups: an answer that nobody waits for ends here.
        grow(sources.len() as usize * ENTRY_BYTES)?;
        let now = db.index.metrics_of(&db.store, &now).map_err(unreadable)?;
        let new = &*now - &*db.index.metrics_of(&db.store, &then).map_err(unreadable)?;
        found.total.add(SeriesCount { series: now.len(), new: new.len() }, sources.len());
        // Where a metric has the label, its value counts and not that of the source.
        let known = by_metric.len();
        for metric in &*now & &*having {
            let one = SeriesCount { series: 1, new: u64::from(new.contains(metric)) };
            by_metric.entry(metric).or_default().add(one, sources.len());
        }
        grow((by_metric.len() - known) * ENTRY_BYTES)?;
        let of_source = SeriesCount { series: (&*now - &*having).len(), new: (new - &*having).len() };
        by_source.extend(sources.iter().map(|source| (source, of_source)));
    }
    found.without = found.total;
    let mut values: HashMap<String, SeriesCount> = HashMap::new();
    for (side, counts) in [(METRIC_LABEL, &by_metric), (SOURCE_LABEL, &by_source)] {
        let mut stopped = None;
        let each = db.store.each(Cf::Postings, &label_prefix(side, label), |key, value| {
            // The posting list of the empty value holds all ids that have the label.
            let Some((_, text)) = parse_label_key(key).filter(|(_, text)| !text.is_empty()) else { return Ok(true) };
            let mut count = SeriesCount::default();
            let ids = bitmap::decode_or_report(&db.store, key, value);
            ids.iter().filter_map(|id| counts.get(&id)).for_each(|of_id| count.add(*of_id, 1));
            if count.series > 0 {
                // Saturating: a posting list that is damaged may count a series twice.
                found.without.series = found.without.series.saturating_sub(count.series);
                found.without.new = found.without.new.saturating_sub(count.new);
                values.entry(text.to_owned()).or_default().add(count, 1);
            }
            stopped = grow(if count.series > 0 { text.len() + ENTRY_BYTES } else { 0 }).err();
            Ok::<_, Error>(stopped.is_none())
        });
        each.map_err(unreadable)?;
        stopped.map_or(Ok(()), Err)?;
    }
    found.values = values.into_iter().collect();
    found.values.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// Sources by what they wrote in the range and in the one before: many have the same, and are counted together.
fn by_segments(
    db: &Components,
    range: &RangeInclusive<Timestamp>,
    before: &RangeInclusive<Timestamp>,
) -> Result<HashMap<Segments, RoaringBitmap>, Error> {
    let context = db.read();
    let snapshot = context.snapshot();
    let mut now = Reader::new(context, &snapshot, range.clone(), &[])?;
    let mut then = Reader::new(context, &snapshot, before.clone(), &[])?;
    let mut groups: HashMap<Segments, RoaringBitmap> = HashMap::new();
    for source in &*context.sources_in(&snapshot, range)? {
        let segments = now.segments(SourceId(source))?;
        if !segments.is_empty() {
            let of = (segments.into_iter().collect(), then.segments(SourceId(source))?.into_iter().collect());
            groups.entry(of).or_default().insert(source);
        }
    }
    Ok(groups)
}
