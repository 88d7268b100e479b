//! The façade: one opening of the data directory. It joins the components, and takes rows in and hands batches out through
//! them. `recovery` replaces it by the next one when something stored turns out to be damaged.

use std::fmt;
use std::fs;
use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{
    AppendError, Appender, Committed, Exemplar, Grow, Labels, Layout, Listing, Matcher, MetricId, Parts, Querier,
    QuerierError, ReadHints, Scraped, Selection, SeriesAppendError, SeriesAppender, SeriesBatch, SourceId, Timestamp,
};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::append::scrape;
use crate::append::series::{self, SeriesLayouts};
use crate::bounds::Bounds;
use crate::cardinality::Cardinality;
use crate::compaction::pace::{Compacted, Pace};
use crate::components::Components;
use crate::deletes::settle::{any_masked, settle};
use crate::drain::Drain;
use crate::error::Error;
use crate::exemplars::{self, Exemplars};
use crate::histograms::AnyHistograms;
use crate::index::Index;
use crate::index::ids::Ids;
use crate::kv::checkpoint;
use crate::kv::dropped::DroppedRanges;
use crate::kv::error::file_number;
use crate::kv::options::{index_bytes, read_cache_bytes};
use crate::kv::sync::Syncer;
use crate::maintenance::Maintenance;
use crate::metrics::Metrics;
use crate::open;
use crate::options::Options;
use crate::partition_stats::PartitionStats;
use crate::quarantine::pending::set_aside_later;
use crate::quarantine::record::{QuarantineRecord, Quarantined};
use crate::quarantine::records::Records;
use crate::quarantine::safeguards::Safeguards;
use crate::quarantine::warnings::warnings;
use crate::reader::read_cache::ReadCache;
use crate::reader::scan::{ScanOptions, ScanPlan, Stop};
use crate::reader::written::Listed;
use crate::stats::Stats;
use crate::tombstones::{RetentionRule, Tombstones};
use crate::writer::flushed::FlushMarks;
use crate::writer::state::SourceStates;
use crate::{cardinality, compaction, deletes, limits, listing, partition_stats, retention, stats};

/// What one opening of a directory hands to the next.
#[derive(Debug)]
pub(crate) struct Carried {
    /// Of sources, metrics and segments: the next id, and those that were taken away.
    ids: [(u32, RoaringBitmap); 3],
    newest: Timestamp,
    now: Timestamp,
    records: Vec<QuarantineRecord>,
}

/// The open directory. Shared by reference (it is `Send` and `Sync`); closed by [`Db::close`] or by dropping it.
pub(crate) struct Db {
    pub(crate) components: Components,
    exemplars: Exemplars,
    pub(crate) series: SeriesLayouts,
    syncer: Mutex<Option<Syncer>>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("options", &self.components.options).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the directory, making it if there is none. What is damaged of what is read at a start is set aside.
    pub(crate) fn start(options: &Options, metrics: &Metrics, carried: Option<&Carried>) -> Result<Self, Error> {
        let mut quarantined = Vec::new();
        for _ in 0..limits::OPEN_ROUNDS {
            let failed = match Self::try_start(options, metrics, carried, &mut quarantined) {
                Err(error) if error.is_damage() => error,
                Ok(db) => {
                    open::report::report(&db.components, quarantined);
                    return Ok(db);
                }
                Err(error) => return Err(error),
            };
            // RocksDB names the damaged file nowhere but in its message.
            let Some(number) = file_number(&model::with_causes(&failed)) else { return Err(failed) };
            let aside = |source| Error::Quarantine { path: options.path.clone(), source };
            set_aside_later(&options.path, number).map_err(aside)?;
        }
        let source = io::Error::other("ever more damaged files are found");
        Err(Error::Quarantine { path: options.path.clone(), source })
    }

    fn try_start(
        options: &Options,
        metrics: &Metrics,
        carried: Option<&Carried>,
        quarantined: &mut Vec<Quarantined>,
    ) -> Result<Self, Error> {
        let records = Arc::new(Records::new(&options.path, metrics.clone()));
        let opened = open::open(options, &records, quarantined)?;
        let safeguards = Arc::new(Safeguards::default());
        // Before the first sync, which stores it as the newest row before the logs of this opening.
        safeguards.go_on_from(opened.newest);
        let index = Index::open(&opened.store, index_bytes(options))?;
        let tombstones = Tombstones::open(&opened.store)?;
        let components = Components {
            options: options.clone(),
            metrics: metrics.clone(),
            store: Arc::new(opened.store),
            memory: opened.memory,
            records,
            safeguards,
            index,
            cache: ReadCache::new(read_cache_bytes(options)),
            histograms: AnyHistograms::new(opened.any_histograms),
            states: SourceStates::default(),
            flushed: FlushMarks::new(opened.flushed_until),
            tombstones,
            dropped: DroppedRanges::default(),
            bounds: Bounds::new(opened.horizon),
            drain: Drain::default(),
            closing: AtomicBool::new(false),
            maintenance: Maintenance::default(),
            swept: AtomicBool::new(false),
        };
        let start = |source| Error::Start { path: options.path.clone(), source };
        let syncer = start_syncer(&components).map_err(|error| start(Box::new(error)))?;
        let (exemplars, series, syncer) = (Exemplars::default(), SeriesLayouts::default(), Mutex::new(Some(syncer)));
        let db = Self { components, exemplars, series, syncer };
        db.set_retention(options.retention_ms);
        // The gauge counts what the states hold, and these are new.
        metrics.head_series.set(0);
        if let Some(carried) = carried {
            db.carry_on(carried);
        }
        // From here on what an earlier process kept beside the database no longer says anything about it.
        if let Err(error) = db.components.safeguards.sync(&db.components.store) {
            tracing::warn!(%error, "cannot sync the write-ahead log yet");
        }
        stats::refresh_metrics(&db.components)?;
        Ok(db)
    }

    /// As the tests of single modules need it.
    #[cfg(test)]
    pub(crate) fn open(options: Options, registry: &prometheus::Registry) -> Result<Self, Error> {
        let metrics = Metrics::new().expect("BUG: the metrics of the store have valid names");
        metrics.register(registry).expect("a registry without them");
        Self::start(&options, &metrics, None)
    }

    /// What the next opening of the directory has to know of this one.
    pub(crate) fn carried(&self) -> Carried {
        let Components { index, bounds, records, .. } = &self.components;
        Carried {
            ids: [&index.sources, &index.metrics, &index.segments].map(Ids::carried),
            newest: bounds.newest.load(Ordering::Acquire),
            now: bounds.now.load(Ordering::Acquire),
            records: records.all(),
        }
    }

    fn carry_on(&self, carried: &Carried) {
        let Components { index, bounds, records, safeguards, .. } = &self.components;
        let all = [&index.sources, &index.metrics, &index.segments];
        all.into_iter().zip(&carried.ids).for_each(|(ids, before)| ids.carry_on(before));
        // What the disk tells is as old as the last sync; the opening before knew of rows since then.
        bounds.newest.fetch_max(carried.newest, Ordering::AcqRel);
        safeguards.row_at(carried.newest);
        bounds.now.fetch_max(carried.now, Ordering::AcqRel);
        carried.records.iter().for_each(|record| records.add(record.clone()));
    }

    /// Refuses further rows and syncs the write-ahead log. Reads go on until the database is dropped.
    ///
    /// # Errors
    /// When the log cannot be synced.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let Components { index, safeguards, store, closing, .. } = &self.components;
        closing.store(true, Ordering::SeqCst);
        // Whoever holds the gate is still writing.
        drop(index.gate.write());
        // Taken out first: whoever joins a thread must not hold what it may want.
        let syncer = self.syncer.lock().take();
        drop(syncer);
        safeguards.sync(store)?;
        // Nothing is written by the path when another database lies there now.
        if store.is_in_place() {
            store.flush_copies()?;
            safeguards.keep_manifest(store);
        }
        Ok(())
    }
}

/// The thread that syncs the write-ahead log, and keeps what repairs need.
fn start_syncer(components: &Components) -> io::Result<Syncer> {
    let (store, safeguards) = (Arc::clone(&components.store), Arc::clone(&components.safeguards));
    let failures = components.metrics.sync_failures.clone();
    let mut last = 0;
    Syncer::start(components.options.sync_interval, move || {
        let sequence = store.db.latest_sequence_number();
        // Nothing was written since the last sync; but a compaction may have changed the MANIFEST.
        if sequence == last {
            return safeguards.keep_manifest(&store);
        }
        match safeguards.sync(&store) {
            Ok(()) => last = sequence,
            Err(error) => {
                failures.inc();
                tracing::error!(%error, "cannot sync the write-ahead log");
            }
        }
    })
}

/// What the methods of [`crate::Db`] do with one opening; their contracts are there.
impl Db {
    pub(crate) fn set_retention(&self, retention_ms: i64) {
        self.components.bounds.retention_ms.store(retention_ms, Ordering::Release);
        #[expect(clippy::cast_precision_loss, reason = "a retention is far below 2^53 milliseconds")]
        self.components.metrics.retention_seconds.set(retention_ms as f64 / 1000.0);
    }

    pub(crate) fn set_out_of_order_window(&self, window_ms: i64) {
        self.components.bounds.set_out_of_order_window(window_ms);
    }

    pub(crate) fn set_retention_rules(&self, rules: Vec<RetentionRule>) {
        self.components.tombstones.set_rules(rules);
    }

    pub(crate) fn set_exemplars_max(&self, max: usize) -> Result<(), Error> {
        self.exemplars.set_max(&self.components.store, max as u64)
    }

    pub(crate) fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        exemplars::find((self.components.read(), &self.exemplars), selectors, range)
    }

    pub(crate) fn exemplars_since(&self, number: u64, most: usize) -> Result<(u64, Vec<(Labels, Exemplar)>), Error> {
        exemplars::since((self.components.read(), &self.exemplars), number, most)
    }

    pub(crate) fn delete(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<(), Error> {
        deletes::delete(&self.components, matchers, (start, end))
    }

    pub(crate) fn clean_deleted(&self) -> Result<(), Error> {
        deletes::clean(&self.components)
    }

    pub(crate) fn set_now(&self, now: Timestamp) -> Result<(), Error> {
        retention::set_now(&self.components, now)
    }

    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.components.bounds.now()
    }

    pub(crate) fn last_told(&self) -> Result<Option<Timestamp>, Error> {
        retention::last_told(&self.components)
    }

    pub(crate) fn enforce_retention(&self, now: Timestamp) -> Result<usize, Error> {
        let dropped = retention::enforce_retention(&self.components, now)?;
        stats::refresh_metrics(&self.components)?;
        Ok(dropped)
    }

    pub(crate) fn enforce_size(&self, bytes_max: u64) -> Result<usize, Error> {
        let dropped = retention::enforce_size(&self.components, bytes_max)?;
        if dropped > 0 {
            stats::refresh_metrics(&self.components)?;
        }
        Ok(dropped)
    }

    pub(crate) fn compact(&self, now: Timestamp) -> Result<Compacted, Error> {
        // Retention rules are applied as of this time, and a tool or test need not have set it before.
        self.components.bounds.now.fetch_max(now, Ordering::AcqRel);
        self.compact_paced(now, &mut |_| ControlFlow::Continue(()))
    }

    pub(crate) fn compact_paced(&self, now: Timestamp, pace: &mut Pace<'_>) -> Result<Compacted, Error> {
        compaction::round(&self.components, now, pace)
    }

    pub(crate) fn snapshot(&self, directory: &Path) -> Result<(), Error> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(|source| Error::Unwritable { path: parent.to_owned(), source })?;
        }
        Ok(checkpoint::create(&self.components.store, directory)?)
    }

    pub(crate) fn memory_unused(&self) -> usize {
        self.components.options.memory_bytes.saturating_sub(self.components.memory.block_cache.get_usage())
    }

    pub(crate) fn cardinality(
        &self,
        label: &str,
        ranges: (&RangeInclusive<Timestamp>, &RangeInclusive<Timestamp>),
        grow: &Grow<'_>,
    ) -> Result<Cardinality, QuerierError> {
        cardinality::cardinality(&self.components, label, ranges, grow)
    }

    pub(crate) fn partitions(&self) -> Result<Vec<PartitionStats>, Error> {
        partition_stats::partition_stats(&self.components)
    }

    pub(crate) fn start_time(&self) -> Result<Option<Timestamp>, Error> {
        stats::start_time(&self.components)
    }

    pub(crate) fn stats(&self, limit: usize) -> Result<Stats, Error> {
        stats::stats(&self.components, limit)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "cannot sync the write-ahead log at the end");
        }
    }
}

fn refused(error: Error) -> AppendError {
    match error {
        Error::Forgotten => AppendError::Forgotten,
        Error::Closed => AppendError::Closed,
        other => AppendError::Store(Box::new(other)),
    }
}

impl Appender for Db {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        let _gate = self.components.open_gate().map_err(refused)?;
        let Components { index, store, .. } = &self.components;
        index.intern_source(store, labels).map(SourceId).map_err(refused)
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        let Components { index, store, .. } = &self.components;
        let mut all = Vec::with_capacity(labels.len());
        for some in labels.chunks(limits::IDS_AT_ONCE) {
            // Anew for each write: whoever waits for the gate keeps every commit waiting.
            let _gate = self.components.open_gate().map_err(refused)?;
            let ids = index.intern_metrics(store, some).map_err(refused)?;
            all.extend(ids.into_iter().map(MetricId));
        }
        Ok(all)
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        let _gate = self.components.open_gate().map_err(refused)?;
        let Components { index, store, .. } = &self.components;
        index.layout(store, metrics).map_err(refused)
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        loop {
            let gate = self.components.open_gate().map_err(refused)?;
            let incoming = scrape::incoming(&self.components, parts);
            if !any_masked(&self.components, &incoming) {
                let window = || scrape::window(&self.components);
                return scrape::commit(&self.components, parts, &window).map_err(refused);
            }
            // A deletion is carried out without the gate, then everything is looked at again.
            drop(gate);
            settle(&self.components, &incoming).map_err(refused)?;
        }
    }

    fn takes_late_from(&self) -> Timestamp {
        self.components.bounds.out_of_order_from()
    }

    fn keeps_exemplars(&self) -> bool {
        self.exemplars.are_kept()
    }

    fn exemplars(&self, source: SourceId, exemplars: &[(MetricId, Exemplar)]) -> Result<u32, AppendError> {
        let _gate = self.components.open_gate().map_err(refused)?;
        let Components { index, store, metrics, .. } = &self.components;
        self.exemplars.keep((store, index), source, exemplars, &metrics.exemplars).map_err(refused)
    }
}

impl SeriesAppender for Db {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        let appended = series::append(&self.components, (&self.series, &self.exemplars), batch);
        appended.map_err(|error| SeriesAppendError { what: batch.describe(), source: refused(error) })
    }
}

impl Db {
    fn scan(&self, selection: &Selection<'_>, hints: &ReadHints<'_>) -> Result<ScanPlan<'_>, Stop> {
        let Components { tombstones, histograms, options, drain, records, .. } = &self.components;
        let masks = tombstones.masks(self.components.read(), &(selection.start..=selection.end))?;
        let batch_values = limits::batch_values(options.memory_bytes);
        let options = ScanOptions { masks, histograms, batch_values, drain, records };
        ScanPlan::new(self.components.read(), selection, hints, options)
    }
}

impl Querier for Db {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let plan = self.scan(selection, hints);
        if let Err(Stop::Store(error)) = &plan
            && error.is_damage()
        {
            self.components.store.damaged(&model::with_causes(error));
        }
        Ok(Box::new(plan?))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let length_ms = selection.end.saturating_since(selection.start);
        // Exact where it is cheap: for a long range the newest sample of every series would be read.
        if length_ms <= limits::LISTED_EXACTLY_MS {
            return listing::with_samples(&*Querier::open(self, selection, &ReadHints::NEWEST)?, listing);
        }
        listing::series(self.components.read(), selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        listing::texts(self.components.read(), Listed::Names, selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        listing::texts(self.components.read(), Listed::Values(name.into()), selection, listing)
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        warnings(&self.components.records.all(), selection)
    }
}
