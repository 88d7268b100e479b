//! The factorised index: `ids` gives out and finds ids, `postings` are bitmaps of them by label, `lookup` caches them until
//! their `versions` tell of a change, `select` turns matchers into Metrics × Sources, `dedup` finds pairs with equal labels,
//! `names` says what metrics lie under in pages.

pub(crate) mod dedup;
pub(crate) mod ids;
mod lookup;
pub(crate) mod names;
pub(crate) mod postings;
pub(crate) mod select;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Labels, Layout, MetricId, SourceId};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::cache::Cache;
use crate::error::Error;
use crate::kv::schema::{Cf, METRIC_LABEL, SOURCE_LABEL, id_key, page_name};
use crate::kv::store::Store;
use crate::limits;
use ids::Ids;
use versions::{Changing, Versions};

/// Metrics, each after what it lies under in pages; ascending.
pub(crate) type Names = Arc<[(u32, u32)]>;

/// Ids and their definitions.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) sources: Ids,
    pub(crate) metrics: Ids,
    pub(crate) segments: Ids,
    /// Read-held while ids are found and used, write-held while unused ones are taken away.
    pub(crate) gate: RwLock<()>,
    /// How many ids were added to postings since these were last merged on the disk.
    pub(crate) posted: AtomicU64,
    source_labels: Cache<u32, Labels>,
    metric_labels: Cache<u32, Labels>,
    segment_metrics: Cache<u32, Arc<[u32]>>,
    segment_names: Cache<u32, Names>,
    metric_side: Side,
    source_side: Side,
    /// The ids of metrics that were asked for together, by a hash of them all: targets of one kind ask for the same.
    metrics_together: Cache<u64, Arc<[u32]>>,
    /// The metrics of sets of segments.
    metrics_of_segments: Cache<Arc<[u32]>, Arc<RoaringBitmap>>,
}

/// What is remembered of the postings of metrics, or of sources.
#[derive(Debug)]
pub(crate) struct Side {
    /// By label name, the empty name standing for all.
    versions: Versions,
    /// Bitmaps as of a version.
    bitmaps: Cache<Box<[u8]>, (u64, Arc<RoaringBitmap>)>,
    names: Mutex<Option<(u64, Arc<[String]>)>>,
}

impl Side {
    fn new(bytes: usize) -> Self {
        Self { versions: Versions::default(), bitmaps: Cache::new(bytes), names: Mutex::default() }
    }

    /// Ids with these labels are about to be made, or taken away.
    pub(crate) fn change<'a>(&self, labels: impl Iterator<Item = &'a Labels>) -> Changing<'_> {
        // The empty name, which stands for all ids, changes with every definition.
        let names = labels.flat_map(|labels| labels.iter().map(|(name, _)| name.as_bytes()));
        self.versions.change(std::iter::once(&b""[..]).chain(names).collect())
    }
}

impl Index {
    /// Its caches hold about `bytes` in all.
    pub(crate) fn open(store: &Store, bytes: usize) -> Result<Self, Error> {
        // Sixteenths, by how often each is asked and how large its entries are.
        let part = bytes / 16;
        Ok(Self {
            sources: Ids::open(store, Cf::Sources, "sources")?,
            metrics: Ids::open(store, Cf::Metrics, "metrics")?,
            segments: Ids::open(store, Cf::Layouts, "layouts")?,
            gate: RwLock::new(()),
            posted: AtomicU64::new(0),
            source_labels: Cache::new(part),
            metric_labels: Cache::new(5 * part),
            segment_metrics: Cache::new(2 * part),
            segment_names: Cache::new(2 * part),
            metric_side: Side::new(2 * part),
            source_side: Side::new(2 * part),
            metrics_together: Cache::new(part),
            metrics_of_segments: Cache::new(part),
        })
    }

    pub(crate) fn intern_source(&self, store: &Store, labels: &Labels) -> Result<u32, Error> {
        let ids = self.sources.intern(store, &[labels.as_text().as_bytes()], |batch, new| {
            postings::add_labels(store, batch, SOURCE_LABEL, new.iter().map(|&(id, _)| (id, labels)));
            self.source_side.change(std::iter::once(labels))
        })?;
        Ok(ids[0])
    }

    pub(crate) fn intern_metrics(&self, store: &Store, labels: &[Labels]) -> Result<Vec<u32>, Error> {
        let texts: Vec<&[u8]> = labels.iter().map(|l| l.as_text().as_bytes()).collect();
        let all = ids::hash_of_all(&texts);
        if let Some(ids) = self.metrics_together.get(&all)
            // A hash may meet another one's, and ids may have been taken away since.
            && self.metrics.have_texts(store, &ids, &texts)?
        {
            return Ok(ids.to_vec());
        }
        let ids = self.metrics.intern(store, &texts, |batch, new| {
            postings::add_labels(store, batch, METRIC_LABEL, new.iter().map(|&(id, i)| (id, &labels[i])));
            self.metric_side.change(new.iter().map(|&(_, i)| &labels[i]))
        })?;
        self.metrics_together.insert(all, ids.as_slice().into(), ids.len() * 4 + limits::CACHE_ENTRY_BYTES);
        Ok(ids)
    }

    /// A layout of these columns. The gate must be held.
    pub(crate) fn layout(&self, store: &Store, metrics: &[MetricId]) -> Result<Layout, Error> {
        // Ids that its caller kept may have been swept meanwhile: it has to intern them again.
        if !self.metrics.are_there(metrics.iter().map(|metric| metric.0)) {
            return Err(Error::Forgotten);
        }
        let text = |segment: &[MetricId]| segment.iter().flat_map(|metric| metric.0.to_le_bytes()).collect();
        let segments: Vec<Vec<u8>> = metrics.chunks(Layout::SEGMENT_COLUMNS).map(text).collect();
        let segments = self.intern_segments(store, &segments)?;
        Ok(Layout { metrics: metrics.into(), segments: segments.into() })
    }

    fn intern_segments(&self, store: &Store, segments: &[Vec<u8>]) -> Result<Vec<u32>, Error> {
        let texts: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
        self.segments.intern(store, &texts, |batch, new| {
            // A posting for each column: that of its metric gets the segment. An id takes four bytes of the text.
            self.posted.fetch_add(new.iter().map(|&(_, i)| texts[i].len() as u64 / 4).sum(), Ordering::Relaxed);
            postings::add_segments(store, batch, new.iter().map(|&(id, i)| (id, texts[i])));
        })
    }

    fn labels_of(&self, store: &Store, side: u8, id: u32) -> Result<Option<Labels>, Error> {
        if side == METRIC_LABEL { self.metric_labels(store, id) } else { self.source_labels(store, SourceId(id)) }
    }

    pub(crate) fn source_labels(&self, store: &Store, id: SourceId) -> Result<Option<Labels>, Error> {
        cached_labels(store, &self.source_labels, Cf::Sources, id.0)
    }

    pub(crate) fn metric_labels(&self, store: &Store, id: u32) -> Result<Option<Labels>, Error> {
        cached_labels(store, &self.metric_labels, Cf::Metrics, id)
    }

    /// Calls `each` with the labels of these metrics (ascending); one whose labels are damaged is left out.
    pub(crate) fn labels_of_metrics(
        &self,
        store: &Store,
        ids: impl Iterator<Item = u32>,
        mut each: impl FnMut(u32, &Labels),
    ) -> Result<(), Error> {
        // Those that are not cached are read together, in key order.
        let others = self.metric_labels.get_each(ids, |id, labels| each(*id, labels));
        Ok(store.passing_texts(Cf::Metrics, &others, |i, text| match parse_labels(text) {
            Some(labels) => {
                each(others[i], &labels);
                self.metric_labels.insert(others[i], labels, text.len() + limits::CACHE_ENTRY_BYTES);
            }
            None => store.corrupt(Cf::Metrics, &id_key(others[i]), "not a label set"),
        })?)
    }

    /// The metrics of a segment's columns.
    pub(crate) fn segment_metrics(&self, store: &Store, id: u32) -> Result<Option<Arc<[u32]>>, Error> {
        if let Some(metrics) = self.segment_metrics.get(&id) {
            return Ok(Some(metrics));
        }
        let Some(text) = ids::text(store, Cf::Layouts, id)? else { return Ok(None) };
        let metrics: Arc<[u32]> = postings::metrics_of_text(&text).collect();
        self.segment_metrics.insert(id, Arc::clone(&metrics), text.len() + limits::CACHE_ENTRY_BYTES);
        Ok(Some(metrics))
    }

    /// The metrics of a segment's columns, each after what it lies under in pages, ascending. A metric whose labels are
    /// damaged is left out.
    pub(crate) fn segment_names(&self, store: &Store, id: u32) -> Result<Option<Names>, Error> {
        if let Some(names) = self.segment_names.get(&id) {
            return Ok(Some(names));
        }
        let Some(metrics) = self.segment_metrics(store, id)? else { return Ok(None) };
        let mut metrics = metrics.to_vec();
        metrics.sort_unstable();
        let mut names = Vec::with_capacity(metrics.len());
        store.passing_texts(Cf::Metrics, &metrics, |i, text| match parse_labels(text) {
            Some(labels) => names.push((page_name(labels.name()), metrics[i])),
            None => store.corrupt(Cf::Metrics, &id_key(metrics[i]), "not a label set"),
        })?;
        names.sort_unstable();
        let names: Names = names.into();
        self.segment_names.insert(id, Arc::clone(&names), names.len() * 8 + limits::CACHE_ENTRY_BYTES);
        Ok(Some(names))
    }

    /// The metrics of these segments.
    pub(crate) fn metrics_of(&self, store: &Store, segments: &Arc<[u32]>) -> Result<Arc<RoaringBitmap>, Error> {
        if let Some(metrics) = self.metrics_of_segments.get(segments) {
            return Ok(metrics);
        }
        let mut metrics = RoaringBitmap::new();
        for &segment in segments.iter() {
            if let Some(columns) = self.segment_metrics(store, segment)? {
                metrics.extend(columns.iter().copied());
            }
        }
        let metrics = Arc::new(metrics);
        let weight = metrics.serialized_size() + segments.len() * 4 + limits::CACHE_ENTRY_BYTES;
        self.metrics_of_segments.insert(Arc::clone(segments), Arc::clone(&metrics), weight);
        Ok(metrics)
    }

    pub(crate) fn forget_cached(&self, cf: Cf, id: u32) {
        // What is cached by sets of ids may stay: ids are not given out again, and those of `metrics_together` are compared
        // with their texts before they are used.
        match cf {
            Cf::Sources => self.source_labels.remove(&id),
            Cf::Metrics => self.metric_labels.remove(&id),
            _ => {
                self.segment_metrics.remove(&id);
                self.segment_names.remove(&id);
            }
        }
    }
}

fn cached_labels(store: &Store, cache: &Cache<u32, Labels>, cf: Cf, id: u32) -> Result<Option<Labels>, Error> {
    if let Some(labels) = cache.get(&id) {
        return Ok(Some(labels));
    }
    let Some(text) = ids::text(store, cf, id)? else { return Ok(None) };
    let Some(labels) = parse_labels(&text) else {
        store.corrupt(cf, &id_key(id), "not a label set");
        return Ok(None);
    };
    cache.insert(id, labels.clone(), text.len() + limits::CACHE_ENTRY_BYTES);
    Ok(Some(labels))
}

fn parse_labels(text: &[u8]) -> Option<Labels> {
    std::str::from_utf8(text).ok().and_then(Labels::from_text)
}
