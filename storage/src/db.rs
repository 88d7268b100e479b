//! One opening of the data directory: takes rows in, hands batches out, syncs its log, closes. `live` replaces it by the
//! next one when something stored turns out to be damaged.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};

use model::{AppendError, Appender, Committed, Exemplar, Labels, Layout, MetricId, Scraped, SourceId};
use roaring::RoaringBitmap;
use rocksdb::{Cache, WriteBatch, WriteBufferManager};

use crate::append::plan::{self, Pending, Window};
use crate::append::state::{SourceState, States};
use crate::cache::lock;
use crate::deletes::Deletes;
use crate::error::Error;
use crate::exemplars::Exemplars;
use crate::index::Index;
use crate::index::ids::Ids;
use crate::kv::schema::Cf;
use crate::kv::store::Store;
use crate::kv::sync::Syncer;
use crate::limits;
use crate::metrics::Metrics;
use crate::open;
use crate::options::Options;
use crate::quarantine::{self, Damage, Hurt};

/// A range of keys that was dropped.
#[derive(Debug)]
pub(crate) struct Dropped {
    pub(crate) cf: Cf,
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
    /// [`Store::late_frames`] at that time: rows that came later may lie in the range.
    pub(crate) late: u64,
}

/// What one opening of a directory hands to the next.
#[derive(Debug)]
pub(crate) struct Carried {
    /// Of sources, metrics and segments: the next id, and those that were taken away.
    ids: [(u32, RoaringBitmap); 3],
    newest_ms: i64,
    now_ms: i64,
    damage: Vec<Damage>,
}

/// The open directory. Shared by reference (it is `Send` and `Sync`); closed by [`Db::close`] or by dropping it.
pub(crate) struct Db {
    pub(crate) store: Arc<Store>,
    pub(crate) index: Index,
    pub(crate) exemplars: Exemplars,
    pub(crate) states: States,
    pub(crate) options: Options,
    pub(crate) retention_ms: AtomicI64,
    /// Nothing before this is kept or taken.
    pub(crate) horizon_ms: AtomicI64,
    pub(crate) newest_ms: AtomicI64,
    out_of_order_ms: AtomicI64,
    pub(crate) block_cache: Cache,
    pub(crate) memtables: WriteBufferManager,
    /// Has everything unreferenced been looked for since the start?
    pub(crate) swept: AtomicBool,
    /// Held by whoever seals, merges, deletes or drops: one at a time.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) deletes: Deletes,
    /// Ranges of keys that were dropped and whose files are still there.
    pub(crate) dropped: Mutex<Vec<Dropped>>,
    /// What time it is, as far as old data is concerned ([`crate::Clock`]); `i64::MIN` while that is not known.
    pub(crate) now_ms: AtomicI64,
    /// What of it was kept last for the next start.
    pub(crate) kept_now_ms: AtomicI64,
    closing: AtomicBool,
    syncer: Mutex<Option<Syncer>>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the directory, making it if there is none. What is damaged of what is read at a start is set aside.
    pub(crate) fn start(options: &Options, metrics: &Metrics, carried: Option<&Carried>) -> Result<Self, Error> {
        let mut hurt = Vec::new();
        for _ in 0..limits::OPEN_ROUNDS {
            let failed = match Self::try_start(options.clone(), metrics.clone(), carried, &mut hurt) {
                Err(error) if error.is_damage() => error,
                Ok(db) => {
                    db.report(hurt);
                    return Ok(db);
                }
                Err(error) => return Err(error),
            };
            let Some(number) = quarantine::named(&model::with_causes(&failed)) else { return Err(failed) };
            let aside = |source| Error::Quarantine { path: options.path.clone(), source };
            quarantine::wait(&options.path, number).map_err(aside)?;
        }
        let source = std::io::Error::other("ever more damaged files are found");
        Err(Error::Quarantine { path: options.path.clone(), source })
    }

    fn try_start(
        options: Options,
        metrics: Metrics,
        carried: Option<&Carried>,
        hurt: &mut Vec<Hurt>,
    ) -> Result<Self, Error> {
        let start = |source| Error::Start { path: options.path.clone(), source };
        let opened = open::open(&options, metrics, hurt)?;
        let store = Arc::new(opened.store);
        let index = Index::open(&store, crate::open::index_bytes(&options))?;
        let syncer = Syncer::start(Arc::clone(&store), options.sync_interval).map_err(|e| start(Box::new(e)))?;
        let db = Self {
            index,
            exemplars: Exemplars::default(),
            states: States::default(),
            horizon_ms: AtomicI64::new(opened.horizon_ms),
            newest_ms: AtomicI64::new(i64::MIN),
            out_of_order_ms: AtomicI64::new(0),
            block_cache: opened.cache,
            memtables: opened.memtables,
            swept: AtomicBool::new(false),
            maintenance: Mutex::default(),
            deletes: Deletes::open(&store)?,
            dropped: Mutex::default(),
            now_ms: AtomicI64::new(i64::MIN),
            kept_now_ms: AtomicI64::new(i64::MIN),
            closing: AtomicBool::new(false),
            syncer: Mutex::new(Some(syncer)),
            store,
            retention_ms: AtomicI64::new(0),
            options,
        };
        db.set_retention(db.options.retention_ms);
        // The gauge counts what the states hold, and these are new.
        db.store.metrics.head_series.set(0);
        if let Some(carried) = carried {
            db.carry_on(carried);
        }
        // From here on what an earlier process kept beside the database no longer says anything about it.
        if let Err(error) = db.store.sync() {
            tracing::warn!(%error, "cannot sync the write-ahead log yet");
        }
        db.refresh_metrics()?;
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
        Carried {
            ids: [&self.index.sources, &self.index.metrics, &self.index.segments].map(Ids::carried),
            newest_ms: self.newest_ms.load(Ordering::Acquire),
            now_ms: self.now_ms.load(Ordering::Acquire),
            damage: self.store.damage(),
        }
    }

    fn carry_on(&self, carried: &Carried) {
        let all = [&self.index.sources, &self.index.metrics, &self.index.segments];
        all.into_iter().zip(&carried.ids).for_each(|(ids, before)| ids.carry_on(before));
        self.newest_ms.fetch_max(carried.newest_ms, Ordering::AcqRel);
        self.store.newest_ms.fetch_max(carried.newest_ms, Ordering::AcqRel);
        self.now_ms.fetch_max(carried.now_ms, Ordering::AcqRel);
        carried.damage.iter().for_each(|damage| self.store.hurt(damage.clone()));
    }

    /// How long samples are kept from now on, milliseconds; 0 keeps them for ever.
    pub(crate) fn set_retention(&self, retention_ms: i64) {
        self.retention_ms.store(retention_ms, Ordering::Release);
        #[expect(clippy::cast_precision_loss, reason = "a retention is far below 2^53 milliseconds")]
        self.store.metrics.retention_seconds.set(retention_ms as f64 / 1000.0);
    }

    /// Refuses further rows and syncs the write-ahead log. Reads go on until the database is dropped.
    ///
    /// # Errors
    /// When the log cannot be synced.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.closing.store(true, Ordering::SeqCst);
        // Whoever holds the gate is still writing.
        drop(self.index.gate.write().unwrap_or_else(PoisonError::into_inner));
        // Taken out first: whoever joins a thread must not hold what it may want.
        lock(&self.syncer).take();
        self.store.sync()?;
        if self.store.is_in_place() {
            self.store.flush_copies()?;
            self.store.keep_manifest();
        }
        Ok(())
    }

    /// How far behind the newest sample of the database a sample may lie that comes out of order, milliseconds; 0 refuses
    /// all.
    pub(crate) fn set_out_of_order_window(&self, window_ms: i64) {
        self.out_of_order_ms.store(window_ms.max(0), Ordering::Release);
    }

    fn out_of_order_from(&self) -> i64 {
        match (self.out_of_order_ms.load(Ordering::Acquire), self.newest_ms.load(Ordering::Relaxed)) {
            (0, _) | (_, i64::MIN) => i64::MAX,
            (window, newest) => newest.min(self.present_until()).saturating_sub(window),
        }
    }

    /// What lies after this was stored while the clock was wrong, or said by a target whose clock is.
    fn present_until(&self) -> i64 {
        match self.now_ms.load(Ordering::Relaxed) {
            i64::MIN => i64::MAX,
            now => now.saturating_add(limits::AHEAD_MS),
        }
    }

    fn open_gate(&self) -> Result<RwLockReadGuard<'_, ()>, AppendError> {
        let gate = self.index.gate.read().unwrap_or_else(PoisonError::into_inner);
        if self.closing.load(Ordering::SeqCst) { Err(AppendError::Closed) } else { Ok(gate) }
    }

    fn commit_parts(&self, parts: &[Scraped<'_>]) -> Result<Committed, Error> {
        parts.iter().try_for_each(plan::check)?;
        for Scraped { row, .. } in parts {
            let segments = row.layout.segments.iter().copied();
            if !self.index.sources.are_there([row.source.0].into_iter()) || !self.index.segments.are_there(segments) {
                return Err(Error::Forgotten);
            }
        }
        // Always in the order of sources, so that two commits cannot wait for each other.
        let mut parts: Vec<&Scraped<'_>> = parts.iter().collect();
        parts.sort_by_key(|part| part.row.source);
        if parts.windows(2).any(|pair| pair[0].row.source == pair[1].row.source) {
            return Err(Error::BadRow { reason: "a commit holds two parts of one source" });
        }
        let states: Vec<Arc<Mutex<SourceState>>> = parts.iter().map(|part| self.states.of(part.row.source)).collect();
        let mut states: Vec<MutexGuard<'_, SourceState>> = states.iter().map(|state| lock(state)).collect();
        let window = Window {
            horizon_ms: self.horizon_ms.load(Ordering::Acquire),
            late_ms: self.options.late_ms,
            out_of_order_from_ms: self.out_of_order_from(),
        };
        let present_until = self.present_until();
        let mut batch = WriteBatch::with_capacity_bytes(parts.iter().map(|part| 256 + 3 * part.row.values.len()).sum());
        let mut total = Committed::default();
        let mut done = Vec::with_capacity(parts.len());
        for (part, state) in parts.iter().zip(&mut states) {
            state.load(&self.store, &self.index, part.row.source)?;
            if state.newest.is_some_and(|newest| newest > present_until && part.row.ts_ms <= present_until) {
                state.set_back(&self.store, part.row.source, part.row.ts_ms)?;
            }
            let (change, committed) = Pending::plan((&self.store, &self.index), part, state, window, &mut batch)?;
            total.stored += committed.stored;
            total.out_of_order += committed.out_of_order;
            total.duplicate += committed.duplicate;
            total.too_old += committed.too_old;
            done.push(change);
        }
        let kept = &self.store.kept.rows;
        let changing: Vec<_> =
            parts.iter().zip(&done).filter_map(|(part, done)| done.changes_kept(kept, &part.row)).collect();
        let adding: Vec<_> = parts.iter().map(|part| self.store.kept.newer.of(part.row.source)).collect();
        if !batch.is_empty() {
            self.store.write(batch)?;
        }
        drop((changing, adding));
        for ((change, state), part) in done.into_iter().zip(&mut states).zip(&parts) {
            self.store.metrics.head_series.add(change.apply(state, window, &self.store));
            self.newest_ms.fetch_max(part.row.ts_ms, Ordering::Relaxed);
            self.store.newest_ms.fetch_max(part.row.ts_ms, Ordering::Relaxed);
        }
        self.store.metrics.count(&total);
        Ok(total)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "cannot sync the log at the end");
        }
    }
}

fn refused(error: Error) -> AppendError {
    match error {
        Error::Forgotten => AppendError::Forgotten,
        other => AppendError::Store(Box::new(other)),
    }
}

impl Appender for Db {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        let _gate = self.open_gate()?;
        self.index.intern_source(&self.store, labels).map(SourceId).map_err(refused)
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        let mut all = Vec::with_capacity(labels.len());
        for some in labels.chunks(limits::IDS_AT_ONCE) {
            // Anew for each write: whoever waits for the gate keeps every commit waiting.
            let _gate = self.open_gate()?;
            let ids = self.index.intern_metrics(&self.store, some).map_err(refused)?;
            all.extend(ids.into_iter().map(MetricId));
        }
        Ok(all)
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        let _gate = self.open_gate()?;
        if !self.index.metrics.are_there(metrics.iter().map(|metric| metric.0)) {
            return Err(AppendError::Forgotten);
        }
        let text = |segment: &[MetricId]| segment.iter().flat_map(|metric| metric.0.to_le_bytes()).collect();
        let segments: Vec<Vec<u8>> = metrics.chunks(Layout::SEGMENT_COLUMNS).map(text).collect();
        let segments = self.index.intern_segments(&self.store, &segments).map_err(refused)?;
        Ok(Layout { metrics: metrics.into(), segments: segments.into() })
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        loop {
            let gate = self.open_gate()?;
            if !self.is_masked(parts) {
                return self.commit_parts(parts).map_err(refused);
            }
            drop(gate);
            self.settle(parts).map_err(refused)?;
        }
    }

    fn takes_late_from_ms(&self) -> i64 {
        self.out_of_order_from()
    }

    fn keeps_exemplars(&self) -> bool {
        self.exemplars.are_kept()
    }

    fn exemplars(&self, source: SourceId, exemplars: &[(MetricId, Exemplar)]) -> Result<u32, AppendError> {
        let _gate = self.open_gate()?;
        self.keep_exemplars(source, exemplars).map_err(refused)
    }
}
