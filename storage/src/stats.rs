//! How much there is: for `/api/v1/status/tsdb` and the store's own metrics.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::Ordering;

use model::SourceId;
use roaring::RoaringBitmap;

use crate::db::Db;
use crate::error::Error;
use crate::index::postings;
use crate::index::select::{Writers, by_segments};
use crate::kv::schema::{Bucket, Cf, METRIC_LABEL, SOURCE_LABEL, parse_label_key};
use crate::pages;
use crate::reader::snapshot::View;

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
    pub min_time_ms: Option<i64>,
    /// The newest row since the start, else the last millisecond of the newest bucket.
    pub max_time_ms: Option<i64>,
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

impl Db {
    /// Counts what is stored; the lists have at most `limit` entries.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn stats(&self, limit: usize) -> Result<Stats, Error> {
        let buckets = self.stored_buckets()?;
        let first_page = self.stored_partitions()?.first().map(|partition| partition.start);
        let newest = self.newest_ms.load(Ordering::Relaxed);
        let max_time_ms = self.newest_end(&buckets)?;
        let until = max_time_ms.unwrap_or(i64::MIN);
        let recent = until.saturating_sub(2 * i64::from(self.store.bucket_ms) - 1)..=until;
        let alive = self.alive(&View::new(&self.store), &recent)?;
        let mut stats = Stats {
            sources: alive.len(),
            samples_appended: self.store.metrics.samples_appended(),
            disk_bytes: self.disk_bytes(),
            min_time_ms: buckets.first().copied().into_iter().chain(first_page).min().map(|bucket| bucket.0),
            max_time_ms: if newest == i64::MIN { max_time_ms } else { Some(newest) },
            ..Stats::default()
        };
        self.count_series(&alive, limit, &mut stats)?;
        stats.page_samples = self.page_samples()?;
        for cf in Cf::ALL {
            let bytes = self.file_bytes(cf)?;
            match cf {
                Cf::Pages | Cf::Histograms => stats.page_bytes += bytes,
                Cf::Rows => stats.row_bytes += bytes,
                _ => stats.index_bytes += bytes,
            }
        }
        Ok(stats)
    }

    fn page_samples(&self) -> Result<u64, Error> {
        let view = View::new(&self.store);
        let mut samples = 0;
        for (partition, sources) in pages::partitions(&view)? {
            for source in sources {
                let timeline = pages::timeline_head(&view, partition, SourceId(source))?;
                samples += timeline.map_or(0, |timeline| timeline.samples);
            }
        }
        Ok(samples)
    }

    /// Bytes of the sorted files of a column family.
    fn file_bytes(&self, cf: Cf) -> Result<u64, Error> {
        let bytes = self.store.db.property_int_value_cf(self.store.cf(cf), "rocksdb.live-sst-files-size");
        Ok(bytes.map_err(Error::read)?.unwrap_or(0))
    }

    /// The last millisecond of the newest bucket or partition.
    fn newest_end(&self, buckets: &[Bucket]) -> Result<Option<i64>, Error> {
        let bucket_ms = self.store.bucket_ms;
        let pages = self.stored_partitions()?.into_iter().map(|partition| partition.end_ms(bucket_ms)).max();
        let rows = buckets.last().map(|bucket| bucket.end_ms(bucket_ms));
        Ok(rows.max(pages).map(|end| end - 1))
    }

    /// The newest row, as far as it is known: the end of the newest bucket before the first row after a start.
    pub(crate) fn newest_stored(&self) -> Result<i64, Error> {
        match self.newest_ms.load(Ordering::Relaxed) {
            i64::MIN => Ok(self.newest_end(&self.stored_buckets()?)?.unwrap_or(i64::MIN)),
            newest => Ok(newest),
        }
    }

    fn count_series(&self, alive: &RoaringBitmap, limit: usize, stats: &mut Stats) -> Result<(), Error> {
        let (mut by_metric, mut by_source): (HashMap<u32, u64>, HashMap<u32, u64>) = (HashMap::new(), HashMap::new());
        let groups = by_segments(&self.store, &*self.index.all(&self.store, METRIC_LABEL)?)?;
        let segments = groups.iter().fold(RoaringBitmap::new(), |all, (segments, _)| all | segments);
        let writers = Writers::read(&self.store, &segments, alive)?;
        for (segments, metrics) in groups {
            let sources = writers.of_any(&segments);
            if !sources.is_empty() {
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
            self.store.each(Cf::Postings, &[side], |key, value| {
                let Some((name, text)) = parse_label_key(key).filter(|(_, text)| !text.is_empty()) else {
                    return Ok(true);
                };
                stats.label_pairs += 1;
                let ids = postings::decode_or_report(&self.store, key, value);
                let series = ids.iter().filter_map(|id| counts.get(&id)).sum();
                if name == model::labels::METRIC_NAME {
                    names.add(|| text.to_owned(), series);
                }
                pairs.add(|| format!("{name}={text}"), series);
                let label = labels.entry(name.to_owned()).or_default();
                label.0 += 1;
                label.1 += text.len() as u64;
                Ok(true)
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

    /// Bytes of the files in the data directory.
    pub(crate) fn disk_bytes(&self) -> u64 {
        // A file that goes away while it is looked at counts for nothing.
        let files = fs::read_dir(&self.options.path).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    }

    /// See [`crate::Db::memory_unused`].
    pub(crate) fn memory_unused(&self) -> usize {
        self.options.memory_bytes.saturating_sub(self.block_cache.get_usage())
    }

    /// Brings the metrics that are not counted as things happen up to date.
    pub(crate) fn refresh_metrics(&self) -> Result<(), Error> {
        let metrics = &self.store.metrics;
        metrics.storage_bytes.set(i64::try_from(self.disk_bytes()).unwrap_or(i64::MAX));
        let first_page = self.stored_partitions()?.first().map(|partition| partition.start);
        if let Some(first) = self.stored_buckets()?.first().copied().into_iter().chain(first_page).min() {
            metrics.lowest_seconds.set(first.0 as f64 / 1000.0);
        }
        let newest = self.newest_ms.load(Ordering::Relaxed);
        if newest != i64::MIN {
            metrics.highest_seconds.set(newest as f64 / 1000.0);
        }
        for cf in Cf::ALL {
            let bytes = i64::try_from(self.file_bytes(cf)?).unwrap_or(i64::MAX);
            metrics.sst_bytes.with_label_values(&[cf.name()]).set(bytes);
        }
        for (part, bytes) in [("block_cache", self.block_cache.get_usage()), ("memtables", self.memtables.get_usage())]
        {
            metrics.rocksdb_bytes.with_label_values(&[part]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        Ok(())
    }
}
