//! How much there is: for `/api/v1/status/tsdb` and the store's own metrics.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::components::Components;
use crate::error::Error;
use crate::index::select::{Writers, by_segments};
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{Cf, METRIC_LABEL, SOURCE_LABEL, parse_label_key};
use crate::pages;
use crate::stored;

/// A name and how many there are of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How many.
    pub value: u64,
}

/// How much there is in a database.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Sources with rows in the two newest buckets.
    pub sources: u64,
    /// Metrics of those sources.
    pub metrics: u64,
    /// Series of those sources.
    pub series: u64,
    /// Distinct label pairs stored.
    pub label_pairs: u64,
    /// Samples appended since the start.
    pub samples_appended: u64,
    /// Bytes of the data directory.
    pub disk_bytes: u64,
    /// Samples in pages.
    pub page_samples: u64,
    /// Bytes of the sorted files of pages, and of native histograms.
    pub page_bytes: u64,
    /// Bytes of the sorted files of rows.
    pub row_bytes: u64,
    /// Bytes of the sorted files of everything else.
    pub index_bytes: u64,
    /// The start of the oldest bucket.
    pub min_time: Option<Timestamp>,
    /// The newest row since the start, else the last millisecond of the newest bucket.
    pub max_time: Option<Timestamp>,
    /// Metric names with the most series.
    pub series_by_metric_name: Vec<Count>,
    /// Label names with the most values.
    pub values_by_label_name: Vec<Count>,
    /// Label names whose values take the most bytes.
    pub bytes_by_label_name: Vec<Count>,
    /// Label pairs (`name=value`) with the most series.
    pub series_by_label_pair: Vec<Count>,
}

/// The largest counts, at most `limit`.
#[derive(Debug)]
struct Top {
    counts: Vec<Count>,
    limit: usize,
}

impl Top {
    fn new(limit: usize) -> Self {
        Self { counts: Vec::new(), limit }
    }

    fn add(&mut self, name: impl FnOnce() -> String, value: u64) {
        if value == 0 || self.limit == 0 {
            return;
        }
        self.counts.push(Count { name: name(), value });
        // Sorted now and then instead of kept in order: a name costs a comparison or two, and memory stays bounded.
        if self.counts.len() >= 4 * self.limit + 64 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.counts.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
        self.counts.truncate(self.limit);
    }

    fn finish(mut self) -> Vec<Count> {
        self.cut();
        self.counts
    }
}

/// The start of the oldest bucket.
pub(crate) fn start_time(db: &Components) -> Result<Option<Timestamp>, Error> {
    let first_page = stored::partitions(db)?.first().map(|partition| partition.start);
    Ok(stored::buckets(db)?.first().copied().into_iter().chain(first_page).min().map(|bucket| bucket.0))
}

/// Counts what is stored; the lists have at most `limit` entries.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn stats(db: &Components, limit: usize) -> Result<Stats, Error> {
    let newest = db.bounds.newest.load(Ordering::Relaxed);
    let max_time = stored::newest_end(db)?;
    // From what is stored, not from the clock: an old copy of a directory has series too.
    let until = max_time.unwrap_or(Timestamp::MIN);
    let recent = until.saturating_sub(2 * i64::from(db.store.bucket_ms) - 1)..=until;
    let alive = db.read().sources_in(&db.read().snapshot(), &recent)?;
    let mut stats = Stats {
        sources: alive.len(),
        samples_appended: db.metrics.samples_appended(),
        disk_bytes: stored::disk_bytes(db),
        min_time: start_time(db)?,
        max_time: if newest == Timestamp::MIN { max_time } else { Some(newest) },
        ..Stats::default()
    };
    count_series(db, &alive, limit, &mut stats)?;
    stats.page_samples = page_samples(db)?;
    for cf in Cf::ALL {
        let bytes = file_bytes(db, cf)?;
        match cf {
            Cf::Pages | Cf::Histograms => stats.page_bytes += bytes,
            Cf::Rows => stats.row_bytes += bytes,
            _ => stats.index_bytes += bytes,
        }
    }
    Ok(stats)
}

fn page_samples(db: &Components) -> Result<u64, Error> {
    let snapshot = db.read().snapshot();
    let mut samples = 0;
    for (partition, sources) in pages::partitions(&snapshot)? {
        for source in sources {
            // The head says how many samples, without the pages.
            let timeline = pages::timeline_head(&snapshot, partition, SourceId(source))?;
            samples += timeline.map_or(0, |timeline| timeline.samples);
        }
    }
    Ok(samples)
}

/// Bytes of the sorted files of a column family.
fn file_bytes(db: &Components, cf: Cf) -> Result<u64, Error> {
    let bytes = db.store.db.property_int_value_cf(db.store.cf(cf), "rocksdb.live-sst-files-size");
    Ok(bytes.map_err(kv::Error::read)?.unwrap_or(0))
}

fn count_series(db: &Components, alive: &RoaringBitmap, limit: usize, stats: &mut Stats) -> Result<(), Error> {
    let (mut by_metric, mut by_source): (HashMap<u32, u64>, HashMap<u32, u64>) = (HashMap::new(), HashMap::new());
    let groups = by_segments(&db.store, &*db.index.all(&db.store, METRIC_LABEL)?)?;
    let segments = groups.iter().fold(RoaringBitmap::new(), |all, (segments, _)| all | segments);
    let writers = Writers::read(&db.store, &segments, alive)?;
    for (segments, metrics) in groups {
        let sources = writers.of_any(&segments);
        if !sources.is_empty() {
            // Each of these sources has each of these metrics: no pair is looked at by itself.
            stats.series += sources.len() * metrics.len();
            by_metric.extend(metrics.iter().map(|metric| (metric, sources.len())));
            for source in sources {
                *by_source.entry(source).or_default() += metrics.len();
            }
        }
    }
    stats.metrics = by_metric.len() as u64;
    let (mut names, mut pairs) = (Top::new(limit), Top::new(limit));
    // (values, bytes) by label name, of both sides: label names are few.
    let mut labels: HashMap<String, (u64, u64)> = HashMap::new();
    for (side, counts) in [(METRIC_LABEL, &by_metric), (SOURCE_LABEL, &by_source)] {
        db.store.each(Cf::Postings, &[side], |key, value| {
            // The posting list of the empty value holds all ids that have the label.
            let Some((name, text)) = parse_label_key(key).filter(|(_, text)| !text.is_empty()) else {
                return Ok(true);
            };
            stats.label_pairs += 1;
            let ids = bitmap::decode_or_report(&db.store, key, value);
            let series = ids.iter().filter_map(|id| counts.get(&id)).sum();
            if name == model::labels::METRIC_NAME {
                names.add(|| text.to_owned(), series);
            }
            pairs.add(|| format!("{name}={text}"), series);
            let label = labels.entry(name.to_owned()).or_default();
            label.0 += 1;
            label.1 += text.len() as u64;
            Ok::<_, Error>(true)
        })?;
    }
    stats.series_by_metric_name = names.finish();
    stats.series_by_label_pair = pairs.finish();
    let (mut values, mut bytes) = (Top::new(limit), Top::new(limit));
    for (name, (count, len)) in labels {
        values.add(|| name.clone(), count);
        bytes.add(|| name.clone(), len);
    }
    (stats.values_by_label_name, stats.bytes_by_label_name) = (values.finish(), bytes.finish());
    Ok(())
}

/// Brings the metrics that are not counted as things happen up to date.
pub(crate) fn refresh_metrics(db: &Components) -> Result<(), Error> {
    let metrics = &db.metrics;
    metrics.storage_bytes.set(i64::try_from(stored::disk_bytes(db)).unwrap_or(i64::MAX));
    if let Some(first) = start_time(db)? {
        metrics.lowest_seconds.set(first.as_seconds());
    }
    let newest = db.bounds.newest.load(Ordering::Relaxed);
    if newest != Timestamp::MIN {
        metrics.highest_seconds.set(newest.as_seconds());
    }
    for cf in Cf::ALL {
        let bytes = i64::try_from(file_bytes(db, cf)?).unwrap_or(i64::MAX);
        metrics.sst_bytes.with_label_values(&[cf.name()]).set(bytes);
    }
    for (part, bytes) in
        [("block_cache", db.memory.block_cache.get_usage()), ("memtables", db.memory.memtables.get_usage())]
    {
        metrics.rocksdb_bytes.with_label_values(&[part]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    Ok(())
}
